//! What a storage is to be: its kind and place, which never change, and its other settings.

use secrecy::SecretString;

use super::definition::{EncryptionKey, StorageKind};
use crate::property::{BANDWIDTH, PRUNE_BACKUPS};
use crate::property::{BandwidthLimits, PruneBackups};
use crate::setting::Settings;

/// Settings of a storage. What is not set is left alone; an empty text removes a setting. `Debug` shows the names only.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StorageSettings(pub(super) Settings);

impl StorageSettings {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it may hold, and nothing else: `images` (disks of machines), `rootdir` (of containers), `iso`, `vztmpl`,
    /// `backup`, `snippets`, `import`.
    #[must_use]
    pub fn with_contents<S: Into<String>>(mut self, kinds: impl IntoIterator<Item = S>) -> Self {
        self.0.list("content", kinds);
        self
    }

    /// The nodes that may use it; none at all means every node.
    #[must_use]
    pub fn with_nodes<S: Into<String>>(mut self, nodes: impl IntoIterator<Item = S>) -> Self {
        self.0.list("nodes", nodes);
        self
    }

    /// Whether it is in use.
    #[must_use]
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.0.flag("disable", !enabled, false);
        self
    }

    /// Marks a storage that all nodes reach at the same place as the same on all. It shares nothing by itself.
    #[must_use]
    pub fn with_shared(mut self, shared: bool) -> Self {
        self.0.flag("shared", shared, false);
        self
    }

    /// Which backups are kept.
    #[must_use]
    pub fn with_retention(mut self, keep: &PruneBackups) -> Self {
        let value = keep.as_property_string();
        self.0.property("prune-backups", value, &PRUNE_BACKUPS);
        self
    }

    /// Protected backups of one guest at most; -1 without limit.
    #[must_use]
    pub fn with_max_protected_backups(mut self, count: i32) -> Self {
        self.0.number("max-protected-backups", count);
        self
    }

    /// Limits of bandwidth.
    #[must_use]
    pub fn with_bandwidth(mut self, limits: &BandwidthLimits) -> Self {
        let value = limits.as_property_string();
        self.0.property("bwlimit", value, &BANDWIDTH);
        self
    }

    /// User name, or token of a Backup Server (`backup@pbs!pve`).
    #[must_use]
    pub fn with_username(mut self, name: &str) -> Self {
        self.0.text("username", name);
        self
    }

    /// Password, or a token's secret. It cannot be read back.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<SecretString>) -> Self {
        self.0.secret("password", password.into());
        self
    }

    /// Key ring of a Ceph user of another cluster. It cannot be read back.
    #[must_use]
    pub fn with_keyring(mut self, keyring: impl Into<SecretString>) -> Self {
        self.0.secret("keyring", keyring.into());
        self
    }

    /// Domain of an SMB user.
    #[must_use]
    pub fn with_domain(mut self, domain: &str) -> Self {
        self.0.text("domain", domain);
        self
    }

    /// Port of a Backup Server or ESXi host.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.0.number("port", port);
        self
    }

    /// SHA-256 fingerprint of a Backup Server's certificate, in pairs with colons.
    #[must_use]
    pub fn with_fingerprint(mut self, fingerprint: &str) -> Self {
        self.0.text("fingerprint", fingerprint);
        self
    }

    /// Namespace of a Backup Server (`site/rack`) or of Ceph.
    #[must_use]
    pub fn with_namespace(mut self, namespace: &str) -> Self {
        self.0.text("namespace", namespace);
        self
    }

    /// Encrypts backups on a Backup Server before they leave the node.
    #[must_use]
    pub fn with_encryption_key(mut self, key: &EncryptionKey) -> Self {
        key.put_into(&mut self.0);
        self
    }

    /// A public RSA key, Base64 of its PEM text: a copy of the encryption key that only the holder of the private half
    /// can read goes along with each backup. Needs an encryption key.
    #[must_use]
    pub fn with_master_key(mut self, public_key: &str) -> Self {
        let key = SecretString::from(public_key);
        self.0.traced("master-pubkey", key);
        self
    }

    /// Mount options of NFS or SMB.
    #[must_use]
    pub fn with_options(mut self, options: &str) -> Self {
        self.0.text("options", options);
        self
    }

    /// Directory below the share or file system that is mounted.
    #[must_use]
    pub fn with_subdirectory(mut self, path: &str) -> Self {
        self.0.text("subdir", path);
        self
    }

    /// Addresses of the monitors of another Ceph cluster.
    #[must_use]
    pub fn with_monitors<S: Into<String>>(mut self, hosts: impl IntoIterator<Item = S>) -> Self {
        self.0.list("monhost", hosts);
        self
    }

    /// Formats of images made without one: `raw`, `qcow2`, `vmdk`, `subvol`.
    #[must_use]
    pub fn with_format(mut self, format: &str) -> Self {
        self.0.text("format", format);
        self
    }

    /// Space taken at once: `off`, `metadata`, `falloc`, `full`.
    #[must_use]
    pub fn with_preallocation(mut self, mode: &str) -> Self {
        self.0.text("preallocation", mode);
        self
    }

    /// Whether volumes take space only where they are written (ZFS).
    #[must_use]
    pub fn with_sparse(mut self, sparse: bool) -> Self {
        self.0.flag("sparse", sparse, false);
        self
    }

    /// Block size of volumes (ZFS), such as `16k`.
    #[must_use]
    pub fn with_block_size(mut self, size: &str) -> Self {
        self.0.text("blocksize", size);
        self
    }

    /// Whether the kernel, not QEMU, reaches Ceph's block devices. Containers always go through the kernel.
    #[must_use]
    pub fn with_kernel_rbd(mut self, on: bool) -> Self {
        self.0.flag("krbd", on, false);
        self
    }

    /// Refuses to use a directory while nothing is mounted there.
    #[must_use]
    pub fn with_mount_point(mut self, required: bool) -> Self {
        self.0
            .text("is_mountpoint", if required { "yes" } else { "no" });
        self
    }

    /// Any other setting, by the server's name; an empty text removes it.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.text(name, value);
        self
    }
}

/// A storage that is wanted: its kind, where it is, and its settings.
///
/// ```
/// use proxmox_client::property::PruneBackups;
/// use proxmox_client::{NewStorage, StorageSettings};
/// let settings = StorageSettings::new()
///     .with_contents(["backup"])
///     .with_retention(&PruneBackups::default().with_daily(7u32))
///     .with_username("backup@pbs!pve")
///     .with_password("s3cret-value");
/// let wanted = NewStorage::backup_server("192.0.2.5", "main").with_settings(settings);
/// assert!(!format!("{wanted:?}").contains("s3cret-value"));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewStorage {
    kind: StorageKind,
    place: Settings,
    settings: StorageSettings,
}

impl NewStorage {
    fn at(kind: StorageKind, place: &[(&'static str, &str)]) -> Self {
        let mut settings = Settings::default();
        for (name, value) in place {
            settings.text(name, value);
        }
        Self {
            kind,
            place: settings,
            settings: StorageSettings::new(),
        }
    }

    /// A directory of the nodes.
    pub fn directory(path: &str) -> Self {
        Self::at(StorageKind::Directory, &[("path", without_slash(path))])
    }

    /// A directory of Btrfs.
    pub fn btrfs(path: &str) -> Self {
        Self::at(StorageKind::Btrfs, &[("path", without_slash(path))])
    }

    /// An NFS export, mounted below `/mnt/pve`.
    pub fn nfs(server: &str, export: &str) -> Self {
        Self::at(StorageKind::Nfs, &[("server", server), ("export", export)])
    }

    /// An SMB share, mounted below `/mnt/pve`.
    pub fn cifs(server: &str, share: &str) -> Self {
        Self::at(StorageKind::Cifs, &[("server", server), ("share", share)])
    }

    /// The file system of this Ceph cluster, or of another one with its monitors.
    pub fn cephfs() -> Self {
        Self::at(StorageKind::CephFs, &[])
    }

    /// Block devices in a pool of this Ceph cluster, or of another one with its monitors.
    pub fn rbd(pool: &str) -> Self {
        let mut storage = Self::at(StorageKind::Rbd, &[]);
        storage.settings.0.text("pool", pool);
        storage
    }

    /// A volume group.
    pub fn lvm(volume_group: &str) -> Self {
        Self::at(StorageKind::Lvm, &[("vgname", volume_group)])
    }

    /// A thin pool in a volume group.
    pub fn lvm_thin(volume_group: &str, pool: &str) -> Self {
        let place = [("vgname", volume_group), ("thinpool", pool)];
        Self::at(StorageKind::LvmThin, &place)
    }

    /// A pool or data set of local ZFS, such as `rpool/data`.
    pub fn zfs_pool(pool: &str) -> Self {
        Self::at(StorageKind::ZfsPool, &[("pool", pool)])
    }

    /// An iSCSI target, such as `iqn.2003-01.org.example:store`, behind a portal (`192.0.2.5:3260`).
    pub fn iscsi(portal: &str, target: &str) -> Self {
        Self::at(
            StorageKind::Iscsi,
            &[("portal", portal), ("target", target)],
        )
    }

    /// A data store of a Proxmox Backup Server. It needs a user name or token and its password or secret.
    pub fn backup_server(server: &str, datastore: &str) -> Self {
        let place = [("server", server), ("datastore", datastore)];
        Self::at(StorageKind::BackupServer, &place)
    }

    /// An ESXi host, to import machines from.
    pub fn esxi(server: &str, username: &str, password: impl Into<SecretString>) -> Self {
        let mut storage = Self::at(StorageKind::Esxi, &[]);
        storage.settings = storage
            .settings
            .with("server", server)
            .with_username(username)
            .with_password(password);
        storage
    }

    /// A storage of any kind; `place` is what a storage of that kind cannot change later.
    pub fn other<'a>(
        kind: StorageKind,
        place: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut storage = Self::at(kind, &[]);
        for (name, value) in place {
            storage.place.text(name, value);
        }
        storage
    }

    /// Adds settings to those that are set.
    #[must_use]
    pub fn with_settings(mut self, settings: StorageSettings) -> Self {
        self.settings.0.extend(settings.0);
        self
    }

    pub(super) fn kind(&self) -> &StorageKind {
        &self.kind
    }

    pub(super) fn place(&self) -> &Settings {
        &self.place
    }

    pub(super) fn settings(&self) -> &StorageSettings {
        &self.settings
    }

    pub(super) fn all(&self) -> Settings {
        let mut all = self.place.clone();
        all.extend(self.settings.0.clone());
        all
    }
}

/// The server drops slashes at the end of a path.
fn without_slash(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => path,
        path => path,
    }
}
