//! Ceph on the nodes of a cluster: its setup, services, disks, pools, file systems, flags and settings.
//!
//! The packages come first, with `pveceph install` on each node, for which there is no call. Then:
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::ceph::{CephInit, CephPoolSettings, NewCephOsd, NewCephPool};
//! use proxmox_client::simulator::{DiskSpec, NodeSpec, Simulator, World};
//! # let mut world = World::lab();
//! # for (at, name) in ["pve1", "pve2", "pve3"].iter().enumerate() {
//! #     let node = NodeSpec::new(name, 8, 64 << 30).with_address(&format!("192.0.2.{}", 11 + at));
//! #     world = world.with_node(node).with_disk(name, DiskSpec::ssd("/dev/sdb", 1 << 40));
//! # }
//! # let world = world.with_ceph().with_user("root@pam", "secret");
//! # let root = proxmox_client::Login::new("root@pam", "secret");
//! # let client = Simulator::new(world).builder().login(root).build()?; // only root may make disks
//! let init = CephInit::new().with_network("192.0.2.0/24");
//! client.node("pve1").ceph().init(&init).await?;
//! for name in ["pve1", "pve2", "pve3"] {
//!     let ceph = client.node(name).ceph();
//!     ceph.create_monitor(name).await?;
//!     ceph.ensure_osd(&NewCephOsd::on("/dev/sdb")).await?;
//! }
//! let pool = NewCephPool::new(CephPoolSettings::new().with_placement_groups(64)).with_storages();
//! client.node("pve1").ceph().pool("vms").ensure(&pool).await?;
//! assert!(client.ceph().status().await?.is_healthy());
//! assert_eq!(client.node("pve2").storage("vms").status().await?.active, Some(true));
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```

mod config;
mod daemon;
mod filesystem;
mod flag;
mod osd;
mod pool;
mod safety;
mod setup;
mod status;
mod tree;

use crate::client::Client;
use crate::error::Result;
use crate::node::Node;
use crate::task::TaskCall;
use crate::wire::{Method, Request};

pub use config::{CephConfigEntry, CephRule};
pub use daemon::{
    CephManager, CephMetadataServer, CephMonitor, CephRestart, CephService, CephServiceKind,
};
pub use filesystem::{CephFilesystem, CephFilesystemRemoval, NewCephFilesystem};
pub use flag::{CephFlag, CephFlagInfo, CephFlags};
pub use osd::{
    CephOsd, CephOsdDevice, CephOsdGeneral, CephOsdInfo, CephOsdPart, CephOsdRemoval,
    CephOsdVolume, EnsuredOsd, NewCephOsd,
};
pub use pool::{
    CephApplication, CephAutoscale, CephPool, CephPoolInfo, CephPoolRemoval, CephPoolSettings,
    CephPoolStatus, NewCephPool,
};
pub use safety::{CephAction, CephSafety};
pub use setup::{CephInit, CephRelease, CephState};
pub use status::{
    CephData, CephHealth, CephHealthReport, CephMetadata, CephNodeVersion, CephOsdCounts,
    CephPgState, CephServiceInfo, CephStatus, CephVersionText,
};
pub use tree::{CephOsds, CephTreeNode};

/// Ceph as a whole.
#[derive(Debug, Clone)]
pub struct Ceph {
    client: Client,
}

/// Ceph by way of one of its nodes, which does the work.
#[derive(Debug, Clone)]
pub struct NodeCeph {
    node: Node,
}

impl Client {
    /// Ceph as a whole.
    pub fn ceph(&self) -> Ceph {
        Ceph {
            client: self.clone(),
        }
    }
}

impl Node {
    /// Ceph by way of this node.
    pub fn ceph(&self) -> NodeCeph {
        NodeCeph { node: self.clone() }
    }
}

impl NodeCeph {
    fn client(&self) -> &Client {
        self.node.client()
    }

    fn request(&self, method: Method, below: &str) -> Result<Request> {
        self.node.request(method, &format!("/ceph{below}"))
    }

    /// A request whose path ends with something's name.
    fn named(&self, method: Method, below: &str, name: &str) -> Result<Request> {
        self.node.request(method, "")?;
        let path = format!("/nodes/{{node}}/ceph{below}");
        Ok(Request::new(method, &path, &[self.node.name(), name]))
    }

    fn task(&self, doing: impl Into<String>, request: Result<Request>) -> TaskCall<()> {
        TaskCall::new(self.client().clone(), doing, request, |report| {
            report.check().map(|_| ())
        })
    }
}
