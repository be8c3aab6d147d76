//! Talos versions and the contract that a configuration is written for.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// The Talos minor version that a configuration is written for; older nodes refuse the keys of newer contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionContract {
    major: u32,
    minor: u32,
}

impl VersionContract {
    /// The newest stable line known to this crate.
    pub const V1_13: Self = Self::new(1, 13);
    /// Kubernetes settings as documents of their own.
    pub const V1_14: Self = Self::new(1, 14);

    /// A contract; any number is accepted, also unreleased ones.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Major and minor version.
    pub fn parts(self) -> (u32, u32) {
        (self.major, self.minor)
    }

    pub(crate) fn at_least(self, minor: u32) -> bool {
        (self.major, self.minor) >= (1, minor)
    }
}

impl fmt::Display for VersionContract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)
    }
}

impl FromStr for VersionContract {
    type Err = Error;

    /// `v1.13`, `1.13`, `v1.13.9`, `1.14.0-beta.1`; what follows the second point does not matter.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("error parsing version \"{text}\""),
            )
            .with_hint("write it as v1.13")
        };
        let bare = text.strip_prefix('v').unwrap_or(text);
        let mut parts = bare.splitn(3, '.');
        let major = number(parts.next()).ok_or_else(wrong)?;
        let minor = number(parts.next()).ok_or_else(wrong)?;
        Ok(Self { major, minor })
    }
}

fn number(text: Option<&str>) -> Option<u32> {
    text.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?
        .parse()
        .ok()
}
