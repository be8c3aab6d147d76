//! What the manager says about itself, its agents and its resources.

use serde_json::Value;

use super::resource::{HaSid, HaState};
use crate::scalar::record;

record! {
    /// An entry of `GET /cluster/ha/status/current`.
    pub struct HaStatus {
        required {
            /// `quorum`, `master`, `lrm:pve1`, `service:vm:100`, …
            "id" id: String,
        }
        optional {
            /// `quorum`, `master`, `lrm`, `service`, `fencing`.
            "type" kind: String,
            /// Node that it is about.
            "node" node: String,
            /// The state in words.
            "status" status: String,
            /// Of `quorum`: whether the cluster has it.
            "quorate" quorate: bool,
            /// Of `master` and `lrm`: when it was told, in seconds since 1970.
            "timestamp" timestamp: u64,
            /// Of `service`: the resource.
            "sid" sid: HaSid,
            /// Of `service`: the state that is asked for.
            "request_state" request_state: HaState,
            /// Of `service`: the state, as people are told: `queued`, `starting`, `started`, `error`, `migrate`, …
            "state" state: String,
            /// Of `service`: the state as the manager keeps it.
            "crm_state" crm_state: String,
            /// Of `service`: tries to restart.
            "max_restart" max_restart: u32,
            /// Of `service`: tries to start elsewhere.
            "max_relocate" max_relocate: u32,
            /// Of `service`: whether it goes back to a node of higher priority.
            "failback" failback: bool,
            /// Of `fencing`: `armed`, `standby`, `disarming`, `disarmed`.
            "armed-state" armed_state: String,
        }
    }
}

record! {
    /// `GET /cluster/ha/status/manager_status`.
    pub struct HaManagerStatus {
        optional {
            /// The manager's record: master, states of nodes and of resources.
            "manager_status" manager: Value,
            /// Which node answers, and whether it has quorum.
            "quorum" quorum: Value,
            /// The agents' records by node.
            "lrm_status" agents: Value,
        }
    }
}

impl HaManagerStatus {
    /// The node whose manager is in charge; none where nothing is managed yet.
    pub fn master(&self) -> Option<&str> {
        self.manager.as_ref()?.get("master_node")?.as_str()
    }

    /// Whether the node that answered has quorum.
    pub fn is_quorate(&self) -> bool {
        let quorate = self
            .quorum
            .as_ref()
            .and_then(|quorum| quorum.get("quorate"));
        quorate.and_then(crate::scalar::from_value) == Some(true)
    }

    /// A node's state as the manager sees it: `online`, `maintenance`, `unknown`, `fence`, `gone`.
    pub fn node_state(&self, node: &str) -> Option<&str> {
        self.manager
            .as_ref()?
            .get("node_status")?
            .get(node)?
            .as_str()
    }
}
