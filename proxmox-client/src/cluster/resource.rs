//! What a cluster has: guests, nodes, storages, pools and networks in one list.

use crate::client::Client;
use crate::error::Result;
use crate::open::open_enum;
use crate::scalar::record;
use crate::wire::{Method, Request};

record! {
    /// An entry of `GET /cluster/resources`.
    ///
    /// Figures lag: nodes send them about every ten seconds. Ask the node for what must be right now.
    pub struct Resource {
        required {
            /// `qemu/100`, `node/pve1`, `storage/pve1/local`, …
            "id" id: String,
            /// What it is.
            "type" kind: ResourceKind,
        }
        optional {
            /// Node.
            "node" node: String,
            /// Guest id.
            "vmid" vmid: u32,
            /// Guest name.
            "name" name: String,
            /// State.
            "status" status: ResourceStatus,
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
            /// Type of a storage, of an SDN zone, ….
            "plugintype" plugin_type: String,
            /// What a storage may hold, separated by `,`.
            "content" content: String,
            /// Whether a storage is shared by its nodes.
            "shared" shared: bool,
            /// Level of a node's subscription; empty without one.
            "level" level: String,
        }
    }
}

open_enum! {
    /// What a [`Resource`] is.
    pub enum ResourceKind {
        /// A virtual machine.
        Qemu = "qemu",
        /// A container.
        Lxc = "lxc",
        /// A node.
        Node = "node",
        /// A storage at a node.
        Storage = "storage",
        /// A pool.
        Pool = "pool",
        /// A zone of the software-defined network.
        Sdn = "sdn",
        /// A fabric or zone, as 9.1 and newer servers list them.
        Network = "network",
    }
}

open_enum! {
    /// State of a [`Resource`]; which of them there are depends on its kind.
    pub enum ResourceStatus {
        /// A guest runs.
        Running = "running",
        /// A guest does not run.
        Stopped = "stopped",
        /// A node is up.
        Online = "online",
        /// A node is down.
        Offline = "offline",
        /// A storage can be used, or a zone is applied.
        Available = "available",
        /// A zone or fabric is as it should be.
        Ok = "ok",
        /// A zone or fabric is not as it should be.
        Error = "error",
        /// Nobody has said how it is: its node is down, or has just come up.
        Unknown = "unknown",
    }
}

/// Narrows [`Client::resources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResourceFilter {
    /// Machines and containers.
    Vm,
    /// Storages at their nodes.
    Storage,
    /// Nodes.
    Node,
    /// Zones and fabrics of the software-defined network.
    Sdn,
}

impl ResourceFilter {
    fn as_str(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Storage => "storage",
            Self::Node => "node",
            Self::Sdn => "sdn",
        }
    }
}

impl Client {
    /// Guests, nodes, storages and pools of the whole cluster, or only some of them.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{QemuConfig, ResourceFilter, ResourceStatus};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// client.node("pve1").create_qemu(100, QemuConfig::new().with_name("web")).await?;
    /// let guests = client.resources(Some(ResourceFilter::Vm)).await?;
    /// assert_eq!((guests[0].vmid, guests[0].node.as_deref()), (Some(100), Some("pve1")));
    /// assert_eq!(guests[0].status, Some(ResourceStatus::Stopped));
    /// let storages = client.resources(Some(ResourceFilter::Storage)).await?;
    /// assert_eq!(storages.len(), 3);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn resources(&self, only: Option<ResourceFilter>) -> Result<Vec<Resource>> {
        let mut request = Request::new(Method::Get, "/cluster/resources", &[]);
        if let Some(only) = only {
            request.params_mut().push("type", only.as_str());
        }
        self.fetch(request).await
    }
}
