//! What other programs are given.

use wireguard_config::render::firewall::{Policy, nftables, ufw};
use wireguard_config::render::{
    Rendered, cloud_init, network_manager, networkd, picture, qr, quick, talos,
};
use wireguard_config::{Config, ErrorKind, Inventory, Keys, Member, Plan, Topology};

use crate::support::Seeded;

const PRIVATE: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const PSK: &str = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=";
const ALICE: &str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";

fn config(extra: &str, allowed: &str) -> Config {
    Config::parse(format!(
        "[Interface]\nPrivateKey = {PRIVATE}\nListenPort = 51820\nAddress = 10.0.0.1/24, fd00::1/64\nDNS = 10.0.0.53, fd00::53, lan\nMTU = 1420\n{extra}\n\
         [Peer]\nPublicKey = {ALICE}\nPresharedKey = {PSK}\nAllowedIPs = {allowed}\nEndpoint = 192.0.2.2:51820\nPersistentKeepalive = 25\n"
    ))
    .unwrap()
}

fn usual() -> Config {
    config("", "10.0.0.2/32, 192.168.7.0/24")
}

fn shown(text: &str) -> String {
    text.replace(PRIVATE, "<private>")
        .replace(PSK, "<psk>")
        .replace(ALICE, "<alice>")
}

fn files(rendered: &Rendered) -> String {
    let file = |f: &wireguard_config::render::OutputFile| {
        format!(
            "== {} {:o} {}\n{}",
            f.path,
            f.mode,
            f.owner,
            shown(&f.content)
        )
    };
    rendered
        .files
        .iter()
        .map(file)
        .chain(rendered.notes.iter().map(|note| format!("! {note}\n")))
        .collect()
}

#[test]
fn networkd_gets_two_files_and_every_route() {
    insta::assert_snapshot!(files(&networkd::networkd(&usual(), "wg0").unwrap()), @"
    == /etc/systemd/network/50-wg0.netdev 640 root:systemd-network
    [NetDev]
    Name=wg0
    Kind=wireguard
    MTUBytes=1420

    [WireGuard]
    PrivateKey=<private>
    ListenPort=51820

    [WireGuardPeer]
    PublicKey=<alice>
    PresharedKey=<psk>
    AllowedIPs=10.0.0.2/32
    AllowedIPs=192.168.7.0/24
    Endpoint=192.0.2.2:51820
    PersistentKeepalive=25
    == /etc/systemd/network/50-wg0.network 640 root:systemd-network
    [Match]
    Name=wg0

    [Network]
    Address=10.0.0.1/24
    Address=fd00::1/64
    DNS=10.0.0.53
    DNS=fd00::53
    Domains=lan

    [Route]
    Destination=192.168.7.0/24
    Scope=link
    ");
}

#[test]
fn networkd_sends_default_routes_through_a_table_of_their_own() {
    let rendered = networkd::networkd(&config("PostUp = true", "0.0.0.0/0, ::/0"), "wg0").unwrap();
    assert!(rendered.files[0].content.contains("FirewallMark=51820"));
    insta::assert_snapshot!(rendered.files[1].content.as_str(), @"
    [Match]
    Name=wg0

    [Network]
    Address=10.0.0.1/24
    Address=fd00::1/64
    DNS=10.0.0.53
    DNS=fd00::53
    Domains=lan

    [Route]
    Destination=0.0.0.0/0
    Scope=link
    Table=51820

    [Route]
    Destination=::/0
    Scope=link
    Table=51820

    [RoutingPolicyRule]
    Family=both
    Table=main
    SuppressPrefixLength=0
    Priority=9

    [RoutingPolicyRule]
    Family=both
    FirewallMark=51820
    InvertRule=yes
    Table=51820
    Priority=10
    ");
    assert_eq!(rendered.notes.len(), 1);
}

#[test]
fn network_manager_gets_a_keyfile() {
    insta::assert_snapshot!(files(&network_manager::network_manager(&usual(), "wg0").unwrap()), @"
    == /etc/NetworkManager/system-connections/wg0.nmconnection 600 root:root
    [connection]
    id=wg0
    type=wireguard
    interface-name=wg0

    [wireguard]
    private-key=<private>
    private-key-flags=0
    listen-port=51820
    mtu=1420
    peer-routes=true

    [wireguard-peer.<alice>]
    endpoint=192.0.2.2:51820
    preshared-key=<psk>
    preshared-key-flags=0
    persistent-keepalive=25
    allowed-ips=10.0.0.2/32;192.168.7.0/24;

    [ipv4]
    method=manual
    address1=10.0.0.1/24
    dns=10.0.0.53;
    dns-search=lan;

    [ipv6]
    method=manual
    address1=fd00::1/64
    dns=fd00::53;
    ");
}

#[test]
fn talos_gets_a_document() {
    insta::assert_snapshot!(shown(&talos::document(&usual(), "wg0").unwrap()), @r#"
    apiVersion: v1alpha1
    kind: WireguardConfig
    name: "wg0"
    privateKey: "<private>"
    listenPort: 51820
    peers:
      - publicKey: "<alice>"
        presharedKey: "<psk>"
        endpoint: "192.0.2.2:51820"
        persistentKeepaliveInterval: "25s"
        allowedIPs:
          - "10.0.0.2/32"
          - "192.168.7.0/24"
    mtu: 1420
    addresses:
      - address: "10.0.0.1/24"
      - address: "fd00::1/64"
    routes:
      - destination: "192.168.7.0/24"
    "#);
}

#[test]
fn talos_before_documents_gets_a_machine_patch() {
    insta::assert_snapshot!(shown(&talos::machine_patch(&usual(), "wg0").unwrap()), @r#"
    machine:
      network:
        interfaces:
          - interface: "wg0"
            mtu: 1420
            addresses:
              - "10.0.0.1/24"
              - "fd00::1/64"
            routes:
              - network: "192.168.7.0/24"
            wireguard:
              privateKey: "<private>"
              listenPort: 51820
              peers:
                - publicKey: "<alice>"
                  presharedKey: "<psk>"
                  endpoint: "192.0.2.2:51820"
                  persistentKeepaliveInterval: "25s"
                  allowedIPs:
                    - "10.0.0.2/32"
                    - "192.168.7.0/24"
    "#);
}

#[test]
fn talos_refuses_names_as_endpoints() {
    let mut config = usual();
    config.peers[0].endpoint = Some("vpn.example.com:1".parse().unwrap());
    assert_eq!(
        talos::document(&config, "wg0").unwrap_err().kind(),
        ErrorKind::Endpoint
    );
    config.peers[0].endpoint = None;
    config.interface.private_key = None;
    assert_eq!(
        talos::machine_patch(&config, "wg0").unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

#[test]
fn cloud_init_writes_the_file_and_starts_it() {
    insta::assert_snapshot!(shown(&cloud_init::cloud_init(&usual(), "wg0", true).unwrap()), @r#"
    #cloud-config
    packages:
      - wireguard-tools
    write_files:
      - path: "/etc/wireguard/wg0.conf"
        owner: "root:root"
        permissions: "0600"
        content: |
          [Interface]
          PrivateKey = <private>
          ListenPort = 51820
          Address = 10.0.0.1/24
          Address = fd00::1/64
          DNS = 10.0.0.53, fd00::53, lan
          MTU = 1420

          [Peer]
          PublicKey = <alice>
          PresharedKey = <psk>
          AllowedIPs = 10.0.0.2/32, 192.168.7.0/24
          Endpoint = 192.0.2.2:51820
          PersistentKeepalive = 25
      - path: "/etc/sysctl.d/60-wireguard-forwarding.conf"
        permissions: "0644"
        content: |
          net.ipv4.ip_forward = 1
          net.ipv6.conf.all.forwarding = 1
    runcmd:
      - [sysctl, --system]
      - [systemctl, enable, --now, "wg-quick@wg0.service"]
    "#);
}

#[test]
fn an_interface_name_cannot_carry_anything_else() {
    for name in ["", "a b", "wg0\"; drop", "sixteen-letters-", "../x", ".."] {
        assert_eq!(
            networkd::networkd(&usual(), name).unwrap_err().kind(),
            ErrorKind::Name,
            "{name}"
        );
        assert!(cloud_init::cloud_init(&usual(), name, false).is_err());
        assert!(nftables(&usual(), name, &Policy::default()).is_err());
        assert!(ufw(&usual(), "wg0", &Policy::default().masquerade(name)).is_err());
    }
}

fn plan() -> Plan {
    let inventory = Inventory::new("10.7.0.0/24".parse().unwrap())
        .topology(Topology::HubAndSpoke)
        .member(Member::hub("hub", "192.0.2.1:51820".parse().unwrap()))
        .member(Member::new("site").routed("192.168.5.0/24".parse().unwrap()))
        .member(Member::roaming("phone").full_tunnel(true));
    let mut keys = Keys::new();
    keys.complete(&inventory, &mut Seeded::new(3));
    inventory.plan(&keys).unwrap()
}

#[test]
fn a_hubs_firewall_forwards_between_peers_and_out() {
    let plan = plan();
    let hub = plan.member("hub").unwrap();
    let policy = Policy::of(&hub).masquerade("eth0");
    insta::assert_snapshot!(nftables(&hub.config(), "wg0", &policy).unwrap(), @r#"
    table inet wireguard_wg0
    delete table inet wireguard_wg0
    table inet wireguard_wg0 {
    	chain input {
    		type filter hook input priority filter; policy accept;
    		udp dport 51820 accept
    	}
    	chain forward {
    		type filter hook forward priority filter; policy accept;
    		iifname != "wg0" oifname != "wg0" return
    		ct state established,related accept
    		iifname "wg0" oifname "wg0" accept
    		iifname "wg0" oifname "eth0" accept
    		iifname "wg0" drop
    	}
    	chain postrouting {
    		type nat hook postrouting priority srcnat; policy accept;
    		oifname "eth0" ip saddr 10.7.0.0/24 masquerade
    	}
    }
    "#);
    let commands: Vec<String> = ufw(&hub.config(), "wg0", &policy)
        .unwrap()
        .iter()
        .map(|c| c.join(" "))
        .collect();
    insta::assert_snapshot!(commands.join("\n"), @"
    ufw allow 51820/udp comment WireGuard-wg0
    ufw route allow in on wg0 out on wg0
    ufw route allow in on wg0 out on eth0
    ");
}

#[test]
fn a_sites_firewall_opens_its_own_networks_only() {
    let plan = plan();
    let site = plan.member("site").unwrap();
    let policy = Policy::of(&site);
    insta::assert_snapshot!(nftables(&site.config(), "wg0", &policy).unwrap(), @r#"
    table inet wireguard_wg0
    delete table inet wireguard_wg0
    table inet wireguard_wg0 {
    	chain input {
    		type filter hook input priority filter; policy accept;
    	}
    	chain forward {
    		type filter hook forward priority filter; policy accept;
    		iifname != "wg0" oifname != "wg0" return
    		ct state established,related accept
    		iifname "wg0" oifname "wg0" drop
    		iifname "wg0" ip daddr 192.168.5.0/24 accept
    		oifname "wg0" ip saddr 192.168.5.0/24 accept
    		iifname "wg0" drop
    	}
    }
    "#);
}

#[test]
fn pictures_show_members_and_links_and_no_key() {
    let plan = plan();
    insta::assert_snapshot!(picture::mermaid(&plan), @r#"
    graph LR
      m0(["hub<br/>10.7.0.1"])
      m1["site<br/>10.7.0.2<br/>192.168.5.0/24"]
      m2["phone<br/>10.7.0.3"]
      m0 --- m1
      m0 --- m2
    "#);
    insta::assert_snapshot!(picture::graphviz(&plan), @r#"
    graph wireguard {
      node [shape=box, style=rounded];
      m0 [label="hub\n10.7.0.1", penwidth=2];
      m1 [label="site\n10.7.0.2\n192.168.5.0/24"];
      m2 [label="phone\n10.7.0.3"];
      m0 -- m1;
      m0 -- m2;
    }
    "#);
    let svg = picture::svg(&plan);
    assert_eq!(
        (svg.matches("<line").count(), svg.matches("<rect").count()),
        (2, 3)
    );
    assert!(svg.contains(">192.168.5.0/24<"));
}

/// What a scanner reads from half blocks on a dark background.
fn scan(text: &str) -> String {
    let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let width = rows[0].len();
    let scale = 4;
    let dark = |x: usize, y: usize| match rows[y / 2][x] {
        '█' => false,
        '▀' => y % 2 == 1,
        '▄' => y.is_multiple_of(2),
        _ => true,
    };
    let height = width;
    let mut image =
        rqrr::PreparedImage::prepare_from_bitmap(width * scale, height * scale, |x, y| {
            dark(x / scale, y / scale)
        });
    let grids = image.detect_grids();
    grids[0].decode().unwrap().1
}

#[test]
fn a_telephone_reads_its_file_from_the_qr_code() {
    let config = plan().member("phone").unwrap().config();
    assert_eq!(
        scan(&qr::terminal(&config).unwrap()),
        *quick::wg_quick(&config)
    );
    let svg = qr::svg(&config).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
}

#[test]
fn what_is_too_large_for_a_qr_code_is_refused() {
    let mut config = usual();
    let peer = config.peers[0].clone();
    config.peers.extend(std::iter::repeat_n(peer, 30));
    assert_eq!(
        qr::terminal(&config).unwrap_err().kind(),
        ErrorKind::TooLarge
    );
}
