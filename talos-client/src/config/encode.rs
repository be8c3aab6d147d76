//! From values to the printed form: schema order, absent fields that always print, free-form maps sorted.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::schema::{Field, Scalar, Schema, Struct, Type};
use crate::value::{Map, Value};
use crate::yaml::print::{self, Out};

/// What stands in the place of secrets.
pub(crate) type Redaction<'r> = Option<&'r str>;

pub(crate) fn structure<'v>(
    shape: &'static Struct,
    map: &'v Map,
    redact: Redaction<'v>,
) -> Vec<(Cow<'v, str>, Out<'v>)> {
    let mut pairs = Vec::with_capacity(map.0.len());
    for field in &shape.fields {
        let out = match map.get(field.name) {
            Some(value) if !is_printed(field, value) => continue,
            Some(value) if field.secret && redact.is_some() => redacted(&field.ty, value, redact),
            Some(value) => self::value(&field.ty, value, redact),
            None if field.always => zero(&field.ty),
            None => continue,
        };
        pairs.push((Cow::Borrowed(field.name), out));
    }
    pairs
}

/// Whether a field that is there is written down.
pub(crate) fn is_printed(field: &Field, value: &Value) -> bool {
    let empty = matches!(value, Value::List(items) if items.is_empty());
    field.always || !(empty || is_unset_encryption(&field.ty, value))
}

/// An encryption section that names neither provider nor keys counts as absent, whatever else it says.
fn is_unset_encryption(ty: &Type, value: &Value) -> bool {
    let Type::Struct { id, pointer: false } = ty else {
        return false;
    };
    let shape = Schema::get().structure(*id);
    shape.is_encryption() && value.at("provider").is_none() && value.at("keys").is_none()
}

fn redacted<'v>(ty: &Type, value: &'v Value, redact: Redaction<'v>) -> Out<'v> {
    match (value, redact, ty) {
        // The field holds base64: so does its replacement, or the text would not load again.
        (
            Value::Text(text),
            Some(replacement),
            Type::Scalar {
                kind: Scalar::Base64,
                ..
            },
        ) if !text.is_empty() => Out::Text(Cow::Owned(STANDARD.encode(replacement))),
        (Value::Text(text), Some(replacement), _) if !text.is_empty() => {
            Out::Text(Cow::Borrowed(replacement))
        }
        (Value::List(items), Some(_), _) => Out::List(
            items
                .iter()
                .map(|item| inner_secrets(item, redact))
                .collect(),
        ),
        (Value::Map(_), Some(_), _) => inner_secrets(value, redact),
        _ => free(value),
    }
}

/// Free-form content: texts below the key `secret` are replaced, the rest stays readable.
pub(crate) fn inner_secrets<'v>(value: &'v Value, redact: Redaction<'v>) -> Out<'v> {
    match value {
        Value::List(items) => Out::List(
            items
                .iter()
                .map(|item| inner_secrets(item, redact))
                .collect(),
        ),
        Value::Map(map) => {
            let item = |key: &str, item: &'v Value| match (key, item, redact) {
                ("secret", Value::Text(_), Some(replacement)) => {
                    Out::Text(Cow::Borrowed(replacement))
                }
                _ => inner_secrets(item, redact),
            };
            let mut pairs: Vec<_> = map
                .0
                .iter()
                .map(|(key, value)| (Cow::Borrowed(&**key), item(key, value)))
                .collect();
            pairs.sort_by(|a, b| print::key_order(&a.0, &b.0));
            Out::Map(pairs)
        }
        other => free(other),
    }
}

fn value<'v>(ty: &Type, value: &'v Value, redact: Redaction<'v>) -> Out<'v> {
    match (ty, value) {
        (Type::Struct { id, .. }, Value::Map(map)) => {
            Out::Map(structure(Schema::get().structure(*id), map, redact))
        }
        (Type::List(inner), Value::List(items)) => Out::List(
            items
                .iter()
                .map(|item| self::value(inner, item, redact))
                .collect(),
        ),
        (Type::Map(inner), Value::Map(map)) => {
            let mut pairs: Vec<_> = map
                .0
                .iter()
                .map(|(key, item)| (Cow::Borrowed(&**key), self::value(inner, item, redact)))
                .collect();
            pairs.sort_by(|a, b| print::key_order(&a.0, &b.0));
            Out::Map(pairs)
        }
        (
            Type::Scalar {
                kind: Scalar::Mode, ..
            },
            Value::Int(mode),
        ) => Out::Raw(Cow::Owned(format!("0o{mode:o}"))),
        // An argument without a value is null, and `yes` needs no quotes there.
        (
            Type::Scalar {
                kind: Scalar::Arg, ..
            },
            Value::Text(text),
        ) if text.is_empty() => Out::Raw(Cow::Borrowed("null")),
        (
            Type::Scalar {
                kind: Scalar::Arg, ..
            },
            Value::Text(text),
        ) => Out::Free(Cow::Borrowed(text)),
        (
            Type::Scalar {
                kind: Scalar::Arg, ..
            },
            Value::List(items),
        ) => Out::List(
            items
                .iter()
                .filter_map(Value::as_text)
                .map(|item| Out::Free(Cow::Borrowed(item)))
                .collect(),
        ),
        (
            Type::Scalar {
                kind: Scalar::Table,
                ..
            },
            Value::Text(text),
        ) if text.is_empty() => zero(ty),
        (
            Type::Scalar {
                kind: Scalar::Enum(_),
                ..
            },
            Value::Text(text),
        ) if text.is_empty() => zero(ty),
        (_, value) => free(value),
    }
}

/// A value without a schema.
pub(crate) fn free(value: &Value) -> Out<'_> {
    match value {
        Value::Null => Out::Raw(Cow::Borrowed("null")),
        Value::Bool(true) => Out::Raw(Cow::Borrowed("true")),
        Value::Bool(false) => Out::Raw(Cow::Borrowed("false")),
        Value::Int(number) => Out::Raw(Cow::Owned(number.to_string())),
        Value::Uint(number) => Out::Raw(Cow::Owned(number.to_string())),
        Value::Float(number) => Out::Raw(Cow::Owned(float(*number))),
        Value::Text(text) => Out::Text(Cow::Borrowed(text)),
        Value::Time(time) => Out::Raw(Cow::Borrowed(time)),
        Value::List(items) => Out::List(items.iter().map(free).collect()),
        Value::Map(map) => {
            let mut pairs: Vec<_> = map
                .0
                .iter()
                .map(|(key, item)| (Cow::Borrowed(&**key), free(item)))
                .collect();
            pairs.sort_by(|a, b| print::key_order(&a.0, &b.0));
            Out::Map(pairs)
        }
    }
}

/// The shortest text that reads back as the same number; exponents from 1e6 and below 1e-4.
fn float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn zero(ty: &Type) -> Out<'static> {
    match ty {
        Type::Scalar { pointer: true, .. } | Type::Struct { pointer: true, .. } => {
            Out::Raw(Cow::Borrowed("null"))
        }
        Type::Scalar {
            kind: Scalar::Table,
            ..
        } => Out::Text(Cow::Borrowed("unspec")),
        Type::Scalar {
            kind: Scalar::Duration,
            ..
        } => Out::Text(Cow::Borrowed("0s")),
        Type::Scalar {
            kind: Scalar::Enum(choices),
            ..
        } => Out::Text(Cow::Borrowed(choices.split('|').next().unwrap_or_default())),
        Type::Scalar {
            kind: Scalar::Bool, ..
        } => Out::Raw(Cow::Borrowed("false")),
        Type::Scalar {
            kind: Scalar::Int | Scalar::Int32 | Scalar::Uint(_),
            ..
        } => Out::Raw(Cow::Borrowed("0")),
        Type::Scalar {
            kind: Scalar::Mode, ..
        } => Out::Raw(Cow::Borrowed("0o0")),
        Type::Scalar { .. } => Out::Text(Cow::Borrowed("")),
        Type::List(_) => Out::List(Vec::new()),
        Type::Map(_) | Type::Any => Out::Map(Vec::new()),
        Type::Struct { id, pointer: false } => {
            let shape = Schema::get().structure(*id);
            let always = shape.fields.iter().filter(|field| field.always);
            Out::Map(
                always
                    .map(|field| (Cow::Borrowed(field.name), zero(&field.ty)))
                    .collect(),
            )
        }
    }
}
