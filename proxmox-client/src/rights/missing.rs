//! What a refusal says is missing.

use std::fmt;

/// How many of the privileges that a refusal names are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Needed {
    /// All of them.
    All,
    /// One of them.
    One,
}

/// A right that a caller lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingRight {
    /// Where, such as `/vms/100`; empty if the server could make no path of a name in the call.
    pub path: String,
    /// What, such as `VM.Audit`. Where all of several are needed the server names only the first one that is missing.
    pub privileges: Vec<String>,
    /// Whether all of them are needed, or one.
    pub needed: Needed,
}

impl MissingRight {
    pub(super) fn new(path: &str, privileges: Vec<String>, needed: Needed) -> Self {
        Self {
            path: path.to_owned(),
            privileges,
            needed,
        }
    }

    /// Reads it from the server's text, `Permission check failed (/vms/100, VM.Audit)`, wherever that stands in it.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let (_, inside) = text.split_once("Permission check failed (")?;
        let (inside, _) = inside.split_once(')')?;
        let (path, names) = inside.split_once(", ")?;
        if !path.is_empty() && !path.starts_with('/') {
            return None;
        }
        // Some checks say what it is for.
        let names = names.split_once(" for ").map_or(names, |(names, _)| names);
        let (names, needed): (Vec<&str>, _) = match names.contains('|') {
            true => (names.split('|').collect(), Needed::One),
            false => {
                let all = names.split(", ").flat_map(|part| part.split(" && "));
                (all.collect(), Needed::All)
            }
        };
        let is_privilege = |name: &&str| {
            let mut parts = name.split('.');
            name.contains('.')
                && parts
                    .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()))
        };
        if !names.iter().all(is_privilege) {
            return None;
        }
        let names = names.into_iter().map(str::to_owned).collect();
        Some(Self::new(path, names, needed))
    }
}

impl fmt::Display for MissingRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = match self.needed {
            Needed::All => " and ",
            Needed::One => " or ",
        };
        write!(f, "{} on {}", self.privileges.join(between), self.path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refusals_tell_the_path_and_the_privileges() {
        use Needed::{All, One};
        let table: [(&str, &str, &[&str], Needed); 8] = [
            // PVE::RPCEnvironment::check
            (
                "Permission check failed (/vms/555, VM.Audit)",
                "/vms/555",
                &["VM.Audit"],
                All,
            ),
            (
                "Permission check failed (/, Permissions.Modify)\n",
                "/",
                &["Permissions.Modify"],
                All,
            ),
            (
                "Permission check failed (, Pool.Allocate)",
                "",
                &["Pool.Allocate"],
                All,
            ),
            // PVE::RPCEnvironment::check_any
            (
                "Permission check failed (/storage/local, Datastore.Audit|Datastore.AllocateSpace)",
                "/storage/local",
                &["Datastore.Audit", "Datastore.AllocateSpace"],
                One,
            ),
            // PVE::API2::Nodes, suspending all
            (
                "Permission check failed (/, VM.PowerMgmt && VM.Config.Disk)",
                "/",
                &["VM.PowerMgmt", "VM.Config.Disk"],
                All,
            ),
            // PVE::API2::Cluster::BulkAction::Guest
            (
                "Permission check failed (/, VM.PowerMgmt, VM.Audit)",
                "/",
                &["VM.PowerMgmt", "VM.Audit"],
                All,
            ),
            // PVE::GuestHelpers::assert_tag_permissions
            (
                "Permission check failed (/, Sys.Modify for modifying tag 'prod')",
                "/",
                &["Sys.Modify"],
                All,
            ),
            // PVE::API2::Pool, under the lock of the file
            (
                "update pools failed: 403 Permission check failed (/vms/100, Permissions.Modify|VM.Allocate)\n",
                "/vms/100",
                &["Permissions.Modify", "VM.Allocate"],
                One,
            ),
        ];
        for (text, path, privileges, needed) in table {
            let right = MissingRight::of_text(text).unwrap();
            assert_eq!(
                (right.path.as_str(), right.needed),
                (path, needed),
                "{text}"
            );
            assert_eq!(right.privileges, privileges, "{text}");
        }
    }

    #[test]
    fn other_refusals_tell_none() {
        for text in [
            "Permission check failed",
            "Permission check failed (user != root@pam)",
            "Permission check failed (pool 'x' does not exist)",
            "Permission check failed (changing the hookscript is only allowed for root@pam)",
            "Permission check failed (URI '/access/password' not available with API token, need proper ticket.\n)",
            "VM 100 already running",
            "",
        ] {
            assert_eq!(MissingRight::of_text(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panicking(text in "(Permission check failed \\()?.{0,40}(, )?.{0,40}\\)?") {
            let _ = MissingRight::of_text(&text);
        }
    }
}
