//! Objects and values of the network: what Cilium and the gateway are asked for.

use cilium_model::manifest::Manifest;
use homelab::component::Catalogue;
use homelab::spec::Spec;
use homelab::stage::cilium::{desired, install, objects};
use homelab::stage::wireguard;
use wireguard_config::Keys;

const PRODUCTION: &str = include_str!("../../environments/production/cluster.yaml");

fn spec(text: &str) -> Spec {
    Spec::parse("cluster.yaml", text)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

fn l2() -> Spec {
    spec(
        &PRODUCTION
            .replace("mode: bgp", "mode: l2")
            .replace("172.20.10.0/24}\n", "10.0.20.200-10.0.20.219}\n")
            .replace("address: 172.20.10.10", "address: 10.0.20.200"),
    )
}

#[test]
fn the_api_server_would_take_every_object() {
    for spec in [spec(PRODUCTION), l2()] {
        for manifest in objects::manifests(&spec) {
            let name = format!("{} {:?}", manifest.kind().kind, manifest.metadata().name);
            manifest
                .validate_strict()
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for wanted in desired(&spec, &Catalogue::of(&spec)) {
            if let Ok(manifest) = Manifest::from_json(&wanted.object) {
                manifest
                    .validate_strict()
                    .unwrap_or_else(|error| panic!("{error}\n{}", wanted.object));
            }
        }
    }
}

#[test]
fn the_chart_has_nothing_to_say_about_the_values() {
    for spec in [spec(PRODUCTION), l2()] {
        let findings: Vec<String> = install::findings(&spec, &Catalogue::of(&spec))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(findings, Vec::<String>::new());
    }
}

#[test]
fn the_values_follow_from_the_environment() {
    let spec = spec(PRODUCTION);
    let values = install::values(&spec, &Catalogue::of(&spec));
    let value = |path: &str| {
        values
            .get(path)
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    let paths = [
        "k8sServicePort",
        "cluster.name",
        "routingMode",
        "ipv4NativeRoutingCIDR",
        "encryption.type",
        "bgpControlPlane.enabled",
        "hubble.relay.enabled",
        "hubble.tls.auto.method",
        "gatewayAPI.gatewayClass.create",
        "operator.replicas",
        "resources.requests.cpu",
    ];
    let lines: Vec<String> = paths
        .iter()
        .map(|path| format!("{path}: {}", value(path)))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    k8sServicePort: 7445
    cluster.name: "production"
    routingMode: "native"
    ipv4NativeRoutingCIDR: "10.244.0.0/16"
    encryption.type: "wireguard"
    bgpControlPlane.enabled: true
    hubble.relay.enabled: true
    hubble.tls.auto.method: "cronJob"
    gatewayAPI.gatewayClass.create: "false"
    operator.replicas: 2
    resources.requests.cpu: "500m"
    "#);
}

#[test]
fn the_router_is_told_the_addresses_of_services() {
    let spec = spec(PRODUCTION);
    let bgp: Vec<String> = objects::manifests(&spec)
        .iter()
        .filter(|manifest| {
            manifest.kind().kind.starts_with("CiliumBGP")
                || manifest.kind().kind == "CiliumLoadBalancerIPPool"
        })
        .map(|manifest| manifest.to_json()["spec"].to_string())
        .collect();
    insta::assert_snapshot!(bgp.join("\n"), @r#"
    {"blocks":[{"cidr":"172.20.10.0/24"}]}
    {"bgpInstances":[{"name":"homelab","localASN":65512,"peers":[{"name":"router","peerAddress":"10.0.20.1","peerASN":65510,"peerConfigRef":{"name":"router"}}]}]}
    {"families":[{"afi":"ipv4","safi":"unicast","advertisements":{"matchLabels":{"homelab.dev/advertise":"services"}}}],"gracefulRestart":{"enabled":true,"restartTimeSeconds":120},"timers":{"holdTimeSeconds":9,"keepAliveTimeSeconds":3}}
    {"advertisements":[{"advertisementType":"Service","service":{"addresses":["LoadBalancerIP"]},"selector":{"matchExpressions":[{"key":"homelab.dev/not-announced","operator":"DoesNotExist"}]}}]}
    "#);
}

#[test]
fn no_object_is_asked_for_twice_and_what_closes_comes_after_what_opens() {
    let spec = spec(PRODUCTION);
    let wanted = desired(&spec, &Catalogue::of(&spec));
    let mut names: Vec<String> = wanted
        .iter()
        .map(|wanted| {
            let object = &wanted.object;
            format!(
                "{} {} {}",
                object["kind"], object["metadata"]["namespace"], object["metadata"]["name"]
            )
        })
        .collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    let policies = |close: bool| {
        wanted
            .iter()
            .filter(move |wanted| {
                wanted.object["kind"] == "CiliumNetworkPolicy"
                    && (wanted.object["metadata"]["name"] == "default-deny") == close
            })
            .map(|wanted| wanted.wave)
    };
    assert!(policies(false).filter(|wave| *wave < 7).count() > 20);
    assert!(policies(true).all(|wave| wave == 7));
}

#[test]
fn every_device_reaches_the_cluster_through_the_hub() {
    let spec = spec(PRODUCTION);
    let inventory = wireguard::inventory(&spec).unwrap().unwrap();
    let mut keys = Keys::new();
    let mut seed = 0u8;
    keys.complete(&inventory, &mut |bytes: &mut [u8]| {
        seed += 1;
        bytes.fill(seed);
    });
    let plan = wireguard::plan(&spec, &keys).unwrap().unwrap();
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
    insta::assert_snapshot!(wireguard::reachability(&plan).join("\n"), @r"
    cluster -> laptop: via vps
    cluster -> phone: via vps
    cluster -> vps: direct
    laptop -> cluster: via vps
    laptop -> phone: via vps
    laptop -> vps: direct
    phone -> cluster: via vps
    phone -> laptop: via vps
    phone -> vps: direct
    vps -> cluster: direct
    vps -> laptop: direct
    vps -> phone: direct
    ");
    let laptop = plan
        .files()
        .find(|file| file.path.starts_with("laptop"))
        .unwrap();
    let text = String::from_utf8_lossy(laptop.content.as_ref()).into_owned();
    for needed in [
        "10.200.0.10/24",
        "MTU = 1420",
        "10.0.20.0/24",
        "172.20.10.0/24",
        "vps.example.org:51820",
    ] {
        assert!(text.contains(needed), "{needed} is not in\n{text}");
    }
}
