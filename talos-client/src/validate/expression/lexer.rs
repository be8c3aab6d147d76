//! From text to tokens.

use super::Issue;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Operators, brackets and the words `in`, `true`, `false`, `null`.
    Mark,
    Identifier,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    End,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Characters before it.
    pub(super) at: usize,
}

/// Operators, longest first.
const MARKS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!",
    "?", ":", "+", "*", "/", "%",
];

/// All tokens, the last of which is the end; what is no token is told and passed over.
pub(super) fn tokens(text: &str) -> (Vec<Token>, Vec<Issue>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut issues) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        if matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{c}') {
            at += 1;
            continue;
        }
        if *c == '/' && chars.get(at + 1) == Some(&'/') {
            while chars.get(at).is_some_and(|c| *c != '\n') {
                at += 1;
            }
            continue;
        }
        match token(&chars, at) {
            Ok((kind, end)) => {
                found.push(Token {
                    kind,
                    text: chars[at..end].iter().collect(),
                    at,
                });
                at = end;
            }
            Err(end) => {
                let end = end.min(chars.len());
                let wrong: String = chars[at..end].iter().collect();
                let message = format!(
                    "Syntax error: token recognition error at: {}",
                    quoted(&wrong)
                );
                issues.push(Issue::new(at, message));
                at = end;
            }
        }
    }
    found.push(Token {
        kind: Kind::End,
        text: "<EOF>".to_owned(),
        at: chars.len(),
    });
    (found, issues)
}

/// Text between single quotes with line breaks as escapes.
pub(super) fn quoted(text: &str) -> String {
    let text = text
        .replace('\n', "\\n")
        .replace('\t', "\\t")
        .replace('\r', "\\r");
    format!("'{text}'")
}

/// Kind and end of the token at a place, or where reading stopped making sense.
fn token(chars: &[char], at: usize) -> Result<(Kind, usize), usize> {
    if let Some((kind, start)) = literal_prefix(chars, at) {
        return string(chars, start, at).map(|end| (kind, end));
    }
    let c = chars[at];
    if c.is_ascii_alphabetic() || c == '_' {
        let end = run(chars, at, |c| c.is_ascii_alphanumeric() || c == '_');
        let word: String = chars[at..end].iter().collect();
        let kind = match word.as_str() {
            "in" | "true" | "false" | "null" => Kind::Mark,
            _ => Kind::Identifier,
        };
        return Ok((kind, end));
    }
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    if c.is_ascii_digit() || (c == '.' && digit(at + 1)) {
        return Ok(number(chars, at));
    }
    let rest: String = chars[at..chars.len().min(at + 2)].iter().collect();
    match MARKS.iter().find(|mark| rest.starts_with(**mark)) {
        Some(mark) => Ok((Kind::Mark, at + mark.len())),
        // The first character of a longer operator takes the next one with it.
        None if matches!(c, '=' | '&' | '|') => Err(at + 2),
        None => Err(at + 1),
    }
}

fn run(chars: &[char], from: usize, fits: impl Fn(char) -> bool) -> usize {
    let length = chars[from.min(chars.len())..]
        .iter()
        .take_while(|c| fits(**c))
        .count();
    from + length
}

fn number(chars: &[char], at: usize) -> (Kind, usize) {
    let is = |at: usize, wanted: &[char]| chars.get(at).is_some_and(|c| wanted.contains(c));
    let digit = |c: char| c.is_ascii_digit();
    if chars[at] == '0' && is(at + 1, &['x']) {
        let end = run(chars, at + 2, |c| c.is_ascii_hexdigit());
        if end > at + 2 {
            return if is(end, &['u', 'U']) {
                (Kind::Uint, end + 1)
            } else {
                (Kind::Int, end)
            };
        }
    }
    let whole = run(chars, at, digit);
    let mut end = whole;
    if is(whole, &['.']) {
        let fraction = run(chars, whole + 1, digit);
        if fraction > whole + 1 {
            end = fraction;
        }
    }
    if is(end, &['e', 'E']) {
        let sign = usize::from(is(end + 1, &['+', '-']));
        let exponent = run(chars, end + 1 + sign, digit);
        if exponent > end + 1 + sign {
            return (Kind::Double, exponent);
        }
    }
    if end > whole {
        return (Kind::Double, end);
    }
    if is(end, &['u', 'U']) {
        (Kind::Uint, end + 1)
    } else {
        (Kind::Int, end)
    }
}

/// Whether a text or bytes begin here, and where the quotes are.
fn literal_prefix(chars: &[char], at: usize) -> Option<(Kind, usize)> {
    let quote = |at: usize| matches!(chars.get(at), Some('"' | '\''));
    let letter = |at: usize, letters: [char; 2]| chars.get(at).is_some_and(|c| letters.contains(c));
    let (raw, bytes) = (['r', 'R'], ['b', 'B']);
    if quote(at) {
        Some((Kind::Text, at))
    } else if letter(at, raw) && quote(at + 1) {
        Some((Kind::Text, at + 1))
    } else if letter(at, bytes) && quote(at + 1) {
        Some((Kind::Bytes, at + 1))
    } else if letter(at, bytes) && letter(at + 1, raw) && quote(at + 2) {
        Some((Kind::Bytes, at + 2))
    } else {
        None
    }
}

/// The end of the text whose quotes stand at `start`.
fn string(chars: &[char], start: usize, from: usize) -> Result<usize, usize> {
    let quote = chars[start];
    let raw = start > from && matches!(chars[start - 1], 'r' | 'R');
    let triple = chars.get(start + 1) == Some(&quote) && chars.get(start + 2) == Some(&quote);
    let mut at = start + if triple { 3 } else { 1 };
    while let Some(c) = chars.get(at) {
        match c {
            '\\' if !raw => at += 2,
            c if *c == quote && !triple => return Ok(at + 1),
            c if *c == quote
                && chars.get(at + 1) == Some(&quote)
                && chars.get(at + 2) == Some(&quote) =>
            {
                return Ok(at + 3);
            }
            '\n' | '\r' if !triple => return Err(at + 1),
            _ => at += 1,
        }
    }
    Err(chars.len())
}
