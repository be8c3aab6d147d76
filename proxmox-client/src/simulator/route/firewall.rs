//! Firewalls of the cluster, of nodes, of guests and of vnets: options, rules and security groups.

mod macros;
mod object;
mod rule;

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
    /// Aliases by their names in small letters; only the cluster's file and those of guests have them.
    #[serde(default)]
    aliases: BTreeMap<String, Map<String, Value>>,
    /// IP sets, with their comments; as aliases.
    #[serde(default)]
    ip_sets: BTreeMap<String, (String, Vec<Map<String, Value>>)>,
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

pub(super) fn digest(text: &str) -> String {
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

pub(super) fn changed() -> Reply {
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
    if let Some(version) = rule::ip_version(&entry) {
        entry.insert("ipversion".to_owned(), version.into());
    }
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
                options.insert("digest".to_owned(), file.options_digest().into());
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
            ["macros"] if scope == "cluster" => Ok(Reply::data(macros::all())),
            ["log"] => match scope.split_once('/') {
                Some(("node", node)) => self.firewall_log(node, None, call),
                None if scope != "cluster" => {
                    let vmid = scope.parse().unwrap_or_default();
                    let node = self.guests.get(&vmid).map(|guest| guest.node().to_owned());
                    self.firewall_log(&node.unwrap_or_default(), Some(scope), call)
                }
                _ => Err(not_simulated(call)),
            },
            [noun @ ("aliases" | "ipset" | "refs"), rest @ ..] if has_objects(scope) => {
                self.read_firewall_objects(scope, noun, rest, call)
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
        if let [noun @ ("aliases" | "ipset"), rest @ ..] = rest
            && has_objects(scope)
        {
            return self.write_firewall_object(method, scope, noun, rest, call);
        }
        let known = self.firewall_names(scope);
        let file = self.firewalls.entry(scope.to_owned()).or_default();
        match (method, rest) {
            ("PUT", ["options"]) => {
                if call
                    .text("digest")
                    .is_some_and(|asked| asked != file.options_digest())
                {
                    return Err(changed());
                }
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
            (_, ["rules", rest @ ..]) => {
                write_rules(&mut file.rules, method, rest, call, &|rule| {
                    rule::verify(rule, rule::Place::of(scope), &known)
                })
            }
            ("POST", ["groups"]) if scope == "cluster" => {
                require(call, &["group"])?;
                let name = call.text("group").unwrap_or_default();
                if let Some(old) = call.text("rename") {
                    return file.rename_group(&old, name, call);
                }
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
                    Some((_, rules)) => write_rules(rules, method, rest, call, &|rule| {
                        rule::verify(rule, rule::Place::Group, &known)
                    }),
                    None => Err(Reply::failed(format!("no such security group '{name}'"))),
                }
            }
            _ => Err(not_simulated(call)),
        }
    }
}

impl Firewall {
    fn options_digest(&self) -> String {
        if self.options.is_empty() {
            return digest("");
        }
        digest(&Value::Object(self.options.clone()).to_string())
    }

    /// A group gets another comment. One that gets another name would take its rules' users along.
    fn rename_group(&mut self, old: &str, name: String, call: &Call) -> Outcome {
        let names: Vec<&str> = self.groups.keys().map(String::as_str).collect();
        if call
            .text("digest")
            .is_some_and(|asked| asked != digest(&names.concat()))
        {
            return Err(changed());
        }
        if !self.groups.contains_key(old) {
            let why = format!("Security group '{old}' does not exist");
            return Err(Reply::parameter("group", why));
        }
        if old != name {
            return Err(not_simulated(call));
        }
        if let (Some((comment, _)), Some(new)) = (self.groups.get_mut(&name), call.text("comment"))
        {
            *comment = new;
        }
        Ok(Reply::data(()))
    }
}

/// Whether a rule may stand there.
type Verify<'a> = dyn Fn(&Map<String, Value>) -> Result<(), Reply> + 'a;

/// Whether a firewall may have aliases and IP sets: the cluster's and those of guests.
fn has_objects(scope: &str) -> bool {
    !scope.contains('/')
}

/// A rule goes to the top, or where it is asked to, and is off unless it says otherwise.
fn write_rules(
    rules: &mut Vec<Map<String, Value>>,
    method: &str,
    rest: &[&str],
    call: &Call,
    verify: &Verify<'_>,
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
            verify(&rule)?;
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
                let mut rule = rules[index].clone();
                rule.extend(values());
                for key in call.text("delete").unwrap_or_default().split(',') {
                    rule.shift_remove(key);
                }
                verify(&rule)?;
                rules[index] = rule;
            }
        },
        ("DELETE", Some(index)) => {
            rules.remove(index);
        }
        _ => return Err(not_simulated(call)),
    }
    Ok(Reply::data(()))
}
