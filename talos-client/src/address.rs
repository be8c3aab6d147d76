//! IP addresses and prefixes with the cause of what is wrong with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::quote::quote;

/// An address with an optional zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    pub(crate) zone: Option<String>,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{}%{zone}", self.ip),
            None => write!(f, "{}", self.ip),
        }
    }
}

/// An address and how many of its bits name the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) ip: IpAddr,
    pub(crate) bits: u8,
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

impl Prefix {
    /// Bits of an address of this family.
    pub(crate) fn width(self) -> u8 {
        if self.ip.is_ipv4() { 32 } else { 128 }
    }

    /// The network's first address.
    pub(crate) fn masked(self) -> Self {
        let ip = match self.ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.bits))
                    .unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
            }
        };
        Self { ip, ..self }
    }

    /// Whether two prefixes have an address in common.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let bits = self.bits.min(other.bits);
        self.ip.is_ipv4() == other.ip.is_ipv4()
            && Self { bits, ..self }.masked() == Self { bits, ..other }.masked()
    }
}

fn failed(text: &str, message: &str, at: &str) -> String {
    let place = if at.is_empty() {
        String::new()
    } else {
        format!(" (at {})", quote(at))
    };
    format!("ParseAddr({}): {message}{place}", quote(text))
}

/// Reads an address, `::1%eth0` with a zone.
pub(crate) fn parse(text: &str) -> Result<Address, String> {
    match text.bytes().find(|b| matches!(b, b'.' | b':' | b'%')) {
        Some(b'.') => four(text, text).map(|fields| Address {
            ip: IpAddr::V4(fields.into()),
            zone: None,
        }),
        Some(b':') => six(text),
        Some(_) => Err(failed(text, "missing IPv6 address", "")),
        None => Err(failed(text, "unable to parse IP", "")),
    }
}

/// Four fields; `whole` is the text that the message is about.
fn four(whole: &str, text: &str) -> Result<[u8; 4], String> {
    let mut fields = [0; 4];
    let (mut value, mut position, mut digits) = (0_u32, 0, 0);
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return Err(failed(whole, "IPv4 field has octet with leading zero", ""));
                }
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return Err(failed(whole, "IPv4 field has value >255", ""));
                }
            }
            b'.' => {
                if at == 0 || at + 1 == bytes.len() || bytes[at - 1] == b'.' {
                    let message = "IPv4 field must have at least one digit";
                    return Err(failed(whole, message, &text[at..]));
                }
                if position == 3 {
                    return Err(failed(whole, "IPv4 address too long", ""));
                }
                fields[position] = value as u8;
                position += 1;
                (value, digits) = (0, 0);
            }
            _ => {
                let rest = text.get(at..).unwrap_or_default();
                return Err(failed(whole, "unexpected character", rest));
            }
        }
    }
    if position < 3 {
        return Err(failed(whole, "IPv4 address too short", ""));
    }
    fields[3] = value as u8;
    Ok(fields)
}

fn six(whole: &str) -> Result<Address, String> {
    let wrong = |message: &str, at: &str| Err(failed(whole, message, at));
    let (mut text, zone) = match whole.split_once('%') {
        Some((_, "")) => return wrong("zone must be a non-empty string", ""),
        Some((bare, zone)) => (bare, Some(zone.to_owned())),
        None => (whole, None),
    };
    let address = |bytes: [u8; 16]| Address {
        ip: IpAddr::V6(Ipv6Addr::from(bytes)),
        zone: zone.clone(),
    };
    let mut bytes = [0_u8; 16];
    let mut ellipsis = None;
    if let Some(rest) = text.strip_prefix("::") {
        ellipsis = Some(0);
        text = rest;
        if text.is_empty() {
            return Ok(address(bytes));
        }
    }
    let mut filled = 0;
    while filled < 16 {
        let (mut length, mut value) = (0, 0_u32);
        while let Some(digit) = text
            .as_bytes()
            .get(length)
            .and_then(|byte| char::from(*byte).to_digit(16))
        {
            value = (value << 4) + digit;
            if length > 3 {
                return wrong("each group must have 4 or less digits", text);
            }
            length += 1;
        }
        if length == 0 {
            let message = "each colon-separated field must have at least one digit";
            return wrong(message, text);
        }
        if text.as_bytes().get(length) == Some(&b'.') {
            if ellipsis.is_none() && filled != 12 {
                let message =
                    "embedded IPv4 address must replace the final 2 fields of the address";
                return wrong(message, text);
            }
            if filled + 4 > 16 {
                let message =
                    "too many hex fields to fit an embedded IPv4 at the end of the address";
                return wrong(message, text);
            }
            bytes[filled..filled + 4].copy_from_slice(&four(whole, text)?);
            text = "";
            filled += 4;
            break;
        }
        bytes[filled] = (value >> 8) as u8;
        bytes[filled + 1] = value as u8;
        filled += 2;
        text = &text[length..];
        if text.is_empty() {
            break;
        }
        match text.strip_prefix(':') {
            None => return wrong("unexpected character, want colon", text),
            Some("") => return wrong("colon must be followed by more characters", text),
            Some(rest) => text = rest,
        }
        if let Some(rest) = text.strip_prefix(':') {
            if ellipsis.is_some() {
                return wrong("multiple :: in address", text);
            }
            ellipsis = Some(filled);
            text = rest;
            if text.is_empty() {
                break;
            }
        }
    }
    if !text.is_empty() {
        return wrong("trailing garbage after address", text);
    }
    match ellipsis {
        None if filled < 16 => return wrong("address string too short", ""),
        Some(_) if filled == 16 => {
            return wrong("the :: must expand to at least one field of zeros", "");
        }
        Some(at) => {
            bytes[at..].rotate_right(16 - filled);
            bytes[at..at + 16 - filled].fill(0);
        }
        None => {}
    }
    Ok(address(bytes))
}

/// Reads `10.0.0.0/8`; the address need not be the network's first one.
pub(crate) fn parse_prefix(text: &str) -> Result<Prefix, String> {
    let wrong = |message: String| Err(format!("netip.ParsePrefix({}): {message}", quote(text)));
    let Some((address, bits)) = text.rsplit_once('/') else {
        return wrong("no '/'".to_owned());
    };
    let address = match parse(address) {
        Ok(address) => address,
        Err(why) => return wrong(why),
    };
    if address.zone.is_some() {
        return wrong("IPv6 zones cannot be present in a prefix".to_owned());
    }
    let canonical = bits.len() <= 1 || bits.starts_with(|c: char| ('1'..='9').contains(&c));
    let number = bits.parse::<i64>().ok().filter(|_| canonical);
    let Some(number) = number else {
        return wrong(format!("bad bits after slash: {}", quote(bits)));
    };
    let width = if address.ip.is_ipv4() { 32 } else { 128 };
    match u8::try_from(number).ok().filter(|bits| *bits <= width) {
        Some(bits) => Ok(Prefix {
            ip: address.ip,
            bits,
        }),
        None => wrong("prefix length out of range".to_owned()),
    }
}

/// A prefix or a bare address.
pub(crate) fn is_subnet_or_address(text: &str) -> bool {
    parse_prefix(text).is_ok() || parse(text).is_ok()
}

/// An address without a zone.
pub(crate) fn is_plain(text: &str) -> bool {
    parse(text).is_ok_and(|address| address.zone.is_none())
}

/// A prefix in the older notation, whose length may have leading zeros.
pub(crate) fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let Ok(address) = parse(address) else {
        return false;
    };
    let width = if address.ip.is_ipv4() { 32 } else { 128 };
    address.zone.is_none()
        && !bits.is_empty()
        && bits.bytes().all(|b| b.is_ascii_digit())
        && bits.parse::<u32>().is_ok_and(|bits| bits <= width)
}

/// Host and port of `host:port`, `[::1]:port`.
pub(crate) fn split_host_port(text: &str) -> Result<(&str, &str), String> {
    let wrong = |message: &str| {
        if text.is_empty() {
            Err(message.to_owned())
        } else {
            Err(format!("address {text}: {message}"))
        }
    };
    let Some(colon) = text.rfind(':') else {
        return wrong("missing port in address");
    };
    let (host, open_from, close_from);
    if text.starts_with('[') {
        let Some(end) = text.find(']') else {
            return wrong("missing ']' in address");
        };
        if end + 1 == text.len() {
            return wrong("missing port in address");
        }
        if end + 1 != colon {
            return wrong(if text.as_bytes()[end + 1] == b':' {
                "too many colons in address"
            } else {
                "missing port in address"
            });
        }
        (host, open_from, close_from) = (&text[1..end], 1, end + 1);
    } else {
        host = &text[..colon];
        if host.contains(':') {
            return wrong("too many colons in address");
        }
        (open_from, close_from) = (0, 0);
    }
    if text[open_from..].contains('[') {
        return wrong("unexpected '[' in address");
    }
    if text[close_from..].contains(']') {
        return wrong("unexpected ']' in address");
    }
    Ok((host, &text[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_agree_with_the_standard_library() {
        for text in [
            "1.2.3.4",
            "::",
            "::1",
            "fe80::1",
            "1::",
            "1:2:3:4:5:6:7:8",
            "::ffff:10.0.0.1",
            "1::3:0:0:8",
            "2001:db8::1.2.3.4",
        ] {
            let expected: IpAddr = text.parse().unwrap();
            assert_eq!(parse(text).map(|a| a.ip), Ok(expected), "{text}");
        }
        for text in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.256",
            ":1",
            "1:",
            "1:::2",
            "::g",
        ] {
            assert!(
                text.parse::<IpAddr>().is_err() && parse(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn prefixes_overlap_when_one_holds_the_other() {
        let prefix = |text: &str| parse_prefix(text).unwrap();
        assert!(prefix("10.0.0.0/8").overlaps(prefix("10.1.0.0/16")));
        assert!(!prefix("10.0.0.0/16").overlaps(prefix("10.1.0.0/16")));
        assert!(!prefix("0.0.0.0/0").overlaps(prefix("::/0")));
        assert_eq!(prefix("10.1.2.3/0").masked(), prefix("0.0.0.0/0"));
    }
}
