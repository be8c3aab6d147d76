//! Network interfaces: one section of the main document up to contract 1.11, documents of their own from 1.12 on.

use std::net::IpAddr;
use std::time::Duration;

use super::PatchBuilder;
use crate::documents::v1alpha1::{
    Bond, Bridge, Device, DeviceSelector, DeviceVip, DeviceWireguard, DeviceWireguardPeer,
    DhcpOptions, Enabled, Machine, MachineNetwork, Route, VipToken, Vlan,
};
use crate::documents::{
    Address, BondConfig, BondMode, BridgeConfig, DHCPv4Config, DHCPv6Config, DummyLinkConfig,
    Expression, GoDuration, HCloudVIPConfig, Layer2VIPConfig, LinkAliasConfig, LinkConfig, Prefix,
    Secret, VLANConfig, WireguardConfig, network,
};

/// One network interface: what it is made of, its addresses and routes.
#[derive(Clone, Debug)]
#[must_use = "it takes effect when given to a patch"]
pub struct Interface {
    name: String,
    kind: Kind,
    addresses: Vec<String>,
    gateway: Option<String>,
    routes: Vec<(String, String)>,
    vip: Option<(String, Option<Secret>)>,
    dhcp: Option<bool>,
    dhcp6: bool,
    mtu: Option<u16>,
}

/// What an interface is made of.
#[derive(Clone, Debug)]
enum Kind {
    /// There already.
    Named,
    ByMac(String),
    Vlan {
        parent: String,
        id: u16,
    },
    Bond(Box<BondConfig>),
    Bridge(Box<BridgeConfig>),
    Dummy,
    Wireguard(Wireguard),
}

#[derive(Clone, Debug)]
struct Wireguard {
    private_key: Secret,
    port: Option<u16>,
    peers: Vec<WireguardPeer>,
}

/// The other end of a WireGuard tunnel.
#[derive(Clone, Debug)]
#[must_use = "it takes effect when given to an interface"]
pub struct WireguardPeer {
    public_key: String,
    preshared_key: Option<Secret>,
    endpoint: Option<String>,
    keepalive: Option<Duration>,
    allowed_ips: Vec<String>,
}

impl WireguardPeer {
    /// By its public key.
    pub fn new(public_key: impl Into<String>) -> Self {
        Self {
            public_key: public_key.into(),
            preshared_key: None,
            endpoint: None,
            keepalive: None,
            allowed_ips: Vec::new(),
        }
    }

    /// A further key that both ends know. Contract 1.12 and later.
    pub fn preshared_key(mut self, key: impl Into<Secret>) -> Self {
        self.preshared_key = Some(key.into());
        self
    }

    /// Where it listens, `203.0.113.9:51820`; names are not resolved.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// How often a packet is sent to keep the way back open.
    pub fn keepalive(mut self, interval: Duration) -> Self {
        self.keepalive = Some(interval);
        self
    }

    /// A network behind it.
    pub fn allowed_ip(mut self, network: impl Into<String>) -> Self {
        self.allowed_ips.push(network.into());
        self
    }
}

impl Interface {
    fn of(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
            addresses: Vec::new(),
            gateway: None,
            routes: Vec::new(),
            vip: None,
            dhcp: None,
            dhcp6: false,
            mtu: None,
        }
    }

    /// By the kernel's name, `eth0`, `ens18`.
    pub fn named(name: impl Into<String>) -> Self {
        Self::of(name, Kind::Named)
    }

    /// By hardware address, whatever the kernel calls it; `alias` is its name in the configuration (`net0`).
    pub fn by_mac(alias: impl Into<String>, mac: impl Into<String>) -> Self {
        Self::of(alias, Kind::ByMac(mac.into().to_lowercase()))
    }

    /// A VLAN on another interface, named `parent.id`.
    pub fn vlan(parent: impl Into<String>, id: u16) -> Self {
        let parent = parent.into();
        Self::of(format!("{parent}.{id}"), Kind::Vlan { parent, id })
    }

    /// Several links as one.
    pub fn bond<T: Into<String>>(
        name: impl Into<String>,
        mode: BondMode,
        links: impl IntoIterator<Item = T>,
    ) -> Self {
        let bond = BondConfig::default().with_bond_mode(mode).with_links(links);
        Self::of(name, Kind::Bond(Box::new(bond)))
    }

    /// A switch of several links.
    pub fn bridge<T: Into<String>>(
        name: impl Into<String>,
        links: impl IntoIterator<Item = T>,
    ) -> Self {
        let bridge = BridgeConfig::default().with_links(links);
        Self::of(name, Kind::Bridge(Box::new(bridge)))
    }

    /// A link that leads nowhere, to carry addresses.
    pub fn dummy(name: impl Into<String>) -> Self {
        Self::of(name, Kind::Dummy)
    }

    /// A WireGuard tunnel with the node's own private key.
    pub fn wireguard(name: impl Into<String>, private_key: impl Into<Secret>) -> Self {
        let wireguard = Wireguard {
            private_key: private_key.into(),
            port: None,
            peers: Vec::new(),
        };
        Self::of(name, Kind::Wireguard(wireguard))
    }

    /// How often the links of a bond are looked at, in milliseconds. Of bonds only.
    pub fn bond_miimon(mut self, milliseconds: u32) -> Self {
        if let Kind::Bond(bond) = &mut self.kind {
            bond.miimon = Some(milliseconds);
        }
        self
    }

    /// What the links of a bond are chosen by, `layer3+4`. Of bonds only.
    pub fn bond_hash_policy(mut self, policy: impl Into<crate::documents::XmitHashPolicy>) -> Self {
        if let Kind::Bond(bond) = &mut self.kind {
            bond.xmit_hash_policy = Some(policy.into());
        }
        self
    }

    /// How often the partner of an 802.3ad bond is asked to answer, `slow` or `fast`. Of bonds only.
    pub fn bond_lacp_rate(mut self, rate: impl Into<crate::documents::LacpRate>) -> Self {
        if let Kind::Bond(bond) = &mut self.kind {
            bond.lacp_rate = Some(rate.into());
        }
        self
    }

    /// Whether the bridge finds loops by the spanning tree protocol. Of bridges only.
    pub fn bridge_stp(mut self, on: bool) -> Self {
        if let Kind::Bridge(bridge) = &mut self.kind {
            bridge.stp = network::BridgeSTPConfig::new().with_enabled(on);
        }
        self
    }

    /// The port that a WireGuard tunnel listens on. Of tunnels only.
    pub fn listen_port(mut self, port: u16) -> Self {
        if let Kind::Wireguard(wireguard) = &mut self.kind {
            wireguard.port = Some(port);
        }
        self
    }

    /// Another end of a WireGuard tunnel. Of tunnels only.
    pub fn peer(mut self, peer: WireguardPeer) -> Self {
        if let Kind::Wireguard(wireguard) = &mut self.kind {
            wireguard.peers.push(peer);
        }
        self
    }

    /// An address with prefix length, `10.0.20.11/24`.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// The default route, of the family of this address.
    pub fn gateway(mut self, gateway: impl Into<String>) -> Self {
        self.gateway = Some(gateway.into());
        self
    }

    /// A route to a network.
    pub fn route(mut self, network: impl Into<String>, gateway: impl Into<String>) -> Self {
        self.routes.push((network.into(), gateway.into()));
        self
    }

    /// The address that the control plane nodes share; it must lie in a subnet of this interface.
    pub fn vip(mut self, address: impl Into<String>) -> Self {
        self.vip = Some((address.into(), None));
        self
    }

    /// A shared address that Hetzner Cloud's API moves; the token may change the server's addresses.
    pub fn vip_hcloud(mut self, address: impl Into<String>, token: impl Into<Secret>) -> Self {
        self.vip = Some((address.into(), Some(token.into())));
        self
    }

    /// Ask for an address by DHCP.
    pub fn dhcp(mut self, on: bool) -> Self {
        self.dhcp = Some(on);
        self
    }

    /// Ask for an address by DHCPv6.
    pub fn dhcp6(mut self) -> Self {
        self.dhcp6 = true;
        self
    }

    /// The largest packet.
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = Some(mtu);
        self
    }
}

/// The texts of an interface as what they mean.
struct Read {
    addresses: Vec<Prefix>,
    gateway: Option<Address>,
    routes: Vec<(Prefix, Address)>,
    vip: Option<(Address, Option<Secret>)>,
}

impl PatchBuilder {
    /// An interface with addresses, routes and the shared address.
    pub fn interface(mut self, interface: Interface) -> Self {
        let read = self.read_interface(&interface);
        if self.is(12) {
            self.interface_documents(interface, read)
        } else {
            self.interface_section(interface, read)
        }
    }

    fn read_interface(&mut self, interface: &Interface) -> Read {
        let place = |what: &str| format!("interface {} {what}", interface.name);
        let addresses = interface.addresses.iter();
        let addresses = addresses
            .filter_map(|address| self.read(&place("address"), address))
            .collect();
        let gateway = interface.gateway.as_ref();
        let gateway = gateway.and_then(|gateway| self.read(&place("gateway"), gateway));
        let mut routes = Vec::new();
        for (network, gateway) in &interface.routes {
            let network = self.read(&place("route"), network);
            let gateway = self.read(&place("route"), gateway);
            routes.extend(network.zip(gateway));
        }
        let vip = interface.vip.as_ref().and_then(|(address, token)| {
            let address = self.read(&place("shared address"), address)?;
            Some((address, token.clone()))
        });
        Read {
            addresses,
            gateway,
            routes,
            vip,
        }
    }

    fn interface_documents(mut self, interface: Interface, read: Read) -> Self {
        let name = interface.name.as_str();
        let addresses = read.addresses.iter();
        let addresses: Vec<_> = addresses
            .map(|address| network::AddressConfig::new().with_address(*address))
            .collect();
        let default = read.gateway.iter();
        let default =
            default.map(|gateway| network::RouteConfig::new().with_gateway(gateway.clone()));
        let further = read.routes.iter().map(|(destination, gateway)| {
            network::RouteConfig::new()
                .with_destination(*destination)
                .with_gateway(gateway.clone())
        });
        let routes: Vec<_> = default.chain(further).collect();
        let mtu = interface.mtu.map(u32::from).unwrap_or_default();
        /// The fields that all links have.
        macro_rules! link {
            ($document:expr) => {
                $document
                    .with_name(name)
                    .with_mtu(mtu)
                    .with_addresses(addresses)
                    .with_routes(routes)
            };
        }
        self = match interface.kind {
            Kind::Named => self.document(link!(LinkConfig::default())),
            Kind::ByMac(mac) => {
                let selector = network::LinkSelector::new().with_match(Expression::link_mac(&mac));
                self.document(LinkAliasConfig::new(name).with_selector(selector))
                    .document(link!(LinkConfig::default()))
            }
            Kind::Vlan { parent, id } => self.document(link!(
                VLANConfig::default().with_vlan_id(id).with_parent(parent)
            )),
            Kind::Bond(bond) => self.document(link!(*bond)),
            Kind::Bridge(bridge) => self.document(link!(*bridge)),
            Kind::Dummy => self.document(link!(DummyLinkConfig::default())),
            Kind::Wireguard(wireguard) => {
                let tunnel = self.wireguard_document(name, wireguard);
                self.document(link!(tunnel))
            }
        };
        if interface.dhcp == Some(true) {
            self = self.document(DHCPv4Config::new(name));
        }
        if interface.dhcp6 {
            self = self.document(DHCPv6Config::new(name));
        }
        match read.vip {
            None => self,
            Some((address, None)) => {
                self.document(Layer2VIPConfig::new(address.to_string()).with_link(name))
            }
            Some((address, Some(token))) => self.document(
                HCloudVIPConfig::new(address.to_string())
                    .with_link(name)
                    .with_api_token(token),
            ),
        }
    }

    fn wireguard_document(&mut self, name: &str, wireguard: Wireguard) -> WireguardConfig {
        let mut peers = Vec::new();
        for peer in wireguard.peers {
            let mut document = network::WireguardPeer::new().with_public_key(peer.public_key);
            document.preshared_key = peer.preshared_key.unwrap_or_default();
            document.endpoint = peer.endpoint.and_then(|endpoint| {
                self.read_endpoint(&format!("interface {name} endpoint"), &endpoint)
            });
            document.persistent_keepalive_interval =
                peer.keepalive.map(GoDuration::from).unwrap_or_default();
            for network in &peer.allowed_ips {
                let setting = format!("interface {name} network of a peer");
                let network = self.read::<Prefix>(&setting, network);
                document.allowed_ips.extend(network);
            }
            peers.push(document);
        }
        WireguardConfig::default()
            .with_private_key(wireguard.private_key)
            .with_listen_port(wireguard.port.map(i64::from).unwrap_or_default())
            .with_peers(peers)
    }

    fn read_endpoint(&mut self, setting: &str, text: &str) -> Option<std::net::SocketAddr> {
        let endpoint = text.parse().ok();
        if endpoint.is_none() {
            let why = "an IP address with port is needed";
            self.problems.push(super::Problem::new(setting, why));
        }
        endpoint
    }

    fn interface_section(mut self, interface: Interface, read: Read) -> Self {
        let addresses: Vec<String> = read.addresses.iter().map(ToString::to_string).collect();
        let default = read.gateway.iter().map(|gateway| {
            let everything = match gateway.ip() {
                IpAddr::V4(_) => "0.0.0.0/0",
                IpAddr::V6(_) => "::/0",
            };
            Route::new()
                .with_network(everything)
                .with_gateway(gateway.to_string())
        });
        let further = read.routes.iter().map(|(network, gateway)| {
            Route::new()
                .with_network(network.to_string())
                .with_gateway(gateway.to_string())
        });
        let routes: Vec<Route> = default.chain(further).collect();
        let vip = read.vip.map(|(address, token)| {
            let vip = DeviceVip::new().with_ip(address.to_string());
            match token {
                None => vip,
                Some(token) => vip.with_hcloud(VipToken::new().with_api_token(token)),
            }
        });
        let dhcp = if interface.dhcp6 {
            Some(true)
        } else {
            interface.dhcp
        };
        let options = interface.dhcp6.then(|| {
            DhcpOptions::new()
                .with_ipv4(interface.dhcp == Some(true))
                .with_ipv6(true)
        });
        let device = match interface.kind {
            Kind::Vlan { parent, id } => {
                let mut vlan = Vlan::new()
                    .with_vlan_id(id)
                    .with_addresses(addresses)
                    .with_routes(routes)
                    .with_mtu(interface.mtu.map(u32::from).unwrap_or_default());
                (vlan.dhcp, vlan.dhcp_options, vlan.vip) = (dhcp, options, vip);
                Device::new().with_interface(parent).with_vlans([vlan])
            }
            kind => {
                let mut device = self
                    .device(&interface.name, kind)
                    .with_addresses(addresses)
                    .with_routes(routes)
                    .with_mtu(interface.mtu.map(i64::from).unwrap_or_default());
                (device.dhcp, device.dhcp_options, device.vip) = (dhcp, options, vip);
                device
            }
        };
        let network = MachineNetwork::new().with_interfaces([device]);
        self.machine(Machine::new().with_network(network))
    }

    /// What the interface is made of, as a section.
    fn device(&mut self, name: &str, kind: Kind) -> Device {
        let device = Device::new().with_interface(name);
        match kind {
            Kind::ByMac(mac) => {
                Device::new().with_device_selector(DeviceSelector::new().with_hardware_addr(mac))
            }
            Kind::Bond(bond) => {
                let text = |choice: Option<String>| choice.unwrap_or_default();
                let mode = bond.bond_mode.map(|mode| mode.to_string());
                let policy = bond.xmit_hash_policy.map(|policy| policy.to_string());
                let rate = bond.lacp_rate.map(|rate| rate.to_string());
                let section = Bond::new()
                    .with_interfaces(bond.links)
                    .with_mode(text(mode))
                    .with_xmit_hash_policy(text(policy))
                    .with_lacp_rate(text(rate))
                    .with_miimon(bond.miimon.unwrap_or_default());
                device.with_bond(section)
            }
            Kind::Bridge(bridge) => {
                let mut section = Bridge::new().with_interfaces(bridge.links);
                section.stp = bridge.stp.enabled.map(|on| Enabled::new().with_enabled(on));
                device.with_bridge(section)
            }
            Kind::Dummy => device.with_dummy(true),
            Kind::Wireguard(wireguard) => {
                let section = self.wireguard_section(name, wireguard);
                device.with_wireguard(section)
            }
            Kind::Named | Kind::Vlan { .. } => device,
        }
    }

    fn wireguard_section(&mut self, name: &str, wireguard: Wireguard) -> DeviceWireguard {
        let mut peers = Vec::new();
        for peer in wireguard.peers {
            if peer.preshared_key.is_some() {
                let why = "there is no such setting before 1.12";
                let setting = format!("interface {name} preshared key");
                self.problems.push(super::Problem::new(setting, why));
            }
            let mut section = DeviceWireguardPeer::new()
                .with_public_key(peer.public_key)
                .with_allowed_ips(peer.allowed_ips);
            section.endpoint = peer.endpoint.unwrap_or_default();
            section.persistent_keepalive_interval =
                peer.keepalive.map(GoDuration::from).unwrap_or_default();
            peers.push(section);
        }
        DeviceWireguard::new()
            .with_private_key(wireguard.private_key)
            .with_listen_port(wireguard.port.map(i64::from).unwrap_or_default())
            .with_peers(peers)
    }
}
