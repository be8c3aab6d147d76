//! What the manager tells of itself, of the nodes' agents, and of its resources.

use serde_json::{Value, json};

use super::manager::{FENCE_DELAY, LOCK};
use crate::simulator::task::seconds;
use crate::simulator::world::World;

impl World {
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
        self.nodes_up().next().filter(|_| any)
    }

    pub(super) fn ha_status(&self) -> Value {
        let local = self.nodes_up().next().unwrap_or_default();
        let mut out = vec![json!({
            "id": "quorum", "type": "quorum", "node": local, "quorate": u8::from(self.is_quorate()),
            "status": if self.is_quorate() { "OK" } else { "No quorum on node!" },
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
                let lost = self.lost_since(node).map(seconds);
                let status = match lost {
                    Some(last) => format!("{node} (old timestamp - dead?, {})", told_time(last)),
                    None => format!("{node} ({state}, {at})"),
                };
                out.push(json!({
                    "id": format!("lrm:{node}"), "type": "lrm", "node": node,
                    "timestamp": lost.unwrap_or(now), "status": status,
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
        let local = self.nodes_up().next().unwrap_or_default();
        let quorate = u8::from(self.is_quorate()).to_string();
        let quorum = json!({ "node": local, "quorate": quorate });
        let Some(master) = self.master() else {
            return json!({ "manager_status": { "node_status": {} }, "quorum": quorum });
        };
        let mut manager = json!({
            "master_node": master, "timestamp": seconds(self.now), "node_status": {}, "service_status": {},
        });
        let mut agents = json!({});
        for node in self.nodes.keys() {
            let state = match self.lost_for(node) {
                None => "online",
                Some(lost) if lost >= FENCE_DELAY && lost < LOCK => "fence",
                Some(_) => "unknown",
            };
            manager["node_status"][node] = state.into();
            let seen = seconds(self.lost_since(node).unwrap_or(self.now));
            agents[node] = json!({ "mode": "active", "state": "active", "timestamp": seen });
        }
        for sid in self.ha.resources.0.keys() {
            let guest = Self::managed_guest(sid).and_then(|vmid| self.guests.get(&vmid));
            if let (Some(guest), (_, Some(kept))) = (guest, self.service_state(sid)) {
                manager["service_status"][sid] = json!({ "node": guest.node, "state": kept });
            }
        }
        json!({ "manager_status": manager, "quorum": quorum, "lrm_status": agents })
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
