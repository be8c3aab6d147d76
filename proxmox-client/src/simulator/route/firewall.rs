//! Firewalls of the cluster, of nodes and of guests: options, rules and security groups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha1::{Digest, Sha1};

use super::shared::require;
use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::world::World;

/// A firewall file.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct Firewall {
    options: Map<String, Value>,
    rules: Vec<Map<String, Value>>,
    /// Security groups; only the cluster's file has them.
    groups: BTreeMap<String, (String, Vec<Map<String, Value>>)>,
}

/// Parameters that are not part of a rule.
const NOT_RULE: [&str; 8] = [
    "pos", "digest", "moveto", "delete", "node", "vmid", "group", "rename",
];

const NUMBERS: [&str; 8] = [
    "enable",
    "dhcp",
    "ndp",
    "ipfilter",
    "macfilter",
    "radv",
    "ebtables",
    "nf_conntrack_max",
];

fn digest(text: &str) -> String {
    let hash = Sha1::digest(text.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest_of(rules: &[Map<String, Value>]) -> String {
    let lines: Vec<String> = rules
        .iter()
        .map(|rule| Value::Object(rule.clone()).to_string())
        .collect();
    digest(&lines.concat())
}

fn changed() -> Reply {
    Reply::failed("detected modified configuration - file changed by other user? Try again.")
}

fn stored(key: &str, value: &Value) -> Value {
    let text = text_of(value);
    match text.parse::<i64>() {
        Ok(number) if NUMBERS.contains(&key) => number.into(),
        _ => text.into(),
    }
}

fn shown(rules: &[Map<String, Value>], index: usize) -> Option<Map<String, Value>> {
    let mut entry = rules.get(index)?.clone();
    entry.insert("pos".to_owned(), index.into());
    entry.insert("digest".to_owned(), digest_of(rules).into());
    Some(entry)
}

impl World {
    pub(super) fn read_firewall(&self, scope: &str, rest: &[&str], call: &Call) -> Outcome {
        let empty = Firewall::default();
        let file = self.firewalls.get(scope).unwrap_or(&empty);
        let all = |rules: &[Map<String, Value>]| {
            Reply::data(list(
                (0..rules.len()).filter_map(|index| shown(rules, index)),
            ))
        };
        let one = |rules: &[Map<String, Value>], position: &str| {
            let index = position.parse().unwrap_or(usize::MAX);
            match shown(rules, index) {
                Some(rule) => Ok(Reply::data(rule)),
                None => Err(Reply::failed(format!("no rule at position {position}"))),
            }
        };
        match rest {
            ["options"] => {
                let mut options = file.options.clone();
                let text = Value::Object(file.options.clone()).to_string();
                let text = if file.options.is_empty() {
                    ""
                } else {
                    text.as_str()
                };
                options.insert("digest".to_owned(), digest(text).into());
                Ok(Reply::data(options))
            }
            ["rules"] => Ok(all(&file.rules)),
            ["rules", position] => one(&file.rules, position),
            ["groups"] if scope == "cluster" => {
                let names: Vec<&str> = file.groups.keys().map(String::as_str).collect();
                let digest = digest(&names.concat());
                Ok(Reply::data(list(file.groups.iter().map(
                    |(name, (comment, _))| {
                        let mut entry = Map::new();
                        entry.insert("group".to_owned(), name.as_str().into());
                        entry.insert("comment".to_owned(), comment.as_str().into());
                        entry.insert("digest".to_owned(), digest.as_str().into());
                        entry
                    },
                ))))
            }
            ["groups", name, rest @ ..] if scope == "cluster" => {
                let Some((_, rules)) = file.groups.get(*name) else {
                    return Err(Reply::failed(format!("no such security group '{name}'")));
                };
                match rest {
                    [] => Ok(all(rules)),
                    [position] => one(rules, position),
                    _ => Err(not_simulated(call)),
                }
            }
            _ => Err(not_simulated(call)),
        }
    }

    pub(super) fn write_firewall(
        &mut self,
        method: &str,
        scope: &str,
        rest: &[&str],
        call: &Call,
    ) -> Outcome {
        let file = self.firewalls.entry(scope.to_owned()).or_default();
        match (method, rest) {
            ("PUT", ["options"]) => {
                for (key, value) in &call.params {
                    if !NOT_RULE.contains(&key.as_str()) {
                        file.options.insert(key.clone(), stored(key, value));
                    }
                }
                for key in call.text("delete").unwrap_or_default().split(',') {
                    file.options.shift_remove(key);
                }
                Ok(Reply::data(()))
            }
            (_, ["rules", rest @ ..]) => write_rules(&mut file.rules, method, rest, call),
            ("POST", ["groups"]) if scope == "cluster" => {
                require(call, &["group"])?;
                let name = call.text("group").unwrap_or_default();
                if file.groups.contains_key(&name) {
                    return Err(Reply::parameter(
                        "group",
                        format!("Security group '{name}' already exists"),
                    ));
                }
                let comment = call.text("comment").unwrap_or_default();
                file.groups.insert(name, (comment, Vec::new()));
                Ok(Reply::data(()))
            }
            ("DELETE", ["groups", name]) if scope == "cluster" => match file.groups.get(*name) {
                None => Err(Reply::failed(format!("no such security group '{name}'"))),
                Some((_, rules)) if !rules.is_empty() => Err(Reply::failed(format!(
                    "Security group '{name}' is not empty"
                ))),
                Some(_) => {
                    file.groups.remove(*name);
                    Ok(Reply::data(()))
                }
            },
            (_, ["groups", name, rest @ ..]) if scope == "cluster" => {
                match file.groups.get_mut(*name) {
                    Some((_, rules)) => write_rules(rules, method, rest, call),
                    None => Err(Reply::failed(format!("no such security group '{name}'"))),
                }
            }
            _ => Err(not_simulated(call)),
        }
    }
}

/// A rule goes to the top, or where it is asked to, and is off unless it says otherwise.
fn write_rules(
    rules: &mut Vec<Map<String, Value>>,
    method: &str,
    rest: &[&str],
    call: &Call,
) -> Outcome {
    if call
        .text("digest")
        .is_some_and(|asked| asked != digest_of(rules))
    {
        return Err(changed());
    }
    let values = || {
        call.params
            .iter()
            .filter(|(key, _)| !NOT_RULE.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), stored(key, value)))
    };
    let index = match rest {
        [position] => {
            let index: usize = position.parse().unwrap_or(usize::MAX);
            if index >= rules.len() {
                return Err(Reply::failed(format!("no rule at position {position}")));
            }
            Some(index)
        }
        _ => None,
    };
    match (method, index) {
        ("POST", None) => {
            require(call, &["action", "type"])?;
            let mut rule = Map::new();
            rule.insert("enable".to_owned(), 0.into());
            rule.extend(values());
            let at = call.number("pos").unwrap_or(0) as usize;
            rules.insert(at.min(rules.len()), rule);
        }
        ("PUT", Some(index)) => match call.number("moveto") {
            // The position counts before the rule is taken out.
            Some(to) => {
                let rule = rules.remove(index);
                let to = to as usize;
                let to = if to > index { to - 1 } else { to };
                rules.insert(to.min(rules.len()), rule);
            }
            None => {
                rules[index].extend(values());
                for key in call.text("delete").unwrap_or_default().split(',') {
                    rules[index].shift_remove(key);
                }
            }
        },
        ("DELETE", Some(index)) => {
            rules.remove(index);
        }
        _ => return Err(not_simulated(call)),
    }
    Ok(Reply::data(()))
}
