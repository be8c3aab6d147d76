//! Configuration files of virtual machines and containers, as `/etc/pve` and backups hold them.
//!
//! A file has a main part, and may have a part with changes that wait for the next start, one with the state
//! of the cloud-init drive, and one for each snapshot. Reading never fails and never loses anything: a file
//! prints as it was read, byte for byte, also where it is wrong; [`ConfigFile::problems`] says what a strict
//! reader finds.
//!
//! ```
//! use proxmox_client::config_file::{ConfigFile, GuestKind, Part};
//! let text = "name: web\nmemory: 2048\nnumma: 1\n\n[PENDING]\nmemory: 4096\n";
//! let file = ConfigFile::parse(GuestKind::Qemu, text);
//! assert_eq!(file.get(&Part::Main, "memory"), Some("2048"));
//! assert_eq!(file.get(&Part::Pending, "memory"), Some("4096"));
//! assert_eq!(file.problems()[0].to_string(), "line 3, column 1: `numma` is not a key of such a guest");
//! assert_eq!(file.to_string(), text);
//! ```

mod check;
#[path = "generated/keys.rs"]
mod keys;
pub(crate) mod table;

use std::fmt;

use serde_json::{Map, Value};

use crate::lxc::LxcConfig;
use crate::qemu::QemuConfig;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestKind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
}

impl GuestKind {
    /// Whose file a text looks like: `rootfs`, `hostname`, `mp0` and raw `lxc.` keys are a container's.
    pub fn guess(text: &str) -> Self {
        let container = ["rootfs:", "hostname:", "lxc.", "mp0:"];
        let is = text
            .lines()
            .any(|line| container.iter().any(|start| line.starts_with(start)));
        if is { Self::Lxc } else { Self::Qemu }
    }
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// What is in effect; stands first and has no header.
    Main,
    /// What waits for the next start: `[PENDING]` (virtual machines) or `[pve:pending]` (containers).
    Pending,
    /// What the cloud-init drive was made from: `[special:cloudinit]`.
    CloudInit,
    /// A snapshot: `[name]`.
    Snapshot(String),
    /// A header that is none of these.
    Other(String),
}

/// What a strict reader finds wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Line from 1.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.message
        )
    }
}

/// One line with its end, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    text: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Blank,
    Comment,
    Header(Part),
    /// Key, and where the value starts and ends in the text.
    Entry {
        key: String,
        value: (usize, usize),
    },
    Odd,
}

/// A configuration file.
///
/// ```
/// use proxmox_client::config_file::{ConfigFile, GuestKind, Part};
/// let text = "#web\ncores: 2\nname: web\n\n[clean]\ncores: 1\n";
/// let mut file = ConfigFile::parse(GuestKind::Qemu, text);
/// assert_eq!(file.to_string(), text);
/// assert_eq!(file.get(&Part::Snapshot("clean".to_owned()), "cores"), Some("1"));
/// file.set(&Part::Main, "cores", "4");
/// assert_eq!(file.qemu_config(&Part::Main).cores(), Some(4));
/// assert!(file.problems().is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    kind: GuestKind,
    lines: Vec<Line>,
}

impl ConfigFile {
    /// Reads a file.
    pub fn parse(kind: GuestKind, text: &str) -> Self {
        let lines = text.split_inclusive('\n').map(|text| Line {
            what: classify(text),
            text: text.to_owned(),
        });
        Self {
            kind,
            lines: lines.collect(),
        }
    }

    /// Whose file it is.
    pub fn kind(&self) -> GuestKind {
        self.kind
    }

    /// What a strict reader finds wrong, in the order of the lines.
    pub fn problems(&self) -> Vec<Problem> {
        check::problems(self)
    }

    /// The parts in the order of the file; a part that stands twice is named twice.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        let headers = self.lines.iter().filter_map(|line| match &line.what {
            What::Header(part) => Some(part.clone()),
            _ => None,
        });
        std::iter::once(Part::Main).chain(headers)
    }

    /// Each line with the part that it belongs to.
    fn with_parts(&self) -> impl Iterator<Item = (Part, usize, &Line)> {
        let mut part = Part::Main;
        self.lines.iter().enumerate().map(move |(number, line)| {
            if let What::Header(next) = &line.what {
                part = next.clone();
            }
            (part.clone(), number, line)
        })
    }

    /// All keys and values of a part, in the order of the file.
    pub fn entries(&self, part: &Part) -> impl Iterator<Item = (&str, &str)> {
        self.with_parts()
            .filter(move |(of, _, _)| of == part)
            .filter_map(|(_, _, line)| match &line.what {
                What::Entry { key, value } => Some((key.as_str(), &line.text[value.0..value.1])),
                _ => None,
            })
    }

    /// A key's value. Where a key stands twice the last one counts, as it does for the server.
    pub fn get(&self, part: &Part, key: &str) -> Option<&str> {
        self.entries(part)
            .filter(|(have, _)| *have == key)
            .last()
            .map(|(_, value)| value)
    }

    /// Sets a key: in its line if there is one, else at the end of its part. A missing part is made.
    pub fn set(&mut self, part: &Part, key: &str, value: &str) {
        let at = self
            .with_parts()
            .filter(|(of, _, line)| {
                of == part && matches!(&line.what, What::Entry { key: have, .. } if have == key)
            })
            .map(|(_, number, _)| number)
            .last();
        let text = format!("{key}: {value}\n");
        let line = Line {
            what: classify(&text),
            text,
        };
        if let Some(at) = at {
            self.lines[at] = line;
            return;
        }
        let last = self
            .with_parts()
            .filter(|(of, _, line)| of == part && !matches!(line.what, What::Blank))
            .map(|(_, number, _)| number)
            .last();
        match (last, part) {
            (Some(at), _) => {
                self.end_line(at);
                self.lines.insert(at + 1, line);
            }
            (None, Part::Main) => self.lines.insert(0, line),
            (None, part) => {
                if let Some(at) = self.lines.len().checked_sub(1) {
                    self.end_line(at);
                    self.lines.push(Line {
                        text: "\n".to_owned(),
                        what: What::Blank,
                    });
                }
                let text = format!("[{}]\n", self.header(part));
                self.lines.push(Line {
                    text,
                    what: What::Header(part.clone()),
                });
                self.lines.push(line);
            }
        }
    }

    fn end_line(&mut self, at: usize) {
        if !self.lines[at].text.ends_with('\n') {
            self.lines[at].text.push('\n');
        }
    }

    fn header(&self, part: &Part) -> String {
        match (part, self.kind) {
            (Part::Pending, GuestKind::Qemu) => "PENDING".to_owned(),
            (Part::Pending, GuestKind::Lxc) => "pve:pending".to_owned(),
            (Part::CloudInit, _) => "special:cloudinit".to_owned(),
            (Part::Snapshot(name) | Part::Other(name), _) => name.clone(),
            (Part::Main, _) => String::new(),
        }
    }

    /// Removes a key; says whether it was there.
    pub fn remove(&mut self, part: &Part, key: &str) -> bool {
        let gone: Vec<usize> = self
            .with_parts()
            .filter(|(of, _, line)| {
                of == part && matches!(&line.what, What::Entry { key: have, .. } if have == key)
            })
            .map(|(_, number, _)| number)
            .collect();
        gone.iter().rev().for_each(|number| {
            self.lines.remove(*number);
        });
        !gone.is_empty()
    }

    /// A part's description: its comment lines, percent-decoded.
    pub fn description(&self, part: &Part) -> Option<String> {
        let lines: Vec<String> = self
            .with_parts()
            .filter(|(of, _, line)| of == part && line.what == What::Comment)
            .map(|(_, _, line)| crate::wire::unescape(line.text.trim_end().trim_start_matches('#')))
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// A virtual machine's part as the typed configuration.
    pub fn qemu_config(&self, part: &Part) -> QemuConfig {
        QemuConfig::from_values(self.values(part))
    }

    /// A container's part as the typed configuration; of raw `lxc.` keys that stand several times the last one is in it.
    pub fn lxc_config(&self, part: &Part) -> LxcConfig {
        LxcConfig::from_values(self.values(part))
    }

    fn values(&self, part: &Part) -> Map<String, Value> {
        self.entries(part)
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect()
    }
}

impl fmt::Display for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines
            .iter()
            .try_for_each(|line| f.write_str(&line.text))
    }
}

fn classify(text: &str) -> What {
    let trimmed = text.trim_end();
    if trimmed.is_empty() {
        return What::Blank;
    }
    if trimmed.starts_with('#') {
        return What::Comment;
    }
    if let Some(name) = trimmed
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return What::Header(part(name));
    }
    let Some((key, rest)) = trimmed.split_once(':') else {
        return What::Odd;
    };
    // A container's raw keys hold dots.
    let good = key.starts_with(|c: char| c.is_ascii_lowercase())
        && key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b));
    if !good {
        return What::Odd;
    }
    let blank = rest.len() - rest.trim_start().len();
    What::Entry {
        key: key.to_owned(),
        value: (key.len() + 1 + blank, trimmed.len()),
    }
}

fn part(name: &str) -> Part {
    let snapshot = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() > 1
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match name {
        _ if name.eq_ignore_ascii_case("pending") || name == "pve:pending" => Part::Pending,
        "special:cloudinit" => Part::CloudInit,
        _ if snapshot => Part::Snapshot(name.to_owned()),
        _ => Part::Other(name.to_owned()),
    }
}
