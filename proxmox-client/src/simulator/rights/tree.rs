//! Which roles someone has on a path: inherited along the path, and through pools.

use std::collections::{BTreeMap, BTreeSet};

use super::{Directory, Privileges, privileges_of};

/// Roles, and whether each holds below the path too.
type Roles<'a> = BTreeMap<&'a str, bool>;

/// The role that takes everything away.
const NO_ACCESS: &str = "NoAccess";

/// What is given on one path.
#[derive(Default)]
struct Level<'a> {
    own: Roles<'a>,
    of_groups: Roles<'a>,
}

/// What one user or token was given, by path.
pub(super) struct Tree<'a> {
    directory: Directory<'a>,
    levels: BTreeMap<&'a str, Level<'a>>,
    /// Roles on guests and storages that come from the pool that these are in.
    pooled: BTreeMap<String, BTreeSet<&'a str>>,
}

impl<'a> Tree<'a> {
    pub(super) fn of_user(directory: Directory<'a>, user: &str, groups: &BTreeSet<String>) -> Self {
        Self::of(directory, |kind, who| match kind {
            "user" if who == user => Some(false),
            "group" if groups.contains(who) => Some(true),
            _ => None,
        })
    }

    pub(super) fn of_token(directory: Directory<'a>, token: &str) -> Self {
        Self::of(directory, |kind, who| {
            (kind == "token" && who == token).then_some(false)
        })
    }

    /// `through` tells of an entry whether it counts, and whether it does so through a group.
    fn of(directory: Directory<'a>, through: impl Fn(&str, &str) -> Option<bool>) -> Self {
        let mut levels: BTreeMap<&str, Level<'_>> = BTreeMap::new();
        for grant in directory.acl {
            let Some(of_group) = through(&grant.kind, &grant.who) else {
                continue;
            };
            let level = levels.entry(&grant.path).or_default();
            let roles = match of_group {
                true => &mut level.of_groups,
                false => &mut level.own,
            };
            *roles.entry(&grant.role).or_default() |= grant.propagate;
        }
        let mut tree = Self {
            directory,
            levels,
            pooled: BTreeMap::new(),
        };
        for (name, pool) in directory.pools {
            let roles: Vec<&str> = tree.roles(&format!("/pool/{name}")).into_keys().collect();
            if !roles.is_empty() {
                for path in pool.paths() {
                    tree.pooled.entry(path).or_default().extend(&roles);
                }
            }
        }
        tree
    }

    /// The roles on a path, without those of pools. What is nearer to the path replaces what is farther away, and at one
    /// place what is given to the user replaces what is given to groups.
    fn roles(&self, path: &str) -> Roles<'a> {
        let mut roles = Roles::new();
        for place in places(path) {
            let Some(level) = self.levels.get(place) else {
                continue;
            };
            let holds = |(_, below): &(&&str, &bool)| **below || place == path;
            for given in [&level.own, &level.of_groups] {
                let applied: Roles<'_> = given
                    .iter()
                    .filter(holds)
                    .map(|(role, below)| (*role, *below))
                    .collect();
                if !applied.is_empty() {
                    roles = applied;
                    break;
                }
            }
        }
        if roles.contains_key(NO_ACCESS) {
            roles.retain(|role, _| *role == NO_ACCESS);
        }
        roles
    }

    /// The privileges on a path.
    pub(super) fn on(&self, path: &str) -> Privileges {
        let mut roles = self.roles(path);
        if let Some(pooled) = self.pooled.get(path)
            && !roles.contains_key(NO_ACCESS)
        {
            if pooled.contains(NO_ACCESS) {
                roles.clear();
            } else {
                for role in pooled {
                    roles.entry(role).or_insert(false);
                }
            }
        }
        let mut out = Privileges::new();
        for (role, below) in roles {
            let names = privileges_of(self.directory.roles, role);
            for name in names.unwrap_or_default() {
                *out.entry(name).or_default() |= below;
            }
        }
        out
    }
}

/// A path and everything above it, from the top.
fn places(path: &str) -> impl Iterator<Item = &str> {
    let between = path.match_indices('/').skip(1).map(|(at, _)| &path[..at]);
    let last = (path != "/").then_some(path);
    std::iter::once("/").chain(between).chain(last)
}
