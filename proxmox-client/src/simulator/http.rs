//! Requests as they arrive, decoded as the real server decodes them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::answer::Reply;
use super::multipart::Upload;

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
    /// A multipart body that was read while it came.
    pub(super) upload: Option<Upload>,
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
        let has_body = !self.body.is_empty() || self.upload.is_some();
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
                    let read = self.upload.clone().or_else(|| {
                        let mut upload = Upload::new(header)?;
                        upload.feed(&self.body);
                        Some(upload)
                    });
                    if let Some((fields, arrival)) = read.map(Upload::finish) {
                        params.extend(fields);
                        file = arrival;
                    }
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
pub(super) fn decode(text: &str, plus: bool) -> String {
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
