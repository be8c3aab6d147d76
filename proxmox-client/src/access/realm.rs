//! Realms: where users come from and how they prove who they are.

use secrecy::SecretString;

use crate::access::Access;
use crate::error::Result;
use crate::named::{About, Named, Noun, about, all, list};
use crate::open::open_enum;
use crate::scalar::record;
use crate::setting::{Settings, Wanted, settings};
use crate::task::TaskCall;
use crate::wire::{Method, Request};

open_enum! {
    /// How a realm knows its users.
    pub enum RealmKind {
        /// Accounts of the node's operating system.
        Pam = "pam",
        /// Accounts of the cluster.
        Pve = "pve",
        /// An LDAP directory.
        Ldap = "ldap",
        /// Active Directory.
        ActiveDirectory = "ad",
        /// OpenID Connect.
        OpenId = "openid",
    }
}

record! {
    /// A realm: `GET /access/domains`; most fields come only when one realm is asked for. Secrets are left out.
    pub struct RealmInfo {
        required {
            /// Name, which stands behind the `@` of users.
            "realm" id: String,
            /// How it knows its users.
            "type" kind: RealmKind,
        }
        optional {
            /// Comment.
            "comment" comment: String,
            /// Whether the login page offers it first.
            "default" default: bool,
            /// The second factor that it demands.
            "tfa" second_factor: String,
            /// Address of the directory's server.
            "server1" server: String,
            /// Address of another one.
            "server2" fallback_server: String,
            /// Port of the servers.
            "port" port: u32,
            /// How the servers are spoken to: `ldap`, `ldaps` or `ldap+starttls`.
            "mode" mode: String,
            /// Where the users are in the directory.
            "base_dn" base_dn: String,
            /// Who asks the directory.
            "bind_dn" bind_dn: String,
            /// The attribute that names a user.
            "user_attr" user_attribute: String,
            /// Domain of Active Directory.
            "domain" domain: String,
            /// Address of the OpenID provider.
            "issuer-url" issuer: String,
            /// Who this cluster is for the provider.
            "client-id" client_id: String,
            /// The claim that names a user.
            "username-claim" username_claim: String,
            /// Whether users that log in for the first time are made.
            "autocreate" creates_users: bool,
            /// Digest of all realms.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of a realm. A new one needs a kind, which the functions that make settings give.
    pub struct RealmSettings {
        /// Comment.
        with_comment "comment" text,
        /// Whether the login page offers it first; no other realm does then.
        with_default "default" flag,
        /// The second factor that it demands, such as `type=oath`.
        with_second_factor "tfa" text,
        /// Address of the directory's server.
        with_server "server1" text,
        /// Address of another one.
        with_fallback_server "server2" text,
        /// Port of the servers.
        with_port "port" number,
        /// How the servers are spoken to: `ldap` (default), `ldaps` or `ldap+starttls`.
        with_mode "mode" text,
        /// Whether the servers' certificates are checked.
        with_verification "verify" flag,
        /// Path of the certificates that the node trusts.
        with_ca_path "capath" text,
        /// Where the users are in the directory.
        with_base_dn "base_dn" text,
        /// Who asks the directory; nobody in particular if it is not set.
        with_bind_dn "bind_dn" text,
        /// Password of who asks. The server never shows it.
        with_bind_password "password" secret,
        /// The attribute that names a user.
        with_user_attribute "user_attr" text,
        /// Which users are taken over.
        with_user_filter "filter" text,
        /// Where the groups are in the directory.
        with_group_dn "group_dn" text,
        /// Which groups are taken over.
        with_group_filter "group_filter" text,
        /// How attributes become fields, such as `email=mail,firstname=givenName`.
        with_sync_attributes "sync_attributes" text,
        /// Defaults of [`Realm::sync`], such as `scope=both,remove-vanished=acl;entry`.
        with_sync_defaults "sync-defaults-options" text,
        /// Domain of Active Directory.
        with_domain "domain" text,
        /// Whether capitals in user names make a difference.
        with_case_sensitivity "case-sensitive" switch,
        /// Address of the OpenID provider.
        with_issuer "issuer-url" text,
        /// Who this cluster is for the provider.
        with_client_id "client-id" text,
        /// The key that proves it.
        with_client_key "client-key" secret,
        /// Whether users that log in for the first time are made.
        with_created_users "autocreate" flag,
        /// What the provider is asked to tell, `email profile` by default.
        with_scopes "scopes" text,
        /// What the provider shall ask the user: `none`, `login`, `consent`, …
        with_prompt "prompt" text,
        /// The claim that names the user's groups.
        with_groups_claim "groups-claim" text,
        /// Whether groups that the provider names are made.
        with_created_groups "groups-autocreate" flag,
        /// Whether a login replaces all of the user's groups.
        with_replaced_groups "groups-overwrite" flag,
        /// Whether the provider's endpoint for information on users is asked.
        with_user_info "query-userinfo" switch,
    }
}

impl RealmSettings {
    /// Of any kind.
    pub fn of_kind(kind: &RealmKind) -> Self {
        Self(Settings::of_kind(kind.as_str()))
    }

    /// An LDAP directory at a server; users are below `base_dn`, named by an attribute such as `uid`.
    pub fn ldap(server: &str, base_dn: &str, user_attribute: &str) -> Self {
        Self::of_kind(&RealmKind::Ldap)
            .with_server(server)
            .with_base_dn(base_dn)
            .with_user_attribute(user_attribute)
    }

    /// A domain of Active Directory at a server.
    pub fn active_directory(server: &str, domain: &str) -> Self {
        Self::of_kind(&RealmKind::ActiveDirectory)
            .with_server(server)
            .with_domain(domain)
    }

    /// An OpenID Connect provider.
    pub fn open_id(issuer: &str, client_id: &str) -> Self {
        Self::of_kind(&RealmKind::OpenId)
            .with_issuer(issuer)
            .with_client_id(client_id)
    }

    /// The claim that names a user of an OpenID realm, such as `username` or `email`. Fixed once the realm is made.
    #[must_use]
    pub fn with_username_claim(mut self, claim: &str) -> Self {
        self.0.set("username-claim", Wanted::text(claim));
        self
    }
}

/// The noun of [`Realm`].
#[derive(Debug)]
#[non_exhaustive]
pub struct RealmNoun;

impl about::Sealed for RealmNoun {
    const ABOUT: About = About {
        has_kinds: true,
        secrets: &["client-key", "password"],
        ..About::new("realm", "/access/domains", "realm")
    };
}

impl Noun for RealmNoun {
    type Info = RealmInfo;
    type Settings = RealmSettings;
}

/// A realm.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{Ensured, RealmSettings};
/// # let client = proxmox_client::simulator::Simulator::new(proxmox_client::simulator::World::lab()).connect();
/// let realm = client.access().realm("corp");
/// let wanted = RealmSettings::ldap("ldap.example.test", "dc=example,dc=test", "uid")
///     .with_mode("ldaps")
///     .with_bind_dn("cn=proxmox,dc=example,dc=test")
///     .with_bind_password("…");
/// assert_eq!(realm.ensure(&wanted).await?, Ensured::Created);
/// assert_eq!(realm.ensure(&wanted).await?, Ensured::Unchanged);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
pub type Realm = Named<RealmNoun>;

open_enum! {
    /// What a synchronisation takes over.
    pub enum SyncScope {
        /// Users.
        Users = "users",
        /// Groups.
        Groups = "groups",
        /// Both.
        Both = "both",
    }
}

/// How to synchronise a realm. What is not set follows the realm's defaults.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SyncOptions {
    scope: Option<SyncScope>,
    remove_vanished: Option<String>,
    enable_new: Option<bool>,
    dry_run: bool,
}

impl SyncOptions {
    /// As the realm says.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is taken over. A realm without defaults needs it.
    #[must_use]
    pub fn with_scope(mut self, scope: SyncScope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// What is removed of those that the directory no longer has: `acl`, `entry` and `properties`, separated by `;`, or
    /// `none`.
    #[must_use]
    pub fn with_remove_vanished(mut self, what: &str) -> Self {
        self.remove_vanished = Some(what.to_owned());
        self
    }

    /// Whether new users may log in at once.
    #[must_use]
    pub fn with_enabled_users(mut self, on: bool) -> Self {
        self.enable_new = Some(on);
        self
    }

    /// Only tells what it would do.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
}

impl Realm {
    /// Takes users and groups over from the directory. Gives the task's warnings; what was done stands in its log, which
    /// [`submit`](TaskCall::submit) gives a handle for.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{SyncOptions, SyncScope};
    /// # let client = proxmox_client::Client::builder().endpoint("192.0.2.10").build()?;
    /// let everybody = SyncOptions::new().with_scope(SyncScope::Both).with_enabled_users(true);
    /// for warning in client.access().realm("corp").sync(everybody).await? {
    ///     println!("{warning}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Kind::Parameter`](crate::Kind::Parameter) for realms that are no directory; a task failure if the directory does
    /// not answer.
    pub fn sync(&self, options: SyncOptions) -> TaskCall<Vec<String>> {
        let path = "/access/domains/{realm}/sync";
        let mut request = Request::new(Method::Post, path, &[self.id()]);
        let params = request.params_mut();
        if let Some(scope) = options.scope {
            params.push("scope", scope.as_str());
        }
        if let Some(what) = options.remove_vanished {
            params.push("remove-vanished", what);
        }
        if let Some(on) = options.enable_new {
            params.push_flag("enable-new", on);
        }
        if options.dry_run {
            params.push_flag("dry-run", true);
        }
        let doing = format!("synchronising realm {}", self.id());
        TaskCall::new(self.client().clone(), doing, Ok(request), |report| {
            report.check()
        })
    }
}

impl Access {
    /// All realms, with what the login page needs to know.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let realms = client.access().realms().await?;
    /// let names: Vec<&str> = realms.iter().map(|realm| realm.id.as_str()).collect();
    /// assert_eq!(names, ["pam", "pve"]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn realms(&self) -> Result<Vec<RealmInfo>> {
        all::<RealmNoun>(self.client(), list::<RealmNoun>(&[])).await
    }

    /// A realm by its name.
    pub fn realm(&self, id: impl Into<String>) -> Realm {
        Realm::new(self.client(), &[], id)
    }

    /// Sets a user's password; only for realms that keep passwords themselves (`pve`, `pam`).
    ///
    /// `own` is the caller's own password, which servers since 8.3 ask for unless the caller is `root@pam`.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::simulator::{Simulator, World};
    /// use proxmox_client::{Login, UserSettings};
    /// # let simulator = Simulator::new(World::lab().with_user("root@pam", "root-secret"));
    /// let log_in = |user, password| simulator.builder().login(Login::new(user, password)).build();
    /// let root = log_in("root@pam", "root-secret")?.access();
    /// root.ensure_user("alice@pve", &UserSettings::new()).await?;
    /// root.set_password("alice@pve", "correct horse", None).await?;
    /// log_in("alice@pve", "correct horse")?.version().await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::TicketOnly`](crate::Kind::TicketOnly) for a token: log in with a password instead.
    pub async fn set_password(
        &self,
        user: &str,
        password: impl Into<SecretString>,
        own: Option<SecretString>,
    ) -> Result<()> {
        let expose = secrecy::ExposeSecret::expose_secret;
        let mut request = Request::new(Method::Put, "/access/password", &[])
            .with("userid", user)
            .with("password", expose(&password.into()));
        if let Some(own) = own {
            request = request.with("confirmation-password", expose(&own));
        }
        let done = self.client().request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(format!("setting the password of {user}")))
    }
}
