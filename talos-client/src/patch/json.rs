//! JSON patches (RFC 6902) with the leniency of the reference's library.

use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::config::MachineConfig;
use crate::error::{Error, ErrorKind, Problem};
use crate::value::Value;
use crate::yaml::scalar::old_bool;
use crate::yaml::{Node, NodeKind};

/// One operation as written.
#[derive(Clone, PartialEq)]
pub(super) struct Operation {
    name: String,
    path: String,
    from: String,
    value: Option<Json>,
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidPatch, message)
}

/// Deepest nesting that operations may make, as of texts.
const MAX_DEPTH: usize = 128;
/// Most values that all operations of a patch may copy and move: copies of copies double each time.
const MAX_COPIED: usize = 250_000;

/// Operations from a JSON array or the same in YAML.
pub(super) fn operations(node: &Node) -> Result<Vec<Operation>, Error> {
    let NodeKind::Sequence(items) = &node.kind else {
        return Err(invalid("a JSON patch is a list of operations"));
    };
    items.iter().map(operation).collect()
}

fn operation(node: &Node) -> Result<Operation, Error> {
    let NodeKind::Mapping(_) = &node.kind else {
        let problem = Problem::at(
            node.line,
            node.column,
            "",
            "an operation is a mapping with `op` and `path`",
        );
        return Err(invalid("the JSON patch does not load").with_problems(vec![problem]));
    };
    let text = |key: &str| {
        node.get(key)
            .and_then(Node::as_text)
            .unwrap_or_default()
            .to_owned()
    };
    Ok(Operation {
        name: text("op"),
        path: text("path"),
        from: text("from"),
        value: node.get("value").map(|value| to_json(&Value::free(value))),
    })
}

/// Whether an operation takes something away.
pub(super) fn removes(operations: &[Operation]) -> bool {
    let takes = |operation: &Operation| matches!(operation.name.as_str(), "remove" | "move");
    operations.iter().any(takes)
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Uint(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::Text(text) => Json::String(text.to_string()),
        Value::Time(time) => Json::String(time.clone()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(map) => Json::Object(
            map.0
                .iter()
                .map(|(key, value)| (key.to_string(), to_json(value)))
                .collect(),
        ),
    }
}

fn to_node(json: &Json) -> Node {
    let scalar = |text: String, plain: bool| NodeKind::Scalar {
        text: Zeroizing::new(text),
        plain,
        tag: None,
    };
    let kind = match json {
        Json::Null => scalar("null".to_owned(), true),
        Json::Bool(value) => scalar(value.to_string(), true),
        Json::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() < 9e15);
            scalar(
                whole.map_or_else(|| number.to_string(), |n| (n as i64).to_string()),
                true,
            )
        }
        Json::String(text) => scalar(text.clone(), false),
        Json::Array(items) => NodeKind::Sequence(items.iter().map(to_node).collect()),
        Json::Object(map) => {
            let key = |text: &str| Node {
                kind: scalar(text.to_owned(), false),
                line: 1,
                column: 1,
            };
            NodeKind::Mapping(
                map.iter()
                    .map(|(name, value)| (key(name), to_node(value)))
                    .collect(),
            )
        }
    };
    Node {
        kind,
        line: 1,
        column: 1,
    }
}

/// Applies the operations to the only document of a configuration and loads the result strictly.
pub(super) fn apply(
    config: &MachineConfig,
    operations: &[Operation],
) -> Result<MachineConfig, Error> {
    let [document] = config.documents.as_slice() else {
        return Err(invalid(
            "JSON6902 patches are not supported for multi-document machine configuration",
        )
        .with_hint("write the change as a strategic merge patch"));
    };
    let text = document.print(None);
    let mut nodes =
        crate::yaml::parse::documents(&text).map_err(|syntax| invalid(syntax.message))?;
    nodes.iter_mut().for_each(settle_booleans);
    let mut root = nodes
        .first()
        .map(Value::free)
        .map_or(Json::Null, |value| to_json(&value));
    let mut copied = 0;
    for operation in operations {
        one(&mut root, operation, &mut copied)
            .map_err(|why| invalid(format!("the JSON patch does not apply: {why}")))?;
    }
    MachineConfig::from_nodes(vec![to_node(&root)], None).map_err(|error| {
        let problems = error.problems().to_vec();
        invalid("the patched configuration does not load again").with_problems(problems)
    })
}

/// On its way to JSON, Talos reads the configuration with an older library, for which `yes` is a boolean.
fn settle_booleans(node: &mut Node) {
    match &mut node.kind {
        NodeKind::Scalar { text, plain, tag } if *plain && tag.is_none() => {
            if let Some(value) = old_bool(text) {
                *text = Zeroizing::new(value.to_string());
            }
        }
        NodeKind::Scalar { .. } => {}
        NodeKind::Sequence(items) => items.iter_mut().for_each(settle_booleans),
        NodeKind::Mapping(pairs) => {
            for (_, value) in pairs {
                settle_booleans(value);
            }
        }
    }
}

fn one(root: &mut Json, operation: &Operation, copied: &mut usize) -> Result<(), String> {
    let value = || {
        let value = operation.value.clone().unwrap_or(Json::Null);
        check(&value, &operation.path, &mut 0).map(|()| value)
    };
    match operation.name.as_str() {
        "add" => add(root, &operation.path, value()?, "add"),
        "replace" => replace(root, &operation.path, value()?),
        "remove" => remove(root, &operation.path).map(|_| ()),
        "move" => {
            let moved =
                remove(root, &operation.from).map_err(|why| format!("move operation: {why}"))?;
            check(&moved, &operation.path, copied)?;
            add(root, &operation.path, moved, "move")
        }
        "copy" => {
            let missing = || {
                format!(
                    "copy operation does not apply: doc is missing from path: {}",
                    operation.from
                )
            };
            // A key that an object lacks is copied as null.
            let found = get(root, &operation.from).ok_or_else(missing)?;
            let found = found.unwrap_or(&Json::Null);
            check(found, &operation.path, copied)?;
            let found = found.clone();
            add(root, &operation.path, found, "copy")
        }
        "test" => {
            let path = &operation.path;
            let missing = || format!("test operation does not apply: is missing path: {path}");
            let found = match path.as_str() {
                "" => Some(&*root),
                path => get(root, path).ok_or_else(missing)?,
            };
            match (found, &operation.value) {
                (Some(found), Some(wanted)) if found == wanted => Ok(()),
                (Some(Json::Null) | None, None | Some(Json::Null)) => Ok(()),
                _ => Err(format!("testing value {path} failed")),
            }
        }
        other => Err(format!("unexpected kind: {other}")),
    }
}

/// The value fits below the path, and the values counted so far with it are not too many.
fn check(value: &Json, path: &str, count: &mut usize) -> Result<(), String> {
    fn walk(value: &Json, depth: usize, count: &mut usize) -> bool {
        *count += 1;
        let mut fits = |value| walk(value, depth + 1, count);
        depth <= MAX_DEPTH
            && match value {
                Json::Array(items) => items.iter().all(&mut fits),
                Json::Object(map) => map.values().all(&mut fits),
                _ => *count <= MAX_COPIED,
            }
    }
    let depth = path.matches('/').count();
    if walk(value, depth, count) && *count <= MAX_COPIED {
        Ok(())
    } else {
        Err(format!(
            "the operations nest deeper than {MAX_DEPTH} levels or copy more than {MAX_COPIED} values"
        ))
    }
}

fn parts(path: &str) -> Vec<String> {
    path.split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// Negative numbers count from the end.
fn index(text: &str, length: usize) -> Option<usize> {
    let number: i64 = text.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    usize::try_from(if number < 0 { number + length } else { number }).ok()
}

fn child<'a>(json: &'a mut Json, part: &str) -> Option<&'a mut Json> {
    match json {
        Json::Object(map) => map.get_mut(part),
        Json::Array(items) => {
            let at = index(part, items.len())?;
            items.get_mut(at)
        }
        _ => None,
    }
}

/// What a path leads to: nothing where its way does not exist, `Some(None)` where only the last key is missing.
fn get<'a>(root: &'a Json, path: &str) -> Option<Option<&'a Json>> {
    let mut all = parts(path);
    let last = all.pop()?;
    let step = |json: &'a Json, part: &str| match json {
        Json::Object(map) => Some(map.get(part)),
        Json::Array(items) => Some(Some(items.get(index(part, items.len())?)?)),
        _ => None,
    };
    let json = all.iter().try_fold(root, |json, part| step(json, part)?)?;
    step(json, &last)
}

fn container<'a>(root: &'a mut Json, path: &str) -> Option<(&'a mut Json, String)> {
    let mut all = parts(path);
    let last = all.pop()?;
    let json = all.iter().try_fold(root, |json, part| child(json, part))?;
    matches!(json, Json::Object(_) | Json::Array(_)).then_some((json, last))
}

fn add(root: &mut Json, path: &str, value: Json, operation: &str) -> Result<(), String> {
    let missing = || format!("{operation} operation does not apply: doc is missing path: {path}");
    match container(root, path).ok_or_else(missing)? {
        (Json::Array(items), last) if last == "-" => items.push(value),
        (Json::Array(items), last) => {
            let number: i64 = last
                .parse()
                .map_err(|_| format!("{last} is not an index"))?;
            let length = items.len();
            let at = if number < 0 {
                index(&last, length + 1)
            } else {
                index(&last, length)
            };
            let at = at
                .filter(|at| *at <= length)
                .ok_or_else(|| format!("unable to access invalid index: {last}"))?;
            items.insert(at, value);
        }
        (Json::Object(map), last) => {
            map.insert(last, value);
        }
        _ => return Err(missing()),
    }
    Ok(())
}

/// A key that an object lacks is added: the reference's library does not check it.
fn replace(root: &mut Json, path: &str, value: Json) -> Result<(), String> {
    if path.is_empty() {
        *root = value;
        return Ok(());
    }
    let missing = || format!("replace operation does not apply: doc is missing path: {path}");
    match container(root, path).ok_or_else(missing)? {
        (Json::Array(items), last) => {
            let at = index(&last, items.len())
                .filter(|at| *at < items.len())
                .ok_or_else(missing)?;
            items[at] = value;
        }
        (Json::Object(map), last) => {
            map.insert(last, value);
        }
        _ => return Err(missing()),
    }
    Ok(())
}

fn remove(root: &mut Json, path: &str) -> Result<Json, String> {
    let missing = || format!("remove operation does not apply: doc is missing path: \"{path}\"");
    match container(root, path).ok_or_else(missing)? {
        (Json::Array(items), last) => {
            let at = index(&last, items.len()).filter(|at| *at < items.len());
            let at = at.ok_or_else(|| format!("unable to access invalid index: {last}"))?;
            Ok(items.remove(at))
        }
        (Json::Object(map), last) => map.shift_remove(&last).ok_or_else(|| {
            format!("error in remove for path: '{path}': unable to remove nonexistent key: {last}")
        }),
        _ => Err(missing()),
    }
}

/// The operations as text, values left out.
pub(super) fn describe(operations: &[Operation]) -> Vec<String> {
    operations
        .iter()
        .map(|operation| format!("{} {}", operation.name, operation.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(document: Json, operations: Json) -> Result<Json, String> {
        let text = operations.to_string();
        let node = crate::yaml::parse::documents(&text)
            .map_err(|s| s.message)?
            .remove(0);
        let (mut root, mut copied) = (document, 0);
        for operation in super::operations(&node).map_err(|e| e.to_string())? {
            one(&mut root, &operation, &mut copied)?;
        }
        Ok(root)
    }

    #[test]
    fn copies_of_copies_come_to_an_end() {
        use serde_json::json;
        let double = json!({"op": "copy", "from": "/a", "path": "/a/-"});
        let doubled = |times: usize| run(json!({"a": [1]}), json!(vec![double.clone(); times]));
        assert!(doubled(8).is_ok());
        assert!(doubled(64).is_err_and(|why| why.contains("copy more than")));
        // Deeper and deeper by one level each.
        let wrap = |n: usize| json!({"op": "add", "path": "/a".repeat(n), "value": {}});
        let nested = |levels: usize| run(json!({}), (1..=levels).map(wrap).collect());
        assert!(nested(MAX_DEPTH).is_ok());
        assert!(nested(MAX_DEPTH + 1).is_err_and(|why| why.contains("nest deeper")));
        let swing = json!([{"op": "move", "from": "/a", "path": "/b"}, {"op": "move", "from": "/b", "path": "/a"}]);
        let swing = swing.as_array().unwrap().iter().cycle().take(600).cloned();
        let big = json!({"a": vec![1; 1000]});
        assert!(run(big, swing.collect()).is_err_and(|why| why.contains("copy more than")));
    }

    #[test]
    fn operations_follow_the_rfc() {
        use serde_json::json;
        let got = run(
            json!({"a": [1, 2], "b": {"c": 1}}),
            json!([
                {"op": "add", "path": "/a/-", "value": 3},
                {"op": "remove", "path": "/b/c"},
                {"op": "copy", "from": "/a/0", "path": "/b/d"},
                {"op": "test", "path": "/b/d", "value": 1}
            ]),
        );
        assert_eq!(got.unwrap(), json!({"a": [1, 2, 3], "b": {"d": 1}}));
        for operation in [
            json!({"op": "remove", "path": "/x"}),
            json!({"op": "test", "path": "/a", "value": 2}),
            json!({"op": "test", "path": "/x/y"}),
            json!({"op": "test", "path": "/l/5"}),
            json!({"op": "add", "path": "", "value": {}}),
            json!({"op": "copy", "from": "", "path": "/b"}),
            json!({"op": "copy", "from": "/l/5", "path": "/b"}),
            json!({"op": "move", "from": "/x", "path": "/b"}),
        ] {
            let document = json!({"a": 1, "l": [1]});
            assert!(run(document, json!([operation])).is_err(), "{operation}");
        }
        for (operation, result) in [
            (json!({"op": "test", "path": "/x"}), json!({"l": [1]})),
            (
                json!({"op": "test", "path": "", "value": {"l": [1]}}),
                json!({"l": [1]}),
            ),
            (
                json!({"op": "copy", "from": "/x", "path": "/b"}),
                json!({"l": [1], "b": null}),
            ),
            (
                json!({"op": "add", "path": "/l/-1", "value": 2}),
                json!({"l": [1, 2]}),
            ),
            (
                json!({"op": "replace", "path": "/l/-1", "value": 2}),
                json!({"l": [2]}),
            ),
        ] {
            assert_eq!(run(json!({"l": [1]}), json!([operation])).unwrap(), result);
        }
    }
}
