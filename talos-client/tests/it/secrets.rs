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

/// Everything in a bundle that must never show: its values as they are and what base64 hides of them, cut into pieces.
fn pieces(bundle: &SecretsBundle) -> Vec<String> {
    use base64::Engine as _;
    let text = bundle.to_yaml();
    let values = text.lines().filter_map(|line| line.trim().split_once(": "));
    let secret = |(key, value): &(&str, &str)| *key != "id" && !value.starts_with(CERTIFICATE);
    let mut all = Vec::new();
    for (_, value) in values.filter(secret) {
        all.push(value.to_owned());
        let decoded = base64::engine::general_purpose::STANDARD.decode(value);
        if let Some(pem) = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
            all.extend(
                pem.lines()
                    .filter(|line| !line.starts_with('-'))
                    .map(str::to_owned),
            );
        }
    }
    // Sixteen characters of a secret are no accident anywhere else.
    let cut = |text: String| -> Vec<String> {
        let characters: Vec<char> = text.chars().collect();
        characters
            .chunks_exact(16)
            .map(|part| part.iter().collect())
            .collect()
    };
    all.into_iter().flat_map(cut).collect()
}

/// Base64 of a PEM certificate.
const CERTIFICATE: &str = "LS0tLS1CRUdJTiBDRVJU";

/// A new bundle without an RSA key, whose making takes a second.
#[cfg(feature = "secrets")]
fn quick_bundle() -> SecretsBundle {
    let now = std::time::SystemTime::now();
    SecretsBundle::generate(talos_client::VersionContract::new(1, 6), now).unwrap()
}

#[cfg(feature = "secrets")]
#[test]
fn no_piece_of_any_generated_bundle_is_shown_by_anything_that_is_made_from_it() {
    use talos_client::{
        Ca, CaRotation, CertificateAuthority, Generator, MachineType, Patch, RotatedCa,
        VersionContract,
    };
    let now = std::time::SystemTime::now();
    for round in 0..8 {
        let bundle = quick_bundle();
        let pieces = pieces(&bundle);
        assert!(pieces.len() > 40);
        let mut shown = format!("{bundle:?}");
        let mut redacted = String::new();
        let mut clear = String::new();
        // Each contract once in all rounds.
        for minor in [round * 2, round * 2 + 1] {
            let generator = Generator::new("c", "https://10.0.0.1:6443", "1.36.1", bundle.clone())
                .unwrap()
                .contract(VersionContract::new(1, minor));
            shown += &format!("{generator:?}");
            for machine in [
                MachineType::ControlPlane,
                MachineType::Worker,
                MachineType::Init,
            ] {
                let config = generator.generate(machine).unwrap();
                clear += &config.to_yaml();
                shown += &format!("{config:?}");
                redacted += &config.to_redacted_yaml("******");
                let bare = MachineConfig::load("machine: {type: worker}\n").unwrap();
                redacted += &bare.redacted_diff(&config, "******");
                for patch in bare.patches_to(&config).unwrap() {
                    shown += &format!("{patch:?}{:?}", bare.explain(&patch).unwrap());
                }
                // A configuration that is damaged in many places, as a file and as a patch.
                let damaged = config
                    .to_yaml()
                    .replace("    ca:", "    ca: x")
                    .replace("token:", "token: [")
                    .to_string();
                shown += &format!("{:?}", MachineConfig::load(&damaged).unwrap_err());
                let wrong = config
                    .to_yaml()
                    .replace("crt:", "cert:")
                    .replace("secret:", "secrets:");
                if let Err(error) = MachineConfig::load(&wrong) {
                    shown += &format!("{error:?}{error}");
                }
                if let Err(error) = Patch::load(&wrong) {
                    shown += &format!("{error:?}{error}");
                }
            }
        }
        let mut talosconfig = bundle.talosconfig("c", ["10.0.0.1"], now).unwrap();
        bundle.renewal(now).renew(&mut talosconfig).unwrap();
        shown += &format!(
            "{talosconfig:?}{:?}{:?}",
            bundle.renewal(now),
            bundle.authority(Ca::Os).unwrap()
        );
        let new = CertificateAuthority::generate(Ca::Os, now).unwrap();
        shown += &format!(
            "{:?}",
            CaRotation::of_bundle(RotatedCa::TalosApi, &bundle, new).unwrap()
        );
        for cut in [0, 10, 100, 1_000] {
            let text = bundle.to_yaml();
            let text = format!("{}\n: [{}", &text[..text.len() - cut], &text[cut..]);
            shown += &format!("{:?}", SecretsBundle::from_yaml(&text).map(drop).err());
            shown += &format!(
                "{:?}",
                TalosConfig::from_yaml(&text.replace("certs:", "contexts:")).err()
            );
            let swapped = bundle
                .to_yaml()
                .replace("crt: ", "x: ")
                .replace("key: ", "crt: ");
            shown += &format!(
                "{:?}",
                SecretsBundle::from_yaml(&swapped).unwrap().validate()
            );
        }
        for piece in &pieces {
            assert!(!shown.contains(piece), "shown: {piece}");
            assert!(!redacted.contains(piece), "not redacted: {piece}");
        }
        // The search finds what is there.
        assert!(pieces.iter().filter(|piece| clear.contains(*piece)).count() > 40);
    }
}

#[test]
fn values_in_wrong_places_are_not_shown_where_secrets_belong() {
    let told = |text: &str| format!("{:?}", MachineConfig::load(text).unwrap_err());
    for text in [
        "machine: SECRET\n",
        "machine: {ca: SECRET}\n",
        "machine: {ca: {crt: '', key: SECRET}}\n",
        "machine: {acceptedCAs: [{crt: '*'}], registries: {config: {a: {auth: SECRET}}}}\n",
        "cluster: [SECRET]\n",
        "machine: {systemDiskEncryption: {state: {keys: [SECRET]}}}\n",
        "apiVersion: v1alpha1\nkind: KubeEtcdEncryptionConfig\nconfig: SECRET\n",
    ] {
        assert!(!told(text).contains("SECRET"), "{}", told(text));
    }
    // Elsewhere the value helps.
    assert!(told("debug: perhaps\n").contains("`perhaps`"));
    assert!(told("machine: {nodeLabels: some}\n").contains("`some`"));
    let error = TalosConfig::from_yaml("contexts: {a: {auth: {basic: SECRET}}}\n").unwrap_err();
    assert!(!format!("{error:?}").contains("SECRET"));
}

#[test]
fn no_secret_of_a_typed_document_is_shown() {
    use talos_client::{Generator, MachineType, VersionContract};
    let bundle = SecretsBundle::fixed_for_tests();
    let text = bundle.to_yaml();
    let values = text.lines().filter_map(|line| line.split_once(": "));
    let public = |value: &str| value.starts_with("LS0tLS1CRUdJTiBDRVJU");
    let values: Vec<&str> = values.map(|(_, value)| value).collect();
    for contract in [VersionContract::V1_13, VersionContract::V1_14] {
        let generator = Generator::new("c", "https://10.0.0.1:6443", "1.36.1", bundle.clone());
        let generator = generator.unwrap().contract(contract);
        let config = generator.generate(MachineType::ControlPlane).unwrap();
        let typed = config.typed_documents().unwrap();
        let shown = format!("{typed:?}");
        assert!(shown.contains("[redacted]"));
        let id = config.cluster_id().unwrap();
        for value in values
            .iter()
            .filter(|value| !public(value) && **value != id)
        {
            assert!(!shown.contains(value), "{contract} shows {}", &value[..8]);
        }
        // Keys stand as PEM in the newer documents.
        for marker in ["PRIVATE KEY", "LS0tLS1CRUdJTiBFRDI1NTE5IFBSSVZBVEU"] {
            assert!(!shown.contains(marker), "{contract} shows {marker}");
        }
    }
}

#[cfg(all(feature = "secrets", target_os = "linux"))]
mod memory {
    //! What is dropped is gone: a child process looks at its own memory.

    use std::process::Command;

    use talos_client::{
        Generator, MachineConfig, MachineType, Patch, SecretsBundle, VersionContract,
    };

    /// Set for the child process.
    const CHILD: &str = "TALOS_CLIENT_SCAN";

    fn flip(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().map(|byte| !byte).collect()
    }

    /// Works with the secrets in the file, and returns pieces of them with every bit flipped, so that the list is no copy.
    fn work(path: &std::path::Path) -> Vec<Vec<u8>> {
        let bundle = SecretsBundle::read_file(path).unwrap();
        let generator =
            Generator::new("c", "https://10.0.0.1:6443", "1.36.1", bundle.clone()).unwrap();
        let text = bundle.to_yaml();
        let mut flipped = Vec::new();
        for line in text
            .lines()
            .filter(|line| !line.contains(super::CERTIFICATE) && !line.contains(" id: "))
        {
            if let Some((_, value)) = line.trim().split_once(": ") {
                // Behind the head of a key, which is the same for all.
                let middle = value.len() / 2;
                let start = middle.saturating_sub(12);
                flipped.push(flip(&value.as_bytes()[start..start + 12]));
            }
        }
        for minor in [6, 13, 14] {
            let generator = generator.clone().contract(VersionContract::new(1, minor));
            let config = generator.generate(MachineType::ControlPlane).unwrap();
            let printed = config.to_yaml();
            let again = MachineConfig::load(&printed).unwrap();
            assert_eq!(again, config);
            assert_eq!(SecretsBundle::from_config(&again).unwrap(), bundle);
            let patched = again
                .patched(&Patch::load("machine: {sysctls: {a: b}}\n").unwrap())
                .unwrap();
            assert!(!patched.patches_to(&config).unwrap().is_empty());
            assert!(!config.diff(&patched).is_empty());
        }
        flipped
    }

    fn scan(flipped: &[Vec<u8>]) -> usize {
        use std::os::unix::fs::FileExt as _;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut first = [false; 256];
        for secret in flipped {
            first[usize::from(secret[0])] = true;
        }
        let mut found = 0;
        for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
            let (range, _) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let at = |text| u64::from_str_radix(text, 16).unwrap();
            let (start, end) = (at(start), at(end));
            let mut bytes = vec![0_u8; usize::try_from(end - start).unwrap()];
            if memory.read_exact_at(&mut bytes, start).is_err() {
                continue;
            }
            for byte in &mut bytes {
                *byte = !*byte;
            }
            // Flipped memory holds the flipped secret wherever the real one stood.
            for (at, byte) in bytes.iter().enumerate() {
                if first[usize::from(*byte)] {
                    let here = |secret: &&Vec<u8>| bytes[at..].starts_with(secret);
                    found += flipped.iter().filter(here).count();
                }
            }
        }
        found
    }

    /// Runs in a process of its own, started by the test below.
    #[test]
    fn child_of_the_memory_scan() {
        let Ok(mode) = std::env::var(CHILD) else {
            return;
        };
        let (mode, path) = mode.split_once(' ').unwrap();
        let path = std::path::Path::new(path);
        let kept = (mode == "keep").then(|| SecretsBundle::read_file(path).unwrap());
        // On a thread, so that its stack is gone as well.
        let owned = path.to_owned();
        let flipped = std::thread::spawn(move || work(&owned)).join().unwrap();
        let found = scan(&flipped);
        drop(kept);
        println!("found {found} copies of {} secrets", flipped.len());
        std::process::exit(if found == 0 { 0 } else { 3 });
    }

    #[test]
    fn no_secret_is_left_in_memory_after_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.yaml");
        super::quick_bundle().write_file(&path).unwrap();
        let child = |mode: &str| {
            let program = std::env::current_exe().unwrap();
            let status = Command::new(program)
                .args([
                    "--exact",
                    "secrets::memory::child_of_the_memory_scan",
                    "--nocapture",
                    "--test-threads",
                    "1",
                ])
                .env(CHILD, format!("{mode} {}", path.display()))
                .status();
            status.unwrap().code()
        };
        // The search finds a bundle that is still held, so it can find one.
        assert_eq!(child("keep"), Some(3));
        assert_eq!(child("drop"), Some(0));
    }
}
