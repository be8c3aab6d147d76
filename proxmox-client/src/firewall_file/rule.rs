//! One rule in a line.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A rule in a file. It prints as the server writes it.
///
/// ```
/// use proxmox_client::firewall_file::FileRule;
/// let rule: FileRule = "|IN SSH(ACCEPT) -i net0 --source 192.0.2.0/24 # off".parse()?;
/// assert!(!rule.enabled);
/// assert_eq!(rule.service.as_deref(), Some("SSH"));
/// assert_eq!(rule.to_string(), "|IN SSH(ACCEPT) -i net0 -source 192.0.2.0/24 # off");
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileRule {
    /// Whether it is in effect; a bar stands before one that is not.
    pub enabled: bool,
    /// `in`, `out`, `forward` or `group`.
    pub direction: String,
    /// `ACCEPT`, `DROP`, `REJECT`, or the name of a security group.
    pub action: String,
    /// A known service, such as `SSH`.
    pub service: Option<String>,
    /// Card or interface.
    pub interface: Option<String>,
    /// Sources.
    pub source: Option<String>,
    /// Destinations.
    pub destination: Option<String>,
    /// Protocol.
    pub protocol: Option<String>,
    /// Destination ports.
    pub destination_port: Option<String>,
    /// Source ports.
    pub source_port: Option<String>,
    /// Log level.
    pub log: Option<String>,
    /// ICMP type.
    pub icmp_type: Option<String>,
    /// Comment.
    pub comment: Option<String>,
}

const LEVELS: [&str; 9] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog",
];

impl FileRule {
    /// A rule that is in effect and narrows nothing yet: `in` and `ACCEPT`, or `group` and a group's name.
    pub fn new(direction: &str, action: &str) -> Self {
        Self {
            enabled: true,
            direction: direction.to_ascii_lowercase(),
            action: action.to_owned(),
            service: None,
            interface: None,
            source: None,
            destination: None,
            protocol: None,
            destination_port: None,
            source_port: None,
            log: None,
            icmp_type: None,
            comment: None,
        }
    }

    /// Whether it takes in a security group.
    pub fn is_group(&self) -> bool {
        self.direction == "group"
    }

    /// The field of an option, if rules have that option.
    fn field(&mut self, option: &str) -> Option<&mut Option<String>> {
        if option == "-i" {
            return Some(&mut self.interface);
        }
        if self.is_group() {
            return None;
        }
        // One hyphen is as good as two, but for the short form.
        let name = match option
            .strip_prefix("--")
            .or_else(|| option.strip_prefix('-'))
        {
            Some("p") if option == "-p" => "proto",
            Some(name) if name != "p" => name,
            _ => return None,
        };
        Some(match name {
            "proto" => &mut self.protocol,
            "dport" => &mut self.destination_port,
            "sport" => &mut self.source_port,
            "source" => &mut self.source,
            "dest" => &mut self.destination,
            "log" => &mut self.log,
            "icmp-type" => &mut self.icmp_type,
            _ => return None,
        })
    }
}

impl FromStr for FileRule {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let wrong = |why: &str| Error::invalid(format!("`{}` {why}", line.trim().escape_debug()));
        let (text, comment) = super::uncommented(line.trim());
        let (enabled, text) = match text.strip_prefix('|') {
            Some(text) => (false, text),
            None => (true, text),
        };
        if text.starts_with(char::is_whitespace) {
            return Err(wrong("has a blank before its direction"));
        }
        let (direction, text) = word(text);
        let (action, mut text) = word(text);
        if direction.is_empty() || action.is_empty() {
            return Err(wrong("is no rule: direction and action are missing"));
        }
        let mut rule = Self::new(direction, action);
        rule.enabled = enabled;
        rule.comment = comment;
        if !rule.is_group()
            && let Some((service, action)) = action
                .strip_suffix(')')
                .and_then(|text| text.rsplit_once('('))
            && ["ACCEPT", "DROP", "REJECT"].contains(&action)
            && !service.is_empty()
        {
            rule.service = Some(service.to_owned());
            rule.action = action.to_owned();
        }
        while !text.is_empty() {
            // Between an option and its value stands one blank.
            let (option, rest) = text.split_once(' ').unwrap_or((text, ""));
            let Some(field) = rule.field(option) else {
                return Err(wrong(&format!(
                    "has an option that such rules do not have: `{}`",
                    option.escape_debug()
                )));
            };
            if rest.is_empty() || rest.starts_with(char::is_whitespace) {
                return Err(wrong(&format!("has no value right behind `{option}`")));
            }
            let (value, rest) = word(rest);
            *field = Some(value.to_owned());
            text = rest;
        }
        match rule.log.as_deref() {
            Some(level) if !LEVELS.contains(&level) => Err(wrong("has an unknown log level")),
            _ => Ok(rule),
        }
    }
}

/// The first word, and what stands behind the blanks after it.
fn word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

impl fmt::Display for FileRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.enabled {
            f.write_str("|")?;
        }
        f.write_str(&self.direction.to_ascii_uppercase())?;
        match &self.service {
            Some(service) => write!(f, " {service}({})", self.action)?,
            None => write!(f, " {}", self.action)?,
        }
        let options = [
            ("-i", &self.interface),
            ("-source", &self.source),
            ("-dest", &self.destination),
            ("-p", &self.protocol),
            ("-dport", &self.destination_port),
            ("-sport", &self.source_port),
            ("-log", &self.log),
            ("-icmp-type", &self.icmp_type),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                write!(f, " {option} {value}")?;
            }
        }
        match &self.comment {
            Some(comment) => write!(f, " # {comment}"),
            None => Ok(()),
        }
    }
}
