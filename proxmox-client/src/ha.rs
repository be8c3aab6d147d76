//! High availability: resources, where they may run, and what the manager makes of them.

mod affinity;
mod resource;
mod status;

use serde_json::Value;

use crate::access::Ensured;
use crate::client::Client;
use crate::entry::{Entry, read, remove};
use crate::error::{Kind, Result};
use crate::qemu::Removed;
use crate::wire::{Method, Request};

pub use affinity::{Affinity, AffinityKind, HaModel, NodePriority};
pub use resource::{BlockingResource, HaMotion, HaResource, HaSettings, HaSid, HaState};
pub use status::{HaManagerStatus, HaStatus};

/// High availability of a cluster.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// # use proxmox_client::{QemuConfig, simulator::{Simulator, World}};
/// # let simulator = Simulator::new(World::lab());
/// # let client = simulator.connect();
/// use proxmox_client::{Affinity, Ensured, HaSettings, HaSid, HaState};
/// client.node("pve1").create_qemu(100, QemuConfig::new().with_name("db")).await?;
/// let ha = client.ha();
/// let db = HaSid::vm(100);
/// ha.ensure_resource(&db, &HaSettings::new().with_state(HaState::Started).with_max_restart(2)).await?;
/// let prefer = Affinity::to_nodes("db-home", [("pve1", 2)]).with_resources([db]);
/// assert_eq!(ha.ensure_affinity(&prefer).await?, Ensured::Created);
/// assert_eq!(ha.ensure_affinity(&prefer).await?, Ensured::Unchanged);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Ha(Client);

impl Client {
    /// High availability.
    pub fn ha(&self) -> Ha {
        Ha(self.clone())
    }
}

impl Ha {
    /// All resources.
    ///
    /// Example: see [`ensure_resource`](Self::ensure_resource).
    pub async fn resources(&self) -> Result<Vec<HaResource>> {
        let request = Request::new(Method::Get, "/cluster/ha/resources", &[]);
        self.0.fetch(request).await
    }

    /// A resource; none if the guest is not managed.
    ///
    /// Example: see [`ensure_resource`](Self::ensure_resource).
    pub async fn resource(&self, sid: &HaSid) -> Result<Option<HaResource>> {
        let request = self.of(Method::Get, sid, "");
        read(&self.0, request, &format!("HA resource {sid}")).await
    }

    fn of(&self, method: Method, sid: &HaSid, below: &str) -> Request {
        let template = format!("/cluster/ha/resources/{{sid}}{below}");
        Request::new(method, &template, &[&sid.to_string()])
    }

    fn entry(&self, sid: &HaSid) -> Entry<'_> {
        Entry {
            client: &self.0,
            read: self.of(Method::Get, sid, ""),
            create: Request::new(Method::Post, "/cluster/ha/resources", &[])
                .with("sid", sid.to_string()),
            change: self.of(Method::Put, sid, ""),
            what: format!("HA resource {sid}"),
        }
    }

    /// Puts a guest under the manager's care. Unless the settings say otherwise it will be started.
    ///
    /// Example: see [`migrate`](Self::migrate).
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if it is managed already; [`Kind::NotFound`] if there is no such guest.
    pub async fn add_resource(&self, sid: &HaSid, settings: &HaSettings) -> Result<()> {
        self.entry(sid).create(&settings.0).await.map(|_| ())
    }

    /// Makes sure that a guest is managed with these settings; other settings of one that is are left alone.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Ensured, HaSettings, HaSid, HaState, QemuConfig, Removed};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// # client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
    /// let (ha, db) = (client.ha(), HaSid::vm(100));
    /// let wanted = HaSettings::new().with_state(HaState::Started).with_max_restart(2);
    /// assert_eq!(ha.ensure_resource(&db, &wanted).await?, Ensured::Created);
    /// assert_eq!(ha.ensure_resource(&db, &wanted).await?, Ensured::Unchanged);
    /// assert_eq!(ha.resource(&db).await?.unwrap().max_restart, Some(2));
    /// assert_eq!(ha.resources().await?.len(), 1);
    /// assert_eq!(ha.remove_resource(&db).await?, Removed::Removed);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such guest; [`Kind::Conflict`] if others change the resources all the time.
    pub async fn ensure_resource(&self, sid: &HaSid, settings: &HaSettings) -> Result<Ensured> {
        let (ensured, _) = self.entry(sid).ensure(&settings.0).await?;
        Ok(ensured)
    }

    /// Takes a guest out of the manager's care; it goes on as it is. Servers that know rules take it out of them too.
    ///
    /// Example: see [`ensure_resource`](Self::ensure_resource).
    pub async fn remove_resource(&self, sid: &HaSid) -> Result<Removed> {
        let request = self.of(Method::Delete, sid, "");
        remove(&self.0, request, &format!("HA resource {sid}")).await
    }

    /// Asks the manager to move a resource to a node, a running machine without a stop. The manager does it in one of
    /// its next rounds (about every ten seconds): see [`status`](Self::status).
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// use proxmox_client::{HaSettings, HaSid, QemuConfig};
    /// # let client = Simulator::new(World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30))).connect();
    /// # client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
    /// let (ha, db) = (client.ha(), HaSid::vm(100));
    /// ha.add_resource(&db, &HaSettings::new()).await?;
    /// # tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    /// let motion = ha.migrate(&db, "pve2").await?;
    /// assert!(motion.is_accepted(), "{:?}", motion.blocking);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is not managed.
    pub async fn migrate(&self, sid: &HaSid, node: &str) -> Result<HaMotion> {
        self.motion(sid, node, "migrate").await
    }

    /// Asks the manager to stop a resource, move it to a node and start it there.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// use proxmox_client::{HaSettings, HaSid, QemuConfig};
    /// # let client = Simulator::new(World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30))).connect();
    /// # client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
    /// let (ha, db) = (client.ha(), HaSid::vm(100));
    /// ha.add_resource(&db, &HaSettings::new()).await?;
    /// # tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    /// let motion = ha.relocate(&db, "pve2").await?;
    /// assert_eq!(motion.node.as_deref(), Some("pve2"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate).
    pub async fn relocate(&self, sid: &HaSid, node: &str) -> Result<HaMotion> {
        self.motion(sid, node, "relocate").await
    }

    async fn motion(&self, sid: &HaSid, node: &str, how: &str) -> Result<HaMotion> {
        crate::node::check_name(node)?;
        let request = self
            .of(Method::Post, sid, &format!("/{how}"))
            .with("node", node);
        let doing = || format!("asking to {how} {sid} to {node}");
        let answer: Option<HaMotion> = self
            .0
            .fetch(request)
            .await
            .map_err(|error| error.doing(doing()))?;
        // Servers before 9.1 answer nothing.
        Ok(answer.unwrap_or_else(|| HaMotion::asked(sid, node)))
    }

    /// The manager's view: quorum, master, the nodes' agents, and every resource.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// use proxmox_client::{HaSettings, HaSid, QemuConfig};
    /// # let client = Simulator::new(World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30))).connect();
    /// # client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
    /// let (ha, db) = (client.ha(), HaSid::vm(100));
    /// ha.add_resource(&db, &HaSettings::new()).await?;
    /// let status = ha.status().await?;
    /// let entry = status.iter().find(|entry| entry.sid.as_ref() == Some(&db)).unwrap();
    /// assert_eq!(entry.state.as_deref(), Some("queued"), "until the manager looks");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn status(&self) -> Result<Vec<HaStatus>> {
        let request = Request::new(Method::Get, "/cluster/ha/status/current", &[]);
        self.0.fetch(request).await
    }

    /// The manager's own record, with that of every node's agent.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, World};
    /// use proxmox_client::{HaSettings, HaSid, QemuConfig};
    /// # let client = Simulator::new(World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30))).connect();
    /// # client.node("pve1").create_qemu(100, QemuConfig::new()).await?;
    /// let (ha, db) = (client.ha(), HaSid::vm(100));
    /// ha.add_resource(&db, &HaSettings::new()).await?;
    /// # tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    /// let manager = ha.manager_status().await?;
    /// assert!(manager.is_quorate());
    /// assert_eq!((manager.master(), manager.node_state("pve2")), (Some("pve1"), Some("online")));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn manager_status(&self) -> Result<HaManagerStatus> {
        let request = Request::new(Method::Get, "/cluster/ha/status/manager_status", &[]);
        self.0.fetch(request).await
    }

    /// Which model the server has for where resources may run.
    ///
    /// Version 9 has rules, but keeps groups that were there before the upgrade until every node runs it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::HaModel;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// assert_eq!(client.ha().model().await?, HaModel::Rules);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn model(&self) -> Result<HaModel> {
        let request = Request::new(Method::Get, "/cluster/ha/groups", &[]);
        match self.0.fetch::<Vec<Value>>(request).await {
            Ok(groups) if groups.is_empty() => {
                let version = self.0.version().await?;
                // A server that has no groups and knows rules takes rules only.
                Ok(match version.numbers() {
                    Some((major, _)) if major < 9 => HaModel::Groups,
                    _ => HaModel::Rules,
                })
            }
            Ok(_) => Ok(HaModel::Groups),
            Err(error) if error.kind() == Kind::NotImplemented => Ok(HaModel::Rules),
            Err(error) => Err(error.doing("reading the HA groups")),
        }
    }
}
