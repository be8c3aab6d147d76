//! The only file that names the YAML libraries: text to JSON values and back, with places for messages.
//!
//! Scalars resolve as the Kubernetes command line reads them (YAML 1.1 booleans, leading-zero octal), because a manifest
//! means what kubectl makes of it.

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Map, Number, Value};

use crate::error::{Error, ErrorKind, Problem};

const MAX_DEPTH: usize = 128;
/// Aliases multiply; this bounds what one text may expand to.
const MAX_NODES: usize = 1_000_000;

/// Where a node stands in its text, both counted from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

#[derive(Clone)]
struct Node {
    place: Place,
    data: Data,
}

#[derive(Clone)]
enum Data {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// One document of a stream: its value, and on demand the place of any of its nodes.
pub(crate) struct Document {
    root: Node,
    duplicates: Vec<Problem>,
}

impl Document {
    pub(crate) fn value(&self) -> Value {
        to_value(&self.root)
    }

    /// Keys that stand twice in one map, with their places.
    pub(crate) fn duplicates(&self) -> &[Problem] {
        &self.duplicates
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.root.data, Data::Scalar(Value::Null))
    }

    /// The place of the node at a dotted path, or of its nearest existing ancestor.
    pub(crate) fn place(&self, path: &str) -> Place {
        let mut node = &self.root;
        let mut rest = path;
        loop {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            if rest.is_empty() {
                return node.place;
            }
            let next = match &node.data {
                Data::Scalar(_) => None,
                Data::List(items) => rest.strip_prefix('[').and_then(|tail| {
                    let (index, tail) = tail.split_once(']')?;
                    Some((items.get(index.parse::<usize>().ok()?)?, tail))
                }),
                // Keys may hold dots themselves, so the longest key that fits wins.
                Data::Map(entries) => entries
                    .iter()
                    .filter_map(|(key, child)| {
                        let tail = rest.strip_prefix(key.as_str())?;
                        (tail.is_empty() || tail.starts_with(['.', '['])).then_some((child, tail))
                    })
                    .min_by_key(|(_, tail)| tail.len()),
            };
            match next {
                Some((child, tail)) => (node, rest) = (child, tail),
                None => return node.place,
            }
        }
    }

    /// Fills in line and column of problems that name a path in this document.
    pub(crate) fn locate(&self, problems: &mut [Problem]) {
        for problem in problems {
            if problem.line.is_none() {
                let place = self.place(&problem.path);
                problem.line = Some(place.line);
                problem.column = Some(place.column);
            }
        }
    }
}

fn to_value(node: &Node) -> Value {
    match &node.data {
        Data::Scalar(value) => value.clone(),
        Data::List(items) => Value::Array(items.iter().map(to_value).collect()),
        Data::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, child)| (key.clone(), to_value(child)))
                .collect::<Map<_, _>>(),
        ),
    }
}

/// Quoted texts that go on too far to the left are mended at most so often in one text.
const MAX_REPAIRS: usize = 100;

/// Reads every document of a YAML stream (JSON is YAML too). Of a key that stands twice the last value counts, as for the
/// API server; [`Document::duplicates`] names such keys.
pub(crate) fn read(text: &str) -> Result<Vec<Document>, Error> {
    let mut text = std::borrow::Cow::Borrowed(text);
    for repair in 0.. {
        let mut reader = Reader {
            parser: Parser::new_from_str(&text),
            anchors: Vec::new(),
            nodes: 0,
            duplicates: Vec::new(),
            shallow: None,
        };
        let result = reader.stream();
        let shallow = reader.shallow.filter(|_| repair < MAX_REPAIRS);
        match (result, shallow) {
            (Ok(documents), _) => return Ok(documents),
            // Kubernetes' own reader lets a quoted text go on at any column; blanks there mean nothing.
            (Err(_), Some(line)) => text = indented(&text, line).into(),
            (Err(problem), None) => {
                return Err(Error::one(ErrorKind::Syntax, "the YAML text", problem));
            }
        }
    }
    Ok(Vec::new())
}

/// The text with one line (from 1) moved to the right.
fn indented(text: &str, line: usize) -> String {
    let lines = text.split_inclusive('\n').enumerate();
    lines
        .map(|(n, content)| {
            if n + 1 == line {
                format!("{:64}{content}", "")
            } else {
                content.to_owned()
            }
        })
        .collect()
}

/// Writes one value as a block-style document ending in a line feed.
pub(crate) fn write(value: &Value) -> String {
    // Serializing a JSON value has no failing case: keys are text and numbers are finite.
    let mut text = serde_saphyr::to_string(value).unwrap_or_default();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: Vec<(usize, Node)>,
    nodes: usize,
    /// Keys of the current document that stand twice.
    duplicates: Vec<Problem>,
    /// Line on which a quoted text goes on too far to the left.
    shallow: Option<usize>,
}

fn at(span: &Span, message: impl Into<String>) -> Problem {
    let mut problem = Problem::new("", message);
    let place = place_of(span);
    problem.line = Some(place.line);
    problem.column = Some(place.column);
    problem
}

fn place_of(span: &Span) -> Place {
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        line: clamp(span.start.line()),
        column: clamp(span.start.col() + 1),
    }
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        loop {
            match self.parser.next() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(item)) => return Ok(Some(item)),
                Some(Err(error)) => {
                    if matches!(
                        error.kind(),
                        granit_parser::ErrorKind::InvalidQuotedScalarIndent
                    ) {
                        self.shallow = Some(error.marker().line());
                    }
                    return Err(scan_problem(&error));
                }
            }
        }
    }

    fn stream(&mut self) -> Result<Vec<Document>, Problem> {
        let mut documents = Vec::new();
        while let Some((event, _)) = self.next()? {
            match event {
                Event::DocumentStart(..) => self.anchors.clear(),
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                _ => {}
            }
            if matches!(event, Event::DocumentStart(..)) {
                let Some((event, span)) = self.next()? else {
                    break;
                };
                let root = self.node(event, &span, 0)?;
                let duplicates = std::mem::take(&mut self.duplicates);
                documents.push(Document { root, duplicates });
            }
        }
        Ok(documents)
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Problem> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(at(span, "nested too deeply"));
        }
        if self.nodes > MAX_NODES {
            return Err(at(span, "the document expands to too many nodes"));
        }
        let place = place_of(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().map(|tag| tag.suffix().to_string());
                let value =
                    resolve(&text, style, tag.as_deref()).map_err(|message| at(span, message))?;
                let node = Node {
                    place,
                    data: Data::Scalar(value),
                };
                self.keep(anchor, &node);
                Ok(node)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                while let Some((event, span)) = self.next()? {
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.node(event, &span, depth + 1)?);
                }
                let node = Node {
                    place,
                    data: Data::List(items),
                };
                self.keep(anchor, &node);
                Ok(node)
            }
            Event::MappingStart(_, anchor, _) => {
                let node = Node {
                    place,
                    data: Data::Map(self.mapping(depth)?),
                };
                self.keep(anchor, &node);
                Ok(node)
            }
            Event::Alias(id) => {
                let found = self.anchors.iter().rev().find(|(known, _)| *known == id);
                let Some((_, node)) = found else {
                    return Err(at(span, "alias of an anchor that is not complete"));
                };
                let node = node.clone();
                self.nodes += count(&node);
                if self.nodes > MAX_NODES {
                    return Err(at(span, "the document expands to too many nodes"));
                }
                Ok(node)
            }
            _ => Err(at(span, "expected a value here")),
        }
    }

    fn keep(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.push((anchor, node.clone()));
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(String, Node)>, Problem> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut merged: Vec<(String, Node)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let plain_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, &span, depth + 1)?;
            let Some((event, value_span)) = self.next()? else {
                break;
            };
            let value = self.node(event, &value_span, depth + 1)?;
            if plain_merge {
                merge(&mut merged, value).map_err(|message| at(&value_span, message))?;
                continue;
            }
            let key = match key.data {
                Data::Scalar(Value::String(text)) => text,
                Data::Scalar(Value::Null) => "null".to_owned(),
                Data::Scalar(other) => other.to_string(),
                _ => return Err(at(&span, "a list or map cannot be a key")),
            };
            if seen.insert(key.clone()) {
                entries.push((key, value));
            } else {
                self.duplicates.push(at(
                    &span,
                    format!("key {key:?} stands twice in this map; the last one counts"),
                ));
                entries.retain(|(known, _)| *known != key);
                entries.push((key, value));
            }
        }
        for (key, value) in merged {
            if seen.insert(key.clone()) {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }
}

fn merge(into: &mut Vec<(String, Node)>, node: Node) -> Result<(), &'static str> {
    match node.data {
        Data::Map(entries) => {
            into.extend(entries);
            Ok(())
        }
        Data::List(items) => items.into_iter().try_for_each(|item| match item.data {
            Data::Map(entries) => {
                into.extend(entries);
                Ok(())
            }
            _ => Err("a merge key takes maps"),
        }),
        Data::Scalar(_) => Err("a merge key takes a map"),
    }
}

fn count(node: &Node) -> usize {
    match &node.data {
        Data::Scalar(_) => 1,
        Data::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Data::Map(entries) => 1 + entries.iter().map(|(_, child)| count(child)).sum::<usize>(),
    }
}

fn scan_problem(error: &ScanError) -> Problem {
    let marker = error.marker();
    let mut problem = Problem::new("", error.info());
    problem.line = u32::try_from(marker.line()).ok();
    problem.column = u32::try_from(marker.col() + 1).ok();
    problem
}

fn resolve(text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Value, String> {
    match tag {
        Some("str") => return Ok(Value::String(text.to_owned())),
        Some("null") => return Ok(Value::Null),
        Some("binary") => return Err("binary values have no place in a manifest".to_owned()),
        _ => {}
    }
    if style != ScalarStyle::Plain && tag.is_none() {
        return Ok(Value::String(text.to_owned()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | ".nan" | ".NaN" | ".NAN" => {
            return Err(format!("{text} is no number that JSON can carry"));
        }
        _ => match number(text) {
            Some(number) => Value::Number(number),
            None => Value::String(text.to_owned()),
        },
    })
}

fn number(text: &str) -> Option<Number> {
    let first = text.as_bytes().first()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    if let Some(integer) = integer(&text.replace('_', "")) {
        return Some(integer);
    }
    if !is_float(text) {
        return None;
    }
    Number::from_f64(text.parse().ok()?)
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        let value = i64::try_from(-i128::from(magnitude)).ok()?;
        Some(Number::from(value))
    } else {
        Some(Number::from(magnitude))
    }
}

/// `[-+]? (. digits | digits (. digits?)?) ([eE] [-+]? digits)?`
fn is_float(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some((whole, part)) => {
            digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty())
        }
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    mantissa_ok && exponent_ok
}
