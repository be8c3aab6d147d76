//! What the server would skip or complain about: `PVE::Firewall`.

use std::collections::HashSet;
use std::net::IpAddr;

use super::{FileRule, FirewallFile, Level, Problem, Section, What};

/// Names of protocols, as `/etc/protocols` has them.
const PROTOCOLS: [&str; 57] = [
    "ah",
    "ax.25",
    "dccp",
    "ddp",
    "egp",
    "eigrp",
    "encap",
    "esp",
    "etherip",
    "ethernet",
    "fc",
    "ggp",
    "gre",
    "hip",
    "hmp",
    "hopopt",
    "icmp",
    "idpr-cmtp",
    "idrp",
    "igmp",
    "igp",
    "ip",
    "ipcomp",
    "ipencap",
    "ipip",
    "ipv6",
    "ipv6-frag",
    "ipv6-icmp",
    "icmpv6",
    "ipv6-nonxt",
    "ipv6-opts",
    "ipv6-route",
    "isis",
    "iso-tp4",
    "l2tp",
    "manet",
    "mobility-header",
    "mpls-in-ip",
    "mptcp",
    "ospf",
    "pim",
    "pup",
    "rdp",
    "rohc",
    "rspf",
    "rsvp",
    "sctp",
    "shim6",
    "skip",
    "st",
    "tcp",
    "udp",
    "udplite",
    "vmtp",
    "vrrp",
    "wesp",
    "xns-idp",
];

/// Protocols whose rules may name ports, with their numbers.
const WITH_PORTS: [&str; 10] = [
    "udp", "17", "udplite", "136", "tcp", "6", "dccp", "33", "sctp", "132",
];

const ICMP_TYPES: [&str; 37] = [
    "any",
    "echo-reply",
    "destination-unreachable",
    "network-unreachable",
    "host-unreachable",
    "protocol-unreachable",
    "port-unreachable",
    "fragmentation-needed",
    "source-route-failed",
    "network-unknown",
    "host-unknown",
    "network-prohibited",
    "host-prohibited",
    "TOS-network-unreachable",
    "TOS-host-unreachable",
    "communication-prohibited",
    "host-precedence-violation",
    "precedence-cutoff",
    "source-quench",
    "redirect",
    "network-redirect",
    "host-redirect",
    "TOS-network-redirect",
    "TOS-host-redirect",
    "echo-request",
    "router-advertisement",
    "router-solicitation",
    "time-exceeded",
    "ttl-zero-during-transit",
    "ttl-zero-during-reassembly",
    "parameter-problem",
    "ip-header-bad",
    "required-option-missing",
    "timestamp-request",
    "timestamp-reply",
    "address-mask-request",
    "address-mask-reply",
];

const ICMP6_TYPES: [&str; 25] = [
    "destination-unreachable",
    "no-route",
    "communication-prohibited",
    "beyond-scope",
    "address-unreachable",
    "port-unreachable",
    "failed-policy",
    "reject-route",
    "packet-too-big",
    "time-exceeded",
    "ttl-zero-during-transit",
    "ttl-zero-during-reassembly",
    "parameter-problem",
    "bad-header",
    "unknown-header-type",
    "unknown-option",
    "echo-request",
    "echo-reply",
    "router-solicitation",
    "router-advertisement",
    "neighbor-solicitation",
    "neighbour-solicitation",
    "neighbor-advertisement",
    "neighbour-advertisement",
    "redirect",
];

const HELPERS: [&str; 9] = [
    "amanda",
    "ftp",
    "irc",
    "netbios-ns",
    "pptp",
    "sane",
    "sip",
    "snmp",
    "tftp",
];

/// Names that rules and IP sets may use.
struct Names {
    /// Those of the file itself.
    own: Objects,
    /// Those of the cluster, if they are known.
    cluster: Option<Objects>,
}

#[derive(Default)]
struct Objects {
    aliases: HashSet<String>,
    ip_sets: HashSet<String>,
    groups: HashSet<String>,
}

impl Objects {
    fn of(file: &FirewallFile) -> Self {
        let aliases = file.aliases().into_iter();
        Self {
            aliases: aliases
                .map(|alias| alias.name.to_ascii_lowercase())
                .collect(),
            ip_sets: file.ip_sets().map(str::to_owned).collect(),
            groups: file.groups().map(str::to_owned).collect(),
        }
    }
}

impl Names {
    /// Whether a name is there; what nobody can tell counts as there.
    fn has(&self, scope: &str, find: impl Fn(&Objects) -> bool) -> bool {
        let own = scope != "dc/" && find(&self.own);
        let above = scope != "guest/" && self.cluster.as_ref().is_none_or(&find);
        own || above
    }
}

pub(super) fn problems(file: &FirewallFile, cluster: Option<&FirewallFile>) -> Vec<Problem> {
    let names = Names {
        own: Objects::of(file),
        cluster: match file.level {
            Level::Cluster => Some(Objects::of(file)),
            _ => cluster.map(Objects::of),
        },
    };
    let mut out = Vec::new();
    let mut seen_sections: HashSet<&Section> = HashSet::new();
    let mut seen: HashSet<String> = HashSet::new();
    for (section, number, line) in file.placed() {
        let start = line.text.len() - line.text.trim_start().len();
        let text = line.text.trim();
        let told = match (&line.what, section) {
            (What::Nothing, _) => Ok(()),
            (What::Header(Section::Other(name)), _) => Err(format!(
                "`{}` is no name of a group (18 characters) or IP set (64 characters): letters, digits, `-` and `_`",
                name.split_whitespace()
                    .nth(1)
                    .unwrap_or_default()
                    .escape_debug()
            )),
            (What::Header(section), _) => {
                seen.clear();
                let named = matches!(section, Section::IpSet(_) | Section::Group(_));
                // What stands behind the second header replaces what stood behind the first.
                match seen_sections.insert(section) || !named {
                    true => Ok(()),
                    false => Err("this stands twice; the first one is lost".to_owned()),
                }
            }
            (What::Content, _) if text.starts_with('[') && text.contains(']') => Err(format!(
                "`{}` is no section of such a file",
                text.escape_debug()
            )),
            (What::Content, None | Some(Section::Other(_))) => {
                Err("this stands in no section".to_owned())
            }
            (What::Content, Some(Section::Options)) => option(file.level, text),
            (What::Content, Some(Section::Aliases)) => alias(text, &mut seen),
            (What::Content, Some(Section::IpSet(_))) => entry(text, &mut seen, &names),
            (What::Content, Some(Section::Rules)) => rule(file.level, false, text, &names),
            (What::Content, Some(Section::Group(_))) => rule(file.level, true, text, &names),
        };
        if let Err(message) = told {
            out.push(Problem {
                line: number + 1,
                column: line.text[..start].chars().count() + 1,
                message,
            });
        }
    }
    out
}

fn is_level(text: &str) -> bool {
    let levels = [
        "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog",
    ];
    levels.iter().any(|level| text.eq_ignore_ascii_case(level))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a value is one that the option takes; none if there is no such option at this level.
fn takes(level: Level, name: &str, value: &str) -> Option<bool> {
    let flag = || is_one_of(value, &["0", "1"]);
    let policy = |all: &[&str]| is_one_of(value, all);
    let any = ["ACCEPT", "DROP", "REJECT"];
    Some(match (level, name) {
        (Level::Cluster | Level::Vnet, "enable") => is_number(value),
        (Level::Cluster, "ebtables") => flag(),
        (Level::Cluster, "policy_in" | "policy_out" | "policy_forward") => policy(&any),
        (Level::Cluster, "log_ratelimit") => {
            !value.is_empty() && !value.contains(char::is_whitespace)
        }
        (
            Level::Node,
            "enable"
            | "nosmurfs"
            | "tcpflags"
            | "ndp"
            | "log_nf_conntrack"
            | "nf_conntrack_allow_invalid"
            | "protection_synflood"
            | "nftables",
        ) => flag(),
        (
            Level::Node,
            "log_level_in"
            | "log_level_out"
            | "log_level_forward"
            | "tcp_flags_log_level"
            | "smurf_log_level",
        )
        | (Level::Guest, "log_level_in" | "log_level_out") => value.is_empty() || is_level(value),
        (Level::Node, "nf_conntrack_helpers") => value
            .split(',')
            .all(|helper| is_one_of(helper.trim(), &HELPERS)),
        (
            Level::Node,
            "nf_conntrack_max"
            | "nf_conntrack_tcp_timeout_established"
            | "nf_conntrack_tcp_timeout_syn_recv"
            | "protection_synflood_rate"
            | "protection_synflood_burst"
            | "protection_limit",
        ) => is_number(value),
        (Level::Guest, "enable" | "dhcp" | "ndp" | "radv" | "macfilter" | "ipfilter" | "ips") => {
            flag()
        }
        (Level::Guest, "policy_in" | "policy_out") => policy(&any),
        (Level::Guest, "ips_queues") => value.splitn(2, ':').all(is_number),
        (Level::Guest, "layer2_protocols") => !value.is_empty(),
        (Level::Vnet, "policy_forward") => policy(&any[..2]),
        (Level::Vnet, "log_level_forward") => is_level(value),
        _ => return None,
    })
}

fn option(level: Level, text: &str) -> Result<(), String> {
    let Some((name, value)) = super::option_of(text) else {
        return Err(format!(
            "`{}` is no option: `key: value`",
            text.escape_debug()
        ));
    };
    match takes(level, &name, value) {
        None => Err(format!(
            "`{}` is no option of such a firewall",
            name.escape_debug()
        )),
        Some(false) => Err(format!("`{name}` cannot be `{}`", value.escape_debug())),
        Some(true) => Ok(()),
    }
}

/// An address, or a network with prefix.
fn is_network(text: &str) -> bool {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| {
        is_number(prefix) && prefix.parse::<u32>().is_ok_and(|prefix| prefix <= most)
    })
}

fn alias(text: &str, seen: &mut HashSet<String>) -> Result<(), String> {
    let Some(alias) = super::alias_of(text) else {
        return Err("an alias is a name, one blank and an address or network".to_owned());
    };
    if !is_network(&alias.network) {
        return Err(format!(
            "`{}` is no address or network",
            alias.network.escape_debug()
        ));
    }
    match seen.insert(alias.name.to_ascii_lowercase()) {
        true => Ok(()),
        false => Err(format!(
            "the alias `{}` stands twice",
            alias.name.escape_debug()
        )),
    }
}

/// A scope before a name, and the name.
fn scoped(text: &str) -> (&str, &str) {
    let scopes = ["dc/", "guest/", "sdn/"];
    let scope = scopes.iter().find(|scope| text.starts_with(**scope));
    scope.map_or(("", text), |scope| text.split_at(scope.len()))
}

fn alias_there(text: &str, names: &Names) -> Result<(), String> {
    let (scope, name) = scoped(text);
    let name = name.to_ascii_lowercase();
    match names.has(scope, |objects| objects.aliases.contains(&name)) {
        true => Ok(()),
        false => Err(format!("there is no alias `{}`", text.escape_debug())),
    }
}

fn entry(text: &str, seen: &mut HashSet<String>, names: &Names) -> Result<(), String> {
    let Some(entry) = super::entry_of(text) else {
        return Err("an entry is an address, a network or an alias".to_owned());
    };
    let network = entry.network.as_str();
    let shown = network.escape_debug();
    if super::is_name(scoped(network).1) && scoped(network).0 != "sdn/" {
        alias_there(network, names)?;
    } else if !is_network(network) {
        return Err(format!("`{shown}` is no address, network or alias"));
    }
    let zero = network
        .rsplit_once('/')
        .is_some_and(|(_, prefix)| is_number(prefix) && prefix.bytes().all(|b| b == b'0'));
    if zero {
        return Err(format!("`{shown}`: an IP set cannot hold every address"));
    }
    let single = network
        .strip_suffix("/32")
        .or_else(|| network.strip_suffix("/128"));
    match seen.insert(single.unwrap_or(network).to_owned()) {
        true => Ok(()),
        false => Err(format!("`{shown}` stands twice")),
    }
}

fn rule(level: Level, in_group: bool, text: &str, names: &Names) -> Result<(), String> {
    let rule: FileRule = text
        .parse()
        .map_err(|error: crate::Error| error.message().to_owned())?;
    let directions: &[&str] = match level {
        _ if in_group => &["in", "out", "forward"],
        Level::Guest => &["in", "out", "group"],
        Level::Vnet => &["forward", "group"],
        Level::Cluster | Level::Node => &["in", "out", "forward", "group"],
    };
    let direction = rule.direction.as_str();
    if !directions.contains(&direction) {
        let shown = direction.escape_debug();
        return Err(format!(
            "`{shown}` is none of {} here",
            directions.join(", ")
        ));
    }
    if rule.is_group() {
        let name = rule.action.to_ascii_lowercase();
        if !super::is_name(&name) {
            return Err(format!("`{}` is no name of a group", name.escape_debug()));
        }
        let there = names
            .cluster
            .as_ref()
            .is_none_or(|objects| objects.groups.contains(&name));
        if !there {
            return Err(format!("there is no security group `{name}`"));
        }
    } else if !["ACCEPT", "DROP", "REJECT"].contains(&rule.action.as_str()) {
        let shown = rule.action.escape_debug();
        return Err(format!("`{shown}` is none of ACCEPT, DROP, REJECT"));
    } else if direction == "forward" && rule.action == "REJECT" {
        return Err("what is forwarded can be dropped, not rejected".to_owned());
    }
    interface(level, in_group, &rule)?;
    protocol(&rule)?;
    let from = addresses(rule.source.as_deref(), names)?;
    let to = addresses(rule.destination.as_deref(), names)?;
    let of_protocol = match rule.protocol.as_deref() {
        Some("icmp") => Some(4),
        Some("icmpv6" | "ipv6-icmp") => Some(6),
        _ => None,
    };
    let versions: HashSet<u8> = [from, to, of_protocol].into_iter().flatten().collect();
    match versions.len() {
        0 | 1 => Ok(()),
        _ => Err("IPv4 and IPv6 are mixed in one rule".to_owned()),
    }
}

fn interface(level: Level, in_group: bool, rule: &FileRule) -> Result<(), String> {
    let Some(name) = &rule.interface else {
        return Ok(());
    };
    if in_group || level == Level::Vnet {
        return Err("rules of groups and vnets name no interface".to_owned());
    }
    let shown = name.escape_debug();
    if level == Level::Guest && !name.strip_prefix("net").is_some_and(is_number) {
        return Err(format!("`{shown}` is no card of a guest, such as net0"));
    }
    let good = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
    match good {
        true => Ok(()),
        false => Err(format!("`{shown}` is no name of an interface")),
    }
}

fn protocol(rule: &FileRule) -> Result<(), String> {
    let protocol = rule.protocol.as_deref();
    let is_icmp = matches!(protocol, Some("icmp" | "icmpv6" | "ipv6-icmp"));
    if let Some(name) = protocol {
        let known = PROTOCOLS.contains(&name) || name.parse::<u8>().is_ok() && is_number(name);
        if !known {
            return Err(format!("`{}` is no protocol", name.escape_debug()));
        }
    }
    for (option, ports, icmp) in [
        ("-dport", &rule.destination_port, is_icmp),
        ("-sport", &rule.source_port, false),
    ] {
        let Some(ports) = ports else { continue };
        match protocol {
            None => return Err(format!("`{option}` needs a protocol")),
            Some(name) if !WITH_PORTS.contains(&name) && !icmp => {
                return Err(format!("`{option}`: {name} has no ports"));
            }
            Some(_) => self::ports(ports, icmp).map_err(|why| format!("`{option}`: {why}"))?,
        }
    }
    let Some(kind) = rule.icmp_type.as_deref() else {
        return Ok(());
    };
    let shown = kind.escape_debug();
    match protocol {
        _ if !is_icmp => Err("`-icmp-type` needs the protocol icmp or icmpv6".to_owned()),
        _ if rule.destination_port.is_some() => {
            Err("`-icmp-type` and `-dport` exclude each other".to_owned())
        }
        Some("icmp") if !ICMP_TYPES.contains(&kind) => Err(format!("`{shown}` is no ICMP type")),
        Some("icmpv6" | "ipv6-icmp") if !ICMP6_TYPES.contains(&kind) => {
            Err(format!("`{shown}` is no ICMPv6 type"))
        }
        _ => Ok(()),
    }
}

fn ports(text: &str, icmp: bool) -> Result<(), String> {
    let number = |text: &str| match text.parse::<u32>() {
        Ok(port) if is_number(text) && port <= 65_535 => Ok(port),
        _ => Err(format!("`{}` is no port", text.escape_debug())),
    };
    let mut count = 0;
    let mut kinds = false;
    for item in text.split(',') {
        if let Some((first, last)) = item.split_once(':') {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("the range {first}:{last} runs backwards"));
            }
            count += 2;
        } else if item.starts_with(|c: char| c.is_ascii_digit()) {
            number(item)?;
            count += 1;
        } else if icmp && (ICMP_TYPES.contains(&item) || ICMP6_TYPES.contains(&item)) {
            kinds = true;
        } else {
            // A service: which names there are depends on the node.
            let good = !item.is_empty()
                && item
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-+_.".contains(&b));
            if !good {
                return Err(format!("`{}` is no port", item.escape_debug()));
            }
        }
    }
    if kinds && count > 0 {
        return Err("ICMP types and numbers do not mix".to_owned());
    }
    if count > 15 {
        return Err("these are more than 15 ports; a range counts as two".to_owned());
    }
    Ok(())
}

/// The version of the addresses, if there are any.
fn addresses(text: Option<&str>, names: &Names) -> Result<Option<u8>, String> {
    let Some(text) = text else {
        return Ok(None);
    };
    if let Some(set) = text.strip_prefix('+') {
        let (scope, name) = scoped(set);
        let shown = text.escape_debug();
        if !super::is_name(name) {
            return Err(format!("`{shown}` is no name of an IP set"));
        }
        let lower = name.to_ascii_lowercase();
        // Those of software-defined networks are made up by the cluster.
        let there = scope == "sdn/" || names.has(scope, |objects| objects.ip_sets.contains(&lower));
        return match there {
            true => Ok(None),
            false => Err(format!("there is no IP set `{shown}`")),
        };
    }
    if super::is_name(scoped(text).1) && scoped(text).0 != "sdn/" {
        return alias_there(text, names).map(|()| None);
    }
    let items: Vec<&str> = text.split(',').collect();
    let mut version = None;
    for item in &items {
        let shown = item.escape_debug();
        let ends: Vec<&str> = item.split('-').collect();
        let of = |text: &str| {
            let address: IpAddr = text.split('/').next()?.parse().ok()?;
            Some(if address.is_ipv4() { 4 } else { 6 })
        };
        let found = match ends.as_slice() {
            [one] if is_network(one) => of(one),
            [first, last] if items.len() > 1 => {
                return Err(format!("`{first}-{last}`: a range cannot stand in a list"));
            }
            [first, last] => match (first.parse::<IpAddr>(), last.parse::<IpAddr>()) {
                (Ok(from), Ok(to)) if from.is_ipv4() == to.is_ipv4() && from <= to => of(first),
                _ => None,
            },
            _ => None,
        };
        let Some(found) = found else {
            return Err(format!(
                "`{shown}` is no address, network, range, alias or +IP set"
            ));
        };
        if version.is_some_and(|version| version != found) {
            return Err("IPv4 and IPv6 are mixed in one list".to_owned());
        }
        version = Some(found);
    }
    Ok(version)
}
