//! Virtual machines.

mod agent;
mod cloud_init;
mod config;
mod create;
mod disk;
mod nocloud;
mod owner;
mod patch;
mod placement;
mod plan;
mod power;
mod remote;
mod snapshot;

use serde_json::Value;

use crate::client::Client;
use crate::error::{Error, Kind, Result};
use crate::guest::{self, Guest};
use crate::scalar::record;
use crate::size::Size;
use crate::task::TaskCall;
use crate::wire::{Method, Request};

pub(crate) use crate::guest::ConfigUpdate;
pub use crate::guest::{Mapping, RemoteEndpoint};
pub(crate) use agent::wait_for_address;
pub use agent::{Agent, Exec, ExecStatus, GuestFile, GuestInterface, GuestProcess, IpRule};
pub use cloud_init::{CloudInitEntry, CloudInitPart};
pub use config::QemuConfig;
pub(crate) use config::is_drive_slot;
pub use create::Created;
pub(crate) use create::id_taken;
pub use disk::{Attached, Attachment, Bus, Volumes};
pub use nocloud::NoCloud;
pub use owner::{CloneToNode, EnsuredQemu, Mark};
pub use patch::QemuPatch;
pub use placement::MigrateOptions;
pub use plan::{Change, ConfigPlan, Effect, KeyOutcome, KeyResult, PlannedKey};
pub use power::{Resumed, Shutdown, Started, Stopped, Suspended};
pub use remote::RemoteMigration;
pub use snapshot::{CloneOptions, Snapshot};

record! {
    /// `GET /nodes/{node}/qemu/{vmid}/status/current`.
    pub struct QemuStatus {
        required {
            /// `running` or `stopped`.
            "status" status: String,
        }
        optional {
            /// Id.
            "vmid" vmid: u32,
            /// Name.
            "name" name: String,
            /// State as QEMU tells it: `running`, `paused`, `stopped`, …
            "qmpstatus" qmp_status: String,
            /// Configuration lock, such as `clone` or `backup`.
            "lock" lock: String,
            /// Seconds since the start.
            "uptime" uptime: u64,
            /// Virtual processors.
            "cpus" cpus: f64,
            /// Processor use, 1.0 being all of its processors.
            "cpu" cpu: f64,
            /// Memory in use, in bytes.
            "mem" memory: u64,
            /// Most memory, in bytes.
            "maxmem" max_memory: u64,
            /// Size of the boot disk, in bytes.
            "maxdisk" max_disk: u64,
            /// QEMU's process id.
            "pid" pid: u64,
            /// Tags, separated by `;`.
            "tags" tags: String,
            /// Whether it is a template.
            "template" template: bool,
            /// Whether a guest agent is configured.
            "agent" agent: bool,
            /// Bytes received since the start.
            "netin" net_in: u64,
            /// Bytes sent since the start.
            "netout" net_out: u64,
        }
    }
}

impl QemuStatus {
    /// Whether it runs (also when paused).
    pub fn is_running(&self) -> bool {
        self.status == "running"
    }
}

record! {
    /// An entry of `GET /nodes/{node}/qemu/{vmid}/pending`.
    pub struct PendingEntry {
        required {
            /// Configuration key.
            "key" key: String,
        }
        optional {
            /// Value in use.
            "value" value: Value,
            /// Value after the next start.
            "pending" pending: Value,
            /// 1 or 2: the key goes at the next start (2: by force).
            "delete" delete: u64,
        }
    }
}

/// A virtual machine that may or may not exist.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{QemuConfig, Shutdown};
/// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
/// let vm = node.create_qemu(100, QemuConfig::new().with_name("web")).await?.qemu;
/// vm.start().await?;
/// vm.ensure_tags(&["lab"]).await?;
/// assert_eq!(vm.config().await?.tags(), ["lab"]);
/// vm.shutdown(Shutdown::new()).await?;
/// vm.delete().await?;
/// assert!(!vm.exists().await?);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Qemu {
    pub(crate) client: Client,
    pub(crate) node: String,
    pub(crate) vmid: u32,
}

impl Guest for Qemu {
    type Config = QemuConfig;
    const BRANCH: &'static str = "qemu";
    const NOUN: &'static str = "VM";
    const NAME: &'static str = "name";
    const MAKERS: [&'static str; 4] = ["qmcreate", "qmclone", "qmigrate", "qmrestore"];

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

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removed {
    /// It is gone now.
    Removed,
    /// It was not there.
    Absent,
}

impl Qemu {
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

    fn doing(&self, what: &str) -> String {
        Guest::doing(self, what)
    }

    /// The configuration, with changes that wait for the next start already in it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.ensure_config(&QemuConfig::new().with_name("web").with_memory_mib(4096)).await?;
    /// let config = vm.config().await?;
    /// assert_eq!((config.name().as_deref(), config.memory_mib()), (Some("web"), Some(4096)));
    /// assert!(config.digest().is_some());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such machine on this node.
    pub async fn config(&self) -> Result<QemuConfig> {
        guest::config(self, false).await
    }

    /// The configuration that is in use now, without waiting changes.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.ensure_config(&QemuConfig::new().with_memory_mib(2048)).await?;
    /// vm.start().await?;
    /// vm.ensure_config(&QemuConfig::new().with_memory_mib(4096)).await?;
    /// assert_eq!(vm.current_config().await?.memory_mib(), Some(2048));
    /// assert_eq!(vm.config().await?.memory_mib(), Some(4096));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn current_config(&self) -> Result<QemuConfig> {
        guest::config(self, true).await
    }

    /// Every key with its value in use and the one that waits for the next start.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// vm.ensure_config(&QemuConfig::new().with_cores(4)).await?;
    /// let entries = vm.pending().await?;
    /// let cores = entries.iter().find(|entry| entry.key == "cores").unwrap();
    /// assert_eq!(cores.pending, Some(4.into()));
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
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// assert!(!vm.status().await?.is_running());
    /// vm.start().await?;
    /// let status = vm.status().await?;
    /// assert!(status.is_running() && status.pid.is_some());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn status(&self) -> Result<QemuStatus> {
        self.client
            .fetch(self.request(Method::Get, "/status/current")?)
            .await
            .map_err(|error| error.doing(self.doing("reading the state of")))
    }

    /// Whether there is such a machine on this node.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// assert!(vm.exists().await?);
    /// assert!(!node.qemu(101).exists().await?);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn exists(&self) -> Result<bool> {
        guest::exists(self).await
    }

    /// Removes the machine with its disks, and its traces in backup jobs, replication and HA.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Removed;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// assert_eq!(vm.delete().await?, Removed::Removed);
    /// assert_eq!(vm.delete().await?, Removed::Absent);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::PowerState`] while it runs, [`Kind::Protected`], [`Kind::InUse`] for a template with linked clones.
    pub fn delete(&self) -> TaskCall<Removed> {
        guest::removal(self, false)
    }

    /// Grows a disk (`scsi0`) to a size; a disk of that size or larger is left alone.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Grown, QemuConfig, Size};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let config = QemuConfig::new().with("scsi0", "local-lvm:4");
    /// let vm = node.create_qemu(100, config).await?.qemu;
    /// assert_eq!(vm.grow_disk("scsi0", Size::gib(8)).await?, Grown::To(Size::gib(8)));
    /// assert_eq!(vm.grow_disk("scsi0", Size::gib(6)).await?, Grown::Unchanged(Size::gib(8)));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if the machine or disk does not exist.
    pub async fn grow_disk(&self, disk: &str, to: Size) -> Result<Grown> {
        let config = self.config().await?;
        let drive = config.drive(disk).transpose()?.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("there is no disk {disk}"))
                .doing(self.doing("growing a disk of"))
        })?;
        if let Some(have) = drive.size().filter(|have| *have >= to) {
            return Ok(Grown::Unchanged(have));
        }
        let mut request = self
            .request(Method::Put, "/resize")?
            .with("disk", disk)
            .with("size", to.to_string());
        if let Some(digest) = config.digest() {
            request.params_mut().push("digest", digest);
        }
        TaskCall::new(
            self.client.clone(),
            self.doing("growing a disk of"),
            Ok(request),
            move |report| report.check().map(|_| Grown::To(to)),
        )
        .await
    }
}

/// What became of growing a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grown {
    /// It has this size now.
    To(Size),
    /// It had this size already, which is enough.
    Unchanged(Size),
}

pub(crate) fn check_vmid(vmid: u32) -> Result<()> {
    if (100..=999_999_999).contains(&vmid) {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "{vmid} is not a guest id: 100 to 999999999"
        )))
    }
}
