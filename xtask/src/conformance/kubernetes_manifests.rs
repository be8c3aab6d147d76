//! Suites of Kubernetes manifests through the typed objects of the model crates.

use super::Suite;

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[];
