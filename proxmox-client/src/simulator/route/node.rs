//! `/nodes` and what is directly below a node.

use serde_json::{Map, Value, json};

use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::Guest;
use crate::simulator::http::Call;
use crate::simulator::world::World;

impl World {
    pub(super) fn node_list(&self) -> Reply {
        Reply::data(list(self.nodes.keys().map(|name| self.node_entry(name))))
    }

    fn uptime(&self) -> u64 {
        self.now
            .duration_since(self.booted)
            .unwrap_or_default()
            .as_secs()
    }

    fn used_memory(&self, node: &str) -> u64 {
        let on = |guest: &&Guest| guest.is_on() && guest.node() == node;
        (2 << 30)
            + self
                .guests
                .values()
                .filter(on)
                .map(Guest::memory_bytes)
                .sum::<u64>()
    }

    /// The storage on the nodes' root file system.
    pub(super) fn root_storage(&self) -> Option<&str> {
        let mut files = self.storages.values().filter(|storage| storage.is_files());
        files.next().map(|storage| storage.name.as_str())
    }

    pub(super) fn root_disk(&self) -> (u64, u64) {
        let root = self.root_storage().and_then(|name| self.storages.get(name));
        root.map_or((100 << 30, 8 << 30), |storage| {
            (storage.total, storage.used())
        })
    }

    pub(super) fn node_entry(&self, name: &str) -> Map<String, Value> {
        let Some(node) = self.nodes.get(name) else {
            return Map::new();
        };
        if node.lost.is_some() {
            let told = json!({
                "id": format!("node/{name}"), "node": name, "type": "node", "status": "offline", "level": "",
                "ssl_fingerprint": node.fingerprint,
            });
            return told.as_object().cloned().unwrap_or_default();
        }
        let (total, used) = self.root_disk();
        let entry = json!({
            "id": format!("node/{name}"), "node": name, "type": "node", "status": "online", "level": "",
            "maxcpu": node.cores, "cpu": 0.01, "maxmem": node.memory, "mem": self.used_memory(name),
            "maxdisk": total, "disk": used, "uptime": self.uptime(), "ssl_fingerprint": node.fingerprint,
        });
        match entry {
            Value::Object(entry) => entry,
            _ => Map::new(),
        }
    }

    pub(super) fn node(&mut self, method: &str, name: &str, rest: &[&str], call: &Call) -> Outcome {
        match (method, rest) {
            ("GET", ["status"]) => Ok(Reply::data(self.node_status(name))),
            (_, [what @ ("dns" | "hosts" | "time")]) => {
                self.node_settings(method, name, what, call)
            }
            ("GET", ["version"]) => Ok(self.version_answer()),
            ("GET", ["journal"]) => self.node_journal(name, call),
            ("GET", ["syslog"]) => self.node_syslog(name, call),
            ("GET", ["report"]) => self.node_report(name),
            ("GET", ["netstat"]) => Ok(Reply::data(self.netstat(name))),
            ("GET", ["capabilities", rest @ ..]) => self.capabilities(rest, call),
            _ => Err(not_simulated(call)),
        }
    }

    /// What the cards of guests that run have sent and received: nothing, as other figures say.
    fn netstat(&self, node: &str) -> Value {
        let on = |guest: &&Guest| guest.is_on() && guest.node() == node;
        let cards = self.guests.values().filter(on).flat_map(|guest| {
            let names = guest.config().keys();
            let cards = names.filter(|name| {
                let number = name.strip_prefix("net");
                number.is_some_and(|number| number.parse::<u8>().is_ok())
            });
            cards.map(|name| {
                json!({ "vmid": guest.vmid().to_string(), "dev": name, "in": "0", "out": "0" })
            })
        });
        cards.collect()
    }

    fn node_status(&self, name: &str) -> Value {
        let Some(node) = self.nodes.get(name) else {
            return Value::Null;
        };
        let used = self.used_memory(name);
        let (disk_total, disk_used) = self.root_disk();
        json!({
            "memory": {
                "total": node.memory, "used": used, "free": node.memory.saturating_sub(used),
                "available": node.memory.saturating_sub(used),
            },
            "swap": { "total": 0, "used": 0, "free": 0 },
            "rootfs": {
                "total": disk_total, "used": disk_used, "free": disk_total - disk_used,
                "avail": disk_total - disk_used,
            },
            "cpuinfo": {
                "cpus": node.cores, "cores": node.cores, "sockets": 1, "model": "x86-64 CPU",
                "mhz": "2596.122", "hvm": "1", "user_hz": 100, "flags": "fpu sse sse2 aes",
                "vendor": "AuthenticAMD", "family": "26",
            },
            "cpu": 0, "wait": 0, "idle": 0, "loadavg": ["0.10", "0.10", "0.10"], "uptime": self.uptime(),
            "pveversion": "pve-manager/9.1.9/f40095996bcb6bf7", "kversion": "Linux 6.x",
            "boot-info": { "mode": "legacy-bios" }, "ksm": { "shared": 0 },
            "current-kernel": { "sysname": "Linux", "release": "6.x", "version": "#1 SMP", "machine": "x86_64" },
        })
    }
}
