//! Values of documents: free-form where the schema says so, otherwise normalized by it. All text is wiped on drop.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::yaml::scalar::{self, Resolved};
use crate::yaml::{Node, NodeKind};

/// One value of a document.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(Zeroizing<String>),
    /// A date or a time in the form in which it is printed.
    Time(String),
    List(Vec<Value>),
    Map(Map),
}

/// Keys in insertion order; structures print in schema order, free-form maps sorted.
#[derive(Clone, Default)]
pub(crate) struct Map(pub(crate) Vec<(Cow<'static, str>, Value)>);

/// The order of keys does not matter.
impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self
                .0
                .iter()
                .all(|(key, value)| other.get(key) == Some(value))
    }
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    pub(crate) fn set(&mut self, key: impl Into<Cow<'static, str>>, value: Value) {
        let key = key.into();
        match self.get_mut(&key) {
            Some(old) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// More than enough bytes for the printed form of usual content: a text that grows while it is written leaves copies of
    /// its beginning, secrets among them, in memory that nothing wipes.
    pub(crate) fn printed_size(&self) -> usize {
        fn size(value: &Value) -> usize {
            const AROUND: usize = 64;
            AROUND
                + match value {
                    // Lines of a block are indented.
                    Value::Text(text) => text.len() * 2 + text.matches('\n').count() * 16,
                    Value::List(items) => items.iter().map(size).sum(),
                    Value::Map(map) => map.printed_size(),
                    _ => 0,
                }
        }
        let pairs = self.0.iter();
        let pairs = pairs.map(|(key, value)| key.len() * 2 + size(value));
        1024 + pairs.sum::<usize>()
    }
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    pub(crate) fn texts<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(items.into_iter().map(Self::text).collect())
    }

    pub(crate) fn map<K: Into<Cow<'static, str>>>(
        pairs: impl IntoIterator<Item = (K, Value)>,
    ) -> Self {
        Self::Map(Map(pairs.into_iter().map(|(k, v)| (k.into(), v)).collect()))
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> &[Value] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Uint(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The value below a dotted path of field names.
    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        path.split('.')
            .try_fold(self, |value, key| value.as_map()?.get(key))
    }

    /// Sets the value below a dotted path; maps on the way are made.
    pub(crate) fn put(&mut self, path: &str, new: Value) {
        let mut value = self;
        for key in path.split('.') {
            if !matches!(value, Self::Map(_)) {
                *value = Self::Map(Map::default());
            }
            let Self::Map(map) = value else { return };
            if map.get(key).is_none() {
                map.set(key.to_owned(), Self::Null);
            }
            let Some(next) = map.get_mut(key) else { return };
            value = next;
        }
        *value = new;
    }

    /// A free-form value from YAML: plain scalars take the type that they resolve to.
    pub(crate) fn free(node: &Node) -> Self {
        match &node.kind {
            NodeKind::Sequence(items) => Self::List(items.iter().map(Self::free).collect()),
            NodeKind::Mapping(_) => {
                let mut map = Map::default();
                for (key, value) in node.pairs() {
                    map.set(
                        key.as_text().unwrap_or_default().to_owned(),
                        Self::free(value),
                    );
                }
                Self::Map(map)
            }
            NodeKind::Scalar { text, plain, tag } => {
                match scalar::resolve_tagged(text, *plain, tag.as_deref()) {
                    Resolved::Null => Self::Null,
                    Resolved::Bool(value) => Self::Bool(value),
                    Resolved::Int(value) => Self::Int(value),
                    Resolved::Uint(value) => Self::Uint(value),
                    Resolved::Float(value) => Self::Float(value),
                    Resolved::Timestamp(time) => Self::Time(time),
                    Resolved::Merge | Resolved::Text => Self::text(text.as_str()),
                }
            }
        }
    }

    /// Nothing that a structure field would print: absent, zero, empty.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(value) => !value,
            Self::Int(value) => *value == 0,
            Self::Uint(value) => *value == 0,
            Self::Float(value) => *value == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::Time(_) => false,
            Self::List(items) => items.is_empty(),
            Self::Map(map) => map.is_empty(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Self::Int(i64::from(value))
    }
}
