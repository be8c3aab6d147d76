//! Plans, builds, verifies and describes whole homelab clusters out of one `cluster.yaml`.

pub mod apply;
pub mod cli;
pub mod component;
pub mod credentials;
pub mod environment;
pub mod failure;
pub mod lab;
pub mod observe;
pub mod pace;
pub mod plan;
pub mod progress;
pub mod render;
pub mod secrets;
pub mod session;
pub mod spec;
pub mod stage;
pub mod target;
pub mod verify;
