//! What the manager does: it looks at its resources every ten seconds and starts the tasks that bring each one nearer to
//! what is asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::feasible::resources_of;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::guest::Species;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Migration, Operation, lock_guest};
use crate::simulator::section::{Param, Shape, check};
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// The pause between two rounds.
const ROUND: Duration = Duration::from_secs(10);

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
    error: bool,
}

fn manager() -> Caller {
    Caller {
        user: "root@pam".to_owned(),
        token: None,
    }
}

impl World {
    /// The state that a resource is asked to be in.
    fn asked_state(&self, sid: &str) -> Option<&str> {
        let resource = self.ha.resources.0.get(sid)?;
        let state = resource
            .get("state")
            .and_then(Value::as_str)
            .unwrap_or("started");
        Some(if state == "enabled" { "started" } else { state })
    }

    /// The id of a resource's guest.
    fn managed_guest(sid: &str) -> Option<u32> {
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
        managed.error &= !disabled;
        if !managed.due {
            self.next_round(sid);
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
        let motion = managed.motion.clone();
        let settled = match (Self::managed_guest(sid), self.asked_state(sid)) {
            (Some(vmid), Some(state)) if state != "ignored" => {
                let state = state.to_owned();
                self.ha_step(vmid, &state, motion.as_ref())
            }
            _ => true,
        };
        let Some(managed) = self.ha.managed.get_mut(sid) else {
            return;
        };
        if settled {
            managed.tries = 0;
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

    /// Starts what brings a guest nearer to what is asked for; true once nothing is left to do.
    fn ha_step(&mut self, vmid: u32, state: &str, motion: Option<&(String, bool)>) -> bool {
        let Some(guest) = self.guests.get(&vmid) else {
            return false;
        };
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
        let with = |affinity: &str, of: &str| -> BTreeSet<String> {
            let rules = self.ha.rules.0.values().filter(|rule| {
                rule.get("affinity").and_then(Value::as_str) == Some(affinity)
                    && rule.get("disable") != Some(&1.into())
            });
            let sets = rules
                .map(resources_of)
                .filter(|resources| resources.contains(of));
            sets.flatten().filter(|other| other != of).collect()
        };
        let mut together: BTreeSet<String> = BTreeSet::new();
        let mut todo = vec![sid.to_owned()];
        while let Some(next) = todo.pop() {
            for other in with("positive", &next) {
                if other != sid && together.insert(other.clone()) {
                    todo.push(other);
                }
            }
        }
        let node_of = |sid: &String| {
            let guest = Self::managed_guest(sid).and_then(|vmid| self.guests.get(&vmid));
            guest.map(|guest| guest.node.as_str())
        };
        let mut blocking = with("negative", sid);
        blocking.retain(|other| node_of(other) == Some(target));
        (
            together.into_iter().collect(),
            blocking.into_iter().collect(),
        )
    }

    /// What people are told about a resource, and what the manager keeps.
    fn service_state(&self, sid: &str) -> (String, Option<&'static str>) {
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
        if managed.due && managed.tries == 0 && managed.motion.is_none() {
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

    /// What a guest's own state tells of it.
    pub(in super::super) fn ha_of(&self, vmid: u32) -> Value {
        let sid = match self.own_sid(vmid) {
            Some(sid) if self.is_ha_managed(vmid) => sid,
            _ => return json!({ "managed": 0 }),
        };
        let mut told = json!({ "managed": 1 });
        let group = self
            .ha
            .resources
            .0
            .get(&sid)
            .and_then(|resource| resource.get("group"));
        if let Some(group) = group.filter(|_| !self.has_rules()) {
            told["group"] = group.clone();
        }
        told["state"] = self.service_state(&sid).0.into();
        told
    }

    /// The manager is in charge from the first resource on.
    fn master(&self) -> Option<&str> {
        let any = !self.ha.resources.0.is_empty();
        self.nodes.keys().next().filter(|_| any).map(String::as_str)
    }

    pub(super) fn ha_status(&self) -> Value {
        let local = self.nodes.keys().next().map_or("", String::as_str);
        let mut out = vec![json!({
            "id": "quorum", "type": "quorum", "node": local, "status": "OK", "quorate": 1,
        })];
        let now = seconds(self.now);
        if let Some(master) = self.master() {
            let at = told_time(now);
            out.push(json!({
                "id": "master", "type": "master", "node": master, "timestamp": now,
                "status": format!("{master} (active, {at})"),
            }));
            for node in self.nodes.keys() {
                let runs = |sid: &String| {
                    let guest = Self::managed_guest(sid).and_then(|vmid| self.guests.get(&vmid));
                    guest.is_some_and(|guest| guest.node == *node && guest.is_on())
                };
                let state = match self.ha.resources.0.keys().any(runs) {
                    true => "active",
                    false => "idle",
                };
                out.push(json!({
                    "id": format!("lrm:{node}"), "type": "lrm", "node": node, "timestamp": now,
                    "status": format!("{node} ({state}, {at})"),
                }));
            }
        }
        for (sid, resource) in &self.ha.resources.0 {
            let guest = Self::managed_guest(sid).and_then(|vmid| self.guests.get(&vmid));
            let node = guest.map(|guest| guest.node.as_str());
            let (state, kept) = self.service_state(sid);
            let told_node = node.unwrap_or("---");
            let mut entry = json!({
                "id": format!("service:{sid}"), "type": "service", "sid": sid, "state": state,
                "status": format!("{sid} ({told_node}, {state})"),
                "request_state": resource.get("state").cloned().unwrap_or_else(|| "started".into()),
            });
            if let Some(node) = node {
                entry["node"] = node.into();
            }
            if let Some(kept) = kept {
                entry["crm_state"] = kept.into();
            }
            for key in [
                "group",
                "max_restart",
                "max_relocate",
                "failback",
                "comment",
            ] {
                if let Some(value) = resource.get(key) {
                    entry[key] = value.clone();
                }
            }
            out.push(entry);
        }
        out.into()
    }

    pub(super) fn ha_manager_status(&self) -> Value {
        let local = self.nodes.keys().next().map_or("", String::as_str);
        let quorum = json!({ "node": local, "quorate": "1" });
        let Some(master) = self.master() else {
            return json!({ "manager_status": { "node_status": {} }, "quorum": quorum });
        };
        let mut manager = json!({
            "master_node": master, "timestamp": seconds(self.now), "node_status": {}, "service_status": {},
        });
        let mut agents = json!({});
        for node in self.nodes.keys() {
            manager["node_status"][node] = "online".into();
            agents[node] =
                json!({ "mode": "active", "state": "active", "timestamp": seconds(self.now) });
        }
        for sid in self.ha.resources.0.keys() {
            let guest = Self::managed_guest(sid).and_then(|vmid| self.guests.get(&vmid));
            if let (Some(guest), (_, Some(kept))) = (guest, self.service_state(sid)) {
                manager["service_status"][sid] = json!({ "node": guest.node, "state": kept });
            }
        }
        json!({ "manager_status": manager, "quorum": quorum, "lrm_status": agents })
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

/// A moment in UTC as the manager tells it: `Thu Jan  1 00:00:00 1970`.
fn told_time(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let moment = crate::simulator::calendar::Moment::of(seconds);
    format!(
        "{} {} {:>2} {:02}:{:02}:{:02} {}",
        DAYS[(seconds / 86_400 % 7) as usize],
        MONTHS[moment.month as usize - 1],
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
        moment.year
    )
}
