//! talosconfig: the client's contexts, as `talosctl` keeps them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::config::encode;
use crate::error::{Error, ErrorKind, Problem};
use crate::value::{Map, Value};
use crate::yaml::{parse, print};

/// One cluster as a client sees it. `Debug` does not show credentials.
#[derive(Clone, Default, PartialEq)]
pub struct Context {
    values: Map,
}

/// The contexts of a talosconfig file and which one is current.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct TalosConfig {
    current: String,
    contexts: BTreeMap<String, Context>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("endpoints", &self.endpoint_list())
            .field("nodes", &self.node_list())
            .finish_non_exhaustive()
    }
}

impl Context {
    /// Addresses that requests go to.
    #[must_use]
    pub fn endpoints<T: Into<String>>(mut self, endpoints: impl IntoIterator<Item = T>) -> Self {
        self.values.set("endpoints", Value::texts(endpoints));
        self
    }

    /// Nodes that requests are about when none is named.
    #[must_use]
    pub fn nodes<T: Into<String>>(mut self, nodes: impl IntoIterator<Item = T>) -> Self {
        self.values.set("nodes", Value::texts(nodes));
        self
    }

    /// The Talos CA, the client certificate and its key, all PEM.
    #[must_use]
    pub fn credentials(
        mut self,
        ca: impl AsRef<str>,
        certificate: impl AsRef<str>,
        key: impl AsRef<str>,
    ) -> Self {
        self.values
            .set("ca", Value::text(STANDARD.encode(ca.as_ref())));
        self.values
            .set("crt", Value::text(STANDARD.encode(certificate.as_ref())));
        self.values.set(
            "key",
            Value::Text(Zeroizing::new(STANDARD.encode(key.as_ref()))),
        );
        self
    }

    /// Addresses that requests go to.
    pub fn endpoint_list(&self) -> Vec<String> {
        self.texts("endpoints")
    }

    /// Nodes that requests are about when none is named.
    pub fn node_list(&self) -> Vec<String> {
        self.texts("nodes")
    }

    /// The cluster's name behind a managing proxy, if set.
    pub fn cluster(&self) -> Option<&str> {
        self.values.get("cluster").and_then(Value::as_text)
    }

    fn texts(&self, key: &str) -> Vec<String> {
        let list = self.values.get(key).map(Value::as_list).unwrap_or_default();
        list.iter()
            .filter_map(Value::as_text)
            .map(str::to_owned)
            .collect()
    }

    #[cfg(feature = "pki")]
    /// Another client certificate and key; everything else stays.
    pub(crate) fn set_identity(&mut self, identity: &crate::secrets::ClientIdentity) {
        let encoded = |text: &str| Value::Text(Zeroizing::new(STANDARD.encode(text)));
        self.values.set("crt", encoded(identity.certificate()));
        self.values.set("key", encoded(identity.key()));
    }

    #[cfg(feature = "pki")]
    /// Other authorities that nodes are verified against, PEM.
    pub(crate) fn set_authorities(&mut self, pem: &str) {
        self.values.set("ca", Value::text(STANDARD.encode(pem)));
    }

    #[cfg(any(feature = "client", feature = "pki"))]
    /// PEM text of `ca`, `crt` or `key`; `None` when absent or empty.
    pub(crate) fn pem(&self, key: &str) -> Result<Option<Zeroizing<String>>, Error> {
        let Some(text) = self
            .values
            .get(key)
            .and_then(Value::as_text)
            .filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let invalid = || {
            Error::new(
                ErrorKind::InvalidTalosConfig,
                format!("`{key}` is not base64 of PEM text"),
            )
        };
        let bytes = STANDARD.decode(text.trim()).map_err(|_| invalid())?;
        String::from_utf8(bytes)
            .map(|text| Some(Zeroizing::new(text)))
            .map_err(|_| invalid())
    }
}

impl TalosConfig {
    /// Reads the text of a talosconfig. Unknown keys of a context are kept; the deprecated `target` becomes an endpoint.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTalosConfig`].
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let invalid = |problem| {
            Error::new(
                ErrorKind::InvalidTalosConfig,
                "the talosconfig does not load",
            )
            .with_problems(vec![problem])
        };
        let nodes = parse::documents(text).map_err(|syntax| {
            invalid(Problem::at(
                syntax.line,
                syntax.column,
                "",
                "the text is not valid YAML",
            ))
        })?;
        if nodes.is_empty() {
            return Err(invalid(Problem::new("", "the text is empty")));
        }
        let root = nodes.first().map(Value::free).unwrap_or(Value::Null);
        let mut config = Self {
            current: root
                .at("context")
                .and_then(Value::as_text)
                .unwrap_or_default()
                .to_owned(),
            ..Self::default()
        };
        match root.at("contexts") {
            None | Some(Value::Null) => {}
            Some(Value::Map(contexts)) => {
                for (name, values) in &contexts.0 {
                    let Value::Map(values) = values else {
                        return Err(invalid(Problem::new(
                            format!("contexts.{name}"),
                            "a mapping is needed here",
                        )));
                    };
                    let mut context = Context {
                        values: values.clone(),
                    };
                    if let Some(Value::Text(target)) = context.values.remove("target") {
                        let mut endpoints = context.endpoint_list();
                        endpoints.push(target.to_string());
                        context = context.endpoints(endpoints);
                    }
                    config.contexts.insert(name.to_string(), context);
                }
            }
            Some(_) => {
                return Err(invalid(Problem::new(
                    "contexts",
                    "a mapping is needed here",
                )));
            }
        }
        Ok(config)
    }

    /// Adds a context and makes it the current one.
    #[must_use]
    pub fn with_context(mut self, name: impl Into<String>, context: Context) -> Self {
        self.current = name.into();
        self.contexts.insert(self.current.clone(), context);
        self
    }

    /// The name of the current context.
    pub fn current_name(&self) -> &str {
        &self.current
    }

    /// The names of all contexts.
    pub fn context_names(&self) -> impl Iterator<Item = &str> {
        self.contexts.keys().map(String::as_str)
    }

    /// A context by name; `None` asks for the current one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTalosConfig`] naming the contexts that exist.
    pub fn context(&self, name: Option<&str>) -> Result<&Context, Error> {
        let name = name.unwrap_or(&self.current);
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.context_names().collect();
            Error::new(
                ErrorKind::InvalidTalosConfig,
                format!("context \"{name}\" is not defined"),
            )
            .with_hint(format!("contexts in this file: {}", known.join(", ")))
        })
    }

    #[cfg(feature = "pki")]
    pub(crate) fn context_mut(&mut self, name: Option<&str>) -> Result<&mut Context, Error> {
        self.context(name)?;
        let name = name.unwrap_or(&self.current).to_owned();
        Ok(self.contexts.entry(name).or_default())
    }

    /// Takes over the contexts of another file. A name that exists gets `-1`, `-2`, …; the other file's current context
    /// becomes current. Returns the renames as `(old, new)`.
    pub fn merge(&mut self, other: &Self) -> Vec<(String, String)> {
        let mut renames = Vec::new();
        let mut current = other.current.clone();
        for (name, context) in &other.contexts {
            let mut free = name.clone();
            for number in 1.. {
                if !self.contexts.contains_key(&free) {
                    break;
                }
                free = format!("{name}-{number}");
            }
            if free != *name {
                renames.push((name.clone(), free.clone()));
                if *name == other.current {
                    current = free.clone();
                }
            }
            self.contexts.insert(free, context.clone());
        }
        if !current.is_empty() {
            self.current = current;
        }
        renames
    }

    /// The text of the file, with credentials.
    pub fn to_yaml(&self) -> Zeroizing<String> {
        const ORDER: [&str; 8] = [
            "endpoints",
            "nodes",
            "ca",
            "crt",
            "key",
            "auth",
            "cluster",
            "proxy-url",
        ];
        // Sections below a context: basic credentials, or a signing identity.
        const SECTIONS: [&str; 4] = ["basic", "siderov1", "username", "password"];
        fn section<'v>(values: &'v Map, order: &[&str]) -> print::Out<'v> {
            let rank = |key: &str| {
                let known = order.iter().position(|known| *known == key);
                known.unwrap_or(order.len())
            };
            let mut keys: Vec<&str> = values.0.iter().map(|(key, _)| &**key).collect();
            keys.sort_by_key(|key| rank(key));
            let pair = |key: &str| {
                let out = match values.get(key)? {
                    Value::Map(inner) => section(inner, &SECTIONS),
                    other => encode::free(other),
                };
                Some((key.to_owned().into(), out))
            };
            print::Out::Map(keys.into_iter().filter_map(pair).collect())
        }
        let contexts = self
            .contexts
            .iter()
            .map(|(name, value)| (name.as_str().into(), section(&value.values, &ORDER)))
            .collect();
        let pairs = vec![
            (
                "context".into(),
                print::Out::Text(self.current.as_str().into()),
            ),
            ("contexts".into(), print::Out::Map(contexts)),
        ];
        let mut text = Zeroizing::new(String::new());
        print::document(&mut text, &print::Out::Map(pairs));
        text
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::InvalidTalosConfig`].
    pub fn read_file(path: &Path) -> Result<Self, Error> {
        Self::from_yaml(&crate::file::read_private(path)?)
    }

    /// Writes a file for the owner only (0600, directory 0700), atomically.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn write_file(&self, path: &Path) -> Result<(), Error> {
        crate::file::write_private(path, self.to_yaml().as_bytes())
    }
}
