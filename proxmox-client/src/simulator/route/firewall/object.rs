//! Aliases, IP sets, and what rules may name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};

use super::rule::Names;
use super::{Firewall, changed, digest_of};
use crate::simulator::answer::{Outcome, Reply};
use crate::simulator::http::Call;
use crate::simulator::route::shared::require;
use crate::simulator::route::{list, not_simulated};
use crate::simulator::world::World;

/// An address or network as the server keeps it: without host bits, and without the prefix of a single address.
fn clean(text: &str) -> Option<String> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(bits);
    if prefix > bits {
        return None;
    }
    let low = bits - prefix;
    let network: IpAddr = match address {
        IpAddr::V4(ip) => {
            let kept = ip.to_bits().checked_shr(low).map_or(0, |high| high << low);
            Ipv4Addr::from_bits(kept).into()
        }
        IpAddr::V6(ip) => {
            let kept = ip.to_bits().checked_shr(low).map_or(0, |high| high << low);
            Ipv6Addr::from_bits(kept).into()
        }
    };
    Some(if prefix == bits {
        network.to_string()
    } else {
        format!("{network}/{prefix}")
    })
}

fn is_alias(text: &str) -> bool {
    let name = text
        .strip_prefix("dc/")
        .or_else(|| text.strip_prefix("guest/"))
        .unwrap_or(text);
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !name.contains(':')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn no_such_set(name: &str) -> Reply {
    Reply::failed(format!("no such IPSet '{name}'"))
}

fn aliases_of(file: &Firewall) -> Vec<Map<String, Value>> {
    file.aliases.values().cloned().collect()
}

fn with_digest(entries: &[Map<String, Value>]) -> Value {
    let digest = digest_of(entries);
    list(entries.iter().map(|entry| {
        let mut entry = entry.clone();
        entry.insert("digest".to_owned(), digest.as_str().into());
        entry
    }))
}

fn set_entries(file: &Firewall) -> Vec<Map<String, Value>> {
    let entry = |(name, (comment, _)): (&String, &(String, Vec<_>))| {
        let mut entry = Map::new();
        entry.insert("name".to_owned(), name.as_str().into());
        if !comment.is_empty() {
            entry.insert("comment".to_owned(), comment.as_str().into());
        }
        entry
    };
    file.ip_sets.iter().map(entry).collect()
}

fn unchanged(call: &Call, entries: &[Map<String, Value>]) -> Result<(), Reply> {
    match call.text("digest") {
        Some(asked) if asked != digest_of(entries) => Err(changed()),
        _ => Ok(()),
    }
}

impl World {
    /// What rules of a firewall may name: what it has itself, and what the cluster has.
    pub(super) fn firewall_names(&self, scope: &str) -> Names {
        let files = [scope, "cluster"].map(|scope| self.firewalls.get(scope));
        let files = || files.iter().flatten();
        Names {
            aliases: files()
                .flat_map(|file| file.aliases.keys().cloned())
                .collect(),
            ip_sets: files()
                .flat_map(|file| file.ip_sets.keys().cloned())
                .collect(),
        }
    }

    pub(super) fn read_firewall_objects(
        &self,
        scope: &str,
        noun: &str,
        rest: &[&str],
        call: &Call,
    ) -> Outcome {
        let empty = Firewall::default();
        let file = self.firewalls.get(scope).unwrap_or(&empty);
        match (noun, rest) {
            ("aliases", []) => Ok(Reply::data(with_digest(&aliases_of(file)))),
            ("aliases", [name]) => match file.aliases.get(&name.to_ascii_lowercase()) {
                Some(alias) => Ok(Reply::data(alias.clone())),
                None => Err(Reply::parameter("name", "no such alias")),
            },
            ("ipset", []) => Ok(Reply::data(with_digest(&set_entries(file)))),
            ("ipset", [name, rest @ ..]) => {
                let (_, entries) = file.ip_sets.get(*name).ok_or_else(|| no_such_set(name))?;
                if rest.is_empty() {
                    return Ok(Reply::data(with_digest(entries)));
                }
                let network = rest.join("/");
                let is = |entry: &&Map<String, Value>| entry["cidr"] == network.as_str();
                match entries.iter().find(is) {
                    Some(entry) => {
                        let mut entry = entry.clone();
                        entry.insert("digest".to_owned(), digest_of(entries).into());
                        Ok(Reply::data(entry))
                    }
                    None => Err(Reply::parameter("cidr", "no such IP/Network")),
                }
            }
            ("refs", []) => Ok(Reply::data(self.firewall_references(scope, call))),
            _ => Err(not_simulated(call)),
        }
    }

    fn firewall_references(&self, scope: &str, call: &Call) -> Value {
        let kind = call.text("type");
        let wanted = |name: &str| kind.as_deref().is_none_or(|kind| kind == name);
        let mut out = Vec::new();
        let places = if scope == "cluster" {
            vec![("dc", "cluster")]
        } else {
            vec![("dc", "cluster"), ("guest", scope)]
        };
        for (place, scope) in places {
            let Some(file) = self.firewalls.get(scope) else {
                continue;
            };
            let mut tell = |kind: &str, name: &str, reference: String, comment: Option<&Value>| {
                let mut entry = json!({
                    "type": kind, "name": name, "ref": reference, "scope": place,
                });
                if let Some(comment) = comment {
                    entry["comment"] = comment.clone();
                }
                out.push(entry);
            };
            if wanted("ipset") {
                for (name, (comment, _)) in &file.ip_sets {
                    let comment = (!comment.is_empty()).then(|| comment.as_str().into());
                    tell("ipset", name, format!("+{name}"), comment.as_ref());
                }
            }
            if wanted("alias") {
                for (name, alias) in &file.aliases {
                    tell("alias", name, name.clone(), alias.get("comment"));
                }
            }
        }
        out.into()
    }

    pub(super) fn write_firewall_object(
        &mut self,
        method: &str,
        scope: &str,
        noun: &str,
        rest: &[&str],
        call: &Call,
    ) -> Outcome {
        let names = self.firewall_names(scope);
        let file = self.firewalls.entry(scope.to_owned()).or_default();
        match (noun, method, rest) {
            ("aliases", "POST", []) => {
                require(call, &["cidr", "name"])?;
                let name = call.text("name").unwrap_or_default();
                let key = name.to_ascii_lowercase();
                if file.aliases.contains_key(&key) {
                    let why = format!("alias '{name}' already exists");
                    return Err(Reply::parameter("name", why));
                }
                file.aliases.insert(key, alias(&name, call)?);
            }
            ("aliases", _, [name]) => {
                unchanged(call, &aliases_of(file))?;
                let key = name.to_ascii_lowercase();
                if method == "DELETE" {
                    file.aliases.remove(&key);
                    return Ok(Reply::data(()));
                }
                if !file.aliases.contains_key(&key) {
                    return Err(Reply::parameter("name", "no such alias"));
                }
                require(call, &["cidr"])?;
                let new = call.text("rename").unwrap_or_else(|| (*name).to_owned());
                let new_key = new.to_ascii_lowercase();
                if new_key != key && file.aliases.contains_key(&new_key) {
                    let why = format!("alias '{new}' already exists");
                    return Err(Reply::parameter("name", why));
                }
                let alias = alias(&new, call)?;
                file.aliases.remove(&key);
                file.aliases.insert(new_key, alias);
            }
            ("ipset", "POST", []) => return file.make_set(call),
            ("ipset", "DELETE", [name]) => {
                let (_, entries) = file.ip_sets.get(*name).ok_or_else(|| no_such_set(name))?;
                if !entries.is_empty() && !call.flag("force") {
                    return Err(Reply::failed(format!("IPSet '{name}' is not empty")));
                }
                file.ip_sets.remove(*name);
            }
            ("ipset", _, [name, rest @ ..]) => {
                let (_, entries) = file
                    .ip_sets
                    .get_mut(*name)
                    .ok_or_else(|| no_such_set(name))?;
                return write_entry(entries, method, &rest.join("/"), call, &names);
            }
            _ => return Err(not_simulated(call)),
        }
        Ok(Reply::data(()))
    }
}

impl Firewall {
    fn make_set(&mut self, call: &Call) -> Outcome {
        require(call, &["name"])?;
        let name = call.text("name").unwrap_or_default();
        let comment = call.text("comment");
        let wrong = |why: String| Err(Reply::parameter("name", why));
        let Some(old) = call.text("rename") else {
            if self.ip_sets.contains_key(&name) {
                return wrong(format!("IPSet '{name}' already exists"));
            }
            self.ip_sets
                .insert(name, (comment.unwrap_or_default(), Vec::new()));
            return Ok(Reply::data(()));
        };
        unchanged(call, &set_entries(self))?;
        if !self.ip_sets.contains_key(&old) {
            return wrong(format!("IPSet '{old}' does not exist"));
        }
        if name != old && self.ip_sets.contains_key(&name) {
            return wrong(format!("IPSet '{name}' does already exist"));
        }
        if let Some((text, entries)) = self.ip_sets.remove(&old) {
            self.ip_sets
                .insert(name, (comment.unwrap_or(text), entries));
        }
        Ok(Reply::data(()))
    }
}

fn alias(name: &str, call: &Call) -> Result<Map<String, Value>, Reply> {
    let text = call.text("cidr").unwrap_or_default();
    let Some(network) = clean(&text) else {
        let why = "invalid format - value does not look like a valid IP address or CIDR network\n";
        return Err(Reply::parameter("cidr", why));
    };
    let mut alias = Map::new();
    alias.insert("name".to_owned(), name.into());
    let version = if network.contains(':') { 6 } else { 4 };
    alias.insert("cidr".to_owned(), network.into());
    alias.insert("ipversion".to_owned(), version.into());
    if let Some(comment) = call.text("comment").filter(|text| !text.is_empty()) {
        alias.insert("comment".to_owned(), comment.into());
    }
    Ok(alias)
}

fn write_entry(
    entries: &mut Vec<Map<String, Value>>,
    method: &str,
    network: &str,
    call: &Call,
    names: &Names,
) -> Outcome {
    let settings = |network: &str| {
        let mut entry = Map::new();
        entry.insert("cidr".to_owned(), network.into());
        if call.flag("nomatch") {
            entry.insert("nomatch".to_owned(), 1.into());
        }
        if let Some(comment) = call.text("comment").filter(|text| !text.is_empty()) {
            entry.insert("comment".to_owned(), comment.into());
        }
        entry
    };
    if method == "POST" && network.is_empty() {
        require(call, &["cidr"])?;
        let text = call.text("cidr").unwrap_or_default();
        let kept = match clean(&text) {
            Some(network) => network,
            None if is_alias(&text) => {
                let name = text
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                if !names.aliases.contains(&name) {
                    return Err(Reply::failed(format!("no such alias '{name}'")));
                }
                text
            }
            None => {
                let why = "invalid format - value does not look like a valid IP address or CIDR network\n";
                return Err(Reply::parameter("cidr", why));
            }
        };
        if entries.iter().any(|entry| entry["cidr"] == kept.as_str()) {
            let why = format!("address '{kept}' already exists");
            return Err(Reply::parameter("cidr", why));
        }
        if kept.ends_with("/0") {
            let why = "a zero prefix is not allowed in ipset entries";
            return Err(Reply::parameter("cidr", why));
        }
        entries.insert(0, settings(&kept));
        return Ok(Reply::data(()));
    }
    unchanged(call, entries)?;
    match method {
        "DELETE" => entries.retain(|entry| entry["cidr"] != network),
        "PUT" => match entries.iter_mut().find(|entry| entry["cidr"] == network) {
            Some(entry) => *entry = settings(network),
            None => return Err(Reply::parameter("cidr", "no such IP/Network")),
        },
        _ => return Err(not_simulated(call)),
    }
    Ok(Reply::data(()))
}
