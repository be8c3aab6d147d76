//! Running programs: passing their output on while keeping what matters of it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;

use anyhow::Context;

/// Runs a command, prints each line of both its streams as it comes, and gives it to `keep`.
pub(crate) fn tee(command: &mut Command, mut keep: impl FnMut(&str)) -> anyhow::Result<ExitStatus> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let (sender, lines) = mpsc::channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(text).is_err() {
                    break;
                }
                line.clear();
            }
        });
    }
    drop(sender);
    let mut stdout = std::io::stdout();
    for line in lines {
        writeln!(stdout, "{line}").context("writing to stdout")?;
        keep(&line);
    }
    child.wait().with_context(|| format!("waiting for {name}"))
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program
        .file_name()
        .map(OsStr::to_string_lossy)
        .unwrap_or_default();
    let arguments = command.get_args().map(OsStr::to_string_lossy);
    let mut line = program.into_owned();
    for argument in arguments {
        line.push(' ');
        if argument.contains(' ') {
            line.push_str(&format!("'{argument}'"));
        } else {
            line.push_str(&argument);
        }
    }
    line
}

/// What a program printed first, on either stream; `None` when it cannot be started.
pub(crate) fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", search_path())
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| !line.trim().is_empty());
    Some(line.unwrap_or_default().trim().to_owned())
}

/// The caller's `PATH` with the folders of system programs, which an ordinary user's `PATH` may lack.
pub(crate) fn search_path() -> String {
    let mut path = std::env::var("PATH").unwrap_or_default();
    for folder in ["/usr/local/sbin", "/usr/sbin", "/sbin"] {
        if !path.split(':').any(|part| part == folder) {
            path.push(':');
            path.push_str(folder);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_are_kept() {
        let mut kept = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let status = tee(&mut command, |line| kept.push(line.to_owned())).unwrap();
        kept.sort();
        assert_eq!(status.code(), Some(3));
        assert_eq!(kept, ["one", "two"]);
    }

    #[test]
    fn a_command_is_shown_as_it_is_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["test", "--features", "a b"]);
        assert_eq!(shown(&command), "cargo test --features 'a b'");
    }

    #[test]
    fn a_program_that_is_absent_says_nothing() {
        assert_eq!(first_line("no-such-program-here", &[]), None);
    }
}
