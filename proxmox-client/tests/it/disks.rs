//! Attaching, detaching, destroying and reassigning disks.

use futures::future::join_all;
use proxmox_client::property::Drive;
use proxmox_client::simulator::{Daemon, NodeSpec, Simulator, World};
use proxmox_client::{Attachment, Bus, Kind, Limits, Qemu, QemuConfig, Volumes};

async fn machine() -> (Simulator, Qemu) {
    let simulator = Simulator::new(World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30)));
    let node = simulator.connect().node("pve1");
    let config = QemuConfig::new()
        .with("scsi0", "local-lvm:4")
        .with("scsi2", "local-lvm:4");
    let qemu = node.create_qemu(100, config).await.unwrap().qemu;
    (simulator, qemu)
}

fn volumes(simulator: &Simulator) -> usize {
    simulator.with(|world| world.volumes("local-lvm").len())
}

#[tokio::test(start_paused = true)]
async fn a_disk_goes_into_the_first_free_slot() {
    let (simulator, qemu) = machine().await;
    let attached = qemu
        .attach_disk(Bus::Scsi, Drive::allocate("local-lvm", 8))
        .await
        .unwrap();
    assert_eq!(attached.slot, "scsi1");
    assert_eq!(attached.volume, "local-lvm:vm-100-disk-2");
    assert_eq!(attached.state, Attachment::Live);
    let virtio = qemu
        .attach_disk(Bus::Virtio, Drive::allocate("local-lvm", 1))
        .await
        .unwrap();
    assert_eq!(virtio.slot, "virtio0");
    assert_eq!(volumes(&simulator), 4);
    for _ in 0..4 {
        qemu.attach_disk(Bus::Ide, Drive::allocate("local-lvm", 1))
            .await
            .unwrap();
    }
    let full = qemu
        .attach_disk(Bus::Ide, Drive::allocate("local-lvm", 1))
        .await
        .unwrap_err();
    assert_eq!(full.kind(), Kind::InvalidInput);
    let gone = qemu
        .attach_disk(Bus::Sata, Drive::allocate("nope", 1))
        .await
        .unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_volume_or_serial_number_that_is_there_is_not_attached_again() {
    let (simulator, qemu) = machine().await;
    let drive = || Drive::allocate("local-lvm", 8).with_serial("data-1");
    let first = qemu.attach_disk(Bus::Scsi, drive()).await.unwrap();
    let again = qemu.attach_disk(Bus::Virtio, drive()).await.unwrap();
    assert_eq!(again.state, Attachment::AlreadyThere);
    assert_eq!(
        (again.slot, again.volume.as_str()),
        (first.slot, first.volume.as_str())
    );
    assert_eq!(volumes(&simulator), 3);
    qemu.detach_disk("scsi2").await.unwrap();
    let unused: Drive = "local-lvm:vm-100-disk-1".parse().unwrap();
    let back = qemu.attach_disk(Bus::Scsi, unused.clone()).await.unwrap();
    assert_eq!(
        (back.slot.as_str(), back.state),
        ("scsi2", Attachment::Live)
    );
    let config = qemu.config().await.unwrap();
    assert!(config.get("unused0").is_none());
    let there = qemu.attach_disk(Bus::Scsi, unused).await.unwrap();
    assert_eq!(there.state, Attachment::AlreadyThere);
}

#[tokio::test(start_paused = true)]
async fn many_who_attach_at_once_each_get_a_slot_of_their_own() {
    let world = World::lab().with_daemon(Daemon::measured());
    let simulator = Simulator::at_real_speed(world);
    let node = simulator.connect().node("pve1");
    node.create_qemu(100, QemuConfig::new()).await.unwrap();
    // Each with a client of its own, so that nothing but the digest keeps them apart.
    let attaching = (0..4).map(|_| {
        let client = simulator
            .builder()
            .token("root@pam!lab=lab-secret")
            .limits(Limits::none());
        let qemu = client.build().unwrap().node("pve1").qemu(100);
        async move {
            qemu.attach_disk(Bus::Scsi, Drive::allocate("local-lvm", 1))
                .await
        }
    });
    let mut slots: Vec<String> = join_all(attaching)
        .await
        .into_iter()
        .map(|attached| attached.unwrap().slot)
        .collect();
    slots.sort();
    assert_eq!(slots, ["scsi0", "scsi1", "scsi2", "scsi3"]);
    let config = node.qemu(100).config().await.unwrap();
    assert!(config.get("unused0").is_none(), "nobody lost a disk");
    assert_eq!(volumes(&simulator), 4);
}

#[tokio::test(start_paused = true)]
async fn a_disk_is_detached_and_destroyed_in_one_change() {
    let (simulator, qemu) = machine().await;
    qemu.detach_and_destroy("scsi2").await.unwrap();
    let config = qemu.config().await.unwrap();
    assert!(config.get("scsi2").is_none() && config.get("unused0").is_none());
    assert_eq!(volumes(&simulator), 1);
    let absent = qemu.detach_and_destroy("scsi2").await.unwrap_err();
    assert_eq!(absent.kind(), Kind::NotFound);
    let other = qemu.detach_and_destroy("net0").await.unwrap_err();
    assert_eq!(other.kind(), Kind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn unlinking_keeps_or_destroys_and_passes_over_what_is_not_there() {
    let (simulator, qemu) = machine().await;
    qemu.unlink(&["scsi7"], Volumes::Keep).await.unwrap();
    qemu.unlink(&["scsi0"], Volumes::Keep).await.unwrap();
    assert_eq!(volumes(&simulator), 2);
    qemu.unlink(&["scsi2", "unused0"], Volumes::Destroy)
        .await
        .unwrap();
    assert_eq!(volumes(&simulator), 0);
    assert_eq!(
        qemu.unlink(&[], Volumes::Keep).await.unwrap_err().kind(),
        Kind::InvalidInput
    );
}

#[tokio::test(start_paused = true)]
async fn a_disk_is_given_to_another_machine() {
    let (simulator, qemu) = machine().await;
    let node = simulator.connect().node("pve1");
    let other = node.create_qemu(111, QemuConfig::new()).await.unwrap().qemu;
    qemu.reassign_disk("scsi2", 111, Some("scsi5"))
        .await
        .unwrap();
    assert!(qemu.config().await.unwrap().get("scsi2").is_none());
    let text = other.config().await.unwrap().text("scsi5").unwrap();
    assert!(text.starts_with("local-lvm:vm-111-disk-0,"), "{text}");
    let task = simulator.with(|world| {
        let mut tasks = world.tasks();
        tasks.any(|(upid, ..)| upid.contains(":qmmove:100-scsi2>111-scsi5:"))
    });
    assert!(task, "the task names both");
    other.delete().await.unwrap();
    assert_eq!(volumes(&simulator), 1, "it went with its new owner");
}

#[tokio::test(start_paused = true)]
async fn a_disk_is_not_given_away_where_it_cannot_be() {
    let (simulator, qemu) = machine().await;
    let client = simulator.connect();
    let refusal = async |slot: &str, to: u32, to_slot: Option<&str>| {
        qemu.reassign_disk(slot, to, to_slot).await.unwrap_err()
    };
    assert_eq!(refusal("scsi2", 111, None).await.kind(), Kind::NotFound);
    let config = || QemuConfig::new().with("scsi2", "local-lvm:1");
    client
        .node("pve2")
        .create_qemu(111, config())
        .await
        .unwrap();
    assert!(
        refusal("scsi2", 111, Some("scsi3"))
            .await
            .message()
            .contains("same node")
    );
    client
        .node("pve1")
        .create_qemu(112, config())
        .await
        .unwrap();
    let taken = refusal("scsi2", 112, None).await;
    assert_eq!(taken.kind(), Kind::InUse, "{taken}");
    assert_eq!(
        refusal("scsi9", 112, Some("scsi3")).await.kind(),
        Kind::NotFound
    );
    qemu.start().await.unwrap();
    let running = refusal("scsi2", 112, Some("scsi3")).await;
    assert_eq!(running.kind(), Kind::PowerState, "{running}");
    qemu.detach_disk("scsi2").await.unwrap();
    qemu.reassign_disk("unused0", 112, Some("scsi3"))
        .await
        .unwrap();
}
