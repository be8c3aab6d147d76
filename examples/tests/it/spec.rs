//! `cluster.yaml`: what is accepted, what is refused, and how it is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use homelab::spec::rules::{self, RULES};
use homelab::spec::{Problems, Severity, Spec};
use proptest::prelude::*;

const PRODUCTION: &str = include_str!("../../environments/production/cluster.yaml");

fn production() -> Spec {
    good(PRODUCTION)
}

const STAGING: &str = include_str!("../../environments/staging/cluster.yaml");
const DEVELOPMENT: &str = include_str!("../../environments/development/cluster.yaml");

fn good(text: &str) -> Spec {
    Spec::parse("cluster.yaml", text)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

#[test]
fn the_environments_are_accepted_without_a_warning() {
    for (text, sizes) in [
        (PRODUCTION, (3, 6)),
        (STAGING, (3, 3)),
        (DEVELOPMENT, (1, 2)),
    ] {
        let spec = good(text);
        assert_eq!(spec.warnings().map(ToString::to_string), None);
        assert_eq!(
            (spec.control_planes().count(), spec.workers().count()),
            sizes
        );
    }
}

#[test]
fn the_environments_share_nothing_that_two_clusters_must_not_share() {
    let specs = [good(PRODUCTION), good(STAGING), good(DEVELOPMENT)];
    let mut seen = BTreeSet::new();
    for spec in &specs {
        let overlay = spec.wireguard.as_ref().unwrap();
        let mut own = vec![
            format!("name {}", spec.name),
            format!("address {}", spec.api.vip),
            format!("pods {}", spec.network.pods),
            format!("secrets {}", spec.secrets.file),
            format!("overlay {} {}", overlay.subnet, overlay.port),
            format!("path {}", spec.gitops.path),
        ];
        for node in &spec.nodes {
            own.extend([
                format!("address {}", node.address),
                format!("vmid {}", node.vmid),
                format!("mac {}", node.mac),
            ]);
        }
        own.extend(
            spec.load_balancer
                .pools
                .iter()
                .map(|pool| format!("pool {}", pool.range)),
        );
        own.extend(
            spec.backup
                .iter()
                .flat_map(|backup| backup.repositories.values())
                .map(|repository| format!("url {}", repository.url)),
        );
        for thing in own {
            assert!(seen.insert(thing.clone()), "{thing} is used twice");
        }
    }
}

#[test]
fn what_is_rendered_reads_back_as_the_same_description() {
    for spec in [good(PRODUCTION), good(STAGING), good(DEVELOPMENT)] {
        let text = spec.render();
        let again = Spec::parse("rendered.yaml", &text)
            .unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)));
        assert_eq!(again.render(), text);
    }
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

#[test]
fn every_finding_says_what_to_write_instead() {
    for (name, _, text) in fixtures("invalid").into_iter().chain(fixtures("several")) {
        for problem in judged(&text).iter().flat_map(|problems| problems.list()) {
            assert!(
                problem.help.as_ref().is_some_and(|help| !help.is_empty()),
                "{name}: {}",
                problem.message
            );
        }
    }
}

#[test]
fn the_readme_holds_the_table_of_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once("<!-- rules -->\n").unwrap();
    let (table, after) = rest.split_once("<!-- end of rules -->").unwrap();
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        let text = format!(
            "{before}<!-- rules -->\n{}<!-- end of rules -->{after}",
            rules::markdown()
        );
        std::fs::write(path, text).unwrap();
    } else {
        assert_eq!(table, rules::markdown(), "UPDATE_FIXTURES=1 writes it");
    }
}

fn mutated() -> impl Strategy<Value = String> {
    let texts = prop::sample::select(vec![
        PRODUCTION,
        include_str!("fixtures/valid/small.yaml"),
        include_str!("fixtures/several/one-of-each-kind.yaml"),
    ]);
    let edit = (
        any::<prop::sample::Index>(),
        0usize..12,
        "[ -~\n\t\u{e9}\u{1f642}]{0,6}",
    );
    (texts, prop::collection::vec(edit, 0..6)).prop_map(|(text, edits)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, removed, added) in edits {
            let at = at.index(chars.len());
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, added.chars());
        }
        chars.into_iter().collect()
    })
}

fn spans_lie_inside(text: &str) {
    let Some(problems) = judged(text) else { return };
    for problem in problems.list() {
        for span in std::iter::once(&problem.span)
            .chain(problem.related.iter().map(|related| &related.span))
        {
            assert!(
                span.bytes.end <= text.len()
                    && text.is_char_boundary(span.bytes.start)
                    && text.is_char_boundary(span.bytes.end)
            );
            assert!(span.line >= 1 && span.line <= text.lines().count().max(1) + 1);
        }
    }
    assert!(!problems.render(false).is_empty());
    assert!(problems.to_json()["problems"].is_array());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_edit_of_a_file_makes_the_reader_panic_or_point_outside(text in mutated()) {
        spans_lie_inside(&text);
    }

    #[test]
    fn no_text_at_all_makes_the_reader_panic_or_point_outside(text in "\\PC{0,200}") {
        spans_lie_inside(&text);
    }

    #[test]
    fn a_size_prints_as_it_was_read(mib in 1u64..10_000_000) {
        use homelab::spec::quantity::Bytes;
        let text = DEVELOPMENT.replace("memory: 96GiB", &format!("memory: {}", Bytes::mib(mib.max(40_000))));
        let spec = good(&text);
        prop_assert_eq!(spec.proxmox.hosts[0].memory, Bytes::mib(mib.max(40_000)));
    }
}
