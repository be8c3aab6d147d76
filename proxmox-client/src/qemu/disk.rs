//! Attaching, detaching, destroying and reassigning disks.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::guest::GuestConfig;
use crate::property::Drive;
use crate::qemu::config::is_drive_slot;
use crate::qemu::{ConfigUpdate, Qemu, QemuConfig, QemuPatch, check_vmid};
use crate::task::TaskCall;
use crate::wire::Method;

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bus {
    /// `scsi0` to `scsi30`.
    Scsi,
    /// `virtio0` to `virtio15`.
    Virtio,
    /// `sata0` to `sata5`.
    Sata,
    /// `ide0` to `ide3`.
    Ide,
}

impl Bus {
    /// Its slots, in order.
    fn slots(self) -> impl Iterator<Item = String> {
        let last = match self {
            Self::Scsi => 30,
            Self::Virtio => 15,
            Self::Sata => 5,
            Self::Ide => 3,
        };
        (0..=last).map(move |index| format!("{self}{index}"))
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scsi => "scsi",
            Self::Virtio => "virtio",
            Self::Sata => "sata",
            Self::Ide => "ide",
        })
    }
}

/// A disk that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attached {
    /// Where: `scsi1`, …
    pub slot: String,
    /// Its volume, as the configuration names it.
    pub volume: String,
    /// How it came to be there.
    pub state: Attachment,
}

/// How a disk came to be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attachment {
    /// This call attached it, and the machine has it.
    Live,
    /// This call attached it, and the machine has it after its next start.
    Pending,
    /// It was attached already.
    AlreadyThere,
}

/// What becomes of the volumes of disks that are taken off or moved away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Volumes {
    /// They stay, as `unusedN`; of disks that are taken off those that are `unusedN` already are destroyed.
    #[default]
    Keep,
    /// They are destroyed, for good.
    Destroy,
}

/// The slot that holds a disk that is the wanted one: the same volume, or the same serial number.
fn holds(config: &QemuConfig, wanted: &Drive) -> Option<(String, Drive)> {
    let volume = wanted.file().filter(|file| !asks_for_volume(file));
    let serial = wanted.get("serial");
    config.drives().find_map(|(slot, drive)| {
        let drive = drive.ok()?;
        let same = |mine: Option<&str>, theirs: Option<&str>| mine.is_some() && mine == theirs;
        let is_it =
            same(volume.as_deref(), drive.file().as_deref()) || same(serial, drive.get("serial"));
        is_it.then(|| (slot.to_owned(), drive))
    })
}

fn asks_for_volume(file: &str) -> bool {
    crate::guest::is_wish(file)
}

impl Qemu {
    /// Attaches a disk in the first free slot of a bus: an existing volume, or one that is allocated or imported.
    ///
    /// The slot is chosen from a configuration that was read, the change is sent under its digest, and repeated from
    /// the beginning when someone else was quicker. A disk whose volume is attached already is left alone, and so is
    /// one whose `serial` is; with a serial number of its own the call may be repeated after any failure.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::property::Drive;
    /// use proxmox_client::{Attachment, Bus};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// let drive = Drive::allocate("local-lvm", 8).with_serial("data-1");
    /// let attached = vm.attach_disk(Bus::Scsi, drive.clone()).await?;
    /// assert_eq!((attached.slot.as_str(), attached.state), ("scsi0", Attachment::Live));
    /// let again = vm.attach_disk(Bus::Scsi, drive).await?;
    /// assert_eq!(again.state, Attachment::AlreadyThere);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if no slot is free; [`Kind::NotFound`] for a storage or volume that is not there.
    pub async fn attach_disk(&self, bus: Bus, drive: Drive) -> Result<Attached> {
        let mut tries = 0;
        loop {
            match self.attach_once(bus, &drive).await {
                Err(error) if error.kind() == Kind::Conflict && tries < 5 => tries += 1,
                other => {
                    return other.map_err(|error| error.at(|| self.doing("attaching a disk to")));
                }
            }
        }
    }

    async fn attach_once(&self, bus: Bus, drive: &Drive) -> Result<Attached> {
        let read = self.config().await?;
        if let Some((slot, have)) = holds(&read, drive) {
            return Ok(Attached {
                slot,
                volume: have.file().unwrap_or_default(),
                state: Attachment::AlreadyThere,
            });
        }
        // A slot whose disk waits to be detached is in use until then.
        let used: BTreeSet<String> = self.pending().await?.into_iter().map(|it| it.key).collect();
        let slot = bus.slots().find(|slot| !used.contains(slot));
        let slot = slot.ok_or_else(|| Error::invalid(format!("no {bus} slot is free")))?;
        let value = QemuConfig::new().with_drive(&slot, drive.clone());
        value.check_values()?;
        // As a task, since an allocation may take longer than a request may.
        let mut request = self.request(Method::Post, "/config")?;
        request.params_mut().extend_values(value.values());
        if let Some(digest) = read.digest() {
            request.params_mut().push("digest", digest);
        }
        TaskCall::new(
            self.client.clone(),
            self.doing("attaching a disk to"),
            Ok(request),
            |report| report.check().map(|_| ()),
        )
        .await?;
        self.confirm(&slot, drive).await
    }

    /// The disk as it is attached now.
    async fn confirm(&self, slot: &str, wanted: &Drive) -> Result<Attached> {
        let drive_of = |config: &QemuConfig| {
            let drive = config.drive(slot).transpose()?;
            Ok::<_, Error>(drive.and_then(|drive| drive.file()))
        };
        let live = drive_of(&self.current_config().await?)?;
        let (volume, state) = match live {
            Some(volume) => (volume, Attachment::Live),
            None => {
                let waiting = drive_of(&self.config().await?)?;
                let volume = waiting.ok_or_else(|| {
                    let text = format!("{slot} is empty, although attaching to it succeeded");
                    Error::new(Kind::Conflict, text)
                })?;
                (volume, Attachment::Pending)
            }
        };
        let asked = wanted.file().filter(|file| !asks_for_volume(file));
        if asked.is_some_and(|asked| asked != volume) {
            let text = format!("{slot} holds {volume} now");
            return Err(Error::new(Kind::Conflict, text));
        }
        Ok(Attached {
            slot: slot.to_owned(),
            volume,
            state,
        })
    }

    /// Takes a disk (`scsi1`) off the machine and destroys its volume, for good.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let config = QemuConfig::new().with("scsi0", "local-lvm:4").with("scsi1", "local-lvm:4");
    /// let vm = node.create_qemu(100, config).await?.qemu;
    /// vm.detach_and_destroy("scsi1").await?;
    /// let config = vm.config().await?;
    /// assert!(config.get("scsi1").is_none() && config.get("unused0").is_none());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such disk.
    pub async fn detach_and_destroy(&self, slot: &str) -> Result<ConfigUpdate> {
        if !is_drive_slot(slot) {
            return Err(Error::invalid(format!("`{slot}` is no disk")));
        }
        self.update(|config| match config.drive(slot) {
            Some(_) => Ok(QemuPatch::new().delete(slot).with_volumes(Volumes::Destroy)),
            None => Err(
                Error::new(Kind::NotFound, format!("there is no disk {slot}"))
                    .doing(self.doing("destroying a disk of")),
            ),
        })
        .await
    }

    /// Takes several disks off at once, whoever changes the configuration meanwhile; those that are not there are
    /// passed over.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::{QemuConfig, Volumes};
    /// # let node = Simulator::new(World::lab()).connect().node("pve1");
    /// # let config = QemuConfig::new().with("scsi0", "local-lvm:4").with("scsi1", "local-lvm:4");
    /// let vm = node.create_qemu(100, config).await?.qemu;
    /// vm.unlink(&["scsi1"], Volumes::Keep).await?;
    /// assert!(vm.config().await?.get("unused0").is_some());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn unlink(&self, slots: &[&str], volumes: Volumes) -> Result<()> {
        if slots.is_empty() {
            return Err(Error::invalid("no disks to take off"));
        }
        let mut request = self.request(Method::Put, "/unlink")?;
        request.params_mut().push("idlist", slots.join(","));
        if volumes == Volumes::Destroy {
            request.params_mut().push_flag("force", true);
        }
        let _turn = self.client.turn_to_change(&request).await;
        let done = self.client.request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(self.doing("taking disks off")))
    }

    /// Gives a disk (`scsi1`, `unused0`) to another machine on this node, in a slot of that one, or in one of the
    /// same name. The volume is renamed, nothing is copied; the machine must be off unless the disk is unused.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let vm = node.create_qemu(100, QemuConfig::new().with("scsi1", "local-lvm:4")).await?.qemu;
    /// let other = node.create_qemu(101, QemuConfig::new()).await?.qemu;
    /// vm.reassign_disk("scsi1", 101, Some("scsi5")).await?;
    /// assert!(vm.config().await?.get("scsi1").is_none());
    /// assert!(other.config().await?.get("scsi5").is_some());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if a machine or the disk does not exist, [`Kind::InUse`] if the slot is taken, [`Kind::PowerState`],
    /// [`Kind::Locked`].
    pub fn reassign_disk(&self, slot: &str, to: u32, to_slot: Option<&str>) -> TaskCall<()> {
        let request = check_vmid(to).and_then(|()| {
            let request = self.request(Method::Post, "/move_disk")?;
            let mut request = request
                .with("disk", slot)
                .with("target-vmid", to.to_string());
            if let Some(to_slot) = to_slot {
                request.params_mut().push("target-disk", to_slot);
            }
            Ok(request)
        });
        TaskCall::new(
            self.client.clone(),
            self.doing("giving away a disk of"),
            request,
            |report| report.check().map(|_| ()),
        )
    }
}
