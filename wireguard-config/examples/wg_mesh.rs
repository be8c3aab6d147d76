//! From a YAML inventory to files: `wg_mesh INVENTORY.yaml FOLDER`.
//!
//! Keys are kept in `FOLDER/keys` and written before anything that depends on them. Every file is written atomically with
//! mode 0600; files that are as they should be are not touched.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::ExitCode;

use wireguard_config::{Inventory, Keys, OsRandom};
use zeroize::Zeroizing;

/// Writes beside the file, syncs, and moves it into place; says whether anything changed.
fn write(path: &Path, content: &str) -> std::io::Result<bool> {
    let same = fs::read(path)
        .map(Zeroizing::new)
        .is_ok_and(|held| held.as_slice() == content.as_bytes());
    if same {
        return Ok(false);
    }
    let beside = path.with_extension("new");
    // What a killed run left behind may be open to others.
    if beside.exists() {
        fs::remove_file(&beside)?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(true)
}

fn run(inventory: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let inventory = Inventory::from_yaml(&fs::read_to_string(inventory)?)?;
    let private_folder = |path: &Path| {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    };
    private_folder(folder)?;
    let store = folder.join("keys");
    let mut keys = match fs::read_to_string(&store) {
        Ok(text) => Keys::from_text(&Zeroizing::new(text))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Keys::new(),
        Err(error) => return Err(error.into()),
    };
    let created = keys.complete(&inventory, &mut OsRandom);
    let plan = inventory.plan(&keys)?;
    for warning in plan.warnings() {
        println!("{warning}");
    }
    if !created.is_empty() {
        write(&store, &keys.to_text())?;
    }
    let (mut direct, mut relayed, mut none) = (0u32, 0u32, 0u32);
    for (from, to, verdict) in plan.reachability().pairs() {
        match verdict {
            wireguard_config::topology::Verdict::Direct => direct += 1,
            wireguard_config::topology::Verdict::Via(_) => relayed += 1,
            other => {
                println!("{from} -> {to}: {other}");
                none += 1;
            }
        }
    }
    println!("{direct} pairs direct, {relayed} through others, {none} unreachable");
    let (mut changed, mut same) = (0u32, 0u32);
    for file in plan.files() {
        let path = folder.join(&file.path);
        path.parent().map_or(Ok(()), private_folder)?;
        let counter = if write(&path, &file.content)? {
            &mut changed
        } else {
            &mut same
        };
        *counter += 1;
    }
    println!(
        "{} keys made, {changed} files written, {same} unchanged",
        created.len()
    );
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [inventory, folder] = arguments.as_slice() else {
        eprintln!("usage: wg_mesh INVENTORY.yaml FOLDER");
        return ExitCode::FAILURE;
    };
    match run(inventory, Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
