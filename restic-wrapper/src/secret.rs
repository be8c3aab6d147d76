//! Passwords and credentials: never printed, wiped when dropped.

use std::fmt;

use secrecy::{ExposeSecret, SecretSlice};
use zeroize::{Zeroize, Zeroizing};

use crate::event::Stream;

/// A secret text or byte string: a repository password, an access key.
///
/// `Debug` prints `Secret(…)`; there is no `Display`, no comparison and no serialisation. The bytes are wiped when the
/// last clone is dropped.
#[derive(Clone)]
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Takes the bytes over. The caller's buffer is moved, not copied.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let mut bytes: Vec<u8> = bytes.into();
        // A vector with spare capacity would be copied into a new allocation; the old one is wiped here.
        let exact: Vec<u8> = bytes.as_slice().to_vec();
        bytes.zeroize();
        Self(SecretSlice::from(exact))
    }

    /// The bytes. Every use of this is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

/// Takes secrets out of text before it becomes part of an error, a notice or a log line.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    secrets: Vec<Secret>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

impl Redactor {
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut all = Vec::new();
        for secret in secrets {
            // A secret of one or two letters would blank out half of every message, and hides nothing; one of
            // asterisks is hidden already.
            if secret.expose().len() <= 2 || secret.expose().iter().all(|byte| *byte == b'*') {
                continue;
            }
            // Within a JSON message a quote or a backslash has a backslash before it.
            if let Ok(text) = std::str::from_utf8(secret.expose())
                && let Ok(quoted) = serde_json::to_string(text).map(Zeroizing::new)
                && quoted.trim_matches('"') != text
            {
                all.push(Secret::new(&quoted.as_bytes()[1..quoted.len() - 1]));
            }
            all.push(secret);
        }
        // A secret may be a part of another: the longest goes first.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self { secrets: all }
    }

    /// The text with every secret replaced by `***`, and with the password of every URL replaced likewise.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut out = mask_url_passwords(text);
        for secret in &self.secrets {
            if let Ok(secret) = std::str::from_utf8(secret.expose())
                && out.contains(secret)
            {
                out = out.replace(secret, "***");
            }
        }
        out
    }

    /// A line of output with every secret replaced. Standard output holds names of files, which may look like URLs and
    /// stay as they are; what restic complains about is cleaned of the passwords of URLs too.
    pub(crate) fn clean_line(&self, stream: Stream, line: &[u8]) -> Vec<u8> {
        let mut out = line.to_vec();
        for secret in &self.secrets {
            let secret = secret.expose();
            while let Some(at) = memchr::memmem::find(&out, secret) {
                out.splice(at..at + secret.len(), *b"***");
            }
        }
        match (stream, std::str::from_utf8(&out)) {
            (Stream::Stderr, Ok(text)) => mask_url_passwords(text).into_bytes(),
            _ => out,
        }
    }

    /// Whether a line holds nothing that `clean_line` would change; lets the hot path skip the copy.
    pub(crate) fn is_clean(&self, stream: Stream, line: &[u8]) -> bool {
        if stream == Stream::Stderr
            && memchr::memmem::find(line, b"://").is_some_and(|at| line[at..].contains(&b'@'))
        {
            return false;
        }
        self.secrets
            .iter()
            .all(|secret| memchr::memmem::find(line, secret.expose()).is_none())
    }
}

/// `https://user:word@host` becomes `https://user:***@host`.
pub(crate) fn mask_url_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail
            .find(|c: char| c == '/' || c.is_whitespace() || c == '"' || c == '\'')
            .unwrap_or(tail.len());
        let authority = &tail[..end];
        match (authority.rfind('@'), authority.find(':')) {
            (Some(at_sign), Some(colon)) if colon < at_sign => {
                out.push_str(&authority[..=colon]);
                out.push_str("***");
                out.push_str(&authority[at_sign..]);
            }
            _ => out.push_str(authority),
        }
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}
