//! talosconfig: the client's contexts, as `talosctl` keeps them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::config::{decode, encode};
use crate::error::{Error, ErrorKind, Problem};
use crate::schema::{Schema, Struct, Type};
use crate::value::{Map, Value};
use crate::yaml::{Node, parse, print};

mod path;

pub use path::ConfigPath;

/// How a client identifies itself with a context.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextAuth {
    /// With a client certificate: mutual TLS.
    Certificate,
    /// With a name and a password, towards a proxy.
    #[non_exhaustive]
    Basic {
        /// The name; the password stays in the context.
        username: String,
    },
    /// By signing each request with a key of this identity, towards Omni.
    #[non_exhaustive]
    SideroV1 {
        /// `somebody@example.com`.
        identity: String,
    },
    /// Not at all.
    Nothing,
}

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

fn inner_shape(ty: &Type) -> Option<&'static Struct> {
    match ty {
        Type::Struct { id, .. } => Some(Schema::get().structure(*id)),
        _ => None,
    }
}

/// Takes over what the schema does not name, as deep as there are structures.
fn keep_unknown(shape: &Struct, node: &Node, values: &mut Map) {
    for (key, value) in node.pairs() {
        let name = key.as_text().unwrap_or_default();
        match shape.field(name) {
            None => values.set(name.to_owned(), Value::free(value)),
            Some(field) => {
                let inner = values.get_mut(name);
                if let (Some(shape), Some(Value::Map(inner))) = (inner_shape(&field.ty), inner) {
                    keep_unknown(shape, value, inner);
                }
            }
        }
    }
}

/// Fields in order, then what the schema does not name.
fn section<'v>(shape: &'static Struct, values: &'v Map) -> Vec<(Cow<'v, str>, print::Out<'v>)> {
    let mut pairs = encode::structure(shape, values, None);
    for (name, out) in &mut pairs {
        let inner = shape.field(name).and_then(|field| inner_shape(&field.ty));
        if let (Some(shape), Some(Value::Map(map))) = (inner, values.get(name)) {
            *out = print::Out::Map(section(shape, map));
        }
    }
    let unknown = values
        .0
        .iter()
        .filter(|(key, _)| shape.field(key).is_none());
    pairs.extend(unknown.map(|(key, value)| (Cow::Borrowed(&**key), encode::free(value))));
    pairs
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

    /// Name and password for a proxy in front of the nodes.
    #[must_use]
    pub fn basic_auth(mut self, username: impl Into<String>, password: impl AsRef<str>) -> Self {
        let password = Zeroizing::new(password.as_ref().to_owned());
        let pair = [
            ("username", Value::text(username)),
            ("password", Value::Text(password)),
        ];
        self.set_auth("basic", Value::map(pair));
        self
    }

    /// The identity whose key signs requests to Omni.
    #[must_use]
    pub fn sidero_identity(mut self, identity: impl Into<String>) -> Self {
        self.set_auth(
            "siderov1",
            Value::map([("identity", Value::text(identity))]),
        );
        self
    }

    fn set_auth(&mut self, kind: &'static str, value: Value) {
        let mut auth = match self.values.remove("auth") {
            Some(Value::Map(auth)) => auth,
            _ => Map::default(),
        };
        auth.set(kind, value);
        self.values.set("auth", Value::Map(auth));
    }

    /// The cluster's name behind a managing proxy.
    #[must_use]
    pub fn cluster_name(mut self, name: impl Into<String>) -> Self {
        self.values.set("cluster", Value::text(name));
        self
    }

    /// The proxy to connect through, `socks5://host:port` or `http://host:port`, in the place of the environment's.
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.values.set("proxy-url", Value::text(url));
        self
    }

    /// How a client identifies itself: a signing identity before a password, a password before a certificate.
    pub fn auth(&self) -> ContextAuth {
        let auth = self.values.get("auth");
        let of = |kind: &str| auth.and_then(|auth| auth.at(kind)).and_then(Value::as_map);
        let text = |map: &Map, key: &str| {
            let text = map.get(key).and_then(Value::as_text);
            text.unwrap_or_default().to_owned()
        };
        if let Some(map) = of("siderov1") {
            let identity = text(map, "identity");
            return ContextAuth::SideroV1 { identity };
        }
        if let Some(map) = of("basic") {
            let username = text(map, "username");
            return ContextAuth::Basic { username };
        }
        match self.text("crt") {
            Some(_) => ContextAuth::Certificate,
            None => ContextAuth::Nothing,
        }
    }

    /// The proxy to connect through, if set.
    pub fn proxy_url(&self) -> Option<&str> {
        self.text("proxy-url")
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
        self.text("cluster")
    }

    fn text(&self, key: &str) -> Option<&str> {
        let text = self.values.get(key).and_then(Value::as_text);
        text.filter(|text| !text.is_empty())
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
    /// Reads the text of a talosconfig. Unknown keys are kept; the deprecated `target` becomes an endpoint.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTalosConfig`] with every wrong type and every key that stands twice.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let invalid = |problems| {
            Error::new(
                ErrorKind::InvalidTalosConfig,
                "the talosconfig does not load",
            )
            .with_problems(problems)
        };
        let nodes = parse::documents(text).map_err(|syntax| {
            let message = "the text is not valid YAML";
            invalid(vec![Problem::at(syntax.line, syntax.column, "", message)])
        })?;
        let Some(node) = nodes.first() else {
            return Err(invalid(vec![Problem::new("", "the text is empty")]));
        };
        let shape = Schema::get().talosconfig();
        let mut findings = decode::Findings::default();
        decode::check_keys(node, &mut findings.problems);
        let mut root = decode::Decoder::new(&mut findings).structure(shape, node, &[]);
        let mut config = Self::default();
        if let Some(Value::Text(current)) = root.remove("context") {
            config.current = current.to_string();
        }
        let contexts = match root.remove("contexts") {
            Some(Value::Map(contexts)) => contexts,
            _ => Map::default(),
        };
        for (name, values) in contexts.0 {
            let Value::Map(mut values) = values else {
                let message = "a mapping is needed here";
                findings
                    .problems
                    .push(Problem::new(format!("contexts.{name}"), message));
                continue;
            };
            if let Some(node) = node
                .get("contexts")
                .and_then(|contexts| contexts.get(&name))
            {
                keep_unknown(Schema::get().context(), node, &mut values);
            }
            let mut context = Context { values };
            if let Some(Value::Text(target)) = context.values.remove("target") {
                let mut endpoints = context.endpoint_list();
                endpoints.push(target.to_string());
                context = context.endpoints(endpoints);
            }
            config.contexts.insert(name.into_owned(), context);
        }
        if findings.problems.is_empty() {
            Ok(config)
        } else {
            Err(invalid(findings.problems))
        }
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
    /// becomes current, also when there is none of that name. Returns the renames as `(old, new)`.
    pub fn merge(&mut self, other: &Self) -> Vec<(String, String)> {
        let mut renames = Vec::new();
        let mut current = String::new();
        for (name, context) in &other.contexts {
            let mut free = name.clone();
            for number in 1.. {
                if !self.contexts.contains_key(&free) {
                    break;
                }
                free = format!("{name}-{number}");
            }
            if *name == other.current {
                current.clone_from(&free);
            }
            if free != *name {
                renames.push((name.clone(), free.clone()));
            }
            self.contexts.insert(free, context.clone());
        }
        if !other.current.is_empty() {
            self.current = current;
        }
        renames
    }

    /// The text of the file, with credentials.
    pub fn to_yaml(&self) -> Zeroizing<String> {
        let contexts = self
            .contexts
            .iter()
            .map(|(name, context)| {
                let pairs = section(Schema::get().context(), &context.values);
                (name.as_str().into(), print::Out::Map(pairs))
            })
            .collect();
        let pairs = vec![
            (
                "context".into(),
                print::Out::Text(self.current.as_str().into()),
            ),
            ("contexts".into(), print::Out::Map(contexts)),
        ];
        let sizes = self
            .contexts
            .values()
            .map(|context| context.values.printed_size());
        let mut text = Zeroizing::new(String::with_capacity(1024 + sizes.sum::<usize>()));
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
