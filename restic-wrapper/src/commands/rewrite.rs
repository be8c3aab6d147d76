//! `tag` and `rewrite`.

use super::{ALWAYS, TextLines, builder, flags, snapshot_filters, v};
use crate::command::Command;
use crate::error::Result;
use crate::event::{Event, SnapshotChanged};
use crate::parser::Decoded;
use crate::repository::Repository;
use crate::run::{Collect, Ended, Run};
use crate::text;

builder! {
    /// Tags to be changed. See [`Repository::tag`].
    TagCommand => TagReport
}

builder! {
    /// Snapshots to be rewritten. See [`Repository::rewrite`].
    Rewrite => RewriteReport
}

/// Tags that were changed. **A snapshot whose tags change gets a new id.**
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TagReport {
    /// How many; `None` if restic did not say.
    pub changed: Option<u64>,
    /// Old and new ids (0.18 and newer).
    pub ids: Vec<SnapshotChanged>,
}

/// Snapshots that were rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RewriteReport {
    /// Short ids of the new snapshots.
    pub new_snapshots: Vec<String>,
    /// What restic said.
    pub lines: Vec<String>,
}

impl Repository {
    /// Changes the tags of the snapshots that match, or of all.
    pub fn tag(&self) -> TagCommand {
        TagCommand {
            repository: self.clone(),
            invocation: self.invocation(Command::Tag),
        }
    }

    /// Makes snapshots again without some files, or with another host or time.
    pub fn rewrite(&self) -> Rewrite {
        Rewrite {
            repository: self.clone(),
            invocation: self.invocation(Command::Rewrite),
        }
    }
}

snapshot_filters!(TagCommand);
flags!(TagCommand {
    /// Tags to add, comma separated.
    text add_tags "--add" since ALWAYS;
    /// Tags to remove, comma separated.
    text remove_tags "--remove" since ALWAYS;
    /// Tags to have instead; empty for none.
    text set_tags "--set" since ALWAYS;
});

snapshot_filters!(Rewrite);
flags!(Rewrite {
    /// Leaves out what matches this pattern.
    text exclude "--exclude" since v(15, 0);
    /// Leaves out what matches this pattern in any case of letters.
    text iexclude "--iexclude" since v(15, 0);
    /// A file of patterns to leave out.
    text exclude_file "--exclude-file" since v(15, 0);
    /// A file of patterns to leave out, in any case of letters.
    text iexclude_file "--iexclude-file" since v(15, 0);
    /// Removes the old snapshots.
    switch forget "--forget" since v(15, 0);
    /// Writes nothing, only says what would be done.
    switch dry_run "--dry-run" since v(15, 0);
    /// Another host name.
    text new_host "--new-host" since v(17, 0);
    /// Another time: `2026-11-20 12:00:00`.
    text new_time "--new-time" since v(17, 0);
    /// Adds the counts that old snapshots lack.
    switch snapshot_summary "--snapshot-summary" since v(18, 0);
});

impl TagCommand {
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
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if nothing is to be changed.
    pub fn start(mut self) -> Result<Run<TagReport>> {
        if self.invocation.args.iter().all(|a| {
            let a = a.to_string_lossy();
            !["--add=", "--remove=", "--set="]
                .iter()
                .any(|flag| a.starts_with(flag))
        }) {
            self.invocation.problem("no tag is to be changed");
        }
        self.repository
            .run(self.invocation, TagCollector::default())
    }
}

impl Rewrite {
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
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before 0.15.
    pub fn start(self) -> Result<Run<RewriteReport>> {
        self.repository
            .run(self.invocation, RewriteCollector(TextLines::default()))
    }
}

#[derive(Default)]
struct TagCollector {
    changed: Option<u64>,
    ids: Vec<SnapshotChanged>,
}

impl Collect for TagCollector {
    type Output = TagReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        let Decoded::Event(event) = value else {
            return None;
        };
        match &event {
            Event::TagSummary(summary) => self.changed = Some(summary.changed_snapshots),
            Event::SnapshotChanged(changed) => self.ids.push(changed.clone()),
            Event::Notice(notice) => {
                // `modified tags on 2 snapshots`, `no snapshots were modified`.
                if notice.text.contains("no snapshots were modified") {
                    self.changed = Some(0);
                } else if let Some(rest) = notice.text.strip_prefix("modified tags on ") {
                    self.changed = rest.split(' ').next().and_then(|n| n.parse().ok());
                }
            }
            _ => {}
        }
        Some(event)
    }

    fn finish(self, _: &Ended) -> Result<TagReport> {
        Ok(TagReport {
            changed: self.changed,
            ids: self.ids,
        })
    }
}

struct RewriteCollector(TextLines);

impl Collect for RewriteCollector {
    type Output = RewriteReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        self.0.take(value)
    }

    fn finish(self, ended: &Ended) -> Result<RewriteReport> {
        let lines = self.0.finish(ended)?;
        let new_snapshots = lines
            .iter()
            .filter_map(|line| text::saved_new(line))
            .map(str::to_owned)
            .collect();
        Ok(RewriteReport {
            new_snapshots,
            lines,
        })
    }
}
