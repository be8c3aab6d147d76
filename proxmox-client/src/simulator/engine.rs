//! Locks, waiting and work in modelled time.
//!
//! A job is a request that has to wait or a task. It goes through steps: take a lock (or give up after a
//! time), check, work for a while, finish. [`World::advance`] plays everything that happens up to a moment.

mod daemon;
mod errand;
mod lock;
mod processor;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use self::daemon::Worker;
use self::lock::Lock;
use self::processor::Rates;
use super::answer::Reply;
use super::operation::Operation;
use super::peer::{Ask, Errand, Heard};
use super::world::World;

pub(super) use self::lock::{Key, Patience};

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) enum Step {
    /// Takes a lock, or fails with a prefix before the lock's own text.
    Lock {
        key: Key,
        shared: bool,
        wait: Patience,
        prefix: String,
    },
    /// Gives a lock back before the end.
    Unlock(Key),
    /// A volume is there; gives back the lock under which it was made.
    Made(Made),
    /// The first volume of those that were made is gone; gives back the lock.
    Removed(Key),
    /// Looks whether the operation may go on; the number tells which look this is.
    Check(u8),
    /// Takes time.
    Work(Duration),
    /// Takes so much time of a processor: more time where others want one too. Without a daemon it is plain time.
    Compute(Duration),
    /// The proxy hands the request on.
    Forward,
    /// Goes on at a moment.
    Until(SystemTime),
    /// Fails here, with what follows a failure.
    Refuse(Reply),
    /// Does it.
    Finish,
    /// Handles the request that a worker took up.
    Serve,
    /// Ends a request with its answer.
    Answer(Reply),
    /// Ends with a failure.
    Fail(Reply),
}

/// A volume that a clone has made for its new guest.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Made {
    pub(super) storage: String,
    /// The storage's lock.
    pub(super) key: Key,
    /// Its format, size and use in bytes; none of a cloud-init image.
    pub(super) disk: Option<(String, u64, u64)>,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) enum State {
    Ready,
    Waiting {
        deadline: SystemTime,
        next_try: Option<SystemTime>,
    },
    Working {
        until: SystemTime,
    },
    /// What is left to compute.
    Computing {
        left: Duration,
    },
    /// A worker waits for a job of its request.
    Nested,
    /// A request that no worker has taken up yet.
    Queued,
    /// It waits for word from another world.
    Absent,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Job {
    pub(super) id: u64,
    /// Index of the task; none for a request.
    pub(super) task: Option<usize>,
    pub(super) operation: Operation,
    pub(super) steps: VecDeque<Step>,
    pub(super) state: State,
    pub(super) verdict: Verdict,
    /// After a failure, how long the cleaning up takes.
    pub(super) cleanup: Duration,
    /// Whether it made something that a failure must take back.
    pub(super) cleanup_owned: bool,
    /// The volumes that it made so far and that a failure removes.
    #[serde(default)]
    pub(super) made: Vec<Made>,
    /// Whether it failed and cleans up.
    #[serde(default)]
    pub(super) cleans_up: bool,
    /// When the proxy gives up on a request that the daemon has not answered.
    pub(super) gives_up: Option<SystemTime>,
}

/// What a fault makes of a task's end.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    #[default]
    Natural,
    Fails(String),
    Warns(u32),
    Killed,
}

/// Jobs, locks and answers that wait to be fetched.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Engine {
    next_id: u64,
    pub(super) jobs: BTreeMap<u64, Job>,
    locks: BTreeMap<Key, Lock>,
    answers: BTreeMap<u64, Reply>,
    /// Jobs of requests whose worker waits for them.
    nested: BTreeMap<u64, u64>,
    /// The daemon's workers.
    #[serde(default)]
    workers: Vec<Worker>,
    /// Requests that no worker has accepted yet, in order of arrival.
    #[serde(default)]
    backlog: VecDeque<u64>,
    /// Tasks that the request in hand has started.
    #[serde(default)]
    started: u32,
    /// What a fault wants of the next task that begins.
    pub(super) verdict_for_next: Verdict,
    /// What is to be carried to other worlds.
    #[serde(default)]
    outbox: Vec<Errand>,
    /// What jobs have heard from other worlds, until they look at it.
    #[serde(default)]
    heard: BTreeMap<u64, Heard>,
}

impl World {
    /// Begins a job; runs it as far as it goes at this moment.
    pub(super) fn begin(
        &mut self,
        task: Option<usize>,
        operation: Operation,
        steps: impl IntoIterator<Item = Step>,
    ) -> u64 {
        self.engine.next_id += 1;
        let id = self.engine.next_id;
        let job = Job {
            id,
            task,
            operation,
            steps: steps.into_iter().collect(),
            state: State::Ready,
            verdict: Verdict::Natural,
            cleanup: Duration::ZERO,
            cleanup_owned: false,
            made: Vec::new(),
            cleans_up: false,
            gives_up: None,
        };
        self.engine.jobs.insert(id, job);
        id
    }

    /// The answer of a request that had to wait, once it is there.
    pub(super) fn take_answer(&mut self, job: u64) -> Option<Reply> {
        self.engine.answers.remove(&job)
    }

    /// When something happens next by itself: a task goes on or ends, a lock is tried again, somebody gives up
    /// waiting. None if nothing is under way. A stepped clock may go there at once and misses nothing.
    pub fn next_event(&self) -> Option<SystemTime> {
        let rates = self.rates();
        let of_job = |job: &Job| {
            let own = self.next_of(job, &rates);
            match job.gives_up {
                Some(at) => Some(own.map_or(at, |own| own.min(at))),
                None => own,
            }
        };
        self.engine.jobs.values().filter_map(of_job).min()
    }

    fn next_of(&self, job: &Job, rates: &Rates) -> Option<SystemTime> {
        match job.state {
            State::Ready => Some(self.now),
            State::Nested | State::Queued | State::Absent => None,
            State::Waiting { deadline, next_try } => {
                Some(next_try.map_or(deadline, |at| at.min(deadline)))
            }
            State::Working { until } => Some(until),
            State::Computing { left } => Some(self.computed_at(job, left, rates)),
        }
    }

    /// Plays everything that happens up to a moment; time never goes back. What a job asks another world waits until a
    /// [`Simulator`](super::Simulator) carries it there.
    pub fn advance(&mut self, to: SystemTime) {
        self.play(to, false);
    }

    /// Plays what happens up to a moment, or until something is to be carried to another world, and says whether that is so.
    pub(super) fn advance_to_errand(&mut self, to: SystemTime) -> bool {
        self.play(to, true)
    }

    fn play(&mut self, to: SystemTime, stops: bool) -> bool {
        loop {
            self.run_ready();
            if stops && !self.engine.outbox.is_empty() {
                return true;
            }
            match self.next_event() {
                Some(at) if at <= to => {
                    self.pass_to(at);
                    self.wake();
                }
                _ => break,
            }
        }
        self.pass_to(to);
        self.give_up_consoles();
        false
    }

    fn wake(&mut self) {
        let now = self.now;
        self.wake_computed();
        let mut due: Vec<u64> = Vec::new();
        for job in self.engine.jobs.values_mut() {
            if job.gives_up.is_some_and(|at| at <= now) {
                // The daemon goes on with it all the same.
                job.gives_up = None;
                self.engine
                    .answers
                    .entry(job.id)
                    .or_insert_with(|| Reply::bare(596, "Connection timed out"));
            }
            match job.state {
                State::Working { until } if until <= now => job.state = State::Ready,
                State::Waiting { deadline, next_try }
                    if deadline <= now || next_try.is_some_and(|at| at <= now) =>
                {
                    due.push(job.id);
                }
                _ => {}
            }
        }
        // Who of several pollers comes first is chance.
        for index in (1..due.len()).rev() {
            let other = (self.draw() % (index as u64 + 1)) as usize;
            due.swap(index, other);
        }
        for id in due {
            self.try_lock(id);
        }
    }

    fn run_ready(&mut self) {
        while let Some(id) = self
            .engine
            .jobs
            .values()
            .find(|job| matches!(job.state, State::Ready))
            .map(|job| job.id)
        {
            self.step(id);
        }
    }

    fn step(&mut self, id: u64) {
        let Some(job) = self.engine.jobs.get_mut(&id) else {
            return;
        };
        let Some(step) = job.steps.pop_front() else {
            let operation = job.operation.clone();
            self.conclude(id, Ok(Reply::data(())), &operation);
            return;
        };
        match step {
            Step::Lock {
                ref key,
                shared,
                wait,
                ..
            } => {
                let deadline = self.now + wait.limit(&self.durations);
                let key = key.clone();
                job.steps.push_front(step);
                job.state = State::Waiting {
                    deadline,
                    next_try: None,
                };
                self.queue_for(id, key, shared);
                self.try_lock(id);
            }
            Step::Unlock(key) => self.release(id, Some(&key)),
            Step::Made(volume) => {
                let key = volume.key.clone();
                job.made.push(volume);
                self.release(id, Some(&key));
            }
            Step::Removed(key) => {
                job.made.remove(0);
                self.release(id, Some(&key));
            }
            Step::Check(stage) => {
                let operation = job.operation.clone();
                if let Err(refusal) = self.check(id, &operation, stage) {
                    self.fail(id, refusal);
                }
            }
            Step::Work(time) => {
                job.state = State::Working {
                    until: self.now + time,
                }
            }
            Step::Compute(time) if self.daemon.is_none() => {
                job.state = State::Working {
                    until: self.now + time,
                }
            }
            Step::Compute(left) => job.state = State::Computing { left },
            Step::Forward => self.forward(id),
            Step::Until(until) => job.state = State::Working { until },
            Step::Refuse(refusal) => self.fail(id, refusal),
            Step::Finish => {
                let operation = job.operation.clone();
                let verdict = job.verdict.clone();
                match verdict {
                    Verdict::Fails(text) => self.fail(id, Reply::failed(text)),
                    Verdict::Killed => self.kill_job(id),
                    Verdict::Natural | Verdict::Warns(_) => match self.finish(id, &operation) {
                        Ok(reply) => self.conclude(id, Ok(reply), &operation),
                        Err(refusal) => self.fail(id, refusal),
                    },
                }
            }
            Step::Serve => self.serve(id),
            Step::Answer(reply) => {
                self.engine.answers.entry(id).or_insert(reply);
                self.end_job(id, "");
            }
            Step::Fail(refusal) => {
                let operation = job.operation.clone();
                self.conclude(id, Err(refusal), &operation);
            }
        }
    }

    fn fail(&mut self, id: u64, refusal: Reply) {
        let removing = self.durations.delete_volume;
        if let Some(job) = self.engine.jobs.get_mut(&id) {
            let cleanup = job.cleanup;
            job.steps.clear();
            // Who made nothing has nothing to clean up.
            if job.cleanup_owned && !cleanup.is_zero() {
                job.steps.push_back(Step::Work(cleanup));
                for key in job.made.iter().map(|volume| volume.key.clone()) {
                    job.steps.extend([
                        Step::Lock {
                            key: key.clone(),
                            shared: false,
                            wait: Patience::Usual,
                            prefix: String::new(),
                        },
                        Step::Compute(removing),
                        Step::Removed(key),
                    ]);
                }
                job.cleans_up = true;
            }
            job.steps.push_back(Step::Fail(refusal));
            job.state = State::Ready;
        }
    }

    /// A lock was not free in time. Who cleans up already tells so and leaves what it could not remove.
    fn lock_refused(&mut self, id: u64, key: &Key, prefix: &str) {
        let text = key.timeout_text();
        let Some(job) = self.engine.jobs.get_mut(&id) else {
            return;
        };
        if !job.cleans_up {
            return self.fail(id, Reply::failed(format!("{prefix}{text}")));
        }
        // Removing goes on with the next volume; the one left is the last of those that were made from now on.
        job.steps.drain(..3);
        job.made.rotate_left(1);
        job.state = State::Ready;
        self.log(id, text);
    }

    fn conclude(&mut self, id: u64, result: Result<Reply, Reply>, operation: &Operation) {
        if result.is_err() {
            self.undo(id, operation);
        }
        self.note_changes();
        let (task, verdict) = match self.engine.jobs.get(&id) {
            Some(job) => (job.task, job.verdict.clone()),
            None => return,
        };
        if task.is_none() {
            let reply = result.unwrap_or_else(|refusal| refusal);
            match self.engine.nested.remove(&id) {
                Some(outer) => self.answer_of(outer, reply),
                // Nobody asked for what the cluster does by itself.
                None if matches!(
                    operation,
                    Operation::HaRound { .. }
                        | Operation::JobRound { .. }
                        | Operation::Leave { .. }
                ) => {}
                None => {
                    self.engine.answers.insert(id, reply);
                }
            }
            self.end_job(id, "");
            return;
        }
        let status = match (&result, verdict) {
            (Ok(_), Verdict::Warns(count)) => {
                if let Some(task) = task {
                    for number in 1..=count {
                        self.tasks[task]
                            .log
                            .push(format!("WARN: modelled warning {number}"));
                    }
                }
                format!("WARNINGS: {count}")
            }
            (Ok(_), _) => "OK".to_owned(),
            (Err(refusal), _) => refusal.reason.clone(),
        };
        self.end_job(id, &status);
    }

    /// Ends a job with a task's status, gives its locks back and forgets it; nothing is undone.
    pub(super) fn end_job(&mut self, id: u64, status: &str) {
        if let Some(job) = self.engine.jobs.remove(&id)
            && let Some(task) = job.task
        {
            self.tasks[task].end(self.now, status);
            if let Operation::RemoteMigrate(work) = job.operation
                && let Some((endpoint, upid)) = work.into_tunnel()
            {
                self.send_word(id, &endpoint, Ask::HangUp { upid });
            }
            self.task_leaves(task);
        }
        self.engine.heard.remove(&id);
        self.release(id, None);
        self.free_worker(id);
    }

    /// A task's process is gone at once: what it had begun stays as it is.
    pub(super) fn kill_job(&mut self, id: u64) {
        if let Some(job) = self.engine.jobs.get(&id)
            && let Operation::Clone(work) = &job.operation
        {
            let (target, made) = (work.target, job.made.clone());
            self.leave_volumes(target, &made);
        }
        self.end_job(id, "unexpected status");
    }

    /// The job that a task runs in.
    pub(super) fn job_of(&self, task: usize) -> Option<u64> {
        self.engine
            .jobs
            .values()
            .find(|job| job.task == Some(task))
            .map(|job| job.id)
    }

    /// A task is asked to stop: it fails at once, after its cleaning up.
    pub(super) fn interrupt(&mut self, id: u64, text: &str) {
        if let Some(job) = self.engine.jobs.get_mut(&id) {
            job.state = State::Ready;
        }
        self.release(id, None);
        self.fail(id, Reply::failed(text));
    }
}
