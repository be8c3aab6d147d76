//! Durations, sizes of disks, file modes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::codec::{Item, Reader, number, textual, zeroable};
use crate::config::decode::disk_size;
use crate::error::{Error, ErrorKind};
use crate::value::Value;
use crate::{duration, size};

/// A duration in whole nanoseconds that may be negative, printed as Talos prints it: `1h30m0s`.
///
/// ```
/// use std::time::Duration;
/// use talos_client::documents::GoDuration;
///
/// let interval: GoDuration = "168h".parse()?;
/// assert_eq!(interval, GoDuration::from(Duration::from_secs(7 * 86_400)));
/// assert_eq!(interval.to_string(), "168h0m0s");
/// # Ok::<(), talos_client::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

impl GoDuration {
    /// From nanoseconds.
    pub const fn from_nanos(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// In nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// `None` when it is negative.
    pub fn to_std(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }
}

/// More than 292 years are 292 years.
impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&duration::print(self.0))
    }
}

impl FromStr for GoDuration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let nanoseconds = duration::parse(text);
        nanoseconds
            .map(Self)
            .map_err(|why| Error::new(ErrorKind::InvalidArgument, why))
    }
}

/// A number of bytes that the older disk partitions are given, printed in the shortest form that means the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskSize(u64);

impl DiskSize {
    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl From<u64> for DiskSize {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl FromStr for DiskSize {
    type Err = Error;

    /// `10GB`, `512MiB`, or a plain number of bytes.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = size::bytes(text);
        bytes
            .map(Self)
            .map_err(|why| Error::new(ErrorKind::InvalidArgument, format!("not a size: {why}")))
    }
}

impl Item for DiskSize {
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
        let bytes = match value {
            Value::Int(bytes) => u64::try_from(*bytes).ok(),
            Value::Uint(bytes) => Some(*bytes),
            Value::Text(text) => size::bytes(text).ok(),
            _ => None,
        };
        match bytes {
            Some(bytes) => Some(Self(bytes)),
            None => reader.refuse("a number of bytes is needed here"),
        }
    }

    fn write(&self) -> Value {
        disk_size(self.0)
    }
}

/// Permissions of a file, printed `0o644`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileMode(u32);

impl FileMode {
    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl From<u32> for FileMode {
    fn from(bits: u32) -> Self {
        Self(bits)
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0o{:o}", self.0)
    }
}

impl Item for FileMode {
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
        <u32 as Item>::read(value, reader).map(Self)
    }

    fn write(&self) -> Value {
        number(i128::from(self.0))
    }
}

textual!(GoDuration);
zeroable!(GoDuration, DiskSize, FileMode);
