//! Backups: making them, keeping them, restoring them.

mod archive;
mod job;
mod options;
mod restore;

use std::time::{Duration, SystemTime};

use crate::error::{Error, Kind, Result, Sent, classify};
use crate::node::Node;
use crate::qemu::check_vmid;
use crate::scalar::record;
use crate::storage::Volume;
use crate::task::{LogLine, TaskCall, TaskReport};
use crate::upid::Upid;
use crate::wire::{Method, Request};

pub use archive::{PruneEntry, PruneMark, PruneQuery, VolumeInfo};
pub use job::{
    BackupJob, BackupJobInfo, BackupJobSettings, IncludedGuest, IncludedVolume, UncoveredGuest,
};
pub use options::{
    BackupGuests, BackupMode, BackupNotification, BackupOptions, ChangeDetection, Compression,
};
pub use restore::RestoreOptions;

/// What a backup task did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Dumped {
    /// The task; none if no guest of the choice is on the node.
    pub upid: Option<Upid>,
    /// What it warned of.
    pub warnings: Vec<String>,
}

record! {
    /// `GET /nodes/{node}/vzdump/defaults`: what holds for backups where nothing else is said.
    pub struct BackupDefaults {
        optional {
            /// Storage.
            "storage" storage: String,
            /// `snapshot`, `suspend` or `stop`.
            "mode" mode: BackupMode,
            /// Compression.
            "compress" compression: Compression,
            /// Which backups are kept.
            "prune-backups" prune_backups: String,
            /// Limit in KiB/s; 0 is none.
            "bwlimit" bandwidth_limit: u64,
            /// Priority of I/O, 0 (high) to 8 (only when idle).
            "ionice" ionice: u32,
            /// Minutes to wait for other backups of the node.
            "lockwait" lock_wait: u64,
            /// Minutes that a guest may take to stop.
            "stopwait" stop_wait: u64,
            /// Whether older backups are removed by the rules of what is kept.
            "remove" prune: bool,
        }
    }
}

impl Node {
    /// Backs up guests of this node, one after the other. Guests on other nodes are left out without a word.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::{QemuConfig, simulator::{Simulator, World}};
    /// # let client = Simulator::new(World::lab()).connect();
    /// use proxmox_client::{BackupGuests, BackupOptions, Compression};
    /// let node = client.node("pve1");
    /// node.create_qemu(100, QemuConfig::new().with_name("db")).await?;
    /// let options = BackupOptions::to("local").with_compression(Compression::Zstd);
    /// node.vzdump(&BackupGuests::these([100]), &options).await?;
    /// assert_eq!(node.storage("local").backups(Some(100)).await?.len(), 1);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// The kind and text of the first guest that failed, with the whole log; the others were backed up all the same.
    pub fn vzdump(&self, guests: &BackupGuests, options: &BackupOptions) -> TaskCall<Dumped> {
        let request = self
            .request(Method::Post, "/vzdump")
            .and_then(|mut request| {
                guests.check()?;
                options.fill(request.params_mut());
                guests.settings().push_new(request.params_mut());
                Ok(request)
            });
        let doing = format!("backing up {guests} on {}", self.name());
        TaskCall::new(self.client().clone(), doing, request, dumped)
    }

    /// Backs up one guest and gives its new backup.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{BackupOptions, Compression, QemuConfig, RestoreOptions};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let config = QemuConfig::new().with_name("web").with("scsi0", "local-lvm:1");
    /// node.create_qemu(100, config).await?;
    /// let options = BackupOptions::to("local").with_compression(Compression::Zstd);
    /// let backup = node.back_up(100, &options).await?;
    /// assert!(node.backup_config(&backup.volid).await?.contains("name: web\n"));
    /// let copy = node.restore_qemu(101, &backup.volid, RestoreOptions::new().with_unique(true)).await?;
    /// assert_eq!(copy.qemu.config().await?.name().as_deref(), Some("web"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if the options name no storage; [`Kind::NotFound`] if the guest is not on this node;
    /// otherwise as [`vzdump`](Self::vzdump).
    pub async fn back_up(&self, vmid: u32, options: &BackupOptions) -> Result<Volume> {
        check_vmid(vmid)?;
        let doing = || format!("backing up guest {vmid} on {}", self.name());
        let Some(storage) = options.storage() else {
            return Err(Error::invalid("a backup needs a storage").doing(doing()));
        };
        let done = self.vzdump(&BackupGuests::these([vmid]), options).await?;
        let Some(upid) = done.upid else {
            let text = format!("guest {vmid} is not on node {}", self.name());
            return Err(Error::new(Kind::NotFound, text).doing(doing()));
        };
        let log = self.client().task(upid.clone()).log().await?;
        let backups = self.storage(storage).backups(Some(vmid)).await?;
        let started = upid.started_at().duration_since(SystemTime::UNIX_EPOCH);
        let started = started.unwrap_or(Duration::ZERO).as_secs();
        newest(backups, &log, started).ok_or_else(|| {
            let text = format!("the backup is not on storage {storage}");
            Error::new(Kind::NotFound, text).doing(doing())
        })
    }

    /// What holds for backups of this node where nothing else is said; a storage has its own rules of what is kept.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let defaults = node.backup_defaults(None).await?;
    /// assert_eq!(defaults.storage.as_deref(), Some("local"));
    /// assert_eq!(defaults.lock_wait, Some(180));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn backup_defaults(&self, storage: Option<&str>) -> Result<BackupDefaults> {
        let mut request = self.request(Method::Get, "/vzdump/defaults")?;
        if let Some(storage) = storage {
            request.params_mut().push("storage", storage);
        }
        self.client().fetch(request).await
    }

    /// The guest's configuration in a backup (`local:backup/vzdump-qemu-100-….vma.zst`), as the text of its file.
    ///
    /// Example: see [`back_up`](Self::back_up).
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such backup.
    pub async fn backup_config(&self, volid: &str) -> Result<String> {
        let request = self.request(Method::Get, "/vzdump/extractconfig")?;
        let found = self.client().fetch(request.with("volume", volid)).await;
        found.map_err(|error| error.doing(format!("reading the configuration in {volid}")))
    }
}

fn dumped(report: TaskReport) -> Result<Dumped> {
    let (upid, log) = (report.upid.clone(), report.log.clone());
    let failure = first_failure(&log);
    match report.check() {
        Ok(warnings) => Ok(Dumped { upid, warnings }),
        // The task only says that there were errors; which ones is in its log.
        Err(error) => Err(match (failure, upid) {
            (Some(why), Some(upid)) if error.kind() == Kind::TaskFailed => {
                Error::new(classify(0, &why, []), why)
                    .with_sent(Sent::Answered)
                    .doing(format!("task vzdump on {}", upid.node()))
                    .with_task(upid, log)
            }
            _ => error,
        }),
    }
}

/// Why the first guest that failed did.
fn first_failure(log: &[LogLine]) -> Option<String> {
    log.iter().find_map(|line| {
        let rest = line.text.strip_prefix("ERROR: Backup of VM ")?;
        let (guest, why) = rest.split_once(" failed - ")?;
        guest.parse::<u32>().ok().map(|_| why.trim().to_owned())
    })
}

/// The backup that a task made: the one that its log names, or the first since its start.
fn newest(backups: Vec<Volume>, log: &[LogLine], started: u64) -> Option<Volume> {
    let archive = log.iter().find_map(|line| {
        let (_, rest) = line.text.split_once(" archive '")?;
        rest.split('\'').next()
    });
    let is_named = |volume: &Volume| {
        let name = volume.volid.split_once(":backup/").map(|(_, name)| name);
        name.zip(archive)
            .is_some_and(|(name, archive)| archive.ends_with(name))
    };
    let named = backups.iter().position(is_named);
    let mut backups = backups;
    match named {
        Some(at) => Some(backups.swap_remove(at)),
        None => backups
            .into_iter()
            .filter(|volume| volume.created_at.is_some_and(|at| at >= started))
            .min_by_key(|volume| volume.created_at),
    }
}

/// A path below a volume of a storage of a node.
fn of_volume(method: Method, node: &Node, storage: &str, volid: &str) -> Result<Request> {
    node.storage(storage)
        .request(method, "/content/{volume}", &[volid])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<LogLine> {
        let line = |(index, text): (usize, &&str)| LogLine {
            number: index as u64 + 1,
            text: (*text).to_owned(),
            extra: serde_json::Map::new(),
        };
        texts.iter().enumerate().map(line).collect()
    }

    fn volume(volid: &str, at: u64) -> Volume {
        let value = serde_json::json!({ "volid": volid, "ctime": at });
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_reason_of_a_failure_is_found_in_the_log() {
        let log = lines(&[
            "INFO: Starting Backup of VM 100 (qemu)",
            "ERROR: Backup of VM 100 failed - VM is locked (clone)",
            "ERROR: Backup of VM 101 failed - other",
        ]);
        assert_eq!(first_failure(&log).as_deref(), Some("VM is locked (clone)"));
        assert_eq!(
            first_failure(&lines(&["ERROR: Backup job failed - x"])),
            None
        );
    }

    #[test]
    fn the_new_backup_is_told_from_others() {
        let (a, b) = (
            "s:backup/vzdump-qemu-100-2026_01_01-00_00_00.vma.zst",
            "s:backup/vzdump-qemu-100-2026_01_01-00_00_09.vma.zst",
        );
        let both = || vec![volume(a, 10), volume(b, 19)];
        let named = lines(&[
            "INFO: creating vzdump archive '/dump/vzdump-qemu-100-2026_01_01-00_00_09.vma.zst'",
        ]);
        let found = |log: &[LogLine], started| newest(both(), log, started).map(|v| v.volid);
        assert_eq!(found(&named, 0).as_deref(), Some(b));
        assert_eq!(found(&[], 5).as_deref(), Some(a));
        assert_eq!(found(&[], 11).as_deref(), Some(b));
        assert_eq!(found(&[], 20), None);
        let server =
            lines(&["INFO: creating Proxmox Backup Server archive 'vm/100/2026-01-01T00:00:09Z'"]);
        let there = vec![volume("pbs:backup/vm/100/2026-01-01T00:00:09Z", 9)];
        assert!(newest(there, &server, 100).is_some());
    }
}
