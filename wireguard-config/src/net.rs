//! Networks and interface addresses of both families.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// A network: an address whose host bits are zero, and a prefix length.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// An address with a prefix length, host bits kept: what an interface is given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceAddress {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not an address with an optional prefix length, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetFault {
    pub(crate) rule: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) offset: usize,
}

/// The number of bits in an address of this family: 32 or 128.
pub(crate) const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address as a number, left-aligned in 128 bits, so that both families mask alike.
pub(crate) const fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => (a.to_bits() as u128) << 96,
        IpAddr::V6(a) => a.to_bits(),
    }
}

pub(crate) const fn mask(prefix: u8) -> u128 {
    match prefix {
        0 => 0,
        1..=127 => !0 << (128 - prefix as u32),
        _ => !0,
    }
}

/// The address of the family of `like` whose left-aligned bits are `bits`.
pub(crate) const fn from_bits(bits: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits((bits >> 96) as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

impl Network {
    /// The network that holds `address`; host bits are cut off.
    ///
    /// # Errors
    /// [`ErrorKind::Address`] when the prefix is longer than the family's 32 or 128 bits.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self> {
        if prefix > width(address) {
            return Err(Error::new(
                ErrorKind::Address,
                format!("prefix length {prefix} is out of range for {address}"),
            )
            .with_hint(format!("0 to {}", width(address))));
        }
        Ok(Self::masked(address, prefix))
    }

    pub(crate) const fn masked(address: IpAddr, prefix: u8) -> Self {
        Self {
            address: from_bits(bits(address) & mask(prefix), address),
            prefix,
        }
    }

    /// The network of this one address, /32 or /128.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        Self {
            address,
            prefix: width(address),
        }
    }

    /// The first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The prefix length, 0 to 32 or 128.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it is an IPv4 network.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether it is `0.0.0.0/0` or `::/0`.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.prefix == 0
    }

    /// Whether it is one single address.
    #[must_use]
    pub const fn is_host(&self) -> bool {
        self.prefix == width(self.address)
    }

    /// Whether the address lies inside.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.is_ipv4() == address.is_ipv4()
            && bits(address) & mask(self.prefix) == bits(self.address)
    }

    /// Whether the whole other network lies inside; a network contains itself.
    #[must_use]
    pub fn contains_network(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains_network(other) || other.contains_network(self)
    }

    pub(crate) fn first_bits(&self) -> u128 {
        bits(self.address)
    }

    pub(crate) fn last_bits(&self) -> u128 {
        let top = match self.address {
            IpAddr::V4(_) => mask(32),
            IpAddr::V6(_) => !0,
        };
        bits(self.address) | (top & !mask(self.prefix))
    }
}

impl InterfaceAddress {
    /// An address with its prefix length.
    ///
    /// # Errors
    /// [`ErrorKind::Address`] when the prefix is longer than the family's 32 or 128 bits.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self> {
        Network::new(address, prefix).map(|_| Self { address, prefix })
    }

    /// The address as the sole one of its network, /32 or /128.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        Self {
            address,
            prefix: width(address),
        }
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The prefix length, 0 to 32 or 128.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The network around it.
    #[must_use]
    pub const fn network(&self) -> Network {
        Network::masked(self.address, self.prefix)
    }

    /// Whether bits behind the prefix are set.
    #[must_use]
    pub fn has_host_bits(&self) -> bool {
        bits(self.address) & !mask(self.prefix) != 0
    }
}

/// Reads `address[/prefix]`; without a prefix length it is the single address.
#[inline]
pub(crate) fn parse(text: &[u8]) -> Result<InterfaceAddress, NetFault> {
    let prefix = |digits: &[u8]| digits.iter().fold(0, |n, c| n * 10 + (c - b'0'));
    if let Some((address, tail)) = leading_ipv4(text)
        && let [b'/', digits @ ..] = tail
        && matches!(digits, [b'0'..=b'9'] | [b'0'..=b'3', b'0'..=b'9'])
        && prefix(digits) <= 32
    {
        return Ok(InterfaceAddress {
            address: IpAddr::V4(address),
            prefix: prefix(digits),
        });
    }
    parse_any(text)
}

/// [`parse`] of what is not a dotted address with a prefix length.
fn parse_any(text: &[u8]) -> Result<InterfaceAddress, NetFault> {
    let fault = |rule, reason, hint, offset| NetFault {
        rule,
        reason,
        hint,
        offset,
    };
    let slash = memchr::memchr(b'/', text);
    let (head, tail) = match slash {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let Some(address) = parse_address(head) else {
        let octets = head.split(|&c| c == b'.');
        let dotted = head.contains(&b'.') && !head.contains(&b':');
        if dotted
            && octets
                .clone()
                .any(|o| o.len() > 1 && o[0] == b'0' && o.iter().all(u8::is_ascii_digit))
        {
            return Err(fault(
                "leading-zero",
                "leading zero in an octet",
                "octets are decimal without leading zeros",
                0,
            ));
        }
        if let Some(at) = memchr::memchr(b'-', head)
            && parse_address(&head[..at]).is_some()
        {
            return Err(fault(
                "range",
                "address ranges are not supported",
                "write the networks that cover the range",
                0,
            ));
        }
        return Err(fault(
            "not-an-address",
            "not an IP address",
            "an IPv4 or IPv6 address with an optional /prefix",
            0,
        ));
    };
    let Some(tail) = tail else {
        return Ok(InterfaceAddress::host(address));
    };
    let at = head.len() + 1;
    if tail.is_empty() {
        return Err(fault(
            "prefix-missing",
            "the prefix length is missing after /",
            "write a number, or leave the / out",
            at,
        ));
    }
    if tail.iter().any(|c| matches!(c, b' ' | b'\t')) {
        return Err(fault(
            "list-separator",
            "elements must be separated by commas",
            "put a comma between the networks",
            at,
        ));
    }
    if !tail.iter().all(u8::is_ascii_digit) {
        return Err(fault(
            "netmask",
            "a prefix length is expected, not a netmask or text",
            "write /24 in place of /255.255.255.0",
            at,
        ));
    }
    let number = tail
        .iter()
        .fold(0u32, |n, c| (n * 10 + u32::from(c - b'0')).min(1_000));
    if number > u32::from(width(address)) {
        return Err(fault(
            "prefix-range",
            "the prefix length is out of range",
            "at most 32 for IPv4 and 128 for IPv6",
            at,
        ));
    }
    Ok(InterfaceAddress {
        address,
        prefix: number as u8,
    })
}

/// Reads an address; dotted IPv4 takes a fast path because files are full of it.
pub(crate) fn parse_address(text: &[u8]) -> Option<IpAddr> {
    if text.len() <= 15 && !text.contains(&b':') {
        return parse_ipv4(text).map(IpAddr::V4);
    }
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn parse_ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    match leading_ipv4(text)? {
        (address, []) => Some(address),
        _ => None,
    }
}

/// The dotted address with which a text begins, and what follows it.
#[inline]
pub(crate) fn leading_ipv4(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (a, text) = octet(text)?;
    let (b, text) = octet(text.strip_prefix(b".")?)?;
    let (c, text) = octet(text.strip_prefix(b".")?)?;
    let (d, text) = octet(text.strip_prefix(b".")?)?;
    Some((Ipv4Addr::from_bits(a << 24 | b << 16 | c << 8 | d), text))
}

/// A number of at most three digits, without leading zeros, up to 255.
#[inline]
fn octet(text: &[u8]) -> Option<(u32, &[u8])> {
    let digit = |at: usize| {
        let c = u32::from(*text.get(at)?).wrapping_sub(u32::from(b'0'));
        (c < 10).then_some(c)
    };
    let a = digit(0)?;
    let Some(b) = digit(1) else {
        return Some((a, &text[1..]));
    };
    if a == 0 {
        return None;
    }
    let Some(c) = digit(2) else {
        return Some((a * 10 + b, &text[2..]));
    };
    let number = a * 100 + b * 10 + c;
    (number < 256).then(|| (number, &text[3..]))
}

fn parse_text(text: &str) -> Result<InterfaceAddress> {
    parse(text.as_bytes()).map_err(|fault| {
        Error::new(ErrorKind::Address, format!("{text:?}: {}", fault.reason)).with_hint(fault.hint)
    })
}

impl FromStr for Network {
    type Err = Error;

    /// Reads `address[/prefix]` and refuses set host bits.
    fn from_str(text: &str) -> Result<Self> {
        let read = parse_text(text)?;
        if read.has_host_bits() {
            return Err(
                Error::new(ErrorKind::Address, format!("{text:?} has host bits set"))
                    .with_hint(format!("did you mean {}?", read.network())),
            );
        }
        Ok(read.network())
    }
}

impl FromStr for InterfaceAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_text(text)
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self::host(address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Debug for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Appends an address without the formatting machinery, which costs more than the digits.
pub(crate) fn push_address(out: &mut String, address: IpAddr) {
    use std::fmt::Write as _;
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            push_number(out, u32::from(a));
            for octet in [b, c, d] {
                out.push('.');
                push_number(out, u32::from(octet));
            }
        }
        IpAddr::V6(address) => {
            // Writing into a String cannot fail.
            let _ = write!(out, "{address}");
        }
    }
}

pub(crate) fn push_network(out: &mut String, network: &Network) {
    push_address(out, network.address);
    out.push('/');
    push_number(out, u32::from(network.prefix));
}

pub(crate) fn push_number(out: &mut String, number: u32) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push((b'0' + (number % 10) as u8) as char);
}

/// An address as the C library prints it: unlike Rust's, with a dotted tail also in `::192.0.2.1`.
pub(crate) fn c_text(address: IpAddr) -> String {
    if let IpAddr::V6(v6) = address
        && v6.to_bits() >> 32 == 0
        && v6.to_bits() >> 16 != 0
    {
        return format!("::{}", Ipv4Addr::from_bits(v6.to_bits() as u32));
    }
    address.to_string()
}
