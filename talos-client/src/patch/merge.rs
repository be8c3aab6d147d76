//! Strategic merge: the right side onto the left, by the schema's rules.

use super::Compatibility;
use crate::error::{Error, ErrorKind, Problem};
use crate::schema::{Field, Scalar, Schema, Struct, Type};
use crate::uri;
use crate::value::{Map, Value};

pub(super) struct Merge {
    compatibility: Compatibility,
    title: String,
    path: Vec<String>,
}

impl Merge {
    pub(super) fn new(compatibility: Compatibility, title: String) -> Self {
        Self {
            compatibility,
            title,
            path: Vec::new(),
        }
    }

    pub(super) fn structure(
        &mut self,
        shape: &Struct,
        left: &mut Map,
        right: &Map,
    ) -> Result<(), Error> {
        for field in &shape.fields {
            self.path.push(field.name.to_owned());
            match right.get(field.name) {
                Some(new) => match left.get_mut(field.name) {
                    Some(old) => self.value(&field.ty, Some(field), old, new)?,
                    None => match (&field.ty, field.key, new) {
                        // Elements of the patch with the same key merge with each other too.
                        (Type::List(inner), Some(key), Value::List(items)) if !field.whole => {
                            let mut list = Vec::new();
                            self.keyed(inner, key, &mut list, items)?;
                            left.set(field.name, Value::List(list));
                        }
                        _ => left.set(field.name, new.clone()),
                    },
                },
                None if self.compatibility == Compatibility::Reference => erase(field, left),
                None => {}
            }
            self.path.pop();
        }
        Ok(())
    }

    fn value(
        &mut self,
        ty: &Type,
        field: Option<&Field>,
        left: &mut Value,
        right: &Value,
    ) -> Result<(), Error> {
        let replace = field.is_some_and(|field| field.replace);
        match (ty, &mut *left, right) {
            (_, _, Value::Null) if !matches!(ty, Type::Any) => {}
            (_, left, right) if replace => *left = right.clone(),
            (Type::Struct { id, .. }, Value::Map(old), Value::Map(new)) => {
                self.structure(Schema::get().structure(*id), old, new)?;
            }
            (Type::Map(inner), Value::Map(old), Value::Map(new)) => {
                for (key, new) in &new.0 {
                    self.path.push(key.to_string());
                    match old.get_mut(key) {
                        Some(_)
                            if new.is_zero()
                                && matches!(
                                    **inner,
                                    Type::Scalar {
                                        kind: Scalar::String,
                                        ..
                                    }
                                ) => {}
                        Some(old) => self.value(inner, None, old, new)?,
                        None => old.set(key.clone(), new.clone()),
                    }
                    self.path.pop();
                }
            }
            (
                Type::Scalar {
                    kind: Scalar::Url, ..
                },
                Value::Text(old),
                Value::Text(new),
            ) => {
                *left = if self.compatibility == Compatibility::Reference {
                    Value::text(self.merged_url(old, new)?)
                } else {
                    right.clone()
                };
            }
            // The reference keeps both, and prints the bytes.
            (
                Type::Scalar {
                    kind: Scalar::Size, ..
                },
                Value::Text(old),
                Value::Text(new),
            ) if self.compatibility == Compatibility::Reference
                && new.contains('%')
                && !old.contains('%') => {}
            (Type::List(inner), Value::List(old), Value::List(new)) => {
                match field.and_then(|field| Some((field, field.key?))) {
                    Some((field, key)) if field.whole => replace_by(key, old, new),
                    Some((_, key)) => self.keyed(inner, key, old, new)?,
                    None => old.extend(new.iter().cloned()),
                }
            }
            (Type::Any, left, right) => self.free(left, right)?,
            (_, left, right) => *left = right.clone(),
        }
        Ok(())
    }

    /// Elements with the same key merge, others are appended.
    fn keyed(
        &mut self,
        inner: &Type,
        key: &str,
        old: &mut Vec<Value>,
        new: &[Value],
    ) -> Result<(), Error> {
        for item in new {
            let same = |other: &Value| match item.at(key) {
                // An interface without a name is known by its selector, whatever the other one is called.
                None if key == "interface" => {
                    item.at("deviceSelector").is_some()
                        && item.at("deviceSelector") == other.at("deviceSelector")
                }
                name => name == other.at(key),
            };
            match old.iter_mut().find(|other| same(other)) {
                Some(other) => self.value(inner, None, other, item)?,
                None => old.push(item.clone()),
            }
        }
        Ok(())
    }

    fn free(&mut self, left: &mut Value, right: &Value) -> Result<(), Error> {
        match (&mut *left, right) {
            (Value::Null, Value::Null) => {}
            (_, Value::Null) if self.compatibility == Compatibility::Fixed => {}
            (_, Value::Null) => return Err(self.clash()),
            (Value::Map(old), Value::Map(new)) => {
                for (key, new) in &new.0 {
                    self.path.push(key.to_string());
                    match old.get_mut(key) {
                        Some(old) => self.free(old, new)?,
                        None => old.set(key.clone(), new.clone()),
                    }
                    self.path.pop();
                }
            }
            (Value::List(old), Value::List(new)) => old.extend(new.iter().cloned()),
            (Value::Null, _) => *left = right.clone(),
            (old, new) if std::mem::discriminant(old) != std::mem::discriminant(new) => {
                return Err(self.clash());
            }
            // Zero and empty text change nothing here; `false` does.
            (_, new)
                if self.compatibility == Compatibility::Reference
                    && new.is_zero()
                    && !matches!(new, Value::Bool(_)) => {}
            (left, right) => *left = right.clone(),
        }
        Ok(())
    }

    /// The reference merges an URL part by part: what the patch's URL lacks stays.
    fn merged_url(&self, old: &str, new: &str) -> Result<String, Error> {
        let (Ok(old), Ok(new)) = (uri::parse(old), uri::parse(new)) else {
            return Ok(new.to_owned());
        };
        match old.merged(new) {
            Some(merged) => Ok(merged.to_string()),
            None => Err(self.problem("the reference cannot merge two URLs that both name a user")),
        }
    }

    fn clash(&self) -> Error {
        self.problem("a mapping, a list and a single value cannot take each other's place")
            .with_hint("delete the old value with `$patch: delete` first")
    }

    fn problem(&self, message: &str) -> Error {
        let path = format!("{} {}", self.title, self.path.join("."));
        Error::new(ErrorKind::InvalidPatch, "the patch does not apply")
            .with_problems(vec![Problem::new(path, message)])
    }
}

/// Elements that take the place of one with the same key; others are appended, also when they have the same key as each
/// other.
fn replace_by(key: &str, old: &mut Vec<Value>, new: &[Value]) {
    let known = old.len();
    for item in new {
        let twin = old[..known]
            .iter()
            .rposition(|other| other.at(key) == item.at(key));
        match twin {
            Some(at) => old[at] = item.clone(),
            None => old.push(item.clone()),
        }
    }
}

/// The reference copies sizes and selector expressions whole: one that the patch does not name becomes empty, as deep as
/// structures are embedded by value.
fn erase(field: &Field, left: &mut Map) {
    match &field.ty {
        Type::Scalar {
            kind: Scalar::Size | Scalar::Cel | Scalar::Base64,
            pointer: false,
        } => {
            left.remove(field.name);
        }
        Type::Struct { id, pointer: false } => {
            if let Some(Value::Map(inner)) = left.get_mut(field.name) {
                for field in &Schema::get().structure(*id).fields {
                    erase(field, inner);
                }
                if inner.is_empty() && !field.always {
                    left.remove(field.name);
                }
            }
        }
        _ => {}
    }
}
