//! Suites of Proxmox VE: recorded answers, configuration files, the simulator's flow and contention.

mod configs;
mod contention;
mod exchange;
mod flow;
mod parameters;
mod recorded;

use super::{Folder, Outputs, Report, Runner, Suite};

/// The suites of this file.
pub(super) const SUITES: &[&dyn Suite] = &[
    &recorded::Recorded,
    &configs::Configs,
    &flow::Flow,
    &parameters::Parameters,
    &contention::Contention,
];
