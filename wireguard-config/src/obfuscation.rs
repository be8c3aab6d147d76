//! The parameters with which AmneziaWG 1 and 2 disguise the protocol.

use std::fmt;
use std::fmt::Write as _;

/// A message type value, or from AmneziaWG 2 on a range to draw it from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct HeaderRange {
    /// The lowest value.
    pub first: u32,
    /// The highest value; equal to `first` in version 1.
    pub last: u32,
}

impl HeaderRange {
    /// One value.
    #[must_use]
    pub const fn single(value: u32) -> Self {
        Self {
            first: value,
            last: value,
        }
    }

    /// All values from `first` to `last`, both included.
    #[must_use]
    pub const fn range(first: u32, last: u32) -> Self {
        Self { first, last }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| -> Option<u32> {
            (!text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()))
                .then(|| text.parse().ok())?
        };
        match text.split_once('-') {
            None => number(text).map(Self::single),
            Some((first, last)) => {
                let range = Self::range(number(first.trim_end())?, number(last.trim_start())?);
                (range.first <= range.last).then_some(range)
            }
        }
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for HeaderRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return self.first.fmt(f);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// AmneziaWG's keys of `[Interface]`. All absent means plain WireGuard.
///
/// Everything but the junk packets (`Jc`, `Jmin`, `Jmax`) must be equal on both ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obfuscation {
    /// `Jc`, `Jmin`, `Jmax`: number and sizes in bytes of junk packets before the handshake.
    pub junk: [Option<u16>; 3],
    /// `S1` to `S4`: padding in bytes of initiation, response, cookie reply and data; the last two from version 2.
    pub padding: [Option<u16>; 4],
    /// `H1` to `H4`: message types in place of 1 to 4.
    pub headers: [Option<HeaderRange>; 4],
    /// `I1` to `I5`, from version 2: signature packets that imitate another protocol.
    pub signatures: [Option<String>; 5],
}

const JUNK: [&str; 3] = ["Jc", "Jmin", "Jmax"];
const PADDING: [&str; 4] = ["S1", "S2", "S3", "S4"];
const HEADERS: [&str; 4] = ["H1", "H2", "H3", "H4"];
const SIGNATURES: [&str; 5] = ["I1", "I2", "I3", "I4", "I5"];

/// Handshake initiations are 56 bytes longer than responses; equal padded sizes would betray them.
const INITIATION_EXCESS: u16 = 56;

impl Obfuscation {
    /// Whether no parameter is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The lowest AmneziaWG version (1 or 2) that knows all parameters set here; 0 when none is.
    #[must_use]
    pub fn version(&self) -> u8 {
        let ranged = self
            .headers
            .iter()
            .flatten()
            .any(|range| range.first != range.last);
        let second = self.padding[2].is_some() || self.padding[3].is_some() || ranged;
        match (
            self.is_empty(),
            second || self.signatures.iter().any(Option::is_some),
        ) {
            (true, _) => 0,
            (_, true) => 2,
            _ => 1,
        }
    }

    pub(crate) fn knows(key: &str) -> bool {
        JUNK.iter()
            .chain(&PADDING)
            .chain(&HEADERS)
            .chain(&SIGNATURES)
            .any(|known| known.eq_ignore_ascii_case(key))
    }

    /// Sets the value of a key; `Err` says what the value should be. The key must be known.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        let index = |names: &[&str]| names.iter().position(|name| name.eq_ignore_ascii_case(key));
        let number = || {
            let digits = !value.is_empty() && value.bytes().all(|c| c.is_ascii_digit());
            digits
                .then(|| value.parse().ok())
                .flatten()
                .ok_or("a number from 0 to 65535 is expected")
        };
        if let Some(i) = index(&JUNK) {
            self.junk[i] = Some(number()?);
        } else if let Some(i) = index(&PADDING) {
            self.padding[i] = Some(number()?);
        } else if let Some(i) = index(&HEADERS) {
            let range = HeaderRange::parse(value);
            self.headers[i] =
                Some(range.ok_or("a number, or a range such as 100-200, is expected")?);
        } else if let Some(i) = index(&SIGNATURES) {
            self.signatures[i] = Some(value.to_owned());
        }
        Ok(())
    }

    /// What is wrong with the combination, as (key concerned, reason).
    #[must_use]
    pub fn faults(&self, mtu: Option<u32>) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if let [_, Some(min), Some(max)] = self.junk
            && min > max
        {
            faults.push(("Jmin", format!("Jmin {min} is above Jmax {max}")));
        }
        let mtu = mtu.unwrap_or(1420);
        if let Some(max) = self.junk[2]
            && u32::from(max) >= mtu
        {
            faults.push(("Jmax", format!("Jmax {max} is not below the MTU {mtu}")));
        }
        if let [Some(s1), Some(s2), ..] = self.padding
            && s1.checked_add(INITIATION_EXCESS) == Some(s2)
        {
            faults.push((
                "S2",
                "S1 + 56 equals S2: initiation and response have the same size".to_owned(),
            ));
        }
        for (i, range) in self.headers.iter().enumerate() {
            let Some(range) = range else { continue };
            if range.overlaps(HeaderRange::range(1, 4)) {
                faults.push((
                    HEADERS[i],
                    format!(
                        "{} contains a value from 1 to 4, which plain WireGuard uses",
                        HEADERS[i]
                    ),
                ));
            }
            for (other, name) in self.headers[..i].iter().zip(HEADERS) {
                if other.is_some_and(|other| other.overlaps(*range)) {
                    faults.push((HEADERS[i], format!("{} overlaps {name}", HEADERS[i])));
                }
            }
        }
        faults
    }

    /// The keys whose values differ although both ends must agree on them.
    #[must_use]
    pub fn disagreements(&self, other: &Self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        keys.extend(
            (0..4)
                .filter(|&i| self.padding[i] != other.padding[i])
                .map(|i| PADDING[i]),
        );
        keys.extend(
            (0..4)
                .filter(|&i| self.headers[i] != other.headers[i])
                .map(|i| HEADERS[i]),
        );
        keys
    }

    pub(crate) fn render(&self, out: &mut String) {
        let mut line = |key: &str, value: Option<&dyn fmt::Display>| {
            if let Some(value) = value {
                // Writing into a String cannot fail.
                let _ = writeln!(out, "{key} = {value}");
            }
        };
        for (key, value) in JUNK
            .iter()
            .zip(&self.junk)
            .chain(PADDING.iter().zip(&self.padding))
        {
            line(key, value.as_ref().map(|v| v as _));
        }
        for (key, value) in HEADERS.iter().zip(&self.headers) {
            line(key, value.as_ref().map(|v| v as _));
        }
        for (key, value) in SIGNATURES.iter().zip(&self.signatures) {
            line(key, value.as_ref().map(|v| v as _));
        }
    }
}
