//! Whom the cluster tells what happens: endpoints that messages go to, and matchers that choose which go where.
//!
//! ```
//! # #[cfg(feature = "simulator")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
//! use proxmox_client::Ensured;
//! use proxmox_client::notification::{GotifySettings, MatcherSettings, Severity};
//! # let client = proxmox_client::simulator::Simulator::lab().connect();
//! let notifications = client.notifications();
//! let phone = GotifySettings::to("https://gotify.example.test", "…");
//! assert_eq!(notifications.gotify("phone").ensure(&phone).await?, Ensured::Created);
//! let wanted = MatcherSettings::to(["phone"]).with_severities([Severity::Error, Severity::Warning]);
//! assert_eq!(notifications.matcher("trouble").ensure(&wanted).await?, Ensured::Created);
//! notifications.test("phone").await?;
//! # Ok(()) }
//! # #[cfg(not(feature = "simulator"))] fn main() {}
//! ```

mod endpoint;
mod matcher;

use crate::client::Client;
use crate::error::Result;
use crate::named::{Noun, all, list};
use crate::open::open_enum;
use crate::scalar::record;
use crate::wire::{Method, Request};

pub use endpoint::{
    Gotify, GotifyInfo, GotifySettings, Sendmail, SendmailInfo, SendmailSettings, Smtp, SmtpInfo,
    SmtpMode, SmtpSettings, Webhook, WebhookInfo, WebhookMethod, WebhookSettings,
};
pub use matcher::{MatchMode, Matcher, MatcherInfo, MatcherSettings, Severity};

open_enum! {
    /// Who made an object.
    pub enum Origin {
        /// A user.
        UserCreated = "user-created",
        /// It came with the server.
        BuiltIn = "builtin",
        /// It came with the server and was changed; removing it brings back what it was.
        ModifiedBuiltIn = "modified-builtin",
    }
}

open_enum! {
    /// What a target is.
    pub enum TargetKind {
        /// Mails through the node's own mail system.
        Sendmail = "sendmail",
        /// Messages to a Gotify server.
        Gotify = "gotify",
        /// Mails through a mail server.
        Smtp = "smtp",
        /// HTTP requests.
        Webhook = "webhook",
    }
}

record! {
    /// Something that matchers can send to: `GET /cluster/notifications/targets`.
    pub struct Target {
        required {
            /// Name.
            "name" name: String,
            /// What it is.
            "type" kind: TargetKind,
        }
        optional {
            /// Comment.
            "comment" comment: String,
            /// Whether nothing is sent to it.
            "disable" disabled: bool,
            /// Who made it.
            "origin" origin: Origin,
        }
    }
}

record! {
    /// A value that matchers can look for: `GET /cluster/notifications/matcher-field-values`.
    pub struct FieldValue {
        required {
            /// Field, such as `type` or `hostname`.
            "field" field: String,
            /// Value, such as `vzdump`.
            "value" value: String,
        }
        optional {
            /// What it stands for.
            "comment" comment: String,
        }
    }
}

/// An entry of `GET /cluster/notifications/matcher-fields`.
#[derive(serde::Deserialize)]
struct Field {
    name: String,
}

/// The cluster's notifications.
#[derive(Debug, Clone)]
pub struct Notifications {
    client: Client,
}

const PATH: &str = "/cluster/notifications";

impl Client {
    /// Notifications: whom the cluster tells what happens.
    ///
    /// Example: see [`notification`](crate::notification).
    pub fn notifications(&self) -> Notifications {
        Notifications {
            client: self.clone(),
        }
    }
}

impl Notifications {
    fn request(&self, method: Method, below: &str, values: &[&str]) -> Request {
        Request::new(method, &format!("{PATH}{below}"), values)
    }

    async fn every<N: Noun>(&self) -> Result<Vec<N::Info>> {
        all::<N>(&self.client, list::<N>(&[])).await
    }

    /// Everything that matchers can send to, of all kinds.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let targets = client.notifications().targets().await?;
    /// assert_eq!(targets[0].name, "mail-to-root");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn targets(&self) -> Result<Vec<Target>> {
        let request = self.request(Method::Get, "/targets", &[]);
        self.client.fetch(request).await
    }

    /// Sends a message to a target to see whether it arrives.
    ///
    /// Example: see [`notification`](crate::notification).
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::Kind::NotFound) if there is no such target; any other text if it could not be reached.
    pub async fn test(&self, target: &str) -> Result<()> {
        let request = self.request(Method::Post, "/targets/{name}/test", &[target]);
        let done = self.client.request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(format!("testing notification target {target}")))
    }

    /// All Gotify servers.
    ///
    /// Example: see [`notification`](crate::notification).
    pub async fn gotify_endpoints(&self) -> Result<Vec<GotifyInfo>> {
        self.every::<endpoint::GotifyNoun>().await
    }

    /// A Gotify server by its name.
    ///
    /// Example: see [`notification`](crate::notification).
    pub fn gotify(&self, name: impl Into<String>) -> Gotify {
        Gotify::new(&self.client, &[], name)
    }

    /// All recipients of mails through the node's own mail system.
    ///
    /// Example: see [`notification`](crate::notification).
    pub async fn sendmail_endpoints(&self) -> Result<Vec<SendmailInfo>> {
        self.every::<endpoint::SendmailNoun>().await
    }

    /// Recipients of mails through the node's own mail system, by their name.
    ///
    /// Example: see [`notification`](crate::notification).
    pub fn sendmail(&self, name: impl Into<String>) -> Sendmail {
        Sendmail::new(&self.client, &[], name)
    }

    /// All mail servers.
    ///
    /// Example: see [`notification`](crate::notification).
    pub async fn smtp_endpoints(&self) -> Result<Vec<SmtpInfo>> {
        self.every::<endpoint::SmtpNoun>().await
    }

    /// A mail server, with recipients, by its name.
    ///
    /// Example: see [`notification`](crate::notification).
    pub fn smtp(&self, name: impl Into<String>) -> Smtp {
        Smtp::new(&self.client, &[], name)
    }

    /// All webhooks.
    ///
    /// Example: see [`notification`](crate::notification).
    pub async fn webhook_endpoints(&self) -> Result<Vec<WebhookInfo>> {
        self.every::<endpoint::WebhookNoun>().await
    }

    /// A webhook by its name.
    ///
    /// Example: see [`notification`](crate::notification).
    pub fn webhook(&self, name: impl Into<String>) -> Webhook {
        Webhook::new(&self.client, &[], name)
    }

    /// All matchers.
    ///
    /// Example: see [`notification`](crate::notification).
    pub async fn matchers(&self) -> Result<Vec<MatcherInfo>> {
        self.every::<matcher::MatcherNoun>().await
    }

    /// A matcher by its name.
    ///
    /// Example: see [`notification`](crate::notification).
    pub fn matcher(&self, name: impl Into<String>) -> Matcher {
        Matcher::new(&self.client, &[], name)
    }

    /// The fields that matchers can look at.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let notifications = client.notifications();
    /// assert!(notifications.matcher_fields().await?.contains(&"hostname".to_owned()));
    /// let known = notifications.matcher_field_values().await?;
    /// assert!(known.iter().any(|one| one.field == "hostname" && one.value == "pve1"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn matcher_fields(&self) -> Result<Vec<String>> {
        let request = self.request(Method::Get, "/matcher-fields", &[]);
        let fields: Vec<Field> = self.client.fetch(request).await?;
        Ok(fields.into_iter().map(|field| field.name).collect())
    }

    /// Values of these fields that the cluster knows.
    ///
    /// Example: see [`matcher_fields`](Self::matcher_fields).
    pub async fn matcher_field_values(&self) -> Result<Vec<FieldValue>> {
        let request = self.request(Method::Get, "/matcher-field-values", &[]);
        self.client.fetch(request).await
    }
}
