//! Backups being made.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read_name;
use crate::simulator::answer::Reply;
use crate::simulator::calendar::Moment;
use crate::simulator::engine::Step;
use crate::simulator::guest::{Guest, Power};
use crate::simulator::operation::Operation;
use crate::simulator::operation::disk::print_size;
use crate::simulator::retention::{Keep, Mark};
use crate::simulator::task::seconds;
use crate::simulator::volume::{Archive, ArchivedDisk, Volume};
use crate::simulator::world::World;

/// A backup task: guests, options, and how far it is.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in crate::simulator) struct Dump {
    pub(in crate::simulator) node: String,
    pub(in crate::simulator) storage: String,
    pub(in crate::simulator) mode: String,
    pub(in crate::simulator) compress: String,
    pub(in crate::simulator) keep: Option<String>,
    pub(in crate::simulator) prune: bool,
    pub(in crate::simulator) notes: String,
    pub(in crate::simulator) protected: bool,
    /// Bytes per second; 0 is no limit.
    pub(in crate::simulator) limit: u64,
    pub(in crate::simulator) command: String,
    pub(in crate::simulator) vmids: Vec<u32>,
    /// Index of the next guest.
    pub(in crate::simulator) next: usize,
    /// The guest in work: its id, when it began (in seconds), and whether it ran.
    pub(in crate::simulator) current: Option<(u32, u64, bool)>,
    pub(in crate::simulator) failed: u32,
}

/// The look at which a task takes up its next guest.
const NEXT: u8 = 0;
/// The look at which a stopped guest is on again.
const ONLINE: u8 = 1;
/// The look at which an archive is whole.
const ARCHIVED: u8 = 2;

/// Sizes as the task's log tells them.
fn told_size(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    match kib {
        kib if kib < 1024.0 => format!("{}KB", kib as u64),
        kib if kib < 1024.0 * 1024.0 => format!("{}MB", (kib / 1024.0) as u64),
        kib => format!("{:.2}GB", kib / 1024.0 / 1024.0),
    }
}

fn told_moment(at: u64) -> String {
    let m = Moment::of(at);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        m.year, m.month, m.day, m.hour, m.minute, m.second
    )
}

/// The name of a backup: kind, guest, moment.
fn archive_name(pbs: bool, vmid: u32, at: u64, compress: &str) -> String {
    let m = Moment::of(at);
    if pbs {
        return format!(
            "vm/{vmid}/{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            m.year, m.month, m.day, m.hour, m.minute, m.second
        );
    }
    let end = match compress {
        "zstd" => ".zst",
        "gzip" => ".gz",
        "1" | "lzo" => ".lzo",
        _ => "",
    };
    format!(
        "vzdump-qemu-{vmid}-{:04}_{:02}_{:02}-{:02}_{:02}_{:02}.vma{end}",
        m.year, m.month, m.day, m.hour, m.minute, m.second
    )
}

impl World {
    fn info(&mut self, job: u64, text: impl std::fmt::Display) {
        self.log(job, format!("INFO: {text}"));
    }

    fn dump_mut(&mut self, job: u64) -> Option<&mut Dump> {
        match self.engine.jobs.get_mut(&job).map(|job| &mut job.operation) {
            Some(Operation::Dump(dump)) => Some(dump),
            _ => None,
        }
    }

    fn then(
        &mut self,
        job: u64,
        steps: impl IntoIterator<Item = Step, IntoIter: DoubleEndedIterator>,
    ) {
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            for step in steps.into_iter().rev() {
                job.steps.push_front(step);
            }
        }
    }

    pub(in crate::simulator) fn check_dump(
        &mut self,
        job: u64,
        dump: &Dump,
        stage: u8,
    ) -> Result<(), Reply> {
        if stage == NEXT && dump.next == 0 && dump.current.is_none() {
            self.begin_dump(job, dump)?;
        }
        match (stage, dump.current) {
            (NEXT, _) => self.next_guest(job, dump),
            (ONLINE, Some((vmid, ..))) => self.bring_online(job, vmid, dump),
            (ARCHIVED, Some((vmid, at, _))) => {
                let done = self.end_guest(job, dump, vmid, at);
                self.conclude_guest(job, vmid, done);
                self.then(job, [Step::Check(NEXT)]);
            }
            _ => {}
        }
        Ok(())
    }

    /// What is refused before any guest is taken up.
    fn begin_dump(&mut self, job: u64, dump: &Dump) -> Result<(), Reply> {
        let name = &dump.storage;
        let Some(storage) = self.storages.get(name) else {
            return Err(Reply::failed(format!(
                "could not get storage information for '{name}': storage '{name}' does not exist"
            )));
        };
        if let Err(why) = storage.refuse(&dump.node) {
            return Err(Reply::failed(format!(
                "could not activate storage '{name}': {why}"
            )));
        }
        if !storage.content.iter().any(|kind| kind == "backup") {
            return Err(Reply::failed(format!(
                "could not get storage information for '{name}': can't use storage '{name}' for backups - wrong content type"
            )));
        }
        self.info(job, format!("starting new backup job: {}", dump.command));
        Ok(())
    }

    fn next_guest(&mut self, job: u64, dump: &Dump) {
        let Some(vmid) = dump.vmids.get(dump.next).copied() else {
            let text = match dump.failed {
                0 => "Backup job finished successfully",
                _ => "Backup job finished with errors",
            };
            self.info(job, text);
            return;
        };
        let at = seconds(self.now);
        let running = self.guests.get(&vmid).is_some_and(Guest::is_on);
        if let Some(dump) = self.dump_mut(job) {
            dump.next += 1;
            dump.current = Some((vmid, at, running));
        }
        if let Err(why) = self.begin_guest(job, dump, vmid, at) {
            self.conclude_guest(job, vmid, Err(why));
            self.then(job, [Step::Check(NEXT)]);
        }
    }

    fn begin_guest(&mut self, job: u64, dump: &Dump, vmid: u32, at: u64) -> Result<(), String> {
        let Some(guest) = self.guests.get(&vmid) else {
            return Err(format!("unable to find VM '{vmid}'"));
        };
        let (running, lock) = (guest.is_on(), guest.lock());
        let name = guest.name().map(str::to_owned);
        if dump.mode == "stop" && running && self.is_ha_managed(vmid) {
            return Err(
                "Cannot execute a backup with stop mode on a HA managed and enabled Service. Use snapshot mode or disable the Service."
                    .to_owned(),
            );
        }
        self.refuse_more_backups(dump, vmid)?;
        self.info(job, format!("Starting Backup of VM {vmid} (qemu)"));
        self.info(job, format!("Backup started at {}", told_moment(at)));
        self.info(
            job,
            format!("status = {}", if running { "running" } else { "stopped" }),
        );
        if let Some(lock) = lock {
            return Err(format!("VM is locked ({lock})"));
        }
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.config.insert("lock".to_owned(), "backup".into());
        }
        let mode = if running { dump.mode.as_str() } else { "stop" };
        if let Some(name) = name {
            self.info(job, format!("VM Name: {name}"));
        }
        let mut bytes = 0;
        for (slot, drive, (included, why)) in self.backup_volumes(vmid) {
            if !included {
                self.info(
                    job,
                    format!("exclude disk '{slot}' '{}' ({why})", drive.file),
                );
                continue;
            }
            let volume = self.volume(&drive.file);
            bytes += volume.map_or(0, |volume| volume.used);
            let size = volume.map(|volume| format!(" {}", print_size(volume.size)));
            let size = size.unwrap_or_default();
            self.info(job, format!("include disk '{slot}' '{}'{size}", drive.file));
        }
        self.info(job, format!("backup mode: {mode}"));
        if dump.limit > 0 {
            self.info(job, format!("bandwidth limit: {} KiB/s", dump.limit >> 10));
        }
        self.info(job, "ionice priority: 7");
        let mut steps = Vec::new();
        if running && mode == "stop" {
            self.info(job, "stopping virtual guest");
            steps.extend([Step::Work(self.durations.shutdown), Step::Check(ONLINE)]);
        }
        let archive = archive_name(self.is_pbs(&dump.storage), vmid, at, &dump.compress);
        let target = match self
            .storages
            .get(&dump.storage)
            .and_then(|s| s.path.as_ref())
        {
            Some(path) => format!("vzdump archive '{path}/dump/{archive}'"),
            None => format!("Proxmox Backup Server archive '{archive}'"),
        };
        self.info(job, format!("creating {target}"));
        if !running {
            self.info(job, "starting kvm to execute backup task");
        }
        let uuid = self.draw_uuid();
        self.info(job, format!("started backup task '{uuid}'"));
        let speed = match dump.limit {
            0 => self.durations.copy_speed,
            limit => limit.min(self.durations.copy_speed),
        };
        let copy = Duration::from_secs_f64(bytes as f64 / speed.max(1) as f64);
        // Starting and ending the copy takes a while, however little there is to copy.
        steps.extend([
            Step::Work(Duration::from_secs(1) + copy),
            Step::Check(ARCHIVED),
        ]);
        self.then(job, steps);
        Ok(())
    }

    pub(in crate::simulator) fn is_pbs(&self, storage: &str) -> bool {
        self.storages
            .get(storage)
            .is_some_and(|storage| storage.kind == "pbs")
    }

    /// A guest that has as many backups as the rules keep gets no other unless older ones go.
    fn refuse_more_backups(&self, dump: &Dump, vmid: u32) -> Result<(), String> {
        let Some(storage) = self.storages.get(&dump.storage) else {
            return Ok(());
        };
        let keep = Keep::of(dump.keep.as_deref().or(storage.prune_backups.as_deref()));
        let of_guest = storage.volumes.iter().filter(|(volid, volume)| {
            volume.content == "backup" && read_name(volid).is_some_and(|name| name.vmid == vmid)
        });
        let is_protected = |volid: &str| {
            storage
                .archives
                .get(volid)
                .is_some_and(|archive| archive.protected)
        };
        let (guarded, open): (Vec<_>, Vec<_>) =
            of_guest.partition(|(volid, _)| is_protected(volid));
        let most = storage
            .more
            .get("max-protected-backups")
            .and_then(Value::as_i64);
        if dump.protected {
            return match most {
                Some(most) if most > -1 && guarded.len() as i64 >= most => Err(format!(
                    "The number of protected backups per guest is limited to {most} on storage '{}'",
                    dump.storage
                )),
                _ => Ok(()),
            };
        }
        let limit = keep.limit();
        if !keep.keeps_all() && !dump.prune && open.len() as u64 >= limit {
            return Err(format!(
                "There is a max backup limit of {limit} enforced by the target storage or the vzdump parameters. Either increase the limit or delete old backups."
            ));
        }
        Ok(())
    }

    fn bring_online(&mut self, job: u64, vmid: u32, dump: &Dump) {
        let now = self.now;
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.power = Power::On { since: now };
        }
        let began = dump.current.map_or(0, |(_, at, _)| at);
        let delay = match seconds(now).saturating_sub(began) {
            0 => "<1".to_owned(),
            delay => delay.to_string(),
        };
        self.info(job, format!("resuming VM again after {delay} seconds"));
        self.info(job, format!("guest is online again after {delay} seconds"));
    }

    fn end_guest(&mut self, job: u64, dump: &Dump, vmid: u32, at: u64) -> Result<(), String> {
        let pbs = self.is_pbs(&dump.storage);
        let Some(guest) = self.guests.get(&vmid) else {
            return Err(format!("unable to find VM '{vmid}'"));
        };
        let name = guest
            .name()
            .map_or_else(|| format!("VM {vmid}"), str::to_owned);
        let mut config = guest.config.clone();
        config.retain(|key, _| {
            !["lock", "parent"].contains(&key.as_str()) && !key.starts_with("unused")
        });
        let mut disks = BTreeMap::new();
        for (slot, drive, (included, _)) in self.backup_volumes(vmid) {
            let Some(volume) = self.volume(&drive.file).filter(|_| included) else {
                continue;
            };
            let disk = ArchivedDisk {
                storage: drive.file.split(':').next().unwrap_or_default().to_owned(),
                format: volume.format.clone(),
                size: volume.size,
                used: volume.used,
            };
            disks.insert(slot, disk);
        }
        let whole: u64 = disks.values().map(|disk| disk.used).sum();
        // Packed images are modelled as half as large.
        let packed = pbs || dump.compress != "0";
        let size = 4096 + if packed { whole / 2 } else { whole };
        let Some(storage) = self.storages.get_mut(&dump.storage) else {
            return Err(format!("storage '{}' does not exist", dump.storage));
        };
        if storage.available() < size {
            return Err("vma_queue_write: write error - No space left on device".to_owned());
        }
        let archive = archive_name(pbs, vmid, at, &dump.compress);
        let volid = format!("{}:backup/{archive}", dump.storage);
        let volume = Volume {
            content: "backup".to_owned(),
            format: read_name(&volid).map_or_else(String::new, |name| name.format),
            size,
            disk_size: None,
            used: size,
            ctime: at,
            vmid: Some(vmid),
            parent: None,
        };
        storage.volumes.insert(volid.clone(), volume);
        let made = Archive {
            notes: String::new(),
            protected: false,
            config,
            disks,
        };
        storage.archives.insert(volid.clone(), made);
        let own_rules = storage.prune_backups.clone();
        let took = seconds(self.now).saturating_sub(at);
        self.info(
            job,
            format!(
                "transferred {} in {} seconds",
                told_size(whole),
                took.max(1)
            ),
        );
        if !pbs {
            self.info(job, format!("archive file size: {}", told_size(size)));
        }
        if !dump.notes.is_empty() {
            self.info(job, "adding notes to backup");
            let notes = fill_notes(&dump.notes, &name, &dump.node, vmid);
            self.with_archive(&volid, |archive| archive.notes = notes);
        }
        if dump.protected {
            self.info(job, "marking backup as protected");
            self.with_archive(&volid, |archive| archive.protected = true);
        }
        let keep = Keep::of(dump.keep.as_deref().or(own_rules.as_deref()));
        if dump.prune && !keep.keeps_all() {
            self.info(
                job,
                format!("prune older backups with retention: {}", keep.told()),
            );
            let marks = self.prune_marks(&dump.storage, &keep, Some(vmid), Some("qemu"));
            let mut pruned = 0;
            for (volid, _) in marks.iter().filter(|(_, mark)| *mark == Mark::Remove) {
                self.info(job, format!("removing backup '{volid}'"));
                self.drop_volume(volid);
                pruned += 1;
            }
            let why = if pruned > 0 {
                " not covered by keep-retention policy"
            } else {
                ""
            };
            self.info(job, format!("pruned {pruned} backup(s){why}"));
        }
        Ok(())
    }

    fn with_archive(&mut self, volid: &str, change: impl FnOnce(&mut Archive)) {
        let storage = self
            .storages
            .get_mut(volid.split(':').next().unwrap_or_default());
        if let Some(storage) = storage {
            change(storage.archives.entry(volid.to_owned()).or_default());
        }
    }

    fn conclude_guest(&mut self, job: u64, vmid: u32, done: Result<(), String>) {
        let now = seconds(self.now);
        let current = self.dump_mut(job).and_then(|dump| dump.current.take());
        let began = current.map_or(now, |(_, at, _)| at);
        match done {
            Ok(()) => {
                self.unlock_backup(vmid);
                let took = now.saturating_sub(began);
                let (hours, minutes, secs) = (took / 3600, took / 60 % 60, took % 60);
                self.info(
                    job,
                    format!("Finished Backup of VM {vmid} ({hours:02}:{minutes:02}:{secs:02})"),
                );
                self.info(job, format!("Backup finished at {}", told_moment(now)));
            }
            Err(why) => {
                // Someone else's lock stays.
                if !why.starts_with("VM is locked") {
                    self.unlock_backup(vmid);
                }
                self.log(job, format!("ERROR: Backup of VM {vmid} failed - {why}"));
                self.info(job, format!("Failed at {}", told_moment(now)));
                if let Some(dump) = self.dump_mut(job) {
                    dump.failed += 1;
                }
            }
        }
    }

    fn unlock_backup(&mut self, vmid: u32) {
        if let Some(guest) = self.guests.get_mut(&vmid)
            && guest.lock().as_deref() == Some("backup")
        {
            guest.config.shift_remove("lock");
        }
    }

    /// A backup task that was stopped lets go of the guest in work.
    pub(in crate::simulator) fn abandon_dump(&mut self, dump: &Dump) {
        if let Some((vmid, ..)) = dump.current {
            self.unlock_backup(vmid);
        }
    }
}

fn fill_notes(template: &str, guest: &str, node: &str, vmid: u32) -> String {
    let mut text = String::new();
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => text.push(match chars.next() {
                Some('n') => '\n',
                _ => '\\',
            }),
            (other, false) => text.push(other),
        }
    }
    text.replace("{{cluster}}", "standalone node")
        .replace("{{guestname}}", guest)
        .replace("{{node}}", node)
        .replace("{{vmid}}", &vmid.to_string())
}
