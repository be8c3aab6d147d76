//! Integration tests of the example programs' library.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod component;
mod kubernetes;
mod network;
mod policies;
mod spec;
mod storage;
