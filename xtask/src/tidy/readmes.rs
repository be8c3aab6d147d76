//! READMEs that say what the manifests say, and commands that exist.

use std::collections::BTreeSet;

use super::{Problem, Source};
use crate::metadata::{CRATES, Package};

/// The first code block of the root README starts at this line at the latest.
const FIRST_CODE: usize = 15;

pub(super) fn check(sources: &[Source], packages: &[Package]) -> Vec<Problem> {
    let mut problems = Vec::new();
    match find(sources, "README.md") {
        None => problems.push(Problem::new("README.md", 1, "is missing", "write it")),
        Some(readme) => {
            problems.extend(crate_table(readme));
            problems.extend(first_code(readme));
        }
    }
    for member in CRATES {
        let path = format!("{}/README.md", member.folder);
        let package = packages
            .iter()
            .find(|package| package.name == member.package);
        match (find(sources, &path), package) {
            (None, _) => problems.push(Problem::new(
                path,
                1,
                "is missing",
                "it is the crate's documentation",
            )),
            (Some(readme), Some(package)) => problems.extend(feature_table(readme, package)),
            (Some(_), None) => {}
        }
    }
    let commands = sources.iter().filter(|source| {
        source.is_markdown()
            || source.path.starts_with(".github/")
            || source.path.starts_with(".ci/")
    });
    problems.extend(commands.flat_map(commands_exist));
    problems
}

fn find<'a>(sources: &'a [Source], path: &str) -> Option<&'a Source> {
    sources.iter().find(|source| source.path == path)
}

/// The rows whose first cell links to a folder are the six crates, each named as its package.
fn crate_table(readme: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut listed = BTreeSet::new();
    for (number, line) in readme.lines() {
        let Some(row) = line.strip_prefix("| [`") else {
            continue;
        };
        let Some((name, rest)) = row.split_once("`](") else {
            continue;
        };
        let Some((folder, _)) = rest.split_once(')') else {
            continue;
        };
        let folder = folder.trim_end_matches('/');
        listed.insert(folder);
        let right = CRATES
            .iter()
            .any(|it| it.folder == folder && it.package == name);
        if !right {
            let what = format!("{name} in {folder} is no crate of the workspace");
            problems.push(Problem::new(
                &readme.path,
                number,
                what,
                "name the package and its folder",
            ));
        }
    }
    for member in CRATES
        .iter()
        .filter(|member| !listed.contains(member.folder))
    {
        let what = format!("the table of crates lacks {}", member.package);
        let remedy = format!(
            "add a row: | [`{}`]({}) | … |",
            member.package, member.folder
        );
        problems.push(Problem::new(&readme.path, 1, what, remedy));
    }
    problems
}

fn first_code(readme: &Source) -> Option<Problem> {
    let fence = readme.lines().find(|(_, line)| line.starts_with("```"));
    let line = fence.map_or(usize::MAX, |(number, _)| number);
    (line > FIRST_CODE).then(|| {
        let what = format!("no code in the first {FIRST_CODE} lines");
        Problem::new(
            &readme.path,
            1,
            what,
            "show a command first, explain afterwards",
        )
    })
}

/// A heading with the word "features", and a row for each feature of the manifest.
fn feature_table(readme: &Source, package: &Package) -> Vec<Problem> {
    let heading = readme.lines().find(|(_, line)| {
        line.starts_with('#')
            && line
                .to_lowercase()
                .split_whitespace()
                .any(|word| word == "features")
    });
    let names: Vec<&String> = package
        .features
        .keys()
        .filter(|name| *name != "default")
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    let Some((line, _)) = heading else {
        let remedy = "add a heading with the word \"features\" and a table of them";
        return vec![Problem::new(
            &readme.path,
            1,
            "no table of features",
            remedy,
        )];
    };
    let rows: Vec<&str> = readme
        .lines()
        .map(|(_, line)| line)
        .filter(|line| line.starts_with('|'))
        .collect();
    let absent = names.into_iter().filter(|name| {
        let cell = format!("`{name}`");
        !rows.iter().any(|row| row.contains(&cell))
    });
    let problem = |name: &String| {
        let what = format!("the table of features lacks `{name}`");
        Problem::new(&readme.path, line, what, "say what it adds")
    };
    absent.map(problem).collect()
}

/// Every `cargo xtask NAME` that a text mentions is a command.
fn commands_exist(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in source.lines() {
        for (at, found) in line.match_indices("cargo xtask ") {
            let rest = &line[at + found.len()..];
            let word: String = rest
                .chars()
                .take_while(|it| it.is_ascii_lowercase())
                .collect();
            if !word.is_empty() && !crate::COMMANDS.contains(&word.as_str()) {
                let what = format!("there is no `cargo xtask {word}`");
                problems.push(Problem::new(
                    &source.path,
                    number,
                    what,
                    "`cargo xtask help` lists them",
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn table() -> String {
        CRATES
            .iter()
            .map(|it| format!("| [`{}`]({}) | x |\n", it.package, it.folder))
            .collect()
    }

    #[test]
    fn the_crate_table_is_complete_and_true() {
        assert!(crate_table(&source("README.md", &table())).is_empty());
        let wrong = table().replace("proxmox-ve-client", "proxmox-client");
        let problems = crate_table(&source("README.md", &wrong));
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0]
                .what
                .contains("proxmox-client in proxmox-client")
        );
        let short: String = table()
            .lines()
            .skip(1)
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(crate_table(&source("README.md", &short)).len(), 1);
    }

    #[test]
    fn code_comes_early() {
        assert!(first_code(&source("README.md", "# x\n```sh\n")).is_none());
        let late = format!("{}```sh\n", "x\n".repeat(15));
        assert!(first_code(&source("README.md", &late)).is_some());
    }

    #[test]
    fn every_feature_has_a_row() {
        let mut package = Package {
            name: "a".into(),
            folder: "a".into(),
            library: None,
            benches: Vec::new(),
            features: [
                ("default".to_owned(), Vec::new()),
                ("ssh".to_owned(), Vec::new()),
            ]
            .into(),
            members_used: Vec::new(),
        };
        let readme = source(
            "a/README.md",
            "# a\n## Features\n| feature | adds |\n| `ssh` | x |\n",
        );
        assert!(feature_table(&readme, &package).is_empty());
        package.features.insert("simulator".into(), Vec::new());
        let problems = feature_table(&readme, &package);
        assert_eq!(
            problems[0].to_string().split(": ").nth(1),
            Some("the table of features lacks `simulator`")
        );
        assert_eq!(
            feature_table(&source("a/README.md", "# a\n"), &package).len(),
            1
        );
        package.features.retain(|name, _| name == "default");
        assert!(feature_table(&source("a/README.md", "# a\n"), &package).is_empty());
    }

    #[test]
    fn a_command_that_does_not_exist_is_found() {
        let text = "run `cargo xtask tidy`,\nthen cargo xtask polish now\n";
        let problems = commands_exist(&source("README.md", text));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].line, 2);
    }
}
