//! Names: DNS labels and domains.

use std::fmt;

use super::decode::{Bad, Scalar};
use super::scalar::as_text;

/// A DNS label: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsLabel(String);

impl DnsLabel {
    /// Takes a name that follows the rules, else gives back nothing.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let good = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let ends = bytes.first().is_some_and(good) && bytes.last().is_some_and(good);
        let all = bytes.iter().all(|b| good(b) || *b == b'-');
        (ends && all && bytes.len() <= 63).then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest name that follows the rules, for a suggestion.
    pub(crate) fn suggest(text: &str) -> Option<String> {
        let mapped: String = text
            .to_lowercase()
            .chars()
            .map(|c| {
                if c.is_ascii_lowercase() || c.is_ascii_digit() {
                    c
                } else {
                    '-'
                }
            })
            .take(63)
            .collect();
        let trimmed = mapped.trim_matches('-');
        Self::new(trimmed).map(|label| label.0)
    }
}

impl Scalar for DnsLabel {
    const WHAT: &'static str = "a name such as worker-1";
    const TEXT: bool = true;

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        Self::new(text).ok_or_else(|| bad_name(&what_is_named(path), text))
    }

    fn placeholder() -> Self {
        Self("unnamed".to_owned())
    }
}

/// `nodes[3].name` names a node, `name` the cluster.
fn what_is_named(path: &str) -> String {
    let parent = path.strip_suffix(".name").unwrap_or("");
    let list = parent
        .split('[')
        .next()
        .unwrap_or("")
        .rsplit('.')
        .next()
        .unwrap_or("");
    match list {
        "" if path == "name" => "cluster name".into(),
        "" => path.to_owned(),
        list => format!(
            "{} name",
            list.strip_suffix("ses").map_or_else(
                || list.trim_end_matches('s').to_owned(),
                |stem| format!("{stem}s")
            )
        ),
    }
}

pub(crate) fn bad_name(what: &str, text: &str) -> Bad {
    let mut message = format!("{what} \"{text}\" is not a DNS label (a-z, 0-9, '-')");
    if let Some(better) = DnsLabel::suggest(text) {
        message.push_str(&format!("; did you mean \"{better}\"?"));
    }
    Bad::new("invalid-name", message)
        .help("1 to 63 characters, beginning and ending with a letter or digit")
}

impl fmt::Display for DnsLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for DnsLabel {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A domain name of at least two labels, without a trailing dot; the first label may be `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

impl Domain {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The usual domain of services inside a cluster.
    pub(crate) fn cluster_local() -> Self {
        Self("cluster.local".to_owned())
    }

    /// Whether the first label is `*`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// Whether a certificate or listener for this name serves `host`: equal, or one label under the wildcard.
    #[must_use]
    pub fn covers(&self, host: &Domain) -> bool {
        if self == host {
            return true;
        }
        let Some(parent) = self.0.strip_prefix("*.") else {
            return false;
        };
        host.0
            .split_once('.')
            .is_some_and(|(label, rest)| label != "*" && rest == parent)
    }

    /// Whether this name is `parent` or lies under it.
    #[must_use]
    pub fn is_within(&self, parent: &Domain) -> bool {
        self == parent
            || self
                .0
                .strip_suffix(&parent.0)
                .is_some_and(|rest| rest.ends_with('.'))
    }
}

impl Scalar for Domain {
    const WHAT: &'static str = "a domain such as home.example.org";
    const TEXT: bool = true;

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        let body = text.strip_prefix("*.").unwrap_or(text);
        let labels: Vec<&str> = body.split('.').collect();
        let good = labels.len() >= 2
            && text.len() <= 253
            && labels.iter().all(|label| DnsLabel::new(label).is_some());
        if !good {
            return Err(Bad::new(
                "domain",
                format!("{path} \"{text}\" is not a full domain name"),
            )
            .help(
                "two or more labels of a-z, 0-9 and '-', such as home.example.org or *.example.org",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    fn placeholder() -> Self {
        Self("example.invalid".to_owned())
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(DnsLabel, Domain);
