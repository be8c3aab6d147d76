//! Disks and volumes on their way to another storage.

use std::time::Duration;

use super::disk::{DriveText, print_size, removed_volume};
use super::{LOCK_WAIT, Move, changed, lock_guest};
use crate::simulator::answer::Reply;
use crate::simulator::engine::Step;
use crate::simulator::guest::Species;
use crate::simulator::volume::Storage;
use crate::simulator::world::World;

impl World {
    /// The steps of moving a disk: the copy, under the guest's lock and for its allocation the storage's.
    pub(in super::super) fn move_steps(&self, work: &Move, limit: Option<u64>) -> Vec<Step> {
        let species = self.guests.get(&work.vmid).map(|guest| guest.species);
        let mut steps = match species.unwrap_or_default() {
            Species::Machine => vec![lock_guest(Species::Machine, work.vmid), Step::Check(0)],
            // The lock in the configuration guards it, which its request has taken.
            Species::Container => vec![Step::Check(0)],
        };
        let (size, used) = self
            .drives_of(work.vmid)
            .into_iter()
            .find(|(slot, _)| *slot == work.slot)
            .and_then(|(_, drive)| self.volume(&drive.file).map(|it| (it.size, it.used)))
            .unwrap_or_default();
        if let Some(key) = self.storage_key(&work.storage) {
            steps.push(Step::Lock {
                key: key.clone(),
                shared: false,
                wait: LOCK_WAIT,
                prefix: "storage migration failed: ".to_owned(),
            });
            steps.extend(self.allocation_steps(&work.storage, size));
            steps.push(Step::Unlock(key));
        }
        let speed = limit.unwrap_or(self.durations.copy_speed).max(1);
        let copy = used as f64 / speed as f64;
        steps.push(Step::Work(Duration::from_secs_f64(copy)));
        steps.push(Step::Finish);
        steps
    }

    pub(super) fn check_move(&mut self, job: u64, work: &Move) -> Result<(), Reply> {
        let guest = self.require(work.vmid)?;
        if guest.species == Species::Container {
            return Ok(());
        }
        guest.unlocked()?;
        if work
            .digest
            .as_ref()
            .is_some_and(|digest| *digest != guest.digest())
        {
            return Err(changed(guest.species));
        }
        let file = self.moved_drive(work)?.file;
        let from = file.split(':').next().unwrap_or_default();
        self.log(
            job,
            format!(
                "copying volume '{file}' from current storage '{from}' to target storage '{}'",
                work.storage
            ),
        );
        self.log(
            job,
            format!("create full clone of drive {} ({file})", work.slot),
        );
        Ok(())
    }

    pub(in super::super) fn moved_drive(&self, work: &Move) -> Result<DriveText, Reply> {
        self.drives_of(work.vmid)
            .into_iter()
            .find(|(slot, _)| *slot == work.slot)
            .map(|(_, drive)| drive)
            .ok_or_else(|| Reply::failed(format!("disk '{}' does not exist", work.slot)))
    }

    pub(super) fn move_disk(&mut self, job: u64, work: &Move) -> Result<(), Reply> {
        let mut drive = self.moved_drive(work)?;
        let old = drive.file.clone();
        let volume = self.volume(&old).cloned();
        let volume =
            volume.ok_or_else(|| Reply::failed(format!("volume '{old}' does not exist")))?;
        let files = self
            .storages
            .get(&work.storage)
            .is_some_and(Storage::is_files);
        let format = if files { volume.format.as_str() } else { "raw" };
        let (size, used) = (volume.size, volume.used);
        let made = self.make_volume(job, work.vmid, &work.storage, format, size, used)?;
        let species = self.require(work.vmid)?.species;
        match species {
            Species::Machine => {
                self.log(job, format!("allocated target volume '{made}'"));
                self.log_copy(job, size);
            }
            Species::Container => self.log_file_system(job, size),
        }
        drive.file = match self.require(work.vmid)?.is_template() {
            true => self.make_base(work.vmid, &made),
            false => made,
        };
        if species == Species::Container {
            drive.set("size", print_size(size));
        }
        let guest = self.guest_mut(work.vmid)?;
        guest.config.shift_remove("lock");
        guest.config.insert(work.slot.clone(), drive.print().into());
        if work.delete {
            let from = old.split(':').next().unwrap_or_default().to_owned();
            if let Some(storage) = self.storages.get_mut(&from) {
                storage.volumes.remove(&old);
            }
            self.log(
                job,
                match species {
                    Species::Machine => {
                        format!("removing source volume '{old}' after successful copy")
                    }
                    Species::Container => removed_volume(&old),
                },
            );
        } else {
            self.keep_as_unused(work.vmid, &old)?;
        }
        Ok(())
    }
}
