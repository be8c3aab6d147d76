//! Label and field selectors, as requests write them and as objects hold them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::{entries, list, text};
use super::refusal::{Answered, Refusal};
use super::resource::Resource;

/// One requirement on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|one| values.contains(one)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|one| !values.contains(one)),
            Self::Exists(key) => labels.contains_key(key),
            Self::Absent(key) => !labels.contains_key(key),
        }
    }
}

/// All of its requirements must hold; without any it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Requirement>);

impl Selector {
    /// Reads a selector of a request (`app=web,tier in (a,b),!old`).
    ///
    /// # Errors
    ///
    /// 400 when it cannot be read.
    pub(crate) fn parse(text: &str) -> Answered<Self> {
        let mut requirements = Vec::new();
        for part in split_outside_brackets(text) {
            let part = part.trim();
            if !part.is_empty() {
                let one = requirement(part).ok_or_else(|| {
                    Refusal::bad_request(format!("unable to parse requirement: found {part:?}"))
                })?;
                requirements.push(one);
            }
        }
        Ok(Self(requirements))
    }

    /// Reads a `LabelSelector` object (`matchLabels`, `matchExpressions`); an absent one selects
    /// nothing.
    pub(crate) fn of_object(selector: Option<&Value>) -> Option<Self> {
        let selector = selector.filter(|one| one.is_object())?;
        let mut requirements = Vec::new();
        for (key, value) in entries(selector, "/matchLabels") {
            let value = value.as_str().unwrap_or_default().to_owned();
            requirements.push(Requirement::In(key.clone(), vec![value]));
        }
        for one in list(selector, "/matchExpressions") {
            requirements.push(expression(one)?);
        }
        Some(Self(requirements))
    }

    /// Reads a plain map of labels, as Services select pods.
    pub(crate) fn of_labels(labels: &BTreeMap<String, String>) -> Self {
        let one =
            |(key, value): (&String, &String)| Requirement::In(key.clone(), vec![value.clone()]);
        Self(labels.iter().map(one).collect())
    }

    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|one| one.holds(labels))
    }

    /// True when the object's labels match.
    pub(crate) fn selects(&self, object: &Value) -> bool {
        self.0.is_empty() || self.matches(&super::object::texts(object, "/metadata/labels"))
    }
}

/// One `matchExpressions` entry with operators In, NotIn, Exists, DoesNotExist.
pub(crate) fn expression(one: &Value) -> Option<Requirement> {
    let key = text(one, "/key").to_owned();
    let values = list(one, "/values")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    match text(one, "/operator") {
        "In" => Some(Requirement::In(key, values)),
        "NotIn" => Some(Requirement::NotIn(key, values)),
        "Exists" => Some(Requirement::Exists(key)),
        "DoesNotExist" => Some(Requirement::Absent(key)),
        _ => None,
    }
}

/// True when every expression of a node selector term holds for these labels.
pub(crate) fn expressions_hold(terms: &[Value], labels: &BTreeMap<String, String>) -> bool {
    terms
        .iter()
        .all(|one| expression(one).is_some_and(|one| one.holds(labels)))
}

fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, one) in text.char_indices() {
        match one {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(open) = part.find('(') {
        let values = part[open + 1..].strip_suffix(')')?;
        let values = values.split(',').map(|one| one.trim().to_owned()).collect();
        let mut words = part[..open].split_whitespace();
        let key = words.next()?.to_owned();
        return match (words.next()?, words.next()) {
            ("in", None) => Some(Requirement::In(key, values)),
            ("notin", None) => Some(Requirement::NotIn(key, values)),
            _ => None,
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Requirement::NotIn(
            key.trim().to_owned(),
            vec![value.trim().to_owned()],
        ));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Requirement::In(
            key.trim().to_owned(),
            vec![value.trim().to_owned()],
        ));
    }
    if part.contains(char::is_whitespace) {
        return None;
    }
    match part.strip_prefix('!') {
        Some(key) => Some(Requirement::Absent(key.to_owned())),
        None => Some(Requirement::Exists(part.to_owned())),
    }
}

/// Fields that a list can select by, besides name and namespace.
fn selectable(resource: &Resource) -> &'static [&'static str] {
    match resource.id().as_str() {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "nodes" => &["spec.unschedulable"],
        "namespaces" => &["status.phase"],
        "secrets" => &["type"],
        "jobs.batch" => &["status.successful"],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "certificatesigningrequests.certificates.k8s.io" => &["spec.signerName"],
        _ => &[],
    }
}

/// A field selector of a request: only equality, only fields that the kind offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<(String, String, bool)>);

impl FieldSelector {
    /// Reads `metadata.name=a,status.phase!=Running`.
    ///
    /// # Errors
    ///
    /// 400 when it cannot be read or names a field that the kind does not offer.
    pub(crate) fn parse(text: &str, resource: &Resource) -> Answered<Self> {
        let mut all = Vec::new();
        for part in text.split(',').filter(|one| !one.is_empty()) {
            let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) =
                part.split_once("==").or_else(|| part.split_once('='))
            {
                (field, value, true)
            } else {
                return Err(Refusal::bad_request(format!(
                    "invalid selector: '{part}'; can't understand '{part}'"
                )));
            };
            let common = ["metadata.name", "metadata.namespace"];
            if !common.contains(&field) && !selectable(resource).contains(&field) {
                return Err(Refusal::bad_request(format!(
                    "field label not supported: {field}"
                )));
            }
            all.push((field.to_owned(), value.to_owned(), equal));
        }
        Ok(Self(all))
    }

    pub(crate) fn selects(&self, object: &Value) -> bool {
        self.0.iter().all(|(field, value, equal)| {
            let found = object.pointer(&format!("/{}", field.replace('.', "/")));
            let found = match found {
                Some(Value::String(text)) => text.clone(),
                None | Some(Value::Null) if is_switch(field) => "false".to_owned(),
                None | Some(Value::Null) => String::new(),
                Some(other) => other.to_string(),
            };
            (found == *value) == *equal
        })
    }
}

fn is_switch(field: &str) -> bool {
    matches!(field, "spec.unschedulable" | "spec.hostNetwork")
}
