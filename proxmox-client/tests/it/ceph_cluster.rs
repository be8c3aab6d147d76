//! Ceph of a modelled cluster: built, used, damaged, taken apart.

use std::time::Duration;

use proxmox_client::ceph::{
    CephApplication, CephFilesystemRemoval, CephFlag, CephHealth, CephInit, CephOsdPart,
    CephOsdRemoval, CephPoolRemoval, CephPoolSettings, CephService, CephState, EnsuredOsd,
    NewCephFilesystem, NewCephOsd, NewCephPool,
};
use proxmox_client::property::ErasureCoding;
use proxmox_client::simulator::{Clock, DiskSpec, NodeSpec, Simulator, World};
use proxmox_client::task::PollPolicy;
use proxmox_client::{Client, Ensured, Kind, Login, QemuConfig, Removed};

/// A client of root with a ticket: only it may make disks.
fn root(simulator: &Simulator) -> Client {
    let builder = simulator.builder().login(Login::new("root@pam", "pw"));
    let poll = PollPolicy::every(Duration::from_millis(2));
    builder.poll(poll).build().unwrap()
}

const NODES: [&str; 3] = ["pve1", "pve2", "pve3"];

/// Three nodes, each with two disks that nothing is on and a fast one.
fn world() -> World {
    let mut world = World::lab().with_user("root@pam", "pw");
    for (at, name) in NODES.iter().enumerate() {
        let node = NodeSpec::new(name, 8, 64 << 30).with_address(&format!("192.0.2.{}", 11 + at));
        world = world
            .with_node(node)
            .with_disk(name, DiskSpec::hdd("/dev/sdb", 1 << 40))
            .with_disk(name, DiskSpec::ssd("/dev/sdc", 1 << 40))
            .with_disk(name, DiskSpec::nvme("/dev/nvme0n1", 1 << 38));
    }
    world
}

/// A cluster with monitors, managers and a disk on each node.
async fn built() -> (Simulator, Client) {
    let simulator = Simulator::new(world().with_ceph_cluster());
    let client = root(&simulator);
    for name in NODES {
        let ceph = client.node(name).ceph();
        ceph.ensure_osd(&NewCephOsd::on("/dev/sdb")).await.unwrap();
    }
    (simulator, client)
}

fn pool(copies: u32) -> NewCephPool {
    let settings = CephPoolSettings::new()
        .with_size(copies)
        .with_placement_groups(32);
    NewCephPool::new(settings).with_storages()
}

#[tokio::test]
async fn a_node_says_how_far_ceph_has_come_on_it() {
    let client = Simulator::new(world()).connect();
    let state = client.node("pve1").ceph().state().await.unwrap();
    assert_eq!(state, CephState::NotInstalled);
    let refused = client.node("pve1").ceph().init(&CephInit::new()).await;
    assert!(refused.is_err());

    let client = Simulator::new(world().with_ceph()).connect();
    let ceph = client.node("pve1").ceph();
    assert_eq!(ceph.state().await.unwrap(), CephState::NotInitialized);
    let refused = ceph.create_monitor("pve1").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NotConfigured);
    ceph.init(&CephInit::new().with_network("192.0.2.0/24"))
        .await
        .unwrap();
    assert_eq!(ceph.state().await.unwrap(), CephState::WithoutMonitor);
    ceph.create_monitor("pve1").await.unwrap();
    assert_eq!(ceph.state().await.unwrap(), CephState::Running);
    let versions = client.ceph().versions().await.unwrap();
    assert_eq!(versions.len(), 3);
    let other = CephInit::new().with_network("198.51.100.0/24");
    let Ensured::Updated(changed) = ceph.init(&other).await.unwrap() else {
        panic!("the networks changed");
    };
    assert_eq!(changed, ["cluster_network", "public_network"]);
    let refused = client.node("pve2").ceph().create_monitor("pve2").await;
    assert!(refused.unwrap_err().message().contains("No active IP"));
}

#[tokio::test]
async fn monitors_are_made_once_and_the_last_one_stays() {
    let client = Simulator::new(world().with_ceph_cluster()).connect();
    let ceph = client.node("pve1").ceph();
    let monitors = ceph.monitors().await.unwrap();
    let told: Vec<_> = monitors
        .iter()
        .map(|one| (one.name.as_str(), one.quorum, one.rank))
        .collect();
    assert_eq!(
        told,
        [
            ("pve1", Some(true), Some(0)),
            ("pve2", Some(true), Some(1)),
            ("pve3", Some(true), Some(2))
        ]
    );
    let again = ceph.create_monitor("pve1").await.unwrap_err();
    assert_eq!(again.kind(), Kind::AlreadyExists);
    let wrong = client.node("pve2").ceph().remove_monitor("pve3").await;
    assert_eq!(wrong.unwrap(), Removed::Absent);
    for name in ["pve3", "pve2"] {
        let ceph = client.node(name).ceph();
        assert_eq!(
            ceph.remove_monitor_if_safe(name).await.unwrap(),
            Removed::Removed
        );
        assert_eq!(ceph.remove_monitor(name).await.unwrap(), Removed::Absent);
    }
    let last = ceph.remove_monitor("pve1").await.unwrap_err();
    assert_eq!(last.kind(), Kind::InUse);
    let hosts = ceph.config_values(&[("global", "mon_host")]).await.unwrap();
    assert_eq!(hosts["global"]["mon-host"], "192.0.2.11");
}

#[tokio::test]
async fn a_second_monitor_may_stop_but_not_a_third() {
    let client = Simulator::new(world().with_ceph_cluster()).connect();
    let stop = |name: &'static str| {
        let ceph = client.node(name).ceph();
        async move { ceph.stop_if_safe(&CephService::monitor(name)).await }
    };
    stop("pve3").await.unwrap();
    let status = client.ceph().status().await.unwrap();
    let checks = status.health.checks.unwrap();
    assert_eq!(
        checks["MON_DOWN"]["summary"]["message"],
        "1/3 mons down, quorum pve1,pve2"
    );
    let refused = stop("pve2").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::InUse);
    assert!(refused.message().contains("not enough monitors"));
    // Without asking it happens all the same, and nobody answers any more.
    let service = CephService::monitor("pve2");
    client.node("pve2").ceph().stop(&service).await.unwrap();
    let silent = client.ceph().status().await.unwrap_err();
    assert_eq!(silent.kind(), Kind::ServerTimeout);
    client.node("pve2").ceph().start(&service).await.unwrap();
    client.ceph().status().await.unwrap();
}

#[tokio::test]
async fn managers_take_over_from_each_other() {
    let client = Simulator::new(world().with_ceph_cluster()).connect();
    let ceph = client.node("pve1").ceph();
    let active = || async {
        let all = ceph.managers().await.unwrap();
        let active = all
            .into_iter()
            .find(|one| one.state.as_deref() == Some("active"));
        active.map(|one| one.name)
    };
    let first = active().await.unwrap();
    let service = CephService::manager(&first);
    client.node(&first).ceph().stop(&service).await.unwrap();
    let second = active().await.unwrap();
    assert_ne!(first, second);
    client.node(&first).ceph().start(&service).await.unwrap();
    assert_eq!(active().await.as_deref(), Some(second.as_str()));
    let again = ceph.create_manager("pve1").await.unwrap_err();
    assert_eq!(again.kind(), Kind::AlreadyExists);
}

#[tokio::test]
async fn a_service_that_is_not_there_does_not_start() {
    let client = Simulator::new(world().with_ceph_cluster()).connect();
    let ceph = client.node("pve1").ceph();
    let error = ceph.start(&CephService::osd(9)).await.unwrap_err();
    assert!(error.message().contains("ceph-osd@9"), "{error}");
    ceph.stop(&CephService::osd(9)).await.unwrap();
}

#[tokio::test]
async fn a_cluster_with_enough_disks_is_healthy_and_clean() {
    let (_, client) = built().await;
    let status = client.ceph().status().await.unwrap();
    assert!(status.is_healthy() && status.is_clean(), "{status:?}");
    let osds = status.osds.as_ref().unwrap();
    assert_eq!(
        (osds.all, osds.up, osds.within),
        (Some(3), Some(3), Some(3))
    );
    let tree = client.node("pve1").ceph().osds().await.unwrap();
    let disks: Vec<_> = tree
        .disks()
        .into_iter()
        .map(|(host, disk)| (host, disk.id, disk.device_class.as_deref()))
        .collect();
    assert_eq!(
        disks,
        [
            ("pve1", Some(0), Some("hdd")),
            ("pve2", Some(1), Some("hdd")),
            ("pve3", Some(2), Some("hdd"))
        ]
    );
    let metadata = client.ceph().metadata().await.unwrap();
    assert_eq!((metadata.monitors.len(), metadata.disks.len()), (3, 3));
    // The manager keeps its figures in a pool of its own.
    let pools = client.node("pve1").ceph().pools().await.unwrap();
    assert_eq!(pools[0].name, ".mgr");
}

#[tokio::test]
async fn a_disk_of_ceph_is_in_use_and_free_again_when_it_was_cleaned_up() {
    let (_, client) = built().await;
    let node = client.node("pve1");
    let ceph = node.ceph();
    let new = NewCephOsd::on("/dev/sdc")
        .with_database("/dev/nvme0n1", Some(50.0))
        .with_log("/dev/nvme0n1", None);
    let refused = ceph.create_osd(&new).await.unwrap_err();
    assert_eq!(
        refused.parameters().keys().next().map(String::as_str),
        Some("wal_dev")
    );
    let new = NewCephOsd::on("/dev/sdc").with_database("/dev/nvme0n1", Some(50.0));
    let EnsuredOsd::Created(ids) = ceph.ensure_osd(&new).await.unwrap() else {
        panic!("it was not there");
    };
    let osd = ceph.osd(ids[0]);
    let database = osd.volume(&CephOsdPart::Database).await.unwrap();
    assert_eq!(database.size, Some(50 << 30));
    assert_eq!(
        osd.volume(&CephOsdPart::Log).await.unwrap_err().kind(),
        Kind::NotFound
    );
    let elsewhere = client.node("pve2").ceph().osd(ids[0]);
    assert_eq!(elsewhere.info().await.unwrap_err().kind(), Kind::NotFound);
    let disks = node.physical_disks().await.unwrap();
    let of = |path: &str| disks.iter().find(|disk| disk.device == path).unwrap();
    assert_eq!(of("/dev/sdc").osds(), ids);
    assert_eq!(of("/dev/sdc").used.as_deref(), Some("LVM"));
    assert_eq!(of("/dev/nvme0n1").extra["db"], 1);
    let wiped = node.wipe_disk("/dev/sdc").await.unwrap_err();
    assert_eq!(wiped.kind(), Kind::InUse);
    // A second database finds room beside the first; a third one does not.
    let room = NewCephOsd::on("/dev/sdc").with_database("/dev/nvme0n1", Some(500.0));
    assert_eq!(
        ceph.create_osd(&room).await.unwrap_err().kind(),
        Kind::InUse
    );

    assert_eq!(
        osd.remove(&CephOsdRemoval::new()).await.unwrap_err().kind(),
        Kind::InUse
    );
    osd.take_out().await.unwrap();
    assert_eq!(
        osd.remove(&CephOsdRemoval::new()).await.unwrap_err().kind(),
        Kind::PowerState
    );
    ceph.stop(&CephService::osd(osd.id())).await.unwrap();
    let all = CephOsdRemoval::new().with_cleanup();
    assert_eq!(osd.remove(&all).await.unwrap(), Removed::Removed);
    let disks = node.physical_disks().await.unwrap();
    for path in ["/dev/sdc", "/dev/nvme0n1"] {
        let disk = disks.iter().find(|disk| disk.device == path).unwrap();
        assert!(disk.is_unused(), "{disk:?}");
    }
}

#[tokio::test]
async fn what_is_removed_without_cleaning_up_keeps_its_device() {
    let (_, client) = built().await;
    let ceph = client.node("pve1").ceph();
    ceph.osd(0).take_out().await.unwrap();
    ceph.stop(&CephService::osd(0)).await.unwrap();
    let removed = ceph.osd(0).remove(&CephOsdRemoval::new()).await.unwrap();
    assert_eq!(removed, Removed::Removed);
    let again = ceph.ensure_osd(&NewCephOsd::on("/dev/sdb")).await;
    assert_eq!(again.unwrap_err().kind(), Kind::InUse);
    let missing = ceph.create_osd(&NewCephOsd::on("/dev/sdx")).await;
    assert!(missing.unwrap_err().message().contains("block device"));
}

#[tokio::test]
async fn a_disk_that_is_down_degrades_its_pools_until_it_is_out() {
    let world = world().with_ceph_cluster();
    let clock = Clock::stepped(world.now());
    let simulator = Simulator::with_clock(world, clock.clone());
    let client = root(&simulator);
    let stepping = clock.clone();
    // Tasks need time; whoever waits lets it pass.
    let ticking = tokio::spawn(async move {
        loop {
            stepping.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    for name in NODES {
        let ceph = client.node(name).ceph();
        for device in ["/dev/sdb", "/dev/sdc"] {
            ceph.ensure_osd(&NewCephOsd::on(device)).await.unwrap();
        }
    }
    let ceph = client.node("pve1").ceph();
    ceph.pool("vms").ensure(&pool(3)).await.unwrap();
    client
        .node("pve1")
        .create_qemu(100, QemuConfig::new().with("scsi0", "vms:32"))
        .await
        .unwrap();
    assert!(client.ceph().status().await.unwrap().is_healthy());

    ceph.stop_if_safe(&CephService::osd(0)).await.unwrap();
    let status = client.ceph().status().await.unwrap();
    assert_eq!(status.health.status, CephHealth::Warning);
    assert!(!status.is_clean());
    assert!(status.data.unwrap().degraded.unwrap() > 0);
    let checks = status.health.checks.unwrap();
    for name in ["OSD_DOWN", "PG_DEGRADED"] {
        assert!(checks.get(name).is_some(), "{checks}");
    }
    assert!(checks.get("PG_AVAILABILITY").is_none(), "{checks}");

    // After ten minutes it is out, and its copies are made anew from the others.
    clock.advance(Duration::from_secs(601));
    let status = client.ceph().status().await.unwrap();
    assert!(status.is_clean(), "{status:?}");
    let within = status.osds.unwrap().within;
    assert_eq!(within, Some(5));
    // It comes in again with its service, since nobody took it out by hand.
    ceph.start(&CephService::osd(0)).await.unwrap();
    assert!(client.ceph().status().await.unwrap().is_healthy());

    // With the flag it stays in however long it is down.
    client
        .ceph()
        .set_flag(&CephFlag::NoOut, true)
        .await
        .unwrap();
    ceph.stop(&CephService::osd(0)).await.unwrap();
    clock.advance(Duration::from_secs(3600));
    let status = client.ceph().status().await.unwrap();
    assert_eq!(status.osds.as_ref().unwrap().within, Some(6));
    assert!(status.health.checks.unwrap().get("OSDMAP_FLAGS").is_some());
    ticking.abort();
}

#[tokio::test]
async fn a_disk_is_retired_once_its_data_are_elsewhere() {
    let (_, client) = built().await;
    let ceph = client.node("pve1").ceph();
    ceph.pool("vms").ensure(&pool(3)).await.unwrap();
    let all = CephOsdRemoval::new().with_cleanup();
    // Three copies on three hosts have nowhere to go.
    let limit = Duration::from_millis(1500);
    let stuck = ceph.osd(0).retire(&all, limit).await.unwrap_err();
    assert_eq!(stuck.kind(), Kind::Deadline);
    assert!(stuck.message().contains("not all PGs are active+clean"));
    let stop = client
        .node("pve2")
        .ceph()
        .stop_if_safe(&CephService::osd(1))
        .await;
    assert_eq!(stop.unwrap_err().kind(), Kind::InUse);
    // A second disk on the same host takes them over.
    ceph.ensure_osd(&NewCephOsd::on("/dev/sdc")).await.unwrap();
    let limit = Duration::from_secs(600);
    assert_eq!(
        ceph.osd(0).retire(&all, limit).await.unwrap(),
        Removed::Removed
    );
    assert!(client.ceph().status().await.unwrap().is_healthy());
    assert_eq!(
        ceph.osd(0).retire(&all, limit).await.unwrap(),
        Removed::Absent
    );
}

#[tokio::test]
async fn pools_are_used_by_storages_and_go_when_these_are_empty() {
    let (_, client) = built().await;
    let node = client.node("pve2");
    let vms = node.ceph().pool("vms");
    assert_eq!(vms.ensure(&pool(3)).await.unwrap(), Ensured::Created);
    let storage = node.storage("vms").status().await.unwrap();
    let total = storage.total.unwrap();
    assert!((900 << 30..1 << 40).contains(&total), "{total}");
    let vm = node
        .create_qemu(100, QemuConfig::new().with("scsi0", "vms:100"))
        .await
        .unwrap()
        .qemu;
    let entry = node.ceph().pools().await.unwrap();
    let entry = entry.iter().find(|pool| pool.name == "vms").unwrap();
    // What was written of it, three times.
    assert_eq!(entry.used, Some(3 * 4096));
    let refused = vms.remove(&CephPoolRemoval::new().with_storages()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), Kind::InUse);
    let checked = "checking storage 'vms' for RBD images..";
    assert!(refused.task_log().iter().any(|line| line.text == checked));
    vm.delete().await.unwrap();
    let removed = vms.remove(&CephPoolRemoval::new().with_storages()).await;
    assert_eq!(removed.unwrap(), Removed::Removed);
    let gone = node.storage("vms").status().await;
    assert!(gone.is_err());
    let missing = vms.update(&CephPoolSettings::new().with_size(2)).await;
    assert_eq!(missing.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_pool_is_refused_what_ceph_refuses() {
    let (_, client) = built().await;
    let ceph = client.node("pve1").ceph();
    let vms = ceph.pool("vms");
    vms.ensure(&pool(3)).await.unwrap();
    let settings = CephPoolSettings::new;
    let refused = [
        settings().with_size(1),
        settings().with_min_size(5),
        settings().with_rule("none"),
        settings().with_placement_groups(4096),
        settings().with_application(CephApplication::CephFs),
    ];
    for wanted in refused {
        let error = vms.update(&wanted).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Parameter, "{wanted:?}: {error}");
        assert!(error.message().starts_with("Could not set: "), "{error}");
    }
    assert_eq!(vms.status().await.unwrap().size, Some(3));
    let large = NewCephPool::new(settings().with_placement_groups(512));
    let error = ceph.pool("large").create(&large).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Parameter);
    assert!(error.message().contains("mon_max_pg_per_osd"), "{error}");
    let changed = vms.ensure(&pool(2)).await.unwrap();
    assert_eq!(changed, Ensured::Updated(vec!["size".to_owned()]));
    // A new number of copies brings its own number for writing.
    assert_eq!(vms.status().await.unwrap().min_size, Some(1));
}

#[tokio::test]
async fn erasure_coding_makes_two_pools_and_one_storage() {
    let (_, client) = built().await;
    let ceph = client.node("pve1").ceph();
    let coding = ErasureCoding::default().with_k(2).with_m(1);
    let settings = CephPoolSettings::new().with_placement_groups(32);
    let wanted = NewCephPool::new(settings)
        .with_erasure_coding(&coding)
        .with_storages();
    assert_eq!(
        ceph.pool("big").ensure(&wanted).await.unwrap(),
        Ensured::Created
    );
    assert_eq!(
        ceph.pool("big").ensure(&wanted).await.unwrap(),
        Ensured::Unchanged
    );
    let pools = ceph.pools().await.unwrap();
    let of = |name: &str| pools.iter().find(|pool| pool.name == name).unwrap();
    assert_eq!(of("big-data").kind.as_deref(), Some("erasure"));
    assert_eq!(of("big-data").size, Some(3));
    assert_eq!(of("big-metadata").kind.as_deref(), Some("replicated"));
    let rules = ceph.rules().await.unwrap();
    assert!(rules.iter().any(|rule| rule.name == "big-data"));
    let status = client.node("pve1").storage("big").status().await.unwrap();
    // Two of three chunks are data.
    assert!(status.total.unwrap() > 1 << 40);
    let removed = ceph
        .pool("big-data")
        .remove(&CephPoolRemoval::new().with_storages());
    assert_eq!(removed.await.unwrap(), Removed::Removed);
    assert_eq!(ceph.rules().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_system_needs_servers_and_keeps_its_pools() {
    let simulator = Simulator::new(world().with_version("9.2.3").with_ceph_cluster());
    let client = root(&simulator);
    let ceph = client.node("pve1").ceph();
    for name in NODES {
        let ceph = client.node(name).ceph();
        ceph.ensure_osd(&NewCephOsd::on("/dev/sdb")).await.unwrap();
    }
    let new = NewCephFilesystem::new("shared")
        .with_placement_groups(32)
        .with_storage();
    ceph.create_metadata_server("pve1").await.unwrap();
    ceph.create_filesystem(&new).await.unwrap();
    let none_left = ceph
        .create_filesystem(&NewCephFilesystem::new("other"))
        .await;
    assert_eq!(none_left.unwrap_err().kind(), Kind::NotConfigured);
    let again = ceph.create_filesystem(&new).await.unwrap_err();
    assert_eq!(again.kind(), Kind::AlreadyExists);
    let servers = ceph.metadata_servers().await.unwrap();
    assert_eq!(servers[0].filesystem.as_deref(), Some("shared"));
    assert_eq!(servers[0].state.as_deref(), Some("up:active"));
    let status = client.ceph().status().await.unwrap();
    let checks = status.health.checks.unwrap();
    assert!(checks.get("MDS_INSUFFICIENT_STANDBY").is_some());
    let stop = ceph
        .stop_if_safe(&CephService::metadata_server("pve1"))
        .await;
    assert_eq!(stop.unwrap_err().kind(), Kind::InUse);
    let used = ceph.pool("shared_data").remove(&CephPoolRemoval::new());
    assert_eq!(used.await.unwrap_err().kind(), Kind::InUse);
    let all = CephFilesystemRemoval::new().with_storages().with_pools();
    let mounted = ceph.remove_filesystem("shared", &all).await.unwrap_err();
    assert_eq!(mounted.kind(), Kind::InUse);
    let storage = client.storage("shared");
    storage.delete().await.unwrap();
    assert_eq!(
        ceph.remove_filesystem("shared", &all).await.unwrap(),
        Removed::Removed
    );
    let left = ceph.pools().await.unwrap();
    assert!(left.iter().all(|pool| pool.name == ".mgr"), "{left:?}");
}

#[tokio::test]
async fn ceph_needs_rights_of_its_own() {
    let world = world()
        .with_ceph_cluster()
        .with_user("watcher@pve", "pw")
        .with_role_for("watcher@pve", "PVEAuditor", "/");
    let simulator = Simulator::new(world);
    let watcher = simulator.builder().login(Login::new("watcher@pve", "pw"));
    let watcher = watcher.build().unwrap();
    watcher.ceph().status().await.unwrap();
    let refused = watcher.ceph().set_flag(&CephFlag::NoOut, true).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Permission);
    // Not even a token of root may make a disk.
    let token = simulator.connect();
    token.ceph().set_flag(&CephFlag::NoOut, true).await.unwrap();
    let ceph = token.node("pve1").ceph();
    let refused = ceph.create_osd(&NewCephOsd::on("/dev/sdb")).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::RootOnly);
}

#[tokio::test]
async fn the_log_and_the_map_tell_what_happened() {
    let (_, client) = built().await;
    let ceph = client.node("pve1").ceph();
    ceph.osd(1).take_out().await.unwrap();
    let log = ceph.log(0, 500).await.unwrap();
    let last = &log.last().unwrap().text;
    assert!(last.ends_with("Client client.admin marked osd.1 out, while it was still marked up"));
    assert_eq!(ceph.log(1, 1).await.unwrap()[0].number, 2);
    let map = ceph.crush_map().await.unwrap();
    assert!(map.contains("device 1 osd.1 class hdd") && map.contains("host pve2 {"));
}
