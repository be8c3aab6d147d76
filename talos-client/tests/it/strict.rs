//! What a reader says of texts that it refuses: where, what stands there, and since when it is known.

use talos_client::{ErrorKind, MachineConfig, Patch, VersionContract};

const NEWER: &str = "machine:
  type: worker
  features:
    imageCache:
      localEnabled: true
---
apiVersion: v1alpha1
kind: UserVolumeConfig
name: data
filesystem:
  type: btrfs
---
apiVersion: v1alpha1
kind: KubeletConfig
image: a.example/kubelet:v1.36.0
";

#[test]
fn what_a_version_does_not_know_is_told_all_at_once_with_place_and_origin() {
    let error = MachineConfig::load_for(NEWER, VersionContract::new(1, 8)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    let told: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| {
            (
                problem.line,
                problem.column,
                problem.to_string(),
                problem.subtree(),
            )
        })
        .collect();
    let expected = [
        (
            Some(4),
            Some(5),
            "line 4, column 5: machine.features.imageCache: introduced in v1.9",
            Some("imageCache:\n    localEnabled: true\n"),
        ),
        (
            Some(7),
            Some(1),
            "line 7, column 1: UserVolumeConfig: introduced in v1.10",
            None,
        ),
        (
            Some(13),
            Some(1),
            "line 13, column 1: KubeletConfig: introduced in v1.14",
            None,
        ),
    ];
    for ((line, column, text, subtree), told) in expected.iter().zip(&told) {
        assert_eq!(
            (*line, *column, (*text).to_owned()),
            (told.0, told.1, told.2.clone())
        );
        assert!(subtree.is_none() || told.3 == *subtree, "{told:?}");
    }
    assert!(
        told[2]
            .3
            .unwrap()
            .contains("image: a.example/kubelet:v1.36.0\n")
    );
    assert_eq!(told.len(), expected.len());
}

#[test]
fn a_value_can_be_newer_than_its_key() {
    let told = |minor| {
        let error = MachineConfig::load_for(NEWER, VersionContract::new(1, minor)).unwrap_err();
        let first = error.problems()[0].clone();
        (first.to_string(), first.introduced)
    };
    let (text, introduced) = told(13);
    assert_eq!(
        text,
        "line 11, column 9: UserVolumeConfig filesystem.type: introduced in v1.14"
    );
    assert_eq!(introduced, Some(VersionContract::V1_14));
    assert!(MachineConfig::load_for(NEWER, VersionContract::V1_14).is_ok());
    let config = MachineConfig::load(NEWER).unwrap();
    let refused = config.preflight(VersionContract::V1_13);
    assert_eq!(refused[0].path, "UserVolumeConfig/data filesystem.type");
    assert_eq!(refused[0].introduced, Some(VersionContract::V1_14));
}

#[test]
fn a_key_that_no_version_knows_has_no_origin() {
    let text = "machine:\n  network:\n    hostnam:\n      deep: [1, 2]\n  token: 7\n";
    let error = MachineConfig::load_for(text, VersionContract::V1_13).unwrap_err();
    let [problem] = error.problems() else {
        panic!("{error}");
    };
    assert_eq!(
        problem.to_string(),
        "line 3, column 5: machine.network.hostnam: unknown key"
    );
    assert_eq!(problem.introduced, None);
    assert_eq!(
        problem.subtree(),
        Some("hostnam:\n    deep:\n        - 1\n        - 2\n")
    );
}

#[test]
fn what_stands_below_a_refused_key_is_shown_only_to_who_asks() {
    let text = "machine:\n  tokn: abcdef.0123456789abcdef\n";
    let error = MachineConfig::load(text).unwrap_err();
    for shown in [
        error.to_string(),
        format!("{error:?}"),
        format!("{:?}", error.problems()),
    ] {
        assert!(!shown.contains("abcdef"), "{shown}");
    }
    assert!(error.problems()[0].subtree().unwrap().contains("abcdef"));
}

#[test]
fn patches_are_held_to_a_version_too() {
    let text = "machine:\n  install:\n    grubUseUKICmdline: true\n";
    let patch = Patch::load(text).unwrap();
    assert_eq!(
        patch.preflight(VersionContract::new(1, 11))[0].introduced,
        Some(VersionContract::new(1, 12))
    );
    assert!(patch.preflight(VersionContract::new(1, 12)).is_empty());
    let error = Patch::load_for(text, VersionContract::new(1, 11)).unwrap_err();
    assert_eq!(
        (error.kind(), error.problems()[0].line),
        (ErrorKind::InvalidPatch, Some(3))
    );
    assert!(Patch::load_for(text, VersionContract::V1_13).is_ok());
}
