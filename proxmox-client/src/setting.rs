//! Settings that are wanted of an object, and how they differ from what the server has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::access::text;
use crate::entry::property_of;
use crate::property::{Format, PropertyString};
use crate::scalar::parse_bool;
use crate::wire::Params;

/// What is wanted of one setting.
#[derive(Clone)]
pub(crate) enum Wanted {
    Text(String),
    /// A flag, and what holds where the server says nothing about it.
    Flag {
        on: bool,
        otherwise: bool,
    },
    /// Names whose order does not matter, and what the server wants between them.
    Names {
        names: BTreeSet<String>,
        separator: &'static str,
    },
    /// Property strings whose order does not matter, each a parameter of its own.
    Items(Vec<String>),
    /// Sub-keys in any order and spelling; the server gives some of these as objects.
    Property {
        value: PropertyString,
        format: &'static Format,
    },
    Secret(SecretString),
    /// A secret of which the server shows only that there is one.
    Traced(SecretString),
    /// A secret that is sent in base64 and shown as it is.
    Packed(SecretString),
    /// Secrets of which the server shows only the names.
    NamedSecrets(BTreeMap<String, SecretString>),
    /// Not set.
    Absent,
}

impl Wanted {
    /// A text; an empty one is the same as none, since forms cannot carry it.
    pub(crate) fn text(value: &str) -> Self {
        if value.is_empty() {
            Self::Absent
        } else {
            Self::Text(value.to_owned())
        }
    }

    pub(crate) fn names<S: Into<String>>(
        names: impl IntoIterator<Item = S>,
        separator: &'static str,
    ) -> Self {
        let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            Self::Absent
        } else {
            Self::Names { names, separator }
        }
    }

    pub(crate) fn items(items: Vec<String>) -> Self {
        if items.is_empty() {
            Self::Absent
        } else {
            Self::Items(items)
        }
    }

    /// Whether what the server has is what is wanted. A secret that the server does not show counts as held.
    fn is_held(&self, have: Option<&Value>) -> bool {
        let have = have.filter(|value| !value.is_null());
        match self {
            Self::Text(wanted) => {
                have.is_some_and(|have| text(have).trim_end() == wanted.trim_end())
            }
            Self::Flag { on, otherwise } => {
                have.map_or(Some(*otherwise), |have| parse_bool(&text(have))) == Some(*on)
            }
            Self::Names { names, .. } => have.is_some_and(|have| names_of(have) == *names),
            Self::Items(items) => {
                let mut wanted: Vec<_> = items
                    .iter()
                    .map(|item| parts(&item.as_str().into()))
                    .collect();
                let mut held: Vec<_> = match have {
                    Some(Value::Array(items)) => items.iter().map(parts).collect(),
                    Some(one) => vec![parts(one)],
                    None => Vec::new(),
                };
                wanted.sort();
                held.sort();
                wanted == held
            }
            Self::Secret(secret) => have.is_none_or(|have| text(have) == secret.expose_secret()),
            Self::Packed(secret) => have.is_some_and(|have| {
                let (have, secret) = (text(have), secret.expose_secret());
                have.trim_end() == secret.trim_end() || have == STANDARD.encode(secret)
            }),
            Self::Property { value, format } => {
                have.is_some_and(|have| property_of(have).same_meaning(value, format))
            }
            Self::Traced(_) => have.is_some(),
            Self::NamedSecrets(secrets) => {
                let names = secrets.keys().map(|name| format!("name={name}"));
                Self::items(names.collect()).is_held(have)
            }
            Self::Absent => have.is_none_or(is_empty),
        }
    }

    fn push_to(&self, name: &str, params: &mut Params) {
        match self {
            Self::Text(value) => params.push(name, value.as_str()),
            Self::Flag { on, .. } => params.push_flag(name, *on),
            Self::Names { names, separator } => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                params.push(name, names.join(separator));
            }
            Self::Items(items) => items
                .iter()
                .for_each(|item| params.push(name, item.as_str())),
            Self::Property { value, .. } => params.push(name, value.to_string()),
            Self::Secret(secret) | Self::Traced(secret) => {
                params.push(name, secret.expose_secret());
            }
            Self::Packed(secret) => params.push(name, STANDARD.encode(secret.expose_secret())),
            Self::NamedSecrets(secrets) => {
                for (key, secret) in secrets {
                    let value = STANDARD.encode(secret.expose_secret());
                    params.push(name, format!("name={key},value={value}"));
                }
            }
            Self::Absent => {}
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Names of a list, however the server writes it.
pub(crate) fn names_of(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => text(other)
            .split([',', ';', ' '])
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    }
}

/// The parts of a property string, which the server may also give as an object.
fn parts(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{name}={}", text(value)))
            .collect(),
        other => text(other).split(',').map(str::to_owned).collect(),
    }
}

/// Settings by name; `Debug` shows the names only.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// The object's kind, which is fixed once it is made.
    pub(crate) kind: Option<String>,
    /// The digest that a change is bound to by the caller.
    pub(crate) digest: Option<String>,
    entries: Vec<(String, Wanted)>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.entries.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl Settings {
    pub(crate) fn of_kind(kind: &str) -> Self {
        Self {
            kind: Some(kind.to_owned()),
            ..Self::default()
        }
    }

    /// Sets one; the last word counts.
    pub(crate) fn set(&mut self, name: &str, wanted: Wanted) {
        self.entries.retain(|(have, _)| have != name);
        self.entries.push((name.to_owned(), wanted));
    }

    /// Sets a text; an empty one drops the setting.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.set(name, Wanted::text(value));
    }

    pub(crate) fn number(&mut self, name: &str, value: impl fmt::Display) {
        self.set(name, Wanted::Text(value.to_string()));
    }

    pub(crate) fn flag(&mut self, name: &str, on: bool, otherwise: bool) {
        self.set(name, Wanted::Flag { on, otherwise });
    }

    /// Sets names, separated by commas; none at all drops the setting.
    pub(crate) fn list<S: Into<String>>(&mut self, name: &str, names: impl IntoIterator<Item = S>) {
        self.set(name, Wanted::names(names, ","));
    }

    pub(crate) fn items<S: Into<String>>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = S>,
    ) {
        let items = items.into_iter().map(Into::into).collect();
        self.set(name, Wanted::items(items));
    }

    pub(crate) fn property(&mut self, name: &str, value: &PropertyString, format: &'static Format) {
        let value = value.clone();
        self.set(name, Wanted::Property { value, format });
    }

    pub(crate) fn secret(&mut self, name: &str, value: SecretString) {
        self.set(name, Wanted::Secret(value));
    }

    pub(crate) fn traced(&mut self, name: &str, value: SecretString) {
        self.set(name, Wanted::Traced(value));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.set(name, Wanted::Absent);
    }

    /// Takes over all settings of another, which win.
    pub(crate) fn extend(&mut self, other: Self) {
        for (name, wanted) in other.entries {
            self.set(&name, wanted);
        }
    }

    /// The names of all.
    pub(crate) fn names(&self) -> Vec<String> {
        self.entries.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The names of what is not as wanted.
    pub(crate) fn differing(&self, have: &Map<String, Value>) -> Vec<String> {
        self.entries
            .iter()
            .filter(|(name, wanted)| !wanted.is_held(have.get(name)))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The names of secrets that the server does not show.
    pub(crate) fn hidden(&self, have: &Map<String, Value>) -> Vec<String> {
        self.entries
            .iter()
            .filter(|(name, wanted)| match wanted {
                Wanted::Secret(_) => !have.contains_key(name),
                Wanted::NamedSecrets(_) => wanted.is_held(have.get(name)),
                _ => false,
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Adds what is to be set when the object is made.
    pub(crate) fn push_new(&self, params: &mut Params) {
        for (name, wanted) in &self.entries {
            wanted.push_to(name, params);
        }
    }

    /// Adds the named settings as a change: what is not to be set goes into `delete`.
    pub(crate) fn push_change(&self, names: &[String], params: &mut Params) {
        let gone = self.push_whole(names, params);
        if !gone.is_empty() {
            params.push("delete", gone.join(","));
        }
    }

    /// Adds the named settings as a change to an interface that wants each name in `delete` by itself.
    pub(crate) fn push_change_each(&self, names: &[String], params: &mut Params) {
        for gone in self.push_whole(names, params) {
            params.push("delete", gone);
        }
    }

    /// Adds the named settings to a change that replaces the whole object; gives what it leaves out.
    pub(crate) fn push_whole(&self, names: &[String], params: &mut Params) -> Vec<&str> {
        let mut gone = Vec::new();
        for (name, wanted) in self.entries.iter().filter(|(name, _)| names.contains(name)) {
            match wanted {
                Wanted::Absent => gone.push(name.as_str()),
                other => other.push_to(name, params),
            }
        }
        gone
    }
}

/// Makes a type of settings: a setter for each name, and ways to set and drop any other.
macro_rules! settings {
    ($(#[$meta:meta])* pub struct $Name:ident {
        $( $(#[$doc:meta])* $setter:ident $key:literal $kind:ident, )*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Default)]
        #[non_exhaustive]
        pub struct $Name(pub(crate) $crate::setting::Settings);

        impl std::fmt::Debug for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($Name)).field(&self.0).finish()
            }
        }

        impl AsRef<$crate::setting::Settings> for $Name {
            fn as_ref(&self) -> &$crate::setting::Settings {
                &self.0
            }
        }

        impl $Name {
            /// Nothing set.
            pub fn new() -> Self {
                Self::default()
            }

            $( $crate::setting::settings! { @setter $kind $(#[$doc])* $setter $key } )*

            /// Any other setting, as the interface spells it.
            #[must_use]
            pub fn with(mut self, name: &str, value: &str) -> Self {
                self.0.set(name, $crate::setting::Wanted::text(value));
                self
            }

            /// Drops a setting, so that the default holds again.
            #[must_use]
            pub fn without(mut self, name: &str) -> Self {
                self.0.set(name, $crate::setting::Wanted::Absent);
                self
            }

            /// Refuses a change with [`Kind::Conflict`](crate::Kind::Conflict) if the digest is another one by now.
            #[must_use]
            pub fn with_digest(mut self, digest: &str) -> Self {
                self.0.digest = Some(digest.to_owned());
                self
            }
        }
    };
    (@setter text $(#[$doc:meta])* $setter:ident $key:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $setter(mut self, value: &str) -> Self {
            self.0.set($key, $crate::setting::Wanted::text(value));
            self
        }
    };
    (@setter number $(#[$doc:meta])* $setter:ident $key:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $setter(mut self, value: u32) -> Self {
            self.0.set($key, $crate::setting::Wanted::Text(value.to_string()));
            self
        }
    };
    (@setter flag $(#[$doc:meta])* $setter:ident $key:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $setter(mut self, on: bool) -> Self {
            self.0.set($key, $crate::setting::Wanted::Flag { on, otherwise: false });
            self
        }
    };
    (@setter switch $(#[$doc:meta])* $setter:ident $key:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $setter(mut self, on: bool) -> Self {
            self.0.set($key, $crate::setting::Wanted::Flag { on, otherwise: true });
            self
        }
    };
    (@setter names $(#[$doc:meta])* $setter:ident $key:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $setter<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
            self.0.set($key, $crate::setting::Wanted::names(names, ","));
            self
        }
    };
    (@setter words $(#[$doc:meta])* $setter:ident $key:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $setter<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
            self.0.set($key, $crate::setting::Wanted::names(names, " "));
            self
        }
    };
    (@setter items $(#[$doc:meta])* $setter:ident $key:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $setter<S: Into<String>>(mut self, items: impl IntoIterator<Item = S>) -> Self {
            self.0.items($key, items);
            self
        }
    };
    (@setter secret $(#[$doc:meta])* $setter:ident $key:literal) => {
        $(#[$doc])*
        #[must_use]
        pub fn $setter(mut self, value: impl Into<secrecy::SecretString>) -> Self {
            self.0.set($key, $crate::setting::Wanted::Secret(value.into()));
            self
        }
    };
}

pub(crate) use settings;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differs(wanted: Wanted, have: Value) -> bool {
        let mut settings = Settings::default();
        settings.set("key", wanted);
        let have = json!({ "key": have });
        !settings
            .differing(have.as_object().unwrap_or(&Map::new()))
            .is_empty()
    }

    fn property(text: &str) -> Wanted {
        Wanted::Property {
            value: PropertyString::parse(text),
            format: &crate::property::FLEECING,
        }
    }

    fn named_secrets(names: &[&str]) -> Wanted {
        let secrets = names
            .iter()
            .map(|name| ((*name).to_owned(), "hunter2".into()));
        Wanted::NamedSecrets(secrets.collect())
    }

    #[test]
    fn what_the_server_writes_otherwise_is_not_a_difference() {
        let same = [
            (Wanted::text("1450"), json!(1450)),
            (Wanted::text("a note"), json!("a note\n")),
            (Wanted::names(["b", "a"], ","), json!("a,b")),
            (Wanted::names(["b", "a"], " "), json!(["b", "a"])),
            (
                Wanted::items(vec!["path=/srv,node=a".into(), "node=b,path=/srv".into()]),
                json!(["node=b,path=/srv", "node=a,path=/srv"]),
            ),
            (
                Wanted::items(vec!["start-address=192.0.2.1,end-address=192.0.2.9".into()]),
                json!([{ "end-address": "192.0.2.9", "start-address": "192.0.2.1" }]),
            ),
            (
                property("1,storage=fast"),
                json!({ "enabled": "1", "storage": "fast" }),
            ),
            (property("storage=fast,enabled=on"), json!("1,storage=fast")),
            (Wanted::Traced("key".into()), json!("ab:cd")),
            (named_secrets(&["a", "b"]), json!(["name=b", "name=a"])),
            (named_secrets(&[]), json!(null)),
            (Wanted::text(""), json!(null)),
            (Wanted::Absent, json!([])),
        ];
        for (wanted, have) in same {
            assert!(!differs(wanted, have.clone()), "{have}");
        }
        let others = [
            (Wanted::text("1450"), json!(1500)),
            (Wanted::names(["a"], ","), json!("a,b")),
            (
                Wanted::items(vec!["node=a".into()]),
                json!(["node=a", "node=b"]),
            ),
            (Wanted::Absent, json!("x")),
            (property("1,storage=fast"), json!("0,storage=fast")),
            (Wanted::Traced("key".into()), json!(null)),
            (Wanted::Secret("new".into()), json!("old")),
            (named_secrets(&["a"]), json!(["name=a", "name=b"])),
            (named_secrets(&["a"]), json!(null)),
        ];
        for (wanted, have) in others {
            assert!(differs(wanted, have.clone()), "{have}");
        }
    }

    #[test]
    fn a_flag_that_is_not_told_has_its_default() {
        let mut settings = Settings::default();
        let flag = |on, otherwise| Wanted::Flag { on, otherwise };
        settings.set("off", flag(false, false));
        settings.set("on", flag(true, true));
        assert!(settings.differing(&Map::new()).is_empty());
        settings.set("on", flag(false, true));
        assert_eq!(settings.differing(&Map::new()), ["on"]);
    }

    #[test]
    fn what_is_dropped_goes_into_delete_and_secrets_stay_out_of_debug() {
        let mut settings = Settings::default();
        settings.set("a", Wanted::Absent);
        settings.set("b", Wanted::text(""));
        settings.set("password", Wanted::Secret("hunter2".into()));
        let mut params = Params::new();
        let all: Vec<String> = ["a", "b", "password"].map(str::to_owned).into();
        settings.push_change(&all, &mut params);
        let pairs: Vec<_> = params.iter().collect();
        assert_eq!(pairs, [("password", "hunter2"), ("delete", "a,b")]);
        assert!(!format!("{settings:?}{params:?}").contains("hunter2"));
    }
}
