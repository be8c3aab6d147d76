//! What separates configurations, what patches do, and what nodes would say.

use talos_client::{
    Effect, MachineConfig, Patch, ValidationMode, ValidationOptions, VersionContract,
};

const CONFIG: &str = "version: v1alpha1
machine:
    type: worker
    token: abcdef.0123456789abcdef
    certSANs:
        - a.example
    sysctls:
        vm.swappiness: \"1\"
cluster: null
---
apiVersion: v1alpha1
kind: VolumeConfig
name: EPHEMERAL
provisioning:
    diskSelector:
        match: system_disk
    minSize: 10GiB
    maxSize: 20GiB
";

fn explained(patch: &str) -> Vec<String> {
    let config = MachineConfig::load(CONFIG).unwrap();
    let changes = config.explain(&Patch::load(patch).unwrap()).unwrap();
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_diff_has_labels_and_three_lines_of_context() {
    let old = MachineConfig::load(CONFIG).unwrap();
    let new =
        MachineConfig::load(&CONFIG.replace("swappiness: \"1\"", "swappiness: \"2\"")).unwrap();
    assert_eq!(
        *old.diff(&new),
        "--- a\n+++ b\n@@ -5,7 +5,7 @@\n     certSANs:\n         - a.example\n     sysctls:\n-        vm.swappiness: \"1\"\n+        vm.swappiness: \"2\"\n cluster: null\n ---\n apiVersion: v1alpha1\n"
    );
    assert!(!old.redacted_diff(&new, "******").contains("abcdef"));
}

#[test]
fn lists_that_grow_are_told_apart_from_values_that_change() {
    let told = explained(
        "machine:\n  certSANs: [b.example]\n  sysctls: {vm.swappiness: \"2\", new.key: \"1\"}\n  type: worker\n  token: \"\"\n",
    );
    assert_eq!(
        told,
        [
            "v1alpha1 machine.certSANs: 1 appended to 1, nothing was replaced",
            "v1alpha1 machine.sysctls.vm.swappiness: changed",
            "v1alpha1 machine.sysctls.new.key: added",
            "v1alpha1 machine.type: no effect, it has this value already",
            "v1alpha1 machine.token: no effect, an empty value changes nothing",
        ]
    );
}

#[test]
fn what_a_patch_erases_without_naming_it_is_told() {
    let told = explained(
        "apiVersion: v1alpha1\nkind: VolumeConfig\nname: EPHEMERAL\nprovisioning:\n  maxSize: 30GiB\n",
    );
    assert!(told.contains(&"VolumeConfig/EPHEMERAL provisioning.minSize: erased, although the patch does not name it".to_owned()), "{told:?}");
    assert!(
        told.contains(&"VolumeConfig/EPHEMERAL provisioning.maxSize: changed".to_owned()),
        "{told:?}"
    );
}

#[test]
fn deletions_and_new_documents_are_told() {
    let told = explained(
        "machine:\n  sysctls: {$patch: delete}\n---\napiVersion: v1alpha1\nkind: HostnameConfig\nhostname: n1\n---\napiVersion: v1alpha1\nkind: SysctlConfig\n$patch: delete\n",
    );
    assert_eq!(
        told,
        [
            "v1alpha1 machine.sysctls: removed",
            "HostnameConfig: added",
            "SysctlConfig: no effect, there is nothing to delete",
        ]
    );
}

#[test]
fn values_that_merging_passes_over_are_not_called_equal() {
    for (base, patch, told) in [
        (
            "apiVersion: v1alpha1\nkind: NetworkDefaultActionConfig\ningress: block\n",
            "apiVersion: v1alpha1\nkind: NetworkDefaultActionConfig\ningress: accept\n",
            "NetworkDefaultActionConfig ingress: no effect, it is the value that stands for none, which merging passes over; delete the old one with `$patch: delete`",
        ),
        (
            "apiVersion: v1alpha1\nkind: VolumeConfig\nname: LOG\nprovisioning: {maxSize: 1GiB}\n",
            "apiVersion: v1alpha1\nkind: VolumeConfig\nname: LOG\nprovisioning: {maxSize: 50%}\n",
            "VolumeConfig/LOG provisioning.maxSize: no effect, what is there wins; delete it with `$patch: delete` first",
        ),
        (
            "machine: {nodeLabels: {example.com/a: b}}\n",
            "machine: {nodeLabels: {example.com/a: b}}\n",
            "v1alpha1 machine.nodeLabels.example.com/a: no effect, it has this value already",
        ),
        (
            "machine: {network: {interfaces: [{interface: eth0, mtu: 9000, dhcp: true}]}}\n",
            "machine: {network: {interfaces: [{interface: eth0, dhcp: true}]}}\n",
            "v1alpha1 machine.network.interfaces: no effect, it has this value already",
        ),
    ] {
        let config = MachineConfig::load(base).unwrap();
        let changes = config.explain(&Patch::load(patch).unwrap()).unwrap();
        let found: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(found, [told]);
    }
}

#[test]
fn operations_are_explained_too() {
    let config = MachineConfig::load("machine:\n  type: worker\n  sysctls: {a: b}\n").unwrap();
    let patch = "- {op: remove, path: /machine/sysctls}\n- {op: replace, path: /machine/type, value: controlplane}\n";
    let changes = config.explain(&Patch::load(patch).unwrap()).unwrap();
    let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "v1alpha1 machine.type: changed",
            "v1alpha1 machine.sysctls: removed",
        ]
    );
}

#[test]
fn values_never_stand_in_an_explanation() {
    let config = MachineConfig::load(CONFIG).unwrap();
    let patch = Patch::load("machine:\n  token: fedcba.fedcba9876543210\n").unwrap();
    let changes = config.explain(&patch).unwrap();
    assert_eq!(changes[0].effect, Effect::Changed);
    assert!(!format!("{changes:?}").contains("fedcba"));
}

#[test]
fn preflight_names_keys_and_documents_that_are_too_new() {
    let text = "machine:\n  install:\n    disk: /dev/sda\n    grubUseUKICmdline: true\n  features:\n    imageCache: {localEnabled: true}\n---\napiVersion: v1alpha1\nkind: KubePrismConfig\nport: 7445\n---\napiVersion: v1alpha1\nkind: UserVolumeConfig\nname: data\nmount: {secure: true}\n";
    let config = MachineConfig::load(text).unwrap();
    let told = |minor| -> Vec<String> {
        let problems = config.preflight(VersionContract::new(1, minor));
        problems.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        told(11),
        [
            "machine.install.grubUseUKICmdline: Talos v1.11 does not know it; it came with v1.12",
            "KubePrismConfig: Talos v1.11 does not know it; it came with v1.14",
            "UserVolumeConfig/data mount: Talos v1.11 does not know it; it came with v1.13",
        ]
    );
    assert_eq!(told(13).len(), 1);
    assert!(told(14).is_empty());
}

#[test]
fn lint_sees_what_validation_lets_through() {
    let text = "machine:\n  type: controlplane\n  install: {disk: /dev/sda, image: example.com/installer}\ncluster:\n  controlPlane: {endpoint: 'http://10.0.0.1:6443'}\n  network: {podSubnets: [no-subnet], serviceSubnets: [10.96.0.1/12]}\n  extraManifests: [not a url]\n";
    let config = MachineConfig::load(text).unwrap();
    let found: Vec<String> = config
        .lint()
        .into_iter()
        .map(|problem| problem.path)
        .collect();
    for path in [
        "machine.token",
        "cluster.token",
        "cluster.controlPlane.endpoint",
        "cluster.network.podSubnets[0]",
        "cluster.network.serviceSubnets[0]",
        "cluster.extraManifests[0]",
        "machine.install.image",
    ] {
        assert!(
            found.iter().any(|found| found == path),
            "{path} in {found:?}"
        );
    }
    let options = ValidationOptions::new(ValidationMode::Metal);
    let refused = config.validate(&options).errors;
    assert!(!refused.iter().any(|error| error.message.contains("token")));
}

#[test]
fn syntax_errors_say_what_is_wrong() {
    let error = MachineConfig::load("machine: {a: [}\n").unwrap_err();
    assert!(error.problems()[0].message.len() > 5, "{error}");
}
