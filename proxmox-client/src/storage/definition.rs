//! Definitions of storages: what the cluster knows by which name, and how it reaches it.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::check_name;
use super::settings::{NewStorage, StorageSettings};
use crate::access::{Ensured, text};
use crate::client::Client;
use crate::entry::{Entry, property_of, remove};
use crate::error::{Error, Kind, Result};
use crate::open::open_enum;
use crate::property::PruneBackups;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::secret::wipe;
use crate::setting::{Settings, names_of};
use crate::wire::{Method, Request};

open_enum! {
    /// What a storage is made of.
    pub enum StorageKind {
        /// A directory.
        Directory = "dir",
        /// A directory of Btrfs.
        Btrfs = "btrfs",
        /// An NFS export.
        Nfs = "nfs",
        /// An SMB share.
        Cifs = "cifs",
        /// A Ceph file system.
        CephFs = "cephfs",
        /// Ceph block devices.
        Rbd = "rbd",
        /// A volume group.
        Lvm = "lvm",
        /// A thin pool.
        LvmThin = "lvmthin",
        /// A pool or data set of local ZFS.
        ZfsPool = "zfspool",
        /// ZFS of another machine, through iSCSI.
        Zfs = "zfs",
        /// An iSCSI target, used whole or as the base of a volume group.
        Iscsi = "iscsi",
        /// An iSCSI target without the kernel's client.
        IscsiDirect = "iscsidirect",
        /// A Proxmox Backup Server.
        BackupServer = "pbs",
        /// An ESXi host, to import machines from.
        Esxi = "esxi",
    }
}

record! {
    /// A storage's definition: `GET /storage`.
    ///
    /// Settings that have no field here are in `extra`. Passwords and keys are never told; of an encryption key there is
    /// the fingerprint.
    pub struct StorageDefinition {
        required {
            /// Name.
            "storage" name: String,
            /// What it is made of.
            "type" kind: StorageKind,
        }
        optional {
            /// What it may hold, separated by commas; [`contents`](Self::contents) takes it apart.
            "content" content: String,
            /// Nodes that may use it, separated by commas; absent means all.
            "nodes" nodes: String,
            /// Whether it is turned off.
            "disable" disabled: bool,
            /// Whether all nodes see the same.
            "shared" shared: bool,
            /// Which backups are kept.
            "prune-backups" prune_backups: Value,
            /// Protected backups of one guest at most; -1 without limit.
            "max-protected-backups" max_protected_backups: i64,
            /// Directory, or where it is mounted.
            "path" path: String,
            /// Address of the server.
            "server" server: String,
            /// NFS export.
            "export" export: String,
            /// SMB share.
            "share" share: String,
            /// User name, or token of a Backup Server.
            "username" username: String,
            /// Volume group.
            "vgname" volume_group: String,
            /// Thin pool.
            "thinpool" thin_pool: String,
            /// Pool of Ceph or ZFS.
            "pool" pool: String,
            /// Data store of a Backup Server.
            "datastore" datastore: String,
            /// Namespace of a Backup Server or of Ceph.
            "namespace" namespace: String,
            /// SHA-256 fingerprint of the server's certificate.
            "fingerprint" fingerprint: String,
            /// Port of the server.
            "port" port: u32,
            /// Fingerprint of the key that backups are encrypted with, or `1`.
            "encryption-key" encryption_key: String,
            /// Whether a copy of the key goes along with each backup, for the holder of the master key.
            "master-pubkey" master_key: bool,
            /// Digest of all definitions.
            "digest" digest: String,
        }
    }
}

impl StorageDefinition {
    /// What it may hold: `images`, `rootdir`, `iso`, `vztmpl`, `backup`, `snippets`, `import`.
    pub fn contents(&self) -> BTreeSet<String> {
        let content = self.content.as_deref().map(Value::from);
        let mut names = content.as_ref().map(names_of).unwrap_or_default();
        names.remove("none");
        names
    }

    /// Whether a node may use it.
    pub fn is_for(&self, node: &str) -> bool {
        let nodes = self.nodes.as_deref().map(Value::from);
        let nodes = nodes.as_ref().map(names_of).unwrap_or_default();
        nodes.is_empty() || nodes.contains(node)
    }

    /// Which backups are kept, where it says so.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if the text is not one of the format.
    pub fn retention(&self) -> Option<Result<PruneBackups>> {
        let value = self.prune_backups.as_ref()?;
        Some(property_of(value).to_string().parse())
    }

    /// Whether backups on it are encrypted by the nodes.
    pub fn encrypts(&self) -> bool {
        self.encryption_key.is_some()
    }
}

/// What became of defining a storage.
#[derive(Debug)]
#[non_exhaustive]
pub struct StorageMade {
    /// Whether it was made or changed.
    pub ensured: Ensured,
    /// The encryption key, as a JSON document, where this call set or made one. Keep it apart from the backups: without
    /// it they cannot be read.
    pub encryption_key: Option<SecretString>,
}

impl StorageMade {
    fn new(ensured: Ensured, mut answer: Value) -> Self {
        let key = answer
            .get("config")
            .and_then(|config| config.get("encryption-key"));
        let encryption_key = key.and_then(Value::as_str).map(SecretString::from);
        wipe(&mut answer);
        Self {
            ensured,
            encryption_key,
        }
    }
}

/// A storage of the cluster by its name.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{Ensured, NewStorage, Removed, StorageSettings};
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// let nas = client.storage("nas");
/// let settings = StorageSettings::new().with_contents(["iso", "backup"]);
/// let wanted = NewStorage::nfs("192.0.2.5", "/tank/pve").with_settings(settings);
/// assert_eq!(nas.ensure(&wanted).await?.ensured, Ensured::Created);
/// assert_eq!(nas.ensure(&wanted).await?.ensured, Ensured::Unchanged);
/// let only_here = StorageSettings::new().with_nodes(["pve1"]);
/// assert_eq!(nas.update(&only_here).await?.ensured, Ensured::Updated(vec!["nodes".to_owned()]));
/// assert!(nas.get().await?.unwrap().is_for("pve1"));
/// assert_eq!(nas.delete().await?, Removed::Removed);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Storage {
    client: Client,
    name: String,
}

impl Client {
    /// The definitions of all storages.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let storages = client.storages().await?;
    /// let names: Vec<&str> = storages.iter().map(|storage| storage.name.as_str()).collect();
    /// assert_eq!(names, ["local", "local-hdd", "local-lvm"]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn storages(&self) -> Result<Vec<StorageDefinition>> {
        self.fetch(Request::new(Method::Get, "/storage", &[])).await
    }

    /// A storage of the cluster. What one node sees of it: [`Node::storage`](crate::Node::storage).
    pub fn storage(&self, name: impl Into<String>) -> Storage {
        Storage {
            client: self.clone(),
            name: name.into(),
        }
    }
}

impl Storage {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn request(&self, method: Method) -> Request {
        Request::new(method, "/storage/{storage}", &[&self.name])
    }

    fn entry(&self, kind: Option<&StorageKind>) -> Result<Entry<'_>> {
        check_name(&self.name)?;
        let create =
            Request::new(Method::Post, "/storage", &[]).with("storage", self.name.as_str());
        Ok(Entry {
            client: &self.client,
            read: self.request(Method::Get),
            create: match kind {
                Some(kind) => create.with("type", kind.as_str()),
                None => create,
            },
            change: self.request(Method::Put),
            what: format!("storage {}", self.name),
        })
    }

    /// Its definition; none if there is no such storage.
    ///
    /// Example: see [`Storage`].
    pub async fn get(&self) -> Result<Option<StorageDefinition>> {
        let Some(found) = self.entry(None)?.read().await? else {
            return Ok(None);
        };
        serde_json::from_value(found.into())
            .map(Some)
            .map_err(|error| {
                let text = "the storage's definition does not have the promised form";
                Error::new(Kind::Decode, text).with_source(error)
            })
    }

    /// Defines it. The node that answers tries to reach it at once.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::NewStorage;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let files = client.storage("files");
    /// files.create(&NewStorage::directory("/srv/files")).await?;
    /// assert_eq!(files.get().await?.unwrap().path.as_deref(), Some("/srv/files"));
    /// let again = files.create(&NewStorage::directory("/srv/files")).await;
    /// assert!(again.unwrap_err().is_already_exists());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if the name is taken; the node's own text if it cannot reach it.
    pub async fn create(&self, wanted: &NewStorage) -> Result<StorageMade> {
        let answer = self
            .entry(Some(wanted.kind()))?
            .create(&wanted.all())
            .await?;
        Ok(StorageMade::new(Ensured::Created, answer))
    }

    /// Makes sure that it is defined so; settings that are not named are left alone.
    ///
    /// Passwords cannot be read back, so a storage that is there keeps its own: [`update`](Self::update) sets them
    /// again. An encryption key that is there is never replaced, as backups made with it could not be read any more.
    ///
    /// Example: see [`Storage`].
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if the name is taken by a storage of another kind, or at another place (path, server,
    /// export, pool, …): these cannot be changed.
    pub async fn ensure(&self, wanted: &NewStorage) -> Result<StorageMade> {
        let entry = self.entry(Some(wanted.kind()))?;
        if let Some(have) = entry.read().await? {
            let mut place = wanted.place().differing(&have);
            if have.get("type").map(text).as_deref() != Some(wanted.kind().as_str()) {
                place.insert(0, "type".to_owned());
            }
            if !place.is_empty() {
                let why = format!(
                    "storage {} is there with another {}, which cannot be changed",
                    self.name,
                    place.join(", ")
                );
                return Err(Error::new(Kind::AlreadyExists, why)
                    .doing(format!("defining storage {}", self.name)));
            }
            let (ensured, answer) = entry.ensure(&wanted.settings().0).await?;
            return Ok(StorageMade::new(ensured, answer));
        }
        match entry.create(&wanted.all()).await {
            Ok(answer) => Ok(StorageMade::new(Ensured::Created, answer)),
            // Someone else defined it meanwhile: compare with what they did.
            Err(error) if error.is_already_exists() => Box::pin(self.ensure(wanted)).await,
            Err(error) => Err(error),
        }
    }

    /// Sets all these settings, passwords and keys too, whatever it has.
    ///
    /// Example: see [`Storage`].
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Parameter`] for a setting that this kind of storage does not have.
    pub async fn update(&self, settings: &StorageSettings) -> Result<StorageMade> {
        let entry = self.entry(None)?;
        let names = settings.0.names();
        let answer = entry.change(&settings.0, &names, None).await?;
        Ok(StorageMade::new(Ensured::Updated(names), answer))
    }

    /// Forgets it; what it holds stays where it is.
    ///
    /// Example: see [`Storage`].
    ///
    /// # Errors
    /// The server's text if another storage is based on it.
    pub async fn delete(&self) -> Result<Removed> {
        check_name(&self.name)?;
        let request = self.request(Method::Delete);
        remove(&self.client, request, &format!("storage {}", self.name)).await
    }
}

/// A key for the backups of a Backup Server storage.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EncryptionKey {
    /// The server makes one; [`StorageMade::encryption_key`] tells it, once.
    Autogen,
    /// This one, a JSON document as `proxmox-backup-client key create` writes it.
    Given(SecretString),
}

impl EncryptionKey {
    pub(super) fn put_into(&self, settings: &mut Settings) {
        let text = match self {
            Self::Autogen => "autogen",
            Self::Given(key) => key.expose_secret(),
        };
        settings.traced("encryption-key", SecretString::from(text));
    }
}
