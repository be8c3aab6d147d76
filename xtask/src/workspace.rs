//! Where the workspace lies, and how this program runs cargo and itself.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

/// The folder of the root manifest.
pub(crate) fn root() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// `cargo` as the caller's cargo, started in the root folder.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs this program again with a cargo feature that the running binary lacks.
///
/// Relative paths in `arguments` stay those of the caller: the child keeps the working directory.
/// The child's stdout is this program's stdout.
pub(crate) fn again_with(feature: &str, arguments: &[String]) -> anyhow::Result<bool> {
    let here = std::env::current_dir().context("reading the working directory")?;
    let status = cargo()
        .current_dir(here)
        .args(["run", "--quiet", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .args(["--package", "xtask", "--features", feature, "--"])
        .args(arguments)
        .status()
        .context("starting cargo")?;
    Ok(status.success())
}
