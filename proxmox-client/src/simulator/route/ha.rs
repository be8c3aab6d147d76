//! High availability: resources, groups or rules, and what the manager does in its rounds.

mod feasible;
mod manager;
mod place;
mod told;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::shared::names;
use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::section::settings;
use crate::simulator::section::{
    Opt, Param, Sections, Shape, change_section, check, check_section,
};
use crate::simulator::world::World;

pub(in super::super) use manager::Managed;

/// The state of high availability.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct Ha {
    resources: Sections,
    groups: Sections,
    rules: Sections,
    /// What the manager makes of the resources.
    managed: std::collections::BTreeMap<String, Managed>,
}

const STATES: &[&str] = &["started", "stopped", "enabled", "disabled", "ignored"];

const MANY: i64 = i64::MAX;

/// Options of a resource.
const RESOURCE: [Opt; 6] = [
    Opt::optional("state"),
    Opt::optional("group"),
    Opt::optional("comment"),
    Opt::optional("failback"),
    Opt::optional("max_restart"),
    Opt::optional("max_relocate"),
];

const RESOURCE_PARAMS: [Param; 9] = [
    Param::new("state", Shape::OneOf(STATES)),
    Param::new("group", Shape::Format(configuration_id)),
    Param::new("comment", Shape::Text),
    Param::new("failback", Shape::Flag),
    Param::new("max_restart", Shape::Integer(0, MANY)),
    Param::new("max_relocate", Shape::Integer(0, MANY)),
    Param::new("type", Shape::OneOf(&["ct", "vm"])),
    Param::new("digest", Shape::Text),
    Param::new("delete", Shape::Text),
];

const GROUP: [Opt; 4] = [
    Opt::required("nodes"),
    Opt::optional("restricted"),
    Opt::optional("nofailback"),
    Opt::optional("comment"),
];

const GROUP_PARAMS: [Param; 7] = [
    Param::new("nodes", Shape::Format(node_list)),
    Param::new("restricted", Shape::Flag),
    Param::new("nofailback", Shape::Flag),
    Param::new("comment", Shape::Text),
    Param::new("type", Shape::OneOf(&["group"])),
    Param::new("digest", Shape::Text),
    Param::new("delete", Shape::Text),
];

const NODE_AFFINITY: [Opt; 5] = [
    Opt::required("resources"),
    Opt::required("nodes"),
    Opt::optional("strict"),
    Opt::optional("disable"),
    Opt::optional("comment"),
];

const RESOURCE_AFFINITY: [Opt; 4] = [
    Opt::required("resources"),
    Opt::required("affinity"),
    Opt::optional("disable"),
    Opt::optional("comment"),
];

const RULE_TYPES: &[&str] = &["node-affinity", "resource-affinity"];

const RULE_PARAMS: [Param; 9] = [
    Param::required("type", Shape::OneOf(RULE_TYPES)),
    Param::new("resources", Shape::Format(resource_list)),
    Param::new("nodes", Shape::Format(node_list)),
    Param::new("strict", Shape::Flag),
    Param::new("affinity", Shape::OneOf(&["positive", "negative"])),
    Param::new("disable", Shape::Flag),
    Param::new("comment", Shape::Text),
    Param::new("digest", Shape::Text),
    Param::new("delete", Shape::Text),
];

fn configuration_id(text: &str) -> Result<(), String> {
    let mut bytes = text.bytes();
    let good = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && text.len() >= 2
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match good {
        true => Ok(()),
        false => Err(format!("invalid configuration ID '{text}'")),
    }
}

fn is_node_entry(entry: &str) -> bool {
    let (node, priority) = entry.split_once(':').unwrap_or((entry, "0"));
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !node.is_empty()
        && node.bytes().all(inner)
        && !node.starts_with('-')
        && !node.ends_with('-')
        && !priority.is_empty()
        && priority.bytes().all(|byte| byte.is_ascii_digit())
}

fn node_list(text: &str) -> Result<(), String> {
    match names(text).all(is_node_entry) {
        true => Ok(()),
        false => Err("value does not look like a valid ha node".to_owned()),
    }
}

fn is_sid(text: &str) -> bool {
    text.split_once(':').is_some_and(|(kind, name)| {
        !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase()) && !name.is_empty()
    })
}

fn resource_list(text: &str) -> Result<(), String> {
    match names(text).all(is_sid) {
        true => Ok(()),
        false => Err("value does not look like a valid ha resource id".to_owned()),
    }
}

/// Parameters of a call that names a section itself.
fn with_name(name: &'static str, params: &[Param], required: &[&str]) -> Vec<Param> {
    let mut all = vec![Param::required(name, Shape::Text)];
    all.extend(
        params
            .iter()
            .filter(|param| !["digest", "delete"].contains(&param.name))
            .map(|param| match required.contains(&param.name) {
                true => param.needed(),
                false => *param,
            }),
    );
    all
}

impl World {
    /// Groups were turned into rules, or never were.
    fn has_rules(&self) -> bool {
        self.served_release() >= (9, 0) && self.ha.groups.0.is_empty()
    }

    pub(super) fn read_ha(&self, rest: &[&str], call: &Call) -> Outcome {
        match rest {
            ["resources"] => {
                let kind = call.text("type");
                let all = self.ha.resources.0.keys();
                let wanted = all.filter(|sid| {
                    kind.as_ref()
                        .is_none_or(|kind| sid.split(':').next() == Some(kind))
                });
                Ok(Reply::data(list(
                    wanted.filter_map(|sid| self.shown_resource(sid)),
                )))
            }
            ["resources", sid] => {
                let sid = self.full_sid(sid)?;
                match self.shown_resource(&sid) {
                    Some(entry) => Ok(Reply::data(entry)),
                    None => Err(Reply::failed(format!("no such resource '{sid}'"))),
                }
            }
            ["groups", rest @ ..] => self.read_ha_groups(rest, call),
            ["rules", rest @ ..] => self.read_ha_rules(rest, call),
            ["status", "current"] => Ok(Reply::data(self.ha_status())),
            ["status", "manager_status"] => Ok(Reply::data(self.ha_manager_status())),
            _ => Err(not_simulated(call)),
        }
    }

    fn shown_resource(&self, sid: &str) -> Option<Map<String, Value>> {
        let mut entry = self.ha.resources.0.get(sid)?.clone();
        if self.has_rules() {
            entry.shift_remove("group");
        }
        entry.insert("sid".to_owned(), sid.into());
        entry.insert("digest".to_owned(), self.ha.resources.digest().into());
        Some(entry)
    }

    fn read_ha_groups(&self, rest: &[&str], call: &Call) -> Outcome {
        let migrated = |what: &str| {
            Err(Reply::failed(format!(
                "cannot {what}: ha groups have been migrated to rules"
            )))
        };
        let shown = |name: &str| {
            let mut entry = self.ha.groups.0.get(name)?.clone();
            entry.insert("group".to_owned(), name.into());
            entry.insert("digest".to_owned(), self.ha.groups.digest().into());
            Some(entry)
        };
        match rest {
            [] if self.has_rules() => migrated("index groups"),
            [_] if self.has_rules() => migrated("read group"),
            [] => Ok(Reply::data(list(
                self.ha.groups.0.keys().filter_map(|name| shown(name)),
            ))),
            [name] => match shown(name) {
                Some(entry) => Ok(Reply::data(entry)),
                None => Err(Reply::failed(format!("no such ha group '{name}'"))),
            },
            _ => Err(not_simulated(call)),
        }
    }

    fn read_ha_rules(&self, rest: &[&str], call: &Call) -> Outcome {
        let rules = self.all_rules();
        match rest {
            [] => {
                let (kind, resource) = (call.text("type"), call.text("resource"));
                let wanted = |rule: &Map<String, Value>| {
                    kind.as_ref()
                        .is_none_or(|kind| rule["type"] == kind.as_str())
                        && resource
                            .as_ref()
                            .is_none_or(|sid| feasible::resources_of(rule).contains(sid.as_str()))
                };
                let mut found: Vec<Map<String, Value>> = rules
                    .0
                    .keys()
                    .filter_map(|name| self.shown_rule(&rules, name))
                    .collect();
                found.retain(wanted);
                found.sort_by_key(|rule| rule["order"].as_u64());
                Ok(Reply::data(list(found)))
            }
            [name] => match self.shown_rule(&rules, name) {
                Some(rule) => Ok(Reply::data(rule)),
                None => Err(Reply::failed(format!("no such ha rule '{name}'"))),
            },
            _ => Err(not_simulated(call)),
        }
    }

    /// The rules, with those that stand for groups that were not turned into rules yet.
    fn all_rules(&self) -> Sections {
        let mut rules = self.ha.rules.clone();
        for (name, group) in &self.ha.groups.0 {
            let members: Vec<&str> = self
                .ha
                .resources
                .0
                .iter()
                .filter(|(_, resource)| resource.get("group").and_then(Value::as_str) == Some(name))
                .map(|(sid, _)| sid.as_str())
                .collect();
            if members.is_empty() {
                continue;
            }
            let comment = group
                .get("comment")
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty());
            let comment = comment.map_or_else(
                || format!("Generated from HA group '{name}'."),
                str::to_owned,
            );
            let rule = json!({
                "type": "node-affinity", "resources": members.join(","), "nodes": group["nodes"],
                "strict": group.get("restricted").cloned().unwrap_or_else(|| 0.into()),
                "comment": comment, "order": next_order(&rules),
            });
            if let Value::Object(rule) = rule {
                rules.0.insert(format!("ha-group-{name}"), rule);
            }
        }
        rules
    }

    fn shown_rule(&self, rules: &Sections, name: &str) -> Option<Map<String, Value>> {
        let mut rule = rules.0.get(name)?.clone();
        if rule["type"] == "node-affinity" && !rule.contains_key("strict") {
            rule.insert("strict".to_owned(), 0.into());
        }
        rule.insert("rule".to_owned(), name.into());
        rule.insert("digest".to_owned(), self.ha.rules.digest().into());
        let errors = feasible::problems(rules, self.nodes.len());
        if let Some(errors) = errors.get(name) {
            rule.insert("errors".to_owned(), json!(errors));
        }
        Some(rule)
    }

    pub(super) fn write_ha(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        match (method, rest) {
            ("POST", ["resources"]) => self.add_resource(call),
            ("PUT", ["resources", sid]) => self.change_resource(sid, call),
            ("DELETE", ["resources", sid]) => self.remove_resource(sid, call),
            ("POST", ["resources", sid, how @ ("migrate" | "relocate")]) => {
                self.request_motion(sid, how, call)
            }
            (_, ["groups", rest @ ..]) => self.write_ha_group(method, rest, call),
            (_, ["rules", rest @ ..]) => self.write_ha_rule(method, rest, call),
            _ => Err(not_simulated(call)),
        }
    }

    /// A resource's identifier, also where only the guest's id is given.
    fn full_sid(&self, text: &str) -> Result<String, Reply> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let own = text.parse().ok().and_then(|vmid| self.own_sid(vmid));
            return own.ok_or_else(|| {
                Reply::failed(format!(
                    "unable to detect SID from VMID - VM/CT {text} does not exist"
                ))
            });
        }
        if is_sid(text) {
            Ok(text.to_owned())
        } else {
            let why = "invalid format - value does not look like a valid ha resource id\n";
            Err(Reply::parameter("sid", why))
        }
    }

    fn add_resource(&mut self, call: &Call) -> Outcome {
        check(call, &with_name("sid", &RESOURCE_PARAMS, &[]), &[])?;
        let sid = self.full_sid(&call.text("sid").unwrap_or_default())?;
        let (kind, name) = sid.split_once(':').unwrap_or_default();
        if call.text("type").is_some_and(|asked| asked != kind) {
            return Err(Reply::failed("types does not match"));
        }
        self.refuse_group(call)?;
        let guest = name.parse().ok().and_then(|vmid| self.own_sid(vmid));
        match (kind, guest) {
            ("vm" | "ct", Some(own)) if own == sid => {}
            ("vm" | "ct", Some(_)) => {
                let noun = if kind == "vm" { "VM" } else { "CT" };
                return Err(Reply::failed(format!(
                    "resource '{sid}' - guest with ID {name} is not a {noun}"
                )));
            }
            ("vm" | "ct", None) => {
                let text = format!("resource '{sid}' does not exist in cluster");
                return Err(Reply::failed(text));
            }
            _ => return Err(not_simulated(call)),
        }
        let mut section = settings(call, &RESOURCE_PARAMS, &["type"]);
        check_section(&section, &RESOURCE, true).map_err(Reply::failed)?;
        if self.ha.resources.0.contains_key(&sid) {
            return Err(Reply::failed(format!(
                "create resource failed: resource ID '{sid}' already defined"
            )));
        }
        section.insert("type".to_owned(), kind.into());
        self.ha.resources.0.insert(sid.clone(), section);
        self.ha_changed(&sid);
        Ok(Reply::data(()))
    }

    fn refuse_group(&self, call: &Call) -> Result<(), Reply> {
        match call.text("group") {
            Some(_) if self.has_rules() => Err(Reply::failed(
                "invalid parameter 'group': ha groups have been migrated to rules",
            )),
            Some(group) if call.method == "PUT" && !self.ha.groups.0.contains_key(&group) => {
                Err(Reply::failed(format!("HA group '{group}' does not exist")))
            }
            _ => Ok(()),
        }
    }

    fn change_resource(&mut self, sid: &str, call: &Call) -> Outcome {
        check(call, &RESOURCE_PARAMS, &["sid"])?;
        let sid = self.full_sid(sid)?;
        self.refuse_group(call)?;
        self.refuse_in_error(&sid, call.text("state").as_deref())?;
        let refused = |why: String| Reply::failed(format!("update resources config failed: {why}"));
        self.ha.resources.assert_unchanged(call).map_err(refused)?;
        let changes = settings(call, &RESOURCE_PARAMS, &["type", "digest", "delete"]);
        let Some(section) = self.ha.resources.0.get_mut(&sid) else {
            return Err(refused(format!("no such resource '{sid}'")));
        };
        change_section(section, changes, &RESOURCE, call.text("delete").as_deref())
            .map_err(refused)?;
        self.ha_changed(&sid);
        Ok(Reply::data(()))
    }

    fn remove_resource(&mut self, sid: &str, call: &Call) -> Outcome {
        check(call, &[Param::new("purge", Shape::Flag)], &["sid"])?;
        let sid = self.full_sid(sid)?;
        if !self.ha.resources.0.contains_key(&sid) {
            return Err(Reply::failed(format!(
                "cannot delete service '{sid}', not HA managed!"
            )));
        }
        self.forget_resource(&sid, call.text("purge").as_deref() != Some("0"));
        Ok(Reply::data(()))
    }

    /// Takes a resource out of the configuration; purging takes it out of the rules too.
    pub(in super::super) fn forget_resource(&mut self, sid: &str, purge: bool) -> bool {
        let had = self.ha.resources.0.remove(sid).is_some();
        self.ha.managed.remove(sid);
        if purge {
            for rule in self.ha.rules.0.values_mut() {
                let mut left = feasible::resources_of(rule);
                left.remove(sid);
                let left: Vec<String> = left.into_iter().collect();
                rule.insert("resources".to_owned(), left.join(",").into());
            }
            self.ha.rules.0.retain(|_, rule| rule["resources"] != "");
        }
        had
    }

    fn write_ha_group(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let verb = match method {
            "POST" => "create",
            "PUT" => "update",
            _ => "delete",
        };
        // A server of version 9 without groups takes none any more.
        if self.has_rules() {
            return Err(Reply::failed(format!(
                "cannot {verb} group: ha groups have been migrated to rules"
            )));
        }
        let refused = |why: String| Reply::failed(format!("{verb} ha group failed: {why}"));
        match (method, rest) {
            ("POST", []) => {
                check(call, &with_name("group", &GROUP_PARAMS, &["nodes"]), &[])?;
                let name = call.text("group").unwrap_or_default();
                if let Err(why) = configuration_id(&name) {
                    return Err(Reply::parameter(
                        "group",
                        format!("invalid format - {why}\n"),
                    ));
                }
                let mut section = settings(call, &GROUP_PARAMS, &["type"]);
                check_section(&section, &GROUP, true).map_err(Reply::failed)?;
                if self.ha.groups.0.contains_key(&name) {
                    return Err(refused(format!("ha group ID '{name}' already defined")));
                }
                section.insert("type".to_owned(), "group".into());
                self.ha.groups.0.insert(name, section);
            }
            ("PUT", [name]) => {
                check(call, &GROUP_PARAMS, &["group"])?;
                self.ha.groups.assert_unchanged(call).map_err(refused)?;
                let changes = settings(call, &GROUP_PARAMS, &["type", "digest", "delete"]);
                let Some(section) = self.ha.groups.0.get_mut(*name) else {
                    return Err(refused(format!("no such ha group '{name}'")));
                };
                change_section(section, changes, &GROUP, call.text("delete").as_deref())
                    .map_err(refused)?;
            }
            ("DELETE", [name]) => {
                let user = self.ha.resources.0.iter().find(|(_, resource)| {
                    resource.get("group").and_then(Value::as_str) == Some(*name)
                });
                if let Some((sid, _)) = user {
                    return Err(refused(format!("ha group is used by service '{sid}'")));
                }
                self.ha.groups.0.remove(*name);
            }
            _ => return Err(not_simulated(call)),
        }
        self.look_at_resources();
        Ok(Reply::data(()))
    }

    fn write_ha_rule(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let early = |verb: &str| {
            Reply::failed(format!(
                "cannot {verb} ha rule: ha groups have not been migrated yet"
            ))
        };
        match (method, rest) {
            ("POST", []) => {
                check(call, &with_name("rule", &RULE_PARAMS, &["resources"]), &[])?;
                if !self.has_rules() {
                    return Err(early("create"));
                }
                let name = call.text("rule").unwrap_or_default();
                if let Err(why) = configuration_id(&name) {
                    return Err(Reply::parameter(
                        "rule",
                        format!("invalid format - {why}\n"),
                    ));
                }
                let kind = call.text("type").unwrap_or_default();
                let mut section = settings(call, &RULE_PARAMS, &["type"]);
                drop_off(&mut section);
                check_section(&section, options_of(&kind), true).map_err(Reply::failed)?;
                let refused = |why: String| Reply::failed(format!("create ha rule failed: {why}"));
                if self.ha.rules.0.contains_key(&name) {
                    return Err(refused(format!("HA rule '{name}' already defined")));
                }
                self.refuse_strangers(&section).map_err(refused)?;
                section.insert("type".to_owned(), kind.into());
                section.insert("order".to_owned(), next_order(&self.ha.rules).into());
                self.keep_rule(&name, section)
            }
            ("PUT", [name]) => {
                check(call, &RULE_PARAMS, &["rule"])?;
                if !self.has_rules() {
                    return Err(early("update"));
                }
                let refused = |why: String| Reply::failed(format!("update HA rules failed: {why}"));
                self.ha.rules.assert_unchanged(call).map_err(refused)?;
                let Some(mut section) = self.ha.rules.0.get(*name).cloned() else {
                    return Err(refused(format!("HA rule '{name}' does not exist")));
                };
                let mut changes = settings(call, &RULE_PARAMS, &["type", "digest", "delete"]);
                drop_off(&mut changes);
                self.refuse_strangers(&changes).map_err(refused)?;
                let kind = section["type"].as_str().unwrap_or_default().to_owned();
                let delete = call.text("delete");
                change_section(&mut section, changes, options_of(&kind), delete.as_deref())
                    .map_err(refused)?;
                self.keep_rule(name, section)
            }
            ("DELETE", [name]) => {
                self.ha.rules.0.remove(*name);
                self.look_at_resources();
                Ok(Reply::data(()))
            }
            _ => Err(not_simulated(call)),
        }
    }

    /// Resources that are not managed and nodes that do not exist.
    fn refuse_strangers(&self, rule: &Map<String, Value>) -> Result<(), String> {
        if let Some(text) = rule.get("resources").and_then(Value::as_str) {
            let mut strangers: Vec<&str> = names(text)
                .filter(|sid| !self.ha.resources.0.contains_key(*sid))
                .collect();
            strangers.sort_unstable();
            if names(text).next().is_none() {
                return Err("no resources were specified".to_owned());
            }
            if !strangers.is_empty() {
                let strangers = strangers.join(", ");
                return Err(format!("cannot use unmanaged resource(s) {strangers}."));
            }
        }
        if let Some(text) = rule.get("nodes").and_then(Value::as_str) {
            let mut strangers: Vec<&str> = names(text)
                .filter_map(|entry| entry.split(':').next())
                .filter(|node| !self.nodes.contains_key(*node))
                .collect();
            strangers.sort_unstable();
            if names(text).next().is_none() {
                return Err("no nodes were specified".to_owned());
            }
            if !strangers.is_empty() {
                let strangers = strangers.join(", ");
                return Err(format!("cannot use non-existent node(s) {strangers}."));
            }
        }
        Ok(())
    }

    /// Keeps a rule, unless the manager could not follow it.
    fn keep_rule(&mut self, name: &str, mut section: Map<String, Value>) -> Outcome {
        for key in ["resources", "nodes"] {
            if let Some(text) = section.get(key).and_then(Value::as_str) {
                let mut parts: Vec<&str> = names(text).collect();
                parts.sort_unstable();
                parts.dedup();
                let sorted = parts.join(",");
                section.insert(key.to_owned(), sorted.into());
            }
        }
        let mut rules = self.ha.rules.clone();
        rules.0.insert(name.to_owned(), section);
        let mut problems = feasible::problems(&rules, self.nodes.len());
        if let Some(problems) = problems.remove(name) {
            let errors = problems
                .into_iter()
                .map(|(key, why)| (key, why.join(", ").into()));
            return Err(Reply::invalid(
                format!("Rule '{name}' is invalid."),
                errors.collect(),
            ));
        }
        self.ha.rules = rules;
        self.look_at_resources();
        Ok(Reply::data(()))
    }
}

/// A rule that is on does not say so.
fn drop_off(section: &mut Map<String, Value>) {
    if section.get("disable") == Some(&0.into()) {
        section.shift_remove("disable");
    }
}

fn options_of(kind: &str) -> &'static [Opt] {
    match kind {
        "node-affinity" => &NODE_AFFINITY,
        _ => &RESOURCE_AFFINITY,
    }
}

fn next_order(rules: &Sections) -> u64 {
    let orders = rules.0.values().filter_map(|rule| rule["order"].as_u64());
    orders.max().unwrap_or_default() + 1
}
