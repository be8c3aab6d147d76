//! What a node made of its disks: directories, volume groups, thin pools, ZFS pools.

use serde_json::Value;

use crate::error::Result;
use crate::node::Node;
use crate::open::open_enum;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::{Method, Params, Request};

record! {
    /// A file system that is mounted below `/mnt/pve`: `GET /nodes/{node}/disks/directory`.
    pub struct NodeDirectory {
        required {
            /// Where it is mounted, such as `/mnt/pve/archive`.
            "path" path: String,
        }
        optional {
            /// Device.
            "device" device: String,
            /// File system, such as `ext4`.
            "type" filesystem: String,
            /// How it is mounted.
            "options" options: String,
            /// File that mounts it.
            "unitfile" unit_file: String,
        }
    }
}

record! {
    /// A volume group with its devices: `GET /nodes/{node}/disks/lvm`.
    pub struct NodeVolumeGroup {
        required {
            /// Name; of a device its path.
            "name" name: String,
        }
        optional {
            /// Size in bytes.
            "size" size: u64,
            /// What is free, in bytes.
            "free" free: u64,
            /// How many volumes are in it.
            "lvcount" volumes: u64,
            /// Its devices, with their own sizes.
            "children" devices: Vec<NodeVolumeGroup>,
        }
    }
}

/// The answer of `GET /nodes/{node}/disks/lvm`.
#[derive(serde::Deserialize)]
struct Groups {
    children: Vec<NodeVolumeGroup>,
}

record! {
    /// A thin pool: `GET /nodes/{node}/disks/lvmthin`.
    pub struct NodeThinPool {
        required {
            /// Name.
            "lv" name: String,
            /// Volume group.
            "vg" group: String,
        }
        optional {
            /// Size in bytes.
            "lv_size" size: u64,
            /// Use in bytes.
            "used" used: u64,
            /// Size of its metadata in bytes.
            "metadata_size" metadata_size: u64,
            /// Use of its metadata in bytes.
            "metadata_used" metadata_used: u64,
        }
    }
}

record! {
    /// A ZFS pool: `GET /nodes/{node}/disks/zfs`.
    pub struct NodeZfsPool {
        required {
            /// Name.
            "name" name: String,
        }
        optional {
            /// `ONLINE`, `DEGRADED`, `FAULTED`, …
            "health" health: String,
            /// Size in bytes.
            "size" size: u64,
            /// Use in bytes.
            "alloc" used: u64,
            /// What is free, in bytes.
            "free" free: u64,
            /// How scattered the free space is, in percent.
            "frag" fragmentation: u64,
            /// How many times as much is kept as is stored.
            "dedup" deduplication: f64,
        }
    }
}

record! {
    /// A ZFS pool in detail: `GET /nodes/{node}/disks/zfs/{name}`.
    pub struct ZfsPoolStatus {
        required {
            /// Name.
            "name" name: String,
            /// `ONLINE`, `DEGRADED`, `FAULTED`, …
            "state" state: String,
        }
        optional {
            /// What is wrong, if anything.
            "status" status: String,
            /// What to do about it.
            "action" action: String,
            /// What the last check of all data found.
            "scan" scan: String,
            /// Which data are lost: `No known data errors`, …
            "errors" errors: String,
            /// Its devices as a tree: `name`, `state`, counts of errors, `children`.
            "children" devices: Vec<Value>,
        }
    }
}

open_enum! {
    /// How a ZFS pool keeps data on its disks.
    pub enum ZfsLevel {
        /// On one disk.
        Single = "single",
        /// On every disk.
        Mirror = "mirror",
        /// On pairs of disks.
        Raid10 = "raid10",
        /// One disk of at least three may fail.
        RaidZ = "raidz",
        /// Two disks of at least four may fail.
        RaidZ2 = "raidz2",
        /// Three disks of at least five may fail.
        RaidZ3 = "raidz3",
        /// As `raidz`, with spares among the disks.
        Draid = "draid",
        /// As `raidz2`, with spares among the disks.
        Draid2 = "draid2",
        /// As `raidz3`, with spares among the disks.
        Draid3 = "draid3",
    }
}

/// What is made of disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeVolumeKind {
    /// A file system, mounted below `/mnt/pve`.
    Directory,
    /// A volume group.
    VolumeGroup,
    /// A thin pool in a volume group of the same name.
    ThinPool,
    /// A ZFS pool.
    Zfs,
}

impl NodeVolumeKind {
    fn path(self) -> &'static str {
        match self {
            Self::Directory => "/disks/directory",
            Self::VolumeGroup => "/disks/lvm",
            Self::ThinPool => "/disks/lvmthin",
            Self::Zfs => "/disks/zfs",
        }
    }
}

/// Something to be made of unused disks. All kinds take paths of devices, such as `/dev/sdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewNodeVolume {
    kind: NodeVolumeKind,
    name: String,
    params: Params,
}

impl NewNodeVolume {
    fn new(kind: NodeVolumeKind, name: &str, key: &str, devices: &str) -> Self {
        let mut params = Params::new();
        params.push("name", name);
        params.push(key, devices);
        Self {
            kind,
            name: name.to_owned(),
            params,
        }
    }

    /// A file system on a disk, mounted at `/mnt/pve/` and its name.
    pub fn directory(name: &str, device: &str) -> Self {
        Self::new(NodeVolumeKind::Directory, name, "device", device)
    }

    /// A volume group on a disk.
    pub fn volume_group(name: &str, device: &str) -> Self {
        Self::new(NodeVolumeKind::VolumeGroup, name, "device", device)
    }

    /// A thin pool on a disk, in a volume group of the same name.
    pub fn thin_pool(name: &str, device: &str) -> Self {
        Self::new(NodeVolumeKind::ThinPool, name, "device", device)
    }

    /// A ZFS pool on disks.
    pub fn zfs<S: Into<String>>(
        name: &str,
        level: &ZfsLevel,
        devices: impl IntoIterator<Item = S>,
    ) -> Self {
        let devices: Vec<String> = devices.into_iter().map(Into::into).collect();
        let mut new = Self::new(NodeVolumeKind::Zfs, name, "devices", &devices.join(","));
        new.params.push("raidlevel", level.as_str());
        new
    }

    /// Any other setting, as the interface spells it.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.params.push(name, value);
        self
    }

    /// Defines a storage of the same name on it.
    #[must_use]
    pub fn with_storage(mut self) -> Self {
        self.params.push_flag("add_storage", true);
        self
    }

    /// The file system of a directory: `ext4` (default) or `xfs`.
    #[must_use]
    pub fn with_filesystem(self, name: &str) -> Self {
        self.with("filesystem", name)
    }

    /// How a ZFS pool compresses: `on` (default), `off`, `lz4`, `zstd`, …
    #[must_use]
    pub fn with_compression(self, name: &str) -> Self {
        self.with("compression", name)
    }

    /// The power of two of a ZFS pool's blocks in bytes, 12 by default.
    #[must_use]
    pub fn with_ashift(self, power: u8) -> Self {
        self.with("ashift", &power.to_string())
    }
}

/// What goes with something that is removed from disks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeVolumeRemoval {
    storages: bool,
    disks: bool,
}

impl NodeVolumeRemoval {
    /// Nothing else: storages on it stay defined, and its disks are not wiped.
    pub fn new() -> Self {
        Self::default()
    }

    /// Storages on it are no longer defined on this node.
    #[must_use]
    pub fn with_storages(mut self) -> Self {
        self.storages = true;
        self
    }

    /// Its disks are wiped, so that they can be used again.
    #[must_use]
    pub fn with_disks(mut self) -> Self {
        self.disks = true;
        self
    }
}

impl Node {
    /// The file systems that are mounted below `/mnt/pve`.
    ///
    /// Example: see [`create_volume`](Self::create_volume).
    pub async fn directories(&self) -> Result<Vec<NodeDirectory>> {
        let request = self.request(Method::Get, "/disks/directory")?;
        self.client().fetch(request).await
    }

    /// The volume groups, with their devices.
    ///
    /// Example: see [`create_volume`](Self::create_volume).
    pub async fn volume_groups(&self) -> Result<Vec<NodeVolumeGroup>> {
        let request = self.request(Method::Get, "/disks/lvm")?;
        let groups: Groups = self.client().fetch(request).await?;
        Ok(groups.children)
    }

    /// The thin pools.
    ///
    /// Example: see [`create_volume`](Self::create_volume).
    pub async fn thin_pools(&self) -> Result<Vec<NodeThinPool>> {
        let request = self.request(Method::Get, "/disks/lvmthin")?;
        self.client().fetch(request).await
    }

    /// The ZFS pools.
    ///
    /// Example: see [`create_volume`](Self::create_volume).
    pub async fn zfs_pools(&self) -> Result<Vec<NodeZfsPool>> {
        let request = self.request(Method::Get, "/disks/zfs")?;
        self.client().fetch(request).await
    }

    /// A ZFS pool with its devices.
    ///
    /// Example: see [`create_volume`](Self::create_volume).
    pub async fn zfs_pool(&self, name: &str) -> Result<ZfsPoolStatus> {
        self.request(Method::Get, "")?;
        let path = "/nodes/{node}/disks/zfs/{name}";
        let request = Request::new(Method::Get, path, &[self.name(), name]);
        let found = self.client().fetch(request).await;
        found.map_err(|error| error.doing(format!("reading ZFS pool {name} of {}", self.name())))
    }

    /// Makes something of unused disks.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::upkeep::{NewNodeVolume, NodeVolumeKind, NodeVolumeRemoval};
    /// # use proxmox_client::simulator::{DiskSpec, Simulator, World};
    /// # let world = World::lab().with_disk("pve1", DiskSpec::hdd("/dev/sdb", 1 << 40));
    /// # let client = Simulator::new(world).connect();
    /// let node = client.node("pve1");
    /// let archive = NewNodeVolume::directory("archive", "/dev/sdb").with_storage();
    /// node.create_volume(archive).await?;
    /// assert_eq!(node.directories().await?[0].path, "/mnt/pve/archive");
    /// let all = NodeVolumeRemoval::new().with_storages().with_disks();
    /// node.remove_volume(NodeVolumeKind::Directory, "archive", &all).await?;
    /// assert!(node.physical_disks().await?[0].is_unused());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InUse`](crate::Kind::InUse) if something is on one of the disks, and a task failure if there is such a
    /// thing of that name already.
    pub fn create_volume(&self, new: NewNodeVolume) -> TaskCall<()> {
        let request = self.request(Method::Post, new.kind.path());
        TaskCall::new(
            self.client().clone(),
            format!("making {} of disks of {}", new.name, self.name()),
            request.map(|request| request.with_params(new.params)),
            |report| report.check().map(|_| ()),
        )
    }

    /// Removes something from its disks, with everything in it. A thin pool is looked for in the volume group of its
    /// name.
    ///
    /// Example: see [`create_volume`](Self::create_volume).
    ///
    /// # Errors
    /// A task failure if there is no such thing, or if it is in use.
    pub fn remove_volume(
        &self,
        kind: NodeVolumeKind,
        name: &str,
        with: &NodeVolumeRemoval,
    ) -> TaskCall<()> {
        let request = self.request(Method::Delete, "").map(|_| {
            let path = format!("/nodes/{{node}}{}/{{name}}", kind.path());
            let mut request = Request::new(Method::Delete, &path, &[self.name(), name]);
            if kind == NodeVolumeKind::ThinPool {
                request.params_mut().push("volume-group", name);
            }
            if with.storages {
                request.params_mut().push_flag("cleanup-config", true);
            }
            if with.disks {
                request.params_mut().push_flag("cleanup-disks", true);
            }
            request
        });
        TaskCall::new(
            self.client().clone(),
            format!("removing {name} from disks of {}", self.name()),
            request,
            |report| report.check().map(|_| ()),
        )
    }
}
