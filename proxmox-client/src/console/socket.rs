//! A websocket as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{Sink, Stream};
use sha1::{Digest, Sha1};
use tokio::io::ReadBuf;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

use crate::client::Client;
use crate::error::{Error, Kind, Result, Sent};
use crate::random;
use crate::transport::Duplex;
use crate::wire::Request;

/// What RFC 6455 has servers add to the key before they hash it.
const ACCEPTED: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The most bytes of one message: the server refuses larger ones than 128 KiB.
pub(super) const PIECE: usize = 16 * 1024;

pub(super) struct Socket {
    inner: WebSocketStream<Duplex>,
    /// Received and not read yet.
    rest: Bytes,
    /// Whether someone waits until more can be written, who must stay the one that is woken.
    writer_waits: bool,
}

impl Socket {
    pub(super) async fn connect(
        client: &Client,
        endpoint: usize,
        request: &Request,
    ) -> Result<Self> {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&random::number().to_ne_bytes());
        key[8..].copy_from_slice(&random::number().to_ne_bytes());
        let key = STANDARD.encode(key);
        let headers = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", &key),
            // The server closes connections that do not ask for it.
            ("sec-websocket-protocol", "binary"),
        ];
        let headers = headers.map(|(name, value)| (name, value.to_owned().into()));
        let headers = headers.into();
        let switched = client.upgrade(endpoint, request, headers).await?;
        let expected = STANDARD.encode(Sha1::digest(format!("{key}{ACCEPTED}")));
        if switched.accepted.as_deref() != Some(&expected) {
            return Err(Error::new(
                Kind::Decode,
                "the server changed to another protocol than websocket",
            )
            .with_sent(Sent::Answered));
        }
        Ok(Self::over(switched.stream).await)
    }

    /// Over a connection that has left HTTP.
    pub(super) async fn over(stream: Duplex) -> Self {
        Self {
            inner: WebSocketStream::from_raw_socket(stream, Role::Client, None).await,
            rest: Bytes::new(),
            writer_waits: false,
        }
    }

    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Text(text))) => self.rest = text.into(),
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Poll::Ready(ended(error)),
            }
        }
        let count = buffer.remaining().min(self.rest.len());
        buffer.put_slice(&self.rest.split_to(count));
        Poll::Ready(Ok(()))
    }

    /// Takes a message once there is room, and sends what can be sent now.
    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        message: impl FnOnce() -> Vec<u8>,
    ) -> Poll<io::Result<()>> {
        let room = Pin::new(&mut self.inner).poll_ready(context);
        self.writer_waits = room.is_pending();
        ready!(room).map_err(failed)?;
        let message = Message::Binary(message().into());
        Pin::new(&mut self.inner)
            .start_send(message)
            .map_err(failed)?;
        match self.poll_flush(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // It is kept, and goes with the next flush or the next message.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.writer_waits = flushed.is_pending();
        flushed.map_err(failed)
    }

    pub(super) fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner)
            .poll_close(context)
            .map_err(failed)
    }

    /// Whether a message is still on its way, so that none is needed to say that the client is there.
    pub(super) fn is_writing(&self) -> bool {
        self.writer_waits
    }
}

/// Writes to a session go to its socket, in messages that `$frame` makes of at most [`PIECE`] bytes.
macro_rules! writes {
    ($Session:ident, $frame:expr) => {
        impl tokio::io::AsyncWrite for $Session {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                let piece = &bytes[..bytes.len().min(super::socket::PIECE)];
                let sent = self.get_mut().socket.poll_send(context, || $frame(piece));
                sent.map_ok(|()| piece.len())
            }

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.get_mut().socket.poll_flush(context)
            }

            fn poll_shutdown(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.get_mut().socket.poll_close(context)
            }
        }
    };
}

pub(super) use writes;

fn failed(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            io::Error::new(io::ErrorKind::BrokenPipe, "the console is closed")
        }
        other => io::Error::other(other),
    }
}

/// How reading ends: orderly, or with what went wrong.
fn ended(error: tungstenite::Error) -> io::Result<()> {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => Ok(()),
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection to the console broke",
        )),
        other => Err(failed(other)),
    }
}
