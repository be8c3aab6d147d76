//! Disks: the tree, what they tell, how they are made, taken in and out, and removed.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::work::{CephWork, NewOsd, Side};
use super::{full_version, map};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::calendar::Moment;
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::route::not_simulated;
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// A volume of a disk.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Part {
    /// `block`, `db` or `wal`.
    pub(super) kind: String,
    pub(super) device: String,
    pub(super) group: String,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) uuid: String,
}

/// A disk.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Osd {
    pub(super) node: String,
    pub(super) class: String,
    pub(super) encrypted: bool,
    pub(super) parts: Vec<Part>,
    pub(super) up: bool,
    pub(super) inside: bool,
    pub(super) down_since: Option<SystemTime>,
    /// Whether the monitors marked it out because it was down.
    pub(super) lost: bool,
    pub(super) made: SystemTime,
    pub(super) pid: u32,
}

impl Osd {
    pub(super) fn part(&self, kind: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.kind == kind)
    }

    pub(super) fn size(&self) -> u64 {
        self.part("block").map_or(0, |part| part.size)
    }

    /// Its weight: TiB.
    pub(super) fn weight(&self) -> f64 {
        self.size() as f64 / (1u64 << 40) as f64
    }
}

/// How long it takes to make one.
const MAKING: Duration = Duration::from_secs(8);

const REMOVING: Duration = Duration::from_secs(3);

impl World {
    fn osd_or(&self, id: &str) -> Result<(u32, &Osd), Reply> {
        let number = id.parse::<u32>().ok();
        number
            .and_then(|number| Some((number, self.ceph.osds.get(&number)?)))
            .ok_or_else(|| Reply::failed(format!("no such OSD '{id}'")))
    }

    pub(super) fn ceph_osds(
        &mut self,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                self.ceph_ready(node)?;
                Ok(Reply::data(self.osd_tree()))
            }
            ("POST", []) => self.make_osd(node, call, caller),
            ("GET", [id, "metadata"]) => {
                self.ceph_ready(node)?;
                self.osd_info(node, id)
            }
            ("GET", [id, "lv-info"]) => {
                self.ceph_inited(node)?;
                self.osd_volume(node, id, call)
            }
            ("POST", [id, what @ ("in" | "out" | "scrub")]) => {
                self.ceph_ready(node)?;
                let (id, _) = self.osd_or(id)?;
                if *what != "scrub" {
                    self.move_osd(id, *what == "in");
                }
                Ok(Reply::data(()))
            }
            ("DELETE", [id]) => {
                self.ceph_ready(node)?;
                let here = self.osd_or(id).is_ok_and(|(_, osd)| osd.node == node);
                if !here {
                    let text = format!("OSD osd.{id} does not belong to node {node}!");
                    return Err(Reply::failed(format!(
                        "{text} at /usr/share/perl5/PVE/API2/Ceph/OSD.pm line 1009."
                    )));
                }
                let (number, _) = self.osd_or(id)?;
                self.refuse_osd_removal(number)?;
                let work = CephWork::RemoveOsd {
                    id: number,
                    cleanup: call.flag("cleanup"),
                };
                let task = format!("osd.{number}");
                Ok(self.ceph_task(node, "cephdestroyosd", &task, caller, REMOVING, work))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn refuse_osd_removal(&self, id: u32) -> Result<(), Reply> {
        let osd = self.ceph.osds.get(&id);
        if osd.is_some_and(|osd| osd.inside) {
            return Err(Reply::failed("osd is in use (in == 1)"));
        }
        if osd.is_some_and(|osd| osd.up) {
            return Err(Reply::failed("osd is still running (up == 1)"));
        }
        Ok(())
    }

    fn move_osd(&mut self, id: u32, inside: bool) {
        let Some(osd) = self.ceph.osds.get_mut(&id) else {
            return;
        };
        if osd.inside != inside {
            osd.inside = inside;
            let up = osd.up;
            let word = if inside { "in" } else { "out" };
            let also = match up && !inside {
                true => ", while it was still marked up",
                false => "",
            };
            self.ceph_log(
                "INF",
                &format!("Client client.admin marked osd.{id} {word}{also}"),
            );
        }
        self.settle_ceph();
    }

    fn make_osd(&mut self, node: &str, call: &Call, caller: &Caller) -> Outcome {
        self.ceph_inited(node)?;
        let many = call.number("osds-per-device");
        let side = |name: &str| {
            let device = call.text(&format!("{name}_dev"))?;
            let size = call.text(&format!("{name}_dev_size"));
            let gib = size.and_then(|size| size.parse::<f64>().ok());
            Some(Side {
                kind: name.to_owned(),
                device,
                size: gib.map(|gib| (gib * (1u64 << 30) as f64) as u64),
            })
        };
        let sides: Vec<Side> = ["db", "wal"].into_iter().filter_map(side).collect();
        if let (Some(_), Some(side)) = (many, sides.first()) {
            let name = format!("{}_dev", side.kind);
            let why = format!("cannot use 'osds-per-device' parameter with '{name}'");
            return Err(Reply::parameter(&name, why));
        }
        let device = call.text("dev").unwrap_or_default();
        let mut seen = vec![device.clone()];
        for side in &sides {
            if seen.contains(&side.device) {
                let why = format!("cannot chose '{}' for more than one type.", side.device);
                return Err(Reply::parameter(&format!("{}_dev", side.kind), why));
            }
            seen.push(side.device.clone());
        }
        let disks = self.disks_of(node);
        disks.refuse_osd(&device)?;
        for side in &sides {
            disks.refuse_osd_side(&side.device, call)?;
        }
        self.ceph_reached()?;
        let new = NewOsd {
            class: call.text("crush-device-class"),
            encrypted: call.flag("encrypted"),
            count: many.unwrap_or(1).try_into().unwrap_or(1),
            device,
            sides,
        };
        let name = new.device.trim_start_matches("/dev/").to_owned();
        let work = CephWork::MakeOsd(new);
        Ok(self.ceph_task(node, "cephcreateosd", &name, caller, MAKING, work))
    }

    fn osd_tree(&self) -> Value {
        let usage = self.osd_usage();
        let children = self.ceph.hosts().into_iter().enumerate().map(|(at, (host, ids))| {
            let osds = ids.iter().map(|id| self.osd_leaf(*id, &usage));
            json!({
                "id": -3 - 2 * at as i64, "name": host, "type": "host", "leaf": 0, "version": super::VERSION,
                "children": osds.collect::<Vec<_>>(),
            })
        });
        let children: Vec<Value> = children.collect();
        let mut default = json!({ "id": -1, "name": "default", "type": "root", "leaf": 0 });
        if !children.is_empty() {
            default["children"] = children.into();
        }
        json!({ "root": { "leaf": 0, "children": [default] }, "flags": self.osdmap_flags() })
    }

    fn osd_leaf(&self, id: u32, usage: &map::Usage) -> Value {
        let Some(osd) = self.ceph.osds.get(&id) else {
            return Value::Null;
        };
        let used = usage.used.get(&id).copied().unwrap_or(0);
        let device = |kind: &str| {
            osd.part(kind)
                .map(|part| format!("/dev/{}/{}", part.group, part.name))
        };
        let mut leaf = json!({
            "id": id, "name": format!("osd.{id}"), "type": "osd", "host": osd.node, "leaf": 1,
            "status": if osd.up { "up" } else { "down" }, "in": u8::from(osd.inside),
            "crush_weight": osd.weight(), "reweight": u8::from(osd.inside), "device_class": osd.class,
            "pgs": usage.groups.get(&id).copied().unwrap_or(0), "total_space": osd.size(), "bytes_used": used,
            "percent_used": used as f64 * 100.0 / osd.size().max(1) as f64, "commit_latency_ms": 0,
            "apply_latency_ms": 0, "osdtype": "bluestore", "blfsdev": device("block"), "dbdev": device("db"),
            "waldev": device("wal"), "ceph_version": full_version(), "ceph_version_short": super::VERSION,
        });
        for absent in ["dbdev", "waldev"] {
            if leaf[absent].is_null()
                && let Some(members) = leaf.as_object_mut()
            {
                members.shift_remove(absent);
            }
        }
        leaf
    }

    fn osd_info(&self, node: &str, id: &str) -> Outcome {
        let elsewhere = || Reply::failed(format!("OSD '{id}' does not exists on host '{node}'"));
        let (number, osd) = self
            .osd_or(id)
            .map_err(|_| super::refused(format!("osd.{id} does not exist")))?;
        if osd.node != node {
            return Err(elsewhere());
        }
        let address = self
            .nodes
            .get(node)
            .map_or("", |node| node.address.as_str());
        let port = 6800 + 4 * number;
        let at = |offset: u32| {
            format!(
                "[v2:{address}:{0}/1,v1:{address}:{1}/1]",
                port + offset,
                port + offset + 1
            )
        };
        let kind = match osd.class.as_str() {
            "hdd" => "hdd",
            _ => "ssd",
        };
        let devices = osd.parts.iter().map(|part| {
            json!({
                "device": part.kind, "dev_node": format!("/dev/dm-{}", number),
                "physical_device": part.device.trim_start_matches("/dev/"), "size": part.size,
                "support_discard": kind == "ssd", "type": kind,
            })
        });
        let mut general = json!({
            "id": number, "hostname": node, "version": format!("{} ({})", super::VERSION, super::RELEASE),
            "mem_usage": if osd.up { 1u64 << 30 } else { 0 }, "osd_data": format!("/var/lib/ceph/osd/ceph-{number}"),
            "osd_objectstore": "bluestore", "encrypted": u8::from(osd.encrypted), "front_addr": at(0),
            "back_addr": at(2), "hb_front_addr": at(4), "hb_back_addr": at(6),
        });
        if osd.up {
            general["pid"] = osd.pid.into();
        }
        Ok(Reply::data(
            json!({ "osd": general, "devices": devices.collect::<Vec<_>>() }),
        ))
    }

    fn osd_volume(&self, node: &str, id: &str, call: &Call) -> Outcome {
        let found = self.osd_or(id).ok().filter(|(_, osd)| osd.node == node);
        let Some((_, osd)) = found else {
            return Err(Reply::failed(format!(
                "OSD '{id}' not found in 'ceph-volume lvm list' on node '{node}'.\n\
                 Maybe it was created before LVM became the default?"
            )));
        };
        let kind = call.text("type").unwrap_or_else(|| "block".to_owned());
        let Some(part) = osd.part(&kind) else {
            let text = format!("volume type '{kind}' not found for OSD {id}");
            return Err(Reply::failed(text));
        };
        let at = Moment::of(seconds(osd.made));
        let made = format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02} +0000",
            at.year, at.month, at.day, at.hour, at.minute, at.second
        );
        Ok(Reply::data(json!({
            "lv_name": part.name, "vg_name": part.group, "lv_path": format!("/dev/{}/{}", part.group, part.name),
            "lv_size": part.size, "lv_uuid": part.uuid, "creation_time": made,
        })))
    }
}
