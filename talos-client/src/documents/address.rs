//! Addresses, networks, ports and bytes of hardware addresses.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::codec::{Item, Reader, textual, zeroable};
use crate::address;
use crate::config::decode;
use crate::error::{Error, ErrorKind};
use crate::value::Value;

fn refused(why: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, why)
}

/// An IP address, with a zone where it is link-local: `fe80::1%eth0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(address::Address);

impl Address {
    /// The address without the zone.
    pub fn ip(&self) -> IpAddr {
        self.0.ip
    }

    /// The zone, `eth0`.
    pub fn zone(&self) -> Option<&str> {
        self.0.zone.as_deref()
    }
}

impl<T: Into<IpAddr>> From<T> for Address {
    fn from(ip: T) -> Self {
        let ip = ip.into();
        Self(address::Address { ip, zone: None })
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        address::parse(text).map(Self).map_err(refused)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A network, or an address with the length of its network: `10.0.20.11/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix(address::Prefix);

impl Prefix {
    /// The address as written.
    pub fn address(self) -> IpAddr {
        self.0.ip
    }

    /// How many bits name the network.
    pub fn length(self) -> u8 {
        self.0.bits
    }

    /// The network without the bits of the host.
    #[must_use]
    pub fn network(self) -> Self {
        Self(self.0.masked())
    }
}

impl FromStr for Prefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        address::parse_prefix(text).map(Self).map_err(refused)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A port or a range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The first port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port; the first one for a single port.
    pub fn last(self) -> u16 {
        self.last
    }
}

impl From<u16> for PortRange {
    fn from(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }
}

impl From<RangeInclusive<u16>> for PortRange {
    fn from(ports: RangeInclusive<u16>) -> Self {
        Self {
            first: *ports.start(),
            last: *ports.end(),
        }
    }
}

impl FromStr for PortRange {
    type Err = Error;

    /// `443`, `30000-32767`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(port) = text.parse::<u16>() {
            return Ok(Self::from(port));
        }
        let (first, last) = decode::ports(text).map_err(refused)?;
        Ok(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl Item for PortRange {
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
        match value {
            Value::Text(text) => match text.parse() {
                Ok(range) => Some(range),
                Err(_) => reader.refuse("a port or a range of ports is needed here"),
            },
            other => <u16 as Item>::read(other, reader).map(Self::from),
        }
    }

    fn write(&self) -> Value {
        if self.first == self.last {
            Value::from(self.first)
        } else {
            Value::text(self.to_string())
        }
    }
}

/// A routing table of the kernel: `main` and its like, or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RoutingTable(u8);

impl RoutingTable {
    /// None named: the kernel decides, which means `main`.
    pub const UNSPEC: Self = Self(0);
    /// Number 253.
    pub const DEFAULT: Self = Self(253);
    /// Number 254, where ordinary routes stand.
    pub const MAIN: Self = Self(254);
    /// Number 255, the kernel's own.
    pub const LOCAL: Self = Self(255);

    /// The number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl From<u8> for RoutingTable {
    fn from(number: u8) -> Self {
        Self(number)
    }
}

impl FromStr for RoutingTable {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match decode::table(text).map_err(refused)?.as_str() {
            "unspec" => Self::UNSPEC,
            "default" => Self::DEFAULT,
            "main" => Self::MAIN,
            "local" => Self::LOCAL,
            number => Self(number.parse().unwrap_or_default()),
        })
    }
}

impl fmt::Display for RoutingTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UNSPEC => f.write_str("unspec"),
            Self::DEFAULT => f.write_str("default"),
            Self::MAIN => f.write_str("main"),
            Self::LOCAL => f.write_str("local"),
            Self(number) => write!(f, "{number}"),
        }
    }
}

/// Bytes in hexadecimal, printed with colons: a hardware address, a DHCP identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HexBytes(Vec<u8>);

impl HexBytes {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for HexBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl FromStr for HexBytes {
    type Err = Error;

    /// With or without colons.
    fn from_str(text: &str) -> Result<Self, Error> {
        let pairs = decode::hex(text).map_err(refused)?;
        let pairs = pairs.split(':').filter(|pair| !pair.is_empty());
        let bytes = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_default());
        Ok(Self(bytes.collect()))
    }
}

impl fmt::Display for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

textual!(Address, Prefix, RoutingTable, HexBytes);
zeroable!(RoutingTable, HexBytes);
