//! The API on a loopback address, over TLS, with client certificates.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::certificate;
use super::service::respond;
use super::settings::User;
use super::simulator::Simulator;

/// What the server needs for TLS.
#[derive(Clone)]
#[non_exhaustive]
pub struct Tls {
    /// PEM of the Kubernetes CA: issues the server's certificate, and client certificates must be
    /// issued by it.
    pub ca_certificate: String,
    ca_key: String,
    /// Names and addresses that the certificate is for, besides `localhost` and `127.0.0.1`.
    pub names: Vec<String>,
    /// Where to listen; any free port of the loopback address by default.
    pub listen: SocketAddr,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("names", &self.names)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS with the certificate and the private key of a CA, both in PEM.
    #[must_use]
    pub fn new(ca_certificate: impl Into<String>, ca_key: impl Into<String>) -> Self {
        Self {
            ca_certificate: ca_certificate.into(),
            ca_key: ca_key.into(),
            names: Vec::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }

    /// The same with one more name or address in the server's certificate.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// The same on another address.
    #[must_use]
    pub fn listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }
}

/// Why the server could not start.
#[derive(Debug)]
pub struct ServeError {
    what: &'static str,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ServeError {
    fn new(what: &'static str) -> Self {
        Self { what, source: None }
    }

    fn from(what: &'static str) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self {
        move |source| Self {
            what,
            source: Some(source),
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot serve the simulated Kubernetes API: {}",
            self.what
        )
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|one| one as &(dyn std::error::Error + 'static))
    }
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The modelled time, for the validity of client certificates.
struct ModelledTime(Simulator);

impl fmt::Debug for ModelledTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelledTime")
    }
}

impl TimeProvider for ModelledTime {
    fn current_time(&self) -> Option<UnixTime> {
        let now = self
            .0
            .now()
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .ok()?;
        Some(UnixTime::since_unix_epoch(now))
    }
}

impl Simulator {
    /// Serves the API over TLS. Callers with a certificate of the CA are who it says, callers
    /// without one are anonymous, certificates of others are refused.
    ///
    /// # Errors
    ///
    /// When the CA cannot be read or the address cannot be listened on.
    pub async fn serve(&self, tls: &Tls) -> Result<Server, ServeError> {
        let config = Arc::new(self.server_config(tls)?);
        let listener = TcpListener::bind(tls.listen)
            .await
            .map_err(|error| ServeError::from("the address is not free")(error.into()))?;
        let address = listener
            .local_addr()
            .map_err(|error| ServeError::from("the address is unknown")(error.into()))?;
        let task = tokio::spawn(accept(self.clone(), listener, TlsAcceptor::from(config)));
        Ok(Server { address, task })
    }

    fn server_config(&self, tls: &Tls) -> Result<rustls::ServerConfig, ServeError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authority = certificate::certificate(&tls.ca_certificate)
            .ok_or_else(|| ServeError::new("the CA certificate is not a PEM certificate"))?;
        let key = certificate::key_pair(&tls.ca_key)
            .ok_or_else(|| ServeError::new("the CA key is not an EC or Ed25519 key in PEM"))?;
        let mut issuer = rcgen::CertificateParams::default();
        issuer.distinguished_name = certificate::distinguished_name(&authority)
            .ok_or_else(|| ServeError::new("the subject of the CA certificate cannot be read"))?;
        let issuer = rcgen::Issuer::new(issuer, key);
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        names.extend(tls.names.iter().cloned());
        let mut own = rcgen::CertificateParams::new(names).map_err(|error| {
            ServeError::from("a name of the certificate is not one")(error.into())
        })?;
        own.distinguished_name
            .push(rcgen::DnType::CommonName, "kube-apiserver");
        own.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let own_key = rcgen::KeyPair::generate()
            .map_err(|error| ServeError::from("no key could be made")(error.into()))?;
        let issued = own
            .signed_by(&own_key, &issuer)
            .map_err(|error| ServeError::from("the CA could not sign")(error.into()))?;
        let mut roots = RootCertStore::empty();
        roots
            .add(authority.clone())
            .map_err(|error| ServeError::from("the CA certificate is not valid")(error.into()))?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| {
                    ServeError::from("client certificates cannot be checked")(error.into())
                })?;
        let time = Arc::new(ModelledTime(self.clone()));
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own_key.serialize_der()));
        let mut config = rustls::ServerConfig::builder_with_details(provider, time)
            .with_safe_default_protocol_versions()
            .map_err(|error| ServeError::from("no protocol version is left")(error.into()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![issued.der().clone(), authority], key)
            .map_err(|error| {
                ServeError::from("the server's certificate is not usable")(error.into())
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

async fn accept(simulator: Simulator, listener: TcpListener, acceptor: TlsAcceptor) {
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (simulator, acceptor) = (simulator.clone(), acceptor.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let user = stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(<[_]>::first)
                .and_then(|one| certificate::user(one))
                .unwrap_or_else(User::anonymous);
            let service = service_fn(move |request| {
                let (simulator, user) = (simulator.clone(), user.clone());
                async move { respond(&simulator, user, request).await }
            });
            // A connection that breaks is the caller's to notice.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
