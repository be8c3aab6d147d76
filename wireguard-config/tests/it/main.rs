//! The crate's behaviour, one module per subject.

#![allow(clippy::unwrap_used, reason = "a test may end so")]

mod document;
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
