//! The crate's behaviour, one module per subject.

mod document;
mod support;
mod topology;
