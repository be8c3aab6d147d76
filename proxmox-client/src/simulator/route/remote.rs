//! Migration to another cluster: what is refused before any work begins, and guests that arrive.

use std::time::Duration;

use serde_json::json;

use super::Handled;
use super::guest::id_of;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::guest::{Guest, Species};
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation, RemoteMigration, StorageMap, Tunnel};
use crate::simulator::peer::Endpoint;
use crate::simulator::schema;
use crate::simulator::world::World;

impl World {
    pub(super) fn remote_migrate(
        &mut self,
        species: Species,
        node: &str,
        vmid: u32,
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        let work = match self.remote_request(species, node, vmid, call) {
            Ok(work) => Box::new(work),
            Err(refusal) => return Handled::Now(refusal),
        };
        let operation = Operation::ClaimRemote {
            work,
            caller: caller.clone(),
            verdict: std::mem::take(&mut self.engine.verdict_for_next),
        };
        Handled::Job(self.begin(None, operation, [Step::Check(0), Step::Finish]))
    }

    fn remote_request(
        &self,
        species: Species,
        node: &str,
        vmid: u32,
        call: &Call,
    ) -> Result<RemoteMigration, Reply> {
        let guest = self.guest_of(species, vmid, node)?.unlocked()?;
        let (online, restart) = (call.flag("online"), call.flag("restart"));
        if species == Species::Container && guest.is_on() && !online && !restart {
            return Err(Reply::failed(
                "can't migrate running container without --online or --restart",
            ));
        }
        self.refuse_managed(guest)?;
        let endpoint = Endpoint::read(&call.text("target-endpoint").unwrap_or_default());
        let target = match call.text("target-vmid") {
            Some(_) => id_of(call, "target-vmid"),
            None => vmid,
        };
        if self.replication_of(vmid).is_some() {
            return Err(Reply::failed("cannot remote-migrate replicated VM"));
        }
        if species == Species::Machine && guest.is_on() && !online {
            return Err(Reply::failed("can't migrate running VM without --online"));
        }
        let map = |name: &str, what: &str| -> Result<StorageMap, Reply> {
            let text = call.text(name).unwrap_or_default();
            text.parse()
                .map_err(|why| Reply::parameter(name, format!("failed to parse {what} map: {why}")))
        };
        let mut work = RemoteMigration::new(species, vmid, endpoint, target);
        work.storages = map("target-storage", "storage")?;
        work.bridges = map("target-bridge", "bridge")?;
        if work.storages == StorageMap::default() {
            return Err(Reply::failed(
                "remote migration requires explicit storage mapping!",
            ));
        }
        work.online = online;
        let patience = Duration::from_secs(call.number("timeout").unwrap_or(180));
        work.restart = (restart && !online).then_some(patience);
        work.delete = call.flag("delete");
        let limit = call.number("bwlimit").filter(|limit| *limit > 0);
        work.limit = limit.map(|kib| kib << 10);
        Ok(work)
    }

    fn refuse_managed(&self, guest: &Guest) -> Result<(), Reply> {
        if !self.is_ha_managed(guest.vmid()) {
            return Ok(());
        }
        let noun = guest.species().noun();
        let why = match self.served_release() >= (9, 2) {
            true => format!("cannot remote-migrate {noun} that is configured for HA"),
            false => format!("cannot migrate HA-managed {noun} to remote cluster"),
        };
        Err(Reply::parameter("vmid", why))
    }

    /// A guest of another cluster arrives: its id is taken, and a task waits for what that cluster says.
    pub(super) fn open_tunnel(
        &mut self,
        species: Species,
        node: &str,
        vmid: u32,
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        let own = self.nodes.keys().next().cloned().unwrap_or_default();
        if node != own {
            let why = format!("node needs to be 'localhost' or local hostname '{own}'");
            return Err(Reply::parameter("node", why));
        }
        let list = |name: &str| call.text(name).unwrap_or_default();
        for storage in schema::parts(&list("storages")) {
            self.refuse_arrival(species, storage, node, caller)?;
        }
        for bridge in schema::parts(&list("bridges")) {
            if !self.has_bridge(node, bridge) {
                return Err(Reply::failed(format!("bridge '{bridge}' does not exist")));
            }
        }
        if let Some(taken) = self.taken(vmid) {
            let noun = species.noun();
            let why = format!("unable to create empty {noun} config - {taken}\n");
            return Err(Reply::parameter("vmid", why));
        }
        let mut guest = Guest::new(species, vmid, node);
        guest.config.insert("lock".to_owned(), "create".into());
        self.guests.insert(vmid, guest);
        let kind = match species {
            Species::Machine => "qmtunnel",
            Species::Container => "vzmtunnel",
        };
        let operation = Operation::Tunnel(Box::new(Tunnel::new(species, vmid, caller)));
        let steps = vec![Step::Check(0), Step::Finish];
        let id = vmid.to_string();
        let started = self.start_task(node, kind, &id, caller, operation, steps);
        let Some(task) = self.tasks.last().filter(|task| !task.phantom) else {
            return Err(started);
        };
        let upid = task.upid.clone();
        let socket = match species {
            Species::Machine => format!("/run/qemu-server/{vmid}.mtunnel"),
            Species::Container => format!("/run/pve/ct-{vmid}.mtunnel"),
        };
        let ticket = format!("PVETUNNEL:{:016X}", self.draw());
        Ok(Reply::data(
            json!({ "upid": upid, "ticket": ticket, "socket": socket }),
        ))
    }
}
