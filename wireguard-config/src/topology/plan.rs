//! The worked-out network: addresses, peers, routes and files of every member.

use std::collections::HashMap;
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::config::{Config, Interface, Peer};
use crate::error::{Error, ErrorKind, Place, Problem, Result, Severity};
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::mtu::{self, Outer};
use crate::net::{InterfaceAddress, Network};
use crate::render::quick;

use super::allocate::{Leases, allocate};
use super::inventory::{Inventory, Member, PresharedPolicy};
use super::keys::Keys;
use super::links::{Links, visible_endpoint};
use super::reachability::Reachability;
use super::stream::Files;
use super::validate;

/// A checked plan. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) inventory: Inventory,
    pub(super) addresses: Vec<Vec<InterfaceAddress>>,
    pub(super) links: Links,
    keys: Keys,
    public: Vec<PublicKey>,
    index: HashMap<String, usize>,
    warnings: Vec<Problem>,
}

/// A file that a plan wants on a member. The content is secret, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// The member that it is for.
    pub member: String,
    /// Where it belongs below a folder for the whole network: `member/interface.conf`.
    pub path: String,
    /// The permission bits, 0600.
    pub mode: u32,
    /// What stands in it.
    pub content: Zeroizing<String>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "File({}, {:04o}, {} bytes)",
            self.path,
            self.mode,
            self.content.len()
        )
    }
}

impl Plan {
    pub(super) fn make(inventory: &Inventory, keys: &Keys) -> Result<Self> {
        let mut problems = validate::inventory(inventory);
        if problems.iter().any(|p| p.severity == Severity::Error) {
            return Err(refuse(problems));
        }
        let mut public = Vec::with_capacity(inventory.members.len());
        for member in &inventory.members {
            match keys.public(&member.name) {
                Some(key) => public.push(key),
                None => {
                    return Err(Error::new(
                        ErrorKind::MissingKey,
                        format!("member {} has no key in the key store", member.name),
                    )
                    .with_hint("call Keys::complete, or put the key in"));
                }
            }
        }
        if inventory.preshared == PresharedPolicy::PerPair && keys.seed().is_none() {
            return Err(Error::new(
                ErrorKind::MissingKey,
                "the key store has no seed for preshared keys",
            )
            .with_hint("call Keys::complete, or set PresharedPolicy::None"));
        }
        let addresses = allocate(inventory)?;
        let links = Links::new(inventory);
        problems.extend(validate::keys(inventory, &public));
        problems.extend(validate::paths(inventory, &links));
        if problems.iter().any(|p| p.severity == Severity::Error) {
            return Err(refuse(problems));
        }
        let index = inventory
            .members
            .iter()
            .enumerate()
            .map(|(i, m)| (m.name.clone(), i))
            .collect();
        Ok(Self {
            inventory: inventory.clone(),
            addresses,
            links,
            keys: keys.clone(),
            public,
            index,
            warnings: problems,
        })
    }

    /// The members, in the inventory's order.
    pub fn members(&self) -> impl ExactSizeIterator<Item = MemberPlan<'_>> {
        (0..self.inventory.members.len()).map(|at| MemberPlan { plan: self, at })
    }

    /// A member by name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<MemberPlan<'_>> {
        self.index
            .get(name)
            .map(|&at| MemberPlan { plan: self, at })
    }

    /// What is allowed but probably not meant.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The addresses given out, to be kept for the next plan.
    #[must_use]
    pub fn leases(&self) -> Leases {
        let mut leases = Leases::default();
        for member in self.members() {
            for address in member.addresses() {
                leases.insert(member.name(), address.address());
            }
        }
        leases
    }

    /// Follows packets through the members' tables, for every pair and in both directions.
    ///
    /// This does not look at how the plan was made: it reads the peers and allowed IPs that the files will hold.
    #[must_use]
    pub fn reachability(&self) -> Reachability {
        Reachability::new(self)
    }

    /// One wg-quick file for each member, made one at a time.
    pub fn files(&self) -> impl Iterator<Item = File> + '_ {
        Files::new(self)
    }

    pub(super) fn networks_of(&self, at: usize) -> impl Iterator<Item = Network> + '_ {
        let hosts = self.addresses[at]
            .iter()
            .map(|a| Network::host(a.address()));
        hosts.chain(self.inventory.members[at].routed.iter().copied())
    }

    /// The peers of a member with what each is allowed, in the inventory's order.
    pub(super) fn allowed_ips(&self, at: usize) -> Vec<(usize, Vec<Network>)> {
        let peers: Vec<usize> = self.links.peers(at).collect();
        let mut slots = vec![usize::MAX; self.inventory.members.len()];
        for (slot, &peer) in peers.iter().enumerate() {
            slots[peer] = slot;
        }
        let mut allowed: Vec<Vec<Network>> = peers
            .iter()
            .map(|&peer| self.networks_of(peer).collect())
            .collect();
        // With a single forwarder to talk to, the whole tunnel network is right now and stays right when others join.
        let sole = (peers.len() == 1 && self.links.is_forwarder(peers[0])).then_some(0);
        if let Some(slot) = sole {
            allowed[slot] = self.inventory.networks.clone();
        }
        for to in (0..self.inventory.members.len()).filter(|&to| to != at) {
            let Some(hop) = self.links.next_hop(at, to) else {
                continue;
            };
            if hop == to && sole.is_none() {
                continue;
            }
            let list = &mut allowed[slots[hop]];
            for network in self.networks_of(to) {
                if !list.iter().any(|held| held.contains_network(&network)) {
                    list.push(network);
                }
            }
        }
        let member = &self.inventory.members[at];
        if member.full_tunnel
            && let Some(slot) = self.exit_of(at, &peers)
        {
            let keep = |list: &mut Vec<Network>| {
                list.clear();
                list.push(Network::masked(IpAddr::from([0; 4]), 0));
                list.push(Network::masked(IpAddr::from([0; 16]), 0));
            };
            keep(&mut allowed[slot]);
        }
        peers.into_iter().zip(allowed).collect()
    }

    fn exit_of(&self, at: usize, peers: &[usize]) -> Option<usize> {
        let via = self.inventory.members[at].via.as_deref();
        let named = via.and_then(|via| {
            peers
                .iter()
                .position(|&p| self.inventory.members[p].name == via)
        });
        named.or_else(|| peers.iter().position(|&peer| self.links.is_forwarder(peer)))
    }

    pub(super) fn public_key(&self, at: usize) -> PublicKey {
        self.public[at]
    }

    pub(super) fn member_at(&self, at: usize) -> Option<MemberPlan<'_>> {
        (at < self.inventory.members.len()).then_some(MemberPlan { plan: self, at })
    }

    pub(super) fn preshared(&self, one: &Member, other: &Member) -> Option<PresharedKey> {
        match self.inventory.preshared {
            PresharedPolicy::PerPair => self.keys.preshared(&one.name, &other.name),
            PresharedPolicy::None => self.keys.explicit_preshared(&one.name, &other.name),
        }
    }
}

fn refuse(mut problems: Vec<Problem>) -> Error {
    problems.retain(|p| p.severity == Severity::Error);
    let message = match problems.len() {
        1 => "the inventory has a problem".to_owned(),
        n => format!("the inventory has {n} problems"),
    };
    Error::new(ErrorKind::Inventory, message).with_problems(problems)
}

pub(super) fn member_problem(
    severity: Severity,
    rule: &'static str,
    member: &Member,
    field: &'static str,
    message: String,
    hint: &str,
) -> Problem {
    Problem {
        severity,
        rule,
        place: Place::Member {
            member: member.name.clone(),
            field,
        },
        message,
        hint: Some(hint.to_owned()),
    }
}

/// One member of a [`Plan`].
#[derive(Debug, Clone, Copy)]
pub struct MemberPlan<'a> {
    plan: &'a Plan,
    at: usize,
}

impl<'a> MemberPlan<'a> {
    fn spec(&self) -> &'a Member {
        &self.plan.inventory.members[self.at]
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.spec().name
    }

    /// What the inventory says about it.
    #[must_use]
    pub fn member(&self) -> &'a Member {
        self.spec()
    }

    /// The name of its interface.
    #[must_use]
    pub fn interface(&self) -> &'a str {
        self.spec()
            .interface
            .as_deref()
            .unwrap_or(&self.plan.inventory.interface)
    }

    /// Its addresses in the tunnel, with the tunnel network's prefix length.
    #[must_use]
    pub fn addresses(&self) -> &'a [InterfaceAddress] {
        &self.plan.addresses[self.at]
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.plan.public[self.at]
    }

    /// Its private key, if the key store has it.
    #[must_use]
    pub fn private_key(&self) -> Option<&'a PrivateKey> {
        self.plan.keys.private(self.name())
    }

    /// Whether it and the other member peer.
    #[must_use]
    pub fn peers_with(&self, other: &Self) -> bool {
        self.plan.links.adjacent(self.at, other.at)
    }

    /// The members that it peers with, in the inventory's order.
    pub fn peers(&self) -> impl Iterator<Item = MemberPlan<'a>> + 'a {
        let plan = self.plan;
        plan.links
            .peers(self.at)
            .map(move |at| MemberPlan { plan, at })
    }

    /// Whether the operating system must forward packets here, for other members or for networks behind it.
    #[must_use]
    pub fn needs_forwarding(&self) -> bool {
        self.plan.links.is_forwarder(self.at) || !self.spec().routed.is_empty()
    }

    /// Whether packets between other members pass through it.
    #[must_use]
    pub fn is_forwarder(&self) -> bool {
        self.plan.links.is_forwarder(self.at)
    }

    /// The port on which it listens; none when nobody dials it.
    #[must_use]
    pub fn listen_port(&self) -> Option<u16> {
        let member = self.spec();
        let endpoint = member
            .lan
            .as_ref()
            .map(|lan| &lan.endpoint)
            .or(member.endpoint.as_ref());
        let fallback = self.plan.inventory.listen_port;
        member.listen_port.or_else(|| {
            endpoint.map(|endpoint| {
                if endpoint.port() == 0 {
                    fallback
                } else {
                    endpoint.port()
                }
            })
        })
    }

    /// Its whole configuration.
    #[must_use]
    pub fn config(&self) -> Config {
        let allowed = self.plan.allowed_ips(self.at).into_iter();
        Config {
            interface: self.interface_config(),
            peers: allowed
                .map(|(other, allowed)| self.peer(other, allowed))
                .collect(),
        }
    }

    pub(super) fn interface_config(&self) -> Interface {
        let member = self.spec();
        let derived_mtu = || {
            let peers = self
                .peers()
                .filter_map(|peer| visible_endpoint(member, peer.spec()));
            member
                .path_mtu
                .map(|path| mtu::tunnel(path, Outer::of(peers)))
        };
        Interface {
            private_key: self.private_key().cloned(),
            listen_port: self.listen_port(),
            addresses: self.addresses().to_vec(),
            dns: member.dns.clone(),
            mtu: member.mtu.or_else(derived_mtu),
            table: member.table.clone(),
            ..Interface::default()
        }
    }

    pub(super) fn peer(&self, other: usize, allowed_ips: Vec<Network>) -> Peer {
        let (plan, here) = (self.plan, self.spec());
        let there = &plan.inventory.members[other];
        let mut peer = Peer::new(plan.public[other]);
        peer.preshared_key = plan.preshared(here, there);
        peer.endpoint = visible_endpoint(here, there).cloned();
        peer.allowed_ips = allowed_ips;
        // Only the end that nobody can dial must keep its NAT's mapping open.
        let hidden = visible_endpoint(there, here).is_none();
        peer.keepalive = (hidden && peer.endpoint.is_some() && plan.inventory.keepalive > 0)
            .then_some(plan.inventory.keepalive);
        peer
    }

    /// Its wg-quick file.
    #[must_use]
    pub fn file(&self) -> File {
        self.file_with(quick::wg_quick(&self.config()))
    }

    pub(super) fn file_with(&self, content: Zeroizing<String>) -> File {
        File {
            member: self.name().to_owned(),
            path: format!("{}/{}.conf", self.name(), self.interface()),
            mode: 0o600,
            content,
        }
    }
}
