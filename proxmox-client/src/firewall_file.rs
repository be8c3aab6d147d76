//! Firewall files, as `/etc/pve/firewall` and nodes hold them: `cluster.fw`, `host.fw`, `100.fw`, those of vnets.
//!
//! Reading never fails and never loses anything: a file prints as it was read, byte for byte, also where it is wrong.
//! [`FirewallFile::problems`] says what the server would skip or complain about.
//!
//! ```
//! use proxmox_client::firewall_file::{FirewallFile, Level, Section};
//! let text = "[OPTIONS]\nenable: 1\n\n[RULES]\nIN ACCEPT -p tcp -dport 22 # admins\nIN ACCEPT -dport 80\n";
//! let file = FirewallFile::parse(Level::Guest, text);
//! assert_eq!(file.option("enable").as_deref(), Some("1"));
//! let rules = file.rules(&Section::Rules);
//! assert_eq!(rules[0].destination_port.as_deref(), Some("22"));
//! assert_eq!(rules[0].comment.as_deref(), Some("admins"));
//! let problems = file.problems(None);
//! assert_eq!(problems[0].to_string(), "line 6, column 1: `-dport` needs a protocol");
//! assert_eq!(file.to_string(), text);
//! ```

mod check;
mod rule;

use std::fmt;

pub use crate::config_file::Problem;
pub use rule::FileRule;

/// Whose firewall a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// The cluster's: `cluster.fw`.
    Cluster,
    /// A node's: `host.fw`.
    Node,
    /// A guest's: `100.fw`.
    Guest,
    /// A vnet's: `sdn/firewall/….fw`.
    Vnet,
}

/// A section of a file. Names are in small letters, as the server takes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Section {
    /// `[OPTIONS]`.
    Options,
    /// `[ALIASES]`, of clusters and guests.
    Aliases,
    /// `[IPSET name]`, of clusters and guests.
    IpSet(String),
    /// `[RULES]`.
    Rules,
    /// `[GROUP name]`, a security group of the cluster.
    Group(String),
    /// A group or IP set whose name the server refuses; its lines belong to nothing.
    Other(String),
}

impl Section {
    fn header(&self) -> String {
        match self {
            Self::Options => "[OPTIONS]".to_owned(),
            Self::Aliases => "[ALIASES]".to_owned(),
            Self::IpSet(name) => format!("[IPSET {name}]"),
            Self::Rules => "[RULES]".to_owned(),
            Self::Group(name) => format!("[group {name}]"),
            Self::Other(name) => format!("[{name}]"),
        }
    }
}

/// An alias in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileAlias {
    /// Name, as it is written.
    pub name: String,
    /// Address, or network with prefix.
    pub network: String,
    /// Comment.
    pub comment: Option<String>,
}

/// An entry of an IP set in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileEntry {
    /// Address, network with prefix, or alias.
    pub network: String,
    /// Whether it is an exception.
    pub excluded: bool,
    /// Comment.
    pub comment: Option<String>,
}

/// One line with its end, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    text: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// Empty, or a comment.
    Nothing,
    Header(Section),
    /// Something of the section that it stands in.
    Content,
}

/// A firewall file.
///
/// ```
/// use proxmox_client::firewall_file::{FirewallFile, Level, Section};
/// let text = "[OPTIONS]\nenable: 1\n\n[RULES]\nIN SSH(ACCEPT) -source 192.0.2.0/24\n";
/// let mut file = FirewallFile::parse(Level::Guest, text);
/// assert_eq!(file.to_string(), text);
/// assert_eq!(file.rules(&Section::Rules)[0].service.as_deref(), Some("SSH"));
/// file.set_option("enable", "0");
/// assert_eq!(file.option("enable").as_deref(), Some("0"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallFile {
    level: Level,
    lines: Vec<Line>,
}

impl FirewallFile {
    /// Reads a file.
    pub fn parse(level: Level, text: &str) -> Self {
        let lines = text.split_inclusive('\n').map(|text| Line {
            what: classify(level, text),
            text: text.to_owned(),
        });
        Self {
            level,
            lines: lines.collect(),
        }
    }

    /// Whose firewall it is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What the server would skip or complain about, in the order of the lines.
    ///
    /// Rules and IP sets of nodes, guests and vnets may name aliases, IP sets and groups of the cluster: whether these
    /// are there is only checked if the cluster's file is given.
    pub fn problems(&self, cluster: Option<&Self>) -> Vec<Problem> {
        check::problems(self, cluster)
    }

    /// The sections in the order of the file; one that stands twice is named twice.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.lines.iter().filter_map(|line| match &line.what {
            What::Header(section) => Some(section),
            _ => None,
        })
    }

    /// Each line with the section that it belongs to.
    fn placed(&self) -> impl Iterator<Item = (Option<&Section>, usize, &Line)> {
        let mut section = None;
        self.lines.iter().enumerate().map(move |(number, line)| {
            if let What::Header(next) = &line.what {
                section = Some(next);
            }
            (section, number, line)
        })
    }

    /// The contents of a section, without blanks around them.
    fn contents(&self, section: &Section) -> impl Iterator<Item = &str> {
        self.placed()
            .filter(move |(of, _, line)| *of == Some(section) && line.what == What::Content)
            .map(|(_, _, line)| line.text.trim())
    }

    /// The options in the order of the file, keys in small letters.
    pub fn options(&self) -> impl Iterator<Item = (String, &str)> {
        self.contents(&Section::Options).filter_map(option_of)
    }

    /// An option's value. Where it stands twice the last one counts, as it does for the server.
    pub fn option(&self, name: &str) -> Option<String> {
        let wanted = name.to_ascii_lowercase();
        self.options()
            .filter(|(have, _)| *have == wanted)
            .last()
            .map(|(_, value)| value.to_owned())
    }

    /// Sets an option: in its line if there is one, else at the end of its section, which is made if it is missing.
    pub fn set_option(&mut self, name: &str, value: &str) {
        let at = self.option_lines(name).pop();
        let text = format!("{name}: {value}\n");
        match at {
            Some(at) => self.lines[at].text = text,
            None => self.append(&Section::Options, text),
        }
    }

    /// Removes an option; says whether it was there.
    pub fn remove_option(&mut self, name: &str) -> bool {
        let gone = self.option_lines(name);
        for at in gone.iter().rev() {
            self.lines.remove(*at);
        }
        !gone.is_empty()
    }

    fn option_lines(&self, name: &str) -> Vec<usize> {
        let wanted = name.to_ascii_lowercase();
        self.placed()
            .filter(|(of, _, line)| {
                *of == Some(&Section::Options)
                    && line.what == What::Content
                    && option_of(line.text.trim()).is_some_and(|(have, _)| have == wanted)
            })
            .map(|(_, number, _)| number)
            .collect()
    }

    /// The aliases that can be read.
    pub fn aliases(&self) -> Vec<FileAlias> {
        self.contents(&Section::Aliases)
            .filter_map(alias_of)
            .collect()
    }

    /// The names of the IP sets, in small letters.
    pub fn ip_sets(&self) -> impl Iterator<Item = &str> {
        self.sections().filter_map(|section| match section {
            Section::IpSet(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// What an IP set holds.
    pub fn ip_set(&self, name: &str) -> Vec<FileEntry> {
        let section = Section::IpSet(name.to_ascii_lowercase());
        self.contents(&section).filter_map(entry_of).collect()
    }

    /// The names of the security groups, in small letters.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.sections().filter_map(|section| match section {
            Section::Group(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The rules of [`Section::Rules`] or of a group that can be read, in order.
    pub fn rules(&self, section: &Section) -> Vec<FileRule> {
        self.contents(section)
            .filter_map(|line| line.parse().ok())
            .collect()
    }

    /// Adds a rule at the end of [`Section::Rules`] or of a group, which is made if it is missing.
    pub fn push_rule(&mut self, section: &Section, rule: &FileRule) {
        self.append(section, format!("{rule}\n"));
    }

    fn append(&mut self, section: &Section, text: String) {
        let last = self
            .placed()
            .filter(|(of, _, line)| {
                let empty = line.text.trim().is_empty();
                *of == Some(section) && !empty
            })
            .map(|(_, number, _)| number)
            .last();
        let line = Line {
            text,
            what: What::Content,
        };
        if let Some(last) = self.lines.last_mut()
            && !last.text.ends_with('\n')
        {
            last.text.push('\n');
        }
        if let Some(at) = last {
            self.lines.insert(at + 1, line);
            return;
        }
        if !self.lines.is_empty() {
            self.lines.push(Line {
                text: "\n".to_owned(),
                what: What::Nothing,
            });
        }
        self.lines.push(Line {
            text: format!("{}\n", section.header()),
            what: What::Header(section.clone()),
        });
        self.lines.push(line);
    }
}

impl fmt::Display for FirewallFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines
            .iter()
            .try_for_each(|line| f.write_str(&line.text))
    }
}

fn classify(level: Level, text: &str) -> What {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return What::Nothing;
    }
    // A comment may stand behind the headers of IP sets and groups.
    let header = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .filter(|(_, behind)| behind.trim().is_empty() || behind.trim_start().starts_with('#'));
    let Some((inner, behind)) = header else {
        return What::Content;
    };
    let plain = behind.trim().is_empty();
    let lower = inner.to_ascii_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let objects = matches!(level, Level::Cluster | Level::Guest);
    let named = |name: &str, most: usize| {
        let good = name.len() <= most && is_name(name);
        good.then(|| name.to_owned())
    };
    let refused = || Section::Other(inner.to_owned());
    let section = match words.as_slice() {
        _ if inner.trim() != inner => return What::Content,
        ["options"] if plain => Section::Options,
        ["rules"] if plain => Section::Rules,
        ["aliases"] if plain && objects => Section::Aliases,
        ["ipset", name] if objects => named(name, 64).map_or_else(refused, Section::IpSet),
        ["group", name] if level == Level::Cluster => {
            named(name, 18).map_or_else(refused, Section::Group)
        }
        // For the server this is a line of the section before.
        _ => return What::Content,
    };
    What::Header(section)
}

/// A name of a group, an IP set or an alias.
fn is_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn option_of(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim()))
}

/// What stands before a comment, and the comment.
fn uncommented(line: &str) -> (&str, Option<String>) {
    match line.split_once('#') {
        Some((before, comment)) => {
            let comment = comment.trim();
            let comment = (!comment.is_empty()).then(|| comment.to_owned());
            (before.trim_end(), comment)
        }
        None => (line, None),
    }
}

fn alias_of(line: &str) -> Option<FileAlias> {
    let (text, comment) = uncommented(line);
    let (name, network) = text.split_once([' ', '\t'])?;
    let whole = !name.is_empty() && !network.is_empty() && !network.contains(char::is_whitespace);
    whole.then(|| FileAlias {
        name: name.to_owned(),
        network: network.to_owned(),
        comment,
    })
}

fn entry_of(line: &str) -> Option<FileEntry> {
    let (text, comment) = uncommented(line);
    let (excluded, network) = match text.strip_prefix('!') {
        Some(network) => (true, network.trim_start()),
        None => (false, text),
    };
    let whole = !network.is_empty() && !network.contains(char::is_whitespace);
    whole.then(|| FileEntry {
        network: network.to_owned(),
        excluded,
        comment,
    })
}
