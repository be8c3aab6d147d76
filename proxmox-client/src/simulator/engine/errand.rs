//! Errands: a job asks another world, and goes on when it has heard.

use super::{State, Step};
use crate::simulator::peer::{Ask, Endpoint, Errand, Heard};
use crate::simulator::world::World;

impl World {
    /// A job asks another world; it looks at what it heard in the check `next`.
    pub(in super::super) fn send_errand(
        &mut self,
        job: u64,
        endpoint: &Endpoint,
        ask: Ask,
        next: u8,
    ) {
        self.send_word(job, endpoint, ask);
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            job.steps.push_front(Step::Check(next));
            job.state = State::Absent;
        }
    }

    /// Tells another world something without waiting for what it says.
    pub(in super::super) fn send_word(&mut self, job: u64, endpoint: &Endpoint, ask: Ask) {
        let endpoint = endpoint.clone();
        self.engine.outbox.push(Errand { job, endpoint, ask });
    }

    /// What is to be carried to other worlds now.
    pub(in super::super) fn take_errands(&mut self) -> Vec<Errand> {
        std::mem::take(&mut self.engine.outbox)
    }

    /// What came of a job's errand. Who does not wait for it any more does not get it.
    pub(in super::super) fn hear(&mut self, job: u64, heard: Heard) {
        if let Some(job) = self.engine.jobs.get_mut(&job)
            && matches!(job.state, State::Absent)
        {
            job.state = State::Ready;
            self.engine.heard.insert(job.id, heard);
        }
    }

    /// What a job has heard.
    pub(in super::super) fn heard(&mut self, job: u64) -> Heard {
        let heard = self.engine.heard.remove(&job);
        heard.unwrap_or_else(|| Heard::Nothing("no answer".to_owned()))
    }
}
