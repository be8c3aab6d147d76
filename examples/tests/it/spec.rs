//! `cluster.yaml`: what is accepted, what is refused, and how it is said.

use homelab::spec::Spec;

const PRODUCTION: &str = include_str!("../../environments/production/cluster.yaml");

fn production() -> Spec {
    match Spec::parse("cluster.yaml", PRODUCTION) {
        Ok(spec) => spec,
        Err(problems) => panic!("{}", problems.render(false)),
    }
}

#[test]
fn the_production_environment_is_accepted_without_a_warning() {
    let spec = production();
    assert_eq!(spec.warnings().map(ToString::to_string), None);
    assert_eq!(
        (spec.control_planes().count(), spec.workers().count()),
        (3, 6)
    );
}

#[test]
fn what_is_rendered_reads_back_as_the_same_description() {
    let spec = production();
    let text = spec.render();
    let again = Spec::parse("rendered.yaml", &text)
        .unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)));
    assert_eq!(again.render(), text);
}

#[test]
fn a_counted_entry_becomes_machines_that_count_up() {
    let spec = production();
    let found: Vec<String> = spec
        .nodes
        .iter()
        .map(|node| {
            format!(
                "{} {} {} {}",
                node.name, node.vmid, node.address, node.source
            )
        })
        .collect();
    insta::assert_snapshot!(found.join("\n"), @r"
    cp-1 8101 10.0.20.11 nodes[0]
    cp-2 8102 10.0.20.12 nodes[0]
    cp-3 8103 10.0.20.13 nodes[0]
    worker-1 8201 10.0.20.21 nodes[1]
    worker-2 8202 10.0.20.22 nodes[1]
    worker-3 8203 10.0.20.23 nodes[1]
    worker-4 8204 10.0.20.24 nodes[1]
    worker-5 8205 10.0.20.25 nodes[2]
    worker-6 8206 10.0.20.26 nodes[2]
    ");
}

#[test]
fn a_secret_in_the_file_is_not_shown_again() {
    let text = PRODUCTION.replace(
        "tokenFrom: env:PROXMOX_TOKEN",
        "tokenFrom: root@pam!x=5up3rs3cr3t",
    );
    let problems = Spec::parse("cluster.yaml", &text).unwrap_err();
    let all = format!(
        "{problems}{problems:?}{}{}",
        problems.render(false),
        problems.to_json()
    );
    assert!(!all.contains("5up3r"), "{all}");
    assert_eq!(
        problems
            .list()
            .iter()
            .map(|problem| problem.rule)
            .collect::<Vec<_>>(),
        ["secret-inline"]
    );
}

#[test]
fn a_report_shows_the_line_with_a_caret_and_the_remedy() {
    let text = PRODUCTION
        .replace("memory: 4GiB", "memory: 4")
        .replace("loadBalancer:", "loadBallancer:");
    let problems = Spec::parse("cluster.yaml", &text).unwrap_err();
    insta::assert_snapshot!(problems.render(false), @r#"
    error unit at profiles.control-plane.memory

      x memory 4 has no unit; write 4GiB (4 bytes is surely not meant)
         ,-[cluster.yaml:105:13]
     104 |     cores: 2
     105 |     memory: 4
         :             ^
     106 |     disk: {size: 40GiB, storage: local-lvm}
         `----
      help: units: KiB, MiB, GiB, TiB

    error unknown-key at loadBallancer

      x unknown key "loadBallancer"; did you mean "loadBalancer"?
         ,-[cluster.yaml:129:1]
     128 |
     129 | loadBallancer:
         : ^^^^^^^^^^^^^
     130 |   # How the network learns where a service answers: `bgp` (the router is told) or `l2` (ARP, pools inside network.nodes).
         `----
      help: known here: api, backup, bgp, bootstrap, cilium, components, dns, gateway, gitops, image, loadBalancer, name,
            network, nodes, profiles, proxmox, secrets, storage, tier, versions, wireguard

    cluster.yaml: 2 errors, 0 warnings
    "#);
}
