//! What Ceph tells.

use proxmox_client::ceph::{CephHealth, CephOsds, CephPoolInfo, CephStatus};
use proxmox_client::wire::Answer;

fn read<T: serde::de::DeserializeOwned>(data: &str) -> T {
    let body = format!(r#"{{"data":{data}}}"#);
    Answer::new(200, "OK", body).data().unwrap()
}

#[test]
fn a_cluster_that_heals_is_neither_healthy_nor_clean() {
    let status: CephStatus = read(
        r#"{
        "fsid": "5a0b6a4c-3f0e-4a6f-9d0c-0c2d7d6f9d11",
        "health": {"status": "HEALTH_WARN", "checks": {"OSD_DOWN": {"severity": "HEALTH_WARN"}}},
        "quorum_names": ["pve1", "pve2", "pve3"],
        "osdmap": {"epoch": 90, "num_osds": 3, "num_up_osds": 2, "num_in_osds": 3},
        "pgmap": {"pgs_by_state": [
            {"state_name": "active+clean", "count": 30}, {"state_name": "active+undersized+degraded", "count": 3}
        ], "num_pgs": 33, "bytes_used": 3000, "bytes_avail": 7000, "bytes_total": 10000, "degraded_objects": 12}
    }"#,
    );
    assert_eq!(status.health.status, CephHealth::Warning);
    assert!(!status.is_healthy() && !status.is_clean());
    assert_eq!(status.monitors.as_ref().map(Vec::len), Some(3));
    let osds = status.osds.as_ref().unwrap();
    assert_eq!((osds.all, osds.up), (Some(3), Some(2)));
    assert_eq!(osds.extra["epoch"], 90);
    let healed: CephStatus = read(
        r#"{"health":{"status":"HEALTH_OK"},"pgmap":{"pgs_by_state":[{"state_name":"active+clean+scrubbing","count":33}]}}"#,
    );
    assert!(healed.is_healthy() && healed.is_clean());
    let newer: CephStatus = read(r#"{"health":{"status":"HEALTH_ODD"}}"#);
    assert_eq!(newer.health.status.as_str(), "HEALTH_ODD");
}

#[test]
fn disks_are_found_below_their_hosts() {
    let osds: CephOsds = read(
        r#"{"flags": "noout", "root": {"leaf": 0, "children": [
        {"id": -1, "name": "default", "type": "root", "children": [
            {"id": -3, "name": "pve1", "type": "host", "children": [
                {"id": 0, "name": "osd.0", "type": "osd", "status": "up", "in": 1, "device_class": "ssd", "crush_weight": "0.5"}]},
            {"id": -5, "name": "pve2", "type": "host", "children": [
                {"id": 1, "name": "osd.1", "type": "osd", "status": "down", "in": 0}]}
        ]}]}}"#,
    );
    let disks: Vec<(&str, &str, Option<bool>)> = osds
        .disks()
        .into_iter()
        .map(|(host, disk)| {
            (
                host,
                disk.status.as_deref().unwrap_or_default(),
                disk.within,
            )
        })
        .collect();
    assert_eq!(
        disks,
        [("pve1", "up", Some(true)), ("pve2", "down", Some(false))]
    );
    assert_eq!(osds.disks()[0].1.weight, Some(0.5));
    let pools: Vec<CephPoolInfo> = read(
        r#"[{"pool":2,"pool_name":"vms","size":3,"min_size":2,"pg_num":32,"percent_used":0.12,"type":"replicated"}]"#,
    );
    assert_eq!((pools[0].name.as_str(), pools[0].size), ("vms", Some(3)));
}
