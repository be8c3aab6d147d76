//! Guests of a node: lists of a kind, and what both kinds tell in one way.

use serde_json::{Value, json};

use super::{Handled, list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::{Species, shown};
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::world::World;

impl World {
    /// The guests of one kind on a node, a new one, or one of them.
    pub(super) fn node_guests(
        &mut self,
        species: Species,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        match (call.method.as_str(), rest, species) {
            ("GET", [], _) => Handled::Now(self.guest_list(species, node)),
            ("POST", [], Species::Machine) => self.create_request(node, call, caller),
            ("POST", [], Species::Container) => self.create_container_request(node, call, caller),
            (method, [vmid, rest @ ..], _) => {
                let vmid = vmid.parse().unwrap_or_default();
                match species {
                    Species::Machine => self.one_qemu(method, node, vmid, rest, call, caller),
                    Species::Container => self.one_lxc(method, node, vmid, rest, call, caller),
                }
            }
            _ => Handled::Now(not_simulated(call)),
        }
    }

    fn guest_list(&self, species: Species, node: &str) -> Reply {
        let guests = self.guests.values();
        let here = guests.filter(|guest| guest.node() == node && guest.species() == species);
        let entries = here.map(|guest| match species {
            Species::Machine => guest.node_entry(self.now, self.boot_disk_size(guest.vmid())),
            Species::Container => self.container_entry(guest),
        });
        Reply::data(list(entries))
    }

    pub(super) fn read_config(
        &self,
        species: Species,
        node: &str,
        vmid: u32,
        call: &Call,
    ) -> Outcome {
        let guest = self.guest_of(species, vmid, node)?;
        if let Some(name) = call.text("snapshot") {
            let missing = || Reply::failed(format!("snapshot '{name}' does not exist"));
            let snapshot = guest.snapshots.get(&name).ok_or_else(missing)?;
            let mut config = snapshot.shown(species);
            config.insert("digest".to_owned(), guest.digest().into());
            return Ok(Reply::data(Value::Object(config)));
        }
        let config = if call.flag("current") {
            guest.config.clone()
        } else {
            guest.merged()
        };
        let mut config = shown(species, config);
        config.insert("digest".to_owned(), guest.digest().into());
        if let Some(parent) = &guest.parent {
            config.insert("parent".to_owned(), parent.as_str().into());
        }
        Ok(Reply::data(Value::Object(config)))
    }

    pub(super) fn pending(&self, species: Species, node: &str, vmid: u32) -> Outcome {
        let guest = self.guest_of(species, vmid, node)?;
        let live = shown(species, guest.config.clone());
        let waiting = shown(species, guest.pending.clone());
        let mut out: Vec<Value> = Vec::new();
        for (key, value) in &live {
            let mut entry = json!({ "key": key, "value": value });
            match waiting.get(key) {
                Some(Value::Null) => entry["delete"] = 1.into(),
                // What waits is told as text, whatever it is.
                Some(value) => {
                    entry["pending"] = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                        .into()
                }
                None => {}
            }
            out.push(entry);
        }
        for (key, value) in waiting
            .iter()
            .filter(|(key, value)| !live.contains_key(*key) && !value.is_null())
        {
            out.push(json!({ "key": key, "pending": value }));
        }
        out.push(json!({ "key": "digest", "value": guest.digest() }));
        Ok(Reply::data(out))
    }

    pub(super) fn describe_snapshot(
        &mut self,
        species: Species,
        node: &str,
        vmid: u32,
        name: &str,
        call: &Call,
    ) -> Outcome {
        self.guest_of(species, vmid, node)?.unlocked()?;
        let guest = self.guest_mut(vmid)?;
        let Some(snapshot) = guest.snapshots.get_mut(name) else {
            return Err(Reply::failed(format!("snapshot '{name}' does not exist")));
        };
        if let Some(text) = call.text("description") {
            let config = &mut snapshot.config;
            config.insert("description".to_owned(), text.into());
        }
        Ok(Reply::data(()))
    }

    pub(super) fn snapshots(&self, species: Species, node: &str, vmid: u32) -> Outcome {
        let guest = self.guest_of(species, vmid, node)?;
        let mut out: Vec<Value> = guest
            .snapshots
            .iter()
            .map(|(name, snapshot)| {
                let config = shown(species, snapshot.config.clone());
                let mut entry = json!({
                    "name": name, "snaptime": snapshot.taken,
                    "description": config.get("description").cloned().unwrap_or_else(|| "".into()),
                });
                if species == Species::Machine {
                    entry["vmstate"] = 0.into();
                }
                if let Some(parent) = &snapshot.parent {
                    entry["parent"] = parent.as_str().into();
                }
                entry
            })
            .collect();
        let mut current = json!({
            "name": "current", "description": "You are here!", "digest": guest.digest(),
            "running": u8::from(guest.is_on()),
        });
        if let Some(parent) = &guest.parent {
            current["parent"] = parent.as_str().into();
        }
        out.push(current);
        Ok(Reply::data(out))
    }
}

/// The id of a guest that a parameter names; the schema has looked at it.
pub(super) fn id_of(call: &Call, name: &str) -> u32 {
    let id = call.number(name).and_then(|id| u32::try_from(id).ok());
    id.unwrap_or_default()
}
