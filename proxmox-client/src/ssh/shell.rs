//! Files through commands of the server, as the user or through `sudo`.

use std::io::{Read, Write};

use super::files::{Entry, Fault, Files};
use super::session::{fault, io_fault};

/// Reaches files with `stat`, `cat`, `tee`, `chmod`, `mv`, `rm` and `find`.
pub(super) struct Shell<'a> {
    pub(super) session: &'a ssh2::Session,
    pub(super) sudo: bool,
}

/// The end of a command's error output that is kept.
const ERROR_TEXT: u64 = 4096;

/// A command line for the server's shell, in which every word means itself.
fn command_line(sudo: bool, words: &[&str]) -> String {
    // The texts of failures are read, so they must be the untranslated ones.
    let mut line = "env LC_ALL=C".to_owned();
    if sudo {
        line.push_str(" sudo -n");
    }
    for word in words {
        line.push(' ');
        line.push_str(&quote(word));
    }
    line
}

/// A word that the shell takes as it is.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The meaning of a failed command.
fn meaning(status: i32, text: &str) -> Fault {
    let text = match text.trim() {
        "" => format!("the command ended with status {status}"),
        text => text.to_owned(),
    };
    let denied = ["Permission denied", "Operation not permitted"];
    if text.starts_with("sudo:") || denied.iter().any(|part| text.contains(part)) {
        Fault::Denied(text)
    } else if text.contains("No such file or directory") {
        Fault::Missing(text)
    } else {
        Fault::Other(text)
    }
}

/// `SIZE NAME`, each closed by a zero byte.
fn entries(bytes: &[u8]) -> Vec<Entry> {
    let texts = bytes.split(|byte| *byte == 0);
    texts
        .filter_map(|text| {
            let (size, name) = std::str::from_utf8(text).ok()?.split_once(' ')?;
            Some(Entry {
                name: name.to_owned(),
                size: size.parse().ok()?,
            })
        })
        .collect()
}

impl Shell<'_> {
    /// Runs a command with this input; gives what it prints, `most` bytes of it.
    fn run(&self, words: &[&str], input: &[u8], most: u64) -> Result<Vec<u8>, Fault> {
        let mut line = command_line(self.sudo, words);
        if most == 0 {
            line.push_str(" >/dev/null");
        }
        let mut channel = self.session.channel_session().map_err(fault)?;
        channel.exec(&line).map_err(|error| match fault(error) {
            Fault::Other(text) => Fault::Denied(format!("no commands are accepted: {text}")),
            other => other,
        })?;
        let sent = channel.write_all(input);
        channel.send_eof().map_err(fault)?;
        let mut output = Vec::new();
        let read = Read::by_ref(&mut channel)
            .take(most)
            .read_to_end(&mut output);
        read.map_err(io_fault)?;
        let mut errors = Vec::new();
        let read = channel.stderr().take(ERROR_TEXT).read_to_end(&mut errors);
        read.map_err(io_fault)?;
        if output.len() as u64 == most && most > 0 {
            // There may be more, which nobody wants; the command's end does not matter then.
            return Ok(output);
        }
        channel.wait_close().map_err(fault)?;
        match channel.exit_status().map_err(fault)? {
            0 => sent.map(|()| output).map_err(io_fault),
            status => Err(meaning(status, &String::from_utf8_lossy(&errors))),
        }
    }

    fn plain(&self, words: &[&str]) -> Result<(), Fault> {
        self.run(words, b"", 0).map(|_| ())
    }
}

impl Files for Shell<'_> {
    fn size(&self, path: &str) -> Result<Option<u64>, Fault> {
        match self.run(&["stat", "-L", "-c", "%s", "--", path], b"", 64) {
            Ok(text) => {
                let text = String::from_utf8_lossy(&text);
                let size = text.trim().parse();
                size.map(Some)
                    .map_err(|_| Fault::Other(format!("`stat` printed {:?}", text.trim())))
            }
            Err(Fault::Missing(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, Fault> {
        if most == 0 {
            return Ok(Vec::new());
        }
        self.run(&["cat", "--", path], b"", most)
    }

    fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<(), Fault> {
        // Empty first, so that nobody reads it before its mode is set.
        self.plain(&["tee", "--", path])?;
        self.plain(&["chmod", &format!("{mode:04o}"), "--", path])?;
        self.run(&["tee", "--", path], content, 0).map(|_| ())
    }

    fn rename(&self, from: &str, to: &str, _over: bool) -> Result<(), Fault> {
        self.plain(&["mv", "-fT", "--", from, to])
    }

    fn remove(&self, path: &str) -> Result<bool, Fault> {
        match self.plain(&["rm", "--", path]) {
            Ok(()) => Ok(true),
            Err(Fault::Missing(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>, Fault> {
        let all = ["-mindepth", "1", "-maxdepth", "1", "-type", "f"];
        let words = [&["find", folder], &all[..], &["-printf", r"%s %f\0"]].concat();
        self.run(&words, b"", 16 << 20).map(|it| entries(&it))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn failures_of_commands_have_a_meaning() {
        let table = [
            (
                "tee: /a/x: Permission denied",
                Fault::Denied as fn(String) -> Fault,
            ),
            ("sudo: a password is required", Fault::Denied),
            (
                "chmod: changing permissions of '/a': Operation not permitted",
                Fault::Denied,
            ),
            (
                "stat: cannot statx '/a': No such file or directory",
                Fault::Missing,
            ),
            ("tee: /a/x: No space left on device", Fault::Other),
        ];
        for (text, kind) in table {
            assert_eq!(meaning(1, &format!("{text}\n")), kind(text.to_owned()));
        }
        let silent = meaning(127, "");
        assert_eq!(silent.text(), "the command ended with status 127");
    }

    #[test]
    fn a_listing_is_read() {
        let read = entries(b"12 user.yaml\x000 a b.yaml\x00x y\x00");
        let names: Vec<&str> = read.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["user.yaml", "a b.yaml"]);
        assert_eq!(read[0].size, 12);
    }

    proptest! {
        #[test]
        fn any_word_means_itself_to_a_shell(word in "[^\\x00]{0,40}") {
            let line = format!("printf %s {}", quote(&word));
            let run = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            prop_assert_eq!(String::from_utf8(run.stdout).unwrap(), word);
        }

        #[test]
        fn no_listing_is_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            entries(&bytes);
        }
    }
}
