//! The public API against the real restic, on a local folder. Says so and ends if none is installed.

use restic_wrapper::retention::Policy;
use restic_wrapper::{
    Bundle, BundleBackup, ErrorKind, Event, InitReport, Location, Repository, Restic,
};

async fn restic() -> Option<Restic> {
    match Restic::find().await {
        Ok(restic) => Some(restic),
        Err(error) => {
            eprintln!("absent: restic ({error})");
            None
        }
    }
}

fn repository(restic: &Restic, folder: &std::path::Path) -> Repository {
    restic
        .repository(Location::local(folder.join("repository")), "correct horse")
        .cache_dir(folder.join("cache"))
}

#[tokio::test]
async fn the_whole_round_on_a_folder() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("one"), "1").unwrap();
    std::fs::write(source.join("two"), vec![2; 3_000_000]).unwrap();
    let repository = repository(&restic, folder.path());
    assert_eq!(
        repository.config().await.unwrap_err().kind(),
        ErrorKind::NoRepository
    );
    assert!(matches!(
        repository.ensure().await.unwrap(),
        InitReport::Created(_)
    ));
    assert_eq!(repository.ensure().await.unwrap(), InitReport::AlreadyThere);
    let wrong = restic
        .repository(repository.location().clone(), "wrong")
        .no_cache();
    assert_eq!(
        wrong.config().await.unwrap_err().kind(),
        ErrorKind::WrongPassword
    );

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
    std::fs::write(source.join("one"), "changed").unwrap();
    let second = repository
        .backup([&source])
        .tag("t2")
        .host("h1")
        .await
        .unwrap();
    assert_eq!(second.summary.counts.files_changed, 1);

    let snapshots = repository.snapshots().await.unwrap();
    assert_eq!(snapshots.len(), 2);
    assert_eq!(snapshots[1].parent.as_ref(), Some(&snapshots[0].id));
    let diff = repository
        .diff(&snapshots[0].id, &snapshots[1].id)
        .await
        .unwrap();
    assert_eq!(diff.statistics.changed_files, 1);
    assert_eq!(diff.changes.len(), 1);
    let ls = repository.ls("latest").await.unwrap();
    assert!(ls.nodes >= 2);
    assert_eq!(ls.bytes, 3_000_007);
    assert_eq!(repository.find("tw*").await.unwrap().len(), 2);
    let stats = repository.stats().await.unwrap();
    assert_eq!(stats.snapshots_count, Some(2));
    repository.check().read_data().await.unwrap();
    let forgotten = repository
        .forget(&Policy::new().last(1))
        .prune()
        .await
        .unwrap();
    assert_eq!((forgotten.kept(), forgotten.removed()), (1, 1));
    assert!(forgotten.prune.is_some());
    let target = folder.path().join("restored");
    repository.restore("latest", &target).await.unwrap();
    let below = target.join(source.strip_prefix("/").unwrap());
    assert_eq!(std::fs::read(below.join("one")).unwrap(), b"changed");
    assert_eq!(repository.keys().await.unwrap().len(), 1);
    assert!(repository.locks().await.unwrap().is_empty());
    let missing = repository.ls("00000000").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing:?}");
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
