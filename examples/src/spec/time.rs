//! Lengths of time and schedules.

use std::fmt;
use std::time::Duration;

use super::decode::{Bad, Scalar};
use super::scalar::as_text;

/// A length of time with a unit: `30s`, `5m`, `12h`, `15d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

impl Period {
    /// A number of seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As a duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Scalar for Period {
    const WHAT: &'static str = "a time such as 30s, 12h or 15d";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let field = path.rsplit('.').next().unwrap_or(path);
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let Ok(number) = number.parse::<u64>() else {
            return Err(Bad::new(
                "wrong-type",
                format!("{field} \"{text}\" is not a length of time"),
            )
            .help("for example 30s, 12h or 15d"));
        };
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => {
                return Err(Bad::new(
                    "unit",
                    format!("{field} \"{text}\" has no unit of time; write {number}s"),
                )
                .help("units: s, m, h, d"));
            }
        };
        Ok(Self(Duration::from_secs(number.saturating_mul(factor))))
    }

    fn placeholder() -> Self {
        Self(Duration::ZERO)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        for (unit, size) in [("d", 86_400), ("h", 3600), ("m", 60)] {
            if seconds != 0 && seconds.is_multiple_of(size) {
                return write!(f, "{}{unit}", seconds / size);
            }
        }
        write!(f, "{seconds}s")
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A schedule of five fields (minute, hour, day of month, month, day of week) or one of `@hourly` to `@yearly`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Schedule(String);

impl Schedule {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for Schedule {
    const WHAT: &'static str = "a schedule such as \"0 3 * * *\"";

    fn parse(_path: &str, text: &str) -> Result<Self, Bad> {
        let bad = |message: String| {
            Bad::new("schedule-bad", message)
                .help("minute hour day month weekday, for example \"30 2 * * *\"")
        };
        if ["@hourly", "@daily", "@weekly", "@monthly", "@yearly"].contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != 5 {
            return Err(bad(format!(
                "schedule \"{text}\" has {} fields; cron here has 5",
                fields.len()
            )));
        }
        let ranges = [
            ("minute", 0, 59),
            ("hour", 0, 23),
            ("day of month", 1, 31),
            ("month", 1, 12),
            ("day of week", 0, 7),
        ];
        for (field, (name, low, high)) in fields.iter().zip(ranges) {
            if !field.split(',').all(|part| cron_part(part, low, high)) {
                return Err(bad(format!(
                    "schedule \"{text}\": {name} \"{field}\" is not within {low}..{high}"
                )));
            }
        }
        Ok(Self(text.to_owned()))
    }

    fn placeholder() -> Self {
        Self("@daily".to_owned())
    }
}

fn cron_part(part: &str, low: u32, high: u32) -> bool {
    let (range, step) = part
        .split_once('/')
        .map_or((part, None), |(range, step)| (range, Some(step)));
    let number = |text: &str| {
        text.parse::<u32>()
            .ok()
            .filter(|n| (low..=high).contains(n))
    };
    let step_good = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step >= 1));
    let range_good = range == "*"
        || match range.split_once('-') {
            Some((from, to)) => {
                matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to)
            }
            None => number(range).is_some(),
        };
    range_good && step_good
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(Period, Schedule);
