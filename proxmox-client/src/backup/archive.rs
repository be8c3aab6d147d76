//! Backups on a storage: lists, notes, protection, and which of them go.

use super::of_volume;
use crate::access::Ensured;
use crate::error::Result;
use crate::open::open_enum;
use crate::property::PruneBackups;
use crate::qemu::check_vmid;
use crate::scalar::record;
use crate::storage::{NodeStorage, Volume};
use crate::task::TaskCall;
use crate::wire::{Method, Request};

record! {
    /// `GET /nodes/{node}/storage/{storage}/content/{volume}`.
    pub struct VolumeInfo {
        optional {
            /// Where it lies on the node.
            "path" path: String,
            /// `raw`, `qcow2`, `vma.zst`, …
            "format" format: String,
            /// Size in bytes.
            "size" size: u64,
            /// Bytes in use on the storage.
            "used" used: u64,
            /// Notes of a backup, all lines.
            "notes" notes: String,
            /// Whether a backup is kept from being removed.
            "protected" protected: bool,
        }
    }
}

open_enum! {
    /// What would become of a backup.
    pub enum PruneMark {
        /// It stays.
        Keep = "keep",
        /// It goes.
        Remove = "remove",
        /// It stays whatever the rules say, and counts for none.
        Protected = "protected",
        /// Its name is not one that backups have, so it stays.
        Renamed = "renamed",
    }
}

record! {
    /// What pruning makes of a backup.
    pub struct PruneEntry {
        required {
            /// The backup.
            "volid" volid: String,
            /// What becomes of it.
            "mark" mark: PruneMark,
        }
        optional {
            /// When it was made, in seconds since 1970.
            "ctime" created_at: u64,
            /// `qemu`, `lxc`, `openvz` or `unknown`.
            "type" kind: String,
            /// Guest.
            "vmid" vmid: u32,
        }
    }
}

/// Which backups are looked at, and by which rules.
///
/// Example: see [`NodeStorage::prune_preview`](crate::NodeStorage::prune_preview).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PruneQuery {
    keep: Option<PruneBackups>,
    vmid: Option<u32>,
    kind: Option<&'static str>,
}

impl PruneQuery {
    /// All backups, by the storage's own rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// By these rules instead.
    #[must_use]
    pub fn with_retention(mut self, keep: &PruneBackups) -> Self {
        self.keep = Some(keep.clone());
        self
    }

    /// Only of one guest.
    #[must_use]
    pub fn with_guest(mut self, vmid: u32) -> Self {
        self.vmid = Some(vmid);
        self
    }

    /// Only of machines.
    #[must_use]
    pub fn machines(mut self) -> Self {
        self.kind = Some("qemu");
        self
    }

    /// Only of containers.
    #[must_use]
    pub fn containers(mut self) -> Self {
        self.kind = Some("lxc");
        self
    }

    fn put_into(&self, mut request: Request) -> Result<Request> {
        if let Some(keep) = &self.keep {
            keep.check()?;
            request.params_mut().push("prune-backups", keep.to_string());
        }
        if let Some(vmid) = self.vmid {
            check_vmid(vmid)?;
            request.params_mut().push("vmid", vmid.to_string());
        }
        if let Some(kind) = self.kind {
            request.params_mut().push("type", kind);
        }
        Ok(request)
    }
}

impl NodeStorage {
    /// The backups on it, of one guest or of all.
    ///
    /// Example: see [`set_notes`](Self::set_notes).
    pub async fn backups(&self, vmid: Option<u32>) -> Result<Vec<Volume>> {
        let mut request = self
            .request(Method::Get, "/content", &[])?
            .with("content", "backup");
        if let Some(vmid) = vmid {
            check_vmid(vmid)?;
            request.params_mut().push("vmid", vmid.to_string());
        }
        let found = self.node().client().fetch(request).await;
        found.map_err(|error| error.doing(format!("listing backups on {}", self.name())))
    }

    /// What is known of one volume; of a backup with all lines of its notes.
    ///
    /// Example: see [`set_notes`](Self::set_notes).
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::Kind::NotFound).
    pub async fn volume(&self, volid: &str) -> Result<VolumeInfo> {
        let request = of_volume(Method::Get, self.node(), self.name(), volid)?;
        let found = self.node().client().fetch(request).await;
        found.map_err(|error| error.doing(format!("reading about volume {volid}")))
    }

    /// Makes sure that a backup has these notes; an empty text removes them.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{BackupOptions, Ensured};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// # let vm = node.create_qemu(100, proxmox_client::QemuConfig::new()).await?.qemu;
    /// let backup = node.back_up(100, &BackupOptions::to("local")).await?;
    /// let local = node.storage("local");
    /// local.set_notes(&backup.volid, "Before the upgrade").await?;
    /// local.set_protected(&backup.volid, true).await?;
    /// assert_eq!(local.set_protected(&backup.volid, true).await?, Ensured::Unchanged);
    /// let info = local.volume(&backup.volid).await?;
    /// assert_eq!((info.notes.as_deref(), info.protected), (Some("Before the upgrade"), Some(true)));
    /// assert_eq!(local.backups(Some(100)).await?.len(), 1);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn set_notes(&self, volid: &str, notes: &str) -> Result<Ensured> {
        let have = self.volume(volid).await?.notes.unwrap_or_default();
        self.set_attribute(volid, "notes", notes, have == notes)
            .await
    }

    /// Makes sure that a backup is kept from being removed, or is not any more.
    ///
    /// Example: see [`set_notes`](Self::set_notes).
    pub async fn set_protected(&self, volid: &str, protected: bool) -> Result<Ensured> {
        let have = self.volume(volid).await?.protected.unwrap_or_default();
        let value = if protected { "1" } else { "0" };
        self.set_attribute(volid, "protected", value, have == protected)
            .await
    }

    async fn set_attribute(
        &self,
        volid: &str,
        name: &str,
        value: &str,
        same: bool,
    ) -> Result<Ensured> {
        if same {
            return Ok(Ensured::Unchanged);
        }
        let request = of_volume(Method::Put, self.node(), self.name(), volid)?.with(name, value);
        match self.node().client().request(request).await {
            Ok(_) => Ok(Ensured::Updated(vec![name.to_owned()])),
            Err(error) => Err(error.doing(format!("setting {name} of {volid}"))),
        }
    }

    /// What pruning would do; nothing is removed.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let world = World::lab()
    /// #     .with_volume("local:backup/vzdump-qemu-100-2025_12_30-02_00_00.vma.zst", 1 << 30)
    /// #     .with_volume("local:backup/vzdump-qemu-100-2025_12_31-02_00_00.vma.zst", 1 << 30);
    /// # let client = Simulator::new(world).connect();
    /// use proxmox_client::{PruneMark, PruneQuery, property::PruneBackups};
    /// let keep = PruneBackups::default().with_last(1u32);
    /// let query = PruneQuery::new().with_retention(&keep);
    /// let local = client.node("pve1").storage("local");
    /// let plan = local.prune_preview(&query).await?;
    /// assert_eq!(plan.iter().filter(|entry| entry.mark == PruneMark::Remove).count(), 1);
    /// local.prune(&query).await?;
    /// assert_eq!(local.backups(Some(100)).await?.len(), 1);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn prune_preview(&self, query: &PruneQuery) -> Result<Vec<PruneEntry>> {
        let request = query.put_into(self.request(Method::Get, "/prunebackups", &[])?)?;
        let found = self.node().client().fetch(request).await;
        found.map_err(|error| error.doing(format!("planning what to prune on {}", self.name())))
    }

    /// Removes the backups that the rules do not keep, and gives what the task warned of.
    ///
    /// Example: see [`prune_preview`](Self::prune_preview).
    ///
    /// # Errors
    /// The server's text if the storage has no rules and none are given.
    pub fn prune(&self, query: &PruneQuery) -> TaskCall<Vec<String>> {
        let request = self.request(Method::Delete, "/prunebackups", &[]);
        let request = request.and_then(|request| query.put_into(request));
        let doing = format!("pruning backups on {}", self.name());
        let client = self.node().client().clone();
        TaskCall::new(client, doing, request, |report| report.check())
    }
}
