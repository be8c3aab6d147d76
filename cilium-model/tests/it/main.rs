//! What cilium-model promises, by field.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod fuzz;
mod gateway;
mod hubble;
mod install;
#[cfg(feature = "kube")]
mod kube;
mod load_balancer;
mod objects;
mod properties;
mod verdicts;
