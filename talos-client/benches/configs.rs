//! Times of what programs do with configurations, each the best of many runs on one core.
//!
//! ```text
//! cargo bench -p talos-client --no-default-features --features secrets --bench configs
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints, and stops where something unexpected happens"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use talos_client::{
    Generator, MachineConfig, MachineType, Patch, SecretsBundle, ValidationMode, ValidationOptions,
    VersionContract,
};

/// The best time of one call among `rounds`.
fn best(rounds: usize, mut work: impl FnMut()) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        work();
        least = least.min(start.elapsed());
    }
    least
}

fn report(what: &str, time: Duration) {
    println!("{what:<58} {:>10.3} ms", time.as_secs_f64() * 1000.0);
}

/// New bundles: what all of them cost, and what the search for one RSA key adds, which differs from key to key.
#[cfg(feature = "secrets")]
fn secrets() -> SecretsBundle {
    let now = std::time::SystemTime::now();
    let bundle = |contract| SecretsBundle::generate(contract, now).unwrap();
    report(
        "secrets bundle of contract 1.6, without an RSA key",
        best(50, || {
            black_box(bundle(VersionContract::new(1, 6)));
        }),
    );
    let mut times: Vec<(Duration, SecretsBundle)> = (0..9)
        .map(|_| {
            let start = Instant::now();
            let made = bundle(VersionContract::V1_14);
            (start.elapsed(), made)
        })
        .collect();
    times.sort_by_key(|(time, _)| *time);
    for (what, at) in [("least", 0), ("median", 4), ("greatest", 8)] {
        let what = format!("secrets bundle with one RSA-4096 key, {what} of nine");
        report(&what, times[at].0);
    }
    times.swap_remove(4).1
}

#[cfg(not(feature = "secrets"))]
fn secrets() -> SecretsBundle {
    let path = std::env::var("TALOS_SECRETS").unwrap();
    SecretsBundle::from_yaml(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn main() {
    let secrets = secrets();
    let generator = |contract| {
        Generator::new("bench", "https://10.0.0.10:6443", "1.36.1", secrets.clone())
            .unwrap()
            .contract(contract)
            .install_disk("/dev/sda")
    };
    let newest = generator(VersionContract::V1_14);
    let config = newest.generate(MachineType::ControlPlane).unwrap();
    let text = config.to_yaml();
    report(
        "generate and print a 1.14 control plane",
        best(500, || {
            black_box(
                newest
                    .generate(MachineType::ControlPlane)
                    .unwrap()
                    .to_yaml(),
            );
        }),
    );
    let options = ValidationOptions::new(ValidationMode::Metal).talos_version("v1.14.0");
    let documents = config.document_titles().len();
    report(
        &format!("parse and validate it ({documents} documents)"),
        best(500, || {
            let config = MachineConfig::load(&text).unwrap();
            assert!(black_box(config.validate(&options)).is_valid());
        }),
    );
    let older = generator(VersionContract::V1_13);
    let worker = older.generate(MachineType::Worker).unwrap();
    let start = Instant::now();
    for node in 0..1000 {
        let patch = Patch::builder(VersionContract::V1_13)
            .hostname(&format!("node{node}"))
            .build()
            .unwrap();
        black_box(worker.patched(&patch).unwrap().to_yaml());
    }
    let time = start.elapsed();
    report("1,000 node configurations from one worker's", time);
    println!(
        "{:<58} {:>10.0}",
        "node configurations a second",
        1000.0 / time.as_secs_f64()
    );
    let other = worker
        .patched(&Patch::load("machine:\n  sysctls:\n    vm.swappiness: \"1\"\n").unwrap())
        .unwrap();
    report(
        "patches from two configurations, checked",
        best(200, || {
            black_box(worker.patches_to(&other).unwrap());
        }),
    );
}
