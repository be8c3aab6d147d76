//! Logging in with a password or a ticket, in one step or two.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use super::factor::{Challenge, FactorAnswer};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::secret::joined;
use crate::transport::Headers;
use crate::wire::{Method, Request};

type Answering = Pin<Box<dyn Future<Output = Result<FactorAnswer>> + Send>>;
type Hook = Arc<dyn Fn(Challenge) -> Answering + Send + Sync>;

/// A user's password, for the rare calls that a token may not make.
///
/// ```
/// use proxmox_client::{FactorAnswer, Login};
/// let by_code = Login::new("root@pam", "correct horse").with_totp("123456");
/// let by_key = Login::new("root@pam", "correct horse").with_second_factor(|challenge| async move {
///     // Hand `challenge.webauthn()` to whatever talks to the security key.
///     let signed = sign(challenge.webauthn().unwrap_or_default()).await;
///     Ok(FactorAnswer::webauthn(signed))
/// });
/// # drop((by_code, by_key));
/// # async fn sign(asked: String) -> String { asked }
/// ```
#[derive(Clone)]
pub struct Login {
    user: String,
    /// A password, or a living ticket, which the server takes in its place.
    password: SecretString,
    second_factor: Option<Hook>,
}

impl Login {
    /// A user with realm (`root@pam`) and the password.
    pub fn new(user: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            second_factor: None,
        }
    }

    /// A user with a ticket that was had elsewhere (a login in a browser, another program): it is changed for a fresh
    /// one at once, and then renewed like any other. Tickets live two hours. With its CSRF prevention token it is a
    /// [`Session`], which needs no call.
    pub fn from_ticket(user: impl Into<String>, ticket: impl Into<SecretString>) -> Self {
        Self::new(user, ticket)
    }

    /// Who logs in, with realm.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn of_session(session: &Session) -> Self {
        Self::from_ticket(session.user(), session.ticket.clone())
    }

    /// Answers the challenge for a second factor with a time-based code of six digits, which is good for one login
    /// within half a minute.
    #[must_use]
    pub fn with_totp(self, code: impl Into<SecretString>) -> Self {
        self.with_answer(FactorAnswer::totp(code))
    }

    /// Answers the challenge for a second factor with a recovery code.
    #[must_use]
    pub fn with_recovery_code(self, code: impl Into<SecretString>) -> Self {
        self.with_answer(FactorAnswer::recovery(code))
    }

    fn with_answer(self, answer: FactorAnswer) -> Self {
        self.with_second_factor(move |_| std::future::ready(Ok(answer.clone())))
    }

    /// Answers the challenge for a second factor as it comes: asks a person, a security key, another program. Called
    /// for every login with the password; renewals need no second factor.
    #[must_use]
    pub fn with_second_factor<A, F>(mut self, answer: A) -> Self
    where
        A: Fn(Challenge) -> F + Send + Sync + 'static,
        F: Future<Output = Result<FactorAnswer>> + Send + 'static,
    {
        self.second_factor = Some(Arc::new(move |challenge| Box::pin(answer(challenge))));
        self
    }

    pub(crate) fn first_step(&self) -> Request {
        ticket_request(&self.user, self.password.expose_secret())
    }

    /// The second step of a login, if the first answer asks for one.
    pub(crate) async fn second_step(&self, first: &TicketAnswer) -> Result<Option<Request>> {
        if first.need_second_factor != Some(1) {
            return Ok(None);
        }
        let ticket = first.ticket.as_ref();
        let ticket = ticket.map_or("", |ticket| ticket.expose_secret());
        let challenge = Challenge::of_ticket(&self.user, ticket).ok_or_else(|| {
            Error::new(
                Kind::Decode,
                "the server asks for a second factor, but does not say for which",
            )
        })?;
        let hook = self.second_factor.as_ref().ok_or_else(|| {
            Error::new(
                Kind::SecondFactor,
                format!("the login of {} needs a second factor", self.user),
            )
        })?;
        let answer = hook(challenge).await?;
        let request = ticket_request(&self.user, answer.expose());
        Ok(Some(request.with("tfa-challenge", ticket)))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

fn ticket_request(user: &str, password: &str) -> Request {
    Request::new(Method::Post, "/access/ticket", &[])
        .with("username", user)
        .with("password", password)
}

/// The session in use.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) session: Session,
    since: Instant,
    /// Tells it from the sessions before and after it.
    pub(crate) generation: u64,
}

/// Tickets live two hours; renewed at half of it.
const RENEW_AFTER: Duration = Duration::from_secs(3600);

impl Current {
    pub(crate) fn new(session: Session, generation: u64) -> Self {
        Self {
            session,
            since: Instant::now(),
            generation,
        }
    }

    pub(crate) fn headers(&self, method: Method) -> Headers {
        let ticket = crate::wire::escape(self.session.ticket.expose_secret());
        let ticket = Zeroizing::new(ticket);
        let mut headers = vec![("cookie", joined(&["PVEAuthCookie=", &ticket]))];
        if method != Method::Get {
            let csrf = joined(&[self.session.csrf.expose_secret()]);
            headers.push(("csrfpreventiontoken", csrf));
        }
        headers
    }

    pub(crate) fn is_old(&self) -> bool {
        self.since.elapsed() >= RENEW_AFTER
    }

    /// The call that makes a new ticket from this one.
    pub(crate) fn renewal(&self) -> Request {
        Login::of_session(&self.session).first_step()
    }
}

#[derive(Deserialize)]
pub(crate) struct TicketAnswer {
    ticket: Option<SecretString>,
    #[serde(rename = "CSRFPreventionToken")]
    csrf: Option<SecretString>,
    #[serde(rename = "NeedTFA")]
    need_second_factor: Option<u8>,
}

impl TicketAnswer {
    pub(crate) fn into_session(self) -> Result<Session> {
        match (self.ticket, self.csrf) {
            (Some(ticket), Some(csrf)) => Session::new(ticket, csrf).map_err(|error| {
                Error::new(Kind::Decode, "the login's answer holds no ticket").with_source(error)
            }),
            _ => Err(Error::new(
                Kind::Decode,
                "the login's answer holds no ticket",
            )),
        }
    }
}
