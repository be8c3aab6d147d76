//! Kubernetes names: labels, annotations and taints.

use crate::quote::quote;

const LONGEST: usize = 63;
const LONGEST_DOMAIN: usize = 253;
/// All annotations of a node together, in bytes.
const MOST_ANNOTATIONS: usize = 256 << 10;
/// Annotations in which Talos notes what it owns.
const RESERVED: [&str; 3] = [
    "talos.dev/owned-annotations",
    "talos.dev/owned-labels",
    "talos.dev/owned-taints",
];

/// What is wrong with labels.
pub(super) fn labels(labels: &[(&str, &str)]) -> Vec<String> {
    let check = |(key, value): &(&str, &str)| [self::key(key).err(), self::value(value).err()];
    labels.iter().flat_map(check).flatten().collect()
}

/// What is wrong with annotations.
pub(super) fn annotations(annotations: &[(&str, &str)]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut size = 0;
    for (key, value) in annotations {
        problems.extend(self::key(key).err());
        if RESERVED.contains(key) {
            problems.push(format!("annotation {} is reserved", quote(key)));
        }
        size += key.len() + value.len();
    }
    if size > MOST_ANNOTATIONS {
        problems.push(format!(
            "total annotation size exceeds limit of {MOST_ANNOTATIONS} bytes"
        ));
    }
    problems
}

/// What is wrong with taints, whose values are `value:Effect` or `Effect`.
pub(super) fn taints(taints: &[(&str, &str)]) -> Vec<String> {
    let check = |(key, taint): &(&str, &str)| -> Result<(), String> {
        self::key(key)?;
        let (value, effect) = taint.split_once(':').unwrap_or(("", taint));
        if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
            return Err(format!("invalid taint effect: {}", quote(effect)));
        }
        self::value(value)
    };
    taints
        .iter()
        .filter_map(|taint| check(taint).err())
        .collect()
}

/// A qualified name, `[prefix/]name`.
pub(super) fn key(key: &str) -> Result<(), String> {
    let shown = quote(key);
    let parts: Vec<&str> = key.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        ["", _] => return Err(format!("prefix cannot be empty: {shown}")),
        [prefix, name] => {
            subdomain(prefix)
                .map_err(|why| format!("prefix {} is invalid: {why}", quote(prefix)))?;
            name
        }
        _ => return Err(format!("invalid format: too many slashes: {shown}")),
    };
    if name.is_empty() {
        return Err(format!("name cannot be empty: {shown}"));
    }
    if name.len() > LONGEST {
        return Err(format!("name is too long: {shown} (limit is {LONGEST})"));
    }
    if is_word(name) {
        Ok(())
    } else {
        Err(format!("name {} is invalid", quote(name)))
    }
}

fn value(value: &str) -> Result<(), String> {
    if value.len() > LONGEST {
        return Err(format!(
            "label value length exceeds limit of {LONGEST}: {}",
            quote(value)
        ));
    }
    if value.is_empty() || is_word(value) {
        Ok(())
    } else {
        Err(format!("label value {} is invalid", quote(value)))
    }
}

/// Labels of lower-case letters, digits and hyphens between dots.
pub(super) fn subdomain(text: &str) -> Result<(), String> {
    if text.len() > LONGEST_DOMAIN {
        return Err(format!(
            "domain name length exceeds limit of {LONGEST_DOMAIN}: {}",
            quote(text)
        ));
    }
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |label: &str| {
        label.bytes().next().is_some_and(letter)
            && label.bytes().last().is_some_and(letter)
            && label.bytes().all(|b| letter(b) || b == b'-')
    };
    if text.split('.').all(label) {
        Ok(())
    } else {
        Err(format!(
            "domain doesn't match required format: {}",
            quote(text)
        ))
    }
}

fn is_word(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric());
    edge(text.bytes().next())
        && edge(text.bytes().last())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
