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

/// What a machine does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It goes to the peer at this index, because of this network.
    Peer {
        /// The index in `config.peers`.
        index: usize,
        /// The network that decided.
        network: Network,
    },
    /// It is the interface's own address.
    Own,
    /// No peer is allowed the address: the packet is dropped.
    Dropped,
}

impl Config {
    /// What happens to a packet for this address once it is routed to the interface. For many questions, make one
    /// [`RoutingTable`].
    #[must_use]
    pub fn decide(&self, destination: IpAddr) -> Decision {
        if self
            .interface
            .addresses
            .iter()
            .any(|a| a.address() == destination)
        {
            return Decision::Own;
        }
        match RoutingTable::new(self).lookup(destination) {
            Some((index, network)) => Decision::Peer { index, network },
            None => Decision::Dropped,
        }
    }

    /// Networks that two peers claim, exactly or one inside the other, each pair once: (index and network of the one that
    /// gets the packets, index and network of the other).
    #[must_use]
    pub fn overlaps(&self) -> Vec<Overlap> {
        let mut all: Vec<(Network, usize)> = Vec::new();
        for (index, peer) in self.peers.iter().enumerate() {
            all.extend(peer.allowed_ips.iter().map(|network| (*network, index)));
        }
        all.sort_by_key(|(network, index)| {
            (
                network.is_ipv4(),
                network.first_bits(),
                network.prefix(),
                *index,
            )
        });
        let mut open: Vec<(Network, usize)> = Vec::new();
        let mut found = Vec::new();
        for (network, index) in all {
            open.retain(|(outer, _)| outer.contains_network(&network));
            for (outer, other) in open.iter().filter(|(_, other)| *other != index) {
                // The same network belongs to the later peer, a narrower one to its own.
                found.push(Overlap {
                    winner: (index, network),
                    loser: (*other, *outer),
                });
            }
            open.push((network, index));
        }
        found
    }
}

/// Two peers that claim the same addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overlap {
    /// Index of the peer that gets the packets, and its network.
    pub winner: (usize, Network),
    /// Index of the peer that does not, and its network.
    pub loser: (usize, Network),
}

impl Overlap {
    /// Whether both claim exactly the same network, so that the loser loses all of it.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.winner.1 == self.loser.1
    }
}
