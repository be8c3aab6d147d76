//! The checks that the schema states for each method, as `PVE::RPCEnvironment::exec_api2_perm_check` reads them.

use serde_json::Value;

use super::{Rights, denied, normalized};
use crate::simulator::answer::Reply;
use crate::simulator::schema;

/// Who may call a method.
#[derive(Debug, Default)]
pub(in super::super) enum Permission {
    /// Only `root@pam`.
    #[default]
    Root,
    /// Everyone who is logged in; what the handler checks by itself comes on top.
    Everyone,
    /// Whoever passes a check.
    Checked(Check),
}

/// A check.
#[derive(Debug)]
pub(in super::super) enum Check {
    All(Vec<Check>),
    Any(Vec<Check>),
    /// Privileges on a path with placeholders.
    On {
        path: String,
        privileges: Vec<String>,
        any: bool,
        /// Counts only if this parameter is there.
        with: Option<String>,
    },
    /// The caller is the user that the call is about.
    OwnUser,
    /// The right to have users in the realm of the user that the call is about.
    Realm,
    /// Privileges on the groups of the user that the call is about.
    Group {
        privileges: Vec<String>,
        /// The user is about to be made.
        creates: bool,
        /// The groups that the call names count too.
        named: bool,
    },
    /// The right to give rights on a path with placeholders.
    Modify(String),
    /// A test that is not known passes nobody.
    Unknown,
}

impl Permission {
    /// Reads a method's line of the schema.
    pub(in super::super) fn read(line: &Value) -> Self {
        match (line["user"].as_str(), line.get("check")) {
            (Some("all" | "world"), _) => Self::Everyone,
            (_, Some(check)) => Self::Checked(Check::read(check)),
            _ => Self::Root,
        }
    }

    /// Refuses whoever may not. `value` gives the parameters, those of the path among them.
    pub(in super::super) fn refuse(
        &self,
        rights: &Rights<'_>,
        value: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), Reply> {
        match self {
            Self::Everyone => Ok(()),
            Self::Root => Err(denied("user != root@pam")),
            Self::Checked(check) => check.passes(rights, value, false).map(|_| ()),
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Check {
    fn read(check: &Value) -> Self {
        let parts = check.as_array().map_or(&[] as &[Value], Vec::as_slice);
        let text = |at: usize| parts.get(at).and_then(Value::as_str).unwrap_or_default();
        let below = || parts.iter().skip(1).map(Self::read).collect();
        let option = |from: usize, name: &str| {
            let pairs = parts.get(from..).unwrap_or_default().chunks_exact(2);
            let mut pairs = pairs.filter(|pair| pair[0] == name);
            pairs.next().map(|pair| pair[1].clone())
        };
        let list = |at: usize| parts.get(at).map(texts).unwrap_or_default();
        match (text(0), text(1)) {
            ("and", _) => Self::All(below()),
            ("or", _) => Self::Any(below()),
            ("perm", path) => Self::On {
                path: path.to_owned(),
                privileges: list(2),
                any: option(3, "any").is_some_and(|any| any == 1),
                with: option(3, "require_param").and_then(|name| Some(name.as_str()?.to_owned())),
            },
            ("userid-param", "self") => Self::OwnUser,
            ("userid-param", "Realm.AllocateUser") => Self::Realm,
            ("userid-group", _) => {
                let named = option(2, "groups_param");
                Self::Group {
                    privileges: list(1),
                    creates: named.as_ref().is_some_and(|named| named == "create"),
                    named: named.is_some(),
                }
            }
            ("perm-modify", path) => Self::Modify(path.to_owned()),
            _ => Self::Unknown,
        }
    }

    /// Whether it passes. A quiet one says no, others refuse in the server's words; inside alternatives some refuse all
    /// the same.
    fn passes(
        &self,
        rights: &Rights<'_>,
        value: &dyn Fn(&str) -> Option<String>,
        quiet: bool,
    ) -> Result<bool, Reply> {
        let no = |what: &str| no(quiet, what);
        match self {
            Self::All(checks) => {
                for check in checks {
                    check.passes(rights, value, false)?;
                }
                Ok(true)
            }
            Self::Any(checks) => {
                for check in checks {
                    if check.passes(rights, value, true)? {
                        return Ok(true);
                    }
                }
                no("")
            }
            Self::On {
                path,
                privileges,
                any,
                with,
            } => {
                if with.as_ref().is_some_and(|name| value(name).is_none()) {
                    return no("");
                }
                let privileges: Vec<&str> = privileges.iter().map(String::as_str).collect();
                let path = normalized(&filled(path, value));
                let have = path.as_deref().map(|path| rights.on(path));
                let have = have.unwrap_or_default();
                let missing: Vec<&str> = privileges
                    .iter()
                    .copied()
                    .filter(|name| !have.contains_key(name))
                    .collect();
                let path = path.unwrap_or_default();
                match (any, missing.first()) {
                    (true, _) if missing.len() == privileges.len() => {
                        no(&format!("{path}, {}", privileges.join("|")))
                    }
                    (false, Some(first)) => no(&format!("{path}, {first}")),
                    _ => Ok(true),
                }
            }
            Self::OwnUser | Self::Realm | Self::Group { .. } => {
                // Without a user the call is refused for its parameters.
                value("userid").map_or(Ok(true), |user| {
                    self.passes_for(&user, rights, value, quiet)
                })
            }
            Self::Modify(path) => match normalized(&filled(path, value)) {
                // What is no path at all is told with the parameters.
                None => Ok(true),
                Some(path) if rights.may_modify(&path) => Ok(true),
                Some(path) => no(&format!("{path}, {}", super::modifiers(&path).join("|"))),
            },
            Self::Unknown => no(""),
        }
    }

    /// The checks that are about a user.
    fn passes_for(
        &self,
        user: &str,
        rights: &Rights<'_>,
        value: &dyn Fn(&str) -> Option<String>,
        quiet: bool,
    ) -> Result<bool, Reply> {
        let no = |what: &str| no(quiet, what);
        let exists = || match rights.directory.users.contains_key(user) {
            true => Ok(true),
            false if quiet => Ok(false),
            false => Err(Reply::failed(format!("no such user ('{user}')"))),
        };
        match self {
            Self::Realm => {
                schema::user_id(user)?;
                let realm = user.rsplit('@').next().unwrap_or_default();
                let path = format!("/access/realm/{realm}");
                match rights.has(&path, "Realm.AllocateUser") {
                    true => Ok(true),
                    false => no(&format!("{path}, Realm.AllocateUser")),
                }
            }
            Self::Group {
                privileges,
                creates,
                named,
            } => {
                if !creates && !exists()? {
                    return Ok(false);
                }
                let privileges: Vec<&str> = privileges.iter().map(String::as_str).collect();
                if rights.has_any("/access/groups", &privileges) {
                    return Ok(true);
                }
                let allowed = rights.groups_with(&privileges);
                if *named {
                    let groups = value("groups").unwrap_or_default();
                    let mut groups = schema::parts(&groups).peekable();
                    let any = privileges.join("|");
                    if groups.peek().is_none() {
                        return Err(denied(&format!("/access/groups, {any}")));
                    }
                    if let Some(group) = groups.find(|group| !allowed.contains(group)) {
                        return Err(denied(&format!("/access/groups/{group}, {any}")));
                    }
                }
                let mut members = allowed
                    .iter()
                    .flat_map(|group| rights.directory.members(group));
                match *creates || members.any(|member| member == user) {
                    true => Ok(true),
                    false => no(""),
                }
            }
            _ => {
                schema::user_id(user)?;
                match exists()? {
                    true if rights.who() == user => Ok(true),
                    true => no(""),
                    false => Ok(false),
                }
            }
        }
    }
}

/// A path with its placeholders filled in; what is not there leaves nothing.
fn filled(path: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(&value(name).unwrap_or_default());
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Does not pass: quietly, or in the server's words.
fn no(quiet: bool, what: &str) -> Result<bool, Reply> {
    match quiet {
        true => Ok(false),
        false => Err(denied(what)),
    }
}
