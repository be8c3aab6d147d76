//! Disks: making them, taking them in and out, removing them.

use std::time::Duration;

use tokio::time::Instant;

use super::{CephAction, CephOsds, CephService, NodeCeph};
use crate::error::{Error, Kind, Result, Sent};
use crate::open::open_enum;
use crate::qemu::Removed;
use crate::scalar::record;
use crate::task::TaskCall;
use crate::wire::{Method, Params, Request};

/// A disk to be made of a device that nothing is on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewCephOsd {
    device: String,
    db: Option<(String, Option<f64>)>,
    wal: Option<(String, Option<f64>)>,
    class: Option<String>,
    encrypted: bool,
    per_device: Option<u32>,
}

impl NewCephOsd {
    /// On a device, such as `/dev/sdb`.
    pub fn on(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            db: None,
            wal: None,
            class: None,
            encrypted: false,
            per_device: None,
        }
    }

    /// Its database is on another, faster device: an unused one, one whose volume group belongs to Ceph, or one with a
    /// GPT and room. Size in GiB, 1 at least; if none is given, that of Ceph's settings or else a tenth of the disk.
    #[must_use]
    pub fn with_database(mut self, device: &str, gib: Option<f64>) -> Self {
        self.db = Some((device.to_owned(), gib));
        self
    }

    /// Its write-ahead log is on another device, apart from the database. Size in GiB, 0.5 at least; if none is given,
    /// that of Ceph's settings or else a hundredth of the disk.
    #[must_use]
    pub fn with_log(mut self, device: &str, gib: Option<f64>) -> Self {
        self.wal = Some((device.to_owned(), gib));
        self
    }

    /// Its class, which rules may ask for: `hdd`, `ssd`, `nvme` or one's own. Found out by Ceph if not set.
    #[must_use]
    pub fn with_class(mut self, class: &str) -> Self {
        self.class = Some(class.to_owned());
        self
    }

    /// It is encrypted; the monitors keep the key.
    #[must_use]
    pub fn with_encryption(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// Several disks of Ceph share the device, which serves fast ones better. Not together with a database or log
    /// elsewhere. Server 8.1 and later.
    #[must_use]
    pub fn with_osds_per_device(mut self, number: u32) -> Self {
        self.per_device = Some(number);
        self
    }

    fn push_to(&self, params: &mut Params) {
        params.push("dev", self.device.as_str());
        for (name, part) in [("db_dev", &self.db), ("wal_dev", &self.wal)] {
            if let Some((device, gib)) = part {
                params.push(name, device.as_str());
                if let Some(gib) = gib {
                    params.push(format!("{name}_size"), gib.to_string());
                }
            }
        }
        if let Some(class) = &self.class {
            params.push("crush-device-class", class.as_str());
        }
        if self.encrypted {
            params.push_flag("encrypted", true);
        }
        if let Some(number) = self.per_device {
            params.push("osds-per-device", number.to_string());
        }
    }
}

/// What became of making sure that a device serves Ceph; with the numbers of its disks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnsuredOsd {
    /// They were made.
    Created(Vec<u32>),
    /// The device served Ceph already.
    Unchanged(Vec<u32>),
}

impl EnsuredOsd {
    /// The numbers of the disks on the device.
    pub fn ids(&self) -> &[u32] {
        match self {
            Self::Created(ids) | Self::Unchanged(ids) => ids,
        }
    }
}

/// What goes with a disk that is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CephOsdRemoval {
    cleanup: bool,
}

impl CephOsdRemoval {
    /// Its volumes stay on the devices.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its volumes and groups are removed too, so that the devices can be used again.
    #[must_use]
    pub fn with_cleanup(mut self) -> Self {
        self.cleanup = true;
        self
    }
}

open_enum! {
    /// A part of a disk.
    pub enum CephOsdPart {
        /// The data.
        Block = "block",
        /// The database, where it is on another device.
        Database = "db",
        /// The write-ahead log, where it is on another device.
        Log = "wal",
    }
}

record! {
    /// What a disk's service tells of itself.
    pub struct CephOsdGeneral {
        required {
            /// Number.
            "id" id: u32,
        }
        optional {
            /// Node that it is on.
            "hostname" host: String,
            /// Version that runs, with the release's name.
            "version" version: String,
            /// Memory in use, in bytes; 0 if it does not run.
            "mem_usage" memory: u64,
            /// Process; absent if it does not run.
            "pid" pid: u64,
            /// Folder with its data.
            "osd_data" folder: String,
            /// How it keeps its data: `bluestore`.
            "osd_objectstore" store: String,
            /// Whether it is encrypted.
            "encrypted" encrypted: bool,
            /// Addresses for clients and monitors.
            "front_addr" front_address: String,
            /// Addresses for other disks.
            "back_addr" back_address: String,
            /// Addresses for heartbeats of clients and monitors.
            "hb_front_addr" front_heartbeat: String,
            /// Addresses for heartbeats of other disks.
            "hb_back_addr" back_heartbeat: String,
        }
    }
}

record! {
    /// A device of a disk.
    pub struct CephOsdDevice {
        required {
            /// What is on it.
            "device" part: CephOsdPart,
        }
        optional {
            /// Node of the device.
            "dev_node" path: String,
            /// What is below it: `sdb`.
            "physical_device" physical: String,
            /// Size in bytes.
            "size" size: u64,
            /// `hdd`, `ssd`, …
            "type" kind: String,
            /// Whether it knows what it need not keep.
            "support_discard" discards: bool,
        }
    }
}

record! {
    /// A disk in detail: `GET /nodes/{node}/ceph/osd/{osdid}/metadata`.
    pub struct CephOsdInfo {
        required {
            /// Its service.
            "osd" general: CephOsdGeneral,
            /// Its devices.
            "devices" devices: Vec<CephOsdDevice>,
        }
        optional {}
    }
}

record! {
    /// A logical volume of a disk: `GET /nodes/{node}/ceph/osd/{osdid}/lv-info`.
    pub struct CephOsdVolume {
        required {
            /// Name.
            "lv_name" name: String,
            /// Volume group.
            "vg_name" group: String,
        }
        optional {
            /// Path.
            "lv_path" path: String,
            /// Size in bytes.
            "lv_size" size: u64,
            /// Identifier.
            "lv_uuid" uuid: String,
            /// When it was made, as `lvs` writes it.
            "creation_time" created: String,
        }
    }
}

/// A disk of Ceph by its number, on its node.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::ceph::{CephOsdPart, NewCephOsd};
/// # use proxmox_client::simulator::{DiskSpec, Simulator, World};
/// # let world = World::lab().with_ceph_cluster().with_disk("pve1", DiskSpec::hdd("/dev/sdb", 1 << 40));
/// # let world = world.with_disk("pve1", DiskSpec::nvme("/dev/nvme0n1", 1 << 38));
/// # let root = proxmox_client::Login::new("root@pam", "secret");
/// # let simulator = Simulator::new(world.with_user("root@pam", "secret"));
/// # let client = simulator.builder().login(root).build()?;
/// let ceph = client.node("pve1").ceph();
/// let new = NewCephOsd::on("/dev/sdb").with_database("/dev/nvme0n1", Some(64.0)).with_class("hdd");
/// let made = ceph.ensure_osd(&new).await?;
/// let osd = ceph.osd(made.ids()[0]);
/// assert_eq!(osd.info().await?.devices.len(), 2);
/// assert_eq!(osd.volume(&CephOsdPart::Database).await?.size, Some(64 << 30));
/// osd.scrub().await?;
/// osd.take_out().await?;
/// assert_eq!(ceph.osds().await?.disk(osd.id()).and_then(|disk| disk.within), Some(false));
/// osd.take_in().await?;
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct CephOsd {
    ceph: NodeCeph,
    id: u32,
}

impl NodeCeph {
    /// All disks of the cluster, as a tree.
    ///
    /// Example: see [`CephOsd`].
    ///
    /// # Errors
    /// [`Kind::NotConfigured`] if the node has no Ceph, or there is no monitor.
    pub async fn osds(&self) -> Result<CephOsds> {
        let request = self.request(Method::Get, "/osd")?;
        self.client().fetch(request).await
    }

    /// A disk of this node.
    pub fn osd(&self, id: u32) -> CephOsd {
        CephOsd {
            ceph: self.clone(),
            id,
        }
    }

    /// Makes a disk of an unused device of this node. The server does not say which number it gets;
    /// [`ensure_osd`](Self::ensure_osd) finds out. Only `root@pam` with a ticket may do that.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// use proxmox_client::ceph::NewCephOsd;
    /// # use proxmox_client::simulator::{DiskSpec, Simulator, World};
    /// # let world = World::lab().with_ceph_cluster().with_disk("pve1", DiskSpec::ssd("/dev/sdb", 1 << 40));
    /// # let root = proxmox_client::Login::new("root@pam", "secret");
    /// # let simulator = Simulator::new(world.with_user("root@pam", "secret"));
    /// # let client = simulator.builder().login(root).build()?;
    /// let ceph = client.node("pve1").ceph();
    /// ceph.create_osd(&NewCephOsd::on("/dev/sdb").with_encryption()).await?;
    /// let again = ceph.create_osd(&NewCephOsd::on("/dev/sdb")).await;
    /// assert_eq!(again.unwrap_err().kind(), Kind::InUse);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InUse`] if something is on the device, [`Kind::RootOnly`] for others than `root@pam`.
    pub fn create_osd(&self, new: &NewCephOsd) -> TaskCall<()> {
        let request = self.request(Method::Post, "/osd");
        let request = request.map(|mut request| {
            new.push_to(request.params_mut());
            request
        });
        let (device, node) = (&new.device, self.node.name());
        self.task(format!("making a Ceph disk of {device} of {node}"), request)
    }

    /// Makes sure that a device of this node serves Ceph, and says under which numbers. One that does is left alone,
    /// whatever its class and parts are. Only `root@pam` with a ticket may make one.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::ceph::{EnsuredOsd, NewCephOsd};
    /// # use proxmox_client::simulator::{DiskSpec, Simulator, World};
    /// # let world = World::lab().with_ceph_cluster().with_disk("pve1", DiskSpec::nvme("/dev/nvme0n1", 4 << 40));
    /// # let root = proxmox_client::Login::new("root@pam", "secret");
    /// # let simulator = Simulator::new(world.with_user("root@pam", "secret"));
    /// # let client = simulator.builder().login(root).build()?;
    /// let ceph = client.node("pve1").ceph();
    /// let new = NewCephOsd::on("/dev/nvme0n1").with_osds_per_device(2);
    /// assert_eq!(ceph.ensure_osd(&new).await?, EnsuredOsd::Created(vec![0, 1]));
    /// assert_eq!(ceph.ensure_osd(&new).await?, EnsuredOsd::Unchanged(vec![0, 1]));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InUse`] if something else is on the device, [`Kind::RootOnly`] for others than `root@pam`.
    pub async fn ensure_osd(&self, new: &NewCephOsd) -> Result<EnsuredOsd> {
        let there = self.osds_on(&new.device).await?;
        if !there.is_empty() {
            return Ok(EnsuredOsd::Unchanged(there));
        }
        self.create_osd(new).await?;
        Ok(EnsuredOsd::Created(self.osds_on(&new.device).await?))
    }

    /// The numbers of the disks on a device.
    async fn osds_on(&self, device: &str) -> Result<Vec<u32>> {
        let disks = self.node.physical_disks().await?;
        let is = |path: Option<&str>| path == Some(device);
        let found = disks
            .into_iter()
            .find(|disk| is(Some(&disk.device)) || is(disk.by_id.as_deref()));
        Ok(found.map(|disk| disk.osds()).unwrap_or_default())
    }
}

impl CephOsd {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }

    fn request(&self, method: Method, below: &str) -> Result<Request> {
        let path = format!("/osd/{{osdid}}{below}");
        self.ceph.named(method, &path, &self.id.to_string())
    }

    fn at(&self, what: &str) -> String {
        format!("{what} osd.{} on {}", self.id, self.ceph.node.name())
    }

    async fn post(&self, below: &str, params: &[(&str, bool)], what: &str) -> Result<()> {
        let mut request = self.request(Method::Post, below)?;
        for (name, on) in params {
            request.params_mut().push_flag(*name, *on);
        }
        let sent: Result<Option<String>> = self.ceph.client().fetch(request).await;
        sent.map(|_| ()).map_err(|error| error.doing(self.at(what)))
    }

    /// Its service and devices.
    ///
    /// Example: see [`CephOsd`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is on another node.
    pub async fn info(&self) -> Result<CephOsdInfo> {
        let request = self.request(Method::Get, "/metadata")?;
        let asked = self.ceph.client().fetch(request).await;
        asked.map_err(|error| error.doing(self.at("reading")))
    }

    /// The logical volume of a part of it.
    ///
    /// Example: see [`CephOsd`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is not on this node or has no such part.
    pub async fn volume(&self, part: &CephOsdPart) -> Result<CephOsdVolume> {
        let request = self.request(Method::Get, "/lv-info")?;
        let request = request.with("type", part.as_str());
        let asked = self.ceph.client().fetch(request).await;
        asked.map_err(|error| error.doing(self.at("reading volumes of")))
    }

    /// Lets it hold data.
    ///
    /// Example: see [`CephOsd`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such disk.
    pub async fn take_in(&self) -> Result<()> {
        self.post("/in", &[], "taking in").await
    }

    /// Lets it hold no data: what it holds moves to others.
    ///
    /// Example: see [`CephOsd`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such disk.
    pub async fn take_out(&self) -> Result<()> {
        self.post("/out", &[], "taking out").await
    }

    /// Tells it to compare sizes and attributes with the other copies. It goes on after the call.
    ///
    /// Example: see [`CephOsd`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such disk.
    pub async fn scrub(&self) -> Result<()> {
        self.post("/scrub", &[], "scrubbing").await
    }

    /// Tells it to compare all data with the other copies. It goes on after the call.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::Kind;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let client = Simulator::new(World::lab().with_ceph_cluster()).connect();
    /// let missing = client.node("pve1").ceph().osd(7).deep_scrub().await;
    /// assert_eq!(missing.unwrap_err().kind(), Kind::NotFound);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such disk.
    pub async fn deep_scrub(&self) -> Result<()> {
        self.post("/scrub", &[("deep", true)], "scrubbing").await
    }

    /// Removes it. It must be out and stopped; [`retire`](Self::retire) does all of it. Only `root@pam` with a ticket may do
    /// that.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::ceph::{CephOsdRemoval, CephService, NewCephOsd};
    /// use proxmox_client::{Kind, Removed};
    /// # use proxmox_client::simulator::{DiskSpec, Simulator, World};
    /// # let world = World::lab().with_ceph_cluster().with_disk("pve1", DiskSpec::ssd("/dev/sdb", 1 << 40));
    /// # let root = proxmox_client::Login::new("root@pam", "secret");
    /// # let simulator = Simulator::new(world.with_user("root@pam", "secret"));
    /// # let client = simulator.builder().login(root).build()?;
    /// # let ceph = client.node("pve1").ceph();
    /// # ceph.create_osd(&NewCephOsd::on("/dev/sdb")).await?;
    /// let osd = ceph.osd(0);
    /// let all = CephOsdRemoval::new().with_cleanup();
    /// assert_eq!(osd.remove(&all).await.unwrap_err().kind(), Kind::InUse);
    /// osd.take_out().await?;
    /// ceph.stop(&CephService::osd(0)).await?;
    /// assert_eq!(osd.remove(&all).await?, Removed::Removed);
    /// assert_eq!(osd.remove(&all).await?, Removed::Absent);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::InUse`] while it is in, [`Kind::PowerState`] while it runs, [`Kind::RootOnly`] for others than `root@pam`.
    pub fn remove(&self, with: &CephOsdRemoval) -> TaskCall<Removed> {
        let request = self.request(Method::Delete, "").map(|mut request| {
            if with.cleanup {
                request.params_mut().push_flag("cleanup", true);
            }
            request
        });
        self.ceph.removal(self.at("removing"), request)
    }

    /// Takes it out, waits until its data are elsewhere and Ceph says that it is safe to destroy, stops and removes it.
    /// What was done when the time is over stays done: call it again to go on. Only `root@pam` with a ticket may do that.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// use std::time::Duration;
    /// use proxmox_client::Removed;
    /// use proxmox_client::ceph::{CephOsdRemoval, NewCephOsd};
    /// # use proxmox_client::simulator::{DiskSpec, NodeSpec, Simulator, World};
    /// # let mut world = World::lab().with_user("root@pam", "secret");
    /// # for (at, name) in ["pve1", "pve2", "pve3"].iter().enumerate() {
    /// #     let node = NodeSpec::new(name, 8, 64 << 30).with_address(&format!("192.0.2.{}", 11 + at));
    /// #     world = world.with_node(node);
    /// #     for device in ["/dev/sdb", "/dev/sdc"] {
    /// #         world = world.with_disk(name, DiskSpec::ssd(device, 1 << 40));
    /// #     }
    /// # }
    /// # let world = world.with_ceph_cluster();
    /// # let root = proxmox_client::Login::new("root@pam", "secret");
    /// # let simulator = Simulator::new(world);
    /// # let client = simulator.builder().login(root).build()?;
    /// # let ceph = client.node("pve1").ceph();
    /// # for name in ["pve1", "pve2", "pve3"] {
    /// #     for device in ["/dev/sdb", "/dev/sdc"] {
    /// #         client.node(name).ceph().create_osd(&NewCephOsd::on(device)).await?;
    /// #     }
    /// # }
    /// let all = CephOsdRemoval::new().with_cleanup();
    /// let limit = Duration::from_secs(6 * 3600);
    /// assert_eq!(ceph.osd(0).retire(&all, limit).await?, Removed::Removed);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Deadline`] with what Ceph said last, if the data are not elsewhere in time.
    pub async fn retire(&self, with: &CephOsdRemoval, limit: Duration) -> Result<Removed> {
        let until = Instant::now() + limit;
        match self.take_out().await {
            Err(error) if error.kind() == Kind::NotFound => return Ok(Removed::Absent),
            done => done?,
        }
        let service = CephService::osd(self.id);
        self.wait(until, || async {
            let answer = self.ceph.safety(&service, &CephAction::Destroy).await?;
            Ok(answer.check().err().map(|error| error.message().to_owned()))
        })
        .await?;
        self.ceph.stop(&service).await?;
        self.wait(until, || async {
            let osds = self.ceph.osds().await?;
            let up = osds.disk(self.id).is_some_and(|disk| disk.is_up());
            Ok(up.then(|| "it is still up".to_owned()))
        })
        .await?;
        self.remove(with).await
    }

    /// Looks again and again until nothing stands in the way.
    async fn wait<F>(&self, until: Instant, mut look: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = Result<Option<String>>>,
    {
        let mut pause = Duration::from_secs(1);
        loop {
            let Some(seen) = look().await? else {
                return Ok(());
            };
            if Instant::now() + pause > until {
                let error = Error::new(Kind::Deadline, seen).with_sent(Sent::Answered);
                return Err(error.doing(self.at("waiting to remove")));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }
}
