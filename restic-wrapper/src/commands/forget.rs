//! `forget` and `prune`.

use super::{ALWAYS, builder, flags, snapshot_filters, v};
use crate::command::Command;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, ItemError};
use crate::outcome::Outcome;
use crate::parser::{Decoded, Document};
use crate::report::{ForgetGroup, PruneSummary};
use crate::repository::Repository;
use crate::retention::{GroupBy, Policy};
use crate::run::{Collect, Ended, Run};
use crate::text::PruneTable;

builder! {
    /// Snapshots to be removed. See [`Repository::forget`].
    Forget => ForgetReport
}

builder! {
    /// Unused data to be removed. See [`Repository::prune`].
    Prune => PruneReport
}

/// Snapshots that were removed, and kept.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ForgetReport {
    /// What stayed, what went, and why; empty when ids were given, because restic prints nothing then.
    pub groups: Vec<ForgetGroup>,
    /// What the prune removed, if one was asked for and there was something to do; `None` with 0.19.0 and 0.19.1, which
    /// prune without a word.
    pub prune: Option<PruneSummary>,
    /// Whether some snapshot could not be removed. 0.19 and newer end with 3 then, older ones with 0 and a line of text.
    pub partial: bool,
    /// What restic said about the snapshots that it could not remove.
    pub not_removed: Vec<String>,
    /// Errors that did not stop it.
    pub errors: Vec<ItemError>,
}

impl ForgetReport {
    /// How many snapshots went.
    #[must_use]
    pub fn removed(&self) -> usize {
        self.groups
            .iter()
            .filter_map(|group| group.remove.as_ref())
            .map(Vec::len)
            .sum()
    }

    /// How many snapshots stayed.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.groups.iter().map(|group| group.keep.len()).sum()
    }
}

/// Unused data that was removed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PruneReport {
    /// The counts; `None` when restic printed none.
    pub summary: Option<PruneSummary>,
}

impl Repository {
    /// Removes the snapshots that a policy does not keep. The data stays until a prune.
    ///
    /// An empty policy is refused before anything is started.
    pub fn forget(&self, policy: &Policy) -> Forget {
        let mut invocation = self.invocation(Command::Forget);
        if policy.is_empty() {
            invocation.problem("the policy keeps nothing: say at least one --keep rule");
        }
        invocation
            .args
            .extend(policy.to_args().into_iter().map(Into::into));
        Forget {
            repository: self.clone(),
            invocation,
        }
    }

    /// Removes these snapshots.
    pub fn forget_snapshots<S: Into<String>>(&self, ids: impl IntoIterator<Item = S>) -> Forget {
        let mut invocation = self.invocation(Command::Forget);
        invocation
            .operands
            .extend(ids.into_iter().map(|id| id.into().into()));
        if invocation.operands.is_empty() {
            invocation.problem("no snapshot was named");
        }
        Forget {
            repository: self.clone(),
            invocation,
        }
    }

    /// Removes data that no snapshot needs.
    pub fn prune(&self) -> Prune {
        Prune {
            repository: self.clone(),
            invocation: self.invocation(Command::Prune),
        }
    }
}

snapshot_filters!(Forget);
flags!(Forget {
    /// Writes nothing, only says what would be done.
    switch dry_run "--dry-run" since ALWAYS;
    /// Prunes afterwards if snapshots were removed.
    switch prune "--prune" since ALWAYS;
    /// Lets a policy remove every snapshot of a group.
    switch unsafe_allow_remove_all "--unsafe-allow-remove-all" since v(17, 0);
    /// How much unused data may stay: `5%`, `10G`, `unlimited`.
    text max_unused "--max-unused" since ALWAYS;
    /// Repacks at most so much: `50G`.
    text max_repack_size "--max-repack-size" since ALWAYS;
    /// Repacks only packs that can be cached.
    switch repack_cacheable_only "--repack-cacheable-only" since ALWAYS;
    /// Repacks small packs.
    switch repack_small "--repack-small" since v(14, 0);
    /// Repacks packs below this size: `16M`.
    text repack_smaller_than "--repack-smaller-than" since v(18, 0);
    /// Compresses what is not compressed yet.
    switch repack_uncompressed "--repack-uncompressed" since v(14, 0);
});

flags!(Prune {
    /// Writes nothing, only says what would be done.
    switch dry_run "--dry-run" since v(12, 0);
    /// How much unused data may stay: `5%`, `10G`, `unlimited`.
    text max_unused "--max-unused" since ALWAYS;
    /// Repacks at most so much: `50G`; `0` needs the least room.
    text max_repack_size "--max-repack-size" since ALWAYS;
    /// Repacks only packs that can be cached.
    switch repack_cacheable_only "--repack-cacheable-only" since ALWAYS;
    /// Repacks small packs.
    switch repack_small "--repack-small" since v(14, 0);
    /// Repacks packs below this size: `16M`.
    text repack_smaller_than "--repack-smaller-than" since v(18, 0);
    /// Compresses what is not compressed yet.
    switch repack_uncompressed "--repack-uncompressed" since v(14, 0);
    /// For a storage without any room left, see restic's documentation first.
    text unsafe_recover_no_free_space "--unsafe-recover-no-free-space" since v(14, 0);
});

impl Forget {
    /// How snapshots are put into groups; restic's default is by host and paths.
    pub fn group_by(mut self, group_by: GroupBy) -> Self {
        self.invocation
            .value("--group-by", ALWAYS, group_by.to_string());
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an empty policy.
    pub fn start(self) -> Result<Run<ForgetReport>> {
        self.repository
            .run(self.invocation, ForgetCollector::default())
    }
}

impl Prune {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for flags that the installed version lacks.
    pub fn start(self) -> Result<Run<PruneReport>> {
        self.repository
            .run(self.invocation, PruneCollector::default())
    }
}

/// More lines of one kind say nothing new.
const MOST_FAILURES: usize = 1000;

/// `Remove(<snapshot/8fc1d218fa>) failed: …`, `unable to remove snapshot/8fc1d2… from the repository`.
fn is_failed_removal(line: &str) -> bool {
    line.starts_with("Remove(<snapshot/") || line.starts_with("unable to remove snapshot/")
}

#[derive(Default)]
struct ForgetCollector {
    groups: Vec<ForgetGroup>,
    prune: PruneCollector,
    not_removed: Vec<String>,
    errors: super::ItemErrors,
}

impl Collect for ForgetCollector {
    type Output = ForgetReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        match value {
            Decoded::Document(Document::Forget(groups)) => {
                self.groups = groups;
                None
            }
            Decoded::Event(event) => {
                self.errors.note(&event);
                if let Event::Notice(notice) = &event
                    && is_failed_removal(&notice.text)
                    && self.not_removed.len() < MOST_FAILURES
                {
                    self.not_removed.push(notice.text.clone());
                }
                self.prune.take(Decoded::Event(event))
            }
            _ => None,
        }
    }

    fn finish(self, ended: &Ended) -> Result<ForgetReport> {
        Ok(ForgetReport {
            groups: self.groups,
            prune: self.prune.finish(ended)?.summary,
            partial: ended.outcome == Outcome::Partial || !self.not_removed.is_empty(),
            not_removed: self.not_removed,
            errors: self.errors.kept,
        })
    }
}

#[derive(Default)]
struct PruneCollector {
    table: PruneTable,
    summary: Option<PruneSummary>,
    damaged: Option<String>,
}

impl Collect for PruneCollector {
    type Output = PruneReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        let Decoded::Event(event) = value else {
            return None;
        };
        match &event {
            Event::Notice(notice) if self.table.line(&notice.text) => {}
            Event::Notice(notice) if notice.text.contains("index is incomplete") => {
                self.damaged = Some(notice.text.clone());
            }
            Event::PruneSummary(summary) => self.summary = Some(summary.clone()),
            _ => {}
        }
        Some(event)
    }

    fn finish(self, _: &Ended) -> Result<PruneReport> {
        if let Some(text) = self.damaged {
            return Err(Error::new(ErrorKind::Damaged, text));
        }
        Ok(PruneReport {
            summary: self.summary.or_else(|| self.table.finish()),
        })
    }
}
