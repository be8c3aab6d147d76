//! Contracts below 1.14: nearly everything stands in the main document.

use super::{
    EXCLUDE_FROM_BALANCERS, Generator, POD_SUBNET, SERVICE_SUBNET, audit_policy, pod_security,
};
use crate::config::{Document, MachineType};
use crate::value::Value;

impl Generator {
    pub(super) fn legacy(&self, machine: MachineType) -> Vec<Document> {
        let main = self
            .head()
            .with("machine", self.machine_section(machine))
            .with("cluster", self.cluster_section(machine));
        let mut documents = vec![main];
        if self.contract.at_least(12) {
            documents.extend(self.registry_documents());
            documents.push(Self::hostname_document());
        }
        if self.contract.at_least(13) {
            documents.extend(self.kubespan_document());
        }
        documents
    }

    fn machine_section(&self, machine: MachineType) -> Value {
        let (contract, options, secrets) = (self.contract, &self.options, &self.secrets);
        let mut section = Value::Null;
        let mut put = |path: &str, value: Value| section.put(path, value);
        put("type", Value::text(machine.as_str()));
        put("token", secrets.trustd_token());
        put(
            "ca",
            if machine.is_control_plane() {
                secrets.os_ca()
            } else {
                secrets.os_ca_certificate()
            },
        );
        if !options.sans.is_empty() {
            put("certSANs", Value::texts(&options.sans));
        }
        put("kubelet.image", self.image("ghcr.io/siderolabs/kubelet"));
        if contract.at_least(2) {
            put(
                "kubelet.defaultRuntimeSeccompProfileEnabled",
                Value::Bool(true),
            );
        }
        if contract.at_least(3) {
            put("kubelet.disableManifestsDirectory", Value::Bool(true));
        }
        if !contract.at_least(13) {
            put("network", Value::map::<&str>([]));
            if options.kubespan {
                put("network.kubespan.enabled", Value::Bool(true));
            }
        }
        if let Some(disk) = &options.install_disk {
            put("install.disk", Value::text(disk));
        }
        if !options.kernel_args.is_empty() {
            put(
                "install.extraKernelArgs",
                Value::texts(&options.kernel_args),
            );
        }
        if let Some(image) = &options.install_image {
            put("install.image", Value::text(image));
        }
        put("install.wipe", Value::Bool(false));
        if contract.at_least(12) {
            put("install.grubUseUKICmdline", Value::Bool(true));
        } else {
            put("features.rbac", Value::Bool(true));
            if contract.at_least(2) {
                put("features.stableHostname", Value::Bool(true));
            }
            if contract.at_least(3) {
                put("features.apidCheckExtKeyUsage", Value::Bool(true));
            }
            self.registries()
                .into_iter()
                .for_each(|registries| put("registries", registries));
        }
        if !options.sysctls.is_empty() {
            put(
                "sysctls",
                Value::map(
                    options
                        .sysctls
                        .iter()
                        .map(|(k, v)| (k.clone(), Value::text(v))),
                ),
            );
        }
        if contract.at_least(5) {
            put("features.diskQuotaSupport", Value::Bool(true));
        }
        if let Some(port) = self.proxy_port() {
            put("features.kubePrism.enabled", Value::Bool(true));
            put("features.kubePrism.port", Value::from(port));
        }
        if contract.at_least(7) {
            put("features.hostDNS.enabled", Value::Bool(true));
            if contract.at_least(8) || options.host_dns_forward {
                put("features.hostDNS.forwardKubeDNSToHost", Value::Bool(true));
            }
        }
        if contract.at_least(8) && machine.is_control_plane() {
            put(
                "nodeLabels",
                Value::map([(EXCLUDE_FROM_BALANCERS, Value::text(""))]),
            );
        }
        section
    }

    /// The legacy registries section of contracts below 1.12.
    fn registries(&self) -> Option<Value> {
        use base64::Engine as _;
        let options = &self.options;
        let mut section = Value::Null;
        let mut mirrors = options.mirrors.clone();
        if self.contract.at_least(2) && !self.contract.at_least(3) {
            // Kubernetes moved its images while this version was current.
            mirrors.entry("k8s.gcr.io".to_owned()).or_insert_with(|| {
                ["https://registry.k8s.io", "https://k8s.gcr.io"]
                    .map(str::to_owned)
                    .to_vec()
            });
        }
        if !mirrors.is_empty() {
            let mirror = |urls: Vec<String>| Value::map([("endpoints", Value::texts(urls))]);
            let mirrors = mirrors.into_iter().map(|(name, urls)| (name, mirror(urls)));
            section.put("mirrors", Value::map(mirrors));
        }
        let mut config = std::collections::BTreeMap::<String, Value>::new();
        for (name, pem) in &options.registry_ca {
            let encoded = base64::engine::general_purpose::STANDARD.encode(pem);
            config
                .entry(name.clone())
                .or_insert(Value::Null)
                .put("tls.ca", Value::text(encoded));
        }
        for name in &options.registry_insecure {
            config
                .entry(name.clone())
                .or_insert(Value::Null)
                .put("tls.insecureSkipVerify", Value::Bool(true));
        }
        if !config.is_empty() {
            section.put("config", Value::map(config));
        }
        (section != Value::Null).then_some(section)
    }

    fn cluster_section(&self, machine: MachineType) -> Value {
        let (contract, options, secrets) = (self.contract, &self.options, &self.secrets);
        let control_plane = machine.is_control_plane();
        let mut section = Value::Null;
        let mut put = |path: &str, value: Value| section.put(path, value);
        put("id", secrets.cluster_id());
        put("secret", secrets.cluster_secret());
        put("controlPlane.endpoint", Value::text(&self.endpoint));
        if control_plane || contract.at_least(8) {
            put("clusterName", Value::text(&self.cluster));
        }
        if let Some(url) = &options.cni_url {
            put("network.cni.name", Value::text("custom"));
            put("network.cni.urls", Value::texts([url]));
        }
        put("network.dnsDomain", Value::text(&options.dns_domain));
        put("network.podSubnets", Value::texts([POD_SUBNET]));
        put("network.serviceSubnets", Value::texts([SERVICE_SUBNET]));
        if options.kubernetes || !control_plane {
            put("token", secrets.bootstrap_token());
        }
        put(
            "ca",
            if control_plane {
                secrets.kubernetes_ca()
            } else {
                secrets.kubernetes_ca_certificate()
            },
        );
        put("discovery.enabled", Value::Bool(options.discovery));
        if contract.at_least(2) {
            put(
                "discovery.registries.kubernetes.disabled",
                Value::Bool(true),
            );
        }
        if !control_plane {
            return section;
        }
        if let Some(port) = options.api_server_port {
            put("controlPlane.localAPIServerPort", Value::from(port));
        }
        // A contract takes the secret of its own kind only.
        match secrets.encryption_secret() {
            Some((true, secret)) if !contract.at_least(3) => put("aescbcEncryptionSecret", secret),
            Some((false, secret)) if contract.at_least(3) => {
                put("secretboxEncryptionSecret", secret);
            }
            _ => {}
        }
        put("aggregatorCA", secrets.aggregator_ca());
        put("serviceAccount", secrets.service_account());
        put(
            "apiServer.image",
            self.image("registry.k8s.io/kube-apiserver"),
        );
        let mut sans = Vec::new();
        if !contract.at_least(12) {
            sans.push(self.endpoint_host.clone());
        }
        sans.extend(options.sans.iter().cloned());
        if !sans.is_empty() {
            put("apiServer.certSANs", Value::texts(sans));
        }
        if !contract.at_least(12) {
            put("apiServer.disablePodSecurityPolicy", Value::Bool(true));
        }
        if contract.at_least(1) {
            let plugin = Value::map([
                ("name", Value::text("PodSecurity")),
                ("configuration", pod_security()),
            ]);
            put("apiServer.admissionControl", Value::List(vec![plugin]));
        }
        if contract.at_least(3) {
            put("apiServer.auditPolicy", audit_policy());
        }
        put(
            "controllerManager.image",
            self.image("registry.k8s.io/kube-controller-manager"),
        );
        put("proxy.image", self.image("registry.k8s.io/kube-proxy"));
        put(
            "scheduler.image",
            self.image("registry.k8s.io/kube-scheduler"),
        );
        if options.etcd {
            put("etcd.ca", secrets.etcd_ca());
        }
        if options.allow_scheduling {
            let key = if contract.at_least(2) {
                "allowSchedulingOnControlPlanes"
            } else {
                "allowSchedulingOnMasters"
            };
            put(key, Value::Bool(true));
        }
        section
    }
}
