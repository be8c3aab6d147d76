//! Who takes part in a flow: pods, reserved identities, addresses outside the cluster.

use std::fmt;
use std::net::IpAddr;

use crate::policy::rule::{Entity, Protocol};
use crate::policy::selector::Label;

pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub(crate) const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
pub(crate) const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
pub(crate) const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";

/// A party of a flow, described by its security labels, its address outside the cluster, or the names that led to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) labels: Vec<Label>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) names: Vec<String>,
    pub(crate) named_ports: Vec<(String, u16, Protocol)>,
}

impl Endpoint {
    /// A pod of the cluster named `default`, with the labels that Cilium derives: namespace, the namespace's own name
    /// label, cluster, and the service account `default`.
    #[must_use]
    pub fn pod<K: Into<String>, V: Into<String>>(
        namespace: impl Into<String>,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let namespace = namespace.into();
        let name_label = format!("{NAMESPACE_LABELS}kubernetes.io/metadata.name");
        let mut all: Vec<Label> = labels.into_iter().map(|(k, v)| Label::k8s(k, v)).collect();
        all.push(Label::k8s(name_label, namespace.clone()));
        all.push(Label::k8s(POD_NAMESPACE, namespace));
        all.push(Label::k8s(CLUSTER, "default"));
        all.push(Label::k8s(SERVICE_ACCOUNT, "default"));
        Self::from_labels(all)
    }

    /// An endpoint with exactly these security labels.
    #[must_use]
    pub fn from_labels(labels: impl IntoIterator<Item = Label>) -> Self {
        Self {
            labels: labels.into_iter().collect(),
            ..Self::default()
        }
    }

    /// A reserved identity. The API server runs on nodes unless an address is given, so it is a remote node as well.
    /// `Cluster`, `All` and `None` are sets rather than identities; they give an endpoint without labels.
    #[must_use]
    pub fn entity(entity: Entity) -> Self {
        let labels: &[&str] = match &entity {
            Entity::KubeApiserver => &["kube-apiserver", "remote-node"],
            Entity::Cluster | Entity::All | Entity::None | Entity::Other(_) => &[],
            other => return Self::from_labels([Label::reserved(other.as_str())]),
        };
        Self::from_labels(labels.iter().map(|label| Label::reserved(*label)))
    }

    /// An address outside the cluster.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        let world = if address.is_ipv4() {
            "world-ipv4"
        } else {
            "world-ipv6"
        };
        Self {
            labels: vec![Label::reserved(world)],
            address: Some(address),
            ..Self::default()
        }
    }

    /// An address outside the cluster that a DNS answer for the name gave.
    #[must_use]
    pub fn resolved(name: impl Into<String>, address: IpAddr) -> Self {
        let mut endpoint = Self::address(address);
        endpoint.names.push(name.into());
        endpoint
    }

    /// Adds a security label, in place of one with the same source and key.
    #[must_use]
    pub fn with_label(mut self, label: Label) -> Self {
        self.labels
            .retain(|l| !(l.source == label.source && l.key == label.key));
        self.labels.push(label);
        self
    }

    /// Adds a label of the pod's namespace.
    #[must_use]
    pub fn with_namespace_label(self, key: &str, value: impl Into<String>) -> Self {
        self.with_label(Label::k8s(format!("{NAMESPACE_LABELS}{key}"), value))
    }

    /// Sets the service account.
    #[must_use]
    pub fn with_service_account(self, name: impl Into<String>) -> Self {
        self.with_label(Label::k8s(SERVICE_ACCOUNT, name))
    }

    /// Sets the cluster that the pod belongs to.
    #[must_use]
    pub fn in_cluster(self, name: impl Into<String>) -> Self {
        self.with_label(Label::k8s(CLUSTER, name))
    }

    /// Adds a named port of the pod.
    #[must_use]
    pub fn with_named_port(
        mut self,
        name: impl Into<String>,
        port: u16,
        protocol: Protocol,
    ) -> Self {
        self.named_ports
            .push((name.into().to_ascii_lowercase(), port, protocol));
        self
    }

    /// The security labels.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The address outside the cluster, if it is there.
    #[must_use]
    pub fn outside_address(&self) -> Option<IpAddr> {
        self.address
    }

    pub(crate) fn is_reserved(&self, key: &str) -> bool {
        self.labels
            .iter()
            .any(|label| label.source == "reserved" && label.key == key)
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        let found = self
            .labels
            .iter()
            .find(|label| label.source == "k8s" && label.key == key)?;
        Some(&found.value)
    }

    /// Whether policies are enforced at this endpoint: pods yes, hosts with the host firewall, everything else no.
    pub(crate) fn is_enforced(&self, host_firewall: bool) -> bool {
        if self.is_reserved("host") {
            return host_firewall;
        }
        let outside = [
            "world",
            "world-ipv4",
            "world-ipv6",
            "remote-node",
            "unmanaged",
        ];
        !self.labels.is_empty()
            && self.address.is_none()
            && !outside.iter().any(|key| self.is_reserved(key))
    }
}

impl fmt::Display for Endpoint {
    /// Namespace and the telling labels of a pod, the reserved label, or the name and address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.names.first() {
            return f.write_str(name);
        }
        if let Some(address) = self.address {
            return address.fmt(f);
        }
        if let Some(namespace) = self.label(POD_NAMESPACE) {
            let telling = ["app.kubernetes.io/name", "app", "k8s-app", "name"];
            let name = telling.iter().find_map(|key| self.label(key));
            return write!(f, "{namespace}/{}", name.unwrap_or("*"));
        }
        match self.labels.first() {
            Some(label) => label.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}
