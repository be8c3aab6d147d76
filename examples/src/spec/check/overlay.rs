//! The WireGuard overlay.

use std::net::Ipv4Addr;

use super::Check;
use crate::spec::net::Cidr;
use crate::spec::overlay::{PeerRole, WireGuard, WireGuardPeer};
use crate::spec::platform::Encryption;

/// Where Cilium's own WireGuard listens on every node.
const CILIUM_PORT: u16 = 51_871;

pub(super) fn run(check: &mut Check<'_, '_>) {
    let Some(overlay) = &check.spec.wireguard else {
        return;
    };
    hub(check, overlay);
    routes(check, overlay);
    if overlay.port == CILIUM_PORT && check.spec.cilium.encryption == Encryption::Wireguard {
        check
            .error("wg-port-clash", "wireguard.port", format!("port {CILIUM_PORT}/udp is wanted by wg0 and by Cilium's encryption on every node"))
            .needs("cilium.encryption")
            .help("port: 51820")
            .done();
    }
    mtu(check, overlay);
}

fn hub(check: &mut Check<'_, '_>, overlay: &WireGuard) {
    let hubs: Vec<(&String, &WireGuardPeer)> = overlay
        .peers
        .iter()
        .filter(|(_, peer)| peer.role == PeerRole::Hub)
        .collect();
    let basis = "wireguard.peers";
    match hubs.as_slice() {
        [] => check
            .error(
                "wg-no-hub",
                basis,
                "wireguard.peers has no hub: the others could not find each other",
            )
            .help("one peer of role hub with a public endpoint")
            .done(),
        [(name, hub)] if hub.endpoint.is_none() => {
            let spokes: Vec<&str> = overlay
                .peers
                .keys()
                .filter(|other| other != name)
                .map(String::as_str)
                .take(2)
                .collect();
            check
                .error("wg-no-endpoint", format!("wireguard.peers.{name}"), format!("{} have no reachable endpoint for each other; {name} is the hub and needs one", spokes.join(" and ")))
                .help("endpoint: vps.example.org:51820")
                .done();
        }
        [_] => {}
        [(one, _), (two, _), ..] => check
            .error(
                "wg-two-hubs",
                format!("wireguard.peers.{two}.role"),
                format!("{one} and {two} are both hubs: routes of the others would be ambiguous"),
            )
            .also(format!("wireguard.peers.{one}.role"), "the first")
            .help("one hub; the other one as gateway")
            .done(),
    }
}

fn routes(check: &mut Check<'_, '_>, overlay: &WireGuard) {
    let mut owners: Vec<(&str, Cidr, String)> = Vec::new();
    for (name, peer) in &overlay.peers {
        let path = format!("wireguard.peers.{name}");
        if !overlay.subnet.contains(peer.address) {
            check
                .error(
                    "wg-address-outside",
                    format!("{path}.address"),
                    format!(
                        "{path}.address {} is not inside wireguard.subnet {}",
                        peer.address, overlay.subnet
                    ),
                )
                .also("wireguard.subnet", format!("{}", overlay.subnet))
                .help("an address of the overlay that no other peer has")
                .done();
        }
        let own = Cidr::new(peer.address, 32).map(|net| (net, format!("{path}.address")));
        let behind = peer
            .routes
            .iter()
            .enumerate()
            .map(|(index, net)| (*net, format!("{path}.routes[{index}]")));
        for (net, at) in own.into_iter().chain(behind) {
            if let Some((other, _, before)) = owners
                .iter()
                .find(|(other, known, _)| other != name && *known == net)
            {
                let message = format!(
                    "{net} is routed to both {other} and {name}; the later one would win silently"
                );
                let before = before.clone();
                check
                    .error("wg-allowedips-dup", &at, message)
                    .also(before, (*other).to_owned())
                    .help("each address and network has one way")
                    .done();
            }
            owners.push((name, net, at));
        }
    }
}

fn mtu(check: &mut Check<'_, '_>, overlay: &WireGuard) {
    let link = check.spec.network.mtu;
    let fits = link.saturating_sub(80);
    if overlay.mtu < 1280 {
        check
            .error(
                "mtu-small",
                "wireguard.mtu",
                format!(
                    "wireguard.mtu {} is below 1280, the least that IPv6 and many tools take",
                    overlay.mtu
                ),
            )
            .help(format!("mtu: {}", fits.max(1280)))
            .done();
    } else if overlay.mtu > fits {
        check
            .warning(
                "mtu",
                "wireguard.mtu",
                format!(
                    "wireguard.mtu {} does not fit a {link} link (80 bytes overhead): {fits}",
                    overlay.mtu
                ),
            )
            .needs("network.mtu")
            .help(format!("mtu: {fits}"))
            .done();
    }
    let unreachable = Ipv4Addr::UNSPECIFIED;
    for (name, peer) in overlay.peers.iter().filter(|(_, peer)| {
        peer.endpoint
            .as_ref()
            .is_some_and(|end| end.host.parse() == Ok(unreachable))
    }) {
        check
            .error(
                "wg-endpoint",
                format!("wireguard.peers.{name}.endpoint"),
                format!(
                    "wireguard.peers.{name}.endpoint {} is no address that can be reached",
                    peer.address
                ),
            )
            .help("the public address or name")
            .done();
    }
}
