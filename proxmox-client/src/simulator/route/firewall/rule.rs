//! Whether a rule makes sense where it stands, in the server's words.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::simulator::answer::Reply;
use crate::simulator::guest::text_of;

/// Where a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Cluster,
    Host,
    Guest,
    Vnet,
    Group,
}

/// Names that rules may use.
pub(super) struct Names {
    pub(super) aliases: BTreeSet<String>,
    pub(super) ip_sets: BTreeSet<String>,
}

impl Place {
    pub(super) fn of(scope: &str) -> Self {
        match scope.split_once('/') {
            Some(("node", _)) => Self::Host,
            Some(_) => Self::Vnet,
            None if scope == "cluster" => Self::Cluster,
            None => Self::Guest,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Host => "host",
            Self::Guest => "vm",
            Self::Vnet => "vnet",
            Self::Group => "group",
        }
    }

    fn directions(self) -> &'static [&'static str] {
        match self {
            Self::Cluster | Self::Host => &["in", "out", "forward", "group"],
            Self::Guest => &["in", "out", "group"],
            Self::Vnet => &["forward", "group"],
            Self::Group => &["in", "out", "forward"],
        }
    }
}

fn text(rule: &Map<String, Value>, key: &str) -> Option<String> {
    rule.get(key).map(text_of).filter(|text| !text.is_empty())
}

/// The version of the addresses in a rule, if it has any.
pub(super) fn ip_version(rule: &Map<String, Value>) -> Option<u32> {
    let protocol = text(rule, "proto").unwrap_or_default();
    match protocol.as_str() {
        "icmp" => return Some(4),
        "icmpv6" | "ipv6-icmp" => return Some(6),
        _ => {}
    }
    ["source", "dest"].iter().find_map(|key| {
        let text = text(rule, key)?;
        let first = text.split([',', '-', '/']).next()?;
        let address: IpAddr = first.parse().ok()?;
        Some(if address.is_ipv4() { 4 } else { 6 })
    })
}

pub(super) fn verify(rule: &Map<String, Value>, place: Place, names: &Names) -> Result<(), Reply> {
    let wrong = |name: &str, why: String| Err(Reply::parameter(name, why));
    let direction = text(rule, "type").unwrap_or_default();
    let action = text(rule, "action").unwrap_or_default();
    if !place.directions().contains(&direction.as_str()) {
        let place = place.name();
        return wrong(
            "type",
            format!("invalid rule type '{direction}' for rule_env '{place}'"),
        );
    }
    if direction != "group" {
        if direction == "forward" && action == "REJECT" {
            return wrong(
                "action",
                "cannot define REJECT rules on forward chain".to_owned(),
            );
        }
        if !["ACCEPT", "DROP", "REJECT"].contains(&action.as_str()) {
            return wrong("action", format!("unknown action '{action}'"));
        }
    }
    if let Some(card) = text(rule, "iface") {
        if matches!(place, Place::Group | Place::Vnet) {
            return wrong(
                "type",
                "parameter -i not allowed for this rule type".to_owned(),
            );
        }
        let number = card.strip_prefix("net").unwrap_or_default();
        let is_card = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        if place == Place::Guest && !is_card {
            let why = "value does not match the regex pattern 'net\\d+'";
            return wrong("iface", why.to_owned());
        }
    }
    let protocol = text(rule, "proto");
    for key in ["dport", "sport"] {
        if rule.contains_key(key) && protocol.is_none() {
            let why = format!("missing property - '{key}' requires this property");
            return wrong("proto", why);
        }
    }
    let is_icmp = matches!(protocol.as_deref(), Some("icmp" | "icmpv6" | "ipv6-icmp"));
    if rule.contains_key("icmp-type") && !is_icmp {
        let why = "missing property - 'icmp-type' requires this property";
        return wrong("proto", why.to_owned());
    }
    for key in ["source", "dest"] {
        if let Some(value) = text(rule, key) {
            place_of(&value, names).or_else(|why| wrong(key, why))?;
        }
    }
    Ok(())
}

/// Whether a source or destination is there.
fn place_of(value: &str, names: &Names) -> Result<(), String> {
    let unscoped = |text: &str| {
        let scopes = ["guest/", "dc/", "sdn/"];
        let name = scopes.iter().find_map(|scope| text.strip_prefix(scope));
        name.unwrap_or(text).to_owned()
    };
    if let Some(set) = value.strip_prefix('+') {
        let name = unscoped(set);
        return match names.ip_sets.contains(&name) {
            true => Ok(()),
            false => Err(format!("no such ipset '{name}'")),
        };
    }
    let name = unscoped(value);
    let is_alias = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() > 1
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if is_alias && !names.aliases.contains(&name.to_ascii_lowercase()) {
        return Err(format!("no such alias '{value}'"));
    }
    Ok(())
}
