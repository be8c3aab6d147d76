//! The clients that ours is held against, each in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Beside;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/anchor.py");
/// The package that plays the part of `proxmox-api`.
pub(crate) const MANIFEST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/proxmox-api/Cargo.toml"
);

/// A client that plays the same work.
pub(crate) enum Anchor {
    /// proxmoxer with threads, by an interpreter that has it.
    Proxmoxer { python: PathBuf },
    /// `proxmox-api`, if its part could be built.
    ProxmoxApi { program: Option<PathBuf> },
}

/// All of them, in the order of the table.
pub(crate) fn all() -> [Anchor; 2] {
    [
        Anchor::Proxmoxer { python: python() },
        Anchor::ProxmoxApi { program: build() },
    ]
}

/// What stands in the table of an anchor's answer.
pub(crate) fn beside(answer: Option<Value>, shown: impl FnOnce(&Value) -> Beside) -> Beside {
    answer.map_or_else(|| Beside::new("not run", None), |answer| shown(&answer))
}

impl Anchor {
    /// What it answers; none if it is not there.
    pub(crate) async fn run(&self, mode: &str, port: u16, arguments: &[u64]) -> Option<Value> {
        let mut command = match self {
            Self::Proxmoxer { python } => {
                let mut command = tokio::process::Command::new(python);
                command.arg(SCRIPT);
                command
            }
            Self::ProxmoxApi { program } => tokio::process::Command::new(program.as_ref()?),
        };
        command.arg(mode).arg(port.to_string());
        command.args(arguments.iter().map(u64::to_string));
        super::answer(command).await
    }

    /// What it answers to a file's upload; none if it is not there or sends no multipart.
    pub(crate) async fn upload(&self, port: u16, file: &Path) -> Option<Value> {
        let Self::Proxmoxer { python } = self else {
            return None;
        };
        let mut command = tokio::process::Command::new(python);
        command.arg(SCRIPT).arg("p5").arg(port.to_string());
        command.env("PEERS_FILE", file);
        super::answer(command).await
    }
}

/// The folder of what other clients need.
pub(crate) fn folder() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    own.ancestors().nth(3).map(|target| target.join("peers"))
}

/// The interpreter that has proxmoxer, if there is one.
fn python() -> PathBuf {
    let given = std::env::var_os("PEER_PYTHON").map(PathBuf::from);
    let own = folder().map(|folder| folder.join("python/bin/python"));
    given
        .or(own.filter(|path| path.exists()))
        .unwrap_or_else(|| "python3".into())
}

/// Builds the program that uses `proxmox-api`.
fn build() -> Option<PathBuf> {
    let target = folder()?.join("proxmox-api");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--quiet", "--manifest-path", MANIFEST])
        .arg("--target-dir")
        .arg(&target)
        .status();
    let program = target.join("release/proxmox-api-peer");
    built.ok()?.success().then_some(program)
}
