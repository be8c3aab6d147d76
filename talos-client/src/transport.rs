//! gRPC over TLS, or over a function call: the only file that names the gRPC library.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::error::{Error, ErrorKind};
#[cfg(feature = "simulator")]
use crate::wire;

/// Largest message that is read, as in the reference client.
const MAX_MESSAGE: usize = 32 << 20;

type BoxError = Box<dyn StdError + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[cfg(feature = "simulator")]
/// Answers requests in the same process: the simulator, or a test's own.
pub(crate) trait InProcess: Send + Sync {
    fn call(&self, request: wire::Request) -> BoxFuture<Result<wire::Reply, Refused>>;
}

#[cfg(feature = "simulator")]
/// Why a peer in the same process gives no answer.
#[derive(Debug)]
pub(crate) enum Refused {
    /// As if no connection came about.
    NotConnected { tls: bool, message: String },
    /// As if the connection broke after the request was sent.
    Broken,
}

/// One endpoint's connection, made when first used.
#[derive(Clone)]
pub(crate) enum Link {
    Network(Channel),
    #[cfg(feature = "simulator")]
    InProcess(Arc<dyn InProcess>),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network(_) => "Network",
            #[cfg(feature = "simulator")]
            Self::InProcess(_) => "InProcess",
        })
    }
}

/// How a network endpoint is reached.
#[derive(Clone)]
pub(crate) struct Dial {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) overrides: Arc<HashMap<String, SocketAddr>>,
    pub(crate) connect_timeout: Duration,
}

impl Link {
    pub(crate) fn network(dial: Dial) -> Result<Self, Error> {
        let bracketed = if dial.host.contains(':') {
            format!("[{}]", dial.host)
        } else {
            dial.host.clone()
        };
        let uri = format!("http://{bracketed}:{}", dial.port);
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|error| {
                Error::new(
                    ErrorKind::InvalidArgument,
                    format!("{bracketed} is not a host"),
                )
                .with_source(error)
            })?
            .initial_stream_window_size(2 << 20)
            .initial_connection_window_size(1 << 20);
        Ok(Self::Network(endpoint.connect_with_connector_lazy(dial)))
    }
}

/// Why no connection came about: the request was not sent.
#[derive(Debug)]
struct ConnectError {
    tls: bool,
    message: String,
    source: Option<BoxError>,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<tokio_rustls::client::TlsStream<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move {
            let name = format!("{}:{}", dial.host, dial.port);
            let failed = |tls: bool, message: String, source: Option<BoxError>| -> BoxError {
                Box::new(ConnectError {
                    tls,
                    message,
                    source,
                })
            };
            let connect = async {
                let socket = match dial.overrides.get(&name) {
                    Some(address) => TcpStream::connect(address).await,
                    None => TcpStream::connect((dial.host.as_str(), dial.port)).await,
                };
                let socket = socket.map_err(|error| {
                    failed(false, format!("connecting to {name}"), Some(error.into()))
                })?;
                socket.set_nodelay(true).map_err(|error| {
                    failed(false, format!("connecting to {name}"), Some(error.into()))
                })?;
                let server = ServerName::try_from(dial.host.clone()).map_err(|error| {
                    failed(
                        true,
                        format!("{} is not a server name", dial.host),
                        Some(error.into()),
                    )
                })?;
                let stream = TlsConnector::from(dial.tls.clone())
                    .connect(server, socket)
                    .await;
                stream.map_err(|error| {
                    let tls = error
                        .get_ref()
                        .is_some_and(|inner| inner.is::<rustls::Error>());
                    failed(
                        tls,
                        format!("TLS handshake with {name}"),
                        Some(error.into()),
                    )
                })
            };
            match tokio::time::timeout(dial.connect_timeout, connect).await {
                Ok(stream) => stream.map(TokioIo::new),
                Err(_) => Err(failed(
                    false,
                    format!(
                        "connecting to {name}: no answer within {:?}",
                        dial.connect_timeout
                    ),
                    None,
                )),
            }
        })
    }
}

impl Service<http::Request<Body>> for Link {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<Result<http::Response<Body>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Network(channel) => channel.poll_ready(context).map_err(Into::into),
            #[cfg(feature = "simulator")]
            Self::InProcess(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match self {
            Self::Network(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { answer.await.map_err(Into::into) })
            }
            #[cfg(feature = "simulator")]
            Self::InProcess(peer) => {
                let peer = peer.clone();
                Box::pin(async move {
                    let request = wire::Request::read(request).await?;
                    let reply = peer.call(request).await.map_err(|refused| -> BoxError {
                        match refused {
                            Refused::NotConnected { tls, message } => Box::new(ConnectError {
                                tls,
                                message,
                                source: None,
                            }),
                            Refused::Broken => "the connection was reset".into(),
                        }
                    })?;
                    Ok(reply.into_http())
                })
            }
        }
    }
}

/// What goes along with a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    pub(crate) metadata: Vec<(&'static str, String)>,
    pub(crate) timeout: Option<Duration>,
}

impl Route {
    fn request<T>(&self, message: T) -> Result<Request<T>, Error> {
        let mut request = Request::new(message);
        for (key, value) in &self.metadata {
            let value: AsciiMetadataValue = value.parse().map_err(|_| {
                Error::new(
                    ErrorKind::InvalidArgument,
                    format!("`{value}` cannot be sent as {key}"),
                )
            })?;
            request
                .metadata_mut()
                .append(AsciiMetadataKey::from_static(key), value);
        }
        Ok(request)
    }
}

pub(crate) async fn unary<Q, A>(
    link: &Link,
    route: &Route,
    path: &'static str,
    message: Q,
) -> Result<A, Failure>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let request = route.request(message)?;
    let mut grpc = tonic::client::Grpc::new(link.clone())
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let call = async {
        grpc.ready()
            .await
            .map_err(|error| Failure::from_transport(&*error))?;
        let answer = grpc
            .unary(
                request,
                PathAndQuery::from_static(path),
                ProstCodec::<Q, A>::new(),
            )
            .await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(Failure::from_status)
    };
    match route.timeout {
        None => call.await,
        Some(limit) => tokio::time::timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(Failure::timeout(path, limit))),
    }
}

/// A stream of answers.
#[derive(Debug)]
pub(crate) struct Answers<A>(Streaming<A>);

impl<A> Answers<A> {
    pub(crate) async fn next(&mut self) -> Result<Option<A>, Error> {
        self.0
            .message()
            .await
            .map_err(|status| Failure::from_status(status).error)
    }
}

pub(crate) async fn server_stream<Q, A>(
    link: &Link,
    route: &Route,
    path: &'static str,
    message: Q,
) -> Result<Answers<A>, Failure>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let request = route.request(message)?;
    let mut grpc = tonic::client::Grpc::new(link.clone())
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    grpc.ready()
        .await
        .map_err(|error| Failure::from_transport(&*error))?;
    let answer = grpc
        .server_streaming(
            request,
            PathAndQuery::from_static(path),
            ProstCodec::<Q, A>::new(),
        )
        .await;
    answer
        .map(|stream| Answers(stream.into_inner()))
        .map_err(Failure::from_status)
}

pub(crate) async fn client_stream<Q, A>(
    link: &Link,
    route: &Route,
    path: &'static str,
    messages: Vec<Q>,
) -> Result<A, Failure>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let request = route.request(futures::stream::iter(messages))?;
    let mut grpc = tonic::client::Grpc::new(link.clone())
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    grpc.ready()
        .await
        .map_err(|error| Failure::from_transport(&*error))?;
    let answer = grpc
        .client_streaming(
            request,
            PathAndQuery::from_static(path),
            ProstCodec::<Q, A>::new(),
        )
        .await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(Failure::from_status)
}

/// An error and whether the request can have reached the node.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) sent: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, sent: false }
    }
}

impl Failure {
    fn timeout(path: &str, limit: Duration) -> Self {
        let method = path.rsplit('/').next().unwrap_or(path);
        Self {
            error: Error::new(
                ErrorKind::Timeout,
                format!("{method}: no answer within {limit:?}"),
            ),
            sent: true,
        }
    }

    fn from_transport(error: &(dyn StdError + 'static)) -> Self {
        let chain = chain(error);
        let refused_us = chain
            .iter()
            .any(|text| text.contains("CertificateRequired"));
        let bad_peer = chain
            .iter()
            .any(|text| text.contains("invalid peer certificate"));
        let connect = find::<ConnectError>(error);
        let (kind, message) = match connect {
            Some(connect) if connect.tls => (ErrorKind::Tls, connect.message.clone()),
            Some(connect) => (ErrorKind::Unavailable, connect.message.clone()),
            None if refused_us => (
                ErrorKind::Tls,
                "the node asks for a client certificate".to_owned(),
            ),
            None => (ErrorKind::Unavailable, "the connection broke".to_owned()),
        };
        let mut out = Error::new(kind, message);
        let cause = match connect {
            Some(connect) => connect
                .source
                .as_deref()
                .map(|source| crate::transport::chain(source).join(": ")),
            None => Some(chain.join(": ")),
        };
        if let Some(cause) = cause {
            out = out.with_source(cause);
        }
        if refused_us {
            out = out.with_hint(
                "the node is configured; use the cluster's credentials instead of maintenance mode",
            );
        } else if bad_peer {
            out = out.with_hint("the node is in maintenance mode, or belongs to another cluster");
        }
        Self {
            error: out,
            sent: connect.is_none(),
        }
    }

    fn from_status(status: Status) -> Self {
        if let Some(source) = status.source()
            && (status.code() == Code::Unavailable || status.code() == Code::Unknown)
        {
            return Self::from_transport(source);
        }
        Self {
            error: status_error(status.code() as i32, status.message()),
            sent: true,
        }
    }
}

/// The error of a gRPC status, also of one inside an answer's metadata.
pub(crate) fn status_error(code: i32, message: &str) -> Error {
    let kind = match Code::from_i32(code) {
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidArgument,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::PermissionDenied => ErrorKind::PermissionDenied,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::FailedPrecondition | Code::Aborted => ErrorKind::FailedPrecondition,
        Code::Unavailable | Code::ResourceExhausted => ErrorKind::Unavailable,
        Code::DeadlineExceeded => ErrorKind::Timeout,
        Code::Unimplemented => ErrorKind::Unimplemented,
        Code::DataLoss => ErrorKind::Protocol,
        _ => ErrorKind::Remote,
    };
    let message = if message.is_empty() {
        format!("status {code}")
    } else {
        message.to_owned()
    };
    Error::new(kind, message)
}

fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = error.source();
    }
    texts
}

fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
