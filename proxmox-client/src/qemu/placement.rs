//! Where disks and machines are, and how machines are marked.

use crate::error::{Error, Result};
use crate::guest::{self, ConfigUpdate};
use crate::node::check_name;
use crate::qemu::config::is_drive_slot;
use crate::qemu::{Qemu, Volumes};
use crate::size::Size;
use crate::task::TaskCall;
use crate::wire::Method;

/// How to migrate.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MigrateOptions {
    online: bool,
    local_disks: bool,
    storage: Option<String>,
}

impl MigrateOptions {
    /// A machine that is off, with its disks on shared storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also while it runs.
    #[must_use]
    pub fn with_online(mut self) -> Self {
        self.online = true;
        self
    }

    /// Copies disks of local storages along.
    #[must_use]
    pub fn with_local_disks(mut self) -> Self {
        self.local_disks = true;
        self
    }

    /// Storage of the copied disks on the target.
    #[must_use]
    pub fn with_storage(mut self, name: &str) -> Self {
        self.storage = Some(name.to_owned());
        self
    }
}

impl Qemu {
    /// Moves a disk (`scsi0`) to another storage, also while the machine runs. `old` says what becomes of the
    /// volume that it had. `limit` is what is copied in a second.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{QemuConfig, Volumes};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let vm = node.create_qemu(100, QemuConfig::new().with("scsi0", "local-lvm:4")).await?.qemu;
    /// vm.move_disk("scsi0", "local-hdd", Volumes::Destroy, None).await?;
    /// assert!(vm.config().await?.text("scsi0").unwrap().starts_with("local-hdd:"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::Kind::InvalidInput) if it is there already,
    /// [`Kind::NotFound`](crate::Kind::NotFound), [`Kind::Locked`](crate::Kind::Locked).
    pub fn move_disk(
        &self,
        slot: &str,
        storage: &str,
        old: Volumes,
        limit: Option<Size>,
    ) -> TaskCall<()> {
        let request = self.request(Method::Post, "/move_disk").map(|request| {
            let mut request = request
                .with("disk", slot)
                .with("storage", storage)
                .with_flag("delete", old == Volumes::Destroy);
            request.params_mut().push_limit(limit);
            request
        });
        let doing = self.doing("moving a disk of");
        TaskCall::new(self.client.clone(), doing, request, |report| {
            report.check().map(|_| ())
        })
    }

    /// Takes a disk (`scsi1`) off the machine; its volume stays as `unusedN`.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let vm = node.create_qemu(100, QemuConfig::new().with("scsi0", "local-lvm:4")).await?.qemu;
    /// vm.detach_disk("scsi0").await?;
    /// assert!(vm.config().await?.get("unused0").is_some(), "its volume is kept");
    /// vm.destroy_unused("unused0").await?;
    /// assert!(vm.config().await?.get("unused0").is_none());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::Kind::NotFound) if there is no such disk.
    pub async fn detach_disk(&self, slot: &str) -> Result<ConfigUpdate> {
        if !is_drive_slot(slot) {
            return Err(Error::invalid(format!("`{slot}` is no disk")));
        }
        let what = format!("disk {slot}");
        guest::remove_key(self, slot, &what, "detaching a disk of").await
    }

    /// Destroys the volume of an `unusedN` entry, for good.
    ///
    /// Example: see [`detach_disk`](Self::detach_disk).
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::Kind::InvalidInput) for anything else than `unusedN`,
    /// [`Kind::NotFound`](crate::Kind::NotFound) if there is none.
    pub async fn destroy_unused(&self, key: &str) -> Result<ConfigUpdate> {
        if !guest::is_unused_key(key) {
            return Err(Error::invalid(format!("`{key}` is no unused disk")));
        }
        guest::remove_key(self, key, key, "destroying a disk of").await
    }

    /// Migrates it to another node; gives the machine as it is addressed there.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// use proxmox_client::{MigrateOptions, QemuConfig};
    /// # let world = World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30));
    /// # let client = Simulator::new(world).connect();
    /// # let vm = client.node("pve1").create_qemu(100, QemuConfig::new()).await?.qemu;
    /// vm.start().await?;
    /// let there = vm.migrate("pve2", MigrateOptions::new().with_online()).await?;
    /// assert_eq!(there.node(), "pve2");
    /// assert!(there.status().await?.is_running());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::PowerState`](crate::Kind::PowerState) for a running machine without
    /// [`MigrateOptions::with_online`], [`Kind::Locked`](crate::Kind::Locked).
    pub fn migrate(&self, target: &str, options: MigrateOptions) -> TaskCall<Qemu> {
        let request = check_name(target).and_then(|()| {
            let request = self.request(Method::Post, "/migrate")?;
            let mut request = request.with("target", target);
            if options.online {
                request.params_mut().push_flag("online", true);
            }
            if options.local_disks {
                request.params_mut().push_flag("with-local-disks", true);
            }
            if let Some(storage) = &options.storage {
                request.params_mut().push("targetstorage", storage);
            }
            Ok(request)
        });
        let mut there = self.clone();
        there.node = target.to_owned();
        let doing = self.doing("migrating");
        TaskCall::new(self.client.clone(), doing, request, |report| {
            report.check().map(|_| there)
        })
    }

    /// Makes sure that it carries these tags, whatever others it has.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::ConfigUpdate;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.ensure_tags(&["lab", "web"]).await?;
    /// assert_eq!(vm.ensure_tags(&["web"]).await?, ConfigUpdate::Unchanged);
    /// vm.remove_tags(&["lab"]).await?;
    /// assert_eq!(vm.config().await?.tags(), ["web"]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn ensure_tags(&self, tags: &[&str]) -> Result<ConfigUpdate> {
        guest::add_tags(self, tags).await
    }

    /// Takes these tags off, if it has them.
    ///
    /// Example: see [`ensure_tags`](Self::ensure_tags).
    pub async fn remove_tags(&self, tags: &[&str]) -> Result<ConfigUpdate> {
        guest::remove_tags(self, tags).await
    }
}
