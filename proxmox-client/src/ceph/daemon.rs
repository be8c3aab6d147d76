//! Services: monitors, managers, metadata servers; starting and stopping them.

use std::fmt;

use super::{Ceph, NodeCeph};
use crate::error::{Kind, Result};
use crate::open::open_enum;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::{Method, Request};

open_enum! {
    /// What kind of service it is.
    pub enum CephServiceKind {
        /// A monitor, which keeps the maps of the cluster.
        Monitor = "mon",
        /// A manager, which keeps figures and modules.
        Manager = "mgr",
        /// A metadata server of file systems.
        MetadataServer = "mds",
        /// What serves a disk.
        Osd = "osd",
    }
}

/// A service of a node, or several.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CephService {
    kind: Option<CephServiceKind>,
    id: Option<String>,
}

impl CephService {
    /// Everything that a node runs of Ceph.
    pub fn all() -> Self {
        Self {
            kind: None,
            id: None,
        }
    }

    /// All services of a kind.
    pub fn all_of(kind: CephServiceKind) -> Self {
        Self {
            kind: Some(kind),
            id: None,
        }
    }

    fn one(kind: CephServiceKind, id: impl fmt::Display) -> Self {
        Self {
            kind: Some(kind),
            id: Some(id.to_string()),
        }
    }

    /// A monitor by its name.
    pub fn monitor(id: &str) -> Self {
        Self::one(CephServiceKind::Monitor, id)
    }

    /// A manager by its name.
    pub fn manager(id: &str) -> Self {
        Self::one(CephServiceKind::Manager, id)
    }

    /// A metadata server by its name.
    pub fn metadata_server(name: &str) -> Self {
        Self::one(CephServiceKind::MetadataServer, name)
    }

    /// What serves the disk of this number.
    pub fn osd(id: u32) -> Self {
        Self::one(CephServiceKind::Osd, id)
    }

    /// Its kind; none stands for all kinds.
    pub fn kind(&self) -> Option<CephServiceKind> {
        self.kind.clone()
    }

    /// Its name or number; none stands for all.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

/// As the interface spells it: `ceph`, `mon`, `osd.3`.
impl fmt::Display for CephService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, &self.id) {
            (None, _) => f.write_str("ceph"),
            (Some(kind), None) => write!(f, "{kind}"),
            (Some(kind), Some(id)) => write!(f, "{kind}.{id}"),
        }
    }
}

record! {
    /// A monitor: `GET /nodes/{node}/ceph/mon`.
    pub struct CephMonitor {
        required {
            /// Name, mostly that of its node.
            "name" name: String,
        }
        optional {
            /// Node that it runs on.
            "host" host: String,
            /// Its address, such as `192.0.2.11:6789/0`.
            "addr" address: String,
            /// Whether it takes part in the quorum.
            "quorum" quorum: bool,
            /// Its rank among the monitors.
            "rank" rank: u32,
            /// `running`, `stopped` or `unknown`.
            "state" state: String,
            /// Whether its service is enabled on the node.
            "service" enabled: bool,
            /// Whether its folder is there.
            "direxists" folder: bool,
            /// Version that runs, such as `19.2.3`.
            "ceph_version_short" version: String,
            /// Version that runs, with its build.
            "ceph_version" full_version: String,
        }
    }
}

record! {
    /// A manager: `GET /nodes/{node}/ceph/mgr`.
    pub struct CephManager {
        required {
            /// Name, mostly that of its node.
            "name" name: String,
        }
        optional {
            /// Node that it runs on.
            "host" host: String,
            /// Its address.
            "addr" address: String,
            /// `active`, `standby`, `stopped` or `unknown`.
            "state" state: String,
            /// Whether its service is enabled on the node.
            "service" enabled: bool,
            /// Whether its folder is there.
            "direxists" folder: bool,
            /// Version that runs, such as `19.2.3`.
            "ceph_version_short" version: String,
            /// Version that runs, with its build.
            "ceph_version" full_version: String,
        }
    }
}

record! {
    /// A metadata server: `GET /nodes/{node}/ceph/mds`.
    pub struct CephMetadataServer {
        required {
            /// Name, mostly that of its node.
            "name" name: String,
        }
        optional {
            /// Node that it runs on.
            "host" host: String,
            /// Its address.
            "addr" address: String,
            /// `up:active`, `up:standby`, `stopped`, `unknown`, …
            "state" state: String,
            /// File system that it serves.
            "fs_name" filesystem: String,
            /// Its rank in the file system; -1 if it stands by.
            "rank" rank: i64,
            /// Whether it follows an active one while it stands by.
            "standby_replay" follows: bool,
            /// Whether its service is enabled on the node.
            "service" enabled: bool,
            /// Whether its folder is there.
            "direxists" folder: bool,
            /// Version that runs, such as `19.2.3`.
            "ceph_version_short" version: String,
            /// Version that runs, with its build.
            "ceph_version" full_version: String,
        }
    }
}

/// How services are restarted one after the other. Server 9.2 and later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CephRestart {
    outdated: bool,
    force: bool,
    timeout: Option<u32>,
    dry_run: bool,
}

impl CephRestart {
    /// All of them, each only if Ceph says that it is safe and the cluster is healthy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those that run another version than is installed. Only for disks.
    #[must_use]
    pub fn only_outdated(mut self) -> Self {
        self.outdated = true;
        self
    }

    /// Goes on although the cluster warns of degraded data, slow requests or missing monitors.
    #[must_use]
    pub fn with_force(mut self) -> Self {
        self.force = true;
        self
    }

    /// How many seconds each may take to come up again, default 600.
    #[must_use]
    pub fn with_timeout(mut self, seconds: u32) -> Self {
        self.timeout = Some(seconds);
        self
    }

    /// Only says in the log what would be restarted, in which order.
    #[must_use]
    pub fn with_dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    fn push_to(&self, request: &mut Request) {
        let params = request.params_mut();
        let flags = [
            ("only-outdated", self.outdated),
            ("force", self.force),
            ("dry-run", self.dry_run),
        ];
        for (name, on) in flags {
            if on {
                params.push_flag(name, true);
            }
        }
        if let Some(seconds) = self.timeout {
            params.push("timeout", seconds.to_string());
        }
    }
}

impl Ceph {
    /// Restarts all services of a kind in the cluster, one after the other. Server 9.2 and later.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// use proxmox_client::ceph::{CephRestart, CephServiceKind};
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let how = CephRestart::new().with_timeout(300);
    /// match client.ceph().restart_all(&CephServiceKind::Monitor, &how).await {
    ///     Ok(()) => println!("all of them run again"),
    ///     Err(error) => assert_eq!(error.kind(), Kind::NotImplemented), // a 9.1 server
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn restart_all(&self, kind: &CephServiceKind, how: &CephRestart) -> TaskCall<()> {
        let mut request = Request::new(Method::Post, "/cluster/ceph/restart-bulk", &[]);
        request.params_mut().push("service-type", kind.as_str());
        how.push_to(&mut request);
        let doing = format!("restarting every {kind} of Ceph");
        TaskCall::new(self.client.clone(), doing, Ok(request), |report| {
            report.check().map(|_| ())
        })
    }
}

impl NodeCeph {
    /// The monitors of the cluster.
    ///
    /// Example: see [`create_monitor`](Self::create_monitor).
    pub async fn monitors(&self) -> Result<Vec<CephMonitor>> {
        let request = self.request(Method::Get, "/mon")?;
        self.client().fetch(request).await
    }

    /// Makes a monitor on this node, and with the first one a manager. Its address is the node's in Ceph's network.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Removed;
    /// use proxmox_client::ceph::CephInit;
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// # let second = NodeSpec::new("pve2", 8, 32 << 30).with_address("192.0.2.11");
    /// # let client = Simulator::new(World::lab().with_node(second).with_ceph()).connect();
    /// let ceph = client.node("pve1").ceph();
    /// ceph.init(&CephInit::new()).await?;
    /// ceph.create_monitor("pve1").await?;
    /// assert_eq!(ceph.managers().await?[0].state.as_deref(), Some("active"));
    /// let other = client.node("pve2").ceph();
    /// other.create_monitor("pve2").await?;
    /// assert_eq!(ceph.monitors().await?.len(), 2);
    /// assert_eq!(other.remove_monitor("pve2").await?, Removed::Removed);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if there is one of that name or address,
    /// [`Kind::NotConfigured`] before [`init`](Self::init).
    pub fn create_monitor(&self, id: &str) -> TaskCall<()> {
        self.create_monitor_at(id, &[])
    }

    /// Makes a monitor on this node at these addresses of the node.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::ceph::CephInit;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph()).connect();
    /// # let ceph = client.node("pve1").ceph();
    /// # ceph.init(&CephInit::new()).await?;
    /// ceph.create_monitor_at("a", &["192.0.2.10"]).await?;
    /// assert_eq!(ceph.monitors().await?[0].name, "a");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As of [`create_monitor`](Self::create_monitor), and if an address is not the node's.
    pub fn create_monitor_at(&self, id: &str, addresses: &[&str]) -> TaskCall<()> {
        let request = self.named(Method::Post, "/mon/{monid}", id);
        let request = request.map(|request| match addresses.is_empty() {
            true => request,
            false => request.with("mon-address", addresses.join(",")),
        });
        self.task(format!("making Ceph monitor {id}"), request)
    }

    /// Removes a monitor from this node. Its manager stays.
    ///
    /// Example: see [`create_monitor`](Self::create_monitor).
    ///
    /// # Errors
    /// [`Kind::InUse`] for the last one.
    pub fn remove_monitor(&self, id: &str) -> TaskCall<Removed> {
        let request = self.named(Method::Delete, "/mon/{monid}", id);
        self.removal(format!("removing Ceph monitor {id}"), request)
    }

    /// The managers of the cluster.
    ///
    /// Example: see [`create_monitor`](Self::create_monitor).
    pub async fn managers(&self) -> Result<Vec<CephManager>> {
        let request = self.request(Method::Get, "/mgr")?;
        self.client().fetch(request).await
    }

    /// Makes a manager on this node.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Removed;
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// # let world = World::lab().with_ceph_cluster();
    /// # let second = NodeSpec::new("pve2", 8, 32 << 30).with_address("192.0.2.11");
    /// # let client = Simulator::new(world.with_node(second).with_ceph()).connect();
    /// let ceph = client.node("pve2").ceph();
    /// ceph.create_manager("pve2").await?;
    /// assert!(ceph.managers().await?.iter().any(|one| one.state.as_deref() == Some("standby")));
    /// assert_eq!(ceph.remove_manager("pve2").await?, Removed::Removed);
    /// assert_eq!(ceph.remove_manager("pve2").await?, Removed::Absent);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if the node has one of that name.
    pub fn create_manager(&self, id: &str) -> TaskCall<()> {
        let request = self.named(Method::Post, "/mgr/{id}", id);
        self.task(format!("making Ceph manager {id}"), request)
    }

    /// Removes a manager from this node.
    ///
    /// Example: see [`create_manager`](Self::create_manager).
    pub fn remove_manager(&self, id: &str) -> TaskCall<Removed> {
        let request = self.named(Method::Delete, "/mgr/{id}", id);
        self.removal(format!("removing Ceph manager {id}"), request)
    }

    /// The metadata servers of the cluster.
    ///
    /// Example: see [`create_metadata_server`](Self::create_metadata_server).
    pub async fn metadata_servers(&self) -> Result<Vec<CephMetadataServer>> {
        let request = self.request(Method::Get, "/mds")?;
        self.client().fetch(request).await
    }

    /// Makes a metadata server on this node. Its name does not begin with a digit.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let ceph = client.node("pve1").ceph();
    /// ceph.create_metadata_server("pve1").await?;
    /// assert_eq!(ceph.metadata_servers().await?[0].state.as_deref(), Some("up:standby"));
    /// ceph.remove_metadata_server("pve1").await?;
    /// assert!(ceph.metadata_servers().await?.is_empty());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if there is one of that name.
    pub fn create_metadata_server(&self, name: &str) -> TaskCall<()> {
        let request = self.named(Method::Post, "/mds/{name}", name);
        self.task(format!("making Ceph metadata server {name}"), request)
    }

    /// Removes a metadata server from this node. One that is not there is no failure to the server.
    ///
    /// Example: see [`create_metadata_server`](Self::create_metadata_server).
    pub fn remove_metadata_server(&self, name: &str) -> TaskCall<()> {
        let request = self.named(Method::Delete, "/mds/{name}", name);
        self.task(format!("removing Ceph metadata server {name}"), request)
    }

    /// Starts services of this node. Those that run already are left alone.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::ceph::CephService;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let ceph = client.node("pve1").ceph();
    /// let manager = CephService::manager("pve1");
    /// ceph.stop(&manager).await?;
    /// assert_eq!(ceph.managers().await?[0].state.as_deref(), Some("stopped"));
    /// ceph.start(&manager).await?;
    /// ceph.restart(&CephService::all()).await?;
    /// assert_eq!(ceph.managers().await?[0].state.as_deref(), Some("active"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn start(&self, service: &CephService) -> TaskCall<()> {
        self.command("start", service)
    }

    /// Stops services of this node, safe or not; [`stop_if_safe`](Self::stop_if_safe) asks first.
    ///
    /// Example: see [`start`](Self::start).
    pub fn stop(&self, service: &CephService) -> TaskCall<()> {
        self.command("stop", service)
    }

    /// Restarts services of this node.
    ///
    /// Example: see [`start`](Self::start).
    pub fn restart(&self, service: &CephService) -> TaskCall<()> {
        self.command("restart", service)
    }

    fn command(&self, command: &str, service: &CephService) -> TaskCall<()> {
        let request = self.request(Method::Post, &format!("/{command}"));
        let request = request.map(|request| match service.kind() {
            None => request,
            Some(_) => request.with("service", service.to_string()),
        });
        let doing = format!("{command} of {service} on {}", self.node.name());
        self.task(doing, request)
    }

    /// Restarts the disks' services of this node one after the other. Server 9.2 and later.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// use proxmox_client::ceph::CephRestart;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// match client.node("pve1").ceph().restart_osds(&CephRestart::new().only_outdated()).await {
    ///     Ok(()) => println!("all of them run the version that is installed"),
    ///     Err(error) => assert_eq!(error.kind(), Kind::NotImplemented), // a 9.1 server
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn restart_osds(&self, how: &CephRestart) -> TaskCall<()> {
        let request = self.request(Method::Post, "/restart-bulk");
        let request = request.map(|mut request| {
            request.params_mut().push("service-type", "osd");
            how.push_to(&mut request);
            request
        });
        let doing = format!("restarting disks of Ceph on {}", self.node.name());
        self.task(doing, request)
    }

    /// A removal; what is not there is no failure.
    pub(super) fn removal(
        &self,
        doing: impl Into<String>,
        request: Result<Request>,
    ) -> TaskCall<Removed> {
        let absent = |error: crate::error::Error| match error.kind() {
            Kind::NotFound => Ok(Removed::Absent),
            _ => Err(error),
        };
        let finish = move |report: crate::task::TaskReport| match report.check() {
            Ok(_) => Ok(Removed::Removed),
            Err(error) => absent(error),
        };
        TaskCall::new(self.client().clone(), doing, request, finish).or_refused(absent)
    }
}
