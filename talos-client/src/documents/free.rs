//! Free-form content: Kubernetes configurations inside documents, and values of arguments.

use std::fmt;

use zeroize::Zeroizing;

use super::codec::{Field, Item, Reader};
use crate::config::encode;
use crate::error::{Error, ErrorKind, Problem};
use crate::value::{Map, Value};
use crate::yaml::{NodeKind, parse, print};

/// Content without a schema: what Kubernetes' own configuration files hold.
///
/// `Debug` prints it as YAML with every text below a key `secret` replaced.
///
/// ```
/// use talos_client::documents::FreeForm;
///
/// let config = FreeForm::from_yaml("maxPods: 250\nshutdownGracePeriod: 30s\n")?.with("serializeImagePulls", false);
/// assert_eq!(config.get("maxPods").and_then(|value| value.as_i64()), Some(250));
/// # Ok::<(), talos_client::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct FreeForm(Value);

impl Default for FreeForm {
    fn default() -> Self {
        Self(Value::Map(Map::default()))
    }
}

impl FreeForm {
    /// An empty mapping.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one YAML document, a mapping; plain scalars take the type that they resolve to.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] with line and column for broken YAML and keys that exist twice, for several documents
    /// and for what is no mapping.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let refused = |problems| {
            Error::new(ErrorKind::InvalidArgument, "not a YAML mapping").with_problems(problems)
        };
        let nodes = parse::documents(text).map_err(|syntax| {
            let problem = Problem::at(syntax.line, syntax.column, "", syntax.message);
            refused(vec![problem])
        })?;
        let mut problems = Vec::new();
        for node in &nodes {
            crate::config::decode::check_keys(node, &mut problems);
        }
        match nodes.as_slice() {
            _ if !problems.is_empty() => Err(refused(problems)),
            [] => Ok(Self::default()),
            [node] if node.is_null() => Ok(Self::default()),
            [node] if matches!(node.kind, NodeKind::Mapping(_)) => Ok(Self(Value::free(node))),
            _ => Err(refused(Vec::new())),
        }
    }

    /// The content as YAML, with all secrets in it.
    pub fn to_yaml(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        print::document(&mut text, &encode::free(&self.0));
        text
    }

    /// With a key set; what is no mapping becomes one.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<FreeForm>) -> Self {
        if !matches!(self.0, Value::Map(_)) {
            self = Self::default();
        }
        if let Value::Map(map) = &mut self.0 {
            map.set(key.into(), value.into().0);
        }
        self
    }

    /// The value under a key of a mapping.
    pub fn get(&self, key: &str) -> Option<FreeForm> {
        self.0.as_map()?.get(key).cloned().map(Self)
    }

    /// The keys of a mapping, in order of insertion.
    pub fn keys(&self) -> Vec<&str> {
        let pairs = self.0.as_map().map(|map| map.0.as_slice());
        pairs
            .unwrap_or_default()
            .iter()
            .map(|(key, _)| &**key)
            .collect()
    }

    /// The elements of a list.
    pub fn items(&self) -> impl Iterator<Item = FreeForm> {
        self.0.as_list().iter().cloned().map(Self)
    }

    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_text()
    }

    /// The truth value, when it is one.
    pub fn as_bool(&self) -> Option<bool> {
        self.0.as_bool()
    }

    /// The number, when it is a whole one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.as_int()
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Value::Null => true,
            Value::Map(map) => map.is_empty(),
            _ => false,
        }
    }
}

impl fmt::Debug for FreeForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        print::document(
            &mut text,
            &encode::inner_secrets(&self.0, Some("[redacted]")),
        );
        f.write_str(text.trim_end())
    }
}

impl From<&str> for FreeForm {
    fn from(text: &str) -> Self {
        Self(Value::text(text))
    }
}

impl From<String> for FreeForm {
    fn from(text: String) -> Self {
        Self(Value::text(text))
    }
}

impl From<bool> for FreeForm {
    fn from(value: bool) -> Self {
        Self(Value::Bool(value))
    }
}

impl From<i64> for FreeForm {
    fn from(number: i64) -> Self {
        Self(Value::Int(number))
    }
}

impl<T: Into<FreeForm>> From<Vec<T>> for FreeForm {
    fn from(items: Vec<T>) -> Self {
        Self(Value::List(
            items.into_iter().map(|item| item.into().0).collect(),
        ))
    }
}

impl Item for FreeForm {
    fn read<'v>(value: &'v Value, _: &mut Reader<'v>) -> Option<Self> {
        Some(Self(value.clone()))
    }

    fn write(&self) -> Value {
        self.0.clone()
    }
}

impl Field for FreeForm {
    fn read<'v>(value: Option<&'v Value>, _: &mut Reader<'v>) -> Self {
        value.map_or_else(Self::default, |value| Self(value.clone()))
    }

    fn write(&self) -> Option<Value> {
        (!self.is_empty()).then(|| self.0.clone())
    }
}

/// The value of an argument that can be given several times.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtraArg {
    /// Once; an empty text is an argument without a value.
    One(String),
    /// Once for each.
    Many(Vec<String>),
}

impl From<&str> for ExtraArg {
    fn from(text: &str) -> Self {
        Self::One(text.to_owned())
    }
}

impl From<String> for ExtraArg {
    fn from(text: String) -> Self {
        Self::One(text)
    }
}

impl<T: Into<String>> From<Vec<T>> for ExtraArg {
    fn from(texts: Vec<T>) -> Self {
        Self::Many(texts.into_iter().map(Into::into).collect())
    }
}

impl Item for ExtraArg {
    fn read<'v>(value: &'v Value, reader: &mut Reader<'v>) -> Option<Self> {
        match value {
            Value::List(_) => Item::read(value, reader).map(Self::Many),
            other => Item::read(other, reader).map(Self::One),
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::One(text) => Item::write(text),
            Self::Many(texts) => Item::write(texts),
        }
    }
}
