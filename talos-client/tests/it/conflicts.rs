//! Settings that are written out empty and documents beside them: Talos takes some for set, and asks others for members.

use talos_client::{MachineConfig, Patch, ValidationMode, ValidationOptions};

fn load(setting: &str, kind: &str) -> MachineConfig {
    let text = format!("{setting}---\napiVersion: v1alpha1\nkind: {kind}\n");
    MachineConfig::load(&text).unwrap()
}

fn conflicts(config: &MachineConfig) -> bool {
    let found = config.validate(&ValidationOptions::new(ValidationMode::Metal));
    found
        .errors
        .iter()
        .any(|error| error.message.contains("already"))
        || found
            .errors
            .iter()
            .any(|error| error.message.contains("both v1alpha1 and new-style"))
}

#[test]
fn an_empty_list_or_mapping_excludes_the_document_where_talos_looks_for_presence() {
    for (section, key, kind) in [
        ("machine", "nodeLabels: {}", "KubeNodeConfig"),
        ("machine", "nodeAnnotations: {}", "KubeNodeConfig"),
        ("machine", "nodeTaints: {}", "KubeNodeConfig"),
        ("machine", "network: {searchDomains: []}", "ResolverConfig"),
        (
            "machine",
            "baseRuntimeSpecOverrides: {}",
            "CRIBaseRuntimeSpecConfig",
        ),
    ] {
        let setting = format!("{section}:\n  {key}\n");
        assert!(conflicts(&load(&setting, kind)), "{key}");
        let absent = key.replace("{}", "null").replace("[]", "null");
        let setting = format!("{section}:\n  {absent}\n");
        assert!(!conflicts(&load(&setting, kind)), "{absent}");
    }
}

#[test]
fn an_empty_list_or_mapping_counts_as_absent_where_talos_looks_for_members() {
    for (section, key, kind) in [
        (
            "cluster",
            "apiServer: {admissionControl: []}",
            "KubeAdmissionControlConfig",
        ),
        (
            "cluster",
            "apiServer: {auditPolicy: {}}",
            "KubeAuditPolicyConfig",
        ),
        ("machine", "time: {servers: []}", "TimeSyncConfig"),
        ("machine", "network: {nameservers: []}", "ResolverConfig"),
        ("machine", "sysctls: {}", "SysctlConfig"),
    ] {
        let setting = format!("{section}:\n  {key}\n");
        assert!(!conflicts(&load(&setting, kind)), "{key}");
    }
}

#[test]
fn printing_forgets_what_was_empty_and_patches_set_and_delete_it() {
    let config = load("machine:\n  nodeLabels: {}\n", "KubeNodeConfig");
    let printed = config.to_yaml();
    assert!(!printed.contains("nodeLabels"));
    let again = MachineConfig::load(&printed).unwrap();
    assert_eq!(again, config);
    assert!(!conflicts(&again));

    let patched =
        |config: &MachineConfig, patch: &str| config.patched(&Patch::load(patch).unwrap()).unwrap();
    let set = patched(&again, "machine:\n  nodeLabels: {}\n");
    assert!(conflicts(&set));
    assert!(!conflicts(&patched(
        &set,
        "machine:\n  nodeLabels:\n    $patch: delete\n"
    )));
    let filled = patched(&again, "machine:\n  nodeLabels: {a: b}\n");
    assert!(conflicts(&filled));
    let emptied = patched(&filled, "machine:\n  nodeLabels: {}\n");
    assert!(emptied.to_yaml().contains("a: b"));
}

#[test]
fn accepted_authorities_that_are_written_out_ask_for_encryption() {
    let asks = |accepted: &str| {
        let text = format!("machine:\n  type: controlplane\ncluster:\n  acceptedCAs: {accepted}\n");
        let config = MachineConfig::load(&text).unwrap();
        let found = config.validate(&ValidationOptions::new(ValidationMode::Metal));
        found
            .errors
            .iter()
            .any(|error| error.message.contains("etcd encryption config is required"))
    };
    assert!(asks("[]"));
    assert!(!asks("null"));
}
