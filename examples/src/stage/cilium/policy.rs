//! Network policies: everything is closed, and each declared connection opens one way on both of its sides.

use std::collections::{BTreeMap, BTreeSet};

use cilium_model::policy::rule::{
    DefaultDeny, EgressRule, Entity as ModelEntity, FqdnSelector, IngressRule, L7Rules,
    PortProtocol, PortRule, Protocol as ModelProtocol, Rule,
};
use cilium_model::policy::selector::{LabelSelector, MatchExpression, Operator};
use cilium_model::policy::verdict::Policy;
use cilium_model::policy::{CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy};

use crate::component::{Catalogue, Component, Entity, Flow, Party, Protocol, Workload};
use crate::spec::Spec;

/// Label that Cilium gives every pod for its namespace.
pub(super) const NAMESPACE: &str = "k8s:io.kubernetes.pod.namespace";

/// Name of the policy that closes a namespace.
pub const DEFAULT_DENY: &str = "default-deny";
/// Name of the cluster-wide policy for name lookups.
pub const ALLOW_DNS: &str = "allow-dns";
/// Name of the cluster-wide policy for the gateway's proxy.
pub const GATEWAY: &str = "gateway";
/// Name of the policy that shuts a namespace whatever else is allowed.
pub const DENY_ALL: &str = "deny-all";

/// All policies of the environment: cluster-wide ones first, then namespace by namespace.
#[must_use]
pub fn policies(spec: &Spec, catalogue: &Catalogue) -> Vec<Policy> {
    let mut out: Vec<Policy> = vec![allow_dns(catalogue).into()];
    if spec.gateway.is_some() {
        out.push(gateway(catalogue).into());
    }
    for namespace in catalogue.namespaces().keys() {
        out.push(default_deny(namespace).into());
        if spec
            .cilium
            .isolate
            .iter()
            .any(|isolated| isolated.as_str() == *namespace)
        {
            out.push(deny_all(namespace).into());
        }
    }
    for (component, workload) in catalogue
        .workloads()
        .filter(|(_, workload)| !workload.host_network)
    {
        out.push(allows(catalogue, component, workload).into());
    }
    out
}

/// The JSON form of a policy.
#[must_use]
pub fn to_json(policy: &Policy) -> serde_json::Value {
    match policy {
        Policy::Cilium(policy) => policy.to_json(),
        Policy::CiliumClusterwide(policy) => policy.to_json(),
        Policy::Kubernetes(policy) => policy.to_json(),
        Policy::Cluster(policy) => policy.to_json(),
        Policy::CidrGroup(group) => group.to_json(),
        _ => serde_json::Value::Null,
    }
}

/// Closes both directions of every pod of a namespace and allows nothing.
fn default_deny(namespace: &str) -> CiliumNetworkPolicy {
    let rule = Rule::new()
        .description("nothing that is not declared")
        .endpoint_selector(LabelSelector::everything())
        .ingress([IngressRule::new()])
        .egress([EgressRule::new()]);
    CiliumNetworkPolicy::new(DEFAULT_DENY, rule).in_namespace(namespace)
}

/// Denies what others allow: a deny beats every allow.
fn deny_all(namespace: &str) -> CiliumNetworkPolicy {
    let rule = Rule::new()
        .description("nothing may enter")
        .endpoint_selector(LabelSelector::everything())
        .ingress_deny([IngressRule::new().from_entities([ModelEntity::All])]);
    CiliumNetworkPolicy::new(DENY_ALL, rule).in_namespace(namespace)
}

/// Every pod may look names up, and the answers are watched so that rules for names work.
///
/// It opens the way without closing any other: what closes is each namespace's own policy.
fn allow_dns(catalogue: &Catalogue) -> CiliumClusterwideNetworkPolicy {
    let dns = catalogue
        .workload("coredns", "coredns")
        .map_or_else(LabelSelector::everything, |(component, workload)| {
            peer(component, workload)
        });
    let ports = || {
        [
            PortProtocol::of(53, ModelProtocol::Udp),
            PortProtocol::of(53, ModelProtocol::Tcp),
        ]
    };
    let watched = PortRule::new()
        .ports(ports())
        .rules(L7Rules::new().dns([FqdnSelector::new().match_pattern("*")]));
    let open = DefaultDeny::new().ingress(false).egress(false);
    let ask = Rule::new()
        .description("every pod asks the cluster's DNS")
        .endpoint_selector(every_pod())
        .enable_default_deny(open.clone())
        .egress([EgressRule::new()
            .to_endpoints([dns.clone()])
            .to_ports([watched])]);
    let answer = Rule::new()
        .description("the cluster's DNS answers every pod")
        .endpoint_selector(dns)
        .enable_default_deny(open)
        .ingress([IngressRule::new()
            .from_endpoints([every_pod()])
            .to_ports([PortRule::new().ports(ports())])]);
    let mut policy = CiliumClusterwideNetworkPolicy::new(ALLOW_DNS, ask);
    policy.body.rules.specs = Some(vec![answer]);
    policy
}

/// Pods of any namespace.
fn every_pod() -> LabelSelector {
    LabelSelector::new().match_expressions([MatchExpression::new()
        .key(NAMESPACE)
        .operator(Operator::Exists)])
}

/// The gateway's proxy: the world comes in, declared back-ends are reached.
fn gateway(catalogue: &Catalogue) -> CiliumClusterwideNetworkPolicy {
    let proxy = Party::Entity(Entity::Ingress);
    let incoming = catalogue.flows.iter().filter(|flow| flow.to == proxy);
    let outgoing = catalogue.flows.iter().filter(|flow| flow.from == proxy);
    let rule = Rule::new()
        .description("the world to the gateway, the gateway to what is published")
        .endpoint_selector(
            LabelSelector::new().match_expressions([MatchExpression::new()
                .key("reserved:ingress")
                .operator(Operator::Exists)]),
        )
        .ingress(ingress(catalogue, incoming))
        .egress(egress(catalogue, outgoing));
    CiliumClusterwideNetworkPolicy::new(GATEWAY, rule)
}

/// The declared connections of one workload, in both directions.
fn allows(
    catalogue: &Catalogue,
    component: &Component,
    workload: &Workload,
) -> CiliumNetworkPolicy {
    let flows = || catalogue.flows_of(&component.name, &workload.name);
    let incoming = flows().filter(|flow| flow.to.is(&component.name, &workload.name));
    // Name lookups stand in the cluster-wide policy.
    let outgoing = flows().filter(|flow| {
        flow.from.is(&component.name, &workload.name)
            && !(flow.port == 53 && flow.to.is("coredns", "coredns"))
    });
    let mut rule = Rule::new().endpoint_selector(LabelSelector::labels(workload.labels.clone()));
    let (ingress, egress) = (ingress(catalogue, incoming), egress(catalogue, outgoing));
    // A direction with nothing declared is closed by an empty rule.
    rule = rule.ingress(if ingress.is_empty() {
        vec![IngressRule::new()]
    } else {
        ingress
    });
    rule = rule.egress(if egress.is_empty() {
        vec![EgressRule::new()]
    } else {
        egress
    });
    CiliumNetworkPolicy::new(workload.object.clone(), rule)
        .in_namespace(component.namespace.clone())
}

/// First port, last port of a range, protocol.
type Ports = BTreeSet<(u16, Option<u16>, Protocol)>;

/// Connections by peer: one rule each, with all its ports.
fn by_peer<'f>(
    flows: impl Iterator<Item = &'f Flow>,
    peer: impl Fn(&'f Flow) -> &'f Party,
) -> BTreeMap<&'f Party, Ports> {
    let mut out: BTreeMap<&Party, Ports> = BTreeMap::new();
    for flow in flows {
        out.entry(peer(flow))
            .or_default()
            .insert((flow.port, flow.end_port, flow.protocol));
    }
    out
}

fn ports(ports: &Ports) -> PortRule {
    PortRule::new().ports(ports.iter().map(|(port, end, protocol)| {
        let protocol = match protocol {
            Protocol::Udp => ModelProtocol::Udp,
            Protocol::Tcp => ModelProtocol::Tcp,
        };
        let one = PortProtocol::of(*port, protocol);
        match end {
            Some(end) => one.end_port(i64::from(*end)),
            None => one,
        }
    }))
}

fn ingress<'f>(catalogue: &Catalogue, flows: impl Iterator<Item = &'f Flow>) -> Vec<IngressRule> {
    by_peer(flows, |flow| &flow.from)
        .into_iter()
        .filter_map(|(from, allowed)| {
            let rule = IngressRule::new().to_ports([ports(&allowed)]);
            Some(match from {
                Party::Workload {
                    component,
                    workload,
                } => {
                    let (component, workload) = catalogue.workload(component, workload)?;
                    if workload.host_network {
                        rule.from_entities([ModelEntity::Host, ModelEntity::RemoteNode])
                    } else {
                        rule.from_endpoints([peer(component, workload)])
                    }
                }
                Party::Entity(entity) => rule.from_entities([self::entity(*entity)]),
                Party::Address(address) => rule.from_cidr([format!("{address}/32")]),
                Party::Host(_) => return None,
            })
        })
        .collect()
}

fn egress<'f>(catalogue: &Catalogue, flows: impl Iterator<Item = &'f Flow>) -> Vec<EgressRule> {
    by_peer(flows, |flow| &flow.to)
        .into_iter()
        .filter_map(|(to, allowed)| {
            let rule = EgressRule::new().to_ports([ports(&allowed)]);
            Some(match to {
                Party::Workload {
                    component,
                    workload,
                } => {
                    let (component, workload) = catalogue.workload(component, workload)?;
                    if workload.host_network {
                        rule.to_entities([ModelEntity::Host, ModelEntity::RemoteNode])
                    } else {
                        rule.to_endpoints([peer(component, workload)])
                    }
                }
                Party::Entity(entity) => rule.to_entities([self::entity(*entity)]),
                Party::Address(address) => rule.to_cidr([format!("{address}/32")]),
                Party::Host(host) => rule.to_fqdns([host.as_str()]),
            })
        })
        .collect()
}

/// A workload as a peer: its labels and its namespace.
fn peer(component: &Component, workload: &Workload) -> LabelSelector {
    let mut labels = workload.labels.clone();
    labels.insert(NAMESPACE.to_owned(), component.namespace.clone());
    LabelSelector::labels(labels)
}

/// The entity as the model names it.
pub(super) fn entity(entity: Entity) -> ModelEntity {
    match entity {
        Entity::KubeApiserver => ModelEntity::KubeApiserver,
        Entity::Host => ModelEntity::Host,
        Entity::RemoteNode => ModelEntity::RemoteNode,
        Entity::Ingress => ModelEntity::Ingress,
        Entity::World => ModelEntity::World,
    }
}
