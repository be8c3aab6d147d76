//! Containers being backed up: their files are packed, from snapshots of their volumes, from a copy, or while they are off.

use std::time::Duration;

use super::{ARCHIVED, COPIED, Current, Dump, FROZEN, Mode, STOPPED, STUCK, stem, told_delay};
use crate::simulator::engine::Step;
use crate::simulator::guest::Power;
use crate::simulator::operation::container::mount_kind;
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// The snapshot that volumes are packed from.
const SNAPSHOT: &str = "vzdump";

/// Entries that the Backup Server's client keeps in memory by default.
const ENTRIES: u64 = 1_048_576;

/// Amounts as `rsync` tells them, in powers of a thousand.
fn told_moved(bytes: u64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "K")];
    let bytes = bytes as f64;
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.2}{name} bytes", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

impl World {
    pub(super) fn begin_container(
        &mut self,
        job: u64,
        dump: &Dump,
        current: &Current,
    ) -> Result<(), String> {
        let (vmid, running) = (current.vmid, current.running);
        let mut mode = if running { dump.mode } else { Mode::Stop };
        if mode == Mode::Snapshot {
            self.tell_mounts(job, vmid);
            if !self.can_snapshot_for_backup(vmid) {
                self.info(job, "mode failure - some volumes do not support snapshots");
                self.info(job, "trying 'suspend' mode instead");
                mode = Mode::Suspend;
            }
        }
        if mode == Mode::Snapshot && self.has_backup_snapshot(vmid) {
            self.info(job, "found old vzdump snapshot (force removal)");
            self.drop_snapshot(vmid, SNAPSHOT)
                .map_err(|refusal| refusal.reason)?;
        }
        self.tell_mode(job, dump, mode);
        if mode != Mode::Snapshot {
            self.tell_mounts(job, vmid);
        }
        match mode {
            Mode::Snapshot => {
                self.take_backup_snapshot(job, vmid)?;
                self.pack(job, dump, current);
            }
            Mode::Suspend => {
                self.tell_sync(job, dump, current, "first");
                let copy = self.copy_time(dump, self.packed_bytes(vmid));
                let copy = Duration::from_secs(1) + copy;
                self.then(job, [Step::Work(copy), Step::Check(COPIED)]);
            }
            Mode::Stop if running => {
                self.info(job, "stopping virtual guest");
                let steps = match self.listens(vmid, self.now) {
                    true => [Step::Work(self.durations.shutdown), Step::Check(STOPPED)],
                    false => [Step::Work(dump.patience), Step::Check(STUCK)],
                };
                self.then(job, steps);
            }
            Mode::Stop => self.pack(job, dump, current),
        }
        Ok(())
    }

    /// What happens between the beginning and the packing.
    pub(super) fn go_on_with_container(
        &mut self,
        job: u64,
        dump: &Dump,
        stage: u8,
    ) -> Result<(), String> {
        let Some(current) = dump.current.clone() else {
            return Ok(());
        };
        let (vmid, now) = (current.vmid, seconds(self.now));
        match stage {
            STOPPED => {
                let gone = || format!("unable to find VM '{vmid}'");
                self.guests.get_mut(&vmid).ok_or_else(gone)?.go_off();
                self.note(job, |current| current.stopped = Some(now));
                self.pack(job, dump, &current);
            }
            COPIED => {
                let moved = told_moved(self.packed_bytes(vmid));
                self.tell_synced(job, "first", &moved, now - current.began);
                self.info(job, "suspending guest");
                self.tell_sync(job, dump, &current, "final");
                let again = Duration::from_secs(1);
                self.then(job, [Step::Work(again), Step::Check(FROZEN)]);
            }
            _ => {
                self.tell_synced(job, "final", &told_moved(0), 1);
                self.info(job, "resuming guest");
                self.info(job, "guest is online again after 1 seconds");
                self.pack(job, dump, &current);
            }
        }
        Ok(())
    }

    /// A container that was stopped for its backup runs again.
    pub(super) fn container_is_back(&mut self, job: u64, current: &Current) {
        let now = self.now;
        if let Some(guest) = self.guests.get_mut(&current.vmid) {
            guest.power = Power::On { since: now };
        }
        let off = current.stopped.unwrap_or(current.began);
        let delay = told_delay(seconds(now).saturating_sub(off));
        self.info(job, format!("guest is online again after {delay} seconds"));
    }

    /// The snapshot of a backup goes.
    pub(super) fn drop_backup_snapshot(&mut self, job: u64, vmid: u32) {
        self.info(job, "cleanup temporary 'vzdump' snapshot");
        self.tell_thin_snapshots(job, vmid, "successfully removed.");
        if self.drop_snapshot(vmid, SNAPSHOT).is_err() {
            self.log(job, "snapshot 'vzdump' was not (fully) removed");
        }
    }

    fn has_backup_snapshot(&self, vmid: u32) -> bool {
        let guest = self.guests.get(&vmid);
        guest.is_some_and(|guest| guest.snapshots.contains_key(SNAPSHOT))
    }

    fn take_backup_snapshot(&mut self, job: u64, vmid: u32) -> Result<(), String> {
        let held = self.backup_volumes(vmid).into_iter();
        let several = held.filter(|(.., (included, _))| *included).count() > 1;
        if several {
            self.info(job, "suspend vm to make snapshot");
        }
        self.info(job, "create storage snapshot 'vzdump'");
        self.take_snapshot(job, vmid, SNAPSHOT, Some("vzdump backup snapshot"))
            .map_err(|refusal| refusal.reason)?;
        self.lock_for_backup(vmid);
        self.note(job, |current| current.snapshot = true);
        self.tell_thin_snapshots(job, vmid, "created.");
        if several {
            self.info(job, "resume vm");
            self.info(job, "guest is online again after <1 seconds");
        }
        Ok(())
    }

    /// Whether all volumes that a backup holds can be snapshotted.
    fn can_snapshot_for_backup(&self, vmid: u32) -> bool {
        let held = self.backup_volumes(vmid).into_iter();
        held.filter(|(.., (included, _))| *included)
            .all(|(_, drive, _)| {
                let storage = self.storage_of(&drive.file);
                storage.is_some_and(|storage| !storage.is_files() && storage.kind != "lvm")
            })
    }

    /// The lines of snapshots in a thin pool.
    fn tell_thin_snapshots(&mut self, job: u64, vmid: u32, done: &str) {
        for (_, drive, (included, _)) in self.backup_volumes(vmid) {
            let storage = self.storage_of(&drive.file);
            let thin = storage.is_some_and(|storage| storage.kind == "lvmthin");
            if let Some((_, name)) = drive.file.split_once(':').filter(|_| included && thin) {
                let line = format!("  Logical volume \"snap_{name}_vzdump\" {done}");
                self.log(job, line);
            }
        }
    }

    /// The packer cannot write its file.
    pub(super) fn fail_to_pack(&mut self, job: u64, dump: &Dump, archive: &str) -> String {
        let packed = archive.rsplit_once('.').map_or(archive, |(stem, _)| stem);
        let (packer, pipe) = match dump.compress.as_str() {
            "zstd" => ("zstd", " | zstd --threads=1"),
            "gzip" => ("gzip", " | gzip --rsyncable"),
            "1" | "lzo" => ("lzop", " | lzop"),
            _ => ("tar", ""),
        };
        self.info(job, format!("{packer}: No space left on device"));
        format!(
            "command 'set -o pipefail && tar cpf - --totals --one-file-system{pipe} >{packed}.dat' failed: exit code 1"
        )
    }

    /// Which volumes are in the backup, and which are not.
    fn tell_mounts(&mut self, job: u64, vmid: u32) {
        let name = self.guests.get(&vmid).and_then(|guest| guest.name());
        if let Some(name) = name.map(str::to_owned) {
            self.info(job, format!("CT Name: {name}"));
        }
        for (slot, drive, (included, why)) in self.backup_volumes(vmid) {
            let place = match slot.as_str() {
                "rootfs" => "/",
                _ => drive.get("mp").unwrap_or_default(),
            };
            if included {
                self.info(
                    job,
                    format!("including mount point {slot} ('{place}') in backup"),
                );
            } else {
                let kind = mount_kind(&drive.file);
                self.info(
                    job,
                    format!("excluding {kind} mount point {slot} ('{place}') from backup ({why})"),
                );
            }
        }
    }

    fn tell_sync(&mut self, job: u64, dump: &Dump, current: &Current, which: &str) {
        let pid = self.guests.get(&current.vmid).map_or(0, |guest| guest.pid);
        let folder = match self.storages.get(&dump.storage) {
            Some(storage) if storage.is_files() => {
                let name = stem(current.species, current.vmid, current.began);
                format!(
                    "{}/dump/{name}.tmp",
                    storage.path.as_deref().unwrap_or_default()
                )
            }
            _ => format!("/var/tmp/vzdumptmp{}_{}", self.pid_of(job), current.vmid),
        };
        self.info(
            job,
            format!("starting {which} sync /proc/{pid}/root/ to {folder}"),
        );
    }

    fn tell_synced(&mut self, job: u64, which: &str, moved: &str, took: u64) {
        self.info(
            job,
            format!("{which} sync finished - transferred {moved} in {took}s"),
        );
    }

    /// The process id of a job's task.
    fn pid_of(&self, job: u64) -> u32 {
        let task = self.engine.jobs.get(&job).and_then(|job| job.task);
        task.map_or(0, |task| self.tasks[task].pid)
    }

    /// How much a backup of a container packs.
    fn packed_bytes(&self, vmid: u32) -> u64 {
        let disks = self.archived_disks(vmid);
        disks.values().map(|disk| disk.used).sum()
    }

    /// Begins to pack the archive.
    fn pack(&mut self, job: u64, dump: &Dump, current: &Current) {
        self.tell_archive(job, dump, current);
        if self.is_pbs(&dump.storage) {
            self.info(
                job,
                format!("set max number of entries in memory for file-based backups to {ENTRIES}"),
            );
        }
        let copy = self.copy_time(dump, self.packed_bytes(current.vmid));
        let copy = Duration::from_secs(1) + copy;
        self.then(job, [Step::Work(copy), Step::Check(ARCHIVED)]);
    }
}
