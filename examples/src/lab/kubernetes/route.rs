//! From path, query and method to what a request wants.

use std::collections::BTreeMap;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/api`, `/apis`, `/version`, health: the path itself says it.
    Server(String),
    /// The resources of one version: `/api/v1`, `/apis/apps/v1`.
    Version { group: String, version: String },
    /// One group: `/apis/apps`.
    Group(String),
    /// Objects of one kind.
    Objects(Target),
    /// Nothing that a Kubernetes API has.
    Unknown,
}

/// Objects of one kind: all, those of a namespace, one, or a subresource of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) plural: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

impl Route {
    pub(crate) fn parse(path: &str) -> Self {
        let parts: Vec<String> = path
            .split('/')
            .filter(|one| !one.is_empty())
            .map(decode)
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["api" | "apis" | "version" | "healthz" | "livez" | "readyz"] => {
                Self::Server(parts[0].to_owned())
            }
            ["healthz" | "livez" | "readyz", _] => Self::Server(parts[0].to_owned()),
            ["api", version] => Self::Version {
                group: String::new(),
                version: (*version).to_owned(),
            },
            ["api", version, rest @ ..] => Self::objects("", version, rest),
            ["apis", group] => Self::Group((*group).to_owned()),
            ["apis", group, version] => Self::Version {
                group: (*group).to_owned(),
                version: (*version).to_owned(),
            },
            ["apis", group, version, rest @ ..] => Self::objects(group, version, rest),
            _ => Self::Unknown,
        }
    }

    fn objects(group: &str, version: &str, rest: &[&str]) -> Self {
        let (namespace, rest) = match rest {
            // `/namespaces/x` and its subresources are the namespace itself, all else is inside it.
            ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => {
                ("", rest)
            }
            ["namespaces", namespace, inside @ ..] => (*namespace, inside),
            _ => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return Self::Unknown,
        };
        Self::Objects(Target {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace: namespace.to_owned(),
            plural: plural.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        })
    }

    /// The path with its variable parts named, for journals and fault plans:
    /// `/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}`.
    pub(crate) fn template(&self) -> String {
        match self {
            Self::Server(name) => format!("/{name}"),
            Self::Version { group, .. } if group.is_empty() => "/api/{version}".to_owned(),
            Self::Version { .. } => "/apis/{group}/{version}".to_owned(),
            Self::Group(_) => "/apis/{group}".to_owned(),
            Self::Objects(target) => target.template(),
            Self::Unknown => "/{unknown}".to_owned(),
        }
    }
}

impl Target {
    fn template(&self) -> String {
        let mut text = if self.group.is_empty() {
            "/api/{version}".to_owned()
        } else {
            "/apis/{group}/{version}".to_owned()
        };
        if !self.namespace.is_empty() {
            text.push_str("/namespaces/{namespace}");
        }
        text.push_str("/{plural}");
        if !self.name.is_empty() {
            text.push_str("/{name}");
        }
        if !self.subresource.is_empty() {
            text.push('/');
            text.push_str(&self.subresource);
        }
        text
    }
}

/// Percent-decoding; a malformed escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Parameters of a query string; of a repeated one the first counts.
pub(crate) fn query(text: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for part in text.split('&').filter(|one| !one.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        parameters
            .entry(decode(key))
            .or_insert_with(|| decode(&value.replace('+', " ")));
    }
    parameters
}
