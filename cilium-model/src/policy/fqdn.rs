//! DNS names and patterns: what is allowed in them and what they match.

use crate::error::Problem;

use super::rule::FqdnSelector;

/// A name or pattern ready to be matched against lower-case names without a trailing dot.
#[derive(Clone, Debug)]
pub(crate) enum NameMatcher {
    Exact(String),
    Everything,
    /// Any number of labels (at least one), then the rest.
    Deep(Vec<Piece>),
    Pattern(Vec<Piece>),
}

#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Text(String),
    /// Characters of one label, possibly none.
    Star,
}

fn normal(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    lower.strip_suffix('.').unwrap_or(&lower).to_owned()
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut all = Vec::new();
    for (index, text) in pattern.split('*').enumerate() {
        if index > 0 && !matches!(all.last(), Some(Piece::Star)) {
            all.push(Piece::Star);
        }
        if !text.is_empty() {
            all.push(Piece::Text(text.to_owned()));
        }
    }
    all
}

impl NameMatcher {
    pub(crate) fn compile(
        selector: &FqdnSelector,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let name = selector.match_name.as_deref().filter(|s| !s.is_empty());
        let pattern = selector.match_pattern.as_deref().filter(|s| !s.is_empty());
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        match (name, pattern) {
            (Some(_), Some(_)) => {
                problems.push(
                    Problem::new(path, "matchName and matchPattern exclude one another")
                        .remedy("keep one of them"),
                );
                None
            }
            (None, None) => {
                problems.push(Problem::new(
                    path,
                    "one of matchName and matchPattern is needed",
                ));
                None
            }
            (Some(name), None) => {
                if !name.bytes().all(allowed) {
                    let message = format!("{name:?} holds characters that no DNS name has");
                    let problem = Problem::new(format!("{path}.matchName"), message);
                    problems.push(problem.remedy("patterns go into matchPattern"));
                }
                Some(Self::Exact(normal(name)))
            }
            (None, Some(pattern)) => {
                if !pattern.bytes().all(|b| allowed(b) || b == b'*') {
                    let message = format!("{pattern:?} holds characters that no DNS pattern has");
                    problems.push(Problem::new(format!("{path}.matchPattern"), message));
                }
                Some(Self::pattern(pattern))
            }
        }
    }

    pub(crate) fn pattern(pattern: &str) -> Self {
        let pattern = normal(pattern);
        if pattern == "*" {
            return Self::Everything;
        }
        match pattern.strip_prefix("**.") {
            Some(rest) => Self::Deep(pieces(rest)),
            None => Self::Pattern(pieces(&pattern)),
        }
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let name = normal(name);
        match self {
            Self::Everything => true,
            Self::Exact(exact) => *exact == name,
            Self::Pattern(all) => pieces_match(all, &name),
            Self::Deep(all) => name
                .match_indices('.')
                .any(|(at, _)| at > 0 && pieces_match(all, &name[at + 1..])),
        }
    }
}

fn pieces_match(pieces: &[Piece], text: &str) -> bool {
    match pieces.split_first() {
        None => text.is_empty(),
        Some((Piece::Text(expected), rest)) => text
            .strip_prefix(expected.as_str())
            .is_some_and(|tail| pieces_match(rest, tail)),
        Some((Piece::Star, rest)) => {
            let label = text.find('.').unwrap_or(text.len());
            (0..=label).any(|n| text.is_char_boundary(n) && pieces_match(rest, &text[n..]))
        }
    }
}
