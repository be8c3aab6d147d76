//! Guests out of backups: what is asked for, and what is refused before any work begins.

use super::super::{Handled, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::{Guest, Species, text_of};
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, ContainerRestore, Operation, is_drive, read_name};
use crate::simulator::world::World;

impl World {
    /// A virtual machine is restored instead of made.
    pub(in super::super) fn restore_request(
        &mut self,
        node: &str,
        vmid: u32,
        archive: &str,
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        if let Some(slot) = call.params.keys().find(|key| is_drive(key)) {
            return Err(Reply::parameter(
                slot,
                "option conflicts with option 'archive'",
            ));
        }
        if call.flag("ha-managed") {
            return Err(not_simulated(call));
        }
        self.refuse_config(&call.params, caller)?;
        let pool = call.text("pool");
        if pool
            .as_ref()
            .is_some_and(|pool| !self.pools.contains_key(pool))
        {
            let pool = pool.unwrap_or_default();
            return Err(Reply::failed(format!("pool '{pool}' does not exist")));
        }
        if let Some(storage) = call
            .text("storage")
            .filter(|name| !self.storages.contains_key(name))
        {
            return Err(Reply::failed(format!("storage '{storage}' does not exist")));
        }
        let foreign = read_name(archive).is_some_and(|name| name.kind != "qemu");
        if self.archive(node, archive)?.is_none() || foreign {
            return Err(not_simulated(call));
        }
        let refused = |why: String| Reply::failed(format!("unable to restore VM {vmid} - {why}"));
        match self.guests.get(&vmid) {
            Some(guest) if !call.flag("force") || guest.node != node => {
                let on = &guest.node;
                return Err(refused(format!("VM {vmid} already exists on node '{on}'")));
            }
            Some(guest) => {
                if let Some(lock) = guest.lock() {
                    return Err(refused(format!("VM is locked ({lock})")));
                }
            }
            None => {}
        }
        self.begin_restore(node, vmid, archive, call, caller)
    }

    /// A container is restored instead of made.
    pub(in super::super) fn restore_container_request(
        &mut self,
        node: &str,
        vmid: u32,
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        if let Err(refusal) = self.refuse_container_restore(node, vmid, call, caller) {
            return Handled::Now(refusal);
        }
        let work = ContainerRestore::of(node, vmid, call, caller);
        let steps = work.steps();
        let operation = Operation::ClaimRestore {
            work: Box::new(work),
            caller: caller.clone(),
        };
        Handled::Job(self.begin(None, operation, steps))
    }

    fn refuse_container_restore(
        &self,
        node: &str,
        vmid: u32,
        call: &Call,
        caller: &Caller,
    ) -> Result<(), Reply> {
        let volid = call.text("ostemplate").unwrap_or_default();
        let old = self.guests.get(&vmid).filter(|guest| {
            call.flag("force") && guest.species() == Species::Container && guest.node() == node
        });
        match (old, self.taken(vmid)) {
            (Some(guest), _) => refuse_overwriting(guest)?,
            (None, Some(taken)) => return Err(Reply::failed(taken)),
            (None, None) => {}
        }
        if let Some(pool) = call.text("pool").filter(|id| !self.pools.contains_key(id)) {
            return Err(Reply::failed(format!("pool '{pool}' does not exist")));
        }
        self.refuse_volumes(node, call)?;
        self.refuse_container_config(&call.params, caller, None)?;
        let Some((storage, name)) = volid.split_once(':') else {
            return Err(match caller.is_root() {
                true => not_simulated(call),
                false => Reply::failed("Only root can pass arbitrary filesystem paths."),
            });
        };
        if !self.storages.contains_key(storage) {
            return Err(Reply::failed(format!("storage '{storage}' does not exist")));
        }
        if !name.starts_with("backup/") {
            return Err(Reply::failed(format!(
                "unable to use volume {volid} - content type needs to be 'backup'"
            )));
        }
        let archive = self.archive(node, &volid);
        // Nobody knows what is in a file that was put there from outside; raw settings are not kept apart.
        let unknown = archive.as_ref().is_ok_and(Option::is_none);
        let raw = archive
            .is_ok_and(|archive| archive.is_some_and(|archive| archive.config.contains_key("lxc")));
        if unknown || raw || call.flag("ha-managed") {
            return Err(not_simulated(call));
        }
        Ok(())
    }

    /// What forbids the volumes of a container that is to be made.
    pub(in super::super) fn refuse_volumes(&self, node: &str, call: &Call) -> Result<(), Reply> {
        let mut volumes = call.params.keys().filter(|key| is_drive(key)).peekable();
        if volumes.peek().is_some() && !volumes.any(|key| key == "rootfs") {
            return Err(Reply::failed(
                "mount points configured, but 'rootfs' not set - aborting",
            ));
        }
        let root = call.params.get("rootfs").map(text_of);
        if root.is_some_and(|text| text.parse::<f64>().is_err()) {
            return Ok(());
        }
        let name = call.text("storage").unwrap_or_else(|| "local".to_owned());
        let Some(storage) = self.storages.get(&name) else {
            return Err(Reply::failed(format!("storage '{name}' does not exist")));
        };
        storage.refuse(node).map_err(Reply::failed)?;
        if storage.content.iter().any(|kind| kind == "rootdir") {
            return Ok(());
        }
        Err(Reply::parameter(
            "storage",
            format!("storage '{name}' does not support container directories"),
        ))
    }
}

/// What keeps a container from being replaced by a backup.
fn refuse_overwriting(guest: &Guest) -> Result<(), Reply> {
    if guest.is_on() {
        return Err(Reply::failed("can't overwrite running container"));
    }
    match guest.text("protection").as_deref() {
        Some("1") => Err(Reply::failed(format!(
            "unable to restore CT {} - protection mode enabled",
            guest.vmid()
        ))),
        _ => Ok(()),
    }
}
