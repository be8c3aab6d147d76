//! Edits of a document.

use zeroize::Zeroizing;

use crate::config::Peer;
use crate::document::line::{LineKind, trim};
use crate::document::{Document, Section};
use crate::error::{Error, ErrorKind, Result};
use crate::key::PublicKey;
use crate::render::quick;

/// What an edit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// The text already said so; not a byte moved.
    Unchanged,
    /// A line or section was added.
    Created,
    /// A value was replaced in its line.
    Updated,
    /// Lines were taken out.
    Removed,
}

impl Document {
    /// Sets a key of the interface. The last line with the key, which is the one that counts, is changed; else a line
    /// is added behind the last entry of the first `[Interface]`, which is made if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] when key or value cannot stand in a line.
    pub fn set_interface(&mut self, key: &str, value: &str) -> Result<Change> {
        let sections: Vec<_> = self
            .sections()
            .filter(Section::is_interface)
            .map(|s| s.lines.clone())
            .collect();
        let holds =
            |lines: &&std::ops::Range<usize>| (*lines).clone().any(|at| self.is_entry(at, key));
        if let Some(lines) = sections.iter().rev().find(holds).or(sections.first()) {
            return self.set(lines.clone(), key, value);
        }
        check(key, value)?;
        // Before the first section, or at the end: stray lines above stay outside.
        let first = self.sections().next().map(|section| section.lines.start);
        let at = first.map_or(self.text.len(), |line| self.lines[line].start as usize);
        let end = self.line_end();
        let lead = if at > 0 && self.text[at - 1] != b'\n' {
            end
        } else {
            ""
        };
        let text = Zeroizing::new(format!("{lead}[Interface]{end}{key} = {value}{end}"));
        self.splice(at, at, text.as_bytes());
        Ok(Change::Created)
    }

    /// Sets a key of the `[Peer]` with this public key.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] when key or value cannot stand in a line, [`ErrorKind::Unsupported`] when there is
    /// no such peer.
    pub fn set_peer(&mut self, peer: &PublicKey, key: &str, value: &str) -> Result<Change> {
        let lines = self.find_peer(peer).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("the text has no peer {peer}"),
            )
            .with_hint("add it first")
        })?;
        self.set(lines, key, value)
    }

    /// Takes all lines with this key out of the `[Interface]` sections.
    pub fn unset_interface(&mut self, key: &str) -> Change {
        let sections: Vec<_> = self
            .sections()
            .filter(Section::is_interface)
            .map(|s| s.lines.clone())
            .collect();
        let lines: Vec<usize> = sections
            .into_iter()
            .flatten()
            .filter(|&at| self.is_entry(at, key))
            .collect();
        self.remove_lines(&lines)
    }

    /// Takes all lines with this key out of a peer's section.
    pub fn unset_peer(&mut self, peer: &PublicKey, key: &str) -> Change {
        let Some(section) = self.find_peer(peer) else {
            return Change::Unchanged;
        };
        let lines: Vec<usize> = section.filter(|&at| self.is_entry(at, key)).collect();
        self.remove_lines(&lines)
    }

    /// Adds a peer at the end, unless one with its key is there.
    pub fn add_peer(&mut self, peer: &Peer) -> Change {
        if self.find_peer(&peer.public_key).is_some() {
            return Change::Unchanged;
        }
        let mut section = Zeroizing::new(String::with_capacity(1024 + peer.allowed_ips.len() * 48));
        quick::peer(&mut section, peer);
        let end = self.line_end();
        let mut text = Zeroizing::new(String::with_capacity(section.len() * 2 + 8));
        if !self.text.is_empty() && !self.text.ends_with(b"\n") {
            text.push_str(end);
        }
        for line in section.lines().skip(usize::from(self.text.is_empty())) {
            text.push_str(line);
            text.push_str(end);
        }
        let at = self.text.len();
        self.splice(at, at, text.as_bytes());
        Change::Created
    }

    /// Takes out the section of a peer, with the comments right above its header.
    pub fn remove_peer(&mut self, peer: &PublicKey) -> Change {
        let mut change = Change::Unchanged;
        while let Some(section) = self.find_peer(peer) {
            let lines: Vec<usize> = section.collect();
            change = self.remove_lines(&lines);
        }
        change
    }

    fn find_peer(&self, peer: &PublicKey) -> Option<std::ops::Range<usize>> {
        self.sections()
            .filter(Section::is_peer)
            .find(|section| {
                let last = section.entries("PublicKey").last();
                last.and_then(|line| PublicKey::decode(line.value()?).ok()) == Some(*peer)
            })
            .map(|section| section.lines)
    }

    fn is_entry(&self, at: usize, key: &str) -> bool {
        let line = &self.lines[at];
        line.kind == LineKind::Entry && self.text[line.key()].eq_ignore_ascii_case(key.as_bytes())
    }

    fn set(&mut self, lines: std::ops::Range<usize>, key: &str, value: &str) -> Result<Change> {
        check(key, value)?;
        let mut held: Vec<usize> = lines.clone().filter(|&at| self.is_entry(at, key)).collect();
        if let Some(at) = held.pop() {
            let span = self.lines[at].value();
            let same = self.text[span.clone()] == *value.as_bytes();
            if !same {
                self.splice(span.start, span.end, value.as_bytes());
            }
            // Lists of several lines add up, so the others would still count.
            let adds_up = LISTS.iter().any(|list| list.eq_ignore_ascii_case(key));
            let removed = adds_up && self.remove_lines(&held) == Change::Removed;
            return Ok(if same && !removed {
                Change::Unchanged
            } else {
                Change::Updated
            });
        }
        let used = |at: &usize| matches!(self.lines[*at].kind, LineKind::Entry | LineKind::Header);
        let last = lines.clone().rev().find(used).unwrap_or(lines.start);
        let line = &self.lines[last];
        let indent = match line.kind {
            LineKind::Entry => {
                line.start as usize..trim(&self.text, line.start as usize, line.end as usize).start
            }
            _ => 0..0,
        };
        let indent = String::from_utf8_lossy(&self.text[indent]).into_owned();
        let end = self.line_end();
        let (at, text) = match self.lines.get(last + 1) {
            Some(next) => (next.start as usize, format!("{indent}{key} = {value}{end}")),
            None if self.text.ends_with(b"\n") => {
                (self.text.len(), format!("{indent}{key} = {value}{end}"))
            }
            None => (self.text.len(), format!("{end}{indent}{key} = {value}")),
        };
        let text = Zeroizing::new(text);
        self.splice(at, at, text.as_bytes());
        Ok(Change::Created)
    }

    /// The line end that the text uses.
    fn line_end(&self) -> &'static str {
        match memchr::memchr(b'\n', &self.text) {
            Some(at) if at > 0 && self.text[at - 1] == b'\r' => "\r\n",
            _ => "\n",
        }
    }

    fn remove_lines(&mut self, lines: &[usize]) -> Change {
        if lines.is_empty() {
            return Change::Unchanged;
        }
        let mut text = Vec::with_capacity(self.text.len());
        let mut gone = lines.iter().copied().peekable();
        for at in 0..self.lines.len() {
            if gone.next_if_eq(&at).is_some() {
                continue;
            }
            let end = self
                .lines
                .get(at + 1)
                .map_or(self.text.len(), |next| next.start as usize);
            text.extend_from_slice(&self.text[self.lines[at].start as usize..end]);
        }
        self.replace(text);
        Change::Removed
    }

    fn splice(&mut self, from: usize, to: usize, with: &[u8]) {
        let mut text = Vec::with_capacity(self.text.len() - (to - from) + with.len());
        text.extend_from_slice(&self.text[..from]);
        text.extend_from_slice(with);
        text.extend_from_slice(&self.text[to..]);
        self.replace(text);
    }
}

/// Keys of which every line counts.
const LISTS: [&str; 3] = ["AllowedIPs", "Address", "DNS"];

/// Neither may break out of its line.
fn check(key: &str, value: &str) -> Result<()> {
    if key.is_empty() || !key.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Error::new(
            ErrorKind::Syntax,
            "a key consists of letters and digits",
        ));
    }
    let hook = ["PreUp", "PostUp", "PreDown", "PostDown"]
        .iter()
        .any(|hook| hook.eq_ignore_ascii_case(key));
    if value.contains('#') && !hook {
        return Err(Error::new(
            ErrorKind::Syntax,
            format!("the value of {key} has a #, which begins a comment"),
        ));
    }
    if value.trim().is_empty() || value.contains(['\n', '\r', '\0']) {
        return Err(Error::new(
            ErrorKind::Syntax,
            format!("the value of {key} is empty or has a line end"),
        )
        .with_hint("to take a key out, unset it"));
    }
    Ok(())
}
