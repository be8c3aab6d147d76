//! Files that all nodes share: users and rights, pools, storages, firewalls, jobs, HA.
//! Whoever changes one holds its
//! cluster lock meanwhile.

use super::{Handled, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::{Key, Step};
use crate::simulator::guest::Species;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, LOCK_WAIT, Operation};
use crate::simulator::world::World;

/// The cluster lock that a call takes.
fn lock_of(method: &str, segments: &[&str]) -> Option<Key> {
    if method == "GET" {
        return None;
    }
    // Applying, without a noun, is a task.
    if let ["cluster", "sdn", _, rest @ ..] = segments
        && !matches!(rest, [_, "firewall", ..])
    {
        return Some(Key::ClusterDomain("sdn".to_owned()));
    }
    if let ["cluster", "ha", ..] = segments {
        return Some(Key::ClusterDomain("ha".to_owned()));
    }
    file_of(segments).map(Key::ClusterFile)
}

/// The file that a call changes.
fn file_of(segments: &[&str]) -> Option<String> {
    match segments {
        ["access", "tfa", ..] | ["access", "users", _, "unlock-tfa"] => {
            Some("priv_tfa_cfg".to_owned())
        }
        ["access", "users" | "groups" | "roles" | "acl", ..] | ["pools", ..] => {
            Some("user_cfg".to_owned())
        }
        ["access", "domains", _, "sync"] => None,
        ["access", "domains", ..] => Some("domains_cfg".to_owned()),
        ["cluster", "acme", "plugins", ..] => Some("priv_acme_plugins_cfg".to_owned()),
        ["cluster", "metrics", ..] => Some("status_cfg".to_owned()),
        ["cluster", "notifications", ..] => Some("notifications_cfg".to_owned()),
        ["cluster", "options"] => Some("datacenter_cfg".to_owned()),
        ["cluster", "mapping", kind, ..] => Some(format!("mapping_{kind}_cfg")),
        ["cluster", "qemu", ..] => Some("virtual-guest_cpu-models_conf".to_owned()),
        ["storage", ..] => Some("storage_cfg".to_owned()),
        ["cluster", "sdn", "vnets", vnet, "firewall", ..] => Some(format!("firewall_{vnet}_fw")),
        ["cluster", "replication", ..] => Some("replication_cfg".to_owned()),
        ["cluster", "backup", ..] => Some("jobs_cfg".to_owned()),
        ["cluster", "firewall", ..] => Some("firewall_cluster_fw".to_owned()),
        ["nodes", node, "firewall", ..] => Some(format!("firewall_{node}_fw")),
        ["nodes", _, "qemu" | "lxc", vmid, "firewall", ..] => Some(format!("firewall_{vmid}_fw")),
        _ => None,
    }
}

impl World {
    /// Begins a change of a shared file, if the call is one.
    pub(super) fn change_shared(
        &mut self,
        method: &str,
        segments: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Option<Handled> {
        let key = lock_of(method, segments)?;
        let mut steps = vec![Step::Lock {
            key,
            shared: false,
            wait: LOCK_WAIT,
            prefix: String::new(),
        }];
        steps.extend([Step::Compute(self.writing()), Step::Finish]);
        let operation = Operation::Write {
            call: Box::new(call.clone()),
            caller: caller.clone(),
        };
        Some(Handled::Job(self.begin(None, operation, steps)))
    }

    /// Makes the change, under the lock.
    pub(in super::super) fn write(&mut self, call: &Call, caller: &Caller) -> Outcome {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), segments.as_slice()) {
            (method, ["access", "domains", rest @ ..]) => self.write_realm(method, rest, call),
            (method, ["cluster", "acme", "plugins", rest @ ..]) => {
                self.write_acme_plugin(method, rest, call)
            }
            (method, ["cluster", "metrics", rest @ ..]) => self.write_metrics(method, rest, call),
            (method, ["cluster", "notifications", rest @ ..]) => {
                self.write_notifications(method, rest, call)
            }
            (_, ["cluster", "options"]) => self.set_cluster_options(call),
            (method, ["access", "tfa", rest @ ..]) => self.write_tfa(method, rest, call, caller),
            ("PUT", ["access", "users", user, "unlock-tfa"]) => self.unlock_factors(user),
            (method, ["access", rest @ ..]) => self.write_access(method, rest, call),
            (method, ["pools", rest @ ..]) => self.write_pool(method, rest, call),
            (method, ["storage", rest @ ..]) => self.write_storage(method, rest, call),
            (method, ["cluster", "sdn", "vnets", vnet, "firewall", rest @ ..]) => {
                self.vnet_or(vnet)?;
                self.write_firewall(method, &format!("vnet/{vnet}"), rest, call)
            }
            (method, ["cluster", "mapping", rest @ ..]) => self.write_mapping(method, rest, call),
            (_, ["cluster", "qemu", "custom-cpu-models", rest @ ..]) => {
                self.write_cpu_model(rest, call)
            }
            (method, ["cluster", "sdn", rest @ ..]) => self.write_sdn(method, rest, call),
            (method, ["cluster", "backup", rest @ ..]) => self.write_backup_job(method, rest, call),
            (method, ["cluster", "replication", rest @ ..]) => {
                self.write_replication(method, rest, call)
            }
            (method, ["cluster", "ha", rest @ ..]) => self.write_ha(method, rest, call),
            (method, ["cluster", "firewall", rest @ ..]) => {
                self.write_firewall(method, "cluster", rest, call)
            }
            (method, ["nodes", node, "firewall", rest @ ..]) => {
                let scope = format!("node/{node}");
                self.write_firewall(method, &scope, rest, call)
            }
            (
                method,
                [
                    "nodes",
                    node,
                    branch @ ("qemu" | "lxc"),
                    vmid,
                    "firewall",
                    rest @ ..,
                ],
            ) => {
                let id = vmid.parse().unwrap_or_default();
                self.guest_of(Species::at(branch), id, node)?;
                self.write_firewall(method, vmid, rest, call)
            }
            _ => {
                let _ = caller;
                Err(not_simulated(call))
            }
        }
    }
}

/// Names in a list.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', ' ']).filter(|name| !name.is_empty())
}

/// Every parameter that is asked for and absent.
pub(super) fn require(call: &Call, wanted: &[&str]) -> Result<(), Reply> {
    let absent = wanted.iter().filter(|name| call.text(name).is_none());
    let errors: serde_json::Map<String, serde_json::Value> = absent
        .map(|name| {
            let why = "property is missing and it is not optional";
            ((*name).to_owned(), why.into())
        })
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Reply::parameters(errors))
    }
}
