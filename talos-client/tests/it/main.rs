//! The crate as its users see it.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something unexpected happens"
)]
#![cfg(feature = "simulator")]

mod support;

mod builders;
mod changes;
mod conflicts;
mod contexts;
mod expiry;
#[cfg(feature = "factory")]
mod factory;
mod fuzz;
mod generating;
mod hostile;
mod lifecycle;
mod merging;
mod network;
mod patches;
mod pki_folder;
mod properties;
mod reading;
mod rotation;

mod secrets;
mod strict;
