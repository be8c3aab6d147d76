//! The commands of restic, and what each of them prints.

use crate::version::Version;

/// A command of restic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "restic's own names, which say it")]
pub enum Command {
    Backup,
    Cache,
    Cat,
    Check,
    Copy,
    Diff,
    Dump,
    Features,
    Find,
    Forget,
    Generate,
    Init,
    KeyAdd,
    KeyList,
    KeyPasswd,
    KeyRemove,
    List,
    Ls,
    Migrate,
    Mount,
    Options,
    Prune,
    Recover,
    RepairIndex,
    RepairPacks,
    RepairSnapshots,
    Restore,
    Rewrite,
    Snapshots,
    Stats,
    Tag,
    Unlock,
    Version,
    /// A command that this crate does not know.
    Other,
}

impl Command {
    const NAMES: [(Self, &'static str); 33] = [
        (Self::Backup, "backup"),
        (Self::Cache, "cache"),
        (Self::Cat, "cat"),
        (Self::Check, "check"),
        (Self::Copy, "copy"),
        (Self::Diff, "diff"),
        (Self::Dump, "dump"),
        (Self::Features, "features"),
        (Self::Find, "find"),
        (Self::Forget, "forget"),
        (Self::Generate, "generate"),
        (Self::Init, "init"),
        (Self::KeyAdd, "key add"),
        (Self::KeyList, "key list"),
        (Self::KeyPasswd, "key passwd"),
        (Self::KeyRemove, "key remove"),
        (Self::List, "list"),
        (Self::Ls, "ls"),
        (Self::Migrate, "migrate"),
        (Self::Mount, "mount"),
        (Self::Options, "options"),
        (Self::Prune, "prune"),
        (Self::Recover, "recover"),
        (Self::RepairIndex, "repair index"),
        (Self::RepairPacks, "repair packs"),
        (Self::RepairSnapshots, "repair snapshots"),
        (Self::Restore, "restore"),
        (Self::Rewrite, "rewrite"),
        (Self::Snapshots, "snapshots"),
        (Self::Stats, "stats"),
        (Self::Tag, "tag"),
        (Self::Unlock, "unlock"),
        (Self::Version, "version"),
    ];

    /// The words of the command line, as in `repair index`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(command, _)| *command == self)
            .map_or("?", |(_, name)| name)
    }

    /// Finds the command in a list of arguments; flags and their values may stand before it.
    #[must_use]
    pub fn from_args<S: AsRef<str>>(args: &[S]) -> Self {
        for (at, arg) in args.iter().enumerate() {
            let arg = arg.as_ref();
            // A flag's value that happens to be called like a command is a price of not knowing every flag.
            if at > 0 && args[at - 1].as_ref().starts_with('-') && !is_switch(args[at - 1].as_ref())
            {
                continue;
            }
            let pair = args
                .get(at + 1)
                .map(|next| format!("{arg} {}", next.as_ref()));
            for (command, name) in Self::NAMES {
                if name == arg || pair.as_deref() == Some(name) {
                    return command;
                }
            }
            if arg == "rebuild-index" {
                return Self::RepairIndex;
            }
        }
        Self::Other
    }

    /// Whether this command prints JSON on standard output in the given version, so that `--json` is worth giving.
    #[must_use]
    pub fn supports_json(self, version: Version) -> bool {
        let since = match self {
            Self::Backup
            | Self::Snapshots
            | Self::Ls
            | Self::Find
            | Self::Stats
            | Self::Forget
            | Self::KeyList
            | Self::Cat => Version::new(0, 0, 0),
            Self::Diff => Version::new(0, 13, 0),
            Self::Init => Version::new(0, 15, 0),
            Self::Restore => Version::new(0, 16, 0),
            Self::Version => Version::new(0, 17, 0),
            Self::Check | Self::Tag => Version::new(0, 18, 0),
            Self::Prune => return version > Version::new(0, 19, 1),
            _ => return false,
        };
        version >= since
    }

    /// The first version that has the command.
    #[must_use]
    pub fn since(self) -> Version {
        match self {
            Self::Features => Version::new(0, 17, 0),
            Self::RepairIndex | Self::RepairPacks | Self::RepairSnapshots => Version::new(0, 16, 0),
            Self::Rewrite => Version::new(0, 15, 0),
            _ => Version::new(0, 0, 0),
        }
    }

    /// Whether standard output is a sequence of messages, one a line, rather than one document.
    pub(crate) fn speaks_in_lines(self) -> bool {
        matches!(
            self,
            Self::Backup
                | Self::Restore
                | Self::Ls
                | Self::Diff
                | Self::Check
                | Self::Tag
                | Self::Init
                | Self::Prune
        )
    }
}

fn is_switch(flag: &str) -> bool {
    matches!(
        flag,
        "--json"
            | "-q"
            | "--quiet"
            | "-v"
            | "-vv"
            | "--verbose"
            | "--no-lock"
            | "--no-cache"
            | "--cleanup-cache"
            | "--insecure-tls"
            | "--insecure-no-password"
            | "--no-extra-verify"
    ) || flag.contains('=')
}
