//! The integration tests of restic-wrapper, one binary.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests say which peer is absent, and fail by panicking"
)]

mod faults;
mod fuzz;
mod outcomes;
mod processes;
mod programs;
mod proof;
mod real;
mod retention;
mod same_story;
mod servers;
mod simulated;
