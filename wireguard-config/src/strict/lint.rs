//! What only several lines together show.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::key::PublicKey;
use crate::net::{InterfaceAddress, Network};
use crate::strict::Reader;
use crate::strict::places::{At, PeerPlaces, Places};

/// IPv6 needs links of at least this many bytes.
const SMALLEST_IPV6_MTU: u32 = 1280;

pub(super) fn lint(reader: &mut Reader<'_>) {
    let Some(places) = reader.places.take() else {
        return;
    };
    interface(reader, &places);
    peers(reader, &places);
    overlaps(reader, &places);
    tunnel_loops(reader, &places);
    reader.places = Some(places);
}

fn interface(reader: &mut Reader<'_>, places: &Places) {
    if places.private_key.is_none() {
        let at = places.interface.unwrap_or((1, 1));
        reader.warn(
            "no-private-key",
            at,
            "the interface has no PrivateKey",
            "setconf clears the key; set it in another way, or add it",
        );
    }
    if let (Some(at), Some(key)) = (
        places.private_key,
        reader.config.interface.private_key.clone(),
    ) {
        if key.is_zero() {
            reader.warn(
                "zero-private-key",
                at,
                "an all-zero private key clears the key",
                "make one with `wg genkey`",
            );
        } else if !key.is_clamped() {
            reader.warn(
                "unclamped-key",
                at,
                "the private key is not clamped",
                "harmless, but the tools will show the clamped one",
            );
        }
    }
    for at in &places.hooks {
        reader.warn(
            "hook",
            *at,
            "a hook runs this code as root",
            "read it before you use a configuration from elsewhere",
        );
    }
    if let Some(at) = places.save_config {
        reader.warn("save-config", at, "SaveConfig rewrites the file when the interface goes down: comments and order are lost", "remove it if people edit the file");
    }
    mtu(reader, places);
    for (i, (address, at)) in places.addresses.iter().enumerate() {
        if places.addresses[..i]
            .iter()
            .any(|(other, _)| other.address() == address.address())
        {
            reader.warn(
                "repeated-address",
                *at,
                format!("{} stands twice", address.address()),
                "remove one",
            );
        }
        if is_anycast(*address) {
            reader.warn(
                "anycast-address",
                *at,
                format!("{address} is the routers' anycast address of its network"),
                "take another address of the network",
            );
        }
    }
    let faults = reader
        .config
        .interface
        .obfuscation
        .faults(reader.config.interface.mtu);
    for (key, reason) in faults {
        let at = places
            .obfuscation
            .iter()
            .rev()
            .find(|(name, _)| name.eq_ignore_ascii_case(key));
        reader.warn(
            "obfuscation",
            at.map_or((1, 1), |(_, at)| *at),
            reason,
            "both ends must use values that pass",
        );
    }
}

fn is_anycast(address: InterfaceAddress) -> bool {
    address.address().is_ipv6() && address.prefix() < 127 && !address.has_host_bits()
}

fn mtu(reader: &mut Reader<'_>, places: &Places) {
    let (Some(at), Some(mtu)) = (places.mtu, reader.config.interface.mtu) else {
        return;
    };
    let six = places
        .addresses
        .iter()
        .any(|(address, _)| address.address().is_ipv6());
    if six && mtu < SMALLEST_IPV6_MTU {
        reader.warn(
            "mtu-small",
            at,
            format!("an MTU of {mtu} is too small for IPv6, which needs {SMALLEST_IPV6_MTU}"),
            "raise it, or leave IPv6 out",
        );
    } else if mtu < 576 {
        reader.warn(
            "mtu-small",
            at,
            format!("an MTU of {mtu} is smaller than any IPv4 host must accept"),
            "1420 fits ordinary links",
        );
    } else if mtu > 1440 {
        reader.warn(
            "mtu-large",
            at,
            format!(
                "an MTU of {mtu} leaves no room for WireGuard's 60 to 80 bytes in a packet of 1500"
            ),
            "1420 fits ordinary links, 1412 fits PPPoE",
        );
    }
}

fn peers(reader: &mut Reader<'_>, places: &Places) {
    let own = reader
        .config
        .interface
        .private_key
        .as_ref()
        .map(|key| key.public_key());
    let mut keys: HashMap<PublicKey, At> = HashMap::new();
    let mut endpoints: HashMap<String, At> = HashMap::new();
    for peer in &places.peers {
        let at = peer.public_key.unwrap_or((1, 1));
        if let Some(key) = peer.key {
            if own == Some(key) {
                reader.warn(
                    "own-key",
                    at,
                    "this is the interface's own public key",
                    "the kernel drops such a peer; put in the other end's key",
                );
            }
            if let Some(first) = keys.insert(key, at) {
                reader.warn(
                    "duplicate-peer",
                    at,
                    format!(
                        "the same PublicKey as in line {}: the allowed IPs of the first are lost",
                        first.0
                    ),
                    "merge the two sections",
                );
            }
        }
        if let (Some(at), None) = (peer.keepalive, peer.endpoint) {
            reader.warn(
                "keepalive-without-endpoint",
                at,
                "keepalive without endpoint has no effect until the peer is heard from",
                "add an Endpoint, or let the other end keep alive",
            );
        }
        endpoint(reader, places, peer, &mut endpoints);
    }
}

fn endpoint(
    reader: &mut Reader<'_>,
    places: &Places,
    peer: &PeerPlaces,
    seen: &mut HashMap<String, At>,
) {
    let (Some(at), Some(key)) = (peer.endpoint, peer.key) else {
        return;
    };
    let Some(endpoint) = reader
        .config
        .peer(&key)
        .and_then(|peer| peer.endpoint.clone())
    else {
        return;
    };
    if endpoint.port() == 0 {
        reader.warn(
            "port-zero",
            at,
            "port 0 cannot be reached",
            "write the port on which the peer listens",
        );
    } else if let Some(first) = seen.insert(endpoint.to_string().to_ascii_lowercase(), at) {
        reader.warn(
            "reused-endpoint",
            at,
            format!("the same host and port as in line {}", first.0),
            "two peers cannot listen on one port",
        );
    }
    let Some(address) = endpoint.address() else {
        return;
    };
    if let Some((own, _)) = places
        .addresses
        .iter()
        .find(|(own, _)| !own.network().is_host() && own.network().contains(address))
    {
        reader.warn(
            "endpoint-in-tunnel",
            at,
            format!(
                "the endpoint lies inside the tunnel's own range {}",
                own.network()
            ),
            "use the address outside the tunnel",
        );
    }
}

/// WireGuard keeps one owner for each network, so a second claim takes it away from the first.
fn overlaps(reader: &mut Reader<'_>, places: &Places) {
    let mut owners: HashMap<Network, (usize, At)> = HashMap::new();
    for (index, peer) in places.peers.iter().enumerate() {
        for allowed in &peer.allowed {
            let previous = owners.insert(allowed.network, (index, allowed.at));
            let same_peer = |other: usize| {
                other == index || (peer.key.is_some() && places.peers[other].key == peer.key)
            };
            match previous {
                Some((other, _)) if other == index => {
                    reader.warn(
                        "duplicate-entry",
                        allowed.at,
                        format!("{} stands twice in the same peer", allowed.network),
                        "remove one",
                    );
                }
                Some((other, first)) if !same_peer(other) => {
                    let after = if allowed.host_bits {
                        "after masking, "
                    } else {
                        ""
                    };
                    reader.warn("overlap", allowed.at, format!("{after}{} is also claimed in line {}: the later peer silently takes it", allowed.network, first.0), "give each network to one peer");
                }
                _ if allowed.host_bits => {
                    reader.warn(
                        "host-bits",
                        allowed.at,
                        format!("host bits are set: masked to {}", allowed.network),
                        "write the network, or the address with /32 or /128",
                    );
                }
                _ => {}
            }
            let own = places
                .addresses
                .iter()
                .find(|(own, _)| allowed.network == Network::host(own.address()));
            if let Some((own, _)) = own {
                reader.warn(
                    "own-address",
                    allowed.at,
                    format!("{} is the interface's own address", own.address()),
                    "two ends cannot have one address",
                );
            }
        }
    }
}

/// An endpoint that is itself routed into the tunnel. A /0 is wg-quick's own business (it marks its packets), unless
/// `Table` keeps it from doing so.
fn tunnel_loops(reader: &mut Reader<'_>, places: &Places) {
    let handled = matches!(
        reader.config.interface.table,
        None | Some(crate::config::Table::Auto)
    );
    let mut found: Vec<(At, Network, IpAddr)> = Vec::new();
    for peer in &places.peers {
        let (Some(at), Some(key)) = (peer.endpoint, peer.key) else {
            continue;
        };
        let Some(endpoint) = reader
            .config
            .peer(&key)
            .and_then(|peer| peer.endpoint.as_ref())
        else {
            continue;
        };
        let Some(address) = endpoint.address() else {
            continue;
        };
        let network = reader
            .config
            .peers
            .iter()
            .flat_map(|peer| &peer.allowed_ips)
            .filter(|network| network.contains(address))
            .find(|network| !(network.is_default() && handled));
        if let Some(network) = network
            && reader.config.interface.table != Some(crate::config::Table::Off)
        {
            found.push((at, *network, address));
        }
    }
    for (at, network, address) in found {
        reader.warn(
            "endpoint-loop",
            at,
            format!(
                "the endpoint {address} lies inside {network}, which is routed into the tunnel"
            ),
            "leave the endpoint's address out of the allowed IPs",
        );
    }
}
