//! Time zones, for the one thing that needs them: going back by calendar spans.

use jiff::tz::TimeZone;

use super::duration::Span;
use crate::timestamp::{Timestamp, days_from_civil};

/// The time zone of the process that would run restic.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// A zone of the IANA database: `Europe/Berlin`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// What the variable `TZ` means to restic: a zone's name, with or without a colon before it; UTC for an empty or
    /// unknown one.
    #[must_use]
    pub fn from_tz_variable(value: &str) -> Self {
        let name = value.strip_prefix(':').unwrap_or(value);
        if name.is_empty() {
            Self::utc()
        } else {
            Self::named(name).unwrap_or_else(Self::utc)
        }
    }

    /// Seconds east of Greenwich at an instant.
    pub(crate) fn offset_at(&self, unix_seconds: i64) -> i32 {
        // The years that the library knows; before and after them the rules of the edge hold.
        let clamped = unix_seconds.clamp(-377_000_000_000, 253_000_000_000);
        jiff::Timestamp::from_second(clamped)
            .map_or(0, |instant| self.0.to_offset(instant).seconds())
    }

    /// The instant that lies a span before `from`.
    ///
    /// A time that was written with this zone's offset of that moment moves by the zone's wall clock, so that "one day"
    /// may be 23 or 25 hours; any other keeps its own offset. An hour that the clock skipped or passed twice is taken as
    /// Go takes it: with the offset that holds at the instant which the first guess leads to.
    pub(crate) fn back(&self, from: Timestamp, span: Span) -> (i64, u32) {
        let (years, months, days, hours) = (
            span.years.clamp(-1_000_000, 1_000_000),
            span.months.clamp(-12_000_000, 12_000_000),
            span.days.clamp(-400_000_000, 400_000_000),
            span.hours.clamp(-10_000_000_000, 10_000_000_000),
        );
        let (seconds, nanos) = from.instant();
        let (year, month, day, hour, minute, second) = from.civil();
        let date = days_from_civil(
            year - years,
            i64::from(month) - months,
            i64::from(day) - days,
        );
        let local =
            date * 86_400 + i64::from(hour * 3600) + i64::from(minute * 60) + i64::from(second);
        let own = from.offset_seconds();
        let ours = own != 0 && self.offset_at(seconds) == own;
        let offset = if ours {
            let guess = self.offset_at(local);
            self.offset_at(local - i64::from(guess))
        } else {
            own
        };
        (local - i64::from(offset) - hours * 3600, nanos)
    }
}
