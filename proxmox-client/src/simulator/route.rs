//! Which handler answers which path.

mod access;
mod acme;
mod agent;
mod apt;
mod backup;
mod bulk;
mod capability;
mod ceph;
mod certificate;
mod cloud_init;
mod cluster;
mod console;
mod corosync;
mod cpu_model;
mod disk;
mod execute;
mod figures;
mod firewall;
mod guest;
mod ha;
mod index;
mod journal;
mod lxc;
mod mapping;
mod metrics;
mod network;
mod node;
mod node_config;
mod notification;
mod openid;
mod options;
mod placement;
mod pool;
mod qemu;
mod realm;
mod remote;
mod replication;
mod sdn;
mod service;
mod shared;
mod storage;
mod subscription;
mod task;
mod tfa;
mod user;

use serde_json::Value;

use super::answer::Reply;
use super::engine::Verdict;
use super::guest::Species;
use super::http::Call;
use super::operation::Caller;
use super::schema;
use super::world::World;

pub(super) use acme::Domain;
pub use agent::GuestCommand;
pub(super) use agent::Process;
pub use apt::PackageSpec;
pub(super) use apt::Packages;
pub(super) use backup::Scheduler;
pub(super) use bulk::Bulk;
pub(super) use ceph::{Ceph, CephWork};
pub(super) use certificate::Custom;
pub use disk::DiskSpec;
pub(super) use disk::{DiskWork, Disks};
pub(super) use execute::Batch;
pub(super) use firewall::Firewall;
pub(super) use ha::Ha;
pub(super) use mapping::Mappings;
pub use mapping::{PciSpec, UsbSpec};
pub(super) use metrics::MetricServers;
pub(super) use network::NodeNetwork;
pub(super) use notification::Notifications;
pub(super) use openid::Providers;
pub(super) use pool::Pool;
pub(super) use realm::Realms;
pub(super) use replication::Replication;
pub(super) use sdn::Sdn;
pub(super) use subscription::Held;
pub use subscription::SubscriptionSpec;

/// An answer now, or a job whose end brings it.
pub(super) enum Handled {
    Now(Reply),
    Job(u64),
}

impl From<Result<Reply, Reply>> for Handled {
    fn from(result: Result<Reply, Reply>) -> Self {
        Self::Now(result.unwrap_or_else(|refusal| refusal))
    }
}

impl World {
    /// Handles a call at the present modelled moment.
    pub(super) fn handle(
        &mut self,
        call: &Call,
        headers: &std::collections::BTreeMap<String, String>,
    ) -> Handled {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let method = call.method.as_str();
        let found = schema::find(call, self.served_release());
        let known_node = |node: &str| self.nodes.contains_key(node);
        // What may be asked before a login.
        if let ("POST", ["access", "ticket"] | ["access", "openid", "auth-url" | "login"])
        | ("GET", ["access", "domains"]) = (method, segments.as_slice())
        {
            let admitted = found.and_then(|found| found.admit(known_node));
            return admitted
                .and_then(|call| match segments.as_slice() {
                    [_, "ticket"] => self.log_in(&call),
                    [_, "openid", what] => self.openid(what, &call),
                    _ => Ok(self.realm_list()),
                })
                .into();
        }
        let caller = match self.authenticate(method, headers) {
            Ok(caller) => caller,
            Err(refusal) => return Handled::Now(refusal),
        };
        let rights = (!caller.is_root()).then(|| self.directory().rights_of(&caller.full()));
        let admitted = found.and_then(|found| {
            found.refuse_conflict()?;
            if caller.token.is_some() {
                found.refuse_token()?;
            }
            let Some(rights) = &rights else {
                return found.admit(known_node);
            };
            found.refuse_rights(rights)?;
            let call = found.admit(known_node)?;
            self.refuse_call(rights, &call, &caller)?;
            Ok(call)
        });
        let call = match admitted {
            Ok(call) => call,
            Err(refusal) => return Handled::Now(refusal),
        };
        if let Err(refusal) = self.refuse_outage(method, &segments) {
            return Handled::Now(refusal);
        }
        let doomed = rights.and_then(|rights| self.doomed(&rights, &call));
        if let (Some(text), Verdict::Natural) = (doomed, &self.engine.verdict_for_next) {
            self.engine.verdict_for_next = Verdict::Fails(text);
        }
        match self.dispatch(method, &segments, &call, &caller) {
            Handled::Now(reply) if !caller.is_root() => {
                let rights = self.directory().rights_of(&caller.full());
                Handled::Now(self.seen(&rights, &call, reply))
            }
            handled => handled,
        }
    }

    fn dispatch(
        &mut self,
        method: &str,
        segments: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Handled {
        if let Some(handled) = self.change_shared(method, segments, call, caller) {
            return handled;
        }
        if method == "GET"
            && let Some(reply) = self.index(segments)
        {
            return Handled::Now(reply);
        }
        match (method, segments) {
            ("POST", ["access", "domains", realm, "sync"]) => self.sync_realm(realm, call).into(),
            ("GET", ["access", "domains", realm]) => self.read_realm(realm).into(),
            ("PUT", ["access", "password"]) => self.set_password(call, caller).into(),
            ("GET", ["access", "permissions"]) => Handled::Now(self.permissions(call, caller)),
            ("GET", ["access", "tfa", rest @ ..]) => self.read_tfa(rest, call).into(),
            ("GET", ["access", rest @ ..]) => self.read_access(rest, call).into(),
            ("GET", ["cluster", "firewall", rest @ ..]) => {
                self.read_firewall("cluster", rest, call).into()
            }
            ("GET", ["cluster", "backup" | "backup-info", ..]) => {
                self.read_backup(&segments[1..], call).into()
            }
            ("GET", ["cluster", "replication", rest @ ..]) => {
                self.read_replication(rest, call).into()
            }
            ("GET", ["cluster", "ha", rest @ ..]) => self.read_ha(rest, call).into(),
            ("GET", ["version"]) => Handled::Now(self.version_answer()),
            ("GET", ["cluster", "sdn", rest @ ..]) => self.read_sdn(rest, call).into(),
            ("PUT", ["cluster", "sdn"]) => self.apply_sdn(call, caller).into(),
            ("GET", ["cluster", "metrics", "export"]) => self.export_metrics(call).into(),
            ("GET", ["cluster", "metrics", rest @ ..]) => self.read_metrics(rest, call).into(),
            ("GET", ["cluster", "notifications", rest @ ..]) => {
                self.read_notifications(rest, call).into()
            }
            ("GET", ["cluster", "mapping", rest @ ..]) => self.read_mappings(rest, call).into(),
            ("POST", ["cluster", "bulk-action", "guest", what]) => {
                self.cluster_bulk(what, call, caller).into()
            }
            ("GET", ["cluster", "acme", rest @ ..]) => self.read_acme(rest, call).into(),
            (_, ["cluster", "acme", "account", rest @ ..]) => {
                self.write_acme_account(method, rest, call, caller).into()
            }
            ("GET", ["cluster", "config", rest @ ..]) => self.corosync(rest, call).into(),
            ("GET", ["cluster", "qemu", rest @ ..]) => self.read_cpu_models(rest, call).into(),
            (_, ["cluster", "ceph", rest @ ..]) => self.cluster_ceph(rest, call, caller).into(),
            (_, ["cluster", rest @ ..]) => self.cluster(method, rest, call).into(),
            ("GET", ["storage"]) => self.storage_definitions(call).into(),
            ("GET", ["storage", name]) => self.storage_definition(name).into(),
            ("GET", ["pools", rest @ ..]) => self.read_pools(rest, call).into(),
            ("GET", ["nodes"]) => Handled::Now(self.node_list()),
            ("POST", ["nodes", node, "wakeonlan"]) => self.wake_on_lan(node).into(),
            (_, ["nodes", node, rest @ ..]) => {
                if !self.nodes.contains_key(*node) {
                    return Handled::Now(Reply::failed(format!(
                        "hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
                    )));
                }
                match rest {
                    ["rrddata"] | ["qemu" | "lxc" | "storage", _, "rrddata"] => {
                        self.history(node, rest, call).into()
                    }
                    ["firewall", rest @ ..] => {
                        let scope = format!("node/{node}");
                        self.read_firewall(&scope, rest, call).into()
                    }
                    [branch @ ("qemu" | "lxc"), vmid, "firewall", rest @ ..] => {
                        let id = vmid.parse().unwrap_or_default();
                        self.guest_of(Species::at(branch), id, node)
                            .map(|_| ())
                            .and_then(|()| self.read_firewall(vmid, rest, call))
                            .into()
                    }
                    ["vncshell" | "termproxy" | "vncwebsocket"]
                    | [
                        "qemu" | "lxc",
                        _,
                        "vncproxy" | "termproxy" | "spiceproxy" | "vncwebsocket",
                    ] => self.console(method, node, rest, call, caller).into(),
                    [branch @ ("qemu" | "lxc"), rest @ ..] => {
                        self.node_guests(Species::at(branch), node, rest, call, caller)
                    }
                    ["storage", rest @ ..] => {
                        self.node_storage(method, node, rest, call, caller).into()
                    }
                    ["network", rest @ ..] => {
                        self.node_network(method, node, rest, call, caller).into()
                    }
                    ["services", rest @ ..] => self.node_services(node, rest, call, caller).into(),
                    ["hardware", rest @ ..] => self.node_hardware(node, rest, call).into(),
                    ["sdn", rest @ ..] => self.node_sdn(node, rest, call).into(),
                    ["vzdump", rest @ ..] => self.vzdump(method, node, rest, call, caller).into(),
                    ["replication", rest @ ..] => {
                        self.node_replication(method, node, rest, call).into()
                    }
                    ["ceph", rest @ ..] => self.node_ceph(node, rest, call, caller).into(),
                    ["disks", rest @ ..] => self.node_disks(node, rest, call, caller).into(),
                    ["apt", rest @ ..] => self.node_packages(node, rest, call, caller).into(),
                    ["certificates", "acme", rest @ ..] => {
                        self.acme_certificate(node, rest, call, caller)
                    }
                    ["certificates", rest @ ..] => self.node_certificates(node, rest, call).into(),
                    ["subscription"] => self.node_subscription(node, call).into(),
                    ["config"] => self.node_config(node, call).into(),
                    ["execute"] => self.execute(node, call, caller),
                    ["startall" | "stopall" | "suspendall" | "migrateall"] => {
                        self.node_bulk(node, rest[0], call, caller).into()
                    }
                    ["scan", what] => self.scan(method, what, call).into(),
                    ["tasks", rest @ ..] => self.node_tasks(method, node, rest, call, caller),
                    _ => self.node(method, node, rest, call).into(),
                }
            }
            _ => Handled::Now(not_simulated(call)),
        }
    }
}

/// What is not modelled says so.
pub(super) fn not_simulated(call: &Call) -> Reply {
    Reply::refusal(501, format!("not simulated: {} {}", call.method, call.path))
}

pub(super) fn list(entries: impl IntoIterator<Item = serde_json::Map<String, Value>>) -> Value {
    entries.into_iter().map(Value::Object).collect()
}
