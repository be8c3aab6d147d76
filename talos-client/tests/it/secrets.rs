//! Secrets bundles and what is made from them.

use talos_client::{MachineConfig, SecretsBundle, TalosConfig};

#[test]
fn a_bundle_reads_what_it_writes_and_shows_nothing() {
    let bundle = SecretsBundle::fixed_for_tests();
    bundle.validate().unwrap();
    let text = bundle.to_yaml();
    assert_eq!(SecretsBundle::from_yaml(&text).unwrap(), bundle);
    assert_eq!(format!("{bundle:?}"), "SecretsBundle { .. }");
}

#[cfg(feature = "secrets")]
#[test]
fn a_new_bundle_is_complete_and_its_authorities_sign() {
    use std::time::SystemTime;
    use talos_client::VersionContract;
    let bundle = SecretsBundle::generate(VersionContract::V1_13, SystemTime::now()).unwrap();
    bundle.validate().unwrap();
    let config = bundle
        .talosconfig("c", ["10.0.0.1"], SystemTime::now())
        .unwrap();
    assert_eq!(config.context_names().collect::<Vec<_>>(), ["c"]);
    if let Some(path) = std::env::var_os("WRITE_FIXED_BUNDLE") {
        bundle.write_file(path.as_ref()).unwrap();
    }
}

#[test]
fn no_secret_of_a_configuration_is_shown() {
    let lab = crate::support::Lab::new();
    let config = lab.config("cp1");
    let shown = format!("{config:?}");
    let secrets = lab.secrets.to_yaml();
    let yaml: Vec<&str> = secrets
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(_, value)| value)
        .collect();
    let public = |value: &&str| value.starts_with("LS0tLS1CRUdJTiBDRVJU");
    let id = config.cluster_id().unwrap();
    for value in yaml.iter().filter(|value| !public(value) && **value != id) {
        assert!(!shown.contains(value), "shown: {}", &value[..8]);
    }
    assert!(MachineConfig::load(&config.to_redacted_yaml("x")).is_ok());
}

#[test]
fn talosconfigs_merge_with_renames() {
    let lab = crate::support::Lab::new();
    let mut ours = lab.talosconfig();
    let renames = ours.merge(&lab.talosconfig());
    assert_eq!(renames, [("lab".to_owned(), "lab-1".to_owned())]);
    assert_eq!(ours.current_name(), "lab-1");
    let text = ours.to_yaml();
    assert_eq!(TalosConfig::from_yaml(&text).unwrap(), ours);
    assert!(!format!("{ours:?}").contains("LS0t"));
}
