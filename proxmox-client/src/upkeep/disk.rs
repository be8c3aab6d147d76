//! Disks of a node: what they are, and making them ready for use.

use crate::error::Result;
use crate::node::Node;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::{Method, Request};

record! {
    /// A disk of a node: `GET /nodes/{node}/disks/list`.
    pub struct PhysicalDisk {
        required {
            /// Path of the device, such as `/dev/sda`.
            "devpath" device: String,
        }
        optional {
            /// Size in bytes.
            "size" size: u64,
            /// What it is used for: `LVM`, `ZFS`, `partitions`, …; absent if for nothing.
            "used" used: String,
            /// `hdd`, `ssd`, `nvme`, …; `partition` for one of those.
            "type" kind: String,
            /// Of a partition the disk that it is on.
            "parent" disk: String,
            /// Model.
            "model" model: String,
            /// Serial number.
            "serial" serial: String,
            /// Vendor.
            "vendor" vendor: String,
            /// Name that is the same in every machine.
            "wwn" wwn: String,
            /// Path that is the same in every machine.
            "by_id_link" by_id: String,
            /// What SMART says: `PASSED`, `FAILED`, `UNKNOWN`, …
            "health" health: String,
            /// How much of a solid-state disk's life is left, in percent; a text where it is not known.
            "wearout" life_left: f64,
            /// Turns a minute; 0 for those that do not turn.
            "rpm" rotations: i64,
            /// Whether it has a GPT.
            "gpt" gpt: bool,
            /// Whether it is mounted.
            "mounted" mounted: bool,
            /// Number of the Ceph disk on it; -1 if there is none.
            "osdid" osd: i64,
            /// Numbers of all Ceph disks on it.
            "osdid-list" osd_list: Vec<u32>,
        }
    }
}

impl PhysicalDisk {
    /// Whether nothing is on it.
    pub fn is_unused(&self) -> bool {
        self.used.is_none() && self.osd.is_none_or(|osd| osd < 0)
    }

    /// The numbers of the Ceph disks on it.
    pub fn osds(&self) -> Vec<u32> {
        match &self.osd_list {
            Some(all) => all.clone(),
            None => self
                .osd
                .and_then(|osd| osd.try_into().ok())
                .into_iter()
                .collect(),
        }
    }
}

record! {
    /// An attribute that SMART tells of an ATA disk.
    pub struct SmartAttribute {
        required {
            /// Name, such as `Reallocated_Sector_Ct`.
            "name" name: String,
        }
        optional {
            /// Number, padded with blanks.
            "id" id: String,
            /// Value on the maker's scale, higher being better.
            "normalized" value: u32,
            /// Worst value so far.
            "worst" worst: u32,
            /// The value at or below which it counts as failing.
            "threshold" threshold: u32,
            /// When it failed: `-` for never, `NOW`, `past`.
            "fail" failed: String,
            /// The figure itself, as the maker writes it.
            "raw" raw: String,
            /// Flags in letters.
            "flags" flags: String,
        }
    }
}

record! {
    /// `GET /nodes/{node}/disks/smart`.
    pub struct Smart {
        required {
            /// What the disk says of itself: `PASSED`, `FAILED!`, `OK`, `UNKNOWN`, …
            "health" health: String,
        }
        optional {
            /// `ata`, with attributes, or `text`.
            "type" kind: String,
            /// Attributes of an ATA disk.
            "attributes" attributes: Vec<SmartAttribute>,
            /// What other disks say, as `smartctl` prints it.
            "text" text: String,
        }
    }
}

impl Node {
    /// The node's disks, with what SMART says of them.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{DiskSpec, Simulator, World};
    /// # let world = World::lab().with_disk("pve1", DiskSpec::nvme("/dev/nvme0n1", 1 << 40));
    /// # let client = Simulator::new(world).connect();
    /// let disks = client.node("pve1").physical_disks().await?;
    /// let unused = disks.iter().find(|disk| disk.is_unused()).unwrap();
    /// assert_eq!(unused.device, "/dev/nvme0n1");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn physical_disks(&self) -> Result<Vec<PhysicalDisk>> {
        let request = self.request(Method::Get, "/disks/list")?;
        self.client().fetch(request).await
    }

    /// The node's disks and their partitions, each on its own. SMART is not asked.
    ///
    /// Example: see [`physical_disks`](Self::physical_disks).
    pub async fn disks_and_partitions(&self) -> Result<Vec<PhysicalDisk>> {
        let request = self
            .request(Method::Get, "/disks/list")?
            .with_flag("include-partitions", true)
            .with_flag("skipsmart", true);
        self.client().fetch(request).await
    }

    /// What SMART says of a disk, such as `/dev/sda`.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{DiskSpec, Simulator, World};
    /// # let world = World::lab().with_disk("pve1", DiskSpec::ssd("/dev/sda", 1 << 40).with_life_left(97));
    /// # let client = Simulator::new(world).connect();
    /// assert_eq!(client.node("pve1").smart("/dev/sda").await?.health, "PASSED");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn smart(&self, disk: &str) -> Result<Smart> {
        let request = self.request(Method::Get, "/disks/smart")?;
        let found = self.client().fetch(request.with("disk", disk)).await;
        found.map_err(|error| error.doing(format!("asking SMART of {disk} on {}", self.name())))
    }

    fn disk_task(&self, doing: &str, disk: &str, request: Result<Request>) -> TaskCall<()> {
        TaskCall::new(
            self.client().clone(),
            format!("{doing} {disk} on {}", self.name()),
            request.map(|request| request.with("disk", disk)),
            |report| report.check().map(|_| ()),
        )
    }

    /// Gives an unused disk an empty GPT.
    ///
    /// Example: see [`wipe_disk`](Self::wipe_disk).
    ///
    /// # Errors
    /// [`Kind::InUse`](crate::Kind::InUse) if something is on it.
    pub fn init_gpt(&self, disk: &str) -> TaskCall<()> {
        let request = self.request(Method::Post, "/disks/initgpt");
        self.disk_task("initializing", disk, request)
    }

    /// Removes everything from a disk or a partition. Only `root@pam` itself may do so, none of its tokens.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::Login;
    /// # use proxmox_client::simulator::{DiskSpec, Simulator, World};
    /// # let world = World::lab().with_disk("pve1", DiskSpec::hdd("/dev/sdb", 1 << 40).with_use("ext4"));
    /// # let simulator = Simulator::new(world.with_user("root@pam", "hunter2"));
    /// # let client = simulator.builder().login(Login::new("root@pam", "hunter2")).build()?;
    /// let node = client.node("pve1");
    /// node.wipe_disk("/dev/sdb").await?;
    /// node.init_gpt("/dev/sdb").await?;
    /// assert_eq!(node.physical_disks().await?[0].gpt, Some(true));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// A refusal if it is mounted, or if something such as a volume group holds it.
    pub fn wipe_disk(&self, disk: &str) -> TaskCall<()> {
        let request = self.request(Method::Put, "/disks/wipedisk");
        self.disk_task("wiping", disk, request)
    }
}
