//! Whether volumes fit before anything is built.

use longhorn_model::scheduler::{Cluster, Disk, GIB, Node, VolumeRequest};

fn cluster(nodes: u32, size: u64) -> Cluster {
    Cluster::new((1..=nodes).map(|n| {
        Node::new(format!("w{n}")).disk(Disk::new(format!("d{n}"), size).reserved_percentage(30))
    }))
}

#[test]
fn four_nodes_carry_three_replicas_through_the_loss_of_one() {
    let volumes = [
        VolumeRequest::new("db", 20 * GIB, 3),
        VolumeRequest::new("web", 10 * GIB, 2),
    ];
    let plan = cluster(4, 100 * GIB).plan(&volumes);
    assert!(plan.fits());
    assert!(plan.survives_any_node(), "{plan}");
}

#[test]
fn three_nodes_keep_serving_but_cannot_rebuild_a_third_replica() {
    let plan = cluster(3, 100 * GIB).plan(&[VolumeRequest::new("db", 20 * GIB, 3)]);
    assert!(plan.fits());
    assert!(!plan.survives_any_node());
    assert!(
        plan.losses
            .iter()
            .all(|loss| loss.lost.is_empty() && loss.degraded.len() == 1)
    );
    assert_eq!(
        plan.to_string(),
        "all 1 volumes fit; without w1: degraded db; without w2: degraded db; without w3: degraded db"
    );
}

#[test]
fn a_single_replica_is_lost_with_its_node() {
    let plan = cluster(2, 100 * GIB).plan(&[VolumeRequest::new("cache", 20 * GIB, 1)]);
    let lost: Vec<&str> = plan
        .losses
        .iter()
        .flat_map(|loss| &loss.lost)
        .map(String::as_str)
        .collect();
    assert_eq!(lost, ["cache"]);
}

#[test]
fn what_does_not_fit_is_named_with_its_reason() {
    let volumes = [
        VolumeRequest::new("a", 60 * GIB, 2),
        VolumeRequest::new("b", 20 * GIB, 2),
    ];
    let plan = cluster(2, 100 * GIB).plan(&volumes);
    assert!(!plan.fits());
    assert!(
        plan.to_string()
            .starts_with("b: 2 replicas without a place (insufficient storage)"),
        "{plan}"
    );
    let used = &plan.disks[0];
    assert_eq!((used.scheduled, used.limit), (60 * GIB, 70 * GIB));
}

#[test]
fn data_that_will_come_counts_when_it_is_told() {
    let full = |actual| {
        let volume = VolumeRequest::new("v", 60 * GIB, 1).actual_size(actual);
        let next = VolumeRequest::new("w", 5 * GIB, 1).actual_size(actual.min(5 * GIB));
        cluster(1, 100 * GIB).plan(&[volume, next]).fits()
    };
    assert!(full(0));
    assert!(!full(72 * GIB));
}
