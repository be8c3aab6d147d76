//! Objects of Longhorn.

use longhorn_model::manifest;
use longhorn_model::resources::{NodeSpec, RecurringJob, RecurringJobTask, Setting};
use longhorn_model::{ErrorKind, Manifest};
use serde_json::json;

#[test]
fn a_recurring_job_is_built_and_checked() {
    let job = RecurringJob::for_group(
        "nightly",
        RecurringJobTask::Backup,
        "0 3 * * *",
        7,
        "default",
    );
    assert!(job.check().is_empty());
    Manifest::from(job.clone()).validate_strict().unwrap();
    let mut bad = job;
    bad.body.spec.cron = Some("0 25 * * *".to_owned());
    bad.body.spec.retain = Some(0);
    let found = bad.check();
    let paths: Vec<&str> = found.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["spec.cron", "spec.retain"]);
}

#[test]
fn a_setting_has_its_value_at_the_top() {
    let setting = Setting::new("default-replica-count", "2").in_namespace("longhorn-system");
    assert_eq!(setting.to_json()["value"], json!("2"));
    assert_eq!(Setting::from_json(&setting.to_json()).unwrap(), setting);
}

#[test]
fn numbers_where_the_schema_wants_text_are_refused() {
    let text = "apiVersion: longhorn.io/v1beta2\nkind: RecurringJob\nmetadata: {name: x}\nspec:\n  parameters:\n    \
                full-backup-interval: 5\n";
    let error = Manifest::read_all(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert_eq!(
        (error.problems()[0].line, error.problems()[0].column),
        (Some(6), Some(27))
    );
}

#[test]
fn status_and_unknown_fields_survive() {
    let value = json!({"apiVersion": "longhorn.io/v1beta2", "kind": "Node", "metadata": {"name": "w1"},
        "spec": {"disks": {"a": {"path": "/x", "tags": [], "novelty": 1}}}, "status": {"diskStatus": {}}});
    assert_eq!(Manifest::from_json(&value).unwrap().to_json(), value);
}

#[test]
fn a_spec_that_was_absent_stays_absent_and_an_empty_one_stays_empty() {
    for value in [
        json!({"apiVersion": "longhorn.io/v1beta2", "kind": "SystemBackup", "metadata": {"name": "x"}}),
        json!({"apiVersion": "longhorn.io/v1beta2", "kind": "SystemBackup", "metadata": {"name": "x"}, "spec": {}}),
    ] {
        assert_eq!(Manifest::from_json(&value).unwrap().to_json(), value);
    }
}

#[test]
fn a_kind_of_somebody_else_is_told_apart_from_a_broken_one() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}});
    assert!(Manifest::from_json(&pod).unwrap_err().is_unknown_kind());
    assert_eq!(
        manifest::KINDS
            .iter()
            .filter(|info| info.kind == "Volume")
            .count(),
        1
    );
}

#[test]
fn specs_are_built_with_setters() {
    let spec = NodeSpec::new().allow_scheduling(true).tags(["storage"]);
    assert_eq!(spec.tags.as_deref(), Some(&["storage".to_owned()][..]));
}
