//! Resource quantities (`500m`, `1Gi`), in thousandths.

/// Reads a quantity in thousandths of its unit; `None` when it is not one.
pub(crate) fn milli(text: &str) -> Option<i128> {
    let split = text.find(|one: char| !(one.is_ascii_digit() || matches!(one, '.' | '+' | '-')));
    let (digits, suffix) = text.split_at(split.unwrap_or(text.len()));
    let (factor, suffix): (i128, &str) = match suffix {
        "" => (1_000, ""),
        "m" => (1, ""),
        "k" => (1_000_000, ""),
        "M" => (1_000_000_000, ""),
        "G" => (1_000_000_000_000, ""),
        "T" => (1_000_000_000_000_000, ""),
        "P" => (1_000_000_000_000_000_000, ""),
        "Ki" => (1_000 << 10, ""),
        "Mi" => (1_000 << 20, ""),
        "Gi" => (1_000 << 30, ""),
        "Ti" => (1_000 << 40, ""),
        "Pi" => (1_000 << 50, ""),
        other => (1_000, other),
    };
    let exponent: u32 = match suffix.strip_prefix(['e', 'E']) {
        Some(digits) => digits.parse().ok()?,
        None if suffix.is_empty() => 0,
        None => return None,
    };
    let factor = factor.checked_mul(10i128.checked_pow(exponent)?)?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut value = whole.checked_mul(factor)?;
    let mut place = factor;
    for digit in fraction.chars() {
        place /= 10;
        value = value.checked_add(i128::from(digit.to_digit(10)?).checked_mul(place)?)?;
    }
    Some(value)
}

/// The quantity as bytes or units, rounded up; zero when it is not one.
pub(crate) fn units(text: &str) -> u64 {
    milli(text)
        .and_then(|one| u64::try_from((one + 999) / 1_000).ok())
        .unwrap_or_default()
}
