//! Values for Cilium's chart.

use cilium_model::install::{
    Finding, Hubble, HubbleTls, InstallValues, LoadBalancerMode, Tunnel, Version,
};
use serde_json::json;

use crate::component::Catalogue;
use crate::spec::Spec;
use crate::spec::platform::{Acceleration, Announce, Encryption, Enforcement, Routing};

/// What Hubble counts.
const METRICS: [&str; 6] = ["dns", "drop", "tcp", "flow", "port-distribution", "icmp"];

/// The values: the same for the first installation and for Git.
#[must_use]
pub fn values(spec: &Spec, catalogue: &Catalogue) -> InstallValues {
    let cilium = &spec.cilium;
    let pods = spec.network.pods.to_string();
    let mut values = InstallValues::talos()
        .kube_proxy_replacement("localhost", spec.api.kube_prism)
        .cluster(spec.name.as_str(), 0)
        .load_balancer(LoadBalancerMode::Snat, true);
    values = match cilium.routing {
        Routing::Native => values.native_routing(&pods),
        Routing::Tunnel => values.tunnel(Tunnel::Vxlan),
    };
    if cilium.encryption == Encryption::Wireguard {
        values = values.wireguard();
    }
    values = match spec.load_balancer.mode {
        Announce::Bgp => values.bgp_control_plane(),
        Announce::L2 => {
            values.l2_announcements(u32::try_from(catalogue.components.len()).unwrap_or(u32::MAX))
        }
    };
    // Keys that Helm makes would stand in every rendering and change with each.
    let hubble = Hubble::new()
        .relay(cilium.hubble.relay)
        .ui(cilium.hubble.ui)
        .metrics(METRICS)
        .tls(HubbleTls::CronJob);
    values = values.hubble(hubble);
    if spec.gateway.is_some() {
        // The class is one of our own objects: whether the chart finds the definitions does not matter then.
        values = values
            .gateway_api()
            .set("gatewayAPI.gatewayClass.create", json!("false"));
    }
    if cilium.policy == Enforcement::Audit {
        values = values.set("policyAuditMode", json!(true));
    }
    if cilium.acceleration != Acceleration::Disabled {
        values = values.set(
            "loadBalancer.acceleration",
            json!(cilium.acceleration.as_str()),
        );
    }
    if cilium.mutual_authentication {
        values = values
            .set("authentication.enabled", json!(true))
            .set("authentication.mutual.spire.enabled", json!(true));
    }
    if let Some((_, operator)) = catalogue.workload("cilium", "operator") {
        values = values.operator_replicas(operator.replicas.count(1, 1));
    }
    if let Some((_, agent)) = catalogue.workload("cilium", "agent") {
        values = values.agent_resources(
            &agent.requests.cpu.to_string(),
            &agent.requests.memory.quantity(),
        );
    }
    if catalogue.component("kube-prometheus-stack").is_some() {
        values = values.service_monitors();
    }
    if spec.network.mtu != 1500 {
        values = values.set("MTU", json!(spec.network.mtu));
    }
    values
}

/// What the chart or the agent would refuse, or rarely means, in the values of this environment.
#[must_use]
pub fn findings(spec: &Spec, catalogue: &Catalogue) -> Vec<Finding> {
    let (major, minor) = spec.versions.cilium.minor();
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    values(spec, catalogue).check(Version::new(number(major), number(minor)))
}
