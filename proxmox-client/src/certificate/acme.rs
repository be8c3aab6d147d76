//! Accounts with authorities that sign certificates by themselves (ACME), and how domains are proven to them.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::access::Ensured;
use crate::client::Client;
use crate::error::Result;
use crate::named::{About, Named, Noun, about, all, list};
use crate::open::open_enum;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::setting::{Settings, Wanted, settings};
use crate::task::TaskCall;
use crate::wire::{Method, Request};

record! {
    /// A directory that the server knows by name: `GET /cluster/acme/directories`.
    pub struct AcmeDirectoryInfo {
        required {
            /// Name.
            "name" name: String,
            /// Address.
            "url" url: String,
        }
        optional {}
    }
}

record! {
    /// What an authority tells of itself: `GET /cluster/acme/meta`.
    pub struct AcmeMeta {
        optional {
            /// Address of its terms of service.
            "termsOfService" terms_of_service: String,
            /// Whether an account has to be bound to one that it knows already.
            "externalAccountRequired" external_account_required: bool,
            /// Address of more information about it.
            "website" website: String,
            /// Host names that records for authorities (CAA) call it by.
            "caaIdentities" caa_identities: Vec<String>,
        }
    }
}

record! {
    /// A way to prove a domain: `GET /cluster/acme/challenge-schema`.
    pub struct AcmeChallenge {
        required {
            /// What [`AcmePluginSettings::dns`] calls it.
            "id" id: String,
            /// Its type, such as `dns`.
            "type" kind: String,
        }
        optional {
            /// Its name for people.
            "name" name: String,
            /// What its data consist of.
            "schema" schema: Value,
        }
    }
}

open_enum! {
    /// What an authority says of an account.
    pub enum AcmeAccountStatus {
        /// It may order.
        Valid = "valid",
        /// It was given up.
        Deactivated = "deactivated",
        /// The authority takes no orders of it.
        Revoked = "revoked",
    }
}

record! {
    /// An account: `GET /cluster/acme/account/{name}`.
    pub struct AcmeAccountInfo {
        optional {
            /// What the authority keeps of it, as JSON: `status`, `contact`, `createdAt`, …
            "account" account: Value,
            /// Address of the authority's directory.
            "directory" directory: String,
            /// Address of the account there.
            "location" location: String,
            /// Address of the terms of service that it agreed to.
            "tos" terms_of_service: String,
        }
    }
}

impl AcmeAccountInfo {
    /// What the authority says of it.
    pub fn status(&self) -> Option<AcmeAccountStatus> {
        let status = self.account.as_ref()?.get("status")?.as_str()?;
        Some(status.into())
    }

    /// Mail addresses at which the authority reaches its owner.
    pub fn contacts(&self) -> BTreeSet<String> {
        let account = self.account.as_ref();
        let contact = account.and_then(|account| account.get("contact")?.as_array());
        let texts = contact.into_iter().flatten().filter_map(Value::as_str);
        texts
            .map(|text| text.strip_prefix("mailto:").unwrap_or(text).to_owned())
            .collect()
    }
}

/// An account to be registered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewAcmeAccount {
    contacts: BTreeSet<String>,
    directory: Option<String>,
    terms: Option<String>,
    external: Option<(String, SecretString)>,
}

impl NewAcmeAccount {
    /// With mail addresses, at Let's Encrypt.
    pub fn new<S: Into<String>>(contacts: impl IntoIterator<Item = S>) -> Self {
        Self {
            contacts: contacts.into_iter().map(Into::into).collect(),
            directory: None,
            terms: None,
            external: None,
        }
    }

    /// At the authority with this directory.
    #[must_use]
    pub fn with_directory(mut self, url: &str) -> Self {
        self.directory = Some(url.to_owned());
        self
    }

    /// Agrees to the terms of service at this address, as [`AcmeMeta::terms_of_service`] gives it.
    #[must_use]
    pub fn with_agreed_terms(mut self, url: &str) -> Self {
        self.terms = Some(url.to_owned());
        self
    }

    /// Bound to an account that the authority knows already, by the id of a key and that key. Since 8.1.
    #[must_use]
    pub fn with_external_account(mut self, kid: &str, hmac_key: impl Into<SecretString>) -> Self {
        self.external = Some((kid.to_owned(), hmac_key.into()));
        self
    }
}

/// What deals with authorities that sign certificates by themselves.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::certificate::{AcmePluginSettings, NewAcmeAccount};
/// use proxmox_client::property::{Acme, AcmeDomain};
/// use proxmox_client::{Ensured, Login, NodeSettings};
/// # use proxmox_client::simulator::{Simulator, World};
/// # let simulator = Simulator::new(World::lab().with_user("root@pam", "root-secret"));
/// # let login = Login::new("root@pam", "root-secret");
/// let root = simulator.builder().login(login).build()?; // no token may register an account
/// let acme = root.acme();
/// let meta = acme.directory_meta(None).await?;
/// let terms = meta.terms_of_service.unwrap_or_default();
/// let account = NewAcmeAccount::new(["admin@example.test"]).with_agreed_terms(&terms);
/// assert_eq!(acme.account("default").ensure(&account).await?, Ensured::Created);
/// assert_eq!(acme.account("default").ensure(&account).await?, Ensured::Unchanged);
///
/// let dns = AcmePluginSettings::dns("cf").with_data([("CF_Token", "…")]);
/// acme.plugin("cloudflare").ensure(&dns).await?;
///
/// let node = root.node("pve1");
/// let domain = AcmeDomain::default().with_domain("pve1.example.test").with_plugin("cloudflare");
/// let wanted = NodeSettings::new()
///     .with_acme(&Acme::default().with_account("default"))
///     .with_acme_domain(0, &domain);
/// node.ensure_options(&wanted).await?;
/// assert_eq!(node.ensure_acme_certificate().await?, Ensured::Created);
/// assert_eq!(node.ensure_acme_certificate().await?, Ensured::Unchanged);
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct AcmeClient {
    client: Client,
}

impl Client {
    /// Authorities that sign certificates by themselves, and the cluster's accounts with them.
    pub fn acme(&self) -> AcmeClient {
        AcmeClient {
            client: self.clone(),
        }
    }
}

impl AcmeClient {
    /// Directories that the server knows by name.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let known = client.acme().directories().await?;
    /// assert_eq!(known[0].name, "Let's Encrypt V2");
    /// let ways = client.acme().challenges().await?;
    /// assert!(ways.iter().any(|way| way.id == "cf" && way.kind == "dns"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn directories(&self) -> Result<Vec<AcmeDirectoryInfo>> {
        let request = Request::new(Method::Get, "/cluster/acme/directories", &[]);
        self.client.fetch(request).await
    }

    /// What an authority tells of itself, by the address of its directory; by default that of Let's Encrypt. The server
    /// asks the authority. Since 8.1.
    ///
    /// Example: see [`AcmeClient`].
    pub async fn directory_meta(&self, directory: Option<&str>) -> Result<AcmeMeta> {
        let mut request = Request::new(Method::Get, "/cluster/acme/meta", &[]);
        if let Some(url) = directory {
            request = request.with("directory", url);
        }
        let found = self.client.fetch(request).await;
        found.map_err(|error| error.doing("asking an authority about itself"))
    }

    /// The ways in which the server can prove domains by records in DNS.
    ///
    /// Example: see [`directories`](Self::directories).
    pub async fn challenges(&self) -> Result<Vec<AcmeChallenge>> {
        let request = Request::new(Method::Get, "/cluster/acme/challenge-schema", &[]);
        self.client.fetch(request).await
    }

    /// The names of all accounts. One that was given up is called `_deactivated_…`.
    ///
    /// Example: see [`AcmeAccount::deactivate`].
    pub async fn accounts(&self) -> Result<Vec<String>> {
        let request = Request::new(Method::Get, "/cluster/acme/account", &[]);
        let found: Vec<Value> = self.client.fetch(request).await?;
        let names = found.iter().filter_map(|entry| entry.get("name")?.as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// An account by its name; `default` is the one of who names none. It need not exist.
    pub fn account(&self, name: impl Into<String>) -> AcmeAccount {
        AcmeAccount {
            client: self.client.clone(),
            name: name.into(),
        }
    }

    /// What proves domains; `standalone`, the node's own web server, is always there.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let all = client.acme().plugins().await?;
    /// assert_eq!(all[0].id, "standalone");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn plugins(&self) -> Result<Vec<AcmePluginInfo>> {
        all::<AcmePluginNoun>(&self.client, list::<AcmePluginNoun>(&[])).await
    }

    /// What proves domains, by its name.
    pub fn plugin(&self, id: impl Into<String>) -> AcmePlugin {
        AcmePlugin::new(&self.client, &[], id)
    }
}

/// An account with an authority. It need not exist. Only `root@pam` with a ticket may read or change it.
#[derive(Debug, Clone)]
pub struct AcmeAccount {
    client: Client,
    name: String,
}

impl AcmeAccount {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn request(&self, method: Method) -> Request {
        Request::new(method, "/cluster/acme/account/{name}", &[&self.name])
    }

    fn task(&self, what: &str, request: Request) -> TaskCall<()> {
        let doing = format!("{what} ACME account {}", self.name);
        let finish = |report: crate::task::TaskReport| report.check().map(|_| ());
        TaskCall::new(self.client.clone(), doing, Ok(request), finish)
    }

    /// The account as it is; none if there is no such one.
    ///
    /// Example: see [`deactivate`](Self::deactivate).
    ///
    /// # Errors
    /// [`Kind::RootOnly`](crate::Kind::RootOnly) for everyone but `root@pam`.
    pub async fn get(&self) -> Result<Option<AcmeAccountInfo>> {
        let acme = self.client.acme();
        if !acme.accounts().await?.contains(&self.name) {
            return Ok(None);
        }
        let found = self.client.fetch(self.request(Method::Get)).await;
        found
            .map(Some)
            .map_err(|error| error.doing(format!("reading ACME account {}", self.name)))
    }

    /// Registers it with its authority.
    ///
    /// Example: see [`deactivate`](Self::deactivate).
    ///
    /// # Errors
    /// [`Kind::Parameter`](crate::Kind::Parameter) if there is one of that name; a failed task if the authority does
    /// not admit it.
    pub fn register(&self, wanted: &NewAcmeAccount) -> TaskCall<()> {
        let contacts: Vec<&str> = wanted.contacts.iter().map(String::as_str).collect();
        let mut request = Request::new(Method::Post, "/cluster/acme/account", &[])
            .with("name", self.name.as_str())
            .with("contact", contacts.join(","));
        if let Some(url) = &wanted.directory {
            request = request.with("directory", url.as_str());
        }
        if let Some(url) = &wanted.terms {
            request = request.with("tos_url", url.as_str());
        }
        if let Some((kid, key)) = &wanted.external {
            request = request
                .with("eab-kid", kid.as_str())
                .with("eab-hmac-key", key.expose_secret());
        }
        self.task("registering", request)
    }

    /// Makes sure that there is an account with these mail addresses. One that is with another authority is left alone
    /// but for these.
    ///
    /// Example: see [`AcmeClient`].
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub async fn ensure(&self, wanted: &NewAcmeAccount) -> Result<Ensured> {
        let Some(have) = self.get().await? else {
            self.register(wanted).await?;
            return Ok(Ensured::Created);
        };
        if have.contacts() == wanted.contacts {
            return Ok(Ensured::Unchanged);
        }
        self.set_contacts(&wanted.contacts).await?;
        Ok(Ensured::Updated(vec!["contact".to_owned()]))
    }

    /// Tells the authority other mail addresses.
    ///
    /// Example: see [`deactivate`](Self::deactivate).
    pub fn set_contacts(&self, contacts: &BTreeSet<String>) -> TaskCall<()> {
        let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
        let request = self.request(Method::Put);
        self.task("changing", request.with("contact", contacts.join(",")))
    }

    /// Asks the authority what it keeps of the account.
    ///
    /// Example: see [`deactivate`](Self::deactivate).
    pub fn refresh(&self) -> TaskCall<()> {
        self.task("refreshing", self.request(Method::Put))
    }

    /// Gives it up with its authority, for good. The cluster keeps it as `_deactivated_NAME_0`.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::certificate::{AcmeAccountStatus, NewAcmeAccount};
    /// use proxmox_client::{Login, Removed};
    /// # use proxmox_client::simulator::{AcmeDirectory, Simulator, World};
    /// # let world = World::lab().with_acme_directory(AcmeDirectory::new("https://ca.example.test/directory"));
    /// # let simulator = Simulator::new(world.with_user("root@pam", "root-secret"));
    /// # let root = simulator.builder().login(Login::new("root@pam", "root-secret")).build()?;
    /// let own = root.acme().account("own");
    /// let wanted = NewAcmeAccount::new(["a@example.test"]).with_directory("https://ca.example.test/directory");
    /// own.register(&wanted).await?;
    /// own.set_contacts(&["b@example.test".to_owned()].into()).await?;
    /// own.refresh().await?;
    /// let have = own.get().await?.unwrap();
    /// assert_eq!(have.status(), Some(AcmeAccountStatus::Valid));
    /// assert!(have.contacts().contains("b@example.test"));
    /// assert_eq!(own.deactivate().await?, Removed::Removed);
    /// assert_eq!(own.deactivate().await?, Removed::Absent);
    /// assert_eq!(root.acme().accounts().await?, ["_deactivated_own_0"]);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn deactivate(&self) -> Result<Removed> {
        if !self.client.acme().accounts().await?.contains(&self.name) {
            return Ok(Removed::Absent);
        }
        let call = self.task("giving up", self.request(Method::Delete));
        call.await.map(|()| Removed::Removed)
    }
}

record! {
    /// What proves domains: `GET /cluster/acme/plugins`. Its data are left out.
    pub struct AcmePluginInfo {
        required {
            /// Name.
            "plugin" id: String,
            /// `dns` or `standalone`.
            "type" kind: String,
        }
        optional {
            /// Which service it talks to.
            "api" api: String,
            /// Whether it is off.
            "disable" disabled: bool,
            /// The nodes that use it.
            "nodes" nodes: String,
            /// How long it waits until its records are seen, in seconds; 30 if absent.
            "validation-delay" validation_delay: u32,
            /// Digest of all of them.
            "digest" digest: String,
        }
    }
}

settings! {
    /// Settings of what proves domains.
    pub struct AcmePluginSettings {
        /// Turns it off.
        with_disabled "disable" flag,
        /// How long it waits until its records are seen, in seconds: 0 to 172800, 30 by default.
        with_validation_delay "validation-delay" number,
    }
}

impl AcmePluginSettings {
    /// By records in DNS that a service keeps, as [`AcmeClient::challenges`] calls it.
    pub fn dns(api: &str) -> Self {
        let mut settings = Settings::of_kind("dns");
        settings.text("api", api);
        Self(settings)
    }

    /// By the node's own web server, which has to be reached at port 80.
    pub fn standalone() -> Self {
        Self(Settings::of_kind("standalone"))
    }

    /// The nodes that use it; by default all.
    #[must_use]
    pub fn with_nodes<S: Into<String>>(mut self, nodes: impl IntoIterator<Item = S>) -> Self {
        self.0.list("nodes", nodes);
        self
    }

    /// What the service wants to know, such as a token, by the names of its variables.
    #[must_use]
    pub fn with_data<'a>(mut self, data: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let lines = data
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        let text = lines.collect::<Vec<_>>().join("\n");
        self.0.set("data", Wanted::Packed(SecretString::from(text)));
        self
    }
}

/// The noun of [`AcmePlugin`].
#[derive(Debug)]
#[non_exhaustive]
pub struct AcmePluginNoun;

impl about::Sealed for AcmePluginNoun {
    const ABOUT: About = About {
        has_kinds: true,
        looks_first: true,
        secrets: &["data"],
        ..About::new("ACME plug-in", "/cluster/acme/plugins", "id")
    };
}

impl Noun for AcmePluginNoun {
    type Info = AcmePluginInfo;
    type Settings = AcmePluginSettings;
}

/// What proves domains to an authority.
pub type AcmePlugin = Named<AcmePluginNoun>;
