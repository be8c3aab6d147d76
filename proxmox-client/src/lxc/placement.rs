//! Where containers and their volumes are.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::guest::{self, ConfigUpdate};
use crate::lxc::Lxc;
use crate::lxc::config::is_volume_key;
use crate::node::check_name;
use crate::qemu::{Volumes, check_vmid};
use crate::size::Size;
use crate::task::TaskCall;
use crate::wire::Method;

/// How to migrate a container.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LxcMigrateOptions {
    restart: bool,
    patience: Option<Duration>,
    storage: Option<String>,
    limit: Option<Size>,
}

impl LxcMigrateOptions {
    /// A container that is off; volumes on local storages are copied.
    pub fn new() -> Self {
        Self::default()
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

    /// Storage of the volumes on the target: a name for all of them, or pairs such as `local-lvm:fast,local:slow`. Each
    /// keeps the name of its storage unless this is set.
    #[must_use]
    pub fn with_storage(mut self, map: &str) -> Self {
        self.storage = Some(map.to_owned());
        self
    }

    /// What is copied in a second.
    #[must_use]
    pub fn with_limit(mut self, per_second: Size) -> Self {
        self.limit = Some(per_second);
        self
    }
}

impl Lxc {
    /// Migrates it to another node; gives the container as it is addressed there.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// # use proxmox_client::{LxcConfig, LxcMigrateOptions};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct).with_node(NodeSpec::new("pve2", 8, 32 << 30))).connect();
    /// let dns = client.node("pve1").lxc(200);
    /// dns.start().await?;
    /// let there = dns.migrate("pve2", LxcMigrateOptions::new().with_restart()).await?;
    /// assert!(there.status().await?.is_running());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::PowerState`](crate::Kind::PowerState) for a container that runs without
    /// [`LxcMigrateOptions::with_restart`]; [`Kind::Locked`](crate::Kind::Locked).
    pub fn migrate(&self, target: &str, options: LxcMigrateOptions) -> TaskCall<Lxc> {
        let request = check_name(target).and_then(|()| {
            let mut request = self
                .request(Method::Post, "/migrate")?
                .with("target", target);
            if options.restart {
                request.params_mut().push_flag("restart", true);
            }
            if let Some(limit) = options.patience {
                let seconds = limit.as_secs().to_string();
                request.params_mut().push("timeout", seconds);
            }
            if let Some(map) = &options.storage {
                request.params_mut().push("target-storage", map.as_str());
            }
            request.params_mut().push_limit(options.limit);
            Ok(request)
        });
        let mut there = self.clone();
        target.clone_into(&mut there.node);
        guest::tasked(self, "migrating", request, |report| {
            report.check().map(|_| there)
        })
    }

    /// Moves `rootfs` or a mount point (`mp0`) to another storage; the container must be off. `old` says
    /// what becomes of the volume that it had. `limit` is what is copied in a second.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::Volumes;
    /// # use proxmox_client::LxcConfig;
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let dns = client.node("pve1").lxc(200);
    /// dns.move_volume("rootfs", "local-hdd", Volumes::Keep, None).await?;
    /// let config = dns.config().await?;
    /// assert_eq!(config.rootfs().unwrap()?.storage(), Some("local-hdd"));
    /// assert_eq!(config.text("unused0").as_deref(), Some("local-lvm:vm-200-disk-0"));
    /// dns.destroy_unused("unused0").await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::PowerState`](crate::Kind::PowerState) while it runs, [`Kind::NotFound`](crate::Kind::NotFound),
    /// [`Kind::Locked`](crate::Kind::Locked), [`Kind::InUse`](crate::Kind::InUse) for a volume with snapshots that is
    /// not kept.
    pub fn move_volume(
        &self,
        key: &str,
        storage: &str,
        old: Volumes,
        limit: Option<Size>,
    ) -> TaskCall<()> {
        let request = self.request(Method::Post, "/move_volume").map(|request| {
            let mut request = request
                .with("volume", key)
                .with("storage", storage)
                .with_flag("delete", old == Volumes::Destroy);
            request.params_mut().push_limit(limit);
            request
        });
        guest::plain(self, "moving a volume of", request)
    }

    /// Gives a mount point or an unused volume (`unused0`) to another container on the same node, there as `to`. The
    /// container must be off unless the volume is unused.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::LxcConfig;
    /// # let root = |id: u32| LxcConfig::new().with("rootfs", format!("local-lvm:vm-{id}-disk-0,size=4G"));
    /// # let old = root(200).with("mp0", "local-lvm:vm-200-disk-1,mp=/data,size=8G");
    /// # let world = World::lab().with_container("pve1", 200, &old).with_container("pve1", 201, &root(201));
    /// # let node = Simulator::new(world).connect().node("pve1");
    /// node.lxc(200).give_volume("mp0", 201, "mp3").await?;
    /// let data = node.lxc(201).config().await?.mount_point(3).unwrap()?;
    /// assert_eq!(data.volume().as_deref(), Some("local-lvm:vm-201-disk-1"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`](crate::Kind::AlreadyExists) if the other container has `to` already,
    /// [`Kind::PowerState`](crate::Kind::PowerState), [`Kind::InUse`](crate::Kind::InUse) for a volume with snapshots.
    pub fn give_volume(&self, key: &str, vmid: u32, to: &str) -> TaskCall<()> {
        let request = check_vmid(vmid)
            .and_then(|()| self.request(Method::Post, "/move_volume"))
            .map(|request| {
                request
                    .with("volume", key)
                    .with("target-vmid", vmid.to_string())
                    .with("target-volume", to)
            });
        guest::plain(self, "giving away a volume of", request)
    }

    /// Takes a mount point (`mp1`) off; its volume stays as `unusedN`. While the container runs this waits for the next
    /// start.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::LxcConfig;
    /// use proxmox_client::simulator::{Simulator, World};
    /// # let ct = LxcConfig::new()
    /// #     .with("rootfs", "local-lvm:vm-200-disk-0,size=4G")
    /// #     .with("mp0", "local-lvm:vm-200-disk-1,mp=/data,size=8G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let dns = client.node("pve1").lxc(200);
    /// dns.detach_volume("mp0").await?;
    /// let config = dns.config().await?;
    /// assert_eq!(config.text("unused0").as_deref(), Some("local-lvm:vm-200-disk-1"));
    /// dns.destroy_unused("unused0").await?;
    /// assert!(dns.config().await?.get("unused0").is_none());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::Kind::NotFound) if there is no such mount point.
    pub async fn detach_volume(&self, key: &str) -> Result<ConfigUpdate> {
        if !is_volume_key(key) || key == "rootfs" {
            return Err(Error::invalid(format!("`{key}` is no mount point")));
        }
        let what = format!("mount point {key}");
        guest::remove_key(self, key, &what, "detaching a volume of").await
    }

    /// Destroys the volume of an `unusedN` entry, for good.
    ///
    /// Example: see [`detach_volume`](Self::detach_volume).
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::Kind::InvalidInput) for anything else than `unusedN`,
    /// [`Kind::NotFound`](crate::Kind::NotFound) if there is none.
    pub async fn destroy_unused(&self, key: &str) -> Result<ConfigUpdate> {
        if !guest::is_unused_key(key) {
            return Err(Error::invalid(format!("`{key}` is no unused volume")));
        }
        guest::remove_key(self, key, key, "destroying a volume of").await
    }
}
