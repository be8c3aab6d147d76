//! The lab's Kubernetes API, spoken to by the ordinary client.

#![allow(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod api;
mod apply;
mod argo;
mod needs;
mod stage;
mod tls;
mod workloads;
