//! `cargo xtask test`: all tests, with the programs that they talk to.

use std::process::Command;

use anyhow::{Context, bail};

use crate::metadata::Package;
use crate::peers::{self, Census, LIBSSL};
use crate::{metadata, process, workspace};

/// One set of features for every step, because another one compiles the dependencies again.
pub(crate) const FEATURES: &str = "--all-features";

/// Features that link libraries of the system, and so do not compile without their headers.
const LINKING: &str = "ssh";

/// All features, or where headers are absent all that compile without them.
fn features(census: &Census) -> anyhow::Result<Vec<String>> {
    if census.has(LIBSSL) {
        return Ok(all_features());
    }
    let names = without_linking(&metadata::packages()?);
    Ok(vec!["--features".to_owned(), names])
}

/// All features of all packages but those that link, as cargo wants them.
fn without_linking(packages: &[Package]) -> String {
    let mut names = Vec::new();
    for package in packages {
        let features = package.features.keys().filter(|name| *name != LINKING);
        names.extend(features.map(|name| format!("{}/{name}", package.name)));
    }
    names.join(",")
}

/// What cargo is told to turn on everything.
pub(crate) fn all_features() -> Vec<String> {
    vec![FEATURES.to_owned()]
}

/// How the tests are to be run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    no_install: bool,
    no_nextest: bool,
    /// Passed to the test runner.
    rest: Vec<String>,
}

impl Arguments {
    fn parse(words: &[String]) -> anyhow::Result<Self> {
        let mut parsed = Self::default();
        for word in words {
            match word.as_str() {
                "--no-install" => parsed.no_install = true,
                "--no-nextest" => parsed.no_nextest = true,
                option if option.starts_with('-') => {
                    bail!(
                        "test knows --no-install, --no-nextest and a part of test names, not {option:?}"
                    )
                }
                part => parsed.rest.push(part.to_owned()),
            }
        }
        Ok(parsed)
    }
}

/// `cargo xtask test [--no-install] [--no-nextest] [PART OF TEST NAMES]`
pub(crate) fn command(words: &[String]) -> anyhow::Result<bool> {
    let arguments = Arguments::parse(words)?;
    let census = if arguments.no_install {
        Census::take()
    } else {
        peers::install_absent()
    };
    let features = features(&census)?;
    let mut runs = Vec::new();
    if has_nextest() && !arguments.no_nextest {
        runs.push(run("tests", nextest(&features, &arguments.rest))?);
        if arguments.rest.is_empty() {
            runs.push(run("doctests", doctests(&features))?);
        }
    } else {
        runs.push(run("tests", plain(&features, &arguments.rest))?);
    }
    let passed = runs.iter().all(|run| run.passed);
    println!("\n{}", "=".repeat(78));
    for run in &runs {
        run.print();
    }
    census.print();
    println!(
        "cargo xtask test: {}",
        if passed { "passed" } else { "FAILED" }
    );
    Ok(passed)
}

pub(crate) fn has_nextest() -> bool {
    let mut command = workspace::cargo();
    let output = command.args(["nextest", "--version"]).output();
    output.is_ok_and(|output| output.status.success())
}

/// What every test run has in its environment.
fn prepared(mut command: Command) -> Command {
    // Servers lie in folders that an ordinary user's PATH lacks; a run leaves the work tree as it was.
    command
        .env("PATH", process::search_path())
        .env("INSTA_UPDATE", "no");
    command
}

/// Unit and integration tests of all members; doctests are not nextest's.
pub(crate) fn nextest(features: &[String], rest: &[String]) -> Command {
    let mut command = workspace::cargo();
    command.args([
        "nextest",
        "run",
        "--workspace",
        "--no-fail-fast",
        "--no-tests",
        "warn",
    ]);
    command.args(features).args(rest);
    prepared(command)
}

/// All doctests; those of READMEs are among them.
pub(crate) fn doctests(features: &[String]) -> Command {
    let mut command = workspace::cargo();
    command.args(["test", "--doc", "--workspace", "--no-fail-fast"]);
    command.args(features);
    prepared(command)
}

/// Everything through cargo alone.
fn plain(features: &[String], rest: &[String]) -> Command {
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    command.args(features).args(rest);
    prepared(command)
}

/// What [`nextest`] runs, through cargo alone.
pub(crate) fn tests_alone(rest: &[String]) -> Command {
    let mut command = workspace::cargo();
    command.args([
        "test",
        "--workspace",
        "--no-fail-fast",
        "--lib",
        "--bins",
        "--tests",
        "--examples",
    ]);
    command.arg(FEATURES).args(rest);
    prepared(command)
}

/// What a test runner said at its end.
#[derive(Debug)]
pub(crate) struct Run {
    name: &'static str,
    command: String,
    pub(crate) passed: bool,
    closing: Closing,
}

/// Runs the tests and keeps the lines that matter.
pub(crate) fn run(name: &'static str, mut command: Command) -> anyhow::Result<Run> {
    let shown = process::shown(&command);
    eprintln!("{name}: {shown}");
    let mut closing = Closing::default();
    let status = process::tee(&mut command, |line| closing.keep(line))
        .with_context(|| format!("running the {name}"))?;
    Ok(Run {
        name,
        command: shown,
        passed: status.success(),
        closing,
    })
}

impl Run {
    pub(crate) fn print(&self) {
        println!("{}: {}", self.name, self.command);
        for line in self.closing.lines() {
            println!("  {line}");
        }
        if !self.passed {
            println!("  FAILED");
        }
    }
}

/// The closing lines of nextest and of cargo test.
#[derive(Debug, Default)]
struct Closing {
    failed: Vec<String>,
    summary: Vec<String>,
    programs: usize,
    passed: u64,
    failures: u64,
    ignored: u64,
    left_out: u64,
}

impl Closing {
    fn keep(&mut self, line: &str) {
        let trimmed = line.trim_start();
        if let Some(counts) = trimmed.strip_prefix("test result: ") {
            self.programs += 1;
            self.passed += count(counts, "passed");
            self.failures += count(counts, "failed");
            self.ignored += count(counts, "ignored");
            self.left_out += count(counts, "filtered out");
        } else if trimmed.starts_with("Summary [") {
            self.summary.push(trimmed.to_owned());
            // What nextest listed while it ran stands once more below its summary.
            self.failed.clear();
        } else if ["FAIL [", "TIMEOUT [", "SIGABRT [", "SIGSEGV ["]
            .iter()
            .any(|it| trimmed.starts_with(it))
            || (trimmed.starts_with("test ") && trimmed.ends_with("... FAILED"))
            || trimmed.starts_with("error: could not compile")
        {
            self.failed.push(trimmed.to_owned());
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = self.failed.clone();
        lines.dedup();
        lines.extend(self.summary.iter().cloned());
        if self.programs > 0 {
            let verdict = if self.failures == 0 { "ok" } else { "FAILED" };
            lines.push(format!(
                "test result: {verdict}. {} passed; {} failed; {} ignored; {} filtered out; in {} programs",
                self.passed, self.failures, self.ignored, self.left_out, self.programs
            ));
        }
        if lines.is_empty() {
            lines.push("the runner ended without a summary".to_owned());
        }
        lines
    }
}

/// The number before a word: `3` of `ok. 3 passed; 0 failed`.
fn count(text: &str, word: &str) -> u64 {
    let before = text
        .split(word)
        .next()
        .filter(|before| before.len() < text.len());
    let number = before.and_then(|before| before.split_whitespace().next_back());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_headers_every_feature_is_on_but_those_that_link() {
        let packages = metadata::packages().unwrap();
        let names = without_linking(&packages);
        let names: Vec<&str> = names.split(',').collect();
        assert!(names.contains(&"proxmox-ve-client/simulator"));
        assert!(!names.contains(&"proxmox-ve-client/ssh"));
        let all: usize = packages.iter().map(|package| package.features.len()).sum();
        assert_eq!(names.len(), all - 1, "no other feature is called so");
    }

    fn closing(text: &str) -> Vec<String> {
        let mut closing = Closing::default();
        text.lines().for_each(|line| closing.keep(line));
        closing.lines()
    }

    #[test]
    fn results_of_many_programs_are_added_up() {
        let text = "\
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
test a::b ... FAILED
test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.00s
";
        assert_eq!(
            closing(text),
            [
                "test a::b ... FAILED",
                "test result: FAILED. 5 passed; 1 failed; 1 ignored; 4 filtered out; in 2 programs"
            ]
        );
    }

    #[test]
    fn a_failure_that_nextest_repeats_stands_once() {
        let text = "\
        FAIL [   0.003s] a b::c
     Summary [   0.030s] 2 tests run: 1 passed, 1 failed, 0 skipped
        FAIL [   0.003s] a b::c
";
        assert_eq!(
            closing(text),
            [
                "FAIL [   0.003s] a b::c",
                "Summary [   0.030s] 2 tests run: 1 passed, 1 failed, 0 skipped"
            ]
        );
    }

    #[test]
    fn a_runner_that_dies_is_not_silent() {
        assert_eq!(
            closing("Compiling a\n"),
            ["the runner ended without a summary"]
        );
        assert_eq!(
            closing("error: could not compile `a`\n"),
            ["error: could not compile `a`"]
        );
    }
}
