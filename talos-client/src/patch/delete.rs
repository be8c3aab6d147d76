//! `$patch: delete`: statements taken out of a patch's text, and carried out on values.

use crate::config::Document;
use crate::error::Problem;
use crate::schema::{Scalar, Schema, Struct, Type};
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
        let named = document.kind.is_some() && document.shape().field("name").is_some();
        document.kind == self.kind
            && match &self.name {
                Some(name) => named && document.name() == Some(name),
                None => !named,
            }
    }
}

/// Takes all delete statements out of a document's node. A document that is deleted as a whole, or of which nothing else
/// remains, becomes null. `None` when there is no statement; one that matches nothing is left out.
pub(crate) fn extract(node: &mut Node) -> Result<Option<Vec<Delete>>, Problem> {
    let place = (node.line, node.column);
    let problem = |message: String| Problem::at(place.0, place.1, "", message);
    let text = |key: &str| {
        let text = node.get(key).and_then(Node::as_text);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let (api_version, kind, name) = (text("apiVersion"), text("kind"), text("name"));
    let mut found = Found::default();
    let remains = walk(node, Holder::Text, &mut Vec::new(), &mut found).map_err(problem)?;
    if !found.all.is_empty() && !matches!(node.kind, NodeKind::Mapping(_)) {
        return Err(problem("expected a mapping node".to_owned()));
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
    let identity = |pairs: &Vec<(Node, Node)>| {
        pairs.iter().all(|(key, value)| {
            // A document that still says its version is merged, empty as it is.
            matches!(key.as_text(), Some("kind" | "name" | "version")) && value.as_text().is_some()
        })
    };
    if !remains || matches!(&node.kind, NodeKind::Mapping(pairs) if identity(pairs)) {
        node.kind = NodeKind::Scalar {
            text: zeroize::Zeroizing::default(),
            plain: true,
            tag: None,
        };
    }
    let kind = known.map(|kind| kind.kind);
    if found.all.is_empty() {
        return Ok(None);
    }
    let all = if unmatched { Vec::new() } else { found.all };
    let delete = |(path, element): Statement| Delete {
        kind,
        name: name.clone(),
        path,
        element,
    };
    Ok(Some(all.into_iter().map(delete).collect()))
}

/// Path, and key with value for an element.
type Statement = (Vec<String>, Option<(String, String)>);

#[derive(Default)]
struct Found {
    all: Vec<Statement>,
}

/// What a node stands in.
#[derive(Clone, Copy, PartialEq)]
enum Holder {
    Text,
    Mapping,
    List,
}

/// Whether anything remains of the node. What stands before the directive in a mapping is looked at, what stands behind
/// it is not.
fn walk(
    node: &mut Node,
    holder: Holder,
    path: &mut Vec<String>,
    found: &mut Found,
) -> Result<bool, String> {
    let mut at = 0;
    match &mut node.kind {
        NodeKind::Scalar { .. } => {}
        NodeKind::Mapping(pairs) => {
            while let Some((key, value)) = pairs.get_mut(at) {
                if is_directive(key, value) {
                    let element = match holder {
                        Holder::List => Some(element(pairs, path)?),
                        _ if path.iter().any(|part| part.starts_with('[')) => {
                            return Err(format!(
                                "cannot delete an inner key in '{}'",
                                path.join(".")
                            ));
                        }
                        _ => None,
                    };
                    found.all.push((path.clone(), element));
                    return Ok(false);
                }
                path.push(key.as_text().unwrap_or_default().to_owned());
                let remains = walk(value, Holder::Mapping, path, found)?;
                path.pop();
                if remains {
                    at += 1;
                    continue;
                }
                pairs.remove(at);
                if pairs.is_empty() {
                    return Ok(false);
                }
            }
        }
        NodeKind::Sequence(items) => {
            while let Some(item) = items.get_mut(at) {
                path.push(format!("[{at}]"));
                let remains = walk(item, Holder::List, path, found)?;
                path.pop();
                if remains {
                    at += 1;
                    continue;
                }
                items.remove(at);
                if items.is_empty() {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

fn is_directive(key: &Node, value: &Node) -> bool {
    key.as_text() == Some(DIRECTIVE) && value.as_text() == Some("delete")
}

/// The first other key of a list's element, with its value.
fn element(pairs: &[(Node, Node)], path: &[String]) -> Result<(String, String), String> {
    let text = |node: &Node| node.as_text().unwrap_or_default().to_owned();
    let other = pairs.iter().find(|(key, value)| !is_directive(key, value));
    let missing = || {
        format!(
            "no key:val found in sequence node for path {}",
            path.join(".")
        )
    };
    let (key, value) = other.ok_or_else(missing)?;
    Ok((text(key), text(value)))
}

/// Carries a statement out; the error is the reference's cause.
pub(crate) fn carry_out(delete: &Delete, document: &mut Document) -> Result<(), &'static str> {
    let shape = document.shape();
    in_structure(shape, &mut document.values, &delete.path, delete)?;
    if delete.element.is_none() {
        let path = delete.path();
        let gone = |blank: &str| {
            blank
                .strip_prefix(&*path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        document.blank.retain(|blank| !gone(blank));
    }
    Ok(())
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
    below(&field.ty, value, rest, delete)?;
    if value.is_zero() && !matches!(field.ty, Type::Struct { pointer: true, .. }) {
        map.remove(first);
    }
    Ok(())
}

fn below(
    ty: &Type,
    value: &mut Value,
    path: &[String],
    delete: &Delete,
) -> Result<(), &'static str> {
    let (first, rest) = path.split_first().ok_or(LOOKUP)?;
    match (ty, value) {
        (Type::Struct { id, .. }, Value::Map(map)) => {
            in_structure(Schema::get().structure(*id), map, path, delete)
        }
        (ty, Value::Map(map)) => {
            if rest.is_empty() {
                return map.remove(first).map(|_| ()).ok_or(LOOKUP);
            }
            let inner = match ty {
                Type::Map(inner) => inner,
                _ => ty,
            };
            below(inner, map.get_mut(first).ok_or(LOOKUP)?, rest, delete)
        }
        (_, Value::List(_)) if !rest.is_empty() => {
            Err("searching for complex paths in slices is not supported")
        }
        (_, Value::List(_)) if !first.starts_with('[') => {
            Err("searching for non-integer keys in slices is not supported")
        }
        // Elements of free-form lists are never found.
        (Type::List(inner), Value::List(items)) => {
            let Type::Struct { id, .. } = &**inner else {
                return Err(LOOKUP);
            };
            let (key, wanted) = delete.element.as_ref().ok_or(LOOKUP)?;
            let field = Schema::get().structure(*id).field(key).ok_or(LOOKUP)?;
            let found = |item: &Value| shown(&field.ty, item.at(key)).as_ref() == Some(wanted);
            let at = items.iter().position(found).ok_or(LOOKUP)?;
            items.remove(at);
            Ok(())
        }
        _ => Err(LOOKUP),
    }
}

/// The text by which an element is found; numbers and booleans have none.
fn shown(ty: &Type, value: Option<&Value>) -> Option<String> {
    let Type::Scalar { kind, .. } = ty else {
        return None;
    };
    let text = value.and_then(Value::as_text);
    match (kind, text) {
        (
            Scalar::Bool
            | Scalar::Int
            | Scalar::Int32
            | Scalar::Uint(_)
            | Scalar::Base64
            | Scalar::DiskSize,
            _,
        ) => None,
        (Scalar::Mode, _) => value
            .and_then(Value::as_int)
            .map(|mode| format!("0o{mode:o}")),
        (Scalar::Enum(choices), None) => choices.split('|').next().map(str::to_owned),
        (_, text) => Some(text.unwrap_or_default().to_owned()),
    }
}
