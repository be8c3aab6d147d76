//! The question before something is changed.

use std::io::{BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Asks on the terminal; without one, only `--yes` goes ahead.
pub(super) fn confirm(question: &str) -> Result<(), Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(
            Failure::permanent("confirmation", "there is no terminal to ask on")
                .hint("look at the plan, then run the program with --yes"),
        );
    }
    let mut output = std::io::stderr();
    let mut answer = String::new();
    write!(output, "{question} Type yes to go ahead: ")
        .and_then(|()| output.flush())
        .and_then(|()| input.lock().read_line(&mut answer))
        .map_err(|error| Failure::permanent("confirmation", "no answer").caused_by(error))?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(Failure::permanent(
        "confirmation",
        "not given; nothing was changed",
    ))
}
