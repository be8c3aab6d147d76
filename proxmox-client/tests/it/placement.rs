//! Moving disks and machines, detaching, tags.

use proxmox_client::property::Drive;
use proxmox_client::simulator::{NodeSpec, Simulator, World};
use proxmox_client::{ConfigUpdate, Kind, MigrateOptions, Qemu, QemuConfig, Volumes};

async fn machine() -> (Simulator, Qemu) {
    let world = World::lab()
        .with_node(NodeSpec::new("pve2", 8, 32 << 30))
        .with_volume("local:import/guest.qcow2", 64 << 20);
    let simulator = Simulator::new(world);
    let config = QemuConfig::new()
        .with_drive("scsi0", Drive::import("local", "local:import/guest.qcow2"))
        .with("scsi1", "local-lvm:4")
        .with("tags", "b;a");
    let node = simulator.connect().node("pve1");
    let qemu = node.create_qemu(100, config).await.unwrap().qemu;
    (simulator, qemu)
}

#[tokio::test(start_paused = true)]
async fn a_disk_moves_and_its_old_volume_goes_or_stays() {
    let (simulator, qemu) = machine().await;
    qemu.move_disk("scsi0", "local-lvm", Volumes::Destroy, None)
        .await
        .unwrap();
    let file = |config: &QemuConfig| config.values()["scsi0"].as_str().unwrap().to_owned();
    let config = qemu.config().await.unwrap();
    assert!(
        file(&config).starts_with("local-lvm:vm-100-disk-"),
        "{}",
        file(&config)
    );
    let images = || simulator.with(|world| world.volumes("local").len());
    assert_eq!(images(), 1, "only the image that was imported");

    qemu.move_disk("scsi0", "local", Volumes::Keep, None)
        .await
        .unwrap();
    let config = qemu.config().await.unwrap();
    assert!(file(&config).starts_with("local:100/"));
    assert!(config.values().contains_key("unused0"));
    qemu.destroy_unused("unused0").await.unwrap();
    let left = simulator.with(|world| world.volumes("local-lvm"));
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(
        qemu.destroy_unused("unused0").await.unwrap_err().kind(),
        Kind::NotFound
    );
    assert_eq!(
        qemu.destroy_unused("scsi0").await.unwrap_err().kind(),
        Kind::InvalidInput
    );

    let absent = qemu
        .move_disk("scsi7", "local-lvm", Volumes::Destroy, None)
        .await
        .unwrap_err();
    assert_eq!(absent.kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_detached_disk_is_kept() {
    let (_simulator, qemu) = machine().await;
    assert!(matches!(
        qemu.detach_disk("scsi1").await.unwrap(),
        ConfigUpdate::Updated { .. }
    ));
    let config = qemu.config().await.unwrap();
    assert!(!config.values().contains_key("scsi1"));
    assert_eq!(config.values()["unused0"], "local-lvm:vm-100-disk-0");
    assert_eq!(
        qemu.detach_disk("scsi1").await.unwrap_err().kind(),
        Kind::NotFound
    );
}

#[tokio::test(start_paused = true)]
async fn a_machine_migrates_and_is_addressed_at_its_new_node() {
    let (simulator, qemu) = machine().await;
    qemu.start().await.unwrap();
    let refused = qemu
        .migrate("pve2", MigrateOptions::new())
        .await
        .unwrap_err();
    assert!(refused.message().contains("without --online"), "{refused}");
    let online = MigrateOptions::new().with_online().with_local_disks();
    let there = qemu.migrate("pve2", online).await.unwrap();
    assert_eq!(there.node(), "pve2");
    assert!(there.status().await.unwrap().is_running());
    assert_eq!(
        simulator.with(|world| world.guest(100).unwrap().node().to_owned()),
        "pve2"
    );
    assert!(!qemu.exists().await.unwrap());
    let local = there
        .migrate("pve2", MigrateOptions::new())
        .await
        .unwrap_err();
    assert!(local.parameters().contains_key("target"));
}

#[tokio::test(start_paused = true)]
async fn disks_of_a_machine_that_migrates_go_where_they_are_sent() {
    let (_simulator, qemu) = machine().await;
    let map = |map: &str| MigrateOptions::new().with_local_disks().with_storage(map);
    let wrong = qemu.migrate("pve2", map("nope")).await.unwrap_err();
    assert_eq!(wrong.message(), "storage 'nope' does not exist");
    // While it is off, a packed image goes to files only.
    let packed = qemu.migrate("pve2", map("local:local-hdd")).await;
    assert_eq!(packed.unwrap_err().message(), "migration aborted");
    let there = qemu.migrate("pve2", map("local-lvm:local-hdd")).await;
    let there = there.unwrap();
    let text = async |slot: &str| there.config().await.unwrap().text(slot).unwrap();
    assert!(
        text("scsi0")
            .await
            .starts_with("local:100/vm-100-disk-0.qcow2")
    );
    assert_eq!(text("scsi1").await, "local-hdd:vm-100-disk-0,size=4G");
    there.start().await.unwrap();
    let online = map("local:local-lvm").with_online();
    let back = there.migrate("pve1", online).await.unwrap();
    let config = back.config().await.unwrap();
    assert!(
        config
            .text("scsi0")
            .unwrap()
            .starts_with("local-lvm:vm-100-disk-0")
    );
}

#[tokio::test(start_paused = true)]
async fn tags_are_a_set() {
    let (simulator, qemu) = machine().await;
    assert!(matches!(
        qemu.ensure_tags(&["c", "a"]).await.unwrap(),
        ConfigUpdate::Updated { .. }
    ));
    let writes = || {
        let journal = simulator.journal();
        journal.iter().filter(|entry| entry.method != "GET").count()
    };
    let before = writes();
    assert_eq!(
        qemu.ensure_tags(&["b", "c"]).await.unwrap(),
        ConfigUpdate::Unchanged
    );
    assert_eq!(writes(), before);
    qemu.remove_tags(&["a", "z"]).await.unwrap();
    assert_eq!(qemu.config().await.unwrap().values()["tags"], "b;c");
    qemu.remove_tags(&["b", "c"]).await.unwrap();
    assert!(!qemu.config().await.unwrap().values().contains_key("tags"));
    assert_eq!(
        qemu.ensure_tags(&["No blank"]).await.unwrap_err().kind(),
        Kind::InvalidInput
    );
}
