//! Backups being restored.

mod container;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::simulator::answer::Reply;
use crate::simulator::engine::Step;
use crate::simulator::guest::{Guest, Power, Species, text_of};
use crate::simulator::http::Call;
use crate::simulator::operation::disk::DriveText;
use crate::simulator::operation::{Caller, LOCK_WAIT, Operation, is_drive, lock_guest};
use crate::simulator::volume::Storage;
use crate::simulator::world::World;

pub(in crate::simulator) use container::ContainerRestore;

/// A backup on its way to a virtual machine.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in crate::simulator) struct Restore {
    vmid: u32,
    volid: String,
    storage: Option<String>,
    pool: Option<String>,
    unique: bool,
    live: bool,
    start: bool,
    config: Map<String, Value>,
    limit: u64,
}

impl Restore {
    pub(in crate::simulator) fn vmid(&self) -> u32 {
        self.vmid
    }
}

impl World {
    pub(in crate::simulator) fn begin_restore(
        &mut self,
        node: &str,
        vmid: u32,
        volid: &str,
        call: &Call,
        caller: &Caller,
    ) -> Result<Reply, Reply> {
        let without = ["archive", "bwlimit", "ha-managed"];
        let config = Self::config_params(&call.params).filter(|(key, _)| !without.contains(key));
        let work = Restore {
            vmid,
            volid: volid.to_owned(),
            storage: call.text("storage"),
            pool: call.text("pool"),
            unique: call.flag("unique"),
            live: call.flag("live-restore"),
            start: call.flag("start"),
            config: config
                .map(|(key, text)| (key.to_owned(), text.into()))
                .collect(),
            limit: call.number("bwlimit").unwrap_or(0) << 10,
        };
        let mut steps = vec![lock_guest(Species::Machine, vmid), Step::Check(0)];
        let disks = self
            .archive(node, volid)?
            .map(|archive| archive.disks.clone());
        let speed = match work.limit {
            0 => self.durations.copy_speed,
            limit => limit.min(self.durations.copy_speed),
        };
        for disk in disks.unwrap_or_default().values() {
            let storage = work.storage.as_ref().unwrap_or(&disk.storage);
            if let Some(key) = self.storage_key(storage) {
                let hold = self.storages.get(storage).map(|storage| storage.hold);
                steps.push(Step::Lock {
                    key: key.clone(),
                    shared: false,
                    wait: LOCK_WAIT,
                    prefix: String::new(),
                });
                steps.push(Step::Work(hold.unwrap_or_default()));
                steps.push(Step::Unlock(key));
            }
            let copy = disk.used as f64 / speed.max(1) as f64;
            steps.push(Step::Work(Duration::from_secs_f64(copy)));
        }
        steps.push(Step::Work(self.durations.create));
        steps.push(Step::Finish);
        let guest = self
            .guests
            .get_or_insert_with(vmid, || Guest::new(Species::Machine, vmid, node));
        guest.config.insert("lock".to_owned(), "create".into());
        let operation = Operation::Restore(Box::new(work));
        Ok(self.start_task(
            node,
            "qmrestore",
            &vmid.to_string(),
            caller,
            operation,
            steps,
        ))
    }

    pub(in crate::simulator) fn check_restore(&self, work: &Restore) -> Result<(), Reply> {
        let refused =
            |why: &str| Reply::failed(format!("unable to restore VM {} - {why}", work.vmid));
        let guest = self.require(work.vmid)?;
        if guest.text("protection").as_deref() == Some("1") {
            return Err(refused("protection mode enabled"));
        }
        if guest.is_on() {
            return Err(refused("vm is running"));
        }
        let storage = work.volid.split(':').next().unwrap_or_default();
        if work.live && !self.is_pbs(storage) {
            return Err(Reply::failed(
                "live-restore is only compatible with backup images from a Proxmox Backup Server",
            ));
        }
        Ok(())
    }

    pub(in crate::simulator) fn restore(&mut self, job: u64, work: &Restore) -> Result<(), Reply> {
        let vmid = work.vmid;
        let node = self.require(vmid)?.node.clone();
        let Some(archive) = self.archive(&node, &work.volid)?.cloned() else {
            return Err(Reply::failed(format!(
                "volume '{}' does not exist",
                work.volid
            )));
        };
        for disk in archive.disks.values() {
            let target = work.storage.as_ref().unwrap_or(&disk.storage);
            let Some(storage) = self.storages.get(target) else {
                return Err(Reply::failed(format!("storage '{target}' does not exist")));
            };
            storage.refuse(&node).map_err(Reply::failed)?;
            if !storage.content.iter().any(|kind| kind == "images") {
                return Err(Reply::failed(format!(
                    "Content type 'images' is not available on storage '{target}'"
                )));
            }
        }
        // Disks that the backup holds take the place of the old ones; others are kept aside.
        let mut kept = Vec::new();
        for (slot, drive) in self.drives_of(vmid) {
            let owned = self
                .volume(&drive.file)
                .is_some_and(|volume| volume.vmid == Some(vmid));
            if owned && archive.disks.contains_key(&slot) {
                self.drop_volume(&drive.file);
            } else if owned {
                kept.push(drive.print());
            }
        }
        let mut config = archive.config.clone();
        for (slot, disk) in &archive.disks {
            let target = work.storage.clone().unwrap_or_else(|| disk.storage.clone());
            let files = self.storages.get(&target).is_some_and(Storage::is_files);
            let format = if files { disk.format.as_str() } else { "raw" };
            let made = self.make_volume(job, vmid, &target, format, disk.size, disk.used)?;
            self.log(job, format!("new volume ID is '{made}'"));
            let mut drive = DriveText::parse(&text_of(&config[slot]));
            drive.file = made;
            config.insert(slot.clone(), drive.print().into());
        }
        // What the backup does not hold is not in the new configuration either.
        let backup = |text: &str| DriveText::parse(text).get("backup") == Some("0");
        config.retain(|key, value| {
            !is_drive(key) || archive.disks.contains_key(key) || !backup(&text_of(value))
        });
        if config.contains_key("vmgenid") {
            config.insert("vmgenid".to_owned(), self.draw_uuid().into());
        }
        if work.unique {
            let uuid = self.draw_uuid();
            config.insert("smbios1".to_owned(), format!("uuid={uuid}").into());
            let cards: Vec<String> = config.keys().filter(|key| is_card(key)).cloned().collect();
            for card in cards {
                let fresh = self.draw_mac();
                let text = with_mac(&text_of(&config[&card]), &fresh);
                config.insert(card, text.into());
            }
        }
        let now = self.now;
        let guest = self.guest_mut(vmid)?;
        guest.config = config;
        guest.pending.clear();
        guest.snapshots.clear();
        guest.parent = None;
        for text in kept {
            self.keep_as_unused(vmid, &text)?;
        }
        for (key, value) in &work.config {
            let stored = self.store_value(job, vmid, key, &text_of(value))?;
            self.guest_mut(vmid)?.config.insert(key.clone(), stored);
        }
        if let Some(firewall) = archive.firewall {
            self.firewalls.insert(vmid.to_string(), firewall);
        }
        if let Some(pool) = work.pool.as_ref().and_then(|pool| self.pools.get_mut(pool)) {
            pool.vms.insert(vmid);
        }
        if work.start || work.live {
            self.guest_mut(vmid)?.power = Power::On { since: now };
        }
        Ok(())
    }

    /// A restore that failed takes its lock back and nothing else.
    pub(in crate::simulator) fn abandon_restore(&mut self, vmid: u32) {
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.config.shift_remove("lock");
        }
    }
}

fn is_card(key: &str) -> bool {
    key.strip_prefix("net")
        .is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A card's text with another address.
fn with_mac(text: &str, fresh: &str) -> String {
    let is_mac = |value: &str| value.len() == 17 && value.matches(':').count() == 5;
    let parts = text.split(',').map(|part| match part.split_once('=') {
        Some((key, value)) if is_mac(value) => format!("{key}={fresh}"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}
