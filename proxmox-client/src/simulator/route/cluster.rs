//! `/version`, `/cluster`, `/pools`.

use serde_json::{Map, Value, json};

use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::{Guest, Species};
use crate::simulator::http::Call;
use crate::simulator::world::World;

impl World {
    pub(super) fn version_answer(&self) -> Reply {
        let mut numbers = self.version.splitn(3, '.');
        let release: Vec<&str> = numbers.by_ref().take(2).collect();
        Reply::data(json!({
            "version": self.version, "release": release.join("."), "repoid": "f40095996bcb6bf7",
        }))
    }

    pub(super) fn cluster(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        match (method, rest) {
            ("GET", ["status"]) => Ok(Reply::data(self.members())),
            ("GET", ["resources"]) => self.resources(call),
            ("GET", ["nextid"]) => self.next_id(call),
            ("GET", ["tasks"]) => Ok(self.cluster_tasks()),
            ("GET", ["options"]) => Ok(self.cluster_options()),
            ("GET", ["log"]) => self.cluster_log(call),
            _ => Err(not_simulated(call)),
        }
    }

    /// The cluster, if the nodes are one, then each of them. Outside a cluster a node has no number.
    fn members(&self) -> Value {
        let whole = self.is_cluster().then(|| {
            let totem = self.totem();
            let version = totem["config_version"]
                .as_str()
                .and_then(|text| text.parse().ok());
            json!({
                "id": "cluster", "name": totem["cluster_name"], "type": "cluster",
                "nodes": self.nodes.len(), "quorate": u8::from(self.is_quorate()),
                "version": version.unwrap_or(0u64),
            })
        });
        let first = usize::from(whole.is_some());
        let local = self.nodes_up().next();
        let nodes = self.nodes.iter().enumerate().map(|(index, (name, node))| {
            json!({
                "id": format!("node/{name}"), "name": name, "type": "node", "ip": node.address,
                "local": u8::from(local == Some(name)), "nodeid": index + first,
                "online": u8::from(node.lost.is_none()), "level": "",
            })
        });
        whole.into_iter().chain(nodes).collect()
    }

    fn resources(&self, call: &Call) -> Outcome {
        let kind = call.text("type");
        if let Some(kind) = &kind
            && !["vm", "storage", "node", "sdn"].contains(&kind.as_str())
        {
            return Err(Reply::parameter(
                "type",
                format!(
                    "value '{kind}' does not have a value in the enumeration 'vm, storage, node, sdn'"
                ),
            ));
        }
        let wanted = |name: &str| kind.as_deref().is_none_or(|kind| kind == name);
        let mut out: Vec<Map<String, Value>> = Vec::new();
        if wanted("vm") {
            out.extend(self.guests.values().map(|guest| self.guest_resource(guest)));
        }
        if wanted("node") {
            for name in self.nodes.keys() {
                let mut entry = self.node_entry(name);
                entry.shift_remove("ssl_fingerprint");
                entry.insert("cgroup-mode".to_owned(), 2.into());
                out.push(entry);
            }
        }
        if wanted("storage") {
            for node in self.nodes.keys() {
                let names = self.storages.keys();
                out.extend(names.filter_map(|name| self.storage_resource(node, name)));
            }
        }
        Ok(Reply::data(list(out)))
    }

    /// A guest's entry in `/cluster/resources` and in pools.
    pub(super) fn guest_resource(&self, guest: &Guest) -> Map<String, Value> {
        let (mut entry, processors) = match guest.species() {
            Species::Machine => (
                guest.summary(self.now, self.boot_disk_size(guest.vmid())),
                guest.processors().into(),
            ),
            Species::Container => (
                self.container_figures(guest),
                self.container_processors(guest),
            ),
        };
        let branch = guest.species().branch();
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put("id", format!("{branch}/{}", guest.vmid()).into());
        put("type", branch.into());
        put("node", guest.node().into());
        put("maxcpu", processors);
        put("template", u8::from(guest.is_template()).into());
        put("diskread", 0.into());
        put("diskwrite", 0.into());
        if self.lost_since(guest.node()).is_some() {
            put("status", "unknown".into());
            for figure in ["cpu", "mem", "uptime", "netin", "netout"] {
                entry.shift_remove(figure);
            }
        }
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        if self.is_ha_managed(guest.vmid()) {
            put("hastate", self.ha_of(guest.vmid())["state"].clone());
        }
        let pool = self
            .pools
            .iter()
            .find(|(_, pool)| pool.vms.contains(&guest.vmid()));
        if let Some((name, _)) = pool {
            put("pool", name.as_str().into());
        }
        entry
    }

    /// A storage's entry there.
    pub(super) fn storage_resource(&self, node: &str, name: &str) -> Option<Map<String, Value>> {
        let storage = self.storages.get(name)?;
        let entry = json!({
            "id": format!("storage/{node}/{name}"), "type": "storage", "node": node,
            "storage": name, "plugintype": storage.kind, "status": "available",
            "content": storage.content.join(","), "shared": u8::from(storage.shared),
            "maxdisk": storage.total, "disk": storage.used(),
        });
        match entry {
            Value::Object(entry) => Some(entry),
            _ => None,
        }
    }

    fn next_id(&self, call: &Call) -> Outcome {
        if let Some(asked) = call.text("vmid") {
            let Some(vmid) = asked.parse::<u32>().ok().filter(|vmid| *vmid >= 100) else {
                return Err(Reply::parameter(
                    "vmid",
                    "invalid format - value does not look like a valid VM ID\n",
                ));
            };
            return if self.guests.contains_key(&vmid) {
                Err(Reply::parameter(
                    "vmid",
                    format!("VM {vmid} already exists"),
                ))
            } else {
                Ok(Reply::data(vmid.to_string()))
            };
        }
        match (100..1_000_000).find(|vmid| !self.guests.contains_key(vmid)) {
            Some(vmid) => Ok(Reply::data(vmid.to_string())),
            None => Err(Reply::failed(
                "unable to get any free VMID in range [100, 999999]",
            )),
        }
    }
}
