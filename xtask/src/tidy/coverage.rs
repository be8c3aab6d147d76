//! Things that belong together: parsers and fuzz tests, rules and fixtures, environments and programs.

use std::collections::BTreeSet;

use super::{Problem, Source};
use crate::metadata::CRATES;
use crate::peers;

const INVALID: &str = "examples/tests/it/fixtures/invalid/";
const ENVIRONMENTS: &str = "examples/environments/";
const PROGRAMS: &str = "examples/src/bin/";

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let mut problems = fuzz_tests(sources);
    problems.extend(fixtures_name_rules(sources));
    problems.extend(programs_and_environments(sources));
    problems.extend(peers_have_tests(
        sources,
        peers::PEERS.iter().map(|peer| (peer.name, peer.select)),
    ));
    problems
}

/// A peer is worth installing only for tests that talk to it.
fn peers_have_tests<'a>(
    sources: &[Source],
    peers: impl Iterator<Item = (&'a str, (&'a str, &'a str))>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, (package, part)) in peers {
        let member = CRATES.iter().find(|member| member.package == package);
        let folder = member.map_or(package, |member| member.folder);
        let found = sources.iter().any(|source| {
            source.is_rust() && source.path.starts_with(folder) && has_test(source, part)
        });
        if !found {
            let what =
                format!("the peer {name:?} has no test: nothing in {folder} is named *{part}*");
            problems.push(Problem::new(
                "xtask/src/peers.rs",
                1,
                what,
                "write one, or drop the peer",
            ));
        }
    }
    problems
}

/// Whether the path of a test in this file, as the runner prints it, contains `part`.
fn has_test(source: &Source, part: &str) -> bool {
    if !source.text.contains("test]") && !source.text.contains("test(") {
        return false;
    }
    let function = |line: &str| {
        let name = line
            .trim_start()
            .trim_start_matches("async ")
            .strip_prefix("fn ");
        name.and_then(|name| name.split('(').next())
            .is_some_and(|name| name.contains(part))
    };
    source.path.contains(part) || source.lines().any(|(_, line)| function(line))
}

/// Every crate parses something, so every crate is fuzzed, on stable Rust as an ordinary test.
fn fuzz_tests(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for member in CRATES {
        let path = format!("{}/tests/it/fuzz.rs", member.folder);
        let found = sources.iter().find(|source| source.path == path);
        let remedy = "feed mutated seeds to each parser for FUZZ_SECONDS (default 1)";
        match found {
            None => problems.push(Problem::new(path, 1, "no fuzz test", remedy)),
            Some(source) if !source.text.contains("FUZZ_SECONDS") => {
                problems.push(Problem::new(path, 1, "does not read FUZZ_SECONDS", remedy));
            }
            Some(_) => {}
        }
    }
    problems
}

/// `invalid/address-outside-subnet.yaml` (or `…--second-case.yaml`) is named for the rule that refuses it.
fn fixtures_name_rules(sources: &[Source]) -> Vec<Problem> {
    let literals: BTreeSet<&str> = sources
        .iter()
        .filter(|source| source.is_rust() && source.path.starts_with("examples/src/"))
        .flat_map(|source| source.text.split('"'))
        .collect();
    let mut problems = Vec::new();
    for source in sources {
        let Some(name) = source.path.strip_prefix(INVALID) else {
            continue;
        };
        let Some(stem) = name.strip_suffix(".yaml") else {
            continue;
        };
        let rule = stem.split("--").next().unwrap_or(stem);
        if !literals.contains(rule) {
            let what = format!("no rule of examples/src is called {rule:?}");
            problems.push(Problem::new(
                &source.path,
                1,
                what,
                "name the file for the rule that refuses it",
            ));
        }
    }
    problems
}

fn programs_and_environments(sources: &[Source]) -> Vec<Problem> {
    let has = |path: String| sources.iter().any(|source| source.path == path);
    let mut problems = Vec::new();
    for source in sources {
        if let Some(name) = source.path.strip_prefix(ENVIRONMENTS)
            && let Some(name) = name.strip_suffix("/cluster.yaml")
            && !has(format!("{PROGRAMS}{name}.rs"))
        {
            let remedy = format!("add {PROGRAMS}{name}.rs");
            problems.push(Problem::new(
                &source.path,
                1,
                "an environment without a program",
                remedy,
            ));
        }
        if let Some(name) = source.path.strip_prefix(PROGRAMS)
            && let Some(name) = name.strip_suffix(".rs")
            && !has(format!("{ENVIRONMENTS}{name}/cluster.yaml"))
        {
            let remedy = format!("add {ENVIRONMENTS}{name}/cluster.yaml");
            problems.push(Problem::new(
                &source.path,
                1,
                "a program without an environment",
                remedy,
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn each_crate_is_fuzzed_for_a_given_time() {
        let mut files: Vec<Source> = CRATES
            .iter()
            .map(|it| source(&format!("{}/tests/it/fuzz.rs", it.folder), "FUZZ_SECONDS"))
            .collect();
        assert!(fuzz_tests(&files).is_empty());
        files[0].text.clear();
        files.pop();
        let found = fuzz_tests(&files);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].what, "does not read FUZZ_SECONDS");
    }

    #[test]
    fn a_fixture_is_named_for_a_rule() {
        let rules = source(
            "examples/src/spec/rules.rs",
            "const A: &str = \"vip-outside-subnet\";",
        );
        let good = source(
            "examples/tests/it/fixtures/invalid/vip-outside-subnet--ipv6.yaml",
            "",
        );
        let bad = source("examples/tests/it/fixtures/invalid/vip-wrong.yaml", "");
        let problems = fixtures_name_rules(&[rules, good, bad]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].path.ends_with("vip-wrong.yaml"));
    }

    #[test]
    fn a_peer_without_a_test_is_found() {
        let test = source(
            "restic-wrapper/tests/it/real.rs",
            "#[test]\nfn backs_up() {}\n",
        );
        let named = source(
            "talos-client/tests/it/x.rs",
            "#[tokio::test]\nasync fn over_ssh() {}\n",
        );
        let files = [test, named];
        let peers = [
            ("restic", ("restic-wrapper", "real")),
            ("sshd", ("talos-client", "ssh")),
        ];
        assert!(peers_have_tests(&files, peers.into_iter()).is_empty());
        let peers = [("wg", ("wireguard-config", "peer"))];
        assert_eq!(peers_have_tests(&files, peers.into_iter()).len(), 1);
    }

    #[test]
    fn an_environment_and_its_program_go_together() {
        let files = [
            source("examples/environments/a/cluster.yaml", ""),
            source("examples/src/bin/b.rs", ""),
        ];
        assert_eq!(programs_and_environments(&files).len(), 2);
        let pair = [
            source("examples/environments/a/cluster.yaml", ""),
            source("examples/src/bin/a.rs", ""),
        ];
        assert!(programs_and_environments(&pair).is_empty());
    }
}
