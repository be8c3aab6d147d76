//! Parsers under mutated input: never a panic, and what is accepted is read back as it was written. Each target runs for
//! FUZZ_SECONDS (default 1); the seed of a run is printed when it fails.

use std::time::{Duration, Instant};

use longhorn_model::Manifest;
use longhorn_model::quantity;
use longhorn_model::settings::{self, Version};
use longhorn_model::storage_class::VolumeParameters;

const OBJECTS: &str = r#"apiVersion: longhorn.io/v1beta2
kind: RecurringJob
metadata: {name: nightly, namespace: longhorn-system}
spec: {name: nightly, task: backup, cron: "0 3 * * *", retain: 7, groups: [default], parameters: {full-backup-interval: "5"}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: driver.longhorn.io
parameters: {numberOfReplicas: "2", recurringJobSelector: '[{"name":"a","isGroup":true}]', diskSelector: "ssd,fast"}
reclaimPolicy: Retain
"#;

const PARAMETERS: &str = "numberOfReplicas=3\nstaleReplicaTimeout=30\ndataLocality=best-effort\nshare=true\n\
    backupBlockSize=2Mi\nrecurringJobSelector=[{\"name\":\"a\"}]\ndataLayout.type=sharded\ndataLayout.dataChunks=4\n";

const SETTINGS: &str = "taint-toleration=a=b:NoSchedule; c:NoExecute\nsnapshot-data-integrity-cronjob={\"v1\":\"0 0 */7 * *\",\"v2\":\"* * * * *\"}\n\
    data-engine-cpu-mask=0-3,5\nmanager-url=https://x\nguaranteed-instance-manager-cpu=12.5\n";

/// A small generator (xorshift), so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (sides.max(1) as u64)).unwrap_or(0)
    }
}

const PIECES: [&str; 24] = [
    "",
    "\n",
    "  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "*",
    "&x",
    "*x",
    "<<: ",
    "!!str ",
    "|\n",
    "0x7f",
    "-1",
    "99999999999999999999",
    "\u{feff}",
    "é\u{0}",
    "---\n",
    "null",
];

fn mutate(seed: &str, dice: &mut Dice) -> String {
    let mut text: Vec<char> = seed.chars().collect();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(text.len() + 1);
        match dice.roll(4) {
            0 => {
                let end = (at + dice.roll(12)).min(text.len());
                text.drain(at.min(end)..end);
            }
            1 => {
                let piece = PIECES[dice.roll(PIECES.len())];
                text.splice(at..at, piece.chars());
            }
            2 => {
                let from = dice.roll(text.len() + 1);
                let end = (from + dice.roll(40)).min(text.len());
                let copy: Vec<char> = text[from.min(end)..end].to_vec();
                text.splice(at..at, copy);
            }
            _ => {
                if let Some(c) = text.get_mut(at) {
                    *c = char::from(u8::try_from(dice.roll(128)).unwrap_or(b' '));
                }
            }
        }
    }
    text.into_iter().collect()
}

fn run(seeds: &[&str], target: impl Fn(&str)) {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1.0);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    for seed in seeds {
        target(seed);
    }
    let mut round = 0_u64;
    while Instant::now() < until {
        for (n, seed) in seeds.iter().enumerate() {
            round += 1;
            let number = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n as u64 + 1);
            let text = mutate(seed, &mut Dice(number | 1));
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&text)));
            assert!(outcome.is_ok(), "seed {number}: {text:?}");
        }
    }
}

#[test]
fn manifests() {
    run(&[OBJECTS], |text| {
        let Ok(objects) = Manifest::read_all(text) else {
            return;
        };
        let printed = Manifest::write_all(&objects);
        assert_eq!(Manifest::read_all(&printed).unwrap(), objects, "{printed}");
        for object in &objects {
            let _ = object.validate_strict();
        }
    });
}

fn pairs(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .collect()
}

#[test]
fn storage_class_parameters() {
    run(&[PARAMETERS], |text| {
        let _ = VolumeParameters::check_parameters(Version::V1_12, pairs(text));
        if let Ok(parameters) = VolumeParameters::from_parameters(pairs(text)) {
            let written = parameters.to_parameters();
            let again = VolumeParameters::from_parameters(
                written.iter().map(|(k, v)| (k.as_str(), v.as_str())),
            );
            assert_eq!(again.unwrap(), parameters);
        }
    });
}

#[test]
fn setting_values() {
    run(&[SETTINGS], |text| {
        for (name, value) in pairs(text) {
            let valid = settings::validate(Version::V1_12, name, value).is_ok();
            assert_eq!(settings::parse(Version::V1_12, name, value).is_ok(), valid);
        }
    });
}

#[test]
fn quantities() {
    run(
        &[
            "1.5Gi",
            "-3e-2",
            "10Ei",
            "0x1",
            "123456789012345678901234567890m",
            ".99999999999999992299999999999999999922",
        ],
        |text| {
            if let Some(bytes) = quantity::bytes(text) {
                assert_eq!(quantity::bytes(&bytes.to_string()), Some(bytes));
            }
        },
    );
}
