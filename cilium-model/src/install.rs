//! Values for the Cilium chart: a typed builder, and a check of values that somebody else wrote.
//!
//! ```
//! use cilium_model::install::{Hubble, HubbleTls, InstallValues, Version};
//!
//! let values = InstallValues::talos()
//!     .native_routing("10.244.0.0/16")
//!     .wireguard()
//!     .bgp_control_plane()
//!     .hubble(Hubble::new().relay(true).ui(true).tls(HubbleTls::CronJob))
//!     .gateway_api()
//!     .operator_replicas(2);
//! assert!(values.check(Version::V1_20).iter().all(|finding| !finding.is_error()));
//!
//! let typo = InstallValues::from_yaml("kubeProxyReplacment: true\n")?;
//! assert_eq!(typo.check(Version::V1_20)[0].problem.remedy.as_deref(), Some("did you mean kubeProxyReplacement?"));
//! # Ok::<(), cilium_model::Error>(())
//! ```

mod check;
mod keys;

use std::fmt;

use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind, Problem};
use crate::yaml;

/// A minor release of Cilium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
}

impl Version {
    /// Release 1.18.
    pub const V1_18: Self = Self::new(1, 18);
    /// Release 1.19.
    pub const V1_19: Self = Self::new(1, 19);
    /// Release 1.20, whose keys this crate holds in full.
    pub const V1_20: Self = Self::new(1, 20);
    /// Release 1.21.
    pub const V1_21: Self = Self::new(1, 21);

    /// A release by its numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Reads `1.20`, `1.20.1` or `v1.20.1-rc.0`.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = text.trim_start_matches('v').split(['.', '-', '+']);
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        match (number(), number()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(Error::one(
                ErrorKind::Syntax,
                format!("version {text:?}"),
                Problem::new("", "expected at least two numbers").remedy("write it like 1.20.1"),
            )),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// It works, but rarely as meant.
    Warning,
    /// The chart refuses it, the agent does not start, or the cluster loses traffic.
    Error,
}

/// One finding in values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What and where.
    pub problem: Problem,
}

impl Finding {
    /// True when the values cannot be used as they are.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}", self.problem)
    }
}

/// Encapsulation between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tunnel {
    /// VXLAN, 8472/udp.
    Vxlan,
    /// Geneve, 6081/udp.
    Geneve,
}

/// How load-balanced traffic returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadBalancerMode {
    /// Through the node that took it.
    Snat,
    /// Straight from the backend; needs native routing.
    Dsr,
    /// DSR for TCP, SNAT for UDP; needs native routing.
    Hybrid,
}

/// Who makes Hubble's certificates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HubbleTls {
    /// Helm, on rendering: keys stand in the manifests and change with every render.
    Helm,
    /// A CronJob in the cluster.
    CronJob,
    /// cert-manager, with the name of an issuer and its kind.
    CertManager {
        /// Name of the issuer.
        issuer: String,
        /// `Issuer` or `ClusterIssuer`.
        kind: String,
    },
}

/// What of Hubble is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hubble {
    relay: bool,
    ui: bool,
    metrics: Vec<String>,
    tls: Option<HubbleTls>,
}

impl Hubble {
    /// Hubble in the agents alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the relay.
    #[must_use]
    pub fn relay(mut self, on: bool) -> Self {
        self.relay = on;
        self
    }

    /// Adds the user interface, and with it the relay.
    #[must_use]
    pub fn ui(mut self, on: bool) -> Self {
        self.ui = on;
        self.relay |= on;
        self
    }

    /// Adds metrics, such as `dns`, `drop`, `tcp`, `flow`, `port-distribution`, `icmp`, `httpV2`.
    #[must_use]
    pub fn metrics<T: Into<String>>(mut self, metrics: impl IntoIterator<Item = T>) -> Self {
        self.metrics = metrics.into_iter().map(Into::into).collect();
        self
    }

    /// Sets who makes the certificates.
    #[must_use]
    pub fn tls(mut self, method: HubbleTls) -> Self {
        self.tls = Some(method);
        self
    }
}

/// Capabilities of the agent on Talos: without loading modules, which Talos refuses.
const TALOS_AGENT: [&str; 11] = [
    "CHOWN",
    "KILL",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "SYS_ADMIN",
    "SYS_RESOURCE",
    "DAC_OVERRIDE",
    "FOWNER",
    "SETGID",
    "SETUID",
];

const TALOS_CLEAN: [&str; 3] = ["NET_ADMIN", "SYS_ADMIN", "SYS_RESOURCE"];

/// Port on which KubePrism, the API load balancer of every Talos node, listens.
pub const KUBEPRISM_PORT: u16 = 7445;

/// Values of the chart. Typed setters for what is usual, [`set`](Self::set) for everything else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstallValues {
    values: Map<String, Value>,
}

impl InstallValues {
    /// No values: the chart's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What Cilium needs on Talos Linux: no kube-proxy, the API through KubePrism, cgroups as the host mounts them, no
    /// module loading, and routing through the host so that the node's DNS forwarding is reached.
    #[must_use]
    pub fn talos() -> Self {
        Self::new()
            .set("ipam.mode", json!("kubernetes"))
            .kube_proxy_replacement("localhost", KUBEPRISM_PORT)
            .set("cgroup.autoMount.enabled", json!(false))
            .set("cgroup.hostRoot", json!("/sys/fs/cgroup"))
            .set(
                "securityContext.capabilities.ciliumAgent",
                json!(TALOS_AGENT),
            )
            .set(
                "securityContext.capabilities.cleanCiliumState",
                json!(TALOS_CLEAN),
            )
            .host_legacy_routing(true)
    }

    /// Sets any value by its dotted path. Maps on the way are made; what stands there and is no map is replaced.
    #[must_use]
    pub fn set(mut self, path: &str, value: Value) -> Self {
        put(&mut self.values, path, value);
        self
    }

    /// A value by its dotted path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let mut value = self.values.get(parts.next()?)?;
        for part in parts {
            value = value.as_object()?.get(part)?;
        }
        Some(value)
    }

    /// Lays other values over these, map by map, as Helm does with several values files.
    #[must_use]
    pub fn merge(mut self, over: &Self) -> Self {
        overlay(&mut self.values, &over.values);
        self
    }

    /// Names the cluster and gives it a number, 1 to 255; both are needed for connected clusters.
    #[must_use]
    pub fn cluster(self, name: &str, id: u16) -> Self {
        self.set("cluster.name", json!(name))
            .set("cluster.id", json!(id))
    }

    /// Replaces kube-proxy; the agent then needs an address of the API server that works without it.
    #[must_use]
    pub fn kube_proxy_replacement(self, api_host: &str, api_port: u16) -> Self {
        self.set("kubeProxyReplacement", json!(true))
            .set("k8sServiceHost", json!(api_host))
            .set("k8sServicePort", json!(api_port))
    }

    /// Routes pod addresses natively within a range; every node must be in one layer-2 network.
    #[must_use]
    pub fn native_routing(self, pod_cidr: &str) -> Self {
        self.set("routingMode", json!("native"))
            .set("ipv4NativeRoutingCIDR", json!(pod_cidr))
            .set("autoDirectNodeRoutes", json!(true))
    }

    /// Encapsulates traffic between nodes.
    #[must_use]
    pub fn tunnel(self, protocol: Tunnel) -> Self {
        let name = match protocol {
            Tunnel::Vxlan => "vxlan",
            Tunnel::Geneve => "geneve",
        };
        self.set("routingMode", json!("tunnel"))
            .set("tunnelProtocol", json!(name))
    }

    /// Encrypts traffic between pods of different nodes with WireGuard (51871/udp); keys need no care.
    #[must_use]
    pub fn wireguard(self) -> Self {
        self.set("encryption.enabled", json!(true))
            .set("encryption.type", json!("wireguard"))
    }

    /// Encrypts traffic between the nodes themselves as well.
    #[must_use]
    pub fn node_encryption(self, on: bool) -> Self {
        self.set("encryption.nodeEncryption", json!(on))
    }

    /// Drops what would leave a node unencrypted for this range (since 1.20 in this place).
    #[must_use]
    pub fn strict_egress_encryption(self, pod_cidr: &str) -> Self {
        self.set("encryption.strictMode.egress.enabled", json!(true))
            .set("encryption.strictMode.egress.cidr", json!(pod_cidr))
    }

    /// Turns the BGP control plane on.
    #[must_use]
    pub fn bgp_control_plane(self) -> Self {
        self.set("bgpControlPlane.enabled", json!(true))
    }

    /// Answers ARP for load balancer addresses. Leases are renewed through the API, so that the client's rate must
    /// suit the number of services.
    #[must_use]
    pub fn l2_announcements(self, services: u32) -> Self {
        let qps = services.max(10);
        self.set("l2announcements.enabled", json!(true))
            .set("k8sClientRateLimit.qps", json!(qps))
            .set("k8sClientRateLimit.burst", json!(qps * 2))
    }

    /// Turns Hubble on.
    #[must_use]
    pub fn hubble(self, hubble: Hubble) -> Self {
        let mut values = self
            .set("hubble.enabled", json!(true))
            .set("hubble.relay.enabled", json!(hubble.relay));
        values = values.set("hubble.ui.enabled", json!(hubble.ui));
        if !hubble.metrics.is_empty() {
            values = values.set("hubble.metrics.enabled", json!(hubble.metrics));
        }
        match hubble.tls {
            None => values,
            Some(HubbleTls::Helm) => values.set("hubble.tls.auto.method", json!("helm")),
            Some(HubbleTls::CronJob) => values.set("hubble.tls.auto.method", json!("cronJob")),
            Some(HubbleTls::CertManager { issuer, kind }) => {
                let reference = json!({"group": "cert-manager.io", "kind": kind, "name": issuer});
                values
                    .set("hubble.tls.auto.method", json!("certmanager"))
                    .set("hubble.tls.auto.certManagerIssuerRef", reference)
            }
        }
    }

    /// Turns the Gateway API on and ships the GatewayClass whether or not its CRD is there when the chart is rendered.
    #[must_use]
    pub fn gateway_api(self) -> Self {
        self.set("gatewayAPI.enabled", json!(true))
            .set("gatewayAPI.gatewayClass.create", json!("true"))
    }

    /// Lets the agents' Envoy bind ports below 1024 on the hosts (host network mode of gateways).
    #[must_use]
    pub fn gateway_host_network(self) -> Self {
        self.set("gatewayAPI.hostNetwork.enabled", json!(true)).set(
            "envoy.securityContext.capabilities.keepCapNetBindService",
            json!(true),
        )
    }

    /// Sets the number of operators; two need two nodes.
    #[must_use]
    pub fn operator_replicas(self, number: u32) -> Self {
        self.set("operator.replicas", json!(number))
    }

    /// Routes pods' traffic through the host's stack; needed where Talos forwards kube-dns to its own resolver.
    #[must_use]
    pub fn host_legacy_routing(self, on: bool) -> Self {
        self.set("bpf.hostLegacyRouting", json!(on))
    }

    /// Masquerades in eBPF.
    #[must_use]
    pub fn bpf_masquerade(self, on: bool) -> Self {
        self.set("bpf.masquerade", json!(on))
    }

    /// Sets how load-balanced traffic returns, with Maglev hashing if wanted.
    #[must_use]
    pub fn load_balancer(self, mode: LoadBalancerMode, maglev: bool) -> Self {
        let name = match mode {
            LoadBalancerMode::Snat => "snat",
            LoadBalancerMode::Dsr => "dsr",
            LoadBalancerMode::Hybrid => "hybrid",
        };
        let algorithm = if maglev { "maglev" } else { "random" };
        self.set("loadBalancer.mode", json!(name))
            .set("loadBalancer.algorithm", json!(algorithm))
    }

    /// Enforces policies on hosts.
    #[must_use]
    pub fn host_firewall(self, on: bool) -> Self {
        self.set("hostFirewall.enabled", json!(on))
    }

    /// Offers metrics, and ServiceMonitors for them, whether or not their CRD is there when the chart is rendered.
    #[must_use]
    pub fn service_monitors(self) -> Self {
        self.set("prometheus.enabled", json!(true))
            .set("prometheus.serviceMonitor.enabled", json!(true))
            .set("prometheus.serviceMonitor.trustCRDsExist", json!(true))
            .set("operator.prometheus.enabled", json!(true))
            .set("operator.prometheus.serviceMonitor.enabled", json!(true))
    }

    /// Sets what an agent asks of its node. The chart's key is `resources`.
    #[must_use]
    pub fn agent_resources(self, cpu: &str, memory: &str) -> Self {
        self.set("resources.requests.cpu", json!(cpu))
            .set("resources.requests.memory", json!(memory))
    }

    /// Reads a values file.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] for bad YAML or more than one document, [`ErrorKind::Shape`] when it is no map.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let documents: Vec<_> = yaml::read(text)?
            .into_iter()
            .filter(|d| !d.is_null())
            .collect();
        match documents.as_slice() {
            [] => Ok(Self::new()),
            [document] => Self::from_json(document.value()),
            _ => {
                let problem = Problem::new("", "a values file holds one document");
                Err(Error::one(ErrorKind::Syntax, "the values", problem))
            }
        }
    }

    /// Takes values as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when it is no map.
    pub fn from_json(value: Value) -> Result<Self, Error> {
        match value {
            Value::Object(values) => Ok(Self { values }),
            _ => Err(Error::one(
                ErrorKind::Shape,
                "the values",
                Problem::new("", "expected a map"),
            )),
        }
    }

    /// The values as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.values.clone())
    }

    /// The values as a values file.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        yaml::write(&self.to_json())
    }

    /// Checks values against a release: names and types of keys, keys that moved or went, and settings that exclude
    /// one another or need one another. Errors come first.
    #[must_use]
    pub fn check(&self, version: Version) -> Vec<Finding> {
        let mut findings = keys::check(&self.values, version);
        findings.extend(check::conflicts(self, version));
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }

    /// [`check`](Self::check) of a values file, with line and column of every finding.
    ///
    /// # Errors
    /// As [`from_yaml`](Self::from_yaml).
    pub fn check_yaml(text: &str, version: Version) -> Result<Vec<Finding>, Error> {
        let mut findings = Self::from_yaml(text)?.check(version);
        let documents = yaml::read(text)?;
        if let Some(document) = documents.iter().find(|d| !d.is_null()) {
            for finding in &mut findings {
                document.locate(std::slice::from_mut(&mut finding.problem));
            }
            let twice = document.duplicates().iter().cloned();
            findings.extend(twice.map(|problem| Finding {
                severity: Severity::Error,
                problem,
            }));
        }
        Ok(findings)
    }
}

fn put(map: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            map.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = map.entry(first).or_insert_with(|| json!({}));
            if !inner.is_object() {
                *inner = json!({});
            }
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

fn overlay(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => overlay(base, over),
            // Helm takes null as "remove the key".
            (_, Value::Null) => {
                base.shift_remove(key);
            }
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}
