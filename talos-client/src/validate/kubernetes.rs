//! Documents about Kubernetes.

use super::{Findings, flag, image, int, list, names, node_metadata, pem, text};
use crate::address::{self, Prefix};
use crate::config::Document;
use crate::quote::quote;
use crate::uri;
use crate::value::Value;

/// Kubelet settings that Talos owns.
pub(super) const KUBELET_OWNED: [&str; 13] = [
    "apiVersion",
    "authentication",
    "authorization",
    "cgroupRoot",
    "kind",
    "kubeletCgroups",
    "port",
    "protectKernelDefaults",
    "resolvConf",
    "rotateCertificates",
    "systemCgroups",
    "staticPodPath",
    "seccompDefault",
];
pub(super) const AUTHORIZERS: [&str; 3] = ["Node", "RBAC", "Webhook"];
/// Arguments of the API server by prefix, and the document that replaces them.
const REPLACED_ARGUMENTS: [(&str, &str); 6] = [
    ("anonymous-auth", "KubeAuthenticationConfig"),
    ("authentication-config", "KubeAuthenticationConfig"),
    ("authorization-config", "KubeAuthorizationConfig"),
    ("authorization-mode", "KubeAuthorizationConfig"),
    ("authorization-webhook-", "KubeAuthorizationConfig"),
    ("oidc-", "KubeAuthenticationConfig"),
];
/// Fewest bits of a subnet that number hosts.
const FEWEST_HOST_BITS: u8 = 4;
/// Most bits of a service subnet that number hosts.
const MOST_SERVICE_BITS: u8 = 20;
/// Most bits between the pod subnet and the share of one node.
const MOST_NODE_BITS: i64 = 16;

pub(super) fn check(kind: &str, name: &str, document: &Document, findings: &mut Findings<'_>) {
    match kind {
        "KubeletConfig" => {
            component(document, "kubelet", "kubelet", findings);
            owned(document.at("config"), findings);
        }
        "KubeAPIServerConfig" => {
            component(document, "kube-apiserver", "kube-apiserver", findings);
            replaced_arguments(document, findings);
            resources(document.at("resources"), findings);
        }
        "KubeControllerManagerConfig" | "KubeSchedulerConfig" | "KubeProxyConfig" => {
            // Whatever is disabled is not looked at further.
            if flag(document, "enabled") == Some(false) {
                return;
            }
            let what = match kind {
                "KubeControllerManagerConfig" => "kube-controller-manager",
                "KubeSchedulerConfig" => "scheduler",
                _ => "proxy",
            };
            component(document, what, what, findings);
            if kind == "KubeProxyConfig" {
                proxy(document, findings);
            }
            resources(document.at("resources"), findings);
        }
        "KubeFlannelCNIConfig" => {
            findings.require(
                !text(document, "backendType").is_empty(),
                "flannel backend type must be specified",
            );
            resources(document.at("resources"), findings);
        }
        "KubeClusterConfig" => {
            findings.require(
                !text(document, "clusterName").is_empty(),
                "clusterName must be specified",
            );
            match text(document, "endpoint") {
                "" => findings.error("endpoint must be specified"),
                endpoint => {
                    if let Err(why) = uri::check_endpoint(endpoint) {
                        findings.error(format!("cluster endpoint is invalid: {why}"));
                    }
                }
            }
        }
        "KubeNodeConfig" => {
            for subnet in texts(document, "nodeIP.validSubnets") {
                let subnet = subnet.strip_prefix('!').unwrap_or(subnet);
                if !address::is_subnet_or_address(subnet) {
                    findings.error(format!("nodeIP subnet is not valid: {}", quote(subnet)));
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
        "KubeNetworkConfig" => network(document, findings),
        "KubePrismConfig" => {
            let port = int(document, "port");
            if !(1..=65_535).contains(&port) {
                findings.error(format!("invalid port {port}: must be in range 1-65535"));
            }
        }
        "KubeAdmissionControlConfig" => findings.require(
            !name.is_empty(),
            "admission control plugin name is required",
        ),
        "KubeEtcdEncryptionConfig" => findings.require(
            document.at("config").is_some(),
            "etcd encryption config is required",
        ),
        "KubeAuthorizerConfig" => authorizer(name, document, findings),
        "KubeAPIServerCAConfig" | "KubeAggregatorCAConfig" => authority(document, kind, findings),
        "KubeServiceAccountConfig" => {
            match text(document, "issuer.privateKey") {
                "" => findings.error("service issuer private key is required"),
                key => {
                    if let Err(why) = pem::check_key(key) {
                        findings.error(format!("service issuer private key is invalid: {why}"));
                    }
                }
            }
            findings.require(
                !text(document, "issuer.issuerURL").is_empty(),
                "service issuer URL is required",
            );
        }
        "KubeExternalManifestConfig" => {
            subdomain("manifest name", name, findings);
            match uri::parse(text(document, "url")) {
                _ if text(document, "url").is_empty() => {
                    findings.error("manifest URL is required");
                }
                Ok(url) if !matches!(url.scheme.as_str(), "http" | "https") => {
                    findings.error(format!(
                        "manifest URL scheme must be http or https: {}",
                        quote(&url.scheme)
                    ));
                }
                _ => {}
            }
        }
        "KubeInlineManifestConfig" => subdomain("manifest name", name, findings),
        "KubeStaticPodConfig" => {
            subdomain("static pod name", name, findings);
            findings.require(document.at("pod").is_some(), "static pod spec is required");
        }
        "KubeTalosAPIAccessConfig" => {
            for role in texts(document, "allowedRoles") {
                if !super::ROLES.contains(&role) {
                    findings.error(format!("invalid role {} in .allowedRoles", quote(role)));
                }
            }
        }
        _ => {}
    }
}

fn texts<'d>(document: &'d Document, path: &str) -> impl Iterator<Item = &'d str> {
    list(document, path).iter().filter_map(Value::as_text)
}

fn subdomain(what: &str, name: &str, findings: &mut Findings<'_>) {
    if name.is_empty() {
        findings.error(format!("{what} is required"));
    } else if let Err(why) = names::subdomain(name) {
        findings.error(format!("{what} is invalid: {why}"));
    }
}

fn component(document: &Document, what: &str, shown: &str, findings: &mut Findings<'_>) {
    match text(document, "image") {
        "" => findings.error(format!("{shown} image cannot be empty")),
        reference => image::check(findings, what, reference),
    }
}

/// Settings of the kubelet that cannot be chosen.
pub(super) fn owned(config: Option<&Value>, findings: &mut Findings<'_>) {
    for field in KUBELET_OWNED {
        if config.is_some_and(|config| config.at(field).is_some()) {
            findings.error(format!(
                "kubelet configuration field \"{field}\" can't be overridden"
            ));
        }
    }
}

/// The first resource that pods cannot be given.
pub(super) fn unsupported_resource(resources: Option<&Value>) -> Option<String> {
    ["requests", "limits"].iter().find_map(|section| {
        let map = resources?.at(section)?.as_map()?;
        let mut keys: Vec<&str> = map.0.iter().map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        let unknown = keys
            .into_iter()
            .find(|key| !matches!(*key, "cpu" | "memory"))?;
        Some(format!("unsupported pod resource {}", quote(unknown)))
    })
}

fn resources(resources: Option<&Value>, findings: &mut Findings<'_>) {
    if let Some(problem) = unsupported_resource(resources) {
        findings.error(problem);
    }
}

fn replaced_arguments(document: &Document, findings: &mut Findings<'_>) {
    let Some(arguments) = document.at("extraArgs").and_then(Value::as_map) else {
        return;
    };
    for (prefix, replacement) in REPLACED_ARGUMENTS {
        for (argument, _) in arguments
            .0
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
        {
            findings.error(format!(
                "kube-apiserver extra argument {} is not allowed: use {replacement}",
                quote(argument)
            ));
        }
    }
}

fn proxy(document: &Document, findings: &mut Findings<'_>) {
    let mode = text(document, "mode");
    match mode {
        "" | "nftables" => {}
        "iptables" | "ipvs" => findings.warning(format!(
            "proxy mode {} is not recommended, please switch to nftables if possible",
            quote(mode)
        )),
        _ => findings.error(format!(
            "invalid proxy mode {}: supported modes are iptables, ipvs and nftables",
            quote(mode)
        )),
    }
    if document.at("extraArgs").is_some() {
        findings.warning(
            "extra arguments for kube-proxy may not work as expected, please use configuration instead",
        );
    }
}

fn authorizer(name: &str, document: &Document, findings: &mut Findings<'_>) {
    let kind = text(document, "type");
    findings.require(!name.is_empty(), "authorizer name is required");
    findings.require(!kind.is_empty(), "authorizer type is required");
    if !AUTHORIZERS.contains(&kind) {
        findings.error(format!(
            "authorizer type {kind} is not allowed, allowed types are [{}]",
            AUTHORIZERS.join(" ")
        ));
    }
    let webhook = document.at("webhook").is_some();
    if kind == "Webhook" && !webhook {
        findings.error("authorizer webhook configuration is required for Webhook authorizer type");
    }
    if kind != "Webhook" && webhook {
        findings.warning(
            "authorizer webhook configuration is not allowed non-Webhook authorizer types",
        );
    }
}

/// The first thing that is wrong with a certificate and its key.
pub(super) fn pair(certificate: &str, key: &str, readable: bool) -> Result<(), String> {
    if certificate.is_empty() {
        return Err("certificate is required".to_owned());
    }
    if key.is_empty() {
        return Err("key is required".to_owned());
    }
    pem::check(certificate, Some("CERTIFICATE")).map_err(|why| format!("certificate: {why}"))?;
    pem::check(key, None).map_err(|why| format!("key: {why}"))?;
    if readable {
        pem::check_certificate(certificate)
            .map_err(|why| format!("certificate is invalid: {why}"))?;
        pem::check_key(key).map_err(|why| format!("key is invalid: {why}"))?;
    }
    Ok(())
}

fn authority(document: &Document, kind: &str, findings: &mut Findings<'_>) {
    if document.at("issuingCA").is_some() {
        let (certificate, key) = (
            text(document, "issuingCA.cert"),
            text(document, "issuingCA.key"),
        );
        if let Err(why) = pair(certificate, key, true) {
            findings.error(format!("issuing CA: {why}"));
        }
    } else if kind == "KubeAggregatorCAConfig" {
        findings.error("issuing CA is not set");
    }
    for (index, accepted) in texts(document, "acceptedCAs").enumerate() {
        if let Err(why) = pem::check(accepted, Some("CERTIFICATE")) {
            findings.error(format!("accepted CA #{index}: {why}"));
        }
    }
}

fn network(document: &Document, findings: &mut Findings<'_>) {
    let mask = |path: &str, default: i64| match int(document, path) {
        0 => default,
        bits => bits,
    };
    let (four, six) = (
        mask("nodeCIDRMaskSizeIPv4", 24),
        mask("nodeCIDRMaskSizeIPv6", 64),
    );
    let (four_fits, six_fits) = ((1..=32).contains(&four), (1..=128).contains(&six));
    findings.require(four_fits, "nodeCIDRMaskSizeIPv4 must be between 1 and 32");
    findings.require(six_fits, "nodeCIDRMaskSizeIPv6 must be between 1 and 128");
    let for_pods = |subnet: Prefix| {
        let (bits, fits) = if subnet.ip.is_ipv4() {
            (four, four_fits)
        } else {
            (six, six_fits)
        };
        let spare = bits - i64::from(subnet.bits);
        if !fits {
            Ok(())
        } else if spare < 0 {
            Err(format!(
                "{subnet} is smaller than the per-node pod CIDR mask size /{bits}"
            ))
        } else if spare > MOST_NODE_BITS {
            Err(format!(
                "{subnet} is too large for the per-node pod CIDR mask size /{bits}, the difference must be at most {MOST_NODE_BITS} bits"
            ))
        } else {
            Ok(())
        }
    };
    let for_services = |subnet: Prefix| {
        if subnet.width() - subnet.bits > MOST_SERVICE_BITS {
            return Err(format!(
                "{subnet} is too large, it must be at least /{} (at most {MOST_SERVICE_BITS} host identifier bits)",
                subnet.width() - MOST_SERVICE_BITS
            ));
        }
        Ok(())
    };
    let pods = list(document, "podSubnets");
    let services = list(document, "serviceSubnets");
    if let Err(why) = subnets(pods, for_pods) {
        findings.error(format!("pod subnets: {why}"));
    }
    if let Err(why) = subnets(services, for_services) {
        findings.error(format!("service subnets: {why}"));
    }
    findings.require(
        pods.len() == services.len(),
        "the number of pod subnets must match the number of service subnets",
    );
}

fn subnets(list: &[Value], fits: impl Fn(Prefix) -> Result<(), String>) -> Result<(), String> {
    match list.len() {
        0 => return Err("at least one subnet must be specified".to_owned()),
        1 | 2 => {}
        _ => return Err("at most two subnets can be specified for dual-stack clusters".to_owned()),
    }
    let mut families = Vec::new();
    for subnet in list {
        let invalid = |why: String| format!("invalid subnet: {why}");
        let subnet = address::parse_prefix(subnet.as_text().unwrap_or_default())
            .map_err(|_| invalid("invalid Prefix".to_owned()))?;
        if subnet.masked() != subnet {
            return Err(invalid(format!("{subnet} is not a valid CIDR")));
        }
        if subnet.width() - subnet.bits < FEWEST_HOST_BITS {
            return Err(invalid(format!(
                "/{} is too small, it must be larger than /{}",
                subnet.bits,
                subnet.bits - FEWEST_HOST_BITS
            )));
        }
        fits(subnet).map_err(invalid)?;
        families.push(subnet.ip.is_ipv4());
    }
    if families.len() == 2 && families[0] == families[1] {
        return Err(
            "at most one IPv4 and one IPv6 subnet can be specified for dual-stack clusters"
                .to_owned(),
        );
    }
    Ok(())
}
