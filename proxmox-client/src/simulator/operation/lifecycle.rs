//! Making, snapshotting and removing guests.

use std::time::Duration;

use serde_json::{Map, Value};

use super::disk::DriveText;
use super::{Caller, Operation, is_drive, lock_guest};
use crate::simulator::answer::Reply;
use crate::simulator::engine::{Patience, Step};
use crate::simulator::guest::{Guest, Power, Species, StoredSnapshot, text_of};
use crate::simulator::task::seconds;
use crate::simulator::world::World;

impl World {
    /// The steps of a creation's request: the id's lock, five seconds at most.
    pub(in super::super) fn claim_steps(species: Species, vmid: u32) -> Vec<Step> {
        vec![
            Step::Lock {
                key: species.key(vmid),
                shared: false,
                wait: Patience::Creation,
                prefix: format!("unable to create {} {vmid} - ", species.noun()),
            },
            Step::Finish,
        ]
    }

    /// The id is ours from here on: others see a locked configuration.
    pub(super) fn claim_id(
        &mut self,
        species: Species,
        vmid: u32,
        node: &str,
        params: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<Reply, Reply> {
        let prefix = format!("unable to create {} {vmid} - ", species.noun());
        if let Some(taken) = self.taken(vmid) {
            return Err(Reply::failed(format!("{prefix}{taken}")));
        }
        let mut guest = Guest::new(species, vmid, node);
        guest.config.insert("lock".to_owned(), "create".into());
        self.guests.insert(vmid, guest);
        let mut steps = vec![lock_guest(species, vmid)];
        for (key, text) in Self::config_params(params) {
            if is_drive(key) {
                steps.extend(self.drive_steps(&DriveText::parse(&text), &prefix));
            }
        }
        steps.push(Step::Compute(self.durations.create));
        if species == Species::Container {
            steps.push(Step::Work(self.unpacking_time(params)));
        }
        steps.push(Step::Finish);
        let operation = Operation::Create {
            vmid,
            params: params.clone(),
        };
        Ok(self.start_task(
            node,
            &format!("{}create", species.tasks()),
            &vmid.to_string(),
            caller,
            operation,
            steps,
        ))
    }

    pub(super) fn create(
        &mut self,
        job: u64,
        vmid: u32,
        params: &Map<String, Value>,
    ) -> Result<(), Reply> {
        if self.require(vmid)?.species == Species::Container {
            return self.create_container(job, vmid, params);
        }
        let mut config = Map::new();
        // The cloud-init drive is made before the disks.
        let mut entries: Vec<(String, String)> = Self::config_params(params)
            .map(|(key, text)| (key.to_owned(), text))
            .collect();
        entries.sort_by_key(|(_, text)| !text.ends_with(":cloudinit"));
        for (key, text) in &entries {
            let value = self.store_value(job, vmid, key, text)?;
            config.insert(key.clone(), value);
        }
        let now = seconds(self.now);
        config.insert(
            "meta".to_owned(),
            format!("creation-qemu=10.0.13,ctime={now}").into(),
        );
        if !config.contains_key("smbios1") {
            config.insert(
                "smbios1".to_owned(),
                format!("uuid={}", self.draw_uuid()).into(),
            );
        }
        if !config.contains_key("vmgenid") {
            config.insert("vmgenid".to_owned(), self.draw_uuid().into());
        }
        if !config.contains_key("boot") {
            config.insert("boot".to_owned(), default_boot(&config).into());
        }
        let start = params.get("start").map(text_of).as_deref() == Some("1");
        let now = self.now;
        let guest = self.guest_mut(vmid)?;
        guest.config = config;
        if start {
            guest.power = Power::On { since: now };
        }
        Ok(())
    }

    /// Who has an id.
    pub(in super::super) fn taken(&self, vmid: u32) -> Option<String> {
        let guest = self.guests.get(&vmid)?;
        let (noun, node) = (guest.species.noun(), &guest.node);
        Some(format!("{noun} {vmid} already exists on node '{node}'"))
    }

    /// What still names a guest and keeps it from being removed without its traces.
    pub(in super::super) fn refuse_traces(&self, vmid: u32) -> Result<(), Reply> {
        if self.is_ha_managed(vmid) {
            let noun = self.require(vmid)?.species.noun();
            return Err(Reply::failed(format!(
                "unable to remove {noun} {vmid} - used in HA resources and purge parameter not set."
            )));
        }
        if let Some(id) = self.replication_of(vmid) {
            return Err(Reply::failed(format!(
                "There is a replication job '{id}' for guest '{vmid}' - Please remove that first."
            )));
        }
        Ok(())
    }

    /// What forbids removing a guest, apart from its disks.
    pub(in super::super) fn refuse_delete(guest: &Guest, force: bool) -> Result<(), Reply> {
        let (noun, vmid) = (guest.species.noun(), guest.vmid);
        if guest.text("protection").as_deref() == Some("1") {
            return Err(Reply::failed(format!(
                "can't remove {noun} {vmid} - protection mode enabled"
            )));
        }
        match guest.species {
            Species::Machine if guest.is_on() => Err(Reply::failed(format!(
                "VM {vmid} is running - destroy failed"
            ))),
            Species::Container if guest.is_on() && !force => Err(Reply::failed(format!(
                "unable to destroy CT {vmid} - container is running"
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn check_delete(
        &mut self,
        vmid: u32,
        force: bool,
        purge: bool,
    ) -> Result<(), Reply> {
        if !purge {
            self.refuse_traces(vmid)?;
        }
        let guest = self.require(vmid)?;
        if !guest.is_suspended() {
            guest.unlocked()?;
        }
        Self::refuse_delete(guest, force)?;
        for (volid, storage) in self.volumes_of(vmid) {
            let base = volid
                .split_once(':')
                .map_or("", |(_, name)| name)
                .to_owned();
            let used = self.storages[&storage]
                .volumes
                .values()
                .any(|v| v.parent.as_deref() == Some(&base));
            if used {
                return Err(Reply::failed(format!(
                    "base volume '{volid}' is still in use by linked cloned"
                )));
            }
        }
        Ok(())
    }

    /// How long it takes to remove a guest with its volumes.
    pub(in super::super) fn delete_time(&self, vmid: u32) -> Duration {
        let volumes = self.volumes_of(vmid).len() as u32;
        self.durations.delete + self.durations.delete_volume * volumes
    }

    fn volumes_of(&self, vmid: u32) -> Vec<(String, String)> {
        self.storages
            .values()
            .flat_map(|storage| {
                storage
                    .volumes
                    .iter()
                    .filter(|(_, volume)| volume.vmid == Some(vmid) && volume.content != "backup")
                    .map(|(volid, _)| (volid.clone(), storage.name.clone()))
            })
            .collect()
    }

    pub(super) fn delete_guest(
        &mut self,
        job: u64,
        vmid: u32,
        force: bool,
        purge: bool,
    ) -> Result<(), Reply> {
        self.check_delete(vmid, force, purge)?;
        let guest = self.require(vmid)?;
        let (species, noun) = (guest.species, guest.species.noun());
        if guest.is_on() {
            let line = format!("forced to stop CT {vmid} before destroying!");
            self.log(job, line);
        }
        self.forget_guest(vmid);
        if purge {
            let line = format!("purging {noun} {vmid} from related configurations..");
            self.log(job, line);
            self.forget_replication(vmid);
            self.forget_in_jobs(vmid);
            if self.forget_resource(&Self::sid_of(species, vmid), true) {
                let line = format!("NOTE: removed {noun} {vmid} from HA resource configuration.");
                self.log(job, line);
            }
        }
        Ok(())
    }

    pub(super) fn check_snapshot(&mut self, job: u64, vmid: u32, name: &str) -> Result<(), Reply> {
        let guest = self.require_unlocked(vmid)?;
        if guest.is_template() {
            let text = "you can't take a snapshot if it's a template";
            return Err(Reply::failed(text));
        }
        if guest.snapshots.contains_key(name) {
            return Err(Reply::failed(format!(
                "snapshot name '{name}' already used"
            )));
        }
        for (slot, drive) in self.drives_of(vmid) {
            let cdrom = drive.get("media") == Some("cdrom");
            if slot.starts_with("mp") && drive.file.starts_with('/') {
                return Err(Reply::failed("snapshot feature is not available"));
            }
            let Some(volume) = self.volume(&drive.file).filter(|_| !cdrom) else {
                continue;
            };
            let files = self
                .storage_of(&drive.file)
                .is_some_and(super::super::volume::Storage::is_files);
            if files && volume.format == "raw" {
                return Err(Reply::failed("snapshot feature is not available"));
            }
        }
        self.guest_mut(vmid)?
            .config
            .insert("lock".to_owned(), "snapshot".into());
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            job.cleanup_owned = true;
        }
        Ok(())
    }

    pub(super) fn take_snapshot(
        &mut self,
        job: u64,
        vmid: u32,
        name: &str,
        description: Option<&str>,
    ) -> Result<(), Reply> {
        let taken = seconds(self.now);
        let is_container = self.require(vmid)?.species == Species::Container;
        for (slot, drive) in self.drives_of(vmid) {
            if !is_container && drive.get("media") != Some("cdrom") {
                self.log(job, format!("snapshotting 'drive-{slot}' ({})", drive.file));
            }
        }
        let guest = self.guest_mut(vmid)?;
        guest.config.shift_remove("lock");
        let mut config = guest.config.clone();
        if let Some(text) = description {
            config.insert("description".to_owned(), text.into());
        }
        let snapshot = StoredSnapshot {
            config,
            taken,
            parent: guest.parent.take(),
        };
        guest.snapshots.insert(name.to_owned(), snapshot);
        guest.parent = Some(name.to_owned());
        Ok(())
    }

    pub(super) fn drop_snapshot(&mut self, vmid: u32, name: &str) -> Result<(), Reply> {
        let guest = self.guest_mut(vmid)?;
        let Some(removed) = guest.snapshots.remove(name) else {
            return Err(Reply::failed(format!("snapshot '{name}' does not exist")));
        };
        if guest.parent.as_deref() == Some(name) {
            guest.parent = removed.parent.clone();
        }
        for snapshot in guest.snapshots.values_mut() {
            if snapshot.parent.as_deref() == Some(name) {
                snapshot.parent = removed.parent.clone();
            }
        }
        Ok(())
    }

    pub(super) fn roll_back(&mut self, vmid: u32, name: &str, start: bool) -> Result<(), Reply> {
        let now = self.now;
        let guest = self.guest_mut(vmid)?;
        let Some(snapshot) = guest.snapshots.get(name) else {
            return Err(Reply::failed(format!("snapshot '{name}' does not exist")));
        };
        guest.config = snapshot.config.clone();
        guest.pending.clear();
        guest.parent = Some(name.to_owned());
        guest.power = if start {
            Power::On { since: now }
        } else {
            Power::Off
        };
        Ok(())
    }

    /// What keeps a guest from becoming a template, in its request and again in its task.
    pub(in super::super) fn check_template(
        &self,
        vmid: u32,
        disk: Option<&str>,
    ) -> Result<(), Reply> {
        let guest = self.require_unlocked(vmid)?;
        if guest.species == Species::Container {
            return Ok(());
        }
        let problem = if !guest.snapshots.is_empty() {
            "unable to create template, because VM contains snapshots"
        } else if guest.is_template() && disk.is_none() {
            "you can't convert a template to a template"
        } else if guest.is_on() {
            "you can't convert a VM to template if VM is running"
        } else {
            return Ok(());
        };
        Err(Reply::failed(problem))
    }

    pub(super) fn make_template(&mut self, vmid: u32) -> Result<(), Reply> {
        for (slot, mut drive) in self.drives_of(vmid) {
            if drive.get("media") == Some("cdrom") {
                continue;
            }
            drive.file = self.make_base(vmid, &drive.file);
            self.guest_mut(vmid)?
                .config
                .insert(slot, drive.print().into());
        }
        self.guest_mut(vmid)?
            .config
            .insert("template".to_owned(), 1.into());
        Ok(())
    }
}

/// The boot order that is written where none is asked for.
fn default_boot(config: &Map<String, Value>) -> String {
    let text = |key: &str| config.get(key).map(text_of);
    let mut order = Vec::new();
    let disk = ["ide", "scsi", "virtio", "sata"].iter().find_map(|bus| {
        (0..31)
            .map(|index| format!("{bus}{index}"))
            .find(|slot| text(slot).is_some_and(|text| !text.contains("media=cdrom")))
    });
    order.extend(disk);
    let cdrom = (0..4).map(|index| format!("ide{index}")).find(|slot| {
        text(slot).is_some_and(|text| text.contains("media=cdrom") && !text.contains("-cloudinit"))
    });
    order.extend(cdrom);
    order.extend(
        (0..32)
            .map(|index| format!("net{index}"))
            .find(|net| config.contains_key(net)),
    );
    if order.is_empty() {
        " ".to_owned()
    } else {
        format!("order={}", order.join(";"))
    }
}
