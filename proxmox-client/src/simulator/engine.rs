//! Locks, waiting and work in modelled time.
//!
//! A job is a request that has to wait or a task. It goes through steps: take a lock (or give up after a
//! time), check, work for a while, finish. [`World::advance`] plays everything that happens up to a moment.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::answer::Reply;
use super::operation::Operation;
use super::route::Handled;
use super::world::World;

/// What is locked.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A virtual machine's lock file.
    Guest(u32),
    /// A container's lock file.
    Container(u32),
    /// A local storage's lock file.
    LocalStorage(String),
    /// A shared storage's cluster lock, which is polled.
    SharedStorage(String),
    /// The cluster lock of a file that all nodes share, which is polled.
    ClusterFile(String),
    /// A node's lock of backups.
    Backups(String),
    /// A cluster lock of its own name, which is polled.
    ClusterDomain(String),
}

impl Key {
    fn is_polled(&self) -> bool {
        matches!(
            self,
            Self::SharedStorage(_) | Self::ClusterFile(_) | Self::ClusterDomain(_)
        )
    }

    /// What is told when it was not free in time.
    pub(super) fn timeout_text(&self) -> String {
        match self {
            Self::Guest(vmid) => {
                format!("can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
            }
            Self::Container(vmid) => {
                format!("can't lock file '/run/lock/lxc/pve-config-{vmid}.lock' - got timeout")
            }
            Self::LocalStorage(name) => {
                format!("can't lock file '/var/lock/pve-manager/pve-storage-{name}' - got timeout")
            }
            Self::SharedStorage(name) => {
                format!("cfs-lock 'storage-{name}' error: got lock request timeout")
            }
            Self::ClusterFile(name) => {
                format!("cfs-lock 'file-{name}' error: got lock request timeout")
            }
            Self::Backups(_) => {
                "can't acquire lock '/var/run/vzdump.lock' - got timeout".to_owned()
            }
            Self::ClusterDomain(name) => {
                format!("cfs-lock 'domain-{name}' error: got lock request timeout")
            }
        }
    }
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) enum Step {
    /// Takes a lock, or fails with a prefix before the lock's own text.
    Lock {
        key: Key,
        shared: bool,
        wait: Duration,
        prefix: String,
    },
    /// Gives a lock back before the end.
    Unlock(Key),
    /// Looks whether the operation may go on; the number tells which look this is.
    Check(u8),
    /// Takes time.
    Work(Duration),
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
    /// A worker waits for a job of its request.
    Nested,
    /// A request that no worker has taken up yet.
    Queued,
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

#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Lock {
    holders: Vec<(u64, bool)>,
    queue: VecDeque<(u64, bool)>,
}

/// One of the daemon's workers.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
struct Worker {
    /// The request in its hands.
    busy: Option<u64>,
    /// When it took that request up.
    since: Option<SystemTime>,
    /// Connections that it accepted and has not read, and since when.
    accepted: VecDeque<(u64, SystemTime)>,
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
    /// Until when each processor starts tasks.
    #[serde(default)]
    starting: Vec<SystemTime>,
    /// When the worker that starts a task is done with it.
    #[serde(default)]
    started_until: Option<SystemTime>,
    /// What a fault wants of the next task that begins.
    pub(super) verdict_for_next: Verdict,
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
            gives_up: None,
        };
        self.engine.jobs.insert(id, job);
        id
    }

    /// Hands a request to the daemon's workers.
    pub(super) fn begin_served(&mut self, operation: Operation) -> u64 {
        let read = self
            .daemon
            .as_ref()
            .map_or(Duration::ZERO, |daemon| daemon.read);
        let id = self.begin(None, operation, [Step::Work(read), Step::Serve]);
        let gives_up = self.now + Duration::from_secs(30);
        if let Some(job) = self.engine.jobs.get_mut(&id) {
            job.gives_up = Some(gives_up);
            job.state = State::Queued;
        }
        self.accept(id);
        id
    }

    /// When a task that is asked for now takes its first step. Starting it costs processor time: a worker that
    /// starts one while the processors are busy with others answers later.
    pub(super) fn task_begins(&mut self, node: &str) -> Option<SystemTime> {
        let daemon = self.daemon.clone()?;
        let processors = self.nodes.get(node).map_or(1, |node| node.cores.max(1)) as usize;
        let (now, starting) = (self.now, &mut self.engine.starting);
        starting.retain(|until| *until > now);
        starting.sort_unstable();
        let free = match starting.len().checked_sub(processors) {
            Some(first) => starting.remove(first),
            None => now,
        };
        starting.push(free + daemon.start_cost);
        self.engine.started_until = Some(free + daemon.fork);
        Some(now + daemon.fork)
    }

    /// A worker accepts a connection: an idle one, or one that took up another request in the same moment and
    /// looks again before it begins. Without any it waits until a worker is free.
    fn accept(&mut self, id: u64) {
        let Some(daemon) = self.daemon.clone() else {
            return;
        };
        let now = self.now;
        let workers = &mut self.engine.workers;
        workers.resize_with(daemon.workers.max(1), Worker::default);
        let recent = |worker: &Worker| {
            let age = worker
                .since
                .and_then(|since| now.duration_since(since).ok());
            worker.busy.is_some() && age.is_some_and(|age| age < daemon.accept)
        };
        // Who is idle looks sooner.
        let chances: Vec<usize> = workers
            .iter()
            .enumerate()
            .flat_map(|(index, worker)| {
                let weight = match worker.busy {
                    None => 3,
                    Some(_) if recent(worker) => 1,
                    Some(_) => 0,
                };
                std::iter::repeat_n(index, weight)
            })
            .collect();
        if chances.is_empty() {
            self.engine.backlog.push_back(id);
            return;
        }
        let chosen = chances[(self.draw() % chances.len() as u64) as usize];
        if self.engine.workers[chosen].busy.is_some() {
            self.engine.workers[chosen].accepted.push_back((id, now));
        } else {
            self.take_up(chosen, id);
        }
    }

    fn take_up(&mut self, worker: usize, id: u64) {
        let now = self.now;
        let worker = &mut self.engine.workers[worker];
        worker.busy = Some(id);
        worker.since = Some(now);
        if let Some(job) = self.engine.jobs.get_mut(&id) {
            job.state = State::Ready;
        }
    }

    /// A worker is free again: it reads what it accepted, unless that waited longer than it lets connections
    /// idle; then it takes what nobody accepted.
    fn free_worker(&mut self, id: u64) {
        let idle_limit = Duration::from_secs(5);
        let Some(index) = self
            .engine
            .workers
            .iter()
            .position(|worker| worker.busy == Some(id))
        else {
            return;
        };
        self.engine.workers[index].busy = None;
        let now = self.now;
        while let Some((next, since)) = self.engine.workers[index].accepted.pop_front() {
            if now.duration_since(since).unwrap_or_default() <= idle_limit {
                self.take_up(index, next);
                return;
            }
            self.engine
                .answers
                .entry(next)
                .or_insert_with(|| Reply::bare(596, "Broken pipe"));
            self.engine.jobs.remove(&next);
        }
        if let Some(next) = self.engine.backlog.pop_front() {
            self.take_up(index, next);
        }
    }

    /// The answer of a request that had to wait, once it is there.
    pub(super) fn take_answer(&mut self, job: u64) -> Option<Reply> {
        self.engine.answers.remove(&job)
    }

    /// When something happens next.
    pub(super) fn next_event(&self) -> Option<SystemTime> {
        let of_job = |job: &Job| {
            let own = self.next_of(job);
            match job.gives_up {
                Some(at) => Some(own.map_or(at, |own| own.min(at))),
                None => own,
            }
        };
        self.engine.jobs.values().filter_map(of_job).min()
    }

    fn next_of(&self, job: &Job) -> Option<SystemTime> {
        match job.state {
            State::Ready => Some(self.now),
            State::Nested | State::Queued => None,
            State::Waiting { deadline, next_try } => {
                Some(next_try.map_or(deadline, |at| at.min(deadline)))
            }
            State::Working { until } => Some(until),
        }
    }

    /// Plays everything that happens up to a moment; time never goes back.
    pub fn advance(&mut self, to: SystemTime) {
        loop {
            self.run_ready();
            match self.next_event() {
                Some(at) if at <= to => {
                    self.now = self.now.max(at);
                    self.wake();
                }
                _ => break,
            }
        }
        self.now = self.now.max(to);
        self.give_up_consoles();
    }

    fn wake(&mut self) {
        let now = self.now;
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
                let deadline = self.now + wait;
                let key = key.clone();
                job.steps.push_front(step);
                job.state = State::Waiting {
                    deadline,
                    next_try: None,
                };
                let lock = self.engine.locks.entry(key.clone()).or_default();
                lock.queue.push_back((id, shared));
                self.try_lock(id);
            }
            Step::Unlock(key) => self.release(id, Some(&key)),
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
            Step::Until(until) => job.state = State::Working { until },
            Step::Refuse(refusal) => self.fail(id, refusal),
            Step::Finish => {
                let operation = job.operation.clone();
                let verdict = job.verdict.clone();
                match verdict {
                    Verdict::Fails(text) => self.fail(id, Reply::failed(text)),
                    Verdict::Killed => self.end_job(id, "unexpected status"),
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

    /// A worker has read the request: it handles it.
    fn serve(&mut self, id: u64) {
        let Some(Operation::Serve(served)) =
            self.engine.jobs.get(&id).map(|job| job.operation.clone())
        else {
            return;
        };
        self.engine.verdict_for_next = served.verdict.clone();
        let handled = self.handle(&served.call, &served.headers);
        self.engine.verdict_for_next = Verdict::Natural;
        match handled {
            Handled::Now(reply) => self.answer_of(id, reply),
            Handled::Job(inner) => {
                self.engine.nested.insert(inner, id);
                if let Some(job) = self.engine.jobs.get_mut(&id) {
                    job.state = State::Nested;
                }
            }
        }
    }

    /// A served request is answered once a task that it started runs.
    fn answer_of(&mut self, id: u64, reply: Reply) {
        let until = self.engine.started_until.take().unwrap_or(self.now);
        let until = until.max(self.now + reply.takes());
        if let Some(job) = self.engine.jobs.get_mut(&id) {
            job.state = State::Ready;
            job.steps = VecDeque::from([Step::Until(until), Step::Answer(reply)]);
        }
    }

    fn try_lock(&mut self, id: u64) {
        let now = self.now;
        let Some(job) = self.engine.jobs.get_mut(&id) else {
            return;
        };
        let State::Waiting { deadline, .. } = job.state else {
            return;
        };
        let Some(Step::Lock {
            key,
            shared,
            prefix,
            ..
        }) = job.steps.front().cloned()
        else {
            return;
        };
        let lock = self.engine.locks.entry(key.clone()).or_default();
        let compatible = lock.holders.iter().all(|(_, held)| *held && shared);
        // First come, first served; but who shares does not queue behind a writer that waits.
        let in_turn = key.is_polled()
            || shared
            || lock
                .queue
                .iter()
                .take_while(|(waiter, _)| *waiter != id)
                .count()
                == 0;
        if compatible && in_turn {
            lock.queue.retain(|(waiter, _)| *waiter != id);
            lock.holders.push((id, shared));
            job.steps.pop_front();
            job.state = State::Ready;
            if let (Some(task), false) = (job.task, key.is_polled())
                && let Some(line) = self.tasks[task].log.last_mut()
                && line == "trying to acquire lock..."
            {
                *line = " OK".to_owned();
            }
            return;
        }
        if deadline <= now {
            lock.queue.retain(|(waiter, _)| *waiter != id);
            self.fail(id, Reply::failed(format!("{prefix}{}", key.timeout_text())));
            return;
        }
        if key.is_polled() {
            let left = deadline.duration_since(now).unwrap_or_default();
            let pause = Duration::from_millis(100 * left.as_secs().max(1));
            job.state = State::Waiting {
                deadline,
                next_try: Some(now + pause),
            };
        }
        if let Some(task) = job.task {
            let line = match &key {
                Key::SharedStorage(name) => {
                    format!("trying to acquire cfs lock 'storage-{name}' ...")
                }
                Key::ClusterFile(name) => format!("trying to acquire cfs lock 'file-{name}' ..."),
                Key::ClusterDomain(name) => {
                    format!("trying to acquire cfs lock 'domain-{name}' ...")
                }
                Key::Backups(_) => "INFO: trying to get global lock - waiting...".to_owned(),
                _ => "trying to acquire lock...".to_owned(),
            };
            let log = &mut self.tasks[task].log;
            if key.is_polled() || log.last() != Some(&line) {
                log.push(line);
            }
        }
    }

    /// Gives back one lock, or all, and lets others have it.
    fn release(&mut self, id: u64, only: Option<&Key>) {
        let keys: Vec<Key> = self
            .engine
            .locks
            .iter()
            .filter(|(key, _)| only.is_none_or(|only| only == *key))
            .filter(|(_, lock)| {
                lock.holders.iter().any(|(holder, _)| *holder == id)
                    || lock.queue.iter().any(|(waiter, _)| *waiter == id)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let waiting: Vec<u64> = match self.engine.locks.get_mut(&key) {
                Some(lock) => {
                    lock.holders.retain(|(holder, _)| *holder != id);
                    lock.queue.retain(|(waiter, _)| *waiter != id);
                    lock.queue.iter().map(|(waiter, _)| *waiter).collect()
                }
                None => continue,
            };
            if !key.is_polled() {
                waiting.into_iter().for_each(|waiter| self.try_lock(waiter));
            }
            if self
                .engine
                .locks
                .get(&key)
                .is_some_and(|l| l.holders.is_empty() && l.queue.is_empty())
            {
                self.engine.locks.remove(&key);
            }
        }
    }

    fn fail(&mut self, id: u64, refusal: Reply) {
        if let Some(job) = self.engine.jobs.get_mut(&id) {
            let cleanup = job.cleanup;
            job.steps.clear();
            // Who made nothing has nothing to clean up.
            if job.cleanup_owned && !cleanup.is_zero() {
                job.steps.push_back(Step::Work(cleanup));
            }
            job.steps.push_back(Step::Fail(refusal));
            job.state = State::Ready;
        }
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
                    Operation::HaRound { .. } | Operation::JobRound { .. }
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
        }
        self.release(id, None);
        self.free_worker(id);
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
        self.run_ready();
    }
}
