//! The network's services: load balancer, BGP, Cilium, gateway.

use std::net::Ipv4Addr;

use super::decode::{Cx, Decode, Map, choice, record};
use super::name::{DnsLabel, Domain};
use super::net::{AddressRange, Asn};
use super::reference::SecretRef;
use super::time::Period;
use super::yaml::Node;

choice! {
    /// How the network learns where a service answers.
    Announce {
        /// The router is told by BGP.
        Bgp = "bgp",
        /// One node answers ARP.
        L2 = "l2",
    }
}

record! {
    /// Addresses for services of type LoadBalancer.
    LoadBalancer {
        /// How they are announced.
        mode: Announce = need "mode",
        /// Where they come from.
        pools: Vec<Pool> = need "pools",
    }
}

record! {
    /// A pool of addresses.
    Pool {
        /// Name.
        name: DnsLabel = need "name",
        /// First to last address, or a network.
        range: AddressRange = need "range",
    }
}

record! {
    /// The cluster as a BGP speaker.
    Bgp {
        /// Own number.
        local_asn: Asn = need "localAsn",
        /// Routers that are told.
        peers: Vec<BgpPeer> = need "peers",
    }
}

/// A router.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct BgpPeer {
    /// Name.
    pub name: DnsLabel,
    /// Address.
    pub address: Ipv4Addr,
    /// Its number.
    pub asn: Asn,
    /// Interval of the keep-alive messages.
    pub keepalive: Period,
    /// Silence after which the session is down.
    pub hold: Period,
    /// Shared password of the session.
    #[serde(rename = "passwordFrom", skip_serializing_if = "Option::is_none")]
    pub password_from: Option<SecretRef>,
}

impl Decode for BgpPeer {
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
        let mut map = Map::open(cx, path, node)?;
        if map.node("asn").is_none() && !cx.is_broken(&map.at("asn")) {
            cx.error_help(
                "bgp-partial",
                &map.at("asn"),
                format!("{path} lacks asn"),
                "asn: 65510, the number of the router",
            );
        }
        let peer = Self {
            name: map.need(cx, "name"),
            address: map.need(cx, "address"),
            asn: map.need(cx, "asn"),
            keepalive: map.or(cx, "keepalive", Period::seconds(30)),
            hold: map.or(cx, "hold", Period::seconds(90)),
            password_from: map.maybe(cx, "passwordFrom"),
        };
        map.finish(cx);
        Some(peer)
    }

    fn placeholder() -> Self {
        Self {
            name: Decode::placeholder(),
            address: Decode::placeholder(),
            asn: Decode::placeholder(),
            keepalive: Decode::placeholder(),
            hold: Decode::placeholder(),
            password_from: None,
        }
    }
}

choice! {
    /// How packets find pods of other nodes.
    Routing {
        /// The nodes' network routes them as they are.
        Native = "native",
        /// In VXLAN.
        Tunnel = "tunnel",
    }
}

choice! {
    /// What is encrypted between nodes.
    Encryption {
        /// Pods' traffic, by WireGuard.
        Wireguard = "wireguard",
        /// Nothing.
        None = "none",
    }
}

choice! {
    /// What happens to traffic that is not declared.
    Enforcement {
        /// Dropped.
        Enforce = "enforce",
        /// Reported and let through.
        Audit = "audit",
    }
}

choice! {
    /// Work of the load balancer in the network driver.
    Acceleration {
        /// Not used.
        Disabled = "disabled",
        /// Where the driver can.
        BestEffort = "best-effort",
        /// Everywhere, else the agent does not start.
        Native = "native",
    }
}

record! {
    /// Settings of Cilium that a homelab decides.
    Cilium {
        /// How packets find pods of other nodes.
        routing: Routing = or "routing" (Routing::Native),
        /// Encryption between nodes.
        encryption: Encryption = or "encryption" (Encryption::Wireguard),
        /// Mutual authentication of workloads; gone in Cilium 1.21.
        mutual_authentication: bool = or "mutualAuthentication" (false),
        /// What happens to traffic that is not declared.
        policy: Enforcement = or "policy" (Enforcement::Enforce),
        /// XDP.
        acceleration: Acceleration = or "acceleration" (Acceleration::Disabled),
        /// Namespaces of the platform that nothing may enter, whatever else is allowed.
        isolate: Vec<DnsLabel> = or "isolate" (Vec::new()),
        /// Flow logs.
        hubble: Hubble = or "hubble" (Hubble { relay: true, ui: true }),
    }
}

record! {
    /// Flow logs.
    Hubble {
        /// One service for the flows of all nodes.
        relay: bool = or "relay" (true),
        /// Web page; needs the relay.
        ui: bool = or "ui" (true),
    }
}

record! {
    /// The way in from outside.
    Gateway {
        /// Address out of a pool.
        address: Ipv4Addr = need "address",
        /// Host names that are served.
        listeners: Vec<Listener> = need "listeners",
        /// Certificate of all listeners.
        certificate: Certificate = need "certificate",
        /// What of the platform is reachable, under which name.
        routes: Vec<Route> = or "routes" (Vec::new()),
    }
}

record! {
    /// A host name, or all one label under a domain.
    Listener {
        /// Name.
        name: DnsLabel = need "name",
        /// What it serves.
        hostname: Domain = need "hostname",
    }
}

record! {
    /// A certificate and who signs it.
    Certificate {
        /// Names that it covers.
        names: Vec<Domain> = need "names",
        /// Proof that the names are ours.
        solver: Solver = or "solver" (Solver::Dns01),
        /// Directory of the authority.
        server: String = or "server" ("https://acme-v02.api.letsencrypt.org/directory".into()),
        /// Told about certificates that run out.
        email: String = need "email",
        /// Token of the DNS provider.
        #[serde(skip_serializing_if = "Option::is_none")]
        token_from: Option<SecretRef> = maybe "tokenFrom",
    }
}

choice! {
    /// ACME challenges.
    Solver {
        /// A TXT record.
        Dns01 = "dns01",
        /// A file on port 80.
        Http01 = "http01",
    }
}

record! {
    /// A published part of the platform.
    Route {
        /// Its name for the world.
        host: Domain = need "host",
        /// Workload of the catalogue.
        to: DnsLabel = need "to",
    }
}
