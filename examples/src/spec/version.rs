//! Versions, exact and comparable.

use std::fmt;

use super::decode::{Bad, Scalar};
use super::scalar::as_text;

/// A version: two or three numbers, an optional leading `v`, an optional suffix such as `-rc.1`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version {
    text: String,
    numbers: [u64; 3],
    suffix: String,
}

impl Version {
    /// Reads a version.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let body = text.strip_prefix('v').unwrap_or(text);
        let cut = body.find(['-', '+']).unwrap_or(body.len());
        let (core, suffix) = body.split_at(cut);
        let mut numbers = [0; 3];
        let parts: Vec<&str> = core.split('.').collect();
        if !(2..=3).contains(&parts.len()) || suffix.len() == 1 {
            return None;
        }
        for (slot, part) in numbers.iter_mut().zip(&parts) {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if !digits || (part.len() > 1 && part.starts_with('0')) {
                return None;
            }
            *slot = part.parse().ok()?;
        }
        Some(Self {
            text: text.to_owned(),
            numbers,
            suffix: suffix.to_owned(),
        })
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// With a leading `v`, as images and releases are tagged.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("v{}", self.bare())
    }

    /// Without a leading `v`.
    #[must_use]
    pub fn bare(&self) -> &str {
        self.text.strip_prefix('v').unwrap_or(&self.text)
    }

    /// Major and minor number.
    #[must_use]
    pub fn minor(&self) -> (u64, u64) {
        (self.numbers[0], self.numbers[1])
    }

    /// Major, minor and patch number; an absent patch is 0.
    #[must_use]
    pub fn numbers(&self) -> [u64; 3] {
        self.numbers
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // A suffix marks a version before the plain one.
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| self.suffix.is_empty().cmp(&other.suffix.is_empty()))
            .then_with(|| self.suffix.cmp(&other.suffix))
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl Scalar for Version {
    const WHAT: &'static str = "a version such as \"1.36.4\"";
    const TEXT: bool = true;

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        Self::new(text).ok_or_else(|| {
            Bad::new("bad-version", format!("{path} \"{text}\" is not a version"))
                .help("two or three numbers, such as v1.13.9; no range, no \"latest\"")
        })
    }

    fn placeholder() -> Self {
        Self {
            text: "0.0.0".into(),
            numbers: [0; 3],
            suffix: String::new(),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(Version);
