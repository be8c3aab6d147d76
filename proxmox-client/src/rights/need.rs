//! What a plan needs.

mod container;

use std::collections::{BTreeMap, BTreeSet};

use crate::access::text;
use crate::property::{Drive, PropertyString};
use crate::qemu::{QemuConfig, is_drive_slot};

/// Rights that a plan needs, by path. What no role can give, because only `root@pam` may do it, is told apart.
///
/// It knows what the handlers of a 9.1 server check; another version may check more or less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    by_path: BTreeMap<String, BTreeSet<String>>,
    root_only: BTreeSet<String>,
    zones: BTreeMap<String, String>,
}

/// What setting or deleting a key asks for on the machine; none for what only root may set.
fn privilege(key: &str) -> Option<&'static str> {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    Some(match stem {
        "cores" | "cpu" | "cpulimit" | "cpuunits" | "numa" | "sockets" | "vcpus" => "VM.Config.CPU",
        "memory" | "balloon" | "shares" | "allow-ksm" => "VM.Config.Memory",
        "acpi" | "hotplug" | "kvm" | "machine" | "scsihw" | "smbios" | "tablet" | "vga"
        | "watchdog" | "audio" | "rng" | "serial" | "usb" | "hostpci" => "VM.Config.HWType",
        "agent" | "autostart" | "bios" | "description" | "keyboard" | "localtime" | "name"
        | "onboot" | "ostype" | "protection" | "reboot" | "startdate" | "startup" | "tags"
        | "tdf" | "template" | "migrate_downtime" | "migrate_speed" => "VM.Config.Options",
        "freeze" => "VM.PowerMgmt",
        "boot" | "bootdisk" | "vmstatestorage" | "virtiofs" | "unused" => "VM.Config.Disk",
        "net" => "VM.Config.Network",
        "cicustom" | "cipassword" | "citype" | "ciuser" | "ciupgrade" | "nameserver"
        | "searchdomain" | "sshkeys" | "ipconfig" => "VM.Config.Cloudinit",
        _ => return None,
    })
}

/// A sub-key of a property string; a bare value counts as the key `bare`.
fn part(text: &str, key: &str, bare: &str) -> Option<String> {
    let string = PropertyString::parse(text);
    let mut parts = string.parts();
    parts.find_map(|(name, value)| (name.unwrap_or(bare) == key).then(|| value.to_owned()))
}

fn is_volume(key: &str) -> bool {
    is_drive_slot(key) || matches!(key, "efidisk0" | "tpmstate0")
}

impl Needs {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Needs privileges on a path.
    #[must_use]
    pub fn with<'a>(mut self, path: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.add(path, names);
        self
    }

    fn add<'a>(&mut self, path: &str, names: impl IntoIterator<Item = &'a str>) {
        let have = self.by_path.entry(path.to_owned()).or_default();
        have.extend(names.into_iter().map(str::to_owned));
    }

    /// The zone of a vnet that cards of the machines to come are on. Bridges that are no vnets are in the zone
    /// `localnetwork`.
    #[must_use]
    pub fn with_vnet(mut self, vnet: &str, zone: &str) -> Self {
        self.zones.insert(vnet.to_owned(), zone.to_owned());
        self
    }

    /// Making this machine, reading it, keeping it as it says, growing its disks, and removing it.
    #[must_use]
    pub fn with_qemu(mut self, vmid: u32, config: &QemuConfig) -> Self {
        let machine = format!("/vms/{vmid}");
        self.add(&machine, ["VM.Allocate", "VM.Audit"]);
        for (key, value) in config.values() {
            let value = text(value);
            if is_volume(key) {
                let drive = config.drive(key).and_then(Result::ok);
                self.add_drive(&machine, &drive.unwrap_or_default());
                continue;
            }
            let of_root = match (privilege(key), key.as_str()) {
                (Some(_), key) if key.starts_with("serial") => value != "socket",
                (Some(_), key) if key.starts_with("hostpci") => {
                    part(&value, "host", "host").is_some()
                }
                (privilege, _) => privilege.is_none(),
            };
            if of_root {
                self.root_only.insert(key.clone());
                continue;
            }
            self.add(&machine, privilege(key));
            if key == "startup" {
                self.add("/", ["Sys.Modify"]);
            }
            if key == "cpu"
                && part(&value, "cputype", "cputype")
                    .is_some_and(|kind| kind.starts_with("custom-"))
            {
                self.add("/nodes", ["Sys.Audit"]);
            }
            if key == "vmstatestorage" {
                self.add(&format!("/storage/{value}"), ["Datastore.AllocateSpace"]);
            }
            if privilege(key) == Some("VM.Config.Network") {
                self.add_card(&value);
            }
            self.add_mapping(key, &value);
        }
        self
    }

    fn add_drive(&mut self, machine: &str, drive: &Drive) {
        let file = drive.file().unwrap_or_default();
        let storage = |volume: String| {
            let (storage, _) = volume.split_once(':')?;
            Some(format!("/storage/{storage}"))
        };
        if file.ends_with("cloudinit") {
            self.add(machine, ["VM.Config.Cloudinit", "VM.Config.CDROM"]);
        } else if drive.is_cdrom() {
            self.add(machine, ["VM.Config.CDROM"]);
            if let Some(path) = storage(file) {
                self.add(&path, ["Datastore.Audit"]);
            }
        } else {
            self.add(machine, ["VM.Config.Disk"]);
            if let Some(path) = storage(file) {
                self.add(&path, ["Datastore.AllocateSpace"]);
            }
        }
        if let Some(path) = drive.import_from().and_then(storage) {
            self.add(&path, ["Datastore.Audit"]);
        }
    }

    fn add_card(&mut self, card: &str) {
        let Some(bridge) = part(card, "bridge", "") else {
            return;
        };
        let zone = self.zones.get(&bridge);
        let zone = zone.map_or("localnetwork", String::as_str);
        let bridge = format!("/sdn/zones/{zone}/{bridge}");
        let trunks = part(card, "trunks", "");
        match part(card, "tag", "").filter(|tag| tag != "0") {
            Some(tag) => self.add(&format!("{bridge}/{tag}"), ["SDN.Use"]),
            None if trunks.is_none() => self.add(&bridge, ["SDN.Use"]),
            None => {}
        }
        for part in trunks.unwrap_or_default().split(';') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
                for tag in first..=last.min(4094) {
                    self.add(&format!("{bridge}/{tag}"), ["SDN.Use"]);
                }
            }
        }
    }

    fn add_mapping(&mut self, key: &str, value: &str) {
        let mapped = [("hostpci", "pci"), ("usb", "usb")];
        for (stem, kind) in mapped {
            if key.starts_with(stem)
                && let Some(name) = part(value, "mapping", "host")
            {
                self.add(&format!("/mapping/{kind}/{name}"), ["Mapping.Use"]);
            }
        }
    }

    /// Starting, stopping and restarting a guest, and asking for its state.
    #[must_use]
    pub fn with_power(self, vmid: u32) -> Self {
        self.with(&format!("/vms/{vmid}"), ["VM.Audit", "VM.PowerMgmt"])
    }

    /// Cloning a guest, whose configuration is `config`, to a new id; its disks to `storage` if that is given, else to where
    /// they are.
    #[must_use]
    pub fn with_clone(
        mut self,
        source: u32,
        config: &QemuConfig,
        vmid: u32,
        storage: Option<&str>,
    ) -> Self {
        self.add(&format!("/vms/{source}"), ["VM.Audit", "VM.Clone"]);
        self.add(&format!("/vms/{vmid}"), ["VM.Allocate", "VM.Audit"]);
        for (_, drive) in config.drives() {
            let Some(drive) = drive.ok().filter(|drive| !drive.is_cdrom()) else {
                continue;
            };
            let file = drive.file().unwrap_or_default();
            let own = file.split_once(':').map(|(storage, _)| storage);
            if let Some(storage) = storage.or(own) {
                self.add(&format!("/storage/{storage}"), ["Datastore.AllocateSpace"]);
            }
        }
        for (key, value) in config.values() {
            let value = text(value);
            if privilege(key) == Some("VM.Config.Network") {
                self.add_card(&value);
            }
            self.add_mapping(key, &value);
        }
        self
    }

    /// Asking the guest agent for addresses, and running commands and moving files through it.
    #[must_use]
    pub fn with_agent(self, vmid: u32) -> Self {
        self.with(&format!("/vms/{vmid}"), ["VM.GuestAgent.Unrestricted"])
    }

    /// Taking snapshots, going back to them, and removing them.
    #[must_use]
    pub fn with_snapshots(self, vmid: u32) -> Self {
        self.with(&format!("/vms/{vmid}"), ["VM.Audit", "VM.Snapshot"])
    }

    /// Putting images onto a storage of a node from an address, and looking for them there.
    #[must_use]
    pub fn with_downloads(self, node: &str, storage: &str) -> Self {
        self.with(
            &format!("/storage/{storage}"),
            ["Datastore.AllocateTemplate", "Datastore.Audit"],
        )
        .with(&format!("/nodes/{node}"), ["Sys.AccessNetwork"])
    }

    /// Each path with the privileges needed on it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        let paths = self.by_path.iter();
        paths.map(|(path, names)| (path.as_str(), names.iter().map(String::as_str)))
    }

    /// Keys of configurations that only `root@pam` with a ticket may set.
    pub fn root_only(&self) -> impl Iterator<Item = &str> {
        self.root_only.iter().map(String::as_str)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::property::Nic;

    use super::*;

    pub(in super::super) fn listed(needs: &Needs) -> Vec<String> {
        let paths = needs.iter();
        let lines = paths.map(|(path, names)| {
            let names: Vec<&str> = names.collect();
            format!("{path}: {}", names.join(" "))
        });
        lines.collect()
    }

    #[test]
    fn a_machine_needs_what_its_keys_and_their_values_ask_for() {
        let config = QemuConfig::new()
            .with_cores(2)
            .with_drive("scsi0", Drive::import("fast", "local:import/a.qcow2"))
            .with_drive("ide2", Drive::cloud_init("fast"))
            .with_net(0, Nic::virtio("vmbr0").with_tag(20u16))
            .with_net(1, Nic::virtio("web"))
            .with("hostpci0", "mapping=gpu,pcie=1")
            .with("hostpci1", "0000:01:00")
            .with("serial0", "socket")
            .with("cpu", "custom-avx,hidden=1")
            .with("args", "-x");
        let needs = Needs::new()
            .with_vnet("web", "inner")
            .with_qemu(100, &config);
        let expected = [
            "/mapping/pci/gpu: Mapping.Use",
            "/nodes: Sys.Audit",
            "/sdn/zones/inner/web: SDN.Use",
            "/sdn/zones/localnetwork/vmbr0/20: SDN.Use",
            "/storage/fast: Datastore.AllocateSpace",
            "/storage/local: Datastore.Audit",
            "/vms/100: VM.Allocate VM.Audit VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk VM.Config.HWType VM.Config.Network",
        ];
        assert_eq!(listed(&needs), expected);
        let of_root: Vec<&str> = needs.root_only().collect();
        assert_eq!(of_root, ["args", "hostpci1"]);
    }

    #[test]
    fn a_clone_needs_room_where_its_disks_go() {
        let config = QemuConfig::new()
            .with_drive("scsi0", Drive::default().with_file("fast:vm-100-disk-0"))
            .with_drive("ide2", Drive::empty_cdrom())
            .with_net(0, Nic::virtio("vmbr0").with("trunks", "5;7-8"));
        let needs = Needs::new().with_clone(100, &config, 101, None);
        let expected = [
            "/sdn/zones/localnetwork/vmbr0/5: SDN.Use",
            "/sdn/zones/localnetwork/vmbr0/7: SDN.Use",
            "/sdn/zones/localnetwork/vmbr0/8: SDN.Use",
            "/storage/fast: Datastore.AllocateSpace",
            "/vms/100: VM.Audit VM.Clone",
            "/vms/101: VM.Allocate VM.Audit",
        ];
        assert_eq!(listed(&needs), expected);
        let elsewhere = Needs::new().with_clone(100, &config, 101, Some("slow"));
        assert!(listed(&elsewhere).contains(&"/storage/slow: Datastore.AllocateSpace".to_owned()));
    }
}
