//! The schedulers of nodes: once a minute each looks which backup jobs are due, and starts their backups of its guests.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::simulator::calendar::Schedule;
use crate::simulator::engine::Step;
use crate::simulator::guest::text_of;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// The service that does this on a node.
const SERVICE: &str = "pvescheduler";

/// Settings of a job that say when it runs, not how.
const NOT_OPTIONS: [&str; 6] = [
    "schedule",
    "enabled",
    "repeat-missed",
    "comment",
    "order",
    "type",
];

/// What the schedulers know.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super::super) struct Scheduler {
    /// By job, then by node.
    runs: BTreeMap<String, BTreeMap<String, Run>>,
    /// The next minute at which somebody looks, in seconds since 1970.
    armed: Option<u64>,
}

/// What a node keeps of a job.
#[derive(Serialize, Deserialize, Debug, Clone)]
struct Run {
    /// When its schedule begins to count: its making, its last run, or the last change of when it runs.
    since: u64,
    /// The task of its last run.
    task: Option<String>,
    /// Its schedule then, and whether it was on.
    when: (String, bool),
}

/// When a job runs, and whether it does.
fn when(job: &Map<String, Value>) -> (String, bool) {
    let schedule = job.get("schedule").map(text_of).unwrap_or_default();
    let enabled = job.get("enabled").is_none_or(|on| text_of(on) != "0");
    (schedule, enabled)
}

fn root() -> Caller {
    Caller {
        user: "root@pam".to_owned(),
        token: None,
    }
}

impl World {
    /// Every job is known on every node; what changed begins to count anew, what is gone is forgotten.
    fn settle_runs(&mut self) {
        let now = seconds(self.now);
        let jobs = &self.backup_jobs.0;
        let runs = &mut self.scheduler.runs;
        runs.retain(|id, _| jobs.contains_key(id));
        for (id, job) in jobs {
            let runs = runs.entry(id.clone()).or_default();
            for node in self.nodes.keys() {
                let fresh = || Run {
                    since: now,
                    task: None,
                    when: when(job),
                };
                let run = runs.entry(node.clone()).or_insert_with(fresh);
                if run.when != when(job) {
                    run.when = when(job);
                    run.since = now;
                }
            }
        }
    }

    /// When a job is due on a node by its schedule; none if it does not run there.
    fn due(&self, id: &str, node: &str) -> Option<u64> {
        let job = self.backup_jobs.0.get(id)?;
        let (schedule, enabled) = when(job);
        let elsewhere = job.get("node").is_some_and(|only| text_of(only) != node);
        if !enabled || elsewhere || !self.runs(node, SERVICE) {
            return None;
        }
        let run = self.scheduler.runs.get(id)?.get(node)?;
        let schedule: Schedule = schedule.parse().ok()?;
        schedule.next_after(run.since)
    }

    /// Jobs changed, or ran: somebody looks again at the next minute at which one is due.
    pub(in super::super::super) fn arm_scheduler(&mut self) {
        self.settle_runs();
        let now = seconds(self.now);
        let all = self.scheduler.runs.iter();
        let all = all.flat_map(|(id, nodes)| nodes.keys().map(move |node| (id, node)));
        let Some(due) = all.filter_map(|(id, node)| self.due(id, node)).min() else {
            return;
        };
        let next_minute = (now / 60 + 1) * 60;
        let at = (due.div_ceil(60) * 60).max(next_minute);
        let armed = self.scheduler.armed;
        if armed.is_some_and(|armed| armed > now && armed <= at) {
            return;
        }
        self.scheduler.armed = Some(at);
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        let steps = [Step::Until(until), Step::Finish];
        self.begin(None, Operation::JobRound { at }, steps);
    }

    /// A minute at which some job may be due.
    pub(in super::super::super) fn job_round(&mut self, at: u64) {
        if self.scheduler.armed == Some(at) {
            self.scheduler.armed = None;
        }
        self.settle_runs();
        let nodes: Vec<String> = self.nodes_up().map(str::to_owned).collect();
        for node in nodes {
            self.run_due_jobs(&node);
        }
        self.arm_scheduler();
    }

    /// Starts what is due on a node, apart from jobs whose last run goes on.
    fn run_due_jobs(&mut self, node: &str) {
        let now = seconds(self.now);
        let ids: Vec<String> = self.backup_jobs.0.keys().cloned().collect();
        for id in ids {
            let run = self.scheduler.runs.get(&id).and_then(|runs| runs.get(node));
            let last = run.and_then(|run| run.task.as_ref());
            let goes_on = last.is_some_and(|upid| {
                let mut tasks = self.tasks.iter();
                tasks.any(|task| task.upid == *upid && task.ended.is_none())
            });
            if goes_on || self.due(&id, node).is_none_or(|due| due > now) {
                continue;
            }
            let Some(job) = self.backup_jobs.0.get(&id) else {
                continue;
            };
            let mut options = job.clone();
            options.retain(|name, _| !NOT_OPTIONS.contains(&name.as_str()));
            options.insert("job-id".to_owned(), id.as_str().into());
            options.insert("quiet".to_owned(), 1.into());
            let task = self.start_dump(node, &options, &root());
            let runs = self.scheduler.runs.get_mut(&id);
            if let Some(run) = runs.and_then(|runs| runs.get_mut(node)) {
                run.since = now;
                run.task = task;
            }
        }
    }

    /// The scheduler of a node begins: of what it missed it makes up for jobs that say so.
    pub(in super::super::super) fn scheduler_begins(&mut self, node: &str) {
        self.settle_runs();
        let now = seconds(self.now);
        for (id, runs) in &mut self.scheduler.runs {
            let job = self.backup_jobs.0.get(id);
            let repeats = job.and_then(|job| job.get("repeat-missed"));
            let repeats = repeats.is_some_and(|flag| text_of(flag) == "1");
            if let Some(run) = runs.get_mut(node).filter(|_| !repeats) {
                run.since = now;
            }
        }
        self.run_due_jobs(node);
        self.arm_scheduler();
    }
}
