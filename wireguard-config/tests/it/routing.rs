//! Which peer gets a packet, why one does not arrive, and how peers fare.

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use wireguard_config::health::{Symptom, Thresholds, judge};
use wireguard_config::mtu::{self, Outer};
use wireguard_config::why::{Fabric, Reason};
use wireguard_config::{
    Config, Decision, Device, DevicePeer, Endpoint, Inventory, Keys, Member, PresharedKey, Topology,
};

use crate::support::Seeded;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const ALICE: &str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const BOB: &str = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";

#[test]
fn the_longest_prefix_wins_and_ties_go_to_the_later_peer() {
    let config = Config::parse(format!(
        "[Interface]\nAddress = 10.0.0.1/8\n[Peer]\nPublicKey = {ALICE}\nAllowedIPs = 10.0.0.0/8, 10.1.2.0/24, fd00::/8\n[Peer]\nPublicKey = {BOB}\nAllowedIPs = 10.1.0.0/16, 10.1.2.0/24\n"
    ))
    .unwrap();
    let of = |text: &str| match config.decide(address(text)) {
        Decision::Peer { index, network } => format!("{index} {network}"),
        other => format!("{other:?}"),
    };
    assert_eq!(of("10.1.2.3"), "1 10.1.2.0/24");
    assert_eq!(of("10.1.3.3"), "1 10.1.0.0/16");
    assert_eq!(of("10.2.0.1"), "0 10.0.0.0/8");
    assert_eq!(of("fd12::1"), "0 fd00::/8");
    assert_eq!(of("10.0.0.1"), "Own");
    assert_eq!(of("192.0.2.1"), "Dropped");
    let overlaps: Vec<_> = config
        .overlaps()
        .iter()
        .map(|o| {
            (
                o.winner.0,
                o.winner.1.to_string(),
                o.loser.1.to_string(),
                o.is_identical(),
            )
        })
        .collect();
    assert_eq!(
        overlaps,
        [
            (1, "10.1.0.0/16".to_owned(), "10.0.0.0/8".to_owned(), false),
            (0, "10.1.2.0/24".to_owned(), "10.1.0.0/16".to_owned(), false),
            (1, "10.1.2.0/24".to_owned(), "10.0.0.0/8".to_owned(), false),
            (1, "10.1.2.0/24".to_owned(), "10.1.2.0/24".to_owned(), true),
        ]
    );
}

/// A hub with two spokes, one of them with a network behind it.
fn star() -> Vec<(String, Config)> {
    let inventory = Inventory::new("10.7.0.0/24".parse().unwrap())
        .topology(Topology::HubAndSpoke)
        .member(Member::hub("hub", "192.0.2.1:51820".parse().unwrap()))
        .member(Member::new("a"))
        .member(Member::new("b").routed("192.168.5.0/24".parse().unwrap()));
    let mut keys = Keys::new();
    keys.complete(&inventory, &mut Seeded::new(3));
    let plan = inventory.plan(&keys).unwrap();
    plan.members()
        .map(|m| (m.name().to_owned(), m.config()))
        .collect()
}

fn fabric(configs: Vec<(String, Config)>) -> Fabric {
    let mut fabric = Fabric::new();
    for (name, config) in configs {
        fabric.add(name, config);
    }
    fabric
}

#[test]
fn a_journey_is_told_step_by_step() {
    let fabric = fabric(star());
    let journey = fabric.why("a", address("10.7.0.3"));
    assert!(journey.arrives());
    insta::assert_snapshot!(journey, @r"
    a sends it to hub, which is allowed 10.7.0.0/24
    hub takes it, because a is allowed 10.7.0.2/32
    hub sends it to b, which is allowed 10.7.0.3/32
    b takes it, because hub is allowed 10.7.0.0/24
    b has it
    ");
    assert!(fabric.why("a", address("192.168.5.9")).arrives());
    assert!(fabric.back("a", address("10.7.0.3")).unwrap().arrives());
}

#[test]
fn each_break_has_its_own_reason() {
    type Break = fn(&mut Vec<(String, Config)>);
    let cases: [(Break, &str, Reason); 6] = [
        (
            |c| c[1].1.peers[0].allowed_ips.clear(),
            "a",
            Reason::NoRoute(address("10.7.0.3")),
        ),
        (
            |c| c[0].1.peers[0].preshared_key = Some(PresharedKey::take_bytes(&mut [1; 32])),
            "a",
            Reason::PresharedKeysDiffer("hub".to_owned()),
        ),
        (
            |c| _ = c[0].1.peers.remove(0),
            "a",
            Reason::NotKnownBy("hub".to_owned()),
        ),
        (
            |c| c[1].1.peers[0].endpoint = None,
            "a",
            Reason::NoEndpoint("hub".to_owned()),
        ),
        (
            |c| c[0].1.peers[0].allowed_ips = vec!["10.7.0.99/32".parse().unwrap()],
            "hub",
            Reason::SourceRefused {
                from: "a".to_owned(),
                source: address("10.7.0.2"),
            },
        ),
        (
            |c| c[0].1.interface.listen_port = Some(7),
            "a",
            Reason::OtherPort {
                peer: "hub".to_owned(),
                endpoint: 51820,
                listens: 7,
            },
        ),
    ];
    for (damage, at, reason) in cases {
        let mut configs = star();
        damage(&mut configs);
        let journey = fabric(configs).why("a", address("10.7.0.3"));
        assert_eq!(journey.obstacle(), Some((at, &reason)), "{journey}");
    }
    let mut configs = star();
    configs.remove(0);
    assert!(matches!(
        fabric(configs).why("a", address("10.7.0.3")).obstacle(),
        Some(("a", Reason::StrangeKey(_)))
    ));
    assert_eq!(
        fabric(star()).why("a", address("fd00::1")).obstacle(),
        Some(("a", &Reason::NoSource))
    );
    assert_eq!(
        fabric(star()).why("x", address("10.7.0.1")).obstacle(),
        Some(("x", &Reason::UnknownMachine))
    );
}

#[test]
fn health_tells_silence_from_movement() {
    let wanted = Config::parse(format!(
        "[Interface]\n[Peer]\nPublicKey = {ALICE}\nEndpoint = 192.0.2.1:1\nPersistentKeepalive = 25\n[Peer]\nPublicKey = {BOB}\nEndpoint = vpn.example.com:1\n"
    ))
    .unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(1_700_001_000);
    let mut alice = DevicePeer::new(ALICE.parse().unwrap());
    let mut bob = DevicePeer::new(BOB.parse().unwrap());
    alice.endpoint = Some("192.0.2.1:1".parse().unwrap());
    bob.endpoint = Some("198.51.100.1:1".parse().unwrap());
    let device = |alice: &DevicePeer, bob: &DevicePeer| {
        let text = format!(
            "(none)\t(none)\t1\toff\n{}{}",
            line(alice, 1_700_000_990),
            line(bob, 1_700_000_990)
        );
        Device::parse_dump(text).unwrap().remove(0)
    };
    let symptoms = |device: &Device, before: Option<&Device>, later: u64| -> Vec<Symptom> {
        let now = now + Duration::from_secs(later);
        judge(&wanted, before, device, now, &Thresholds::default())
            .into_iter()
            .map(|f| f.symptom)
            .collect()
    };
    alice.keepalive = 25;
    let healthy = device(&alice, &bob);
    assert_eq!(symptoms(&healthy, None, 0), []);
    assert_eq!(
        symptoms(&healthy, None, 190),
        [
            Symptom::Stale {
                age: Duration::from_secs(200)
            },
            Symptom::ResolveAgain {
                name: "vpn.example.com".to_owned()
            }
        ]
    );
    alice.sent = 500;
    let silent = device(&alice, &bob);
    assert_eq!(
        symptoms(&silent, Some(&healthy), 0),
        [Symptom::OneWay { sent: 500 }]
    );
    let moved: Endpoint = "203.0.113.1:9".parse().unwrap();
    alice.endpoint = Some(moved.clone());
    let found = symptoms(&device(&alice, &bob), None, 0);
    assert_eq!(
        found,
        [Symptom::EndpointMoved {
            configured: "192.0.2.1:1".parse().unwrap(),
            now: moved
        }]
    );
    assert_eq!(
        symptoms(&Device::default(), None, 0),
        [Symptom::Missing, Symptom::Missing]
    );
}

fn line(peer: &DevicePeer, handshake: u64) -> String {
    let endpoint = peer.endpoint.as_ref().unwrap();
    format!(
        "{}\t(none)\t{endpoint}\t(none)\t{handshake}\t0\t{}\t{}\n",
        peer.public_key, peer.sent, peer.keepalive
    )
}

#[test]
fn the_mtu_leaves_room_for_the_outer_headers() {
    assert_eq!(mtu::tunnel(mtu::ETHERNET, Outer::V6), 1420);
    assert_eq!(mtu::tunnel(mtu::ETHERNET, Outer::V4), 1440);
    assert_eq!(mtu::tunnel(mtu::PPPOE, Outer::V6), 1412);
    assert_eq!(mtu::tunnel(mtu::tunnel(1500, Outer::V6), Outer::V4), 1360);
    let endpoints: Vec<Endpoint> = ["192.0.2.1:1", "vpn.example.com:1"]
        .map(|e| e.parse().unwrap())
        .into();
    assert_eq!(Outer::of(&endpoints[..1]), Outer::V4);
    assert_eq!(Outer::of(&endpoints), Outer::V6);
    assert_eq!(Outer::of([]), Outer::V6);
}
