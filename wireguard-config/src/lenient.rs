//! What the real tools make of a text: `wg setconf`, `wg-quick strip` and `wg-quick up` of a given release, with their
//! C library's number and address forms.
//!
//! Use this to know beforehand whether a file works on a machine. To judge whether a file is *good*, use the strict
//! mode, [`Document::check`](crate::Document::check).

mod apply;
mod numbers;
mod quick;
mod resolve;
mod setconf;

pub use resolve::{NoNames, Resolver};

use crate::config::{Dns, Hook, Table};
use crate::device::Device;
use crate::document::Limits;
use crate::error::{Error, ErrorKind, Place, Problem, Result, Severity};

/// A release of wireguard-tools whose behaviour is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Release {
    /// 1.0.20210914, in Debian 12 and Ubuntu 22.04.
    V20210914,
    /// 1.0.20260223; knows `+` and `-` before allowed IPs.
    V20260223,
}

/// The tools of one release on a machine with certain names, services and zones.
#[derive(Clone, Copy)]
pub struct Tools<'r> {
    release: Release,
    resolver: &'r dyn Resolver,
}

impl std::fmt::Debug for Tools<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools")
            .field("release", &self.release)
            .finish_non_exhaustive()
    }
}

/// What wg-quick takes for itself out of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuickPart {
    /// The words of all `Address` values, unread.
    pub addresses: Vec<String>,
    /// The `DNS` words: what looks like an address is a server, everything else a search domain.
    pub dns: Vec<Dns>,
    /// `MTU`, unread.
    pub mtu: Option<String>,
    /// `Table`.
    pub table: Option<Table>,
    /// The hooks. Nothing here runs them.
    pub hooks: Vec<Hook>,
    /// `SaveConfig`.
    pub save_config: bool,
}

impl<'r> Tools<'r> {
    /// The tools of a release; `resolver` stands for the machine's hosts file, services and interfaces.
    #[must_use]
    pub fn new(release: Release, resolver: &'r dyn Resolver) -> Self {
        Self { release, resolver }
    }

    /// What `wg setconf` would make of the text: the device's configuration afterwards.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] with the first line that `wg` would refuse, [`ErrorKind::TooLarge`].
    pub fn setconf(&self, text: impl AsRef<[u8]>) -> Result<Device> {
        let text = text.as_ref();
        Limits::default().check(text)?;
        setconf::parse(self.release, self.resolver, text).map(apply::apply)
    }

    /// What `wg-quick strip` would print: the text for `wg setconf`. Secret like the input.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] for a `SaveConfig` that is neither true nor false, [`ErrorKind::TooLarge`].
    pub fn strip(&self, text: impl AsRef<[u8]>) -> Result<zeroize::Zeroizing<Vec<u8>>> {
        let text = text.as_ref();
        Limits::default().check(text)?;
        quick::split(self.release, text).map(|(stripped, _)| stripped)
    }

    /// What `wg-quick up` would set: the device, and what wg-quick does itself.
    ///
    /// # Errors
    /// As [`strip`](Self::strip) and [`setconf`](Self::setconf), and for addresses and MTUs that `ip` would refuse.
    pub fn quick(&self, text: impl AsRef<[u8]>) -> Result<(Device, QuickPart)> {
        let text = text.as_ref();
        Limits::default().check(text)?;
        let (stripped, part) = quick::split(self.release, text)?;
        let device = self.setconf(stripped.as_slice())?;
        quick::check(&part)?;
        Ok((device, part))
    }
}

/// The one thing because of which a tool gives up. The line is 0 when the tool does not say where.
fn reject(rule: &'static str, line: usize, message: impl Into<String>) -> Error {
    let problem = Problem {
        severity: Severity::Error,
        rule,
        place: Place::Text { line, column: 1 },
        message: message.into(),
        hint: None,
    };
    Error::new(ErrorKind::Syntax, "the tools would refuse the text").with_problems(vec![problem])
}
