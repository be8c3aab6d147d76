//! Releases of Longhorn, and the way from one to another.

use std::fmt;

use crate::error::{Error, ErrorKind, Problem};

/// A release, by its three numbers. Behaviour depends on the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl Version {
    /// The oldest release whose data this crate holds.
    pub const V1_8: Self = Self::new(1, 8, 1);
    /// Release 1.9.
    pub const V1_9: Self = Self::new(1, 9, 0);
    /// Release 1.10.
    pub const V1_10: Self = Self::new(1, 10, 0);
    /// Release 1.11.
    pub const V1_11: Self = Self::new(1, 11, 3);
    /// The newest release whose data this crate holds.
    pub const V1_12: Self = Self::new(1, 12, 1);

    /// A release by its numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads `1.12.1`, also with a leading `v` or a suffix such as `-rc1`, which is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let core = text
            .trim_start_matches('v')
            .split(['-', '+'])
            .next()
            .unwrap_or_default();
        let numbers: Vec<u32> = core
            .split('.')
            .map_while(|part| part.parse().ok())
            .collect();
        match (numbers.as_slice(), core.split('.').count()) {
            ([major, minor], 2) => Ok(Self::new(*major, *minor, 0)),
            ([major, minor, patch], 3) => Ok(Self::new(*major, *minor, *patch)),
            _ => Err(Error::one(
                ErrorKind::Syntax,
                format!("version {text:?}"),
                Problem::new("", "expected three numbers").remedy("write it like 1.12.1"),
            )),
        }
    }

    /// What must be installed one after the other to come from this release to another: one minor release at a time,
    /// the target last. The steps between are given with patch 0; take the newest patch of each.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a step back or to another major release, which Longhorn does not support.
    pub fn upgrade_path(self, target: Self) -> Result<Vec<Self>, Error> {
        let refuse = |message: String, remedy: &str| {
            let problem = Problem::new("", message).remedy(remedy);
            Err(Error::one(ErrorKind::Invalid, "the upgrade", problem))
        };
        if target == self {
            return Ok(Vec::new());
        }
        if target.major != self.major {
            return refuse(
                format!("there is no way from {self} to another major release"),
                "restore backups into a new installation",
            );
        }
        if (target.minor, target.patch) < (self.minor, self.patch) {
            return refuse(
                format!("{self} cannot go back to {target}"),
                "downgrades are not supported; restore a system backup",
            );
        }
        if target.minor == self.minor {
            return Ok(vec![target]);
        }
        let between = (self.minor + 1..target.minor).map(|minor| Self::new(self.major, minor, 0));
        Ok(between.chain([target]).collect())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.major, self.minor, self.patch).cmp(&(other.major, other.minor, other.patch))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
