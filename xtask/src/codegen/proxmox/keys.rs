//! The configuration keys of guests, as a table for the strict reader of configuration files.

use std::fmt::Write as _;

use anyhow::Context;
use serde_json::{Map, Value};

use super::overlay;

/// Parameters of a change that are not configuration.
const NOT_CONFIG: [&str; 12] = [
    "background_delay",
    "delete",
    "digest",
    "force",
    "import-working-storage",
    "node",
    "revert",
    "skiplock",
    "vmid",
    "storage",
    "ha-managed",
    "start",
];

/// Keys that stand in files only: the server writes them itself.
const OF_FILES: [(&str, &str); 8] = [
    ("parent", "Kind::Text"),
    ("snaptime", "Kind::Integer(None, None)"),
    ("snapstate", "Kind::Text"),
    ("vmstate", "Kind::Text"),
    ("runningmachine", "Kind::Text"),
    ("runningcpu", "Kind::Text"),
    ("running-nets-host-mtu", "Kind::Text"),
    ("meta", "Kind::Text"),
];

/// The table of one kind of guest.
pub(super) fn print(schema: &Value, name: &str, path: &str) -> anyhow::Result<String> {
    let methods = schema["methods"].as_array().context("no methods")?;
    let method = methods
        .iter()
        .find(|method| method["path"] == path && method["verb"] == "PUT")
        .with_context(|| format!("no PUT {path}"))?;
    let params: &Map<String, Value> = method["params"].as_object().context("no parameters")?;
    let mut out = format!(
        "\n/// Keys of {path}, and those that only files hold.\npub(crate) static {name}: &[Key] = &[\n"
    );
    for (key, number) in params {
        if NOT_CONFIG.contains(&key.as_str()) {
            continue;
        }
        let shape = &schema["shapes"][number.as_u64().context("a shape is not a number")? as usize];
        line(&mut out, key, &kind(shape)?)?;
    }
    for (key, kind) in OF_FILES
        .iter()
        .filter(|(key, _)| !params.contains_key(*key))
    {
        line(&mut out, key, kind)?;
    }
    out.push_str("];\n");
    Ok(out)
}

fn line(out: &mut String, key: &str, kind: &str) -> anyhow::Result<()> {
    let (stem, last) = match key.strip_suffix("[n]") {
        Some(stem) => (stem, format!("Some({})", overlay::bound(stem))),
        None => (key, "None".to_owned()),
    };
    writeln!(out, "Key {{ stem: {stem:?}, last: {last}, kind: {kind} }},")?;
    Ok(())
}

fn kind(shape: &Value) -> anyhow::Result<String> {
    if let Some(values) = shape["enum"].as_array() {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return Ok(format!("Kind::Enum(&{values:?})"));
    }
    if let Some(format) = shape["format"].as_object() {
        let mut subs = String::new();
        for (name, sub) in format {
            let alias = sub["alias"].as_str();
            let inner = if alias.is_some() {
                "Kind::Text".to_owned()
            } else {
                kind(sub)?
            };
            write!(
                subs,
                "Sub {{ name: {name:?}, alias: {alias:?}, bare: {}, required: {}, kind: {inner} }},",
                sub["default_key"] == 1,
                alias.is_none() && sub["optional"] != 1,
            )?;
        }
        return Ok(format!("Kind::Property(&[{subs}])"));
    }
    let bound = |key: &str| match shape[key].as_i64() {
        Some(number) => format!("Some({number})"),
        None => "None".to_owned(),
    };
    Ok(match shape["type"].as_str() {
        Some("boolean") => "Kind::Flag".to_owned(),
        Some("integer") => format!("Kind::Integer({}, {})", bound("minimum"), bound("maximum")),
        Some("number") => "Kind::Number".to_owned(),
        _ => "Kind::Text".to_owned(),
    })
}
