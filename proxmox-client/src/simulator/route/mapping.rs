//! Resource mappings, and the devices of nodes that they are checked against.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::firewall::digest;
use super::shared::{names, require};
use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::world::World;

/// Mappings by kind and name.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct Mappings(BTreeMap<String, BTreeMap<String, Map<String, Value>>>);

/// A PCI device of a node.
#[derive(Serialize, Deserialize, Debug, Clone)]
#[non_exhaustive]
pub struct PciSpec {
    path: String,
    vendor: String,
    device: String,
    class: String,
    iommu_group: i64,
    subsystem: Option<(String, String)>,
    mediated: bool,
    /// Kinds of mediated devices: name, description, and how many more there can be.
    #[serde(default)]
    kinds: Vec<(String, String, u32)>,
}

impl PciSpec {
    /// A device at a path (`0000:01:00.0`) with vendor and device (`10de`, `2684`): a network card in no IOMMU group.
    pub fn new(path: &str, vendor: &str, device: &str) -> Self {
        Self {
            path: path.to_owned(),
            vendor: vendor.to_owned(),
            device: device.to_owned(),
            class: "020000".to_owned(),
            iommu_group: -1,
            subsystem: None,
            mediated: false,
            kinds: Vec::new(),
        }
    }

    /// Its class, six hexadecimal digits.
    #[must_use]
    pub fn with_class(mut self, class: &str) -> Self {
        class.clone_into(&mut self.class);
        self
    }

    /// Its IOMMU group.
    #[must_use]
    pub fn with_iommu_group(mut self, group: u32) -> Self {
        self.iommu_group = group.into();
        self
    }

    /// Vendor and device of its subsystem.
    #[must_use]
    pub fn with_subsystem(mut self, vendor: &str, device: &str) -> Self {
        self.subsystem = Some((vendor.to_owned(), device.to_owned()));
        self
    }

    /// It provides mediated devices of a kind, such as `nvidia-63`: what that is, and how many more there can be.
    #[must_use]
    pub fn with_mediated_kind(mut self, kind: &str, description: &str, available: u32) -> Self {
        let kind = (kind.to_owned(), description.to_owned(), available);
        self.kinds.push(kind);
        self.with_mediated()
    }

    /// It provides mediated devices.
    #[must_use]
    pub fn with_mediated(mut self) -> Self {
        self.mediated = true;
        self
    }

    fn entry(&self) -> Value {
        let mut entry = json!({
            "id": self.path, "class": format!("0x{}", self.class),
            "vendor": format!("0x{}", self.vendor), "device": format!("0x{}", self.device),
            "iommugroup": self.iommu_group,
        });
        if let Some((vendor, device)) = &self.subsystem {
            entry["subsystem_vendor"] = format!("0x{vendor}").into();
            entry["subsystem_device"] = format!("0x{device}").into();
        }
        if self.mediated {
            entry["mdev"] = 1.into();
        }
        entry
    }

    /// What the server compares, in the order in which it does: name, what the device has.
    fn expected(&self) -> [(&'static str, Option<String>); 4] {
        let subsystem = self.subsystem.as_ref();
        [
            ("id", Some(format!("{}:{}", self.vendor, self.device))),
            ("iommugroup", Some(self.iommu_group.to_string())),
            ("mdev", Some(u8::from(self.mediated).to_string())),
            (
                "subsystem-id",
                subsystem.map(|(vendor, device)| format!("{vendor}:{device}")),
            ),
        ]
    }
}

/// A USB device of a node.
#[derive(Serialize, Deserialize, Debug, Clone)]
#[non_exhaustive]
pub struct UsbSpec {
    vendor: String,
    product: String,
    bus: u32,
    path: String,
}

impl UsbSpec {
    /// A device with vendor and product (`0529`, `0620`), plugged in at a bus and a path on it (`1`, `2.3`).
    pub fn new(vendor: &str, product: &str, bus: u32, path: &str) -> Self {
        Self {
            vendor: vendor.to_owned(),
            product: product.to_owned(),
            bus,
            path: path.to_owned(),
        }
    }

    fn id(&self) -> String {
        format!("{}:{}", self.vendor, self.product)
    }

    fn entry(&self, number: usize) -> Value {
        let port = self
            .path
            .rsplit('.')
            .next()
            .and_then(|port| port.parse::<u32>().ok());
        json!({
            "vendid": self.vendor, "prodid": self.product, "busnum": self.bus, "devnum": number + 2,
            "usbpath": self.path, "port": port.unwrap_or(1).saturating_sub(1), "class": 0, "speed": "480",
            "level": self.path.split('.').count(),
        })
    }
}

fn parts(map: &str) -> BTreeMap<&str, &str> {
    map.split(',')
        .filter_map(|part| part.split_once('='))
        .collect()
}

fn maps_of(entry: &Map<String, Value>) -> Vec<String> {
    let maps = entry.get("map").and_then(Value::as_array);
    let texts = maps.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// The words of refusals about a kind.
fn failed(kind: &str, verb: &str, why: &str) -> Reply {
    let what = match (kind, verb) {
        (kind, "delete") => format!("{kind} mapping"),
        ("dir", _) => "directory mapping".to_owned(),
        _ => "hardware mapping".to_owned(),
    };
    Reply::failed(format!("{verb} {what} failed: {why}"))
}

impl World {
    fn mapping_table(&self, kind: &str) -> BTreeMap<String, Map<String, Value>> {
        self.mappings.0.get(kind).cloned().unwrap_or_default()
    }

    pub(super) fn read_mappings(&self, rest: &[&str], call: &Call) -> Outcome {
        let (kind, id) = match rest {
            [kind @ ("pci" | "usb" | "dir")] => (*kind, None),
            [kind @ ("pci" | "usb" | "dir"), id] => (*kind, Some(*id)),
            _ => return Err(not_simulated(call)),
        };
        let table = self.mapping_table(kind);
        let digest = digest(&json!(table).to_string());
        let told = |entry: &Map<String, Value>| {
            let mut entry = entry.clone();
            entry.insert("digest".to_owned(), digest.as_str().into());
            entry
        };
        if let Some(id) = id {
            return match table.get(id) {
                Some(entry) => Ok(Reply::data(told(entry))),
                None => Err(Reply::failed(format!("mapping '{id}' not found"))),
            };
        }
        let check = call.text("check-node");
        let local = self.nodes.keys().next().cloned().unwrap_or_default();
        if let Some(node) = &check
            && node != "localhost"
            && *node != local
        {
            return Err(Reply::failed(match kind {
                "usb" => "Wrong node to check".to_owned(),
                _ => format!("wrong node to check - {node} != {local}"),
            }));
        }
        if check.is_some() && kind == "dir" {
            // What directories a node has is not modelled.
            return Err(not_simulated(call));
        }
        Ok(Reply::data(list(table.iter().map(|(id, entry)| {
            let mut out = told(entry);
            out.insert("id".to_owned(), id.as_str().into());
            if let Some(node) = &check {
                let key = if kind == "usb" { "errors" } else { "checks" };
                out.insert(
                    key.to_owned(),
                    self.check_mapping(kind, id, entry, &local, node),
                );
            }
            out
        }))))
    }

    fn check_mapping(
        &self,
        kind: &str,
        id: &str,
        entry: &Map<String, Value>,
        local: &str,
        asked: &str,
    ) -> Value {
        let maps = maps_of(entry);
        let here: Vec<_> = maps
            .iter()
            .map(|map| parts(map))
            .filter(|map| map.get("node") == Some(&asked))
            .collect();
        if here.is_empty() {
            return json!([{ "severity": "warning", "message": format!("No mapping for node {asked}.") }]);
        }
        let wrong = here.iter().filter_map(|map| {
            let why = match kind {
                "pci" => self.check_pci(id, entry, map, local),
                _ => self.check_usb(id, map, local),
            };
            Some(json!({ "severity": "error", "message": format!("Invalid configuration: {}\n", why?) }))
        });
        wrong.collect()
    }

    fn check_pci(
        &self,
        id: &str,
        entry: &Map<String, Value>,
        map: &BTreeMap<&str, &str>,
        node: &str,
    ) -> Option<String> {
        let devices = self.nodes.get(node).map(|node| node.pci.as_slice());
        let paths = map.get("path").copied().unwrap_or_default();
        for (index, path) in paths.split(';').enumerate() {
            let whole = if path.contains('.') {
                path.to_owned()
            } else {
                format!("{path}.0")
            };
            let find = |device: &&PciSpec| device.path.eq_ignore_ascii_case(&whole);
            let Some(device) = devices.unwrap_or_default().iter().find(find) else {
                return Some(format!("pci device '{whole}' not found"));
            };
            let mediated = entry.get("mdev") == Some(&1.into());
            let mediated = u8::from(mediated).to_string();
            for (name, expected) in device.expected() {
                let configured = match name {
                    "mdev" => Some(mediated.as_str()),
                    name => map.get(name).copied(),
                };
                match (expected, configured) {
                    // Only the first device's group counts.
                    _ if name == "iommugroup" && index > 0 => {}
                    (Some(_), None) => {
                        return Some(format!(
                            "missing expected property '{name}' for device '{whole}'"
                        ));
                    }
                    (None, Some(_)) => {
                        return Some(format!(
                            "unexpected property '{name}' configured for device '{whole}'"
                        ));
                    }
                    (Some(expected), Some(configured)) if expected != configured => {
                        return Some(format!(
                            "'{name}' does not match for '{id}' ({expected} != {configured})"
                        ));
                    }
                    _ => {}
                }
            }
        }
        None
    }

    fn check_usb(&self, id: &str, map: &BTreeMap<&str, &str>, node: &str) -> Option<String> {
        let devices = self.nodes.get(node).map_or(&[][..], |node| &node.usb);
        let wanted = map.get("id").copied().unwrap_or_default();
        let Some(path) = map.get("path") else {
            let there = devices.iter().any(|device| device.id() == wanted);
            return (!there).then(|| format!("usb device '{wanted}' not found"));
        };
        let at = |device: &&UsbSpec| format!("{}-{}", device.bus, device.path) == *path;
        match devices.iter().find(at) {
            None => Some(format!("usb device '{path}' not found")),
            Some(device) if device.id() != wanted => {
                let found = device.id();
                Some(format!(
                    "'id' does not match for '{id}' ({found} != {wanted})"
                ))
            }
            Some(_) => None,
        }
    }

    pub(super) fn write_mapping(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let (kind, id) = match rest {
            [kind @ ("pci" | "usb" | "dir")] => (*kind, None),
            [kind @ ("pci" | "usb" | "dir"), id] => (*kind, Some((*id).to_owned())),
            _ => return Err(not_simulated(call)),
        };
        let table = self.mapping_table(kind);
        let entry = || {
            let mut entry = Map::new();
            entry.insert("type".to_owned(), kind.into());
            for (key, value) in &call.params {
                match key.as_str() {
                    "id" | "digest" | "delete" => {}
                    "map" => {
                        let one = |value: &Value| Value::Array(vec![value.clone()]);
                        let all = if value.is_array() {
                            value.clone()
                        } else {
                            one(value)
                        };
                        entry.insert(key.clone(), all);
                    }
                    "mdev" | "live-migration-capable" => {
                        entry.insert(key.clone(), u8::from(call.flag(key)).into());
                    }
                    _ => {
                        entry.insert(key.clone(), value.clone());
                    }
                }
            }
            entry
        };
        let tables = self.mappings.0.entry(kind.to_owned()).or_default();
        match (method, id) {
            ("POST", None) => {
                require(call, &["id", "map"])?;
                let id = call.text("id").unwrap_or_default();
                if table.contains_key(&id) {
                    return Err(failed(
                        kind,
                        "create",
                        &format!("{kind} ID '{id}' already defined"),
                    ));
                }
                let entry = entry();
                once_each(kind, "create", &entry)?;
                tables.insert(id, entry);
            }
            ("PUT", Some(id)) => {
                let asked = call.text("digest");
                if asked.is_some_and(|asked| asked != digest(&json!(table).to_string())) {
                    let why =
                        "detected modified configuration - file changed by other user? Try again.";
                    return Err(failed(kind, "update", why));
                }
                let Some(old) = table.get(&id) else {
                    return Err(failed(
                        kind,
                        "update",
                        &format!("{kind} ID '{id}' does not exist"),
                    ));
                };
                let new = entry();
                if !new.contains_key("map") {
                    let why = "missing value for required option 'map'";
                    return Err(failed(kind, "update", why));
                }
                once_each(kind, "update", &new)?;
                let mut all = old.clone();
                for key in names(&call.text("delete").unwrap_or_default()) {
                    all.shift_remove(key);
                }
                all.extend(new);
                tables.insert(id, all);
            }
            ("DELETE", Some(id)) => {
                tables.remove(&id);
            }
            _ => return Err(not_simulated(call)),
        }
        Ok(Reply::data(()))
    }

    pub(super) fn node_hardware(&self, node: &str, rest: &[&str], call: &Call) -> Outcome {
        let state = self.nodes.get(node);
        match (call.method.as_str(), rest, state) {
            ("GET", [], _) => {
                let all = ["pci", "usb"].map(|kind| json!({ "type": kind }));
                Ok(Reply::data(all.to_vec()))
            }
            ("GET", ["pci", _], _) => Ok(Reply::data(json!([{ "method": "mdev" }]))),
            ("GET", ["pci", path, "mdev"], Some(state)) => {
                let is = |device: &&PciSpec| device.path.eq_ignore_ascii_case(path);
                match state.pci.iter().find(is) {
                    Some(device) if !device.mediated => Ok(Reply::data(json!([]))),
                    Some(device) if !device.kinds.is_empty() => {
                        let all = device.kinds.iter().map(|(kind, description, available)| {
                            json!({ "type": kind, "description": description, "available": available })
                        });
                        Ok(Reply::data(all.collect::<Value>()))
                    }
                    // Nobody said which kinds it offers.
                    _ => Err(not_simulated(call)),
                }
            }
            ("GET", ["pci"], Some(state)) => {
                let blocked = call
                    .text("pci-class-blacklist")
                    .unwrap_or_else(|| "05;06;0b".to_owned());
                let shown = state.pci.iter().filter(|device| {
                    !names(&blocked)
                        .any(|class| device.class.starts_with(class.trim_start_matches("0x")))
                });
                let verbose = call.text("verbose").as_deref() != Some("0");
                let entries = shown.map(|device| match verbose {
                    true => device.entry(),
                    false => json!({ "id": device.path }),
                });
                Ok(Reply::data(entries.collect::<Value>()))
            }
            ("GET", ["usb"], Some(state)) => {
                let entries = state
                    .usb
                    .iter()
                    .enumerate()
                    .map(|(at, device)| device.entry(at));
                Ok(Reply::data(entries.collect::<Value>()))
            }
            _ => Err(not_simulated(call)),
        }
    }
}

/// A directory mapping may name each node once.
fn once_each(kind: &str, verb: &str, entry: &Map<String, Value>) -> Result<(), Reply> {
    let maps = maps_of(entry);
    let nodes: Vec<&str> = maps
        .iter()
        .filter_map(|map| parts(map).get("node").copied())
        .collect();
    for node in &nodes {
        let count = nodes.iter().filter(|other| *other == node).count();
        if kind == "dir" && count > 1 {
            return Err(failed(
                kind,
                verb,
                &format!("Node '{node}' is specified {count} times."),
            ));
        }
    }
    Ok(())
}
