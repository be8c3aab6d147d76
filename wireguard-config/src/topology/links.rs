//! Who peers with whom, and through whom the others are reached.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::endpoint::Endpoint;

use super::inventory::{Inventory, Member, Role, Topology};

/// The pairs that peer, and next hops for all others.
///
/// Paths are symmetric and consistent, as cryptokey routing demands (a packet must come from the very peer to which the
/// answer would go): every link has a cost of one hop and a tie-breaker from the names of its ends, so that
/// shortest paths are unique, and members that come or go do not move the paths of others.
#[derive(Debug, Clone)]
pub(super) struct Links {
    count: usize,
    adjacent: Vec<u64>,
    stride: usize,
    forwarders: Vec<usize>,
    /// Cost and next hop from forwarder to forwarder, through forwarders only.
    core: HashMap<(usize, usize), (Cost, usize)>,
    ties: Vec<u64>,
}

/// Hops first, then the sum of the tie-breakers.
type Cost = (u32, u128);

fn add(one: Cost, other: Cost) -> Cost {
    (one.0 + other.0, one.1 + other.1)
}

/// Where `to` is reached from `from`: inside a common local network, else from everywhere.
pub(super) fn visible_endpoint<'a>(from: &Member, to: &'a Member) -> Option<&'a Endpoint> {
    match (&from.lan, &to.lan) {
        (Some(here), Some(there)) if here.name == there.name => Some(&there.endpoint),
        _ => to.endpoint.as_ref(),
    }
}

/// Whether at least one of the two can send the other a first packet.
pub(super) fn can_handshake(one: &Member, other: &Member) -> bool {
    visible_endpoint(one, other).is_some() || visible_endpoint(other, one).is_some()
}

impl Links {
    pub(super) fn new(inventory: &Inventory) -> Self {
        let members = &inventory.members;
        let count = members.len();
        let stride = count.div_ceil(64);
        let ties = members.iter().map(|m| tie(&m.name)).collect();
        let mut links = Self {
            count,
            adjacent: vec![0; stride * count],
            stride,
            forwarders: Vec::new(),
            core: HashMap::new(),
            ties,
        };
        let core: Vec<bool> = members.iter().map(|m| is_core(inventory, m)).collect();
        links.forwarders = (0..count).filter(|&i| forwards(inventory, i)).collect();
        for one in 0..count {
            for other in 0..one {
                if core[one] && core[other] && can_handshake(&members[one], &members[other]) {
                    links.connect(one, other);
                }
            }
        }
        let index: HashMap<&str, usize> = members
            .iter()
            .enumerate()
            .map(|(i, m)| (m.name.as_str(), i))
            .collect();
        for leaf in (0..count).filter(|&i| !core[i] && inventory.topology != Topology::Explicit) {
            if let Some(forwarder) = links.forwarder_of(inventory, &index, leaf) {
                links.connect(leaf, forwarder);
            }
        }
        for (one, other) in &inventory.links {
            if let (Some(&one), Some(&other)) = (index.get(one.as_str()), index.get(other.as_str()))
            {
                links.connect(one, other);
            }
        }
        links.route_core();
        links
    }

    fn forwarder_of(
        &self,
        inventory: &Inventory,
        index: &HashMap<&str, usize>,
        leaf: usize,
    ) -> Option<usize> {
        let members = &inventory.members;
        let preferred = members[leaf]
            .via
            .as_ref()
            .and_then(|via| index.get(via.as_str()).copied());
        preferred.or_else(|| {
            let reachable = |&f: &usize| f != leaf && can_handshake(&members[leaf], &members[f]);
            self.forwarders.iter().copied().find(reachable)
        })
    }

    fn connect(&mut self, one: usize, other: usize) {
        if one != other {
            self.adjacent[one * self.stride + other / 64] |= 1 << (other % 64);
            self.adjacent[other * self.stride + one / 64] |= 1 << (one % 64);
        }
    }

    pub(super) fn adjacent(&self, one: usize, other: usize) -> bool {
        self.adjacent[one * self.stride + other / 64] >> (other % 64) & 1 == 1
    }

    pub(super) fn peers(&self, of: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.count).filter(move |&other| self.adjacent(of, other))
    }

    pub(super) fn is_forwarder(&self, member: usize) -> bool {
        self.forwarders.binary_search(&member).is_ok()
    }

    fn cost(&self, one: usize, other: usize) -> Cost {
        let (low, high) = (self.ties[one.min(other)], self.ties[one.max(other)]);
        // Symmetric in the names' hashes, whatever the members' order.
        let (a, b) = (low.min(high), low.max(high));
        let mixed = (a ^ b.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (1, u128::from(mixed ^ (mixed >> 31)))
    }

    /// Shortest paths between forwarders; their number is small, so Floyd and Warshall's way is good enough.
    fn route_core(&mut self) {
        let forwarders = self.forwarders.clone();
        for &a in &forwarders {
            for &b in &forwarders {
                if self.adjacent(a, b) {
                    self.core.insert((a, b), (self.cost(a, b), b));
                }
            }
        }
        for &through in &forwarders {
            for &a in forwarders.iter().filter(|&&a| a != through) {
                let Some(&(first, next)) = self.core.get(&(a, through)) else {
                    continue;
                };
                for &b in forwarders.iter().filter(|&&b| b != a && b != through) {
                    let Some(&(second, _)) = self.core.get(&(through, b)) else {
                        continue;
                    };
                    let cost = add(first, second);
                    if self
                        .core
                        .get(&(a, b))
                        .is_none_or(|&(known, _)| cost < known)
                    {
                        self.core.insert((a, b), (cost, next));
                    }
                }
            }
        }
    }

    /// The peer to which `from` hands packets for `to`.
    pub(super) fn next_hop(&self, from: usize, to: usize) -> Option<usize> {
        if from == to {
            return None;
        }
        if self.adjacent(from, to) {
            return Some(to);
        }
        let mut best: Option<(Cost, usize)> = None;
        // Entry: the forwarder at which the path starts (itself when `from` is one); exit: the last one before `to`.
        for &entry in &self.forwarders {
            let first = match (entry == from, self.adjacent(from, entry)) {
                (true, _) => (0, 0),
                (_, true) => self.cost(from, entry),
                _ => continue,
            };
            for &exit in &self.forwarders {
                if exit != to && !self.adjacent(exit, to) {
                    continue;
                }
                let last = if exit == to {
                    (0, 0)
                } else {
                    self.cost(exit, to)
                };
                let (middle, next) = match self.core.get(&(entry, exit)) {
                    _ if entry == exit => ((0, 0), exit),
                    Some(&(cost, next)) => (cost, next),
                    None => continue,
                };
                let next = match (entry == from, entry == exit) {
                    (false, _) => entry,
                    (true, false) => next,
                    (true, true) => continue,
                };
                let cost = add(add(first, middle), last);
                if best.is_none_or(|(known, _)| cost < known) {
                    best = Some((cost, next));
                }
            }
        }
        best.map(|(_, next)| next)
    }
}

fn is_core(inventory: &Inventory, member: &Member) -> bool {
    match (inventory.topology, member.role) {
        (Topology::Explicit, _) | (_, Role::Roaming) => false,
        (_, Role::Hub | Role::Relay) | (Topology::FullMesh, _) => true,
        (Topology::SiteToSite, _) => !member.routed.is_empty(),
        (Topology::HubAndSpoke, _) => false,
    }
}

/// Hubs and relays forward; in a network of sites so does a gateway on which a member without one relies.
fn forwards(inventory: &Inventory, at: usize) -> bool {
    let member = &inventory.members[at];
    match member.role {
        Role::Hub | Role::Relay => true,
        Role::Roaming => false,
        Role::Node => {
            inventory.topology == Topology::SiteToSite
                && is_core(inventory, member)
                && inventory
                    .members
                    .iter()
                    .any(|other| !is_core(inventory, other))
        }
    }
}

/// A number that depends on the name alone.
fn tie(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    // The upper bits stay free, so that sums over long paths cannot overflow.
    u64::from_be_bytes(bytes)
}
