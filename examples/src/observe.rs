//! The world as it was seen, in the words of the spec.

mod look;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::{Difference, ObjectSet};

pub use look::observe;

/// Everything that one look at the world showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Observation {
    /// Names of secrets that are not in the file yet; the file itself when there is none.
    pub missing_secrets: Vec<String>,
    /// Hosts by name, with whether the Talos image lies there.
    pub hosts: BTreeMap<String, HostSeen>,
    /// Nodes of the spec by name.
    pub machines: BTreeMap<String, MachineSeen>,
    /// Machines that carry our mark and are not in the spec.
    pub leftovers: Vec<Leftover>,
    /// Members of etcd by node name; `None` when nobody could be asked.
    pub etcd: Option<Vec<String>>,
    /// The Kubernetes API.
    pub kubernetes: KubernetesSeen,
    /// Tunnel files that are missing or differ.
    pub stale_tunnel_files: Vec<String>,
    /// Backups.
    pub backup: BackupSeen,
}

/// A Proxmox VE node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct HostSeen {
    /// The version of Proxmox VE.
    pub version: String,
    /// Whether the Talos image lies in the storage.
    pub has_image: bool,
    /// What the spec says about the host and is not so.
    pub contradictions: Vec<String>,
}

/// A machine that carries our mark and is not in the spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Leftover {
    /// The Proxmox VE node.
    pub host: String,
    /// The number.
    pub vmid: u32,
    /// The name.
    pub name: String,
}

/// A machine of the spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MachineSeen {
    /// There is none.
    Absent,
    /// Its number belongs to somebody else.
    #[non_exhaustive]
    Foreign {
        /// The name of the machine that has the number.
        name: String,
    },
    /// It is there and ours.
    #[non_exhaustive]
    Present {
        /// Hardware that differs from the spec.
        differences: Vec<Difference>,
        /// Whether it runs.
        running: bool,
        /// The operating system.
        talos: TalosSeen,
    },
}

/// The operating system of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TalosSeen {
    /// No answer.
    #[non_exhaustive]
    Silent {
        /// What was seen instead of an answer.
        reason: String,
    },
    /// It waits for its configuration.
    Maintenance,
    /// It runs with a configuration of this cluster.
    #[non_exhaustive]
    Configured {
        /// The version of Talos.
        version: String,
        /// Whether the configuration differs from the one that the spec gives.
        drifted: bool,
    },
}

/// The Kubernetes API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KubernetesSeen {
    /// No answer yet.
    #[default]
    Silent,
    /// It answers.
    #[non_exhaustive]
    Serving {
        /// Objects of each set that are missing or differ.
        stale: BTreeMap<ObjectSet, Vec<String>>,
        /// Nodes by name, with whether they are Ready.
        nodes: BTreeMap<String, bool>,
        /// Applications that are not both Synced and Healthy, with their state; `None` when Argo CD knows none yet.
        unready_applications: Option<Vec<String>>,
    },
}

/// The backups of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BackupSeen {
    /// Whether the repository is there.
    pub repository: bool,
    /// The newest snapshot that holds the cluster as it is now.
    pub current_snapshot: Option<String>,
}
