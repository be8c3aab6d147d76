//! Suites of Longhorn: replica scheduling, setting values and storage class parameters.

use super::Suite;

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[];
