//! Backups, restores, pruning and backup jobs.

use std::time::Duration;

use proxmox_client::property::{Drive, Fleecing, Nic, PruneBackups};
use proxmox_client::simulator::{Simulator, StorageSpec, World};
use proxmox_client::task::Submitted;
use proxmox_client::wire::{Method, Request};
use proxmox_client::{
    BackupGuests, BackupJobSettings, BackupMode, BackupOptions, Client, Compression, EncryptionKey,
    Ensured, HaSettings, HaSid, Kind, NewStorage, PruneMark, PruneQuery, QemuConfig, Removed,
    RestoreOptions, StorageSettings,
};

use crate::laboratory::at_real_speed;

fn guest(name: &str) -> QemuConfig {
    QemuConfig::new()
        .with_name(name)
        .with_drive("scsi0", Drive::allocate("local-lvm", 1))
        .with_drive("scsi1", Drive::allocate("local-lvm", 2).with_backup(false))
        .with_net(0, Nic::virtio("vmbr0"))
}

async fn with_guests(vmids: &[u32]) -> (Simulator, Client) {
    let (simulator, client) = at_real_speed(World::lab());
    for vmid in vmids {
        let config = guest(&format!("vm{vmid}"));
        client
            .node("pve1")
            .create_qemu(*vmid, config)
            .await
            .unwrap();
    }
    (simulator, client)
}

fn zstd() -> BackupOptions {
    BackupOptions::to("local").with_compression(Compression::Zstd)
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_made_under_its_name_and_with_its_notes() {
    let (_simulator, client) = with_guests(&[100]).await;
    let node = client.node("pve1");
    let options = zstd()
        .with_notes_template(r"{{guestname}} on {{node}}\nid {{vmid}}")
        .with_protected(true)
        .with_fleecing(&Fleecing::on("local-lvm"));
    let backup = node.back_up(100, &options).await.unwrap();
    let name = backup.volid.strip_prefix("local:backup/").unwrap();
    assert!(
        name.starts_with("vzdump-qemu-100-2026_01_01-00_00_0"),
        "{name}"
    );
    assert!(name.ends_with(".vma.zst"), "{name}");
    assert_eq!(backup.format.as_deref(), Some("vma.zst"));
    assert_eq!(
        (backup.vmid, backup.subtype.as_deref()),
        (Some(100), Some("qemu"))
    );
    assert_eq!(
        backup.notes.as_deref(),
        Some("vm100 on pve1"),
        "lists give the first line"
    );
    assert_eq!(backup.protected, Some(true));
    let local = node.storage("local");
    let info = local.volume(&backup.volid).await.unwrap();
    assert_eq!(info.notes.as_deref(), Some("vm100 on pve1\nid 100"));
    let config = node.backup_config(&backup.volid).await.unwrap();
    assert!(config.contains("name: vm100\n"), "{config}");
    assert!(!config.contains("lock:"), "{config}");
    assert!(
        config.contains("#qmdump#map:scsi0:drive-scsi0:local-lvm:raw:"),
        "{config}"
    );
    assert!(
        client
            .node("pve1")
            .qemu(100)
            .config()
            .await
            .unwrap()
            .get("lock")
            .is_none()
    );

    let protected = local.delete_volume(&backup.volid).await.unwrap_err();
    assert_eq!(protected.kind(), Kind::Protected, "{protected}");
    assert_eq!(
        local.set_protected(&backup.volid, false).await.unwrap(),
        Ensured::Updated(vec!["protected".to_owned()])
    );
    assert_eq!(
        local.set_protected(&backup.volid, false).await.unwrap(),
        Ensured::Unchanged
    );
    assert_ne!(
        local.set_notes(&backup.volid, "old").await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(
        local.set_notes(&backup.volid, "old").await.unwrap(),
        Ensured::Unchanged
    );
    assert_eq!(
        local.delete_volume(&backup.volid).await.unwrap(),
        Removed::Removed
    );
    assert!(local.backups(None).await.unwrap().is_empty());
    let gone = node.backup_config(&backup.volid).await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn a_guest_is_locked_while_it_is_backed_up() {
    let (_simulator, client) = with_guests(&[100]).await;
    let node = client.node("pve1");
    let call = node.vzdump(&BackupGuests::these([100]), &zstd());
    let Submitted::Task(task) = call.submit().await.unwrap() else {
        panic!("a backup takes a while");
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let config = node.qemu(100).config().await.unwrap();
    assert_eq!(config.text("lock").as_deref(), Some("backup"));
    let change = Request::new(Method::Put, "/nodes/pve1/qemu/100/config", &[]).with("cores", "2");
    let error = client.request(change).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Locked, "{error}");
    // A second backup waits for the first, and is made then.
    let second = node.back_up(100, &zstd()).await.unwrap();
    task.await.unwrap();
    let all = node.storage("local").backups(Some(100)).await.unwrap();
    assert_eq!(all.len(), 2);
    assert!(all.iter().any(|backup| backup.volid == second.volid));
    assert!(node.qemu(100).config().await.unwrap().get("lock").is_none());
}

#[tokio::test(start_paused = true)]
async fn one_guest_that_fails_does_not_keep_the_others_from_it() {
    let (simulator, client) = with_guests(&[100, 101]).await;
    let node = client.node("pve1");
    simulator.with(|world| world.set_config(100, "lock", "clone"));
    let both = BackupGuests::these([100, 101, 555]);
    let error = node.vzdump(&both, &zstd()).await.unwrap_err();
    assert_eq!(
        error.kind(),
        Kind::Locked,
        "the first failure's own kind: {error}"
    );
    assert_eq!(error.message(), "VM is locked (clone)");
    let log = error.task_log();
    let said = |text: &str| log.iter().any(|line| line.text.contains(text));
    assert!(said(
        "ERROR: Backup of VM 555 failed - unable to find VM '555'"
    ));
    assert!(said("INFO: Finished Backup of VM 101"));
    assert!(said("TASK ERROR: job errors"));
    let local = node.storage("local");
    assert_eq!(local.backups(None).await.unwrap().len(), 1);
    let kept = node.qemu(100).config().await.unwrap();
    assert_eq!(
        kept.text("lock").as_deref(),
        Some("clone"),
        "someone else's lock stays"
    );
    let wrong = node
        .vzdump(&BackupGuests::all(), &BackupOptions::to("local-lvm"))
        .await;
    assert!(wrong.unwrap_err().message().contains("wrong content type"));
    let nowhere = node
        .vzdump(&BackupGuests::all(), &BackupOptions::to("nope"))
        .await;
    assert!(nowhere.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_stopped_lets_go_of_the_guest() {
    let (_simulator, client) = with_guests(&[100]).await;
    let node = client.node("pve1");
    let call = node.vzdump(&BackupGuests::these([100]), &zstd());
    let Submitted::Task(task) = call.submit().await.unwrap() else {
        panic!("a backup takes a while");
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    task.cancel().await.unwrap();
    assert!(task.await.is_err());
    assert!(node.qemu(100).config().await.unwrap().get("lock").is_none());
    assert!(
        node.storage("local")
            .backups(None)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn in_mode_stop_a_guest_is_started_again() {
    let (_simulator, client) = with_guests(&[100]).await;
    let node = client.node("pve1");
    let qemu = node.qemu(100);
    qemu.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let options = zstd().with_mode(BackupMode::Stop);
    node.back_up(100, &options).await.unwrap();
    let status = qemu.status().await.unwrap();
    assert!(status.is_running() && status.uptime.unwrap() < 60);
    // The manager would start it in the middle.
    client
        .ha()
        .ensure_resource(&HaSid::vm(100), &HaSettings::new())
        .await
        .unwrap();
    let error = node.back_up(100, &options).await.unwrap_err();
    assert!(error.message().contains("HA managed"), "{error}");
    node.back_up(100, &zstd()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_guest_comes_back_out_of_its_backup() {
    let (_simulator, client) = with_guests(&[100]).await;
    let node = client.node("pve1");
    let before = node.qemu(100).config().await.unwrap();
    let backup = node.back_up(100, &zstd()).await.unwrap();
    let taken = node
        .restore_qemu(100, &backup.volid, RestoreOptions::new())
        .await
        .unwrap_err();
    assert!(taken.is_already_exists(), "{taken}");
    assert!(
        taken
            .message()
            .starts_with("unable to restore VM 100 - VM 100 already exists")
    );

    let beside = RestoreOptions::new()
        .with_unique(true)
        .with_storage("local-hdd")
        .with_config(QemuConfig::new().with_name("copy"));
    let copy = node.restore_qemu(101, &backup.volid, beside).await.unwrap();
    let config = copy.qemu.config().await.unwrap();
    assert_eq!(config.name().as_deref(), Some("copy"));
    let drive = config.drive("scsi0").unwrap().unwrap();
    assert_eq!(drive.file().as_deref(), Some("local-hdd:vm-101-disk-0"));
    assert!(config.drive("scsi1").is_none(), "it was not in the backup");
    assert_ne!(config.text("net0"), before.text("net0"), "a new address");
    assert_ne!(config.text("smbios1"), before.text("smbios1"));
    assert!(config.get("lock").is_none());

    node.qemu(100).delete().await.unwrap();
    assert_eq!(
        node.storage("local")
            .backups(Some(100))
            .await
            .unwrap()
            .len(),
        1,
        "it outlives it"
    );
    let start = RestoreOptions::new().with_start(true);
    node.restore_qemu(100, &backup.volid, start).await.unwrap();
    let after = node.qemu(100).config().await.unwrap();
    assert_eq!(after.text("net0"), before.text("net0"));
    assert_eq!(after.text("smbios1"), before.text("smbios1"));
    assert!(node.qemu(100).status().await.unwrap().is_running());
    let over = || RestoreOptions::new().with_force(true);
    let running = node
        .restore_qemu(100, &backup.volid, over())
        .await
        .unwrap_err();
    assert_eq!(running.kind(), Kind::PowerState, "{running}");
    node.qemu(100).stop().await.unwrap();
    node.restore_qemu(100, &backup.volid, over()).await.unwrap();

    let missing = "local:backup/vzdump-qemu-100-2020_01_01-00_00_00.vma.zst";
    let error = node
        .restore_qemu(102, missing, RestoreOptions::new())
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let live = RestoreOptions::new().with_live_restore(true);
    let error = node
        .restore_qemu(102, &backup.volid, live)
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .contains("only compatible with backup images from a Proxmox Backup")
    );
    let drives = QemuConfig::new().with_drive("scsi0", Drive::allocate("local-lvm", 1));
    let drives = RestoreOptions::new().with_config(drives);
    let error = node
        .restore_qemu(103, &backup.volid, drives)
        .await
        .unwrap_err();
    assert_eq!(
        error.parameters()["scsi0"],
        "option conflicts with option 'archive'"
    );
}

#[tokio::test(start_paused = true)]
async fn a_forced_restore_keeps_the_disks_that_are_not_in_the_backup() {
    let (simulator, client) = with_guests(&[100]).await;
    let node = client.node("pve1");
    let backup = node.back_up(100, &zstd()).await.unwrap();
    let over = RestoreOptions::new().with_force(true);
    node.restore_qemu(100, &backup.volid, over).await.unwrap();
    let config = node.qemu(100).config().await.unwrap();
    assert_eq!(
        config.text("unused0").as_deref(),
        Some("local-lvm:vm-100-disk-1")
    );
    assert_eq!(simulator.with(|world| world.volumes("local-lvm").len()), 2);
}

#[tokio::test(start_paused = true)]
async fn older_backups_go_by_the_rules_of_what_is_kept() {
    let (_simulator, client) = with_guests(&[100]).await;
    let node = client.node("pve1");
    let local = node.storage("local");
    let keep = zstd().with_retention(&PruneBackups::default().with_last(2u32));
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(node.back_up(100, &keep).await.unwrap().volid);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let left = async || -> Vec<String> {
        let backups = local.backups(None).await.unwrap();
        backups.into_iter().map(|backup| backup.volid).collect()
    };
    assert_eq!(left().await, made[2..]);
    let full = keep.clone().with_pruning(false);
    let error = node.back_up(100, &full).await.unwrap_err();
    assert!(error.message().contains("max backup limit of 2"), "{error}");

    local.set_protected(&made[2], true).await.unwrap();
    let last = PruneBackups::default().with_last(1u32);
    let query = PruneQuery::new()
        .with_retention(&last)
        .with_guest(100)
        .machines();
    let plan = local.prune_preview(&query).await.unwrap();
    let marks: Vec<&PruneMark> = plan.iter().map(|entry| &entry.mark).collect();
    assert_eq!(marks, [&PruneMark::Protected, &PruneMark::Keep]);
    local.set_protected(&made[2], false).await.unwrap();
    assert_eq!(left().await.len(), 2, "a preview removes nothing");
    local.prune(&query).await.unwrap();
    assert_eq!(left().await, made[3..]);
    local.prune(&PruneQuery::new()).await.unwrap();
    assert_eq!(left().await.len(), 1, "the storage keeps everything");
    let both = PruneBackups::everything().with_last(1u32);
    let query = PruneQuery::new().with_retention(&both);
    assert_eq!(
        local.prune_preview(&query).await.unwrap_err().kind(),
        Kind::InvalidInput
    );
    let elsewhere = node
        .storage("local-lvm")
        .prune_preview(&PruneQuery::new())
        .await;
    assert!(
        elsewhere
            .unwrap_err()
            .message()
            .contains("does not support backups")
    );
}

#[tokio::test(start_paused = true)]
async fn backups_by_other_names_are_left_alone() {
    let world = World::lab()
        .with_volume(
            "local:backup/vzdump-qemu-100-before-upgrade.vma.zst",
            1 << 20,
        )
        .with_volume(
            "local:backup/vzdump-qemu-100-2025_12_30-02_00_00.vma.zst",
            1 << 20,
        )
        .with_volume(
            "local:backup/vzdump-lxc-101-2025_12_30-02_00_00.tar.zst",
            1 << 20,
        )
        .with_volume(
            "local:backup/vzdump-qemu-100-2025_12_31-02_00_00.vma.zst",
            1 << 20,
        );
    let (_simulator, client) = at_real_speed(world);
    let local = client.node("pve1").storage("local");
    let query = PruneQuery::new().with_retention(&PruneBackups::default().with_last(1u32));
    let plan = local.prune_preview(&query).await.unwrap();
    let mark = |part: &str| {
        let found = plan.iter().find(|entry| entry.volid.contains(part));
        found.unwrap().mark.clone()
    };
    assert_eq!(mark("before-upgrade"), PruneMark::Renamed);
    assert_eq!(mark("qemu-100-2025_12_30"), PruneMark::Remove);
    assert_eq!(mark("qemu-100-2025_12_31"), PruneMark::Keep);
    assert_eq!(mark("lxc-101"), PruneMark::Keep, "each guest has its own");
    let containers = query.containers();
    assert_eq!(local.prune_preview(&containers).await.unwrap().len(), 1);
    let listed = local.backups(Some(101)).await.unwrap();
    assert_eq!(listed[0].subtype.as_deref(), Some("lxc"));
    assert_eq!(listed[0].created_at, Some(1_767_060_000));
}

#[tokio::test(start_paused = true)]
async fn a_backup_server_takes_backups_too() {
    let (_simulator, client) = with_guests(&[100]).await;
    let node = client.node("pve1");
    let settings = StorageSettings::new()
        .with_username("root@pam")
        .with_password("x")
        .with_encryption_key(&EncryptionKey::Autogen);
    let server = NewStorage::backup_server("192.0.2.5", "main").with_settings(settings);
    client.storage("pbs").ensure(&server).await.unwrap();
    let backup = node.back_up(100, &BackupOptions::to("pbs")).await.unwrap();
    assert!(
        backup
            .volid
            .starts_with("pbs:backup/vm/100/2026-01-01T00:00:0"),
        "{}",
        backup.volid
    );
    assert_eq!(backup.format.as_deref(), Some("pbs-vm"));
    assert!(backup.encrypted.is_some());
    let live = RestoreOptions::new()
        .with_live_restore(true)
        .with_unique(true);
    let copy = node.restore_qemu(101, &backup.volid, live).await.unwrap();
    assert!(copy.qemu.status().await.unwrap().is_running());
}

#[tokio::test(start_paused = true)]
async fn a_choice_without_guests_here_is_no_failure() {
    let (_simulator, client) = with_guests(&[]).await;
    client.pool("empty").ensure("").await.unwrap();
    let node = client.node("pve1");
    let done = node
        .vzdump(&BackupGuests::pool("empty"), &zstd())
        .await
        .unwrap();
    assert!(done.upid.is_none());
    let none = node
        .vzdump(&BackupGuests::these([]), &zstd())
        .await
        .unwrap_err();
    assert_eq!(none.kind(), Kind::InvalidInput);
    let unknown = zstd().with_notes_template("{{host}}");
    let error = node
        .vzdump(&BackupGuests::all(), &unknown)
        .await
        .unwrap_err();
    assert_eq!(
        error.parameters()["notes-template"],
        "found unknown: variable 'host' at char 2\n"
    );
    let defaults = node.backup_defaults(None).await.unwrap();
    assert_eq!(defaults.storage.as_deref(), Some("local"));
    assert_eq!(defaults.lock_wait, Some(180));
}

#[tokio::test(start_paused = true)]
async fn a_job_is_made_changed_where_it_differs_and_removed_once() {
    let (simulator, client) = with_guests(&[100, 101]).await;
    let job = client.backup_job("nightly");
    let keep = PruneBackups::default().with_last(2u32);
    let how = zstd()
        .with_retention(&keep)
        .with_fleecing(&Fleecing::on("local-lvm"))
        .with_excluded_paths(["/tmp/*", "*.bak"])
        .with_notes_template("x");
    let wanted = BackupJobSettings::at("02:00", &BackupGuests::these([100])).with_options(&how);
    assert_eq!(job.ensure(&wanted).await.unwrap(), Ensured::Created);
    let before = simulator
        .journal()
        .iter()
        .filter(|entry| entry.method != "GET")
        .count();
    assert_eq!(job.ensure(&wanted).await.unwrap(), Ensured::Unchanged);
    let after = simulator
        .journal()
        .iter()
        .filter(|entry| entry.method != "GET")
        .count();
    assert_eq!(before, after);
    let known = job.get().await.unwrap().unwrap();
    assert_eq!(known.guests(), Some(BackupGuests::these([100])));
    assert!(known.retention().unwrap().unwrap().same_meaning(&keep));
    assert_eq!(known.enabled, Some(true));
    let listed = client.backup_jobs().await.unwrap();
    assert_eq!(listed[0].next_run, Some(1_767_225_600 + 2 * 3600));

    // One choice of guests takes the place of another.
    for guests in [
        BackupGuests::all_but([101]),
        BackupGuests::all(),
        BackupGuests::these([100, 101]),
    ] {
        let wanted = BackupJobSettings::new()
            .with_guests(&guests)
            .with_enabled(false);
        assert_ne!(
            job.ensure(&wanted).await.unwrap(),
            Ensured::Unchanged,
            "{guests}"
        );
        assert_eq!(
            job.ensure(&wanted).await.unwrap(),
            Ensured::Unchanged,
            "{guests}"
        );
        assert_eq!(job.get().await.unwrap().unwrap().guests(), Some(guests));
    }
    let never = BackupJobSettings::new().with_schedule("not a schedule");
    let error = job.ensure(&never).await.unwrap_err();
    assert_eq!(
        error.parameters()["schedule"],
        "invalid format - invalid calendar event 'not a schedule' - unable to parse calendar event at 'not' - Context(\"weekday\")\n\n"
    );
    assert_eq!(job.delete().await.unwrap(), Removed::Removed);
    assert_eq!(job.delete().await.unwrap(), Removed::Absent);
    assert!(job.get().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn it_is_told_what_jobs_cover_and_what_no_job_does() {
    let (_simulator, client) = with_guests(&[100, 101, 102]).await;
    let job = client.backup_job("some");
    let guests = BackupGuests::these([100, 101]);
    job.ensure(&BackupJobSettings::at("daily", &guests))
        .await
        .unwrap();
    let open = client.guests_not_backed_up().await.unwrap();
    assert_eq!(
        open.iter().map(|guest| guest.vmid).collect::<Vec<_>>(),
        [102]
    );
    let covered = job.included().await.unwrap();
    assert_eq!(covered.len(), 2);
    let volumes = covered[0].volumes.as_ref().unwrap();
    let told: Vec<_> = volumes
        .iter()
        .map(|volume| {
            (
                volume.id.as_str(),
                volume.included,
                volume.reason.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("100:scsi0", Some(true), Some("backup=yes")),
            ("100:scsi1", Some(false), Some("backup=no")),
        ]
    );
    // A guest that is removed for good is in no job any more.
    client.node("pve1").qemu(100).delete().await.unwrap();
    assert_eq!(
        job.get().await.unwrap().unwrap().guests(),
        Some(BackupGuests::these([101]))
    );
    client.node("pve1").qemu(101).delete().await.unwrap();
    assert!(
        job.get().await.unwrap().is_none(),
        "a job without guests is none"
    );
}

#[tokio::test(start_paused = true)]
async fn backups_that_do_not_fit_fail() {
    let small = StorageSpec::directory("small", "/small", 1 << 10);
    let (_simulator, client) = at_real_speed(World::lab().with_storage(small));
    let node = client.node("pve1");
    node.create_qemu(100, guest("db")).await.unwrap();
    let error = node
        .back_up(100, &BackupOptions::to("small"))
        .await
        .unwrap_err();
    assert!(
        error.message().contains("No space left on device"),
        "{error}"
    );
    assert!(node.qemu(100).config().await.unwrap().get("lock").is_none());
}
