//! Where disks and machines go: what is asked for, and what is refused before any work begins.

use std::time::Duration;

use super::guest::id_of;
use crate::simulator::answer::Reply;
use crate::simulator::http::Call;
use crate::simulator::operation::{Migration, Move, Reassign, StorageMap};
use crate::simulator::world::World;

impl World {
    /// The node that a guest of `node` shall go to.
    pub(super) fn migration_target(&self, node: &str, call: &Call) -> Result<String, Reply> {
        let target = call.text("target").unwrap_or_default();
        if target == node {
            return Err(Reply::parameter("target", "target is local node."));
        }
        if !self.nodes.contains_key(&target) {
            return Err(Reply::failed(format!("no such cluster node '{target}'")));
        }
        Ok(target)
    }

    /// The target, and how long its way there takes.
    pub(super) fn migrate_request(
        &self,
        node: &str,
        vmid: u32,
        call: &Call,
    ) -> Result<(Migration, Duration), Reply> {
        let mut work = Migration::new(vmid, &self.migration_target(node, call)?);
        let guest = self.guest_or(vmid, node)?.unlocked()?;
        if guest.is_on() && !call.flag("online") {
            return Err(Reply::failed("can't migrate running VM without --online"));
        }
        let name = "targetstorage";
        work.storages = self.storage_map(name, "images", "vm images", &work.target, call)?;
        Ok((work, self.migration_time(vmid)))
    }

    /// The storages that a call names for the volumes of a guest on its way.
    pub(super) fn storage_map(
        &self,
        name: &str,
        content: &str,
        told: &str,
        target: &str,
        call: &Call,
    ) -> Result<StorageMap, Reply> {
        let text = call.text(name).unwrap_or_default();
        let map: StorageMap = text
            .parse()
            .map_err(|why| Reply::parameter(name, format!("failed to parse storage map: {why}")))?;
        for id in map.targets() {
            let Some(storage) = self.storages.get(id) else {
                return Err(Reply::failed(format!("storage '{id}' does not exist")));
            };
            storage.refuse(target).map_err(Reply::failed)?;
            if !storage.content.iter().any(|kind| kind == content) {
                return Err(Reply::failed(format!(
                    "storage '{id}' does not support {told}"
                )));
            }
        }
        Ok(map)
    }

    /// How long a guest's way to another node takes.
    pub(super) fn migration_time(&self, vmid: u32) -> Duration {
        let running = self.guests.get(&vmid).filter(|guest| guest.is_on());
        let memory = running.map_or(0, |guest| guest.memory_bytes() / 4);
        let local = self.drives_of(vmid).into_iter().filter_map(|(_, drive)| {
            let storage = self.storage_of(&drive.file)?;
            let volume = self.volume(&drive.file)?;
            (!storage.shared).then_some(volume.used)
        });
        let bytes = memory + local.sum::<u64>();
        let copy = bytes as f64 / self.durations.copy_speed.max(1) as f64;
        Duration::from_secs(1) + Duration::from_secs_f64(copy)
    }

    pub(super) fn move_request(
        &self,
        node: &str,
        vmid: u32,
        call: &Call,
    ) -> Result<(Move, Option<u64>), Reply> {
        if call.text("storage").is_none() {
            let why = "both 'storage' and 'target-vmid' missing, either needs to be set";
            let errors = ["storage", "target-vmid"].map(|name| (name.to_owned(), why.into()));
            return Err(Reply::parameters(errors.into_iter().collect()));
        }
        let work = Move {
            vmid,
            slot: call.text("disk").unwrap_or_default(),
            storage: call.text("storage").unwrap_or_default(),
            digest: call.text("digest"),
            delete: call.flag("delete"),
        };
        self.guest_or(vmid, node)?.unlocked()?;
        if !self.storages.contains_key(&work.storage) {
            return Err(Reply::failed(format!(
                "storage '{}' does not exist",
                work.storage
            )));
        }
        let drive = self.moved_drive(&work)?;
        if drive.file.split(':').next() == Some(work.storage.as_str()) {
            return Err(Reply::failed(
                "you can't move to the same storage with same format",
            ));
        }
        let limit = call.number("bwlimit").filter(|limit| *limit > 0);
        Ok((work, limit.map(|kib| kib << 10)))
    }

    pub(super) fn reassign_request(
        &self,
        node: &str,
        vmid: u32,
        call: &Call,
    ) -> Result<Reassign, Reply> {
        if call.text("storage").is_some() {
            return Err(Reply::failed(
                "either set storage or target-vmid, but not both",
            ));
        }
        self.guest_or(vmid, node)?;
        let slot = call.text("disk").unwrap_or_default();
        let work = Reassign {
            vmid,
            target: id_of(call, "target-vmid"),
            target_slot: call.text("target-disk").unwrap_or_else(|| slot.clone()),
            slot,
            digest: call.text("digest"),
            target_digest: call.text("target-digest"),
        };
        self.check_reassign(&work)?;
        Ok(work)
    }

    /// A clone appears on another node only if both nodes see its disks.
    pub(super) fn refuse_distant_clone(
        &self,
        source: u32,
        target: &str,
        storage: Option<&str>,
    ) -> Result<(), Reply> {
        let local = |name: &str| {
            let known = self.storages.get(name);
            known.is_some_and(|storage| !storage.shared)
        };
        if let Some(storage) = storage.filter(|storage| local(storage)) {
            return Err(Reply::failed(format!(
                "can't clone to non-shared storage '{storage}'"
            )));
        }
        let uses_local = self.drives_of(source).iter().any(|(_, drive)| {
            drive
                .file
                .split_once(':')
                .is_some_and(|(name, _)| local(name))
        });
        if uses_local {
            return Err(Reply::failed(format!(
                "can't clone VM to node '{target}' (VM uses local storage)"
            )));
        }
        Ok(())
    }
}
