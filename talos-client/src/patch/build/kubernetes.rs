//! Kubernetes: sections of the main document up to contract 1.13, documents of their own from 1.14 on.

use super::PatchBuilder;
use crate::documents::v1alpha1::{
    AdmissionPlugin, ApiServer, Cluster, ClusterNetwork, Cni, ControllerManager, Etcd, ExtraMount,
    Features, InlineManifest, KubePrism, Kubelet, Machine, Proxy, Scheduler, TalosApiAccess,
    ValidSubnets,
};
use crate::documents::{
    CniName, ExtraArg, FreeForm, KubeAPIServerConfig, KubeAdmissionControlConfig,
    KubeAuditPolicyConfig, KubeControllerManagerConfig, KubeExternalManifestConfig,
    KubeFlannelCNIConfig, KubeInlineManifestConfig, KubeNetworkConfig, KubeNodeConfig,
    KubePrismConfig, KubeProxyConfig, KubeSchedulerConfig, KubeTalosAPIAccessConfig, KubeletConfig,
    Prefix, Url, k8s,
};

impl PatchBuilder {
    /// The kubelet's image, with its version.
    pub fn kubelet_image(self, image: &str) -> Self {
        if self.is(14) {
            return self.document(KubeletConfig::new().with_image(image));
        }
        self.kubelet(Kubelet::new().with_image(image))
    }

    /// A flag of the kubelet.
    pub fn kubelet_extra_arg(self, name: &str, value: impl Into<ExtraArg>) -> Self {
        if self.is(14) {
            return self.document(KubeletConfig::new().with_extra_args([(name, value)]));
        }
        self.kubelet(Kubelet::new().with_extra_args([(name, value)]))
    }

    /// Fields of the kubelet's own configuration.
    pub fn kubelet_config(self, config: FreeForm) -> Self {
        if self.is(14) {
            return self.document(KubeletConfig::new().with_config(config));
        }
        self.kubelet(Kubelet::new().with_extra_config(config))
    }

    /// Addresses of the cluster's DNS that pods are told.
    pub fn kubelet_cluster_dns<T: Into<String>>(
        self,
        addresses: impl IntoIterator<Item = T>,
    ) -> Self {
        if self.is(14) {
            return self.document(KubeletConfig::new().with_cluster_dns(addresses));
        }
        self.kubelet(Kubelet::new().with_cluster_dns(addresses))
    }

    /// A host path visible inside the kubelet, bound at the same place with `rbind,rshared,rw`, as storage systems need it.
    /// From contract 1.14 user volumes are visible without it, and this is refused.
    pub fn kubelet_extra_mount(self, path: &str) -> Self {
        if self.is(14) {
            let why = "there is no such setting; a user volume is visible to the kubelet";
            return self.refuse("kubelet extra mount", why);
        }
        let mount = ExtraMount::new()
            .with_destination(path)
            .with_type("bind")
            .with_source(path)
            .with_options(["bind", "rshared", "rw"]);
        self.kubelet(Kubelet::new().with_extra_mounts([mount]))
    }

    /// Networks from which the kubelet takes the node's address.
    pub fn kubelet_valid_subnets<T: Into<String>>(
        self,
        subnets: impl IntoIterator<Item = T>,
    ) -> Self {
        if self.is(14) {
            let node_ip = k8s::NodeIPConfig::new().with_valid_subnets(subnets);
            return self.document(KubeNodeConfig::new().with_node_ip(node_ip));
        }
        let node_ip = ValidSubnets::new().with_valid_subnets(subnets);
        self.kubelet(Kubelet::new().with_node_ip(node_ip))
    }

    fn kubelet(self, kubelet: Kubelet) -> Self {
        self.machine(Machine::new().with_kubelet(kubelet))
    }

    /// A label of the node.
    pub fn node_label(self, key: &str, value: &str) -> Self {
        if self.is(14) {
            return self.document(KubeNodeConfig::new().with_labels([(key, value)]));
        }
        self.machine(Machine::new().with_node_labels([(key, value)]))
    }

    /// An annotation of the node. Contract 1.8 and later.
    pub fn node_annotation(self, key: &str, value: &str) -> Self {
        if self.is(14) {
            return self.document(KubeNodeConfig::new().with_annotations([(key, value)]));
        }
        self.machine(Machine::new().with_node_annotations([(key, value)]))
    }

    /// A taint of the node, `value:NoSchedule` or `NoSchedule`.
    pub fn node_taint(self, key: &str, value_and_effect: &str) -> Self {
        let taint = [(key, value_and_effect)];
        if self.is(14) {
            return self.document(KubeNodeConfig::new().with_taints(taint));
        }
        self.machine(Machine::new().with_node_taints(taint))
    }

    /// The API server proxy on every node.
    pub fn kube_prism(self, port: u16) -> Self {
        if self.is(14) {
            return self.document(KubePrismConfig::new().with_port(port.into()));
        }
        let section = KubePrism::new().with_enabled(true);
        self.prism(section.with_port(port.into()))
    }

    /// No API server proxy.
    pub fn kube_prism_disabled(self) -> Self {
        if self.is(14) {
            return self.without::<KubePrismConfig>();
        }
        self.prism(KubePrism::new().with_enabled(false))
    }

    fn prism(self, section: KubePrism) -> Self {
        self.machine(Machine::new().with_features(Features::new().with_kube_prism(section)))
    }

    /// Which roles of the Talos API pods may ask for, and in which namespaces; control plane nodes only.
    pub fn talos_api_access<R: Into<String>, N: Into<String>>(
        self,
        roles: impl IntoIterator<Item = R>,
        namespaces: impl IntoIterator<Item = N>,
    ) -> Self {
        if self.is(14) {
            return self.document(
                KubeTalosAPIAccessConfig::new()
                    .with_allowed_roles(roles)
                    .with_allowed_kubernetes_namespaces(namespaces),
            );
        }
        let access = TalosApiAccess::new()
            .with_enabled(true)
            .with_allowed_roles(roles)
            .with_allowed_kubernetes_namespaces(namespaces);
        let features = Features::new().with_kubernetes_talos_api_access(access);
        self.machine(Machine::new().with_features(features))
    }

    /// Names and addresses in the certificate of the Kubernetes API; control plane nodes only.
    pub fn api_server_cert_sans<T: Into<String>>(self, sans: impl IntoIterator<Item = T>) -> Self {
        if self.is(14) {
            return self.document(KubeAPIServerConfig::new().with_cert_extra_sans(sans));
        }
        self.api_server(ApiServer::new().with_cert_sans(sans))
    }

    /// A flag of the API server; control plane nodes only.
    pub fn api_server_extra_arg(self, name: &str, value: impl Into<ExtraArg>) -> Self {
        if self.is(14) {
            return self.document(KubeAPIServerConfig::new().with_extra_args([(name, value)]));
        }
        self.api_server(ApiServer::new().with_extra_args([(name, value)]))
    }

    /// The configuration of an admission plugin, merged with what is there; control plane nodes only.
    ///
    /// ```
    /// use talos_client::documents::FreeForm;
    /// use talos_client::{Patch, VersionContract};
    ///
    /// let exempt = FreeForm::from_yaml("exemptions:\n  namespaces: [longhorn-system]\n")?;
    /// let patch = Patch::builder(VersionContract::V1_14).admission_plugin("PodSecurity", exempt).build()?;
    /// # let _ = patch;
    /// # Ok::<(), talos_client::Error>(())
    /// ```
    pub fn admission_plugin(self, name: &str, configuration: FreeForm) -> Self {
        if self.is(14) {
            let plugin = KubeAdmissionControlConfig::new(name);
            return self.document(plugin.with_configuration(configuration));
        }
        let plugin = AdmissionPlugin::new().with_name(name);
        let plugins = [plugin.with_configuration(configuration)];
        self.api_server(ApiServer::new().with_admission_control(plugins))
    }

    /// The audit policy of the API server, in the place of the one that is there; control plane nodes only.
    pub fn audit_policy(self, policy: FreeForm) -> Self {
        if self.is(14) {
            return self.document(KubeAuditPolicyConfig::new().with_configuration(policy));
        }
        self.api_server(ApiServer::new().with_audit_policy(policy))
    }

    fn api_server(self, api_server: ApiServer) -> Self {
        self.cluster(Cluster::new().with_api_server(api_server))
    }

    /// A flag of the controller manager; control plane nodes only.
    pub fn controller_manager_extra_arg(self, name: &str, value: impl Into<ExtraArg>) -> Self {
        let arguments = [(name, value)];
        if self.is(14) {
            let document = KubeControllerManagerConfig::new();
            return self.document(document.with_extra_args(arguments));
        }
        let section = ControllerManager::new().with_extra_args(arguments);
        self.cluster(Cluster::new().with_controller_manager(section))
    }

    /// A flag of the scheduler; control plane nodes only.
    pub fn scheduler_extra_arg(self, name: &str, value: impl Into<ExtraArg>) -> Self {
        let arguments = [(name, value)];
        if self.is(14) {
            return self.document(KubeSchedulerConfig::new().with_extra_args(arguments));
        }
        let section = Scheduler::new().with_extra_args(arguments);
        self.cluster(Cluster::new().with_scheduler(section))
    }

    /// Fields of the scheduler's own configuration; control plane nodes only. Contract 1.6 and later.
    pub fn scheduler_config(self, config: FreeForm) -> Self {
        if self.is(14) {
            return self.document(KubeSchedulerConfig::new().with_config(config));
        }
        let section = Scheduler::new().with_config(config);
        self.cluster(Cluster::new().with_scheduler(section))
    }

    /// A flag of etcd; control plane nodes only.
    pub fn etcd_extra_arg(self, name: &str, value: impl Into<ExtraArg>) -> Self {
        self.etcd(|etcd| etcd.with_extra_args([(name, value)]))
    }

    pub(super) fn etcd(self, with: impl FnOnce(Etcd) -> Etcd) -> Self {
        self.cluster(Cluster::new().with_etcd(with(Etcd::new())))
    }

    /// Install no pod network: another program does.
    pub fn cni_none(self) -> Self {
        if self.is(14) {
            return self.without::<KubeFlannelCNIConfig>();
        }
        self.cluster_network(ClusterNetwork::new().with_cni(Cni::new().with_name(CniName::None)))
    }

    /// Deploy no kube-proxy: the pod network replaces it. On control plane nodes only from contract 1.14.
    pub fn kube_proxy_disabled(self) -> Self {
        if self.is(14) {
            return self.without::<KubeProxyConfig>();
        }
        self.cluster(Cluster::new().with_proxy(Proxy::new().with_disabled(true)))
    }

    /// The networks of pods, replacing the default.
    pub fn pod_subnets<T: Into<String>>(mut self, subnets: impl IntoIterator<Item = T>) -> Self {
        let subnets = self.networks("pod subnet", subnets);
        if self.is(14) {
            return self.document(KubeNetworkConfig::new().with_pod_subnets(subnets));
        }
        let subnets = subnets.iter().map(ToString::to_string);
        self.cluster_network(ClusterNetwork::new().with_pod_subnets(subnets))
    }

    /// The networks of services, replacing the default.
    pub fn service_subnets<T: Into<String>>(
        mut self,
        subnets: impl IntoIterator<Item = T>,
    ) -> Self {
        let subnets = self.networks("service subnet", subnets);
        if self.is(14) {
            return self.document(KubeNetworkConfig::new().with_service_subnets(subnets));
        }
        let subnets = subnets.iter().map(ToString::to_string);
        self.cluster_network(ClusterNetwork::new().with_service_subnets(subnets))
    }

    fn networks<T: Into<String>>(
        &mut self,
        setting: &str,
        texts: impl IntoIterator<Item = T>,
    ) -> Vec<Prefix> {
        let texts = texts.into_iter();
        texts
            .filter_map(|text| self.read(setting, &text.into()))
            .collect()
    }

    fn cluster_network(self, network: ClusterNetwork) -> Self {
        self.cluster(Cluster::new().with_network(network))
    }

    /// Kubernetes objects that the control plane applies at bootstrap; names must be unique.
    pub fn inline_manifest(self, name: &str, contents: &str) -> Self {
        if self.is(14) {
            let manifest = KubeInlineManifestConfig::new(name);
            return self.document(manifest.with_manifest(contents));
        }
        let manifest = InlineManifest::new().with_name(name);
        let manifests = [manifest.with_contents(contents)];
        self.cluster(Cluster::new().with_inline_manifests(manifests))
    }

    /// Kubernetes objects by URL; from contract 1.14 under a name.
    pub fn extra_manifest(self, name: &str, url: &str) -> Self {
        self.extra_manifest_with::<&str, &str>(name, url, [])
    }

    /// Kubernetes objects by URL, asked for with headers. Up to contract 1.13 the headers go to all URLs.
    pub fn extra_manifest_with<K: Into<String>, V: Into<String>>(
        mut self,
        name: &str,
        url: &str,
        headers: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let Some(address) = self.read::<Url>("extra manifest", url) else {
            return self;
        };
        if self.is(14) {
            let manifest = KubeExternalManifestConfig::new(name).with_url(address);
            return self.document(manifest.with_headers(headers));
        }
        self.cluster(
            Cluster::new()
                .with_extra_manifests([url])
                .with_extra_manifest_headers(headers),
        )
    }

    /// Let workloads run on control plane nodes; below contract 1.14 (there, generate the configuration so).
    pub fn allow_scheduling_on_control_planes(self) -> Self {
        if self.is(14) {
            let why = "it is a taint there: set it when generating";
            return self.refuse("scheduling on control planes", why);
        }
        self.cluster(Cluster::new().with_allow_scheduling_on_control_planes(true))
    }
}
