//! Sizes of disks, exact to the byte.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A number of bytes, printed as Proxmox VE prints it: in the largest unit that divides it exactly.
///
/// ```
/// use proxmox_client::Size;
/// assert_eq!("32G".parse::<Size>()?, Size::gib(32));
/// assert_eq!("1.5G".parse::<Size>()?.to_string(), "1536M");
/// assert_eq!(Size::bytes(26_822_656).to_string(), "26194K");
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Size(u64);

impl Size {
    /// Bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// MiB (2²⁰ bytes).
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// GiB (2³⁰ bytes).
    pub const fn gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// The number of bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [('T', 40), ('G', 30), ('M', 20), ('K', 10)] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| {
            Error::invalid(format!(
                "`{}` is not a size: a number with an optional unit K, M, G or T (1024s)",
                text.escape_debug()
            ))
        })
    }
}

fn parse(text: &str) -> Option<Size> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit {
        "" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty()
        || part.contains('.')
        || (number.contains('.') && part.is_empty())
        || part.len() > 18
    {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let mut bytes = u128::from(whole) << shift;
    if !part.is_empty() {
        let part_value: u128 = part.parse().ok()?;
        bytes += (part_value << shift) / 10u128.pow(part.len() as u32);
    }
    u64::try_from(bytes).ok().map(Size)
}
