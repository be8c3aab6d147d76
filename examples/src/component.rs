//! The catalogue: what runs on a cluster, what each part needs, offers and talks to.
//!
//! One set of descriptors drives the checks of `cluster.yaml`, the network policies that are rendered, and the lab, in
//! which a workload becomes ready only when all that its descriptor names is there.
//!
//! ```
//! use homelab::{component::Catalogue, spec::Spec};
//!
//! let text = include_str!("../environments/production/cluster.yaml");
//! let spec = Spec::parse("cluster.yaml", text).expect("production is valid");
//! let catalogue = Catalogue::of(&spec);
//! let (argo, server) = catalogue.workload("argo-cd", "server").expect("always there");
//! assert_eq!((argo.namespace.as_str(), server.replicas.count(9, 6)), ("argocd", 3));
//! ```

mod base;
mod build;
pub mod capacity;
mod definitions;
mod flow;
mod manifest;
mod network;
mod operations;
mod platform;

pub use flow::{Entity, Flow, Party, Protocol};

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::spec::Spec;
use crate::spec::quantity::{Bytes, Cpu};
use crate::spec::reference::SecretRef;

/// Everything that runs on one cluster, in the order of its waves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Catalogue {
    /// The components.
    pub components: Vec<Component>,
    /// Every connection that is meant to work; what is not here must be refused.
    pub flows: Vec<Flow>,
}

/// One part of the platform.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Component {
    /// Name, unique in the catalogue.
    pub name: String,
    /// Namespace of everything namespaced.
    pub namespace: String,
    /// What pods in the namespace may do.
    pub level: PodSecurity,
    /// When Argo CD syncs it; lower goes first.
    pub wave: i32,
    /// Where it comes from.
    pub source: Source,
    /// What runs.
    pub workloads: Vec<Workload>,
    /// What must be there before it can work.
    pub needs: Needs,
    /// What it brings.
    pub provides: Provides,
    /// What its ConfigMaps must say for the platform to work, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, BTreeMap<String, String>>,
}

/// Pod Security level that a namespace enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PodSecurity {
    /// Nothing that leads out of the pod, and hardened.
    Restricted,
    /// Nothing that leads out of the pod.
    Baseline,
    /// Everything.
    Privileged,
}

impl PodSecurity {
    /// The value of the namespace's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Baseline => "baseline",
            Self::Privileged => "privileged",
        }
    }
}

/// Where the objects of a component come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Source {
    /// A Helm chart.
    Chart {
        /// `https://` repository or `oci://` registry.
        repository: String,
        /// Name of the chart.
        chart: String,
        /// Version of the chart.
        version: String,
    },
    /// A file of a release.
    Release {
        /// Address of the file.
        url: String,
    },
    /// Brought by Talos itself.
    Talos,
    /// Written by this program into the Git tree.
    Rendered,
}

/// One set of equal pods.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Workload {
    /// Name inside the component, for example `repo-server`.
    pub name: String,
    /// Name of the Kubernetes object, for example `argocd-repo-server`.
    pub object: String,
    /// Kind of the Kubernetes object.
    pub kind: Kind,
    /// How many pods.
    pub replicas: Replicas,
    /// Labels of the pods, as the chart sets them.
    pub labels: BTreeMap<String, String>,
    /// Whether the pods use the node's network, so that no pod policy holds for them.
    pub host_network: bool,
    /// Whether the pods may run on control planes.
    pub on_control_planes: bool,
    /// What one pod asks for.
    pub requests: Requests,
    /// Container ports.
    pub ports: Vec<Port>,
    /// Whether pods keep apart.
    pub anti_affinity: AntiAffinity,
    /// Where metrics are read, or why there are none.
    pub metrics: Metrics,
    /// Volume of each pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
    /// Pods that a voluntary disruption must leave; no budget when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_available: Option<u32>,
}

/// Kind of the Kubernetes object that makes the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub enum Kind {
    /// Interchangeable pods.
    Deployment,
    /// Numbered pods.
    StatefulSet,
    /// One pod per node.
    DaemonSet,
    /// Pods that run to their end on a schedule.
    CronJob,
}

/// How many pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Replicas {
    /// So many.
    Count(u32),
    /// One on every machine.
    EveryNode,
    /// One on every machine that takes workloads.
    EveryWorker,
}

impl Replicas {
    /// The number of pods for so many machines and workers.
    #[must_use]
    pub fn count(self, machines: u32, workers: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::EveryNode => machines,
            Self::EveryWorker => workers,
        }
    }

    /// Whether the pods come with the nodes.
    #[must_use]
    pub fn per_node(self) -> bool {
        !matches!(self, Self::Count(_))
    }
}

/// What one pod asks of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Requests {
    /// CPU time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
}

/// A container port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Port {
    /// Name.
    pub name: String,
    /// Number on the pod, which is what policies match.
    pub number: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// Whether equal pods share a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AntiAffinity {
    /// They may.
    None,
    /// Rather not.
    Preferred,
    /// Never: a pod waits for a node of its own.
    Required,
}

/// Where metrics are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Metrics {
    /// Port of the pod.
    Port(u16),
    /// Nowhere, for this reason.
    None(String),
}

/// A volume of each pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Volume {
    /// Storage class; the default class when `None`.
    pub class: Option<String>,
    /// Size.
    pub size: Bytes,
}

/// What a component cannot work without.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Needs {
    /// Secrets with certain keys.
    pub secrets: Vec<SecretNeed>,
    /// Custom resource definitions by full name, for example `gateways.gateway.networking.k8s.io`.
    pub crds: BTreeSet<String>,
    /// Talos extensions in the image.
    pub extensions: BTreeSet<String>,
    /// Components that must serve before.
    pub components: BTreeSet<String>,
}

/// A secret that must be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SecretNeed {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Keys, each with where its value comes from.
    pub keys: BTreeMap<String, SecretSource>,
}

/// Where the value of a key comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum SecretSource {
    /// Random, made once and kept in the secret file under this name.
    Generated(String),
    /// A fixed text that is not secret.
    Plain(String),
    /// A reference in `cluster.yaml`.
    Reference(SecretRef),
}

/// What a component brings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Provides {
    /// Custom resource definitions by full name.
    pub crds: BTreeSet<String>,
    /// Admission webhooks and aggregated APIs that the API server calls.
    pub webhooks: Vec<Webhook>,
    /// Storage classes.
    pub storage_classes: BTreeSet<String>,
}

/// A workload that the API server calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Webhook {
    /// Workload of the same component.
    pub workload: String,
    /// Port on the pod.
    pub port: u16,
}

/// A part of the platform that can be reached through the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Its name in `gateway.routes`.
    pub name: &'static str,
    /// Component.
    pub component: &'static str,
    /// Workload that answers.
    pub workload: &'static str,
    /// Namespace.
    pub namespace: &'static str,
    /// Service in front of it, as the chart names it.
    pub service: &'static str,
    /// Port of the service.
    pub service_port: u16,
    /// Port of the pods.
    pub port: u16,
    /// Key of `cluster.yaml` that switches it on.
    pub key: &'static str,
}

const fn published(
    name: &'static str,
    workload: (&'static str, &'static str, &'static str),
    service: (&'static str, u16),
    port: u16,
    key: &'static str,
) -> Published {
    Published {
        name,
        namespace: workload.0,
        component: workload.1,
        workload: workload.2,
        service: service.0,
        service_port: service.1,
        port,
        key,
    }
}

/// Everything that can be reached through the gateway.
pub const PUBLISHED: &[Published] = &[
    published(
        "argo-cd",
        ("argocd", "argo-cd", "server"),
        ("argocd-server", 80),
        8080,
        "argoCd",
    ),
    published(
        "grafana",
        ("monitoring", "kube-prometheus-stack", "grafana"),
        ("kube-prometheus-stack-grafana", 80),
        3000,
        "components.monitoring",
    ),
    published(
        "prometheus",
        ("monitoring", "kube-prometheus-stack", "prometheus"),
        ("kube-prometheus-stack-prometheus", 9090),
        9090,
        "components.monitoring",
    ),
    published(
        "alertmanager",
        ("monitoring", "kube-prometheus-stack", "alertmanager"),
        ("kube-prometheus-stack-alertmanager", 9093),
        9093,
        "components.monitoring",
    ),
    published(
        "hubble-ui",
        ("kube-system", "cilium", "hubble-ui"),
        ("hubble-ui", 80),
        8081,
        "cilium.hubble.ui",
    ),
    published(
        "longhorn-ui",
        ("longhorn-system", "longhorn", "ui"),
        ("longhorn-frontend", 80),
        8000,
        "components.longhorn",
    ),
    published(
        "authelia",
        ("authelia", "authelia", "authelia"),
        ("authelia", 80),
        9091,
        "components.authelia",
    ),
    published(
        "lldap",
        ("lldap", "lldap", "lldap"),
        ("lldap", 17_170),
        17_170,
        "components.lldap",
    ),
];

impl Catalogue {
    /// The components that the environment runs, with replicas, sizes and connections worked out.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        let mut draft = build::Draft::new(spec);
        base::add(&mut draft);
        network::add(&mut draft);
        platform::add(&mut draft);
        operations::add(&mut draft);
        draft.finish()
    }

    /// The component of that name.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components
            .iter()
            .find(|component| component.name == name)
    }

    /// A workload by the names of its component and its own.
    #[must_use]
    pub fn workload(&self, component: &str, workload: &str) -> Option<(&Component, &Workload)> {
        let component = self.component(component)?;
        let workload = component
            .workloads
            .iter()
            .find(|found| found.name == workload)?;
        Some((component, workload))
    }

    /// All workloads with their components.
    pub fn workloads(&self) -> impl Iterator<Item = (&Component, &Workload)> {
        self.components.iter().flat_map(|component| {
            component
                .workloads
                .iter()
                .map(move |workload| (component, workload))
        })
    }

    /// Namespaces with the most permissive level that one of their components needs.
    #[must_use]
    pub fn namespaces(&self) -> BTreeMap<&str, PodSecurity> {
        let mut out = BTreeMap::new();
        for component in self
            .components
            .iter()
            .filter(|component| !component.namespace.is_empty())
        {
            let level = out
                .entry(component.namespace.as_str())
                .or_insert(component.level);
            *level = component.level.max(*level);
        }
        out
    }

    /// Connections that begin or end at a workload.
    pub fn flows_of(&self, component: &str, workload: &str) -> impl Iterator<Item = &Flow> {
        self.flows.iter().filter(move |flow| {
            flow.from.is(component, workload) || flow.to.is(component, workload)
        })
    }
}

impl Component {
    /// Objects with which a lab plays this component: namespace, definitions, service account, workloads, services.
    ///
    /// They are stand-ins: right names, labels, ports and requests, no function.
    #[must_use]
    pub fn stand_in(&self) -> Vec<serde_json::Value> {
        manifest::stand_in(self)
    }
}
