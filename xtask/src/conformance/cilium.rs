//! Suites of Cilium: policy verdicts and Hubble filters.

use super::Suite;

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[];
