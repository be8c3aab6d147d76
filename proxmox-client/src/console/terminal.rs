//! A terminal session.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::frame;
use super::socket::{Socket, writes};
use super::ticket::ConsoleTicket;
use crate::error::{Error, Kind, Result, Sent};
use crate::upid::Upid;

/// The browser's terminal says as often that it is still there.
const PING: Duration = Duration::from_secs(30);
/// How long a terminal may take to accept its ticket.
const BEGIN: Duration = Duration::from_secs(10);

/// A session on a terminal, from [`Console::terminal`](super::Console::terminal).
///
/// What is written are keys, what is read is the screen's output, both as bytes; a line of input ends with `\r`. The
/// session is kept alive while it is read. It ends when it is dropped.
///
/// Example: see [`Console`](super::Console).
pub struct Terminal {
    socket: Socket,
    upid: Upid,
    keep: Interval,
    ping_due: bool,
}

impl Terminal {
    pub(super) async fn begin(socket: Socket, ticket: &ConsoleTicket) -> Result<Self> {
        let mut keep = tokio::time::interval_at(Instant::now() + PING, PING);
        keep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut session = Self {
            socket,
            upid: ticket.upid().clone(),
            keep,
            ping_due: false,
        };
        let broken = |error: io::Error| {
            Error::new(Kind::Interrupted, "the terminal broke off")
                .with_sent(Sent::Answered)
                .with_source(error)
        };
        let hello = format!("{}:{}\n", ticket.user(), ticket.ticket());
        session.send(|| hello.into_bytes()).await.map_err(broken)?;
        let mut answer = [0; 2];
        let read = tokio::time::timeout(BEGIN, session.read_exact(&mut answer)).await;
        let read = read.map_err(|_| {
            Error::new(Kind::Deadline, "the terminal did not begin in time").with_sent(Sent::Maybe)
        })?;
        match read {
            Ok(_) if answer == *b"OK" => Ok(session),
            Ok(_) => Err(Error::new(
                Kind::Decode,
                "the terminal begins with something else than OK",
            )
            .with_sent(Sent::Answered)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Error::new(
                Kind::Authentication,
                "the terminal closed the connection instead of accepting its ticket",
            )
            .with_sent(Sent::Answered)
            .with_source(error)),
            Err(error) => Err(broken(error)),
        }
    }

    async fn send(&mut self, message: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        let mut message = Some(message);
        poll_fn(|context| {
            self.socket.poll_send(context, || {
                message.take().map(|make| make()).unwrap_or_default()
            })
        })
        .await?;
        poll_fn(|context| self.socket.poll_flush(context)).await
    }

    /// Tells the size of the window in characters. A new session has none, which many programs take for 80 by 24.
    ///
    /// Example: see [`Console`](super::Console).
    ///
    /// # Errors
    /// [`Kind::Interrupted`] if the session is over.
    pub async fn resize(&mut self, columns: u16, rows: u16) -> Result<()> {
        let sent = self.send(|| frame::size(columns, rows)).await;
        sent.map_err(|error| {
            Error::new(Kind::Interrupted, "the terminal is closed")
                .doing("telling a terminal its size")
                .with_source(error)
        })
    }

    /// The task on the node that lasts as long as it.
    pub fn upid(&self) -> &Upid {
        &self.upid
    }

    fn keep_alive(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.keep.poll_tick(context).is_ready() {
            self.ping_due = true;
        }
        if self.ping_due
            && !self.socket.is_writing()
            && let Poll::Ready(sent) = self.socket.poll_send(context, frame::ping)
        {
            sent?;
        }
        // Input that waits to be sent says as well that someone is there.
        self.ping_due = false;
        Ok(())
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("upid", &self.upid)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Terminal {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let session = self.get_mut();
        let read = session.socket.poll_read(context, buffer);
        if read.is_pending() {
            session.keep_alive(context)?;
        }
        read
    }
}

writes!(Terminal, frame::input);

#[cfg(test)]
mod tests {
    use futures::{SinkExt, StreamExt};
    use serde_json::json;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    fn ticket() -> ConsoleTicket {
        let answer = json!({
            "port": "5900", "user": "root@pam", "ticket": "PVEVNC:6B003797::s3cret",
            "upid": "UPID:pve1:00007BC4:00028956:6B003797:vncshell::root@pam:",
        });
        ConsoleTicket::read(&answer.as_object().unwrap().clone().into(), 0).unwrap()
    }

    /// A session whose server answers the first line with `greeting`, and that server.
    async fn begun(
        greeting: &'static [u8],
    ) -> (Result<Terminal>, WebSocketStream<tokio::io::DuplexStream>) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let mut server = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        let socket = Socket::over(Box::pin(near)).await;
        let ticket = ticket();
        let answer = async {
            let hello = server.next().await.unwrap().unwrap();
            assert_eq!(hello.into_data(), "root@pam:PVEVNC:6B003797::s3cret\n");
            let message = match greeting {
                b"" => Message::Close(None),
                greeting => Message::Binary(greeting.into()),
            };
            server.send(message).await.unwrap();
        };
        let (session, ()) = tokio::join!(Terminal::begin(socket, &ticket), answer);
        (session, server)
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_read_says_every_thirty_seconds_that_it_is_there() {
        let (session, mut server) = begun(b"OK").await;
        let mut session = session.unwrap();
        let start = Instant::now();
        let reading = tokio::spawn(async move {
            let mut buffer = [0; 8];
            session
                .read(&mut buffer)
                .await
                .map(|count| buffer[..count].to_vec())
        });
        for round in 1..=3 {
            let ping = server.next().await.unwrap().unwrap();
            assert_eq!(ping.into_data(), "2");
            assert_eq!(start.elapsed().as_secs(), round * 30);
        }
        server
            .send(Message::Binary((&b"$ "[..]).into()))
            .await
            .unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), b"$ ");
    }

    #[tokio::test]
    async fn output_right_behind_the_greeting_is_not_lost() {
        let (session, _server) = begun(b"OKlogin: ").await;
        let mut text = [0; 7];
        session.unwrap().read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"login: ");
    }

    #[tokio::test]
    async fn a_terminal_that_closes_or_says_something_else_has_not_begun() {
        let (closed, _) = begun(b"").await;
        assert_eq!(closed.unwrap_err().kind(), Kind::Authentication);
        let (other, _) = begun(b"no").await;
        assert_eq!(other.unwrap_err().kind(), Kind::Decode);
    }
}
