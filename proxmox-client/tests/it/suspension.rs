//! Guests whose state is written to disk.

use std::time::Duration;

use proxmox_client::property::{Drive, MountPoint, Nic};
use proxmox_client::simulator::{Simulator, StorageSpec, World};
use proxmox_client::task::Submitted;
use proxmox_client::{
    Client, HaSettings, HaSid, Kind, LxcConfig, NewLxc, Qemu, QemuConfig, Removed, Resumed,
    Started, Stopped, Suspended,
};

use crate::laboratory::at_real_speed;

const TEMPLATE: &str = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";

fn db() -> QemuConfig {
    QemuConfig::new()
        .with_name("db")
        .with_memory_mib(1024)
        .with("agent", "1")
        .with_drive("scsi0", Drive::allocate("local-lvm", 1))
        .with_net(0, Nic::virtio("vmbr0"))
}

async fn running(world: World, config: QemuConfig) -> (Simulator, Client, Qemu) {
    let (simulator, client) = at_real_speed(world);
    let node = client.node("pve1");
    let qemu = node.create_qemu(100, config).await.unwrap().qemu;
    qemu.start().await.unwrap();
    (simulator, client, qemu)
}

/// The log of the newest task of a kind.
async fn log_of(simulator: &Simulator, client: &Client, kind: &str) -> Vec<String> {
    let kind = format!(":{kind}:");
    let newest = simulator.with(|world| {
        let tasks = world.tasks().filter(|(upid, ..)| upid.contains(&kind));
        tasks.last().map(|(upid, ..)| upid.to_owned())
    });
    let task = client.task(newest.unwrap().parse().unwrap());
    let log = task.log().await.unwrap();
    log.into_iter().map(|line| line.text).collect()
}

#[tokio::test(start_paused = true)]
async fn a_machine_goes_to_disk_and_comes_back_as_it_was() {
    let (simulator, client, qemu) = running(World::lab(), db()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    qemu.agent_ping().await.unwrap();
    let volumes = simulator.with(|world| world.volumes("local-lvm"));
    assert_eq!(qemu.suspend_to_disk(None).await.unwrap(), Suspended::OnDisk);
    let status = qemu.status().await.unwrap();
    assert!(!status.is_running());
    assert_eq!(status.lock.as_deref(), Some("suspended"));
    let config = qemu.config().await.unwrap();
    let state = config.text("vmstate").unwrap();
    assert_eq!(state, "local-lvm:vm-100-state-suspend-2026-01-01");
    assert_eq!(
        config.text("runningmachine").as_deref(),
        Some("pc-i440fx-10.0+pve0")
    );
    assert_eq!(
        config.text("running-nets-host-mtu").as_deref(),
        Some("net0=1500")
    );
    let size = client
        .node("pve1")
        .storage("local-lvm")
        .volume(&state)
        .await;
    assert_eq!(
        size.unwrap().size,
        Some((2 * 1024 + 500) << 20),
        "twice the memory, and the devices"
    );
    let log = log_of(&simulator, &client, "qmsuspend").await;
    assert_eq!(
        log,
        [
            "  Logical volume \"vm-100-state-suspend-2026-01-01\" created.",
            "State saved, quitting",
            "TASK OK"
        ]
    );
    assert_eq!(qemu.start().await.unwrap(), Started::Started);
    let log = log_of(&simulator, &client, "qmstart").await;
    assert_eq!(
        log,
        [
            "Resuming suspended VM",
            "activating and using 'local-lvm:vm-100-state-suspend-2026-01-01' as vmstate",
            "Resumed VM, removing state",
            "TASK OK"
        ]
    );
    let config = qemu.config().await.unwrap();
    for key in ["lock", "vmstate", "runningmachine", "runningcpu"] {
        assert_eq!(config.text(key), None, "{key}");
    }
    assert_eq!(simulator.with(|world| world.volumes("local-lvm")), volumes);
    // QEMU has just begun, the guest has not: its agent is there at once.
    assert!(qemu.status().await.unwrap().uptime.unwrap() < 5);
    qemu.agent_ping().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_machine_on_disk_is_locked_for_all_but_going_on_and_going_away() {
    let shared = StorageSpec::directory("nfs", "/mnt/pve/nfs", 1 << 40).with_shared();
    let (simulator, client, qemu) = running(World::lab().with_storage(shared), db()).await;
    qemu.suspend_to_disk(Some("nfs")).await.unwrap();
    let file = "nfs:100/vm-100-state-suspend-2026-01-01.raw";
    assert_eq!(
        qemu.config().await.unwrap().text("vmstate").as_deref(),
        Some(file)
    );
    let more = QemuConfig::new().with_memory_mib(2048);
    let refused = qemu.ensure_config(&more).await.unwrap_err();
    assert_eq!(refused.message(), "VM is locked (suspended)");
    assert_eq!(refused.kind(), Kind::Locked);
    let again = qemu.suspend_to_disk(None).await.unwrap_err();
    assert_eq!(again.kind(), Kind::PowerState, "{again}");
    assert_eq!(qemu.resume().await.unwrap(), Resumed::Running);
    assert!(qemu.status().await.unwrap().is_running());
    assert!(
        log_of(&simulator, &client, "qmresume")
            .await
            .contains(&"Resumed VM, removing state".to_owned())
    );
    qemu.suspend_to_disk(Some("nfs")).await.unwrap();
    assert_eq!(qemu.delete().await.unwrap(), Removed::Removed);
    assert!(simulator.with(|world| world.volumes("nfs")).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_waits_goes_on_waiting_for_a_start_from_nothing() {
    let (_simulator, _client, qemu) = running(World::lab(), db()).await;
    qemu.ensure_config(&QemuConfig::new().with_cores(4))
        .await
        .unwrap();
    qemu.suspend_to_disk(None).await.unwrap();
    qemu.start().await.unwrap();
    let waits = async || {
        let entries = qemu.pending().await.unwrap();
        let cores = entries.into_iter().find(|entry| entry.key == "cores");
        cores.unwrap().pending.is_some()
    };
    assert!(waits().await, "its memory is that of before");
    qemu.stop().await.unwrap();
    assert!(!waits().await);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_saved_is_refused() {
    let (simulator, client, qemu) = running(World::lab(), db()).await;
    let missing = qemu.suspend_to_disk(Some("nope")).await.unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
    simulator.with(|world| world.set_config(100, "lock", "backup"));
    let during = qemu.suspend_to_disk(None).await.unwrap_err();
    assert_eq!(during.message(), "cannot suspend to disk during backup");
    simulator.with(|world| world.set_config(100, "lock", "clone"));
    let locked = qemu.suspend_to_disk(None).await.unwrap_err();
    assert_eq!(locked.message(), "VM is locked (clone)");
    let (_simulator, _client, shares) =
        running(World::lab(), db().with("virtiofs0", "dirid=data")).await;
    let error = shares.suspend_to_disk(None).await.unwrap_err();
    assert!(error.message().ends_with("hibernate a VM with: virtiofs"));
    let world = World::lab().with_guest("pve1", 100, &db().with("hostpci0", "0000:01:00.0"));
    let (_simulator, other) = at_real_speed(world);
    let card = other.node("pve1").qemu(100);
    card.start().await.unwrap();
    let error = card.suspend_to_disk(None).await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("cannot suspend VM to disk due to")
    );
    let (_simulator, managed, qemu) = running(World::lab(), db()).await;
    let ha = managed.ha();
    ha.ensure_resource(&HaSid::vm(100), &HaSettings::new())
        .await
        .unwrap();
    let error = qemu.suspend_to_disk(None).await.unwrap_err();
    assert_eq!(error.message(), "Cannot suspend HA managed VM to disk");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_suspension_that_is_cut_off_leaves_its_lock_as_a_sign() {
    let (simulator, _client, qemu) = running(World::lab(), db()).await;
    let Submitted::Task(task) = qemu.suspend_to_disk(None).submit().await.unwrap() else {
        panic!("writing memory takes a while");
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let config = qemu.config().await.unwrap();
    assert_eq!(config.text("lock").as_deref(), Some("suspending"));
    simulator.with(World::kill_workers);
    assert!(task.await.is_err());
    let error = qemu.suspend_to_disk(None).await.unwrap_err();
    assert_eq!(error.message(), "VM is locked (suspending)");
    assert!(qemu.status().await.unwrap().is_running());
}

async fn container(world: World) -> (Simulator, Client) {
    let (simulator, client) = at_real_speed(world.with_volume(TEMPLATE, 130 << 20));
    let config = LxcConfig::new().with_rootfs(&MountPoint::allocate("local-lvm", 1));
    for vmid in [200, 201] {
        let new = NewLxc::new(TEMPLATE, config.clone()).with_start();
        client.node("pve1").create_lxc(vmid, new).await.unwrap();
    }
    (simulator, client)
}

#[tokio::test(start_paused = true)]
async fn a_server_as_it_comes_cannot_suspend_containers() {
    let (_simulator, client) = container(World::lab()).await;
    let lxc = client.node("pve1").lxc(200);
    let error = lxc.suspend().await.unwrap_err();
    assert_eq!(
        error.message(),
        "command 'lxc-checkpoint -n 200 -s -D /var/lib/vz/dump' failed: exit code 1"
    );
    assert_eq!(error.kind(), Kind::TaskFailed);
    assert_eq!(error.upid().unwrap().kind(), "vzsuspend");
    assert!(lxc.status().await.unwrap().is_running());
    assert_eq!(lxc.resume().await.unwrap(), Started::AlreadyRunning);
    lxc.stop().await.unwrap();
    let error = lxc.resume().await.unwrap_err();
    assert!(
        error.message().contains("lxc-checkpoint -n 200 -r"),
        "{error}"
    );
    assert_eq!(lxc.suspend().await.unwrap(), Stopped::AlreadyStopped);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_criu_the_checkpoint_of_one_container_replaces_that_of_another() {
    let (_simulator, client) = container(World::lab().with_criu()).await;
    let (one, other) = (client.node("pve1").lxc(200), client.node("pve1").lxc(201));
    assert_eq!(one.suspend().await.unwrap(), Stopped::Stopped);
    assert!(!one.status().await.unwrap().is_running());
    assert_eq!(one.resume().await.unwrap(), Started::Started);
    assert!(one.status().await.unwrap().is_running());
    one.suspend().await.unwrap();
    other.suspend().await.unwrap();
    let lost = one.resume().await.unwrap_err();
    assert_eq!(lost.kind(), Kind::TaskFailed, "{lost}");
    assert_eq!(other.resume().await.unwrap(), Started::Started);
}
