//! What longhorn-model promises, by field.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod fuzz;
#[cfg(feature = "kube")]
mod kube;
mod objects;
mod plan;
mod properties;
mod scheduling;
mod settings;
mod storage_class;
