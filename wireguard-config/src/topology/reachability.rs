//! Packets followed from member to member through the tables that the files will hold.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use crate::routing::RoutingTable;

use super::links::visible_endpoint;
use super::plan::Plan;

/// Answers for every pair of members. Made by [`Plan::reachability`].
#[derive(Debug, Clone)]
pub struct Reachability {
    nodes: Vec<Node>,
    index: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
struct Node {
    name: String,
    addresses: Vec<IpAddr>,
    forwards: bool,
    /// Index of the member behind each peer of the table.
    peers: Vec<usize>,
    /// For each peer, whether one of the two ends knows where to send a first packet.
    dialable: Vec<bool>,
    table: RoutingTable,
}

/// Whether packets get from one member to another and back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The two peer with each other.
    Direct,
    /// Through these members, in this order.
    Via(Vec<String>),
    /// Not at all.
    Unreachable(Obstacle),
}

impl Verdict {
    /// Whether there is a path.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        !matches!(self, Self::Unreachable(_))
    }
}

/// What stops a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// No peer of this member is allowed the destination.
    NoRoute {
        /// Where the packet is stuck.
        at: String,
        /// Where it should go.
        destination: IpAddr,
    },
    /// The peer from which the packet comes is not allowed to send from this address.
    SourceRefused {
        /// Who drops it.
        at: String,
        /// The neighbour from which it came.
        from: String,
        /// The packet's source.
        source: IpAddr,
    },
    /// This member is on the way but does not forward.
    NotForwarding {
        /// The member.
        at: String,
    },
    /// Neither of two neighbours has an endpoint of the other.
    NoEndpoint {
        /// The one.
        one: String,
        /// The other.
        other: String,
    },
    /// The packet comes back to where it was.
    Loop {
        /// Where.
        at: String,
    },
    /// The two have no address of the same family.
    NoCommonFamily,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute { at, destination } => {
                write!(f, "{at} has no peer that is allowed {destination}")
            }
            Self::SourceRefused { at, from, source } => {
                write!(
                    f,
                    "{at} drops it: {from} is not allowed to send from {source}"
                )
            }
            Self::NotForwarding { at } => write!(f, "{at} does not forward"),
            Self::NoEndpoint { one, other } => {
                write!(
                    f,
                    "neither {one} nor {other} knows an endpoint of the other"
                )
            }
            Self::Loop { at } => write!(f, "packets come back to {at}"),
            Self::NoCommonFamily => f.write_str("they have no address of the same family"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Via(path) => write!(f, "via {}", path.join(", ")),
            Self::Unreachable(obstacle) => write!(f, "unreachable: {obstacle}"),
        }
    }
}

impl Reachability {
    pub(super) fn new(plan: &Plan) -> Self {
        let members = &plan.inventory.members;
        let nodes: Vec<Node> = members
            .iter()
            .enumerate()
            .map(|(at, member)| {
                let mut table = RoutingTable::default();
                let mut peers = Vec::new();
                let mut dialable = Vec::new();
                for (slot, (peer, networks)) in plan.allowed_ips(at).into_iter().enumerate() {
                    for network in &networks {
                        table.insert(network, slot);
                    }
                    let other = &members[peer];
                    dialable.push(
                        visible_endpoint(member, other).is_some()
                            || visible_endpoint(other, member).is_some(),
                    );
                    peers.push(peer);
                }
                Node {
                    name: member.name.clone(),
                    addresses: plan.addresses[at].iter().map(|a| a.address()).collect(),
                    forwards: plan.links.is_forwarder(at),
                    peers,
                    dialable,
                    table,
                }
            })
            .collect();
        let index = nodes
            .iter()
            .enumerate()
            .map(|(i, node)| (node.name.clone(), i))
            .collect();
        Self { nodes, index }
    }

    /// The verdict for two members by name; none when a name is unknown.
    #[must_use]
    pub fn between(&self, from: &str, to: &str) -> Option<Verdict> {
        let (&from, &to) = (self.index.get(from)?, self.index.get(to)?);
        Some(self.verdict(from, to))
    }

    /// Every ordered pair of different members with its verdict, computed as it is asked for.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str, Verdict)> {
        let count = self.nodes.len();
        (0..count).flat_map(move |from| {
            (0..count).filter(move |&to| to != from).map(move |to| {
                (
                    self.nodes[from].name.as_str(),
                    self.nodes[to].name.as_str(),
                    self.verdict(from, to),
                )
            })
        })
    }

    /// The pairs without a path.
    pub fn unreachable(&self) -> impl Iterator<Item = (&str, &str, Obstacle)> {
        self.pairs()
            .filter_map(|(from, to, verdict)| match verdict {
                Verdict::Unreachable(obstacle) => Some((from, to, obstacle)),
                _ => None,
            })
    }

    fn verdict(&self, from: usize, to: usize) -> Verdict {
        let mut path = None;
        let mut common = false;
        for source in &self.nodes[from].addresses {
            let same = |a: &&IpAddr| a.is_ipv4() == source.is_ipv4();
            let Some(destination) = self.nodes[to].addresses.iter().find(same) else {
                continue;
            };
            common = true;
            // An answer must find its way back, or the path is of no use.
            let there = self.follow(from, to, *source, *destination);
            let back = self.follow(to, from, *destination, *source);
            match (there, back) {
                (Ok(hops), Ok(_)) => path = Some(hops),
                (Err(obstacle), _) | (_, Err(obstacle)) => return Verdict::Unreachable(obstacle),
            }
        }
        match path {
            _ if !common => Verdict::Unreachable(Obstacle::NoCommonFamily),
            Some(hops) if !hops.is_empty() => Verdict::Via(
                hops.into_iter()
                    .map(|i| self.nodes[i].name.clone())
                    .collect(),
            ),
            _ => Verdict::Direct,
        }
    }

    /// The members in between, or what stops the packet.
    fn follow(
        &self,
        from: usize,
        to: usize,
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<Vec<usize>, Obstacle> {
        let name = |at: usize| self.nodes[at].name.clone();
        let mut hops = Vec::new();
        let mut at = from;
        loop {
            let node = &self.nodes[at];
            if at != from && !node.forwards {
                return Err(Obstacle::NotForwarding { at: name(at) });
            }
            let Some((slot, _)) = node.table.lookup(destination) else {
                return Err(Obstacle::NoRoute {
                    at: name(at),
                    destination,
                });
            };
            let next = node.peers[slot];
            if !node.dialable[slot] {
                return Err(Obstacle::NoEndpoint {
                    one: name(at),
                    other: name(next),
                });
            }
            let arrived = &self.nodes[next];
            let accepted = arrived
                .table
                .lookup(source)
                .is_some_and(|(slot, _)| arrived.peers[slot] == at);
            if !accepted {
                return Err(Obstacle::SourceRefused {
                    at: name(next),
                    from: name(at),
                    source,
                });
            }
            if next == to {
                return Ok(hops);
            }
            if hops.contains(&next) || next == from {
                return Err(Obstacle::Loop { at: name(next) });
            }
            hops.push(next);
            at = next;
        }
    }
}
