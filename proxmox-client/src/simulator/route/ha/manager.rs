//! What the manager does: it looks at its resources every ten seconds and starts the tasks that bring each one nearer to
//! what is asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::guest::Species;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Migration, Operation, lock_guest};
use crate::simulator::section::{Param, Shape, check};
use crate::simulator::world::World;

/// The pause between two rounds.
const ROUND: Duration = Duration::from_secs(10);

/// How long a node's lock holds after the node was lost: nothing of it is started elsewhere before.
pub(super) const LOCK: Duration = Duration::from_secs(120);

/// How long the manager only wonders about a node that it does not see.
pub(super) const FENCE_DELAY: Duration = Duration::from_secs(60);

/// How many rounds a resource may need until the manager calls it an error.
const PATIENCE: u32 = 30;

/// What the manager makes of a resource.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super::super) struct Managed {
    /// Where to, and whether it may run on the way.
    motion: Option<(String, bool)>,
    /// Rounds since it was last as asked for.
    tries: u32,
    /// A round will come.
    due: bool,
    /// It was as asked for once since somebody changed it.
    #[serde(default)]
    settled: bool,
    error: bool,
}

impl Managed {
    /// The node that it is on its way to.
    pub(super) fn target(&self) -> Option<&str> {
        self.motion.as_ref().map(|(node, _)| node.as_str())
    }
}

fn manager() -> Caller {
    Caller {
        user: "root@pam".to_owned(),
        token: None,
    }
}

impl World {
    /// The state that a resource is asked to be in.
    pub(super) fn asked_state(&self, sid: &str) -> Option<&str> {
        let resource = self.ha.resources.0.get(sid)?;
        let state = resource
            .get("state")
            .and_then(Value::as_str)
            .unwrap_or("started");
        Some(if state == "enabled" { "started" } else { state })
    }

    /// The id of a resource's guest.
    pub(super) fn managed_guest(sid: &str) -> Option<u32> {
        let vmid = sid
            .strip_prefix("vm:")
            .or_else(|| sid.strip_prefix("ct:"))?;
        vmid.parse().ok()
    }

    /// The resource that a guest would be.
    pub(in super::super::super) fn sid_of(species: Species, vmid: u32) -> String {
        format!("{}:{vmid}", species.noun().to_ascii_lowercase())
    }

    /// The same of a guest that is there.
    pub(super) fn own_sid(&self, vmid: u32) -> Option<String> {
        let guest = self.guests.get(&vmid)?;
        Some(Self::sid_of(guest.species, vmid))
    }

    /// Whether the manager has a guest in its care.
    pub(in super::super::super) fn is_ha_managed(&self, vmid: u32) -> bool {
        self.own_sid(vmid).is_some_and(|sid| {
            self.asked_state(&sid)
                .is_some_and(|state| state != "ignored")
        })
    }

    pub(super) fn refuse_in_error(&self, sid: &str, asked: Option<&str>) -> Result<(), Reply> {
        let in_error = self
            .ha
            .managed
            .get(sid)
            .is_some_and(|managed| managed.error);
        if !in_error || asked == Some("disabled") {
            return Ok(());
        }
        Err(Reply::failed(format!(
            "service '{sid}' in error state, must be disabled and fixed first"
        )))
    }

    /// A resource was added or changed: the manager will look at it in its next round.
    pub(super) fn ha_changed(&mut self, sid: &str) {
        let disabled = self.asked_state(sid) == Some("disabled");
        let managed = self.ha.managed.entry(sid.to_owned()).or_default();
        managed.tries = 0;
        managed.settled = false;
        managed.error &= !disabled;
        if !managed.due {
            self.next_round(sid);
        }
    }

    /// Something changed that may concern every resource: a rule, or which nodes there are.
    pub(in super::super::super) fn look_at_resources(&mut self) {
        let idle = |managed: &&Managed| !managed.due && !managed.error;
        let all = self.ha.managed.iter().filter(|(_, managed)| idle(managed));
        let sids: Vec<String> = all.map(|(sid, _)| sid.clone()).collect();
        for sid in sids {
            self.next_round(&sid);
        }
    }

    fn next_round(&mut self, sid: &str) {
        if let Some(managed) = self.ha.managed.get_mut(sid) {
            managed.due = true;
        }
        let until = Step::Until(self.now + ROUND);
        let operation = Operation::HaRound {
            sid: sid.to_owned(),
        };
        self.begin(None, operation, [until, Step::Finish]);
    }

    /// One round of the manager for one resource.
    pub(in super::super::super) fn ha_round(&mut self, sid: &str) {
        let Some(managed) = self.ha.managed.get_mut(sid) else {
            return;
        };
        managed.due = false;
        let settled = match (Self::managed_guest(sid), self.asked_state(sid)) {
            (Some(vmid), Some(state)) if state != "ignored" => {
                let state = state.to_owned();
                if self.is_held_up(sid, vmid, &state) {
                    self.next_round(sid);
                    return;
                }
                self.send_home(sid, vmid, &state);
                let managed = self.ha.managed.get(sid);
                let motion = managed.and_then(|managed| managed.motion.clone());
                self.ha_step(vmid, &state, motion.as_ref())
            }
            _ => true,
        };
        let Some(managed) = self.ha.managed.get_mut(sid) else {
            return;
        };
        if settled {
            managed.tries = 0;
            managed.settled = true;
            managed.motion = None;
            return;
        }
        managed.tries += 1;
        if managed.tries > PATIENCE {
            managed.error = true;
            managed.motion = None;
        } else {
            self.next_round(sid);
        }
    }

    /// Whether a resource has to wait: for a quorum, for the end of its lost node's lock, or for a node to be recovered on.
    fn is_held_up(&mut self, sid: &str, vmid: u32, state: &str) -> bool {
        let Some(guest) = self.guests.get(&vmid) else {
            return false;
        };
        let Some(lost) = self.lost_for(guest.node()) else {
            return !self.is_quorate();
        };
        if !self.is_quorate() || lost < LOCK || state == "disabled" {
            return true;
        }
        let local = self.has_local_volumes(vmid);
        let Some(target) = self.home_of(sid) else {
            return true;
        };
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.node = target;
            guest.config.shift_remove("lock");
        }
        if let Some(managed) = self.ha.managed.get_mut(sid) {
            managed.motion = None;
            managed.tries = 0;
            managed.error = local;
        }
        false
    }

    fn has_local_volumes(&self, vmid: u32) -> bool {
        let guest = self.guests.get(&vmid);
        guest.is_some_and(|guest| !self.local_volumes(guest).is_empty())
    }

    /// A started resource that belongs on another node is sent there, unless it has disks that only its node sees: these
    /// the manager does not copy.
    fn send_home(&mut self, sid: &str, vmid: u32, state: &str) {
        let Some(guest) = self.guests.get(&vmid) else {
            return;
        };
        let here = guest.node.clone();
        let Some(managed) = self.ha.managed.get_mut(sid) else {
            return;
        };
        managed.motion.take_if(|(target, _)| *target == here);
        let moving = managed.motion.is_some() || managed.error;
        if moving || state != "started" || self.has_local_volumes(vmid) {
            return;
        }
        let elsewhere = self.home_of(sid).filter(|node| *node != here);
        if let (Some(target), Some(managed)) = (elsewhere, self.ha.managed.get_mut(sid)) {
            managed.motion = Some((target, true));
        }
    }

    /// Starts what brings a guest nearer to what is asked for; true once nothing is left to do.
    fn ha_step(&mut self, vmid: u32, state: &str, motion: Option<&(String, bool)>) -> bool {
        let Some(guest) = self.guests.get(&vmid) else {
            return false;
        };
        let sid = Self::sid_of(guest.species, vmid);
        if self
            .ha
            .managed
            .get(&sid)
            .is_some_and(|managed| managed.error)
        {
            return true;
        }
        let (node, on, locked) = (guest.node.clone(), guest.is_on(), guest.lock().is_some());
        let id = vmid.to_string();
        let busy = self
            .tasks
            .iter()
            .any(|task| task.ended.is_none() && task.id == id);
        if locked || busy {
            return false;
        }
        let times = self.durations.clone();
        let (species, tasks) = (guest.species, guest.species.tasks());
        let step = match motion.filter(|(target, _)| *target != node) {
            Some((target, live)) if *live || !on => {
                let time = self.migration_time(vmid);
                let mut work = Migration::new(vmid, target);
                // A container that runs is stopped for it.
                work.restart = (species == Species::Container && on).then_some(times.shutdown);
                let operation = Operation::Migrate(Box::new(work));
                let kind = match species {
                    Species::Machine => "qmigrate",
                    Species::Container => "vzmigrate",
                };
                Some((kind.to_owned(), operation, time))
            }
            Some(_) => Some(Self::ha_shutdown(tasks, vmid)),
            None if state == "started" && !on => {
                let kind = format!("{tasks}start");
                Some((kind, Operation::Start { vmid }, self.start_time(vmid)))
            }
            None if matches!(state, "stopped" | "disabled") && on => {
                Some(Self::ha_shutdown(tasks, vmid))
            }
            None => None,
        };
        let Some((kind, operation, time)) = step else {
            return true;
        };
        let steps = vec![
            lock_guest(species, vmid),
            Step::Check(0),
            Step::Work(time),
            Step::Finish,
        ];
        self.start_task(&node, &kind, &id, &manager(), operation, steps);
        false
    }

    fn ha_shutdown(tasks: &str, vmid: u32) -> (String, Operation, Duration) {
        let operation = Operation::Shutdown {
            vmid,
            force: true,
            limit: Duration::from_secs(60),
        };
        (format!("{tasks}shutdown"), operation, Duration::ZERO)
    }

    pub(super) fn request_motion(&mut self, sid: &str, how: &str, call: &Call) -> Outcome {
        let node = Shape::Format(|text| {
            let good = text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            match good && !text.is_empty() {
                true => Ok(()),
                false => Err("value does not look like a valid node name".to_owned()),
            }
        });
        check(call, &[Param::required("node", node)], &["sid"])?;
        let sid = self.full_sid(sid)?;
        if self
            .asked_state(&sid)
            .is_none_or(|state| state == "ignored")
        {
            return Err(Reply::failed(format!("resource '{sid}' is not HA managed")));
        }
        self.refuse_in_error(&sid, None)?;
        let target = call.text("node").unwrap_or_default();
        let (together, blocking) = self.motion_info(&sid, &target);
        let mut answer = json!({ "sid": sid, "requested-node": target });
        if !together.is_empty() {
            answer["comigrated-resources"] = json!(together);
        }
        if !blocking.is_empty() {
            let entry = |sid: &String| json!({ "sid": sid, "cause": "resource-affinity" });
            answer["blocking-resources"] = blocking.iter().map(entry).collect();
        } else if self.nodes.contains_key(&target) {
            for moved in together.iter().chain([&sid]) {
                let managed = self.ha.managed.entry(moved.clone()).or_default();
                managed.motion = Some((target.clone(), how == "migrate"));
                self.ha_changed(moved);
            }
        }
        Ok(Reply::data(answer))
    }

    /// The resources that move along, and those on the target that keep it away.
    fn motion_info(&self, sid: &str, target: &str) -> (Vec<String>, Vec<String>) {
        let mut together: BTreeSet<String> = BTreeSet::new();
        let mut todo = vec![sid.to_owned()];
        while let Some(next) = todo.pop() {
            for other in self.tied("positive", &next) {
                if other != sid && together.insert(other.clone()) {
                    todo.push(other);
                }
            }
        }
        let node_of = |sid: &String| {
            let guest = Self::managed_guest(sid).and_then(|vmid| self.guests.get(&vmid));
            guest.map(|guest| guest.node.as_str())
        };
        let mut blocking = self.tied("negative", sid);
        blocking.retain(|other| node_of(other) == Some(target));
        (
            together.into_iter().collect(),
            blocking.into_iter().collect(),
        )
    }

    /// What people are told about a resource, and what the manager keeps.
    pub(super) fn service_state(&self, sid: &str) -> (String, Option<&'static str>) {
        let asked = self.asked_state(sid).unwrap_or("ignored");
        let Some(guest) = Self::managed_guest(sid).and_then(|vmid| self.guests.get(&vmid)) else {
            return ("not found".to_owned(), None);
        };
        let managed = self.ha.managed.get(sid).cloned().unwrap_or_default();
        if asked == "ignored" {
            return ("ignored".to_owned(), None);
        }
        if managed.error {
            return ("error".to_owned(), Some("error"));
        }
        if let Some(lost) = self.lost_for(guest.node()) {
            let state = match lost {
                lost if lost < FENCE_DELAY => "started",
                lost if lost < LOCK => "fence",
                _ => "recovery",
            };
            return (state.to_owned(), Some(state));
        }
        if managed.due && !managed.settled && managed.tries == 0 && managed.motion.is_none() {
            return ("queued".to_owned(), None);
        }
        match &managed.motion {
            Some((_, true)) => return ("migrate".to_owned(), Some("migrate")),
            Some((_, false)) => return ("relocate".to_owned(), Some("relocate")),
            None => {}
        }
        let (told, kept) = match (guest.is_on(), asked) {
            (true, "started") => ("started", "started"),
            (true, _) => ("stopping", "request_stop"),
            (false, "started") => ("starting", "started"),
            (false, "disabled") => ("disabled", "stopped"),
            (false, _) => ("stopped", "stopped"),
        };
        (told.to_owned(), Some(kept))
    }

    /// A change of a managed guest's power or place is the manager's affair: the task only asks it.
    pub(in super::super) fn ask_manager(
        &mut self,
        node: &str,
        vmid: u32,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Option<Outcome> {
        if !self.is_ha_managed(vmid) || self.guests.get(&vmid)?.node != node {
            return None;
        }
        let species = self.guests.get(&vmid)?.species;
        let (sid, noun) = (Self::sid_of(species, vmid), species.noun());
        let target = call.text("target");
        let (kind, line, motion) = match (rest, target) {
            (["status", "start"], _) => (
                "hastart",
                format!("Requesting HA start for {noun} {vmid}"),
                None,
            ),
            (["status", "stop" | "shutdown"], _) => (
                "hastop",
                format!("Requesting HA stop for {noun} {vmid}"),
                None,
            ),
            (["migrate"], Some(target)) if target != node && self.nodes.contains_key(&target) => (
                "hamigrate",
                format!("Requesting HA migration for {noun} {vmid} to node {target}"),
                Some(target),
            ),
            _ => return None,
        };
        match (kind, motion) {
            ("hastart", _) => self.ask_state(&sid, "started"),
            ("hastop", _) => self.ask_state(&sid, "stopped"),
            (_, motion) => {
                let managed = self.ha.managed.entry(sid.clone()).or_default();
                managed.motion = motion.map(|target| (target, true));
                self.ha_changed(&sid);
            }
        }
        let operation = Operation::Told { line };
        let steps = vec![Step::Finish];
        Some(Ok(self.start_task(
            node,
            kind,
            &vmid.to_string(),
            caller,
            operation,
            steps,
        )))
    }

    fn ask_state(&mut self, sid: &str, state: &str) {
        if let Some(resource) = self.ha.resources.0.get_mut(sid) {
            resource.insert("state".to_owned(), state.into());
            self.ha_changed(sid);
        }
    }
}
