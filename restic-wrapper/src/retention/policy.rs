//! The rules: what to keep, which snapshots to look at, how to group them.

use std::fmt;
use std::str::FromStr;

use super::duration::Span;
use crate::snapshot::{GroupKey, Snapshot};

/// How many snapshots of a kind stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Count {
    /// The newest so many.
    Newest(u64),
    /// All.
    Unlimited,
}

impl Default for Count {
    fn default() -> Self {
        Self::Newest(0)
    }
}

impl From<u64> for Count {
    fn from(count: u64) -> Self {
        Self::Newest(count)
    }
}

impl Count {
    pub(crate) fn is_zero(self) -> bool {
        self == Self::Newest(0)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest(count) => write!(f, "{count}"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// Tags of which a snapshot must have all. The empty tag matches a snapshot without tags.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TagList(pub Vec<String>);

impl TagList {
    /// Reads `a,b`; spaces around tags do not count.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.split(',').map(|tag| tag.trim().to_owned()).collect())
    }

    /// Whether a snapshot with these tags has all of them.
    #[must_use]
    pub fn matches(&self, tags: &[String]) -> bool {
        for wanted in &self.0 {
            if wanted.is_empty() && tags.is_empty() {
                return true;
            }
            if !tags.contains(wanted) {
                return false;
            }
        }
        true
    }
}

impl fmt::Display for TagList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0.join(", "))
    }
}

/// What to keep. A snapshot stays if any rule keeps it.
///
/// Rules with a number count the newest snapshot of each hour, day, week, month or year, on the clock of the snapshot.
/// Rules with a span look back from the newest snapshot, not from today: a machine that is switched off loses nothing.
///
/// ```
/// use restic_wrapper::retention::Policy;
///
/// let policy: Policy = "daily=7 weekly=5 monthly=12 within=3d".parse()?;
/// assert_eq!(policy.to_string(), "daily=7 weekly=5 monthly=12 within=3d");
/// assert_eq!(policy.to_args()[0], "--keep-daily=7");
/// # Ok::<(), restic_wrapper::retention::ParsePolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Policy {
    /// The newest snapshots.
    pub last: Count,
    /// One of each of the newest hours.
    pub hourly: Count,
    /// One of each of the newest days.
    pub daily: Count,
    /// One of each of the newest ISO weeks.
    pub weekly: Count,
    /// One of each of the newest months.
    pub monthly: Count,
    /// One of each of the newest years.
    pub yearly: Count,
    /// All within this span.
    pub within: Span,
    /// One of each hour within this span.
    pub within_hourly: Span,
    /// One of each day within this span.
    pub within_daily: Span,
    /// One of each week within this span.
    pub within_weekly: Span,
    /// One of each month within this span.
    pub within_monthly: Span,
    /// One of each year within this span.
    pub within_yearly: Span,
    /// All with all tags of one of these lists.
    pub tags: Vec<TagList>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, value: impl Into<$type>) -> Self {
            self.$field = value.into();
            self
        }
    )*};
}

impl Policy {
    /// Keeps nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Keeps the newest so many.
        last: Count;
        /// Keeps one of each of the newest so many hours.
        hourly: Count;
        /// Keeps one of each of the newest so many days.
        daily: Count;
        /// Keeps one of each of the newest so many weeks.
        weekly: Count;
        /// Keeps one of each of the newest so many months.
        monthly: Count;
        /// Keeps one of each of the newest so many years.
        yearly: Count;
        /// Keeps all within this span.
        within: Span;
        /// Keeps one of each hour within this span.
        within_hourly: Span;
        /// Keeps one of each day within this span.
        within_daily: Span;
        /// Keeps one of each week within this span.
        within_weekly: Span;
        /// Keeps one of each month within this span.
        within_monthly: Span;
        /// Keeps one of each year within this span.
        within_yearly: Span;
    }

    /// Keeps all snapshots with all of these tags (`a,b`).
    #[must_use]
    pub fn tag(mut self, tags: &str) -> Self {
        self.tags.push(TagList::parse(tags));
        self
    }

    pub(crate) fn counts(&self) -> [(&'static str, Count); 6] {
        [
            ("last", self.last),
            ("hourly", self.hourly),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ]
    }

    pub(crate) fn spans(&self) -> [(&'static str, Span); 6] {
        [
            ("within", self.within),
            ("within-hourly", self.within_hourly),
            ("within-daily", self.within_daily),
            ("within-weekly", self.within_weekly),
            ("within-monthly", self.within_monthly),
            ("within-yearly", self.within_yearly),
        ]
    }

    pub(crate) fn count_mut(&mut self, name: &str) -> Option<&mut Count> {
        Some(match name {
            "last" => &mut self.last,
            "hourly" => &mut self.hourly,
            "daily" => &mut self.daily,
            "weekly" => &mut self.weekly,
            "monthly" => &mut self.monthly,
            "yearly" => &mut self.yearly,
            _ => return None,
        })
    }

    pub(crate) fn span_mut(&mut self, name: &str) -> Option<&mut Span> {
        Some(match name {
            "within" => &mut self.within,
            "within-hourly" => &mut self.within_hourly,
            "within-daily" => &mut self.within_daily,
            "within-weekly" => &mut self.within_weekly,
            "within-monthly" => &mut self.within_monthly,
            "within-yearly" => &mut self.within_yearly,
            _ => return None,
        })
    }

    /// Whether no rule keeps anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
            && self.counts().iter().all(|(_, count)| count.is_zero())
            && self.spans().iter().all(|(_, span)| span.is_zero())
    }

    /// The flags of `restic forget` for it.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let counts = self
            .counts()
            .into_iter()
            .filter(|(_, count)| !count.is_zero());
        let spans = self.spans().into_iter().filter(|(_, span)| !span.is_zero());
        counts
            .map(|(name, count)| format!("--keep-{name}={count}"))
            .chain(spans.map(|(name, span)| format!("--keep-{name}={span}")))
            .chain(
                self.tags
                    .iter()
                    .map(|tags| format!("--keep-tag={}", tags.0.join(","))),
            )
            .collect()
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args = self.to_args();
        for (at, arg) in args.iter().enumerate() {
            let word = arg.strip_prefix("--keep-").unwrap_or(arg);
            write!(f, "{}{word}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// What is wrong with the text of a policy: every fault, each with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParsePolicyError {
    /// Byte position in the text and what is wrong there.
    pub problems: Vec<(usize, String)>,
}

impl fmt::Display for ParsePolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (position, problem)) in self.problems.iter().enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}column {}: {problem}", position + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for ParsePolicyError {}

impl FromStr for Policy {
    type Err = ParsePolicyError;

    /// Words of the form `rule=value`, separated by spaces, line ends or semicolons: `daily=7 within=1y6m tag=keep`.
    /// `keep-` or `--keep-` before a rule is allowed, and so are `_` for `-` and `:` for `=`.
    fn from_str(text: &str) -> Result<Self, ParsePolicyError> {
        let mut policy = Self::default();
        let mut problems = Vec::new();
        let mut seen = Vec::new();
        let mut at = 0;
        for word in text.split([' ', '\t', '\n', '\r', ';']) {
            let position = at;
            at += word.len() + 1;
            if word.is_empty() {
                continue;
            }
            let mut problem = |text: String| problems.push((position, text));
            let Some((name, value)) = word.split_once(['=', ':']) else {
                problem(format!("{word:?} is not of the form rule=value"));
                continue;
            };
            let name = name.trim_start_matches('-').replace('_', "-");
            let name = name.strip_prefix("keep-").unwrap_or(&name).to_owned();
            if name == "tag" {
                policy.tags.push(TagList::parse(value));
                continue;
            }
            if seen.contains(&name) {
                problem(format!("{name} is given twice"));
                continue;
            }
            if let Some(count) = policy.count_mut(&name) {
                match parse_count(value) {
                    Ok(value) => *count = value,
                    Err(error) => problem(format!("{name}: {error}")),
                }
            } else if let Some(span) = policy.span_mut(&name) {
                match value.parse::<Span>() {
                    Ok(value) if value.has_negative() => {
                        problem(format!("{name}: {value} is negative"));
                    }
                    Ok(value) => *span = value,
                    Err(error) => problem(format!("{name}: {error}")),
                }
            } else {
                problem(format!(
                    "there is no rule {name:?}; rules are last, hourly, daily, weekly, monthly, yearly, within, within-hourly to within-yearly, tag"
                ));
                continue;
            }
            seen.push(name);
        }
        if problems.is_empty() {
            Ok(policy)
        } else {
            Err(ParsePolicyError { problems })
        }
    }
}

/// Reads a number as restic does: a sign is allowed, `unlimited` is a word, spaces are not.
pub(crate) fn parse_count(text: &str) -> Result<Count, String> {
    if text == "unlimited" {
        return Ok(Count::Unlimited);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "strconv.ParseInt: parsing {text:?}: invalid syntax"
        ));
    }
    let Ok(value) = text.parse::<i64>() else {
        return Err(format!(
            "strconv.ParseInt: parsing {text:?}: value out of range"
        ));
    };
    u64::try_from(value)
        .map(Count::Newest)
        .map_err(|_| "negative values not allowed, use 'unlimited' instead".to_owned())
}

/// Which snapshots are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Filter {
    /// Any of these hosts; none for all.
    pub hosts: Vec<String>,
    /// Any of these tag lists; none for all.
    pub tags: Vec<TagList>,
    /// All of these paths.
    pub paths: Vec<String>,
}

impl Filter {
    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.tags.is_empty() && self.paths.is_empty()
    }

    /// Whether it lets this snapshot through.
    #[must_use]
    pub fn matches(&self, snapshot: &Snapshot) -> bool {
        (self.hosts.is_empty() || self.hosts.contains(&snapshot.hostname))
            && (self.tags.is_empty() || self.tags.iter().any(|list| list.matches(&snapshot.tags)))
            && self.paths.iter().all(|path| snapshot.paths.contains(path))
    }
}

/// What snapshots of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct GroupBy {
    /// The host name.
    pub host: bool,
    /// The paths, whatever their order.
    pub paths: bool,
    /// The tags, whatever their order.
    pub tags: bool,
}

impl Default for GroupBy {
    /// restic's default: host and paths.
    fn default() -> Self {
        Self {
            host: true,
            paths: true,
            tags: false,
        }
    }
}

impl GroupBy {
    /// One group of everything.
    pub const NOTHING: Self = Self {
        host: false,
        paths: false,
        tags: false,
    };

    /// By the host alone: right for sources whose paths change from run to run.
    pub const HOST: Self = Self {
        host: true,
        paths: false,
        tags: false,
    };

    /// By host and tags.
    pub const HOST_TAGS: Self = Self {
        host: true,
        paths: false,
        tags: true,
    };

    /// The group that a snapshot belongs to.
    #[must_use]
    pub fn key(self, snapshot: &Snapshot) -> GroupKey {
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            (!list.is_empty()).then_some(list)
        };
        GroupKey {
            hostname: if self.host {
                snapshot.hostname.clone()
            } else {
                String::new()
            },
            paths: if self.paths {
                sorted(&snapshot.paths)
            } else {
                None
            },
            tags: if self.tags {
                sorted(&snapshot.tags)
            } else {
                None
            },
        }
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.host, "host"),
            (self.paths, "paths"),
            (self.tags, "tags"),
        ];
        let words: Vec<&str> = parts
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, word)| *word)
            .collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for GroupBy {
    type Err = String;

    /// `host,paths,tags` in any order and number; the empty text for one group of everything.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut group_by = Self::NOTHING;
        for word in text.split(',') {
            match word {
                "host" | "hosts" => group_by.host = true,
                "path" | "paths" => group_by.paths = true,
                "tag" | "tags" => group_by.tags = true,
                "" => {}
                other => return Err(format!("unknown grouping option: {other:?}")),
            }
        }
        Ok(group_by)
    }
}
