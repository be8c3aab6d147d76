//! BGP.

use super::Check;
use crate::spec::platform::Announce;

pub(super) fn run(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let Some(bgp) = &spec.bgp else {
        if spec.load_balancer.mode == Announce::Bgp {
            check
                .error("bgp-missing", "loadBalancer.mode", "loadBalancer.mode is bgp, but there is no section bgp: no router would learn the addresses")
                .needs("bgp")
                .help("bgp: {localAsn: 64512, peers: [{name: router, address: …, asn: …}]}, or mode: l2")
                .done();
        }
        return;
    };
    if bgp.peers.is_empty() {
        check
            .error(
                "bgp-missing",
                "bgp.peers",
                "bgp.peers is empty: no router would learn the addresses",
            )
            .help("at least one router")
            .done();
    }
    if !bgp.local_asn.is_private() {
        check
            .warning(
                "bgp-asn-public",
                "bgp.localAsn",
                format!(
                    "bgp.localAsn {} is a public number; is it yours?",
                    bgp.local_asn
                ),
            )
            .help("64512..65534 or 4200000000..4294967294 are for private use")
            .done();
    }
    for (index, peer) in bgp.peers.iter().enumerate() {
        let path = format!("bgp.peers[{index}]");
        if let Some(node) = spec.nodes.iter().find(|node| node.address == peer.address) {
            check
                .error(
                    "bgp-peer-is-node",
                    format!("{path}.address"),
                    format!("{path}.address {} is node {}", peer.address, node.name),
                )
                .also(format!("{}.address", node.source), format!("{}", node.name))
                .help("the address of the router")
                .done();
        }
        let (hold, keepalive) = (peer.hold.get().as_secs(), peer.keepalive.get().as_secs());
        if hold < 3 * keepalive || hold < 3 {
            check
                .error(
                    "bgp-timers",
                    format!("{path}.hold"),
                    format!(
                        "bgp hold {} must be at least 3 × keepalive {}",
                        peer.hold, peer.keepalive
                    ),
                )
                .also(format!("{path}.keepalive"), format!("{}", peer.keepalive))
                .help(format!("hold: {}s", (3 * keepalive).max(3)))
                .done();
        }
    }
}
