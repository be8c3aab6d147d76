//! Making virtual machines.

use crate::error::{Error, Result};
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
                .map_err(|error| id_taken(error, vmid))
                .map(|warnings| Created {
                    qemu,
                    upid,
                    warnings,
                })
        })
        .or_refused(move |error| Err(id_taken(error, vmid)))
    }

    fn create_request(&self, vmid: u32, config: QemuConfig) -> Result<Request> {
        check_vmid(vmid)?;
        config.check()?;
        let mut request = self
            .request(Method::Post, "/qemu")?
            .with("vmid", vmid.to_string());
        request.params_mut().extend_values(&config.into_values());
        Ok(request)
    }
}

/// While someone else makes a machine of that id, the new id's lock is what is told.
pub(crate) fn id_taken(error: Error, vmid: u32) -> Error {
    let lock = format!("lock-{vmid}.conf'");
    if error.kind() == crate::Kind::LockTimeout && error.message().contains(&lock) {
        return Error::new(
            crate::Kind::AlreadyExists,
            format!("someone else is making VM {vmid}"),
        )
        .with_sent(error.sent())
        .with_source(error);
    }
    error
}
