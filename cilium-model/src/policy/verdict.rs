//! Is A allowed to talk to B? Which rule decided, and if it is not allowed, what is missing?
//!
//! A [`PolicySet`] is made once from any number of policies and then asked about any number of flows. It answers for
//! both sides: what the source's egress policies say and what the destination's ingress policies say.
//!
//! ```
//! use cilium_model::policy::verdict::{Endpoint, Flow, PolicySet};
//!
//! let set = PolicySet::from_yaml(r#"
//! apiVersion: cilium.io/v2
//! kind: CiliumNetworkPolicy
//! metadata: {name: web, namespace: shop}
//! spec:
//!   endpointSelector: {matchLabels: {app: web}}
//!   ingress:
//!   - fromEntities: [ingress]
//!     toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
//! "#)?;
//! let web = Endpoint::pod("shop", [("app", "web")]);
//! let gateway = Endpoint::entity(cilium_model::policy::rule::Entity::Ingress);
//! assert!(set.evaluate(&Flow::tcp(&gateway, &web, 8080)).is_allowed());
//! let other = set.evaluate(&Flow::tcp(&gateway, &web, 9090));
//! assert!(!other.is_allowed());
//! assert_eq!(other.ingress.missing.as_deref(), Some("an ingress rule for shop/web that allows reserved:ingress on TCP 9090"));
//! # Ok::<(), cilium_model::Error>(())
//! ```

mod compile;
mod endpoint;
mod evaluate;
mod l7;

use std::fmt;

use crate::error::Error;
use crate::policy::rule::{AuthenticationMode, Protocol};
use crate::policy::{
    CiliumCIDRGroup, CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy, ClusterNetworkPolicy,
    NetworkPolicy,
};

pub use endpoint::Endpoint;
pub use l7::{HttpRequest, Request};

use compile::CompiledRule;

/// Which way a flow goes, seen from the endpoint whose policies are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// Into the endpoint.
    Ingress,
    /// Out of the endpoint.
    Egress,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// The agent's enforcement mode (`policyEnforcementMode` of the chart).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Enforcement {
    /// A direction is closed once a rule selects the endpoint.
    #[default]
    Default,
    /// Every direction of every endpoint is closed.
    Always,
    /// Policies are ignored.
    Never,
}

/// How the agent is configured, as far as verdicts depend on it. The defaults are those of Cilium 1.20 under Kubernetes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Name of the local cluster, `default` unless set.
    pub cluster_name: String,
    /// Selectors without a cluster label match the local cluster only (on since 1.19, off in 1.18).
    pub policy_default_local_cluster: bool,
    /// Policies with a node selector are enforced on hosts.
    pub host_firewall: bool,
    /// `fromNodes` and `toNodes` may be used.
    pub node_selector_labels: bool,
    /// Enforcement mode.
    pub enforcement: Enforcement,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cluster_name: "default".to_owned(),
            policy_default_local_cluster: true,
            host_firewall: false,
            node_selector_labels: false,
            enforcement: Enforcement::Default,
        }
    }
}

impl Options {
    /// Sets the name of the local cluster.
    #[must_use]
    pub fn cluster_name(mut self, name: impl Into<String>) -> Self {
        self.cluster_name = name.into();
        self
    }

    /// Sets whether selectors without a cluster label stay inside the local cluster.
    #[must_use]
    pub fn policy_default_local_cluster(mut self, on: bool) -> Self {
        self.policy_default_local_cluster = on;
        self
    }

    /// Turns the host firewall on or off.
    #[must_use]
    pub fn host_firewall(mut self, on: bool) -> Self {
        self.host_firewall = on;
        self
    }

    /// Turns node selectors in peers on or off.
    #[must_use]
    pub fn node_selector_labels(mut self, on: bool) -> Self {
        self.node_selector_labels = on;
        self
    }

    /// Sets the enforcement mode.
    #[must_use]
    pub fn enforcement(mut self, mode: Enforcement) -> Self {
        self.enforcement = mode;
        self
    }
}

/// One flow to ask about: who, to whom, on which port, and optionally with which request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Flow<'a> {
    /// Where the connection comes from.
    pub source: &'a Endpoint,
    /// Where it goes.
    pub destination: &'a Endpoint,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Destination port, of the pod and not of a Service; for ICMP the type.
    pub port: u16,
    /// Request inside the connection.
    pub request: Option<Request>,
}

impl<'a> Flow<'a> {
    /// A flow of any protocol.
    #[must_use]
    pub fn new(
        source: &'a Endpoint,
        destination: &'a Endpoint,
        protocol: Protocol,
        port: u16,
    ) -> Self {
        Self {
            source,
            destination,
            protocol,
            port,
            request: None,
        }
    }

    /// A TCP connection.
    #[must_use]
    pub fn tcp(source: &'a Endpoint, destination: &'a Endpoint, port: u16) -> Self {
        Self::new(source, destination, Protocol::Tcp, port)
    }

    /// A UDP exchange.
    #[must_use]
    pub fn udp(source: &'a Endpoint, destination: &'a Endpoint, port: u16) -> Self {
        Self::new(source, destination, Protocol::Udp, port)
    }

    /// Adds the request that is made inside.
    #[must_use]
    pub fn with_request(mut self, request: impl Into<Request>) -> Self {
        self.request = Some(request.into());
        self
    }
}

/// What one side says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decision {
    /// Let through.
    Allowed,
    /// Let through to a proxy, which decides request by request.
    AllowedL7(Parser),
    /// Dropped.
    Denied,
}

/// The proxy that a flow is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Parser {
    /// Envoy, by TLS server name.
    Tls,
    /// Envoy, by a listener of a CiliumEnvoyConfig.
    Listener,
    /// Envoy, by HTTP rules.
    Http,
    /// The DNS proxy.
    Dns,
}

/// A rule of a policy: where to look when a verdict surprises.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct RuleRef {
    /// Kind of the policy.
    pub kind: &'static str,
    /// Namespace of the policy, none for cluster-wide ones.
    pub namespace: Option<String>,
    /// Name of the policy.
    pub name: String,
    /// Place of the rule in it, such as `spec.egress[2]`.
    pub path: String,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{} {}", self.name, self.path)
    }
}

/// Why a side decided as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// These rules match and say so.
    Rules(Vec<RuleRef>),
    /// No rule matches, and no policy closes the direction.
    Open,
    /// No rule matches, and these rules close the direction.
    DefaultDeny(Vec<RuleRef>),
    /// No rule matches, and the direction is closed without a policy: enforcement mode `always`, or an endpoint that
    /// does not know its labels yet.
    Closed,
    /// A node always reaches the pods that run on it.
    Localhost,
    /// This side has no policies: a peer outside the cluster, a host without the host firewall, or mode `never`.
    NotEnforced,
}

/// What the policies of one side say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideVerdict {
    /// Let through or not.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// For a flow with a request that is let through: whether the request passes too.
    pub request_allowed: Option<bool>,
    /// Authentication demanded of the peers.
    pub authentication: Option<AuthenticationMode>,
    /// What would have to be there for the flow to pass, in words; absent when it passes.
    pub missing: Option<String>,
}

impl SideVerdict {
    /// True when the connection, and the request if there is one, pass this side.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decision != Decision::Denied && self.request_allowed != Some(false)
    }

    /// Rules behind the decision, whichever way it went.
    #[must_use]
    pub fn rules(&self) -> &[RuleRef] {
        match &self.reason {
            Reason::Rules(rules) | Reason::DefaultDeny(rules) => rules,
            _ => &[],
        }
    }
}

/// What both sides of a flow say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The source's egress.
    pub egress: SideVerdict,
    /// The destination's ingress.
    pub ingress: SideVerdict,
}

impl Verdict {
    /// True when both sides let the flow pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.egress.is_allowed() && self.ingress.is_allowed()
    }

    /// What is missing, side by side; empty when the flow passes.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        [&self.egress, &self.ingress]
            .into_iter()
            .filter_map(|side| side.missing.as_deref())
    }
}

/// Any policy that verdicts depend on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Policy {
    /// Cilium's namespaced policy.
    Cilium(CiliumNetworkPolicy),
    /// Cilium's cluster-wide policy.
    CiliumClusterwide(CiliumClusterwideNetworkPolicy),
    /// The policy of Kubernetes.
    Kubernetes(NetworkPolicy),
    /// The cluster-wide policy of the network policy API.
    Cluster(ClusterNetworkPolicy),
    /// Address ranges that policies refer to.
    CidrGroup(CiliumCIDRGroup),
}

macro_rules! policy_from {
    ($($variant:ident: $type:ty),+ $(,)?) => { $(
        impl From<$type> for Policy {
            fn from(policy: $type) -> Self {
                Self::$variant(policy)
            }
        }
    )+ };
}
policy_from! {
    Cilium: CiliumNetworkPolicy,
    CiliumClusterwide: CiliumClusterwideNetworkPolicy,
    Kubernetes: NetworkPolicy,
    Cluster: ClusterNetworkPolicy,
    CidrGroup: CiliumCIDRGroup,
}

impl Policy {
    /// Reads a policy of any of the kinds from JSON; nothing for an object of another kind.
    ///
    /// # Errors
    /// As [`Object::from_json`](crate::object::Object::from_json).
    pub fn from_json(value: &serde_json::Value) -> Result<Option<Self>, Error> {
        let text = |key: &str| {
            value
                .get(key)
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
        };
        let group = text("apiVersion")
            .rsplit_once('/')
            .map_or("", |(group, _)| group);
        Ok(Some(match (group, text("kind")) {
            ("cilium.io", "CiliumNetworkPolicy") => CiliumNetworkPolicy::from_json(value)?.into(),
            ("cilium.io", "CiliumClusterwideNetworkPolicy") => {
                CiliumClusterwideNetworkPolicy::from_json(value)?.into()
            }
            ("cilium.io", "CiliumCIDRGroup") => CiliumCIDRGroup::from_json(value)?.into(),
            ("networking.k8s.io", "NetworkPolicy") => NetworkPolicy::from_json(value)?.into(),
            ("policy.networking.k8s.io", "ClusterNetworkPolicy") => {
                ClusterNetworkPolicy::from_json(value)?.into()
            }
            _ => return Ok(None),
        }))
    }
}

impl Policy {
    /// Reads the policies of a stream of YAML documents; other kinds are passed over.
    ///
    /// # Errors
    /// As [`Object::from_yaml`](crate::object::Object::from_yaml).
    pub fn read_all(text: &str) -> Result<Vec<Self>, Error> {
        let mut policies = Vec::new();
        for document in crate::yaml::read(text)? {
            policies.extend(Self::from_json(&document.value())?);
        }
        Ok(policies)
    }
}

/// Policies made ready for questions. Cheap to ask, immutable, `Send + Sync`.
#[derive(Clone, Debug)]
pub struct PolicySet {
    options: Options,
    ingress: Vec<CompiledRule>,
    egress: Vec<CompiledRule>,
    groups: Vec<compile::Group>,
}

impl PolicySet {
    /// Compiles policies.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with every problem for which the agent would refuse a policy;
    /// each path begins with the policy's kind and name.
    pub fn new(
        policies: impl IntoIterator<Item = impl Into<Policy>>,
        options: Options,
    ) -> Result<Self, Error> {
        compile::compile(policies.into_iter().map(Into::into), options)
    }

    /// Reads a stream of YAML documents and compiles the policies among them; other kinds are passed over.
    ///
    /// # Errors
    /// As [`Policy::from_json`] and [`PolicySet::new`].
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        Self::new(Policy::read_all(text)?, Options::default())
    }

    /// The options that the set was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Number of rules in both directions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ingress.len() + self.egress.len()
    }

    /// True when there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks both sides.
    #[must_use]
    pub fn evaluate(&self, flow: &Flow<'_>) -> Verdict {
        Verdict {
            egress: self.evaluate_side(flow, Direction::Egress),
            ingress: self.evaluate_side(flow, Direction::Ingress),
        }
    }

    /// Asks one side: the source's egress policies, or the destination's ingress policies.
    #[must_use]
    pub fn evaluate_side(&self, flow: &Flow<'_>, direction: Direction) -> SideVerdict {
        evaluate::side(self, flow, direction)
    }
}
