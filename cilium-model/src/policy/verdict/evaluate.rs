//! Matching a flow against the compiled rules of one side.

use std::net::IpAddr;

use ipnet::IpNet;

use super::compile::{
    CompiledRule, Effect, Group, NORMAL, Peer, Peers, PortMatch, PortSpec, Ports, Subject,
};
use super::endpoint::Endpoint;
use super::l7::Request;
use super::{Decision, Direction, Enforcement, Flow, PolicySet, Reason, RuleRef, SideVerdict};
use crate::policy::rule::{AuthenticationMode, Protocol};

/// One way in which a rule covers the flow.
struct Match<'a> {
    rule: &'a CompiledRule,
    port: Option<&'a PortMatch>,
    /// How narrow the entry is: a peer counts more than none, then the smaller range of ports.
    narrowness: (u8, u32),
}

pub(crate) fn side(set: &PolicySet, flow: &Flow<'_>, direction: Direction) -> SideVerdict {
    let (subject, peer, rules) = match direction {
        Direction::Ingress => (flow.destination, flow.source, &set.ingress),
        Direction::Egress => (flow.source, flow.destination, &set.egress),
    };
    if set.options.enforcement == Enforcement::Never
        || !subject.is_enforced(set.options.host_firewall)
    {
        return allow(flow, Decision::Allowed, Reason::NotEnforced);
    }
    let is_host = subject.is_reserved("host");
    let mut selected = false;
    let mut closing: Vec<&CompiledRule> = Vec::new();
    let mut matches: Vec<Match<'_>> = Vec::new();
    for rule in rules {
        let selects = match &rule.subject {
            Subject::Endpoints(requirements) => !is_host && requirements.matches(&subject.labels),
            Subject::Hosts(requirements) => is_host && requirements.matches(&subject.labels),
        };
        if !selects {
            continue;
        }
        selected = true;
        if rule.default_deny {
            closing.push(rule);
        }
        if let Some(peer_width) = peer_matches(&rule.peers, peer, &set.groups) {
            port_matches(rule, flow, peer_width, &mut matches);
        }
    }
    let closed = !closing.is_empty()
        || subject.is_reserved("init")
        || set.options.enforcement == Enforcement::Always;
    // A node reaches its own pods by a built-in allow rule of the ordinary tier, which denies still beat. The agent
    // makes it only where some rule selects the pod.
    let localhost =
        selected && direction == Direction::Ingress && !is_host && peer.is_reserved("host");
    let verdict = decide(flow, &matches, closed, localhost).unwrap_or_else(|| {
        if !closed {
            return allow(flow, Decision::Allowed, Reason::Open);
        }
        denied(match references(closing.iter().copied()) {
            rules if rules.is_empty() => Reason::Closed,
            rules => Reason::DefaultDeny(rules),
        })
    });
    verdict.explain(flow, direction, subject, peer)
}

/// Goes through tiers and priorities; nothing when no rule has the last word.
fn decide(
    flow: &Flow<'_>,
    matches: &[Match<'_>],
    closed: bool,
    localhost: bool,
) -> Option<SideVerdict> {
    let mut passed = None;
    let mut rest = matches;
    while let Some(first) = rest.first() {
        let order = first.rule.order;
        if localhost && order.tier > NORMAL {
            break;
        }
        let (level, later) = rest.split_at(rest.partition_point(|m| m.rule.order == order));
        rest = later;
        if passed == Some(order.tier) {
            continue;
        }
        if let Some(verdict) = settle(flow, level, !closed) {
            return Some(verdict);
        }
        if level.iter().any(|m| m.rule.effect == Effect::Pass) {
            passed = Some(order.tier);
        }
    }
    (localhost && closed).then(|| allow(flow, Decision::Allowed, Reason::Localhost))
}

/// Rules of one order: a deny beats an allow, and a redirect to a proxy beats a plain allow.
fn settle(flow: &Flow<'_>, level: &[Match<'_>], open: bool) -> Option<SideVerdict> {
    let denies = || level.iter().filter(|m| m.rule.effect == Effect::Deny);
    if denies().next().is_some() {
        return Some(denied(Reason::Rules(references(denies().map(|m| m.rule)))));
    }
    let allows: Vec<&Match<'_>> = level
        .iter()
        .filter(|m| m.rule.effect == Effect::Allow)
        .collect();
    let redirects = || {
        allows
            .iter()
            .filter_map(|m| Some((*m, m.port?.l7.as_ref()?)))
    };
    let mut verdict = if let Some(parser) = redirects().map(|(_, l7)| l7.parser()).max() {
        let behind = redirects()
            .filter(|(_, l7)| l7.parser() == parser)
            .map(|(m, _)| m.rule);
        let reason = Reason::Rules(references(behind));
        let mut verdict = allow(flow, Decision::AllowedL7(parser), reason);
        // A direction that no rule closes holds a built-in allow of everything, requests included.
        verdict.request_allowed = flow
            .request
            .as_ref()
            .map(|request| open || request_passes(&allows, request));
        verdict
    } else {
        let narrowest = allows.iter().map(|m| m.narrowness).max()?;
        let behind = allows
            .iter()
            .filter(|m| m.narrowness == narrowest)
            .map(|m| m.rule);
        allow(flow, Decision::Allowed, Reason::Rules(references(behind)))
    };
    verdict.authentication = demanded(&allows);
    Some(verdict)
}

/// Envoy asks the rules of every entry that covers the port; the DNS proxy only those written for the very port.
fn request_passes(allows: &[&Match<'_>], request: &Request) -> bool {
    let http = matches!(request, Request::Http(_));
    let redirected = |spec: &PortSpec| {
        allows
            .iter()
            .filter_map(|m| m.port)
            .any(|p| p.l7.is_some() && p.port == *spec)
    };
    allows.iter().any(|m| match m.port {
        None => http,
        Some(PortMatch { l7: Some(l7), .. }) => l7.allows(request),
        Some(PortMatch { port, .. }) => http || redirected(port),
    })
}

/// The demand of the narrowest entry that makes one.
fn demanded(allows: &[&Match<'_>]) -> Option<AuthenticationMode> {
    let with = allows
        .iter()
        .filter_map(|m| Some((m.narrowness, m.rule.authentication.as_ref()?)));
    let (_, mode) = with.max_by_key(|(narrowness, _)| *narrowness)?;
    (*mode != AuthenticationMode::Disabled).then(|| mode.clone())
}

fn allow(flow: &Flow<'_>, decision: Decision, reason: Reason) -> SideVerdict {
    SideVerdict {
        decision,
        reason,
        request_allowed: flow.request.as_ref().map(|_| true),
        authentication: None,
        missing: None,
    }
}

fn denied(reason: Reason) -> SideVerdict {
    SideVerdict {
        decision: Decision::Denied,
        reason,
        request_allowed: None,
        authentication: None,
        missing: None,
    }
}

impl SideVerdict {
    /// Says in words what is missing, where something is.
    fn explain(
        mut self,
        flow: &Flow<'_>,
        direction: Direction,
        subject: &Endpoint,
        peer: &Endpoint,
    ) -> Self {
        let way = match direction {
            Direction::Ingress => "an ingress",
            Direction::Egress => "an egress",
        };
        let wanted = || {
            format!(
                "{way} rule for {subject} that allows {peer} on {} {}",
                flow.protocol, flow.port
            )
        };
        self.missing = match (&self.decision, &self.reason, self.request_allowed) {
            (Decision::Denied, Reason::Rules(rules), _) => {
                let names: Vec<String> = rules.iter().map(ToString::to_string).collect();
                Some(format!(
                    "{} must no longer deny {peer} on {} {}",
                    names.join(", "),
                    flow.protocol,
                    flow.port
                ))
            }
            (Decision::Denied, ..) => Some(wanted()),
            (_, _, Some(false)) => Some(format!("{} with this request", wanted())),
            _ => None,
        };
        self
    }
}

fn references<'a>(rules: impl Iterator<Item = &'a CompiledRule>) -> Vec<RuleRef> {
    let mut all: Vec<RuleRef> = rules.map(|rule| rule.rule.clone()).collect();
    all.sort();
    all.dedup();
    all
}

/// How the peers cover the party: 0 for a wildcard, 1 for a named peer.
fn peer_matches(peers: &Peers, peer: &Endpoint, groups: &[Group]) -> Option<u8> {
    match peers {
        Peers::Nobody => None,
        Peers::Everybody => Some(0),
        Peers::Any(list) => {
            let hits = list.iter().filter(|one| one.matches(peer, groups));
            hits.map(|one| u8::from(!matches!(one, Peer::Everybody)))
                .max()
        }
    }
}

impl Peer {
    fn matches(&self, peer: &Endpoint, groups: &[Group]) -> bool {
        match self {
            Self::Everybody => true,
            Self::Labels(requirements) => requirements.matches(&peer.labels),
            Self::Reserved(keys) => keys.iter().any(|key| peer.is_reserved(key)),
            Self::Nodes(requirements) => {
                (peer.is_reserved("host") || peer.is_reserved("remote-node"))
                    && requirements.matches(&peer.labels)
            }
            Self::Range { net, except } => peer.address.is_some_and(|ip| inside(ip, net, except)),
            Self::Group { name, except } => peer.address.is_some_and(|ip| {
                let ranges = groups
                    .iter()
                    .filter(|g| g.name == *name)
                    .flat_map(|g| &g.ranges);
                any_inside(ip, ranges, except)
            }),
            Self::Groups { labels, except } => peer.address.is_some_and(|ip| {
                let ranges = groups
                    .iter()
                    .filter(|g| labels.matches(&g.labels))
                    .flat_map(|g| &g.ranges);
                any_inside(ip, ranges, except)
            }),
            Self::Name(matcher) => peer.names.iter().any(|name| matcher.matches(name)),
        }
    }
}

fn inside(ip: IpAddr, net: &IpNet, except: &[IpNet]) -> bool {
    net.contains(&ip) && !except.iter().any(|inner| inner.contains(&ip))
}

fn any_inside<'a>(
    ip: IpAddr,
    mut ranges: impl Iterator<Item = &'a IpNet>,
    except: &[IpNet],
) -> bool {
    ranges.any(|net| inside(ip, net, except))
}

fn port_matches<'a>(
    rule: &'a CompiledRule,
    flow: &Flow<'_>,
    peer_width: u8,
    all: &mut Vec<Match<'a>>,
) {
    let ports = match &rule.ports {
        Ports::All => {
            all.push(Match {
                rule,
                port: None,
                narrowness: (peer_width, 0),
            });
            return;
        }
        Ports::Any(ports) => ports,
    };
    for port in ports {
        let protocol_fits = match &port.protocol {
            Protocol::Any => matches!(
                flow.protocol,
                Protocol::Tcp | Protocol::Udp | Protocol::Sctp
            ),
            other => *other == flow.protocol,
        };
        if !protocol_fits {
            continue;
        }
        let width = match &port.port {
            PortSpec::Range(first, last) if (*first..=*last).contains(&flow.port) => {
                u32::from(last - first)
            }
            PortSpec::Range(..) => continue,
            // The destination's pod says what a name stands for: the subject on ingress, the peer on egress.
            PortSpec::Named(name) => {
                let known = &flow.destination.named_ports;
                if !known
                    .iter()
                    .any(|(n, number, p)| n == name && *number == flow.port && *p == flow.protocol)
                {
                    continue;
                }
                0
            }
        };
        all.push(Match {
            rule,
            port: Some(port),
            narrowness: (peer_width, u32::from(u16::MAX) + 1 - width),
        });
    }
}
