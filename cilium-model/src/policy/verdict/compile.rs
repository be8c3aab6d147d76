//! From policies as written to rules that can be matched, with every reason for which the agent would refuse them.

use ipnet::IpNet;

use super::endpoint::{CLUSTER, NAMESPACE_LABELS, POD_NAMESPACE};
use super::l7::{HttpMatcher, L7};
use super::{Direction, Options, Policy, PolicySet, RuleRef};
use crate::error::{Error, ErrorKind, Problem};
use crate::model::IntOrString;
use crate::object::{Kind, Object};
use crate::policy::check::{self, Port};
use crate::policy::cluster::{Action, ClusterPeer, ClusterProtocol, PodsIn, Tier};
use crate::policy::fqdn::NameMatcher;
use crate::policy::icmp;
use crate::policy::kubernetes::{NetworkPolicyPeer, NetworkPolicyPort, PolicyType};
use crate::policy::rule::{
    AuthenticationMode, CidrRule, Entity, IcmpRule, IpFamily, L7Rules, PortRule, Protocol, Rule,
};
use crate::policy::selector::{Condition, Key, Label, LabelSelector, Requirements};

/// What happens to matched traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
    Pass,
}

/// Order of evaluation: tier, then priority, then place in the policy. Ordinary policies share one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    pub(crate) tier: u8,
    pub(crate) priority: i64,
    pub(crate) position: usize,
}

pub(crate) const NORMAL: u8 = 1;

#[derive(Clone, Debug)]
pub(crate) struct CompiledRule {
    pub(crate) rule: RuleRef,
    pub(crate) subject: Subject,
    pub(crate) order: Order,
    pub(crate) effect: Effect,
    /// Closes the direction for the subject.
    pub(crate) default_deny: bool,
    /// None: the entry names neither peers nor ports and so matches nothing.
    pub(crate) peers: Peers,
    pub(crate) ports: Ports,
    pub(crate) authentication: Option<AuthenticationMode>,
}

#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Endpoints(Requirements),
    Hosts(Requirements),
}

#[derive(Clone, Debug)]
pub(crate) enum Peers {
    Nobody,
    Everybody,
    Any(Vec<Peer>),
}

#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Everybody,
    Labels(Requirements),
    Reserved(Vec<&'static str>),
    Nodes(Requirements),
    Range {
        net: IpNet,
        except: Vec<IpNet>,
    },
    Group {
        name: String,
        except: Vec<IpNet>,
    },
    Groups {
        labels: Requirements,
        except: Vec<IpNet>,
    },
    Name(NameMatcher),
}

/// A CIDR group with its labels.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) labels: Vec<Label>,
    pub(crate) ranges: Vec<IpNet>,
}

#[derive(Clone, Debug)]
pub(crate) enum Ports {
    All,
    Any(Vec<PortMatch>),
}

#[derive(Clone, Debug)]
pub(crate) struct PortMatch {
    pub(crate) protocol: Protocol,
    pub(crate) port: PortSpec,
    pub(crate) l7: Option<L7>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PortSpec {
    Range(u16, u16),
    Named(String),
}

pub(crate) fn compile(
    policies: impl Iterator<Item = Policy>,
    options: Options,
) -> Result<PolicySet, Error> {
    let mut set = PolicySet {
        options,
        ingress: Vec::new(),
        egress: Vec::new(),
        groups: Vec::new(),
    };
    let mut problems = Vec::new();
    for policy in policies {
        let mut own = Vec::new();
        let title = match &policy {
            Policy::Cilium(p) => cilium(
                &mut set,
                p,
                p.namespace().unwrap_or("default"),
                &p.body.rules,
                &mut own,
            ),
            Policy::CiliumClusterwide(p) => cilium(&mut set, p, "", &p.body.rules, &mut own),
            Policy::Kubernetes(p) => kubernetes(&mut set, p, &mut own),
            Policy::Cluster(p) => cluster(&mut set, p, &mut own),
            Policy::CidrGroup(p) => group(&mut set, p, &mut own),
        };
        problems.extend(own.into_iter().map(|mut problem| {
            problem.path = format!("{title} {}", problem.path).trim_end().to_owned();
            problem
        }));
    }
    if !problems.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "the policy set", problems));
    }
    set.ingress.sort_by_key(|rule| rule.order);
    set.egress.sort_by_key(|rule| rule.order);
    Ok(set)
}

fn title<K: Kind>(object: &Object<K>) -> String {
    match object.namespace() {
        Some(namespace) if K::NAMESPACED => format!("{} {namespace}/{}", K::KIND, object.name()),
        _ => format!("{} {}", K::KIND, object.name()),
    }
}

fn reference<K: Kind>(object: &Object<K>, path: String) -> RuleRef {
    RuleRef {
        kind: K::KIND,
        namespace: K::NAMESPACED.then(|| object.namespace().unwrap_or("default").to_owned()),
        name: object.name().to_owned(),
        path,
    }
}

fn group(
    set: &mut PolicySet,
    object: &crate::policy::CiliumCIDRGroup,
    problems: &mut Vec<Problem>,
) -> String {
    let cidrs = object.body.spec.external_cidrs.iter().flatten().enumerate();
    let ranges = cidrs
        .filter_map(|(n, text)| check::cidr(text, || format!("spec.externalCIDRs[{n}]"), problems))
        .collect();
    let labels = object.metadata.labels.iter().flatten();
    set.groups.push(Group {
        name: object.name().to_owned(),
        labels: labels.map(|(k, v)| Label::k8s(k, v)).collect(),
        ranges,
    });
    title(object)
}

/// Peers and ports of one entry of a rule, the same for all four sections.
struct Section<'a> {
    direction: Direction,
    deny: bool,
    endpoints: Option<&'a Vec<LabelSelector>>,
    cidr: Option<&'a Vec<String>>,
    cidr_set: Option<&'a Vec<CidrRule>>,
    entities: Option<&'a Vec<Entity>>,
    nodes: Option<&'a Vec<LabelSelector>>,
    fqdns: Option<&'a Vec<crate::policy::rule::FqdnSelector>>,
    /// Peers that need a live cluster to resolve: services and provider groups.
    unresolved: bool,
    requires: bool,
    ports: Option<&'a Vec<PortRule>>,
    icmps: Option<&'a Vec<IcmpRule>>,
    authentication: Option<&'a AuthenticationMode>,
}

struct Scope<'a> {
    options: &'a Options,
    /// Namespace of the policy; empty for cluster-wide ones.
    namespace: &'a str,
    host: bool,
    /// A cluster-wide policy that selects endpoints without labels yet may name peers of every namespace or none.
    init: bool,
}

fn cilium<K: Kind>(
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

fn node_requirements(
    selector: &LabelSelector,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Requirements {
    Requirements::compile_with(selector, path, problems, |text| Key {
        source: Some("node".to_owned()),
        key: Key::parse(text).key,
    })
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

fn local_cluster(requirements: &mut Requirements, options: &Options) {
    if options.policy_default_local_cluster && !requirements.names(CLUSTER) {
        requirements.push(
            Key::k8s(CLUSTER),
            Condition::In(vec![options.cluster_name.clone()]),
        );
    }
}

fn cidr_rule(rule: &CidrRule, path: &str, problems: &mut Vec<Problem>) -> Option<Peer> {
    let mut except = Vec::new();
    for (n, text) in rule.except.iter().flatten().enumerate() {
        except.extend(check::cidr(
            text,
            || format!("{path}.except[{n}]"),
            problems,
        ));
    }
    let given = |text: &Option<String>| text.as_deref().is_some_and(|t| !t.is_empty());
    match (
        given(&rule.cidr),
        given(&rule.cidr_group_ref),
        &rule.cidr_group_selector,
    ) {
        (true, false, None) => {
            let text = rule.cidr.as_deref().unwrap_or_default();
            let net = check::cidr(text, || format!("{path}.cidr"), problems)?;
            for (n, inner) in except.iter().enumerate() {
                check::except(net, *inner, || format!("{path}.except[{n}]"), problems);
            }
            Some(Peer::Range { net, except })
        }
        (false, true, None) => Some(Peer::Group {
            name: rule.cidr_group_ref.clone().unwrap_or_default(),
            except,
        }),
        (false, false, Some(selector)) => Some(Peer::Groups {
            labels: Requirements::compile(selector, &format!("{path}.cidrGroupSelector"), problems),
            except,
        }),
        (false, false, None) => {
            problems.push(Problem::new(
                path,
                "one of cidr, cidrGroupRef and cidrGroupSelector is needed",
            ));
            None
        }
        _ => {
            problems.push(Problem::new(
                path,
                "cidr, cidrGroupRef and cidrGroupSelector exclude one another",
            ));
            None
        }
    }
}

fn entity_peer(
    entity: &Entity,
    scope: &Scope<'_>,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Vec<Peer> {
    let reserved: &[&'static str] = match entity {
        Entity::All => return vec![Peer::Everybody],
        Entity::None => return Vec::new(),
        Entity::World => &["world", "world-ipv4", "world-ipv6"],
        Entity::WorldIpv4 => &["world-ipv4"],
        Entity::WorldIpv6 => &["world-ipv6"],
        Entity::Cluster => {
            let mut pods = Requirements::default();
            pods.push(
                Key::k8s(CLUSTER),
                Condition::In(vec![scope.options.cluster_name.clone()]),
            );
            let reserved = vec![
                "host",
                "remote-node",
                "init",
                "ingress",
                "health",
                "unmanaged",
                "kube-apiserver",
            ];
            return vec![Peer::Reserved(reserved), Peer::Labels(pods)];
        }
        Entity::Host => &["host"],
        Entity::RemoteNode => &["remote-node"],
        Entity::KubeApiserver => &["kube-apiserver"],
        Entity::Ingress => &["ingress"],
        Entity::Health => &["health"],
        Entity::Init => &["init"],
        Entity::Unmanaged => &["unmanaged"],
        Entity::Other(text) => {
            problems.push(
                Problem::new(path, format!("there is no entity {text:?}")).remedy(
                    "all, world, cluster, host, remote-node, kube-apiserver, ingress, health, init, unmanaged or none",
                ),
            );
            return Vec::new();
        }
    };
    vec![Peer::Reserved(reserved.to_vec())]
}

fn ports(
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

fn kubernetes(
    set: &mut PolicySet,
    object: &crate::policy::NetworkPolicy,
    problems: &mut Vec<Problem>,
) -> String {
    let namespace = object.namespace().unwrap_or("default");
    let spec = &object.body.spec;
    let options = set.options.clone();
    let selector = spec.pod_selector.clone().unwrap_or_default();
    let mut subject = pod_requirements(&selector, "spec.podSelector", problems);
    subject.push(
        Key::k8s(POD_NAMESPACE),
        Condition::In(vec![namespace.to_owned()]),
    );
    let listed = |kind: &PolicyType| {
        spec.policy_types
            .as_ref()
            .is_some_and(|types| types.contains(kind))
    };
    let unlisted = spec.policy_types.as_ref().is_none_or(Vec::is_empty);
    let has_egress = spec.egress.as_ref().is_some_and(|e| !e.is_empty());
    let closes_ingress = listed(&PolicyType::Ingress) || unlisted;
    let closes_egress = listed(&PolicyType::Egress) || (unlisted && has_egress);
    let rule = |path: String, peers: Peers, ports: Ports| CompiledRule {
        rule: reference(object, path),
        subject: Subject::Endpoints(subject.clone()),
        order: Order {
            tier: NORMAL,
            priority: 0,
            position: 0,
        },
        effect: Effect::Allow,
        default_deny: true,
        peers,
        ports,
        authentication: None,
    };
    let mut directions = Vec::new();
    for (n, entry) in spec.ingress.iter().flatten().enumerate() {
        directions.push((
            Direction::Ingress,
            format!("spec.ingress[{n}]"),
            &entry.from,
            "from",
            &entry.ports,
        ));
    }
    for (n, entry) in spec.egress.iter().flatten().enumerate() {
        directions.push((
            Direction::Egress,
            format!("spec.egress[{n}]"),
            &entry.to,
            "to",
            &entry.ports,
        ));
    }
    for (direction, path, peers, field, ports) in directions {
        let peers = match peers.as_ref().filter(|p| !p.is_empty()) {
            None => Peers::Everybody,
            Some(list) => Peers::Any(
                list.iter()
                    .enumerate()
                    .filter_map(|(n, peer)| {
                        kubernetes_peer(
                            peer,
                            namespace,
                            &options,
                            &format!("{path}.{field}[{n}]"),
                            problems,
                        )
                    })
                    .collect(),
            ),
        };
        let ports = match ports.as_ref().filter(|p| !p.is_empty()) {
            None => Ports::All,
            Some(list) => Ports::Any(
                list.iter()
                    .enumerate()
                    .filter_map(|(n, port)| {
                        kubernetes_port(port, &format!("{path}.ports[{n}]"), problems)
                    })
                    .collect(),
            ),
        };
        match direction {
            Direction::Ingress if closes_ingress => set.ingress.push(rule(path, peers, ports)),
            Direction::Egress if closes_egress => set.egress.push(rule(path, peers, ports)),
            _ => {}
        }
    }
    if closes_ingress && spec.ingress.as_ref().is_none_or(Vec::is_empty) {
        set.ingress
            .push(rule("spec".to_owned(), Peers::Nobody, Ports::All));
    }
    if closes_egress && spec.egress.as_ref().is_none_or(Vec::is_empty) {
        set.egress
            .push(rule("spec".to_owned(), Peers::Nobody, Ports::All));
    }
    title(object)
}

fn pod_requirements(
    selector: &LabelSelector,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Requirements {
    Requirements::compile_with(selector, path, problems, |key| Key::k8s(key))
}

fn namespace_requirements(
    selector: &LabelSelector,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Requirements {
    Requirements::compile_with(selector, path, problems, |key| {
        Key::k8s(format!("{NAMESPACE_LABELS}{key}"))
    })
}

fn kubernetes_peer(
    peer: &NetworkPolicyPeer,
    namespace: &str,
    options: &Options,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<Peer> {
    if let Some(block) = &peer.ip_block {
        let net = check::cidr(&block.cidr, || format!("{path}.ipBlock.cidr"), problems)?;
        let mut except = Vec::new();
        for (n, text) in block.except.iter().flatten().enumerate() {
            let place = || format!("{path}.ipBlock.except[{n}]");
            if let Some(inner) = check::cidr(text, place, problems) {
                check::except(net, inner, place, problems);
                except.push(inner);
            }
        }
        return Some(Peer::Range { net, except });
    }
    if peer.pod_selector.is_none() && peer.namespace_selector.is_none() {
        problems.push(Problem::new(
            path,
            "a peer needs a podSelector, a namespaceSelector or an ipBlock",
        ));
        return None;
    }
    let pods = peer.pod_selector.clone().unwrap_or_default();
    let mut requirements = pod_requirements(&pods, &format!("{path}.podSelector"), problems);
    match &peer.namespace_selector {
        Some(selector) => {
            let chosen =
                namespace_requirements(selector, &format!("{path}.namespaceSelector"), problems);
            in_namespaces(&mut requirements, chosen);
        }
        None => requirements.push(
            Key::k8s(POD_NAMESPACE),
            Condition::In(vec![namespace.to_owned()]),
        ),
    }
    local_cluster(&mut requirements, options);
    Some(Peer::Labels(requirements))
}

fn in_namespaces(requirements: &mut Requirements, namespaces: Requirements) {
    // An empty namespace selector means every namespace, and so at least some namespace.
    if namespaces.0.is_empty() {
        requirements.push(Key::k8s(POD_NAMESPACE), Condition::Exists);
    }
    requirements.0.extend(namespaces.0);
}

fn kubernetes_port(
    port: &NetworkPolicyPort,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<PortMatch> {
    let tcp = Protocol::Tcp;
    let given = port.protocol.as_ref().unwrap_or(&tcp);
    let protocol = check::protocol(Some(given), || format!("{path}.protocol"), problems)?;
    let text = port.port.as_ref().map(ToString::to_string);
    let spec = match text {
        None => PortSpec::Range(0, u16::MAX),
        Some(text) => match check::port(Some(&text), || format!("{path}.port"), problems)? {
            Port::Named(name) => PortSpec::Named(name),
            Port::Number(0) => PortSpec::Range(0, u16::MAX),
            Port::Number(first) => {
                let end = port
                    .end_port
                    .and_then(|end| u16::try_from(end).ok())
                    .filter(|end| *end > first);
                PortSpec::Range(first, end.unwrap_or(first))
            }
        },
    };
    Some(PortMatch {
        protocol,
        port: spec,
        l7: None,
    })
}

fn cluster(
    set: &mut PolicySet,
    object: &crate::policy::ClusterNetworkPolicy,
    problems: &mut Vec<Problem>,
) -> String {
    let spec = &object.body.spec;
    let options = set.options.clone();
    let subject = match (&spec.subject.namespaces, &spec.subject.pods) {
        (Some(selector), None) => {
            let mut requirements = Requirements::default();
            in_namespaces(
                &mut requirements,
                namespace_requirements(selector, "spec.subject.namespaces", problems),
            );
            requirements
        }
        (None, Some(pods)) => pods_requirements(pods, "spec.subject.pods", problems),
        _ => {
            problems.push(Problem::new(
                "spec.subject",
                "exactly one of namespaces and pods is needed",
            ));
            return title(object);
        }
    };
    let tier = match &spec.tier {
        Tier::Admin => 0,
        Tier::Baseline => 2,
        Tier::Other(text) => {
            problems.push(
                Problem::new("spec.tier", format!("{text:?} is no tier"))
                    .remedy("Admin or Baseline"),
            );
            return title(object);
        }
    };
    let mut entries = Vec::new();
    for (n, entry) in spec.ingress.iter().flatten().enumerate() {
        let path = format!("spec.ingress[{n}]");
        entries.push((
            Direction::Ingress,
            n,
            path,
            &entry.action,
            &entry.from,
            "from",
            &entry.protocols,
        ));
    }
    for (n, entry) in spec.egress.iter().flatten().enumerate() {
        let path = format!("spec.egress[{n}]");
        entries.push((
            Direction::Egress,
            n,
            path,
            &entry.action,
            &entry.to,
            "to",
            &entry.protocols,
        ));
    }
    for (direction, position, path, action, peers, field, protocols) in entries {
        let effect = match action {
            Action::Accept => Effect::Allow,
            Action::Deny => Effect::Deny,
            Action::Pass => Effect::Pass,
            Action::Other(text) => {
                let problem =
                    Problem::new(format!("{path}.action"), format!("{text:?} is no action"));
                problems.push(problem.remedy("Accept, Deny or Pass"));
                continue;
            }
        };
        let mut compiled = Vec::new();
        for (n, peer) in peers.iter().flatten().enumerate() {
            let place = format!("{path}.{field}[{n}]");
            cluster_peer(peer, effect, &options, &place, problems, &mut compiled);
        }
        let peers = if compiled.is_empty() {
            Peers::Nobody
        } else {
            Peers::Any(compiled)
        };
        let ports = match protocols.as_ref().filter(|p| !p.is_empty()) {
            None => Ports::All,
            Some(list) => Ports::Any(list.iter().flat_map(cluster_ports).collect()),
        };
        let rule = CompiledRule {
            rule: reference(object, path),
            subject: Subject::Endpoints(subject.clone()),
            order: Order {
                tier,
                priority: spec.priority,
                position,
            },
            effect,
            default_deny: false,
            peers,
            ports,
            authentication: None,
        };
        match direction {
            Direction::Ingress => set.ingress.push(rule),
            Direction::Egress => set.egress.push(rule),
        }
    }
    title(object)
}

fn pods_requirements(pods: &PodsIn, path: &str, problems: &mut Vec<Problem>) -> Requirements {
    let selector = pods.pod_selector.clone().unwrap_or_default();
    let mut requirements = pod_requirements(&selector, &format!("{path}.podSelector"), problems);
    let namespaces = pods.namespace_selector.clone().unwrap_or_default();
    in_namespaces(
        &mut requirements,
        namespace_requirements(&namespaces, &format!("{path}.namespaceSelector"), problems),
    );
    requirements
}

fn cluster_peer(
    peer: &ClusterPeer,
    effect: Effect,
    options: &Options,
    path: &str,
    problems: &mut Vec<Problem>,
    all: &mut Vec<Peer>,
) {
    if let Some(selector) = &peer.namespaces {
        let mut requirements = Requirements::default();
        let place = format!("{path}.namespaces");
        in_namespaces(
            &mut requirements,
            namespace_requirements(selector, &place, problems),
        );
        all.push(Peer::Labels(requirements));
    }
    if let Some(pods) = &peer.pods {
        let requirements = pods_requirements(pods, &format!("{path}.pods"), problems);
        all.push(Peer::Labels(requirements));
    }
    if let Some(selector) = &peer.nodes {
        let place = format!("{path}.nodes");
        if !options.node_selector_labels {
            problems.push(
                Problem::new(&place, "node selectors in peers are switched off")
                    .remedy("set nodeSelectorLabels in the chart's values"),
            );
        }
        all.push(Peer::Nodes(node_requirements(selector, &place, problems)));
    }
    for (n, text) in peer.networks.iter().flatten().enumerate() {
        let net = check::cidr(text, || format!("{path}.networks[{n}]"), problems);
        all.extend(net.map(|net| Peer::Range {
            net,
            except: Vec::new(),
        }));
    }
    let names = peer.domain_names.as_deref().unwrap_or_default();
    if !names.is_empty() && effect != Effect::Allow {
        let problem = Problem::new(
            format!("{path}.domainNames"),
            "names are possible only where the action is Accept",
        );
        problems.push(problem);
    }
    for name in names {
        // A leading "*." of this API stands for any number of labels, as "**." does in Cilium's own policies.
        let pattern = name.strip_prefix("*.").map(|rest| format!("**.{rest}"));
        all.push(Peer::Name(match pattern {
            Some(pattern) => NameMatcher::pattern(&pattern),
            None => NameMatcher::pattern(name),
        }));
    }
}

fn cluster_ports(protocol: &ClusterProtocol) -> Vec<PortMatch> {
    let sorts = [
        (&protocol.tcp, Protocol::Tcp),
        (&protocol.udp, Protocol::Udp),
        (&protocol.sctp, Protocol::Sctp),
    ];
    let mut all = Vec::new();
    for (ports, protocol) in sorts {
        let Some(ports) = ports else { continue };
        let clamp = |n: i64| u16::try_from(n).unwrap_or(u16::MAX);
        let port = match &ports.destination_port {
            None => PortSpec::Range(0, u16::MAX),
            Some(port) => match (&port.number, &port.range) {
                (Some(number), _) => PortSpec::Range(clamp(*number), clamp(*number)),
                (None, Some(range)) => PortSpec::Range(clamp(range.start), clamp(range.end)),
                (None, None) => PortSpec::Range(0, u16::MAX),
            },
        };
        all.push(PortMatch {
            protocol,
            port,
            l7: None,
        });
    }
    if let Some(name) = &protocol.destination_named_port {
        all.push(PortMatch {
            protocol: Protocol::Any,
            port: PortSpec::Named(name.to_ascii_lowercase()),
            l7: None,
        });
    }
    all
}
