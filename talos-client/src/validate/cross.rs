//! Rules between documents, and about the configuration as a whole.

use super::{Findings, ValidationMode, flag, list, text};
use crate::config::MachineConfig;
use crate::value::Value;

/// Kinds for control plane machines, in the order in which they are told.
const CONTROL_PLANE_ONLY: [&str; 14] = [
    "KubeAPIServerConfig",
    "KubeAdmissionControlConfig",
    "KubeAggregatorCAConfig",
    "KubeAuditPolicyConfig",
    "KubeAuthenticationConfig",
    "KubeAuthorizerConfig",
    "KubeControllerManagerConfig",
    "KubeCoreDNSConfig",
    "KubeEtcdEncryptionConfig",
    "KubeFlannelCNIConfig",
    "KubeProxyConfig",
    "KubeSchedulerConfig",
    "KubeServiceAccountConfig",
    "KubeTalosAPIAccessConfig",
];

/// A kind, the legacy setting that excludes it, and what is told.
const LEGACY: [(&str, &str, &str); 33] = [
    (
        "UnattendedInstallConfig",
        "machine.install",
        "UnattendedInstallConfig config is incompatible with v1alpha1 config (.machine.install)",
    ),
    (
        "DiscoveryServiceConfig",
        "cluster.discovery",
        "discovery service is already configured in .cluster.discovery of the v1alpha1 config",
    ),
    (
        "DiscoveryIdentityConfig",
        "cluster.id",
        "cluster identity is already configured in .cluster.id/.cluster.secret of the v1alpha1 config",
    ),
    (
        "KubeAPIServerCAConfig",
        "cluster.ca",
        "kube-apiserver CA is already set in v1alpha1 config (.cluster.ca)",
    ),
    (
        "KubeAPIServerConfig",
        "cluster.apiServer",
        "kube-apiserver config is already set in v1alpha1 config (.cluster.apiServer)",
    ),
    (
        "KubeAdmissionControlConfig",
        "cluster.apiServer.admissionControl",
        "admission control plugin config is already set in v1alpha1 config",
    ),
    (
        "KubeAggregatorCAConfig",
        "cluster.aggregatorCA",
        "kube-apiserver aggregator CA is already set in v1alpha1 config (.cluster.aggregatorCA), please remove it and use the new KubeAggregatorCAConfig document instead",
    ),
    (
        "KubeAuditPolicyConfig",
        "cluster.apiServer.auditPolicy",
        "audit policy config is already set in v1alpha1 config",
    ),
    (
        "KubeClusterConfig",
        "cluster.clusterName",
        "cluster name is already set in the v1alpha1 config (.cluster.clusterName). Please remove it and use only the new KubeClusterConfig document to avoid conflicts",
    ),
    (
        "KubeClusterConfig",
        "cluster.controlPlane.endpoint",
        "cluster endpoint is already set in the v1alpha1 config (.cluster.controlPlane.endpoint). Please remove it and use only the new KubeClusterConfig document to avoid conflicts",
    ),
    (
        "KubeControllerManagerConfig",
        "cluster.controllerManager",
        "kube-controller-manager config is already set in v1alpha1 config (.cluster.controllerManager)",
    ),
    (
        "KubeCredentialProviderConfig",
        "machine.kubelet",
        "cannot use KubeCredentialProviderConfig with legacy kubelet configuration (.machine.kubelet)",
    ),
    (
        "KubeEtcdEncryptionConfig",
        "cluster.secretboxEncryptionSecret",
        "etcd encryption config is already set in v1alpha1 config",
    ),
    (
        "KubeEtcdEncryptionConfig",
        "cluster.aescbcEncryptionSecret",
        "etcd encryption config is already set in v1alpha1 config",
    ),
    (
        "KubeFlannelCNIConfig",
        "cluster.network",
        "cluster network config in v1alpha1 config (.machine.cluster.network) can't be used with KubeFlannelCNIConfig document, please remove it to avoid conflicts",
    ),
    (
        "KubeNetworkConfig",
        "cluster.network",
        "cluster network config is already set in the v1alpha1 config (.machine.cluster.network). Please remove it and use only the new KubeNetworkConfig document to avoid conflicts",
    ),
    (
        "KubeNodeConfig",
        "machine.nodeLabels",
        ".machine.nodeLabels is already set in v1alpha1 config",
    ),
    (
        "KubeNodeConfig",
        "machine.nodeAnnotations",
        ".machine.nodeAnnotations is already set in v1alpha1 config",
    ),
    (
        "KubeNodeConfig",
        "machine.nodeTaints",
        ".machine.nodeTaints is already set in v1alpha1 config",
    ),
    (
        "KubeNodeConfig",
        "machine.kubelet.nodeIP",
        ".machine.kubelet.nodeIP is already set in v1alpha1 config",
    ),
    (
        "KubeNodeConfig",
        "machine.kubelet.registerWithFQDN",
        ".machine.kubelet.registerWithFQDN is already set in v1alpha1 config",
    ),
    (
        "KubeNodeConfig",
        "machine.kubelet.skipNodeRegistration",
        ".machine.kubelet.skipNodeRegistration is already set in v1alpha1 config",
    ),
    (
        "KubePrismConfig",
        "machine.features.kubePrism",
        "KubePrism config in v1alpha1 config (.machine.features.kubePrism) can't be used with KubePrismConfig document, please remove it to avoid conflicts",
    ),
    (
        "KubeProxyConfig",
        "cluster.proxy",
        "cluster proxy config in v1alpha1 config (.machine.cluster.proxy) can't be used with KubeProxyConfig document, please remove it to avoid conflicts",
    ),
    (
        "KubeSchedulerConfig",
        "cluster.scheduler",
        "kube-scheduler config is already set in v1alpha1 config (.cluster.scheduler)",
    ),
    (
        "KubeServiceAccountConfig",
        "cluster.serviceAccount",
        "service account is already set in v1alpha1 config (.cluster.serviceAccount)",
    ),
    (
        "KubeTalosAPIAccessConfig",
        "machine.features.kubernetesTalosAPIAccess",
        ".machine.features.kubernetesTalosAPIAccess is already set in v1alpha1 config",
    ),
    (
        "KubeletConfig",
        "machine.kubelet",
        "kubelet config is already set in v1alpha1 config (.machine.kubelet)",
    ),
    (
        "KubeSpanConfig",
        "machine.network.kubespan",
        "kubespan is already configured in v1alpha1 machine.network.kubespan",
    ),
    (
        "HostnameConfig",
        "machine.features.stableHostname",
        "stable hostname is already set in v1alpha1 config",
    ),
    (
        "HostnameConfig",
        "machine.network.hostname",
        "static hostname is already set in v1alpha1 config",
    ),
    (
        "ResolverConfig",
        "machine.network.nameservers",
        ".machine.network.nameservers is already set in v1alpha1 config",
    ),
    (
        "ResolverConfig",
        "machine.network.searchDomains",
        ".machine.network.searchDomains is already set in v1alpha1 config",
    ),
];

pub(super) fn check(config: &MachineConfig, findings: &mut Findings<'_>) {
    legacy(config, findings);
    whole(config, findings);
}

fn legacy(config: &MachineConfig, findings: &mut Findings<'_>) {
    let Some(main) = config.main() else { return };
    for document in config
        .documents
        .iter()
        .filter(|document| document.kind.is_some())
    {
        let mut told: Vec<&str> = Vec::new();
        for (kind, path, message) in LEGACY
            .iter()
            .filter(|(kind, ..)| document.kind == Some(kind))
        {
            let set = match *path {
                "machine.features.stableHostname" => {
                    flag(main, path) == Some(true)
                        && !text(document, "auto").is_empty()
                        && text(document, "auto") != "off"
                }
                "machine.network.hostname" => main.at(path).is_some(),
                "cluster.apiServer.admissionControl" => list(main, path)
                    .iter()
                    .any(|plugin| plugin.at("name").and_then(Value::as_text) == document.name()),
                "machine.nodeLabels" => main.at(path).is_some() && document.at("labels").is_some(),
                "machine.nodeAnnotations" => {
                    main.at(path).is_some() && document.at("annotations").is_some()
                }
                "machine.nodeTaints" => main.at(path).is_some() && document.at("taints").is_some(),
                "cluster.id" => main.at(path).is_some() || main.at("cluster.secret").is_some(),
                _ => main.at(path).is_some(),
            };
            // The endpoint is told only when the name did not tell already.
            let quiet = *path == "cluster.controlPlane.endpoint" && !told.is_empty();
            if set && !quiet && !told.contains(message) {
                told.push(message);
                findings.error(*message);
            }
            debug_assert!(!kind.is_empty(), "a kind");
        }
        if document.kind == Some("ResolverConfig")
            && main.at("machine.features.hostDNS").is_some()
            && document.at("hostDNS").is_some()
        {
            findings.error(".machine.features.hostDNS is already set in v1alpha1 config");
        }
    }
}

fn whole(config: &MachineConfig, findings: &mut Findings<'_>) {
    let resolver = config.of_kind("ResolverConfig").next();
    let main = config.main();
    let host_dns = |field: &str| -> Option<bool> {
        let newer = resolver.and_then(|document| flag(document, &format!("hostDNS.{field}")));
        newer.or_else(|| flag(main?, &format!("machine.features.hostDNS.{field}")))
    };
    let has_host_dns = resolver.is_some_and(|document| document.at("hostDNS").is_some())
        || main.is_some_and(|main| main.at("machine.features.hostDNS").is_some());
    if findings.options.mode == ValidationMode::Container {
        if !has_host_dns {
            findings.error("hostDNS config is required in container mode");
        } else if host_dns("forwardKubeDNSToHost") != Some(true) {
            findings.error("forwardKubeDNSToHost must be enabled in container mode");
        }
    }
    if let Some(resolver) = resolver {
        let encrypted = |server: &Value| {
            matches!(
                server.at("protocol").and_then(Value::as_text),
                Some("DoT" | "DoH")
            )
        };
        let servers = list(resolver, "nameservers");
        if servers.iter().any(encrypted) {
            if host_dns("enabled") != Some(true) {
                findings.error("hostDNS must be enabled when using non-default DNS protocols");
            }
            if servers.iter().all(encrypted) {
                findings.warning(
                    "all configured nameservers use encrypted DNS (DoT or DoH): validating certificates requires a correct system clock, so boot may stall when NTP servers are configured by hostname",
                );
            }
        }
    }
    let discovery = config.of_kind("DiscoveryServiceConfig").next().is_some()
        || main.is_some_and(|main| flag(main, "cluster.discovery.enabled") == Some(true));
    let kubespan = config
        .of_kind("KubeSpanConfig")
        .any(|document| flag(document, "enabled") == Some(true))
        || main.is_some_and(|main| flag(main, "machine.network.kubespan.enabled") == Some(true));
    if kubespan && !discovery {
        findings.error("KubeSpan requires cluster discovery to be enabled");
    }
    if discovery {
        let identity = config.of_kind("DiscoveryIdentityConfig").next();
        let set = |newer: &str, older: &str| {
            identity.is_some_and(|document| !text(document, newer).is_empty())
                || main.is_some_and(|main| !text(main, older).is_empty())
        };
        for (what, newer, older) in [
            ("ID", "clusterID", "id"),
            ("secret", "clusterSecret", "secret"),
        ] {
            if !set(newer, &format!("cluster.{older}")) {
                findings.error(format!(
                    "cluster {what} (.cluster.{older} or DiscoveryIdentityConfig) should be set when cluster discovery (DiscoveryServiceConfig) is enabled"
                ));
            }
        }
    }
    containers(config, findings);
    if !config.is_control_plane() {
        let kinds: Vec<&str> = CONTROL_PLANE_ONLY
            .into_iter()
            .filter(|kind| config.of_kind(kind).next().is_some())
            .collect();
        if !kinds.is_empty() {
            findings.error(format!(
                "the following document kinds are only allowed on control plane machines: [{}]",
                kinds.join(" ")
            ));
        }
    }
    let serves = config.of_kind("KubeAPIServerCAConfig").next().is_some()
        || main.is_some_and(|main| main.at("cluster.ca").is_some());
    let encrypted = config.of_kind("KubeEtcdEncryptionConfig").next().is_some()
        || main.is_some_and(|main| {
            main.at("cluster.secretboxEncryptionSecret").is_some()
                || main.at("cluster.aescbcEncryptionSecret").is_some()
        });
    if config.is_control_plane() && serves && !encrypted {
        findings.error(
            "etcd encryption config is required for control plane machines running kube-apiserver",
        );
    }
}

fn containers(config: &MachineConfig, findings: &mut Findings<'_>) {
    for document in config.of_kind("ContainerConfig") {
        let name = document.name().unwrap_or_default();
        for other in list(document, "dependsOn.containers")
            .iter()
            .filter_map(Value::as_text)
        {
            if other != name
                && !config
                    .of_kind("ContainerConfig")
                    .any(|document| document.name() == Some(other))
            {
                findings.error(format!(
                    "container \"{name}\" depends on container \"{other}\", which is not configured"
                ));
            }
        }
    }
}
