//! What the configuration of a virtual machine asks for, by key and by value, as `PVE::API2::Qemu` checks it.

use serde_json::{Map, Value};

use super::{Change, denied};
use crate::simulator::answer::Reply;
use crate::simulator::guest::text_of;
use crate::simulator::operation::{DriveText, is_drive, is_indexed};
use crate::simulator::schema::{default_key, parts, sub_key};
use crate::simulator::world::World;

const PROCESSOR: &[&str] = &[
    "cores", "cpu", "cpulimit", "cpuunits", "numa", "smp", "sockets", "vcpus",
];
const MEMORY: &[&str] = &["memory", "balloon", "shares", "allow-ksm"];
const HARDWARE: &[&str] = &[
    "acpi", "hotplug", "kvm", "machine", "scsihw", "smbios1", "tablet", "vga", "watchdog",
    "audio0", "rng0",
];
const OPTIONS: &[&str] = &[
    "agent",
    "autostart",
    "bios",
    "description",
    "keyboard",
    "localtime",
    "migrate_downtime",
    "migrate_speed",
    "name",
    "onboot",
    "ostype",
    "protection",
    "reboot",
    "startdate",
    "startup",
    "tdf",
    "template",
];
const DISK: &[&str] = &["boot", "bootdisk", "vmstatestorage"];
const CLOUD_INIT: &[&str] = &[
    "cicustom",
    "cipassword",
    "citype",
    "ciuser",
    "ciupgrade",
    "nameserver",
    "searchdomain",
    "sshkeys",
];

/// What a key asks for, whatever its value.
enum Asks {
    /// Nothing, or it depends on the value.
    Nothing,
    All(&'static [&'static str]),
    Any(&'static [&'static str]),
    /// All of them, and this on `/`.
    AndOfHost(&'static [&'static str], &'static str),
    Root,
}

fn asks(key: &str) -> Asks {
    let by_value = ["unused", "serial", "usb", "hostpci", "virtiofs"];
    let by_value = |key: &str| by_value.iter().any(|stem| is_indexed(key, stem));
    if is_drive(key) || key == "tags" || by_value(key) {
        Asks::Nothing
    } else if PROCESSOR.contains(&key) || is_indexed(key, "numa") {
        Asks::All(&["VM.Config.CPU"])
    } else if MEMORY.contains(&key) {
        Asks::All(&["VM.Config.Memory"])
    } else if HARDWARE.contains(&key) {
        Asks::All(&["VM.Config.HWType"])
    } else if key == "startup" {
        Asks::AndOfHost(&["VM.Config.Options"], "Sys.Modify")
    } else if OPTIONS.contains(&key) {
        Asks::All(&["VM.Config.Options"])
    } else if key == "freeze" {
        Asks::All(&["VM.PowerMgmt"])
    } else if DISK.contains(&key) {
        Asks::All(&["VM.Config.Disk"])
    } else if is_indexed(key, "net") {
        Asks::All(&["VM.Config.Network"])
    } else if CLOUD_INIT.contains(&key) || is_indexed(key, "ipconfig") {
        Asks::Any(&["VM.Config.Cloudinit", "VM.Config.Network"])
    } else if key == "vmstate" {
        Asks::All(&["VM.Config.Disk", "VM.PowerMgmt"])
    } else {
        Asks::Root
    }
}

fn real_device(verb: &str, key: &str, what: &str) -> Reply {
    Reply::failed(format!("only root can {verb} '{key}' config for {what}"))
}

impl Change<'_> {
    fn need(&self, privileges: &[&str]) -> Result<(), Reply> {
        self.rights.need_guest(self.vmid, self.pool, privileges)
    }

    fn keys<'k>(&self, keys: impl Iterator<Item = &'k str>) -> Result<(), Reply> {
        for key in keys {
            match asks(key) {
                Asks::Nothing => {}
                Asks::All(privileges) => self.need(privileges)?,
                Asks::Any(privileges) => {
                    let rights = self.rights;
                    rights.need_any_of_guest(self.vmid, self.pool, privileges)?;
                }
                Asks::AndOfHost(privileges, of_host) => {
                    self.need(privileges)?;
                    self.rights.need("/", &[of_host])?;
                }
                Asks::Root => {
                    return Err(Reply::failed(format!("only root can set '{key}' config")));
                }
            }
        }
        Ok(())
    }

    /// The model of a processor, if it is one of the cluster's own making, and not what the machine has already.
    fn processor(&self, new: &str, old: Option<&str>) -> Result<(), Reply> {
        let wanted = default_key(new, "cputype");
        if old.is_some_and(|old| default_key(old, "cputype") == wanted) {
            return Ok(());
        }
        match wanted.and_then(|model| model.strip_prefix("custom-")) {
            Some(name) if self.world.served_release() >= (9, 2) => {
                let path = format!("/mapping/cpu/{name}");
                self.rights.need(&path, &["Mapping.Use"])
            }
            Some(_) => self.rights.need("/nodes", &["Sys.Audit"]),
            None => Ok(()),
        }
    }

    /// Refuses a creation.
    pub(super) fn refuse_machine_creation(&self, params: &Map<String, Value>) -> Result<(), Reply> {
        let config: Vec<(&str, String)> = World::config_params(params).collect();
        for (key, text) in &config {
            self.storage(key, text)?;
        }
        self.keys(config.iter().map(|(key, _)| *key))?;
        for (_, text) in config.iter().filter(|(key, _)| *key == "cpu") {
            self.processor(text, None)?;
        }
        for (key, text) in &config {
            self.device(key, text, "set")?;
        }
        for (key, text) in &config {
            if is_indexed(key, "net") {
                self.world.need_bridge(self.rights, text)?;
            }
            if *key == "tags" {
                self.tags("", text)?;
            }
        }
        Ok(())
    }

    /// Refuses setting and deleting keys of a machine that is there.
    pub(super) fn refuse_machine_update(&self, params: &Map<String, Value>) -> Result<(), Reply> {
        // Asked for before any key is looked at.
        if params.get("skiplock").map(text_of).as_deref() == Some("1") {
            let why = "Only root may use this option.";
            return Err(Reply::parameter("skiplock", why));
        }
        let config: Vec<(&str, String)> = World::config_params(params).collect();
        let deleted = params.get("delete").map(text_of).unwrap_or_default();
        let deleted: Vec<&str> = parts(&deleted)
            .map(|key| if key == "cdrom" { "ide2" } else { key })
            .collect();
        self.keys(deleted.iter().copied())?;
        self.keys(config.iter().map(|(key, _)| *key))?;
        for (key, text) in &config {
            self.storage(key, text)?;
        }
        for (key, text) in &config {
            if is_indexed(key, "net") {
                self.world.need_bridge(self.rights, text)?;
            }
        }
        let now = |key: &str| self.old.and_then(|guest| guest.text(key));
        for (_, text) in config.iter().filter(|(key, _)| *key == "cpu") {
            self.processor(text, now("cpu").as_deref())?;
        }
        for key in deleted {
            if let Some(text) = now(key) {
                self.present(key, &text, "delete")?;
                if key == "tags" {
                    self.tags(&text, "")?;
                }
            }
        }
        for (key, text) in &config {
            if *key == "tags" {
                self.tags(&now(key).unwrap_or_default(), text)?;
                continue;
            }
            if let Some(old) = now(key) {
                self.present(key, &old, "modify")?;
            }
            self.device(key, text, "modify")?;
            if is_drive(key) {
                self.drive(text)?;
            }
        }
        Ok(())
    }

    /// Refuses touching what is in the configuration.
    fn present(&self, key: &str, text: &str, verb: &str) -> Result<(), Reply> {
        if is_indexed(key, "unused") {
            return self.need(&["VM.Config.Disk"]);
        }
        if is_drive(key) {
            return self.drive(text);
        }
        if is_indexed(key, "net") {
            return self.world.need_bridge(self.rights, text);
        }
        self.device(key, text, verb)
    }

    /// Drives by what they are: cloud-init, a disc, or a disk.
    fn drive(&self, text: &str) -> Result<(), Reply> {
        let drive = DriveText::parse(text);
        if drive.file.contains("cloudinit") {
            self.need(&["VM.Config.Cloudinit", "VM.Config.CDROM"])
        } else if drive.get("media") == Some("cdrom") {
            self.need(&["VM.Config.CDROM"])
        } else {
            self.need(&["VM.Config.Disk"])
        }
    }

    /// Devices by what they are: those of the host are root's.
    fn device(&self, key: &str, text: &str, verb: &str) -> Result<(), Reply> {
        let hardware = || self.need(&["VM.Config.HWType"]);
        if is_indexed(key, "serial") {
            return match text {
                "socket" => hardware(),
                _ => Err(real_device(verb, key, "real devices")),
            };
        }
        if is_indexed(key, "usb") {
            hardware()?;
            return match default_key(text, "host") {
                Some(host) if host.eq_ignore_ascii_case("spice") => Ok(()),
                Some(_) => Err(real_device("set", key, "real devices")),
                None => self.mapping("usb", text),
            };
        }
        if is_indexed(key, "hostpci") {
            if default_key(text, "host").is_some() {
                return Err(real_device("set", key, "non-mapped devices"));
            }
            self.mapping("pci", text)?;
            hardware()?;
            if sub_key(text, "romfile").is_some() {
                let why = "only root@pam can set 'romfile' option";
                return Err(Reply::parameter(key, why));
            }
        }
        if is_indexed(key, "rng") {
            hardware()?;
            return self.random_source(text);
        }
        if is_indexed(key, "virtiofs") {
            self.need(&["VM.Config.Disk"])?;
            return self.directory(text);
        }
        Ok(())
    }

    fn mapping(&self, kind: &str, text: &str) -> Result<(), Reply> {
        match sub_key(text, "mapping") {
            Some(name) => self
                .rights
                .need(&format!("/mapping/{kind}/{name}"), &["Mapping.Use"]),
            None => Err(Reply::failed("either 'host' or 'mapping' must be set.")),
        }
    }

    fn random_source(&self, text: &str) -> Result<(), Reply> {
        match default_key(text, "source") {
            Some("/dev/hwrng") => self.rights.need("/mapping/hwrng", &["Mapping.Use"]),
            _ => Ok(()),
        }
    }

    fn directory(&self, text: &str) -> Result<(), Reply> {
        let name = default_key(text, "dirid").unwrap_or_default();
        self.rights
            .need(&format!("/mapping/dir/{name}"), &["Mapping.Use"])
    }

    /// The storages that a value takes room on or reads from.
    fn storage(&self, key: &str, text: &str) -> Result<(), Reply> {
        let space = |storage: &str| {
            let path = format!("/storage/{storage}");
            self.rights.need(&path, &["Datastore.AllocateSpace"])
        };
        let volume = |volid: &str| self.world.need_volume(self.rights, Some(self.vmid), volid);
        if key == "vmstatestorage" {
            return space(text);
        }
        if is_indexed(key, "unused") {
            return volume(&DriveText::parse(text).file);
        }
        if !is_drive(key) {
            return Ok(());
        }
        let drive = DriveText::parse(text);
        let disc = drive.get("media") == Some("cdrom");
        match drive.file.as_str() {
            "none" | "cloudinit" | "" => {}
            "cdrom" if disc => self.rights.need("/", &["Sys.Console"])?,
            file if file.ends_with(":cloudinit") => {}
            file => match drive.wish() {
                Some((storage, _)) if !disc => space(storage)?,
                _ => volume(file)?,
            },
        }
        let Some(source) = drive.get("import-from") else {
            return Ok(());
        };
        if source.to_ascii_lowercase().contains(".ova/")
            && let Some((storage, _)) = source.split_once(':')
        {
            space(storage)?;
        }
        match self.world.owner_of(source) {
            Some(owner) if self.world.content_of(source) == "images" => {
                self.rights.need(&format!("/vms/{owner}"), &["VM.Clone"])
            }
            _ => volume(source),
        }
    }

    /// Tags that are registered, or that users may not make up, are for administrators.
    fn tags(&self, old: &str, new: &str) -> Result<(), Reply> {
        self.rights
            .need_guest(self.vmid, None, &["VM.Config.Options"])?;
        if self.rights.has("/", "Sys.Modify") {
            return Ok(());
        }
        let count = |list: &str, tag: &str| parts(list).filter(|known| *known == tag).count();
        for tag in parts(old).chain(parts(new)) {
            if count(old, tag) != count(new, tag) && !self.may_tag(tag) {
                let what = format!("/, Sys.Modify for modifying tag '{tag}'");
                return Err(denied(&what));
            }
        }
        Ok(())
    }

    fn may_tag(&self, tag: &str) -> bool {
        let option = |name: &str| self.world.options.get(name).cloned().unwrap_or_default();
        if parts(&option("registered-tags")).any(|known| known == tag) {
            return false;
        }
        let access = option("user-tag-access");
        let allow = sub_key(&access, "user-allow").unwrap_or("free");
        let listed = sub_key(&access, "user-allow-list").unwrap_or_default();
        let listed = || parts(listed).any(|known| known == tag);
        let in_use = || {
            let mut guests = self.world.guests.values();
            guests.any(|guest| {
                let tags = guest.text("tags").unwrap_or_default();
                parts(&tags).any(|known| known == tag)
                    && self.rights.has(&format!("/vms/{}", guest.vmid), "VM.Audit")
            })
        };
        match allow {
            "none" => false,
            "list" => listed(),
            "existing" => listed() || in_use(),
            _ => true,
        }
    }

    /// Refuses copying a configuration: its disks to `storage` if that is given, else each to where it is.
    pub(super) fn refuse_machine_copy(
        &self,
        config: &Map<String, Value>,
        storage: Option<&str>,
    ) -> Result<(), Reply> {
        let values = || {
            config
                .iter()
                .map(|(key, value)| (key.as_str(), text_of(value)))
        };
        let space = |storage: &str| {
            let path = format!("/storage/{storage}");
            self.rights.need(&path, &["Datastore.AllocateSpace"])
        };
        for (_, text) in values().filter(|(key, _)| is_drive(key)) {
            let drive = DriveText::parse(&text);
            let disc = drive.get("media") == Some("cdrom");
            match (disc, drive.file.as_str()) {
                (_, "none") => {}
                (true, "cdrom") => self.rights.need("/", &["Sys.Console"])?,
                (true, _) => {}
                (false, file) => {
                    let own = file.split_once(':').map(|(storage, _)| storage);
                    space(storage.or(own).unwrap_or_default())?;
                }
            }
        }
        for (key, text) in values() {
            match key {
                "vmstatestorage" => space(&text)?,
                key if is_indexed(key, "usb") => match default_key(&text, "host") {
                    Some(host) if host.eq_ignore_ascii_case("spice") => {}
                    Some(_) => return Err(real_device("set", key, "real devices")),
                    None => self.mapping("usb", &text)?,
                },
                key if is_indexed(key, "hostpci") => match default_key(&text, "host") {
                    Some(_) => return Err(real_device("set", key, "non-mapped devices")),
                    None => self.mapping("pci", &text)?,
                },
                key if is_indexed(key, "rng") => self.random_source(&text)?,
                key if is_indexed(key, "virtiofs") => self.directory(&text)?,
                _ => {}
            }
        }
        for (_, text) in values().filter(|(key, _)| is_indexed(key, "net")) {
            self.world.need_bridge(self.rights, &text)?;
        }
        // Servers before took over what the source has without a look.
        let looks = self.world.served_release() >= (9, 2);
        for (_, text) in values().filter(|(key, _)| looks && *key == "cpu") {
            self.processor(&text, None)?;
        }
        Ok(())
    }
}
