//! Locks: who holds one, and when it may be taken away.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// Who holds a lock, read from the sentence that restic prints when it could not take its own.
///
/// Restic prints the creation time in the zone of its process and without saying which, so that `created` is text; `age`
/// is exact to what restic printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockedBy {
    /// Process id of the holder, on its own host.
    pub pid: u32,
    /// Host name of the holder.
    pub host: String,
    /// User name of the holder.
    pub user: String,
    /// Numeric user id; 0 where there is none.
    pub uid: u32,
    /// Numeric group id; 0 where there is none.
    pub gid: u32,
    /// Whether the holder excludes everybody else, as `forget`, `prune` and `check` do.
    pub exclusive: bool,
    /// `2026-11-20 12:26:43`, in the local time of the process that was refused.
    pub created: Option<String>,
    /// Age of the lock when restic was refused.
    pub age: Option<Duration>,
    /// The first eight hexadecimal digits of the lock file's name.
    pub storage_id: Option<String>,
}

impl LockedBy {
    /// Finds the sentence in a text of any length.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let at = text.find("already locked ")? + "already locked ".len();
        let rest = &text[at..];
        let (exclusive, rest) = match rest.strip_prefix("exclusively ") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (pid, rest) = rest.strip_prefix("by PID ")?.split_once(" on ")?;
        let pid = pid.trim().parse().ok()?;
        let line = rest.lines().next().unwrap_or(rest);
        // A user name may hold spaces and the word "by"; a host name may not.
        let (host, user) = line.split_once(" by ")?;
        let (user, ids) = match user.rfind(" (UID ") {
            Some(open) => (&user[..open], Some(&user[open + " (UID ".len()..])),
            None => (user, None),
        };
        let (uid, gid) = ids
            .and_then(|ids| {
                let (uid, gid) = ids.split_once(", GID ")?;
                let gid: String = gid.chars().take_while(char::is_ascii_digit).collect();
                Some((uid.trim().parse().ok()?, gid.parse().ok()?))
            })
            .unwrap_or((0, 0));
        let (created, age) = match text.split_once("lock was created at ") {
            Some((_, tail)) => {
                let tail = tail.lines().next().unwrap_or(tail);
                match tail.split_once(" (") {
                    Some((created, age)) => (
                        Some(created.trim().to_owned()),
                        age.split(" ago").next().and_then(go_duration),
                    ),
                    None => (Some(tail.trim().to_owned()), None),
                }
            }
            None => (None, None),
        };
        let storage_id = text.split_once("storage ID ").map(|(_, tail)| {
            tail.chars()
                .take_while(char::is_ascii_hexdigit)
                .collect::<String>()
        });
        Some(Self {
            pid,
            host: host.trim().to_owned(),
            user: user.trim().to_owned(),
            uid,
            gid,
            exclusive,
            created,
            age,
            storage_id: storage_id.filter(|id| !id.is_empty()),
        })
    }
}

/// Reads a duration as Go prints it: `1h2m3.5s`, `552.330144ms`, `0s`.
pub(crate) fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() || !rest.is_ascii() {
        // Go writes microseconds with the Greek letter.
        rest = rest
            .strip_suffix("µs")
            .or_else(|| rest.strip_suffix("μs"))?;
        return Duration::try_from_secs_f64(rest.parse::<f64>().ok()? / 1e6).ok();
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let value: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        total += value
            * match &rest[..letters] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(total).ok()
}

/// A lock as it lies in the repository (`cat lock`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lock {
    /// When it was made or last refreshed; holders refresh every five minutes.
    pub time: Timestamp,
    /// Whether the holder excludes everybody else.
    #[serde(default)]
    pub exclusive: bool,
    /// Host name of the holder.
    #[serde(default)]
    pub hostname: String,
    /// User name of the holder.
    #[serde(default)]
    pub username: String,
    /// Process id of the holder, on its own host.
    #[serde(default)]
    pub pid: u32,
    /// Numeric user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Numeric group id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// What is known about the process that holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// It runs.
    Alive,
    /// It is on this host and no process has its id.
    Dead,
    /// It is on another host, or nobody could look.
    Unknown,
}

/// Whether a lock may be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Staleness {
    /// Its process lives, or it was refreshed within the limit.
    Live,
    /// Its process is on this host and is gone.
    HolderGone,
    /// Nobody refreshed it for 30 minutes: six missed refreshes.
    Expired,
}

impl Lock {
    /// How long a lock lives without a refresh.
    pub const LIFETIME: Duration = Duration::from_secs(30 * 60);
    /// How often a living restic refreshes its lock.
    pub const REFRESH: Duration = Duration::from_secs(5 * 60);

    /// The rule by which restic itself judges a lock, with the clock as an argument.
    ///
    /// A lock whose holder is known to live is live however old it is: a suspended machine wakes up and goes on.
    #[must_use]
    pub fn staleness(&self, now: Timestamp, holder: Holder) -> Staleness {
        match holder {
            Holder::Alive => Staleness::Live,
            Holder::Dead => Staleness::HolderGone,
            Holder::Unknown if now.since(self.time) > Self::LIFETIME => Staleness::Expired,
            Holder::Unknown => Staleness::Live,
        }
    }
}
