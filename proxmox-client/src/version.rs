//! Versions of servers: what one of them knows, and calls held against it before they are sent.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::Client;
use crate::cluster::Version;
use crate::error::{Error, Kind, Result};
use crate::known;
use crate::wire::Request;

/// The number of a Proxmox VE version, such as 9.1.9; a release such as 9.1 stands for its first version.
///
/// ```
/// use proxmox_client::ServerVersion;
/// use proxmox_client::wire::{Method, Request};
/// let old: ServerVersion = "8.4.5".parse()?;
/// assert!(old < ServerVersion::new(9, 0, 0));
/// let rules = Request::new(Method::Get, "/cluster/ha/rules", &[]);
/// assert!(!old.supports(&rules) && ServerVersion::new(9, 1, 9).supports(&rules));
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct ServerVersion {
    /// First number.
    pub major: u32,
    /// Second number; with the first it names a release.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl ServerVersion {
    /// A version by its numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Whether a server of this version knows a call with all its parameters, as far as is known.
    pub fn supports(self, request: &Request) -> bool {
        self.missing(request).is_empty()
    }

    /// What a server of this version lacks for a request.
    ///
    /// Known is in which release from 8.0 on the published description of the interface first had a call, a parameter or
    /// a key of a property string; what is older counts as known everywhere, and so does what this crate has never heard of.
    pub fn missing(self, request: &Request) -> Vec<Need> {
        let mut needs = known::needs(request);
        needs.retain(|need| self < need.version);
        needs
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.patch {
            0 => Ok(()),
            patch => write!(f, ".{patch}"),
        }
    }
}

impl FromStr for ServerVersion {
    type Err = Error;

    /// Reads `9.1`, `9.1.9`, `8.4.5-1` and `9.0.0~11`: what follows the numbers does not count.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(format!(
                "`{}` is no version such as 9.1.9",
                text.escape_debug()
            ))
        };
        let numbers = text.split(['-', '~', '+']).next().unwrap_or_default();
        let numbers: Option<Vec<u32>> = numbers
            .split('.')
            .map(|number| number.parse().ok())
            .collect();
        match numbers.ok_or_else(bad)?.as_slice() {
            [major, minor] => Ok(Self::new(*major, *minor, 0)),
            [major, minor, patch, ..] => Ok(Self::new(*major, *minor, *patch)),
            _ => Err(bad()),
        }
    }
}

impl Version {
    /// Its number; none if the server tells something else.
    pub fn number(&self) -> Option<ServerVersion> {
        self.version.parse().ok()
    }
}

/// What a request needs of its server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// The first version that has it.
    pub version: ServerVersion,
    /// The parameter that needs it; none if the call itself does.
    pub parameter: Option<String>,
    /// The key of the parameter's property string that needs it; none if the whole parameter does.
    pub key: Option<String>,
}

impl Need {
    pub(crate) fn of_call(version: ServerVersion) -> Self {
        Self {
            version,
            parameter: None,
            key: None,
        }
    }

    pub(crate) fn of_parameter(version: ServerVersion, parameter: &str) -> Self {
        Self {
            parameter: Some(parameter.to_owned()),
            ..Self::of_call(version)
        }
    }

    pub(crate) fn of_key(version: ServerVersion, parameter: &str, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..Self::of_parameter(version, parameter)
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.parameter, &self.key) {
            (Some(name), Some(key)) => write!(f, "{} for `{key}` of `{name}`", self.version),
            (Some(name), None) => write!(f, "{} for `{name}`", self.version),
            (None, _) => self.version.fmt(f),
        }
    }
}

/// Holds requests against the server's version, where a client was asked to.
#[derive(Debug, Default)]
pub(crate) struct VersionGate {
    on: AtomicBool,
    known: OnceLock<ServerVersion>,
}

impl VersionGate {
    /// A gate that asks when it has to.
    pub(crate) fn asking() -> Self {
        let gate = Self::default();
        gate.on.store(true, Ordering::Relaxed);
        gate
    }

    /// A gate that knows.
    pub(crate) fn of(version: ServerVersion) -> Self {
        let gate = Self::asking();
        gate.known.get_or_init(|| version);
        gate
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }
}

/// The refusal of a request that the server does not know.
fn refusal(request: &Request, present: ServerVersion, missing: &[Need]) -> Error {
    let needs: Vec<String> = missing.iter().map(ToString::to_string).collect();
    Error::new(
        Kind::Unsupported,
        format!(
            "needs Proxmox VE {}; the server has {present}",
            needs.join(", ")
        ),
    )
    .doing(format!("{} {}", request.method(), request.template()))
}

impl Client {
    /// The server's version, asked for once. From then on calls of this client and its clones are held against it
    /// before they are sent, as [`ClientBuilder::check_version`](crate::ClientBuilder::check_version) says.
    ///
    /// In a cluster that is being upgraded nodes differ: it is the version of the node that answered.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::wire::{Method, Request};
    /// use proxmox_client::{Kind, ServerVersion, simulator::{Simulator, World}};
    /// let client = Simulator::new(World::lab().with_version("8.4.5")).connect();
    /// let version = client.learn_version().await?;
    /// assert_eq!(version, ServerVersion::new(8, 4, 5));
    /// let rules = client.request(Request::new(Method::Get, "/cluster/ha/rules", &[])).await;
    /// assert_eq!(rules.unwrap_err().kind(), Kind::Unsupported);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Decode`] if the server tells no version.
    pub async fn learn_version(&self) -> Result<ServerVersion> {
        let gate = self.version_gate();
        if let Some(known) = gate.known.get() {
            gate.on.store(true, Ordering::Relaxed);
            return Ok(*known);
        }
        let told = self.version().await?;
        let number = told.number().ok_or_else(|| {
            let shown = told.version.escape_debug().to_string();
            Error::new(Kind::Decode, format!("`{shown}` is no version")).doing("asking the version")
        })?;
        gate.on.store(true, Ordering::Relaxed);
        Ok(*gate.known.get_or_init(|| number))
    }

    /// The server's version, where this client was told or learned it.
    pub fn known_version(&self) -> Option<ServerVersion> {
        self.version_gate().known.get().copied()
    }

    /// Refuses what the server's version does not know, where this client was asked to look.
    pub(crate) async fn refuse_unsupported(&self, request: &Request) -> Result<()> {
        if !self.version_gate().is_on() || known::needs(request).is_empty() {
            return Ok(());
        }
        // Boxed, since asking is a call too.
        let present = Box::pin(self.learn_version()).await?;
        match present.missing(request).as_slice() {
            [] => Ok(()),
            missing => Err(refusal(request, present, missing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_and_packages_spell_them() {
        for (text, expected) in [
            ("9.1.9", Some((9, 1, 9))),
            ("8.4", Some((8, 4, 0))),
            ("8.4.5-1", Some((8, 4, 5))),
            ("7.4-16", Some((7, 4, 0))),
            ("9.0.0~11", Some((9, 0, 0))),
            ("9.1.9.1", Some((9, 1, 9))),
            ("9", None),
            ("", None),
            ("9.x", None),
        ] {
            let found = text.parse().ok();
            let expected = expected.map(|(a, b, c)| ServerVersion::new(a, b, c));
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(ServerVersion::new(9, 2, 0).to_string(), "9.2");
        assert_eq!(ServerVersion::new(9, 1, 9).to_string(), "9.1.9");
    }
}
