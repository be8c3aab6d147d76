//! Which guests are backed up, and how.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Error, Result};
use crate::open::open_enum;
use crate::property::{BackupPerformance, Fleecing, PruneBackups};
use crate::property::{FLEECING, PERFORMANCE, PRUNE_BACKUPS};
use crate::qemu::check_vmid;
use crate::setting::Settings;
use crate::wire::Params;

/// Which guests are backed up.
///
/// ```
/// use proxmox_client::BackupGuests;
/// assert_eq!(BackupGuests::these([101, 100]).to_string(), BackupGuests::these([100, 101]).to_string());
/// assert_ne!(BackupGuests::all(), BackupGuests::all_but([100]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupGuests {
    /// These.
    These(BTreeSet<u32>),
    /// The members of a pool.
    Pool(String),
    /// All but these.
    AllBut(BTreeSet<u32>),
}

impl BackupGuests {
    /// These guests.
    pub fn these(vmids: impl IntoIterator<Item = u32>) -> Self {
        Self::These(vmids.into_iter().collect())
    }

    /// The members of a pool, whoever they are at the time.
    pub fn pool(name: &str) -> Self {
        Self::Pool(name.to_owned())
    }

    /// All guests, also those that are made later.
    pub fn all() -> Self {
        Self::AllBut(BTreeSet::new())
    }

    /// All guests but these.
    pub fn all_but(vmids: impl IntoIterator<Item = u32>) -> Self {
        Self::AllBut(vmids.into_iter().collect())
    }

    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::These(vmids) if vmids.is_empty() => Err(Error::invalid(
                "a backup of no guest is none: name one at least",
            )),
            Self::These(vmids) | Self::AllBut(vmids) => {
                vmids.iter().try_for_each(|vmid| check_vmid(*vmid))
            }
            Self::Pool(name) if name.is_empty() => Err(Error::invalid("a pool has a name")),
            Self::Pool(_) => Ok(()),
        }
    }

    pub(super) fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        let texts =
            |vmids: &BTreeSet<u32>| -> Vec<String> { vmids.iter().map(u32::to_string).collect() };
        // One choice takes the place of the others.
        for name in ["vmid", "pool", "all", "exclude"] {
            settings.unset(name);
        }
        match self {
            Self::These(vmids) => settings.list("vmid", texts(vmids)),
            Self::Pool(name) => settings.text("pool", name),
            Self::AllBut(vmids) => {
                settings.flag("all", true, false);
                settings.list("exclude", texts(vmids));
            }
        }
        settings
    }
}

impl fmt::Display for BackupGuests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::These(vmids) => {
                let names: Vec<String> = vmids.iter().map(u32::to_string).collect();
                write!(f, "guests {}", names.join(", "))
            }
            Self::Pool(name) => write!(f, "the guests of pool {name}"),
            Self::AllBut(vmids) if vmids.is_empty() => f.write_str("all guests"),
            Self::AllBut(vmids) => write!(f, "all guests but {}", vmids.len()),
        }
    }
}

open_enum! {
    /// How the state of a running guest is caught.
    pub enum BackupMode {
        /// While it runs.
        Snapshot = "snapshot",
        /// It is suspended for the start of the backup.
        Suspend = "suspend",
        /// It is stopped, and started again once the backup has begun (machines) or ended (containers).
        Stop = "stop",
    }
}

open_enum! {
    /// How backups are packed. A Backup Server packs its own way, whatever is said here.
    pub enum Compression {
        /// Not at all.
        None = "0",
        /// Zstandard: quick and small.
        Zstd = "zstd",
        /// gzip.
        Gzip = "gzip",
        /// LZO: quick and large.
        Lzo = "lzo",
    }
}

open_enum! {
    /// Who is told of the end of a backup.
    pub enum BackupNotification {
        /// By mail if there are addresses, else as the next one.
        Auto = "auto",
        /// Through the cluster's notification targets and matchers.
        System = "notification-system",
        /// By mail to the addresses given.
        Mail = "legacy-sendmail",
    }
}

open_enum! {
    /// How a Backup Server's client finds out which files of a container changed.
    pub enum ChangeDetection {
        /// It reads everything, in the old format.
        Legacy = "legacy",
        /// It reads everything, and keeps data and metadata apart.
        Data = "data",
        /// It reads only files whose metadata changed.
        Metadata = "metadata",
    }
}

/// How backups are made. What is not set is as the node says ([`Node::backup_defaults`](crate::Node::backup_defaults)).
///
/// ```
/// use proxmox_client::property::PruneBackups;
/// use proxmox_client::{BackupMode, BackupOptions, Compression};
/// let options = BackupOptions::to("local")
///     .with_mode(BackupMode::Snapshot)
///     .with_compression(Compression::Zstd)
///     .with_retention(&PruneBackups::default().with_daily(7u32).with_weekly(4u32))
///     .with_notes_template("{{guestname}} on {{node}}");
/// assert_eq!(options.storage(), Some("local"));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BackupOptions {
    storage: Option<String>,
    settings: Settings,
}

impl BackupOptions {
    /// Nothing set: the node's own storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Backups go to this storage.
    pub fn to(storage: &str) -> Self {
        Self::default().with("storage", storage)
    }

    /// How the state of a running guest is caught. Default snapshot.
    #[must_use]
    pub fn with_mode(mut self, mode: BackupMode) -> Self {
        self.settings.text("mode", mode.as_str());
        self
    }

    /// How it is packed. Default not at all.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.settings.text("compress", compression.as_str());
        self
    }

    /// Threads that pack with Zstandard; 0 is half of the node's processors. Default 1.
    #[must_use]
    pub fn with_zstd_threads(mut self, threads: u32) -> Self {
        self.settings.number("zstd", threads);
        self
    }

    /// Which backups of each guest are kept afterwards, instead of what the storage says.
    #[must_use]
    pub fn with_retention(mut self, keep: &PruneBackups) -> Self {
        let value = keep.as_property_string();
        self.settings
            .property("prune-backups", value, &PRUNE_BACKUPS);
        self
    }

    /// Whether older backups are removed by the rules of what is kept. Default yes. Without it a guest that has as many
    /// backups as the rules keep gets no other.
    #[must_use]
    pub fn with_pruning(mut self, on: bool) -> Self {
        self.settings.flag("remove", on, true);
        self
    }

    /// Notes of the backups: one line, with `{{cluster}}`, `{{guestname}}`, `{{node}}` and `{{vmid}}` filled in, and `\n`
    /// and `\\` for a line break and a backslash. Needs a storage.
    #[must_use]
    pub fn with_notes_template(mut self, template: &str) -> Self {
        self.settings.text("notes-template", template);
        self
    }

    /// Keeps the backups from being removed. Needs a storage.
    #[must_use]
    pub fn with_protected(mut self, protected: bool) -> Self {
        self.settings.flag("protected", protected, false);
        self
    }

    /// Limit of reading in KiB/s; 0 is none.
    #[must_use]
    pub fn with_bandwidth_limit(mut self, kib_per_second: u64) -> Self {
        self.settings.number("bwlimit", kib_per_second);
        self
    }

    /// Priority of I/O, 0 (high) to 8 (only when idle). Default 7.
    #[must_use]
    pub fn with_ionice(mut self, priority: u8) -> Self {
        self.settings.number("ionice", priority);
        self
    }

    /// Fleecing, of machines.
    #[must_use]
    pub fn with_fleecing(mut self, fleecing: &Fleecing) -> Self {
        let value = fleecing.as_property_string();
        self.settings.property("fleecing", value, &FLEECING);
        self
    }

    /// How hard it works.
    #[must_use]
    pub fn with_performance(mut self, performance: &BackupPerformance) -> Self {
        let value = performance.as_property_string();
        self.settings.property("performance", value, &PERFORMANCE);
        self
    }

    /// Files of containers that are left out, as shell patterns; one that begins with `/` starts at the root, others
    /// fit in any directory.
    #[must_use]
    pub fn with_excluded_paths<S: Into<String>>(
        mut self,
        patterns: impl IntoIterator<Item = S>,
    ) -> Self {
        self.settings.items("exclude-path", patterns);
        self
    }

    /// Whether temporary files of containers are left out. Default yes.
    #[must_use]
    pub fn with_standard_excludes(mut self, on: bool) -> Self {
        self.settings.flag("stdexcludes", on, true);
        self
    }

    /// How changed files of containers are found, on a Backup Server.
    #[must_use]
    pub fn with_change_detection(mut self, how: ChangeDetection) -> Self {
        self.settings
            .text("pbs-change-detection-mode", how.as_str());
        self
    }

    /// Who is told of the end. Default auto.
    #[must_use]
    pub fn with_notification(mut self, who: BackupNotification) -> Self {
        self.settings.text("notification-mode", who.as_str());
        self
    }

    /// Mail addresses or users that are told of the end.
    #[must_use]
    pub fn with_mail_to<S: Into<String>>(mut self, to: impl IntoIterator<Item = S>) -> Self {
        self.settings.list("mailto", to);
        self
    }

    /// Whether mails are sent only of failures. Default of every end.
    #[must_use]
    pub fn with_mail_on_failure_only(mut self, only: bool) -> Self {
        let when = if only { "failure" } else { "always" };
        self.settings.text("mailnotification", when);
        self
    }

    /// Minutes to wait for other backups of the node. Default 180.
    #[must_use]
    pub fn with_lock_wait(mut self, minutes: u32) -> Self {
        self.settings.number("lockwait", minutes);
        self
    }

    /// Minutes that a guest may take to stop, in mode stop. Default 10.
    #[must_use]
    pub fn with_stop_wait(mut self, minutes: u32) -> Self {
        self.settings.number("stopwait", minutes);
        self
    }

    /// Any other option by the server's name; an empty text removes it.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if name == "storage" {
            self.storage = Some(value.to_owned()).filter(|name| !name.is_empty());
        }
        self.settings.text(name, value);
        self
    }

    /// The storage that backups go to, where one is named.
    pub fn storage(&self) -> Option<&str> {
        self.storage.as_deref()
    }

    pub(super) fn fill(&self, params: &mut Params) {
        self.settings.push_new(params);
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }
}
