//! The crate's behaviour, one module per subject.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may end so, and says when it did not run"
)]

mod document;
mod fuzz;
mod keys;
mod lenient;
#[cfg(all(feature = "live", target_os = "linux"))]
mod namespaces;
#[cfg(all(feature = "live", target_os = "linux"))]
mod real_tunnel;
mod render;
mod rotation;
mod routing;
mod state;
mod strict;
mod support;
mod topology;
