//! The configuration keys of guests, as a table for the strict reader of configuration files.

use std::fmt::Write as _;

use anyhow::Context;
use serde_json::{Map, Value};

use super::formats;
use super::overlay::Overlay;

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
pub(super) fn print(
    schema: &Value,
    overlay: &Overlay,
    name: &str,
    path: &str,
) -> anyhow::Result<String> {
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
        let kind = match formats::table_of(path, key) {
            Some(table) => format!("Kind::Property({table})"),
            None => formats::kind(shape),
        };
        line(&mut out, overlay, key, &kind)?;
    }
    for (key, kind) in OF_FILES
        .iter()
        .filter(|(key, _)| !params.contains_key(*key))
    {
        line(&mut out, overlay, key, kind)?;
    }
    out.push_str("];\n");
    Ok(out)
}

fn line(out: &mut String, overlay: &Overlay, key: &str, kind: &str) -> anyhow::Result<()> {
    let (stem, last) = formats::last(overlay, key);
    writeln!(out, "Key::new({stem:?}, {last}, {kind}),")?;
    Ok(())
}
