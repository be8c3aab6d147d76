//! A screen: VNC as a stream of bytes.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::socket::{Socket, writes};
use super::ticket::ConsoleTicket;
use crate::upid::Upid;

/// A connection to a screen, from [`Console::vnc`](super::Console::vnc): bytes of the RFB protocol in both directions, for a
/// VNC library or to be passed on to a viewer. It ends when it is dropped.
///
/// Example: see [`Console::vnc`](super::Console::vnc).
pub struct Vnc {
    socket: Socket,
    ticket: ConsoleTicket,
}

impl Vnc {
    pub(super) fn new(socket: Socket, ticket: ConsoleTicket) -> Self {
        Self { socket, ticket }
    }

    /// The password for VNC authentication, of which the protocol uses the first eight bytes.
    pub fn password(&self) -> &str {
        let own = self.ticket.password();
        own.unwrap_or_else(|| self.ticket.ticket())
    }

    /// The task on the node that lasts as long as this connection.
    pub fn upid(&self) -> &Upid {
        self.ticket.upid()
    }
}

impl fmt::Debug for Vnc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vnc")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Vnc {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().socket.poll_read(context, buffer)
    }
}

writes!(Vnc, <[u8]>::to_vec);
