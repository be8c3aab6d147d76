//! gRPC requests and replies as plain data: what the simulator handles, and how it looks in HTTP.

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tonic::body::Body;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One request: all of its messages at once.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `/package.Service/Method`.
    pub(crate) path: String,
    /// ASCII metadata in the order received, keys in lower case.
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) messages: Vec<Bytes>,
}

/// The answer: messages, then a status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) messages: Vec<Bytes>,
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl Request {
    /// Takes a request apart; the body is length-prefixed messages.
    pub(crate) async fn read<B>(request: http::Request<B>) -> Result<Self, BoxError>
    where
        B: http_body::Body,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let mut body = body.collect().await.map_err(Into::into)?.to_bytes();
        let metadata = head
            .headers
            .iter()
            .filter_map(|(key, value)| {
                Some((key.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let mut messages = Vec::new();
        while body.len() >= 5 {
            let length = u32::from_be_bytes([body[1], body[2], body[3], body[4]]) as usize;
            let end = length
                .checked_add(5)
                .filter(|end| *end <= body.len())
                .ok_or("a message is cut off")?;
            messages.push(body.slice(5..end));
            body = body.slice(end..);
        }
        Ok(Self {
            path: head.uri.path().to_owned(),
            metadata,
            messages,
        })
    }
}

impl Reply {
    pub(crate) fn into_http(self) -> http::Response<Body> {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from(self.code));
        if !self.message.is_empty()
            && let Ok(value) = http::HeaderValue::from_str(&percent(&self.message))
        {
            trailers.insert("grpc-message", value);
        }
        let mut data = BytesMut::new();
        for message in &self.messages {
            data.put_u8(0);
            data.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
            data.put_slice(message);
        }
        let frames = [
            Ok::<_, BoxError>(http_body::Frame::data(data.freeze())),
            Ok(http_body::Frame::trailers(trailers)),
        ];
        let body = http_body_util::StreamBody::new(futures::stream::iter(frames));
        let mut response = http::Response::new(Body::new(body));
        response.headers_mut().insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/grpc"),
        );
        response
    }
}

/// The encoding of `grpc-message`: everything but printable ASCII, and `%` itself.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
