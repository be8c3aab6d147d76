//! From text to documents of nodes, with limits that bound hostile input.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};

use super::{Node, NodeKind};

/// Deepest nesting that is read; the real configuration stays below 20.
const MAX_DEPTH: usize = 128;
/// Most nodes that aliases may add to one text.
const MAX_ALIASED: usize = 100_000;
/// Largest text that is read, in bytes: twice the message limit of the API.
const MAX_TEXT: usize = 64 << 20;

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

struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
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
    let mut documents = Vec::new();
    let mut builder = Builder {
        stack: Vec::new(),
        anchors: HashMap::new(),
        aliased: 0,
        root: None,
    };
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| {
            let mark = error.marker();
            Syntax::at(mark.line(), mark.col() + 1, error.info().to_string())
        })?;
        let (line, column) = (span.start.line(), span.start.col() + 1);
        let node = |kind| Node { kind, line, column };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = NodeKind::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                    tag: tag.as_deref().map(short_tag),
                };
                builder.add(node(kind), anchor)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                builder.open(
                    Frame::Sequence {
                        node: node(NodeKind::Sequence(Vec::new())),
                        anchor,
                    },
                    line,
                    column,
                )?;
            }
            Event::MappingStart(_, anchor, _) => {
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
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
            Event::Alias(id) => builder.alias(id, line, column)?,
            Event::DocumentStart(_, Some(version)) if (version.major, version.minor) != (1, 1) => {
                return Err(Syntax::at(line, column, "found incompatible YAML document"));
            }
            Event::DocumentStart(..) => builder.anchors.clear(),
            Event::DocumentEnd => {
                let empty = NodeKind::Scalar {
                    text: String::new(),
                    plain: true,
                    tag: None,
                };
                documents.push(builder.root.take().unwrap_or_else(|| node(empty)));
            }
            _ => {}
        }
    }
    Ok(documents)
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
        self.aliased += size(&target);
        if self.aliased > MAX_ALIASED {
            return Err(Syntax::at(
                line,
                column,
                "document contains excessive aliasing",
            ));
        }
        self.add(target, 0)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Syntax> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::Sequence {
                node:
                    Node {
                        kind: NodeKind::Sequence(items),
                        ..
                    },
                ..
            }) => items.push(node),
            Some(Frame::Mapping {
                node:
                    Node {
                        kind: NodeKind::Mapping(pairs),
                        ..
                    },
                key,
                ..
            }) => match key.take() {
                None => *key = Some(node),
                Some(name) if matches!(&name.kind, NodeKind::Scalar { text, plain: true, .. } if text == "<<") =>
                {
                    merge(pairs, &node)?;
                }
                Some(name) => pairs.push((name, node)),
            },
            Some(_) => {}
        }
        Ok(())
    }
}

/// The merge key: keys that stand in the mapping itself win over merged ones.
fn merge(pairs: &mut Vec<(Node, Node)>, from: &Node) -> Result<(), Syntax> {
    match &from.kind {
        NodeKind::Mapping(merged) => {
            for (key, value) in merged {
                if !pairs.iter().any(|(k, _)| k.as_text() == key.as_text()) {
                    pairs.push((key.clone(), value.clone()));
                }
            }
            Ok(())
        }
        NodeKind::Sequence(items) => items.iter().try_for_each(|item| merge(pairs, item)),
        NodeKind::Scalar { .. } => Err(Syntax::at(
            from.line,
            from.column,
            "map merge requires map or sequence of maps as the value",
        )),
    }
}

fn size(node: &Node) -> usize {
    match &node.kind {
        NodeKind::Scalar { .. } => 1,
        NodeKind::Sequence(items) => 1 + items.iter().map(size).sum::<usize>(),
        NodeKind::Mapping(pairs) => 1 + pairs.iter().map(|(k, v)| size(k) + size(v)).sum::<usize>(),
    }
}
