//! Reads one line of `ls` without copying it.

use std::borrow::Cow;

use crate::snapshot::{Node, NodeType};

/// Reads a node from a line of `ls --json`; `None` if the line is not one.
///
/// Lines have a fixed shape and there may be millions of them, so they are scanned once, by hand. Whatever does not fit
/// the scan (nested values in a key that is known, an escape in a time) goes through `serde_json`.
///
/// ```
/// let line = r#"{"name":"a b","type":"file","path":"/a b","size":7,"mode":420,"struct_type":"node"}"#;
/// let node = restic_wrapper::parse_node(line).expect("a node");
/// assert_eq!((node.path.as_ref(), node.size, node.unix_mode()), ("/a b", Some(7), 0o644));
/// ```
#[must_use]
pub fn parse_node(line: &str) -> Option<Node<'_>> {
    scan(line).or_else(|| careful(line))
}

fn empty(raw: &str) -> Node<'_> {
    Node {
        name: Cow::Borrowed(""),
        path: Cow::Borrowed(""),
        kind: NodeType::Other(""),
        size: None,
        mode: 0,
        uid: 0,
        gid: 0,
        inode: None,
        mtime_text: "",
        atime_text: "",
        ctime_text: "",
        raw,
    }
}

enum Scalar<'a> {
    Text { body: &'a str, escaped: bool },
    Number(u64),
    Other,
}

pub(crate) fn scan(line: &str) -> Option<Node<'_>> {
    let bytes = line.as_bytes();
    let mut at = 1;
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let mut node = empty(line);
    let mut is_node = false;
    loop {
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let key_start = at + 1;
        // Keys are short: a plain loop is quicker than a search that has to set itself up.
        let key_end = key_start + bytes.get(key_start..)?.iter().position(|b| *b == b'"')?;
        let key = bytes.get(key_start..key_end)?;
        if bytes.get(key_end + 1) != Some(&b':') {
            return None;
        }
        let (value, end) = scalar(line, key_end + 2)?;
        at = end;
        match (key, value) {
            (b"name", Scalar::Text { body, escaped }) => node.name = text(body, escaped)?,
            (b"path", Scalar::Text { body, escaped }) => node.path = text(body, escaped)?,
            (
                b"type",
                Scalar::Text {
                    body,
                    escaped: false,
                },
            ) => node.kind = NodeType::from(body),
            (
                b"mtime",
                Scalar::Text {
                    body,
                    escaped: false,
                },
            ) => node.mtime_text = body,
            (
                b"atime",
                Scalar::Text {
                    body,
                    escaped: false,
                },
            ) => node.atime_text = body,
            (
                b"ctime",
                Scalar::Text {
                    body,
                    escaped: false,
                },
            ) => node.ctime_text = body,
            (b"struct_type" | b"message_type", Scalar::Text { body, .. }) => {
                if body != "node" {
                    return None;
                }
                is_node = true;
            }
            (b"size", Scalar::Number(n)) => node.size = Some(n),
            (b"inode", Scalar::Number(n)) => node.inode = Some(n),
            (b"mode", Scalar::Number(n)) => node.mode = u32::try_from(n).ok()?,
            (b"uid", Scalar::Number(n)) => node.uid = u32::try_from(n).ok()?,
            (b"gid", Scalar::Number(n)) => node.gid = u32::try_from(n).ok()?,
            (
                b"name" | b"path" | b"type" | b"mtime" | b"atime" | b"ctime" | b"size" | b"inode"
                | b"mode" | b"uid" | b"gid",
                _,
            ) => return None,
            _ => {}
        }
        match bytes.get(at)? {
            b',' => at += 1,
            b'}' if at + 1 == bytes.len() => return is_node.then_some(node),
            _ => return None,
        }
    }
}

fn scalar(line: &str, at: usize) -> Option<(Scalar<'_>, usize)> {
    let bytes = line.as_bytes();
    match *bytes.get(at)? {
        b'"' => {
            let start = at + 1;
            let mut end = start;
            let mut escaped = false;
            loop {
                let hit = end + memchr::memchr2(b'"', b'\\', &bytes[end..])?;
                if bytes[hit] == b'"' {
                    return Some((
                        Scalar::Text {
                            body: &line[start..hit],
                            escaped,
                        },
                        hit + 1,
                    ));
                }
                escaped = true;
                end = hit + 2;
                if end > bytes.len() {
                    return None;
                }
            }
        }
        b'0'..=b'9' => {
            let mut end = at;
            let mut value = 0_u64;
            while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
                value = value
                    .checked_mul(10)?
                    .checked_add(u64::from(digit - b'0'))?;
                end += 1;
            }
            // A leading zero, a fraction or an exponent is not what restic writes for these.
            match bytes.get(end)? {
                b',' | b'}' if end == at + 1 || bytes[at] != b'0' => {
                    Some((Scalar::Number(value), end))
                }
                _ => None,
            }
        }
        b't' if bytes[at..].starts_with(b"true") => Some((Scalar::Other, at + 4)),
        b'f' if bytes[at..].starts_with(b"false") => Some((Scalar::Other, at + 5)),
        b'n' if bytes[at..].starts_with(b"null") => Some((Scalar::Other, at + 4)),
        _ => None,
    }
}

fn text(body: &str, escaped: bool) -> Option<Cow<'_, str>> {
    if !escaped {
        return Some(Cow::Borrowed(body));
    }
    let mut quoted = String::with_capacity(body.len() + 2);
    quoted.push('"');
    quoted.push_str(body);
    quoted.push('"');
    serde_json::from_str::<String>(&quoted).ok().map(Cow::Owned)
}

#[derive(serde::Deserialize)]
struct Careful<'a> {
    #[serde(default, borrow)]
    name: Cow<'a, str>,
    #[serde(default, borrow)]
    path: Cow<'a, str>,
    #[serde(default, borrow, rename = "type")]
    kind: Option<&'a str>,
    size: Option<u64>,
    #[serde(default)]
    mode: u32,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    inode: Option<u64>,
    #[serde(default, borrow)]
    mtime: Option<&'a str>,
    #[serde(default, borrow)]
    atime: Option<&'a str>,
    #[serde(default, borrow)]
    ctime: Option<&'a str>,
    #[serde(default, borrow)]
    struct_type: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    message_type: Option<Cow<'a, str>>,
}

pub(crate) fn careful(line: &str) -> Option<Node<'_>> {
    let read: Careful<'_> = serde_json::from_str(line).ok()?;
    let tag = read.message_type.or(read.struct_type)?;
    if tag != "node" {
        return None;
    }
    let mut node = empty(line);
    node.name = read.name;
    node.path = read.path;
    node.kind = NodeType::from(read.kind.unwrap_or(""));
    node.size = read.size;
    node.mode = read.mode;
    node.uid = read.uid;
    node.gid = read.gid;
    node.inode = read.inode;
    node.mtime_text = read.mtime.unwrap_or("");
    node.atime_text = read.atime.unwrap_or("");
    node.ctime_text = read.ctime.unwrap_or("");
    Some(node)
}

/// A file that `find` found, borrowed from restic's answer. `raw` is the whole of it, so that what a newer restic adds is not
/// lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundNode<'a> {
    /// Absolute path within the snapshot.
    pub path: Cow<'a, str>,
    /// What kind of thing it is.
    pub kind: NodeType<'a>,
    /// Bytes; `None` for what is not a regular file.
    pub size: Option<u64>,
    /// Mode in **Go's** bits; see [`unix_permissions`](crate::unix_permissions).
    pub mode: u32,
    /// Modification time as written.
    pub mtime_text: &'a str,
    /// The whole object.
    pub raw: &'a str,
}

#[derive(serde::Deserialize)]
struct FoundIn<'a> {
    #[serde(borrow, default)]
    snapshot: Cow<'a, str>,
    #[serde(borrow, default)]
    matches: Option<Vec<&'a serde_json::value::RawValue>>,
}

#[derive(serde::Deserialize)]
struct FoundFields<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a str>,
    size: Option<u64>,
    #[serde(default)]
    mode: u32,
    #[serde(borrow, default)]
    mtime: Option<&'a str>,
}

/// Reads the answer of `find --json` and hands over every file with the snapshot it is in; says how many. Nothing is copied
/// unless a name holds an escape. `None` if the text is not such an answer (objects found by id are not).
///
/// ```
/// let answer = r#"[{"matches":[{"path":"/a b","type":"file","size":7,"mode":420}],"hits":1,"snapshot":"ab12"}]"#;
/// let mut paths = Vec::new();
/// let count = restic_wrapper::parse_found(answer, &mut |snapshot, file| {
///     paths.push(format!("{snapshot}:{}", file.path));
/// });
/// assert_eq!((count, paths), (Some(1), vec!["ab12:/a b".to_owned()]));
/// ```
pub fn parse_found<'a>(answer: &'a str, each: &mut dyn FnMut(&str, &FoundNode<'a>)) -> Option<u64> {
    let groups: Vec<FoundIn<'a>> = serde_json::from_str(answer).ok()?;
    let mut count = 0;
    for group in groups {
        for raw in group.matches? {
            let raw = raw.get();
            let fields: FoundFields<'a> = serde_json::from_str(raw).ok()?;
            let node = FoundNode {
                path: fields.path,
                kind: NodeType::from(fields.kind.unwrap_or("")),
                size: fields.size,
                mode: fields.mode,
                mtime_text: fields.mtime.unwrap_or(""),
                raw,
            };
            each(&group.snapshot, &node);
            count += 1;
        }
    }
    Some(count)
}
