//! What the table of configuration keys is made of.

use crate::property::table::Kind;

/// A configuration key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Name, without the number of numbered keys.
    pub(crate) stem: &'static str,
    /// The highest number of numbered keys.
    pub(crate) last: Option<u16>,
    pub(crate) kind: Kind,
}

impl Key {
    pub(crate) const fn new(stem: &'static str, last: Option<u16>, kind: Kind) -> Self {
        Self { stem, last, kind }
    }
}
