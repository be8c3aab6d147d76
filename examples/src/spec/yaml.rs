//! YAML text to a tree in which every key and value knows its place. Nothing else names the YAML library.
//!
//! Scalars stay text: what `no`, `1.30` or `0644` mean is decided by the field that reads them, never guessed.

use std::collections::HashMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

/// One value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) bytes: Range<usize>,
    pub(crate) value: Value,
}

/// What stands at a place.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_bytes: Range<usize>,
    pub(crate) value: Node,
}

/// A problem of the text itself, before any field is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The text is not YAML from here on.
    Syntax { at: usize, message: String },
    /// The same key again; `first` is where it stood before.
    DuplicateKey {
        path: String,
        key: String,
        again: Range<usize>,
        first: Range<usize>,
    },
    /// A construct that a configuration file has no use for: tags, merge keys, several documents, complex keys.
    Unsupported {
        path: String,
        bytes: Range<usize>,
        what: String,
    },
}

impl Node {
    /// Whether nothing is written here (an empty value, `~` or `null`).
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Writes a value as YAML that every common parser reads back the same.
pub(crate) fn print<T: serde::Serialize>(value: &T) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}

/// Reads one document. The tree is absent only when the text is empty or not YAML at all.
pub(crate) fn read(text: &str) -> (Option<Node>, Vec<Flaw>) {
    let mut builder = Builder {
        text,
        flaws: Vec::new(),
        stack: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        documents: 0,
        budget: 200_000,
    };
    for next in Parser::new_from_str(text) {
        match next {
            Ok((event, span)) => {
                let start = span
                    .start
                    .byte_offset()
                    .unwrap_or(text.len())
                    .min(text.len());
                let end = span
                    .end
                    .byte_offset()
                    .unwrap_or(start)
                    .clamp(start, text.len());
                builder.event(event, start..end);
            }
            Err(error) => {
                let at = error
                    .marker()
                    .byte_offset()
                    .unwrap_or(text.len())
                    .min(text.len());
                builder.flaws.push(Flaw::Syntax {
                    at,
                    message: error.info(),
                });
                break;
            }
        }
    }
    builder.finish()
}

enum Open {
    List {
        start: usize,
        anchor: usize,
        items: Vec<Node>,
    },
    Map {
        start: usize,
        anchor: usize,
        entries: Vec<Entry>,
        key: Option<(String, Range<usize>)>,
    },
}

struct Builder<'a> {
    text: &'a str,
    flaws: Vec<Flaw>,
    stack: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    documents: usize,
    budget: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, bytes: Range<usize>) {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents == 2 {
                    self.unsupported(bytes, "a second document");
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    self.unsupported(bytes.clone(), "a tag");
                }
                let node = Node {
                    bytes: self.trimmed(bytes),
                    value: Value::Scalar {
                        text: text.into_owned(),
                        plain: style == ScalarStyle::Plain,
                    },
                };
                self.keep(anchor, &node);
                self.place(node);
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(mut node) => {
                    node.bytes = bytes.clone();
                    let size = count(&node);
                    if size > self.budget {
                        self.unsupported(bytes.clone(), "an alias that repeats too much");
                        node.value = Value::Scalar {
                            text: String::new(),
                            plain: true,
                        };
                    }
                    self.budget = self.budget.saturating_sub(size);
                    self.place(node);
                }
                None => {
                    self.unsupported(bytes.clone(), "an alias of an unfinished value");
                    self.place(Node {
                        bytes,
                        value: Value::Scalar {
                            text: String::new(),
                            plain: true,
                        },
                    });
                }
            },
            Event::SequenceStart(_, anchor, tag) => {
                if tag.is_some() {
                    self.unsupported(bytes.clone(), "a tag");
                }
                self.complex_key(&bytes);
                self.stack.push(Open::List {
                    start: bytes.start,
                    anchor,
                    items: Vec::new(),
                });
            }
            Event::MappingStart(_, anchor, tag) => {
                if tag.is_some() {
                    self.unsupported(bytes.clone(), "a tag");
                }
                self.complex_key(&bytes);
                self.stack.push(Open::Map {
                    start: bytes.start,
                    anchor,
                    entries: Vec::new(),
                    key: None,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(bytes),
            _ => {}
        }
    }

    fn keep(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    /// A collection as a key has no meaning here; an empty key takes its place so that the pairs stay aligned.
    fn complex_key(&mut self, bytes: &Range<usize>) {
        if matches!(self.stack.last(), Some(Open::Map { key: None, .. })) {
            self.unsupported(bytes.clone(), "a list or mapping as a key");
        }
    }

    fn close(&mut self, bytes: Range<usize>) {
        let end = |last: Option<usize>, start: usize| {
            // A block collection ends where the next token starts; its last value is the honest end.
            let flow = self
                .text
                .as_bytes()
                .get(start)
                .is_some_and(|byte| matches!(byte, b'[' | b'{'));
            if flow {
                bytes.end.max(start)
            } else {
                last.unwrap_or(bytes.end).max(start)
            }
        };
        let (node, anchor) = match self.stack.pop() {
            Some(Open::List {
                start,
                anchor,
                items,
            }) => {
                let end = end(items.last().map(|item| item.bytes.end), start);
                (
                    Node {
                        bytes: start..end,
                        value: Value::List(items),
                    },
                    anchor,
                )
            }
            Some(Open::Map {
                start,
                anchor,
                entries,
                ..
            }) => {
                let end = end(
                    entries
                        .last()
                        .map(|entry| entry.value.bytes.end.max(entry.key_bytes.end)),
                    start,
                );
                (
                    Node {
                        bytes: start..end,
                        value: Value::Map(entries),
                    },
                    anchor,
                )
            }
            None => return,
        };
        self.keep(anchor, &node);
        self.place(node);
    }

    fn place(&mut self, node: Node) {
        match self.stack.last_mut() {
            None => {
                if self.root.is_none() {
                    self.root = Some(node);
                }
            }
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                None => {
                    let text = match &node.value {
                        Value::Scalar { text, .. } => text.clone(),
                        Value::List(_) | Value::Map(_) => String::new(),
                    };
                    *key = Some((text, node.bytes));
                }
                Some((name, key_bytes)) => {
                    let first = entries
                        .iter()
                        .find(|entry| entry.key == name)
                        .map(|entry| entry.key_bytes.clone());
                    match first {
                        Some(first) => {
                            let path = self.path();
                            self.flaws.push(Flaw::DuplicateKey {
                                path,
                                key: name,
                                again: key_bytes,
                                first,
                            });
                        }
                        None if name == "<<" => self.unsupported(key_bytes, "a merge key (<<)"),
                        None => entries.push(Entry {
                            key: name,
                            key_bytes,
                            value: node,
                        }),
                    }
                }
            },
        }
    }

    /// Path of what is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.stack {
            match open {
                Open::List { items, .. } => path.push_str(&format!("[{}]", items.len())),
                Open::Map {
                    key: Some((name, _)),
                    ..
                } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
                Open::Map { key: None, .. } => {}
            }
        }
        path
    }

    fn unsupported(&mut self, bytes: Range<usize>, what: &str) {
        let path = self.path();
        self.flaws.push(Flaw::Unsupported {
            path,
            bytes,
            what: what.to_owned(),
        });
    }

    fn trimmed(&self, bytes: Range<usize>) -> Range<usize> {
        let slice = self.text.get(bytes.clone()).unwrap_or("");
        bytes.start..bytes.start + slice.trim_end().len()
    }

    fn finish(self) -> (Option<Node>, Vec<Flaw>) {
        (self.root, self.flaws)
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar { .. } => 0,
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|entry| 1 + count(&entry.value)).sum(),
    }
}
