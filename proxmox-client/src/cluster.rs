//! The cluster as a whole: version, members, resources.

mod join;

use crate::client::Client;
use crate::error::Result;
use crate::scalar::record;
use crate::wire::{Method, Request};

pub use join::{JoinInfo, JoinNode};

record! {
    /// `GET /version`.
    pub struct Version {
        required {
            /// Full version, such as `9.1.9`.
            "version" version: String,
        }
        optional {
            /// Release, such as `9.1`.
            "release" release: String,
            /// Commit of the manager package.
            "repoid" repo_id: String,
        }
    }
}

impl Version {
    /// Major and minor number.
    pub fn numbers(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.split(['.', '-', '~']);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

record! {
    /// An entry of `GET /cluster/status`: the cluster, or one of its nodes.
    pub struct ClusterMember {
        required {
            /// `cluster` or `node`.
            "type" kind: String,
            /// Name.
            "name" name: String,
        }
        optional {
            /// Address of a node.
            "ip" ip: String,
            /// Whether the node is up.
            "online" online: bool,
            /// Whether it is the node that answers.
            "local" local: bool,
            /// Number of the node.
            "nodeid" node_id: u64,
            /// Whether the cluster has quorum.
            "quorate" quorate: bool,
            /// Number of nodes.
            "nodes" nodes: u64,
            /// Identifier.
            "id" id: String,
            /// Support level.
            "level" level: String,
            /// Version of the cluster's configuration.
            "version" version: u64,
        }
    }
}

record! {
    /// An entry of `GET /cluster/resources`.
    ///
    /// Figures lag: nodes send them about every ten seconds. Ask the node for what must be right now.
    pub struct Resource {
        required {
            /// `qemu/100`, `node/pve1`, `storage/pve1/local`, …
            "id" id: String,
            /// `qemu`, `lxc`, `node`, `storage`, `pool`, `sdn`.
            "type" kind: String,
        }
        optional {
            /// Node.
            "node" node: String,
            /// Guest id.
            "vmid" vmid: u32,
            /// Guest name.
            "name" name: String,
            /// State.
            "status" status: String,
            /// Tags, separated by `;`.
            "tags" tags: String,
            /// Pool.
            "pool" pool: String,
            /// Storage.
            "storage" storage: String,
            /// Whether it is a template.
            "template" template: bool,
            /// Seconds since the start.
            "uptime" uptime: u64,
            /// Processors.
            "maxcpu" max_cpu: f64,
            /// Processor use.
            "cpu" cpu: f64,
            /// Memory in bytes.
            "maxmem" max_memory: u64,
            /// Memory in use, in bytes.
            "mem" memory: u64,
            /// Disk in bytes.
            "maxdisk" max_disk: u64,
            /// Disk in use, in bytes.
            "disk" disk: u64,
            /// Configuration lock of a guest.
            "lock" lock: String,
            /// State of a guest that HA manages.
            "hastate" ha_state: String,
            /// Memory in use for a machine on its node, in bytes.
            "memhost" host_memory: u64,
            /// Bytes received since the start.
            "netin" net_in: u64,
            /// Bytes sent since the start.
            "netout" net_out: u64,
            /// Bytes read since the start.
            "diskread" disk_read: u64,
            /// Bytes written since the start.
            "diskwrite" disk_write: u64,
        }
    }
}

impl Client {
    /// The server's version.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let version = client.version().await?;
    /// assert!(version.numbers() >= Some((9, 0)), "{}", version.version);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn version(&self) -> Result<Version> {
        self.fetch(Request::new(Method::Get, "/version", &[])).await
    }

    /// The cluster and its nodes with their addresses.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let members = client.cluster_status().await?;
    /// let offline = members.iter().filter(|member| member.online == Some(false));
    /// assert_eq!(offline.count(), 0);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cluster_status(&self) -> Result<Vec<ClusterMember>> {
        self.fetch(Request::new(Method::Get, "/cluster/status", &[]))
            .await
    }

    /// Guests, nodes, storages and pools of the whole cluster; `vm`, `node`, `storage` or `sdn` narrows the list.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// client.node("pve1").create_qemu(100, QemuConfig::new().with_name("web")).await?;
    /// let guests = client.resources(Some("vm")).await?;
    /// assert_eq!((guests[0].vmid, guests[0].node.as_deref()), (Some(100), Some("pve1")));
    /// let storages = client.resources(Some("storage")).await?;
    /// assert_eq!(storages.len(), 3);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn resources(&self, kind: Option<&str>) -> Result<Vec<Resource>> {
        let mut request = Request::new(Method::Get, "/cluster/resources", &[]);
        if let Some(kind) = kind {
            request.params_mut().push("type", kind);
        }
        self.fetch(request).await
    }

    /// Addresses of all nodes that are up, the one that answers first: endpoints for a client that survives the loss of
    /// any of them. They are those of the cluster's own network, which callers may not reach.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let endpoints = client.discover_endpoints().await?;
    /// assert_eq!(endpoints, ["https://192.0.2.10:8006"]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As [`cluster_status`](Self::cluster_status).
    pub async fn discover_endpoints(&self) -> Result<Vec<String>> {
        let mut members = self.cluster_status().await?;
        members.retain(|member| member.kind == "node" && member.online == Some(true));
        members.sort_by_key(|member| (member.local != Some(true), member.node_id));
        let addresses = members.into_iter().filter_map(|member| member.ip);
        Ok(addresses
            .map(|ip| match ip.contains(':') {
                true => format!("https://[{ip}]:8006"),
                false => format!("https://{ip}:8006"),
            })
            .collect())
    }
}
