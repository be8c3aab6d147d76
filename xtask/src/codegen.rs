//! `cargo xtask codegen`: the generated parts of the crates, written or compared.
//!
//! A generator turns a description of an upstream interface into files of one folder that it owns whole:
//! a file there that it did not make is stale. Without `--check` the folder is brought in line; with it
//! differences are reported together with the command that removes them.

#[cfg(feature = "codegen")]
mod proxmox;
#[cfg(feature = "codegen")]
mod talos;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::workspace;

/// Where the upstream descriptions lie unless `FACTS_DIR` says otherwise, relative to the root.
const DEFAULT_FACTS: &str = "../shared/facts";

/// The names of all generators, whether or not this binary holds them.
const NAMES: &[&str] = &["proxmox", "talos"];

/// Paths below the generator's folder, and texts.
pub(crate) type Files = Vec<(PathBuf, String)>;

/// One generated folder.
#[allow(dead_code, reason = "the thin binary holds no generator")]
pub(crate) struct Generator {
    /// The name on the command line; one of [`NAMES`].
    pub(crate) name: &'static str,
    /// The folder, relative to the root, that holds nothing but this generator's files.
    pub(crate) folder: &'static str,
    /// The description that the generator reads, relative to the root of the facts (a file or folder).
    /// Empty: everything needed is in the repository.
    pub(crate) source: &'static str,
    /// Makes all files of the folder: the path below the folder and the text. Rust files are formatted
    /// afterwards. The argument is where `source` lies, or the root of the workspace when it is empty.
    pub(crate) generate: fn(&Path) -> anyhow::Result<Files>,
}

#[cfg(feature = "codegen")]
fn generators() -> Vec<Generator> {
    let groups = [proxmox::generators(), talos::generators()];
    groups.into_iter().flatten().collect()
}

#[cfg(not(feature = "codegen"))]
fn generators() -> Vec<Generator> {
    Vec::new()
}

/// The root of the upstream descriptions: `FACTS_DIR`, or the default beside the workspace.
pub(crate) fn facts_root() -> PathBuf {
    match std::env::var_os("FACTS_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => workspace::root().join(DEFAULT_FACTS),
    }
}

/// `cargo xtask codegen [NAME...] [--check]`
pub(crate) fn command(words: &[String]) -> anyhow::Result<bool> {
    let mut check = false;
    let mut names: Vec<&str> = Vec::new();
    for word in words {
        match word.as_str() {
            "--check" => check = true,
            name if NAMES.contains(&name) => names.push(name),
            other => bail!(
                "codegen knows --check and {}, not {other:?}",
                NAMES.join(", ")
            ),
        }
    }
    if !cfg!(feature = "codegen") {
        let mut full = vec!["codegen".to_owned()];
        full.extend_from_slice(words);
        return workspace::again_with("codegen", &full);
    }
    let facts = facts_root();
    let mut stale = Vec::new();
    for generator in generators() {
        if !names.is_empty() && !names.contains(&generator.name) {
            continue;
        }
        let source = if generator.source.is_empty() {
            workspace::root()
        } else {
            facts.join(generator.source)
        };
        if !source.exists() {
            eprintln!(
                "{}: not run: no {} (FACTS_DIR)",
                generator.folder,
                source.display()
            );
            continue;
        }
        let files = (generator.generate)(&source)
            .with_context(|| format!("generating {}", generator.folder))?;
        let folder = workspace::root().join(generator.folder);
        let nested: Vec<PathBuf> = generators()
            .iter()
            .map(|other| workspace::root().join(other.folder))
            .filter(|other| *other != folder && other.starts_with(&folder))
            .collect();
        let changes = reconcile(&folder, files, &nested, check, &formatted)?;
        eprintln!("{}: {}", generator.folder, summary(&changes, check));
        if !changes.is_empty() {
            stale.push(generator.name);
        }
    }
    if check && !stale.is_empty() {
        stale.dedup();
        eprintln!(
            "out of date; run `cargo xtask codegen {}` and commit",
            stale.join(" ")
        );
        return Ok(false);
    }
    Ok(true)
}

fn summary(changes: &[String], check: bool) -> String {
    match (changes.is_empty(), check) {
        (true, _) => "up to date".to_owned(),
        (false, true) => format!("differs: {}", changes.join(", ")),
        (false, false) => format!("written: {}", changes.join(", ")),
    }
}

/// Brings `folder` in line with `files`, or only says what that would change; what lies in folders of other generators
/// is left to them.
fn reconcile(
    folder: &Path,
    files: Files,
    others: &[PathBuf],
    check: bool,
    format: &dyn Fn(&str) -> anyhow::Result<String>,
) -> anyhow::Result<Vec<String>> {
    let mut changes = Vec::new();
    let mut expected = BTreeSet::new();
    for (name, text) in files {
        let path = folder.join(&name);
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let text = if is_rust {
            format(&text).with_context(|| format!("formatting {}", path.display()))?
        } else {
            text
        };
        if !expected.insert(path.clone()) {
            bail!("{} is generated twice", path.display());
        }
        if fs::read_to_string(&path).ok().as_deref() == Some(text.as_str()) {
            continue;
        }
        changes.push(name.display().to_string());
        if !check {
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    for path in existing(folder)? {
        if expected.contains(&path) || others.iter().any(|other| path.starts_with(other)) {
            continue;
        }
        let name = path.strip_prefix(folder).unwrap_or(&path);
        changes.push(format!("{} (no longer made)", name.display()));
        if !check {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(changes)
}

fn existing(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        let entries =
            fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("listing {}", folder.display()))?
                .path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The text as `cargo fmt` would leave it, so that generated files pass the format check.
fn formatted(text: &str) -> anyhow::Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout", "--config-path"])
        .arg(workspace::root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting rustfmt (rustup component add rustfmt)")?;
    let mut stdin = child.stdin.take().context("rustfmt has no stdin")?;
    let text = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().context("waiting for rustfmt")?;
    match writer.join() {
        Ok(written) => written.context("writing to rustfmt")?,
        Err(_) => bail!("the thread that writes to rustfmt panicked"),
    }
    if !output.status.success() {
        bail!("rustfmt refused the generated text");
    }
    String::from_utf8(output.stdout).context("rustfmt printed something else than text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unchanged(text: &str) -> anyhow::Result<String> {
        Ok(text.to_owned())
    }

    fn scratch(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("xtask-codegen-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn writing_makes_the_folder_equal_and_a_second_run_changes_nothing() {
        let folder = scratch("equal");
        fs::create_dir_all(folder.join("old")).unwrap();
        fs::write(folder.join("old/stale.rs"), "gone").unwrap();
        let files = || vec![(PathBuf::from("a/b.rs"), "new".to_owned())];
        let changes = reconcile(&folder, files(), &[], false, &unchanged).unwrap();
        assert_eq!(changes, ["a/b.rs", "old/stale.rs (no longer made)"]);
        assert_eq!(fs::read_to_string(folder.join("a/b.rs")).unwrap(), "new");
        assert!(!folder.join("old/stale.rs").exists());
        assert!(
            reconcile(&folder, files(), &[], true, &unchanged)
                .unwrap()
                .is_empty()
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_check_touches_nothing() {
        let folder = scratch("check");
        let files = vec![(PathBuf::from("a.rs"), "new".to_owned())];
        assert_eq!(
            reconcile(&folder, files, &[], true, &unchanged).unwrap(),
            ["a.rs"]
        );
        assert!(!folder.exists());
    }
}
