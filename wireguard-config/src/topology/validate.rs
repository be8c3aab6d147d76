//! What makes an inventory contradict itself.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::error::{Place, Problem, Severity};
use crate::key::PublicKey;

use super::inventory::{Inventory, Member, Role, Topology};
use super::links::{Links, can_handshake};
use super::plan::member_problem;

/// How many pairs without a path are named one by one.
const NAMED_PAIRS: usize = 20;

struct Findings(Vec<Problem>);

impl Findings {
    fn error(
        &mut self,
        rule: &'static str,
        member: &Member,
        field: &'static str,
        message: String,
        hint: &str,
    ) {
        self.0.push(member_problem(
            Severity::Error,
            rule,
            member,
            field,
            message,
            hint,
        ));
    }

    fn whole(&mut self, rule: &'static str, field: &'static str, message: String, hint: &str) {
        self.0.push(Problem {
            severity: Severity::Error,
            rule,
            place: Place::Inventory { field },
            message,
            hint: Some(hint.to_owned()),
        });
    }
}

pub(super) fn inventory(inventory: &Inventory) -> Vec<Problem> {
    let mut found = Findings(Vec::new());
    whole(inventory, &mut found);
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut addresses: HashMap<IpAddr, &Member> = HashMap::new();
    for (at, member) in inventory.members.iter().enumerate() {
        if !is_member_name(&member.name) {
            found.error("member-name", member, "name", "the name is not usable in file names".to_owned(),
                "1 to 63 letters, digits, dots, hyphens and underscores; begins with a letter or digit");
        }
        if names.insert(&member.name, at).is_some() {
            found.error(
                "duplicate-member",
                member,
                "name",
                "two members have this name".to_owned(),
                "names are unique",
            );
        }
        if let Some(interface) = &member.interface
            && !is_interface_name(interface)
        {
            found.error(
                "interface-name",
                member,
                "interface",
                format!("{interface:?} is no interface name"),
                INTERFACE_HINT,
            );
        }
        fixed_addresses(inventory, member, &mut addresses, &mut found);
        endpoints(inventory, member, &mut found);
    }
    routed(inventory, &mut found);
    references(inventory, &names, &mut found);
    found.0
}

const INTERFACE_HINT: &str = "1 to 15 characters of a-z A-Z 0-9 _ = + . -";

fn whole(inventory: &Inventory, found: &mut Findings) {
    if !is_interface_name(&inventory.interface) {
        found.whole(
            "interface-name",
            "interface",
            format!("{:?} is no interface name", inventory.interface),
            INTERFACE_HINT,
        );
    }
    if inventory.networks.is_empty() {
        found.whole(
            "no-network",
            "networks",
            "there is no tunnel network".to_owned(),
            "give one, such as 10.77.0.0/24",
        );
    }
    for (i, network) in inventory.networks.iter().enumerate() {
        if inventory.networks[..i]
            .iter()
            .any(|other| other.is_ipv4() == network.is_ipv4())
        {
            found.whole(
                "network-family",
                "networks",
                format!("{network} is a second network of its family"),
                "one for IPv4, one for IPv6",
            );
        }
    }
    let centre = |m: &Member| match inventory.topology {
        Topology::HubAndSpoke => m.role == Role::Hub,
        Topology::SiteToSite => !m.routed.is_empty() || matches!(m.role, Role::Hub | Role::Relay),
        _ => true,
    };
    if !inventory.members.is_empty() && !inventory.members.iter().any(centre) {
        found.whole(
            "no-centre",
            "members",
            "the shape has nobody in its centre".to_owned(),
            "hub and spoke needs a hub, site to site a member with routed networks",
        );
    }
}

fn fixed_addresses<'a>(
    inventory: &Inventory,
    member: &'a Member,
    addresses: &mut HashMap<IpAddr, &'a Member>,
    found: &mut Findings,
) {
    for address in &member.addresses {
        if let Some(other) = addresses.insert(*address, member) {
            found.error(
                "duplicate-address",
                member,
                "addresses",
                format!("{address} is also the address of {}", other.name),
                "each member has its own",
            );
        }
        for network in inventory
            .networks
            .iter()
            .filter(|network| network.contains(*address))
        {
            if network.prefix() < 127 && !network.is_ipv4() && network.address() == *address {
                found.error(
                    "anycast-address",
                    member,
                    "addresses",
                    format!("{address} is the routers' anycast address of {network}"),
                    "take the next one",
                );
            }
            if network.is_ipv4() && network.prefix() < 31 {
                let broadcast = crate::net::from_bits(network.last_bits(), *address);
                if *address == network.address() || *address == broadcast {
                    found.error(
                        "network-address",
                        member,
                        "addresses",
                        format!("{address} is the network or broadcast address of {network}"),
                        "take one in between",
                    );
                }
            }
        }
    }
}

fn endpoints(inventory: &Inventory, member: &Member, found: &mut Findings) {
    let Some(address) = member.endpoint.as_ref().and_then(|e| e.address()) else {
        return;
    };
    for network in inventory.networks.iter().filter(|n| n.contains(address)) {
        found.error(
            "endpoint-in-tunnel",
            member,
            "endpoint",
            format!("the endpoint {address} lies inside the tunnel network {network}"),
            "the tunnel's own packets would be sent into the tunnel; use the address outside",
        );
    }
    for other in &inventory.members {
        for network in other.routed.iter().filter(|n| n.contains(address)) {
            found.error(
                "endpoint-in-routed",
                member,
                "endpoint",
                format!(
                    "the endpoint {address} lies inside {network}, which is routed through {}",
                    other.name
                ),
                "the tunnel's own packets would be sent into the tunnel",
            );
        }
    }
}

fn routed(inventory: &Inventory, found: &mut Findings) {
    // Sorted by first address, an overlap is between neighbours or with the enclosing network before.
    let mut all: Vec<_> = inventory
        .members
        .iter()
        .flat_map(|member| member.routed.iter().map(move |network| (*network, member)))
        .collect();
    all.sort_by_key(|(network, member)| {
        (
            network.is_ipv4(),
            network.first_bits(),
            network.prefix(),
            member.name.clone(),
        )
    });
    let mut widest: Option<(crate::net::Network, &Member)> = None;
    for (network, member) in all {
        match widest {
            Some((outer, owner)) if outer.overlaps(&network) => {
                // A narrower network elsewhere is legal routing; the same one twice, or two within one member, is not.
                if outer == network {
                    found.error("routed-twice", member, "routed", format!("{network} is also routed through {}", owner.name),
                        "WireGuard gives it silently to one of them; renumber a site or use narrower networks");
                }
            }
            _ => widest = Some((network, member)),
        }
        for tunnel in inventory
            .networks
            .iter()
            .filter(|tunnel| tunnel.overlaps(&network))
        {
            found.error(
                "routed-tunnel",
                member,
                "routed",
                format!("{network} overlaps the tunnel network {tunnel}"),
                "renumber one of them",
            );
        }
        if network.is_default() {
            found.error(
                "routed-default",
                member,
                "routed",
                "a default route cannot be a routed network".to_owned(),
                "set full_tunnel on the members that want it",
            );
        }
    }
}

fn references(inventory: &Inventory, names: &HashMap<&str, usize>, found: &mut Findings) {
    for member in &inventory.members {
        let Some(via) = &member.via else { continue };
        let target = names.get(via.as_str()).map(|&at| &inventory.members[at]);
        match target {
            None => found.error(
                "unknown-member",
                member,
                "via",
                format!("there is no member {via:?}"),
                "name a hub, relay or gateway",
            ),
            Some(target) if target.name == member.name => {
                found.error(
                    "via-itself",
                    member,
                    "via",
                    "it cannot be its own forwarder".to_owned(),
                    "name another member",
                );
            }
            Some(_) => {}
        }
    }
    for (one, other) in &inventory.links {
        for name in [one, other] {
            if !names.contains_key(name.as_str()) {
                found.whole(
                    "unknown-member",
                    "links",
                    format!("there is no member {name:?}"),
                    "links name two members",
                );
            }
        }
        if one == other {
            found.whole(
                "self-link",
                "links",
                format!("{one:?} is linked with itself"),
                "links name two members",
            );
        }
    }
}

pub(super) fn keys(inventory: &Inventory, public: &[PublicKey]) -> Vec<Problem> {
    let mut found = Findings(Vec::new());
    let mut seen: HashMap<&PublicKey, &Member> = HashMap::new();
    for (member, key) in inventory.members.iter().zip(public) {
        if let Some(other) = seen.insert(key, member) {
            found.error(
                "duplicate-key",
                member,
                "key",
                format!("it has the same key as {}", other.name),
                "make a key for each member",
            );
        }
    }
    found.0
}

/// Pairs without a path, found from the links; [`Reachability`](super::Reachability) follows packets instead.
pub(super) fn paths(inventory: &Inventory, links: &Links) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut missing = 0;
    let severity = if inventory.allow_unreachable {
        Severity::Warning
    } else {
        Severity::Error
    };
    for (i, one) in inventory.members.iter().enumerate() {
        for (j, other) in inventory.members.iter().enumerate().skip(i + 1) {
            if links.adjacent(i, j) && !can_handshake(one, other) {
                found.push(member_problem(
                    Severity::Error,
                    "no-endpoint",
                    one,
                    "endpoint",
                    format!(
                        "it peers with {}, but neither has an endpoint for the other",
                        other.name
                    ),
                    "give one of the two an endpoint",
                ));
            }
            if links.next_hop(i, j).is_some() {
                continue;
            }
            missing += 1;
            if missing <= NAMED_PAIRS {
                found.push(member_problem(
                    severity,
                    "no-path",
                    one,
                    "endpoint",
                    format!("there is no path to {}", other.name),
                    "give one of the two an endpoint, or add a hub or relay that both can reach",
                ));
            }
        }
    }
    if missing > NAMED_PAIRS {
        found.push(Problem {
            severity,
            rule: "no-path",
            place: Place::Inventory { field: "members" },
            message: format!("{} more pairs have no path", missing - NAMED_PAIRS),
            hint: None,
        });
    }
    found
}

fn is_member_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
}

/// What wg-quick accepts as a file name and the kernel as an interface name.
pub(crate) fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_=+.-".contains(&c))
}
