//! Documents about the system itself: logs, files, kernel, registries, extensions, security.

use super::expression::{Environment, Output};
use super::{Findings, duration, kubernetes, list, names, pem, text};
use crate::address;
use crate::config::Document;
use crate::encoding;
use crate::quote::quote;
use crate::uri;
use crate::value::Value;

/// Shortest watchdog timeout, in nanoseconds.
const WATCHDOG_MINIMUM: i64 = 10_000_000_000;
/// The name of the part of the container runtime's configuration that older documents write.
const LEGACY_CUSTOMIZATION: &str = "customization";
const MANAGED_FILES: [&str; 7] = [
    "resolv.conf",
    "hosts",
    "machine-id",
    "extensions.yaml",
    "localtime",
    "os-release",
    "xattr.conf",
];
const MANAGED_FOLDERS: [&str; 12] = [
    "apparmor.d",
    "apparmor",
    "ca-certificates",
    "cni",
    "cri",
    "iscsi",
    "kubernetes",
    "lvm",
    "nvme",
    "pki",
    "selinux",
    "ssl",
];

pub(super) fn check(kind: &str, name: &str, document: &Document, findings: &mut Findings<'_>) {
    match kind {
        "DiscoveryIdentityConfig" => identity(document, findings),
        "DiscoveryServiceConfig" => discovery(name, document, findings),
        "CRIBaseRuntimeSpecConfig" => {
            if let Some(why) = super::runtime_spec::problem(document.at("overrides")) {
                findings.error(format!(
                    "failed to unmarshal base runtime spec overrides: {why}"
                ));
            }
        }
        "CRICustomizationConfig" => {
            if let Err(why) = names::key(name) {
                findings.error(format!("invalid name: {why}"));
            }
            if name == LEGACY_CUSTOMIZATION {
                findings.error(format!(
                    "name {} is reserved for the legacy CRI customization",
                    quote(name)
                ));
            }
        }
        "RegistryAuthConfig" => registry_auth(name, document, findings),
        "RegistryMirrorConfig" => registry_mirror(name, document, findings),
        "RegistryTLSConfig" => {
            findings.require(!name.is_empty(), "name must be specified");
            let authority = text(document, "ca");
            if !authority.is_empty() && !pem::has_certificate(authority) {
                findings.error("ca must be a valid PEM-encoded certificate");
            }
            if document.at("clientIdentity").is_some() {
                let (certificate, key) = (
                    text(document, "clientIdentity.cert"),
                    text(document, "clientIdentity.key"),
                );
                if let Err(why) = kubernetes::pair(certificate, key, false) {
                    findings.error(format!("client identity: {why}"));
                }
            }
        }
        "EnvironmentConfig" => {
            for key in keys(document, "variables") {
                let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
                let fine = !key.is_empty()
                    && key.bytes().all(word)
                    && !key.starts_with(|c: char| c.is_ascii_digit());
                if !fine {
                    findings.error(format!("invalid environment variable name: {}", quote(key)));
                }
            }
        }
        "EtcFileConfig" => etc_file(name, findings),
        "EventSinkConfig" => {
            if let Err(why) = address::split_host_port(text(document, "endpoint")) {
                findings.error(format!("event sink endpoint: {why}"));
            }
        }
        "KernelModuleConfig" => findings.require(!name.is_empty(), "name is required"),
        "KmsgLogConfig" => {
            if let Err(why) = kmsg_log(name, text(document, "url")) {
                findings.error(why);
            }
        }
        "SideroLinkConfig" => {
            if let Err(why) = siderolink(text(document, "apiUrl")) {
                findings.error(why);
            }
        }
        "OOMConfig" => oom(document, findings),
        "SysctlConfig" | "SysfsConfig" if keys(document, "params").any(str::is_empty) => {
            let what = if kind == "SysctlConfig" {
                "sysctl"
            } else {
                "sysfs"
            };
            findings.error(format!("{what} key cannot be empty"));
        }
        "WatchdogTimerConfig" => {
            let timeout = duration(document, "timeout");
            if text(document, "device").is_empty() {
                findings.error("watchdog device: empty value");
            } else if timeout != 0 && timeout < WATCHDOG_MINIMUM {
                findings.error("watchdog timeout: minimum value is 10s");
            }
        }
        "ExtensionServiceConfig" => {
            if let Err(why) = extension(name, document) {
                findings.error(why);
            }
        }
        "ImageVerificationConfig" => image_verification(document, findings),
        _ => {}
    }
}

fn keys<'d>(document: &'d Document, path: &str) -> impl Iterator<Item = &'d str> {
    let map = document.at(path).and_then(Value::as_map);
    map.into_iter()
        .flat_map(|map| map.0.iter())
        .map(|(key, _)| &**key)
}

fn identity(document: &Document, findings: &mut Findings<'_>) {
    if text(document, "clusterID").is_empty() {
        return findings.error("clusterID is required");
    }
    let secret = text(document, "clusterSecret");
    if secret.is_empty() {
        return findings.error("clusterSecret is required");
    }
    match encoding::base64(secret) {
        Err(at) => findings.error(format!(
            "invalid clusterSecret: failed to decode from base64: {secret}; {}",
            encoding::illegal(at)
        )),
        Ok(bytes) if bytes.len() != 32 => findings.error(format!(
            "invalid clusterSecret: expected 32 bytes, got {}: {secret}",
            bytes.len()
        )),
        Ok(_) => {}
    }
}

fn discovery(name: &str, document: &Document, findings: &mut Findings<'_>) {
    let endpoint = text(document, "endpoint");
    let problem = match uri::parse(endpoint) {
        _ if name.is_empty() => "name is required",
        _ if endpoint.is_empty() => "endpoint is required",
        Ok(url) if url.scheme.is_empty() => "endpoint scheme is required",
        Ok(url) if !matches!(url.scheme.as_str(), "http" | "https" | "grpc") => {
            "endpoint scheme must be http://, https:// or grpc://"
        }
        Ok(url) if url.hostname().is_empty() => "endpoint host is required",
        _ => return,
    };
    findings.error(problem);
}

fn registry_auth(name: &str, document: &Document, findings: &mut Findings<'_>) {
    findings.require(!name.is_empty(), "name must be specified");
    let said = |field: &str| !text(document, field).is_empty();
    let (user, token, auth) = (said("username"), said("identityToken"), said("auth"));
    if user && token {
        findings.error(
            "only one of username/password or identityToken authentication can be specified",
        );
    }
    if auth && (user || token) {
        findings.error(
            "only one of auth, username/password or identityToken authentication can be specified",
        );
    }
}

fn registry_mirror(name: &str, document: &Document, findings: &mut Findings<'_>) {
    findings.require(!name.is_empty(), "name must be specified");
    for (index, endpoint) in list(document, "endpoints").iter().enumerate() {
        let url = endpoint
            .at("url")
            .and_then(Value::as_text)
            .unwrap_or_default();
        let scheme = uri::parse(url).map(|url| url.scheme).unwrap_or_default();
        if url.is_empty() {
            findings.error(format!("endpoints[{index}].url must be specified"));
        } else if !matches!(scheme.as_str(), "http" | "https") {
            findings.error(format!(
                "endpoints[{index}].url has unsupported scheme: {}",
                quote(&scheme)
            ));
        }
    }
}

fn etc_file(name: &str, findings: &mut Findings<'_>) {
    if name.is_empty() {
        return findings.error("user etc file name cannot be empty");
    }
    let in_folder = |folder: &str| {
        name.strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if !is_local(name) || name.starts_with('.') {
        findings.error(format!(
            "user etc file {} must be a local path",
            quote(name)
        ));
    } else if MANAGED_FILES.contains(&name) || MANAGED_FOLDERS.into_iter().any(in_folder) {
        findings.error(format!("user etc file {} is managed by Talos", quote(name)));
    }
}

/// A relative path that never leaves the folder that it starts in.
fn is_local(path: &str) -> bool {
    let mut depth = 0_i32;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return false;
        }
    }
    !path.starts_with('/')
}

fn kmsg_log(name: &str, url: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("name is required");
    }
    if url.is_empty() {
        return Err("url is required");
    }
    let Ok(url) = uri::parse(url) else {
        return Err("url is required");
    };
    if !matches!(url.scheme.as_str(), "tcp" | "udp") {
        return Err("url scheme must be tcp:// or udp://");
    }
    if !matches!(url.path.as_str(), "" | "/") {
        return Err("url path must be empty");
    }
    if url.port().is_empty() {
        return Err("url port is required");
    }
    Ok(())
}

fn siderolink(url: &str) -> Result<(), &'static str> {
    if url.is_empty() {
        return Err("apiUrl is required");
    }
    let Ok(url) = uri::parse(url) else {
        return Err("apiUrl is required");
    };
    if !matches!(url.scheme.as_str(), "https" | "grpc") {
        return Err("apiUrl scheme must be https:// or grpc://");
    }
    if !matches!(url.path.as_str(), "" | "/") {
        return Err("apiUrl path must be empty");
    }
    Ok(())
}

fn oom(document: &Document, findings: &mut Findings<'_>) {
    for (field, environment, output, what) in [
        (
            "triggerExpression",
            Environment::OomTrigger,
            Output::Bool,
            "OOM trigger expression",
        ),
        (
            "cgroupRankingExpression",
            Environment::OomRanking,
            Output::Double,
            "OOM cgroup scoring expression",
        ),
    ] {
        let expression = text(document, field);
        if !expression.is_empty()
            && let Err(why) = environment.check(expression, output)
        {
            findings.error(format!("{what} is invalid: {why}"));
        }
    }
    if duration(document, "sampleInterval") < 0 {
        findings.error("OOM sample interval must be longer than 0");
    }
}

fn extension(name: &str, document: &Document) -> Result<(), String> {
    if name.is_empty() {
        return Err("name is required".to_owned());
    }
    let files = list(document, "configFiles");
    if files.is_empty() && list(document, "environment").is_empty() {
        return Err(format!(
            "no config files found for extension {}",
            quote(name)
        ));
    }
    for file in files {
        for (field, what) in [("content", "content"), ("mountPath", "mount path")] {
            if file.at(field).is_none_or(Value::is_zero) {
                return Err(format!(
                    "extension {what} is required for extension {}",
                    quote(name)
                ));
            }
        }
    }
    Ok(())
}

fn image_verification(document: &Document, findings: &mut Findings<'_>) {
    for (index, rule) in list(document, "rules").iter().enumerate() {
        let field = |path: &str| rule.at(path).and_then(Value::as_text).unwrap_or_default();
        let is = |key: &str| rule.at(key).and_then(Value::as_bool) == Some(true);
        let has = |key: &str| rule.at(key).is_some();
        let pattern = field("image");
        let place = format!("rule {index}");
        if pattern.is_empty() {
            findings.error(format!("{place}: imagePattern must be specified"));
        }
        let scope =
            "but matching only applies to the image registry and repository, not the tag or digest";
        if pattern.contains('@') {
            findings.warning(format!("{place}: imagePattern contains '@' {scope}"));
        }
        if pattern
            .split_once('/')
            .is_some_and(|(_, rest)| rest.contains(':'))
        {
            findings.warning(format!("{place}: imagePattern contains ':' {scope}"));
        }
        if !pattern.contains('/') && !matches!(pattern, "" | "*") {
            findings.warning(format!(
                "{place}: imagePattern does not contain a '/', image references like 'nginx' are matched as 'docker.io/nginx' (normalized)"
            ));
        }
        let (skip, deny) = (is("skip"), is("deny"));
        let (keyless, key) = (has("keyless"), has("publicKey"));
        for (wrong, what) in [
            (skip && deny, "skip and deny cannot both be true"),
            (
                (skip || deny) && (keyless || key),
                "verifiers cannot be configured if skip or deny is true",
            ),
            (
                !(skip || deny || keyless || key),
                "at least one verifier must be configured",
            ),
            (
                keyless && key,
                "only one of keyless or publicKey verifier can be configured",
            ),
            (
                keyless && field("keyless.issuer").is_empty(),
                "verifier OIDC issuer must be specified",
            ),
            (
                keyless
                    && field("keyless.subject").is_empty()
                    && field("keyless.subjectRegex").is_empty(),
                "verifier subject or subjectRegex must be specified",
            ),
            (
                key && field("publicKey.certificate").is_empty(),
                "verifier certificates must be specified",
            ),
        ] {
            if wrong {
                findings.error(format!("{place}: {what}"));
            }
        }
    }
}
