//! Integration tests of the example programs' library.

mod component;
mod spec;
