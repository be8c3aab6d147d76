//! The integration tests of restic-wrapper, one binary.

#![allow(clippy::print_stderr, reason = "tests say which peer is absent")]

mod real;
mod simulated;
