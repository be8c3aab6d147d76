//! Ports, ICMP types and layer-7 conditions.

use super::PortMatch;
use super::PortSpec;
use super::Ports;
use super::cilium::Scope;
use super::cilium::Section;
use crate::error::Problem;
use crate::model::IntOrString;
use crate::policy::check;
use crate::policy::check::Port;
use crate::policy::fqdn::NameMatcher;
use crate::policy::icmp;
use crate::policy::rule::IcmpRule;
use crate::policy::rule::IpFamily;
use crate::policy::rule::L7Rules;
use crate::policy::rule::PortRule;
use crate::policy::rule::Protocol;
use crate::policy::verdict::Direction;
use crate::policy::verdict::l7::HttpMatcher;
use crate::policy::verdict::l7::L7;

pub(super) fn ports(
    section: &Section<'_>,
    scope: &Scope<'_>,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Ports {
    let given = section.ports.filter(|p| !p.is_empty());
    let icmps = section.icmps.filter(|i| !i.is_empty());
    if given.is_some() && icmps.is_some() {
        problems.push(
            Problem::new(
                format!("{path}.icmps"),
                "icmps and toPorts exclude one another",
            )
            .remedy("write one entry for each"),
        );
    }
    let mut all = Vec::new();
    for (n, rule) in icmps.into_iter().flatten().enumerate() {
        icmp_rule(rule, &format!("{path}.icmps[{n}]"), problems, &mut all);
    }
    for (n, rule) in given.into_iter().flatten().enumerate() {
        port_rule(
            rule,
            section,
            scope,
            &format!("{path}.toPorts[{n}]"),
            problems,
            &mut all,
        );
    }
    if given.is_none() && icmps.is_none() {
        Ports::All
    } else {
        Ports::Any(all)
    }
}

fn icmp_rule(rule: &IcmpRule, path: &str, problems: &mut Vec<Problem>, all: &mut Vec<PortMatch>) {
    if rule
        .fields
        .as_ref()
        .is_some_and(|f| f.len() > check::MAX_PORTS)
    {
        problems.push(Problem::new(
            path,
            format!("more than {} ICMP types", check::MAX_PORTS),
        ));
    }
    for (n, field) in rule.fields.iter().flatten().enumerate() {
        let v6 = match &field.family {
            None | Some(IpFamily::V4) => false,
            Some(IpFamily::V6) => true,
            Some(IpFamily::Other(text)) => {
                let problem = Problem::new(
                    format!("{path}.fields[{n}].family"),
                    format!("{text:?} is no family"),
                );
                problems.push(problem.remedy("IPv4 or IPv6"));
                continue;
            }
        };
        let number = match &field.icmp_type {
            Some(IntOrString::Int(number)) => u8::try_from(*number).ok(),
            Some(IntOrString::Text(text)) => text.parse().ok().or_else(|| icmp::number(text, v6)),
            None => None,
        };
        let Some(number) = number else {
            let given = field
                .icmp_type
                .as_ref()
                .map_or("nothing".to_owned(), ToString::to_string);
            let family = if v6 { "IPv6" } else { "IPv4" };
            let message = format!("{given} is no ICMP type of {family}");
            problems.push(Problem::new(format!("{path}.fields[{n}].type"), message));
            continue;
        };
        all.push(PortMatch {
            protocol: if v6 { Protocol::IcmpV6 } else { Protocol::Icmp },
            port: PortSpec::Range(number.into(), number.into()),
            l7: None,
        });
    }
}

fn port_rule(
    rule: &PortRule,
    section: &Section<'_>,
    scope: &Scope<'_>,
    path: &str,
    problems: &mut Vec<Problem>,
    all: &mut Vec<PortMatch>,
) {
    // Deny entries know ports only; what else is written there the API server drops.
    let empty = L7Rules::default();
    let rules = rule
        .rules
        .as_ref()
        .filter(|_| !section.deny)
        .unwrap_or(&empty);
    let http = rules.http.as_deref().unwrap_or_default();
    let dns = rules.dns.as_deref().unwrap_or_default();
    let kafka = rules.kafka.as_ref().is_some_and(|k| !k.is_empty());
    let generic = rules.l7proto.as_ref().is_some_and(|p| !p.is_empty());
    let sorts = [!http.is_empty(), !dns.is_empty(), kafka, generic]
        .into_iter()
        .filter(|used| *used)
        .count();
    let names: &[String] = if section.deny {
        &[]
    } else {
        rule.server_names.as_deref().unwrap_or_default()
    };
    let at_rules = || format!("{path}.rules");
    if sorts > 1 {
        problems.push(Problem::new(
            at_rules(),
            "rules of several protocols in one port rule",
        ));
    }
    if kafka || generic {
        let problem = Problem::new(
            at_rules(),
            "only http and dns rules exist since Cilium 1.20",
        );
        problems.push(problem.remedy("use a CiliumEnvoyConfig listener"));
    }
    if !dns.is_empty() && section.direction == Direction::Ingress {
        problems.push(Problem::new(at_rules(), "DNS rules are for egress only"));
    }
    if !http.is_empty() && scope.host {
        problems.push(Problem::new(
            at_rules(),
            "HTTP rules are not possible on hosts",
        ));
    }
    if !names.is_empty() && sorts > 0 && rule.terminating_tls.is_none() {
        problems.push(
            Problem::new(
                format!("{path}.serverNames"),
                "serverNames beside layer-7 rules need terminatingTLS",
            )
            .remedy("write two port rules, or end TLS at the proxy"),
        );
    }
    if names.iter().any(String::is_empty) {
        problems.push(Problem::new(
            format!("{path}.serverNames"),
            "an empty server name",
        ));
    }
    let ports = rule.ports.as_deref().unwrap_or_default();
    if ports.len() > check::MAX_PORTS {
        let message = format!(
            "{} ports, at most {} are possible",
            ports.len(),
            check::MAX_PORTS
        );
        problems.push(
            Problem::new(format!("{path}.ports"), message)
                .remedy("use endPort, or several port rules"),
        );
    }
    let http: Vec<HttpMatcher> = http
        .iter()
        .enumerate()
        .map(|(n, rule)| HttpMatcher::compile(rule, &format!("{path}.rules.http[{n}]"), problems))
        .collect();
    let dns: Vec<NameMatcher> = dns
        .iter()
        .enumerate()
        .filter_map(|(n, name)| {
            NameMatcher::compile(name, &format!("{path}.rules.dns[{n}]"), problems)
        })
        .collect();
    let l7 = if !http.is_empty() {
        Some(L7::Http(http))
    } else if !dns.is_empty() {
        Some(L7::Dns(dns))
    } else if !names.is_empty() || (rule.terminating_tls.is_some() && !section.deny) {
        Some(L7::Tls)
    } else if rule.listener.is_some() && !section.deny {
        Some(L7::Listener)
    } else {
        None
    };
    for (n, port) in ports.iter().enumerate() {
        let place = format!("{path}.ports[{n}]");
        let number = check::port(port.port.as_deref(), || format!("{place}.port"), problems);
        let protocol = check::protocol(
            port.protocol.as_ref(),
            || format!("{place}.protocol"),
            problems,
        );
        let (Some(number), Some(protocol)) = (number, protocol) else {
            continue;
        };
        let end = match port.end_port {
            None | Some(0) => None,
            Some(end) => match u16::try_from(end) {
                Ok(end) => Some(end),
                Err(_) => {
                    problems.push(Problem::new(
                        format!("{place}.endPort"),
                        format!("{end} is no port"),
                    ));
                    continue;
                }
            },
        };
        if number == Port::Number(0) && sorts > 0 {
            problems.push(Problem::new(
                format!("{place}.port"),
                "layer-7 rules need a port other than 0",
            ));
        }
        if sorts > 0 && matches!(l7, Some(L7::Http(_))) && protocol != Protocol::Tcp {
            let message = format!("HTTP rules need TCP, not {protocol}");
            problems.push(Problem::new(format!("{place}.protocol"), message));
        }
        let spec = match number {
            Port::Named(name) => PortSpec::Named(name),
            Port::Number(0) => PortSpec::Range(0, u16::MAX),
            Port::Number(first) => {
                let last = end.filter(|end| *end > first);
                if last.is_some() && matches!(l7, Some(L7::Dns(_))) {
                    problems.push(Problem::new(
                        format!("{place}.endPort"),
                        "DNS rules do not take port ranges",
                    ));
                }
                PortSpec::Range(first, last.unwrap_or(first))
            }
        };
        all.push(PortMatch {
            protocol,
            port: spec,
            l7: l7.clone(),
        });
    }
}
