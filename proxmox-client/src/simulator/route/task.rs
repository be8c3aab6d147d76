//! Tasks: state, log, lists, stopping.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Handled, list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// How often a task that was told to stop may still be there.
const LOOKS: u8 = 5;

impl World {
    /// All running tasks, then so many of the newest finished ones that there are 25 entries.
    pub(super) fn cluster_tasks(&self) -> Reply {
        let newest = || self.tasks.iter().rev();
        let mut entries: Vec<_> = newest().filter(|task| task.ended.is_none()).collect();
        let room = 25usize.saturating_sub(entries.len());
        entries.extend(newest().filter(|task| task.ended.is_some()).take(room));
        Reply::data(list(entries.into_iter().map(|task| task.cluster_entry())))
    }

    pub(super) fn node_tasks(
        &mut self,
        method: &str,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        match (method, rest) {
            ("DELETE", [upid]) => match self.find_task(upid) {
                Ok(task) => self.stop_task(task),
                Err(refusal) => Handled::Now(refusal),
            },
            ("GET", _) => self.read_tasks(node, rest, call, caller).into(),
            _ => Handled::Now(not_simulated(call)),
        }
    }

    /// Tells a task to stop; the answer comes when it is gone.
    fn stop_task(&mut self, task: usize) -> Handled {
        if let Some(job) = self.job_of(task) {
            match self.interrupted_work(job) {
                Some(text) => self.interrupt(job, &text),
                None => self.end_job(job, "unexpected status"),
            }
        }
        let looks = [Step::Check(0), Step::Finish];
        Handled::Job(self.begin(None, Operation::StopTask { task }, looks))
    }

    /// Looks whether a task that was told to stop is gone, again and again; kills it after the last look.
    pub(in super::super) fn await_stop(&mut self, job: u64, task: usize, look: u8) {
        let Some(running) = self.job_of(task) else {
            return;
        };
        if look == LOOKS {
            self.end_job(running, "unexpected status");
        } else if let Some(job) = self.engine.jobs.get_mut(&job) {
            job.steps.push_front(Step::Check(look + 1));
            job.steps.push_front(Step::Work(self.durations.stop_look));
        }
    }

    fn read_tasks(&self, node: &str, rest: &[&str], call: &Call, caller: &Caller) -> Outcome {
        match rest {
            [] => Ok(self.task_list(node, call, caller)),
            [upid, "status"] => {
                let task = self.find_task(upid)?;
                Ok(Reply::data(Value::Object(self.tasks[task].status())))
            }
            [upid, "log"] => self.task_log(upid, call),
            _ => Err(not_simulated(call)),
        }
    }

    /// What work that cleans up behind itself ends with when its task is stopped: a backup, the restoration of a
    /// container, a clone that is copying, a migration to another cluster.
    fn interrupted_work(&mut self, job: u64) -> Option<String> {
        if let Operation::RemoteMigrate(_) = &self.engine.jobs.get(&job)?.operation {
            return Some(self.give_up_remote(job, "interrupted by signal").reason);
        }
        let work = match &self.engine.jobs.get(&job)?.operation {
            Operation::Dump(_) => return Some("interrupted by signal".to_owned()),
            Operation::RestoreContainer(work) => return Some(work.interrupted()),
            Operation::Clone(work) => work,
            _ => return None,
        };
        let mut drives = self.drives_of(work.source);
        drives.sort_by(|a, b| a.0.cmp(&b.0));
        let (_, drive) = drives
            .into_iter()
            .find(|(_, drive)| drive.get("media") != Some("cdrom"))?;
        let format = &self.volume(&drive.file)?.format;
        let from = self.storage_of(&drive.file)?;
        let to = match &work.storage {
            Some(name) => self.storages.get(name)?,
            None => from,
        };
        let stem = format!("vm-{}-disk-0", work.target);
        let target = to.image_name(work.target, &stem, format);
        let target = to.path_of(&format!("{}:{target}", to.name));
        let limit = work
            .limit
            .map(|bytes| format!(" -r {}K", bytes >> 10))
            .unwrap_or_default();
        Some(format!(
            "clone failed: copy failed: command '/usr/bin/qemu-img convert -p -n{limit} -f {format} -O {format} \
             {} zeroinit:{target}' failed: interrupted by signal",
            from.path_of(&drive.file)
        ))
    }

    fn find_task(&self, upid: &str) -> Result<usize, Reply> {
        if !upid.starts_with("UPID:") || upid.split(':').count() != 9 {
            return Err(Reply::parameter("upid", "unable to parse worker upid"));
        }
        self.tasks
            .iter()
            .position(|task| task.upid == upid && !task.phantom)
            .ok_or_else(|| Reply::parameter("upid", "no such task"))
    }

    fn task_log(&self, upid: &str, call: &Call) -> Outcome {
        let Ok(task) = self.find_task(upid) else {
            if !upid.starts_with("UPID:") {
                return Err(Reply::parameter("upid", "unable to parse worker upid"));
            }
            let line = json!({ "n": 1, "t": "unable to open file - No such file or directory" });
            return Ok(Reply::page(json!([line]), 1));
        };
        let lines = &self.tasks[task].log;
        if lines.is_empty() {
            return Ok(Reply::page(json!([{ "n": 1, "t": "no content" }]), 1));
        }
        let start = call.number("start").unwrap_or(0) as usize;
        let limit = match call.number("limit").unwrap_or(50) {
            0 => usize::MAX,
            limit => limit as usize,
        };
        let page: Vec<Value> = lines
            .iter()
            .enumerate()
            .skip(start)
            .take(limit)
            .map(|(index, line)| json!({ "n": index + 1, "t": line }))
            .collect();
        Ok(Reply::page(page, lines.len()))
    }

    fn task_list(&self, node: &str, call: &Call, caller: &Caller) -> Reply {
        let source = call.text("source").unwrap_or_else(|| "archive".to_owned());
        let vmid = call.text("vmid");
        let kind = call.text("typefilter");
        let moment = |name: &str| {
            call.number(name)
                .map(|at| SystemTime::UNIX_EPOCH + Duration::from_secs(at))
        };
        let (since, until) = (moment("since"), moment("until"));
        let errors = call.flag("errors");
        let all: Vec<_> = self
            .tasks
            .iter()
            .rev()
            .filter(|task| task.node == node && self.lists_task(caller, task))
            .filter(|task| match source.as_str() {
                "active" => task.ended.is_none(),
                "all" => true,
                _ => task.ended.is_some(),
            })
            .filter(|task| vmid.as_ref().is_none_or(|vmid| *vmid == task.id))
            .filter(|task| kind.as_ref().is_none_or(|kind| *kind == task.kind))
            .filter(|task| since.is_none_or(|since| seconds(task.started) >= seconds(since)))
            .filter(|task| until.is_none_or(|until| seconds(task.started) <= seconds(until)))
            .filter(|task| {
                !errors
                    || task
                        .ended
                        .as_ref()
                        .is_some_and(|(_, status)| status != "OK")
            })
            .collect();
        let start = call.number("start").unwrap_or(0) as usize;
        let limit = call.number("limit").unwrap_or(50) as usize;
        let page = list(
            all.iter()
                .skip(start)
                .take(limit)
                .map(|task| task.node_entry()),
        );
        Reply::page(page, all.len())
    }
}
