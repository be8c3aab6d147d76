//! One line: where its parts are.

use std::ops::Range;

/// What a line is, by its form alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LineKind {
    /// Nothing but space.
    Blank,
    /// A comment alone.
    Comment,
    /// A section header, `[Name]`, with nothing behind it but a comment.
    Header,
    /// `Key = Value`.
    Entry,
    /// Anything else.
    Other,
}

/// Byte positions in the whole text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) kind: LineKind,
    pub(crate) start: u32,
    /// Before the line end.
    pub(crate) end: u32,
    /// Where the comment begins, or `end`.
    pub(crate) comment: u32,
    key: (u32, u32),
    value: (u32, u32),
    /// Behind the `=`.
    pub(crate) after_equals: u32,
}

impl Line {
    pub(crate) fn key(&self) -> Range<usize> {
        self.key.0 as usize..self.key.1 as usize
    }

    pub(crate) fn value(&self) -> Range<usize> {
        self.value.0 as usize..self.value.1 as usize
    }

    /// The text before the comment, without space around it.
    pub(crate) fn content(&self, text: &[u8]) -> Range<usize> {
        trim(text, self.start as usize, self.comment as usize)
    }
}

/// What wg takes for space: the C locale's `isspace`.
pub(crate) const fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

pub(crate) fn trim(text: &[u8], mut start: usize, mut end: usize) -> Range<usize> {
    while start < end && is_space(text[start]) {
        start += 1;
    }
    while end > start && is_space(text[end - 1]) {
        end -= 1;
    }
    start..end
}

/// Splits a text into lines. A last line without a line end counts; an empty one behind the last line end does not.
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let (text, start) = (self.text, self.at);
        if start >= text.len() {
            return None;
        }
        let mark = memchr::memchr2(b'\n', b'#', &text[start..]).map(|at| start + at);
        let (hash, newline) = match mark {
            Some(at) if text[at] == b'#' => {
                let newline = memchr::memchr(b'\n', &text[at..]).map(|behind| at + behind);
                (Some(at), newline)
            }
            newline => (None, newline),
        };
        let mut end = newline.unwrap_or(text.len());
        self.at = newline.map_or(text.len(), |at| at + 1);
        if newline.is_some() && end > start && text[end - 1] == b'\r' {
            end -= 1;
        }
        Some(scan(text, start, hash.unwrap_or(end), end))
    }
}

/// `hash` is where the first `#` stands, or `end`.
fn scan(text: &[u8], start: usize, hash: usize, end: usize) -> Line {
    let content = trim(text, start, hash);
    let mut line = Line {
        kind: LineKind::Other,
        start: start as u32,
        end: end as u32,
        comment: hash as u32,
        key: (start as u32, start as u32),
        value: (end as u32, end as u32),
        after_equals: end as u32,
    };
    if content.is_empty() {
        line.kind = if hash < end {
            LineKind::Comment
        } else {
            LineKind::Blank
        };
    } else if text[content.start] == b'[' {
        if text[content.end - 1] == b']' {
            let name = trim(text, content.start + 1, content.end - 1);
            line.kind = LineKind::Header;
            line.key = (name.start as u32, name.end as u32);
        }
    } else if let Some(at) = text[content.clone()].iter().position(|&c| c == b'=') {
        let equals = content.start + at;
        let key = trim(text, content.start, equals);
        // Hooks are shell commands, in which # begins no comment.
        let hook = hash < end && is_hook(&text[key.clone()]);
        let limit = if hook { end } else { content.end };
        let value = trim(text, equals + 1, limit);
        line.kind = LineKind::Entry;
        line.key = (key.start as u32, key.end as u32);
        line.value = (value.start as u32, value.end as u32);
        line.after_equals = equals as u32 + 1;
        if hook {
            line.comment = end as u32;
        }
    }
    line
}

fn is_hook(key: &[u8]) -> bool {
    [&b"PreUp"[..], b"PostUp", b"PreDown", b"PostDown"]
        .iter()
        .any(|hook| hook.eq_ignore_ascii_case(key))
}
