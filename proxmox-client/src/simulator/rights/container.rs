//! What the configuration of a container asks for, as `PVE::LXC::check_ct_modify_config_perm` checks it.
//!
//! What is root's alone (devices, hook scripts, features, mounts of the host) is refused where the configuration is
//! looked at.

use serde_json::{Map, Value};

use super::{Change, Rights};
use crate::simulator::answer::Reply;
use crate::simulator::guest::text_of;
use crate::simulator::operation::{DriveText, is_drive, is_indexed};
use crate::simulator::schema::{parts, sub_key};
use crate::simulator::world::World;

/// Parameters of a creation that are no configuration.
const OF_CREATION: &[&str] = &[
    "ostemplate",
    "password",
    "ssh-public-keys",
    "bwlimit",
    "restore",
    "unprivileged",
    "ignore-unpack-errors",
    "ha-managed",
];

fn privilege(key: &str) -> &'static str {
    match key {
        "cores" | "cpuunits" | "cpulimit" => "VM.Config.CPU",
        "memory" | "swap" => "VM.Config.Memory",
        "nameserver" | "searchdomain" | "hostname" => "VM.Config.Network",
        key if is_indexed(key, "net") => "VM.Config.Network",
        key if is_drive(key) => "VM.Config.Disk",
        "features" => "VM.Allocate",
        _ => "VM.Config.Options",
    }
}

impl Change<'_> {
    /// Refuses setting and deleting keys.
    pub(super) fn refuse_container(&self, params: &Map<String, Value>) -> Result<(), Reply> {
        let now = |key: &str| self.old.and_then(|guest| guest.text(key));
        let config = World::config_params(params).filter(|(key, _)| !OF_CREATION.contains(key));
        for (key, text) in config {
            self.need_for(key)?;
            if is_drive(key) {
                self.container_volume(&DriveText::parse(&text))?;
            }
            if is_indexed(key, "net") {
                if let Some(old) = now(key) {
                    self.world.need_bridge(self.rights, &old)?;
                }
                self.world.need_bridge(self.rights, &text)?;
            }
        }
        let deleted = params.get("delete").map(text_of).unwrap_or_default();
        for key in parts(&deleted) {
            self.need_for(key)?;
            if let Some(old) = now(key).filter(|_| is_indexed(key, "net")) {
                self.world.need_bridge(self.rights, &old)?;
            }
        }
        Ok(())
    }

    fn need_for(&self, key: &str) -> Result<(), Reply> {
        let privilege = privilege(key);
        self.rights.need_guest(self.vmid, self.pool, &[privilege])
    }

    fn container_volume(&self, drive: &DriveText) -> Result<(), Reply> {
        if drive.file.starts_with('/') {
            return Ok(());
        }
        match drive.wish() {
            Some((storage, _)) => {
                let path = format!("/storage/{storage}");
                self.rights.need(&path, &["Datastore.AllocateSpace"])
            }
            None => self
                .world
                .need_volume(self.rights, Some(self.vmid), &drive.file),
        }
    }

    /// Refuses copying a container: its volumes to `storage` if that is given, else each to where it is.
    pub(super) fn refuse_container_copy(
        &self,
        config: &Map<String, Value>,
        storage: Option<&str>,
    ) -> Result<(), Reply> {
        for (key, value) in config {
            let text = text_of(value);
            if is_drive(key) {
                let file = DriveText::parse(&text).file;
                let own = file.split_once(':').map(|(storage, _)| storage);
                if let Some(storage) = storage.or(own) {
                    let path = format!("/storage/{storage}");
                    self.rights.need(&path, &["Datastore.AllocateSpace"])?;
                }
            }
            if is_indexed(key, "net") {
                self.world.need_bridge(self.rights, &text)?;
            }
        }
        Ok(())
    }
}

impl World {
    /// The right to use a card's bridge, or its tags on that bridge: `PVE::GuestHelpers::check_vnet_access`.
    pub(super) fn need_bridge(&self, rights: &Rights<'_>, card: &str) -> Result<(), Reply> {
        let Some(bridge) = sub_key(card, "bridge") else {
            return Ok(());
        };
        let zone = self.zone_of(bridge);
        let zone = zone.unwrap_or_else(|| "localnetwork".to_owned());
        let path = format!("/sdn/zones/{zone}/{bridge}");
        let tag = sub_key(card, "tag").filter(|tag| *tag != "0");
        let trunks = sub_key(card, "trunks");
        if let Some(tag) = tag {
            rights.need(&format!("{path}/{tag}"), &["SDN.Use"])?;
        }
        for part in trunks.unwrap_or_default().split(';') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
                for tag in first..=last {
                    rights.need(&format!("{path}/{tag}"), &["SDN.Use"])?;
                }
            }
        }
        match (tag, trunks) {
            (None, None) => rights.need(&path, &["SDN.Use"]),
            _ => Ok(()),
        }
    }
}
