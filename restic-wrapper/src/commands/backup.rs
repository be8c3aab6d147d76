//! `backup`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::io::AsyncRead;

use super::{ALWAYS, ItemErrors, builder, flags, v};
use crate::command::Command;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, ItemError};
use crate::invocation::Input;
use crate::outcome::Outcome;
use crate::parser::Decoded;
use crate::report::BackupSummary;
use crate::repository::Repository;
use crate::run::{Collect, Ended, Run};
use crate::timestamp::Timestamp;

builder! {
    /// A backup to be made. See [`Repository::backup`].
    Backup => BackupReport
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The new snapshot: 64 digits, 8 before 0.15. `None` for a dry run, and when nothing had changed and that was to
    /// skip it.
    pub snapshot_id: Option<String>,
    /// What restic counted.
    pub summary: BackupSummary,
    /// Whether something could not be read. The snapshot is there and good, but it lacks what `errors` names.
    pub partial: bool,
    /// What could not be read, up to 1,000 entries.
    pub errors: Vec<ItemError>,
    /// How many could not be read.
    pub error_count: u64,
}

impl BackupReport {
    /// The first eight digits of the snapshot's id, for people.
    #[must_use]
    pub fn short_id(&self) -> Option<&str> {
        self.snapshot_id
            .as_deref()
            .map(|id| id.get(..8).unwrap_or(id))
    }
}

impl Repository {
    /// Backs up these files and folders. Paths may hold any bytes.
    ///
    /// Missing sources are found before anything is started, see [`Backup::allow_missing`].
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use restic_wrapper::{Event, Location, Restic, simulator::Simulator};
    ///
    /// let simulator = Simulator::new();
    /// simulator.with(|world| world.write_file("/etc/hosts", "127.0.0.1 localhost\n"));
    /// let repository =
    ///     Restic::simulated(&simulator).repository(Location::local("/srv/backup"), "correct horse");
    /// repository.init().await?;
    ///
    /// let mut run = repository.backup(["/etc/hosts"]).host("node-1").tag("nightly").start()?;
    /// while let Some(event) = run.next().await {
    ///     if let Event::Progress(progress) = event {
    ///         println!("{:.0} %", progress.fraction * 100.0);
    ///     }
    /// }
    /// let report = run.await?;
    /// assert_eq!(report.summary.counts.files_new, 1);
    /// assert!(report.snapshot_id.is_some() && !report.partial);
    /// # Ok::<(), restic_wrapper::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn backup<P: AsRef<Path>>(&self, sources: impl IntoIterator<Item = P>) -> Backup {
        let mut invocation = self.invocation(Command::Backup);
        invocation.operands.extend(
            sources
                .into_iter()
                .map(|p| p.as_ref().as_os_str().to_owned()),
        );
        if invocation.operands.iter().any(|path| path.is_empty()) {
            invocation.problem("a source path is empty");
        }
        Backup {
            repository: self.clone(),
            invocation,
        }
    }

    /// Backs up what a reader gives, such as a database dump, as one file with this name.
    ///
    /// A reader that fails stops the backup: the error is its own, and no snapshot is saved of the half that came before.
    /// A reader that merely ends too soon looks like a complete one.
    pub fn backup_reader(
        &self,
        name: impl AsRef<OsStr>,
        reader: impl AsyncRead + Send + Sync + Unpin + 'static,
    ) -> Backup {
        self.backup_input(name.as_ref(), Input::Stream(Box::new(reader)))
    }

    /// Backs up bytes in memory as one file with this name. They never touch a disk.
    pub fn backup_bytes(&self, name: impl AsRef<OsStr>, bytes: impl Into<Vec<u8>>) -> Backup {
        self.backup_input(name.as_ref(), Input::Bytes(bytes.into()))
    }

    /// Backs up the output of a program that restic itself starts; a program that fails fails the backup (0.17 and newer).
    pub fn backup_command<S: AsRef<OsStr>>(
        &self,
        name: impl AsRef<OsStr>,
        command: impl IntoIterator<Item = S>,
    ) -> Backup {
        let mut invocation = self.invocation(Command::Backup);
        invocation.switch("--stdin-from-command", v(17, 0));
        invocation.value("--stdin-filename", ALWAYS, name);
        invocation
            .operands
            .extend(command.into_iter().map(|word| word.as_ref().to_owned()));
        Backup {
            repository: self.clone(),
            invocation,
        }
    }

    fn backup_input(&self, name: &OsStr, input: Input) -> Backup {
        let mut invocation = self.invocation(Command::Backup);
        invocation.switch("--stdin", ALWAYS);
        invocation.value("--stdin-filename", ALWAYS, name);
        if name.is_empty() {
            invocation.problem("the name of the file is empty");
        }
        invocation.input = input;
        Backup {
            repository: self.clone(),
            invocation,
        }
    }
}

flags!(Backup {
    /// Tags of the snapshot, comma separated; may be given several times.
    text tag "--tag" since ALWAYS;
    /// Host name of the snapshot. A program that backs up on behalf of something gives a fixed one.
    text host "--host" since ALWAYS;
    /// Leaves out what matches this pattern.
    text exclude "--exclude" since ALWAYS;
    /// Leaves out what matches this pattern in any case of letters.
    text iexclude "--iexclude" since ALWAYS;
    /// A file of patterns to leave out.
    text exclude_file "--exclude-file" since ALWAYS;
    /// A file of patterns to leave out, in any case of letters.
    text iexclude_file "--iexclude-file" since ALWAYS;
    /// Leaves out folders that hold this file (`name` or `name:header`).
    text exclude_if_present "--exclude-if-present" since ALWAYS;
    /// Leaves out folders marked as caches (`CACHEDIR.TAG`).
    switch exclude_caches "--exclude-caches" since ALWAYS;
    /// Leaves out files larger than this: `100M`.
    text exclude_larger_than "--exclude-larger-than" since ALWAYS;
    /// Leaves out files that are only in the cloud (Windows).
    switch exclude_cloud_files "--exclude-cloud-files" since v(18, 0);
    /// A file of patterns of sources.
    text files_from "--files-from" since ALWAYS;
    /// A file of source paths, one a line, taken as they are.
    text files_from_verbatim "--files-from-verbatim" since ALWAYS;
    /// A file of source paths, each ended by a zero byte: any path is possible.
    text files_from_raw "--files-from-raw" since ALWAYS;
    /// Reads every file again, whatever its times say.
    switch force "--force" since ALWAYS;
    /// Compares with this snapshot instead of the newest that fits.
    text parent "--parent" since ALWAYS;
    /// Which snapshots fit as parents: `host,paths,tags` or some of them.
    text group_by "--group-by" since v(16, 0);
    /// Does not look at the change time.
    switch ignore_ctime "--ignore-ctime" since v(12, 0);
    /// Does not look at the inode number.
    switch ignore_inode "--ignore-inode" since ALWAYS;
    /// Stays on the file systems of the sources.
    switch one_file_system "--one-file-system" since ALWAYS;
    /// Keeps access times.
    switch with_atime "--with-atime" since ALWAYS;
    /// Writes nothing, only says what would be done.
    switch dry_run "--dry-run" since v(13, 0);
    /// Does not count first: a little faster, without totals in the progress.
    switch no_scan "--no-scan" since v(15, 0);
    /// So many files are read at once.
    number read_concurrency "--read-concurrency" since v(15, 0);
    /// Makes no snapshot if it would equal its parent.
    switch skip_if_unchanged "--skip-if-unchanged" since v(17, 0);
    /// Takes a shadow copy first (Windows).
    switch use_fs_snapshot "--use-fs-snapshot" since ALWAYS;
});

impl Backup {
    /// The time of the snapshot, instead of now. Printed in UTC, which restic reads in its process's zone: the child runs
    /// in UTC for this.
    pub fn time(mut self, time: SystemTime) -> Self {
        let (year, month, day, hour, minute, second) = Timestamp::from(time).civil();
        let text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
        self.invocation.value("--time", ALWAYS, text);
        self.invocation.env.push(("TZ".into(), "UTC".into()));
        self
    }

    /// One message for every file: what was new, changed or unchanged.
    pub fn verbose(mut self) -> Self {
        self.invocation.args.push("--verbose=2".into());
        self
    }

    /// Leaves missing sources to restic, which skips them: exit code 3 since 0.19, silence before.
    pub fn allow_missing(mut self) -> Self {
        self.invocation.allow_missing = true;
        self
    }

    /// The working directory of restic: relative sources count from here.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.invocation.directory = Some(directory.into());
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingSource`] names every source that does not exist; [`ErrorKind::Unsupported`] every flag that the
    /// installed version lacks.
    pub fn start(self) -> Result<Run<BackupReport>> {
        let stdin = self.invocation.args.iter().any(|a| {
            let a = a.to_string_lossy();
            a == "--stdin" || a == "--stdin-from-command"
        });
        let from_file = self
            .invocation
            .args
            .iter()
            .any(|a| a.to_string_lossy().starts_with("--files-from"));
        if !stdin {
            if self.invocation.operands.is_empty() && !from_file {
                return Err(
                    Error::new(ErrorKind::InvalidInput, "there is nothing to back up")
                        .doing("restic backup"),
                );
            }
            if !self.invocation.allow_missing {
                self.find_missing()?;
            }
        }
        let dry_run = self.invocation.args.iter().any(|arg| arg == "--dry-run");
        self.repository.run(
            self.invocation,
            Collector {
                dry_run,
                ..Collector::default()
            },
        )
    }

    fn find_missing(&self) -> Result<()> {
        let base = self
            .invocation
            .directory
            .as_deref()
            .unwrap_or(Path::new(""));
        let missing: Vec<String> = self
            .invocation
            .operands
            .iter()
            .map(|source| base.join(source))
            .filter(|source| !self.repository.restic().source_exists(source))
            .map(|source| source.display().to_string())
            .collect();
        match missing.as_slice() {
            [] => Ok(()),
            paths => Err(Error::new(
                ErrorKind::MissingSource,
                format!("{} does not exist", paths.join(", ")),
            )
            .doing("restic backup")),
        }
    }
}

#[derive(Default)]
struct Collector {
    dry_run: bool,
    summary: Option<BackupSummary>,
    errors: ItemErrors,
}

impl Collect for Collector {
    type Output = BackupReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        let Decoded::Event(event) = value else {
            return None;
        };
        self.errors.note(&event);
        if let Event::BackupSummary(summary) = &event {
            self.summary = Some(summary.clone());
        }
        Some(event)
    }

    fn finish(self, ended: &Ended) -> Result<BackupReport> {
        let summary = self.summary.ok_or_else(|| {
            Error::new(ErrorKind::Protocol, "it ended well without a summary")
                .with_exit_code(ended.exit.code())
        })?;
        Ok(BackupReport {
            // Up to 0.14 a dry run names a snapshot that does not exist.
            snapshot_id: summary
                .snapshot_id
                .clone()
                .filter(|id| !id.is_empty() && !self.dry_run),
            partial: ended.outcome == Outcome::Partial || self.errors.count > 0,
            summary,
            errors: self.errors.kept,
            error_count: self.errors.count,
        })
    }
}
