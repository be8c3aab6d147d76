//! Lenient scalars: the server sends the same field as a number here and as a string there.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// One JSON scalar as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(&'a str),
}

impl Raw<'_> {
    fn to_value(self) -> Value {
        match self {
            Self::Bool(v) => v.into(),
            Self::Signed(v) => v.into(),
            Self::Unsigned(v) => v.into(),
            Self::Float(v) => v.into(),
            Self::Text(v) => v.into(),
        }
    }
}

/// What can be read from a lenient field.
pub(crate) trait Field: Sized {
    /// From a scalar; `None` if it does not fit.
    fn from_raw(raw: Raw<'_>) -> Option<Self>;
    /// From an object or array; gives it back if it does not fit.
    fn from_compound(value: Value) -> Result<Self, Value> {
        Err(value)
    }
    /// For tests and round trips.
    fn to_value(&self) -> Value;
}

impl Field for u64 {
    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Unsigned(v) => Some(v),
            Raw::Signed(v) => v.try_into().ok(),
            Raw::Float(v) if v >= 0.0 && v.fract() == 0.0 && v < 1.8e19 => Some(v as u64),
            Raw::Bool(v) => Some(v.into()),
            Raw::Text(v) => v.trim().parse().ok(),
            Raw::Float(_) => None,
        }
    }
    fn to_value(&self) -> Value {
        (*self).into()
    }
}

impl Field for i64 {
    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Signed(v) => Some(v),
            Raw::Text(v) => v.trim().parse().ok(),
            other => u64::from_raw(other).and_then(|v| v.try_into().ok()),
        }
    }
    fn to_value(&self) -> Value {
        (*self).into()
    }
}

impl Field for u32 {
    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        u64::from_raw(raw).and_then(|v| v.try_into().ok())
    }
    fn to_value(&self) -> Value {
        (*self).into()
    }
}

impl Field for f64 {
    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Float(v) => Some(v),
            Raw::Signed(v) => Some(v as f64),
            Raw::Unsigned(v) => Some(v as f64),
            Raw::Text(v) => v.trim().parse().ok().filter(|v: &f64| v.is_finite()),
            Raw::Bool(_) => None,
        }
    }
    fn to_value(&self) -> Value {
        (*self).into()
    }
}

impl Field for bool {
    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Bool(v) => Some(v),
            Raw::Signed(0) | Raw::Unsigned(0) => Some(false),
            Raw::Signed(1) | Raw::Unsigned(1) => Some(true),
            Raw::Text(v) => parse_bool(v),
            _ => None,
        }
    }
    fn to_value(&self) -> Value {
        u8::from(*self).into()
    }
}

/// A flag as property strings and older answers spell it.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["1", "on", "yes", "true"]) {
        Some(true)
    } else if is(["0", "off", "no", "false"]) {
        Some(false)
    } else {
        None
    }
}

impl Field for String {
    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        Some(match raw {
            Raw::Text(v) => v.to_owned(),
            other => other.to_value().to_string(),
        })
    }
    fn to_value(&self) -> Value {
        self.as_str().into()
    }
}

impl<T: Field> Field for Vec<T> {
    fn from_raw(_: Raw<'_>) -> Option<Self> {
        None
    }
    fn from_compound(value: Value) -> Result<Self, Value> {
        let Value::Array(items) = &value else {
            return Err(value);
        };
        let read: Option<Self> = items.iter().map(from_value).collect();
        read.ok_or(value)
    }
    fn to_value(&self) -> Value {
        self.iter().map(Field::to_value).collect()
    }
}

impl Field for Value {
    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        Some(raw.to_value())
    }
    fn from_compound(value: Value) -> Result<Self, Value> {
        Ok(value)
    }
    fn to_value(&self) -> Value {
        self.clone()
    }
}

/// Reads a field from a value in memory.
pub(crate) fn from_value<T: Field>(value: &Value) -> Option<T> {
    match value {
        Value::Null => None,
        Value::Bool(v) => T::from_raw(Raw::Bool(*v)),
        Value::Number(v) => match (v.as_u64(), v.as_i64(), v.as_f64()) {
            (Some(v), _, _) => T::from_raw(Raw::Unsigned(v)),
            (_, Some(v), _) => T::from_raw(Raw::Signed(v)),
            (_, _, Some(v)) => T::from_raw(Raw::Float(v)),
            _ => None,
        },
        Value::String(v) => T::from_raw(Raw::Text(v)),
        compound => T::from_compound(compound.clone()).ok(),
    }
}

/// What came: a value that fits, null, or something else that is kept as it is.
pub(crate) enum Lenient<T> {
    Fits(T),
    Null,
    Other(Value),
}

impl<'de, T: Field> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData))
    }
}

/// The name of a member, without a copy where the text has none of its characters escaped.
///
/// `Cow` itself always copies: serde borrows for it only in derived fields.
pub(crate) struct Key<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(name)))
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(name.to_owned())))
    }
    fn visit_string<E>(self, name: String) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(name)))
    }
}

struct LenientVisitor<T>(PhantomData<T>);

fn scalar<T: Field>(raw: Raw<'_>) -> Lenient<T> {
    T::from_raw(raw).map_or_else(|| Lenient::Other(raw.to_value()), Lenient::Fits)
}

fn compound<T: Field>(value: Value) -> Lenient<T> {
    T::from_compound(value).map_or_else(Lenient::Other, Lenient::Fits)
}

impl<'de, T: Field> Visitor<'de> for LenientVisitor<T> {
    type Value = Lenient<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
        Ok(scalar(Raw::Bool(v)))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
        Ok(scalar(Raw::Signed(v)))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
        Ok(scalar(Raw::Unsigned(v)))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
        Ok(scalar(Raw::Float(v)))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(scalar(Raw::Text(v)))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Lenient::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(seq)).map(compound)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(map)).map(compound)
    }
}

/// Makes a record of an answer: required fields, optional fields, and everything else kept in `extra`.
///
/// A value that does not fit its field stays in `extra` under its own name, so that one odd field never
/// makes a whole list unreadable; only a missing or unreadable required field is an error.
macro_rules! record {
    ($(#[$meta:meta])* pub struct $Name:ident {
        $( required { $( $(#[$rm:meta])* $rkey:literal $rfield:ident: $rty:ty, )* } )?
        optional { $( $(#[$om:meta])* $okey:literal $ofield:ident: $oty:ty, )* }
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct $Name {
            $( $( $(#[$rm])* pub $rfield: $rty, )* )?
            $( $(#[$om])* pub $ofield: Option<$oty>, )*
            /// Fields that this version does not name, and values that did not fit theirs.
            pub extra: serde_json::Map<String, serde_json::Value>,
        }

        impl $Name {
            /// The record as JSON, with everything that was read.
            pub fn to_json(&self) -> serde_json::Value {
                let mut map = self.extra.clone();
                $( $( map.insert($rkey.to_owned(), $crate::scalar::Field::to_value(&self.$rfield)); )* )?
                $( if let Some(value) = &self.$ofield {
                    map.insert($okey.to_owned(), $crate::scalar::Field::to_value(value));
                } )*
                serde_json::Value::Object(map)
            }
        }

        impl $crate::scalar::Field for $Name {
            fn from_raw(_: $crate::scalar::Raw<'_>) -> Option<Self> { None }
            fn from_compound(value: serde_json::Value) -> Result<Self, serde_json::Value> {
                <Self as serde::Deserialize>::deserialize(&value).map_err(|_| value)
            }
            fn to_value(&self) -> serde_json::Value { self.to_json() }
        }

        impl<'de> serde::Deserialize<'de> for $Name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Record;
                impl<'de> serde::de::Visitor<'de> for Record {
                    type Value = $Name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    #[allow(unused_mut)]
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$Name, A::Error> {
                        use $crate::scalar::Lenient;
                        $( $( let mut $rfield: Option<$rty> = None; )* )?
                        $( let mut $ofield: Option<$oty> = None; )*
                        let mut extra = serde_json::Map::new();
                        while let Some($crate::scalar::Key(key)) = map.next_key()? {
                            match &*key {
                                $( $( $rkey => match map.next_value()? {
                                    Lenient::Fits(value) => $rfield = Some(value),
                                    Lenient::Null => {}
                                    Lenient::Other(_) => return Err(serde::de::Error::custom(
                                        concat!("field `", $rkey, "` has an unexpected form"))),
                                }, )* )?
                                $( $okey => match map.next_value()? {
                                    Lenient::Fits(value) => $ofield = Some(value),
                                    Lenient::Null => {
                                        extra.insert(key.into_owned(), serde_json::Value::Null);
                                    }
                                    Lenient::Other(value) => {
                                        extra.insert(key.into_owned(), value);
                                    }
                                }, )*
                                _ => {
                                    let value = map.next_value()?;
                                    extra.insert(key.into_owned(), value);
                                }
                            }
                        }
                        Ok($Name {
                            $( $( $rfield: $rfield.ok_or_else(|| serde::de::Error::missing_field($rkey))?, )* )?
                            $( $ofield, )*
                            extra,
                        })
                    }
                }
                deserializer.deserialize_map(Record)
            }
        }
    };
}

pub(crate) use record;
