//! BGP instances.

use super::{Findings, int, list, text};
use crate::address::{self, Prefix};
use crate::config::Document;
use crate::quote::quote;
use crate::value::Value;

fn field<'v>(value: &'v Value, name: &str) -> &'v str {
    value.at(name).and_then(Value::as_text).unwrap_or_default()
}

pub(super) fn check(name: &str, document: &Document, findings: &mut Findings<'_>) {
    findings.require(int(document, "localASN") != 0, "localASN must be specified");
    let router = text(document, "routerID");
    if !router.is_empty() && !address::parse(router).is_ok_and(|id| id.ip.is_ipv4()) {
        findings.error("routerID must be an IPv4 address");
    }
    let neighbors = list(document, "neighbors");
    if neighbors.is_empty() {
        findings.warning("BGPInstanceConfig has no neighbors configured");
    }
    let mut seen = Vec::new();
    for (index, neighbor) in neighbors.iter().enumerate() {
        let (address, link) = (field(neighbor, "address"), field(neighbor, "link"));
        let key = match (address.is_empty(), link.is_empty()) {
            (false, true) => Some(address),
            (true, false) => Some(link),
            _ => {
                findings.error(format!(
                    "neighbor[{index}]: exactly one of address or link must be set"
                ));
                None
            }
        };
        behaviour(index, neighbor, text(document, "vrf"), findings);
        if let Some(key) = key {
            if seen.contains(&key) {
                findings.error(format!(
                    "neighbor[{index}]: duplicate neighbor {}",
                    quote(key)
                ));
            }
            seen.push(key);
        }
    }
    imports(name, document, findings);
}

fn behaviour(index: usize, neighbor: &Value, vrf: &str, findings: &mut Findings<'_>) {
    let negative = |path: &str| field(neighbor, path).starts_with('-');
    if negative("holdTime") {
        findings.error(format!("neighbor[{index}]: holdTime must not be negative"));
    }
    if neighbor.at("bfd").is_none() {
        return;
    }
    if !vrf.is_empty() {
        findings.error(format!(
            "neighbor[{index}]: bfd is not supported for VRF-bound BGP instances"
        ));
    }
    for interval in ["transmitInterval", "receiveInterval"] {
        if negative(&format!("bfd.{interval}")) {
            findings.error(format!(
                "neighbor[{index}]: bfd.{interval} must not be negative"
            ));
        }
    }
}

fn imports(name: &str, document: &Document, findings: &mut Findings<'_>) {
    let mut sources = Vec::new();
    let mut selectors: Vec<(Prefix, usize)> = Vec::new();
    for (index, route) in list(document, "importRoutes").iter().enumerate() {
        let place = format!("importRoutes[{index}]");
        let source = field(route, "bgpInstance");
        if source.is_empty() {
            findings.error(format!("{place}: bgpInstance must be specified"));
        } else if source == name {
            findings.error(format!(
                "{place}: cannot import from the same BGP instance {}",
                quote(source)
            ));
        }
        let prefixes: Vec<Option<Prefix>> = route
            .at("prefixes")
            .map(Value::as_list)
            .unwrap_or_default()
            .iter()
            .map(|prefix| address::parse_prefix(prefix.as_text().unwrap_or_default()).ok())
            .collect();
        if prefixes.is_empty() {
            findings.error(format!("{place}: at least one prefix must be specified"));
        }
        for (at, prefix) in prefixes.iter().enumerate() {
            let place = format!("{place}.prefixes[{at}]");
            let Some(prefix) = *prefix else {
                findings.error(format!("{place}: invalid prefix"));
                continue;
            };
            if prefix != prefix.masked() {
                findings.error(format!("{place}: prefix {prefix} must be masked"));
            }
            for (other_at, other) in prefixes[..at].iter().enumerate() {
                if let Some(other) = other.filter(|other| other.overlaps(prefix)) {
                    findings.error(format!(
                        "{place}: prefix {prefix} overlaps prefixes[{other_at}] {other}"
                    ));
                }
            }
        }
        if !source.is_empty() {
            if sources.contains(&source) {
                findings.error(format!(
                    "{place}: duplicate source BGP instance {}",
                    quote(source)
                ));
            }
            sources.push(source);
        }
        for prefix in prefixes.into_iter().flatten().filter(|p| *p == p.masked()) {
            for (other, from) in &selectors {
                if *from != index && other.overlaps(prefix) {
                    findings.error(format!(
                        "{place}: prefix {prefix} overlaps importRoutes[{from}] prefix {other}"
                    ));
                }
            }
            selectors.push((prefix, index));
        }
    }
}
