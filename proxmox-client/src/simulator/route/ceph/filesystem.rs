//! File systems.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Ceph;
use super::service::Trade;
use super::work::CephWork;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::route::not_simulated;
use crate::simulator::world::World;

/// A file system.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Filesystem {
    pub(super) name: String,
    pub(super) data: String,
    pub(super) metadata: String,
}

impl Ceph {
    pub(super) fn first_filesystem(&self) -> Option<&str> {
        self.filesystems.first().map(|fs| fs.name.as_str())
    }

    pub(super) fn data_pool_of(&self, name: &str) -> Option<&str> {
        let found = self.filesystems.iter().find(|fs| fs.name == name);
        found.map(|fs| fs.data.as_str())
    }

    /// The file system that a metadata server serves: the first ones to run serve one each.
    pub(super) fn served_by(&self, server: &str) -> Option<&str> {
        let mut up: Vec<_> = self
            .metadata_servers
            .iter()
            .filter(|(_, daemon)| daemon.up)
            .collect();
        up.sort_by_key(|(_, daemon)| daemon.turn);
        let at = up.iter().position(|(name, _)| *name == server)?;
        self.filesystems.get(at).map(|fs| fs.name.as_str())
    }

    /// Metadata servers that run, and those of them that stand by.
    pub(super) fn metadata_up(&self) -> (usize, usize) {
        let up = self.metadata_servers.values().filter(|one| one.up).count();
        (up, up.saturating_sub(self.filesystems.len()))
    }
}

impl World {
    pub(super) fn ceph_filesystems(
        &mut self,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                self.ceph_ready(node)?;
                let number = |name: &str| self.ceph.pool(name).map(|pool| pool.id);
                let entries = self.ceph.filesystems.iter().map(|fs| {
                    json!({
                        "name": fs.name, "metadata_pool": fs.metadata, "metadata_pool_id": number(&fs.metadata),
                        "data_pool": fs.data, "data_pools": [fs.data], "data_pool_ids": [number(&fs.data)],
                    })
                });
                Ok(Reply::data(entries.collect::<Value>()))
            }
            ("POST", [name]) => {
                self.ceph_configured(node)?;
                self.ceph_reached()?;
                self.refuse_filesystem(name, call.flag("add-storage"))?;
                let groups = call.number("pg_num").unwrap_or(128);
                let work = CephWork::MakeFilesystem {
                    name: (*name).to_owned(),
                    groups: groups.try_into().unwrap_or(128),
                    storage: call.flag("add-storage"),
                };
                let takes = Duration::from_secs(4);
                Ok(self.ceph_task(node, "cephfscreate", name, caller, takes, work))
            }
            ("DELETE", [name]) => {
                self.ceph_ready(node)?;
                if self.ceph.data_pool_of(name).is_none() {
                    return Err(Reply::failed(format!("no such cephfs '{name}'")));
                }
                let work = CephWork::RemoveFilesystem {
                    name: (*name).to_owned(),
                    storages: call.flag("remove-storages"),
                    pools: call.flag("remove-pools"),
                };
                let takes = Duration::from_secs(2);
                Ok(self.ceph_task(node, "cephdestroyfs", name, caller, takes, work))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn refuse_filesystem(&self, name: &str, storage: bool) -> Result<(), Reply> {
        let (data, metadata) = (format!("{name}_data"), format!("{name}_metadata"));
        if self.ceph.pool(&data).is_some() || self.ceph.pool(&metadata).is_some() {
            return Err(Reply::failed(format!(
                "ceph pools '{data}' and/or '{metadata}' already exist"
            )));
        }
        if self.ceph.data_pool_of(name).is_some() {
            return Err(Reply::failed(format!("ceph fs '{name}' already exists")));
        }
        match self.ceph.metadata_up() {
            (0, _) => Err(Reply::failed("no running Metadata Server (MDS) found!")),
            (_, 0) => Err(Reply::failed("no standby Metadata Server (MDS) found!")),
            _ if storage && self.storages.contains_key(name) => Err(Reply::failed(format!(
                "storage ID '{name}' already defined"
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn make_filesystem(
        &mut self,
        job: u64,
        name: &str,
        groups: u32,
        storage: bool,
    ) -> Result<(), Reply> {
        let (data, metadata) = (format!("{name}_data"), format!("{name}_metadata"));
        let few = if groups >= 32 { groups / 4 } else { 8 };
        let pools = [("data", &data, groups), ("metadata", &metadata, few)];
        for (at, (what, pool, groups)) in pools.into_iter().enumerate() {
            self.log(job, format!("creating {what} pool '{pool}'..."));
            let settings = Map::from_iter([
                ("application".to_owned(), "cephfs".into()),
                ("pg_num".to_owned(), groups.to_string().into()),
            ]);
            if let Err(refusal) = self.create_pool(job, pool, &settings, None) {
                if at > 0 {
                    self.log(job, "Encountered error after creating at least one pool");
                    self.log(job, format!("cleaning up left over pool '{data}'"));
                    self.destroy_pool(job, &data, true)?;
                }
                return Err(refusal);
            }
        }
        self.log(job, format!("configuring new CephFS '{name}'"));
        self.ceph.filesystems.push(Filesystem {
            name: name.to_owned(),
            data,
            metadata,
        });
        self.log(job, format!("Successfully create CephFS '{name}'"));
        if storage {
            let line = format!("Adding '{name}' to storage configuration...");
            self.log(job, line);
            if self.ceph.active(Trade::Metadata).is_none() {
                return Err(Reply::failed(
                    "Need MDS to add storage, but none got active!",
                ));
            }
            let more = Map::from_iter([
                ("content".to_owned(), "backup,iso,vztmpl".into()),
                ("fs-name".to_owned(), name.into()),
                ("path".to_owned(), format!("/mnt/pve/{name}").into()),
            ]);
            self.add_ceph_storage(name, "cephfs", more).map_err(|why| {
                Reply::failed(format!(
                    "adding storage for CephFS '{name}' failed, check log and add manually!\n{why}"
                ))
            })?;
        }
        Ok(())
    }

    pub(super) fn remove_filesystem(
        &mut self,
        job: u64,
        name: &str,
        storages: bool,
        pools: bool,
    ) -> Result<(), Reply> {
        let Some(fs) = self.ceph.filesystems.iter().find(|fs| fs.name == name) else {
            return Err(Reply::failed(format!("no such cephfs '{name}'")));
        };
        let fs = fs.clone();
        if storages {
            let first = self.ceph.first_filesystem() == Some(name);
            let on_it = self.storages.values().filter(|storage| {
                let named = storage.more.get("fs-name").and_then(Value::as_str);
                storage.kind == "cephfs" && named.map_or(first, |named| named == name)
            });
            let found: Vec<(String, bool, bool)> = on_it
                .map(|storage| {
                    let disabled = storage.more.get("disable") == Some(&1.into());
                    let external = storage.more.contains_key("monhost");
                    (storage.name.clone(), disabled, external)
                })
                .collect();
            if let Some((storage, ..)) = found.iter().find(|(_, disabled, _)| !disabled) {
                return Err(Reply::failed(format!(
                    "storage '{storage}' is not disabled, make sure to disable and unmount the storage first"
                )));
            }
            for (storage, ..) in found.iter().filter(|(_, _, external)| !external) {
                self.storages.remove(storage);
            }
        }
        self.ceph.filesystems.retain(|other| other.name != name);
        if pools {
            self.log(job, format!("removing metadata pool '{}'", fs.metadata));
            self.destroy_pool(job, &fs.metadata, true)?;
            self.log(job, format!("removing data pool '{}'", fs.data));
            self.destroy_pool(job, &fs.data, true)?;
        }
        Ok(())
    }
}
