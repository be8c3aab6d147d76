//! A decoder that never stops at the first problem: it notes what is wrong, puts a placeholder and goes on.
//!
//! Every path that was read is kept with its place, so that rules over several values can point at each of them.
//! Paths whose value could not be read are kept as *broken*: a rule that needs one of them stays silent.

use std::collections::BTreeMap;
use std::ops::Range;

use super::problem::{Problem, Problems, Related, Severity, Span};
use super::yaml::{Entry, Flaw, Node, Value};

/// Why a scalar was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) rule: &'static str,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Bad {
    pub(crate) fn new(rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            rule,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A value written as one scalar.
pub(crate) trait Scalar: Sized {
    /// What is expected, with an example: `a size such as 8GiB`.
    const WHAT: &'static str;
    /// Whether the value is text for every reader, so that a plain `no` or `1.30` is a trap.
    const TEXT: bool = false;

    /// Reads the text; `path` only serves the message.
    fn parse(path: &str, text: &str) -> Result<Self, Bad>;

    /// Stands in for a value that could not be read; no rule ever judges it.
    fn placeholder() -> Self;
}

/// A value that reads itself from the tree.
pub(crate) trait Decode: Sized {
    /// Reads the value; `None` when it could not be read at all, which has then been noted.
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self>;

    /// Stands in for a value that could not be read.
    fn placeholder() -> Self;
}

impl<T: Scalar> Decode for T {
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
        let Value::Scalar { text, plain } = &node.value else {
            let kind = kind(node);
            cx.error_help(
                "wrong-type",
                path,
                format!("{path} is {kind}; expected {}", T::WHAT),
                format!("write {}", T::WHAT),
            );
            return None;
        };
        if T::TEXT
            && *plain
            && let Some(read) = trap(text)
        {
            let message = format!("{} {text} was read as {read}; write \"{text}\"", last(path));
            cx.error_help(
                "yaml-trap",
                path,
                message,
                "quotes keep it text for every reader",
            );
            return None;
        }
        match T::parse(path, text) {
            Ok(value) => Some(value),
            Err(bad) => {
                cx.report(Severity::Error, bad.rule, path, bad.message, bad.help, &[]);
                None
            }
        }
    }

    fn placeholder() -> Self {
        <T as Scalar>::placeholder()
    }
}

/// Where something stands in the file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) key: Option<Range<usize>>,
    pub(crate) value: Range<usize>,
}

/// Everything learnt while reading one file.
#[derive(Debug)]
pub(crate) struct Cx<'t> {
    text: &'t str,
    problems: Vec<Problem>,
    places: BTreeMap<String, Place>,
    broken: Vec<String>,
    secrets: Vec<Range<usize>>,
}

impl<'t> Cx<'t> {
    pub(crate) fn new(text: &'t str, flaws: Vec<Flaw>) -> Self {
        let mut cx = Self {
            text,
            problems: Vec::new(),
            places: BTreeMap::new(),
            broken: Vec::new(),
            secrets: Vec::new(),
        };
        for flaw in flaws {
            cx.flaw(flaw);
        }
        cx
    }

    fn flaw(&mut self, flaw: Flaw) {
        match flaw {
            Flaw::Syntax { at, message } => {
                let at = if at >= self.text.len() {
                    self.text.trim_end().len().saturating_sub(1)
                } else {
                    at
                };
                self.push_at(
                    "yaml-syntax",
                    "",
                    at..at + 1,
                    format!("not YAML from here: {message}"),
                    Some(
                        "check indentation, quotes and colons on this line and the one before"
                            .into(),
                    ),
                    Vec::new(),
                );
            }
            Flaw::DuplicateKey {
                path,
                key,
                again,
                first,
            } => {
                let (one, two) = (
                    Span::of(self.text, first),
                    Span::of(self.text, again.clone()),
                );
                let message = format!(
                    "key \"{key}\" appears twice in one mapping (lines {}, {})",
                    one.line, two.line
                );
                let related = vec![Related {
                    span: one,
                    label: "first here".into(),
                }];
                self.broken.push(join(&path, &key));
                self.push_at(
                    "duplicate-yaml-key",
                    &join(&path, &key),
                    again,
                    message,
                    Some("keep one of the two; readers disagree which one counts".into()),
                    related,
                );
            }
            Flaw::Unsupported { path, bytes, what } => {
                self.broken.push(path.clone());
                self.push_at(
                    "yaml-feature",
                    &path,
                    bytes,
                    format!("{what} has no meaning in this file"),
                    Some("write the value out".into()),
                    Vec::new(),
                );
            }
        }
    }

    fn push_at(
        &mut self,
        rule: &'static str,
        path: &str,
        bytes: Range<usize>,
        message: String,
        help: Option<String>,
        related: Vec<Related>,
    ) {
        let span = Span::of(self.text, bytes);
        self.problems.push(Problem {
            rule,
            severity: Severity::Error,
            path: path.into(),
            message,
            span,
            related,
            help,
        });
    }

    /// Notes an error with a remedy at `path` and marks the path broken.
    pub(crate) fn error_help(
        &mut self,
        rule: &'static str,
        path: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(
            Severity::Error,
            rule,
            path,
            message.into(),
            Some(help.into()),
            &[],
        );
    }

    /// Notes a problem found while decoding.
    pub(crate) fn report(
        &mut self,
        severity: Severity,
        rule: &'static str,
        path: &str,
        message: String,
        help: Option<String>,
        related: &[(&str, &str)],
    ) {
        if severity == Severity::Error {
            self.broken.push(path.to_owned());
        }
        self.push(severity, rule, path, message, help, related);
    }

    /// Notes a problem without judging whether its paths are sound.
    pub(crate) fn push(
        &mut self,
        severity: Severity,
        rule: &'static str,
        path: &str,
        message: String,
        help: Option<String>,
        related: &[(&str, &str)],
    ) {
        let related = related
            .iter()
            .filter(|(other, _)| *other != path)
            .map(|(other, label)| Related {
                span: self.span(other),
                label: (*label).to_owned(),
            })
            .collect();
        let span = self.span(path);
        self.problems.push(Problem {
            rule,
            severity,
            path: path.into(),
            message,
            span,
            related,
            help,
        });
    }

    /// Keeps the place of a path.
    pub(crate) fn remember(&mut self, path: &str, place: Place) {
        self.places.insert(path.to_owned(), place);
    }

    /// Lets `path` point at the place of `target`, and be broken when `target` is.
    pub(crate) fn alias(&mut self, path: &str, target: &str) {
        if let Some(place) = self.places.get(target).cloned() {
            self.places.entry(path.to_owned()).or_insert(place);
        }
        if self.is_broken(target) {
            self.broken.push(path.to_owned());
        }
    }

    /// Marks `path` as not readable without saying so again.
    pub(crate) fn poison(&mut self, path: &str) {
        self.broken.push(path.to_owned());
    }

    /// Keeps what stands at `node` out of every report.
    pub(crate) fn hide(&mut self, node: &Node) {
        self.secrets.push(node.bytes.clone());
    }

    /// Place of the value at `path`, else of the nearest thing around it that is written in the file.
    pub(crate) fn span(&self, path: &str) -> Span {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                // A whole section as the place of a problem would underline pages: its key is enough.
                let long = self
                    .text
                    .get(place.value.clone())
                    .is_some_and(|text| text.contains('\n'));
                let bytes = match &place.key {
                    Some(key) if long || place.value.is_empty() => key.clone(),
                    _ => place.value.clone(),
                };
                return self.first_line(bytes);
            }
            match path.rfind(['.', '[']) {
                Some(at) => path = &path[..at],
                // Not in the file at all: the end is where it would be added.
                None => {
                    let end = end_of_content(self.text);
                    return Span::of(self.text, end..end);
                }
            }
        }
    }

    fn first_line(&self, bytes: Range<usize>) -> Span {
        let text = self.text.get(bytes.clone()).unwrap_or("");
        let length = text.lines().next().map_or(0, str::len);
        Span::of(self.text, bytes.start..bytes.start + length)
    }

    /// Place of the key of `path`, where there is one.
    pub(crate) fn key_span(&self, path: &str) -> Option<Span> {
        let key = self.places.get(path)?.key.clone()?;
        Some(Span::of(self.text, key))
    }

    /// Whether `path` is written in the file.
    pub(crate) fn is_written(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// Whether a value at, under or around `path` could not be read. `[]` in `path` stands for every index.
    pub(crate) fn is_broken(&self, path: &str) -> bool {
        let wanted = segments(path);
        self.broken.iter().any(|broken| {
            let broken = segments(broken);
            let common = wanted.len().min(broken.len());
            wanted[..common]
                .iter()
                .zip(&broken[..common])
                .all(|(a, b)| {
                    a == b
                        || (*a == "[]" && b.starts_with('['))
                        || (*b == "[]" && a.starts_with('['))
                })
        })
    }

    /// Whether anything at all could not be read.
    pub(crate) fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    pub(crate) fn finish(self, file: &str) -> Problems {
        Problems::new(file, self.text, self.problems, &self.secrets)
    }
}

/// Where the last line ends that is neither empty nor a comment.
fn end_of_content(text: &str) -> usize {
    let mut end = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_end();
        if !trimmed.is_empty() && !trimmed.trim_start().starts_with('#') {
            end = at + trimmed.len();
        }
        at += line.len();
    }
    end
}

/// `a.b[3].c` as `a`, `b`, `[3]`, `c`.
fn segments(path: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for part in path.split('.') {
        let mut rest = part;
        while let Some(at) = rest.find('[') {
            if at > 0 {
                out.push(&rest[..at]);
            }
            let end = rest.find(']').map_or(rest.len(), |end| end + 1).max(at + 1);
            out.push(&rest[at..end]);
            rest = &rest[end..];
        }
        if !rest.is_empty() {
            out.push(rest);
        }
    }
    out
}

/// Path of a key in a mapping.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn kind(node: &Node) -> &'static str {
    match &node.value {
        _ if node.is_null() => "empty",
        Value::Scalar { .. } => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

/// How a reader of YAML 1.1 or 1.2 takes a plain scalar that was meant as text, if not as that text.
pub(crate) fn trap(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "y" | "yes" | "on" | "true" => return Some("the truth value true".into()),
        "n" | "no" | "off" | "false" => return Some("the truth value false".into()),
        "" | "~" | "null" => return Some("nothing (null)".into()),
        ".nan" | ".inf" | "-.inf" | "+.inf" => return Some("a special number".into()),
        _ => {}
    }
    let digits = lower.trim_start_matches(['-', '+']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if digits.len() > 1
        && digits.starts_with('0')
        && digits.bytes().all(|b| (b'0'..=b'7').contains(&b))
    {
        return Some(format!(
            "the octal number {}",
            u64::from_str_radix(digits, 8).unwrap_or(0)
        ));
    }
    if let Some(hex) = digits.strip_prefix("0x")
        && let Ok(value) = u64::from_str_radix(hex, 16)
    {
        return Some(format!("the number {value}"));
    }
    let sexagesimal: Vec<&str> = digits.split(':').collect();
    if sexagesimal.len() > 1
        && sexagesimal
            .iter()
            .all(|p| (1..=2).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))
    {
        return Some("a number to the base 60".into());
    }
    if let Ok(number) = lower.replace('_', "").parse::<f64>() {
        return Some(format!("the number {number}"));
    }
    None
}

/// A mapping whose keys are read one by one; what nobody asked for is reported at the end.
pub(crate) struct Map<'n> {
    path: String,
    entries: &'n [Entry],
    known: Vec<&'static str>,
}

impl<'n> Map<'n> {
    /// Opens the mapping at `node`; an empty value counts as an empty mapping.
    pub(crate) fn open(cx: &mut Cx<'_>, path: &str, node: &'n Node) -> Option<Self> {
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            _ if node.is_null() => &[],
            _ => {
                cx.error_help(
                    "wrong-type",
                    path,
                    format!("{path} is {}; expected a mapping", kind(node)),
                    "keys with values, each on a line of its own",
                );
                return None;
            }
        };
        for entry in entries {
            cx.remember(
                &join(path, &entry.key),
                Place {
                    key: Some(entry.key_bytes.clone()),
                    value: entry.value.bytes.clone(),
                },
            );
        }
        Some(Self {
            path: path.to_owned(),
            entries,
            known: Vec::new(),
        })
    }

    /// Path of one of its keys.
    pub(crate) fn at(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The node of a key; an empty value counts as absent.
    pub(crate) fn node(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
            .filter(|node| !node.is_null())
    }

    /// All keys with their values, for mappings whose keys are names.
    pub(crate) fn entries(&self) -> &'n [Entry] {
        self.entries
    }

    /// A value that must be there.
    pub(crate) fn need<T: Decode>(&mut self, cx: &mut Cx<'_>, key: &'static str) -> T {
        let path = self.at(key);
        match self.node(key) {
            Some(node) => T::decode(cx, &path, node).unwrap_or_else(T::placeholder),
            None => {
                if !cx.is_broken(&path) {
                    cx.error_help(
                        "missing-key",
                        &path,
                        format!("{path} is missing"),
                        self.place_for(key),
                    );
                }
                T::placeholder()
            }
        }
    }

    /// Where an absent key goes.
    fn place_for(&self, key: &str) -> String {
        if self.path.is_empty() {
            format!("add {key}: at the left edge")
        } else {
            format!("add {key}: under {}", self.path)
        }
    }

    /// A value with a default.
    pub(crate) fn or<T: Decode>(&mut self, cx: &mut Cx<'_>, key: &'static str, default: T) -> T {
        self.maybe(cx, key).unwrap_or(default)
    }

    /// A value that may be absent.
    pub(crate) fn maybe<T: Decode>(&mut self, cx: &mut Cx<'_>, key: &'static str) -> Option<T> {
        let path = self.at(key);
        let node = self.node(key)?;
        T::decode(cx, &path, node)
    }

    /// Reports every key that was not asked for. `extra` are words to suggest besides the known keys.
    pub(crate) fn finish(self, cx: &mut Cx<'_>) {
        for entry in self.entries {
            if self.known.contains(&entry.key.as_str()) {
                continue;
            }
            let path = self.at(&entry.key);
            let mut message = format!("unknown key \"{}\"", entry.key);
            if let Some(near) = nearest(&entry.key, &self.known) {
                message.push_str(&format!("; did you mean \"{near}\"?"));
                // The value was meant for that key: nothing is to be said about its absence.
                cx.broken.push(self.at(near));
                cx.problems.retain(|problem| {
                    !(problem.rule == "missing-key" && problem.path == join(&self.path, near))
                });
            }
            let mut known = self.known.clone();
            known.sort_unstable();
            let place = cx.key_span(&path);
            cx.error_help(
                "unknown-key",
                &path,
                message,
                format!("known here: {}", known.join(", ")),
            );
            if let (Some(place), Some(problem)) = (place, cx.problems.last_mut()) {
                problem.span = place;
            }
        }
    }
}

/// The word most like `wanted`, when one is like enough to be meant.
pub(crate) fn nearest<'w>(wanted: &str, words: &[&'w str]) -> Option<&'w str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "");
    let wanted = plain(wanted);
    words
        .iter()
        .map(|word| (strsim::damerau_levenshtein(&wanted, &plain(word)), *word))
        .filter(|(distance, word)| *distance * 3 <= word.len().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
        let Value::List(items) = &node.value else {
            cx.error_help(
                "wrong-type",
                path,
                format!("{path} is {}; expected a list", kind(node)),
                "entries that begin with a dash, or [a, b]",
            );
            return None;
        };
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            cx.remember(
                &path,
                Place {
                    key: None,
                    value: item.bytes.clone(),
                },
            );
            out.push(T::decode(cx, &path, item).unwrap_or_else(T::placeholder));
        }
        Some(out)
    }

    fn placeholder() -> Self {
        Vec::new()
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
        let map = Map::open(cx, path, node)?;
        let mut out = BTreeMap::new();
        for entry in map.entries() {
            let path = map.at(&entry.key);
            let value = T::decode(cx, &path, &entry.value).unwrap_or_else(T::placeholder);
            out.insert(entry.key.clone(), value);
        }
        Some(out)
    }

    fn placeholder() -> Self {
        BTreeMap::new()
    }
}

/// Makes a closed choice of words: an enum that reads, prints and suggests.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stands in the file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::spec::decode::Scalar for $name {
            const WHAT: &'static str = concat!("one of" $(, " ", $word)+);

            fn parse(path: &str, text: &str) -> Result<Self, $crate::spec::decode::Bad> {
                let words: &[&'static str] = &[$($word),+];
                match words.iter().position(|word| *word == text) {
                    Some(at) => Ok(Self::ALL[at]),
                    None => Err($crate::spec::decode::unknown_word(path, text, words)),
                }
            }

            fn placeholder() -> Self { Self::ALL[0] }
        }
    };
}
pub(crate) use choice;

pub(crate) fn unknown_word(path: &str, text: &str, words: &[&'static str]) -> Bad {
    let mut message = format!("{path} \"{text}\" is not known");
    if let Some(near) = nearest(text, words) {
        message.push_str(&format!("; did you mean \"{near}\"?"));
    }
    Bad::new("unknown-word", message).help(format!("one of {}", words.join(", ")))
}

impl<T: Decode> Decode for Option<T> {
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
        if node.is_null() {
            Some(None)
        } else {
            T::decode(cx, path, node).map(Some)
        }
    }

    fn placeholder() -> Self {
        None
    }
}

/// Makes a section of the file: a struct with its keys, which of them must be there and the defaults of the others.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty = $how:ident $key:literal $(($default:expr))?),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[non_exhaustive]
        pub struct $name { $($(#[$fmeta])* #[serde(rename = $key)] pub $field: $ty),+ }

        impl $crate::spec::decode::Decode for $name {
            fn decode(
                cx: &mut $crate::spec::decode::Cx<'_>,
                path: &str,
                node: &$crate::spec::yaml::Node,
            ) -> Option<Self> {
                let mut map = $crate::spec::decode::Map::open(cx, path, node)?;
                let value = Self { $($field: map.$how(cx, $key $(, $default)?)),+ };
                map.finish(cx);
                Some(value)
            }

            fn placeholder() -> Self {
                Self { $($field: $crate::spec::decode::Decode::placeholder()),+ }
            }
        }
    };
}
pub(crate) use record;
