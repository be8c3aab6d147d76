//! Replication: disks of guests that are copied to another node from time to time.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::access::{Ensured, text};
use crate::client::Client;
use crate::entry::{Entry, remove};
use crate::error::{Error, Kind, Result};
use crate::node::Node;
use crate::qemu::{Removed, check_vmid};
use crate::scalar::{Field, Raw, record};
use crate::setting::Settings;
use crate::task::LogLine;
use crate::wire::{Method, Request};

/// A job's identifier: the guest's id and a number, `100-0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct ReplicationId {
    /// Guest.
    pub vmid: u32,
    /// Number of the guest's job.
    pub number: u32,
}

impl ReplicationId {
    /// The identifier of a guest's job.
    pub fn new(vmid: u32, number: u32) -> Self {
        Self { vmid, number }
    }
}

impl fmt::Display for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.vmid, self.number)
    }
}

impl FromStr for ReplicationId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| -> Option<u32> {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits)
        };
        let read = text
            .split_once('-')
            .and_then(|(vmid, job)| Some(Self::new(number(vmid)?, number(job)?)))
            .filter(|id| check_vmid(id.vmid).is_ok());
        read.ok_or_else(|| {
            Error::invalid(format!(
                "`{}` is not a replication job's identifier, such as 100-0",
                text.escape_debug()
            ))
        })
    }
}

impl Field for ReplicationId {
    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        match raw {
            Raw::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
    fn to_value(&self) -> Value {
        self.to_string().into()
    }
}

record! {
    /// A replication job: `GET /cluster/replication`.
    pub struct ReplicationJob {
        required {
            /// Identifier.
            "id" id: ReplicationId,
        }
        optional {
            /// Kind; `local` is to a node of the same cluster.
            "type" kind: String,
            /// Guest.
            "guest" vmid: u32,
            /// Node that the guest is on.
            "source" source: String,
            /// Node that it is copied to.
            "target" target: String,
            /// When it runs, as a calendar event. Default every 15 minutes.
            "schedule" schedule: String,
            /// Limit in megabytes per second.
            "rate" rate: f64,
            /// Whether it is off.
            "disable" disabled: bool,
            /// Comment.
            "comment" comment: String,
            /// Marked for removal: `local` (its snapshots go) or `full` (the copy too). It goes in its next run.
            "remove_job" removal: String,
            /// Digest of all jobs.
            "digest" digest: String,
        }
    }
}

record! {
    /// How a job goes: `GET /nodes/{node}/replication`.
    pub struct ReplicationStatus {
        required {
            /// Identifier.
            "id" id: ReplicationId,
        }
        optional {
            /// Guest.
            "guest" vmid: u32,
            /// Node that it is copied to.
            "target" target: String,
            /// End of the last copy that succeeded, in seconds since 1970; 0 if none did yet.
            "last_sync" last_sync: u64,
            /// Start of the last run, in seconds since 1970.
            "last_try" last_try: u64,
            /// Start of the next run, in seconds since 1970; 0 if none is planned.
            "next_sync" next_sync: u64,
            /// Runs that failed since the last that succeeded.
            "fail_count" failures: u64,
            /// Why the last run failed.
            "error" error: String,
            /// How long the last run took, in seconds.
            "duration" duration: f64,
            /// Process id, while it runs.
            "pid" pid: u64,
            /// Whether it is off.
            "disable" disabled: bool,
        }
    }
}

impl ReplicationStatus {
    /// Whether there is a copy, and the last run succeeded.
    pub fn is_synced(&self) -> bool {
        self.last_sync.unwrap_or(0) > 0 && self.failures.unwrap_or(0) == 0
    }
}

/// Settings of a job. What is not set is left alone.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReplicationSettings(Settings);

impl ReplicationSettings {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// When it runs, as a calendar event. Default `*/15`, every 15 minutes.
    #[must_use]
    pub fn with_schedule(mut self, schedule: &str) -> Self {
        self.0.text("schedule", schedule);
        self
    }

    /// Limit in megabytes per second, 1 at least.
    #[must_use]
    pub fn with_rate(mut self, megabytes_per_second: f64) -> Self {
        self.0.number("rate", megabytes_per_second);
        self
    }

    /// Whether it runs.
    #[must_use]
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.0.flag("disable", !enabled, false);
        self
    }

    /// Comment.
    #[must_use]
    pub fn with_comment(mut self, text: &str) -> Self {
        self.0.text("comment", text);
        self
    }
}

/// What becomes of the copy when a job is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplicationRemoval {
    /// Snapshots and the copy go; the job itself goes in its next run, within a minute or so.
    Full,
    /// The copy stays; snapshots go, and the job in its next run.
    KeepCopy,
    /// Only the job goes, at once; snapshots and copy are left as they are.
    Forget,
}

/// A replication job by its identifier.
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
/// # use proxmox_client::simulator::{NodeSpec, Simulator, StorageSpec, World};
/// # use proxmox_client::{QemuConfig, property::Drive};
/// use proxmox_client::{Ensured, ReplicationId, ReplicationRemoval, ReplicationSettings};
/// # let tank = StorageSpec::lvm_thin("tank", 1 << 40).with_kind("zfspool");
/// # let world = World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30)).with_storage(tank);
/// # let client = Simulator::new(world).connect();
/// # let config = QemuConfig::new().with_drive("scsi0", Drive::allocate("tank", 1));
/// # client.node("pve1").create_qemu(100, config).await?;
/// let job = client.replication(ReplicationId::new(100, 0));
/// let often = ReplicationSettings::new().with_schedule("*/5");
/// assert_eq!(job.ensure("pve2", &often).await?, Ensured::Created);
/// assert_eq!(job.ensure("pve2", &often).await?, Ensured::Unchanged);
/// assert_eq!(job.get().await?.unwrap().target.as_deref(), Some("pve2"));
/// assert_eq!(client.replication_jobs().await?.len(), 1);
/// job.delete(ReplicationRemoval::Full).await?;
/// assert!(job.get().await?.unwrap().removal.is_some(), "its next run removes it");
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Replication {
    client: Client,
    id: ReplicationId,
}

impl Client {
    /// All replication jobs.
    ///
    /// Example: see [`Replication`].
    pub async fn replication_jobs(&self) -> Result<Vec<ReplicationJob>> {
        self.fetch(Request::new(Method::Get, "/cluster/replication", &[]))
            .await
    }

    /// A replication job.
    pub fn replication(&self, id: ReplicationId) -> Replication {
        Replication {
            client: self.clone(),
            id,
        }
    }
}

impl Replication {
    /// Its identifier.
    pub fn id(&self) -> ReplicationId {
        self.id
    }

    fn what(&self) -> String {
        format!("replication job {}", self.id)
    }

    fn request(&self, method: Method) -> Request {
        Request::new(method, "/cluster/replication/{id}", &[&self.id.to_string()])
    }

    fn entry(&self, target: &str) -> Entry<'_> {
        Entry {
            client: &self.client,
            read: self.request(Method::Get),
            create: Request::new(Method::Post, "/cluster/replication", &[])
                .with("id", self.id.to_string())
                .with("type", "local")
                .with("target", target),
            change: self.request(Method::Put),
            what: self.what(),
        }
    }

    /// What it does; none if there is no such job.
    ///
    /// Example: see [`Replication`].
    pub async fn get(&self) -> Result<Option<ReplicationJob>> {
        let Some(found) = self.entry("").read().await? else {
            return Ok(None);
        };
        serde_json::from_value(found.into())
            .map(Some)
            .map_err(|error| {
                let text = "the job does not have the promised form";
                Error::new(Kind::Decode, text)
                    .with_source(error)
                    .doing(self.what())
            })
    }

    /// Makes sure that the guest is copied to a node. All its disks must be on local ZFS, under the same storage name on
    /// both nodes.
    ///
    /// Example: see [`Replication`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if the guest or the node does not exist; [`Kind::AlreadyExists`] if the job has another target,
    /// which cannot be changed, or the guest has another job to this one; the server's text if a disk cannot be copied.
    pub async fn ensure(&self, target: &str, settings: &ReplicationSettings) -> Result<Ensured> {
        check_vmid(self.id.vmid)?;
        crate::node::check_name(target)?;
        let entry = self.entry(target);
        if let Some(have) = entry.read().await? {
            let there = have.get("target").map(text).unwrap_or_default();
            if there != target {
                let why = format!("{} copies to {there}, which cannot be changed", self.what());
                let doing = format!("making {}", self.what());
                return Err(Error::new(Kind::AlreadyExists, why).doing(doing));
            }
        }
        let (ensured, _) = entry.ensure(&settings.0).await?;
        Ok(ensured)
    }

    /// Removes it.
    ///
    /// Example: see [`Replication`].
    pub async fn delete(&self, how: ReplicationRemoval) -> Result<Removed> {
        let request = self.request(Method::Delete);
        let request = match how {
            ReplicationRemoval::Full => request,
            ReplicationRemoval::KeepCopy => request.with_flag("keep", true),
            // The server forgets what is not there without a word.
            ReplicationRemoval::Forget if self.get().await?.is_none() => {
                return Ok(Removed::Absent);
            }
            ReplicationRemoval::Forget => request.with_flag("force", true),
        };
        remove(&self.client, request, &self.what()).await
    }
}

impl Node {
    fn of_replication(&self, method: Method, id: ReplicationId, below: &str) -> Result<Request> {
        crate::node::check_name(self.name())?;
        let template = format!("/nodes/{{node}}/replication/{{id}}/{below}");
        Ok(Request::new(
            method,
            &template,
            &[self.name(), &id.to_string()],
        ))
    }

    /// How the replication jobs of this node's guests go, or those of one guest.
    ///
    /// Example: see [`run_replication`](Self::run_replication).
    pub async fn replications(&self, vmid: Option<u32>) -> Result<Vec<ReplicationStatus>> {
        let mut request = self.request(Method::Get, "/replication")?;
        if let Some(vmid) = vmid {
            check_vmid(vmid)?;
            request.params_mut().push("guest", vmid.to_string());
        }
        self.client().fetch(request).await
    }

    /// How a replication job of a guest of this node goes.
    ///
    /// Example: see [`run_replication`](Self::run_replication).
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such job, or its guest is on another node.
    pub async fn replication_status(&self, id: ReplicationId) -> Result<ReplicationStatus> {
        let found = self
            .client()
            .fetch(self.of_replication(Method::Get, id, "status")?)
            .await;
        found.map_err(|error| error.doing(format!("reading the state of replication job {id}")))
    }

    /// What the last run of a job said.
    ///
    /// Example: see [`run_replication`](Self::run_replication).
    pub async fn replication_log(&self, id: ReplicationId) -> Result<Vec<LogLine>> {
        let request = self
            .of_replication(Method::Get, id, "log")?
            .with("limit", "0");
        let found = self.client().fetch(request).await;
        found.map_err(|error| error.doing(format!("reading the log of replication job {id}")))
    }

    /// Lets a job run as soon as possible: within a minute, if it has run before.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{NodeSpec, Simulator, StorageSpec, World};
    /// # use proxmox_client::{QemuConfig, property::Drive};
    /// use proxmox_client::{ReplicationId, ReplicationSettings};
    /// # let tank = StorageSpec::lvm_thin("tank", 1 << 40).with_kind("zfspool");
    /// # let world = World::lab().with_node(NodeSpec::new("pve2", 8, 32 << 30)).with_storage(tank);
    /// # let client = Simulator::new(world).connect();
    /// # let config = QemuConfig::new().with_drive("scsi0", Drive::allocate("tank", 1));
    /// # client.node("pve1").create_qemu(100, config).await?;
    /// let (node, id) = (client.node("pve1"), ReplicationId::new(100, 0));
    /// client.replication(id).ensure("pve2", &ReplicationSettings::new()).await?;
    /// assert_eq!(node.replications(Some(100)).await?.len(), 1);
    /// node.run_replication(id).await?;
    /// while !node.replication_status(id).await?.is_synced() {
    ///     tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    /// }
    /// let log = node.replication_log(id).await?;
    /// assert!(log[0].text.ends_with("100-0: start replication job"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn run_replication(&self, id: ReplicationId) -> Result<()> {
        let request = self.of_replication(Method::Post, id, "schedule_now")?;
        let done = self.client().request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(format!("running replication job {id}")))
    }
}
