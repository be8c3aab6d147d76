//! What callers ask of a configuration, whichever contract wrote it: legacy section or newer document.

use super::{Document, MachineConfig};
use crate::value::{Map, Value};

/// What a node becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MachineType {
    /// The older name of the control plane node that bootstraps etcd by itself.
    Init,
    /// Runs etcd and the Kubernetes control plane.
    ControlPlane,
    /// Runs workloads only.
    Worker,
}

impl MachineType {
    /// The text in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::ControlPlane => "controlplane",
            Self::Worker => "worker",
        }
    }

    /// `Init` counts as a control plane node.
    pub fn is_control_plane(self) -> bool {
        self != Self::Worker
    }
}

/// Kubernetes objects that the node applies at bootstrap.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InlineManifest {
    /// Unique within the configuration.
    pub name: String,
    /// YAML documents.
    pub contents: String,
}

impl MachineConfig {
    fn text(&self, path: &str) -> Option<&str> {
        self.main()?
            .at(path)?
            .as_text()
            .filter(|text| !text.is_empty())
    }

    fn of<'a>(&'a self, kind: &'a str, path: &str) -> Option<&'a str> {
        self.of_kind(kind)
            .find_map(|document| document.at(path)?.as_text())
    }

    /// `machine.type`.
    pub fn machine_type(&self) -> Option<MachineType> {
        match self.text("machine.type")? {
            "init" => Some(MachineType::Init),
            "controlplane" => Some(MachineType::ControlPlane),
            "worker" | "join" => Some(MachineType::Worker),
            _ => None,
        }
    }

    /// The static host name, if one is set.
    pub fn hostname(&self) -> Option<&str> {
        self.of("HostnameConfig", "hostname")
            .or_else(|| self.text("machine.network.hostname"))
    }

    /// The cluster's name.
    pub fn cluster_name(&self) -> Option<&str> {
        self.of("KubeClusterConfig", "clusterName")
            .or_else(|| self.text("cluster.clusterName"))
    }

    /// The URL of the Kubernetes API.
    pub fn endpoint(&self) -> Option<&str> {
        self.of("KubeClusterConfig", "endpoint")
            .or_else(|| self.text("cluster.controlPlane.endpoint"))
    }

    /// The identifier shared by all nodes of a cluster.
    pub fn cluster_id(&self) -> Option<&str> {
        self.of("DiscoveryIdentityConfig", "clusterID")
            .or_else(|| self.text("cluster.id"))
    }

    /// The kubelet's version, `1.36.0`, taken from its image.
    pub fn kubernetes_version(&self) -> Option<&str> {
        let image = self
            .of("KubeletConfig", "image")
            .or_else(|| self.text("machine.kubelet.image"))?;
        let tag = image.split('@').next()?.rsplit_once(':')?.1;
        Some(tag.strip_prefix('v').unwrap_or(tag))
    }

    /// The disk to install to, by path.
    pub fn install_disk(&self) -> Option<&str> {
        self.text("machine.install.disk")
    }

    /// Neither a disk nor a selector, nor an unattended install document.
    pub fn has_install_target(&self) -> bool {
        self.install_disk().is_some()
            || self
                .main()
                .is_some_and(|main| main.at("machine.install.diskSelector").is_some())
            || self.of_kind("UnattendedInstallConfig").next().is_some()
    }

    /// The installer image.
    pub fn install_image(&self) -> Option<&str> {
        self.of("UnattendedInstallConfig", "installer.image")
            .or_else(|| self.text("machine.install.image"))
    }

    /// Manifests in the configuration, legacy list first.
    pub fn inline_manifests(&self) -> Vec<InlineManifest> {
        let manifest = |map: &Map, key: &str| InlineManifest {
            name: map
                .get("name")
                .and_then(Value::as_text)
                .unwrap_or_default()
                .to_owned(),
            contents: map
                .get(key)
                .and_then(Value::as_text)
                .unwrap_or_default()
                .to_owned(),
        };
        let legacy = self
            .main()
            .and_then(|main| main.at("cluster.inlineManifests"))
            .map(Value::as_list)
            .unwrap_or_default();
        let mut all: Vec<_> = legacy
            .iter()
            .filter_map(Value::as_map)
            .map(|map| manifest(map, "contents"))
            .collect();
        all.extend(
            self.of_kind("KubeInlineManifestConfig")
                .map(|document| manifest(&document.values, "manifest")),
        );
        all
    }

    /// Labels that the node gives itself.
    pub fn node_labels(&self) -> Vec<(String, String)> {
        let legacy = self.main().and_then(|main| main.at("machine.nodeLabels"));
        let newer = self
            .of_kind("KubeNodeConfig")
            .filter_map(|document| document.at("labels"));
        pairs(legacy.into_iter().chain(newer))
    }

    /// Taints that the node gives itself, as `key`, `value:Effect`.
    pub fn node_taints(&self) -> Vec<(String, String)> {
        let legacy = self.main().and_then(|main| main.at("machine.nodeTaints"));
        let newer = self
            .of_kind("KubeNodeConfig")
            .filter_map(|document| document.at("taints"));
        pairs(legacy.into_iter().chain(newer))
    }

    /// Nothing installs a pod network: the CNI is `none`, or the newer documents have no Flannel.
    pub fn cni_is_none(&self) -> bool {
        if self.is_documents_contract() {
            return self.of_kind("KubeFlannelCNIConfig").next().is_none();
        }
        self.text("cluster.network.cni.name") == Some("none")
    }

    /// kube-proxy is not deployed.
    pub fn kube_proxy_disabled(&self) -> bool {
        if self.is_documents_contract() {
            let off = |document: &Document| {
                document.at("enabled").and_then(Value::as_bool) == Some(false)
            };
            return self.of_kind("KubeProxyConfig").next().is_none_or(off);
        }
        self.main()
            .and_then(|main| main.at("cluster.proxy.disabled"))
            .and_then(Value::as_bool)
            == Some(true)
    }

    /// Workloads may run on control plane nodes.
    pub fn allows_scheduling_on_control_planes(&self) -> bool {
        if self.is_documents_contract() {
            return !self
                .node_taints()
                .iter()
                .any(|(key, _)| key == "node-role.kubernetes.io/control-plane");
        }
        [
            "cluster.allowSchedulingOnControlPlanes",
            "cluster.allowSchedulingOnMasters",
        ]
        .iter()
        .any(|path| {
            self.main()
                .and_then(|main| main.at(path))
                .and_then(Value::as_bool)
                == Some(true)
        })
    }

    /// Addresses with prefix length that the node gives its interfaces.
    pub fn addresses(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .interfaces()
            .flat_map(|map| texts(map.get("addresses")))
            .collect();
        for document in self
            .documents
            .iter()
            .filter(|document| document.kind.is_some())
        {
            for item in document
                .at("addresses")
                .map(Value::as_list)
                .unwrap_or_default()
            {
                all.extend(
                    item.at("address")
                        .and_then(Value::as_text)
                        .map(str::to_owned),
                );
            }
        }
        all
    }

    /// Virtual addresses that the control plane nodes share.
    pub fn virtual_ips(&self) -> Vec<String> {
        let legacy = self
            .interfaces()
            .filter_map(|map| map.get("vip")?.at("ip")?.as_text());
        let newer = self.of_kind("Layer2VIPConfig").filter_map(Document::name);
        legacy.chain(newer).map(str::to_owned).collect()
    }

    /// Networks of pods.
    pub fn pod_subnets(&self) -> Vec<String> {
        self.subnets("podSubnets")
    }

    /// Networks of services.
    pub fn service_subnets(&self) -> Vec<String> {
        self.subnets("serviceSubnets")
    }

    fn subnets(&self, key: &str) -> Vec<String> {
        let legacy = self
            .main()
            .and_then(|main| main.at(&format!("cluster.network.{key}")));
        let newer = self
            .of_kind("KubeNetworkConfig")
            .find_map(|document| document.at(key));
        texts(newer.or(legacy))
    }

    /// Names and addresses in the certificate of the Talos API.
    pub fn cert_sans(&self) -> Vec<String> {
        texts(self.main().and_then(|main| main.at("machine.certSANs")))
    }

    /// Names of user volumes (`UserVolumeConfig`).
    pub fn user_volumes(&self) -> Vec<String> {
        self.of_kind("UserVolumeConfig")
            .filter_map(Document::name)
            .map(str::to_owned)
            .collect()
    }

    /// The certificate of the Talos CA, PEM, as the configuration carries it.
    pub fn os_ca(&self) -> Option<String> {
        pem(self.text("machine.ca.crt")?)
    }

    /// The port of KubePrism, when it is on.
    pub fn kube_prism_port(&self) -> Option<u16> {
        let port = |value: Option<&Value>| {
            value
                .and_then(Value::as_int)
                .and_then(|port| u16::try_from(port).ok())
        };
        if let Some(document) = self.of_kind("KubePrismConfig").next() {
            return port(document.at("port"));
        }
        let main = self.main()?;
        let on = main
            .at("machine.features.kubePrism.enabled")
            .and_then(Value::as_bool)
            == Some(true);
        on.then(|| port(main.at("machine.features.kubePrism.port")).unwrap_or(7445))
    }

    /// From contract 1.14 the Kubernetes settings stand in documents of their own.
    fn is_documents_contract(&self) -> bool {
        self.of_kind("KubeClusterConfig").next().is_some()
    }

    fn interfaces(&self) -> impl Iterator<Item = &Map> {
        let list = self
            .main()
            .and_then(|main| main.at("machine.network.interfaces"))
            .map(Value::as_list);
        list.unwrap_or_default().iter().filter_map(Value::as_map)
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value
        .map(Value::as_list)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_text)
        .map(str::to_owned)
        .collect()
}

fn pairs<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<(String, String)> {
    let maps = values.filter_map(Value::as_map);
    maps.flat_map(|map| {
        map.0
            .iter()
            .filter_map(|(key, value)| Some((key.to_string(), value.as_text()?.to_owned())))
    })
    .collect()
}

pub(super) fn pem(base64: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(base64)
        .ok()?;
    String::from_utf8(bytes).ok()
}
