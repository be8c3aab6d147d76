//! Advice about a policy, and a picture of what it keeps.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::policy::{Count, Policy};
use super::simulate::Plan;

/// Something about a policy that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// No rule: nothing can be removed, restic refuses.
    NoRules,
    /// A rule is unlimited where nothing else limits it: every snapshot stays for ever.
    KeepsEverything,
    /// Nothing would go although there are several snapshots, because each is in a group of its own: the paths, tags or
    /// hosts change from run to run.
    #[non_exhaustive]
    GroupsOfOne {
        /// How many groups.
        groups: usize,
    },
    /// The rules with numbers reach back only so many days; older snapshots all go.
    #[non_exhaustive]
    ShortMemory {
        /// Days from the newest snapshot to the oldest that stays.
        days: i64,
    },
    /// More than nine in ten snapshots would go in one run.
    #[non_exhaustive]
    RemovesMost {
        /// How many go.
        removed: usize,
        /// How many there are.
        of: usize,
    },
}

impl Advice {
    /// Looks at a policy and at what it would do.
    #[must_use]
    pub fn on(policy: &Policy, plan: &Plan<'_>) -> Vec<Self> {
        let mut advice = Vec::new();
        if policy.is_empty() {
            advice.push(Self::NoRules);
        }
        if policy.last == Count::Unlimited {
            advice.push(Self::KeepsEverything);
        }
        let kept = plan.kept().count();
        let removed = plan.removed().count();
        let single = |group: &super::GroupPlan<'_>| group.keep.len() + group.remove.len() == 1;
        if plan.groups.len() >= 3 && plan.groups.iter().all(single) {
            advice.push(Self::GroupsOfOne {
                groups: plan.groups.len(),
            });
        }
        let seconds: Vec<i64> = plan.kept().map(|s| s.time.unix_seconds()).collect();
        if removed > 0
            && let (Some(oldest), Some(newest)) = (seconds.iter().min(), seconds.iter().max())
            && (newest - oldest) / 86_400 < 3
        {
            advice.push(Self::ShortMemory {
                days: (newest - oldest) / 86_400,
            });
        }
        if removed >= 10 && removed > 9 * kept {
            advice.push(Self::RemovesMost {
                removed,
                of: removed + kept,
            });
        }
        advice
    }
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRules => f.write_str("the policy has no rule; restic refuses to run it"),
            Self::KeepsEverything => f.write_str("last=unlimited keeps every snapshot for ever"),
            Self::GroupsOfOne { groups } => write!(
                f,
                "each of the {groups} groups has one snapshot, so that none ever goes: group by host alone, or back up under fixed paths"
            ),
            Self::ShortMemory { days } => {
                write!(
                    f,
                    "nothing older than {days} days before the newest snapshot stays"
                )
            }
            Self::RemovesMost { removed, of } => {
                write!(f, "{removed} of {of} snapshots go at once")
            }
        }
    }
}

/// A picture of what stays and goes: one line for each month, one sign for each day. `#` a snapshot stays, `x` all of the
/// day go, `.` there is none. Days are those of the snapshots' own clocks; newest month first.
#[must_use]
pub fn calendar(plan: &Plan<'_>) -> String {
    let mut months: BTreeMap<(i64, u32), [char; 31]> = BTreeMap::new();
    let mut mark = |time: crate::Timestamp, sign: char| {
        let (year, month, day, ..) = time.civil();
        let days = months.entry((year, month)).or_insert(['.'; 31]);
        if let Some(slot) = days.get_mut(day as usize - 1)
            && *slot != '#'
        {
            *slot = sign;
        }
    };
    for snapshot in plan.removed() {
        mark(snapshot.time, 'x');
    }
    for snapshot in plan.kept() {
        mark(snapshot.time, '#');
    }
    let mut out = String::from("         1       8       15      22      29\n");
    for ((year, month), days) in months.iter().rev() {
        let first = crate::timestamp::days_from_civil(*year, i64::from(*month), 1);
        let after = crate::timestamp::days_from_civil(*year, i64::from(*month) + 1, 1);
        let length = usize::try_from(after - first).unwrap_or(31).min(31);
        let _ = write!(out, "{year:04}-{month:02}  ");
        for (at, sign) in days[..length].iter().enumerate() {
            if at > 0 && at % 7 == 0 {
                out.push(' ');
            }
            out.push(*sign);
        }
        out.push('\n');
    }
    out
}
