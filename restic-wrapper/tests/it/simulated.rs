//! The public API against the simulated restic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use restic_wrapper::retention::{GroupBy, Policy};
use restic_wrapper::simulator::{Fault, Pace, Simulator};
use restic_wrapper::{
    Bundle, BundleBackup, ErrorKind, Event, InitReport, Location, Repository, Restic, StatsMode,
};

fn stepped() -> (Simulator, Arc<AtomicU64>) {
    let seconds = Arc::new(AtomicU64::new(1_790_000_000));
    let clock = Arc::clone(&seconds);
    let simulator = Simulator::with_clock(move || {
        UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::SeqCst))
    });
    (simulator, seconds)
}

fn repository(simulator: &Simulator) -> Repository {
    Restic::simulated(simulator).repository(Location::local("/srv/backup"), "correct horse")
}

fn bundle(state: &str) -> Bundle {
    Bundle::new("production")
        .file("etcd/snapshot.db", state)
        .file("machines/cp1.yaml", "machine: {}\n")
        .file("secrets.yaml", "token: abc\n")
}

#[tokio::test]
async fn ensure_creates_once_and_then_opens() {
    let simulator = Simulator::new();
    let repository = repository(&simulator);
    assert!(matches!(
        repository.ensure().await.unwrap(),
        InitReport::Created(_)
    ));
    assert_eq!(repository.ensure().await.unwrap(), InitReport::AlreadyThere);
    let other = Restic::simulated(&simulator)
        .repository(Location::local("/srv/backup"), "another password");
    assert_eq!(
        other.ensure().await.unwrap_err().kind(),
        ErrorKind::WrongPassword
    );
    assert_eq!(
        repository.init().await.unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
}

#[tokio::test]
async fn a_bundle_is_backed_up_once_and_proven() {
    let (simulator, clock) = stepped();
    let repository = repository(&simulator);
    repository.ensure().await.unwrap();
    let first = repository
        .backup_bundle(&bundle("one"), "production", &["cluster"])
        .await
        .unwrap();
    assert!(matches!(first, BundleBackup::Created(_)));
    assert_eq!(first.short_id().len(), 8);
    clock.fetch_add(60, Ordering::SeqCst);
    let again = repository
        .backup_bundle(&bundle("one"), "production", &["cluster"])
        .await
        .unwrap();
    assert!(matches!(again, BundleBackup::Unchanged(_)));
    assert_eq!(again.short_id(), first.short_id());
    let changed = repository
        .backup_bundle(&bundle("two"), "production", &["cluster"])
        .await
        .unwrap();
    assert!(matches!(changed, BundleBackup::Created(_)));

    let proof = repository
        .prove_bundle(changed.short_id(), &bundle("two"))
        .await
        .unwrap();
    assert!(proof.is_good());
    assert_eq!(proof.same.len(), 3);
    let proof = repository
        .prove_bundle(changed.short_id(), &bundle("one"))
        .await
        .unwrap();
    assert_eq!(proof.different, ["etcd/snapshot.db"]);

    let snapshots = repository.snapshots().tag("cluster").await.unwrap();
    assert_eq!(snapshots.len(), 2);
    assert_eq!(snapshots[0].hostname, "production");
    let report = repository
        .forget(&Policy::new().last(1))
        .group_by(GroupBy::HOST)
        .await
        .unwrap();
    assert_eq!((report.kept(), report.removed()), (1, 1));
    assert_eq!(report.groups[0].reasons[0].matches, ["last snapshot"]);
    assert_eq!(repository.snapshots().await.unwrap().len(), 1);
    assert!(
        repository
            .check()
            .read_data()
            .await
            .unwrap()
            .hints
            .is_empty()
    );
    let stats = repository.stats().mode(StatsMode::RawData).await.unwrap();
    assert!(stats.total_size > 1000 && stats.snapshots_count == Some(1));
}

#[tokio::test]
async fn damage_is_found_by_check_dump_and_restore() {
    let simulator = Simulator::new();
    let repository = repository(&simulator);
    repository.ensure().await.unwrap();
    let made = repository
        .backup_bundle(&bundle("x"), "h", &[])
        .await
        .unwrap();
    let hit = simulator
        .with(|world| world.damage("local:/srv/backup", made.short_id(), "/production.tar"));
    assert!(hit);
    assert_eq!(
        repository.check().read_data().await.unwrap_err().kind(),
        ErrorKind::Damaged
    );
    assert_eq!(
        repository
            .prove_bundle("latest", &bundle("x"))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Damaged
    );
    assert_eq!(
        repository
            .restore("latest", "/out")
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Damaged
    );
}

#[tokio::test]
async fn files_go_in_and_come_back_at_another_place() {
    let simulator = Simulator::new();
    let repository = repository(&simulator);
    repository.ensure().await.unwrap();
    simulator.with(|world| {
        world.write_file("/etc/app/a.conf", "a");
        world.write_file("/etc/app/sub/b.conf", "b");
    });
    let missing = repository
        .backup(["/etc/app", "/nowhere"])
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::MissingSource);
    assert!(missing.to_string().contains("/nowhere"), "{missing}");
    let report = repository.backup(["/etc/app"]).tag("a,b").await.unwrap();
    assert_eq!(report.summary.counts.files_new, 2);
    repository.restore("latest", "/restored").await.unwrap();
    simulator.with(|world| {
        assert_eq!(
            world.read_file("/restored/etc/app/sub/b.conf"),
            Some(&b"b"[..])
        );
    });
    let ls = repository.ls("latest").await.unwrap();
    assert_eq!((ls.nodes, ls.bytes), (2, 2));
    let found = repository.find("*.conf").await.unwrap();
    assert_eq!(found.len(), 1);
    let paths = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&paths);
    let count = repository
        .find("*.conf")
        .for_each(move |_, file| {
            seen.lock()
                .unwrap()
                .push((file.path.to_string(), file.size))
        })
        .unwrap()
        .await
        .unwrap();
    assert_eq!(count, 2);
    assert_eq!(
        paths.lock().unwrap()[1],
        ("/etc/app/sub/b.conf".to_owned(), Some(1))
    );
}

#[tokio::test]
async fn unreadable_files_make_a_partial_backup_with_its_snapshot() {
    let simulator = Simulator::new();
    let repository = repository(&simulator);
    repository.ensure().await.unwrap();
    simulator.with(|world| {
        world.write_file("/etc/a", "a");
        world.write_file("/etc/shadow", "x");
        world
            .files
            .get_mut(std::path::Path::new("/etc/shadow"))
            .unwrap()
            .unreadable = true;
    });
    let report = repository.backup(["/etc"]).await.unwrap();
    assert!(report.partial && report.snapshot_id.is_some());
    assert_eq!(report.errors[0].item, "/etc/shadow");
    assert!(report.errors[0].reason().contains("permission denied"));
}

#[tokio::test]
async fn a_lock_names_its_holder_and_goes_when_it_is_stale() {
    let (simulator, clock) = stepped();
    let repository = repository(&simulator);
    repository.ensure().await.unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::SeqCst));
    simulator.with(|world| world.add_lock("local:/srv/backup", "other-host", 4711, now));
    clock.fetch_add(90, Ordering::SeqCst);
    let error = repository.backup_bytes("x", "y").await.unwrap_err();
    assert!(error.is_locked() && error.is_retryable());
    let lock = error.locked_by().unwrap();
    assert_eq!(
        (lock.pid, lock.host.as_str(), lock.exclusive),
        (4711, "other-host", true)
    );
    assert_eq!(lock.age, Some(Duration::from_secs(90)));
    repository.unlock().await.unwrap();
    assert!(
        repository.backup_bytes("x", "y").await.is_err(),
        "a live lock is never removed"
    );
    clock.fetch_add(1800, Ordering::SeqCst);
    repository.unlock().await.unwrap();
    repository.backup_bytes("x", "y").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_backup_leaves_neither_lock_nor_snapshot() {
    let start = tokio::time::Instant::now();
    let simulator = Simulator::with_clock(move || {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000) + start.elapsed()
    });
    let repository = repository(&simulator);
    repository.ensure().await.unwrap();
    simulator.with(|world| {
        world.pace = Pace::REALISTIC;
        world.pace.bytes_per_second = 1000;
    });
    let big = vec![7_u8; 2000];
    let mut run = repository.backup_bytes("big", big.clone()).start().unwrap();
    let first = run.next().await;
    assert!(matches!(first, Some(Event::Progress(_))), "{first:?}");
    assert_eq!(
        simulator.with(|world| world.locks("local:/srv/backup").len()),
        1
    );
    let error = run.cancel().await.unwrap_err();
    assert!(error.is_cancelled());
    simulator.with(|world| {
        assert!(world.locks("local:/srv/backup").is_empty());
        assert!(world.snapshot_ids("local:/srv/backup").is_empty());
    });
    let took = tokio::time::Instant::now();
    repository.backup_bytes("big", big).await.unwrap();
    assert!(
        took.elapsed() >= Duration::from_secs(2),
        "the modelled time passes"
    );
}

#[tokio::test]
async fn a_killed_backup_can_be_run_again() {
    let simulator = Simulator::new();
    let repository = repository(&simulator);
    repository.ensure().await.unwrap();
    simulator.on_request(|request| match request.command.as_str() {
        "backup" => Fault::KilledAfter,
        _ => Fault::None,
    });
    let error = repository
        .backup_bundle(&bundle("x"), "h", &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Crashed);
    simulator.clear_faults();
    let again = repository
        .backup_bundle(&bundle("x"), "h", &[])
        .await
        .unwrap();
    assert!(
        matches!(again, BundleBackup::Unchanged(_)),
        "what was done is found"
    );
    simulator.on_request(|_| Fault::Unreachable);
    assert_eq!(
        repository.snapshots().await.unwrap_err().kind(),
        ErrorKind::Network
    );
}

#[tokio::test]
async fn flags_of_newer_versions_are_refused_before_anything_starts() {
    let simulator = Simulator::new();
    simulator.with(|world| world.version = "0.14.0".parse().unwrap());
    let repository = repository(&simulator);
    repository.ensure().await.unwrap();
    let error = repository
        .backup_bytes("x", "y")
        .skip_if_unchanged()
        .no_scan()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        error.message(),
        "--no-scan needs 0.15.0, --skip-if-unchanged needs 0.17.0, but this is restic 0.14.0"
    );
    let commands: Vec<String> = simulator.with(|world| {
        world
            .journal
            .iter()
            .map(|j| j.request.command.clone())
            .collect()
    });
    assert_eq!(commands, ["cat", "init"]);
}

#[tokio::test]
async fn an_unknown_command_is_not_simulated() {
    let simulator = Simulator::new();
    let repository = repository(&simulator);
    repository.ensure().await.unwrap();
    let error = repository.recover().await.unwrap_err();
    assert!(error.message().contains("not simulated"), "{error}");
}

/// Gives some bytes, then an error.
struct Breaks(u8);

impl tokio::io::AsyncRead for Breaks {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        if self.0 == 0 {
            return std::task::Poll::Ready(Err(std::io::Error::other("the database went away")));
        }
        self.0 -= 1;
        buffer.put_slice(b"half of a dump");
        std::task::Poll::Ready(Ok(()))
    }
}

async fn a_broken_input(repository: &Repository) {
    repository.ensure().await.unwrap();
    let error = repository
        .backup_reader("dump.sql", Breaks(3))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "the database went away");
    assert!(
        repository.snapshots().await.unwrap().is_empty(),
        "half a dump is no snapshot"
    );
    assert!(repository.locks().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_input_that_breaks_makes_no_snapshot() {
    a_broken_input(&repository(&Simulator::new())).await;
    let Some(restic) = crate::real::restic().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let location = Location::local(folder.path().join("repository"));
    a_broken_input(&restic.repository(location, "correct horse").no_cache()).await;
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_refreshed_meanwhile_is_not_removed() {
    let start = tokio::time::Instant::now();
    let simulator = Simulator::with_clock(move || {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000) + start.elapsed()
    });
    let repository = repository(&simulator);
    repository.ensure().await.unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
    simulator.with(|world| world.add_lock("local:/srv/backup", "asleep", 7, old));
    let world = simulator.clone();
    let waiting = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_060);
        world.with(|world| world.add_lock("local:/srv/backup", "asleep", 7, now));
    });
    let error = repository
        .unlock_after(Duration::from_secs(360))
        .await
        .unwrap_err();
    waiting.await.unwrap();
    assert!(
        error.is_locked() && error.to_string().contains("asleep"),
        "{error}"
    );
    assert_eq!(
        simulator.with(|world| world.locks("local:/srv/backup").len()),
        2
    );
    tokio::time::sleep(Duration::from_secs(3600)).await;
    repository
        .unlock_after(Duration::from_secs(360))
        .await
        .unwrap();
    assert!(simulator.with(|world| world.locks("local:/srv/backup").is_empty()));
}
