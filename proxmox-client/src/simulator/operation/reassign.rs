//! Giving a disk or volume to another guest of the same kind.

use serde::{Deserialize, Serialize};

use super::config::is_indexed;
use super::disk::DriveText;
use super::{changed, is_drive, lock_guest, missing};
use crate::simulator::answer::Reply;
use crate::simulator::engine::Step;
use crate::simulator::guest::{Guest, Species, text_of};
use crate::simulator::world::World;

/// A disk on its way to another guest.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super) struct Reassign {
    pub(in super::super) vmid: u32,
    pub(in super::super) slot: String,
    pub(in super::super) target: u32,
    pub(in super::super) target_slot: String,
    pub(in super::super) digest: Option<String>,
    pub(in super::super) target_digest: Option<String>,
}

impl Reassign {
    /// The task's id in lists.
    pub(in super::super) fn id(&self) -> String {
        format!(
            "{}-{}>{}-{}",
            self.vmid, self.slot, self.target, self.target_slot
        )
    }

    pub(in super::super) fn steps(&self, species: Species) -> Vec<Step> {
        vec![
            lock_guest(species, self.vmid),
            lock_guest(species, self.target),
            Step::Check(0),
            Step::Finish,
        ]
    }
}

pub(super) fn is_unused(slot: &str) -> bool {
    is_indexed(slot, "unused")
}

/// Whether a snapshot of a guest holds a volume.
pub(super) fn is_in_snapshot(guest: &Guest, file: &str) -> bool {
    guest.snapshots.values().any(|snapshot| {
        let mut drives = snapshot.config.iter().filter(|(key, _)| is_drive(key));
        drives.any(|(_, value)| DriveText::parse(&text_of(value)).file == file)
    })
}

impl World {
    /// What is refused in the request, and again once the locks are held.
    pub(in super::super) fn check_reassign(&self, work: &Reassign) -> Result<DriveText, Reply> {
        let species = self.guests.get(&work.vmid).map(|guest| guest.species);
        if species == Some(Species::Container) {
            return self.check_volume_gift(work);
        }
        let both = [
            (work.vmid, &work.digest, "VM"),
            (work.target, &work.target_digest, "target VM"),
        ];
        let mut found: Vec<&Guest> = Vec::new();
        for (vmid, digest, what) in both {
            let guest = self
                .guests
                .get(&vmid)
                .ok_or_else(|| Reply::failed(format!("could not find {what} {vmid}")))?;
            if guest.species != Species::Machine {
                return Err(missing(Species::Machine, vmid, &guest.node));
            }
            guest.unlocked()?;
            if guest.is_template() {
                return Err(Reply::failed("Can't move disks from or to template VMs"));
            }
            if digest
                .as_ref()
                .is_some_and(|digest| *digest != guest.digest())
            {
                let reason = changed(Species::Machine).reason;
                return Err(Reply::failed(format!("VM {vmid}: {reason}")));
            }
            found.push(guest);
        }
        let (source, target) = (found[0], found[1]);
        if source.node != target.node {
            return Err(Reply::failed(format!(
                "Both VMs need to be on the same node ({} != {})",
                source.node, target.node
            )));
        }
        let Some(text) = source.text(&work.slot) else {
            return Err(Reply::failed(format!(
                "Disk '{}' for VM '{}' does not exist",
                work.slot, work.vmid
            )));
        };
        if target.config.contains_key(&work.target_slot) {
            return Err(Reply::failed(format!(
                "Target disk key '{}' is already in use for VM '{}'",
                work.target_slot, work.target
            )));
        }
        let drive = DriveText::parse(&text);
        if drive.get("media") == Some("cdrom") {
            return Err(Reply::failed(
                "CD drive contents can't be moved to another VM",
            ));
        }
        if is_in_snapshot(source, &drive.file) {
            return Err(Reply::failed(
                "Can't move disk used by a snapshot to another VM",
            ));
        }
        if source.is_on() && !is_unused(&work.slot) {
            return Err(Reply::failed(
                "Cannot move disk to another VM while the source VM is running - detach first",
            ));
        }
        Ok(drive)
    }

    /// Renames the volume and moves the drive from one configuration to the other.
    pub(super) fn reassign(&mut self, job: u64, work: &Reassign) -> Result<(), Reply> {
        let mut drive = self.check_reassign(work)?;
        let old = drive.file.clone();
        let gone = || Reply::failed(format!("volume '{old}' does not exist"));
        let name = old.split(':').next().unwrap_or_default().to_owned();
        let storage = self.storages.get_mut(&name).ok_or_else(gone)?;
        let mut volume = storage.volumes.remove(&old).ok_or_else(gone)?;
        let new = format!(
            "{name}:{}",
            storage.next_image(work.target, &volume.format, false)
        );
        volume.vmid = Some(work.target);
        storage.volumes.insert(new.clone(), volume);
        let species = self.require(work.vmid)?.species;
        let (what, noun) = match species {
            Species::Machine => ("disk", "VM"),
            Species::Container => ("volume", "container"),
        };
        let (slot, vmid, to) = (&work.slot, work.vmid, work.target);
        self.log(
            job,
            format!("moving {what} '{slot}' from {noun} '{vmid}' to '{to}'"),
        );
        self.log(
            job,
            format!("removing {what} '{slot}' from {noun} '{vmid}' config"),
        );
        drive.file = new;
        let text = match is_unused(&work.target_slot) {
            true => drive.file.clone(),
            false => drive.print(),
        };
        self.guest_mut(work.vmid)?.config.shift_remove(&work.slot);
        let target = self.guest_mut(work.target)?;
        target.config.insert(work.target_slot.clone(), text.into());
        if species == Species::Container {
            let slot = &work.target_slot;
            self.log(
                job,
                format!("target container '{to}' updated with '{slot}'"),
            );
        }
        Ok(())
    }
}
