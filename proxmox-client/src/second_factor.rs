//! Second factors of users: time-based codes, security keys, recovery codes.
//!
//! The server lets nobody change them with a token; whoever is not `root@pam` proves with the own password who it is.
//!
//! ```
//! # #[cfg(all(feature = "simulator", feature = "totp"))]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::Login;
//! use proxmox_client::second_factor::TotpSecret;
//! # use proxmox_client::simulator::{Simulator, World};
//! # let world = World::lab().with_user("alice@pve", "secret");
//! # let simulator = Simulator::new(world);
//! # let now = simulator.snapshot().now();
//! let client = simulator.builder().login(Login::new("alice@pve", "secret")).build()?;
//! let factors = client.access().second_factors("alice@pve").with_password("secret");
//! let secret = TotpSecret::generate("alice@pve")?;
//! // An authenticator takes `secret.uri()`; a program makes codes by itself.
//! let id = factors.add_totp("phone", &secret, secret.code_at(now)).await?;
//! let codes = factors.add_recovery_codes().await?;
//! assert_eq!(codes.len(), 10);
//! assert!(factors.get(&id).await?.is_some_and(|factor| factor.is_enabled()));
//! # Ok(()) }
//! # #[cfg(not(all(feature = "simulator", feature = "totp")))] fn main() {}
//! ```

mod totp;

use std::fmt;
use std::future::Future;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::access::{Access, Ensured};
use crate::client::Client;
use crate::entry::{read, remove};
use crate::error::{Error, Kind, Result};
use crate::open::open_enum;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::wire::{Method, Request};

pub use totp::TotpSecret;

open_enum! {
    /// What a second factor is.
    pub enum FactorKind {
        /// Time-based codes.
        Totp = "totp",
        /// A security key, by WebAuthn.
        WebAuthn = "webauthn",
        /// Recovery codes, each good for one login.
        Recovery = "recovery",
        /// A security key, by U2F; servers before 7 registered them.
        U2f = "u2f",
        /// A Yubico device that makes one-time passwords.
        Yubico = "yubico",
    }
}

record! {
    /// A second factor: an entry of `GET /access/tfa/{userid}`.
    pub struct Factor {
        required {
            /// Its id; that of recovery codes is `recovery`.
            "id" id: String,
            /// What it is.
            "type" kind: FactorKind,
        }
        optional {
            /// What its owner calls it; recovery codes have none.
            "description" description: String,
            /// When it was set up, in seconds since 1970.
            "created" created: u64,
            /// Whether it is used; the server says so only of those that are not.
            "enable" enabled: bool,
        }
    }
}

impl Factor {
    /// Whether it is asked for at logins.
    pub fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }
}

record! {
    /// A user with second factors: an entry of `GET /access/tfa`.
    pub struct UserFactors {
        required {
            /// Name with realm.
            "userid" user: String,
        }
        optional {
            /// The factors.
            "entries" entries: Vec<Factor>,
            /// Whether wrong codes have locked time-based codes out, until a recovery code is used or somebody unlocks.
            "totp-locked" totp_locked: bool,
            /// Until when wrong answers have locked all factors out, in seconds since 1970.
            "tfa-locked-until" locked_until: u64,
        }
    }
}

/// What became of unlocking a user's factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unlocked {
    /// They were locked and are not any more.
    Unlocked,
    /// They were not locked.
    NotLocked,
}

/// What the server answers when a factor is added.
#[derive(Deserialize)]
struct Added {
    id: Option<String>,
    challenge: Option<String>,
    recovery: Option<Vec<SecretString>>,
}

/// The second factors of one user.
#[derive(Clone)]
pub struct SecondFactors {
    client: Client,
    user: String,
    own: Option<SecretString>,
}

impl fmt::Debug for SecondFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondFactors")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// The second factors of all users that the caller may see; users without any are left out.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let world = World::lab().with_totp("alice@pve", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    /// # let client = Simulator::new(world).connect();
    /// let users = client.access().factors().await?;
    /// assert_eq!(users[0].user, "alice@pve");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn factors(&self) -> Result<Vec<UserFactors>> {
        let request = Request::new(Method::Get, "/access/tfa", &[]);
        self.client().fetch(request).await
    }

    /// The second factors of a user, such as `alice@pve`.
    pub fn second_factors(&self, user: impl Into<String>) -> SecondFactors {
        SecondFactors {
            client: self.client().clone(),
            user: user.into(),
            own: None,
        }
    }
}

impl SecondFactors {
    /// The caller's own password, which the server asks for when factors are changed unless the caller is `root@pam`.
    #[must_use]
    pub fn with_password(mut self, own: impl Into<SecretString>) -> Self {
        self.own = Some(own.into());
        self
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} of {}", self.user)
    }

    fn factor(&self, id: &str) -> String {
        self.doing(&format!("factor {id}"))
    }

    fn request(&self, method: Method, id: Option<&str>) -> Request {
        let request = match id {
            Some(id) => Request::new(method, "/access/tfa/{userid}/{id}", &[&self.user, id]),
            None => Request::new(method, "/access/tfa/{userid}", &[&self.user]),
        };
        match &self.own {
            Some(own) if method != Method::Get => request.with("password", own.expose_secret()),
            _ => request,
        }
    }

    /// All of them.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let world = World::lab().with_recovery_codes("alice@pve", &["aaaa-1111"]);
    /// # let client = Simulator::new(world).connect();
    /// use proxmox_client::second_factor::FactorKind;
    /// let factors = client.access().second_factors("alice@pve").list().await?;
    /// assert_eq!(factors[0].kind, FactorKind::Recovery);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn list(&self) -> Result<Vec<Factor>> {
        let found = self.client.fetch(self.request(Method::Get, None)).await;
        found.map_err(|error| error.doing(self.doing("reading second factors")))
    }

    /// One of them; none if there is none of that id.
    ///
    /// Example: see [the module](crate::second_factor).
    pub async fn get(&self, id: &str) -> Result<Option<Factor>> {
        let request = self.request(Method::Get, Some(id));
        read(&self.client, request, &self.factor(id)).await
    }

    async fn add(&self, kind: &FactorKind, request: Request) -> Result<Added> {
        let request = request.with("type", kind.as_str());
        let added = self.client.fetch(request).await;
        added.map_err(|error: Error| error.doing(self.doing(&format!("adding a factor ({kind})"))))
    }

    fn id(&self, added: Added) -> Result<String> {
        added.id.ok_or_else(|| {
            Error::new(Kind::Decode, "the answer has no id")
                .doing(self.doing("adding a second factor"))
        })
    }

    /// Sets up time-based codes. `code` is one that the secret gives at this moment, from the authenticator that was shown
    /// [`TotpSecret::uri`] or from the secret itself (feature `totp`). Gives the new factor's id.
    ///
    /// Example: see [the module](crate::second_factor).
    ///
    /// # Errors
    /// [`Kind::Parameter`] for a code that is not the secret's, and where the server asks for the own password
    /// ([`with_password`](Self::with_password)); [`Kind::TicketOnly`] for a token.
    pub async fn add_totp(
        &self,
        description: &str,
        secret: &TotpSecret,
        code: impl Into<SecretString>,
    ) -> Result<String> {
        let request = self
            .request(Method::Post, None)
            .with("description", description)
            .with("totp", secret.uri().expose_secret())
            .with("value", code.into().expose_secret());
        self.id(self.add(&FactorKind::Totp, request).await?)
    }

    /// Makes recovery codes, ten on a 9.1 server, each good for one login. This is the only moment at which they are told.
    ///
    /// Example: see [the module](crate::second_factor).
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if the user has such codes, even if all are used up: delete the factor `recovery` first.
    pub async fn add_recovery_codes(&self) -> Result<Vec<SecretString>> {
        let request = self.request(Method::Post, None);
        let added = self.add(&FactorKind::Recovery, request).await?;
        Ok(added.recovery.unwrap_or_default())
    }

    /// Registers a security key. `register` is given what the browser's `navigator.credentials.create` takes, as JSON with
    /// binary members in base64url, and gives what the key answers, as JSON: `{"id", "type", "rawId", "response":
    /// {"attestationObject", "clientDataJSON"}}`, as Proxmox VE's own page sends it. Gives the new factor's id.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::Login;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let world = World::lab().with_user("root@pam", "pw");
    /// # let simulator = Simulator::new(world);
    /// # use proxmox_client::wire::{Method, Request};
    /// # let options = Request::new(Method::Put, "/cluster/options", &[]);
    /// # let options = options.with("webauthn", "id=pve.example,rp=pve,origin=https://pve.example");
    /// # simulator.connect().request(options).await?;
    /// # let client = simulator.builder().login(Login::new("root@pam", "pw")).build()?;
    /// # async fn ask_the_key(_: String) -> Result<String, proxmox_client::Error> { Ok(r#"{"id":"k"}"#.into()) }
    /// let factors = client.access().second_factors("root@pam");
    /// let id = factors.add_webauthn("key in the safe", ask_the_key).await?;
    /// assert_eq!(factors.list().await?[0].id, id);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// Those of `register`; [`Kind::NotConfigured`] if the cluster's option `webauthn` is not set.
    pub async fn add_webauthn<A, F>(&self, description: &str, register: A) -> Result<String>
    where
        A: FnOnce(String) -> F + Send,
        F: Future<Output = Result<String>> + Send,
    {
        let begin = self
            .request(Method::Post, None)
            .with("description", description);
        let options = self.add(&FactorKind::WebAuthn, begin).await?.challenge;
        let options = options.unwrap_or_default();
        let asked: Value = serde_json::from_str(&options).unwrap_or_default();
        let Some(challenge) = asked["publicKey"]["challenge"].as_str() else {
            let what = "the server does not say what the security key shall answer";
            return Err(Error::new(Kind::Decode, what).doing(self.doing("adding a security key")));
        };
        let answer = register(options.clone()).await?;
        let finish = self
            .request(Method::Post, None)
            .with("challenge", challenge)
            .with("value", answer);
        self.id(self.add(&FactorKind::WebAuthn, finish).await?)
    }

    /// Sets up a Yubico device by one of its one-time passwords; the user's realm must be set up for them. Gives the new
    /// factor's id.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::Client::builder().endpoint("192.0.2.10").build()?;
    /// # let pressed = "cccccccccccb".to_owned();
    /// let factors = client.access().second_factors("alice@pve").with_password("secret");
    /// let id = factors.add_yubico("key ring", pressed).await?;
    /// println!("from now on it is asked for as factor {id}");
    /// # Ok(()) }
    /// ```
    pub async fn add_yubico(
        &self,
        description: &str,
        password: impl Into<SecretString>,
    ) -> Result<String> {
        let request = self
            .request(Method::Post, None)
            .with("description", description)
            .with("value", password.into().expose_secret());
        self.id(self.add(&FactorKind::Yubico, request).await?)
    }

    async fn change(&self, id: &str, name: &'static str, value: &str) -> Result<Ensured> {
        let request = self.request(Method::Put, Some(id)).with(name, value);
        let done = self.client.request(request).await;
        done.map_err(|error| error.doing(self.doing(&format!("changing factor {id}"))))?;
        Ok(Ensured::Updated(vec![name.to_owned()]))
    }

    async fn known(&self, id: &str) -> Result<Factor> {
        self.get(id).await?.ok_or_else(|| {
            let text = format!("{} has no second factor {id}", self.user);
            Error::new(Kind::NotFound, text).doing(self.doing(&format!("changing factor {id}")))
        })
    }

    /// Makes sure that a factor is called so.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::{Ensured, Login};
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let world = World::lab().with_user("root@pam", "pw")
    /// #     .with_user("alice@pve", "pw").with_totp("alice@pve", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    /// # let simulator = Simulator::new(world);
    /// # let client = simulator.builder().login(Login::new("root@pam", "pw")).build()?;
    /// let factors = client.access().second_factors("alice@pve");
    /// let id = factors.list().await?.remove(0).id;
    /// factors.rename(&id, "old phone").await?;
    /// factors.set_enabled(&id, false).await?;
    /// assert_eq!(factors.set_enabled(&id, false).await?, Ensured::Unchanged);
    /// factors.delete(&id).await?;
    /// factors.unlock().await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none of that id. Recovery codes cannot be renamed.
    pub async fn rename(&self, id: &str, description: &str) -> Result<Ensured> {
        match self.known(id).await?.description.as_deref() {
            Some(known) if known == description => Ok(Ensured::Unchanged),
            _ => self.change(id, "description", description).await,
        }
    }

    /// Makes sure that a factor is asked for at logins, or is not. A user all of whose factors are off logs in with the
    /// password alone.
    ///
    /// Example: see [`rename`](Self::rename).
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none of that id. Recovery codes cannot be turned off.
    pub async fn set_enabled(&self, id: &str, enabled: bool) -> Result<Ensured> {
        if self.known(id).await?.is_enabled() == enabled {
            return Ok(Ensured::Unchanged);
        }
        let value = if enabled { "1" } else { "0" };
        self.change(id, "enable", value).await
    }

    /// Removes a factor; all recovery codes together have the id `recovery`.
    ///
    /// Example: see [`rename`](Self::rename).
    pub async fn delete(&self, id: &str) -> Result<Removed> {
        let request = self.request(Method::Delete, Some(id));
        remove(&self.client, request, &self.factor(id)).await
    }

    /// Lets the user try again after too many wrong answers.
    ///
    /// Example: see [`rename`](Self::rename).
    pub async fn unlock(&self) -> Result<Unlocked> {
        let path = "/access/users/{userid}/unlock-tfa";
        let request = Request::new(Method::Put, path, &[&self.user]);
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| error.doing(self.doing("unlocking second factors")))?;
        // Perl's false is an empty text.
        let was_locked = answer.data.map(|data| crate::access::text(&data));
        Ok(match was_locked.as_deref() {
            Some("1") => Unlocked::Unlocked,
            _ => Unlocked::NotLocked,
        })
    }
}
