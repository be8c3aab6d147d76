//! Backups: what is kept, and how they are made.

use super::formats::{
    BACKUP_PERFORMANCE_KEYS, BANDWIDTH_LIMITS_KEYS, FLEECING_KEYS, PRUNE_BACKUPS_KEYS,
};
use super::{Format, property};
use crate::error::{Error, Result};

pub(crate) static PRUNE_BACKUPS: Format = Format {
    name: "prune-backups",
    default_key: None,
    aliases: &[],
    flags: &["keep-all"],
};

property! {
    /// Which backups of a guest are kept; all others are removed.
    ///
    /// The rules are applied from the shortest to the longest period; each looks only at backups older than what the
    /// ones before it cover, and of each period it keeps the last backup.
    ///
    /// ```
    /// use proxmox_client::property::PruneBackups;
    /// let keep = PruneBackups::default().with_last(3u32).with_daily(7u32).with_weekly(4u32);
    /// assert_eq!(keep.to_string(), "keep-last=3,keep-daily=7,keep-weekly=4");
    /// assert!(!keep.keeps_all());
    /// # Ok::<(), proxmox_client::Error>(())
    /// ```
    pub struct PruneBackups: PRUNE_BACKUPS, PRUNE_BACKUPS_KEYS {
        /// Keeps every backup; conflicts with the other rules.
        "keep-all" all / with_all: bool,
        /// The last so many.
        "keep-last" last / with_last: u32,
        /// One for each of the last so many hours that have one.
        "keep-hourly" hourly / with_hourly: u32,
        /// One for each of the last so many days that have one.
        "keep-daily" daily / with_daily: u32,
        /// One for each of the last so many weeks (Monday to Sunday) that have one.
        "keep-weekly" weekly / with_weekly: u32,
        /// One for each of the last so many months that have one.
        "keep-monthly" monthly / with_monthly: u32,
        /// One for each of the last so many years that have one.
        "keep-yearly" yearly / with_yearly: u32,
    }
}

impl PruneBackups {
    /// Keeps every backup.
    pub fn everything() -> Self {
        Self::default().with_all(true)
    }

    /// Whether nothing is ever removed: it says so, or no rule keeps anything.
    pub fn keeps_all(&self) -> bool {
        let rules = [
            self.last(),
            self.hourly(),
            self.daily(),
            self.weekly(),
            self.monthly(),
            self.yearly(),
        ];
        self.all() == Some(true) || rules.iter().all(|rule| rule.unwrap_or(0) == 0)
    }

    /// What the server would refuse: `keep-all` beside another rule.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::Kind::InvalidInput).
    pub fn check(&self) -> Result<()> {
        let all = self.all() == Some(true);
        if all && !self.clone().without("keep-all").keeps_all() {
            return Err(Error::invalid(
                "prune-backups: keep-all cannot be set together with other options",
            ));
        }
        Ok(())
    }
}

pub(crate) static FLEECING: Format = Format {
    name: "fleecing",
    default_key: Some("enabled"),
    aliases: &[],
    flags: &["enabled"],
};

property! {
    /// Fleecing: what a machine writes meanwhile is first kept on another storage, so that a slow backup storage does not
    /// slow the machine down.
    ///
    /// ```
    /// use proxmox_client::property::Fleecing;
    /// assert_eq!(Fleecing::on("local-lvm").to_string(), "1,storage=local-lvm");
    /// ```
    pub struct Fleecing: FLEECING, FLEECING_KEYS {
        /// Whether it is on.
        "enabled" enabled / with_enabled: bool,
        /// Where the blocks are kept; local, with discard and thin provisioning, is best.
        "storage" storage / with_storage: String,
    }
}

impl Fleecing {
    /// Fleecing on a storage.
    pub fn on(storage: &str) -> Self {
        Self::default().with_enabled(true).with_storage(storage)
    }
}

pub(crate) static PERFORMANCE: Format = Format {
    name: "performance",
    default_key: None,
    aliases: &[],
    flags: &[],
};

property! {
    /// How hard a backup works.
    pub struct BackupPerformance: PERFORMANCE, BACKUP_PERFORMANCE_KEYS {
        /// Of machines: reads at the same time, 1 to 256. Default 16.
        "max-workers" max_workers / with_max_workers: u32,
        /// Of containers on a Backup Server: entries held in memory. Default 1048576.
        "pbs-entries-max" entries_max / with_entries_max: u32,
    }
}

pub(crate) static BANDWIDTH: Format = Format {
    name: "bwlimit",
    default_key: None,
    aliases: &[],
    flags: &[],
};

property! {
    /// Limits of a storage's bandwidth in KiB/s, by what is done; 0 is no limit.
    ///
    /// ```
    /// use proxmox_client::property::BandwidthLimits;
    /// let limits = BandwidthLimits::default().with_restore(102_400u64).with_migration(51_200u64);
    /// assert_eq!(limits.to_string(), "restore=102400,migration=51200");
    /// ```
    pub struct BandwidthLimits: BANDWIDTH, BANDWIDTH_LIMITS_KEYS {
        /// Whatever has no limit of its own.
        "default" other / with_other: u64,
        /// Cloning disks.
        "clone" clone_disks / with_clone_disks: u64,
        /// Migrating guests with local disks.
        "migration" migration / with_migration: u64,
        /// Moving disks.
        "move" move_disks / with_move_disks: u64,
        /// Restoring backups.
        "restore" restore / with_restore: u64,
    }
}
