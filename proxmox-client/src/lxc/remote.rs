//! Migration of a container to another cluster.

use std::time::Duration;

use crate::guest::{Mapping, RemoteEndpoint, Route};
use crate::lxc::Lxc;
use crate::size::Size;
use crate::task::TaskCall;

/// How to migrate a container to another cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LxcRemoteMigration {
    route: Route,
    restart: bool,
    patience: Option<Duration>,
}

impl LxcRemoteMigration {
    /// A container that is off, under the same id, with bridges called the same; it stays here as well. Storages are to be
    /// mapped: the server does not take over the names that they have here.
    pub fn new(endpoint: RemoteEndpoint, storages: Mapping) -> Self {
        Self {
            route: Route::new(endpoint, storages),
            restart: false,
            patience: None,
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

    /// A container that runs is shut down, moved and started there. There is no way to move it while it runs.
    #[must_use]
    pub fn with_restart(mut self) -> Self {
        self.restart = true;
        self
    }

    /// How long the shutdown may take, 180 seconds by default; whole seconds count.
    #[must_use]
    pub fn with_patience(mut self, limit: Duration) -> Self {
        self.patience = Some(limit);
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

impl Lxc {
    /// Migrates it to another cluster; gives the id it has there. Upstream calls this experimental.
    ///
    /// When it fails or is stopped midway, the server removes what it made there and starts the container here again if it ran.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{LxcConfig, LxcRemoteMigration, Mapping, RemoteEndpoint, Token};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let here = Simulator::new(World::lab().with_container("pve1", 200, &ct));
    /// # let there = Simulator::lab();
    /// here.add_peer("192.0.2.20", &there);
    /// let shown = there.connect().node("pve1").certificates().await?.remove(1);
    /// let token = Token::parse("root@pam!lab=lab-secret")?;
    /// let endpoint = RemoteEndpoint::new("192.0.2.20", token).with_fingerprint(shown.fingerprint.unwrap_or_default());
    /// let dns = here.connect().node("pve1").lxc(200);
    /// dns.start().await?;
    /// let how = LxcRemoteMigration::new(endpoint, Mapping::All("local-lvm".to_owned())).with_restart();
    /// let vmid = dns.remote_migrate(how).await?;
    /// assert!(there.connect().node("pve1").lxc(vmid).status().await?.is_running());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Locked`](crate::Kind::Locked), [`Kind::InvalidInput`](crate::Kind::InvalidInput) for [`Mapping::Same`] of
    /// storages, [`Kind::PowerState`](crate::Kind::PowerState) for a container that runs without
    /// [`LxcRemoteMigration::with_restart`]. Why the other cluster does not take it stands in the log of the task.
    pub fn remote_migrate(&self, how: LxcRemoteMigration) -> TaskCall<u32> {
        how.route.begin(self, |params| {
            if how.restart {
                params.push_flag("restart", true);
            }
            if let Some(limit) = how.patience {
                params.push("timeout", limit.as_secs().to_string());
            }
        })
    }
}
