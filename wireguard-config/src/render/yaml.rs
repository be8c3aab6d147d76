//! The little YAML that the renderers write: every string in double quotes, so that no reader can take it for anything
//! else.

use std::fmt::{Display, Write as _};

/// Appends `text` as a double-quoted scalar.
pub(super) fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends `key: "value"` as a line of its own.
pub(super) fn string(out: &mut String, indent: usize, key: &str, value: impl Display) {
    let _ = write!(out, "{:indent$}{key}: ", "");
    quote(out, &value.to_string());
    out.push('\n');
}

/// Appends `key: number` as a line of its own.
pub(super) fn number(out: &mut String, indent: usize, key: &str, value: impl Display) {
    let _ = writeln!(out, "{:indent$}{key}: {value}", "");
}
