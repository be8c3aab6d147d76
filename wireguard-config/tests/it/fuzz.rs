//! Mutated seeds for every parser, `FUZZ_SECONDS` for each target (1 by default).

use std::time::{Duration, Instant};

use crate::support::Seeded;

#[allow(unreachable_pub, reason = "cargo-fuzz shares the file")]
#[path = "../../fuzz/src/targets.rs"]
mod targets;

pub(crate) const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
pub(crate) const PEER: &str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";

/// Pieces that mean something to one of the parsers.
const PIECES: &[&[u8]] = &[
    b"[Interface]\n",
    b"[Peer]\n",
    b"=",
    b"#",
    b",",
    b"\r\n",
    b"\n",
    b"\t",
    b"/",
    b"/0",
    b"+",
    b"-",
    b":",
    b"%lo",
    b"[",
    b"]",
    b"::",
    b"0x",
    b"off",
    b"\0",
    b"\xff",
    b"MTU = 1420\n",
    b"Address = 10.0.0.1/24\n",
    b"65536",
    b"18446744073709551616",
    b"*",
    b"AllowedIPs = ",
    b"Endpoint = ",
    b"PublicKey = ",
    b"public_key=",
    b"errno=0\n\n",
    b"allowed_ip=",
    b"(none)",
    b"  - name: x\n",
    b"role: hub\n",
    b"generation a b 1\n",
    b"fe80::1",
    b"0.0.0.0/0",
    b"Jc = 3\n",
    b"H1 = 5-9\n",
    b"SaveConfig = true\n",
    b"PostUp = x # y\n",
    b"seed ",
    b"ListenPort = 99999\n",
    b"FwMark = 0xFf\n",
    b"PersistentKeepalive = off\n",
    b" ",
    b"08",
    b"%1",
    b"0x7f.1",
    b"domain",
    b"4294967297",
    b"allowUnreachable: true\n",
];

pub(crate) fn mutate(seed: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.next() % 6 {
        let at = (random.next() as usize) % (data.len() + 1);
        let end = (at + (random.next() % 12) as usize).min(data.len());
        match random.next() % 6 {
            0 => _ = data.splice(at..end, []),
            1 | 2 => {
                _ = data.splice(
                    at..at,
                    PIECES[random.next() as usize % PIECES.len()]
                        .iter()
                        .copied(),
                )
            }
            3 if at < data.len() => data[at] = random.next() as u8,
            4 => {
                let piece = data[at..end].to_vec();
                let to = (random.next() as usize) % (data.len() + 1);
                data.splice(to..to, piece);
            }
            _ => data.truncate(at.max(data.len() / 2)),
        }
    }
    data
}

fn run(target: fn(&[u8]), seeds: &[String]) {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(1);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut random = Seeded::new(
        std::env::var("FUZZ_SEED")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(7),
    );
    let mut rounds = 0u32;
    while rounds < 200 || Instant::now() < end {
        let seed = &seeds[random.next() as usize % seeds.len()];
        let data = mutate(seed.as_bytes(), &mut random);
        let outcome = std::panic::catch_unwind(|| target(&data));
        assert!(
            outcome.is_ok(),
            "input: {:?}",
            String::from_utf8_lossy(&data)
        );
        rounds += 1;
    }
}

fn texts() -> Vec<String> {
    vec![
        format!("[Interface]\nPrivateKey = {KEY}\nListenPort = 51820\nFwMark = 0x1\nAddress = 10.0.0.1/24, fd00::1/64\n# c\n[Peer]\nPublicKey = {PEER}\nAllowedIPs = 10.0.0.2/32, fd00::2/128\nEndpoint = [2001:db8::1]:51820\nPersistentKeepalive = 25\n"),
        format!("[Peer]\r\nPublicKey={PEER}\r\nPresharedKey={KEY}\r\nAllowedIPs=+10.0.0.0/8,-10.1.0.0/16\r\nEndpoint=192.0.2.1:1\r\n"),
        "[Interface]\nMTU = 1280\nTable = off\nDNS = 1.1.1.1, lan\nPostUp = a # b\nSaveConfig = false\nJc = 4\nH1 = 5-9\nH2 = 11\n".to_owned(),
    ]
}

#[test]
fn documents_survive_anything() {
    run(targets::documents, &texts());
}

#[test]
fn the_tools_emulation_survives_anything() {
    run(targets::tools, &texts());
}

#[test]
fn states_survive_anything() {
    let hex = "ab".repeat(32);
    run(
        targets::states,
        &[
            format!(
                "wg0\t{KEY}\t{PEER}\t1\toff\nwg0\t{PEER}\t(none)\t192.0.2.1:1\t10.0.0.0/8\t1700000000\t1\t2\toff\n"
            ),
            format!(
                "private_key={hex}\nlisten_port=1\nfwmark=2\npublic_key={hex}\nendpoint=[::1]:1\nallowed_ip=fd00::/64\nlast_handshake_time_sec=1\nrx_bytes=1\nerrno=0\n\n"
            ),
        ],
    );
}

#[test]
fn inventories_survive_anything() {
    run(
        targets::inventories,
        &[
            format!("seed {KEY}\nprivate a {KEY}\npublic b {PEER}\npair a b {KEY}\ngeneration a b 2\n"),
            "networks: [\"10.0.0.0/24\", \"fd00::/64\"]\ntopology: hub-and-spoke\nmembers:\n  - name: hub\n    role: hub\n    endpoint: \"192.0.2.1:1\"\n  - {name: a, routed: [\"192.168.1.0/24\"]}\n  - {name: b, role: roaming, via: hub}\nlinks: [[a, hub]]\n".to_owned(),
            "networks: [\"10.0.0.0/24\"]\nallowUnreachable: true\nmembers:\n  - {name: r, role: relay, endpoint: \"192.0.2.1:1\"}\n  - {name: a}\n  - {name: b}\n".to_owned(),
        ],
    );
}

#[test]
fn what_is_huge_is_refused_in_bounded_time() {
    let long_line = [b"[Interface]\nDNS = ".as_slice(), &vec![b'x'; 100 << 20]].concat();
    let sections = "[Peer]\n".repeat(1_000_000);
    for data in [long_line.as_slice(), sections.as_bytes()] {
        let started = Instant::now();
        assert!(wireguard_config::Document::parse(data).is_err());
        assert!(wireguard_config::Config::parse(data).is_err());
        let tools = wireguard_config::lenient::Tools::new(
            wireguard_config::lenient::Release::V20260223,
            &wireguard_config::lenient::NoNames,
        );
        assert!(tools.quick(data).is_err());
        // Generous, because the machine may be busy: the point is that nothing is quadratic.
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    assert!(wireguard_config::Device::parse_dump(&long_line).is_err());
    assert!(wireguard_config::Device::parse_uapi(&long_line).is_err());
}
