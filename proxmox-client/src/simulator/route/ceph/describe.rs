//! Status and metadata, as Ceph tells them.

use serde_json::{Map, Value, json};

use super::map::States;
use super::service::Trade;
use super::{COMMIT, RELEASE, VERSION, full_version};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::world::World;

/// Things that want attention, each with how bad it is and a summary.
#[derive(Default)]
struct Checks {
    found: Map<String, Value>,
    bad: bool,
}

impl Checks {
    fn warn(&mut self, name: &str, count: u64, text: String) {
        self.add(name, "HEALTH_WARN", count, text);
    }

    fn add(&mut self, name: &str, severity: &str, count: u64, text: String) {
        self.bad |= severity == "HEALTH_ERR";
        let check = json!({
            "severity": severity, "summary": { "message": text, "count": count }, "detail": [], "muted": false,
        });
        self.found.insert(name.to_owned(), check);
    }

    fn report(self) -> Value {
        let status = match (self.bad, self.found.is_empty()) {
            (true, _) => "HEALTH_ERR",
            (false, false) => "HEALTH_WARN",
            (false, true) => "HEALTH_OK",
        };
        json!({ "status": status, "checks": self.found, "mutes": [] })
    }
}

impl World {
    /// All placement groups by state.
    pub(super) fn all_states(&self) -> States {
        let mut all = States::default();
        for pool in self.ceph.pools.values() {
            let states = self.ceph.states(pool, self.objects_in(pool), &[]);
            for (state, count) in states.counts {
                *all.counts.entry(state).or_default() += count;
            }
            all.degraded += states.degraded;
        }
        all
    }

    fn health(&self, states: &States) -> Value {
        let ceph = &self.ceph;
        let mut checks = Checks::default();
        let up = ceph.monitors.values().filter(|one| one.up).count();
        let down = ceph.monitors.len() - up;
        if down > 0 {
            let quorum = self.quorum().join(",");
            let text = format!("{down}/{} mons down, quorum {quorum}", ceph.monitors.len());
            checks.warn("MON_DOWN", down as u64, text);
        }
        if ceph.active(Trade::Manager).is_none() {
            checks.warn("MGR_DOWN", 0, "no active mgr".to_owned());
        }
        let lost = ceph
            .osds
            .values()
            .filter(|osd| osd.inside && !osd.up)
            .count();
        if lost > 0 {
            let text = format!("{lost} osds down");
            checks.warn("OSD_DOWN", lost as u64, text);
        }
        for (host, ids) in ceph.hosts() {
            let dead = |id: &u32| ceph.osds.get(id).is_some_and(|osd| osd.inside && !osd.up);
            if ids.iter().all(dead) {
                let text = format!("1 host ({} osds) down", ids.len());
                checks.warn("OSD_HOST_DOWN", 1, format!("{text}: {host}"));
            }
        }
        if !ceph.flags.is_empty() {
            let flags: Vec<&str> = ceph
                .flags
                .iter()
                .map(|flag| match flag.as_str() {
                    "pause" => "pauserd,pausewr",
                    other => other,
                })
                .collect();
            let text = format!("{} flag(s) set", flags.join(","));
            checks.warn("OSDMAP_FLAGS", 0, text);
        }
        let wanted = self.ceph_setting("global", "osd_pool_default_size");
        let wanted: usize = wanted.and_then(|size| size.parse().ok()).unwrap_or(3);
        if ceph.osds.len() < wanted {
            let have = ceph.osds.len();
            let text = format!("OSD count {have} < osd_pool_default_size {wanted}");
            checks.warn("TOO_FEW_OSDS", 0, text);
        }
        let (running, standing_by) = ceph.metadata_up();
        if !ceph.filesystems.is_empty() {
            let unserved = ceph.filesystems.len().saturating_sub(running);
            if unserved > 0 {
                let text = format!("{unserved} filesystem is offline");
                checks.add("MDS_ALL_DOWN", "HEALTH_ERR", unserved as u64, text);
            } else if standing_by == 0 && running > 0 {
                let text = "insufficient standby MDS daemons available".to_owned();
                checks.warn("MDS_INSUFFICIENT_STANDBY", 1, text);
            }
        }
        self.check_groups(states, &mut checks);
        checks.report()
    }

    fn check_groups(&self, states: &States, checks: &mut Checks) {
        let inactive = states.of(|state| !state.contains("active"));
        if inactive > 0 {
            let stale = states.of(|state| state.contains("stale"));
            let more = match stale {
                0 => String::new(),
                stale => format!(", {stale} pgs stale"),
            };
            let text = format!("Reduced data availability: {inactive} pgs inactive{more}");
            checks.warn("PG_AVAILABILITY", inactive, text);
        }
        let undersized = states.of(|state| state.contains("undersized"));
        if undersized == 0 {
            return;
        }
        let objects = self.ceph.pools.values();
        let copies: u64 = objects
            .map(|pool| self.objects_in(pool) * u64::from(pool.size))
            .sum();
        let degraded = states.of(|state| state.contains("degraded"));
        let text = match degraded {
            0 => format!("Degraded data redundancy: {undersized} pgs undersized"),
            _ => format!(
                "Degraded data redundancy: {}/{copies} objects degraded ({:.3}%), {degraded} pgs degraded, \
                 {undersized} pgs undersized",
                states.degraded,
                states.degraded as f64 * 100.0 / copies.max(1) as f64,
            ),
        };
        checks.warn("PG_DEGRADED", undersized, text);
    }

    /// The monitors that agree.
    fn quorum(&self) -> Vec<&str> {
        let monitors = self.ceph.monitors.iter();
        let up = monitors.filter(|(_, monitor)| monitor.up);
        up.map(|(name, _)| name.as_str()).collect()
    }

    pub(super) fn ceph_status(&self) -> Value {
        let ceph = &self.ceph;
        let states = self.all_states();
        let (total, used) = self.raw_room();
        let monitors = ceph.monitors.iter().enumerate();
        let ranks = monitors.clone().filter(|(_, (_, monitor))| monitor.up);
        let mons = monitors.map(|(rank, (name, monitor))| {
            let address = format!("{}:6789/0", monitor.address);
            json!({ "rank": rank, "name": name, "addr": address, "public_addr": address })
        });
        let by_state = states.counts.iter();
        let by_state =
            by_state.map(|(state, count)| json!({ "state_name": state, "count": count }));
        let objects: u64 = ceph.pools.values().map(|pool| self.objects_in(pool)).sum();
        let data: u64 = ceph.pools.values().map(|pool| self.stored_in(pool)).sum();
        let groups: u64 = ceph.pools.values().map(|pool| u64::from(pool.pg_num)).sum();
        let mut placed = json!({
            "pgs_by_state": by_state.collect::<Vec<_>>(), "num_pgs": groups, "num_pools": ceph.pools.len(),
            "num_objects": objects, "data_bytes": data, "bytes_used": used, "bytes_avail": total.saturating_sub(used),
            "bytes_total": total,
        });
        if states.degraded > 0 {
            placed["degraded_objects"] = states.degraded.into();
        }
        let active = ceph.active(Trade::Manager);
        let standbys = ceph.managers.iter();
        let standbys = standbys.filter(|(name, daemon)| daemon.up && Some(*name) != active);
        let (running, standing_by) = ceph.metadata_up();
        let by_rank = ceph.metadata_servers.keys().filter_map(|name| {
            let filesystem = ceph.served_by(name)?;
            let at = ceph
                .filesystems
                .iter()
                .position(|fs| fs.name == filesystem)?;
            Some(json!({ "filesystem_id": at + 1, "rank": 0, "name": name, "status": "up:active" }))
        });
        json!({
            "fsid": self.ceph_setting("global", "fsid"), "health": self.health(&states),
            "election_epoch": 2 * ceph.monitors.len() + 1,
            "quorum": ranks.map(|(rank, _)| rank).collect::<Vec<_>>(), "quorum_names": self.quorum(),
            "monmap": {
                "epoch": ceph.monitors.len(), "min_mon_release_name": RELEASE, "num_mons": ceph.monitors.len(),
                "mons": mons.collect::<Vec<_>>(),
            },
            "osdmap": {
                "epoch": 10 + ceph.osds.len(), "num_osds": ceph.osds.len(),
                "num_up_osds": ceph.osds.values().filter(|osd| osd.up).count(),
                "num_in_osds": ceph.osds.values().filter(|osd| osd.inside).count(), "num_remapped_pgs": 0,
            },
            "pgmap": placed,
            "fsmap": {
                "epoch": 1 + ceph.filesystems.len(), "by_rank": by_rank.collect::<Vec<_>>(), "up": running - standing_by,
                "in": ceph.filesystems.len(), "max": ceph.filesystems.len(), "up:standby": standing_by,
            },
            "mgrmap": {
                "available": active.is_some(), "active_name": active.map_or("", String::as_str),
                "standbys": standbys.map(|(name, _)| json!({ "name": name })).collect::<Vec<_>>(),
            },
            "servicemap": { "epoch": 1, "services": {} }, "progress_events": {},
        })
    }

    pub(super) fn ceph_metadata(&self, node: &str, call: &Call) -> Outcome {
        let mut out = Map::new();
        let parts: Vec<&str> = VERSION.split('.').collect();
        let nodes: Map<String, Value> = self
            .ceph
            .installed
            .iter()
            .map(|name| {
                let version = json!({ "str": VERSION, "parts": parts });
                (
                    name.clone(),
                    json!({ "buildcommit": COMMIT, "version": version }),
                )
            })
            .collect();
        if !nodes.is_empty() {
            out.insert("node".to_owned(), nodes.into());
        }
        if call.text("scope").as_deref() == Some("versions") {
            return Ok(Reply::data(Value::Object(out)));
        }
        self.ceph_ready(node)?;
        let own = |name: &str, host: &str| {
            let memory = self.nodes.get(host).map_or(0, |node| node.memory / 1024);
            json!({
                "name": name, "hostname": host, "ceph_release": RELEASE, "ceph_version": full_version(),
                "ceph_version_short": VERSION, "mem_total_kb": memory, "mem_swap_kb": 0, "arch": "x86_64",
            })
        };
        for trade in [Trade::Monitor, Trade::Manager, Trade::Metadata] {
            let all = self.ceph.of(trade).iter().map(|(name, daemon)| {
                let mut entry = match daemon.up {
                    true => own(name, &daemon.node),
                    false => json!({}),
                };
                entry["direxists"] = 1.into();
                entry["service"] = 1.into();
                if daemon.up {
                    let key = match trade {
                        Trade::Monitor => "addrs",
                        _ => "addr",
                    };
                    entry[key] = daemon.address.as_str().into();
                }
                (format!("{name}@{}", daemon.node), entry)
            });
            out.insert(trade.branch().to_owned(), Value::Object(all.collect()));
        }
        let osds = self.ceph.osds.iter().map(|(id, osd)| {
            let mut entry = own("", &osd.node);
            if let Some(members) = entry.as_object_mut() {
                members.shift_remove("name");
            }
            let devices = osd.parts.iter();
            let devices: Vec<&str> = devices
                .map(|part| part.device.trim_start_matches("/dev/"))
                .collect();
            entry["id"] = (*id).into();
            entry["devices"] = devices.join(",").into();
            entry["osd_data"] = format!("/var/lib/ceph/osd/ceph-{id}").into();
            entry["osd_objectstore"] = "bluestore".into();
            entry
        });
        out.insert("osd".to_owned(), osds.collect());
        Ok(Reply::data(Value::Object(out)))
    }
}
