//! Quantities of Kubernetes, such as `10Gi`.

/// Whole bytes of a quantity, rounded up; nothing when the text is no quantity or does not fit.
///
/// ```
/// assert_eq!(longhorn_model::quantity::bytes("2Mi"), Some(2 << 20));
/// assert_eq!(longhorn_model::quantity::bytes("1.5G"), Some(1_500_000_000));
/// assert_eq!(longhorn_model::quantity::bytes("ten"), None);
/// ```
#[must_use]
pub fn bytes(text: &str) -> Option<i64> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    // The value is mantissa * numerator / denominator, all whole numbers.
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let mut denominator = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let numerator: i128 = match suffix {
        "" => 1,
        "n" | "u" | "m" => {
            denominator = denominator.checked_mul(match suffix {
                "n" => 1_000_000_000,
                "u" => 1_000_000,
                _ => 1_000,
            })?;
            1
        }
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        "Ei" => 1 << 60,
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 {
                denominator = denominator.checked_mul(power)?;
                1
            } else {
                power
            }
        }
    };
    let product = mantissa.checked_mul(numerator)?;
    let rounded = product / denominator + i128::from(product % denominator != 0);
    i64::try_from(if negative { -rounded } else { rounded }).ok()
}
