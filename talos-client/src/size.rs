//! Sizes as text: `10GiB`, `2.5TB`, `-1GiB`, or a percentage.

/// Bytes; negative sizes leave that much free.
pub(crate) fn parse(text: &str) -> Result<f64, String> {
    let (negative, body) = text
        .strip_prefix('-')
        .map_or((false, text), |body| (true, body));
    let split = body
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','))
        .unwrap_or(body.len());
    let (number, unit) = body.split_at(split);
    let number: f64 = number
        .replace(',', "")
        .parse()
        .map_err(|_| format!("`{text}` is not a size"))?;
    let unit = unit.trim().to_lowercase();
    let scale = match unit.as_str() {
        "" | "b" => 1.0,
        "%" => 1.0,
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
    Ok(if negative {
        -number * scale
    } else {
        number * scale
    })
}
