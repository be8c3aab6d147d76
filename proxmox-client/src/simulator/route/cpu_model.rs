//! Processor models of one's own: `/cluster/qemu`.

use serde_json::{Map, Value};

use super::shared::names;
use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::world::World;

/// The settings of a model that a call gives.
fn settings(call: &Call) -> Map<String, Value> {
    let other = ["cputype", "digest", "delete"];
    let given = call.params.iter();
    given
        .filter(|(name, _)| !other.contains(&name.as_str()))
        .map(|(name, value)| {
            let text = text_of(value);
            // Numbers stay numbers in the file; `phys-bits` may be a word.
            let number = match name.as_str() {
                "phys-bits" | "reported-model" | "hv-vendor-id" | "flags" => None,
                _ => text.parse::<u64>().ok(),
            };
            (name.clone(), number.map_or(text.into(), Value::from))
        })
        .collect()
}

/// The name without the word that marks it as custom.
fn plain(name: &str) -> &str {
    name.strip_prefix("custom-").unwrap_or(name)
}

fn missing(name: &str) -> Reply {
    Reply::failed(format!("custom CPU model '{name}' does not exist"))
}

impl World {
    fn cpu_model_entry(&self, name: &str) -> Option<Map<String, Value>> {
        let mut entry = self.cpu_models.0.get(name)?.clone();
        entry.insert("cputype".to_owned(), format!("custom-{name}").into());
        entry.insert("digest".to_owned(), self.cpu_models.digest().into());
        Some(entry)
    }

    /// The names of custom models, each with the model that it reports.
    pub(super) fn custom_cpu_models(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cpu_models.0.iter().map(|(name, model)| {
            let reported = model.get("reported-model").and_then(Value::as_str);
            (name.as_str(), reported.unwrap_or("kvm64"))
        })
    }

    pub(super) fn read_cpu_models(&self, rest: &[&str], call: &Call) -> Outcome {
        match rest {
            ["custom-cpu-models"] => {
                let all = self.cpu_models.0.keys();
                Ok(Reply::data(list(
                    all.filter_map(|name| self.cpu_model_entry(name)),
                )))
            }
            ["custom-cpu-models", name] => match self.cpu_model_entry(plain(name)) {
                Some(entry) => Ok(Reply::data(Value::Object(entry))),
                None => Err(Reply::failed(format!(
                    "Custom cputype '{}' not found",
                    plain(name)
                ))),
            },
            _ => Err(not_simulated(call)),
        }
    }

    pub(super) fn write_cpu_model(&mut self, rest: &[&str], call: &Call) -> Outcome {
        match (call.method.as_str(), rest) {
            ("POST", []) => {
                let name = call.text("cputype").unwrap_or_default();
                let name = plain(&name);
                if self.cpu_models.0.contains_key(name) {
                    let text = format!("custom CPU model '{name}' already exists");
                    return Err(Reply::failed(text));
                }
                self.cpu_models.0.insert(name.to_owned(), settings(call));
            }
            ("PUT", [name]) => {
                let delete = call.text("delete").unwrap_or_default();
                for fixed in ["cputype", "reported-model"] {
                    if names(&delete).any(|name| name == fixed) {
                        return Err(Reply::failed(format!("cannot delete '{fixed}'")));
                    }
                }
                self.cpu_models
                    .assert_unchanged(call)
                    .map_err(Reply::failed)?;
                let model = self.cpu_models.0.get_mut(plain(name));
                let model = model.ok_or_else(|| missing(plain(name)))?;
                for gone in names(&delete) {
                    model.shift_remove(gone);
                }
                model.extend(settings(call));
            }
            ("DELETE", [name]) => {
                let gone = self.cpu_models.0.remove(plain(name));
                gone.ok_or_else(|| missing(plain(name)))?;
            }
            _ => return Err(not_simulated(call)),
        }
        Ok(Reply::data(()))
    }
}
