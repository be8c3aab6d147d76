//! Strategic merge: the right side onto the left, by the schema's rules.

use super::Compatibility;
use crate::error::{Error, ErrorKind, Problem};
use crate::schema::{Field, Scalar, Schema, Struct, Type};
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
                        (Type::List(inner), Some(key), Value::List(items)) => {
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
                if self.compatibility == Compatibility::Reference {
                    *left = Value::text(merged_url(old, new));
                } else {
                    *left = right.clone();
                }
            }
            (Type::List(inner), Value::List(old), Value::List(new)) => {
                match field.and_then(|field| field.key) {
                    Some(key) => self.keyed(inner, key, old, new)?,
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
            let same = |other: &Value| match (item.at(key), other.at(key)) {
                (Some(a), Some(b)) => a == b,
                (None, None) if key == "interface" => {
                    item.at("deviceSelector").is_some()
                        && item.at("deviceSelector") == other.at("deviceSelector")
                }
                _ => false,
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
            (Value::Map(_) | Value::List(_), _) => return Err(self.clash()),
            (old, Value::Map(_) | Value::List(_)) if !matches!(old, Value::Null) => {
                return Err(self.clash());
            }
            (left, right)
                if std::mem::discriminant(left) != std::mem::discriminant(right)
                    && *left != Value::Null =>
            {
                return Err(self.clash());
            }
            (left, right) => *left = right.clone(),
        }
        Ok(())
    }

    fn clash(&self) -> Error {
        let path = format!("{} {}", self.title, self.path.join("."));
        let message = "a mapping, a list and a single value cannot take each other's place";
        Error::new(ErrorKind::InvalidPatch, "the patch does not apply")
            .with_problems(vec![Problem::new(path, message)])
            .with_hint("delete the old value with `$patch: delete` first")
    }
}

/// The reference merges an URL part by part: what the patch's URL lacks stays.
fn merged_url(old: &str, new: &str) -> String {
    let (old, new) = (Parts::of(old), Parts::of(new));
    let pick = |old: &'_ str, new: &'_ str| {
        if new.is_empty() {
            old.to_owned()
        } else {
            new.to_owned()
        }
    };
    let scheme = pick(old.scheme, new.scheme);
    let authority = pick(old.authority, new.authority);
    let path = pick(old.path, new.path);
    let (query, fragment) = (pick(old.query, new.query), pick(old.fragment, new.fragment));
    let slash = if !authority.is_empty() && !path.is_empty() && !path.starts_with('/') {
        "/"
    } else {
        ""
    };
    format!("{scheme}{authority}{slash}{path}{query}{fragment}")
}

/// The parts of an URL with their separators.
struct Parts<'u> {
    scheme: &'u str,
    authority: &'u str,
    path: &'u str,
    query: &'u str,
    fragment: &'u str,
}

impl<'u> Parts<'u> {
    fn of(url: &'u str) -> Self {
        let (url, fragment) = url.find('#').map_or((url, ""), |at| url.split_at(at));
        let (url, query) = url.find('?').map_or((url, ""), |at| url.split_at(at));
        let (scheme, rest) = url.find("://").map_or(("", url), |at| url.split_at(at + 3));
        let end = if scheme.is_empty() {
            0
        } else {
            rest.find('/').unwrap_or(rest.len())
        };
        let (authority, path) = rest.split_at(end);
        Self {
            scheme,
            authority,
            path,
            query,
            fragment,
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
