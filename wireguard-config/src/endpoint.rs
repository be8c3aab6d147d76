//! Where a peer is reached: an address with an optional zone, or a name, and a UDP port.

use std::fmt;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::net::{leading_ipv4, parse_address, push_address, push_number};

/// The host part of an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Host {
    /// An address without a zone.
    Address(IpAddr),
    /// A link-local or other IPv6 address with the zone (interface) that it belongs to.
    Scoped(Ipv6Addr, String),
    /// A name, resolved by whoever loads the file.
    Name(String),
}

/// A host and a UDP port. Prints in the form that `wg` reads: IPv6 in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: Host,
    port: u16,
}

/// Why a text is no endpoint, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndpointFault {
    pub(crate) rule: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) offset: usize,
}

impl Endpoint {
    /// An endpoint at a numeric address.
    #[must_use]
    pub fn new(address: IpAddr, port: u16) -> Self {
        Self {
            host: Host::Address(address),
            port,
        }
    }

    /// An endpoint at a name, which the tools resolve when they load it.
    ///
    /// # Errors
    /// [`ErrorKind::Endpoint`] when the name has a character that no host name has.
    pub fn named(name: impl Into<String>, port: u16) -> Result<Self> {
        let name = name.into();
        if !is_host_name(&name) {
            return Err(
                Error::new(ErrorKind::Endpoint, format!("{name:?} is not a host name")).with_hint(
                    "letters, digits, dots, hyphens and underscores, at most 253 characters",
                ),
            );
        }
        Ok(Self {
            host: Host::Name(name),
            port,
        })
    }

    pub(crate) fn from_parts(host: Host, port: u16) -> Self {
        Self { host, port }
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The UDP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The numeric address, when the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Address(address) => Some(*address),
            Host::Scoped(address, _) => Some(IpAddr::V6(*address)),
            Host::Name(_) => None,
        }
    }

    /// The same host with another port.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Appends the text that `Display` gives, faster.
    pub(crate) fn push(&self, out: &mut String) {
        match &self.host {
            Host::Address(address @ IpAddr::V4(_)) => {
                push_address(out, *address);
                out.push(':');
                push_number(out, u32::from(self.port));
            }
            Host::Name(name) => {
                out.push_str(name);
                out.push(':');
                push_number(out, u32::from(self.port));
            }
            _ => {
                // Writing into a String cannot fail.
                let _ = write!(out, "{self}");
            }
        }
    }

    /// The second value says that IPv6 stood there without brackets.
    pub(crate) fn parse(text: &str) -> Result<(Self, bool), EndpointFault> {
        if let Some(plain) = parse_plain(text.as_bytes()) {
            return Ok((plain, false));
        }
        let fault = |rule, reason, hint, offset| EndpointFault {
            rule,
            reason,
            hint,
            offset,
        };
        if text.contains("://") {
            return Err(fault(
                "endpoint-url",
                "an endpoint is host:port, not a URL",
                "remove the scheme and the path",
                0,
            ));
        }
        let (host, port, at, bracketed) = if let Some(rest) = text.strip_prefix('[') {
            let Some((host, rest)) = rest.split_once(']') else {
                return Err(fault(
                    "endpoint-bracket",
                    "the closing ] is missing",
                    "write [address]:port",
                    0,
                ));
            };
            let Some(port) = rest.strip_prefix(':') else {
                return Err(fault(
                    "endpoint-port",
                    "the endpoint has no port",
                    "write [address]:port",
                    0,
                ));
            };
            (host, port, text.len() - port.len(), true)
        } else {
            let Some((host, port)) = text.rsplit_once(':') else {
                return Err(fault(
                    "endpoint-port",
                    "the endpoint has no port",
                    "write host:port",
                    0,
                ));
            };
            (host, port, text.len() - port.len(), false)
        };
        if port.is_empty() {
            return Err(fault(
                "endpoint-port",
                "the endpoint has no port",
                "write a number after the colon",
                at,
            ));
        }
        let Some(number) = parse_port(port) else {
            return Err(if port.bytes().all(|c| c.is_ascii_digit()) {
                fault(
                    "port-range",
                    "the port is out of range 0-65535",
                    "wg would silently wrap it modulo 65536",
                    at,
                )
            } else {
                fault(
                    "port-number",
                    "the port is not a number",
                    "write the number",
                    at,
                )
            });
        };
        let host = parse_host(host, bracketed).ok_or_else(|| {
            fault(
                "endpoint-host",
                "the host is neither an address nor a name",
                "write host:port or [IPv6]:port",
                0,
            )
        })?;
        let bare = !bracketed && matches!(host, Host::Scoped(..) | Host::Address(IpAddr::V6(_)));
        Ok((Self { host, port: number }, bare))
    }
}

/// `a.b.c.d:port`, which most endpoints are.
#[inline]
pub(crate) fn parse_plain(text: &[u8]) -> Option<Endpoint> {
    let (address, rest) = leading_ipv4(text)?;
    let digits = rest.strip_prefix(b":")?;
    if digits.is_empty() || digits.len() > 5 {
        return None;
    }
    let mut port = 0;
    for &c in digits {
        if !c.is_ascii_digit() {
            return None;
        }
        port = port * 10 + u32::from(c - b'0');
    }
    Some(Endpoint::new(
        IpAddr::V4(address),
        u16::try_from(port).ok()?,
    ))
}

/// A port as plain decimal digits, 0 to 65535.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    if text.is_empty() || text.len() > 5 || !text.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn parse_host(text: &str, bracketed: bool) -> Option<Host> {
    if let Some(address) = parse_address(text.as_bytes()) {
        return (address.is_ipv6() || !bracketed).then_some(Host::Address(address));
    }
    if let Some((address, zone)) = text.split_once('%') {
        let zoned =
            !zone.is_empty() && zone.len() <= 15 && zone.bytes().all(|c| c.is_ascii_graphic());
        return match (zoned, address.parse()) {
            (true, Ok(address)) => Some(Host::Scoped(address, zone.to_owned())),
            _ => None,
        };
    }
    (!bracketed && is_host_name(text)).then(|| Host::Name(text.to_owned()))
}

/// Whether the text can be a host name: not the form of an address, no character foreign to names.
fn is_host_name(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let numeric = text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    let labels = text
        .strip_suffix('.')
        .unwrap_or(text)
        .split('.')
        .all(|label| {
            (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
        });
    text.len() <= 253 && text.bytes().all(plain) && labels && !numeric
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Self {
                host: Host::Scoped(*v6.ip(), v6.scope_id().to_string()),
                port: v6.port(),
            },
            other => Self::new(other.ip(), other.port()),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
            .map(|(endpoint, _)| endpoint)
            .map_err(|fault| {
                Error::new(ErrorKind::Endpoint, format!("endpoint: {}", fault.reason))
                    .with_hint(fault.hint)
            })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Scoped(address, zone) => write!(f, "[{address}%{zone}]:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}
