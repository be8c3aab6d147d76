//! What answers are read as.

use serde_json::{Map, Value};

use crate::scalar::{Field, from_value};
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

/// An object whose members the interface does not describe, or more of one that it does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object(Map<String, Value>);

impl Object {
    pub(crate) fn get<T: Field>(&self, key: &str) -> Option<T> {
        self.0.get(key).and_then(from_value)
    }

    /// All members as they came.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
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
            Value::Object(members) => Ok(Self(members)),
            other => Err(other),
        }
    }
    fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

/// Makes a view of an object's members.
macro_rules! object {
    ($Name:ident) => {
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
                <$crate::api::Object as $crate::scalar::Field>::from_compound(value).map(Self)
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
);

impl sealed::Sealed for crate::QemuConfig {}

impl Answer for crate::QemuConfig {
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
