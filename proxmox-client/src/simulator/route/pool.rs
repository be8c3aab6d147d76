//! Pools and their members.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::not_simulated;
use super::shared::{names, require};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::world::World;

/// A pool.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct Pool {
    comment: Option<String>,
    pub(in super::super) vms: BTreeSet<u32>,
    pub(in super::super) storages: BTreeSet<String>,
}

impl Pool {
    /// Where its members stand in the tree of rights.
    pub(in super::super) fn paths(&self) -> impl Iterator<Item = String> {
        let guests = self.vms.iter().map(|vmid| format!("/vms/{vmid}"));
        let storages = self.storages.iter();
        guests.chain(storages.map(|name| format!("/storage/{name}")))
    }
}

impl World {
    pub(super) fn read_pools(&self, rest: &[&str], call: &Call) -> Outcome {
        let asked = call.text("poolid");
        match (rest, asked.as_deref()) {
            ([], None) => Ok(Reply::data(
                self.pools
                    .iter()
                    .map(|(id, pool)| Value::Object(self.pool_entry(id, pool, call, false)))
                    .collect::<Value>(),
            )),
            ([], Some(id)) => {
                let pool = self.pool(id)?;
                Ok(Reply::data(json!([self.pool_entry(id, pool, call, true)])))
            }
            ([id], _) => {
                let pool = self.pool(id)?;
                Ok(Reply::data(self.pool_entry(id, pool, call, true)))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn pool(&self, id: &str) -> Result<&Pool, Reply> {
        self.pools
            .get(id)
            .ok_or_else(|| Reply::failed(format!("pool '{id}' does not exist")))
    }

    fn pool_entry(&self, id: &str, pool: &Pool, call: &Call, members: bool) -> Map<String, Value> {
        let mut entry = Map::new();
        entry.insert("poolid".to_owned(), id.into());
        if let Some(comment) = &pool.comment {
            entry.insert("comment".to_owned(), comment.as_str().into());
        }
        if members {
            let kind = call.text("type");
            let wanted = |name: &str| kind.as_deref().is_none_or(|kind| kind == name);
            let mut all: Vec<Map<String, Value>> = Vec::new();
            let guests = pool.vms.iter().filter_map(|vmid| self.guests.get(vmid));
            let guests = guests.filter(|guest| wanted(guest.species().branch()));
            all.extend(guests.map(|guest| self.guest_resource(guest)));
            if wanted("storage") {
                for name in &pool.storages {
                    all.extend(
                        self.nodes
                            .keys()
                            .filter_map(|node| self.storage_resource(node, name)),
                    );
                }
            }
            entry.insert("members".to_owned(), super::list(all));
        }
        entry
    }

    pub(super) fn write_pool(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        let of_path = rest.first().map(|id| (*id).to_owned());
        if of_path.is_none() {
            require(call, &["poolid"])?;
        }
        let id = of_path.or_else(|| call.text("poolid")).unwrap_or_default();
        match method {
            "POST" => {
                if self.pools.contains_key(&id) {
                    return Err(Reply::failed(format!(
                        "create pool failed: pool '{id}' already exists"
                    )));
                }
                let pool = Pool {
                    comment: call.text("comment"),
                    ..Pool::default()
                };
                self.pools.insert(id, pool);
                Ok(Reply::data(()))
            }
            "DELETE" => self.delete_pool(&id),
            _ => {
                let refused = |why: String| Reply::failed(format!("update pools failed: {why}"));
                self.update_pool(&id, call).map_err(refused)?;
                Ok(Reply::data(()))
            }
        }
    }

    fn delete_pool(&mut self, id: &str) -> Outcome {
        let refused = |why: String| Reply::failed(format!("delete pool failed: {why}"));
        let Some(pool) = self.pools.get(id) else {
            return Err(refused(format!("pool '{id}' does not exist")));
        };
        let below = format!("{id}/");
        if let Some(child) = self.pools.keys().find(|name| name.starts_with(&below)) {
            return Err(refused(format!(
                "pool '{id}' is not empty (contains pool '{child}')"
            )));
        }
        if let Some(vmid) = pool.vms.first() {
            return Err(refused(format!(
                "pool '{id}' is not empty (contains VM {vmid})"
            )));
        }
        if let Some(name) = pool.storages.first() {
            return Err(refused(format!(
                "pool '{id}' is not empty (contains storage '{name}')"
            )));
        }
        self.pools.remove(id);
        Ok(Reply::data(()))
    }

    fn update_pool(&mut self, id: &str, call: &Call) -> Result<(), String> {
        let Some(pool) = self.pools.get(id) else {
            return Err(format!("pool '{id}' does not exist"));
        };
        let mut pool = pool.clone();
        let (vms, storages) = (call.text("vms"), call.text("storage"));
        for name in names(vms.as_deref().unwrap_or_default()) {
            let vmid: u32 = name.parse().map_err(|_| format!("'{name}' is no VM id"))?;
            if call.flag("delete") {
                if !pool.vms.remove(&vmid) {
                    return Err(format!("VM {vmid} is not a pool member"));
                }
                continue;
            }
            if !self.guests.contains_key(&vmid) {
                return Err(format!("VM {vmid} does not exist"));
            }
            let elsewhere = self
                .pools
                .iter()
                .find(|(name, other)| *name != id && other.vms.contains(&vmid))
                .map(|(name, _)| name.clone());
            if !pool.vms.insert(vmid) {
                return Err(format!("VM {vmid} is already a pool member"));
            }
            match elsewhere {
                Some(other) if !call.flag("allow-move") => {
                    return Err(format!(
                        "VM {vmid} belongs already to pool '{other}' and 'allow-move' is not set"
                    ));
                }
                Some(other) => {
                    if let Some(other) = self.pools.get_mut(&other) {
                        other.vms.remove(&vmid);
                    }
                }
                None => {}
            }
        }
        for name in names(storages.as_deref().unwrap_or_default()) {
            if call.flag("delete") {
                if !pool.storages.remove(name) {
                    return Err(format!("Storage '{name}' is not a pool member"));
                }
            } else if !pool.storages.insert(name.to_owned()) {
                return Err(format!("Storage '{name}' is already a pool member"));
            }
        }
        if let Some(comment) = call.text("comment") {
            pool.comment = Some(comment).filter(|comment| !comment.is_empty());
        }
        self.pools.insert(id.to_owned(), pool);
        Ok(())
    }
}
