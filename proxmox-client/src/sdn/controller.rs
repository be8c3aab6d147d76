//! Controllers, which tell routes.

use crate::named::{About, Named, Noun, about};
use crate::open::open_enum;
use crate::scalar::record;
use crate::setting::{Settings, Wanted, settings};

open_enum! {
    /// What a controller speaks.
    pub enum ControllerKind {
        /// BGP with EVPN between the nodes; a cluster has one at most.
        Evpn = "evpn",
        /// BGP of one node with routers outside.
        Bgp = "bgp",
        /// IS-IS of one node.
        Isis = "isis",
        /// Faucet, which newer servers no longer offer.
        Faucet = "faucet",
    }
}

record! {
    /// A controller: `GET /cluster/sdn/controllers`.
    pub struct ControllerInfo {
        required {
            /// Name.
            "controller" id: String,
            /// What it speaks.
            "type" kind: ControllerKind,
        }
        optional {
            /// Autonomous system number.
            "asn" asn: u32,
            /// Addresses of those it speaks with, separated by commas.
            "peers" peers: String,
            /// Fabric that it goes over.
            "fabric" fabric: String,
            /// Node.
            "node" node: String,
            /// Whether its peers are in other systems.
            "ebgp" ebgp: bool,
            /// Most hops to a peer in another system.
            "ebgp-multihop" ebgp_multihop: u32,
            /// Interface that gives the router's address.
            "loopback" loopback: String,
            /// Digest of all controllers.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a controller. A new one needs a kind, which the functions that make settings give.
    pub struct ControllerSettings {
        /// Autonomous system number.
        with_asn "asn" number,
        /// Addresses of those it speaks with.
        with_peers "peers" names,
        /// Fabric that it goes over, instead of peers.
        with_fabric "fabric" text,
        /// Node.
        with_node "node" text,
        /// Whether its peers are in other systems.
        with_ebgp "ebgp" flag,
        /// Most hops to a peer in another system.
        with_ebgp_multihop "ebgp-multihop" number,
        /// Interface that gives the router's address.
        with_loopback "loopback" text,
        /// Whether paths of equal length through different systems are used together.
        with_multipath "bgp-multipath-as-path-relax" flag,
        /// Name of the IS-IS domain.
        with_isis_domain "isis-domain" text,
        /// Interfaces that speak IS-IS.
        with_isis_interfaces "isis-ifaces" names,
        /// The node's name within IS-IS.
        with_isis_net "isis-net" text,
    }
}

impl ControllerSettings {
    /// EVPN between these addresses, usually those of the nodes, in the system `asn`.
    pub fn evpn<S: Into<String>>(asn: u32, peers: impl IntoIterator<Item = S>) -> Self {
        let mut settings = Settings::of_kind(ControllerKind::Evpn.as_str());
        settings.set("peers", Wanted::names(peers, ","));
        Self(settings).with_asn(asn)
    }

    /// BGP of a node, which is in the system `asn`, with routers outside.
    pub fn bgp<S: Into<String>>(node: &str, asn: u32, peers: impl IntoIterator<Item = S>) -> Self {
        let mut settings = Settings::of_kind(ControllerKind::Bgp.as_str());
        settings.set("peers", Wanted::names(peers, ","));
        Self(settings).with_node(node).with_asn(asn)
    }

    /// IS-IS of a node on these interfaces; `net` is the node's name within it.
    pub fn isis<S: Into<String>>(
        node: &str,
        domain: &str,
        net: &str,
        interfaces: impl IntoIterator<Item = S>,
    ) -> Self {
        Self(Settings::of_kind(ControllerKind::Isis.as_str()))
            .with_node(node)
            .with_isis_domain(domain)
            .with_isis_net(net)
            .with_isis_interfaces(interfaces)
    }
}

/// The noun of [`Controller`].
#[derive(Debug)]
#[non_exhaustive]
pub struct ControllerNoun;

impl about::Sealed for ControllerNoun {
    const ABOUT: About = About {
        has_kinds: true,
        ..About::new("SDN controller", "/cluster/sdn/controllers", "controller")
    };
}

impl Noun for ControllerNoun {
    type Info = ControllerInfo;
    type Settings = ControllerSettings;
}

/// A controller.
///
/// Example: see [`Sdn::controllers`](crate::sdn::Sdn::controllers).
pub type Controller = Named<ControllerNoun>;
