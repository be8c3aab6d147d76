//! `cargo xtask ci`: everything that must pass before a change lands.
//!
//! The order follows from what cargo compiles. Steps that need no compiler come first. Then the checked
//! (not generated) form of all dependencies serves clippy and the documentation; the generated form, with
//! the same features, serves tests, doctests, fuzzing, code generation and conformance. Only the main job
//! is built as a user builds it, with default features.

mod environments;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::metadata::CRATES;
use crate::peers::{self, Census};
use crate::test::{self, FEATURES, Run};
use crate::{codegen, conformance, process, tidy, workspace};

/// Seconds that each fuzz test runs here; the tests' own default is 1.
const FUZZ_SECONDS: u32 = 10;

/// What a step came to.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

impl Outcome {
    fn of(passed: bool, otherwise: &str) -> Self {
        if passed {
            Self::Passed
        } else {
            Self::Failed(otherwise.to_owned())
        }
    }
}

/// What the steps share.
struct Machine {
    census: Census,
    runs: Vec<Run>,
}

type Step = (&'static str, fn(&mut Machine) -> anyhow::Result<Outcome>);

const STEPS: &[Step] = &[
    ("tidy", |_| {
        Ok(Outcome::of(tidy::command(&[])?, "problems above"))
    }),
    ("format", |_| cargo(&["fmt", "--all", "--check"])),
    ("clippy", clippy),
    ("docs", docs),
    ("alone", alone),
    ("tests", tests),
    ("doctests", doctests),
    ("fuzz", fuzz),
    ("codegen", codegen),
    ("conformance", conformance),
    ("environments", |_| environments::step()),
];

/// `cargo xtask ci [--fail-fast] [--list] [STEP...]`
pub(crate) fn command(words: &[String]) -> anyhow::Result<bool> {
    let mut fail_fast = false;
    let mut wanted: Vec<&str> = Vec::new();
    for word in words {
        match word.as_str() {
            "--fail-fast" => fail_fast = true,
            "--list" => {
                for (name, _) in STEPS {
                    println!("{name}");
                }
                return Ok(true);
            }
            name if STEPS.iter().any(|(step, _)| *step == name) => wanted.push(name),
            other => bail!("no step {other:?}; `cargo xtask ci --list` names them"),
        }
    }
    let census = peers::install_absent();
    let mut machine = Machine {
        census,
        runs: Vec::new(),
    };
    let started = Instant::now();
    let mut table = Vec::new();
    for (name, step) in STEPS {
        if !wanted.is_empty() && !wanted.contains(name) {
            continue;
        }
        println!("\n==== {name}");
        let begun = Instant::now();
        let outcome =
            step(&mut machine).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let failed = matches!(outcome, Outcome::Failed(_));
        table.push((*name, begun.elapsed(), outcome));
        if failed && fail_fast {
            break;
        }
    }
    println!("\n{}", "=".repeat(78));
    for run in &machine.runs {
        run.print();
    }
    machine.census.print();
    for line in summary(&table, started.elapsed()) {
        println!("{line}");
    }
    Ok(!table
        .iter()
        .any(|(_, _, outcome)| matches!(outcome, Outcome::Failed(_))))
}

fn summary(table: &[(&str, Duration, Outcome)], total: Duration) -> Vec<String> {
    let slowest = table
        .iter()
        .map(|(_, took, _)| *took)
        .max()
        .unwrap_or_default();
    let mut lines = vec!["Steps:".to_owned()];
    let mut failures = 0;
    for (name, took, outcome) in table {
        let (word, note) = match outcome {
            Outcome::Passed => ("passed", String::new()),
            Outcome::Skipped(why) => ("SKIPPED", format!("  {why}")),
            Outcome::Failed(why) => {
                failures += 1;
                ("FAILED", format!("  {why}"))
            }
        };
        let mark = if *took == slowest { " (slowest)" } else { "" };
        lines.push(format!(
            "  {word:<8} {name:<14} {:>7}{mark}{note}",
            time(*took)
        ));
    }
    let verdict = match failures {
        0 => "passed".to_owned(),
        1 => "FAILED in 1 step".to_owned(),
        many => format!("FAILED in {many} steps"),
    };
    lines.push(format!("cargo xtask ci: {verdict} after {}", time(total)));
    lines
}

fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}m{:02}s", seconds / 60, seconds % 60)
}

fn cargo(arguments: &[&str]) -> anyhow::Result<Outcome> {
    let mut command = workspace::cargo();
    command.args(arguments);
    finish(&mut command)
}

/// Runs a command with its output on this program's streams.
fn finish(command: &mut std::process::Command) -> anyhow::Result<Outcome> {
    let shown = process::shown(command);
    println!("{shown}");
    let status = command
        .status()
        .with_context(|| format!("starting {shown}"))?;
    Ok(Outcome::of(status.success(), &shown))
}

fn clippy(_: &mut Machine) -> anyhow::Result<Outcome> {
    let mut command = workspace::cargo();
    command.args(["clippy", "--workspace", "--all-targets"]);
    command.arg(FEATURES).args(["--", "-D", "warnings"]);
    finish(&mut command)
}

fn docs(_: &mut Machine) -> anyhow::Result<Outcome> {
    let mut command = workspace::cargo();
    command
        .args(["doc", "--workspace", "--no-deps"])
        .arg(FEATURES);
    finish(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Each crate by itself and without features: what another member turns on must not hide a gap.
fn alone(_: &mut Machine) -> anyhow::Result<Outcome> {
    let mut failed = Vec::new();
    for member in CRATES {
        let package = [
            "clippy",
            "--package",
            member.package,
            "--no-default-features",
        ];
        let outcome = cargo(&[&package[..], &["--", "-D", "warnings"]].concat())?;
        if matches!(outcome, Outcome::Failed(_)) {
            failed.push(member.package);
        }
    }
    let thin = cargo(&[
        "clippy",
        "--package",
        "xtask",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])?;
    if matches!(thin, Outcome::Failed(_)) {
        failed.push("xtask");
    }
    Ok(Outcome::of(failed.is_empty(), &failed.join(", ")))
}

fn tests(machine: &mut Machine) -> anyhow::Result<Outcome> {
    let command = if test::has_nextest() {
        test::nextest(&test::all_features(), &[])
    } else {
        test::tests_alone(&[])
    };
    recorded(machine, "tests", command)
}

fn doctests(machine: &mut Machine) -> anyhow::Result<Outcome> {
    let command = test::doctests(&test::all_features());
    recorded(machine, "doctests", command)
}

fn fuzz(machine: &mut Machine) -> anyhow::Result<Outcome> {
    let part = ["fuzz::".to_owned()];
    let mut command = if test::has_nextest() {
        test::nextest(&test::all_features(), &part)
    } else {
        test::tests_alone(&part)
    };
    command.env("FUZZ_SECONDS", FUZZ_SECONDS.to_string());
    recorded(machine, "fuzz tests", command)
}

fn recorded(
    machine: &mut Machine,
    name: &'static str,
    command: std::process::Command,
) -> anyhow::Result<Outcome> {
    let run = test::run(name, command)?;
    let outcome = Outcome::of(run.passed, "see its closing lines above");
    machine.runs.push(run);
    Ok(outcome)
}

fn codegen(_: &mut Machine) -> anyhow::Result<Outcome> {
    let outcome = full_xtask(&["codegen", "--check"])?;
    let facts = codegen::facts_root();
    if matches!(outcome, Outcome::Passed) && !facts.is_dir() {
        let why = format!("no descriptions in {} (FACTS_DIR)", facts.display());
        return Ok(Outcome::Skipped(why));
    }
    Ok(outcome)
}

fn conformance(_: &mut Machine) -> anyhow::Result<Outcome> {
    let cases = conformance::cases_root();
    if !cases.is_dir() {
        let why = format!("no folder {} (CONFORMANCE_DIR)", cases.display());
        return Ok(Outcome::Skipped(why));
    }
    full_xtask(&["conformance", "--check"])
}

/// Runs this program with the features of the tests' build, so that no dependency is compiled again.
fn full_xtask(arguments: &[&str]) -> anyhow::Result<Outcome> {
    let mut build = workspace::cargo();
    build
        .args(["build", "--workspace", "--bin", "xtask"])
        .arg(FEATURES);
    if let Outcome::Failed(why) = finish(&mut build)? {
        return Ok(Outcome::Failed(why));
    }
    let program = format!("xtask{}", std::env::consts::EXE_SUFFIX);
    let mut command = std::process::Command::new(workspace::target().join("debug").join(program));
    command.args(arguments).current_dir(workspace::root());
    finish(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_failures_and_the_slowest_step() {
        let table = [
            ("tidy", Duration::from_secs(1), Outcome::Passed),
            (
                "tests",
                Duration::from_secs(125),
                Outcome::Failed("two tests".to_owned()),
            ),
            (
                "conformance",
                Duration::ZERO,
                Outcome::Skipped("no folder".to_owned()),
            ),
        ];
        assert_eq!(
            summary(&table, Duration::from_secs(126)),
            [
                "Steps:",
                "  passed   tidy             0m01s",
                "  FAILED   tests            2m05s (slowest)  two tests",
                "  SKIPPED  conformance      0m00s  no folder",
                "cargo xtask ci: FAILED in 1 step after 2m06s"
            ]
        );
    }

    #[test]
    fn step_names_are_unique() {
        let mut names: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len());
    }
}
