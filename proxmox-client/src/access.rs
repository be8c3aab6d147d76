//! Users, groups, roles, rights, tokens and realms.

mod realm;

use std::collections::BTreeSet;
use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use crate::auth::Token;
use crate::client::Client;
use crate::error::{Error, Kind, Result};
use crate::qemu::Removed;
use crate::scalar::record;
use crate::secret::Members;
use crate::wire::{Method, Params, Request};

pub use realm::{Realm, RealmInfo, RealmKind, RealmSettings, SyncOptions, SyncScope};

/// What became of making sure that something is as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ensured {
    /// It was not there and was made.
    Created,
    /// It was so already; nothing was sent.
    Unchanged,
    /// These settings were changed.
    Updated(Vec<String>),
}

record! {
    /// An entry of `GET /access/users`.
    pub struct User {
        required {
            /// Name with realm, such as `alice@pve`.
            "userid" id: String,
        }
        optional {
            /// Whether the user may log in.
            "enable" enabled: bool,
            /// When the account ends, in seconds since 1970; 0 never.
            "expire" expires: u64,
            /// Comment.
            "comment" comment: String,
            /// Mail address.
            "email" email: String,
            /// First name.
            "firstname" first_name: String,
            /// Last name.
            "lastname" last_name: String,
        }
    }
}

record! {
    /// An entry of `GET /access/groups`.
    pub struct Group {
        required {
            /// Name.
            "groupid" id: String,
        }
        optional {
            /// Comment.
            "comment" comment: String,
            /// Members, separated by commas.
            "users" users: String,
        }
    }
}

record! {
    /// An entry of `GET /access/roles`.
    pub struct Role {
        required {
            /// Name.
            "roleid" id: String,
        }
        optional {
            /// Privileges, separated by commas.
            "privs" privileges: String,
            /// Whether it came with the server and cannot be changed.
            "special" special: bool,
        }
    }
}

record! {
    /// An entry of `GET /access/acl`: a role that someone has on a path.
    pub struct AclEntry {
        required {
            /// Path, such as `/vms/100`.
            "path" path: String,
            /// `user`, `group` or `token`.
            "type" kind: String,
            /// Who.
            "ugid" who: String,
            /// Role.
            "roleid" role: String,
        }
        optional {
            /// Whether it holds below the path too.
            "propagate" propagate: bool,
        }
    }
}

record! {
    /// An entry of `GET /access/users/{userid}/token`.
    pub struct TokenInfo {
        required {
            /// Name within the user.
            "tokenid" name: String,
        }
        optional {
            /// Comment.
            "comment" comment: String,
            /// When it ends, in seconds since 1970; 0 never.
            "expire" expires: u64,
            /// Whether it has rights of its own instead of the user's.
            "privsep" separate: bool,
        }
    }
}

/// Settings of a user. What is not set is left alone.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct UserSettings {
    params: Vec<(&'static str, String)>,
    groups: Option<BTreeSet<String>>,
}

impl fmt::Debug for UserSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.params.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl UserSettings {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.params.push((name, value.into()));
        self
    }

    /// Whether the user may log in.
    #[must_use]
    pub fn with_enabled(self, enabled: bool) -> Self {
        self.with("enable", if enabled { "1" } else { "0" })
    }

    /// Comment.
    #[must_use]
    pub fn with_comment(self, text: &str) -> Self {
        self.with("comment", text)
    }

    /// Mail address.
    #[must_use]
    pub fn with_email(self, address: &str) -> Self {
        self.with("email", address)
    }

    /// When the account ends, in seconds since 1970; 0 never.
    #[must_use]
    pub fn with_expiry(self, seconds: u64) -> Self {
        self.with("expire", seconds.to_string())
    }

    /// The groups that the user is in, and no other.
    #[must_use]
    pub fn with_groups<S: Into<String>>(mut self, groups: impl IntoIterator<Item = S>) -> Self {
        self.groups = Some(groups.into_iter().map(Into::into).collect());
        self
    }
}

/// A role for someone on a path.
///
/// ```
/// use proxmox_client::Grant;
/// let all_below = Grant::to_group("operators", "PVEVMUser", "/vms");
/// let only_there = Grant::to_token("alice@pve!ci", "PVEAuditor", "/").here_only();
/// assert_ne!(all_below, only_there);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    path: String,
    kind: &'static str,
    who: String,
    role: String,
    propagate: bool,
}

impl Grant {
    fn new(kind: &'static str, who: &str, role: &str, path: &str) -> Self {
        Self {
            path: format!("/{}", path.trim_matches('/')),
            kind,
            who: who.to_owned(),
            role: role.to_owned(),
            propagate: true,
        }
    }

    /// For a user, such as `alice@pve`.
    pub fn to_user(user: &str, role: &str, path: &str) -> Self {
        Self::new("user", user, role, path)
    }

    /// For a group.
    pub fn to_group(group: &str, role: &str, path: &str) -> Self {
        Self::new("group", group, role, path)
    }

    /// For a token with rights of its own, such as `alice@pve!ci`.
    pub fn to_token(token: &str, role: &str, path: &str) -> Self {
        Self::new("token", token, role, path)
    }

    /// Only on the path itself, not below it.
    #[must_use]
    pub fn here_only(mut self) -> Self {
        self.propagate = false;
        self
    }

    fn request(&self, delete: bool) -> Request {
        let request = Request::new(Method::Put, "/access/acl", &[])
            .with("path", self.path.as_str())
            .with("roles", self.role.as_str())
            .with(&format!("{}s", self.kind), self.who.as_str());
        if delete {
            request.with_flag("delete", true)
        } else {
            request.with_flag("propagate", self.propagate)
        }
    }

    fn is(&self, entry: &AclEntry) -> bool {
        entry.path == self.path
            && entry.kind == self.kind
            && entry.who == self.who
            && entry.role == self.role
    }
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenRights {
    /// What is granted to the token and to its user: upstream calls it privilege separation.
    Separate,
    /// What its user may do.
    OfUser,
}

/// A token that was made just now: the only moment at which its secret is told.
#[derive(Debug)]
#[non_exhaustive]
pub struct NewToken {
    /// `user@realm!name`.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

impl NewToken {
    /// The token, ready for [`ClientBuilder::api_token`](crate::ClientBuilder::api_token) and
    /// [`RemoteEndpoint`](crate::RemoteEndpoint).
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if the server told an id that is no `user@realm!name`.
    pub fn token(&self) -> Result<Token> {
        Token::new(&self.id, self.secret.expose_secret())
    }
}

/// Users, groups, roles, rights and tokens of a cluster.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{Grant, UserSettings};
/// # let client = proxmox_client::simulator::Simulator::lab().connect();
/// let access = client.access();
/// access.ensure_role("Operator", ["VM.PowerMgmt", "VM.Audit"]).await?;
/// access.ensure_group("operators", "On call").await?;
/// access.ensure_user("alice@pve", &UserSettings::new().with_groups(["operators"])).await?;
/// access.grant(&Grant::to_group("operators", "Operator", "/vms")).await?;
/// assert_eq!(access.groups().await?[0].users.as_deref(), Some("alice@pve"));
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Access(Client);

impl Client {
    /// Users, groups, roles, rights and tokens.
    pub fn access(&self) -> Access {
        Access(self.clone())
    }
}

fn absent(error: Error) -> Result<Removed> {
    if error.is_not_found() {
        Ok(Removed::Absent)
    } else {
        Err(error)
    }
}

fn list(text: Option<&str>) -> BTreeSet<String> {
    let names = text.unwrap_or_default().split([',', ';', ' ']);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

impl Access {
    pub(crate) fn client(&self) -> &Client {
        &self.0
    }

    async fn change(&self, request: Request, doing: String) -> Result<()> {
        let done = self.0.request(request).await;
        done.map(|_| ()).map_err(|error| error.doing(doing))
    }

    async fn remove(&self, request: Request, doing: String) -> Result<Removed> {
        match self.change(request, doing).await {
            Ok(()) => Ok(Removed::Removed),
            Err(error) => absent(error),
        }
    }

    /// All users.
    ///
    /// Example: see [`ensure_user`](Self::ensure_user).
    pub async fn users(&self) -> Result<Vec<User>> {
        self.0
            .fetch(Request::new(Method::Get, "/access/users", &[]))
            .await
    }

    /// Makes sure that there is such a user with these settings; other settings of one that is there are left alone.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Ensured, Removed, UserSettings};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let access = client.access();
    /// let wanted = UserSettings::new().with_email("alice@example.test");
    /// assert_eq!(access.ensure_user("alice@pve", &wanted).await?, Ensured::Created);
    /// assert_eq!(access.ensure_user("alice@pve", &wanted).await?, Ensured::Unchanged);
    /// assert!(access.users().await?.iter().any(|user| user.id == "alice@pve"));
    /// assert_eq!(access.delete_user("alice@pve").await?, Removed::Removed);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Permission`], [`Kind::Parameter`], or a group that does not exist.
    pub async fn ensure_user(&self, id: &str, wanted: &UserSettings) -> Result<Ensured> {
        let doing = || format!("setting up user {id}");
        let read = Request::new(Method::Get, "/access/users/{userid}", &[id]);
        let known: Result<Map<String, Value>> = self.0.fetch(read).await;
        let known = match known {
            Ok(known) => Some(known),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.doing(doing())),
        };
        let mut params = Params::new();
        let mut changed = Vec::new();
        for (name, value) in &wanted.params {
            let have = known.as_ref().and_then(|known| known.get(*name)).map(text);
            if have.as_deref() != Some(value) {
                params.push(*name, value.as_str());
                changed.push((*name).to_owned());
            }
        }
        if let Some(groups) = &wanted.groups {
            let have = known.as_ref().and_then(|known| known.get("groups"));
            let have: BTreeSet<String> = match have {
                Some(Value::Array(names)) => names.iter().map(text).collect(),
                other => list(other.and_then(Value::as_str)),
            };
            if have != *groups {
                let all: Vec<&str> = groups.iter().map(String::as_str).collect();
                params.push("groups", all.join(","));
                changed.push("groups".to_owned());
            }
        }
        if known.is_none() {
            let mut request = Request::new(Method::Post, "/access/users", &[]).with_params(params);
            request.params_mut().push("userid", id);
            self.change(request, doing()).await?;
            return Ok(Ensured::Created);
        }
        if changed.is_empty() {
            return Ok(Ensured::Unchanged);
        }
        let request = Request::new(Method::Put, "/access/users/{userid}", &[id]);
        self.change(request.with_params(params), doing()).await?;
        Ok(Ensured::Updated(changed))
    }

    /// Removes a user with all tokens and rights.
    ///
    /// Example: see [`ensure_user`](Self::ensure_user).
    pub async fn delete_user(&self, id: &str) -> Result<Removed> {
        let request = Request::new(Method::Delete, "/access/users/{userid}", &[id]);
        self.remove(request, format!("removing user {id}")).await
    }

    /// All groups.
    ///
    /// Example: see [`ensure_group`](Self::ensure_group).
    pub async fn groups(&self) -> Result<Vec<Group>> {
        self.0
            .fetch(Request::new(Method::Get, "/access/groups", &[]))
            .await
    }

    /// Makes sure that there is such a group.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Ensured, Removed};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let access = client.access();
    /// assert_eq!(access.ensure_group("operators", "On call").await?, Ensured::Created);
    /// assert_eq!(access.ensure_group("operators", "On call").await?, Ensured::Unchanged);
    /// assert_eq!(access.groups().await?[0].comment.as_deref(), Some("On call"));
    /// assert_eq!(access.delete_group("operators").await?, Removed::Removed);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn ensure_group(&self, id: &str, comment: &str) -> Result<Ensured> {
        let doing = format!("setting up group {id}");
        let groups = self.groups().await?;
        let request = match groups.iter().find(|group| group.id == id) {
            Some(group) if group.comment.as_deref().unwrap_or_default() == comment => {
                return Ok(Ensured::Unchanged);
            }
            Some(_) => Request::new(Method::Put, "/access/groups/{groupid}", &[id]),
            None => Request::new(Method::Post, "/access/groups", &[]).with("groupid", id),
        };
        let made = request.method() == Method::Post;
        self.change(request.with("comment", comment), doing).await?;
        Ok(if made {
            Ensured::Created
        } else {
            Ensured::Updated(vec!["comment".to_owned()])
        })
    }

    /// Removes a group and its rights.
    ///
    /// Example: see [`ensure_group`](Self::ensure_group).
    pub async fn delete_group(&self, id: &str) -> Result<Removed> {
        let request = Request::new(Method::Delete, "/access/groups/{groupid}", &[id]);
        self.remove(request, format!("removing group {id}")).await
    }

    /// All roles.
    ///
    /// Example: see [`ensure_role`](Self::ensure_role).
    pub async fn roles(&self) -> Result<Vec<Role>> {
        self.0
            .fetch(Request::new(Method::Get, "/access/roles", &[]))
            .await
    }

    /// Makes sure that there is a role with exactly these privileges.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Ensured, Removed};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let access = client.access();
    /// let privileges = ["VM.PowerMgmt", "VM.Audit"];
    /// assert_eq!(access.ensure_role("Operator", privileges).await?, Ensured::Created);
    /// assert_eq!(access.ensure_role("Operator", privileges).await?, Ensured::Unchanged);
    /// assert!(access.roles().await?.iter().any(|role| role.id == "Operator"));
    /// assert_eq!(access.delete_role("Operator").await?, Removed::Removed);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for a role that came with the server and differs; [`Kind::Parameter`] for a privilege
    /// that the server does not know.
    pub async fn ensure_role<'a>(
        &self,
        id: &str,
        privileges: impl IntoIterator<Item = &'a str>,
    ) -> Result<Ensured> {
        let doing = format!("setting up role {id}");
        let wanted: BTreeSet<String> = privileges.into_iter().map(str::to_owned).collect();
        let all: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let all = all.join(",");
        let roles = self.roles().await?;
        let request = match roles.iter().find(|role| role.id == id) {
            Some(role) if list(role.privileges.as_deref()) == wanted => {
                return Ok(Ensured::Unchanged);
            }
            Some(role) if role.special == Some(true) => {
                return Err(Error::invalid(format!(
                    "role {id} came with the server and cannot be changed"
                ))
                .doing(doing));
            }
            Some(_) => Request::new(Method::Put, "/access/roles/{roleid}", &[id]),
            None => Request::new(Method::Post, "/access/roles", &[]).with("roleid", id),
        };
        let made = request.method() == Method::Post;
        self.change(request.with("privs", all), doing).await?;
        Ok(if made {
            Ensured::Created
        } else {
            Ensured::Updated(vec!["privs".to_owned()])
        })
    }

    /// Removes a role.
    ///
    /// Example: see [`ensure_role`](Self::ensure_role).
    pub async fn delete_role(&self, id: &str) -> Result<Removed> {
        let request = Request::new(Method::Delete, "/access/roles/{roleid}", &[id]);
        self.remove(request, format!("removing role {id}")).await
    }

    /// Who has which role where.
    ///
    /// Example: see [`grant`](Self::grant).
    pub async fn acl(&self) -> Result<Vec<AclEntry>> {
        self.0
            .fetch(Request::new(Method::Get, "/access/acl", &[]))
            .await
    }

    /// Makes sure that someone has a role on a path.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{Ensured, Grant, Removed, UserSettings};
    /// # let client = proxmox_client::simulator::Simulator::lab().connect();
    /// let access = client.access();
    /// access.ensure_user("alice@pve", &UserSettings::new()).await?;
    /// let may_look = Grant::to_user("alice@pve", "PVEAuditor", "/vms");
    /// assert_eq!(access.grant(&may_look).await?, Ensured::Created);
    /// assert_eq!(access.grant(&may_look).await?, Ensured::Unchanged);
    /// assert!(access.acl().await?.iter().any(|entry| entry.who == "alice@pve"));
    /// assert_eq!(access.revoke(&may_look).await?, Removed::Removed);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn grant(&self, grant: &Grant) -> Result<Ensured> {
        let acl = self.acl().await?;
        let known = acl.iter().find(|entry| grant.is(entry));
        if known.is_some_and(|entry| entry.propagate.unwrap_or(true) == grant.propagate) {
            return Ok(Ensured::Unchanged);
        }
        let doing = format!(
            "giving {} the role {} on {}",
            grant.who, grant.role, grant.path
        );
        self.change(grant.request(false), doing).await?;
        Ok(match known {
            Some(_) => Ensured::Updated(vec!["propagate".to_owned()]),
            None => Ensured::Created,
        })
    }

    /// Takes a role away again.
    ///
    /// Example: see [`grant`](Self::grant).
    pub async fn revoke(&self, grant: &Grant) -> Result<Removed> {
        if !self.acl().await?.iter().any(|entry| grant.is(entry)) {
            return Ok(Removed::Absent);
        }
        let doing = format!(
            "taking the role {} from {} on {}",
            grant.role, grant.who, grant.path
        );
        self.change(grant.request(true), doing).await?;
        Ok(Removed::Removed)
    }

    /// The tokens of a user.
    ///
    /// Example: see [`create_token`](Self::create_token).
    pub async fn tokens(&self, user: &str) -> Result<Vec<TokenInfo>> {
        let request = Request::new(Method::Get, "/access/users/{userid}/token", &[user]);
        self.0.fetch(request).await
    }

    /// Makes a token.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::TokenRights;
    /// use proxmox_client::simulator::Simulator;
    /// # let simulator = Simulator::lab();
    /// # let client = simulator.connect();
    /// let access = client.access();
    /// let made = access.create_token("root@pam", "ci", TokenRights::OfUser).await?; // the secret is shown this once
    /// simulator.builder().api_token(made.token()?).build()?.version().await?;
    /// assert!(access.tokens("root@pam").await?.iter().any(|token| token.name == "ci"));
    /// access.delete_token("root@pam", "ci").await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if the user has a token of that name: its secret cannot be read again.
    pub async fn create_token(
        &self,
        user: &str,
        name: &str,
        rights: TokenRights,
    ) -> Result<NewToken> {
        let doing = || format!("making token {user}!{name}");
        let path = "/access/users/{userid}/token/{tokenid}";
        let separate = rights == TokenRights::Separate;
        let request =
            Request::new(Method::Post, path, &[user, name]).with_flag("privsep", separate);
        let answer: Members = self.0.fetch(request).await.map_err(|error| {
            let taken = error
                .parameters()
                .values()
                .any(|why| why.starts_with("Token already exists"));
            let error = if taken {
                let text = format!("user {user} has a token {name} already");
                Error::new(Kind::AlreadyExists, text)
                    .with_sent(error.sent())
                    .with_source(error)
            } else {
                error
            };
            error.doing(doing())
        })?;
        match (answer.get("full-tokenid"), answer.secret("value")) {
            (Some(Value::String(id)), Some(secret)) => Ok(NewToken {
                id: id.clone(),
                secret,
            }),
            _ => Err(Error::new(Kind::Decode, "the answer has no secret").doing(doing())),
        }
    }

    /// Removes a token and its rights.
    ///
    /// Example: see [`create_token`](Self::create_token).
    pub async fn delete_token(&self, user: &str, name: &str) -> Result<Removed> {
        let path = "/access/users/{userid}/token/{tokenid}";
        let request = Request::new(Method::Delete, path, &[user, name]);
        self.remove(request, format!("removing token {user}!{name}"))
            .await
    }
}

/// A scalar as forms spell it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        other => other.to_string(),
    }
}
