//! New machine configurations for a version contract, byte-equal to the reference for the same secrets and options.

use std::collections::BTreeMap;

use crate::config::{Document, MachineConfig, MachineType};
use crate::error::{Error, ErrorKind};
use crate::secrets::SecretsBundle;
use crate::uri;
use crate::value::Value;
use crate::version::VersionContract;

mod documents;
mod legacy;

/// What a cluster's configurations are made from. Start with [`Generator::new`], then set what differs.
///
/// ```
/// use talos_client::{Generator, MachineType, SecretsBundle, VersionContract};
///
/// # fn main() -> Result<(), talos_client::Error> {
/// let secrets = SecretsBundle::fixed_for_tests();
/// let generator = Generator::new("homelab", "https://10.0.20.10:6443", "1.36.1", secrets)?.contract(VersionContract::V1_13);
/// let config = generator.generate(MachineType::ControlPlane)?;
/// assert_eq!(config.cluster_name(), Some("homelab"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    cluster: String,
    endpoint: String,
    endpoint_host: String,
    kubernetes: String,
    secrets: SecretsBundle,
    contract: VersionContract,
    options: Options,
}

#[derive(Clone, Debug)]
struct Options {
    sans: Vec<String>,
    allow_scheduling: bool,
    dns_domain: String,
    install_disk: Option<String>,
    install_image: Option<String>,
    kernel_args: Vec<String>,
    unattended: bool,
    api_server_port: Option<u16>,
    sysctls: BTreeMap<String, String>,
    cni_url: Option<String>,
    mirrors: BTreeMap<String, Vec<String>>,
    registry_ca: BTreeMap<String, String>,
    registry_insecure: Vec<String>,
    /// `None` leaves it to the contract; 0 turns it off.
    kube_prism_port: Option<u16>,
    discovery: bool,
    kubespan: bool,
    host_dns_forward: bool,
    debug: bool,
    kubernetes: bool,
    etcd: bool,
}

impl Generator {
    /// Cluster name, control plane endpoint (`https://host[:port]`), Kubernetes version (`1.36.1`), secrets.
    ///
    /// The contract is that of the newest stable Talos known; set [`contract`](Self::contract) to the nodes' version.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the endpoint is not an URL with a host, or the Kubernetes version is empty.
    pub fn new(
        cluster: impl Into<String>,
        endpoint: impl Into<String>,
        kubernetes: impl Into<String>,
        secrets: SecretsBundle,
    ) -> Result<Self, Error> {
        let endpoint = endpoint.into();
        let wrong = |why: String| {
            Error::new(ErrorKind::InvalidArgument, why)
                .with_hint("write it as https://10.0.20.10:6443")
        };
        let parsed = uri::parse(&endpoint)
            .map_err(|why| wrong(format!("the endpoint `{endpoint}` is not an URL: {why}")))?;
        if parsed.scheme.is_empty() || parsed.hostname().is_empty() {
            return Err(wrong(format!("the endpoint `{endpoint}` has no host")));
        }
        let kubernetes = kubernetes.into();
        if kubernetes.is_empty() {
            let message = "kubernetes version must be specified";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self {
            cluster: cluster.into(),
            endpoint_host: parsed.hostname().to_owned(),
            kubernetes: kubernetes
                .strip_prefix('v')
                .unwrap_or(&kubernetes)
                .to_owned(),
            endpoint: parsed.to_string(),
            secrets,
            contract: VersionContract::V1_13,
            options: Options {
                sans: Vec::new(),
                allow_scheduling: false,
                dns_domain: "cluster.local".to_owned(),
                install_disk: None,
                install_image: None,
                kernel_args: Vec::new(),
                unattended: true,
                api_server_port: None,
                sysctls: BTreeMap::new(),
                cni_url: None,
                mirrors: BTreeMap::new(),
                registry_ca: BTreeMap::new(),
                registry_insecure: Vec::new(),
                kube_prism_port: None,
                discovery: true,
                kubespan: false,
                host_dns_forward: false,
                debug: false,
                kubernetes: true,
                etcd: true,
            },
        })
    }

    /// The Talos version line of the nodes.
    #[must_use]
    pub fn contract(mut self, contract: VersionContract) -> Self {
        self.contract = contract;
        self
    }

    /// Further names and addresses for the certificates of both APIs.
    #[must_use]
    pub fn additional_sans<T: Into<String>>(mut self, sans: impl IntoIterator<Item = T>) -> Self {
        self.options.sans = sans.into_iter().map(Into::into).collect();
        self
    }

    /// Let workloads run on control plane nodes.
    #[must_use]
    pub fn allow_scheduling_on_control_planes(mut self, allow: bool) -> Self {
        self.options.allow_scheduling = allow;
        self
    }

    /// The DNS domain of the cluster; `cluster.local` when not set.
    #[must_use]
    pub fn dns_domain(mut self, domain: impl Into<String>) -> Self {
        self.options.dns_domain = domain.into();
        self
    }

    /// The disk to install to, `/dev/sda`.
    #[must_use]
    pub fn install_disk(mut self, disk: impl Into<String>) -> Self {
        self.options.install_disk = Some(disk.into());
        self
    }

    /// The installer image; without it the node's own version is installed.
    #[must_use]
    pub fn install_image(mut self, image: impl Into<String>) -> Self {
        self.options.install_image = Some(image.into());
        self
    }

    /// Kernel arguments of the installed system (not from contract 1.14: they belong to the image there).
    #[must_use]
    pub fn kernel_args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.options.kernel_args = args.into_iter().map(Into::into).collect();
        self
    }

    /// From contract 1.14: leave out the document that installs without being asked.
    #[must_use]
    pub fn skip_unattended_install(mut self) -> Self {
        self.options.unattended = false;
        self
    }

    /// The port of the Kubernetes API on the nodes themselves, when it is not that of the endpoint.
    #[must_use]
    pub fn local_api_server_port(mut self, port: u16) -> Self {
        self.options.api_server_port = Some(port);
        self
    }

    /// Kernel parameters.
    #[must_use]
    pub fn sysctls<K: Into<String>, V: Into<String>>(
        mut self,
        sysctls: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.options.sysctls = sysctls
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        self
    }

    /// A custom CNI by manifest URL.
    #[must_use]
    pub fn cni_url(mut self, url: impl Into<String>) -> Self {
        self.options.cni_url = Some(url.into());
        self
    }

    /// Mirrors of a registry, tried in this order.
    #[must_use]
    pub fn registry_mirror<T: Into<String>>(
        mut self,
        registry: impl Into<String>,
        mirrors: impl IntoIterator<Item = T>,
    ) -> Self {
        self.options
            .mirrors
            .entry(registry.into())
            .or_default()
            .extend(mirrors.into_iter().map(Into::into));
        self
    }

    /// The CA (PEM) of a registry.
    #[must_use]
    pub fn registry_ca(mut self, registry: impl Into<String>, pem: impl Into<String>) -> Self {
        self.options.registry_ca.insert(registry.into(), pem.into());
        self
    }

    /// Do not verify the certificate of a registry.
    #[must_use]
    pub fn registry_insecure(mut self, registry: impl Into<String>) -> Self {
        self.options.registry_insecure.push(registry.into());
        self
    }

    /// The port of the API server proxy on every node, 7445 from contract 1.6 when not set; 0 turns it off.
    #[must_use]
    pub fn kube_prism_port(mut self, port: u16) -> Self {
        self.options.kube_prism_port = Some(port);
        self
    }

    /// The discovery service, on when not set.
    #[must_use]
    pub fn discovery(mut self, on: bool) -> Self {
        self.options.discovery = on;
        self
    }

    /// Encrypted mesh between the nodes.
    #[must_use]
    pub fn kubespan(mut self) -> Self {
        self.options.kubespan = true;
        self
    }

    /// Let pods' DNS go through the host's resolver; the default from contract 1.8.
    #[must_use]
    pub fn forward_kube_dns_to_host(mut self) -> Self {
        self.options.host_dns_forward = true;
        self
    }

    /// Verbose console output.
    #[must_use]
    pub fn debug(mut self, on: bool) -> Self {
        self.options.debug = on;
        self
    }

    /// Nodes without Kubernetes; below contract 1.14 only the bootstrap token is left out.
    #[must_use]
    pub fn without_kubernetes(mut self) -> Self {
        self.options.kubernetes = false;
        self
    }

    /// Control plane nodes without etcd.
    #[must_use]
    pub fn without_etcd(mut self) -> Self {
        self.options.etcd = false;
        self
    }

    /// The configuration of a node.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when the bundle lacks what the configuration carries.
    pub fn generate(&self, machine: MachineType) -> Result<MachineConfig, Error> {
        self.secrets.validate()?;
        let documents = if self.contract.at_least(14) {
            self.documents(machine)?
        } else {
            self.legacy(machine)
        };
        Ok(MachineConfig { documents })
    }

    fn head(&self) -> Document {
        Document::main()
            .with("version", "v1alpha1")
            .with("debug", self.options.debug)
            .with("persist", true)
    }

    /// The port of the API server proxy, unless it is off.
    fn proxy_port(&self) -> Option<u16> {
        let default = self.contract.at_least(6).then_some(7445);
        let port = self.options.kube_prism_port.or(default);
        port.filter(|port| *port != 0)
    }

    fn image(&self, repository: &str) -> Value {
        Value::text(format!("{repository}:v{}", self.kubernetes))
    }

    /// Registry documents of contract 1.12 and later.
    fn registry_documents(&self) -> Vec<Document> {
        let mirrors = self.options.mirrors.iter().map(|(name, urls)| {
            let endpoints = urls
                .iter()
                .map(|url| Value::map([("url", Value::text(url))]))
                .collect();
            Document::of("RegistryMirrorConfig")
                .with("name", name.as_str())
                .with("endpoints", Value::List(endpoints))
        });
        let mut tls: BTreeMap<&str, Document> = BTreeMap::new();
        let mut document = |name: &str, key: &'static str, value: Value| {
            let known = self
                .options
                .registry_ca
                .keys()
                .chain(&self.options.registry_insecure)
                .find(|known| *known == name);
            if let Some(known) = known {
                let entry = tls
                    .entry(known)
                    .or_insert_with(|| Document::of("RegistryTLSConfig").with("name", name));
                entry.values.set(key, value);
            }
        };
        for (name, pem) in &self.options.registry_ca {
            document(name, "ca", Value::text(pem));
        }
        for name in &self.options.registry_insecure {
            document(name, "insecureSkipVerify", Value::Bool(true));
        }
        mirrors.chain(tls.into_values()).collect()
    }

    fn hostname_document() -> Document {
        Document::of("HostnameConfig").with("auto", "stable")
    }

    fn kubespan_document(&self) -> Option<Document> {
        self.options
            .kubespan
            .then(|| Document::of("KubeSpanConfig").with("enabled", true))
    }
}

fn pod_security() -> Value {
    let pair = |key: &'static str, value: &str| (key, Value::text(value));
    Value::map([
        (
            "apiVersion",
            Value::text("pod-security.admission.config.k8s.io/v1alpha1"),
        ),
        ("kind", Value::text("PodSecurityConfiguration")),
        (
            "defaults",
            Value::map([
                pair("enforce", "baseline"),
                pair("enforce-version", "latest"),
                pair("audit", "restricted"),
                pair("audit-version", "latest"),
                pair("warn", "restricted"),
                pair("warn-version", "latest"),
            ]),
        ),
        (
            "exemptions",
            Value::map([
                ("usernames", Value::List(Vec::new())),
                ("runtimeClasses", Value::List(Vec::new())),
                ("namespaces", Value::texts(["kube-system"])),
            ]),
        ),
    ])
}

fn audit_policy() -> Value {
    Value::map([
        ("apiVersion", Value::text("audit.k8s.io/v1")),
        ("kind", Value::text("Policy")),
        (
            "rules",
            Value::List(vec![Value::map([("level", Value::text("Metadata"))])]),
        ),
    ])
}

const EXCLUDE_FROM_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
const POD_SUBNET: &str = "10.244.0.0/16";
const SERVICE_SUBNET: &str = "10.96.0.0/12";
