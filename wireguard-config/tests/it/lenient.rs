//! The tools' own view of a text, with the C library's forms.

use std::net::IpAddr;

use wireguard_config::lenient::{NoNames, Release, Resolver, Tools};

const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const PEER: &str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";

fn old() -> Tools<'static> {
    Tools::new(Release::V20210914, &NoNames)
}

fn new() -> Tools<'static> {
    Tools::new(Release::V20260223, &NoNames)
}

fn peer(lines: &str) -> String {
    format!("[Interface]\nPrivateKey = {KEY}\n[Peer]\nPublicKey = {PEER}\n{lines}\n")
}

fn shown(text: &str) -> String {
    new().setconf(text).unwrap().showconf().to_string()
}

#[test]
fn space_case_and_comments_do_not_matter() {
    let text = format!(
        "[ inter FACE ] # x\n private KEY = yAnz5TF+lXXJte14tji3zlMNq+ hd2rYUIgJBgB3fBmk=#\n\r\n\x0bListenPort=0080\n[PEER]\nPUBLICKEY={PEER}"
    );
    assert_eq!(
        shown(&text),
        format!("[Interface]\nListenPort = 80\nPrivateKey = {KEY}\n\n[Peer]\nPublicKey = {PEER}\n")
    );
}

#[test]
fn numbers_are_those_of_the_c_library() {
    let accepted = |line: &str| new().setconf(format!("[Interface]\n{line}\n")).is_ok();
    for line in [
        "ListenPort = 70000",
        "ListenPort = +1",
        "ListenPort = domain",
        "FwMark = 0x0x1",
        "FwMark = oFF",
        "FwMark = 010",
    ] {
        assert_eq!(accepted(line), line != "FwMark = 0x0x1", "{line}");
    }
    for line in [
        "ListenPort = -1",
        "ListenPort = 0x10",
        "ListenPort = *",
        "ListenPort =",
        "FwMark = 0x",
        "FwMark = 0X1",
        "FwMark = 4294967296",
    ] {
        assert!(!accepted(line), "{line}");
    }
}

#[test]
fn a_string_ends_at_a_zero_byte_for_wg_and_not_for_the_shell() {
    let text = b"[Interface]\nListenPort = 8\x000\n";
    assert_eq!(new().setconf(text).unwrap().listen_port, 8);
    let stripped = new().strip(text).unwrap();
    assert_eq!(new().setconf(stripped.as_slice()).unwrap().listen_port, 80);
}

#[test]
fn signs_before_networks_came_later() {
    let text = peer(&format!(
        "AllowedIPs = 10.0.0.0/24, 10.0.1.0/24\n[Peer]\nPublicKey = {PEER}\nAllowedIPs = -10.0.0.0/24, +10.0.2.0/24"
    ));
    assert!(old().setconf(&text).is_err());
    assert!(shown(&text).contains("AllowedIPs = 10.0.1.0/24, 10.0.2.0/24\n"));
}

#[test]
fn the_last_claim_to_a_network_wins_and_the_own_key_vanishes() {
    let own = wireguard_config::PrivateKey::from_base64(KEY)
        .unwrap()
        .public_key();
    let other = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";
    let text = peer(&format!(
        "AllowedIPs = 10.0.0.1/24\n[Peer]\nPublicKey = {other}\nAllowedIPs = 10.0.0.2/24\n[Peer]\nPublicKey = {own}\nAllowedIPs = 10.0.0.3/24"
    ));
    let device = new().setconf(&text).unwrap();
    let held: Vec<_> = device
        .peers
        .iter()
        .map(|p| (p.public_key.to_string(), p.allowed_ips.len()))
        .collect();
    assert_eq!(held, [(PEER.to_owned(), 0), (other.to_owned(), 1)]);
}

#[test]
fn names_are_the_machines_own() {
    struct Hosts;
    impl Resolver for Hosts {
        fn host(&self, name: &str) -> Option<IpAddr> {
            (name == "vpn").then(|| IpAddr::from([192, 0, 2, 7]))
        }
    }
    let text = peer("Endpoint = vpn:ntp");
    assert!(new().setconf(&text).is_err());
    let device = Tools::new(Release::V20210914, &Hosts)
        .setconf(&text)
        .unwrap();
    assert_eq!(
        device.peers[0].endpoint.as_ref().unwrap().to_string(),
        "192.0.2.7:123"
    );
}

#[test]
fn strip_takes_wg_quicks_keys_out_of_interface_sections_only() {
    let text = "[Interface]\n  Address=10.0.0.1/24,fd00::1/64 # home\nMTU\nPrivateKey = x\n[Peer]\nAddress = 1\n[interface] # again\nDns = 1.1.1.1, lan\nTable = off";
    let stripped = new().strip(text).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&stripped),
        "[Interface]\nPrivateKey = x\n[Peer]\nAddress = 1\n[interface] # again\n\n"
    );
    assert!(new().strip("[Interface]\nSaveConfig\n").is_err());
}

#[test]
fn wg_quick_keeps_its_own_part() {
    let text = "[Interface]\nAddress = 10.0.0.1/24, fd00::1/64\nDNS = 1.1.1.1, lan\nPostUp = a # b\nMTU = 0x500\nSaveConfig = TRUE\n";
    let (_, part) = new().quick(text).unwrap();
    assert_eq!(part.addresses, ["10.0.0.1/24", "fd00::1/64"]);
    assert_eq!(part.hooks[0].command, "a # b");
    assert_eq!(old().quick(text).unwrap().1.hooks[0].command, "a");
    assert!(part.save_config);
    for line in [
        "Address = 10.0.0.1/33",
        "Address = 10.0.0.300/24",
        "Address = 10.0.0.1, 10.0.0.1/32",
        "MTU = big",
    ] {
        assert!(
            new().quick(format!("[Interface]\n{line}\n")).is_err(),
            "{line}"
        );
    }
}

#[test]
fn the_line_that_is_refused_is_named_without_its_content() {
    let error = new()
        .setconf(format!("[Interface]\n\nPrivateKey = A{KEY}\n"))
        .unwrap_err();
    assert_eq!(error.problems()[0].place.line_column(), Some((3, 1)));
    assert!(!format!("{error:?}").contains(&KEY[..12]));
}

#[test]
fn old_and_odd_address_forms_are_those_of_the_c_library() {
    let accepted = |endpoint: &str| {
        new()
            .setconf(peer(&format!("Endpoint = {endpoint}")))
            .is_ok()
    };
    for good in [
        "0x7f.1:1",
        "1:1",
        "010.1.2.3:1",
        "*:1",
        "1.2.3.4:*",
        "[1.2.3.4]:1",
        "::1:1",
        "[2001:db8::1%7]:1",
        "1.16777215:1",
    ] {
        assert!(accepted(good), "{good}");
    }
    for bad in [
        "*:*",
        "[]:1",
        "1.16777216:1",
        "09.1.1.1:1",
        "1.2.3.4%lo:1",
        "[fe80::1%]:1",
        "[::1]::1",
        "[::1]1",
        "[::1",
        ":1",
        "1.2.3.4:-1",
    ] {
        assert!(!accepted(bad), "{bad}");
    }
    let allowed = |list: &str| new().setconf(peer(&format!("AllowedIPs = {list}"))).is_ok();
    for good in [
        "1 0.0.0.0/08",
        "::1.2.3.4",
        "1:2:3:4:5:6:7::/0",
        "10.0.0.0/00000000000000000000024",
        "FD00::A/8",
    ] {
        assert!(allowed(good), "{good}");
    }
    for bad in [
        "10.0.0/8",
        "010.0.0.0/8",
        "10.0.0.0/+8",
        "10.0.0.0/8,",
        "1:2:3:4:5:6:7:8::",
        "::1.2.3.04",
        "10.0.0.0/18446744073709551648",
        "1.2.3.4.",
    ] {
        assert!(!allowed(bad), "{bad}");
    }
}
