//! What happens to processes: signals, pipes, secrets. With a real restic where one is installed.

use std::time::{Duration, Instant};

use restic_wrapper::{ErrorKind, Event, Location, Repository, Restic, Version};

use crate::real::{noise, restic};

fn repository(restic: &Restic, folder: &std::path::Path) -> Repository {
    restic
        .repository(
            Location::local(folder.join("repository")),
            "correct horse battery",
        )
        .cache_dir(folder.join("cache"))
}

/// Files that restic writes under another name first.
fn temporary_files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains("-tmp-") {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test]
async fn a_backup_cancelled_at_any_moment_leaves_no_lock_and_the_next_one_succeeds() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::write(&source, noise(20_000_000)).unwrap();
    let scratch = folder.path().join("tmp");
    std::fs::create_dir(&scratch).unwrap();
    let location = Location::local(folder.path().join("repository"));
    let repository = restic
        .repository(location.env("TMPDIR", &scratch), "correct horse battery")
        .cache_dir(folder.path().join("cache"));
    repository.ensure().await.unwrap();
    let slow = repository.clone().limit_upload(24_576);
    let seed = u64::from(std::process::id());
    for round in 0..10_u64 {
        let wait = Duration::from_millis((seed * 7919 + round * 977) % 1200);
        let run = slow.backup([&source]).force().start().unwrap();
        tokio::time::sleep(wait).await;
        match run.cancel().await {
            Ok(_) => {}
            Err(error) => assert!(error.is_cancelled(), "after {wait:?}: {error:?}"),
        }
        let locks = std::fs::read_dir(folder.path().join("repository/locks"));
        assert_eq!(locks.unwrap().count(), 0, "after {wait:?}");
        let left = std::fs::read_dir(&scratch).unwrap().count();
        assert_eq!(left, 0, "after {wait:?}");
        // 0.14 leaves a file that it was about to rename in every second case; later versions do not.
        if restic.version() >= Version::new(0, 18, 0) {
            let left = temporary_files(&folder.path().join("repository"));
            assert!(left.is_empty(), "after {wait:?}: {left:?}");
        }
    }
    repository.backup([&source]).await.unwrap();
    repository.check().read_data().await.unwrap();
}

#[tokio::test]
async fn dropping_the_future_stops_the_process_and_its_group() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(&restic, folder.path());
    repository.ensure().await.unwrap();
    let (reader, _writer) = tokio::io::duplex(64);
    let run = repository.backup_reader("slow", reader).start().unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{}", run.pid()));
    assert!(process.exists());
    let dropped = tokio::time::timeout(Duration::from_millis(800), run).await;
    assert!(dropped.is_err(), "it waits for its input");
    let started = Instant::now();
    while process.exists() {
        assert!(
            started.elapsed() < Duration::from_secs(300),
            "the process ends and is reaped"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let started = Instant::now();
    let locks = folder.path().join("repository/locks");
    while std::fs::read_dir(&locks).unwrap().count() > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(300),
            "its lock goes"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_password_is_in_no_argument_no_environment_and_no_message() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(&restic, folder.path());
    repository.ensure().await.unwrap();
    let (reader, mut writer) = tokio::io::duplex(64);
    tokio::io::AsyncWriteExt::write_all(&mut writer, b"content")
        .await
        .unwrap();
    let run = repository.backup_reader("slow", reader).start().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let read = |name: &str| std::fs::read(format!("/proc/{}/{name}", run.pid())).unwrap();
    for name in ["cmdline", "environ"] {
        let text = String::from_utf8_lossy(&read(name)).into_owned();
        assert!(
            text.contains("restic") || text.contains("RESTIC"),
            "{name}: {text:?}"
        );
        assert!(!text.contains("correct horse"), "{name}");
    }
    assert!(!format!("{repository:?} {run:?}").contains("correct horse"));
    drop(writer);
    run.await.unwrap();
    let url = Location::rest("http://anna:s3cr3t-w0rd@127.0.0.1:9/r/");
    assert!(!format!("{url} {url:?}").contains("s3cr3t"));
    let unreachable = restic
        .repository(
            Location::parse("rest:http://anna@127.0.0.1:9/r/"),
            "correct horse battery",
        )
        .timeout(Duration::from_secs(4))
        .no_cache();
    let error = unreachable.config().await.unwrap_err();
    let all = format!("{error} {error:?}");
    assert!(!all.contains("correct horse"), "{all}");
    assert!(
        matches!(error.kind(), ErrorKind::Network | ErrorKind::TimedOut),
        "{all}"
    );
}

#[tokio::test]
async fn nobody_has_to_read_the_messages() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    for number in 0..6000 {
        std::fs::write(source.join(format!("file-{number}")), number.to_string()).unwrap();
    }
    let repository = repository(&restic, folder.path());
    repository.ensure().await.unwrap();
    let mut run = repository.backup([&source]).verbose().start().unwrap();
    // More messages than wait come while nobody looks; the command ends all the same.
    let process = format!("/proc/{}", run.pid());
    let started = Instant::now();
    while std::path::Path::new(&process).exists() {
        assert!(
            started.elapsed() < Duration::from_secs(300),
            "it is not blocked"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let first = run.next().await;
    assert!(
        matches!(first, Some(Event::Missed(missed)) if missed > 1000),
        "{first:?}"
    );
    let report = run.await.unwrap();
    assert_eq!(report.summary.counts.files_new, 6000);
}
