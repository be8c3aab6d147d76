//! The reader of `wg setconf`.

use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::document::line::is_space;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::key::encoding::KeyFault;
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::net::{Network, parse_address, width};

use super::numbers::strtoul;
use super::resolve::{self, Resolver};
use super::{Release, reject};

/// A text as `wg` understands it, before a device takes it.
#[derive(Default)]
pub(super) struct Request {
    pub(super) private_key: Option<PrivateKey>,
    pub(super) listen_port: u16,
    pub(super) fwmark: u32,
    pub(super) peers: Vec<PeerRequest>,
}

#[derive(Default)]
pub(super) struct PeerRequest {
    pub(super) public_key: Option<PublicKey>,
    pub(super) preshared_key: Option<PresharedKey>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) keepalive: Option<u16>,
    pub(super) replace: bool,
    /// In the order of the text; `false` takes away.
    pub(super) allowed: Vec<(Network, bool)>,
}

struct Reader<'r> {
    release: Release,
    resolver: &'r dyn Resolver,
    request: Request,
    section: Option<Section>,
}

#[derive(Clone, Copy, PartialEq)]
enum Section {
    Interface,
    Peer,
}

pub(super) fn parse(release: Release, resolver: &dyn Resolver, text: &[u8]) -> Result<Request> {
    let mut reader = Reader {
        release,
        resolver,
        request: Request::default(),
        section: None,
    };
    let mut line = Zeroizing::new(Vec::new());
    for (at, raw) in text.split(|&c| c == b'\n').enumerate() {
        // C strings end at the first zero byte.
        let end = raw
            .iter()
            .position(|&c| c == 0 || c == b'#')
            .unwrap_or(raw.len());
        line.clear();
        line.extend(raw[..end].iter().copied().filter(|&c| !is_space(c)));
        if !line.is_empty() {
            reader.line(at + 1, &line)?;
        }
    }
    if reader
        .request
        .peers
        .iter()
        .any(|peer| peer.public_key.is_none())
    {
        return Err(reject("no-public-key", 0, "a peer has no PublicKey"));
    }
    Ok(reader.request)
}

/// The value, if the line begins with the key and `=` and does not end there.
fn value_of<'l>(line: &'l [u8], key: &str) -> Option<&'l [u8]> {
    let (head, value) = line.split_at_checked(key.len() + 1)?;
    let (head, equals) = head.split_at(key.len());
    (equals == b"=" && head.eq_ignore_ascii_case(key.as_bytes()) && !value.is_empty())
        .then_some(value)
}

impl Reader<'_> {
    fn line(&mut self, at: usize, line: &[u8]) -> Result<()> {
        if line.eq_ignore_ascii_case(b"[Interface]") {
            self.section = Some(Section::Interface);
            return Ok(());
        }
        if line.eq_ignore_ascii_case(b"[Peer]") {
            self.section = Some(Section::Peer);
            self.request.peers.push(PeerRequest {
                replace: true,
                ..PeerRequest::default()
            });
            return Ok(());
        }
        let known = match self.section {
            Some(Section::Interface) => self.interface(at, line)?,
            Some(Section::Peer) => self.peer(at, line)?,
            None => false,
        };
        if known {
            Ok(())
        } else {
            Err(reject(
                "unrecognised-line",
                at,
                "the line is not recognised",
            ))
        }
    }

    /// Whether the line is one of `[Interface]`.
    fn interface(&mut self, at: usize, line: &[u8]) -> Result<bool> {
        if let Some(value) = value_of(line, "ListenPort") {
            let port = resolve::port(self.resolver, value).filter(|_| value != b"*");
            self.request.listen_port = port.ok_or_else(|| {
                reject("port", at, "ListenPort is neither a number nor a service")
            })?;
        } else if let Some(value) = value_of(line, "FwMark") {
            self.request.fwmark = fwmark(value)
                .ok_or_else(|| reject("fwmark", at, "FwMark is neither off nor a number"))?;
        } else if let Some(value) = value_of(line, "PrivateKey") {
            self.request.private_key =
                Some(PrivateKey::decode(value).map_err(|fault| bad_key(at, fault))?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether the line is one of `[Peer]`.
    fn peer(&mut self, at: usize, line: &[u8]) -> Result<bool> {
        let (release, resolver) = (self.release, self.resolver);
        let Some(peer) = self.request.peers.last_mut() else {
            return Ok(false);
        };
        if let Some(value) = value_of(line, "Endpoint") {
            let endpoint = endpoint(resolver, value);
            peer.endpoint =
                Some(endpoint.ok_or_else(|| {
                    reject("endpoint", at, "Endpoint cannot be read or resolved")
                })?);
        } else if let Some(value) = value_of(line, "PublicKey") {
            peer.public_key = Some(PublicKey::decode(value).map_err(|fault| bad_key(at, fault))?);
        } else if let Some(value) = value_of(line, "AllowedIPs") {
            for element in value.split(|&c| c == b',') {
                allowed_ip(release, peer, element).ok_or_else(|| {
                    reject(
                        "allowed-ip",
                        at,
                        "AllowedIPs has an element that is no network",
                    )
                })?;
            }
        } else if let Some(value) = value_of(line, "PersistentKeepalive") {
            peer.keepalive = Some(keepalive(value).ok_or_else(|| {
                reject(
                    "keepalive",
                    at,
                    "PersistentKeepalive is neither off nor 0 to 65535",
                )
            })?);
        } else if let Some(value) = value_of(line, "PresharedKey") {
            peer.preshared_key =
                Some(PresharedKey::decode(value).map_err(|fault| bad_key(at, fault))?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

fn bad_key(at: usize, fault: KeyFault) -> crate::Error {
    reject("key", at, fault.reason())
}

fn fwmark(value: &[u8]) -> Option<u32> {
    if value.eq_ignore_ascii_case(b"off") {
        return Some(0);
    }
    if !value[0].is_ascii_digit() {
        return None;
    }
    let base = if value.starts_with(b"0x") { 16 } else { 10 };
    let (number, rest) = strtoul(value, base);
    if !rest.is_empty() {
        return None;
    }
    u32::try_from(number).ok()
}

fn keepalive(value: &[u8]) -> Option<u16> {
    if value.eq_ignore_ascii_case(b"off") {
        return Some(0);
    }
    if !value[0].is_ascii_digit() {
        return None;
    }
    let (number, rest) = strtoul(value, 10);
    if !rest.is_empty() {
        return None;
    }
    u16::try_from(number).ok()
}

fn endpoint(resolver: &dyn Resolver, value: &[u8]) -> Option<Endpoint> {
    let (host, service) = if let Some(rest) = value.strip_prefix(b"[") {
        let end = rest.iter().position(|&c| c == b']')?;
        (&rest[..end], rest[end + 1..].strip_prefix(b":")?)
    } else {
        let colon = value.iter().rposition(|&c| c == b':')?;
        (&value[..colon], &value[colon + 1..])
    };
    (!service.is_empty())
        .then(|| resolve::endpoint(resolver, host, service))
        .flatten()
}

fn allowed_ip(release: Release, peer: &mut PeerRequest, element: &[u8]) -> Option<()> {
    let sign = element
        .first()
        .filter(|c| matches!(c, b'+' | b'-') && release >= Release::V20260223);
    let rest = if sign.is_some() {
        &element[1..]
    } else {
        element
    };
    let slash = rest.iter().position(|&c| c == b'/');
    let address: IpAddr = parse_address(&rest[..slash.unwrap_or(rest.len())])?;
    let prefix = match slash.map(|at| &rest[at + 1..]) {
        None => width(address),
        Some(digits) => {
            if !digits.first()?.is_ascii_digit() {
                return None;
            }
            let (number, left) = strtoul(digits, 10);
            if !left.is_empty() {
                return None;
            }
            u8::try_from(number).ok()?
        }
    };
    // A sign makes the whole section incremental.
    if sign.is_some() {
        peer.replace = false;
    }
    peer.allowed
        .push((Network::new(address, prefix).ok()?, sign != Some(&b'-')));
    Some(())
}
