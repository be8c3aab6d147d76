//! Backups being made: a task takes up one guest after the other.

mod container;
mod machine;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::read_name;
use crate::simulator::answer::Reply;
use crate::simulator::calendar::Moment;
use crate::simulator::engine::Step;
use crate::simulator::guest::{Guest, Species};
use crate::simulator::operation::Operation;
use crate::simulator::retention::{Keep, Mark};
use crate::simulator::task::seconds;
use crate::simulator::volume::{Archive, ArchivedDisk, Volume};
use crate::simulator::world::World;

/// A backup task: guests, options, and how far it is.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in crate::simulator) struct Dump {
    pub(in crate::simulator) node: String,
    pub(in crate::simulator) storage: String,
    pub(in crate::simulator) mode: Mode,
    pub(in crate::simulator) compress: String,
    pub(in crate::simulator) keep: Option<String>,
    pub(in crate::simulator) prune: bool,
    pub(in crate::simulator) notes: String,
    pub(in crate::simulator) protected: bool,
    /// Bytes per second; 0 is no limit.
    pub(in crate::simulator) limit: u64,
    /// How long a guest may take to stop.
    pub(in crate::simulator) patience: Duration,
    pub(in crate::simulator) command: String,
    pub(in crate::simulator) vmids: Vec<u32>,
    /// Index of the next guest.
    pub(in crate::simulator) next: usize,
    /// The guest in work.
    pub(in crate::simulator) current: Option<Current>,
    pub(in crate::simulator) failed: u32,
}

/// What becomes of a guest that runs while it is backed up.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum Mode {
    /// It goes on.
    Snapshot,
    /// It stands still for a moment.
    Suspend,
    /// It is off meanwhile.
    Stop,
}

impl Mode {
    /// By its name; a snapshot where none is named.
    pub(in crate::simulator) fn named(name: Option<&str>) -> Self {
        match name {
            Some("suspend") => Self::Suspend,
            Some("stop") => Self::Stop,
            _ => Self::Snapshot,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Suspend => "suspend",
            Self::Stop => "stop",
        }
    }
}

/// A guest in work.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in crate::simulator) struct Current {
    vmid: u32,
    species: Species,
    /// In seconds since 1970, as all moments here.
    began: u64,
    /// Whether it ran then.
    running: bool,
    mode: Mode,
    /// Whether its configuration is locked for this task.
    locked: bool,
    /// When it was stopped or frozen.
    stopped: Option<u64>,
    /// Whether its volumes have snapshots that go in the end.
    snapshot: bool,
    /// Why it failed, while it is brought back to what it was.
    failure: Option<String>,
}

/// The look at which a task takes up its next guest.
const NEXT: u8 = 0;
/// The look at which a stopped machine is on again.
const ONLINE: u8 = 1;
/// The look at which an archive is whole.
const ARCHIVED: u8 = 2;
/// The look at which a container is off.
const STOPPED: u8 = 3;
/// The look at which a container did not go off in time.
const STUCK: u8 = 4;
/// The look at which the files of a container are copied, apart from what changed meanwhile.
const COPIED: u8 = 5;
/// The look at which the rest is copied too.
const FROZEN: u8 = 6;
/// The look at which a container that was stopped is on again.
const RESTARTED: u8 = 7;

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

/// How long something took, as the log tells it.
fn told_delay(seconds: u64) -> String {
    match seconds {
        0 => "<1".to_owned(),
        seconds => seconds.to_string(),
    }
}

/// The name of a backup without its end: kind, guest, moment.
fn stem(species: Species, vmid: u32, at: u64) -> String {
    let (kind, m) = (species.branch(), Moment::of(at));
    format!(
        "vzdump-{kind}-{vmid}-{:04}_{:02}_{:02}-{:02}_{:02}_{:02}",
        m.year, m.month, m.day, m.hour, m.minute, m.second
    )
}

impl Dump {
    /// The name of the current guest's backup.
    fn archive_name(&self, pbs: bool, current: &Current) -> String {
        let (species, vmid, at) = (current.species, current.vmid, current.began);
        if pbs {
            let (m, kind) = (Moment::of(at), species.noun().to_ascii_lowercase());
            return format!(
                "{kind}/{vmid}/{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                m.year, m.month, m.day, m.hour, m.minute, m.second
            );
        }
        let format = match species {
            Species::Machine => "vma",
            Species::Container => "tar",
        };
        let end = match self.compress.as_str() {
            "zstd" => ".zst",
            "gzip" => ".gz",
            "1" | "lzo" => ".lzo",
            _ => "",
        };
        format!("{}.{format}{end}", stem(species, vmid, at))
    }
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

    /// Notes something about the guest in work.
    fn note(&mut self, job: u64, note: impl FnOnce(&mut Current)) {
        if let Some(current) = self.dump_mut(job).and_then(|dump| dump.current.as_mut()) {
            note(current);
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
        if stage == NEXT {
            self.next_guest(job, dump);
            return Ok(());
        }
        let Some(current) = &dump.current else {
            return Ok(());
        };
        let done = match stage {
            ONLINE => {
                self.bring_online(job, current);
                return Ok(());
            }
            ARCHIVED => self.end_guest(job, dump, current),
            STOPPED | COPIED | FROZEN => match self.go_on_with_container(job, dump, stage) {
                Ok(()) => return Ok(()),
                Err(why) => Err(why),
            },
            STUCK => Err("container did not stop".to_owned()),
            _ => {
                self.container_is_back(job, current);
                self.conclude_guest(job);
                return Ok(());
            }
        };
        self.close_guest(job, done);
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
        let guest = self.guests.get(&vmid);
        let current = Current {
            vmid,
            species: guest.map(Guest::species).unwrap_or_default(),
            began: seconds(self.now),
            running: guest.is_some_and(Guest::is_on),
            mode: dump.mode,
            locked: false,
            stopped: None,
            snapshot: false,
            failure: None,
        };
        if let Some(dump) = self.dump_mut(job) {
            dump.next += 1;
            dump.current = Some(current.clone());
        }
        if let Err(why) = self.begin_guest(job, dump, &current) {
            self.close_guest(job, Err(why));
        }
    }

    fn begin_guest(&mut self, job: u64, dump: &Dump, current: &Current) -> Result<(), String> {
        let (vmid, running, at) = (current.vmid, current.running, current.began);
        let Some(guest) = self.guests.get(&vmid) else {
            return Err(format!("unable to find VM '{vmid}'"));
        };
        let lock = guest.lock();
        if dump.mode == Mode::Stop && running && self.is_ha_managed(vmid) {
            return Err(
                "Cannot execute a backup with stop mode on a HA managed and enabled Service. Use snapshot mode or disable the Service."
                    .to_owned(),
            );
        }
        self.refuse_more_backups(dump, current)?;
        let kind = current.species.branch();
        self.info(job, format!("Starting Backup of VM {vmid} ({kind})"));
        self.info(job, format!("Backup started at {}", told_moment(at)));
        self.info(
            job,
            format!("status = {}", if running { "running" } else { "stopped" }),
        );
        if let Some(lock) = lock {
            return Err(current.species.locked(&lock).reason);
        }
        self.lock_for_backup(vmid);
        self.note(job, |current| current.locked = true);
        match current.species {
            Species::Machine => self.begin_machine(job, dump, current),
            Species::Container => self.begin_container(job, dump, current)?,
        }
        Ok(())
    }

    fn lock_for_backup(&mut self, vmid: u32) {
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.config.insert("lock".to_owned(), "backup".into());
        }
    }

    /// How it is done, once that is decided.
    fn tell_mode(&mut self, job: u64, dump: &Dump, mode: Mode) {
        self.note(job, |current| current.mode = mode);
        self.info(job, format!("backup mode: {}", mode.text()));
        if dump.limit > 0 {
            self.info(job, format!("bandwidth limit: {} KiB/s", dump.limit >> 10));
        }
        self.info(job, "ionice priority: 7");
    }

    /// Where the current guest's archive comes to lie, as the log tells it.
    fn tell_archive(&mut self, job: u64, dump: &Dump, current: &Current) {
        let archive = dump.archive_name(self.is_pbs(&dump.storage), current);
        let target = match self
            .storages
            .get(&dump.storage)
            .and_then(|s| s.path.as_ref())
        {
            Some(path) => format!("vzdump archive '{path}/dump/{archive}'"),
            None => format!("Proxmox Backup Server archive '{archive}'"),
        };
        self.info(job, format!("creating {target}"));
    }

    /// How long it takes to copy this much.
    fn copy_time(&self, dump: &Dump, bytes: u64) -> Duration {
        let speed = match dump.limit {
            0 => self.durations.copy_speed,
            limit => limit.min(self.durations.copy_speed),
        };
        Duration::from_secs_f64(bytes as f64 / speed.max(1) as f64)
    }

    pub(in crate::simulator) fn is_pbs(&self, storage: &str) -> bool {
        self.storages
            .get(storage)
            .is_some_and(|storage| storage.kind == "pbs")
    }

    /// A guest that has as many backups as the rules keep gets no other unless older ones go.
    fn refuse_more_backups(&self, dump: &Dump, current: &Current) -> Result<(), String> {
        let Some(storage) = self.storages.get(&dump.storage) else {
            return Ok(());
        };
        let keep = Keep::of(dump.keep.as_deref().or(storage.prune_backups.as_deref()));
        let of_guest = storage.volumes.iter().filter(|(volid, volume)| {
            volume.content == "backup"
                && read_name(volid).is_some_and(|name| {
                    name.vmid == current.vmid && name.kind == current.species.branch()
                })
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

    /// The volumes of a guest that its backup holds.
    fn archived_disks(&self, vmid: u32) -> BTreeMap<String, ArchivedDisk> {
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
        disks
    }

    /// The archive is whole: it is told, marked, and older ones go.
    fn end_guest(&mut self, job: u64, dump: &Dump, current: &Current) -> Result<(), String> {
        let (vmid, at, species) = (current.vmid, current.began, current.species);
        let pbs = self.is_pbs(&dump.storage);
        let Some(guest) = self.guests.get(&vmid) else {
            return Err(format!("unable to find VM '{vmid}'"));
        };
        let nameless = match species {
            Species::Machine => format!("VM {vmid}"),
            Species::Container => format!("CT{vmid}"),
        };
        let name = guest.name().map_or(nameless, str::to_owned);
        let config = archived_config(guest);
        let disks = self.archived_disks(vmid);
        let firewall = self.firewalls.get(&vmid.to_string()).cloned();
        let whole: u64 = disks.values().map(|disk| disk.used).sum();
        // Packed images are modelled as half as large.
        let packed = pbs || dump.compress != "0";
        let size = 4096 + if packed { whole / 2 } else { whole };
        let Some(storage) = self.storages.get_mut(&dump.storage) else {
            return Err(format!("storage '{}' does not exist", dump.storage));
        };
        let archive = dump.archive_name(pbs, current);
        let volid = format!("{}:backup/{archive}", dump.storage);
        if storage.available() < size {
            let path = storage.path_of(&volid);
            return Err(match species {
                Species::Machine => {
                    "vma_queue_write: write error - No space left on device".to_owned()
                }
                Species::Container => self.fail_to_pack(job, dump, &path),
            });
        }
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
            firewall,
        };
        storage.archives.insert(volid.clone(), made);
        let own_rules = storage.prune_backups.clone();
        let took = seconds(self.now).saturating_sub(at).max(1);
        match species {
            Species::Machine => {
                let size = told_size(whole);
                self.info(job, format!("transferred {size} in {took} seconds"));
            }
            // The Backup Server's client has a word of its own.
            Species::Container if pbs => {}
            Species::Container => {
                let told = super::told_total(whole, took);
                self.info(job, format!("Total bytes written: {told}"));
            }
        }
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
            let kind = Some(species.branch());
            let marks = self.prune_marks(&dump.storage, &keep, Some(vmid), kind);
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

    /// The guest in work becomes what it was before; then comes the next.
    fn close_guest(&mut self, job: u64, done: Result<(), String>) {
        self.note(job, |current| current.failure = done.err());
        let Some(current) = self.dump_mut(job).and_then(|dump| dump.current.clone()) else {
            return;
        };
        self.give_back(&current);
        if current.snapshot {
            self.drop_backup_snapshot(job, current.vmid);
        }
        if current.species == Species::Container && current.stopped.is_some() {
            self.info(job, "restarting vm");
            let start = self.durations.start_container;
            self.then(job, [Step::Work(start), Step::Check(RESTARTED)]);
        } else {
            self.conclude_guest(job);
        }
    }

    /// The last lines about a guest.
    fn conclude_guest(&mut self, job: u64) {
        let now = seconds(self.now);
        let Some(current) = self.dump_mut(job).and_then(|dump| dump.current.take()) else {
            return;
        };
        let vmid = current.vmid;
        match current.failure {
            None => {
                let took = now.saturating_sub(current.began);
                let (hours, minutes, secs) = (took / 3600, took / 60 % 60, took % 60);
                self.info(
                    job,
                    format!("Finished Backup of VM {vmid} ({hours:02}:{minutes:02}:{secs:02})"),
                );
                self.info(job, format!("Backup finished at {}", told_moment(now)));
            }
            Some(why) => {
                self.log(job, format!("ERROR: Backup of VM {vmid} failed - {why}"));
                self.info(job, format!("Failed at {}", told_moment(now)));
                if let Some(dump) = self.dump_mut(job) {
                    dump.failed += 1;
                }
            }
        }
        self.then(job, [Step::Check(NEXT)]);
    }

    /// Takes the lock off that this task put there; someone else's stays.
    fn give_back(&mut self, current: &Current) {
        if let Some(guest) = self.guests.get_mut(&current.vmid)
            && current.locked
            && guest.lock().as_deref() == Some("backup")
        {
            guest.config.shift_remove("lock");
        }
    }

    /// A backup task that was stopped lets go of the guest in work.
    pub(in crate::simulator) fn abandon_dump(&mut self, job: u64, dump: &Dump) {
        let Some(current) = &dump.current else {
            return;
        };
        self.give_back(current);
        if current.snapshot {
            self.drop_backup_snapshot(job, current.vmid);
        }
        if current.species == Species::Container && current.stopped.is_some() {
            self.info(job, "restarting vm");
            self.container_is_back(job, current);
        }
    }
}

/// The configuration that a backup holds.
fn archived_config(guest: &Guest) -> Map<String, Value> {
    let mut config = guest.config.clone();
    config.retain(|key, _| {
        let unused = guest.species == Species::Machine && key.starts_with("unused");
        !["lock", "parent"].contains(&key.as_str()) && !unused
    });
    config
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
