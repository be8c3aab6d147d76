//! Developer automation of the workspace: `cargo xtask <command>`.
//!
//! The plain binary compiles none of the crates. A command that needs one runs this program again
//! through cargo with the feature that brings it in.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod codegen;
mod conformance;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <command>

  conformance [SUITE [DIR]] [--base DIR2] [--check]
                       run recorded cases of real systems; one JSON object a line on stdout
  codegen [NAME...] [--check]
                       write (or compare) the generated parts of the crates
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (command, rest) = match arguments.split_first() {
        None => ("help", &[][..]),
        Some((command, rest)) => (command.as_str(), rest),
    };
    match command {
        "conformance" => conformance::command(rest),
        "codegen" => codegen::command(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => anyhow::bail!("no command {other:?}; `cargo xtask help` lists them"),
    }
}
