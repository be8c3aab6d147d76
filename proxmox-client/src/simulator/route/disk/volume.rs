//! What is made of disks: directories, volume groups, thin pools, ZFS pools.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Disk, Disks, Part};
use crate::simulator::http::Call;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What a volume is.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Directory { filesystem: String },
    Group,
    ThinPool,
    ZfsPool { level: String },
}

/// Something that was made of disks.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalVolume {
    pub(super) name: String,
    pub(super) form: Form,
    /// The disks, or the partitions that were given instead.
    pub(super) devices: Vec<String>,
    /// Usable bytes.
    pub(super) size: u64,
}

impl Form {
    pub(super) fn of(branch: &str, call: &Call) -> Option<Self> {
        Some(match branch {
            "directory" => Self::Directory {
                filesystem: call.text("filesystem").unwrap_or_else(|| "ext4".to_owned()),
            },
            "lvm" => Self::Group,
            "lvmthin" => Self::ThinPool,
            "zfs" => Self::ZfsPool {
                level: call.text("raidlevel").unwrap_or_default(),
            },
            _ => return None,
        })
    }

    pub(super) fn branch(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "directory",
            Self::Group => "lvm",
            Self::ThinPool => "lvmthin",
            Self::ZfsPool { .. } => "zfs",
        }
    }

    /// What the kinds of its tasks begin with.
    pub(super) fn tasks(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "dir",
            Self::Group => "lvm",
            Self::ThinPool => "lvmthin",
            Self::ZfsPool { .. } => "zfs",
        }
    }

    /// The kind of a storage on it, and the settings that tie the storage to it.
    pub(super) fn storage(&self, name: &str) -> (&'static str, Vec<(&'static str, String)>) {
        let name = name.to_owned();
        match self {
            Self::Directory { .. } => ("dir", vec![("path", format!("/mnt/pve/{name}"))]),
            Self::Group => ("lvm", vec![("vgname", name)]),
            Self::ThinPool => (
                "lvmthin",
                vec![("vgname", name.clone()), ("thinpool", name)],
            ),
            Self::ZfsPool { .. } => ("zfspool", vec![("pool", name)]),
        }
    }
}

/// The extents of 4 MiB that a volume group has of so many bytes.
fn extents(bytes: u64) -> u64 {
    bytes.saturating_sub(MIB) / (4 * MIB) * (4 * MIB)
}

/// Data and metadata of a thin pool on a volume group of so many bytes: the metadata twice, since it has a spare.
fn thin(group: u64) -> (u64, u64) {
    let room = group.saturating_sub(128 * MIB);
    let metadata = (room / 100).clamp(GIB, 16 * GIB).div_ceil(4 * MIB) * (4 * MIB);
    let data = room.saturating_sub(2 * metadata) / (4 * MIB) * (4 * MIB);
    (data, metadata)
}

impl Disks {
    fn size_of(&self, device: &str) -> u64 {
        let held = self.holding(device);
        held.map_or(0, |(disk, part)| {
            part.map_or(disk.spec.size, |part| part.size)
        })
    }

    pub(super) fn usable(&self, form: &Form, devices: &[String]) -> u64 {
        let mut sizes: Vec<u64> = devices.iter().map(|device| self.size_of(device)).collect();
        sizes.sort_unstable();
        let (least, all) = (
            sizes.first().copied().unwrap_or(0),
            sizes.iter().sum::<u64>(),
        );
        match form {
            // The table, and what the file system keeps for itself.
            Form::Directory { .. } => all.saturating_sub(2 * MIB) / 100 * 98,
            Form::Group => extents(all),
            Form::ThinPool => thin(extents(all)).0,
            Form::ZfsPool { level } => match level.as_str() {
                "mirror" => least,
                "raid10" => all / 2,
                _ => all,
            },
        }
    }

    /// Whether a disk, or the disk that a partition is on, is in a ZFS pool.
    pub(super) fn is_pooled(&self, device: &str) -> bool {
        let pools = self
            .volumes
            .iter()
            .filter(|volume| volume.form.branch() == "zfs");
        let held = |of: &str| {
            of == device
                || self
                    .holding(device)
                    .is_some_and(|(disk, _)| disk.spec.device == of)
        };
        pools.flat_map(|pool| &pool.devices).any(|of| held(of))
    }

    pub(super) fn find(&self, branch: &str, name: &str) -> Option<&LocalVolume> {
        let is = |volume: &&LocalVolume| volume.form.branch() == branch && volume.name == name;
        self.volumes.iter().find(is)
    }

    /// A volume group of that name, by itself or under a thin pool.
    pub(super) fn group(&self, name: &str) -> Option<&LocalVolume> {
        self.find("lvm", name)
            .or_else(|| self.find("lvmthin", name))
    }

    /// Puts the volume on its devices.
    pub(super) fn occupy(&mut self, volume: &LocalVolume) {
        for device in &volume.devices {
            let part = |number, size, used: &str, mounted| Part {
                number,
                size,
                used: Some(used.to_owned()),
                mounted,
            };
            let (used, mounted) = match &volume.form {
                Form::Directory { filesystem } => (filesystem.as_str(), true),
                Form::Group | Form::ThinPool => ("LVM", false),
                Form::ZfsPool { .. } => ("ZFS", false),
            };
            let Some(disk) = self.disks.get_mut(device) else {
                self.occupy_part(device, used, mounted);
                continue;
            };
            let whole = disk.spec.size.saturating_sub(2 * MIB);
            match &volume.form {
                Form::Directory { .. } => {
                    disk.gpt = true;
                    disk.parts = vec![part(1, whole, used, mounted)];
                }
                Form::Group | Form::ThinPool => disk.spec.used = Some(used.to_owned()),
                Form::ZfsPool { .. } => {
                    disk.gpt = true;
                    let reserved = part(9, 8 * MIB, "ZFS reserved", false);
                    disk.parts = vec![part(1, whole - 8 * MIB, used, false), reserved];
                }
            }
        }
    }

    fn occupy_part(&mut self, device: &str, used: &str, mounted: bool) {
        for disk in self.disks.values_mut() {
            let at = |disk: &Disk| {
                let mut parts = disk.parts.iter();
                parts.position(|part| disk.part_device(part.number) == device)
            };
            if let Some(at) = at(disk) {
                disk.parts[at].used = Some(used.to_owned());
                disk.parts[at].mounted = mounted;
            }
        }
    }

    pub(super) fn entries(&self, branch: &str) -> Value {
        let volumes = self.volumes.iter();
        let mut volumes: Vec<&LocalVolume> = match branch {
            // A thin pool is in a volume group of its own.
            "lvm" => volumes
                .filter(|volume| matches!(volume.form, Form::Group | Form::ThinPool))
                .collect(),
            _ => volumes
                .filter(|volume| volume.form.branch() == branch)
                .collect(),
        };
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        let entries = volumes.into_iter().map(|volume| self.entry(branch, volume));
        match branch {
            "lvm" => json!({ "leaf": 0, "children": entries.collect::<Vec<_>>() }),
            _ => entries.collect(),
        }
    }

    fn entry(&self, branch: &str, volume: &LocalVolume) -> Value {
        let name = &volume.name;
        match branch {
            "directory" => {
                let filesystem = match &volume.form {
                    Form::Directory { filesystem } => filesystem.as_str(),
                    _ => "",
                };
                let unit = name.replace('-', "\\x2d");
                json!({
                    "unitfile": format!("/etc/systemd/system/mnt-pve-{unit}.mount"),
                    "path": format!("/mnt/pve/{name}"), "device": format!("/dev/disk/by-uuid/{}", uuid(name)),
                    "type": filesystem, "options": "defaults",
                })
            }
            "lvm" => {
                let sizes = volume
                    .devices
                    .iter()
                    .map(|device| extents(self.size_of(device)));
                let size: u64 = sizes.sum();
                let pooled = volume.form == Form::ThinPool;
                let (data, metadata) = thin(size);
                let free = if pooled {
                    size - data - 2 * metadata
                } else {
                    size
                };
                let children = volume.devices.iter().map(|device| {
                    let size = extents(self.size_of(device));
                    json!({ "name": device, "size": size, "free": free.min(size), "leaf": 1 })
                });
                json!({
                    "name": name, "size": size, "free": free, "lvcount": u8::from(pooled), "leaf": 0,
                    "children": children.collect::<Vec<_>>(),
                })
            }
            "lvmthin" => {
                let group = volume
                    .devices
                    .iter()
                    .map(|device| extents(self.size_of(device)));
                let (data, metadata) = thin(group.sum());
                json!({
                    "lv": name, "vg": name, "lv_size": data, "used": 0, "metadata_size": metadata,
                    "metadata_used": metadata / 200, "lv_type": "t",
                })
            }
            _ => json!({
                "name": name, "size": volume.size, "alloc": 0, "free": volume.size, "frag": 0, "dedup": 1,
                "health": "ONLINE",
            }),
        }
    }

    /// A pool with its devices in the groups that its level makes of them.
    pub(super) fn pool(&self, volume: &LocalVolume) -> Value {
        let Form::ZfsPool { level } = &volume.form else {
            return Value::Null;
        };
        let healthy = |name: &str, children: Vec<Value>| {
            let mut entry = json!({
                "name": name, "state": "ONLINE", "read": 0, "write": 0, "cksum": 0, "msg": "",
                "leaf": u8::from(children.is_empty()),
            });
            if !children.is_empty() {
                entry["children"] = children.into();
            }
            entry
        };
        let leaves = |devices: &[String]| -> Vec<Value> {
            let names = devices.iter().map(|device| match self.disks.get(device) {
                Some(disk) => disk.part_device(1),
                None => device.clone(),
            });
            names.map(|name| healthy(&name, Vec::new())).collect()
        };
        let below = match level.as_str() {
            "single" => leaves(&volume.devices),
            "raid10" => {
                let pairs = volume.devices.chunks(2).enumerate();
                pairs
                    .map(|(at, pair)| healthy(&format!("mirror-{at}"), leaves(pair)))
                    .collect()
            }
            "raidz" => vec![healthy("raidz1-0", leaves(&volume.devices))],
            level => vec![healthy(&format!("{level}-0"), leaves(&volume.devices))],
        };
        json!({
            "name": volume.name, "state": "ONLINE", "errors": "No known data errors", "leaf": 0,
            "children": [healthy(&volume.name, below)],
        })
    }
}

/// An identifier that follows from a name.
pub(super) fn uuid(name: &str) -> String {
    let digits = crate::simulator::route::firewall::digest(name);
    format!(
        "{}-{}-4{}-a{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..15],
        &digits[15..18],
        &digits[18..30]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thin_pool_leaves_room_for_its_metadata_and_a_spare() {
        for size in [20 * GIB, 500 * GIB, 4000 * GIB] {
            let group = extents(size);
            let (data, metadata) = thin(group);
            assert!((GIB..=16 * GIB).contains(&metadata));
            let left = group - data - 2 * metadata;
            assert!((128 * MIB..=140 * MIB).contains(&left), "{left}");
        }
    }
}
