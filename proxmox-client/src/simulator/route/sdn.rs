//! Software-defined networks: what is configured, what runs, and what waits in between.

mod address;
mod check;
mod fabric;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::firewall::digest;
use super::shared::{names, require};
use super::{list, not_simulated};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::engine::Step;
use crate::simulator::guest::text_of;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::world::World;

/// Objects of one noun by their names.
type Table = BTreeMap<String, Map<String, Value>>;

/// All software-defined networks.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(in super::super) struct Sdn {
    /// What is configured, by noun.
    tables: BTreeMap<String, Table>,
    /// What was applied last.
    running: BTreeMap<String, Table>,
    /// How often something was applied.
    version: u64,
    /// What each node has loaded.
    loaded: BTreeMap<String, u64>,
    /// The token of whoever locked the configuration.
    lock: Option<String>,
    /// Addresses kept for cards.
    #[serde(default)]
    addresses: Vec<address::Kept>,
}

/// A collection, the parameter that names its objects, and what they are called.
struct Noun {
    collection: &'static str,
    key: &'static str,
}

const NOUNS: [Noun; 6] = [
    Noun {
        collection: "zones",
        key: "zone",
    },
    Noun {
        collection: "vnets",
        key: "vnet",
    },
    Noun {
        collection: "subnets",
        key: "subnet",
    },
    Noun {
        collection: "controllers",
        key: "controller",
    },
    Noun {
        collection: "ipams",
        key: "ipam",
    },
    Noun {
        collection: "dns",
        key: "dns",
    },
];

/// What waits until it is applied; plug-ins are in effect at once.
const APPLIED: [&str; 6] = [
    "zones",
    "vnets",
    "subnets",
    "controllers",
    fabric::FABRICS,
    fabric::NODES,
];

/// Settings that are numbers or flags.
const NUMBERS: [&str; 17] = [
    "mtu",
    "tag",
    "vxlan-port",
    "vrf-vxlan",
    "asn",
    "ebgp",
    "ebgp-multihop",
    "vlanaware",
    "isolate-ports",
    "snat",
    "section",
    "ttl",
    "advertise-subnets",
    "exitnodes-local-routing",
    "disable-arp-nd-suppression",
    "bridge-disable-mac-learning",
    "bgp-multipath-as-path-relax",
];

/// Parameters that are no settings.
const NOT_SETTINGS: [&str; 7] = [
    "type",
    "lock-token",
    "digest",
    "delete",
    "pending",
    "running",
    "release-lock",
];

fn noun(collection: &str) -> Option<&'static Noun> {
    NOUNS.iter().find(|noun| noun.collection == collection)
}

/// How a parameter is kept.
fn kept(key: &str, value: &Value) -> Value {
    match (key, value) {
        ("dhcp-range", Value::Array(_)) => value.clone(),
        ("dhcp-range", one) => json!([text_of(one)]),
        ("nodes" | "exitnodes", value) => {
            let text = text_of(value);
            let mut all: Vec<&str> = names(&text).collect();
            all.sort_unstable();
            all.join(",").into()
        }
        (_, value) => {
            let text = text_of(value);
            match text.parse::<u64>() {
                Ok(number) if NUMBERS.contains(&key) => number.into(),
                _ => text.into(),
            }
        }
    }
}

fn digest_of(table: &Table) -> String {
    digest(&json!(table).to_string())
}

impl Sdn {
    fn table(&self, collection: &str) -> Table {
        let mut table = self.tables.get(collection).cloned().unwrap_or_default();
        if collection == "ipams" && !table.contains_key("pve") {
            let built_in = Map::from_iter([("type".to_owned(), "pve".into())]);
            table.insert("pve".to_owned(), built_in);
        }
        table
    }

    fn ran(&self, collection: &str) -> Table {
        self.running.get(collection).cloned().unwrap_or_default()
    }

    /// What runs, with what is configured otherwise as `pending`.
    fn waiting(&self, collection: &str) -> Table {
        let (table, ran) = (self.table(collection), self.ran(collection));
        let mut out = Table::new();
        for (id, now) in &ran {
            let mut entry = now.clone();
            match table.get(id) {
                None => {
                    entry.insert("state".to_owned(), "deleted".into());
                    entry.insert("pending".to_owned(), json!({}));
                }
                Some(wanted) if wanted != now => {
                    let mut pending = Map::new();
                    for key in now.keys().filter(|key| !wanted.contains_key(*key)) {
                        pending.insert(key.clone(), "deleted".into());
                    }
                    pending.extend(differing(wanted, now));
                    entry.insert("state".to_owned(), "changed".into());
                    entry.insert("pending".to_owned(), pending.into());
                }
                Some(_) => {}
            }
            out.insert(id.clone(), entry);
        }
        for (id, wanted) in table.iter().filter(|(id, _)| !ran.contains_key(*id)) {
            let mut entry = Map::new();
            // These two are told as if they were in effect.
            for key in ["type", "vnet"] {
                if let Some(value) = wanted.get(key) {
                    entry.insert(key.to_owned(), value.clone());
                }
            }
            entry.insert("pending".to_owned(), differing(wanted, &Map::new()).into());
            entry.insert("state".to_owned(), "new".into());
            out.insert(id.clone(), entry);
        }
        out
    }

    fn has_waiting(&self) -> bool {
        APPLIED.iter().any(|collection| {
            let waiting = self.waiting(collection);
            waiting.values().any(|entry| entry.contains_key("state"))
        })
    }

    /// Whether a write may pass the lock.
    fn pass(&self, call: &Call) -> Result<(), String> {
        match &self.lock {
            Some(token) if call.text("lock-token").as_ref() != Some(token) => Err(check::at(
                "invalid lock token provided!",
                "Network/SDN.pm",
                291,
            )),
            _ => Ok(()),
        }
    }

    /// The vnets that run on a node, as its interfaces list them.
    pub(super) fn vnets_on(&self, node: &str) -> Vec<Value> {
        let zones = self.ran("zones");
        let vnets = self.ran("vnets").into_iter().filter_map(|(name, vnet)| {
            let zone = vnet.get("zone").map(text_of)?;
            let zone = zones.get(&zone).filter(|zone| check::is_on(zone, node))?;
            let mut entry = json!({
                "iface": name, "type": "vnet", "active": "1",
                "ipam": u8::from(zone.contains_key("ipam")),
                "vlanaware": u8::from(vnet.get("vlanaware") == Some(&1.into())),
            });
            if let Some(alias) = vnet.get("alias") {
                entry["comments"] = alias.clone();
            }
            Some(entry)
        });
        vnets.collect()
    }

    fn give_back(&mut self, call: &Call) {
        let keep = call.text("release-lock").as_deref() == Some("0");
        if call.params.contains_key("lock-token") && !keep {
            self.lock = None;
        }
    }
}

fn differing(wanted: &Map<String, Value>, now: &Map<String, Value>) -> Map<String, Value> {
    wanted
        .iter()
        .filter(|(key, value)| *key != "type" && *key != "vnet" && now.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// An object as it is told: with its name, and what follows from it.
fn shown(noun: &Noun, id: &str, entry: &Map<String, Value>, digest: &str) -> Map<String, Value> {
    let mut out = entry.clone();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put(noun.key, id.into());
    put("digest", digest.into());
    if noun.key == "subnet" {
        put("id", id.into());
        let mut parts = id.splitn(3, '-');
        let (zone, network, mask) = (parts.next(), parts.next(), parts.next());
        put("zone", zone.into());
        put("network", network.into());
        put("mask", mask.into());
        put("cidr", check::network_of(id).into());
        let ranges = entry.get("dhcp-range").and_then(Value::as_array);
        let ranges = ranges.into_iter().flatten().map(check::range);
        put("dhcp-range", ranges.map(Value::Object).collect());
    }
    out
}

impl World {
    /// The vnet, or the usual text.
    pub(super) fn vnet_or(&self, id: &str) -> Result<Map<String, Value>, Reply> {
        let mut vnets = self.sdn.table("vnets");
        vnets
            .remove(id)
            .ok_or_else(|| Reply::failed(format!("sdn vnet '{id}' does not exist")))
    }

    /// The zone that a vnet is in.
    pub(in super::super) fn zone_of(&self, vnet: &str) -> Option<String> {
        let entry = self.vnet_or(vnet).ok()?;
        entry.get("zone").map(crate::simulator::guest::text_of)
    }

    pub(super) fn read_sdn(&self, rest: &[&str], call: &Call) -> Outcome {
        let (collection, id, vnet) = match rest {
            [] => {
                let all = ["vnets", "zones", "controllers", "ipams", "dns", "fabrics"];
                return Ok(Reply::data(all.map(|id| json!({ "id": id })).to_vec()));
            }
            ["vnets", vnet, "firewall", rest @ ..] => {
                self.vnet_or(vnet)?;
                return self.read_firewall(&format!("vnet/{vnet}"), rest, call);
            }
            ["fabrics", rest @ ..] => return self.read_fabrics(rest, call),
            ["vnets", vnet, "subnets"] => ("subnets", None, Some(*vnet)),
            ["vnets", vnet, "subnets", id] => ("subnets", Some(*id), Some(*vnet)),
            ["ipams", "pve", "status"] => return Ok(Reply::data(self.sdn_addresses())),
            ["ipams", _, "status"] => {
                let text = "Currently only PVE IPAM is supported!";
                return Err(Reply::failed(check::at(
                    text,
                    "API2/Network/SDN/Ipams.pm",
                    319,
                )));
            }
            ["subnets", ..] => return Err(not_simulated(call)),
            [collection] => (*collection, None, None),
            [collection, id] => (*collection, Some(*id), None),
            _ => return Err(not_simulated(call)),
        };
        let Some(noun) = noun(collection) else {
            return Err(not_simulated(call));
        };
        if let Some(vnet) = vnet {
            self.vnet_or(vnet)?;
        }
        let table = if call.flag("pending") && APPLIED.contains(&collection) {
            self.sdn.waiting(collection)
        } else if call.flag("running") && APPLIED.contains(&collection) {
            self.sdn.ran(collection)
        } else {
            self.sdn.table(collection)
        };
        let digest = digest_of(&self.sdn.table(collection));
        match id {
            Some(id) => match table.get(id) {
                Some(entry) => Ok(Reply::data(shown(noun, id, entry, &digest))),
                None => Err(Reply::failed(check::missing(noun.key, id))),
            },
            None => {
                let kind = call.text("type");
                let wanted = |entry: &Map<String, Value>| {
                    let is = |key: &str, wanted: Option<&str>| {
                        wanted.is_none_or(|wanted| entry.get(key) == Some(&wanted.into()))
                    };
                    is("type", kind.as_deref()) && is("vnet", vnet)
                };
                let entries = table.iter().filter(|(_, entry)| wanted(entry));
                Ok(Reply::data(list(
                    entries.map(|(id, entry)| shown(noun, id, entry, &digest)),
                )))
            }
        }
    }

    /// Gateways of the subnets whose addresses the cluster keeps, and the addresses of cards.
    fn sdn_addresses(&self) -> Value {
        let zones = self.sdn.table("zones");
        let subnets = self.sdn.table("subnets");
        let kept = subnets.iter().filter_map(|(id, subnet)| {
            let (zone, _) = id.split_once('-')?;
            zones
                .get(zone)?
                .get("ipam")
                .filter(|ipam| **ipam == "pve")?;
            let gateway = subnet.get("gateway")?;
            Some(json!({
                "zone": zone, "vnet": subnet.get("vnet"), "subnet": check::network_of(id),
                "ip": gateway, "gateway": 1,
            }))
        });
        kept.chain(self.sdn.kept_addresses()).collect()
    }

    pub(super) fn node_sdn(&self, node: &str, rest: &[&str], call: &Call) -> Outcome {
        match (call.method.as_str(), rest) {
            ("GET", ["zones"]) => {
                let loaded = self.sdn.loaded.get(node) == Some(&self.sdn.version);
                let status = if loaded { "available" } else { "pending" };
                let ran = self.sdn.ran("zones");
                let here = ran.iter().filter(|(_, zone)| check::is_on(zone, node));
                Ok(Reply::data(
                    here.map(|(id, _)| json!({ "zone": id, "status": status }))
                        .collect::<Value>(),
                ))
            }
            _ => Err(not_simulated(call)),
        }
    }

    pub(super) fn write_sdn(&mut self, method: &str, rest: &[&str], call: &Call) -> Outcome {
        match (method, rest) {
            ("POST", ["lock"]) => self.lock_sdn(call),
            ("DELETE", ["lock"]) => {
                if !call.flag("force") {
                    let refused = |why| Reply::failed(format!("could not release lock: {why}"));
                    self.sdn.pass(call).map_err(refused)?;
                }
                self.sdn.lock = None;
                Ok(Reply::data(()))
            }
            ("POST", ["rollback"]) => {
                let refused =
                    |why| Reply::failed(format!("could not rollback SDN configuration: {why}"));
                self.sdn.pass(call).map_err(refused)?;
                for collection in APPLIED {
                    let ran = self.sdn.ran(collection);
                    self.sdn.tables.insert(collection.to_owned(), ran);
                }
                self.sdn.give_back(call);
                Ok(Reply::data(()))
            }
            (_, ["fabrics", rest @ ..]) => self.write_fabrics(method, rest, call),
            (_, ["vnets", vnet, "ips"]) => self.write_addresses(method, vnet, call),
            (_, ["vnets", vnet, "subnets", rest @ ..]) => {
                self.vnet_or(vnet)?;
                self.write_sdn_object(method, "subnets", rest, Some(*vnet), call)
            }
            (_, ["subnets", ..]) => Err(not_simulated(call)),
            (_, [collection, rest @ ..]) => {
                self.write_sdn_object(method, collection, rest, None, call)
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn lock_sdn(&mut self, call: &Call) -> Outcome {
        let refused =
            |why: String| Reply::failed(format!("could not acquire lock for SDN config: {why}"));
        self.sdn.pass(call).map_err(refused)?;
        if !call.flag("allow-pending") && self.sdn.has_waiting() {
            let text = "configuration has pending changes";
            return Err(refused(check::at(text, "API2/Network/SDN.pm", 150)));
        }
        let token = self.draw_uuid();
        self.sdn.lock = Some(token.clone());
        Ok(Reply::data(token))
    }

    fn write_sdn_object(
        &mut self,
        method: &str,
        collection: &str,
        rest: &[&str],
        vnet: Option<&str>,
        call: &Call,
    ) -> Outcome {
        let Some(noun) = noun(collection) else {
            return Err(not_simulated(call));
        };
        let verb = match (method, rest) {
            ("POST", []) => "create",
            ("PUT", [_]) => "update",
            ("DELETE", [_]) => "delete",
            _ => return Err(not_simulated(call)),
        };
        let refused =
            |why: String| Reply::failed(format!("{verb} sdn {} object failed: {why}", noun.key));
        let mut settings: Map<String, Value> = call
            .params
            .iter()
            .filter(|(key, _)| !NOT_SETTINGS.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), kept(key, value)))
            .collect();
        settings.shift_remove(noun.key);
        if let Some(vnet) = vnet {
            settings.insert("vnet".to_owned(), vnet.into());
        }
        if let [id] = rest {
            return self
                .change_sdn_object(method, noun, id, settings, call)
                .map_err(refused);
        }
        require(call, &[noun.key])?;
        let kind = match noun.key {
            "vnet" | "subnet" => noun.key.to_owned(),
            _ => {
                require(call, &["type"])?;
                call.text("type").unwrap_or_default()
            }
        };
        if check::is_outside(&kind) {
            // The real server asks the other system at once.
            return Err(not_simulated(call));
        }
        let early = |why: String| match noun.key {
            // These two look at their settings before they take the lock.
            "vnet" | "subnet" => refused(why),
            _ => Reply::failed(why),
        };
        check::settings(noun.key, &kind, &settings, true).map_err(early)?;
        self.sdn.pass(call).map_err(refused)?;
        let named = call.text(noun.key).unwrap_or_default();
        let id = match vnet {
            Some(vnet) => {
                let zone = self
                    .vnet_or(vnet)?
                    .get("zone")
                    .map(text_of)
                    .unwrap_or_default();
                format!("{zone}-{}", named.replacen('/', "-", 1))
            }
            None => named,
        };
        if self.sdn.table(collection).contains_key(&id) {
            return Err(refused(format!(
                "sdn {} object ID '{id}' already defined",
                noun.key
            )));
        }
        settings.insert("type".to_owned(), kind.into());
        self.keep_sdn_object(noun, &id, settings).map_err(refused)?;
        Ok(Reply::data(()))
    }

    fn change_sdn_object(
        &mut self,
        method: &str,
        noun: &'static Noun,
        id: &str,
        mut settings: Map<String, Value>,
        call: &Call,
    ) -> Result<Reply, String> {
        self.sdn.pass(call)?;
        let table = self.sdn.table(noun.collection);
        if method == "DELETE" {
            if !table.contains_key(id) && noun.key != "subnet" {
                return Err(check::missing(noun.key, id));
            }
            check::removal(noun.key, id, &|name| self.sdn.table(name))?;
            if let Some(table) = self.sdn.tables.get_mut(noun.collection) {
                table.remove(id);
            }
            return Ok(Reply::data(()));
        }
        if call
            .text("digest")
            .is_some_and(|asked| asked != digest_of(&table))
        {
            return Err(
                "detected modified configuration - file changed by other user? Try again."
                    .to_owned(),
            );
        }
        let Some(old) = table.get(id) else {
            return Err(check::missing(noun.key, id));
        };
        let kind = old.get("type").map(text_of).unwrap_or_default();
        if check::is_outside(&kind) {
            return Err(format!("not simulated: {kind}"));
        }
        check::settings(noun.key, &kind, &settings, false)?;
        let mut new = old.clone();
        for key in names(&call.text("delete").unwrap_or_default()) {
            check::may_drop(noun.key, &kind, key, &settings)?;
            new.shift_remove(key);
        }
        new.append(&mut settings);
        if noun.key == "vnet" {
            let moved = new.get("zone") != old.get("zone");
            let of_vnet = |subnet: &Map<String, Value>| subnet.get("vnet") == Some(&id.into());
            if moved && self.sdn.table("subnets").values().any(of_vnet) {
                return Err(check::parameter(
                    "zone",
                    "can't change zone if subnets exist",
                ));
            }
        }
        self.keep_sdn_object(noun, id, new)?;
        Ok(Reply::data(()))
    }

    fn keep_sdn_object(
        &mut self,
        noun: &'static Noun,
        id: &str,
        mut settings: Map<String, Value>,
    ) -> Result<(), String> {
        check::object(noun.key, id, &settings, &|name| self.sdn.table(name))?;
        if settings.get("type") == Some(&"evpn".into()) && noun.key == "zone" {
            let mac = self.draw_mac();
            settings.entry("mac").or_insert_with(|| mac.into());
        }
        let table = self.sdn.tables.entry(noun.collection.to_owned());
        table.or_default().insert(id.to_owned(), settings);
        Ok(())
    }

    /// What is configured runs from now on; nodes reload in tasks.
    pub(super) fn apply_sdn(&mut self, call: &Call, caller: &Caller) -> Outcome {
        let refused = |why| Reply::failed(format!("could not commit SDN config: {why}"));
        self.sdn.pass(call).map_err(refused)?;
        for collection in APPLIED {
            let table = self.sdn.table(collection);
            self.sdn.running.insert(collection.to_owned(), table);
        }
        self.sdn.version += 1;
        self.sdn.give_back(call);
        let node = self.nodes.keys().next().cloned().unwrap_or_default();
        let operation = Operation::ReloadNetworks {
            caller: caller.clone(),
        };
        Ok(self.start_task(
            &node,
            "reloadnetworkall",
            "",
            caller,
            operation,
            vec![Step::Finish],
        ))
    }

    pub(in super::super) fn reload_networks(&mut self, job: u64, caller: &Caller) {
        let nodes: Vec<String> = self.nodes.keys().cloned().collect();
        for node in nodes {
            self.log(job, format!("{node}: reloading network config"));
            self.start_reload(&node, caller);
        }
    }

    pub(super) fn start_reload(&mut self, node: &str, caller: &Caller) -> Reply {
        let operation = Operation::ReloadNetwork {
            node: node.to_owned(),
        };
        let steps = vec![Step::Work(self.durations.reload), Step::Finish];
        self.start_task(node, "srvreload", "networking", caller, operation, steps)
    }

    pub(in super::super) fn reload_network(&mut self, node: &str) {
        self.load_interfaces(node);
        self.sdn.loaded.insert(node.to_owned(), self.sdn.version);
    }
}
