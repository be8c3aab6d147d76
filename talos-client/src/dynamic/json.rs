//! Messages as JSON, by the table of fields.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use crate::generated::reflection::{ENUMS, MESSAGES};

/// As deep as messages are read, the limit of the protobuf library.
const DEPTH: usize = 100;

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
}

impl Field {
    pub(crate) const fn new(number: u32, name: &'static str, kind: Kind, shape: Shape) -> Self {
        Self {
            number,
            name,
            kind,
            shape,
        }
    }
}

/// How often a field is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    Many,
    /// Entries are messages with the fields `key` and `value`.
    Map,
}

/// What a field holds; enumerations and messages by name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool,
    Bytes,
    Double,
    Int32,
    Int64,
    Uint32,
    Uint64,
    String,
    Enum(&'static str),
    Message(&'static str),
}

/// The bytes are not the message that they should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Malformed;

enum Raw<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// The fields of a message; `None` when the schema has no such message.
pub(crate) fn fields(name: &str) -> Option<&'static [Field]> {
    lookup(MESSAGES, name)
}

fn lookup<T: ?Sized>(table: &[(&str, &'static T)], name: &str) -> Option<&'static T> {
    let at = table.binary_search_by(|(known, _)| (*known).cmp(name));
    at.ok().map(|at| table[at].1)
}

/// The message as JSON text, without the field `hidden`.
pub(crate) fn text(name: &str, bytes: &[u8], hidden: &str) -> Result<Zeroizing<String>, Malformed> {
    let mut object = object(name, bytes, DEPTH)?;
    object.remove(hidden);
    let mut value = Value::Object(object);
    let text = Zeroizing::new(value.to_string());
    wipe(&mut value);
    Ok(text)
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(object) => object.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Every occurrence of one field that has a length.
pub(crate) fn parts(mut bytes: &[u8], number: u32) -> Result<Vec<&[u8]>, Malformed> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        if let (found, Raw::Bytes(part)) = take(&mut bytes)?
            && found == number
        {
            out.push(part);
        }
    }
    Ok(out)
}

/// Whether the schema has every field that the bytes have, at any depth.
pub(crate) fn knows_all(name: &str, mut bytes: &[u8]) -> bool {
    let Some(fields) = fields(name) else {
        return false;
    };
    while !bytes.is_empty() {
        let Ok((number, raw)) = take(&mut bytes) else {
            return false;
        };
        let Some(field) = fields.iter().find(|field| field.number == number) else {
            return false;
        };
        if let (Kind::Message(inner), Raw::Bytes(bytes)) = (field.kind, raw)
            && !knows_all(inner, bytes)
        {
            return false;
        }
    }
    true
}

fn object(name: &str, mut bytes: &[u8], depth: usize) -> Result<Map<String, Value>, Malformed> {
    let fields = fields(name).ok_or(Malformed)?;
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let mut out = Map::new();
    while !bytes.is_empty() {
        let (number, raw) = take(&mut bytes)?;
        let Some(field) = fields.iter().find(|field| field.number == number) else {
            continue;
        };
        let key = field.name.to_owned();
        match field.shape {
            Shape::One => {
                out.insert(key, value(field.kind, &raw, depth)?);
            }
            Shape::Many => {
                let list = out.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                let Value::Array(list) = list else {
                    return Err(Malformed);
                };
                match raw {
                    Raw::Bytes(mut packed) if field.kind.is_number() => {
                        while !packed.is_empty() {
                            let number = field.kind.take(&mut packed)?;
                            list.push(value(field.kind, &Raw::Number(number), depth)?);
                        }
                    }
                    raw => list.push(value(field.kind, &raw, depth)?),
                }
            }
            Shape::Map => {
                let map = out.entry(key).or_insert_with(|| Value::Object(Map::new()));
                let (Value::Object(map), Kind::Message(entry), Raw::Bytes(bytes)) =
                    (map, field.kind, raw)
                else {
                    return Err(Malformed);
                };
                let (key, value) = map_entry(entry, bytes, depth)?;
                map.insert(key, value);
            }
        }
    }
    Ok(out)
}

fn map_entry(name: &str, bytes: &[u8], depth: usize) -> Result<(String, Value), Malformed> {
    let mut entry = object(name, bytes, depth)?;
    let mut part = |part: &str| {
        let field = fields(name)?.iter().find(|field| field.name == part)?;
        let default = if field.kind.is_number() {
            Raw::Number(0)
        } else {
            Raw::Bytes(&[])
        };
        let given = entry.remove(part);
        given.or_else(|| value(field.kind, &default, depth).ok())
    };
    let key = match part("key").ok_or(Malformed)? {
        Value::String(key) => key,
        other => other.to_string(),
    };
    Ok((key, part("value").ok_or(Malformed)?))
}

impl Kind {
    fn is_number(self) -> bool {
        !matches!(self, Self::Bytes | Self::String | Self::Message(_))
    }

    /// One number of a packed list.
    fn take(self, bytes: &mut &[u8]) -> Result<u64, Malformed> {
        match self {
            Self::Double => fixed(bytes, 8),
            _ => varint(bytes),
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers of 32 bits and with a sign travel in 64 bits, and are cut as the protobuf library does"
)]
fn value(kind: Kind, raw: &Raw<'_>, depth: usize) -> Result<Value, Malformed> {
    Ok(match (kind, raw) {
        (Kind::Bool, Raw::Number(n)) => Value::Bool(*n != 0),
        (Kind::Int32, Raw::Number(n)) => Value::from(*n as i32),
        (Kind::Uint32, Raw::Number(n)) => Value::from(*n as u32),
        // JSON's numbers do not hold 64 bits everywhere: the mapping writes them as text.
        (Kind::Int64, Raw::Number(n)) => Value::from((*n as i64).to_string()),
        (Kind::Uint64, Raw::Number(n)) => Value::from(n.to_string()),
        (Kind::Double, Raw::Number(n)) => float(f64::from_bits(*n)),
        (Kind::Enum(name), Raw::Number(n)) => {
            let number = *n as i32;
            let mut known = lookup(ENUMS, name).ok_or(Malformed)?.iter();
            let found = known.find(|(known, _)| *known == number);
            found.map_or_else(|| Value::from(number), |(_, name)| Value::from(*name))
        }
        (Kind::String, Raw::Bytes(bytes)) => {
            Value::from(std::str::from_utf8(bytes).map_err(|_| Malformed)?)
        }
        (Kind::Bytes, Raw::Bytes(bytes)) => Value::from(STANDARD.encode(bytes)),
        (Kind::Message(name), Raw::Bytes(bytes)) => message(name, bytes, depth)?,
        _ => return Err(Malformed),
    })
}

fn float(number: f64) -> Value {
    if number.is_nan() {
        Value::from("NaN")
    } else if number.is_infinite() {
        Value::from(if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        })
    } else {
        Value::from(number)
    }
}

fn message(name: &str, bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    Ok(match name {
        "google.protobuf.Timestamp" => {
            let time = prost_types::Timestamp::decode(bytes).map_err(|_| Malformed)?;
            Value::from(time.to_string())
        }
        "google.protobuf.Duration" => {
            let time = prost_types::Duration::decode(bytes).map_err(|_| Malformed)?;
            Value::from(time.to_string())
        }
        "google.protobuf.Any" => {
            let any = prost_types::Any::decode(bytes).map_err(|_| Malformed)?;
            let name = any.type_url.rsplit('/').next().unwrap_or_default();
            // What packs a message of a newer schema, or something broken, is shown as bytes.
            let mut out = object(name, &any.value, depth).unwrap_or_else(|Malformed| {
                Map::from_iter([("value".to_owned(), Value::from(STANDARD.encode(&any.value)))])
            });
            out.insert("@type".to_owned(), Value::from(any.type_url));
            Value::Object(out)
        }
        _ => Value::Object(object(name, bytes, depth)?),
    })
}

/// The next field: its number and what it holds.
fn take<'b>(bytes: &mut &'b [u8]) -> Result<(u32, Raw<'b>), Malformed> {
    let key = varint(bytes)?;
    let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
    let raw = match key & 7 {
        0 => Raw::Number(varint(bytes)?),
        1 => Raw::Number(fixed(bytes, 8)?),
        2 => {
            let length = usize::try_from(varint(bytes)?).map_err(|_| Malformed)?;
            let (part, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
            *bytes = rest;
            Raw::Bytes(part)
        }
        5 => Raw::Number(fixed(bytes, 4)?),
        _ => return Err(Malformed),
    };
    Ok((number, raw))
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut out = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        out |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(out);
        }
    }
    Err(Malformed)
}

/// A number of `width` bytes, the lowest first.
fn fixed(bytes: &mut &[u8], width: usize) -> Result<u64, Malformed> {
    let (part, rest) = bytes.split_at_checked(width).ok_or(Malformed)?;
    *bytes = rest;
    let digits = part.iter().rev();
    Ok(digits.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
