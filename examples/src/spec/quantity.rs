//! Sizes and shares of CPU time, always with a unit.

use std::fmt;

use super::decode::{Bad, Scalar};
use super::scalar::as_text;

/// A size in bytes, written with a binary unit: `512MiB`, `8GiB`, `1.5TiB` (also `8Gi`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(u64);

const UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

impl Bytes {
    /// A number of bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A number of MiB.
    #[must_use]
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// A number of GiB.
    #[must_use]
    pub const fn gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whole MiB, rounded down.
    #[must_use]
    pub const fn as_mib(self) -> u64 {
        self.0 >> 20
    }

    /// Whole GiB, rounded up: what a disk of that many GiB must be at least.
    #[must_use]
    pub const fn as_gib_up(self) -> u64 {
        self.0.div_ceil(1 << 30)
    }

    /// As a Kubernetes quantity: `8Gi`.
    #[must_use]
    pub fn quantity(self) -> String {
        let (number, unit) = self.exact();
        format!("{number}{}", unit.trim_end_matches('B'))
    }

    fn exact(self) -> (u64, &'static str) {
        UNITS
            .iter()
            .find(|(_, size)| self.0 != 0 && self.0.is_multiple_of(*size))
            .map_or((self.0, ""), |(unit, size)| (self.0 / size, *unit))
    }

    /// For messages: one decimal at most.
    #[must_use]
    pub fn about(self) -> String {
        for (unit, size) in UNITS {
            if self.0 >= size {
                let tenths = (u128::from(self.0) * 10 + u128::from(size) / 2) / u128::from(size);
                return if tenths % 10 == 0 {
                    format!("{} {unit}", tenths / 10)
                } else {
                    format!("{}.{} {unit}", tenths / 10, tenths % 10)
                };
            }
        }
        format!("{} bytes", self.0)
    }
}

impl std::iter::Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self(0), |sum, next| sum + next)
    }
}

impl std::ops::Add for Bytes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Bytes {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::ops::Mul<u64> for Bytes {
    type Output = Self;

    fn mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Scalar for Bytes {
    const WHAT: &'static str = "a size such as 8GiB";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let field = path.rsplit('.').next().unwrap_or(path);
        let split = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let unit = unit.trim();
        if unit.is_empty() && !number.is_empty() {
            return Err(Bad::new("unit", format!("{field} {text} has no unit; write {number}GiB ({number} bytes is surely not meant)"))
                .help("units: KiB, MiB, GiB, TiB"));
        }
        let known = UNITS
            .iter()
            .find(|(name, _)| *name == unit || name.trim_end_matches('B') == unit);
        let Some((_, size)) = known else {
            let near = match unit.to_ascii_uppercase().trim_end_matches('B') {
                "K" | "KI" => "KiB",
                "M" | "MI" => "MiB",
                "T" | "TI" => "TiB",
                _ => "GiB",
            };
            return Err(Bad::new(
                "unit",
                format!("{field} \"{text}\" has no unit that is known here; write {number}{near}"),
            )
            .help("units: KiB, MiB, GiB, TiB (powers of 1024; GB is ambiguous)"));
        };
        let bytes = decimal(number, *size).filter(|bytes| *bytes <= u64::MAX.into());
        match bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
            Some(bytes) => Ok(Self(bytes)),
            None => Err(
                Bad::new("wrong-type", format!("{field} \"{text}\" is not a size"))
                    .help("for example 8GiB or 1.5TiB"),
            ),
        }
    }

    fn placeholder() -> Self {
        Self(0)
    }
}

/// `number` with at most three decimals, times `unit`, when that is a whole number.
fn decimal(number: &str, unit: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty()
        || whole.len() > 15
        || fraction.len() > 3
        || (number.contains('.') && fraction.is_empty())
    {
        return None;
    }
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    Some(digits * u128::from(unit) / scale)
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = self.exact();
        match (number, unit) {
            (0, _) => f.write_str("0MiB"),
            (number, "") => write!(f, "{number}B"),
            (number, unit) => write!(f, "{number}{unit}"),
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A share of CPU time in thousandths of a core: `500m`, `2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cpu(u64);

impl Cpu {
    /// Thousandths of a core.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Whole cores.
    #[must_use]
    pub const fn cores(cores: u64) -> Self {
        Self(cores * 1000)
    }

    /// Thousandths of a core.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// For messages: cores with two decimals at most.
    #[must_use]
    pub fn about(self) -> String {
        let text = format!("{}.{:02}", self.0 / 1000, self.0 % 1000 / 10);
        format!("{} CPU", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl std::iter::Sum for Cpu {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.map(|cpu| cpu.0).sum())
    }
}

impl std::ops::Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Cpu {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::ops::Mul<u64> for Cpu {
    type Output = Self;

    fn mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

as_text!(Bytes, Cpu);
