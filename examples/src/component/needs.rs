//! What a pod still lacks: its descriptor held against what a cluster has.
//!
//! The lab asks this before it lets a pod become ready, so that a forgotten secret, definition, extension or allow rule
//! keeps the pod waiting with the reason named, as it would in a real cluster.

use std::collections::{BTreeMap, BTreeSet};

use cilium_model::policy::verdict::Policy;
use serde_json::Value;

use super::{Catalogue, Component, Entity, Party, Workload};
use crate::stage::cilium::Network;

/// What a cluster has, as far as descriptors ask for it.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Facts {
    /// Keys of secrets, by namespace and name.
    pub secrets: BTreeMap<(String, String), BTreeSet<String>>,
    /// Full names of the custom resource definitions.
    pub definitions: BTreeSet<String>,
    /// Extensions of the Talos image that the nodes run.
    pub extensions: BTreeSet<String>,
    /// Network policies of every kind.
    pub policies: Vec<Policy>,
    /// Policies that could not be read, each with the reason: Cilium would refuse them and they allow nothing.
    pub refused: Vec<String>,
}

impl Facts {
    /// Picks secrets, definitions and policies out of any objects; others are passed over.
    #[must_use]
    pub fn of<'o>(
        objects: impl IntoIterator<Item = &'o Value>,
        extensions: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut facts = Self {
            extensions: extensions.into_iter().collect(),
            ..Self::default()
        };
        for object in objects {
            let text = |pointer: &str| {
                object
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            match text("/kind") {
                "Secret" => {
                    let keys = ["/data", "/stringData"]
                        .into_iter()
                        .filter_map(|part| object.pointer(part)?.as_object());
                    let keys = keys.flat_map(|map| map.keys().cloned()).collect();
                    let at = (
                        text("/metadata/namespace").to_owned(),
                        text("/metadata/name").to_owned(),
                    );
                    facts.secrets.insert(at, keys);
                }
                "CustomResourceDefinition" => {
                    facts.definitions.insert(text("/metadata/name").to_owned());
                }
                _ => match Policy::from_json(object) {
                    Ok(Some(policy)) => facts.policies.push(policy),
                    Ok(None) => {}
                    Err(error) => facts.refused.push(error.to_string()),
                },
            }
        }
        facts
    }
}

/// What a pod lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// Its containers cannot start.
    Start(String),
    /// Its containers run and do not become ready.
    Ready(String),
}

impl Missing {
    /// What is missing, with both sides of a connection named.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Start(message) | Self::Ready(message) => message,
        }
    }
}

/// Facts made ready for questions about the pods of a catalogue.
#[derive(Debug, Clone)]
pub struct Needs<'c> {
    catalogue: &'c Catalogue,
    facts: Facts,
    network: Result<Network<'c>, String>,
}

impl<'c> Needs<'c> {
    /// Compiles the policies once; asking is cheap.
    #[must_use]
    pub fn new(catalogue: &'c Catalogue, facts: Facts) -> Self {
        let network = Network::new(catalogue, facts.policies.iter().cloned())
            .map_err(|error| error.to_string());
        Self {
            catalogue,
            facts,
            network,
        }
    }

    /// What the pod lacks; nothing for a pod that no descriptor is about.
    #[must_use]
    pub fn unmet(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<Missing> {
        match self.catalogue.of_pod(namespace, labels) {
            Some((component, workload)) => self.unmet_by(component, workload),
            None => Vec::new(),
        }
    }

    /// What the pods of a workload lack.
    #[must_use]
    pub fn unmet_by(&self, component: &Component, workload: &Workload) -> Vec<Missing> {
        let name = Party::workload(&component.name, &workload.name);
        let mut out = Vec::new();
        for need in &component.needs.secrets {
            let at = (need.namespace.clone(), need.name.clone());
            match self.facts.secrets.get(&at) {
                None => out.push(Missing::Start(format!(
                    "{name} needs secret {}/{}, which does not exist",
                    need.namespace, need.name
                ))),
                Some(keys) => {
                    for key in need.keys.keys().filter(|key| !keys.contains(*key)) {
                        out.push(Missing::Start(format!(
                            "{name} needs key {key} of secret {}/{}",
                            need.namespace, need.name
                        )));
                    }
                }
            }
        }
        for extension in component
            .needs
            .extensions
            .difference(&self.facts.extensions)
        {
            out.push(Missing::Start(format!(
                "{name} needs the Talos extension {extension}, which the image does not have"
            )));
        }
        for definition in component.needs.crds.difference(&self.facts.definitions) {
            out.push(Missing::Ready(format!(
                "{name} needs the definition {definition}, which is not installed"
            )));
        }
        out.extend(
            self.refused(component, workload)
                .into_iter()
                .map(Missing::Ready),
        );
        out
    }

    /// Connections without which the workload does not serve: those that it opens, and the API server's to its webhooks.
    fn refused(&self, component: &Component, workload: &Workload) -> Vec<String> {
        let network = match &self.network {
            Ok(network) => network,
            Err(error) => return vec![format!("Cilium refuses the policies: {error}")],
        };
        let called = |party: &Party| *party == Party::Entity(Entity::KubeApiserver);
        self.catalogue
            .flows_of(&component.name, &workload.name)
            .filter(|flow| flow.from.is(&component.name, &workload.name) || called(&flow.from))
            .filter_map(|flow| {
                let row = network.judge(flow);
                let refusal = row.refused.as_ref()?;
                Some(format!(
                    "{flow} is denied: {refusal}; missing: {}",
                    refusal.missing
                ))
            })
            .collect()
    }
}

impl Catalogue {
    /// The workload that a pod belongs to: all of its labels are the pod's.
    #[must_use]
    pub fn of_pod(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<(&Component, &Workload)> {
        self.workloads()
            .filter(|(component, workload)| {
                component.namespace == namespace
                    && workload
                        .labels
                        .iter()
                        .all(|(key, value)| labels.get(key) == Some(value))
            })
            // The more labels agree, the better the descriptor fits.
            .max_by_key(|(_, workload)| workload.labels.len())
    }
}
