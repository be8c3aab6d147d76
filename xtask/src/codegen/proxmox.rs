//! Generated parts for Proxmox VE: a compact schema of its API, and the low-level calls made from it.
//!
//! Two steps, so that nobody but who updates the schema needs the upstream dump: `compact` keeps of the dump
//! what code needs (names, types, ranges, formats, privileges, routing) and none of its prose; `rust` prints
//! calls and answers from the compact form and from what the schema does not say (`overlay`).

mod area;
mod compact;
mod overlay;
mod rust;

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Files, Generator};

/// The generators of this file.
pub(super) fn generators() -> Vec<Generator> {
    vec![
        Generator {
            name: "proxmox",
            folder: "proxmox-client/schema",
            source: "proxmox",
            generate: compact_schema,
        },
        Generator {
            name: "proxmox",
            folder: "proxmox-client/src/generated",
            source: "",
            generate: calls,
        },
    ]
}

fn compact_schema(dumps: &Path) -> anyhow::Result<Files> {
    let reference = compact::read(&dumps.join("api.json.gz"))?;
    let newer = compact::read(&dumps.join("api-9.2.json.gz"))?;
    let text = compact::print(&compact::merge(reference, newer, "9.2"));
    Ok(vec![(PathBuf::from("api.json"), text)])
}

fn calls(root: &Path) -> anyhow::Result<Files> {
    let path = root.join("proxmox-client/schema/api.json");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let schema = serde_json::from_str(&text).context("the compact schema is not JSON")?;
    rust::files(&schema)
}
