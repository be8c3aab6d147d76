//! What a plain scalar means, by the rules of the YAML library that Talos uses (YAML 1.2 core with 1.1 leftovers).

use zeroize::Zeroizing;

use super::{MERGE, NodeKind};

/// A resolved plain scalar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// In the form in which it is printed.
    Timestamp(String),
    Merge,
    Text,
}

pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// `yes`, `on` and their kind: text on their own, booleans where a boolean is expected.
pub(crate) fn old_bool(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// A scalar that has its tag; the error says why it cannot have it.
pub(super) fn node(
    text: Zeroizing<String>,
    plain: bool,
    tag: Option<String>,
) -> Result<NodeKind, String> {
    let mut kind = NodeKind::Scalar { text, plain, tag };
    let NodeKind::Scalar { text, tag, .. } = &mut kind else {
        return Ok(kind);
    };
    let found = match resolve(text) {
        Resolved::Null => "!!null",
        Resolved::Bool(_) => "!!bool",
        Resolved::Int(_) | Resolved::Uint(_) => "!!int",
        Resolved::Float(_) => "!!float",
        Resolved::Timestamp(_) => "!!timestamp",
        Resolved::Merge => MERGE,
        Resolved::Text => "!!str",
    };
    match tag.as_deref() {
        None if plain && found == MERGE => *tag = Some(MERGE.to_owned()),
        Some("!!binary") => {
            let bytes = crate::encoding::base64(text).ok();
            let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let decoded = decoded.ok_or("!!binary value contains invalid base64 data")?;
            *text = Zeroizing::new(decoded);
            *tag = Some("!!str".to_owned());
        }
        Some("!!float") if found == "!!int" => {}
        Some(said @ ("!!null" | "!!bool" | "!!int" | "!!float" | "!!timestamp"))
            if said != found =>
        {
            let text = text.as_str();
            return Err(format!("cannot construct {found} `{text}` as a {said}"));
        }
        _ => {}
    }
    Ok(kind)
}

/// What a scalar means with the tag that it has: text unless it is plain or a tag says otherwise.
pub(crate) fn resolve_tagged(text: &str, plain: bool, tag: Option<&str>) -> Resolved {
    match (tag, resolve(text)) {
        (Some("!!float"), Resolved::Int(number)) => Resolved::Float(number as f64),
        (Some("!!null" | "!!bool" | "!!int" | "!!float" | "!!timestamp"), found) => found,
        (None, found) if plain => found,
        _ => Resolved::Text,
    }
}

pub(crate) fn resolve(text: &str) -> Resolved {
    match text {
        _ if is_null(text) => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Resolved::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        "-0" | "-0.0" => return Resolved::Float(-0.0),
        "<<" => return Resolved::Merge,
        _ => {}
    }
    let Some(first) = text.bytes().next() else {
        return Resolved::Null;
    };
    if first == b'.' {
        return float(text).map_or(Resolved::Text, Resolved::Float);
    }
    if !(first.is_ascii_digit() || first == b'+' || first == b'-') {
        return Resolved::Text;
    }
    if let Some(timestamp) = timestamp(text) {
        return Resolved::Timestamp(timestamp);
    }
    number(text).unwrap_or(Resolved::Text)
}

fn number(text: &str) -> Option<Resolved> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let (sign, digits) = match plain.as_bytes().first()? {
        sign @ (b'-' | b'+') => (Some(*sign), &plain[1..]),
        _ => (None, plain.as_str()),
    };
    let whole = unsigned(digits).and_then(|magnitude| match (sign, magnitude) {
        (Some(b'-'), n) if n <= 1 << 63 => Some(Resolved::Int((n as i64).wrapping_neg())),
        (_, n) if i64::try_from(n).is_ok() => Some(Resolved::Int(n as i64)),
        (None, n) => Some(Resolved::Uint(n)),
        _ => None,
    });
    whole.or_else(|| float(&plain).map(Resolved::Float))
}

/// Decimal, `0x`, `0b`, `0o` and the leading-zero octal form.
fn unsigned(digits: &str) -> Option<u64> {
    let lower = digits.to_ascii_lowercase();
    let (rest, radix) = [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)]
        .iter()
        .find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix)?, *radix)))
        .filter(|(rest, _)| !rest.is_empty())
        .unwrap_or((lower.as_str(), 10));
    let signed = rest.starts_with(['+', '-']);
    u64::from_str_radix(rest, radix).ok().filter(|_| !signed)
}

fn float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let valid = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_valid = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    if valid && exponent_valid {
        // A number that is too large for one is text.
        text.parse().ok().filter(|number: &f64| number.is_finite())
    } else {
        None
    }
}

/// A date (`2026-1-2`), optionally with a time, in the form in which it is printed; such text is quoted.
pub(crate) fn timestamp(text: &str) -> Option<String> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    let number = |part: &str, widest: usize| -> Option<u32> {
        let digits = part.bytes().all(|b| b.is_ascii_digit());
        (digits && (1..=widest).contains(&part.len())).then(|| part.parse().ok())?
    };
    let mut parts = date.splitn(3, '-');
    let year = parts.next().filter(|year| year.len() == 4)?;
    let (month, day) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let year = number(year, 4)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    let Some((separator, time)) = time else {
        return Some(format!("{date}T00:00:00Z"));
    };
    // Only a time after a space has no zone.
    let (clock, zone) = match time.find(['Z', '+', '-']) {
        None if separator == b' ' => (time, "Z"),
        Some(at) if separator != b' ' => time.split_at(at),
        _ => return None,
    };
    let (clock, fraction) = match clock.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let mut fields = clock.split(':');
    let mut field = |limit: u32| number(fields.next()?, 2).filter(|n| *n < limit);
    let (hour, minute, second) = (field(24)?, field(60)?, field(60)?);
    if fields.next().is_some() {
        return None;
    }
    let fraction = match fraction {
        Some(digits) if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) => {
            return None;
        }
        Some(digits) => digits[..digits.len().min(9)].trim_end_matches('0'),
        None => "",
    };
    let zone = match zone {
        "Z" => zone,
        _ => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let fits =
                |part: &str, limit| part.len() == 2 && number(part, 2).is_some_and(|n| n < limit);
            if !fits(hours, 25) || !fits(minutes, 61) {
                return None;
            }
            if (hours, minutes) == ("00", "00") {
                "Z"
            } else {
                zone
            }
        }
    };
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!(
        "{date}T{hour:02}:{minute:02}:{second:02}{dot}{fraction}{zone}"
    ))
}

/// Sexagesimal numbers of YAML 1.1 (`190:20:30`), which are quoted when printed.
pub(crate) fn is_base60(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = body.split(':');
    let head = parts.next().unwrap_or_default();
    if !head.bytes().next().is_some_and(|b| b.is_ascii_digit())
        || !head.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    {
        return false;
    }
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else {
        return false;
    };
    let sixty = |part: &str| match part.as_bytes() {
        [a] => a.is_ascii_digit(),
        [a, b] => (b'0'..=b'5').contains(a) && b.is_ascii_digit(),
        _ => false,
    };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    middle.iter().all(|part| sixty(part))
        && sixty(last)
        && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// Text that reads back as the same text without quotes.
pub(crate) fn is_plain_text(text: &str) -> bool {
    resolve(text) == Resolved::Text
}
