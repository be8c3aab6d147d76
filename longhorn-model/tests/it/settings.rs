//! Settings, by release.

use longhorn_model::settings::{self, SettingValue, Type, Version};

#[test]
fn releases_know_different_settings() {
    assert!(settings::definition(Version::V1_8, "data-engine-log-level").is_none());
    assert!(settings::definition(Version::V1_12, "data-engine-log-level").is_some());
    assert!(settings::definition(Version::V1_8, "orphan-auto-deletion").is_some());
    assert!(settings::definition(Version::V1_12, "orphan-auto-deletion").is_none());
    assert_eq!(settings::names(Version::V1_8).count(), 89);
    assert_eq!(settings::names(Version::V1_12).count(), 116);
}

#[test]
fn a_definition_tells_type_range_and_default() {
    let release = settings::definition(Version::V1_12, "default-replica-count").unwrap();
    assert_eq!(release.kind, Type::Int);
    assert_eq!(release.range.unwrap().maximum, Some(20.0));
    assert_eq!(release.engines(), ["v1", "v2"]);
    assert_eq!(
        settings::definition(Version::V1_8, "default-replica-count")
            .unwrap()
            .default,
        "3"
    );
}

#[test]
fn values_are_judged_as_the_manager_judges_them() {
    let fine = |name, value| settings::validate(Version::V1_12, name, value).is_ok();
    assert!(fine("auto-salvage", "T"));
    assert!(!fine("auto-salvage", "yes"));
    assert!(!fine("auto-salvage", ""));
    assert!(fine("storage-network", ""));
    assert!(fine("storage-network", "kube-system/net"));
    assert!(!fine("storage-network", "net"));
    assert!(fine("taint-toleration", "a=b:NoSchedule; c:NoExecute"));
    assert!(!fine("taint-toleration", "a=b:Never"));
    assert!(fine(
        "snapshot-data-integrity-cronjob",
        "*/5 0-6 1,15 jan-mar sun"
    ));
    assert!(!fine("snapshot-data-integrity-cronjob", "61 * * * *"));
}

#[test]
fn a_value_per_engine_names_exactly_the_engines_of_the_setting() {
    let check = |value| settings::validate(Version::V1_12, "default-replica-count", value);
    assert!(check(r#"{"v1":"2","v2":"3"}"#).is_ok());
    assert!(check("2").is_ok());
    assert!(
        check(r#"{"v1":"2"}"#)
            .unwrap_err()
            .to_string()
            .contains("engine v2 is missing")
    );
    assert!(check(r#"{"v1":"2","v2":"3","v3":"1"}"#).is_err());
    assert!(check(r#"{"v1":"21","v2":"3"}"#).is_err());
}

#[test]
fn a_misspelt_name_gets_the_likely_one() {
    let error = settings::validate(Version::V1_12, "default-data-localty", "disabled").unwrap_err();
    assert_eq!(error.hint(), Some("did you mean default-data-locality?"));
}

#[test]
fn several_settings_are_checked_at_once() {
    let all = [
        ("auto-salvage", "maybe"),
        ("log-level", "Loud"),
        ("backup-concurrent-limit", "2"),
    ];
    let error = settings::validate_all(Version::V1_12, all).unwrap_err();
    let names: Vec<&str> = error.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(names, ["auto-salvage", "log-level"]);
}

#[test]
fn values_are_typed() {
    let parse = |name, value| settings::parse(Version::V1_12, name, value).unwrap();
    assert_eq!(parse("auto-salvage", "1"), SettingValue::Bool(true));
    assert_eq!(parse("backup-concurrent-limit", "4"), SettingValue::Int(4));
    let per_engine = SettingValue::PerEngine(vec![
        ("v1".to_owned(), SettingValue::Float(12.5)),
        ("v2".to_owned(), SettingValue::Float(3.0)),
    ]);
    assert_eq!(
        parse(
            "guaranteed-instance-manager-cpu",
            r#"{"v1":"12.5","v2":"3"}"#
        ),
        per_engine
    );
}

#[test]
fn every_default_is_a_valid_value() {
    for version in [Version::V1_8, Version::V1_12] {
        for name in settings::names(version) {
            let release = settings::definition(version, name).unwrap();
            if !(release.default.is_empty() && release.required) {
                settings::validate(version, name, release.default).unwrap();
            }
        }
    }
}

#[test]
fn upgrades_go_one_minor_release_at_a_time() {
    let path = Version::new(1, 8, 1)
        .upgrade_path(Version::new(1, 11, 3))
        .unwrap();
    let names: Vec<String> = path.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["1.9.0", "1.10.0", "1.11.3"]);
    assert!(Version::V1_12.upgrade_path(Version::V1_11).is_err());
    assert!(Version::V1_12.upgrade_path(Version::new(2, 0, 0)).is_err());
    assert_eq!(Version::V1_12.upgrade_path(Version::V1_12).unwrap(), []);
    assert_eq!(Version::parse("v1.9.2-rc1").unwrap(), Version::new(1, 9, 2));
    assert!(Version::parse("latest").is_err());
}
