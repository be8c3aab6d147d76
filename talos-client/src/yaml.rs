//! YAML as the machine configuration uses it: nodes that keep line and column, scalar resolution, a byte-exact printer.

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
            NodeKind::Mapping(_) => self
                .pairs()
                .into_iter()
                .find(|(k, _)| k.as_text() == Some(key))
                .map(|(_, v)| v),
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
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'n>(&'n self, found: &mut Vec<(&'n Node, &'n Node)>) {
        match &self.kind {
            NodeKind::Mapping(pairs) => {
                let known = found.len();
                let own = pairs.iter().filter(|(key, _)| !key.is_merge());
                for (key, value) in own {
                    let merged = &found[..known];
                    if !merged.iter().any(|(k, _)| k.as_text() == key.as_text()) {
                        found.push((key, value));
                    }
                }
                for (_, from) in pairs.iter().filter(|(key, _)| key.is_merge()) {
                    from.collect(found);
                }
            }
            NodeKind::Sequence(items) => items.iter().for_each(|item| item.collect(found)),
            NodeKind::Scalar { .. } => {}
        }
    }
}
