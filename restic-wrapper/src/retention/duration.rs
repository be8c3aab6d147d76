//! Calendar spans as restic writes them: `1y5m7d2h`.

use std::fmt;
use std::str::FromStr;

/// A calendar span: years, months, days, hours. A month is a month, not thirty days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub struct Span {
    /// Years.
    pub years: i64,
    /// Months.
    pub months: i64,
    /// Days.
    pub days: i64,
    /// Hours.
    pub hours: i64,
}

impl Span {
    /// A span of so many years, months, days and hours.
    #[must_use]
    pub const fn new(years: i64, months: i64, days: i64, hours: i64) -> Self {
        Self {
            years,
            months,
            days,
            hours,
        }
    }

    /// Whether it is no time at all, which as a rule keeps nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.years == 0 && self.months == 0 && self.days == 0 && self.hours == 0
    }

    pub(crate) const fn has_negative(self) -> bool {
        self.years < 0 || self.months < 0 || self.days < 0 || self.hours < 0
    }
}

impl fmt::Display for Span {
    /// Parts that are zero are left out; no time at all is the empty text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (value, unit) in [
            (self.years, 'y'),
            (self.months, 'm'),
            (self.days, 'd'),
            (self.hours, 'h'),
        ] {
            if value != 0 {
                write!(f, "{value}{unit}")?;
            }
        }
        Ok(())
    }
}

/// Why a text is no span. The sentences are restic's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSpanError {
    /// There should have been digits.
    #[error("no number found")]
    NoNumber,
    /// The text ends after a number.
    #[error("no unit found after number {0}")]
    NoUnit(i64),
    /// The letter is none of y, m, d, h.
    #[error("invalid unit {unit:?} found after number {number}")]
    #[non_exhaustive]
    BadUnit {
        /// The letter.
        unit: char,
        /// The number before it.
        number: i64,
    },
    /// The number has too many digits; restic itself crashes here.
    #[error("number {0:?} is too large")]
    TooLarge(String),
}

impl FromStr for Span {
    type Err = ParseSpanError;

    /// A unit that is given twice counts as given last; units may come in any order.
    fn from_str(text: &str) -> Result<Self, ParseSpanError> {
        let mut span = Self::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (negative, unsigned) = match rest.strip_prefix('-') {
                Some(tail) => (true, tail),
                None => (false, rest),
            };
            let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return Err(ParseSpanError::NoNumber);
            }
            let (number, tail) = unsigned.split_at(digits);
            let number: i64 = number
                .parse()
                .map_err(|_| ParseSpanError::TooLarge(number.chars().take(30).collect()))?;
            let number = if negative { -number } else { number };
            let Some(unit) = tail.chars().next() else {
                return Err(ParseSpanError::NoUnit(number));
            };
            match unit {
                'y' => span.years = number,
                'm' => span.months = number,
                'd' => span.days = number,
                'h' => span.hours = number,
                unit => return Err(ParseSpanError::BadUnit { unit, number }),
            }
            rest = &tail[1..];
        }
        Ok(span)
    }
}
