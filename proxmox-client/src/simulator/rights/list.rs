//! Lists leave out what the caller may not see, instead of being refused.

use serde_json::Value;

use super::Rights;
use crate::simulator::answer::Reply;
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::task::SimTask;
use crate::simulator::world::World;

const SEE_STORAGE: &[&str] = &["Datastore.Audit", "Datastore.AllocateSpace"];
const SEE_MAPPING: &[&str] = &["Mapping.Modify", "Mapping.Use", "Mapping.Audit"];
const SEE_NETWORK: &[&str] = &["SDN.Audit", "SDN.Allocate"];
const USE_BRIDGE: &[&str] = &["SDN.Audit", "SDN.Use"];

/// What a node's entry tells only those who may audit the node.
const FIGURES: [&str; 7] = [
    "uptime", "cpu", "mem", "disk", "maxcpu", "maxmem", "maxdisk",
];

impl World {
    /// An answer as far as its reader may see it.
    pub(in super::super) fn seen(&self, rights: &Rights<'_>, call: &Call, reply: Reply) -> Reply {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        if call.method != "GET" || reply.status != 200 {
            return reply;
        }
        let text = |entry: &Value, key: &str| match &entry[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let below = |top: &str, entry: &Value, key: &str| format!("{top}/{}", text(entry, key));
        let keep = |wanted: &dyn Fn(&Value) -> bool| reply.clone().changed(|entry| wanted(entry));
        match segments.as_slice() {
            ["access", "acl"] => {
                let audits = rights.has("/access", "Sys.Audit");
                keep(&|entry| audits || rights.may_modify(&text(entry, "path")))
            }
            ["access", "users"] => keep(&|entry| {
                rights.sees_user(&text(entry, "userid"), &["User.Modify", "Sys.Audit"])
            }),
            ["access", "tfa"] => keep(&|entry| {
                rights.sees_user(&text(entry, "userid"), &["User.Modify", "Sys.Audit"])
            }),
            ["access", "groups"] => {
                let any = ["User.Modify", "Sys.Audit", "Group.Allocate"];
                keep(&|entry| rights.has_any(&below("/access/groups", entry, "groupid"), &any))
            }
            ["pools"] if call.text("poolid").is_none() => {
                keep(&|entry| rights.has(&below("/pool", entry, "poolid"), "Pool.Audit"))
            }
            ["storage"] | ["nodes", _, "storage"] => {
                keep(&|entry| rights.has_any(&below("/storage", entry, "storage"), SEE_STORAGE))
            }
            ["nodes", _, "storage", _, "content"] => keep(&|entry| {
                self.need_volume(rights, None, &text(entry, "volid"))
                    .is_ok()
            }),
            ["nodes", _, "qemu" | "lxc"] => {
                keep(&|entry| rights.has(&below("/vms", entry, "vmid"), "VM.Audit"))
            }
            ["nodes"] => reply.changed(|entry| {
                hide_figures(rights, entry);
                true
            }),
            ["nodes", _, "network"] if call.text("type").is_some() => keep(&|entry| {
                let name = text(entry, "iface");
                let zone = self.zone_of(&name);
                let zone = zone.unwrap_or_else(|| "localnetwork".to_owned());
                !matches!(
                    text(entry, "type").as_str(),
                    "bridge" | "OVSBridge" | "vnet"
                ) || rights.has_any(&format!("/sdn/zones/{zone}/{name}"), USE_BRIDGE)
            }),
            ["cluster", "resources"] => reply.changed(|entry| self.shows(rights, entry)),
            ["cluster", "tasks"] => {
                let audits = rights.has("/", "Sys.Audit");
                keep(&|entry| audits || text(entry, "user") == rights.who())
            }
            ["cluster", "mapping", kind @ ("dir" | "pci" | "usb")] => {
                let path = format!("/mapping/{kind}");
                keep(&|entry| rights.has_any(&below(&path, entry, "id"), SEE_MAPPING))
            }
            ["cluster", "replication"] => {
                keep(&|entry| rights.has(&below("/vms", entry, "guest"), "VM.Audit"))
            }
            ["nodes", _, "replication"] => {
                keep(&|entry| rights.has(&below("/vms", entry, "guest"), "VM.Audit"))
            }
            [
                "cluster",
                "sdn",
                noun @ ("controllers" | "dns" | "ipams" | "zones"),
            ] => {
                let key = noun.trim_end_matches('s');
                let path = format!("/sdn/{noun}");
                keep(&|entry| rights.has_any(&below(&path, entry, key), SEE_NETWORK))
            }
            ["cluster", "sdn", "vnets"] => keep(&|entry| {
                let path = format!("/sdn/zones/{}", text(entry, "zone"));
                rights.has_any(&below(&path, entry, "vnet"), SEE_NETWORK)
            }),
            _ => reply,
        }
    }

    /// Whether an entry of the cluster's resources is shown; what it may not tell is taken out.
    fn shows(&self, rights: &Rights<'_>, entry: &mut Value) -> bool {
        let text = |key: &str| match &entry[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match text("type").as_str() {
            "node" => {
                hide_figures(rights, entry);
                true
            }
            "storage" => rights.has(&format!("/storage/{}", text("storage")), "Datastore.Audit"),
            "pool" => rights.has(&format!("/pool/{}", text("pool")), "Pool.Audit"),
            "sdn" => rights.has(&format!("/sdn/zones/{}", text("sdn")), "SDN.Audit"),
            "qemu" | "lxc" => {
                let shown = rights.has(&format!("/vms/{}", text("vmid")), "VM.Audit");
                if !rights.has(&format!("/pool/{}", text("pool")), "Pool.Audit")
                    && let Some(entry) = entry.as_object_mut()
                {
                    entry.shift_remove("pool");
                }
                shown
            }
            _ => true,
        }
    }

    /// Whether a task stands in its node's list for a caller: for auditors of the node, and for its owner. Of those that
    /// run, a user sees none of the user's tokens.
    pub(in super::super) fn lists_task(&self, caller: &Caller, task: &SimTask) -> bool {
        let own = caller.owns(task) && (task.ended.is_some() || caller.token == task.token);
        own || caller.is_root()
            || self
                .directory()
                .rights_of(&caller.full())
                .has(&format!("/nodes/{}", task.node), "Sys.Audit")
    }
}

fn hide_figures(rights: &Rights<'_>, entry: &mut Value) {
    let name = entry["node"].as_str().unwrap_or_default();
    if !rights.has(&format!("/nodes/{name}"), "Sys.Audit")
        && let Some(entry) = entry.as_object_mut()
    {
        for key in FIGURES {
            entry.shift_remove(key);
        }
    }
}
