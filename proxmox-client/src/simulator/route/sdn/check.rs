//! What the server checks of software-defined networks, and its texts.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::super::shared::names;
use super::Table;
use crate::simulator::guest::text_of;

/// A text that dies without a line's end tells where.
pub(super) fn at(text: &str, file: &str, line: u32) -> String {
    format!("{text} at /usr/share/perl5/PVE/{file} line {line}.")
}

/// A refused parameter, told within another text.
pub(super) fn parameter(name: &str, why: &str) -> String {
    format!("400 Parameter verification failed.\n{name}: {why}")
}

pub(super) fn missing(noun: &str, id: &str) -> String {
    match noun {
        "vnet" | "subnet" => format!("sdn {noun} '{id}' does not exist"),
        _ => format!("sdn '{id}' does not exist"),
    }
}

/// Plug-ins that other systems answer.
pub(super) fn is_outside(kind: &str) -> bool {
    ["netbox", "phpipam", "powerdns", "faucet"].contains(&kind)
}

/// The settings that a kind must have, and those that it may have.
fn known(noun: &str, kind: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    Some(match (noun, kind) {
        ("zone", "simple") => (
            &[],
            &[
                "nodes",
                "mtu",
                "dns",
                "reversedns",
                "dnszone",
                "ipam",
                "dhcp",
            ],
        ),
        ("zone", "vlan") => (
            &["bridge"],
            &[
                "nodes",
                "bridge-disable-mac-learning",
                "mtu",
                "dns",
                "reversedns",
                "dnszone",
                "ipam",
            ],
        ),
        ("zone", "qinq") => (
            &["tag", "bridge"],
            &[
                "nodes",
                "bridge-disable-mac-learning",
                "mtu",
                "vlan-protocol",
                "dns",
                "reversedns",
                "dnszone",
                "ipam",
            ],
        ),
        ("zone", "vxlan") => (
            &[],
            &[
                "nodes",
                "peers",
                "vxlan-port",
                "mtu",
                "dns",
                "reversedns",
                "dnszone",
                "ipam",
                "fabric",
            ],
        ),
        ("zone", "evpn") => (
            &["vrf-vxlan", "controller"],
            &[
                "nodes",
                "exitnodes",
                "exitnodes-local-routing",
                "exitnodes-primary",
                "advertise-subnets",
                "disable-arp-nd-suppression",
                "bridge-disable-mac-learning",
                "rt-import",
                "vxlan-port",
                "mtu",
                "mac",
                "dns",
                "reversedns",
                "dnszone",
                "ipam",
            ],
        ),
        ("controller", "evpn") => (&["asn"], &["peers", "fabric"]),
        ("controller", "bgp") => (
            &["node", "asn", "peers"],
            &[
                "bgp-multipath-as-path-relax",
                "ebgp",
                "ebgp-multihop",
                "loopback",
            ],
        ),
        ("controller", "isis") => (
            &["isis-domain", "isis-net", "isis-ifaces", "node"],
            &["loopback"],
        ),
        ("vnet", _) => (&["zone"], &["tag", "alias", "vlanaware", "isolate-ports"]),
        ("subnet", _) => (
            &["vnet"],
            &[
                "gateway",
                "snat",
                "dnszoneprefix",
                "dhcp-range",
                "dhcp-dns-server",
            ],
        ),
        ("ipam", "pve") => (&[], &[]),
        _ => return None,
    })
}

/// Whether settings belong to the kind, and none is missing.
pub(super) fn settings(
    noun: &str,
    kind: &str,
    settings: &Map<String, Value>,
    new: bool,
) -> Result<(), String> {
    let Some((must, may)) = known(noun, kind) else {
        return Err(format!("unknown section type '{kind}'"));
    };
    let has = |name: &str| must.contains(&name) || may.contains(&name);
    if let Some(odd) = settings.keys().find(|name| !has(name)) {
        return Err(format!("unexpected property '{odd}'"));
    }
    match must
        .iter()
        .find(|name| new && !settings.contains_key(**name))
    {
        Some(name) => Err(format!("missing value for required option '{name}'")),
        None => Ok(()),
    }
}

pub(super) fn may_drop(
    noun: &str,
    kind: &str,
    key: &str,
    set: &Map<String, Value>,
) -> Result<(), String> {
    let (must, may) = known(noun, kind).unwrap_or((&[], &[]));
    if must.contains(&key) {
        return Err(format!("unable to delete required option '{key}'"));
    }
    if !may.contains(&key) {
        return Err(format!("no such option '{key}'"));
    }
    if set.contains_key(key) {
        return Err(format!(
            "cannot set and delete property '{key}' at the same time!"
        ));
    }
    Ok(())
}

pub(super) fn is_on(zone: &Map<String, Value>, node: &str) -> bool {
    match zone.get("nodes") {
        Some(nodes) => names(&text_of(nodes)).any(|name| name == node),
        None => true,
    }
}

/// `lab-198.51.100.0-24` is `198.51.100.0/24` in the zone `lab`.
pub(super) fn network_of(id: &str) -> String {
    let below = id.split_once('-').map_or(id, |(_, below)| below);
    below.replacen('-', "/", 1)
}

/// A range of addresses as an object.
pub(super) fn range(text: &Value) -> Map<String, Value> {
    text_of(text)
        .split(',')
        .filter_map(|part| part.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect()
}

/// Whether an object fits the others.
pub(super) fn object(
    noun: &str,
    id: &str,
    settings: &Map<String, Value>,
    table: &dyn Fn(&str) -> Table,
) -> Result<(), String> {
    match noun {
        "zone" => zone(id, settings, table),
        "vnet" => vnet(id, settings, table),
        "subnet" => subnet(id, settings, table),
        "controller" => controller(id, settings, table),
        _ => Ok(()),
    }
}

fn text(settings: &Map<String, Value>, key: &str) -> Option<String> {
    settings.get(key).map(text_of)
}

fn zone(
    id: &str,
    settings: &Map<String, Value>,
    table: &dyn Fn(&str) -> Table,
) -> Result<(), String> {
    for key in ["dns", "reversedns"] {
        if let Some(name) = text(settings, key).filter(|name| !table("dns").contains_key(name)) {
            return Err(parameter(key, &format!("{name} don't exist")));
        }
    }
    if settings.contains_key("dnszone") && !settings.contains_key("dns") {
        return Err(parameter("dnszone", "missing dns server"));
    }
    if let Some(ipam) = text(settings, "ipam").filter(|name| !table("ipams").contains_key(name)) {
        return Err(parameter("ipam", &format!("{ipam} not existing")));
    }
    let old = table("zones").get(id).and_then(|old| text(old, "ipam"));
    let has_subnets = table("subnets")
        .keys()
        .any(|subnet| subnet.split('-').next() == Some(id));
    if has_subnets && old != text(settings, "ipam") {
        let why = "can't change ipam if a subnet is already defined in this zone";
        return Err(parameter("ipam", why));
    }
    match text(settings, "type").as_deref() {
        Some("vxlan") if settings.contains_key("peers") == settings.contains_key("fabric") => {
            let why = "must have exactly one of peers / fabric defined";
            Err(format!("{}\nfabric: {why}", parameter("peers", why)))
        }
        Some("evpn") => evpn_zone(id, settings, table),
        _ => Ok(()),
    }
}

fn evpn_zone(
    id: &str,
    settings: &Map<String, Value>,
    table: &dyn Fn(&str) -> Table,
) -> Result<(), String> {
    let file = "Network/SDN/Zones/EvpnPlugin.pm";
    let name = text(settings, "controller").unwrap_or_default();
    match table("controllers").get(&name) {
        None => return Err(at(&format!("controller {name} don't exist"), file, 354)),
        Some(controller) if controller.get("type") != Some(&"evpn".into()) => {
            let why = format!("{name} is not a evpn controller type");
            return Err(at(&why, file, 357));
        }
        Some(_) => {}
    }
    let number = text(settings, "vrf-vxlan");
    let zones = table("zones");
    let same = zones
        .iter()
        .find(|(other, zone)| *other != id && text(zone, "vrf-vxlan") == number);
    match (same, number) {
        (Some((other, _)), Some(number)) => {
            let why = format!("vrf-vxlan {number} is already declared in {other}");
            Err(at(&why, file, 366))
        }
        _ => Ok(()),
    }
}

fn vnet(
    id: &str,
    settings: &Map<String, Value>,
    table: &dyn Fn(&str) -> Table,
) -> Result<(), String> {
    let zones = table("zones");
    let zone = text(settings, "zone").unwrap_or_default();
    let kind_of = |zone: &str| zones.get(zone).and_then(|zone| text(zone, "type"));
    let Some(kind) = kind_of(&zone) else {
        // The plug-in is looked up by the kind of a zone that is not there.
        return Err("unknown section type ''".to_owned());
    };
    let tag = settings.get("tag").and_then(Value::as_u64);
    let vnets = table("vnets");
    let tag_of = |other: &Map<String, Value>| other.get("tag").and_then(Value::as_u64);
    let mut others = vnets.iter().filter(|(other, _)| *other != id);
    let in_zone = |other: &Map<String, Value>| text(other, "zone").as_deref() == Some(&zone);
    let wrong = |why: String| Err(parameter("tag", &why));
    match (kind.as_str(), tag) {
        ("simple", Some(_)) => return wrong("vlan tag is not allowed on simple zone".to_owned()),
        ("vlan", None) => return wrong("missing vlan tag".to_owned()),
        ("vlan", Some(tag)) if tag > 4096 => {
            return wrong("vlan tag max value is 4096".to_owned());
        }
        ("vlan", Some(tag)) => {
            let same = others.find(|(_, other)| in_zone(other) && tag_of(other) == Some(tag));
            if let Some((other, _)) = same {
                return wrong(format!("tag {tag} already exist in vnet {other}"));
            }
        }
        ("qinq", Some(tag)) if tag > 4096 => {
            return wrong("VLAN tag maximal value is 4096".to_owned());
        }
        ("qinq", tag) => {
            if let Some((other, _)) =
                others.find(|(_, other)| in_zone(other) && tag_of(other) == tag)
            {
                return wrong(match tag {
                    Some(tag) => format!("tag {tag} already exist in zone {zone} vnet {other}"),
                    None => format!("tag-less vnet already exists in zone {zone} vnet {other}"),
                });
            }
        }
        ("vxlan" | "evpn", None) => return wrong("missing vxlan tag".to_owned()),
        ("vxlan" | "evpn", Some(tag)) => {
            if kind == "evpn" && settings.get("vlanaware") == Some(&1.into()) {
                let why = "vlan-aware option can't be enabled with evpn";
                return Err(parameter("vlan-aware", why));
            }
            let same = others.find_map(|(other, vnet)| {
                let zone = text(vnet, "zone")?;
                let kind = kind_of(&zone)?;
                let tunnels = kind == "vxlan" || kind == "evpn";
                (tunnels && tag_of(vnet) == Some(tag)).then_some((other, zone))
            });
            if let Some((other, zone)) = same {
                return wrong(format!(
                    "vxlan tag {tag} already exist in vnet {other} in zone {zone} "
                ));
            }
        }
        _ => {}
    }
    if settings.get("vlanaware") == Some(&1.into()) && has_subnets(id, table) {
        let why = "vlanaware vnet is not compatible with subnets";
        return Err(parameter("vlanaware", why));
    }
    Ok(())
}

fn has_subnets(vnet: &str, table: &dyn Fn(&str) -> Table) -> bool {
    table("subnets")
        .values()
        .any(|subnet| subnet.get("vnet") == Some(&vnet.into()))
}

fn subnet(
    id: &str,
    settings: &Map<String, Value>,
    table: &dyn Fn(&str) -> Table,
) -> Result<(), String> {
    let vnet = text(settings, "vnet").unwrap_or_default();
    let vlan_aware = table("vnets")
        .get(&vnet)
        .is_some_and(|vnet| vnet.get("vlanaware") == Some(&1.into()));
    if vlan_aware {
        return Err(parameter(
            "vnet",
            "you can't add a subnet on a vlanaware vnet",
        ));
    }
    let cidr = network_of(id);
    let Some(network) = Network::parse(&cidr) else {
        return Err(parameter(
            "subnet",
            "value does not look like a valid CIDR network",
        ));
    };
    let inside = |text: &str| text.parse().is_ok_and(|address| network.holds(address));
    if let Some(gateway) = text(settings, "gateway") {
        // To a single address the gateway may be anywhere.
        let to_one = network.prefix == 32 && gateway.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4());
        if !inside(&gateway) && !to_one {
            return Err(parameter(
                "gateway",
                &format!("{gateway} is not in subnet {cidr}"),
            ));
        }
    }
    ranges(settings, &cidr, &inside)
}

fn ranges(
    settings: &Map<String, Value>,
    cidr: &str,
    inside: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    let wrong = |why: String| Err(parameter("dhcp-range", &why));
    let mut seen: Vec<(IpAddr, IpAddr)> = Vec::new();
    let all = settings.get("dhcp-range").and_then(Value::as_array);
    for given in all.into_iter().flatten() {
        let given = range(given);
        let end = |key: &str| text(&given, key).unwrap_or_default();
        let (first, last) = (end("start-address"), end("end-address"));
        let Ok(from) = first.parse::<IpAddr>() else {
            return wrong(format!("start-address is not a valid IP {first}"));
        };
        let Ok(to) = last.parse::<IpAddr>() else {
            return wrong(format!("end-address is not a valid IP {last}"));
        };
        if from > to {
            return wrong(format!(
                "start-address {first} must be smaller than end-address {last}"
            ));
        }
        if !inside(&first) {
            return wrong(format!("start-address {first} is not in subnet {cidr}"));
        }
        if !inside(&last) {
            return wrong(format!("end-address {last} is not in subnet {cidr}"));
        }
        if seen.iter().any(|(start, end)| from <= *end && *start <= to) {
            return wrong("dhcp ranges must not overlap".to_owned());
        }
        seen.push((from, to));
    }
    Ok(())
}

/// A network with its prefix.
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u32 = prefix.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= most).then_some(Self { address, prefix })
    }

    fn holds(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let differing = bits(self.address) ^ bits(address);
        self.address.is_ipv4() == address.is_ipv4()
            && differing.checked_shr(128 - self.prefix).unwrap_or(0) == 0
    }
}

fn controller(
    id: &str,
    settings: &Map<String, Value>,
    table: &dyn Fn(&str) -> Table,
) -> Result<(), String> {
    if settings.get("type") != Some(&"evpn".into()) {
        return Ok(());
    }
    let file = "Network/SDN/Controllers/EvpnPlugin.pm";
    let other = table("controllers")
        .iter()
        .any(|(other, entry)| other != id && entry.get("type") == Some(&"evpn".into()));
    if other {
        return Err(at(
            "only 1 global evpn controller can be defined",
            file,
            491,
        ));
    }
    if settings.contains_key("peers") == settings.contains_key("fabric") {
        return Err(at(
            "must have exactly one of peers / fabric defined",
            file,
            496,
        ));
    }
    Ok(())
}

/// Whether an object may go.
pub(super) fn removal(noun: &str, id: &str, table: &dyn Fn(&str) -> Table) -> Result<(), String> {
    let user = |collection: &str, key: &str| {
        let all = table(collection);
        let mut users = all
            .into_iter()
            .filter(|(_, entry)| text(entry, key).as_deref() == Some(id));
        users.next().map(|(name, _)| name)
    };
    match noun {
        "zone" => match user("vnets", "zone") {
            Some(vnet) => Err(at(
                &format!("zone {id} is used by vnet {vnet}"),
                "Network/SDN/Zones/Plugin.pm",
                149,
            )),
            None => Ok(()),
        },
        "controller" => match user("zones", "controller") {
            Some(zone) => Err(at(
                &format!("controller {id} is used by {zone}"),
                "Network/SDN/Controllers/EvpnPlugin.pm",
                475,
            )),
            None => Ok(()),
        },
        "vnet" if has_subnets(id, table) => {
            Err(parameter("vnet", "Can't delete vnet if subnets exists"))
        }
        _ => Ok(()),
    }
}
