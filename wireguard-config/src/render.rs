//! Texts for other programs, made from a [`Config`] or a [`Plan`](crate::Plan).
//!
//! Not every program knows everything: what a format cannot carry is said in [`Rendered::notes`].

pub mod cloud_init;
pub mod firewall;
pub mod network_manager;
pub mod networkd;
pub mod picture;
pub mod qr;
pub mod quick;
pub mod talos;
mod yaml;

use std::fmt;

use zeroize::Zeroizing;

use crate::config::{Config, Table};
use crate::error::{Error, ErrorKind, Result};

/// Files for a program, and what they leave out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rendered {
    /// The files.
    pub files: Vec<OutputFile>,
    /// What the format cannot carry, for a person to read.
    pub notes: Vec<String>,
}

/// A file of a [`Rendered`]. The content may be secret and is wiped when dropped; `Debug` shows its size.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputFile {
    /// Where it belongs on the machine.
    pub path: String,
    /// The permission bits.
    pub mode: u32,
    /// User and group, as `user:group`.
    pub owner: &'static str,
    /// What stands in it.
    pub content: Zeroizing<String>,
}

impl fmt::Debug for OutputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "OutputFile({}, {:04o} {}, {} bytes)",
            self.path,
            self.mode,
            self.owner,
            self.content.len()
        )
    }
}

/// The table that wg-quick uses for default routes, and the mark that goes with it.
const DEFAULT_ROUTE_TABLE: u32 = 51820;

/// Room for a rendered text, so that growing leaves no piece of a secret behind.
fn room(config: &Config) -> Zeroizing<String> {
    let networks: usize = config.peers.iter().map(|peer| peer.allowed_ips.len()).sum();
    let hooks: usize = config
        .interface
        .hooks
        .iter()
        .map(|hook| hook.command.len() + 64)
        .sum();
    Zeroizing::new(String::with_capacity(
        4096 + config.peers.len() * 1024 + networks * 256 + hooks,
    ))
}

fn check_name(interface: &str) -> Result<()> {
    if crate::topology::is_interface_name(interface) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Name,
        format!("{interface:?} is no interface name"),
    )
    .with_hint("1 to 15 characters of a-z A-Z 0-9 _ = + . -"))
}

/// What formats other than wg-quick's leave out.
fn common_notes(config: &Config, notes: &mut Vec<String>) {
    if !config.interface.hooks.is_empty() {
        notes.push("hooks are not carried over: they are shell commands for wg-quick".to_owned());
    }
    if config.interface.save_config == Some(true) {
        notes.push("SaveConfig is not carried over".to_owned());
    }
    if !config.interface.obfuscation.is_empty() {
        notes.push("AmneziaWG's parameters are not carried over".to_owned());
    }
}

/// Whether default routes need a table of their own, as wg-quick makes one.
fn has_default_route(config: &Config) -> bool {
    !matches!(config.interface.table, Some(Table::Off))
        && config
            .peers
            .iter()
            .flat_map(|peer| &peer.allowed_ips)
            .any(crate::Network::is_default)
}
