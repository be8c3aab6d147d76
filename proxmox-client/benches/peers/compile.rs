//! What it costs a user to compile every call of the interface.

use std::path::Path;
use std::process::Command;

const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// Seconds of processor time that checking a crate takes once its dependencies are done.
pub(crate) struct Cost {
    /// This crate with every call.
    pub(crate) with_calls: f64,
    /// This crate without them.
    pub(crate) without_calls: f64,
    /// `proxmox-api` with its default areas, which are all.
    pub(crate) proxmox_api: Option<f64>,
}

/// Measures, in folders of its own.
pub(crate) fn measure(folder: &Path) -> Option<Cost> {
    let folder = folder.join("check");
    let crate_of_ours = |features| once(OURS, "proxmox-ve-client", features, &folder);
    Some(Cost {
        with_calls: crate_of_ours("api")?,
        without_calls: crate_of_ours("")?,
        proxmox_api: once(super::anchor::MANIFEST, "proxmox-api", "", &folder),
    })
}

fn once(manifest: &str, package: &str, features: &str, folder: &Path) -> Option<f64> {
    let cargo = |words: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(words).arg("--quiet");
        command.args(["--manifest-path", manifest, "--target-dir"]);
        command.arg(folder).env("CARGO_INCREMENTAL", "0");
        command.status().ok()?.success().then_some(())
    };
    let check = ["check", "--features", features];
    cargo(&check)?;
    cargo(&["clean", "--package", package])?;
    let before = spent()?;
    cargo(&check)?;
    Some(spent()? - before)
}

/// Processor time of the children that ended so far, in seconds.
fn spent() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold blanks; `cutime` and `cstime` are the 14th and 15th fields after it, of 1/100 s.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(13)? + ticks(14)?) / 100.0)
}
