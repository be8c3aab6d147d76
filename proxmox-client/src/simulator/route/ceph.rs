//! Ceph of the cluster: what it consists of, and who may ask it.

mod config;
mod describe;
mod filesystem;
mod map;
mod osd;
mod pool;
mod safety;
mod service;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::not_simulated;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::world::World;

use config::Conf;
use filesystem::Filesystem;
use osd::Osd;
use pool::Pool;
use service::{Daemon, Trade};

pub(in super::super) use work::CephWork;

/// All of Ceph.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct Ceph {
    /// Nodes that have the packages.
    installed: BTreeSet<String>,
    /// The configuration file, once it was made.
    config: Option<Conf>,
    /// Whether there is the administrator's key.
    has_key: bool,
    monitors: BTreeMap<String, Daemon>,
    managers: BTreeMap<String, Daemon>,
    metadata_servers: BTreeMap<String, Daemon>,
    osds: BTreeMap<u32, Osd>,
    pools: BTreeMap<u64, Pool>,
    last_pool: u64,
    filesystems: Vec<Filesystem>,
    /// Flags that are set, by the names of the interface.
    flags: BTreeSet<String>,
    /// Rules of placement, beside the one that is always there; by number.
    rules: BTreeMap<u64, String>,
    /// Profiles of erasure coding: data and coding chunks, and whether these must be on hosts of their own.
    profiles: BTreeMap<String, (u32, u32, bool)>,
    /// Settings in the monitors' database: section, name, value.
    database: Vec<(String, String, String)>,
    log: Vec<String>,
}

/// The release that nodes have.
const RELEASE: &str = "squid";

const VERSION: &str = "19.2.3";

const COMMIT: &str = "1f8ad9a7d8a5a4e6f1a9a0c2d5f1b3c47e6d9f20";

fn full_version() -> String {
    format!("ceph version {VERSION} ({COMMIT}) {RELEASE} (stable)")
}

/// How the library for reaching Ceph tells what a command was refused for.
fn refused(why: impl std::fmt::Display) -> Reply {
    Reply::failed(format!("mon_command failed - {why}"))
}

impl World {
    /// Gives all nodes that are there now the packages of Ceph, as `pveceph install` does. Without them Ceph is not
    /// configured on a node.
    #[must_use]
    pub fn with_ceph(mut self) -> Self {
        self.ceph.installed.extend(self.nodes.keys().cloned());
        self
    }

    /// Puts a Ceph there that has a monitor and a manager on every node that is there now, and no disks.
    #[must_use]
    pub fn with_ceph_cluster(mut self) -> Self {
        self = self.with_ceph();
        let nodes: Vec<(String, String)> = self
            .nodes
            .iter()
            .map(|(name, node)| (name.clone(), node.address.clone()))
            .collect();
        self.init_ceph(&json!({}));
        for (node, address) in nodes {
            self.put_monitor(&node, &node, &[address]);
            if !self.ceph.managers.contains_key(&node) {
                let daemon = self.daemon(&node);
                self.ceph.managers.insert(node.clone(), daemon);
            }
        }
        self.settle_ceph();
        self
    }

    /// Refuses what a node without packages or a cluster without a configuration cannot do.
    fn ceph_inited(&self, node: &str) -> Result<(), Reply> {
        self.ceph_installed(node)?;
        match self.ceph.config {
            Some(_) => Ok(()),
            None => Err(Reply::failed(
                "pveceph configuration not initialized - missing '/etc/pve/ceph.conf', missing '/etc/pve/ceph'",
            )),
        }
    }

    fn ceph_installed(&self, node: &str) -> Result<(), Reply> {
        match self.ceph.installed.contains(node) {
            true => Ok(()),
            false => Err(Reply::failed("binary not installed: /usr/bin/ceph-mon")),
        }
    }

    /// Refuses what needs the administrator's key.
    fn ceph_configured(&self, node: &str) -> Result<(), Reply> {
        self.ceph_inited(node)?;
        match self.ceph.has_key {
            true => Ok(()),
            false => Err(Reply::failed(
                "ceph not fully configured - missing '/etc/pve/priv/ceph.client.admin.keyring'",
            )),
        }
    }

    /// Refuses what has to ask the monitors.
    fn ceph_reached(&self) -> Result<(), Reply> {
        let monitors = &self.ceph.monitors;
        if monitors.is_empty() {
            return Err(Reply::failed(
                "rados_connect failed - No such file or directory",
            ));
        }
        match self.ceph.has_quorum() {
            true => Ok(()),
            false => Err(Reply::failed("got timeout")),
        }
    }

    fn ceph_ready(&self, node: &str) -> Result<(), Reply> {
        self.ceph_inited(node)?;
        self.ceph_reached()
    }

    fn ceph_task(
        &mut self,
        node: &str,
        kind: &str,
        id: &str,
        caller: &Caller,
        takes: Duration,
        work: CephWork,
    ) -> Reply {
        let operation = Operation::Ceph {
            node: node.to_owned(),
            work: Box::new(work),
        };
        let steps = vec![Step::Work(takes), Step::Finish];
        self.start_task(node, kind, id, caller, operation, steps)
    }

    /// Below `/cluster/ceph`, which the node answers that was asked.
    pub(super) fn cluster_ceph(&mut self, rest: &[&str], call: &Call, caller: &Caller) -> Outcome {
        self.settle_ceph();
        let node = self.nodes.keys().next().cloned().unwrap_or_default();
        match (call.method.as_str(), rest) {
            ("GET", ["status"]) => {
                self.ceph_ready(&node)?;
                Ok(Reply::data(self.ceph_status()))
            }
            ("GET", ["metadata"]) => self.ceph_metadata(&node, call),
            ("GET", ["flags"]) => {
                self.ceph_configured(&node)?;
                self.ceph_reached()?;
                Ok(Reply::data(self.ceph_flags()))
            }
            ("GET", ["flags", flag]) => {
                self.ceph_configured(&node)?;
                self.ceph_reached()?;
                Ok(Reply::data(u8::from(self.ceph.flags.contains(*flag))))
            }
            ("PUT", ["flags", flag]) => {
                self.ceph_configured(&node)?;
                self.ceph_reached()?;
                self.set_ceph_flag(flag, call.flag("value"));
                self.settle_ceph();
                Ok(Reply::data(()))
            }
            ("PUT", ["flags"]) => {
                self.ceph_configured(&node)?;
                let wanted = config::flags_in(call);
                let work = CephWork::Flags(wanted);
                let takes = Duration::from_millis(300);
                Ok(self.ceph_task(&node, "cephsetflags", "", caller, takes, work))
            }
            _ => Err(not_simulated(call)),
        }
    }

    /// Below `/nodes/{node}/ceph`.
    pub(super) fn node_ceph(
        &mut self,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        self.settle_ceph();
        match (call.method.as_str(), rest) {
            ("GET", ["status"]) => {
                self.ceph_ready(node)?;
                Ok(Reply::data(self.ceph_status()))
            }
            ("GET", ["releases"]) => Ok(Reply::data(config::releases())),
            ("POST", ["init"]) => {
                if !self.ceph.installed.contains(node) {
                    return Err(Reply::failed(
                        "Ceph Nautilus required - please run 'pveceph install'",
                    ));
                }
                let given = Value::Object(call.params.clone());
                self.init_ceph(&given);
                Ok(Reply::data(()))
            }
            ("GET", ["cfg" | "crush" | "log" | "rules", ..]) => {
                self.read_ceph_config(node, rest, call)
            }
            ("GET", ["cmd-safety"]) => self.ceph_safety(node, call),
            (_, ["mon" | "mgr" | "mds", ..] | ["start" | "stop" | "restart"]) => {
                self.ceph_services(node, rest, call, caller)
            }
            (_, ["osd", rest @ ..]) => self.ceph_osds(node, rest, call, caller),
            (_, ["pool", rest @ ..]) => self.ceph_pools(node, rest, call, caller),
            (_, ["fs", rest @ ..]) => self.ceph_filesystems(node, rest, call, caller),
            _ => Err(not_simulated(call)),
        }
    }

    /// What happens by itself: disks that were down for long are marked out, the manager makes its pool, and storages
    /// follow what the disks offer.
    pub(super) fn settle_ceph(&mut self) {
        if self.ceph.config.is_none() {
            return;
        }
        self.mark_lost_osds_out();
        self.make_manager_pool();
        self.resize_ceph_storages();
    }

    fn mark_lost_osds_out(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(600);
        let now = self.now;
        if self.ceph.flags.contains("noout") || !self.ceph.has_quorum() {
            return;
        }
        let all = self.ceph.osds.len();
        let due = |osd: &Osd| {
            let down = osd.down_since.filter(|_| osd.inside)?;
            (down + PATIENCE <= now).then_some(down)
        };
        let mut lost: Vec<(SystemTime, u32)> = self
            .ceph
            .osds
            .iter()
            .filter_map(|(id, osd)| Some((due(osd)?, *id)))
            .collect();
        lost.sort_unstable();
        for (_, id) in lost {
            // Where too few would stay in, the monitors leave it at that.
            let inside = self.ceph.osds.values().filter(|osd| osd.inside).count();
            if (inside - 1) * 4 < all * 3 {
                break;
            }
            if let Some(osd) = self.ceph.osds.get_mut(&id) {
                osd.inside = false;
                osd.lost = true;
            }
            self.ceph_log(
                "INF",
                &format!("Marking osd.{id} out (has been down for 600 seconds)"),
            );
        }
    }
}

impl Ceph {
    fn has_quorum(&self) -> bool {
        let up = self.monitors.values().filter(|monitor| monitor.up).count();
        up * 2 > self.monitors.len()
    }

    fn of(&self, trade: Trade) -> &BTreeMap<String, Daemon> {
        match trade {
            Trade::Monitor => &self.monitors,
            Trade::Manager => &self.managers,
            Trade::Metadata => &self.metadata_servers,
        }
    }

    fn of_mut(&mut self, trade: Trade) -> &mut BTreeMap<String, Daemon> {
        match trade {
            Trade::Monitor => &mut self.monitors,
            Trade::Manager => &mut self.managers,
            Trade::Metadata => &mut self.metadata_servers,
        }
    }
}
