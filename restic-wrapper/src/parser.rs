//! Turns the lines of both streams into typed values. Nothing is thrown away and no line stops the reader.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::command::Command;
use crate::event::{Event, ExitError, ItemError, Notice, Stream, Unknown};
use crate::lock::Lock;
use crate::node::parse_node;
use crate::report::{Config, ForgetGroup, Found, Key, Stats};
use crate::snapshot::{Node, Snapshot, SnapshotGroup};
use crate::text;

/// A whole JSON document, for the commands that answer with one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Document {
    /// `snapshots`.
    Snapshots(Vec<Snapshot>),
    /// `snapshots --group-by`.
    Groups(Vec<SnapshotGroup>),
    /// `cat snapshot`, and the first line of `ls`.
    Snapshot(Box<Snapshot>),
    /// `forget`.
    Forget(Vec<ForgetGroup>),
    /// `find`.
    Found(Vec<Found>),
    /// `stats`.
    Stats(Stats),
    /// `key list`.
    Keys(Vec<Key>),
    /// `cat config`.
    Config(Config),
    /// `cat lock`.
    Lock(Lock),
    /// `cat` of something else, or a document that does not fit.
    Other(Value),
}

/// One typed value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Decoded<'a> {
    /// A message or a line of text.
    Event(Event),
    /// A line of `ls`.
    Node(Node<'a>),
    /// A whole document.
    Document(Document),
    /// The answer of `find` as it stands in the line, for [`parse_found`](crate::parse_found); only for a parser that was
    /// told to [keep it](Parser::keep_found).
    Found(&'a str),
}

impl Decoded<'_> {
    /// The value as JSON, every key of restic's own message included: for a log, or to hand it on.
    #[must_use]
    pub fn to_value(&self) -> Value {
        fn value<T: serde::Serialize>(typed: &T) -> Value {
            serde_json::to_value(typed).unwrap_or_default()
        }
        match self {
            Self::Node(node) => serde_json::from_str(node.raw).unwrap_or_default(),
            Self::Found(line) => serde_json::from_str(line).unwrap_or_default(),
            Self::Document(document) => match document {
                Document::Snapshots(it) => value(it),
                Document::Groups(it) => value(it),
                Document::Snapshot(it) => value(it),
                Document::Forget(it) => value(it),
                Document::Found(it) => value(it),
                Document::Stats(it) => value(it),
                Document::Keys(it) => value(it),
                Document::Config(it) => value(it),
                Document::Lock(it) => value(it),
                Document::Other(it) => it.clone(),
            },
            Self::Event(event) => match event {
                Event::Progress(it) => value(it),
                Event::Item(it) => value(it),
                Event::Excluded(it) => value(it),
                Event::ItemError(it) => value(it),
                Event::SnapshotChanged(it) => value(it),
                Event::Change(it) => value(it),
                Event::Initialized(it) => value(it),
                Event::BackupSummary(it) => value(it),
                Event::RestoreSummary(it) => value(it),
                Event::CheckSummary(it) => value(it),
                Event::PruneSummary(it) => value(it),
                Event::DiffStatistics(it) => value(it),
                Event::TagSummary(it) => value(it),
                Event::Version(it) => value(it),
                Event::ExitError(it) => value(it),
                Event::Notice(it) => Value::String(it.text.clone()),
                Event::Unknown(it) => it.value.clone(),
                Event::Missed(count) => Value::from(*count),
            },
        }
    }
}

/// Turns lines into typed values, in order, one command at a time.
///
/// Give it every line of both streams and call [`Parser::finish`] at the end: a document over several lines is held
/// until it is complete.
///
/// ```
/// use restic_wrapper::{Command, Decoded, Event, Parser, Stream};
///
/// let mut parser = Parser::new(Command::Backup);
/// let mut seen = Vec::new();
/// parser.line(Stream::Stdout, br#"{"message_type":"status","percent_done":0.5}"#, &mut |value| {
///     if let Decoded::Event(Event::Progress(progress)) = value {
///         seen.push(progress.fraction);
///     }
/// });
/// parser.finish(&mut |_| {});
/// assert_eq!(seen, [0.5]);
/// ```
#[derive(Debug)]
pub struct Parser {
    command: Command,
    pending: Option<Pending>,
    limit: usize,
    keep_found: bool,
}

#[derive(Debug)]
struct Pending {
    buffer: Vec<u8>,
    depth: i64,
    in_string: bool,
    escape: bool,
}

impl Pending {
    fn new() -> Self {
        Self {
            buffer: Vec::new(),
            depth: 0,
            in_string: false,
            escape: false,
        }
    }

    fn push(&mut self, line: &[u8]) {
        for &byte in line {
            if self.in_string {
                match byte {
                    _ if self.escape => self.escape = false,
                    b'\\' => self.escape = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth -= 1,
                    _ => {}
                }
            }
        }
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
    }
}

impl Parser {
    /// For the output of one run of this command.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            command,
            pending: None,
            limit: 1 << 30,
            keep_found: false,
        }
    }

    /// Hands the answer of `find` over as text instead of reading it into owned values.
    #[must_use]
    pub fn keep_found(mut self) -> Self {
        self.keep_found = true;
        self
    }

    /// Takes one line without its end and hands over what it means: mostly one value, more when text and JSON share a
    /// line, none while a document is incomplete or for an empty line.
    pub fn line<'a>(&mut self, stream: Stream, line: &'a [u8], sink: &mut dyn FnMut(Decoded<'a>)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if stream == Stream::Stdout && self.pending.is_some() {
            self.continue_document(line, sink);
            return;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if self.command == Command::Ls
            && stream == Stream::Stdout
            && let Ok(text) = std::str::from_utf8(line)
            && let Some(node) = parse_node(text)
        {
            sink(Decoded::Node(node));
            return;
        }
        if self.keep_found
            && self.command == Command::Find
            && stream == Stream::Stdout
            && line.starts_with(b"[")
            && let Ok(text) = std::str::from_utf8(line)
            && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        {
            sink(Decoded::Found(text));
            return;
        }
        let first = line
            .iter()
            .position(|b| !b.is_ascii_whitespace())
            .unwrap_or(0);
        if matches!(line[first], b'{' | b'[') && self.json(stream, line, sink) {
            return;
        }
        if let Some(at) = json_after_text(line) {
            self.text(stream, &line[..at], false, sink);
            let taken = self.json(stream, &line[at..], sink);
            debug_assert!(taken, "json_after_text found a complete value");
            return;
        }
        self.text(stream, line, false, sink);
    }

    /// Ends the run: what was held back comes out, marked as cut.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Decoded<'_>)) {
        if let Some(pending) = self.pending.take() {
            self.give_up(&pending, sink);
        }
    }

    fn give_up(&self, pending: &Pending, sink: &mut dyn FnMut(Decoded<'_>)) {
        for line in pending.buffer.split(|b| *b == b'\n') {
            if !line.iter().all(u8::is_ascii_whitespace) {
                sink(Decoded::Event(Event::Notice(notice(
                    Stream::Stdout,
                    line,
                    true,
                ))));
            }
        }
    }

    fn continue_document<'a>(&mut self, line: &'a [u8], sink: &mut dyn FnMut(Decoded<'a>)) {
        let Some(mut pending) = self.pending.take() else {
            return;
        };
        // A message of its own within a document means that the rest of the document never came.
        if line.starts_with(b"{\"message_type\"") && serde_json::from_slice::<Value>(line).is_ok() {
            self.give_up(&pending, &mut |value| sink(into_owned(value)));
            self.line(Stream::Stdout, line, sink);
            return;
        }
        pending.push(line);
        if pending.depth > 0 && pending.buffer.len() < self.limit {
            self.pending = Some(pending);
            return;
        }
        let parsed = serde_json::from_slice::<Value>(&pending.buffer);
        match parsed {
            Ok(value) => sink(self.typed(Stream::Stdout, value)),
            Err(_) => self.give_up(&pending, &mut |value| sink(into_owned(value))),
        }
    }

    /// Tries a line that begins like JSON; says whether it was taken.
    fn json<'a>(
        &mut self,
        stream: Stream,
        line: &'a [u8],
        sink: &mut dyn FnMut(Decoded<'a>),
    ) -> bool {
        let lossy;
        let bytes = if std::str::from_utf8(line).is_ok() {
            line
        } else {
            // restic writes valid UTF-8; a library below it may not.
            lossy = String::from_utf8_lossy(line).into_owned();
            lossy.as_bytes()
        };
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) if value.is_object() || value.is_array() => {
                let rest = bytes
                    .get(values.byte_offset()..)
                    .unwrap_or_default()
                    .to_vec();
                if rest.iter().all(u8::is_ascii_whitespace) {
                    sink(self.typed(stream, value));
                    return true;
                }
                // `[0] text` is text; a message with text behind it is both.
                let message = value.get("message_type").is_some()
                    || value
                        .as_array()
                        .is_some_and(|a| a.iter().all(Value::is_object));
                if !message {
                    return false;
                }
                sink(self.typed(stream, value));
                self.line(stream, &rest, &mut |value| sink(into_owned(value)));
                true
            }
            Some(Err(error)) if error.is_eof() => {
                if stream == Stream::Stdout && !self.command.speaks_in_lines() {
                    let mut pending = Pending::new();
                    pending.push(line);
                    if pending.depth > 0 {
                        self.pending = Some(pending);
                        return true;
                    }
                }
                self.text(stream, line, true, sink);
                true
            }
            _ => false,
        }
    }

    fn text<'a>(&self, stream: Stream, line: &[u8], cut: bool, sink: &mut dyn FnMut(Decoded<'a>)) {
        let notice = notice(stream, line, cut);
        if stream == Stream::Stdout && !cut && notice.raw.is_none() {
            if let Some(progress) = text::progress(&notice.text) {
                sink(Decoded::Event(Event::Progress(progress)));
                return;
            }
            if self.command == Command::Init
                && let Some(initialized) = text::initialized(&notice.text)
            {
                sink(Decoded::Event(Event::Initialized(initialized)));
                return;
            }
        }
        sink(Decoded::Event(Event::Notice(notice)));
    }

    fn typed(&self, stream: Stream, value: Value) -> Decoded<'static> {
        let message_type = value
            .get("message_type")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if let Some(message_type) = message_type {
            return match self.message(&message_type, &value) {
                Some(decoded) => decoded,
                None => Decoded::Event(Event::Unknown(Unknown {
                    stream,
                    message_type: Some(message_type),
                    value,
                })),
            };
        }
        if stream == Stream::Stdout
            && let Some(document) = self.document(&value)
        {
            return Decoded::Document(document);
        }
        Decoded::Event(Event::Unknown(Unknown {
            stream,
            message_type: None,
            value,
        }))
    }

    fn message(&self, message_type: &str, value: &Value) -> Option<Decoded<'static>> {
        let event = match (message_type, self.command) {
            // Up to 0.15 the end of the scan came as a `status`.
            ("status", _) if value.get("action").is_some() => Event::Item(read(value)?),
            ("status", _) => Event::Progress(read(value)?),
            ("verbose_status", _) => Event::Item(read(value)?),
            ("excluded_item", _) => Event::Excluded(read(value)?),
            ("error", _) => Event::ItemError(read::<ItemError>(value)?),
            ("exit_error", _) => Event::ExitError(read::<ExitError>(value)?),
            ("changed", _) => Event::SnapshotChanged(read(value)?),
            ("change", _) => Event::Change(read(value)?),
            ("statistics", _) => Event::DiffStatistics(read(value)?),
            ("initialized", _) => Event::Initialized(read(value)?),
            ("version", _) => Event::Version(read(value)?),
            ("summary", Command::Backup) => Event::BackupSummary(read(value)?),
            ("summary", Command::Restore) => Event::RestoreSummary(read(value)?),
            ("summary", Command::Check) => Event::CheckSummary(read(value)?),
            ("summary", Command::Prune | Command::Forget) => Event::PruneSummary(read(value)?),
            ("summary", Command::Tag) => Event::TagSummary(read(value)?),
            ("snapshot", _) => {
                return Some(Decoded::Document(Document::Snapshot(Box::new(read(
                    value,
                )?))));
            }
            _ => return None,
        };
        Some(Decoded::Event(event))
    }

    fn document(&self, value: &Value) -> Option<Document> {
        match self.command {
            Command::Snapshots => {
                if value
                    .as_array()
                    .is_some_and(|a| a.iter().any(|v| v.get("group_key").is_some()))
                {
                    return Some(Document::Groups(read(value)?));
                }
                Some(Document::Snapshots(read(value)?))
            }
            Command::Forget => Some(Document::Forget(read(value)?)),
            Command::Find => Some(Document::Found(read(value)?)),
            Command::Stats => Some(Document::Stats(read(value)?)),
            Command::KeyList => Some(Document::Keys(read(value)?)),
            Command::Version => Some(Document::Other(value.clone())),
            Command::Ls if value.get("tree").is_some() => {
                Some(Document::Snapshot(Box::new(read(value)?)))
            }
            // Commands of a shell that runs several restics are told apart by their keys.
            Command::Cat | Command::Other => Some(if value.get("chunker_polynomial").is_some() {
                Document::Config(read(value)?)
            } else if value.get("tree").is_some() && value.get("time").is_some() {
                Document::Snapshot(Box::new(read(value)?))
            } else if value.get("pid").is_some() && value.get("time").is_some() {
                Document::Lock(read(value)?)
            } else {
                Document::Other(value.clone())
            }),
            _ => None,
        }
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

fn notice(stream: Stream, line: &[u8], cut: bool) -> Notice {
    let lossy = String::from_utf8_lossy(line);
    let raw = matches!(lossy, std::borrow::Cow::Owned(_)).then(|| line.into());
    Notice {
        stream,
        text: text::strip_escapes(&lossy),
        raw,
        cut,
    }
}

/// Where a complete JSON value begins that goes on to the end of a line of text.
fn json_after_text(line: &[u8]) -> Option<usize> {
    let starts = [&b"{\""[..], b"[{\"", b"[]"];
    let at = starts
        .iter()
        .filter_map(|start| memchr::memmem::find(line, start))
        .min()?;
    let value: Value = serde_json::from_slice(&line[at..]).ok()?;
    (at > 0 && (value.is_array() || value.get("message_type").is_some())).then_some(at)
}

fn into_owned(value: Decoded<'_>) -> Decoded<'static> {
    match value {
        Decoded::Event(event) => Decoded::Event(event),
        Decoded::Document(document) => Decoded::Document(document),
        Decoded::Found(line) => Decoded::Document(Document::Other(
            serde_json::from_str(line).unwrap_or_default(),
        )),
        Decoded::Node(node) => Decoded::Event(Event::Unknown(Unknown {
            stream: Stream::Stdout,
            message_type: Some("node".to_owned()),
            value: serde_json::from_str(node.raw).unwrap_or(Value::String(node.raw.to_owned())),
        })),
    }
}

/// Cuts a stream into lines, whatever sizes it arrives in; holds at most one incomplete line.
#[derive(Debug)]
pub struct LineSplitter {
    partial: Vec<u8>,
    limit: usize,
    overflowing: bool,
}

impl LineSplitter {
    /// Lines longer than `limit` bytes are cut there; the rest of such a line is dropped, so that a broken program
    /// cannot fill the memory.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            partial: Vec::new(),
            limit: limit.max(1),
            overflowing: false,
        }
    }

    /// Takes the next bytes and hands over every line that is complete, without its end.
    pub fn push(&mut self, mut chunk: &[u8], line: &mut dyn FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            let (head, tail) = chunk.split_at(end);
            chunk = &tail[1..];
            if self.overflowing {
                self.overflowing = false;
                continue;
            }
            if self.partial.is_empty() {
                line(&head[..head.len().min(self.limit)]);
                continue;
            }
            let room = self.limit - self.partial.len().min(self.limit);
            self.partial
                .extend_from_slice(&head[..head.len().min(room)]);
            line(&self.partial);
            self.partial.clear();
            if self.partial.capacity() > 1 << 20 {
                self.partial = Vec::new();
            }
        }
        if self.overflowing {
            return;
        }
        let room = self.limit - self.partial.len().min(self.limit);
        self.partial
            .extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            line(&self.partial);
            self.partial = Vec::new();
            self.overflowing = true;
        }
    }

    /// Hands over the last line if it had no end.
    pub fn finish(&mut self, line: &mut dyn FnMut(&[u8])) {
        if !self.partial.is_empty() {
            line(&self.partial);
            self.partial = Vec::new();
        }
        self.overflowing = false;
    }
}
