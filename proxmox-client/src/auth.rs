//! Credentials: API tokens, and tickets that renew themselves.

mod factor;
mod login;
mod openid;
mod session;

use std::fmt;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::secret::joined;
use crate::transport::Headers;

pub use factor::{Challenge, FactorAnswer};
pub use login::Login;
pub(crate) use login::{Current, TicketAnswer};
pub use openid::OpenId;
pub use session::Session;

/// An API token: `user@realm!name=secret`.
///
/// ```
/// use proxmox_client::Token;
/// let token = Token::parse("root@pam!lab=12345678-1234-1234-1234-123456789abc")?;
/// assert_eq!(token.id(), "root@pam!lab");
/// assert!(!format!("{token:?}").contains("12345678"));
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Token {
    id: String,
    secret: SecretString,
}

impl Token {
    /// From the token's id (`user@realm!name`) and its secret.
    pub fn new(id: impl Into<String>, secret: impl Into<SecretString>) -> Result<Self> {
        let (id, secret) = (id.into(), secret.into());
        let shaped = id.split_once('!').is_some_and(|(user, name)| {
            !name.is_empty()
                && user
                    .split_once('@')
                    .is_some_and(|(u, r)| !u.is_empty() && !r.is_empty())
        });
        let clean = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !shaped || !clean(&id) {
            return Err(Error::invalid("a token's id has the form user@realm!name"));
        }
        if !clean(secret.expose_secret()) {
            return Err(Error::invalid("a token's secret is a UUID without blanks"));
        }
        Ok(Self { id, secret })
    }

    /// From `user@realm!name=secret`, as it is often kept in one variable.
    pub fn parse(text: impl Into<SecretString>) -> Result<Self> {
        let text = text.into();
        let (id, secret) = text
            .expose_secret()
            .trim()
            .split_once('=')
            .ok_or_else(|| Error::invalid("a token has the form user@realm!name=secret"))?;
        Self::new(id, secret)
    }

    /// `user@realm!name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// As an authorization header has it; holds the secret.
    pub(crate) fn header(&self) -> Zeroizing<String> {
        joined(&["PVEAPIToken=", &self.id, "=", self.secret.expose_secret()])
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What the client presents.
pub(crate) enum Auth {
    None,
    Token(Token),
    Login(Login, Mutex<Option<Current>>),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Token(token) => token.fmt(f),
            Self::Login(login, _) => login.fmt(f),
        }
    }
}

pub(crate) fn token_headers(token: &Token) -> Headers {
    vec![("authorization", token.header())]
}
