//! Interfaces of a node: what is in effect, what waits, and the diff between.

mod check;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::not_simulated;
use super::shared::{names, require};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::world::{NodeState, World};

/// Interfaces by their names.
pub(super) type Interfaces = BTreeMap<String, Map<String, Value>>;

/// What a node knows of its networks.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct NodeNetwork {
    /// What is in effect; none until the first change was applied.
    current: Option<Interfaces>,
    /// What waits.
    waiting: Option<Interfaces>,
    /// Name servers.
    dns: BTreeMap<String, String>,
    hosts: Option<String>,
    time_zone: Option<String>,
}

/// Settings that are numbers.
const NUMBERS: [&str; 5] = [
    "autostart",
    "bridge_vlan_aware",
    "mtu",
    "ovs_tag",
    "vlan-id",
];

/// Lists that are kept with blanks between.
const LISTS: [&str; 5] = [
    "bridge_ports",
    "slaves",
    "bridge_vids",
    "ovs_ports",
    "ovs_bonds",
];

/// Interfaces that a node has when it is put into a world: its cards, and bridges of which the first has its address.
fn first(node: &NodeState) -> Interfaces {
    let cards = node.cards.iter().map(|card| {
        let card_entry =
            json!({ "type": "eth", "exists": 1, "method": "manual", "families": ["inet"] });
        (card.clone(), card_entry)
    });
    let bridges = node
        .bridges
        .iter()
        .enumerate()
        .map(|(index, (bridge, vlan_aware))| {
            let mut entry = json!({
                "type": "bridge", "autostart": 1, "bridge_ports": "", "families": ["inet"],
                "method": if index == 0 { "static" } else { "manual" },
            });
            if index == 0 {
                entry["address"] = node.address.as_str().into();
                entry["netmask"] = "24".into();
                entry["bridge_ports"] = node.cards.first().map_or("", String::as_str).into();
            }
            if *vlan_aware {
                entry["bridge_vlan_aware"] = 1.into();
                entry["bridge_vids"] = "2-4094".into();
            }
            (bridge.clone(), entry)
        });
    cards
        .chain(bridges)
        .filter_map(|(name, entry)| match entry {
            Value::Object(entry) => Some((name, entry)),
            _ => None,
        })
        .collect()
}

impl NodeState {
    fn current(&self) -> Interfaces {
        let known = self.network.current.clone();
        known.unwrap_or_else(|| first(self))
    }

    fn configured(&self) -> Interfaces {
        let waiting = self.network.waiting.clone();
        waiting.unwrap_or_else(|| self.current())
    }
}

/// An interface as it is read back from the file.
fn shown(name: &str, entry: &Map<String, Value>) -> Map<String, Value> {
    let mut out = entry.clone();
    let kind = out.get("type").map(text_of).unwrap_or_default();
    let mut default = |key: &str, value: Value| {
        out.entry(key).or_insert(value);
    };
    default("method6", "manual".into());
    match kind.as_str() {
        "bridge" => {
            default("bridge_ports", "".into());
            default("bridge_stp", "off".into());
            default("bridge_fd", "0".into());
            if entry.contains_key("bridge_vlan_aware") {
                default("bridge_vids", "2-4094".into());
            }
        }
        "bond" => {
            default("bond_mode", "balance-rr".into());
            default("bond_miimon", "100".into());
        }
        "vlan" => {
            if let Some((device, tag)) = name.rsplit_once('.') {
                default("vlan-raw-device", device.into());
                default("vlan-id", tag.into());
            } else if let Some(tag) = name.strip_prefix("vlan") {
                default("vlan-id", tag.into());
            }
        }
        _ => {}
    }
    for suffix in ["", "6"] {
        let part = |key: &str| out.get(&format!("{key}{suffix}")).map(text_of);
        if let (Some(address), Some(prefix)) = (part("address"), part("netmask")) {
            out.insert(
                format!("cidr{suffix}"),
                format!("{address}/{prefix}").into(),
            );
        }
    }
    out
}

impl World {
    pub(super) fn node_network(
        &mut self,
        method: &str,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        match (method, rest) {
            ("GET", []) => self.networks(node, call),
            ("DELETE", []) => {
                self.node_mut(node)?.network.waiting = None;
                Ok(Reply::data(()))
            }
            ("PUT", []) => Ok(self.start_reload(node, caller)),
            ("GET", [name]) => {
                let all = self.node_or(node)?.configured();
                let names = text::in_order(&all);
                let entry = all.get(*name).ok_or_else(check::unknown)?;
                let mut entry = shown(name, entry);
                if let Some(at) = names.iter().position(|have| have == name) {
                    entry.insert("priority".to_owned(), (3 + at).into());
                }
                Ok(Reply::data(entry))
            }
            (_, rest) => self.write_network(method, node, rest, call),
        }
    }

    /// Whether guests of a node can be plugged into this.
    pub(super) fn has_bridge(&self, node: &str, name: &str) -> bool {
        let current = self.nodes.get(node).map(NodeState::current);
        let own = current.and_then(|current| current.get(name).cloned());
        own.is_some_and(|entry| {
            let kind = entry.get("type").map(text_of).unwrap_or_default();
            ["bridge", "OVSBridge"].contains(&kind.as_str())
        }) || self
            .sdn
            .vnets_on(node)
            .iter()
            .any(|vnet| vnet["iface"] == name)
    }

    fn node_or(&self, node: &str) -> Result<&NodeState, Reply> {
        self.nodes
            .get(node)
            .ok_or_else(|| Reply::failed(format!("no such cluster node '{node}'")))
    }

    fn node_mut(&mut self, node: &str) -> Result<&mut NodeState, Reply> {
        self.nodes
            .get_mut(node)
            .ok_or_else(|| Reply::failed(format!("no such cluster node '{node}'")))
    }

    fn networks(&self, node: &str, call: &Call) -> Outcome {
        let state = self.node_or(node)?;
        let kind = call.text("type");
        let (current, configured) = (state.current(), state.configured());
        let order = text::in_order(&configured);
        let wanted = |entry: &Map<String, Value>| {
            let have = entry.get("type").map(text_of).unwrap_or_default();
            let bridge = have == "bridge" || have == "OVSBridge";
            match kind.as_deref() {
                None => true,
                Some("include_sdn") => true,
                Some("any_bridge" | "any_local_bridge") => bridge,
                Some(kind) => kind == have,
            }
        };
        let mut out: Vec<Value> = Vec::new();
        for (at, name) in order.iter().enumerate() {
            let Some(entry) = configured.get(name).filter(|entry| wanted(entry)) else {
                continue;
            };
            let mut entry = shown(name, entry);
            entry.insert("iface".to_owned(), name.as_str().into());
            entry.insert("priority".to_owned(), (3 + at).into());
            if current.contains_key(name) {
                entry.insert("active".to_owned(), 1.into());
            }
            out.push(entry.into());
        }
        if matches!(kind.as_deref(), Some("any_bridge" | "include_sdn" | "vnet")) {
            out.extend(self.sdn.vnets_on(node));
        }
        match &state.network.waiting {
            Some(waiting) if *waiting != current => {
                let diff = text::changes(&current, waiting, self.booted, self.now);
                Ok(Reply::with(out, "changes", diff))
            }
            _ => Ok(Reply::data(out)),
        }
    }

    fn write_network(&mut self, method: &str, node: &str, rest: &[&str], call: &Call) -> Outcome {
        let state = self.node_mut(node)?;
        let mut all = state.configured();
        let settings = || check::settings(call);
        match (method, rest) {
            ("POST", []) => {
                require(call, &["iface", "type"])?;
                let name = call.text("iface").unwrap_or_default();
                if all.contains_key(&name) {
                    return Err(Reply::parameter("iface", "interface already exists"));
                }
                let mut entry = settings()?;
                check::fits(&all, &name, &entry)?;
                check::addressed(&mut entry);
                all.insert(name, entry);
            }
            ("PUT", [name]) => {
                require(call, &["type"])?;
                let mut entry = all.get(*name).ok_or_else(check::unknown)?.clone();
                for key in names(&call.text("delete").unwrap_or_default()) {
                    entry.shift_remove(key);
                    if let Some(suffix) = key.strip_prefix("cidr") {
                        entry.shift_remove(&format!("netmask{suffix}"));
                        entry.shift_remove(&format!("address{suffix}"));
                    }
                }
                let mut new = settings()?;
                check::fits(&all, name, &new)?;
                check::addressed(&mut new);
                entry.extend(new);
                all.insert((*name).to_owned(), entry);
            }
            ("DELETE", [name]) => {
                all.remove(*name).ok_or_else(check::unknown)?;
            }
            _ => return Err(not_simulated(call)),
        }
        check::whole(&all)?;
        state.network.waiting = Some(all);
        Ok(Reply::data(()))
    }

    /// What waits is in effect from now on.
    pub(super) fn load_interfaces(&mut self, node: &str) {
        if let Some(state) = self.nodes.get_mut(node)
            && let Some(waiting) = state.network.waiting.take()
        {
            state.network.current = Some(waiting);
        }
    }

    pub(super) fn node_settings(
        &mut self,
        method: &str,
        node: &str,
        what: &str,
        call: &Call,
    ) -> Outcome {
        let now = crate::simulator::task::seconds(self.now);
        let state = self.node_mut(node)?;
        let host = format!(
            "127.0.0.1 localhost\n{} {node}.example.test {node}\n",
            state.address
        );
        match (method, what) {
            ("GET", "dns") => {
                let mut dns = Map::new();
                dns.insert("search".to_owned(), "example.test".into());
                if state.network.dns.is_empty() {
                    dns.insert("dns1".to_owned(), "192.0.2.1".into());
                }
                let set = state.network.dns.iter();
                dns.extend(set.map(|(key, value)| (key.clone(), value.as_str().into())));
                Ok(Reply::data(dns))
            }
            ("PUT", "dns") => {
                require(call, &["search"])?;
                state.network.dns = ["search", "dns1", "dns2", "dns3"]
                    .iter()
                    .filter_map(|key| Some(((*key).to_owned(), call.text(key)?)))
                    .collect();
                Ok(Reply::data(()))
            }
            ("GET", "hosts") => {
                let text = state.network.hosts.clone().unwrap_or(host);
                let digest = super::firewall::digest(&text);
                Ok(Reply::data(json!({ "data": text, "digest": digest })))
            }
            ("POST", "hosts") => {
                require(call, &["data"])?;
                let text = state.network.hosts.clone().unwrap_or(host);
                let digest = super::firewall::digest(&text);
                if call.text("digest").is_some_and(|asked| asked != digest) {
                    return Err(super::firewall::changed());
                }
                state.network.hosts = call.text("data");
                Ok(Reply::data(()))
            }
            ("GET", "time") => {
                let zone = state.network.time_zone.clone();
                match zone.as_deref() {
                    None | Some("UTC") => Ok(Reply::data(
                        json!({ "timezone": "UTC", "time": now, "localtime": now }),
                    )),
                    // The offsets of other zones are not modelled.
                    Some(zone) => Ok(Reply::data(json!({ "timezone": zone, "time": now }))),
                }
            }
            ("PUT", "time") => {
                require(call, &["timezone"])?;
                state.network.time_zone = call.text("timezone");
                Ok(Reply::data(()))
            }
            _ => Err(not_simulated(call)),
        }
    }
}
