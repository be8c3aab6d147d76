//! Reads the arguments of `restic forget` into a policy, a filter and a grouping.

use std::fmt;

use super::policy::{Filter, GroupBy, Policy, TagList, parse_count};
use super::simulate::{Plan, PlanError};
use super::zone::Zone;
use crate::snapshot::Snapshot;
use crate::timestamp::Timestamp;

/// The arguments of `restic forget`, read.
///
/// ```
/// use restic_wrapper::retention::ForgetArgs;
///
/// let args = ForgetArgs::parse(["--keep-daily", "7", "-w=5", "--host", "web-1", "--prune"])?;
/// assert_eq!(args.policy.to_string(), "daily=7 weekly=5");
/// assert!(args.prune && args.filter.hosts == ["web-1"]);
/// # Ok::<(), restic_wrapper::retention::ParseForgetError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ForgetArgs {
    /// What to keep.
    pub policy: Policy,
    /// Which snapshots to look at.
    pub filter: Filter,
    /// How to group them.
    pub group_by: GroupBy,
    /// Snapshots that were named; the policy is not looked at then.
    pub ids: Vec<String>,
    /// `--unsafe-allow-remove-all`.
    pub unsafe_allow_remove_all: bool,
    /// `--dry-run`.
    pub dry_run: bool,
    /// `--prune`.
    pub prune: bool,
    /// `--no-lock`, which needs a dry run.
    pub no_lock: bool,
}

/// An argument that restic would refuse. The sentences are restic's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseForgetError {
    /// Position of the argument, counted from 0.
    pub position: usize,
    /// What restic would say.
    pub message: String,
}

impl fmt::Display for ParseForgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ParseForgetError {}

/// Long name, letter, what it takes.
const FLAGS: [(&str, Option<char>, Takes); 32] = [
    ("keep-last", Some('l'), Takes::Count),
    ("keep-hourly", Some('H'), Takes::Count),
    ("keep-daily", Some('d'), Takes::Count),
    ("keep-weekly", Some('w'), Takes::Count),
    ("keep-monthly", Some('m'), Takes::Count),
    ("keep-yearly", Some('y'), Takes::Count),
    ("keep-within", None, Takes::Span),
    ("keep-within-hourly", None, Takes::Span),
    ("keep-within-daily", None, Takes::Span),
    ("keep-within-weekly", None, Takes::Span),
    ("keep-within-monthly", None, Takes::Span),
    ("keep-within-yearly", None, Takes::Span),
    ("keep-tag", None, Takes::Text),
    ("host", None, Takes::Text),
    ("hostname", None, Takes::Text),
    ("tag", None, Takes::Text),
    ("path", None, Takes::Text),
    ("group-by", Some('g'), Takes::Text),
    ("repo", Some('r'), Takes::Text),
    ("password-file", Some('p'), Takes::Text),
    ("option", Some('o'), Takes::Text),
    ("cache-dir", None, Takes::Text),
    ("max-unused", None, Takes::Text),
    ("retry-lock", None, Takes::Text),
    ("unsafe-allow-remove-all", None, Takes::Nothing),
    ("dry-run", Some('n'), Takes::Nothing),
    ("prune", None, Takes::Nothing),
    ("compact", Some('c'), Takes::Nothing),
    ("json", None, Takes::Nothing),
    ("no-lock", None, Takes::Nothing),
    ("no-cache", None, Takes::Nothing),
    ("quiet", Some('q'), Takes::Nothing),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Count,
    Span,
    Text,
    Nothing,
}

impl ForgetArgs {
    /// Reads arguments, with or without the word `forget` before them.
    ///
    /// # Errors
    ///
    /// The first argument that restic would refuse, with restic's sentence.
    pub fn parse<S: AsRef<str>>(
        args: impl IntoIterator<Item = S>,
    ) -> Result<Self, ParseForgetError> {
        let args: Vec<S> = args.into_iter().collect();
        let mut read = Self::default();
        let mut at = 0;
        let mut only_operands = false;
        let mut command_seen = false;
        while at < args.len() {
            let position = at;
            let arg = args[at].as_ref();
            at += 1;
            let fail = |message: String| ParseForgetError { position, message };
            if only_operands || !arg.starts_with('-') || arg == "-" {
                if !command_seen && arg == "forget" && read.ids.is_empty() {
                    command_seen = true;
                } else {
                    read.ids.push(arg.to_owned());
                }
                continue;
            }
            if arg == "--" {
                only_operands = true;
                continue;
            }
            let mut next = || {
                let value = args.get(at).map(|value| value.as_ref().to_owned());
                at += 1;
                value
            };
            if let Some(long) = arg.strip_prefix("--") {
                let (name, inline) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                let Some((name, letter, takes)) =
                    FLAGS.iter().find(|(flag, _, _)| *flag == name).copied()
                else {
                    return Err(fail(format!("unknown flag: --{name}")));
                };
                let value = match (takes, inline) {
                    (Takes::Nothing, inline) => inline.unwrap_or_else(|| "true".to_owned()),
                    (_, Some(value)) => value,
                    (_, None) => {
                        next().ok_or_else(|| fail(format!("flag needs an argument: {arg}")))?
                    }
                };
                read.set(name, letter, takes, &value).map_err(fail)?;
                continue;
            }
            let mut letters = arg[1..].chars();
            while let Some(c) = letters.next() {
                let Some((name, letter, takes)) = FLAGS
                    .iter()
                    .find(|(_, letter, _)| *letter == Some(c))
                    .copied()
                else {
                    return Err(fail(format!("unknown shorthand flag: '{c}' in {arg}")));
                };
                if takes == Takes::Nothing {
                    read.set(name, letter, takes, "true").map_err(fail)?;
                    continue;
                }
                let rest = letters.as_str();
                let value = if rest.is_empty() {
                    next().ok_or_else(|| fail(format!("flag needs an argument: '{c}' in {arg}")))?
                } else {
                    rest.strip_prefix('=').unwrap_or(rest).to_owned()
                };
                read.set(name, letter, takes, &value).map_err(fail)?;
                break;
            }
        }
        // One empty host is how a default of the environment is unset: all hosts.
        if read.filter.hosts == [""] {
            read.filter.hosts.clear();
        }
        Ok(read)
    }

    fn set(
        &mut self,
        name: &str,
        letter: Option<char>,
        takes: Takes,
        value: &str,
    ) -> Result<(), String> {
        let flag = match letter {
            Some(letter) => format!("-{letter}, --{name}"),
            None => format!("--{name}"),
        };
        let invalid =
            |why: String| format!("invalid argument {value:?} for \"{flag}\" flag: {why}");
        let rule = name.strip_prefix("keep-").unwrap_or(name);
        match takes {
            Takes::Count => {
                let count = parse_count(value).map_err(invalid)?;
                if let Some(slot) = self.policy.count_mut(rule) {
                    *slot = count;
                }
            }
            Takes::Span => {
                let span = value.parse().map_err(|e: super::ParseSpanError| {
                    // restic prints the letter as a rune.
                    invalid(match e {
                        super::ParseSpanError::BadUnit { unit, number } => {
                            format!("invalid unit '{unit}' found after number {number}")
                        }
                        other => other.to_string(),
                    })
                })?;
                if let Some(slot) = self.policy.span_mut(rule) {
                    *slot = span;
                }
            }
            Takes::Text => match name {
                "keep-tag" => self.policy.tags.push(TagList::parse(value)),
                "host" | "hostname" => self.filter.hosts.push(value.to_owned()),
                "tag" => self.filter.tags.push(TagList::parse(value)),
                "path" => self.filter.paths.push(value.to_owned()),
                "group-by" => self.group_by = value.parse().map_err(invalid)?,
                _ => {}
            },
            Takes::Nothing => {
                let on = match value {
                    "true" | "1" | "t" | "T" | "TRUE" | "True" => true,
                    "false" | "0" | "f" | "F" | "FALSE" | "False" => false,
                    other => {
                        return Err(invalid(format!(
                            "strconv.ParseBool: parsing {other:?}: invalid syntax"
                        )));
                    }
                };
                match name {
                    "unsafe-allow-remove-all" => self.unsafe_allow_remove_all = on,
                    "dry-run" => self.dry_run = on,
                    "prune" => self.prune = on,
                    "no-lock" => self.no_lock = on,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// What `forget --dry-run` with these arguments would do. No groups if snapshots were named: restic prints nothing
    /// then, and removes exactly those.
    ///
    /// # Errors
    ///
    /// [`PlanError`], as restic would fail.
    pub fn plan<'a>(
        &self,
        snapshots: &'a [Snapshot],
        now: Timestamp,
        zone: &Zone,
    ) -> Result<Plan<'a>, PlanError> {
        if self
            .policy
            .spans()
            .iter()
            .any(|(_, span)| span.has_negative())
        {
            return Err(PlanError::NegativeSpan);
        }
        if !self.ids.is_empty() {
            return Ok(Plan { groups: Vec::new() });
        }
        if self.policy.is_empty() {
            if !self.unsafe_allow_remove_all {
                return Err(PlanError::NoPolicy);
            }
            if self.filter.is_empty() {
                return Err(PlanError::RemoveAllWithoutFilter);
            }
        }
        let matching = snapshots
            .iter()
            .filter(|snapshot| self.filter.matches(snapshot));
        self.policy.plan(matching, self.group_by, now, zone)
    }
}
