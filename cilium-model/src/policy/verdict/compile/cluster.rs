//! Rules of the ClusterNetworkPolicy.

use super::CompiledRule;
use super::Effect;
use super::Order;
use super::Peer;
use super::Peers;
use super::PortMatch;
use super::PortSpec;
use super::Ports;
use super::Subject;
use super::in_namespaces;
use super::namespace_requirements;
use super::node_requirements;
use super::pod_requirements;
use super::reference;
use super::title;
use crate::error::Problem;
use crate::policy::check;
use crate::policy::cluster::Action;
use crate::policy::cluster::ClusterPeer;
use crate::policy::cluster::ClusterProtocol;
use crate::policy::cluster::PodsIn;
use crate::policy::cluster::Tier;
use crate::policy::fqdn::NameMatcher;
use crate::policy::rule::Protocol;
use crate::policy::selector::Requirements;
use crate::policy::verdict::Direction;
use crate::policy::verdict::Options;
use crate::policy::verdict::PolicySet;

pub(super) fn cluster(
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
