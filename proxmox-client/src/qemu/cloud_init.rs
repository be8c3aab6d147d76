//! What cloud-init is given: looking at it, and writing its drive anew.

use std::fmt;

use serde_json::Value;

use crate::error::Result;
use crate::qemu::Qemu;
use crate::scalar::record;
use crate::wire::Method;

record! {
    /// An entry of `GET /nodes/{node}/qemu/{vmid}/cloudinit`: a key, as the drive has it and as it would have it.
    pub struct CloudInitEntry {
        required {
            /// Configuration key.
            "key" key: String,
        }
        optional {
            /// What the present drive was made from; a password is masked.
            "value" value: Value,
            /// What a drive made now would be made from, where that differs.
            "pending" pending: Value,
            /// Whether a drive made now would be without it.
            "delete" delete: bool,
        }
    }
}

impl CloudInitEntry {
    /// Whether a drive made now would differ in this key.
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some() || self.delete == Some(true)
    }
}

/// A part of what the server writes for cloud-init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloudInitPart {
    /// User data: names, users, keys.
    User,
    /// Network configuration.
    Network,
    /// Meta data: the instance's id.
    Meta,
}

impl fmt::Display for CloudInitPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Network => "network",
            Self::Meta => "meta",
        })
    }
}

impl Qemu {
    /// What its cloud-init drive was made from, and what waits for the drive to be made anew.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let config = QemuConfig::new().with("ide2", "local:cloudinit").with_cloud_init_user("ubuntu");
    /// let vm = node.create_qemu(100, config).await?.qemu;
    /// vm.ensure_config(&QemuConfig::new().with_cloud_init_user("debian")).await?;
    /// let waiting = |entries: Vec<proxmox_client::CloudInitEntry>| {
    ///     entries.into_iter().find(|entry| entry.is_waiting()).map(|entry| entry.key)
    /// };
    /// assert_eq!(waiting(vm.cloud_init().await?).as_deref(), Some("ciuser"));
    /// vm.regenerate_cloud_init().await?;
    /// assert_eq!(waiting(vm.cloud_init().await?), None);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cloud_init(&self) -> Result<Vec<CloudInitEntry>> {
        let request = self.request(Method::Get, "/cloudinit")?;
        let read = self.client.fetch(request).await;
        read.map_err(|error| error.doing(self.doing("reading cloud-init of")))
    }

    /// What the server writes for cloud-init, from the configuration as it is now. User data holds the password as it
    /// was given.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::{CloudInitPart, QemuConfig};
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let config = QemuConfig::new().with("ide2", "local:cloudinit").with_cloud_init_user("ubuntu");
    /// let vm = node.create_qemu(100, config).await?.qemu;
    /// assert!(vm.cloud_init_dump(CloudInitPart::User).await?.contains("user: ubuntu\n"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn cloud_init_dump(&self, part: CloudInitPart) -> Result<String> {
        let request = self.request(Method::Get, "/cloudinit/dump")?;
        let request = request.with("type", part.to_string());
        let read = self.client.fetch(request).await;
        read.map_err(|error| error.doing(self.doing("reading cloud-init of")))
    }

    /// Writes its cloud-init drive anew. The guest reads it at its next boot; a start does this by itself.
    ///
    /// Example: see [`cloud_init`](Self::cloud_init).
    ///
    /// # Errors
    /// [`Kind::Locked`](crate::Kind::Locked), or the server's reason.
    pub async fn regenerate_cloud_init(&self) -> Result<()> {
        let request = self.request(Method::Put, "/cloudinit")?;
        let _turn = self.client.turn_to_change(&request).await;
        let done = self.client.request(request).await;
        done.map(|_| ())
            .map_err(|error| error.doing(self.doing("writing cloud-init of")))
    }
}
