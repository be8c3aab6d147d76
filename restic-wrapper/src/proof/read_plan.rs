//! Reading all packs of a repository over weeks, a part at a time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One part of the packs: `3/12`, as `check --read-data-subset` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Subset {
    /// Which part, from 1.
    pub part: u32,
    /// How many parts.
    pub of: u32,
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

/// A plan by which every pack is read once in so many periods. Nothing is recorded: the part follows from the clock, so
/// that a missed run leaves its part to the next round.
///
/// ```
/// use restic_wrapper::proof::ReadPlan;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let weekly = ReadPlan::weekly(12);
/// let monday = UNIX_EPOCH + Duration::from_secs(4 * 86_400);
/// assert_eq!(weekly.part_at(monday).to_string(), "2/12");
/// assert_eq!(weekly.part_at(monday + Duration::from_secs(7 * 86_400)).to_string(), "3/12");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPlan {
    parts: u32,
    period: Duration,
}

/// The epoch was a Thursday; weeks begin on Mondays.
const FIRST_MONDAY: Duration = Duration::from_secs(4 * 86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

impl ReadPlan {
    /// Everything within so many weeks, one part from Monday to Sunday (UTC). At least one part.
    #[must_use]
    pub fn weekly(parts: u32) -> Self {
        Self::every(parts, WEEK)
    }

    /// Everything within so many periods. At least one part and one second.
    #[must_use]
    pub fn every(parts: u32, period: Duration) -> Self {
        Self {
            parts: parts.max(1),
            period: period.max(Duration::from_secs(1)),
        }
    }

    /// The part whose turn it is.
    #[must_use]
    pub fn part_at(&self, now: SystemTime) -> Subset {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        // One week of offset keeps times before the first Monday countable.
        let shifted = (since + WEEK).saturating_sub(FIRST_MONDAY).as_secs();
        let number = shifted / self.period.as_secs().max(1);
        let part = u32::try_from(number % u64::from(self.parts)).unwrap_or(0) + 1;
        Subset {
            part,
            of: self.parts,
        }
    }

    /// How long a full round takes.
    #[must_use]
    pub fn round(&self) -> Duration {
        self.period.saturating_mul(self.parts)
    }
}
