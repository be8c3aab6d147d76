//! A node on loopback with real TLS: its own certificate in maintenance mode, the cluster's afterwards.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::access::{self, Access};
use super::node::NodeState;
use super::{Clock, Simulator};
use crate::error::{Error, ErrorKind};
use crate::secrets::pki;
use crate::tls;
use crate::wire;

/// A served node. Dropping it closes the port and the connections.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    fingerprint: String,
    task: JoinHandle<()>,
}

impl Served {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base64 SHA-256 of the public key that it shows in maintenance mode.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The modelled time, for the check of client certificates.
struct Modelled(Clock);

impl std::fmt::Debug for Modelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Modelled")
    }
}

impl TimeProvider for Modelled {
    fn current_time(&self) -> Option<UnixTime> {
        let since = (self.0)().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

impl Simulator {
    /// Serves a node of the world on a free port of 127.0.0.1. A client reaches it under the node's own address with
    /// [`ClientBuilder::connect_to`](crate::ClientBuilder::connect_to). Needs a tokio runtime with I/O.
    ///
    /// Reads the real clock for the lifetime of the certificates, because clients check them against it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown node, [`ErrorKind::Io`] when no port is free.
    pub async fn serve(&self, node: &str) -> Result<Served, Error> {
        let io = |error| Error::new(ErrorKind::Io, "listening on 127.0.0.1").with_source(error);
        let identity = self.maintenance_identity(node)?;
        let certificate = CertificateDer::from_pem_slice(identity.0.as_bytes()).ok();
        let fingerprint = certificate
            .and_then(|certificate| tls::fingerprint(&certificate))
            .unwrap_or_default();
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        let (simulator, name) = (self.clone(), node.to_owned());
        let task = tokio::spawn(async move {
            // Connections live in the set: they end with the task.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (simulator, name) = (simulator.clone(), name.clone());
                connections.spawn(async move { simulator.connection(&name, socket).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Served {
            address,
            fingerprint,
            task,
        })
    }

    fn maintenance_identity(&self, name: &str) -> Result<(String, String), Error> {
        self.with(|world, now| {
            let missing = || {
                Error::new(
                    ErrorKind::NotFound,
                    format!("the world has no node `{name}`"),
                )
            };
            let node = world.nodes.get_mut(name).ok_or_else(missing)?;
            if let Some(identity) = &node.maintenance_identity {
                return Ok(identity.clone());
            }
            let (certificate, key) = pki::self_signed(&[], &node.spec.addresses, earliest(now))?;
            let identity = (certificate, key.to_string());
            node.maintenance_identity = Some(identity.clone());
            Ok(identity)
        })
    }

    /// What the node shows now, and to whom; `None` when it does not listen.
    fn tls_config(&self, name: &str) -> Option<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let time = Arc::new(Modelled(self.inner.clock.clone()));
        let builder = ServerConfig::builder_with_details(provider, time)
            .with_safe_default_protocol_versions()
            .ok()?;
        let (authority, names, addresses) = self.with(|world, now| {
            world.settle(now);
            let node = world.nodes.get(name)?;
            let running = match node.state(now) {
                NodeState::Running => true,
                NodeState::Maintenance => false,
                _ => return None,
            };
            let (mut names, mut addresses) = (vec![node.hostname(now)], node.addresses(now));
            let config = node.running_config(now);
            for san in config.map(|config| config.cert_sans()).unwrap_or_default() {
                match san.parse::<IpAddr>() {
                    Ok(address) => addresses.push(address),
                    Err(_) => names.push(san),
                }
            }
            let virtual_ips = config
                .map(|config| config.virtual_ips())
                .unwrap_or_default();
            addresses.extend(
                virtual_ips
                    .iter()
                    .filter_map(|text| text.parse::<IpAddr>().ok()),
            );
            let trusted = config.map(|config| config.trusted_os_cas());
            match (running, world.server_authority(name, now)) {
                (false, _) => Some((None, names, addresses)),
                (true, Some((certificate, key))) => {
                    Some((Some((certificate, key, trusted?)), names, addresses))
                }
                (true, None) => None,
            }
        })?;
        let now = self.now();
        let (certificate, key, builder) = match authority {
            None => {
                let (certificate, key) = self.maintenance_identity(name).ok()?;
                (
                    certificate,
                    zeroize::Zeroizing::new(key),
                    builder.with_no_client_auth(),
                )
            }
            Some((ca_certificate, ca_key, trusted)) => {
                let signed = pki::server_certificate(
                    &ca_certificate,
                    &ca_key,
                    &names,
                    &addresses,
                    earliest(now),
                )
                .ok()?;
                (
                    signed.0,
                    signed.1,
                    builder.with_client_cert_verifier(access::client_verifier(&trusted)?),
                )
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?];
        let mut config = builder
            .with_single_cert(chain, tls::private_key(&key).ok()?)
            .ok()?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Some(Arc::new(config))
    }

    async fn connection(&self, name: &str, socket: TcpStream) {
        let Some(config) = self.tls_config(name) else {
            return;
        };
        let Ok(stream) = TlsAcceptor::from(config).accept(socket).await else {
            return;
        };
        let peer = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|der| der.to_vec());
        let access = match peer {
            None => Access::Maintenance,
            Some(certificate) => {
                // The handshake is over: the peer has verified this authority.
                let authority = self.with(|world, now| world.server_authority(name, now));
                let ca = authority.map(|(ca, _)| ca).unwrap_or_default();
                Access::Certificate { certificate, ca }
            }
        };
        let endpoint = self
            .with(|world, now| world.addresses(name, now).first().map(ToString::to_string))
            .unwrap_or_default();
        let broken = Arc::new(tokio::sync::Notify::new());
        let service = {
            let (simulator, broken) = (self.clone(), broken.clone());
            hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (simulator, broken) = (simulator.clone(), broken.clone());
                let (endpoint, access) = (endpoint.clone(), access.clone());
                async move {
                    let reply = match wire::Request::read(request).await {
                        Ok(request) => simulator.answer(&endpoint, &access, request).await.ok(),
                        Err(_) => None,
                    };
                    match reply {
                        Some(reply) => Ok::<_, Infallible>(reply.into_http()),
                        None => {
                            // The connection ends without an answer.
                            broken.notify_one();
                            std::future::pending().await
                        }
                    }
                }
            })
        };
        let serve = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            // An error here is the client's going away.
            _ = serve => {}
            () = broken.notified() => {}
        }
    }
}

/// Valid from before now, on the modelled and on the real clock.
fn earliest(modelled: SystemTime) -> SystemTime {
    modelled.min(SystemTime::now()) - Duration::from_secs(3600)
}
