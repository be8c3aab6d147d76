//! Whom the cluster tells what happens: endpoints and matchers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::schema::sub_key;
use crate::simulator::section::MODIFIED;
use crate::simulator::world::World;

/// An endpoint or a matcher.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
struct Section {
    /// `gotify`, `sendmail`, `smtp`, `webhook` or `matcher`.
    kind: String,
    settings: Map<String, Value>,
    /// What the server never shows.
    secret: Map<String, Value>,
    origin: String,
}

/// Endpoints and matchers by their names, which they share, and the targets that messages were sent to.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct Notifications {
    sections: BTreeMap<String, Section>,
    sent: Vec<String>,
}

const KINDS: [&str; 4] = ["gotify", "sendmail", "smtp", "webhook"];

/// What is never shown, by kind.
fn secrets(kind: &str) -> &'static [&'static str] {
    match kind {
        "gotify" => &["token"],
        "smtp" => &["password"],
        _ => &[],
    }
}

/// Settings that are lists.
const LISTS: [&str; 8] = [
    "mailto",
    "mailto-user",
    "header",
    "secret",
    "target",
    "match-severity",
    "match-field",
    "match-calendar",
];

/// Settings that are numbers or flags.
const NUMBERS: [&str; 3] = ["disable", "port", "invert-match"];

/// What the server comes with.
fn built_in(name: &str) -> Option<Section> {
    let (kind, settings) = match name {
        "mail-to-root" => (
            "sendmail",
            json!({
                "mailto-user": ["root@pam"], "comment": "Send mails to root@pam's email address",
            }),
        ),
        "default-matcher" => (
            "matcher",
            json!({
                "mode": "all", "target": ["mail-to-root"],
                "comment": "Route all notifications to mail-to-root",
            }),
        ),
        _ => return None,
    };
    Some(Section {
        kind: kind.to_owned(),
        settings: settings.as_object().cloned().unwrap_or_default(),
        secret: Map::new(),
        origin: "builtin".to_owned(),
    })
}

impl Section {
    fn is_endpoint(&self) -> bool {
        KINDS.contains(&self.kind.as_str())
    }

    fn told(&self, name: &str) -> Map<String, Value> {
        let mut out = self.settings.clone();
        out.insert("name".to_owned(), name.into());
        out.insert("origin".to_owned(), self.origin.as_str().into());
        if let Some(Value::Array(secrets)) = out.get_mut("secret") {
            for secret in secrets {
                let text = text_of(secret);
                let name = sub_key(&text, "name").unwrap_or_default();
                *secret = format!("name={name}").into();
            }
        }
        out
    }

    /// Takes over what a call sets.
    fn set(&mut self, call: &Call) {
        for (key, value) in &call.params {
            if ["name", "delete", "digest"].contains(&key.as_str()) {
                continue;
            }
            if secrets(&self.kind).contains(&key.as_str()) {
                self.secret.insert(key.clone(), value.clone());
                continue;
            }
            let value = match value {
                Value::Array(_) => value.clone(),
                one if LISTS.contains(&key.as_str()) => json!([one]),
                one => {
                    let text = text_of(one);
                    match text.parse::<u64>() {
                        Ok(number) if NUMBERS.contains(&key.as_str()) => number.into(),
                        _ => text.into(),
                    }
                }
            };
            self.settings.insert(key.clone(), value);
        }
    }

    /// What no section may be.
    fn check(&self, all: &Notifications, call: &Call) -> Result<(), Reply> {
        let empty = |key: &str| {
            let list = self.settings.get(key).and_then(Value::as_array);
            list.is_none_or(Vec::is_empty)
        };
        if matches!(self.kind.as_str(), "sendmail" | "smtp")
            && empty("mailto")
            && empty("mailto-user")
        {
            let text = "must at least provide one recipient, either in mailto or in mailto-user";
            return Err(Reply::refusal(400, text));
        }
        let texts = |key: &str| -> Vec<String> {
            let list = self.settings.get(key).and_then(Value::as_array);
            list.into_iter().flatten().map(text_of).collect()
        };
        if let Some(missing) = texts("target")
            .into_iter()
            .find(|target| all.endpoint(target).is_none())
        {
            let text = format!("endpoint '{missing}' does not exist");
            return Err(Reply::refusal(404, text));
        }
        let known = ["info", "notice", "warning", "error", "unknown"];
        let severities = texts("match-severity").join(",");
        let odd = |severity: &str| !severity.is_empty() && !known.contains(&severity);
        let field = |rule: &String| {
            let rest = rule.strip_prefix("exact:").or(rule.strip_prefix("regex:"));
            rest.is_some_and(|rest| rest.contains('='))
        };
        if severities.split(',').any(|one| odd(one.trim()))
            || !texts("match-field").iter().all(field)
        {
            // The words for rules that cannot be read are not known.
            return Err(not_simulated(call));
        }
        Ok(())
    }
}

impl Notifications {
    /// With what the server comes with.
    fn all(&self) -> BTreeMap<String, Section> {
        let mut all = self.sections.clone();
        for name in ["mail-to-root", "default-matcher"] {
            if let (false, Some(section)) = (all.contains_key(name), built_in(name)) {
                all.insert(name.to_owned(), section);
            }
        }
        all
    }

    fn endpoint(&self, name: &str) -> Option<Section> {
        self.all().remove(name).filter(Section::is_endpoint)
    }

    fn digest(&self) -> String {
        let text = json!(self.sections).to_string();
        let hash = Sha256::digest(text.as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The matchers that send to an endpoint.
    fn users_of(&self, name: &str) -> Vec<String> {
        let all = self.all().into_iter();
        let uses = |section: &Section| {
            let targets = section.settings.get("target").and_then(Value::as_array);
            targets.is_some_and(|targets| targets.contains(&name.into()))
        };
        let users = all.filter(|(_, section)| uses(section));
        users.map(|(name, _)| name).collect()
    }

    fn list(&self, kind: &str) -> Value {
        let all = self.all().into_iter();
        let wanted = all.filter(|(_, section)| section.kind == kind);
        wanted
            .map(|(name, section)| Value::Object(section.told(&name)))
            .collect()
    }

    fn write(&mut self, method: &str, kind: &str, name: Option<&str>, call: &Call) -> Outcome {
        let missing = |name: &str| {
            let what = if kind == "matcher" {
                "matcher"
            } else {
                "endpoint"
            };
            Reply::refusal(404, format!("{what} '{name}' not found"))
        };
        match (method, name) {
            ("POST", None) => {
                let name = call.text("name").unwrap_or_default();
                if self.all().contains_key(&name) {
                    let text = format!(
                        "Cannot create '{name}', an entity with the same name already exists"
                    );
                    return Err(Reply::refusal(400, text));
                }
                let mut section = Section {
                    kind: kind.to_owned(),
                    settings: Map::new(),
                    secret: Map::new(),
                    origin: "user-created".to_owned(),
                };
                section.set(call);
                section.check(self, call)?;
                self.sections.insert(name, section);
            }
            ("PUT", Some(name)) => {
                if call
                    .text("digest")
                    .is_some_and(|asked| asked != self.digest())
                {
                    return Err(Reply::refusal(400, MODIFIED));
                }
                let found = self
                    .all()
                    .remove(name)
                    .filter(|section| section.kind == kind);
                let mut section = found.ok_or_else(|| missing(name))?;
                for key in list_of(call.params.get("delete")) {
                    section.settings.shift_remove(&key);
                    section.secret.shift_remove(&key);
                }
                section.set(call);
                section.check(self, call)?;
                if section.origin == "builtin" {
                    section.origin = "modified-builtin".to_owned();
                }
                self.sections.insert(name.to_owned(), section);
            }
            ("DELETE", Some(name)) => {
                let found = self
                    .all()
                    .remove(name)
                    .filter(|section| section.kind == kind);
                found.ok_or_else(|| missing(name))?;
                let users = self.users_of(name);
                if !users.is_empty() {
                    let text = format!(
                        "cannot delete '{name}', referenced by: {}",
                        users.join(", ")
                    );
                    return Err(Reply::refusal(400, text));
                }
                // What the server comes with is as it was again.
                self.sections.remove(name);
            }
            _ => return Err(not_simulated(call)),
        }
        Ok(Reply::data(()))
    }
}

fn list_of(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().map(text_of).collect(),
        Some(one) => vec![text_of(one)],
        None => Vec::new(),
    }
}

/// The kind and the name of an object from its path.
fn place<'a>(rest: &[&'a str]) -> Option<(&'a str, Option<&'a str>)> {
    match rest {
        ["endpoints", kind] if KINDS.contains(kind) => Some((kind, None)),
        ["endpoints", kind, name] if KINDS.contains(kind) => Some((kind, Some(name))),
        ["matchers"] => Some(("matcher", None)),
        ["matchers", name] => Some(("matcher", Some(name))),
        _ => None,
    }
}

impl World {
    /// The targets that test messages were sent to, in order.
    pub fn notified(&self) -> &[String] {
        &self.notifications.sent
    }

    pub(super) fn read_notifications(&self, rest: &[&str], call: &Call) -> Outcome {
        let index = |names: &[&str]| {
            let entries = names.iter().map(|name| json!({ "name": name }));
            Ok(Reply::data(entries.collect::<Value>()))
        };
        let all = &self.notifications;
        match rest {
            [] => index(&[
                "endpoints",
                "matchers",
                "targets",
                "matcher-fields",
                "matcher-field-values",
            ]),
            ["endpoints"] => index(&KINDS),
            ["targets"] => {
                let targets = all.all().into_iter().filter(|(_, one)| one.is_endpoint());
                let entries = targets.map(|(name, section)| {
                    let mut entry = json!({
                        "name": name, "type": section.kind, "origin": section.origin,
                    });
                    for key in ["comment", "disable"] {
                        if let Some(value) = section.settings.get(key) {
                            entry[key] = value.clone();
                        }
                    }
                    entry
                });
                Ok(Reply::data(entries.collect::<Value>()))
            }
            ["matcher-fields"] => index(&["type", "hostname", "job-id"]),
            ["matcher-field-values"] => Ok(Reply::data(self.field_values())),
            _ => {
                let (kind, name) = place(rest).ok_or_else(|| not_simulated(call))?;
                let Some(name) = name else {
                    return Ok(Reply::data(all.list(kind)));
                };
                let found = all
                    .all()
                    .remove(name)
                    .filter(|section| section.kind == kind);
                let what = if kind == "matcher" { kind } else { "endpoint" };
                let missing = || Reply::refusal(404, format!("{what} '{name}' not found"));
                let mut told = found.ok_or_else(missing)?.told(name);
                told.insert("digest".to_owned(), all.digest().into());
                Ok(Reply::data(told))
            }
        }
    }

    fn field_values(&self) -> Value {
        let types = [
            "fencing",
            "package-updates",
            "replication",
            "system-mail",
            "vzdump",
        ];
        let types = types.iter().map(|kind| ("type", (*kind).to_owned()));
        let nodes = self.nodes.keys().map(|name| ("hostname", name.clone()));
        let jobs = self.backup_jobs.0.keys().map(|id| ("job-id", id.clone()));
        let all = types.chain(nodes).chain(jobs);
        all.map(|(field, value)| json!({ "field": field, "value": value }))
            .collect()
    }

    pub(super) fn write_notifications(
        &mut self,
        method: &str,
        rest: &[&str],
        call: &Call,
    ) -> Outcome {
        if let ("POST", ["targets", name, "test"]) = (method, rest) {
            let Some(target) = self.notifications.endpoint(name) else {
                let text = format!("endpoint '{name}' does not exist");
                return Err(Reply::refusal(404, text));
            };
            let address = ["server", "url"]
                .iter()
                .find_map(|key| target.settings.get(*key));
            let address = address.map(text_of).unwrap_or_default();
            if self
                .around
                .unreachable
                .iter()
                .any(|server| address.contains(server.as_str()))
            {
                // The words of the failure are those of libraries.
                return Err(not_simulated(call));
            }
            self.notifications.sent.push((*name).to_owned());
            return Ok(Reply::data(()));
        }
        let (kind, name) = place(rest).ok_or_else(|| not_simulated(call))?;
        self.notifications.write(method, kind, name, call)
    }
}
