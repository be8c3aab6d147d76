//! Parameters of storage classes, both ways.

use insta::assert_snapshot;
use longhorn_model::scheduler::{Cluster, Disk, GIB, Node};
use longhorn_model::settings::{SchedulingSettings, Version};
use longhorn_model::storage_class::{
    AccessMode, DEFAULT_CLASS_ANNOTATION, DataLocality, ReclaimPolicy, StorageClass,
    StorageClassBody, VolumeParameters, volume_size,
};

#[test]
fn a_class_is_built_and_printed() {
    let parameters = VolumeParameters::replicas(2)
        .data_locality(DataLocality::BestEffort)
        .disk_selector(["ssd"])
        .recurring_job("nightly", true)
        .other("fsType", "xfs");
    let body = StorageClassBody::longhorn(&parameters).reclaim_policy(ReclaimPolicy::Retain);
    let class = StorageClass::new("fast", body).with_annotation(DEFAULT_CLASS_ANNOTATION, "true");
    assert!(class.is_default());
    assert_snapshot!(class.to_yaml(), @r#"
    apiVersion: storage.k8s.io/v1
    kind: StorageClass
    metadata:
      name: fast
      annotations:
        storageclass.kubernetes.io/is-default-class: "true"
    provisioner: driver.longhorn.io
    parameters:
      numberOfReplicas: "2"
      dataLocality: best-effort
      diskSelector: ssd
      recurringJobSelector: "[{\"name\":\"nightly\",\"isGroup\":true}]"
      fsType: xfs
    reclaimPolicy: Retain
    allowVolumeExpansion: true
    "#);
    let read = StorageClass::from_yaml(&class.to_yaml()).unwrap();
    assert_eq!(read.volume_parameters().unwrap(), Some(parameters));
}

#[test]
fn a_class_of_another_driver_has_no_parameters_of_longhorn() {
    let text = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: x}\nprovisioner: other.io\n";
    assert_eq!(
        StorageClass::from_yaml(text)
            .unwrap()
            .volume_parameters()
            .unwrap(),
        None
    );
}

#[test]
fn what_the_driver_refuses_is_named_all_at_once() {
    let given = [
        ("numberOfReplicas", "three"),
        ("encrypted", "yes"),
        ("share", "true"),
        ("exclusive", "1"),
    ];
    let error = VolumeParameters::from_parameters(given).unwrap_err();
    let names: Vec<&str> = error.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(names, ["numberOfReplicas", "encrypted", "exclusive"]);
}

#[test]
fn what_the_driver_ignores_is_told_with_the_likely_name() {
    let check = |version, name| VolumeParameters::check_parameters(version, [(name, "enabled")]);
    let remedy = |version, name| check(version, name)[0].remedy.clone().unwrap();
    assert_eq!(
        remedy(Version::V1_12, "freezeFSForSnapshot"),
        "did you mean freezeFilesystemForSnapshot?"
    );
    assert_eq!(
        remedy(Version::V1_12, "numberofReplicas"),
        "did you mean numberOfReplicas?"
    );
    assert_eq!(remedy(Version::V1_8, "cloneMode"), "it came with 1.10");
    assert!(
        check(
            Version::V1_12,
            "csi.storage.k8s.io/node-publish-secret-name"
        )
        .is_empty()
    );
}

#[test]
fn the_webhook_s_later_refusals_are_told_too() {
    let given = [
        ("numberOfReplicas", "2"),
        ("dataLocality", "strict-local"),
        ("diskSelector", "ssd, fast"),
    ];
    let found = VolumeParameters::check_parameters(Version::V1_12, given);
    let names: Vec<&str> = found.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(names, ["dataLocality", "diskSelector"]);
}

#[test]
fn sharing_decides_the_access_mode() {
    let read = |given: &[(&'static str, &'static str)]| {
        VolumeParameters::from_parameters(given.iter().copied()).unwrap()
    };
    assert_eq!(
        read(&[("share", "true")]).access_mode,
        AccessMode::ReadWriteMany
    );
    assert_eq!(
        read(&[("exclusive", "true")]).access_mode,
        AccessMode::ReadWriteOncePod
    );
    assert!(!read(&[("migratable", "true")]).migratable);
    assert!(read(&[("migratable", "true"), ("share", "true")]).migratable);
}

#[test]
fn a_claim_is_rounded_up() {
    assert_eq!(volume_size(1), 10 << 20);
    assert_eq!(volume_size((10 << 20) + 1), 12 << 20);
    assert_eq!(volume_size(GIB), GIB);
}

#[test]
fn a_class_leads_to_a_request_and_a_volume_and_back() {
    let settings = SchedulingSettings::default();
    let parameters = VolumeParameters::default()
        .disk_selector(["ssd"])
        .data_locality(DataLocality::BestEffort);
    let request = parameters.to_request("data", 5 * GIB, &settings);
    assert_eq!((request.replicas, request.size), (3, 5 * GIB));
    let disk = |n: u32| Disk::new(format!("d{n}"), 100 * GIB).tags(["ssd"]);
    let cluster = Cluster::new((1..=3).map(|n| Node::new(format!("w{n}")).disk(disk(n))));
    assert!(cluster.plan(&[request]).fits());
    let spec = parameters.to_volume_spec(5 * GIB, &settings);
    let mut back = VolumeParameters::from_volume_spec(&spec);
    assert_eq!(back.number_of_replicas.take(), Some(3));
    assert_eq!(back, parameters);
}
