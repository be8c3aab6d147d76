//! What is wrong with a machine configuration, as `talosctl validate` tells it.
//!
//! ```text
//! validate_config FILE|- [--mode metal|cloud|container] [--strict] [--talos-version v1.13.9] [--lint]
//! ```
//!
//! Prints one line for each problem and leaves with 1 when there is an error. With a Talos version, keys and documents that
//! a node of that version refuses are errors too. `--lint` adds what nodes let through although nobody means it.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use talos_client::{MachineConfig, ValidationMode, ValidationOptions};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (mut file, mut mode, mut talos) = (None, ValidationMode::Metal, None);
    let (mut strict, mut lint) = (false, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--mode" | "-m" => {
                mode = match args.next().as_deref() {
                    Some("metal") => ValidationMode::Metal,
                    Some("cloud") => ValidationMode::Cloud,
                    Some("container") => ValidationMode::Container,
                    _ => return Err("--mode is metal, cloud or container".into()),
                }
            }
            "--strict" => strict = true,
            "--lint" => lint = true,
            "--talos-version" => talos = Some(args.next().ok_or("--talos-version needs a value")?),
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
    let mut options = ValidationOptions::new(mode).strict(strict);
    if let Some(talos) = &talos {
        options = options.talos_version(talos);
    }
    let mut out = std::io::stdout();
    let config = match MachineConfig::load(&text) {
        Ok(config) => config,
        Err(error) => {
            for problem in error.problems() {
                writeln!(out, "error: {problem}")?;
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let found = config.validate(&options);
    for warning in &found.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    if lint {
        for finding in config.lint() {
            writeln!(out, "lint: {finding}")?;
        }
    }
    let refused = match talos {
        Some(talos) => config.preflight(talos.parse()?),
        None => Vec::new(),
    };
    for error in found.errors.iter().chain(&refused) {
        writeln!(out, "error: {error}")?;
    }
    Ok(if found.is_valid() && refused.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
