//! Containers in backups, and out of them.

use std::future::IntoFuture;
use std::time::Duration;

use proxmox_client::property::{ContainerNic, MountPoint, PruneBackups};
use proxmox_client::simulator::{Simulator, StorageSpec, World};
use proxmox_client::task::{LogLine, Submitted};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{
    BackupGuests, BackupMode, BackupOptions, Client, Compression, EncryptionKey, Kind, Lxc,
    LxcConfig, NewLxc, NewRule, NewStorage, QemuConfig, RestoreOptions, Size, StorageSettings,
    Upid,
};

use crate::laboratory::{at_real_speed, connected};

const TEMPLATE: &str = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";

fn world() -> World {
    World::lab().with_volume(TEMPLATE, 130 << 20)
}

fn dns() -> LxcConfig {
    LxcConfig::new()
        .with_hostname("dns")
        .with_memory_mib(256)
        .with_swap_mib(0)
        .with_rootfs(&MountPoint::allocate("local-lvm", 4).with_mount_options("noatime"))
        .with_mount_point(
            0,
            &MountPoint::allocate("local-lvm", 8)
                .with_path("/data")
                .with_backup(true),
        )
        .with_mount_point(
            10,
            &MountPoint::allocate("local-lvm", 2).with_path("/cache"),
        )
        .with_net(
            0,
            &ContainerNic::new("eth0", "vmbr0").with_ip("192.0.2.53/24"),
        )
        .with_tags(["dns"])
        .with_description("managed by a test")
}

async fn made_of(config: LxcConfig, world: World) -> (Simulator, Client, Lxc) {
    let (simulator, client) = at_real_speed(world);
    let node = client.node("pve1");
    let new = NewLxc::new(TEMPLATE, config);
    let lxc = node.create_lxc(200, new).await.unwrap().lxc;
    (simulator, client, lxc)
}

async fn made() -> (Simulator, Client, Lxc) {
    made_of(dns(), world()).await
}

fn zstd() -> BackupOptions {
    BackupOptions::to("local").with_compression(Compression::Zstd)
}

/// The log of the newest task of a kind.
async fn log_of(simulator: &Simulator, client: &Client, kind: &str) -> Vec<String> {
    let kind = format!(":{kind}:");
    let newest: Option<Upid> = simulator.with(|world| {
        let tasks = world.tasks().filter(|(upid, ..)| upid.contains(&kind));
        tasks.last().and_then(|(upid, ..)| upid.parse().ok())
    });
    texts(&client.task(newest.unwrap()).log().await.unwrap())
}

fn texts(log: &[LogLine]) -> Vec<String> {
    log.iter().map(|line| line.text.clone()).collect()
}

/// Every line that is told, in this order, whatever stands between them.
fn told_in_order(log: &[String], wanted: &[&str]) {
    let mut lines = log.iter();
    for text in wanted {
        assert!(
            lines.any(|line| line == text),
            "`{text}` does not come where it should in {log:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_off_is_packed_under_its_name() {
    let (simulator, client, _lxc) = made().await;
    let node = client.node("pve1");
    let options = zstd().with_notes_template("{{guestname}} on {{node}}");
    let backup = node.back_up(200, &options).await.unwrap();
    let name = backup.volid.strip_prefix("local:backup/").unwrap();
    assert!(name.starts_with("vzdump-lxc-200-2026_01_01-00_0"), "{name}");
    assert!(name.ends_with(".tar.zst"), "{name}");
    assert_eq!(backup.format.as_deref(), Some("tar.zst"));
    assert_eq!(
        (backup.vmid, backup.subtype.as_deref()),
        (Some(200), Some("lxc"))
    );
    assert_eq!(backup.notes.as_deref(), Some("dns on pve1"));
    let config = node.backup_config(&backup.volid).await.unwrap();
    assert!(config.starts_with("#managed by a test\n"), "{config}");
    assert!(config.contains("\nhostname: dns\n"), "{config}");
    assert!(!config.contains("lock:"), "{config}");
    assert!(!config.contains("#qmdump#"), "{config}");
    let log = log_of(&simulator, &client, "vzdump").await;
    told_in_order(
        &log,
        &[
            "INFO: Starting Backup of VM 200 (lxc)",
            "INFO: status = stopped",
            "INFO: backup mode: stop",
            "INFO: ionice priority: 7",
            "INFO: CT Name: dns",
            "INFO: including mount point rootfs ('/') in backup",
            "INFO: including mount point mp0 ('/data') in backup",
            "INFO: excluding volume mount point mp10 ('/cache') from backup (disabled)",
            &format!("INFO: creating vzdump archive '/var/lib/vz/dump/{name}'"),
            "INFO: adding notes to backup",
            "INFO: Backup job finished successfully",
            "TASK OK",
        ],
    );
    let total = log
        .iter()
        .find(|line| line.starts_with("INFO: Total bytes written: "));
    assert!(total.unwrap().ends_with("MiB/s)"), "{total:?}");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_runs_goes_on_beside_a_snapshot_of_its_volumes() {
    let (simulator, client, lxc) = made().await;
    let node = client.node("pve1");
    lxc.start().await.unwrap();
    let since = simulator.with(|world| world.guest(200).unwrap().started_at());
    let call = node.vzdump(&BackupGuests::these([200]), &zstd());
    let Submitted::Task(task) = call.submit().await.unwrap() else {
        panic!("a backup takes a while");
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        lxc.config().await.unwrap().lock().as_deref(),
        Some("backup")
    );
    let during = lxc.snapshots().await.unwrap();
    assert_eq!(during[0].name, "vzdump");
    let change = Request::new(Method::Put, "/nodes/pve1/lxc/200/config", &[]).with("cores", "2");
    let refused = client.request(change).await.unwrap_err();
    assert_eq!(refused.message(), "CT is locked (backup)");
    assert_eq!(refused.kind(), Kind::Locked);
    let upid = task.upid().clone();
    task.await.unwrap();
    told_in_order(
        &texts(&client.task(upid).log().await.unwrap()),
        &[
            "INFO: status = running",
            "INFO: including mount point rootfs ('/') in backup",
            "INFO: backup mode: snapshot",
            "INFO: suspend vm to make snapshot",
            "INFO: create storage snapshot 'vzdump'",
            "  Logical volume \"snap_vm-200-disk-0_vzdump\" created.",
            "INFO: resume vm",
            "INFO: guest is online again after <1 seconds",
            "INFO: cleanup temporary 'vzdump' snapshot",
            "  Logical volume \"snap_vm-200-disk-0_vzdump\" successfully removed.",
        ],
    );
    let after = lxc.config().await.unwrap();
    assert_eq!(after.lock(), None);
    assert_eq!(lxc.snapshots().await.unwrap().len(), 1, "only the present");
    assert_eq!(
        simulator.with(|world| world.guest(200).unwrap().started_at()),
        since
    );
}

#[tokio::test(start_paused = true)]
async fn where_volumes_have_no_snapshots_files_are_copied_first() {
    let config = LxcConfig::new()
        .with_hostname("files")
        .with_rootfs(&MountPoint::allocate("local", 1));
    let (simulator, client, lxc) = made_of(config, world()).await;
    lxc.start().await.unwrap();
    let backup = client.node("pve1").back_up(200, &zstd()).await.unwrap();
    let log = log_of(&simulator, &client, "vzdump").await;
    told_in_order(
        &log,
        &[
            "INFO: mode failure - some volumes do not support snapshots",
            "INFO: trying 'suspend' mode instead",
            "INFO: backup mode: suspend",
            "INFO: CT Name: files",
            "INFO: suspending guest",
            "INFO: final sync finished - transferred 0 bytes in 1s",
            "INFO: resuming guest",
            "INFO: guest is online again after 1 seconds",
        ],
    );
    let first = log.iter().find(|line| line.contains("starting first sync"));
    let name = backup.volid.trim_start_matches("local:backup/");
    let folder = format!("/dump/{}.tmp", name.trim_end_matches(".tar.zst"));
    assert!(first.unwrap().ends_with(&folder), "{first:?}");
    assert!(lxc.status().await.unwrap().is_running());
}

#[tokio::test(start_paused = true)]
async fn in_mode_stop_a_container_is_off_until_it_is_packed() {
    let (_simulator, client, lxc) = made().await;
    lxc.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let options = zstd().with_mode(BackupMode::Stop);
    let node = client.node("pve1");
    let call = node.vzdump(&BackupGuests::these([200]), &options);
    let Submitted::Task(task) = call.submit().await.unwrap() else {
        panic!("a backup takes a while");
    };
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(!lxc.status().await.unwrap().is_running());
    let upid = task.upid().clone();
    task.await.unwrap();
    let status = lxc.status().await.unwrap();
    assert!(status.is_running() && status.uptime.unwrap() < 20);
    let log = texts(&client.task(upid).log().await.unwrap());
    told_in_order(
        &log,
        &[
            "INFO: backup mode: stop",
            "INFO: stopping virtual guest",
            "INFO: restarting vm",
            "INFO: Backup job finished successfully",
        ],
    );
    // A task that is stopped in the middle starts it again, too.
    let call = node.vzdump(&BackupGuests::these([200]), &options);
    let Submitted::Task(task) = call.submit().await.unwrap() else {
        panic!("a backup takes a while");
    };
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(!lxc.status().await.unwrap().is_running());
    task.cancel().await.unwrap();
    assert!(task.await.is_err());
    assert!(lxc.status().await.unwrap().is_running());
    assert_eq!(lxc.config().await.unwrap().lock(), None);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_stop_for_its_backup_keeps_running() {
    let (simulator, client) = connected(world());
    let node = client.node("pve1");
    let new = NewLxc::new(TEMPLATE, dns());
    let lxc = node.create_lxc(200, new).await.unwrap().lxc;
    lxc.start().await.unwrap();
    simulator.with(|world| world.durations_mut().guests_listen = false);
    let options = zstd().with_mode(BackupMode::Stop).with_stop_wait(2);
    let before = simulator.clock().now();
    let error = node.back_up(200, &options).await.unwrap_err();
    assert_eq!(error.message(), "container did not stop");
    let waited = simulator.clock().now().duration_since(before).unwrap();
    assert!(waited >= Duration::from_secs(120), "{waited:?}");
    assert!(lxc.status().await.unwrap().is_running());
    assert_eq!(lxc.config().await.unwrap().lock(), None);
}

#[tokio::test(start_paused = true)]
async fn a_locked_container_is_passed_over_and_keeps_its_lock() {
    let (simulator, client, lxc) = made().await;
    simulator.with(|world| world.set_config(200, "lock", "disk"));
    let error = client.node("pve1").back_up(200, &zstd()).await.unwrap_err();
    assert_eq!(error.message(), "CT is locked (disk)");
    assert_eq!(error.kind(), Kind::Locked);
    assert_eq!(lxc.config().await.unwrap().lock().as_deref(), Some("disk"));
    let backups = client.node("pve1").storage("local").backups(None).await;
    assert!(backups.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_number_of_backups_is_limited_for_each_guest_of_each_kind() {
    // A machine had this id before.
    let old = "local:backup/vzdump-qemu-200-2025_12_30-02_00_00.vma.zst";
    let (_simulator, client, _lxc) = made_of(dns(), world().with_volume(old, 1 << 20)).await;
    let node = client.node("pve1");
    let one = zstd().with_retention(&PruneBackups::default().with_last(1u32));
    let first = node
        .back_up(200, &one.clone().with_pruning(false))
        .await
        .unwrap();
    let full = node
        .back_up(200, &one.clone().with_pruning(false))
        .await
        .unwrap_err();
    assert!(full.message().contains("max backup limit of 1"), "{full}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = node.back_up(200, &one).await.unwrap();
    let left = node.storage("local").backups(None).await.unwrap();
    let left: Vec<&str> = left.iter().map(|backup| backup.volid.as_str()).collect();
    assert!(left.contains(&old) && left.contains(&second.volid.as_str()));
    assert!(!left.contains(&first.volid.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_container_comes_back_out_of_its_backup_as_it_was() {
    let (simulator, client, lxc) = made().await;
    let node = client.node("pve1");
    let rule = NewRule::accept_in().with_service("DNS");
    lxc.firewall().ensure_rules("ours", &[rule]).await.unwrap();
    let before = lxc.config().await.unwrap();
    let backup = node.back_up(200, &zstd()).await.unwrap();
    lxc.delete().await.unwrap();
    assert!(
        simulator
            .with(|world| world.volumes("local-lvm"))
            .is_empty()
    );
    let new = NewLxc::from_backup(&backup.volid, LxcConfig::new()).with_storage("local-lvm");
    let restored = node.create_lxc(200, new).await.unwrap();
    assert_eq!(restored.upid.unwrap().kind(), "vzrestore");
    let mut after = restored.lxc.config().await.unwrap().values().clone();
    let mut before = before.values().clone();
    for values in [&mut after, &mut before] {
        values.shift_remove("digest");
    }
    assert_eq!(after, before);
    assert_eq!(lxc.firewall().rules().await.unwrap().len(), 1);
    assert!(!lxc.status().await.unwrap().is_running());
    let log = log_of(&simulator, &client, "vzrestore").await;
    let name = backup.volid.trim_start_matches("local:backup/");
    told_in_order(
        &log,
        &[
            &format!("recovering backed-up configuration from '{}'", backup.volid),
            "  Logical volume \"vm-200-disk-0\" created.",
            &format!("restoring '{}' now..", backup.volid),
            &format!("extracting archive '/var/lib/vz/dump/{name}'"),
            "merging backed-up and given configuration..",
            "TASK OK",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_restored_container_lives_beside_the_one_that_was_backed_up() {
    let (_simulator, client, lxc) = made().await;
    let node = client.node("pve1");
    let backup = node.back_up(200, &zstd()).await.unwrap();
    client.pool("copies").ensure("").await.unwrap();
    let wanted = LxcConfig::new()
        .with_hostname("copy")
        .with_rootfs(&MountPoint::allocate("local-hdd", 6));
    let new = NewLxc::from_backup(&backup.volid, wanted)
        .with_unique()
        .with_pool("copies")
        .with_limit(Size::mib(50))
        .with_start();
    let copy = node.create_lxc(201, new).await.unwrap().lxc;
    let (config, original) = (copy.config().await.unwrap(), lxc.config().await.unwrap());
    assert_eq!(config.hostname().as_deref(), Some("copy"));
    assert_eq!(config.memory_mib(), Some(256), "as the backup says");
    assert_eq!(
        config.text("rootfs").as_deref(),
        Some("local-hdd:vm-201-disk-0,size=6G")
    );
    assert!(
        config.mount_point(0).is_none(),
        "who names volumes names all of them"
    );
    assert_ne!(config.text("net0"), original.text("net0"), "a new address");
    assert!(copy.status().await.unwrap().is_running());
    let pool = client.pool("copies").get().await.unwrap().unwrap();
    assert_eq!(pool.members.unwrap()[0].id, "lxc/201");
    // Where nothing is said about volumes, all come to one storage, those without content too.
    let plain = NewLxc::from_backup(&backup.volid, LxcConfig::new()).with_storage("local-hdd");
    let third = node.create_lxc(202, plain).await.unwrap().lxc;
    let config = third.config().await.unwrap();
    assert_eq!(
        config.text("mp10").as_deref(),
        Some("local-hdd:vm-202-disk-2,mp=/cache,size=2G")
    );
    assert_eq!(config.text("net0"), original.text("net0"));
}

#[tokio::test(start_paused = true)]
async fn a_container_is_replaced_only_by_force_and_only_while_it_is_off() {
    let (simulator, client, lxc) = made().await;
    let node = client.node("pve1");
    let backup = node.back_up(200, &zstd()).await.unwrap();
    lxc.ensure_tags(&["later"]).await.unwrap();
    lxc.snapshot("s1", "").await.unwrap();
    let new = || NewLxc::from_backup(&backup.volid, LxcConfig::new()).with_storage("local-lvm");
    let over = || new().with_overwrite();
    let taken = node.create_lxc(200, new()).await.unwrap_err();
    assert!(taken.is_already_exists(), "{taken}");
    assert_eq!(
        taken.message(),
        "CT 200 already exists on node 'pve1'",
        "without more words"
    );
    lxc.start().await.unwrap();
    let running = node.create_lxc(200, over()).await.unwrap_err();
    assert_eq!(running.message(), "can't overwrite running container");
    assert_eq!(running.kind(), Kind::PowerState);
    lxc.stop().await.unwrap();
    lxc.ensure_config(&LxcConfig::new().with_protection(true))
        .await
        .unwrap();
    let guarded = node.create_lxc(200, over()).await.unwrap_err();
    assert_eq!(
        guarded.message(),
        "unable to restore CT 200 - protection mode enabled"
    );
    lxc.ensure_config(&LxcConfig::new().with_protection(false))
        .await
        .unwrap();
    simulator.with(|world| world.set_config(200, "lock", "backup"));
    let locked = node.create_lxc(200, over()).await.unwrap_err();
    assert_eq!(
        locked.message(),
        "unable to restore CT 200 - CT is locked (backup)"
    );
    assert_eq!(locked.kind(), Kind::Locked);
    let unlock = Request::new(Method::Put, "/nodes/pve1/lxc/200/config", &[])
        .with("delete", "lock")
        .with("skiplock", "1");
    let refused = simulator.answer_as("root@pam", &unlock).await.unwrap();
    assert_ne!(refused.status(), 200, "containers have no such switch");
    simulator.with(|world| world.set_config(200, "lock", ""));
    let machine = node.create_qemu(300, QemuConfig::new()).await.unwrap().qemu;
    let foreign = node.create_lxc(300, over()).await.unwrap_err();
    assert!(foreign.is_already_exists(), "{foreign}");
    assert!(machine.exists().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_goes_once_the_new_volumes_are_made() {
    let (simulator, client, lxc) = made().await;
    let node = client.node("pve1");
    let backup = node.back_up(200, &zstd()).await.unwrap();
    lxc.ensure_tags(&["later"]).await.unwrap();
    lxc.detach_volume("mp10").await.unwrap();
    lxc.snapshot("s1", "").await.unwrap();
    let over = NewLxc::from_backup(&backup.volid, LxcConfig::new())
        .with_storage("local-lvm")
        .with_overwrite();
    node.create_lxc(200, over).await.unwrap();
    let config = lxc.config().await.unwrap();
    assert_eq!(config.tags(), ["dns"]);
    assert_eq!(config.text("unused0"), None);
    assert_eq!(lxc.snapshots().await.unwrap().len(), 1);
    let left = simulator.with(|world| world.volumes("local-lvm"));
    let names = ["3", "4", "5"].map(|number| format!("local-lvm:vm-200-disk-{number}"));
    assert_eq!(left, names);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_restored_leaves_nothing_new() {
    let machine = "local:backup/vzdump-qemu-100-2025_12_30-02_00_00.vma.zst";
    let (simulator, client, lxc) = made_of(
        dns(),
        world().with_guest_backup(machine, 1 << 20, &QemuConfig::new().with_name("db")),
    )
    .await;
    let node = client.node("pve1");
    let backup = node.back_up(200, &zstd()).await.unwrap();
    let volumes = simulator.with(|world| world.volumes("local-lvm"));
    let restore = |archive: &str| {
        let new = NewLxc::from_backup(archive, LxcConfig::new()).with_storage("local-lvm");
        node.create_lxc(201, new)
    };
    let missing = "local:backup/vzdump-lxc-200-2020_01_01-00_00_00.tar.zst";
    let error = restore(missing).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(
        error.message(),
        "unable to restore CT 201 - ERROR: file '/var/lib/vz/dump/vzdump-lxc-200-2020_01_01-00_00_00.tar.zst' does not exist"
    );
    let error = restore(machine).await.unwrap_err();
    assert_eq!(
        error.message(),
        "unable to restore CT 201 - ERROR: archive contains no configuration file"
    );
    let error = restore(TEMPLATE).await.unwrap_err();
    assert!(
        error
            .message()
            .ends_with("content type needs to be 'backup'"),
        "{error}"
    );
    let wrong = NewLxc::from_backup(&backup.volid, LxcConfig::new()).with_storage("nope");
    assert!(
        node.create_lxc(201, wrong)
            .await
            .unwrap_err()
            .is_not_found()
    );
    let part = LxcConfig::new().with("mp0", "local-lvm:1,mp=/data");
    let error = node
        .create_lxc(201, NewLxc::from_backup(&backup.volid, part))
        .await;
    assert!(error.unwrap_err().message().contains("'rootfs' not set"));
    // A task that is stopped while it unpacks.
    let Submitted::Task(task) = restore(&backup.volid).submit().await.unwrap() else {
        panic!("a restore takes a while");
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        node.lxc(201).config().await.unwrap().lock().as_deref(),
        Some("create")
    );
    task.cancel().await.unwrap();
    let stopped = task.await.unwrap_err();
    assert!(
        stopped.message().ends_with("interrupted by signal"),
        "{stopped}"
    );
    assert!(!node.lxc(201).exists().await.unwrap());
    assert_eq!(simulator.with(|world| world.volumes("local-lvm")), volumes);
    // The same over a container that is there costs that one, but not before anything is made.
    let lost = NewLxc::from_backup(missing, LxcConfig::new()).with_overwrite();
    assert!(node.create_lxc(200, lost).await.is_err());
    assert_eq!(lxc.config().await.unwrap().lock(), None);
    assert_eq!(simulator.with(|world| world.volumes("local-lvm")), volumes);
    let vm = node.restore_qemu(100, &backup.volid, RestoreOptions::new());
    assert_eq!(vm.await.unwrap_err().status(), Some(501));
}

#[tokio::test(start_paused = true)]
async fn paths_of_the_node_come_back_for_root_alone() {
    let config = LxcConfig::new()
        .with("rootfs", "local-lvm:vm-200-disk-0,size=1G")
        .with("mp0", "/srv,mp=/srv");
    let archive = "local:backup/vzdump-lxc-200-2025_12_30-02_00_00.tar.zst";
    let (simulator, client) =
        at_real_speed(World::lab().with_container_backup(archive, 20 << 20, &config));
    let node = client.node("pve1");
    let new = NewLxc::from_backup(archive, LxcConfig::new()).with_storage("local-lvm");
    let error = node.create_lxc(200, new).await.unwrap_err();
    assert_eq!(
        error.message(),
        "unable to restore CT 200 - restoring 'mp0' to bind mount is only possible for root"
    );
    assert!(!node.lxc(200).exists().await.unwrap());
    let request = Request::new(Method::Post, "/nodes/pve1/lxc", &[])
        .with("vmid", "200")
        .with("ostemplate", archive)
        .with("restore", "1")
        .with("storage", "local-lvm");
    let answer = simulator.answer_as("root@pam", &request).await.unwrap();
    assert_eq!(answer.status(), 200);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let restored = node.lxc(200).config().await.unwrap();
    assert_eq!(restored.text("mp0").as_deref(), Some("/srv,mp=/srv"));
    assert_eq!(restored.hostname().as_deref(), Some("CT200"));
    assert_eq!(restored.lock(), None);
}

#[tokio::test(start_paused = true)]
async fn backups_that_were_there_before_are_restored_as_told() {
    let archive = "local:backup/vzdump-lxc-200-2025_12_30-02_00_00.tar.zst";
    let vm = "local:backup/vzdump-qemu-100-2025_12_30-02_00_00.vma.zst";
    let unknown = "local:backup/vzdump-lxc-201-2025_12_30-02_00_00.tar.zst";
    let template = LxcConfig::new()
        .with_hostname("base")
        .with("rootfs", "local-lvm:base-200-disk-0,size=3G")
        .with("template", 1)
        .with("unprivileged", 1);
    let machine = QemuConfig::new()
        .with_name("db")
        .with("scsi0", "local-lvm:vm-100-disk-0,size=8G");
    let world = World::lab()
        .with_container_backup(archive, 20 << 20, &template)
        .with_guest_backup(vm, 1 << 30, &machine)
        .with_volume(unknown, 1 << 20);
    let (_simulator, client) = at_real_speed(world);
    let node = client.node("pve1");
    let new = NewLxc::from_backup(archive, LxcConfig::new()).with_storage("local-hdd");
    let lxc = node.create_lxc(200, new).await.unwrap().lxc;
    let config = lxc.config().await.unwrap();
    assert!(config.is_template() && config.unprivileged());
    assert_eq!(
        config.text("rootfs").as_deref(),
        Some("local-hdd:base-200-disk-0,size=3G")
    );
    let text = node.backup_config(vm).await.unwrap();
    assert!(text.contains("#qmdump#map:scsi0:drive-scsi0:local-lvm:raw:"));
    let options = RestoreOptions::new().with_start(true);
    let db = node.restore_qemu(100, vm, options).await.unwrap().qemu;
    assert_eq!(
        db.config().await.unwrap().text("scsi0").as_deref(),
        Some("local-lvm:vm-100-disk-0,size=8G")
    );
    assert!(db.status().await.unwrap().is_running());
    // What is in a file of which only the size is known, nobody can tell.
    let error = node
        .create_lxc(201, NewLxc::from_backup(unknown, LxcConfig::new()))
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(501));
}

#[tokio::test(start_paused = true)]
async fn a_backup_server_takes_containers_and_gives_them_back() {
    let (_simulator, client, lxc) = made().await;
    let node = client.node("pve1");
    let settings = StorageSettings::new()
        .with_username("root@pam")
        .with_password("x")
        .with_encryption_key(&EncryptionKey::Autogen);
    let server = NewStorage::backup_server("192.0.2.5", "main").with_settings(settings);
    client.storage("pbs").ensure(&server).await.unwrap();
    let backup = node.back_up(200, &BackupOptions::to("pbs")).await.unwrap();
    assert!(
        backup
            .volid
            .starts_with("pbs:backup/ct/200/2026-01-01T00:0"),
        "{}",
        backup.volid
    );
    assert_eq!(backup.format.as_deref(), Some("pbs-ct"));
    lxc.delete().await.unwrap();
    let new = NewLxc::from_backup(&backup.volid, LxcConfig::new()).with_storage("local-lvm");
    let again = node.create_lxc(200, new).await.unwrap().lxc;
    assert_eq!(again.config().await.unwrap().tags(), ["dns"]);
}

#[tokio::test(start_paused = true)]
async fn archives_that_do_not_fit_fail_and_are_not_there() {
    let small = StorageSpec::directory("small", "/small", 1 << 10);
    let (_simulator, client, lxc) = made_of(dns(), world().with_storage(small)).await;
    let node = client.node("pve1");
    let error = node
        .back_up(200, &BackupOptions::to("small"))
        .await
        .unwrap_err();
    assert!(error.message().ends_with("failed: exit code 1"), "{error}");
    let log = error.task_log();
    assert!(
        log.iter()
            .any(|line| line.text.contains("No space left on device"))
    );
    assert_eq!(lxc.config().await.unwrap().lock(), None);
    let left = node.storage("small").backups(None).await.unwrap();
    assert!(left.is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_restores_of_one_id_have_one_winner() {
    let (_simulator, client, _lxc) = made().await;
    let node = client.node("pve1");
    let backup = node.back_up(200, &zstd()).await.unwrap();
    let restore = || {
        let new = NewLxc::from_backup(&backup.volid, LxcConfig::new()).with_storage("local-lvm");
        node.create_lxc(201, new).into_future()
    };
    let (one, other) = futures::future::join(restore(), restore()).await;
    let loser = match (one, other) {
        (Ok(_), Err(loser)) | (Err(loser), Ok(_)) => loser,
        both => panic!("one wins: {both:?}"),
    };
    assert!(loser.is_already_exists(), "{loser}");
    assert_eq!(node.lxc(201).config().await.unwrap().lock(), None);
}
