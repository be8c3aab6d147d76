//! Integration tests of the example programs' library.

mod spec;
