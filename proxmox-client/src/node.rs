//! Nodes: figures, guests, storages.

mod config;

use serde_json::Value;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::qemu::Qemu;
use crate::scalar::record;
use crate::storage::{NodeStorage, StorageStatus};
use crate::task::TaskEntry;
use crate::wire::{Method, Request};

pub use config::{NodeOptions, NodeSettings};

record! {
    /// An entry of `GET /nodes`.
    pub struct NodeSummary {
        required {
            /// Name.
            "node" node: String,
        }
        optional {
            /// `online`, `offline` or `unknown`.
            "status" status: String,
            /// SHA-256 fingerprint of the node's certificate.
            "ssl_fingerprint" fingerprint: String,
            /// Processors.
            "maxcpu" max_cpu: u32,
            /// Processor use, 1.0 being all of them.
            "cpu" cpu: f64,
            /// Memory in bytes.
            "maxmem" max_memory: u64,
            /// Memory in use, in bytes.
            "mem" memory: u64,
            /// Size of the root file system in bytes.
            "maxdisk" max_disk: u64,
            /// Use of the root file system in bytes.
            "disk" disk: u64,
            /// Seconds since it booted.
            "uptime" uptime: u64,
            /// Support level.
            "level" level: String,
        }
    }
}

record! {
    /// Memory of a node, in bytes.
    pub struct MemoryStatus {
        optional {
            /// All.
            "total" total: u64,
            /// In use.
            "used" used: u64,
            /// Free.
            "free" free: u64,
            /// What a new process could have.
            "available" available: u64,
        }
    }
}

record! {
    /// Processors of a node.
    pub struct CpuInfo {
        optional {
            /// Logical processors.
            "cpus" cpus: u32,
            /// Cores.
            "cores" cores: u32,
            /// Sockets.
            "sockets" sockets: u32,
            /// Model.
            "model" model: String,
            /// Clock in MHz.
            "mhz" mhz: f64,
            /// Whether it can run guests without emulation; empty text if not.
            "hvm" hvm: String,
            /// Feature flags, separated by blanks.
            "flags" flags: String,
        }
    }
}

record! {
    /// `GET /nodes/{node}/status`.
    pub struct NodeStatus {
        optional {
            /// Memory.
            "memory" memory: MemoryStatus,
            /// Swap.
            "swap" swap: MemoryStatus,
            /// Root file system.
            "rootfs" root_fs: MemoryStatus,
            /// Processors.
            "cpuinfo" cpu_info: CpuInfo,
            /// Processor use, 1.0 being all of them.
            "cpu" cpu: f64,
            /// Seconds since it booted.
            "uptime" uptime: u64,
            /// Version of the manager package.
            "pveversion" pve_version: String,
            /// Kernel.
            "kversion" kernel: String,
            /// Load over 1, 5 and 15 minutes.
            "loadavg" load: Vec<f64>,
        }
    }
}

impl NodeStatus {
    /// Logical processors.
    pub fn cpus(&self) -> Option<u32> {
        self.cpu_info.as_ref()?.cpus
    }

    /// Memory in bytes.
    pub fn total_memory(&self) -> Option<u64> {
        self.memory.as_ref()?.total
    }
}

record! {
    /// An entry of `GET /nodes/{node}/network`.
    pub struct NetworkInterface {
        required {
            /// Name.
            "iface" name: String,
        }
        optional {
            /// `bridge`, `eth`, `bond`, `vlan`, …
            "type" kind: String,
            /// Whether it is up.
            "active" active: bool,
            /// Whether it comes up with the node.
            "autostart" autostart: bool,
            /// Whether a bridge passes VLAN tags to guests.
            "bridge_vlan_aware" vlan_aware: bool,
            /// Ports of a bridge.
            "bridge_ports" bridge_ports: String,
            /// Address with prefix.
            "cidr" cidr: String,
            /// Address.
            "address" address: String,
            /// Gateway.
            "gateway" gateway: String,
            /// IPv6 address with prefix.
            "cidr6" cidr6: String,
            /// IPv6 gateway.
            "gateway6" gateway6: String,
            /// How it gets its address: `static`, `manual`, `dhcp`, …
            "method" method: String,
            /// How it gets its IPv6 address.
            "method6" method6: String,
            /// Largest packet in bytes.
            "mtu" mtu: u32,
            /// Comment, with a line's end.
            "comments" comment: String,
            /// VLANs that a VLAN-aware bridge passes, separated by blanks.
            "bridge_vids" vlan_ids: String,
            /// Cards of a bond, separated by blanks.
            "slaves" slaves: String,
            /// How a bond uses its cards.
            "bond_mode" bond_mode: String,
            /// VLAN.
            "vlan-id" vlan_id: u32,
            /// The interface that a VLAN is of.
            "vlan-raw-device" raw_device: String,
            /// Whether the node has such hardware.
            "exists" exists: bool,
            /// `inet`, `inet6`.
            "families" families: Vec<Value>,
        }
    }
}

record! {
    /// An entry of `GET /nodes/{node}/qemu`.
    pub struct QemuSummary {
        required {
            /// Id.
            "vmid" vmid: u32,
        }
        optional {
            /// Name.
            "name" name: String,
            /// `running` or `stopped`.
            "status" status: String,
            /// Seconds since the start.
            "uptime" uptime: u64,
            /// Virtual processors.
            "cpus" cpus: f64,
            /// Most memory, in bytes.
            "maxmem" max_memory: u64,
            /// Size of the boot disk, in bytes.
            "maxdisk" max_disk: u64,
            /// Tags, separated by `;`.
            "tags" tags: String,
            /// Whether it is a template.
            "template" template: bool,
            /// Configuration lock.
            "lock" lock: String,
        }
    }
}

/// One node.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::QemuConfig;
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// let node = client.node("pve1");
/// node.create_qemu(100, QemuConfig::new().with_name("web")).await?;
/// assert!(node.qemu(100).exists().await?);
/// assert_eq!(node.storage("local").status().await?.active, Some(true));
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Node {
    client: Client,
    name: String,
}

impl Node {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn request(&self, method: Method, below: &str) -> Result<Request> {
        check_name(&self.name)?;
        Ok(Request::new(
            method,
            &format!("/nodes/{{node}}{below}"),
            &[&self.name],
        ))
    }

    /// A virtual machine on this node.
    pub fn qemu(&self, vmid: u32) -> Qemu {
        Qemu {
            client: self.client.clone(),
            node: self.name.clone(),
            vmid,
        }
    }

    /// A storage as this node sees it.
    pub fn storage(&self, name: impl Into<String>) -> NodeStorage {
        NodeStorage::new(self.clone(), name.into())
    }

    /// Processors, memory, versions.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let status = node.status().await?;
    /// assert_eq!(status.cpus(), Some(24));
    /// assert_eq!(status.total_memory(), Some(96 << 30));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn status(&self) -> Result<NodeStatus> {
        self.client
            .fetch(self.request(Method::Get, "/status")?)
            .await
    }

    /// Storages that this node can use, with what they hold and what is free.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let storages = node.storages().await?;
    /// let for_images = storages.iter().filter(|storage| storage.holds("images"));
    /// let names: Vec<&str> = for_images.map(|storage| storage.storage.as_str()).collect();
    /// assert_eq!(names, ["local", "local-hdd", "local-lvm"]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn storages(&self) -> Result<Vec<StorageStatus>> {
        self.client
            .fetch(self.request(Method::Get, "/storage")?)
            .await
    }

    /// Network interfaces; `any_bridge` and the like narrow the list.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let bridges = node.networks(Some("bridge")).await?;
    /// assert_eq!(bridges[0].name, "vmbr0");
    /// assert_eq!(bridges[0].vlan_aware, Some(true));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn networks(&self, kind: Option<&str>) -> Result<Vec<NetworkInterface>> {
        let mut request = self.request(Method::Get, "/network")?;
        if let Some(kind) = kind {
            request.params_mut().push("type", kind);
        }
        self.client.fetch(request).await
    }

    /// Virtual machines of this node, straight from it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// node.create_qemu(100, QemuConfig::new().with_name("web")).await?;
    /// let machines = node.qemus().await?;
    /// assert_eq!((machines[0].vmid, machines[0].name.as_deref()), (100, Some("web")));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn qemus(&self) -> Result<Vec<QemuSummary>> {
        self.client.fetch(self.request(Method::Get, "/qemu")?).await
    }

    /// Tasks of this node that are running now.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{QemuConfig, task::Submitted};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let vm = node.create_qemu(100, QemuConfig::new()).await?.qemu;
    /// let Submitted::Task(task) = vm.start().submit().await? else { unreachable!() };
    /// assert_eq!(node.running_tasks().await?[0].upid, task.upid().as_str());
    /// task.await?;
    /// assert!(node.running_tasks().await?.is_empty());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn running_tasks(&self) -> Result<Vec<TaskEntry>> {
        self.client
            .fetch(
                self.request(Method::Get, "/tasks")?
                    .with("source", "active"),
            )
            .await
    }
}

impl Client {
    /// The cluster's nodes.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let nodes = client.nodes().await?;
    /// assert_eq!((nodes[0].node.as_str(), nodes[0].status.as_deref()), ("pve1", Some("online")));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn nodes(&self) -> Result<Vec<NodeSummary>> {
        self.fetch(Request::new(Method::Get, "/nodes", &[])).await
    }
}

/// Node names are host names without a domain.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let good = (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "`{}` is not a node's name: letters, digits and hyphens, 63 at most",
            name.escape_debug()
        )))
    }
}
