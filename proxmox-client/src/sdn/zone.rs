//! Zones: what kind of network the vnets within are.

use crate::named::{About, Named, Noun, about};
use crate::open::open_enum;
use crate::scalar::record;
use crate::setting::{Settings, Wanted, settings};

open_enum! {
    /// How a zone carries its vnets.
    pub enum ZoneKind {
        /// A bridge on each node by itself.
        Simple = "simple",
        /// VLANs on a bridge of the nodes.
        Vlan = "vlan",
        /// VLANs within a service VLAN.
        Qinq = "qinq",
        /// VXLAN tunnels between nodes.
        Vxlan = "vxlan",
        /// VXLAN with routes told through BGP.
        Evpn = "evpn",
        /// The Faucet controller, which newer servers no longer offer.
        Faucet = "faucet",
    }
}

record! {
    /// A zone: `GET /cluster/sdn/zones`.
    pub struct ZoneInfo {
        required {
            /// Name.
            "zone" id: String,
            /// How it carries its vnets.
            "type" kind: ZoneKind,
        }
        optional {
            /// The nodes that have it, separated by commas; all if it is not set.
            "nodes" nodes: String,
            /// Largest packet in bytes.
            "mtu" mtu: u32,
            /// IPAM plug-in.
            "ipam" ipam: String,
            /// DHCP back-end: `dnsmasq`.
            "dhcp" dhcp: String,
            /// DNS plug-in.
            "dns" dns: String,
            /// DNS plug-in for reverse names.
            "reversedns" reverse_dns: String,
            /// DNS domain.
            "dnszone" dns_zone: String,
            /// Bridge that carries the VLANs.
            "bridge" bridge: String,
            /// Outer VLAN tag.
            "tag" tag: u32,
            /// Protocol of the outer VLAN: `802.1q` or `802.1ad`.
            "vlan-protocol" vlan_protocol: String,
            /// Addresses of the tunnels' ends, separated by commas.
            "peers" peers: String,
            /// Fabric that the tunnels go over.
            "fabric" fabric: String,
            /// UDP port of the tunnels.
            "vxlan-port" vxlan_port: u32,
            /// Controller.
            "controller" controller: String,
            /// VXLAN number of the zone's own routing table.
            "vrf-vxlan" vrf_vxlan: u32,
            /// Nodes through which traffic leaves, separated by commas.
            "exitnodes" exit_nodes: String,
            /// The exit node that is used while it can be.
            "exitnodes-primary" primary_exit_node: String,
            /// MAC address of the router that every node is.
            "mac" mac: String,
            /// Digest of all zones.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a zone. A new one needs a kind, which the functions that make settings give.
    pub struct ZoneSettings {
        /// Only these nodes have it.
        with_nodes "nodes" names,
        /// Largest packet in bytes; tunnels take 50 bytes of it.
        with_mtu "mtu" number,
        /// IPAM plug-in that keeps the addresses, such as `pve`.
        with_ipam "ipam" text,
        /// DHCP back-end: `dnsmasq`. Needs an IPAM.
        with_dhcp "dhcp" text,
        /// DNS plug-in that guests are registered with.
        with_dns "dns" text,
        /// DNS plug-in for reverse names.
        with_reverse_dns "reversedns" text,
        /// DNS domain of the guests.
        with_dns_zone "dnszone" text,
        /// Bridge that carries the VLANs.
        with_bridge "bridge" text,
        /// Outer VLAN tag.
        with_tag "tag" number,
        /// Protocol of the outer VLAN: `802.1q` (default) or `802.1ad`.
        with_vlan_protocol "vlan-protocol" text,
        /// Addresses of the tunnels' ends, usually those of the nodes.
        with_peers "peers" names,
        /// Fabric that the tunnels go over, instead of peers.
        with_fabric "fabric" text,
        /// UDP port of the tunnels, 4789 by default.
        with_vxlan_port "vxlan-port" number,
        /// EVPN controller.
        with_controller "controller" text,
        /// VXLAN number of the zone's own routing table, 1 to 16777215; no vnet may have it too.
        with_vrf_vxlan "vrf-vxlan" number,
        /// Nodes through which traffic leaves.
        with_exit_nodes "exitnodes" names,
        /// The exit node that is used while it can be.
        with_primary_exit_node "exitnodes-primary" text,
        /// Whether exit nodes themselves reach the guests.
        with_local_routing "exitnodes-local-routing" flag,
        /// Whether subnets are announced as such, which guests that say nothing need.
        with_advertised_subnets "advertise-subnets" flag,
        /// Whether neighbour requests go through instead of being answered by the nodes.
        with_arp_through "disable-arp-nd-suppression" flag,
        /// Whether bridges learn no addresses and know only those of their guests.
        with_no_mac_learning "bridge-disable-mac-learning" flag,
        /// Route targets whose routes are taken in.
        with_route_targets "rt-import" names,
        /// MAC address of the router that every node is; made up by the server if not set.
        with_mac "mac" text,
    }
}

impl ZoneSettings {
    /// Of any kind.
    pub fn of_kind(kind: &ZoneKind) -> Self {
        Self(Settings::of_kind(kind.as_str()))
    }

    /// A bridge on each node by itself, with routing and NAT if a subnet says so.
    pub fn simple() -> Self {
        Self::of_kind(&ZoneKind::Simple)
    }

    /// VLANs on a bridge that the nodes have.
    pub fn vlan(bridge: &str) -> Self {
        Self::of_kind(&ZoneKind::Vlan).with_bridge(bridge)
    }

    /// VLANs within the service VLAN `tag` on a bridge that the nodes have.
    pub fn qinq(bridge: &str, tag: u32) -> Self {
        Self::of_kind(&ZoneKind::Qinq)
            .with_bridge(bridge)
            .with_tag(tag)
    }

    /// VXLAN tunnels between these addresses.
    pub fn vxlan<S: Into<String>>(peers: impl IntoIterator<Item = S>) -> Self {
        let mut settings = Settings::of_kind(ZoneKind::Vxlan.as_str());
        settings.set("peers", Wanted::names(peers, ","));
        Self(settings)
    }

    /// VXLAN with routes through a controller; `vrf_vxlan` is the number of the zone's own routing table.
    pub fn evpn(controller: &str, vrf_vxlan: u32) -> Self {
        Self::of_kind(&ZoneKind::Evpn)
            .with_controller(controller)
            .with_vrf_vxlan(vrf_vxlan)
    }
}

/// The noun of [`Zone`].
#[derive(Debug)]
#[non_exhaustive]
pub struct ZoneNoun;

impl about::Sealed for ZoneNoun {
    const ABOUT: About = About {
        has_kinds: true,
        ..About::new("SDN zone", "/cluster/sdn/zones", "zone")
    };
}

impl Noun for ZoneNoun {
    type Info = ZoneInfo;
    type Settings = ZoneSettings;
}

/// A zone.
///
/// Example: see [`Sdn`](crate::sdn::Sdn).
pub type Zone = Named<ZoneNoun>;
