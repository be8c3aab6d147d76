//! Calendar events: when jobs run.

use std::str::FromStr;

use super::Moment;

/// A calendar event: `[weekdays] [[years-]months-days] [hours:minutes[:seconds]]`, or a word such as `daily`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Schedule {
    /// From 0 for Monday; none in it means any.
    weekdays: Vec<u32>,
    years: Parts,
    months: Parts,
    days: Parts,
    hours: Parts,
    minutes: Parts,
    seconds: Parts,
}

/// The values that a part of an event may have; empty means any.
type Parts = Vec<u32>;

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

const WORDS: [(&str, &str); 10] = [
    ("minutely", "*-*-* *:*:00"),
    ("hourly", "*-*-* *:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("weekly", "mon *-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
    ("semi-annually", "*-01,07-01 00:00:00"),
];

fn weekday(name: &str) -> Option<u32> {
    let name = name.to_ascii_lowercase();
    let fits = |full: &&str| name.len() >= 3 && (*full == name || full[..3] == name);
    WEEKDAYS.iter().position(fits).map(|index| index as u32)
}

fn weekdays(text: &str) -> Option<Vec<u32>> {
    let mut days = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            None => days.push(weekday(part)?),
            Some((from, to)) => {
                let (from, to) = (weekday(from)?, weekday(to)?);
                days.extend((from..=to).filter(|_| from < to));
                if from >= to {
                    return None;
                }
            }
        }
    }
    days.sort_unstable();
    days.dedup();
    Some(days)
}

fn number(text: &str, most: u32) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= most)
}

/// Lists, ranges and steps between a least and a most value.
fn parts(text: &str, least: u32, most: u32) -> Option<Parts> {
    if text == "*" {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => (range, Some(number(step, most).filter(|step| *step > 0)?)),
        };
        let (from, to) = match (range.split_once(".."), step) {
            (Some((from, to)), _) => (number(from, most)?, number(to, most)?),
            (None, Some(_)) if range == "*" => (least, most),
            (None, Some(_)) => (number(range, most)?, most),
            (None, None) => {
                let one = number(range, most)?;
                (one, one)
            }
        };
        if from < least || from > to {
            return None;
        }
        found.extend((from..=to).step_by(step.unwrap_or(1) as usize));
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

fn has(parts: &Parts, value: u32) -> bool {
    parts.is_empty() || parts.contains(&value)
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |at: &str, what: &str| {
            format!(
                "invalid calendar event '{text}' - unable to parse calendar event at '{at}' - Context(\"{what}\")\n\n"
            )
        };
        let mut words: Vec<&str> = text.split_whitespace().collect();
        // The node's zone is that already.
        if words.len() > 1 && words.last() == Some(&"UTC") {
            words.pop();
        }
        if words.is_empty() {
            return Err("invalid calendar event '' - value is empty\n".to_owned());
        }
        let whole = |word: &&str| {
            WORDS
                .iter()
                .find(|(name, _)| word.eq_ignore_ascii_case(name))
        };
        if let Some((_, event)) = words.first().and_then(whole) {
            let event = event.split_whitespace();
            words.splice(..1, event);
        }
        let mut schedule = Self {
            weekdays: Vec::new(),
            years: Vec::new(),
            months: Vec::new(),
            days: Vec::new(),
            hours: vec![0],
            minutes: vec![0],
            seconds: vec![0],
        };
        if words[0].starts_with(|c: char| c.is_ascii_alphabetic()) {
            let word = words.remove(0);
            schedule.weekdays = weekdays(word).ok_or_else(|| wrong(word, "weekday"))?;
        }
        if let Some(word) = words.first().copied().filter(|word| word.contains('-')) {
            words.remove(0);
            schedule.date(word).ok_or_else(|| wrong(word, "date"))?;
        }
        if let Some(word) = words.first().copied() {
            words.remove(0);
            schedule.time(word).ok_or_else(|| wrong(word, "time"))?;
        }
        match words.first() {
            Some(word) => Err(wrong(word, "end")),
            None => Ok(schedule),
        }
    }
}

impl Schedule {
    fn date(&mut self, text: &str) -> Option<()> {
        let fields: Vec<&str> = text.split('-').collect();
        let (years, months, days) = match fields.as_slice() {
            [months, days] => ("*", *months, *days),
            [years, months, days] => (*years, *months, *days),
            _ => return None,
        };
        self.years = parts(years, 1970, 9999)?;
        self.months = parts(months, 1, 12)?;
        self.days = parts(days, 1, 31)?;
        Some(())
    }

    fn time(&mut self, text: &str) -> Option<()> {
        let fields: Vec<&str> = text.split(':').collect();
        // Minutes alone are those of every hour.
        let (hours, minutes, seconds) = match fields.as_slice() {
            [minutes] => ("*", *minutes, "0"),
            [hours, minutes] => (*hours, *minutes, "0"),
            [hours, minutes, seconds] => (*hours, *minutes, *seconds),
            _ => return None,
        };
        self.hours = parts(hours, 0, 23)?;
        self.minutes = parts(minutes, 0, 59)?;
        self.seconds = parts(seconds, 0, 59)?;
        Some(())
    }

    /// The first moment after one, in seconds since 1970; none within ten years.
    pub(in super::super) fn next_after(&self, after: u64) -> Option<u64> {
        const DAY: u64 = 86_400;
        let first = after + 1;
        for day in (first / DAY)..(first / DAY + 3660) {
            let moment = Moment::of(day * DAY);
            let fits = (self.weekdays.is_empty() || self.weekdays.contains(&moment.weekday()))
                && has(&self.years, moment.year as u32)
                && has(&self.months, moment.month)
                && has(&self.days, moment.day);
            if !fits {
                continue;
            }
            let from = first.saturating_sub(day * DAY) as u32;
            let found = (from / 3600..24)
                .filter(|hour| has(&self.hours, *hour))
                .find_map(|hour| {
                    let minutes = (0..60).filter(|minute| has(&self.minutes, *minute));
                    minutes.into_iter().find_map(|minute| {
                        let start = hour * 3600 + minute * 60;
                        let seconds = (0..60).filter(|second| has(&self.seconds, *second));
                        seconds.map(|second| start + second).find(|at| *at >= from)
                    })
                });
            if let Some(at) = found {
                return Some(day * DAY + u64::from(at));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thursday, 2026-01-01 00:00:00.
    const START: u64 = 1_767_225_600;
    const HOUR: u64 = 3600;

    fn next(text: &str) -> Option<u64> {
        let schedule: Schedule = text.parse().unwrap_or_else(|why| panic!("{why}"));
        schedule.next_after(START).map(|at| at - START)
    }

    #[test]
    fn events_come_when_they_should() {
        for (text, expected) in [
            ("02:00", 2 * HOUR),
            ("*/15", 15 * 60),
            ("8..17,22:0/15", 8 * HOUR),
            ("sat 18:15", 66 * HOUR + 15 * 60),
            ("mon..fri 22:30", 22 * HOUR + 30 * 60),
            ("sun", 72 * HOUR),
            ("*-*-05 04:00", 100 * HOUR),
            ("02-01 00:00", 31 * 24 * HOUR),
            ("daily", 24 * HOUR),
            ("weekly", 96 * HOUR),
            ("minutely", 60),
            ("0:0:30", 30),
            ("Daily UTC", 24 * HOUR),
            ("Monday 1:00 UTC", 97 * HOUR),
            ("mon,wed 0/6:00", 96 * HOUR),
            ("2026-12-24 18:00", 357 * 24 * HOUR + 18 * HOUR),
        ] {
            assert_eq!(next(text), Some(expected), "{text}");
        }
        assert_eq!(next("2020-1-1 00:00"), None, "never again");
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let why = "not a schedule".parse::<Schedule>().unwrap_err();
        assert_eq!(
            why,
            "invalid calendar event 'not a schedule' - unable to parse calendar event at 'not' - Context(\"weekday\")\n\n"
        );
        assert_eq!(
            "".parse::<Schedule>().unwrap_err(),
            "invalid calendar event '' - value is empty\n"
        );
        for text in [
            "25:00",
            "12:61",
            "fri..mon",
            "1:2:3:4",
            "13-01",
            "12:00 x",
            "*/0",
            "5..2:0",
            "*-13-1",
            "x",
            "1:00 2:00",
            "mon-fri",
            "daily 5:00",
        ] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
