//! Hosts and ports as the C library's `getaddrinfo` finds them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::endpoint::{Endpoint, Host};
use crate::net::from_bits;

use super::numbers::strtoul;

/// The machine's names. All methods answer at once; nothing here asks a network.
pub trait Resolver {
    /// The first address of a host name, as `/etc/hosts` or DNS would give it. Case does not matter there.
    fn host(&self, name: &str) -> Option<IpAddr>;

    /// The port of a UDP service. By default the well-known ones of Debian 12.
    fn service(&self, name: &str) -> Option<u16> {
        crate::services::well_known_udp(name)
    }

    /// The index of an interface, for zones such as `fe80::1%eth0`. By default only `lo`, which is 1.
    fn zone_index(&self, name: &str) -> Option<u32> {
        (name == "lo").then_some(1)
    }

    /// The name of an interface. By default only 1, which is `lo`.
    fn zone_name(&self, index: u32) -> Option<String> {
        (index == 1).then(|| "lo".to_owned())
    }
}

/// A machine on which no host name resolves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a value that callers name")]
pub struct NoNames;

impl Resolver for NoNames {
    fn host(&self, _name: &str) -> Option<IpAddr> {
        None
    }
}

/// A port by number or name. Numbers are cut to a C `int` and wrap modulo 65536; what is negative as an `int` is taken for
/// a name.
pub(super) fn port(resolver: &dyn Resolver, text: &[u8]) -> Option<u16> {
    let (number, rest) = strtoul(text, 10);
    let cut = number as u32 as i32;
    if rest.is_empty() && cut >= 0 {
        return Some(cut as u16);
    }
    resolver.service(std::str::from_utf8(text).ok()?)
}

/// `host` and `service` as `wg` hands them on. A lone `*` means "none given": the loopback address, or port 0.
pub(super) fn endpoint(resolver: &dyn Resolver, host: &[u8], service: &[u8]) -> Option<Endpoint> {
    let port = match (service, host) {
        (b"*", b"*") => return None,
        (b"*", _) => 0,
        _ => port(resolver, service)?,
    };
    if host == b"*" {
        return Some(Endpoint::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port));
    }
    let text = std::str::from_utf8(host).ok()?;
    if let Some(address) = inet_aton(host) {
        return Some(Endpoint::new(IpAddr::V4(address), port));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(Endpoint::new(IpAddr::V6(address), port));
    }
    if let Some((address, zone)) = text.split_once('%') {
        let address: Ipv6Addr = address.parse().ok()?;
        return scoped(resolver, address, zone).map(|host| Endpoint::from_parts(host, port));
    }
    let plausible = !text.is_empty() && text.is_ascii() && !text.contains([':', '/']);
    plausible
        .then(|| resolver.host(text))
        .flatten()
        .map(|address| Endpoint::new(address, port))
}

/// Link-local addresses have zones by name or number, all others by number only.
fn scoped(resolver: &dyn Resolver, address: Ipv6Addr, zone: &str) -> Option<Host> {
    let first = address.segments()[0];
    let local = first & 0xffc0 == 0xfe80 || first & 0xff0f == 0xff02;
    let by_name = if local {
        resolver.zone_index(zone)
    } else {
        None
    };
    let index = match by_name {
        Some(index) => index,
        None => {
            let digits = zone.starts_with(|c: char| c.is_ascii_digit());
            let (number, rest) = strtoul(zone.as_bytes(), 10);
            if !digits || !rest.is_empty() {
                return None;
            }
            u32::try_from(number).ok()?
        }
    };
    if index == 0 {
        return Some(Host::Address(IpAddr::V6(address)));
    }
    let name = if local {
        resolver.zone_name(index)
    } else {
        None
    };
    Some(Host::Scoped(
        address,
        name.unwrap_or_else(|| index.to_string()),
    ))
}

/// The old IPv4 forms: one to four parts, each decimal, octal (`0`) or hexadecimal (`0x`), the last one filling the
/// remaining bytes.
pub(super) fn inet_aton(text: &[u8]) -> Option<Ipv4Addr> {
    let parts: Vec<&[u8]> = text.split(|&c| c == b'.').collect();
    if parts.len() > 4 {
        return None;
    }
    let mut value = 0u32;
    for (i, part) in parts.iter().enumerate() {
        let number = c_number(part)?;
        let left = 4 - i as u32;
        if i + 1 < parts.len() {
            value |= u8::try_from(number).map(u32::from).ok()? << (8 * (left - 1));
        } else {
            let limit = if left == 4 {
                u64::from(u32::MAX)
            } else {
                (1u64 << (8 * left)) - 1
            };
            if number > limit {
                return None;
            }
            value |= number as u32;
        }
    }
    match from_bits(u128::from(value) << 96, IpAddr::V4(Ipv4Addr::UNSPECIFIED)) {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn c_number(part: &[u8]) -> Option<u64> {
    if !part.first()?.is_ascii_digit() {
        return None;
    }
    let (digits, base) = match part {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        _ => (part, 10),
    };
    let mut value = 0u64;
    for &c in digits {
        let digit = (c as char).to_digit(base)?;
        value = (value * u64::from(base) + u64::from(digit)).min(1 << 40);
    }
    (!digits.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::{NoNames, endpoint, inet_aton, port};

    #[test]
    fn ports_wrap_and_names_are_services() {
        let of = |text: &str| port(&NoNames, text.as_bytes());
        assert_eq!(of("70000"), Some(4464));
        assert_eq!(of("+51820"), Some(51820));
        assert_eq!(of("4294967297"), Some(1));
        assert_eq!(of("2147483648"), None);
        assert_eq!(of("-1"), None);
        assert_eq!(of("domain"), Some(53));
        assert_eq!(of("http"), None);
        assert_eq!(of("0x10"), None);
    }

    #[test]
    fn addresses_have_their_old_forms() {
        let of = |text: &str| inet_aton(text.as_bytes()).map(|a| a.to_string());
        assert_eq!(of("0xc0.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(of("127.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(of("1").as_deref(), Some("0.0.0.1"));
        assert_eq!(of("010.0.0.1").as_deref(), Some("8.0.0.1"));
        assert_eq!(of("1.2.3.256"), None);
        assert_eq!(of("1.2.3.4.5"), None);
        assert_eq!(of(""), None);
        assert_eq!(of("08"), None);
    }

    #[test]
    fn zones_are_names_for_link_local_addresses_and_numbers_for_all() {
        let of = |host: &str| endpoint(&NoNames, host.as_bytes(), b"1").map(|e| e.to_string());
        assert_eq!(of("fe80::1%lo").as_deref(), Some("[fe80::1%lo]:1"));
        assert_eq!(of("fe80::1%1").as_deref(), Some("[fe80::1%lo]:1"));
        assert_eq!(of("fe80::1%0").as_deref(), Some("[fe80::1]:1"));
        assert_eq!(of("2001:db8::1%99").as_deref(), Some("[2001:db8::1%99]:1"));
        assert_eq!(of("2001:db8::1%lo"), None);
        assert_eq!(of("fe80::1%4294967297"), None);
        assert_eq!(of("fe80::1%"), None);
        assert_eq!(of("192.0.2.1%lo"), None);
        assert_eq!(of("*").as_deref(), Some("[::1]:1"));
    }
}
