//! Plans: addresses, peers, paths and files.

use wireguard_config::topology::{PresharedPolicy, Verdict};
use wireguard_config::{ErrorKind, Inventory, Keys, Member, Plan, PrivateKey, Topology};

use crate::support::Seeded;

fn network(text: &str) -> wireguard_config::Network {
    text.parse().expect("a network")
}

fn plan(inventory: &Inventory) -> Plan {
    let mut keys = Keys::new();
    keys.complete(inventory, &mut Seeded::new(1));
    inventory.plan(&keys).expect("a plan")
}

fn hub_and_spoke() -> Inventory {
    Inventory::new(network("10.77.0.0/24"))
        .network(network("fd77::/64"))
        .topology(Topology::HubAndSpoke)
        .member(Member::hub("hub", "vpn.example.com:51820".parse().unwrap()))
        .member(Member::new("cp1").routed(network("192.168.10.0/24")))
        .member(Member::new("cp2"))
}

#[test]
fn a_spoke_sends_the_whole_tunnel_network_to_its_hub() {
    let plan = plan(&hub_and_spoke());
    let config = plan.member("cp2").unwrap().config();
    assert_eq!(config.peers.len(), 1);
    let hub = &config.peers[0];
    assert_eq!(hub.public_key, plan.member("hub").unwrap().public_key());
    assert_eq!(
        hub.allowed_ips,
        [
            network("10.77.0.0/24"),
            network("fd77::/64"),
            network("192.168.10.0/24")
        ]
    );
    assert_eq!(hub.keepalive, Some(25));
    assert_eq!(
        hub.endpoint.as_ref().unwrap().to_string(),
        "vpn.example.com:51820"
    );
}

#[test]
fn a_hub_keeps_each_spoke_to_its_own_addresses_and_networks() {
    let plan = plan(&hub_and_spoke());
    let config = plan.member("hub").unwrap().config();
    let allowed: Vec<_> = config
        .peers
        .iter()
        .map(|peer| peer.allowed_ips.clone())
        .collect();
    assert_eq!(
        allowed,
        [
            vec![
                network("10.77.0.2/32"),
                network("fd77::2/128"),
                network("192.168.10.0/24")
            ],
            vec![network("10.77.0.3/32"), network("fd77::3/128")],
        ]
    );
    assert!(
        config
            .peers
            .iter()
            .all(|peer| peer.keepalive.is_none() && peer.endpoint.is_none())
    );
    assert_eq!(config.interface.listen_port, Some(51820));
}

#[test]
fn both_ends_of_a_pair_hold_the_same_preshared_key_and_pairs_differ() {
    let plan = plan(&hub_and_spoke());
    let hub = plan.member("hub").unwrap().config();
    let of = |name: &str| {
        plan.member(name).unwrap().config().peers[0]
            .preshared_key
            .clone()
    };
    assert_eq!(hub.peers[0].preshared_key, of("cp1"));
    assert_eq!(hub.peers[1].preshared_key, of("cp2"));
    assert_ne!(of("cp1"), of("cp2"));
}

#[test]
fn spokes_reach_each_other_through_the_hub() {
    let reachability = plan(&hub_and_spoke()).reachability();
    assert_eq!(
        reachability.between("cp1", "cp2"),
        Some(Verdict::Via(vec!["hub".to_owned()]))
    );
    assert_eq!(reachability.between("cp1", "hub"), Some(Verdict::Direct));
    assert_eq!(reachability.pairs().count(), 6);
    assert_eq!(reachability.unreachable().count(), 0);
}

#[test]
fn a_new_spoke_changes_the_hub_alone() {
    let before = hub_and_spoke();
    let after = before.clone().member(Member::new("cp3"));
    let mut keys = Keys::new();
    keys.complete(&before, &mut Seeded::new(1));
    let old: Vec<_> = before.plan(&keys).unwrap().files().collect();
    keys.complete(&after, &mut Seeded::new(2));
    let new: Vec<_> = after.plan(&keys).unwrap().files().collect();
    let changed: Vec<_> = old
        .iter()
        .filter(|file| !new.contains(file))
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(changed, ["hub/wg0.conf"]);
}

#[test]
fn several_hubs_share_the_spokes_and_paths_are_symmetric() {
    let mut inventory = Inventory::new(network("10.8.0.0/16"))
        .topology(Topology::HubAndSpoke)
        .member(Member::hub("east", "192.0.2.1:51820".parse().unwrap()))
        .member(Member::hub("west", "192.0.2.2:51820".parse().unwrap()))
        .member(Member::hub("south", "192.0.2.3:51820".parse().unwrap()));
    for (i, via) in ["east", "west", "south", "east"].iter().enumerate() {
        inventory = inventory.member(Member::new(format!("s{i}")).via(*via));
    }
    let reachability = plan(&inventory).reachability();
    let path = |a: &str, b: &str| reachability.between(a, b).unwrap().to_string();
    assert_eq!(path("s0", "s1"), "via east, west");
    assert_eq!(path("s1", "s0"), "via west, east");
    assert_eq!(path("s0", "s3"), "via east");
    assert_eq!(path("s0", "south"), "via east");
    assert_eq!(reachability.unreachable().count(), 0);
}

#[test]
fn a_relay_joins_mesh_members_behind_nat() {
    let inventory = Inventory::new(network("10.9.0.0/24"))
        .member(Member::relay("vps", "203.0.113.5:51820".parse().unwrap()))
        .member(Member::new("home"))
        .member(Member::new("office"))
        .member(Member::new("public").endpoint("203.0.113.9:51820".parse().unwrap()));
    let reachability = plan(&inventory).reachability();
    let path = |a: &str, b: &str| reachability.between(a, b).unwrap().to_string();
    assert_eq!(path("home", "office"), "via vps");
    assert_eq!(path("home", "public"), "direct");
    assert_eq!(reachability.unreachable().count(), 0);
}

#[test]
fn members_of_one_local_network_meet_there() {
    let inventory = Inventory::new(network("10.9.0.0/24"))
        .member(Member::new("a").lan("attic", "192.168.1.2:51820".parse().unwrap()))
        .member(Member::new("b").lan("attic", "192.168.1.3:51821".parse().unwrap()));
    let plan = plan(&inventory);
    let peer = &plan.member("a").unwrap().config().peers[0];
    assert_eq!(
        peer.endpoint.as_ref().unwrap().to_string(),
        "192.168.1.3:51821"
    );
    assert_eq!(peer.keepalive, None);
    assert_eq!(plan.member("b").unwrap().listen_port(), Some(51821));
}

#[test]
fn a_pair_without_a_path_is_refused_by_name() {
    let inventory = Inventory::new(network("10.9.0.0/24"))
        .member(Member::new("a"))
        .member(Member::new("b"));
    let mut keys = Keys::new();
    keys.complete(&inventory, &mut Seeded::new(1));
    let error = inventory.plan(&keys).expect_err("nobody can dial");
    assert_eq!(error.kind(), ErrorKind::Inventory);
    insta::assert_snapshot!(error, @"
    the inventory has a problem
      member a, endpoint: error: there is no path to b (give one of the two an endpoint, or add a hub or relay that both can reach)
    ");
    let plan = inventory
        .allow_unreachable(true)
        .plan(&keys)
        .expect("accepted on request");
    assert_eq!(plan.reachability().unreachable().count(), 2);
    assert_eq!(plan.warnings().len(), 1);
}

#[test]
fn every_contradiction_is_reported_at_once() {
    let inventory = Inventory::new(network("10.9.0.0/24"))
        .topology(Topology::SiteToSite)
        .member(
            Member::new("a")
                .routed(network("10.0.0.0/24"))
                .endpoint("10.0.0.1:1".parse().unwrap()),
        )
        .member(
            Member::new("b")
                .routed(network("10.0.0.0/24"))
                .via("nobody"),
        )
        .member(Member::new("b").address("10.9.0.255".parse().unwrap()));
    let error = inventory.plan(&Keys::new()).expect_err("contradictions");
    let rules: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| problem.rule)
        .collect();
    assert_eq!(
        rules,
        [
            "endpoint-in-routed",
            "endpoint-in-routed",
            "duplicate-member",
            "network-address",
            "routed-twice",
            "unknown-member"
        ]
    );
}

#[test]
fn missing_keys_are_named() {
    let error = hub_and_spoke().plan(&Keys::new()).expect_err("no keys");
    assert_eq!(error.kind(), ErrorKind::MissingKey);
    assert!(error.to_string().contains("hub"), "{error}");
}

#[test]
fn a_member_may_keep_its_private_key_to_itself() {
    let inventory = hub_and_spoke();
    let mut keys = Keys::new();
    let public = PrivateKey::generate(&mut Seeded::new(9)).public_key();
    keys.set_public("cp2", public);
    keys.complete(&inventory, &mut Seeded::new(1));
    let plan = inventory.plan(&keys).unwrap();
    let file = plan.files().find(|file| file.member == "cp2").unwrap();
    assert!(!file.content.contains("PrivateKey"));
    assert_eq!(
        plan.member("hub").unwrap().config().peers[1].public_key,
        public
    );
}

#[test]
fn addresses_skip_reserved_and_anycast_ones_and_leases_stay() {
    let inventory = Inventory::new(network("10.9.0.0/29"))
        .network(network("fd09::/64"))
        .reserve(network("10.9.0.2/31"))
        .preshared(PresharedPolicy::None)
        .member(Member::new("a").endpoint("192.0.2.1:1".parse().unwrap()))
        .member(Member::new("b"))
        .member(
            Member::new("c")
                .endpoint("192.0.2.2:1".parse().unwrap())
                .address("10.9.0.6".parse().unwrap()),
        );
    let first = plan(&inventory);
    let text = |plan: &Plan| -> Vec<String> {
        plan.members()
            .map(|m| format!("{} {:?}", m.name(), m.addresses()))
            .collect()
    };
    assert_eq!(
        text(&first),
        [
            "a [10.9.0.1/29, fd09::1/64]",
            "b [10.9.0.4/29, fd09::2/64]",
            "c [10.9.0.6/29, fd09::3/64]"
        ]
    );
    let mut fewer = inventory.clone().leases(first.leases());
    fewer.members.remove(0);
    assert_eq!(
        text(&plan(&fewer)),
        ["b [10.9.0.4/29, fd09::2/64]", "c [10.9.0.6/29, fd09::3/64]"]
    );
}

#[test]
fn a_full_network_is_an_error() {
    let inventory = Inventory::new(network("10.9.0.0/30")).members(
        (0..3).map(|i| Member::new(format!("m{i}")).endpoint("192.0.2.1:1".parse().unwrap())),
    );
    let mut keys = Keys::new();
    keys.complete(&inventory, &mut Seeded::new(1));
    let error = inventory.plan(&keys).expect_err("two hosts only");
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(error.to_string().contains("m2"), "{error}");
}

#[test]
fn the_file_is_what_wg_quick_reads() {
    let plan = plan(&hub_and_spoke());
    let file = plan.member("cp1").unwrap().file();
    assert_eq!((file.path.as_str(), file.mode), ("cp1/wg0.conf", 0o600));
    let without_keys: String = file
        .content
        .lines()
        .map(|line| match line.split_once("Key = ") {
            Some((name, _)) => format!("{name}Key = …\n"),
            None => format!("{line}\n"),
        })
        .collect();
    insta::assert_snapshot!(without_keys, @r"
    [Interface]
    PrivateKey = …
    Address = 10.77.0.2/24
    Address = fd77::2/64

    [Peer]
    PublicKey = …
    PresharedKey = …
    AllowedIPs = 10.77.0.0/24, fd77::/64
    Endpoint = vpn.example.com:51820
    PersistentKeepalive = 25
    ");
}

#[test]
fn nothing_in_a_plan_shows_a_secret() {
    let inventory = hub_and_spoke();
    let mut keys = Keys::new();
    keys.complete(&inventory, &mut Seeded::new(1));
    let plan = inventory.plan(&keys).unwrap();
    let shown = format!(
        "{keys:?}{plan:?}{:?}{:?}",
        plan.files().collect::<Vec<_>>(),
        plan.member("hub").unwrap().config()
    );
    for name in ["hub", "cp1", "cp2"] {
        let secret = keys.private(name).unwrap();
        assert!(!shown.contains(&**secret.expose_base64()));
        assert!(!shown.contains(&format!("{:?}", secret.expose_bytes())));
    }
    assert!(!shown.contains(&**keys.preshared("hub", "cp1").unwrap().expose_base64()));
    assert!(!shown.contains(&**keys.seed().unwrap().expose_base64()));
}

#[test]
fn files_in_a_row_are_the_files_of_single_members() {
    let lan = |n: u8| format!("192.168.1.{n}:51820").parse().unwrap();
    let inventory = Inventory::new(network("10.9.0.0/24"))
        .network(network("fd09::/64"))
        .member(
            Member::relay("r", "203.0.113.5:51820".parse().unwrap())
                .routed(network("172.16.0.0/24")),
        )
        .member(Member::new("a").lan("x", lan(1)))
        .member(
            Member::new("b")
                .lan("x", lan(2))
                .endpoint("203.0.113.6:51820".parse().unwrap()),
        )
        .member(Member::new("c").full_tunnel(true).path_mtu(1492))
        .member(
            Member::new("d")
                .endpoint("vpn.example.com:51820".parse().unwrap())
                .path_mtu(1500),
        );
    let plan = plan(&inventory);
    for (file, member) in plan.files().zip(plan.members()) {
        assert_eq!(
            file.content.as_str(),
            member.file().content.as_str(),
            "{}",
            member.name()
        );
    }
    assert_eq!(plan.files().count(), 5);
    let mtu = |name: &str| plan.member(name).unwrap().config().interface.mtu;
    assert_eq!(
        (mtu("c"), mtu("d"), mtu("a")),
        (Some(1412), Some(1440), None)
    );
}
