//! The machinery behind typed objects: reading a JSON value into a struct with every problem noted and every
//! unknown key kept, and writing it back with nothing lost.

use std::fmt;

use indexmap::IndexMap;
use serde_json::{Map, Number, Value};

use crate::error::Problem;

/// Keys of an object that this crate has no field for. They are kept on reading and written back unchanged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra(Map<String, Value>);

impl Extra {
    /// True when every key was known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of an unknown key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Names and values in the order read.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Sets a key that this crate has no field for; answers the value that it had.
    pub fn insert(&mut self, key: impl Into<String>, value: Value) -> Option<Value> {
        self.0.insert(key.into(), value)
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(key)
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter()).finish()
    }
}

/// Where the reader stands; printed only when something is wrong there.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    pub(crate) const ROOT: At<'static> = At {
        parent: None,
        step: Step::Root,
    };

    pub(crate) fn key(&'a self, key: &'a str) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    pub(crate) fn index(&'a self, index: usize) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Index(index),
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if let (Step::Key(_), false) = (self.step, matches!(parent.step, Step::Root)) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) => f.write_str(key),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A value of a typed field.
pub(crate) trait Field: Sized {
    /// Reads the value, or notes a problem and answers nothing.
    fn read(value: &Value, at: &At<'_>, problems: &mut Vec<Problem>) -> Option<Self>;
    /// The JSON form.
    fn write(&self) -> Value;
}

fn wrong(at: &At<'_>, wanted: &str, found: &Value, problems: &mut Vec<Problem>) {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    };
    problems.push(Problem::new(
        at.to_string(),
        format!("expected {wanted}, found {found}"),
    ));
}

pub(crate) fn object<'v>(
    value: &'v Value,
    at: &At<'_>,
    problems: &mut Vec<Problem>,
) -> Option<&'v Map<String, Value>> {
    let found = value.as_object();
    if found.is_none() {
        wrong(at, "a map", value, problems);
    }
    found
}

impl Field for String {
    fn read(value: &Value, at: &At<'_>, problems: &mut Vec<Problem>) -> Option<Self> {
        let found = value.as_str().map(str::to_owned);
        if found.is_none() {
            wrong(at, "text", value, problems);
        }
        found
    }
    fn write(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Field for bool {
    fn read(value: &Value, at: &At<'_>, problems: &mut Vec<Problem>) -> Option<Self> {
        let found = value.as_bool();
        if found.is_none() {
            wrong(at, "true or false", value, problems);
        }
        found
    }
    fn write(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Field for i64 {
    fn read(value: &Value, at: &At<'_>, problems: &mut Vec<Problem>) -> Option<Self> {
        // 1e3 and 80.0 are integers to the API server too.
        let whole = |n: &Number| {
            let f = n.as_f64()?;
            #[allow(clippy::cast_possible_truncation)]
            (f.fract() == 0.0 && f.abs() < 9.0e15).then_some(f as i64)
        };
        let found = match value {
            Value::Number(n) => n.as_i64().or_else(|| whole(n)),
            _ => None,
        };
        if found.is_none() {
            wrong(at, "a whole number", value, problems);
        }
        found
    }
    fn write(&self) -> Value {
        Value::from(*self)
    }
}

impl Field for Value {
    fn read(value: &Value, _: &At<'_>, _: &mut Vec<Problem>) -> Option<Self> {
        Some(value.clone())
    }
    fn write(&self) -> Value {
        self.clone()
    }
}

impl<T: Field> Field for Vec<T> {
    fn read(value: &Value, at: &At<'_>, problems: &mut Vec<Problem>) -> Option<Self> {
        let Some(items) = value.as_array() else {
            wrong(at, "a list", value, problems);
            return None;
        };
        let read: Vec<T> = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| T::read(item, &at.index(index), problems))
            .collect();
        Some(read)
    }
    fn write(&self) -> Value {
        Value::Array(self.iter().map(Field::write).collect())
    }
}

impl<T: Field> Field for IndexMap<String, T> {
    fn read(value: &Value, at: &At<'_>, problems: &mut Vec<Problem>) -> Option<Self> {
        let map = object(value, at, problems)?;
        let read = map
            .iter()
            .filter_map(|(key, item)| Some((key.clone(), T::read(item, &at.key(key), problems)?)))
            .collect();
        Some(read)
    }
    fn write(&self) -> Value {
        Value::Object(
            self.iter()
                .map(|(key, item)| (key.clone(), item.write()))
                .collect(),
        )
    }
}

/// A number or a text, as Kubernetes allows for ports and quantities.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IntOrString {
    /// A whole number.
    Int(i64),
    /// A text, such as the name of a port.
    Text(String),
}

impl Field for IntOrString {
    fn read(value: &Value, at: &At<'_>, problems: &mut Vec<Problem>) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Number(_) => i64::read(value, at, problems).map(Self::Int),
            _ => {
                wrong(at, "a number or text", value, problems);
                None
            }
        }
    }
    fn write(&self) -> Value {
        match self {
            Self::Int(n) => Value::from(*n),
            Self::Text(text) => Value::String(text.clone()),
        }
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => n.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<i64> for IntOrString {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<u16> for IntOrString {
    fn from(n: u16) -> Self {
        Self::Int(n.into())
    }
}

impl From<&str> for IntOrString {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

pub(crate) fn take<T: Field>(
    map: &mut Map<String, Value>,
    key: &str,
    at: &At<'_>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    match map.shift_remove(key) {
        None | Some(Value::Null) => None,
        Some(value) => T::read(&value, &at.key(key), problems),
    }
}

pub(crate) fn take_required<T: Field + Default>(
    map: &mut Map<String, Value>,
    key: &str,
    at: &At<'_>,
    problems: &mut Vec<Problem>,
) -> T {
    match map.shift_remove(key) {
        None | Some(Value::Null) => {
            problems.push(Problem::new(
                at.key(key).to_string(),
                "required, but absent",
            ));
            T::default()
        }
        Some(value) => T::read(&value, &at.key(key), problems).unwrap_or_default(),
    }
}

pub(crate) fn finish(extra: Map<String, Value>) -> Extra {
    Extra(extra)
}

pub(crate) fn put_extra(map: &mut Map<String, Value>, extra: &Extra) {
    for (key, value) in extra.iter() {
        map.entry(key).or_insert_with(|| value.clone());
    }
}

/// Makes a struct whose fields are read and written by their JSON names, with setters and room for unknown keys.
///
/// Field kinds: `opt T` is `Option<T>`, `list T` is `Option<Vec<T>>` (absent and empty differ in policies),
/// `map T` is `Option<IndexMap<String, T>>`, `req T` is a `T` that must be present.
macro_rules! model {
    (@type opt $t:ty) => { Option<$t> };
    (@type list $t:ty) => { Option<Vec<$t>> };
    (@type map $t:ty) => { Option<indexmap::IndexMap<String, $t>> };
    (@type req $t:ty) => { $t };
    (@read req $map:ident $key:literal $at:ident $problems:ident) => {
        $crate::model::take_required(&mut $map, $key, $at, $problems)
    };
    (@read $kind:ident $map:ident $key:literal $at:ident $problems:ident) => {
        $crate::model::take(&mut $map, $key, $at, $problems)
    };
    (@write req $map:ident $key:literal $value:expr) => {
        $map.insert($key.to_owned(), $crate::model::Field::write($value));
    };
    (@write $kind:ident $map:ident $key:literal $value:expr) => {
        if let Some(value) = $value {
            $map.insert($key.to_owned(), $crate::model::Field::write(value));
        }
    };
    (@setter opt $name:ident $t:ty, $key:literal) => {
        #[doc = concat!("Sets `", $key, "`.")]
        #[must_use]
        pub fn $name(mut self, value: impl Into<$t>) -> Self {
            self.$name = Some(value.into());
            self
        }
    };
    (@setter req $name:ident $t:ty, $key:literal) => {
        #[doc = concat!("Sets `", $key, "`.")]
        #[must_use]
        pub fn $name(mut self, value: impl Into<$t>) -> Self {
            self.$name = value.into();
            self
        }
    };
    (@setter list $name:ident $t:ty, $key:literal) => {
        #[doc = concat!("Sets `", $key, "`; an empty list is written as such and is not the same as an absent one.")]
        #[must_use]
        pub fn $name<I>(mut self, values: I) -> Self
        where
            I: IntoIterator,
            I::Item: Into<$t>,
        {
            self.$name = Some(values.into_iter().map(Into::into).collect());
            self
        }
    };
    (@setter map $name:ident $t:ty, $key:literal) => {
        #[doc = concat!("Sets `", $key, "`.")]
        #[must_use]
        pub fn $name<K, V>(mut self, entries: impl IntoIterator<Item = (K, V)>) -> Self
        where
            K: Into<String>,
            V: Into<$t>,
        {
            self.$name = Some(entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect());
            self
        }
    };
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$fmeta:meta])* $kind:ident $field:ident : $t:ty = $key:literal, )*
        }
    )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $( $(#[$fmeta])* pub $field: $crate::model::model!(@type $kind $t), )*
            /// Keys without a field here, kept as they were read.
            pub extra: $crate::model::Extra,
        }

        impl $name {
            /// A value with nothing set.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }
            $( $crate::model::model!(@setter $kind $field $t, $key); )*
        }

        impl $crate::model::Field for $name {
            fn read(
                value: &serde_json::Value,
                at: &$crate::model::At<'_>,
                problems: &mut Vec<$crate::error::Problem>,
            ) -> Option<Self> {
                #[allow(unused_mut)]
                let mut map = $crate::model::object(value, at, problems)?.clone();
                $( let $field = $crate::model::model!(@read $kind map $key at problems); )*
                Some(Self { $($field,)* extra: $crate::model::finish(map) })
            }

            fn write(&self) -> serde_json::Value {
                let mut map = serde_json::Map::new();
                $( $crate::model::model!(@write $kind map $key &self.$field); )*
                $crate::model::put_extra(&mut map, &self.extra);
                serde_json::Value::Object(map)
            }
        }
    )+ };
}
pub(crate) use model;

/// Makes an enum of texts that keeps values it does not know.
macro_rules! open_enum {
    ($(
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $text:literal, )+ }
    )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$vmeta])* $variant, )+
            /// A value that this version of the crate does not know, kept as it was read.
            Other(String),
        }

        impl $name {
            /// The text as it stands in a manifest.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $text, )+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $( $text => Self::$variant, )+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::model::Field for $name {
            fn read(
                value: &serde_json::Value,
                at: &$crate::model::At<'_>,
                problems: &mut Vec<$crate::error::Problem>,
            ) -> Option<Self> {
                <String as $crate::model::Field>::read(value, at, problems).map(|text| Self::from(text.as_str()))
            }

            fn write(&self) -> serde_json::Value {
                serde_json::Value::String(self.as_str().to_owned())
            }
        }
    )+ };
}
pub(crate) use open_enum;
