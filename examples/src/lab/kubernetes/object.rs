//! Reading and writing places inside JSON objects, by JSON pointer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The place that a pointer names. As `Value::pointer`, without its allocations: controllers look at
/// very many places.
pub(crate) fn at<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return object.pointer(pointer);
    }
    let mut at = object;
    for part in pointer.split('/').skip(1) {
        at = match at {
            Value::Object(map) => map.get(part)?,
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(at)
}

/// Text at a pointer; empty when absent or not text.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Whole number at a pointer.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    at(object, pointer).and_then(Value::as_i64)
}

/// True when the pointer holds `true`.
pub(crate) fn flag(object: &Value, pointer: &str) -> bool {
    at(object, pointer)
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

/// List at a pointer; empty when absent.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Text values of a map at a pointer, as labels and selectors are.
pub(crate) fn texts(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let Some(map) = at(object, pointer).and_then(Value::as_object) else {
        return BTreeMap::new();
    };
    map.iter()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// Entries of a map at a pointer.
pub(crate) fn entries<'a>(
    object: &'a Value,
    pointer: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    at(object, pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    at(object, "/metadata/labels")?.get(key)?.as_str()
}

pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    at(object, "/metadata/annotations")?.get(key)?.as_str()
}

pub(crate) fn deleting(object: &Value) -> bool {
    at(object, "/metadata/deletionTimestamp").is_some_and(|one| !one.is_null())
}

/// Group of an `apiVersion` (`apps/v1` -> `apps`, `v1` -> empty).
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Writes a value, making the objects on the way to it.
pub(crate) fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for part in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = if part.contains('~') {
            &mut at[part.replace("~1", "/").replace("~0", "~").as_str()]
        } else {
            &mut at[part]
        };
    }
    *at = value;
}

/// Writes a value unless one is there.
pub(crate) fn default(object: &mut Value, pointer: &str, value: Value) {
    if at(object, pointer).is_none_or(Value::is_null) {
        set(object, pointer, value);
    }
}

/// Takes a value out of the object that holds it, keeping the order of the others.
pub(crate) fn remove(object: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, last) = pointer.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    object
        .pointer_mut(parent)?
        .as_object_mut()?
        .shift_remove(&last)
}

/// Drops nulls from objects at every depth, as the typed server does.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, one| !one.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// A time as Kubernetes prints it: RFC 3339 in whole seconds.
pub(crate) fn stamp(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}

/// The time at a pointer.
pub(crate) fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer).parse().ok()
}

/// The condition of that type.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions")
        .iter()
        .find(|one| one["type"] == kind)
}

/// True when the condition of that type has status True.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|one| one["status"] == "True")
}

/// A condition to write.
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: bool,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

/// Writes a condition; `lastTransitionTime` moves only when the status does.
pub(crate) fn set_condition(object: &mut Value, now: Timestamp, condition: &Condition<'_>) {
    let status = if condition.status { "True" } else { "False" };
    let old = self::condition(object, condition.kind);
    let since = match old {
        Some(old) if old["status"] == status => old["lastTransitionTime"].clone(),
        _ => json!(stamp(now)),
    };
    let mut new = json!({"type": condition.kind, "status": status, "lastTransitionTime": since});
    if !condition.reason.is_empty() {
        new["reason"] = json!(condition.reason);
    }
    if !condition.message.is_empty() {
        new["message"] = json!(condition.message);
    }
    default(object, "/status/conditions", json!([]));
    let Some(items) = object
        .pointer_mut("/status/conditions")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    match items.iter_mut().find(|one| one["type"] == condition.kind) {
        Some(place) => *place = new,
        None => items.push(new),
    }
}
