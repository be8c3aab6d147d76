//! What a plain scalar means, by the rules of the YAML library that Talos uses (YAML 1.2 core with 1.1 leftovers).

/// A resolved plain scalar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Timestamp,
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
    if is_timestamp(text) {
        return Resolved::Timestamp;
    }
    number(text).unwrap_or(Resolved::Text)
}

fn number(text: &str) -> Option<Resolved> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    if let Some(magnitude) = unsigned(digits) {
        return match (negative, magnitude) {
            (true, n) if n <= 1 << 63 => Some(Resolved::Int((n as i64).wrapping_neg())),
            (true, _) => float(&plain).map(Resolved::Float),
            (false, n) => Some(i64::try_from(n).map_or(Resolved::Uint(n), Resolved::Int)),
        };
    }
    float(&plain).map(Resolved::Float)
}

/// Decimal, `0x`, `0b`, `0o` and the leading-zero octal form.
pub(crate) fn unsigned(digits: &str) -> Option<u64> {
    if !digits.bytes().next()?.is_ascii_digit() {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0b", 2), ("0o", 8)] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            return if rest.starts_with('+') {
                None
            } else {
                u64::from_str_radix(rest, radix).ok()
            };
        }
    }
    match digits.strip_prefix('0') {
        Some(rest) if !rest.is_empty() => u64::from_str_radix(rest, 8).ok(),
        _ => digits.parse().ok(),
    }
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

/// `2026-1-2`, optionally with a time: such text is quoted when printed.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let short = |part: &str, low: u32, high: u32| {
        (1..=2).contains(&part.len())
            && part.parse().is_ok_and(|n: u32| (low..=high).contains(&n))
            && !part.starts_with('+')
    };
    let parts: Vec<&str> = date.split('-').collect();
    if parts.len() != 3 || !short(parts[1], 1, 12) || !short(parts[2], 1, 31) {
        return false;
    }
    let Some(time) = time else { return true };
    let zone_less = time
        .strip_suffix('Z')
        .or_else(|| time.rfind(['+', '-']).map(|at| &time[..at]))
        .unwrap_or(time);
    let clock = zone_less.split('.').next().unwrap_or_default();
    let fields: Vec<&str> = clock.split(':').collect();
    fields.len() == 3
        && short(fields[0], 0, 23)
        && short(fields[1], 0, 59)
        && short(fields[2], 0, 59)
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
