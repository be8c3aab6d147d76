//! Checks WireGuard files: `wg_check FILE…`, or one on standard input.
//!
//! Prints a line for each problem, `file:line:column: severity: what (remedy)`, and whether `wg-quick` of 2026 would take the
//! file. Exit code 1 when there is an error.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

use std::io::Read as _;
use std::process::ExitCode;

use wireguard_config::lenient::{NoNames, Release, Tools};
use wireguard_config::{Dialect, Document, Error};

fn check(name: &str, text: &[u8]) -> Result<bool, Error> {
    let document = Document::parse(text)?;
    let mut report = document.check(Dialect::WgQuick);
    // A file for AmneziaWG is judged as one.
    if report
        .problems
        .iter()
        .any(|problem| problem.rule == "amnezia-key")
    {
        report = document.check(Dialect::AmneziaWg);
    }
    for problem in &report.problems {
        let (line, column) = problem.place.line_column().unwrap_or((0, 0));
        println!("{name}:{line}:{column}: {problem}");
    }
    let tools = Tools::new(Release::V20260223, &NoNames);
    let verdict = match tools.quick(text) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => format!(
            "refused: {}",
            error
                .problems()
                .first()
                .map_or(String::new(), |p| p.message.clone())
        ),
    };
    println!("{name}: wg-quick without name resolution: {verdict}");
    Ok(report.is_ok())
}

fn main() -> ExitCode {
    let mut files: Vec<(String, std::io::Result<Vec<u8>>)> = std::env::args()
        .skip(1)
        .map(|file| (file.clone(), std::fs::read(file)))
        .collect();
    if files.is_empty() {
        let mut text = Vec::new();
        let read = std::io::stdin().read_to_end(&mut text).map(|_| text);
        files.push(("-".to_owned(), read));
    }
    let mut good = true;
    for (name, text) in files {
        let checked = match text {
            Ok(text) => check(&name, &text).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        good &= checked.unwrap_or_else(|error| {
            eprintln!("{name}: {error}");
            false
        });
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
