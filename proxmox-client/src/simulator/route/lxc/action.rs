//! Containers: what starts a task.

use std::time::Duration;

use super::super::guest::id_of;
use super::super::{Handled, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::{Patience, Step};
use crate::simulator::guest::{Guest, Species};
use crate::simulator::http::Call;
use crate::simulator::operation::{
    Caller, CloneWork, LOCK_WAIT, Migration, Move, OVERRULE, Operation, Reassign, lock_guest,
};
use crate::simulator::world::World;

const CONTAINER: Species = Species::Container;

fn must_run(guest: &Guest) -> Result<(), Reply> {
    if guest.is_on() {
        return Ok(());
    }
    Err(Reply::failed(format!("CT {} not running", guest.vmid())))
}

impl World {
    pub(super) fn act_on_lxc(
        &mut self,
        method: &str,
        node: &str,
        vmid: u32,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        if let Some(asked) = self.ask_manager(node, vmid, rest, call, caller) {
            return asked;
        }
        let guest = self.guest_of(CONTAINER, vmid, node)?;
        let id = vmid.to_string();
        let times = self.durations.clone();
        let worked = |time: Duration| {
            vec![
                lock_guest(CONTAINER, vmid),
                Step::Check(0),
                Step::Work(time),
                Step::Finish,
            ]
        };
        let (kind, operation, steps) = match (method, rest) {
            ("DELETE", []) => {
                let (force, purge) = (call.flag("force"), call.flag("purge"));
                Self::refuse_delete(guest, true)?;
                guest.unlocked()?;
                Self::refuse_delete(guest, force)?;
                if !purge {
                    self.refuse_traces(vmid)?;
                }
                let operation = Operation::Delete { vmid, force, purge };
                ("vzdestroy", operation, worked(self.delete_time(vmid)))
            }
            ("POST", ["status", "start"]) => {
                if guest.is_on() {
                    return Err(Reply::failed(format!("CT {vmid} already running")));
                }
                (
                    "vzstart",
                    Operation::Start { vmid },
                    worked(times.start_container),
                )
            }
            ("POST", ["status", "stop"]) => {
                must_run(guest)?;
                let mut steps = worked(Duration::ZERO);
                if call.flag("overrule-shutdown") {
                    steps.insert(0, Step::Check(OVERRULE));
                }
                ("vzstop", Operation::Stop { vmid }, steps)
            }
            ("POST", ["status", "shutdown"]) => {
                must_run(guest)?;
                let limit = Duration::from_secs(call.number("timeout").unwrap_or(60));
                let force = call.flag("forceStop");
                let operation = Operation::Shutdown { vmid, force, limit };
                ("vzshutdown", operation, worked(Duration::ZERO))
            }
            ("POST", ["status", "reboot"]) => {
                if !guest.is_on() {
                    return Err(Reply::failed(format!("VM {vmid} not running")));
                }
                let stop = if self.listens(vmid, self.now) {
                    times.shutdown
                } else {
                    Duration::from_secs(call.number("timeout").unwrap_or(60))
                };
                let operation = Operation::Reboot { vmid };
                ("vzreboot", operation, worked(stop + times.start_container))
            }
            ("POST", ["status", "suspend"]) => {
                must_run(guest)?;
                (
                    "vzsuspend",
                    Operation::Checkpoint { vmid },
                    worked(times.stop),
                )
            }
            ("POST", ["status", "resume"]) => {
                if guest.is_on() {
                    return Err(Reply::failed(format!("CT {vmid} already running")));
                }
                // It is the one change of a container that takes no lock.
                let steps = vec![
                    Step::Check(0),
                    Step::Work(times.start_container),
                    Step::Finish,
                ];
                ("vzresume", Operation::Awaken { vmid }, steps)
            }
            ("PUT", ["resize"]) => {
                let disk = call.text("disk").unwrap_or_default();
                let size = call.text("size").unwrap_or_default();
                let digest = call.text("digest");
                guest.unlocked()?;
                if digest
                    .as_ref()
                    .is_some_and(|asked| *asked != guest.digest())
                {
                    return Err(crate::simulator::operation::changed(CONTAINER));
                }
                self.refuse_growth(guest, &disk, &size)?;
                let operation = Operation::Resize {
                    vmid,
                    disk,
                    size,
                    digest,
                };
                ("resize", operation, worked(times.resize))
            }
            ("POST", ["snapshot"]) => {
                let name = new_snapshot(call)?;
                let description = call.text("description");
                let steps = vec![
                    lock_guest(CONTAINER, vmid),
                    Step::Check(0),
                    Step::Unlock(CONTAINER.key(vmid)),
                    Step::Work(times.snapshot),
                    Step::Finish,
                ];
                let operation = Operation::Snapshot {
                    vmid,
                    name,
                    description,
                };
                ("vzsnapshot", operation, steps)
            }
            ("DELETE", ["snapshot", name]) => {
                let name = (*name).to_owned();
                let operation = Operation::DeleteSnapshot { vmid, name };
                ("vzdelsnapshot", operation, worked(times.snapshot))
            }
            ("POST", ["snapshot", name, "rollback"]) => {
                let (name, start) = ((*name).to_owned(), call.flag("start"));
                let stop = if guest.is_on() {
                    times.stop
                } else {
                    Duration::ZERO
                };
                let again = if start {
                    times.start_container
                } else {
                    Duration::ZERO
                };
                let operation = Operation::Rollback { vmid, name, start };
                let steps = worked(stop + times.snapshot + again);
                ("vzrollback", operation, steps)
            }
            ("POST", ["template"]) => {
                refuse_template(guest)?;
                let operation = Operation::Template { vmid, disk: None };
                let steps = worked(times.template);
                self.start_task(node, "vztemplate", &id, caller, operation, steps);
                // The call does not name the task that it starts.
                return Ok(Reply::data(()));
            }
            ("POST", ["migrate"]) => {
                let (operation, time) = self.migrate_container(node, guest, call)?;
                ("vzmigrate", operation, worked(time))
            }
            ("POST", ["move_volume"]) => return self.move_volume(node, vmid, call, caller),
            _ => return Err(not_simulated(call)),
        };
        Ok(self.start_task(node, kind, &id, caller, operation, steps))
    }

    fn migrate_container(
        &self,
        node: &str,
        guest: &Guest,
        call: &Call,
    ) -> Result<(Operation, Duration), Reply> {
        let mut work = Migration::new(guest.vmid(), &self.migration_target(node, call)?);
        let (online, restart) = (call.flag("online"), call.flag("restart"));
        if guest.is_on() && !online && !restart {
            return Err(Reply::failed(
                "can't migrate running container without --online or --restart",
            ));
        }
        let name = "target-storage";
        work.storages = self.storage_map(name, "rootdir", "CT rootdirs", &work.target, call)?;
        let patience = Duration::from_secs(call.number("timeout").unwrap_or(180));
        let local = self.drives_of(guest.vmid()).into_iter();
        let bytes: u64 = local
            .filter_map(|(_, drive)| {
                let storage = self.storage_of(&drive.file)?;
                let volume = self.volume(&drive.file)?;
                (!storage.shared).then_some(volume.used)
            })
            .sum();
        let limit = call.number("bwlimit").filter(|limit| *limit > 0);
        let speed = limit.map_or(self.durations.copy_speed, |kib| kib << 10);
        let copy = Duration::from_secs_f64(bytes as f64 / speed.max(1) as f64);
        work.restart = (restart && !online).then_some(patience);
        let operation = Operation::Migrate(Box::new(work));
        Ok((operation, Duration::from_secs(1) + copy))
    }

    fn move_volume(&mut self, node: &str, vmid: u32, call: &Call, caller: &Caller) -> Outcome {
        let slot = call.text("volume").unwrap_or_default();
        let both = |why: &str| {
            let mut errors = serde_json::Map::new();
            errors.insert("target-vmid".to_owned(), why.into());
            errors.insert("storage".to_owned(), why.into());
            Err(Reply::parameters(errors))
        };
        let target = call.number("target-vmid");
        let target = target.and_then(|target| u32::try_from(target).ok());
        match (target, call.text("storage")) {
            (Some(_), Some(_)) => both("either set 'storage' or 'target-vmid', but not both"),
            (None, None) => {
                both("both 'storage' and 'target-vmid' missing, either needs to be set")
            }
            (Some(target), None) => {
                let work = Reassign {
                    vmid,
                    target,
                    target_slot: call.text("target-volume").unwrap_or_else(|| slot.clone()),
                    slot,
                    digest: call.text("digest"),
                    target_digest: call.text("target-digest"),
                };
                self.check_reassign(&work)?;
                let (id, steps) = (work.id(), work.steps(CONTAINER));
                let operation = Operation::Reassign(Box::new(work));
                Ok(self.start_task(node, "move_volume", &id, caller, operation, steps))
            }
            (None, Some(storage)) => {
                if !self.storages.contains_key(&storage) {
                    return Err(Reply::failed(format!("storage '{storage}' does not exist")));
                }
                let work = Move {
                    vmid,
                    slot,
                    storage,
                    digest: call.text("digest"),
                    delete: call.flag("delete"),
                };
                self.claim_move(&work)?;
                let limit = call.number("bwlimit").filter(|limit| *limit > 0);
                let steps = self.move_steps(&work, limit.map(|kib| kib << 10));
                let operation = Operation::MoveDisk(Box::new(work));
                let id = vmid.to_string();
                let reply = self.start_task(node, "move_volume", &id, caller, operation, steps);
                self.own_newest();
                Ok(reply)
            }
        }
    }

    pub(super) fn clone_container(
        &mut self,
        node: &str,
        vmid: u32,
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        let work = match self.clone_container_work(node, vmid, call) {
            Ok(work) => work,
            Err(refusal) => return Handled::Now(refusal),
        };
        let lock = |vmid: u32, wait: Patience| Step::Lock {
            key: CONTAINER.key(vmid),
            shared: false,
            wait,
            prefix: String::new(),
        };
        let steps = vec![
            lock(vmid, LOCK_WAIT),
            lock(work.target, Patience::Creation),
            Step::Finish,
        ];
        let operation = Operation::ClaimClone {
            work: Box::new(work),
            caller: caller.clone(),
        };
        Handled::Job(self.begin(None, operation, steps))
    }

    fn clone_container_work(&self, node: &str, vmid: u32, call: &Call) -> Result<CloneWork, Reply> {
        let target = id_of(call, "newid");
        let source = self.guest_of(CONTAINER, vmid, node)?;
        let storage = call.text("storage");
        if let Some(name) = storage
            .as_ref()
            .filter(|name| !self.storages.contains_key(*name))
        {
            return Err(Reply::failed(format!("storage '{name}' does not exist")));
        }
        let to = call.text("target").unwrap_or_else(|| node.to_owned());
        if !self.nodes.contains_key(&to) {
            return Err(Reply::failed(format!("no such cluster node '{to}'")));
        }
        if to != node
            && let Some(name) = &storage
            && !self.storages[name].shared
        {
            return Err(Reply::failed(format!(
                "can't clone to non-shared storage '{name}'"
            )));
        }
        let full = match call.text("full").as_deref() {
            Some(flag) => flag == "1",
            None => !source.is_template(),
        };
        Ok(CloneWork {
            source: vmid,
            target,
            full,
            name: call.text("hostname"),
            description: call.text("description"),
            storage,
            snapshot: call.text("snapname"),
            node: to,
            running: source.is_on(),
            limit: call
                .number("bwlimit")
                .filter(|limit| *limit > 0)
                .map(|kib| kib << 10),
            pool: call.text("pool"),
        })
    }
}

/// The name of a snapshot to be taken.
fn new_snapshot(call: &Call) -> Result<String, Reply> {
    let name = call.text("snapname").unwrap_or_default();
    if ["current", "vzdump"].contains(&name.as_str()) {
        return Err(Reply::failed(format!(
            "unable to use snapshot name '{name}' (reserved name)"
        )));
    }
    Ok(name)
}

fn refuse_template(guest: &Guest) -> Result<(), Reply> {
    guest.unlocked()?;
    let why = if !guest.snapshots.is_empty() {
        "unable to create template, because CT contains snapshots"
    } else if guest.is_template() {
        "you can't convert a template to a template"
    } else if guest.is_on() {
        "you can't convert a CT to template if the CT is running"
    } else {
        return Ok(());
    };
    Err(Reply::failed(why))
}
