//! YAML as the machine configuration uses it: nodes that keep line and column, scalar resolution, a byte-exact printer.

pub(crate) mod parse;
pub(crate) mod print;
pub(crate) mod scalar;

/// One parsed node with the place where it starts (both count from 1).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeKind {
    /// Text after unescaping; `plain` scalars still have to be resolved to a type.
    Scalar {
        text: String,
        plain: bool,
        tag: Option<String>,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, plain: true, tag: None } if scalar::is_null(text))
            || matches!(&self.kind, NodeKind::Scalar { tag: Some(tag), .. } if tag == "!!null")
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            NodeKind::Mapping(pairs) => pairs
                .iter()
                .find(|(k, _)| k.as_text() == Some(key))
                .map(|(_, v)| v),
            _ => None,
        }
    }
}
