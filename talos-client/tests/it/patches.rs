//! Patches from types.

use talos_client::{
    Generator, Interface, MachineType, Patch, SecretsBundle, UserVolume, VersionContract,
};

#[test]
fn settings_go_where_the_contract_keeps_them() {
    for contract in [
        VersionContract::new(1, 11),
        VersionContract::V1_13,
        VersionContract::V1_14,
    ] {
        let patch = Patch::builder(contract)
            .hostname("n1")
            .interface(
                Interface::named("eth0")
                    .address("10.0.20.11/24")
                    .gateway("10.0.20.1")
                    .vip("10.0.20.10"),
            )
            .install_disk("/dev/sda")
            .cni_none()
            .kube_proxy_disabled()
            .node_label("rack", "a")
            .inline_manifest("ns", "kind: Namespace\n")
            .build()
            .unwrap();
        let secrets = SecretsBundle::fixed_for_tests();
        let generator = Generator::new("c", "https://10.0.20.10:6443", "1.36.1", secrets)
            .unwrap()
            .contract(contract);
        let config = generator
            .generate(MachineType::ControlPlane)
            .unwrap()
            .patched(&patch)
            .unwrap();
        assert_eq!(config.hostname(), Some("n1"), "{contract}");
        assert_eq!(config.addresses(), ["10.0.20.11/24"], "{contract}");
        assert_eq!(config.virtual_ips(), ["10.0.20.10"], "{contract}");
        assert!(
            config.cni_is_none() && config.kube_proxy_disabled() && config.has_install_target(),
            "{contract}"
        );
        assert!(
            config
                .node_labels()
                .contains(&("rack".to_owned(), "a".to_owned())),
            "{contract}"
        );
        assert_eq!(config.inline_manifests()[0].name, "ns", "{contract}");
        assert_eq!(config.kubernetes_version(), Some("1.36.1"));
        let again = talos_client::MachineConfig::load(&config.to_yaml()).unwrap();
        assert_eq!(again, config, "{contract}");
        assert!(
            config.documents_unknown_to(contract).is_empty(),
            "{contract}"
        );
    }
}

#[test]
fn a_setting_without_a_place_is_named() {
    let error = Patch::builder(VersionContract::new(1, 9))
        .user_volume(UserVolume::new("longhorn", "!system_disk"))
        .build();
    let error = error.unwrap_err();
    assert_eq!(error.problems()[0].path, "UserVolumeConfig/longhorn");
}

#[test]
fn unknown_keys_have_line_and_column() {
    let error = Patch::load("machine:\n  network:\n    hostnam: x\n").unwrap_err();
    let problem = &error.problems()[0];
    assert_eq!((problem.line, problem.column), (Some(3), Some(5)));
    assert_eq!(problem.path, "machine.network.hostnam");
}
