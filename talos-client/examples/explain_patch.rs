//! What patches do to a machine configuration, place by place, before anyone applies them.
//!
//! ```text
//! explain_patch FILE|- --patch TEXT|@FILE... [--diff]
//! ```
//!
//! Reads the configuration from a file or standard input. Prints one line for each place that the patches name or touch: what
//! they add, change, remove, append to, erase without naming it, and what has no effect. No value is shown. `--diff` prints
//! the unified diff instead, with secrets replaced.

use std::error::Error;
use std::io::{Read as _, Write as _};

use talos_client::{MachineConfig, Patch};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut file, mut patches, mut diff) = (None, Vec::new(), false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--patch" | "-p" => patches.push(args.next().ok_or("--patch needs a value")?),
            "--diff" => diff = true,
            flag if flag.starts_with("--") => return Err(format!("unknown flag {flag}").into()),
            _ => file = Some(arg),
        }
    }
    let mut text = String::new();
    match file.as_deref() {
        None | Some("-") => {
            std::io::stdin().read_to_string(&mut text)?;
        }
        Some(file) => text = std::fs::read_to_string(file)?,
    }
    let original = MachineConfig::load(&text)?;
    let mut config = original.clone();
    let mut out = std::io::stdout();
    for (number, patch) in patches.iter().enumerate() {
        let text = match patch.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file)?,
            None => patch.clone(),
        };
        let patch = Patch::load(&text)?;
        if !diff {
            if patches.len() > 1 {
                writeln!(out, "patch {}:", number + 1)?;
            }
            for change in config.explain(&patch)? {
                writeln!(out, "{change}")?;
            }
        }
        config = config.patched(&patch)?;
    }
    if diff {
        out.write_all(original.redacted_diff(&config, "******").as_bytes())?;
    }
    Ok(())
}
