//! Texts in double quotes as Talos shows them in its messages.

/// The text between double quotes; control and other unprintable characters as escapes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                out.push_str(&match code {
                    0..=0x1f | 0x7f => format!("\\x{code:02x}"),
                    0..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                });
            }
        }
    }
    out.push('"');
    out
}

/// Letters, marks, numbers, punctuation, symbols and the plain space; no other white space and no formatting characters.
pub(crate) fn is_printable(c: char) -> bool {
    c == ' '
        || !(c.is_control()
            || c.is_whitespace()
            || matches!(
                u32::from(c),
                0xad | 0x600..=0x605
                    | 0x61c
                    | 0x6dd
                    | 0x70f
                    | 0x180e
                    | 0x200b..=0x200f
                    | 0x2028..=0x202e
                    | 0x2060..=0x206f
                    | 0xe000..=0xf8ff
                    | 0xfeff
                    | 0xfff9..=0xfffb
                    | 0xfffe..=0xffff
                    | 0xe0000..=0xe007f
                    | 0xf0000..=0x10_ffff
            ))
}
