//! Users of a world, with what they were given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::World;
use crate::simulator::factor::{Factors, Label};
use crate::simulator::guest::text_of;
use crate::simulator::rights::Grant;
use crate::simulator::task::seconds;

#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct User {
    pub(in super::super) password: Option<String>,
    /// Secrets of tokens.
    pub(in super::super) tokens: BTreeMap<String, String>,
    /// Other settings of tokens.
    #[serde(default)]
    pub(in super::super) token_settings: BTreeMap<String, Map<String, Value>>,
    /// Settings of the user.
    #[serde(default)]
    pub(in super::super) settings: Map<String, Value>,
    #[serde(default)]
    pub(in super::super) groups: BTreeSet<String>,
    #[serde(default)]
    pub(in super::super) factors: Factors,
}

impl User {
    /// Whether one of its tokens has rights of its own.
    pub(in super::super) fn separates(&self, token: &str) -> bool {
        let settings = self.token_settings.get(token);
        let flag = settings.and_then(|settings| settings.get("privsep"));
        flag.is_some_and(|flag| text_of(flag) == "1")
    }

    /// Whether it may log in at this moment.
    pub(in super::super) fn is_enabled(&self, now: SystemTime) -> bool {
        let enabled = self.settings.get("enable").map(text_of);
        enabled.is_none_or(|flag| flag == "1") && lasts(&self.settings, now)
    }

    /// Whether one of its tokens is still good.
    pub(in super::super) fn token_lasts(&self, token: &str, now: SystemTime) -> bool {
        let settings = self.token_settings.get(token);
        settings.is_none_or(|settings| lasts(settings, now))
    }
}

/// Whether the moment at which something ends, 0 for never, has not come.
fn lasts(settings: &Map<String, Value>, now: SystemTime) -> bool {
    let end = settings.get("expire").map(text_of);
    let end: u64 = end.and_then(|end| end.parse().ok()).unwrap_or_default();
    end == 0 || end >= seconds(now)
}

impl World {
    /// Adds a user with a password. `root@pam` may do everything, others what [`with_role_for`](Self::with_role_for) and the
    /// interface give them.
    #[must_use]
    pub fn with_user(mut self, user: &str, password: &str) -> Self {
        self.users.entry(user.to_owned()).or_default().password = Some(password.to_owned());
        self
    }

    /// Gives a user time-based codes as a second factor, by their key in base32.
    #[must_use]
    pub fn with_totp(mut self, user: &str, key: &str) -> Self {
        let label = self.label("time-based codes");
        let user = self.users.entry(user.to_owned()).or_default();
        user.factors.add_totp(label, key);
        self
    }

    /// Gives a user recovery codes, each of which is accepted once.
    #[must_use]
    pub fn with_recovery_codes(mut self, user: &str, codes: &[&str]) -> Self {
        let now = self.now;
        let user = self.users.entry(user.to_owned()).or_default();
        let codes = codes.iter().map(|code| (*code).to_owned());
        user.factors.set_recovery(codes, now);
        self
    }

    /// Gives a user a security key (WebAuthn) with this id. Whatever carries the id, answers the challenge and has a
    /// signature is accepted: signatures are not verified.
    #[must_use]
    pub fn with_security_key(mut self, user: &str, id: &str) -> Self {
        let label = self.label("security key");
        let user = self.users.entry(user.to_owned()).or_default();
        user.factors.add_key(label, id);
        self
    }

    /// What a factor that is made now is called.
    pub(in super::super) fn label<'a>(&mut self, description: &'a str) -> Label<'a> {
        Label {
            id: self.draw_uuid(),
            description,
            now: self.now,
        }
    }

    /// Adds a token, `user@realm!name` and its secret, which may do what its user may.
    #[must_use]
    pub fn with_token(mut self, id: &str, secret: &str) -> Self {
        let (user, name) = id.split_once('!').unwrap_or((id, "token"));
        let user = self.users.entry(user.to_owned()).or_default();
        user.tokens.insert(name.to_owned(), secret.to_owned());
        self
    }

    /// Adds a token that may do only what both its user and it were given roles for.
    #[must_use]
    pub fn with_separate_token(mut self, id: &str, secret: &str) -> Self {
        self = self.with_token(id, secret);
        if let Some((user, name)) = id.split_once('!')
            && let Some(user) = self.users.get_mut(user)
        {
            let settings = user.token_settings.entry(name.to_owned()).or_default();
            settings.insert("privsep".to_owned(), 1.into());
        }
        self
    }

    /// Adds a role with these privileges.
    #[must_use]
    pub fn with_role(mut self, name: &str, privileges: &[&str]) -> Self {
        let privileges = privileges.iter().map(|name| (*name).to_owned());
        self.roles.insert(name.to_owned(), privileges.collect());
        self
    }

    /// Gives a role on a path and below it, to a user (`alice@pve`), a token (`alice@pve!ci`), or a group (`@ops`) of whose
    /// members there are those that the interface puts into it.
    #[must_use]
    pub fn with_role_for(mut self, who: &str, role: &str, path: &str) -> Self {
        let (kind, who) = match who.strip_prefix('@') {
            Some(group) => ("group", group),
            None if who.contains('!') => ("token", who),
            None => ("user", who),
        };
        if kind == "group" {
            self.groups.entry(who.to_owned()).or_default();
        }
        self.acl.insert(Grant {
            path: format!("/{}", path.trim_matches('/')),
            kind: kind.to_owned(),
            who: who.to_owned(),
            role: role.to_owned(),
            propagate: true,
        });
        self
    }
}
