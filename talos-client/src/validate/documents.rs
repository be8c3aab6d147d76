//! Documents one by one.

use super::{Findings, flag, image, is_address, list, node_metadata, text};
use crate::config::Document;
use crate::value::Value;

const SYSTEM_VOLUMES: [&str; 7] = [
    "STATE",
    "EPHEMERAL",
    "IMAGECACHE",
    "ETCD",
    "CRI",
    "KUBELET",
    "LOG",
];

/// Kinds that need a name, with what is told.
const NAMED: [(&[&str], &str); 3] = [
    (
        &[
            "LinkConfig",
            "DHCPv4Config",
            "DHCPv6Config",
            "VRFConfig",
            "VLANConfig",
            "WireguardConfig",
            "DummyLinkConfig",
            "BondConfig",
            "BridgeConfig",
            "VethConfig",
            "RegistryMirrorConfig",
            "RegistryAuthConfig",
            "RegistryTLSConfig",
        ],
        "name must be specified",
    ),
    (
        &[
            "ExistingVolumeConfig",
            "UserVolumeConfig",
            "RawVolumeConfig",
            "SwapVolumeConfig",
            "ExternalVolumeConfig",
            "KernelModuleConfig",
            "EthernetConfig",
            "DiscoveryServiceConfig",
            "LVMLogicalVolumeConfig",
            "LVMVolumeGroupConfig",
            "RAIDArrayConfig",
            "NetworkRuleConfig",
        ],
        "name is required",
    ),
    (
        &["KubeExternalManifestConfig", "KubeInlineManifestConfig"],
        "manifest name is required",
    ),
];

pub(super) fn check(document: &Document, findings: &mut Findings<'_>) {
    let kind = document.kind.unwrap_or_default();
    let name = document.name().unwrap_or_default();
    if name.is_empty()
        && let Some((_, message)) = NAMED.iter().find(|(kinds, _)| kinds.contains(&kind))
    {
        findings.error(*message);
    }
    match kind {
        "UserVolumeConfig"
        | "RawVolumeConfig"
        | "SwapVolumeConfig"
        | "ExistingVolumeConfig"
        | "ExternalVolumeConfig" => {
            user_volume(kind, name, document, findings);
        }
        "VolumeConfig" => system_volume(name, document, findings),
        "LVMLogicalVolumeConfig" | "LVMVolumeGroupConfig" | "RAIDArrayConfig" => {
            storage(kind, name, document, findings)
        }
        "DiscoveryIdentityConfig" => {
            findings.require(
                !text(document, "clusterID").is_empty(),
                "clusterID is required",
            );
            findings.require(
                !text(document, "clusterSecret").is_empty(),
                "clusterSecret is required",
            );
        }
        "DiscoveryServiceConfig" => discovery(text(document, "endpoint"), findings),
        "KubeletConfig" => component(
            document,
            "kubelet",
            "kubelet image cannot be empty",
            findings,
        ),
        "KubeAPIServerConfig" => component(
            document,
            "kube-apiserver",
            "kube-apiserver image cannot be empty",
            findings,
        ),
        "KubeControllerManagerConfig" => {
            component(
                document,
                "kube-controller-manager",
                "kube-controller-manager image cannot be empty",
                findings,
            );
        }
        "KubeSchedulerConfig" => component(
            document,
            "scheduler",
            "scheduler image cannot be empty",
            findings,
        ),
        "KubeProxyConfig" => {
            component(document, "proxy", "proxy image cannot be empty", findings);
            let mode = text(document, "mode");
            if !matches!(mode, "" | "iptables" | "ipvs" | "nftables") {
                findings.error(format!(
                    "invalid proxy mode \"{mode}\": supported modes are iptables, ipvs and nftables"
                ));
            } else if matches!(mode, "iptables" | "ipvs") {
                findings.warning(format!("proxy mode \"{mode}\" is not recommended, please switch to nftables if possible"));
            }
            if document.at("extraArgs").is_some() {
                findings.warning("extra arguments for kube-proxy may not work as expected, please use configuration instead");
            }
        }
        "KubeClusterConfig" => {
            findings.require(
                !text(document, "clusterName").is_empty(),
                "clusterName must be specified",
            );
            findings.require(
                !text(document, "endpoint").is_empty(),
                "endpoint must be specified",
            );
        }
        "KubeNodeConfig" => {
            for subnet in list(document, "nodeIP.validSubnets")
                .iter()
                .filter_map(Value::as_text)
            {
                if !super::is_cidr(subnet.strip_prefix('!').unwrap_or(subnet)) {
                    findings.error(format!("nodeIP subnet is not valid: \"{subnet}\""));
                }
            }
            node_metadata(
                findings,
                "",
                document.at("labels"),
                document.at("annotations"),
                document.at("taints"),
            );
        }
        "KubeNetworkConfig" => kube_network(document, findings),
        "KubePrismConfig" => {
            let port = document
                .at("port")
                .and_then(Value::as_int)
                .unwrap_or_default();
            if !(1..=65_535).contains(&port) {
                findings.error(format!("invalid port {port}: must be in range 1-65535"));
            }
        }
        "KubeFlannelCNIConfig" => {
            findings.require(
                !text(document, "backendType").is_empty(),
                "flannel backend type must be specified",
            );
        }
        "KubeEtcdEncryptionConfig" => {
            findings.require(
                document.at("config").is_some(),
                "etcd encryption config is required",
            );
        }
        "KubeAuthorizerConfig" => {
            let authorizer = text(document, "type");
            findings.require(!name.is_empty(), "authorizer name is required");
            if authorizer.is_empty() {
                findings.error("authorizer type is required");
            }
            if !matches!(authorizer, "Node" | "RBAC" | "Webhook") {
                findings.error(format!("authorizer type {authorizer} is not allowed, allowed types are [Node RBAC Webhook]"));
            }
            if document.at("webhook").is_some() && authorizer != "Webhook" {
                findings.warning(
                    "authorizer webhook configuration is not allowed non-Webhook authorizer types",
                );
            }
        }
        "KubeAPIServerCAConfig" | "KubeAggregatorCAConfig" => authority(document, kind, findings),
        "KubeServiceAccountConfig" => service_account(document, findings),
        "KubeExternalManifestConfig" => {
            findings.require(
                !text(document, "url").is_empty(),
                "manifest URL is required",
            );
        }
        "KubeTalosAPIAccessConfig" => {
            for role in list(document, "allowedRoles")
                .iter()
                .filter_map(Value::as_text)
            {
                if !role.starts_with("os:") || role == "os:bogus" || !known_role(role) {
                    findings.error(format!("invalid role \"{role}\" in .allowedRoles"));
                }
            }
        }
        "RegistryTLSConfig" => registry_tls(document, findings),
        "RegistryMirrorConfig" => {
            for (index, endpoint) in list(document, "endpoints").iter().enumerate() {
                let url = endpoint
                    .at("url")
                    .and_then(Value::as_text)
                    .unwrap_or_default();
                let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
                if url.is_empty() {
                    findings.error(format!("endpoints[{index}].url must be specified"));
                } else if !matches!(scheme, "http" | "https") {
                    findings.error(format!(
                        "endpoints[{index}].url has unsupported scheme: \"{scheme}\""
                    ));
                }
            }
        }
        "HostnameConfig" => hostname(document, findings),
        "ResolverConfig" => {
            for (index, server) in list(document, "nameservers").iter().enumerate() {
                let protocol = server
                    .at("protocol")
                    .and_then(Value::as_text)
                    .unwrap_or("Do53");
                if protocol == "Do53" && server.at("tlsServerName").is_some() {
                    findings.error(format!(
                        "tlsServerName must be empty when protocol is Do53: entry {index}"
                    ));
                }
            }
            if flag(document, "hostDNS.forwardKubeDNSToHost") == Some(true)
                && flag(document, "hostDNS.enabled") != Some(true)
            {
                findings.error(
                    "hostDNS.forwardKubeDNSToHost cannot be enabled when hostDNS.enabled is false",
                );
            }
        }
        "TimeSyncConfig" if document.at("ntp").is_some() && document.at("ptp").is_some() => {
            findings.error("only one of ntp or ptp configuration can be specified");
        }
        "KubeSpanConfig"
            if document
                .at("mtu")
                .and_then(Value::as_int)
                .is_some_and(|mtu| mtu < 1280) =>
        {
            findings.error("kubespan link MTU must be at least 1280");
        }
        "Layer2VIPConfig" | "HCloudVIPConfig" => {
            if !is_address(name) {
                findings.error(format!(
                    "name must be a valid IP address: ParseAddr(\"{name}\"): unable to parse IP"
                ));
            }
            findings.require(!text(document, "link").is_empty(), "link must be specified");
        }
        "DHCPv4Config" | "DHCPv6Config"
            if text(document, "clientIdentifier") == "duid" && document.at("duidRaw").is_none() =>
        {
            findings.error("duidRaw must be set if clientIdentifier is 'duid'");
        }
        "DHCPv4Config" | "DHCPv6Config"
            if document.at("duidRaw").is_some() && text(document, "clientIdentifier") != "duid" =>
        {
            findings.error("duidRaw can only be set if clientIdentifier is 'duid'");
        }
        "VLANConfig" => {
            let id = document
                .at("vlanID")
                .and_then(Value::as_int)
                .unwrap_or_default();
            findings.require(
                (1..=4094).contains(&id),
                "vlanID must be specified and between 1 and 4094",
            );
            findings.require(
                !text(document, "parent").is_empty(),
                "parent must be specified",
            );
        }
        "VethConfig" => findings.require(
            !text(document, "peer.name").is_empty(),
            "peer name must be specified",
        ),
        "VRFConfig" => {
            let table = text(document, "table");
            let table = if table.is_empty() { "unspec" } else { table };
            if matches!(table, "unspec" | "default" | "main" | "local") {
                findings.error(format!("cannot create vrf with reserved table {table}"));
            }
        }
        "NetworkRuleConfig" => {
            findings.require(
                !list(document, "portSelector.ports").is_empty(),
                "portSelector.ports is required",
            );
            for rule in list(document, "ingress") {
                if rule.at("subnet").is_none_or(Value::is_zero) {
                    findings.error("invalid subnet: invalid Prefix");
                }
            }
        }
        "BGPInstanceConfig" => bgp(document, findings),
        "KmsgLogConfig" => {
            let url = text(document, "url");
            if url.is_empty() {
                findings.error("url is required");
            } else if !matches!(url.split("://").next(), Some("tcp" | "udp")) {
                findings.error("url scheme must be tcp:// or udp://");
            }
        }
        "EventSinkConfig" => {
            let endpoint = text(document, "endpoint");
            if endpoint
                .rsplit_once(':')
                .is_none_or(|(_, port)| port.is_empty())
            {
                findings.error("event sink endpoint: missing port in address");
            }
        }
        "SideroLinkConfig" => {
            let url = text(document, "apiUrl");
            if url.is_empty() {
                findings.error("apiUrl is required");
            } else if !matches!(url.split("://").next(), Some("https" | "grpc")) {
                findings.error("apiUrl scheme must be https:// or grpc://");
            }
        }
        "TCPProbeConfig" | "HTTPProbeConfig" => probe(kind, name, document, findings),
        "LinkAliasConfig" => {
            findings.require(!name.is_empty(), "name must be specified");
            let selector = text(document, "selector.match");
            findings.require(!selector.is_empty(), "link selector is required");
        }
        "WireguardConfig" => {
            let key = text(document, "privateKey");
            findings.require(!key.is_empty(), "wireguard private key must be specified");
            let port = document
                .at("listenPort")
                .and_then(Value::as_int)
                .unwrap_or_default();
            if !(0..=65_535).contains(&port) {
                findings.error("wireguard listen port must be between 0 and 65535");
            }
        }
        "StaticHostConfig" => {
            findings.require(is_address(name), "name must be a valid IP address");
            let hostnames = list(document, "hostnames");
            findings.require(
                !hostnames.is_empty(),
                "at least one hostname must be specified",
            );
        }
        "KubeStaticPodConfig" => findings.require(!name.is_empty(), "static pod name is required"),
        "ImageVerificationConfig" => image_verification(document, findings),
        "UnattendedInstallConfig" => {
            if text(document, "provisioning.diskSelector.match").is_empty() {
                findings.error("provisioning.volumeSelector.match is required");
            }
            if text(document, "installer.image").is_empty() {
                findings.warning(
                    "installer.image is not set, if Talos is not booted from asset built by Image Factory, installation will fail",
                );
            }
        }
        "EtcFileConfig" if name.is_empty() => findings.error("user etc file name cannot be empty"),
        "ExtensionServiceConfig" => {
            for file in list(document, "configFiles") {
                if file.at("content").is_none_or(Value::is_zero) {
                    findings.error(format!(
                        "extension content is required for extension \"{name}\""
                    ));
                }
            }
        }
        "ContainerConfig" => container(name, document, findings),
        _ => {}
    }
}

fn probe(kind: &str, name: &str, document: &Document, findings: &mut Findings<'_>) {
    findings.require(!name.is_empty(), "probe name is required");
    if kind == "TCPProbeConfig" {
        let endpoint = text(document, "endpoint");
        findings.require(!endpoint.is_empty(), "TCP probe endpoint is required");
    } else {
        findings.require(
            !text(document, "url").is_empty(),
            "HTTP probe URL is required",
        );
    }
}

fn image_verification(document: &Document, findings: &mut Findings<'_>) {
    for (index, rule) in list(document, "rules").iter().enumerate() {
        let pattern = rule
            .at("image")
            .and_then(Value::as_text)
            .unwrap_or_default();
        if pattern.is_empty() {
            findings.error(format!("rule {index}: imagePattern must be specified"));
        }
        if pattern.contains(':') {
            findings.warning(format!(
                "rule {index}: imagePattern contains ':' but matching only applies to the image registry and repository, not the tag or digest"
            ));
        }
        let decided = |key: &str| rule.at(key).and_then(Value::as_bool) == Some(true);
        let verifier = rule.at("keyless").is_some() || rule.at("publicKey").is_some();
        if !decided("skip") && !decided("deny") && !verifier {
            findings.error(format!(
                "rule {index}: at least one verifier must be configured"
            ));
        }
    }
}

fn known_role(role: &str) -> bool {
    matches!(
        role,
        "os:admin"
            | "os:operator"
            | "os:reader"
            | "os:etcd:backup"
            | "os:meta:writer"
            | "os:image:verifier"
            | "os:impersonator"
    )
}

fn component(document: &Document, what: &str, empty: &str, findings: &mut Findings<'_>) {
    let reference = text(document, "image");
    if reference.is_empty() {
        findings.error(empty);
    } else {
        image(findings, what, reference);
    }
}

fn discovery(endpoint: &str, findings: &mut Findings<'_>) {
    if endpoint.is_empty() {
        return findings.error("endpoint is required");
    }
    match endpoint.split_once("://") {
        None => findings.error("endpoint scheme is required"),
        Some((scheme, _)) if !matches!(scheme, "http" | "https" | "grpc") => {
            findings.error("endpoint scheme must be http://, https:// or grpc://");
        }
        Some((_, rest)) if rest.is_empty() || rest.starts_with('/') => {
            findings.error("endpoint host is required")
        }
        Some(_) => {}
    }
}

fn hostname(document: &Document, findings: &mut Findings<'_>) {
    let (auto, name) = (text(document, "auto"), text(document, "hostname"));
    match (auto, name) {
        ("", "") => findings.error("either 'auto' or 'hostname' must be set"),
        ("stable", name) if !name.is_empty() => {
            findings.error("'auto' and 'hostname' cannot be set at the same time")
        }
        _ => {}
    }
    let first = name.split('.').next().unwrap_or_default();
    let fine = first.len() <= 63
        && name.len() <= 253
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if !name.is_empty() && !fine {
        findings.error(format!("invalid hostname \"{name}\""));
    }
}

fn kube_network(document: &Document, findings: &mut Findings<'_>) {
    let (pods, services) = (
        list(document, "podSubnets"),
        list(document, "serviceSubnets"),
    );
    for (what, subnets) in [("pod", pods), ("service", services)] {
        if subnets.is_empty() {
            findings.error(format!(
                "{what} subnets: at least one subnet must be specified"
            ));
        } else if subnets.len() > 2 {
            findings.error(format!(
                "{what} subnets: at most two subnets can be specified for dual-stack clusters"
            ));
        }
    }
    findings.require(
        pods.len() == services.len(),
        "the number of pod subnets must match the number of service subnets",
    );
}

/// A PEM block whose content is base64.
fn has_pem(text: &str) -> bool {
    pem_bytes(text).is_some()
}

fn pem_bytes(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let start = text.find("-----BEGIN ")?;
    let (_, rest) = text[start + 11..].split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(body).ok()
}

/// A certificate begins with a sequence that is as long as the rest.
fn is_certificate(text: &str) -> bool {
    let Some(der) = pem_bytes(text) else {
        return false;
    };
    match der.as_slice() {
        [0x30, 0x82, high, low, rest @ ..] => {
            usize::from(*high) << 8 | usize::from(*low) == rest.len()
        }
        [0x30, 0x81, length, rest @ ..] => usize::from(*length) == rest.len(),
        _ => false,
    }
}

fn authority(document: &Document, kind: &str, findings: &mut Findings<'_>) {
    let issuing = document.at("issuingCA");
    if issuing.is_none() && kind == "KubeAggregatorCAConfig" {
        findings.error("issuing CA is not set");
    }
    if issuing.is_some() {
        let (certificate, key) = (
            text(document, "issuingCA.cert"),
            text(document, "issuingCA.key"),
        );
        if certificate.is_empty() {
            findings.error("issuing CA: certificate is required");
        } else if !has_pem(certificate) {
            findings.error("issuing CA: certificate: no PEM blocks found");
        } else if !is_certificate(certificate) {
            findings.error("issuing CA: certificate is invalid: failed to parse certificate: x509: malformed certificate");
        }
        if key.is_empty() {
            findings.error("issuing CA: key is required");
        } else if !has_pem(key) {
            findings.error("issuing CA: key: no PEM blocks found");
        }
    }
    for (index, accepted) in list(document, "acceptedCAs")
        .iter()
        .filter_map(Value::as_text)
        .enumerate()
    {
        if !has_pem(accepted) {
            findings.error(format!("accepted CA #{index}: no PEM blocks found"));
        }
    }
}

fn service_account(document: &Document, findings: &mut Findings<'_>) {
    let key = text(document, "issuer.privateKey");
    if key.is_empty() {
        findings.error("service issuer private key is required");
    } else if !has_pem(key) {
        findings.error("service issuer private key is invalid: failed to parse PEM block");
    }
    findings.require(
        !text(document, "issuer.issuerURL").is_empty(),
        "service issuer URL is required",
    );
}

fn registry_tls(document: &Document, findings: &mut Findings<'_>) {
    if document.at("clientIdentity").is_some() {
        let certificate = text(document, "clientIdentity.cert");
        if certificate.is_empty() {
            findings.error("client identity: certificate is required");
        } else if !has_pem(certificate) {
            findings.error("client identity: certificate: no PEM blocks found");
        } else if text(document, "clientIdentity.key").is_empty() {
            findings.error("client identity: key is required");
        } else if !has_pem(text(document, "clientIdentity.key")) {
            findings.error("client identity: key: no PEM blocks found");
        }
    }
    let ca = text(document, "ca");
    if !ca.is_empty() && !has_pem(ca) {
        findings.error("ca must be a valid PEM-encoded certificate");
    }
}

fn bgp(document: &Document, findings: &mut Findings<'_>) {
    let asn = document
        .at("localASN")
        .and_then(Value::as_int)
        .unwrap_or_default();
    findings.require(asn != 0, "localASN must be specified");
    for (index, route) in list(document, "importRoutes").iter().enumerate() {
        if route.at("bgpInstance").is_none_or(Value::is_zero) {
            findings.error(format!(
                "importRoutes[{index}]: bgpInstance must be specified"
            ));
        }
        if route.at("prefixes").is_none_or(Value::is_zero) {
            findings.error(format!(
                "importRoutes[{index}]: at least one prefix must be specified"
            ));
        }
    }
    if list(document, "neighbors").is_empty() {
        findings.warning("BGPInstanceConfig has no neighbors configured");
    }
}

/// Names of volumes: 1 to 34 characters, letters, digits and hyphens.
fn volume_name(name: &str, findings: &mut Findings<'_>) {
    findings.require(
        (1..=34).contains(&name.len()),
        "name must be between 1 and 34 characters long",
    );
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        findings.error(
            "name can only contain lowercase and uppercase ASCII letters, digits, and hyphens",
        );
    }
}

fn user_volume(kind: &str, name: &str, document: &Document, findings: &mut Findings<'_>) {
    if !name.is_empty() || kind != "ExistingVolumeConfig" {
        volume_name(name, findings);
    }
    match kind {
        "ExistingVolumeConfig" => {
            if text(document, "discovery.volumeSelector.match").is_empty() {
                findings.error("volume selector is required");
            }
        }
        "ExternalVolumeConfig" => {
            let filesystem = text(document, "filesystemType");
            if filesystem != "virtiofs" {
                let shown = if filesystem.is_empty() {
                    "none"
                } else {
                    filesystem
                };
                findings.error(format!("invalid filesystem type: {shown}"));
            } else if document.at("mount.virtiofs").is_none() {
                findings.error("virtiofs mount spec is required");
            }
        }
        _ if text(document, "volumeType") == "directory" => {
            if document.at("provisioning").is_some() {
                findings.error("provisioning spec is invalid for volumeType directory");
            }
        }
        _ => {
            if text(document, "provisioning.diskSelector.match").is_empty() {
                findings.error("disk selector is required");
            }
            sizes(document, true, findings);
        }
    }
    encryption(document, findings);
}

fn system_volume(name: &str, document: &Document, findings: &mut Findings<'_>) {
    if !SYSTEM_VOLUMES.contains(&name) && !name.starts_with("IMAGE-CACHE") {
        let known: Vec<String> = SYSTEM_VOLUMES
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        findings.error(format!("only [{}] volumes are supported", known.join(" ")));
    }
    sizes(document, false, findings);
    encryption(document, findings);
}

fn sizes(document: &Document, required: bool, findings: &mut Findings<'_>) {
    let size = |path: &str| {
        let text = text(document, path);
        (!text.is_empty() && !text.ends_with('%'))
            .then(|| crate::size::parse(text).ok())
            .flatten()
    };
    let (least, most) = (size("provisioning.minSize"), size("provisioning.maxSize"));
    if required && least.is_none() && text(document, "provisioning.maxSize").is_empty() {
        findings.error("min size or max size is required");
    }
    if let (Some(least), Some(most)) = (least, most)
        && most > 0.0
        && least > most
    {
        findings.error("min size is greater than max size");
    }
}

fn encryption(document: &Document, findings: &mut Findings<'_>) {
    if document.at("encryption.provider").is_none() && document.at("encryption.keys").is_none() {
        return;
    }
    let provider = text(document, "encryption.provider");
    if provider != "luks2" {
        findings.error(format!(
            "unsupported encryption provider: {}",
            if provider.is_empty() {
                "none"
            } else {
                provider
            }
        ));
    }
    let keys = list(document, "encryption.keys");
    if keys.is_empty() {
        findings.error("encryption keys are required");
    }
    let mut slots = Vec::new();
    for key in keys {
        let slot = key.at("slot").and_then(Value::as_int).unwrap_or_default();
        if slots.contains(&slot) {
            findings.error(format!("duplicate key slot {slot}"));
        }
        slots.push(slot);
        if !["static", "nodeID", "kms", "tpm"]
            .iter()
            .any(|kind| key.at(kind).is_some())
        {
            findings.error(format!(
                "at least one encryption key type must be specified for slot {slot}"
            ));
        }
    }
}

fn storage(kind: &str, name: &str, document: &Document, findings: &mut Findings<'_>) {
    volume_name(name, findings);
    match kind {
        "LVMLogicalVolumeConfig" => {
            findings.require(
                !text(document, "provisioning.volumeGroup").is_empty(),
                "provisioning.volumeGroup is required",
            );
        }
        _ => {
            let selector = text(document, "provisioning.volumeSelector.match");
            findings.require(
                !selector.is_empty(),
                "provisioning.volumeSelector.match is required",
            );
        }
    }
}

fn container(name: &str, document: &Document, findings: &mut Findings<'_>) {
    let image = text(document, "image");
    if image.is_empty() {
        findings.error("image is required");
    } else if !image.contains('@') {
        findings.warning(format!(
            "container \"{name}\": image \"{image}\" is not digest-pinned, the running image may change on restart"
        ));
    }
    for (index, mount) in list(document, "mounts").iter().enumerate() {
        let kinds = ["userVolume", "tmpfs", "hostPath"]
            .iter()
            .filter(|kind| mount.at(kind).is_some())
            .count();
        if kinds != 1 {
            findings.error(format!(
                "mounts[{index}]: exactly one of userVolume, tmpfs or hostPath must be set"
            ));
        }
    }
    let profile = text(document, "security.profile");
    if !matches!(profile, "" | "restricted" | "privileged") {
        findings.error(format!(
            "unsupported security profile \"{profile}\", expected restricted or privileged"
        ));
    }
    let mode = text(document, "network.mode");
    if !matches!(mode, "" | "none" | "host") {
        findings.error(format!(
            "unsupported network mode \"{mode}\", expected none or host"
        ));
    }
    for path in list(document, "dependsOn.paths")
        .iter()
        .filter_map(Value::as_text)
    {
        if !path.starts_with('/') {
            findings.error(format!(
                "dependsOn.paths entry \"{path}\" must be an absolute path"
            ));
        }
    }
    if list(document, "dependsOn.containers")
        .iter()
        .any(|other| other.as_text() == Some(name))
    {
        findings.error(format!("container \"{name}\" cannot depend on itself"));
    }
}
