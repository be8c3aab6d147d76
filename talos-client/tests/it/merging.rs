//! Strategic merges and deletions, rule by rule as Talos carries them out.

use talos_client::{Compatibility, MachineConfig, Patch};

fn patched(base: &str, patch: &str) -> Option<String> {
    let config = MachineConfig::load(base).expect("a base that loads");
    let config = config.patched(&Patch::load(patch).ok()?).ok()?;
    Some(config.to_yaml().to_string())
}

/// The lines of the result below the given key.
fn below(base: &str, patch: &str, key: &str) -> Option<String> {
    let printed = patched(base, patch)?;
    let (_, after) = printed.split_once(&format!("{key}:\n"))?;
    let lines: Vec<&str> = after.lines().map(str::trim).collect();
    Some(lines.join(" "))
}

fn audit(value: &str) -> String {
    format!(
        "apiVersion: v1alpha1\nkind: KubeAdmissionControlConfig\nname: x\nconfiguration: {value}\n"
    )
}

#[test]
fn zero_and_empty_text_change_nothing_in_free_form_content_but_false_does() {
    let base = audit("{a: 5, b: x, c: true, d: [1], e: 1.5}");
    let patch = audit("{a: 0, b: '', c: false, d: [], e: 0.0}");
    let merged = below(&base, &patch, "configuration");
    assert_eq!(merged.as_deref(), Some("a: 5 b: x c: false d: - 1 e: 1.5"));
    let fixed = MachineConfig::load(&base)
        .unwrap()
        .patched_as(&Patch::load(&patch).unwrap(), Compatibility::Fixed)
        .unwrap();
    assert!(fixed.to_yaml().contains("    a: 0\n    b: \"\"\n"));
}

#[test]
fn a_share_of_the_disk_does_not_take_the_place_of_bytes() {
    let volume = |size: &str| {
        format!(
            "apiVersion: v1alpha1\nkind: VolumeConfig\nname: EPHEMERAL\nprovisioning:\n    maxSize: {size}\n"
        )
    };
    for (old, new, result) in [
        ("10GiB", "50%", "10GiB"),
        ("50%", "10GiB", "10GiB"),
        ("50%", "40%", "40%"),
        ("1GiB", "2GiB", "2GiB"),
    ] {
        let merged = below(&volume(old), &volume(new), "provisioning");
        assert_eq!(merged, Some(format!("maxSize: {result}")), "{old} {new}");
    }
}

#[test]
fn urls_merge_part_by_part_and_two_users_do_not_merge() {
    let log =
        |url: &str| format!("apiVersion: v1alpha1\nkind: KmsgLogConfig\nname: x\nurl: {url}\n");
    for (old, new, result) in [
        ("tcp://a:1/p?q#f", "udp://b:2", Some("udp://b:2/p?q#f")),
        ("tcp://u@a:1", "udp://b:2", Some("udp://u@b:2")),
        ("tcp://a:1", "udp://u@b", Some("udp://u@b")),
        ("tcp://u@a:1", "udp://v@b:2", None),
        ("tcp://a:1?q", "/p?", Some("tcp://a:1/p?q")),
    ] {
        let merged = patched(&log(old), &log(new));
        let url = merged.map(|text| text.lines().last().unwrap().to_owned());
        assert_eq!(url, result.map(|url| format!("url: {url}")), "{old} {new}");
    }
}

#[test]
fn elements_with_keys_merge_also_where_the_key_is_empty() {
    let vlans = |line: &str| {
        format!(
            "machine:\n    network:\n        interfaces:\n            - interface: eth0\n              vlans:\n                - {line}\n"
        )
    };
    let merged = below(&vlans("mtu: 1"), &vlans("addresses: [a]"), "vlans");
    assert_eq!(
        merged.as_deref(),
        Some("- addresses: - a routes: [] vlanId: 0 mtu: 1 cluster: null")
    );
    let device =
        |text: &str| format!("machine:\n    network:\n        interfaces:\n            - {text}\n");
    let base = device("{interface: eth0, deviceSelector: {busPath: a}}");
    let merged = below(
        &base,
        &device("{deviceSelector: {busPath: a}, mtu: 9}"),
        "interfaces",
    );
    assert_eq!(
        merged.as_deref(),
        Some("- interface: eth0 deviceSelector: busPath: a mtu: 9 cluster: null")
    );
}

#[test]
fn rules_for_images_take_each_others_place_as_a_whole() {
    let rules = |lines: &str| {
        format!("apiVersion: v1alpha1\nkind: ImageVerificationConfig\nrules: {lines}\n")
    };
    let merged = below(
        &rules("[{image: a, skip: true}, {image: b, deny: true}]"),
        &rules(
            "[{image: a, keyless: {issuer: i}}, {image: c, skip: true}, {image: c, deny: true}]",
        ),
        "rules",
    );
    let wanted = "- image: a keyless: issuer: i - image: b deny: true - image: c skip: true - image: c deny: true";
    assert_eq!(merged.as_deref(), Some(wanted));
}

#[test]
fn a_key_without_a_value_changes_nothing() {
    let base = "machine:\n    registries:\n        mirrors:\n            a: {endpoints: [x]}\n";
    let patch = "machine:\n    registries:\n        mirrors:\n            a:\n";
    let merged = below(base, patch, "mirrors");
    assert_eq!(merged.as_deref(), Some("a: endpoints: - x cluster: null"));
}

#[test]
fn only_the_first_element_that_fits_is_deleted() {
    let base = "machine:\n    network:\n        extraHostEntries:\n            - {ip: a, aliases: [x]}\n            - {ip: a, aliases: [y]}\n";
    let patch = "machine:\n    network:\n        extraHostEntries:\n            - {ip: a, $patch: delete}\n";
    let left = below(base, patch, "extraHostEntries");
    assert_eq!(
        left.as_deref(),
        Some("- ip: a aliases: - 'y' cluster: null")
    );
}

#[test]
fn elements_are_found_by_text_alone() {
    let base = "machine:\n    pods:\n        - {name: p}\n    network:\n        interfaces:\n            - interface: eth0\n              vlans: []\n        \
                extraHostEntries: [{ip: a, aliases: []}]\n    kubelet:\n        extraMounts: [{destination: d, uidMappings: [{containerID: 1, hostID: 1, size: 1}]}]\n    disks:\n        - {device: sda, partitions: []}\n";
    for (patch, fits) in [
        ("machine: {disks: [{device: sda, $patch: delete}]}", true),
        ("machine: {disks: [{device: sdb, $patch: delete}]}", false),
        ("machine: {pods: [{name: p, $patch: delete}]}", false),
        (
            "machine: {disks: [{partitions: [], $patch: delete}]}",
            false,
        ),
        ("machine: {disks: [{$patch: delete}]}", false),
        ("machine: {disks: {x: {$patch: delete}}}", false),
        (
            "machine: {network: {interfaces: [{interface: eth0, vlans: [{vlanId: 0, $patch: delete}]}]}}",
            false,
        ),
    ] {
        assert_eq!(patched(base, patch).is_some(), fits, "{patch}");
    }
}

#[test]
fn what_stands_before_a_deletion_in_its_mapping_is_carried_out_too() {
    let base = "machine:\n    sysctls: {a: b}\n    token: t\n";
    let inner = "machine:\n    sysctls:\n        gone: {$patch: delete}\n        $patch: delete\n";
    assert_eq!(patched(base, inner), None);
    let behind = "machine:\n    sysctls:\n        $patch: delete\n        gone: {$patch: delete}\n";
    assert!(!patched(base, behind).unwrap().contains("sysctls"));
}

#[test]
fn documents_are_deleted_by_their_name_and_never_without_it() {
    let base = "apiVersion: v1alpha1\nkind: LinkConfig\nname: eth0\n---\napiVersion: v1alpha1\nkind: HostnameConfig\nhostname: h\n";
    let gone = |patch: &str| {
        let left = patched(base, patch).unwrap_or_default();
        (
            !left.contains("LinkConfig"),
            !left.contains("HostnameConfig"),
        )
    };
    let patch = |kind: &str, more: &str| {
        format!("apiVersion: v1alpha1\nkind: {kind}\n{more}$patch: delete\n")
    };
    assert_eq!(gone(&patch("LinkConfig", "name: eth0\n")), (true, false));
    assert_eq!(gone(&patch("LinkConfig", "")), (false, false));
    assert_eq!(gone(&patch("HostnameConfig", "")), (false, true));
    assert_eq!(gone(&patch("HostnameConfig", "name: h\n")), (false, false));
}

#[test]
fn old_booleans_of_arguments_become_words_on_the_way_through_json() {
    let base = "machine:\n    kubelet:\n        extraArgs: {a: yes, b: [on]}\n    token: yes\n";
    let patched = patched(base, "- {op: add, path: /machine/type, value: worker}\n").unwrap();
    assert!(
        patched.contains("a: \"true\"\n            b:\n                - \"true\"\n"),
        "{patched}"
    );
    assert!(patched.contains("token: 'yes'\n"), "{patched}");
}
