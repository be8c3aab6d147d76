//! A machine configuration with patches applied, as `talosctl machineconfig patch` does it.
//!
//! ```text
//! patch_config FILE|- --patch TEXT|@FILE... [--fixed]
//! ```
//!
//! Reads the configuration from a file or standard input and prints the result. `--fixed` leaves out the reference's quirks.

use std::error::Error;
use std::io::{Read as _, Write as _};

use talos_client::{Compatibility, MachineConfig, Patch};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut file, mut patches, mut compatibility) = (None, Vec::new(), Compatibility::Reference);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--patch" | "-p" => patches.push(args.next().ok_or("--patch needs a value")?),
            "--fixed" => compatibility = Compatibility::Fixed,
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
    let mut config = MachineConfig::load(&text)?;
    for patch in patches {
        let text = match patch.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file)?,
            None => patch,
        };
        config = config.patched_as(&Patch::load(&text)?, compatibility)?;
    }
    std::io::stdout().write_all(config.to_yaml().as_bytes())?;
    Ok(())
}
