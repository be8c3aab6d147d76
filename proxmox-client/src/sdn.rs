//! Software-defined networks: zones, vnets, subnets, controllers, IPAMs, DNS plug-ins, and how changes take effect.
//!
//! Every change waits until it is applied for the whole cluster. [`Sdn::pending`] says what waits, [`Sdn::apply`] puts it
//! into effect on all nodes, [`Sdn::rollback`] drops it.
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::sdn::{SubnetSettings, VnetSettings, ZoneSettings};
//! # let client = proxmox_client::simulator::Simulator::new(proxmox_client::simulator::World::lab()).connect();
//! let sdn = client.sdn();
//! sdn.zone("lab").ensure(&ZoneSettings::simple().with_ipam("pve")).await?;
//! let vnet = sdn.vnet("lab0");
//! vnet.ensure(&VnetSettings::in_zone("lab")).await?;
//! let subnet = SubnetSettings::new().with_gateway("198.51.100.1").with_snat(true);
//! vnet.subnet("198.51.100.0/24").ensure(&subnet).await?;
//! assert_eq!(sdn.pending().await?.len(), 3);
//! sdn.apply().await?;
//! assert!(sdn.pending().await?.is_empty());
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```

mod address;
mod controller;
mod fabric;
mod plugin;
mod vnet;
mod zone;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::client::Client;
use crate::error::{Error, Kind, Result};
use crate::named::{all, list};
use crate::node::Node;
use crate::open::open_enum;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::{Method, Request};

pub use controller::{Controller, ControllerInfo, ControllerKind, ControllerSettings};
pub use fabric::{
    Fabric, FabricInfo, FabricInterface, FabricNode, FabricNodeInfo, FabricNodeSettings,
    FabricProtocol, FabricSettings,
};
pub use plugin::{Dns, DnsInfo, DnsSettings, Ipam, IpamAddress, IpamInfo, IpamKind, IpamSettings};
pub use vnet::{Subnet, SubnetInfo, SubnetSettings, Vnet, VnetInfo, VnetSettings};
pub use zone::{Zone, ZoneInfo, ZoneKind, ZoneSettings};

open_enum! {
    /// What waits to happen to an object.
    pub enum ChangeState {
        /// It will be made.
        New = "new",
        /// Some of its settings will change.
        Changed = "changed",
        /// It will be removed.
        Deleted = "deleted",
    }
}

/// What an object is a configuration of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SdnNoun {
    /// A zone.
    Zone,
    /// A vnet.
    Vnet,
    /// A subnet.
    Subnet,
    /// A controller.
    Controller,
    /// A fabric.
    Fabric,
    /// A node of a fabric; its name is that of the fabric, a slash, and the node.
    FabricNode,
}

/// A change that waits to be applied.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PendingChange {
    /// Of what.
    pub noun: SdnNoun,
    /// Its name.
    pub id: String,
    /// What will happen to it.
    pub state: ChangeState,
    /// The settings that will change, with their new values; `deleted` stands for one that will be dropped.
    pub values: Map<String, Value>,
}

record! {
    /// `GET /cluster/sdn/dry-run`: what applying would change on a node, as unified diffs.
    pub struct DryRun {
        optional {
            /// Of the routing daemon's configuration; none if nothing changes.
            "frr-diff" frr: String,
            /// Of the node's generated interfaces; none if nothing changes.
            "interfaces-diff" interfaces: String,
        }
    }
}

open_enum! {
    /// How a zone is on a node.
    pub enum ZoneStatus {
        /// In effect.
        Available = "available",
        /// Not yet in effect.
        Pending = "pending",
        /// It failed there.
        Error = "error",
    }
}

record! {
    /// An entry of `GET /nodes/{node}/sdn/zones`.
    pub struct NodeZone {
        required {
            /// Name.
            "zone" zone: String,
            /// How it is there.
            "status" status: ZoneStatus,
        }
        optional {}
    }
}

/// Whether pending changes were put into effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Applied {
    /// They were.
    Applied,
    /// There were none; nothing was sent.
    Unchanged,
}

/// The cluster's software-defined networks.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::sdn::{Applied, SubnetSettings, VnetSettings, ZoneSettings, ZoneStatus};
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// let sdn = client.sdn();
/// sdn.zone("lab").ensure(&ZoneSettings::simple()).await?;
/// let vnet = sdn.vnet("lab0");
/// vnet.ensure(&VnetSettings::in_zone("lab")).await?;
/// vnet.subnet("198.51.100.0/24").ensure(&SubnetSettings::new()).await?;
/// assert_eq!((sdn.zones().await?.len(), sdn.vnets().await?.len()), (1, 1));
/// assert_eq!(vnet.subnets().await?[0].network.as_deref(), Some("198.51.100.0/24"));
/// assert_eq!(sdn.pending().await?.len(), 3);
/// assert_eq!(sdn.apply_pending().await?, Applied::Applied);
/// while client.node("pve1").sdn_zones().await?[0].status != ZoneStatus::Available {
///     tokio::time::sleep(std::time::Duration::from_secs(1)).await;
/// }
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Sdn {
    client: Client,
    token: Option<SecretString>,
}

/// The lock of the whole configuration: while it is held, only writes that show its token pass.
#[derive(Debug, Clone)]
pub struct SdnLock(SecretString);

impl SdnLock {
    /// A lock that was taken elsewhere, by its token.
    pub fn from_token(token: impl Into<SecretString>) -> Self {
        Self(token.into())
    }

    /// Its token.
    pub fn token(&self) -> &SecretString {
        &self.0
    }
}

impl Client {
    /// Software-defined networks.
    pub fn sdn(&self) -> Sdn {
        Sdn {
            client: self.clone(),
            token: None,
        }
    }
}

impl Node {
    /// The zones that this node has, and how they are there.
    ///
    /// Example: see [`Sdn`].
    pub async fn sdn_zones(&self) -> Result<Vec<NodeZone>> {
        let request = self.request(Method::Get, "/sdn/zones")?;
        self.client().fetch(request).await
    }
}

impl Sdn {
    /// The same, with a lock's token in every write.
    #[must_use]
    pub fn under(&self, lock: &SdnLock) -> Self {
        Self {
            client: self.client.clone(),
            token: Some(lock.0.clone()),
        }
    }

    fn write(&self, method: Method, path: &str) -> Request {
        let mut request = Request::new(method, path, &[]);
        if let Some(token) = &self.token {
            request
                .params_mut()
                .push("lock-token", token.expose_secret());
        }
        request
    }

    async fn send(&self, request: Request, doing: &str) -> Result<()> {
        let done = self.client.request(request).await;
        done.map(|_| ()).map_err(|error| error.doing(doing))
    }

    /// All zones, as they are configured.
    ///
    /// Example: see [`Sdn`].
    pub async fn zones(&self) -> Result<Vec<ZoneInfo>> {
        all::<zone::ZoneNoun>(&self.client, list::<zone::ZoneNoun>(&[])).await
    }

    /// A zone by its name: letters and digits, 8 at most.
    pub fn zone(&self, id: impl Into<String>) -> Zone {
        Zone::new(&self.client, &[], id).under(self.token.clone())
    }

    /// All vnets, as they are configured.
    ///
    /// Example: see [`Sdn`].
    pub async fn vnets(&self) -> Result<Vec<VnetInfo>> {
        all::<vnet::VnetNoun>(&self.client, list::<vnet::VnetNoun>(&[])).await
    }

    /// A vnet by its name: letters and digits, 8 at most. Guests use it like a bridge.
    pub fn vnet(&self, id: impl Into<String>) -> Vnet {
        Vnet::new(&self.client, &[], id).under(self.token.clone())
    }

    /// All controllers, as they are configured.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::sdn::ControllerSettings;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let sdn = client.sdn();
    /// sdn.controller("fabric").ensure(&ControllerSettings::evpn(65_000, ["192.0.2.1"])).await?;
    /// assert_eq!(sdn.controllers().await?[0].asn, Some(65_000));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn controllers(&self) -> Result<Vec<ControllerInfo>> {
        let request = list::<controller::ControllerNoun>(&[]);
        all::<controller::ControllerNoun>(&self.client, request).await
    }

    /// A controller by its name.
    pub fn controller(&self, id: impl Into<String>) -> Controller {
        Controller::new(&self.client, &[], id).under(self.token.clone())
    }

    /// All fabrics, as they are configured.
    ///
    /// Example: see [`fabric`](Self::fabric).
    pub async fn fabrics(&self) -> Result<Vec<FabricInfo>> {
        all::<fabric::FabricNoun>(&self.client, list::<fabric::FabricNoun>(&[])).await
    }

    /// A fabric by its name: letters and digits, 8 at most. Since 9.0.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::sdn::{FabricInterface, FabricNodeSettings, FabricSettings};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let sdn = client.sdn();
    /// let fabric = sdn.fabric("mesh");
    /// fabric.ensure(&FabricSettings::openfabric("198.51.100.0/24")).await?;
    /// let node = FabricNodeSettings::openfabric("198.51.100.1")
    ///     .with_interfaces([FabricInterface::new("eno1"), FabricInterface::new("eno2")]);
    /// fabric.node("pve1").ensure(&node).await?;
    /// assert_eq!(sdn.fabrics().await?.len(), 1);
    /// assert_eq!(fabric.nodes().await?[0].address.as_deref(), Some("198.51.100.1"));
    /// sdn.apply().await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn fabric(&self, id: impl Into<String>) -> Fabric {
        Fabric::new(&self.client, &[], id).under(self.token.clone())
    }

    /// All IPAM plug-ins.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::sdn::IpamKind;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// assert_eq!(client.sdn().ipams().await?[0].kind, IpamKind::Pve);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn ipams(&self) -> Result<Vec<IpamInfo>> {
        all::<plugin::IpamNoun>(&self.client, list::<plugin::IpamNoun>(&[])).await
    }

    /// An IPAM plug-in by its name; `pve` is built in.
    pub fn ipam(&self, id: impl Into<String>) -> Ipam {
        Ipam::new(&self.client, &[], id).under(self.token.clone())
    }

    /// All DNS plug-ins.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// assert!(client.sdn().dns_plugins().await?.is_empty());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn dns_plugins(&self) -> Result<Vec<DnsInfo>> {
        all::<plugin::DnsNoun>(&self.client, list::<plugin::DnsNoun>(&[])).await
    }

    /// A DNS plug-in by its name.
    pub fn dns(&self, id: impl Into<String>) -> Dns {
        Dns::new(&self.client, &[], id).under(self.token.clone())
    }

    /// What waits to be applied: controllers, zones, vnets and their subnets, fabrics and their nodes. Subnets of a vnet that is itself being
    /// removed are not told apart from it.
    ///
    /// Example: see [`Sdn`].
    pub async fn pending(&self) -> Result<Vec<PendingChange>> {
        let mut out = Vec::new();
        let paths = [
            (SdnNoun::Controller, list::<controller::ControllerNoun>(&[])),
            (SdnNoun::Zone, list::<zone::ZoneNoun>(&[])),
            (SdnNoun::Vnet, list::<vnet::VnetNoun>(&[])),
        ];
        let mut vnets = Vec::new();
        for (noun, request) in paths {
            let entries = self.read_pending(request).await?;
            if noun == SdnNoun::Vnet {
                let stays =
                    |entry: &&Map<String, Value>| entry.get("state") != Some(&"deleted".into());
                let names = entries.iter().filter(stays);
                vnets.extend(
                    names.filter_map(|entry| Some(entry.get("vnet")?.as_str()?.to_owned())),
                );
            }
            out.extend(entries.iter().filter_map(|entry| change_of(noun, entry)));
        }
        for vnet in vnets {
            let request = list::<vnet::SubnetNoun>(&[&vnet]);
            let entries = self.read_pending(request).await?;
            out.extend(
                entries
                    .iter()
                    .filter_map(|entry| change_of(SdnNoun::Subnet, entry)),
            );
        }
        let request = Request::new(Method::Get, "/cluster/sdn/fabrics/all", &[]);
        match self.client.fetch(request.with_flag("pending", true)).await {
            Ok(AllFabrics { fabrics, nodes }) => {
                let fabrics = fabrics.iter();
                out.extend(fabrics.filter_map(|entry| change_of(SdnNoun::Fabric, entry)));
                let nodes = nodes.iter();
                out.extend(nodes.filter_map(|entry| change_of(SdnNoun::FabricNode, entry)));
            }
            // Servers before 9.0 have none.
            Err(error) if error.kind() == Kind::NotImplemented => {}
            Err(error) => return Err(error.doing("reading pending changes of fabrics")),
        }
        Ok(out)
    }

    async fn read_pending(&self, request: Request) -> Result<Vec<Map<String, Value>>> {
        let found = self.client.fetch(request.with_flag("pending", true)).await;
        found.map_err(|error: Error| {
            error.doing("reading pending changes of software-defined networks")
        })
    }

    /// Puts what waits into effect on all nodes. A lock that this handle is under is given back with it.
    ///
    /// The task ends when every node was asked to reload; nodes reload in tasks of their own
    /// ([`Node::sdn_zones`] tells how a zone is on a node).
    ///
    /// Example: see [the module](crate::sdn).
    pub fn apply(&self) -> TaskCall<()> {
        TaskCall::new(
            self.client.clone(),
            "applying software-defined networks",
            Ok(self.write(Method::Put, "/cluster/sdn")),
            |report| report.check().map(|_| ()),
        )
    }

    /// Puts what waits into effect, if anything does.
    ///
    /// Example: see [`Sdn`].
    pub async fn apply_pending(&self) -> Result<Applied> {
        if self.pending().await?.is_empty() {
            return Ok(Applied::Unchanged);
        }
        self.apply().await?;
        Ok(Applied::Applied)
    }

    /// Drops everything that waits. A lock that this handle is under is given back with it. Since 9.0.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::sdn::ZoneSettings;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let sdn = client.sdn();
    /// sdn.zone("lab").ensure(&ZoneSettings::simple()).await?;
    /// sdn.rollback().await?;
    /// assert!(sdn.zones().await?.is_empty());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn rollback(&self) -> Result<()> {
        let request = self.write(Method::Post, "/cluster/sdn/rollback");
        self.send(
            request,
            "dropping pending changes of software-defined networks",
        )
        .await
    }

    /// Takes the lock of the whole configuration, so that nobody else changes it until it is applied, rolled back or
    /// unlocked. `allow_pending` takes it even if changes wait already. Since 9.0.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// use proxmox_client::sdn::ZoneSettings;
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let sdn = client.sdn();
    /// let lock = sdn.lock(false).await?;
    /// let others = sdn.zone("lab").ensure(&ZoneSettings::simple()).await;
    /// assert_eq!(others.unwrap_err().kind(), Kind::Locked);
    /// sdn.under(&lock).zone("lab").ensure(&ZoneSettings::simple()).await?;
    /// sdn.unlock(&lock).await?;
    /// let _lost = sdn.lock(true).await?;
    /// sdn.break_lock().await?;
    /// assert!(sdn.lock(true).await.is_ok());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Locked`] if someone holds it, [`Kind::InUse`] if changes wait.
    pub async fn lock(&self, allow_pending: bool) -> Result<SdnLock> {
        let request = Request::new(Method::Post, "/cluster/sdn/lock", &[])
            .with_flag("allow-pending", allow_pending);
        let token: Result<String> = self.client.fetch(request).await;
        token
            .map(|token| SdnLock(token.into()))
            .map_err(|error| error.doing("locking software-defined networks"))
    }

    /// Gives a lock back without applying anything.
    ///
    /// Example: see [`lock`](Self::lock).
    pub async fn unlock(&self, lock: &SdnLock) -> Result<()> {
        let request = self.under(lock).write(Method::Delete, "/cluster/sdn/lock");
        self.send(request, "unlocking software-defined networks")
            .await
    }

    /// Breaks whoever's lock. What its holder still sends is refused.
    ///
    /// Example: see [`lock`](Self::lock).
    pub async fn break_lock(&self) -> Result<()> {
        let request =
            Request::new(Method::Delete, "/cluster/sdn/lock", &[]).with_flag("force", true);
        self.send(request, "breaking the lock of software-defined networks")
            .await
    }

    /// What applying would change on a node. Since 9.1.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::Client::builder().endpoint("192.0.2.10").build()?;
    /// let change = client.sdn().dry_run("pve1").await?;
    /// println!("{}", change.interfaces.unwrap_or_default());
    /// # Ok(()) }
    /// ```
    pub async fn dry_run(&self, node: &str) -> Result<DryRun> {
        crate::node::check_name(node)?;
        let request = Request::new(Method::Get, "/cluster/sdn/dry-run", &[]).with("node", node);
        let found = self.client.fetch(request).await;
        found.map_err(|error| error.doing(format!("trying software-defined networks on {node}")))
    }
}

/// The answer of `GET /cluster/sdn/fabrics/all`.
#[derive(serde::Deserialize)]
struct AllFabrics {
    fabrics: Vec<Map<String, Value>>,
    nodes: Vec<Map<String, Value>>,
}

fn change_of(noun: SdnNoun, entry: &Map<String, Value>) -> Option<PendingChange> {
    let state = ChangeState::from(entry.get("state")?.as_str()?);
    // A new fabric has its name among what waits.
    let text = |key: &str| {
        let waiting = || entry.get("pending")?.get(key);
        entry.get(key).or_else(waiting)?.as_str()
    };
    let id = match noun {
        SdnNoun::Zone => text("zone")?.to_owned(),
        SdnNoun::Vnet => text("vnet")?.to_owned(),
        SdnNoun::Subnet => text("subnet")?.to_owned(),
        SdnNoun::Controller => text("controller")?.to_owned(),
        SdnNoun::Fabric => text("id")?.to_owned(),
        SdnNoun::FabricNode => format!("{}/{}", text("fabric_id")?, text("node_id")?),
    };
    let values = match entry.get("pending") {
        Some(Value::Object(values)) => values.clone(),
        _ => Map::new(),
    };
    Some(PendingChange {
        noun,
        id,
        state,
        values,
    })
}
