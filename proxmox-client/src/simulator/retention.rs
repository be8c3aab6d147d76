//! Which backups of a guest are kept.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::simulator::calendar::Moment;

/// Rules of what is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keep {
    all: bool,
    /// By [`PERIODS`]; none where nothing is said.
    counts: [Option<u64>; 6],
}

/// From the shortest to the longest.
const PERIODS: [&str; 6] = ["last", "hourly", "daily", "weekly", "monthly", "yearly"];

/// What becomes of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Keep,
    Remove,
    Protected,
    Renamed,
}

impl Mark {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
            Self::Protected => "protected",
            Self::Renamed => "renamed",
        }
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut keep = Self::default();
        let wrong = |key: &str, why: &str| Err(format!("format error\n{key}: {why}\n"));
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(format!(
                    "format error\nvalue without key, but schema does not define a default key\n: {part}"
                ));
            };
            let period = key.strip_prefix("keep-").unwrap_or("");
            if period == "all" {
                keep.all = match value {
                    "1" | "yes" | "on" | "true" => true,
                    "0" | "no" | "off" | "false" => false,
                    other => {
                        return wrong(
                            key,
                            &format!("type check ('boolean') failed - got '{other}'"),
                        );
                    }
                };
                continue;
            }
            let Some(index) = PERIODS.iter().position(|known| *known == period) else {
                let why = "property is not defined in schema and the schema does not allow additional properties";
                return wrong(key, why);
            };
            let digits = value.strip_prefix('-').unwrap_or(value);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return wrong(
                    key,
                    &format!("type check ('integer') failed - got '{value}'"),
                );
            }
            match value.parse() {
                Ok(count) => keep.counts[index] = Some(count),
                Err(_) => return wrong(key, "value must have a minimum value of 0"),
            }
        }
        if keep.all && keep.counts.iter().flatten().any(|count| *count > 0) {
            return Err("keep-all cannot be set together with other options.\n".to_owned());
        }
        Ok(keep)
    }
}

impl Keep {
    /// Refuses what are no rules.
    pub(super) fn check(text: &str) -> Result<(), String> {
        text.parse::<Self>().map(|_| ())
    }

    /// The rules as options or a storage give them; without any everything stays.
    pub(super) fn of(text: Option<&str>) -> Self {
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Whether nothing is ever removed.
    pub(super) fn keeps_all(&self) -> bool {
        self.all || self.limit() == 0
    }

    /// How many backups the rules keep at most.
    pub(super) fn limit(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The rules as the log tells them.
    pub(super) fn told(&self) -> String {
        if self.keeps_all() {
            return "keep-all=1".to_owned();
        }
        let mut parts: Vec<String> = PERIODS
            .iter()
            .zip(self.counts)
            .filter_map(|(period, count)| Some(format!("keep-{period}={}", count?)))
            .collect();
        parts.sort();
        parts.join(", ")
    }

    /// Marks the backups of one guest: moments in seconds, and those whose fate is decided already.
    pub(super) fn mark(&self, backups: &mut [(u64, Option<Mark>)]) {
        if self.keeps_all() {
            for (_, mark) in backups.iter_mut() {
                mark.get_or_insert(Mark::Keep);
            }
            return;
        }
        let mut newest: Vec<usize> = (0..backups.len()).collect();
        newest.sort_by_key(|index| std::cmp::Reverse(backups[*index].0));
        for (period, count) in PERIODS.iter().zip(self.counts) {
            let count = count.unwrap_or(0);
            if count == 0 {
                continue;
            }
            let covered: BTreeSet<String> = backups
                .iter()
                .filter(|(_, mark)| *mark == Some(Mark::Keep))
                .map(|(at, _)| period_of(period, *at))
                .collect();
            let mut fresh: BTreeSet<String> = BTreeSet::new();
            for index in &newest {
                let (at, mark) = backups[*index];
                let id = period_of(period, at);
                if mark.is_some() || covered.contains(&id) {
                    continue;
                }
                if fresh.contains(&id) {
                    backups[*index].1 = Some(Mark::Remove);
                    continue;
                }
                if fresh.len() as u64 >= count {
                    break;
                }
                fresh.insert(id);
                backups[*index].1 = Some(Mark::Keep);
            }
        }
        for (_, mark) in backups.iter_mut() {
            mark.get_or_insert(Mark::Remove);
        }
    }
}

/// Names the period that a moment is in.
fn period_of(period: &str, at: u64) -> String {
    let moment = Moment::of(at);
    let (year, month, day) = (moment.year, moment.month, moment.day);
    match period {
        "last" => at.to_string(),
        "hourly" => format!("{}/{day}/{month}/{year}", moment.hour),
        "daily" => format!("{day}/{month}/{year}"),
        "weekly" => {
            let (year, week) = moment.week();
            format!("{week}/{year}")
        }
        "monthly" => format!("{month}/{year}"),
        _ => year.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn kept(rules: &str, at: &[u64]) -> Vec<u64> {
        let keep: Keep = rules.parse().unwrap_or_default();
        let mut backups: Vec<(u64, Option<Mark>)> = at.iter().map(|at| (*at, None)).collect();
        keep.mark(&mut backups);
        let kept = backups.iter().filter(|(_, mark)| *mark == Some(Mark::Keep));
        kept.map(|(at, _)| *at).collect()
    }

    #[test]
    fn each_rule_looks_only_at_what_the_ones_before_it_do_not_cover() {
        // Two backups a day for ten days, from a Thursday on.
        let at: Vec<u64> = (0..20).map(|half| 1_767_225_600 + half * DAY / 2).collect();
        assert_eq!(kept("keep-last=2", &at), at[18..]);
        assert_eq!(kept("keep-daily=3", &at), [at[15], at[17], at[19]]);
        assert_eq!(
            kept("keep-last=3,keep-daily=2", &at),
            [at[13], at[15], at[17], at[18], at[19]],
            "the days of the last three are covered"
        );
        assert_eq!(
            kept("keep-weekly=5", &at),
            [at[7], at[19]],
            "to Sunday, and from Monday on"
        );
        assert_eq!(kept("keep-monthly=5", &at), [at[19]]);
        assert_eq!(kept("keep-all=1", &at), at);
        assert_eq!(
            kept("keep-last=0", &at),
            at,
            "no rule keeps anything, so everything stays"
        );
    }

    #[test]
    fn what_is_protected_does_not_count() {
        let keep: Keep = "keep-last=1".parse().unwrap_or_default();
        let mut backups = [(10, None), (20, None), (30, Some(Mark::Protected))];
        keep.mark(&mut backups);
        let marks = backups.map(|(_, mark)| mark);
        let expected = [Mark::Remove, Mark::Keep, Mark::Protected].map(Some);
        assert_eq!(marks, expected);
    }

    #[test]
    fn rules_are_refused_with_the_servers_texts() {
        for (text, part) in [
            (
                "keep-last=x",
                "keep-last: type check ('integer') failed - got 'x'",
            ),
            (
                "keep-last=-1",
                "keep-last: value must have a minimum value of 0",
            ),
            ("keep-foo=1", "keep-foo: property is not defined in schema"),
            ("keep-all=1,keep-last=2", "keep-all cannot be set together"),
            ("3", "value without key"),
        ] {
            let why = text.parse::<Keep>().unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
