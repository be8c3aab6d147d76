//! The values of single lines.

use std::borrow::Cow;

use crate::config::{Dns, HookStage, Table};
use crate::document::line::{Line, is_space, trim};
use crate::endpoint::{Endpoint, parse_plain, parse_port};
use crate::key::encoding::KeyFault;
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::net;
use crate::strict::places::Allowed;
use crate::strict::{Dialect, Reader};

pub(super) const PUBLIC_KEY: u32 = 1 << Field::PublicKey as u32;

/// The keys of wg and wg-quick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    PrivateKey,
    ListenPort,
    FwMark,
    Address,
    Dns,
    Mtu,
    Table,
    SaveConfig,
    PreUp,
    PostUp,
    PreDown,
    PostDown,
    PublicKey,
    PresharedKey,
    AllowedIps,
    Endpoint,
    Keepalive,
}

impl Field {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::PrivateKey => "PrivateKey",
            Self::ListenPort => "ListenPort",
            Self::FwMark => "FwMark",
            Self::Address => "Address",
            Self::Dns => "DNS",
            Self::Mtu => "MTU",
            Self::Table => "Table",
            Self::SaveConfig => "SaveConfig",
            Self::PreUp => "PreUp",
            Self::PostUp => "PostUp",
            Self::PreDown => "PreDown",
            Self::PostDown => "PostDown",
            Self::PublicKey => "PublicKey",
            Self::PresharedKey => "PresharedKey",
            Self::AllowedIps => "AllowedIPs",
            Self::Endpoint => "Endpoint",
            Self::Keepalive => "PersistentKeepalive",
        }
    }

    /// Whether several lines add up rather than the last one winning.
    const fn adds_up(self) -> bool {
        use Field::{Address, AllowedIps, Dns, PostDown, PostUp, PreDown, PreUp};
        matches!(
            self,
            Address | Dns | AllowedIps | PreUp | PostUp | PreDown | PostDown
        )
    }

    const fn is_quick(self) -> bool {
        use Field::{Address, Dns, Mtu, PostDown, PostUp, PreDown, PreUp, SaveConfig, Table};
        matches!(
            self,
            Address | Dns | Mtu | Table | SaveConfig | PreUp | PostUp | PreDown | PostDown
        )
    }
}

pub(super) fn interface_key(key: &[u8]) -> Option<Field> {
    let candidates: &[Field] = match key.len() {
        3 => &[Field::Dns, Field::Mtu],
        5 => &[Field::Table, Field::PreUp],
        6 => &[Field::FwMark, Field::PostUp],
        7 => &[Field::Address, Field::PreDown],
        8 => &[Field::PostDown],
        10 => &[Field::PrivateKey, Field::ListenPort, Field::SaveConfig],
        _ => &[],
    };
    candidates
        .iter()
        .copied()
        .find(|k| k.name().as_bytes().eq_ignore_ascii_case(key))
}

pub(super) fn peer_key(key: &[u8]) -> Option<Field> {
    match key {
        // As everybody writes them.
        b"PublicKey" => return Some(Field::PublicKey),
        b"AllowedIPs" => return Some(Field::AllowedIps),
        b"Endpoint" => return Some(Field::Endpoint),
        _ => {}
    }
    let candidate = match key.len() {
        8 => Field::Endpoint,
        9 => Field::PublicKey,
        10 => Field::AllowedIps,
        12 => Field::PresharedKey,
        19 => Field::Keepalive,
        _ => return None,
    };
    candidate
        .name()
        .as_bytes()
        .eq_ignore_ascii_case(key)
        .then_some(candidate)
}

/// The text without any space, as wg sees it.
pub(super) fn squeeze(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|&c| !is_space(c)).collect()
}

impl Reader<'_> {
    pub(super) fn value(&mut self, key: Field, number: usize, line: &Line) {
        let text = self.text;
        let span = line.value();
        let base = line.start as usize;
        let at = (number, span.start - base + 1);
        if key.is_quick() && self.dialect == Dialect::Wg {
            let here = (number, line.key().start - base + 1);
            return self.error(
                "quick-key",
                here,
                format!(
                    "{} is a key of wg-quick, which wg does not know",
                    key.name()
                ),
                "strip it, or read the text as wg-quick's",
            );
        }
        if span.is_empty() {
            self.seen |= 1 << key as u32;
            return self.empty(number, line);
        }
        let value = &text[span.clone()];
        let bit = 1 << key as u32;
        if self.seen & bit != 0 && !key.adds_up() {
            self.warn(
                "repeated",
                (number, line.key().start - base + 1),
                format!(
                    "{} stands twice in the section; the last one counts",
                    key.name()
                ),
                "keep one",
            );
        }
        self.seen |= bit;
        match key {
            Field::PrivateKey => {
                self.config.interface.private_key = self.key(at, value, PrivateKey::decode);
                if let Some(places) = &mut self.places {
                    places.private_key = Some(at);
                }
            }
            Field::PublicKey => {
                let key = self.key(at, value, PublicKey::decode);
                self.has_key = key.is_some();
                if let Some(key) = key {
                    self.draft.public_key = key;
                }
                if let Some(places) = &mut self.places {
                    places.current.public_key = Some(at);
                }
            }
            Field::PresharedKey => {
                self.draft.preshared_key = self
                    .key(at, value, PresharedKey::decode)
                    .filter(|key| !key.is_zero());
            }
            Field::AllowedIps => self.list(number, base, span, Self::allowed_ip),
            Field::Address => self.list(number, base, span, Self::address),
            Field::Dns => self.list(number, base, span, Self::dns),
            Field::Endpoint => self.endpoint(at, value),
            Field::Keepalive => self.keepalive(at, value),
            Field::ListenPort => self.listen_port(at, value),
            Field::FwMark => self.fwmark(at, value),
            Field::Mtu => self.mtu(at, value),
            Field::Table => self.table(at, value),
            Field::SaveConfig => self.save_config(at, value),
            Field::PreUp => self.hook(HookStage::PreUp, at, value),
            Field::PostUp => self.hook(HookStage::PostUp, at, value),
            Field::PreDown => self.hook(HookStage::PreDown, at, value),
            Field::PostDown => self.hook(HookStage::PostDown, at, value),
        }
    }

    fn key<T>(
        &mut self,
        at: (usize, usize),
        value: &[u8],
        decode: fn(&[u8]) -> Result<T, KeyFault>,
    ) -> Option<T> {
        let fault = match decode(value) {
            Ok(key) => return Some(key),
            Err(fault) => fault,
        };
        if value.iter().copied().any(is_space)
            && let Ok(key) = decode(&zeroize::Zeroizing::new(squeeze(value)))
        {
            self.warn(
                "space-in-value",
                at,
                "space inside the key",
                "wg removes it, other readers do not",
            );
            return Some(key);
        }
        self.error(fault.rule(), at, fault.reason(), fault.hint());
        None
    }

    /// Each element of a comma-separated list, with the position where it (or its lack) is.
    fn list(
        &mut self,
        number: usize,
        base: usize,
        span: std::ops::Range<usize>,
        each: fn(&mut Self, (usize, usize), &[u8]),
    ) {
        let text = self.text;
        let mut start = span.start;
        loop {
            let comma = memchr::memchr(b',', &text[start..span.end]).map(|at| start + at);
            let end = comma.unwrap_or(span.end);
            let element = trim(text, start, end);
            if element.is_empty() {
                self.error(
                    "empty-element",
                    (number, end - base + 1),
                    "an element of the list is empty",
                    "remove the superfluous comma",
                );
            } else {
                each(self, (number, element.start - base + 1), &text[element]);
            }
            match comma {
                Some(comma) => start = comma + 1,
                None => return,
            }
        }
    }

    /// Reads a network; space inside it is odd but legal to wg.
    fn network(&mut self, at: (usize, usize), element: &[u8]) -> Option<net::InterfaceAddress> {
        let fault = match net::parse(element) {
            Ok(read) => return Some(read),
            Err(fault) => fault,
        };
        if element.iter().copied().any(is_space)
            && let Ok(read) = net::parse(&squeeze(element))
        {
            self.warn(
                "space-in-value",
                at,
                "space inside the network",
                "wg removes it, other readers do not",
            );
            return Some(read);
        }
        self.error(
            fault.rule,
            (at.0, at.1 + fault.offset),
            fault.reason,
            fault.hint,
        );
        None
    }

    fn allowed_ip(&mut self, at: (usize, usize), element: &[u8]) {
        let (sign, rest) = match element[0] {
            sign @ (b'+' | b'-') => (Some(sign), &element[1..]),
            _ => (None, element),
        };
        let Some(read) = self.network(at, rest) else {
            return;
        };
        let network = read.network();
        let host_bits = read.has_host_bits();
        if sign == Some(b'-') {
            self.draft.allowed_ips.retain(|held| *held != network);
            return;
        }
        self.draft.allowed_ips.push(network);
        if let Some(places) = &mut self.places {
            places.current.allowed.push(Allowed {
                network,
                host_bits,
                at,
            });
        }
    }

    fn address(&mut self, at: (usize, usize), element: &[u8]) {
        if element.iter().copied().any(is_space) {
            // wg-quick splits at space as well as at commas.
            let mut start = 0;
            while start < element.len() {
                let end = element[start..]
                    .iter()
                    .position(|&c| is_space(c))
                    .map_or(element.len(), |n| start + n);
                if end > start {
                    self.address((at.0, at.1 + start), &element[start..end]);
                }
                start = end + 1;
            }
            return;
        }
        match net::parse(element) {
            Ok(address) => {
                self.config.interface.addresses.push(address);
                if let Some(places) = &mut self.places {
                    places.addresses.push((address, at));
                }
            }
            Err(fault) => self.error(
                fault.rule,
                (at.0, at.1 + fault.offset),
                fault.reason,
                fault.hint,
            ),
        }
    }

    fn dns(&mut self, at: (usize, usize), element: &[u8]) {
        for word in element
            .split(|&c| is_space(c))
            .filter(|word| !word.is_empty())
        {
            let Ok(word) = std::str::from_utf8(word) else {
                return self.error(
                    "non-ascii",
                    at,
                    "not a name server or search domain",
                    "use the ASCII form of the domain",
                );
            };
            let dns = match net::parse_address(word.as_bytes()) {
                Some(address) => Dns::Server(address),
                None => Dns::Search(word.to_owned()),
            };
            self.config.interface.dns.push(dns);
        }
    }

    fn endpoint(&mut self, at: (usize, usize), value: &[u8]) {
        let Some(plain) = parse_plain(value) else {
            return self.other_endpoint(at, value);
        };
        self.draft.endpoint = Some(plain);
        if let Some(places) = &mut self.places {
            places.current.endpoint = Some(at);
        }
    }

    /// An endpoint that is not a dotted address with a port.
    fn other_endpoint(&mut self, at: (usize, usize), value: &[u8]) {
        let Ok(text) = std::str::from_utf8(value) else {
            return self.error(
                "non-ascii",
                at,
                "the endpoint has a character that is not ASCII",
                "use the ASCII form of the name",
            );
        };
        let spaced = value.iter().copied().any(is_space);
        // Space is worth a warning only where wg makes sense of the rest.
        let squeezed: Cow<'_, str> = if spaced {
            text.split_whitespace().collect::<String>().into()
        } else {
            text.into()
        };
        match Endpoint::parse(&squeezed) {
            Ok((endpoint, bare)) => {
                if spaced {
                    self.warn(
                        "space-in-value",
                        at,
                        "space inside the endpoint",
                        "wg removes it, other readers do not",
                    );
                }
                if bare {
                    self.warn(
                        "bare-ipv6",
                        at,
                        "an IPv6 endpoint without brackets: the last colon separates the port",
                        "write [address]:port",
                    );
                }
                self.draft.endpoint = Some(endpoint);
                if let Some(places) = &mut self.places {
                    places.current.endpoint = Some(at);
                }
            }
            Err(fault) => self.error(
                fault.rule,
                (at.0, at.1 + fault.offset),
                fault.reason,
                fault.hint,
            ),
        }
    }

    fn keepalive(&mut self, at: (usize, usize), value: &[u8]) {
        let squeezed = self.squeezed(at, value);
        let seconds = if squeezed.eq_ignore_ascii_case(b"off") {
            Some(0)
        } else {
            decimal(&squeezed)
        };
        match seconds {
            Some(seconds @ 0..=65535) => {
                self.draft.keepalive = Some(seconds as u16);
                if let Some(places) = &mut self.places {
                    places.current.keepalive = Some(at);
                }
            }
            Some(_) => self.error(
                "keepalive-range",
                at,
                "the keepalive is out of range 0-65535",
                "25 seconds keep most NATs open",
            ),
            None => self.error(
                "keepalive-number",
                at,
                "the keepalive must be decimal seconds or off",
                "25 seconds keep most NATs open",
            ),
        }
    }

    fn listen_port(&mut self, at: (usize, usize), value: &[u8]) {
        let squeezed = self.squeezed(at, value);
        if let Some(places) = &mut self.places {
            places.listen_port = Some(at);
        }
        let text = std::str::from_utf8(&squeezed).unwrap_or_default();
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if let Some(port) = parse_port(text) {
            self.config.interface.listen_port = Some(port);
        } else if let Some(port) = crate::services::well_known_udp(text) {
            self.warn(
                "service-name",
                at,
                "a service name stands in place of the port",
                "write the number",
            );
            self.config.interface.listen_port = Some(port);
        } else if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) {
            self.error(
                "port-range",
                at,
                "the port is out of range 0-65535",
                "wg would silently wrap it modulo 65536",
            );
        } else {
            self.error(
                "port-number",
                at,
                "the port is not a number",
                "one number from 0 to 65535",
            );
        }
    }

    fn fwmark(&mut self, at: (usize, usize), value: &[u8]) {
        let squeezed = self.squeezed(at, value);
        if squeezed.starts_with(b"0X") {
            return self.error(
                "fwmark-prefix",
                at,
                "the hex prefix must be lower-case 0x",
                "write 0x",
            );
        }
        let mark = if squeezed.eq_ignore_ascii_case(b"off") {
            Some(0)
        } else if let Some(hex) = squeezed.strip_prefix(b"0x") {
            let digits = std::str::from_utf8(hex)
                .ok()
                .filter(|_| hex.iter().all(u8::is_ascii_hexdigit));
            digits.and_then(|digits| u64::from_str_radix(digits, 16).ok())
        } else {
            decimal(&squeezed)
        };
        match mark.and_then(|mark| u32::try_from(mark).ok()) {
            Some(mark) => self.config.interface.fwmark = Some(mark),
            None => self.error(
                "fwmark-value",
                at,
                "the fwmark is neither off nor a number of 32 bits",
                "off, a decimal number, or hexadecimal with 0x",
            ),
        }
    }

    fn mtu(&mut self, at: (usize, usize), value: &[u8]) {
        match decimal(value).and_then(|mtu| u32::try_from(mtu).ok()) {
            Some(mtu) => {
                self.config.interface.mtu = Some(mtu);
                if let Some(places) = &mut self.places {
                    places.mtu = Some(at);
                }
            }
            None => self.error(
                "mtu-number",
                at,
                "the MTU is not a number",
                "bytes, such as 1420",
            ),
        }
    }

    fn table(&mut self, at: (usize, usize), value: &[u8]) {
        let Ok(text) = std::str::from_utf8(value) else {
            return self.error(
                "non-ascii",
                at,
                "the table has a character that is not ASCII",
                "off, auto, or a number or name of a routing table",
            );
        };
        self.config.interface.table = Some(match text {
            "off" => Table::Off,
            "auto" => Table::Auto,
            _ => match decimal(value).and_then(|n| u32::try_from(n).ok()) {
                Some(number) => Table::Number(number),
                None => Table::Name(text.to_owned()),
            },
        });
    }

    fn save_config(&mut self, at: (usize, usize), value: &[u8]) {
        let save = match () {
            () if value.eq_ignore_ascii_case(b"true") => true,
            () if value.eq_ignore_ascii_case(b"false") => false,
            () => return self.error("save-config", at, "SaveConfig must be true or false", ""),
        };
        self.config.interface.save_config = Some(save);
        if let Some(places) = &mut self.places
            && save
        {
            places.save_config = Some(at);
        }
    }

    fn squeezed<'v>(&mut self, at: (usize, usize), value: &'v [u8]) -> Cow<'v, [u8]> {
        if value.iter().copied().any(is_space) {
            self.warn(
                "space-in-value",
                at,
                "space inside the value",
                "wg removes it, other readers do not",
            );
            return squeeze(value).into();
        }
        value.into()
    }
}

/// Decimal digits alone, saturating far beyond every limit.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0u64, |n, c| {
        n.saturating_mul(10).saturating_add(u64::from(c - b'0'))
    }))
}
