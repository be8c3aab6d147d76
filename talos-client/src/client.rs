//! The client: endpoints, identity, and handles to nodes.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::MachineConfig;
use crate::error::{Error, ErrorKind};
use crate::node::Node;
use crate::talosconfig::TalosConfig;
use crate::tls::{self, Credentials, MaintenanceTrust};
#[cfg(feature = "simulator")]
use crate::transport::InProcess;
use crate::transport::{Dial, Link};

/// The port of the Talos API.
pub const API_PORT: u16 = 50_000;

/// A client of the Talos API. Cheap to clone; connections are made when first used and shared.
///
/// Requests go to the endpoints in turn; an endpoint that cannot be reached is skipped as long as nothing was sent.
/// Which node a request is about says the [`Node`] handle.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    links: Vec<(String, Link)>,
    next: AtomicUsize,
    timeout: Duration,
    cluster: Option<String>,
    nodes: Vec<String>,
    maintenance: bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<&str> = self
            .inner
            .links
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("Client")
            .field("endpoints", &endpoints)
            .field("maintenance", &self.inner.maintenance)
            .finish_non_exhaustive()
    }
}

/// Makes a [`Client`].
#[derive(Clone, Default)]
pub struct ClientBuilder {
    endpoints: Vec<String>,
    nodes: Vec<String>,
    cluster: Option<String>,
    identity: Option<Identity>,
    trust: Option<MaintenanceTrust>,
    overrides: HashMap<String, SocketAddr>,
    connect_timeout: Option<Duration>,
    timeout: Option<Duration>,
    errors: Vec<String>,
}

#[derive(Clone)]
struct Identity {
    ca: String,
    certificate: String,
    key: zeroize::Zeroizing<String>,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("endpoints", &self.endpoints)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// An address that requests go to: `10.0.20.11`, `10.0.20.11:50000`, `cp1.example`, `[fd00::11]:50000`.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// Several endpoints.
    #[must_use]
    pub fn endpoints<T: Into<String>>(mut self, endpoints: impl IntoIterator<Item = T>) -> Self {
        self.endpoints.extend(endpoints.into_iter().map(Into::into));
        self
    }

    /// Endpoints (unless some are set), nodes, cluster and credentials of a talosconfig's context; `None` is the current one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTalosConfig`] when the context does not exist or its credentials are not PEM.
    pub fn talosconfig(
        mut self,
        config: &TalosConfig,
        context: Option<&str>,
    ) -> Result<Self, Error> {
        let context = config.context(context)?;
        if self.endpoints.is_empty() {
            self.endpoints = context.endpoint_list();
        }
        self.nodes = context.node_list();
        self.cluster = context.cluster().map(str::to_owned);
        let missing = |what: &str| {
            Error::new(
                ErrorKind::InvalidTalosConfig,
                format!("the context has no {what}"),
            )
        };
        let ca = context.pem("ca")?.ok_or_else(|| missing("ca"))?;
        let certificate = context.pem("crt")?.ok_or_else(|| missing("crt"))?;
        let key = context.pem("key")?.ok_or_else(|| missing("key"))?;
        self.identity = Some(Identity {
            ca: ca.to_string(),
            certificate: certificate.to_string(),
            key,
        });
        Ok(self)
    }

    /// CA, client certificate and key, all PEM.
    #[must_use]
    pub fn credentials(
        mut self,
        ca: impl Into<String>,
        certificate: impl Into<String>,
        key: impl Into<String>,
    ) -> Self {
        let key = zeroize::Zeroizing::new(key.into());
        self.identity = Some(Identity {
            ca: ca.into(),
            certificate: certificate.into(),
            key,
        });
        self
    }

    /// Talk to a node in maintenance mode and accept only this certificate: base64 SHA-256 of its public key, as the
    /// node's console shows it. May be given several times.
    #[must_use]
    pub fn maintenance_fingerprint(mut self, fingerprint: impl Into<String>) -> Self {
        let fingerprint = fingerprint.into();
        match &mut self.trust {
            Some(MaintenanceTrust::Fingerprints(pins)) => pins.push(fingerprint),
            _ => self.trust = Some(MaintenanceTrust::Fingerprints(vec![fingerprint])),
        }
        self
    }

    /// Talk to a node in maintenance mode whoever it is: whoever answers gets the configuration with all its secrets.
    #[must_use]
    pub fn maintenance_insecure(mut self) -> Self {
        self.trust = Some(MaintenanceTrust::Anything);
        self
    }

    /// Connect to `to` wherever the endpoint `address` (`host:port`) is meant, for tunnels and labs. Certificates are still
    /// checked for the original host.
    #[must_use]
    pub fn connect_to(mut self, address: impl Into<String>, to: SocketAddr) -> Self {
        let address = address.into();
        match split(&address) {
            Ok((host, port)) => {
                self.overrides.insert(format!("{host}:{port}"), to);
            }
            Err(why) => self.errors.push(why),
        }
        self
    }

    /// Longest time for TCP and TLS together; 10 s when not set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Longest time for a single call without streams; 30 s when not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Makes the client; nothing is sent yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] without an endpoint or identity, [`ErrorKind::InvalidSecrets`] for broken credentials.
    pub fn build(self) -> Result<Client, Error> {
        let wrong = |message: String| Error::new(ErrorKind::InvalidArgument, message);
        if let Some(error) = self.errors.first() {
            return Err(wrong(error.clone()));
        }
        if self.endpoints.is_empty() {
            return Err(wrong("no endpoint is given".to_owned())
                .with_hint("name a control plane node's address"));
        }
        let maintenance = self.trust.is_some();
        let config = match (self.trust, &self.identity) {
            (Some(trust), _) => tls::maintenance(trust)?,
            (None, Some(id)) => tls::mutual(&Credentials {
                ca: &id.ca,
                certificate: &id.certificate,
                key: &id.key,
            })?,
            (None, None) => {
                return Err(wrong("no credentials are given".to_owned())
                    .with_hint("use a talosconfig, or one of the maintenance options for a node that is not configured yet"));
            }
        };
        let (config, overrides) = (Arc::new(config), Arc::new(self.overrides));
        let mut links = Vec::new();
        for endpoint in &self.endpoints {
            let (host, port) = split(endpoint).map_err(wrong)?;
            let dial = Dial {
                host,
                port,
                tls: config.clone(),
                overrides: overrides.clone(),
                connect_timeout: self.connect_timeout.unwrap_or(Duration::from_secs(10)),
            };
            links.push((endpoint.clone(), Link::network(dial)?));
        }
        let inner = Inner {
            links,
            next: AtomicUsize::new(0),
            timeout: self.timeout.unwrap_or(Duration::from_secs(30)),
            cluster: self.cluster,
            nodes: self.nodes,
            maintenance,
        };
        Ok(Client {
            inner: Arc::new(inner),
        })
    }
}

/// Host and port of an endpoint; brackets are taken off.
fn split(endpoint: &str) -> Result<(String, u16), String> {
    let (endpoint, default) = match endpoint.strip_prefix("https://") {
        Some(rest) => (rest.trim_end_matches('/'), 443),
        None => (endpoint, API_PORT),
    };
    let wrong = || {
        format!("`{endpoint}` is not an endpoint: write it as host, host:port or [address]:port")
    };
    let (host, port) = if let Some(rest) = endpoint.strip_prefix('[') {
        let (host, tail) = rest.split_once(']').ok_or_else(wrong)?;
        (host, tail.strip_prefix(':').map(str::to_owned))
    } else if endpoint.matches(':').count() > 1 {
        (endpoint, None)
    } else {
        endpoint
            .split_once(':')
            .map_or((endpoint, None), |(host, port)| {
                (host, Some(port.to_owned()))
            })
    };
    let port = port.map_or(Ok(default), |port| port.parse().map_err(|_| wrong()))?;
    if host.is_empty() {
        Err(wrong())
    } else {
        Ok((host.to_owned(), port))
    }
}

impl Client {
    /// A builder without anything set.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The address that an endpoint stands for, with the API's port added where it has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is not an endpoint.
    pub fn address(endpoint: &str) -> Result<String, Error> {
        let (host, port) =
            split(endpoint).map_err(|why| Error::new(ErrorKind::InvalidArgument, why))?;
        Ok(if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        })
    }

    /// A client whose requests are answered in this process, one endpoint per peer.
    #[cfg(feature = "simulator")]
    pub(crate) fn in_process(peers: Vec<(String, Arc<dyn InProcess>)>, maintenance: bool) -> Self {
        let links = peers
            .into_iter()
            .map(|(name, peer)| (name, Link::InProcess(peer)))
            .collect();
        let inner = Inner {
            links,
            next: AtomicUsize::new(0),
            timeout: Duration::from_secs(30),
            cluster: None,
            nodes: Vec::new(),
            maintenance,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A node by address: the endpoint forwards to it.
    pub fn node(&self, node: impl Into<String>) -> Node {
        Node::new(self.clone(), Some(node.into()))
    }

    /// The endpoint itself, without forwarding; the only choice in maintenance mode.
    pub fn endpoint(&self) -> Node {
        Node::new(self.clone(), None)
    }

    /// The nodes of the talosconfig's context.
    pub fn default_nodes(&self) -> &[String] {
        &self.inner.nodes
    }

    /// Asks several nodes at once, one call each; a node that fails does not hide the others.
    ///
    /// ```
    /// # use talos_client::{Client, Error};
    /// # async fn example(client: &Client) {
    /// for (node, version) in client.on_each(["10.0.20.11", "10.0.20.12"], async |node| node.version().await).await {
    ///     match version {
    ///         Ok(version) => println!("{node}: {}", version.tag),
    ///         Err(error) => println!("{node}: {error}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn on_each<N, T, F>(
        &self,
        nodes: impl IntoIterator<Item = N>,
        call: F,
    ) -> Vec<(String, Result<T, Error>)>
    where
        N: Into<String>,
        F: AsyncFn(Node) -> Result<T, Error>,
    {
        let calls = nodes.into_iter().map(|node| {
            let name = node.into();
            let (node, call) = (self.node(name.clone()), &call);
            async move { (name, call(node).await) }
        });
        futures::future::join_all(calls).await
    }

    /// Checks that every key of a configuration is known to the Talos version that runs on the endpoint: what it would
    /// refuse is told before anything is sent. Returns the kinds that the version does not have.
    ///
    /// # Errors
    /// What asking for the version gives.
    pub async fn unknown_documents(&self, config: &MachineConfig) -> Result<Vec<String>, Error> {
        let version = self.endpoint().version().await?;
        Ok(config.documents_unknown_to(version.tag.parse()?))
    }

    /// It talks to nodes that are not configured yet.
    pub fn is_maintenance(&self) -> bool {
        self.inner.maintenance
    }

    pub(crate) fn cluster(&self) -> Option<&str> {
        self.inner.cluster.as_deref()
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.inner.timeout
    }

    /// Endpoints in the order in which this call tries them.
    pub(crate) fn order(&self) -> impl Iterator<Item = &(String, Link)> {
        let links = &self.inner.links;
        let start = self.inner.next.fetch_add(1, Ordering::Relaxed) % links.len().max(1);
        links[start..].iter().chain(&links[..start])
    }

    /// Tries the endpoints in turn while nothing was sent.
    pub(crate) async fn failover<T, F, Fut>(&self, mut call: F) -> Result<T, Error>
    where
        F: FnMut(Link) -> Fut,
        Fut: Future<Output = Result<T, crate::transport::Failure>>,
    {
        let mut last = None;
        for (name, link) in self.order() {
            match call(link.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.sent || !failure.error.is_unavailable() => {
                    return Err(failure.error);
                }
                Err(failure) => last = Some((name, failure.error)),
            }
        }
        match last {
            Some((_, error)) => Err(error),
            None => Err(Error::new(
                ErrorKind::InvalidArgument,
                "the client has no endpoint",
            )),
        }
    }
}
