//! The envelope that every Kubernetes object shares, and the ways in and out of text and JSON.

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Problem};
use crate::model::{self, At, Extra, Field, model};
use crate::yaml;

model! {
    /// Name, namespace, labels and annotations of an object. Further keys (`uid`, `ownerReferences`, …) stay in `extra`.
    pub struct Metadata {
        /// Name, unique within kind and namespace.
        opt name: String = "name",
        /// Prefix for a name that the API server completes.
        opt generate_name: String = "generateName",
        /// Namespace; absent for cluster-scoped kinds.
        opt namespace: String = "namespace",
        /// Labels.
        map labels: String = "labels",
        /// Annotations.
        map annotations: String = "annotations",
    }
}

impl Metadata {
    /// Metadata with a name and nothing else.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self::default().name(name)
    }
}

/// The body of a kind: all of an object but `apiVersion`, `kind` and `metadata`.
///
/// The trait is sealed: kinds are those of this crate.
pub trait Kind: Clone + Default + std::fmt::Debug + PartialEq + sealed::Body {
    /// API group, such as `cilium.io`; empty for the core group.
    const GROUP: &'static str;
    /// Version that is written for new objects.
    const VERSION: &'static str;
    /// Versions that are read as well, because their schema is the same.
    const ALSO: &'static [&'static str];
    /// The kind, in upper camel case.
    const KIND: &'static str;
    /// Plural resource name of the REST path.
    const PLURAL: &'static str;
    /// Whether objects live in a namespace.
    const NAMESPACED: bool;

    /// `group/version`, or the bare version for the core group.
    #[must_use]
    fn api_version() -> String {
        if Self::GROUP.is_empty() {
            Self::VERSION.to_owned()
        } else {
            format!("{}/{}", Self::GROUP, Self::VERSION)
        }
    }
}

pub(crate) mod sealed {
    use super::{At, Map, Problem, Value};

    /// How a body takes its keys out of an object and puts them back.
    pub trait Body: Sized {
        #[doc(hidden)]
        fn take(
            map: &mut Map<String, Value>,
            at: &Place<'_, '_>,
            problems: &mut Vec<Problem>,
        ) -> Self;
        #[doc(hidden)]
        fn put(&self, map: &mut Map<String, Value>);
    }

    /// Keeps the reader's position out of the public interface.
    #[allow(missing_debug_implementations)]
    pub struct Place<'a, 'b>(pub(crate) &'a At<'b>);
}

/// A Kubernetes object of a kind that this crate models.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Object<K> {
    /// Version within the group, such as `v2`; kept as read.
    pub version: String,
    /// Name, namespace, labels.
    pub metadata: Metadata,
    /// What the kind is about; for most kinds it holds `spec` alone.
    pub body: K,
    /// Top-level keys without a field here (`status` among them), kept as they were read.
    pub extra: Extra,
}

impl<K: Kind> Object<K> {
    /// An object with a name and a body, in the version that the kind is stored in.
    #[must_use]
    pub fn new(name: impl Into<String>, body: impl Into<K>) -> Self {
        Self {
            version: K::VERSION.to_owned(),
            metadata: Metadata::named(name),
            body: body.into(),
            extra: Extra::default(),
        }
    }

    /// Puts the object into a namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.metadata.namespace = Some(namespace.into());
        self
    }

    /// Adds or replaces a label.
    #[must_use]
    pub fn with_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let labels = self.metadata.labels.get_or_insert_default();
        labels.insert(key.into(), value.into());
        self
    }

    /// Adds or replaces an annotation.
    #[must_use]
    pub fn with_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let annotations = self.metadata.annotations.get_or_insert_default();
        annotations.insert(key.into(), value.into());
        self
    }

    /// The name, or an empty text.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The namespace, or none for a cluster-scoped object.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.metadata.namespace.as_deref()
    }

    /// Reads an object from its JSON form. Unknown keys are kept.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownKind`] when `kind` or `apiVersion` are not those of `K`, [`ErrorKind::Shape`] with every
    /// field that has the wrong type or is missing.
    pub fn from_json(value: &Value) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let object = Self::read_object(value, &mut problems)?;
        match object {
            Some(object) if problems.is_empty() => Ok(object),
            _ => Err(Error::new(ErrorKind::Shape, subject::<K>(value), problems)),
        }
    }

    fn read_object(value: &Value, problems: &mut Vec<Problem>) -> Result<Option<Self>, Error> {
        let Some(map) = model::object(value, &At::ROOT, problems) else {
            return Ok(None);
        };
        let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default();
        let api = map
            .get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let (group, version) = api.rsplit_once('/').unwrap_or(("", api));
        if kind != K::KIND
            || group != K::GROUP
            || !(version == K::VERSION || K::ALSO.contains(&version))
        {
            let problem = Problem::new(
                "",
                format!("{api} {kind} is not {} {}", K::api_version(), K::KIND),
            );
            return Err(Error::one(
                ErrorKind::UnknownKind,
                format!("{api} {kind}"),
                problem,
            ));
        }
        let mut map = map.clone();
        map.shift_remove("kind");
        map.shift_remove("apiVersion");
        let metadata = model::take(&mut map, "metadata", &At::ROOT, problems).unwrap_or_default();
        let body = K::take(&mut map, &sealed::Place(&At::ROOT), problems);
        Ok(Some(Self {
            version: version.to_owned(),
            metadata,
            body,
            extra: model::finish(map),
        }))
    }

    /// The JSON form, complete with `apiVersion` and `kind`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        let api = if K::GROUP.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", K::GROUP, self.version)
        };
        map.insert("apiVersion".to_owned(), Value::String(api));
        map.insert("kind".to_owned(), Value::String(K::KIND.to_owned()));
        map.insert("metadata".to_owned(), self.metadata.write());
        self.body.put(&mut map);
        model::put_extra(&mut map, &self.extra);
        Value::Object(map)
    }

    /// Reads one object from YAML or JSON text.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] for bad YAML or a stream that does not hold exactly one document, else as
    /// [`from_json`](Self::from_json), with line and column.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let mut documents = yaml::read(text)?;
        documents.retain(|document| !document.is_null());
        let [document] = documents.as_slice() else {
            let found = documents.len();
            let problem = Problem::new("", format!("expected one document, found {found}"));
            return Err(Error::one(ErrorKind::Syntax, K::KIND, problem));
        };
        let value = document.value();
        let mut problems = Vec::new();
        match Self::read_object(&value, &mut problems)? {
            Some(object) if problems.is_empty() => Ok(object),
            _ => {
                document.locate(&mut problems);
                Err(Error::new(ErrorKind::Shape, subject::<K>(&value), problems))
            }
        }
    }

    /// The YAML form, one document ending in a line feed.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        yaml::write(&self.to_json())
    }
}

fn subject<K: Kind>(value: &Value) -> String {
    match value.pointer("/metadata/name").and_then(Value::as_str) {
        Some(name) => format!("{} {name:?}", K::KIND),
        None => K::KIND.to_owned(),
    }
}

/// Declares a kind whose body is one `spec`. An absent spec reads as one with nothing set, and is written as it was read.
macro_rules! kind {
    ($(
        $(#[$meta:meta])*
        $alias:ident = $body:ident { spec: $spec:ty, required: $required:literal, group: $group:literal,
            version: $version:literal, also: [$($also:literal),*], plural: $plural:literal, namespaced: $namespaced:literal }
    )+) => { $(
        $(#[$meta])*
        pub type $alias = $crate::object::Object<$body>;

        #[doc = concat!("The body of a [`", stringify!($alias), "`].")]
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $body {
            /// What is wanted.
            pub spec: $spec,
            keep_empty: bool,
        }

        impl From<$spec> for $body {
            fn from(spec: $spec) -> Self {
                Self { spec, keep_empty: true }
            }
        }

        impl $crate::object::sealed::Body for $body {
            fn take(
                map: &mut serde_json::Map<String, serde_json::Value>,
                at: &$crate::object::sealed::Place<'_, '_>,
                problems: &mut Vec<$crate::error::Problem>,
            ) -> Self {
                let keep_empty = map.get("spec").is_some_and(|spec| !spec.is_null());
                let spec = if $required {
                    $crate::model::take_required(map, "spec", at.0, problems)
                } else {
                    $crate::model::take(map, "spec", at.0, problems).unwrap_or_default()
                };
                Self { spec, keep_empty }
            }

            fn put(&self, map: &mut serde_json::Map<String, serde_json::Value>) {
                if self.keep_empty || $required || self.spec != Default::default() {
                    map.insert("spec".to_owned(), $crate::model::Field::write(&self.spec));
                }
            }
        }

        impl $crate::object::Kind for $body {
            const GROUP: &'static str = $group;
            const VERSION: &'static str = $version;
            const ALSO: &'static [&'static str] = &[$($also),*];
            const KIND: &'static str = stringify!($alias);
            const PLURAL: &'static str = $plural;
            const NAMESPACED: bool = $namespaced;
        }
    )+ };
}
pub(crate) use kind;
