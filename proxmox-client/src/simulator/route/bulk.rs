//! Many guests at once: of a node, or of the whole cluster.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::shared::names;
use super::{Handled, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::guest::{Guest, Species};
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::world::World;

/// What is done with each guest.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
enum Action {
    Start,
    Shutdown,
    Suspend,
    Migrate { target: String },
}

/// Work on many guests in progress.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super) struct Bulk {
    action: Action,
    /// Asked of the cluster, not of a node.
    whole: bool,
    /// Guests that are left, in groups that wait for each other.
    left: Vec<Vec<u32>>,
    /// Guests whose tasks run, and the places of these in the list of all.
    running: Vec<(u32, usize)>,
    workers: usize,
    params: Map<String, Value>,
    started: usize,
    failed: Vec<u32>,
    warnings: u32,
    caller: Caller,
}

/// How a guest wants to be started and stopped with others.
struct Startup {
    order: u64,
    up: Option<u64>,
    down: Option<u64>,
}

impl Startup {
    fn of(guest: &Guest) -> Self {
        let text = guest.text("startup").unwrap_or_default();
        let mut startup = Self {
            order: u64::MAX,
            up: None,
            down: None,
        };
        for part in text.split(',') {
            let (key, value) = part.split_once('=').unwrap_or(("order", part));
            match (key, value.parse().ok()) {
                ("order", Some(order)) => startup.order = order,
                ("up", up) => startup.up = up,
                ("down", down) => startup.down = down,
                _ => {}
            }
        }
        startup
    }
}

/// What became of the attempt to begin with a guest.
enum Begun {
    /// Its task, and how long the next guest waits.
    Task(usize, u64),
    /// Nothing was to be done.
    Skipped,
    Failed(String),
}

impl World {
    /// `startall` and its kin, of a node.
    pub(super) fn node_bulk(
        &mut self,
        node: &str,
        what: &str,
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        let action = match what {
            "startall" => Action::Start,
            "stopall" => Action::Shutdown,
            "suspendall" => Action::Suspend,
            _ => Action::Migrate {
                target: self.migration_target(node, call)?,
            },
        };
        let vms = call.text("vms");
        let chosen = vms.as_deref().map(|vms| numbers(names(vms)));
        let boot_only = action == Action::Start && !call.flag("force");
        if action == Action::Start {
            self.drop_backup_locks(node);
        }
        let workers = match self.workers(call) {
            Some(workers) => workers,
            None if matches!(action, Action::Migrate { .. }) => {
                let text =
                    "either 'max-workers' parameter or max_workers in datacenter.cfg must be set!";
                return Err(Reply::failed(text));
            }
            None => {
                let processors = self.nodes.get(node).map_or(1, |node| node.cores);
                processors.saturating_sub(1).clamp(1, 8) as usize
            }
        };
        let left = self.groups(&action, Some(node), chosen.as_deref(), boot_only, false);
        let bulk = Bulk::new(action, false, left, workers, call, caller);
        Ok(self.begin_bulk(node, what, bulk))
    }

    /// Actions of the whole cluster.
    pub(super) fn cluster_bulk(&mut self, what: &str, call: &Call, caller: &Caller) -> Outcome {
        let action = match what {
            "start" => Action::Start,
            "shutdown" => Action::Shutdown,
            "suspend" => Action::Suspend,
            "migrate" => Action::Migrate {
                target: call.text("target").unwrap_or_default(),
            },
            _ => return Err(not_simulated(call)),
        };
        let chosen = call.params.get("vms").map(|vms| match vms {
            Value::Array(items) => {
                let texts: Vec<String> =
                    items.iter().map(crate::simulator::guest::text_of).collect();
                numbers(texts.iter().map(String::as_str))
            }
            one => numbers(names(&crate::simulator::guest::text_of(one))),
        });
        let few = if matches!(action, Action::Migrate { .. }) {
            1
        } else {
            4
        };
        let workers = self.workers(call).unwrap_or(few);
        let left = self.groups(&action, None, chosen.as_deref(), false, true);
        let (verb, suffix) = match &action {
            Action::Start => ("Starting", String::new()),
            Action::Shutdown => ("Shutting down", String::new()),
            Action::Suspend => ("Suspending", String::new()),
            Action::Migrate { target } => ("Migrating", format!(" to {target}")),
        };
        let line = match chosen {
            Some(vmids) if !vmids.is_empty() => {
                format!("{verb} guests{suffix}: {}", joined(&vmids))
            }
            _ => format!("{verb} all guests{suffix}"),
        };
        let bulk = Bulk::new(action, true, left, workers, call, caller);
        let node = self.nodes.keys().next().cloned().unwrap_or_default();
        let reply = self.begin_bulk(&node, &format!("bulk-{what}"), bulk);
        if let Some(task) = self.tasks.last_mut() {
            task.log.push(line);
        }
        Ok(reply)
    }

    fn begin_bulk(&mut self, node: &str, kind: &str, bulk: Bulk) -> Reply {
        let caller = bulk.caller.clone();
        let operation = Operation::Bulk(Box::new(bulk));
        let steps = vec![Step::Check(0), Step::Finish];
        self.start_task(node, kind, "", &caller, operation, steps)
    }

    fn workers(&self, call: &Call) -> Option<usize> {
        let asked = call.number("max-workers").or(call.number("maxworkers"));
        let set = || self.options.get("max_workers")?.parse().ok();
        asked.or_else(set).map(|workers| (workers as usize).max(1))
    }

    /// The guests that an action is about, in the order in which it takes them.
    fn groups(
        &self,
        action: &Action,
        node: Option<&str>,
        chosen: Option<&[u32]>,
        boot_only: bool,
        whole: bool,
    ) -> Vec<Vec<u32>> {
        let moves = matches!(action, Action::Migrate { .. });
        let wanted = |guest: &&Guest| {
            node.is_none_or(|node| guest.node == node)
                && chosen.is_none_or(|chosen| chosen.contains(&guest.vmid))
                && (moves || !guest.is_template())
                && (moves || chosen.is_some() || !self.is_ha_managed(guest.vmid))
                && (!boot_only || guest.text("onboot").as_deref() == Some("1"))
        };
        let guests: Vec<&Guest> = self.guests.values().filter(wanted).collect();
        if moves {
            let mut vmids: Vec<String> =
                guests.iter().map(|guest| guest.vmid.to_string()).collect();
            // As texts, like the server.
            vmids.sort();
            return vec![numbers(vmids.iter().map(String::as_str))];
        }
        let mut groups: Vec<(u64, Vec<u32>)> = Vec::new();
        for guest in guests {
            let order = Startup::of(guest).order;
            match groups.iter_mut().find(|(have, _)| *have == order) {
                Some((_, group)) => group.push(guest.vmid),
                None => groups.push((order, vec![guest.vmid])),
            }
        }
        groups.sort_unstable_by_key(|(order, _)| *order);
        if *action != Action::Start {
            groups.reverse();
            if !whole {
                groups.iter_mut().for_each(|(_, group)| group.reverse());
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// What a backup that was cut off left behind.
    fn drop_backup_locks(&mut self, node: &str) {
        let of_node = self.guests.values().filter(|guest| guest.node == node);
        let held = of_node.filter(|guest| guest.lock().as_deref() == Some("backup"));
        let held: Vec<u32> = held.map(|guest| guest.vmid).collect();
        held.into_iter().for_each(|vmid| self.unlock_config(vmid));
    }

    /// Goes on with the guests as far as it can now, then waits for a second.
    pub(in super::super) fn go_on_with_bulk(&mut self, job: u64, bulk: &Bulk) {
        let mut bulk = bulk.clone();
        let mut pause = None;
        loop {
            self.reap(job, &mut bulk);
            let Some(group) = bulk.left.first_mut() else {
                break;
            };
            if group.is_empty() {
                // A group is done once all of its tasks are.
                if !bulk.running.is_empty() {
                    break;
                }
                bulk.left.remove(0);
                continue;
            }
            if bulk.running.len() >= bulk.workers {
                break;
            }
            let vmid = group.remove(0);
            match self.begin_with(job, &mut bulk, vmid) {
                Begun::Task(task, delay) => {
                    bulk.running.push((vmid, task));
                    bulk.started += 1;
                    if delay > 0 {
                        pause = Some(delay);
                        break;
                    }
                }
                Begun::Skipped => {}
                Begun::Failed(why) => {
                    bulk.failed.push(vmid);
                    let line = if bulk.whole {
                        bulk.warnings += 1;
                        format!("WARN: {why}")
                    } else {
                        why
                    };
                    self.log(job, line);
                }
            }
        }
        let done = bulk.left.is_empty() && bulk.running.is_empty();
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            job.operation = Operation::Bulk(Box::new(bulk));
            if !done {
                job.steps.push_front(Step::Check(0));
                let pause = Duration::from_secs(pause.unwrap_or(1));
                job.steps.push_front(Step::Work(pause));
            }
        }
    }

    /// Takes note of tasks that ended.
    fn reap(&mut self, job: u64, bulk: &mut Bulk) {
        let mut lines = Vec::new();
        bulk.running.retain(|(vmid, task)| {
            let Some((_, status)) = self.tasks.get(*task).and_then(|task| task.ended.as_ref())
            else {
                return true;
            };
            let good = status == "OK" || status.starts_with("WARNINGS");
            if !good {
                bulk.failed.push(*vmid);
                let noun = self
                    .guests
                    .get(vmid)
                    .map_or("VM", |guest| guest.species.noun());
                let verb = match &bulk.action {
                    Action::Start => "Starting",
                    Action::Shutdown | Action::Suspend => "Stopping",
                    Action::Migrate { .. } => "Migrating",
                };
                lines.push(format!("{verb} {noun} {vmid} failed: {status}"));
            }
            false
        });
        for line in lines {
            match bulk.whole {
                true => {
                    bulk.warnings += 1;
                    self.log(job, format!("WARN: {line}"));
                }
                false if bulk.action == Action::Start => self.log(job, line),
                false => {}
            }
        }
    }

    fn begin_with(&mut self, job: u64, bulk: &mut Bulk, vmid: u32) -> Begun {
        let Some(guest) = self.guests.get(&vmid) else {
            return Begun::Skipped;
        };
        let (node, species, on) = (guest.node.clone(), guest.species, guest.is_on());
        let (paused, startup) = (guest.paused, Startup::of(guest));
        let noun = species.noun();
        let mut skip = |world: &mut Self, why: String| {
            if bulk.whole {
                bulk.warnings += 1;
                world.log(job, format!("WARN: {why}"));
            }
            Begun::Skipped
        };
        let mut params = Map::new();
        let mut delay = 0;
        let (command, line) = match &bulk.action {
            Action::Start => {
                if on && !(bulk.whole && paused) {
                    return skip(self, format!("Skipping {noun} {vmid}, already running."));
                }
                let limit = bulk.params.get("timeout");
                if let (Some(limit), false, Species::Machine) = (limit, on, species) {
                    params.insert("timeout".to_owned(), limit.clone());
                }
                if !bulk.whole {
                    let usual = if species == Species::Machine { 3 } else { 0 };
                    delay = startup.up.unwrap_or(usual);
                }
                let command = if on { "status/resume" } else { "status/start" };
                (command, format!("Starting {noun} {vmid}"))
            }
            Action::Shutdown => {
                if !on {
                    return skip(self, format!("Skipping {noun} {vmid}, not running."));
                }
                let asked = bulk
                    .params
                    .get("timeout")
                    .map(crate::simulator::guest::text_of);
                let asked = asked.and_then(|asked| asked.parse().ok());
                let limit = startup.down.or(asked).unwrap_or(180);
                let force = bulk
                    .params
                    .get("force-stop")
                    .map(crate::simulator::guest::text_of);
                let force = force.as_deref() != Some("0");
                if paused && !force && bulk.whole {
                    let why = format!("Skipping VM {vmid}, resume paused VM before shutdown.");
                    return skip(self, why);
                }
                params.insert("timeout".to_owned(), limit.into());
                params.insert("forceStop".to_owned(), u8::from(force).into());
                let line = match bulk.whole {
                    true => format!("Shutting down {noun} {vmid} (Timeout = {limit} seconds)"),
                    false => format!("Stopping {noun} {vmid} (timeout = {limit} seconds)"),
                };
                ("status/shutdown", line)
            }
            Action::Suspend => {
                if species == Species::Container {
                    bulk.warnings += 1;
                    let line = format!("WARN: skipping {vmid}, only VMs can be suspended");
                    self.log(job, line);
                    return Begun::Skipped;
                }
                if !on {
                    let why = format!("Skipping VM {vmid}, not running.");
                    if !bulk.whole {
                        self.log(job, format!("VM {vmid} not running, skipping suspension"));
                    }
                    return skip(self, why);
                }
                let disk = bulk
                    .params
                    .get("to-disk")
                    .map(crate::simulator::guest::text_of);
                let disk = !bulk.whole || disk.as_deref() == Some("1");
                params.insert("todisk".to_owned(), u8::from(disk).into());
                ("status/suspend", format!("Suspending VM {vmid}"))
            }
            Action::Migrate { target } => {
                if node == *target {
                    return skip(self, format!("{noun} {vmid} already on {node}, skipping."));
                }
                params.insert("target".to_owned(), target.as_str().into());
                let online = match bulk.params.get("online") {
                    Some(online) if bulk.whole => crate::simulator::guest::text_of(online) == "1",
                    _ => on && !bulk.whole,
                };
                let local = bulk.params.get("with-local-disks").cloned();
                match species {
                    Species::Container => {
                        params.insert("restart".to_owned(), u8::from(online).into());
                    }
                    Species::Machine => {
                        params.insert("online".to_owned(), u8::from(online).into());
                        params.extend(local.map(|on| ("with-local-disks".to_owned(), on)));
                        if !bulk.whole
                            && let Some(disks) = self.disks_in_the_way(vmid, bulk)
                        {
                            self.log(
                                job,
                                format!(
                                    "Check VM {vmid}: skip VM {vmid} - precondition check failed:"
                                ),
                            );
                            return Begun::Failed(format!("  Has local disks: {disks}"));
                        }
                        if !bulk.whole {
                            self.log(job, format!("Check VM {vmid}: precondition check passed"));
                        }
                    }
                }
                ("migrate", format!("Migrating {noun} {vmid}"))
            }
        };
        self.log(job, line);
        let path = format!("/nodes/{node}/{}/{vmid}/{command}", species.branch());
        match self.call_within("POST", &path, params, &bulk.caller) {
            Ok(task) => Begun::Task(task, delay),
            Err(why) => Begun::Failed(why),
        }
    }

    /// Local disks of a machine that runs, which it cannot leave behind.
    fn disks_in_the_way(&self, vmid: u32, bulk: &Bulk) -> Option<String> {
        let taken = bulk
            .params
            .get("with-local-disks")
            .map(crate::simulator::guest::text_of);
        let on = self.guests.get(&vmid).is_some_and(Guest::is_on);
        if !on || taken.as_deref() == Some("1") {
            return None;
        }
        let local = self.drives_of(vmid).into_iter().filter_map(|(_, drive)| {
            let storage = self.storage_of(&drive.file)?;
            (!storage.shared).then_some(drive.file)
        });
        let local: Vec<String> = local.collect();
        (!local.is_empty()).then(|| local.join(", "))
    }

    /// Makes a call that starts a task, as the caller; gives the task's place in the list of all.
    fn call_within(
        &mut self,
        method: &str,
        path: &str,
        params: Map<String, Value>,
        caller: &Caller,
    ) -> Result<usize, String> {
        let call = inner_call(method, path, params);
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match self.dispatch(method, &segments, &call, caller) {
            Handled::Now(reply) if reply.status == 200 => {
                let upid = data_of(&reply);
                let place = self
                    .tasks
                    .iter()
                    .rposition(|task| Some(task.upid.as_str()) == upid.as_str());
                place.ok_or_else(|| "the call started no task".to_owned())
            }
            Handled::Now(reply) => Err(reply.reason),
            Handled::Job(_) => Err("the call started no task".to_owned()),
        }
    }

    /// What a bulk action's task ends with.
    pub(in super::super) fn end_bulk(&mut self, job: u64, bulk: &Bulk) -> Result<(), Reply> {
        let failed = joined(&bulk.failed);
        if bulk.whole && !bulk.failed.is_empty() {
            return Err(Reply::failed(match &bulk.action {
                Action::Start => format!("Some guests failed to start: {failed}"),
                Action::Shutdown => format!("Some guests failed to shutdown {failed}"),
                Action::Suspend => format!("Some guests failed to suspend {failed}"),
                Action::Migrate { .. } => format!("Some guests failed to migrate {failed}"),
            }));
        }
        if matches!(bulk.action, Action::Migrate { .. }) && !bulk.whole {
            if bulk.started == 0 && !bulk.failed.is_empty() {
                return Err(Reply::failed("no migrations worker started..."));
            }
            let line = match bulk.started {
                0 => "no virtual guests matched, nothing to do..".to_owned(),
                count => format!("All jobs finished, used {count} workers in total."),
            };
            self.log(job, line);
        }
        if bulk.warnings > 0 {
            self.end_job(job, &format!("WARNINGS: {}", bulk.warnings));
        }
        Ok(())
    }
}

impl Bulk {
    fn new(
        action: Action,
        whole: bool,
        left: Vec<Vec<u32>>,
        workers: usize,
        call: &Call,
        caller: &Caller,
    ) -> Self {
        Self {
            action,
            whole,
            left,
            running: Vec::new(),
            workers,
            params: call.params.clone(),
            started: 0,
            failed: Vec::new(),
            warnings: 0,
            caller: caller.clone(),
        }
    }
}

/// A call that the server makes itself.
pub(super) fn inner_call(method: &str, path: &str, params: Map<String, Value>) -> Call {
    Call {
        method: method.to_owned(),
        segments: path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect(),
        path: path.to_owned(),
        params,
        file: None,
    }
}

/// The data of an answer.
pub(super) fn data_of(reply: &Reply) -> Value {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(json!(null));
    body["data"].clone()
}

fn numbers<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<u32> {
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn joined(vmids: &[u32]) -> String {
    let texts: Vec<String> = vmids.iter().map(u32::to_string).collect();
    texts.join(", ")
}
