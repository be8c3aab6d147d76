//! Containers and their volumes on their way: clones and moves.

use super::super::reassign::{is_in_snapshot, is_unused};
use super::super::{Caller, CloneWork, DriveText, Move, Operation, Reassign, changed, missing};
use crate::simulator::answer::Reply;
use crate::simulator::guest::{Guest, Species};
use crate::simulator::world::World;

impl World {
    /// Both configurations are locked, then the task begins.
    pub(in super::super) fn claim_clone(
        &mut self,
        work: &CloneWork,
        caller: &Caller,
    ) -> Result<Reply, Reply> {
        let source = self.require_unlocked(work.source)?;
        if let Some(taken) = self.taken(work.target) {
            return Err(Reply::failed(taken));
        }
        self.refuse_clone(source, work)?;
        let node = source.node.clone();
        let lock = |guest: &mut Guest, lock: &str| {
            guest.config.insert("lock".to_owned(), lock.into());
        };
        let mut target = Guest::new(Species::Container, work.target, &node);
        lock(&mut target, "create");
        self.guests.insert(work.target, target);
        lock(self.guest_mut(work.source)?, "disk");
        let steps = self.clone_steps(work);
        let (id, operation) = (
            work.source.to_string(),
            Operation::Clone(Box::new(work.clone())),
        );
        let reply = self.start_task(&node, "vzclone", &id, caller, operation, steps);
        self.own_newest();
        Ok(reply)
    }

    /// The newest task's request made something that the task's failure takes back.
    pub(in super::super::super) fn own_newest(&mut self) {
        let newest = self.tasks.len().checked_sub(1);
        let job = newest.and_then(|task| self.job_of(task));
        if let Some(job) = job.and_then(|job| self.engine.jobs.get_mut(&job)) {
            job.cleanup_owned = true;
        }
    }

    fn refuse_clone(&self, source: &Guest, work: &CloneWork) -> Result<(), Reply> {
        if work.storage.is_some() && !work.full {
            return Err(Reply::failed(
                "parameter 'storage' not allowed for linked clones",
            ));
        }
        if let Some(name) = &work.snapshot
            && !source.snapshots.contains_key(name)
        {
            return Err(Reply::failed(format!("snapshot '{name}' does not exist")));
        }
        let mut shared = true;
        for (slot, drive) in self.drives_of(work.source) {
            if drive.file.starts_with('/') {
                return Err(Reply::failed(format!(
                    "unable to clone mountpoint '{slot}' (type bind)"
                )));
            }
            let own = drive.file.split(':').next().unwrap_or_default();
            let storage = self.storages.get(work.storage.as_deref().unwrap_or(own));
            shared &= storage.is_some_and(|storage| storage.shared);
            if work.full && source.is_on() && work.snapshot.is_none() {
                return Err(Reply::failed(
                    "Full clone of a running container is only possible from a snapshot",
                ));
            }
            // A raw file cannot be based on another one.
            let linkable = storage.is_some_and(|storage| !storage.is_files());
            let linked = !work.full;
            if linked && (!linkable || !source.is_template()) {
                return Err(Reply::failed(format!(
                    "Linked clone feature for '{}' is not available",
                    drive.file
                )));
            }
        }
        if work.node != source.node && !shared {
            return Err(Reply::failed(format!(
                "can't clone CT to node '{}' (CT uses local storage)",
                work.node
            )));
        }
        Ok(())
    }

    /// A container's clone is over: its source is free again.
    pub(in super::super) fn unlock_source(&mut self, work: &CloneWork) {
        let source = self.guests.get(&work.source);
        if source.is_some_and(|guest| guest.species == Species::Container) {
            self.unlock_config(work.source);
        }
    }

    /// What a move to another storage is refused for; the configuration is locked for it.
    pub(in super::super::super) fn claim_move(&mut self, work: &Move) -> Result<(), Reply> {
        let guest = self.require_unlocked(work.vmid)?;
        if guest.is_on() {
            return Err(Reply::failed("cannot move volumes of a running container"));
        }
        if is_unused(&work.slot) {
            return Err(Reply::failed(format!(
                "cannot move volume '{}', only configured volumes can be moved to another storage",
                work.slot
            )));
        }
        let file = self.moved_drive(work)?.file;
        if work.delete && is_in_snapshot(guest, &file) {
            return Err(Reply::failed(
                "you can't move a volume with snapshots and delete the source",
            ));
        }
        let digest = guest.digest();
        if work.digest.as_ref().is_some_and(|asked| *asked != digest) {
            return Err(changed(Species::Container));
        }
        self.guest_mut(work.vmid)?
            .config
            .insert("lock".to_owned(), "disk".into());
        Ok(())
    }

    /// What giving a volume away is refused for.
    pub(in super::super) fn check_volume_gift(&self, work: &Reassign) -> Result<DriveText, Reply> {
        let failed = |text: String| Err(Reply::failed(text));
        let (slot, to) = (&work.slot, &work.target_slot);
        if slot == "rootfs" || to == "rootfs" {
            return failed("Cannot move to/from 'rootfs'".to_owned());
        }
        if is_unused(slot) && !is_unused(to) {
            return failed("Moving an unused volume to a used one is not possible".to_owned());
        }
        let mut both: Vec<&Guest> = Vec::new();
        for vmid in [work.vmid, work.target] {
            let missing_text = || Reply::failed(format!("could not find CT {vmid}"));
            both.push(self.guests.get(&vmid).ok_or_else(missing_text)?);
        }
        let (source, target) = (both[0], both[1]);
        if source.node != target.node {
            return failed(format!(
                "Both containers need to be on the same node ({} != {})",
                source.node, target.node
            ));
        }
        for (guest, digest) in both.iter().zip([&work.digest, &work.target_digest]) {
            let vmid = guest.vmid;
            if guest.species != Species::Container {
                return Err(missing(Species::Container, vmid, &guest.node));
            }
            guest.unlocked()?;
            if guest.is_template() {
                return failed("Can't move volumes from or to template CT".to_owned());
            }
            let stale = |asked: &String| *asked != guest.digest();
            if digest.as_ref().is_some_and(stale) {
                let reason = changed(Species::Container).reason;
                return failed(format!("Container {vmid}: {reason}"));
            }
        }
        let Some(text) = source.text(slot) else {
            let vmid = work.vmid;
            return failed(format!(
                "volume '{slot}' for container '{vmid}' does not exist"
            ));
        };
        if target.config.contains_key(to) {
            let vmid = work.target;
            return failed(format!(
                "Target volume key '{to}' is already in use for container '{vmid}'"
            ));
        }
        let drive = DriveText::parse(&text);
        let why = if is_in_snapshot(source, &drive.file) {
            "Cannot move volume used by a snapshot to another container"
        } else if drive.file.starts_with('/') {
            "Cannot move a bindmount or device mount to another container"
        } else if source.is_on() && !is_unused(slot) {
            "Cannot move in-use volume while the source CT is running - detach or shutdown first"
        } else {
            return Ok(drive);
        };
        failed(why.to_owned())
    }

    /// A volume becomes the base of clones.
    pub(in super::super) fn make_base(&mut self, vmid: u32, volid: &str) -> String {
        let renamed = volid.replace(&format!("vm-{vmid}-disk-"), &format!("base-{vmid}-disk-"));
        let storage = volid.split(':').next().unwrap_or_default();
        if let Some(storage) = self.storages.get_mut(storage)
            && let Some(volume) = storage.volumes.remove(volid)
        {
            storage.volumes.insert(renamed.clone(), volume);
        }
        renamed
    }
}
