//! "Why can A not reach B?": packets followed through the configurations of real machines.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use crate::config::Config;
use crate::endpoint::Host;
use crate::key::PublicKey;
use crate::net::Network;
use crate::routing::RoutingTable;

/// A set of machines, each known by its configuration.
#[derive(Debug, Default)]
pub struct Fabric {
    nodes: Vec<Node>,
    by_key: HashMap<PublicKey, usize>,
}

#[derive(Debug)]
struct Node {
    name: String,
    config: Config,
    key: Option<PublicKey>,
    table: RoutingTable,
}

/// One thing that happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A machine gives the packet to a peer because of this network.
    Sent {
        /// The machine.
        from: String,
        /// The peer's machine.
        to: String,
        /// The network that decided.
        network: Network,
    },
    /// A machine takes the packet from a peer because of this network.
    Accepted {
        /// The machine.
        at: String,
        /// The neighbour.
        from: String,
        /// The network that holds the source.
        network: Network,
    },
    /// The packet leaves the tunnel for a network behind this machine, or is for it.
    Delivered {
        /// The machine.
        at: String,
    },
    /// The packet ends here.
    Dropped {
        /// The machine.
        at: String,
        /// Why.
        reason: Reason,
    },
}

/// Why a packet is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// No machine has this name.
    UnknownMachine,
    /// The machine has no address of the destination's family.
    NoSource,
    /// No peer is allowed the destination.
    NoRoute(IpAddr),
    /// The peer's key belongs to none of the machines, perhaps because it was rotated.
    StrangeKey(PublicKey),
    /// The other end does not have this machine's key among its peers.
    NotKnownBy(String),
    /// The two ends have different preshared keys.
    PresharedKeysDiffer(String),
    /// Neither end has an endpoint of the other, so no handshake begins.
    NoEndpoint(String),
    /// The peer's endpoint names another port than the one on which it listens.
    OtherPort {
        /// The peer's machine.
        peer: String,
        /// The port of the endpoint.
        endpoint: u16,
        /// The port on which it listens.
        listens: u16,
    },
    /// The sender is not allowed this source: the network belongs to another peer or to none.
    SourceRefused {
        /// The neighbour from which it came.
        from: String,
        /// The packet's source.
        source: IpAddr,
    },
    /// The packet was here before.
    Loop,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMachine => f.write_str("no configuration has this name"),
            Self::NoSource => f.write_str("it has no address of the destination's family"),
            Self::NoRoute(address) => write!(
                f,
                "no peer is allowed {address}; add it to a peer's AllowedIPs"
            ),
            Self::StrangeKey(key) => write!(
                f,
                "its peer {key} is none of the machines; was a key rotated on one side only?"
            ),
            Self::NotKnownBy(peer) => write!(f, "{peer} has no peer with its public key"),
            Self::PresharedKeysDiffer(peer) => {
                write!(f, "it and {peer} have different preshared keys")
            }
            Self::NoEndpoint(peer) => {
                write!(f, "neither it nor {peer} has an endpoint of the other")
            }
            Self::OtherPort {
                peer,
                endpoint,
                listens,
            } => {
                write!(
                    f,
                    "it sends to port {endpoint} of {peer}, which listens on {listens}"
                )
            }
            Self::SourceRefused { from, source } => {
                write!(
                    f,
                    "{from} is not allowed to send from {source}; add it to the AllowedIPs of {from}"
                )
            }
            Self::Loop => f.write_str("the packet was here before"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { from, to, network } => {
                write!(f, "{from} sends it to {to}, which is allowed {network}")
            }
            Self::Accepted { at, from, network } => {
                write!(f, "{at} takes it, because {from} is allowed {network}")
            }
            Self::Delivered { at } => write!(f, "{at} has it"),
            Self::Dropped { at, reason } => write!(f, "{at} drops it: {reason}"),
        }
    }
}

/// The whole way of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Journey {
    /// What happens to it, in order.
    pub steps: Vec<Step>,
}

impl Journey {
    /// Whether it arrives.
    #[must_use]
    pub fn arrives(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Delivered { .. }))
    }

    /// Why it does not.
    #[must_use]
    pub fn obstacle(&self) -> Option<(&str, &Reason)> {
        match self.steps.last() {
            Some(Step::Dropped { at, reason }) => Some((at, reason)),
            _ => None,
        }
    }
}

impl fmt::Display for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            let end = if i + 1 < self.steps.len() { "\n" } else { "" };
            write!(f, "{step}{end}")?;
        }
        Ok(())
    }
}

impl Fabric {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a machine by name and configuration. Its key is the public one of its private key.
    pub fn add(&mut self, name: impl Into<String>, config: Config) {
        let key = config
            .interface
            .private_key
            .as_ref()
            .map(|key| key.public_key());
        if let Some(key) = key {
            self.by_key.insert(key, self.nodes.len());
        }
        self.nodes.push(Node {
            name: name.into(),
            table: RoutingTable::new(&config),
            config,
            key,
        });
    }

    /// The machine whose interface has this address, or behind which the address lies as far as the others' allowed IPs say.
    #[must_use]
    pub fn owner(&self, address: IpAddr) -> Option<&str> {
        let holds = |node: &&Node| node.holds(address);
        self.nodes.iter().find(holds).map(|node| node.name.as_str())
    }

    /// The addresses of a machine.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let node = self.nodes.iter().find(|node| node.name == name);
        node.map(|node| {
            node.config
                .interface
                .addresses
                .iter()
                .map(|a| a.address())
                .collect()
        })
        .unwrap_or_default()
    }

    /// Follows a packet from a machine to an address; the answer takes [`Fabric::back`].
    #[must_use]
    pub fn why(&self, from: &str, destination: IpAddr) -> Journey {
        let Some(start) = self.nodes.iter().position(|node| node.name == from) else {
            return dropped(Vec::new(), from, Reason::UnknownMachine);
        };
        let addresses = &self.nodes[start].config.interface.addresses;
        let source = addresses
            .iter()
            .map(|a| a.address())
            .find(|a| a.is_ipv4() == destination.is_ipv4());
        match source {
            Some(source) => self.follow(start, source, destination),
            None => dropped(Vec::new(), from, Reason::NoSource),
        }
    }

    /// Follows the answer: from the machine that has `destination` back to the first address of `from`.
    #[must_use]
    pub fn back(&self, from: &str, destination: IpAddr) -> Option<Journey> {
        let start = self.nodes.iter().position(|node| node.holds(destination))?;
        let to = self
            .addresses(from)
            .into_iter()
            .find(|a| a.is_ipv4() == destination.is_ipv4())?;
        Some(self.follow(start, destination, to))
    }

    fn follow(&self, start: usize, source: IpAddr, destination: IpAddr) -> Journey {
        let mut steps = Vec::new();
        let mut visited = vec![start];
        let mut at = start;
        loop {
            let node = &self.nodes[at];
            if node.holds(destination) {
                steps.push(Step::Delivered {
                    at: node.name.clone(),
                });
                return Journey { steps };
            }
            let Some((slot, network)) = node.table.lookup(destination) else {
                // Behind the tunnel there may be a network that no configuration of this machine names.
                if at != start {
                    steps.push(Step::Delivered {
                        at: node.name.clone(),
                    });
                    return Journey { steps };
                }
                return dropped(steps, &node.name, Reason::NoRoute(destination));
            };
            let peer = &node.config.peers[slot];
            let Some(&next) = self.by_key.get(&peer.public_key) else {
                return dropped(steps, &node.name, Reason::StrangeKey(peer.public_key));
            };
            let there = &self.nodes[next];
            let Some(back) = there
                .config
                .peers
                .iter()
                .find(|p| Some(p.public_key) == node.key)
            else {
                return dropped(steps, &node.name, Reason::NotKnownBy(there.name.clone()));
            };
            if peer.preshared_key != back.preshared_key {
                return dropped(
                    steps,
                    &node.name,
                    Reason::PresharedKeysDiffer(there.name.clone()),
                );
            }
            match (&peer.endpoint, &back.endpoint) {
                (None, None) => {
                    return dropped(steps, &node.name, Reason::NoEndpoint(there.name.clone()));
                }
                (Some(endpoint), None) if !matches!(endpoint.host(), Host::Name(_)) => {
                    // A router may translate ports only where the address is not the machine's own.
                    let listens = there.config.interface.listen_port.filter(|&port| port != 0);
                    if let Some(listens) = listens.filter(|&port| port != endpoint.port()) {
                        let reason = Reason::OtherPort {
                            peer: there.name.clone(),
                            endpoint: endpoint.port(),
                            listens,
                        };
                        return dropped(steps, &node.name, reason);
                    }
                }
                _ => {}
            }
            steps.push(Step::Sent {
                from: node.name.clone(),
                to: there.name.clone(),
                network,
            });
            match there.table.lookup(source) {
                Some((slot, network)) if Some(there.config.peers[slot].public_key) == node.key => {
                    steps.push(Step::Accepted {
                        at: there.name.clone(),
                        from: node.name.clone(),
                        network,
                    });
                }
                _ => {
                    let reason = Reason::SourceRefused {
                        from: node.name.clone(),
                        source,
                    };
                    return dropped(steps, &there.name, reason);
                }
            }
            if visited.contains(&next) {
                return dropped(steps, &there.name, Reason::Loop);
            }
            visited.push(next);
            at = next;
        }
    }
}

impl Node {
    fn holds(&self, address: IpAddr) -> bool {
        self.config
            .interface
            .addresses
            .iter()
            .any(|a| a.address() == address)
    }
}

fn dropped(mut steps: Vec<Step>, at: &str, reason: Reason) -> Journey {
    steps.push(Step::Dropped {
        at: at.to_owned(),
        reason,
    });
    Journey { steps }
}
