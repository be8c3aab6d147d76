//! Needs of pods by the catalogue's descriptors: extensions, definitions, secrets, components that
//! must serve, and connections that the policies in the world must let through.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use cilium_model::policy::rule::{Entity as Identity, Protocol as Transport};
use cilium_model::policy::verdict::{
    self, Endpoint, Options, Policy, PolicySet, Reason, Request, SideVerdict,
};
use serde_json::Value;

use super::environment::{Readiness, Unmet};
use super::object::{self, annotation, is_true, label, namespace, text};
use super::world::{CRDS, World};
use crate::component::{Catalogue, Component, Entity, Flow, Kind, Party, Protocol, Workload};

/// Kinds that verdicts depend on: the policies, and namespaces for their labels.
const POLICIES: [&str; 6] = [
    "ciliumnetworkpolicies.cilium.io",
    "ciliumclusterwidenetworkpolicies.cilium.io",
    "ciliumcidrgroups.cilium.io",
    "networkpolicies.networking.k8s.io",
    "clusternetworkpolicies.policy.networking.k8s.io",
    "namespaces",
];
/// An address outside the cluster that a host name stands for (TEST-NET-3).
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));

/// Judges pods by the descriptors of a catalogue.
#[derive(Debug)]
pub struct CatalogueNeeds {
    catalogue: Catalogue,
    memory: Mutex<Memory>,
}

/// What was worked out for one set of policies.
#[derive(Debug, Default)]
struct Memory {
    policies: Vec<Arc<Value>>,
    set: Option<Arc<PolicySet>>,
    denied: BTreeMap<(String, String), Vec<String>>,
}

impl CatalogueNeeds {
    /// Needs of what this catalogue names; pods of nothing in it need nothing.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        Self {
            catalogue,
            memory: Mutex::new(Memory::default()),
        }
    }

    /// Which workload a pod belongs to: by the marks on the object that made it, else by namespace
    /// and labels.
    fn workload(&self, world: &World, pod: &Value) -> Option<(&Component, &Workload)> {
        let mut object = pod;
        for _ in 0..3 {
            let marks = (
                annotation(object, "homelab.dev/component"),
                annotation(object, "homelab.dev/workload"),
            );
            if let (Some(component), Some(workload)) = marks {
                return self.catalogue.workload(component, workload);
            }
            let owner = &object["metadata"]["ownerReferences"][0];
            let resource = match text(owner, "/kind") {
                "ReplicaSet" => "replicasets.apps",
                "Deployment" => "deployments.apps",
                "DaemonSet" => "daemonsets.apps",
                "StatefulSet" => "statefulsets.apps",
                "Job" => "jobs.batch",
                "CronJob" => "cronjobs.batch",
                _ => break,
            };
            let Some(owner) = world.get(resource, namespace(pod), text(owner, "/name")) else {
                break;
            };
            object = owner;
        }
        self.catalogue.workloads().find(|(component, workload)| {
            component.namespace == namespace(pod) && is_of(pod, workload)
        })
    }

    fn missing(&self, world: &World, pod: &Value, component: &Component, who: &str) -> Vec<String> {
        let mut missing = Vec::new();
        let node = text(pod, "/spec/nodeName");
        let machine = world.machines().find(|one| one.name == node);
        for extension in &component.needs.extensions {
            let short = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
            let there = machine.is_some_and(|machine| {
                machine
                    .extensions
                    .iter()
                    .any(|one| short(one) == short(extension))
            });
            if !there {
                missing.push(format!(
                    "{who} needs the Talos extension {extension}, which the image of {node} does not have"
                ));
            }
        }
        for crd in &component.needs.crds {
            match world.get(CRDS, "", crd) {
                None => missing.push(format!(
                    "{who} needs the definition {crd}, which is not there"
                )),
                Some(found) if !is_true(found, "Established") => {
                    missing.push(format!(
                        "{who} needs the definition {crd}, which is not established yet"
                    ));
                }
                Some(_) => {}
            }
        }
        for need in &component.needs.secrets {
            let place = format!("{}/{}", need.namespace, need.name);
            let Some(secret) = world.get("secrets", &need.namespace, &need.name) else {
                missing.push(format!(
                    "{who} needs the secret {place}, which is not there"
                ));
                continue;
            };
            for key in need
                .keys
                .keys()
                .filter(|key| secret["data"].get(key.as_str()).is_none())
            {
                missing.push(format!(
                    "{who} needs key {key} of the secret {place}, which is not in it"
                ));
            }
        }
        for other in &component.needs.components {
            let Some(other) = self.catalogue.component(other) else {
                continue;
            };
            let down = other
                .workloads
                .iter()
                .filter(|one| one.kind != Kind::CronJob && !serves(world, other, one))
                .map(|one| one.object.clone())
                .next();
            if let Some(down) = down {
                missing.push(format!(
                    "{who} needs {}, which does not serve: no pod of {}/{down} is ready",
                    other.name, other.namespace
                ));
            }
        }
        missing
    }

    /// Connections of a workload that the policies refuse, with both ends named.
    fn denied(&self, world: &World, component: &Component, workload: &Workload) -> Vec<String> {
        let policies: Vec<Arc<Value>> = POLICIES
            .iter()
            .flat_map(|kind| world.range(format!("{kind}/")))
            .map(Arc::clone)
            .collect();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let same = memory.policies.len() == policies.len()
            && memory
                .policies
                .iter()
                .zip(&policies)
                .all(|(one, other)| Arc::ptr_eq(one, other));
        if !same {
            *memory = Memory {
                set: set(&policies).map(Arc::new),
                policies,
                denied: BTreeMap::new(),
            };
        }
        let key = (component.name.clone(), workload.name.clone());
        if let Some(known) = memory.denied.get(&key) {
            return known.clone();
        }
        let Some(set) = memory.set.clone() else {
            return Vec::new();
        };
        let mut denied = Vec::new();
        for flow in self.catalogue.flows_of(&component.name, &workload.name) {
            let outgoing = flow.from.is(&component.name, &workload.name);
            // A connection between two workloads is the concern of the one that opens it.
            if outgoing || !matches!(flow.from, Party::Workload { .. }) {
                denied.extend(self.refusal(world, &set, flow));
            }
        }
        memory.denied.insert(key, denied.clone());
        denied
    }

    /// Why a connection is refused.
    fn refusal(&self, world: &World, set: &PolicySet, flow: &Flow) -> Option<String> {
        let sources = self.endpoints(world, &flow.from);
        let targets = self.endpoints(world, &flow.to);
        let transport = match flow.protocol {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
        };
        for source in &sources {
            for target in &targets {
                for port in [Some(flow.port), flow.end_port].into_iter().flatten() {
                    let asked = verdict::Flow::new(source, target, transport.clone(), port);
                    let verdict = set.evaluate(&asked);
                    let sides = [("egress", &verdict.egress), ("ingress", &verdict.ingress)];
                    if let Some((side, verdict)) = sides.iter().find(|(_, one)| !one.is_allowed()) {
                        return Some(format!("{flow} is denied: {}", why(side, verdict)));
                    }
                }
            }
        }
        self.unresolved(world, set, flow, &sources)
    }

    /// A host is reached only if its name may be asked for.
    fn unresolved(
        &self,
        world: &World,
        set: &PolicySet,
        flow: &Flow,
        sources: &[Endpoint],
    ) -> Option<String> {
        let Party::Host(host) = &flow.to else {
            return None;
        };
        let asked_name = host.replace("*.", "name.");
        let dns = self.endpoints(world, &Party::workload("coredns", "coredns"));
        for source in sources {
            for target in &dns {
                let asked =
                    verdict::Flow::udp(source, target, 53).with_request(Request::dns(&asked_name));
                let verdict = set.evaluate(&asked);
                if !verdict.is_allowed() {
                    return Some(format!(
                        "{flow} is denied: the name {asked_name} may not be asked of coredns:53/udp"
                    ));
                }
            }
        }
        None
    }

    /// How policies see one end of a connection; pods in the node's network are the node.
    fn endpoints(&self, world: &World, party: &Party) -> Vec<Endpoint> {
        match party {
            Party::Workload {
                component,
                workload,
            } => {
                let Some((component, workload)) = self.catalogue.workload(component, workload)
                else {
                    return Vec::new();
                };
                if workload.host_network {
                    return vec![
                        Endpoint::entity(Identity::Host),
                        Endpoint::entity(Identity::RemoteNode),
                    ];
                }
                let mut endpoint =
                    Endpoint::pod(component.namespace.as_str(), workload.labels.clone())
                        .with_service_account(component.name.as_str());
                if let Some(home) = world.get("namespaces", "", &component.namespace) {
                    for (key, value) in object::texts(home, "/metadata/labels") {
                        endpoint = endpoint.with_namespace_label(&key, value);
                    }
                }
                for port in &workload.ports {
                    let transport = match port.protocol {
                        Protocol::Tcp => Transport::Tcp,
                        Protocol::Udp => Transport::Udp,
                    };
                    endpoint = endpoint.with_named_port(port.name.as_str(), port.number, transport);
                }
                vec![endpoint]
            }
            Party::Entity(entity) => vec![Endpoint::entity(match entity {
                Entity::KubeApiserver => Identity::KubeApiserver,
                Entity::Host => Identity::Host,
                Entity::RemoteNode => Identity::RemoteNode,
                Entity::Ingress => Identity::Ingress,
                Entity::World => Identity::World,
            })],
            Party::Address(address) => vec![Endpoint::address(IpAddr::V4(*address))],
            Party::Host(host) => vec![Endpoint::resolved(host.replace("*.", "name."), SOMEWHERE)],
        }
    }
}

impl Readiness for CatalogueNeeds {
    fn unmet(&self, world: &World, pod: &Value) -> Vec<Unmet> {
        let Some((component, workload)) = self.workload(world, pod) else {
            return Vec::new();
        };
        let who = if component.name == workload.name {
            component.name.clone()
        } else {
            format!("{}/{}", component.name, workload.name)
        };
        let mut all = self.missing(world, pod, component, &who);
        all.extend(self.denied(world, component, workload));
        all.into_iter().map(Unmet::ready).collect()
    }
}

fn is_of(pod: &Value, workload: &Workload) -> bool {
    !workload.labels.is_empty()
        && workload
            .labels
            .iter()
            .all(|(key, value)| label(pod, key) == Some(value.as_str()))
}

/// True when a pod of that workload is ready.
fn serves(world: &World, component: &Component, workload: &Workload) -> bool {
    world
        .list_in("pods", &component.namespace)
        .any(|pod| is_of(pod, workload) && is_true(pod, "Ready") && !object::deleting(pod))
}

/// The policies that the agent would take; it ignores those that it refuses.
fn set(objects: &[Arc<Value>]) -> Option<PolicySet> {
    let good = objects
        .iter()
        .filter_map(|one| Policy::from_json(one).ok().flatten())
        .filter(|one| PolicySet::new([one.clone()], Options::default()).is_ok());
    PolicySet::new(good, Options::default()).ok()
}

fn why(side: &str, verdict: &SideVerdict) -> String {
    let rules: Vec<String> = verdict.rules().iter().map(ToString::to_string).collect();
    match &verdict.reason {
        Reason::Rules(_) => format!("{side} is refused by {}", rules.join(", ")),
        _ => {
            let missing = verdict
                .missing
                .clone()
                .unwrap_or_else(|| format!("no {side} rule"));
            format!("no {side} rule allows it; missing is {missing}")
        }
    }
}
