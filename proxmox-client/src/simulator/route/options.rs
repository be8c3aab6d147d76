//! Options of the cluster.

use serde_json::{Map, Value, json};

use super::shared::names;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::world::World;

/// Options that are told as objects.
const OBJECTS: [&str; 9] = [
    "bwlimit",
    "crs",
    "ha",
    "migration",
    "next-id",
    "notify",
    "replication",
    "tag-style",
    "webauthn",
];

impl World {
    /// What was set, over what a fresh server tells.
    pub(super) fn cluster_options(&self) -> Reply {
        let mut out = Map::from_iter([
            ("mac_prefix".to_owned(), "BC:24:11".into()),
            ("keyboard".to_owned(), "en-us".into()),
        ]);
        for (key, text) in &self.options {
            let value = match key.as_str() {
                "registered-tags" => {
                    let tags: Vec<&str> = names(text).collect();
                    out.insert("allowed-tags".to_owned(), json!(tags));
                    json!(tags)
                }
                "max_workers" => text
                    .parse::<u64>()
                    .map_or_else(|_| text.as_str().into(), Value::from),
                // A description ends with its line.
                "description" => format!("{}\n", text.trim_end()).into(),
                key if OBJECTS.contains(&key) => {
                    let parts = text.split(',').filter_map(|part| part.split_once('='));
                    let parts = parts.map(|(key, value)| (key.to_owned(), value.into()));
                    Value::Object(parts.collect())
                }
                _ => text.as_str().into(),
            };
            out.insert(key.clone(), value);
        }
        Reply::data(out)
    }

    pub(super) fn set_cluster_options(&mut self, call: &Call) -> Outcome {
        for key in names(&call.text("delete").unwrap_or_default()) {
            self.options.remove(key);
        }
        for (key, value) in call.params.iter().filter(|(key, _)| *key != "delete") {
            self.options.insert(key.clone(), text_of(value));
        }
        Ok(Reply::data(()))
    }
}
