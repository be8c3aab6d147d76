//! What cloud-init is given, as text, and what waits for its drive to be made anew.

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::not_simulated;
use super::shared::require;
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::guest::{Guest, text_of};
use crate::simulator::http::{Call, decode};
use crate::simulator::schema::sub_key;
use crate::simulator::world::World;

/// Keys that the list shows.
const LISTED: [&str; 8] = [
    "nameserver",
    "searchdomain",
    "sshkeys",
    "ciuser",
    "cipassword",
    "cicustom",
    "citype",
    "ciupgrade",
];

fn shown(key: &str, value: &Value) -> Value {
    match key {
        "cipassword" => "**********".into(),
        _ => text_of(value).into(),
    }
}

impl Guest {
    /// Notes that a key changes which cloud-init is given: what its drive was made from stays known.
    pub(in super::super) fn note_cloud_init(&mut self, key: &str, new: Option<&Value>) {
        let ip = key.strip_prefix("ipconfig");
        let is_ip = ip.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        if !LISTED.contains(&key) && !is_ip {
            return;
        }
        let old = self.config.get(key).cloned();
        let made_from = self.cloud_init.entry(key.to_owned()).or_insert(old);
        if made_from.as_ref().map(text_of) == new.map(text_of) {
            self.cloud_init.remove(key);
        }
    }

    fn cloud_init_entries(&self) -> Vec<Value> {
        let mut entries = Vec::new();
        for key in LISTED {
            let Some(value) = self.config.get(key) else {
                continue;
            };
            entries.push(match self.cloud_init.get(key) {
                None => json!({ "key": key, "value": shown(key, value) }),
                Some(Some(made_from)) => json!({
                    "key": key, "value": shown(key, made_from), "pending": shown(key, value),
                }),
                Some(None) => json!({ "key": key, "pending": shown(key, value) }),
            });
        }
        let gone = self.cloud_init.keys();
        for key in gone.filter(|key| !self.config.contains_key(*key)) {
            entries.push(json!({ "key": key, "delete": 1 }));
        }
        entries
    }

    /// Host name, and the full name where a domain is known.
    fn names(&self) -> (String, Option<String>) {
        let name = self
            .text("name")
            .unwrap_or_else(|| format!("VM{}", self.vmid));
        match name.split_once('.') {
            Some((host, _)) => (host.to_owned(), Some(name.clone())),
            None => {
                let domain = self.text("searchdomain");
                let full = domain.map(|domain| format!("{name}.{domain}"));
                (name, full)
            }
        }
    }

    fn user_data(&self) -> String {
        let (host, full) = self.names();
        let mut text = format!("#cloud-config\nhostname: {host}\nmanage_etc_hosts: true\n");
        if let Some(full) = full {
            text.push_str(&format!("fqdn: {full}\n"));
        }
        for (key, name) in [("ciuser", "user"), ("cipassword", "password")] {
            if let Some(value) = self.text(key) {
                text.push_str(&format!("{name}: {value}\n"));
            }
        }
        if let Some(keys) = self.text("sshkeys") {
            text.push_str("ssh_authorized_keys:\n");
            let keys = decode(&keys, false);
            for key in keys.lines().filter(|line| !line.trim().is_empty()) {
                text.push_str(&format!("  - {key}\n"));
            }
        }
        text.push_str("chpasswd:\n  expire: False\n");
        if self.text("ciuser").as_deref() != Some("root") {
            text.push_str("users:\n  - default\n");
        }
        if self.text("ciupgrade").is_none_or(|flag| flag != "0") {
            text.push_str("package_upgrade: true\n");
        }
        text
    }

    fn network_config(&self) -> String {
        let mut text = "version: 1\nconfig:\n".to_owned();
        let indices = (0..32u8).filter(|index| {
            let has = |stem: &str| self.config.contains_key(&format!("{stem}{index}"));
            has("net") && has("ipconfig")
        });
        for index in indices {
            let mac = self.mac(index).unwrap_or_default().to_ascii_lowercase();
            text.push_str(&format!(
                "    - type: physical\n      name: eth{index}\n      mac_address: '{mac}'\n      subnets:\n"
            ));
            let config = self.text(&format!("ipconfig{index}")).unwrap_or_default();
            text.push_str(&subnets(|name| sub_key(&config, name)));
        }
        let words = |key: &str| {
            let text = self.text(key).unwrap_or_default();
            let words = text.split([' ', ',', ';']).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let (servers, domains) = (words("nameserver"), words("searchdomain"));
        if !servers.is_empty() || !domains.is_empty() {
            text.push_str("    - type: nameserver\n");
            for (name, values) in [("address", servers), ("search", domains)] {
                if !values.is_empty() {
                    text.push_str(&format!("      {name}:\n"));
                }
                for value in values {
                    text.push_str(&format!("      - '{value}'\n"));
                }
            }
        }
        text
    }

    fn meta_data(&self) -> String {
        let mut hash = Sha1::new();
        hash.update(self.user_data());
        hash.update(self.network_config());
        let digits: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("instance-id: {digits}\n")
    }
}

/// The addresses of one card.
fn subnets<'a>(part: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut text = String::new();
    let gateway = |name: &str| match part(name) {
        Some(gateway) => format!("        gateway: '{gateway}'\n"),
        None => String::new(),
    };
    match part("ip") {
        None => {}
        Some("dhcp") => text.push_str("      - type: dhcp4\n"),
        Some(address) => {
            let (address, bits) = address.split_once('/').unwrap_or((address, "32"));
            let bits: u32 = bits.parse().unwrap_or(32).min(32);
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let mask = std::net::Ipv4Addr::from(mask);
            text.push_str(&format!(
                "      - type: static\n        address: '{address}'\n        netmask: '{mask}'\n{}",
                gateway("gw")
            ));
        }
    }
    match part("ip6") {
        None => {}
        Some("dhcp") => text.push_str("      - type: dhcp6\n"),
        Some("auto") => text.push_str("      - type: ipv6_slaac\n"),
        Some(address) => text.push_str(&format!(
            "      - type: static6\n        address: '{address}'\n{}",
            gateway("gw6")
        )),
    }
    text
}

impl World {
    pub(super) fn read_cloud_init(
        &self,
        node: &str,
        vmid: u32,
        rest: &[&str],
        call: &Call,
    ) -> Outcome {
        let guest = self.guest_or(vmid, node)?;
        if rest.is_empty() {
            return Ok(Reply::data(guest.cloud_init_entries()));
        }
        require(call, &["type"])?;
        let kind = call.text("type").unwrap_or_default();
        // Files of the administrator and the forms for other guests are not modelled.
        let other_form = guest.text("citype").is_some_and(|form| form != "nocloud")
            || guest.text("ostype").is_some_and(|os| os.starts_with('w'));
        let custom = guest.text("cicustom").unwrap_or_default();
        let is_custom = custom
            .split(',')
            .any(|part| part.starts_with(&format!("{kind}=")));
        if other_form || is_custom {
            return Err(not_simulated(call));
        }
        match kind.as_str() {
            "user" => Ok(Reply::data(guest.user_data())),
            "network" => Ok(Reply::data(guest.network_config())),
            "meta" => Ok(Reply::data(guest.meta_data())),
            other => Err(Reply::parameter(
                "type",
                format!(
                    "value '{other}' does not have a value in the enumeration 'user, network, meta'"
                ),
            )),
        }
    }

    /// Writes the drive anew.
    pub(super) fn regenerate_cloud_init(&mut self, node: &str, vmid: u32) -> Outcome {
        self.guest_or(vmid, node)?.unlocked()?;
        self.guest_mut(vmid)?.cloud_init = std::collections::BTreeMap::new();
        Ok(Reply::data(()))
    }

    /// Presses keys of a machine that runs.
    pub(super) fn send_key(&self, node: &str, vmid: u32, call: &Call) -> Outcome {
        require(call, &["key"])?;
        let guest = self.guest_or(vmid, node)?.unlocked()?;
        if !guest.is_on() {
            return Err(Reply::failed(format!("VM {vmid} not running")));
        }
        Ok(Reply::data(()))
    }

    /// The change of the configuration that an unlink is.
    pub(super) fn unlink_params(call: &Call) -> Result<Map<String, Value>, Reply> {
        require(call, &["idlist"])?;
        let mut params = Map::new();
        params.insert(
            "delete".to_owned(),
            call.text("idlist").unwrap_or_default().into(),
        );
        if call.flag("force") {
            params.insert("force".to_owned(), "1".into());
        }
        Ok(params)
    }
}
