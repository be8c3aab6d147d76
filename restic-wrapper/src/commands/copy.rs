//! `copy`.

use super::{builder, snapshot_filters, v};
use crate::command::Command;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::parser::Decoded;
use crate::repository::Repository;
use crate::run::{Collect, Ended, Run};
use crate::text;

builder! {
    /// A copy to be made. See [`Repository::copy_from`].
    Copy => CopyReport
}

/// A snapshot that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// First digits of its id in the source.
    pub from: String,
    /// First digits of its id in the target; `None` if it was there already.
    pub to: Option<String>,
}

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyReport {
    /// Every snapshot that was looked at.
    pub snapshots: Vec<Copied>,
}

impl Repository {
    /// Copies snapshots of another repository into this one. Those that are here already are skipped.
    ///
    /// Data is shared between the two only if both cut files alike, see [`Repository::same_chunker`]. Both repositories
    /// get their credentials through one environment, so that they can be of one kind of cloud only if the credentials
    /// are the same.
    pub fn copy_from(&self, source: &Self) -> Copy {
        let mut invocation = self.invocation(Command::Copy);
        invocation.needs("--from-repo", v(14, 0));
        source.apply_as_source(&mut invocation);
        for (name, value) in &invocation.secret_env {
            let conflict = invocation
                .secret_env
                .iter()
                .any(|(other, theirs)| other == name && theirs.expose() != value.expose());
            if conflict {
                invocation.problems.push(format!(
                    "both repositories need {} with different values, and restic has one environment",
                    name.to_string_lossy()
                ));
                break;
            }
        }
        Copy {
            repository: self.clone(),
            invocation,
        }
    }

    /// Whether two repositories cut files into chunks alike, so that copies share data.
    ///
    /// # Errors
    ///
    /// What can stop a repository from opening.
    pub async fn same_chunker(&self, other: &Self) -> Result<bool> {
        let (ours, theirs) = (self.config().await?, other.config().await?);
        Ok(ours.chunker_polynomial == theirs.chunker_polynomial)
    }
}

snapshot_filters!(Copy);

impl Copy {
    /// Only these snapshots, by id.
    pub fn ids<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.invocation
            .operands
            .extend(ids.into_iter().map(|id| id.into().into()));
        self
    }

    /// Refuses to copy between repositories that cut files differently: everything would be stored twice.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if they do; what can stop a repository from opening.
    pub async fn only_if_chunkers_match(self, source: &Repository) -> Result<Self> {
        if self.repository.same_chunker(source).await? {
            Ok(self)
        } else {
            Err(Error::new(
                ErrorKind::InvalidInput,
                "the two repositories cut files differently; create the target with copy_chunker_params",
            )
            .doing("restic copy"))
        }
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the credentials of the two cannot be given at once.
    pub fn start(self) -> Result<Run<CopyReport>> {
        self.repository
            .run(self.invocation, CopyCollector::default())
    }
}

#[derive(Default)]
struct CopyCollector {
    snapshots: Vec<Copied>,
}

impl Collect for CopyCollector {
    type Output = CopyReport;

    fn take(&mut self, value: Decoded<'_>) -> Option<Event> {
        let Decoded::Event(event) = value else {
            return None;
        };
        if let Event::Notice(notice) = &event {
            if let Some((new, from)) = text::copied(&notice.text) {
                // 0.19 copies several at once and names the source; older ones save right after they have named it.
                let entry = match from {
                    Some(from) => self.snapshots.iter_mut().find(|it| it.from == from),
                    None => self.snapshots.last_mut(),
                };
                if let Some(entry) = entry {
                    entry.to = Some(new);
                }
            } else if let Some(rest) = notice.text.strip_prefix("snapshot ")
                && let Some((id, _)) = rest.split_once(" of [")
            {
                self.snapshots.push(Copied {
                    from: id.to_owned(),
                    to: None,
                });
            } else if let Some((_, id)) = notice.text.split_once("skipping source snapshot ")
                && let Some(id) = id.split([',', ' ']).next()
                && self.snapshots.last().is_none_or(|last| last.from != id)
            {
                self.snapshots.push(Copied {
                    from: id.to_owned(),
                    to: None,
                });
            }
        }
        Some(event)
    }

    fn finish(self, _: &Ended) -> Result<CopyReport> {
        Ok(CopyReport {
            snapshots: self.snapshots,
        })
    }
}
