//! `restore`.

use std::path::Path;

use super::{ALWAYS, ItemErrors, builder, flags, snapshot_filters, v};
use crate::command::Command;
use crate::error::Result;
use crate::event::{Event, ItemError};
use crate::parser::Decoded;
use crate::report::RestoreSummary;
use crate::repository::Repository;
use crate::run::{Collect, Ended, Run};

builder! {
    /// A restore to be made. See [`Repository::restore`].
    Restore => RestoreReport
}

/// A restore that was made. One with any error is an [`Error`](crate::Error), not a report: restic ends it with code 1.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// What restic counted; `None` before 0.16, which prints no JSON.
    pub summary: Option<RestoreSummary>,
    /// Files with problems that restic did not count as errors.
    pub errors: Vec<ItemError>,
}

/// What a restore does with files that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overwrite {
    /// Writes what differs.
    #[default]
    Always,
    /// Writes what differs in size or time.
    IfChanged,
    /// Writes what is newer in the snapshot.
    IfNewer,
    /// Writes nothing that is there.
    Never,
}

impl Repository {
    /// Restores a snapshot (an id, its first digits, `latest`, or `id:/sub/folder` since 0.16) into a folder.
    pub fn restore(&self, snapshot: impl Into<String>, target: impl AsRef<Path>) -> Restore {
        let mut invocation = self.invocation(Command::Restore);
        invocation.value("--target", ALWAYS, target.as_ref());
        let snapshot = snapshot.into();
        if snapshot.is_empty() {
            invocation.problem("the snapshot is empty");
        }
        if snapshot.contains(':') {
            invocation.needs("a folder within a snapshot", v(16, 0));
        }
        invocation.operands.push(snapshot.into());
        Restore {
            repository: self.clone(),
            invocation,
        }
    }
}

snapshot_filters!(Restore);
flags!(Restore {
    /// Restores only what matches this pattern; may be given several times. Not together with an exclude.
    text include "--include" since ALWAYS;
    /// Restores only what matches this pattern in any case of letters.
    text iinclude "--iinclude" since ALWAYS;
    /// A file of patterns to restore.
    text include_file "--include-file" since v(17, 0);
    /// A file of patterns to restore, in any case of letters.
    text iinclude_file "--iinclude-file" since v(17, 0);
    /// Leaves out what matches this pattern.
    text exclude "--exclude" since ALWAYS;
    /// Leaves out what matches this pattern in any case of letters.
    text iexclude "--iexclude" since ALWAYS;
    /// A file of patterns to leave out.
    text exclude_file "--exclude-file" since v(17, 0);
    /// A file of patterns to leave out, in any case of letters.
    text iexclude_file "--iexclude-file" since v(17, 0);
    /// Restores only extended attributes that match.
    text include_xattr "--include-xattr" since v(18, 0);
    /// Leaves out extended attributes that match.
    text exclude_xattr "--exclude-xattr" since v(18, 0);
    /// Reads every restored file again and compares.
    switch verify "--verify" since ALWAYS;
    /// Leaves holes where files hold zeros.
    switch sparse "--sparse" since v(15, 0);
    /// Removes what the snapshot does not hold. Dangerous with a target like `/`.
    switch delete "--delete" since v(17, 0);
    /// Writes nothing, only says what would be done.
    switch dry_run "--dry-run" since v(17, 0);
    /// Sets owners by name, not by number.
    switch ownership_by_name "--ownership-by-name" since v(19, 0);
});

impl Restore {
    /// What to do with files that are there.
    pub fn overwrite(mut self, rule: Overwrite) -> Self {
        let word = match rule {
            Overwrite::Always => "always",
            Overwrite::IfChanged => "if-changed",
            Overwrite::IfNewer => "if-newer",
            Overwrite::Never => "never",
        };
        self.invocation.value("--overwrite", v(17, 0), word);
        self
    }

    /// One message for every file (0.17 and newer).
    pub fn verbose(mut self) -> Self {
        self.invocation.args.push("--verbose=2".into());
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for flags that the installed version lacks.
    pub fn start(self) -> Result<Run<RestoreReport>> {
        self.repository.run(self.invocation, Collector::default())
    }
}

#[derive(Default)]
struct Collector {
    summary: Option<RestoreSummary>,
    errors: ItemErrors,
}

impl Collect for Collector {
    type Output = RestoreReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        let Decoded::Event(event) = value else {
            return None;
        };
        self.errors.note(&event);
        if let Event::RestoreSummary(summary) = &event {
            self.summary = Some(summary.clone());
        }
        Some(event)
    }

    fn finish(self, _: &Ended) -> Result<RestoreReport> {
        Ok(RestoreReport {
            summary: self.summary,
            errors: self.errors.kept,
        })
    }
}
