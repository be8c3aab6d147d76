//! Plans, builds, verifies and describes whole homelab clusters out of one `cluster.yaml`.

pub mod apply;
pub mod failure;
pub mod pace;
pub mod plan;
pub mod progress;
pub mod secrets;
