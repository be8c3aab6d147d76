//! The strict mode: what it refuses, where, and what it only warns about.

use wireguard_config::{Config, Dialect, Document, ErrorKind, Severity};

/// Rules with their places, in the order of the text.
fn found(text: &str) -> Vec<(Severity, &'static str, usize, usize)> {
    let report = Document::parse(text).unwrap().check(Dialect::WgQuick);
    let entry = |p: &wireguard_config::Problem| {
        let (line, column) = p.place.line_column().unwrap();
        (p.severity, p.rule, line, column)
    };
    report.problems.iter().map(entry).collect()
}

const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const PEER: &str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const OTHER: &str = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";

fn interface(line: &str) -> String {
    format!("[Interface]\nPrivateKey = {KEY}\n{line}\n")
}

fn peer(lines: &str) -> String {
    format!("[Interface]\nPrivateKey = {KEY}\n[Peer]\nPublicKey = {PEER}\n{lines}\n")
}

#[test]
fn a_clean_file_has_no_problem() {
    let text = peer(
        "AllowedIPs = 10.0.0.2/32, fd00::2/128\nEndpoint = [2001:db8::1]:51820\nPersistentKeepalive = 25",
    );
    assert_eq!(found(&text), []);
}

#[test]
fn each_error_points_at_its_cause() {
    for (text, rule, line, column) in [
        (interface("ListenPort = 65536"), "port-range", 3, 14),
        (interface("ListenPort ="), "empty-value", 3, 13),
        (interface("FwMark = 0X1"), "fwmark-prefix", 3, 10),
        (interface("AllowedIPs = 10.0.0.0/8"), "wrong-section", 3, 1),
        (interface("Adress = 10.0.0.1/24"), "unknown-key", 3, 1),
        (
            interface("Address = 10.0.0.1/24, 10.1.0.1/33"),
            "prefix-range",
            3,
            33,
        ),
        (interface("MTU 1420"), "missing-equals", 3, 1),
        (interface("hello"), "stray-text", 3, 1),
        (interface("Jc = 4"), "amnezia-key", 3, 1),
        (interface("SaveConfig = yes"), "save-config", 3, 14),
        (interface("[Peer"), "open-section", 3, 1),
        (interface("[Peers]"), "unknown-section", 3, 1),
        (interface("  [Peer]  x"), "text-after-section", 3, 11),
        (peer("AllowedIPs = 10.0.0.0/8,"), "empty-element", 5, 25),
        (peer("AllowedIPs = 10.0.0.1-10.0.0.9"), "range", 5, 14),
        (peer("Endpoint = 192.0.2.1:70000"), "port-range", 5, 22),
        (
            peer("Endpoint = https://vpn.example.com:443"),
            "endpoint-url",
            5,
            12,
        ),
        (
            peer("PersistentKeepalive = 0x19"),
            "keepalive-number",
            5,
            23,
        ),
        (peer("PresharedKey = <psk>"), "key-placeholder", 5, 16),
        (
            format!("MTU = 1420\n[Interface]\nPrivateKey = {KEY}"),
            "outside-section",
            1,
            1,
        ),
        (
            interface("[Peer]\nAllowedIPs = 10.0.0.0/8"),
            "no-public-key",
            3,
            1,
        ),
    ] {
        assert_eq!(
            found(&text),
            [(Severity::Error, rule, line, column)],
            "{text}"
        );
    }
}

#[test]
fn each_key_fault_has_its_own_reason() {
    for (value, rule) in [
        (&KEY[..43], "key-padding"),
        (&KEY[..20], "key-length"),
        (&*KEY.replace('+', "-"), "key-url-safe"),
        (&*KEY.replace("mk=", "ml="), "key-tail"),
        (&*KEY.replace('+', "!"), "key-alphabet"),
        (&*format!("\"{KEY}\""), "quoted-value"),
        (&*format!("\u{a0}{KEY}"), "non-ascii"),
    ] {
        let text = format!("[Interface]\nPrivateKey = {value}\n");
        let errors: Vec<_> = found(&text)
            .into_iter()
            .filter(|p| p.0 == Severity::Error)
            .collect();
        assert_eq!(errors, [(Severity::Error, rule, 2, 14)], "{value}");
    }
}

#[test]
fn what_works_but_is_odd_is_a_warning() {
    for (text, rule, line, column) in [
        (interface("ListenPort = domain"), "service-name", 3, 14),
        (interface("Listen Port = 1"), "space-in-key", 3, 1),
        (
            interface("PostUp = iptables -A FORWARD # all"),
            "hook",
            3,
            10,
        ),
        (interface("SaveConfig = true"), "save-config", 3, 14),
        (interface("Address = fd00::/64"), "anycast-address", 3, 11),
        (
            interface("Address = fd00::1/64\nMTU = 1200"),
            "mtu-small",
            4,
            7,
        ),
        (interface("MTU = 1500"), "mtu-large", 3, 7),
        (interface("MTU = 1420\nMTU = 1400"), "repeated", 4, 1),
        (peer("Endpoint = 2001:db8::1:51820"), "bare-ipv6", 5, 12),
        (peer("Endpoint = 192.0.2.1:0"), "port-zero", 5, 12),
        (peer("AllowedIPs = 10.0.0.5/24"), "host-bits", 5, 14),
        (
            peer("AllowedIPs = 10.0.0.2/32, 10.0.0.2"),
            "duplicate-entry",
            5,
            27,
        ),
        (
            peer("AllowedIPs = 192.0.2.0/24\nEndpoint = 192.0.2.1:51820"),
            "endpoint-loop",
            6,
            12,
        ),
        (
            peer("PersistentKeepalive = 25"),
            "keepalive-without-endpoint",
            5,
            23,
        ),
        (
            peer(&format!(
                "AllowedIPs = 10.0.0.0/24\n[Peer]\nPublicKey = {OTHER}\nAllowedIPs = 10.0.0.7/24"
            )),
            "overlap",
            8,
            14,
        ),
        (
            peer(&format!("[Peer]\nPublicKey = {PEER}")),
            "duplicate-peer",
            6,
            13,
        ),
    ] {
        assert_eq!(
            found(&text),
            [(Severity::Warning, rule, line, column)],
            "{text}"
        );
    }
}

#[test]
fn the_own_key_as_a_peer_is_noticed() {
    let own = wireguard_config::PrivateKey::from_base64(KEY)
        .unwrap()
        .public_key();
    let text = interface(&format!("[Peer]\nPublicKey = {own}"));
    assert_eq!(found(&text), [(Severity::Warning, "own-key", 4, 13)]);
}

#[test]
fn a_default_route_is_wg_quicks_business_unless_a_table_is_named() {
    let lines = "AllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.1:51820";
    assert_eq!(found(&peer(lines)), []);
    let text = format!(
        "[Interface]\nPrivateKey = {KEY}\nTable = 7\n[Peer]\nPublicKey = {PEER}\n{lines}\n"
    );
    assert_eq!(found(&text), [(Severity::Warning, "endpoint-loop", 7, 12)]);
}

#[test]
fn a_repeated_peer_keeps_its_settings_and_loses_its_first_networks() {
    let text = peer(&format!(
        "Endpoint = 192.0.2.1:1\nAllowedIPs = 10.0.0.2/32\n[Peer]\nPublicKey = {PEER}\nAllowedIPs = 10.0.0.3/32"
    ));
    let config = Config::parse(&text).unwrap();
    assert_eq!(config.peers.len(), 1);
    assert_eq!(
        config.peers[0].allowed_ips,
        ["10.0.0.3/32".parse().unwrap()]
    );
    assert!(config.peers[0].endpoint.is_some());
}

#[test]
fn wg_itself_knows_no_key_of_wg_quick() {
    let text = interface("Address = 10.0.0.1/24");
    let error = Config::parse_as(&text, Dialect::Wg).unwrap_err();
    assert_eq!(
        (error.kind(), error.problems()[0].rule),
        (ErrorKind::Syntax, "quick-key")
    );
}

#[test]
fn amneziawg_is_read_and_judged() {
    let text = interface(
        "Jc = 4\nJmin = 40\nJmax = 70\nS1 = 10\nS2 = 66\nH1 = 5-9\nH2 = 8\nH3 = 3\nH4 = 100\nI1 = <b 0xf00>",
    );
    let document = Document::parse(&text).unwrap();
    let config = document.config(Dialect::AmneziaWg).unwrap();
    assert_eq!(config.interface.obfuscation.version(), 2);
    let report = document.check(Dialect::AmneziaWg);
    let rules: Vec<_> = report
        .problems
        .iter()
        .map(|p| (p.rule, p.place.line_column().unwrap().0))
        .collect();
    assert_eq!(
        rules,
        [("obfuscation", 7), ("obfuscation", 9), ("obfuscation", 10)]
    );
    let again = wireguard_config::render::quick::wg_quick(&config);
    assert_eq!(
        Config::parse_as(again.as_str(), Dialect::AmneziaWg).unwrap(),
        config
    );
}

#[test]
fn no_problem_repeats_a_secret() {
    for line in [
        format!("PrivateKey {KEY}"),
        format!("PrivateKey{KEY}"),
        format!("PrivateKey = x{KEY}"),
        format!("{KEY} = 1"),
    ] {
        let error = Config::parse(format!("[Interface]\n{line}\n")).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&KEY[..12]), "{shown}");
    }
}
