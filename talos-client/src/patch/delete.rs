//! `$patch: delete`: statements taken out of a patch's text, and carried out on values.

use crate::config::Document;
use crate::error::Problem;
use crate::schema::{Schema, Struct, Type};
use crate::value::{Map, Value};
use crate::yaml::{Node, NodeKind};

const DIRECTIVE: &str = "$patch";

/// One delete statement of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delete {
    pub(crate) kind: Option<&'static str>,
    pub(crate) name: Option<String>,
    /// Keys; `[0]` for an element of a list. Empty is the document itself.
    pub(crate) path: Vec<String>,
    /// In a list: delete the elements that have this value under this key.
    pub(crate) element: Option<(String, String)>,
}

impl Delete {
    pub(crate) fn path(&self) -> String {
        self.path.join(".")
    }

    pub(crate) fn is_for(&self, document: &Document) -> bool {
        document.kind == self.kind
            && (self.kind.is_none()
                || document.name().unwrap_or_default() == self.name.as_deref().unwrap_or_default())
    }
}

/// Takes all delete statements out of a document's node. A document that is deleted as a whole, or of which nothing else
/// remains, becomes null.
pub(crate) fn extract(node: &mut Node) -> Result<Vec<Delete>, Problem> {
    let place = (node.line, node.column);
    let problem = |message: String| Problem::at(place.0, place.1, "", message);
    let text = |key: &str| node.get(key).and_then(Node::as_text).map(str::to_owned);
    let (api_version, kind, name) = (text("apiVersion"), text("kind"), text("name"));
    let mut found = Found::default();
    let remains = walk(node, &mut Vec::new(), &mut found).map_err(problem)?;
    if found.all.is_empty() {
        return Ok(Vec::new());
    }
    let known = kind.as_deref().and_then(|kind| Schema::get().kind(kind));
    for (path, _) in &found.all {
        if path.is_empty() && api_version.is_none() {
            return Err(problem(
                "missing apiVersion in document for which $patch: delete is used".to_owned(),
            ));
        }
        if api_version.is_some() != kind.is_some() {
            return Err(problem(format!(
                "kind and apiVersion must be both set for path {}",
                path.join(".")
            )));
        }
    }
    // The main document is `v1alpha1` without a kind; naming it as a kind, or another version, matches nothing.
    let unmatched =
        kind.is_some() && (known.is_none() || api_version.as_deref() != Some("v1alpha1"));
    let whole = found.all.iter().any(|(path, _)| path.is_empty());
    let identity = |pairs: &Vec<(Node, Node)>| {
        pairs.iter().all(|(key, _)| {
            // A document that still says its version is merged, empty as it is.
            matches!(key.as_text(), Some("kind" | "name" | "version"))
        })
    };
    if whole || !remains || matches!(&node.kind, NodeKind::Mapping(pairs) if identity(pairs)) {
        node.kind = NodeKind::Scalar {
            text: String::new(),
            plain: true,
            tag: None,
        };
    }
    let kind = known.map(|kind| kind.kind);
    if unmatched {
        return Ok(Vec::new());
    }
    Ok(found
        .all
        .into_iter()
        .map(|(path, element)| Delete {
            kind,
            name: name.clone(),
            path,
            element,
        })
        .collect())
}

/// Path, and key with value for an element.
type Statement = (Vec<String>, Option<(String, String)>);

#[derive(Default)]
struct Found {
    all: Vec<Statement>,
}

/// Whether anything remains of the node.
fn walk(node: &mut Node, path: &mut Vec<String>, found: &mut Found) -> Result<bool, String> {
    match &mut node.kind {
        NodeKind::Scalar { .. } => Ok(true),
        NodeKind::Mapping(pairs) => {
            let directive = |(key, value): &(Node, Node)| {
                key.as_text() == Some(DIRECTIVE) && value.as_text() == Some("delete")
            };
            if let Some(at) = pairs.iter().position(directive) {
                let in_list = path.last().is_some_and(|last| last.starts_with('['));
                let below_list = path.iter().rev().skip(1).any(|part| part.starts_with('['));
                if below_list && !in_list {
                    return Err(format!(
                        "cannot delete an inner key in '{}'",
                        path.join(".")
                    ));
                }
                let element = if in_list {
                    let other = pairs
                        .iter()
                        .enumerate()
                        .find(|(index, (_, value))| *index != at && value.as_text().is_some());
                    let text = |node: &Node| node.as_text().unwrap_or_default().to_owned();
                    let pair = other.map(|(_, (key, value))| (text(key), text(value)));
                    Some(pair.ok_or_else(|| {
                        format!(
                            "no key:val found in sequence node for path {}",
                            path.join(".")
                        )
                    })?)
                } else {
                    None
                };
                found.all.push((path.clone(), element));
                return Ok(false);
            }
            let had = found.all.len();
            let mut error = None;
            pairs.retain_mut(|(key, value)| {
                path.push(key.as_text().unwrap_or_default().to_owned());
                let keep = walk(value, path, found).unwrap_or_else(|why| {
                    error.get_or_insert(why);
                    true
                });
                path.pop();
                keep
            });
            error.map_or(Ok(()), Err)?;
            Ok(!pairs.is_empty() || found.all.len() == had)
        }
        NodeKind::Sequence(items) => {
            let had = found.all.len();
            let (mut index, mut error) = (0, None);
            items.retain_mut(|item| {
                path.push(format!("[{index}]"));
                index += 1;
                let keep = walk(item, path, found).unwrap_or_else(|why| {
                    error.get_or_insert(why);
                    true
                });
                path.pop();
                keep
            });
            error.map_or(Ok(()), Err)?;
            Ok(!items.is_empty() || found.all.len() == had)
        }
    }
}

/// Carries a statement out; the error is the reference's cause.
pub(crate) fn carry_out(delete: &Delete, document: &mut Document) -> Result<(), &'static str> {
    let shape = document.shape();
    in_structure(shape, &mut document.values, &delete.path, delete)
}

const LOOKUP: &str = "lookup failed";

fn in_structure(
    shape: &Struct,
    map: &mut Map,
    path: &[String],
    delete: &Delete,
) -> Result<(), &'static str> {
    let (first, rest) = path.split_first().ok_or(LOOKUP)?;
    let field = shape.field(first).ok_or(LOOKUP)?;
    if rest.is_empty() {
        // A field that the structure has may be absent already.
        map.remove(first);
        return Ok(());
    }
    if map.get(first).is_none() {
        let by_value = matches!(field.ty, Type::Struct { pointer: false, .. });
        if !by_value {
            return Err(LOOKUP);
        }
        map.set(first.clone(), Value::Map(Map::default()));
    }
    let value = map.get_mut(first).ok_or(LOOKUP)?;
    below(Some(&field.ty), value, rest, delete)?;
    if value.is_zero() && !matches!(field.ty, Type::Struct { pointer: true, .. }) {
        map.remove(first);
    }
    Ok(())
}

fn below(
    ty: Option<&Type>,
    value: &mut Value,
    path: &[String],
    delete: &Delete,
) -> Result<(), &'static str> {
    let (first, rest) = path.split_first().ok_or(LOOKUP)?;
    match (ty, value) {
        (Some(Type::Struct { id, .. }), Value::Map(map)) => {
            in_structure(Schema::get().structure(*id), map, path, delete)
        }
        (ty, Value::Map(map)) => {
            if rest.is_empty() {
                return map.remove(first).map(|_| ()).ok_or(LOOKUP);
            }
            let inner = match ty {
                Some(Type::Map(inner)) => Some(&**inner),
                _ => None,
            };
            below(inner, map.get_mut(first).ok_or(LOOKUP)?, rest, delete)
        }
        (_, Value::List(items)) => {
            if !rest.is_empty() {
                return Err("searching for complex paths in slices is not supported");
            }
            let (key, wanted) = delete.element.as_ref().ok_or(LOOKUP)?;
            let before = items.len();
            items.retain(|item| item.at(key).is_none_or(|found| shown(found) != *wanted));
            if items.len() == before {
                Err(LOOKUP)
            } else {
                Ok(())
            }
        }
        _ => Err(LOOKUP),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        _ => String::new(),
    }
}
