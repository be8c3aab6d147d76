//! Drills, plans, health and figures.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use restic_wrapper::proof::{
    Drill, Finding, Health, Limits, Metrics, Prices, ReadPlan, Reference, Usage, Verdict,
};
use restic_wrapper::retention::GroupBy;
use restic_wrapper::simulator::Simulator;
use restic_wrapper::{ErrorKind, Location, Repository, Restic, Snapshot, Timestamp};

use crate::real::{noise, restic};

fn now() -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

async fn simulated() -> (Simulator, Repository) {
    let simulator = Simulator::with_clock(now);
    let repository =
        Restic::simulated(&simulator).repository(Location::local("/srv/backup"), "correct horse");
    repository.ensure().await.unwrap();
    simulator.with(|world| {
        for number in 0..50_usize {
            world.write_file(format!("/data/small-{number}"), noise(number));
            world.write_file(format!("/data/large-{number}"), noise(20_000 + number));
        }
    });
    repository.backup(["/data"]).await.unwrap();
    (simulator, repository)
}

#[tokio::test]
async fn a_drill_samples_every_class_of_size_and_compares_with_the_sources() {
    let (simulator, repository) = simulated().await;
    let drill = Drill::new("/scratch", 7, now()).at_most(10, 1 << 20);
    let report = repository.drill(&drill).await.unwrap();
    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.entries.len(), 10);
    assert_eq!(report.files, 100);
    let large = report
        .entries
        .iter()
        .filter(|entry| entry.size >= 20_000)
        .count();
    assert!((3..=7).contains(&large), "{report:?}");
    assert!(
        report
            .entries
            .iter()
            .all(|entry| entry.verdict == Verdict::Same)
    );
    assert_eq!(
        repository.drill(&drill).await.unwrap(),
        report,
        "the seed decides"
    );
    let other = repository
        .drill(&Drill::new("/scratch", 8, now()).at_most(10, 1 << 20))
        .await;
    assert_ne!(other.unwrap().entries, report.entries);
    simulator.with(|world| assert!(!world.path_exists("/scratch"), "the scratch folder is gone"));
}

#[tokio::test]
async fn a_drill_says_which_file_is_lost_and_which_differs() {
    let (simulator, repository) = simulated().await;
    let everything = Drill::new("/scratch", 1, now()).at_most(1000, 1 << 30);
    let id = repository.snapshots().await.unwrap()[0].id.clone();
    simulator.with(|world| assert!(world.damage("local:/srv/backup", &id, "/data/large-3")));
    let report = repository.drill(&everything).await.unwrap();
    assert!(!report.is_good());
    let lost: Vec<_> = report
        .failures()
        .map(|entry| (&*entry.path, entry.verdict))
        .collect();
    assert_eq!(lost, [("/data/large-3", Verdict::Missing)]);
    assert!(
        report
            .complaints
            .iter()
            .any(|line| line.contains("/data/large-3")),
        "{report:?}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["entries"][0]["verdict"], "same");

    let hashes = BTreeMap::from([("/data/small-4".to_owned(), "00".repeat(32))]);
    let report = repository
        .drill(&everything.against(Reference::Hashes(hashes)))
        .await
        .unwrap();
    let wrong: Vec<_> = report
        .entries
        .iter()
        .filter(|entry| entry.verdict == Verdict::Different)
        .collect();
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].path, "/data/small-4");
}

#[tokio::test]
async fn a_drill_of_what_is_not_there_is_an_error() {
    let (_, repository) = simulated().await;
    let drill = Drill::new("/scratch", 1, now());
    let unknown = repository
        .drill(&drill.clone().snapshot("ffffffff"))
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_drill_with_the_real_restic_finds_a_flipped_byte() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = restic
        .repository(
            Location::local(folder.path().join("repository")),
            "correct horse",
        )
        .no_cache();
    repository.ensure().await.unwrap();
    let source = folder.path().join("source [1]");
    std::fs::create_dir(&source).unwrap();
    for number in 0..12_usize {
        std::fs::write(source.join(format!("f*{number}")), noise(1000 * number)).unwrap();
    }
    repository.backup([&source]).await.unwrap();
    let drill = Drill::new(folder.path(), 3, std::time::SystemTime::now()).at_most(8, 1 << 20);
    let report = repository.drill(&drill).await.unwrap();
    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.entries.len(), 8);
    assert!(
        report
            .entries
            .iter()
            .all(|entry| entry.verdict == Verdict::Same),
        "{report:?}"
    );
    assert!(
        std::fs::read_dir(folder.path()).unwrap().all(|entry| {
            !entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with("restic-drill-")
        }),
        "the scratch folder is gone"
    );

    let mut packs = Vec::new();
    for entry in std::fs::read_dir(folder.path().join("repository/data")).unwrap() {
        packs.extend(
            std::fs::read_dir(entry.unwrap().path())
                .unwrap()
                .map(|e| e.unwrap().path()),
        );
    }
    let pack = packs
        .iter()
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(pack).unwrap();
    for at in (100..bytes.len() - 4000).step_by(500) {
        bytes[at] ^= 1;
    }
    std::fs::remove_file(pack).unwrap();
    std::fs::write(pack, bytes).unwrap();
    let report = repository.drill(&drill).await.unwrap();
    assert!(!report.is_good());
    assert!(report.failures().count() >= 1, "{report:?}");
    assert!(!report.complaints.is_empty());
}

#[test]
fn every_part_of_the_packs_has_its_week() {
    let plan = ReadPlan::weekly(5);
    let week = Duration::from_secs(7 * 86_400);
    let parts: Vec<u32> = (0..5)
        .map(|n| plan.part_at(now() + week * n).part)
        .collect();
    let mut sorted = parts.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 2, 3, 4, 5]);
    assert_eq!(plan.part_at(now() + week * 5).part, parts[0]);
    assert_eq!(plan.round(), week * 5);
    assert_eq!(ReadPlan::weekly(0).part_at(UNIX_EPOCH).to_string(), "1/1");
}

fn snapshot(host: &str, time: &str, bytes: u64) -> Snapshot {
    serde_json::from_value(serde_json::json!({
        "time": time, "hostname": host, "paths": ["/data"], "id": format!("{host}{time}"),
        "summary": {"total_bytes_processed": bytes, "data_added": 10, "data_added_packed": 5},
    }))
    .unwrap()
}

#[test]
fn stale_and_shrunken_backups_are_found_by_group() {
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let list = [
        snapshot("a", "2026-11-19T12:00:00Z", 1000),
        snapshot("a", "2026-11-20T11:00:00Z", 100),
        snapshot("b", "2026-11-01T11:00:00Z", 100),
        snapshot("c", "2026-11-20T14:00:00+01:00", 100),
    ];
    let health = Health::of(&list, GroupBy::HOST, &Limits::default(), now);
    let texts: Vec<String> = health.findings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(texts.join("\n"), @r"
    host a: the size went from 1000 to 100 bytes
    host b: the newest snapshot is 457 hours old
    host c: the newest snapshot claims to be of 2026-11-20T14:00:00+01:00
    ");
    assert_eq!((health.snapshots, health.added_30_days), (4, 20));
    let none = Health::of(&[], GroupBy::HOST, &Limits::default(), now);
    assert_eq!(none.findings, [Finding::NoSnapshots]);
}

#[tokio::test]
async fn figures_are_prometheus_text_and_failures_are_figures() {
    let (_, repository) = simulated().await;
    let at: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let mut metrics = Metrics::new("ho\"me");
    metrics.backup(&repository.backup(["/data"]).await, at);
    metrics.backup(&repository.backup(["/nowhere"]).await, at);
    metrics.check(&repository.check().await, at);
    metrics.snapshots(&repository.snapshots().await.unwrap());
    let text: String = metrics
        .to_string()
        .lines()
        .filter(|line| !line.contains("duration"))
        .collect::<Vec<_>>()
        .join("\n");
    insta::assert_snapshot!(text, @r#"
    # HELP restic_backup_attempt_timestamp_seconds When the last backup was tried.
    # TYPE restic_backup_attempt_timestamp_seconds gauge
    restic_backup_attempt_timestamp_seconds{repository="ho\"me"} 1795176000
    # HELP restic_backup_bytes_added Bytes that the last backup added before compression.
    # TYPE restic_backup_bytes_added gauge
    restic_backup_bytes_added{repository="ho\"me"} 0
    # HELP restic_backup_bytes_processed Bytes that the last backup read.
    # TYPE restic_backup_bytes_processed gauge
    restic_backup_bytes_processed{repository="ho\"me"} 1002450
    # HELP restic_backup_success Whether the last backup was complete.
    # TYPE restic_backup_success gauge
    restic_backup_success{repository="ho\"me"} 0
    # HELP restic_backup_unreadable_files Files that the last backup could not read.
    # TYPE restic_backup_unreadable_files gauge
    restic_backup_unreadable_files{repository="ho\"me"} 0
    # HELP restic_check_success Whether the last check found no damage.
    # TYPE restic_check_success gauge
    restic_check_success{repository="ho\"me"} 1
    # HELP restic_check_timestamp_seconds When the last check was made.
    # TYPE restic_check_timestamp_seconds gauge
    restic_check_timestamp_seconds{repository="ho\"me"} 1795176000
    # HELP restic_snapshot_timestamp_seconds When the newest snapshot was made.
    # TYPE restic_snapshot_timestamp_seconds gauge
    restic_snapshot_timestamp_seconds{repository="ho\"me",host="simulated"} 1790000000
    # HELP restic_snapshots How many snapshots there are.
    # TYPE restic_snapshots gauge
    restic_snapshots{repository="ho\"me",host="simulated"} 2
    "#);
}

#[test]
fn a_month_costs_what_is_stored_read_and_asked_for() {
    let usage = Usage::new(500_000_000_000, 20_000_000_000)
        .removed_month(5_000_000_000)
        .read_month(40_000_000_000);
    let prices = Prices::new(0.005, 0.01)
        .minimum_days(30)
        .million_requests(4.0);
    assert_eq!(usage.stored_after(12), 680_000_000_000);
    let cost = usage.cost(&prices, 0);
    assert!((cost.storage - 2.525).abs() < 1e-9, "{cost:?}");
    assert!((cost.reading - 0.4).abs() < 1e-9, "{cost:?}");
    assert!(cost.requests > 0.0 && cost.total() > 2.9, "{cost:?}");
    // What is cheap to store may be dear to read.
    let archive = Prices::new(0.001, 0.1);
    let own_disk = Prices::new(0.002, 0.0);
    let storages = [("bucket", prices), ("archive", archive), ("disk", own_disk)];
    let order = |usage: &Usage, months| -> Vec<&str> {
        let costs = usage.compare(storages, months);
        costs.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(order(&usage, 0), ["disk", "bucket", "archive"]);
    assert_eq!(
        order(&usage.read_month(0), 0),
        ["archive", "disk", "bucket"]
    );
}
