//! One Rust type per kind of document, from the descriptions that the crate's loader reads (`talos-client/src/schema/*.txt`).
//!
//! The notation is explained in `talos-client/src/schema.rs`. Besides it, comment lines directly above a structure or a field
//! become its documentation, `as=Name` names an enumeration, and `known=a|b` makes one of a text that has known values.

mod model;
mod names;
mod write;

use std::path::Path;

use anyhow::Context as _;

use super::super::Files;

/// The descriptions of documents, in the order of the loader.
const TEXTS: [&str; 2] = ["legacy.txt", "documents.txt"];

/// All files of `generated/documents`; `root` is the root of the workspace.
pub(super) fn generate(root: &Path) -> anyhow::Result<Files> {
    let folder = root.join("talos-client/src/schema");
    let mut description = model::Description::default();
    for name in TEXTS {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        description
            .read(&text)
            .with_context(|| path.display().to_string())?;
    }
    write::files(&description)
}
