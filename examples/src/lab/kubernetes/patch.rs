//! The patch formats besides apply: JSON patch (RFC 6902), merge patch (RFC 7386) and strategic
//! merge patch.

use serde_json::{Map, Value};

use super::fields;
use super::refusal::{Answered, Refusal};
use super::schema::{ListKind, Schema};

/// Merge patch: null removes, objects merge, everything else replaces.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (key, value) in patch {
        if value.is_null() {
            if let Some(map) = target.as_object_mut() {
                map.shift_remove(key);
            }
        } else {
            merge_patch(&mut target[key.as_str()], value);
        }
    }
}

/// JSON patch.
///
/// # Errors
///
/// 422 when an operation does not fit the object, 400 when the patch is not one.
pub(crate) fn json_patch(target: &mut Value, patch: &Value) -> Answered<()> {
    let operations = patch.as_array().ok_or_else(|| {
        Refusal::bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    })?;
    for operation in operations {
        one_operation(target, operation).map_err(|why| Refusal::new(422, "Invalid", why))?;
    }
    Ok(())
}

fn one_operation(target: &mut Value, operation: &Value) -> Result<(), String> {
    let kind = operation["op"].as_str().unwrap_or_default();
    let path = operation["path"]
        .as_str()
        .ok_or("the server rejected our request: no path")?;
    let missing = |path: &str| {
        format!("{kind} operation does not apply: doc is missing path: {path}: missing value")
    };
    let value = || operation.get("value").cloned().ok_or_else(|| missing(path));
    match kind {
        "add" => add(target, path, value()?).ok_or_else(|| missing(path)),
        "remove" => take(target, path).map(drop).ok_or_else(|| missing(path)),
        "replace" => {
            let value = value()?;
            let place = target.pointer_mut(path).ok_or_else(|| missing(path))?;
            *place = value;
            Ok(())
        }
        "test" => {
            let wanted = value()?;
            let found = target.pointer(path).unwrap_or(&Value::Null);
            if *found == wanted {
                Ok(())
            } else {
                Err(format!("testing value {path} failed: test failed"))
            }
        }
        "move" | "copy" => {
            let from = operation["from"].as_str().unwrap_or_default();
            let value = if kind == "move" {
                take(target, from)
            } else {
                target.pointer(from).cloned()
            };
            let value = value.ok_or_else(|| missing(from))?;
            add(target, path, value).ok_or_else(|| missing(path))
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn split(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    let (parent, last) = split(path)?;
    match target.pointer_mut(parent)? {
        Value::Object(map) => {
            map.insert(last, value);
        }
        Value::Array(items) => {
            let at = if last == "-" {
                items.len()
            } else {
                last.parse().ok()?
            };
            if at > items.len() {
                return None;
            }
            items.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn take(target: &mut Value, path: &str) -> Option<Value> {
    let (parent, last) = split(path)?;
    match target.pointer_mut(parent)? {
        Value::Object(map) => map.shift_remove(&last),
        Value::Array(items) => {
            let at: usize = last.parse().ok()?;
            (at < items.len()).then(|| items.remove(at))
        }
        _ => None,
    }
}

/// Strategic merge patch: as merge patch, but keyed lists merge by their key, with the directives
/// `$patch` (`delete`, `replace`, `merge`), `$deleteFromPrimitiveList`, `$setElementOrder` and
/// `$retainKeys`.
pub(crate) fn strategic(target: &mut Value, patch: &Value, schema: Schema<'_>) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("delete") => {
            *target = Value::Object(Map::new());
            return;
        }
        Some("replace") => {
            let plain = patch.iter().filter(|(key, _)| !key.starts_with('$'));
            *target = Value::Object(plain.map(|(key, one)| (key.clone(), one.clone())).collect());
            return;
        }
        _ => {}
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else {
        return;
    };
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        map.retain(|key, _| kept.iter().any(|one| one == key));
    }
    for (key, value) in patch {
        if let Some(name) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(items), Some(gone)) = (
                map.get_mut(name).and_then(Value::as_array_mut),
                value.as_array(),
            ) {
                items.retain(|item| !gone.contains(item));
            }
        } else if key.starts_with('$') {
            // `$setElementOrder` only sorts; the server's own order is as good.
        } else if value.is_null() {
            map.shift_remove(key);
        } else {
            let place = map.entry(key.clone()).or_insert(Value::Null);
            match (schema.list_kind(key), value) {
                (kind @ (ListKind::Map(_) | ListKind::Set), Value::Array(items)) => {
                    strategic_list(place, items, &kind, schema.field(key).item());
                }
                _ => strategic(place, value, schema.field(key)),
            }
        }
    }
}

fn strategic_list(place: &mut Value, patch: &[Value], kind: &ListKind, schema: Schema<'_>) {
    let replaces = patch
        .iter()
        .any(|one| one["$patch"] == "replace" && one.as_object().is_some_and(|map| map.len() == 1));
    if replaces || !place.is_array() {
        *place = Value::Array(Vec::new());
    }
    let Some(items) = place.as_array_mut() else {
        return;
    };
    // A strategic patch tells ports apart by their first key alone.
    let kind = match kind {
        ListKind::Map(keys) => ListKind::Map(keys.iter().take(1).cloned().collect()),
        other => other.clone(),
    };
    for item in patch {
        let step = fields::step(item, &kind, schema);
        let found = step.is_some().then(|| {
            items
                .iter()
                .position(|one| fields::step(one, &kind, schema) == step)
        });
        match (found.flatten(), item["$patch"].as_str()) {
            (Some(at), Some("delete")) => {
                items.remove(at);
            }
            (Some(at), _) => strategic(&mut items[at], item, schema),
            (None, Some(_)) => {}
            (None, None) => {
                let mut new = Value::Null;
                strategic(&mut new, item, schema);
                items.push(new);
            }
        }
    }
}
