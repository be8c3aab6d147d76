//! Integration tests of the example programs' library.

mod component;
mod kubernetes;
mod network;
mod policies;
mod spec;
mod storage;
