//! YAML as the machine configuration uses it: nodes that keep line and column, scalar resolution, a byte-exact printer.

use std::collections::HashSet;

pub(crate) mod parse;
pub(crate) mod print;
pub(crate) mod scalar;

/// The tag of the merge key.
pub(crate) const MERGE: &str = "!!merge";

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
        text: zeroize::Zeroizing<String>,
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
            NodeKind::Mapping(pairs) => {
                let named = |(k, _): &(&Node, &Node)| k.as_text() == Some(key);
                let own = pairs.iter().map(|(k, v)| (k, v)).find(named);
                own.or_else(|| self.pairs().into_iter().find(named))
                    .map(|(_, v)| v)
            }
            _ => None,
        }
    }

    /// The merge key `<<`, which stands for the keys of other mappings.
    pub(crate) fn is_merge(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { tag: Some(tag), .. } if tag == MERGE)
    }

    /// Keys and values of a mapping with those that merge keys bring: the mapping's own keys win, then the first merged
    /// mapping that has one.
    pub(crate) fn pairs(&self) -> Vec<(&Node, &Node)> {
        match &self.kind {
            NodeKind::Mapping(pairs) if pairs.iter().any(|(key, _)| key.is_merge()) => {
                let mut found = Vec::new();
                self.collect(&mut HashSet::new(), &mut found);
                found
            }
            NodeKind::Mapping(pairs) => pairs.iter().map(|(key, value)| (key, value)).collect(),
            _ => Vec::new(),
        }
    }

    fn collect<'n>(&'n self, known: &mut HashSet<&'n str>, found: &mut Vec<(&'n Node, &'n Node)>) {
        match &self.kind {
            NodeKind::Mapping(pairs) => {
                let from = found.len();
                let own = pairs.iter().filter(|(key, _)| !key.is_merge());
                found.extend(
                    own.filter(|(key, _)| key.as_text().is_none_or(|key| !known.contains(key)))
                        .map(|(key, value)| (key, value)),
                );
                known.extend(found[from..].iter().filter_map(|(key, _)| key.as_text()));
                for (_, from) in pairs.iter().filter(|(key, _)| key.is_merge()) {
                    from.collect(known, found);
                }
            }
            NodeKind::Sequence(items) => {
                items.iter().for_each(|item| item.collect(known, found));
            }
            NodeKind::Scalar { .. } => {}
        }
    }
}
