//! What the network consists of, as its owner describes it.

use std::net::IpAddr;

use crate::config::{Dns, Table};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::net::Network;

use super::allocate::Leases;
use super::keys::Keys;
use super::plan::Plan;

/// The shape of a network. [`Inventory::link`] adds single links to any shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Topology {
    /// Everybody peers with everybody that a handshake can reach; pairs of which neither end can be reached go
    /// through a hub or relay.
    #[default]
    FullMesh,
    /// Every spoke peers with one hub, hubs with each other; spokes reach each other through hubs.
    HubAndSpoke,
    /// Members with routed networks (gateways) peer with each other, all others with one gateway.
    SiteToSite,
    /// Only the links that [`Inventory::link`] names.
    Explicit,
}

/// What a member does for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Role {
    /// A member that forwards nothing for others: a spoke, a mesh node, a site's gateway.
    #[default]
    Node,
    /// The centre of a star; forwards between members.
    Hub,
    /// Forwards between members that cannot reach each other, such as a small server with a public address.
    Relay,
    /// A client that changes networks: peers with one forwarder only, always behind NAT.
    Roaming,
}

/// Whether pairs get a preshared key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PresharedPolicy {
    /// Every pair has its own.
    #[default]
    PerPair,
    /// No pair has one, unless the key store names it.
    None,
}

/// A local network in which members reach each other without the Internet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lan {
    /// The name that members of the same local network share.
    pub name: String,
    /// Where the member listens inside it.
    pub endpoint: Endpoint,
}

/// One machine of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The name, unique in the inventory; becomes part of file names.
    pub name: String,
    /// What it does for the others.
    pub role: Role,
    /// Where it is reached from everywhere. Without one it is taken to sit behind NAT.
    pub endpoint: Option<Endpoint>,
    /// Where it is reached from members of the same local network.
    pub lan: Option<Lan>,
    /// Addresses in the tunnel that are not left to the allocation.
    pub addresses: Vec<IpAddr>,
    /// The networks behind it that the others shall reach.
    pub routed: Vec<Network>,
    /// The forwarder that it prefers, by name; else the first one that a handshake can reach.
    pub via: Option<String>,
    /// Whether all of its traffic goes through its forwarder.
    pub full_tunnel: bool,
    /// `ListenPort`; else the endpoint's port, else the inventory's for members that others can reach.
    pub listen_port: Option<u16>,
    /// The MTU of its interface, in bytes.
    pub mtu: Option<u32>,
    /// The largest packet that its way to the others carries, such as 1492 with PPPoE; the MTU follows from it.
    pub path_mtu: Option<u32>,
    /// The name servers and search domains that it uses while the tunnel is up.
    pub dns: Vec<Dns>,
    /// Where wg-quick puts its routes.
    pub table: Option<Table>,
    /// The interface name on this member, if not the inventory's.
    pub interface: Option<String>,
}

impl Member {
    /// An ordinary member behind NAT.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            role: Role::Node,
            endpoint: None,
            lan: None,
            addresses: Vec::new(),
            routed: Vec::new(),
            via: None,
            full_tunnel: false,
            listen_port: None,
            mtu: None,
            path_mtu: None,
            dns: Vec::new(),
            table: None,
            interface: None,
        }
    }

    /// A hub that is reached at `endpoint`.
    #[must_use]
    pub fn hub(name: impl Into<String>, endpoint: Endpoint) -> Self {
        Self::new(name).role(Role::Hub).endpoint(endpoint)
    }

    /// A relay that is reached at `endpoint`.
    #[must_use]
    pub fn relay(name: impl Into<String>, endpoint: Endpoint) -> Self {
        Self::new(name).role(Role::Relay).endpoint(endpoint)
    }

    /// A client that changes networks.
    #[must_use]
    pub fn roaming(name: impl Into<String>) -> Self {
        Self::new(name).role(Role::Roaming)
    }

    /// Sets what it does for the others.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Sets where it is reached from everywhere.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Sets where members of the same local network reach it.
    #[must_use]
    pub fn lan(mut self, name: impl Into<String>, endpoint: Endpoint) -> Self {
        self.lan = Some(Lan {
            name: name.into(),
            endpoint,
        });
        self
    }

    /// Fixes an address in the tunnel; once for each family.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Adds a network behind it.
    #[must_use]
    pub fn routed(mut self, network: Network) -> Self {
        self.routed.push(network);
        self
    }

    /// Sets the forwarder that it prefers.
    #[must_use]
    pub fn via(mut self, forwarder: impl Into<String>) -> Self {
        self.via = Some(forwarder.into());
        self
    }

    /// Sends all of its traffic through its forwarder, or not.
    #[must_use]
    pub fn full_tunnel(mut self, on: bool) -> Self {
        self.full_tunnel = on;
        self
    }

    /// Sets the UDP port on which it listens.
    #[must_use]
    pub fn listen_port(mut self, port: u16) -> Self {
        self.listen_port = Some(port);
        self
    }

    /// Sets the MTU of its interface, in bytes.
    #[must_use]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Sets the largest packet that its way to the others carries, in bytes; see [`mtu`](crate::mtu).
    #[must_use]
    pub fn path_mtu(mut self, bytes: u32) -> Self {
        self.path_mtu = Some(bytes);
        self
    }

    /// Adds a name server or search domain.
    #[must_use]
    pub fn dns(mut self, dns: Dns) -> Self {
        self.dns.push(dns);
        self
    }

    /// Sets where wg-quick puts its routes.
    #[must_use]
    pub fn table(mut self, table: Table) -> Self {
        self.table = Some(table);
        self
    }

    /// Sets its interface name.
    #[must_use]
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interface = Some(name.into());
        self
    }
}

/// The whole network: plain data, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inventory {
    /// The interface name on every member, 1 to 15 characters; `wg0` by default.
    pub interface: String,
    /// The networks from which members get their addresses, at most one for each family.
    pub networks: Vec<Network>,
    /// Parts of the networks that are never given out.
    pub reserved: Vec<Network>,
    /// The shape.
    pub topology: Topology,
    /// The members, in the order in which addresses are given out.
    pub members: Vec<Member>,
    /// Pairs of names that peer in addition to what the shape says.
    pub links: Vec<(String, String)>,
    /// Whether pairs get a preshared key; each its own by default.
    pub preshared: PresharedPolicy,
    /// Seconds between keepalives of members behind NAT; 25 by default, 0 turns them off.
    pub keepalive: u16,
    /// The port of members that say none; 51820 by default.
    pub listen_port: u16,
    /// Addresses given out before: they stay with their members.
    pub leases: Leases,
    /// Whether a plan may leave pairs without a path; else that is an error.
    pub allow_unreachable: bool,
}

impl Inventory {
    /// An empty inventory over one tunnel network.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self {
            interface: "wg0".to_owned(),
            networks: vec![network],
            reserved: Vec::new(),
            topology: Topology::default(),
            members: Vec::new(),
            links: Vec::new(),
            preshared: PresharedPolicy::default(),
            keepalive: 25,
            listen_port: 51820,
            leases: Leases::default(),
            allow_unreachable: false,
        }
    }

    /// Adds a tunnel network of the other family.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.networks.push(network);
        self
    }

    /// Keeps a part of the tunnel networks from being given out.
    #[must_use]
    pub fn reserve(mut self, network: Network) -> Self {
        self.reserved.push(network);
        self
    }

    /// Sets the shape.
    #[must_use]
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn member(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// Adds members.
    #[must_use]
    pub fn members(mut self, members: impl IntoIterator<Item = Member>) -> Self {
        self.members.extend(members);
        self
    }

    /// Lets two members peer in addition to what the shape says.
    #[must_use]
    pub fn link(mut self, one: impl Into<String>, other: impl Into<String>) -> Self {
        self.links.push((one.into(), other.into()));
        self
    }

    /// Sets whether pairs get a preshared key.
    #[must_use]
    pub fn preshared(mut self, policy: PresharedPolicy) -> Self {
        self.preshared = policy;
        self
    }

    /// Sets the seconds between keepalives of members behind NAT; 0 turns them off.
    #[must_use]
    pub fn keepalive(mut self, seconds: u16) -> Self {
        self.keepalive = seconds;
        self
    }

    /// Sets the port of members that say none.
    #[must_use]
    pub fn listen_port(mut self, port: u16) -> Self {
        self.listen_port = port;
        self
    }

    /// Sets the interface name.
    #[must_use]
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interface = name.into();
        self
    }

    /// Keeps the addresses of an earlier [`Plan::leases`].
    #[must_use]
    pub fn leases(mut self, leases: Leases) -> Self {
        self.leases = leases;
        self
    }

    /// Accepts plans that leave pairs without a path.
    #[must_use]
    pub fn allow_unreachable(mut self, allow: bool) -> Self {
        self.allow_unreachable = allow;
        self
    }

    /// Works out addresses, links, routes and keys, and checks the whole.
    ///
    /// The same inventory and keys give the same plan.
    ///
    /// # Errors
    /// [`ErrorKind::Inventory`](crate::ErrorKind::Inventory) with every contradiction found, each with member and
    /// field; [`ErrorKind::MissingKey`](crate::ErrorKind::MissingKey) when the store lacks keys;
    /// [`ErrorKind::Exhausted`](crate::ErrorKind::Exhausted) when a network has no address left.
    pub fn plan(&self, keys: &Keys) -> Result<Plan> {
        Plan::make(self, keys)
    }
}
