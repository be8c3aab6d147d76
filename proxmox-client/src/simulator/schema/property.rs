//! Property strings as the server reads them.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::check;
use super::table::{Release, release_of};

/// Reads a text by the keys that its format had in a release and checks it; gives the members under their own names.
pub(super) fn check(
    keys: &Map<String, Value>,
    text: &str,
    place: &str,
    release: Release,
) -> Result<Map<String, Value>, String> {
    let keys = &*known_in(keys, release);
    let members = read(keys, text)?;
    let errors = check::members(keys, &members, place, release);
    if errors.is_empty() {
        return Ok(members);
    }
    let mut told = "format error\n".to_owned();
    for (place, why) in errors {
        told.push_str(&format!("{place}: {why}\n"));
    }
    Err(told)
}

fn known_in(keys: &Map<String, Value>, release: Release) -> Cow<'_, Map<String, Value>> {
    let known = |key: &Value| release_of(key).is_none_or(|since| since <= release);
    if keys.values().all(known) {
        return Cow::Borrowed(keys);
    }
    let mut keys = keys.clone();
    keys.retain(|_, key| known(key));
    Cow::Owned(keys)
}

/// A sub-key that a property string spells out.
pub(in super::super) fn sub_key<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.split(',').filter_map(|part| part.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

/// A sub-key that a part without a name stands for too.
pub(in super::super) fn default_key<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = text.split(',').filter(|part| !part.is_empty());
    parts.find_map(|part| match part.split_once('=') {
        Some((key, value)) => (key == name).then_some(value),
        None => Some(part),
    })
}

fn read(keys: &Map<String, Value>, text: &str) -> Result<Map<String, Value>, String> {
    let twice = |key: &str| {
        Err(format!(
            "duplicate key in comma-separated list property: {key}\n"
        ))
    };
    let mut members = Map::new();
    let mut bare_seen = None;
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let Some((key, value)) = part.split_once('=') else {
            if let Some(key) = bare_seen {
                return twice(key);
            }
            let Some((key, shape)) = keys.iter().find(|(_, shape)| shape["default_key"] == 1)
            else {
                return Err(
                    "value without key, but schema does not define a default key\n".to_owned(),
                );
            };
            if members.contains_key(key) {
                return twice(key);
            }
            members.insert(key.clone(), member(shape, part));
            bare_seen = Some(key);
            continue;
        };
        if key.is_empty() || value.is_empty() {
            return Err("missing key in comma-separated list property\n".to_owned());
        }
        if members.contains_key(key) {
            return twice(key);
        }
        let mut name = key;
        let mut shape = keys.get(key).unwrap_or(&Value::Null);
        if let Some(alias) = shape["alias"].as_str() {
            if let Some(naming) = shape["keyAlias"].as_str() {
                if members.contains_key(naming) {
                    return Err(format!("key alias '{naming}' is already defined\n"));
                }
                members.insert(naming.to_owned(), key.into());
            }
            name = alias;
            shape = keys.get(alias).unwrap_or(&Value::Null);
            if members.contains_key(alias) {
                return Err(format!("key '{alias}' is already defined (via alias)\n"));
            }
        }
        members.insert(name.to_owned(), member(shape, value));
    }
    Ok(members)
}

/// Flags may be words here.
fn member(shape: &Value, text: &str) -> Value {
    let word = text.to_ascii_lowercase();
    match word.as_str() {
        "1" | "on" | "yes" | "true" if shape["type"] == "boolean" => "1".into(),
        "0" | "off" | "no" | "false" if shape["type"] == "boolean" => "0".into(),
        _ => text.into(),
    }
}

/// Processors that the server knows by themselves; others are of its users' making.
const CPU_MODELS: &str = "486 Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS Cascadelake-Server \
    Cascadelake-Server-noTSX Cascadelake-Server-v2 Cascadelake-Server-v4 Cascadelake-Server-v5 \
    ClearwaterForest Conroe Cooperlake Cooperlake-v2 EPYC EPYC-Genoa EPYC-Genoa-v2 EPYC-IBPB \
    EPYC-Milan EPYC-Milan-v2 EPYC-Milan-v3 EPYC-Rome EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 \
    EPYC-Rome-v5 EPYC-Turin EPYC-v3 EPYC-v4 EPYC-v5 GraniteRapids GraniteRapids-v2 GraniteRapids-v3 \
    Haswell Haswell-IBRS Haswell-noTSX Haswell-noTSX-IBRS Icelake-Client Icelake-Client-noTSX \
    Icelake-Server Icelake-Server-noTSX Icelake-Server-v3 Icelake-Server-v4 Icelake-Server-v5 \
    Icelake-Server-v6 Icelake-Server-v7 IvyBridge IvyBridge-IBRS KnightsMill Nehalem Nehalem-IBRS \
    Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 Penryn SandyBridge SandyBridge-IBRS \
    SapphireRapids SapphireRapids-v2 SapphireRapids-v3 SapphireRapids-v4 SierraForest \
    SierraForest-v2 SierraForest-v3 Skylake-Client Skylake-Client-IBRS Skylake-Client-noTSX-IBRS \
    Skylake-Client-v4 Skylake-Server Skylake-Server-IBRS Skylake-Server-noTSX-IBRS \
    Skylake-Server-v4 Skylake-Server-v5 Westmere Westmere-IBRS a64fx athlon core2duo coreduo \
    cortex-a35 cortex-a53 cortex-a55 cortex-a57 cortex-a710 cortex-a72 cortex-a76 host kvm32 kvm64 \
    max neoverse-n1 neoverse-n2 neoverse-v1 pentium pentium2 pentium3 phenom qemu32 qemu64 \
    x86-64-v2 x86-64-v2-AES x86-64-v3 x86-64-v4";

/// What some formats ask of their members together.
pub(super) fn consistent(format: &str, members: &Map<String, Value>) -> Result<(), String> {
    let text = |key: &str| members.get(key).and_then(Value::as_str);
    match format {
        "prune-backups" => {
            let keeps_some =
                members
                    .iter()
                    .filter(|(key, _)| *key != "keep-all")
                    .any(|(_, value)| {
                        value
                            .as_str()
                            .is_some_and(|count| !count.trim_matches('0').is_empty())
                    });
            if keeps_some && text("keep-all") == Some("1") {
                return Err("keep-all cannot be set together with other options.\n".to_owned());
            }
        }
        "backup-fleecing" if text("enabled") == Some("1") && text("storage").is_none() => {
            return Err("'storage' parameter is required when 'enabled' is set\n".to_owned());
        }
        "pve-vm-cpu-conf" if text("cputype").is_none() => {
            return Err("CPU is missing cputype\n".to_owned());
        }
        "pve-vm-cpu-conf" if text("cputype").is_some_and(|model| !is_model(model)) => {
            let model = text("cputype").unwrap_or_default();
            return Err(format!(
                "Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)\n"
            ));
        }
        "pve-vm-cpu-conf" if text("reported-model").is_some() => {
            return Err(
                "Property 'reported-model' not allowed in VM-specific CPU config.\n".to_owned(),
            );
        }
        _ => {}
    }
    Ok(())
}

fn is_model(name: &str) -> bool {
    name.starts_with("custom-") || CPU_MODELS.split_whitespace().any(|model| model == name)
}
