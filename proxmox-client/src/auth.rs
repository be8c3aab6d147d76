//! Credentials: API tokens, and tickets that renew themselves.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::wire::{Method, Request};

/// An API token: `user@realm!name=secret`.
#[derive(Clone)]
pub struct Token {
    id: String,
    secret: SecretString,
}

impl Token {
    /// From the token's id (`user@realm!name`) and its secret.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Result<Self> {
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
        if !clean(&secret) {
            return Err(Error::invalid("a token's secret is a UUID without blanks"));
        }
        Ok(Self {
            id,
            secret: secret.into(),
        })
    }

    /// From `user@realm!name=secret`, as it is often kept in one variable.
    pub fn parse(text: &str) -> Result<Self> {
        let (id, secret) = text
            .trim()
            .split_once('=')
            .ok_or_else(|| Error::invalid("a token has the form user@realm!name=secret"))?;
        Self::new(id, secret)
    }

    /// `user@realm!name`.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A user's password, for the rare calls that a token may not make.
#[derive(Clone)]
pub struct Login {
    user: String,
    password: SecretString,
    second_factor: Option<SecretString>,
}

impl Login {
    /// A user with realm (`root@pam`) and the password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: password.into().into(),
            second_factor: None,
        }
    }

    /// A user with a ticket that was had elsewhere (a login with WebAuthn or OIDC in a browser, another program): it is
    /// changed for a fresh one at once, and then renewed like any other. Tickets live two hours.
    pub fn from_ticket(user: impl Into<String>, ticket: impl Into<String>) -> Self {
        // The server takes a living ticket in place of a password.
        Self::new(user, ticket)
    }

    /// Answers the challenge for a second factor with a one-time code of six digits.
    #[must_use]
    pub fn with_totp(mut self, code: impl AsRef<str>) -> Self {
        self.second_factor = Some(format!("totp:{}", code.as_ref()).into());
        self
    }

    /// Answers the challenge for a second factor with a recovery code.
    #[must_use]
    pub fn with_recovery_code(mut self, code: impl AsRef<str>) -> Self {
        self.second_factor = Some(format!("recovery:{}", code.as_ref()).into());
        self
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What the client presents.
pub(crate) enum Auth {
    None,
    Token(Token),
    Login(Login, Mutex<Option<Session>>),
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

/// A ticket in use.
#[derive(Clone)]
pub(crate) struct Session {
    ticket: SecretString,
    csrf: SecretString,
    user: String,
    since: Instant,
    /// Counts logins, so that many calls refused at once log in again only once.
    pub(crate) generation: u64,
}

/// Tickets live two hours; renewed at half of it.
const RENEW_AFTER: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
pub(crate) struct TicketAnswer {
    ticket: Option<String>,
    #[serde(rename = "CSRFPreventionToken")]
    csrf: Option<String>,
    username: Option<String>,
    #[serde(rename = "NeedTFA")]
    need_second_factor: Option<u8>,
}

impl Session {
    pub(crate) fn headers(&self, method: Method) -> Vec<(&'static str, String)> {
        let cookie = format!(
            "PVEAuthCookie={}",
            crate::wire::escape(self.ticket.expose_secret())
        );
        let mut headers = vec![("cookie", cookie)];
        if method != Method::Get {
            headers.push(("csrfpreventiontoken", self.csrf.expose_secret().to_owned()));
        }
        headers
    }

    pub(crate) fn is_old(&self) -> bool {
        self.since.elapsed() >= RENEW_AFTER
    }

    /// The call that makes a new ticket from this one.
    pub(crate) fn renewal(&self) -> Request {
        ticket_request(&self.user, self.ticket.expose_secret())
    }
}

pub(crate) fn token_headers(token: &Token) -> Vec<(&'static str, String)> {
    vec![(
        "authorization",
        format!("PVEAPIToken={}={}", token.id, token.secret.expose_secret()),
    )]
}

fn ticket_request(user: &str, password: &str) -> Request {
    Request::new(Method::Post, "/access/ticket", &[])
        .with("username", user)
        .with("password", password)
}

impl Login {
    pub(crate) fn first_step(&self) -> Request {
        ticket_request(&self.user, self.password.expose_secret())
    }

    /// The second step of a login, if the first answer asks for one.
    pub(crate) fn second_step(&self, first: &TicketAnswer) -> Result<Option<Request>> {
        if first.need_second_factor != Some(1) {
            return Ok(None);
        }
        let code = self.second_factor.as_ref().ok_or_else(|| {
            Error::new(
                Kind::SecondFactor,
                format!("the login of {} needs a second factor", self.user),
            )
        })?;
        let challenge = first.ticket.clone().unwrap_or_default();
        Ok(Some(
            ticket_request(&self.user, code.expose_secret()).with("tfa-challenge", challenge),
        ))
    }
}

impl TicketAnswer {
    pub(crate) fn into_session(self, generation: u64) -> Result<Session> {
        match (self.ticket, self.csrf, self.username) {
            (Some(ticket), Some(csrf), Some(user)) => Ok(Session {
                ticket: ticket.into(),
                csrf: csrf.into(),
                user,
                since: Instant::now(),
                generation,
            }),
            _ => Err(Error::new(
                Kind::Decode,
                "the login's answer holds no ticket",
            )),
        }
    }
}
