//! Rules between documents, and about the configuration as a whole.

use super::{Findings, ValidationMode, containers, flag, list, text};
use crate::address;
use crate::config::{Document, MachineConfig};
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

/// Kinds, the legacy setting whose presence excludes them, and what is told. Only the first that applies is told.
const LEGACY: [(&str, &str, &str); 34] = [
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
        "DiscoveryIdentityConfig",
        "cluster.secret",
        "cluster identity is already configured in .cluster.id/.cluster.secret of the v1alpha1 config",
    ),
    (
        "CRIBaseRuntimeSpecConfig",
        "machine.baseRuntimeSpecOverrides",
        "base runtime spec overrides are already set in v1alpha1 config",
    ),
    (
        "ImageCacheConfig",
        "machine.features.imageCache",
        "image cache config is already set in v1alpha1 config",
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
        "KubeAPIServerConfig",
        "cluster.controlPlane.localAPIServerPort",
        "kube-apiserver API port is already set in v1alpha1 config (.cluster.controlPlane.localAPIServerPort)",
    ),
    (
        "KubeAdmissionControlConfig",
        "cluster.apiServer.admissionControl",
        "admission control plugin config is already set in v1alpha1 config",
    ),
    (
        "KubeAuthorizerConfig",
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
        "KubeControllerManagerConfig",
        "machine.controlPlane.controllerManager",
        "kube-controller-manager config is already set in v1alpha1 config (.machine.controlplane.controllerManager)",
    ),
    (
        "KubeCoreDNSConfig",
        "cluster.coreDNS",
        "CoreDNS config is already set in v1alpha1 config (.cluster.coreDNS)",
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
        "KubeSchedulerConfig",
        "machine.controlPlane.scheduler",
        "kube-scheduler config is already set in v1alpha1 config (.machine.controlplane.scheduler)",
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
        "machine.network.hostname",
        "static hostname is already set in v1alpha1 config",
    ),
    (
        "TimeSyncConfig",
        "machine.time.servers",
        "time servers cannot be specified in both v1alpha1 and new-style configuration",
    ),
    (
        "TimeSyncConfig",
        "machine.time.bootTimeout",
        "boot timeout cannot be specified in both v1alpha1 and new-style configuration",
    ),
];

/// Settings that exclude a document by their members; others do so by being written out, be it empty.
const BY_MEMBERS: [&str; 3] = [
    "cluster.apiServer.admissionControl",
    "cluster.apiServer.auditPolicy",
    "machine.time.servers",
];

/// Settings that a `KubeNodeConfig` excludes; each is told as already set.
const NODE_SETTINGS: [&str; 8] = [
    "cluster.allowSchedulingOnControlPlanes",
    "cluster.allowSchedulingOnMasters",
    "machine.kubelet.skipNodeRegistration",
    "machine.kubelet.registerWithFQDN",
    "machine.kubelet.nodeIP",
    "machine.nodeLabels",
    "machine.nodeAnnotations",
    "machine.nodeTaints",
];

pub(super) fn check(config: &MachineConfig, findings: &mut Findings<'_>) {
    if let Some(main) = config.main() {
        for document in &config.documents {
            if let Some(conflict) = legacy(document, main) {
                findings.error(conflict);
            }
        }
    }
    whole(config, findings);
}

/// What of the main document excludes this one.
fn legacy(document: &Document, main: &Document) -> Option<String> {
    let kind = document.kind?;
    let already = |path: &str| Some(format!(".{path} is already set in v1alpha1 config"));
    let set = |path: &str| match BY_MEMBERS.contains(&path) {
        true => main.at(path).is_some(),
        false => main.is_set(path),
    };
    match kind {
        "VolumeConfig" => return volume(document, main),
        "KubeNodeConfig" => {
            return NODE_SETTINGS
                .into_iter()
                .find(|path| set(path))
                .and_then(already);
        }
        "ResolverConfig" => {
            let servers = list(main, "machine.network.nameservers");
            let usable = |server: &Value| {
                server
                    .as_text()
                    .is_some_and(|text| address::parse(text).is_ok())
            };
            return if set("machine.network.searchDomains") {
                already("machine.network.searchDomains")
            } else if servers.iter().any(usable) {
                already("machine.network.nameservers")
            } else if flag(main, "machine.network.disableSearchDomain") == Some(true) {
                already("machine.network.disableSearchDomain")
            } else if document.at("hostDNS").is_some() && set("machine.features.hostDNS") {
                already("machine.features.hostDNS")
            } else {
                None
            };
        }
        "TimeSyncConfig" if flag(main, "machine.time.disabled") == Some(true) => {
            let text = "time sync cannot be disabled in both v1alpha1 and new-style configuration";
            return Some(text.to_owned());
        }
        _ => {}
    }
    let found = LEGACY
        .iter()
        .find(|(other, path, _)| *other == kind && set(path));
    if let Some((.., message)) = found {
        return Some((*message).to_owned());
    }
    let stable = flag(main, "machine.features.stableHostname") == Some(true);
    (kind == "HostnameConfig" && stable)
        .then(|| "stable hostname is already set in v1alpha1 config".to_owned())
}

fn volume(document: &Document, main: &Document) -> Option<String> {
    let name = document.name().unwrap_or_default();
    let section = match name {
        "STATE" => "state",
        "EPHEMERAL" => "ephemeral",
        _ => return None,
    };
    let encrypted = !text(document, "encryption.provider").is_empty();
    let also = main
        .at(&format!("machine.systemDiskEncryption.{section}"))
        .is_some();
    (encrypted && also).then(|| {
        format!(
            "system disk encryption for \"{name}\" is configured in both v1alpha1.Config and VolumeConfig"
        )
    })
}

/// Host DNS as it is in force: the document's when it is enabled there, else the main document's.
fn host_dns(config: &MachineConfig) -> Option<(&Document, &'static str)> {
    let newer = config
        .of_kind("ResolverConfig")
        .next()
        .filter(|document| flag(document, "hostDNS.enabled") == Some(true));
    match newer {
        Some(document) => Some((document, "hostDNS")),
        None => config
            .main()
            .filter(|main| main.at("machine.features.hostDNS").is_some())
            .map(|main| (main, "machine.features.hostDNS")),
    }
}

fn whole(config: &MachineConfig, findings: &mut Findings<'_>) {
    let main = config.main();
    let dns = host_dns(config);
    let dns_flag =
        |field: &str| dns.and_then(|(document, path)| flag(document, &format!("{path}.{field}")));
    if findings.options.mode == ValidationMode::Container {
        if dns.is_none() {
            findings.error("hostDNS config is required in container mode");
        } else {
            findings.require(
                dns_flag("enabled") == Some(true),
                "hostDNS must be enabled in container mode",
            );
            findings.require(
                dns_flag("forwardKubeDNSToHost") == Some(true),
                "forwardKubeDNSToHost must be enabled in container mode",
            );
        }
    }
    let encrypted = config
        .of_kind("ResolverConfig")
        .next()
        .is_some_and(|document| {
            list(document, "nameservers").iter().any(|server| {
                let protocol = server.at("protocol").and_then(Value::as_text);
                matches!(protocol, Some("DoT" | "DoH"))
            })
        });
    if encrypted && dns_flag("enabled") != Some(true) {
        findings.error("hostDNS must be enabled when using non-default DNS protocols");
    }
    let discovery = discovery(config, main);
    if discovery {
        identity(config, main, findings);
    }
    containers::check_dependencies(config, findings);
    let kubespan = match config.of_kind("KubeSpanConfig").next() {
        Some(document) => flag(document, "enabled"),
        None => main.and_then(|main| flag(main, "machine.network.kubespan.enabled")),
    };
    if kubespan == Some(true) && !discovery {
        findings.error("KubeSpan requires cluster discovery to be enabled");
    }
    if config.is_control_plane() {
        let serves = config.of_kind("KubeAPIServerCAConfig").next().is_some()
            || main.is_some_and(|main| {
                main.is_set("cluster.ca") || main.is_set("cluster.acceptedCAs")
            });
        let encrypted = config.of_kind("KubeEtcdEncryptionConfig").next().is_some()
            || main.is_some_and(|main| {
                main.at("cluster.secretboxEncryptionSecret").is_some()
                    || main.at("cluster.aescbcEncryptionSecret").is_some()
            });
        if serves && !encrypted {
            findings.error(
                "etcd encryption config is required for control plane machines running kube-apiserver",
            );
        }
        return;
    }
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

/// Whether any discovery service is configured.
fn discovery(config: &MachineConfig, main: Option<&Document>) -> bool {
    let service = "cluster.discovery.registries.service";
    let legacy = main.is_some_and(|main| {
        flag(main, "cluster.discovery.enabled") == Some(true)
            && flag(main, &format!("{service}.disabled")) != Some(true)
            && crate::uri::parse(text(main, &format!("{service}.endpoint"))).is_ok()
    });
    legacy || config.of_kind("DiscoveryServiceConfig").next().is_some()
}

fn identity(config: &MachineConfig, main: Option<&Document>, findings: &mut Findings<'_>) {
    let of_main = |field: &str| main.map(|main| text(main, field)).unwrap_or_default();
    let (mut id, mut secret) = (of_main("cluster.id"), of_main("cluster.secret"));
    if id.is_empty()
        && secret.is_empty()
        && let Some(document) = config.of_kind("DiscoveryIdentityConfig").next()
    {
        (id, secret) = (text(document, "clusterID"), text(document, "clusterSecret"));
    }
    for (what, value, path) in [("ID", id, "id"), ("secret", secret, "secret")] {
        if value.is_empty() {
            findings.error(format!(
                "cluster {what} (.cluster.{path} or DiscoveryIdentityConfig) should be set when cluster discovery (DiscoveryServiceConfig) is enabled"
            ));
        }
    }
}
