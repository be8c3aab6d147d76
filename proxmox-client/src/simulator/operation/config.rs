//! Setting configuration keys: what is stored how, what takes effect at once, what waits.

use serde_json::{Map, Value};

use super::disk::DriveText;
use super::{Caller, changed, container};
use crate::simulator::answer::Reply;
use crate::simulator::guest::{Guest, Species, text_of};
use crate::simulator::world::World;

/// Keys that are stored as numbers; all others are text, `memory` too.
const NUMBERS: [&str; 17] = [
    "cores",
    "sockets",
    "vcpus",
    "onboot",
    "protection",
    "numa",
    "balloon",
    "tablet",
    "acpi",
    "kvm",
    "localtime",
    "freeze",
    "template",
    "autostart",
    "reboot",
    "ciupgrade",
    "tdf",
];

/// Parameters of a call that are not configuration.
const NOT_CONFIG: [&str; 22] = [
    "vmid",
    "node",
    "storage",
    "pool",
    "start",
    "force",
    "archive",
    "unique",
    "live-restore",
    "digest",
    "delete",
    "revert",
    "skiplock",
    "background_delay",
    "import-working-storage",
    "ha-managed",
    "ostemplate",
    "password",
    "ssh-public-keys",
    "restore",
    "ignore-unpack-errors",
    "bwlimit",
];

/// Keys that a running machine takes without a restart (with the default hotplug setting).
const LIVE: [&str; 19] = [
    "name",
    "description",
    "tags",
    "onboot",
    "startup",
    "protection",
    "hookscript",
    "cpulimit",
    "cpuunits",
    "cicustom",
    "citype",
    "ciupgrade",
    "ciuser",
    "cipassword",
    "sshkeys",
    "nameserver",
    "searchdomain",
    "boot",
    "shares",
];

/// Whether a key names a drive of a machine or a volume of a container.
pub(in super::super) fn is_drive(key: &str) -> bool {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let drives = ["scsi", "virtio", "sata", "ide", "efidisk", "tpmstate", "mp"];
    key == "rootfs" || stem.len() < key.len() && drives.contains(&stem)
}

pub(in super::super) fn is_indexed(key: &str, stem: &str) -> bool {
    key.strip_prefix(stem)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// A value as the configuration keeps it.
fn stored(species: Species, key: &str, text: &str) -> Value {
    let whole = match species {
        Species::Machine => key == "cpuunits" || NUMBERS.contains(&key),
        Species::Container => container::NUMBERS.contains(&key),
    };
    match text.parse::<i64>() {
        Ok(number) if whole => number.into(),
        _ => text.into(),
    }
}

/// Tags as a change stores them: sorted, each once.
fn sorted_tags(text: &str) -> String {
    let mut tags: Vec<&str> = text
        .split([';', ',', ' '])
        .filter(|tag| !tag.is_empty())
        .collect();
    tags.sort_unstable();
    tags.dedup();
    tags.join(";")
}

impl World {
    /// The configuration part of a call's parameters.
    pub(in super::super) fn config_params(
        params: &Map<String, Value>,
    ) -> impl Iterator<Item = (&str, String)> {
        params
            .iter()
            .filter(|(key, _)| !NOT_CONFIG.contains(&key.as_str()))
            .map(|(key, value)| (key.as_str(), text_of(value)))
    }

    /// What is refused before any work begins.
    pub(in super::super) fn refuse_config(
        &self,
        params: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<(), Reply> {
        for (key, text) in Self::config_params(params) {
            if matches!(key, "args" | "lock" | "hookscript") && !caller.is_root() {
                return Err(Reply::failed(format!("only root can set '{key}' config")));
            }
            if is_drive(key) {
                self.refuse_drive(Species::Machine, &DriveText::parse(&text))?;
            }
            if key == "sshkeys" {
                check_encoded_ssh_keys(&text)?;
            }
        }
        Ok(())
    }

    /// One value as it will be stored; allocates what a drive asks for.
    pub(super) fn store_value(
        &mut self,
        job: u64,
        vmid: u32,
        key: &str,
        text: &str,
    ) -> Result<Value, Reply> {
        let species = self.require(vmid)?.species;
        if is_drive(key) {
            return self
                .place_drive(job, vmid, key, &DriveText::parse(text))
                .map(Value::from);
        }
        if is_indexed(key, "net") {
            return Ok(match species {
                Species::Machine => self.complete_net(text),
                Species::Container => self.complete_container_net(text),
            }
            .into());
        }
        Ok(stored(species, key, text))
    }

    /// A card gets a MAC address if it has none; the model names it.
    fn complete_net(&mut self, text: &str) -> String {
        let mut model = String::new();
        let mut mac = None;
        let mut rest: Vec<String> = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                None => model = part.to_owned(),
                Some(("model", value)) => model = value.to_owned(),
                Some(("macaddr", value)) => mac = Some(value.to_owned()),
                Some((key, value)) if value.len() == 17 && value.matches(':').count() == 5 => {
                    model = key.to_owned();
                    mac = Some(value.to_owned());
                }
                Some(_) => rest.push(part.to_owned()),
            }
        }
        let mac = mac.unwrap_or_else(|| self.draw_mac());
        rest.sort();
        let mut parts = vec![format!("{model}={mac}")];
        parts.extend(rest);
        parts.join(",")
    }

    /// Whether a configuration may be changed, once its lock is held.
    pub(super) fn check_config(
        &self,
        vmid: u32,
        params: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<(), Reply> {
        let skip_lock =
            params.get("skiplock").map(text_of).as_deref() == Some("1") && caller.is_root();
        let guest = self.require(vmid)?;
        if !skip_lock {
            guest.unlocked()?;
        }
        match params.get("digest").map(text_of) {
            Some(digest) if digest != guest.digest() => Err(changed(guest.species)),
            _ => Ok(()),
        }
    }

    /// PUT and POST of a configuration.
    pub(super) fn set_guest_config(
        &mut self,
        job: u64,
        vmid: u32,
        params: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<(), Reply> {
        self.check_config(vmid, params, caller)?;
        let list = |name: &str| -> Vec<String> {
            let text = params.get(name).map(text_of).unwrap_or_default();
            text.split([',', ';', ' ', '\0'])
                .filter(|key| !key.is_empty())
                .map(str::to_owned)
                .collect()
        };
        for key in list("revert") {
            self.guest_mut(vmid)?.pending.shift_remove(&key);
        }
        let force = params.get("force").map(text_of).as_deref() == Some("1");
        let mut stuck = Map::new();
        for key in list("delete") {
            match self.unplug_problem(vmid, &key) {
                Some(problem) => {
                    // The change is kept for the next start all the same.
                    self.guest_mut(vmid)?
                        .pending
                        .insert(key.clone(), Value::Null);
                    stuck.insert(key, problem.into());
                }
                None => self.delete_key(vmid, &key, force)?,
            }
        }
        let sets: Vec<(String, String)> = Self::config_params(params)
            .map(|(key, text)| (key.to_owned(), text))
            .collect();
        for (key, text) in sets {
            let text = if key == "tags" {
                sorted_tags(&text)
            } else {
                text
            };
            self.set_key(job, vmid, &key, &text)?;
        }
        self.normalise(vmid)?;
        if stuck.is_empty() {
            Ok(())
        } else {
            Err(Reply::parameters(stuck))
        }
    }

    /// Why a device cannot be taken away now: a guest that does not listen does not let go of it.
    fn unplug_problem(&self, vmid: u32, key: &str) -> Option<String> {
        let guest = self.guests.get(&vmid)?;
        let text = guest.text(key)?;
        let cdrom = text.contains("media=cdrom");
        let device = match key.strip_prefix("scsi") {
            Some(index) if guest.text("scsihw").as_deref() == Some("virtio-scsi-single") => {
                format!("virtioscsi{index}")
            }
            Some(index) => format!("scsihw{}", index.parse::<u32>().ok()? / 7),
            None if is_indexed(key, "net") || is_indexed(key, "virtio") => key.to_owned(),
            None => return None,
        };
        let lets_go = !guest.is_on() || cdrom || self.listens(vmid, self.now);
        (!lets_go).then(|| {
            format!(
                "hotplug problem - error on hot-unplugging device '{device}' - still busy in guest?\n"
            )
        })
    }

    /// What the first change of a configuration tidies up.
    fn normalise(&mut self, vmid: u32) -> Result<(), Reply> {
        let guest = self.guest_mut(vmid)?;
        if let Some(tags) = guest.text("tags") {
            guest
                .config
                .insert("tags".to_owned(), sorted_tags(&tags).into());
        }
        Ok(())
    }

    fn delete_key(&mut self, vmid: u32, key: &str, force: bool) -> Result<(), Reply> {
        let guest = self.guest_mut(vmid)?;
        guest.note_cloud_init(key, None);
        if is_indexed(key, "unused") {
            let volume = guest.config.shift_remove(key).map(|value| text_of(&value));
            if let Some(volume) = volume
                && let Some(storage) = self
                    .storages
                    .get_mut(volume.split(':').next().unwrap_or(""))
            {
                storage.volumes.remove(&volume);
            }
            return Ok(());
        }
        guest.pending.shift_remove(key);
        if guest.is_on() && !goes_at_once(guest, key) {
            if guest.config.contains_key(key) {
                guest.pending.insert(key.to_owned(), Value::Null);
            }
            return Ok(());
        }
        let removed = guest.config.shift_remove(key).map(|value| text_of(&value));
        match removed.filter(|_| is_drive(key)) {
            Some(text) if force => self.destroy_own(vmid, &DriveText::parse(&text).file),
            Some(text) => self.keep_as_unused(vmid, &text)?,
            None => {}
        }
        Ok(())
    }

    /// Destroys a volume of a guest; one of another guest, and a file in a CD drive, stays.
    fn destroy_own(&mut self, vmid: u32, volume: &str) {
        let storage = volume.split(':').next().unwrap_or_default();
        if let Some(storage) = self.storages.get_mut(storage) {
            storage
                .volumes
                .retain(|id, it| id != volume || it.vmid != Some(vmid));
        }
    }

    /// A volume that no drive uses any more.
    pub(super) fn keep_as_unused(&mut self, vmid: u32, text: &str) -> Result<(), Reply> {
        let file = DriveText::parse(text).file;
        let owned = self
            .volume(&file)
            .is_some_and(|volume| volume.vmid == Some(vmid));
        let cloud_init = file.contains("-cloudinit");
        if cloud_init {
            if let Some(storage) = self.storages.get_mut(file.split(':').next().unwrap_or("")) {
                storage.volumes.remove(&file);
            }
        } else if owned {
            let guest = self.guest_mut(vmid)?;
            let free = (0..256)
                .map(|i| format!("unused{i}"))
                .find(|key| !guest.config.contains_key(key));
            if let Some(key) = free {
                guest.config.insert(key, file.into());
            }
        }
        Ok(())
    }

    fn set_key(&mut self, job: u64, vmid: u32, key: &str, text: &str) -> Result<(), Reply> {
        let guest = self.require(vmid)?;
        let before = guest.text(key);
        let live = !guest.is_on() || takes_effect(guest, key);
        // A volume that waits is not made before it is needed.
        let value = if live || !is_drive(key) {
            self.store_value(job, vmid, key, text)?
        } else {
            text.into()
        };
        if !live {
            let guest = self.guest_mut(vmid)?;
            if before.is_some_and(|before| before == text_of(&value)) {
                guest.pending.shift_remove(key);
            } else {
                guest.pending.insert(key.to_owned(), value);
            }
            return Ok(());
        }
        if let Some(before) = before.filter(|_| is_drive(key)) {
            let (old, new) = (
                DriveText::parse(&before).file,
                DriveText::parse(&text_of(&value)).file,
            );
            if old != new {
                self.keep_as_unused(vmid, &before)?;
            }
        }
        self.guest_mut(vmid)?.note_cloud_init(key, Some(&value));
        let attached = is_drive(key).then(|| DriveText::parse(&text_of(&value)).file);
        let guest = self.guest_mut(vmid)?;
        if let Some(volume) = attached {
            let unused: Vec<String> = guest
                .config
                .iter()
                .filter(|(key, value)| key.starts_with("unused") && text_of(value) == volume)
                .map(|(key, _)| key.clone())
                .collect();
            unused.iter().for_each(|key| {
                guest.config.shift_remove(key);
            });
        }
        guest.config.insert(key.to_owned(), value);
        guest.pending.shift_remove(key);
        Ok(())
    }

    /// What waits takes effect; volumes that it asks for are made now, and those that it drops stay as unused.
    pub(super) fn apply_pending(&mut self, job: u64, vmid: u32) -> Result<(), Reply> {
        let guest = self.guest_mut(vmid)?;
        let waiting = std::mem::take(&mut guest.pending);
        for (key, value) in waiting {
            let before = self.require(vmid)?.text(&key).filter(|_| is_drive(&key));
            if value.is_null() {
                self.guest_mut(vmid)?.config.shift_remove(&key);
            } else {
                let value = if is_drive(&key) {
                    self.store_value(job, vmid, &key, &text_of(&value))?
                } else {
                    value
                };
                self.guest_mut(vmid)?.config.insert(key.clone(), value);
            }
            let file = |text: &str| DriveText::parse(text).file;
            let after = self.require(vmid)?.text(&key);
            if let Some(before) = before
                && after.map(|text| file(&text)) != Some(file(&before))
            {
                self.keep_as_unused(vmid, &before)?;
            }
        }
        Ok(())
    }
}

/// Whether a guest that runs takes a new value without a restart.
fn takes_effect(guest: &Guest, key: &str) -> bool {
    match guest.species {
        Species::Machine => {
            LIVE.contains(&key)
                || is_drive(key)
                || is_indexed(key, "net")
                || is_indexed(key, "ipconfig")
        }
        Species::Container => container::takes_effect(guest, key),
    }
}

/// Whether a guest that runs gives a value up without a restart.
fn goes_at_once(guest: &Guest, key: &str) -> bool {
    match guest.species {
        Species::Machine => LIVE.contains(&key) || is_drive(key) || is_indexed(key, "net"),
        Species::Container => container::goes_at_once(key),
    }
}

/// Keys of a machine, which come percent-encoded.
fn check_encoded_ssh_keys(encoded: &str) -> Result<(), Reply> {
    let mut text = Vec::new();
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let pair = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                let pair = String::from_utf8_lossy(&pair).into_owned();
                text.push(u8::from_str_radix(&pair, 16).unwrap_or(b'?'));
            }
            other => text.push(other),
        }
    }
    check_ssh_keys(&String::from_utf8_lossy(&text))
}

/// Keys must be of a known kind with a blob that is base64.
pub(super) fn check_ssh_keys(text: &str) -> Result<(), Reply> {
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let mut words = line.split_whitespace();
        let good = words.any(|word| {
            word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-")
        }) && words.next().is_some_and(|blob| {
            let body = blob.trim_end_matches('=');
            blob.len() % 4 == 0
                && blob.starts_with("AAAA")
                && body
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        });
        if !good {
            return Err(Reply::failed("SSH public key validation error"));
        }
    }
    Ok(())
}
