//! The reader of `wg-quick`, a shell script: it takes its own keys out of the text and leaves the rest to `wg`.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zeroize::Zeroizing;

use crate::config::{Dns, Hook, HookStage, Table};
use crate::document::line::trim;
use crate::error::Result;

use super::numbers::any_base;
use super::{QuickPart, Release, reject};

/// What is left for `wg`, and what wg-quick keeps.
pub(super) fn split(release: Release, text: &[u8]) -> Result<(Zeroizing<Vec<u8>>, QuickPart)> {
    let mut rest = Zeroizing::new(Vec::with_capacity(text.len() + 2));
    let mut part = QuickPart::default();
    let mut interface = false;
    let mut lines = text.split(|&c| c == b'\n').enumerate().peekable();
    while let Some((at, raw)) = lines.next() {
        // The shell drops zero bytes, and space and tabs at both ends of the line.
        let line: Zeroizing<Vec<u8>> =
            Zeroizing::new(raw.iter().copied().filter(|&c| c != 0).collect());
        let line = blank_trimmed(&line);
        // Behind the last line end there is a line only if something stands there.
        if lines.peek().is_none() && line.is_empty() {
            break;
        }
        let stripped = &line[..line.iter().position(|&c| c == b'#').unwrap_or(line.len())];
        let equals = stripped.iter().position(|&c| c == b'=');
        let key = &stripped[trim(stripped, 0, equals.unwrap_or(stripped.len()))];
        let value = &stripped[trim(stripped, equals.map_or(0, |e| e + 1), stripped.len())];
        if key.first() == Some(&b'[') {
            interface = key.eq_ignore_ascii_case(b"[Interface]");
        }
        let whole = equals
            .map(|_| line)
            .filter(|_| release >= Release::V20260223);
        if !(interface && take(&mut part, at + 1, key, value, whole)?) {
            rest.extend_from_slice(line);
            rest.push(b'\n');
        }
    }
    rest.push(b'\n');
    Ok((rest, part))
}

fn blank_trimmed(line: &[u8]) -> &[u8] {
    let blank = |c: &u8| *c == b' ' || *c == b'\t';
    let start = line.iter().position(|c| !blank(c)).unwrap_or(line.len());
    let end = line
        .iter()
        .rposition(|c| !blank(c))
        .map_or(start, |at| at + 1);
    &line[start..end]
}

/// Whether the key is wg-quick's own. `whole` is the line for hooks where `#` begins no comment in them.
fn take(
    part: &mut QuickPart,
    at: usize,
    key: &[u8],
    value: &[u8],
    whole: Option<&[u8]>,
) -> Result<bool> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let words = |value: &[u8]| -> Vec<String> {
        value
            .split(|c| matches!(c, b',' | b' ' | b'\t'))
            .filter(|word| !word.is_empty())
            .map(text)
            .collect()
    };
    let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
    let stages = [
        HookStage::PreUp,
        HookStage::PostUp,
        HookStage::PreDown,
        HookStage::PostDown,
    ];
    if is("Address") {
        part.addresses.extend(words(value));
    } else if is("MTU") {
        part.mtu = Some(text(value)).filter(|mtu| !mtu.is_empty());
    } else if is("DNS") {
        part.dns.extend(
            words(value)
                .into_iter()
                .map(|word| match word.parse::<IpAddr>() {
                    Ok(address) => Dns::Server(address),
                    Err(_) => Dns::Search(word),
                }),
        );
    } else if is("Table") {
        part.table = match text(value).as_str() {
            "" => None,
            "off" => Some(Table::Off),
            "auto" => Some(Table::Auto),
            other => Some(
                other
                    .parse()
                    .map_or_else(|_| Table::Name(other.to_owned()), Table::Number),
            ),
        };
    } else if let Some(stage) = stages.into_iter().find(|stage| is(stage.key())) {
        let from = whole.and_then(|line| {
            line.iter()
                .position(|&c| c == b'=')
                .map(|e| &line[trim(line, e + 1, line.len())])
        });
        part.hooks
            .push(Hook::new(stage, text(from.unwrap_or(value))));
    } else if is("SaveConfig") {
        part.save_config = value.eq_ignore_ascii_case(b"true");
        if !part.save_config && !value.eq_ignore_ascii_case(b"false") {
            return Err(reject(
                "save-config",
                at,
                "SaveConfig is neither true nor false",
            ));
        }
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Refuses what `ip address add` and `ip link set mtu` refuse.
pub(super) fn check(part: &QuickPart) -> Result<()> {
    let mut seen = HashSet::new();
    for word in &part.addresses {
        let read = ip_address(word)
            .ok_or_else(|| reject("address", 0, "an Address is not one that ip accepts"))?;
        if !seen.insert(read) {
            return Err(reject("address", 0, "an Address stands twice"));
        }
    }
    match part.mtu.as_deref().map(any_base) {
        Some(None) => Err(reject("mtu", 0, "the MTU is not a number")),
        _ => Ok(()),
    }
}

/// An address with a prefix length or netmask, in the forms of iproute2: IPv4 parts may be octal or hexadecimal, and
/// missing ones are zero.
fn ip_address(word: &str) -> Option<(IpAddr, u32)> {
    let (address, mask) = match word.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (word, None),
    };
    if address.contains(':') {
        let address: Ipv6Addr = address.parse().ok()?;
        let prefix = mask
            .map_or(Some(128), any_base)
            .filter(|&prefix| prefix <= 128)?;
        return Some((address.into(), prefix));
    }
    let mut octets = [0u8; 4];
    let mut parts = address.split('.');
    for octet in &mut octets {
        let Some(part) = parts.next() else { break };
        *octet = u8::try_from(any_base(part)?).ok()?;
    }
    if parts.next().is_some() {
        return None;
    }
    let netmask = |mask: &str| -> Option<u32> {
        let bits = mask.parse::<Ipv4Addr>().ok()?.to_bits();
        (bits.leading_ones() + bits.trailing_zeros() == 32).then_some(bits.leading_ones())
    };
    let prefix = mask.map_or(Some(32), |mask| any_base(mask).or_else(|| netmask(mask)))?;
    (prefix <= 32).then(|| (Ipv4Addr::from(octets).into(), prefix))
}
