//! Replication jobs and how they go.

use std::time::Duration;

use proxmox_client::property::Drive;
use proxmox_client::simulator::{Simulator, StorageSpec};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{
    Client, Ensured, Kind, QemuConfig, Removed, ReplicationId, ReplicationRemoval,
    ReplicationSettings,
};

use crate::laboratory::{at_real_speed, three_nodes};

async fn cluster() -> (Simulator, Client) {
    let zfs = StorageSpec::lvm_thin("tank", 1 << 40).with_kind("zfspool");
    let (simulator, client) = at_real_speed(three_nodes().with_storage(zfs));
    for (vmid, storage) in [(100, "tank"), (101, "local-lvm")] {
        let config = QemuConfig::new().with_drive("scsi0", Drive::allocate(storage, 1));
        client.node("pve1").create_qemu(vmid, config).await.unwrap();
    }
    (simulator, client)
}

async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_secs(60 * count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_is_made_changed_where_it_differs_and_removed_in_its_next_run() {
    let (_simulator, client) = cluster().await;
    let job = client.replication(ReplicationId::new(100, 0));
    let wanted = ReplicationSettings::new()
        .with_schedule("*/5")
        .with_rate(10.0);
    assert_eq!(job.ensure("pve2", &wanted).await.unwrap(), Ensured::Created);
    assert_eq!(
        job.ensure("pve2", &wanted).await.unwrap(),
        Ensured::Unchanged
    );
    let off = wanted.with_enabled(false).with_comment("later");
    assert_eq!(
        job.ensure("pve2", &off).await.unwrap(),
        Ensured::Updated(vec!["disable".to_owned(), "comment".to_owned()])
    );
    let known = job.get().await.unwrap().unwrap();
    assert_eq!(
        (known.vmid, known.source.as_deref()),
        (Some(100), Some("pve1"))
    );
    assert_eq!((known.rate, known.disabled), (Some(10.0), Some(true)));
    let elsewhere = job.ensure("pve3", &off).await.unwrap_err();
    assert!(elsewhere.is_already_exists(), "{elsewhere}");
    let twin = client.replication(ReplicationId::new(100, 1));
    let error = twin
        .ensure("pve2", &ReplicationSettings::new())
        .await
        .unwrap_err();
    assert!(error.is_already_exists(), "{error}");

    let how = ReplicationRemoval::KeepCopy;
    assert_eq!(job.delete(how).await.unwrap(), Removed::Removed);
    assert_eq!(
        job.get().await.unwrap().unwrap().removal.as_deref(),
        Some("local")
    );
    minutes(2).await;
    assert!(job.get().await.unwrap().is_none());
    assert_eq!(job.delete(how).await.unwrap(), Removed::Absent);
    assert_eq!(
        job.delete(ReplicationRemoval::Forget).await.unwrap(),
        Removed::Absent
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_by_its_schedule_and_when_it_is_asked_to() {
    let (_simulator, client) = cluster().await;
    let id = ReplicationId::new(100, 0);
    let node = client.node("pve1");
    client
        .replication(id)
        .ensure("pve2", &ReplicationSettings::new())
        .await
        .unwrap();
    let before = node.replication_status(id).await.unwrap();
    assert!(!before.is_synced());
    minutes(16).await;
    let after = node.replication_status(id).await.unwrap();
    assert!(after.is_synced() && after.last_sync == before.next_sync);
    let log = node.replication_log(id).await.unwrap();
    assert!(
        log.first()
            .unwrap()
            .text
            .ends_with("100-0: start replication job")
    );
    minutes(2).await;
    node.run_replication(id).await.unwrap();
    minutes(2).await;
    let asked = node.replication_status(id).await.unwrap();
    assert!(asked.last_sync > after.last_sync);
    assert_eq!(node.replications(Some(100)).await.unwrap().len(), 1);
    assert!(node.replications(Some(101)).await.unwrap().is_empty());
    assert!(
        client
            .node("pve2")
            .replications(None)
            .await
            .unwrap()
            .is_empty()
    );
    let other = client
        .node("pve2")
        .replication_status(id)
        .await
        .unwrap_err();
    assert!(other.is_not_found(), "{other}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_copied_is_refused_with_the_servers_texts() {
    let (_simulator, client) = cluster().await;
    let plain = ReplicationSettings::new();
    let refused = async |vmid: u32, target: &str| {
        let job = client.replication(ReplicationId::new(vmid, 0));
        job.ensure(target, &plain).await.unwrap_err()
    };
    let missing = refused(111, "pve2").await;
    assert_eq!(missing.message().trim(), "Guest '111' does not exist.");
    let nowhere = refused(100, "pve9").await;
    assert_eq!(nowhere.message().trim(), "Target 'pve9' does not exist.");
    assert!(nowhere.is_not_found());
    assert!(
        refused(100, "pve1")
            .await
            .message()
            .contains("must not be identical")
    );
    assert!(
        refused(101, "pve2")
            .await
            .message()
            .contains("missing replicate feature")
    );
    let job = client.replication(ReplicationId::new(100, 0));
    let never = ReplicationSettings::new().with_schedule("not a schedule");
    let error = job.ensure("pve2", &never).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Parameter);
    assert!(error.parameters()["schedule"].starts_with("invalid format - invalid calendar event"));
    let slow = ReplicationSettings::new().with_rate(0.5);
    let error = job.ensure("pve2", &slow).await.unwrap_err();
    assert_eq!(
        error.parameters()["rate"],
        "value must have a minimum value of 1"
    );
}

#[tokio::test(start_paused = true)]
async fn a_guest_with_a_job_is_removed_with_it_or_not_at_all() {
    let (_simulator, client) = cluster().await;
    let job = client.replication(ReplicationId::new(100, 0));
    job.ensure("pve2", &ReplicationSettings::new())
        .await
        .unwrap();
    let plain = Request::new(Method::Delete, "/nodes/pve1/qemu/100", &[]);
    assert_eq!(client.request(plain).await.unwrap_err().kind(), Kind::InUse);
    client.node("pve1").qemu(100).delete().await.unwrap();
    assert!(client.replication_jobs().await.unwrap().is_empty());
}

#[test]
fn identifiers_are_read_and_written() {
    let id: ReplicationId = "100-3".parse().unwrap();
    assert_eq!(
        (id.vmid, id.number, id.to_string().as_str()),
        (100, 3, "100-3")
    );
    for wrong in ["100", "100-", "-1", "99-0", "100-x", "100-1-2", "+100-0"] {
        assert!(wrong.parse::<ReplicationId>().is_err(), "{wrong}");
    }
}
