//! Users, groups, roles, rights and tokens.

use serde_json::{Map, Value, json};

use super::not_simulated;
use super::shared::{names, require};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::rights::{BUILT_IN, Grant, Privileges, is_privilege, privileges_of};
use crate::simulator::world::{User, World};

fn no_such_user(user: &str) -> Reply {
    Reply::failed(format!("no such user ('{user}')"))
}

impl World {
    pub(super) fn read_access(&self, rest: &[&str], call: &Call) -> Outcome {
        match rest {
            ["users"] => Ok(Reply::data(
                self.users
                    .iter()
                    .map(|(id, user)| {
                        let mut entry = shown(&user.settings);
                        entry.insert("userid".to_owned(), id.as_str().into());
                        let realm = id.rsplit('@').next().unwrap_or_default();
                        entry.insert("realm-type".to_owned(), realm.into());
                        entry
                    })
                    .map(Value::Object)
                    .collect::<Value>(),
            )),
            ["users", id] => {
                let user = self.users.get(*id).ok_or_else(|| no_such_user(id))?;
                let mut entry = shown(&user.settings);
                let groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
                entry.insert("groups".to_owned(), json!(groups));
                let tokens: Map<String, Value> = user
                    .tokens
                    .keys()
                    .map(|name| (name.clone(), Value::Object(token_entry(user, name))))
                    .collect();
                let tokens = if tokens.is_empty() {
                    Value::Null
                } else {
                    tokens.into()
                };
                entry.insert("tokens".to_owned(), tokens);
                Ok(Reply::data(entry))
            }
            ["users", id, "token"] => {
                let user = self.users.get(*id).ok_or_else(|| no_such_user(id))?;
                Ok(Reply::data(
                    user.tokens
                        .keys()
                        .map(|name| {
                            let mut entry = token_entry(user, name);
                            entry.insert("tokenid".to_owned(), name.as_str().into());
                            Value::Object(entry)
                        })
                        .collect::<Value>(),
                ))
            }
            ["users", id, "token", name] => match self.users.get(*id) {
                Some(user) if user.tokens.contains_key(*name) => {
                    Ok(Reply::data(token_entry(user, name)))
                }
                _ => Err(Reply::failed(format!(
                    "no such token '{name}' for user '{id}'"
                ))),
            },
            ["groups"] => Ok(Reply::data(
                self.groups
                    .iter()
                    .map(|(id, settings)| {
                        let mut entry = settings.clone();
                        entry.insert("groupid".to_owned(), id.as_str().into());
                        entry.insert("users".to_owned(), self.members_of(id).join(",").into());
                        Value::Object(entry)
                    })
                    .collect::<Value>(),
            )),
            ["groups", id] => match self.groups.get(*id) {
                Some(settings) => {
                    let mut entry = settings.clone();
                    entry.insert("members".to_owned(), json!(self.members_of(id)));
                    Ok(Reply::data(entry))
                }
                None => Err(Reply::failed(format!("group '{id}' does not exist"))),
            },
            ["roles"] => {
                let own = self.roles.iter().map(|(id, privileges)| {
                    json!({ "roleid": id, "privs": privileges.join(","), "special": 0 })
                });
                let built_in = BUILT_IN.iter().map(|(id, _)| {
                    let privileges = privileges_of(&self.roles, id).unwrap_or_default();
                    json!({ "roleid": id, "privs": privileges.join(","), "special": 1 })
                });
                Ok(Reply::data(built_in.chain(own).collect::<Value>()))
            }
            ["roles", id] => {
                let privileges = privileges_of(&self.roles, id)
                    .ok_or_else(|| Reply::failed(format!("role '{id}' does not exist")))?;
                let flags = privileges.into_iter();
                Ok(Reply::data(
                    flags
                        .map(|name| (name.to_owned(), Value::from(1)))
                        .collect::<Map<_, _>>(),
                ))
            }
            ["acl"] => Ok(Reply::data(
                self.acl
                    .iter()
                    .map(|grant| {
                        json!({
                            "path": grant.path, "type": grant.kind, "ugid": grant.who,
                            "roleid": grant.role, "propagate": u8::from(grant.propagate),
                        })
                    })
                    .collect::<Value>(),
            )),
            _ => Err(not_simulated(call)),
        }
    }

    /// What someone may do, on one path or on all that matter.
    pub(super) fn permissions(&self, call: &Call, caller: &Caller) -> Reply {
        let who = call.text("userid").unwrap_or_else(|| caller.full());
        let rights = self.directory().rights_of(&who);
        let shown = |have: Privileges| -> Value {
            let flags = have.into_iter();
            let flags = flags.map(|(name, below)| (name.to_owned(), u8::from(below).into()));
            flags.collect::<Map<_, _>>().into()
        };
        let all = match call.text("path") {
            Some(path) => Map::from_iter([(path.clone(), shown(rights.on(&path)))]),
            None => {
                let all = rights.everywhere().into_iter();
                all.map(|(path, have)| (path, shown(have))).collect()
            }
        };
        Reply::data(all)
    }

    fn members_of(&self, group: &str) -> Vec<&str> {
        let members = self
            .users
            .iter()
            .filter(|(_, user)| user.groups.contains(group));
        members.map(|(id, _)| id.as_str()).collect()
    }

    pub(super) fn write_access(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        match (method, rest) {
            ("POST", ["users"]) => self.create_user(call),
            ("PUT", ["users", id]) => {
                let groups = self.known_groups(call)?;
                let user = self.users.get_mut(*id).ok_or_else(|| no_such_user(id))?;
                set_user(user, groups, call)?;
                Ok(Reply::data(()))
            }
            ("DELETE", ["users", id]) => match self.users.remove(*id) {
                Some(_) => {
                    let tokens = format!("{id}!");
                    self.acl
                        .retain(|grant| grant.who != *id && !grant.who.starts_with(&tokens));
                    Ok(Reply::data(()))
                }
                None => Err(no_such_user(id)),
            },
            (_, ["users", id, "token", name]) => self.write_token(method, id, name, call),
            (_, ["groups", ..]) => self.write_group(method, rest, call),
            (_, ["roles", ..]) => self.write_role(method, rest, call),
            ("PUT", ["acl"]) => self.write_acl(call),
            _ => Err(not_simulated(call)),
        }
    }

    fn create_user(&mut self, call: &Call) -> Outcome {
        require(call, &["userid"])?;
        let id = call.text("userid").unwrap_or_default();
        let known_realm = ["@pve", "@pam"].iter().any(|realm| id.ends_with(realm));
        if !known_realm || id.starts_with('@') {
            return Err(Reply::failed(format!(
                "value '{id}' does not look like a valid user name"
            )));
        }
        if self.users.contains_key(&id) {
            return Err(Reply::failed(format!(
                "create user failed: user '{id}' already exists"
            )));
        }
        let groups = self.known_groups(call)?;
        let mut user = User {
            password: call.text("password"),
            ..User::default()
        };
        set_user(&mut user, groups, call)?;
        self.users.insert(id, user);
        Ok(Reply::data(()))
    }

    fn known_groups(&self, call: &Call) -> Result<Option<Vec<String>>, Reply> {
        let Some(text) = call.text("groups") else {
            return Ok(None);
        };
        let groups: Vec<String> = names(&text).map(str::to_owned).collect();
        match groups
            .iter()
            .find(|group| !self.groups.contains_key(*group))
        {
            Some(group) => Err(Reply::failed(format!("no such group '{group}'"))),
            None => Ok(Some(groups)),
        }
    }

    fn write_token(&mut self, method: &str, id: &str, name: &str, call: &Call) -> Outcome {
        let secret = (method == "POST").then(|| self.draw_uuid());
        let user = self.users.get_mut(id).ok_or_else(|| no_such_user(id))?;
        let exists = user.tokens.contains_key(name);
        let mut info = user.token_settings.get(name).cloned().unwrap_or_default();
        for key in ["comment", "expire", "privsep"] {
            if let Some(value) = call.params.get(key) {
                info.insert(key.to_owned(), value.clone());
            }
        }
        match (method, secret) {
            ("POST", Some(_)) if exists => {
                Err(Reply::parameter("tokenid", "Token already exists."))
            }
            ("POST", Some(secret)) => {
                info.entry("privsep").or_insert_with(|| 1.into());
                user.tokens.insert(name.to_owned(), secret.clone());
                user.token_settings.insert(name.to_owned(), info.clone());
                Ok(Reply::data(json!({
                    "full-tokenid": format!("{id}!{name}"), "info": info, "value": secret,
                })))
            }
            _ if !exists => Err(Reply::failed(format!(
                "no such token '{name}' for user '{id}'"
            ))),
            ("PUT", _) => {
                user.token_settings.insert(name.to_owned(), info.clone());
                Ok(Reply::data(info))
            }
            _ => {
                user.tokens.remove(name);
                user.token_settings.remove(name);
                let full = format!("{id}!{name}");
                self.acl.retain(|grant| grant.who != full);
                Ok(Reply::data(()))
            }
        }
    }

    fn write_group(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let mut settings = Map::new();
        if let Some(comment) = call.text("comment") {
            settings.insert("comment".to_owned(), comment.into());
        }
        match (method, rest) {
            ("POST", ["groups"]) => {
                require(call, &["groupid"])?;
                let id = call.text("groupid").unwrap_or_default();
                if self.groups.contains_key(&id) {
                    return Err(Reply::failed(format!(
                        "create group failed: group '{id}' already exists"
                    )));
                }
                self.groups.insert(id, settings);
                Ok(Reply::data(()))
            }
            ("PUT", ["groups", id]) => match self.groups.get_mut(*id) {
                Some(known) => {
                    known.extend(settings);
                    Ok(Reply::data(()))
                }
                None => Err(Reply::failed(format!("group '{id}' does not exist"))),
            },
            ("DELETE", ["groups", id]) => {
                if self.groups.remove(*id).is_none() {
                    return Err(Reply::failed(format!("group '{id}' does not exist")));
                }
                for user in self.users.values_mut() {
                    user.groups.remove(*id);
                }
                self.acl
                    .retain(|grant| grant.kind != "group" || grant.who != *id);
                Ok(Reply::data(()))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn write_role(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let asked = call.text("privs").unwrap_or_default();
        let asked: Vec<String> = names(&asked).map(str::to_owned).collect();
        if let Some(bad) = asked.iter().find(|name| !is_privilege(name)) {
            return Err(Reply::parameter(
                "privs",
                format!("invalid format - invalid privilege '{bad}'\n"),
            ));
        }
        match (method, rest) {
            ("POST", ["roles"]) => {
                require(call, &["roleid"])?;
                let id = call.text("roleid").unwrap_or_default();
                if privileges_of(&self.roles, &id).is_some() {
                    return Err(Reply::failed(format!(
                        "create role failed: role '{id}' already exists"
                    )));
                }
                self.roles.insert(id, asked);
                Ok(Reply::data(()))
            }
            ("PUT", ["roles", id]) => match self.roles.get_mut(*id) {
                Some(known) => {
                    if !call.flag("append") {
                        known.clear();
                    }
                    known.extend(asked);
                    known.sort();
                    known.dedup();
                    Ok(Reply::data(()))
                }
                None => Err(Reply::failed(format!("role '{id}' does not exist"))),
            },
            ("DELETE", ["roles", id]) => match self.roles.remove(*id) {
                Some(_) => Ok(Reply::data(())),
                None => Err(Reply::failed(format!("role '{id}' does not exist"))),
            },
            _ => Err(not_simulated(call)),
        }
    }

    fn write_acl(&mut self, call: &Call) -> Outcome {
        require(call, &["path", "roles"])?;
        let kinds = [("users", "user"), ("groups", "group"), ("tokens", "token")];
        if kinds.iter().all(|(name, _)| call.text(name).is_none()) {
            let why = "either 'users', 'groups' or 'tokens' is required.";
            return Err(Reply::parameters(
                kinds
                    .iter()
                    .map(|(name, _)| ((*name).to_owned(), why.into()))
                    .collect(),
            ));
        }
        let path = call.text("path").unwrap_or_default();
        let path = format!("/{}", path.trim_matches('/'));
        let roles = call.text("roles").unwrap_or_default();
        for role in names(&roles) {
            if privileges_of(&self.roles, role).is_none() {
                return Err(Reply::failed(format!(
                    "ACL update failed: role '{role}' does not exist"
                )));
            }
        }
        for (name, kind) in kinds {
            let all = call.text(name).unwrap_or_default();
            for who in names(&all) {
                if !self.is_there(kind, who) {
                    return Err(Reply::failed(format!(
                        "ACL update failed: {kind} '{who}' does not exist"
                    )));
                }
                for role in names(&roles) {
                    let mut grant = Grant {
                        path: path.clone(),
                        kind: kind.to_owned(),
                        who: who.to_owned(),
                        role: role.to_owned(),
                        propagate: call.text("propagate").as_deref() != Some("0"),
                    };
                    let set = !call.flag("delete");
                    for propagate in [true, false] {
                        grant.propagate = propagate;
                        self.acl.remove(&grant);
                    }
                    grant.propagate = call.text("propagate").as_deref() != Some("0");
                    if set {
                        self.acl.insert(grant);
                    }
                }
            }
        }
        Ok(Reply::data(()))
    }

    fn is_there(&self, kind: &str, who: &str) -> bool {
        match kind {
            "group" => self.groups.contains_key(who),
            "user" => self.users.contains_key(who),
            _ => who.split_once('!').is_some_and(|(user, token)| {
                self.users
                    .get(user)
                    .is_some_and(|user| user.tokens.contains_key(token))
            }),
        }
    }
}

/// Settings with the defaults that the server fills in.
fn shown(settings: &Map<String, Value>) -> Map<String, Value> {
    let mut entry = settings.clone();
    entry.entry("enable").or_insert_with(|| 1.into());
    entry.entry("expire").or_insert_with(|| 0.into());
    entry
}

fn token_entry(user: &User, name: &str) -> Map<String, Value> {
    let mut entry = user.token_settings.get(name).cloned().unwrap_or_default();
    for (key, default) in [("expire", 0u64), ("privsep", 0)] {
        let number = entry.get(key).map(crate::simulator::guest::text_of);
        let number = number.and_then(|text| text.parse().ok()).unwrap_or(default);
        entry.insert(key.to_owned(), number.into());
    }
    entry
}

fn set_user(user: &mut User, groups: Option<Vec<String>>, call: &Call) -> Result<(), Reply> {
    let mut errors = Map::new();
    for (key, kind) in [("enable", "boolean"), ("expire", "integer")] {
        let Some(text) = call.text(key) else { continue };
        let good = match kind {
            "boolean" => text == "0" || text == "1",
            _ => text.parse::<i64>().is_ok(),
        };
        if good {
            let number: i64 = text.parse().unwrap_or_default();
            user.settings.insert(key.to_owned(), number.into());
        } else {
            let why = format!("type check ('{kind}') failed - got '{text}'");
            errors.insert(key.to_owned(), why.into());
        }
    }
    if !errors.is_empty() {
        return Err(Reply::parameters(errors));
    }
    for key in ["comment", "email", "firstname", "lastname"] {
        match call.text(key) {
            Some(text) if text.is_empty() => {
                user.settings.shift_remove(key);
            }
            Some(text) => {
                user.settings.insert(key.to_owned(), text.into());
            }
            None => {}
        }
    }
    if let Some(groups) = groups {
        if !call.flag("append") {
            user.groups.clear();
        }
        user.groups.extend(groups);
    }
    Ok(())
}
