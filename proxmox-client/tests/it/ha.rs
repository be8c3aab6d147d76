//! High availability on servers with rules and on servers with groups.

use std::collections::BTreeSet;
use std::time::Duration;

use proxmox_client::simulator::{Simulator, World};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{
    Affinity, AffinityKind, Client, Ensured, HaModel, HaSettings, HaSid, HaState, Kind, LxcConfig,
    NewLxc, NodePriority, QemuConfig, Removed, ResourceFilter, ResourceStatus,
};

use crate::laboratory::{at_real_speed, three_nodes, writes};

fn cluster(version: &str) -> World {
    three_nodes().with_version(version)
}

async fn with_guests(world: World, vmids: &[u32]) -> (Simulator, Client) {
    let (simulator, client) = at_real_speed(world);
    for vmid in vmids {
        let node = client.node("pve1");
        node.create_qemu(*vmid, QemuConfig::new()).await.unwrap();
    }
    (simulator, client)
}

fn stopped() -> HaSettings {
    HaSettings::new().with_state(HaState::Stopped)
}

#[tokio::test(start_paused = true)]
async fn a_resource_is_added_changed_where_it_differs_and_removed_once() {
    let (simulator, client) = with_guests(cluster("9.1.9"), &[100]).await;
    let ha = client.ha();
    let sid = HaSid::vm(100);
    let wanted = stopped().with_max_restart(2).with_comment("db");
    assert_eq!(
        ha.ensure_resource(&sid, &wanted).await.unwrap(),
        Ensured::Created
    );
    let before = writes(&simulator);
    assert_eq!(
        ha.ensure_resource(&sid, &wanted).await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(
        writes(&simulator),
        before,
        "nothing is sent when nothing differs"
    );
    let more = wanted.with_max_relocate(3).with_comment("");
    assert_eq!(
        ha.ensure_resource(&sid, &more).await.unwrap(),
        Ensured::Updated(vec!["max_relocate".to_owned(), "comment".to_owned()])
    );
    let known = ha.resource(&sid).await.unwrap().unwrap();
    assert_eq!(
        (
            known.state,
            known.max_restart,
            known.max_relocate,
            known.comment
        ),
        (Some(HaState::Stopped), Some(2), Some(3), None)
    );
    let twice = ha.add_resource(&sid, &stopped()).await.unwrap_err();
    assert!(twice.is_already_exists(), "{twice}");
    let missing = ha
        .add_resource(&HaSid::vm(9999), &stopped())
        .await
        .unwrap_err();
    assert_eq!(
        missing.message().trim(),
        "resource 'vm:9999' does not exist in cluster"
    );
    assert_eq!(ha.remove_resource(&sid).await.unwrap(), Removed::Removed);
    assert_eq!(ha.remove_resource(&sid).await.unwrap(), Removed::Absent);
    assert!(ha.resource(&sid).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_others_overtook_is_decided_again() {
    let (simulator, client) = with_guests(cluster("9.1.9"), &[100, 101]).await;
    let ha = client.ha();
    ha.add_resource(&HaSid::vm(100), &stopped()).await.unwrap();
    let digest = ha.resources().await.unwrap()[0].digest.clone().unwrap();
    ha.add_resource(&HaSid::vm(101), &stopped()).await.unwrap();
    let stale = Request::new(Method::Put, "/cluster/ha/resources/{sid}", &["vm:100"])
        .with("comment", "late")
        .with("digest", digest);
    let error = client.request(stale).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(
        error
            .message()
            .starts_with("update resources config failed: detected modified")
    );
    // Both read the same digest; the second to write looks again instead of failing.
    simulator.clear_journal();
    let (a, b) = (HaSid::vm(100), HaSid::vm(101));
    let (first, second) = (stopped().with_comment("a"), stopped().with_comment("b"));
    let (first, second) = tokio::join!(
        ha.ensure_resource(&a, &first),
        ha.ensure_resource(&b, &second)
    );
    let changed = Ensured::Updated(vec!["comment".to_owned()]);
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (changed.clone(), changed)
    );
}

#[tokio::test(start_paused = true)]
async fn one_view_is_read_from_rules_and_from_groups() {
    for (version, model) in [("9.1.9", HaModel::Rules), ("8.4.5", HaModel::Groups)] {
        let (simulator, client) = with_guests(cluster(version), &[100, 101]).await;
        let ha = client.ha();
        assert_eq!(ha.model().await.unwrap(), model);
        for vmid in [100, 101] {
            ha.ensure_resource(&HaSid::vm(vmid), &stopped())
                .await
                .unwrap();
        }
        let wanted = Affinity::to_nodes("db", [("pve1", 2), ("pve2", 1)])
            .strictly()
            .with_resources([HaSid::vm(100)])
            .with_failback(false)
            .with_comment("near the disks");
        assert_eq!(ha.ensure_affinity(&wanted).await.unwrap(), Ensured::Created);
        let before = writes(&simulator);
        assert_eq!(
            ha.ensure_affinity(&wanted).await.unwrap(),
            Ensured::Unchanged,
            "{version}"
        );
        assert_eq!(writes(&simulator), before);
        assert_eq!(
            ha.affinity("db").await.unwrap().as_ref(),
            Some(&wanted),
            "{version}"
        );
        let other = wanted.with_resources([HaSid::vm(101)]);
        assert_ne!(
            ha.ensure_affinity(&other).await.unwrap(),
            Ensured::Unchanged
        );
        assert_eq!(ha.affinities().await.unwrap(), [other], "{version}");
        assert_eq!(ha.remove_affinity("db").await.unwrap(), Removed::Removed);
        assert_eq!(ha.remove_affinity("db").await.unwrap(), Removed::Absent);
        assert_eq!(ha.resources().await.unwrap().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_an_upgrade_made_a_rule_of_is_found_by_its_old_name() {
    let (simulator, client) = with_guests(cluster("9.1.9"), &[100]).await;
    let ha = client.ha();
    ha.ensure_resource(&HaSid::vm(100), &stopped())
        .await
        .unwrap();
    let migrated =
        Affinity::to_nodes("ha-group-db", [("pve1", 0)]).with_resources([HaSid::vm(100)]);
    ha.ensure_affinity(&migrated).await.unwrap();
    let wanted = Affinity::to_nodes("db", [("pve2", 0)]).with_resources([HaSid::vm(100)]);
    assert_eq!(
        ha.ensure_affinity(&wanted).await.unwrap(),
        Ensured::Updated(vec!["nodes".to_owned()])
    );
    let rules = ha.affinities().await.unwrap();
    assert_eq!(rules.len(), 1, "not a second one");
    assert_eq!(
        ha.affinity("db").await.unwrap().unwrap().name,
        "ha-group-db"
    );
    assert_eq!(ha.remove_affinity("db").await.unwrap(), Removed::Removed);
    drop(simulator);
}

#[tokio::test(start_paused = true)]
async fn groups_that_were_not_turned_into_rules_yet_are_still_groups() {
    let (simulator, client) = with_guests(cluster("8.4.5"), &[100]).await;
    let ha = client.ha();
    ha.ensure_resource(&HaSid::vm(100), &stopped())
        .await
        .unwrap();
    let group = Affinity::to_nodes("db", [("pve1", 0)]).with_resources([HaSid::vm(100)]);
    ha.ensure_affinity(&group).await.unwrap();
    simulator.with(|world| *world = world.clone().with_version("9.1.9"));
    assert_eq!(ha.model().await.unwrap(), HaModel::Groups);
    let rule = Affinity::together("pair").with_resources([HaSid::vm(100)]);
    assert_eq!(
        ha.ensure_affinity(&rule).await.unwrap_err().kind(),
        Kind::NotImplemented
    );
    let raw = Request::new(Method::Post, "/cluster/ha/rules", &[])
        .with("rule", "r1")
        .with("type", "node-affinity")
        .with("resources", "vm:100")
        .with("nodes", "pve1");
    let error = client.request(raw).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotImplemented, "{error}");
    ha.remove_affinity("db").await.unwrap();
    assert_eq!(ha.model().await.unwrap(), HaModel::Rules);
}

#[tokio::test(start_paused = true)]
async fn rules_that_cannot_be_followed_are_refused_with_their_reason() {
    let (_simulator, client) = with_guests(cluster("9.1.9"), &[100, 101, 102, 103]).await;
    let ha = client.ha();
    let all: Vec<HaSid> = (100..=103).map(HaSid::vm).collect();
    for sid in &all {
        ha.ensure_resource(sid, &stopped()).await.unwrap();
    }
    let pair = || all[..2].to_vec();
    let refused = async |affinity: Affinity| {
        let error = ha.ensure_affinity(&affinity).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Parameter, "{error}");
        error.parameters()["resources"].clone()
    };
    assert_eq!(
        refused(Affinity::together("one").with_resources([HaSid::vm(100)])).await,
        "rule is ineffective as there are less than two resources"
    );
    assert_eq!(
        refused(Affinity::apart("four").with_resources(all.clone())).await,
        "rule defines more resources than available nodes"
    );
    ha.ensure_affinity(&Affinity::together("pair").with_resources(pair()))
        .await
        .unwrap();
    assert_eq!(
        refused(Affinity::apart("torn").with_resources(pair())).await,
        "rule shares two or more resources with a positive resource affinity rule"
    );
    let off = Affinity::apart("torn")
        .with_resources(pair())
        .with_enabled(false);
    assert_eq!(ha.ensure_affinity(&off).await.unwrap(), Ensured::Created);
    assert!(!ha.affinity("torn").await.unwrap().unwrap().enabled);
    let on = off.with_enabled(true);
    refused(on).await;
    ha.ensure_affinity(&Affinity::to_nodes("home", [("pve1", 0)]).with_resources([HaSid::vm(102)]))
        .await
        .unwrap();
    assert!(
        refused(Affinity::to_nodes("away", [("pve2", 0)]).with_resources([HaSid::vm(102)]))
            .await
            .contains("already used in another node affinity rule")
    );
    let nowhere = Affinity::to_nodes("xx", [("pve9", 0)]).with_resources([HaSid::vm(103)]);
    let error = ha.ensure_affinity(&nowhere).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    let stranger = Affinity::to_nodes("xx", [("pve1", 0)]).with_resources([HaSid::vm(555)]);
    let error = ha.ensure_affinity(&stranger).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    let retyped = Affinity::apart("home").with_resources(pair());
    assert_eq!(
        ha.ensure_affinity(&retyped).await.unwrap_err().kind(),
        Kind::InvalidInput
    );
}

#[tokio::test(start_paused = true)]
async fn the_manager_starts_moves_and_stops_what_it_manages() {
    let (simulator, client) = with_guests(cluster("9.1.9"), &[100]).await;
    let ha = client.ha();
    let sid = HaSid::vm(100);
    let state = async || {
        let status = ha.status().await.unwrap();
        let found = status
            .into_iter()
            .find(|entry| entry.sid.as_ref() == Some(&sid));
        found.unwrap().state.unwrap()
    };
    let rounds = async |count: u64| tokio::time::sleep(Duration::from_secs(10 * count + 5)).await;
    assert!(ha.manager_status().await.unwrap().master().is_none());
    let started = HaSettings::new().with_state(HaState::Started);
    ha.ensure_resource(&sid, &started).await.unwrap();
    assert_eq!(state().await, "queued");
    rounds(2).await;
    assert_eq!(state().await, "started");
    assert!(
        client
            .node("pve1")
            .qemu(100)
            .status()
            .await
            .unwrap()
            .is_running()
    );
    let manager = ha.manager_status().await.unwrap();
    assert!(manager.is_quorate());
    assert_eq!(
        (manager.master(), manager.node_state("pve2")),
        (Some("pve1"), Some("online"))
    );

    let motion = ha.migrate(&sid, "pve2").await.unwrap();
    assert!(motion.is_accepted());
    assert_eq!(state().await, "migrate");
    rounds(3).await;
    assert_eq!(state().await, "started");
    let here = client.node("pve2").qemu(100);
    let uptime = here.status().await.unwrap().uptime.unwrap();
    assert!(uptime > 30, "it ran on: {uptime}");

    ha.relocate(&sid, "pve3").await.unwrap();
    rounds(6).await;
    let there = client.node("pve3").qemu(100);
    let uptime = there.status().await.unwrap().uptime.unwrap();
    assert!(uptime < 60, "it was started anew: {uptime}");

    // Who stops a managed guest asks the manager.
    there.stop().await.unwrap();
    let kept = ha.resource(&sid).await.unwrap().unwrap();
    assert_eq!(kept.state, Some(HaState::Stopped));
    rounds(2).await;
    assert!(!there.status().await.unwrap().is_running());
    assert_eq!(state().await, "stopped");
    simulator.with(|world| {
        assert!(
            world
                .tasks()
                .any(|(upid, ..)| upid.contains(":hastop:100:"))
        )
    });
    let missing = ha.migrate(&HaSid::vm(101), "pve2").await.unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
}

#[tokio::test(start_paused = true)]
async fn resources_that_are_kept_together_move_together_and_those_kept_apart_stay() {
    let (_simulator, client) = with_guests(cluster("9.1.9"), &[100, 101, 102]).await;
    let ha = client.ha();
    for vmid in [100, 101, 102] {
        ha.ensure_resource(&HaSid::vm(vmid), &stopped())
            .await
            .unwrap();
    }
    let pair = Affinity::together("pair").with_resources([HaSid::vm(100), HaSid::vm(101)]);
    ha.ensure_affinity(&pair).await.unwrap();
    let motion = ha.migrate(&HaSid::vm(100), "pve2").await.unwrap();
    assert_eq!(
        motion.comigrated.as_deref(),
        Some(&["vm:101".to_owned()][..])
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(client.node("pve2").qemus().await.unwrap().len(), 2);
    let apart = Affinity::apart("apart").with_resources([HaSid::vm(100), HaSid::vm(102)]);
    ha.ensure_affinity(&apart).await.unwrap();
    let motion = ha.migrate(&HaSid::vm(102), "pve2").await.unwrap();
    assert!(!motion.is_accepted());
    assert_eq!(motion.blocking.unwrap()[0].sid, HaSid::vm(100));
}

async fn rounds(count: u64) {
    tokio::time::sleep(Duration::from_secs(10 * count + 5)).await;
}

fn node_of(simulator: &Simulator, vmid: u32) -> String {
    simulator.with(|world| world.guest(vmid).unwrap().node().to_owned())
}

fn runs(simulator: &Simulator, vmid: u32) -> bool {
    simulator.with(|world| world.guest(vmid).unwrap().started_at().is_some())
}

#[tokio::test(start_paused = true)]
async fn started_resources_go_where_rules_want_them() {
    let (simulator, client) = with_guests(cluster("9.1.9"), &[100, 101, 102]).await;
    let ha = client.ha();
    for vmid in [100, 101, 102] {
        let started = HaSettings::new().with_state(HaState::Started);
        ha.ensure_resource(&HaSid::vm(vmid), &started)
            .await
            .unwrap();
    }
    rounds(2).await;
    let home = Affinity::to_nodes("home", [("pve2", 2), ("pve3", 1)]);
    let home = home.with_resources([HaSid::vm(100)]);
    ha.ensure_affinity(&home).await.unwrap();
    let apart = Affinity::apart("apart").with_resources([HaSid::vm(101), HaSid::vm(102)]);
    ha.ensure_affinity(&apart).await.unwrap();
    rounds(4).await;
    assert_eq!(node_of(&simulator, 100), "pve2");
    assert_ne!(node_of(&simulator, 101), node_of(&simulator, 102));
    // It goes back to where it belongs, unless it is told to stay.
    ha.migrate(&HaSid::vm(100), "pve3").await.unwrap();
    rounds(8).await;
    assert_eq!(node_of(&simulator, 100), "pve2");
    let stays = HaSettings::new().with_failback(false);
    ha.ensure_resource(&HaSid::vm(100), &stays).await.unwrap();
    ha.migrate(&HaSid::vm(100), "pve3").await.unwrap();
    rounds(8).await;
    assert_eq!(node_of(&simulator, 100), "pve3");
    for vmid in [100, 101, 102] {
        assert!(runs(&simulator, vmid), "{vmid}");
    }
}

#[tokio::test(start_paused = true)]
async fn resources_of_a_lost_node_are_recovered_where_rules_let_them() {
    let (simulator, client) = with_guests(cluster("9.1.9"), &[100, 101, 102]).await;
    let ha = client.ha();
    let started = HaSettings::new().with_state(HaState::Started);
    for vmid in [100, 101] {
        ha.ensure_resource(&HaSid::vm(vmid), &started)
            .await
            .unwrap();
    }
    client.node("pve1").qemu(102).start().await.unwrap();
    let only = Affinity::to_nodes("only", [("pve1", 0)]).strictly();
    ha.ensure_affinity(&only.with_resources([HaSid::vm(101)]))
        .await
        .unwrap();
    rounds(2).await;
    simulator.with(|world| assert!(world.lose_node("pve1") && !world.lose_node("pve1")));
    let error = client.node("pve1").qemu(100).status().await.unwrap_err();
    assert_eq!(error.kind(), Kind::NodeUnreachable);
    let state = async |node: &str| {
        let manager = ha.manager_status().await.unwrap();
        manager.node_state(node).unwrap().to_owned()
    };
    assert_eq!(state("pve1").await, "unknown");
    rounds(8).await;
    assert_eq!(state("pve1").await, "fence");
    assert_eq!(node_of(&simulator, 100), "pve1", "its lock holds");
    rounds(6).await;
    assert_eq!(state("pve1").await, "unknown");
    assert_ne!(node_of(&simulator, 100), "pve1");
    assert!(runs(&simulator, 100));
    let kept = [101, 102].map(|vmid| (node_of(&simulator, vmid), runs(&simulator, vmid)));
    assert!(
        kept.iter().all(|(node, on)| node == "pve1" && !on),
        "{kept:?}"
    );
    let told = client.resources(Some(ResourceFilter::Vm)).await.unwrap();
    let lost = told.iter().find(|entry| entry.vmid == Some(102)).unwrap();
    assert_eq!(lost.status, Some(ResourceStatus::Unknown));
    let members = client.cluster_status().await.unwrap();
    let first = members.iter().find(|member| member.name == "pve1").unwrap();
    assert_eq!((first.online, first.local), (Some(false), Some(false)));

    simulator.with(|world| assert!(world.return_node("pve1")));
    rounds(3).await;
    assert!(runs(&simulator, 101), "its node is back");
    assert!(!runs(&simulator, 102), "nobody looks after it");
    assert_eq!(state("pve1").await, "online");
}

#[tokio::test(start_paused = true)]
async fn without_a_quorum_nothing_is_changed_or_recovered() {
    let (simulator, client) = with_guests(cluster("9.1.9"), &[100]).await;
    let started = HaSettings::new().with_state(HaState::Started);
    client
        .ha()
        .ensure_resource(&HaSid::vm(100), &started)
        .await
        .unwrap();
    rounds(2).await;
    simulator.with(|world| world.lose_node("pve1") && world.lose_node("pve2"));
    rounds(20).await;
    assert_eq!(node_of(&simulator, 100), "pve1");
    let new = client.node("pve3").create_qemu(101, QemuConfig::new());
    assert_eq!(new.await.unwrap_err().kind(), Kind::NoQuorum);
    assert!(!client.ha().manager_status().await.unwrap().is_quorate());
    let members = client.cluster_status().await.unwrap();
    let whole = members.iter().find(|member| member.kind == "cluster");
    assert_eq!(whole.unwrap().quorate, Some(false));
    simulator.with(|world| world.return_node("pve2"));
    rounds(3).await;
    assert!(runs(&simulator, 100));
    assert_ne!(node_of(&simulator, 100), "pve1");
}

#[tokio::test(start_paused = true)]
async fn a_container_is_managed_like_a_machine() {
    let template = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
    let world = cluster("9.1.9").with_volume(template, 130 << 20);
    let (simulator, client) = with_guests(world, &[100]).await;
    let node = client.node("pve1");
    let new = NewLxc::new(template, LxcConfig::new()).with_storage("local-lvm");
    node.create_lxc(200, new).await.unwrap();
    let ha = client.ha();
    let plain = HaSettings::new();
    let wrong = ha.add_resource(&HaSid::vm(200), &plain).await.unwrap_err();
    assert!(
        wrong.message().contains("guest with ID 200 is not a VM"),
        "{wrong}"
    );
    ha.add_resource(&HaSid::ct(200), &plain).await.unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    simulator.with(|world| assert!(world.guest(200).unwrap().started_at().is_some()));
    ha.migrate(&HaSid::ct(200), "pve2").await.unwrap();
    tokio::time::sleep(Duration::from_secs(45)).await;
    simulator.with(|world| {
        let guest = world.guest(200).unwrap();
        assert_eq!(guest.node(), "pve2");
        assert!(guest.started_at().is_some());
    });
}

#[tokio::test(start_paused = true)]
async fn a_guest_is_removed_with_its_traces_or_not_at_all() {
    let (_simulator, client) = with_guests(cluster("9.1.9"), &[100]).await;
    let ha = client.ha();
    ha.ensure_resource(&HaSid::vm(100), &stopped())
        .await
        .unwrap();
    let plain = Request::new(Method::Delete, "/nodes/pve1/qemu/100", &[]);
    let error = client.request(plain).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InUse, "{error}");
    client.node("pve1").qemu(100).delete().await.unwrap();
    assert!(ha.resources().await.unwrap().is_empty());
}

#[test]
fn identifiers_and_nodes_are_read_and_written() {
    assert_eq!("vm:100".parse::<HaSid>().unwrap().vmid(), Some(100));
    assert_eq!(HaSid::ct(101).to_string(), "ct:101");
    assert_eq!(
        "fa:web".parse::<HaSid>().unwrap().kind(),
        "fa",
        "kinds of newer servers are kept"
    );
    for wrong in ["100", "vm:", ":100", "VM:100", "vm:1 00", "vm:1,ct:2"] {
        assert!(wrong.parse::<HaSid>().is_err(), "{wrong}");
    }
    let node: NodePriority = "pve1:3".parse().unwrap();
    assert_eq!((node.node.as_str(), node.priority), ("pve1", 3));
    assert_eq!(NodePriority::new("pve1", 0).to_string(), "pve1");
    for wrong in ["pve1:", "pve1:x", "-pve:1", "pve1:+1", ""] {
        assert!(wrong.parse::<NodePriority>().is_err(), "{wrong}");
    }
    let twice = Affinity::to_nodes("a", [("pve1", 1), ("pve1", 2)]);
    let AffinityKind::Nodes { nodes, strict } = twice.kind else {
        panic!("nodes were asked for");
    };
    assert_eq!((nodes.len(), strict), (2, false));
    assert_eq!(HaState::from("freeze").as_str(), "freeze");
    let _: BTreeSet<HaState> = [HaState::Started].into();
}
