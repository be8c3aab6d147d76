//! Realms and passwords.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::firewall::digest;
use super::not_simulated;
use super::shared::{names, require};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::rights::denied;
use crate::simulator::world::World;

/// Realms by their names, as they are configured.
pub(in super::super) type Realms = BTreeMap<String, Map<String, Value>>;

/// Settings that are numbers or flags.
const NUMBERS: [&str; 9] = [
    "default",
    "port",
    "verify",
    "case-sensitive",
    "autocreate",
    "groups-autocreate",
    "groups-overwrite",
    "query-userinfo",
    "secure",
];

/// Parameters that are no settings.
const NOT_SETTINGS: [&str; 6] = [
    "realm",
    "digest",
    "delete",
    "password",
    "check-connection",
    "type",
];

/// What directories have beside what they must have.
const OF_DIRECTORY: [&str; 25] = [
    "server2",
    "base_dn",
    "bind_dn",
    "user_attr",
    "port",
    "secure",
    "sslversion",
    "default",
    "comment",
    "tfa",
    "verify",
    "capath",
    "cert",
    "certkey",
    "filter",
    "sync_attributes",
    "user_classes",
    "group_dn",
    "group_name_attr",
    "group_filter",
    "group_classes",
    "sync-defaults-options",
    "mode",
    "case-sensitive",
    "password",
];

/// The settings that a kind must have, and those that it may have.
fn known(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        "ldap" => (&["server1", "base_dn", "user_attr"], &OF_DIRECTORY),
        "ad" => (&["server1", "domain"], &OF_DIRECTORY),
        "openid" => (
            &["issuer-url", "client-id"],
            &[
                "client-key",
                "autocreate",
                "username-claim",
                "groups-claim",
                "groups-autocreate",
                "groups-overwrite",
                "prompt",
                "scopes",
                "acr-values",
                "audiences",
                "default",
                "comment",
                "query-userinfo",
            ],
        ),
        _ => (&[], &["default", "comment", "tfa"]),
    }
}

fn built_in() -> [(&'static str, &'static str); 2] {
    [
        ("pam", "Linux PAM standard authentication"),
        ("pve", "Proxmox VE authentication server"),
    ]
}

impl World {
    /// Every realm as it is configured; those that come with a server and those of modelled providers too.
    fn realm_table(&self) -> Realms {
        let mut all: Realms = built_in()
            .into_iter()
            .map(|(kind, comment)| {
                let entry = [("type", kind), ("comment", comment)];
                let entry = entry.map(|(key, value)| (key.to_owned(), value.into()));
                (kind.to_owned(), Map::from_iter(entry))
            })
            .collect();
        for realm in self.providers.realms() {
            let entry = Map::from_iter([("type".to_owned(), "openid".into())]);
            all.insert(realm.to_owned(), entry);
        }
        all.extend(self.realms.clone());
        all
    }

    pub(super) fn realm_list(&self) -> Reply {
        let entries = self.realm_table().into_iter().map(|(realm, entry)| {
            let mut out = json!({ "realm": realm, "type": entry.get("type") });
            for key in ["comment", "default"] {
                if let Some(value) = entry.get(key).filter(|value| **value != json!(0)) {
                    out[key] = value.clone();
                }
            }
            if let Some(tfa) = entry.get("tfa").map(text_of) {
                let kind = tfa.split(',').find_map(|part| part.strip_prefix("type="));
                out["tfa"] = kind.unwrap_or(&tfa).into();
            }
            out
        });
        Reply::data(entries.collect::<Value>())
    }

    fn realms_digest(&self) -> String {
        digest(&json!(self.realm_table()).to_string())
    }

    pub(super) fn read_realm(&self, realm: &str) -> Outcome {
        let Some(mut entry) = self.realm_table().remove(realm) else {
            return Err(Reply::failed(format!("domain '{realm}' does not exist")));
        };
        entry.insert("digest".to_owned(), self.realms_digest().into());
        Ok(Reply::data(entry))
    }

    pub(super) fn write_realm(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let (verb, outcome) = match (method, rest) {
            ("POST", []) => {
                require(call, &["realm", "type"])?;
                ("add", self.add_realm(call))
            }
            ("PUT", [realm]) => ("update", self.update_realm(realm, call)),
            ("DELETE", [realm]) => ("delete", self.delete_realm(realm)),
            _ => return Err(not_simulated(call)),
        };
        outcome.map_err(|why| Reply::failed(format!("{verb} auth server failed: {why}")))?;
        Ok(Reply::data(()))
    }

    fn add_realm(&mut self, call: &Call) -> Result<(), String> {
        let text = |name: &str| call.text(name).unwrap_or_default();
        let (realm, kind) = (text("realm"), text("type"));
        if self.realm_table().contains_key(&realm) {
            return Err(format!("domain '{realm}' already exists"));
        }
        if ["pam", "pve"].contains(&kind.as_str()) {
            return Err(format!("unable to create builtin type '{kind}'"));
        }
        let mut entry = settings(&kind, call)?;
        let (must, _) = known(&kind);
        if let Some(name) = must.iter().find(|name| !entry.contains_key(**name)) {
            return Err(format!("missing value for required option '{name}'"));
        }
        entry.insert("type".to_owned(), kind.into());
        self.keep_realm(realm, entry);
        Ok(())
    }

    fn keep_realm(&mut self, realm: String, entry: Map<String, Value>) {
        if entry.get("default") == Some(&json!(1)) {
            for other in self.realms.values_mut() {
                other.shift_remove("default");
            }
        }
        self.realms.insert(realm, entry);
    }

    fn update_realm(&mut self, realm: &str, call: &Call) -> Result<(), String> {
        if call
            .text("digest")
            .is_some_and(|asked| asked != self.realms_digest())
        {
            let why = "detected modified configuration - file changed by other user? Try again.";
            return Err(why.to_owned());
        }
        let Some(mut entry) = self.realm_table().remove(realm) else {
            return Err(format!("domain '{realm}' does not exist"));
        };
        let kind = entry.get("type").map(text_of).unwrap_or_default();
        let new = settings(&kind, call)?;
        let delete = call.text("delete").unwrap_or_default();
        if new.is_empty() && delete.is_empty() && !call.params.contains_key("password") {
            return Err("no options specified".to_owned());
        }
        for key in names(&delete) {
            entry.shift_remove(key);
        }
        entry.extend(new);
        self.keep_realm(realm.to_owned(), entry);
        Ok(())
    }

    fn delete_realm(&mut self, realm: &str) -> Result<(), String> {
        match self.realms.remove(realm) {
            Some(_) => Ok(()),
            None => Err(format!("authentication domain '{realm}' does not exist")),
        }
    }

    pub(super) fn sync_realm(&self, realm: &str, call: &Call) -> Outcome {
        let all = self.realm_table();
        let Some(entry) = all.get(realm) else {
            return Err(Reply::parameter("realm", "Realm does not exist."));
        };
        let kind = entry.get("type").map(text_of).unwrap_or_default();
        if kind != "ldap" && kind != "ad" {
            return Err(Reply::failed(format!(
                "Cannot sync realm type '{kind}'! Only LDAP/AD realms can be synced."
            )));
        }
        let defaults = entry
            .get("sync-defaults-options")
            .map(text_of)
            .unwrap_or_default();
        if call.text("scope").is_none() && !defaults.contains("scope=") {
            let why = "Not passed as parameter and not defined in realm default sync options.";
            return Err(Reply::parameter("scope", why));
        }
        // The directory itself is not modelled.
        Err(not_simulated(call))
    }

    pub(super) fn set_password(&mut self, call: &Call, caller: &Caller) -> Outcome {
        require(call, &["userid", "password"])?;
        let user = call.text("userid").unwrap_or_default();
        self.refuse_unproven(caller, &user, call, "confirmation-password")?;
        if caller.user != "root@pam" && user != caller.user && user.ends_with("@pam") {
            return Err(denied(""));
        }
        let realm = user.rsplit('@').next().unwrap_or_default();
        let kind = self.realm_table().remove(realm);
        let kind = kind.and_then(|entry| entry.get("type").map(text_of));
        match kind.as_deref() {
            Some("pam" | "pve") => {
                let known = self.users.entry(user).or_default();
                known.password = call.text("password");
                Ok(Reply::data(()))
            }
            _ => Err(Reply::failed("can't set password on auth type")),
        }
    }
}

/// The settings of a call, if the kind has them all.
fn settings(kind: &str, call: &Call) -> Result<Map<String, Value>, String> {
    let (must, may) = known(kind);
    let mut out = Map::new();
    for (key, value) in &call.params {
        if NOT_SETTINGS.contains(&key.as_str()) {
            continue;
        }
        if !must.contains(&key.as_str()) && !may.contains(&key.as_str()) {
            return Err(format!("unexpected property '{key}'"));
        }
        let text = text_of(value);
        let value = match text.parse::<u64>() {
            Ok(number) if NUMBERS.contains(&key.as_str()) => number.into(),
            _ => text.into(),
        };
        out.insert(key.clone(), value);
    }
    Ok(out)
}
