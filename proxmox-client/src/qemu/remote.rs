//! Migration of a machine to another cluster.

use crate::guest::{Mapping, RemoteEndpoint, Route};
use crate::qemu::Qemu;
use crate::size::Size;
use crate::task::TaskCall;

/// How to migrate a machine to another cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RemoteMigration {
    route: Route,
    online: bool,
}

impl RemoteMigration {
    /// A machine that is off, under the same id, with bridges called the same; it stays here as well. Storages are to be
    /// mapped: the server does not take over the names that they have here.
    pub fn new(endpoint: RemoteEndpoint, storages: Mapping) -> Self {
        Self {
            route: Route::new(endpoint, storages),
            online: false,
        }
    }

    /// Another id at the other end.
    #[must_use]
    pub fn with_vmid(mut self, vmid: u32) -> Self {
        self.route.vmid = Some(vmid);
        self
    }

    /// What bridges are called there; by default as here.
    #[must_use]
    pub fn with_bridges(mut self, mapping: Mapping) -> Self {
        self.route.bridges = mapping;
        self
    }

    /// Also while it runs.
    #[must_use]
    pub fn with_online(mut self) -> Self {
        self.online = true;
        self
    }

    /// Removes it here once it is there. Without this it stays, stopped and locked for the migration.
    #[must_use]
    pub fn with_delete(mut self) -> Self {
        self.route.delete = true;
        self
    }

    /// What is copied in a second.
    #[must_use]
    pub fn with_limit(mut self, limit: Size) -> Self {
        self.route.limit = Some(limit);
        self
    }
}

impl Qemu {
    /// Migrates it to another cluster; gives the id it has there. Upstream calls this experimental.
    ///
    /// When it fails or is stopped midway, the server removes what it made there and the machine goes on here. When its task
    /// is killed, both are left locked for the migration, and a second attempt is refused until somebody unlocks this one and
    /// removes that one.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{Mapping, QemuConfig, RemoteEndpoint, RemoteMigration, Token};
    /// let disk = "local-lvm:vm-100-disk-0,size=4G";
    /// let config = QemuConfig::new().with("scsi0", disk).with("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0");
    /// let here = Simulator::new(World::lab().with_guest("pve1", 100, &config));
    /// let there = Simulator::lab();
    /// here.add_peer("192.0.2.20", &there);
    ///
    /// let shown = there.connect().node("pve1").certificates().await?.remove(1);
    /// let token = Token::parse("root@pam!lab=lab-secret")?;
    /// let endpoint = RemoteEndpoint::new("192.0.2.20", token).with_fingerprint(shown.fingerprint.unwrap_or_default());
    /// let how = RemoteMigration::new(endpoint, Mapping::All("local-hdd".to_owned())).with_vmid(500).with_delete();
    /// let vmid = here.connect().node("pve1").qemu(100).remote_migrate(how).await?;
    /// let moved = there.connect().node("pve1").qemu(vmid).config().await?;
    /// assert_eq!(moved.text("scsi0").as_deref(), Some("local-hdd:vm-500-disk-0,size=4G"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Locked`](crate::Kind::Locked), [`Kind::InvalidInput`](crate::Kind::InvalidInput) for [`Mapping::Same`] of
    /// storages, [`Kind::PowerState`](crate::Kind::PowerState) for a machine that runs without
    /// [`RemoteMigration::with_online`]. Why the other cluster does not take it stands in the log of the task.
    pub fn remote_migrate(&self, how: RemoteMigration) -> TaskCall<u32> {
        how.route.begin(self, |params| {
            if how.online {
                params.push_flag("online", true);
            }
        })
    }
}
