//! Secrets in documents: they do not print, and are wiped from memory on drop.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::codec::{Item, Reader, zeroable};
use crate::error::{Error, ErrorKind};
use crate::value::Value;

/// Secret text. `Debug` says only whether it is there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret; the caller's own copy is the caller's to wipe.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// No secret is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A secret of binary content or PEM text, kept as base64 of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBase64(Zeroizing<String>);

impl SecretBase64 {
    /// Encodes the content, for example a key in PEM.
    pub fn encode(content: impl AsRef<[u8]>) -> Self {
        Self(Zeroizing::new(STANDARD.encode(content)))
    }

    /// Takes text that is base64 already.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is not.
    pub fn from_base64(text: &str) -> Result<Self, Error> {
        let read = STANDARD.decode(text).map(Zeroizing::new);
        read.map(|_| Self(Zeroizing::new(text.to_owned())))
            .map_err(|_| Error::new(ErrorKind::InvalidArgument, "the secret is not base64"))
    }

    /// The content.
    pub fn decode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(STANDARD.decode(&*self.0).unwrap_or_default())
    }

    /// The text as it stands in the configuration.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// No secret is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn redacted(f: &mut fmt::Formatter<'_>, empty: bool) -> fmt::Result {
    f.write_str(if empty { "[none]" } else { "[redacted]" })
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        redacted(f, self.is_empty())
    }
}

impl fmt::Debug for SecretBase64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        redacted(f, self.is_empty())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl Item for Secret {
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self(text.clone())),
            _ => reader.refuse("text is needed here"),
        }
    }

    fn write(&self) -> Value {
        Value::Text(self.0.clone())
    }
}

impl Item for SecretBase64 {
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
        match value {
            Value::Text(text) => match Self::from_base64(text) {
                Ok(secret) => Some(secret),
                Err(_) => reader.refuse("base64 is needed here"),
            },
            _ => reader.refuse("text is needed here"),
        }
    }

    fn write(&self) -> Value {
        Value::Text(self.0.clone())
    }
}

zeroable!(Secret, SecretBase64);
