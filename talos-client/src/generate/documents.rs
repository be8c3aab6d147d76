//! Contract 1.14: the main document keeps only what belongs to Talos itself.

use super::{
    EXCLUDE_FROM_BALANCERS, Generator, POD_SUBNET, SERVICE_SUBNET, audit_policy, pod_security,
};
use crate::config::{Document, MachineType};
use crate::error::Error;
use crate::secrets::Ca;
use crate::value::Value;

const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

impl Generator {
    pub(super) fn documents(&self, machine: MachineType) -> Result<Vec<Document>, Error> {
        let (options, secrets) = (&self.options, &self.secrets);
        let mut documents = vec![self.main_document(machine)];
        if options.discovery {
            documents.push(
                Document::of("DiscoveryServiceConfig")
                    .with("name", "default")
                    .with("endpoint", "https://discovery.talos.dev/"),
            );
        }
        documents.push(
            Document::of("DiscoveryIdentityConfig")
                .with("clusterID", secrets.cluster_id())
                .with("clusterSecret", secrets.cluster_secret()),
        );
        if let Some(disk) = options.install_disk.as_ref().filter(|_| options.unattended) {
            let mut install = Document::of("UnattendedInstallConfig")
                .with_path(
                    "provisioning.diskSelector.match",
                    format!("disk.dev_path == \"{disk}\""),
                )
                .with_path("provisioning.wipe", false);
            if let Some(image) = &options.install_image {
                install = install.with_path("installer.image", image.as_str());
            }
            documents.push(install);
        }
        documents.push(
            Document::of("ResolverConfig")
                .with_path("hostDNS.enabled", true)
                .with_path("hostDNS.forwardKubeDNSToHost", true),
        );
        if !options.sysctls.is_empty() {
            let params = Value::map(
                options
                    .sysctls
                    .iter()
                    .map(|(k, v)| (k.clone(), Value::text(v))),
            );
            documents.push(Document::of("SysctlConfig").with("params", params));
        }
        documents.push(
            Document::of("VolumeConfig")
                .with("name", "EPHEMERAL")
                .with_path("mount.secure", true),
        );
        documents.push(Document::of("FilesystemTrimConfig").with("interval", "168h0m0s"));
        documents.push(Document::of("SecurityProfileConfig").with("workloadIsolation", true));
        documents.extend(self.registry_documents());
        documents.push(Self::hostname_document());
        documents.extend(self.kubespan_document());
        if options.kubernetes {
            documents.extend(self.node_documents(machine)?);
            if machine.is_control_plane() {
                documents.extend(self.control_plane_documents()?);
            }
        }
        Ok(documents)
    }

    fn main_document(&self, machine: MachineType) -> Document {
        let (options, secrets) = (&self.options, &self.secrets);
        let control_plane = machine.is_control_plane();
        let ca = if control_plane {
            secrets.os_ca()
        } else {
            secrets.os_ca_certificate()
        };
        let mut main = self
            .head()
            .with_path("machine.type", machine.as_str())
            .with_path("machine.token", secrets.trustd_token())
            .with_path("machine.ca", ca)
            .with_path("machine.features.diskQuotaSupport", true)
            .with_path("cluster", Value::map::<&str>([]));
        if !options.sans.is_empty() {
            main = main.with_path("machine.certSANs", Value::texts(&options.sans));
        }
        if options.kubernetes || !control_plane {
            main = main.with_path("cluster.token", secrets.bootstrap_token());
        }
        if control_plane && options.etcd {
            main = main.with_path("cluster.etcd.ca", secrets.etcd_ca());
        }
        main
    }

    fn node_documents(&self, machine: MachineType) -> Result<Vec<Document>, Error> {
        let options = &self.options;
        let control_plane = machine.is_control_plane();
        let mut node = Document::of("KubeNodeConfig");
        if control_plane {
            let labels = [
                (CONTROL_PLANE, Value::text("")),
                (EXCLUDE_FROM_BALANCERS, Value::text("")),
            ];
            node = node.with("labels", Value::map(labels));
            if !options.allow_scheduling {
                node = node.with(
                    "taints",
                    Value::map([(CONTROL_PLANE, Value::text("NoSchedule"))]),
                );
            }
        }
        let ca = Document::of("KubeAPIServerCAConfig");
        let ca = if control_plane {
            ca.with("issuingCA", self.pem_pair(Ca::Kubernetes)?)
        } else {
            ca.with(
                "acceptedCAs",
                Value::texts([self.secrets.pem(Ca::Kubernetes)?.0]),
            )
        };
        let mut documents = vec![
            Document::of("KubeClusterConfig")
                .with("clusterName", self.cluster.as_str())
                .with("endpoint", self.endpoint.as_str()),
            node,
            Document::of("KubeletConfig")
                .with("image", self.image("ghcr.io/siderolabs/kubelet"))
                .with("defaultRuntimeSeccompProfileEnabled", true),
            Document::of("KubeNetworkConfig")
                .with("dnsDomain", options.dns_domain.as_str())
                .with("podSubnets", Value::texts([POD_SUBNET]))
                .with("serviceSubnets", Value::texts([SERVICE_SUBNET])),
            ca,
        ];
        if let Some(port) = self.proxy_port() {
            documents.push(Document::of("KubePrismConfig").with("port", Value::from(port)));
        }
        Ok(documents)
    }

    fn control_plane_documents(&self) -> Result<Vec<Document>, Error> {
        let (options, secrets) = (&self.options, &self.secrets);
        let mut api_server = Document::of("KubeAPIServerConfig")
            .with("image", self.image("registry.k8s.io/kube-apiserver"));
        if let Some(port) = options.api_server_port {
            api_server = api_server.with("apiPort", Value::from(port));
        }
        if !options.sans.is_empty() {
            api_server = api_server.with("certExtraSANs", Value::texts(&options.sans));
        }
        let mut documents = vec![
            Document::of("KubeAggregatorCAConfig")
                .with("issuingCA", self.pem_pair(Ca::Aggregator)?),
            Document::of("KubeAdmissionControlConfig")
                .with("name", "PodSecurity")
                .with("configuration", pod_security()),
            Document::of("KubeAuditPolicyConfig").with("configuration", audit_policy()),
            Document::of("KubeAuthenticationConfig").with("configuration", anonymous_probes()),
            Document::of("KubeAuthorizerConfig")
                .with("name", "node")
                .with("type", "Node"),
            Document::of("KubeAuthorizerConfig")
                .with("name", "rbac")
                .with("type", "RBAC"),
        ];
        if let Some((legacy, secret)) = secrets.encryption_secret() {
            documents.push(
                Document::of("KubeEtcdEncryptionConfig")
                    .with("config", etcd_encryption(legacy, secret)),
            );
        }
        documents.extend([
            Document::of("KubeServiceAccountConfig")
                .with_path("issuer.privateKey", secrets.service_account_pem()?)
                .with_path("issuer.issuerURL", self.endpoint.as_str()),
            api_server,
            Document::of("KubeControllerManagerConfig").with(
                "image",
                self.image("registry.k8s.io/kube-controller-manager"),
            ),
            Document::of("KubeSchedulerConfig")
                .with("image", self.image("registry.k8s.io/kube-scheduler")),
            Document::of("KubeProxyConfig").with("image", self.image("registry.k8s.io/kube-proxy")),
        ]);
        if options.cni_url.is_none() {
            documents.push(
                Document::of("KubeFlannelCNIConfig")
                    .with("backendType", "vxlan")
                    .with("backendPort", Value::Int(4789)),
            );
        }
        documents.push(Document::of("KubeCoreDNSConfig").with("enabled", true));
        if let Some(url) = &options.cni_url {
            documents.push(
                Document::of("KubeExternalManifestConfig")
                    .with("name", "custom-cni")
                    .with("url", url.as_str()),
            );
        }
        Ok(documents)
    }

    fn pem_pair(&self, ca: Ca) -> Result<Value, Error> {
        let (certificate, key) = self.secrets.pem(ca)?;
        Ok(Value::map([
            ("cert", Value::text(certificate)),
            ("key", Value::Text(key)),
        ]))
    }
}

/// Probes may be asked without credentials, nothing else.
fn anonymous_probes() -> Value {
    let condition = |path: &str| Value::map([("path", Value::text(path))]);
    let conditions = ["/livez", "/readyz", "/healthz"]
        .into_iter()
        .map(condition)
        .collect();
    Value::map([
        (
            "anonymous",
            Value::map([
                ("enabled", Value::Bool(true)),
                ("conditions", Value::List(conditions)),
            ]),
        ),
        ("jwt", Value::List(Vec::new())),
    ])
}

fn etcd_encryption(legacy: bool, secret: Value) -> Value {
    let (provider, name) = if legacy {
        ("aescbc", "key1")
    } else {
        ("secretbox", "key2")
    };
    let key = Value::map([("name", Value::text(name)), ("secret", secret)]);
    let provider = Value::map([(provider, Value::map([("keys", Value::List(vec![key]))]))]);
    let resource = Value::map([
        ("providers", Value::List(vec![provider])),
        ("resources", Value::texts(["secrets"])),
    ]);
    Value::map([("resources", Value::List(vec![resource]))])
}
