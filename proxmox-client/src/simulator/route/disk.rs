//! Disks of a node: what they are, what SMART says, what is on them, and how they get partitions and lose them.

mod ceph;
mod volume;
mod work;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::world::World;

use ceph::CephGroup;
use volume::LocalVolume;
pub(in super::super) use work::DiskWork;

/// What a disk is made of.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
enum Make {
    Hdd,
    Ssd,
    Nvme,
}

/// A disk of a node, with nothing on it.
#[derive(Serialize, Deserialize, Debug, Clone)]
#[non_exhaustive]
pub struct DiskSpec {
    device: String,
    make: Make,
    size: u64,
    model: String,
    serial: String,
    vendor: String,
    health: String,
    life_left: Option<u8>,
    attributes: Vec<Attribute>,
    used: Option<String>,
    mounted: bool,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
struct Attribute {
    id: u8,
    name: String,
    value: u8,
    threshold: u8,
    raw: String,
}

impl DiskSpec {
    fn new(device: &str, make: Make, size: u64) -> Self {
        Self {
            device: device.to_owned(),
            make,
            size,
            model: "DISK".to_owned(),
            serial: device.rsplit('/').next().unwrap_or(device).to_uppercase(),
            vendor: "unknown".to_owned(),
            health: "PASSED".to_owned(),
            life_left: (make != Make::Hdd).then_some(100),
            attributes: Vec::new(),
            used: None,
            mounted: false,
        }
    }

    /// A disk that turns, such as `/dev/sda`; size in bytes.
    pub fn hdd(device: &str, size: u64) -> Self {
        Self::new(device, Make::Hdd, size)
    }

    /// A solid-state disk, such as `/dev/sda`; size in bytes.
    pub fn ssd(device: &str, size: u64) -> Self {
        Self::new(device, Make::Ssd, size)
    }

    /// A solid-state disk on PCI Express, such as `/dev/nvme0n1`; size in bytes.
    pub fn nvme(device: &str, size: u64) -> Self {
        Self::new(device, Make::Nvme, size)
    }

    /// Its model.
    #[must_use]
    pub fn with_model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    /// Its serial number.
    #[must_use]
    pub fn with_serial(mut self, serial: &str) -> Self {
        serial.clone_into(&mut self.serial);
        self
    }

    /// What SMART says of it: `PASSED` if not set, `FAILED!`, …
    #[must_use]
    pub fn with_health(mut self, health: &str) -> Self {
        health.clone_into(&mut self.health);
        self
    }

    /// How much of a solid-state disk's life is left, in percent; 100 if not set.
    #[must_use]
    pub fn with_life_left(mut self, percent: u8) -> Self {
        self.life_left = Some(percent);
        self
    }

    /// An attribute that SMART tells of it, with its value and the one below which it counts as failing.
    #[must_use]
    pub fn with_attribute(
        mut self,
        id: u8,
        name: &str,
        value: u8,
        threshold: u8,
        raw: &str,
    ) -> Self {
        self.attributes.push(Attribute {
            id,
            name: name.to_owned(),
            value,
            threshold,
            raw: raw.to_owned(),
        });
        self
    }

    /// What is on the whole of it, such as `ext4` or `LVM`; such a disk cannot be used for anything else.
    #[must_use]
    pub fn with_use(mut self, used: &str) -> Self {
        self.used = Some(used.to_owned());
        self
    }

    /// It is mounted, so that nobody may wipe it.
    #[must_use]
    pub fn with_mount(mut self) -> Self {
        self.mounted = true;
        self
    }
}

/// A partition.
#[derive(Serialize, Deserialize, Debug, Clone)]
struct Part {
    number: u32,
    size: u64,
    used: Option<String>,
    mounted: bool,
}

/// A disk with what became of it.
#[derive(Serialize, Deserialize, Debug, Clone)]
struct Disk {
    spec: DiskSpec,
    gpt: bool,
    parts: Vec<Part>,
    /// What it holds for Ceph.
    #[serde(default)]
    ceph: Option<CephGroup>,
}

/// A node's disks by their devices, and what was made of them.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct Disks {
    disks: BTreeMap<String, Disk>,
    volumes: Vec<LocalVolume>,
}

impl Disk {
    fn part_device(&self, number: u32) -> String {
        let device = &self.spec.device;
        let between = if device.ends_with(|last: char| last.is_ascii_digit()) {
            "p"
        } else {
            ""
        };
        format!("{device}{between}{number}")
    }

    /// What it is used for; `parts` says that partitions are told themselves.
    fn used(&self, parts: bool) -> Option<&str> {
        let whole = self.spec.used.as_deref();
        if self.parts.is_empty() {
            return whole;
        }
        if parts {
            return Some("partitions");
        }
        let of_parts = self.parts.iter().find_map(|part| part.used.as_deref());
        whole.or(of_parts).or(Some("partitions"))
    }

    fn is_used(&self) -> bool {
        self.used(true).is_some()
    }

    fn wipe(&mut self) {
        self.gpt = false;
        self.parts.clear();
        self.spec.used = None;
        self.spec.mounted = false;
        self.ceph = None;
    }

    fn entry(&self, smart: bool, parts: bool) -> Value {
        let spec = &self.spec;
        let (kind, rpm) = match spec.make {
            Make::Hdd => ("hdd", 7200),
            Make::Ssd => ("ssd", 0),
            Make::Nvme => ("nvme", 0),
        };
        let bus = if spec.make == Make::Nvme {
            "nvme"
        } else {
            "ata"
        };
        let mut entry = json!({
            "devpath": spec.device, "size": spec.size, "type": kind, "rpm": rpm, "model": spec.model,
            "serial": spec.serial, "vendor": spec.vendor, "wwn": "unknown", "gpt": u8::from(self.gpt),
            "health": if smart { spec.health.as_str() } else { "UNKNOWN" }, "wearout": "N/A",
            "osdid": -1, "osdid-list": null,
            "by_id_link": format!("/dev/disk/by-id/{bus}-{}_{}", spec.model.replace(' ', "_"), spec.serial),
        });
        if let (Some(left), true) = (spec.life_left, smart) {
            entry["wearout"] = left.into();
        }
        if spec.mounted {
            entry["mounted"] = 1.into();
        }
        if let Some(used) = self.used(parts) {
            entry["used"] = used.into();
        }
        self.tell_ceph(&mut entry);
        entry
    }

    fn part_entries(&self) -> impl Iterator<Item = Value> {
        self.parts.iter().map(|part| {
            let mut entry = json!({
                "devpath": self.part_device(part.number), "parent": self.spec.device, "type": "partition",
                "size": part.size, "gpt": u8::from(self.gpt), "osdid": -1, "osdid-list": null,
            });
            if let Some(used) = &part.used {
                entry["used"] = used.as_str().into();
            }
            if part.mounted {
                entry["mounted"] = 1.into();
            }
            entry
        })
    }

    fn smart(&self) -> Value {
        let spec = &self.spec;
        let mut out = Map::from_iter([("health".to_owned(), spec.health.as_str().into())]);
        if spec.make == Make::Nvme {
            let spent = 100 - spec.life_left.unwrap_or(100).min(100);
            let text = format!("\nSMART/Health Information\nPercentage Used: {spent}%\n");
            out.insert("type".to_owned(), "text".into());
            out.insert("text".to_owned(), text.into());
            return out.into();
        }
        let attribute = |id: u8, name: &str, value: u8, threshold: u8, raw: &str| {
            json!({
                "id": format!("{id:>3}"), "name": name, "value": value, "normalized": value, "worst": value,
                "threshold": threshold, "raw": raw, "flags": "-O--CK",
                "fail": if value <= threshold && threshold > 0 { "NOW" } else { "-" },
            })
        };
        let mut attributes: Vec<Value> = spec
            .attributes
            .iter()
            .map(|one| attribute(one.id, &one.name, one.value, one.threshold, &one.raw))
            .collect();
        if let Some(left) = spec.life_left {
            attributes.push(attribute(233, "Media_Wearout_Indicator", left, 0, "0"));
        }
        out.insert("type".to_owned(), "ata".into());
        out.insert("attributes".to_owned(), attributes.into());
        out.into()
    }
}

fn no_device() -> Reply {
    Reply::failed("not a valid block device")
}

impl Disks {
    pub(in super::super) fn add(&mut self, spec: DiskSpec) {
        let disk = Disk {
            gpt: false,
            parts: Vec::new(),
            ceph: None,
            spec,
        };
        self.disks.insert(disk.spec.device.clone(), disk);
    }

    /// The disk itself, or the one that a partition is on.
    fn holding(&self, device: &str) -> Option<(&Disk, Option<&Part>)> {
        if let Some(disk) = self.disks.get(device) {
            return Some((disk, None));
        }
        self.disks.values().find_map(|disk| {
            let is = |part: &&Part| disk.part_device(part.number) == device;
            Some((disk, Some(disk.parts.iter().find(is)?)))
        })
    }

    fn disk(&self, device: &str) -> Result<&Disk, Reply> {
        self.disks.get(device).ok_or_else(no_device)
    }

    /// A whole disk that nothing is on.
    fn unused(&self, device: &str) -> Result<&Disk, Reply> {
        let (disk, part) = self.holding(device).ok_or_else(no_device)?;
        let used = match part {
            Some(part) => part.used.is_some(),
            None => disk.is_used(),
        };
        if used {
            let text = format!("device '{device}' is already in use");
            return Err(Reply::failed(text));
        }
        Ok(disk)
    }

    fn list(&self, call: &Call) -> Value {
        let smart = !call.flag("skipsmart");
        let parts = call.flag("include-partitions");
        let kind = call.text("type");
        let shown = self.disks.values().flat_map(|disk| {
            let whole = std::iter::once(disk.entry(smart, parts));
            whole.chain(disk.part_entries().filter(move |_| parts))
        });
        let wanted = |entry: &Value| {
            let used = entry["used"].as_str();
            match kind.as_deref() {
                Some("unused") => used.is_none(),
                Some("journal_disks") => match used {
                    Some("partitions") => entry["gpt"] == 1,
                    used => used.is_none_or(|used| used == "LVM"),
                },
                _ => true,
            }
        };
        shown.filter(wanted).collect()
    }

    /// What a wipe is refused for.
    fn refuse_wipe(&self, device: &str) -> Result<(), Reply> {
        let (disk, part) = self.holding(device).ok_or_else(no_device)?;
        let refused = |what: &str, why: &str| {
            let text = format!("disk/partition '{what}' {why}");
            Err(Reply::failed(text))
        };
        if let Some(part) = part.filter(|part| part.mounted) {
            return refused(&disk.part_device(part.number), "is mounted");
        }
        if part.is_none() {
            if disk.spec.mounted {
                return refused(device, "is mounted");
            }
            if let Some(part) = disk.parts.iter().find(|part| part.mounted) {
                return refused(&disk.part_device(part.number), "is mounted");
            }
        }
        let held = |used: Option<&str>| used == Some("LVM");
        let used = part.map_or(disk.spec.used.as_deref(), |part| part.used.as_deref());
        if held(used) {
            return refused(device, "has a holder");
        }
        Ok(())
    }

    fn wipe(&mut self, device: &str) {
        if let Some(disk) = self.disks.get_mut(device) {
            disk.wipe();
            return;
        }
        for disk in self.disks.values_mut() {
            let devices = disk.parts.iter().map(|part| disk.part_device(part.number));
            if let Some(at) = devices.into_iter().position(|part| part == device) {
                disk.parts[at].used = None;
            }
        }
    }
}

impl World {
    /// A disk of a node, with nothing on it unless it says so.
    #[must_use]
    pub fn with_disk(mut self, node: &str, disk: DiskSpec) -> Self {
        if let Some(node) = self.nodes.get_mut(node) {
            node.upkeep.disks.add(disk);
        }
        self
    }

    pub(super) fn disks_of(&self, node: &str) -> Disks {
        let node = self.nodes.get(node);
        node.map(|node| node.upkeep.disks.clone())
            .unwrap_or_default()
    }

    pub(super) fn node_disks(
        &mut self,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        let disks = self.disks_of(node);
        let device = call.text("disk").unwrap_or_default();
        let name = device.rsplit('/').next().unwrap_or_default().to_owned();
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let all = [
                    "list",
                    "initgpt",
                    "smart",
                    "lvm",
                    "lvmthin",
                    "directory",
                    "wipedisk",
                    "zfs",
                ];
                Ok(Reply::data(
                    all.map(|name| json!({ "name": name })).to_vec(),
                ))
            }
            ("GET", ["list"]) => Ok(Reply::data(disks.list(call))),
            ("GET", ["smart"]) => {
                let disk = disks.disk(&device)?;
                Ok(Reply::data(match call.flag("healthonly") {
                    true => json!({ "health": disk.spec.health }),
                    false => disk.smart(),
                }))
            }
            ("POST", ["initgpt"]) => {
                let (disk, part) = disks.holding(&device).ok_or_else(no_device)?;
                if part.is_some() {
                    return Err(Reply::failed(format!("{device} is a partition")));
                }
                if disk.is_used() {
                    return Err(Reply::failed(format!("disk {device} already in use")));
                }
                let work = DiskWork::Init(device);
                Ok(self.disk_task(node, "diskinit", &name, work, caller))
            }
            ("PUT", ["wipedisk"]) => {
                disks.refuse_wipe(&device)?;
                if disks.is_pooled(&device) {
                    // What becomes of a pool that loses a disk is not modelled.
                    return Err(not_simulated(call));
                }
                let work = DiskWork::Wipe(device);
                Ok(self.disk_task(node, "wipedisk", &name, work, caller))
            }
            _ => self.disk_volumes(node, &disks, rest, call, caller),
        }
    }

    fn disk_task(
        &mut self,
        node: &str,
        kind: &str,
        id: &str,
        work: DiskWork,
        caller: &Caller,
    ) -> Reply {
        let steps = vec![Step::Work(Duration::from_secs(2)), Step::Finish];
        let operation = Operation::Disk {
            node: node.to_owned(),
            work: Box::new(work),
        };
        self.start_task(node, kind, id, caller, operation, steps)
    }
}
