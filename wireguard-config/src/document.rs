//! A configuration file as it stands, byte for byte, with views on its lines and edits that touch only the lines
//! concerned.

use std::fmt;
use std::ops::Range;

use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, ErrorKind, Result};

mod edit;
pub(crate) mod line;

pub use edit::Change;
pub use line::LineKind;

use line::{Line, Lines};

/// How large a text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in all; 64 MiB by default.
    pub bytes: usize,
    /// Bytes in one line; 1 MiB by default.
    pub line_bytes: usize,
    /// Section headers; 100,000 by default.
    pub sections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            line_bytes: 1 << 20,
            sections: 100_000,
        }
    }
}

impl Limits {
    /// Refuses what is too large, in time proportional to the limits.
    pub(crate) fn check(&self, text: &[u8]) -> Result<()> {
        let refuse = |what: &str, limit: usize| {
            Err(Error::new(
                ErrorKind::TooLarge,
                format!("the text has more than {limit} {what}"),
            )
            .with_hint("this is no WireGuard configuration, or raise the limits"))
        };
        if text.len() > self.bytes.min(u32::MAX as usize / 2) {
            return refuse("bytes", self.bytes);
        }
        if longest_line(text, self.line_bytes) > self.line_bytes {
            return refuse("bytes in a line", self.line_bytes);
        }
        // Every header holds a bracket, and few other lines do. The shortest takes three bytes with its line end.
        if text.len() / 3 >= self.sections
            && memchr::memchr_iter(b'[', text).count() > self.sections
        {
            return refuse("sections", self.sections);
        }
        Ok(())
    }
}

/// The length of the longest line, if it is longer than `limit`; else some number that is not.
///
/// A line beyond the limit covers a whole block of half the limit, so one look at each end of each block is enough.
fn longest_line(text: &[u8], limit: usize) -> usize {
    if text.len() <= limit {
        return 0;
    }
    let (mut longest, mut start, mut at) = (0, 0, 0);
    for block in text.chunks((limit / 2).max(1)) {
        if let Some(first) = memchr::memchr(b'\n', block) {
            longest = longest.max(at + first - start);
            start = at + memchr::memrchr(b'\n', block).unwrap_or(first) + 1;
        }
        at += block.len();
    }
    longest.max(at - start)
}

/// A configuration text, kept exactly: comments, order, spacing, line ends, even bytes that are not UTF-8.
///
/// Holds secrets: `Debug` shows sizes only, and the text is wiped when it is dropped or replaced.
#[derive(Clone)]
pub struct Document {
    text: Zeroizing<Vec<u8>>,
    lines: Vec<Line>,
}

impl Document {
    /// Takes a text in; nothing in it can be wrong at this level.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] beyond the default [`Limits`].
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self> {
        Self::parse_within(text, &Limits::default())
    }

    /// Takes a text in within other limits.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`].
    pub fn parse_within(text: impl AsRef<[u8]>, limits: &Limits) -> Result<Self> {
        let text = text.as_ref();
        limits.check(text)?;
        let lines = Lines::new(text).collect();
        Ok(Self {
            text: Zeroizing::new(text.to_vec()),
            lines,
        })
    }

    /// The text, equal to what was parsed where nothing was edited.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The text, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.text).ok()
    }

    /// The lines, in order.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = LineView<'_>> {
        self.lines.iter().enumerate().map(|(at, line)| LineView {
            text: &self.text,
            line,
            at,
        })
    }

    /// The sections, in order: the header's line up to the line before the next header. Comments right above a
    /// header belong to its section.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        let headers: Vec<usize> = (0..self.lines.len())
            .filter(|&at| self.lines[at].kind == LineKind::Header)
            .collect();
        let mut sections = Vec::with_capacity(headers.len());
        for (i, &header) in headers.iter().enumerate() {
            let end = headers
                .get(i + 1)
                .map_or(self.lines.len(), |&next| self.lead_of(next));
            sections.push(Section {
                document: self,
                header,
                lines: self.lead_of(header)..end,
            });
        }
        sections.into_iter()
    }

    /// The first line of the comment block that stands directly above a header.
    fn lead_of(&self, header: usize) -> usize {
        let mut first = header;
        while first > 0 && self.lines[first - 1].kind == LineKind::Comment {
            first -= 1;
        }
        first
    }

    pub(crate) fn raw_lines(&self) -> impl Iterator<Item = Line> + '_ {
        self.lines.iter().copied()
    }

    fn replace(&mut self, mut text: Vec<u8>) {
        std::mem::swap(&mut *self.text, &mut text);
        text.zeroize();
        self.lines = Lines::new(&self.text).collect();
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Document({} lines, {} bytes)",
            self.lines.len(),
            self.text.len()
        )
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Document {}

/// One line of a [`Document`].
#[derive(Clone, Copy)]
pub struct LineView<'a> {
    text: &'a [u8],
    line: &'a Line,
    at: usize,
}

impl<'a> LineView<'a> {
    /// The line number, from 1.
    #[must_use]
    pub fn number(&self) -> usize {
        self.at + 1
    }

    /// What kind of line it is.
    #[must_use]
    pub fn kind(&self) -> LineKind {
        self.line.kind
    }

    /// The whole line, without its line end.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        &self.text[self.line.start as usize..self.line.end as usize]
    }

    /// The key of an entry, as written, without space around it; the name between the brackets of a header.
    #[must_use]
    pub fn key(&self) -> Option<&'a str> {
        std::str::from_utf8(&self.text[self.line.key()])
            .ok()
            .filter(|_| matches!(self.line.kind, LineKind::Entry | LineKind::Header))
    }

    /// The value of an entry, without space around it. May be secret.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        (self.line.kind == LineKind::Entry).then(|| &self.text[self.line.value()])
    }

    /// The comment, from its `#` to the end of the line.
    #[must_use]
    pub fn comment(&self) -> Option<&'a [u8]> {
        let comment = self.line.comment as usize..self.line.end as usize;
        (!comment.is_empty()).then(|| &self.text[comment])
    }
}

impl fmt::Debug for LineView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({}, {:?})", self.number(), self.kind())
    }
}

/// One section of a [`Document`].
#[derive(Clone)]
pub struct Section<'a> {
    document: &'a Document,
    header: usize,
    lines: Range<usize>,
}

impl<'a> Section<'a> {
    /// The name between the brackets, as written.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.view(self.header).key().unwrap_or_default()
    }

    /// Whether it is a `[Peer]`.
    #[must_use]
    pub fn is_peer(&self) -> bool {
        self.name().eq_ignore_ascii_case("peer")
    }

    /// Whether it is an `[Interface]`.
    #[must_use]
    pub fn is_interface(&self) -> bool {
        self.name().eq_ignore_ascii_case("interface")
    }

    /// Its lines, with the comments that belong to it.
    pub fn lines(&self) -> impl Iterator<Item = LineView<'a>> + use<'a> {
        let document = self.document;
        self.lines.clone().map(move |at| LineView {
            text: &document.text,
            line: &document.lines[at],
            at,
        })
    }

    /// The lines with this key, whatever its case.
    pub fn entries<'k>(&self, key: &'k str) -> impl Iterator<Item = LineView<'a>> + use<'a, 'k> {
        self.lines().filter(move |line| {
            line.kind() == LineKind::Entry
                && line.key().is_some_and(|k| k.eq_ignore_ascii_case(key))
        })
    }

    fn view(&self, at: usize) -> LineView<'a> {
        LineView {
            text: &self.document.text,
            line: &self.document.lines[at],
            at,
        }
    }
}

impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Section([{}], lines {}..={})",
            self.name(),
            self.lines.start + 1,
            self.lines.end
        )
    }
}

#[cfg(test)]
mod tests {
    use super::longest_line;

    #[test]
    fn a_line_beyond_the_limit_is_found_wherever_it_lies() {
        for limit in [1, 2, 7, 64] {
            for before in 0..3 * limit {
                for length in [limit - 1, limit, limit + 1, 2 * limit] {
                    let text = format!("{}\n{}\nx", "\n".repeat(before), "y".repeat(length));
                    let found = longest_line(text.as_bytes(), limit) > limit;
                    assert_eq!(found, length > limit, "{limit} {before} {length}");
                }
            }
        }
    }
}
