//! The runner on a suite of its own.

use serde_json::json;

use super::*;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn options_may_stand_anywhere() {
    let parsed = Arguments::parse(&words("--check wireguard --base two one")).unwrap();
    let expected = Arguments {
        suite: Some("wireguard".into()),
        folder: Some("one".into()),
        base: Some("two".into()),
        check: true,
    };
    assert_eq!(parsed, expected);
    assert_eq!(
        Arguments::parse(&words("wireguard one --base=two --check")).unwrap(),
        expected
    );
}

#[test]
fn an_unknown_option_is_refused_by_name() {
    let error = Arguments::parse(&words("wireguard --chekc")).unwrap_err();
    assert!(error.to_string().contains("--chekc"));
}

#[test]
fn every_compiled_suite_stands_in_the_table_once() {
    let mut names: Vec<_> = compiled().iter().map(|suite| suite.name()).collect();
    for name in &names {
        assert!(
            TABLE.iter().any(|entry| entry.name == *name),
            "{name} is not in the table"
        );
    }
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "a name is used twice");
}

#[test]
fn every_feature_of_the_table_is_known() {
    for feature in TABLE.iter().flat_map(|entry| entry.features) {
        assert!(
            FEATURES.iter().any(|(name, _)| name == feature),
            "{feature}"
        );
    }
}

/// Doubles numbers, and gets one of them wrong.
struct Doubling;

impl Suite for Doubling {
    fn name(&self) -> &'static str {
        "doubling"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        for case in folder.own_json_lines("cases.jsonl")?.unwrap_or_default() {
            let number = case["number"].as_i64().unwrap();
            let id = number.to_string();
            runner.case(id, || json!(if number == 3 { 7 } else { number * 2 }));
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for case in folder.own_json_lines("cases.jsonl")?.unwrap_or_default() {
            let id = case["number"].to_string();
            report.equal(&id, &case["double"], outputs.get(&id));
        }
        Ok(())
    }
}

fn folder_with(name: &str, cases: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("cases.jsonl"), cases).unwrap();
    folder
}

#[test]
fn a_wrong_output_fails_the_check_and_nothing_else() {
    let cases = "{\"number\": 1, \"double\": 2}\n{\"number\": 3, \"double\": 6}\n";
    let path = folder_with("runner", cases);
    let folder = Folder::new(path.clone(), None);
    assert!(one(&Doubling, &folder, false).unwrap());
    assert!(!one(&Doubling, &folder, true).unwrap());
    let (report, summary) = run_and_check(&Doubling, &path).unwrap();
    assert_eq!(summary, "2 cases run");
    assert_eq!(report.summary(), "1 of 2 right");
    assert_eq!(
        report.differences().collect::<Vec<_>>(),
        ["3: 7, expected 6"]
    );
    std::fs::remove_dir_all(&path).unwrap();
}

#[test]
fn a_file_that_is_absent_is_no_case_and_no_failure() {
    let path = folder_with("runner-empty", "");
    std::fs::remove_file(path.join("cases.jsonl")).unwrap();
    let (report, summary) = run_and_check(&Doubling, &path).unwrap();
    assert!(report.is_right());
    assert_eq!(summary, "0 cases run");
    std::fs::remove_dir_all(&path).unwrap();
}
