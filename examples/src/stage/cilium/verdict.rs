//! Whether policies let the declared connections through, and nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use cilium_model::Error;
use cilium_model::policy::rule::{Entity as ModelEntity, Protocol as ModelProtocol};
use cilium_model::policy::verdict::{
    Endpoint, Flow as ModelFlow, Options, Policy, PolicySet, Reason, SideVerdict,
};

use super::policy;
use crate::component::{Catalogue, Component, Entity, Flow, Party, Protocol, Workload};
use crate::spec::Spec;

/// Stands for every address outside that nobody declared (RFC 5737).
const STRANGER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// Stands for the address that a declared name resolves to (RFC 5737).
const NAMED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// Policies made ready for questions about the workloads of a catalogue.
#[derive(Debug, Clone)]
pub struct Network<'c> {
    catalogue: &'c Catalogue,
    set: PolicySet,
}

/// What the policies say about one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The connection.
    pub flow: Flow,
    /// Whether both sides let it through.
    pub allowed: bool,
    /// The rules that decided, the source's side first; empty where a side has no policies.
    pub by: Vec<String>,
    /// For a connection that is refused: which side refuses, and what would let it through.
    pub refused: Option<Refusal>,
}

/// Why a connection is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// `egress` of the source or `ingress` of the destination.
    pub side: &'static str,
    /// Name of the policy that decides, when one does.
    pub policy: Option<String>,
    /// Its namespace; none for a cluster-wide one.
    pub namespace: Option<String>,
    /// What would have to be there.
    pub missing: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.policy, &self.namespace) {
            (Some(policy), Some(namespace)) => write!(
                f,
                "policy {policy} in namespace {namespace} blocks it ({})",
                self.side
            ),
            (Some(policy), None) => {
                write!(f, "cluster-wide policy {policy} blocks it ({})", self.side)
            }
            (None, _) => write!(f, "nothing allows it ({})", self.side),
        }
    }
}

/// All declared connections with their verdicts, and what was found among the undeclared ones.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Matrix {
    /// Every declared connection.
    pub declared: Vec<Row>,
    /// How many undeclared connections were asked about.
    pub asked: usize,
    /// Undeclared connections that would pass: there must be none.
    pub leaks: Vec<Row>,
}

impl Matrix {
    /// Declared connections that are refused.
    pub fn refused(&self) -> impl Iterator<Item = &Row> {
        self.declared.iter().filter(|row| !row.allowed)
    }

    /// Whether everything declared passes and nothing else.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.leaks.is_empty() && self.refused().next().is_none()
    }

    /// By destination component: how many connections pass, how many are declared.
    #[must_use]
    pub fn summary(&self) -> BTreeMap<String, (usize, usize)> {
        let mut out: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for row in &self.declared {
            let name = row
                .flow
                .to
                .component()
                .map_or_else(|| "outside and nodes".to_owned(), str::to_owned);
            let entry = out.entry(name).or_default();
            entry.0 += usize::from(row.allowed);
            entry.1 += 1;
        }
        out
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.declared.iter().filter(|row| row.allowed).count();
        writeln!(
            f,
            "{passed} of {} declared connections pass, {} of {} undeclared ones are refused",
            self.declared.len(),
            self.asked - self.leaks.len(),
            self.asked
        )?;
        for row in self.refused() {
            if let Some(refusal) = &row.refused {
                writeln!(
                    f,
                    "  refused: {}: {refusal}; missing: {}",
                    row.flow, refusal.missing
                )?;
            }
        }
        for row in &self.leaks {
            writeln!(f, "  open: {} by {}", row.flow, row.by.join(" and "))?;
        }
        Ok(())
    }
}

/// The policies of an environment, judged on everything that its components declare and on everything that they do not.
///
/// # Errors
/// As [`Network::new`]; policies that this program writes never give one.
pub fn verdict_matrix(spec: &Spec, catalogue: &Catalogue) -> Result<Matrix, Error> {
    Ok(Network::new(catalogue, policy::policies(spec, catalogue))?.matrix())
}

impl<'c> Network<'c> {
    /// Takes policies as they are found in a cluster or as they are rendered.
    ///
    /// # Errors
    /// A policy that Cilium's agent would refuse.
    pub fn new(
        catalogue: &'c Catalogue,
        policies: impl IntoIterator<Item = Policy>,
    ) -> Result<Self, Error> {
        Ok(Self {
            catalogue,
            set: PolicySet::new(policies, Options::default())?,
        })
    }

    /// What the policies say about a connection.
    #[must_use]
    pub fn judge(&self, flow: &Flow) -> Row {
        let from = self.endpoint(&flow.from, true);
        let to = self.endpoint(&flow.to, false);
        self.ask(flow, &from, &to)
    }

    /// Asks about every declared connection.
    #[must_use]
    pub fn declared(&self) -> Vec<Row> {
        self.catalogue
            .flows
            .iter()
            .map(|flow| self.judge(flow))
            .collect()
    }

    /// Asks about every declared connection, and about every other pair of workloads on every port that one of them names.
    #[must_use]
    pub fn matrix(&self) -> Matrix {
        let declared = self.declared();
        let pods: Vec<(Party, Endpoint, &Workload)> = self
            .catalogue
            .workloads()
            .filter(|(_, workload)| !workload.host_network)
            .map(|(component, workload)| {
                (
                    Party::workload(&component.name, &workload.name),
                    pod(component, workload),
                    workload,
                )
            })
            .collect();
        let stranger = Party::Address(STRANGER);
        let outside = Endpoint::address(IpAddr::V4(STRANGER));
        let mut asked = 0;
        let mut leaks = Vec::new();
        let mut ask = |flow: Flow, from: &Endpoint, to: &Endpoint| {
            if self.is_declared(&flow) {
                return;
            }
            asked += 1;
            let row = self.ask(&flow, from, to);
            if row.allowed {
                leaks.push(row);
            }
        };
        for (to, target, workload) in &pods {
            for port in &workload.ports {
                let flow = |from: &Party| Flow {
                    from: from.clone(),
                    to: to.clone(),
                    port: port.number,
                    end_port: None,
                    protocol: port.protocol,
                    why: "not declared".to_owned(),
                };
                for (from, source, _) in pods.iter().filter(|(from, ..)| from != to) {
                    ask(flow(from), source, target);
                }
                ask(flow(&stranger), &outside, target);
            }
        }
        for (from, source, _) in &pods {
            let flow = Flow {
                from: from.clone(),
                to: stranger.clone(),
                port: 443,
                end_port: None,
                protocol: Protocol::Tcp,
                why: "not declared".to_owned(),
            };
            ask(flow, source, &outside);
        }
        Matrix {
            declared,
            asked,
            leaks,
        }
    }

    /// Whether a declared connection covers this one.
    fn is_declared(&self, flow: &Flow) -> bool {
        self.catalogue.flows.iter().any(|known| {
            known.from == flow.from
                && known.to == flow.to
                && known.protocol == flow.protocol
                && (known.port..=known.end_port.unwrap_or(known.port)).contains(&flow.port)
        })
    }

    fn endpoint(&self, party: &Party, source: bool) -> Endpoint {
        match party {
            Party::Workload {
                component,
                workload,
            } => match self.catalogue.workload(component, workload) {
                Some((component, workload)) if !workload.host_network => pod(component, workload),
                // Pods on the node's network are the node.
                _ => Endpoint::entity(ModelEntity::RemoteNode),
            },
            // Who comes from the world is some address of it; who is spoken to there is one too.
            Party::Entity(Entity::World) => Endpoint::address(IpAddr::V4(STRANGER)),
            Party::Entity(Entity::Host) if source => Endpoint::entity(ModelEntity::Host),
            Party::Entity(entity) => Endpoint::entity(policy::entity(*entity)),
            Party::Address(address) => Endpoint::address(IpAddr::V4(*address)),
            Party::Host(host) => Endpoint::resolved(host.replace('*', "any"), IpAddr::V4(NAMED)),
        }
    }

    fn ask(&self, flow: &Flow, from: &Endpoint, to: &Endpoint) -> Row {
        let protocol = match flow.protocol {
            Protocol::Tcp => ModelProtocol::Tcp,
            Protocol::Udp => ModelProtocol::Udp,
        };
        // Both ends of a range are asked about: a rule that covers them covers what lies between.
        let mut ports = vec![flow.port];
        ports.extend(flow.end_port);
        let mut by = Vec::new();
        for port in ports {
            let verdict = self
                .set
                .evaluate(&ModelFlow::new(from, to, protocol.clone(), port));
            for (side, name) in [(&verdict.egress, "egress"), (&verdict.ingress, "ingress")] {
                if !side.is_allowed() {
                    return Row {
                        flow: flow.clone(),
                        allowed: false,
                        by: rules(side),
                        refused: Some(refusal(side, name)),
                    };
                }
                for rule in rules(side) {
                    if !by.contains(&rule) {
                        by.push(rule);
                    }
                }
            }
        }
        Row {
            flow: flow.clone(),
            allowed: true,
            by,
            refused: None,
        }
    }
}

fn pod(component: &Component, workload: &Workload) -> Endpoint {
    Endpoint::pod(
        component.namespace.as_str(),
        workload
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    )
}

fn rules(side: &SideVerdict) -> Vec<String> {
    side.rules().iter().map(ToString::to_string).collect()
}

fn refusal(side: &SideVerdict, name: &'static str) -> Refusal {
    let rule = match &side.reason {
        Reason::Rules(rules) | Reason::DefaultDeny(rules) => rules.first(),
        _ => None,
    };
    Refusal {
        side: name,
        policy: rule.map(|rule| rule.name.clone()),
        namespace: rule.and_then(|rule| rule.namespace.clone()),
        missing: side.missing.clone().unwrap_or_default(),
    }
}
