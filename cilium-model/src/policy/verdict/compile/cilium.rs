//! Rules of Cilium's own policies.

use super::CompiledRule;
use super::Effect;
use super::NORMAL;
use super::Order;
use super::Peer;
use super::Peers;
use super::Ports;
use super::Subject;
use super::local_cluster;
use super::node_requirements;
use super::peers::cidr_rule;
use super::peers::entity_peer;
use super::ports::ports;
use super::reference;
use super::title;
use crate::error::Problem;
use crate::object::Kind;
use crate::object::Object;
use crate::policy::check;
use crate::policy::fqdn::NameMatcher;
use crate::policy::rule::AuthenticationMode;
use crate::policy::rule::CidrRule;
use crate::policy::rule::Entity;
use crate::policy::rule::IcmpRule;
use crate::policy::rule::PortRule;
use crate::policy::rule::Rule;
use crate::policy::selector::Condition;
use crate::policy::selector::Key;
use crate::policy::selector::Label;
use crate::policy::selector::LabelSelector;
use crate::policy::selector::Requirements;
use crate::policy::verdict::Direction;
use crate::policy::verdict::Options;
use crate::policy::verdict::PolicySet;
use crate::policy::verdict::endpoint::NAMESPACE_LABELS;
use crate::policy::verdict::endpoint::POD_NAMESPACE;

/// Peers and ports of one entry of a rule, the same for all four sections.
pub(super) struct Section<'a> {
    pub(super) direction: Direction,
    pub(super) deny: bool,
    pub(super) endpoints: Option<&'a Vec<LabelSelector>>,
    pub(super) cidr: Option<&'a Vec<String>>,
    pub(super) cidr_set: Option<&'a Vec<CidrRule>>,
    pub(super) entities: Option<&'a Vec<Entity>>,
    pub(super) nodes: Option<&'a Vec<LabelSelector>>,
    pub(super) fqdns: Option<&'a Vec<crate::policy::rule::FqdnSelector>>,
    /// Peers that need a live cluster to resolve: services and provider groups.
    pub(super) unresolved: bool,
    pub(super) requires: bool,
    pub(super) ports: Option<&'a Vec<PortRule>>,
    pub(super) icmps: Option<&'a Vec<IcmpRule>>,
    pub(super) authentication: Option<&'a AuthenticationMode>,
}

pub(super) struct Scope<'a> {
    pub(super) options: &'a Options,
    /// Namespace of the policy; empty for cluster-wide ones.
    pub(super) namespace: &'a str,
    pub(super) host: bool,
    /// A cluster-wide policy that selects endpoints without labels yet may name peers of every namespace or none.
    pub(super) init: bool,
}

pub(super) fn cilium<K: Kind>(
    set: &mut PolicySet,
    object: &Object<K>,
    namespace: &str,
    rules: &crate::policy::PolicyRules,
    problems: &mut Vec<Problem>,
) -> String {
    if rules.spec.is_none() && rules.specs.is_none() {
        problems.push(Problem::new("spec", "one of spec and specs is needed"));
    }
    for (path, rule) in rules.rules() {
        cilium_rule(set, object, namespace, &path, rule, problems);
    }
    title(object)
}

fn cilium_rule<K: Kind>(
    set: &mut PolicySet,
    object: &Object<K>,
    namespace: &str,
    path: &str,
    rule: &Rule,
    problems: &mut Vec<Problem>,
) {
    let options = set.options.clone();
    let mut init = false;
    let subject = match (&rule.endpoint_selector, &rule.node_selector) {
        (Some(_), Some(_)) => {
            problems.push(Problem::new(
                path,
                "endpointSelector and nodeSelector exclude one another",
            ));
            return;
        }
        (None, None) => {
            problems.push(
                Problem::new(path, "one of endpointSelector and nodeSelector is needed")
                    .remedy("endpointSelector: {} selects every endpoint in scope"),
            );
            return;
        }
        (Some(selector), None) => {
            let place = format!("{path}.endpointSelector");
            let mut requirements = Requirements::compile(selector, &place, problems);
            if namespace.is_empty() {
                init = requirements.matches(&[Label::reserved("init")]);
            } else {
                // A foreign namespace in the selector does not widen it: the policy stays at home.
                requirements.0.retain(|(key, condition)| {
                    !(key.key == POD_NAMESPACE
                        && matches!(condition, Condition::In(v) if v.len() == 1))
                });
                requirements.push(
                    Key::k8s(POD_NAMESPACE),
                    Condition::In(vec![namespace.to_owned()]),
                );
            }
            Subject::Endpoints(requirements)
        }
        (None, Some(selector)) => {
            let place = format!("{path}.nodeSelector");
            if !namespace.is_empty() {
                problems.push(
                    Problem::new(&place, "a namespaced policy cannot select nodes")
                        .remedy("use a CiliumClusterwideNetworkPolicy"),
                );
            }
            Subject::Hosts(Requirements::compile(selector, &place, problems))
        }
    };
    let sections = sections(rule, path);
    if sections.is_empty() {
        problems.push(Problem::new(
            path,
            "at least one of ingress, ingressDeny, egress and egressDeny needs an entry",
        ));
    }
    let scope = Scope {
        options: &options,
        namespace,
        host: matches!(subject, Subject::Hosts(_)),
        init,
    };
    let closes = rule.enable_default_deny.clone().unwrap_or_default();
    for (place, section) in sections {
        let default_deny = match section.direction {
            Direction::Ingress => closes.ingress,
            Direction::Egress => closes.egress,
        }
        .unwrap_or(true);
        let (peers, ports) = entry(&section, &scope, &place, problems);
        let compiled = CompiledRule {
            rule: reference(object, place),
            subject: subject.clone(),
            order: Order {
                tier: NORMAL,
                priority: 0,
                position: 0,
            },
            effect: if section.deny {
                Effect::Deny
            } else {
                Effect::Allow
            },
            default_deny,
            peers,
            ports,
            authentication: section.authentication.cloned(),
        };
        match section.direction {
            Direction::Ingress => set.ingress.push(compiled),
            Direction::Egress => set.egress.push(compiled),
        }
    }
}

fn sections<'a>(rule: &'a Rule, path: &str) -> Vec<(String, Section<'a>)> {
    let mut all = Vec::new();
    for (name, deny, entries) in [
        ("ingress", false, &rule.ingress),
        ("ingressDeny", true, &rule.ingress_deny),
    ] {
        for (n, entry) in entries.iter().flatten().enumerate() {
            let section = Section {
                direction: Direction::Ingress,
                deny,
                endpoints: entry.from_endpoints.as_ref(),
                cidr: entry.from_cidr.as_ref(),
                cidr_set: entry.from_cidr_set.as_ref(),
                entities: entry.from_entities.as_ref(),
                nodes: entry.from_nodes.as_ref(),
                fqdns: None,
                unresolved: entry.from_groups.is_some(),
                requires: entry.from_requires.as_ref().is_some_and(|r| !r.is_empty()),
                ports: entry.to_ports.as_ref(),
                icmps: entry.icmps.as_ref(),
                authentication: entry.authentication.as_ref().map(|a| &a.mode),
            };
            all.push((format!("{path}.{name}[{n}]"), section));
        }
    }
    for (name, deny, entries) in [
        ("egress", false, &rule.egress),
        ("egressDeny", true, &rule.egress_deny),
    ] {
        for (n, entry) in entries.iter().flatten().enumerate() {
            let section = Section {
                direction: Direction::Egress,
                deny,
                endpoints: entry.to_endpoints.as_ref(),
                cidr: entry.to_cidr.as_ref(),
                cidr_set: entry.to_cidr_set.as_ref(),
                entities: entry.to_entities.as_ref(),
                nodes: entry.to_nodes.as_ref(),
                // Deny entries have no names; the API server drops the field.
                fqdns: entry.to_fqdns.as_ref().filter(|_| !deny),
                unresolved: entry.to_services.is_some() || entry.to_groups.is_some(),
                requires: entry.to_requires.as_ref().is_some_and(|r| !r.is_empty()),
                ports: entry.to_ports.as_ref(),
                icmps: entry.icmps.as_ref(),
                authentication: entry.authentication.as_ref().map(|a| &a.mode),
            };
            all.push((format!("{path}.{name}[{n}]"), section));
        }
    }
    all
}

fn entry(
    section: &Section<'_>,
    scope: &Scope<'_>,
    path: &str,
    problems: &mut Vec<Problem>,
) -> (Peers, Ports) {
    let prefix = match section.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let members: [(&str, Option<usize>); 6] = [
        ("Endpoints", section.endpoints.map(Vec::len)),
        ("CIDR", section.cidr.map(Vec::len)),
        ("CIDRSet", section.cidr_set.map(Vec::len)),
        ("Entities", section.entities.map(Vec::len)),
        ("Nodes", section.nodes.map(Vec::len)),
        ("FQDNs", section.fqdns.map(Vec::len)),
    ];
    let used: Vec<&str> = members
        .iter()
        .filter(|(_, n)| n.is_some_and(|n| n > 0))
        .map(|(name, _)| *name)
        .collect();
    if used.len() > 1 {
        let names: Vec<String> = used.iter().map(|name| format!("{prefix}{name}")).collect();
        problems.push(
            Problem::new(
                path,
                format!("{} cannot stand together in one entry", names.join(" and ")),
            )
            .remedy("write one entry for each"),
        );
    }
    if section.requires {
        problems.push(Problem::new(
            path,
            format!("{prefix}Requires is no longer supported"),
        ));
    }
    let mut peers = Vec::new();
    for (n, selector) in section.endpoints.into_iter().flatten().enumerate() {
        peers.push(endpoint_peer(
            selector,
            scope,
            &format!("{path}.{prefix}Endpoints[{n}]"),
            problems,
        ));
    }
    for (n, text) in section.cidr.into_iter().flatten().enumerate() {
        let net = check::cidr(text, || format!("{path}.{prefix}CIDR[{n}]"), problems);
        peers.extend(net.map(|net| Peer::Range {
            net,
            except: Vec::new(),
        }));
    }
    for (n, rule) in section.cidr_set.into_iter().flatten().enumerate() {
        peers.extend(cidr_rule(
            rule,
            &format!("{path}.{prefix}CIDRSet[{n}]"),
            problems,
        ));
    }
    for (n, entity) in section.entities.into_iter().flatten().enumerate() {
        peers.extend(entity_peer(
            entity,
            scope,
            &format!("{path}.{prefix}Entities[{n}]"),
            problems,
        ));
    }
    for (n, selector) in section.nodes.into_iter().flatten().enumerate() {
        let place = format!("{path}.{prefix}Nodes[{n}]");
        if !scope.options.node_selector_labels {
            problems.push(
                Problem::new(&place, "node selectors in peers are switched off")
                    .remedy("set nodeSelectorLabels in the chart's values"),
            );
        }
        peers.push(Peer::Nodes(node_requirements(selector, &place, problems)));
    }
    for (n, name) in section.fqdns.into_iter().flatten().enumerate() {
        let matcher = NameMatcher::compile(name, &format!("{path}.{prefix}FQDNs[{n}]"), problems);
        peers.extend(matcher.map(Peer::Name));
    }
    let ports = ports(section, scope, path, problems);
    let named = members.iter().any(|(_, n)| n.is_some()) || section.unresolved;
    let limited = section.ports.is_some_and(|p| !p.is_empty())
        || section.icmps.is_some_and(|i| !i.is_empty());
    let peers = match (named, limited) {
        (true, _) if peers.is_empty() => Peers::Nobody,
        (true, _) => Peers::Any(peers),
        (false, true) => Peers::Everybody,
        (false, false) => Peers::Nobody,
    };
    (peers, ports)
}

fn endpoint_peer(
    selector: &LabelSelector,
    scope: &Scope<'_>,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Peer {
    let mut requirements = Requirements::compile(selector, path, problems);
    if !requirements.has_reserved() {
        if !requirements.names(POD_NAMESPACE) && !requirements.names_prefix(NAMESPACE_LABELS) {
            if !scope.namespace.is_empty() {
                let namespace = scope.namespace.to_owned();
                requirements.push(Key::k8s(POD_NAMESPACE), Condition::In(vec![namespace]));
            } else if !scope.init {
                requirements.push(Key::k8s(POD_NAMESPACE), Condition::Exists);
            }
        }
        local_cluster(&mut requirements, scope.options);
    }
    Peer::Labels(requirements)
}
