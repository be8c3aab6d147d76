//! Any object of a kind that this crate models, read by its `apiVersion` and `kind`.

use serde_json::Value;

use crate::error::{Error, ErrorKind, Problem};
use crate::object::{Kind, Metadata, Object};
use crate::{resources, storage_class, yaml};

/// Description of a kind: everything that a registry or an API path needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindInfo {
    /// API group.
    pub group: &'static str,
    /// Version that is written.
    pub version: &'static str,
    /// Further versions that are read.
    pub also: &'static [&'static str],
    /// Kind.
    pub kind: &'static str,
    /// Plural name of the REST path.
    pub plural: &'static str,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
}

impl KindInfo {
    const fn of<K: Kind>() -> Self {
        Self {
            group: K::GROUP,
            version: K::VERSION,
            also: K::ALSO,
            kind: K::KIND,
            plural: K::PLURAL,
            namespaced: K::NAMESPACED,
        }
    }

    fn reads(&self, api_version: &str, kind: &str) -> bool {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        self.kind == kind
            && self.group == group
            && (self.version == version || self.also.contains(&version))
    }
}

macro_rules! manifests {
    ($($(#[$meta:meta])* $variant:ident: $body:ty,)+) => {
        /// An object of any modelled kind.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Manifest {
            $( $(#[$meta])* $variant(Box<Object<$body>>), )+
        }

        /// Every kind that this crate models.
        pub const KINDS: &[KindInfo] = &[$( KindInfo::of::<$body>(), )+];

        impl Manifest {
            /// Reads an object of any modelled kind from its JSON form.
            ///
            /// # Errors
            /// [`ErrorKind::UnknownKind`] for a kind or version that is not modelled, else as
            /// [`Object::from_json`].
            pub fn from_json(value: &Value) -> Result<Self, Error> {
                let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
                let (api, kind) = (text("apiVersion"), text("kind"));
                $(
                    if KindInfo::of::<$body>().reads(api, kind) {
                        return Object::<$body>::from_json(value).map(Box::new).map(Self::$variant);
                    }
                )+
                let problem = Problem::new("", "this crate has no such kind in this version");
                Err(Error::one(ErrorKind::UnknownKind, format!("{api} {kind}"), problem))
            }

            /// The JSON form.
            #[must_use]
            pub fn to_json(&self) -> Value {
                match self { $( Self::$variant(object) => object.to_json(), )+ }
            }

            /// Name, namespace, labels.
            #[must_use]
            pub fn metadata(&self) -> &Metadata {
                match self { $( Self::$variant(object) => &object.metadata, )+ }
            }

            /// What the kind is.
            #[must_use]
            pub fn kind(&self) -> KindInfo {
                match self { $( Self::$variant(_) => KindInfo::of::<$body>(), )+ }
            }
        }

        $(
            impl From<Object<$body>> for Manifest {
                fn from(object: Object<$body>) -> Self {
                    Self::$variant(Box::new(object))
                }
            }
        )+
    };
}

manifests! {
    /// A class of storage.
    StorageClass: storage_class::StorageClassBody,
    /// Work that repeats.
    RecurringJob: resources::RecurringJobBody,
    /// A node as Longhorn sees it.
    Node: resources::NodeBody,
    /// A volume.
    Volume: resources::VolumeBody,
    /// A setting of the manager.
    Setting: resources::SettingBody,
    /// A place for backups.
    BackupTarget: resources::BackupTargetBody,
    /// An image that volumes begin with.
    BackingImage: resources::BackingImageBody,
    /// A backup of such an image.
    BackupBackingImage: resources::BackupBackingImageBody,
    /// A snapshot of a volume.
    Snapshot: resources::SnapshotBody,
    /// A backup of a snapshot.
    Backup: resources::BackupBody,
    /// A backup of Longhorn's own objects.
    SystemBackup: resources::SystemBackupBody,
    /// A restore of Longhorn's own objects.
    SystemRestore: resources::SystemRestoreBody,
}

impl Manifest {
    /// Reads every object of a YAML stream; empty documents are passed over.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), at the first document that cannot be read, with line and column.
    pub fn read_all(text: &str) -> Result<Vec<Self>, Error> {
        let documents = yaml::read(text)?;
        let full = documents.iter().filter(|document| !document.is_null());
        full.map(|document| {
            Self::from_json(&document.value()).map_err(|error| error.locate(document))
        })
        .collect()
    }

    /// Writes objects as a YAML stream.
    #[must_use]
    pub fn write_all<'a>(objects: impl IntoIterator<Item = &'a Self>) -> String {
        let texts: Vec<String> = objects
            .into_iter()
            .map(|object| yaml::write(&object.to_json()))
            .collect();
        texts.join("---\n")
    }
}

/// The documents of a YAML stream as plain JSON values, read as kubectl reads them; empty ones are passed over.
///
/// # Errors
/// [`ErrorKind::Syntax`] for bad YAML, with line and column.
pub fn untyped(text: &str) -> Result<Vec<Value>, Error> {
    let documents = yaml::read(text)?;
    Ok(documents
        .iter()
        .filter(|document| !document.is_null())
        .map(yaml::Document::value)
        .collect())
}

/// Keys that stand twice in one map, with line and column. Reading takes the last of them, as the API server does.
///
/// # Errors
/// [`ErrorKind::Syntax`] for bad YAML, with line and column.
pub fn duplicate_keys(text: &str) -> Result<Vec<Problem>, Error> {
    let documents = yaml::read(text)?;
    Ok(documents
        .iter()
        .flat_map(yaml::Document::duplicates)
        .cloned()
        .collect())
}
