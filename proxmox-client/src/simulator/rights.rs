//! Who may do what: users, groups, tokens and roles, and the tree of paths that roles are given on.
//!
//! Plain data in, a decision out. The rules are those of `PVE::AccessControl::roles` and
//! `PVE::RPCEnvironment::permissions`, the words those of `raise_perm_exc`.

mod call;
mod check;
mod container;
mod guest;
mod list;
mod role;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::Reply;
use super::guest::Guest;
use super::route::Pool;
use super::world::{User, World};

pub(super) use check::Permission;
pub(super) use role::{BUILT_IN, PRIVILEGES, is_privilege, privileges_of};
use tree::Tree;

/// Privileges on a path, and whether each holds below the path too.
pub(super) type Privileges = BTreeMap<&'static str, bool>;

/// A role that someone has on a path.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    pub(super) path: String,
    /// `user`, `group` or `token`.
    pub(super) kind: String,
    pub(super) who: String,
    pub(super) role: String,
    pub(super) propagate: bool,
}

/// What `user.cfg` holds.
#[derive(Clone, Copy)]
pub(super) struct Directory<'a> {
    pub(super) users: &'a BTreeMap<String, User>,
    pub(super) groups: &'a BTreeMap<String, Map<String, Value>>,
    pub(super) roles: &'a BTreeMap<String, Vec<String>>,
    pub(super) acl: &'a BTreeSet<Grant>,
    pub(super) pools: &'a BTreeMap<String, Pool>,
}

/// A change of a guest's configuration on behalf of someone.
struct Change<'a> {
    world: &'a World,
    rights: &'a Rights<'a>,
    vmid: u32,
    /// The pool that it is made in.
    pool: Option<&'a str>,
    /// What it is now; none if it is about to be made.
    old: Option<&'a Guest>,
}

/// What one user or token may do.
pub(super) struct Rights<'a> {
    directory: Directory<'a>,
    who: String,
    holder: Holder<'a>,
}

/// Where rights come from.
enum Holder<'a> {
    /// `root@pam` may do everything.
    Root,
    /// There is no such user or token.
    Nobody,
    /// What is given to the user, and to the user's groups.
    User(Tree<'a>),
    /// A token with rights of its own has what both it and its user have.
    Token(Box<Holder<'a>>, Tree<'a>),
}

impl Holder<'_> {
    fn on(&self, path: &str) -> Privileges {
        match self {
            Self::Root => PRIVILEGES.iter().map(|name| (*name, true)).collect(),
            Self::Nobody => Privileges::new(),
            Self::User(tree) => tree.on(path),
            Self::Token(user, tree) => {
                let bound = user.on(path);
                let own = tree.on(path).into_iter();
                own.filter_map(|(name, below)| Some((name, below && *bound.get(name)?)))
                    .collect()
            }
        }
    }
}

impl<'a> Directory<'a> {
    /// The rights of `user@realm` or `user@realm!token`.
    pub(super) fn rights_of(self, who: &str) -> Rights<'a> {
        Rights {
            directory: self,
            who: who.to_owned(),
            holder: self.holder(who),
        }
    }

    fn holder(self, who: &str) -> Holder<'a> {
        let Some((user, token)) = who.split_once('!') else {
            return match self.users.get(who) {
                _ if who == "root@pam" => Holder::Root,
                Some(user) => Holder::User(Tree::of_user(self, who, &user.groups)),
                None => Holder::Nobody,
            };
        };
        let known = self.users.get(user);
        match known.filter(|user| user.tokens.contains_key(token)) {
            None => Holder::Nobody,
            Some(known) if !known.separates(token) => self.holder(user),
            Some(_) => Holder::Token(Box::new(self.holder(user)), Tree::of_token(self, who)),
        }
    }

    /// Members of a group.
    fn members(self, group: &str) -> impl Iterator<Item = &'a str> {
        let members = self.users.iter();
        let members = members.filter(move |(_, user)| user.groups.contains(group));
        members.map(|(id, _)| id.as_str())
    }
}

impl Rights<'_> {
    /// Whose they are.
    pub(super) fn who(&self) -> &str {
        &self.who
    }

    /// The privileges on a path.
    pub(super) fn on(&self, path: &str) -> Privileges {
        self.holder.on(path)
    }

    pub(super) fn has(&self, path: &str, privilege: &str) -> bool {
        self.on(path).contains_key(privilege)
    }

    pub(super) fn has_any(&self, path: &str, privileges: &[&str]) -> bool {
        let have = self.on(path);
        privileges.iter().any(|name| have.contains_key(name))
    }

    fn has_all(&self, path: &str, privileges: &[&str]) -> bool {
        let have = self.on(path);
        privileges.iter().all(|name| have.contains_key(name))
    }

    /// All of these privileges; the refusal names the first that is missing.
    pub(super) fn need(&self, path: &str, privileges: &[&str]) -> Result<(), Reply> {
        let have = self.on(path);
        match privileges.iter().find(|name| !have.contains_key(*name)) {
            Some(missing) => Err(denied(&format!("{path}, {missing}"))),
            None => Ok(()),
        }
    }

    /// One of these privileges; the refusal names them all.
    pub(super) fn need_any(&self, path: &str, privileges: &[&str]) -> Result<(), Reply> {
        if self.has_any(path, privileges) {
            return Ok(());
        }
        Err(denied(&format!("{path}, {}", privileges.join("|"))))
    }

    /// All of these privileges on a guest, or on the pool that it is about to be in.
    pub(super) fn need_guest(
        &self,
        vmid: u32,
        pool: Option<&str>,
        privileges: &[&str],
    ) -> Result<(), Reply> {
        if pool.is_some_and(|pool| self.has_all(&format!("/pool/{pool}"), privileges)) {
            return Ok(());
        }
        self.need(&format!("/vms/{vmid}"), privileges)
    }

    /// One of these privileges on a guest, or on the pool that it is about to be in.
    pub(super) fn need_any_of_guest(
        &self,
        vmid: u32,
        pool: Option<&str>,
        privileges: &[&str],
    ) -> Result<(), Reply> {
        if pool.is_some_and(|pool| self.has_any(&format!("/pool/{pool}"), privileges)) {
            return Ok(());
        }
        self.need_any(&format!("/vms/{vmid}"), privileges)
    }

    /// The right to give rights on a path.
    pub(super) fn need_modify(&self, path: &str) -> Result<(), Reply> {
        self.need_any(path, modifiers(path))
    }

    pub(super) fn may_modify(&self, path: &str) -> bool {
        self.has_any(path, modifiers(path))
    }

    /// The groups on which there is one of these privileges.
    fn groups_with(&self, privileges: &[&str]) -> BTreeSet<&str> {
        let groups = self.directory.groups.keys().map(String::as_str);
        groups
            .filter(|group| self.has_any(&format!("/access/groups/{group}"), privileges))
            .collect()
    }

    /// Whether a user is seen by whoever has one of these privileges on all groups, or on one of the user's.
    pub(super) fn sees_user(&self, user: &str, privileges: &[&str]) -> bool {
        user == self.who
            || self.has_any("/access/groups", privileges)
            || self
                .groups_with(privileges)
                .iter()
                .any(|group| self.directory.members(group).any(|member| member == user))
    }

    /// Every path that someone was given a role on, or that a pool names, with the privileges there.
    pub(super) fn everywhere(&self) -> BTreeMap<String, Privileges> {
        const ALWAYS: [&str; 8] = [
            "/",
            "/access",
            "/access/groups",
            "/nodes",
            "/pool",
            "/sdn",
            "/storage",
            "/vms",
        ];
        let mut paths: BTreeSet<String> = ALWAYS.map(str::to_owned).into();
        paths.extend(self.directory.acl.iter().map(|grant| grant.path.clone()));
        for pool in self.directory.pools.values() {
            paths.extend(pool.paths());
        }
        let all = paths.into_iter().map(|path| {
            let have = self.on(&path);
            (path, have)
        });
        all.filter(|(_, have)| !have.is_empty()).collect()
    }

    /// What a login tells of them: privileges by the part of the interface that they matter for.
    pub(super) fn capabilities(&self) -> Value {
        const PARTS: [(&str, &[&str]); 7] = [
            ("access", &["User.", "Group.", "Permissions.Modify"]),
            ("dc", &["Sys.Audit", "Sys.Modify", "SDN."]),
            ("mapping", &["Mapping.", "Permissions.Modify"]),
            ("nodes", &["Sys.", "Permissions.Modify"]),
            ("sdn", &["SDN.", "Permissions.Modify"]),
            ("storage", &["Datastore.", "Permissions.Modify"]),
            ("vms", &["VM.", "Permissions.Modify"]),
        ];
        const ALWAYS: [&str; 7] = [
            "/",
            "/access/groups",
            "/mapping",
            "/nodes",
            "/sdn",
            "/storage",
            "/vms",
        ];
        let mut out: BTreeMap<&str, Map<String, Value>> =
            PARTS.iter().map(|(part, _)| (*part, Map::new())).collect();
        let of_acl = self.directory.acl.iter().map(|grant| grant.path.as_str());
        let paths: BTreeSet<&str> = ALWAYS.into_iter().chain(of_acl).collect();
        for path in paths {
            let top = path.split('/').nth(1).filter(|top| !top.is_empty());
            // What is given on a pool matters for its guests and storages.
            let parts: &[&str] = match top {
                None => &["dc"],
                Some("pool") => &["vms", "storage"],
                Some(_) => &[],
            };
            let parts = parts.iter().copied().chain(top);
            let known = |part: &str| PARTS.iter().find(|(name, _)| *name == part);
            for (part, starts) in parts.filter_map(known) {
                for name in self.on(path).keys() {
                    if starts.iter().any(|start| name.starts_with(start)) {
                        let part = out.entry(part).or_default();
                        part.insert((*name).to_owned(), 1.into());
                    }
                }
            }
        }
        out.into_iter()
            .map(|(part, names)| (part.to_owned(), Value::Object(names)))
            .collect::<Map<_, _>>()
            .into()
    }
}

/// What allows to give rights on a path.
fn modifiers(path: &str) -> &'static [&'static str] {
    let below = |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.len() > 1);
    if below("/storage") {
        &["Permissions.Modify", "Datastore.Allocate"]
    } else if below("/vms") {
        &["Permissions.Modify", "VM.Allocate"]
    } else if below("/pool") {
        &["Permissions.Modify", "Pool.Allocate"]
    } else {
        &["Permissions.Modify"]
    }
}

/// The refusal of a caller who lacks rights.
pub(super) fn denied(what: &str) -> Reply {
    Reply::refusal(
        403,
        match what {
            "" => "Permission check failed".to_owned(),
            what => format!("Permission check failed ({what})"),
        },
    )
}

/// A path as the tree of rights knows it; none if it holds what no name may hold.
pub(super) fn normalized(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let plain = parts.iter().all(|part| part.chars().all(known));
    plain.then(|| format!("/{}", parts.join("/")))
}

impl World {
    pub(super) fn directory(&self) -> Directory<'_> {
        Directory {
            users: &self.users,
            groups: &self.groups,
            roles: &self.roles,
            acl: &self.acl,
            pools: &self.pools,
        }
    }
}

#[cfg(test)]
mod tests;
