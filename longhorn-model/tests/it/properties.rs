//! What holds for any cluster and any parameters.

use longhorn_model::quantity;
use longhorn_model::scheduler::{Affinity, Cluster, Disk, GIB, Node, VolumeRequest};
use longhorn_model::storage_class::{
    AccessMode, Choice, DataLocality, ReplicaAutoBalance, VolumeParameters,
};
use proptest::prelude::*;

fn cluster() -> impl Strategy<Value = Cluster> {
    let disk = (
        1_u64..200,
        0_u64..=100,
        0_u64..60,
        0_u64..200,
        any::<bool>(),
    );
    let node = (
        0_u8..3,
        prop::collection::vec(disk, 0..4),
        prop::bool::weighted(0.9),
    );
    prop::collection::vec(node, 0..6).prop_map(|nodes| {
        Cluster::new(
            nodes
                .into_iter()
                .enumerate()
                .map(|(n, (zone, disks, ready))| {
                    let mut node = Node::new(format!("n{n}"))
                        .zone(format!("z{zone}"))
                        .ready(ready);
                    for (d, (size, free, reserved, scheduled, tagged)) in
                        disks.into_iter().enumerate()
                    {
                        let mut disk = Disk::new(format!("n{n}d{d}"), size * GIB)
                            .available(size * GIB * free / 100)
                            .reserved_percentage(reserved)
                            .scheduled(scheduled * GIB);
                        if tagged {
                            disk = disk.tags(["ssd"]);
                        }
                        node = node.disk(disk);
                    }
                    node
                }),
        )
    })
}

fn affinity() -> impl Strategy<Value = Affinity> {
    prop_oneof![
        Just(Affinity::Ignored),
        Just(Affinity::Enabled),
        Just(Affinity::Disabled)
    ]
}

fn volume() -> impl Strategy<Value = VolumeRequest> {
    (
        1_u64..60,
        0_u64..60,
        1_u32..5,
        affinity(),
        affinity(),
        affinity(),
        any::<bool>(),
    )
        .prop_map(|(size, actual, replicas, node, zone, disk, tagged)| {
            let mut volume = VolumeRequest::new("v", size * GIB, replicas)
                .actual_size(actual.min(size) * GIB)
                .anti_affinity(node, zone, disk);
            if tagged {
                volume = volume.disk_selector(["ssd"]);
            }
            volume
        })
}

fn parameters() -> impl Strategy<Value = VolumeParameters> {
    let tags = prop::option::of(prop::collection::vec("[a-z]{1,4}", 1..3));
    let choice = || {
        prop::option::of(prop_oneof![
            Just(Choice::Enabled),
            Just(Choice::Disabled),
            Just(Choice::Ignored)
        ])
    };
    (
        prop::option::of(1_u32..20),
        1_u32..5000,
        tags,
        choice(),
        any::<(bool, bool)>(),
        0_u8..3,
        0_u8..4,
    )
        .prop_map(
            |(replicas, timeout, tags, choice, (encrypted, counter), mode, balance)| {
                let mut all = VolumeParameters::default();
                all.number_of_replicas = replicas;
                all.stale_replica_timeout = timeout;
                all.disk_selector = tags;
                all.replica_soft_anti_affinity = choice;
                all.encrypted = encrypted;
                all.revision_counter_disabled = counter;
                all.access_mode = match mode {
                    0 => AccessMode::ReadWriteOnce,
                    1 => AccessMode::ReadWriteOncePod,
                    _ => AccessMode::ReadWriteMany,
                };
                all.migratable = mode == 2 && encrypted;
                all.data_locality = (balance > 1).then_some(DataLocality::BestEffort);
                all.replica_auto_balance = (balance > 2).then_some(ReplicaAutoBalance::LeastEffort);
                all
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_replica_goes_only_where_there_is_room(cluster in cluster(), volume in volume()) {
        let mut world = cluster.clone();
        for replica in cluster.place(&volume, &[]).placed {
            let disk = world.disk(&replica.disk).unwrap();
            prop_assert!(i128::from(volume.size) <= disk.headroom(&world.settings));
            prop_assert!(disk.available - volume.actual_size > disk.maximum / 4);
            prop_assert!(volume.disk_selector.iter().all(|tag| disk.tags.contains(tag)));
            world.account(&replica, volume.size);
        }
    }

    #[test]
    fn hard_anti_affinity_is_never_broken(cluster in cluster(), volume in volume()) {
        let hard = volume.anti_affinity(Affinity::Disabled, Affinity::Enabled, Affinity::Enabled);
        let placed = cluster.place(&hard, &[]).placed;
        for (n, replica) in placed.iter().enumerate() {
            prop_assert!(placed[..n].iter().all(|other| other.node != replica.node));
        }
    }

    #[test]
    fn what_is_placed_is_among_all_outcomes(cluster in cluster(), volume in volume()) {
        let placed = cluster.place(&volume, &[]);
        prop_assert_eq!(placed.placed.len() + placed.unplaced as usize, volume.replicas as usize);
        let outcomes = cluster.outcomes(&volume, &[], 2_000);
        prop_assert!(outcomes.iter().any(|outcome| outcome.placed == placed.placed));
    }

    #[test]
    fn choices_are_candidates(cluster in cluster(), volume in volume()) {
        let candidates = cluster.candidates(&volume, &[]);
        let choices = cluster.choices(&volume, &[]);
        prop_assert_eq!(choices.is_empty(), candidates.disks.is_empty());
        prop_assert!(choices.iter().all(|replica| candidates.disks.contains(&replica.disk)));
        prop_assert!(candidates.disks.is_empty() || candidates.reasons.is_empty());
    }

    #[test]
    fn parameters_are_read_as_they_were_written(parameters in parameters()) {
        let written = parameters.to_parameters();
        let read = VolumeParameters::from_parameters(written.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        prop_assert_eq!(read.unwrap(), parameters);
    }

    #[test]
    fn a_number_of_bytes_is_a_quantity_of_itself(bytes in any::<i64>()) {
        prop_assert_eq!(quantity::bytes(&bytes.to_string()), Some(bytes));
    }
}
