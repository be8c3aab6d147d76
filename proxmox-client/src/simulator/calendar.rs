//! Days and weeks of the modelled time, in UTC: the node's time zone.

mod schedule;

pub(super) use schedule::Schedule;

/// A moment taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: u32,
    /// From 1.
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    /// Days since 1970-01-01, a Thursday.
    days: i64,
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_to(year: i64, month: u32, day: u32) -> i64 {
    // Years that begin in March have the leap day at their end.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (i64::from(month) + 9).rem_euclid(12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl Moment {
    pub(super) fn of(seconds: u64) -> Self {
        let days = (seconds / 86_400) as i64;
        let rest = (seconds % 86_400) as u32;
        let from_march = days + 719_468;
        let era = from_march.div_euclid(146_097);
        let of_era = from_march.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march = (5 * of_year + 2) / 153;
        let day = (of_year - (153 * march + 2) / 5 + 1) as u32;
        let month = if march < 10 { march + 3 } else { march - 9 } as u32;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self {
            year,
            month,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            days,
        }
    }

    /// Seconds since 1970 of a date and time; none if there is no such.
    pub(super) fn seconds(year: i64, month: u32, day: u32, clock: (u32, u32, u32)) -> Option<u64> {
        let (hour, minute, second) = clock;
        let days = u64::try_from(days_to(year, month, day)).ok()?;
        let time = u64::from(hour) * 3600 + u64::from(minute) * 60 + u64::from(second);
        let seconds = days * 86_400 + time;
        let back = Self::of(seconds);
        let same = (back.year, back.month, back.day) == (year, month, day)
            && (back.hour, back.minute, back.second) == clock;
        same.then_some(seconds)
    }

    /// The day of the week, 0 for Monday.
    pub(super) fn weekday(&self) -> u32 {
        (self.days + 3).rem_euclid(7) as u32
    }

    /// The week's year and number after ISO 8601: the week belongs to the year of its Thursday.
    pub(super) fn week(&self) -> (i64, u32) {
        let thursday = self.days - i64::from(self.weekday()) + 3;
        let of = Self::of(thursday.max(0) as u64 * 86_400);
        let first = days_to(of.year, 1, 1);
        (of.year, ((thursday - first) / 7 + 1) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_taken_apart_and_put_together() {
        for (seconds, expected) in [
            (0, (1970, 1, 1, 3, (1970, 1))),
            (951_782_400, (2000, 2, 29, 1, (2000, 9))),
            (1_609_459_200, (2021, 1, 1, 4, (2020, 53))),
            (1_767_225_600, (2026, 1, 1, 3, (2026, 1))),
            (1_735_516_800, (2024, 12, 30, 0, (2025, 1))),
        ] {
            let moment = Moment::of(seconds);
            let shown = (
                moment.year,
                moment.month,
                moment.day,
                moment.weekday(),
                moment.week(),
            );
            assert_eq!(shown, expected, "{seconds}");
        }
        for seconds in (0..4_000_000_000).step_by(7_654_321) {
            let moment = Moment::of(seconds);
            let clock = (moment.hour, moment.minute, moment.second);
            let back = Moment::seconds(moment.year, moment.month, moment.day, clock);
            assert_eq!(back, Some(seconds));
        }
        assert_eq!(Moment::seconds(2025, 2, 29, (0, 0, 0)), None);
    }
}
