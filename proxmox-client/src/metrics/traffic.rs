//! What the cards of running guests carried.

use crate::error::Result;
use crate::node::Node;
use crate::scalar::record;
use crate::wire::Method;

record! {
    /// A card of a running guest: `GET /nodes/{node}/netstat`.
    pub struct CardTraffic {
        required {
            /// Guest.
            "vmid" vmid: u32,
            /// Card, such as `net0`.
            "dev" card: String,
        }
        optional {
            /// Bytes that the guest received since it began.
            "in" received: u64,
            /// Bytes that the guest sent since it began.
            "out" sent: u64,
        }
    }
}

impl Node {
    /// What the cards of the guests that run on this node carried.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let config = QemuConfig::new().with("net0", "virtio,bridge=vmbr0");
    /// node.create_qemu(100, config).await?.qemu.start().await?;
    /// let traffic = node.traffic().await?;
    /// assert_eq!((traffic[0].vmid, traffic[0].card.as_str()), (100, "net0"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub async fn traffic(&self) -> Result<Vec<CardTraffic>> {
        let request = self.request(Method::Get, "/netstat")?;
        self.client().fetch(request).await
    }
}
