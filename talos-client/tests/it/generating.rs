//! What a contract puts into new configurations, and what it leaves out.

use talos_client::{Generator, MachineType, SecretsBundle, VersionContract};

const MACHINES: [MachineType; 2] = [MachineType::ControlPlane, MachineType::Worker];

fn generator(minor: u32) -> Generator {
    let secrets = SecretsBundle::fixed_for_tests();
    Generator::new("c", "https://10.0.0.1:6443", "1.36.1", secrets)
        .unwrap()
        .contract(VersionContract::new(1, minor))
}

fn text(generator: &Generator, machine: MachineType) -> String {
    generator.generate(machine).unwrap().to_yaml().to_string()
}

#[test]
fn the_registry_that_moved_is_mirrored_at_one_contract_only() {
    for minor in 0..=14 {
        for machine in MACHINES {
            let text = text(&generator(minor), machine);
            assert_eq!(text.contains("k8s.gcr.io:"), minor == 2, "1.{minor}");
        }
    }
    let own = generator(2).registry_mirror("k8s.gcr.io", ["https://mine"]);
    assert!(!text(&own, MachineType::Worker).contains("registry.k8s.io"));
}

#[test]
fn a_proxy_port_that_is_named_counts_before_the_contract_has_a_default() {
    for (minor, port, shown) in [
        (5, None, None),
        (5, Some(7000), Some("7000")),
        (6, None, Some("7445")),
        (6, Some(0), None),
        (14, None, Some("7445")),
        (14, Some(0), None),
    ] {
        let mut generator = generator(minor);
        if let Some(port) = port {
            generator = generator.kube_prism_port(port);
        }
        for machine in MACHINES {
            let text = text(&generator, machine);
            let found = ["7000", "7445"]
                .into_iter()
                .find(|port| text.contains(&format!("port: {port}\n")));
            assert_eq!(found, shown, "1.{minor} {port:?}");
        }
    }
}

#[test]
fn old_contracts_take_neither_the_newer_secret_nor_leave_out_the_older_switch() {
    for minor in 0..=13 {
        let text = text(&generator(minor), MachineType::ControlPlane);
        assert_eq!(
            text.contains("secretboxEncryptionSecret:"),
            minor >= 3,
            "1.{minor}"
        );
        assert_eq!(
            text.contains("disablePodSecurityPolicy: true"),
            minor <= 11,
            "1.{minor}"
        );
    }
}

#[test]
fn control_planes_without_kubernetes_or_etcd_lack_what_these_need_at_every_contract() {
    for minor in 0..=14 {
        let without = generator(minor).without_kubernetes().without_etcd();
        let config = text(&without, MachineType::ControlPlane);
        let (_, cluster) = config.split_once("\ncluster:").unwrap();
        assert!(
            !cluster.contains("\n    token:") && !cluster.contains("\n    etcd:"),
            "1.{minor}"
        );
        let worker = text(&without, MachineType::Worker);
        let (_, cluster) = worker.split_once("\ncluster:").unwrap();
        assert!(cluster.contains("\n    token:"), "1.{minor}");
    }
}

#[test]
fn names_are_not_taken_apart_and_endpoints_are_printed_as_urls() {
    let secrets = SecretsBundle::fixed_for_tests();
    let generator = Generator::new("c", "HTTPS://CP.example:6443", "1.36.1", secrets)
        .unwrap()
        .contract(VersionContract::new(1, 11))
        .additional_sans(["CP.example", "other"]);
    let text = text(&generator, MachineType::ControlPlane);
    assert!(text.contains("endpoint: https://CP.example:6443\n"));
    assert!(text.contains(
        "certSANs:\n            - CP.example\n            - CP.example\n            - other\n"
    ));
    for (endpoint, kubernetes) in [
        ("10.0.0.1", "1.36.1"),
        ("https://", "1.36.1"),
        ("https://h", ""),
    ] {
        let secrets = SecretsBundle::fixed_for_tests();
        assert!(
            Generator::new("c", endpoint, kubernetes, secrets).is_err(),
            "{endpoint}"
        );
    }
}
