//! Options of a node, and waking it up.

use serde_json::{Map, Value};

use super::firewall::{changed, digest};
use super::not_simulated;
use super::shared::names;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::schema::default_key;
use crate::simulator::world::World;

/// Options that are numbers.
const NUMBERS: [&str; 2] = ["startall-onboot-delay", "ballooning-target"];

fn told(config: &Map<String, Value>) -> Map<String, Value> {
    let mut out = config.clone();
    if config.is_empty() {
        // There is no file yet, and nothing to take a digest of.
        return out;
    }
    if let Some(Value::String(text)) = out.get_mut("description") {
        text.push('\n');
    }
    let text = Value::Object(config.clone()).to_string();
    out.insert("digest".to_owned(), digest(&text).into());
    out
}

impl World {
    pub(super) fn node_config(&mut self, node: &str, call: &Call) -> Outcome {
        let Some(state) = self.nodes.get(node) else {
            return Err(not_simulated(call));
        };
        let mut config = state.upkeep.config.clone();
        match call.method.as_str() {
            "GET" => {
                let mut all = told(&config);
                if let Some(one) = call.text("property") {
                    all.retain(|key, _| *key == one);
                }
                Ok(Reply::data(all))
            }
            "PUT" => {
                let have = told(&config);
                let have = have.get("digest").and_then(Value::as_str);
                if let (Some(asked), Some(have)) = (call.text("digest"), have)
                    && asked != have
                {
                    return Err(changed());
                }
                for (key, value) in &call.params {
                    if ["digest", "delete", "node"].contains(&key.as_str()) {
                        continue;
                    }
                    let text = text_of(value);
                    let text = text.trim_end_matches('\n');
                    let value = match text.parse::<u64>() {
                        Ok(number) if NUMBERS.contains(&key.as_str()) => number.into(),
                        _ => text.into(),
                    };
                    config.insert(key.clone(), value);
                }
                for key in names(&call.text("delete").unwrap_or_default()) {
                    config.shift_remove(key);
                }
                self.acme_of(&config)?;
                if let Some(state) = self.nodes.get_mut(node) {
                    state.upkeep.config = config;
                }
                Ok(Reply::data(()))
            }
            _ => Err(not_simulated(call)),
        }
    }

    /// Sends a packet that wakes another node. The node that is asked is the first.
    pub(super) fn wake_on_lan(&self, node: &str) -> Outcome {
        if self.nodes.keys().next().is_some_and(|first| first == node) {
            let text = format!("'{node}' is local node, cannot wake my self!");
            return Err(Reply::failed(text));
        }
        let Some(state) = self.nodes.get(node) else {
            return Err(Reply::failed(format!("no such cluster node '{node}'")));
        };
        let wake = state.upkeep.config.get("wakeonlan").map(text_of);
        match wake.as_deref().and_then(|wake| default_key(wake, "mac")) {
            Some(mac) => Ok(Reply::data(mac)),
            None => Err(Reply::failed(format!(
                "No wake on LAN MAC address defined for '{node}'!"
            ))),
        }
    }
}
