//! Plans carried out on real user-space devices in network namespaces, and pinged.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use wireguard_config::live::Synced;
use wireguard_config::render::firewall::{Policy, nftables};
use wireguard_config::{
    Changes, Endpoint, ErrorKind, Inventory, Keys, Member, Plan, PresharedKey, PrivateKey, Role,
    Rotation, Topology,
};

use crate::namespaces::{Lab, absent, obstacle, underlay};
use crate::support::Seeded;

/// Says that a test did not run, and why.
fn missing() -> bool {
    let obstacle = obstacle();
    if let Some(why) = &obstacle {
        println!("did not run: {why}");
    }
    obstacle.is_some()
}

/// As [`missing`], for what also needs `nft`.
fn missing_nft() -> bool {
    let absent = absent("nft");
    if let Some(why) = &absent {
        println!("did not run: {why}");
    }
    absent.is_some() || missing()
}

fn endpoint(number: usize) -> Endpoint {
    Endpoint::new(underlay(number), 51820)
}

fn keys(inventory: &Inventory) -> Keys {
    let mut keys = Keys::new();
    keys.complete(inventory, &mut Seeded::new(u64::from(std::process::id())));
    keys
}

fn plan(inventory: &Inventory) -> Plan {
    inventory.plan(&keys(inventory)).expect("a plan")
}

fn dual_stack() -> Inventory {
    Inventory::new("10.77.0.0/24".parse().unwrap()).network("fd77::/64".parse().unwrap())
}

fn names(plan: &Plan) -> Vec<String> {
    plan.members()
        .map(|member| member.name().to_owned())
        .collect()
}

fn lab_for(plan: &Plan) -> Lab {
    let lab = machines(plan);
    bring_up(&lab, plan);
    lab
}

fn machines(plan: &Plan) -> Lab {
    let names = names(plan);
    Lab::new(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn bring_up(lab: &Lab, plan: &Plan) {
    for member in plan.members().filter(|member| member.needs_forwarding()) {
        lab.forward(member.name());
    }
    lab.sync_all(plan);
}

fn address(plan: &Plan, name: &str, family: usize) -> IpAddr {
    plan.member(name).unwrap().addresses()[family].address()
}

/// Pings every ordered pair over both families: first each pair one way only, because two first packets that meet can
/// silence a pair for seconds, then the other way.
fn assert_pings_as_planned(lab: &Lab, plan: &Plan) {
    let names = names(plan);
    let reachability = plan.reachability();
    let forward = (0..names.len()).flat_map(|i| (i + 1..names.len()).map(move |j| (i, j)));
    let all: Vec<(usize, usize)> = forward
        .clone()
        .chain(forward.map(|(i, j)| (j, i)))
        .collect();
    for (i, j) in all {
        let expected = reachability.between(&names[i], &names[j]).unwrap();
        for family in 0..2 {
            let patience = if expected.is_reachable() { 15 } else { 1 };
            let answered = lab.pings(&names[i], address(plan, &names[j], family), patience);
            assert_eq!(
                answered,
                expected.is_reachable(),
                "{} -> {}: {expected}",
                names[i],
                names[j]
            );
        }
    }
}

#[test]
fn ten_machines_ping_as_the_plan_says_and_no_other_pair_does() {
    if missing() {
        return;
    }
    // Two of them have no endpoint and no relay between them: the plan says that they cannot meet.
    let members = (1..=10).map(|i| {
        let member = Member::new(format!("n{i}"));
        if i <= 8 {
            member.endpoint(endpoint(i))
        } else {
            member
        }
    });
    let inventory = dual_stack().members(members).allow_unreachable(true);
    let plan = plan(&inventory);
    assert_eq!(plan.reachability().unreachable().count(), 2);
    let lab = lab_for(&plan);
    assert_pings_as_planned(&lab, &plan);
    for member in plan.members() {
        let state = lab.device(member.name());
        let wanted = member.config();
        assert_eq!(state.peers.len(), wanted.peers.len());
        assert!(Changes::for_device(&state, None, &wanted).operations().iter().all(|operation| {
            // An endpoint may have been learned where the plan has one, never anything else.
            matches!(operation, wireguard_config::Operation::UpdatePeer(update) if update.endpoint.is_some())
        }));
    }
}

/// A hub and spokes that have met it.
fn star(spokes: &[&str]) -> (Plan, Lab) {
    let inventory = dual_stack()
        .topology(Topology::HubAndSpoke)
        .member(Member::hub("hub", endpoint(1)))
        .members(spokes.iter().map(|name| Member::new(*name)));
    let plan = plan(&inventory);
    let lab = lab_for(&plan);
    // Spokes speak first: the hub does not know where they are.
    for spoke in spokes {
        assert!(lab.pings(spoke, address(&plan, "hub", 0), 15));
    }
    (plan, lab)
}

/// Two machines without endpoints and the relay between them.
fn relayed() -> Plan {
    let inventory = dual_stack()
        .member(Member::new("home"))
        .member(Member::new("office"))
        .member(Member::new("vps").role(Role::Relay).endpoint(endpoint(3)));
    plan(&inventory)
}

#[test]
fn spokes_meet_through_their_hub() {
    if missing() {
        return;
    }
    let (plan, lab) = star(&["spoke2", "spoke3", "spoke4"]);
    assert_pings_as_planned(&lab, &plan);
}

#[test]
fn hosts_of_two_sites_reach_each_other() {
    if missing() {
        return;
    }
    let inventory = dual_stack()
        .topology(Topology::SiteToSite)
        .member(
            Member::new("north")
                .endpoint(endpoint(1))
                .routed("192.168.1.0/24".parse().unwrap()),
        )
        .member(
            Member::new("south")
                .endpoint(endpoint(2))
                .routed("192.168.2.0/24".parse().unwrap()),
        );
    let plan = plan(&inventory);
    let mut lab = lab_for(&plan);
    let north = lab.host_behind("north", "192.168.1.1", "192.168.1.10");
    let south = lab.host_behind("south", "192.168.2.1", "192.168.2.10");
    assert!(lab.pings_from(&north, "192.168.2.10".parse().unwrap(), 15));
    assert!(lab.pings_from(&south, "192.168.1.10".parse().unwrap(), 15));
    assert!(!lab.pings_from(&north, "192.168.3.10".parse().unwrap(), 1));
}

#[test]
fn a_relay_joins_machines_that_cannot_be_dialled() {
    if missing() {
        return;
    }
    let plan = relayed();
    assert_eq!(
        plan.reachability()
            .between("home", "office")
            .unwrap()
            .to_string(),
        "via vps"
    );
    let lab = lab_for(&plan);
    for name in ["home", "office"] {
        assert!(lab.pings(name, address(&plan, "vps", 0), 15));
    }
    assert_pings_as_planned(&lab, &plan);
}

#[test]
fn real_nft_a_relay_joins_machines_behind_address_translation() {
    if missing_nft() {
        return;
    }
    let plan = relayed();
    let mut lab = machines(&plan);
    let hidden = ["home", "office"].map(|name| (name, lab.hide(name)));
    bring_up(&lab, &plan);
    for (name, outside) in hidden {
        // The first word must come from inside: the plan has the hidden machines keep their way open.
        assert!(lab.pings(name, address(&plan, "vps", 0), 15));
        let key = plan.member(name).unwrap().public_key();
        let seen = lab.device("vps").peer(&key).unwrap().endpoint.clone();
        assert_eq!(seen.and_then(|endpoint| endpoint.address()), Some(outside));
    }
    assert_pings_as_planned(&lab, &plan);
}

#[test]
fn real_nft_rules_let_spokes_meet_or_keep_them_apart() {
    if missing_nft() {
        return;
    }
    let (plan, lab) = star(&["spoke2", "spoke3"]);
    let hub = plan.member("hub").unwrap();
    let interface = lab.nodes[0].interface.clone();
    for meet in [true, false, true] {
        let mut policy = Policy::of(&hub);
        assert!(policy.forward_between_peers);
        policy.forward_between_peers = meet;
        lab.nft(
            "hub",
            &nftables(&hub.config(), &interface, &policy).unwrap(),
        );
        for family in 0..2 {
            let patience = if meet { 15 } else { 1 };
            let other = address(&plan, "spoke3", family);
            assert_eq!(lab.pings("spoke2", other, patience), meet);
            assert!(lab.pings("spoke2", address(&plan, "hub", family), 15));
        }
    }
}

/// Two machines that have met.
fn pair() -> (Inventory, Keys, Plan, Lab) {
    let inventory =
        dual_stack().members((1..=2).map(|i| Member::new(format!("n{i}")).endpoint(endpoint(i))));
    let keys = keys(&inventory);
    let plan = inventory.plan(&keys).unwrap();
    let lab = lab_for(&plan);
    assert!(lab.pings("n1", address(&plan, "n2", 0), 15));
    (inventory, keys, plan, lab)
}

#[test]
fn a_new_key_costs_at_most_two_of_a_thousand_pings() {
    if missing() {
        return;
    }
    let (inventory, mut keys, plan, lab) = pair();
    let rotation = Rotation::key(&plan, "n2", PrivateKey::generate(&mut Seeded::new(99))).unwrap();
    let stream = lab.stream("n1", address(&plan, "n2", 0), 1000);
    std::thread::sleep(Duration::from_secs(2));
    for stage in &rotation.stages {
        lab.carry_out(stage);
    }
    let lost = stream.lost();
    assert!(lost <= 2, "{lost} of 1000 lost");
    rotation.apply_to(&mut keys);
    let after = inventory.plan(&keys).unwrap();
    for name in ["n1", "n2"] {
        let left = lab.inside(name, |client, interface| {
            client
                .plan(interface, &after.member(name).unwrap().config())
                .unwrap()
        });
        assert!(left.is_empty(), "{name}: {left}");
    }
}

#[test]
fn a_silent_peer_gets_the_new_address_of_its_name() {
    if missing() {
        return;
    }
    let name: Endpoint = "n2.example.com:51820".parse().unwrap();
    let inventory = dual_stack()
        .member(Member::new("n1"))
        .member(Member::new("n2").endpoint(name));
    let plan = plan(&inventory);
    let lab = machines(&plan);
    lab.sync("n2", &plan.member("n2").unwrap().config());
    let wanted = plan.member("n1").unwrap().config();
    // Where the name once was there is nobody now.
    let mut before = wanted.clone();
    assert!(before.resolve_endpoints(|_| Some(underlay(9))).is_empty());
    lab.sync("n1", &before);
    assert!(!lab.pings("n1", address(&plan, "n2", 0), 1));
    let renew = |now: IpAddr| {
        lab.inside("n1", |client, interface| {
            client
                .renew_endpoints(interface, &wanted, SystemTime::now(), |_| Some(now))
                .unwrap()
        })
    };
    assert_eq!(renew(underlay(9)), Synced::Unchanged);
    assert!(matches!(renew(underlay(2)), Synced::Updated(_)));
    assert!(lab.pings("n1", address(&plan, "n2", 0), 15));
    // A peer that answers is left alone, wherever its name points.
    assert_eq!(renew(underlay(9)), Synced::Unchanged);
}

#[test]
fn names_are_resolved_as_this_machine_does_it() {
    use wireguard_config::live::system_address;
    let patience = Duration::from_secs(30);
    assert!(system_address("localhost", patience).is_some_and(|found| found.is_loopback()));
    assert_eq!(system_address("not a name", patience), None);
}

#[test]
fn a_new_preshared_key_costs_no_ping() {
    if missing() {
        return;
    }
    let (_, _, plan, lab) = pair();
    let new = PresharedKey::generate(&mut Seeded::new(98));
    let rotation = Rotation::preshared(&plan, "n1", "n2", new.clone()).unwrap();
    let stream = lab.stream("n1", address(&plan, "n2", 0), 400);
    for stage in &rotation.stages {
        std::thread::sleep(Duration::from_secs(1));
        lab.carry_out(stage);
    }
    assert_eq!(stream.lost(), 0);
    assert_eq!(lab.device("n1").peers[0].preshared_key, Some(new));
}

#[test]
fn a_sync_without_change_costs_no_ping_and_keeps_the_counters() {
    if missing() {
        return;
    }
    let (_, _, plan, lab) = pair();
    let before = lab.device("n1").peers[0].clone();
    let stream = lab.stream("n1", address(&plan, "n2", 0), 300);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(300));
        for member in plan.members() {
            assert_eq!(lab.sync(member.name(), &member.config()), Synced::Unchanged);
        }
    }
    assert_eq!(stream.lost(), 0);
    let after = &lab.device("n1").peers[0];
    assert_eq!(after.last_handshake, before.last_handshake);
    assert!(after.received > before.received && after.sent > before.sent);
}

#[test]
fn a_member_that_leaves_takes_its_addresses_and_routes_along() {
    if missing() {
        return;
    }
    let site = |n: u8| format!("192.168.{n}.0/24").parse().unwrap();
    let three = dual_stack()
        .topology(Topology::SiteToSite)
        .members((1..=3u8).map(|i| {
            Member::new(format!("n{i}"))
                .endpoint(endpoint(usize::from(i)))
                .routed(site(i))
        }));
    let keys = keys(&three);
    let plan = three.plan(&keys).unwrap();
    let lab = lab_for(&plan);
    assert!(lab.pings("n1", address(&plan, "n2", 0), 15));
    let mut two = three.clone().leases(plan.leases());
    two.members.remove(2);
    let smaller = two.plan(&keys).unwrap();
    let Synced::Updated(changes) = lab.sync("n1", &smaller.member("n1").unwrap().config()) else {
        panic!("something has changed")
    };
    let gone = plan.member("n3").unwrap().public_key();
    assert_eq!(
        changes.to_string(),
        format!("remove peer {gone}\nremove the route to 192.168.3.0/24")
    );
    let link = lab.inside("n1", |client, interface| client.link(interface).unwrap());
    assert_eq!(link.routes, ["192.168.2.0/24".parse().unwrap()]);
    assert!(lab.pings("n1", address(&plan, "n2", 0), 1));
}

#[test]
fn an_absent_device_is_an_error_of_its_own_kind() {
    let client = wireguard_config::live::Client::builder()
        .timeout(Duration::from_secs(2))
        .build();
    let error = client.device("wg-nosuch").unwrap_err();
    assert!(error.errno().is_some(), "{error:?}");
    assert!(client.device("../x").is_err());
    // A default route would catch the tunnel's own packets, so it is refused before anything is looked at.
    let text = |table: &str| {
        let key = PrivateKey::generate(&mut Seeded::new(1)).public_key();
        format!("[Interface]\n{table}\n[Peer]\nPublicKey = {key}\nAllowedIPs = 0.0.0.0/0\n")
    };
    for (table, kind) in [
        ("Table = auto", ErrorKind::Unsupported),
        ("Table = 7", ErrorKind::Unsupported),
    ] {
        let config = wireguard_config::Config::parse(text(table)).unwrap();
        assert_eq!(client.sync("wg-nosuch", &config).unwrap_err().kind(), kind);
    }
    let config = wireguard_config::Config::parse(text("Table = off")).unwrap();
    assert_ne!(
        client.sync("wg-nosuch", &config).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}
