//! Many callers at once, against the simulator's model of locks and workers.

mod mixed;
mod unseen;

use std::time::Duration;

use std::future::IntoFuture;

use futures::future::join_all;
use proxmox_client::retry::RetryPolicy;
use proxmox_client::simulator::{Daemon, NodeSpec, Simulator, StorageSpec, World};
use proxmox_client::{Client, CloneOptions, Kind, Limits, QemuConfig, QemuPatch};

fn template() -> QemuConfig {
    QemuConfig::new()
        .with("template", 1)
        .with("ide2", "local:9000/vm-9000-cloudinit.qcow2,media=cdrom")
        .with("scsi0", "local:9000/base-9000-disk-0.qcow2,size=2G")
}

fn busy(storage: StorageSpec) -> (Simulator, Client) {
    let world = World::new(
        5,
        std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
    )
    .with_node(NodeSpec::new("pve1", 8, 64 << 30))
    .with_storage(storage)
    .with_token("root@pam!lab", "lab-secret")
    .with_daemon(Daemon::measured())
    .with_guest("pve1", 9000, &template());
    let simulator = Simulator::at_real_speed(world);
    let client = simulator
        .builder()
        .token("root@pam!lab=lab-secret")
        .retry(RetryPolicy::never())
        .limits(Limits::none())
        .build()
        .expect("a client in process needs no address");
    (simulator, client)
}

fn directory() -> StorageSpec {
    StorageSpec::directory("local", "/var/lib/vz", 1 << 40)
}

#[tokio::test(start_paused = true)]
async fn of_many_clones_to_one_id_exactly_one_wins() {
    let (simulator, client) = busy(directory());
    let source = client.node("pve1").qemu(9000);
    let clones = (0..20).map(|_| source.clone_to(9100, CloneOptions::new()).into_future());
    let results = join_all(clones).await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 1);
    assert!(
        results
            .iter()
            .filter_map(|result| result.as_ref().err())
            .all(proxmox_client::Error::is_already_exists)
    );
    // At most one task for each worker of the daemon; the others were refused at once.
    let accepted = simulator
        .journal()
        .iter()
        .filter(|e| e.method == "POST" && e.status == Some(200))
        .count();
    assert!((1..=3).contains(&accepted), "{accepted}");
    assert_eq!(simulator.with(|world| world.guests().count()), 2);
}

#[tokio::test(start_paused = true)]
async fn clones_that_wait_too_long_for_a_storage_leave_nothing_behind() {
    let slow = directory().with_allocation_time(Duration::from_millis(1100));
    let (simulator, client) = busy(slow);
    let source = client.node("pve1").qemu(9000);
    let clones = (0..20).map(|index| {
        source
            .clone_to(9100 + index, CloneOptions::new().with_full(true))
            .into_future()
    });
    let results = join_all(clones).await;
    let failed: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .collect();
    assert!((1..=12).contains(&failed.len()), "{}", failed.len());
    for error in &failed {
        assert_eq!(error.kind(), Kind::LockTimeout, "{error}");
        assert!(error.message().starts_with(
            "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-local'"
        ));
    }
    let made = simulator.with(|world| world.guests().count());
    assert_eq!(made, 1 + results.len() - failed.len());
    let volumes = simulator.with(|world| world.volumes("local"));
    assert_eq!(volumes.len(), 2 * made);
}

#[tokio::test(start_paused = true)]
async fn with_the_usual_limits_the_same_clones_all_succeed() {
    for storage in [directory(), directory().with_shared()] {
        let (simulator, _) = busy(storage.with_allocation_time(Duration::from_millis(1100)));
        let client = simulator.builder().token("root@pam!lab=lab-secret");
        let client = client.build().unwrap();
        let source = client.node("pve1").qemu(9000);
        let clones = (0..20).map(|index| {
            let options = CloneOptions::new().with_full(true);
            source.clone_to(9100 + index, options).into_future()
        });
        for made in join_all(clones).await {
            made.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_waits_too_long_is_told_the_lock() {
    let (simulator, client) = busy(directory());
    simulator.with(|world| world.durations_mut().start = Duration::from_secs(15));
    let vm = client
        .node("pve1")
        .create_qemu(100, QemuConfig::new())
        .await
        .unwrap()
        .qemu;
    let read = vm.config().await.unwrap();
    let starting = vm.start().submit().await.unwrap();
    let error = vm
        .apply(&read, &QemuPatch::new().set("onboot", 1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::LockTimeout);
    assert!(error.message().contains("lock-100.conf' - got timeout"));
    drop(starting);
}

#[tokio::test(start_paused = true)]
async fn under_one_digest_exactly_one_change_is_made() {
    let (_simulator, client) = busy(directory());
    let vm = client
        .node("pve1")
        .create_qemu(100, QemuConfig::new())
        .await
        .unwrap()
        .qemu;
    let read = vm.config().await.unwrap();
    let patches: Vec<QemuPatch> = (0..10)
        .map(|index| QemuPatch::new().set("name", format!("n{index}")))
        .collect();
    let results = join_all(patches.iter().map(|patch| vm.apply(&read, patch))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        results
            .iter()
            .filter_map(|r| r.as_ref().err())
            .all(|error| error.kind() == Kind::Conflict)
    );
    // Who reads again when told of a conflict gets through.
    let both = futures::future::join(
        vm.update(|_| Ok(QemuPatch::new().set("onboot", 1))),
        vm.update(|_| Ok(QemuPatch::new().set("cores", 2))),
    )
    .await;
    assert!(both.0.is_ok() && both.1.is_ok());
    let config = vm.config().await.unwrap();
    assert_eq!((config.on_boot(), config.cores()), (Some(true), Some(2)));
}

#[tokio::test(start_paused = true)]
async fn ids_of_a_pool_are_distinct_under_contention() {
    let (simulator, client) = busy(directory());
    let source = client.node("pve1").qemu(9000);
    let ids = client.vmid_pool(9100..=9199).unwrap();
    // A second program with a pool of its own, which knows nothing of ours.
    let others = simulator.connect().vmid_pool(9100..=9199).unwrap();
    let make = |ids: &proxmox_client::VmidPool| {
        let (ids, source) = (ids.clone(), source.clone());
        async move {
            ids.create(|vmid| source.clone_to(vmid, CloneOptions::new()))
                .await
        }
    };
    let calls: Vec<_> = (0..10).flat_map(|_| [make(&ids), make(&others)]).collect();
    let results = join_all(calls).await;
    let mut made: Vec<u32> = results
        .into_iter()
        .map(|result| result.unwrap().qemu.vmid())
        .collect();
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 20);
}
