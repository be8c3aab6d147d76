//! `cargo xtask tidy`: the rules of the house that no compiler knows.
//!
//! Each rule is a function from texts to problems, so that it is tested on small inputs. All problems
//! of all rules are printed at once, each with its place and its remedy.

mod coverage;
mod dependencies;
mod examples;
mod licences;
mod manifests;
mod names;
mod readmes;
mod rooms;
mod sizes;
mod words;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::{metadata, workspace};

/// A text file of the workspace.
#[derive(Debug, Clone)]
struct Source {
    /// Relative to the root, with `/` between the parts.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// Whether a folder of that name is on the path.
    fn is_below(&self, folder: &str) -> bool {
        self.folders().any(|part| part == folder)
    }

    fn is_generated(&self) -> bool {
        self.is_below("generated")
    }

    /// Recorded or deliberately wrong input: data, not prose or code of ours.
    fn is_fixture(&self) -> bool {
        self.folders()
            .any(|part| matches!(part, "fixtures" | "data" | "seeds" | "snapshots"))
    }

    fn folders(&self) -> impl Iterator<Item = &str> {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        folder.split('/')
    }

    fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
    }
}

/// A broken rule: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    path: String,
    line: usize,
    what: String,
    remedy: String,
}

impl Problem {
    fn new(
        path: impl Into<String>,
        line: usize,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            line,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.path, self.line, self.what, self.remedy
        )
    }
}

/// `cargo xtask tidy`
pub(crate) fn command(words: &[String]) -> anyhow::Result<bool> {
    if let Some(word) = words.first() {
        bail!("tidy takes no argument, not {word:?}");
    }
    let root = workspace::root();
    let sources = read(&root)?;
    let packages = metadata::packages()?;
    let mut problems = Vec::new();
    problems.extend(sizes::check(&sources));
    problems.extend(names::check(&sources));
    problems.extend(words::check(&sources, &root));
    problems.extend(rooms::check(&sources));
    problems.extend(manifests::check(&sources));
    problems.extend(dependencies::check(&packages, &sources));
    problems.extend(dependencies::check_pure()?);
    problems.extend(licences::check()?);
    problems.extend(readmes::check(&sources, &packages));
    problems.extend(coverage::check(&sources));
    problems.extend(examples::check(&sources));
    problems.sort();
    problems.dedup();
    for problem in &problems {
        println!("{problem}");
    }
    eprintln!(
        "tidy: {}; {}",
        sizes::summary(&sources),
        count(problems.len())
    );
    Ok(problems.is_empty())
}

fn count(problems: usize) -> String {
    match problems {
        0 => "no problem".to_owned(),
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    }
}

/// All text files below the root except what tools leave there.
fn read(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !matches!(
                    name.as_ref(),
                    "target" | ".git" | "corpus" | "artifacts" | "node_modules"
                ) {
                    folders.push(path);
                }
                continue;
            }
            if !is_text(&name) {
                continue;
            }
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            let relative = path.strip_prefix(root).unwrap_or(&path);
            let parts: Vec<_> = relative
                .components()
                .map(|part| part.as_os_str().to_string_lossy())
                .collect();
            sources.push(Source {
                path: parts.join("/"),
                text,
            });
        }
    }
    sources.sort_unstable_by(|left, right| left.path.cmp(&right.path));
    Ok(sources)
}

fn is_text(name: &str) -> bool {
    const ENDINGS: &[&str] = &[
        ".rs", ".md", ".toml", ".yaml", ".yml", ".json", ".jsonl", ".proto", ".sh", ".conf",
        ".txt", ".lock",
    ];
    ENDINGS.iter().any(|ending| name.ends_with(ending)) || name == "run" || name.starts_with('.')
}

#[cfg(test)]
fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_prints_its_place_and_its_remedy() {
        let problem = Problem::new("a/src/b.rs", 7, "1,200 lines", "split it by subject");
        assert_eq!(
            problem.to_string(),
            "a/src/b.rs:7: 1,200 lines: split it by subject"
        );
    }

    #[test]
    fn folders_are_matched_whole() {
        let file = source("a/src/generated/x.rs", "");
        assert!(file.is_below("generated") && file.is_generated());
        assert!(!source("a/src/generated.rs", "").is_generated());
        assert_eq!(file.file_name(), "x.rs");
    }

    #[test]
    fn the_workspace_is_read_without_build_output() {
        let sources = read(&workspace::root()).unwrap();
        assert!(sources.iter().any(|source| source.path == "Cargo.toml"));
        assert!(
            !sources
                .iter()
                .any(|source| source.path.starts_with("target/"))
        );
    }
}
