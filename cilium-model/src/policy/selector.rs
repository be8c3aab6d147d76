//! Label selectors as written, and as matched against security labels.

use std::fmt;

use crate::error::Problem;
use crate::model::{model, open_enum};

model! {
    /// The label selector of Kubernetes. Keys in Cilium policies may carry a source (`k8s:app`, `any:app`, `reserved:host`).
    pub struct LabelSelector {
        /// Labels that must have exactly these values.
        map match_labels: String = "matchLabels",
        /// Further conditions, all of which must hold.
        list match_expressions: MatchExpression = "matchExpressions",
    }

    /// One condition on one label.
    pub struct MatchExpression {
        /// Label key.
        req key: String = "key",
        /// The condition.
        req operator: Operator = "operator",
        /// Values for In and NotIn.
        list values: String = "values",
    }
}

open_enum! {
    /// Condition on a label.
    #[derive(Default)]
    pub enum Operator {
        /// The value is one of the list.
        In = "In",
        /// The value is none of the list, or the label is absent.
        NotIn = "NotIn",
        /// The label is there.
        #[default]
        Exists = "Exists",
        /// The label is absent.
        DoesNotExist = "DoesNotExist",
    }
}

impl LabelSelector {
    /// The selector that matches everything in its scope.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// A selector for exactly these labels.
    #[must_use]
    pub fn labels<K: Into<String>, V: Into<String>>(
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self::default().match_labels(labels)
    }
}

/// A security label: source, key and value, as in `k8s:app=web`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Label {
    /// Where the label comes from: `k8s`, `reserved`, `cidr`, …
    pub source: String,
    /// Key.
    pub key: String,
    /// Value, empty where a label has none.
    pub value: String,
}

impl Label {
    /// A label of a pod or namespace, as Kubernetes gives it.
    #[must_use]
    pub fn k8s(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            source: "k8s".to_owned(),
            key: key.into(),
            value: value.into(),
        }
    }

    /// A reserved label, such as `host`.
    #[must_use]
    pub fn reserved(key: impl Into<String>) -> Self {
        Self {
            source: "reserved".to_owned(),
            key: key.into(),
            value: String::new(),
        }
    }

    /// Reads `source:key=value`; a missing source is `unspec`, a missing value is empty.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (source, rest) = split_source(text);
        let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
        Self {
            source: source.unwrap_or("unspec").to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.key)?;
        if !self.value.is_empty() {
            write!(f, "={}", self.value)?;
        }
        Ok(())
    }
}

/// The part before the first colon, unless the colon belongs to a value.
fn split_source(text: &str) -> (Option<&str>, &str) {
    if let Some(reserved) = text.strip_prefix('$') {
        return (Some("reserved"), reserved);
    }
    match text.find([':', '=']) {
        Some(at) if text.as_bytes()[at] == b':' => (Some(&text[..at]), &text[at + 1..]),
        _ => (None, text),
    }
}

/// A label key of a selector: the source may be left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) source: Option<String>,
    pub(crate) key: String,
}

impl Key {
    pub(crate) fn parse(text: &str) -> Self {
        let (source, key) = split_source(text);
        Self {
            source: source
                .filter(|s| *s != "any" && !s.is_empty())
                .map(str::to_owned),
            key: key.to_owned(),
        }
    }

    pub(crate) fn k8s(key: impl Into<String>) -> Self {
        Self {
            source: Some("k8s".to_owned()),
            key: key.into(),
        }
    }

    fn matches(&self, label: &Label) -> bool {
        label.key == self.key
            && self
                .source
                .as_ref()
                .is_none_or(|source| *source == label.source)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

/// A selector ready to be matched: all requirements must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requirements(pub(crate) Vec<(Key, Condition)>);

impl Requirements {
    /// Reads a selector whose keys may carry a source, noting what the agent would refuse.
    pub(crate) fn compile(
        selector: &LabelSelector,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> Self {
        Self::compile_with(selector, path, problems, Key::parse)
    }

    pub(crate) fn compile_with(
        selector: &LabelSelector,
        path: &str,
        problems: &mut Vec<Problem>,
        key_of: impl Fn(&str) -> Key,
    ) -> Self {
        let mut all = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            let parsed = key_of(key);
            let place = || format!("{path}.matchLabels.{key}");
            check_key(&Key::parse(key).key, place, problems);
            check_value(value, place, problems);
            all.push((parsed, Condition::In(vec![value.clone()])));
        }
        for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
            let place = || format!("{path}.matchExpressions[{index}]");
            check_key(
                &Key::parse(&expression.key).key,
                || format!("{}.key", place()),
                problems,
            );
            let values = expression.values.clone().unwrap_or_default();
            for (n, value) in values.iter().enumerate() {
                check_value(value, || format!("{}.values[{n}]", place()), problems);
            }
            let condition = match &expression.operator {
                Operator::In | Operator::NotIn if values.is_empty() => {
                    let message =
                        format!("operator {} needs at least one value", expression.operator);
                    problems.push(Problem::new(format!("{}.values", place()), message));
                    continue;
                }
                Operator::In => Condition::In(values),
                Operator::NotIn => Condition::NotIn(values),
                Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                    let message = format!("operator {} takes no values", expression.operator);
                    problems.push(Problem::new(format!("{}.values", place()), message));
                    continue;
                }
                Operator::Exists => Condition::Exists,
                Operator::DoesNotExist => Condition::Absent,
                Operator::Other(text) => {
                    let message = format!("{text:?} is no selector operator");
                    let problem = Problem::new(format!("{}.operator", place()), message);
                    problems.push(problem.remedy("use In, NotIn, Exists or DoesNotExist"));
                    continue;
                }
            };
            all.push((key_of(&expression.key), condition));
        }
        Self(all)
    }

    pub(crate) fn push(&mut self, key: Key, condition: Condition) {
        self.0.push((key, condition));
    }

    /// True when some requirement is about this key from Kubernetes (or from any source).
    pub(crate) fn names(&self, key: &str) -> bool {
        self.0
            .iter()
            .any(|(k, _)| k.key == key && k.source.as_deref().is_none_or(|s| s == "k8s"))
    }

    pub(crate) fn names_prefix(&self, prefix: &str) -> bool {
        self.0.iter().any(|(k, _)| {
            k.key.starts_with(prefix) && k.source.as_deref().is_none_or(|s| s == "k8s")
        })
    }

    pub(crate) fn has_reserved(&self) -> bool {
        self.0
            .iter()
            .any(|(k, _)| k.source.as_deref() == Some("reserved"))
    }

    pub(crate) fn matches(&self, labels: &[Label]) -> bool {
        self.0.iter().all(|(key, condition)| {
            let found = labels.iter().find(|label| key.matches(label));
            match (condition, found) {
                (Condition::In(values), Some(label)) => values.contains(&label.value),
                (Condition::In(_) | Condition::Exists, None) => false,
                (Condition::NotIn(values), Some(label)) => !values.contains(&label.value),
                (Condition::NotIn(_) | Condition::Absent, None) => true,
                (Condition::Exists, Some(_)) => true,
                (Condition::Absent, Some(_)) => false,
            }
        })
    }
}

/// A qualified name: an optional DNS subdomain and a slash, then up to 63 letters, digits, `-`, `_` and `.`.
fn check_key(key: &str, place: impl Fn() -> String, problems: &mut Vec<Problem>) {
    let (prefix, name) = match key.rsplit_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    // The labels of a namespace stand behind a prefix of Cilium's, so that two slashes are one too many elsewhere only.
    let prefix_ok = prefix.is_none_or(is_subdomain);
    if name.is_empty() || !is_label_text(name) || !prefix_ok {
        problems.push(
            Problem::new(place(), format!("{key:?} is no label key"))
                .remedy("an optional DNS domain and a slash, then at most 63 letters, digits, '-', '_' or '.'"),
        );
    }
}

fn check_value(value: &str, place: impl Fn() -> String, problems: &mut Vec<Problem>) {
    if !value.is_empty() && !is_label_text(value) {
        problems.push(
            Problem::new(place(), format!("{value:?} is no label value"))
                .remedy("at most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit"),
        );
    }
}

fn is_label_text(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            let bytes = label.as_bytes();
            let edge =
                |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            edge(bytes.first())
                && edge(bytes.last())
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        })
}
