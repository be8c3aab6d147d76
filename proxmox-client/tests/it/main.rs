//! Specifications of the crate, one module per subject.

#[cfg(feature = "api")]
mod calls;
#[cfg(feature = "config-files")]
mod config_files;
#[cfg(feature = "simulator")]
mod contention;
mod decode;
mod errors;
#[cfg(feature = "config-files")]
mod fuzz;
#[cfg(feature = "simulator")]
mod lifecycle;
mod properties;
#[cfg(feature = "simulator")]
mod proxmoxer;
#[cfg(feature = "simulator")]
mod transport;
#[cfg(feature = "simulator")]
mod upload;
