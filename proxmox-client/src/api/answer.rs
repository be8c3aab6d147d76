//! What answers are read as.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::generated::SECRET;
use crate::scalar::{Field, from_value};
use crate::secret::wipe_members;
use crate::upid::Upid;

mod sealed {
    pub trait Sealed {}
}

/// A type that `data` of an answer is read as.
pub trait Answer: Sized + sealed::Sealed {
    /// Reads it; gives the data back if it is something else.
    ///
    /// # Errors
    /// The data, unchanged.
    fn read(data: Value) -> Result<Self, Value>;

    /// Everything that was read, as JSON.
    fn to_json(&self) -> Value;
}

/// The answer of a call that promises none; what the server says all the same is kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ack(Option<Value>);

impl Ack {
    /// What the server said beyond the promise.
    pub fn data(&self) -> Option<&Value> {
        self.0.as_ref()
    }
}

impl sealed::Sealed for Ack {}

impl Answer for Ack {
    fn read(data: Value) -> Result<Self, Value> {
        Ok(Self(Some(data).filter(|data| !data.is_null())))
    }
    fn to_json(&self) -> Value {
        self.0.clone().unwrap_or(Value::Null)
    }
}

/// An object whose members the interface does not describe, or more of one that it does; `Debug` shows no secrets.
#[derive(Clone, Default)]
pub struct Object {
    members: Map<String, Value>,
    /// Members that are secret, at any depth.
    secret: &'static [&'static str],
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.members, self.secret, f)
    }
}

fn show(members: &Map<String, Value>, secret: &[&str], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_secret =
        |name: &&String| SECRET.contains(&name.as_str()) || secret.contains(&name.as_str());
    let shown = members.iter().map(|(name, value)| match is_secret(&name) {
        true => (name, Shown::Secret),
        false => (name, Shown::Open(value, secret)),
    });
    f.debug_map().entries(shown).finish()
}

/// A value, with secrets hidden inside it.
enum Shown<'a> {
    Secret,
    Open(&'a Value, &'a [&'a str]),
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret => f.write_str("[REDACTED]"),
            Self::Open(Value::Object(members), secret) => show(members, secret, f),
            Self::Open(Value::Array(items), secret) => {
                let items = items.iter().map(|item| Shown::Open(item, secret));
                f.debug_list().entries(items).finish()
            }
            Self::Open(plain, _) => fmt::Display::fmt(plain, f),
        }
    }
}

/// Secrets do not stay in memory.
impl Drop for Object {
    fn drop(&mut self) {
        let secret = self.secret;
        let is_secret = |name: &str| SECRET.contains(&name) || secret.contains(&name);
        wipe_members(&mut self.members, &is_secret);
    }
}

impl Object {
    pub(crate) fn get<T: Field>(&self, key: &str) -> Option<T> {
        self.members.get(key).and_then(from_value)
    }

    /// The same, with members that are secret here beside those that are everywhere.
    pub(crate) fn hiding(mut self, secret: &'static [&'static str]) -> Self {
        self.secret = secret;
        self
    }

    /// All members as they came, secrets too.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// A member as text.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key)
    }

    /// A member as a whole number.
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.get(key)
    }

    /// A member as a number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key)
    }

    /// A member as a flag.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)
    }
}

impl Field for Object {
    fn from_raw(_: crate::scalar::Raw<'_>) -> Option<Self> {
        None
    }
    fn from_compound(value: Value) -> Result<Self, Value> {
        match value {
            Value::Object(members) => Ok(Self {
                members,
                secret: &[],
            }),
            other => Err(other),
        }
    }
    fn to_value(&self) -> Value {
        Value::Object(self.members.clone())
    }
}

/// The name of what lies below a path, from a list of what does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Below(Object);

impl Below {
    /// The name: the last part of the path.
    pub fn name(&self) -> Option<String> {
        let keys = ["name", "subdir", "cmd"];
        keys.iter().find_map(|key| self.0.get(key))
    }

    /// All members.
    pub fn object(&self) -> &Object {
        &self.0
    }
}

impl Field for Below {
    fn from_raw(_: crate::scalar::Raw<'_>) -> Option<Self> {
        None
    }
    fn from_compound(value: Value) -> Result<Self, Value> {
        Object::from_compound(value).map(Self)
    }
    fn to_value(&self) -> Value {
        self.0.to_value()
    }
}

impl Field for BTreeMap<String, Object> {
    fn from_raw(_: crate::scalar::Raw<'_>) -> Option<Self> {
        None
    }
    fn from_compound(value: Value) -> Result<Self, Value> {
        let members = value.as_object();
        let read = members.and_then(|members| {
            let members = members.iter();
            members
                .map(|(name, member)| Some((name.clone(), from_value(member)?)))
                .collect()
        });
        read.ok_or(value)
    }
    fn to_value(&self) -> Value {
        let members = self.iter();
        let members = members.map(|(name, member)| (name.clone(), member.to_value()));
        Value::Object(members.collect())
    }
}

impl Field for SecretString {
    fn from_raw(raw: crate::scalar::Raw<'_>) -> Option<Self> {
        String::from_raw(raw).map(Self::from)
    }
    fn to_value(&self) -> Value {
        self.expose_secret().into()
    }
}

/// Makes a view of an object's members.
macro_rules! object {
    ($Name:ident) => { $crate::api::object!($Name, []); };
    ($Name:ident, [$($secret:literal),*]) => {
        /// The members of this answer; those that it does not name are in [`object`](Self::object).
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $Name($crate::api::Object);

        impl $Name {
            /// All members.
            pub fn object(&self) -> &$crate::api::Object {
                &self.0
            }
        }

        impl $crate::scalar::Field for $Name {
            fn from_raw(_: $crate::scalar::Raw<'_>) -> Option<Self> {
                None
            }
            fn from_compound(value: serde_json::Value) -> Result<Self, serde_json::Value> {
                let object = <$crate::api::Object as $crate::scalar::Field>::from_compound(value)?;
                Ok(Self(object.hiding(&[$($secret),*])))
            }
            fn to_value(&self) -> serde_json::Value {
                $crate::scalar::Field::to_value(&self.0)
            }
        }

        $crate::api::answer::field_answer!($Name);
    };
}

/// A type that is read like a field is an answer too, and so is a list of it.
macro_rules! field_answer {
    ($($Name:ty),+ $(,)?) => { $(
        impl $crate::api::answer::Sealed for $Name {}
        impl $crate::api::Answer for $Name {
            fn read(data: serde_json::Value) -> Result<Self, serde_json::Value> {
                $crate::api::answer::read_field(data)
            }
            fn to_json(&self) -> serde_json::Value {
                $crate::scalar::Field::to_value(self)
            }
        }
        impl $crate::api::answer::Sealed for Vec<$Name> {}
        impl $crate::api::Answer for Vec<$Name> {
            fn read(data: serde_json::Value) -> Result<Self, serde_json::Value> {
                $crate::api::answer::read_field(data)
            }
            fn to_json(&self) -> serde_json::Value {
                $crate::scalar::Field::to_value(self)
            }
        }
    )+ };
}

pub(crate) use {field_answer, object, sealed::Sealed};

/// Reads a value whole.
pub(crate) fn read_field<T: Field>(data: Value) -> Result<T, Value> {
    match data {
        compound @ (Value::Array(_) | Value::Object(_)) => T::from_compound(compound),
        scalar => from_value(&scalar).ok_or(scalar),
    }
}

field_answer!(
    Object,
    Below,
    BTreeMap<String, Object>,
    bool,
    i64,
    String,
    crate::Resource,
    crate::ClusterMember,
    crate::NodeSummary,
    crate::NodeStatus,
    crate::NetworkInterface,
    crate::QemuSummary,
    crate::QemuStatus,
    crate::PendingEntry,
    crate::Snapshot,
    crate::StorageStatus,
    crate::Volume,
    crate::Version,
    crate::task::TaskEntry,
    crate::task::TaskStatus,
    crate::task::LogLine,
    crate::LxcStatus,
    crate::VolumeInfo,
    crate::ExecStatus,
    crate::GuestFile,
    crate::metrics::NodeSample,
    crate::metrics::GuestSample,
    crate::metrics::StorageSample,
    crate::ceph::CephStatus,
    crate::ceph::CephOsds,
    crate::ClusterLogEntry,
    crate::HaStatus,
    crate::HaManagerStatus,
    crate::AliasInfo,
    crate::IpSetEntry,
    crate::IpSetInfo,
    crate::FirewallReference,
    crate::FirewallMacro,
    crate::SecurityGroupInfo,
    crate::ReplicationJob,
    crate::ReplicationStatus,
    crate::StorageDefinition,
    crate::sdn::SubnetInfo,
    crate::sdn::IpamAddress,
);

impl sealed::Sealed for SecretString {}

impl Answer for SecretString {
    fn read(data: Value) -> Result<Self, Value> {
        match data {
            Value::String(text) => Ok(text.into()),
            other => Err(other),
        }
    }
    fn to_json(&self) -> Value {
        self.expose_secret().into()
    }
}

/// A guest's configuration is an answer too.
macro_rules! config_answer {
    ($($Config:ty),+) => { $(
        impl sealed::Sealed for $Config {}

        impl Answer for $Config {
            fn read(data: Value) -> Result<Self, Value> {
                match data {
                    Value::Object(members) => Ok(Self::from_values(members)),
                    other => Err(other),
                }
            }
            fn to_json(&self) -> Value {
                let mut members = self.values().clone();
                if let Some(digest) = self.digest() {
                    members.insert("digest".to_owned(), digest.into());
                }
                Value::Object(members)
            }
        }
    )+ };
}

config_answer!(crate::QemuConfig, crate::LxcConfig);

impl sealed::Sealed for Value {}

impl Answer for Value {
    fn read(data: Value) -> Result<Self, Value> {
        Ok(data)
    }
    fn to_json(&self) -> Value {
        self.clone()
    }
}

impl sealed::Sealed for Vec<Value> {}

impl Answer for Vec<Value> {
    fn read(data: Value) -> Result<Self, Value> {
        match data {
            Value::Array(items) => Ok(items),
            other => Err(other),
        }
    }
    fn to_json(&self) -> Value {
        Value::Array(self.clone())
    }
}

impl sealed::Sealed for Upid {}

impl Answer for Upid {
    fn read(data: Value) -> Result<Self, Value> {
        data.as_str().and_then(|text| text.parse().ok()).ok_or(data)
    }
    fn to_json(&self) -> Value {
        self.as_str().into()
    }
}

impl sealed::Sealed for Option<Upid> {}

impl Answer for Option<Upid> {
    fn read(data: Value) -> Result<Self, Value> {
        if data.is_null() {
            Ok(None)
        } else {
            Upid::read(data).map(Some)
        }
    }
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Answer::to_json)
    }
}

impl sealed::Sealed for Option<String> {}

impl Answer for Option<String> {
    fn read(data: Value) -> Result<Self, Value> {
        if data.is_null() {
            Ok(None)
        } else {
            read_field(data).map(Some)
        }
    }
    fn to_json(&self) -> Value {
        self.clone().into()
    }
}
