//! What a strict reader finds wrong.

use std::collections::HashSet;

use super::table::Key;
use super::{ConfigFile, GuestKind, Part, Problem, What, keys};
use crate::property::check as property_check;
use crate::property::table::Kind;
use crate::property::{PropertyKeys, PropertyString};

pub(super) fn problems(file: &ConfigFile) -> Vec<Problem> {
    let table = match file.kind {
        GuestKind::Qemu => keys::QEMU,
        GuestKind::Lxc => keys::LXC,
    };
    let mut out = Vec::new();
    let mut parts: HashSet<Part> = HashSet::new();
    let mut seen: HashSet<String> = HashSet::new();
    for (part, number, line) in file.with_parts() {
        let mut tell = |column: usize, message: String| {
            let column = line.text[..column].chars().count() + 1;
            out.push(Problem {
                line: number + 1,
                column,
                message,
            });
        };
        match &line.what {
            What::Blank | What::Comment => {}
            What::Odd => tell(
                0,
                "neither `key: value` nor a comment nor a header".to_owned(),
            ),
            What::Header(part) => {
                seen.clear();
                if let Part::Other(name) = part {
                    tell(
                        0,
                        format!(
                            "[{}] is neither a snapshot's name nor a known part",
                            name.escape_debug()
                        ),
                    );
                } else if !parts.insert(part.clone()) {
                    tell(0, format!("this part stands twice: {}", line.text.trim()));
                }
            }
            What::Entry { key, value } => {
                if !seen.insert(key.clone()) {
                    // A container may repeat its raw keys.
                    if !key.starts_with("lxc.") {
                        tell(0, format!("`{key}` stands twice in this part"));
                    }
                }
                let text = &line.text[value.0..value.1];
                match (entry(table, file.kind, &part, key, text), text.is_empty()) {
                    (Err(Wrong::Key(message)), _) => tell(0, message),
                    (_, true) if key != "boot" => tell(value.0, format!("`{key}` has no value")),
                    (Err(Wrong::Values(wrong)), _) => {
                        for (place, message) in wrong {
                            tell(value.0 + place, message);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    out
}

enum Wrong {
    Key(String),
    /// With the place of each within the value, in bytes.
    Values(Vec<(usize, String)>),
}

fn entry(table: &[Key], guest: GuestKind, part: &Part, key: &str, text: &str) -> Result<(), Wrong> {
    if guest == GuestKind::Lxc && key.starts_with("lxc.") {
        return Ok(());
    }
    if key == "delete" && *part == Part::Pending {
        return Ok(());
    }
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &key[stem.len()..];
    // The server knows `net1`, not `net01`.
    let canonical = |number: &u16| number.to_string() == digits;
    let number = digits.parse::<u16>().ok().filter(canonical);
    let unknown = || Wrong::Key(format!("`{key}` is not a key of such a guest"));
    let plain = table
        .iter()
        .find(|known| known.last.is_none() && known.stem == key);
    let numbered = || {
        table
            .iter()
            .find(|known| known.last.is_some() && known.stem == stem)
    };
    let known = plain
        .or_else(|| number.and_then(|_| numbered()))
        .ok_or_else(unknown)?;
    if let (Some(last), Some(number)) = (known.last, number)
        && number > last
    {
        return Err(Wrong::Key(format!("`{key}`: the last one is {stem}{last}")));
    }
    match value(&known.kind, key, text) {
        wrong if wrong.is_empty() => Ok(()),
        wrong => Err(Wrong::Values(wrong)),
    }
}

/// What is wrong with a value, each with its place in bytes.
fn value(kind: &Kind, key: &str, text: &str) -> Vec<(usize, String)> {
    match kind {
        Kind::Property(subs) => PropertyString::parse(text)
            .problems(PropertyKeys(subs))
            .into_iter()
            .map(|problem| {
                let message = format!("`{key}.{}`: {}", problem.key, problem.message);
                (place_of(text, &problem.key), message)
            })
            .collect(),
        plain => property_check::value(plain, text)
            .err()
            .map(|why| (0, format!("`{key}`: {why}")))
            .into_iter()
            .collect(),
    }
}

/// Where a key stands in a property string, the last time if it stands twice; the beginning if it is not spelt out.
fn place_of(text: &str, key: &str) -> usize {
    let mut at = 0;
    let mut found = 0;
    for part in text.split(',') {
        if part.split_once('=').is_some_and(|(name, _)| name == key) {
            found = at;
        }
        at += part.len() + 1;
    }
    found
}
