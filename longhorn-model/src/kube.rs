//! Feature `kube`: objects that the clients of the kube crates take.
//!
//! kube wants Kubernetes' own metadata inside of each object, so an object is put into a [`KubeObject`], which holds both
//! views. The types of this crate stay as they are. Which Kubernetes version k8s-openapi speaks remains the choice of the
//! program.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::{DynamicResourceScope, Resource};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Problem};
use crate::object::{Kind, Object};

/// An object together with its metadata as kube sees them. What is sent has kube's metadata; the object's own are those
/// that were read.
#[derive(Clone, Debug)]
pub struct KubeObject<K> {
    meta: ObjectMeta,
    object: Object<K>,
}

impl<K: Kind> KubeObject<K> {
    /// The object without kube's view of its metadata.
    #[must_use]
    pub fn into_inner(self) -> Object<K> {
        self.object
    }

    fn json(&self) -> Result<Value, serde_json::Error> {
        let mut value = self.object.to_json();
        value["metadata"] = serde_json::to_value(&self.meta)?;
        Ok(value)
    }
}

impl<K: Kind> TryFrom<Object<K>> for KubeObject<K> {
    type Error = Error;

    /// # Errors
    /// [`ErrorKind::Shape`] when the metadata hold something that Kubernetes' own type does not.
    fn try_from(object: Object<K>) -> Result<Self, Error> {
        let metadata = object.to_json()["metadata"].take();
        match serde_json::from_value(metadata) {
            Ok(meta) => Ok(Self { meta, object }),
            Err(error) => Err(Error::one(
                ErrorKind::Shape,
                K::KIND,
                Problem::new("metadata", error.to_string()),
            )),
        }
    }
}

impl<K> Deref for KubeObject<K> {
    type Target = Object<K>;

    fn deref(&self) -> &Object<K> {
        &self.object
    }
}

impl<K> DerefMut for KubeObject<K> {
    fn deref_mut(&mut self) -> &mut Object<K> {
        &mut self.object
    }
}

impl<K: Kind> Serialize for KubeObject<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json()
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de, K: Kind> Deserialize<'de> for KubeObject<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let object = Object::from_json(&value).map_err(serde::de::Error::custom)?;
        Self::try_from(object).map_err(serde::de::Error::custom)
    }
}

impl<K: Kind> Resource for KubeObject<K> {
    type DynamicType = ();
    type Scope = DynamicResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        K::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        K::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        K::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}
