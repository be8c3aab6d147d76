//! Where the workspace lies, and how this program runs cargo and itself.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;

/// The folder of the root manifest.
pub(crate) fn root() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
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
pub(crate) fn again_with(feature: &str, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let here = std::env::current_dir().context("reading the working directory")?;
    let status = cargo()
        .current_dir(here)
        .args(["run", "--quiet", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .args(["--package", "xtask", "--features", feature, "--"])
        .args(arguments)
        .status()
        .context("starting cargo")?;
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Ok(ExitCode::from(code))
}
