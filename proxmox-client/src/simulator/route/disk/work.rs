//! Making volumes of disks, and removing them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::volume::{Form, LocalVolume, uuid};
use super::{Disks, no_device};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::route::not_simulated;
use crate::simulator::route::shared::names;
use crate::simulator::volume::Storage;
use crate::simulator::world::{StorageSpec, World};

/// Work on disks, as a task does it.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super::super) enum DiskWork {
    /// An empty partition table.
    Init(String),
    Wipe(String),
    Make(LocalVolumeWork),
    Remove(Removal),
}

/// A volume to be made, and whether it becomes a storage.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super::super) struct LocalVolumeWork {
    volume: LocalVolume,
    storage: bool,
}

/// A volume to be removed.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super::super) struct Removal {
    branch: String,
    name: String,
    /// Storages on it are removed too.
    config: bool,
    /// Its disks are wiped.
    disks: bool,
}

/// How few disks a ZFS pool of a level can have.
fn fewest(level: &str) -> usize {
    match level {
        "mirror" => 2,
        "raidz" | "draid" => 3,
        "raid10" | "raidz2" | "draid2" => 4,
        "raidz3" | "draid3" => 5,
        _ => 1,
    }
}

fn refuse_level(level: &str, disks: usize) -> Result<(), Reply> {
    let refused = |text: String| Err(Reply::failed(text));
    if level == "raid10" && !disks.is_multiple_of(2) {
        return refused("raid10 needs an even number of disks".to_owned());
    }
    if level == "single" && disks > 1 {
        return refused("please give only one disk for single disk mode".to_owned());
    }
    if disks < fewest(level) {
        let fewest = fewest(level);
        return refused(format!("{level} needs at least {fewest} disks"));
    }
    Ok(())
}

impl World {
    pub(super) fn disk_volumes(
        &mut self,
        node: &str,
        disks: &Disks,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        let (Some(form), Some(branch)) = (
            rest.first().and_then(|branch| Form::of(branch, call)),
            rest.first().copied(),
        ) else {
            return Err(not_simulated(call));
        };
        match (call.method.as_str(), &rest[1..]) {
            ("GET", []) => Ok(Reply::data(disks.entries(branch))),
            ("GET", [name]) if branch == "zfs" => match disks.find(branch, name) {
                Some(pool) => Ok(Reply::data(disks.pool(pool))),
                None => Err(Reply::failed(format!(
                    "command '/sbin/zpool status -P {name}' failed: exit code 1"
                ))),
            },
            ("POST", []) => self.make_local_volume(node, disks, form, call, caller),
            ("DELETE", [name]) => {
                let group = call.text("volume-group").unwrap_or_default();
                let id = match form {
                    Form::ThinPool => format!("{group}-{name}"),
                    _ => (*name).to_owned(),
                };
                if form == Form::ThinPool && group != *name {
                    // Pools are in groups of their own name here.
                    return Err(not_simulated(call));
                }
                let kind = format!("{}remove", form.tasks());
                let work = DiskWork::Remove(Removal {
                    branch: branch.to_owned(),
                    name: (*name).to_owned(),
                    config: call.flag("cleanup-config"),
                    disks: call.flag("cleanup-disks"),
                });
                Ok(self.disk_task(node, &kind, &id, work, caller))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn make_local_volume(
        &mut self,
        node: &str,
        disks: &Disks,
        form: Form,
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        let name = call.text("name").unwrap_or_default();
        let given = match form {
            Form::ZfsPool { .. } => call.text("devices"),
            _ => call.text("device"),
        };
        let given = given.unwrap_or_default();
        let devices: Vec<String> = names(&given).map(str::to_owned).collect();
        if let (Form::ZfsPool { level }, true) = (&form, call.text("draid-config").is_some()) {
            if !level.starts_with("draid") {
                let text = "draid-config set without using dRAID level";
                return Err(Reply::failed(text));
            }
            return Err(not_simulated(call));
        }
        for device in &devices {
            disks.unused(device)?;
        }
        let storage = call.flag("add_storage");
        if storage {
            self.refuse_local_storage(&form, &name, node)?;
        }
        match &form {
            Form::Directory { .. } if disks.find("directory", &name).is_some() => {
                return Err(Reply::failed(format!(
                    "the path for '{name}' is already mounted: /mnt/pve/{name} (/dev/disk/by-uuid/{})",
                    uuid(&name)
                )));
            }
            Form::ZfsPool { level } => {
                if disks.find("zfs", &name).is_some() {
                    let text = format!("pool '{name}' already exists on node '{node}'");
                    return Err(Reply::failed(text));
                }
                refuse_level(level, devices.len())?;
            }
            _ => {}
        }
        let kind = format!("{}create", form.tasks());
        let volume = LocalVolume {
            size: disks.usable(&form, &devices),
            name: name.clone(),
            form,
            devices,
        };
        let work = DiskWork::Make(LocalVolumeWork { volume, storage });
        Ok(self.disk_task(node, &kind, &name, work, caller))
    }

    /// A storage of that name may be there already on other nodes, if it is on the same kind of volume.
    fn refuse_local_storage(&self, form: &Form, name: &str, node: &str) -> Result<(), Reply> {
        let Some(storage) = self.storages.get(name) else {
            return Ok(());
        };
        let nodes = storage.more.get("nodes").and_then(Value::as_str);
        if nodes.is_none_or(|nodes| names(nodes).any(|other| other == node)) {
            let text = format!("Storage ID '{name}' already exists on node {node}");
            return Err(Reply::failed(text));
        }
        let (kind, ties) = form.storage(name);
        let have = storage.settings();
        let ties = ties.into_iter().chain([("type", kind.to_owned())]);
        for (key, wanted) in ties {
            let have = match key {
                "type" => Some(storage.kind.as_str()),
                key => have.get(key).and_then(Value::as_str),
            };
            if have != Some(wanted.as_str()) {
                return Err(Reply::failed(format!(
                    "Option '{key}' ({wanted}) does not match existing storage configuration '{}'",
                    have.unwrap_or_default()
                )));
            }
        }
        Ok(())
    }

    /// Does the work of a task.
    pub(in super::super::super) fn work_on_disks(
        &mut self,
        job: u64,
        node: &str,
        work: &DiskWork,
    ) -> Result<(), Reply> {
        match work {
            DiskWork::Init(device) => self.change_disks(node, |disks| {
                let disk = disks.disks.get_mut(device).ok_or_else(no_device)?;
                if disk.is_used() {
                    return Err(Reply::failed(format!("disk {device} is already in use")));
                }
                disk.gpt = true;
                Ok(())
            }),
            DiskWork::Wipe(device) => self.change_disks(node, |disks| {
                disks.wipe(device);
                Ok(())
            }),
            DiskWork::Make(work) => {
                let volume = &work.volume;
                self.change_disks(node, |disks| {
                    for device in &volume.devices {
                        disks.unused(device)?;
                    }
                    let grouped = matches!(volume.form, Form::Group | Form::ThinPool);
                    if grouped && disks.group(&volume.name).is_some() {
                        return Err(Reply::failed(format!(
                            "volume group with name '{}' already exists on node '{node}'",
                            volume.name
                        )));
                    }
                    disks.occupy(volume);
                    disks.volumes.push(volume.clone());
                    Ok(())
                })?;
                if let Form::Directory { filesystem } = &volume.form {
                    let device = volume.devices.first().cloned().unwrap_or_default();
                    self.log(job, format!("# /sbin/sgdisk -n1 -t1:8300 {device}"));
                    self.log(job, format!("# /sbin/mkfs -t {filesystem} {device}1"));
                }
                if work.storage {
                    self.add_local_storage(job, node, volume);
                }
                Ok(())
            }
            DiskWork::Remove(removal) => self.remove_volume(node, removal),
        }
    }

    fn change_disks(
        &mut self,
        node: &str,
        change: impl FnOnce(&mut Disks) -> Result<(), Reply>,
    ) -> Result<(), Reply> {
        match self.nodes.get_mut(node) {
            Some(node) => change(&mut node.upkeep.disks),
            None => Ok(()),
        }
    }

    fn add_local_storage(&mut self, job: u64, node: &str, volume: &LocalVolume) {
        let name = &volume.name;
        if let Some(storage) = self.storages.get_mut(name) {
            let nodes = storage.more.get("nodes").and_then(Value::as_str);
            let nodes = nodes.unwrap_or_default();
            let mut nodes: Vec<&str> = names(nodes).chain([node]).collect();
            nodes.sort_unstable();
            let nodes = nodes.join(",");
            storage.more.insert("nodes".to_owned(), nodes.into());
            let line = format!("Added '{node}' to nodes for storage '{name}'");
            return self.log(job, line);
        }
        let (kind, ties) = volume.form.storage(name);
        let mut storage: Storage = StorageSpec::bare(name, kind, volume.size);
        let mut more = Map::from_iter([("nodes".to_owned(), node.into())]);
        let content = match &volume.form {
            Form::Directory { .. } => {
                more.insert("is_mountpoint".to_owned(), "1".into());
                "rootdir,images,iso,backup,vztmpl,snippets"
            }
            _ => "rootdir,images",
        };
        more.insert("content".to_owned(), content.into());
        for (key, value) in ties {
            more.insert(key.to_owned(), value.into());
        }
        storage.take_settings(more);
        self.storages.insert(name.clone(), storage);
    }

    fn remove_volume(&mut self, node: &str, removal: &Removal) -> Result<(), Reply> {
        let Removal { branch, name, .. } = removal;
        let disks = self.disks_of(node);
        let Some(volume) = disks.find(branch, name).cloned() else {
            let text = match branch.as_str() {
                "lvm" => format!("no such volume group '{name}'"),
                "lvmthin" => format!("no such thin pool {name}/{name}"),
                "zfs" => format!("command 'zpool destroy {name}' failed: exit code 1"),
                _ => format!("command 'systemctl stop mnt-pve-{name}.mount' failed: exit code 5"),
            };
            return Err(Reply::failed(text));
        };
        if removal.config {
            self.forget_local_storages(node, &volume);
        }
        self.change_disks(node, |disks| {
            disks.volumes.retain(|other| *other != volume);
            if volume.form == Form::ThinPool && !removal.disks {
                // The group that it was in stays.
                let group = LocalVolume {
                    size: disks.usable(&Form::Group, &volume.devices),
                    form: Form::Group,
                    ..volume.clone()
                };
                disks.volumes.push(group);
            }
            for device in &volume.devices {
                match &volume.form {
                    _ if removal.disks => disks.wipe(device),
                    Form::Directory { .. } => disks.unmount(device),
                    Form::Group => disks.release(device),
                    // A pool's remains stay on its disks, as a group under a thin pool does.
                    Form::ThinPool | Form::ZfsPool { .. } => {}
                }
            }
            Ok(())
        })
    }

    fn forget_local_storages(&mut self, node: &str, volume: &LocalVolume) {
        let (kind, ties) = volume.form.storage(&volume.name);
        let on_it = |storage: &Storage| {
            let have = storage.settings();
            let tied =
                |(key, value): &(&str, String)| have.get(*key) == Some(&value.as_str().into());
            storage.kind == kind && ties.iter().all(tied)
        };
        let all: Vec<String> = self.nodes.keys().cloned().collect();
        let found: Vec<String> = self
            .storages
            .values()
            .filter(|storage| on_it(storage))
            .map(|storage| storage.name.clone())
            .collect();
        for name in found {
            let Some(storage) = self.storages.get_mut(&name) else {
                continue;
            };
            let nodes = storage.more.get("nodes").and_then(Value::as_str);
            let nodes = nodes.map_or_else(|| all.join(","), str::to_owned);
            let others: Vec<&str> = names(&nodes).filter(|other| *other != node).collect();
            if others.is_empty() {
                self.storages.remove(&name);
            } else {
                let others = others.join(",");
                storage.more.insert("nodes".to_owned(), others.into());
            }
        }
    }
}

impl Disks {
    /// A file system stays on its partition, mounted no more.
    fn unmount(&mut self, device: &str) {
        for disk in self.disks.values_mut() {
            let whole = disk.spec.device == device;
            let devices: Vec<String> = disk
                .parts
                .iter()
                .map(|part| disk.part_device(part.number))
                .collect();
            for (part, name) in disk.parts.iter_mut().zip(devices) {
                part.mounted &= !(whole || name == device);
            }
        }
    }

    /// A device is free of its volume group.
    fn release(&mut self, device: &str) {
        match self.disks.get_mut(device) {
            Some(disk) => disk.spec.used = None,
            None => self.wipe(device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_want_their_number_of_disks() {
        let cases = [
            ("single", 1, None),
            (
                "single",
                2,
                Some("please give only one disk for single disk mode"),
            ),
            ("mirror", 1, Some("mirror needs at least 2 disks")),
            ("raid10", 5, Some("raid10 needs an even number of disks")),
            ("raid10", 4, None),
            ("raidz3", 4, Some("raidz3 needs at least 5 disks")),
        ];
        for (level, disks, why) in cases {
            let told = refuse_level(level, disks)
                .err()
                .map(|refusal| refusal.reason);
            assert_eq!(told.as_deref(), why);
        }
    }
}
