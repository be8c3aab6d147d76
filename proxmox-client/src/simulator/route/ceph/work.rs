//! What the tasks of Ceph do.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::osd::{Osd, Part};
use super::pool::Coding;
use super::service::{Trade, Unit};
use crate::simulator::answer::Reply;
use crate::simulator::world::World;

/// Work of a task.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super::super) enum CephWork {
    /// Flags are set or taken back.
    Flags(Vec<(String, bool)>),
    MakeDaemon {
        trade: Trade,
        id: String,
        addresses: Vec<String>,
    },
    RemoveDaemon {
        trade: Trade,
        id: String,
    },
    Service {
        command: String,
        unit: Unit,
    },
    MakeOsd(NewOsd),
    RemoveOsd {
        id: u32,
        cleanup: bool,
    },
    MakePool {
        name: String,
        wanted: Map<String, Value>,
        coding: Option<Coding>,
        storages: bool,
    },
    SetPool {
        name: String,
        wanted: Map<String, Value>,
    },
    RemovePool {
        name: String,
        force: bool,
        storages: bool,
        profile: bool,
    },
    MakeFilesystem {
        name: String,
        groups: u32,
        storage: bool,
    },
    RemoveFilesystem {
        name: String,
        storages: bool,
        pools: bool,
    },
}

/// Disks to be made of a device.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super::super) struct NewOsd {
    pub(super) device: String,
    pub(super) class: Option<String>,
    pub(super) encrypted: bool,
    pub(super) count: u32,
    pub(super) sides: Vec<Side>,
}

/// A part of it on another device.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super::super) struct Side {
    /// `db` or `wal`.
    pub(super) kind: String,
    pub(super) device: String,
    /// Bytes, if anyone said.
    pub(super) size: Option<u64>,
}

impl World {
    /// Does the work of a task.
    pub(in super::super::super) fn work_on_ceph(
        &mut self,
        job: u64,
        node: &str,
        work: &CephWork,
    ) -> Result<(), Reply> {
        let done = self.do_ceph_work(job, node, work);
        self.settle_ceph();
        done
    }

    fn do_ceph_work(&mut self, job: u64, node: &str, work: &CephWork) -> Result<(), Reply> {
        match work {
            CephWork::Flags(wanted) => {
                self.ceph_reached()?;
                for (flag, on) in wanted {
                    if self.ceph.flags.contains(flag) != *on {
                        let word = if *on { "set" } else { "unset" };
                        self.log(job, format!("{word} {flag}"));
                        self.set_ceph_flag(flag, *on);
                    }
                }
                Ok(())
            }
            CephWork::MakeDaemon {
                trade,
                id,
                addresses,
            } => self.begin_daemon(job, node, *trade, id, addresses),
            CephWork::RemoveDaemon { trade, id } => self.end_daemon(job, node, *trade, id),
            CephWork::Service { command, unit } => self.command_ceph(node, command, unit),
            CephWork::MakeOsd(new) => self.begin_osd(job, node, new),
            CephWork::RemoveOsd { id, cleanup } => self.end_osd(job, node, *id, *cleanup),
            CephWork::MakePool {
                name,
                wanted,
                coding,
                storages,
            } => self.make_pool(job, name, wanted, coding.as_ref(), *storages),
            CephWork::SetPool { name, wanted } => {
                self.ceph_reached()?;
                self.set_pool(job, name, wanted)
            }
            CephWork::RemovePool {
                name,
                force,
                storages,
                profile,
            } => {
                self.ceph_reached()?;
                self.remove_pool(job, name, *force, *storages, *profile)
            }
            CephWork::MakeFilesystem {
                name,
                groups,
                storage,
            } => self.make_filesystem(job, name, *groups, *storage),
            CephWork::RemoveFilesystem {
                name,
                storages,
                pools,
            } => self.remove_filesystem(job, name, *storages, *pools),
        }
    }

    fn begin_daemon(
        &mut self,
        job: u64,
        node: &str,
        trade: Trade,
        id: &str,
        addresses: &[String],
    ) -> Result<(), Reply> {
        match trade {
            Trade::Monitor => {
                self.refuse_monitor(id, addresses)?;
                if self.put_monitor(node, id, addresses) {
                    self.log(
                        job,
                        "created the first monitor, assume it's safe to disable insecure global ID reclaim for new setup",
                    );
                    self.log(job, "Configuring keyring for ceph-crash.service");
                }
                return Ok(());
            }
            Trade::Manager => {
                self.ceph_reached()?;
                if self.ceph.managers.contains_key(id) {
                    return Err(Reply::failed(format!(
                        "ceph manager directory '/var/lib/ceph/mgr/ceph-{id}' already exists"
                    )));
                }
                self.log(
                    job,
                    format!("creating manager directory '/var/lib/ceph/mgr/ceph-{id}'"),
                );
            }
            Trade::Metadata => {
                self.ceph_reached()?;
                if self.ceph.metadata_servers.contains_key(id) {
                    return Err(Reply::failed(format!(
                        "MDS '{id}' already referenced in ceph config, abort!"
                    )));
                }
                self.log(
                    job,
                    format!("creating MDS directory '/var/lib/ceph/mds/ceph-{id}'"),
                );
                if let Some(conf) = &mut self.ceph.config {
                    conf.set("mds", "keyring", "/var/lib/ceph/mds/ceph-$id/keyring");
                    conf.set(&format!("mds.{id}"), "host", node);
                }
            }
        }
        let branch = trade.branch();
        self.log(job, format!("creating keys for '{branch}.{id}'"));
        self.log(
            job,
            format!("enabling service 'ceph-{branch}@{id}.service'"),
        );
        self.log(
            job,
            format!("starting service 'ceph-{branch}@{id}.service'"),
        );
        let daemon = self.daemon(node);
        self.ceph.of_mut(trade).insert(id.to_owned(), daemon);
        Ok(())
    }

    fn end_daemon(&mut self, job: u64, node: &str, trade: Trade, id: &str) -> Result<(), Reply> {
        let here = self.ceph.of(trade).get(id);
        let here = here.is_some_and(|daemon| daemon.node == node);
        let branch = trade.branch();
        match trade {
            Trade::Monitor => {
                self.ceph_reached()?;
                self.refuse_monitor_removal(node, id)?;
                self.drop_monitor(id);
                return Ok(());
            }
            Trade::Manager if !here => {
                return Err(Reply::failed(format!(
                    "ceph manager directory '/var/lib/ceph/mgr/ceph-{id}' not found"
                )));
            }
            Trade::Metadata => {
                if let Some(conf) = &mut self.ceph.config {
                    conf.remove(&format!("mds.{id}"));
                }
            }
            Trade::Manager => {}
        }
        self.log(
            job,
            format!("disabling service 'ceph-{branch}@{id}.service'"),
        );
        self.log(
            job,
            format!("stopping service 'ceph-{branch}@{id}.service'"),
        );
        if here {
            self.ceph.of_mut(trade).remove(id);
        } else {
            let folder = format!("/var/lib/ceph/{branch}/ceph-{id}");
            self.log(
                job,
                format!("cannot cleanup MDS {id} directory, '{folder}' not found"),
            );
        }
        Ok(())
    }

    fn begin_osd(&mut self, job: u64, node: &str, new: &NewOsd) -> Result<(), Reply> {
        self.ceph_reached()?;
        let mut disks = self.disks_of(node);
        disks.refuse_osd(&new.device)?;
        let line = format!("create OSD on {} (bluestore)", new.device);
        self.log(job, line);
        let whole = disks.size_for_osd(&new.device);
        let mut parts = Vec::new();
        for side in &new.sides {
            let share = if side.kind == "db" { 10 } else { 100 };
            let size = side.size.unwrap_or(whole / share);
            self.log(
                job,
                format!("creating block.{} on '{}'", side.kind, side.device),
            );
            let name = format!("osd-{}-{}", side.kind, self.draw_uuid());
            let group =
                disks.lvm_for_osd(&side.device, size, || format!("ceph-{}", self.draw_uuid()))?;
            self.log(
                job,
                format!("using '{group}/{name}' for block.{}", side.kind),
            );
            parts.push(Part {
                kind: side.kind.clone(),
                device: side.device.clone(),
                group,
                name,
                size,
                uuid: self.draw_uuid(),
            });
        }
        let class = match &new.class {
            Some(class) => class.clone(),
            None => disks.class_for_osd(&new.device).to_owned(),
        };
        let room = disks.room_for_osd(&new.device);
        let each = room / u64::from(new.count.max(1)) / (4 << 20) * (4 << 20);
        let pid = self.next_pid;
        for _ in 0..new.count.max(1) {
            let id = (0..)
                .find(|id| !self.ceph.osds.contains_key(id))
                .unwrap_or(0);
            let fresh = || format!("ceph-{}", self.draw_uuid());
            let group = disks.lvm_for_osd(&new.device, each, fresh)?;
            let block = Part {
                kind: "block".to_owned(),
                device: new.device.clone(),
                group,
                name: format!("osd-block-{}", self.draw_uuid()),
                size: each,
                uuid: self.draw_uuid(),
            };
            let mut all = vec![block];
            all.append(&mut parts);
            for part in &all {
                disks.give_to_osd(&part.device, id, &part.kind, part.size, new.encrypted);
            }
            let flags = &self.ceph.flags;
            let up = !flags.contains("noup");
            let osd = Osd {
                node: node.to_owned(),
                class: class.clone(),
                encrypted: new.encrypted,
                parts: all,
                up,
                inside: up && !flags.contains("noin"),
                down_since: (!up).then_some(self.now),
                lost: false,
                made: self.now,
                pid,
            };
            self.ceph.osds.insert(id, osd);
            self.next_pid += 5;
            self.log(
                job,
                format!("--> ceph-volume lvm activate successful for osd ID: {id}"),
            );
            if up {
                self.ceph_log("INF", &format!("osd.{id} boot"));
            }
        }
        self.log(
            job,
            format!("--> ceph-volume lvm create successful for: {}", new.device),
        );
        if let Some(node) = self.nodes.get_mut(node) {
            node.upkeep.disks = disks;
        }
        Ok(())
    }

    fn end_osd(&mut self, job: u64, node: &str, id: u32, cleanup: bool) -> Result<(), Reply> {
        self.ceph_reached()?;
        self.log(job, format!("destroy OSD osd.{id}"));
        self.log(job, format!("Remove osd.{id} from the CRUSH map"));
        self.log(job, format!("Remove the osd.{id} authentication key."));
        self.log(job, format!("Remove OSD osd.{id}"));
        self.log(
            job,
            format!("Remove osd.{id} mclock max capacity iops settings from config"),
        );
        self.ceph.osds.remove(&id);
        if let Some(node) = self.nodes.get_mut(node) {
            node.upkeep.disks.take_from_osd(id, cleanup);
        }
        Ok(())
    }
}
