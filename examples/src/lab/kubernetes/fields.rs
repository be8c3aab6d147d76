//! Sets of field paths as `managedFields` holds them (`fieldsV1`), and what two objects differ in.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schema::{ListKind, Schema};

/// A set of paths: `f:name` steps into a field, `k:{…}` into an item of a keyed list, `v:…` into an
/// item of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// The place itself is in the set.
    pub(crate) own: bool,
    pub(crate) children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    pub(crate) fn is_empty(&self) -> bool {
        !self.own && self.children.values().all(Self::is_empty)
    }

    /// Reads `fieldsV1`.
    pub(crate) fn from_json(value: &Value) -> Self {
        let mut set = Self::default();
        for (key, child) in value.as_object().into_iter().flatten() {
            if key == "." {
                set.own = true;
            } else {
                let mut child = Self::from_json(child);
                // A path without anything below it is a member itself.
                child.own |= child.children.is_empty();
                set.children.insert(key.clone(), child);
            }
        }
        set
    }

    /// Writes `fieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.own && !self.children.is_empty() {
            map.insert(".".to_owned(), json!({}));
        }
        for (key, child) in &self.children {
            if !child.is_empty() {
                map.insert(key.clone(), child.to_json());
            }
        }
        Value::Object(map)
    }

    pub(crate) fn union(&mut self, other: &Self) {
        self.own |= other.own;
        for (key, child) in &other.children {
            self.children.entry(key.clone()).or_default().union(child);
        }
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut children = BTreeMap::new();
        for (key, child) in &self.children {
            if let Some(theirs) = other.children.get(key) {
                let both = child.intersection(theirs);
                if !both.is_empty() {
                    children.insert(key.clone(), both);
                }
            }
        }
        Self {
            own: self.own && other.own,
            children,
        }
    }

    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut children = BTreeMap::new();
        for (key, child) in &self.children {
            let rest = other
                .children
                .get(key)
                .map_or_else(|| child.clone(), |theirs| child.without(theirs));
            if !rest.is_empty() {
                children.insert(key.clone(), rest);
            }
        }
        Self {
            own: self.own && !other.own,
            children,
        }
    }

    /// Every member path in the server's own writing (`.spec.containers[name="a"].image`).
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.own {
            paths.push(prefix.to_owned());
        }
        for (key, child) in &self.children {
            let step = match key.split_once(':') {
                Some(("f", name)) => format!(".{name}"),
                Some(("k", keys)) => {
                    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                    let keys: Vec<String> = keys
                        .iter()
                        .map(|(name, value)| format!("{name}={value}"))
                        .collect();
                    format!("[{}]", keys.join(","))
                }
                Some(("v", value)) => format!("[={value}]"),
                _ => format!("[{key}]"),
            };
            child.collect(&format!("{prefix}{step}"), paths);
        }
    }

    fn child(&mut self, key: String) -> &mut Self {
        self.children.entry(key).or_default()
    }
}

/// The step of an item of a keyed list; `None` when a key is missing.
pub(crate) fn item_key(item: &Value, keys: &[String], schema: Schema<'_>) -> Option<String> {
    let mut map = BTreeMap::new();
    for key in keys {
        let value = item.get(key).cloned().or_else(|| schema.key_default(key))?;
        map.insert(key.clone(), value);
    }
    serde_json::to_string(&map)
        .ok()
        .map(|keys| format!("k:{keys}"))
}

/// The step of one list item, by how its list merges.
pub(crate) fn step(item: &Value, kind: &ListKind, schema: Schema<'_>) -> Option<String> {
    match kind {
        ListKind::Map(keys) => item_key(item, keys, schema),
        ListKind::Set => Some(format!("v:{item}")),
        ListKind::Atomic => None,
    }
}

/// The fields that an object sets: leaves, whole atomic lists and maps, items of keyed lists.
pub(crate) fn fields_of(object: &Value, schema: Schema<'_>) -> FieldSet {
    let mut set = FieldSet::default();
    for (name, value) in object.as_object().into_iter().flatten() {
        let child = set.child(format!("f:{name}"));
        match value {
            Value::Object(map) if !map.is_empty() && !schema.atomic_map(name) => {
                *child = fields_of(value, schema.field(name));
            }
            Value::Array(items) => {
                let kind = schema.list_kind(name);
                let below = schema.field(name).item();
                child.own = kind == ListKind::Atomic || items.is_empty();
                for item in items {
                    if let Some(step) = step(item, &kind, below) {
                        let mut place = if item.is_object() {
                            fields_of(item, below)
                        } else {
                            FieldSet::default()
                        };
                        place.own = true;
                        child.children.insert(step, place);
                    }
                }
            }
            _ => child.own = true,
        }
    }
    set
}

/// What differs between two objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    /// Added or with another value.
    pub(crate) changed: FieldSet,
    /// Only in the old object.
    pub(crate) removed: FieldSet,
}

/// Compares two objects field by field.
pub(crate) fn compare(old: &Value, new: &Value, schema: Schema<'_>) -> Comparison {
    let mut result = Comparison::default();
    let empty = Map::new();
    let before = old.as_object().unwrap_or(&empty);
    let after = new.as_object().unwrap_or(&empty);
    for (name, value) in after {
        let step = format!("f:{name}");
        match before.get(name) {
            None => {
                let only = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
                let mut added = fields_of(&only, schema);
                if value.is_object()
                    && let Some(child) = added.children.get_mut(&step)
                {
                    child.own = true;
                }
                result.changed.union(&added);
            }
            Some(previous) if previous == value => {}
            Some(previous) => {
                let inner = compare_place(previous, value, schema, name);
                if !inner.changed.is_empty() {
                    result.changed.children.insert(step.clone(), inner.changed);
                }
                if !inner.removed.is_empty() {
                    result.removed.children.insert(step, inner.removed);
                }
            }
        }
    }
    for (name, value) in before {
        if !after.contains_key(name) {
            let only = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
            let mut removed = fields_of(&only, schema);
            if let Some(child) = removed.children.get_mut(&format!("f:{name}")) {
                child.own = true;
            }
            result.removed.union(&removed);
        }
    }
    result
}

fn compare_place(old: &Value, new: &Value, schema: Schema<'_>, name: &str) -> Comparison {
    match (old, new) {
        (Value::Object(_), Value::Object(_)) if !schema.atomic_map(name) => {
            compare(old, new, schema.field(name))
        }
        (Value::Array(before), Value::Array(after)) => {
            let kind = schema.list_kind(name);
            if kind == ListKind::Atomic {
                return whole();
            }
            compare_lists(before, after, &kind, schema.field(name).item())
        }
        _ => whole(),
    }
}

fn whole() -> Comparison {
    let changed = FieldSet {
        own: true,
        children: BTreeMap::new(),
    };
    Comparison {
        changed,
        removed: FieldSet::default(),
    }
}

fn compare_lists(
    before: &[Value],
    after: &[Value],
    kind: &ListKind,
    schema: Schema<'_>,
) -> Comparison {
    let index = |items: &[Value]| -> BTreeMap<String, Value> {
        items
            .iter()
            .filter_map(|one| Some((step(one, kind, schema)?, one.clone())))
            .collect()
    };
    let (before, after) = (index(before), index(after));
    let whole_item = |item: &Value| {
        let mut set = if item.is_object() {
            fields_of(item, schema)
        } else {
            FieldSet::default()
        };
        set.own = true;
        set
    };
    let mut result = Comparison::default();
    for (step, item) in &after {
        match before.get(step) {
            None => {
                result
                    .changed
                    .children
                    .insert(step.clone(), whole_item(item));
            }
            Some(previous) if previous != item => {
                let inner = compare(previous, item, schema);
                if !inner.changed.is_empty() {
                    result.changed.children.insert(step.clone(), inner.changed);
                }
                if !inner.removed.is_empty() {
                    result.removed.children.insert(step.clone(), inner.removed);
                }
            }
            Some(_) => {}
        }
    }
    for (step, item) in &before {
        if !after.contains_key(step) {
            result
                .removed
                .children
                .insert(step.clone(), whole_item(item));
        }
    }
    result
}
