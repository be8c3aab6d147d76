//! Mutated texts: no parser panics, and what loads prints as something that loads as the same.
//!
//! Runs for `FUZZ_SECONDS` (1 when not set), the same mutations in every run.

use std::time::{Duration, Instant};

use talos_client::{
    MachineConfig, Patch, Schematic, SecretsBundle, TalosConfig, ValidationMode, ValidationOptions,
};

use crate::support::Lab;

/// A small generator: the runs must be equal everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below.max(1)
    }
}

const PIECES: [&str; 18] = [
    "$patch: delete\n",
    "null",
    "{}",
    "[]",
    ": ",
    "- ",
    "\n",
    "    ",
    "&a ",
    "*a",
    "<<: ",
    "'",
    "\"",
    "0x10",
    "yes",
    "---\n",
    "|4\n",
    "\u{85}",
];

fn mutate(seed: &str, random: &mut Random) -> String {
    let mut text: Vec<char> = seed.chars().collect();
    for _ in 0..=random.next(6) {
        let at = random.next(text.len());
        match random.next(4) {
            0 => {
                let end = (at + random.next(40)).min(text.len());
                text.drain(at..end);
            }
            1 => {
                let end = (at + random.next(80)).min(text.len());
                let copy: Vec<char> = text[at..end].to_vec();
                let to = random.next(text.len());
                text.splice(to..to, copy);
            }
            _ => {
                let piece = PIECES[random.next(PIECES.len())];
                text.splice(at..at, piece.chars());
            }
        }
    }
    text.into_iter().collect()
}

fn fuzz(seeds: &[String], target: impl Fn(&str)) {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let (end, mut random) = (Instant::now() + Duration::from_secs(seconds), Random(7));
    let mut runs = 0;
    while runs < 50 || Instant::now() < end {
        let seed = &seeds[random.next(seeds.len())];
        target(&mutate(seed, &mut random));
        runs += 1;
    }
}

fn configs() -> Vec<String> {
    let lab = Lab::new();
    let generator =
        talos_client::Generator::new("c", "https://10.0.0.1:6443", "1.36.1", lab.secrets.clone())
            .unwrap();
    let newer = generator
        .contract(talos_client::VersionContract::V1_14)
        .install_disk("/dev/sda");
    vec![
        lab.config("cp1").to_yaml().to_string(),
        lab.config("w1").to_yaml().to_string(),
        newer
            .generate(talos_client::MachineType::ControlPlane)
            .unwrap()
            .to_yaml()
            .to_string(),
    ]
}

#[test]
fn what_loads_prints_as_itself() {
    fuzz(&configs(), |text| {
        if let Ok(config) = MachineConfig::load(text) {
            let printed = config.to_yaml();
            let again = MachineConfig::load(&printed)
                .unwrap_or_else(|error| panic!("{error}\n{}", *printed));
            assert_eq!(*again.to_yaml(), *printed);
            // What has types becomes the same text again.
            if let Ok(typed) = config.typed_documents()
                && typed.len() == config.document_titles().len()
            {
                let again = MachineConfig::from_documents(typed).unwrap();
                assert_eq!(*again.to_yaml(), *printed);
            }
            let options = ValidationOptions::new(ValidationMode::Container).strict(true);
            // Printing forgets settings that are written out empty, which conflict with other documents all the same.
            let told = |config: &MachineConfig| -> Vec<String> {
                let errors = config.validate(&options).errors.into_iter();
                errors
                    .map(|error| error.to_string())
                    .filter(|text| !text.contains("already") && !text.contains("etcd encryption"))
                    .collect()
            };
            assert_eq!(told(&again), told(&config));
        }
    });
}

#[test]
fn patches_load_and_apply_or_say_why_not() {
    let base = MachineConfig::load(&configs()[0]).unwrap();
    let mut seeds = configs();
    seeds.push(
        "machine:\n  network:\n    interfaces:\n      - interface: eth0\n        $patch: delete\n"
            .to_owned(),
    );
    seeds.push(
        "- op: add\n  path: /machine/sysctls/a\n  value: b\n- op: remove\n  path: /debug\n"
            .to_owned(),
    );
    fuzz(&seeds, |text| {
        if let Ok(patch) = Patch::load(text)
            && let (Ok(patched), Ok(changes)) = (base.patched(&patch), base.explain(&patch))
        {
            // What a patch leaves alone it does not claim to have changed.
            let same = *patched.to_yaml() == *base.to_yaml();
            let touched = |change: &talos_client::Change| {
                !matches!(change.effect, talos_client::Effect::Nothing { .. })
            };
            assert!(same || changes.iter().any(touched), "{text}");
        }
    });
}

#[test]
fn values_of_documents_read_what_they_print() {
    use talos_client::documents::{
        Address, Base64, FreeForm, GoDuration, HexBytes, PortRange, Prefix, RoutingTable, Size, Url,
    };
    let seeds = [
        "1h30m0.125s",
        "-2.5GiB",
        "50%",
        "https://u:p@a.example:1/b%20c?d=e#f",
        "10.0.20.11/24",
        "fe80::1%eth0",
        "80-90",
        "main",
        "52:54:00:ab:cd:ef",
        "YWJj",
        "a: {b: [1, 2.5, yes], secret: x}\n",
    ];
    let seeds = seeds.map(str::to_owned);
    fuzz(&seeds, |text| {
        macro_rules! again {
            ($($name:ty),*) => {$(
                if let Ok(value) = text.parse::<$name>() {
                    let printed = value.to_string();
                    assert_eq!(printed.parse::<$name>().ok(), Some(value), "{text:?} {printed:?}");
                }
            )*};
        }
        again!(
            Address,
            Base64,
            GoDuration,
            HexBytes,
            PortRange,
            Prefix,
            RoutingTable,
            Size,
            Url
        );
        if let Ok(value) = FreeForm::from_yaml(text) {
            let printed = value.to_yaml();
            let again = FreeForm::from_yaml(&printed).unwrap();
            assert_eq!(*again.to_yaml(), *printed);
        }
    });
}

#[test]
fn small_files_load_or_say_why_not() {
    let lab = Lab::new();
    let seeds = [
        lab.talosconfig().to_yaml().to_string(),
        lab.secrets.to_yaml().to_string(),
        Schematic::default()
            .extension("siderolabs/iscsi-tools")
            .kernel_arg("a=b")
            .canonical(),
    ];
    fuzz(&seeds, |text| {
        if let Ok(config) = TalosConfig::from_yaml(text) {
            assert_eq!(TalosConfig::from_yaml(&config.to_yaml()).unwrap(), config);
        }
        if let Ok(bundle) = SecretsBundle::from_yaml(text) {
            let _ = bundle.validate();
            let again = SecretsBundle::from_yaml(&bundle.to_yaml()).unwrap();
            assert_eq!(*again.to_yaml(), *bundle.to_yaml());
        }
        if let Ok(schematic) = Schematic::from_yaml(text) {
            assert_eq!(
                Schematic::from_yaml(&schematic.canonical()).unwrap().id(),
                schematic.id()
            );
        }
    });
}

#[test]
fn bytes_of_answers_and_requests_split_or_say_why_not() {
    use talos_client::AnyMethod;
    use talos_client::api::cosi::resource::State;
    use talos_client::api::machine::MachineService;

    let methods: [AnyMethod; 5] = [
        MachineService::VERSION.any(),
        MachineService::EVENTS.any(),
        MachineService::SYSTEM_STAT.any(),
        State::WATCH.any(),
        talos_client::api::time::TimeService::TIME.any(),
    ];
    // Bytes travel as Latin-1: each character that the mutations give is one byte or is cut to one.
    let seeds = [
        "\n!\u{12}\u{12}\n\tv1.14.0-a2\u{5}amd64\n\u{b}\n\t127.0.0.2",
        "\n\u{15}\n\u{13}\n\u{1}b\u{12}\u{4}gone\u{1a}\u{8}\u{8}\u{5}\u{12}\u{4}gone",
        "\u{12}\u{16}\n\u{10}x/google.protobuf.Any\u{12}\u{2}\n\u{0}",
        "\n\u{19}\u{12}\u{f}server-local-26\u{1a}\u{6}\u{8}\u{c6}\u{cc}\u{a3}\u{c7}\u{6}",
        "\u{8}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{1}",
    ];
    fuzz(&seeds.map(str::to_owned), |text| {
        let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
        for method in methods {
            if let Ok(results) = method.results(&bytes) {
                assert!(method.answer_json(&bytes).is_ok());
                for result in results {
                    assert_eq!(result.json().is_none(), result.status().is_some());
                    if let Some(json) = result.json() {
                        serde_json::from_str::<serde_json::Value>(json).unwrap();
                    }
                }
            }
            if let Ok(request) = method.request(&bytes) {
                assert_eq!(*method.request(&request).unwrap(), *request);
                assert!(method.holds_request(&request).unwrap());
            }
        }
    });
}
