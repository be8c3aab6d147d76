//! Migrations to another cluster that do not come to an end.

use super::{Phase, RemoteMigration};
use crate::simulator::answer::Reply;
use crate::simulator::guest::{Power, Species};
use crate::simulator::peer::{Ask, Command};
use crate::simulator::world::World;

impl World {
    /// It ends here: what was begun is taken back as far as both ends can. Gives the text that the task ends with.
    pub(in crate::simulator) fn give_up_remote(&mut self, job: u64, why: &str) -> Reply {
        let Some(work) = self.remote(job) else {
            return Reply::failed(why);
        };
        let work = std::mem::replace(work, work.clone());
        self.progress(job, |progress| {
            progress.phase = Phase::Over;
            progress.tunnel = None;
        });
        match work.progress.phase {
            Phase::Over => return Reply::failed(why),
            Phase::Prepare => self.hang_up_remote(job, &work),
            Phase::Copy => {
                self.tell_error(job, why);
                self.tell(job, "aborting phase 1 - cleanup resources");
                self.take_back(job, &work);
            }
            Phase::Live => {
                self.tell_error(job, &format!("online migrate failure - {why}"));
                self.tell(job, "aborting phase 2 - cleanup resources");
                self.tell(job, "migrate_cancel");
                self.unlock_config(work.vmid);
                self.word(job, &work, Command::Stop);
                self.word(job, &work, Command::Quit { cleanup: true });
                return self.finish_with_problems(job);
            }
            Phase::Gone => {
                self.tell_error(job, why);
                self.hang_up_remote(job, &work);
                return self.finish_with_problems(job);
            }
        }
        let duration = self.told_duration(job);
        let why = format!("migration aborted (duration {duration}): {why}");
        self.tell_error(job, &why);
        Reply::failed("migration aborted")
    }

    fn take_back(&mut self, job: u64, work: &RemoteMigration) {
        if work.species == Species::Container {
            for volume in work.progress.moved.values() {
                let node = &work.node;
                let line = format!("found stale volume copy '{volume}' on node '{node}'");
                self.tell_error(job, &line);
            }
        }
        self.word(job, work, Command::Quit { cleanup: true });
        self.unlock_config(work.vmid);
        if work.species == Species::Container {
            self.tell(job, "start final cleanup");
            if work.progress.was_on {
                self.tell(job, "start container on source node");
                let since = self.now;
                if let Some(guest) = self.guests.get_mut(&work.vmid) {
                    guest.power = Power::On { since };
                }
            }
        }
    }

    /// Tells the other end something without looking at what it says.
    fn word(&mut self, job: u64, work: &RemoteMigration, command: Command) {
        let line = format!(
            "tunnel: -> sending command \"{}\" to remote",
            command.name()
        );
        self.log(job, line);
        if let Some(upid) = work.progress.tunnel.clone() {
            self.send_word(job, &work.endpoint, Ask::Tunnel { upid, command });
        }
    }

    fn hang_up_remote(&mut self, job: u64, work: &RemoteMigration) {
        if let Some(upid) = work.progress.tunnel.clone() {
            self.send_word(job, &work.endpoint, Ask::HangUp { upid });
        }
    }
}
