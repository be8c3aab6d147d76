//! Disks: allocating, importing, growing.

use std::time::Duration;

use super::LOCK_WAIT;
use crate::simulator::answer::Reply;
use crate::simulator::engine::{Key, Step};
use crate::simulator::guest::{Species, text_of};
use crate::simulator::task::seconds;
use crate::simulator::volume::{Volume, file_format};
use crate::simulator::world::World;

/// A drive's text, taken apart: its volume and everything else in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct DriveText {
    pub(in super::super) file: String,
    pub(in super::super) rest: Vec<(String, String)>,
}

impl DriveText {
    pub(in super::super) fn parse(text: &str) -> Self {
        let mut drive = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                None => drive.file = part.to_owned(),
                Some(("file" | "volume", value)) => drive.file = value.to_owned(),
                Some((key, value)) => drive.rest.push((key.to_owned(), value.to_owned())),
            }
        }
        drive
    }

    pub(in super::super) fn get(&self, key: &str) -> Option<&str> {
        self.rest
            .iter()
            .find(|(have, _)| have == key)
            .map(|(_, value)| value.as_str())
    }

    pub(in super::super) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.rest.retain(|(have, _)| have != key);
        self.rest.push((key.to_owned(), value.into()));
    }

    /// As the server prints it: the volume first, then a path inside a container, then the rest sorted.
    pub(in super::super) fn print(&self) -> String {
        let mut rest: Vec<String> = self
            .rest
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        rest.sort_by_key(|part| (!part.starts_with("mp="), part.clone()));
        rest.insert(0, self.file.clone());
        rest.join(",")
    }

    /// The storage, if a volume is to be made there.
    pub(in super::super) fn wish(&self) -> Option<(&str, Wish)> {
        let (storage, what) = self.file.split_once(':')?;
        if what == "cloudinit" {
            return Some((storage, Wish::CloudInit));
        }
        let size: f64 = what.parse().ok().filter(|size: &f64| *size >= 0.0)?;
        if self.get("import-from").is_some() {
            return Some((storage, Wish::Import));
        }
        Some((storage, Wish::Allocate((size * (1u64 << 30) as f64) as u64)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) enum Wish {
    Allocate(u64),
    Import,
    CloudInit,
}

/// An amount of a copy as the log tells it.
pub(super) fn copied(mib: f64) -> String {
    match mib {
        mib if mib >= 1024.0 => format!("{:.1} GiB", mib / 1024.0),
        mib if mib > 0.0 => format!("{mib:.1} MiB"),
        _ => "0.0 B".to_owned(),
    }
}

/// Sizes as the server prints them.
pub(super) fn print_size(bytes: u64) -> String {
    for (unit, shift) in [("T", 40u32), ("G", 30), ("M", 20), ("K", 10)] {
        if bytes > 0 && bytes & ((1 << shift) - 1) == 0 {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

pub(in super::super) fn read_size(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let shift = match &text[end..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    let number: f64 = text[..end].parse().ok()?;
    Some((number * (1u64 << shift) as f64) as u64)
}

/// How the removal of a logical volume reads.
pub(super) fn removed_volume(volid: &str) -> String {
    let name = volid.rsplit(':').next().unwrap_or(volid);
    format!("  Logical volume \"{name}\" successfully removed.")
}

impl World {
    /// What is refused about a drive before any work begins.
    pub(super) fn refuse_drive(&self, species: Species, drive: &DriveText) -> Result<(), Reply> {
        if matches!(drive.file.as_str(), "none" | "cdrom") || drive.file.starts_with('/') {
            return Ok(());
        }
        let Some((storage, rest)) = drive.file.split_once(':') else {
            return Ok(());
        };
        let Some(known) = self.storages.get(storage) else {
            return Err(Reply::failed(format!("storage '{storage}' does not exist")));
        };
        if drive.wish().is_none() && known.is_files() && !rest.contains('/') {
            return Err(Reply::failed(format!(
                "unable to parse directory volume name '{rest}'"
            )));
        }
        let content = species.content();
        let needed = drive.wish().is_some() || species == Species::Container;
        if needed && !known.content.iter().any(|kind| kind == content) {
            return Err(Reply::failed(match species {
                Species::Machine => format!("storage '{storage}' does not support vm images"),
                Species::Container => {
                    format!("storage '{storage}' does not allow content type 'rootdir' (Container)")
                }
            }));
        }
        let source = match drive.wish() {
            Some((_, Wish::Import)) => drive.get("import-from"),
            Some(_) => None,
            None => Some(drive.file.as_str()),
        };
        match source.filter(|source| !source.starts_with('/')) {
            Some(source) if self.volume(source).is_none() => {
                Err(Reply::failed(format!("volume '{source}' does not exist")))
            }
            _ => Ok(()),
        }
    }

    /// The steps before a drive's volume is there.
    pub(in super::super) fn drive_steps(&self, drive: &DriveText, prefix: &str) -> Vec<Step> {
        let Some((storage, wish)) = drive.wish() else {
            return Vec::new();
        };
        let Some(key) = self.storage_key(storage) else {
            return Vec::new();
        };
        let size = match wish {
            Wish::Allocate(size) => size,
            Wish::Import | Wish::CloudInit => 0,
        };
        let mut steps = vec![Step::Lock {
            key: key.clone(),
            shared: false,
            wait: LOCK_WAIT,
            prefix: prefix.to_owned(),
        }];
        steps.extend(self.allocation_steps(storage, size));
        steps.push(Step::Unlock(key));
        if wish == Wish::Import {
            steps.push(Step::Compute(self.durations.import));
        }
        steps
    }

    /// What an allocation does while it holds a storage's lock: it waits for the storage, and fills what is filled.
    pub(super) fn allocation_steps(&self, storage: &str, size: u64) -> Vec<Step> {
        let Some(storage) = self.storages.get(storage) else {
            return Vec::new();
        };
        let filling = storage.allocation_speed.map(|speed| {
            let time = Duration::from_secs_f64(size as f64 / speed.max(1) as f64);
            Step::Compute(time)
        });
        [Step::Work(storage.hold)]
            .into_iter()
            .chain(filling)
            .collect()
    }

    pub(super) fn storage_key(&self, storage: &str) -> Option<Key> {
        let known = self.storages.get(storage)?;
        Some(if known.shared {
            Key::SharedStorage(storage.to_owned())
        } else {
            Key::LocalStorage(storage.to_owned())
        })
    }

    /// Makes the volume that a drive asks for; gives the drive's text as it is stored.
    pub(super) fn place_drive(
        &mut self,
        job: u64,
        vmid: u32,
        key: &str,
        drive: &DriveText,
    ) -> Result<String, Reply> {
        let species = self.require(vmid)?.species;
        self.refuse_drive(species, drive)?;
        let mut drive = drive.clone();
        let Some((storage, wish)) = drive
            .wish()
            .map(|(storage, wish)| (storage.to_owned(), wish))
        else {
            if let Some(size) = self
                .volume(&drive.file)
                .filter(|volume| volume.is_disk())
                .map(|v| v.size)
            {
                drive.set("size", print_size(size));
            }
            if matches!(drive.file.as_str(), "none" | "cdrom") || drive.file.contains(":iso/") {
                drive.set("media", "cdrom");
            }
            if drive.file.contains("-cloudinit") {
                drive.rest.retain(|(key, _)| key != "size");
                drive.set("media", "cdrom");
            }
            return Ok(drive.print());
        };
        if wish == Wish::CloudInit {
            let volid = self.make_cloud_init(job, vmid, &storage)?;
            drive.file = volid;
            drive.set("media", "cdrom");
            self.log(
                job,
                format!("{key}: successfully created disk '{}'", drive.print()),
            );
            return Ok(drive.print());
        }
        let source = drive.get("import-from").map(str::to_owned);
        let files = self
            .storages
            .get(&storage)
            .is_some_and(super::super::volume::Storage::is_files);
        let (size, used, source_format) = match (wish, &source) {
            (Wish::Allocate(size), _) if key.starts_with("efidisk") => {
                let _ = size;
                (540_672, 540_672, None)
            }
            (Wish::Allocate(size), _) if key.starts_with("tpmstate") => {
                let _ = size;
                (4 << 20, 4 << 20, None)
            }
            (Wish::Allocate(size), _) => (size, 4096, None),
            (_, Some(source)) => {
                let image = self.volume(source);
                let size = image.map_or(1 << 30, |volume| volume.size);
                // A disk is made of whole sectors.
                let disk = image
                    .and_then(|volume| volume.disk_size)
                    .unwrap_or(size)
                    .div_ceil(512)
                    * 512;
                (disk, size, Some(file_format(source).to_owned()))
            }
            (_, None) => (0, 0, None),
        };
        let default = match source_format.as_deref() {
            Some("qcow2") if files => "qcow2",
            _ => "raw",
        };
        let format = drive.get("format").unwrap_or(default).to_owned();
        if self
            .storages
            .get(&storage)
            .is_some_and(|storage| storage.available() < used)
        {
            return Err(Reply::failed(format!(
                "not enough space on storage '{storage}'"
            )));
        }
        if let Some(source) = &source {
            self.log(job, format!("create full clone of drive ({source})"));
        }
        let volid = self.make_volume(job, vmid, &storage, &format, size, used)?;
        if source.is_some() {
            self.log(job, format!("allocated target volume '{volid}'"));
            self.log_copy(job, size);
        }
        drive.file = volid;
        drive
            .rest
            .retain(|(key, _)| key != "import-from" && key != "format");
        drive.set("size", print_size(size));
        match species {
            Species::Machine => self.log(
                job,
                format!("{key}: successfully created disk '{}'", drive.print()),
            ),
            Species::Container => self.log_file_system(job, size),
        }
        Ok(drive.print())
    }

    /// The lines of a copy: one for every 2 MiB or every hundredth, whichever is more, then the end again.
    pub(super) fn log_copy(&mut self, job: u64, size: u64) {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let step = (size / 100).max(2 << 20);
        let mut done = 0;
        loop {
            let percent = done as f64 * 100.0 / size.max(1) as f64;
            self.log(
                job,
                format!(
                    "transferred {} of {} ({percent:.2}%)",
                    copied(mib(done)),
                    copied(mib(size))
                ),
            );
            if done == size {
                break;
            }
            done = (done + step).min(size);
        }
        self.log(
            job,
            format!("transferred {0} of {0} (100.00%)", copied(mib(size))),
        );
    }

    pub(super) fn make_cloud_init(
        &mut self,
        job: u64,
        vmid: u32,
        storage: &str,
    ) -> Result<String, Reply> {
        let files = self
            .storages
            .get(storage)
            .is_some_and(super::super::volume::Storage::is_files);
        let format = if files { "qcow2" } else { "raw" };
        let Some(known) = self.storages.get(storage) else {
            return Err(Reply::failed(format!("storage '{storage}' does not exist")));
        };
        let volid = format!(
            "{storage}:{}",
            known.image_name(vmid, &format!("vm-{vmid}-cloudinit"), format)
        );
        self.insert_volume(job, vmid, storage, &volid, format, 4 << 20, 266_240);
        Ok(volid)
    }

    /// Makes the next image of a guest on a storage.
    pub(super) fn make_volume(
        &mut self,
        job: u64,
        vmid: u32,
        storage: &str,
        format: &str,
        size: u64,
        used: u64,
    ) -> Result<String, Reply> {
        let Some(known) = self.storages.get(storage) else {
            return Err(Reply::failed(format!("storage '{storage}' does not exist")));
        };
        let volid = format!("{storage}:{}", known.next_image(vmid, format, false));
        self.insert_volume(job, vmid, storage, &volid, format, size, used);
        Ok(volid)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one volume")]
    pub(super) fn insert_volume(
        &mut self,
        job: u64,
        vmid: u32,
        storage: &str,
        volid: &str,
        format: &str,
        size: u64,
        used: u64,
    ) {
        let ctime = seconds(self.now);
        let species = self.guests.get(&vmid).map(|guest| guest.species);
        let Some(known) = self.storages.get_mut(storage) else {
            return;
        };
        let path = known.path_of(volid);
        let line = match format {
            "qcow2" => format!(
                "Formatting '{path}', fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=metadata compression_type=zlib size={size} lazy_refcounts=off refcount_bits=16"
            ),
            _ if known.is_files() => {
                format!("Formatting '{path}', fmt=raw size={size} preallocation=off")
            }
            _ => format!(
                "  Logical volume \"{}\" created.",
                volid.rsplit(':').next().unwrap_or(volid)
            ),
        };
        known.volumes.insert(
            volid.to_owned(),
            Volume {
                content: species.unwrap_or_default().content().to_owned(),
                format: format.to_owned(),
                size,
                disk_size: None,
                used,
                ctime,
                vmid: Some(vmid),
                parent: None,
            },
        );
        self.log(job, line);
    }

    /// Grows a disk: `+1G` or an absolute size.
    pub(super) fn resize(
        &mut self,
        job: u64,
        vmid: u32,
        disk: &str,
        size: &str,
    ) -> Result<(), Reply> {
        let guest = self.require(vmid)?;
        let (species, on) = (guest.species, guest.is_on());
        let Some(text) = guest.text(disk) else {
            return Err(Reply::failed(format!("disk '{disk}' does not exist")));
        };
        let mut drive = DriveText::parse(&text);
        let have = self.volume(&drive.file).map_or(0, |volume| volume.size);
        let wanted = match size.strip_prefix('+') {
            Some(more) => read_size(more).map(|more| have + more),
            None => read_size(size),
        };
        let wanted =
            wanted.ok_or_else(|| Reply::failed(format!("unable to parse size '{size}'")))?;
        if wanted < have {
            return Err(Reply::failed("shrinking disks is not supported"));
        }
        if wanted > have {
            if let Some(storage) = self
                .storages
                .get_mut(drive.file.split(':').next().unwrap_or(""))
                && let Some(volume) = storage.volumes.get_mut(&drive.file)
            {
                volume.size = wanted;
            }
            drive.set("size", print_size(wanted));
            self.guest_mut(vmid)?
                .config
                .insert(disk.to_owned(), drive.print().into());
            self.log(job, "Image resized.");
            if species == Species::Container {
                self.log_grown(job, wanted, on);
            }
        }
        Ok(())
    }

    /// The size of the disk that lists show.
    pub(in super::super) fn boot_disk_size(&self, vmid: u32) -> u64 {
        let Some(guest) = self.guests.get(&vmid) else {
            return 0;
        };
        if guest.species == Species::Container {
            return self.container_disk_size(guest);
        }
        let first = ["scsi", "virtio", "sata", "ide"].iter().find_map(|bus| {
            (0..31).find_map(|index| {
                guest
                    .text(&format!("{bus}{index}"))
                    .filter(|text| !text.contains("media=cdrom"))
            })
        });
        first
            .and_then(|text| {
                self.volume(&DriveText::parse(&text).file)
                    .map(|volume| volume.size)
            })
            .unwrap_or(0)
    }

    /// All drives of a guest that have a volume: slot and text.
    pub(in super::super) fn drives_of(&self, vmid: u32) -> Vec<(String, DriveText)> {
        let Some(guest) = self.guests.get(&vmid) else {
            return Vec::new();
        };
        guest
            .config
            .iter()
            .filter(|(key, _)| super::is_drive(key))
            .map(|(key, value)| (key.clone(), DriveText::parse(&text_of(value))))
            .collect()
    }
}
