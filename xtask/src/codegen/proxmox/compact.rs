//! From upstream's dump to the compact schema.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::overlay::{self, Overlay};

/// Where the two descriptions come from.
const PROVENANCE: &str = "Names, types, ranges, formats, privileges and routing of the Proxmox VE 9.1.3 API as pve-docs \
publishes it (commit e5010dcea566a205770572cfbc5fe0af220d5077), and what pve-manager 9.2.11 adds \
(commit 14a22df35955d97dfc1af21e117dc894a29df0c9); releases before by what pve-docs published for them. No prose. Made by `cargo xtask codegen proxmox`.";

/// What is prose, or serves the web interface.
const DROPPED: [&str; 9] = [
    "description",
    "verbose_description",
    "typetext",
    "format_description",
    "title",
    "renderer",
    "links",
    "text",
    "print_width",
];

/// One method.
#[derive(Debug, Clone)]
pub(super) struct Method {
    pub(super) path: String,
    pub(super) verb: String,
    pub(super) info: Map<String, Value>,
    pub(super) params: BTreeMap<String, Value>,
    pub(super) returns: Value,
}

/// Reads a dump: all methods, in the order of path and verb.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Method>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .with_context(|| format!("unpacking {}", path.display()))?;
    let tree: Value = serde_json::from_str(&text).context("the dump is not JSON")?;
    let mut methods = Vec::new();
    walk(&tree, &mut methods);
    methods.sort_by(|a, b| (&a.path, &a.verb).cmp(&(&b.path, &b.verb)));
    Ok(methods)
}

fn walk(nodes: &Value, methods: &mut Vec<Method>) {
    for node in nodes.as_array().into_iter().flatten() {
        for (verb, info) in node["info"].as_object().into_iter().flatten() {
            methods.push(method(
                node["path"].as_str().unwrap_or_default(),
                verb,
                info,
            ));
        }
        walk(&node["children"], methods);
    }
}

fn method(path: &str, verb: &str, info: &Value) -> Method {
    let mut kept = Map::new();
    if info["protected"] == 1 {
        kept.insert("protected".to_owned(), true.into());
    }
    if info["proxyto"] == "node" {
        kept.insert("routed".to_owned(), true.into());
    }
    if info["allowtoken"] == 0 {
        kept.insert("token".to_owned(), false.into());
    }
    if let Some(check) = info["permissions"].get("check") {
        kept.insert("check".to_owned(), check.clone());
    } else if let Some(user) = info["permissions"].get("user") {
        kept.insert("user".to_owned(), user.clone());
    }
    let params = info["parameters"]["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    Method {
        path: path.to_owned(),
        verb: verb.to_owned(),
        info: kept,
        params: params
            .into_iter()
            .map(|(name, schema)| (name, compact(&schema)))
            .collect(),
        returns: named_by_links(&info["returns"], compact(&info["returns"])),
    }
}

/// An index tells what lies below it by a member that only its links name: `{name}`.
fn named_by_links(full: &Value, mut returns: Value) -> Value {
    let links = full["links"].as_array().into_iter().flatten();
    let names = links.filter_map(|link| {
        let href = link["href"].as_str()?;
        href.strip_prefix('{')?.strip_suffix('}')
    });
    let undescribed = returns["items"]["properties"]
        .as_object()
        .is_none_or(Map::is_empty);
    if returns["type"] == "array" && undescribed {
        for name in names {
            returns["items"]["properties"][name] = json!({ "type": "string" });
        }
    }
    returns
}

/// An answer with the members that only a newer version describes; older ones may send them all the same.
fn described(known: &mut Value, newer: &Value) {
    let (known, newer) = match known["type"] == "array" && newer["type"] == "array" {
        true => (&mut known["items"], &newer["items"]),
        false => (known, newer),
    };
    if known["type"] == "array" && known.get("items").is_none() {
        *known = newer.clone();
        return;
    }
    let Some(newer) = newer["properties"].as_object() else {
        return;
    };
    let undescribed = known["properties"].as_object().is_none_or(Map::is_empty);
    if undescribed && known["type"] != "object" {
        return;
    }
    for (name, schema) in newer {
        if known["properties"].get(name).is_none() {
            known["properties"][name] = schema.clone();
        }
    }
}

/// A schema without prose, with numbers as numbers.
fn compact(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => members
            .iter()
            .filter(|(key, value)| !DROPPED.contains(&key.as_str()) || value.is_object())
            .map(|(key, value)| {
                let number = matches!(
                    key.as_str(),
                    "minimum" | "maximum" | "optional" | "minLength" | "maxLength"
                );
                let value = match value
                    .as_str()
                    .filter(|_| number)
                    .and_then(|text| text.parse::<f64>().ok())
                {
                    Some(number) if number.fract() == 0.0 => json!(number as i64),
                    Some(number) => json!(number),
                    None if key == "pattern" && value.is_string() => portable(value),
                    None => compact(value),
                };
                (key.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(compact).collect(),
        other => other.clone(),
    }
}

/// A pattern as more than Perl reads it: groups printed with their flags, repetitions without a lower bound, NUL.
fn portable(pattern: &Value) -> Value {
    let text = pattern.as_str().unwrap_or_default();
    text.replace("(?^:", "(?:")
        .replace("(?>", "(?:")
        .replace("(?^u:", "(?:")
        .replace("(?^i:", "(?i:")
        .replace("{,", "{0,")
        .replace("\\0", "\\x00")
        .into()
}

/// The reference with what a newer version adds, marked with that version.
pub(super) fn merge(mut reference: Vec<Method>, newer: Vec<Method>, since: &str) -> Vec<Method> {
    for mut method in newer {
        let known = reference
            .iter_mut()
            .find(|known| known.path == method.path && known.verb == method.verb);
        match known {
            None => {
                method.info.insert("since".to_owned(), since.into());
                reference.push(method);
            }
            Some(known) => {
                described(&mut known.returns, &method.returns);
                for (name, mut schema) in method.params {
                    match known.params.entry(name) {
                        Entry::Vacant(entry) => {
                            schema["since"] = since.into();
                            entry.insert(schema);
                        }
                        // What was only named and is spelled out now: servers of 9.1 answer by it already.
                        Entry::Occupied(mut entry) => {
                            gain_keys(entry.get_mut(), &schema, since);
                            let named = entry.get().get("format").is_some();
                            let spelled_out =
                                schema.get("format").is_none() && schema.get("pattern").is_some();
                            if named && spelled_out {
                                entry.insert(schema);
                            }
                        }
                    }
                }
            }
        }
    }
    reference.sort_by(|a, b| (&a.path, &a.verb).cmp(&(&b.path, &b.verb)));
    reference
}

/// A property string with the keys that only a newer version describes, marked with that version.
fn gain_keys(known: &mut Value, newer: &Value, since: &str) {
    if let (Some(known), Some(newer)) = (known.get_mut("items"), newer.get("items")) {
        return gain_keys(known, newer, since);
    }
    let Some(newer) = newer["format"].as_object() else {
        return;
    };
    let known = known.get_mut("format").and_then(Value::as_object_mut);
    let Some(known) = known else { return };
    for (name, schema) in newer {
        known.entry(name.clone()).or_insert_with(|| {
            let mut schema = schema.clone();
            schema["since"] = since.into();
            schema
        });
    }
}

/// Marks what the reference has and earlier releases had not.
pub(super) fn mark(methods: &mut [Method], overlay: &Overlay) {
    for method in methods {
        let call = format!("{} {}", method.verb, method.path);
        if let Some(release) = overlay.since(&call) {
            method.info.insert("since".to_owned(), release.into());
        }
        for (name, schema) in &mut method.params {
            if let Some(release) = overlay.since_parameter(&call, name) {
                schema["since"] = release.into();
            }
            let list = schema.get("items").is_some();
            let shape = if list { &mut schema["items"] } else { schema };
            let keys = shape.get_mut("format").and_then(Value::as_object_mut);
            for (key, schema) in keys.into_iter().flatten() {
                if let Some(release) = overlay.since_key(&call, name, key) {
                    schema["since"] = release.into();
                }
            }
        }
    }
}

/// The same for formats that the reference only names.
fn mark_named(formats: &mut Map<String, Value>, methods: &[Method], overlay: &Overlay) {
    for method in methods {
        let call = format!("{} {}", method.verb, method.path);
        for (name, schema) in &method.params {
            let format = schema["format"].as_str();
            let keys = format.and_then(|format| formats.get_mut(format)?.as_object_mut());
            for (key, schema) in keys.into_iter().flatten() {
                if let Some(release) = overlay.since_key(&call, name, key) {
                    schema["since"] = release.into();
                }
            }
        }
    }
}

/// As text: equal schemas stand once, each on a line of its own.
pub(super) fn print(methods: &[Method], overlay: &Overlay) -> anyhow::Result<String> {
    let mut formats: Map<String, Value> =
        serde_json::from_str(overlay::FORMATS).context("the named formats are not JSON")?;
    // What the dump names for `cdrom` is what it spells out for the drives of that kind.
    let drive = methods
        .iter()
        .find_map(|method| method.params.get("ide[n]"));
    let drive = drive.context("no parameter ide[n]")?["format"].clone();
    formats.insert("pve-qm-ide".to_owned(), drive);
    mark_named(&mut formats, methods, overlay);
    let formats: Vec<String> = formats
        .iter()
        .map(|(name, keys)| format!("{}:{keys}", Value::from(name.as_str())))
        .collect();
    let mut shapes = Table::default();
    let mut lines = Vec::new();
    for method in methods {
        let params: Map<String, Value> = method
            .params
            .iter()
            .map(|(name, schema)| (name.clone(), shapes.number(schema).into()))
            .collect();
        let mut line = json!({ "verb": method.verb, "path": method.path });
        if let Value::Object(line) = &mut line {
            line.extend(method.info.clone());
        }
        line["params"] = params.into();
        line["returns"] = shapes.number(&method.returns).into();
        lines.push(line.to_string());
    }
    Ok(format!(
        "{{\"about\": {},\n\"bounds\": {},\n\"formats\": {{\n{}\n}},\n\"shapes\": [\n{}\n],\n\"methods\": [\n{}\n]}}\n",
        Value::from(PROVENANCE),
        overlay.bounds(),
        formats.join(",\n"),
        shapes.lines.join(",\n"),
        lines.join(",\n")
    ))
}

#[derive(Default)]
struct Table {
    numbers: BTreeMap<String, usize>,
    lines: Vec<String>,
}

impl Table {
    fn number(&mut self, schema: &Value) -> usize {
        let text = schema.to_string();
        let lines = &mut self.lines;
        *self.numbers.entry(text.clone()).or_insert_with(|| {
            lines.push(text);
            lines.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_goes_and_a_property_of_that_name_stays() {
        let schema = json!({
            "type": "object", "description": "words",
            "properties": { "description": { "type": "string", "optional": "1", "typetext": "<s>" } },
        });
        let expected = json!({
            "type": "object", "properties": { "description": { "type": "string", "optional": 1 } },
        });
        assert_eq!(compact(&schema), expected);
    }

    #[test]
    fn patterns_lose_what_only_perl_reads() {
        let schema = json!({ "pattern": "(?^i:[a-z]{,8})(?^:\\0)" });
        assert_eq!(
            compact(&schema),
            json!({ "pattern": "(?i:[a-z]{0,8})(?:\\x00)" })
        );
    }

    #[test]
    fn what_is_new_is_marked() {
        let method = |verb: &str, params: &[&str]| Method {
            path: "/x".to_owned(),
            verb: verb.to_owned(),
            info: Map::new(),
            params: params
                .iter()
                .map(|name| ((*name).to_owned(), json!({})))
                .collect(),
            returns: Value::Null,
        };
        let merged = merge(
            vec![method("GET", &["a"])],
            vec![method("GET", &["b"]), method("PUT", &[])],
            "9",
        );
        assert_eq!(merged[0].params["b"], json!({ "since": "9" }));
        assert_eq!(merged[0].params["a"], json!({}));
        assert_eq!(merged[1].info["since"], "9");
    }

    #[test]
    fn property_strings_gain_keys_that_a_newer_version_describes() {
        let method = |keys: Value, list: bool| Method {
            path: "/x".to_owned(),
            verb: "PUT".to_owned(),
            info: Map::new(),
            params: [(
                "a".to_owned(),
                match list {
                    true => json!({ "type": "array", "items": { "format": keys } }),
                    false => json!({ "format": keys }),
                },
            )]
            .into(),
            returns: Value::Null,
        };
        let expected = json!({ "old": { "type": "string" }, "new": { "since": "9" } });
        for list in [false, true] {
            let merged = merge(
                vec![method(json!({ "old": { "type": "string" } }), list)],
                vec![method(json!({ "old": {}, "new": {} }), list)],
                "9",
            );
            let shape = &merged[0].params["a"];
            let shape = shape.get("items").unwrap_or(shape);
            assert_eq!(shape["format"], expected);
        }
    }

    #[test]
    fn an_index_is_described_by_its_links() {
        let returns = json!({
            "type": "array", "items": { "type": "object", "properties": {} },
            "links": [{ "href": "{name}", "rel": "child" }],
        });
        let found = named_by_links(&returns, compact(&returns));
        let name = json!({ "name": { "type": "string" } });
        assert_eq!(found["items"]["properties"], name);
        let described = json!({
            "type": "array", "items": { "properties": { "id": {} } }, "links": [{ "href": "{name}" }],
        });
        let found = named_by_links(&described, compact(&described));
        assert_eq!(found["items"]["properties"], json!({ "id": {} }));
    }

    #[test]
    fn answers_gain_members_that_a_newer_version_describes() {
        let method = |returns: Value| Method {
            path: "/x".to_owned(),
            verb: "GET".to_owned(),
            info: Map::new(),
            params: BTreeMap::new(),
            returns,
        };
        let list = |members: Value| json!({ "type": "array", "items": { "type": "object", "properties": members } });
        let merged = merge(
            vec![method(list(json!({ "a": { "type": "string" } })))],
            vec![method(list(json!({ "a": {}, "b": {} })))],
            "9",
        );
        let expected = list(json!({ "a": { "type": "string" }, "b": {} }));
        assert_eq!(merged[0].returns, expected);
        let merged = merge(
            vec![method(json!({ "type": "object" }))],
            vec![method(
                json!({ "type": "object", "properties": { "b": {} } }),
            )],
            "9",
        );
        assert_eq!(merged[0].returns["properties"], json!({ "b": {} }));
        let merged = merge(
            vec![method(json!({ "type": "null" }))],
            vec![method(
                json!({ "type": "object", "properties": { "b": {} } }),
            )],
            "9",
        );
        assert_eq!(merged[0].returns, json!({ "type": "null" }));
    }

    #[test]
    fn a_format_that_was_spelled_out_since_is_replaced() {
        let method = |schema: Value| Method {
            path: "/x".to_owned(),
            verb: "GET".to_owned(),
            info: Map::new(),
            params: [("a".to_owned(), schema)].into(),
            returns: Value::Null,
        };
        let named = json!({ "format": "pve-x" });
        let spelled = json!({ "pattern": "[a-z]+", "maxLength": 8 });
        let merged = merge(
            vec![method(named.clone())],
            vec![method(spelled.clone())],
            "9",
        );
        assert_eq!(merged[0].params["a"], spelled);
        let merged = merge(vec![method(spelled.clone())], vec![method(named)], "9");
        assert_eq!(merged[0].params["a"], spelled);
    }
}
