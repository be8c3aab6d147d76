//! Sizes as text: `10GiB`, `2.5TB`, `-1GiB`, or a percentage.

use crate::quote::quote;

/// Bytes; negative sizes leave that much free. A percentage is 0 to 100.
pub(crate) fn parse(text: &str) -> Result<f64, String> {
    let (negative, body) = text
        .strip_prefix('-')
        .map_or((false, text), |body| (true, body));
    let value = if text.contains('%') {
        percentage(text, body)?
    } else {
        bytes(body)? as f64
    };
    Ok(if negative { -value } else { value })
}

fn percentage(text: &str, body: &str) -> Result<f64, String> {
    let number = text
        .ends_with('%')
        .then(|| &body[..body.len() - 1])
        .ok_or("percentage must end with '%'")?;
    let value: f64 = number
        .parse()
        .map_err(|_| format!("invalid percentage value: {}", not_a_number(number)))?;
    if (0.0..=100.0).contains(&value) {
        Ok(value.trunc())
    } else {
        Err(format!("percentage must be between 0 and 100, got {value}"))
    }
}

fn not_a_number(text: &str) -> String {
    format!(
        "strconv.ParseFloat: parsing {}: invalid syntax",
        quote(text)
    )
}

/// A number of bytes without a sign.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number = number.replace(',', "");
    let value: f64 = number.parse().map_err(|_| not_a_number(&number))?;
    let unit = unit.trim().to_lowercase();
    let scale = match unit.as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "p" | "pb" => 1e15,
        "e" | "eb" => 1e18,
        "ki" | "kib" => 1024.0,
        "mi" | "mib" => 1024.0 * 1024.0,
        "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "ti" | "tib" => 1024.0_f64.powi(4),
        "pi" | "pib" => 1024.0_f64.powi(5),
        "ei" | "eib" => 1024.0_f64.powi(6),
        other => return Err(format!("unhandled size name: {other}")),
    };
    let total = value * scale;
    if total >= 18_446_744_073_709_551_615.0 {
        return Err(format!("too large: {text}"));
    }
    Ok(total as u64)
}
