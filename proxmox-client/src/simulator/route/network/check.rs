//! What a node checks of its interfaces, in its words.

use serde_json::{Map, Value, json};

use super::{Interfaces, LISTS, NUMBERS};
use crate::simulator::answer::Reply;
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::route::shared::names;

/// Parameters that are no settings.
const NOT_SETTINGS: [&str; 3] = ["iface", "node", "delete"];

/// Settings that name ports.
const PORTS: [&str; 4] = ["bridge_ports", "ovs_ports", "slaves", "ovs_bonds"];

pub(super) fn unknown() -> Reply {
    Reply::parameter("iface", "interface does not exist")
}

fn text(entry: &Map<String, Value>, key: &str) -> Option<String> {
    entry.get(key).map(text_of).filter(|text| !text.is_empty())
}

/// The settings of a call, with addresses apart from their prefixes.
pub(super) fn settings(call: &Call) -> Result<Map<String, Value>, Reply> {
    let mut out = Map::new();
    for (key, value) in &call.params {
        if NOT_SETTINGS.contains(&key.as_str()) {
            continue;
        }
        let text = text_of(value);
        let value = match text.parse::<u64>() {
            Ok(number) if NUMBERS.contains(&key.as_str()) => number.into(),
            _ if LISTS.contains(&key.as_str()) => {
                let all: Vec<&str> = names(&text).collect();
                all.join(" ").into()
            }
            _ => text.into(),
        };
        out.insert(key.clone(), value);
    }
    for suffix in ["", "6"] {
        let Some(cidr) = out.shift_remove(&format!("cidr{suffix}")) else {
            continue;
        };
        for part in ["address", "netmask"] {
            let name = format!("{part}{suffix}");
            if out.contains_key(&name) {
                return Err(Reply::parameter(
                    &name,
                    format!("{name} conflicts with cidr{suffix}"),
                ));
            }
        }
        let cidr = text_of(&cidr);
        let (address, prefix) = cidr.split_once('/').unwrap_or((&cidr, "32"));
        out.insert(format!("address{suffix}"), address.into());
        out.insert(format!("netmask{suffix}"), prefix.into());
    }
    if text(&out, "type").is_some_and(|kind| kind.starts_with("OVS")) {
        return Err(Reply::failed(
            "Open VSwitch is not installed (need package 'openvswitch-switch')",
        ));
    }
    Ok(out)
}

/// How an interface gets its addresses follows from whether the call gives any.
pub(super) fn addressed(entry: &mut Map<String, Value>) {
    let mut families = Vec::new();
    for (family, suffix) in [("inet", ""), ("inet6", "6")] {
        let has = entry.contains_key(&format!("address{suffix}"));
        let method = if has { "static" } else { "manual" };
        entry.insert(format!("method{suffix}"), method.into());
        if has {
            families.push(family);
        }
    }
    if families.is_empty() {
        families.push("inet");
    }
    entry.insert("families".to_owned(), json!(families));
}

fn ports(entry: &Map<String, Value>) -> Vec<String> {
    let lists = PORTS.iter().filter_map(|key| text(entry, key));
    lists
        .flat_map(|list| list.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Whether new settings go with the other interfaces.
pub(super) fn fits(all: &Interfaces, name: &str, new: &Map<String, Value>) -> Result<(), Reply> {
    let others = || all.iter().filter(|(other, _)| *other != name);
    for (key, what) in [
        ("gateway", "Default gateway"),
        ("gateway6", "Default ipv6 gateway"),
    ] {
        if new.contains_key(key)
            && let Some((other, _)) = others().find(|(_, entry)| entry.contains_key(key))
        {
            let why = format!("{what} already exists on interface '{other}'.");
            return Err(Reply::parameter(key, why));
        }
    }
    for port in ports(new) {
        if let Some((other, _)) = others().find(|(_, entry)| ports(entry).contains(&port)) {
            let key = PORTS.iter().find(|key| text(new, key).is_some());
            let why = format!("{port} is already used on interface '{other}'.");
            return Err(Reply::parameter(key.copied().unwrap_or("slaves"), why));
        }
    }
    Ok(())
}

/// Whether the whole file makes sense when it is written.
pub(super) fn whole(all: &Interfaces) -> Result<(), Reply> {
    for (name, entry) in all {
        match text(entry, "type").as_deref() {
            Some("bond") => bond(all, name, entry)?,
            Some("vlan") => vlan(all, name, entry)?,
            Some("bridge") => bridge(all, name, entry)?,
            _ => {}
        }
    }
    Ok(())
}

fn kind_of(all: &Interfaces, name: &str) -> Option<String> {
    text(all.get(name)?, "type")
}

fn packet_size(all: &Interfaces, parent: &str, child: &str) -> Result<(), Reply> {
    let of = |name: &str| {
        all.get(name)
            .and_then(|entry| text(entry, "mtu")?.parse::<u64>().ok())
    };
    let Some(inner) = of(child) else {
        return Ok(());
    };
    let bond = kind_of(all, parent).as_deref() == Some("bond");
    let outer = of(parent).unwrap_or(if bond { inner } else { 1500 });
    if outer >= inner {
        return Ok(());
    }
    Err(Reply::failed(format!(
        "interface '{parent}' - mtu {outer} is lower than '{child}' - mtu {inner}"
    )))
}

fn bond(all: &Interfaces, name: &str, entry: &Map<String, Value>) -> Result<(), Reply> {
    let slaves = text(entry, "slaves").unwrap_or_default();
    for slave in names(&slaves) {
        match kind_of(all, slave).as_deref() {
            None => {
                let why = format!("bond '{name}' - unable to find slave '{slave}'");
                return Err(Reply::failed(why));
            }
            Some("eth" | "bond") => packet_size(all, name, slave)?,
            Some(kind) => {
                return Err(Reply::failed(format!(
                    "bond '{name}' - wrong interface type on slave '{slave}' ('{kind}' != 'eth or bond')"
                )));
            }
        }
    }
    match text(entry, "bond-primary") {
        Some(primary) if !names(&slaves).any(|slave| slave == primary) => {
            Err(Reply::failed(format!(
                "bond '{name}' - bond-primary interface is not a slave at /usr/share/perl5/PVE/Network/Interfaces.pm line 895."
            )))
        }
        _ => Ok(()),
    }
}

fn vlan(all: &Interfaces, name: &str, entry: &Map<String, Value>) -> Result<(), Reply> {
    let missing = |what: &str| {
        let why = format!(
            "missing {what} option at /usr/share/perl5/PVE/Network/Interfaces.pm line 940."
        );
        Reply::failed(why)
    };
    let of_name = name
        .rsplit_once('.')
        .and_then(|(parent, tag)| Some((parent.to_owned(), tag.parse::<u64>().ok()?)));
    let (parent, tag) = match of_name {
        Some(known) => known,
        None => {
            let parent =
                text(entry, "vlan-raw-device").ok_or_else(|| missing("vlan-raw-device"))?;
            let tag = name.strip_prefix("vlan").and_then(|tag| tag.parse().ok());
            let tag = tag.or_else(|| text(entry, "vlan-id")?.parse().ok());
            (parent, tag.ok_or_else(|| missing("vlan-id"))?)
        }
    };
    if tag > 4094 {
        let why = format!("vlan '{name}' - vlan-id {tag} should be <= 4094");
        return Err(Reply::failed(why));
    }
    match kind_of(all, &parent).as_deref() {
        None => Err(Reply::failed(format!(
            "vlan '{name}' - unable to find parent '{parent}'"
        ))),
        Some("eth" | "bridge" | "bond" | "vlan") => packet_size(all, &parent, name),
        Some(kind) => Err(Reply::failed(format!(
            "vlan '{name}' - wrong interface type on parent '{parent}' ('{kind}' != 'eth|bond|bridge|vlan' )"
        ))),
    }
}

fn bridge(all: &Interfaces, name: &str, entry: &Map<String, Value>) -> Result<(), Reply> {
    for port in names(&text(entry, "bridge_ports").unwrap_or_default()) {
        let of_vlan = port
            .rsplit_once('.')
            .is_some_and(|(_, tag)| tag.parse::<u32>().is_ok());
        let Some(inner) = all.get(port) else {
            // A VLAN of a card may be a port without being configured.
            if of_vlan {
                continue;
            }
            let why = format!("bridge '{name}' - unable to find bridge port '{port}'");
            return Err(Reply::failed(why));
        };
        if ["method", "method6"]
            .iter()
            .any(|key| text(inner, key).as_deref() == Some("static"))
        {
            return Err(Reply::failed(format!(
                "iface {port} - ip address can't be set on interface if bridged in {name}"
            )));
        }
        packet_size(all, port, name)?;
    }
    Ok(())
}
