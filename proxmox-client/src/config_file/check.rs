//! What a strict reader finds wrong.

use std::collections::HashSet;

use super::table::{Key, Kind, Sub};
use super::{ConfigFile, GuestKind, Part, Problem, What, keys};
use crate::scalar::parse_bool;

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
                    (Err(Wrong::Value(message)), _) => tell(value.0, message),
                    _ => {}
                }
            }
        }
    }
    out
}

enum Wrong {
    Key(String),
    Value(String),
}

fn entry(table: &[Key], guest: GuestKind, part: &Part, key: &str, text: &str) -> Result<(), Wrong> {
    if guest == GuestKind::Lxc && key.starts_with("lxc.") {
        return Ok(());
    }
    if key == "delete" && *part == Part::Pending {
        return Ok(());
    }
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = key[stem.len()..].parse::<u16>().ok();
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
    value(&known.kind, key, text).map_err(Wrong::Value)
}

fn value(kind: &Kind, key: &str, text: &str) -> Result<(), String> {
    let shown = text.escape_debug();
    match kind {
        Kind::Text => Ok(()),
        Kind::Flag => match parse_bool(text) {
            Some(_) => Ok(()),
            None => Err(format!("`{key}`: `{shown}` is not a flag (0 or 1)")),
        },
        Kind::Number => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(()),
            _ => Err(format!("`{key}`: `{shown}` is not a number")),
        },
        Kind::Integer(low, high) => {
            let number: i64 = text
                .parse()
                .map_err(|_| format!("`{key}`: `{shown}` is not a whole number"))?;
            match (low, high) {
                (Some(low), _) if number < *low => {
                    Err(format!("`{key}`: {number} is less than {low}"))
                }
                (_, Some(high)) if number > *high => {
                    Err(format!("`{key}`: {number} is more than {high}"))
                }
                _ => Ok(()),
            }
        }
        Kind::Enum(values) if values.contains(&text) => Ok(()),
        Kind::Enum(values) => Err(format!(
            "`{key}`: `{shown}` is none of {}",
            values.join(", ")
        )),
        Kind::Property(subs) => property(subs, key, text),
    }
}

fn property(subs: &[Sub], key: &str, text: &str) -> Result<(), String> {
    let mut seen: Vec<&str> = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let found = match part.split_once('=') {
            Some((name, inner)) => subs
                .iter()
                .find(|sub| sub.name == name)
                .map(|sub| (sub, inner)),
            None => None,
        };
        let (sub, inner) =
            match found.or_else(|| subs.iter().find(|sub| sub.bare).map(|sub| (sub, part))) {
                // A bare value may hold `=`; one that looks like a key is taken for one.
                Some((sub, inner)) if found.is_some() || !looks_like_key(part) => (sub, inner),
                _ => {
                    let name = part.split('=').next().unwrap_or(part);
                    return Err(format!(
                        "`{key}`: `{}` is not one of its keys",
                        name.escape_debug()
                    ));
                }
            };
        let name = sub.alias.unwrap_or(sub.name);
        if seen.contains(&name) {
            return Err(format!("`{key}`: `{name}` stands twice"));
        }
        seen.push(name);
        // The name of a network card's model stands for its address and its model.
        if sub.alias == Some("macaddr") {
            seen.push("model");
        }
        value(&sub.kind, &format!("{key}.{name}"), inner)?;
    }
    match subs
        .iter()
        .find(|sub| sub.required && !seen.contains(&sub.name))
    {
        Some(sub) => Err(format!("`{key}`: `{}` is missing", sub.name)),
        None => Ok(()),
    }
}

fn looks_like_key(part: &str) -> bool {
    part.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}
