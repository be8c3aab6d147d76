//! Processors: whoever computes on a node shares them evenly with all others.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::{Job, State};
use crate::simulator::operation::Operation;
use crate::simulator::world::World;

/// Less than this is nothing.
const NOTHING: Duration = Duration::from_micros(1);

/// How fast requests and tasks compute, by node.
pub(super) type Rates = BTreeMap<String, (f64, f64)>;

/// What of so many processors each of these requests and each of these tasks gets, where a request counts as several
/// tasks; nobody uses more than one.
fn shares(processors: f64, requests: f64, tasks: f64, weight: f64) -> (f64, f64) {
    let of_request = (processors * weight / (requests * weight + tasks)).min(1.0);
    if tasks == 0.0 {
        return (of_request, 1.0);
    }
    let of_task = ((processors - requests * of_request) / tasks).min(1.0);
    if requests == 0.0 {
        return (1.0, of_task);
    }
    // What tasks do not need is there for requests.
    (
        ((processors - tasks * of_task) / requests).min(1.0),
        of_task,
    )
}

/// Whether a task's process computes, rather than the worker of a request.
fn is_of_task(job: &Job) -> bool {
    job.task.is_some() || matches!(job.operation, Operation::Leave { .. })
}

impl World {
    /// Whose processors a job uses: requests are handled by the first node.
    fn place_of(&self, job: &Job) -> String {
        let of_task = match &job.operation {
            Operation::Leave { node } => Some(node.clone()),
            _ => job.task.map(|task| self.tasks[task].node.clone()),
        };
        of_task
            .or_else(|| self.nodes.keys().next().cloned())
            .unwrap_or_default()
    }

    /// Processor time that jobs get in a second.
    pub(super) fn rates(&self) -> Rates {
        let weight = self.daemon.as_ref().map_or(1.0, |it| it.weight.max(1e-3));
        let mut computing: Rates = BTreeMap::new();
        for job in self.engine.jobs.values() {
            if matches!(job.state, State::Computing { .. }) {
                let (requests, tasks) = computing.entry(self.place_of(job)).or_default();
                *(if is_of_task(job) { tasks } else { requests }) += 1.0;
            }
        }
        for (node, counts) in &mut computing {
            let processors = self.nodes.get(node).map_or(1, |node| node.cores.max(1));
            *counts = shares(f64::from(processors), counts.0, counts.1, weight);
        }
        computing
    }

    fn rate_of(&self, job: &Job, rates: &Rates) -> f64 {
        let (request, task) = rates
            .get(&self.place_of(job))
            .copied()
            .unwrap_or((1.0, 1.0));
        if is_of_task(job) { task } else { request }
    }

    /// When a job that computes is done, if nobody comes or goes until then.
    pub(super) fn computed_at(&self, job: &Job, left: Duration, rates: &Rates) -> SystemTime {
        self.now + left.div_f64(self.rate_of(job, rates))
    }

    /// Time passes: who computes gets on with it.
    pub(super) fn pass_to(&mut self, moment: SystemTime) {
        let passed = moment.duration_since(self.now).unwrap_or_default();
        if passed.is_zero() {
            return;
        }
        let rates = self.rates();
        if !rates.is_empty() {
            let places: Vec<(u64, f64)> = self
                .engine
                .jobs
                .values()
                .filter(|job| matches!(job.state, State::Computing { .. }))
                .map(|job| (job.id, self.rate_of(job, &rates)))
                .collect();
            for (id, rate) in places {
                if let Some(job) = self.engine.jobs.get_mut(&id)
                    && let State::Computing { left } = &mut job.state
                {
                    *left = left.saturating_sub(passed.mul_f64(rate));
                }
            }
        }
        self.now = moment;
    }

    /// Who computed enough goes on.
    pub(super) fn wake_computed(&mut self) {
        for job in self.engine.jobs.values_mut() {
            if matches!(job.state, State::Computing { left } if left <= NOTHING) {
                job.state = State::Ready;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_shared_out_wholly_and_nobody_uses_more_than_one() {
        for processors in [1.0, 2.0, 24.0] {
            for requests in 0..8u32 {
                for tasks in 0..30u32 {
                    let (requests, tasks) = (f64::from(requests), f64::from(tasks));
                    let (request, task) = shares(processors, requests, tasks, 3.0);
                    assert!(request <= 1.0 && task <= 1.0);
                    assert!(request >= task || tasks == 0.0);
                    let used = requests * request + tasks * task;
                    let wanted = processors.min(requests + tasks);
                    assert!((used - wanted).abs() < 1e-9, "{requests} {tasks}: {used}");
                }
            }
        }
    }
}
