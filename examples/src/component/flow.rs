//! Connections that are meant to work.

use std::fmt;
use std::net::Ipv4Addr;

use serde::Serialize;

/// One connection: who opens it, to whom, on which port of the pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct Flow {
    /// Who opens it.
    pub from: Party,
    /// Who answers.
    pub to: Party,
    /// Port of the answering side.
    pub port: u16,
    /// Last port, for a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_port: Option<u16>,
    /// Protocol.
    pub protocol: Protocol,
    /// What it is for.
    pub why: String,
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Party {
    /// Pods of a workload.
    Workload {
        /// Component.
        component: String,
        /// Workload in it.
        workload: String,
    },
    /// Something that Cilium knows by role.
    Entity(Entity),
    /// An address outside the cluster.
    Address(Ipv4Addr),
    /// A host outside the cluster by name; `*.` stands for one label.
    Host(String),
}

/// Ends of connections that Cilium knows by role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Entity {
    /// The Kubernetes API server, wherever it runs.
    KubeApiserver,
    /// The pod's own node.
    Host,
    /// Every other node.
    RemoteNode,
    /// The gateway's proxy.
    Ingress,
    /// Everything outside the cluster.
    World,
}

impl Entity {
    /// The word of Cilium's policies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::Host => "host",
            Self::RemoteNode => "remote-node",
            Self::Ingress => "ingress",
            Self::World => "world",
        }
    }
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The word of Kubernetes: `TCP` or `UDP`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

impl Party {
    /// Pods of a workload.
    #[must_use]
    pub fn workload(component: &str, workload: &str) -> Self {
        Self::Workload {
            component: component.to_owned(),
            workload: workload.to_owned(),
        }
    }

    /// Whether this is the named workload.
    #[must_use]
    pub fn is(&self, component: &str, workload: &str) -> bool {
        matches!(self, Self::Workload { component: c, workload: w } if c == component && w == workload)
    }

    /// Component of a workload.
    #[must_use]
    pub fn component(&self) -> Option<&str> {
        match self {
            Self::Workload { component, .. } => Some(component),
            Self::Entity(_) | Self::Address(_) | Self::Host(_) => None,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload {
                component,
                workload,
            } if component == workload => f.write_str(component),
            Self::Workload {
                component,
                workload,
            } => write!(f, "{component}/{workload}"),
            Self::Entity(entity) => f.write_str(entity.as_str()),
            Self::Address(address) => write!(f, "{address}"),
            Self::Host(host) => f.write_str(host),
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}:{}", self.from, self.to, self.port)?;
        if let Some(end) = self.end_port {
            write!(f, "-{end}")?;
        }
        if self.protocol == Protocol::Udp {
            f.write_str("/udp")
        } else {
            Ok(())
        }
    }
}
