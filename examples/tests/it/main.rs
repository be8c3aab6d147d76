//! Integration tests of the example programs' library.

mod component;
mod kubernetes;
mod policies;
mod spec;
