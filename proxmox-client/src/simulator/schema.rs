//! Calls held against the upstream schema before anything else looks at them: the path, then every parameter.
//!
//! The table is the compact schema that the low-level calls are generated from; what is done with it here is
//! written from the real server's answers alone.

mod address;
mod check;
mod format;
mod pattern;
mod property;
mod table;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::answer::Reply;
use super::http::Call;
use super::rights::Rights;
pub(super) use check::parts;
pub(super) use property::{default_key, sub_key};
use table::{Method, TABLE};

pub(super) use table::Release;

/// Refusals by the place that they are about.
type Errors = BTreeMap<String, String>;

/// A call whose path is known.
#[derive(Debug)]
pub(super) struct Found<'a> {
    call: &'a Call,
    method: &'static Method,
    of_path: Vec<(&'static str, String)>,
    release: Release,
}

/// Looks the path up in the interface of a release.
pub(super) fn find(call: &Call, release: Release) -> Result<Found<'_>, Reply> {
    match TABLE.find(&call.method, &call.segments) {
        Some((method, of_path)) if method.since.is_none_or(|since| since <= release) => Ok(Found {
            call,
            method,
            of_path,
            release,
        }),
        _ => Err(Reply::refusal(
            501,
            format!("Method '{} {}' not implemented", call.method, call.path),
        )),
    }
}

impl Found<'_> {
    /// Refuses a token where only a ticket is accepted.
    pub(super) fn refuse_token(&self) -> Result<(), Reply> {
        if self.method.token {
            return Ok(());
        }
        Err(Reply::refusal(
            403,
            format!(
                "Permission check failed (URI '{}' not available with API token, need proper ticket.\n)",
                self.call.path
            ),
        ))
    }

    /// Checks all parameters; gives the call with lists as one text. A call that is handed on to a node that is
    /// not known is left to whoever looks for the node.
    pub(super) fn admit(&self, known_node: impl Fn(&str) -> bool) -> Result<Call, Reply> {
        let mut call = self.call.clone();
        let mut nodes = self.of_path.iter().filter(|(name, _)| *name == "node");
        if self.method.routed && nodes.any(|(_, node)| !known_node(node)) {
            return Ok(call);
        }
        join_lists(self.method, &mut call.params);
        let errors = check::parameters(self.method, self.release, &all(&call, &self.of_path));
        if errors.is_empty() {
            return Ok(call);
        }
        let errors = errors.into_iter().map(|(place, why)| (place, why.into()));
        Err(Reply::parameters(errors.collect()))
    }

    /// Refuses a parameter that says something else than the path.
    pub(super) fn refuse_conflict(&self) -> Result<(), Reply> {
        for (name, value) in &self.of_path {
            if self.call.text(name).is_some_and(|given| given != *value) {
                let why = "duplicate parameter (already defined in URI) with conflicting values!";
                return Err(Reply::parameter(name, why));
            }
        }
        Ok(())
    }

    /// Refuses a caller who lacks the rights that the schema asks for. This comes before parameters are looked at.
    pub(super) fn refuse_rights(&self, rights: &Rights<'_>) -> Result<(), Reply> {
        let value = |name: &str| {
            let of_path = self.of_path.iter().find(|(known, _)| *known == name);
            of_path
                .map(|(_, value)| value.clone())
                .or_else(|| self.call.text(name))
        };
        self.method.permission.refuse(rights, &value)
    }
}

/// Refuses what is no name of a user with a realm.
pub(super) fn user_id(text: &str) -> Result<(), Reply> {
    format::check("pve-userid", text).map_err(Reply::failed)
}

/// Everything that counts as a parameter.
fn all(call: &Call, of_path: &[(&str, String)]) -> Map<String, Value> {
    let mut params = call.params.clone();
    for (name, value) in of_path {
        params.insert((*name).to_owned(), value.as_str().into());
    }
    if let Some(file) = &call.file {
        params.insert("filename".to_owned(), file.name.as_str().into());
    }
    params
}

/// An array stands for a list that is one text.
fn join_lists(method: &Method, params: &mut Map<String, Value>) {
    for (name, value) in params {
        let Value::Array(items) = value else {
            continue;
        };
        let list = method.shape(name).is_some_and(|shape| {
            shape["type"] == "string"
                && shape["format"]
                    .as_str()
                    .is_some_and(|format| format.ends_with("-list"))
        });
        if list {
            let texts: Vec<String> = items.iter().map(check::scalar).collect();
            *value = texts.join(",").into();
        }
    }
}

/// All lines of methods.
#[cfg(test)]
pub(super) fn lines() -> impl Iterator<Item = Value> {
    table::Table::lines()
}

#[cfg(test)]
mod tests;

/// The values that a parameter may have.
pub(super) fn choices(verb: &str, path: &str, name: &str) -> Vec<&'static str> {
    let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
    let shape = TABLE
        .find(verb, &segments)
        .and_then(|(method, _)| method.shape(name));
    let all = shape.and_then(|shape| shape["enum"].as_array());
    all.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
