//! `cargo xtask bench`: what the figures in the READMEs come from.

mod table;

use std::time::SystemTime;

use anyhow::{Context, bail};

use crate::metadata::{self, Package};
use crate::{process, workspace};

/// `cargo xtask bench [PACKAGE] [-- ARGUMENTS]`
pub(crate) fn command(words: &[String]) -> anyhow::Result<bool> {
    let mut parts = words.splitn(2, |word| word == "--");
    let wanted = parts.next().unwrap_or_default();
    let arguments = parts.next().unwrap_or_default();
    let packages = metadata::packages()?;
    let chosen = choose(&packages, wanted)?;
    let started = SystemTime::now();
    let mut all_ran = true;
    for package in chosen {
        let mut command = workspace::cargo();
        command.args(["bench", "--package", &package.name, "--all-features"]);
        for bench in &package.benches {
            command.args(["--bench", bench]);
        }
        command.arg("--").args(arguments);
        eprintln!("{}", process::shown(&command));
        all_ran &= command.status().context("starting cargo bench")?.success();
    }
    let figures = table::read(&workspace::target().join("criterion"), started);
    print!("\n{}", table::markdown(&figures));
    Ok(all_ran)
}

/// The named package, or all that have benchmarks.
fn choose<'a>(packages: &'a [Package], wanted: &[String]) -> anyhow::Result<Vec<&'a Package>> {
    let with_benches = packages
        .iter()
        .filter(|package| !package.benches.is_empty());
    match wanted {
        [] => Ok(with_benches.collect()),
        [name] => {
            let mut with_benches = with_benches;
            let found =
                with_benches.find(|package| package.name == *name || package.folder == *name);
            found
                .map(|package| vec![package])
                .with_context(|| format!("{name:?} has no benchmark"))
        }
        _ => bail!("bench takes one package at most; arguments for the benchmarks stand after --"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &str, benches: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            folder: folder.to_owned(),
            library: None,
            benches: benches.iter().map(|bench| (*bench).to_owned()).collect(),
            features: Default::default(),
            members_used: Vec::new(),
        }
    }

    #[test]
    fn a_package_is_chosen_by_its_name_or_its_folder() {
        let packages = [package("a-ve", "a", &["parse"]), package("b", "b", &[])];
        let names = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|word| (*word).to_owned()).collect();
            choose(&packages, &wanted).map(|chosen| chosen.len())
        };
        assert_eq!(names(&[]).unwrap(), 1);
        assert_eq!(names(&["a"]).unwrap(), 1);
        assert_eq!(names(&["a-ve"]).unwrap(), 1);
        assert!(names(&["b"]).is_err());
    }
}
