//! Commands that only look: `snapshots`, `ls`, `find`, `diff`, `stats`, `cat`, `list`, `dump`, `mount`.

use std::path::Path;
use std::time::SystemTime;

use tokio::io::AsyncWrite;

use super::{ALWAYS, OneDocument, TextLines, builder, flags, snapshot_filters, v};
use crate::command::Command;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Change, Event};
use crate::lock::Lock;
use crate::node::{FoundNode, parse_found};
use crate::parser::{Decoded, Document};
use crate::report::{Config, DiffStatistics, Found, Stats};
use crate::repository::Repository;
use crate::retention::GroupBy;
use crate::run::{Collect, Ended, Run};
use crate::snapshot::{Node, Snapshot, SnapshotGroup};
use crate::timestamp::Timestamp;

builder! {
    /// A list of snapshots to be asked for. See [`Repository::snapshots`].
    Snapshots => Vec<Snapshot>
}

builder! {
    /// Snapshots in groups to be asked for. See [`Snapshots::group_by`].
    SnapshotsGrouped => Vec<SnapshotGroup>
}

builder! {
    /// A list of files to be asked for. See [`Repository::ls`].
    Ls => LsReport
}

builder! {
    /// A search. See [`Repository::find`].
    Find => Vec<Found>
}

builder! {
    /// A comparison. See [`Repository::diff`].
    Diff => DiffReport
}

builder! {
    /// Sizes to be asked for. See [`Repository::stats`].
    StatsCommand => Stats
}

builder! {
    /// An object to be read. See [`Repository::cat`].
    Cat => Document
}

builder! {
    /// A list of ids to be asked for. See [`Repository::list`].
    List => Vec<String>
}

builder! {
    /// A file to be read. See [`Repository::dump`].
    Dump => ()
}

builder! {
    /// A repository to be mounted. See [`Repository::mount`].
    Mount => Vec<String>
}

impl Repository {
    /// All snapshots, oldest first.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use restic_wrapper::{Location, Restic, simulator::Simulator};
    /// # let simulator = Simulator::new();
    /// # let repository = Restic::simulated(&simulator).repository(Location::local("/r"), "pw!");
    /// # repository.init().await?;
    /// repository.backup_bytes("etcd.db", "state").tag("etcd").await?;
    /// let newest = repository.snapshots().tag("etcd").latest(1).await?;
    /// assert_eq!(newest[0].paths, ["/etcd.db"]);
    /// # Ok::<(), restic_wrapper::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn snapshots(&self) -> Snapshots {
        Snapshots {
            repository: self.clone(),
            invocation: self.invocation(Command::Snapshots),
        }
    }

    /// The files of a snapshot (an id, its first digits or `latest`).
    pub fn ls(&self, snapshot: impl Into<String>) -> Ls {
        let mut invocation = self.invocation(Command::Ls);
        invocation.operands.push(snapshot.into().into());
        Ls {
            repository: self.clone(),
            invocation,
        }
    }

    /// Files whose path matches a pattern, in all snapshots.
    pub fn find(&self, pattern: impl AsRef<std::ffi::OsStr>) -> Find {
        let mut invocation = self.invocation(Command::Find);
        invocation.operands.push(pattern.as_ref().to_owned());
        Find {
            repository: self.clone(),
            invocation,
        }
    }

    /// What differs between two snapshots.
    pub fn diff(&self, from: impl Into<String>, to: impl Into<String>) -> Diff {
        let mut invocation = self.invocation(Command::Diff);
        invocation
            .operands
            .extend([from.into().into(), to.into().into()]);
        Diff {
            repository: self.clone(),
            invocation,
        }
    }

    /// Sizes of the snapshots that match, or of all.
    pub fn stats(&self) -> StatsCommand {
        StatsCommand {
            repository: self.clone(),
            invocation: self.invocation(Command::Stats),
        }
    }

    /// An object as it is stored: `config`, `snapshot ID`, `lock ID`, `key ID`, `index ID`, `tree ID`.
    pub fn cat<S: Into<String>>(&self, what: impl IntoIterator<Item = S>) -> Cat {
        let mut invocation = self.invocation(Command::Cat);
        invocation
            .operands
            .extend(what.into_iter().map(|word| word.into().into()));
        Cat {
            repository: self.clone(),
            invocation,
        }
    }

    /// The repository's settings: the cheapest proof that it opens.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRepository`], [`ErrorKind::WrongPassword`] and what else can stop it from opening.
    pub async fn config(&self) -> Result<Config> {
        match self.cat(["config"]).await? {
            Document::Config(config) => Ok(config),
            _ => Err(
                Error::new(ErrorKind::Protocol, "the config is not a config")
                    .doing("restic cat config"),
            ),
        }
    }

    /// The locks in the repository. Taken without a lock of our own; a lock that goes away meanwhile is left out.
    ///
    /// # Errors
    ///
    /// What can stop a repository from opening.
    pub async fn locks(&self) -> Result<Vec<(String, Lock)>> {
        let reading = self.clone().no_lock();
        let mut locks = Vec::new();
        for id in reading.list("locks").await? {
            match reading.cat(["lock", &id]).await {
                Ok(Document::Lock(lock)) => locks.push((id, lock)),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Failed | ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(locks)
    }

    /// Ids of all objects of a kind: `blobs`, `packs`, `index`, `snapshots`, `keys`, `locks`.
    pub fn list(&self, kind: impl Into<String>) -> List {
        let mut invocation = self.invocation(Command::List);
        invocation.operands.push(kind.into().into());
        List {
            repository: self.clone(),
            invocation,
        }
    }

    /// Writes a file of a snapshot, or a folder as an archive, to `output`.
    pub fn dump(
        &self,
        snapshot: impl Into<String>,
        path: impl AsRef<Path>,
        output: impl AsyncWrite + Send + Sync + Unpin + 'static,
    ) -> Dump {
        let mut invocation = self.invocation(Command::Dump);
        invocation
            .operands
            .extend([snapshot.into().into(), path.as_ref().into()]);
        invocation.raw_output = Some(Box::new(output));
        Dump {
            repository: self.clone(),
            invocation,
        }
    }

    /// Shows the snapshots as folders at this place until it is cancelled (FUSE). Cancelling is how it ends well.
    pub fn mount(&self, target: impl AsRef<Path>) -> Mount {
        let mut invocation = self.invocation(Command::Mount);
        invocation.operands.push(target.as_ref().into());
        Mount {
            repository: self.clone(),
            invocation,
        }
    }
}

snapshot_filters!(Snapshots);
flags!(Snapshots {
    /// Only the newest so many of each host and paths.
    number latest "--latest" since v(12, 1);
});

impl Snapshots {
    /// Only these snapshots, by id.
    pub fn ids<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.invocation
            .operands
            .extend(ids.into_iter().map(|id| id.into().into()));
        self
    }

    /// In groups.
    pub fn group_by(mut self, group_by: GroupBy) -> SnapshotsGrouped {
        self.invocation
            .value("--group-by", ALWAYS, group_by.to_string());
        SnapshotsGrouped {
            repository: self.repository,
            invocation: self.invocation,
        }
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for flags that the installed version lacks.
    pub fn start(self) -> Result<Run<Vec<Snapshot>>> {
        let collector = OneDocument::new("a list of snapshots", |document| match document {
            Document::Snapshots(snapshots) => Some(snapshots),
            _ => None,
        });
        self.repository.run(self.invocation, collector)
    }
}

impl SnapshotsGrouped {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for flags that the installed version lacks.
    pub fn start(self) -> Result<Run<Vec<SnapshotGroup>>> {
        let collector = OneDocument::new("groups of snapshots", |document| match document {
            Document::Groups(groups) => Some(groups),
            // No snapshots, no groups.
            Document::Snapshots(snapshots) if snapshots.is_empty() => Some(Vec::new()),
            _ => None,
        });
        self.repository.run(self.invocation, collector)
    }
}

/// What a list of files ends with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LsReport {
    /// The snapshot whose files they are.
    pub snapshot: Option<Snapshot>,
    /// How many there were.
    pub nodes: u64,
    /// The sum of the sizes of files.
    pub bytes: u64,
}

snapshot_filters!(Ls);
flags!(Ls {
    /// Goes into the sub folders of the folders that were named.
    switch recursive "--recursive" since ALWAYS;
    /// Order: `name`, `size`, `time`, `atime`, `ctime`, `extension`.
    text sort "--sort" since v(18, 0);
    /// The other way round.
    switch reverse "--reverse" since v(18, 0);
});

impl Ls {
    /// Only these folders of the snapshot.
    pub fn folders<P: AsRef<Path>>(mut self, folders: impl IntoIterator<Item = P>) -> Self {
        self.invocation
            .operands
            .extend(folders.into_iter().map(|f| f.as_ref().into()));
        self
    }

    /// Starts it; the files are counted, not handed over.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for flags that the installed version lacks.
    pub fn start(self) -> Result<Run<LsReport>> {
        self.for_each(|_| {})
    }

    /// Starts it and calls `each` for every file, in the task that drains the stream: memory stays flat however many
    /// there are, and nothing is copied. `each` should be quick.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for flags that the installed version lacks.
    pub fn for_each(self, each: impl FnMut(&Node<'_>) + Send + 'static) -> Result<Run<LsReport>> {
        let report = LsReport {
            snapshot: None,
            nodes: 0,
            bytes: 0,
        };
        self.repository
            .run(self.invocation, LsCollector { report, each })
    }
}

struct LsCollector<F> {
    report: LsReport,
    each: F,
}

impl<F: FnMut(&Node<'_>) + Send + 'static> Collect for LsCollector<F> {
    type Output = LsReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        match value {
            Decoded::Node(node) => {
                self.report.nodes += 1;
                self.report.bytes = self.report.bytes.saturating_add(node.size.unwrap_or(0));
                (self.each)(&node);
                None
            }
            Decoded::Document(Document::Snapshot(snapshot)) => {
                self.report.snapshot = Some(*snapshot);
                None
            }
            Decoded::Document(_) | Decoded::Found(_) => None,
            Decoded::Event(event) => Some(event),
        }
    }

    fn finish(self, _: &Ended) -> Result<LsReport> {
        if self.report.snapshot.is_none() {
            // Up to 0.14 an unknown snapshot is a sentence on stderr and exit code 0.
            return Err(Error::new(ErrorKind::NotFound, "there is no such snapshot"));
        }
        Ok(self.report)
    }
}

snapshot_filters!(Find);
flags!(Find {
    /// Any case of letters.
    switch ignore_case "--ignore-case" since ALWAYS;
    /// Only in this snapshot; may be given several times.
    text snapshot "--snapshot" since ALWAYS;
    /// The pattern is the id of a blob.
    switch blob "--blob" since ALWAYS;
    /// The pattern is the id of a tree.
    switch tree "--tree" since ALWAYS;
    /// The pattern is the id of a pack.
    switch pack "--pack" since ALWAYS;
    /// Says in which pack a blob or tree is.
    switch show_pack_id "--show-pack-id" since ALWAYS;
    /// Newest snapshots last.
    switch reverse "--reverse" since v(18, 0);
});

impl Find {
    /// One more pattern.
    pub fn or(mut self, pattern: impl AsRef<std::ffi::OsStr>) -> Self {
        self.invocation.operands.push(pattern.as_ref().to_owned());
        self
    }

    /// Only files changed at or after this time.
    pub fn oldest(mut self, time: SystemTime) -> Self {
        self.invocation.value("--oldest", ALWAYS, go_time(time));
        self.invocation.env.push(("TZ".into(), "UTC".into()));
        self
    }

    /// Only files changed at or before this time.
    pub fn newest(mut self, time: SystemTime) -> Self {
        self.invocation.value("--newest", ALWAYS, go_time(time));
        self.invocation.env.push(("TZ".into(), "UTC".into()));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for flags that the installed version lacks.
    pub fn start(self) -> Result<Run<Vec<Found>>> {
        let mut collector = OneDocument::new("a list of matches", |document| match document {
            Document::Found(found) => Some(found),
            _ => None,
        });
        collector.nothing = Some(Vec::new());
        self.repository.run(self.invocation, collector)
    }
}

impl Find {
    /// Starts it and calls `each` with the snapshot's id and every file that matches, borrowed from restic's answer: nothing
    /// is copied. The result is how many there were. Not for ids of objects.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for flags that the installed version lacks.
    pub fn for_each(
        mut self,
        each: impl FnMut(&str, &FoundNode<'_>) + Send + 'static,
    ) -> Result<Run<u64>> {
        self.invocation.keep_found = true;
        self.repository.run(
            self.invocation,
            FindCollector {
                count: 0,
                unread: false,
                each,
            },
        )
    }
}

struct FindCollector<F> {
    count: u64,
    unread: bool,
    each: F,
}

impl<F: FnMut(&str, &FoundNode<'_>) + Send + 'static> Collect for FindCollector<F> {
    type Output = u64;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        match value {
            Decoded::Found(line) => {
                match parse_found(line, &mut |snapshot, node| (self.each)(snapshot, node)) {
                    Some(count) => self.count += count,
                    None => self.unread = true,
                }
                None
            }
            Decoded::Event(event) => Some(event),
            Decoded::Node(_) | Decoded::Document(_) => None,
        }
    }

    fn finish(self, _: &Ended) -> Result<u64> {
        if self.unread {
            let message =
                "the answer is not a list of files; ids of objects are found with start()";
            return Err(Error::new(ErrorKind::Protocol, message));
        }
        Ok(self.count)
    }
}

fn go_time(time: SystemTime) -> String {
    let (year, month, day, hour, minute, second) = Timestamp::from(time).civil();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// What differs between two snapshots.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DiffReport {
    /// The counts.
    pub statistics: DiffStatistics,
    /// Every difference, in restic's order.
    pub changes: Vec<Change>,
}

flags!(Diff {
    /// Differences of metadata too.
    switch metadata "--metadata" since ALWAYS;
});

impl Diff {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for flags that the installed version lacks.
    pub fn start(self) -> Result<Run<DiffReport>> {
        self.repository
            .run(self.invocation, DiffCollector::default())
    }
}

#[derive(Default)]
struct DiffCollector {
    statistics: Option<DiffStatistics>,
    changes: Vec<Change>,
}

impl Collect for DiffCollector {
    type Output = DiffReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        let Decoded::Event(event) = value else {
            return None;
        };
        match &event {
            Event::DiffStatistics(statistics) => self.statistics = Some(statistics.clone()),
            Event::Change(change) => self.changes.push(change.clone()),
            _ => {}
        }
        Some(event)
    }

    fn finish(self, _: &Ended) -> Result<DiffReport> {
        let statistics = self
            .statistics
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "it ended well without statistics"))?;
        Ok(DiffReport {
            statistics,
            changes: self.changes,
        })
    }
}

/// What `stats` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StatsMode {
    /// The size of the files if all snapshots were restored.
    #[default]
    RestoreSize,
    /// The size of different contents.
    FilesByContents,
    /// The size of different blobs, counted per file.
    BlobsPerFile,
    /// What lies in the repository.
    RawData,
}

snapshot_filters!(StatsCommand);

impl StatsCommand {
    /// What is counted.
    pub fn mode(mut self, mode: StatsMode) -> Self {
        let word = match mode {
            StatsMode::RestoreSize => "restore-size",
            StatsMode::FilesByContents => "files-by-contents",
            StatsMode::BlobsPerFile => "blobs-per-file",
            StatsMode::RawData => "raw-data",
        };
        self.invocation.value("--mode", ALWAYS, word);
        self
    }

    /// Only these snapshots, by id.
    pub fn ids<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.invocation
            .operands
            .extend(ids.into_iter().map(|id| id.into().into()));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for flags that the installed version lacks. The run itself fails with
    /// [`ErrorKind::NotFound`] for an unknown id, also where restic answers zeros (0.14 and older).
    pub fn start(self) -> Result<Run<Stats>> {
        let named = !self.invocation.operands.is_empty();
        self.repository
            .run(self.invocation, StatsCollector { named, found: None })
    }
}

struct StatsCollector {
    named: bool,
    found: Option<Stats>,
}

impl Collect for StatsCollector {
    type Output = Stats;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        match value {
            Decoded::Document(Document::Stats(stats)) => {
                self.found = Some(stats);
                None
            }
            Decoded::Event(event) => Some(event),
            _ => None,
        }
    }

    fn finish(self, _: &Ended) -> Result<Stats> {
        let stats = self
            .found
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "it ended well without statistics"))?;
        if self.named && stats.snapshots_count == Some(0) {
            return Err(Error::new(ErrorKind::NotFound, "there is no such snapshot"));
        }
        Ok(stats)
    }
}

impl Cat {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// What can stop a repository from opening.
    pub fn start(self) -> Result<Run<Document>> {
        self.repository
            .run(self.invocation, OneDocument::new("an object", Some))
    }
}

impl List {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// What can stop a repository from opening.
    pub fn start(self) -> Result<Run<Vec<String>>> {
        self.repository
            .run(self.invocation, Ids(TextLines::default()))
    }
}

struct Ids(TextLines);

impl Collect for Ids {
    type Output = Vec<String>;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        self.0.take(value)
    }

    fn finish(self, ended: &Ended) -> Result<Vec<String>> {
        let mut lines = self.0.finish(ended)?;
        // `list blobs` writes the type before the id; other sentences are no ids.
        lines.retain(|line| {
            line.split_whitespace()
                .last()
                .is_some_and(|id| id.len() >= 8 && id.bytes().all(|b| b.is_ascii_hexdigit()))
        });
        Ok(lines)
    }
}

snapshot_filters!(Dump);
flags!(Dump {
    /// `tar` or `zip`, for folders.
    text archive "--archive" since v(12, 0);
});

impl Dump {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] (from the run) if there is no such path.
    pub fn start(self) -> Result<Run<()>> {
        self.repository.run(self.invocation, Nothing)
    }
}

struct Nothing;

impl Collect for Nothing {
    type Output = ();

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        match value {
            Decoded::Event(event) => Some(event),
            _ => None,
        }
    }

    fn finish(self, _: &Ended) -> Result<()> {
        Ok(())
    }
}

snapshot_filters!(Mount);
flags!(Mount {
    /// Other users may look into it.
    switch allow_other "--allow-other" since ALWAYS;
    /// Other users may read everything.
    switch no_default_permissions "--no-default-permissions" since ALWAYS;
    /// Everything belongs to root.
    switch owner_root "--owner-root" since ALWAYS;
    /// Names of folders; may be given several times.
    text path_template "--path-template" since v(14, 0);
    /// How times are written in names.
    text time_template "--time-template" since v(14, 0);
});

impl Mount {
    /// Starts it. A notice `Now serving the repository at …` says that it is ready.
    ///
    /// # Errors
    ///
    /// What can stop a repository from opening.
    pub fn start(self) -> Result<Run<Vec<String>>> {
        self.repository.run(self.invocation, TextLines::default())
    }
}
