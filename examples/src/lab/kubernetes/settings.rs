//! What a cluster was configured with when its control plane was made.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Settings of the simulated control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Settings {
    /// Kubernetes version without `v`, as `/version` answers it.
    pub version: String,
    /// Range of service addresses; the first one is `kubernetes.default`.
    pub service_cidr: IpNet,
    /// Range of pod addresses; each node gets one /24 of it.
    pub pod_cidr: IpNet,
    /// DNS domain of the cluster.
    pub domain: String,
    /// PEM of the CA that the cluster hands to its pods (`kube-root-ca.crt`).
    pub ca_pem: String,
    /// Bearer tokens that are accepted, each with the user that it stands for.
    /// Pod Security level of namespaces that name none: empty, `privileged` or `baseline`.
    pub pod_security: String,
    /// Namespaces that Pod Security leaves alone.
    pub pod_security_exempt: Vec<String>,
    tokens: Vec<Token>,
}

/// A bearer token and the user that it stands for.
#[derive(Clone, Serialize, Deserialize)]
struct Token {
    secret: String,
    user: User,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: "1.36.0".to_owned(),
            service_cidr: net([10, 96, 0, 0], 12),
            pod_cidr: net([10, 244, 0, 0], 16),
            domain: "cluster.local".to_owned(),
            ca_pem: String::new(),
            // What Talos configures in every API server unless it is told otherwise.
            pod_security: "baseline".to_owned(),
            pod_security_exempt: vec!["kube-system".to_owned()],
            tokens: Vec::new(),
        }
    }
}

fn net(address: [u8; 4], prefix: u8) -> IpNet {
    // The prefixes above are below 32, so the assertion inside cannot fail.
    IpNet::V4(ipnet::Ipv4Net::new_assert(address.into(), prefix))
}

impl Settings {
    /// The same with another Kubernetes version (`1.36.2`).
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// The same with other ranges for services and pods.
    #[must_use]
    pub fn networks(mut self, services: IpNet, pods: IpNet) -> Self {
        self.service_cidr = services;
        self.pod_cidr = pods;
        self
    }

    /// The same with the cluster's CA certificate in PEM.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<String>) -> Self {
        self.ca_pem = pem.into();
        self
    }

    /// The same, accepting one more bearer token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>, user: User) -> Self {
        self.tokens.push(Token {
            secret: token.into(),
            user,
        });
        self
    }

    /// The user that a bearer token stands for.
    pub(crate) fn user_of(&self, token: &str) -> Option<&User> {
        self.tokens
            .iter()
            .find(|one| one.secret == token)
            .map(|one| &one.user)
    }
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// Name: the common name of a client certificate.
    pub name: String,
    /// Groups: the organisations of a client certificate.
    pub groups: Vec<String>,
}

impl User {
    /// A user of these groups.
    #[must_use]
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        Self {
            name: name.into(),
            groups: groups.iter().map(|&one| one.to_owned()).collect(),
        }
    }

    /// The administrator: group `system:masters`.
    #[must_use]
    pub fn admin() -> Self {
        Self::new("admin", &["system:masters"])
    }

    /// Whoever brings no credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::new("system:anonymous", &["system:unauthenticated"])
    }

    /// True when the user may do anything: the lab has no engine for roles, so everyone who is
    /// authenticated may.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        !self
            .groups
            .iter()
            .any(|group| group == "system:unauthenticated")
    }
}
