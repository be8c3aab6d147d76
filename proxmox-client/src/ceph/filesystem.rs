//! File systems.

use super::NodeCeph;
use crate::error::Result;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::Method;

record! {
    /// A file system: `GET /nodes/{node}/ceph/fs`.
    pub struct CephFilesystem {
        required {
            /// Name.
            "name" name: String,
        }
        optional {
            /// Pool with its names and attributes.
            "metadata_pool" metadata_pool: String,
            /// First pool with its data.
            "data_pool" data_pool: String,
            /// All pools with its data.
            "data_pools" data_pools: Vec<String>,
            /// Number of the pool with its names and attributes.
            "metadata_pool_id" metadata_pool_number: u64,
            /// Numbers of the pools with its data.
            "data_pool_ids" data_pool_numbers: Vec<u64>,
        }
    }
}

/// A file system to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewCephFilesystem {
    name: String,
    placement_groups: Option<u32>,
    storage: bool,
}

impl NewCephFilesystem {
    /// With pools `{name}_data` and `{name}_metadata`, and no storage on it.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            placement_groups: None,
            storage: false,
        }
    }

    /// Placement groups of the pool with the data, 8 to 32768, default 128. The other pool gets a quarter.
    #[must_use]
    pub fn with_placement_groups(mut self, number: u32) -> Self {
        self.placement_groups = Some(number);
        self
    }

    /// Defines a storage of the same name on it.
    #[must_use]
    pub fn with_storage(mut self) -> Self {
        self.storage = true;
        self
    }
}

/// What goes with a file system that is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CephFilesystemRemoval {
    storages: bool,
    pools: bool,
}

impl CephFilesystemRemoval {
    /// Its pools and storages stay.
    pub fn new() -> Self {
        Self::default()
    }

    /// Storages on it are removed too. They must be disabled.
    #[must_use]
    pub fn with_storages(mut self) -> Self {
        self.storages = true;
        self
    }

    /// Its pools are removed too, with all data.
    #[must_use]
    pub fn with_pools(mut self) -> Self {
        self.pools = true;
        self
    }
}

impl NodeCeph {
    /// The file systems.
    ///
    /// Example: see [`create_filesystem`](Self::create_filesystem).
    pub async fn filesystems(&self) -> Result<Vec<CephFilesystem>> {
        let request = self.request(Method::Get, "/fs")?;
        self.client().fetch(request).await
    }

    /// Makes a file system. There must be a metadata server that stands by.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// use proxmox_client::ceph::NewCephFilesystem;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let ceph = client.node("pve1").ceph();
    /// let new = NewCephFilesystem::new("shared").with_placement_groups(32).with_storage();
    /// let early = ceph.create_filesystem(&new).await.unwrap_err();
    /// assert_eq!(early.kind(), Kind::NotConfigured); // no metadata server
    /// ceph.create_metadata_server("pve1").await?;
    /// ceph.create_filesystem(&new).await?;
    /// assert_eq!(ceph.filesystems().await?[0].data_pool.as_deref(), Some("shared_data"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`](crate::Kind::AlreadyExists) if there is such a file system, pool or storage;
    /// [`Kind::NotConfigured`](crate::Kind::NotConfigured) if no metadata server stands by.
    pub fn create_filesystem(&self, new: &NewCephFilesystem) -> TaskCall<()> {
        let request = self.named(Method::Post, "/fs/{name}", &new.name);
        let request = request.map(|mut request| {
            let params = request.params_mut();
            if let Some(number) = new.placement_groups {
                params.push("pg_num", number.to_string());
            }
            if new.storage {
                params.push_flag("add-storage", true);
            }
            request
        });
        self.task(format!("making Ceph file system {}", new.name), request)
    }

    /// Removes a file system. Server 9.2 and later.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Removed;
    /// use proxmox_client::ceph::{CephFilesystemRemoval, NewCephFilesystem};
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_version("9.2.3").with_ceph_cluster()).connect();
    /// # let ceph = client.node("pve1").ceph();
    /// # ceph.create_metadata_server("pve1").await?;
    /// ceph.create_filesystem(&NewCephFilesystem::new("old")).await?;
    /// let all = CephFilesystemRemoval::new().with_pools();
    /// assert_eq!(ceph.remove_filesystem("old", &all).await?, Removed::Removed);
    /// assert_eq!(ceph.remove_filesystem("old", &all).await?, Removed::Absent);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InUse`](crate::Kind::InUse) if a storage on it is to be removed and not disabled.
    pub fn remove_filesystem(&self, name: &str, with: &CephFilesystemRemoval) -> TaskCall<Removed> {
        let request = self.named(Method::Delete, "/fs/{name}", name);
        let request = request.map(|mut request| {
            let params = request.params_mut();
            if with.storages {
                params.push_flag("remove-storages", true);
            }
            if with.pools {
                params.push_flag("remove-pools", true);
            }
            request
        });
        self.removal(format!("removing Ceph file system {name}"), request)
    }
}
