//! The API as an HTTP service: for `kube` in process, and for connections of the TLS server.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{self, Stream};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT, WARNING};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

use super::answer::{Answer, Body, Request, Response};
use super::refusal::Refusal;
use super::settings::User;
use super::simulator::Simulator;
use super::watch::Watch;

/// Body of an answer: a document, or the lines of a watch.
pub type ResponseBody = UnsyncBoxBody<Bytes, Broken>;

/// The connection broke: before an answer, or in the middle of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection reset by the simulated API server")
    }
}

impl std::error::Error for Broken {}

/// A connection in process: `kube::Client::new(simulator.service(), "default")`.
#[derive(Clone, Debug)]
pub struct Service {
    simulator: Simulator,
    user: User,
}

impl Simulator {
    /// A connection of the administrator.
    #[must_use]
    pub fn service(&self) -> Service {
        self.service_as(User::admin())
    }

    /// A connection of another user.
    #[must_use]
    pub fn service_as(&self, user: User) -> Service {
        Service {
            simulator: self.clone(),
            user,
        }
    }

    /// The ordinary client, connected in process.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }
}

impl<B> tower::Service<http::Request<B>> for Service
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
{
    type Response = http::Response<ResponseBody>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let Self { simulator, user } = self.clone();
        Box::pin(async move { respond(&simulator, user, request).await })
    }
}

/// Answers one HTTP request; an `Authorization` header overrides the connection's user.
pub(crate) async fn respond<B>(
    simulator: &Simulator,
    user: User,
    request: http::Request<B>,
) -> Result<http::Response<ResponseBody>, Broken>
where
    B: hyper::body::Body<Data = Bytes> + Send,
    B::Error: fmt::Display,
{
    let (parts, body) = request.into_parts();
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|one: &http::HeaderValue| one.to_str().ok())
            .unwrap_or("")
    };
    let mut asked = Request::new(parts.method.as_str(), parts.uri.path());
    asked.query = parts.uri.query().unwrap_or_default().to_owned();
    asked.accept = header(ACCEPT).to_owned();
    asked.content_type = header(CONTENT_TYPE).to_owned();
    asked.user_agent = header(USER_AGENT).to_owned();
    asked.user = user;
    if let Some(token) = header(AUTHORIZATION).strip_prefix("Bearer ") {
        match simulator.user_of(token.trim()) {
            Some(user) => asked.user = user,
            None => {
                let refusal = Refusal::unauthorized();
                return Ok(whole(Response::json(refusal.code, refusal.to_json())));
            }
        }
    }
    asked.body = body
        .collect()
        .await
        .map_err(|_| Broken)?
        .to_bytes()
        .to_vec();
    match simulator.serve_one(&asked).await.ok_or(Broken)? {
        Answer::Complete(response) => Ok(whole(response)),
        Answer::Watch(watch) => {
            let lines = StreamBody::new(lines(simulator.clone(), watch)).boxed_unsync();
            let mut response = http::Response::new(lines);
            let json = http::HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            Ok(response)
        }
    }
}

fn whole(answer: Response) -> http::Response<ResponseBody> {
    let bytes = match &answer.body {
        Body::Json(value) => Bytes::from(value.to_string()),
        Body::Text(text) => Bytes::from(text.clone()),
    };
    let body = Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    let mut response = http::Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(answer.status)
        .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = http::HeaderValue::from_str(&answer.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    for warning in &answer.warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = http::HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}

/// The events of a watch, one JSON document a line, as the world moves on.
fn lines(
    simulator: Simulator,
    watch: Watch,
) -> impl Stream<Item = Result<hyper::body::Frame<Bytes>, Broken>> + Send {
    stream::unfold(Some(watch), move |watch| {
        let simulator = simulator.clone();
        async move {
            let mut watch = watch?;
            loop {
                // Time alone may bring changes, so the world is also looked at without a request.
                let changed = simulator.shared.changed.notified();
                let Some(events) = simulator.poll_watch(&mut watch) else {
                    return Some((Err(Broken), None));
                };
                if !events.is_empty() {
                    let text: String = events.iter().map(|one| format!("{one}\n")).collect();
                    return Some((Ok(hyper::body::Frame::data(Bytes::from(text))), Some(watch)));
                }
                if watch.is_over() {
                    return None;
                }
                let _ = tokio::time::timeout(simulator.shared.poll, changed).await;
            }
        }
    })
}
