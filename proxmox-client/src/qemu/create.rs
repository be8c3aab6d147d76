//! Making virtual machines.

use crate::error::{Error, Result};
use crate::guest::{Guest, GuestConfig};
use crate::node::Node;
use crate::qemu::{Qemu, QemuConfig, check_vmid};
use crate::task::TaskCall;
use crate::upid::Upid;
use crate::wire::{Method, Request};

/// A machine that was made by this call and no other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Created {
    /// The machine.
    pub qemu: Qemu,
    /// The task that made it: the proof that it is ours.
    pub upid: Option<Upid>,
    /// What the task warned of.
    pub warnings: Vec<String>,
}

impl Node {
    /// Makes a virtual machine under a given id.
    ///
    /// The id belongs to whoever creates first; for an id out of a range see
    /// [`Client::vmid_pool`](crate::Client::vmid_pool).
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::property::{Drive, Nic};
    /// use proxmox_client::QemuConfig;
    /// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
    /// let config = QemuConfig::new()
    ///     .with_name("web")
    ///     .with_memory_mib(2048)
    ///     .with_drive("scsi0", Drive::allocate("local-lvm", 8))
    ///     .with_net(0, Nic::virtio("vmbr0"));
    /// let vm = node.create_qemu(100, config).await?.qemu;
    /// assert!(vm.config().await?.net(0).unwrap()?.mac().is_some(), "the server chose one");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`](crate::Kind::AlreadyExists) if the id is taken, wherever in the cluster;
    /// [`Kind::Parameter`](crate::Kind::Parameter) with the fields that the server refuses.
    pub fn create_qemu(&self, vmid: u32, config: QemuConfig) -> TaskCall<Created> {
        let qemu = self.qemu(vmid);
        let request = self.create_request(vmid, config);
        let doing = format!("creating VM {vmid} on {}", self.name());
        TaskCall::new(self.client().clone(), doing, request, move |report| {
            let upid = report.upid.clone();
            report
                .check()
                .map_err(|error| id_taken(error, Qemu::NOUN, vmid))
                .map(|warnings| Created {
                    qemu,
                    upid,
                    warnings,
                })
        })
        .or_refused(move |error| Err(id_taken(error, Qemu::NOUN, vmid)))
    }

    fn create_request(&self, vmid: u32, config: QemuConfig) -> Result<Request> {
        check_vmid(vmid)?;
        config.check_values()?;
        let mut request = self
            .request(Method::Post, "/qemu")?
            .with("vmid", vmid.to_string());
        request.params_mut().extend_values(config.values());
        Ok(request)
    }
}

/// While someone else makes a guest of that id, the new id's lock is what is told.
pub(crate) fn id_taken(error: Error, noun: &str, vmid: u32) -> Error {
    let locks = [
        format!("lock-{vmid}.conf'"),
        format!("pve-config-{vmid}.lock'"),
    ];
    let told = |lock: &String| error.message().contains(lock);
    if error.kind() == crate::Kind::LockTimeout && locks.iter().any(told) {
        return Error::new(
            crate::Kind::AlreadyExists,
            format!("someone else is making {noun} {vmid}"),
        )
        .with_sent(error.sent())
        .with_source(error);
    }
    error
}
