//! What is the containers' own: their values, their making, their clones, moves of them and of their volumes.

mod placement;

use std::time::Duration;

use serde_json::{Map, Value};

use super::config::{check_ssh_keys, is_indexed};
use super::disk::read_size;
use super::{Caller, DriveText, is_drive};
use crate::simulator::answer::Reply;
use crate::simulator::guest::{Guest, Power, Species, text_of};
use crate::simulator::world::World;

/// Keys that are stored as numbers.
pub(super) const NUMBERS: [&str; 11] = [
    "console",
    "cores",
    "cpuunits",
    "debug",
    "memory",
    "onboot",
    "protection",
    "swap",
    "template",
    "tty",
    "unprivileged",
];

/// Keys that a running container takes and gives up without a restart.
const LIVE: [&str; 9] = [
    "cores",
    "description",
    "hookscript",
    "hostname",
    "lock",
    "onboot",
    "protection",
    "startup",
    "tags",
];

/// Distributions that the server knows.
const KINDS: [&str; 10] = [
    "debian",
    "devuan",
    "ubuntu",
    "centos",
    "fedora",
    "opensuse",
    "archlinux",
    "alpine",
    "gentoo",
    "nixos",
];

/// What a slot of a container mounts: a volume, a folder of its node, or a device.
pub(in super::super) fn mount_kind(file: &str) -> &'static str {
    if file.starts_with("/dev/") {
        "device"
    } else if file.starts_with('/') {
        "bind"
    } else {
        "volume"
    }
}

/// The order of slots: that of the root, then the others by their numbers.
pub(in super::super) fn mount_order(slot: &str) -> (bool, u32) {
    let number = slot.trim_start_matches(|c: char| !c.is_ascii_digit());
    (slot != "rootfs", number.parse().unwrap_or_default())
}

/// Whether a container that runs takes a new value without a restart.
pub(super) fn takes_effect(guest: &Guest, key: &str) -> bool {
    let fresh = !guest.config.contains_key(key);
    LIVE.contains(&key)
        || ["cpulimit", "cpuunits", "memory", "swap"].contains(&key)
        || is_indexed(key, "net")
        || fresh && (is_indexed(key, "mp") || is_indexed(key, "dev"))
}

/// Whether a container that runs gives a value up without a restart.
pub(super) fn goes_at_once(key: &str) -> bool {
    LIVE.contains(&key) || ["cpulimit", "cpuunits", "swap"].contains(&key) || is_indexed(key, "net")
}

/// Whether only nesting differs between two values of `features`.
fn only_nesting(before: Option<&str>, after: &str) -> bool {
    let others = |text: &str| {
        let parts = text.split(',').filter(|part| !part.is_empty());
        let mut parts: Vec<String> = parts
            .filter(|part| !part.starts_with("nesting="))
            .map(str::to_owned)
            .collect();
        parts.sort();
        parts
    };
    others(before.unwrap_or_default()) == others(after)
}

fn forbidden(what: &str) -> Reply {
    Reply::refusal(403, format!("Permission check failed ({what})"))
}

impl World {
    /// What a caller may not set in a container. `old` is the container that is changed.
    pub(in super::super) fn refuse_container_config(
        &self,
        params: &Map<String, Value>,
        caller: &Caller,
        old: Option<&Guest>,
    ) -> Result<(), Reply> {
        let flag = |key: &str| params.get(key).map(|value| text_of(value) == "1");
        let unprivileged = match old {
            Some(guest) => guest.text("unprivileged").as_deref() == Some("1"),
            // What a backup says about it is not known yet.
            None => flag("unprivileged").unwrap_or(flag("restore") != Some(true)),
        };
        for (key, text) in Self::config_params(params).filter(|_| !caller.is_root()) {
            if key == "features" {
                if !unprivileged {
                    return Err(forbidden(
                        "changing feature flags for privileged container is only allowed for root@pam",
                    ));
                }
                let before = old.and_then(|guest| guest.text("features"));
                if !only_nesting(before.as_deref(), &text) {
                    return Err(forbidden(
                        "changing feature flags (except nesting) is only allowed for root@pam",
                    ));
                }
            }
            if is_indexed(key, "dev") {
                return Err(forbidden(
                    "configuring device passthrough is only allowed for root@pam",
                ));
            }
            if key == "hookscript" {
                return Err(forbidden(
                    "changing the hookscript is only allowed for root@pam",
                ));
            }
            if is_drive(key) {
                let kind = mount_kind(&DriveText::parse(&text).file);
                if kind == "volume" {
                    continue;
                }
                return Err(forbidden(&format!(
                    "mount point type {kind} is only allowed for root@pam"
                )));
            }
        }
        if old.is_some() && params.contains_key("unprivileged") {
            return Err(Reply::failed(
                "unable to modify read-only option: 'unprivileged'",
            ));
        }
        if let Some(keys) = params.get("ssh-public-keys") {
            check_ssh_keys(&text_of(keys))?;
        }
        for (key, text) in Self::config_params(params).filter(|(key, _)| is_drive(key)) {
            let drive = DriveText::parse(&text);
            if old.is_none() {
                self.refuse_root_storage(&drive)?;
            }
            if let Some(guest) =
                old.filter(|guest| guest.text("protection").as_deref() == Some("1"))
            {
                let vmid = guest.vmid();
                return Err(Reply::failed(format!(
                    "can't update CT {vmid} drive '{key}' - protection mode enabled"
                )));
            }
            self.refuse_drive(Species::Container, &drive)?;
        }
        Ok(())
    }

    /// A storage that cannot hold containers is told as a parameter when one is made.
    fn refuse_root_storage(&self, drive: &DriveText) -> Result<(), Reply> {
        let name = drive.file.split(':').next().unwrap_or_default();
        match self.storages.get(name) {
            Some(storage) if !storage.content.iter().any(|kind| kind == "rootdir") => {
                Err(Reply::parameter(
                    "storage",
                    format!("storage '{name}' does not support container directories"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// What may not be deleted from a container.
    pub(in super::super) fn refuse_container_deletes(
        guest: &Guest,
        keys: &[String],
    ) -> Result<(), Reply> {
        for key in keys {
            if ["memory", "rootfs", "ostype"].contains(&key.as_str()) {
                return Err(Reply::failed(format!(
                    "unable to delete required option '{key}'"
                )));
            }
            if key == "unprivileged" {
                return Err(Reply::failed(
                    "unable to delete read-only option: 'unprivileged'",
                ));
            }
            let volume = is_indexed(key, "unused") || is_indexed(key, "mp");
            if volume && guest.text("protection").as_deref() == Some("1") {
                let vmid = guest.vmid();
                return Err(Reply::failed(format!(
                    "can't remove CT {vmid} drive '{key}' - protection mode enabled"
                )));
            }
        }
        Ok(())
    }

    /// A card as a container keeps it: its name first, an address if it has none, its kind.
    pub(super) fn complete_container_net(&mut self, text: &str) -> String {
        let mut parts: Vec<(String, String)> = text
            .split(',')
            .filter_map(|part| part.split_once('='))
            .filter(|(key, _)| *key != "type")
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        if !parts.iter().any(|(key, _)| key == "hwaddr") {
            parts.push(("hwaddr".to_owned(), self.draw_mac()));
        }
        parts.push(("type".to_owned(), "veth".to_owned()));
        parts.sort_by_key(|(key, _)| (key != "name", key.clone()));
        let parts: Vec<String> = parts
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        parts.join(",")
    }

    /// How long a template takes to be unpacked.
    pub(super) fn unpacking_time(&self, params: &Map<String, Value>) -> Duration {
        let template = params.get("ostemplate").map(text_of).unwrap_or_default();
        let bytes = self.volume(&template).map_or(0, |volume| volume.used);
        Duration::from_secs_f64(bytes as f64 / self.durations.copy_speed.max(1) as f64)
    }

    pub(super) fn create_container(
        &mut self,
        job: u64,
        vmid: u32,
        params: &Map<String, Value>,
    ) -> Result<(), Reply> {
        let refused = |refusal: Reply| {
            Reply::failed(format!("unable to create CT {vmid} - {}", refusal.reason))
        };
        let config = self.container_config(job, vmid, params).map_err(refused)?;
        let on = params.get("start").map(text_of).as_deref() == Some("1");
        let since = self.now;
        let guest = self.guest_mut(vmid)?;
        guest.config = config;
        if on {
            guest.power = Power::On { since };
        }
        let pool = params.get("pool").map(text_of);
        if let Some(pool) = pool.and_then(|id| self.pools.get_mut(&id)) {
            pool.vms.insert(vmid);
        }
        Ok(())
    }

    fn container_config(
        &mut self,
        job: u64,
        vmid: u32,
        params: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Reply> {
        let storage = params
            .get("storage")
            .map_or_else(|| "local".to_owned(), text_of);
        let mut config = Map::new();
        let mut entries: Vec<(String, String)> = Self::config_params(params)
            .filter(|(key, _)| !is_indexed(key, "unused"))
            .map(|(key, text)| (key.to_owned(), text))
            .collect();
        if !entries.iter().any(|(key, _)| key == "rootfs") {
            entries.push(("rootfs".to_owned(), format!("{storage}:4")));
        }
        // Volumes are made first, that of the root before the others.
        entries.sort_by_key(|(key, _)| (key != "rootfs", !is_drive(key), key.clone()));
        for (key, text) in &entries {
            let bare = is_drive(key) && text.parse::<f64>().is_ok();
            let text = if bare {
                format!("{storage}:{text}")
            } else {
                text.clone()
            };
            let value = self.store_value(job, vmid, key, &text)?;
            config.insert(key.clone(), value);
        }
        let template = params.get("ostemplate").map(text_of).unwrap_or_default();
        let Some(archive) = self.volume(&template) else {
            return Err(Reply::failed(format!("volume '{template}' does not exist")));
        };
        let bytes = archive.used;
        let root = config.get("rootfs").map(text_of).unwrap_or_default();
        self.fill_volume(&DriveText::parse(&root).file, bytes);
        let path = self
            .storage_of(&template)
            .map(|storage| storage.path_of(&template));
        let path = path.unwrap_or_default();
        self.log(job, format!("extracting archive '{path}'"));
        self.log(job, format!("Total bytes read: {bytes}"));
        let name = template.rsplit('/').next().unwrap_or_default();
        let detected = KINDS.iter().find(|kind| name.starts_with(*kind));
        let mut fill = |key: &str, value: Value| {
            config.entry(key.to_owned()).or_insert(value);
        };
        fill("hostname", format!("CT{vmid}").into());
        fill("memory", 512.into());
        fill("swap", 512.into());
        fill("arch", "amd64".into());
        fill("ostype", detected.copied().unwrap_or("unmanaged").into());
        fill("unprivileged", 1.into());
        if config.get("unprivileged").map(text_of).as_deref() == Some("0") {
            config.shift_remove("unprivileged");
        }
        Ok(config)
    }

    /// Files are unpacked into a volume.
    fn fill_volume(&mut self, volid: &str, bytes: u64) {
        let storage = self
            .storages
            .get_mut(volid.split(':').next().unwrap_or_default());
        if let Some(volume) = storage.and_then(|storage| storage.volumes.get_mut(volid)) {
            volume.used += bytes;
        }
    }

    /// The lines of making a file system.
    pub(super) fn log_file_system(&mut self, job: u64, size: u64) {
        let (blocks, inodes) = (size / 4096, size / 16_384);
        let uuid = self.draw_uuid();
        for line in [
            format!("Creating filesystem with {blocks} 4k blocks and {inodes} inodes"),
            format!("Filesystem UUID: {uuid}"),
            "Superblock backups stored on blocks: ".to_owned(),
        ] {
            self.log(job, line);
        }
    }

    /// The lines of growing a file system.
    pub(super) fn log_grown(&mut self, job: u64, size: u64, on: bool) {
        if !on {
            self.log(job, "e2fsck 1.47.2 (1-Jan-2025)");
            self.log(job, "Pass 1: Checking inodes, blocks, and sizes");
            self.log(job, "Pass 2: Checking directory structure");
            self.log(job, "Pass 3: Checking directory connectivity");
            self.log(job, "Pass 4: Checking reference counts");
            self.log(job, "Pass 5: Checking group summary information");
        }
        self.log(job, "resize2fs 1.47.2 (1-Jan-2025)");
        self.log(
            job,
            format!("The filesystem is now {} (4k) blocks long.", size / 4096),
        );
    }

    /// The size of the root file system that lists show.
    pub(super) fn container_disk_size(&self, guest: &Guest) -> u64 {
        let rootfs = guest.text("rootfs").map(|text| DriveText::parse(&text));
        rootfs
            .and_then(|drive| drive.get("size").and_then(read_size))
            .unwrap_or(4 << 30)
    }

    /// Whether a growth of a volume is refused.
    pub(in super::super) fn refuse_growth(
        &self,
        guest: &Guest,
        disk: &str,
        size: &str,
    ) -> Result<(), Reply> {
        let file = guest.text(disk).map(|text| DriveText::parse(&text).file);
        let have = file.and_then(|file| self.volume(&file).map(|volume| volume.size));
        let Some(have) = have else {
            return Err(Reply::failed(format!("disk '{disk}' does not exist")));
        };
        let wanted = match size.strip_prefix('+') {
            Some(more) => read_size(more).map(|more| have + more),
            None => read_size(size),
        };
        match wanted {
            None => Err(Reply::failed("invalid size string")),
            Some(wanted) if wanted < have => Err(Reply::failed("unable to shrink disk size")),
            Some(wanted) if wanted == have => {
                Err(Reply::failed("disk is already at specified size"))
            }
            Some(_) => Ok(()),
        }
    }
}
