//! Containers: their states and configurations.

mod action;

use serde_json::{Map, Value, json};

use super::guest::id_of;
use super::{Handled, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::guest::{Guest, Species};
use crate::simulator::http::Call;
use crate::simulator::lease::{Card, part};
use crate::simulator::operation::{Caller, Operation, is_drive, lock_guest};
use crate::simulator::world::World;

use super::shared::names;

impl World {
    pub(super) fn one_lxc(
        &mut self,
        method: &str,
        node: &str,
        vmid: u32,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        match (method, rest) {
            ("PUT", ["config"]) => self.change_container(node, vmid, call, caller),
            ("GET", _) => self.read_lxc(node, vmid, rest, call).into(),
            ("POST", ["remote_migrate"]) => {
                self.remote_migrate(Species::Container, node, vmid, call, caller)
            }
            ("POST", ["mtunnel"]) => self
                .open_tunnel(Species::Container, node, vmid, call, caller)
                .into(),
            ("POST", ["clone"]) => self.clone_container(node, vmid, call, caller),
            ("PUT", ["snapshot", name, "config"]) => self
                .describe_snapshot(Species::Container, node, vmid, name, call)
                .into(),
            _ => self
                .act_on_lxc(method, node, vmid, rest, call, caller)
                .into(),
        }
    }

    /// A container's entry in its node's list, and its present state.
    pub(super) fn container_entry(&self, guest: &Guest) -> Map<String, Value> {
        let mut entry = self.container_figures(guest);
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put("type", "lxc".into());
        put("cpus", self.container_processors(guest));
        put("swap", 0.into());
        let swap = guest.text("swap").and_then(|swap| swap.parse().ok());
        put("maxswap", (swap.unwrap_or(0u64) << 20).into());
        if guest.is_on() {
            put("pid", guest.pid.into());
            for kind in ["cpu", "io", "memory"] {
                for share in ["some", "full"] {
                    put(&format!("pressure{kind}{share}"), 0.into());
                }
            }
        }
        entry
    }

    /// What all lists tell of a container.
    pub(super) fn container_figures(&self, guest: &Guest) -> Map<String, Value> {
        let mut entry = guest.summary(self.now, self.boot_disk_size(guest.vmid()));
        entry.shift_remove("memhost");
        let name = guest.name().map(str::to_owned);
        let name = name.unwrap_or_else(|| format!("CT{}", guest.vmid()));
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put("name", name.into());
        put("diskread", 0.into());
        put("diskwrite", 0.into());
        entry
    }

    /// Processors that a container may use: what it says, else all of its node.
    pub(in super::super) fn container_processors(&self, guest: &Guest) -> Value {
        let number = |key: &str| guest.text(key)?.parse::<f64>().ok().filter(|n| *n > 0.0);
        let node = self.nodes.get(guest.node()).map_or(1, |node| node.cores);
        let all = || f64::from(node);
        let processors = number("cores").or_else(|| number("cpulimit"));
        let processors = processors.unwrap_or_else(all);
        if processors.fract() == 0.0 {
            (processors as u64).into()
        } else {
            processors.into()
        }
    }

    fn read_lxc(&mut self, node: &str, vmid: u32, rest: &[&str], call: &Call) -> Outcome {
        let guest = self.guest_of(Species::Container, vmid, node)?;
        match rest {
            ["config"] => self.read_config(Species::Container, node, vmid, call),
            ["pending"] => self.pending(Species::Container, node, vmid),
            ["status", "current"] => {
                let mut entry = self.container_entry(guest);
                entry.insert("ha".to_owned(), self.ha_of(vmid));
                Ok(Reply::data(Value::Object(entry)))
            }
            ["snapshot"] => self.snapshots(Species::Container, node, vmid),
            ["snapshot", name, "config"] => {
                let missing = || Reply::failed(format!("snapshot '{name}' does not exist"));
                let snapshot = guest.snapshots.get(*name).ok_or_else(missing)?;
                let mut config = snapshot.shown(Species::Container);
                config.shift_remove("digest");
                Ok(Reply::data(Value::Object(config)))
            }
            ["interfaces"] if !guest.is_on() => Ok(Reply::data(())),
            ["interfaces"] => {
                let cards = self.cards(vmid);
                let guest = self.guest_of(Species::Container, vmid, node)?;
                Ok(Reply::data(interfaces(guest, &cards)))
            }
            _ => Err(not_simulated(call)),
        }
    }

    pub(super) fn create_container_request(
        &mut self,
        node: &str,
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        let vmid = id_of(call, "vmid");
        if call.flag("restore") {
            return self.restore_container_request(node, vmid, call, caller);
        }
        if let Err(refusal) = self.refuse_creation(node, vmid, call, caller) {
            return Handled::Now(refusal);
        }
        let species = Species::Container;
        let operation = Operation::ClaimId {
            species,
            vmid,
            node: node.to_owned(),
            params: call.params.clone(),
            caller: caller.clone(),
        };
        Handled::Job(self.begin(None, operation, Self::claim_steps(species, vmid)))
    }

    fn refuse_creation(
        &self,
        node: &str,
        vmid: u32,
        call: &Call,
        caller: &Caller,
    ) -> Result<(), Reply> {
        if let Some(taken) = self.taken(vmid) {
            return Err(Reply::failed(taken));
        }
        if let Some(pool) = call.text("pool").filter(|id| !self.pools.contains_key(id)) {
            return Err(Reply::failed(format!("pool '{pool}' does not exist")));
        }
        self.refuse_volumes(node, call)?;
        self.refuse_container_config(&call.params, caller, None)
    }

    fn change_container(&mut self, node: &str, vmid: u32, call: &Call, caller: &Caller) -> Handled {
        if let Err(refusal) = self.refuse_container_change(node, vmid, call, caller) {
            return Handled::Now(refusal);
        }
        let mut steps = vec![lock_guest(Species::Container, vmid)];
        for (key, text) in Self::config_params(&call.params) {
            if is_drive(key) {
                steps.extend(
                    self.drive_steps(&crate::simulator::operation::DriveText::parse(&text), ""),
                );
            }
        }
        steps.push(Step::Finish);
        let operation = Operation::SetConfig {
            vmid,
            params: call.params.clone(),
            caller: caller.clone(),
        };
        Handled::Job(self.begin(None, operation, steps))
    }

    fn refuse_container_change(
        &self,
        node: &str,
        vmid: u32,
        call: &Call,
        caller: &Caller,
    ) -> Result<(), Reply> {
        let keys = |name: &str| -> Vec<String> {
            let text = call.text(name).unwrap_or_default();
            names(&text).map(str::to_owned).collect()
        };
        let (deletes, reverts) = (keys("delete"), keys("revert"));
        let nothing = Self::config_params(&call.params).next().is_none()
            && deletes.is_empty()
            && reverts.is_empty();
        if nothing {
            return Err(Reply::failed("no options specified"));
        }
        let guest = self.guest_of(Species::Container, vmid, node)?;
        guest.unlocked()?;
        for (list, keys) in [("revert", &reverts), ("delete", &deletes)] {
            if let Some(key) = keys.iter().find(|key| call.params.contains_key(*key)) {
                let why = match list {
                    "revert" => {
                        format!("you can't use '-{key}' and '-revert {key}' at the same time")
                    }
                    _ => format!("you can't use '-{key}' and -delete {key}' at the same time"),
                };
                return Err(Reply::parameter(list, why));
            }
        }
        self.refuse_container_config(&call.params, caller, Some(guest))?;
        Self::refuse_container_deletes(guest, &deletes)
    }
}

/// Interfaces inside, with the addresses of their cards.
fn interfaces(guest: &Guest, cards: &[Card]) -> Value {
    let entry = |name: &str, mac: &str, addresses: Vec<(&str, String, u64)>| {
        let list: Vec<Value> = addresses
            .iter()
            .map(|(kind, ip, prefix)| {
                json!({ "ip-address-type": kind, "ip-address": ip, "prefix": prefix })
            })
            .collect();
        let mut entry = json!({
            "name": name, "hardware-address": mac, "hwaddr": mac, "ip-addresses": list,
        });
        for (kind, ip, prefix) in addresses {
            entry[kind] = format!("{ip}/{prefix}").into();
        }
        entry
    };
    let local = vec![
        ("inet", "127.0.0.1".to_owned(), 8),
        ("inet6", "::1".to_owned(), 128),
    ];
    let mut all = vec![entry("lo", "00:00:00:00:00:00", local)];
    for card in cards {
        let mut addresses = Vec::new();
        for (kind, given) in [("inet", &card.ipv4), ("inet6", &card.ipv6)] {
            addresses.extend(
                given
                    .iter()
                    .map(|(ip, prefix)| (kind, ip.clone(), u64::from(*prefix))),
            );
        }
        let name = part(guest, &format!("net{}", card.index), "name").unwrap_or_default();
        all.push(entry(&name, &card.mac.to_lowercase(), addresses));
    }
    all.into()
}
