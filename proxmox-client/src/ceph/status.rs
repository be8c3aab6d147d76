//! How Ceph is: health, data, and what its services tell of themselves.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Ceph;
use crate::error::Result;
use crate::open::open_enum;
use crate::scalar::record;
use crate::wire::{Method, Request};

open_enum! {
    /// How Ceph is.
    pub enum CephHealth {
        /// All is well.
        Ok = "HEALTH_OK",
        /// Something wants attention.
        Warning = "HEALTH_WARN",
        /// Data is not available or in danger.
        Error = "HEALTH_ERR",
    }
}

record! {
    /// Health in `GET /cluster/ceph/status`.
    pub struct CephHealthReport {
        required {
            /// How Ceph is.
            "status" status: CephHealth,
        }
        optional {
            /// What wants attention, by name, each with a severity and a summary.
            "checks" checks: serde_json::Value,
        }
    }
}

record! {
    /// Disks in `GET /cluster/ceph/status`.
    pub struct CephOsdCounts {
        optional {
            /// All.
            "num_osds" all: u32,
            /// Those that run.
            "num_up_osds" up: u32,
            /// Those that hold data.
            "num_in_osds" within: u32,
        }
    }
}

record! {
    /// How many placement groups are in a state.
    pub struct CephPgState {
        required {
            /// State, such as `active+clean`.
            "state_name" state: String,
            /// How many are in it.
            "count" count: u64,
        }
        optional {}
    }
}

record! {
    /// Data in `GET /cluster/ceph/status`.
    pub struct CephData {
        optional {
            /// Placement groups.
            "num_pgs" placement_groups: u64,
            /// Placement groups by state.
            "pgs_by_state" states: Vec<CephPgState>,
            /// Bytes in use.
            "bytes_used" used: u64,
            /// Free bytes.
            "bytes_avail" free: u64,
            /// All bytes.
            "bytes_total" total: u64,
            /// Copies that are not as many as they should be.
            "degraded_objects" degraded: u64,
        }
    }
}

record! {
    /// `GET /cluster/ceph/status`, as Ceph itself tells it.
    pub struct CephStatus {
        required {
            /// How it is.
            "health" health: CephHealthReport,
        }
        optional {
            /// Identifier of the Ceph cluster.
            "fsid" fsid: String,
            /// Monitors that agree.
            "quorum_names" monitors: Vec<String>,
            /// Disks.
            "osdmap" osds: CephOsdCounts,
            /// Data.
            "pgmap" data: CephData,
        }
    }
}

impl CephStatus {
    /// Whether nothing wants attention.
    pub fn is_healthy(&self) -> bool {
        self.health.status == CephHealth::Ok
    }

    /// Whether every placement group is active and has all its copies.
    pub fn is_clean(&self) -> bool {
        let states = self.data.as_ref().and_then(|data| data.states.as_deref());
        let clean = |state: &CephPgState| {
            let mut words = state.state.split('+');
            words.clone().any(|word| word == "active") && words.any(|word| word == "clean")
        };
        states.unwrap_or_default().iter().all(clean)
    }
}

record! {
    /// What a service of Ceph tells of itself. Of many more members only the useful ones have names here.
    pub struct CephServiceInfo {
        optional {
            /// Name; disks have numbers instead.
            "name" name: String,
            /// Number, of disks.
            "id" id: i64,
            /// Node on which it runs.
            "hostname" host: String,
            /// Its address, of managers and metadata servers.
            "addr" address: String,
            /// Its addresses, of monitors.
            "addrs" addresses: String,
            /// Addresses for clients, of disks.
            "front_addr" front_address: String,
            /// Addresses for other disks, of disks.
            "back_addr" back_address: String,
            /// Devices below it, of disks: `sdb,nvme0n1`.
            "devices" devices: String,
            /// How it keeps its data, of disks.
            "osd_objectstore" store: String,
            /// Name of the release that runs.
            "ceph_release" release: String,
            /// Version that runs, such as `19.2.3`.
            "ceph_version_short" version: String,
            /// Version that runs, with its build.
            "ceph_version" full_version: String,
            /// Memory of its node in KiB.
            "mem_total_kb" memory: u64,
            /// Swap space of its node in KiB.
            "mem_swap_kb" swap: u64,
        }
    }
}

record! {
    /// A version in parts and as a text.
    pub struct CephVersionText {
        optional {
            /// As one text.
            "str" text: String,
            /// Major, minor and patch.
            "parts" parts: Vec<String>,
        }
    }
}

record! {
    /// The packages of Ceph that a node has.
    pub struct CephNodeVersion {
        optional {
            /// Version.
            "version" version: CephVersionText,
            /// Commit that it was built from.
            "buildcommit" commit: String,
        }
    }
}

/// `GET /cluster/ceph/metadata`: services by name and host (`pve1@pve1`), and the packages of nodes.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize)]
#[non_exhaustive]
pub struct CephMetadata {
    /// Monitors.
    #[serde(default, rename = "mon")]
    pub monitors: BTreeMap<String, CephServiceInfo>,
    /// Managers.
    #[serde(default, rename = "mgr")]
    pub managers: BTreeMap<String, CephServiceInfo>,
    /// Metadata servers.
    #[serde(default, rename = "mds")]
    pub metadata_servers: BTreeMap<String, CephServiceInfo>,
    /// Disks.
    #[serde(default, rename = "osd")]
    pub disks: Vec<CephServiceInfo>,
    /// Packages, by node.
    #[serde(default, rename = "node")]
    pub nodes: BTreeMap<String, CephNodeVersion>,
    /// Members that this version does not name.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Ceph {
    /// How Ceph is.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::ceph::CephHealth;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let status = client.ceph().status().await?;
    /// assert_eq!(status.monitors.as_deref(), Some(&["pve1".to_owned()][..]));
    /// assert_eq!(status.health.status, CephHealth::Warning); // it has no disks yet
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotConfigured`](crate::Kind::NotConfigured) if the node that answers has no Ceph, or there is no monitor.
    pub async fn status(&self) -> Result<CephStatus> {
        let request = Request::new(Method::Get, "/cluster/ceph/status", &[]);
        self.client.fetch(request).await
    }

    /// All services with their versions, and the packages of the nodes.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let all = client.ceph().metadata().await?;
    /// assert_eq!(all.monitors["pve1@pve1"].release.as_deref(), Some("squid"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotConfigured`](crate::Kind::NotConfigured) if the node that answers has no Ceph.
    pub async fn metadata(&self) -> Result<CephMetadata> {
        let request = Request::new(Method::Get, "/cluster/ceph/metadata", &[]);
        self.client.fetch(request).await
    }

    /// The packages of Ceph that each node has; nodes without any are left out. It answers without a configuration
    /// of Ceph too.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab()).connect();
    /// assert!(client.ceph().versions().await?.is_empty()); // nobody ran `pveceph install`
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn versions(&self) -> Result<BTreeMap<String, CephNodeVersion>> {
        let request = Request::new(Method::Get, "/cluster/ceph/metadata", &[]);
        let found: CephMetadata = self.client.fetch(request.with("scope", "versions")).await?;
        Ok(found.nodes)
    }
}
