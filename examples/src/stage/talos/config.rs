//! The machine configuration of a node: what Talos generates for its role, with what the spec says on top.

use talos_client::{
    Error, Generator, Interface, MachineConfig, MachineType, Patch, SecretsBundle, UserVolume,
    VersionContract,
};

use super::Image;
use crate::failure::Failure;
use crate::spec::Spec;
use crate::spec::node::Node;

/// The name of the network card, chosen by its address so that the order of cards does not matter.
const LINK: &str = "net0";

/// Where Longhorn keeps replicas.
const LONGHORN: &str = "/var/mnt/longhorn";

fn wrong(place: &str) -> impl Fn(Error) -> Failure + '_ {
    move |error| {
        Failure::permanent(place, "cannot be given a machine configuration").caused_by(error)
    }
}

/// The contract of the Talos version that the spec pins.
///
/// # Errors
///
/// A version that is none.
pub fn contract(spec: &Spec) -> Result<VersionContract, Failure> {
    spec.versions
        .talos
        .to_string()
        .parse()
        .map_err(wrong("versions.talos"))
}

/// The configuration of one node.
///
/// # Errors
///
/// A setting that the pinned version of Talos has no place for.
pub fn machine_config(
    spec: &Spec,
    node: &Node,
    secrets: &SecretsBundle,
    image: &Image,
) -> Result<MachineConfig, Failure> {
    let wrong = wrong(node.name.as_str());
    let contract = contract(spec)?;
    let endpoint = format!("https://{}:{}", spec.api.vip, spec.api.port);
    let kubernetes = spec.versions.kubernetes.to_string();
    let kind = if node.is_worker() {
        MachineType::Worker
    } else {
        MachineType::ControlPlane
    };
    Generator::new(spec.name.as_str(), endpoint, kubernetes, secrets.clone())
        .map_err(&wrong)?
        .contract(contract)
        .dns_domain(spec.dns.cluster_domain.to_string())
        .install_disk(&node.install_disk)
        .install_image(image.installer())
        .kube_prism_port(spec.api.kube_prism)
        .generate(kind)
        .and_then(|config| config.patched(&patch(spec, node, contract)?))
        .map_err(&wrong)
}

fn patch(spec: &Spec, node: &Node, contract: VersionContract) -> Result<Patch, Error> {
    let network = &spec.network;
    let mut card = Interface::by_mac(LINK, node.mac.to_string().to_ascii_lowercase())
        .address(format!("{}/{}", node.address, network.nodes.prefix()))
        .gateway(network.gateway.to_string())
        .mtu(network.mtu);
    if !node.is_worker() {
        card = card.vip(spec.api.vip.to_string());
    }
    let mut patch = Patch::builder(contract)
        .hostname(node.name.as_str())
        .interface(card)
        .nameservers(spec.dns.servers.iter().map(ToString::to_string))
        .time_servers(spec.dns.ntp.iter().cloned())
        .cert_sans([node.address.to_string(), spec.api.vip.to_string()])
        .pod_subnets([network.pods.to_string()])
        .service_subnets([network.services.to_string()])
        .kubelet_valid_subnets([network.nodes.to_string()])
        .cni_none()
        // Replicas in one host are in one failure domain, and Kubernetes shall know it.
        .node_label("topology.kubernetes.io/zone", &node.host)
        .node_label("topology.kubernetes.io/region", spec.name.as_str());
    if !node.is_worker() {
        patch = patch
            .kube_proxy_disabled()
            .api_server_cert_sans([spec.api.vip.to_string()])
            .etcd_advertised_subnets([network.nodes.to_string()]);
    } else if contract < VersionContract::V1_14 {
        patch = patch.kube_proxy_disabled();
    }
    for (key, value) in &node.labels {
        patch = patch.node_label(key, value);
    }
    if node.longhorn_disk.is_some() {
        let selector = format!(
            "disk.serial == \"{}\"",
            crate::stage::proxmox::LONGHORN_SERIAL
        );
        patch = patch
            .user_volume(
                UserVolume::new("longhorn", selector)
                    .filesystem("xfs")
                    .grow(true),
            )
            .node_label("node.longhorn.io/create-default-disk", "config");
        if contract < VersionContract::V1_14 {
            patch = patch.kubelet_extra_mount(LONGHORN);
        }
    }
    patch.build()
}
