//! From text to documents of nodes, with limits that bound hostile input.

use std::collections::{BTreeSet, HashMap};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, StructureStyle};
use zeroize::Zeroizing;

use super::{Node, NodeKind, scalar};

/// Deepest nesting that is read; the real configuration stays below 20.
const MAX_DEPTH: usize = 128;
/// Most nodes that aliases may add to one text.
const MAX_ALIASED: usize = 100_000;
/// Most bytes that anchors and aliases may copy.
const MAX_COPIED: usize = 16 << 20;
/// Most places at which white space is put in that Talos's library does not need.
const MAX_MENDED: usize = 64;
/// Most bytes that are read again because of such places.
const MAX_READ_AGAIN: usize = 256 << 20;
/// Indentation that is deep enough everywhere.
const INDENTATION: &str = concat!(
    "                                                                ",
    "                                                                ",
    "                                                                ",
    "                                                                ",
);
/// Largest text that is read, in bytes: twice the message limit of the API.
const MAX_TEXT: usize = 64 << 20;
/// Most nodes of a text, those that aliases add among them; a large configuration has a few thousand.
const MAX_NODES: usize = 250_000;
/// Most members of one list or mapping: what is done with them may take the square of their number.
const MAX_MEMBERS: usize = 10_000;
/// Most documents of a text.
const MAX_DOCUMENTS: usize = 5_000;
/// Longest key, in bytes.
const MAX_KEY: usize = 4_096;

/// What the text breaks, and where (both count from 1).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Syntax {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl Syntax {
    fn at(line: usize, column: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            column,
            message: message.into(),
        }
    }
}

enum Frame {
    Sequence {
        node: Node,
        anchor: usize,
    },
    Mapping {
        node: Node,
        anchor: usize,
        key: Option<Node>,
    },
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    /// Names of the anchors of this document.
    names: HashMap<String, usize>,
    /// Anchors of earlier documents, which later ones may use too.
    earlier: HashMap<String, Node>,
    aliased: usize,
    copied: usize,
    nodes: usize,
    root: Option<Node>,
}

/// All documents of a text; a document without content is a null scalar.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, Syntax> {
    if text.len() > MAX_TEXT {
        return Err(Syntax::at(
            1,
            1,
            format!(
                "the text has {} bytes; at most {MAX_TEXT} are read",
                text.len()
            ),
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_marks(text)?;
    let mut text = std::borrow::Cow::Borrowed(text);
    for round in 1..=MAX_MENDED {
        match read(&text) {
            Ok(documents) => return Ok(documents),
            Err(Failure::Syntax(syntax)) => return Err(syntax),
            Err(Failure::Lacks(..)) if round * text.len() > MAX_READ_AGAIN => break,
            Err(Failure::Lacks(space, at)) => text.to_mut().insert_str(at, space),
        }
    }
    Err(Syntax::at(
        1,
        1,
        "comments must be separated from other tokens by whitespace, and quoted texts be indented",
    ))
}

/// A byte order mark is no white space where a line begins.
fn check_marks(text: &str) -> Result<(), Syntax> {
    let at = match text.find("\n\u{feff}") {
        _ if text.starts_with('\u{feff}') => 0,
        Some(at) => at + 1,
        None => return Ok(()),
    };
    let line = text[..at].matches('\n').count() + 1;
    Err(Syntax::at(
        line,
        1,
        "a byte order mark stands inside the text",
    ))
}

enum Failure {
    Syntax(Syntax),
    /// White space, and the byte at which it lacks: a comment may touch a quoted text or a bracket, and the lines of a
    /// quoted text need no indentation.
    Lacks(&'static str, usize),
}

impl From<Syntax> for Failure {
    fn from(syntax: Syntax) -> Self {
        Self::Syntax(syntax)
    }
}

fn read(text: &str) -> Result<Vec<Node>, Failure> {
    let mut documents = Vec::new();
    let mut builder = Builder::default();
    let surrogates = has_surrogates(text);
    // Lines from and to which tabs may begin a line, and where flow collections that are open began.
    let (mut free, mut open) = (Vec::new(), Vec::new());
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
    };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match next {
            Ok(next) => next,
            Err(error) => {
                let mark = error.marker();
                let lacks = match error.kind() {
                    ErrorKind::CommentNotSeparated => {
                        comment_start(text, mark.index()).map(|at| (" ", at))
                    }
                    ErrorKind::InvalidQuotedScalarIndent | ErrorKind::TabInIndentation => {
                        byte_of(text, mark.index())
                            .filter(|at| !is_document_mark(&text[*at..]))
                            .map(|at| (INDENTATION, at))
                    }
                    _ => None,
                };
                if let Some((space, at)) = lacks {
                    return Err(Failure::Lacks(space, at));
                }
                let (line, column) = (mark.line(), mark.col() + 1);
                return Err(Syntax::at(line, column, error.info()).into());
            }
        };
        let (line, column) = (span.start.line(), span.start.col() + 1);
        let node = |kind| Node { kind, line, column };
        match event {
            Event::Scalar(content, style, anchor, tag) => {
                let tag = tag.as_deref().map(short_tag);
                if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
                    free.push((line, span.end.line()));
                }
                if surrogates && style == ScalarStyle::DoubleQuoted {
                    let written = span.byte_range().and_then(|range| text.get(range));
                    if written.is_some_and(has_surrogates) {
                        let message = "found invalid Unicode character escape code";
                        return Err(Syntax::at(line, column, message).into());
                    }
                }
                let plain = style == ScalarStyle::Plain;
                let kind = scalar::node(Zeroizing::new(content.into_owned()), plain, tag)
                    .map_err(|message| Syntax::at(line, column, message))?;
                builder.add(node(kind), anchor)?;
            }
            Event::SequenceStart(style, anchor, _) => {
                open.push((style == StructureStyle::Flow).then_some(line));
                builder.open(
                    Frame::Sequence {
                        node: node(NodeKind::Sequence(Vec::new())),
                        anchor,
                    },
                    line,
                    column,
                )?;
            }
            Event::MappingStart(style, anchor, _) => {
                open.push((style == StructureStyle::Flow).then_some(line));
                builder.open(
                    Frame::Mapping {
                        node: node(NodeKind::Mapping(Vec::new())),
                        anchor,
                        key: None,
                    },
                    line,
                    column,
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Some(first)) = open.pop() {
                    free.push((first, span.end.line()));
                }
                builder.close()?;
            }
            Event::Alias(id) => builder.alias(id, line, column)?,
            Event::Anchor(id, name) => {
                builder.names.insert(name.into_owned(), id);
            }
            Event::UnresolvedAlias(name) => builder.earlier_alias(&name, line, column)?,
            Event::DocumentStart(_, Some(version)) if (version.major, version.minor) != (1, 1) => {
                return Err(Syntax::at(line, column, "found incompatible YAML document").into());
            }
            Event::DocumentEnd => {
                let empty = NodeKind::Scalar {
                    text: Zeroizing::default(),
                    plain: true,
                    tag: None,
                };
                builder.end_document();
                if documents.len() >= MAX_DOCUMENTS {
                    let message = format!("more than {MAX_DOCUMENTS} documents");
                    return Err(Syntax::at(line, column, message).into());
                }
                documents.push(builder.root.take().unwrap_or_else(|| node(empty)));
            }
            _ => {}
        }
    }
    check_tabs(text, &free)?;
    Ok(documents)
}

/// The byte of a character by its number.
fn byte_of(text: &str, index: usize) -> Option<usize> {
    text.char_indices().nth(index).map(|(at, _)| at)
}

/// `---` or `...`, which quoted texts cannot have where a line begins.
fn is_document_mark(line: &str) -> bool {
    let rest = line
        .strip_prefix("---")
        .or_else(|| line.strip_prefix("..."));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// A tab stands where a line of a block begins, which only quoted texts and flow collections may have.
fn check_tabs(text: &str, free: &[(usize, usize)]) -> Result<(), Syntax> {
    let begin = |(_, line): &(usize, &str)| line.starts_with('\t');
    let lines = text.split('\n').enumerate().filter(begin);
    let mut lines: BTreeSet<usize> = lines.map(|(index, _)| index + 1).collect();
    for (first, last) in free.iter().filter(|(first, last)| first < last) {
        let inside: Vec<usize> = lines.range(first + 1..=*last).copied().collect();
        for line in inside {
            lines.remove(&line);
        }
    }
    lines.first().map_or(Ok(()), |line| {
        Err(Syntax::at(*line, 1, "found a tab where a line begins"))
    })
}

/// The byte of the `#` at or after a number of characters, on the same line.
fn comment_start(text: &str, from: usize) -> Option<usize> {
    let start = byte_of(text, from)?;
    let line = text[start..].split('\n').next()?;
    line.find('#').map(|at| start + at)
}

/// An escape that is half of a pair, which is no character.
fn has_surrogates(text: &str) -> bool {
    text.match_indices("\\u").any(|(at, _)| {
        let digits = text.as_bytes().get(at + 2..at + 4).unwrap_or_default();
        let backslashes = text[..at].bytes().rev().take_while(|b| *b == b'\\').count();
        matches!(
            digits,
            [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F']
        ) && backslashes.is_multiple_of(2)
    })
}

fn short_tag(tag: &granit_parser::Tag) -> String {
    let full = tag.to_string();
    full.strip_prefix("tag:yaml.org,2002:")
        .map_or(full.clone(), |name| format!("!!{name}"))
}

impl Builder {
    fn open(&mut self, frame: Frame, line: usize, column: usize) -> Result<(), Syntax> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Syntax::at(
                line,
                column,
                format!("nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Syntax> {
        match self.stack.pop() {
            Some(Frame::Sequence { node, anchor } | Frame::Mapping { node, anchor, .. }) => {
                self.add(node, anchor)
            }
            None => Ok(()),
        }
    }

    fn alias(&mut self, id: usize, line: usize, column: usize) -> Result<(), Syntax> {
        let Some(target) = self.anchors.get(&id).cloned() else {
            return Err(Syntax::at(
                line,
                column,
                "an anchor that contains its own alias",
            ));
        };
        self.insert(target, line, column)
    }

    fn earlier_alias(&mut self, name: &str, line: usize, column: usize) -> Result<(), Syntax> {
        let Some(target) = self.earlier.get(name).cloned() else {
            let message = format!("unknown anchor '{name}' referenced");
            return Err(Syntax::at(line, column, message));
        };
        self.insert(target, line, column)
    }

    fn insert(&mut self, target: Node, line: usize, column: usize) -> Result<(), Syntax> {
        let (nodes, _) = weight(&target);
        self.aliased += nodes;
        self.nodes += nodes;
        if self.aliased > MAX_ALIASED {
            return Err(excessive(line, column));
        }
        self.copy(&target, line, column)?;
        self.add(target, 0)
    }

    /// Accounts for a copy of a node.
    fn copy(&mut self, node: &Node, line: usize, column: usize) -> Result<(), Syntax> {
        self.copied += weight(node).1;
        if self.copied > MAX_COPIED {
            return Err(excessive(line, column));
        }
        Ok(())
    }

    fn end_document(&mut self) {
        for (name, id) in self.names.drain() {
            if let Some(node) = self.anchors.remove(&id) {
                self.earlier.insert(name, node);
            }
        }
        self.anchors.clear();
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Syntax> {
        let (line, column) = (node.line, node.column);
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values");
            return Err(Syntax::at(line, column, message));
        }
        if anchor != 0 {
            self.copy(&node, line, column)?;
            self.anchors.insert(anchor, node.clone());
        }
        let crowded = || {
            let message = format!("more than {MAX_MEMBERS} members");
            Syntax::at(line, column, message)
        };
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::Sequence {
                node:
                    Node {
                        kind: NodeKind::Sequence(items),
                        ..
                    },
                ..
            }) => {
                if items.len() >= MAX_MEMBERS {
                    return Err(crowded());
                }
                items.push(node);
            }
            Some(Frame::Mapping {
                node:
                    Node {
                        kind: NodeKind::Mapping(pairs),
                        ..
                    },
                key,
                ..
            }) => match key.take() {
                None if node.as_text().is_some_and(|text| text.len() > MAX_KEY) => {
                    let message = format!("a key of more than {MAX_KEY} bytes");
                    return Err(Syntax::at(line, column, message));
                }
                None => *key = Some(node),
                Some(_) if pairs.len() >= MAX_MEMBERS => return Err(crowded()),
                Some(name) => {
                    if name.is_merge() {
                        check_merge(&node)?;
                        if pairs.len() + members(&node) > MAX_MEMBERS {
                            return Err(crowded());
                        }
                    }
                    pairs.push((name, node));
                }
            },
            Some(_) => {}
        }
        Ok(())
    }
}

/// What can be merged: a mapping, or a list of mappings.
fn check_merge(from: &Node) -> Result<(), Syntax> {
    let mapping = |node: &Node| matches!(node.kind, NodeKind::Mapping(_));
    let wrong = match &from.kind {
        NodeKind::Sequence(items) => items.iter().find(|item| !mapping(item)),
        _ => Some(from).filter(|node| !mapping(node)),
    };
    wrong.map_or(Ok(()), |node| {
        let message = "map merge requires map or sequence of maps as the value";
        Err(Syntax::at(node.line, node.column, message))
    })
}

/// Keys of a mapping, or of all mappings of a list, with those that merge keys bring.
fn members(node: &Node) -> usize {
    match &node.kind {
        NodeKind::Mapping(pairs) => pairs
            .iter()
            .map(|(key, value)| if key.is_merge() { members(value) } else { 1 })
            .sum(),
        NodeKind::Sequence(items) => items.iter().map(members).sum(),
        NodeKind::Scalar { .. } => 0,
    }
}

fn excessive(line: usize, column: usize) -> Syntax {
    Syntax::at(line, column, "document contains excessive aliasing")
}

/// Nodes, and about how many bytes they take.
fn weight(node: &Node) -> (usize, usize) {
    let own = size_of::<Node>() + node.as_text().map_or(0, str::len);
    let add = |(nodes, bytes), (more, longer)| (nodes + more, bytes + longer);
    match &node.kind {
        NodeKind::Scalar { .. } => (1, own),
        NodeKind::Sequence(items) => items.iter().map(weight).fold((1, own), add),
        NodeKind::Mapping(pairs) => pairs
            .iter()
            .flat_map(|(key, value)| [weight(key), weight(value)])
            .fold((1, own), add),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        documents(text).unwrap_err().message
    }

    #[test]
    fn every_limit_has_an_end_that_is_told() {
        let list = |items: usize| format!("a: [{}]", vec!["1"; items].join(","));
        assert!(documents(&list(MAX_MEMBERS)).is_ok());
        assert_eq!(refused(&list(MAX_MEMBERS + 1)), "more than 10000 members");
        let keys = |count: usize| (0..count).map(|n| format!("k{n}: 1\n")).collect::<String>();
        assert!(documents(&keys(MAX_MEMBERS)).is_ok());
        assert_eq!(refused(&keys(MAX_MEMBERS + 1)), "more than 10000 members");
        let lists = vec![format!("- [{}]", vec!["1"; 9_999].join(",")); 26].join("\n");
        assert_eq!(refused(&lists), "more than 250000 values");
        let documents_of = |count: usize| "--- 1\n".repeat(count);
        assert!(documents(&documents_of(MAX_DOCUMENTS)).is_ok());
        assert_eq!(
            refused(&documents_of(MAX_DOCUMENTS + 1)),
            "more than 5000 documents"
        );
        assert_eq!(
            refused(&"---\n".repeat(1_000_000)),
            "more than 5000 documents"
        );
        let key = |length: usize| format!("? {}\n: 1\n", "k".repeat(length));
        assert!(documents(&key(MAX_KEY)).is_ok());
        assert_eq!(refused(&key(MAX_KEY + 1)), "a key of more than 4096 bytes");
    }

    #[test]
    fn copies_are_counted_by_their_bytes_too() {
        let long = "x".repeat(1 << 20);
        let aliases = format!("a: &a {long}\nb: [{}]\n", ["*a"; 16].join(","));
        assert_eq!(refused(&aliases), "document contains excessive aliasing");
        // Anchors around anchors copy what they hold again and again.
        let mut nested = String::new();
        for depth in 0..100 {
            nested.push_str(&format!("&a{depth} ["));
        }
        let nested = format!("{nested}{long}{}", "]".repeat(100));
        assert_eq!(refused(&nested), "document contains excessive aliasing");
        let few = format!("a: &a {long}\nb: [{}]\n", ["*a"; 8].join(","));
        assert!(documents(&few).is_ok());
    }

    #[test]
    fn merge_keys_do_not_pass_the_limits() {
        let map = |from: usize| {
            let pairs: Vec<String> = (from..from + 4_000).map(|n| format!("k{n}: 1")).collect();
            format!("{{{}}}", pairs.join(","))
        };
        let text = format!(
            "a: &a {}\nb: &b {}\nc: &c {}\nd: {{<<: [*a, *b, *c]}}\n",
            map(0),
            map(4_000),
            map(8_000)
        );
        assert_eq!(refused(&text), "more than 10000 members");
    }

    #[test]
    fn escapes_that_are_half_of_a_pair_are_found_by_their_bytes() {
        let pair = "\\ud83d\\ude00";
        let quoted = format!("'{pair}': \"ä\"\nb: \"{pair}\"\n");
        let message = "found invalid Unicode character escape code";
        assert_eq!(refused(&quoted), message);
        assert!(documents(&format!("'{pair}': \"ä\"\nb: \"c\"\n")).is_ok());
    }

    #[test]
    fn comments_that_touch_are_not_forgiven_over_and_over_in_large_texts() {
        let glued = |lines: usize| "a: \"b\"#c\n---\n".repeat(lines);
        assert!(documents(&glued(MAX_MENDED - 1)).is_ok());
        assert!(refused(&glued(MAX_MENDED)).contains("whitespace"));
    }
}
