//! The version of an installed restic, and what it takes for a feature to be there.

use std::fmt;
use std::str::FromStr;

/// A restic version such as `0.18.1`. Ordered; a development build (`0.19.1-dev`) counts as newer than the release
/// it is named after, because it holds what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "simulator", derive(serde::Serialize, serde::Deserialize))]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
    development: bool,
}

impl Version {
    /// The oldest version that this crate drives: Debian 12's. Older ones lack compression, `--from-repo` and a usable
    /// `check`, which ends with 0 on damage.
    pub const MINIMUM: Self = Self::new(0, 14, 0);

    /// A released version.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
            development: false,
        }
    }

    /// Major, minor, patch.
    #[must_use]
    pub const fn parts(self) -> (u32, u32, u32) {
        (self.major, self.minor, self.patch)
    }

    /// Whether it is built from a tree after the release that it is named after.
    #[must_use]
    pub const fn is_development(self) -> bool {
        self.development
    }

    /// Finds the version in what `restic version` prints, in either of its forms: the sentence
    /// `restic 0.14.0 compiled with go1.19.8 on linux/amd64`, or the JSON document of 0.17 and newer.
    #[must_use]
    pub fn from_output(text: &str) -> Option<Self> {
        if let Some(start) = text.find('{') {
            #[derive(serde::Deserialize)]
            struct Document {
                version: String,
            }
            let mut documents =
                serde_json::Deserializer::from_str(&text[start..]).into_iter::<Document>();
            if let Some(Ok(document)) = documents.next() {
                return document.version.split_whitespace().next()?.parse().ok();
            }
        }
        let (_, rest) = text.split_once("restic ")?;
        rest.split_whitespace().next()?.parse().ok()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if self.development {
            f.write_str("-dev")
        } else {
            Ok(())
        }
    }
}

/// The text is not `MAJOR.MINOR[.PATCH][-suffix]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version of the form 0.18.1")]
#[non_exhaustive]
pub struct ParseVersionError(String);

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseVersionError(text.chars().take(40).collect());
        let body = text.strip_prefix('v').unwrap_or(text);
        let (numbers, suffix) = match body.find(['-', '+']) {
            Some(at) => (&body[..at], &body[at..]),
            None => (body, ""),
        };
        let mut parts = numbers.split('.').map(|part| {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad());
            }
            part.parse::<u32>().map_err(|_| bad())
        });
        let major = parts.next().ok_or_else(bad)??;
        let minor = parts.next().ok_or_else(bad)??;
        let patch = parts.next().unwrap_or(Ok(0))?;
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(Self {
            major,
            minor,
            patch,
            development: suffix.starts_with("-dev"),
        })
    }
}
