//! References: where a secret is found, what a file must hash to.

use std::fmt;

use serde::Serialize;

use super::decode::{Bad, Cx, Decode, Scalar};
use super::scalar::as_text;
use super::yaml::{Node, Value};

/// Where a secret is found; the secret itself never stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SecretRef {
    /// `env:NAME`: an environment variable.
    Env(String),
    /// `file:PATH`: a file, relative to the folder of `cluster.yaml`; a trailing line break is not part of it.
    File(String),
    /// `generated`: made once by `up` and kept in the secret file.
    Generated,
}

impl SecretRef {
    /// Reads a reference; nothing else is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if text == "generated" {
            return Some(Self::Generated);
        }
        match text.split_once(':')? {
            ("env", name)
                if !name.is_empty()
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                    && !name.as_bytes()[0].is_ascii_digit() =>
            {
                Some(Self::Env(name.to_owned()))
            }
            ("file", path) if !path.is_empty() => Some(Self::File(path.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Generated => f.write_str("generated"),
        }
    }
}

/// A SHA-256 as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Sha256(String);

impl Sha256 {
    /// The digits, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for Sha256 {
    const WHAT: &'static str = "a SHA-256 of 64 hexadecimal digits";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(Bad::new(
            "bad-checksum",
            format!(
                "{path} is not a SHA-256 ({} characters, 64 hexadecimal digits expected)",
                text.chars().count()
            ),
        )
        .help("sha256sum FILE prints it"))
    }

    fn placeholder() -> Self {
        Self("0".repeat(64))
    }
}

as_text!(SecretRef);

impl Decode for SecretRef {
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Node) -> Option<Self> {
        let Value::Scalar { text, .. } = &node.value else {
            cx.error_help(
                "wrong-type",
                path,
                format!("{path} is not a reference to a secret"),
                "env:NAME, file:PATH or generated",
            );
            return None;
        };
        let found = Self::new(text);
        if found.is_none() {
            cx.hide(node);
            inline_secret(cx, path);
        }
        found
    }

    fn placeholder() -> Self {
        Self::Generated
    }
}

/// Notes that something at `path` looks like a secret itself. The value is not shown.
pub(crate) fn inline_secret(cx: &mut Cx<'_>, path: &str) {
    let name = path.rsplit('.').next().unwrap_or(path);
    let key = if name.ends_with("From") {
        name.to_owned()
    } else {
        format!("{name}From")
    };
    cx.error_help(
        "secret-inline",
        path,
        format!("{path}: put a reference here (env:, file:, generated), not the secret itself"),
        format!("{key}: env:NAME"),
    );
}
