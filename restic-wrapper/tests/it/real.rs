//! The public API against the real restic. Says so and ends if none is installed; `RESTIC` names another program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use restic_wrapper::retention::{GroupBy, Policy};
use restic_wrapper::{
    Bundle, BundleBackup, ErrorKind, Event, InitReport, Location, PasswordBy, Repository, Restic,
    StatsMode, Version,
};

/// The restic to test with, or a line that says that there is none.
pub(crate) async fn restic() -> Option<Restic> {
    match Restic::find().await {
        Ok(restic) => Some(restic),
        Err(error) => {
            eprintln!("absent: restic ({error})");
            None
        }
    }
}

fn repository(restic: &Restic, folder: &Path) -> Repository {
    restic
        .repository(Location::local(folder.join("repository")), "correct horse")
        .cache_dir(folder.join("cache"))
}

fn source(folder: &Path) -> PathBuf {
    let source = folder.join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("one"), "1").unwrap();
    std::fs::write(source.join("two"), noise(3_000_000)).unwrap();
    source
}

/// Bytes that do not compress, the same every time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Everything that a user does in a repository's life, with every answer looked at.
pub(crate) async fn whole_round(repository: &Repository, second: &Repository, folder: &Path) {
    let source = source(folder);
    assert_eq!(
        repository.config().await.unwrap_err().kind(),
        ErrorKind::NoRepository
    );
    assert!(matches!(
        repository.ensure().await.unwrap(),
        InitReport::Created(_)
    ));
    assert_eq!(repository.ensure().await.unwrap(), InitReport::AlreadyThere);
    let twice = repository.init().await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::AlreadyExists, "{twice:?}");

    let mut run = repository
        .backup([&source])
        .tag("t1")
        .host("h1")
        .start()
        .unwrap();
    let mut events = Vec::new();
    while let Some(event) = run.next().await {
        events.push(event);
    }
    let first = run.await.unwrap();
    assert!(
        events.iter().any(|e| matches!(e, Event::BackupSummary(_))),
        "{events:?}"
    );
    assert_eq!(first.summary.counts.files_new, 2);
    assert!(!first.partial);
    std::fs::write(source.join("one"), "changed").unwrap();
    let again = repository
        .backup([&source])
        .tag("t2")
        .host("h1")
        .await
        .unwrap();
    assert_eq!(again.summary.counts.files_changed, 1);

    let snapshots = repository.snapshots().await.unwrap();
    assert_eq!(snapshots.len(), 2);
    assert_eq!(snapshots[1].parent.as_ref(), Some(&snapshots[0].id));
    assert_eq!(repository.snapshots().tag("t1").await.unwrap().len(), 1);
    assert_eq!(
        repository.snapshots().latest(1).await.unwrap()[0].id,
        snapshots[1].id
    );
    let groups = repository
        .snapshots()
        .group_by(GroupBy::HOST)
        .await
        .unwrap();
    assert_eq!((groups.len(), groups[0].snapshots.len()), (1, 2));
    let diff = repository
        .diff(&snapshots[0].id, &snapshots[1].id)
        .await
        .unwrap();
    assert_eq!(diff.statistics.changed_files, 1);
    assert_eq!(diff.changes.len(), 1);
    assert_eq!(diff.changes[0].modifier, "M");
    let ls = repository.ls("latest").await.unwrap();
    assert_eq!(ls.bytes, 3_000_007);
    assert_eq!(ls.snapshot.unwrap().id, snapshots[1].id);
    assert_eq!(repository.find("tw*").await.unwrap().len(), 2);
    assert!(repository.find("nothing-like-it").await.unwrap().is_empty());
    let stats = repository.stats().mode(StatsMode::RawData).await.unwrap();
    assert!(stats.total_size > 3_000_000);
    let checked = repository.check().read_data().await.unwrap();
    // What rclone says about its own configuration comes on the same stream.
    let hints: Vec<_> = checked
        .hints
        .iter()
        .filter(|hint| !hint.contains("NOTICE"))
        .collect();
    assert!(hints.is_empty(), "{checked:?}");

    second.init().copy_chunker_params(repository).await.unwrap();
    assert!(second.same_chunker(repository).await.unwrap());
    let copied = second.copy_from(repository).await.unwrap();
    assert_eq!(
        copied.snapshots.iter().filter(|it| it.to.is_some()).count(),
        2,
        "{copied:?}"
    );
    assert_eq!(second.snapshots().await.unwrap().len(), 2);

    let policy = Policy::new().last(1);
    let planned = repository.forget(&policy).dry_run().await.unwrap();
    assert_eq!((planned.kept(), planned.removed()), (1, 1));
    assert_eq!(repository.snapshots().await.unwrap().len(), 2);
    let forgotten = repository.forget(&policy).prune().await.unwrap();
    assert_eq!((forgotten.kept(), forgotten.removed()), (1, 1));
    // 0.19 prunes here without a word.
    if repository.restic().version() < Version::new(0, 19, 0) {
        let freed = forgotten.prune.expect("a prune").bytes;
        assert!(freed.contains_key("remove_total"), "{freed:?}");
    }
    let pruned = repository.prune().await.unwrap().summary.expect("a table");
    assert_eq!(pruned.blobs["remove_total"], 0, "{pruned:?}");

    let target = folder.join("restored");
    repository
        .restore("latest", &target)
        .verify()
        .await
        .unwrap();
    let below = target.join(source.strip_prefix("/").unwrap());
    assert_eq!(std::fs::read(below.join("one")).unwrap(), b"changed");
    assert_eq!(std::fs::read(below.join("two")).unwrap(), noise(3_000_000));
    assert!(repository.locks().await.unwrap().is_empty());
    assert_eq!(
        repository.ls("00000000").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let gone = repository.stats().ids(["00000000"]).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let no_path = repository
        .dump("latest", "/nowhere", tokio::io::sink())
        .await
        .unwrap_err();
    assert_eq!(no_path.kind(), ErrorKind::NotFound, "{no_path:?}");
}

#[tokio::test]
async fn the_whole_round_on_a_folder() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(&restic, folder.path());
    let second = restic
        .repository(
            Location::local(folder.path().join("second")),
            "another password",
        )
        .no_cache();
    whole_round(&repository, &second, folder.path()).await;
    let wrong = restic
        .repository(repository.location().clone(), "wrong")
        .no_cache();
    assert_eq!(
        wrong.config().await.unwrap_err().kind(),
        ErrorKind::WrongPassword
    );
}

#[tokio::test]
async fn passwords_are_added_changed_and_removed() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(&restic, folder.path());
    repository.init().await.unwrap();
    repository.add_key("second word").await.unwrap();
    let second = restic
        .repository(repository.location().clone(), "second word")
        .no_cache();
    let keys = second
        .password_by(PasswordBy::Environment)
        .keys()
        .await
        .unwrap();
    assert_eq!(keys.len(), 2);
    repository.change_password("third word").await.unwrap();
    assert_eq!(
        repository.config().await.unwrap_err().kind(),
        ErrorKind::WrongPassword
    );
    let third = restic
        .repository(repository.location().clone(), "third word")
        .no_cache();
    let current = third
        .keys()
        .await
        .unwrap()
        .into_iter()
        .find(|key| key.current)
        .unwrap();
    assert!(!current.id.is_empty());
    let copy = restic
        .repository(Location::local(folder.path().join("copy")), "copy")
        .no_cache();
    let hinted = third.clone().key_hint(&current.id);
    copy.init().copy_chunker_params(&hinted).await.unwrap();
    copy.copy_from(&hinted).await.unwrap();
    let opened = third.drop_password().await;
    if restic.version() < Version::new(0, 17, 0) {
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::Unsupported);
        return;
    }
    opened.unwrap();
    let open = restic
        .repository_without_password(repository.location().clone())
        .no_cache();
    assert_eq!(open.keys().await.unwrap().len(), 2);
    open.add_key_without_password()
        .user("nobody")
        .await
        .unwrap();
    assert_eq!(open.keys().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_bundle_is_backed_up_once_and_proven() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(&restic, folder.path());
    repository.ensure().await.unwrap();
    let bundle = Bundle::new("production")
        .file("etcd/snapshot.db", vec![9; 200_000])
        .file("secrets.yaml", "token: abc\n");
    let first = repository
        .backup_bundle(&bundle, "production", &["cluster"])
        .await
        .unwrap();
    let again = repository
        .backup_bundle(&bundle, "production", &["cluster"])
        .await
        .unwrap();
    assert!(matches!(again, BundleBackup::Unchanged(_)));
    assert_eq!(again.short_id(), first.short_id());
    let proof = repository
        .prove_bundle(first.short_id(), &bundle)
        .await
        .unwrap();
    assert!(proof.is_good() && proof.same.len() == 2, "{proof:?}");
}

#[tokio::test]
async fn paths_may_hold_any_bytes_and_look_like_flags() {
    use std::os::unix::ffi::OsStrExt;
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(&restic, folder.path());
    repository.ensure().await.unwrap();
    let odd = folder
        .path()
        .join(std::ffi::OsStr::from_bytes(b"bad\xffname"));
    std::fs::write(&odd, "odd").unwrap();
    std::fs::write(folder.path().join("--json"), "flag").unwrap();
    let report = repository
        .backup([odd.as_path(), Path::new("--json")])
        .directory(folder.path())
        .await
        .unwrap();
    assert_eq!(report.summary.counts.files_new, 2);
    let target = folder.path().join("out");
    repository.restore("latest", &target).await.unwrap();
    let back = target.join(odd.strip_prefix("/").unwrap());
    assert_eq!(std::fs::read(back).unwrap(), b"odd");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_makes_a_partial_backup() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(&restic, folder.path());
    repository.ensure().await.unwrap();
    // Root may read every file of a disk, but nobody the beginning of a process's memory.
    let pid = std::process::id();
    let report = repository
        .backup([
            PathBuf::from("/proc/version"),
            PathBuf::from(format!("/proc/{pid}/mem")),
        ])
        .await
        .unwrap();
    assert!(report.partial && report.error_count >= 1, "{report:?}");
    assert!(report.snapshot_id.is_some());
}

#[tokio::test]
async fn the_second_writer_learns_who_holds_the_lock() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(&restic, folder.path());
    repository.ensure().await.unwrap();
    let (reader, mut writer) = tokio::io::duplex(1024);
    let mut first = repository.backup_reader("slow", reader).start().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut writer, b"beginning")
        .await
        .unwrap();
    let mut waited = 0;
    while repository.locks().await.unwrap().is_empty() {
        waited += 1;
        assert!(waited < 60, "the first writer takes its lock");
    }
    // A prune excludes everybody, so it cannot start beside a backup.
    let error = repository.prune().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    let holder = error.locked_by().expect("restic names the holder");
    assert_eq!(holder.pid, first.pid());
    let (_, lock) = repository.locks().await.unwrap().pop().expect("the lock");
    assert_eq!(lock.pid, first.pid());
    repository.unlock().await.unwrap();
    assert_eq!(
        repository.locks().await.unwrap().len(),
        1,
        "a live lock stays"
    );
    drop(writer);
    while first.next().await.is_some() {}
    first.await.unwrap();
    repository.prune().await.unwrap();
}

#[tokio::test]
async fn damage_is_found_and_the_pack_is_named() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path());
    let repository = repository(&restic, folder.path());
    repository.ensure().await.unwrap();
    repository.backup([&source]).await.unwrap();
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
    bytes[1000] ^= 1;
    let mut permissions = pack.metadata().unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false, reason = "a file of this test")]
    permissions.set_readonly(false);
    std::fs::set_permissions(pack, permissions).unwrap();
    std::fs::write(pack, bytes).unwrap();
    let name = pack.file_name().unwrap().to_string_lossy().into_owned();
    let error = repository.check().read_data().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(
        error.details().iter().any(|line| line.contains(&name)),
        "{error:?}"
    );
    let error = repository
        .restore("latest", folder.path().join("out"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
    assert!(
        error.details().iter().any(|line| line.contains("/two")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_limit_of_time_stops_the_command() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(&restic, folder.path());
    repository.ensure().await.unwrap();
    let (reader, _writer) = tokio::io::duplex(64);
    let error = repository
        .clone()
        .timeout(Duration::from_millis(1500))
        .backup_reader("never-ends", reader)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(repository.locks().await.unwrap().is_empty());
}

#[tokio::test]
async fn flags_that_the_installed_version_lacks_are_refused_with_its_version() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(&restic, folder.path());
    let error = repository.backup([folder.path()]).skip_if_unchanged().await;
    if restic.version() < Version::new(0, 17, 0) {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("0.17.0"), "{error}");
    } else {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NoRepository);
    }
    assert!(
        restic
            .options()
            .await
            .unwrap()
            .iter()
            .any(|option| option.name == "s3.region")
    );
}
