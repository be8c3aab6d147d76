//! The configuration file, the monitors' database, flags, rules, the map, the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::calendar::Moment;
use crate::simulator::http::Call;
use crate::simulator::route::not_simulated;
use crate::simulator::task::seconds;
use crate::simulator::world::World;

/// The file: sections with their settings, in order of their names.
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub(super) struct Conf(BTreeMap<String, BTreeMap<String, String>>);

impl Conf {
    pub(super) fn get(&self, section: &str, name: &str) -> Option<&str> {
        self.0.get(section)?.get(name).map(String::as_str)
    }

    pub(super) fn set(&mut self, section: &str, name: &str, value: &str) {
        let section = self.0.entry(section.to_owned()).or_default();
        section.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn has(&self, section: &str) -> bool {
        self.0.contains_key(section)
    }

    pub(super) fn remove(&mut self, section: &str) {
        self.0.remove(section);
    }

    /// The file's text: `global` first.
    fn text(&self) -> String {
        let mut out = String::new();
        let mut sections: Vec<_> = self.0.iter().collect();
        sections.sort_by_key(|(name, _)| (*name != "global", name.as_str()));
        for (section, settings) in sections {
            out.push_str(&format!("[{section}]\n"));
            for (name, value) in settings {
                out.push_str(&format!("\t{name} = {value}\n"));
            }
            out.push('\n');
        }
        out
    }
}

/// Flags with what they do.
const FLAGS: [(&str, &str); 11] = [
    ("nobackfill", "Backfilling of PGs is suspended."),
    ("nodeep-scrub", "Deep Scrubbing is disabled."),
    (
        "nodown",
        "OSD failure reports are being ignored, such that the monitors will not mark OSDs down.",
    ),
    (
        "noin",
        "OSDs that were previously marked out will not be marked back in when they start.",
    ),
    (
        "noout",
        "OSDs will not automatically be marked out after the configured interval.",
    ),
    ("norebalance", "Rebalancing of PGs is suspended."),
    ("norecover", "Recovery of PGs is suspended."),
    ("noscrub", "Scrubbing is disabled."),
    ("notieragent", "Cache tiering activity is suspended."),
    ("noup", "OSDs are not allowed to start."),
    ("pause", "Pauses read and writes."),
];

/// The flags that a call sets or takes back.
pub(super) fn flags_in(call: &Call) -> Vec<(String, bool)> {
    let named = FLAGS.iter().map(|(name, _)| *name);
    named
        .filter(|name| call.params.contains_key(*name))
        .map(|name| (name.to_owned(), call.flag(name)))
        .collect()
}

/// What nodes could install.
pub(super) fn releases() -> Value {
    json!([
        { "release": "squid", "version": "19.2", "available": 1, "is-default": 1, "unsupported": 0 },
        { "release": "tentacle", "version": "20.2", "available": 1, "is-default": 0, "unsupported": 0 },
    ])
}

/// Ceph takes both characters for the same.
fn with_hyphens(text: &str) -> String {
    text.replace('_', "-")
}

impl World {
    pub(super) fn init_ceph(&mut self, given: &Value) {
        let text = |name: &str| {
            let value = given.get(name)?;
            Some(
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            )
        };
        let fsid = self.draw_uuid();
        let mut conf = self.ceph.config.clone().unwrap_or_default();
        let auth = match text("disable_cephx").as_deref() {
            Some("1") => "none",
            _ => "cephx",
        };
        if !conf.has("global") {
            let size = text("size").unwrap_or_else(|| "3".to_owned());
            let min_size = text("min_size").unwrap_or_else(|| "2".to_owned());
            for (name, value) in [
                ("fsid", fsid.as_str()),
                ("auth_cluster_required", auth),
                ("auth_service_required", auth),
                ("auth_client_required", auth),
                ("osd_pool_default_size", &size),
                ("osd_pool_default_min_size", &min_size),
                ("mon_allow_pool_delete", "true"),
            ] {
                conf.set("global", name, value);
            }
        }
        if auth == "cephx" {
            conf.set("client", "keyring", "/etc/pve/priv/$cluster.$name.keyring");
            self.ceph.has_key = true;
        }
        if let Some(network) = text("network") {
            conf.set("global", "public_network", &network);
            conf.set("global", "cluster_network", &network);
        }
        if let Some(network) = text("cluster-network") {
            conf.set("global", "cluster_network", &network);
        }
        self.ceph.config = Some(conf);
    }

    /// A setting of the file.
    pub(super) fn ceph_setting(&self, section: &str, name: &str) -> Option<&str> {
        self.ceph.config.as_ref()?.get(section, name)
    }

    pub(super) fn ceph_log(&mut self, level: &str, text: &str) {
        let leader = self.ceph.monitors.iter().find(|(_, monitor)| monitor.up);
        let leader = leader.map_or("?", |(name, _)| name.as_str());
        let number = self.ceph.log.len() + 1;
        let at = Moment::of(seconds(self.now));
        let line = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.000000+0000 mon.{leader} (mon.0) {number} : cluster [{level}] {text}",
            at.year, at.month, at.day, at.hour, at.minute, at.second
        );
        self.ceph.log.push(line);
    }

    pub(super) fn ceph_flags(&self) -> Value {
        let entry = |(name, what): &(&str, &str)| {
            let value = u8::from(self.ceph.flags.contains(*name));
            json!({ "name": name, "description": what, "value": value })
        };
        FLAGS.iter().map(entry).collect()
    }

    pub(super) fn set_ceph_flag(&mut self, flag: &str, on: bool) {
        if on {
            self.ceph.flags.insert(flag.to_owned());
        } else {
            self.ceph.flags.remove(flag);
        }
    }

    pub(super) fn read_ceph_config(&self, node: &str, rest: &[&str], call: &Call) -> Outcome {
        match rest {
            ["cfg", "raw"] => {
                self.ceph_inited(node)?;
                let text = self.ceph.config.as_ref().map(Conf::text);
                Ok(Reply::data(text))
            }
            ["cfg", "db"] => {
                self.ceph_ready(node)?;
                let entries = self.ceph.database.iter().map(|(section, name, value)| {
                    json!({
                        "section": section, "name": name, "value": value, "level": "advanced", "mask": "",
                        "can_update_at_runtime": 1,
                    })
                });
                Ok(Reply::data(entries.collect::<Value>()))
            }
            ["cfg", "value"] => {
                self.ceph_ready(node)?;
                Ok(Reply::data(self.ceph_values(call)))
            }
            ["crush"] => {
                self.ceph_ready(node)?;
                Ok(Reply::data(self.crush_text()))
            }
            ["rules"] => {
                self.ceph_ready(node)?;
                let own = std::iter::once("replicated_rule");
                let names = own.chain(self.ceph.rules.values().map(String::as_str));
                let entries = names.map(|name| json!({ "name": name }));
                Ok(Reply::data(entries.collect::<Value>()))
            }
            ["log"] => {
                self.ceph_inited(node)?;
                Ok(self.ceph_log_page(call))
            }
            _ => Err(not_simulated(call)),
        }
    }

    fn ceph_values(&self, call: &Call) -> Value {
        let asked = call.text("config-keys").unwrap_or_default();
        let asked: Vec<(String, String)> = asked
            .split([';', ',', ' '])
            .filter_map(|pair| pair.split_once(':'))
            .map(|(section, name)| (with_hyphens(section), with_hyphens(name)))
            .collect();
        let mut found: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        let mut tell = |section: &str, name: &str, value: &str| {
            let key = (with_hyphens(section), with_hyphens(name));
            if asked.contains(&key) {
                let section = found.entry(key.0).or_default();
                section.insert(key.1, value.into());
            }
        };
        for (section, name, value) in &self.ceph.database {
            tell(section, name, value);
        }
        // The file comes last, since it wins.
        for (section, settings) in self.ceph.config.iter().flat_map(|conf| &conf.0) {
            for (name, value) in settings {
                tell(section, name, value);
            }
        }
        json!(found)
    }

    fn ceph_log_page(&self, call: &Call) -> Reply {
        let log = &self.ceph.log;
        let start = call.number("start").unwrap_or(0) as usize;
        let limit = call.number("limit").unwrap_or(50) as usize;
        if log.is_empty() {
            let line = "unable to open file - No such file or directory";
            return Reply::page(json!([{ "n": 1, "t": line }]), 0);
        }
        let lines = log.iter().enumerate().skip(start).take(limit);
        let mut lines: Vec<Value> = lines
            .map(|(at, line)| json!({ "n": at + 1, "t": line }))
            .collect();
        if lines.is_empty() {
            lines.push(json!({ "n": 1, "t": "no content" }));
        }
        Reply::page(lines, log.len())
    }

    /// The map in the language of `crushtool`.
    fn crush_text(&self) -> String {
        let mut out = String::from("# begin crush map\n\n# devices\n");
        for (id, osd) in &self.ceph.osds {
            out.push_str(&format!("device {id} osd.{id} class {}\n", osd.class));
        }
        out.push_str("\n# types\ntype 0 osd\ntype 1 host\ntype 11 root\n\n# buckets\n");
        let hosts = self.ceph.hosts();
        let weight = |ids: &[u32]| -> f64 {
            let weights = ids.iter().filter_map(|id| self.ceph.osds.get(id));
            weights.map(|osd| osd.weight()).sum()
        };
        for (at, (host, ids)) in hosts.iter().enumerate() {
            let bucket = -3 - 2 * at as i64;
            out.push_str(&format!(
                "host {host} {{\n\tid {bucket}\n\talg straw2\n\thash 0\n"
            ));
            for id in ids {
                let weight = weight(std::slice::from_ref(id));
                out.push_str(&format!("\titem osd.{id} weight {weight:.5}\n"));
            }
            out.push_str("}\n");
        }
        out.push_str("root default {\n\tid -1\n\talg straw2\n\thash 0\n");
        for (host, ids) in &hosts {
            out.push_str(&format!("\titem {host} weight {:.5}\n", weight(ids)));
        }
        out.push_str("}\n\n# rules\n");
        let replicated = "rule replicated_rule {\n\tid 0\n\ttype replicated\n\tstep take default\n\
                          \tstep chooseleaf firstn 0 type host\n\tstep emit\n}\n";
        out.push_str(replicated);
        for (id, name) in &self.ceph.rules {
            out.push_str(&format!(
                "rule {name} {{\n\tid {id}\n\ttype erasure\n\tstep take default\n\
                 \tstep chooseleaf indep 0 type host\n\tstep emit\n}}\n"
            ));
        }
        out.push_str("\n# end crush map\n");
        out
    }
}
