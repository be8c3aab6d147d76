//! Integration tests of the example programs' library.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod cli;
mod component;
mod kubernetes;
mod lab;
mod network;
mod policies;
mod spec;
mod storage;
