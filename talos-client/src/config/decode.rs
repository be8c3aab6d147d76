//! Strict reading: YAML nodes to normalized values, with every unknown key and every wrong type reported.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::address;
use crate::duration;
use crate::encoding;
use crate::error::Problem;
use crate::quote::quote;
use crate::schema::{Field, Scalar, Schema, Struct, Type};
use crate::size;
use crate::uri;
use crate::value::{Map, Value};
use crate::version::VersionContract;
use crate::yaml::print;
use crate::yaml::scalar::{self, Resolved};
use crate::yaml::{Node, NodeKind};

const BLANKS: [char; 5] = ['\t', '\n', '\u{b}', '\u{c}', '\r'];

/// What is wrong with one document.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    /// Keys that the schema does not have, as `(path, line, column)`; the values are in the text.
    pub(crate) unknown: Vec<Unknown>,
    /// Dotted paths of lists and mappings that are written out and empty.
    pub(crate) blank: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Unknown {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// The key with all that is below it, as YAML.
    pub(crate) subtree: String,
    /// The minor version that knows it; 0 when none does.
    pub(crate) since: u32,
}

/// Most problems of a kind that are told about one document.
const MAX_FINDINGS: usize = 10_000;

pub(crate) struct Decoder<'a> {
    schema: &'static Schema,
    pub(crate) findings: &'a mut Findings,
    /// Keys and values of later versions are unknown.
    version: Option<VersionContract>,
    path: Vec<String>,
    /// What is read now is a secret, or all of a secret section.
    secret: bool,
    /// A value of the wrong type here is not told: it may be a secret that belongs below.
    hidden: bool,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(findings: &'a mut Findings) -> Self {
        Self {
            schema: Schema::get(),
            findings,
            version: None,
            path: Vec::new(),
            secret: false,
            hidden: false,
        }
    }

    /// A value in a problem: short ones as they are, but nothing where a secret may have slipped to.
    fn describe(&self, node: &Node) -> String {
        match &node.kind {
            NodeKind::Scalar { text, .. } if self.hidden || text.chars().count() > 20 => {
                "this text".to_owned()
            }
            NodeKind::Scalar { text, .. } => format!("`{}`", text.as_str()),
            NodeKind::Sequence(_) => "a list".to_owned(),
            NodeKind::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// Reads as strictly as a node of this version does.
    pub(crate) fn for_version(mut self, version: Option<VersionContract>) -> Self {
        self.version = version;
        self
    }

    fn too_new(&self, since: u32) -> bool {
        self.version.is_some_and(|version| !version.at_least(since))
    }

    fn unknown(&mut self, key: &Node, value: &Node, since: u32) {
        if self.findings.unknown.len() >= MAX_FINDINGS {
            return;
        }
        let name = key.as_text().unwrap_or_default().to_owned();
        let tree = Value::map([(name, Value::free(value))]);
        self.findings.unknown.push(Unknown {
            path: self.path.clone(),
            line: key.line,
            column: key.column,
            subtree: yaml(&tree),
            since,
        });
    }

    fn problem(&mut self, node: &Node, message: impl Into<String>) {
        if self.findings.problems.len() >= MAX_FINDINGS {
            return;
        }
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
                    format!("a mapping is needed here, not {}", self.describe(node)),
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
            let outside = (self.secret, self.hidden);
            if let Some(field) = shape.field(name) {
                self.secret |= field.secret;
                self.hidden = self.secret || field.private;
            }
            match shape.field(name) {
                None => self.unknown(key, value, 0),
                Some(field) if self.too_new(field.since) => self.unknown(key, value, field.since),
                // An empty list in the place of one that patches replace empties it.
                Some(field)
                    if field.replace
                        && matches!(&value.kind, NodeKind::Sequence(items) if items.is_empty()) =>
                {
                    map.set(field.name, Value::List(Vec::new()));
                }
                Some(field) => match self.dated(field, value) {
                    Some(Value::Text(text)) if field.trimmed => {
                        let text = text.trim_start_matches(BLANKS);
                        if !text.is_empty() {
                            map.set(field.name, Value::text(text));
                        }
                    }
                    Some(value) => map.set(field.name, value),
                    None => self.note_blank(&field.ty, value),
                },
            }
            (self.secret, self.hidden) = outside;
            self.path.pop();
        }
        map
    }

    /// A list or mapping without members, where there is one such field and not one for each element of a list.
    fn note_blank(&mut self, ty: &Type, node: &Node) {
        let blank = matches!(
            (ty, &node.kind),
            (Type::List(_), NodeKind::Sequence(_))
                | (Type::Map(_) | Type::Any, NodeKind::Mapping(_))
        );
        let nested = self.path.iter().any(|part| part.starts_with('['));
        if blank && !nested && self.findings.blank.len() < MAX_FINDINGS {
            self.findings.blank.push(self.path.join("."));
        }
    }

    /// A field's value, unless it is one that came later.
    fn dated(&mut self, field: &Field, node: &Node) -> Option<Value> {
        let value = self.value(&field.ty, node, false)?;
        let since = value.as_text().map_or(0, |text| field.value_since(text));
        if self.too_new(since) && self.findings.problems.len() < MAX_FINDINGS {
            let path = self.path.join(".");
            let problem = Problem::at(node.line, node.column, path, introduced(since));
            self.findings.problems.push(problem.with_introduced(since));
        }
        Some(value)
    }

    /// `None` when the value equals absence.
    fn value(&mut self, ty: &Type, node: &Node, element: bool) -> Option<Value> {
        if node.is_null() {
            return None;
        }
        match ty {
            Type::Any => match &node.kind {
                NodeKind::Mapping(_) => {
                    Some(Value::free(node)).filter(|value| element || !value.is_zero())
                }
                _ => {
                    self.problem(
                        node,
                        format!("a mapping is needed here, not {}", self.describe(node)),
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
                        format!("a list is needed here, not {}", self.describe(node)),
                    );
                    return None;
                };
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    self.path.push(format!("[{index}]"));
                    // A null element is dropped where null has no representation.
                    let representable = matches!(**inner, Type::Struct { pointer: true, .. });
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
                let NodeKind::Mapping(_) = &node.kind else {
                    self.problem(
                        node,
                        format!("a mapping is needed here, not {}", self.describe(node)),
                    );
                    return None;
                };
                let mut map = Map::default();
                for (key, value) in node.pairs() {
                    if key.is_null() {
                        continue;
                    }
                    let name = key.as_text().unwrap_or_default().to_owned();
                    self.path.push(name.clone());
                    self.text(key);
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

    fn text(&mut self, node: &Node) -> Option<Value> {
        self.scalar(Scalar::String, node, false)
    }

    fn scalar(&mut self, kind: Scalar, node: &Node, percentage: bool) -> Option<Value> {
        if let (Scalar::Arg, NodeKind::Sequence(items)) = (kind, &node.kind) {
            if items.iter().any(|item| item.as_text().is_none()) {
                self.problem(node, "arg value must be a string or list of strings");
            }
            let texts = items.iter().filter(|item| !item.is_null());
            return Some(Value::List(
                texts.filter_map(|item| self.text(item)).collect(),
            ));
        }
        let NodeKind::Scalar { text, plain, tag } = &node.kind else {
            self.problem(
                node,
                format!(
                    "{} is needed here, not {}",
                    expected(kind),
                    self.describe(node)
                ),
            );
            return None;
        };
        let resolved = scalar::resolve_tagged(text, *plain, tag.as_deref());
        let value = match kind {
            Scalar::Bool => match (&resolved, scalar::old_bool(text)) {
                (Resolved::Bool(value), _) => Ok(Value::Bool(*value)),
                (Resolved::Text, Some(value)) if matches!(tag.as_deref(), None | Some("!!str")) => {
                    Ok(Value::Bool(value))
                }
                _ => Err(None),
            },
            Scalar::Int => integer(&resolved).map(Value::Int).ok_or(None),
            Scalar::Int32 => integer(&resolved)
                .filter(|n| i32::try_from(*n).is_ok())
                .map(Value::Int)
                .ok_or(None),
            Scalar::Uint(64) => match &resolved {
                Resolved::Uint(value) => Ok(Value::Uint(*value)),
                Resolved::Float(value) if (2_f64.powi(63)..2_f64.powi(64)).contains(value) => {
                    Ok(Value::Uint(*value as u64))
                }
                other => integer(other)
                    .filter(|n| *n >= 0)
                    .map(Value::Int)
                    .ok_or(None),
            },
            Scalar::Uint(bits) => integer(&resolved)
                .filter(|n| u64::try_from(*n).is_ok_and(|n| n < 1 << bits))
                .map(Value::Int)
                .ok_or(None),
            Scalar::Mode => integer(&resolved)
                .filter(|mode| u32::try_from(*mode).is_ok())
                .map(Value::Int)
                .ok_or(None),
            Scalar::Duration => match &resolved {
                Resolved::Text => duration::parse(text).map_err(Some),
                Resolved::Int(0) => Ok(0),
                // A number with a point or an exponent counts nanoseconds.
                Resolved::Float(_) => integer(&resolved).ok_or(None),
                _ => Err(None),
            }
            .map(|d| match d {
                0 => Value::text(""),
                d => Value::text(duration::print(d)),
            }),
            // What stays text must not look like a date.
            Scalar::String
            | Scalar::Arg
            | Scalar::Url
            | Scalar::Base64
            | Scalar::DiskSize
            | Scalar::SizeMatcher
                if matches!(resolved, Resolved::Timestamp(_)) =>
            {
                Err(Some("a date must be quoted to be text".to_owned()))
            }
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
            Scalar::Base64 => encoding::base64(text)
                .map(|bytes| Value::text(STANDARD.encode(Zeroizing::new(bytes))))
                .map_err(|at| Some(encoding::illegal(at))),
            Scalar::SizeMatcher => size_matcher(text).map_err(Some),
            Scalar::Size if !text.is_empty() => {
                let bare = text.strip_prefix('-').unwrap_or(text);
                let read = if percentage {
                    size::parse(text).map(|_| ())
                } else {
                    size::bytes(bare).map(|_| ())
                };
                read.map(|()| Value::text(text.as_str())).map_err(Some)
            }
            Scalar::PortRange => match integer(&resolved).map(u16::try_from) {
                Some(Ok(port)) => Ok(Value::from(port)),
                _ => port_range(text).map_err(Some),
            },
            Scalar::FailOverMac => match text.as_str() {
                "" | "0" | "none" => Ok(Value::text("none")),
                "1" | "active" => Ok(Value::text("active")),
                "2" | "follow" => Ok(Value::text("follow")),
                other => Err(Some(format!("invalid fail_over_mac value {other}"))),
            },
            Scalar::Enum(choices) => {
                // Letters of another case are accepted and printed as they should have been written.
                let lower = text.to_lowercase();
                let known = choices
                    .split('|')
                    .find(|choice| *choice == text.as_str() || choice.to_lowercase() == lower);
                known.map(Value::text).ok_or_else(|| {
                    Some(format!("does not belong to {}", choices.replace('|', ", ")))
                })
            }
            Scalar::Hex => hex(text).map(Value::text).map_err(Some),
            Scalar::DiskSize => size::bytes(text).map(disk_size).map_err(Some),
            Scalar::Table => table(&text.to_lowercase()).map(Value::text).map_err(Some),
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
                        self.describe(node),
                        expected(kind)
                    ),
                );
                None
            }
        }
    }
}

/// A node as YAML of its own.
pub(crate) fn subtree(node: &Node) -> String {
    yaml(&Value::free(node))
}

fn yaml(value: &Value) -> String {
    let mut text = String::new();
    print::document(&mut text, &super::encode::free(value));
    text
}

/// What is said of a key, kind or value that the version at hand does not have.
pub(crate) fn introduced(since: u32) -> String {
    format!("introduced in v1.{since}")
}

/// The first choice of an enumeration is its zero.
fn is_zero(kind: Scalar, value: &Value) -> bool {
    match (kind, value.as_text()) {
        (Scalar::Enum(choices), Some(text)) => choices.split('|').next() == Some(text),
        (Scalar::Table, Some(text)) => matches!(text, "" | "unspec"),
        _ => value.is_zero(),
    }
}

/// A whole number, also one that is written with a point or an exponent.
fn integer(resolved: &Resolved) -> Option<i64> {
    match resolved {
        Resolved::Int(value) => Some(*value),
        Resolved::Float(value) => {
            let whole = *value as i64;
            (whole as f64 == *value && *value < 2_f64.powi(63)).then_some(whole)
        }
        _ => None,
    }
}

/// Bytes in the shortest form that means the same: `10 GB`, or the number.
pub(crate) fn disk_size(bytes: u64) -> Value {
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

pub(crate) fn hex(text: &str) -> Result<String, String> {
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

pub(crate) fn table(text: &str) -> Result<String, String> {
    let number = text.parse::<u8>().ok().filter(|n| n.to_string() == text);
    match text {
        "unspec" | "default" | "main" | "local" => Ok(text.to_owned()),
        _ if number.is_some_and(|n| (1..=252).contains(&n)) => Ok(text.to_owned()),
        _ => Err(format!("{text} does not belong to RoutingTable values")),
    }
}

/// First and last port of a range, `80-90`.
pub(crate) fn ports(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("invalid port range: {}", quote(text));
    let port = |digits: &str| -> Result<u16, String> {
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| plain).ok_or_else(wrong)
    };
    let (low, high) = text.split_once('-').ok_or_else(wrong)?;
    Ok((port(low)?, port(high)?))
}

fn port_range(text: &str) -> Result<Value, String> {
    Ok(match ports(text)? {
        (low, high) if low == high => Value::from(low),
        (low, high) => Value::text(format!("{low}-{high}")),
    })
}

/// A size behind an optional comparison.
fn size_matcher(text: &str) -> Result<Value, String> {
    let condition = text.trim();
    let bare = [">=", "<=", ">", "<", "=="]
        .iter()
        .find_map(|comparison| condition.strip_prefix(comparison))
        .unwrap_or(condition);
    size::bytes(bare.trim())
        .map(|_| Value::text(condition))
        .map_err(|why| format!("failed to parse disk size {bare}: {why}"))
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
        Scalar::Enum(_) | Scalar::FailOverMac => "one of the known texts",
        _ => "text",
    }
}

/// Keys that stand twice in a mapping, and such that are no single value.
pub(crate) fn check_keys(node: &Node, problems: &mut Vec<Problem>) {
    match &node.kind {
        NodeKind::Mapping(pairs) => {
            let mut seen = std::collections::HashMap::new();
            for (key, value) in pairs {
                if key.as_text().is_none() {
                    let message = "a key must be a single value";
                    problems.push(Problem::at(key.line, key.column, "", message));
                }
                if let Some(text) = key.as_text()
                    && let Some(line) = seen.insert(text, key.line)
                {
                    let message = format!("mapping key \"{text}\" already defined at line {line}");
                    problems.push(Problem::at(key.line, key.column, "", message));
                }
                check_keys(value, problems);
            }
        }
        NodeKind::Sequence(items) => items.iter().for_each(|item| check_keys(item, problems)),
        NodeKind::Scalar { .. } => {}
    }
}
