//! Every setting of the patch builder, in the shape that each contract has for it: the patch applies, the result validates, and
//! a node of that version reads it.

mod kubernetes;
mod machine;
mod network;
mod storage;

use talos_client::Generator;
use talos_client::MachineConfig;
use talos_client::MachineType;
use talos_client::Patch;
use talos_client::PatchBuilder;
use talos_client::SecretsBundle;
use talos_client::ValidationMode;
use talos_client::ValidationOptions;
use talos_client::VersionContract;
use talos_client::documents::HostnameConfig;
use talos_client::documents::KubeletConfig;
use talos_client::documents::SwapVolumeConfig;
use talos_client::documents::WatchdogTimerConfig;

fn base(contract: VersionContract) -> MachineConfig {
    let secrets = SecretsBundle::fixed_for_tests();
    Generator::new("c", "https://10.0.20.10:6443", "1.36.1", secrets)
        .unwrap()
        .contract(contract)
        .install_disk("/dev/sda")
        .generate(MachineType::ControlPlane)
        .unwrap()
}

/// The lines that a patch takes (`-`) and gives (`+`), without indentation.
fn changes(before: &MachineConfig, after: &MachineConfig) -> Vec<String> {
    let diff = before.diff(after);
    let lines = diff.lines().skip(2);
    lines
        .filter_map(|line| {
            let sign = line.get(..1).filter(|sign| ["+", "-"].contains(sign))?;
            Some(format!("{sign}{}", line[1..].trim()))
        })
        .collect()
}

/// First and last contract, and lines that must be among the changes.
type Shape = (u32, u32, &'static [&'static str]);

fn holds(set: impl Fn(PatchBuilder) -> PatchBuilder, shapes: &[Shape]) {
    for (first, last, wanted) in shapes {
        for minor in *first..=*last {
            let contract = VersionContract::new(1, minor);
            let patch = set(Patch::builder(contract)).build();
            let patch = patch.unwrap_or_else(|error| panic!("{contract}: {error}"));
            let before = base(contract);
            let after = before.patched(&patch).unwrap();
            let found = changes(&before, &after);
            for line in *wanted {
                assert!(
                    found.contains(&(*line).to_owned()),
                    "{contract}: {line} is not among {found:#?}"
                );
            }
            let options = ValidationOptions::new(ValidationMode::Metal);
            let validation = after.validate(&options);
            assert!(validation.is_valid(), "{contract}: {validation:?}");
            let read = MachineConfig::load_for(&after.to_yaml(), contract);
            assert_eq!(read.as_ref().ok(), Some(&after), "{contract}: {read:?}");
        }
    }
}

fn refused(set: impl Fn(PatchBuilder) -> PatchBuilder, minors: &[u32], about: &str) {
    for minor in minors {
        let error = set(Patch::builder(VersionContract::new(1, *minor)))
            .build()
            .unwrap_err();
        let told = error.problems()[0].to_string();
        assert!(told.contains(about), "1.{minor}: {told}");
    }
}

#[test]
fn any_document_is_held_to_the_contract() {
    let swap = || SwapVolumeConfig::new("swap");
    holds(
        |patch| patch.document(WatchdogTimerConfig::new().with_device("/dev/watchdog0")),
        &[(10, 14, &["+device: /dev/watchdog0"])],
    );
    refused(
        |patch| patch.document(swap()),
        &[10],
        "SwapVolumeConfig/swap: Talos v1.10 does not know it; it came with v1.11",
    );
    refused(
        |patch| patch.document(KubeletConfig::new()),
        &[12, 13],
        "came with v1.14",
    );
    let error = Patch::builder(VersionContract::new(1, 6))
        .document(HostnameConfig::new().with_hostname("a"))
        .nameservers(["x"])
        .build()
        .unwrap_err();
    assert_eq!(error.problems().len(), 2, "all at once: {error}");
}
