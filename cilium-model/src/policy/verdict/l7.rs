//! Requests inside a connection and the conditions on them.

use regex::Regex;

use crate::error::Problem;
use crate::policy::fqdn::NameMatcher;
use crate::policy::rule::HttpRule;

/// A request that a proxy would look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// An HTTP request.
    Http(HttpRequest),
    /// A DNS query for a name.
    Dns(String),
}

impl Request {
    /// A DNS query.
    #[must_use]
    pub fn dns(name: impl Into<String>) -> Self {
        Self::Dns(name.into())
    }
}

/// An HTTP request as the proxy sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpRequest {
    /// Method, in capitals.
    pub method: String,
    /// Path with its query.
    pub path: String,
    /// Host.
    pub host: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

impl HttpRequest {
    /// A request without host and headers.
    #[must_use]
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            ..Self::default()
        }
    }

    /// Sets the host.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

impl From<HttpRequest> for Request {
    fn from(request: HttpRequest) -> Self {
        Self::Http(request)
    }
}

/// One HTTP rule, ready to be matched.
#[derive(Clone, Debug)]
pub(crate) struct HttpMatcher {
    path: Option<Regex>,
    method: Option<Regex>,
    host: Option<Regex>,
    /// Name, and the value wanted if one is.
    headers: Vec<(String, Option<String>)>,
    /// A value that stands in a Secret, which is not known here: such a rule never matches.
    secret: bool,
}

impl HttpMatcher {
    pub(crate) fn compile(rule: &HttpRule, path: &str, problems: &mut Vec<Problem>) -> Self {
        let mut regex = |text: &Option<String>, field: &str| {
            let text = text.as_deref().filter(|t| !t.is_empty())?;
            match Regex::new(&format!("^(?:{text})$")) {
                Ok(regex) => Some(regex),
                Err(_) => {
                    let message = format!("{text:?} is no regular expression");
                    let problem = Problem::new(format!("{path}.{field}"), message);
                    problems.push(problem.remedy("RE2 syntax, matched against the whole value"));
                    None
                }
            }
        };
        let mut headers: Vec<(String, Option<String>)> = rule
            .headers
            .iter()
            .flatten()
            // The agent splits at the first space, so that "Name:value" without one names a header that no request has.
            .map(|header| match header.split_once(' ') {
                Some((name, value)) => (
                    name.trim_end_matches(':').to_owned(),
                    Some(value.to_owned()),
                ),
                None => (header.clone(), None),
            })
            .collect();
        let mut secret = false;
        for wanted in rule.header_matches.iter().flatten() {
            // With a mismatch action the proxy repairs the header instead of refusing the request.
            if wanted.mismatch.as_deref().is_some_and(|m| !m.is_empty()) {
                continue;
            }
            secret |= wanted.secret.is_some();
            headers.push((
                wanted.name.clone(),
                wanted.value.clone().filter(|v| !v.is_empty()),
            ));
        }
        Self {
            path: regex(&rule.path, "path"),
            method: regex(&rule.method, "method"),
            host: regex(&rule.host, "host"),
            headers,
            secret,
        }
    }

    fn matches(&self, request: &HttpRequest) -> bool {
        let holds =
            |regex: &Option<Regex>, value: &str| regex.as_ref().is_none_or(|r| r.is_match(value));
        !self.secret
            && holds(&self.path, &request.path)
            && holds(&self.method, &request.method)
            && holds(&self.host, &request.host)
            && self
                .headers
                .iter()
                .all(|(name, wanted)| match (request.value(name), wanted) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(found), Some(wanted)) => found == wanted,
                })
    }
}

/// Layer-7 conditions of one port.
#[derive(Clone, Debug)]
pub(crate) enum L7 {
    Http(Vec<HttpMatcher>),
    Dns(Vec<NameMatcher>),
    /// Redirected, with conditions that say nothing about HTTP and DNS requests.
    Tls,
    Listener,
}

impl L7 {
    pub(crate) fn parser(&self) -> super::Parser {
        match self {
            Self::Http(_) => super::Parser::Http,
            Self::Dns(_) => super::Parser::Dns,
            Self::Tls => super::Parser::Tls,
            Self::Listener => super::Parser::Listener,
        }
    }

    pub(crate) fn allows(&self, request: &Request) -> bool {
        match (self, request) {
            (Self::Http(rules), Request::Http(request)) => {
                rules.iter().any(|rule| rule.matches(request))
            }
            (Self::Dns(names), Request::Dns(name)) => names.iter().any(|n| n.matches(name)),
            (Self::Tls | Self::Listener, _) => true,
            _ => false,
        }
    }
}
