//! Addresses for members: stable, without the ones that must not be given out.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use crate::error::{Error, ErrorKind, Result};
use crate::net::{InterfaceAddress, Network, from_bits, width};

use super::inventory::Inventory;

/// Which member has which addresses. Feeding an earlier plan's leases back keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leases {
    addresses: BTreeMap<String, Vec<IpAddr>>,
}

impl Leases {
    /// Notes an address of a member.
    pub fn insert(&mut self, member: impl Into<String>, address: IpAddr) {
        self.addresses
            .entry(member.into())
            .or_default()
            .push(address);
    }

    /// The addresses of a member.
    #[must_use]
    pub fn of(&self, member: &str) -> &[IpAddr] {
        self.addresses.get(member).map_or(&[], Vec::as_slice)
    }

    /// All members with their addresses, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[IpAddr])> {
        self.addresses
            .iter()
            .map(|(name, addresses)| (name.as_str(), addresses.as_slice()))
    }
}

/// One network's addresses that are still free.
struct Pool<'a> {
    network: Network,
    reserved: &'a [Network],
    next: u128,
    last: u128,
    step: u128,
}

impl<'a> Pool<'a> {
    fn new(network: Network, reserved: &'a [Network]) -> Self {
        let bits = width(network.address());
        let step = 1u128 << (128 - u32::from(bits));
        let (mut next, mut last) = (network.first_bits(), network.last_bits());
        // The first address names the network (IPv4) or is the routers' anycast address (IPv6); the last one of an
        // IPv4 network is its broadcast address. Networks of one or two addresses have neither.
        if bits - network.prefix() >= 2 {
            next += step;
            if network.is_ipv4() {
                last -= step;
            }
        }
        Self {
            network,
            reserved,
            next,
            last,
            step,
        }
    }

    fn take(&mut self, used: &HashSet<IpAddr>) -> Option<IpAddr> {
        while self.next <= self.last {
            let address = from_bits(self.next, self.network.address());
            if let Some(reserved) = self.reserved.iter().find(|r| r.contains(address)) {
                self.next = reserved.last_bits().checked_add(self.step)?;
                continue;
            }
            self.next = self.next.checked_add(self.step)?;
            if !used.contains(&address) {
                return Some(address);
            }
        }
        None
    }
}

/// Gives each member one address from each network, in the inventory's order: fixed ones first, then leased
/// ones, then the lowest free ones.
pub(super) fn allocate(inventory: &Inventory) -> Result<Vec<Vec<InterfaceAddress>>> {
    let mut given: Vec<Vec<IpAddr>> = inventory
        .members
        .iter()
        .map(|m| m.addresses.clone())
        .collect();
    let mut used: HashSet<IpAddr> = given.iter().flatten().copied().collect();
    for network in &inventory.networks {
        for (member, addresses) in inventory.members.iter().zip(&mut given) {
            let lease = inventory
                .leases
                .of(&member.name)
                .iter()
                .find(|a| network.contains(**a));
            if let Some(lease) = lease
                && !addresses.iter().any(|a| network.contains(*a))
                && !inventory.reserved.iter().any(|r| r.contains(*lease))
                && used.insert(*lease)
            {
                addresses.push(*lease);
            }
        }
        let mut pool = Pool::new(*network, &inventory.reserved);
        for (member, addresses) in inventory.members.iter().zip(&mut given) {
            if addresses.iter().any(|a| network.contains(*a)) {
                continue;
            }
            let address = pool.take(&used).ok_or_else(|| {
                Error::new(
                    ErrorKind::Exhausted,
                    format!("{network} has no free address for member {}", member.name),
                )
                .with_hint("use a larger network or reserve less")
            })?;
            used.insert(address);
            addresses.push(address);
        }
    }
    let with_prefix = |address: IpAddr| {
        let network = inventory
            .networks
            .iter()
            .find(|network| network.contains(address));
        network
            .and_then(|network| InterfaceAddress::new(address, network.prefix()).ok())
            .unwrap_or_else(|| InterfaceAddress::host(address))
    };
    Ok(given
        .into_iter()
        .map(|mut addresses| {
            addresses.sort_by_key(|a| {
                inventory
                    .networks
                    .iter()
                    .position(|network| network.contains(*a))
                    .unwrap_or(usize::MAX)
            });
            addresses.into_iter().map(with_prefix).collect()
        })
        .collect())
}
