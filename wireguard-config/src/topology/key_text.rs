//! The key store as lines of text, for a secret file.

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::key::{PresharedKey, PrivateKey, PublicKey};

use super::keys::Keys;

impl Keys {
    /// The store as text, one key a line; [`Keys::from_text`] reads it. Secret, and wiped when dropped.
    ///
    /// ```text
    /// seed BASE64
    /// private MEMBER BASE64
    /// public MEMBER BASE64
    /// pair MEMBER MEMBER BASE64
    /// generation MEMBER MEMBER NUMBER
    /// ```
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let members: usize = self.members().map(|name| name.len() + 64).sum();
        let pairs: usize = self
            .pairs()
            .map(|(one, other, _)| one.len() + other.len() + 64)
            .sum();
        let renewed: usize = self
            .generations()
            .map(|(one, other, _)| one.len() + other.len() + 48)
            .sum();
        let mut out = Zeroizing::new(String::with_capacity(128 + members + pairs + renewed));
        if let Some(seed) = self.seed() {
            out.push_str("seed ");
            seed.push_base64(&mut out);
            out.push('\n');
        }
        for name in self.members() {
            match (self.private(name), self.public(name)) {
                (Some(key), _) => {
                    out.push_str(&format!("private {name} "));
                    key.push_base64(&mut out);
                    out.push('\n');
                }
                (None, Some(key)) => out.push_str(&format!("public {name} {key}\n")),
                (None, None) => {}
            }
        }
        for (one, other, key) in self.pairs() {
            out.push_str(&format!("pair {one} {other} "));
            key.push_base64(&mut out);
            out.push('\n');
        }
        for (one, other, generation) in self.generations() {
            out.push_str(&format!("generation {one} {other} {generation}\n"));
        }
        out
    }

    /// Reads the text of [`Keys::to_text`]; empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] with the number of the first line that cannot be read, never with its content.
    pub fn from_text(text: &str) -> Result<Self> {
        let mut keys = Self::new();
        for (at, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let refuse = |error: Option<Error>| {
                let reason = error.map_or_else(
                    || "it has another form".to_owned(),
                    |error| error.to_string(),
                );
                Error::new(
                    ErrorKind::Key,
                    format!("line {} of the key store: {reason}", at + 1),
                )
                .with_hint("seed, private, public, pair or generation, then names, then the key")
            };
            match words.as_slice() {
                [] => {}
                [word, ..] if word.starts_with('#') => {}
                ["seed", key] => {
                    keys.set_seed(PresharedKey::from_base64(key).map_err(|e| refuse(Some(e)))?)
                }
                ["private", name, key] => {
                    keys.set_private(
                        *name,
                        PrivateKey::from_base64(key).map_err(|e| refuse(Some(e)))?,
                    );
                }
                ["public", name, key] => {
                    keys.set_public(
                        *name,
                        PublicKey::from_base64(key).map_err(|e| refuse(Some(e)))?,
                    );
                }
                ["pair", one, other, key] => {
                    keys.set_preshared(
                        one,
                        other,
                        PresharedKey::from_base64(key).map_err(|e| refuse(Some(e)))?,
                    );
                }
                ["generation", one, other, number] => {
                    keys.set_generation(one, other, number.parse().map_err(|_| refuse(None))?);
                }
                _ => return Err(refuse(None)),
            }
        }
        Ok(keys)
    }
}
