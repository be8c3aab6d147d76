//! The nouns of handles that have names of their own.

use crate::named::{Named, Noun};

/// Finds the noun by the name of the handle.
pub trait Handle {
    /// The noun.
    type Noun: Noun;
}

impl<N: Noun> Handle for Named<N> {
    type Noun = N;
}
