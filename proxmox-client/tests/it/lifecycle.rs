//! The life of virtual machines, against the simulator in process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proxmox_client::property::{Agent, BootOrder, Cpu, Drive, IpConfig, Nic};
use proxmox_client::simulator::{Fault, Power, Simulator, World};
use proxmox_client::{
    Client, CloneOptions, ConfigUpdate, Download, Downloaded, Grown, Kind, QemuConfig, QemuPatch,
    Removed, Shutdown, Size, Started, Stopped,
};

use crate::laboratory::connected;

fn lab() -> (Simulator, Client) {
    let world = World::lab().with_volume("local:import/talos.qcow2", 26_822_656);
    connected(world)
}

fn talos() -> QemuConfig {
    QemuConfig::new()
        .with_name("talos-cp-1")
        .with_cores(4)
        .with_sockets(1)
        .with_memory_mib(4096)
        .with_balloon_mib(0)
        .with_cpu(&Cpu::new("x86-64-v2-AES"))
        .with_machine("q35")
        .with_os_type("l26")
        .with_scsi_controller("virtio-scsi-single")
        .with_drive(
            "scsi0",
            Drive::import("local-lvm", "local:import/talos.qcow2")
                .with_discard("on")
                .with_iothread(true),
        )
        .with_drive("ide2", Drive::cloud_init("local-lvm"))
        .with_boot_order(&BootOrder::new(["scsi0"]))
        .with_net(0, Nic::virtio("vmbr0").with_tag(20u16).with_firewall(false))
        .with_ip_config(
            0,
            &IpConfig::default()
                .with_ip("192.0.2.20/24")
                .with_gateway("192.0.2.1"),
        )
        .with_agent(&Agent::on())
        .with_tags(["talos", "cp"])
        .with_description("managed by a test")
        .with_on_boot(true)
        .with_serial(0, "socket")
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_made_grown_started_stopped_and_removed() {
    let (simulator, client) = lab();
    let node = client.node("pve1");
    let created = node.create_qemu(8101, talos()).await.unwrap();
    assert_eq!(created.upid.unwrap().kind(), "qmcreate");
    let vm = created.qemu;
    assert_eq!(
        vm.grow_disk("scsi0", Size::gib(32)).await.unwrap(),
        Grown::To(Size::gib(32))
    );
    assert_eq!(
        vm.grow_disk("scsi0", Size::gib(32)).await.unwrap(),
        Grown::Unchanged(Size::gib(32))
    );
    let config = vm.config().await.unwrap();
    assert_eq!(
        config.drive("scsi0").unwrap().unwrap().file().unwrap(),
        "local-lvm:vm-8101-disk-0"
    );
    assert_eq!(config.tags(), ["cp", "talos"]);
    assert!(
        config
            .net(0)
            .unwrap()
            .unwrap()
            .mac()
            .unwrap()
            .starts_with("BC:24:11:")
    );
    assert_eq!(vm.start().await.unwrap(), Started::Started);
    assert_eq!(vm.start().await.unwrap(), Started::AlreadyRunning);
    assert!(vm.status().await.unwrap().is_running());
    assert!(matches!(
        simulator.with(|world| world.guest(8101).unwrap().power()),
        Power::On { .. }
    ));
    assert_eq!(vm.delete().await.unwrap_err().kind(), Kind::PowerState);
    assert_eq!(
        vm.shutdown(Shutdown::new()).await.unwrap(),
        Stopped::Stopped
    );
    assert_eq!(vm.delete().await.unwrap(), Removed::Removed);
    assert_eq!(vm.delete().await.unwrap(), Removed::Absent);
    assert!(
        simulator
            .with(|world| world.volumes("local-lvm"))
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_apply_of_the_same_wish_changes_nothing() {
    let (simulator, client) = lab();
    let vm = client
        .node("pve1")
        .create_qemu(8101, talos())
        .await
        .unwrap()
        .qemu;
    simulator.clear_journal();
    assert_eq!(
        vm.ensure_config(&talos()).await.unwrap(),
        ConfigUpdate::Unchanged
    );
    assert!(
        simulator
            .journal()
            .iter()
            .all(|entry| entry.method == "GET")
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_running_machine_says_what_waits_for_the_next_start() {
    let (_simulator, client) = lab();
    let vm = client
        .node("pve1")
        .create_qemu(8101, talos())
        .await
        .unwrap()
        .qemu;
    vm.start().await.unwrap();
    let read = vm.config().await.unwrap();
    let wanted = QemuConfig::new()
        .with_memory_mib(8192)
        .with_tags(["cp", "talos", "ready"]);
    let update = vm.apply(&read, &read.patch_to(&wanted)).await.unwrap();
    assert_eq!(
        update,
        ConfigUpdate::Updated {
            live: vec!["tags".into()],
            pending: vec!["memory".into()]
        }
    );
    assert_eq!(vm.current_config().await.unwrap().memory_mib(), Some(4096));
    assert_eq!(vm.config().await.unwrap().memory_mib(), Some(8192));
    let stale = vm
        .apply(&read, &QemuPatch::new().set("onboot", 0))
        .await
        .unwrap_err();
    assert_eq!(stale.kind(), Kind::Conflict);
    vm.revert(&["memory"]).await.unwrap();
    assert_eq!(vm.config().await.unwrap().memory_mib(), Some(4096));
}

#[tokio::test(start_paused = true)]
async fn an_id_that_someone_else_takes_meanwhile_is_skipped() {
    let (_simulator, client) = lab();
    let node = client.node("pve1");
    let ids = client.vmid_pool(8100..=8110).unwrap();
    node.create_qemu(8100, QemuConfig::new()).await.unwrap();
    let rival = node.clone();
    let mut asked = Vec::new();
    let stolen = Arc::new(Mutex::new(false));
    rival
        .create_qemu(8101, QemuConfig::new().with_name("rival"))
        .await
        .unwrap();
    let made = ids
        .create(|vmid| {
            asked.push(vmid);
            *stolen.lock().unwrap() = true;
            node.create_qemu(vmid, QemuConfig::new().with_name("ours"))
        })
        .await
        .unwrap();
    assert_eq!(made.qemu.vmid(), 8102);
    let twins = futures::future::join(
        ids.create(|vmid| node.create_qemu(vmid, QemuConfig::new())),
        ids.create(|vmid| node.create_qemu(vmid, QemuConfig::new())),
    )
    .await;
    let mut twins = [twins.0.unwrap().qemu.vmid(), twins.1.unwrap().qemu.vmid()];
    twins.sort_unstable();
    assert_eq!(twins, [8103, 8104]);
}

#[tokio::test(start_paused = true)]
async fn creating_under_a_taken_id_is_told_apart_from_other_failures() {
    let (_simulator, client) = lab();
    let node = client.node("pve1");
    node.create_qemu(100, QemuConfig::new()).await.unwrap();
    let error = node.create_qemu(100, QemuConfig::new()).await.unwrap_err();
    assert!(error.is_already_exists(), "{error}");
    let error = node
        .create_qemu(
            101,
            QemuConfig::new().with_drive("scsi0", Drive::allocate("nostore", 1)),
        )
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(
        error.to_string(),
        "creating VM 101 on pve1: storage 'nostore' does not exist"
    );
}

#[tokio::test(start_paused = true)]
async fn a_download_is_made_once() {
    let (simulator, client) = lab();
    let local = client.node("pve1").storage("local");
    let image = || Download::new("https://example.test/talos.iso", "iso", "talos.iso");
    let volid = "local:iso/talos.iso".to_owned();
    assert_eq!(
        local.download_url(image()).await.unwrap(),
        Downloaded::Fetched(volid.clone())
    );
    assert_eq!(
        local.download_url(image()).await.unwrap(),
        Downloaded::AlreadyThere(volid)
    );
    let content = local.content(Some("iso")).await.unwrap();
    assert_eq!(content.len(), 1);
    assert_eq!(content[0].size, Some(64 << 20));
    assert_eq!(local.status().await.unwrap().total, Some(100 << 30));
    assert_eq!(
        local.delete_volume("local:iso/talos.iso").await.unwrap(),
        Removed::Removed
    );
    assert!(
        simulator
            .with(|world| world.volumes("local"))
            .iter()
            .all(|v| !v.contains("iso/"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_checksum_fails_the_download_with_the_whole_log() {
    let file = proxmox_client::simulator::RemoteFile::new(1 << 20).with_sha256(&"a".repeat(64));
    let world = World::lab().with_remote_file("https://example.test/x.iso", file);
    let client = Simulator::new(world).connect();
    let download = Download::new("https://example.test/x.iso", "iso", "x.iso")
        .with_checksum("sha256", &"b".repeat(64));
    let error = client
        .node("pve1")
        .storage("local")
        .download_url(download)
        .await
        .unwrap_err();
    assert!(error.message().starts_with("checksum mismatch"), "{error}");
    assert!(
        error
            .task_log()
            .iter()
            .any(|line| line.text.starts_with("downloading https://"))
    );
}

#[tokio::test(start_paused = true)]
async fn progress_tells_what_was_last_seen_until_the_outcome() {
    let (_simulator, client) = lab();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    client
        .node("pve1")
        .create_qemu(8101, talos())
        .on_progress(move |progress| {
            sink.lock()
                .unwrap()
                .push((progress.outcome.is_some(), progress.last_line.clone()));
        })
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 1);
    assert!(seen[..seen.len() - 1].iter().all(|(over, _)| !over));
    assert_eq!(seen.last().unwrap(), &(true, Some("TASK OK".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn warnings_are_a_success_that_carries_them() {
    let (simulator, client) = lab();
    simulator.on_request(|request| match request.method.as_str() {
        "POST" => Fault::TaskWarns(2),
        _ => Fault::None,
    });
    let created = client
        .node("pve1")
        .create_qemu(8101, talos())
        .await
        .unwrap();
    assert_eq!(
        created.warnings,
        ["modelled warning 1", "modelled warning 2"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_is_an_error_with_a_kind_and_the_log() {
    let (simulator, client) = lab();
    let vm = client
        .node("pve1")
        .create_qemu(8101, talos())
        .await
        .unwrap()
        .qemu;
    let text = "can't lock file '/var/lock/qemu-server/lock-8101.conf' - got timeout";
    simulator.on_request(move |request| match request.path.ends_with("/start") {
        true => Fault::TaskFails(text.to_owned()),
        false => Fault::None,
    });
    let error = vm.start().await.unwrap_err();
    assert_eq!(error.kind(), Kind::LockTimeout);
    assert!(error.is_retryable());
    assert_eq!(error.upid().unwrap().kind(), "qmstart");
    assert!(
        error
            .task_log()
            .last()
            .unwrap()
            .text
            .starts_with("TASK ERROR: can't lock")
    );
    simulator.on_request(|_| Fault::TaskKilled);
    assert_eq!(vm.start().await.unwrap_err().kind(), Kind::TaskUnknown);
    simulator.clear_faults();
    assert_eq!(vm.start().await.unwrap(), Started::Started);
}

#[tokio::test(start_paused = true)]
async fn a_broken_pipe_is_repeated_and_the_work_is_done_once() {
    let (simulator, client) = lab();
    simulator.on_request(|request| {
        if request.number <= 2 {
            Fault::BrokenPipe
        } else {
            Fault::None
        }
    });
    client
        .node("pve1")
        .create_qemu(8101, talos())
        .await
        .unwrap();
    let posts = simulator
        .journal()
        .iter()
        .filter(|entry| entry.method == "POST")
        .count();
    assert_eq!(posts, 3);
    assert_eq!(simulator.with(|world| world.guests().count()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_have_been_executed_is_never_repeated() {
    for fault in [Fault::ResetAfter, Fault::ProxyTimeout { executed: true }] {
        let (simulator, client) = lab();
        let wanted = fault.clone();
        simulator.on_request(move |request| match request.method.as_str() {
            "POST" => wanted.clone(),
            _ => Fault::None,
        });
        let error = client
            .node("pve1")
            .create_qemu(8101, talos())
            .await
            .unwrap_err();
        assert!(
            matches!(error.kind(), Kind::Interrupted | Kind::ProxyTimeout),
            "{error:?}"
        );
        let posts = simulator
            .journal()
            .iter()
            .filter(|entry| entry.method == "POST")
            .count();
        assert_eq!(posts, 1, "{fault:?}");
        // The machine was made all the same, which is why the call was not repeated.
        assert!(client.node("pve1").qemu(8101).exists().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_after_a_broken_connection() {
    let (simulator, client) = lab();
    simulator.on_request(|request| {
        if request.number < 3 {
            Fault::ResetBefore
        } else {
            Fault::None
        }
    });
    assert_eq!(client.version().await.unwrap().numbers(), Some((9, 1)));
    assert_eq!(simulator.journal().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn templates_clones_and_snapshots() {
    let (simulator, client) = lab();
    let node = client.node("pve1");
    let vm = node.create_qemu(9000, talos()).await.unwrap().qemu;
    vm.snapshot("clean", "before first boot").await.unwrap();
    let names: Vec<String> = vm
        .snapshots()
        .await
        .unwrap()
        .into_iter()
        .map(|s| s.name)
        .collect();
    assert_eq!(names, ["clean", "current"]);
    vm.delete_snapshot("clean").await.unwrap();
    vm.make_template().await.unwrap();
    assert!(vm.config().await.unwrap().is_template());
    let linked = vm
        .clone_to(9100, CloneOptions::new().with_name("copy"))
        .await
        .unwrap()
        .qemu;
    let config = linked.config().await.unwrap();
    assert_eq!(
        config.drive("scsi0").unwrap().unwrap().file().unwrap(),
        "local-lvm:base-9000-disk-0/vm-9100-disk-0"
    );
    assert!(!config.is_template());
    assert_eq!(vm.delete().await.unwrap_err().kind(), Kind::InUse);
    let taken = vm.clone_to(9100, CloneOptions::new()).await.unwrap_err();
    assert!(taken.is_already_exists());
    assert_eq!(simulator.with(|world| world.guests().count()), 2);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_the_world_comes_back_whole() {
    let (simulator, client) = lab();
    let vm = client
        .node("pve1")
        .create_qemu(8101, talos())
        .await
        .unwrap()
        .qemu;
    let before = simulator.snapshot();
    vm.start().await.unwrap();
    simulator.restore(before);
    assert!(!vm.status().await.unwrap().is_running());
    vm.start().await.unwrap();
    let booted = simulator.with(|world| world.guest(8101).unwrap().started_at().unwrap());
    simulator.with(|world| assert!(world.mark_rebooted(8101, booted + Duration::from_secs(60))));
    let again = simulator.with(|world| world.guest(8101).unwrap().started_at().unwrap());
    assert_eq!(again, booted + Duration::from_secs(60));
    simulator.with(|world| assert!(world.mark_stopped(8101)));
    assert!(!vm.status().await.unwrap().is_running());
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_lacks_something_else_is_no_removal() {
    let (simulator, client) = lab();
    let vm = client
        .node("pve1")
        .create_qemu(100, QemuConfig::new())
        .await
        .unwrap()
        .qemu;
    simulator.on_request(|request| match request.method.as_str() {
        "DELETE" => Fault::TaskFails("storage 'gone' does not exist".to_owned()),
        _ => Fault::None,
    });
    let error = vm.delete().await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    simulator.clear_faults();
    let nowhere = client.node("pve9").qemu(100);
    let error = nowhere.delete().await.unwrap_err();
    assert!(error.message().contains("pve9"), "{error}");
    assert!(nowhere.exists().await.unwrap_err().is_not_found());
    assert!(vm.exists().await.unwrap());
    assert_eq!(vm.delete().await.unwrap(), Removed::Removed);
    assert_eq!(vm.delete().await.unwrap(), Removed::Absent);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_went_off_before_the_task_looked_is_stopped_already() {
    let (simulator, client) = lab();
    let node = client.node("pve1");
    let vm = node.create_qemu(100, QemuConfig::new()).await.unwrap().qemu;
    vm.start().await.unwrap();
    simulator.on_request(|request| match request.path.ends_with("/shutdown") {
        true => Fault::TaskFails("VM 100 not running".to_owned()),
        false => Fault::None,
    });
    let done = vm.shutdown(Shutdown::new()).await.unwrap();
    assert_eq!(done, Stopped::AlreadyStopped);
}
