//! Backup jobs that run when their time comes.

use std::time::Duration;

use proxmox_client::property::PruneBackups;
use proxmox_client::simulator::{Clock, Simulator, World};
use proxmox_client::{
    BackupGuests, BackupJobSettings, BackupOptions, Client, Compression, LxcConfig, QemuConfig,
    Removed,
};

use crate::laboratory::three_nodes;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Guests on the first two nodes, under a clock that stands at midnight.
fn lab() -> (Simulator, Client) {
    let disk = |id: u32| format!("local-lvm:vm-{id}-disk-0,size=1G");
    let machine = |id: u32| QemuConfig::new().with("scsi0", disk(id));
    let world = three_nodes()
        .with_guest("pve1", 100, &machine(100))
        .with_guest("pve2", 101, &machine(101))
        .with_container("pve1", 200, &LxcConfig::new().with("rootfs", disk(200)));
    let clock = Clock::stepped(world.now());
    let simulator = Simulator::with_clock(world, clock);
    let client = simulator.connect();
    (simulator, client)
}

fn options() -> BackupOptions {
    let keep = PruneBackups::default().with_last(2u32);
    BackupOptions::to("local")
        .with_compression(Compression::Zstd)
        .with_retention(&keep)
}

fn nightly(guests: &BackupGuests) -> BackupJobSettings {
    BackupJobSettings::at("02:00", guests).with_options(&options())
}

fn pass(simulator: &Simulator, time: Duration) {
    simulator.clock().advance(time);
    simulator.with(|_| ());
}

/// The backup tasks so far: node, guest, and how many seconds after midnight they began.
fn runs(simulator: &Simulator) -> Vec<(String, String, u64)> {
    simulator.with(|world| {
        let midnight = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let tasks = world.tasks().filter(|(upid, ..)| upid.contains(":vzdump:"));
        tasks
            .map(|(upid, at, _)| {
                let upid: proxmox_client::Upid = upid.parse().unwrap();
                assert_eq!(upid.user(), "root@pam");
                let at = at.duration_since(midnight).unwrap().as_secs();
                (
                    upid.node().to_owned(),
                    upid.id().unwrap_or_default().to_owned(),
                    at,
                )
            })
            .collect()
    })
}

fn run(node: &str, guest: &str, at: Duration) -> (String, String, u64) {
    (node.to_owned(), guest.to_owned(), at.as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_on_every_node_that_has_guests_of_it_when_its_time_comes() {
    let (simulator, client) = lab();
    let job = client.backup_job("nightly");
    let guests = BackupGuests::these([100, 101]);
    job.ensure(&nightly(&guests)).await.unwrap();
    pass(&simulator, 2 * HOUR - MINUTE);
    assert!(runs(&simulator).is_empty());
    pass(&simulator, 2 * MINUTE);
    let first = [run("pve1", "100", 2 * HOUR), run("pve2", "101", 2 * HOUR)];
    assert_eq!(runs(&simulator), first);
    pass(&simulator, HOUR);
    let local = client.node("pve1").storage("local");
    assert_eq!(local.backups(Some(100)).await.unwrap().len(), 1);
    pass(&simulator, 3 * DAY);
    assert_eq!(runs(&simulator).len(), 8);
    let left = local.backups(Some(100)).await.unwrap();
    assert_eq!(left.len(), 2, "as many as the rules keep");
    assert_eq!(left[1].created_at, Some(1_767_225_600 + 3 * 86_400 + 7200));
    let upid = simulator.with(|world| {
        let tasks = world.tasks().filter(|(upid, ..)| upid.contains(":vzdump:"));
        tasks.last().map(|(upid, ..)| upid.to_owned()).unwrap()
    });
    let log = client.task(upid.parse().unwrap()).log().await.unwrap();
    let command = &log[0].text;
    assert!(
        command.starts_with("INFO: starting new backup job: vzdump 100 101 --"),
        "{command}"
    );
    for part in [" --job-id nightly", " --quiet 1", " --storage local"] {
        assert!(command.contains(part), "{command}");
    }
    assert!(!command.contains("schedule") && !command.contains("enabled"));
    assert_eq!(job.delete().await.unwrap(), Removed::Removed);
    pass(&simulator, 2 * DAY);
    assert_eq!(runs(&simulator).len(), 8, "a job that is gone runs no more");
}

#[tokio::test(start_paused = true)]
async fn containers_are_backed_up_by_jobs_as_machines_are() {
    let (simulator, client) = lab();
    let job = client.backup_job("all");
    job.ensure(&nightly(&BackupGuests::all())).await.unwrap();
    pass(&simulator, 3 * HOUR);
    // A node without guests has a task all the same.
    assert_eq!(
        runs(&simulator),
        [
            run("pve1", "", 2 * HOUR),
            run("pve2", "101", 2 * HOUR),
            run("pve3", "", 2 * HOUR)
        ]
    );
    let local = client.node("pve1").storage("local");
    let kinds: Vec<String> = local
        .backups(None)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|backup| backup.subtype)
        .collect();
    assert_eq!(kinds, ["lxc", "qemu", "qemu"]);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_counts_from_its_last_change() {
    let (simulator, client) = lab();
    let job = client.backup_job("nightly");
    let guests = BackupGuests::these([100]);
    let off = nightly(&guests).with_enabled(false);
    job.ensure(&off).await.unwrap();
    pass(&simulator, 3 * HOUR);
    assert!(runs(&simulator).is_empty(), "it is off");
    job.ensure(&off.with_enabled(true)).await.unwrap();
    pass(&simulator, HOUR);
    assert!(runs(&simulator).is_empty(), "02:00 is over for today");
    let later = BackupJobSettings::new().with_schedule("04:30");
    job.ensure(&later).await.unwrap();
    pass(&simulator, HOUR);
    assert_eq!(
        runs(&simulator),
        [run("pve1", "100", 4 * HOUR + 30 * MINUTE)]
    );
    let listed = client.backup_jobs().await.unwrap();
    let tomorrow = 1_767_225_600 + 86_400 + 4 * 3600 + 1800;
    assert_eq!(listed[0].next_run, Some(tomorrow));
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_last_run_goes_on_is_not_started_again() {
    let (simulator, client) = lab();
    simulator.with(|world| world.durations_mut().copy_speed = 20 << 10);
    let job = client.backup_job("often");
    let often = BackupJobSettings::at("*:0/1", &BackupGuests::these([100]))
        .with_options(&options().with_retention(&PruneBackups::everything()));
    job.ensure(&often).await.unwrap();
    // The disk of 1 GiB needs 52,429 seconds.
    pass(&simulator, 10 * HOUR);
    assert_eq!(runs(&simulator), [run("pve1", "100", MINUTE)]);
    pass(&simulator, 5 * HOUR);
    let second = runs(&simulator)[1].2;
    assert_eq!(runs(&simulator).len(), 2);
    assert_eq!(second % 60, 0, "the next minute after the first ended");
    assert!((52_429..52_429 + 180).contains(&second), "{second}");
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_scheduler_missed_is_made_up_for_by_jobs_that_say_so() {
    let (simulator, client) = lab();
    let guests = BackupGuests::these([100]);
    client
        .backup_job("lost")
        .ensure(&nightly(&guests))
        .await
        .unwrap();
    let repeats = nightly(&BackupGuests::these([200])).with_repeat_missed(true);
    client.backup_job("kept").ensure(&repeats).await.unwrap();
    let services = client.node("pve1");
    let scheduler = services.service("pvescheduler");
    scheduler.stop().submit().await.unwrap();
    pass(&simulator, 5 * HOUR);
    assert!(runs(&simulator).is_empty());
    scheduler.start().submit().await.unwrap();
    pass(&simulator, HOUR);
    let made_up = runs(&simulator);
    assert_eq!(made_up.len(), 1, "{made_up:?}");
    assert_eq!(made_up[0].1, "200");
    assert!(made_up[0].2 < 5 * 3600 + 60, "at once");
    pass(&simulator, DAY);
    assert_eq!(runs(&simulator).len(), 3, "both run as before");
}

#[tokio::test(start_paused = true)]
async fn a_world_that_takes_over_jobs_runs_them() {
    let (simulator, client) = lab();
    let guests = BackupGuests::these([100]);
    let job = client.backup_job("nightly");
    job.ensure(&nightly(&guests)).await.unwrap();
    let config = QemuConfig::new().with("scsi0", "local-lvm:vm-100-disk-0,size=1G");
    let world = World::lab().with_guest("pve1", 100, &config);
    let world = world.with_cluster_files_of(&simulator.snapshot());
    let clock = Clock::stepped(world.now());
    let twin = Simulator::with_clock(world, clock);
    pass(&twin, 3 * HOUR);
    assert_eq!(runs(&twin), [run("pve1", "100", 2 * HOUR)]);
}
