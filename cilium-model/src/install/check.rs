//! Values that exclude one another or need one another.

use serde_json::Value;

use super::{Finding, InstallValues, KUBEPRISM_PORT, Severity, Version};
use crate::error::Problem;

struct Check<'a> {
    values: &'a InstallValues,
    version: Version,
    findings: Vec<Finding>,
}

pub(super) fn conflicts(values: &InstallValues, version: Version) -> Vec<Finding> {
    let mut check = Check {
        values,
        version,
        findings: Vec::new(),
    };
    check.api_server();
    check.routing();
    check.load_balancing();
    check.encryption();
    check.hubble();
    check.gateways();
    check.policy();
    check.cluster();
    check.talos();
    check.findings
}

impl Check<'_> {
    fn text(&self, path: &str) -> &str {
        self.values
            .get(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Booleans may also be written as text, as the chart compares them by text.
    fn flag(&self, path: &str) -> Option<bool> {
        match self.values.get(path)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn on(&self, path: &str) -> bool {
        self.flag(path) == Some(true)
    }

    fn number(&self, path: &str) -> Option<u64> {
        match self.values.get(path)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn push(&mut self, severity: Severity, path: &str, message: &str, remedy: &str) {
        let mut problem = Problem::new(path, message);
        if !remedy.is_empty() {
            problem = problem.remedy(remedy);
        }
        self.findings.push(Finding { severity, problem });
    }

    fn error(&mut self, path: &str, message: &str, remedy: &str) {
        self.push(Severity::Error, path, message, remedy);
    }

    fn warn(&mut self, path: &str, message: &str, remedy: &str) {
        self.push(Severity::Warning, path, message, remedy);
    }

    fn api_server(&mut self) {
        let replacement = self.values.get("kubeProxyReplacement").cloned();
        if let Some(Value::String(text)) = &replacement
            && ["strict", "partial", "probe", "disabled"].contains(&text.as_str())
        {
            self.error(
                "kubeProxyReplacement",
                "these words went with 1.16",
                "write true or false",
            );
        }
        let host = self.text("k8sServiceHost").to_owned();
        let other_ways =
            self.values.get("k8sServiceHostRef").is_some() || self.values.get("k8s").is_some();
        if self.on("kubeProxyReplacement") && host.is_empty() && !other_ways {
            self.error(
                "k8sServiceHost",
                "without kube-proxy the agent cannot reach the API server through its Service",
                "give an address that works without it; on Talos localhost and port 7445",
            );
        }
        let port = self.number("k8sServicePort");
        if !host.is_empty() && self.values.get("k8sServicePort").is_none() {
            self.error(
                "k8sServicePort",
                "k8sServiceHost needs a port beside it",
                "",
            );
        }
        if self.values.get("k8sServicePort").is_some()
            && port.is_none_or(|port| port == 0 || port > 65_535)
        {
            self.error("k8sServicePort", "this is no port", "");
        }
        let local = ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
        if local && port.is_some_and(|port| port != u64::from(KUBEPRISM_PORT)) {
            self.error(
                "k8sServicePort",
                "on a worker nothing listens on this local port",
                "KubePrism of Talos listens on 7445; without it name an address of the API server",
            );
        }
        if !local && !host.is_empty() && port == Some(u64::from(KUBEPRISM_PORT)) {
            self.error(
                "k8sServiceHost",
                "KubePrism listens on the node's own loopback only",
                "write localhost",
            );
        }
    }

    fn routing(&mut self) {
        let native = self.text("routingMode") == "native";
        let v4 = self.flag("ipv4.enabled").unwrap_or(true);
        let v6 = self.on("ipv6.enabled");
        let from_pool =
            self.version >= Version::V1_20 && self.on("nativeRoutingCIDRFromClusterPool");
        if !["", "native", "tunnel"].contains(&self.text("routingMode")) {
            self.error(
                "routingMode",
                "there are two modes",
                "write native or tunnel",
            );
        }
        if native && v4 && self.text("ipv4NativeRoutingCIDR").is_empty() && !from_pool {
            self.error(
                "ipv4NativeRoutingCIDR",
                "native routing needs the range that is routed",
                "write the pod CIDR",
            );
        }
        if native && v6 && self.text("ipv6NativeRoutingCIDR").is_empty() && !from_pool {
            self.error(
                "ipv6NativeRoutingCIDR",
                "native routing needs the range that is routed",
                "write the pod CIDR",
            );
        }
        if self.on("autoDirectNodeRoutes") && !native {
            self.error(
                "autoDirectNodeRoutes",
                "routes between nodes need native routing",
                "set routingMode to native",
            );
        }
        if native && !self.on("autoDirectNodeRoutes") && !self.on("bgpControlPlane.enabled") {
            self.warn(
                "autoDirectNodeRoutes",
                "nobody tells the nodes where the other nodes' pods are",
                "set it to true in one layer-2 network, or announce pod ranges by BGP",
            );
        }
        if native && !self.text("tunnelProtocol").is_empty() {
            self.warn(
                "tunnelProtocol",
                "native routing does not encapsulate",
                "remove it",
            );
        }
        if !["", "vxlan", "geneve"].contains(&self.text("tunnelProtocol")) {
            self.error(
                "tunnelProtocol",
                "there are two protocols",
                "write vxlan or geneve",
            );
        }
    }

    fn load_balancing(&mut self) {
        let native = self.text("routingMode") == "native";
        let mode = self.text("loadBalancer.mode").to_owned();
        let geneve = self.text("loadBalancer.dsrDispatch") == "geneve";
        if ["dsr", "hybrid"].contains(&mode.as_str()) && !native && !geneve {
            self.error(
                "loadBalancer.mode",
                "answers cannot leave the backend directly through a tunnel",
                "use native routing, snat, or loadBalancer.dsrDispatch geneve",
            );
        }
        let acceleration = self.text("loadBalancer.acceleration").to_owned();
        if acceleration == "native" && !native {
            self.error(
                "loadBalancer.acceleration",
                "XDP does not work with a tunnel",
                "use native routing",
            );
        }
        if acceleration == "best-effort" {
            self.warn(
                "loadBalancer.acceleration",
                "where a network card cannot do XDP this falls back without a word",
                "look at the mode that the agent reports",
            );
        }
        if self.on("l2announcements.enabled") {
            if !self.on("kubeProxyReplacement") {
                self.error(
                    "l2announcements.enabled",
                    "announcements need Cilium in place of kube-proxy",
                    "set kubeProxyReplacement to true",
                );
            }
            if self.number("k8sClientRateLimit.qps").is_none() {
                self.warn(
                    "k8sClientRateLimit.qps",
                    "every announced service renews a lease through the API",
                    "set it to at least services / leaseRenewDeadline",
                );
            }
        }
    }

    fn encryption(&mut self) {
        let kind = self.text("encryption.type").to_owned();
        let on = self.on("encryption.enabled");
        if !["", "wireguard", "ipsec", "ztunnel"].contains(&kind.as_str()) {
            self.error(
                "encryption.type",
                "there are three types",
                "write wireguard, ipsec or ztunnel",
            );
        }
        if !kind.is_empty() && !on {
            self.warn(
                "encryption.enabled",
                "a type is named but encryption is off",
                "set it to true",
            );
        }
        if on && kind.is_empty() {
            self.warn(
                "encryption.type",
                "the default is ipsec, which needs a Secret with keys",
                "write wireguard",
            );
        }
        if self.on("encryption.nodeEncryption") && kind != "wireguard" {
            self.error(
                "encryption.nodeEncryption",
                "only WireGuard encrypts traffic of nodes",
                "",
            );
        }
        let strict = self.on("encryption.strictMode.egress.enabled");
        if strict && self.text("encryption.strictMode.egress.cidr").is_empty() {
            self.error(
                "encryption.strictMode.egress.cidr",
                "the strict mode needs a range",
                "write the pod CIDR",
            );
        }
        if strict && kind != "wireguard" {
            self.error(
                "encryption.strictMode.egress.enabled",
                "the strict mode is one of WireGuard",
                "",
            );
        }
        let spire = self.on("authentication.mutual.spire.enabled");
        if spire
            && self.version < Version::V1_21
            && self.version >= Version::V1_19
            && !self.on("authentication.enabled")
        {
            self.error(
                "authentication.enabled",
                "since 1.19 authentication is off unless it is switched on",
                "set it to true beside authentication.mutual.spire.enabled",
            );
        }
    }

    fn hubble(&mut self) {
        let hubble = self.flag("hubble.enabled").unwrap_or(true);
        let relay = self.on("hubble.relay.enabled");
        if relay && !hubble {
            self.error(
                "hubble.relay.enabled",
                "the relay needs Hubble",
                "set hubble.enabled to true",
            );
        }
        if self.on("hubble.ui.enabled") && !relay {
            self.error(
                "hubble.ui.enabled",
                "the interface needs the relay",
                "set hubble.relay.enabled to true",
            );
        }
        if matches!(
            self.values.get("hubble.metrics.enabled"),
            Some(Value::Bool(_))
        ) {
            self.error(
                "hubble.metrics.enabled",
                "this is a list of metrics",
                "write [dns, drop, tcp, flow, icmp]",
            );
        }
        let tls = self.flag("hubble.tls.enabled").unwrap_or(true)
            && self.flag("hubble.tls.auto.enabled").unwrap_or(true);
        let method = self.text("hubble.tls.auto.method").to_owned();
        match method.as_str() {
            "" | "helm" if hubble && tls && relay => self.warn(
                "hubble.tls.auto.method",
                "Helm makes new keys with every render, and they stand in the manifests",
                "use cronJob, or certmanager once it is there",
            ),
            "certmanager" => {
                let reference = self.values.get("hubble.tls.auto.certManagerIssuerRef.name");
                if reference.is_none() {
                    self.error(
                        "hubble.tls.auto.certManagerIssuerRef",
                        "cert-manager needs an issuer",
                        "",
                    );
                }
            }
            "" | "helm" | "cronJob" => {}
            _ => self.error(
                "hubble.tls.auto.method",
                "there are three methods",
                "write cronJob, certmanager or helm",
            ),
        }
    }

    fn gateways(&mut self) {
        for (path, what) in [
            ("gatewayAPI.enabled", "gateways"),
            ("ingressController.enabled", "ingresses"),
        ] {
            if !self.on(path) {
                continue;
            }
            if !self.on("kubeProxyReplacement") && !self.on("nodePort.enabled") {
                let message = format!("{what} need Cilium in place of kube-proxy");
                self.error(path, &message, "set kubeProxyReplacement to true");
            }
            if self.flag("l7Proxy") == Some(false) {
                self.error(
                    "l7Proxy",
                    &format!("{what} need the proxy"),
                    "remove it or set it to true",
                );
            }
        }
        let create = self.values.get("gatewayAPI.gatewayClass.create");
        if self.on("gatewayAPI.enabled")
            && create.is_none_or(|value| value.as_str() == Some("auto"))
        {
            self.warn(
                "gatewayAPI.gatewayClass.create",
                "auto looks for the CRD while rendering and leaves the class out if it is not there yet",
                "write \"true\"",
            );
        }
        if self.on("gatewayAPI.hostNetwork.enabled")
            && !self.on("envoy.securityContext.capabilities.keepCapNetBindService")
        {
            self.warn(
                "envoy.securityContext.capabilities.keepCapNetBindService",
                "without it Envoy cannot bind ports below 1024 on the host",
                "set it to true",
            );
        }
        if self.on("prometheus.serviceMonitor.enabled")
            && !self.on("prometheus.serviceMonitor.trustCRDsExist")
        {
            self.warn(
                "prometheus.serviceMonitor.trustCRDsExist",
                "rendering fails where the CRD of ServiceMonitor is not there yet",
                "set it to true",
            );
        }
    }

    fn policy(&mut self) {
        match self.text("policyEnforcementMode") {
            "" | "default" | "never" => {}
            "always" => self.error(
                "policyEnforcementMode",
                "pods without an ingress policy lose even the kubelet's probes",
                "keep default and write default-deny policies",
            ),
            _ => self.error(
                "policyEnforcementMode",
                "there are three modes",
                "write default, always or never",
            ),
        }
        if self.on("policyAuditMode") {
            self.warn("policyAuditMode", "no policy is enforced in audit mode", "");
        }
    }

    fn cluster(&mut self) {
        let name = self.text("cluster.name").to_owned();
        let fits = name.len() <= 32
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !fits {
            self.error(
                "cluster.name",
                "at most 32 lower-case letters, digits and inner hyphens",
                "",
            );
        }
        let id = self.number("cluster.id").unwrap_or(0);
        let most = self
            .number("clustermesh.maxConnectedClusters")
            .unwrap_or(255);
        if id > most {
            self.error(
                "cluster.id",
                &format!("0 to {most}"),
                "511 with clustermesh.maxConnectedClusters 511",
            );
        }
        if id != 0 && (name.is_empty() || name == "default") {
            self.error(
                "cluster.name",
                "a cluster with a number needs a name other than default",
                "",
            );
        }
    }

    fn talos(&mut self) {
        if self.number("k8sServicePort") != Some(u64::from(KUBEPRISM_PORT)) {
            return;
        }
        let path = "securityContext.capabilities.ciliumAgent";
        let list = |path: &str| self.values.get(path).and_then(Value::as_array).cloned();
        match list(path) {
            None => self.error(
                path,
                "the default asks to load modules, which Talos refuses",
                "list capabilities without SYS_MODULE",
            ),
            Some(list) if list.iter().any(|c| c == "SYS_MODULE") => {
                self.error(path, "Talos refuses SYS_MODULE", "remove it");
            }
            Some(_) => {}
        }
        if self.flag("cgroup.autoMount.enabled") != Some(false) {
            self.error(
                "cgroup.autoMount.enabled",
                "Talos mounts cgroups itself",
                "false, with cgroup.hostRoot /sys/fs/cgroup",
            );
        }
        if self.flag("bpf.hostLegacyRouting") != Some(true) {
            self.warn(
                "bpf.hostLegacyRouting",
                "names do not resolve where Talos forwards kube-dns to the host's resolver",
                "set it to true, or switch that forwarding off",
            );
        }
    }
}
