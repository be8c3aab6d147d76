//! HTTPS on loopback.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::console::{SimConsole, converse};
use super::handle::{Exchange, Simulator};
use super::http::Arrived;
use super::multipart::Upload;
use crate::error::{Error, Kind, Result};

/// A running server; stops when dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::simulator::Simulator;
/// use proxmox_client::{Client, Trust};
/// let server = Simulator::lab().serve().await.unwrap();
/// let client = Client::builder()
///     .endpoint(server.endpoint())
///     .trust(Trust::fingerprint(server.fingerprint())?)
///     .token("root@pam!lab=lab-secret")
///     .build()?;
/// assert_eq!(client.nodes().await?[0].node, "pve1");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    certificate: String,
    fingerprint: String,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a client's endpoint.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its certificate as PEM, which also serves as its authority.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// SHA-256 fingerprint of its certificate.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Simulator {
    /// Serves this world over HTTPS on a free port of 127.0.0.1, until the server is dropped.
    pub async fn serve(&self) -> Result<Server> {
        self.serve_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Serves this world over HTTPS on an address.
    pub async fn serve_on(&self, address: SocketAddr) -> Result<Server> {
        let failed = |what: &str| {
            Error::new(
                Kind::InvalidInput,
                format!("the simulator cannot serve: {what}"),
            )
        };
        let names = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            address.ip().to_string(),
        ];
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|error| failed("no certificate").with_source(error))?;
        let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| failed("no key").with_source(error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![made.cert.der().clone()], key)
            })
            .map_err(|error| failed("no TLS").with_source(error))?;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| failed("no port").with_source(error))?;
        let address = listener
            .local_addr()
            .map_err(|error| failed("no address").with_source(error))?;
        let digest = Sha256::digest(made.cert.der());
        let fingerprint: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let simulator = self.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                while connections.try_join_next().is_some() {}
                let (acceptor, simulator) = (acceptor.clone(), simulator.clone());
                connections.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let call = Mutex::new(None);
                    let service = service_fn(|request| answer(&simulator, &call, request));
                    // A client that goes away ends its connection, nothing else.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                    let call = call.into_inner().unwrap_or_else(PoisonError::into_inner);
                    if let Some(call) = call {
                        call.hold(&simulator).await;
                    }
                });
            }
        });
        Ok(Server {
            address,
            certificate: made.cert.pem(),
            fingerprint: fingerprint.join(":"),
            accepting,
        })
    }
}

/// The connection is broken without an answer.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is broken on purpose")
    }
}

impl std::error::Error for Broken {}

/// A websocket that was accepted, to be held once HTTP has let go of its connection.
struct Accepted {
    upgrade: OnUpgrade,
    port: u16,
    console: SimConsole,
}

impl Accepted {
    async fn hold(self, simulator: &Simulator) {
        if let Ok(stream) = self.upgrade.await {
            converse(simulator, self.port, self.console, TokioIo::new(stream)).await;
        }
    }
}

/// What a client adds to the request for a console's port to leave HTTP.
fn accepted_key(headers: &BTreeMap<String, String>) -> Option<String> {
    let asks = headers
        .get("upgrade")
        .is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"));
    let key = headers.get("sec-websocket-key").filter(|_| asks)?;
    // The constant is that of RFC 6455.
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    Some(base64::engine::general_purpose::STANDARD.encode(digest))
}

/// The port that an answer of `vncwebsocket` names.
fn console_port(body: &[u8]) -> Option<u16> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    answer.pointer("/data/port")?.as_str()?.parse().ok()
}

fn pack(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

async fn answer(
    simulator: &Simulator,
    call: &Mutex<Option<Accepted>>,
    mut request: Request<Incoming>,
) -> std::result::Result<Response<Full<Bytes>>, Broken> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let mut headers = BTreeMap::new();
    for (name, value) in &parts.headers {
        headers.insert(
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        );
    }
    let chunked = headers
        .get("transfer-encoding")
        .is_some_and(|value| value.contains("chunked"));
    let kind = headers.get("content-type").map_or("", String::as_str);
    let mut upload = Upload::new(kind);
    let mut whole = Vec::new();
    let mut body = body;
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame.map_err(|_| Broken)?.into_data() else {
            continue;
        };
        match &mut upload {
            Some(upload) => upload.feed(&bytes),
            None => whole.extend_from_slice(&bytes),
        }
    }
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    let key = accepted_key(&headers).filter(|_| parts.uri.path().ends_with("/vncwebsocket"));
    let arrived = Arrived {
        method: parts.method.as_str().to_owned(),
        target,
        headers,
        body: whole,
        chunked,
        upload,
    };
    match simulator.exchange(arrived).await {
        Exchange::Broken => Err(Broken),
        Exchange::Answer(reply) if reply.status == 200 && key.is_some() => {
            let port = console_port(&reply.body).ok_or(Broken)?;
            // Nothing listens at the port once the console has given up.
            let console = simulator.with(|world| world.connect_console(port));
            let console = console.ok_or(Broken)?;
            *call.lock().unwrap_or_else(PoisonError::into_inner) = Some(Accepted {
                upgrade,
                port,
                console,
            });
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header(hyper::header::UPGRADE, "websocket")
                .header(hyper::header::CONNECTION, "upgrade")
                .header("sec-websocket-accept", key.unwrap_or_default())
                .header("sec-websocket-protocol", "binary")
                .body(Full::default())
                .map_err(|_| Broken)
        }
        Exchange::Answer(reply) => {
            let body = if reply.packed {
                pack(&reply.body).map_err(|_| Broken)?
            } else {
                reply.body
            };
            let mut response = Response::new(Full::new(Bytes::from(body)));
            *response.status_mut() =
                StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if let Ok(reason) = ReasonPhrase::try_from(reply.reason.into_bytes()) {
                response.extensions_mut().insert(reason);
            }
            let headers = response.headers_mut();
            let value = hyper::header::HeaderValue::from_static;
            headers.insert(hyper::header::SERVER, value("pve-api-daemon/3.0"));
            if reply.packed {
                headers.insert(hyper::header::CONTENT_ENCODING, value("gzip"));
            }
            if reply.json {
                headers.insert(
                    hyper::header::CONTENT_TYPE,
                    value("application/json;charset=UTF-8"),
                );
            }
            Ok(response)
        }
    }
}
