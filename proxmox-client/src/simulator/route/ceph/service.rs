//! Monitors, managers and metadata servers; starting and stopping what a node runs.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::full_version;
use super::work::CephWork;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::operation::Caller;
use crate::simulator::route::not_simulated;
use crate::simulator::route::shared::names;
use crate::simulator::world::World;

/// What a daemon is.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super::super) enum Trade {
    Monitor,
    Manager,
    Metadata,
}

impl Trade {
    pub(super) fn of(branch: &str) -> Option<Self> {
        match branch {
            "mon" => Some(Self::Monitor),
            "mgr" => Some(Self::Manager),
            "mds" => Some(Self::Metadata),
            _ => None,
        }
    }

    pub(super) fn branch(self) -> &'static str {
        match self {
            Self::Monitor => "mon",
            Self::Manager => "mgr",
            Self::Metadata => "mds",
        }
    }
}

/// A monitor, manager or metadata server.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(super) struct Daemon {
    pub(super) node: String,
    pub(super) address: String,
    pub(super) up: bool,
    /// In which order they began to run: the first one that runs is the active one.
    pub(super) turn: u64,
}

/// What is started or stopped: its kind, unless it is everything, and its name, unless it is all of a kind.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super::super) struct Unit {
    pub(super) kind: Option<String>,
    pub(super) id: Option<String>,
}

impl Unit {
    fn read(text: Option<&str>) -> Self {
        let (kind, id) = match text.map(|text| text.split_once('.').ok_or(text)) {
            None => (None, None),
            Some(Err(kind)) => (Some(kind), None),
            Some(Ok((kind, id))) => (Some(kind), Some(id)),
        };
        // `ceph.target` stands for everything too.
        let kind = kind.filter(|kind| *kind != "ceph");
        Self {
            id: id.filter(|_| kind.is_some()).map(str::to_owned),
            kind: kind.map(str::to_owned),
        }
    }

    fn holds(&self, kind: &str, id: &str) -> bool {
        let fits = |wanted: &Option<String>, have: &str| wanted.as_ref().is_none_or(|w| w == have);
        fits(&self.kind, kind) && fits(&self.id, id)
    }
}

/// Whether an address is in a network, such as `192.0.2.0/24`.
fn is_in(address: &str, network: &str) -> bool {
    let Some((base, bits)) = network.split_once('/') else {
        return false;
    };
    let (Ok(address), Ok(base), Ok(bits)) = (
        address.parse::<IpAddr>(),
        base.parse::<IpAddr>(),
        bits.parse::<u32>(),
    ) else {
        return false;
    };
    let prefix = |address: IpAddr| match address {
        IpAddr::V4(address) => {
            let bits = 32u32.saturating_sub(bits);
            u128::from(u32::from(address).checked_shr(bits).unwrap_or(0))
        }
        IpAddr::V6(address) => {
            let bits = 128u32.saturating_sub(bits);
            u128::from(address).checked_shr(bits).unwrap_or(0)
        }
    };
    address.is_ipv4() == base.is_ipv4() && prefix(address) == prefix(base)
}

impl World {
    pub(super) fn daemon(&mut self, node: &str) -> Daemon {
        let address = self.nodes.get(node).map(|node| node.address.clone());
        let all = [Trade::Monitor, Trade::Manager, Trade::Metadata];
        let daemons = all.iter().flat_map(|trade| self.ceph.of(*trade).values());
        let last = daemons.map(|daemon| daemon.turn).max().unwrap_or(0);
        Daemon {
            node: node.to_owned(),
            address: address.unwrap_or_default(),
            up: true,
            turn: last + 1,
        }
    }

    pub(super) fn ceph_services(
        &mut self,
        node: &str,
        rest: &[&str],
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        let trade = rest.first().and_then(|branch| Trade::of(branch));
        match (call.method.as_str(), rest, trade) {
            ("GET", [_], Some(trade)) => {
                self.ceph_inited(node)?;
                // Monitors are told of without any too.
                if trade != Trade::Monitor {
                    self.ceph_reached()?;
                }
                Ok(Reply::data(self.daemons(trade)))
            }
            ("POST", [_, id], Some(trade)) => self.make_daemon(node, trade, id, call, caller),
            ("DELETE", [_, id], Some(trade)) => {
                self.ceph_inited(node)?;
                if trade == Trade::Monitor {
                    self.ceph_reached()?;
                    self.refuse_monitor_removal(node, id)?;
                }
                let branch = trade.branch();
                let work = CephWork::RemoveDaemon {
                    trade,
                    id: (*id).to_owned(),
                };
                let (kind, task) = (format!("cephdestroy{branch}"), format!("{branch}.{id}"));
                let takes = Duration::from_secs(1);
                Ok(self.ceph_task(node, &kind, &task, caller, takes, work))
            }
            ("POST", [command], None) => {
                self.ceph_inited(node)?;
                let service = call.text("service");
                let work = CephWork::Service {
                    command: (*command).to_owned(),
                    unit: Unit::read(service.as_deref()),
                };
                let task = service.unwrap_or_else(|| "ceph".to_owned());
                let takes = Duration::from_millis(500);
                Ok(self.ceph_task(node, &format!("srv{command}"), &task, caller, takes, work))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn daemons(&self, trade: Trade) -> Value {
        let reached = self.ceph_reached().is_ok();
        let active = self.ceph.active(trade);
        let entry = |(at, (name, daemon)): (usize, (&String, &super::Daemon))| {
            let mut entry =
                json!({ "name": name, "host": daemon.node, "service": 1, "direxists": 1 });
            let mut put = |key: &str, value: Value| entry[key] = value;
            if daemon.up && reached {
                put("ceph_version", full_version().into());
                put("ceph_version_short", super::VERSION.into());
            }
            let state = match (trade, reached, daemon.up) {
                (_, false, _) => "unknown",
                (_, true, false) => "stopped",
                (Trade::Monitor, ..) => "running",
                (Trade::Manager, ..) if active == Some(name) => "active",
                (Trade::Manager, ..) => "standby",
                (Trade::Metadata, ..) if self.ceph.served_by(name).is_some() => "up:active",
                (Trade::Metadata, ..) => "up:standby",
            };
            put("state", state.into());
            match trade {
                Trade::Monitor => {
                    put("addr", format!("{}:6789/0", daemon.address).into());
                    put("rank", at.into());
                    if daemon.up && reached {
                        put("quorum", 1.into());
                    }
                }
                Trade::Manager => put("addr", daemon.address.as_str().into()),
                Trade::Metadata if daemon.up => {
                    let served = self.ceph.served_by(name);
                    put("addr", format!("{}:6801/1", daemon.address).into());
                    put("rank", if served.is_some() { 0 } else { -1 }.into());
                    put("standby_replay", false.into());
                    if let Some(filesystem) = served {
                        put("fs_name", filesystem.into());
                    }
                }
                Trade::Metadata => {}
            }
            entry
        };
        self.ceph.of(trade).iter().enumerate().map(entry).collect()
    }

    fn make_daemon(
        &mut self,
        node: &str,
        trade: Trade,
        id: &str,
        call: &Call,
        caller: &Caller,
    ) -> Outcome {
        if !self.ceph.installed.contains(node) {
            let text = format!("binary not installed: /usr/bin/ceph-{}", trade.branch());
            return Err(Reply::failed(text));
        }
        self.ceph_inited(node)?;
        let mut addresses = Vec::new();
        match trade {
            Trade::Monitor => {
                if !self.ceph.monitors.is_empty() && !self.ceph.has_quorum() {
                    return Err(Reply::failed(
                        "Could not connect to ceph cluster despite configured monitors",
                    ));
                }
                addresses = self.monitor_addresses(node, call)?;
                self.refuse_monitor(id, &addresses)?;
            }
            Trade::Metadata if id.starts_with(|c: char| c.is_ascii_digit()) => {
                return Err(Reply::failed("ID of the MDS cannot start with a number!"));
            }
            Trade::Manager | Trade::Metadata => {}
        }
        let branch = trade.branch();
        let work = CephWork::MakeDaemon {
            trade,
            id: id.to_owned(),
            addresses,
        };
        let takes = match trade {
            Trade::Monitor => Duration::from_secs(3),
            _ => Duration::from_secs(1),
        };
        let (kind, task) = (format!("cephcreate{branch}"), format!("{branch}.{id}"));
        Ok(self.ceph_task(node, &kind, &task, caller, takes, work))
    }

    /// The addresses of a new monitor: those that are asked for, or the node's in Ceph's networks.
    fn monitor_addresses(&self, node: &str, call: &Call) -> Result<Vec<String>, Reply> {
        let own = self.nodes.get(node).map(|node| node.address.clone());
        let own = own.unwrap_or_default();
        let networks = self.ceph_setting("global", "public_network").unwrap_or("");
        let networks: Vec<&str> = names(networks).collect();
        let allowed = networks.is_empty() || networks.iter().any(|network| is_in(&own, network));
        let asked = call.text("mon-address").unwrap_or_default();
        let asked: Vec<&str> = names(&asked).collect();
        for address in &asked {
            if *address != own || !allowed {
                return Err(Reply::failed(format!(
                    "Specified monitor IP '{address}' not configured or up on {node}!"
                )));
            }
        }
        if !allowed {
            let network = networks.first().copied().unwrap_or_default();
            return Err(Reply::failed(format!(
                "No active IP found for the requested ceph public network '{network}' on node '{node}'"
            )));
        }
        Ok(vec![own])
    }

    pub(super) fn refuse_monitor(&self, id: &str, addresses: &[String]) -> Result<(), Reply> {
        let monitors = &self.ceph.monitors;
        let taken = |address: &&String| monitors.values().any(|other| other.address == **address);
        if let Some(address) = addresses.iter().find(taken) {
            let text = format!("monitor address '{address}' already in use");
            return Err(Reply::failed(text));
        }
        match monitors.contains_key(id) {
            true => Err(Reply::failed(format!("monitor '{id}' already exists"))),
            false => Ok(()),
        }
    }

    pub(super) fn refuse_monitor_removal(&self, node: &str, id: &str) -> Result<(), Reply> {
        let Some(monitor) = self.ceph.monitors.get(id) else {
            return Err(Reply::failed(format!("no such monitor id '{id}'")));
        };
        if monitor.node != node {
            return Err(Reply::failed(format!(
                "monitor filesystem '/var/lib/ceph/mon/ceph-{id}' does not exist on this node"
            )));
        }
        match self.ceph.monitors.len() {
            1 => Err(Reply::failed("can't remove last monitor")),
            _ => Ok(()),
        }
    }

    /// Puts a monitor there; with the first one comes a manager.
    pub(super) fn put_monitor(&mut self, node: &str, id: &str, addresses: &[String]) -> bool {
        let first = self.ceph.monitors.is_empty();
        let mut daemon = self.daemon(node);
        if let Some(address) = addresses.first() {
            daemon.address.clone_from(address);
        }
        let address = daemon.address.clone();
        self.ceph.monitors.insert(id.to_owned(), daemon);
        self.ceph.has_key = true;
        let hosts = self.ceph_setting("global", "mon_host").unwrap_or("");
        let hosts: Vec<&str> = names(hosts).chain([address.as_str()]).collect();
        let hosts = hosts.join(" ");
        if let Some(conf) = &mut self.ceph.config {
            conf.set("global", "mon_host", &hosts);
            conf.set(&format!("mon.{id}"), "public_addr", &address);
            if first {
                let keyring = "/etc/pve/ceph/$cluster.$name.keyring";
                conf.set("client.crash", "keyring", keyring);
            }
        }
        if first {
            let setting = ("mon", "auth_allow_insecure_global_id_reclaim", "false");
            let (section, name, value) = setting;
            self.ceph
                .database
                .push((section.to_owned(), name.to_owned(), value.to_owned()));
            if !self.ceph.managers.contains_key(node) {
                let manager = self.daemon(node);
                self.ceph.managers.insert(node.to_owned(), manager);
            }
        }
        let names: Vec<&str> = self.ceph.monitors.keys().map(String::as_str).collect();
        let line = format!("monmap: {} monitors: {}", names.len(), names.join(","));
        self.ceph_log("DBG", &line);
        first
    }

    pub(super) fn drop_monitor(&mut self, id: &str) {
        let Some(monitor) = self.ceph.monitors.remove(id) else {
            return;
        };
        let hosts = self.ceph_setting("global", "mon_host").unwrap_or("");
        let hosts: Vec<&str> = names(hosts)
            .filter(|host| *host != monitor.address)
            .collect();
        let hosts = hosts.join(" ");
        if let Some(conf) = &mut self.ceph.config {
            conf.set("global", "mon_host", &hosts);
            conf.remove(&format!("mon.{id}"));
        }
    }

    /// Starts or stops units of a node.
    pub(super) fn command_ceph(
        &mut self,
        node: &str,
        command: &str,
        unit: &Unit,
    ) -> Result<(), Reply> {
        let mut found = false;
        let on = command != "stop";
        for trade in [Trade::Monitor, Trade::Manager, Trade::Metadata] {
            let mut turn = self.daemon(node).turn;
            for (id, daemon) in self.ceph.of_mut(trade) {
                if daemon.node != node || !unit.holds(trade.branch(), id) {
                    continue;
                }
                found = true;
                if command == "restart" || daemon.up != on {
                    daemon.turn = turn;
                    turn += 1;
                }
                daemon.up = on;
            }
        }
        let ids: Vec<u32> = self.ceph.osds.keys().copied().collect();
        for id in ids {
            let here = self.ceph.osds.get(&id).is_some_and(|osd| osd.node == node);
            if here && unit.holds("osd", &id.to_string()) {
                found = true;
                self.turn_osd(id, on);
            }
        }
        if let (
            false,
            true,
            Unit {
                kind: Some(kind),
                id: Some(id),
            },
        ) = (found, on, unit)
        {
            return Err(Reply::failed(format!(
                "command '/bin/systemctl {command} ceph-{kind}@{id}' failed: exit code 1"
            )));
        }
        self.settle_ceph();
        Ok(())
    }

    fn turn_osd(&mut self, id: u32, on: bool) {
        let (now, flags) = (self.now, self.ceph.flags.clone());
        let pid = self.next_pid;
        let Some(osd) = self.ceph.osds.get_mut(&id) else {
            return;
        };
        match (on, osd.up) {
            (true, false) if !flags.contains("noup") => {
                osd.up = true;
                osd.pid = pid;
                // One that the monitors marked out by themselves comes in again.
                if osd.down_since.take().is_some() && !flags.contains("noin") && osd.lost {
                    osd.inside = true;
                }
                osd.lost = false;
                self.next_pid += 5;
                self.ceph_log("INF", &format!("osd.{id} boot"));
            }
            (false, true) if !flags.contains("nodown") => {
                osd.up = false;
                osd.down_since = Some(now);
                self.ceph_log("INF", &format!("osd.{id} marked itself down and dead"));
            }
            _ => {}
        }
    }
}

impl super::Ceph {
    /// The one that works, of those of which only one does.
    pub(super) fn active(&self, trade: Trade) -> Option<&String> {
        let up = self.of(trade).iter().filter(|(_, daemon)| daemon.up);
        up.min_by_key(|(_, daemon)| daemon.turn)
            .map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_their_networks() {
        assert!(is_in("192.0.2.11", "192.0.2.0/24") && is_in("192.0.2.11", "192.0.2.1/24"));
        assert!(!is_in("192.0.3.11", "192.0.2.0/24") && !is_in("192.0.2.11", "2001:db8::/32"));
        assert!(is_in("2001:db8::1", "2001:db8::/32") && !is_in("2001:db9::1", "2001:db8::/32"));
        assert!(is_in("192.0.2.11", "0.0.0.0/0") && !is_in("x", "192.0.2.0/24"));
    }

    #[test]
    fn units_are_one_several_or_all() {
        let unit = |text| Unit::read(Some(text));
        assert!(unit("osd.3").holds("osd", "3") && !unit("osd.3").holds("osd", "4"));
        assert!(unit("mon").holds("mon", "a") && !unit("mon").holds("mgr", "a"));
        for all in [Unit::read(None), unit("ceph"), unit("ceph.target")] {
            assert!(all.holds("mds", "x") && all.holds("osd", "0"));
        }
    }
}
