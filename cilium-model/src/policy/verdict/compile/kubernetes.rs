//! Rules of the NetworkPolicy of Kubernetes.

use super::CompiledRule;
use super::Effect;
use super::NORMAL;
use super::Order;
use super::Peer;
use super::Peers;
use super::PortMatch;
use super::PortSpec;
use super::Ports;
use super::Subject;
use super::in_namespaces;
use super::local_cluster;
use super::namespace_requirements;
use super::pod_requirements;
use super::reference;
use super::title;
use crate::error::Problem;
use crate::policy::check;
use crate::policy::check::Port;
use crate::policy::kubernetes::NetworkPolicyPeer;
use crate::policy::kubernetes::NetworkPolicyPort;
use crate::policy::kubernetes::PolicyType;
use crate::policy::rule::Protocol;
use crate::policy::selector::Condition;
use crate::policy::selector::Key;
use crate::policy::verdict::Direction;
use crate::policy::verdict::Options;
use crate::policy::verdict::PolicySet;
use crate::policy::verdict::endpoint::POD_NAMESPACE;

pub(super) fn kubernetes(
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
