//! Containers.

mod config;
mod create;
mod owner;
mod patch;
mod placement;
mod power;
mod remote;
mod snapshot;

use crate::client::Client;
use crate::error::{Error, Kind, Result};
use crate::guest::{self, Guest};
use crate::node::Node;
use crate::qemu::{Grown, GuestInterface, PendingEntry, Removed};
use crate::qemu::{IpRule, wait_for_address};
use crate::scalar::record;
use crate::size::Size;
use crate::task::TaskCall;
use crate::wire::{Method, Request};

pub use config::LxcConfig;
pub(crate) use config::is_volume_key;
pub use create::{LxcCreated, NewLxc};
pub use owner::EnsuredLxc;
pub use patch::LxcPatch;
pub use placement::LxcMigrateOptions;
pub use remote::LxcRemoteMigration;

record! {
    /// State and figures of a container: an entry of `GET /nodes/{node}/lxc`, and
    /// `GET /nodes/{node}/lxc/{vmid}/status/current`.
    pub struct LxcStatus {
        required {
            /// `running` or `stopped`.
            "status" status: String,
        }
        optional {
            /// Id.
            "vmid" vmid: u32,
            /// Host name.
            "name" name: String,
            /// Configuration lock, such as `disk` or `backup`.
            "lock" lock: String,
            /// Seconds since the start.
            "uptime" uptime: u64,
            /// Processors that it may use.
            "cpus" cpus: f64,
            /// Processor use, 1.0 being all of its processors.
            "cpu" cpu: f64,
            /// Memory in use, in bytes.
            "mem" memory: u64,
            /// Most memory, in bytes.
            "maxmem" max_memory: u64,
            /// Swap in use, in bytes.
            "swap" swap: u64,
            /// Most swap, in bytes.
            "maxswap" max_swap: u64,
            /// Use of the root file system, in bytes; 0 while it is off.
            "disk" disk: u64,
            /// Size of the root file system, in bytes.
            "maxdisk" max_disk: u64,
            /// Bytes read since the start.
            "diskread" disk_read: u64,
            /// Bytes written since the start.
            "diskwrite" disk_write: u64,
            /// Bytes received since the start.
            "netin" net_in: u64,
            /// Bytes sent since the start.
            "netout" net_out: u64,
            /// Tags, separated by `;`.
            "tags" tags: String,
            /// Whether it is a template.
            "template" template: bool,
        }
    }
}

impl LxcStatus {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.status == "running"
    }
}

/// A container that may or may not exist.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::property::{ContainerNic, MountPoint};
/// use proxmox_client::simulator::{Simulator, World};
/// use proxmox_client::{LxcConfig, NewLxc, Size, Started};
/// let template = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
/// let simulator = Simulator::new(World::lab().with_volume(template, 130 << 20));
/// let client = simulator.connect();
///
/// let config = LxcConfig::new()
///     .with_hostname("dns")
///     .with_unprivileged(true)
///     .with_rootfs(&MountPoint::allocate("local-lvm", 4))
///     .with_net(0, &ContainerNic::new("eth0", "vmbr0").with_ip("192.0.2.53/24"));
/// let dns = client.node("pve1").create_lxc(200, NewLxc::new(template, config)).await?.lxc;
/// dns.grow_volume("rootfs", Size::gib(8)).await?;
/// assert_eq!(dns.start().await?, Started::Started);
/// assert_eq!(dns.start().await?, Started::AlreadyRunning);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Lxc {
    pub(crate) client: Client,
    pub(crate) node: String,
    pub(crate) vmid: u32,
}

impl Guest for Lxc {
    type Config = LxcConfig;
    const BRANCH: &'static str = "lxc";
    const NOUN: &'static str = "container";
    const NAME: &'static str = "hostname";
    const MAKERS: [&'static str; 4] = ["vzcreate", "vzclone", "vzmigrate", "vzrestore"];

    fn client(&self) -> &Client {
        &self.client
    }
    fn node(&self) -> &str {
        &self.node
    }
    fn vmid(&self) -> u32 {
        self.vmid
    }
    fn at(mut self, node: String) -> Self {
        self.node = node;
        self
    }
}

impl Node {
    /// A container on this node.
    pub fn lxc(&self, vmid: u32) -> Lxc {
        Lxc {
            client: self.client().clone(),
            node: self.name().to_owned(),
            vmid,
        }
    }

    /// Containers of this node, straight from it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::LxcConfig;
    /// # let ct = LxcConfig::new().with_hostname("dns");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let containers = client.node("pve1").lxcs().await?;
    /// assert_eq!(containers[0].name.as_deref(), Some("dns"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn lxcs(&self) -> Result<Vec<LxcStatus>> {
        let request = self.request(Method::Get, "/lxc")?;
        self.client().fetch(request).await
    }
}

impl Lxc {
    /// Its id.
    pub fn vmid(&self) -> u32 {
        self.vmid
    }

    /// The node it is on.
    pub fn node(&self) -> &str {
        &self.node
    }

    pub(crate) fn request(&self, method: Method, below: &str) -> Result<Request> {
        self.call(method, below, None)
    }

    /// The configuration, with changes that wait for the next start already in it.
    ///
    /// Example: see [`pending`](Self::pending).
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such container on this node.
    pub async fn config(&self) -> Result<LxcConfig> {
        guest::config(self, false).await
    }

    /// The configuration that is in use now, without waiting changes.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// dns.start().await?;
    /// dns.ensure_config(&LxcConfig::new().with_terminals(4)).await?;
    /// assert_eq!(dns.current_config().await?.text("tty"), None);
    /// assert_eq!(dns.config().await?.text("tty").as_deref(), Some("4"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn current_config(&self) -> Result<LxcConfig> {
        guest::config(self, true).await
    }

    /// Every key with its value in use and the one that waits for the next start.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::LxcConfig;
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let dns = client.node("pve1").lxc(200);
    /// dns.start().await?;
    /// dns.ensure_config(&LxcConfig::new().with_terminals(4)).await?;
    /// let entries = dns.pending().await?;
    /// let tty = entries.iter().find(|entry| entry.key == "tty").unwrap();
    /// assert_eq!((tty.value.as_ref(), tty.pending.as_ref()), (None, Some(&4.into())));
    /// dns.revert(&["tty"]).await?;
    /// assert_eq!(dns.config().await?.text("tty"), None);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn pending(&self) -> Result<Vec<PendingEntry>> {
        guest::pending(self).await
    }

    /// Power state and figures, straight from the node.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::LxcConfig;
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let status = client.node("pve1").lxc(200).status().await?;
    /// assert!(!status.is_running());
    /// assert_eq!(status.max_disk, Some(4 << 30));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn status(&self) -> Result<LxcStatus> {
        let request = self.request(Method::Get, "/status/current")?;
        let doing = |error: Error| error.doing(self.doing("reading the state of"));
        self.client.fetch(request).await.map_err(doing)
    }

    /// Whether there is such a container on this node.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// assert!(dns.exists().await?);
    /// assert!(!node.lxc(201).exists().await?);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn exists(&self) -> Result<bool> {
        guest::exists(self).await
    }

    /// Its network interfaces with their addresses, as they are inside; none while it is off. No agent is needed.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::LxcConfig;
    /// # let ct = LxcConfig::new().with("net0", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp,type=veth");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let dns = client.node("pve1").lxc(200);
    /// assert!(dns.interfaces().await?.is_empty());
    /// dns.start().await?;
    /// assert_eq!(dns.interfaces().await?[1].name, "eth0");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn interfaces(&self) -> Result<Vec<GuestInterface>> {
        let request = self.request(Method::Get, "/interfaces")?;
        let answer: Option<Vec<serde_json::Value>> = self
            .client
            .fetch(request)
            .await
            .map_err(|error| error.doing(self.doing("asking for the interfaces of")))?;
        let entries = answer.unwrap_or_default();
        Ok(entries.iter().map(GuestInterface::from_json).collect())
    }

    /// Waits until it has an address that fits a rule, and gives it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::{IpRule, LxcConfig};
    /// # let ct = LxcConfig::new()
    /// #     .with("net0", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=192.0.2.53/24,type=veth");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let dns = client.node("pve1").lxc(200);
    /// dns.start().await?;
    /// assert_eq!(dns.wait_for_ip(IpRule::ipv4()).await?.to_string(), "192.0.2.53");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Deadline`] with what was seen last.
    pub async fn wait_for_ip(&self, rule: IpRule) -> Result<std::net::IpAddr> {
        let doing = "waiting for an address of";
        let mac = match rule.card() {
            None => None,
            Some(index) => match self.config().await?.net(index).transpose()? {
                Some(card) => card.mac(),
                None => {
                    let missing = format!("there is no card net{index}");
                    return Err(Error::new(Kind::NotFound, missing).doing(self.doing(doing)));
                }
            },
        };
        wait_for_address(&rule, mac.as_deref(), || self.interfaces())
            .await
            .map_err(|error| error.doing(self.doing(doing)))
    }

    /// Removes the container with its volumes, and its traces in backup jobs, replication and HA.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::{LxcConfig, Removed};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let dns = client.node("pve1").lxc(200);
    /// assert_eq!(dns.delete().await?, Removed::Removed);
    /// assert_eq!(dns.delete().await?, Removed::Absent);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::PowerState`] while it runs, [`Kind::Protected`], [`Kind::InUse`] for a template with linked clones.
    pub fn delete(&self) -> TaskCall<Removed> {
        guest::removal(self, false)
    }

    /// Like [`delete`](Self::delete), but a container that runs is stopped first.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::Removed;
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// dns.start().await?;
    /// assert_eq!(dns.delete_even_if_running().await?, Removed::Removed);
    /// assert!(!dns.exists().await?);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn delete_even_if_running(&self) -> TaskCall<Removed> {
        guest::removal(self, true)
    }

    /// Grows `rootfs` or a mount point (`mp0`) with its file system to a size, also while it runs; a volume of that size
    /// or larger is left alone.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{Grown, Size};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// assert_eq!(dns.grow_volume("rootfs", Size::gib(8)).await?, Grown::To(Size::gib(8)));
    /// assert_eq!(dns.grow_volume("rootfs", Size::gib(6)).await?, Grown::Unchanged(Size::gib(8)));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if the container or volume does not exist.
    pub async fn grow_volume(&self, key: &str, to: Size) -> Result<Grown> {
        let doing = "growing a volume of";
        let config = self.config().await?;
        let volumes = config.volumes();
        let Some((_, volume)) = volumes.into_iter().find(|(have, _)| *have == key) else {
            let missing = format!("there is no volume {key}");
            return Err(Error::new(Kind::NotFound, missing).doing(self.doing(doing)));
        };
        if let Some(have) = volume?.size().filter(|have| *have >= to) {
            return Ok(Grown::Unchanged(have));
        }
        let request = self.request(Method::Put, "/resize").map(|request| {
            let mut request = request.with("disk", key).with("size", to.to_string());
            if let Some(digest) = config.digest() {
                request.params_mut().push("digest", digest);
            }
            request
        });
        guest::tasked(self, doing, request, move |report| {
            report.check().map(|_| Grown::To(to))
        })
        .await
    }
}
