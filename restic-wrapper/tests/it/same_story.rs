//! The simulated restic against the real one: the same story on both, told in the same words.

use std::path::Path;

use restic_wrapper::retention::{GroupBy, Policy};
use restic_wrapper::simulator::Simulator;
use restic_wrapper::{Error, Found, Location, Repository, StatsMode, Version};

use crate::real::restic;

/// Where the files of the story lie: on a disk, or in the simulated machine.
trait Machine {
    fn write(&self, path: &Path, content: &str);
    fn read(&self, path: &Path) -> Option<Vec<u8>>;
}

struct Disk;

impl Machine for Disk {
    fn write(&self, path: &Path, content: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        std::fs::read(path).ok()
    }
}

impl Machine for Simulator {
    fn write(&self, path: &Path, content: &str) {
        self.with(|world| world.write_file(path, content));
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.with(|world| world.read_file(path).map(<[u8]>::to_vec))
    }
}

fn failure<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let error = result.unwrap_err();
    format!("{:?} with code {:?}", error.kind(), error.exit_code())
}

async fn story(repository: &Repository, machine: &dyn Machine, folder: &Path) -> Vec<String> {
    let mut told = Vec::new();
    let source = folder.join("source");
    macro_rules! tell {
        ($($it:tt)*) => { told.push(format!($($it)*)) };
    }
    tell!("no repository: {}", failure(repository.config().await));
    tell!("created: {:?}", repository.init().await.is_ok());
    tell!("twice: {}", failure(repository.init().await));
    let wrong = repository
        .restic()
        .repository(repository.location().clone(), "wrong")
        .no_cache();
    tell!("wrong password: {}", failure(wrong.snapshots().await));
    tell!("empty: {:?}", repository.snapshots().await.unwrap());

    machine.write(&source.join("one"), "1");
    machine.write(&source.join("two"), "22");
    let first = repository
        .backup([&source])
        .host("h")
        .tag("a,b")
        .await
        .unwrap();
    let counts = |report: &restic_wrapper::BackupReport| {
        let c = report.summary.counts;
        (
            c.files_new,
            c.files_changed,
            c.files_unmodified,
            c.total_files_processed,
            c.total_bytes_processed,
        )
    };
    tell!("first: {:?}", counts(&first));
    machine.write(&source.join("one"), "changed");
    machine.write(&source.join("three"), "333");
    let second = repository
        .backup([&source])
        .host("h")
        .tag("b")
        .await
        .unwrap();
    tell!("second: {:?}", counts(&second));
    let dry = repository
        .backup([&source])
        .host("h")
        .dry_run()
        .await
        .unwrap();
    tell!("dry: {:?}", dry.snapshot_id);
    let stdin = repository
        .backup_bytes("dump.sql", "select 1")
        .host("db")
        .await
        .unwrap();
    tell!("stdin: {:?}", counts(&stdin));

    let snapshots = repository.snapshots().await.unwrap();
    for it in &snapshots {
        tell!(
            "snapshot: {} {:?} {:?} parent {}",
            it.hostname,
            it.paths,
            it.tags,
            it.parent.is_some()
        );
    }
    tell!(
        "parent: {}",
        snapshots[1].parent.as_ref() == Some(&snapshots[0].id)
    );
    tell!(
        "by tag: {}",
        repository.snapshots().tag("a").await.unwrap().len()
    );
    tell!(
        "by host: {}",
        repository.snapshots().host("db").await.unwrap().len()
    );
    tell!(
        "latest: {}",
        repository.snapshots().latest(1).await.unwrap().len()
    );
    // Groups come in any order.
    let mut groups = repository
        .snapshots()
        .group_by(GroupBy::HOST)
        .await
        .unwrap();
    groups.sort_by_key(|group| group.group_key.hostname.clone());
    for group in groups {
        tell!(
            "group: {:?} {}",
            group.group_key.hostname,
            group.snapshots.len()
        );
    }
    let (a, b) = (&snapshots[0].id, &snapshots[1].id);
    let files = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&files);
    repository
        .ls(b)
        .for_each(move |node| {
            if node.is_file() {
                seen.lock()
                    .unwrap()
                    .push(format!("{} {:?}", node.path, node.size));
            }
        })
        .unwrap()
        .await
        .unwrap();
    tell!("ls: {:?}", files.lock().unwrap());
    // 0.14 ends this with 0.
    tell!(
        "ls of nothing: {:?}",
        repository.ls("ffffffff").await.unwrap_err().kind()
    );
    for found in repository.find("tw*").await.unwrap() {
        if let Found::Files(files) = found {
            let paths: Vec<_> = files.matches.iter().map(|it| &it.path).collect();
            tell!("found: {} {paths:?}", files.hits);
        }
    }
    let count = repository
        .find("tw*")
        .for_each(|_, _| {})
        .unwrap()
        .await
        .unwrap();
    tell!("found by reference: {count}");
    let diff = repository.diff(a, b).await.unwrap();
    for change in &diff.changes {
        tell!("diff: {} {}", change.modifier, change.path);
    }
    tell!(
        "diff: {} {}",
        diff.statistics.changed_files,
        diff.statistics.added.files
    );
    let stats = repository
        .stats()
        .mode(StatsMode::RestoreSize)
        .ids([b])
        .await
        .unwrap();
    tell!("stats: {} {:?}", stats.total_size, stats.snapshots_count);
    tell!(
        "stats of nothing: {}",
        failure(repository.stats().ids(["ffffffff"]).await).contains("NotFound")
    );
    tell!(
        "check: {:?}",
        repository.check().read_data().await.unwrap().hints
    );

    repository.restore(b, folder.join("out")).await.unwrap();
    let back = folder
        .join("out")
        .join(source.strip_prefix("/").unwrap())
        .join("one");
    tell!("restored: {:?}", machine.read(&back));
    repository
        .restore(b, folder.join("some"))
        .include("three")
        .await
        .unwrap();
    let there = |name: &str| {
        let path = folder
            .join("some")
            .join(source.strip_prefix("/").unwrap())
            .join(name);
        machine.read(&path).is_some()
    };
    tell!("restored: {} {}", there("one"), there("three"));
    tell!(
        "restore of nothing: {}",
        failure(repository.restore("ffffffff", folder.join("x")).await)
    );
    let missing = repository.dump(b, "/nowhere", tokio::io::sink()).await;
    tell!("dump of nothing: {:?}", missing.unwrap_err().kind());

    let tagged = repository
        .tag()
        .ids([a])
        .add_tags("kept")
        .remove_tags("a")
        .await
        .unwrap();
    tell!("tagged: {:?}", tagged.changed);
    let tagged = repository.snapshots().tag("kept").await.unwrap();
    tell!(
        "tagged: {:?} {}",
        tagged[0].tags,
        tagged[0].original.as_ref() == Some(a)
    );
    let policy = Policy::new().last(1).tag("kept");
    let mut plan = repository.forget(&policy).dry_run().await.unwrap();
    plan.groups.sort_by_key(|group| group.host.clone());
    for group in &plan.groups {
        let reasons: Vec<_> = group.reasons.iter().map(|it| &it.matches).collect();
        let removed = group.remove.as_ref().map(Vec::len);
        tell!(
            "plan: {} {:?} {reasons:?} {removed:?}",
            group.host,
            group.paths
        );
    }
    let nothing = Policy::new().tag("no-such-tag");
    if repository.restic().version() >= Version::new(0, 17, 0) {
        tell!("forget all: {}", failure(repository.forget(&nothing).await));
    }
    let report = repository
        .forget(&Policy::new().last(1))
        .group_by(GroupBy::HOST)
        .await
        .unwrap();
    tell!("forgotten: {} {}", report.kept(), report.removed());
    let by_id = repository
        .forget_snapshots([stdin.snapshot_id.unwrap()])
        .await
        .unwrap();
    tell!("by id: {:?} {:?}", by_id.groups, by_id.prune);
    tell!("left: {}", repository.snapshots().await.unwrap().len());
    tell!("locks: {:?}", repository.locks().await.unwrap());
    tell!(
        "keys: {}",
        repository
            .keys()
            .await
            .unwrap()
            .iter()
            .filter(|key| key.current)
            .count()
    );
    told
}

#[tokio::test]
async fn the_simulated_restic_tells_the_same_story_as_the_real_one() {
    let Some(restic) = restic().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let location = Location::local(folder.path().join("repository"));
    let repository = restic
        .repository(location.clone(), "correct horse")
        .cache_dir(folder.path().join("cache"));
    let real = story(&repository, &Disk, folder.path()).await;

    let simulator = Simulator::new();
    simulator.with(|world| world.version = restic.version());
    let repository = simulator.connect().repository(location, "correct horse");
    let simulated = story(&repository, &simulator, folder.path()).await;
    let parted: Vec<_> = real
        .iter()
        .zip(&simulated)
        .filter(|(real, it)| real != it)
        .collect();
    assert!(
        parted.is_empty(),
        "the real one and the simulated one: {parted:#?}"
    );
    assert_eq!(simulated.len(), real.len());
}
