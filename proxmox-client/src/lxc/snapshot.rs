//! Snapshots, clones and templates.

use crate::error::{Error, Kind, Result};
use crate::guest::{self, Guest};
use crate::lxc::create::created;
use crate::lxc::{Lxc, LxcConfig, LxcCreated};
use crate::qemu::{CloneOptions, Snapshot, id_taken};
use crate::task::{TaskCall, TaskEntry};
use crate::wire::{Method, Request};

impl Lxc {
    /// The snapshots, with `current` among them.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// dns.snapshot("clean", "Before the upgrade").await?;
    /// dns.describe_snapshot("clean", "Before Debian 14").await?;
    /// let snapshots = dns.snapshots().await?;
    /// let clean = snapshots.iter().find(|snapshot| snapshot.name == "clean").unwrap();
    /// assert_eq!(clean.description.as_deref().map(str::trim), Some("Before Debian 14"));
    /// assert!(dns.snapshot_config("clean").await?.rootfs().is_some());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let request = self.request(Method::Get, "/snapshot")?;
        let doing = |error: Error| error.doing(self.doing("reading the snapshots of"));
        self.client.fetch(request).await.map_err(doing)
    }

    fn of_snapshot(&self, method: Method, name: &str, below: &str) -> Result<Request> {
        self.call(
            method,
            &format!("/snapshot/{{snapname}}{below}"),
            Some(name),
        )
    }

    /// The configuration that a snapshot holds.
    ///
    /// Example: see [`snapshots`](Self::snapshots).
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such snapshot.
    pub async fn snapshot_config(&self, name: &str) -> Result<LxcConfig> {
        let request = self.of_snapshot(Method::Get, name, "/config")?;
        let doing = |error: Error| error.doing(self.doing("reading a snapshot of"));
        self.client.fetch(request).await.map_err(doing)
    }

    /// Changes a snapshot's description.
    ///
    /// Example: see [`snapshots`](Self::snapshots).
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such snapshot.
    pub async fn describe_snapshot(&self, name: &str, description: &str) -> Result<()> {
        let request = self.of_snapshot(Method::Put, name, "/config")?;
        let request = request.with("description", description);
        let _turn = self.client.turn_to_change(&request).await;
        let doing = |error: Error| error.doing(self.doing("describing a snapshot of"));
        self.client.request(request).await.map_err(doing)?;
        Ok(())
    }

    /// Takes a snapshot of its volumes, also while it runs.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::LxcConfig;
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let dns = client.node("pve1").lxc(200);
    /// dns.snapshot("clean", "before the upgrade").await?;
    /// dns.ensure_tags(&["broken"]).await?;
    /// dns.rollback("clean").await?;
    /// assert!(dns.config().await?.tags().is_empty());
    /// dns.delete_snapshot("clean").await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// A task failure if a volume's storage cannot, or if it has mount points that are not volumes.
    pub fn snapshot(&self, name: &str, description: &str) -> TaskCall<()> {
        let request = self.request(Method::Post, "/snapshot").map(|request| {
            let request = request.with("snapname", name);
            if description.is_empty() {
                request
            } else {
                request.with("description", description)
            }
        });
        guest::plain(self, "taking a snapshot of", request)
    }

    /// Goes back to a snapshot; a container that runs is stopped.
    ///
    /// Example: see [`snapshot`](Self::snapshot).
    pub fn rollback(&self, name: &str) -> TaskCall<()> {
        let request = self.of_snapshot(Method::Post, name, "/rollback");
        guest::plain(self, "rolling back", request)
    }

    /// Goes back to a snapshot and starts it.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::LxcConfig;
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let node = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect().node("pve1");
    /// let dns = node.lxc(200);
    /// dns.snapshot("clean", "").await?;
    /// dns.rollback_and_start("clean").await?;
    /// assert!(dns.status().await?.is_running());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn rollback_and_start(&self, name: &str) -> TaskCall<()> {
        let request = self.of_snapshot(Method::Post, name, "/rollback");
        let request = request.map(|request| request.with_flag("start", true));
        guest::plain(self, "rolling back", request)
    }

    /// Removes a snapshot.
    ///
    /// Example: see [`snapshot`](Self::snapshot).
    pub fn delete_snapshot(&self, name: &str) -> TaskCall<()> {
        let request = self.of_snapshot(Method::Delete, name, "");
        guest::plain(self, "removing a snapshot of", request)
    }

    /// Makes it a template, for good. It must be off and have no snapshots.
    ///
    /// The server answers before the work is done, and without naming its task: the task is looked up and waited for.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::{CloneOptions, LxcConfig};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let base = client.node("pve1").lxc(200);
    /// base.make_template().await?;
    /// let made = base.clone_to(201, CloneOptions::new()).await?.lxc;
    /// let volume = made.config().await?.rootfs().unwrap()?.volume();
    /// assert_eq!(volume.as_deref(), Some("local-lvm:base-200-disk-0/vm-201-disk-0"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::PowerState`] if it runs or is a template, [`Kind::InUse`] if it has snapshots.
    pub async fn make_template(&self) -> Result<()> {
        let doing = || self.doing("making a template of");
        let request = self.request(Method::Post, "/template")?;
        let _turn = self.client.turn_for_task(&request).await;
        let started = self.client.request(request).await;
        started.map_err(|error| error.doing(doing()))?;
        let list = Request::new(Method::Get, "/nodes/{node}/tasks", &[&self.node])
            .with("vmid", self.vmid.to_string())
            .with("typefilter", "vztemplate")
            .with("source", "all")
            .with("limit", "1");
        let tasks: Vec<TaskEntry> = self.client.fetch(list).await?;
        let Some(task) = tasks.first() else {
            let text = "the task that makes the template is not listed";
            return Err(Error::new(Kind::TaskUnknown, text).doing(doing()));
        };
        let done = self.client.task(task.upid.parse()?).await;
        done.map_err(|error| error.doing(doing()))?;
        Ok(())
    }

    /// Clones it under a given id. MAC addresses are made anew; the host name stays unless `options` name another one.
    ///
    /// A container that runs can be cloned from a snapshot only.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # use proxmox_client::{CloneOptions, LxcConfig};
    /// # let ct = LxcConfig::new().with("rootfs", "local-lvm:vm-200-disk-0,size=4G");
    /// # let client = Simulator::new(World::lab().with_container("pve1", 200, &ct)).connect();
    /// let dns = client.node("pve1").lxc(200);
    /// let twin = dns.clone_to(201, CloneOptions::new().with_name("dns-2")).await?.lxc;
    /// assert_eq!(twin.config().await?.hostname().as_deref(), Some("dns-2"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if the id is taken, [`Kind::PowerState`] while it runs.
    pub fn clone_to(&self, vmid: u32, options: CloneOptions) -> TaskCall<LxcCreated> {
        let request = self
            .request(Method::Post, "/clone")
            .and_then(|request| options.put_into(request, vmid, Self::NAME));
        let mut made = self.clone();
        made.vmid = vmid;
        if let Some(target) = options.target() {
            target.clone_into(&mut made.node);
        }
        let taken = move |error: Error| id_taken(error, Lxc::NOUN, vmid);
        guest::tasked(self, "cloning", request, move |report| {
            created(made, report).map_err(taken)
        })
        .or_refused(move |error| Err(taken(error)))
    }
}
