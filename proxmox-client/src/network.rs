//! Networks of a node: interfaces, which wait until they are applied, and names and time of the node.
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::network::InterfaceSettings;
//! # let client = proxmox_client::simulator::Simulator::new(proxmox_client::simulator::World::lab()).connect();
//! let node = client.node("pve1");
//! let bridge = InterfaceSettings::bridge([""; 0])
//!     .with_address("198.51.100.1/24")
//!     .with_autostart(true);
//! node.interface("vmbr7").ensure(&bridge).await?;
//! let diff = node.pending_network().await?.unwrap_or_default();
//! assert!(diff.contains("+iface vmbr7 inet static"));
//! node.apply_network().await?;
//! assert_eq!(node.pending_network().await?, None);
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```

use serde_json::Value;

use crate::access::Ensured;
#[cfg(doc)]
use crate::error::Kind;
use crate::error::{Error, Result};
use crate::named::{About, Named, Noun, about};
use crate::node::{NetworkInterface, Node};
use crate::open::open_enum;
use crate::scalar::record;
use crate::sdn::Applied;
use crate::setting::{Settings, Wanted, settings};
use crate::task::TaskCall;
use crate::wire::Method;

open_enum! {
    /// What an interface is.
    pub enum InterfaceKind {
        /// A network card.
        Ethernet = "eth",
        /// A bridge, which guests are plugged into.
        Bridge = "bridge",
        /// Several cards as one.
        Bond = "bond",
        /// A VLAN of another interface.
        Vlan = "vlan",
        /// A further address of another interface.
        Alias = "alias",
        /// A bridge of Open vSwitch.
        OvsBridge = "OVSBridge",
        /// A bond of Open vSwitch.
        OvsBond = "OVSBond",
        /// A card in a bridge of Open vSwitch.
        OvsPort = "OVSPort",
        /// A port of the node itself in a bridge of Open vSwitch.
        OvsInternalPort = "OVSIntPort",
    }
}

open_enum! {
    /// How a bond uses its cards.
    pub enum BondMode {
        /// In turn.
        RoundRobin = "balance-rr",
        /// One, and another if it fails.
        ActiveBackup = "active-backup",
        /// By a hash of the addresses.
        Xor = "balance-xor",
        /// All at once.
        Broadcast = "broadcast",
        /// LACP; the switch must take part.
        Lacp = "802.3ad",
        /// By load, outgoing only.
        TransmitLoad = "balance-tlb",
        /// By load.
        AdaptiveLoad = "balance-alb",
    }
}

settings! {
    /// Settings of an interface. A new one needs a kind, which the functions that make settings give.
    pub struct InterfaceSettings {
        /// IPv4 address with prefix.
        with_address "cidr" text,
        /// IPv6 address with prefix.
        with_address6 "cidr6" text,
        /// Default gateway; a node has one at most.
        with_gateway "gateway" text,
        /// Default IPv6 gateway.
        with_gateway6 "gateway6" text,
        /// Largest packet in bytes, 1280 to 65520.
        with_mtu "mtu" number,
        /// Whether it comes up with the node.
        with_autostart "autostart" flag,
        /// Comment.
        with_comment "comments" text,
        /// Ports of a bridge.
        with_bridge_ports "bridge_ports" words,
        /// VLANs that a VLAN-aware bridge passes, such as `2-4094`.
        with_vlan_ids "bridge_vids" words,
        /// Cards of a bond.
        with_slaves "slaves" words,
        /// The card that an `active-backup` bond prefers.
        with_bond_primary "bond-primary" text,
        /// What `balance-xor` and `802.3ad` bonds hash: `layer2`, `layer2+3` or `layer3+4`.
        with_hash_policy "bond_xmit_hash_policy" text,
        /// VLAN of an interface whose name does not tell it.
        with_vlan_id "vlan-id" number,
        /// The interface that a VLAN is of, where the name does not tell it.
        with_raw_device "vlan-raw-device" text,
        /// Ports of an Open vSwitch bridge.
        with_ovs_ports "ovs_ports" words,
        /// Cards of an Open vSwitch bond.
        with_ovs_bonds "ovs_bonds" words,
        /// The bridge of an Open vSwitch port.
        with_ovs_bridge "ovs_bridge" text,
        /// VLAN tag of an Open vSwitch port.
        with_ovs_tag "ovs_tag" number,
        /// Further options of Open vSwitch.
        with_ovs_options "ovs_options" text,
    }
}

impl InterfaceSettings {
    /// Of any kind.
    pub fn of_kind(kind: &InterfaceKind) -> Self {
        Self(Settings::of_kind(kind.as_str()))
    }

    /// A bridge with these ports.
    pub fn bridge<S: Into<String>>(ports: impl IntoIterator<Item = S>) -> Self {
        Self::of_kind(&InterfaceKind::Bridge).with_bridge_ports(ports)
    }

    /// A bond of these cards.
    pub fn bond<S: Into<String>>(mode: &BondMode, cards: impl IntoIterator<Item = S>) -> Self {
        let mut bond = Self::of_kind(&InterfaceKind::Bond).with_slaves(cards);
        bond.0.set("bond_mode", Wanted::text(mode.as_str()));
        bond
    }

    /// A VLAN, for a name that tells which: `eno1.20`.
    pub fn vlan() -> Self {
        Self::of_kind(&InterfaceKind::Vlan)
    }

    /// A network card.
    pub fn ethernet() -> Self {
        Self::of_kind(&InterfaceKind::Ethernet)
    }

    /// Whether a bridge passes VLANs to guests.
    #[must_use]
    pub fn with_vlan_aware(mut self, on: bool) -> Self {
        // The server takes any value for yes.
        let wanted = match on {
            true => Wanted::Flag {
                on,
                otherwise: false,
            },
            false => Wanted::Absent,
        };
        self.0.set("bridge_vlan_aware", wanted);
        self
    }
}

/// The noun of [`Interface`].
#[derive(Debug)]
#[non_exhaustive]
pub struct InterfaceNoun;

impl about::Sealed for InterfaceNoun {
    const ABOUT: About = About {
        has_kinds: true,
        kind_again: true,
        // Without its address an interface would be taken for one that has none.
        always: &["cidr", "cidr6"],
        ..About::new("interface", "/nodes/{node}/network", "iface")
    };
}

impl Noun for InterfaceNoun {
    type Info = NetworkInterface;
    type Settings = InterfaceSettings;
}

/// An interface of a node, as it is configured; changes wait until they are applied.
///
/// Example: see [`Node::apply_pending_network`](crate::Node::apply_pending_network).
pub type Interface = Named<InterfaceNoun>;

record! {
    /// `GET /nodes/{node}/dns`.
    pub struct NodeDns {
        optional {
            /// Domain in which names are looked up.
            "search" search: String,
            /// First name server.
            "dns1" first: String,
            /// Second name server.
            "dns2" second: String,
            /// Third name server.
            "dns3" third: String,
        }
    }
}

record! {
    /// `GET /nodes/{node}/hosts`.
    pub struct NodeHosts {
        required {
            /// The file.
            "data" text: String,
        }
        optional {
            /// Its digest.
            "digest" digest: String,
        }
    }
}

record! {
    /// `GET /nodes/{node}/time`.
    pub struct NodeTime {
        required {
            /// Time zone, such as `Europe/Vienna`.
            "timezone" zone: String,
        }
        optional {
            /// Seconds since 1970.
            "time" seconds: u64,
            /// The same with the zone's offset added.
            "localtime" local_seconds: u64,
        }
    }
}

impl Node {
    /// An interface by its name.
    pub fn interface(&self, name: impl Into<String>) -> Interface {
        Interface::new(self.client(), &[self.name()], name)
    }

    /// What waits to be applied, as a diff of the node's file of interfaces; none if nothing does.
    ///
    /// Example: see [`apply_pending_network`](Self::apply_pending_network).
    pub async fn pending_network(&self) -> Result<Option<String>> {
        let request = self.request(Method::Get, "/network")?;
        let envelope = self.client().request(request).await;
        let envelope = envelope
            .map_err(|error| error.doing(format!("reading networks of {}", self.name())))?;
        Ok(match envelope.extra.get("changes") {
            Some(Value::String(diff)) => Some(diff.clone()),
            _ => None,
        })
    }

    /// Puts waiting changes of interfaces into effect, and those of software-defined networks that this node has not
    /// loaded yet.
    ///
    /// Example: see [the module](crate::network).
    ///
    /// # Errors
    /// A task failure if the node cannot bring the interfaces up; it keeps the new configuration all the same.
    pub fn apply_network(&self) -> TaskCall<()> {
        TaskCall::new(
            self.client().clone(),
            format!("applying networks of {}", self.name()),
            self.request(Method::Put, "/network"),
            |report| report.check().map(|_| ()),
        )
    }

    /// Puts waiting changes of interfaces into effect, if there are any.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::network::InterfaceSettings;
    /// use proxmox_client::sdn::Applied;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let bridge = InterfaceSettings::bridge([""; 0]).with_address("198.51.100.1/24");
    /// node.interface("vmbr7").ensure(&bridge).await?;
    /// assert!(node.pending_network().await?.is_some());
    /// assert_eq!(node.apply_pending_network().await?, Applied::Applied);
    /// assert_eq!(node.apply_pending_network().await?, Applied::Unchanged);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn apply_pending_network(&self) -> Result<Applied> {
        if self.pending_network().await?.is_none() {
            return Ok(Applied::Unchanged);
        }
        self.apply_network().await?;
        Ok(Applied::Applied)
    }

    /// Drops waiting changes of interfaces.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::network::InterfaceSettings;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// node.interface("vmbr7").ensure(&InterfaceSettings::bridge([""; 0])).await?;
    /// node.revert_network().await?;
    /// assert_eq!(node.pending_network().await?, None);
    /// assert!(node.interface("vmbr7").get().await?.is_none());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn revert_network(&self) -> Result<()> {
        let request = self.request(Method::Delete, "/network")?;
        let done = self.client().request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(format!("reverting networks of {}", self.name())))
    }

    /// Name servers.
    ///
    /// Example: see [`ensure_dns`](Self::ensure_dns).
    pub async fn dns(&self) -> Result<NodeDns> {
        self.client()
            .fetch(self.request(Method::Get, "/dns")?)
            .await
    }

    /// Makes sure that names are looked up in this domain by exactly these servers, three at most.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Ensured;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// node.ensure_dns("lab.test", &["192.0.2.53"]).await?;
    /// assert_eq!(node.ensure_dns("lab.test", &["192.0.2.53"]).await?, Ensured::Unchanged);
    /// assert_eq!(node.dns().await?.first.as_deref(), Some("192.0.2.53"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for more servers.
    pub async fn ensure_dns(&self, search: &str, servers: &[&str]) -> Result<Ensured> {
        let names = ["dns1", "dns2", "dns3"];
        if servers.len() > names.len() {
            return Err(Error::invalid("a node has three name servers at most"));
        }
        let have = self.dns().await?.to_json();
        let mut wanted = vec![("search", search)];
        wanted.extend(
            names
                .iter()
                .enumerate()
                .map(|(index, name)| (*name, servers.get(index).copied().unwrap_or_default())),
        );
        let is = |name: &str| have[name].as_str().unwrap_or_default();
        let changed: Vec<String> = wanted
            .iter()
            .filter(|(name, value)| is(name) != *value)
            .map(|(name, _)| (*name).to_owned())
            .collect();
        if changed.is_empty() {
            return Ok(Ensured::Unchanged);
        }
        let mut request = self.request(Method::Put, "/dns")?;
        for (name, value) in wanted.into_iter().filter(|(_, value)| !value.is_empty()) {
            request.params_mut().push(name, value);
        }
        let done = self.client().request(request).await;
        done.map_err(|error| error.doing(format!("setting name servers of {}", self.name())))?;
        Ok(Ensured::Updated(changed))
    }

    /// `/etc/hosts`.
    ///
    /// Example: see [`ensure_hosts`](Self::ensure_hosts).
    pub async fn hosts(&self) -> Result<NodeHosts> {
        self.client()
            .fetch(self.request(Method::Get, "/hosts")?)
            .await
    }

    /// Makes sure that `/etc/hosts` has this content. The change is bound to the digest of what was read.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Ensured;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let text = format!("{}192.0.2.20 nas\n", node.hosts().await?.text);
    /// node.ensure_hosts(&text).await?;
    /// assert_eq!(node.ensure_hosts(&text).await?, Ensured::Unchanged);
    /// assert!(node.hosts().await?.text.ends_with("192.0.2.20 nas\n"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Conflict`] if someone changed it meanwhile.
    pub async fn ensure_hosts(&self, text: &str) -> Result<Ensured> {
        let have = self.hosts().await?;
        if have.text.trim_end() == text.trim_end() {
            return Ok(Ensured::Unchanged);
        }
        let mut request = self.request(Method::Post, "/hosts")?.with("data", text);
        if let Some(digest) = &have.digest {
            request = request.with("digest", digest.as_str());
        }
        let done = self.client().request(request).await;
        done.map_err(|error| error.doing(format!("writing hosts of {}", self.name())))?;
        Ok(Ensured::Updated(vec!["data".to_owned()]))
    }

    /// Time and time zone.
    ///
    /// Example: see [`ensure_time_zone`](Self::ensure_time_zone).
    pub async fn time(&self) -> Result<NodeTime> {
        self.client()
            .fetch(self.request(Method::Get, "/time")?)
            .await
    }

    /// Makes sure that the node has this time zone, such as `Europe/Vienna`.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Ensured;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// node.ensure_time_zone("Europe/Vienna").await?;
    /// assert_eq!(node.ensure_time_zone("Europe/Vienna").await?, Ensured::Unchanged);
    /// assert_eq!(node.time().await?.zone, "Europe/Vienna");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn ensure_time_zone(&self, zone: &str) -> Result<Ensured> {
        if self.time().await?.zone == zone {
            return Ok(Ensured::Unchanged);
        }
        let request = self.request(Method::Put, "/time")?.with("timezone", zone);
        let done = self.client().request(request).await;
        done.map_err(|error| error.doing(format!("setting the time zone of {}", self.name())))?;
        Ok(Ensured::Updated(vec!["timezone".to_owned()]))
    }
}
