//! Developer automation of the workspace: `cargo xtask <command>`.
//!
//! The plain binary compiles none of the crates. A command that needs one runs this program again
//! through cargo with the feature that brings it in.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod ci;
mod codegen;
mod conformance;
mod metadata;
mod peers;
mod process;
mod soak;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <command>

  test [--no-install] [--no-nextest] [PART]
                       all tests; installs what they talk to where it may
  ci [--fail-fast] [--list] [STEP...]
                       everything that must pass before a change lands, timed
  tidy                 the rules of the house, all problems at once
  codegen [NAME...] [--check]
                       write (or compare) the generated parts of the crates
  conformance [SUITE [DIR]] [--base DIR2] [--check]
                       run recorded cases of real systems; one JSON object a line on stdout
  peers [NAME] [--no-install]
                       the programs that tests talk to, and these tests alone
  soak [--seconds N]   the long runs: every point of failure, more random cases, longer fuzzing
  bench [PACKAGE] [-- ARGUMENTS]
                       what the figures in the READMEs come from

A command ends with 0 when all is well and with 1 when anything is not.
";

/// The names of the commands, for the texts that mention them.
const COMMANDS: &[&str] = &[
    "bench",
    "ci",
    "codegen",
    "conformance",
    "help",
    "peers",
    "soak",
    "test",
    "tidy",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command; the answer is whether all was well.
fn dispatch(arguments: &[String]) -> anyhow::Result<bool> {
    let (command, rest) = match arguments.split_first() {
        None => ("help", &[][..]),
        Some((command, rest)) => (command.as_str(), rest),
    };
    match command {
        "bench" => bench::command(rest),
        "ci" => ci::command(rest),
        "codegen" => codegen::command(rest),
        "conformance" => conformance::command(rest),
        "peers" => peers::command(rest),
        "soak" => soak::command(rest),
        "test" => test::command(rest),
        "tidy" => tidy::command(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(true)
        }
        other => anyhow::bail!("no command {other:?}; `cargo xtask help` lists them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_the_help() {
        for command in COMMANDS.iter().filter(|command| **command != "help") {
            assert!(HELP.contains(&format!("\n  {command}")), "{command}");
        }
    }

    #[test]
    fn an_unknown_command_is_refused_by_name() {
        let error = dispatch(&["polish".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("polish"));
    }
}
