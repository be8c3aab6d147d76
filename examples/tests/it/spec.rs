//! `cluster.yaml`: what is accepted, what is refused, and how it is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use homelab::spec::rules::{self, RULES};
use homelab::spec::{Problems, Severity, Spec};

const PRODUCTION: &str = include_str!("../../environments/production/cluster.yaml");

fn production() -> Spec {
    match Spec::parse("cluster.yaml", PRODUCTION) {
        Ok(spec) => spec,
        Err(problems) => panic!("{}", problems.render(false)),
    }
}

#[test]
fn the_production_environment_is_accepted_without_a_warning() {
    let spec = production();
    assert_eq!(spec.warnings().map(ToString::to_string), None);
    assert_eq!(
        (spec.control_planes().count(), spec.workers().count()),
        (3, 6)
    );
}

#[test]
fn what_is_rendered_reads_back_as_the_same_description() {
    let spec = production();
    let text = spec.render();
    let again = Spec::parse("rendered.yaml", &text)
        .unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)));
    assert_eq!(again.render(), text);
}

#[test]
fn a_counted_entry_becomes_machines_that_count_up() {
    let spec = production();
    let found: Vec<String> = spec
        .nodes
        .iter()
        .map(|node| {
            format!(
                "{} {} {} {}",
                node.name, node.vmid, node.address, node.source
            )
        })
        .collect();
    insta::assert_snapshot!(found.join("\n"), @r"
    cp-1 8101 10.0.20.11 nodes[0]
    cp-2 8102 10.0.20.12 nodes[0]
    cp-3 8103 10.0.20.13 nodes[0]
    worker-1 8201 10.0.20.21 nodes[1]
    worker-2 8202 10.0.20.22 nodes[1]
    worker-3 8203 10.0.20.23 nodes[1]
    worker-4 8204 10.0.20.24 nodes[1]
    worker-5 8205 10.0.20.25 nodes[2]
    worker-6 8206 10.0.20.26 nodes[2]
    ");
}

#[test]
fn a_secret_in_the_file_is_not_shown_again() {
    let text = PRODUCTION.replace(
        "tokenFrom: env:PROXMOX_TOKEN",
        "tokenFrom: root@pam!x=5up3rs3cr3t",
    );
    let problems = Spec::parse("cluster.yaml", &text).unwrap_err();
    let all = format!(
        "{problems}{problems:?}{}{}",
        problems.render(false),
        problems.to_json()
    );
    assert!(!all.contains("5up3r"), "{all}");
    assert_eq!(
        problems
            .list()
            .iter()
            .map(|problem| problem.rule)
            .collect::<Vec<_>>(),
        ["secret-inline"]
    );
}

#[test]
fn a_report_shows_the_line_with_a_caret_and_the_remedy() {
    let text = PRODUCTION
        .replace("memory: 4GiB", "memory: 4")
        .replace("loadBalancer:", "loadBallancer:");
    let problems = Spec::parse("cluster.yaml", &text).unwrap_err();
    insta::assert_snapshot!(problems.render(false), @r#"
    error unit at profiles.control-plane.memory

      x memory 4 has no unit; write 4GiB (4 bytes is surely not meant)
         ,-[cluster.yaml:105:13]
     104 |     cores: 2
     105 |     memory: 4
         :             ^
     106 |     disk: {size: 40GiB, storage: local-lvm}
         `----
      help: units: KiB, MiB, GiB, TiB

    error unknown-key at loadBallancer

      x unknown key "loadBallancer"; did you mean "loadBalancer"?
         ,-[cluster.yaml:129:1]
     128 |
     129 | loadBallancer:
         : ^^^^^^^^^^^^^
     130 |   # How the network learns where a service answers: `bgp` (the router is told) or `l2` (ARP, pools inside network.nodes).
         `----
      help: known here: api, backup, bgp, bootstrap, cilium, components, dns, gateway, gitops, image, loadBalancer, name,
            network, nodes, profiles, proxmox, secrets, storage, tier, versions, wireguard

    cluster.yaml: 2 errors, 0 warnings
    "#);
}

/// What a fixture says about itself, after this line.
const EXPECTED: &str = "# --- what is said about it ---\n";

fn described(problems: &Problems) -> String {
    let mut out = String::new();
    for problem in problems.list() {
        let severity = match problem.severity {
            Severity::Error => "error",
            _ => "warning",
        };
        let (line, column) = (problem.span.line, problem.span.column);
        out.push_str(&format!(
            "# {line}:{column} {severity} {} at {}\n#   {}\n",
            problem.rule, problem.path, problem.message
        ));
        if let Some(help) = &problem.help {
            out.push_str(&format!("#   help: {help}\n"));
        }
        for related in &problem.related {
            out.push_str(&format!(
                "#   see {}:{}: {}\n",
                related.span.line, related.span.column, related.label
            ));
        }
    }
    out
}

fn fixtures(folder: &str) -> Vec<(String, PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/fixtures")
        .join(folder);
    let mut out: Vec<(String, PathBuf, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (name, path, text)
        })
        .collect();
    out.sort();
    assert!(!out.is_empty());
    out
}

fn judged(text: &str) -> Option<Problems> {
    match Spec::parse("cluster.yaml", text) {
        Ok(spec) => spec.warnings().cloned(),
        Err(problems) => Some(problems),
    }
}

/// Compares what is said about a fixture with what stands in it; `UPDATE_FIXTURES=1` writes it there.
fn compare(name: &str, path: &Path, text: &str, failures: &mut Vec<String>) {
    let (body, expected) = text.split_once(EXPECTED).unwrap_or((text, ""));
    let Some(problems) = judged(body) else {
        failures.push(format!("{name}: nothing is said about it"));
        return;
    };
    let said = described(&problems);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(path, format!("{body}{EXPECTED}{said}")).unwrap();
    } else if said != expected {
        failures.push(format!(
            "{name}: expected\n{expected}but it is said\n{said}"
        ));
    }
}

#[test]
fn each_bad_file_is_told_where_what_and_how_to_mend_it() {
    let mut failures = Vec::new();
    for (name, path, text) in fixtures("invalid") {
        compare(&name, &path, &text, &mut failures);
        let body = text.split(EXPECTED).next().unwrap_or_default();
        for problem in judged(body).iter().flat_map(|problems| problems.list()) {
            if problem.rule != name {
                failures.push(format!(
                    "{name}: also {} ({})",
                    problem.rule, problem.message
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_file_with_many_mistakes_is_told_all_of_them_at_once() {
    let mut failures = Vec::new();
    for (name, path, text) in fixtures("several") {
        compare(&name, &path, &text, &mut failures);
        let rules: BTreeSet<&str> = judged(&text)
            .unwrap()
            .list()
            .iter()
            .map(|problem| problem.rule)
            .collect();
        assert!(rules.len() >= 8, "{name}: {rules:?}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_rule_has_its_fixture_and_every_fixture_its_rule() {
    let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    let fixtures = fixtures("invalid");
    let files: BTreeSet<&str> = fixtures.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(rules.len(), RULES.len(), "a rule stands twice in the table");
    assert_eq!(files, rules);
}

#[test]
fn a_finding_is_never_worse_than_its_rule_says() {
    for (name, _, text) in fixtures("invalid") {
        for problem in judged(&text).iter().flat_map(|problems| problems.list()) {
            let rule =
                rules::find(problem.rule).unwrap_or_else(|| panic!("{name}: {}", problem.rule));
            assert!(problem.severity <= rule.severity, "{name}");
        }
    }
}

#[test]
fn good_files_are_accepted_without_a_word() {
    for (name, _, text) in fixtures("valid") {
        assert_eq!(
            judged(&text).map(|problems| problems.to_string()),
            None,
            "{name}"
        );
    }
}
