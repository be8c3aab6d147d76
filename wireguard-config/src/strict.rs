//! The strict mode: a text to its meaning, or every problem with line, column, reason and remedy.
//!
//! Strict refuses what `wg` and `wg-quick` refuse and also what they silently bend (ports beyond 65535). What they accept
//! and is merely odd gives a warning. The exact behaviour of the tools is in [`lenient`](crate::lenient).

mod lint;
mod places;
mod values;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::config::{Config, HookStage, Peer};
use crate::document::line::{Line, LineKind, Lines};
use crate::document::{Document, Limits};
use crate::error::{Error, ErrorKind, Place, Problem, Result, Severity};
use crate::key::PublicKey;
use crate::key::hash::KeyHash;

use places::Places;

/// Which keys a text may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// Those of `wg setconf`.
    Wg,
    /// Those of `wg-quick` too.
    #[default]
    WgQuick,
    /// Those of `wg-quick` and of AmneziaWG 1 and 2.
    AmneziaWg,
}

/// What the strict mode found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// All problems, in the order of the text.
    pub problems: Vec<Problem>,
}

impl Report {
    /// The problems because of which the text is refused.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems
            .iter()
            .filter(|p| p.severity == Severity::Error)
    }

    /// What works but is probably not meant so.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.problems
            .iter()
            .filter(|p| p.severity == Severity::Warning)
    }

    /// Whether the strict mode accepts the text.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.errors().next().is_none()
    }
}

impl Config {
    /// Reads a wg-quick text strictly.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] with every problem in [`Error::problems`], [`ErrorKind::TooLarge`].
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self> {
        Self::parse_as(text, Dialect::WgQuick)
    }

    /// Reads a text of the given dialect strictly.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] with every problem in [`Error::problems`], [`ErrorKind::TooLarge`].
    pub fn parse_as(text: impl AsRef<[u8]>, dialect: Dialect) -> Result<Self> {
        let text = text.as_ref();
        Limits::default().check(text)?;
        read(text, Lines::new(text), dialect)
    }
}

impl Document {
    /// The meaning of the text.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] with every problem in [`Error::problems`].
    pub fn config(&self, dialect: Dialect) -> Result<Config> {
        read(self.as_bytes(), self.raw_lines(), dialect)
    }

    /// All problems of the text: errors of the strict mode, and warnings.
    #[must_use]
    pub fn check(&self, dialect: Dialect) -> Report {
        let mut reader = Reader::new(self.as_bytes(), dialect, Some(Places::default()));
        for (at, line) in self.raw_lines().enumerate() {
            reader.line(at + 1, &line);
        }
        reader.finish();
        lint::lint(&mut reader);
        let mut problems = reader.problems;
        problems.sort_by_key(|p| (p.place.line_column(), std::cmp::Reverse(p.severity)));
        Report { problems }
    }
}

fn read(text: &[u8], lines: impl Iterator<Item = Line>, dialect: Dialect) -> Result<Config> {
    let mut reader = Reader::new(text, dialect, None);
    // A peer takes some 120 bytes; room taken at once saves copying, within reason.
    let likely = (text.len() / 128).min(4096);
    reader.config.peers.reserve(likely);
    reader.known.reserve(likely);
    for (at, line) in lines.enumerate() {
        reader.line(at + 1, &line);
    }
    reader.finish();
    reader.problems.retain(|p| p.severity == Severity::Error);
    match reader.problems.len() {
        0 => Ok(reader.config),
        n => Err(Error::new(
            ErrorKind::Syntax,
            if n == 1 {
                "the text has a problem".to_owned()
            } else {
                format!("the text has {n} problems")
            },
        )
        .with_problems(reader.problems)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Outside,
    Interface,
    Peer,
    /// In a section that is itself wrong; its lines are not judged.
    Unknown,
}

/// How many problems are worth telling.
const MOST_PROBLEMS: usize = 1_000;

struct Reader<'a> {
    text: &'a [u8],
    dialect: Dialect,
    scope: Scope,
    config: Config,
    /// The peer that is being read.
    draft: Peer,
    has_key: bool,
    header: (usize, usize),
    /// Bit set of the scalar keys seen in the section.
    seen: u32,
    known: HashMap<PublicKey, usize, KeyHash>,
    problems: Vec<Problem>,
    places: Option<Places>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], dialect: Dialect, places: Option<Places>) -> Self {
        Self {
            text,
            dialect,
            scope: Scope::Outside,
            config: Config::default(),
            draft: Peer::new(PublicKey::from_bytes([0; 32])),
            has_key: false,
            header: (1, 1),
            seen: 0,
            known: HashMap::default(),
            problems: Vec::new(),
            places,
        }
    }

    #[cold]
    fn problem(
        &mut self,
        severity: Severity,
        rule: &'static str,
        (line, column): (usize, usize),
        message: impl Into<String>,
        hint: &str,
    ) {
        if self.problems.len() < MOST_PROBLEMS {
            let hint = (!hint.is_empty()).then(|| hint.to_owned());
            let place = Place::Text { line, column };
            self.problems.push(Problem {
                severity,
                rule,
                place,
                message: message.into(),
                hint,
            });
        }
    }

    fn error(
        &mut self,
        rule: &'static str,
        at: (usize, usize),
        message: impl Into<String>,
        hint: &str,
    ) {
        self.problem(Severity::Error, rule, at, message, hint);
    }

    fn warn(
        &mut self,
        rule: &'static str,
        at: (usize, usize),
        message: impl Into<String>,
        hint: &str,
    ) {
        self.problem(Severity::Warning, rule, at, message, hint);
    }

    fn line(&mut self, number: usize, line: &Line) {
        match line.kind {
            LineKind::Blank | LineKind::Comment => {}
            LineKind::Header => self.header(number, line),
            LineKind::Entry => self.entry(number, line),
            LineKind::Other => self.other(number, line),
        }
    }

    fn header(&mut self, number: usize, line: &Line) {
        let name = &self.text[line.key()];
        let column = line.content(self.text).start - line.start as usize + 1;
        self.leave();
        self.header = (number, column);
        self.scope = if name == b"Peer" || name.eq_ignore_ascii_case(b"Peer") {
            Scope::Peer
        } else if name.eq_ignore_ascii_case(b"Interface") {
            if let Some(places) = &mut self.places {
                places.interface.get_or_insert((number, column));
            }
            Scope::Interface
        } else {
            self.odd_header(number, line, column)
        };
        self.seen = 0;
    }

    /// `[ Pe er ]` is a header to wg; anything else is not.
    #[cold]
    fn odd_header(&mut self, number: usize, line: &Line, column: usize) -> Scope {
        let name = values::squeeze(&self.text[line.key()]);
        let scope = match () {
            () if name.eq_ignore_ascii_case(b"peer") => Scope::Peer,
            () if name.eq_ignore_ascii_case(b"interface") => Scope::Interface,
            () => {
                self.error(
                    "unknown-section",
                    (number, column),
                    "unknown section",
                    "sections are [Interface] and [Peer]",
                );
                return Scope::Unknown;
            }
        };
        self.warn(
            "space-in-section",
            (number, column),
            "space inside the section name",
            "wg-quick does not recognise it, wg does",
        );
        scope
    }

    /// Ends the section that was being read.
    fn leave(&mut self) {
        if self.scope != Scope::Peer {
            return;
        }
        self.scope = Scope::Outside;
        let draft = &mut self.draft;
        let peer = Peer {
            public_key: draft.public_key,
            preshared_key: draft.preshared_key.take(),
            endpoint: draft.endpoint.take(),
            allowed_ips: std::mem::take(&mut draft.allowed_ips),
            keepalive: draft.keepalive.take(),
        };
        if let Some(places) = &mut self.places {
            places.end_peer(self.header, self.has_key.then_some(peer.public_key));
        }
        if !std::mem::take(&mut self.has_key) {
            // A key that could not be read has been reported at its own place.
            if self.seen & values::PUBLIC_KEY == 0 {
                self.error(
                    "no-public-key",
                    self.header,
                    "the peer has no PublicKey",
                    "add the peer's public key",
                );
            }
            return;
        }
        match self.known.entry(peer.public_key) {
            Entry::Vacant(entry) => {
                entry.insert(self.config.peers.len());
                self.config.peers.push(peer);
            }
            Entry::Occupied(entry) => {
                let first = &mut self.config.peers[*entry.get()];
                first.allowed_ips = peer.allowed_ips;
                first.preshared_key = peer.preshared_key.or(first.preshared_key.take());
                first.endpoint = peer.endpoint.or(first.endpoint.take());
                first.keepalive = peer.keepalive.or(first.keepalive);
            }
        }
    }

    fn finish(&mut self) {
        self.leave();
    }

    fn entry(&mut self, number: usize, line: &Line) {
        let key = &self.text[line.key()];
        let at = (number, line.key().start - line.start as usize + 1);
        let known = match self.scope {
            Scope::Unknown => return,
            Scope::Outside => {
                return self.error(
                    "outside-section",
                    at,
                    "a key before any section",
                    "put [Interface] or [Peer] above it",
                );
            }
            Scope::Peer => values::peer_key(key),
            Scope::Interface => values::interface_key(key),
        };
        match known {
            Some(known) => self.value(known, number, line),
            None => self.odd_key(number, line, at),
        }
    }

    #[cold]
    fn odd_key(&mut self, number: usize, line: &Line, at: (usize, usize)) {
        let text = self.text;
        let squeezed = values::squeeze(&text[line.key()]);
        let (here, there) = match self.scope {
            Scope::Peer => (
                values::peer_key(&squeezed),
                values::interface_key(&squeezed),
            ),
            _ => (
                values::interface_key(&squeezed),
                values::peer_key(&squeezed),
            ),
        };
        let name = std::str::from_utf8(&squeezed).unwrap_or_default();
        match (here, there) {
            (Some(known), _) => {
                self.warn(
                    "space-in-key",
                    at,
                    "space inside the key",
                    "wg removes it; wg-quick's own keys are not recognised so",
                );
                self.value(known, number, line);
            }
            (None, Some(other)) => {
                let (section, hint) = match self.scope {
                    Scope::Peer => ("Interface", "move it to the [Interface] section"),
                    _ => ("Peer", "move it to the [Peer] section that it is about"),
                };
                self.error(
                    "wrong-section",
                    at,
                    format!("{} belongs to [{section}]", other.name()),
                    hint,
                );
            }
            (None, None) if self.scope == Scope::Interface && crate::Obfuscation::knows(name) => {
                if self.dialect == Dialect::AmneziaWg {
                    self.obfuscation(number, line, name);
                } else {
                    self.error(
                        "amnezia-key",
                        at,
                        "a key of AmneziaWG, which WireGuard does not know",
                        "read it as AmneziaWG, or remove it",
                    );
                }
            }
            // The text left of = may be a secret whose = is part of the base64, so long ones are not shown.
            (None, None) => {
                let section = if self.scope == Scope::Peer {
                    "Peer"
                } else {
                    "Interface"
                };
                let shown =
                    if squeezed.len() <= 24 && squeezed.iter().all(u8::is_ascii_alphanumeric) {
                        format!("unknown key {name} in [{section}]")
                    } else {
                        format!("unknown key in [{section}]")
                    };
                self.error(
                    "unknown-key",
                    at,
                    shown,
                    "check the spelling, or remove the line",
                );
            }
        }
    }

    fn obfuscation(&mut self, number: usize, line: &Line, name: &str) {
        let span = line.value();
        let at = (number, span.start - line.start as usize + 1);
        if span.is_empty() {
            return self.empty(number, line);
        }
        let value = std::str::from_utf8(&self.text[span]).unwrap_or_default();
        match self.config.interface.obfuscation.set(name, value) {
            Ok(()) => {
                if let Some(places) = &mut self.places {
                    places.obfuscation.push((name.to_ascii_lowercase(), at));
                }
            }
            Err(expected) => self.error("obfuscation-value", at, expected, ""),
        }
    }

    #[cold]
    fn other(&mut self, number: usize, line: &Line) {
        if self.scope == Scope::Unknown && self.text[line.content(self.text).start] != b'[' {
            return;
        }
        let content = line.content(self.text);
        let column = |at: usize| at - line.start as usize + 1;
        let text = &self.text[content.clone()];
        if text[0] != b'[' {
            let at = (number, column(content.start));
            let first: Vec<u8> = text
                .iter()
                .copied()
                .take_while(u8::is_ascii_alphanumeric)
                .collect();
            if values::interface_key(&first)
                .or(values::peer_key(&first))
                .is_some()
            {
                return self.error(
                    "missing-equals",
                    at,
                    "= is missing behind the key",
                    "write key = value",
                );
            }
            return self.error(
                "stray-text",
                at,
                "the line is neither section nor key = value",
                "begin it with # to make it a comment",
            );
        }
        self.leave();
        self.scope = Scope::Unknown;
        match memchr::memchr(b']', text) {
            None => self.error(
                "open-section",
                (number, column(content.start)),
                "the section header is not closed",
                "add the closing ]",
            ),
            Some(end) => {
                let behind = content.start + end + 1;
                let span = crate::document::line::trim(self.text, behind, content.end);
                self.error(
                    "text-after-section",
                    (number, column(span.start)),
                    "text after the section header",
                    "begin it with # to make it a comment",
                );
                // What follows is judged as the section that was meant, so that one slip gives one problem.
                let name = &text[1..end];
                self.header = (number, column(content.start));
                self.seen = values::PUBLIC_KEY;
                if name.eq_ignore_ascii_case(b"peer") {
                    self.scope = Scope::Peer;
                } else if name.eq_ignore_ascii_case(b"interface") {
                    self.scope = Scope::Interface;
                }
            }
        }
    }

    fn empty(&mut self, number: usize, line: &Line) {
        let column = line.after_equals as usize - line.start as usize + 1;
        self.error(
            "empty-value",
            (number, column),
            "the value is empty",
            "give a value, or remove the line",
        );
    }

    fn hook(&mut self, stage: HookStage, at: (usize, usize), value: &[u8]) {
        let command = String::from_utf8_lossy(value).into_owned();
        if let Some(places) = &mut self.places {
            places.hooks.push(at);
        }
        self.config
            .interface
            .hooks
            .push(crate::config::Hook::new(stage, command));
    }
}
