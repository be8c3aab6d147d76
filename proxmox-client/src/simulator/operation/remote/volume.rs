//! The volumes of a guest that goes to another cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ALLOCATED, COPIED, DISKS, IMPORTED, MEMORY, NEXT, PARTS, RemoteMigration, SWITCH};
use crate::simulator::engine::Step;
use crate::simulator::guest::{Species, text_of};
use crate::simulator::operation::container::mount_kind;
use crate::simulator::operation::disk::{DriveText, copied};
use crate::simulator::operation::is_drive;
use crate::simulator::operation::migration::stem;
use crate::simulator::operation::reassign::is_in_snapshot;
use crate::simulator::peer::{Command, Incoming};
use crate::simulator::world::World;

/// A volume that leaves.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Leaving {
    slot: String,
    file: String,
    /// The storage that takes it at the other end.
    storage: String,
    format: String,
    size: u64,
    used: u64,
}

impl Leaving {
    fn incoming(&self, source: u32, target: u32) -> Box<Incoming> {
        let stem = stem(&self.file);
        Box::new(Incoming {
            storage: self.storage.clone(),
            stem: stem.replace(&format!("-{source}-"), &format!("-{target}-")),
            format: self.format.clone(),
            size: self.size,
            used: self.used,
        })
    }
}

/// Whether a slot holds a medium that is not a guest's own disk.
fn is_medium(drive: &DriveText) -> bool {
    drive.get("media") == Some("cdrom") && !stem(&drive.file).ends_with("-cloudinit")
}

/// Volumes by what they are called at the other end.
pub(super) fn rename(config: &mut Map<String, Value>, moved: &BTreeMap<String, String>) {
    for (slot, value) in config.iter_mut() {
        if !is_drive(slot) && !slot.starts_with("unused") {
            continue;
        }
        let mut drive = DriveText::parse(&text_of(value));
        if let Some(there) = moved.get(&drive.file) {
            drive.file.clone_from(there);
            *value = drive.print().into();
        }
    }
}

impl World {
    /// The slots of a guest, those of volumes that it does not use among them.
    fn slots_of(&self, vmid: u32) -> Vec<(String, DriveText)> {
        let guest = self.guests.get(&vmid);
        let config = guest.into_iter().flat_map(|guest| &guest.config);
        let slots = config.filter(|(slot, _)| is_drive(slot) || slot.starts_with("unused"));
        slots
            .map(|(slot, value)| (slot.clone(), DriveText::parse(&text_of(value))))
            .collect()
    }

    /// The storages at the other end that its volumes need.
    pub(super) fn storages_there(
        &self,
        work: &RemoteMigration,
    ) -> Result<BTreeSet<String>, String> {
        let mut storages = BTreeSet::new();
        for (slot, drive) in self.slots_of(work.vmid) {
            if work.species == Species::Container {
                let kind = mount_kind(&drive.file);
                if kind != "volume" {
                    if drive.get("shared") == Some("1") {
                        continue;
                    }
                    return Err(format!("cannot migrate local {kind} mount point '{slot}'"));
                }
            }
            let Some((name, _)) = drive.file.split_once(':') else {
                continue;
            };
            let Some(storage) = self.storages.get(name) else {
                return Err(format!("storage '{name}' does not exist"));
            };
            let node = self.guests.get(&work.vmid).map(|guest| guest.node.as_str());
            storage.refuse(node.unwrap_or_default())?;
            let rootdir = storage.content.iter().any(|kind| kind == "rootdir");
            if work.species == Species::Container && !rootdir {
                return Err(format!(
                    "content type 'rootdir' is not available on storage '{name}'"
                ));
            }
            storages.insert(work.storages.of(name).to_owned());
        }
        Ok(storages)
    }

    /// The volumes that leave: those that nothing writes to, and disks of a machine that runs.
    pub(super) fn find_leaving(
        &mut self,
        job: u64,
        work: &RemoteMigration,
    ) -> Result<(Vec<Leaving>, Vec<Leaving>), String> {
        let Some(guest) = self.guests.get(&work.vmid) else {
            return Ok(Default::default());
        };
        let (on, mut problems) = (guest.is_on(), Vec::new());
        let (mut cold, mut hot) = (Vec::new(), Vec::new());
        for (slot, drive) in self.slots_of(work.vmid) {
            let file = drive.file.clone();
            if file == "none" || work.species == Species::Container && mount_kind(&file) != "volume"
            {
                continue;
            }
            let why = match () {
                () if file == "cdrom" => Some("local cdrom drive"),
                () if file.starts_with('/') => Some("local file/device"),
                () if is_medium(&drive) => Some("local cdrom image"),
                () if on && is_in_snapshot(guest, &file) => {
                    Some("online storage migration not possible if non-replicated snapshot exists")
                }
                () if is_in_snapshot(guest, &file) => {
                    Some("remote migration with snapshots not supported yet")
                }
                () => None,
            };
            if let Some(why) = why {
                problems.push((file, why.to_owned()));
                continue;
            }
            let Some(volume) = self.volume(&file) else {
                problems.push((file, "volume does not exist".to_owned()));
                continue;
            };
            if volume.vmid != Some(work.vmid) {
                let owner = volume
                    .vmid
                    .map_or_else(String::new, |vmid| vmid.to_string());
                problems.push((file, format!("owned by other VM (owner = VM {owner})")));
                continue;
            }
            if let Some(base) = &volume.parent {
                problems.push((file, format!("clone of '{base}'")));
                continue;
            }
            let from = file.split(':').next().unwrap_or_default();
            let leaving = Leaving {
                storage: work.storages.of(from).to_owned(),
                format: volume.format.clone(),
                size: volume.size,
                used: volume.used,
                slot,
                file,
            };
            let attached = !leaving.slot.starts_with("unused") && drive.get("media").is_none();
            match on && attached {
                true => hot.push(leaving),
                false => cold.push(leaving),
            }
        }
        let all = cold.iter().chain(&hot);
        let mut lines: Vec<String> = all.map(|it| found_line(work.species, it)).collect();
        lines.sort();
        for line in lines {
            self.tell(job, line);
        }
        if problems.is_empty() {
            return Ok((cold, hot));
        }
        let what = match work.species {
            Species::Machine => "disk",
            Species::Container => "volume",
        };
        for (file, why) in problems {
            self.tell(job, format!("can't migrate local {what} '{file}': {why}"));
        }
        Err(match work.species {
            Species::Machine => {
                "Problem found while scanning volumes - can't migrate VM - check log"
            }
            Species::Container => "can't migrate CT - check log",
        }
        .to_owned())
    }

    /// The next volume gets a place at the other end; after the last one the configuration goes there.
    pub(super) fn remote_next(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        let (vmid, target) = (work.vmid, work.target);
        if let Some(first) = work.progress.cold.first() {
            let command = Command::Import(first.incoming(vmid, target));
            self.command(job, work, command, IMPORTED);
        } else if let Some(first) = work.progress.hot.first() {
            let Leaving { slot, storage, .. } = first;
            let line =
                format!("Allocating volume for drive '{slot}' on remote storage '{storage}'..");
            self.tell(job, line);
            let command = Command::Disk(first.incoming(vmid, target));
            self.command(job, work, command, ALLOCATED);
        } else {
            self.send_config(job, work)?;
        }
        Ok(())
    }

    pub(super) fn remote_imported(
        &mut self,
        job: u64,
        work: &RemoteMigration,
    ) -> Result<(), String> {
        let told = self.told(job, "disk-import")?;
        let there = told["volid"].as_str().unwrap_or_default().to_owned();
        let Some(volume) = work.progress.cold.first().cloned() else {
            return Ok(());
        };
        let copy = self.remote_copy_time(work, volume.used);
        self.progress(job, |progress| {
            progress.moved.insert(volume.file, there);
        });
        self.go_on(job, [Step::Work(copy), Step::Check(COPIED)]);
        Ok(())
    }

    fn remote_copy_time(&self, work: &RemoteMigration, bytes: u64) -> Duration {
        let speed = self.durations.copy_speed;
        let speed = work.limit.map_or(speed, |limit| limit.min(speed)).max(1);
        Duration::from_secs_f64(bytes as f64 / speed as f64)
    }

    pub(super) fn remote_copied(&mut self, job: u64, work: &RemoteMigration) -> Result<(), String> {
        let Some(volume) = work.progress.cold.first() else {
            return Ok(());
        };
        self.log(
            job,
            "tunnel: -> sending command \"query-disk-import\" to remote",
        );
        self.log(job, "tunnel: <- got reply");
        self.tell_place(job, work, &volume.file);
        self.progress(job, |progress| {
            progress.cold.remove(0);
        });
        self.go_on(job, [Step::Check(NEXT)]);
        Ok(())
    }

    fn tell_place(&mut self, job: u64, work: &RemoteMigration, file: &str) {
        let there = work.progress.moved.get(file).cloned().unwrap_or_default();
        self.tell(job, format!("volume '{file}' is '{there}' on the target"));
    }

    pub(super) fn remote_allocated(
        &mut self,
        job: u64,
        work: &RemoteMigration,
    ) -> Result<(), String> {
        let told = self.told(job, "disk")?;
        let there = told["volid"].as_str().unwrap_or_default().to_owned();
        let mut work = work.clone();
        if work.progress.hot.is_empty() {
            return Ok(());
        }
        let volume = work.progress.hot.remove(0);
        let file = volume.file.clone();
        work.progress.moved.insert(file.clone(), there);
        work.progress.mirrored.push(volume);
        self.tell_place(job, &work, &file);
        self.progress(job, |progress| *progress = work.progress);
        self.go_on(job, [Step::Check(NEXT)]);
        Ok(())
    }

    /// Another machine waits at the other end: disks are copied, then memory.
    pub(super) fn remote_started(
        &mut self,
        job: u64,
        work: &RemoteMigration,
    ) -> Result<(), String> {
        self.told(job, "start")?;
        let vmid = work.vmid;
        let guest = self.require(vmid).map_err(|no| no.reason)?;
        let memory = guest.memory_bytes() / 4;
        let socket = format!("/run/qemu-server/{vmid}.migrate");
        self.tell(job, format!("Setting up tunnel for '{socket}'"));
        let mirrored = &work.progress.mirrored;
        if !mirrored.is_empty() {
            self.tell(job, "starting storage migration");
        }
        for Leaving { slot, .. } in mirrored {
            let uri =
                format!("nbd:unix:/run/qemu-server/{vmid}_nbd.migrate:exportname=drive-{slot}");
            self.tell(job, format!("{slot}: start migration to {uri}"));
        }
        let disks: u64 = mirrored.iter().map(|volume| volume.used).sum();
        let disks = self.remote_copy_time(work, disks) / u32::from(PARTS);
        let memory = self.remote_copy_time(work, memory) / u32::from(PARTS);
        let mut steps = Vec::new();
        for part in 1..=PARTS {
            steps.extend([Step::Work(disks), Step::Check(DISKS + part)]);
        }
        for part in 1..=PARTS {
            steps.extend([Step::Work(memory), Step::Check(MEMORY + part)]);
        }
        steps.push(Step::Check(SWITCH));
        self.go_on(job, steps);
        Ok(())
    }

    /// So many parts of the disks are copied.
    pub(super) fn remote_disks(
        &mut self,
        job: u64,
        work: &RemoteMigration,
        part: u8,
    ) -> Result<(), String> {
        let share = f64::from(part) / f64::from(PARTS);
        for Leaving { slot, size, .. } in &work.progress.mirrored {
            let mib = *size as f64 / f64::from(1 << 20);
            let (done, all) = (copied(mib * share), copied(mib));
            let percent = share * 100.0;
            self.log(
                job,
                format!("mirror-{slot}: transferred {done} of {all} ({percent:.2}%)"),
            );
        }
        if part == PARTS {
            if !work.progress.mirrored.is_empty() {
                self.log(job, "all 'mirror' jobs are ready");
                self.tell(job, "switching mirror jobs to actively synced mode");
            }
            let uri = format!("unix:/run/qemu-server/{}.migrate", work.vmid);
            self.tell(job, format!("starting online/live migration on {uri}"));
            self.tell(job, "set migration capabilities");
            self.tell(job, "set migration parameters");
            self.tell(job, format!("start migrate command to {uri}"));
        }
        Ok(())
    }

    /// So many parts of the memory are copied.
    pub(super) fn remote_memory(
        &mut self,
        job: u64,
        work: &RemoteMigration,
        part: u8,
    ) -> Result<(), String> {
        let guest = self.require(work.vmid).map_err(|no| no.reason)?;
        let mib = guest.memory_bytes() as f64 / f64::from(1 << 20);
        let done = copied(mib / 4.0 * f64::from(part) / f64::from(PARTS));
        let all = copied(mib);
        let line = format!("migration active, transferred {done} of {all} VM-state");
        self.tell(job, line);
        Ok(())
    }
}

fn found_line(species: Species, volume: &Leaving) -> String {
    let file = &volume.file;
    match species {
        Species::Container => format!("found local volume '{file}' (in current VM config)"),
        Species::Machine if volume.slot.starts_with("unused") => {
            format!("found local disk '{file}' (unused)")
        }
        Species::Machine
            if stem(file).ends_with("-cloudinit") || volume.slot.starts_with("tpm") =>
        {
            format!("found generated disk '{file}' (in current VM config)")
        }
        Species::Machine => format!("found local disk '{file}' (attached)"),
    }
}
