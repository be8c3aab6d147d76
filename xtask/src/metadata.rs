//! What cargo knows about the members of the workspace.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::workspace;

/// A published crate: its folder, the package in it and the name that `use` takes.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) folder: &'static str,
    pub(crate) package: &'static str,
    pub(crate) library: &'static str,
    /// Whether the crate promises to do no input or output with default features.
    pub(crate) pure: bool,
}

/// The six crates; `tidy` proves that the manifests and the README say the same.
pub(crate) const CRATES: &[Crate] = &[
    Crate {
        folder: "proxmox-client",
        package: "proxmox-ve-client",
        library: "proxmox_client",
        pure: false,
    },
    Crate {
        folder: "talos-client",
        package: "talos-client",
        library: "talos_client",
        pure: false,
    },
    Crate {
        folder: "cilium-model",
        package: "cilium-model",
        library: "cilium_model",
        pure: true,
    },
    Crate {
        folder: "longhorn-model",
        package: "longhorn-model",
        library: "longhorn_model",
        pure: true,
    },
    Crate {
        folder: "wireguard-config",
        package: "wireguard-config",
        library: "wireguard_config",
        pure: true,
    },
    Crate {
        folder: "restic-wrapper",
        package: "restic-wrapper",
        library: "restic_wrapper",
        pure: false,
    },
];

/// A member of the workspace as its manifest describes it.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the root.
    pub(crate) folder: String,
    pub(crate) library: Option<String>,
    /// Names of `[[bench]]` targets.
    pub(crate) benches: Vec<String>,
    /// Feature name to what it turns on.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// Names of dependencies that are members themselves, of any kind.
    pub(crate) members_used: Vec<String>,
}

/// All members, by `cargo metadata`.
pub(crate) fn packages() -> anyhow::Result<Vec<Package>> {
    let output = workspace::cargo()
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("starting cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    parse(&serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?)
}

fn parse(metadata: &Value) -> anyhow::Result<Vec<Package>> {
    let root = metadata["workspace_root"]
        .as_str()
        .context("no workspace_root")?;
    let root = PathBuf::from(root);
    let list = metadata["packages"].as_array().context("no packages")?;
    let mut packages = Vec::new();
    for package in list {
        let name = text(&package["name"])?;
        let manifest = PathBuf::from(text(&package["manifest_path"])?);
        let folder = manifest
            .parent()
            .and_then(|folder| folder.strip_prefix(&root).ok());
        let folder = folder.context("a member outside the workspace")?;
        let targets = package["targets"].as_array().context("no targets")?;
        let of_kind = |kind: &str| -> Vec<String> {
            let of_kind = targets.iter().filter(|target| {
                target["kind"]
                    .as_array()
                    .is_some_and(|kinds| kinds.iter().any(|it| it == kind))
            });
            of_kind
                .filter_map(|target| target["name"].as_str())
                .map(str::to_owned)
                .collect()
        };
        let mut features = BTreeMap::new();
        for (name, on) in package["features"].as_object().into_iter().flatten() {
            let on = on.as_array().into_iter().flatten();
            let on = on.filter_map(Value::as_str).map(str::to_owned).collect();
            features.insert(name.clone(), on);
        }
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let members_used = dependencies
            .filter(|dependency| dependency["path"].is_string())
            .filter_map(|dependency| dependency["name"].as_str())
            .map(str::to_owned)
            .collect();
        packages.push(Package {
            name,
            folder: folder.display().to_string(),
            library: of_kind("lib").pop(),
            benches: of_kind("bench"),
            features,
            members_used,
        });
    }
    Ok(packages)
}

fn text(value: &Value) -> anyhow::Result<String> {
    value
        .as_str()
        .map(str::to_owned)
        .context("cargo metadata lacks a field")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_are_read_from_cargo() {
        let packages = packages().unwrap();
        let xtask = packages
            .iter()
            .find(|package| package.name == "xtask")
            .unwrap();
        assert_eq!(xtask.folder, "xtask");
        assert!(xtask.members_used.iter().any(|name| name == "talos-client"));
    }
}
