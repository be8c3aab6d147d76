//! Commands that look after a repository: `init`, `check`, `unlock`, `repair`, `recover`, `migrate`.

use std::time::Duration;

use super::{ALWAYS, ItemErrors, TextLines, builder, flags, v};
use crate::command::Command;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, ItemError, Notice};
#[cfg(doc)]
use crate::lock::Lock;
use crate::parser::Decoded;
use crate::report::{CheckSummary, Initialized};
use crate::repository::Repository;
use crate::run::{Collect, Ended, Run};
use crate::text;
use crate::version::Version;

builder! {
    /// A repository to be created. See [`Repository::init`].
    Init => Initialized
}

builder! {
    /// A check to be made. See [`Repository::check`].
    Check => CheckReport
}

builder! {
    /// Locks to be removed. See [`Repository::unlock`].
    Unlock => UnlockReport
}

builder! {
    /// The index to be built again. See [`Repository::repair_index`].
    RepairIndex => TextReport
}

builder! {
    /// Damaged packs to be rescued. See [`Repository::repair_packs`].
    RepairPacks => TextReport
}

builder! {
    /// Snapshots to be repaired. See [`Repository::repair_snapshots`].
    RepairSnapshots => TextReport
}

builder! {
    /// Lost snapshots to be found. See [`Repository::recover`].
    Recover => TextReport
}

builder! {
    /// The format to be changed. See [`Repository::migrate`].
    Migrate => TextReport
}

/// What `ensure` found or did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum InitReport {
    /// The repository was created.
    Created(Initialized),
    /// It was there, and the password opens it.
    AlreadyThere,
}

/// What a command that speaks text said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextReport {
    /// Its lines on both streams.
    pub lines: Vec<String>,
    /// Short ids of snapshots that it saved.
    pub new_snapshots: Vec<String>,
}

/// A check that found no damage. Damage is an error of kind [`ErrorKind::Damaged`] whose details name the packs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The counts; `None` before 0.18, which prints text.
    pub summary: Option<CheckSummary>,
    /// Things worth a look that are no damage: unused packs, suggestions.
    pub hints: Vec<String>,
}

/// Locks that were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnlockReport {
    /// How many; `None` if restic did not say (0.19).
    pub removed: Option<u64>,
}

impl Repository {
    /// Creates the repository.
    pub fn init(&self) -> Init {
        Init {
            repository: self.clone(),
            invocation: self.invocation(Command::Init),
        }
    }

    /// Creates the repository, or finds that it is there and that the password opens it. Safe to repeat, also after it
    /// was killed at any point.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongPassword`] if it is there and another password opens it.
    pub async fn ensure(&self) -> Result<InitReport> {
        match self.config().await {
            Ok(_) => return Ok(InitReport::AlreadyThere),
            Err(error) if error.kind() == ErrorKind::NoRepository => {}
            Err(error) => return Err(error),
        }
        match self.init().await {
            Ok(created) => Ok(InitReport::Created(created)),
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.config().await.map(|_| InitReport::AlreadyThere)
            }
            Err(error) => Err(error),
        }
    }

    /// Looks whether the repository is sound. Without [`Check::read_data`] the packs' contents are not read.
    pub fn check(&self) -> Check {
        Check {
            repository: self.clone(),
            invocation: self.invocation(Command::Check),
        }
    }

    /// Removes locks whose holder is gone: on this host without a process, or not refreshed for 30 minutes.
    pub fn unlock(&self) -> Unlock {
        Unlock {
            repository: self.clone(),
            invocation: self.invocation(Command::Unlock),
        }
    }

    /// Removes stale locks, but only if no lock that is there now is still refreshed: waits so long and looks again. A wait
    /// of more than [`Lock::REFRESH`] makes sure that a machine that was asleep, or whose clock is wrong, does not lose the
    /// lock that it works under.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`] if some holder refreshed its lock in the meantime; what can stop a repository from opening.
    pub async fn unlock_after(&self, wait: Duration) -> Result<UnlockReport> {
        let before = self.locks().await?;
        if before.is_empty() {
            return Ok(UnlockReport { removed: Some(0) });
        }
        tokio::time::sleep(wait).await;
        // A refresh writes a new lock and removes the old one.
        let after = self.locks().await?;
        let fresh = after
            .iter()
            .find(|(id, _)| before.iter().all(|(known, _)| known != id));
        if let Some((id, lock)) = fresh {
            return Err(Error::new(
                ErrorKind::Locked,
                format!(
                    "process {} on {} works under lock {}",
                    lock.pid,
                    lock.hostname,
                    id.get(..8).unwrap_or(id)
                ),
            )
            .doing("removing stale locks"));
        }
        self.unlock().await
    }

    /// Builds the index again (`rebuild-index` before 0.16).
    pub fn repair_index(&self) -> RepairIndex {
        let mut invocation = self.invocation(Command::RepairIndex);
        invocation.old_name = Some(("rebuild-index", Version::new(0, 16, 0)));
        RepairIndex {
            repository: self.clone(),
            invocation,
        }
    }

    /// Rescues what is readable of these packs and removes them.
    pub fn repair_packs<S: Into<String>>(&self, ids: impl IntoIterator<Item = S>) -> RepairPacks {
        let mut invocation = self.invocation(Command::RepairPacks);
        invocation
            .operands
            .extend(ids.into_iter().map(|id| id.into().into()));
        RepairPacks {
            repository: self.clone(),
            invocation,
        }
    }

    /// Makes snapshots without their lost files.
    pub fn repair_snapshots(&self) -> RepairSnapshots {
        let invocation = self.invocation(Command::RepairSnapshots);
        RepairSnapshots {
            repository: self.clone(),
            invocation,
        }
    }

    /// Makes a snapshot of trees that no snapshot names.
    pub fn recover(&self) -> Recover {
        Recover {
            repository: self.clone(),
            invocation: self.invocation(Command::Recover),
        }
    }

    /// Changes the format of the repository, such as `upgrade_repo_v2`.
    pub fn migrate(&self, name: impl Into<String>) -> Migrate {
        let mut invocation = self.invocation(Command::Migrate);
        invocation.operands.push(name.into().into());
        Migrate {
            repository: self.clone(),
            invocation,
        }
    }
}

flags!(Init {
    /// Format version: `1`, `2`, `latest` or `stable`.
    text repository_version "--repository-version" since v(14, 0);
});

impl Init {
    /// Takes the chunker parameters of another repository, so that a copy between the two shares data.
    pub fn copy_chunker_params(mut self, from: &Repository) -> Self {
        from.apply_as_source(&mut self.invocation);
        self.invocation.switch("--copy-chunker-params", ALWAYS);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] (from the run) if it is there.
    pub fn start(self) -> Result<Run<Initialized>> {
        self.repository.run(self.invocation, InitCollector(None))
    }
}

struct InitCollector(Option<Initialized>);

impl Collect for InitCollector {
    type Output = Initialized;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        let Decoded::Event(event) = value else {
            return None;
        };
        if let Event::Initialized(initialized) = &event {
            self.0 = Some(initialized.clone());
        }
        Some(event)
    }

    fn finish(self, _: &Ended) -> Result<Initialized> {
        self.0
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "it ended well without an id"))
    }
}

flags!(Check {
    /// Reads all packs.
    switch read_data "--read-data" since ALWAYS;
    /// Reads a part of the packs: `n/t`, `5%`, `10G`.
    text read_data_subset "--read-data-subset" since ALWAYS;
    /// Looks for blobs that no snapshot needs.
    switch check_unused "--check-unused" since ALWAYS;
    /// Uses the cache instead of reading everything anew.
    switch with_cache "--with-cache" since ALWAYS;
});

impl Check {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`] (from the run) if something is wrong.
    pub fn start(self) -> Result<Run<CheckReport>> {
        self.repository
            .run(self.invocation, CheckCollector::default())
    }
}

#[derive(Default)]
struct CheckCollector {
    summary: Option<CheckSummary>,
    errors: ItemErrors,
    hints: Vec<String>,
}

impl Collect for CheckCollector {
    type Output = CheckReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        let Decoded::Event(event) = value else {
            return None;
        };
        self.errors.note(&event);
        match &event {
            Event::CheckSummary(summary) => self.summary = Some(summary.clone()),
            Event::Notice(Notice { text, .. })
                if self.hints.len() < super::KEPT_ERRORS
                    && (text.contains("not referenced in any index")
                        || text.contains("additional files were found")
                        || text.contains("duplicate")) =>
            {
                self.hints.push(text.clone());
            }
            _ => {}
        }
        Some(event)
    }

    fn finish(self, _: &Ended) -> Result<CheckReport> {
        let mut hints = self.hints;
        hints.extend(self.errors.kept.iter().map(ItemError::reason));
        if let Some(summary) = &self.summary {
            if summary.suggest_prune {
                hints.push("run prune".to_owned());
            }
            if summary.suggest_repair_index {
                hints.push("run repair index".to_owned());
            }
        }
        Ok(CheckReport {
            summary: self.summary,
            hints,
        })
    }
}

flags!(Unlock {
    /// Removes every lock, also of those who work at this moment. Dangerous.
    switch remove_all_even_live "--remove-all" since ALWAYS;
});

impl Unlock {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// What can stop a repository from opening.
    pub fn start(self) -> Result<Run<UnlockReport>> {
        self.repository.run(self.invocation, UnlockCollector(None))
    }
}

struct UnlockCollector(Option<u64>);

impl Collect for UnlockCollector {
    type Output = UnlockReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        let Decoded::Event(event) = value else {
            return None;
        };
        if let Event::Notice(notice) = &event
            && let Some(count) = text::removed_locks(&notice.text)
        {
            self.0 = Some(count);
        }
        Some(event)
    }

    fn finish(self, _: &Ended) -> Result<UnlockReport> {
        Ok(UnlockReport { removed: self.0 })
    }
}

struct TextCollector(TextLines);

impl Collect for TextCollector {
    type Output = TextReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        self.0.take(value)
    }

    fn finish(self, ended: &Ended) -> Result<TextReport> {
        let lines = self.0.finish(ended)?;
        let new_snapshots = lines
            .iter()
            .filter_map(|line| text::saved_new(line))
            .map(str::to_owned)
            .collect();
        Ok(TextReport {
            lines,
            new_snapshots,
        })
    }
}

macro_rules! starts_with_text {
    ($($name:ty),*) => {$(
        impl $name {
            /// Starts it.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Unsupported`] if the installed version lacks the command or a flag.
            pub fn start(self) -> Result<Run<TextReport>> {
                self.repository.run(self.invocation, TextCollector(TextLines::default()))
            }
        }
    )*};
}
starts_with_text!(RepairIndex, RepairPacks, RepairSnapshots, Recover, Migrate);

flags!(RepairIndex {
    /// Reads every pack instead of trusting the index.
    switch read_all_packs "--read-all-packs" since v(12, 0);
});

super::snapshot_filters!(RepairSnapshots);
flags!(RepairSnapshots {
    /// Writes nothing, only says what would be done.
    switch dry_run "--dry-run" since v(16, 0);
    /// Removes the damaged snapshots.
    switch forget "--forget" since v(16, 0);
});

impl RepairSnapshots {
    /// Only these snapshots, by id.
    pub fn ids<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.invocation
            .operands
            .extend(ids.into_iter().map(|id| id.into().into()));
        self
    }
}

flags!(Migrate {
    /// Does it even if it was done.
    switch force "--force" since ALWAYS;
});
