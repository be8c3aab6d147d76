//! Containers out of backups: new volumes, the files, then what the backup says and what the caller wants instead.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{is_card, with_mac};
use crate::simulator::answer::Reply;
use crate::simulator::engine::{Patience, Step};
use crate::simulator::guest::{Guest, Power, Species, text_of};
use crate::simulator::http::Call;
use crate::simulator::operation::backup::{read_name, told_total};
use crate::simulator::operation::container::{mount_kind, mount_order};
use crate::simulator::operation::disk::{DriveText, read_size, removed_volume};
use crate::simulator::operation::{Caller, Operation, is_drive, lock_guest};
use crate::simulator::volume::{Archive, Storage};
use crate::simulator::world::World;

/// The look at the configuration in the backup.
const RECOVER: u8 = 0;
/// The look at which volumes are made, and those of a container that is replaced go.
const MAKE: u8 = 1;

const CONTAINER: Species = Species::Container;

/// A backup on its way to a container.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in crate::simulator) struct ContainerRestore {
    vmid: u32,
    node: String,
    archive: String,
    /// Storage of volumes that the caller does not place.
    storage: String,
    pool: Option<String>,
    unique: bool,
    force: bool,
    start: bool,
    /// Whether root itself asks, who may do more.
    root: bool,
    unprivileged: Option<bool>,
    /// Settings and volumes that take the place of those in the backup.
    config: Map<String, Value>,
    /// Bytes per second; 0 is no limit.
    limit: u64,
    /// The volumes that were made for it.
    made: Vec<String>,
    /// What its slots say.
    placed: Map<String, Value>,
}

/// The volumes of a container to be: those that are made first, and paths of the node that are mounted in the end.
struct Plan {
    volumes: Vec<(String, DriveText)>,
    later: Vec<(String, DriveText)>,
}

impl ContainerRestore {
    pub(in crate::simulator) fn of(node: &str, vmid: u32, call: &Call, caller: &Caller) -> Self {
        let config = World::config_params(&call.params)
            .filter(|(key, _)| *key != "unprivileged" && !key.starts_with("unused"));
        Self {
            vmid,
            node: node.to_owned(),
            archive: call.text("ostemplate").unwrap_or_default(),
            storage: call.text("storage").unwrap_or_else(|| "local".to_owned()),
            pool: call.text("pool"),
            unique: call.flag("unique"),
            force: call.flag("force"),
            start: call.flag("start"),
            root: caller.is_root(),
            unprivileged: call.text("unprivileged").map(|flag| flag == "1"),
            config: config
                .map(|(key, text)| (key.to_owned(), text.into()))
                .collect(),
            limit: call.number("bwlimit").unwrap_or(0) << 10,
            made: Vec::new(),
            placed: Map::new(),
        }
    }

    pub(in crate::simulator) fn steps(&self) -> Vec<Step> {
        vec![
            Step::Lock {
                key: CONTAINER.key(self.vmid),
                shared: false,
                wait: Patience::Creation,
                prefix: self.prefix(),
            },
            Step::Finish,
        ]
    }

    fn prefix(&self) -> String {
        format!("unable to restore CT {} - ", self.vmid)
    }

    fn failed(&self, why: impl std::fmt::Display) -> Reply {
        Reply::failed(format!("{}{why}", self.prefix()))
    }

    /// How the task ends that is stopped while files are unpacked.
    pub(in crate::simulator) fn interrupted(&self) -> String {
        let prefix = self.prefix();
        format!(
            "{prefix}command 'tar xpf - --totals -C /var/lib/lxc/{}/rootfs --skip-old-files --anchored --exclude './dev/*'' failed: interrupted by signal",
            self.vmid
        )
    }

    /// The volumes that are asked for, else those of the backup on one storage.
    fn plan(&self, archive: &Archive) -> Result<Plan, String> {
        let mut plan = Plan {
            volumes: Vec::new(),
            later: Vec::new(),
        };
        if self.config.contains_key("rootfs") {
            for (slot, text) in mounts(&self.config) {
                let drive = match text.parse::<f64>() {
                    Ok(_) => DriveText::parse(&format!("{}:{text}", self.storage)),
                    Err(_) => DriveText::parse(&text),
                };
                plan.volumes.push((slot, drive));
            }
            return Ok(plan);
        }
        for (slot, text) in mounts(&archive.config) {
            let mut drive = DriveText::parse(&text);
            let kind = mount_kind(&drive.file);
            if kind == "volume" {
                let Some(size) = drive.get("size").and_then(read_size) else {
                    return Err(format!(
                        "unable to detect disk size - please specify {slot} (size)"
                    ));
                };
                let gib = size as f64 / f64::from(1 << 30);
                drive.file = format!("{}:{gib}", self.storage);
                drive.rest.retain(|(key, _)| key != "size");
                plan.volumes.push((slot, drive));
            } else if slot == "rootfs" {
                return Err(format!(
                    "restoring rootfs to {kind} mount is only possible by specifying -rootfs manually!"
                ));
            } else if self.root {
                plan.later.push((slot, drive));
            } else {
                return Err(format!(
                    "restoring '{slot}' to {kind} mount is only possible for root"
                ));
            }
        }
        if plan.volumes.is_empty() {
            return Err(
                "rootfs configuration could not be recovered, please check and specify manually!"
                    .to_owned(),
            );
        }
        Ok(plan)
    }
}

/// The slots of a configuration that name volumes or paths, in their order.
fn mounts(config: &Map<String, Value>) -> Vec<(String, String)> {
    let slots = config.iter().filter(|(key, _)| is_drive(key));
    let mut slots: Vec<(String, String)> = slots
        .map(|(key, value)| (key.clone(), text_of(value)))
        .collect();
    slots.sort_by_key(|(slot, _)| mount_order(slot));
    slots
}

impl World {
    /// The id is ours from here on, or the container that has it is to be replaced.
    pub(in crate::simulator) fn claim_restore(
        &mut self,
        work: &ContainerRestore,
        caller: &Caller,
    ) -> Result<Reply, Reply> {
        let (vmid, node) = (work.vmid, work.node.clone());
        let old = self.guests.get(&vmid);
        match old {
            Some(guest) if work.force && guest.species == CONTAINER && guest.node == node => {
                let unlocked = guest.unlocked().map(|_| ());
                unlocked.map_err(|refusal| work.failed(refusal.reason))?;
            }
            Some(_) => return Err(work.failed(self.taken(vmid).unwrap_or_default())),
            None => {}
        }
        let fresh = old.is_none();
        let steps = self.restore_steps(work);
        let guest = self
            .guests
            .get_or_insert_with(vmid, || Guest::new(CONTAINER, vmid, &node));
        guest.config.insert("lock".to_owned(), "create".into());
        let operation = Operation::RestoreContainer(Box::new(work.clone()));
        let id = vmid.to_string();
        let reply = self.start_task(&node, "vzrestore", &id, caller, operation, steps);
        if fresh {
            self.own_newest();
        }
        Ok(reply)
    }

    fn restore_steps(&self, work: &ContainerRestore) -> Vec<Step> {
        let mut steps = vec![lock_guest(CONTAINER, work.vmid), Step::Check(RECOVER)];
        let archive = self.archive(&work.node, &work.archive).ok().flatten();
        let plan = archive.and_then(|archive| work.plan(archive).ok());
        for (_, drive) in plan.iter().flat_map(|plan| &plan.volumes) {
            steps.extend(self.drive_steps(drive, &work.prefix()));
        }
        steps.push(Step::Check(MAKE));
        let speed = match work.limit {
            0 => self.durations.copy_speed,
            limit => limit.min(self.durations.copy_speed),
        };
        let bytes = archive.map_or(0, packed);
        let copy = Duration::from_secs_f64(bytes as f64 / speed.max(1) as f64);
        steps.extend([Step::Work(copy), Step::Work(self.durations.create)]);
        if work.start {
            steps.push(Step::Work(self.durations.start_container));
        }
        steps.push(Step::Finish);
        steps
    }

    pub(in crate::simulator) fn check_container_restore(
        &mut self,
        job: u64,
        work: &ContainerRestore,
        stage: u8,
    ) -> Result<(), Reply> {
        let done = match stage {
            RECOVER => self.recover(job, work),
            _ => self.make_restored(job, work),
        };
        done.map_err(|why| work.failed(why))
    }

    /// What the backup says of the container.
    fn recovered(&self, work: &ContainerRestore) -> Result<Archive, String> {
        let path = || {
            let storage = self.storage_of(&work.archive);
            storage.map_or_else(String::new, |storage| storage.path_of(&work.archive))
        };
        let missing = |_| format!("ERROR: file '{}' does not exist", path());
        let archive = self.archive(&work.node, &work.archive).map_err(missing)?;
        let of_container = read_name(&work.archive).is_none_or(|name| name.kind == "lxc");
        match archive.filter(|_| of_container) {
            Some(archive) => Ok(archive.clone()),
            None => Err("ERROR: archive contains no configuration file".to_owned()),
        }
    }

    fn recover(&mut self, job: u64, work: &ContainerRestore) -> Result<(), String> {
        if self.guests.get(&work.vmid).is_some_and(Guest::is_on) {
            return Err("can't overwrite running container".to_owned());
        }
        let line = format!("recovering backed-up configuration from '{}'", work.archive);
        self.log(job, line);
        let archive = self.recovered(work)?;
        work.plan(&archive).map(|_| ())
    }

    fn restore_mut(&mut self, job: u64) -> Option<&mut ContainerRestore> {
        match self.engine.jobs.get_mut(&job).map(|job| &mut job.operation) {
            Some(Operation::RestoreContainer(work)) => Some(work),
            _ => None,
        }
    }

    fn make_restored(&mut self, job: u64, work: &ContainerRestore) -> Result<(), String> {
        let vmid = work.vmid;
        let archive = self.recovered(work)?;
        let plan = work.plan(&archive)?;
        // A failure from here on leaves no container, whichever had the id.
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            job.cleanup_owned = true;
        }
        for (slot, drive) in &plan.volumes {
            let text = self
                .place_drive(job, vmid, slot, drive)
                .map_err(|refusal| refusal.reason)?;
            let made = DriveText::parse(&text).file;
            if let Some(work) = self.restore_mut(job) {
                work.placed.insert(slot.clone(), text.into());
                if drive.wish().is_some() {
                    work.made.push(made.clone());
                }
            }
            let used = archive.disks.get(slot).map(|disk| disk.used);
            let storage = made.split(':').next().unwrap_or_default();
            let storage = self.storages.get_mut(storage);
            let volume = storage.and_then(|storage| storage.volumes.get_mut(&made));
            if let Some((used, volume)) = used.zip(volume) {
                volume.used = used;
            }
        }
        self.clear_replaced(job, vmid)?;
        self.log(job, format!("restoring '{}' now..", work.archive));
        let storage = self.storage_of(&work.archive);
        if let Some(storage) = storage.filter(|storage| storage.is_files()) {
            let line = format!("extracting archive '{}'", storage.path_of(&work.archive));
            self.log(job, line);
        }
        Ok(())
    }

    /// The container that is replaced loses its volumes and all that was known of it but the lock.
    fn clear_replaced(&mut self, job: u64, vmid: u32) -> Result<(), String> {
        let gone = || format!("unable to find CT {vmid}");
        let guest = self.guests.get_mut(&vmid).ok_or_else(gone)?;
        let old = std::mem::take(&mut guest.config);
        guest.config.insert("lock".to_owned(), "create".into());
        guest.pending.clear();
        guest.snapshots.clear();
        guest.parent = None;
        for (key, value) in &old {
            if !is_drive(key) && !key.starts_with("unused") {
                continue;
            }
            let file = DriveText::parse(&text_of(value)).file;
            let owned = self
                .volume(&file)
                .is_some_and(|volume| volume.vmid == Some(vmid));
            let files = self.storage_of(&file).is_some_and(Storage::is_files);
            if owned && self.drop_volume(&file) && !files {
                self.log(job, removed_volume(&file));
            }
        }
        Ok(())
    }

    pub(in crate::simulator) fn restore_container(
        &mut self,
        job: u64,
        work: &ContainerRestore,
    ) -> Result<(), Reply> {
        self.merge_restored(job, work)
            .map_err(|refusal| work.failed(refusal.reason))
    }

    fn merge_restored(&mut self, job: u64, work: &ContainerRestore) -> Result<(), Reply> {
        let vmid = work.vmid;
        let archive = self.recovered(work).map_err(Reply::failed)?;
        if !self.is_pbs(work.archive.split(':').next().unwrap_or_default()) {
            let bytes = packed(&archive);
            let speed = self.durations.copy_speed.max(1);
            let told = told_total(bytes, bytes / speed);
            self.log(job, format!("Total bytes read: {told}"));
        }
        self.log(job, "merging backed-up and given configuration..");
        let mut config = Map::new();
        for (key, value) in work.config.iter().filter(|(key, _)| !is_drive(key)) {
            let stored = self.store_value(job, vmid, key, &text_of(value))?;
            config.insert(key.clone(), stored);
        }
        config.extend(work.placed.clone());
        let was = |key: &str| archive.config.get(key).map(text_of).as_deref() == Some("1");
        let unprivileged = work.unprivileged.unwrap_or(was("unprivileged"));
        if unprivileged {
            config.insert("unprivileged".to_owned(), 1.into());
        }
        for (key, value) in &archive.config {
            let own = ["digest", "snapshots", "unprivileged", "parent", "template"];
            if own.contains(&key.as_str()) || is_drive(key) || key.starts_with("unused") {
                continue;
            }
            if key == "features" && !work.root && !unprivileged && was("unprivileged") {
                let line = "changing from unprivileged to privileged, skipping features";
                self.log(job, line);
            } else if is_card(key) && work.unique {
                let fresh = self.draw_mac();
                let text = with_mac(&text_of(value), &fresh);
                config.insert(key.clone(), text.into());
            } else {
                config.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        for (slot, drive) in work.plan(&archive).map_err(Reply::failed)?.later {
            config.insert(slot, drive.print().into());
        }
        let mut fill = |key: &str, value: Value| {
            config.entry(key.to_owned()).or_insert(value);
        };
        fill("hostname", format!("CT{vmid}").into());
        fill("memory", 512.into());
        fill("swap", 512.into());
        self.guest_mut(vmid)?.config = config;
        if was("template") {
            self.log(job, "Convert restored container to template...");
            self.make_template(vmid)?;
        }
        if let Some(firewall) = archive.firewall {
            self.firewalls.insert(vmid.to_string(), firewall);
        }
        if let Some(pool) = work.pool.as_ref().and_then(|pool| self.pools.get_mut(pool)) {
            pool.vms.insert(vmid);
        }
        let since = self.now;
        if work.start {
            self.guest_mut(vmid)?.power = Power::On { since };
        }
        Ok(())
    }

    /// A restore that failed takes its lock back; one that had begun to make volumes leaves no container.
    pub(in crate::simulator) fn abandon_container_restore(
        &mut self,
        work: &ContainerRestore,
        owned: bool,
    ) {
        if !owned {
            self.unlock_config(work.vmid);
            return;
        }
        for volid in &work.made {
            self.drop_volume(volid);
        }
        self.guests.remove(&work.vmid);
        self.firewalls.remove(&work.vmid.to_string());
    }
}

/// How much a backup of a container unpacks.
fn packed(archive: &Archive) -> u64 {
    archive.disks.values().map(|disk| disk.used).sum()
}
