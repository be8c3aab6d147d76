//! The structural part: one value against one schema.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, OnceLock};

use regex::Regex;
use serde_json::{Map, Value};

use super::{is_label_name, is_subdomain, problem};
use crate::error::Problem;

pub(super) struct Checker<'a> {
    root: &'a Value,
    shared: &'a [Value],
}

impl<'a> Checker<'a> {
    pub(super) fn new(root: &'a Value, shared: &'a [Value]) -> Self {
        Self { root, shared }
    }

    /// Checks an object without its envelope, which is the same for every kind.
    pub(super) fn object(&self, object: &Value, strict: bool, problems: &mut Vec<Problem>) {
        let mut inner = object.clone();
        if let Some(map) = inner.as_object_mut() {
            for key in ["apiVersion", "kind", "metadata", "status"] {
                map.shift_remove(key);
            }
        }
        self.fill(&mut inner, self.root);
        self.value(&inner, self.root, "", strict, problems);
    }

    /// Writes defaults where nothing stands, as the server does before it checks.
    fn fill(&self, value: &mut Value, schema: &'a Value) {
        let schema = self.resolve(schema);
        match value {
            Value::Array(items) => {
                if let Some(inner) = schema.get("items") {
                    items.iter_mut().for_each(|item| self.fill(item, inner));
                }
            }
            Value::Object(map) => {
                for (key, inner) in schema
                    .get("properties")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                {
                    if let (None, Some(default)) =
                        (map.get(key), self.resolve(inner).get("default"))
                    {
                        map.insert(key.clone(), default.clone());
                    }
                    if let Some(value) = map.get_mut(key) {
                        self.fill(value, inner);
                    }
                }
                if let Some(inner) = schema
                    .get("additionalProperties")
                    .filter(|inner| inner.is_object())
                {
                    map.values_mut().for_each(|value| self.fill(value, inner));
                }
            }
            _ => {}
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        match schema.get("$").and_then(Value::as_u64) {
            Some(number) => usize::try_from(number)
                .ok()
                .and_then(|n| self.shared.get(n))
                .unwrap_or(schema),
            None => schema,
        }
    }

    fn value(
        &self,
        value: &Value,
        schema: &'a Value,
        path: &str,
        strict: bool,
        problems: &mut Vec<Problem>,
    ) {
        let schema = self.resolve(schema);
        if value.is_null() && schema.get("nullable") == Some(&Value::Bool(true)) {
            return;
        }
        if !self.typed(value, schema, path, problems) {
            return;
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array)
            && !choices.contains(value)
        {
            let names: Vec<String> = choices.iter().map(Value::to_string).collect();
            problem(
                problems,
                path.to_owned(),
                format!("{value} is none of {}", names.join(", ")),
            );
        }
        match value {
            Value::String(text) => string(text, schema, path, problems),
            Value::Number(number) => range(number.as_f64().unwrap_or(0.0), schema, path, problems),
            Value::Array(items) => self.list(items, schema, path, strict, problems),
            Value::Object(map) => self.map(map, schema, path, strict, problems),
            _ => {}
        }
        self.combined(value, schema, path, problems);
    }

    fn typed(
        &self,
        value: &Value,
        schema: &Value,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> bool {
        if schema.get("intOrString") == Some(&Value::Bool(true)) {
            let fits = value.is_string() || value.is_i64() || value.is_u64();
            if !fits {
                problem(problems, path.to_owned(), "expected a whole number or text");
            }
            return fits;
        }
        let Some(wanted) = schema.get("type").and_then(Value::as_str) else {
            return true;
        };
        let fits = match wanted {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0)
            }
            "number" => value.is_number(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => true,
        };
        if !fits {
            problem(
                problems,
                path.to_owned(),
                format!("must be of type {wanted}"),
            );
        }
        fits
    }

    fn list(
        &self,
        items: &[Value],
        schema: &'a Value,
        path: &str,
        strict: bool,
        problems: &mut Vec<Problem>,
    ) {
        length(
            items.len(),
            schema,
            ("minItems", "maxItems"),
            path,
            "entries",
            problems,
        );
        if let Some(inner) = schema.get("items") {
            for (n, item) in items.iter().enumerate() {
                self.value(item, inner, &format!("{path}[{n}]"), strict, problems);
            }
        }
        let keys: Vec<&str> = schema
            .get("listKeys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let identity = |item: &Value| -> Value {
            if keys.is_empty() {
                return item.clone();
            }
            keys.iter()
                .map(|key| item.get(*key).cloned().unwrap_or(Value::Null))
                .collect()
        };
        if schema.get("listType").is_some() {
            let mut seen: Vec<Value> = Vec::new();
            for (n, item) in items.iter().enumerate() {
                let own = identity(item);
                if seen.contains(&own) {
                    problem(problems, format!("{path}[{n}]"), "stands twice in the list");
                }
                seen.push(own);
            }
        }
    }

    fn map(
        &self,
        map: &Map<String, Value>,
        schema: &'a Value,
        path: &str,
        strict: bool,
        problems: &mut Vec<Problem>,
    ) {
        let at = |key: &str| {
            if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            }
        };
        length(
            map.len(),
            schema,
            ("minProperties", "maxProperties"),
            path,
            "keys",
            problems,
        );
        for key in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !map.contains_key(key) {
                problem(problems, at(key), "required, but absent");
            }
        }
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let open = schema.get("open") == Some(&Value::Bool(true));
        for (key, value) in map {
            if let Some(inner) = known.and_then(|known| known.get(key)) {
                self.value(value, inner, &at(key), strict, problems);
            } else if let Some(inner) = others.filter(|others| others.is_object()) {
                self.value(value, inner, &at(key), strict, problems);
            } else if strict && known.is_some() && !open && others.is_none() {
                problem(problems, at(key), "unknown field");
            }
        }
    }

    /// `anyOf`, `oneOf`, `allOf` and `not`: further conditions on a value whose own type was checked already.
    fn combined(&self, value: &Value, schema: &'a Value, path: &str, problems: &mut Vec<Problem>) {
        let fits = |inner: &'a Value| {
            let mut found = Vec::new();
            self.value(value, inner, path, false, &mut found);
            found.is_empty()
        };
        let list = |key: &str| schema.get(key).and_then(Value::as_array);
        if let Some(all) = list("allOf") {
            for inner in all {
                self.value(value, inner, path, false, problems);
            }
        }
        if list("anyOf").is_some_and(|any| !any.iter().any(fits)) {
            problem(
                problems,
                path.to_owned(),
                "fits none of the forms that are possible here",
            );
        }
        if list("oneOf").is_some_and(|one| one.iter().filter(|inner| fits(inner)).count() != 1) {
            problem(
                problems,
                path.to_owned(),
                "must fit exactly one of the forms that are possible here",
            );
        }
        if schema.get("not").is_some_and(fits) {
            problem(
                problems,
                path.to_owned(),
                "has a form that is excluded here",
            );
        }
    }
}

fn number(schema: &Value, key: &str) -> Option<f64> {
    schema.get(key).and_then(Value::as_f64)
}

#[allow(clippy::cast_precision_loss)]
fn length(
    found: usize,
    schema: &Value,
    keys: (&str, &str),
    path: &str,
    what: &str,
    problems: &mut Vec<Problem>,
) {
    if let Some(least) = number(schema, keys.0).filter(|least| (found as f64) < *least) {
        problem(
            problems,
            path.to_owned(),
            format!("needs at least {least} {what}"),
        );
    }
    if let Some(most) = number(schema, keys.1).filter(|most| (found as f64) > *most) {
        problem(
            problems,
            path.to_owned(),
            format!("has {found} {what}, at most {most} are possible"),
        );
    }
}

fn range(value: f64, schema: &Value, path: &str, problems: &mut Vec<Problem>) {
    if let Some(least) = number(schema, "minimum").filter(|least| value < *least) {
        problem(
            problems,
            path.to_owned(),
            format!("must be at least {least}"),
        );
    }
    if let Some(most) = number(schema, "maximum").filter(|most| value > *most) {
        problem(problems, path.to_owned(), format!("must be at most {most}"));
    }
    let limit = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => 2_147_483_648.0,
        _ => return,
    };
    if value >= limit || value < -limit {
        problem(problems, path.to_owned(), "does not fit into 32 bits");
    }
}

fn string(text: &str, schema: &Value, path: &str, problems: &mut Vec<Problem>) {
    length(
        text.chars().count(),
        schema,
        ("minLength", "maxLength"),
        path,
        "characters",
        problems,
    );
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !matches_pattern(pattern, text)
    {
        problem(
            problems,
            path.to_owned(),
            format!("{text:?} does not match {pattern}"),
        );
    }
    let fits = match schema.get("format").and_then(Value::as_str) {
        Some("cidr") => text.contains('/') && text.parse::<ipnet::IpNet>().is_ok(),
        Some("ipv4") => text.parse::<Ipv4Addr>().is_ok(),
        Some("ipv6") => text.parse::<Ipv6Addr>().is_ok(),
        Some("ip") => text.parse::<IpAddr>().is_ok(),
        _ => true,
    };
    if !fits {
        let format = schema
            .get("format")
            .and_then(Value::as_str)
            .unwrap_or_default();
        problem(
            problems,
            path.to_owned(),
            format!("{text:?} is no {format}"),
        );
    }
}

/// Patterns come from the schemas alone, so that the number kept is bounded by them.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    static PATTERNS: OnceLock<Mutex<HashMap<String, Option<Regex>>>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(Mutex::default);
    let Ok(mut patterns) = patterns.lock() else {
        return true;
    };
    let regex = patterns
        .entry(pattern.to_owned())
        .or_insert_with(|| Regex::new(pattern).ok());
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

/// Name, namespace, labels and annotations, by the rules that hold for every object.
pub(super) fn metadata(object: &Value, namespaced: bool, problems: &mut Vec<Problem>) {
    let text = |key: &str| {
        object
            .pointer(&format!("/metadata/{key}"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (name, generate) = (text("name"), text("generateName"));
    if name.is_empty() && generate.is_empty() {
        problem(problems, "metadata.name".to_owned(), "required, but absent");
    } else if !name.is_empty() && !is_subdomain(name) {
        problems.push(
            Problem::new("metadata.name", format!("{name:?} is no name"))
                .remedy("lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"),
        );
    }
    let namespace = text("namespace");
    if namespaced && !namespace.is_empty() && (namespace.len() > 63 || !is_label_name(namespace)) {
        problem(
            problems,
            "metadata.namespace".to_owned(),
            format!("{namespace:?} is no namespace"),
        );
    }
    let map = |key: &str| {
        object
            .pointer(&format!("/metadata/{key}"))
            .and_then(Value::as_object)
    };
    for (key, value) in map("labels").into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if !is_qualified(key) || !(value.is_empty() || is_plain(value)) {
            problem(
                problems,
                format!("metadata.labels.{key}"),
                format!("{key}={value} is no label"),
            );
        }
    }
    for (key, _) in map("annotations").into_iter().flatten() {
        if !is_qualified(key) {
            problem(
                problems,
                format!("metadata.annotations.{key}"),
                format!("{key:?} is no key"),
            );
        }
    }
}

fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(&prefix.to_ascii_lowercase()) && is_plain(name),
        None => is_plain(key),
    }
}

fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
