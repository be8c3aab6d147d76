//! Dumps, answers of devices, and the way from one state to another.

use std::time::{Duration, UNIX_EPOCH};

use wireguard_config::uapi::{Abilities, set_request};
use wireguard_config::{Changes, Config, Device, ErrorKind, Handshake, LinkState};

const ALICE: &str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const BOB: &str = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";
const PRIVATE: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const PUBLIC: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

fn config(text: &str) -> Config {
    Config::parse(text).unwrap()
}

fn two_peers() -> Config {
    config(&format!(
        "[Interface]\nPrivateKey = {PRIVATE}\nListenPort = 51820\nAddress = 10.0.0.1/24\n\
         [Peer]\nPublicKey = {ALICE}\nAllowedIPs = 10.0.0.2/32, 192.168.1.0/24\nEndpoint = 192.0.2.2:51820\n\
         [Peer]\nPublicKey = {BOB}\nAllowedIPs = 10.0.0.3/32\nPersistentKeepalive = 25\n"
    ))
}

fn explained(changes: &Changes) -> String {
    changes
        .to_string()
        .replace(ALICE, "alice")
        .replace(BOB, "bob")
}

#[test]
fn a_dump_of_one_device_is_read() {
    let text = format!(
        "{PRIVATE}\t{PUBLIC}\t51820\t0xca6c\n{ALICE}\t(none)\t[fe80::1%eth0]:7\t10.0.0.2/32,fd00::/64\t1700000000\t5\t6\t25\n{BOB}\t{PRIVATE}\t(none)\t(none)\t0\t0\t0\toff\n"
    );
    let devices = Device::parse_dump(&text).unwrap();
    let [device] = devices.as_slice() else {
        panic!("one device")
    };
    assert_eq!(
        (device.listen_port, device.fwmark, device.peers.len()),
        (51820, 0xca6c, 2)
    );
    let alice = &device.peers[0];
    assert_eq!(
        alice.endpoint.as_ref().unwrap().to_string(),
        "[fe80::1%eth0]:7"
    );
    assert_eq!(
        alice.last_handshake,
        Some(Handshake::At(
            UNIX_EPOCH + Duration::from_secs(1_700_000_000)
        ))
    );
    assert_eq!(
        (
            alice.received,
            alice.sent,
            alice.keepalive,
            alice.allowed_ips.len()
        ),
        (5, 6, 25, 2)
    );
    assert!(device.peers[1].preshared_key.is_some() && device.peers[1].last_handshake.is_none());
}

#[test]
fn a_dump_of_all_devices_names_them() {
    let text = format!(
        "wg0\t(none)\t(none)\t0\toff\nwg0\t{ALICE}\t(none)\t(none)\t(none)\t0\t0\t0\toff\nwg1\t(none)\t(none)\t1\toff\n"
    );
    let devices = Device::parse_dump(&text).unwrap();
    let names: Vec<_> = devices
        .iter()
        .map(|d| (d.name.as_deref().unwrap(), d.peers.len()))
        .collect();
    assert_eq!(names, [("wg0", 1), ("wg1", 0)]);
}

#[test]
fn an_age_in_place_of_a_time_is_recognised() {
    let text = format!("(none)\t(none)\t1\toff\n{ALICE}\t(none)\t(none)\t(none)\t7\t0\t0\toff\n");
    let peer = &Device::parse_dump(&text).unwrap()[0].peers[0];
    assert_eq!(
        peer.last_handshake.unwrap().age(UNIX_EPOCH),
        Duration::from_secs(7)
    );
}

#[test]
fn a_broken_dump_names_the_line_and_no_secret() {
    for text in [
        format!("{PRIVATE}x\t(none)\t1\toff\n"),
        format!("{ALICE}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n"),
    ] {
        let error = Device::parse_dump(&text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Answer);
        assert!(error.to_string().contains("line 1"), "{error}");
        assert!(!format!("{error:?}").contains(&PRIVATE[..10]));
    }
}

#[test]
fn an_answer_of_a_device_is_read_and_unknown_keys_pass() {
    let hex = |text: &str| {
        let mut out = String::new();
        text.parse::<wireguard_config::PublicKey>()
            .unwrap()
            .push_hex(&mut out);
        out
    };
    let text = format!(
        "private_key={}\nlisten_port=51820\nnew_thing=1\npublic_key={}\npreshared_key={}\nprotocol_version=1\nendpoint=192.0.2.2:1\nlast_handshake_time_sec=1795175472\nlast_handshake_time_nsec=5\ntx_bytes=9\nrx_bytes=8\npersistent_keepalive_interval=0\nallowed_ip=10.0.0.2/32\nerrno=0\n\n",
        hex(PRIVATE),
        hex(ALICE),
        "0".repeat(64)
    );
    let device = Device::parse_uapi(&text).unwrap();
    assert_eq!(device.public_key.unwrap().to_string(), PUBLIC);
    let peer = device.peer(&ALICE.parse().unwrap()).unwrap();
    assert!(peer.preshared_key.is_none());
    assert_eq!((peer.received, peer.sent), (8, 9));
    assert_eq!(
        Device::parse_uapi("errno=-22\n\n").unwrap_err().errno(),
        Some(22)
    );
    assert_eq!(
        Device::parse_uapi("listen_port=1\n").unwrap_err().kind(),
        ErrorKind::Answer
    );
}

#[test]
fn no_difference_is_no_operation() {
    let wanted = two_peers();
    let mut device = Device::default();
    device.private_key = wanted.interface.private_key.clone();
    device.listen_port = 51820;
    for peer in &wanted.peers {
        let mut held = wireguard_config::DevicePeer::new(peer.public_key);
        held.endpoint = Some("198.51.100.1:9".parse().unwrap())
            .filter(|_| peer.endpoint.is_none())
            .or(peer.endpoint.clone());
        held.allowed_ips = peer.allowed_ips.iter().rev().copied().collect();
        held.keepalive = peer.keepalive.unwrap_or(0);
        device.peers.insert(0, held);
    }
    let changes = Changes::for_device(&device, None, &wanted);
    assert!(changes.is_empty(), "{changes}");
    assert!(
        set_request(&changes, Abilities::default())
            .unwrap()
            .is_empty()
    );
    assert!(Changes::between(&wanted, &wanted).is_empty());
}

#[test]
fn a_network_moves_to_another_peer_without_a_gap() {
    let current = two_peers();
    let mut wanted = current.clone();
    let network = wanted.peers[0].allowed_ips.pop().unwrap();
    wanted.peers[1].allowed_ips.push(network);
    let changes = Changes::between(&current, &wanted);
    assert_eq!(explained(&changes), "change peer bob: with 192.168.1.0/24;");
}

#[test]
fn every_kind_of_change_is_explained_in_order() {
    let current = two_peers();
    let mut wanted = current.clone();
    wanted.peers.remove(1);
    wanted.peers[0].allowed_ips.pop();
    wanted.peers[0].keepalive = Some(15);
    wanted.interface.listen_port = Some(51821);
    wanted.interface.addresses = vec!["10.0.0.9/24".parse().unwrap()];
    wanted.interface.mtu = Some(1412);
    insta::assert_snapshot!(explained(&Changes::between(&current, &wanted)), @r"
    listen on port 51821
    remove peer bob
    change peer alice: keepalive 15; without 192.168.1.0/24;
    remove the route to 192.168.1.0/24
    remove address 10.0.0.1/24
    add address 10.0.0.9/24
    set the MTU to 1412
    ");
    let back = Changes::between(&wanted, &current);
    assert_eq!(
        back.operations().len(),
        6,
        "the MTU that the file leaves open stays: {back}"
    );
}

#[test]
fn a_request_removes_single_networks_only_where_that_is_understood() {
    let current = two_peers();
    let mut wanted = current.clone();
    wanted.peers[0].allowed_ips.pop();
    let changes = Changes::between(&current, &wanted);
    let tail = |abilities| {
        let text = set_request(&changes, abilities).unwrap();
        text.split_once("update_only=true\n").unwrap().1.to_owned()
    };
    assert_eq!(tail(Abilities::default()), "allowed_ip=-192.168.1.0/24\n\n");
    assert_eq!(
        tail(Abilities::basic()),
        "replace_allowed_ips=true\nallowed_ip=10.0.0.2/32\n\n"
    );
}

#[test]
fn a_new_device_gets_everything_and_names_must_be_resolved() {
    let mut wanted = two_peers();
    wanted.peers[0].endpoint = Some("vpn.example.com:1".parse().unwrap());
    let changes = Changes::for_device(&Device::default(), Some(&LinkState::default()), &wanted);
    assert_eq!(
        set_request(&changes, Abilities::default())
            .unwrap_err()
            .kind(),
        ErrorKind::Endpoint
    );
    assert_eq!(wanted.resolve_endpoints(|_| None), ["vpn.example.com"]);
    assert!(
        wanted
            .resolve_endpoints(|_| "192.0.2.9".parse().ok())
            .is_empty()
    );
    let changes = Changes::for_device(&Device::default(), Some(&LinkState::default()), &wanted);
    let text = set_request(&changes, Abilities::default()).unwrap();
    let keys: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        keys,
        [
            "set",
            "private_key",
            "listen_port",
            "public_key",
            "endpoint",
            "replace_allowed_ips",
            "allowed_ip",
            "allowed_ip",
            "public_key",
            "persistent_keepalive_interval",
            "replace_allowed_ips",
            "allowed_ip"
        ]
    );
    assert!(!format!("{changes:?}{changes}").contains(PRIVATE));
}

#[test]
fn a_device_prints_as_wg_showconf_does_and_reads_back() {
    let text = format!(
        "(none)\t(none)\t51820\t0xca6c\n{ALICE}\t{PRIVATE}\t[2001:db8::1]:7\t10.0.0.2/32,::c000:201/128\t0\t0\t0\t25\n"
    );
    let device = &Device::parse_dump(&text).unwrap()[0];
    insta::assert_snapshot!(device.showconf().replace(PRIVATE, "…").replace(ALICE, "alice"), @r"
    [Interface]
    ListenPort = 51820
    FwMark = 0xca6c

    [Peer]
    PublicKey = alice
    PresharedKey = …
    AllowedIPs = 10.0.0.2/32, ::192.0.2.1/128
    Endpoint = [2001:db8::1]:7
    PersistentKeepalive = 25
    ");
    let again =
        Config::parse_as(device.showconf().as_str(), wireguard_config::Dialect::Wg).unwrap();
    assert_eq!(again, device.to_config());
}
