//! The direction of dependencies: crates do not know each other, and models stay pure.

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use super::{Problem, Source};
use crate::metadata::{CRATES, Package};
use crate::workspace;

/// What a crate that promises no input and output must not bring along.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "reqwest",
    "rustls",
    "ring",
    "aws-lc-rs",
    "openssl",
    "native-tls",
    "async-std",
    "smol",
    "kube",
];

/// How many packages a member may bring along by default, itself counted and procedural macros not.
const MOST: &[(&str, usize)] = &[("wireguard-config", 20)];

/// A crate depends on no other member, not even for tests; only `examples` and `xtask` may.
pub(super) fn check(packages: &[Package], sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in packages {
        let Some(member) = CRATES.iter().find(|member| member.package == package.name) else {
            continue;
        };
        let manifest = format!("{}/Cargo.toml", member.folder);
        for other in &package.members_used {
            problems.push(Problem::new(
                &manifest,
                line_of(sources, &manifest, other),
                format!("depends on {other}, a member of the workspace"),
                "move what joins the two into examples",
            ));
        }
    }
    for member in CRATES {
        let found = packages
            .iter()
            .find(|package| package.name == member.package);
        let right = found.is_some_and(|package| {
            package.folder == member.folder && package.library.as_deref() == Some(member.library)
        });
        if !right {
            problems.push(Problem::new(
                format!("{}/Cargo.toml", member.folder),
                1,
                format!(
                    "not the package {} with the library {}",
                    member.package, member.library
                ),
                "keep folder, package and library as CRATES of xtask says",
            ));
        }
    }
    problems
}

fn line_of(sources: &[Source], path: &str, word: &str) -> usize {
    let source = sources.iter().find(|source| source.path == path);
    let line = source.and_then(|source| source.lines().find(|(_, line)| line.starts_with(word)));
    line.map_or(1, |(number, _)| number)
}

/// Asks cargo what the models bring along with default features.
pub(super) fn check_pure() -> anyhow::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for member in CRATES.iter().filter(|member| member.pure) {
        let tree = tree(member.package, "normal", "{lib}")?;
        problems.extend(impure(member.folder, &tree));
    }
    for (package, most) in MOST {
        let tree = tree(package, "normal,no-proc-macro", "{p}")?;
        problems.extend(too_many(package, *most, &tree));
    }
    Ok(problems)
}

/// What a package brings along with default features, a line each.
fn tree(package: &str, edges: &str, format: &str) -> anyhow::Result<String> {
    let output = workspace::cargo()
        .args(["tree", "--prefix", "none", "--no-dedupe"])
        .args(["--edges", edges, "--format", format, "--package", package])
        .output()
        .context("starting cargo tree")?;
    if !output.status.success() {
        bail!(
            "cargo tree: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn too_many(package: &str, most: usize, tree: &str) -> Option<Problem> {
    let packages: BTreeSet<&str> = tree.lines().collect();
    (packages.len() > most).then(|| {
        Problem::new(
            format!("{package}/Cargo.toml"),
            1,
            format!(
                "brings {} packages along by default, at most {most} are promised",
                packages.len()
            ),
            "put what needs them behind a feature",
        )
    })
}

fn impure(folder: &str, tree: &str) -> Vec<Problem> {
    let brought = IMPURE
        .iter()
        .filter(|name| tree.lines().any(|line| is_library(line, name)));
    let problem = |name: &&str| {
        Problem::new(
            format!("{folder}/Cargo.toml"),
            1,
            format!("brings {name} along by default, but the crate does no input or output"),
            "put what needs it behind a feature",
        )
    };
    brought.map(problem).collect()
}

/// `cargo tree` prints library names, with underscores.
fn is_library(line: &str, name: &str) -> bool {
    line.split_whitespace().next() == Some(name.replace('-', "_").as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::source;
    use super::*;

    fn package(name: &str, folder: &str, library: &str, members_used: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            folder: folder.to_owned(),
            library: Some(library.to_owned()),
            benches: Vec::new(),
            features: BTreeMap::new(),
            members_used: members_used.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn all() -> Vec<Package> {
        let packages = CRATES.iter();
        packages
            .map(|it| package(it.package, it.folder, it.library, &[]))
            .collect()
    }

    #[test]
    fn a_crate_that_knows_another_is_refused_with_its_line() {
        let mut packages = all();
        packages[0].members_used.push("talos-client".to_owned());
        packages.push(package(
            "examples",
            "examples",
            "homelab",
            &["talos-client"],
        ));
        let manifest = source(
            "proxmox-client/Cargo.toml",
            "[dev-dependencies]\ntalos-client = { path = \"x\" }\n",
        );
        let problems = check(&packages, &[manifest]);
        assert_eq!(problems.len(), 1);
        assert_eq!(
            (problems[0].path.as_str(), problems[0].line),
            ("proxmox-client/Cargo.toml", 2)
        );
    }

    #[test]
    fn a_renamed_package_is_noticed() {
        let mut packages = all();
        packages[0].name = "proxmox-client".to_owned();
        assert_eq!(check(&packages, &[]).len(), 1);
    }

    #[test]
    fn a_crate_that_brings_more_packages_than_promised_is_refused() {
        let tree = "a v1.0.0\nb v1.0.0\na v1.0.0\nc v2.0.0\n";
        assert!(too_many("a", 3, tree).is_none());
        let problem = too_many("a", 2, tree).expect("three packages");
        assert!(problem.what.contains("brings 3 packages"));
    }

    #[test]
    fn a_model_with_a_runtime_is_refused() {
        let tree = "cilium_model\nserde\ntokio_util\naws_lc_rs\n";
        let problems = impure("cilium-model", tree);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].what.contains("aws-lc-rs"));
    }
}
