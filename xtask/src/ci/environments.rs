//! The main job: each environment's program on the lab, as a user runs it.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::Outcome;
use crate::{process, workspace};

/// One start of a program and the exit code that it must have.
#[derive(Debug)]
struct Case {
    arguments: &'static [&'static str],
    code: i32,
}

/// A plan of an empty lab has changes (2); after `up` it has none (0); `down` leaves nothing behind.
const LIFE: &[Case] = &[
    Case {
        arguments: &["plan"],
        code: 2,
    },
    Case {
        arguments: &["up", "--yes"],
        code: 0,
    },
    Case {
        arguments: &["plan"],
        code: 0,
    },
    Case {
        arguments: &["verify"],
        code: 0,
    },
    Case {
        arguments: &["status"],
        code: 0,
    },
];

pub(super) fn step() -> anyhow::Result<Outcome> {
    let programs = programs(&workspace::root().join("examples/src/bin"))?;
    if programs.is_empty() {
        return Ok(Outcome::Failed("examples has no program".to_owned()));
    }
    let scratch = workspace::target().join("ci");
    fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
    let mut failed = Vec::new();
    for program in &programs {
        // With no verb: build on the lab, verify, say what was built.
        failed.extend(start(program, &[], 0)?);
        let state = scratch.join(format!("{program}.lab"));
        let _ = fs::remove_file(&state);
        let state = state.display().to_string();
        for case in LIFE {
            let mut arguments = case.arguments.to_vec();
            arguments.extend(["--lab-state", &state]);
            failed.extend(start(program, &arguments, case.code)?);
        }
    }
    Ok(Outcome::of(failed.is_empty(), &failed.join("; ")))
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
    names.sort_by_key(|name| (name != "production", name.clone()));
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
