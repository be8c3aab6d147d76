//! Values of the chart.

use cilium_model::install::{Hubble, HubbleTls, InstallValues, LoadBalancerMode, Tunnel, Version};
use insta::assert_snapshot;
use serde_json::json;

fn findings(text: &str, version: Version) -> Vec<String> {
    let found = InstallValues::check_yaml(text, version).unwrap();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn values_for_talos_are_printed() {
    let values = InstallValues::talos()
        .cluster("home", 1)
        .native_routing("10.244.0.0/16")
        .wireguard()
        .hubble(
            Hubble::new()
                .ui(true)
                .metrics(["dns", "drop"])
                .tls(HubbleTls::CronJob),
        )
        .gateway_api()
        .bgp_control_plane()
        .operator_replicas(1);
    assert_snapshot!(values.to_yaml(), @r#"
    ipam:
      mode: kubernetes
    kubeProxyReplacement: true
    k8sServiceHost: localhost
    k8sServicePort: 7445
    cgroup:
      autoMount:
        enabled: false
      hostRoot: /sys/fs/cgroup
    securityContext:
      capabilities:
        ciliumAgent:
        - CHOWN
        - KILL
        - NET_ADMIN
        - NET_RAW
        - IPC_LOCK
        - SYS_ADMIN
        - SYS_RESOURCE
        - DAC_OVERRIDE
        - FOWNER
        - SETGID
        - SETUID
        cleanCiliumState:
        - NET_ADMIN
        - SYS_ADMIN
        - SYS_RESOURCE
    bpf:
      hostLegacyRouting: true
    cluster:
      name: home
      id: 1
    routingMode: native
    ipv4NativeRoutingCIDR: 10.244.0.0/16
    autoDirectNodeRoutes: true
    encryption:
      enabled: true
      type: wireguard
    hubble:
      enabled: true
      relay:
        enabled: true
      ui:
        enabled: true
      metrics:
        enabled:
        - dns
        - drop
      tls:
        auto:
          method: cronJob
    gatewayAPI:
      enabled: true
      gatewayClass:
        create: "true"
    bgpControlPlane:
      enabled: true
    operator:
      replicas: 1
    "#);
    assert!(
        values.check(Version::V1_20).is_empty(),
        "{:?}",
        values.check(Version::V1_20)
    );
}

#[test]
fn every_setter_writes_keys_that_the_chart_knows() {
    let values = InstallValues::talos()
        .tunnel(Tunnel::Geneve)
        .wireguard()
        .node_encryption(true)
        .strict_egress_encryption("10.244.0.0/16")
        .l2_announcements(40)
        .hubble(Hubble::new().relay(true).tls(HubbleTls::CertManager {
            issuer: "ca".into(),
            kind: "ClusterIssuer".into(),
        }))
        .gateway_api()
        .gateway_host_network()
        .bpf_masquerade(true)
        .load_balancer(LoadBalancerMode::Snat, true)
        .host_firewall(true)
        .service_monitors()
        .agent_resources("250m", "384Mi");
    let found: Vec<String> = values
        .check(Version::V1_20)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_misspelt_key_is_named_with_its_place_and_the_likely_one() {
    let found = findings("hubble:\n  relay:\n    enabeld: true\n", Version::V1_20);
    assert_eq!(
        found[0],
        "error: line 3, column 14: hubble.relay.enabeld: the chart has no such key and ignores it (did you mean enabled?)"
    );
}

#[test]
fn a_key_in_the_wrong_place_points_to_the_right_one() {
    let found = findings("agentConfig:\n  resources: {}\n", Version::V1_20);
    assert!(found[0].contains("such as resources"), "{found:?}");
}

#[test]
fn keys_that_moved_are_errors_from_their_release_on() {
    let text = "encryption: {enabled: true, type: wireguard, strictMode: {enabled: true, cidr: 10.0.0.0/8}}\n";
    assert!(
        findings(text, Version::V1_19).is_empty(),
        "{:?}",
        findings(text, Version::V1_19)
    );
    let found = findings(text, Version::V1_20);
    assert_eq!(found.len(), 2);
    assert!(
        found[0].contains("encryption.strictMode.egress.enabled"),
        "{found:?}"
    );
}

#[test]
fn mutual_authentication_needs_its_switch_and_is_gone_in_1_21() {
    let text = "authentication: {mutual: {spire: {enabled: true}}}\n";
    assert!(findings(text, Version::V1_20)[0].contains("authentication.enabled"));
    assert!(findings(text, Version::V1_21)[0].contains("does not have this key"));
}

#[test]
fn settings_that_need_one_another_are_checked() {
    for (text, expected) in [
        (
            "routingMode: native\nautoDirectNodeRoutes: true\n",
            "ipv4NativeRoutingCIDR",
        ),
        ("kubeProxyReplacement: true\n", "k8sServiceHost"),
        (
            "k8sServiceHost: localhost\nk8sServicePort: 6443\n",
            "k8sServicePort",
        ),
        (
            "k8sServiceHost: 10.0.0.1\nk8sServicePort: 7445\n",
            "k8sServiceHost",
        ),
        ("hubble: {ui: {enabled: true}}\n", "hubble.ui.enabled"),
        (
            "gatewayAPI: {enabled: true, gatewayClass: {create: 'true'}}\n",
            "gatewayAPI.enabled",
        ),
        (
            "l2announcements: {enabled: true}\n",
            "l2announcements.enabled",
        ),
        ("loadBalancer: {mode: dsr}\n", "loadBalancer.mode"),
        ("policyEnforcementMode: always\n", "policyEnforcementMode"),
        ("cluster: {id: 3}\n", "cluster.name"),
        (
            "hubble: {metrics: {enabled: true}}\n",
            "hubble.metrics.enabled",
        ),
        ("operator: {replicas: two}\n", "operator.replicas"),
    ] {
        let found = InstallValues::from_yaml(text)
            .unwrap()
            .check(Version::V1_20);
        let hit = found
            .iter()
            .any(|finding| finding.is_error() && finding.problem.path == expected);
        assert!(hit, "{text}: {found:?}");
    }
}

#[test]
fn values_are_laid_over_one_another_as_helm_does() {
    let base = InstallValues::from_yaml("a: {b: 1, c: 2}\nd: [1]\ne: 5\n").unwrap();
    let over = InstallValues::from_yaml("a: {c: 3}\nd: [2]\ne: null\n").unwrap();
    assert_eq!(
        base.merge(&over).to_json(),
        json!({"a": {"b": 1, "c": 3}, "d": [2]})
    );
}
