//! The meaning of a configuration: one interface and its peers.

use std::fmt;
use std::net::IpAddr;

use crate::endpoint::Endpoint;
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::net::{InterfaceAddress, Network};
use crate::obfuscation::Obfuscation;

/// One interface and its peers, as `wg` and `wg-quick` understand them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The `[Interface]` sections, merged.
    pub interface: Interface,
    /// The `[Peer]` sections, in order.
    pub peers: Vec<Peer>,
}

/// The local end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// `PrivateKey`.
    pub private_key: Option<PrivateKey>,
    /// `ListenPort`; absent or 0 lets the system choose.
    pub listen_port: Option<u16>,
    /// `FwMark`; 0 is `off`.
    pub fwmark: Option<u32>,
    /// `Address` of wg-quick.
    pub addresses: Vec<InterfaceAddress>,
    /// `DNS` of wg-quick: servers and search domains, in order.
    pub dns: Vec<Dns>,
    /// `MTU` of wg-quick, in bytes.
    pub mtu: Option<u32>,
    /// `Table` of wg-quick.
    pub table: Option<Table>,
    /// `PreUp`, `PostUp`, `PreDown`, `PostDown` of wg-quick, in order.
    pub hooks: Vec<Hook>,
    /// `SaveConfig` of wg-quick.
    pub save_config: Option<bool>,
    /// The obfuscation parameters of AmneziaWG.
    pub obfuscation: Obfuscation,
}

/// A remote end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// `PublicKey`.
    pub public_key: PublicKey,
    /// `PresharedKey`.
    pub preshared_key: Option<PresharedKey>,
    /// `Endpoint`.
    pub endpoint: Option<Endpoint>,
    /// `AllowedIPs`: what may come from this peer and what is sent to it.
    pub allowed_ips: Vec<Network>,
    /// `PersistentKeepalive` in seconds; 0 is `off`.
    pub keepalive: Option<u16>,
}

impl Peer {
    /// A peer of which nothing but the key is known.
    #[must_use]
    pub fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            preshared_key: None,
            endpoint: None,
            allowed_ips: Vec::new(),
            keepalive: None,
        }
    }
}

impl Config {
    /// The peer with this key.
    #[must_use]
    pub fn peer(&self, key: &PublicKey) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.public_key == *key)
    }
}

/// One element of wg-quick's `DNS`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dns {
    /// A name server.
    Server(IpAddr),
    /// A search domain.
    Search(String),
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(address) => address.fmt(f),
            Self::Search(domain) => domain.fmt(f),
        }
    }
}

/// wg-quick's `Table`: where routes go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Table {
    /// No routes are made.
    Off,
    /// The main table, and a table of its own for default routes.
    Auto,
    /// A table by number.
    Number(u32),
    /// A table by its name in `rt_tables`.
    Name(String),
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Auto => f.write_str("auto"),
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// When wg-quick runs a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HookStage {
    /// Before the interface is configured.
    PreUp,
    /// After it is up.
    PostUp,
    /// Before it is taken down.
    PreDown,
    /// After it is gone.
    PostDown,
}

impl HookStage {
    /// The key in the file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::PreUp => "PreUp",
            Self::PostUp => "PostUp",
            Self::PreDown => "PreDown",
            Self::PostDown => "PostDown",
        }
    }
}

/// A shell command that wg-quick runs as root. A file from elsewhere with one of these is foreign code; this
/// crate never runs any.
///
/// Commands may hold secrets, so `Debug` shows the length only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hook {
    /// When it runs.
    pub stage: HookStage,
    /// The command for bash; `%i` stands for the interface.
    pub command: String,
}

impl Hook {
    /// A hook of one's own.
    #[must_use]
    pub fn new(stage: HookStage, command: impl Into<String>) -> Self {
        Self {
            stage,
            command: command.into(),
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Hook({}, {} bytes)",
            self.stage.key(),
            self.command.len()
        )
    }
}
