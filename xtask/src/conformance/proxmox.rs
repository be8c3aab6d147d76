//! Suites of Proxmox VE: recorded answers, configuration files, the simulator's flow and contention.

use super::Suite;

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[];
