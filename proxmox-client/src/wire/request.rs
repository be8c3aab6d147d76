//! A call before it is sent.

use std::fmt;

use secrecy::zeroize::{Zeroize as _, Zeroizing};
use serde_json::{Map, Value};

use super::form::{escape, escape_into, escaped_length};
use crate::size::Size;

/// Where the interface begins, as JSON.
const BASE: &str = "/api2/json";

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

    /// Adds what may be copied in a second, in the KiB that the interface counts: at least one, for 0 would lift the limit.
    pub(crate) fn push_limit(&mut self, limit: Option<Size>) {
        if let Some(limit) = limit {
            self.push("bwlimit", (limit.as_bytes() >> 10).max(1).to_string());
        }
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

    /// As a query string or form body, wiped when it is dropped.
    pub fn encode(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(self.encoded_length()));
        self.encode_into(&mut out);
        out
    }

    fn encoded_length(&self) -> usize {
        let pairs = self.0.iter();
        let lengths = pairs.map(|(name, value)| escaped_length(name) + escaped_length(value) + 2);
        lengths.sum::<usize>().saturating_sub(1)
    }

    fn encode_into(&self, out: &mut String) {
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push('&');
            }
            escape_into(name, out);
            out.push('=');
            escape_into(value, out);
        }
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

    /// The request target: path and, for GET and DELETE, the query (these two may not carry a body). Wiped when it is
    /// dropped.
    pub fn target(&self) -> Zeroizing<String> {
        let has_query = matches!(self.method, Method::Get | Method::Delete);
        let query = has_query.then_some(&self.params);
        let query = query.filter(|params| !params.is_empty());
        let length = BASE.len() + self.path.len();
        let length = length + query.map_or(0, |params| 1 + params.encoded_length());
        let mut target = Zeroizing::new(String::with_capacity(length));
        target.push_str(BASE);
        target.push_str(&self.path);
        if let Some(params) = query {
            target.push('?');
            params.encode_into(&mut target);
        }
        target
    }

    /// The form body of POST and PUT, wiped when it is dropped.
    pub fn body(&self) -> Option<Zeroizing<String>> {
        match self.method {
            Method::Get | Method::Delete => None,
            Method::Post | Method::Put => Some(self.params.encode()),
        }
    }

    pub(crate) fn describe(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A text that grew while it was made would leave a part of itself in memory.
        #[test]
        fn what_is_encoded_has_room_from_the_start(
            pairs in proptest::collection::vec((".{1,8}", ".{0,16}"), 0..4),
        ) {
            let mut request = Request::new(Method::Get, "/version", &[]);
            for (name, value) in &pairs {
                request.params_mut().push(name, value);
            }
            let (query, target) = (request.params().encode(), request.target());
            prop_assert_eq!(query.capacity(), query.len());
            prop_assert_eq!(target.capacity(), target.len());
            let expected: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
                .collect();
            prop_assert_eq!(&**query, expected.join("&"));
        }
    }
}
