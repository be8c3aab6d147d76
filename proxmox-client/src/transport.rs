//! Sends requests: over HTTPS here, or into a simulator of the same process.

mod proxy;

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io::Read as _;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderValue;
use secrecy::zeroize::Zeroizing;

use crate::error::{Error, Kind, Result, Sent};
use crate::wire::{Answer, Method};

pub use proxy::Proxy;

/// Most bytes of an answer that came packed.
const LONGEST_UNPACKED: u64 = 256 << 20;

/// Most bytes reserved because an answer says that it is so long.
const LONGEST_RESERVED: u64 = 64 << 20;

/// A boxed future, so that carriers are objects.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Names and values that say who asks; wiped when they are dropped.
pub(crate) type Headers = Vec<(&'static str, Zeroizing<String>)>;

/// One HTTP exchange, ready to be sent.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// Path and query, from `/api2/json` on.
    pub(crate) target: Zeroizing<String>,
    pub(crate) headers: Headers,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Option<Body>,
    pub(crate) deadline: Option<Duration>,
}

/// A request body.
pub(crate) enum Body {
    /// A form; wiped when it is dropped.
    Text(Zeroizing<String>),
    /// Pieces that come one after the other, and how many bytes they are together.
    Pieces { length: u64, pieces: Pieces },
}

/// A body that is made while it is sent.
pub(crate) type Pieces = Pin<Box<dyn futures::Stream<Item = std::io::Result<Vec<u8>>> + Send>>;

/// Something that carries a request to a server and its answer back.
pub(crate) trait Carrier: Send + Sync + fmt::Debug {
    /// `endpoint` counts the addresses that the client was given.
    fn send(&self, endpoint: usize, outgoing: Outgoing) -> BoxFuture<'_, Result<Answer>>;

    /// Sends a request that leaves HTTP, and gives the connection.
    #[cfg(feature = "console")]
    fn upgrade(&self, endpoint: usize, outgoing: Outgoing) -> BoxFuture<'_, Result<Switched>>;
}

/// A connection that left HTTP.
#[cfg(feature = "console")]
pub(crate) struct Switched {
    /// What the server says to have accepted, for websockets.
    pub(crate) accepted: Option<String>,
    pub(crate) stream: Duplex,
}

/// Bytes in both directions.
#[cfg(feature = "console")]
pub(crate) type Duplex = Pin<Box<dyn Both>>;

/// What is read and written.
#[cfg(feature = "console")]
pub(crate) trait Both: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send {}

#[cfg(feature = "console")]
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send> Both for T {}

/// HTTPS through reqwest.
pub(crate) struct Https {
    client: reqwest::Client,
    endpoints: Vec<String>,
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Https")
            .field("endpoints", &self.endpoints)
            .finish()
    }
}

/// Begins a connection to an address and sends nothing that means anything.
pub(crate) async fn handshake(endpoint: &str, config: rustls::ClientConfig) -> Result<()> {
    let origin = crate::client::origin(endpoint)?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .build()
        .map_err(|error| Error::invalid("the HTTP client cannot be built").with_source(error))?;
    let request = client.head(origin).timeout(Duration::from_secs(10));
    request.send().await.map(|_| ()).map_err(failure)
}

impl Https {
    /// `endpoints` are origins without a trailing slash.
    pub(crate) fn new(
        endpoints: Vec<String>,
        tls: rustls::ClientConfig,
        proxy: Option<&Proxy>,
        connect: Duration,
    ) -> Result<Self> {
        let mut builder = reqwest::Client::builder().no_proxy();
        if let Some(proxy) = proxy {
            // Its error would show the address, and a password with it.
            let exceptions = proxy.exceptions().and_then(reqwest::NoProxy::from_string);
            let proxy = reqwest::Proxy::all(proxy.url())
                .map_err(|_| Error::invalid("the proxy's address cannot be used"))?;
            builder = builder.proxy(proxy.no_proxy(exceptions));
        }
        let client = builder
            .tls_backend_preconfigured(tls)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(connect)
            // The server closes idle connections after five seconds.
            .pool_idle_timeout(Duration::from_secs(3))
            .build()
            .map_err(|error| {
                Error::invalid("the HTTP client cannot be built").with_source(error)
            })?;
        Ok(Self { client, endpoints })
    }

    /// A request with method, address and headers.
    fn request(&self, endpoint: usize, outgoing: &mut Outgoing) -> Result<reqwest::RequestBuilder> {
        let method = match outgoing.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let origin = &self.endpoints[endpoint % self.endpoints.len()];
        let address = crate::secret::joined(&[origin, &outgoing.target]);
        let mut request = self.client.request(method, address.as_str());
        for (name, value) in outgoing.headers.drain(..) {
            // It is not copied here, so that it is wiped when the last one lets go of it.
            let value = HeaderValue::from_maybe_shared(Bytes::from_owner(value));
            let mut value = value.map_err(|_| {
                Error::invalid(format!("header {name} cannot hold the given credentials"))
            })?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        Ok(request)
    }
}

/// The whole answer.
async fn answer(response: reqwest::Response) -> Result<Answer> {
    let status = response.status();
    let reason = response
        .extensions()
        .get::<hyper::ext::ReasonPhrase>()
        .map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned())
        .or_else(|| status.canonical_reason().map(str::to_owned))
        .unwrap_or_default();
    // The journal comes packed although nobody asks for it.
    let packed = response.headers().get(reqwest::header::CONTENT_ENCODING);
    let packed = packed.is_some_and(|encoding| encoding.as_bytes() == b"gzip");
    let body = body(response).await?;
    if !packed {
        return Ok(Answer::new(status.as_u16(), reason, body));
    }
    let body = unpacked(&body).map_err(|error| {
        Error::new(Kind::Decode, "the packed answer cannot be read")
            .with_sent(Sent::Answered)
            .with_source(error)
    })?;
    Ok(Answer::new(status.as_u16(), reason, body))
}

/// The body in one piece that grows once where its length is known: lists of large clusters have megabytes, which are not
/// held twice.
async fn body(mut response: reqwest::Response) -> Result<Vec<u8>> {
    let length = response.content_length().unwrap_or_default();
    let mut body = Vec::with_capacity(length.min(LONGEST_RESERVED) as usize);
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a packed body holds, up to a size that no answer has.
fn unpacked(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(body).take(LONGEST_UNPACKED + 1);
    reader.read_to_end(&mut out)?;
    if out.len() as u64 > LONGEST_UNPACKED {
        return Err(std::io::Error::other("it is too long once it is unpacked"));
    }
    Ok(out)
}

impl Carrier for Https {
    #[cfg(feature = "console")]
    fn upgrade(&self, endpoint: usize, mut outgoing: Outgoing) -> BoxFuture<'_, Result<Switched>> {
        Box::pin(async move {
            // A limit of the request itself would also end the connection that it becomes.
            let limit = outgoing.deadline.unwrap_or(Duration::MAX);
            let sending = self.request(endpoint, &mut outgoing)?.send();
            let response = tokio::time::timeout(limit, sending).await.map_err(|_| {
                Error::new(Kind::Deadline, "no answer in time").with_sent(Sent::Maybe)
            })?;
            let response = response.map_err(failure)?;
            if response.status() != reqwest::StatusCode::SWITCHING_PROTOCOLS {
                let answer = answer(response).await?;
                return Err(answer.failure().unwrap_or_else(|| {
                    Error::new(Kind::Decode, "the server did not open a websocket")
                        .with_sent(Sent::Answered)
                }));
            }
            let accepted = response.headers().get("sec-websocket-accept");
            let accepted = accepted.and_then(|value| Some(value.to_str().ok()?.to_owned()));
            let stream = response.upgrade().await.map_err(failure)?;
            Ok(Switched {
                accepted,
                stream: Box::pin(stream),
            })
        })
    }

    fn send(&self, endpoint: usize, mut outgoing: Outgoing) -> BoxFuture<'_, Result<Answer>> {
        Box::pin(async move {
            let mut request = self.request(endpoint, &mut outgoing)?;
            if let Some(kind) = outgoing.content_type {
                request = request.header(reqwest::header::CONTENT_TYPE, kind);
            }
            if let Some(deadline) = outgoing.deadline {
                request = request.timeout(deadline);
            }
            match outgoing.body {
                Some(Body::Text(text)) => request = request.body(Bytes::from_owner(text)),
                Some(Body::Pieces { length, pieces }) => {
                    // The server refuses chunked bodies; with a length hyper sends none.
                    let shared = SyncPieces(std::sync::Mutex::new(pieces));
                    request = request
                        .header(reqwest::header::CONTENT_LENGTH, length)
                        .body(reqwest::Body::wrap_stream(shared));
                }
                None => {}
            }
            answer(request.send().await.map_err(failure)?).await
        })
    }
}

/// reqwest wants bodies that can be shared, though it never shares them.
struct SyncPieces(std::sync::Mutex<Pieces>);

impl futures::Stream for SyncPieces {
    type Item = std::io::Result<Vec<u8>>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let pieces = self
            .get_mut()
            .0
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        pieces.as_mut().poll_next(context)
    }
}

/// Sorts a failure of reqwest by what is known about the request's fate.
fn failure(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let (kind, sent, message) = if certificate(&error) {
        (
            Kind::Certificate,
            Sent::No,
            "the server's certificate is not accepted",
        )
    } else if error.is_connect() {
        (Kind::Connect, Sent::No, "no connection to the server")
    } else if error.is_timeout() {
        (Kind::Deadline, Sent::Maybe, "no answer in time")
    } else if error.is_builder() {
        (Kind::InvalidInput, Sent::No, "the request cannot be built")
    } else {
        (
            Kind::Interrupted,
            Sent::Maybe,
            "the connection broke before the whole answer came",
        )
    };
    Error::new(kind, message).with_sent(sent).with_source(error)
}

fn certificate(error: &reqwest::Error) -> bool {
    let mut source: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(inner) = source {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return matches!(
                tls,
                rustls::Error::InvalidCertificate(_) | rustls::Error::General(_)
            );
        }
        // TLS errors travel inside io::Error, which shows them as its inner error, not as its source.
        let wrapped = inner
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        source = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => inner.source(),
        };
    }
    false
}
