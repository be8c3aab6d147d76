//! Consoles that wait for a connection, and the sessions on them.

mod frame;
mod shell;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::handle::Simulator;
use super::world::World;
use shell::Shell;

/// How long a console waits for its connection.
const WAIT: Duration = Duration::from_secs(10);
/// How long a ticket is good, whether the console still waits or not.
const TICKET_LIFE: Duration = Duration::from_secs(40);
/// The first port of consoles.
const FIRST_PORT: u16 = 5900;

/// Consoles by port.
pub(super) type Consoles = BTreeMap<u16, SimConsole>;

/// A console that was asked for.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct SimConsole {
    /// What rights on it are about: `/nodes/pve1` or `/vms/100`.
    pub(super) path: String,
    /// `user@realm` or `user@realm!token`.
    pub(super) user: String,
    pub(super) ticket: String,
    pub(super) screen: Screen,
    pub(super) upid: String,
    pub(super) opened: SystemTime,
    pub(super) state: State,
}

/// What is behind a console.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
pub(super) enum Screen {
    Terminal,
    Vnc,
}

#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    Waiting,
    Connected,
    Over,
}

impl World {
    /// Lets a console wait; gives its port.
    pub(super) fn add_console(&mut self, console: SimConsole) -> u16 {
        let now = self.now;
        self.consoles.retain(|_, old| {
            old.state != State::Over
                || now.duration_since(old.opened).unwrap_or_default() < TICKET_LIFE
        });
        let port = self.free_console_port();
        self.consoles.insert(port, console);
        port
    }

    /// The first port that no console has.
    pub(super) fn free_console_port(&self) -> u16 {
        let free = (FIRST_PORT..).find(|port| !self.consoles.contains_key(port));
        free.unwrap_or(u16::MAX)
    }

    /// Whether a ticket opens a console of this user there.
    pub(super) fn is_console_ticket(&self, user: &str, path: &str, ticket: &str) -> bool {
        self.consoles.values().any(|console| {
            let age = self.now.duration_since(console.opened).unwrap_or_default();
            console.ticket == ticket
                && console.user == user
                && console.path == path
                && age < TICKET_LIFE
        })
    }

    /// Consoles that nobody came to in time give up.
    pub(super) fn give_up_consoles(&mut self) {
        for (port, console) in &mut self.consoles {
            let until = console.opened + WAIT;
            if console.state != State::Waiting || self.now < until {
                continue;
            }
            console.state = State::Over;
            let status = match console.screen {
                Screen::Vnc => "connection timed out".to_owned(),
                Screen::Terminal => {
                    format!(
                        "command '/usr/bin/termproxy {port} --path {}' failed: exit code 1",
                        console.path
                    )
                }
            };
            if let Some(task) = self.tasks.iter_mut().find(|task| task.upid == console.upid) {
                task.end(until, &status);
            }
        }
    }

    /// A connection to a console's port; none if nothing listens there any more.
    pub(super) fn connect_console(&mut self, port: u16) -> Option<SimConsole> {
        let console = self.consoles.get_mut(&port)?;
        if console.state != State::Waiting {
            return None;
        }
        console.state = State::Connected;
        Some(console.clone())
    }

    fn close_console(&mut self, port: u16) {
        let Some(console) = self.consoles.get_mut(&port) else {
            return;
        };
        console.state = State::Over;
        let upid = &console.upid;
        if let Some(task) = self.tasks.iter_mut().find(|task| task.upid == *upid) {
            task.end(self.now, "OK");
        }
    }
}

/// A connection to a console, until one side ends it.
pub(super) async fn converse(
    simulator: &Simulator,
    port: u16,
    console: SimConsole,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    match console.screen {
        // What follows the greeting is not simulated, so the connection ends.
        Screen::Vnc => {
            let greeting = Message::Binary((&b"RFB 003.008\n"[..]).into());
            let _ = socket.send(greeting).await;
        }
        Screen::Terminal => {
            let mut shell = Shell::new(&console);
            while let Some(Ok(message)) = socket.next().await {
                let input = match message {
                    Message::Binary(bytes) => bytes,
                    Message::Text(text) => text.into(),
                    Message::Close(_) => break,
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                };
                let goes_on = shell.take(&input);
                let output = shell.output();
                let sent =
                    output.is_empty() || socket.send(Message::Binary(output.into())).await.is_ok();
                if !goes_on || !sent {
                    break;
                }
            }
        }
    }
    simulator.with(|world| world.close_console(port));
    // The other side may be gone already.
    let _ = socket.close(None).await;
}
