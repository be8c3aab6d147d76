//! What holds for every configuration: printing loses nothing, patches of a difference close it, redaction hides all secrets,
//! and it does not matter how patches are grouped.

use proptest::prelude::*;
use serde_json::{Value, json};
use talos_client::{MachineConfig, Patch};

/// Any text that YAML can hold.
fn content() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}",
        "(\\n|[ -~]{0,8}\\n){0,5}[ -~]{0,8}",
        "[\\t\\na-z:#'\"\u{a0}-\u{2ff}\u{85}\u{2028}\u{1f600}]{0,12}",
        Just("yes".to_owned()),
        Just("0644".to_owned()),
        Just("1e3".to_owned()),
        Just("2026-11-20".to_owned()),
    ]
}

fn key() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9._-]{0,10}"
}

fn table() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(key(), content(), 0..4).prop_map(|map| json!(map))
}

fn secret() -> impl Strategy<Value = String> {
    "[A-Za-z0-9]{16,24}"
}

prop_compose! {
    fn main_document()(
        sysctls in table(),
        sans in prop::collection::vec(key(), 0..3),
        labels in table(),
        files in prop::collection::vec((content(), key()), 0..3),
        manifests in prop::collection::vec((key(), content()), 0..3),
        token in secret(),
        devices in prop::collection::vec((key(), any::<bool>(), 0_u16..9000), 0..3),
        persist in any::<Option<bool>>(),
    ) -> Value {
        let files: Vec<Value> = files.into_iter().map(|(content, path)| json!({"content": content, "path": path})).collect();
        let manifests: Vec<Value> = manifests.into_iter().map(|(name, contents)| json!({"name": name, "contents": contents})).collect();
        let devices: Vec<Value> = devices.into_iter().map(|(name, dhcp, mtu)| json!({"interface": name, "dhcp": dhcp, "mtu": mtu})).collect();
        json!({
            "version": "v1alpha1",
            "persist": persist,
            "machine": {
                "type": "worker", "token": token, "sysctls": sysctls, "certSANs": sans, "nodeLabels": labels, "files": files,
                "network": {"interfaces": devices},
            },
            "cluster": {"controlPlane": {"endpoint": "https://10.0.0.1:6443"}, "inlineManifests": manifests},
        })
    }
}

prop_compose! {
    fn further_documents()(
        hostname in prop::option::of("[a-z]{1,10}"),
        least in prop::option::of(1_u32..100),
        selector in prop::option::of(Just("system_disk")),
        params in prop::option::of(table()),
        peers in prop::collection::vec("[a-z]{4}", 0..3),
    ) -> Vec<Value> {
        let document = |kind: &str| json!({"apiVersion": "v1alpha1", "kind": kind});
        let mut all = Vec::new();
        if let Some(hostname) = hostname {
            let mut one = document("HostnameConfig");
            one["hostname"] = json!(hostname);
            all.push(one);
        }
        if least.is_some() || selector.is_some() {
            let mut one = document("VolumeConfig");
            one["name"] = json!("EPHEMERAL");
            one["provisioning"] = json!({"minSize": least.map(|n| format!("{n}GiB")), "diskSelector": {"match": selector}});
            all.push(one);
        }
        if let Some(params) = params {
            let mut one = document("SysctlConfig");
            one["params"] = params;
            all.push(one);
        }
        if !peers.is_empty() {
            let mut one = document("WireguardConfig");
            one["name"] = json!("wg0");
            one["peers"] = json!(peers.iter().map(|key| json!({"publicKey": key})).collect::<Vec<_>>());
            all.push(one);
        }
        all
    }
}

/// A patch of the main document, of further ones, or of both.
fn patch_documents() -> impl Strategy<Value = Vec<Value>> {
    (main_document(), further_documents(), any::<bool>()).prop_map(|(main, further, with_main)| {
        let with_main = with_main || further.is_empty();
        with_main
            .then_some(main)
            .into_iter()
            .chain(further)
            .collect()
    })
}

/// Every JSON text is YAML.
fn config() -> impl Strategy<Value = MachineConfig> {
    (main_document(), further_documents()).prop_map(|(main, further)| {
        let documents: Vec<String> = std::iter::once(main)
            .chain(further)
            .map(|document| document.to_string())
            .collect();
        MachineConfig::load(&documents.join("\n---\n")).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_loading_loses_nothing(config in config()) {
        let printed = config.to_yaml();
        let again = MachineConfig::load(&printed).unwrap();
        prop_assert_eq!(&again, &config, "{}", *printed);
        prop_assert_eq!(&*again.to_yaml(), &*printed);
    }

    #[test]
    fn patches_of_a_difference_close_it(a in config(), b in config()) {
        let mut patched = a.clone();
        for patch in a.patches_to(&b).unwrap() {
            patched = patched.patched(&patch).unwrap();
        }
        prop_assert!(patched.means_the_same(&b), "{}", *patched.diff(&b));
        prop_assert!(a.patches_to(&a).unwrap().is_empty());
        prop_assert_eq!(a.diff(&b).is_empty(), *a.to_yaml() == *b.to_yaml());
    }

    #[test]
    fn how_patches_are_grouped_does_not_matter(config in config(), one in patch_documents(), two in patch_documents()) {
        let text = |documents: &[Value]| documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n");
        let (one, two) = (text(&one), text(&two));
        let patched = |config: &MachineConfig, text: &str| config.patched(&Patch::load(text).unwrap()).unwrap();
        let apart = patched(&patched(&config, &one), &two);
        // As one text, and as the one merged into the other first.
        let together = patched(&config, &format!("{one}\n---\n{two}"));
        prop_assert_eq!(&*together.to_yaml(), &*apart.to_yaml());
        let merged = patched(&MachineConfig::load(&one).unwrap(), &two);
        prop_assert_eq!(&*patched(&config, &merged.to_yaml()).to_yaml(), &*apart.to_yaml());
    }

    #[test]
    fn redaction_leaves_no_byte_of_a_secret(secrets in prop::collection::vec(secret(), 8)) {
        use base64::Engine as _;
        let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let [token, cluster, bootstrap, key, password, wireguard, vip, passphrase] = secrets.as_slice() else {
            return Err(TestCaseError::fail("eight secrets"));
        };
        let documents = [
            json!({
                "machine": {
                    "token": token, "ca": {"crt": "", "key": encoded(key)},
                    "registries": {"config": {"r.io": {"auth": {"username": "u", "password": password}}}},
                    "systemDiskEncryption": {"state": {"provider": "luks2", "keys": [{"slot": 0, "static": {"passphrase": passphrase}}]}},
                },
                "cluster": {"secret": cluster, "token": bootstrap},
            }),
            json!({"apiVersion": "v1alpha1", "kind": "WireguardConfig", "name": "wg0", "privateKey": wireguard}),
            json!({"apiVersion": "v1alpha1", "kind": "HCloudVIPConfig", "name": "10.0.0.9", "link": "eth0", "apiToken": vip}),
        ];
        let text = documents.map(|document| document.to_string()).join("\n---\n");
        let config = MachineConfig::load(&text).unwrap();
        let (redacted, debug) = (config.to_redacted_yaml("******"), format!("{config:?}"));
        for secret in &secrets {
            for shown in [&redacted, &debug] {
                prop_assert!(!shown.contains(secret.as_str()) && !shown.contains(&encoded(secret)), "{}", secret);
            }
        }
        prop_assert!(MachineConfig::load(&redacted).is_ok());
    }
}

#[test]
fn texts_that_begin_with_spaces_read_back_in_maps_and_in_lists() {
    for content in ["\n\n A\n", "\n A\n", " A\n", "\n\n A", "    A\nB\n"] {
        let main = json!({
            "version": "v1alpha1",
            "machine": {"type": "worker", "sysctls": {"a": content}},
            "cluster": {"inlineManifests": [{"name": "a", "contents": content}]},
        });
        let config = MachineConfig::load(&main.to_string()).unwrap();
        let printed = config.to_yaml();
        assert_eq!(
            MachineConfig::load(&printed).unwrap(),
            config,
            "{}",
            *printed
        );
    }
}

#[test]
fn generated_configurations_of_every_contract_read_back_and_become_each_other_by_patches() {
    use talos_client::{Generator, MachineType, SecretsBundle, VersionContract};
    let generator = |minor| {
        Generator::new(
            "c",
            "https://10.0.0.1:6443",
            "1.36.1",
            SecretsBundle::fixed_for_tests(),
        )
        .unwrap()
        .contract(VersionContract::new(1, minor))
        .install_disk("/dev/sda")
        .registry_mirror("docker.io", ["https://m.example"])
        .sysctls([("vm.swappiness", "1")])
    };
    let mut all = Vec::new();
    for minor in 0..=15 {
        for machine in [MachineType::ControlPlane, MachineType::Worker] {
            let config = generator(minor).generate(machine).unwrap();
            let printed = config.to_yaml();
            let again = MachineConfig::load(&printed).unwrap();
            assert_eq!(
                (&again, &*again.to_yaml()),
                (&config, &*printed),
                "1.{minor}"
            );
            all.push(config);
        }
    }
    // Each with the next one of its own kind, of the other kind, and with the last.
    for (index, from) in all.iter().enumerate() {
        for to in [index + 1, index + 2, all.len() - 1] {
            let to = &all[to % all.len()];
            let patches = from.patches_to(to).unwrap();
            let patched = patches
                .iter()
                .fold(from.clone(), |config, patch| config.patched(patch).unwrap());
            assert!(patched.means_the_same(to), "{}", *patched.diff(to));
        }
    }
}
