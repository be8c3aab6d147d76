//! Guests out of backups.

use crate::error::Result;
use crate::guest::GuestConfig;
use crate::node::Node;
use crate::qemu::{Created, QemuConfig, check_vmid};
use crate::task::TaskCall;
use crate::wire::{Method, Request};

/// How a backup is restored.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    storage: Option<String>,
    pool: Option<String>,
    bandwidth: Option<u64>,
    flags: Vec<(&'static str, bool)>,
    config: QemuConfig,
}

impl RestoreOptions {
    /// Each disk to the storage that it came from, under the old addresses, and off.
    pub fn new() -> Self {
        Self::default()
    }

    fn flag(mut self, name: &'static str, on: bool) -> Self {
        self.flags.retain(|(have, _)| *have != name);
        self.flags.push((name, on));
        self
    }

    /// All disks to this storage.
    #[must_use]
    pub fn with_storage(mut self, storage: &str) -> Self {
        self.storage = Some(storage.to_owned());
        self
    }

    /// Into a pool.
    #[must_use]
    pub fn with_pool(mut self, pool: &str) -> Self {
        self.pool = Some(pool.to_owned());
        self
    }

    /// Over a guest of that id that is there and off: its disks that are in the backup are lost.
    #[must_use]
    pub fn with_force(self, force: bool) -> Self {
        self.flag("force", force)
    }

    /// With new MAC addresses and a new UUID, so that it can live beside the one that was backed up.
    #[must_use]
    pub fn with_unique(self, unique: bool) -> Self {
        self.flag("unique", unique)
    }

    /// Starts it afterwards.
    #[must_use]
    pub fn with_start(self, start: bool) -> Self {
        self.flag("start", start)
    }

    /// Starts it at once and fetches the disks while it runs. Only from a Backup Server.
    #[must_use]
    pub fn with_live_restore(self, live: bool) -> Self {
        self.flag("live-restore", live)
    }

    /// Limit in KiB/s instead of that of the storage; 0 is none.
    #[must_use]
    pub fn with_bandwidth_limit(mut self, kib_per_second: u64) -> Self {
        self.bandwidth = Some(kib_per_second);
        self
    }

    /// Settings that take the place of those in the backup; no drives.
    #[must_use]
    pub fn with_config(mut self, config: QemuConfig) -> Self {
        self.config = config;
        self
    }

    fn put_into(self, mut request: Request) -> Request {
        let texts = [
            ("storage", self.storage),
            ("pool", self.pool),
            ("bwlimit", self.bandwidth.map(|limit| limit.to_string())),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                request.params_mut().push(name, value);
            }
        }
        for (name, on) in self.flags {
            request.params_mut().push_flag(name, on);
        }
        request
    }
}

impl Node {
    /// Makes a virtual machine out of a backup (`local:backup/vzdump-qemu-100-….vma.zst`), under its own id or another.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::{QemuConfig, simulator::{Simulator, World}};
    /// # let client = Simulator::new(World::lab()).connect();
    /// use proxmox_client::{BackupOptions, RestoreOptions};
    /// let node = client.node("pve1");
    /// node.create_qemu(100, QemuConfig::new().with_name("db")).await?;
    /// let backup = node.back_up(100, &BackupOptions::to("local")).await?;
    /// let options = RestoreOptions::new().with_unique(true);
    /// let copy = node.restore_qemu(101, &backup.volid, options).await?;
    /// assert_eq!(copy.qemu.config().await?.name().as_deref(), Some("db"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`](crate::Kind::AlreadyExists) if the id is taken, unless forced;
    /// [`Kind::NotFound`](crate::Kind::NotFound) if there is no such backup or storage;
    /// [`Kind::PowerState`](crate::Kind::PowerState) if a machine that would be replaced runs. A restore that fails
    /// leaves what it made so far.
    pub fn restore_qemu(
        &self,
        vmid: u32,
        archive: &str,
        options: RestoreOptions,
    ) -> TaskCall<Created> {
        let qemu = self.qemu(vmid);
        let doing = format!("restoring VM {vmid} on {} from {archive}", self.name());
        let request = self.restore_request(vmid, archive, options);
        TaskCall::new(self.client().clone(), doing, request, move |report| {
            let upid = report.upid.clone();
            report.check().map(|warnings| Created {
                qemu,
                upid,
                warnings,
            })
        })
    }

    fn restore_request(
        &self,
        vmid: u32,
        archive: &str,
        mut options: RestoreOptions,
    ) -> Result<Request> {
        check_vmid(vmid)?;
        let config = std::mem::take(&mut options.config);
        config.check_values()?;
        let mut request = self
            .request(Method::Post, "/qemu")?
            .with("vmid", vmid.to_string())
            .with("archive", archive);
        request = options.put_into(request);
        request.params_mut().extend_values(config.values());
        Ok(request)
    }
}
