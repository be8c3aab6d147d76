//! Patches from typed settings: each goes where the version contract keeps it.

use super::{Patch, Step};
use crate::config::Document;
use crate::error::{Error, ErrorKind, Problem};
use crate::value::Value;
use crate::version::VersionContract;

/// Collects settings; [`build`](Self::build) turns them into a [`Patch`] for the contract.
///
/// ```
/// use talos_client::{Interface, Patch, VersionContract};
///
/// # fn main() -> Result<(), talos_client::Error> {
/// let patch = Patch::builder(VersionContract::V1_13)
///     .hostname("cp1")
///     .interface(Interface::named("eth0").address("10.0.20.11/24").gateway("10.0.20.1").vip("10.0.20.10"))
///     .nameservers(["10.0.20.1"])
///     .install_disk("/dev/sda")
///     .cni_none()
///     .kube_proxy_disabled()
///     .build()?;
/// # let _ = patch;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is made until `build`"]
pub struct PatchBuilder {
    contract: VersionContract,
    patch: Patch,
    problems: Vec<Problem>,
}

/// Addresses of one network interface.
#[derive(Clone, Debug)]
#[must_use = "it takes effect when given to a patch"]
pub struct Interface {
    name: String,
    mac: Option<String>,
    addresses: Vec<String>,
    gateway: Option<String>,
    routes: Vec<(String, String)>,
    vip: Option<String>,
    dhcp: Option<bool>,
    mtu: Option<u16>,
}

impl Interface {
    /// By the kernel's name, `eth0`, `ens18`.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mac: None,
            addresses: Vec::new(),
            gateway: None,
            routes: Vec::new(),
            vip: None,
            dhcp: None,
            mtu: None,
        }
    }

    /// By hardware address, whatever the kernel calls it; `alias` is its name in the configuration (`net0`).
    pub fn by_mac(alias: impl Into<String>, mac: impl Into<String>) -> Self {
        Self {
            mac: Some(mac.into().to_lowercase()),
            ..Self::named(alias)
        }
    }

    /// An address with prefix length, `10.0.20.11/24`.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// The default route.
    pub fn gateway(mut self, gateway: impl Into<String>) -> Self {
        self.gateway = Some(gateway.into());
        self
    }

    /// A route to a network.
    pub fn route(mut self, network: impl Into<String>, gateway: impl Into<String>) -> Self {
        self.routes.push((network.into(), gateway.into()));
        self
    }

    /// The address that the control plane nodes share; it must lie in a subnet of this interface.
    pub fn vip(mut self, address: impl Into<String>) -> Self {
        self.vip = Some(address.into());
        self
    }

    /// Ask for an address by DHCP.
    pub fn dhcp(mut self, on: bool) -> Self {
        self.dhcp = Some(on);
        self
    }

    /// The largest packet.
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = Some(mtu);
        self
    }
}

/// A volume on a disk of its own or in free space, mounted at `/var/mnt/<name>`.
#[derive(Clone, Debug)]
#[must_use = "it takes effect when given to a patch"]
pub struct UserVolume {
    name: String,
    selector: String,
    min: Option<String>,
    max: Option<String>,
    filesystem: Option<String>,
    grow: Option<bool>,
}

impl UserVolume {
    /// Name and the expression that selects the disk, `!system_disk` or `disk.dev_path == "/dev/sdb"`.
    pub fn new(name: impl Into<String>, selector: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            selector: selector.into(),
            min: None,
            max: None,
            filesystem: None,
            grow: None,
        }
    }

    /// Least size, `10GiB`.
    pub fn min_size(mut self, size: impl Into<String>) -> Self {
        self.min = Some(size.into());
        self
    }

    /// Greatest size.
    pub fn max_size(mut self, size: impl Into<String>) -> Self {
        self.max = Some(size.into());
        self
    }

    /// `xfs` (the default) or `ext4`.
    pub fn filesystem(mut self, filesystem: impl Into<String>) -> Self {
        self.filesystem = Some(filesystem.into());
        self
    }

    /// Grow to the greatest size when the disk allows it.
    pub fn grow(mut self, grow: bool) -> Self {
        self.grow = Some(grow);
        self
    }
}

impl PatchBuilder {
    pub(super) fn new(contract: VersionContract) -> Self {
        Self {
            contract,
            patch: Patch {
                steps: Vec::new(),
                text: None,
            },
            problems: Vec::new(),
        }
    }

    /// The patch.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPatch`] with every setting that the contract has no place for.
    pub fn build(self) -> Result<Patch, Error> {
        if self.problems.is_empty() {
            return Ok(self.patch);
        }
        let message = format!("settings that {} does not have", self.contract);
        Err(Error::new(ErrorKind::InvalidPatch, message).with_problems(self.problems))
    }

    fn is(&self, minor: u32) -> bool {
        self.contract.at_least(minor)
    }

    fn merge(mut self, document: Document) -> Self {
        self.patch.steps.push(Step::Merge(document));
        self
    }

    fn main(self, path: &str, value: impl Into<Value>) -> Self {
        self.merge(Document::main().with_path(path, value))
    }

    fn refuse(mut self, setting: &str, why: &str) -> Self {
        self.problems.push(Problem::new(setting, why));
        self
    }

    /// The static host name.
    pub fn hostname(self, name: &str) -> Self {
        if self.is(12) {
            return self.merge(
                Document::of("HostnameConfig")
                    .with("auto", "off")
                    .with("hostname", name),
            );
        }
        self.main("machine.network.hostname", name)
    }

    /// The disk to install to.
    pub fn install_disk(self, disk: &str) -> Self {
        if self.is(14) {
            let expression = format!("disk.dev_path == \"{disk}\"");
            return self.merge(
                Document::of("UnattendedInstallConfig")
                    .with_path("provisioning.diskSelector.match", expression),
            );
        }
        self.main("machine.install.disk", disk)
    }

    /// The installer image, with its version.
    pub fn install_image(self, image: &str) -> Self {
        if self.is(14) {
            return self.merge(
                Document::of("UnattendedInstallConfig").with_path("installer.image", image),
            );
        }
        self.main("machine.install.image", image)
    }

    /// Wipe the install disk first.
    pub fn install_wipe(self, wipe: bool) -> Self {
        if self.is(14) {
            return self.merge(
                Document::of("UnattendedInstallConfig").with_path("provisioning.wipe", wipe),
            );
        }
        self.main("machine.install.wipe", wipe)
    }

    /// An interface with addresses, routes and the shared address.
    pub fn interface(self, interface: Interface) -> Self {
        if self.is(12) {
            self.interface_documents(&interface)
        } else {
            self.interface_section(&interface)
        }
    }

    fn interface_documents(mut self, interface: &Interface) -> Self {
        let name = interface.name.as_str();
        if let Some(mac) = &interface.mac {
            let expression = format!("mac(link.permanent_addr) == \"{mac}\"");
            self = self.merge(
                Document::of("LinkAliasConfig")
                    .with("name", name)
                    .with_path("selector.match", expression),
            );
        }
        let mut link = Document::of("LinkConfig").with("name", name);
        if let Some(mtu) = interface.mtu {
            link = link.with("mtu", Value::from(mtu));
        }
        if !interface.addresses.is_empty() {
            let address = |address: &String| Value::map([("address", Value::text(address))]);
            link = link.with(
                "addresses",
                Value::List(interface.addresses.iter().map(address).collect()),
            );
        }
        let default = interface
            .gateway
            .iter()
            .map(|gateway| Value::map([("gateway", Value::text(gateway))]));
        let further = interface.routes.iter().map(|(network, gateway)| {
            Value::map([
                ("destination", Value::text(network)),
                ("gateway", Value::text(gateway)),
            ])
        });
        let routes: Vec<Value> = default.chain(further).collect();
        if !routes.is_empty() {
            link = link.with("routes", Value::List(routes));
        }
        self = self.merge(link);
        if interface.dhcp == Some(true) {
            self = self.merge(Document::of("DHCPv4Config").with("name", name));
        }
        match &interface.vip {
            Some(vip) => self.merge(
                Document::of("Layer2VIPConfig")
                    .with("name", vip.as_str())
                    .with("link", name),
            ),
            None => self,
        }
    }

    fn interface_section(self, interface: &Interface) -> Self {
        let mut device = Value::Null;
        match &interface.mac {
            Some(mac) => device.put("deviceSelector.hardwareAddr", Value::text(mac)),
            None => device.put("interface", Value::text(&interface.name)),
        }
        if !interface.addresses.is_empty() {
            device.put("addresses", Value::texts(&interface.addresses));
        }
        let route = |network: &str, gateway: &String| {
            Value::map([
                ("network", Value::text(network)),
                ("gateway", Value::text(gateway)),
            ])
        };
        let default = interface
            .gateway
            .iter()
            .map(|gateway| route("0.0.0.0/0", gateway));
        let routes: Vec<Value> = default
            .chain(
                interface
                    .routes
                    .iter()
                    .map(|(network, gateway)| route(network, gateway)),
            )
            .collect();
        if !routes.is_empty() {
            device.put("routes", Value::List(routes));
        }
        if let Some(mtu) = interface.mtu {
            device.put("mtu", Value::from(mtu));
        }
        if let Some(dhcp) = interface.dhcp {
            device.put("dhcp", Value::Bool(dhcp));
        }
        if let Some(vip) = &interface.vip {
            device.put("vip.ip", Value::text(vip));
        }
        self.main("machine.network.interfaces", Value::List(vec![device]))
    }

    /// DNS servers of the node.
    pub fn nameservers<T: Into<String>>(self, servers: impl IntoIterator<Item = T>) -> Self {
        if self.is(12) {
            let server = |address: T| Value::map([("address", Value::text(address))]);
            let list = Value::List(servers.into_iter().map(server).collect());
            return self.merge(Document::of("ResolverConfig").with("nameservers", list));
        }
        self.main("machine.network.nameservers", Value::texts(servers))
    }

    /// Time servers of the node.
    pub fn time_servers<T: Into<String>>(self, servers: impl IntoIterator<Item = T>) -> Self {
        if self.is(12) {
            return self.merge(
                Document::of("TimeSyncConfig").with_path("ntp.servers", Value::texts(servers)),
            );
        }
        self.main("machine.time.servers", Value::texts(servers))
    }

    /// Names and addresses in the certificates of the Talos API and, on control plane nodes, of the Kubernetes API.
    pub fn cert_sans<T: Into<String>>(self, sans: impl IntoIterator<Item = T>) -> Self {
        self.main("machine.certSANs", Value::texts(sans))
    }

    /// Names and addresses in the certificate of the Kubernetes API; control plane nodes only.
    pub fn api_server_cert_sans<T: Into<String>>(self, sans: impl IntoIterator<Item = T>) -> Self {
        if self.is(14) {
            return self.merge(
                Document::of("KubeAPIServerConfig").with("certExtraSANs", Value::texts(sans)),
            );
        }
        self.main("cluster.apiServer.certSANs", Value::texts(sans))
    }

    /// Install no pod network: another program does.
    pub fn cni_none(mut self) -> Self {
        if self.is(14) {
            self.patch
                .steps
                .push(Step::DeleteKind("KubeFlannelCNIConfig"));
            return self;
        }
        self.main("cluster.network.cni.name", "none")
    }

    /// Deploy no kube-proxy: the pod network replaces it. On control plane nodes only from contract 1.14.
    pub fn kube_proxy_disabled(mut self) -> Self {
        if self.is(14) {
            self.patch.steps.push(Step::DeleteKind("KubeProxyConfig"));
            return self;
        }
        self.main("cluster.proxy.disabled", true)
    }

    /// The API server proxy on every node.
    pub fn kube_prism(self, port: u16) -> Self {
        if self.is(14) {
            return self.merge(Document::of("KubePrismConfig").with("port", Value::from(port)));
        }
        self.main("machine.features.kubePrism.enabled", true)
            .main("machine.features.kubePrism.port", Value::from(port))
    }

    /// A kernel parameter.
    pub fn sysctl(self, name: &str, value: &str) -> Self {
        let params = Value::map([(name.to_owned(), Value::text(value))]);
        if self.is(14) {
            return self.merge(Document::of("SysctlConfig").with("params", params));
        }
        self.main("machine.sysctls", params)
    }

    /// A kernel module to load.
    pub fn kernel_module(self, name: &str) -> Self {
        if self.is(14) {
            return self.merge(Document::of("KernelModuleConfig").with("name", name));
        }
        self.main(
            "machine.kernel.modules",
            Value::List(vec![Value::map([("name", Value::text(name))])]),
        )
    }

    /// A host path visible inside the kubelet, bound at the same place with `rbind,rshared,rw`, as storage systems need it.
    /// From contract 1.14 user volumes are visible without it, and this is refused.
    pub fn kubelet_extra_mount(self, path: &str) -> Self {
        if self.is(14) {
            return self.refuse(
                "kubelet extra mount",
                "there is no such setting; a user volume is visible to the kubelet",
            );
        }
        let mount = Value::map([
            ("destination", Value::text(path)),
            ("type", Value::text("bind")),
            ("source", Value::text(path)),
            ("options", Value::texts(["bind", "rshared", "rw"])),
        ]);
        self.main("machine.kubelet.extraMounts", Value::List(vec![mount]))
    }

    /// A flag of the kubelet.
    pub fn kubelet_extra_arg(self, name: &str, value: &str) -> Self {
        let args = Value::map([(name.to_owned(), Value::text(value))]);
        if self.is(14) {
            return self.merge(Document::of("KubeletConfig").with("extraArgs", args));
        }
        self.main("machine.kubelet.extraArgs", args)
    }

    /// Networks from which the kubelet takes the node's address.
    pub fn kubelet_valid_subnets<T: Into<String>>(
        self,
        subnets: impl IntoIterator<Item = T>,
    ) -> Self {
        if self.is(14) {
            return self.merge(
                Document::of("KubeNodeConfig")
                    .with_path("nodeIP.validSubnets", Value::texts(subnets)),
            );
        }
        self.main("machine.kubelet.nodeIP.validSubnets", Value::texts(subnets))
    }

    /// Networks from which etcd takes its address; control plane nodes only.
    pub fn etcd_advertised_subnets<T: Into<String>>(
        self,
        subnets: impl IntoIterator<Item = T>,
    ) -> Self {
        self.main("cluster.etcd.advertisedSubnets", Value::texts(subnets))
    }

    /// A label of the node.
    pub fn node_label(self, key: &str, value: &str) -> Self {
        let labels = Value::map([(key.to_owned(), Value::text(value))]);
        if self.is(14) {
            return self.merge(Document::of("KubeNodeConfig").with("labels", labels));
        }
        self.main("machine.nodeLabels", labels)
    }

    /// A taint of the node, `value:NoSchedule` or `NoSchedule`.
    pub fn node_taint(self, key: &str, value_and_effect: &str) -> Self {
        let taints = Value::map([(key.to_owned(), Value::text(value_and_effect))]);
        if self.is(14) {
            return self.merge(Document::of("KubeNodeConfig").with("taints", taints));
        }
        self.main("machine.nodeTaints", taints)
    }

    /// The networks of pods, replacing the default.
    pub fn pod_subnets<T: Into<String>>(self, subnets: impl IntoIterator<Item = T>) -> Self {
        if self.is(14) {
            return self.merge(
                Document::of("KubeNetworkConfig").with("podSubnets", Value::texts(subnets)),
            );
        }
        self.main("cluster.network.podSubnets", Value::texts(subnets))
    }

    /// The networks of services, replacing the default.
    pub fn service_subnets<T: Into<String>>(self, subnets: impl IntoIterator<Item = T>) -> Self {
        if self.is(14) {
            return self.merge(
                Document::of("KubeNetworkConfig").with("serviceSubnets", Value::texts(subnets)),
            );
        }
        self.main("cluster.network.serviceSubnets", Value::texts(subnets))
    }

    /// A volume for workloads, for example Longhorn's disk. Talos 1.12 and later.
    pub fn user_volume(self, volume: UserVolume) -> Self {
        if !self.is(12) {
            return self.refuse("user volume", "there is no such document before 1.12");
        }
        let mut document = Document::of("UserVolumeConfig")
            .with("name", volume.name)
            .with_path("provisioning.diskSelector.match", volume.selector);
        let texts = [
            ("provisioning.minSize", volume.min),
            ("provisioning.maxSize", volume.max),
            ("filesystem.type", volume.filesystem),
        ];
        for (path, value) in texts {
            if let Some(value) = value {
                document = document.with_path(path, value);
            }
        }
        if let Some(grow) = volume.grow {
            document = document.with_path("provisioning.grow", grow);
        }
        self.merge(document)
    }

    /// Kubernetes objects that the control plane applies at bootstrap; names must be unique.
    pub fn inline_manifest(self, name: &str, contents: &str) -> Self {
        if self.is(14) {
            return self.merge(
                Document::of("KubeInlineManifestConfig")
                    .with("name", name)
                    .with("manifest", contents),
            );
        }
        let manifest = Value::map([
            ("name", Value::text(name)),
            ("contents", Value::text(contents)),
        ]);
        self.main("cluster.inlineManifests", Value::List(vec![manifest]))
    }

    /// Kubernetes objects by URL; from contract 1.14 under a name.
    pub fn extra_manifest(self, name: &str, url: &str) -> Self {
        if self.is(14) {
            return self.merge(
                Document::of("KubeExternalManifestConfig")
                    .with("name", name)
                    .with("url", url),
            );
        }
        self.main("cluster.extraManifests", Value::texts([url]))
    }

    /// Let workloads run on control plane nodes; below contract 1.14 (there, generate the configuration so).
    pub fn allow_scheduling_on_control_planes(self) -> Self {
        if self.is(14) {
            return self.refuse(
                "scheduling on control planes",
                "it is a taint there: set it when generating",
            );
        }
        self.main("cluster.allowSchedulingOnControlPlanes", true)
    }
}
