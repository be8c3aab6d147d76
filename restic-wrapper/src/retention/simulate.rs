//! Applies a policy to snapshots, as `forget --dry-run` would.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use super::policy::{Count, GroupBy, Policy};
use super::zone::Zone;
use crate::snapshot::{GroupKey, Snapshot};
use crate::timestamp::Timestamp;

/// A stretch of the calendar that counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the words of the rules")]
pub enum Bucket {
    Last,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl Bucket {
    const ALL: [Self; 6] = [
        Self::Last,
        Self::Hourly,
        Self::Daily,
        Self::Weekly,
        Self::Monthly,
        Self::Yearly,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }
}

/// Why a snapshot stays. [`Policy::explain`] gives restic's words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It has the tags of this list of the policy, counted from 0.
    Tags(usize),
    /// It lies within the span.
    Within,
    /// It is the newest of its hour, day, …; `oldest` if it stays only because the rule had room left at the end.
    #[non_exhaustive]
    Counted {
        /// The rule.
        bucket: Bucket,
        /// Whether it is the last of all and the rule had room left.
        oldest: bool,
    },
    /// The same for a rule with a span.
    #[non_exhaustive]
    CountedWithin {
        /// The rule.
        bucket: Bucket,
        /// Whether it is the last of all.
        oldest: bool,
    },
}

impl Policy {
    /// restic's words for a reason: `daily snapshot`, `oldest weekly within 1y`, `has tags [a, b]`.
    #[must_use]
    pub fn explain(&self, reason: Reason) -> String {
        let old = |oldest: bool| if oldest { "oldest " } else { "" };
        match reason {
            Reason::Tags(index) => {
                let list = self
                    .tags
                    .get(index)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                format!("has tags {list}")
            }
            Reason::Within => format!("within {}", self.within),
            Reason::Counted { bucket, oldest } => {
                format!("{}{} snapshot", old(oldest), bucket.word())
            }
            Reason::CountedWithin { bucket, oldest } => {
                let span = match bucket {
                    Bucket::Last | Bucket::Hourly => self.within_hourly,
                    Bucket::Daily => self.within_daily,
                    Bucket::Weekly => self.within_weekly,
                    Bucket::Monthly => self.within_monthly,
                    Bucket::Yearly => self.within_yearly,
                };
                format!("{}{} within {span}", old(oldest), bucket.word())
            }
        }
    }

    /// Applies the policy. `now` matters for snapshots that claim to be from the future: they are not the newest from
    /// which spans look back. `zone` is the zone of the process that would run restic.
    ///
    /// An empty policy keeps nothing here; whether that is allowed is the caller's question.
    ///
    /// # Errors
    ///
    /// [`PlanError::WouldEmptyGroup`] if the policy has rules and none keeps any snapshot of a group.
    pub fn plan<'a>(
        &self,
        snapshots: impl IntoIterator<Item = &'a Snapshot>,
        group_by: GroupBy,
        now: Timestamp,
        zone: &Zone,
    ) -> Result<Plan<'a>, PlanError> {
        let mut groups = group(snapshots, group_by);
        let empty = self.is_empty();
        let mut plan = Plan {
            groups: Vec::with_capacity(groups.len()),
        };
        for (key, list) in &mut groups {
            let group = self.apply(std::mem::take(key), std::mem::take(list), now, zone);
            if group.keep.is_empty() && !empty {
                return Err(PlanError::WouldEmptyGroup(describe(&group.key)));
            }
            plan.groups.push(group);
        }
        Ok(plan)
    }

    fn apply<'a>(
        &self,
        key: GroupKey,
        mut list: Vec<&'a Snapshot>,
        now: Timestamp,
        zone: &Zone,
    ) -> GroupPlan<'a> {
        // A stable sort: snapshots of one instant stay in the order they came in.
        list.sort_by_key(|snapshot| Reverse(snapshot.time.instant()));
        let newest = list
            .iter()
            .map(|snapshot| snapshot.time)
            .find(|time| time.instant() < now.instant())
            // All of them are from the future: spans then look back from the beginning of time.
            .unwrap_or_else(|| Timestamp::new(i64::MIN, 0, 0));
        let horizon = |span: super::Span| (!span.is_zero()).then(|| zone.back(newest, span));
        let within = horizon(self.within);
        let spans = self.spans();
        let mut within_buckets: [(Bucket, Option<Instant>, i64); 5] =
            std::array::from_fn(|i| (Bucket::ALL[i + 1], horizon(spans[i + 1].1), -1));
        let counts = self.counts();
        let mut buckets: [(Bucket, Count, i64); 6] =
            std::array::from_fn(|i| (Bucket::ALL[i], counts[i].1, -1));
        let last_index = list.len().wrapping_sub(1);
        let mut plan = GroupPlan {
            key,
            keep: Vec::new(),
            remove: Vec::new(),
        };
        for (index, snapshot) in list.into_iter().enumerate() {
            let mut reasons = Vec::new();
            let stamps = Stamps::of(snapshot.time, index);
            let instant = snapshot.time.instant();
            let is_last = index == last_index;
            for (at, tags) in self.tags.iter().enumerate() {
                if tags.matches(&snapshot.tags) {
                    reasons.push(Reason::Tags(at));
                }
            }
            if within.is_some_and(|limit| instant > limit) {
                reasons.push(Reason::Within);
            }
            for (bucket, count, last) in &mut buckets {
                if count.is_zero() {
                    continue;
                }
                let stamp = stamps.get(*bucket);
                if stamp != *last || is_last {
                    reasons.push(Reason::Counted {
                        bucket: *bucket,
                        oldest: stamp == *last,
                    });
                    *last = stamp;
                    if let Count::Newest(left) = count {
                        *left -= 1;
                    }
                }
            }
            for (bucket, limit, last) in &mut within_buckets {
                if !limit.is_some_and(|limit| instant > limit) {
                    continue;
                }
                let stamp = stamps.get(*bucket);
                if stamp != *last || is_last {
                    reasons.push(Reason::CountedWithin {
                        bucket: *bucket,
                        oldest: stamp == *last,
                    });
                    *last = stamp;
                }
            }
            if reasons.is_empty() {
                plan.remove.push(snapshot);
            } else {
                plan.keep.push((snapshot, reasons));
            }
        }
        plan
    }
}

/// The stretches of the calendar that a snapshot belongs to, as numbers.
struct Stamps {
    index: i64,
    hour: i64,
    day: i64,
    week: i64,
    month: i64,
    year: i64,
}

impl Stamps {
    fn of(time: Timestamp, index: usize) -> Self {
        let (year, month, day, hour, _, _) = time.civil();
        let (week_year, week) = time.iso_week();
        let month = year * 100 + i64::from(month);
        let day = month * 100 + i64::from(day);
        Self {
            index: i64::try_from(index).unwrap_or(i64::MAX),
            hour: day * 100 + i64::from(hour),
            day,
            week: week_year * 100 + i64::from(week),
            month,
            year,
        }
    }

    fn get(&self, bucket: Bucket) -> i64 {
        match bucket {
            Bucket::Last => self.index,
            Bucket::Hourly => self.hour,
            Bucket::Daily => self.day,
            Bucket::Weekly => self.week,
            Bucket::Monthly => self.month,
            Bucket::Yearly => self.year,
        }
    }
}

/// What would stay and what would go.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan<'a> {
    /// The groups, sorted by their keys.
    pub groups: Vec<GroupPlan<'a>>,
}

impl<'a> Plan<'a> {
    /// Everything that would go.
    pub fn removed(&self) -> impl Iterator<Item = &'a Snapshot> + '_ {
        self.groups
            .iter()
            .flat_map(|group| group.remove.iter().copied())
    }

    /// Everything that would stay.
    pub fn kept(&self) -> impl Iterator<Item = &'a Snapshot> + '_ {
        self.groups
            .iter()
            .flat_map(|group| group.keep.iter().map(|(snapshot, _)| *snapshot))
    }
}

/// What would stay and what would go of one group; newest first.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupPlan<'a> {
    /// What the snapshots have in common.
    pub key: GroupKey,
    /// What stays, and why.
    pub keep: Vec<(&'a Snapshot, Vec<Reason>)>,
    /// What goes.
    pub remove: Vec<&'a Snapshot>,
}

/// Why there is no plan. The sentences are restic's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No rule was given.
    #[error("no policy was specified, no snapshots will be removed")]
    NoPolicy,
    /// The rules would remove every snapshot of a group.
    #[error("refusing to delete last snapshot of snapshot group \"{0}\"")]
    WouldEmptyGroup(String),
    /// Removing everything needs a filter.
    #[error(
        "--unsafe-allow-remove-all is not allowed unless a snapshot filter option is specified"
    )]
    RemoveAllWithoutFilter,
    /// A number below zero.
    #[error("durations containing negative values are not allowed for --keep-within*")]
    NegativeSpan,
}

/// `host alpha, path [/data/a /data/b], tags [x]`.
pub(crate) fn describe(key: &GroupKey) -> String {
    struct Words<'a>(&'a [String]);
    impl fmt::Display for Words<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "[{}]", self.0.join(" "))
        }
    }
    let mut parts = Vec::new();
    if !key.hostname.is_empty() {
        parts.push(format!("host {}", key.hostname));
    }
    if let Some(paths) = key.paths.as_deref().filter(|paths| !paths.is_empty()) {
        parts.push(format!("path {}", Words(paths)));
    }
    if let Some(tags) = key.tags.as_deref().filter(|tags| !tags.is_empty()) {
        parts.push(format!("tags {}", Words(tags)));
    }
    parts.join(", ")
}

/// Seconds and nanoseconds, as [`Timestamp::instant`] gives them.
type Instant = (i64, u32);

type BorrowedKey<'a> = (&'a str, Cow<'a, [String]>, Cow<'a, [String]>);

/// Puts snapshots into groups, sorted by key; the lists keep the order of the input.
fn group<'a>(
    snapshots: impl IntoIterator<Item = &'a Snapshot>,
    group_by: GroupBy,
) -> Vec<(GroupKey, Vec<&'a Snapshot>)> {
    fn sorted(list: &[String]) -> Cow<'_, [String]> {
        if list.is_sorted() {
            return Cow::Borrowed(list);
        }
        let mut list = list.to_vec();
        list.sort();
        Cow::Owned(list)
    }
    let mut groups: HashMap<BorrowedKey<'a>, Vec<&'a Snapshot>> = HashMap::new();
    for snapshot in snapshots {
        let key: BorrowedKey<'a> = (
            if group_by.host {
                &snapshot.hostname
            } else {
                ""
            },
            if group_by.paths {
                sorted(&snapshot.paths)
            } else {
                Cow::Borrowed(&[])
            },
            if group_by.tags {
                sorted(&snapshot.tags)
            } else {
                Cow::Borrowed(&[])
            },
        );
        groups.entry(key).or_default().push(snapshot);
    }
    let some = |list: Cow<'_, [String]>| (!list.is_empty()).then(|| list.into_owned());
    let mut groups: Vec<(GroupKey, Vec<&Snapshot>)> = groups
        .into_iter()
        .map(|((host, paths, tags), list)| {
            let key = GroupKey {
                hostname: host.to_owned(),
                paths: some(paths),
                tags: some(tags),
            };
            (key, list)
        })
        .collect();
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    groups
}
