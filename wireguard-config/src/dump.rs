//! The tab-separated text of `wg show … dump`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::device::{Device, DevicePeer, Handshake};
use crate::document::Limits;
use crate::endpoint::{Endpoint, parse_plain};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::net::parse;

/// Times before this one (2001) are no times of a handshake: boringtun gives its age there.
const EARLIEST: u64 = 1_000_000_000;

impl Device {
    /// Reads `wg show INTERFACE dump` (fields of one device) or `wg show all dump` (every line begins with the
    /// interface's name).
    ///
    /// # Errors
    /// [`ErrorKind::Answer`] with the line; never with the content of a key field. [`ErrorKind::TooLarge`].
    pub fn parse_dump(text: impl AsRef<[u8]>) -> Result<Vec<Self>> {
        let text = text.as_ref();
        Limits {
            sections: usize::MAX,
            ..Limits::default()
        }
        .check(text)?;
        let mut devices: Vec<Self> = Vec::new();
        let mut named = None;
        let mut start = 0;
        for (at, end) in memchr::memchr_iter(b'\n', text)
            .chain([text.len()])
            .enumerate()
        {
            let line = &text[start..end];
            start = end + 1;
            if !line.is_empty() {
                read_line(&mut devices, &mut named, line)
                    .ok_or_else(|| answer(format!("line {} of the dump cannot be read", at + 1)))?;
            }
        }
        Ok(devices)
    }
}

fn answer(message: String) -> Error {
    Error::new(ErrorKind::Answer, message).with_hint("hand in the whole output of `wg show … dump`")
}

/// The most fields that a line can have.
const FIELDS: usize = 9;

fn read_line(devices: &mut Vec<Device>, named: &mut Option<bool>, line: &[u8]) -> Option<()> {
    let mut fields = [&line[..0]; FIELDS];
    let mut count = 0;
    let mut start = 0;
    // Fields are short: looking at each byte costs less than a search for each tab.
    for (at, &c) in line.iter().enumerate() {
        if c == b'\t' {
            *fields.get_mut(count)? = &line[start..at];
            count += 1;
            start = at + 1;
        }
    }
    *fields.get_mut(count)? = &line[start..];
    count += 1;
    // The first line tells which form it is: 4 fields of a device, or 5 with its name.
    let with_name = *named.get_or_insert(count == 5);
    let name = if with_name {
        Some(std::str::from_utf8(fields[0]).ok()?)
    } else {
        None
    };
    let fields = &fields[usize::from(with_name).min(count)..count];
    match fields.len() {
        4 => {
            devices.push(Device {
                name: name.map(str::to_owned),
                private_key: optional(fields[0], |f| PrivateKey::decode(f).ok())?,
                public_key: optional(fields[1], |f| PublicKey::decode(f).ok())?,
                listen_port: number(fields[2])?.try_into().ok()?,
                fwmark: mark(fields[3])?,
                peers: Vec::new(),
            });
        }
        8 => {
            let device = devices.last_mut()?;
            if device.name.as_deref() != name {
                return None;
            }
            device.peers.push(peer(fields)?);
        }
        _ => return None,
    }
    Some(())
}

fn peer(fields: &[&[u8]]) -> Option<DevicePeer> {
    let mut peer = DevicePeer::new(PublicKey::decode(fields[0]).ok()?);
    peer.preshared_key = optional(fields[1], |f| PresharedKey::decode(f).ok())?;
    peer.endpoint = optional(fields[2], endpoint)?;
    if fields[3] != b"(none)" {
        for network in fields[3].split(|&c| c == b',') {
            peer.allowed_ips.push(parse(network).ok()?.network());
        }
    }
    peer.last_handshake = handshake(number(fields[4])?, 0);
    peer.received = number(fields[5])?;
    peer.sent = number(fields[6])?;
    peer.keepalive = if fields[7] == b"off" {
        0
    } else {
        number(fields[7])?.try_into().ok()?
    };
    Some(peer)
}

fn endpoint(field: &[u8]) -> Option<Endpoint> {
    parse_plain(field).or_else(|| Some(Endpoint::parse(std::str::from_utf8(field).ok()?).ok()?.0))
}

/// A time since 1970, or an age where it cannot be one; 0 is never.
pub(crate) fn handshake(seconds: u64, nanoseconds: u32) -> Option<Handshake> {
    let span = Duration::new(seconds, nanoseconds.min(999_999_999));
    match seconds {
        0 if nanoseconds == 0 => None,
        0..EARLIEST => Some(Handshake::Ago(span)),
        _ => UNIX_EPOCH.checked_add(span).map(Handshake::At),
    }
}

impl Handshake {
    /// How long ago it was at the time `now`; zero when the clocks disagree.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Duration {
        match self {
            Self::At(time) => now.duration_since(*time).unwrap_or_default(),
            Self::Ago(age) => *age,
        }
    }
}

/// `(none)` is absent; the outer option is the failure.
#[allow(clippy::option_option, reason = "absent and unreadable are two things")]
fn optional<T>(field: &[u8], read: impl FnOnce(&[u8]) -> Option<T>) -> Option<Option<T>> {
    if field == b"(none)" {
        Some(None)
    } else {
        read(field).map(Some)
    }
}

fn number(field: &[u8]) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0u64, |n, c| {
        let digit = c.is_ascii_digit().then(|| u64::from(c - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

fn mark(field: &[u8]) -> Option<u32> {
    if field == b"off" {
        return Some(0);
    }
    let text = std::str::from_utf8(field).ok()?;
    match text.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|c| c.is_ascii_hexdigit()) => {
            u32::from_str_radix(hex, 16).ok()
        }
        _ => number(field)?.try_into().ok(),
    }
}
