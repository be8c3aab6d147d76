//! Strict reading: YAML nodes to normalized values, with every unknown key and every wrong type reported.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::address;
use crate::duration;
use crate::error::Problem;
use crate::schema::{Scalar, Schema, Struct, Type};
use crate::size;
use crate::uri;
use crate::value::{Map, Value};
use crate::yaml::scalar::{self, Resolved};
use crate::yaml::{Node, NodeKind};

/// What is wrong with one document.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    /// Keys that the schema does not have, as `(path, line, column)`; the values are in the text.
    pub(crate) unknown: Vec<Unknown>,
}

#[derive(Debug)]
pub(crate) struct Unknown {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

pub(crate) struct Decoder<'a> {
    schema: &'static Schema,
    pub(crate) findings: &'a mut Findings,
    path: Vec<String>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(findings: &'a mut Findings) -> Self {
        Self {
            schema: Schema::get(),
            findings,
            path: Vec::new(),
        }
    }

    fn problem(&mut self, node: &Node, message: impl Into<String>) {
        let path = self.path.join(".");
        self.findings
            .problems
            .push(Problem::at(node.line, node.column, path, message));
    }

    /// A structure; `skip` names keys that the caller reads itself.
    pub(crate) fn structure(&mut self, shape: &Struct, node: &Node, skip: &[&str]) -> Map {
        let mut map = Map::default();
        let NodeKind::Mapping(pairs) = &node.kind else {
            if !node.is_null() {
                self.problem(
                    node,
                    format!("a mapping is needed here, not {}", describe(node)),
                );
            }
            return map;
        };
        for (key, value) in pairs {
            let name = key.as_text().unwrap_or_default();
            if skip.contains(&name) {
                continue;
            }
            self.path.push(name.to_owned());
            match shape.field(name) {
                None => {
                    let unknown = Unknown {
                        path: self.path.clone(),
                        line: key.line,
                        column: key.column,
                    };
                    self.findings.unknown.push(unknown);
                }
                // An empty list in the place of one that patches replace empties it.
                Some(field)
                    if field.replace
                        && matches!(&value.kind, NodeKind::Sequence(items) if items.is_empty()) =>
                {
                    map.set(field.name, Value::List(Vec::new()));
                }
                Some(field) => {
                    if let Some(value) = self.value(&field.ty, value, false) {
                        map.set(field.name, value);
                    }
                }
            }
            self.path.pop();
        }
        map
    }

    /// `None` when the value equals absence.
    fn value(&mut self, ty: &Type, node: &Node, element: bool) -> Option<Value> {
        if node.is_null() {
            return None;
        }
        match ty {
            Type::Any if element => Some(Value::free(node)),
            Type::Any => match &node.kind {
                NodeKind::Mapping(_) => Some(Value::free(node)).filter(|value| !value.is_zero()),
                _ => {
                    self.problem(
                        node,
                        format!("a mapping is needed here, not {}", describe(node)),
                    );
                    None
                }
            },
            Type::Scalar { kind, pointer } => {
                let value = self.scalar(*kind, node, *pointer)?;
                if *pointer || element || !is_zero(*kind, &value) {
                    Some(value)
                } else {
                    None
                }
            }
            Type::Struct { id, pointer } => {
                let map = self.structure(self.schema.structure(*id), node, &[]);
                if *pointer || element || !map.is_empty() {
                    Some(Value::Map(map))
                } else {
                    None
                }
            }
            Type::List(inner) => {
                let NodeKind::Sequence(items) = &node.kind else {
                    self.problem(
                        node,
                        format!("a list is needed here, not {}", describe(node)),
                    );
                    return None;
                };
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    self.path.push(format!("[{index}]"));
                    // A null element is dropped where null has no representation.
                    let representable =
                        matches!(**inner, Type::Struct { pointer: true, .. } | Type::Any);
                    if representable || !item.is_null() {
                        list.push(self.element(inner, item));
                    }
                    self.path.pop();
                }
                if list.is_empty() {
                    None
                } else {
                    Some(Value::List(list))
                }
            }
            Type::Map(inner) => {
                let NodeKind::Mapping(pairs) = &node.kind else {
                    self.problem(
                        node,
                        format!("a mapping is needed here, not {}", describe(node)),
                    );
                    return None;
                };
                let mut map = Map::default();
                for (key, value) in pairs.iter().filter(|(key, _)| !key.is_null()) {
                    let name = key.as_text().unwrap_or_default().to_owned();
                    self.path.push(name.clone());
                    let value = self.element(inner, value);
                    map.set(name, value);
                    self.path.pop();
                }
                if map.is_empty() {
                    None
                } else {
                    Some(Value::Map(map))
                }
            }
        }
    }

    /// An element keeps its place even when it is empty.
    fn element(&mut self, ty: &Type, node: &Node) -> Value {
        if let Some(value) = self.value(ty, node, true) {
            return value;
        }
        match ty {
            Type::Struct { pointer: false, .. } => Value::Map(Map::default()),
            Type::Scalar {
                kind: Scalar::String | Scalar::Arg,
                ..
            } => Value::text(""),
            _ => Value::Null,
        }
    }

    fn scalar(&mut self, kind: Scalar, node: &Node, percentage: bool) -> Option<Value> {
        if let (Scalar::Arg, NodeKind::Sequence(items)) = (kind, &node.kind) {
            if items.iter().any(|item| item.as_text().is_none()) {
                self.problem(node, "arg value must be a string or list of strings");
            }
            return Some(Value::List(
                items
                    .iter()
                    .filter_map(|item| self.scalar(Scalar::String, item, false))
                    .collect(),
            ));
        }
        let NodeKind::Scalar { text, plain, tag } = &node.kind else {
            self.problem(
                node,
                format!("{} is needed here, not {}", expected(kind), describe(node)),
            );
            return None;
        };
        let resolved = match tag.as_deref() {
            Some("!!str") => Resolved::Text,
            Some("!!int" | "!!float" | "!!bool") => scalar::resolve(text),
            _ if *plain => scalar::resolve(text),
            _ => Resolved::Text,
        };
        let value = match kind {
            Scalar::Bool => match (&resolved, scalar::old_bool(text)) {
                (Resolved::Bool(value), _) => Ok(Value::Bool(*value)),
                (Resolved::Text, Some(value)) => Ok(Value::Bool(value)),
                _ => Err(None),
            },
            Scalar::Int => integer(&resolved).map(Value::Int).ok_or(None),
            Scalar::Int32 => integer(&resolved)
                .filter(|n| i32::try_from(*n).is_ok())
                .map(Value::Int)
                .ok_or(None),
            Scalar::Uint(64) => match &resolved {
                Resolved::Uint(value) => Ok(Value::Uint(*value)),
                other => integer(other)
                    .filter(|n| *n >= 0)
                    .map(Value::Int)
                    .ok_or(None),
            },
            Scalar::Uint(bits) => integer(&resolved)
                .filter(|n| u64::try_from(*n).is_ok_and(|n| n < 1 << bits))
                .map(Value::Int)
                .ok_or(None),
            Scalar::Mode => match integer(&resolved) {
                Some(mode) => Ok(Value::Int(mode)),
                None => scalar::unsigned(text)
                    .and_then(|n| i64::try_from(n).ok())
                    .map(Value::Int)
                    .ok_or(None),
            },
            Scalar::Duration if text.is_empty() => Ok(Value::text("")),
            Scalar::Duration => duration::parse(text)
                .map(|d| {
                    Value::text(if d == 0 {
                        String::new()
                    } else {
                        duration::print(d)
                    })
                })
                .map_err(Some),
            Scalar::Prefix if !text.is_empty() => address::parse_prefix(text)
                .map(|prefix| Value::text(prefix.to_string()))
                .map_err(Some),
            Scalar::Addr if !text.is_empty() => address::parse(text)
                .map(|address| Value::text(address.to_string()))
                .map_err(Some),
            Scalar::Url => uri::parse(text)
                .map(|uri| Value::text(uri.to_string()))
                .map_err(Some),
            Scalar::AddrPort if !text.is_empty() => text
                .parse::<std::net::SocketAddr>()
                .map(|a| Value::text(a.to_string()))
                .map_err(|e| Some(e.to_string())),
            Scalar::Base64 => STANDARD
                .decode(text.replace(['\n', '\r'], ""))
                .map(|_| Value::text(text.replace(['\n', '\r'], "")))
                .map_err(|error| Some(format!("not base64: {error}"))),
            Scalar::Size if !text.is_empty() => {
                let bare = text.strip_prefix('-').unwrap_or(text);
                let read = if percentage {
                    size::parse(text).map(|_| ())
                } else {
                    size::bytes(bare).map(|_| ())
                };
                read.map(|()| Value::text(text.as_str())).map_err(Some)
            }
            Scalar::PortRange => port_range(text).map_err(Some),
            Scalar::Enum(choices) => {
                // Letters of another case are accepted and printed as they should have been written.
                let known = choices
                    .split('|')
                    .find(|choice| choice.eq_ignore_ascii_case(text));
                known.map(Value::text).ok_or_else(|| {
                    Some(format!("does not belong to {}", choices.replace('|', ", ")))
                })
            }
            Scalar::Hex => hex(text).map(Value::text).map_err(Some),
            Scalar::DiskSize => size::bytes(text).map(disk_size).map_err(Some),
            Scalar::Table if text.is_empty() => Ok(Value::text("")),
            Scalar::Table => table(text).map(Value::text).map_err(Some),
            Scalar::DiskType => match text.as_str() {
                "ssd" | "hdd" | "nvme" | "sd" | "cd" | "" => Ok(Value::text(text.as_str())),
                _ => Err(Some("one of ssd, hdd, nvme, sd is needed".to_owned())),
            },
            _ => Ok(Value::text(text.as_str())),
        };
        match value {
            Ok(value) => Some(value),
            Err(reason) => {
                let reason = reason
                    .map(|reason| format!(" ({reason})"))
                    .unwrap_or_default();
                self.problem(
                    node,
                    format!(
                        "cannot read {} as {}{reason}",
                        describe(node),
                        expected(kind)
                    ),
                );
                None
            }
        }
    }
}

/// The first choice of an enumeration is its zero.
fn is_zero(kind: Scalar, value: &Value) -> bool {
    match (kind, value.as_text()) {
        (Scalar::Enum(choices), Some(text)) => choices.split('|').next() == Some(text),
        _ => value.is_zero(),
    }
}

fn integer(resolved: &Resolved) -> Option<i64> {
    match resolved {
        Resolved::Int(value) => Some(*value),
        Resolved::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
        _ => None,
    }
}

/// Bytes in the shortest form that means the same: `10 GB`, or the number.
fn disk_size(bytes: u64) -> Value {
    let number = || i64::try_from(bytes).map_or(Value::Uint(bytes), Value::Int);
    if bytes == 0 || !bytes.is_multiple_of(1000) {
        return number();
    }
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let power = (bytes.ilog10() / 3) as usize;
    let rounded = (bytes as f64 / 1000_f64.powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    let decimals = usize::from(rounded < 10.0);
    let shown = format!("{rounded:.decimals$} {}", units[power]);
    if size::bytes(&shown) == Ok(bytes) {
        Value::text(shown)
    } else {
        number()
    }
}

fn hex(text: &str) -> Result<String, String> {
    let digits: String = text
        .chars()
        .filter(|c| *c != ':')
        .collect::<String>()
        .to_lowercase();
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("`{text}` is not hexadecimal"));
    }
    let pairs: Vec<&str> = (0..digits.len() / 2)
        .map(|at| &digits[at * 2..at * 2 + 2])
        .collect();
    Ok(pairs.join(":"))
}

fn table(text: &str) -> Result<String, String> {
    let name = match text {
        "0" | "unspec" => "unspec",
        "253" | "default" => "default",
        "254" | "main" => "main",
        "255" | "local" => "local",
        other if other.parse::<u8>().is_ok() => other,
        other => return Err(format!("{other} is not a routing table")),
    };
    Ok(name.to_owned())
}

fn port_range(text: &str) -> Result<Value, String> {
    let port = |text: &str| {
        text.trim()
            .parse::<u16>()
            .map_err(|_| format!("{text} is not a port"))
    };
    match text.split_once('-') {
        None => port(text).map(Value::from),
        Some((low, high)) if port(low)? == port(high)? => port(low).map(Value::from),
        Some(_) => Ok(Value::text(text)),
    }
}

fn expected(kind: Scalar) -> &'static str {
    match kind {
        Scalar::Bool => "a boolean",
        Scalar::Int | Scalar::Int32 | Scalar::Uint(_) | Scalar::Mode => "a number",
        Scalar::Duration => "a duration such as 1h30m",
        Scalar::Size | Scalar::DiskSize | Scalar::SizeMatcher => "a size",
        Scalar::Prefix => "a network prefix",
        Scalar::Addr => "an IP address",
        Scalar::AddrPort => "an IP address with port",
        Scalar::Base64 => "base64 text",
        Scalar::PortRange => "a port or a range of ports",
        Scalar::DiskType => "a disk type",
        Scalar::Enum(_) => "one of the known texts",
        _ => "text",
    }
}

fn describe(node: &Node) -> String {
    match &node.kind {
        NodeKind::Scalar { text, .. } if text.chars().count() > 20 => "this text".to_owned(),
        NodeKind::Scalar { text, .. } => format!("`{text}`"),
        NodeKind::Sequence(_) => "a list".to_owned(),
        NodeKind::Mapping(_) => "a mapping".to_owned(),
    }
}
