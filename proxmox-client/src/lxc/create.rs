//! Making containers, from a template or from a backup.

use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};
use crate::guest::{Guest, GuestConfig};
use crate::lxc::{Lxc, LxcConfig};
use crate::node::Node;
use crate::qemu::{check_vmid, id_taken};
use crate::size::Size;
use crate::task::TaskCall;
use crate::upid::Upid;
use crate::wire::{Method, Request};

/// A container that was made by this call and no other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LxcCreated {
    /// The container.
    pub lxc: Lxc,
    /// The task that made it: the proof that it is ours.
    pub upid: Option<Upid>,
    /// What the task warned of.
    pub warnings: Vec<String>,
}

/// A container to be made: what from, and what is given once and not kept in its configuration.
///
/// ```
/// use proxmox_client::property::MountPoint;
/// use proxmox_client::{LxcConfig, NewLxc};
/// let template = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
/// let config = LxcConfig::new()
///     .with_hostname("dns")
///     .with_rootfs(&MountPoint::allocate("local-lvm", 4));
/// let new = NewLxc::new(template, config).with_password("correct horse").with_start();
/// assert!(!format!("{new:?}").contains("correct horse"));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewLxc {
    source: String,
    restore: bool,
    config: LxcConfig,
    password: Option<SecretString>,
    ssh_keys: Vec<String>,
    flags: Vec<&'static str>,
    storage: Option<String>,
    pool: Option<String>,
    limit: Option<Size>,
}

impl NewLxc {
    /// From a template, such as `local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst`. Without a `rootfs` the server
    /// allocates 4 GiB.
    pub fn new(template: &str, config: LxcConfig) -> Self {
        Self {
            source: template.to_owned(),
            restore: false,
            config,
            password: None,
            ssh_keys: Vec::new(),
            flags: Vec::new(),
            storage: None,
            pool: None,
            limit: None,
        }
    }

    /// From a backup, such as `local:backup/vzdump-lxc-200-2026_01_01-00_00_00.tar.zst`. What `config` names replaces what
    /// the backup holds; who names one volume names all, `rootfs` first. Otherwise all come to one storage, at the sizes that
    /// they had, those empty that were left out of the backup.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let ct = proxmox_client::LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// use proxmox_client::{BackupOptions, LxcConfig, NewLxc};
    /// let node = client.node("pve1");
    /// let backup = node.back_up(200, &BackupOptions::to("local")).await?;
    /// let new = NewLxc::from_backup(&backup.volid, LxcConfig::new()).with_storage("local-lvm");
    /// let copy = node.create_lxc(201, new.with_unique()).await?.lxc;
    /// assert_eq!(copy.config().await?.text("rootfs").as_deref(), Some("local-lvm:vm-201-disk-0,size=4G"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn from_backup(archive: &str, config: LxcConfig) -> Self {
        Self {
            restore: true,
            ..Self::new(archive, config)
        }
    }

    /// Password of root inside, at least five characters.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<SecretString>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Public SSH keys of root inside, one per line in the authorized_keys form; sent as they are, unlike the keys of
    /// virtual machines.
    #[must_use]
    pub fn with_ssh_keys<'a>(mut self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        self.ssh_keys
            .extend(keys.into_iter().map(|key| key.trim().to_owned()));
        self
    }

    /// Storage of volumes that `config` does not place; `local` unless set.
    #[must_use]
    pub fn with_storage(mut self, name: &str) -> Self {
        self.storage = Some(name.to_owned());
        self
    }

    /// Puts it into a pool.
    #[must_use]
    pub fn with_pool(mut self, id: &str) -> Self {
        self.pool = Some(id.to_owned());
        self
    }

    /// Starts it once it is made.
    #[must_use]
    pub fn with_start(mut self) -> Self {
        self.flags.push("start");
        self
    }

    /// A restored container gets new MAC addresses.
    #[must_use]
    pub fn with_unique(mut self) -> Self {
        self.flags.push("unique");
        self
    }

    /// A restored container takes the place of the one that has its id, which must be off.
    #[must_use]
    pub fn with_overwrite(mut self) -> Self {
        self.flags.push("force");
        self
    }

    /// Goes on when files of the template cannot be unpacked.
    #[must_use]
    pub fn with_unpack_errors_ignored(mut self) -> Self {
        self.flags.push("ignore-unpack-errors");
        self
    }

    /// What is read from a backup in a second.
    #[must_use]
    pub fn with_limit(mut self, per_second: Size) -> Self {
        self.limit = Some(per_second);
        self
    }

    /// The configuration that the container is to have.
    pub(crate) fn config(&self) -> &LxcConfig {
        &self.config
    }

    /// The template, or the backup.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is made from a backup.
    pub(crate) fn is_restored(&self) -> bool {
        self.restore
    }

    /// Where volumes go that the configuration does not place.
    pub(crate) fn storage(&self) -> Option<&str> {
        self.storage.as_deref()
    }

    /// The same with another configuration.
    pub(super) fn with_config(mut self, config: LxcConfig) -> Self {
        self.config = config;
        self
    }

    fn request(&self, node: &Node, vmid: u32) -> Result<Request> {
        check_vmid(vmid)?;
        self.config.check_values()?;
        let mut request = node
            .request(Method::Post, "/lxc")?
            .with("vmid", vmid.to_string())
            .with("ostemplate", self.source.as_str());
        let params = request.params_mut();
        if self.restore {
            params.push_flag("restore", true);
        }
        params.extend_values(self.config.values());
        if let Some(password) = &self.password {
            params.push("password", password.expose_secret());
        }
        if !self.ssh_keys.is_empty() {
            params.push("ssh-public-keys", self.ssh_keys.join("\n"));
        }
        for flag in &self.flags {
            params.push_flag(*flag, true);
        }
        let texts = [("storage", &self.storage), ("pool", &self.pool)];
        for (key, value) in texts {
            if let Some(value) = value {
                params.push(key, value.as_str());
            }
        }
        params.push_limit(self.limit);
        Ok(request)
    }
}

impl Node {
    /// Makes a container under a given id, from a template or from a backup.
    ///
    /// The id belongs to whoever creates first, be it a container or a virtual machine; for an id out of a range see
    /// [`Client::vmid_pool`](crate::Client::vmid_pool).
    ///
    /// Example: see [`Lxc`].
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`](crate::Kind::AlreadyExists) if the id is taken, wherever in the cluster;
    /// [`Kind::Parameter`](crate::Kind::Parameter) with the fields that the server refuses;
    /// [`Kind::RootOnly`](crate::Kind::RootOnly) for features and devices that only `root@pam` with a ticket may give.
    pub fn create_lxc(&self, vmid: u32, new: NewLxc) -> TaskCall<LxcCreated> {
        let lxc = self.lxc(vmid);
        let taken = move |error: Error| id_taken(error, Lxc::NOUN, vmid);
        let doing = if new.restore { "restoring" } else { "creating" };
        let request = new.request(self, vmid);
        let made = lxc.clone();
        crate::guest::tasked(&lxc, doing, request, move |report| {
            created(made, report).map_err(taken)
        })
        .or_refused(move |error| Err(taken(error)))
    }
}

/// What a task made.
pub(super) fn created(lxc: Lxc, report: crate::task::TaskReport) -> Result<LxcCreated> {
    let upid = report.upid.clone();
    report.check().map(|warnings| LxcCreated {
        lxc,
        upid,
        warnings,
    })
}
