//! The smallest set of operations that turns one state into another, explained.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

use crate::config::{Config, Peer, Table};
use crate::device::Device;
use crate::endpoint::{Endpoint, Host};
use crate::key::hash::KeyHash;
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::net::{InterfaceAddress, Network};

/// What the operating system holds besides the device: what `wg syncconf` never touches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkState {
    /// The addresses of the interface.
    pub addresses: Vec<InterfaceAddress>,
    /// Its MTU.
    pub mtu: Option<u32>,
    /// The destinations routed to it, without those that its addresses bring by themselves.
    pub routes: Vec<Network>,
}

/// One step. `Debug` and `Display` show no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Sets the private key, or takes it away.
    SetPrivateKey(Option<PrivateKey>),
    /// Sets the UDP port.
    SetListenPort(u16),
    /// Sets the mark on outgoing packets; 0 is off.
    SetFwmark(u32),
    /// Takes a peer away; its session ends.
    RemovePeer(PublicKey),
    /// Adds a peer.
    AddPeer(Peer),
    /// Changes a peer; its session goes on.
    UpdatePeer(PeerUpdate),
    /// Takes an address off the interface.
    RemoveAddress(InterfaceAddress),
    /// Gives the interface an address.
    AddAddress(InterfaceAddress),
    /// Sets the MTU in bytes.
    SetMtu(u32),
    /// Takes a route away.
    RemoveRoute(Network),
    /// Adds a route to the interface.
    AddRoute(Network),
}

/// The changes of one peer; what is `None` or empty stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerUpdate {
    /// The peer.
    pub public_key: PublicKey,
    /// A new preshared key, or `Some(None)` for none at all.
    pub preshared_key: Option<Option<PresharedKey>>,
    /// A new endpoint.
    pub endpoint: Option<Endpoint>,
    /// New seconds between keepalives; 0 is off.
    pub keepalive: Option<u16>,
    /// Networks that it gains, perhaps from another peer.
    pub add: Vec<Network>,
    /// Networks that it loses and no other peer gains.
    pub remove: Vec<Network>,
    /// All its networks afterwards, for implementations that cannot remove single ones.
    pub all: Vec<Network>,
}

impl PeerUpdate {
    /// No change at all.
    #[must_use]
    pub fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            preshared_key: None,
            endpoint: None,
            keepalive: None,
            add: Vec::new(),
            remove: Vec::new(),
            all: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.preshared_key.is_none()
            && self.endpoint.is_none()
            && self.keepalive.is_none()
            && self.add.is_empty()
            && self.remove.is_empty()
    }
}

/// Operations in the order in which they are to be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    operations: Vec<Operation>,
}

impl Changes {
    /// From a configuration to another one.
    #[must_use]
    pub fn between(current: &Config, wanted: &Config) -> Self {
        let mut changes = Self::default();
        changes.interface(
            current.interface.private_key.as_ref(),
            current.interface.listen_port.unwrap_or(0),
            current.interface.fwmark.unwrap_or(0),
            wanted,
        );
        changes.peers(
            &current
                .peers
                .iter()
                .map(Holding::of_config)
                .collect::<Vec<_>>(),
            wanted,
        );
        let link = LinkState {
            addresses: current.interface.addresses.clone(),
            mtu: current.interface.mtu,
            routes: current.wanted_routes(),
        };
        changes.link(&link, wanted);
        changes
    }

    /// From the state of a device to a configuration. Without `link`, addresses, MTU and routes are left alone.
    ///
    /// An endpoint that is still a name is left alone too where the device has one already; resolve names first with
    /// [`Config::resolve_endpoints`].
    #[must_use]
    pub fn for_device(device: &Device, link: Option<&LinkState>, wanted: &Config) -> Self {
        let mut changes = Self::default();
        changes.interface(
            device.private_key.as_ref(),
            device.listen_port,
            device.fwmark,
            wanted,
        );
        changes.peers(
            &device
                .peers
                .iter()
                .map(Holding::of_device)
                .collect::<Vec<_>>(),
            wanted,
        );
        if let Some(link) = link {
            changes.link(link, wanted);
        }
        changes
    }

    /// The operations, in order.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Operations of one's own making, such as those of a rotation.
    #[must_use]
    pub fn from_operations(operations: Vec<Operation>) -> Self {
        Self { operations }
    }

    fn interface(&mut self, key: Option<&PrivateKey>, port: u16, mark: u32, wanted: &Config) {
        let interface = &wanted.interface;
        let wanted_key = interface
            .private_key
            .as_ref()
            .filter(|key| !key.is_zero())
            .map(PrivateKey::clamped);
        if let Some(wanted_key) = wanted_key
            && key.map(PrivateKey::clamped).as_ref() != Some(&wanted_key)
        {
            self.operations
                .push(Operation::SetPrivateKey(Some(wanted_key)));
        }
        // A port that the file leaves open stays as the system chose it.
        if let Some(wanted) = interface
            .listen_port
            .filter(|&wanted| wanted != 0 && wanted != port)
        {
            self.operations.push(Operation::SetListenPort(wanted));
        }
        let wanted_mark = interface.fwmark.unwrap_or(0);
        if wanted_mark != mark {
            self.operations.push(Operation::SetFwmark(wanted_mark));
        }
    }

    fn peers(&mut self, current: &[Holding<'_>], wanted: &Config) {
        let held: HashMap<PublicKey, &Holding<'_>, KeyHash> =
            current.iter().map(|h| (h.key, h)).collect();
        let wanted_keys: HashSet<PublicKey, KeyHash> =
            wanted.peers.iter().map(|p| p.public_key).collect();
        for gone in current.iter().filter(|h| !wanted_keys.contains(&h.key)) {
            self.operations.push(Operation::RemovePeer(gone.key));
        }
        // A network that another peer gains leaves its owner by itself, without a gap.
        let mut gained: Option<HashSet<Network>> = None;
        let mut updates = Vec::new();
        for peer in &wanted.peers {
            match held.get(&peer.public_key) {
                None => updates.push(Operation::AddPeer(peer.clone())),
                Some(holding) => {
                    if let Some(update) = holding.update(peer) {
                        updates.push(Operation::UpdatePeer(update));
                    }
                }
            }
        }
        for update in &mut updates {
            let Operation::UpdatePeer(update) = update else {
                continue;
            };
            if update.remove.is_empty() {
                continue;
            }
            let gained = gained.get_or_insert_with(|| all_networks(wanted));
            update.remove.retain(|network| !gained.contains(network));
        }
        updates
            .retain(|update| !matches!(update, Operation::UpdatePeer(update) if update.is_empty()));
        self.operations.append(&mut updates);
    }

    fn link(&mut self, current: &LinkState, wanted: &Config) {
        let addresses = &wanted.interface.addresses;
        let routes = wanted.wanted_routes();
        let lost = |network: &&Network| !routes.contains(network);
        self.operations.extend(
            current
                .routes
                .iter()
                .filter(lost)
                .map(|r| Operation::RemoveRoute(*r)),
        );
        let gone = current
            .addresses
            .iter()
            .filter(|held| !addresses.contains(held));
        let new = addresses
            .iter()
            .filter(|wanted| !current.addresses.contains(wanted));
        self.operations
            .extend(gone.map(|a| Operation::RemoveAddress(*a)));
        self.operations
            .extend(new.map(|a| Operation::AddAddress(*a)));
        if let Some(mtu) = wanted.interface.mtu.filter(|mtu| current.mtu != Some(*mtu)) {
            self.operations.push(Operation::SetMtu(mtu));
        }
        let new = routes
            .iter()
            .filter(|wanted| !current.routes.contains(wanted));
        self.operations.extend(new.map(|r| Operation::AddRoute(*r)));
    }
}

fn all_networks(config: &Config) -> HashSet<Network> {
    config
        .peers
        .iter()
        .flat_map(|peer| &peer.allowed_ips)
        .copied()
        .collect()
}

/// A peer as it is now, from either source.
struct Holding<'a> {
    key: PublicKey,
    preshared: Option<&'a PresharedKey>,
    endpoint: Option<&'a Endpoint>,
    keepalive: u16,
    networks: &'a [Network],
}

impl<'a> Holding<'a> {
    fn of_config(peer: &'a Peer) -> Self {
        Self {
            key: peer.public_key,
            preshared: peer.preshared_key.as_ref(),
            endpoint: peer.endpoint.as_ref(),
            keepalive: peer.keepalive.unwrap_or(0),
            networks: &peer.allowed_ips,
        }
    }

    fn of_device(peer: &'a crate::device::DevicePeer) -> Self {
        Self {
            key: peer.public_key,
            preshared: peer.preshared_key.as_ref(),
            endpoint: peer.endpoint.as_ref(),
            keepalive: peer.keepalive,
            networks: &peer.allowed_ips,
        }
    }

    fn update(&self, wanted: &Peer) -> Option<PeerUpdate> {
        let mut update = PeerUpdate::new(self.key);
        let preshared = wanted.preshared_key.as_ref().filter(|key| !key.is_zero());
        if preshared != self.preshared {
            update.preshared_key = Some(preshared.cloned());
        }
        // Without an endpoint in the file, the learned one stays.
        update.endpoint = wanted
            .endpoint
            .as_ref()
            .filter(|wanted| !matches!((wanted.host(), self.endpoint), (Host::Name(_), Some(held)) if held.address().is_some()))
            .filter(|wanted| self.endpoint != Some(wanted))
            .cloned();
        let keepalive = wanted.keepalive.unwrap_or(0);
        update.keepalive = (keepalive != self.keepalive).then_some(keepalive);
        if self.networks != wanted.allowed_ips {
            let held: HashSet<&Network> = self.networks.iter().collect();
            let wanted_set: HashSet<&Network> = wanted.allowed_ips.iter().collect();
            update.add = wanted
                .allowed_ips
                .iter()
                .filter(|n| !held.contains(n))
                .copied()
                .collect();
            update.remove = self
                .networks
                .iter()
                .filter(|n| !wanted_set.contains(n))
                .copied()
                .collect();
            update.all.clone_from(&wanted.allowed_ips);
        }
        (!update.is_empty()).then_some(update)
    }
}

impl Config {
    /// Carries out operations on the configuration, as a device would on its state. Routes follow from the rest and
    /// are passed over.
    pub fn apply(&mut self, operations: &[Operation]) {
        for operation in operations {
            match operation {
                Operation::SetPrivateKey(key) => self.interface.private_key.clone_from(key),
                Operation::SetListenPort(port) => self.interface.listen_port = Some(*port),
                Operation::SetFwmark(mark) => {
                    self.interface.fwmark = Some(*mark).filter(|&mark| mark != 0)
                }
                Operation::RemovePeer(key) => self.peers.retain(|peer| peer.public_key != *key),
                Operation::AddPeer(peer) => {
                    self.take_networks(&peer.allowed_ips);
                    self.peers.retain(|held| held.public_key != peer.public_key);
                    self.peers.push(peer.clone());
                }
                Operation::UpdatePeer(update) => self.update(update),
                Operation::RemoveAddress(address) => {
                    self.interface.addresses.retain(|held| held != address)
                }
                Operation::AddAddress(address) => self.interface.addresses.push(*address),
                Operation::SetMtu(mtu) => self.interface.mtu = Some(*mtu),
                Operation::RemoveRoute(_) | Operation::AddRoute(_) => {}
            }
        }
    }

    /// A network has one owner.
    fn take_networks(&mut self, networks: &[Network]) {
        for peer in &mut self.peers {
            peer.allowed_ips.retain(|held| !networks.contains(held));
        }
    }

    fn update(&mut self, update: &PeerUpdate) {
        if !self
            .peers
            .iter()
            .any(|peer| peer.public_key == update.public_key)
        {
            return;
        }
        self.take_networks(&update.add);
        for peer in self
            .peers
            .iter_mut()
            .filter(|peer| peer.public_key == update.public_key)
        {
            if let Some(key) = &update.preshared_key {
                peer.preshared_key.clone_from(key);
            }
            if let Some(endpoint) = &update.endpoint {
                peer.endpoint = Some(endpoint.clone());
            }
            if let Some(seconds) = update.keepalive {
                peer.keepalive = Some(seconds).filter(|&seconds| seconds > 0);
            }
            peer.allowed_ips
                .retain(|held| !update.remove.contains(held));
            peer.allowed_ips.extend(&update.add);
        }
    }

    /// The routes that wg-quick makes: every allowed network that no address of the interface covers by itself, the
    /// most specific first; none with `Table = off`.
    #[must_use]
    pub fn wanted_routes(&self) -> Vec<Network> {
        if self.interface.table == Some(Table::Off) {
            return Vec::new();
        }
        let connected: Vec<Network> = self
            .interface
            .addresses
            .iter()
            .map(InterfaceAddress::network)
            .collect();
        let mut seen = HashSet::new();
        let mut routes: Vec<Network> = self
            .peers
            .iter()
            .flat_map(|peer| &peer.allowed_ips)
            .filter(|network| !connected.iter().any(|c| c.contains_network(network)))
            .filter(|network| seen.insert(**network))
            .copied()
            .collect();
        routes.sort_by_key(|network| std::cmp::Reverse(network.prefix()));
        routes
    }

    /// Replaces endpoints that are names by what `resolve` says; the names that it does not know are returned.
    pub fn resolve_endpoints(
        &mut self,
        mut resolve: impl FnMut(&str) -> Option<IpAddr>,
    ) -> Vec<String> {
        let mut unknown = Vec::new();
        for peer in &mut self.peers {
            let Some(endpoint) = &mut peer.endpoint else {
                continue;
            };
            let Host::Name(name) = endpoint.host() else {
                continue;
            };
            match resolve(name) {
                Some(address) => *endpoint = Endpoint::new(address, endpoint.port()),
                None => unknown.push(name.clone()),
            }
        }
        unknown
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetPrivateKey(Some(_)) => f.write_str("set the private key"),
            Self::SetPrivateKey(None) => f.write_str("take the private key away"),
            Self::SetListenPort(port) => write!(f, "listen on port {port}"),
            Self::SetFwmark(0) => f.write_str("stop marking packets"),
            Self::SetFwmark(mark) => write!(f, "mark packets with 0x{mark:x}"),
            Self::RemovePeer(key) => write!(f, "remove peer {key}"),
            Self::AddPeer(peer) => write!(
                f,
                "add peer {} with {}",
                peer.public_key,
                list(&peer.allowed_ips)
            ),
            Self::UpdatePeer(update) => update.fmt(f),
            Self::RemoveAddress(address) => write!(f, "remove address {address}"),
            Self::AddAddress(address) => write!(f, "add address {address}"),
            Self::SetMtu(mtu) => write!(f, "set the MTU to {mtu}"),
            Self::RemoveRoute(network) => write!(f, "remove the route to {network}"),
            Self::AddRoute(network) => write!(f, "add a route to {network}"),
        }
    }
}

impl fmt::Display for PeerUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "change peer {}:", self.public_key)?;
        match &self.preshared_key {
            Some(Some(_)) => f.write_str(" new preshared key;")?,
            Some(None) => f.write_str(" no preshared key;")?,
            None => {}
        }
        if let Some(endpoint) = &self.endpoint {
            write!(f, " endpoint {endpoint};")?;
        }
        if let Some(seconds) = self.keepalive {
            write!(f, " keepalive {seconds};")?;
        }
        if !self.remove.is_empty() {
            write!(f, " without {};", list(&self.remove))?;
        }
        if !self.add.is_empty() {
            write!(f, " with {};", list(&self.add))?;
        }
        Ok(())
    }
}

fn list(networks: &[Network]) -> String {
    match networks {
        [] => "no network".to_owned(),
        _ => networks
            .iter()
            .map(Network::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing to do");
        }
        for (i, operation) in self.operations.iter().enumerate() {
            let end = if i + 1 < self.operations.len() {
                "\n"
            } else {
                ""
            };
            write!(f, "{operation}{end}")?;
        }
        Ok(())
    }
}
