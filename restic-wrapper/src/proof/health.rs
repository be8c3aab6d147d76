//! Whether backups still come, and whether they still have the size that they should.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::retention::GroupBy;
use crate::snapshot::{GroupKey, Snapshot};
use crate::timestamp::Timestamp;

/// What is still healthy.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// The newest snapshot of a group may be this old.
    pub max_age: Duration,
    /// A backup may shrink to this part of the one before (0.5: to half of it).
    pub min_ratio: f64,
    /// A backup may grow to this multiple of the one before.
    pub max_ratio: f64,
}

impl Default for Limits {
    /// A day and two hours; not less than half and not more than three times the one before.
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(26 * 3600),
            min_ratio: 0.5,
            max_ratio: 3.0,
        }
    }
}

impl Limits {
    /// Sets [`Limits::max_age`].
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets [`Limits::min_ratio`] and [`Limits::max_ratio`].
    #[must_use]
    pub fn ratio(mut self, min: f64, max: f64) -> Self {
        (self.min_ratio, self.max_ratio) = (min, max);
        self
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "finding")]
#[non_exhaustive]
pub enum Finding {
    /// There is no snapshot at all.
    NoSnapshots,
    /// The newest snapshot of a group is too old.
    #[non_exhaustive]
    Stale {
        /// The group.
        group: GroupKey,
        /// Seconds since its newest snapshot.
        age_seconds: u64,
    },
    /// A backup is much smaller or larger than the one before.
    #[non_exhaustive]
    SizeJump {
        /// The group.
        group: GroupKey,
        /// Bytes of the one before.
        before: u64,
        /// Bytes of the newest.
        now: u64,
    },
    /// The newest snapshot claims to be from the future.
    #[non_exhaustive]
    FromTheFuture {
        /// The group.
        group: GroupKey,
        /// Its time.
        time: Timestamp,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |group: &GroupKey| match crate::retention::describe(group) {
            text if text.is_empty() => "all snapshots".to_owned(),
            text => text,
        };
        match self {
            Self::NoSnapshots => f.write_str("there is no snapshot"),
            Self::Stale { group, age_seconds } => {
                write!(
                    f,
                    "{}: the newest snapshot is {} hours old",
                    name(group),
                    age_seconds / 3600
                )
            }
            Self::SizeJump { group, before, now } => {
                write!(
                    f,
                    "{}: the size went from {before} to {now} bytes",
                    name(group)
                )
            }
            Self::FromTheFuture { group, time } => {
                write!(
                    f,
                    "{}: the newest snapshot claims to be of {time}",
                    name(group)
                )
            }
        }
    }
}

/// One look at the snapshots of a repository.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// What is not as it should be; empty when all is well.
    pub findings: Vec<Finding>,
    /// How many snapshots there are.
    pub snapshots: usize,
    /// Bytes that backups added in the last 30 days, where snapshots say so (0.17 and newer).
    pub added_30_days: u64,
}

impl Health {
    /// Looks at snapshots, group by group.
    #[must_use]
    pub fn of(snapshots: &[Snapshot], group_by: GroupBy, limits: &Limits, now: Timestamp) -> Self {
        let mut groups: BTreeMap<GroupKey, Vec<&Snapshot>> = BTreeMap::new();
        for snapshot in snapshots {
            groups
                .entry(group_by.key(snapshot))
                .or_default()
                .push(snapshot);
        }
        let mut findings = Vec::new();
        if groups.is_empty() {
            findings.push(Finding::NoSnapshots);
        }
        for (group, mut list) in groups {
            list.sort_by_key(|snapshot| snapshot.time);
            let Some(newest) = list.last() else { continue };
            if newest.time.instant() > now.instant() {
                findings.push(Finding::FromTheFuture {
                    group: group.clone(),
                    time: newest.time,
                });
            }
            let age = now.since(newest.time);
            if age > limits.max_age {
                findings.push(Finding::Stale {
                    group: group.clone(),
                    age_seconds: age.as_secs(),
                });
            }
            let size = |snapshot: &&Snapshot| {
                snapshot
                    .summary
                    .as_ref()
                    .map(|it| it.counts.total_bytes_processed)
            };
            let before = list.len().checked_sub(2).and_then(|at| size(&list[at]));
            if let (Some(before), Some(now)) = (before, size(newest)) {
                #[allow(clippy::cast_precision_loss, reason = "a ratio of sizes")]
                let ratio = now as f64 / before.max(1) as f64;
                if ratio < limits.min_ratio || ratio > limits.max_ratio {
                    findings.push(Finding::SizeJump { group, before, now });
                }
            }
        }
        let month = Duration::from_secs(30 * 86_400);
        let added = snapshots
            .iter()
            .filter(|snapshot| now.since(snapshot.time) <= month)
            .filter_map(|snapshot| snapshot.summary.as_ref())
            .map(|it| it.counts.data_added_packed.unwrap_or(it.counts.data_added))
            .fold(0_u64, u64::saturating_add);
        Self {
            findings,
            snapshots: snapshots.len(),
            added_30_days: added,
        }
    }

    /// Whether all is well.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}
