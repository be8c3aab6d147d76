//! What texts mean, and how they are printed, by the rules of Talos's own reader.

use talos_client::{MachineConfig, Patch, Schematic, TalosConfig};

fn printed(text: &str) -> Option<String> {
    let config = MachineConfig::load(text).ok()?;
    Some(config.to_yaml().to_string())
}

/// The main document with one line below `machine`, as it is printed, or `None` where it is refused.
fn machine(line: &str) -> Option<String> {
    let printed = printed(&format!("version: v1alpha1\nmachine:\n    {line}\n"))?;
    let lines = printed
        .lines()
        .filter(|line| line.starts_with("    "))
        .map(str::trim);
    let shown: Vec<&str> = lines
        .filter(|line| !matches!(*line, "type: \"\"" | "token: \"\"" | "certSANs: []"))
        .collect();
    Some(shown.join(" "))
}

/// A free-form value, printed.
fn free(value: &str) -> Option<String> {
    let text = format!(
        "apiVersion: v1alpha1\nkind: KubeAuditPolicyConfig\nconfiguration:\n    v: {value}\n"
    );
    let printed = printed(&text)?;
    let (_, value) = printed.split_once("    v: ")?;
    Some(value.trim_end().to_owned())
}

#[test]
fn free_form_scalars_take_the_type_that_they_look_like() {
    for (written, shown) in [
        ("0x10", "16"),
        ("017", "15"),
        ("0o17", "15"),
        ("089", "89"),
        ("1_000", "1000"),
        ("-0", "-0"),
        ("0+5", "0+5"),
        ("+18446744073709551615", "1.8446744073709552e+19"),
        ("18446744073709551615", "18446744073709551615"),
        ("1e6", "1e+06"),
        ("yes", "'yes'"),
        ("2026-1-2", "2026-01-02T00:00:00Z"),
        ("2026-02-30", "2026-02-30"),
        ("2026-01-02T03:04:05.50+00:00", "2026-01-02T03:04:05.5Z"),
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
        ("\"2026-01-02\"", "\"2026-01-02\""),
        ("!!str 5", "\"5\""),
        ("!!int \"5\"", "5"),
        ("!!binary aGk=", "hi"),
        ("!mine 5", "\"5\""),
        ("<<", "'<<'"),
    ] {
        assert_eq!(free(written).as_deref(), Some(shown), "{written}");
    }
    for refused in [
        "!!int x",
        "!!bool yes",
        "!!float x",
        "!!timestamp x",
        "!!binary '%'",
    ] {
        assert_eq!(free(refused), None, "{refused}");
    }
}

#[test]
fn typed_scalars_are_read_with_their_leniency_and_no_more() {
    for (line, shown) in [
        ("token: 0644", Some("token: \"0644\"")),
        ("token: 2026-01-02", None),
        ("token: '2026-01-02'", Some("token: \"2026-01-02\"")),
        ("sysctls: {a: 2026-01-02}", None),
        ("sysctls: {2026-01-02: a}", None),
        ("sysctls: {[a]: b}", None),
        ("time: {bootTimeout: 0}", Some("time: {}")),
        ("time: {bootTimeout: 5}", None),
        ("time: {bootTimeout: ''}", None),
        ("time: {bootTimeout: 1e9}", Some("time: bootTimeout: 1s")),
        (
            "time: {bootTimeout: 90m}",
            Some("time: bootTimeout: 1h30m0s"),
        ),
        ("time: {disabled: !x true}", None),
        (
            "kubelet: {extraArgs: {a: [b, ~, 1]}}",
            Some("kubelet: extraArgs: a: - b - \"1\""),
        ),
        (
            "kubelet: {extraArgs: {a: [yes]}}",
            Some("kubelet: extraArgs: a: - yes"),
        ),
        ("pods: [~]", Some("")),
        ("pods: [x]", None),
        (
            "install: {diskSelector: {type: tape}}",
            Some("install: diskSelector: type: tape wipe: null"),
        ),
        (
            "install: {diskSelector: {size: ' >= 4TB '}}",
            Some("install: diskSelector: size: '>= 4TB' wipe: null"),
        ),
        ("install: {diskSelector: {size: large}}", None),
        ("ca: {crt: QUI=}", Some("ca: crt: QUI= key: \"\"")),
        ("ca: {crt: QUJ=}", Some("ca: crt: QUI= key: \"\"")),
    ] {
        assert_eq!(machine(line).as_deref(), shown, "{line}");
    }
}

#[test]
fn further_documents_read_numbers_words_and_ranges_exactly() {
    let reads = |kind: &str, lines: &str| {
        printed(&format!(
            "apiVersion: v1alpha1\nkind: {kind}\nname: x\n{lines}\n"
        ))
        .is_some()
    };
    for (kind, lines, fine) in [
        ("VRFConfig", "table: 10", true),
        ("VRFConfig", "table: MAIN", true),
        ("VRFConfig", "table: 254", false),
        ("VRFConfig", "table: '007'", false),
        ("BondConfig", "failOverMac: 1", true),
        ("BondConfig", "failOverMac: Active", false),
        ("ExternalVolumeConfig", "filesystemType: swapi", true),
        ("ExternalVolumeConfig", "filesystemType: swap", false),
        (
            "NetworkRuleConfig",
            "portSelector: {ports: [80, 90-91, 0x50]}",
            true,
        ),
        ("NetworkRuleConfig", "portSelector: {ports: ['80']}", false),
        (
            "NetworkRuleConfig",
            "portSelector: {ports: [80 - 90]}",
            false,
        ),
        ("EtcFileConfig", "mode: 0644", true),
        ("EtcFileConfig", "mode: '0644'", false),
        ("EtcFileConfig", "mode: 4294967296", false),
    ] {
        assert_eq!(reads(kind, lines), fine, "{kind} {lines}");
    }
}

#[test]
fn merge_keys_work_in_maps_and_the_own_keys_win_wherever_they_stand() {
    let text = "apiVersion: v1alpha1\nkind: KubeAuditPolicyConfig\nconfiguration:\n    base: &b {x: 1, y: 1}\n    \
                one: {<<: *b, y: 2}\n    two: {y: 2, <<: [{z: 3}, *b, {z: 4}]}\n";
    let printed = printed(text).unwrap();
    let merged = "    one:\n        x: 1\n        'y': 2\n    two:\n        x: 1\n        'y': 2\n        z: 3\n";
    assert!(printed.ends_with(merged), "{printed}");
    // A structure has no key of that name.
    assert!(MachineConfig::load("machine: &m {type: worker}\ncluster:\n    <<: *m\n").is_err());
    let twice = "machine:\n    sysctls:\n        <<: {a: b}\n        <<: {c: d}\n";
    assert!(MachineConfig::load(twice).is_err());
}

#[test]
fn texts_that_are_blank_merge_marks_or_long_keys_are_printed_so_that_they_can_be_read() {
    let long = "k".repeat(129);
    let text = format!(
        "version: v1alpha1\nmachine:\n    sysctls:\n        a: \"\\n\"\n        b: \"<<\"\n        {long}: v\n        \"two\\nlines\": v\n"
    );
    let printed = printed(&text).unwrap();
    for line in [
        "        a: \"\\n\"",
        "        b: '<<'",
        &format!("        ? {long}"),
        "        : v",
    ] {
        assert!(
            printed.lines().any(|found| found == line),
            "{line} in {printed}"
        );
    }
    let again = MachineConfig::load(&printed).unwrap();
    assert_eq!(again.to_yaml().as_str(), printed);
}

#[test]
fn manifests_lose_the_blank_lines_that_they_begin_with() {
    let text = "cluster:\n    inlineManifests:\n        - name: a\n          contents: \"\\n\\t\\n  ---\\n\"\n";
    let config = MachineConfig::load(text).unwrap();
    assert_eq!(config.inline_manifests()[0].contents, "  ---\n");
}

#[test]
fn a_patch_that_says_nothing_is_refused_unless_it_is_no_document() {
    for text in ["{}", "version: v1alpha1", "kind: X\nname: y\n"] {
        assert!(Patch::load(text).is_err(), "{text}");
    }
    for text in ["", "# nothing", "[]", "{}\n---\nmachine:\n    token: t\n"] {
        assert!(Patch::load(text).is_ok(), "{text}");
    }
}

#[test]
fn talosconfigs_are_typed_and_keep_what_they_do_not_know() {
    let shown = |text: &str| {
        let config = TalosConfig::from_yaml(text).ok()?;
        Some(config.to_yaml().to_string())
    };
    for (text, printed) in [
        ("context: 5\n", Some("context: \"5\"\ncontexts: {}\n")),
        ("---\n", Some("context: \"\"\ncontexts: {}\n")),
        (
            "contexts: {a: {ca: 5, nodes: [], auth: {}}}",
            Some("context: \"\"\ncontexts:\n    a:\n        endpoints: []\n        ca: \"5\"\n"),
        ),
        (
            "contexts: {a: {auth: {basic: {username: u, realm: r}, more: 1}, other: [1]}}",
            Some(
                "context: \"\"\ncontexts:\n    a:\n        endpoints: []\n        auth:\n            basic:\n                username: u\n                password: \"\"\n                realm: r\n            more: 1\n        other:\n            - 1\n",
            ),
        ),
        ("hello", None),
        ("[]", None),
        ("contexts: {a: {endpoints: 1.1.1.1}}", None),
        ("contexts: {a: ~}", None),
        ("contexts: {a: {ca: x, ca: y}}", None),
    ] {
        assert_eq!(shown(text).as_deref(), printed, "{text}");
    }
    let mut config = TalosConfig::from_yaml("context: a\ncontexts: {a: {}}\n").unwrap();
    config.merge(&TalosConfig::from_yaml("context: gone\ncontexts: {b: {}}\n").unwrap());
    assert_eq!(config.current_name(), "");
}

#[test]
fn schematics_are_read_as_strictly_as_the_factory_reads_them() {
    let canonical = |text: &str| Some(Schematic::from_yaml(text).ok()?.canonical());
    for (text, printed) in [
        ("---", Some("customization: {}\n")),
        (
            "overlay: {name: rpi}",
            Some("overlay:\n    image: \"\"\n    name: rpi\ncustomization: {}\n"),
        ),
        ("overlay: {options: {}}", Some("customization: {}\n")),
        (
            "customization: {meta: [{value: x}]}",
            Some("customization:\n    meta:\n        - key: 0\n          value: x\n"),
        ),
        (
            "customization: {bootloader: GRUB}",
            Some("customization:\n    bootloader: grub\n"),
        ),
        (
            "customization: {bootloader: none}",
            Some("customization: {}\n"),
        ),
        ("customization: {bootloader: lilo}", None),
        (
            "customization: {diskImage: {sectorSize: 8589934592}}",
            Some("customization:\n    diskImage:\n        sectorSize: 8589934592\n"),
        ),
        ("customization: {}\ncustomization: {}", None),
        ("", None),
    ] {
        assert_eq!(canonical(text).as_deref(), printed, "{text}");
    }
}

#[test]
fn ranges_of_ports_that_overlap_are_told_with_both_ends() {
    use talos_client::{ValidationMode, ValidationOptions};
    let text = "apiVersion: v1alpha1\nkind: NetworkRuleConfig\nname: x\nportSelector: {ports: [80, 79-81]}\ningress: []\n";
    let found = MachineConfig::load(text)
        .unwrap()
        .validate(&ValidationOptions::new(ValidationMode::Cloud));
    assert_eq!(
        found.errors[0].message,
        "invalid port range: 80-80, overlaps with 79-81"
    );
}

#[test]
fn white_space_counts_as_much_as_the_library_that_talos_uses_makes_of_it() {
    for (text, token) in [
        (
            "machine:\n    token: \"a\nb\"\n    type: worker\n",
            Some("a b"),
        ),
        ("machine:\n    token: 'a\n\tb'\n", Some("a b")),
        ("machine:\n    token: \"a\n---\nb\"\n", None),
        ("machine: {token: a,\n\ttype: worker\n    }\n", Some("a")),
        ("machine: {token: a,\n    type: worker\n\t}\n", None),
        ("machine:\n    token: a\n\t\n    type: worker\n", None),
        ("\tmachine:\n    token: a\n", None),
        ("machine:\n    token: a\n\t# said\n", None),
        ("machine:\n    token: |\n        a\n\t\n        b\n", None),
        ("machine:\n    token: a\t# said\n", Some("a")),
    ] {
        let printed = printed(text);
        let found = printed.as_deref().and_then(|text| {
            let (_, token) = text.split_once("token: ")?;
            token.lines().next()
        });
        assert_eq!(found, token, "{text:?}");
    }
}
