//! Endpoints: where messages go.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use super::Origin;
use crate::named::{About, Named, Noun, about};
use crate::open::open_enum;
use crate::scalar::record;
use crate::setting::{Wanted, settings};

record! {
    /// A Gotify server: `GET /cluster/notifications/endpoints/gotify`. Its token is left out.
    pub struct GotifyInfo {
        required {
            /// Name.
            "name" name: String,
        }
        optional {
            /// Address of the server.
            "server" server: String,
            /// Comment.
            "comment" comment: String,
            /// Whether nothing is sent to it.
            "disable" disabled: bool,
            /// Who made it.
            "origin" origin: Origin,
            /// Digest of all notifications.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a Gotify server. A new one needs an address and a token.
    pub struct GotifySettings {
        /// Address of the server, such as `https://gotify.example.test`.
        with_server "server" text,
        /// Token of the application that messages appear under. The server never shows it.
        with_token "token" secret,
        /// Comment.
        with_comment "comment" text,
        /// Sends nothing to it.
        with_disabled "disable" flag,
    }
}

impl GotifySettings {
    /// To a server, under an application's token.
    pub fn to(server: &str, token: impl Into<SecretString>) -> Self {
        Self::new().with_server(server).with_token(token)
    }
}

/// The noun of [`Gotify`].
#[derive(Debug)]
#[non_exhaustive]
pub struct GotifyNoun;

impl about::Sealed for GotifyNoun {
    const ABOUT: About = About {
        delete_each: true,
        secrets: &["token"],
        ..About::new(
            "Gotify endpoint",
            "/cluster/notifications/endpoints/gotify",
            "name",
        )
    };
}

impl Noun for GotifyNoun {
    type Info = GotifyInfo;
    type Settings = GotifySettings;
}

/// A Gotify server.
pub type Gotify = Named<GotifyNoun>;

record! {
    /// Recipients of mails through the node's own mail system: `GET /cluster/notifications/endpoints/sendmail`.
    pub struct SendmailInfo {
        required {
            /// Name.
            "name" name: String,
        }
        optional {
            /// Addresses.
            "mailto" addresses: Vec<String>,
            /// Users with realms, to whose addresses mails go.
            "mailto-user" users: Vec<String>,
            /// Sender's address.
            "from-address" from: String,
            /// Sender's name.
            "author" author: String,
            /// Comment.
            "comment" comment: String,
            /// Whether nothing is sent to them.
            "disable" disabled: bool,
            /// Who made it.
            "origin" origin: Origin,
            /// Digest of all notifications.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of recipients of mails through the node's own mail system. There must be a recipient.
    pub struct SendmailSettings {
        /// Addresses.
        with_addresses "mailto" items,
        /// Users with realms, to whose addresses mails go.
        with_users "mailto-user" items,
        /// Sender's address.
        with_from "from-address" text,
        /// Sender's name.
        with_author "author" text,
        /// Comment.
        with_comment "comment" text,
        /// Sends nothing to them.
        with_disabled "disable" flag,
    }
}

/// The noun of [`Sendmail`].
#[derive(Debug)]
#[non_exhaustive]
pub struct SendmailNoun;

impl about::Sealed for SendmailNoun {
    const ABOUT: About = About {
        delete_each: true,
        ..About::new(
            "sendmail endpoint",
            "/cluster/notifications/endpoints/sendmail",
            "name",
        )
    };
}

impl Noun for SendmailNoun {
    type Info = SendmailInfo;
    type Settings = SendmailSettings;
}

/// Recipients of mails through the node's own mail system.
pub type Sendmail = Named<SendmailNoun>;

open_enum! {
    /// How a mail server is spoken to.
    pub enum SmtpMode {
        /// Without encryption.
        Insecure = "insecure",
        /// Encrypted after the greeting, on port 587 by default.
        StartTls = "starttls",
        /// Encrypted from the beginning, on port 465 by default.
        Tls = "tls",
    }
}

record! {
    /// A mail server with recipients: `GET /cluster/notifications/endpoints/smtp`. Its password is left out.
    pub struct SmtpInfo {
        required {
            /// Name.
            "name" name: String,
        }
        optional {
            /// Address of the server.
            "server" server: String,
            /// Port.
            "port" port: u32,
            /// How it is spoken to; encrypted from the beginning if absent.
            "mode" mode: SmtpMode,
            /// User there.
            "username" user: String,
            /// Addresses.
            "mailto" addresses: Vec<String>,
            /// Users with realms, to whose addresses mails go.
            "mailto-user" users: Vec<String>,
            /// Sender's address.
            "from-address" from: String,
            /// Sender's name.
            "author" author: String,
            /// Comment.
            "comment" comment: String,
            /// Whether nothing is sent to it.
            "disable" disabled: bool,
            /// Who made it.
            "origin" origin: Origin,
            /// Digest of all notifications.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a mail server. A new one needs an address, a sender and a recipient.
    pub struct SmtpSettings {
        /// Address of the server.
        with_server "server" text,
        /// Port; by default that of the mode: 465, 587, or 25 without encryption.
        with_port "port" number,
        /// User there.
        with_user "username" text,
        /// Password there. The server never shows it.
        with_password "password" secret,
        /// Addresses.
        with_addresses "mailto" items,
        /// Users with realms, to whose addresses mails go.
        with_users "mailto-user" items,
        /// Sender's address.
        with_from "from-address" text,
        /// Sender's name.
        with_author "author" text,
        /// Comment.
        with_comment "comment" text,
        /// Sends nothing to it.
        with_disabled "disable" flag,
    }
}

impl SmtpSettings {
    /// Through a server, from an address.
    pub fn through(server: &str, from: &str) -> Self {
        Self::new().with_server(server).with_from(from)
    }

    /// How it is spoken to; encrypted from the beginning by default.
    #[must_use]
    pub fn with_mode(self, mode: &SmtpMode) -> Self {
        self.with("mode", mode.as_str())
    }
}

/// The noun of [`Smtp`].
#[derive(Debug)]
#[non_exhaustive]
pub struct SmtpNoun;

impl about::Sealed for SmtpNoun {
    const ABOUT: About = About {
        delete_each: true,
        secrets: &["password"],
        ..About::new(
            "SMTP endpoint",
            "/cluster/notifications/endpoints/smtp",
            "name",
        )
    };
}

impl Noun for SmtpNoun {
    type Info = SmtpInfo;
    type Settings = SmtpSettings;
}

/// A mail server with recipients.
pub type Smtp = Named<SmtpNoun>;

open_enum! {
    /// How a webhook is called.
    pub enum WebhookMethod {
        /// `POST`.
        Post = "post",
        /// `PUT`.
        Put = "put",
        /// `GET`, without a body.
        Get = "get",
    }
}

record! {
    /// A webhook: `GET /cluster/notifications/endpoints/webhook`. Of its secrets only the names are told.
    pub struct WebhookInfo {
        required {
            /// Name.
            "name" name: String,
        }
        optional {
            /// Address, a template.
            "url" url: String,
            /// How it is called.
            "method" method: WebhookMethod,
            /// Headers, each `name=…,value=…` with the value in base64.
            "header" headers: Vec<String>,
            /// Body in base64, a template.
            "body" body: String,
            /// Secrets that templates can name, each `name=…`.
            "secret" secrets: Vec<String>,
            /// Comment.
            "comment" comment: String,
            /// Whether it is not called.
            "disable" disabled: bool,
            /// Who made it.
            "origin" origin: Origin,
            /// Digest of all notifications.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a webhook. A new one needs an address and a method. Address, headers and body are templates, which can
    /// name `{{ title }}`, `{{ message }}`, `{{ severity }}`, `{{ secrets.… }}` and others.
    pub struct WebhookSettings {
        /// Address.
        with_url "url" text,
        /// Comment.
        with_comment "comment" text,
        /// Does not call it.
        with_disabled "disable" flag,
    }
}

impl WebhookSettings {
    /// To an address.
    pub fn to(method: &WebhookMethod, url: &str) -> Self {
        Self::new().with_method(method).with_url(url)
    }

    /// How it is called.
    #[must_use]
    pub fn with_method(self, method: &WebhookMethod) -> Self {
        self.with("method", method.as_str())
    }

    /// Its body; an empty one is none.
    #[must_use]
    pub fn with_body(self, template: &str) -> Self {
        let packed = STANDARD.encode(template);
        self.with("body", &packed)
    }

    /// All its headers, by name and value.
    #[must_use]
    pub fn with_headers<'a>(
        mut self,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let headers = headers
            .into_iter()
            .map(|(name, value)| format!("name={name},value={}", STANDARD.encode(value)));
        self.0.set("header", Wanted::items(headers.collect()));
        self
    }

    /// All its secrets, by name and value. The server tells the names only, so values that changed are sent by
    /// [`update`](Named::update) and not noticed by [`ensure`](Named::ensure).
    #[must_use]
    pub fn with_secrets<S: Into<SecretString>>(
        mut self,
        secrets: impl IntoIterator<Item = (String, S)>,
    ) -> Self {
        let secrets = secrets
            .into_iter()
            .map(|(name, value)| (name, value.into()));
        let secrets = Wanted::NamedSecrets(secrets.collect());
        self.0.set("secret", secrets);
        self
    }
}

/// The noun of [`Webhook`].
#[derive(Debug)]
#[non_exhaustive]
pub struct WebhookNoun;

impl about::Sealed for WebhookNoun {
    const ABOUT: About = About {
        delete_each: true,
        ..About::new(
            "webhook",
            "/cluster/notifications/endpoints/webhook",
            "name",
        )
    };
}

impl Noun for WebhookNoun {
    type Info = WebhookInfo;
    type Settings = WebhookSettings;
}

/// A webhook.
pub type Webhook = Named<WebhookNoun>;
