//! Printing in the reference's layout: four-space indentation, lists indented below their key, literal blocks.

use std::borrow::Cow;

use super::scalar;

/// What is printed. Text is quoted as needed, also where YAML 1.1 would read something else; `Free` text only where
/// the present version would. `Raw` is a number, boolean or null and never quoted.
#[derive(Clone, Debug)]
pub(crate) enum Out<'a> {
    Text(Cow<'a, str>),
    Free(Cow<'a, str>),
    Raw(Cow<'a, str>),
    List(Vec<Out<'a>>),
    Map(Vec<(Cow<'a, str>, Out<'a>)>),
}

const STEP: usize = 4;
/// The longest key in bytes that stands before a colon.
const LONGEST_KEY: usize = 128;

/// One document, ending in a newline, without a `---` line.
pub(crate) fn document(out: &mut String, value: &Out<'_>) {
    match value {
        Out::Map(pairs) if !pairs.is_empty() => mapping(out, pairs, 0, false),
        Out::List(items) if !items.is_empty() => sequence(out, items, 0, false),
        other => {
            inline(
                out,
                other,
                Indent {
                    parent: 0,
                    block: 0,
                },
            );
            out.push('\n');
        }
    }
}

fn next_level(indent: usize) -> usize {
    STEP * ((indent + STEP) / STEP)
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn mapping(out: &mut String, pairs: &[(Cow<'_, str>, Out<'_>)], indent: usize, mut on_line: bool) {
    for (key, value) in pairs {
        if !on_line {
            pad(out, indent);
        }
        on_line = false;
        let within = Indent {
            parent: indent,
            block: next_level(indent),
        };
        if key.len() > LONGEST_KEY || key.contains(is_break) {
            explicit(out, key, value, within);
            continue;
        }
        text(out, key, within, Place::Key);
        out.push(':');
        match value {
            Out::Map(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(out, inner, next_level(indent), false);
            }
            Out::List(inner) if !inner.is_empty() => {
                out.push('\n');
                sequence(out, inner, next_level(indent), false);
            }
            other => {
                out.push(' ');
                inline(out, other, within);
                out.push('\n');
            }
        }
    }
}

/// A key that is too long for a line, or has several, in the notation with a question mark.
fn explicit(out: &mut String, key: &str, value: &Out<'_>, within: Indent) {
    out.push_str("? ");
    text(out, key, within, Place::Typed);
    out.push('\n');
    pad(out, within.parent);
    out.push(':');
    match value {
        Out::Map(inner) if !inner.is_empty() => {
            pad(out, within.block - within.parent - 1);
            mapping(out, inner, within.block, true);
        }
        Out::List(inner) if !inner.is_empty() => {
            pad(out, within.block - within.parent - 1);
            sequence(out, inner, within.block, true);
        }
        other => {
            out.push(' ');
            inline(out, other, within);
            out.push('\n');
        }
    }
}

fn sequence(out: &mut String, items: &[Out<'_>], indent: usize, mut on_line: bool) {
    for item in items {
        if !on_line {
            pad(out, indent);
        }
        on_line = false;
        out.push_str("- ");
        match item {
            Out::Map(inner) if !inner.is_empty() => mapping(out, inner, indent + 2, true),
            Out::List(inner) if !inner.is_empty() => sequence(out, inner, indent + 2, true),
            other => {
                let within = Indent {
                    parent: indent,
                    block: indent + 2,
                };
                inline(out, other, within);
                out.push('\n');
            }
        }
    }
}

/// Where a value stands: the column of what holds it, and the column of its lines if it is printed as a block.
#[derive(Clone, Copy)]
struct Indent {
    parent: usize,
    block: usize,
}

fn inline(out: &mut String, value: &Out<'_>, indent: Indent) {
    match value {
        Out::Raw(raw) => out.push_str(raw),
        Out::Text(value) => text(out, value, indent, Place::Typed),
        Out::Free(value) => text(out, value, indent, Place::Free),
        Out::List(_) => out.push_str("[]"),
        Out::Map(_) => out.push_str("{}"),
    }
}

struct Analysis {
    plain: bool,
    single: bool,
    block: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Key,
    Typed,
    Free,
}

fn text(out: &mut String, value: &str, indent: Indent, place: Place) {
    let allowed = analyse(value);
    let multiline = value.contains('\n');
    let blank = place == Place::Typed && value.chars().all(char::is_whitespace);
    if multiline && allowed.block && !blank && place != Place::Key {
        return literal(out, value, indent);
    }
    let merge = value == "<<" && place != Place::Free;
    if !multiline && (scalar::is_plain_text(value) || merge) {
        let legacy = merge || scalar::is_base60(value) || scalar::old_bool(value).is_some();
        if allowed.plain && (!legacy || place == Place::Free) {
            return out.push_str(value);
        }
        if allowed.single {
            out.push('\'');
            out.push_str(&value.replace('\'', "''"));
            return out.push('\'');
        }
    }
    double(out, value);
}

fn analyse(value: &str) -> Analysis {
    if value.is_empty() {
        return Analysis {
            plain: true,
            single: true,
            block: false,
        };
    }
    let mut indicators = value.starts_with("---") || value.starts_with("...");
    let (mut special, mut tab, mut breaks) = (false, false, false);
    let (mut leading_space, mut trailing_space, mut leading_break, mut trailing_break) =
        (false, false, false, false);
    let (mut space_break, mut break_space) = (false, false);
    let (mut previous_space, mut previous_break) = (false, false);
    let mut preceded = true;
    let mut chars = value.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let following = chars.peek().map(|(_, next)| *next);
        let followed = following.is_none_or(|n| n == ' ' || n == '\t' || is_break(n));
        let first = at == 0;
        indicators |= match c {
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
            | '@' | '`'
                if first =>
            {
                true
            }
            '?' | ':' | '-' if first => followed,
            ':' => followed,
            '#' => preceded,
            _ => false,
        };
        if c == '\t' {
            tab = true;
        } else if !is_printable(c) {
            special = true;
        }
        let last = following.is_none();
        if c == ' ' {
            leading_space |= first;
            trailing_space |= last;
            break_space |= previous_break;
            (previous_space, previous_break) = (true, false);
        } else if is_break(c) {
            breaks = true;
            leading_break |= first;
            trailing_break |= last;
            space_break |= previous_space;
            (previous_space, previous_break) = (false, true);
        } else {
            (previous_space, previous_break) = (false, false);
        }
        preceded = c == ' ' || c == '\t' || is_break(c);
    }
    let edges = leading_space || leading_break || trailing_space || trailing_break;
    Analysis {
        plain: !(edges || break_space || space_break || tab || special || breaks || indicators),
        single: !(break_space || space_break || tab || special),
        block: !(trailing_space || space_break || special),
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn literal(out: &mut String, value: &str, indent: Indent) {
    out.push('|');
    // Without it, the spaces that the first line begins with would count as indentation. The reference always says 4,
    // which is wrong within the items of a list: it cannot read its own text there.
    let first = value.trim_start_matches(is_break);
    if first.starts_with(' ') {
        out.push_str(&(indent.block - indent.parent).to_string());
    }
    let trimmed = value.strip_suffix('\n');
    match trimmed {
        None => out.push('-'),
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    for line in trimmed.unwrap_or(value).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent.block);
            out.push_str(line);
        }
    }
}

fn double(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                out.push_str(&match code {
                    0..=0xff => format!("\\x{code:02X}"),
                    0x100..=0xffff => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                });
            }
        }
    }
    out.push('"');
}

/// The order of keys in free-form maps: text with runs of digits compared as numbers.
pub(crate) fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for at in 0..a.len().min(b.len()) {
        if a[at] == b[at] {
            digits = a[at].is_ascii_digit();
            continue;
        }
        let (left, right) = (a[at].is_alphabetic(), b[at].is_alphabetic());
        if left && right {
            return a[at].cmp(&b[at]);
        }
        if left || right {
            let less = if digits { left } else { right };
            return if less {
                Ordering::Less
            } else {
                Ordering::Greater
            };
        }
        let significant = (a[at] == '0' || b[at] == '0')
            && a[..at]
                .iter()
                .rev()
                .take_while(|c| c.is_ascii_digit())
                .any(|c| *c != '0');
        let run = |text: &[char]| {
            let length = text[at..].iter().take_while(|c| c.is_ascii_digit()).count();
            let start = u64::from(significant);
            let number = text[at..at + length].iter().fold(start, |n, c| {
                n.wrapping_mul(10)
                    .wrapping_add(u64::from(*c as u32 - '0' as u32))
            });
            (number, length)
        };
        return run(&a).cmp(&run(&b)).then(a[at].cmp(&b[at]));
    }
    a.len().cmp(&b.len())
}
