//! Fabrics and their nodes.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Sdn, Table};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::route::not_simulated;
use crate::simulator::section::MODIFIED;
use crate::simulator::world::World;

/// Tables of fabrics, and of their nodes by `fabric/node`.
pub(super) const FABRICS: &str = "fabrics";
pub(super) const NODES: &str = "fabric nodes";

/// Settings that are numbers.
const NUMBERS: [&str; 2] = ["hello_interval", "csnp_interval"];

/// Parameters that are no settings.
const NOT_SETTINGS: [&str; 5] = ["lock-token", "digest", "delete", "pending", "running"];

fn settings(call: &Call) -> Map<String, Value> {
    let own = call.params.iter();
    own.filter(|(key, _)| !NOT_SETTINGS.contains(&key.as_str()))
        .map(|(key, value)| {
            let text = text_of(value);
            let value = match (key.as_str(), value) {
                ("interfaces", Value::Array(_)) => value.clone(),
                ("interfaces", one) => json!([one]),
                (key, _) if NUMBERS.contains(&key) => text
                    .parse::<f64>()
                    .map_or_else(|_| text.into(), super::super::figures::number),
                _ => text.into(),
            };
            (key.clone(), value)
        })
        .collect()
}

fn dropped(call: &Call) -> Vec<String> {
    match call.params.get("delete") {
        Some(Value::Array(items)) => items.iter().map(text_of).collect(),
        Some(one) => vec![text_of(one)],
        None => Vec::new(),
    }
}

impl Sdn {
    fn fabric_digest(&self) -> String {
        let tables = [FABRICS, NODES].map(|name| self.table(name));
        let hash = Sha256::digest(json!(tables).to_string().as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn fabric_view(&self, name: &str, call: &Call) -> Table {
        if call.flag("pending") {
            self.waiting(name)
        } else if call.flag("running") {
            self.ran(name)
        } else {
            self.table(name)
        }
    }

    fn told(&self, table: Table) -> Value {
        let digest = self.fabric_digest();
        let entries = table.into_values().map(|mut entry| {
            entry.insert("digest".to_owned(), digest.as_str().into());
            Value::Object(entry)
        });
        entries.collect()
    }
}

impl World {
    pub(super) fn read_fabrics(&self, rest: &[&str], call: &Call) -> Outcome {
        let sdn = &self.sdn;
        let one = |table: &str, key: &str, missing: String| {
            let mut entry = sdn
                .table(table)
                .remove(key)
                .ok_or_else(|| Reply::failed(missing))?;
            entry.insert("digest".to_owned(), sdn.fabric_digest().into());
            Ok(Reply::data(entry))
        };
        match rest {
            [] => {
                let all = ["fabric", "node", "all"].map(|name| json!({ "subdir": name }));
                Ok(Reply::data(all.to_vec()))
            }
            ["all"] => Ok(Reply::data(json!({
                "fabrics": sdn.told(sdn.fabric_view(FABRICS, call)),
                "nodes": sdn.told(sdn.fabric_view(NODES, call)),
            }))),
            ["fabric"] => Ok(Reply::data(sdn.told(sdn.fabric_view(FABRICS, call)))),
            ["fabric", id] => one(FABRICS, id, missing_fabric(id)),
            ["node"] => Ok(Reply::data(sdn.told(sdn.fabric_view(NODES, call)))),
            ["node", id] => {
                let mut nodes = sdn.fabric_view(NODES, call);
                let prefix = format!("{id}/");
                nodes.retain(|key, _| key.starts_with(&prefix));
                Ok(Reply::data(sdn.told(nodes)))
            }
            ["node", id, node] => one(
                NODES,
                &format!("{id}/{node}"),
                format!("node '{node}' does not exist in fabric '{id}'"),
            ),
            _ => Err(not_simulated(call)),
        }
    }

    pub(super) fn write_fabrics(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let (verb, noun) = match (method, rest) {
            ("POST", ["fabric"]) => ("adding", "fabric"),
            ("PUT", ["fabric", _]) => ("updating", "fabric"),
            ("DELETE", ["fabric", _]) => ("deleting", "fabric"),
            ("POST", ["node", _]) => ("adding", "node"),
            ("PUT", ["node", _, _]) => ("updating", "node"),
            ("DELETE", ["node", _, _]) => ("deleting", "node"),
            _ => return Err(not_simulated(call)),
        };
        let refused = |why: String| Reply::failed(format!("{verb} {noun} failed: {why}"));
        self.sdn.pass(call).map_err(refused)?;
        let asked = call.text("digest");
        if asked.is_some_and(|asked| asked != self.sdn.fabric_digest()) {
            return Err(refused(MODIFIED.to_owned()));
        }
        let mut fabrics = self.sdn.table(FABRICS);
        let mut nodes = self.sdn.table(NODES);
        match (method, rest) {
            ("POST", ["fabric"]) => {
                let id = call.text("id").unwrap_or_default();
                if fabrics.contains_key(&id) {
                    return Err(refused(format!("fabric '{id}' already exists in config")));
                }
                fabrics.insert(id, settings(call));
            }
            ("PUT", ["fabric", id]) => {
                let Some(fabric) = fabrics.get_mut(*id) else {
                    return Err(refused(missing_fabric(id)));
                };
                change(fabric, call)?;
            }
            ("DELETE", ["fabric", id]) => {
                if !fabrics.contains_key(*id) {
                    return Err(refused(missing_fabric(id)));
                }
                if let Some(user) = self.sdn.user_of_fabric(id) {
                    let why = format!("this fabric is still used in the {user}");
                    return Err(refused(why));
                }
                fabrics.remove(*id);
                let prefix = format!("{id}/");
                nodes.retain(|key, _| !key.starts_with(&prefix));
            }
            (_, ["node", id, rest @ ..]) => {
                let Some(fabric) = fabrics.get(*id) else {
                    return Err(refused(missing_fabric(id)));
                };
                let node = match rest {
                    [node] => (*node).to_owned(),
                    _ => call.text("node_id").unwrap_or_default(),
                };
                let key = format!("{id}/{node}");
                if method == "POST" {
                    if nodes.contains_key(&key) {
                        let why = format!("node '{node}' already exists in config for fabric {id}");
                        return Err(refused(why));
                    }
                    if fabric.get("protocol") != call.params.get("protocol") {
                        let why = "node has a different protocol than the referenced fabric";
                        return Err(refused(why.to_owned()));
                    }
                    let mut entry = settings(call);
                    entry.insert("fabric_id".to_owned(), (*id).into());
                    nodes.insert(key, entry);
                } else {
                    let Some(entry) = nodes.get_mut(&key) else {
                        let why = format!("node '{node}' does not exist in fabric '{id}'");
                        return Err(refused(why));
                    };
                    match method {
                        "PUT" => change(entry, call)?,
                        _ => {
                            nodes.remove(&key);
                        }
                    }
                }
            }
            _ => return Err(not_simulated(call)),
        }
        self.sdn.tables.insert(FABRICS.to_owned(), fabrics);
        self.sdn.tables.insert(NODES.to_owned(), nodes);
        // Where other calls answer nothing, these answer an empty text.
        Ok(Reply::data(""))
    }
}

impl Sdn {
    fn user_of_fabric(&self, id: &str) -> Option<String> {
        let uses = |entry: &Map<String, Value>, kind: &str| {
            entry.get("type") == Some(&kind.into()) && entry.get("fabric") == Some(&id.into())
        };
        let controllers = self.table("controllers").into_iter();
        let mut controllers = controllers.filter(|(_, entry)| uses(entry, "evpn"));
        let zones = self.table("zones").into_iter();
        let mut zones = zones.filter(|(_, entry)| uses(entry, "vxlan"));
        let controller = controllers
            .next()
            .map(|(name, _)| format!("EVPN controller \"{name}\""));
        controller.or_else(|| {
            zones
                .next()
                .map(|(name, _)| format!("VXLAN zone \"{name}\""))
        })
    }
}

fn missing_fabric(id: &str) -> String {
    format!("fabric '{id}' does not exist in configuration")
}

fn change(entry: &mut Map<String, Value>, call: &Call) -> Result<(), Reply> {
    if entry.get("protocol") != call.params.get("protocol") {
        // The server's words for another protocol are not known.
        return Err(not_simulated(call));
    }
    for key in dropped(call) {
        entry.shift_remove(&key);
    }
    entry.extend(settings(call));
    Ok(())
}
