//! Where copies are: which disks hold which placement groups, and what room that leaves.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pool::Pool;
use super::{Ceph, refused};
use crate::simulator::answer::Reply;
use crate::simulator::world::World;

/// What is on disks.
pub(super) struct Usage {
    /// Placement groups by disk.
    pub(super) groups: BTreeMap<u32, u64>,
    /// Bytes by disk.
    pub(super) used: BTreeMap<u32, u64>,
}

/// How many placement groups are in which state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct States {
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Objects' copies that are missing.
    pub(super) degraded: u64,
}

impl States {
    pub(super) fn of(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let counts = self.counts.iter();
        counts
            .filter(|(state, _)| wanted(state))
            .map(|(_, count)| count)
            .sum()
    }
}

/// A number that follows from others, as placement by hashes does.
fn mix(a: u64, b: u64, c: u64) -> u64 {
    let mut z = a
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(b.wrapping_mul(0xBF58_476D_1CE4_E5B9))
        .wrapping_add(c.wrapping_mul(0x94D0_49BB_1331_11EB));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// How many placement groups a disk may hold.
const MOST_GROUPS: u64 = 250;

/// An object's usual size.
const OBJECT: u64 = 4 << 20;

impl Ceph {
    /// The disks of each host.
    pub(super) fn hosts(&self) -> BTreeMap<String, Vec<u32>> {
        let mut hosts: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (id, osd) in &self.osds {
            hosts.entry(osd.node.clone()).or_default().push(*id);
        }
        hosts
    }

    /// The failure domains of a pool: hosts, or single disks; of disks that are in and hold something.
    fn domains(&self, pool: &Pool) -> Vec<Vec<u32>> {
        let counts = |id: &u32| {
            self.osds
                .get(id)
                .is_some_and(|osd| osd.inside && osd.size() > 0)
        };
        let hosts = self.hosts().into_values();
        let hosts = hosts.map(|ids| ids.into_iter().filter(counts).collect::<Vec<u32>>());
        let all: Vec<Vec<u32>> = hosts.filter(|ids| !ids.is_empty()).collect();
        match self.per_host(pool) {
            true => all,
            false => all.into_iter().flatten().map(|id| vec![id]).collect(),
        }
    }

    fn per_host(&self, pool: &Pool) -> bool {
        let profile = pool.profile.as_ref();
        let profile = profile.and_then(|profile| self.profiles.get(profile));
        profile.is_none_or(|(_, _, per_host)| *per_host)
    }

    /// The disks that a placement group is on, whether they are up or not.
    pub(super) fn placed(&self, pool: &Pool, group: u64) -> Vec<u32> {
        let domains = self.domains(pool);
        let number = domains.len() as u64;
        let first = mix(pool.id, group, 0).checked_rem(number).unwrap_or(0);
        let chosen = (0..u64::from(pool.size).min(number)).map(|step| {
            let at = ((first + step) % number) as usize;
            let ids = &domains[at];
            ids[(mix(pool.id, group, at as u64 + 1) % ids.len() as u64) as usize]
        });
        chosen.collect()
    }

    pub(super) fn is_up(&self, id: u32) -> bool {
        self.osds.get(&id).is_some_and(|osd| osd.up)
    }

    /// The states of a pool's placement groups, if these disks were down too.
    pub(super) fn states(&self, pool: &Pool, objects: u64, without: &[u32]) -> States {
        let mut states = States::default();
        for group in 0..u64::from(pool.pg_num) {
            let placed = self.placed(pool, group);
            let up = |id: &&u32| self.is_up(**id) && !without.contains(id);
            let acting = placed.iter().filter(up).count() as u64;
            let (size, least) = (u64::from(pool.size), u64::from(pool.min_size));
            let holds = objects > 0;
            let state = match (acting, holds) {
                (0, _) if placed.is_empty() => "unknown",
                (0, _) => "stale+undersized+peered",
                (acting, _) if acting >= size => "active+clean",
                (acting, false) if acting >= least => "active+undersized",
                (acting, true) if acting >= least => "active+undersized+degraded",
                (_, false) => "undersized+peered",
                (_, true) => "undersized+degraded+peered",
            };
            *states.counts.entry(state).or_default() += 1;
            if acting < size && holds {
                let share = objects.div_ceil(u64::from(pool.pg_num));
                states.degraded += share * (size - acting);
            }
        }
        states
    }
}

impl World {
    /// Bytes that guests have put into a pool.
    pub(super) fn stored_in(&self, pool: &Pool) -> u64 {
        let fits = |storage: &&crate::simulator::volume::Storage| {
            let of = |key: &str| storage.more.get(key).and_then(Value::as_str);
            if storage.kind == "cephfs" && of("monhost").is_none() {
                let name = of("fs-name").or_else(|| self.ceph.first_filesystem());
                let data = name.and_then(|name| self.ceph.data_pool_of(name));
                return data == Some(pool.name.as_str());
            }
            // Data lie in the pool with the chunks, where there is one.
            let data = of("data-pool").or(of("pool")).unwrap_or("rbd");
            storage.kind == "rbd" && of("monhost").is_none() && data == pool.name
        };
        let storages = self.storages.values().filter(fits);
        storages.map(|storage| storage.used()).sum()
    }

    pub(super) fn objects_in(&self, pool: &Pool) -> u64 {
        self.stored_in(pool).div_ceil(OBJECT)
    }

    /// Bytes that a pool takes up on disks.
    pub(super) fn raw_of(&self, pool: &Pool) -> u64 {
        (self.stored_in(pool) as f64 * self.ceph.overhead(pool)) as u64
    }

    /// What a pool can still take.
    pub(super) fn room_in(&self, pool: &Pool) -> u64 {
        let (total, used) = self.raw_room();
        let full = total as f64 * 0.95;
        ((full - used as f64).max(0.0) / self.ceph.overhead(pool)) as u64
    }

    /// All bytes of disks that are in, and those in use.
    pub(super) fn raw_room(&self) -> (u64, u64) {
        let inside = self.ceph.osds.values().filter(|osd| osd.inside);
        let total = inside.map(|osd| osd.size()).sum();
        let used = self.ceph.pools.values().map(|pool| self.raw_of(pool)).sum();
        (total, used)
    }

    pub(super) fn osd_usage(&self) -> Usage {
        let (mut groups, mut used) = (BTreeMap::new(), BTreeMap::new());
        for pool in self.ceph.pools.values() {
            let share =
                self.raw_of(pool) / u64::from(pool.pg_num.max(1)) / u64::from(pool.size.max(1));
            for group in 0..u64::from(pool.pg_num) {
                for id in self.ceph.placed(pool, group) {
                    *groups.entry(id).or_default() += 1;
                    *used.entry(id).or_default() += share;
                }
            }
        }
        Usage { groups, used }
    }

    /// Storages on Ceph offer what its disks do.
    pub(super) fn resize_ceph_storages(&mut self) {
        let ceph = &self.ceph;
        let pool_of = |storage: &crate::simulator::volume::Storage| -> Option<u64> {
            let of = |key: &str| storage.more.get(key).and_then(Value::as_str);
            if of("monhost").is_some() {
                return None;
            }
            let name = match storage.kind.as_str() {
                "rbd" => of("data-pool").or(of("pool")).unwrap_or("rbd"),
                "cephfs" => {
                    ceph.data_pool_of(of("fs-name").or_else(|| ceph.first_filesystem())?)?
                }
                _ => return None,
            };
            let found = ceph.pools.values().find(|pool| pool.name == name);
            found.map(|pool| pool.id)
        };
        let found: Vec<(String, u64)> = self
            .storages
            .values()
            .filter_map(|storage| {
                let pool = self.ceph.pools.get(&pool_of(storage)?)?;
                Some((storage.name.clone(), storage.used() + self.room_in(pool)))
            })
            .collect();
        for (name, total) in found {
            if let Some(storage) = self.storages.get_mut(&name) {
                storage.total = total;
            }
        }
    }

    /// Refuses more placement groups than disks may hold.
    pub(super) fn refuse_groups(&self, id: u64, number: u32, size: u32) -> Result<(), Reply> {
        let others = self.ceph.pools.values().filter(|pool| pool.id != id);
        let others = others.map(|pool| u64::from(pool.pg_num) * u64::from(pool.size));
        let all = others.sum::<u64>() + u64::from(number) * u64::from(size);
        let inside = self.ceph.osds.values().filter(|osd| osd.inside).count() as u64;
        // A cluster that is being built counts as one of three disks.
        let disks = inside.max(3);
        if all <= MOST_GROUPS * disks {
            return Ok(());
        }
        Err(refused(format!(
            " pg_num {number} size {size} for this pool would result in {} cumulative PGs per OSD \
             ({all} total PG replicas on {disks} 'in' root OSDs by crush rule) which exceeds the \
             mon_max_pg_per_osd value of {MOST_GROUPS}",
            all / disks
        )))
    }

    /// The flags as the map of disks tells them.
    pub(super) fn osdmap_flags(&self) -> String {
        let set = self.ceph.flags.iter().flat_map(|flag| match flag.as_str() {
            "pause" => vec!["pauserd", "pausewr"],
            other => vec![other],
        });
        let always = [
            "sortbitwise",
            "recovery_deletes",
            "purged_snapdirs",
            "pglog_hardlimit",
        ];
        set.chain(always).collect::<Vec<_>>().join(",")
    }
}
