//! The crate's behaviour, one module per subject.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may end so, and says when it did not run"
)]

mod document;
mod fuzz;
mod inventories;
mod keys;
mod lenient;
#[cfg(all(feature = "live", target_os = "linux"))]
mod namespaces;
mod programs;
#[cfg(all(feature = "live", target_os = "linux"))]
mod real_tunnel;
mod real_wg;
mod render;
mod rotation;
mod routing;
mod secrets;
mod state;
mod strict;
mod support;
mod topology;
