//! The workers of the privileged daemon: who takes up a request, and what becomes of those that wait.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{State, Step, Verdict};
use crate::simulator::answer::Reply;
use crate::simulator::operation::{Operation, Served};
use crate::simulator::route::Handled;
use crate::simulator::world::{Daemon, World};

/// One of the daemon's workers.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Worker {
    /// The request in its hands.
    busy: Option<u64>,
    /// When it took that request up.
    since: Option<SystemTime>,
    accepted: VecDeque<Connection>,
}

/// A connection that a worker accepted and has not answered.
#[derive(Serialize, Deserialize, Debug, Clone)]
struct Connection {
    request: u64,
    since: SystemTime,
    /// Whether its request lay there already, so that it is read together with the one before.
    read: bool,
}

impl World {
    /// Takes in a request: the proxy answers it, or hands it to the daemon.
    pub(in super::super) fn begin_served(&mut self, served: Served, protected: bool) -> u64 {
        let Daemon {
            proxy,
            upload_speed,
            ..
        } = self.daemon.clone().unwrap_or_default();
        // The proxy keeps a file before anybody looks at it.
        let size = served.call.file.as_ref().map_or(0, |file| file.size);
        let keeping = Duration::from_secs_f64(size as f64 / upload_speed.max(1) as f64);
        let steps = [
            Step::Compute(self.about(proxy) + keeping),
            if protected {
                Step::Forward
            } else {
                Step::Serve
            },
        ];
        self.begin(None, Operation::Serve(Box::new(served)), steps)
    }

    /// A time as it comes out once: some longer, some shorter.
    fn about(&mut self, time: Duration) -> Duration {
        let jitter = self.daemon.as_ref().map_or(0.0, |daemon| daemon.jitter);
        let chance = self.chance() * 2.0 - 1.0;
        time.mul_f64((1.0 + jitter * chance).max(0.0))
    }

    /// The proxy hands a request to the daemon's workers.
    pub(super) fn forward(&mut self, id: u64) {
        let Some(Daemon { read, patience, .. }) = self.daemon.clone() else {
            return;
        };
        let read = self.about(read);
        let gives_up = self.now + patience;
        if let Some(job) = self.engine.jobs.get_mut(&id) {
            job.steps = VecDeque::from([Step::Compute(read), Step::Serve]);
            job.gives_up = Some(gives_up);
            job.state = State::Queued;
        }
        self.accept(id);
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
        // Who is idle looks somewhat sooner.
        let weight = |worker: &Worker| {
            let age = worker
                .since
                .and_then(|since| now.duration_since(since).ok());
            match worker.busy {
                None => 3,
                Some(_) if age.is_some_and(|age| age < daemon.accept) => 2,
                Some(_) => 0,
            }
        };
        let chances: Vec<usize> = workers
            .iter()
            .enumerate()
            .flat_map(|(index, worker)| std::iter::repeat_n(index, weight(worker)))
            .collect();
        if chances.is_empty() {
            self.engine.backlog.push_back(id);
            return;
        }
        let chosen = chances[(self.draw() % chances.len() as u64) as usize];
        if self.engine.workers[chosen].busy.is_some() {
            self.engine.workers[chosen].accepted.push_back(Connection {
                request: id,
                since: now,
                read: false,
            });
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

    /// A worker is free again: it goes on with what it accepted. What came while it was busy and waited unread for
    /// longer than it lets connections idle, it drops. Then it takes its share of what nobody accepted.
    pub(super) fn free_worker(&mut self, id: u64) {
        let workers = &self.engine.workers;
        let Some(index) = workers.iter().position(|worker| worker.busy == Some(id)) else {
            return;
        };
        let idle = self.daemon.clone().unwrap_or_default().idle;
        self.engine.workers[index].busy = None;
        let now = self.now;
        while let Some(next) = self.engine.workers[index].accepted.pop_front() {
            if next.read || now.duration_since(next.since).unwrap_or_default() <= idle {
                self.take_up(index, next.request);
                return;
            }
            self.engine
                .answers
                .entry(next.request)
                .or_insert_with(|| Reply::bare(596, "Broken pipe"));
            self.engine.jobs.remove(&next.request);
        }
        let share = self
            .engine
            .backlog
            .len()
            .div_ceil(self.engine.workers.len());
        let mut taken: VecDeque<u64> = self.engine.backlog.drain(..share).collect();
        if let Some(first) = taken.pop_front() {
            self.take_up(index, first);
        }
        let waiting = taken.into_iter().map(|request| Connection {
            request,
            since: now,
            read: true,
        });
        self.engine.workers[index].accepted.extend(waiting);
    }

    /// A worker has read the request: it handles it.
    pub(super) fn serve(&mut self, id: u64) {
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
    pub(super) fn answer_of(&mut self, id: u64, reply: Reply) {
        let started = std::mem::take(&mut self.engine.started);
        let fork = self.daemon.as_ref().map_or(Duration::ZERO, |it| it.fork);
        let steps = match started {
            0 => vec![Step::Work(reply.takes()), Step::Answer(reply)],
            tasks => vec![Step::Compute(fork * tasks), Step::Answer(reply)],
        };
        if let Some(job) = self.engine.jobs.get_mut(&id) {
            job.state = State::Ready;
            job.steps = steps.into();
        }
    }

    /// What the process of a new task does before its first step.
    pub(in super::super) fn task_begins(&mut self) -> Option<Step> {
        let daemon = self.daemon.as_ref()?;
        self.engine.started += 1;
        Some(Step::Compute(daemon.child))
    }

    /// What the process of a task costs once the task has ended.
    pub(super) fn task_leaves(&mut self, task: usize) {
        let cost = self.daemon.as_ref().map_or(Duration::ZERO, |it| it.end);
        if !cost.is_zero() {
            let node = self.tasks[task].node.clone();
            self.begin(None, Operation::Leave { node }, [Step::Compute(cost)]);
        }
    }

    /// Whether the start of a task gets lost: the end of another one interrupts the worker that waits for it.
    pub(in super::super) fn loses_start(&mut self) -> bool {
        let Some(daemon) = &self.daemon else {
            return false;
        };
        let lost = daemon.lost_start;
        let others = self.engine.jobs.values().any(|job| job.task.is_some());
        lost > 0.0 && others && self.chance() < lost
    }

    /// Whether a connection is closed without an answer, which happens to those with a ticket only.
    pub(in super::super) fn drops(&mut self, headers: &BTreeMap<String, String>) -> bool {
        let chance = self.daemon.as_ref().map_or(0.0, |daemon| daemon.dropped);
        chance > 0.0 && headers.contains_key("cookie") && self.chance() < chance
    }

    /// How long a change of a file takes, under the file's lock.
    pub(in super::super) fn writing(&self) -> Duration {
        self.daemon.as_ref().map_or(Duration::ZERO, |it| it.write)
    }
}
