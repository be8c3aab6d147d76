//! The main document.

use super::{
    Findings, ROLES, ValidationMode, devices, flag, image, int, kubernetes, list, node_metadata,
    text,
};
use crate::address;
use crate::config::Document;
use crate::quote::quote;
use crate::uri;
use crate::value::Value;

const DISCOVERY_SERVICE: &str = "https://discovery.talos.dev/";
/// What a disk selector can ask for.
const DISK_TYPES: [&str; 4] = ["nvme", "sd", "hdd", "ssd"];

fn texts<'d>(document: &'d Document, path: &str) -> impl Iterator<Item = &'d str> {
    list(document, path).iter().filter_map(Value::as_text)
}

fn field<'v>(value: &'v Value, path: &str) -> &'v str {
    value.at(path).and_then(Value::as_text).unwrap_or_default()
}

pub(super) fn check(main: &Document, findings: &mut Findings<'_>) {
    if main.at("machine").is_none() {
        return findings.error("machine instructions are required");
    }
    let written = text(main, "machine.type");
    let control_plane = matches!(written, "init" | "controlplane");
    let worker = matches!(written, "worker" | "join" | "");
    if !list(main, "machine.files").is_empty() {
        findings
            .warning(".machine.files is deprecated; use dedicated configuration documents instead");
    }
    if main.at("machine.baseRuntimeSpecOverrides").is_some() {
        findings.warning(
            ".machine.baseRuntimeSpecOverrides is deprecated; use a CRIBaseRuntimeSpecConfig document instead",
        );
    }
    if main.at("cluster").is_none() {
        findings.error("cluster instructions are required");
    } else {
        cluster(main, control_plane, findings);
    }
    install_disk(main, findings);
    if flag(main, "machine.features.hostDNS.forwardKubeDNSToHost") == Some(true)
        && flag(main, "machine.features.hostDNS.enabled") != Some(true)
    {
        findings.error(
            "feature hostDNS.forwardKubeDNSToHost requires hostDNS.enabled to be true (.machine.features.hostDNS)",
        );
    }
    if worker && written != "worker" {
        findings.warning(format!(
            "use \"worker\" instead of {} for machine type",
            quote(written)
        ));
    }
    authority(main, written, control_plane, worker, findings);
    if main.at("machine.network").is_some() {
        devices::check(main, findings);
        let mtu = match int(main, "machine.network.kubespan.mtu") {
            0 => i64::MAX,
            mtu => mtu,
        };
        if kubespan(main) && mtu < 1280 {
            findings.error("kubespan link MTU must be at least 1280");
        }
    }
    disks(main, findings);
    subnets(
        main,
        "machine.kubelet.nodeIP.validSubnets",
        "kubelet nodeIP subnet is not valid",
        findings,
    );
    kubernetes::owned(main.at("machine.kubelet.extraConfig"), findings);
    encryption(main, findings);
    if kubespan(main) {
        subnets(
            main,
            "machine.network.kubespan.filters.endpoints",
            "KubeSpan endpoint filter is not valid",
            findings,
        );
        let excluded = "machine.network.kubespan.filters.excludeAdvertisedNetworks";
        for network in texts(main, excluded) {
            if address::parse_prefix(network).is_err() {
                findings.error(format!(
                    "KubeSpan exclude advertised networks filter is not valid: {}",
                    quote(network)
                ));
            }
        }
    }
    logging(main, findings);
    extensions(main, findings);
    node_metadata(
        findings,
        "machine ",
        main.at("machine.nodeLabels"),
        main.at("machine.nodeAnnotations"),
        main.at("machine.nodeTaints"),
    );
    api_access(main, control_plane, findings);
    let algorithm = text(main, "machine.features.nodeAddressSortAlgorithm");
    if !matches!(algorithm.to_lowercase().as_str(), "" | "v1" | "v2") {
        findings.error(format!(
            "invalid node address sort algorithm: {algorithm} does not belong to AddressSortAlgorithm values"
        ));
    }
    if flag(main, "persist") == Some(false) {
        findings.error(".persist should be enabled");
    }
    let overrides = main.at("machine.baseRuntimeSpecOverrides");
    if let Some(why) = super::runtime_spec::problem(overrides) {
        findings.error(format!(
            "failed to unmarshal base runtime spec overrides: {why}"
        ));
    }
    for section in ["config", "mirrors"] {
        let path = format!("machine.registries.{section}");
        let map = main.at(&path).and_then(Value::as_map);
        for (key, value) in map.into_iter().flat_map(|map| map.0.iter()) {
            if *value == Value::Null {
                findings.error(format!("registries.{section}[{}] is null", quote(key)));
            }
        }
    }
    image::check(findings, "kubelet", text(main, "machine.kubelet.image"));
    if control_plane {
        for (what, section) in [
            ("kube-apiserver", "apiServer"),
            ("kube-controller-manager", "controllerManager"),
            ("kube-scheduler", "scheduler"),
        ] {
            let reference = text(main, &format!("cluster.{section}.image"));
            image::check(findings, what, reference);
        }
    }
}

fn kubespan(main: &Document) -> bool {
    flag(main, "machine.network.kubespan.enabled") == Some(true)
}

/// Subnets or addresses, each of which may be negated.
fn subnets(main: &Document, path: &str, what: &str, findings: &mut Findings<'_>) {
    for subnet in texts(main, path) {
        let subnet = subnet.strip_prefix('!').unwrap_or(subnet);
        if !address::is_subnet_or_address(subnet) {
            findings.error(format!("{what}: {}", quote(subnet)));
        }
    }
}

fn cluster(main: &Document, control_plane: bool, findings: &mut Findings<'_>) {
    if main.at("cluster.controlPlane").is_some() {
        // Nothing else is looked at without an endpoint.
        if main.at("cluster.controlPlane.endpoint").is_none() {
            return findings.error("cluster controlplane endpoint is required");
        }
        if let Err(why) = uri::check_endpoint(text(main, "cluster.controlPlane.endpoint")) {
            findings.error(format!("invalid controlplane endpoint: {why}"));
        }
    }
    let domain = text(main, "cluster.network.dnsDomain");
    if !domain.is_empty() && !is_dns_name(domain) {
        findings.error(format!("{} is not a valid DNS name", quote(domain)));
    }
    cloud_provider(main, findings);
    if main.at("cluster.etcd").is_some() {
        if control_plane {
            etcd(main, findings);
        } else {
            findings.error("etcd config is only allowed on control plane machines");
        }
    }
    if !text(main, "cluster.ca.key").is_empty() && !control_plane {
        findings.error("cluster CA key is not allowed on non-controlplane nodes (.cluster.ca)");
    }
    inline_manifests(main, findings);
    discovery(main, findings);
    if let Err(why) = api_server(main) {
        findings.error(why);
    }
    for (section, what) in [
        ("controllerManager", "controller-manager"),
        ("scheduler", "scheduler"),
    ] {
        let resources = main.at(&format!("cluster.{section}.resources"));
        if let Some(why) = kubernetes::unsupported_resource(resources) {
            findings.error(format!("{what} resource validation failed: {why}"));
        }
    }
}

fn cloud_provider(main: &Document, findings: &mut Findings<'_>) {
    let path = "cluster.externalCloudProvider";
    let manifests = list(main, &format!("{path}.manifests"));
    if flag(main, &format!("{path}.enabled")) != Some(true) && !manifests.is_empty() {
        return findings.error("external cloud provider is disabled, but manifests are provided");
    }
    for url in manifests.iter().filter_map(Value::as_text) {
        if let Err(why) = uri::check_endpoint(url) {
            findings.error(format!(
                "invalid external cloud provider manifest url {}: {why}",
                quote(url)
            ));
        }
    }
}

fn etcd(main: &Document, findings: &mut Findings<'_>) {
    findings.require(
        main.at("cluster.etcd.ca").is_some(),
        "key/cert combination should not be empty",
    );
    let advertised = list(main, "cluster.etcd.advertisedSubnets");
    let single = text(main, "cluster.etcd.subnet");
    if !single.is_empty() && !advertised.is_empty() {
        findings.error("etcd subnet can't be set when advertised subnets are set");
    }
    let mut check = |subnets: &[&str], what: &str| {
        for subnet in subnets {
            let subnet = subnet.strip_prefix('!').unwrap_or(subnet);
            if !address::is_subnet_or_address(subnet) {
                findings.error(format!(
                    "etcd {what} subnet is not valid: {}",
                    quote(subnet)
                ));
            }
        }
    };
    let advertised: Vec<&str> = advertised.iter().filter_map(Value::as_text).collect();
    let listen: Vec<&str> = texts(main, "cluster.etcd.listenSubnets").collect();
    if advertised.is_empty() && !single.is_empty() {
        check(&[single], "advertised");
    } else {
        check(&advertised, "advertised");
    }
    // Without subnets of its own, etcd listens on those that it advertises.
    check(
        if listen.is_empty() {
            &advertised
        } else {
            &listen
        },
        "listen",
    );
}

fn inline_manifests(main: &Document, findings: &mut Findings<'_>) {
    let mut seen = Vec::new();
    for manifest in list(main, "cluster.inlineManifests") {
        let name = field(manifest, "name");
        if name.trim().is_empty() {
            findings.error("inline manifest name can't be empty");
        }
        if seen.contains(&name) {
            findings.error(format!("inline manifest name {} is duplicate", quote(name)));
        }
        seen.push(name);
    }
}

fn discovery(main: &Document, findings: &mut Findings<'_>) {
    let service = "cluster.discovery.registries.service";
    if flag(main, "cluster.discovery.enabled") != Some(true)
        || flag(main, &format!("{service}.disabled")) == Some(true)
    {
        return;
    }
    let endpoint = match text(main, &format!("{service}.endpoint")) {
        "" => DISCOVERY_SERVICE,
        endpoint => endpoint,
    };
    match uri::parse_request(endpoint) {
        Err(why) => findings.error(format!(
            "cluster discovery service registry endpoint is invalid: {why}"
        )),
        Ok(url) if !matches!(url.path.as_str(), "" | "/") => {
            findings.error("cluster discovery service path should be empty");
        }
        Ok(_) => {}
    }
    for field in ["id", "secret"] {
        if text(main, &format!("cluster.{field}")).is_empty() {
            findings.error(format!(
                "cluster discovery service requires .cluster.{field}"
            ));
        }
    }
}

/// The first thing that is wrong with the API server's section.
fn api_server(main: &Document) -> Result<(), String> {
    let authorizers = list(main, "cluster.apiServer.authorizationConfig");
    if !authorizers.is_empty() {
        let arguments = main
            .at("cluster.apiServer.extraArgs")
            .and_then(Value::as_map);
        for (key, _) in arguments.into_iter().flat_map(|map| map.0.iter()) {
            if key == "authorization-mode" {
                return Err("authorization-mode cannot be used in conjunction with AuthorizationConfig, use eitherr AuthorizationConfig or authorization-mode".to_owned());
            }
            if key.starts_with("authorization-webhook-") {
                return Err("authorization-webhook-* flags cannot be used in conjunction with AuthorizationConfig, use either AuthorizationConfig or authorization-webhook-* flags".to_owned());
            }
        }
    }
    for authorizer in authorizers {
        let prefix = "apiserver authorization config validation failed";
        let kind = field(authorizer, "type");
        if kind.is_empty() {
            return Err(format!("{prefix}: authorizer type must be set"));
        }
        if field(authorizer, "name").is_empty() {
            return Err(format!("{prefix}: authorizer name must be set"));
        }
        if !kubernetes::AUTHORIZERS.contains(&kind) {
            return Err(format!(
                "{prefix}: authorizer type {kind} is not allowed, allowed types are [{}]",
                kubernetes::AUTHORIZERS.join(" ")
            ));
        }
    }
    match kubernetes::unsupported_resource(main.at("cluster.apiServer.resources")) {
        Some(why) => Err(format!("apiserver resource validation failed: {why}")),
        None => Ok(()),
    }
}

fn is_dns_name(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bare = name.strip_suffix(['.', '_']).unwrap_or(name);
    let labels = |name: &str| {
        name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| word(b) || b == b'-')
                && label.bytes().next().is_some_and(word)
        })
    };
    name.len() - name.matches('.').count() <= 255 && (labels(name) || labels(bare))
}

fn authority(
    main: &Document,
    written: &str,
    control_plane: bool,
    worker: bool,
    findings: &mut Findings<'_>,
) {
    let issuing = main.at("machine.ca").is_some();
    let accepted = !list(main, "machine.acceptedCAs").is_empty();
    let said = |path: &str| !text(main, path).is_empty();
    if !issuing && !accepted {
        findings.error(
            "issuing CA or some accepted CAs are required (.machine.ca, machine.acceptedCAs)",
        );
    }
    if control_plane {
        if main.at("cluster.network").is_some() {
            cni(main, findings);
        }
        if !issuing {
            findings.error("issuing CA is required (.machine.ca)");
        } else if !said("machine.ca.key") {
            findings.error("issuing CA key is required for controlplane nodes (.machine.ca.key)");
        }
    } else if worker {
        devices::check_no_virtual(main, findings);
        if said("machine.ca.key") {
            findings.error(
                "issuing Talos API CA key is not allowed on non-controlplane nodes (.machine.ca)",
            );
        }
        if issuing && !said("machine.ca.crt") && !accepted {
            findings.error(
                "trusted CA certificates are required on non-controlplane nodes (.machine.ca.crt, .machine.acceptedCAs)",
            );
        }
        if said("cluster.ca.key") {
            findings.error("issuing Kubernetes API CA key is not allowed on non-controlplane nodes (.cluster.ca)");
        }
    } else {
        findings.error(format!("unknown machine type {}", quote(written)));
    }
}

fn cni(main: &Document, findings: &mut Findings<'_>) {
    let path = "cluster.network.cni";
    let name = if main.at(path).is_some() {
        text(main, &format!("{path}.name"))
    } else {
        "flannel"
    };
    let urls = list(main, &format!("{path}.urls"));
    if !matches!(name, "flannel" | "none" | "custom") {
        return findings.error("cni name should be one of [\"flannel\", \"custom\", \"none\"]");
    }
    if name != "custom" && !urls.is_empty() {
        findings.error(format!("\"urls\" field should be empty for \"{name}\" CNI"));
    }
    if name == "custom" && urls.is_empty() {
        findings.warning("\"urls\" field should not be empty for \"custom\" CNI");
    }
    if name != "flannel" {
        if !list(main, &format!("{path}.flannel.extraArgs")).is_empty() {
            findings.error(format!(
                "\"flanneldExtraArgs\" field should be empty for \"{name}\" CNI"
            ));
        }
        if flag(main, &format!("{path}.flannel.kubeNetworkPoliciesEnabled")) == Some(true) {
            findings.error(format!(
                "\"flannelKubeNetworkPoliciesEnabled\" should not be enabled for \"{name}\" CNI"
            ));
        }
    }
    if name == "custom" {
        for url in urls.iter().filter_map(Value::as_text) {
            if let Err(why) = uri::check_endpoint(url) {
                findings.error(why);
            }
        }
    }
}

fn install_disk(main: &Document, findings: &mut Findings<'_>) {
    if main.at("machine.install").is_none() || findings.options.mode != ValidationMode::Metal {
        return;
    }
    let selector = main.at("machine.install.diskSelector");
    let said = |name: &str| {
        selector
            .map(|selector| field(selector, name))
            .unwrap_or_default()
    };
    let kind = said("type");
    let problem = if !said("name").is_empty() {
        Some("selector on name is not supported".to_owned())
    } else if !kind.is_empty() && !DISK_TYPES.contains(&kind) {
        Some(format!("unsupported disk type {}", quote(kind)))
    } else {
        None
    };
    let usable = selector.is_some() && problem.is_none();
    if let Some(problem) = problem {
        findings.error(format!("install disk selector is invalid: {problem}"));
    }
    if text(main, "machine.install.disk").is_empty() && !usable {
        findings.error("either install disk or diskSelector should be defined");
    }
    if !list(main, "machine.install.extraKernelArgs").is_empty()
        && flag(main, "machine.install.grubUseUKICmdline") == Some(true)
    {
        findings
            .error("install.extraKernelArgs and install.grubUseUKICmdline can't be used together");
    }
}

fn extensions(main: &Document, findings: &mut Findings<'_>) {
    let mut seen = Vec::new();
    for extension in list(main, "machine.install.extensions") {
        let image = field(extension, "image");
        if seen.contains(&image) {
            findings.error(format!("duplicate system extension {}", quote(image)));
        }
        seen.push(image);
    }
    if !seen.is_empty() {
        findings.warning(
            ".machine.install.extensions is deprecated, please see https://docs.siderolabs.com/talos/latest/platform-specific-installations/boot-assets",
        );
    }
}

fn disks(main: &Document, findings: &mut Findings<'_>) {
    for (index, disk) in list(main, "machine.disks").iter().enumerate() {
        if *disk == Value::Null {
            findings.error(format!("machine.disks[{index}] is null"));
            continue;
        }
        let partitions = disk
            .at("partitions")
            .map(Value::as_list)
            .unwrap_or_default();
        let before_last = partitions.len().saturating_sub(1);
        for partition in &partitions[..before_last] {
            if partition.at("size").is_none_or(Value::is_zero) {
                findings.error(format!(
                    "partition for disk {} is set to occupy full disk, but it's not the last partition in the list",
                    quote(field(disk, "device"))
                ));
            }
        }
    }
}

fn encryption(main: &Document, findings: &mut Findings<'_>) {
    for (section, label) in [("ephemeral", "EPHEMERAL"), ("state", "STATE")] {
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
        match destination
            .at("endpoint")
            .map(|_| uri::parse(field(destination, "endpoint")))
        {
            None | Some(Err(_)) => findings.error("empty logging endpoint"),
            Some(Ok(endpoint)) => {
                if endpoint.host.is_empty() {
                    findings.error("empty logging endpoint's host");
                }
                if !matches!(endpoint.scheme.as_str(), "tcp" | "udp") {
                    findings.error(format!(
                        "unexpected logging endpoint scheme {}",
                        quote(&endpoint.scheme)
                    ));
                }
            }
        }
        let format = field(destination, "format");
        if format != "json_lines" {
            findings.error(format!("unknown logging format {}", quote(format)));
        }
    }
}

fn api_access(main: &Document, control_plane: bool, findings: &mut Findings<'_>) {
    let path = "machine.features.kubernetesTalosAPIAccess";
    if flag(main, &format!("{path}.enabled")) != Some(true) {
        return;
    }
    if !control_plane {
        findings.error(
            "feature Kubernetes Talos API Access can only be enabled on control plane machines",
        );
    }
    for role in texts(main, &format!("{path}.allowedRoles")) {
        if !ROLES.contains(&role) {
            findings.error(format!(
                "invalid role {} in allowed roles for Kubernetes Talos API Access",
                quote(role)
            ));
        }
    }
}
