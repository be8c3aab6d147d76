//! What each member's manifest says: inherited fields, lints, and a reason for every dependency.

use std::collections::BTreeSet;

use super::{Problem, Source};
use crate::metadata::CRATES;

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let documented = sources
        .iter()
        .find(|source| source.path == "ARCHITECTURE.md");
    let documented = documented
        .map(|source| table_of_reasons(&source.text))
        .unwrap_or_default();
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for source in members(sources) {
        problems.extend(inherited(source));
        for entry in entries(&source.text) {
            used.insert(entry.name.clone());
            if !entry.has_reason && !entry.is_member && !documented.contains(&entry.name) {
                problems.push(Problem::new(
                    &source.path,
                    entry.line,
                    format!("the dependency {:?} has no reason", entry.name),
                    "say why it is needed in a comment on the line or above its group, or in ARCHITECTURE.md",
                ));
            }
        }
    }
    for name in documented.difference(&used) {
        problems.push(Problem::new(
            "ARCHITECTURE.md",
            1,
            format!("its table of dependencies names {name:?}, which no member uses"),
            "remove the row",
        ));
    }
    problems
}

/// Manifests of the workspace's members: those one folder deep.
fn members(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| {
        source.path.ends_with("/Cargo.toml") && source.path.matches('/').count() == 1
    })
}

fn inherited(source: &Source) -> Vec<Problem> {
    let mut missing = Vec::new();
    for wanted in ["version", "edition", "rust-version", "license"] {
        let line = format!("{wanted}.workspace = true");
        if !source.text.lines().any(|text| text.trim() == line) {
            missing.push((line, "inherit it, so that the members agree"));
        }
    }
    let lints = source.text.split("[lints]").nth(1);
    if !lints.is_some_and(|rest| rest.trim_start().starts_with("workspace = true")) {
        missing.push((
            "[lints] workspace = true".to_owned(),
            "the lints hold for every member",
        ));
    }
    let folder = source.path.trim_end_matches("/Cargo.toml");
    if CRATES.iter().any(|member| member.folder == folder) {
        for wanted in ["description", "readme"] {
            if !source.text.lines().any(|text| text.starts_with(wanted)) {
                missing.push((wanted.to_owned(), "a published crate has one"));
            }
        }
    }
    let problem = |(what, remedy)| Problem::new(&source.path, 1, format!("no `{what}`"), remedy);
    missing.into_iter().map(problem).collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    line: usize,
    has_reason: bool,
    is_member: bool,
}

/// The direct dependencies of a manifest, of every kind.
fn entries(text: &str) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let mut in_dependencies = false;
    let mut in_list = false;
    let mut comment_above = false;
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if let Some(section) = trimmed.strip_prefix('[').filter(|_| !in_list) {
            let section = section.split(']').next().unwrap_or("");
            in_dependencies = section.ends_with("dependencies");
            // `[dependencies.name]`
            if let Some((_, name)) = section.split_once("dependencies.") {
                found.push(Entry {
                    name: name.trim_matches('"').to_owned(),
                    line: at + 1,
                    has_reason: comment_above || trimmed.contains('#'),
                    is_member: false,
                });
            }
            comment_above = false;
            continue;
        }
        if in_list {
            in_list = !trimmed.starts_with(']');
            continue;
        }
        // A comment speaks for the lines below it up to the next empty one.
        if trimmed.is_empty() || trimmed.starts_with('#') {
            comment_above = trimmed.starts_with('#');
            continue;
        }
        if in_dependencies && let Some((key, value)) = trimmed.split_once('=') {
            found.push(Entry {
                name: key
                    .trim()
                    .trim_end_matches(".workspace")
                    .trim_matches('"')
                    .to_owned(),
                line: at + 1,
                has_reason: comment_above || value.contains('#'),
                is_member: value.contains("path ="),
            });
            in_list = value.contains('[') && !value.contains(']');
        }
    }
    found
}

/// The first column of the table of dependencies in ARCHITECTURE.md: names in backticks.
fn table_of_reasons(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut in_table = false;
    for line in text.lines() {
        if line.starts_with("| dependency |") {
            in_table = true;
        } else if !line.starts_with('|') {
            in_table = false;
        } else if in_table {
            let first = line.trim_start_matches('|').split('|').next().unwrap_or("");
            names.extend(first.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    const MANIFEST: &str = "\
[package]
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true

[dependencies]
# numbers of its own
one = \"1\"

two.workspace = true
three = { version = \"3\", features = [
    \"x\",
] } # why three
other = { path = \"../other\" }

[lints]
workspace = true
";

    #[test]
    fn a_reason_stands_on_the_line_or_above_its_group() {
        let entries = entries(MANIFEST);
        let reasons: Vec<_> = entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.line, entry.has_reason))
            .collect();
        assert_eq!(
            reasons,
            [
                ("one", 9, true),
                ("two", 11, false),
                ("three", 12, false),
                ("other", 15, false)
            ]
        );
        assert!(entries[3].is_member);
    }

    #[test]
    fn a_reason_may_stand_in_the_table_and_the_table_may_not_be_stale() {
        let table = "| dependency | why |\n| --- | --- |\n| `two`, `three` | x |\n| `gone` | y |\n";
        let files = [
            source("a/Cargo.toml", MANIFEST),
            source("ARCHITECTURE.md", table),
        ];
        let problems = check(&files);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].what.contains("\"gone\""));
    }

    #[test]
    fn a_manifest_without_the_lints_is_refused() {
        let text = MANIFEST.replace("[lints]\nworkspace = true\n", "");
        let problems = inherited(&source("a/Cargo.toml", &text));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].what, "no `[lints] workspace = true`");
    }
}
