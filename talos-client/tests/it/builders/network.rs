//! Names, resolvers, interfaces, tunnels.

use std::time::Duration;
use talos_client::Interface;
use talos_client::PatchBuilder;
use talos_client::WireguardPeer;
use talos_client::documents::BondMode;
use talos_client::documents::KubeSpanConfig;
use talos_client::documents::network;

use super::{holds, refused};

/// A public key of WireGuard, and a private one that belongs to nobody.
const KEY: &str = "IWYSkn3hBG2GG3BKvQrlrCeB4GwFhVAaj0MrLSFGVEk=";

#[test]
fn names_and_resolvers() {
    holds(
        |patch| {
            patch
                .hostname("n1")
                .nameservers(["10.0.0.1", "fd00::1"])
                .search_domains(["lan"])
        },
        &[
            (
                10,
                11,
                &["+hostname: n1", "+- 10.0.0.1", "+- fd00::1", "+- lan"],
            ),
            (
                12,
                14,
                &[
                    "+auto: 'off'",
                    "+hostname: n1",
                    "+- address: 10.0.0.1",
                    "+- address: fd00::1",
                    "+- lan",
                ],
            ),
        ],
    );
    holds(
        |patch| patch.static_host("10.0.0.9", ["nas", "nas.lan"]),
        &[
            (10, 11, &["+- ip: 10.0.0.9", "+- nas.lan"]),
            (
                12,
                14,
                &["+kind: StaticHostConfig", "+name: 10.0.0.9", "+- nas.lan"],
            ),
        ],
    );
    holds(
        |patch| {
            patch.host_dns(
                network::HostDNSConfig::new()
                    .with_enabled(true)
                    .with_resolve_member_names(true),
            )
        },
        &[(10, 14, &["+resolveMemberNames: true"])],
    );
    refused(
        |patch| patch.nameservers(["dns.lan"]),
        &[11, 14],
        "nameserver",
    );
    refused(
        |patch| patch.search_domains(["lan"]),
        &[8],
        "came with v1.9",
    );
    refused(
        |patch| patch.host_dns(network::HostDNSConfig::new().with_enabled(true)),
        &[6],
        "came with v1.7",
    );
}

#[test]
fn interfaces_with_addresses() {
    holds(
        |patch| {
            patch.interface(
                Interface::named("eth0")
                    .address("10.0.20.11/24")
                    .gateway("10.0.20.1")
                    .route("10.9.0.0/16", "10.0.20.2")
                    .vip("10.0.20.10")
                    .mtu(9000),
            )
        },
        &[
            (
                10,
                11,
                &[
                    "+- interface: eth0",
                    "+- 10.0.20.11/24",
                    "+- network: 0.0.0.0/0",
                    "+gateway: 10.0.20.1",
                    "+- network: 10.9.0.0/16",
                    "+mtu: 9000",
                    "+ip: 10.0.20.10",
                ],
            ),
            (
                12,
                14,
                &[
                    "+kind: LinkConfig",
                    "+name: eth0",
                    "+- address: 10.0.20.11/24",
                    "+- gateway: 10.0.20.1",
                    "+- destination: 10.9.0.0/16",
                    "+mtu: 9000",
                    "+kind: Layer2VIPConfig",
                    "+link: eth0",
                ],
            ),
        ],
    );
    holds(
        |patch| {
            patch.interface(
                Interface::by_mac("net0", "52:54:00:AB:00:01")
                    .dhcp(true)
                    .dhcp6(),
            )
        },
        &[
            (
                10,
                11,
                &[
                    "+hardwareAddr: 52:54:00:ab:00:01",
                    "+dhcp: true",
                    "+ipv4: true",
                    "+ipv6: true",
                ],
            ),
            (
                12,
                14,
                &[
                    "+match: mac(link.permanent_addr) == \"52:54:00:ab:00:01\"",
                    "+kind: DHCPv4Config",
                    "+kind: DHCPv6Config",
                ],
            ),
        ],
    );
    holds(
        |patch| {
            patch.interface(
                Interface::named("eth0")
                    .address("fd00::2/64")
                    .gateway("fd00::1"),
            )
        },
        &[
            (10, 11, &["+- network: ::/0"]),
            (12, 14, &["+- gateway: fd00::1"]),
        ],
    );
    holds(
        |patch| {
            patch.interface(
                Interface::named("eth0")
                    .address("10.0.20.11/24")
                    .vip_hcloud("10.0.20.10", "token"),
            )
        },
        &[
            (10, 11, &["+hcloud:", "+apiToken: token"]),
            (12, 14, &["+kind: HCloudVIPConfig", "+apiToken: token"]),
        ],
    );
    let wrong =
        |patch: PatchBuilder| patch.interface(Interface::named("eth0").address("10.0.20.11"));
    refused(
        wrong,
        &[11, 14],
        "interface eth0 address: netip.ParsePrefix(\"10.0.20.11\"): no '/'",
    );
}

#[test]
fn interfaces_made_of_others() {
    holds(
        |patch| {
            patch.interface(
                Interface::vlan("eth0", 30)
                    .address("10.0.30.11/24")
                    .dhcp(false)
                    .mtu(1500),
            )
        },
        &[
            (10, 11, &["+- interface: eth0", "+vlanId: 30", "+mtu: 1500"]),
            (
                12,
                14,
                &[
                    "+kind: VLANConfig",
                    "+name: eth0.30",
                    "+vlanID: 30",
                    "+parent: eth0",
                ],
            ),
        ],
    );
    let bond = || {
        Interface::bond("bond0", BondMode::Ieee8023ad, ["eth0", "eth1"])
            .bond_miimon(100)
            .bond_hash_policy("layer3+4")
            .bond_lacp_rate("fast")
            .address("10.0.20.11/24")
    };
    holds(
        |patch| patch.interface(bond()),
        &[
            (
                10,
                11,
                &[
                    "+- interface: bond0",
                    "+- eth1",
                    "+mode: 802.3ad",
                    "+xmitHashPolicy: layer3+4",
                    "+lacpRate: fast",
                    "+miimon: 100",
                ],
            ),
            (
                12,
                14,
                &[
                    "+kind: BondConfig",
                    "+- eth1",
                    "+bondMode: 802.3ad",
                    "+xmitHashPolicy: layer3+4",
                    "+lacpRate: fast",
                    "+miimon: 100",
                ],
            ),
        ],
    );
    holds(
        |patch| patch.interface(Interface::bridge("br0", ["eth0"]).bridge_stp(true)),
        &[
            (10, 11, &["+bridge:", "+stp:", "+enabled: true"]),
            (12, 14, &["+kind: BridgeConfig", "+stp:", "+enabled: true"]),
        ],
    );
    holds(
        |patch| patch.interface(Interface::dummy("dummy0").address("10.99.0.1/32")),
        &[
            (10, 11, &["+dummy: true"]),
            (
                12,
                14,
                &["+kind: DummyLinkConfig", "+- address: 10.99.0.1/32"],
            ),
        ],
    );
}

#[test]
fn tunnels() {
    let peer = || {
        WireguardPeer::new(KEY)
            .endpoint("203.0.113.9:51820")
            .keepalive(Duration::from_secs(25))
            .allowed_ip("10.8.0.0/24")
    };
    let tunnel = |peer| {
        Interface::wireguard("wg0", KEY)
            .listen_port(51820)
            .address("10.8.0.2/24")
            .peer(peer)
    };
    holds(
        |patch| patch.interface(tunnel(peer())),
        &[
            (
                10,
                11,
                &[
                    "+wireguard:",
                    "+listenPort: 51820",
                    "+endpoint: 203.0.113.9:51820",
                    "+persistentKeepaliveInterval: 25s",
                    "+- 10.8.0.0/24",
                ],
            ),
            (
                12,
                14,
                &[
                    "+kind: WireguardConfig",
                    "+listenPort: 51820",
                    "+endpoint: 203.0.113.9:51820",
                    "+persistentKeepaliveInterval: 25s",
                    "+- 10.8.0.0/24",
                ],
            ),
        ],
    );
    holds(
        |patch| patch.interface(tunnel(peer().preshared_key(KEY))),
        &[(12, 14, &["+kind: WireguardConfig"])],
    );
    refused(
        |patch| patch.interface(tunnel(peer().preshared_key(KEY))),
        &[11],
        "preshared key",
    );
    let shown = format!("{:?}", tunnel(peer().preshared_key("psk-of-peer")));
    assert!(
        !shown.contains("psk-of-peer") && shown.matches(KEY).count() == 1,
        "{shown}"
    );
}

#[test]
fn kube_span() {
    let mesh = || {
        KubeSpanConfig::new()
            .with_enabled(true)
            .with_mtu(1380)
            .with_filters(network::KubeSpanFiltersConfig::new().with_endpoints(["0.0.0.0/0"]))
    };
    holds(
        |patch| patch.kube_span(mesh()),
        &[
            (
                10,
                12,
                &["+kubespan:", "+enabled: true", "+mtu: 1380", "+- 0.0.0.0/0"],
            ),
            (
                13,
                14,
                &[
                    "+kind: KubeSpanConfig",
                    "+enabled: true",
                    "+mtu: 1380",
                    "+- 0.0.0.0/0",
                ],
            ),
        ],
    );
}
