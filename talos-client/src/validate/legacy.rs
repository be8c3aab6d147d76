//! The main document.

use super::{Findings, ValidationMode, devices, flag, image, is_cidr, list, node_metadata, text};
use crate::config::{Document, MachineConfig};
use crate::value::Value;

const ROLES: [&str; 7] = [
    "os:admin",
    "os:operator",
    "os:reader",
    "os:etcd:backup",
    "os:meta:writer",
    "os:image:verifier",
    "os:impersonator",
];
/// Kubelet settings that Talos owns.
const KUBELET_OWNED: [&str; 11] = [
    "apiVersion",
    "kind",
    "authentication",
    "authorization",
    "rotateCertificates",
    "clusterDomain",
    "clusterDNS",
    "staticPodPath",
    "port",
    "cgroupRoot",
    "systemCgroups",
];

pub(super) fn check(main: &Document, config: &MachineConfig, findings: &mut Findings<'_>) {
    if main.at("machine").is_none() {
        findings.error("machine instructions are required");
        return;
    }
    let machine_type = text(main, "machine.type");
    let control_plane = matches!(machine_type, "init" | "controlplane");
    let worker = matches!(machine_type, "worker" | "");
    if main.at("cluster").is_none() {
        findings.error("cluster instructions are required");
    } else {
        cluster(main, config, control_plane, findings);
    }
    if machine_type.is_empty() {
        findings.warning("use \"worker\" instead of \"\" for machine type");
    } else if !control_plane && !worker {
        findings.error(format!("unknown machine type \"{machine_type}\""));
    }
    authority(main, control_plane, worker, findings);
    install(main, findings);
    kubelet(main, findings);
    devices::check(main, control_plane, findings);
    disks(main, findings);
    logging(main, findings);
    features(main, control_plane, findings);
    node_metadata(
        findings,
        "machine ",
        main.at("machine.nodeLabels"),
        main.at("machine.nodeAnnotations"),
        main.at("machine.nodeTaints"),
    );
    if main.at("machine.baseRuntimeSpecOverrides").is_some() {
        findings.warning(
            ".machine.baseRuntimeSpecOverrides is deprecated; use a CRIBaseRuntimeSpecConfig document instead",
        );
    }
    if main.at("machine.files").is_some() {
        findings
            .warning(".machine.files is deprecated; use dedicated configuration documents instead");
    }
}

fn cluster(
    main: &Document,
    config: &MachineConfig,
    control_plane: bool,
    findings: &mut Findings<'_>,
) {
    let newer = config.of_kind("KubeClusterConfig").next().is_some();
    match main.at("cluster.controlPlane") {
        None if newer => {}
        None => {
            if main.at("machine.kubelet").is_some() || main.at("cluster.clusterName").is_some() {
                findings.error("cluster controlplane endpoint is required");
            }
        }
        Some(_) => {
            let endpoint = text(main, "cluster.controlPlane.endpoint");
            if endpoint.is_empty() {
                findings.error("cluster controlplane endpoint is required");
            } else if let Err(why) = endpoint_host(endpoint) {
                findings.error(format!("invalid controlplane endpoint: {why}"));
            }
        }
    }
    let domain = text(main, "cluster.network.dnsDomain");
    if !domain.is_empty() && !is_dns_name(domain) {
        findings.error(format!("\"{domain}\" is not a valid DNS name"));
    }
    if !text(main, "cluster.ca.key").is_empty() && !control_plane {
        findings.error("cluster CA key is not allowed on non-controlplane nodes (.cluster.ca)");
    }
    if control_plane && main.at("cluster.network.cni").is_some() {
        let (name, urls) = (
            text(main, "cluster.network.cni.name"),
            list(main, "cluster.network.cni.urls"),
        );
        match name {
            "custom" if urls.is_empty() => {
                findings.error(
                    "at least one url should be specified if using \"custom\" option for CNI",
                );
            }
            "custom" => {}
            "flannel" | "none" if !urls.is_empty() => {
                findings.error(format!("\"urls\" field should be empty for \"{name}\" CNI"));
            }
            "flannel" | "none" => {}
            _ => findings.error("cni name should be one of [\"flannel\", \"custom\", \"none\"]"),
        }
    }
    if main.at("cluster.externalCloudProvider").is_some() {
        let manifests = list(main, "cluster.externalCloudProvider.manifests");
        if flag(main, "cluster.externalCloudProvider.enabled") != Some(true)
            && !manifests.is_empty()
        {
            findings.error("external cloud provider is disabled, but manifests are provided");
        }
        for url in manifests.iter().filter_map(Value::as_text) {
            if let Err(why) = endpoint_host(url) {
                findings.error(format!(
                    "invalid external cloud provider manifest url \"{url}\": {why}"
                ));
            }
        }
    }
    let mut seen = Vec::new();
    for manifest in list(main, "cluster.inlineManifests") {
        let name = manifest
            .at("name")
            .and_then(Value::as_text)
            .unwrap_or_default();
        if name.is_empty() {
            findings.error("inline manifest name can't be empty");
        }
        if seen.contains(&name) {
            findings.error(format!("inline manifest name \"{name}\" is duplicate"));
        }
        seen.push(name);
    }
    if flag(main, "cluster.discovery.enabled") == Some(true)
        && flag(main, "cluster.discovery.registries.service.disabled") != Some(true)
    {
        let identity = config.of_kind("DiscoveryIdentityConfig").next().is_some();
        if text(main, "cluster.id").is_empty() && !identity {
            findings.error("cluster discovery service requires .cluster.id");
        }
        if text(main, "cluster.secret").is_empty() && !identity {
            findings.error("cluster discovery service requires .cluster.secret");
        }
    }
    if main.at("cluster.etcd").is_some() && !control_plane {
        findings.error("etcd config is only allowed on control plane machines");
    }
    for (path, what) in [
        ("advertisedSubnets", "advertised"),
        ("listenSubnets", "listen"),
    ] {
        if !control_plane {
            break;
        }
        for subnet in list(main, &format!("cluster.etcd.{path}"))
            .iter()
            .filter_map(Value::as_text)
        {
            if !is_cidr(subnet.strip_prefix('!').unwrap_or(subnet)) {
                findings.error(format!("etcd {what} subnet is not valid: \"{subnet}\""));
            }
        }
    }
    for authorizer in list(main, "cluster.apiServer.authorizationConfig") {
        let kind = authorizer
            .at("type")
            .and_then(Value::as_text)
            .unwrap_or_default();
        let prefix = "apiserver authorization config validation failed";
        if kind.is_empty() {
            findings.error(format!("{prefix}: authorizer type must be set"));
        } else if !matches!(kind, "Node" | "RBAC" | "Webhook") {
            findings.error(format!("{prefix}: authorizer type {kind} is not allowed, allowed types are [Node RBAC Webhook]"));
        }
    }
    image(
        findings,
        "kube-apiserver",
        text(main, "cluster.apiServer.image"),
    );
    image(
        findings,
        "kube-controller-manager",
        text(main, "cluster.controllerManager.image"),
    );
    image(
        findings,
        "kube-scheduler",
        text(main, "cluster.scheduler.image"),
    );
}

/// The host of an URL.
fn endpoint_host(url: &str) -> Result<(), &'static str> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if url.is_empty() {
        Err("url hostname must not be blank")
    } else if host.is_empty() || host.starts_with(':') {
        Err("hostname must not be blank")
    } else {
        Ok(())
    }
}

fn is_dns_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn authority(main: &Document, control_plane: bool, worker: bool, findings: &mut Findings<'_>) {
    let (ca, key) = (
        main.at("machine.ca").is_some(),
        !text(main, "machine.ca.key").is_empty(),
    );
    if !ca && list(main, "machine.acceptedCAs").is_empty() {
        findings.error(
            "issuing CA or some accepted CAs are required (.machine.ca, machine.acceptedCAs)",
        );
    }
    if ca && text(main, "machine.ca.crt").is_empty() {
        findings.error("key/cert combination should not be empty");
    }
    if control_plane {
        if !ca {
            findings.error("issuing CA is required (.machine.ca)");
        } else if !key {
            findings.error("issuing CA key is required for controlplane nodes (.machine.ca.key)");
        }
    } else if worker {
        if key {
            findings.error(
                "issuing Talos API CA key is not allowed on non-controlplane nodes (.machine.ca)",
            );
        }
        if !text(main, "cluster.ca.key").is_empty() {
            findings.error("issuing Kubernetes API CA key is not allowed on non-controlplane nodes (.cluster.ca)");
        }
    }
}

fn install(main: &Document, findings: &mut Findings<'_>) {
    if main.at("machine.install").is_none() {
        return;
    }
    if findings.options.mode == ValidationMode::Metal {
        let selector = main.at("machine.install.diskSelector");
        if text(main, "machine.install.disk").is_empty() && selector.is_none() {
            findings.error("either install disk or diskSelector should be defined");
        }
        if selector.is_some_and(|selector| selector.at("name").is_some()) {
            findings.error("install disk selector is invalid: selector on name is not supported");
        }
    }
    let mut seen = Vec::new();
    for extension in list(main, "machine.install.extensions") {
        let image = extension
            .at("image")
            .and_then(Value::as_text)
            .unwrap_or_default();
        if seen.contains(&image) {
            findings.error(format!("duplicate system extension \"{image}\""));
        }
        seen.push(image);
    }
    if !seen.is_empty() {
        findings.warning(
            ".machine.install.extensions is deprecated, please see https://docs.siderolabs.com/talos/latest/platform-specific-installations/boot-assets",
        );
    }
    if !list(main, "machine.install.extraKernelArgs").is_empty()
        && flag(main, "machine.install.grubUseUKICmdline") == Some(true)
    {
        findings
            .error("install.extraKernelArgs and install.grubUseUKICmdline can't be used together");
    }
}

fn kubelet(main: &Document, findings: &mut Findings<'_>) {
    image(findings, "kubelet", text(main, "machine.kubelet.image"));
    for subnet in list(main, "machine.kubelet.nodeIP.validSubnets")
        .iter()
        .filter_map(Value::as_text)
    {
        if !is_cidr(subnet.strip_prefix('!').unwrap_or(subnet)) {
            findings.error(format!("kubelet nodeIP subnet is not valid: \"{subnet}\""));
        }
    }
    if let Some(Value::Map(extra)) = main.at("machine.kubelet.extraConfig") {
        for field in KUBELET_OWNED
            .iter()
            .filter(|field| extra.get(field).is_some())
        {
            findings.error(format!(
                "kubelet configuration field \"{field}\" can't be overridden"
            ));
        }
    }
}

fn disks(main: &Document, findings: &mut Findings<'_>) {
    for disk in list(main, "machine.disks") {
        let device = disk
            .at("device")
            .and_then(Value::as_text)
            .unwrap_or_default();
        let partitions = disk
            .at("partitions")
            .map(Value::as_list)
            .unwrap_or_default();
        for partition in partitions.iter().rev().skip(1) {
            if partition.at("size").is_none_or(Value::is_zero) {
                findings.error(format!(
                    "partition for disk \"{device}\" is set to occupy full disk, but it's not the last partition in the list"
                ));
            }
        }
    }
    for (section, label) in [("state", "STATE"), ("ephemeral", "EPHEMERAL")] {
        let path = format!("machine.systemDiskEncryption.{section}");
        if main.at(&path).is_none() {
            continue;
        }
        let keys = list(main, &format!("{path}.keys"));
        if keys.is_empty() {
            findings.error(format!(
                "partition \"{label}\": no encryption keys provided"
            ));
        }
        let mut slots = Vec::new();
        for key in keys {
            let slot = key.at("slot").and_then(Value::as_int).unwrap_or_default();
            if slots.contains(&slot) {
                findings.error(format!(
                    "partition \"{label}\": encryption key slot {slot} is already in use"
                ));
            }
            slots.push(slot);
            if !["static", "nodeID", "kms", "tpm"]
                .iter()
                .any(|kind| key.at(kind).is_some())
            {
                findings.error(format!(
                    "partition \"{label}\": encryption key at slot {slot} doesn't have the configuration parameters"
                ));
            }
        }
    }
}

fn logging(main: &Document, findings: &mut Findings<'_>) {
    for destination in list(main, "machine.logging.destinations") {
        let endpoint = destination
            .at("endpoint")
            .and_then(Value::as_text)
            .unwrap_or_default();
        if endpoint.is_empty() {
            findings.error("empty logging endpoint");
        } else {
            let scheme = endpoint.split("://").next().unwrap_or_default();
            if !matches!(scheme, "tcp" | "udp") {
                findings.error(format!("unexpected logging endpoint scheme \"{scheme}\""));
            }
        }
        let format = destination
            .at("format")
            .and_then(Value::as_text)
            .unwrap_or_default();
        if format != "json_lines" {
            findings.error(format!("unknown logging format \"{format}\""));
        }
    }
}

fn features(main: &Document, control_plane: bool, findings: &mut Findings<'_>) {
    if flag(main, "machine.features.kubernetesTalosAPIAccess.enabled") == Some(true) {
        if !control_plane {
            findings.error(
                "feature Kubernetes Talos API Access can only be enabled on control plane machines",
            );
        }
        for role in list(
            main,
            "machine.features.kubernetesTalosAPIAccess.allowedRoles",
        )
        .iter()
        .filter_map(Value::as_text)
        {
            if !ROLES.contains(&role) {
                findings.error(format!(
                    "invalid role \"{role}\" in allowed roles for Kubernetes Talos API Access"
                ));
            }
        }
    }
    if flag(main, "machine.features.hostDNS.forwardKubeDNSToHost") == Some(true)
        && flag(main, "machine.features.hostDNS.enabled") != Some(true)
    {
        findings.error(
            "feature hostDNS.forwardKubeDNSToHost requires hostDNS.enabled to be true (.machine.features.hostDNS)",
        );
    }
    if flag(main, "persist") == Some(false) {
        findings.error(".persist should be enabled");
    }
    if let Some(mtu) = main
        .at("machine.network.kubespan.mtu")
        .and_then(Value::as_int)
        && mtu < 1280
    {
        findings.error("kubespan link MTU must be at least 1280");
    }
}
