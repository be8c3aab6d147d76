//! Between typed documents and lossless values: the rules that all types share.

use std::collections::BTreeMap;

use crate::error::Problem;
use crate::value::{Map, Value};

/// Reads the fields of a structure and collects what has no typed form. It has no `Debug`: fields may be secret.
#[allow(missing_debug_implementations, reason = "it holds secrets")]
pub struct Reader<'v> {
    map: &'v Map,
    path: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

impl<'v> Reader<'v> {
    /// Of a document's values.
    pub(crate) fn new(map: &'v Map) -> Self {
        Self {
            map,
            path: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The field of the structure that is being read, as zero as its type allows where it is absent.
    pub(crate) fn field<T: Field>(&mut self, key: &str) -> T {
        self.path.push(key.to_owned());
        let value = self.map.get(key).filter(|value| **value != Value::Null);
        let field = T::read(value, self);
        self.path.pop();
        field
    }

    fn element<T: Item>(&mut self, key: String, value: &'v Value) -> Option<T> {
        self.path.push(key);
        let item = T::read(value, self);
        self.path.pop();
        item
    }

    /// Notes a value that the type cannot hold. The value itself is not shown: it may be a secret.
    pub(crate) fn refuse<T>(&mut self, message: impl Into<String>) -> Option<T> {
        let path = self.path.join(".").replace(".[", "[");
        self.problems.push(Problem::new(path, message));
        None
    }
}

/// Collects the fields of a structure that are there; it has no `Debug`, for they may be secret.
#[derive(Default)]
#[allow(missing_debug_implementations, reason = "it holds secrets")]
pub struct Writer(pub(crate) Map);

impl Writer {
    pub(crate) fn field<T: Field>(&mut self, key: &'static str, field: &T) {
        if let Some(value) = field.write() {
            self.0.set(key, value);
        }
    }
}

/// A type with fields.
pub trait Structure: Default + PartialEq {
    /// From the values of the document or section that the reader stands at.
    fn read(reader: &mut Reader<'_>) -> Self;
    /// Into the values of a document or section.
    fn write(&self, writer: &mut Writer);
}

/// The values of a structure.
pub(crate) fn values<T: Structure>(structure: &T) -> Map {
    let mut writer = Writer::default();
    structure.write(&mut writer);
    writer.0
}

/// A field of a structure: it may be absent.
pub(crate) trait Field: Sized {
    fn read<'v>(value: Option<&'v Value>, reader: &mut Reader<'v>) -> Self;
    fn write(&self) -> Option<Value>;
}

/// An element of a list or map, or a field that is there.
pub(crate) trait Item: Sized {
    /// `None` after a refusal.
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self>;
    fn write(&self) -> Value;
}

impl<T: Item> Field for Option<T> {
    fn read<'v>(value: Option<&'v Value>, reader: &mut Reader<'v>) -> Self {
        value.and_then(|value| T::read(value, reader))
    }

    fn write(&self) -> Option<Value> {
        self.as_ref().map(Item::write)
    }
}

impl<T: Structure> Field for T {
    fn read<'v>(value: Option<&'v Value>, reader: &mut Reader<'v>) -> Self {
        let item = value.and_then(|value| Item::read(value, reader));
        item.unwrap_or_default()
    }

    fn write(&self) -> Option<Value> {
        let map = values(self);
        (!map.is_empty()).then_some(Value::Map(map))
    }
}

impl<T: Structure> Item for T {
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
        match value {
            Value::Map(map) => {
                let outer = std::mem::replace(&mut reader.map, map);
                let section = <T as Structure>::read(reader);
                reader.map = outer;
                Some(section)
            }
            _ => reader.refuse("a section is needed here"),
        }
    }

    fn write(&self) -> Value {
        Value::Map(values(self))
    }
}

impl<T: Item> Field for Vec<T> {
    fn read<'v>(value: Option<&'v Value>, reader: &mut Reader<'v>) -> Self {
        let list = value.and_then(|value| Item::read(value, reader));
        list.unwrap_or_default()
    }

    fn write(&self) -> Option<Value> {
        (!self.is_empty()).then(|| Item::write(self))
    }
}

impl<T: Item> Item for Vec<T> {
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
        let Value::List(items) = value else {
            return reader.refuse("a list is needed here");
        };
        let items = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| reader.element(format!("[{index}]"), item));
        Some(items.collect())
    }

    fn write(&self) -> Value {
        Value::List(self.iter().map(Item::write).collect())
    }
}

impl<T: Item> Field for BTreeMap<String, T> {
    fn read<'v>(value: Option<&'v Value>, reader: &mut Reader<'v>) -> Self {
        let mut out = Self::new();
        match value {
            None => {}
            Some(Value::Map(map)) => {
                for (key, value) in &map.0 {
                    if let Some(item) = reader.element(key.to_string(), value) {
                        out.insert(key.to_string(), item);
                    }
                }
            }
            Some(_) => {
                reader.refuse::<()>("a mapping is needed here");
            }
        }
        out
    }

    fn write(&self) -> Option<Value> {
        let pairs = self.iter().map(|(key, item)| (key.clone(), item.write()));
        (!self.is_empty()).then(|| Value::map(pairs))
    }
}

/// A field that is absent when it is zero.
macro_rules! zeroable {
    ($($name:ty),* $(,)?) => {$(
        impl $crate::documents::codec::Field for $name {
            fn read<'v>(
                value: Option<&'v $crate::value::Value>,
                reader: &mut $crate::documents::codec::Reader<'v>,
            ) -> Self {
                let item = value
                    .and_then(|value| $crate::documents::codec::Item::read(value, reader));
                item.unwrap_or_default()
            }

            fn write(&self) -> Option<$crate::value::Value> {
                (*self != Self::default()).then(|| $crate::documents::codec::Item::write(self))
            }
        }
    )*};
}
pub(crate) use zeroable;

/// A type that stands as text in the configuration and reads its own `Display`.
macro_rules! textual {
    ($($name:ty),* $(,)?) => {$(
        impl $crate::documents::codec::Item for $name {
            fn read<'v>(
                value: &'v $crate::value::Value,
                reader: &mut $crate::documents::codec::Reader<'v>,
            ) -> Option<Self> {
                let Some(text) = value.as_text() else {
                    return reader.refuse("text is needed here");
                };
                match text.parse() {
                    Ok(item) => Some(item),
                    Err(_) => reader.refuse(concat!("not readable as ", stringify!($name))),
                }
            }

            fn write(&self) -> $crate::value::Value {
                $crate::value::Value::text(self.to_string())
            }
        }
    )*};
}
pub(crate) use textual;

/// Text with known values; others are kept.
macro_rules! choice {
    (
        $(#[$about:meta])*
        $name:ident {
            $(#[$zero_about:meta])* $zero:ident = $zero_text:literal,
            $($(#[$variant_about:meta])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[$zero_about])*
            #[default]
            $zero,
            $($(#[$variant_about])* $variant,)*
            /// A text that this version of the crate does not know.
            Other(String),
        }

        impl $name {
            /// The text in the configuration.
            pub fn as_str(&self) -> &str {
                match self {
                    Self::$zero => $zero_text,
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $zero_text => Self::$zero,
                    $($text => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::documents::codec::Item for $name {
            fn read<'v>(
                value: &'v $crate::value::Value,
                reader: &mut $crate::documents::codec::Reader<'v>,
            ) -> Option<Self> {
                match value.as_text() {
                    Some(text) => Some(Self::from(text)),
                    None => reader.refuse("text is needed here"),
                }
            }

            fn write(&self) -> $crate::value::Value {
                $crate::value::Value::text(self.as_str())
            }
        }

        $crate::documents::codec::zeroable!($name);
    };
}
pub(crate) use choice;

/// All kinds of documents as one type.
macro_rules! kinds {
    ($($variant:ident = $room:ident::$name:ident,)*) => {
        /// A document of any kind.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Document {
            $(
                #[doc = concat!("[`", stringify!($name), "`](", stringify!($room), "::", stringify!($name), ")")]
                $variant(Box<$room::$name>),
            )*
        }

        $(
            impl From<$room::$name> for Document {
                fn from(document: $room::$name) -> Self {
                    Self::$variant(Box::new(document))
                }
            }
        )*

        impl Document {
            /// What stands under `kind`; empty for the main document.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$room::$name as $crate::documents::TypedDocument>::KIND,)*
                }
            }

            /// What tells documents of one kind apart; `None` where only one can exist.
            pub fn name(&self) -> Option<&str> {
                match self {
                    $(Self::$variant(document) => $crate::documents::TypedDocument::name(&**document),)*
                }
            }

            /// The first Talos version that reads documents of this kind.
            pub fn since(&self) -> $crate::VersionContract {
                match self {
                    $(Self::$variant(_) => <$room::$name as $crate::documents::TypedDocument>::since(),)*
                }
            }

            pub(crate) fn values(&self) -> $crate::value::Map {
                match self {
                    $(Self::$variant(document) => $crate::documents::codec::values(&**document),)*
                }
            }

            /// `None` for a kind without a type.
            pub(crate) fn read(
                kind: &str,
                reader: &mut $crate::documents::codec::Reader<'_>,
            ) -> Option<Self> {
                $(
                    if kind == <$room::$name as $crate::documents::TypedDocument>::KIND {
                        let read = <$room::$name as $crate::documents::codec::Structure>::read;
                        return Some(read(reader).into());
                    }
                )*
                None
            }
        }
    };
}
pub(crate) use kinds;

impl Item for String {
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
        match value.as_text() {
            Some(text) => Some(text.to_owned()),
            None => reader.refuse("text is needed here"),
        }
    }

    fn write(&self) -> Value {
        Value::text(self.as_str())
    }
}

impl Item for bool {
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
        match value.as_bool() {
            Some(value) => Some(value),
            None => reader.refuse("a boolean is needed here"),
        }
    }

    fn write(&self) -> Value {
        Value::Bool(*self)
    }
}

/// Whole numbers, as far as the loader keeps them.
macro_rules! numbers {
    ($($name:ty),*) => {$(
        impl Item for $name {
            fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
                let number = match value {
                    Value::Int(number) => Self::try_from(*number).ok(),
                    Value::Uint(number) => Self::try_from(*number).ok(),
                    _ => None,
                };
                match number {
                    Some(number) => Some(number),
                    None => reader.refuse(concat!("a number (", stringify!($name), ") is needed here")),
                }
            }

            fn write(&self) -> Value {
                number(i128::from(*self))
            }
        }
    )*};
}

/// As the loader keeps a number.
pub(crate) fn number(number: i128) -> Value {
    match i64::try_from(number) {
        Ok(number) => Value::Int(number),
        Err(_) => Value::Uint(u64::try_from(number).unwrap_or_default()),
    }
}

numbers!(i64, i32, u64, u32, u16, u8);
zeroable!(String, bool, i64, i32, u64, u32, u16, u8);
textual!(std::net::SocketAddr);
