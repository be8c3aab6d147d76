//! The answer to a call for a screen or a terminal.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::required;
use crate::error::{Error, Kind, Result};
use crate::secret::Members;
use crate::upid::Upid;

/// Where a screen or terminal waits for its connection, and the secret that opens it.
#[derive(Clone)]
pub struct ConsoleTicket {
    port: u16,
    user: String,
    upid: Upid,
    ticket: SecretString,
    password: Option<SecretString>,
    certificate: Option<String>,
    endpoint: usize,
}

impl ConsoleTicket {
    pub(super) fn read(answer: &Members, endpoint: usize) -> Result<Self> {
        // The port comes as text of one call and as number of another.
        let port = match answer.get("port") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(Value::Number(number)) => number.as_u64().and_then(|port| port.try_into().ok()),
            _ => None,
        };
        let optional = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            port: port.ok_or_else(|| Error::new(Kind::Decode, "the answer names no port"))?,
            user: required(answer, "user")?.to_owned(),
            upid: required(answer, "upid")?.parse()?,
            ticket: required(answer, "ticket")?.into(),
            password: answer.secret("password"),
            certificate: optional("cert"),
            endpoint,
        })
    }

    /// The port on the node, to be named to `vncwebsocket`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Who asked: `user@realm` or `user@realm!token`.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The task that waits for the connection, and lasts as long as the session.
    pub fn upid(&self) -> &Upid {
        &self.upid
    }

    /// The secret that opens the console: `vncticket` of `vncwebsocket`, what a terminal asks for, and the password of VNC
    /// authentication if there is no other.
    pub fn ticket(&self) -> &str {
        self.ticket.expose_secret()
    }

    /// The password of VNC authentication, where the server made one.
    pub fn password(&self) -> Option<&str> {
        self.password
            .as_ref()
            .map(|password| password.expose_secret())
    }

    /// The authority of the node's certificate, as PEM.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    #[cfg(feature = "console")]
    pub(super) fn endpoint(&self) -> usize {
        self.endpoint
    }
}

impl fmt::Debug for ConsoleTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleTicket")
            .field("port", &self.port)
            .field("user", &self.user)
            .field("upid", &self.upid)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
