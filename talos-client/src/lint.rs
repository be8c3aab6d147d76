//! What a node accepts but nobody means.

use crate::address;
use crate::config::{Document, MachineConfig};
use crate::error::Problem;
use crate::quote::quote;
use crate::uri;
use crate::value::Value;

impl MachineConfig {
    /// Looks for what validation lets through although it does not work or is not wanted: endpoints without TLS, missing
    /// tokens and secrets, subnets and manifest addresses that are none, certificates that are not PEM, images without a
    /// version, and nodes that no one can reach by name.
    ///
    /// Nothing in the list keeps a node from taking the configuration.
    pub fn lint(&self) -> Vec<Problem> {
        let mut lint = Lint { found: Vec::new() };
        if let Some(main) = self.main() {
            lint.main(main);
        }
        for document in self
            .documents
            .iter()
            .filter(|document| document.kind.is_some())
        {
            lint.document(document);
        }
        lint.found
    }
}

struct Lint {
    found: Vec<Problem>,
}

fn text<'d>(document: &'d Document, path: &str) -> &'d str {
    document
        .at(path)
        .and_then(Value::as_text)
        .unwrap_or_default()
}

fn texts<'d>(document: &'d Document, path: &str) -> Vec<(String, &'d str)> {
    let list = document.at(path).map(Value::as_list).unwrap_or_default();
    list.iter()
        .enumerate()
        .filter_map(|(index, item)| Some((format!("{path}[{index}]"), item.as_text()?)))
        .collect()
}

impl Lint {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.found.push(Problem::new(path, message));
    }

    fn main(&mut self, main: &Document) {
        if main.at("machine").is_some() && text(main, "machine.token").is_empty() {
            self.add(
                "machine.token",
                "without a token the node cannot join the cluster's trust",
            );
        }
        let control_plane = matches!(text(main, "machine.type"), "init" | "controlplane");
        let has_cluster = main.at("cluster.controlPlane").is_some();
        if has_cluster && text(main, "cluster.token").is_empty() {
            self.add(
                "cluster.token",
                "without a bootstrap token no kubelet can join",
            );
        }
        if has_cluster && control_plane {
            if main.at("cluster.ca").is_none() {
                self.add(
                    "cluster.ca",
                    "a control plane without a Kubernetes CA issues no certificates",
                );
            }
            if main.at("cluster.serviceAccount").is_none() {
                self.add(
                    "cluster.serviceAccount",
                    "a control plane without a service account key signs no tokens",
                );
            }
        }
        self.plain_http(
            "cluster.controlPlane.endpoint",
            text(main, "cluster.controlPlane.endpoint"),
        );
        let discovery = "cluster.discovery.registries.service.endpoint";
        self.plain_http(discovery, text(main, discovery));
        for field in ["podSubnets", "serviceSubnets"] {
            for (path, subnet) in texts(main, &format!("cluster.network.{field}")) {
                self.subnet(path, subnet);
            }
        }
        for (path, url) in texts(main, "cluster.extraManifests") {
            self.manifest(path, url);
        }
        for (path, server) in texts(main, "machine.network.nameservers") {
            if address::parse(server).is_err() {
                self.add(
                    path,
                    format!(
                        "{} is not an IP address: the node ignores it",
                        quote(server)
                    ),
                );
            }
        }
        for field in [
            "machine.ca.crt",
            "cluster.ca.crt",
            "cluster.aggregatorCA.crt",
            "cluster.etcd.ca.crt",
        ] {
            self.certificate(field, text(main, field));
        }
        for field in ["machine.acceptedCAs", "cluster.acceptedCAs"] {
            let list = main.at(field).map(Value::as_list).unwrap_or_default();
            for (index, item) in list.iter().enumerate() {
                let crt = item.at("crt").and_then(Value::as_text).unwrap_or_default();
                self.certificate(&format!("{field}[{index}].crt"), crt);
            }
        }
        for field in ["machine.install.image", "machine.kubelet.image"] {
            self.image(field, text(main, field));
        }
        let registries = main.at("machine.registries.config").and_then(Value::as_map);
        for (name, registry) in registries.into_iter().flat_map(|map| map.0.iter()) {
            if registry
                .at("tls.insecureSkipVerify")
                .and_then(Value::as_bool)
                == Some(true)
            {
                self.add(
                    format!("machine.registries.config.{name}.tls.insecureSkipVerify"),
                    "images of this registry come from whoever answers",
                );
            }
        }
    }

    fn document(&mut self, document: &Document) {
        let title = document.title();
        let at = |field: &str| format!("{title} {field}");
        match document.kind.unwrap_or_default() {
            "KubeClusterConfig" => self.plain_http(&at("endpoint"), text(document, "endpoint")),
            "DiscoveryServiceConfig" => {
                self.plain_http(&at("endpoint"), text(document, "endpoint"))
            }
            "KubeExternalManifestConfig" => self.plain_http(&at("url"), text(document, "url")),
            "RegistryTLSConfig"
                if document.at("insecureSkipVerify").and_then(Value::as_bool) == Some(true) =>
            {
                self.add(
                    at("insecureSkipVerify"),
                    "images of this registry come from whoever answers",
                );
            }
            "RegistryAuthConfig" => {
                let said = |field: &str| !text(document, field).is_empty();
                if said("username") != said("password") {
                    self.add(at("password"), "a user name and a password belong together");
                }
            }
            "UnattendedInstallConfig" => {
                self.image(&at("installer.image"), text(document, "installer.image"));
            }
            "WireguardConfig" => {
                let peers = document.at("peers").map(Value::as_list).unwrap_or_default();
                for (index, peer) in peers.iter().enumerate() {
                    if peer.at("allowedIPs").is_none() {
                        let path = at(&format!("peers[{index}].allowedIPs"));
                        self.add(path, "nothing is sent to a peer without allowed addresses");
                    }
                }
            }
            _ => {}
        }
    }

    fn plain_http(&mut self, path: &str, url: &str) {
        if uri::parse(url).is_ok_and(|url| url.scheme == "http") {
            self.add(
                path,
                "http shows everything to whoever listens; write https",
            );
        }
    }

    fn subnet(&mut self, path: String, subnet: &str) {
        match address::parse_prefix(subnet) {
            Err(_) => self.add(
                path,
                format!("{} is not a subnet: the node uses none", quote(subnet)),
            ),
            Ok(prefix) if prefix.masked() != prefix => {
                let message = format!("{prefix} is an address in {}", prefix.masked());
                self.add(path, message);
            }
            Ok(_) => {}
        }
    }

    fn manifest(&mut self, path: String, url: &str) {
        match uri::parse(url) {
            Ok(parsed) if matches!(parsed.scheme.as_str(), "http" | "https") => {
                self.plain_http(&path, url);
            }
            _ => self.add(
                path,
                format!("{} is not an address that can be fetched", quote(url)),
            ),
        }
    }

    fn certificate(&mut self, path: &str, encoded: &str) {
        if encoded.is_empty() {
            return;
        }
        let begins = b"-----BEGIN CERTIFICATE-----";
        let is_pem = crate::encoding::base64(encoded)
            .is_ok_and(|bytes| bytes.windows(begins.len()).any(|part| part == begins));
        if !is_pem {
            self.add(path, "it does not hold a certificate in PEM");
        }
    }

    fn image(&mut self, path: &str, reference: &str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        if !reference.is_empty() && !name.contains([':', '@']) {
            self.add(path, "an image without a version changes by itself");
        }
        if name.ends_with(":latest") {
            self.add(path, "`latest` changes by itself; name a version");
        }
    }
}
