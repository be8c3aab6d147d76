//! Logins through an OpenID Connect provider.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::TicketAnswer;
use super::session::Session;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::wire::{Method, Request};

/// A realm of type `openid`: the user logs in with the provider, and the server takes what the provider hands back.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// # use proxmox_client::simulator::{Simulator, World};
/// # let simulator = Simulator::new(World::lab().with_openid_user("sso", "code-1", "alice"));
/// let anyone = simulator.builder().build()?; // neither token nor login
/// let sso = anyone.openid("sso", "https://tool.example/callback");
/// let url = sso.authorization_url().await?; // to be opened in a browser, which is sent back to the callback
/// # let state = url.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
/// # let back = format!("https://tool.example/callback?code=code-1&state={state}");
/// let session = sso.log_in_redirected(&back).await?;
/// assert_eq!(session.user(), "alice@sso");
/// let client = simulator.builder().session(session).build()?;
/// client.version().await?;
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct OpenId {
    client: Client,
    realm: String,
    redirect: String,
}

impl Client {
    /// A realm of type `openid`, and the address to which its provider shall send the browser back. The provider must
    /// know that address. Neither call needs credentials.
    pub fn openid(&self, realm: impl Into<String>, redirect_url: impl Into<String>) -> OpenId {
        OpenId {
            client: self.clone(),
            realm: realm.into(),
            redirect: redirect_url.into(),
        }
    }
}

struct Returned {
    code: Option<SecretString>,
    state: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl OpenId {
    /// The address at which the user logs in: `POST /access/openid/auth-url`.
    ///
    /// Example: see [`OpenId`].
    pub async fn authorization_url(&self) -> Result<String> {
        let request = Request::new(Method::Post, "/access/openid/auth-url", &[])
            .with("realm", &*self.realm)
            .with("redirect-url", &*self.redirect);
        self.client.fetch(request).await
    }

    /// Finishes a login with what the provider handed back: `POST /access/openid/login`.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::simulator::{Simulator, World};
    /// # let simulator = Simulator::new(World::lab().with_openid_user("sso", "code-1", "alice"));
    /// let anyone = simulator.builder().build()?; // neither token nor login
    /// let sso = anyone.openid("sso", "https://tool.example/callback");
    /// let url = sso.authorization_url().await?;
    /// # let state = url.split("state=").nth(1).unwrap().split('&').next().unwrap();
    /// // `code` and `state` of the address that the browser was sent back to.
    /// let session = sso.log_in("code-1", state).await?;
    /// assert_eq!(session.user(), "alice@sso");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Authentication`](crate::Kind::Authentication) if the code or the state are not (or no longer) known.
    pub async fn log_in(&self, code: impl Into<SecretString>, state: &str) -> Result<Session> {
        let code = code.into();
        let request = Request::new(Method::Post, "/access/openid/login", &[])
            .with("code", code.expose_secret())
            .with("state", state)
            .with("redirect-url", &*self.redirect);
        let answer: TicketAnswer = self.client.fetch(request).await?;
        answer.into_session()
    }

    /// Finishes a login with the address that the browser was sent back to, which carries code and state.
    ///
    /// Example: see [`OpenId`].
    ///
    /// # Errors
    /// As for [`log_in`](Self::log_in); an address that carries the provider's refusal, or nothing of the kind.
    pub async fn log_in_redirected(&self, address: &str) -> Result<Session> {
        let returned = returned(address)?;
        match (returned.code, returned.state, returned.error) {
            (Some(code), Some(state), None) => self.log_in(code, &state).await,
            (_, _, Some(error)) => {
                let why = returned.error_description.unwrap_or_default();
                let text = format!("the provider refused the login: {error} {why}");
                Err(Error::new(crate::Kind::Authentication, text.trim_end()))
            }
            _ => Err(Error::invalid("the address carries no `code` and `state`")),
        }
    }
}

fn returned(address: &str) -> Result<Returned> {
    let url = Url::parse(address).map_err(|error| {
        Error::invalid("the address that the browser was sent back to cannot be read")
            .with_source(error)
    })?;
    let value = |name: &str| {
        let mut pairs = url.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    Ok(Returned {
        code: value("code").map(SecretString::from),
        state: value("state"),
        error: value("error"),
        error_description: value("error_description"),
    })
}
