//! What a patch does to a configuration, and what it does not.

use std::fmt;

use crate::config::{Document, MachineConfig};
use crate::error::Error;
use crate::patch::Patch;
use crate::schema::{Schema, Struct, Type};
use crate::value::{Map, Value};
use crate::yaml::{Node, NodeKind, parse};

/// What became of one place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// It was not there before.
    Added,
    /// It had another value.
    Changed,
    /// It is gone because the patch deletes it.
    Removed,
    /// It is gone although the patch does not name it: merging copies some settings whole.
    Erased,
    /// Elements were put behind those that were there.
    Appended {
        /// How many.
        count: usize,
        /// How many there were before.
        before: usize,
    },
    /// The patch names it and nothing happened.
    Nothing {
        /// Why.
        reason: &'static str,
    },
}

/// One place of a configuration and what a patch did to it. Values are not shown: they may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Title of the document: `v1alpha1` for the main one, else `Kind` or `Kind/name`.
    pub document: String,
    /// Dotted path in it; empty for the whole document.
    pub path: String,
    /// What became of it.
    pub effect: Effect,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.document)?;
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        match &self.effect {
            Effect::Added => f.write_str(": added"),
            Effect::Changed => f.write_str(": changed"),
            Effect::Removed => f.write_str(": removed"),
            Effect::Erased => f.write_str(": erased, although the patch does not name it"),
            Effect::Appended { count, before } => {
                write!(f, ": {count} appended to {before}, nothing was replaced")
            }
            Effect::Nothing { reason } => write!(f, ": no effect, {reason}"),
        }
    }
}

impl MachineConfig {
    /// What a patch does to this configuration, place by place: what it adds, changes and removes, which lists it appends
    /// to instead of replacing them, what it erases without naming it, and what of it has no effect.
    ///
    /// ```
    /// use talos_client::{Effect, MachineConfig, Patch};
    ///
    /// let config = MachineConfig::load("machine:\n  certSANs: [a]\n  type: worker\n")?;
    /// let patch = Patch::load("machine:\n  certSANs: [b]\n  type: worker\n")?;
    /// let changes = config.explain(&patch)?;
    /// assert_eq!(changes[0].effect, Effect::Appended { count: 1, before: 1 });
    /// assert_eq!(changes[1].to_string(), "v1alpha1 machine.type: no effect, it has this value already");
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`patched`](Self::patched).
    pub fn explain(&self, patch: &Patch) -> Result<Vec<Change>, Error> {
        let mut found = Vec::new();
        let mut before = self.clone();
        for effects in patch.effects() {
            let after = before.patched(&effects.step)?;
            let from = found.len();
            documents(&before, &after, &mut found);
            let erases = !effects.deletes;
            for change in found.iter_mut().skip(from) {
                if erases && change.effect == Effect::Removed {
                    change.effect = Effect::Erased;
                }
            }
            if found.len() == from && effects.deletes {
                found.push(Change {
                    document: effects.document,
                    path: effects.path,
                    effect: Effect::Nothing {
                        reason: "there is nothing to delete",
                    },
                });
            }
            before = after;
        }
        without_effect(patch, &before, &mut found);
        Ok(found)
    }
}

fn documents(before: &MachineConfig, after: &MachineConfig, found: &mut Vec<Change>) {
    let whole = |document: &Document, effect: Effect| Change {
        document: document.title(),
        path: String::new(),
        effect,
    };
    for document in &before.documents {
        match after
            .documents
            .iter()
            .find(|twin| twin.same_identity(document))
        {
            None => found.push(whole(document, Effect::Removed)),
            Some(twin) => {
                let mut walk = Walk {
                    document: document.title(),
                    found,
                };
                walk.structure(Some(document.shape()), &document.values, &twin.values, "");
            }
        }
    }
    for document in &after.documents {
        if !before
            .documents
            .iter()
            .any(|twin| twin.same_identity(document))
        {
            found.push(whole(document, Effect::Added));
        }
    }
}

struct Walk<'f> {
    document: String,
    found: &'f mut Vec<Change>,
}

impl Walk<'_> {
    fn add(&mut self, path: &str, effect: Effect) {
        self.found.push(Change {
            document: self.document.clone(),
            path: path.to_owned(),
            effect,
        });
    }

    fn structure(&mut self, shape: Option<&Struct>, before: &Map, after: &Map, path: &str) {
        let mut keys: Vec<&str> = before.0.iter().map(|(key, _)| &**key).collect();
        for (key, _) in &after.0 {
            if !keys.contains(&&**key) {
                keys.push(key);
            }
        }
        if let Some(shape) = shape {
            let place = |key: &str| shape.fields.iter().position(|field| field.name == key);
            keys.sort_by_key(|key| place(key));
        }
        for key in keys {
            let path = if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            };
            let ty = shape
                .and_then(|shape| shape.field(key))
                .map(|field| &field.ty);
            match (before.get(key), after.get(key)) {
                (None, Some(_)) => self.add(&path, Effect::Added),
                (Some(_), None) => self.add(&path, Effect::Removed),
                (Some(before), Some(after)) => self.value(ty, before, after, &path),
                (None, None) => {}
            }
        }
    }

    fn value(&mut self, ty: Option<&Type>, before: &Value, after: &Value, path: &str) {
        if before == after {
            return;
        }
        match (before, after) {
            (Value::Map(before), Value::Map(after)) => {
                let shape = match ty {
                    Some(Type::Struct { id, .. }) => Some(Schema::get().structure(*id)),
                    _ => None,
                };
                self.structure(shape, before, after, path);
            }
            (Value::List(before), Value::List(after)) => {
                let kept = before.iter().zip(after).filter(|(a, b)| a == b).count();
                if after.len() > before.len() && kept == before.len() {
                    let count = after.len() - before.len();
                    let before = before.len();
                    return self.add(path, Effect::Appended { count, before });
                }
                if after.len() < before.len() {
                    let gone = before.iter().filter(|item| !after.contains(item)).count();
                    let effect = if gone == before.len() {
                        Effect::Changed
                    } else {
                        Effect::Removed
                    };
                    return self.add(path, effect);
                }
                let inner = match ty {
                    Some(Type::List(inner)) => Some(&**inner),
                    _ => None,
                };
                for (index, (old, new)) in before.iter().zip(after).enumerate() {
                    self.value(inner, old, new, &format!("{path}[{index}]"));
                }
                if after.len() > before.len() {
                    let count = after.len() - before.len();
                    let before = before.len();
                    self.add(path, Effect::Appended { count, before });
                }
            }
            _ => self.add(path, Effect::Changed),
        }
    }
}

/// What the patch's text names although nothing came of it.
fn without_effect(patch: &Patch, after: &MachineConfig, found: &mut Vec<Change>) {
    let Some(nodes) = patch.text().and_then(|text| parse::documents(text).ok()) else {
        return;
    };
    for node in nodes
        .iter()
        .filter(|node| matches!(node.kind, NodeKind::Mapping(_)))
    {
        let text = |key: &str| node.get(key).and_then(Node::as_text);
        let title = match (text("kind"), text("name")) {
            (None, _) => "v1alpha1".to_owned(),
            (Some(kind), None) => kind.to_owned(),
            (Some(kind), Some(name)) => format!("{kind}/{name}"),
        };
        let document = after
            .documents
            .iter()
            .find(|document| document.title() == title);
        let mut leaves = Vec::new();
        collect(node, &mut Vec::new(), &mut leaves);
        let said = |keys: &[&str]| {
            let mut documents = patch.merges().filter(|document| document.title() == title);
            documents.find_map(|document| below(&document.values, keys))
        };
        for (keys, empty) in leaves {
            let path = keys.join(".");
            let identity = match text("kind") {
                Some(_) => matches!(path.as_str(), "apiVersion" | "kind" | "name"),
                None => path == "version",
            };
            let touched = found.iter().any(|change| {
                change.document == title
                    && (related(&change.path, &path) || related(&path, &change.path))
            });
            let Some(document) = document.filter(|_| !identity && !touched) else {
                continue;
            };
            let reason = if empty {
                "an empty value changes nothing"
            } else {
                reason(said(&keys), below(&document.values, &keys))
            };
            found.push(Change {
                document: title.clone(),
                path,
                effect: Effect::Nothing { reason },
            });
        }
    }
}

/// Whether the one path is the other or leads to it.
fn related(short: &str, long: &str) -> bool {
    short.is_empty()
        || long
            .strip_prefix(short)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Why what a patch says, and what is not empty in its text, left the configuration as it is.
fn reason(said: Option<&Value>, now: Option<&Value>) -> &'static str {
    match (said, now) {
        (Some(Value::List(_)), _) => "it has this value already",
        (Some(said), Some(now)) if said == now => "it has this value already",
        (Some(said), Some(_)) if !said.is_zero() => {
            "what is there wins; delete it with `$patch: delete` first"
        }
        (_, Some(_)) => {
            "it is the value that stands for none, which merging passes over; delete the old one with `$patch: delete`"
        }
        (_, None) => "it has this value already",
    }
}

fn below<'v>(map: &'v Map, keys: &[&str]) -> Option<&'v Value> {
    let (first, rest) = keys.split_first()?;
    let value = map.get(first)?;
    match rest {
        [] => Some(value),
        rest => below(value.as_map()?, rest),
    }
}

/// Keys of what a patch names, down to single values and lists, and whether they are empty.
fn collect<'n>(node: &'n Node, path: &mut Vec<&'n str>, leaves: &mut Vec<(Vec<&'n str>, bool)>) {
    let empty = match &node.kind {
        NodeKind::Mapping(pairs) if !pairs.is_empty() => {
            for (key, value) in node.pairs() {
                let key = key.as_text().unwrap_or_default();
                if key != "$patch" {
                    path.push(key);
                    collect(value, path, leaves);
                    path.pop();
                }
            }
            return;
        }
        NodeKind::Mapping(_) => true,
        NodeKind::Sequence(items) => items.is_empty(),
        NodeKind::Scalar { text, .. } => text.is_empty() || text.as_str() == "0" || node.is_null(),
    };
    leaves.push((path.clone(), empty));
}
