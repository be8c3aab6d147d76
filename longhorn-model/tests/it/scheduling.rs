//! Where replicas go.

use std::collections::BTreeSet;

use longhorn_model::resources::{self, DiskSpec, NodeSpec};
use longhorn_model::scheduler::{
    Affinity, AutoBalance, Cluster, DataEngine, DataLocality, Disk, DiskKind, GIB, Node, Reason,
    Replica, VolumeRequest,
};
use longhorn_model::settings::SchedulingSettings;

fn three_nodes() -> Cluster {
    Cluster::new((1..=3).map(|n| {
        Node::new(format!("w{n}"))
            .zone(format!("z{n}"))
            .disk(Disk::new(format!("d{n}"), 100 * GIB))
    }))
}

fn candidates(cluster: &Cluster, volume: &VolumeRequest, replicas: &[Replica]) -> Vec<String> {
    cluster
        .candidates(volume, replicas)
        .disks
        .into_iter()
        .collect()
}

#[test]
fn replicas_spread_over_nodes() {
    let outcome = three_nodes().place(&VolumeRequest::new("v", 10 * GIB, 3), &[]);
    let nodes: BTreeSet<String> = outcome
        .placed
        .into_iter()
        .map(|replica| replica.node)
        .collect();
    assert_eq!(nodes.len(), 3);
}

#[test]
fn a_fourth_replica_has_no_place_and_no_reason_but_anti_affinity() {
    let outcome = three_nodes().place(&VolumeRequest::new("v", 10 * GIB, 4), &[]);
    assert_eq!((outcome.placed.len(), outcome.unplaced), (3, 1));
    assert!(outcome.reasons.is_empty());
}

#[test]
fn soft_anti_affinity_of_the_volume_overrides_the_setting() {
    let volume = VolumeRequest::new("v", 10 * GIB, 4).anti_affinity(
        Affinity::Enabled,
        Affinity::Ignored,
        Affinity::Ignored,
    );
    assert_eq!(three_nodes().place(&volume, &[]).unplaced, 0);
}

#[test]
fn a_quarter_of_a_disk_stays_free_and_the_limit_itself_does_not_pass() {
    let at = |available| {
        let disk = Disk::new("d", 100 * GIB).available(available);
        let cluster = Cluster::new([Node::new("w").disk(disk)]);
        cluster.candidates(&VolumeRequest::new("v", GIB, 1), &[])
    };
    assert_eq!(at(25 * GIB + 1).disks.len(), 1);
    assert_eq!(
        at(25 * GIB).reasons,
        BTreeSet::from([Reason::InsufficientStorage])
    );
}

#[test]
fn what_is_promised_counts_against_what_is_not_reserved() {
    let cluster = |settings| {
        let disk = Disk::new("d", 100 * GIB)
            .reserved_percentage(30)
            .scheduled(60 * GIB);
        Cluster::new([Node::new("w").disk(disk)]).settings(settings)
    };
    let volume = VolumeRequest::new("v", 11 * GIB, 1);
    assert!(candidates(&cluster(SchedulingSettings::default()), &volume, &[]).is_empty());
    let mut settings = SchedulingSettings::default();
    settings
        .set("storage-over-provisioning-percentage", "200")
        .unwrap();
    assert_eq!(candidates(&cluster(settings), &volume, &[]), ["d"]);
}

#[test]
fn every_wish_must_be_a_tag() {
    let node = |name: &str, tags: &[&str]| {
        let disk = Disk::new(format!("{name}-disk"), 100 * GIB).tags(tags.iter().copied());
        Node::new(name).disk(disk)
    };
    let cluster = Cluster::new([
        node("a", &["ssd"]),
        node("b", &["ssd", "fast"]),
        node("c", &[]),
    ]);
    let wish = |tags: &[&str]| VolumeRequest::new("v", GIB, 1).disk_selector(tags.iter().copied());
    assert_eq!(
        candidates(&cluster, &wish(&["ssd", "fast"]), &[]),
        ["b-disk"]
    );
    assert_eq!(
        candidates(&cluster, &wish(&["SSD"]), &[]),
        Vec::<String>::new()
    );
    assert_eq!(candidates(&cluster, &wish(&[]), &[]).len(), 3);
    let mut strict = cluster.clone();
    strict.settings.allow_empty_disk_selector = false;
    assert_eq!(candidates(&strict, &wish(&[]), &[]), ["c-disk"]);
}

#[test]
fn each_engine_has_its_sort_of_disk() {
    let cluster = Cluster::new([
        Node::new("a").disk(Disk::new("files", 100 * GIB)),
        Node::new("b").disk(Disk::new("block", 100 * GIB).kind(DiskKind::Block)),
    ]);
    assert_eq!(
        candidates(&cluster, &VolumeRequest::new("v", GIB, 1), &[]),
        ["files"]
    );
    assert_eq!(
        candidates(
            &cluster,
            &VolumeRequest::new("v", GIB, 1).engine(DataEngine::V2),
            &[]
        ),
        ["block"]
    );
}

#[test]
fn ext4_holds_no_file_of_16_tib() {
    let disk = Disk::new("d", 100 << 40).filesystem("ext4");
    let cluster = Cluster::new([Node::new("w").disk(disk)]);
    let found = cluster.candidates(&VolumeRequest::new("v", 16 << 40, 1), &[]);
    assert_eq!(found.reasons, BTreeSet::from([Reason::IncompatibleSize]));
    assert_eq!(
        cluster
            .candidates(&VolumeRequest::new("v", (16 << 40) - 1, 1), &[])
            .disks
            .len(),
        1
    );
}

#[test]
fn a_replica_on_its_way_out_lets_its_node_be_used_again() {
    let cluster = Cluster::new([Node::new("w")
        .disk(Disk::new("old", 100 * GIB).eviction_requested(true))
        .disk(Disk::new("new", 100 * GIB))]);
    let volume = VolumeRequest::new("v", GIB, 2);
    let stays = [Replica::new("w", "old")];
    assert!(candidates(&cluster, &volume, &stays).is_empty());
    let leaves = [Replica::new("w", "old").eviction_requested(true)];
    assert_eq!(candidates(&cluster, &volume, &leaves), ["new"]);
}

#[test]
fn a_failed_replica_counts_until_it_is_given_up() {
    let cluster = three_nodes();
    let volume = VolumeRequest::new("v", GIB, 2);
    let failed = |retries| [Replica::new("w1", "d1").failed(true, retries)];
    assert_eq!(candidates(&cluster, &volume, &failed(4)), ["d2", "d3"]);
    assert_eq!(
        candidates(&cluster, &volume, &failed(5)),
        ["d1", "d2", "d3"]
    );
}

#[test]
fn best_effort_locality_puts_the_first_replica_where_the_volume_is_used() {
    let volume = VolumeRequest::new("v", GIB, 2)
        .data_locality(DataLocality::BestEffort, Some("w3".to_owned()));
    assert_eq!(three_nodes().place(&volume, &[]).placed[0].node, "w3");
}

#[test]
fn balancing_with_best_effort_may_use_another_disk_of_a_full_node() {
    let cluster = Cluster::new([Node::new("w")
        .disk(Disk::new("full", 100 * GIB).available(9 * GIB))
        .disk(Disk::new("free", 100 * GIB))]);
    let volume = VolumeRequest::new("v", GIB, 2);
    let replicas = [Replica::new("w", "full")];
    assert!(candidates(&cluster, &volume, &replicas).is_empty());
    assert_eq!(
        candidates(
            &cluster,
            &volume.auto_balance(AutoBalance::BestEffort),
            &replicas
        ),
        ["free"]
    );
}

#[test]
fn a_closed_node_gives_its_reason() {
    let cluster = Cluster::new([Node::new("w").ready(false).disk(Disk::new("d", 100 * GIB))]);
    let found = cluster.candidates(&VolumeRequest::new("v", GIB, 1), &[]);
    assert_eq!(found.reasons, BTreeSet::from([Reason::NodesUnavailable]));
    let elsewhere = VolumeRequest::new("v", GIB, 1).hard_node_affinity("other");
    let found = cluster.candidates(&elsewhere, &[]);
    assert_eq!(found.reasons, BTreeSet::from([Reason::HardAffinity]));
}

#[test]
fn ties_are_all_told_and_placing_is_repeatable() {
    let volume = VolumeRequest::new("v", 10 * GIB, 1);
    assert_eq!(three_nodes().choices(&volume, &[]).len(), 3);
    assert_eq!(three_nodes().outcomes(&volume, &[], 100).len(), 3);
    assert_eq!(
        three_nodes().place(&volume, &[]),
        three_nodes().place(&volume, &[])
    );
}

#[test]
fn a_volume_grows_only_where_every_disk_has_room_for_all_its_replicas() {
    let cluster = Cluster::new([
        Node::new("a").disk(Disk::new("roomy", 100 * GIB).scheduled(50 * GIB)),
        Node::new("b").disk(Disk::new("tight", 100 * GIB).scheduled(95 * GIB)),
    ]);
    let roomy = Replica::new("a", "roomy");
    assert!(
        cluster
            .can_expand(std::slice::from_ref(&roomy), 20 * GIB)
            .is_ok()
    );
    assert!(
        cluster
            .can_expand(&[roomy.clone(), roomy.clone(), roomy.clone()], 20 * GIB)
            .is_err()
    );
    let short = cluster
        .can_expand(&[roomy, Replica::new("b", "tight")], 10 * GIB)
        .unwrap_err();
    assert_eq!(
        short.into_iter().collect::<Vec<_>>(),
        [("tight".to_owned(), Reason::InsufficientStorage)]
    );
}

#[test]
fn node_objects_become_nodes_of_the_scheduler() {
    let spec = NodeSpec::new().tags(["storage"]).disks([(
        "main",
        DiskSpec::new().tags(["ssd"]).storage_reserved(10_i64),
    )]);
    let object = resources::Node::new("w1", spec);
    let node = Node::from_object(&object, "z1", &[("main".to_owned(), 100 * GIB)].into());
    assert_eq!(node.disks[0].id, "w1/main");
    assert_eq!((node.disks[0].reserved, node.zone.as_str()), (10, "z1"));
    assert!(
        Node::from_object(&object, "z1", &Default::default())
            .disks
            .is_empty()
    );
}
