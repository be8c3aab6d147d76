//! Pools: what they are, how they are made, changed and removed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::work::CephWork;
use super::{Ceph, refused};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, read_size};
use crate::simulator::route::not_simulated;
use crate::simulator::volume::Storage;
use crate::simulator::world::{StorageSpec, World};

/// A pool.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Pool {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) size: u32,
    pub(super) min_size: u32,
    pub(super) pg_num: u32,
    pub(super) pg_num_min: Option<u32>,
    pub(super) rule: String,
    pub(super) application: Option<String>,
    pub(super) autoscale: String,
    pub(super) target_size: Option<u64>,
    pub(super) target_ratio: Option<f64>,
    /// The profile of erasure coding.
    pub(super) profile: Option<String>,
}

/// Erasure coding that is asked for.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super::super) struct Coding {
    k: u32,
    m: u32,
    per_host: bool,
    profile: Option<String>,
}

const MAKING: Duration = Duration::from_secs(2);

impl Ceph {
    pub(super) fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.values().find(|pool| pool.name == name)
    }

    fn rule_number(&self, name: &str) -> Option<u64> {
        let own = self.rules.iter().find(|(_, rule)| *rule == name);
        match name {
            "replicated_rule" => Some(0),
            _ => own.map(|(number, _)| *number),
        }
    }

    /// How many bytes on disks a byte in a pool takes.
    pub(super) fn overhead(&self, pool: &Pool) -> f64 {
        let profile = pool.profile.as_ref();
        match profile.and_then(|profile| self.profiles.get(profile)) {
            Some((k, m, _)) => f64::from(k + m) / f64::from((*k).max(1)),
            None => f64::from(pool.size),
        }
    }
}

/// Settings of a call, as Ceph names them.
fn settings(call: &Call) -> Map<String, Value> {
    let own = ["name", "node", "add_storages", "erasure-coding"];
    let given = call.params.iter();
    given
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, value)| match name.as_str() {
            "target_size" => {
                let bytes = read_size(&text_of(value)).unwrap_or(0);
                ("target_size_bytes".to_owned(), bytes.into())
            }
            _ => (name.clone(), text_of(value).into()),
        })
        .collect()
}

fn coding(call: &Call) -> Option<Coding> {
    let text = call.text("erasure-coding")?;
    let mut coding = Coding {
        k: 0,
        m: 0,
        per_host: true,
        profile: None,
    };
    for (name, value) in text.split(',').filter_map(|part| part.split_once('=')) {
        match name {
            "k" => coding.k = value.parse().unwrap_or(0),
            "m" => coding.m = value.parse().unwrap_or(0),
            "failure-domain" => coding.per_host = value != "osd",
            "profile" => coding.profile = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(coding)
}

/// Whether storages may have that name.
fn names_storage(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(inner)
}

impl World {
    pub(super) fn ceph_pools(
        &mut self,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                self.ceph_ready(node)?;
                let entries = self
                    .ceph
                    .pools
                    .values()
                    .map(|pool| self.ceph_pool_entry(pool));
                Ok(Reply::data(entries.collect::<Value>()))
            }
            ("GET", [name, "status"]) => {
                self.ceph_ready(node)?;
                match self.ceph.pool(name) {
                    Some(pool) => Ok(Reply::data(
                        self.ceph_pool_status(pool, call.flag("verbose")),
                    )),
                    None => Err(refused(format!("unrecognized pool '{name}'"))),
                }
            }
            ("POST", []) => {
                self.ceph_configured(node)?;
                self.ceph_reached()?;
                let name = call.text("name").unwrap_or_default();
                let coding = coding(call);
                if let Some(profile) = coding.as_ref().and_then(|coding| coding.profile.as_ref())
                    && !self.ceph.profiles.contains_key(profile)
                {
                    let text = format!("Erasure code profile '{profile}' does not exist.");
                    return Err(Reply::failed(text));
                }
                let storages = match call.text("add_storages") {
                    Some(_) => call.flag("add_storages"),
                    None => coding.is_some(),
                };
                if storages && !names_storage(&name) {
                    return Err(Reply::failed(
                        "pool name contains characters which are illegal for storage naming",
                    ));
                }
                let mut wanted = settings(call);
                for (key, value) in [
                    ("pg_num", "128"),
                    ("size", "3"),
                    ("min_size", "2"),
                    ("application", "rbd"),
                    ("pg_autoscale_mode", "warn"),
                ] {
                    wanted.entry(key).or_insert_with(|| value.into());
                }
                let work = CephWork::MakePool {
                    name: name.clone(),
                    wanted,
                    coding,
                    storages,
                };
                Ok(self.ceph_task(node, "cephcreatepool", &name, caller, MAKING, work))
            }
            ("PUT", [name]) => {
                self.ceph_configured(node)?;
                let work = CephWork::SetPool {
                    name: (*name).to_owned(),
                    wanted: settings(call),
                };
                Ok(self.ceph_task(node, "cephsetpool", name, caller, MAKING, work))
            }
            ("DELETE", [name]) => {
                self.ceph_inited(node)?;
                let keeps = call.text("remove_ecprofile").as_deref() == Some("0");
                let work = CephWork::RemovePool {
                    name: (*name).to_owned(),
                    force: call.flag("force"),
                    storages: call.flag("remove_storages"),
                    profile: !keeps,
                };
                Ok(self.ceph_task(node, "cephdestroypool", name, caller, MAKING, work))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn ceph_pool_entry(&self, pool: &Pool) -> Value {
        let (raw, room) = (self.raw_of(pool), self.room_in(pool));
        let stored = self.stored_in(pool);
        let kind = match pool.profile {
            Some(_) => "erasure",
            None => "replicated",
        };
        let applications: Map<String, Value> = pool
            .application
            .iter()
            .map(|name| (name.clone(), json!({})))
            .collect();
        json!({
            "pool": pool.id, "pool_name": pool.name, "type": kind, "size": pool.size, "min_size": pool.min_size,
            "pg_num": pool.pg_num, "pg_num_min": pool.pg_num_min, "crush_rule": self.ceph.rule_number(&pool.rule),
            "crush_rule_name": pool.rule, "pg_autoscale_mode": pool.autoscale, "target_size": pool.target_size,
            "target_size_ratio": pool.target_ratio, "application_metadata": applications, "bytes_used": raw,
            "percent_used": stored as f64 / (stored + room).max(1) as f64,
        })
    }

    fn ceph_pool_status(&self, pool: &Pool, verbose: bool) -> Value {
        let mut status = json!({
            "id": pool.id, "name": pool.name, "size": pool.size, "min_size": pool.min_size, "pg_num": pool.pg_num,
            "pg_num_min": pool.pg_num_min, "pgp_num": pool.pg_num, "crush_rule": pool.rule,
            "pg_autoscale_mode": pool.autoscale, "noscrub": false, "nodeep-scrub": false, "nodelete": false,
            "nopgchange": false, "nosizechange": false, "write_fadvise_dontneed": false, "hashpspool": true,
            "use_gmt_hitset": true, "fast_read": false, "target_size": pool.target_size,
            "target_size_ratio": pool.target_ratio,
        });
        if verbose {
            let (stored, raw, room) = (self.stored_in(pool), self.raw_of(pool), self.room_in(pool));
            status["statistics"] = json!({
                "stored": stored, "objects": self.objects_in(pool), "kb_used": raw / 1024, "bytes_used": raw,
                "percent_used": stored as f64 / (stored + room).max(1) as f64, "max_avail": room,
            });
            status["application_list"] = pool.application.iter().cloned().collect();
        }
        status
    }

    /// Makes a pool, or takes one of that name for it; then sets what is wanted.
    pub(super) fn create_pool(
        &mut self,
        job: u64,
        name: &str,
        wanted: &Map<String, Value>,
        profile: Option<&str>,
    ) -> Result<(), Reply> {
        if self.ceph.pool(name).is_none() {
            let number = wanted.get("pg_num").map(text_of);
            let number: u32 = number.and_then(|text| text.parse().ok()).unwrap_or(128);
            let setting = |key: &str, otherwise: u32| {
                let value = self.ceph_setting("global", key);
                value
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(otherwise)
            };
            let coded = profile.and_then(|profile| self.ceph.profiles.get(profile));
            let (size, min_size, rule) = match coded {
                Some((k, m, _)) => (k + m, k + 1, name.to_owned()),
                None => (
                    setting("osd_pool_default_size", 3),
                    setting("osd_pool_default_min_size", 2),
                    "replicated_rule".to_owned(),
                ),
            };
            self.refuse_groups(0, number, size)?;
            self.ceph.last_pool += 1;
            let id = self.ceph.last_pool;
            if profile.is_some() {
                let last = self.ceph.rules.keys().last().copied().unwrap_or(0);
                self.ceph.rules.insert(last + 1, rule.clone());
            }
            let pool = Pool {
                id,
                name: name.to_owned(),
                size,
                min_size,
                pg_num: number,
                pg_num_min: None,
                rule,
                application: None,
                autoscale: "on".to_owned(),
                target_size: None,
                target_ratio: None,
                profile: profile.map(str::to_owned),
            };
            self.ceph.pools.insert(id, pool);
        }
        self.set_pool(job, name, wanted)
    }

    /// Sets what is wanted of a pool, the number of copies first.
    pub(super) fn set_pool(
        &mut self,
        job: u64,
        name: &str,
        wanted: &Map<String, Value>,
    ) -> Result<(), Reply> {
        let Some(pool) = self.ceph.pool(name) else {
            return Err(refused(format!("unrecognized pool '{name}'")));
        };
        let (id, coded) = (pool.id, pool.profile.is_some());
        let mut names: Vec<&String> = wanted.keys().collect();
        names.sort_by_key(|key| (key.as_str() != "size", key.as_str()));
        let mut missing = Vec::new();
        for key in names {
            let value = wanted.get(key).map(text_of).unwrap_or_default();
            if coded && ["size", "crush_rule"].contains(&key.as_str()) {
                self.log(job, format!("cannot set '{key}' for erasure coded pool"));
                continue;
            }
            if self.pool_property(id, key).as_deref() == Some(&value) {
                self.log(job, format!("skipping '{key}', did not change"));
                continue;
            }
            self.log(job, format!("pool {name}: applying {key} = {value}"));
            if let Err(refusal) = self.set_pool_property(id, key, &value) {
                self.log(job, refusal.reason);
                missing.push(key.as_str());
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        let missing = missing.join(", ");
        Err(Reply::failed(format!("Could not set: {missing}")))
    }

    /// A setting as Ceph tells it; it does not tell the application among them.
    fn pool_property(&self, id: u64, name: &str) -> Option<String> {
        let pool = self.ceph.pools.get(&id)?;
        match name {
            "size" => Some(pool.size.to_string()),
            "min_size" => Some(pool.min_size.to_string()),
            "pg_num" => Some(pool.pg_num.to_string()),
            "pg_num_min" => pool.pg_num_min.map(|number| number.to_string()),
            "crush_rule" => Some(pool.rule.clone()),
            "pg_autoscale_mode" => Some(pool.autoscale.clone()),
            "target_size_bytes" => pool.target_size.map(|bytes| bytes.to_string()),
            "target_size_ratio" => pool.target_ratio.map(|ratio| ratio.to_string()),
            _ => None,
        }
    }

    fn set_pool_property(&mut self, id: u64, name: &str, value: &str) -> Result<(), Reply> {
        let Some(pool) = self.ceph.pools.get(&id).cloned() else {
            return Ok(());
        };
        let number: u32 = value.parse().unwrap_or(0);
        match name {
            "size" if number == 1 => {
                return Err(refused(
                    "configuring pool size as 1 is disabled by default.",
                ));
            }
            "size" => self.refuse_groups(id, pool.pg_num, number)?,
            "min_size" if number > pool.size => {
                return Err(refused(format!(
                    "pool min_size must be between 1 and size, which is set to {}",
                    pool.size
                )));
            }
            "pg_num" => self.refuse_groups(id, number, pool.size)?,
            "crush_rule" if self.ceph.rule_number(value).is_none() => {
                return Err(refused(format!("crush rule {value} does not exist")));
            }
            "application"
                if pool
                    .application
                    .as_deref()
                    .is_some_and(|have| have != value) =>
            {
                return Err(refused(format!(
                    "Are you SURE? Pool '{}' already has an enabled application; \
                     pass --yes-i-really-mean-it to proceed anyway",
                    pool.name
                )));
            }
            _ => {}
        }
        let Some(pool) = self.ceph.pools.get_mut(&id) else {
            return Ok(());
        };
        match name {
            "size" => {
                pool.size = number;
                pool.min_size = number - number / 2;
            }
            "min_size" => pool.min_size = number,
            "pg_num" => pool.pg_num = number,
            "pg_num_min" => pool.pg_num_min = Some(number),
            "crush_rule" => value.clone_into(&mut pool.rule),
            "pg_autoscale_mode" => value.clone_into(&mut pool.autoscale),
            "application" => pool.application = Some(value.to_owned()),
            "target_size_bytes" => pool.target_size = value.parse().ok(),
            "target_size_ratio" => pool.target_ratio = value.parse().ok(),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn make_pool(
        &mut self,
        job: u64,
        name: &str,
        wanted: &Map<String, Value>,
        coding: Option<&Coding>,
        storages: bool,
    ) -> Result<(), Reply> {
        let Some(coding) = coding else {
            self.create_pool(job, name, wanted, None)?;
            return match storages {
                true => self.add_pool_storage(name, name, None),
                false => Ok(()),
            };
        };
        let profile = match &coding.profile {
            Some(profile) => profile.clone(),
            None => {
                let profile = format!("pve_ec_{name}");
                let settings = (coding.k, coding.m, coding.per_host);
                self.ceph.profiles.insert(profile.clone(), settings);
                let line = format!("created new erasure code profile '{profile}'");
                self.log(job, line);
                profile
            }
        };
        let (data, metadata) = (format!("{name}-data"), format!("{name}-metadata"));
        let mut of_data = wanted.clone();
        for copies in ["size", "min_size", "crush_rule"] {
            of_data.shift_remove(copies);
        }
        self.create_pool(job, &data, &of_data, Some(&profile))?;
        let mut of_metadata = wanted.clone();
        of_metadata.insert("pg_num".to_owned(), "32".into());
        self.create_pool(job, &metadata, &of_metadata, None)?;
        match storages {
            true => self.add_pool_storage(name, &metadata, Some(&data)),
            false => Ok(()),
        }
    }

    fn add_pool_storage(
        &mut self,
        name: &str,
        pool: &str,
        data: Option<&str>,
    ) -> Result<(), Reply> {
        let mut more = Map::new();
        more.insert("pool".to_owned(), pool.into());
        if let Some(data) = data {
            more.insert("data-pool".to_owned(), data.into());
        }
        more.insert("krbd".to_owned(), 0.into());
        more.insert("content".to_owned(), "images,rootdir".into());
        self.add_ceph_storage(name, "rbd", more).map_err(|why| {
            Reply::failed(format!(
                "adding PVE storage for ceph pool '{name}' failed: {why}"
            ))
        })
    }

    /// Defines a storage on this Ceph; or says why not.
    pub(super) fn add_ceph_storage(
        &mut self,
        name: &str,
        kind: &str,
        mut more: Map<String, Value>,
    ) -> Result<(), String> {
        if self.storages.contains_key(name) {
            return Err(format!(
                "create storage failed: storage ID '{name}' already defined\n"
            ));
        }
        more.insert("shared".to_owned(), 1.into());
        let mut storage = StorageSpec::bare(name, kind, 0);
        storage.take_settings(more);
        self.storages.insert(name.to_owned(), storage);
        Ok(())
    }

    pub(super) fn remove_pool(
        &mut self,
        job: u64,
        name: &str,
        force: bool,
        storages: bool,
        profile: bool,
    ) -> Result<(), Reply> {
        let on_it = |storage: &Storage| {
            let of = |key: &str| storage.more.get(key).and_then(Value::as_str);
            let named = of("pool").unwrap_or("rbd") == name || of("data-pool") == Some(name);
            storage.kind == "rbd" && named
        };
        let found: Vec<(String, bool, bool)> = self
            .storages
            .values()
            .filter(|storage| on_it(storage))
            .map(|storage| {
                let external = storage.more.contains_key("monhost");
                (storage.name.clone(), storage.volumes.is_empty(), external)
            })
            .collect();
        for (storage, empty, _) in found.iter().filter(|_| !force) {
            self.log(
                job,
                format!("checking storage '{storage}' for RBD images.."),
            );
            if !empty {
                return Err(Reply::failed(format!(
                    "ceph pool '{name}' still in use by storage '{storage}'"
                )));
            }
        }
        self.destroy_pool(job, name, profile)?;
        for (storage, ..) in found.into_iter().filter(|(_, _, external)| !external) {
            if storages {
                self.storages.remove(&storage);
            } else if let Some(left) = self.storages.get_mut(&storage) {
                left.volumes.clear();
            }
        }
        Ok(())
    }

    pub(super) fn destroy_pool(
        &mut self,
        job: u64,
        name: &str,
        profile: bool,
    ) -> Result<(), Reply> {
        let Some(pool) = self.ceph.pool(name).cloned() else {
            return Err(refused(format!("unrecognized pool '{name}'")));
        };
        let served = |fs: &super::Filesystem| fs.data == name || fs.metadata == name;
        if self.ceph.filesystems.iter().any(served) {
            return Err(refused(format!("pool '{name}' is in use by CephFS")));
        }
        self.ceph.pools.remove(&pool.id);
        if let Some(own) = &pool.profile {
            self.log(
                job,
                format!("found erasure coded profile '{own}', destroying its CRUSH rule"),
            );
            self.ceph.rules.retain(|_, rule| *rule != pool.rule);
            if profile {
                self.log(job, format!("destroying erasure coded profile '{own}'"));
                self.ceph.profiles.remove(own);
            }
        }
        Ok(())
    }

    /// The manager keeps its own figures in a pool, as soon as there is a disk.
    pub(super) fn make_manager_pool(&mut self) {
        let managed = self.ceph.managers.values().any(|manager| manager.up);
        let served = self.ceph.osds.values().any(|osd| osd.up);
        if !managed || !served || self.ceph.pool(".mgr").is_some() {
            return;
        }
        self.ceph.last_pool += 1;
        let id = self.ceph.last_pool;
        let pool = Pool {
            id,
            name: ".mgr".to_owned(),
            size: 3,
            min_size: 2,
            pg_num: 1,
            pg_num_min: Some(1),
            rule: "replicated_rule".to_owned(),
            application: Some("mgr".to_owned()),
            autoscale: "on".to_owned(),
            target_size: None,
            target_ratio: None,
            profile: None,
        };
        self.ceph.pools.insert(id, pool);
    }
}
