//! Server-side apply: merging, ownership of fields, conflicts, and what `managedFields` records.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fields::{self, FieldSet, compare, fields_of};
use super::object::{remove, set, stamp, text};
use super::refusal::{Answered, Cause, Refusal};
use super::schema::{ListKind, Schema};

/// Who writes, and how the entry of `managedFields` names the write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) manager: &'a str,
    pub(crate) api_version: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) now: Timestamp,
}

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    manager: String,
    applies: bool,
    api_version: String,
    subresource: String,
    time: String,
    fields: FieldSet,
}

impl Entry {
    fn read(value: &Value) -> Self {
        Self {
            manager: text(value, "/manager").to_owned(),
            applies: text(value, "/operation") == "Apply",
            api_version: text(value, "/apiVersion").to_owned(),
            subresource: text(value, "/subresource").to_owned(),
            time: text(value, "/time").to_owned(),
            fields: FieldSet::from_json(&value["fieldsV1"]),
        }
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "manager": self.manager,
            "operation": if self.applies { "Apply" } else { "Update" },
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_json(),
        });
        if !self.subresource.is_empty() {
            value["subresource"] = json!(self.subresource);
        }
        value
    }

    fn is(&self, writer: &Writer<'_>, applies: bool) -> bool {
        self.manager == writer.manager
            && self.applies == applies
            && self.subresource == writer.subresource
    }

    fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            shown.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if !self.applies {
            shown.push_str(&format!(" using {} at {}", self.api_version, self.time));
        }
        shown
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    super::object::list(object, "/metadata/managedFields")
        .iter()
        .map(Entry::read)
        .collect()
}

fn write_entries(object: &mut Value, entries: &[Entry]) {
    let kept: Vec<Value> = entries
        .iter()
        .filter(|one| !one.fields.is_empty())
        .map(Entry::to_json)
        .collect();
    remove(object, "/metadata/managedFields");
    if !kept.is_empty() {
        set(object, "/metadata/managedFields", Value::Array(kept));
    }
}

/// The part of an object whose fields are owned: without what the server itself writes.
fn owned_part(object: &Value) -> Value {
    const SERVERS: [&str; 11] = [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "managedFields",
        "selfLink",
        "generateName",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    let mut part = object.clone();
    remove(&mut part, "/apiVersion");
    remove(&mut part, "/kind");
    for name in SERVERS {
        remove(&mut part, &format!("/metadata/{name}"));
    }
    if part["metadata"].as_object().is_some_and(Map::is_empty) {
        remove(&mut part, "/metadata");
    }
    part
}

/// Records a create, update or patch: the writer owns what it changed, and nobody else does.
pub(crate) fn record_update(
    old: Option<&Value>,
    new: &mut Value,
    schema: Schema<'_>,
    writer: &Writer<'_>,
) {
    let mut all = old.map(entries).unwrap_or_default();
    let before = old.map_or_else(|| json!({}), owned_part);
    let difference = compare(&before, &owned_part(new), schema);
    for entry in &mut all {
        let mut lost = difference.removed.clone();
        if !entry.is(writer, false) {
            lost.union(&difference.changed);
        }
        entry.fields = entry.fields.without(&lost);
    }
    if !difference.changed.is_empty() {
        let time = stamp(writer.now);
        match all.iter_mut().find(|one| one.is(writer, false)) {
            Some(own) => {
                own.fields.union(&difference.changed);
                own.time = time;
            }
            None => all.push(Entry {
                manager: writer.manager.to_owned(),
                applies: false,
                api_version: writer.api_version.to_owned(),
                subresource: writer.subresource.to_owned(),
                time,
                fields: difference.changed,
            }),
        }
    }
    write_entries(new, &all);
}

/// Applies a configuration over the live object (an empty one when it does not exist yet).
///
/// # Errors
///
/// 409 with every field that another manager owns with another value, unless `force`.
pub(crate) fn apply(
    live: &Value,
    wanted: &Value,
    schema: Schema<'_>,
    writer: &Writer<'_>,
    force: bool,
) -> Answered<Value> {
    let mut all = entries(live);
    let config = owned_part(wanted);
    let now_owned = fields_of(&config, schema);
    let last_owned = all
        .iter()
        .find(|one| one.is(writer, true))
        .map(|one| one.fields.clone())
        .unwrap_or_default();

    let mut merged = live.clone();
    merge(&mut merged, &config, schema);
    let mut orphaned = last_owned.without(&now_owned);
    for other in all.iter().filter(|one| !one.is(writer, true)) {
        orphaned = orphaned.without(&other.fields);
    }
    prune(&mut merged, &orphaned, schema);

    let difference = compare(&owned_part(live), &owned_part(&merged), schema);
    let mut conflicts: Vec<(String, Vec<String>)> = Vec::new();
    for entry in all.iter_mut().filter(|one| !one.is(writer, true)) {
        let touched = entry.fields.intersection(&difference.changed);
        if !touched.is_empty() {
            if force {
                entry.fields = entry.fields.without(&touched);
            } else {
                conflicts.push((entry.shown(), touched.paths()));
            }
        }
        entry.fields = entry.fields.without(&difference.removed);
    }
    if !conflicts.is_empty() {
        return Err(conflict(conflicts));
    }

    match all.iter_mut().find(|one| one.is(writer, true)) {
        Some(own) => {
            if own.fields != now_owned
                || own.api_version != writer.api_version
                || !difference.changed.is_empty()
                || !difference.removed.is_empty()
            {
                own.time = stamp(writer.now);
            }
            own.fields = now_owned;
            writer.api_version.clone_into(&mut own.api_version);
        }
        None => all.push(Entry {
            manager: writer.manager.to_owned(),
            applies: true,
            api_version: writer.api_version.to_owned(),
            subresource: writer.subresource.to_owned(),
            time: stamp(writer.now),
            fields: now_owned,
        }),
    }
    write_entries(&mut merged, &all);
    Ok(merged)
}

fn conflict(mut conflicts: Vec<(String, Vec<String>)>) -> Box<Refusal> {
    conflicts.sort();
    let causes: Vec<Cause> = conflicts
        .iter()
        .flat_map(|(manager, paths)| {
            paths.iter().map(move |path| Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {manager}"),
                field: path.clone(),
            })
        })
        .collect();
    let message = match &causes[..] {
        [only] => format!(
            "Apply failed with 1 conflict: {}: {}",
            only.message, only.field
        ),
        many => {
            let groups: Vec<String> = conflicts
                .iter()
                .map(|(manager, paths)| {
                    let paths: Vec<String> = paths.iter().map(|path| format!("- {path}")).collect();
                    format!("conflicts with {manager}:\n{}", paths.join("\n"))
                })
                .collect();
            format!(
                "Apply failed with {} conflicts: {}",
                many.len(),
                groups.join("\n")
            )
        }
    };
    Refusal::new(409, "Conflict", message).with_causes(causes)
}

/// Merges a configuration into an object: its values win, keyed lists merge item by item.
fn merge(into: &mut Value, config: &Value, schema: Schema<'_>) {
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in config.as_object().into_iter().flatten() {
        let place = &mut into[name.as_str()];
        match value {
            Value::Object(map)
                if !map.is_empty() && place.is_object() && !schema.atomic_map(name) =>
            {
                merge(place, value, schema.field(name));
            }
            Value::Array(items) if place.is_array() => {
                let kind = schema.list_kind(name);
                if kind == ListKind::Atomic {
                    *place = value.clone();
                } else if let Some(live) = place.as_array_mut() {
                    merge_list(live, items, &kind, schema.field(name).item());
                }
            }
            _ => *place = value.clone(),
        }
    }
}

fn merge_list(live: &mut Vec<Value>, items: &[Value], kind: &ListKind, schema: Schema<'_>) {
    for item in items {
        let step = fields::step(item, kind, schema);
        let found = live
            .iter_mut()
            .find(|one| fields::step(one, kind, schema) == step);
        match found {
            Some(place) if item.is_object() => merge(place, item, schema),
            Some(_) => {}
            None => live.push(item.clone()),
        }
    }
}

/// Takes the fields of a set out of an object; what becomes empty by it goes too.
fn prune(object: &mut Value, set: &FieldSet, schema: Schema<'_>) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    for (step, below) in &set.children {
        let Some(name) = step.strip_prefix("f:") else {
            continue;
        };
        if below.own {
            map.shift_remove(name);
            continue;
        }
        let Some(place) = map.get_mut(name) else {
            continue;
        };
        if let Some(items) = place.as_array_mut() {
            let kind = schema.list_kind(name);
            let item_schema = schema.field(name).item();
            items.retain_mut(|item| {
                let Some(below) = fields::step(item, &kind, item_schema)
                    .and_then(|step| below.children.get(&step))
                else {
                    return true;
                };
                if below.own {
                    return false;
                }
                prune(item, below, item_schema);
                true
            });
        } else {
            prune(place, below, schema.field(name));
        }
        let emptied = place.as_object().is_some_and(Map::is_empty)
            || place.as_array().is_some_and(Vec::is_empty);
        if emptied {
            map.shift_remove(name);
        }
    }
}
