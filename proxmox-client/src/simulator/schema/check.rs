//! Parameters against their shapes, with the server's texts and in its order.

use serde_json::{Map, Value};

use super::table::{Method, Release, TABLE, release_of};
use super::{Errors, format, pattern, property};

const MISSING: &str = "property is missing and it is not optional";
const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";

/// Everything that is wrong with a call's parameters.
pub(super) fn parameters(method: &Method, release: Release, given: &Map<String, Value>) -> Errors {
    let mut errors = Errors::new();
    for (name, shape) in method
        .plain()
        .filter(|(name, _)| !given.contains_key(*name))
    {
        let kind = kind_of(shape, given);
        value(None, shape, name, kind, release, &mut errors);
    }
    for (name, given_value) in given {
        let came_later = |shape: &&Value| release_of(shape).is_some_and(|since| since > release);
        match method.shape(name).filter(|shape| !came_later(shape)) {
            None => tell(&mut errors, name, UNKNOWN),
            Some(shape) => {
                let promoted;
                let given_value = match (given_value, shape["type"].as_str()) {
                    // Forms cannot tell one value from a list of one.
                    (Value::String(_) | Value::Number(_), Some("array")) => {
                        promoted = Value::Array(vec![given_value.clone()]);
                        &promoted
                    }
                    _ => given_value,
                };
                let kind = kind_of(shape, given);
                value(Some(given_value), shape, name, kind, release, &mut errors);
                let present = |name: &str| given.contains_key(name);
                required_by(shape, "", name, &present, &mut errors);
            }
        }
    }
    errors
}

/// Checks the members of a property string.
pub(super) fn members(
    keys: &Map<String, Value>,
    given: &Map<String, Value>,
    place: &str,
    release: Release,
) -> Errors {
    let mut errors = Errors::new();
    for (name, shape) in keys
        .iter()
        .filter(|(_, shape)| shape.get("alias").is_none())
    {
        let place = below(place, name);
        value(given.get(name), shape, &place, None, release, &mut errors);
    }
    for name in given.keys() {
        match keys.get(name) {
            None => tell(&mut errors, &below(place, name), UNKNOWN),
            Some(shape) => {
                let present = |name: &str| given.contains_key(name);
                required_by(shape, place, name, &present, &mut errors);
            }
        }
    }
    errors
}

fn below(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}.{name}")
    }
}

fn required_by(
    shape: &Value,
    place: &str,
    name: &str,
    present: &dyn Fn(&str) -> bool,
    errors: &mut Errors,
) {
    if let Some(other) = shape["requires"].as_str().filter(|other| !present(other)) {
        let why = format!("missing property required by '{}'", below(place, name));
        tell(errors, &below(place, other), why);
    }
}

/// The kind of thing that decides which of several shapes holds.
fn kind_of<'a>(shape: &Value, given: &'a Map<String, Value>) -> Option<&'a str> {
    given.get(shape["type-property"].as_str()?)?.as_str()
}

fn tell(errors: &mut Errors, place: &str, why: impl Into<String>) {
    let why = why.into();
    errors
        .entry(place.to_owned())
        .and_modify(|have| {
            // The real server joins with these two characters, not with a line break.
            have.push_str("\\n");
            have.push_str(&why);
        })
        .or_insert(why);
}

fn value(
    given: Option<&Value>,
    shape: &Value,
    place: &str,
    kind: Option<&str>,
    release: Release,
    errors: &mut Errors,
) {
    let mut optional = shape["optional"] == 1;
    if let Some(choices) = shape["oneOf"].as_array() {
        optional = true;
        let fits = |choice: &&Value| {
            let kinds = choice["instance-types"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|known| known.as_str() == kind))
        };
        for choice in choices.iter().filter(|_| kind.is_some()).filter(fits) {
            optional = choice["optional"] == 1;
            value(given, choice, place, None, release, errors);
        }
    } else if kind.is_some() {
        optional = true;
    }
    let Some(given) = given else {
        if !optional {
            tell(errors, place, MISSING);
        }
        return;
    };
    if let Some(plain) = plain_until(shape, release) {
        return value(Some(given), plain, place, None, release, errors);
    }
    if let Err(why) = typed(given, shape["type"].as_str()) {
        return tell(errors, place, why);
    }
    match given {
        Value::Array(items) => {
            if shape["items"].is_object() {
                for (index, item) in items.iter().enumerate() {
                    let place = format!("{place}[{index}]");
                    value(Some(item), &shape["items"], &place, None, release, errors);
                }
            }
        }
        Value::Object(_) | Value::Null => {}
        scalar_value => {
            if let Err(why) = limits(&scalar(scalar_value), shape, place, release) {
                tell(errors, place, why);
            }
        }
    }
}

/// What a value was before it became a property string: what the key is now that it may leave unnamed.
fn plain_until(shape: &Value, release: Release) -> Option<&Value> {
    let keys = shape["format"].as_object()?;
    let mut bare = keys.values().filter(|key| key["default_key"] == 1);
    bare.find(|key| release_of(key).is_some_and(|since| since > release))
}

/// A scalar as the server sees it.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                (float as i64).to_string()
            }
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn typed(value: &Value, wanted: Option<&str>) -> Result<(), String> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let failed = |got: &str| Err(format!("type check ('{wanted}') failed{got}"));
    let reference = match value {
        Value::Array(_) => Some("ARRAY"),
        Value::Object(_) => Some("HASH"),
        Value::Bool(_) => Some("JSON::PP::Boolean"),
        _ => None,
    };
    match (wanted, reference) {
        ("array", Some("ARRAY")) | ("object", Some("HASH")) => Ok(()),
        ("array" | "object", _) => failed(""),
        ("boolean", Some("JSON::PP::Boolean")) => Ok(()),
        (_, Some(reference)) => failed(&format!(" - got {reference}")),
        _ => {
            let text = scalar(value);
            let right = match wanted {
                "boolean" => matches!(text.as_str(), "0" | "1"),
                "integer" => is_integer(&text),
                "number" => is_number(&text),
                _ => true,
            };
            if right {
                Ok(())
            } else {
                failed(&format!(" - got '{text}'"))
            }
        }
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let decimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    decimal(whole)
        && decimal(part)
        && (!whole.is_empty() || !part.is_empty())
        && exponent.is_none_or(is_integer)
}

/// The first limit that a text breaks.
fn limits(text: &str, shape: &Value, place: &str, release: Release) -> Result<(), String> {
    let format = match &shape["format"] {
        Value::Object(keys) => property::check(keys, text, place, release).map(|_| ()),
        Value::String(name) => named(name, text, place, release),
        _ => Ok(()),
    };
    format.map_err(|why| format!("invalid format - {why}"))?;
    if let Some(pattern) = shape["pattern"].as_str()
        && !pattern::matches(&format!("^{pattern}$"), text)
    {
        return Err("value does not match the regex pattern".to_owned());
    }
    let length = text.chars().count() as u64;
    match (shape["maxLength"].as_u64(), shape["minLength"].as_u64()) {
        (Some(most), _) if length > most => {
            return Err(format!("value may only be {most} characters long"));
        }
        (_, Some(least)) if length < least => {
            return Err(format!("value must be at least {least} characters long"));
        }
        _ => {}
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|_| is_number(text)) {
        let beyond = |key: &str, wrong: fn(f64, f64) -> bool| {
            let bound = shape[key].as_f64()?;
            wrong(number, bound).then(|| &shape[key])
        };
        if let Some(bound) = beyond("maximum", |number, bound| number > bound) {
            return Err(format!("value must have a maximum value of {bound}"));
        }
        if let Some(bound) = beyond("minimum", |number, bound| number < bound) {
            return Err(format!("value must have a minimum value of {bound}"));
        }
    }
    if let Some(values) = shape["enum"].as_array() {
        let values: Vec<String> = values.iter().map(scalar).collect();
        if !values.iter().any(|known| known == text) {
            return Err(format!(
                "value '{text}' does not have a value in the enumeration '{}'",
                values.join(", ")
            ));
        }
    }
    Ok(())
}

/// A format known by its name: `-list` checks each part, `-opt` lets an empty text pass.
fn named(name: &str, text: &str, place: &str, release: Release) -> Result<(), String> {
    if let Some(keys) = TABLE.format(name) {
        let members = property::check(keys, text, place, release)?;
        return property::consistent(name, &members);
    }
    if let Some(name) = name.strip_suffix("-list") {
        return parts(text).try_for_each(|part| format::check(name, part));
    }
    match name.strip_suffix("-opt") {
        Some(_) if text.is_empty() || text == "0" => Ok(()),
        Some(name) => format::check(name, text),
        None => format::check(name, text),
    }
}

/// The parts of a list: separated by NUL if there is one, else by commas, semicolons and blanks.
pub(in super::super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let by_nul = text.contains('\0');
    text.split(move |c: char| match by_nul {
        true => c == '\0',
        false => matches!(c, ',' | ';') || c.is_ascii_whitespace(),
    })
    .filter(|part| !part.is_empty())
}
