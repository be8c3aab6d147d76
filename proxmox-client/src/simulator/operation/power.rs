//! Starting and stopping guests.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::is_indexed;
use crate::simulator::answer::Reply;
use crate::simulator::engine::Step;
use crate::simulator::guest::{Guest, Power, Species};
use crate::simulator::world::World;

fn not_running(vmid: u32) -> Reply {
    Reply::failed(format!("VM {vmid} not running"))
}

/// Whether an image is made for a machine whenever it starts.
fn has_cloud_init(guest: &Guest) -> bool {
    let mut texts = guest.config.values().filter_map(Value::as_str);
    texts.any(|text| text.contains("cloudinit") && text.contains("media=cdrom"))
}

impl World {
    pub(super) fn check_start(&mut self, job: u64, vmid: u32) -> Result<(), Reply> {
        let guest = self.require(vmid)?;
        let resumes = guest.is_suspended();
        if guest.is_template() {
            let kind = match guest.species {
                Species::Machine => "vm",
                Species::Container => "CT",
            };
            let text = format!("you can't start a {kind} if it's a template");
            return Err(Reply::failed(text));
        }
        if !resumes {
            guest.unlocked()?;
        }
        if guest.is_on() {
            let noun = guest.species.noun();
            return Err(Reply::failed(format!("{noun} {vmid} already running")));
        }
        if has_cloud_init(guest) {
            self.log(job, "generating cloud-init ISO");
        }
        if resumes {
            self.tell_resuming(job, vmid);
        }
        Ok(())
    }

    /// How long a guest takes to start, by what is done for it.
    pub(in super::super) fn start_time(&self, vmid: u32) -> Duration {
        let times = &self.durations;
        let Some(guest) = self.guests.get(&vmid) else {
            return times.start;
        };
        if guest.species == Species::Container {
            return times.start_container;
        }
        let cards = guest.config.keys().filter(|key| is_indexed(key, "net"));
        let image = match has_cloud_init(guest) {
            true => times.start_cloud_init,
            false => Duration::ZERO,
        };
        times.start + image + times.start_card * cards.count() as u32
    }

    pub(super) fn start(&mut self, job: u64, vmid: u32) -> Result<(), Reply> {
        let pid = self.next_pid;
        self.next_pid += 9;
        // Its memory is what it was, so what waits goes on waiting.
        if self.require(vmid)?.is_suspended() {
            self.wake_machine(job, vmid)?;
        } else {
            self.apply_pending(job, vmid)?;
        }
        let since = self.now;
        let guest = self.guest_mut(vmid)?;
        guest.power = Power::On { since };
        guest.paused = false;
        guest.cloud_init.clear();
        guest.pid = pid;
        Ok(())
    }

    pub(super) fn check_stop(&mut self, job: u64, vmid: u32) -> Result<(), Reply> {
        let time = self.stop_time();
        self.take_time_if_on(job, vmid, time)
    }

    /// How long a stop takes: whether QEMU is gone at the first look or at the second is chance.
    fn stop_time(&mut self) -> Duration {
        if self.daemon.is_some() && self.chance() < 0.5 {
            self.durations.stop_at_once
        } else {
            self.durations.stop
        }
    }

    pub(super) fn check_shutdown(
        &mut self,
        job: u64,
        vmid: u32,
        force: bool,
        limit: Duration,
    ) -> Result<(), Reply> {
        let heard = self.listens(vmid, self.now);
        let time = if heard {
            self.durations.shutdown
        } else {
            limit
        };
        let guest = self.require(vmid)?;
        let text = match guest.species {
            Species::Machine => "VM quit/powerdown failed - got timeout",
            Species::Container => "container did not stop",
        };
        if guest.is_on()
            && !heard
            && !force
            && let Some(job) = self.engine.jobs.get_mut(&job)
        {
            job.steps.push_front(Step::Refuse(Reply::failed(text)));
        }
        self.take_time_if_on(job, vmid, time)
    }

    /// A stop that overrules a shutdown ends its tasks without a verdict.
    pub(super) fn overrule_shutdown(&mut self, job: u64, vmid: u32) {
        let id = vmid.to_string();
        let species = self
            .guests
            .get(&vmid)
            .map(Guest::species)
            .unwrap_or_default();
        let kind = format!("{}shutdown", species.tasks());
        let running: Vec<(usize, String)> = self
            .tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| task.ended.is_none() && task.kind == kind && task.id == id)
            .map(|(index, task)| (index, task.upid.clone()))
            .collect();
        if running.is_empty() {
            return;
        }
        let names: Vec<&str> = running.iter().map(|(_, upid)| upid.as_str()).collect();
        self.log(job, format!("overruled {kind} tasks: {}", names.join(", ")));
        // The shutdown's worker gets some seconds to end by itself.
        if let (Some(job), Species::Machine) = (self.engine.jobs.get_mut(&job), species) {
            job.steps.push_front(Step::Work(self.durations.overrule));
        }
        for (task, _) in &running {
            if let Some(shutdown) = self.job_of(*task) {
                self.end_job(shutdown, "unexpected status");
            }
        }
    }

    /// A guest that runs needs this long to go off.
    fn take_time_if_on(&mut self, job: u64, vmid: u32, time: Duration) -> Result<(), Reply> {
        let on = self.require(vmid)?.is_on();
        if let Some(job) = self.engine.jobs.get_mut(&job).filter(|_| on) {
            job.steps.push_front(Step::Work(time));
        }
        Ok(())
    }

    /// Whether a guest hears a shutdown that it is asked for at a moment.
    pub(in super::super) fn listens(&self, vmid: u32, asked: SystemTime) -> bool {
        let guest = self.guests.get(&vmid);
        let up = guest.and_then(|guest| guest.awake_for(asked));
        self.durations.guests_listen && up.unwrap_or_default() >= self.durations.listens_after
    }

    pub(super) fn power_off(&mut self, vmid: u32) -> Result<(), Reply> {
        self.guest_mut(vmid)?.go_off();
        Ok(())
    }

    pub(super) fn reboot(&mut self, job: u64, vmid: u32) -> Result<(), Reply> {
        if !self.require(vmid)?.is_on() {
            return Err(not_running(vmid));
        }
        self.apply_pending(job, vmid)?;
        self.begin_anew(vmid)
    }

    pub(super) fn reset(&mut self, vmid: u32) -> Result<(), Reply> {
        if !self.require(vmid)?.is_on() {
            return Err(not_running(vmid));
        }
        self.begin_anew(vmid)
    }

    fn begin_anew(&mut self, vmid: u32) -> Result<(), Reply> {
        let since = self.now;
        let guest = self.guest_mut(vmid)?;
        guest.power = Power::On { since };
        guest.head_start = Duration::ZERO;
        Ok(())
    }

    pub(super) fn pause(&mut self, vmid: u32, on: bool) -> Result<(), Reply> {
        let guest = self.guest_mut(vmid)?;
        if !guest.is_on() {
            return Err(not_running(vmid));
        }
        guest.paused = on;
        Ok(())
    }
}
