//! Virtual machines being backed up.

use std::time::Duration;

use super::{ARCHIVED, Current, Dump, Mode, ONLINE, told_delay};
use crate::simulator::engine::Step;
use crate::simulator::guest::Power;
use crate::simulator::operation::disk::print_size;
use crate::simulator::task::seconds;
use crate::simulator::world::World;

impl World {
    pub(super) fn begin_machine(&mut self, job: u64, dump: &Dump, current: &Current) {
        let (vmid, running) = (current.vmid, current.running);
        let mode = if running { dump.mode } else { Mode::Stop };
        let name = self.guests.get(&vmid).and_then(|guest| guest.name());
        if let Some(name) = name.map(str::to_owned) {
            self.info(job, format!("VM Name: {name}"));
        }
        let mut bytes = 0;
        for (slot, drive, (included, why)) in self.backup_volumes(vmid) {
            if !included {
                self.info(
                    job,
                    format!("exclude disk '{slot}' '{}' ({why})", drive.file),
                );
                continue;
            }
            let volume = self.volume(&drive.file);
            bytes += volume.map_or(0, |volume| volume.used);
            let size = volume.map(|volume| format!(" {}", print_size(volume.size)));
            let size = size.unwrap_or_default();
            self.info(job, format!("include disk '{slot}' '{}'{size}", drive.file));
        }
        self.tell_mode(job, dump, mode);
        let mut steps = Vec::new();
        if running && mode == Mode::Stop {
            self.info(job, "stopping virtual guest");
            steps.extend([Step::Work(self.durations.shutdown), Step::Check(ONLINE)]);
        }
        self.tell_archive(job, dump, current);
        if !running {
            self.info(job, "starting kvm to execute backup task");
        }
        let uuid = self.draw_uuid();
        self.info(job, format!("started backup task '{uuid}'"));
        // Starting and ending the copy takes a while, however little there is to copy.
        let copy = Duration::from_secs(1) + self.copy_time(dump, bytes);
        steps.extend([Step::Work(copy), Step::Check(ARCHIVED)]);
        self.then(job, steps);
    }

    /// A machine that was stopped runs on while it is copied.
    pub(super) fn bring_online(&mut self, job: u64, current: &Current) {
        let now = self.now;
        if let Some(guest) = self.guests.get_mut(&current.vmid) {
            guest.power = Power::On { since: now };
        }
        let delay = told_delay(seconds(now).saturating_sub(current.began));
        self.info(job, format!("resuming VM again after {delay} seconds"));
        self.info(job, format!("guest is online again after {delay} seconds"));
    }
}
