//! Disks that serve Ceph: volume groups of its own, with a volume for each part.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Disk, Disks, Make};
use crate::simulator::answer::Reply;
use crate::simulator::http::Call;
use crate::simulator::route::not_simulated;

/// Ceph's volume group on a disk.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct CephGroup {
    name: String,
    volumes: Vec<CephVolume>,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
struct CephVolume {
    /// The disk of Ceph that it belongs to; none once that is gone.
    osd: Option<u32>,
    /// `block`, `db` or `wal`.
    kind: String,
    size: u64,
    encrypted: bool,
}

/// What a volume group leaves of a disk.
fn extents(bytes: u64) -> u64 {
    bytes.saturating_sub(1 << 20) / (4 << 20) * (4 << 20)
}

fn no_info(device: &str) -> Reply {
    Reply::failed(format!("unable to get device info for '{device}'"))
}

impl Disk {
    /// What lists of disks tell of it.
    pub(super) fn tell_ceph(&self, entry: &mut Value) {
        let Some(group) = &self.ceph else {
            return;
        };
        let of = |kind: &'static str| {
            let volumes = group.volumes.iter();
            volumes.filter(move |volume| volume.kind == kind)
        };
        let ids: Vec<u32> = of("block").filter_map(|volume| volume.osd).collect();
        if let Some(first) = ids.first() {
            entry["osdid"] = (*first).into();
            let encrypted = of("block").any(|volume| volume.encrypted);
            entry["bluestore"] = 1.into();
            entry["osdencrypted"] = u8::from(encrypted).into();
            entry["osdid-list"] = json!(ids);
        }
        for kind in ["db", "wal"] {
            let count = of(kind).filter(|volume| volume.osd.is_some()).count();
            if count > 0 {
                entry[kind] = count.into();
            }
        }
    }
}

impl Disks {
    /// Refuses a device that cannot become a disk of Ceph.
    pub(in super::super) fn refuse_osd(&self, device: &str) -> Result<(), Reply> {
        if !self.disks.contains_key(device) && self.holding(device).is_none() {
            return Err(super::no_device());
        }
        let disk = self.disks.get(device).ok_or_else(|| no_info(device))?;
        match disk.is_used() {
            true => Err(Reply::failed(format!(
                "device '{device}' is already in use"
            ))),
            false => Ok(()),
        }
    }

    /// Refuses a device that cannot take a part of a disk.
    pub(in super::super) fn refuse_osd_side(&self, device: &str, call: &Call) -> Result<(), Reply> {
        let disk = self.disks.get(device).ok_or_else(super::no_device)?;
        match disk.used(true) {
            None | Some("LVM") => Ok(()),
            Some("partitions") if disk.gpt => Err(not_simulated(call)),
            Some("partitions") => Err(Reply::failed(format!(
                "device '{device}' is not GPT partitioned"
            ))),
            Some(_) => Err(Reply::failed(format!(
                "device '{device}' is already in use and has no LVM on it"
            ))),
        }
    }

    pub(in super::super) fn size_for_osd(&self, device: &str) -> u64 {
        self.disks.get(device).map_or(0, |disk| disk.spec.size)
    }

    /// What a volume group on it could still hold.
    pub(in super::super) fn room_for_osd(&self, device: &str) -> u64 {
        let Some(disk) = self.disks.get(device) else {
            return 0;
        };
        let volumes = disk.ceph.iter().flat_map(|group| &group.volumes);
        let taken: u64 = volumes.map(|volume| volume.size).sum();
        extents(disk.spec.size).saturating_sub(taken)
    }

    /// The class that Ceph finds out.
    pub(in super::super) fn class_for_osd(&self, device: &str) -> &'static str {
        match self.disks.get(device).map(|disk| disk.spec.make) {
            Some(Make::Hdd) => "hdd",
            Some(Make::Nvme) => "nvme",
            _ => "ssd",
        }
    }

    /// The volume group for a new volume of a size: one is made on a device that nothing is on.
    pub(in super::super) fn lvm_for_osd(
        &mut self,
        device: &str,
        size: u64,
        name: impl FnOnce() -> String,
    ) -> Result<String, Reply> {
        let room = self.room_for_osd(device);
        let disk = self.disks.get_mut(device).ok_or_else(|| no_info(device))?;
        if disk.spec.size < size {
            return Err(Reply::failed(format!(
                "'{device}' is smaller than requested size '{size}' bytes"
            )));
        }
        if !disk.is_used() {
            disk.spec.used = Some("LVM".to_owned());
            disk.ceph = Some(CephGroup {
                name: name(),
                volumes: Vec::new(),
            });
        }
        let Some(group) = &disk.ceph else {
            return Err(Reply::failed(format!("no ceph vg found on '{device}'")));
        };
        match room < size {
            true => Err(Reply::failed(format!(
                "vg '{}' has not enough free space",
                group.name
            ))),
            false => Ok(group.name.clone()),
        }
    }

    /// A volume on it belongs to a disk of Ceph from now on.
    pub(in super::super) fn give_to_osd(
        &mut self,
        device: &str,
        osd: u32,
        kind: &str,
        size: u64,
        encrypted: bool,
    ) {
        let group = self
            .disks
            .get_mut(device)
            .and_then(|disk| disk.ceph.as_mut());
        if let Some(group) = group {
            group.volumes.push(CephVolume {
                osd: Some(osd),
                kind: kind.to_owned(),
                size,
                encrypted,
            });
        }
    }

    /// A disk of Ceph is gone; its volumes too, if they are cleaned up, and groups that are empty then.
    pub(in super::super) fn take_from_osd(&mut self, osd: u32, cleanup: bool) {
        for disk in self.disks.values_mut() {
            let Some(group) = &mut disk.ceph else {
                continue;
            };
            if cleanup {
                let before = group.volumes.len();
                group.volumes.retain(|volume| volume.osd != Some(osd));
                if group.volumes.is_empty() && before > 0 {
                    disk.ceph = None;
                    disk.spec.used = None;
                }
                continue;
            }
            let own = group.volumes.iter_mut();
            for volume in own.filter(|volume| volume.osd == Some(osd)) {
                volume.osd = None;
            }
        }
    }
}
