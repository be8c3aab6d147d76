//! A call before it is sent.

use std::fmt;

use secrecy::zeroize::Zeroize as _;
use serde_json::{Map, Value};

use super::form::{escape, escape_into};

/// The methods that the interface knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Reads; the only method that is repeated freely.
    Get,
    /// Creates or starts.
    Post,
    /// Changes.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// The name as HTTP spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Named parameters in order; `Debug` shows the names only, since values may be secret; they are wiped when it is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter; a repeated name makes an array, as the server reads it.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds a flag as the `1` or `0` that forms need.
    pub fn push_flag(&mut self, name: impl Into<String>, value: bool) {
        self.push(name, if value { "1" } else { "0" });
    }

    /// Adds a JSON value: numbers and flags as forms spell them, arrays as repeated names, null not at all.
    pub fn push_value(&mut self, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(flag) => self.push_flag(name, *flag),
            Value::String(text) => self.push(name, text.clone()),
            Value::Array(items) => items.iter().for_each(|item| self.push_value(name, item)),
            other => self.push(name, other.to_string()),
        }
    }

    /// Adds every member of an object.
    pub fn extend_values(&mut self, values: &Map<String, Value>) {
        for (name, value) in values {
            self.push_value(name, value);
        }
    }

    /// The pairs in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a query string or form body.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.0 {
            if !out.is_empty() {
                out.push('&');
            }
            escape_into(name, &mut out);
            out.push('=');
            escape_into(value, &mut out);
        }
        out
    }
}

/// Values may be secret, so they do not stay in memory.
impl Drop for Params {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A call before it is sent: method, path below `/api2/json`, parameters.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    template: String,
    path: String,
    params: Params,
}

impl Request {
    /// A call of a path template, with one value for each `{…}`; the values are escaped.
    ///
    /// ```
    /// use proxmox_client::wire::{Method, Request};
    /// let request = Request::new(Method::Get, "/nodes/{node}/tasks/{upid}/log", &["pve1", "a/b"]);
    /// assert_eq!(request.path(), "/nodes/pve1/tasks/a%2Fb/log");
    /// ```
    pub fn new(method: Method, template: &str, values: &[&str]) -> Self {
        let mut path = String::with_capacity(template.len() + 16);
        let mut values = values.iter();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            path.push_str(&rest[..open]);
            let close = rest[open..]
                .find('}')
                .map_or(rest.len(), |at| open + at + 1);
            match values.next() {
                Some(value) => path.push_str(&escape(value)),
                None => path.push_str(&rest[open..close]),
            }
            rest = &rest[close..];
        }
        path.push_str(rest);
        Self {
            method,
            template: template.to_owned(),
            path,
            params: Params::new(),
        }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.params.push(name, value);
        self
    }

    /// Adds a flag.
    #[must_use]
    pub fn with_flag(mut self, name: &str, value: bool) -> Self {
        self.params.push_flag(name, value);
        self
    }

    /// Replaces all parameters.
    #[must_use]
    pub fn with_params(mut self, params: Params) -> Self {
        self.params = params;
        self
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The path below `/api2/json`, values filled in and escaped.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path with its placeholders, as the interface documents it.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The parameters, to add to them.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// The request target: path and, for GET and DELETE, the query (these two may not carry a body).
    pub fn target(&self) -> String {
        let query = match self.method {
            Method::Get | Method::Delete => self.params.encode(),
            Method::Post | Method::Put => String::new(),
        };
        if query.is_empty() {
            format!("/api2/json{}", self.path)
        } else {
            format!("/api2/json{}?{query}", self.path)
        }
    }

    /// The form body of POST and PUT.
    pub fn body(&self) -> Option<String> {
        match self.method {
            Method::Get | Method::Delete => None,
            Method::Post | Method::Put => Some(self.params.encode()),
        }
    }

    pub(crate) fn describe(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}
