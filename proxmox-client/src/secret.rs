//! Secrets in memory: texts that are made in one piece, and holders that wipe what they held.
//!
//! A text that grows while it is made leaves its beginning behind in memory, where nothing can wipe it any more. So
//! secrets are joined here, with room for all of it from the start.

use std::fmt;
use std::ops::{Deref, DerefMut};

use secrecy::SecretString;
use secrecy::zeroize::{Zeroize as _, Zeroizing};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Parts one behind the other, wiped when it is dropped.
pub(crate) fn joined(parts: &[&str]) -> Zeroizing<String> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut text = Zeroizing::new(String::with_capacity(length));
    parts.iter().for_each(|part| text.push_str(part));
    text
}

/// Parts one behind the other, as a secret.
pub(crate) fn secret(parts: &[&str]) -> SecretString {
    SecretString::from(std::mem::take(&mut *joined(parts)))
}

/// Wipes every text inside a value.
pub(crate) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Wipes members that are secret, at any depth.
#[cfg(feature = "api-base")]
pub(crate) fn wipe_members(members: &mut Map<String, Value>, is_secret: &dyn Fn(&str) -> bool) {
    for (name, value) in members {
        match value {
            value if is_secret(name) => wipe(value),
            Value::Object(inner) => wipe_members(inner, is_secret),
            Value::Array(items) => {
                let inner = items.iter_mut().filter_map(Value::as_object_mut);
                inner.for_each(|inner| wipe_members(inner, is_secret));
            }
            _ => {}
        }
    }
}

/// Bytes that are wiped when they are dropped, if they may hold a secret.
#[derive(Clone, Default)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    pub(crate) secret: bool,
}

impl Held {
    fn wipe(&mut self) {
        if self.secret {
            self.bytes.as_mut_slice().zeroize();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// The members of an answer that holds a secret: all of its texts are wiped when it is dropped.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Members(Map<String, Value>);

impl Members {
    /// A member that is secret.
    pub(crate) fn secret(&self, name: &str) -> Option<SecretString> {
        let text = self.0.get(name).and_then(Value::as_str);
        text.map(SecretString::from)
    }
}

impl From<Map<String, Value>> for Members {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

impl Deref for Members {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

/// Keys and values of which some are secret: these are not shown, and wiped when they are replaced or dropped.
#[derive(Clone)]
pub(crate) struct Values {
    map: Map<String, Value>,
    secret: &'static [&'static str],
}

impl Values {
    pub(crate) fn new(map: Map<String, Value>, secret: &'static [&'static str]) -> Self {
        Self { map, secret }
    }

    /// Sets a key.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        if let Some(mut old) = self.map.insert(key.to_owned(), value)
            && self.secret.contains(&key)
        {
            wipe(&mut old);
        }
    }

    /// Removes a key.
    pub(crate) fn remove(&mut self, key: &str) {
        if let Some(mut old) = self.map.shift_remove(key)
            && self.secret.contains(&key)
        {
            wipe(&mut old);
        }
    }
}

impl Deref for Values {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.map
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.map
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.map == other.map
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = Value::from("…");
        let shown = self.map.iter().map(|(key, value)| {
            let is_secret = self.secret.contains(&key.as_str());
            (key, if is_secret { &hidden } else { value })
        });
        f.debug_map().entries(shown).finish()
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        for key in self.secret {
            if let Some(value) = self.map.get_mut(*key) {
                wipe(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_joined_text_never_had_to_move() {
        let text = joined(&["PVEAPIToken=", "a@pve!b", "=", "c"]);
        assert_eq!(*text, "PVEAPIToken=a@pve!b=c");
        assert_eq!(text.capacity(), text.len());
        assert_eq!(secret(&["a", "b"]).expose_secret(), "ab");
    }

    #[test]
    fn bytes_are_wiped_only_if_they_may_hold_a_secret() {
        for (secret, left) in [(true, [0; 4]), (false, *b"body")] {
            let mut held = Held {
                bytes: b"body".to_vec(),
                secret,
            };
            held.wipe();
            assert_eq!(held.bytes, left);
        }
    }

    #[test]
    fn texts_are_wiped_at_any_depth() {
        let mut value = json!({ "a": ["x", { "b": "y" }], "n": 1 });
        wipe(&mut value);
        assert_eq!(value, json!({ "a": ["", { "b": "" }], "n": 1 }));
    }

    #[cfg(feature = "api-base")]
    #[test]
    fn members_are_wiped_by_name_at_any_depth() {
        let mut value = json!({ "key": { "of": "x" }, "other": [{ "key": "y", "open": "z" }] });
        if let Some(members) = value.as_object_mut() {
            wipe_members(members, &|name| name == "key");
        }
        let left = json!({ "key": { "of": "" }, "other": [{ "key": "", "open": "z" }] });
        assert_eq!(value, left);
    }

    #[test]
    fn secret_values_are_not_shown() {
        let mut values = Values::new(Map::new(), &["password"]);
        values.set("password", "hunter22".into());
        values.set("name", "web".into());
        let shown = format!("{values:?}");
        assert!(
            shown.contains("web") && !shown.contains("hunter22"),
            "{shown}"
        );
        values.remove("password");
        assert_eq!(values.len(), 1);
    }
}
