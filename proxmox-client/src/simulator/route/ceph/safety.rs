//! What Ceph says of stopping and removing something.

use serde_json::json;

use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::world::World;

impl World {
    pub(super) fn ceph_safety(&self, node: &str, call: &Call) -> Outcome {
        self.ceph_ready(node)?;
        let text = |name: &str| call.text(name).unwrap_or_default();
        let (service, id, action) = (text("service"), text("id"), text("action"));
        let (safe, status) = match (service.as_str(), action.as_str()) {
            ("mon", "stop") => self.may_stop_monitor(&id),
            ("mon", _) => self.may_remove_monitor(&id),
            ("mds", "stop") => self.may_stop_metadata_server(&id),
            ("osd", "stop") => self.may_stop_osd(&id),
            ("osd", _) => self.may_destroy_osd(&id),
            _ => {
                return Err(Reply::failed(format!(
                    "Service does not support this action: {service}: {action}"
                )));
            }
        };
        let mut answer = json!({ "safe": safe });
        if !status.is_empty() {
            answer["status"] = status.into();
        }
        Ok(Reply::data(answer))
    }

    /// Monitors that agree, without one.
    fn quorum_without(&self, id: &str) -> Vec<&str> {
        let monitors = self.ceph.monitors.iter();
        let up = monitors.filter(|(name, monitor)| monitor.up && *name != id);
        up.map(|(name, _)| name.as_str()).collect()
    }

    fn may_stop_monitor(&self, id: &str) -> (bool, String) {
        let left = self.quorum_without(id);
        let enough = left.len() > self.ceph.monitors.len() / 2;
        let left = left.join(",");
        match enough {
            true => (
                true,
                format!("quorum should be preserved ({left}) after stopping [{id}]"),
            ),
            false => (
                false,
                format!(
                    "not enough monitors would be available ({left}) after stopping mons [{id}]"
                ),
            ),
        }
    }

    fn may_remove_monitor(&self, id: &str) -> (bool, String) {
        let Some(monitor) = self.ceph.monitors.get(id) else {
            return (true, format!("mon.{id} does not exist"));
        };
        let rest = self.ceph.monitors.len() - 1;
        let enough = !monitor.up || self.quorum_without(id).len() > rest / 2;
        match enough {
            true => (true, format!("safe to remove mon.{id}")),
            false => (false, format!("removing mon.{id} would break quorum")),
        }
    }

    fn may_stop_metadata_server(&self, id: &str) -> (bool, String) {
        let (_, standing_by) = self.ceph.metadata_up();
        match self.ceph.served_by(id) {
            Some(_) if standing_by == 0 => (
                false,
                format!("insufficient standby MDS daemons to stop active mds.{id}"),
            ),
            _ => (true, format!("should be safe to stop mds.{id}")),
        }
    }

    fn may_stop_osd(&self, id: &str) -> (bool, String) {
        let Some(id) = id.parse::<u32>().ok() else {
            return (false, format!("invalid osd id '{id}'"));
        };
        // What is offline now stays so; what would come to it is what counts.
        let offline = |without: &[u32]| -> u64 {
            let pools = self.ceph.pools.values();
            let of = |pool| {
                let states = self.ceph.states(pool, self.objects_in(pool), without);
                states.of(|state| !state.contains("active"))
            };
            pools.map(of).sum()
        };
        let after = offline(&[id]);
        match after > offline(&[]) || after > 0 {
            true => (
                false,
                format!(
                    "unsafe to stop osd(s) at this time ({after} PGs are or would become offline)"
                ),
            ),
            false => (true, String::new()),
        }
    }

    fn may_destroy_osd(&self, id: &str) -> (bool, String) {
        let Some(id) = id.parse::<u32>().ok() else {
            return (false, format!("invalid osd id '{id}'"));
        };
        let safe = format!("OSD(s) {id} are safe to destroy without reducing data durability.");
        if !self.ceph.osds.contains_key(&id) {
            return (true, safe);
        }
        let usage = self.osd_usage();
        let held = usage.groups.get(&id).copied().unwrap_or(0);
        if held > 0 {
            let text = format!("OSD(s) {id} have {held} pgs currently mapped to them.");
            return (false, text);
        }
        // What others lack may be nowhere else.
        if self
            .all_states()
            .of(|state| !state.starts_with("active+clean"))
            == 0
        {
            return (true, safe);
        }
        let why = match self.ceph.is_up(id) {
            true => {
                "last reported they still store some PG data, and not all PGs are active+clean; \
                     we cannot be sure they aren't still needed."
            }
            false => {
                "have no reported stats, and not all PGs are active+clean; we cannot draw any conclusions."
            }
        };
        (false, format!("OSD(s) {id} {why}"))
    }
}
