//! Percent-encoding as the server's decoder wants it: everything but unreserved characters is escaped.

use std::fmt::Write as _;

/// Percent-encodes everything except letters, digits, `-`, `_`, `.` and `~`.
///
/// The server splits form bodies at `&` and `;` and cuts a value at a second `=`, and reads `+` as a blank,
/// so nothing of these may stand unescaped.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(escaped_length(text));
    escape_into(text, &mut out);
    out
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
}

/// How long a text is once it is escaped.
pub(super) fn escaped_length(text: &str) -> usize {
    let bytes = text.bytes();
    bytes
        .map(|byte| if is_unreserved(byte) { 1 } else { 3 })
        .sum()
}

pub(crate) fn escape_into(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if is_unreserved(byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Undoes [`escape`]; `+` stays, malformed escapes stay as they are, and bytes that are not UTF-8 are replaced.
pub fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |i: usize| bytes.get(i).and_then(|b| (*b as char).to_digit(16));
        if bytes[at] == b'%'
            && let (Some(high), Some(low)) = (hex(at + 1), hex(at + 2))
        {
            out.push((high * 16 + low) as u8);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
