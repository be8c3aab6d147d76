//! The manager's checks on values.

use serde_json::Value;

use super::{Release, Type, object};
use crate::error::Problem;

/// The booleans of Go's strconv, which the manager reads.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A scalar of a per-engine object as text.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn value(name: &str, release: &Release, text: &str, problems: &mut Vec<Problem>) {
    if text.is_empty() {
        if release.required {
            problems.push(Problem::new("", "an empty value is not allowed"));
            return;
        }
        // An optional number or boolean may be absent, but the empty text is none.
        if release.kind == Type::Text {
            return;
        }
    }
    let mut problem = |message: String| problems.push(Problem::new("", message));
    if !release.per_engine {
        if let Err(message) = single(name, release, text) {
            problem(message);
        }
        return;
    }
    let Some(map) = object(text) else {
        if let Err(message) = single(name, release, text) {
            problem(message);
        }
        return;
    };
    let engines = release.engines();
    for engine in map
        .keys()
        .filter(|engine| !engines.contains(&engine.as_str()))
    {
        problem(format!(
            "there is no value for engine {engine:?}, only for {}",
            engines.join(" and ")
        ));
    }
    for engine in engines.iter().filter(|engine| !map.contains_key(**engine)) {
        problem(format!("the value for engine {engine} is missing"));
    }
    for (engine, value) in &map {
        if let Err(message) = single(name, release, &plain(value)) {
            problem(format!("engine {engine}: {message}"));
        }
    }
}

fn single(name: &str, release: &Release, text: &str) -> Result<(), String> {
    match release.kind {
        Type::Bool if boolean(text).is_none() => {
            return Err(format!("{text:?} is neither true nor false"));
        }
        Type::Int => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let number = text
                .parse::<i64>()
                .ok()
                .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
            #[allow(clippy::cast_precision_loss)]
            let number = number.ok_or_else(|| format!("{text:?} is no whole number"))? as f64;
            in_range(release, number)?;
        }
        Type::Float => {
            let number = text
                .parse::<f64>()
                .map_err(|_| format!("{text:?} is no number"))?;
            in_range(release, number)?;
        }
        _ => {}
    }
    if !release.choices.is_empty() && !release.choices.contains(&text) {
        return Err(format!(
            "{text:?} is none of {}",
            release.choices.join(", ")
        ));
    }
    special(name, text)
}

fn in_range(release: &Release, number: f64) -> Result<(), String> {
    let Some(range) = release.range else {
        return Ok(());
    };
    if range.minimum.is_some_and(|least| number < least) {
        return Err(format!(
            "must be at least {}",
            range.minimum.unwrap_or_default()
        ));
    }
    if range.maximum.is_some_and(|most| number > most) {
        return Err(format!(
            "must be at most {}",
            range.maximum.unwrap_or_default()
        ));
    }
    Ok(())
}

/// Settings whose text has a form of its own.
fn special(name: &str, text: &str) -> Result<(), String> {
    match name {
        "storage-network" | "endpoint-network-for-rwx-volume" => network(text),
        "manager-url" => manager_url(text),
        "taint-toleration" => tolerations(text),
        "system-managed-components-node-selector" => node_selector(text),
        "snapshot-data-integrity-cronjob" => cron(text),
        "data-engine-cpu-mask" | "v2-data-engine-cpu-mask" => cpu_mask(text),
        "data-engine-log-flags" | "v2-data-engine-log-flags" => log_flags(text),
        "orphan-resource-auto-deletion" => orphan_resources(text),
        "system-managed-csi-components-resource-limits" => match object(text) {
            Some(_) => Ok(()),
            None => Err("expected a JSON object of components and their resources".to_owned()),
        },
        _ => Ok(()),
    }
}

fn network(text: &str) -> Result<(), String> {
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [namespace, name] if !namespace.is_empty() && !name.is_empty() => Ok(()),
        _ => Err(format!(
            "{text:?} is not of the form NAMESPACE/NETWORK-ATTACHMENT"
        )),
    }
}

fn manager_url(text: &str) -> Result<(), String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(()),
        Some(_) => Err(format!("{text:?} names no host")),
        None => Err(format!("{text:?} begins with neither http:// nor https://")),
    }
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn tolerations(text: &str) -> Result<(), String> {
    for item in text
        .split(';')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        let Some((key, effect)) = item.rsplit_once(':') else {
            return Err(format!(
                "{item:?} lacks a key or an effect; write it like key=value:NoSchedule"
            ));
        };
        if !effect.trim().is_empty() && !EFFECTS.contains(&effect.trim()) {
            return Err(format!("{effect:?} is none of {}", EFFECTS.join(", ")));
        }
        if key.split('=').count() > 2 {
            return Err(format!("{key:?} holds more than one equals sign"));
        }
    }
    Ok(())
}

fn node_selector(text: &str) -> Result<(), String> {
    for item in text
        .split(';')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        match item.split(':').collect::<Vec<_>>().as_slice() {
            [key, _] if !key.trim().is_empty() => {}
            _ => return Err(format!("{item:?} is not of the form label:value")),
        }
    }
    Ok(())
}

const CRON: [(&str, u32, u32); 5] = [
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 6),
];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The standard five fields, or one of the `@` words.
pub(crate) fn cron(text: &str) -> Result<(), String> {
    if let Some(word) = text.strip_prefix('@') {
        let known = [
            "yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly",
        ];
        let every = word
            .strip_prefix("every ")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        return if known.contains(&word) || every {
            Ok(())
        } else {
            Err(format!("@{word} is no schedule"))
        };
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != CRON.len() {
        return Err(format!(
            "a schedule has five fields, {text:?} has {}",
            fields.len()
        ));
    }
    for (field, (name, least, most)) in fields.iter().zip(CRON) {
        for part in field.split(',') {
            cron_part(part, name, least, most).map_err(|why| format!("{name} {field:?}: {why}"))?;
        }
    }
    Ok(())
}

fn cron_part(part: &str, name: &str, least: u32, most: u32) -> Result<(), String> {
    let (range, step) = part
        .split_once('/')
        .map_or((part, None), |(range, step)| (range, Some(step)));
    if step.is_some_and(|step| !step.parse::<u32>().is_ok_and(|step| step > 0)) {
        return Err("the step is no positive number".to_owned());
    }
    if range == "*" || range == "?" {
        return Ok(());
    }
    let number = |text: &str| {
        let lower = text.to_ascii_lowercase();
        let names: &[&str] = match name {
            "month" => &MONTHS,
            "day of week" => &DAYS,
            _ => &[],
        };
        let named = names
            .iter()
            .position(|known| *known == lower)
            .and_then(|at| u32::try_from(at).ok());
        let value = named.map(|at| at + least).or_else(|| text.parse().ok());
        value
            .filter(|n| (least..=most).contains(n))
            .ok_or_else(|| format!("{text:?} is not within {least} to {most}"))
    };
    match range.split_once('-') {
        None => number(range).map(|_| ()),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("the range {range} runs backwards"));
            }
            Ok(())
        }
    }
}

/// A hexadecimal mask, or a list of CPU numbers and ranges.
fn cpu_mask(text: &str) -> Result<(), String> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let fine = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        return if fine {
            Ok(())
        } else {
            Err(format!("{text:?} is no mask"))
        };
    }
    for part in text.split(',') {
        let ends: Vec<&str> = part.split('-').collect();
        let numbers: Vec<u32> = ends
            .iter()
            .filter_map(|end| end.trim().parse().ok())
            .collect();
        match numbers.as_slice() {
            [_] if ends.len() == 1 => {}
            [first, last] if ends.len() == 2 && first <= last => {}
            _ => {
                return Err(format!(
                    "{part:?} is neither a CPU number nor a range of them"
                ));
            }
        }
    }
    Ok(())
}

fn log_flags(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let word = |flag: &str| {
        !flag.is_empty() && flag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if text.split(',').all(|flag| word(flag.trim())) {
        Ok(())
    } else {
        Err(format!("{text:?} is no comma list of flags"))
    }
}

const ORPHANS: [&str; 2] = ["replica-data", "instance"];

fn orphan_resources(text: &str) -> Result<(), String> {
    match text
        .split(';')
        .map(str::trim)
        .find(|item| !item.is_empty() && !ORPHANS.contains(item))
    {
        Some(item) => Err(format!("{item:?} is none of {}", ORPHANS.join(", "))),
        None => Ok(()),
    }
}
