//! Cryptokey routing: which peer an address belongs to.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::config::Config;
use crate::net::{Network, bits, mask};

/// The allowed IPs of all peers, looked up as WireGuard does: the longest prefix wins, and a network that
/// two peers claim belongs to the later one.
#[derive(Debug, Clone, Default)]
pub struct RoutingTable {
    v4: Family,
    v6: Family,
}

#[derive(Debug, Clone, Default)]
struct Family {
    /// The prefix lengths in use, longest first.
    lengths: Vec<u8>,
    owners: HashMap<(u8, u128), usize>,
}

impl Family {
    fn insert(&mut self, network: &Network, owner: usize) {
        if let Err(at) = self
            .lengths
            .binary_search_by(|length| network.prefix().cmp(length))
        {
            self.lengths.insert(at, network.prefix());
        }
        self.owners
            .insert((network.prefix(), bits(network.address())), owner);
    }

    fn lookup(&self, address: IpAddr) -> Option<(usize, u8)> {
        let bits = bits(address);
        self.lengths
            .iter()
            .find_map(|&length| Some((*self.owners.get(&(length, bits & mask(length)))?, length)))
    }
}

impl RoutingTable {
    /// The table of a configuration; the indices that it gives are those of `config.peers`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut table = Self::default();
        for (index, peer) in config.peers.iter().enumerate() {
            for network in &peer.allowed_ips {
                table.insert(network, index);
            }
        }
        table
    }

    pub(crate) fn insert(&mut self, network: &Network, owner: usize) {
        let family = if network.is_ipv4() {
            &mut self.v4
        } else {
            &mut self.v6
        };
        family.insert(network, owner);
    }

    /// The index of the peer that gets packets for this address and may send packets from it, with the network
    /// that decided.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<(usize, Network)> {
        let family = if address.is_ipv4() {
            &self.v4
        } else {
            &self.v6
        };
        family
            .lookup(address)
            .map(|(owner, length)| (owner, Network::masked(address, length)))
    }
}
