//! Many guests at once.

use std::time::Duration;

use proxmox_client::bulk::{BulkMigration, BulkShutdown, BulkStart, BulkSuspend};
use proxmox_client::property::Startup;
use proxmox_client::simulator::{Fault, NodeSpec, Simulator, StorageSpec, World};
use proxmox_client::{Client, Kind, Login, LxcConfig, NodeSettings, QemuConfig};

fn vm() -> QemuConfig {
    QemuConfig::new().with_memory_mib(512)
}

async fn running(client: &Client, node: &str, vmids: &[u32]) -> Vec<bool> {
    let mut out = Vec::new();
    for vmid in vmids {
        let status = client.node(node).qemu(*vmid).status().await.unwrap();
        out.push(status.is_running());
    }
    out
}

/// The starts of tasks of a kind, in order: of which guest, and how many seconds after the first.
fn begun(simulator: &Simulator, kind: &str) -> Vec<(u32, u64)> {
    simulator.with(|world| {
        let of_kind = world.tasks().filter_map(|(upid, started, _)| {
            let mut parts = upid.split(':').skip(5);
            let (this, id) = (parts.next()?, parts.next()?);
            (this == kind).then(|| (id.parse().unwrap(), started))
        });
        let of_kind: Vec<_> = of_kind.collect();
        let first = of_kind.first().map(|(_, at)| *at);
        of_kind
            .into_iter()
            .map(|(id, at)| (id, at.duration_since(first.unwrap()).unwrap().as_secs()))
            .collect()
    })
}

#[tokio::test(start_paused = true)]
async fn a_node_starts_what_starts_with_it_in_order_and_with_pauses() {
    let first = Startup::default().with_order(1u32).with_up(20u32);
    let world = World::lab()
        .with_guest("pve1", 100, &vm())
        .with_guest("pve1", 101, &vm().with_on_boot(true))
        .with_guest("pve1", 102, &vm().with_on_boot(true))
        .with_guest(
            "pve1",
            103,
            &vm().with_on_boot(true).with("startup", first.to_string()),
        );
    let simulator = Simulator::new(world);
    let client = simulator.connect();
    let node = client.node("pve1");
    node.start_guests(&BulkStart::new()).await.unwrap();
    assert_eq!(
        running(&client, "pve1", &[100, 101, 102, 103]).await,
        [false, true, true, true]
    );
    let starts = begun(&simulator, "qmstart");
    let order: Vec<u32> = starts.iter().map(|(vmid, _)| *vmid).collect();
    assert_eq!(order, [103, 101, 102]);
    assert!((20..=22).contains(&starts[1].1), "{starts:?}");
    assert!(
        (23..=25).contains(&starts[2].1),
        "a machine waits three seconds: {starts:?}"
    );

    node.start_guests(&BulkStart::new().with_all())
        .await
        .unwrap();
    assert_eq!(running(&client, "pve1", &[100]).await, [true]);
    node.shut_down_guests(&BulkShutdown::new().of_guests([101, 102]))
        .await
        .unwrap();
    assert_eq!(
        running(&client, "pve1", &[100, 101, 102, 103]).await,
        [true, false, false, true]
    );
    let stops = begun(&simulator, "qmshutdown");
    assert_eq!(
        stops.iter().map(|(vmid, _)| *vmid).collect::<Vec<_>>(),
        [102, 101]
    );
}

#[tokio::test(start_paused = true)]
async fn the_cluster_acts_on_all_nodes_and_tells_what_it_skipped() {
    let world = World::lab()
        .with_node(NodeSpec::new("pve2", 4, 8 << 30))
        .with_guest("pve1", 100, &vm())
        .with_guest("pve2", 101, &vm())
        .with_container("pve2", 200, &LxcConfig::new());
    let simulator = Simulator::new(world);
    let client = simulator.connect();
    client.node("pve1").qemu(100).start().await.unwrap();
    let warnings = client.start_guests(&BulkStart::new()).await.unwrap();
    assert_eq!(warnings, ["Skipping VM 100, already running."]);
    assert_eq!(running(&client, "pve2", &[101]).await, [true]);
    let container = client.node("pve2").lxc(200);
    assert!(container.status().await.unwrap().is_running());

    let warnings = client.suspend_guests(&BulkSuspend::new()).await.unwrap();
    assert_eq!(warnings, ["skipping 200, only VMs can be suspended"]);
    let paused = client.node("pve2").qemu(101).status().await.unwrap();
    assert_eq!(paused.qmp_status.as_deref(), Some("paused"));
    client
        .start_guests(&BulkStart::new().of_guests([101]))
        .await
        .unwrap();
    let resumed = client.node("pve2").qemu(101).status().await.unwrap();
    assert_eq!(resumed.qmp_status.as_deref(), Some("running"));

    let all = BulkShutdown::new().with_timeout(Duration::from_secs(30));
    let warnings = client.shut_down_guests(&all.with_workers(2)).await.unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(running(&client, "pve1", &[100]).await, [false]);
    assert!(!container.status().await.unwrap().is_running());
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_fails_makes_the_clusters_task_fail_with_its_id() {
    let world = World::lab()
        .with_guest("pve1", 100, &vm())
        .with_guest("pve1", 101, &vm());
    let simulator = Simulator::new(world);
    let client = simulator.connect();
    simulator.with(|world| world.set_config(101, "lock", "backup"));
    let error = client.start_guests(&BulkStart::new()).await.unwrap_err();
    assert_eq!(error.message(), "Some guests failed to start: 101");
    let log: Vec<&str> = error
        .task_log()
        .iter()
        .map(|line| line.text.as_str())
        .collect();
    assert!(
        log.contains(&"WARN: Starting VM 101 failed: VM is locked (backup)"),
        "{log:?}"
    );
    assert_eq!(running(&client, "pve1", &[100, 101]).await, [true, false]);
    // A node takes off what a backup that was cut off left behind.
    let node = client.node("pve1");
    node.start_guests(&BulkStart::new().with_all())
        .await
        .unwrap();
    assert_eq!(running(&client, "pve1", &[101]).await, [true]);
    // It does not fail with its guests.
    node.shut_down_guests(&BulkShutdown::new()).await.unwrap();
    simulator.on_request(|request| match request.path.ends_with("/startall") {
        true => Fault::TaskFails("out of paper".to_owned()),
        false => Fault::None,
    });
    let failed = node.start_guests(&BulkStart::new()).await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.message()),
        (Kind::TaskFailed, "out of paper")
    );
}

#[tokio::test(start_paused = true)]
async fn guests_move_together_unless_their_disks_are_in_the_way() {
    let shared = StorageSpec::directory("nas", "/mnt/pve/nas", 1 << 40)
        .with_kind("nfs")
        .with_shared();
    let on = |storage: &str, vmid: u32| {
        let drive = format!("{storage}:{vmid}/vm-{vmid}-disk-0.raw,size=8G");
        vm().with("scsi0", drive)
    };
    let world = World::lab()
        .with_node(NodeSpec::new("pve2", 4, 8 << 30))
        .with_storage(shared)
        .with_guest("pve1", 100, &on("nas", 100))
        .with_guest("pve1", 101, &on("local", 101));
    let simulator = Simulator::new(world);
    let client = simulator.connect();
    let node = client.node("pve1");
    node.start_guests(&BulkStart::new().with_all())
        .await
        .unwrap();
    let unsaid = node
        .migrate_guests(&BulkMigration::to("pve2"))
        .await
        .unwrap_err();
    assert!(unsaid.message().contains("max-workers"), "{unsaid}");
    let here = node.migrate_guests(&BulkMigration::to("pve1").with_workers(1));
    assert_eq!(here.await.unwrap_err().kind(), Kind::Parameter);
    let how = BulkMigration::to("pve2").with_workers(2);
    node.migrate_guests(&how).await.unwrap();
    let places = |simulator: &Simulator| {
        simulator.with(|world| {
            let node = |vmid| world.guest(vmid).unwrap().node().to_owned();
            [node(100), node(101)]
        })
    };
    assert_eq!(places(&simulator), ["pve2", "pve1"]);
    let back = BulkMigration::to("pve1").with_online().with_local_disks();
    let warnings = client.migrate_guests(&back).await.unwrap();
    assert_eq!(warnings, ["VM 101 already on pve1, skipping."]);
    assert_eq!(places(&simulator), ["pve1", "pve1"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_suspends_its_machines_to_disk_and_wakes_them_where_they_were() {
    let world = World::lab()
        .with_guest("pve1", 100, &vm())
        .with_guest("pve1", 101, &vm());
    let client = Simulator::new(world).connect();
    let node = client.node("pve1");
    node.qemu(100).start().await.unwrap();
    node.suspend_guests(&BulkSuspend::new()).await.unwrap();
    let asleep = node.qemu(100).status().await.unwrap();
    assert_eq!(
        (asleep.is_running(), asleep.lock.as_deref()),
        (false, Some("suspended"))
    );
    assert_eq!(
        node.qemu(101).status().await.unwrap().lock,
        None,
        "it did not run"
    );
    client
        .start_guests(&BulkStart::new().of_guests([100]))
        .await
        .unwrap();
    assert_eq!(running(&client, "pve1", &[100, 101]).await, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_start_every_guest_names_those_that_they_may() {
    let world = World::lab()
        .with_guest("pve1", 100, &vm())
        .with_guest("pve1", 101, &vm())
        .with_user("alice@pve", "hunter2")
        .with_role_for("alice@pve", "PVEVMUser", "/vms/100");
    let simulator = Simulator::new(world);
    let login = Login::new("alice@pve", "hunter2");
    let alice = simulator.builder().login(login).build().unwrap();
    let all = alice.start_guests(&BulkStart::new()).await.unwrap_err();
    assert_eq!(all.message(), "Permission check failed (/, VM.PowerMgmt)");
    let other = BulkStart::new().of_guests([100, 101]);
    let other = alice.start_guests(&other).await.unwrap_err();
    assert_eq!(
        other.message(),
        "Permission check failed (/vms/101, VM.PowerMgmt)"
    );
    alice
        .start_guests(&BulkStart::new().of_guests([100]))
        .await
        .unwrap();
    assert_eq!(
        running(&simulator.connect(), "pve1", &[100, 101]).await,
        [true, false]
    );
}

#[tokio::test(start_paused = true)]
async fn what_only_the_cluster_can_do_is_refused_before_it_is_sent() {
    let simulator = Simulator::new(World::lab());
    let node = simulator.connect().node("pve1");
    let limit = BulkStart::new().with_timeout(Duration::from_secs(5));
    let error = node.start_guests(&limit).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput);
    let storage = BulkSuspend::new().with_disk(Some("local"));
    let error = node.suspend_guests(&storage).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput);
    assert!(simulator.journal().is_empty());
}

#[tokio::test(start_paused = true)]
async fn options_of_a_node_are_kept_under_their_digest() {
    let simulator = Simulator::new(World::lab());
    let node = simulator.connect().node("pve1");
    assert_eq!(
        node.options().await.unwrap().digest,
        None,
        "there is no file yet"
    );
    let wanted = NodeSettings::new()
        .with_description("in the cellar")
        .with_start_delay(30);
    node.ensure_options(&wanted).await.unwrap();
    let known = node.options().await.unwrap();
    assert_eq!(known.start_delay, Some(30));
    let stale = NodeSettings::new()
        .with_ballooning_target(90)
        .with_digest("0000000000000000000000000000000000000000");
    let error = node.ensure_options(&stale).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    let none = NodeSettings::new().with_description("");
    node.ensure_options(&none).await.unwrap();
    assert_eq!(node.options().await.unwrap().description, None);
    let error = node.wake().await.unwrap_err();
    assert_eq!(
        error.message(),
        "'pve1' is local node, cannot wake my self!"
    );
}
