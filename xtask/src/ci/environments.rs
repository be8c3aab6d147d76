//! The main job: each environment's program on the lab, as a user runs it.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::Outcome;
use crate::{process, workspace};

/// One start of a program, what is appended to its command line, and the exit code that it must have.
type Case = (&'static [&'static str], Scratch, i32);

/// Which scratch path a case works on.
#[derive(Debug, Clone, Copy)]
enum Scratch {
    /// `--lab-state FILE`: a lab that stays between the cases.
    Lab,
    /// `--out FOLDER`.
    Rendered,
}

/// The life of one environment: a plan of an empty lab has changes (2), after `up` it has none (0), what
/// was rendered does not differ, and after `down` there is something to build again.
const LIFE: &[Case] = &[
    (&["plan"], Scratch::Lab, 2),
    (&["up", "--yes"], Scratch::Lab, 0),
    (&["plan"], Scratch::Lab, 0),
    (&["verify"], Scratch::Lab, 0),
    (&["status"], Scratch::Lab, 0),
    (&["render"], Scratch::Rendered, 0),
    (&["render", "--check"], Scratch::Rendered, 0),
    (&["down", "--yes", "--name", MAIN], Scratch::Lab, 0),
    (&["plan"], Scratch::Lab, 2),
];

/// The program whose whole life is played; the others are built and verified once.
const MAIN: &str = "production";

pub(super) fn step() -> anyhow::Result<Outcome> {
    let programs = programs(&workspace::root().join("examples/src/bin"))?;
    if programs.is_empty() {
        return Ok(Outcome::Failed("examples has no program".to_owned()));
    }
    let mut failed = Vec::new();
    for program in &programs {
        // With no verb: build on the lab, verify, say what was built.
        failed.extend(start(program, &[], 0)?);
        if program == MAIN {
            failed.extend(life()?);
        }
    }
    Ok(Outcome::of(failed.is_empty(), &failed.join("; ")))
}

fn life() -> anyhow::Result<Vec<String>> {
    let scratch = workspace::target().join("ci").join(MAIN);
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
    let lab = scratch.join("state.lab").display().to_string();
    let rendered = scratch.join("rendered").display().to_string();
    let mut failed = Vec::new();
    for (arguments, on, code) in LIFE {
        let mut arguments = arguments.to_vec();
        arguments.extend(match on {
            Scratch::Lab => ["--lab-state", &lab],
            Scratch::Rendered => ["--out", &rendered],
        });
        failed.extend(start(MAIN, &arguments, *code)?);
    }
    Ok(failed)
}

fn start(program: &str, arguments: &[&str], code: i32) -> anyhow::Result<Option<String>> {
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--bin", program]);
    if !arguments.is_empty() {
        command.arg("--").args(arguments);
    }
    let shown = process::shown(&command);
    println!("{shown}");
    let status = command
        .status()
        .with_context(|| format!("starting {shown}"))?;
    let got = status.code();
    if got == Some(code) {
        return Ok(None);
    }
    let got = got.map_or_else(|| "a signal".to_owned(), |got| got.to_string());
    Ok(Some(format!(
        "{program} {}: exit {got}, expected {code}",
        arguments.join(" ")
    )))
}

/// The programs of a folder, the main job first.
fn programs(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    if !folder.is_dir() {
        return Ok(names);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let name = entry
            .with_context(|| format!("listing {}", folder.display()))?
            .file_name();
        if let Some(name) = name.to_string_lossy().strip_suffix(".rs") {
            names.push(name.to_owned());
        }
    }
    names.sort_by_key(|name| (name != MAIN, name.clone()));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_job_comes_first() {
        let folder = std::env::temp_dir().join(format!("xtask-programs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in ["development.rs", "production.rs", "notes.md"] {
            fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(programs(&folder).unwrap(), ["production", "development"]);
        fs::remove_dir_all(&folder).unwrap();
        assert!(programs(&folder).unwrap().is_empty());
    }
}
