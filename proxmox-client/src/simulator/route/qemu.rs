//! Virtual machines: their states, changes and tasks.

use std::time::Duration;

use serde_json::Value;

use super::guest::id_of;
use super::{Handled, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::{Key, Step};
use crate::simulator::guest::Species;
use crate::simulator::http::Call;
use crate::simulator::operation::{
    Caller, CloneWork, LOCK_WAIT, OVERRULE, Operation, is_drive, lock_guest, missing,
};
use crate::simulator::world::World;

impl World {
    pub(super) fn create_request(&mut self, node: &str, call: &Call, caller: &Caller) -> Handled {
        let vmid = id_of(call, "vmid");
        if let Some(archive) = call.text("archive") {
            return self
                .restore_request(node, vmid, &archive, call, caller)
                .into();
        }
        if let Err(refusal) = self.refuse_config(&call.params, caller) {
            return Handled::Now(refusal);
        }
        let species = Species::Machine;
        let operation = Operation::ClaimId {
            species,
            vmid,
            node: node.to_owned(),
            params: call.params.clone(),
            caller: caller.clone(),
        };
        Handled::Job(self.begin(None, operation, Self::claim_steps(species, vmid)))
    }

    pub(super) fn one_qemu(
        &mut self,
        method: &str,
        node: &str,
        vmid: u32,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        match (method, rest) {
            ("PUT" | "POST", ["config"]) => self.config_request(method, node, vmid, call, caller),
            ("PUT", ["unlink"]) => match Self::unlink_params(call) {
                Ok(params) => {
                    let mut call = call.clone();
                    call.params = params;
                    self.config_request(method, node, vmid, &call, caller)
                }
                Err(refusal) => Handled::Now(refusal),
            },
            ("POST", ["remote_migrate"]) => {
                self.remote_migrate(Species::Machine, node, vmid, call, caller)
            }
            ("POST", ["mtunnel"]) => self
                .open_tunnel(Species::Machine, node, vmid, call, caller)
                .into(),
            ("PUT", ["cloudinit"]) => self.regenerate_cloud_init(node, vmid).into(),
            ("PUT", ["snapshot", name, "config"]) => self
                .describe_snapshot(Species::Machine, node, vmid, name, call)
                .into(),
            ("PUT", ["sendkey"]) => self.send_key(node, vmid, call).into(),
            ("GET", _) => self.read_qemu(node, vmid, rest, call).into(),
            _ => self
                .act_on_qemu(method, node, vmid, rest, call, caller)
                .into(),
        }
    }

    fn read_qemu(&mut self, node: &str, vmid: u32, rest: &[&str], call: &Call) -> Outcome {
        match rest {
            ["config"] => self.read_config(Species::Machine, node, vmid, call),
            ["pending"] => self.pending(Species::Machine, node, vmid),
            ["status", "current"] => {
                let size = self.boot_disk_size(vmid);
                let guest = self.guest_or(vmid, node)?;
                let mut current = guest.current(self.now, size);
                current.insert("ha".to_owned(), self.ha_of(vmid));
                Ok(Reply::data(Value::Object(current)))
            }
            ["snapshot"] => self.snapshots(Species::Machine, node, vmid),
            ["snapshot", name, "config"] => {
                let missing = || Reply::failed(format!("snapshot '{name}' does not exist"));
                let guest = self.guest_or(vmid, node)?;
                let snapshot = guest.snapshots.get(*name).ok_or_else(missing)?;
                Ok(Reply::data(Value::Object(snapshot.shown(Species::Machine))))
            }
            ["cloudinit"] | ["cloudinit", "dump"] => {
                self.read_cloud_init(node, vmid, &rest[1..], call)
            }
            ["agent", command] => self.agent_call("GET", node, vmid, command, call),
            _ => Err(not_simulated(call)),
        }
    }

    pub(super) fn agent(&self, node: &str, vmid: u32) -> Result<(), Reply> {
        let guest = self.guest_or(vmid, node)?;
        let configured = guest.text("agent").is_some_and(|agent| {
            agent == "1" || agent.contains("enabled=1") || agent.starts_with("1,")
        });
        if !guest.is_on() {
            return Err(Reply::failed(format!("VM {vmid} is not running")));
        }
        if !configured {
            return Err(Reply::failed("No QEMU guest agent configured"));
        }
        let up = guest.awake_for(self.now).unwrap_or_default();
        match self.durations.agent_up {
            Some(after) if up >= after => Ok(()),
            _ => Err(Reply::failed("QEMU guest agent is not running")),
        }
    }

    fn config_request(
        &mut self,
        method: &str,
        node: &str,
        vmid: u32,
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        if let Err(refusal) = self.refuse_change(node, vmid, call, caller) {
            return Handled::Now(refusal);
        }
        let params = call.params.clone();
        let caller_of = caller.clone();
        let wait = Step::Lock {
            key: Key::Guest(vmid),
            shared: false,
            wait: LOCK_WAIT,
            prefix: String::new(),
        };
        let mut steps = vec![wait, Step::Check(0), Step::Compute(self.writing())];
        for (key, text) in Self::config_params(&call.params) {
            if is_drive(key) {
                steps.extend(
                    self.drive_steps(&crate::simulator::operation::DriveText::parse(&text), ""),
                );
            }
        }
        steps.push(Step::Finish);
        let operation = if method == "PUT" {
            Operation::SetConfig {
                vmid,
                params,
                caller: caller_of,
            }
        } else {
            Operation::SetConfigTask {
                node: node.to_owned(),
                vmid,
                params,
                caller: caller_of,
            }
        };
        Handled::Job(self.begin(None, operation, steps))
    }

    /// What a change is refused for before it waits for the lock.
    fn refuse_change(
        &self,
        node: &str,
        vmid: u32,
        call: &Call,
        caller: &Caller,
    ) -> Result<(), Reply> {
        let list = |name: &str| -> Vec<String> {
            let text = call.text(name).unwrap_or_default();
            text.split([',', ';', ' '])
                .filter(|key| !key.is_empty())
                .map(str::to_owned)
                .collect()
        };
        if call.flag("skiplock") && !caller.is_root() {
            return Err(Reply::parameter(
                "skiplock",
                "Only root may use this option.",
            ));
        }
        let deletes = list("delete");
        for key in &deletes {
            if call.params.contains_key(key) {
                return Err(Reply::parameter(
                    "delete",
                    format!("you can't use '-{key}' and -delete {key}' at the same time"),
                ));
            }
            if matches!(key.as_str(), "args" | "hookscript" | "lock") && !caller.is_root() {
                return Err(Reply::failed(format!("only root can set '{key}' config")));
            }
        }
        let nothing = Self::config_params(&call.params).next().is_none()
            && deletes.is_empty()
            && list("revert").is_empty();
        if nothing {
            return Err(Reply::failed("no options specified"));
        }
        self.refuse_config(&call.params, caller)?;
        self.guest_or(vmid, node).map(|_| ())
    }

    fn act_on_qemu(
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
        let id = vmid.to_string();
        let times = self.durations.clone();
        let worked = |time: Duration| {
            vec![
                lock_guest(Species::Machine, vmid),
                Step::Check(0),
                Step::Work(time),
                Step::Finish,
            ]
        };
        let computed = |time: Duration| {
            vec![
                lock_guest(Species::Machine, vmid),
                Step::Check(0),
                Step::Compute(time),
                Step::Finish,
            ]
        };
        let (kind, operation, steps) = match (method, rest) {
            ("DELETE", []) => {
                let guest = self.guest_or(vmid, node)?;
                Self::refuse_delete(guest, false)?;
                let purge = call.flag("purge");
                if !purge {
                    self.refuse_traces(vmid)?;
                }
                let operation = Operation::Delete {
                    vmid,
                    force: false,
                    purge,
                };
                ("qmdestroy", operation, computed(self.delete_time(vmid)))
            }
            ("POST", ["status", "start"]) => (
                "qmstart",
                Operation::Start { vmid },
                worked(self.start_time(vmid)),
            ),
            ("POST", ["status", "stop"]) => {
                let mut steps = worked(Duration::ZERO);
                if call.flag("overrule-shutdown") {
                    steps.insert(0, Step::Check(OVERRULE));
                }
                ("qmstop", Operation::Stop { vmid }, steps)
            }
            ("POST", ["status", "shutdown"]) => {
                let limit = Duration::from_secs(call.number("timeout").unwrap_or(60) + 3);
                let force = call.flag("forceStop");
                (
                    "qmshutdown",
                    Operation::Shutdown { vmid, force, limit },
                    worked(Duration::ZERO),
                )
            }
            ("POST", ["status", "reboot"]) => {
                if !self.guest_or(vmid, node)?.is_on() {
                    return Err(Reply::failed(format!("VM {vmid} not running")));
                }
                (
                    "qmreboot",
                    Operation::Reboot { vmid },
                    worked(times.shutdown + self.start_time(vmid)),
                )
            }
            ("POST", ["status", "reset"]) => {
                ("qmreset", Operation::Reset { vmid }, worked(Duration::ZERO))
            }
            ("POST", ["status", "suspend"]) if call.flag("todisk") => {
                let guest = self.guest_or(vmid, node)?;
                if !guest.is_on() {
                    return Err(Reply::failed(format!("VM {vmid} not running")));
                }
                self.refuse_suspension(guest)?;
                let storage = call.text("statestorage");
                let steps = self.suspension_steps(guest);
                let operation = Operation::SuspendToDisk { vmid, storage };
                ("qmsuspend", operation, steps)
            }
            ("POST", ["status", "resume"]) if self.guest_or(vmid, node)?.is_suspended() => (
                "qmresume",
                Operation::Start { vmid },
                worked(self.start_time(vmid)),
            ),
            ("POST", ["status", change @ ("suspend" | "resume")]) => {
                if !self.guest_or(vmid, node)?.is_on() {
                    return Err(Reply::failed(format!("VM {vmid} not running")));
                }
                let on = *change == "suspend";
                let kind = if on { "qmpause" } else { "qmresume" };
                let operation = Operation::Pause { vmid, on };
                (kind, operation, worked(Duration::ZERO))
            }
            ("PUT", ["resize"]) => {
                let disk = call.text("disk").unwrap_or_default();
                let size = call.text("size").unwrap_or_default();
                self.guest_or(vmid, node)?;
                let digest = call.text("digest");
                (
                    "resize",
                    Operation::Resize {
                        vmid,
                        disk,
                        size,
                        digest,
                    },
                    computed(times.resize),
                )
            }
            ("POST", ["snapshot"]) => {
                let name = call.text("snapname").unwrap_or_default();
                if name == "current" {
                    return Err(Reply::failed(
                        "unable to use snapshot name 'current' (reserved name)",
                    ));
                }
                let description = call.text("description");
                // The lock file is held for the preparation only; the copy is guarded by the lock in the configuration.
                let steps = vec![
                    lock_guest(Species::Machine, vmid),
                    Step::Check(0),
                    Step::Unlock(Key::Guest(vmid)),
                    Step::Compute(times.snapshot),
                    Step::Finish,
                ];
                (
                    "qmsnapshot",
                    Operation::Snapshot {
                        vmid,
                        name,
                        description,
                    },
                    steps,
                )
            }
            ("DELETE", ["snapshot", name]) => {
                let name = (*name).to_owned();
                (
                    "qmdelsnapshot",
                    Operation::DeleteSnapshot { vmid, name },
                    computed(times.snapshot),
                )
            }
            ("POST", ["snapshot", name, "rollback"]) => {
                let name = (*name).to_owned();
                (
                    "qmrollback",
                    Operation::Rollback {
                        vmid,
                        name,
                        start: false,
                    },
                    computed(times.snapshot),
                )
            }
            ("POST", ["template"]) => {
                self.guest_or(vmid, node)?;
                let disk = call.text("disk");
                self.check_template(vmid, disk.as_deref())?;
                (
                    "qmtemplate",
                    Operation::Template { vmid, disk },
                    computed(times.template),
                )
            }
            ("POST", ["migrate"]) => {
                let (work, time) = self.migrate_request(node, vmid, call)?;
                let operation = Operation::Migrate(Box::new(work));
                ("qmigrate", operation, worked(time))
            }
            ("POST", ["move_disk"]) if call.text("target-vmid").is_some() => {
                let work = self.reassign_request(node, vmid, call)?;
                let steps = work.steps(Species::Machine);
                let id = work.id();
                let operation = Operation::Reassign(Box::new(work));
                return Ok(self.start_task(node, "qmmove", &id, caller, operation, steps));
            }
            ("POST", ["move_disk"]) => {
                let (work, limit) = self.move_request(node, vmid, call)?;
                let steps = self.move_steps(&work, limit);
                ("qmmove", Operation::MoveDisk(Box::new(work)), steps)
            }
            ("POST", ["clone"]) => {
                let work = self.clone_request(node, vmid, call)?;
                let steps = self.clone_steps(&work);
                ("qmclone", Operation::Clone(Box::new(work)), steps)
            }
            ("POST", ["agent", command]) => {
                return self.agent_call("POST", node, vmid, command, call);
            }
            _ => return Err(not_simulated(call)),
        };
        Ok(self.start_task(node, kind, &id, caller, operation, steps))
    }

    fn clone_request(&mut self, node: &str, vmid: u32, call: &Call) -> Result<CloneWork, Reply> {
        let target = id_of(call, "newid");
        let source = self.guests.get(&vmid);
        let source = source.filter(|guest| guest.species() == Species::Machine);
        let source = source.ok_or_else(|| missing(Species::Machine, vmid, node))?;
        source.unlocked()?;
        let source_runs = source.is_on();
        let snapshot = call.text("snapname");
        if let Some(name) = &snapshot
            && !source.snapshots.contains_key(name)
        {
            return Err(Reply::failed(format!("snapshot '{name}' does not exist")));
        }
        let full = match call.text("full").as_deref() {
            Some(flag) => flag == "1",
            None => !source.is_template(),
        };
        let storage = call.text("storage");
        if !full && storage.is_some() {
            return Err(Reply::failed(
                "parameter 'storage' not allowed for linked clones",
            ));
        }
        if let Some(storage) = storage
            .as_ref()
            .filter(|storage| !self.storages.contains_key(*storage))
        {
            return Err(Reply::failed(format!("storage '{storage}' does not exist")));
        }
        if let Some(target) = call.text("target").filter(|target| target != node) {
            self.refuse_distant_clone(vmid, &target, storage.as_deref())?;
        }
        if !full && !source.is_template() {
            return Err(Reply::failed(
                "Linked clone feature is not supported for drive 'scsi0'",
            ));
        }
        if self.guests.contains_key(&target) {
            return Err(Reply::failed(format!(
                "unable to create VM {target}: config file already exists"
            )));
        }
        Ok(CloneWork {
            source: vmid,
            target,
            full,
            name: call.text("name"),
            description: call.text("description"),
            storage,
            snapshot,
            pool: call.text("pool"),
            node: call.text("target").unwrap_or_else(|| node.to_owned()),
            running: source_runs,
            limit: call
                .number("bwlimit")
                .filter(|limit| *limit > 0)
                .map(|kib| kib << 10),
        })
    }
}
