//! Requests as they arrive, decoded as the real server decodes them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::Digest as _;

use super::answer::Reply;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrived {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    pub(super) chunked: bool,
}

/// A request after decoding.
#[derive(serde::Serialize, serde::Deserialize, Debug, Clone)]
pub(super) struct Call {
    pub(super) method: String,
    /// Path below `/api2/json`, decoded segment by segment.
    pub(super) segments: Vec<String>,
    pub(super) path: String,
    pub(super) params: Map<String, Value>,
    /// The file of an upload.
    pub(super) file: Option<Arrival>,
}

/// A file as it arrived; its bytes are not kept.
#[derive(serde::Serialize, serde::Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Arrival {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) sha256: String,
}

impl Arrived {
    /// Splits and decodes; refuses what the real HTTP layer refuses.
    pub(super) fn decode(&self) -> Result<Call, Reply> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let below = path
            .strip_prefix("/api2/json")
            .ok_or_else(|| Reply::bare(501, "not simulated: only /api2/json is"))?;
        if !["GET", "POST", "PUT", "DELETE"].contains(&self.method.as_str()) {
            return Err(Reply::bare(
                501,
                &format!("method '{}' not available", self.method),
            ));
        }
        if self.chunked {
            return Err(Reply::bare(501, "chunked transfer encoding not supported"));
        }
        let has_body = !self.body.is_empty();
        if has_body && matches!(self.method.as_str(), "GET" | "DELETE") {
            return Err(Reply::bare(
                501,
                &format!("Unexpected content for method '{}'", self.method),
            ));
        }
        let kind = self.headers.get("content-type").map_or("", String::as_str);
        let kind = kind.split(';').next().unwrap_or("").trim();
        let mut params = Map::new();
        let mut file = None;
        if has_body {
            if self.body.len() > 512 * 1024 && kind != "multipart/form-data" {
                return Err(Reply::bare(501, "for data too large"));
            }
            match kind {
                "" | "application/x-www-form-urlencoded" => {
                    form(&String::from_utf8_lossy(&self.body), &mut params);
                }
                "application/json" => match serde_json::from_slice(&self.body) {
                    Ok(Value::Object(members)) => {
                        params.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
                    }
                    _ => return Err(Reply::bare(500, "malformed JSON string")),
                },
                "multipart/form-data" => {
                    let header = self.headers.get("content-type").map_or("", String::as_str);
                    file = multipart(header, &self.body, &mut params);
                }
                other => {
                    return Err(Reply::bare(506, &format!("upload {other} not supported")));
                }
            }
        }
        let mut of_query = Map::new();
        form(query, &mut of_query);
        params.extend(of_query);
        let segments: Vec<String> = below
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| decode(part, false))
            .collect();
        Ok(Call {
            method: self.method.clone(),
            path: format!("/{}", segments.join("/")),
            segments,
            params,
            file,
        })
    }
}

/// `+` is a blank in forms, not in paths.
fn decode(text: &str, plus: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' if plus => out.push(b' '),
            b'%' => {
                let mut ahead = bytes.clone();
                let digits = (ahead.next(), ahead.next());
                let value = match digits {
                    (Some(a), Some(b)) => (a as char)
                        .to_digit(16)
                        .zip((b as char).to_digit(16))
                        .map(|(a, b)| a * 16 + b),
                    _ => None,
                };
                match value {
                    Some(value) => {
                        out.push(value as u8);
                        bytes = ahead;
                    }
                    None => out.push(byte),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Fields in order, the file last, as the real parser wants them.
fn multipart(header: &str, body: &[u8], params: &mut Map<String, Value>) -> Option<Arrival> {
    let boundary = header.split("boundary=").nth(1)?.trim_matches('"');
    let mark = format!("--{boundary}");
    let mut rest = body;
    loop {
        rest = rest.strip_prefix(mark.as_bytes())?.strip_prefix(b"\r\n")?;
        let end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let inner = &rest[end + 4..];
        let quoted = |key: &str| {
            Some(
                head.split(&format!(" {key}=\""))
                    .nth(1)?
                    .split('"')
                    .next()?
                    .to_owned(),
            )
        };
        let name = quoted("name")?;
        if let Some(file_name) = quoted("filename") {
            // The file goes to the last boundary.
            let tail = format!("\r\n{mark}--\r\n");
            let bytes = inner.strip_suffix(tail.as_bytes())?;
            let digest = sha2::Sha256::digest(bytes);
            return Some(Arrival {
                name: file_name
                    .rsplit(['/', '\\'])
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                size: bytes.len() as u64,
                sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            });
        }
        let end = find(inner, format!("\r\n{mark}").as_bytes())?;
        params.insert(
            name,
            String::from_utf8_lossy(&inner[..end]).into_owned().into(),
        );
        rest = &inner[end + 2..];
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Pairs end at `&` and at `;`; of a value only what stands before a second `=` counts; a repeated name makes
/// an array.
fn form(text: &str, into: &mut Map<String, Value>) {
    for pair in text.split(['&', ';']).filter(|pair| !pair.is_empty()) {
        let mut parts = pair.split('=');
        let name = decode(parts.next().unwrap_or(""), true);
        let value = Value::String(decode(parts.next().unwrap_or(""), true));
        match into.get_mut(&name) {
            None => {
                into.insert(name, value);
            }
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
}

impl Call {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.params.get(name).map(|value| match value {
            Value::String(text) => text.clone(),
            Value::Bool(flag) => u8::from(*flag).to_string(),
            other => other.to_string(),
        })
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name).as_deref() == Some("1")
    }
}
