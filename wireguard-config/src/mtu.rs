//! How large a packet in the tunnel may be.

use crate::endpoint::{Endpoint, Host};

/// Bytes that WireGuard adds to a packet, without IP and UDP: type, receiver, counter and tag.
const WIREGUARD: u32 = 32;
const UDP: u32 = 8;
const IPV4: u32 = 20;
const IPV6: u32 = 40;

/// The largest MTU of the links below, by name.
pub const ETHERNET: u32 = 1500;
/// PPPoE takes 8 bytes of Ethernet's 1500.
pub const PPPOE: u32 = 1492;
/// No IPv6 link may be smaller.
pub const SMALLEST_IPV6: u32 = 1280;

/// What carries the tunnel's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Outer {
    /// IPv4 for certain.
    V4,
    /// IPv6, or not known beforehand, as with host names.
    V6,
}

impl Outer {
    /// What carries packets to all of these endpoints.
    pub fn of<'a>(endpoints: impl IntoIterator<Item = &'a Endpoint>) -> Self {
        let mut outer = Self::V6;
        for (i, endpoint) in endpoints.into_iter().enumerate() {
            match endpoint.host() {
                Host::Address(address) if address.is_ipv4() => {
                    if i == 0 {
                        outer = Self::V4;
                    }
                }
                _ => return Self::V6,
            }
        }
        outer
    }

    /// Bytes that a tunnel adds: 60 over IPv4, 80 over IPv6.
    #[must_use]
    pub const fn overhead(self) -> u32 {
        UDP + WIREGUARD
            + match self {
                Self::V4 => IPV4,
                Self::V6 => IPV6,
            }
    }
}

/// The MTU of a tunnel over a path whose largest packet is `path` bytes; zero when nothing is left. For a
/// tunnel in a tunnel, hand in the outer tunnel's result as the path.
#[must_use]
pub const fn tunnel(path: u32, outer: Outer) -> u32 {
    path.saturating_sub(outer.overhead())
}

/// The largest packet that the path must carry for a tunnel of this MTU.
#[must_use]
pub const fn path(tunnel: u32, outer: Outer) -> u32 {
    tunnel.saturating_add(outer.overhead())
}
