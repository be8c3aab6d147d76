//! Work that is a task: it stands in the lists, and has a log.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Caller, Operation};
use crate::simulator::answer::Reply;
use crate::simulator::engine::{Step, Verdict};
use crate::simulator::guest::text_of;
use crate::simulator::task::{SimTask, seconds};
use crate::simulator::world::World;

impl World {
    /// Puts a task into the list; gives its place there.
    pub(in super::super) fn record_task(
        &mut self,
        node: &str,
        kind: &str,
        id: &str,
        caller: &Caller,
    ) -> usize {
        let pid = self.next_pid;
        self.next_pid += 4 + (self.draw() % 7) as u32;
        let ticks = self
            .now
            .duration_since(self.booted)
            .unwrap_or_default()
            .as_millis()
            / 10;
        let pstart = ticks as u64;
        let upid = format!(
            "UPID:{node}:{pid:08X}:{pstart:08X}:{:08X}:{kind}:{id}:{}:",
            seconds(self.now),
            caller.full()
        );
        self.tasks.push(SimTask {
            upid,
            node: node.to_owned(),
            kind: kind.to_owned(),
            id: id.to_owned(),
            user: caller.user.clone(),
            token: caller.token.clone(),
            pid,
            pstart,
            started: self.now,
            ended: None,
            log: Vec::new(),
            phantom: false,
        });
        self.tasks.len() - 1
    }

    /// Starts a task; gives the answer with its identifier.
    pub(in super::super) fn start_task(
        &mut self,
        node: &str,
        kind: &str,
        id: &str,
        caller: &Caller,
        operation: Operation,
        steps: Vec<Step>,
    ) -> Reply {
        let lost = self.loses_start();
        let task = self.record_task(node, kind, id, caller);
        if lost {
            let now = self.now;
            self.tasks[task].phantom = true;
            self.tasks[task].end(now, "unexpected status");
            return Reply::failed("got no worker upid - start worker failed");
        }
        let upid = self.tasks[task].upid.clone();
        let cleanup = match &operation {
            Operation::Clone(_) => self.durations.clean_up,
            _ => Duration::ZERO,
        };
        let begins = self.task_begins();
        let job = self.begin(Some(task), operation, begins.into_iter().chain(steps));
        let verdict = std::mem::take(&mut self.engine.verdict_for_next);
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            if let Verdict::Fails(_) | Verdict::Killed = verdict {
                // The work is not done; the time passes all the same.
                job.steps.retain(|step| !matches!(step, Step::Check(_)));
            }
            job.verdict = verdict;
            job.cleanup = cleanup;
        }
        Reply::data(upid)
    }

    pub(in super::super) fn log(&mut self, job: u64, line: impl Into<String>) {
        if let Some(task) = self.engine.jobs.get(&job).and_then(|job| job.task) {
            self.tasks[task].log.push(line.into());
        }
    }

    /// The task of a change that its request made: it exists for the lists, and for its log.
    pub(super) fn config_task(
        &mut self,
        node: &str,
        vmid: u32,
        params: &Map<String, Value>,
        caller: &Caller,
    ) -> Reply {
        let words: Vec<String> = params
            .iter()
            .filter(|(key, _)| !["digest", "background_delay", "skiplock"].contains(&key.as_str()))
            .map(|(key, value)| match key.as_str() {
                "cipassword" => "-cipassword <hidden>".to_owned(),
                _ => format!("-{key} {}", text_of(value)),
            })
            .collect();
        let line = format!("update VM {vmid}: {}", words.join(" "));
        let steps = vec![Step::Finish];
        let reply = self.start_task(
            node,
            "qmconfig",
            &vmid.to_string(),
            caller,
            Operation::Told { line },
            steps,
        );
        // Who is ready to wait for the end gets it instead of the task.
        if params.contains_key("background_delay") {
            Reply::data(())
        } else {
            reply
        }
    }
}
