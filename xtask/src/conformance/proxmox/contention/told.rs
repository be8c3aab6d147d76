//! What an answer and the end of a task are called when they are counted.

use proxmox_client::wire::unescape;
use serde_json::Value;

/// A request with its answer: method, path, status and reason, their numbers taken out.
pub(super) fn told(case: &Value, status: u16, reason: &str) -> String {
    let path = case["path"].as_str().unwrap_or_default();
    let segments: Vec<String> = path
        .split('/')
        .map(|part| segment(&unescape(part)))
        .collect();
    format!(
        "{} {} {status} {}",
        case["method"].as_str().unwrap_or_default(),
        segments.join("/"),
        template(reason)
    )
}

fn segment(part: &str) -> String {
    if part.starts_with("UPID:") {
        "{upid}".to_owned()
    } else {
        template(part)
    }
}

/// A text with its numbers taken out.
pub(super) fn template(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        if !digits.is_empty() {
            out.push('N');
        }
        out.push_str(&word[digits.len()..]);
    }
    out.replace("pveN", "pve1")
}
