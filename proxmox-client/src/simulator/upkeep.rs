//! What a node has beside its guests.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::route::{Custom, Disks, Held, Packages};

/// Disks, packages, certificate, subscription, options and log lines of a node.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Upkeep {
    pub(super) disks: Disks,
    pub(super) packages: Packages,
    pub(super) certificate: Option<Custom>,
    pub(super) subscription: Option<Held>,
    /// Options of the node.
    pub(super) config: Map<String, Value>,
    /// Lines that were written into its journal, with their moments and programs.
    pub(super) journal: Vec<(SystemTime, String, String)>,
    /// Lines of its firewall's log.
    pub(super) firewall_log: Vec<String>,
}
