//! Backups that were there before.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::World;
use crate::simulator::guest::{Species, text_of};
use crate::simulator::operation::{DriveText, is_drive, read_name, read_size};
use crate::simulator::volume::{Archive, ArchivedDisk};

impl World {
    /// Puts a backup of a virtual machine onto a storage, such as `local:backup/vzdump-qemu-100-2026_01_01-00_00_00.vma.zst`
    /// with its size in bytes: it can be restored, and holds the disks whose `size` the configuration tells.
    #[must_use]
    pub fn with_guest_backup(self, volid: &str, size: u64, config: &crate::QemuConfig) -> Self {
        self.with_archive_of(Species::Machine, volid, size, config.values())
    }

    /// Puts a backup of a container onto a storage, such as `local:backup/vzdump-lxc-200-2026_01_01-00_00_00.tar.zst` with
    /// its size in bytes: it can be restored, and holds `rootfs` and the mount points that say `backup=1`.
    #[must_use]
    pub fn with_container_backup(self, volid: &str, size: u64, config: &crate::LxcConfig) -> Self {
        self.with_archive_of(Species::Container, volid, size, config.values())
    }

    fn with_archive_of(
        self,
        species: Species,
        volid: &str,
        size: u64,
        config: &Map<String, Value>,
    ) -> Self {
        let mut world = self.with_volume(volid, size);
        let held = |slot: &str, drive: &DriveText| match species {
            Species::Machine => {
                drive.get("media") != Some("cdrom") && drive.get("backup") != Some("0")
            }
            Species::Container => slot == "rootfs" || drive.get("backup") == Some("1"),
        };
        let mut disks = BTreeMap::new();
        for (slot, value) in config.iter().filter(|(key, _)| is_drive(key)) {
            let drive = DriveText::parse(&text_of(value));
            let bytes = drive.get("size").and_then(read_size);
            let storage = drive.file.split_once(':').map(|(storage, _)| storage);
            if let Some((bytes, storage)) = bytes.zip(storage).filter(|_| held(slot, &drive)) {
                let format = drive.file.rsplit_once('.').map(|(_, end)| end);
                let disk = ArchivedDisk {
                    storage: storage.to_owned(),
                    format: format
                        .filter(|end| *end == "qcow2")
                        .unwrap_or("raw")
                        .to_owned(),
                    size: bytes,
                    used: bytes.min(size),
                };
                disks.insert(slot.clone(), disk);
            }
        }
        let name = volid.split(':').next().unwrap_or_default();
        if let Some(storage) = world.storages.get_mut(name)
            && let Some(volume) = storage.volumes.get_mut(volid)
        {
            if let Some(name) = read_name(volid) {
                volume.vmid = Some(name.vmid);
                volume.ctime = name.at;
                volume.format = name.format;
            }
            let archive = Archive {
                config: config.clone(),
                disks,
                ..Archive::default()
            };
            storage.archives.insert(volid.to_owned(), archive);
        }
        world
    }
}
