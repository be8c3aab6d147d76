//! Ceph as the cluster runs it: state, pools and disks, for reading.

use crate::client::Client;
use crate::error::Result;
use crate::node::Node;
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
    /// A pool: `GET /nodes/{node}/ceph/pool`.
    pub struct CephPool {
        required {
            /// Number.
            "pool" number: u64,
            /// Name.
            "pool_name" name: String,
        }
        optional {
            /// `replicated` or `erasure`.
            "type" kind: String,
            /// Copies of each object.
            "size" size: u32,
            /// Copies without which nothing is written.
            "min_size" min_size: u32,
            /// Placement groups.
            "pg_num" placement_groups: u32,
            /// Whether their number follows the use: `on`, `warn` or `off`.
            "pg_autoscale_mode" autoscale: String,
            /// Rule that spreads the copies.
            "crush_rule_name" rule: String,
            /// Bytes in use.
            "bytes_used" used: u64,
            /// Share in use, 1.0 being all.
            "percent_used" used_fraction: f64,
        }
    }
}

record! {
    /// A branch or leaf of the tree of disks.
    pub struct CephTreeNode {
        optional {
            /// Number; negative for branches.
            "id" id: i64,
            /// Name, such as `pve1` or `osd.3`.
            "name" name: String,
            /// `root`, `host`, `osd`, …
            "type" kind: String,
            /// What is below it.
            "children" children: Vec<CephTreeNode>,
            /// `up` or `down`; of disks.
            "status" status: String,
            /// Whether it holds data; of disks.
            "in" within: bool,
            /// Class of the disk: `hdd`, `ssd`, `nvme`.
            "device_class" device_class: String,
            /// Weight when data is spread.
            "crush_weight" weight: f64,
            /// Share of it in use, in percent.
            "percent_used" percent_used: f64,
            /// Its size in bytes.
            "total_space" size: u64,
            /// Bytes in use.
            "bytes_used" used: u64,
            /// Version of the program that serves it.
            "ceph_version" version: String,
        }
    }
}

record! {
    /// `GET /nodes/{node}/ceph/osd`.
    pub struct CephOsds {
        required {
            /// The tree: hosts below its root, disks below hosts.
            "root" root: CephTreeNode,
        }
        optional {
            /// Flags that hold for all, such as `noout`, separated by commas.
            "flags" flags: String,
        }
    }
}

impl CephOsds {
    /// The disks, each with its host.
    pub fn disks(&self) -> Vec<(&str, &CephTreeNode)> {
        let mut out = Vec::new();
        collect(&self.root, "", &mut out);
        out
    }
}

fn collect<'a>(node: &'a CephTreeNode, host: &'a str, out: &mut Vec<(&'a str, &'a CephTreeNode)>) {
    let name = node.name.as_deref().unwrap_or_default();
    let host = match node.kind.as_deref() {
        Some("osd") => {
            out.push((host, node));
            return;
        }
        Some("host") => name,
        _ => host,
    };
    for child in node.children.iter().flatten() {
        collect(child, host, out);
    }
}

impl Client {
    /// How Ceph is.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// # let client = proxmox_client::simulator::Simulator::new(proxmox_client::simulator::World::lab()).connect();
    /// match client.ceph_status().await {
    ///     Ok(status) => println!("healthy: {}, clean: {}", status.is_healthy(), status.is_clean()),
    ///     Err(error) => assert_eq!(error.kind(), Kind::NotConfigured), // a node without Ceph
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotConfigured`](crate::Kind::NotConfigured) if the node that answers has no Ceph.
    pub async fn ceph_status(&self) -> Result<CephStatus> {
        self.fetch(Request::new(Method::Get, "/cluster/ceph/status", &[]))
            .await
    }
}

impl Node {
    /// The pools of Ceph.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// match node.ceph_pools().await {
    ///     Ok(pools) => pools.iter().for_each(|pool| println!("{}", pool.name)),
    ///     Err(error) => assert_eq!(error.kind(), Kind::NotConfigured), // a node without Ceph
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotConfigured`](crate::Kind::NotConfigured) if the node has no Ceph.
    pub async fn ceph_pools(&self) -> Result<Vec<CephPool>> {
        let request = self.request(Method::Get, "/ceph/pool")?;
        self.client().fetch(request).await
    }

    /// The disks of Ceph, as a tree.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// match node.ceph_osds().await {
    ///     Ok(osds) => osds.disks().iter().for_each(|(host, disk)| println!("{host}: {:?}", disk.status)),
    ///     Err(error) => assert_eq!(error.kind(), Kind::NotConfigured), // a node without Ceph
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotConfigured`](crate::Kind::NotConfigured) if the node has no Ceph.
    pub async fn ceph_osds(&self) -> Result<CephOsds> {
        let request = self.request(Method::Get, "/ceph/osd")?;
        self.client().fetch(request).await
    }
}
