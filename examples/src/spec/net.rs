//! Addresses, networks, ranges, numbers of the network. IPv4: the homelabs that this serves name no other.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::decode::{Bad, Scalar};
use super::scalar::as_text;

impl Scalar for Ipv4Addr {
    const WHAT: &'static str = "an address such as 10.0.20.11";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        text.parse().map_err(|_| {
            let bad = Bad::new(
                "bad-address",
                format!("{path} \"{text}\" is not an IPv4 address"),
            );
            match text.split_once('/') {
                Some((address, _)) => {
                    bad.help(format!("an address has no prefix length: {address}"))
                }
                None => bad.help("four numbers of 0 to 255, such as 10.0.20.11"),
            }
        })
    }

    fn placeholder() -> Self {
        Self::UNSPECIFIED
    }
}

/// An IPv4 network without host bits: `10.0.20.0/24`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(Ipv4Net);

impl Cidr {
    /// A network of the given prefix length, host bits cut off; nothing for a length over 32.
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        Ipv4Net::new(address, prefix)
            .ok()
            .map(|net| Self(net.trunc()))
    }

    /// First address: the network itself.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        self.0.network()
    }

    /// Last address: broadcast.
    #[must_use]
    pub fn broadcast(self) -> Ipv4Addr {
        self.0.broadcast()
    }

    /// Prefix length.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.0.prefix_len()
    }

    /// The netmask as an address.
    #[must_use]
    pub fn netmask(self) -> Ipv4Addr {
        self.0.netmask()
    }

    /// How many addresses it has.
    #[must_use]
    pub fn size(self) -> u64 {
        1 << (32 - u32::from(self.prefix()))
    }

    /// Whether the address lies inside.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        self.0.contains(&address)
    }

    /// Whether all of `other` lies inside.
    #[must_use]
    pub fn contains_net(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains_net(other) || other.contains_net(self)
    }

    /// The address `index` after the first, if it is still inside.
    #[must_use]
    pub fn nth(self, index: u32) -> Option<Ipv4Addr> {
        let address = u32::from(self.network())
            .checked_add(index)
            .map(Ipv4Addr::from)?;
        self.contains(address).then_some(address)
    }

    /// From the first to the last address.
    #[must_use]
    pub fn range(self) -> AddressRange {
        AddressRange {
            first: self.network(),
            last: self.broadcast(),
        }
    }
}

impl Scalar for Cidr {
    const WHAT: &'static str = "a network such as 10.0.20.0/24";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let Ok(net) = text.parse::<Ipv4Net>() else {
            let bad = Bad::new(
                "bad-network",
                format!("{path} \"{text}\" is not an IPv4 network"),
            );
            return Err(match text.parse::<Ipv4Addr>() {
                Ok(address) => bad.help(format!(
                    "a network has a prefix length: {address}/24 or {address}/32"
                )),
                Err(_) => {
                    bad.help("an address and a prefix length of 0 to 32, such as 10.0.20.0/24")
                }
            });
        };
        if net.trunc() != net {
            return Err(Bad::new(
                "cidr-host-bits",
                format!("{text} has host bits set; did you mean {}?", net.trunc()),
            )
            .help(net.trunc().to_string()));
        }
        Ok(Self(net))
    }

    fn placeholder() -> Self {
        Self(Ipv4Net::default())
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Addresses from a first to a last one, both included: `10.0.20.200-10.0.20.220`, `10.0.20.200-220` or a network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct AddressRange {
    /// First address.
    pub first: Ipv4Addr,
    /// Last address.
    pub last: Ipv4Addr,
}

impl AddressRange {
    /// Whether the address lies inside.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// What both have in common.
    #[must_use]
    pub fn shared(self, other: Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(Self { first, last })
    }

    /// Whether all of it lies in `net`.
    #[must_use]
    pub fn is_within(self, net: Cidr) -> bool {
        net.contains(self.first) && net.contains(self.last)
    }

    /// How many addresses.
    #[must_use]
    pub fn size(self) -> u64 {
        u64::from(u32::from(self.last)) - u64::from(u32::from(self.first)) + 1
    }

    /// The network that it is exactly, if it is one.
    #[must_use]
    pub fn as_cidr(self) -> Option<Cidr> {
        let prefix = 32
            - self
                .size()
                .is_power_of_two()
                .then(|| self.size().trailing_zeros())?;
        let net = Cidr::new(self.first, u8::try_from(prefix).ok()?)?;
        (net.network() == self.first).then_some(net)
    }
}

impl Scalar for AddressRange {
    const WHAT: &'static str = "a range such as 10.0.20.200-10.0.20.220";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let Some((first, last)) = text.split_once('-') else {
            return Cidr::parse(path, text).map(Cidr::range);
        };
        let first = Ipv4Addr::parse(path, first.trim())?;
        let last = last.trim();
        let last = match last.parse::<u8>() {
            Ok(byte) => {
                let [a, b, c, _] = first.octets();
                Ipv4Addr::new(a, b, c, byte)
            }
            Err(_) => Ipv4Addr::parse(path, last)?,
        };
        if last < first {
            return Err(
                Bad::new("bad-range", format!("{path} {text} ends before it begins"))
                    .help(format!("{last}-{first}")),
            );
        }
        Ok(Self { first, last })
    }

    fn placeholder() -> Self {
        Self {
            first: Ipv4Addr::UNSPECIFIED,
            last: Ipv4Addr::UNSPECIFIED,
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(net) = self.as_cidr() {
            return net.fmt(f);
        }
        let (a, b) = (self.first.octets(), self.last.octets());
        if a[..3] == b[..3] {
            write!(f, "{}-{}", self.first, b[3])
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl fmt::Debug for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A unicast Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The stable address of a machine: locally administered, made from the cluster's and the machine's name.
    #[must_use]
    pub fn derived(cluster: &str, machine: &str) -> Self {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(format!("{cluster}/{machine}"));
        // x2: locally administered, not multicast.
        Self([0x02, digest[0], digest[1], digest[2], digest[3], digest[4]])
    }

    /// The six bytes.
    #[must_use]
    pub fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl Scalar for Mac {
    const WHAT: &'static str = "an Ethernet address such as 02:00:00:00:00:01";

    fn parse(_path: &str, text: &str) -> Result<Self, Bad> {
        let parts: Vec<&str> = text.split([':', '-']).collect();
        let mut bytes = [0; 6];
        let good = parts.len() == 6
            && parts.iter().zip(&mut bytes).all(|(part, byte)| {
                part.len() == 2
                    && u8::from_str_radix(part, 16)
                        .map(|value| *byte = value)
                        .is_ok()
            });
        if !good || text.contains('+') {
            return Err(Bad::new(
                "bad-mac",
                format!("mac \"{text}\" is not six pairs of hexadecimal digits"),
            )
            .help("for example 02:00:00:00:00:01"));
        }
        if bytes[0] & 1 == 1 {
            return Err(Bad::new(
                "bad-mac",
                format!("mac {text} is a multicast address; use one like 02:…"),
            )
            .help(format!("02:{}", parts[1..].join(":"))));
        }
        Ok(Self(bytes))
    }

    fn placeholder() -> Self {
        Self([0; 6])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A VLAN tag of 1 to 4094.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vlan(u16);

impl Vlan {
    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Scalar for Vlan {
    const WHAT: &'static str = "a VLAN number such as 20";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let number = u64::parse(path, text)?;
        match u16::try_from(number) {
            Ok(tag @ 1..=4094) => Ok(Self(tag)),
            _ => Err(
                Bad::new("vlan-range", format!("vlan {number} is outside 1..4094"))
                    .help("leave the key out for untagged traffic"),
            ),
        }
    }

    fn placeholder() -> Self {
        Self(1)
    }
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a virtual machine, 100 to 999999999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vmid(u32);

impl Vmid {
    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// The number `by` further on.
    #[must_use]
    pub(crate) fn plus(self, by: u32) -> Self {
        Self(self.0.saturating_add(by).min(999_999_999))
    }
}

impl Scalar for Vmid {
    const WHAT: &'static str = "a VM number such as 8101";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let number = u64::parse(path, text)?;
        match u32::try_from(number) {
            Ok(id @ 100..=999_999_999) => Ok(Self(id)),
            _ => Err(Bad::new(
                "vmid-range",
                format!("vmid {number} is outside 100..999999999"),
            )
            .help("Proxmox VE keeps numbers below 100 for itself; 8101 is a good first one")),
        }
    }

    fn placeholder() -> Self {
        Self(100)
    }
}

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number of an autonomous system that may be used in BGP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(u32);

impl Asn {
    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// Whether it is one of those set aside for private use.
    #[must_use]
    pub fn is_private(self) -> bool {
        matches!(self.0, 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
    }
}

impl Scalar for Asn {
    const WHAT: &'static str = "an AS number such as 64512";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let number = u64::parse(path, text)?;
        let why = match number {
            0 => Some("reserved (RFC 7607)"),
            23_456 => Some("reserved (RFC 6793)"),
            65_535 | 4_294_967_295 => Some("reserved (RFC 7300)"),
            64_496..=64_511 | 65_536..=65_551 => Some("for documentation (RFC 5398)"),
            65_552..=131_071 => Some("reserved by IANA"),
            4_294_967_296.. => Some("larger than 32 bits"),
            _ => None,
        };
        if let Some(why) = why {
            return Err(Bad::new(
                "bgp-asn-reserved",
                format!("{path} {number} is {why}; use 64512..65534 or 4200000000..4294967294"),
            )
            .help("64512 is the first private number"));
        }
        Ok(Self(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    fn placeholder() -> Self {
        Self(64_512)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

as_text!(Cidr, AddressRange, Mac);

impl serde::Serialize for Vlan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

impl serde::Serialize for Vmid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl serde::Serialize for Asn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}
