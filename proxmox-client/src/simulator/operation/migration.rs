//! Guests on their way to another node, and the volumes that go along.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::mount_kind;
use super::{DriveText, Operation, is_drive};
use crate::simulator::answer::Reply;
use crate::simulator::calendar::Moment;
use crate::simulator::engine::Step;
use crate::simulator::guest::{Guest, Power, Species, text_of};
use crate::simulator::task::seconds;
use crate::simulator::volume::{Storage, Volume};
use crate::simulator::world::World;

/// A guest on its way to another node.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in crate::simulator) struct Migration {
    pub(in crate::simulator) vmid: u32,
    pub(in crate::simulator) target: String,
    /// A container that runs is shut down within this time and started there.
    pub(in crate::simulator) restart: Option<Duration>,
    pub(in crate::simulator) storages: StorageMap,
    /// Whether a container was shut down for it.
    off: bool,
}

impl Migration {
    pub(in crate::simulator) fn new(vmid: u32, target: &str) -> Self {
        Self {
            vmid,
            target: target.to_owned(),
            restart: None,
            storages: StorageMap::default(),
            off: false,
        }
    }
}

/// Which storages take the volumes of which: each by its name, one for all others, else they stay where they are.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::simulator) struct StorageMap {
    each: BTreeMap<String, String>,
    all: Option<String>,
}

impl FromStr for StorageMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut map = Self::default();
        let mut same = false;
        let entries = text
            .split([',', ';', ' '])
            .filter(|entry| !entry.is_empty());
        for entry in entries {
            match entry.split_once(':') {
                None if entry == "1" => same = true,
                None if map.all.is_some() => {
                    return Err("default target ID can only be provided once\n".to_owned());
                }
                None => map.all = Some(entry.to_owned()),
                Some((from, _)) if map.each.contains_key(from) => {
                    return Err(format!("duplicate mapping for source '{from}'\n"));
                }
                Some((from, to)) => {
                    map.each.insert(from.to_owned(), to.to_owned());
                }
            }
        }
        if same && map != Self::default() {
            return Err("identity mapping cannot be combined with other mappings\n".to_owned());
        }
        Ok(map)
    }
}

impl StorageMap {
    /// The storage that takes volumes of this one.
    pub(super) fn of<'a>(&'a self, storage: &'a str) -> &'a str {
        let own = self.each.get(storage).or(self.all.as_ref());
        own.map_or(storage, String::as_str)
    }

    /// All storages that are named as targets.
    pub(in crate::simulator) fn targets(&self) -> impl Iterator<Item = &str> {
        self.each.values().chain(&self.all).map(String::as_str)
    }
}

/// The look at which a container is off and its volumes may go.
const MOVE: u8 = 1;
/// The look at which a container did not go off in time.
const STUCK: u8 = 2;

/// Storages that give their volumes to other nodes.
const MOVABLE: [&str; 5] = ["dir", "zfspool", "lvmthin", "lvm", "btrfs"];

/// A volume's name without its folder and its end.
pub(super) fn stem(file: &str) -> &str {
    let name = file.rsplit(['/', ':']).next().unwrap_or(file);
    name.split('.').next().unwrap_or(name)
}

fn aborted() -> Reply {
    Reply::failed("migration aborted")
}

impl World {
    /// The volumes of a guest that only its node sees: where they are used, and what they are.
    pub(in super::super) fn local_volumes(
        &self,
        guest: &Guest,
    ) -> Vec<(String, DriveText, Volume)> {
        let mut found = Vec::new();
        for (slot, value) in &guest.config {
            if !is_drive(slot) && !slot.starts_with("unused") {
                continue;
            }
            let drive = DriveText::parse(&text_of(value));
            let local = self
                .storage_of(&drive.file)
                .is_some_and(|storage| !storage.shared);
            let volume = self.volume(&drive.file);
            let owned = volume.filter(|volume| volume.vmid == Some(guest.vmid) && local);
            if let Some(volume) = owned {
                found.push((slot.clone(), drive, volume.clone()));
            }
        }
        found
    }

    /// A line of a migration, which begins with the moment.
    pub(super) fn tell(&mut self, job: u64, text: impl std::fmt::Display) {
        let m = Moment::of(seconds(self.now));
        let line = format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02} {text}",
            m.year, m.month, m.day, m.hour, m.minute, m.second
        );
        self.log(job, line);
    }

    /// How long a job's task has been at work.
    pub(super) fn told_duration(&self, job: u64) -> String {
        let task = self.engine.jobs.get(&job).and_then(|job| job.task);
        let began = task.map_or(self.now, |task| self.tasks[task].started);
        let took = self.now.duration_since(began).unwrap_or_default().as_secs();
        format!("{:02}:{:02}:{:02}", took / 3600, took / 60 % 60, took % 60)
    }

    fn abort(&mut self, job: u64, why: impl std::fmt::Display) -> Reply {
        let duration = self.told_duration(job);
        self.tell(
            job,
            format!("ERROR: migration aborted (duration {duration}): {why}"),
        );
        aborted()
    }

    /// A migration looks again; a container is shut down for it, then locked.
    pub(super) fn check_migration(
        &mut self,
        job: u64,
        work: &Migration,
        stage: u8,
    ) -> Result<(), Reply> {
        match stage {
            MOVE => return self.begin_move(job, work),
            STUCK => return Err(self.abort(job, "container did not stop")),
            _ => {}
        }
        let guest = self.require_unlocked(work.vmid)?;
        if guest.species == Species::Machine {
            return Ok(());
        }
        let on = guest.is_on();
        if let Some(why) = self.migration_problem(work) {
            return Err(self.abort(job, why));
        }
        let mut steps = vec![Step::Check(MOVE)];
        if let Some(limit) = work.restart.filter(|_| on) {
            self.tell(job, format!("shutdown CT {}", work.vmid));
            steps = match self.listens(work.vmid, self.now) {
                true => vec![Step::Work(self.durations.shutdown), Step::Check(MOVE)],
                false => vec![Step::Work(limit), Step::Check(STUCK)],
            };
        }
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            if on {
                let end = job.steps.len().saturating_sub(1);
                job.steps
                    .insert(end, Step::Work(self.durations.start_container));
            }
            for step in steps.into_iter().rev() {
                job.steps.push_front(step);
            }
        }
        Ok(())
    }

    /// Why a container may not go where it is asked to.
    fn migration_problem(&self, work: &Migration) -> Option<String> {
        let guest = self.guests.get(&work.vmid)?;
        if guest.is_on() && work.restart.is_none() {
            return Some("lxc live migration is currently not implemented".to_owned());
        }
        for (slot, drive) in self.drives_of(work.vmid) {
            let kind = mount_kind(&drive.file);
            if kind != "volume" {
                if drive.get("shared") == Some("1") {
                    continue;
                }
                return Some(format!("cannot migrate local {kind} mount point '{slot}'"));
            }
            let name = drive.file.split(':').next().unwrap_or_default();
            let shared = self.storages.get(name).is_some_and(|known| known.shared);
            let name = if shared { name } else { work.storages.of(name) };
            let Some(storage) = self.storages.get(name) else {
                return Some(format!("storage '{name}' does not exist"));
            };
            if let Err(why) = storage.refuse(&work.target) {
                return Some(why);
            }
            if !storage.content.iter().any(|kind| kind == "rootdir") {
                let file = &drive.file;
                return Some(format!(
                    "{file}: content type 'rootdir' is not available on storage '{name}'"
                ));
            }
        }
        None
    }

    /// The container is off: it is locked, and its volumes are looked at.
    fn begin_move(&mut self, job: u64, work: &Migration) -> Result<(), Reply> {
        let vmid = work.vmid;
        let on = self.require(vmid)?.is_on();
        if let Some(Operation::Migrate(work)) =
            self.engine.jobs.get_mut(&job).map(|job| &mut job.operation)
        {
            work.off = on;
        }
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            job.cleanup_owned = true;
        }
        let guest = self.guest_mut(vmid)?;
        guest.go_off();
        guest.config.insert("lock".to_owned(), "migrate".into());
        let node = self.nodes.get(&work.target);
        let address = node.map_or_else(String::new, |node| node.address.clone());
        self.tell(
            job,
            format!(
                "starting migration of CT {vmid} to node '{}' ({address})",
                work.target
            ),
        );
        let guest = self.require(vmid)?;
        let problems = self.stuck_volumes(guest);
        let local: Vec<String> = self
            .local_volumes(guest)
            .into_iter()
            .map(|(_, drive, _)| drive.file)
            .collect();
        for file in local {
            let line = format!("found local volume '{file}' (in current VM config)");
            self.tell(job, line);
        }
        if problems.is_empty() {
            return Ok(());
        }
        for (file, why) in problems {
            self.tell(job, format!("can't migrate local volume '{file}': {why}"));
        }
        Err(self.give_up_move(job, "can't migrate CT - check log", on))
    }

    /// The lines of a migration that fails once its container is locked.
    fn give_up_move(&mut self, job: u64, why: &str, was_on: bool) -> Reply {
        self.tell(job, format!("ERROR: {why}"));
        self.tell(job, "aborting phase 1 - cleanup resources");
        self.tell(job, "start final cleanup");
        if was_on {
            self.tell(job, "start container on source node");
        }
        self.abort(job, why)
    }

    /// Local volumes that cannot leave their node, and why.
    fn stuck_volumes(&self, guest: &Guest) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (_, drive, volume) in self.local_volumes(guest) {
            let kind = self
                .storage_of(&drive.file)
                .map_or("", |storage| storage.kind.as_str());
            let kept = super::reassign::is_in_snapshot(guest, &drive.file);
            if let Some(base) = &volume.parent {
                problems.push((drive.file, format!("clone of '{base}'")));
            } else if kept && !["zfspool", "btrfs"].contains(&kind) {
                problems.push((drive.file, "non-migratable snapshot exists".to_owned()));
            } else if !MOVABLE.contains(&kind) {
                problems.push((drive.file, format!("storage type '{kind}' not supported")));
            }
        }
        problems
    }

    /// The guest is on the other node from now on.
    pub(super) fn migrate(&mut self, job: u64, work: &Migration) -> Result<(), Reply> {
        let guest = self.require(work.vmid)?;
        let species = guest.species;
        // QEMU itself copies disks of a machine that runs, whatever their formats.
        let convert = guest.is_on();
        let mut moves = Vec::new();
        for (slot, mut drive, volume) in self.local_volumes(guest) {
            let old = drive.file.clone();
            let from = old.split(':').next().unwrap_or_default();
            let to = work.storages.of(from);
            if to != from {
                match self.moved_volume(work.vmid, (&old, &volume), to, convert) {
                    Ok(made) => drive.file = made,
                    Err(why) => {
                        let why = format!(
                            "storage migration for '{old}' to storage '{to}' failed - {why}"
                        );
                        return Err(self.give_up_move(job, &why, work.off));
                    }
                }
            }
            moves.push((slot, drive, old));
        }
        for (slot, drive, old) in moves {
            if drive.file != old {
                let volume = self.volume(&old).cloned();
                self.drop_volume(&old);
                let to = drive.file.split(':').next().unwrap_or_default();
                if let Some((mut volume, storage)) = volume.zip(self.storages.get_mut(to)) {
                    volume.format = volume_format(storage, &volume);
                    storage.volumes.insert(drive.file.clone(), volume);
                }
                let text = drive.print();
                self.guest_mut(work.vmid)?.config.insert(slot, text.into());
            }
            if species == Species::Container {
                let line = format!("volume '{old}' is '{}' on the target", drive.file);
                self.tell(job, line);
            }
        }
        let since = self.now;
        let guest = self.guest_mut(work.vmid)?;
        guest.config.shift_remove("lock");
        guest.node.clone_from(&work.target);
        if work.off {
            guest.power = Power::On { since };
        }
        if species == Species::Container {
            self.tell(job, "start final cleanup");
            if work.off {
                self.tell(job, "start container on target node");
            }
        }
        let duration = self.told_duration(job);
        let line = format!("migration finished successfully (duration {duration})");
        self.tell(job, line);
        Ok(())
    }

    /// What a volume is called on another storage: as before if the name is free, else by the next number.
    fn moved_volume(
        &self,
        vmid: u32,
        (file, volume): (&str, &Volume),
        to: &str,
        convert: bool,
    ) -> Result<String, String> {
        let Some(target) = self.storages.get(to) else {
            return Err(format!("storage '{to}' does not exist"));
        };
        let from = self.storage_of(file);
        let packed = from.is_some_and(Storage::is_files) && volume.format != "raw";
        if packed && !target.is_files() && !convert {
            let from = from.map_or("", |storage| storage.kind.as_str());
            let kind = &target.kind;
            return Err(format!(
                "cannot migrate from storage type '{from}' to '{kind}'"
            ));
        }
        if target.available() < volume.used {
            return Err("No space left on device".to_owned());
        }
        let format = volume_format(target, volume);
        let same = format!("{to}:{}", target.image_name(vmid, stem(file), &format));
        Ok(match target.volumes.contains_key(&same) {
            true => format!("{to}:{}", target.next_image(vmid, &format, false)),
            false => same,
        })
    }

    /// A migration that failed once it had locked its container leaves it as it was.
    pub(super) fn abandon_migration(&mut self, work: &Migration) {
        self.unlock_config(work.vmid);
        let since = self.now;
        if let Some(guest) = self.guests.get_mut(&work.vmid).filter(|_| work.off) {
            guest.power = Power::On { since };
        }
    }
}

/// The format of a volume on a storage: block devices hold raw images only.
fn volume_format(storage: &Storage, volume: &Volume) -> String {
    match storage.is_files() {
        true => volume.format.clone(),
        false => "raw".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_storages_name_each_or_all_or_none() {
        let map = |text: &str| text.parse::<StorageMap>();
        let of = |text: &str, from: &str| map(text).map(|map| map.of(from).to_owned());
        for (text, from, expected) in [
            ("1", "a", "a"),
            ("fast", "a", "fast"),
            ("a:b", "a", "b"),
            ("a:b", "c", "c"),
            ("a:b,slow", "c", "slow"),
            ("a:b c:d", "c", "d"),
        ] {
            assert_eq!(of(text, from).as_deref(), Ok(expected), "{text} of {from}");
        }
        for (text, why) in [
            ("a:b,a:c", "duplicate mapping for source 'a'\n"),
            ("x,y", "default target ID can only be provided once\n"),
            (
                "1,x",
                "identity mapping cannot be combined with other mappings\n",
            ),
        ] {
            assert_eq!(map(text), Err(why.to_owned()), "{text}");
        }
    }
}
