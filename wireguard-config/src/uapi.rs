//! The text protocol of user-space implementations: `get=1` answers read, `set=1` requests written.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::device::{Device, DevicePeer};
use crate::diff::{Changes, Operation, PeerUpdate};
use crate::document::Limits;
use crate::dump::handshake;
use crate::endpoint::{Endpoint, Host};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::net::{Network, parse};

/// What an implementation understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abilities {
    /// Whether `allowed_ip=-…` takes a single network away. wireguard-go understands it from 2025 on; without it a
    /// peer's networks are replaced as a whole.
    pub remove_allowed_ip: bool,
}

impl Default for Abilities {
    fn default() -> Self {
        Self {
            remove_allowed_ip: true,
        }
    }
}

impl Abilities {
    /// What implementations before 2025 understand.
    #[must_use]
    pub fn basic() -> Self {
        Self {
            remove_allowed_ip: false,
        }
    }
}

/// The request for a device's state.
pub const GET: &str = "get=1\n\n";

fn answer(at: usize, message: &str) -> Error {
    Error::new(
        ErrorKind::Answer,
        format!("line {at} of the answer: {message}"),
    )
}

impl Device {
    /// Reads the answer to `get=1`. Keys that this crate does not know are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] for a non-zero `errno`, [`ErrorKind::Answer`] for what cannot be read or ends
    /// without `errno`, [`ErrorKind::TooLarge`].
    pub fn parse_uapi(text: impl AsRef<[u8]>) -> Result<Self> {
        let text = text.as_ref();
        Limits {
            sections: usize::MAX,
            ..Limits::default()
        }
        .check(text)?;
        let mut device = Self::default();
        let mut times = (0, 0);
        for (at, line) in text.split(|&c| c == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line = std::str::from_utf8(line).map_err(|_| answer(at + 1, "it is not text"))?;
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| answer(at + 1, "= is missing"))?;
            if key == "errno" {
                return match value.parse() {
                    Ok(0) => Ok(device),
                    Ok(errno) => Err(errno_error(errno)),
                    Err(_) => Err(answer(at + 1, "errno is not a number")),
                };
            }
            let known = match device.peers.last_mut() {
                Some(peer) if key != "public_key" => peer_line(peer, &mut times, key, value),
                _ => device_line(&mut device, &mut times, key, value),
            };
            known.ok_or_else(|| {
                answer(
                    at + 1,
                    &format!("the value of {} cannot be read", printable(key)),
                )
            })?;
        }
        Err(
            Error::new(ErrorKind::Answer, "the answer ends without errno")
                .with_hint("the daemon hung up, or there is more to read"),
        )
    }
}

/// Keys are short lower-case words; anything else could be a secret in the wrong place.
fn printable(key: &str) -> &str {
    let plain = key.len() <= 40 && key.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
    if plain { key } else { "a key" }
}

pub(crate) fn errno_error(errno: i32) -> Error {
    let meaning = match errno.unsigned_abs() {
        1 => "not permitted",
        19 => "no such device",
        22 => "invalid value",
        71 => "protocol error",
        98 => "the port is in use",
        _ => "refused",
    };
    Error::device(
        errno.saturating_abs(),
        format!("the device answered errno {errno}: {meaning}"),
    )
}

fn device_line(device: &mut Device, times: &mut (u64, u32), key: &str, value: &str) -> Option<()> {
    match key {
        "private_key" => {
            device.private_key =
                Some(PrivateKey::from_hex(value).ok()?).filter(|key| !key.is_zero());
            device.public_key = device.private_key.as_ref().map(PrivateKey::public_key);
        }
        "own_public_key" => device.public_key = Some(PublicKey::from_hex(value).ok()?),
        "listen_port" => device.listen_port = value.parse().ok()?,
        "fwmark" => device.fwmark = value.parse().ok()?,
        "public_key" => {
            *times = (0, 0);
            device
                .peers
                .push(DevicePeer::new(PublicKey::from_hex(value).ok()?));
        }
        _ => {}
    }
    Some(())
}

fn peer_line(peer: &mut DevicePeer, times: &mut (u64, u32), key: &str, value: &str) -> Option<()> {
    match key {
        "preshared_key" => {
            peer.preshared_key =
                Some(PresharedKey::from_hex(value).ok()?).filter(|key| !key.is_zero())
        }
        "endpoint" => peer.endpoint = Some(Endpoint::parse(value).ok()?.0),
        "allowed_ip" => peer
            .allowed_ips
            .push(parse(value.as_bytes()).ok()?.network()),
        "persistent_keepalive_interval" => peer.keepalive = value.parse().ok()?,
        "rx_bytes" => peer.received = value.parse().ok()?,
        "tx_bytes" => peer.sent = value.parse().ok()?,
        "last_handshake_time_sec" => times.0 = value.parse().ok()?,
        "last_handshake_time_nsec" => times.1 = value.parse().ok()?,
        _ => return Some(()),
    }
    if key.starts_with("last_handshake") {
        peer.last_handshake = handshake(times.0, times.1);
    }
    Some(())
}

/// The `set=1` request that carries out the changes, empty line included; what a device does not hold (addresses,
/// routes) is left out. Secret, and wiped when dropped. Empty when the device has nothing to do.
///
/// # Errors
/// [`ErrorKind::Endpoint`] for an endpoint that is still a name: resolve it first, see
/// [`Config::resolve_endpoints`](crate::Config::resolve_endpoints).
pub fn set_request(changes: &Changes, abilities: Abilities) -> Result<Zeroizing<String>> {
    let mut out = Zeroizing::new(String::with_capacity(capacity(changes)));
    // Writing into a String cannot fail.
    for operation in changes.operations() {
        match operation {
            Operation::SetPrivateKey(key) => {
                out.push_str("private_key=");
                match key {
                    Some(key) => key.push_hex(&mut out),
                    None => out.extend(std::iter::repeat_n('0', 64)),
                }
                out.push('\n');
            }
            Operation::SetListenPort(port) => _ = writeln!(out, "listen_port={port}"),
            Operation::SetFwmark(mark) => _ = writeln!(out, "fwmark={mark}"),
            Operation::RemovePeer(key) => {
                start_peer(&mut out, key);
                out.push_str("remove=true\n");
            }
            Operation::AddPeer(peer) => {
                start_peer(&mut out, &peer.public_key);
                preshared(&mut out, peer.preshared_key.as_ref());
                endpoint(&mut out, peer.endpoint.as_ref())?;
                if let Some(seconds) = peer.keepalive {
                    let _ = writeln!(out, "persistent_keepalive_interval={seconds}");
                }
                out.push_str("replace_allowed_ips=true\n");
                networks(&mut out, "", &peer.allowed_ips);
            }
            Operation::UpdatePeer(update) => update_peer(&mut out, update, abilities)?,
            _ => {}
        }
    }
    if !out.is_empty() {
        out.insert_str(0, "set=1\n");
        out.push('\n');
    }
    Ok(out)
}

/// Room for everything, so that growing leaves no piece of a secret behind.
fn capacity(changes: &Changes) -> usize {
    let one = |operation: &Operation| match operation {
        Operation::AddPeer(peer) => 600 + peer.allowed_ips.len() * 64,
        Operation::UpdatePeer(update) => {
            600 + (update.add.len() + update.remove.len() + update.all.len()) * 64
        }
        _ => 128,
    };
    64 + changes.operations().iter().map(one).sum::<usize>()
}

fn start_peer(out: &mut String, key: &PublicKey) {
    out.push_str("public_key=");
    key.push_hex(out);
    out.push('\n');
}

fn preshared(out: &mut String, key: Option<&PresharedKey>) {
    if let Some(key) = key {
        out.push_str("preshared_key=");
        key.push_hex(out);
        out.push('\n');
    }
}

fn endpoint(out: &mut String, endpoint: Option<&Endpoint>) -> Result<()> {
    let Some(endpoint) = endpoint else {
        return Ok(());
    };
    if let Host::Name(name) = endpoint.host() {
        return Err(Error::new(
            ErrorKind::Endpoint,
            format!("the endpoint {name} is a name, and devices take addresses"),
        )
        .with_hint("resolve it before rendering"));
    }
    let _ = writeln!(out, "endpoint={endpoint}");
    Ok(())
}

fn networks(out: &mut String, sign: &str, networks: &[Network]) {
    for network in networks {
        let _ = writeln!(out, "allowed_ip={sign}{network}");
    }
}

fn update_peer(out: &mut String, update: &PeerUpdate, abilities: Abilities) -> Result<()> {
    start_peer(out, &update.public_key);
    out.push_str("update_only=true\n");
    match &update.preshared_key {
        Some(Some(key)) => preshared(out, Some(key)),
        Some(None) => {
            out.push_str("preshared_key=");
            out.extend(std::iter::repeat_n('0', 64));
            out.push('\n');
        }
        None => {}
    }
    endpoint(out, update.endpoint.as_ref())?;
    if let Some(seconds) = update.keepalive {
        let _ = writeln!(out, "persistent_keepalive_interval={seconds}");
    }
    if update.remove.is_empty() || abilities.remove_allowed_ip {
        networks(out, "-", &update.remove);
        networks(out, "", &update.add);
    } else {
        out.push_str("replace_allowed_ips=true\n");
        networks(out, "", &update.all);
    }
    Ok(())
}
