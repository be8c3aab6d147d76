//! Documents about links, addresses, routes, names and time.

use super::expression::{Environment, Output};
use super::{Findings, duration, flag, int, list, text};
use crate::address;
use crate::config::Document;
use crate::encoding;
use crate::quote::{is_printable, quote};
use crate::uri;
use crate::value::Value;

/// Priorities of routing rules that the kernel and KubeSpan use themselves.
const RESERVED_PRIORITIES: [u64; 4] = [0, 32_500, 32_766, 32_767];
const DUID: &str = "duid";

pub(super) fn check(kind: &str, name: &str, document: &Document, findings: &mut Findings<'_>) {
    let must_be_named = matches!(
        kind,
        "LinkConfig"
            | "BondConfig"
            | "BridgeConfig"
            | "DummyLinkConfig"
            | "VLANConfig"
            | "VRFConfig"
            | "WireguardConfig"
            | "DHCPv4Config"
            | "DHCPv6Config"
            | "BGPInstanceConfig"
            | "BlackholeRouteConfig"
            | "HCloudVIPConfig"
            | "Layer2VIPConfig"
            | "LinkAliasConfig"
            | "RoutingRuleConfig"
    );
    if must_be_named {
        findings.require(!name.is_empty(), "name must be specified");
    }
    match kind {
        "BondConfig" => bond(document, findings),
        "VLANConfig" => {
            let id = int(document, "vlanID");
            findings.require(
                (1..=4094).contains(&id),
                "vlanID must be specified and between 1 and 4094",
            );
            findings.require(
                !text(document, "parent").is_empty(),
                "parent must be specified",
            );
        }
        "VRFConfig" => {
            let table = table(document);
            if matches!(table, "unspec" | "default" | "main" | "local") {
                findings.error(format!("cannot create vrf with reserved table {table}"));
            }
        }
        "VethConfig" => {
            let peer = text(document, "peer.name");
            veth_name("name", name, findings);
            veth_name("peer name", peer, findings);
            if !name.is_empty() && name == peer {
                findings.error("name and peer name must be different");
            }
        }
        "WireguardConfig" => wireguard(document, findings),
        "DHCPv4Config" | "DHCPv6Config" => {
            let is_duid = text(document, "clientIdentifier") == DUID;
            let raw = !text(document, "duidRaw").is_empty();
            if raw && !is_duid {
                findings.error("duidRaw can only be set if clientIdentifier is 'duid'");
            } else if is_duid && !raw {
                findings.error("duidRaw must be set if clientIdentifier is 'duid'");
            }
        }
        "EthernetConfig" => findings.require(!name.is_empty(), "name is required"),
        "BGPInstanceConfig" => super::bgp::check(name, document, findings),
        "BlackholeRouteConfig" => {
            if let Err(why) = address::parse_prefix(name) {
                findings.error(format!("name must be a valid address prefix: {why}"));
            }
        }
        "HCloudVIPConfig" | "Layer2VIPConfig" => {
            if !name.is_empty()
                && let Err(why) = address::parse(name)
            {
                findings.error(format!("name must be a valid IP address: {why}"));
            }
            findings.require(!text(document, "link").is_empty(), "link must be specified");
            if kind == "HCloudVIPConfig" && text(document, "apiToken").is_empty() {
                findings.error("apiToken must be specified");
            }
        }
        "LinkAliasConfig" => alias(name, document, findings),
        "RoutingRuleConfig" => routing_rule(name, document, findings),
        "NetworkRuleConfig" => rule(name, document, findings),
        "HostnameConfig" => hostname(document, findings),
        "ResolverConfig" => resolver(document, findings),
        "StaticHostConfig" => {
            findings.require(!name.is_empty(), "name is required");
            findings.require(
                address::parse(name).is_ok(),
                "name must be a valid IP address",
            );
            findings.require(
                !list(document, "hostnames").is_empty(),
                "at least one hostname is required",
            );
        }
        "TimeSyncConfig" => time_sync(document, findings),
        "KubeSpanConfig" => kubespan(document, findings),
        "TCPProbeConfig" | "HTTPProbeConfig" => probe(kind, name, document, findings),
        _ => {}
    }
    if matches!(
        kind,
        "LinkConfig"
            | "BondConfig"
            | "BridgeConfig"
            | "DummyLinkConfig"
            | "VLANConfig"
            | "VRFConfig"
            | "VethConfig"
            | "WireguardConfig"
    ) {
        link(document, "", findings);
        if kind == "VethConfig" {
            link(document, "peer.", findings);
        }
    }
}

fn table(document: &Document) -> &str {
    match text(document, "table") {
        "" => "unspec",
        table => table,
    }
}

/// Addresses and routes, which every link has.
fn link(document: &Document, prefix: &str, findings: &mut Findings<'_>) {
    let value = |item: &Value, field: &str| {
        let text = item.at(field).and_then(Value::as_text);
        text.unwrap_or_default().to_owned()
    };
    let unspecified = |address: &str| {
        let bare = address.split('/').next().unwrap_or_default();
        address::parse(bare).is_ok_and(|address| address.ip.is_unspecified())
    };
    for (index, item) in list(document, &format!("{prefix}addresses"))
        .iter()
        .enumerate()
    {
        let address = value(item, "address");
        if address.is_empty() {
            findings.error(format!("address {index} must be specified"));
        } else if unspecified(&address) {
            findings.error(format!("address {index} must be a valid IP address"));
        }
    }
    for (index, route) in list(document, &format!("{prefix}routes"))
        .iter()
        .enumerate()
    {
        for (field, what) in [
            ("destination", "prefix"),
            ("gateway", "address"),
            ("source", "address"),
        ] {
            if unspecified(&value(route, field)) {
                findings.error(format!("route {index} {field} must be a valid IP {what}"));
            }
        }
    }
}

fn bond(document: &Document, findings: &mut Findings<'_>) {
    let links = list(document, "links");
    findings.require(!links.is_empty(), "at least one link must be specified");
    let mode = text(document, "bondMode");
    if document.at("bondMode").is_none() {
        findings.error("bond mode must be specified");
    } else if mode == "802.3ad" {
        for field in ["miimon", "updelay", "downdelay"] {
            if document.at(field).is_none() {
                findings.warning(format!("{field} was not specified for 802.3ad bond"));
            }
        }
    }
    let uses_primary = matches!(mode, "active-backup" | "balance-tlb" | "balance-alb");
    match document.at("primary").and_then(Value::as_text) {
        Some(primary) => {
            if primary.is_empty() {
                findings.error("primary link name can't be empty");
            } else if !links.iter().any(|link| link.as_text() == Some(primary)) {
                findings.error(format!(
                    "primary link {} is not in the list of bonded links",
                    quote(primary)
                ));
            }
            if document.at("bondMode").is_some() && !uses_primary {
                findings.error(format!(
                    "primary link is not supported in {} bond mode",
                    quote(mode)
                ));
            }
        }
        None if document.at("primaryReselect").is_some() && uses_primary => {
            findings.warning("primaryReselect has no effect unless primary is specified");
        }
        None => {}
    }
}

fn veth_name(field: &str, name: &str, findings: &mut Findings<'_>) {
    if name.is_empty() {
        findings.error(format!("{field} must be specified"));
    } else if name.len() > 15 {
        findings.error(format!("{field} must not exceed 15 bytes"));
    } else if matches!(name, "." | "..") {
        findings.error(format!("{field} must not be {}", quote(name)));
    } else if name.contains(['/', ':']) {
        findings.error(format!("{field} must not contain '/' or ':'"));
    } else if name.chars().any(|c| !is_printable(c) || c.is_whitespace()) {
        findings.error(format!(
            "{field} must not contain whitespace or non-printable characters"
        ));
    }
}

fn wireguard_key(key: &str) -> Result<(), String> {
    match encoding::base64(key) {
        Err(at) => Err(encoding::illegal(at)),
        Ok(bytes) if bytes.len() != 32 => Err("invalid wireguard key length".to_owned()),
        Ok(_) => Ok(()),
    }
}

fn wireguard(document: &Document, findings: &mut Findings<'_>) {
    let key = text(document, "privateKey");
    if key.is_empty() {
        findings.error("wireguard private key must be specified");
    } else if let Err(why) = wireguard_key(key) {
        findings.error(format!("wireguard private key is invalid: {why}"));
    }
    findings.require(
        (0..=65_535).contains(&int(document, "listenPort")),
        "wireguard listen port must be between 0 and 65535",
    );
    for (index, peer) in list(document, "peers").iter().enumerate() {
        let field = |name: &str| peer.at(name).and_then(Value::as_text).unwrap_or_default();
        let place = format!("(peer index {index})");
        let public = field("publicKey");
        if public.is_empty() {
            findings.error(format!(
                "wireguard peer public key must be specified {place}"
            ));
        } else if let Err(why) = wireguard_key(public) {
            findings.error(format!(
                "wireguard peer public key is invalid {place}: {why}"
            ));
        }
        let preshared = field("presharedKey");
        if !preshared.is_empty()
            && let Err(why) = wireguard_key(preshared)
        {
            findings.error(format!(
                "wireguard peer preshared key is invalid {place}: {why}"
            ));
        }
        if field("persistentKeepaliveInterval").starts_with('-') {
            findings.error(format!(
                "wireguard peer persistent keepalive interval cannot be negative {place}"
            ));
        }
    }
}

fn alias(name: &str, document: &Document, findings: &mut Findings<'_>) {
    if let Some((prefix, suffix)) = name.split_once('%')
        && (suffix != "d" || prefix.is_empty())
    {
        findings.error(format!(
            "name {} contains an invalid format verb, use %d suffix",
            quote(name)
        ));
    }
    match text(document, "selector.match") {
        "" => findings.error("link selector is required"),
        expression => {
            if let Err(why) = Environment::Link.check(expression, Output::Bool) {
                findings.error(format!("link selector is invalid: {why}"));
            }
        }
    }
}

fn routing_rule(name: &str, document: &Document, findings: &mut Findings<'_>) {
    let priority = super::parse_unsigned(name).and_then(|number| {
        u32::try_from(number).map_err(|_| super::out_of_range("ParseUint", name))
    });
    // A number that is too large counts as the largest one.
    let (number, why) = match priority {
        Ok(number) => (u64::from(number), None),
        Err(why) if why.ends_with("out of range") => (u64::from(u32::MAX), Some(why)),
        Err(why) => (0, Some(why)),
    };
    if let Some(why) = why {
        findings.error(format!(
            "invalid name: must be priority parsable unsigned integer: {why}"
        ));
    }
    if RESERVED_PRIORITIES.contains(&number) {
        findings.error(
            "priority must be between 1 and 32765 (excluding reserved priorities [0 32500 32766 32767])",
        );
    }
    let action = text(document, "action");
    if table(document) == "unspec" && matches!(action, "" | "unspec" | "unicast") {
        findings.error("either table or a non-unicast action must be specified");
    }
    if int(document, "fwMask") != 0 && int(document, "fwMark") == 0 {
        findings.error("fwMask requires fwMark to be set");
    }
}

/// The first thing that is wrong with a rule of the firewall.
fn rule(name: &str, document: &Document, findings: &mut Findings<'_>) {
    if name.is_empty() {
        return findings.error("name is required");
    }
    let ports = list(document, "portSelector.ports");
    if ports.is_empty() {
        return findings.error("portSelector.ports is required");
    }
    let mut ranges: Vec<(i64, i64, String)> = ports
        .iter()
        .filter_map(|port| match port {
            Value::Text(text) => {
                let (low, high) = text.split_once('-')?;
                Some((low.parse().ok()?, high.parse().ok()?))
            }
            other => other.as_int().map(|port| (port, port)),
        })
        .map(|(low, high): (i64, i64)| (low, high, format!("{low}-{high}")))
        .collect();
    ranges.sort_by_key(|(low, ..)| *low);
    for (index, (low, high, shown)) in ranges.iter().enumerate() {
        if low > high {
            return findings.error(format!("invalid port range: {shown}"));
        }
        if let Some((_, previous_high, previous)) = index.checked_sub(1).map(|at| &ranges[at])
            && low <= previous_high
        {
            return findings.error(format!(
                "invalid port range: {shown}, overlaps with {previous}"
            ));
        }
    }
    for rule in list(document, "ingress") {
        if rule.at("subnet").is_none_or(Value::is_zero) {
            return findings.error("invalid subnet: invalid Prefix");
        }
    }
}

fn hostname(document: &Document, findings: &mut Findings<'_>) {
    let (auto, name) = (text(document, "auto"), text(document, "hostname"));
    if document.at("auto").is_none() && name.is_empty() {
        findings.error("either 'auto' or 'hostname' must be set");
    }
    if !matches!(auto, "" | "off") && !name.is_empty() {
        findings.error("'auto' and 'hostname' cannot be set at the same time");
    }
    if !matches!(auto, "" | "off" | "stable") {
        findings.error(format!("invalid value for 'auto': {auto}"));
    }
    if name.is_empty() {
        return;
    }
    if name.len() > 253 {
        findings.error(format!("fqdn is too long: {}", name.len()));
    }
    let first = name.split('.').next().unwrap_or_default();
    if !(1..=63).contains(&first.len()) {
        findings.error(format!("invalid hostname {}", quote(first)));
    }
}

fn resolver(document: &Document, findings: &mut Findings<'_>) {
    if flag(document, "hostDNS.enabled") != Some(true) {
        for field in ["forwardKubeDNSToHost", "resolveMemberNames"] {
            if flag(document, &format!("hostDNS.{field}")) == Some(true) {
                findings.error(format!(
                    "hostDNS.{field} cannot be enabled when hostDNS.enabled is false"
                ));
            }
        }
    }
    let servers = list(document, "nameservers");
    let mut encrypted = 0;
    for (index, server) in servers.iter().enumerate() {
        let field = |name: &str| server.at(name).and_then(Value::as_text).unwrap_or_default();
        match field("protocol") {
            protocol @ ("DoT" | "DoH") => {
                encrypted += 1;
                if field("tlsServerName").is_empty() {
                    findings.error(format!(
                        "tlsServerName must be set when protocol is {protocol}: entry {index}"
                    ));
                }
            }
            _ if !field("tlsServerName").is_empty() => findings.error(format!(
                "tlsServerName must be empty when protocol is Do53: entry {index}"
            )),
            _ => {}
        }
        if field("address").is_empty() {
            findings.error(format!(
                "nameserver address must be a valid IP: entry {index}"
            ));
        }
    }
    if encrypted > 0 && encrypted == servers.len() {
        findings.warning(
            "all configured nameservers use encrypted DNS (DoT or DoH): validating certificates requires a correct system clock, so boot may stall when NTP servers are configured by hostname; consider keeping at least one plain-DNS fallback or configuring NTP servers by IP address",
        );
    }
}

fn time_sync(document: &Document, findings: &mut Findings<'_>) {
    if duration(document, "bootTimeout") < 0 {
        findings.error("bootTimeout cannot be negative");
    }
    if document.at("ntp").is_some() && document.at("ptp").is_some() {
        findings.error("only one of ntp or ptp configuration can be specified");
    }
    if flag(document, "ntp.useNTS") == Some(true) {
        for server in list(document, "ntp.servers")
            .iter()
            .filter_map(Value::as_text)
        {
            if address::is_plain(server) {
                findings.error(format!(
                    "NTS requires hostnames, not IP addresses: {}",
                    quote(server)
                ));
            }
        }
    }
}

fn kubespan(document: &Document, findings: &mut Findings<'_>) {
    if document
        .at("mtu")
        .and_then(Value::as_int)
        .is_some_and(|mtu| mtu < 1280)
    {
        findings.error("kubespan link MTU must be at least 1280");
    }
    for filter in list(document, "filters.endpoints")
        .iter()
        .filter_map(Value::as_text)
    {
        let subnet = filter.strip_prefix('!').unwrap_or(filter);
        if !address::is_subnet_or_address(subnet) {
            findings.error(format!(
                "KubeSpan endpoint filter is not valid: {}",
                quote(subnet)
            ));
        }
    }
}

fn probe(kind: &str, name: &str, document: &Document, findings: &mut Findings<'_>) {
    findings.require(!name.is_empty(), "probe name is required");
    let protocol = if kind == "TCPProbeConfig" {
        let endpoint = text(document, "endpoint");
        findings.require(!endpoint.is_empty(), "TCP probe endpoint is required");
        "TCP"
    } else {
        match uri::parse(text(document, "url")) {
            _ if text(document, "url").is_empty() => findings.error("HTTP probe URL is required"),
            Ok(url) if !matches!(url.scheme.as_str(), "http" | "https") => {
                findings.error(format!(
                    "HTTP probe URL scheme must be http or https, got {}",
                    quote(&url.scheme)
                ));
            }
            Ok(url) if !url.opaque.is_empty() || url.hostname().is_empty() => findings.error(
                "HTTP probe URL must be an absolute http or https URL with a non-empty host",
            ),
            _ => {}
        }
        "HTTP"
    };
    if duration(document, "timeout") < 0 {
        let timeout = text(document, "timeout");
        findings.error(format!(
            "{protocol} probe timeout cannot be negative: {timeout}"
        ));
    }
    if duration(document, "interval") < 0 {
        let interval = text(document, "interval");
        findings.error(format!("probe interval cannot be negative: {interval}"));
    }
    let threshold = int(document, "failureThreshold");
    if threshold < 0 {
        findings.error(format!(
            "probe failure threshold cannot be negative: {threshold}"
        ));
    }
}
