//! Suites of WireGuard: wg-quick files and mutated texts.

use super::Suite;

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[];
