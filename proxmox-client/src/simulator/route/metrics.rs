//! Servers that figures are sent to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::not_simulated;
use super::shared::{names, require};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::world::World;

/// Metric servers by their names.
pub(in super::super) type MetricServers = BTreeMap<String, Map<String, Value>>;

/// Settings that are numbers or flags.
const NUMBERS: [&str; 8] = [
    "port",
    "disable",
    "mtu",
    "timeout",
    "max-body-size",
    "verify-certificate",
    "otel-verify-ssl",
    "otel-timeout",
];

/// The settings of a kind beside address and port, and of all kinds.
fn known(kind: &str) -> &'static [&'static str] {
    match kind {
        "graphite" => &[
            "server", "port", "disable", "mtu", "proto", "timeout", "path",
        ],
        "influxdb" => &[
            "server",
            "port",
            "disable",
            "mtu",
            "organization",
            "bucket",
            "influxdbproto",
            "timeout",
            "max-body-size",
            "api-path-prefix",
            "verify-certificate",
        ],
        _ => &[
            "server",
            "port",
            "disable",
            "otel-protocol",
            "otel-path",
            "otel-timeout",
            "otel-headers",
            "otel-verify-ssl",
            "otel-max-body-size",
            "otel-resource-attributes",
            "otel-compression",
        ],
    }
}

fn settings(kind: &str, call: &Call) -> Result<Map<String, Value>, Reply> {
    let mut out = Map::new();
    for (key, value) in &call.params {
        // A token is kept where nobody reads it.
        if ["id", "type", "digest", "delete", "token"].contains(&key.as_str()) {
            continue;
        }
        if !known(kind).contains(&key.as_str()) {
            return Err(Reply::failed(format!("unexpected property '{key}'")));
        }
        let text = text_of(value);
        let value = match text.parse::<u64>() {
            Ok(number) if NUMBERS.contains(&key.as_str()) => number.into(),
            _ => text.into(),
        };
        out.insert(key.clone(), value);
    }
    Ok(out)
}

impl World {
    pub(super) fn read_metrics(&self, rest: &[&str], call: &Call) -> Outcome {
        match rest {
            ["server"] => {
                let entries = self.metric_servers.iter().map(|(id, entry)| {
                    json!({
                        "id": id, "type": entry.get("type"), "server": entry.get("server"),
                        "port": entry.get("port"), "disable": entry.get("disable").unwrap_or(&json!(0)),
                    })
                });
                Ok(Reply::data(entries.collect::<Value>()))
            }
            ["server", id] => match self.metric_servers.get(*id) {
                Some(entry) => Ok(Reply::data(entry.clone())),
                None => Err(Reply::failed(format!(
                    "status server entry '{id}' does not exist"
                ))),
            },
            _ => Err(not_simulated(call)),
        }
    }

    pub(super) fn write_metrics(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let ["server", id] = rest else {
            return Err(not_simulated(call));
        };
        let id = (*id).to_owned();
        match (method, self.metric_servers.get(&id)) {
            ("POST", known) => {
                require(call, &["type", "server", "port"])?;
                if known.is_some() {
                    return Err(Reply::failed(format!(
                        "Metric server '{id}' already exists"
                    )));
                }
                let kind = call.text("type").unwrap_or_default();
                let mut entry = settings(&kind, call)?;
                entry.insert("type".to_owned(), kind.into());
                self.metric_servers.insert(id, entry);
            }
            ("PUT", Some(old)) => {
                require(call, &["server", "port"])?;
                let kind = old.get("type").map(text_of).unwrap_or_default();
                let mut entry = old.clone();
                entry.extend(settings(&kind, call)?);
                for key in names(&call.text("delete").unwrap_or_default()) {
                    if !known(&kind).contains(&key) {
                        return Err(Reply::failed(format!("no such option '{key}'")));
                    }
                    entry.shift_remove(key);
                }
                self.metric_servers.insert(id, entry);
            }
            ("PUT", None) => return Err(Reply::failed(format!("no such server '{id}'"))),
            ("DELETE", Some(_)) => {
                self.metric_servers.remove(&id);
            }
            // The real server's words depend on how it falls over.
            _ => return Err(not_simulated(call)),
        }
        Ok(Reply::data(()))
    }
}
