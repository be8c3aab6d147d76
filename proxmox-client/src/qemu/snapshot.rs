//! Snapshots, clones and templates.

use crate::error::Result;
use crate::guest::{self, Guest};
use crate::qemu::create::id_taken;
use crate::qemu::{Created, Qemu, check_vmid};
use crate::scalar::record;
use crate::size::Size;
use crate::task::TaskCall;
use crate::wire::{Method, Request};

record! {
    /// An entry of `GET /nodes/{node}/qemu/{vmid}/snapshot`; `current` stands for the present state.
    pub struct Snapshot {
        required {
            /// Name.
            "name" name: String,
        }
        optional {
            /// Description.
            "description" description: String,
            /// When it was taken, in seconds since 1970.
            "snaptime" taken_at: u64,
            /// The snapshot it is based on.
            "parent" parent: String,
            /// Whether it holds memory.
            "vmstate" with_memory: bool,
            /// For `current`: whether the machine runs.
            "running" running: bool,
        }
    }
}

/// How to clone.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CloneOptions {
    name: Option<String>,
    description: Option<String>,
    full: Option<bool>,
    storage: Option<String>,
    target: Option<String>,
    snapshot: Option<String>,
    pool: Option<String>,
    limit: Option<Size>,
}

impl CloneOptions {
    /// A linked clone of a template, a full clone of anything else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the clone.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Describes the clone; without it, it has the description of what it is a clone of.
    #[must_use]
    pub fn with_description(mut self, text: &str) -> Self {
        self.description = Some(text.to_owned());
        self
    }

    pub(crate) fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    pub(crate) fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// Copies the disks (true) or bases them on the template's (false).
    #[must_use]
    pub fn with_full(mut self, full: bool) -> Self {
        self.full = Some(full);
        self
    }

    /// Storage of a full clone's disks.
    #[must_use]
    pub fn with_storage(mut self, storage: &str) -> Self {
        self.storage = Some(storage.to_owned());
        self
    }

    /// Node of the clone; its disks must be on shared storage.
    #[must_use]
    pub fn with_target(mut self, node: &str) -> Self {
        self.target = Some(node.to_owned());
        self
    }

    /// Clones this snapshot instead of the present state.
    #[must_use]
    pub fn with_snapshot(mut self, name: &str) -> Self {
        self.snapshot = Some(name.to_owned());
        self
    }

    /// Puts the clone into a pool.
    #[must_use]
    pub fn with_pool(mut self, id: &str) -> Self {
        self.pool = Some(id.to_owned());
        self
    }

    /// What a full clone copies in a second.
    #[must_use]
    pub fn with_limit(mut self, per_second: Size) -> Self {
        self.limit = Some(per_second);
        self
    }

    /// Adds the parameters of a clone; `name` is what the kind of guest calls a clone's name.
    pub(crate) fn put_into(&self, request: Request, vmid: u32, name: &str) -> Result<Request> {
        check_vmid(vmid)?;
        let mut request = request.with("newid", vmid.to_string());
        let texts = [
            (name, &self.name),
            ("storage", &self.storage),
            ("target", &self.target),
            ("snapname", &self.snapshot),
            ("description", &self.description),
            ("pool", &self.pool),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                request.params_mut().push(key, value.as_str());
            }
        }
        if let Some(full) = self.full {
            request.params_mut().push_flag("full", full);
        }
        request.params_mut().push_limit(self.limit);
        Ok(request)
    }
}

impl Qemu {
    /// The snapshots, with `current` among them.
    ///
    /// Example: see [`snapshot`](Self::snapshot).
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>> {
        self.client
            .fetch(self.request(Method::Get, "/snapshot")?)
            .await
    }

    fn plain(&self, what: &str, request: Result<Request>) -> TaskCall<()> {
        guest::plain(self, what, request)
    }

    fn named(&self, method: Method, name: &str, below: &str) -> Result<Request> {
        self.call(method, &format!("/snapshot/{{name}}{below}"), Some(name))
    }

    /// Takes a snapshot of the disks.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.snapshot("before", "Before the upgrade").await?;
    /// let taken = vm.snapshots().await?;
    /// let before = taken.iter().find(|snapshot| snapshot.name == "before").unwrap();
    /// assert_eq!(before.description.as_deref(), Some("Before the upgrade"));
    /// vm.ensure_config(&QemuConfig::new().with_name("upgraded")).await?;
    /// vm.rollback("before").await?;
    /// assert_ne!(vm.config().await?.name().as_deref(), Some("upgraded"));
    /// vm.delete_snapshot("before").await?;
    /// assert_eq!(vm.snapshots().await?.len(), 1, "the present state");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// A task failure if a disk's format or storage cannot.
    pub fn snapshot(&self, name: &str, description: &str) -> TaskCall<()> {
        let request = self.request(Method::Post, "/snapshot").map(|request| {
            let request = request.with("snapname", name);
            if description.is_empty() {
                request
            } else {
                request.with("description", description)
            }
        });
        self.plain("taking a snapshot of", request)
    }

    /// Goes back to a snapshot.
    ///
    /// Example: see [`snapshot`](Self::snapshot).
    pub fn rollback(&self, name: &str) -> TaskCall<()> {
        self.plain("rolling back", self.named(Method::Post, name, "/rollback"))
    }

    /// Removes a snapshot.
    ///
    /// Example: see [`snapshot`](Self::snapshot).
    pub fn delete_snapshot(&self, name: &str) -> TaskCall<()> {
        self.plain(
            "removing a snapshot of",
            self.named(Method::Delete, name, ""),
        )
    }

    /// Makes it a template, for good.
    ///
    /// Example: see [`clone_to`](Self::clone_to).
    pub fn make_template(&self) -> TaskCall<()> {
        self.plain(
            "making a template of",
            self.request(Method::Post, "/template"),
        )
    }

    /// Clones it under a given id. MAC addresses and UUIDs are made anew.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::CloneOptions;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// vm.make_template().await?;
    /// assert!(vm.config().await?.is_template());
    /// let clone = vm.clone_to(101, CloneOptions::new().with_name("web-1")).await?.qemu;
    /// assert_eq!(clone.config().await?.name().as_deref(), Some("web-1"));
    /// assert!(vm.clone_to(101, CloneOptions::new()).await.unwrap_err().is_already_exists());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`](crate::Kind::AlreadyExists) if the id is taken, also while someone else is
    /// making a machine of that id.
    pub fn clone_to(&self, vmid: u32, options: CloneOptions) -> TaskCall<Created> {
        let request = self
            .request(Method::Post, "/clone")
            .and_then(|request| options.put_into(request, vmid, Self::NAME));
        let mut made = self.clone();
        made.vmid = vmid;
        if let Some(target) = options.target() {
            target.clone_into(&mut made.node);
        }
        TaskCall::new(
            self.client.clone(),
            self.doing("cloning"),
            request,
            move |report| {
                let upid = report.upid.clone();
                report
                    .check()
                    .map_err(|error| id_taken(error, Self::NOUN, vmid))
                    .map(|warnings| Created {
                        qemu: made,
                        upid,
                        warnings,
                    })
            },
        )
    }
}
