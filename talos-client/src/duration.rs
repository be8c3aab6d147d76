//! Durations in the notation of the machine configuration (`1h30m`, `168h0m0s`), as nanoseconds.

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Nanoseconds; the error says what is wrong with the text.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a duration");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("{}: a unit is missing", wrong()))?;
        let number = &rest[..digits];
        if !number.bytes().any(|b| b.is_ascii_digit()) || number.matches('.').count() > 1 {
            return Err(wrong());
        }
        rest = &rest[digits..];
        let unit_length = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = &rest[..unit_length];
        let scale = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, scale)| *scale)
            .ok_or_else(|| format!("{}: unknown unit `{unit}`", wrong()))?;
        rest = &rest[unit_length..];
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: i64 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| wrong())?
        };
        total = whole
            .checked_mul(scale)
            .and_then(|whole| whole.checked_add(part_of(scale, fraction)))
            .and_then(|number| total.checked_add(number))
            .ok_or_else(wrong)?;
    }
    Ok(if negative { -total } else { total })
}

/// So many nanoseconds of a unit as the digits behind the point say; the rest below one is dropped. Digits beyond the
/// eighteenth are not looked at.
fn part_of(scale: i64, digits: &str) -> i64 {
    let digits = &digits[..digits.len().min(18)];
    let number: i128 = digits.parse().unwrap_or_default();
    let power = 10_i128.pow(u32::try_from(digits.len()).unwrap_or_default());
    i64::try_from(number * i128::from(scale) / power).unwrap_or_default()
}

/// The normalized text: `1h30m0s`, `300ms`, `0s`.
pub(crate) fn print(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let value = nanoseconds.unsigned_abs();
    let fraction = |value: u64, scale: u64| {
        let (whole, rest) = (value / scale, value % scale);
        if rest == 0 {
            return whole.to_string();
        }
        let width = scale.to_string().len() - 1;
        format!(
            "{whole}.{}",
            format!("{rest:0width$}").trim_end_matches('0')
        )
    };
    match value {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{value}ns"),
        1_000..1_000_000 => format!("{sign}{}\u{b5}s", fraction(value, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", fraction(value, 1_000_000)),
        _ => {
            let minutes = value / 60_000_000_000;
            let seconds = fraction(value % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, m) => format!("{sign}{m}m{seconds}s"),
                (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact() {
        for (text, nanoseconds) in [
            ("0.000249s", 249_000),
            ("1.000000997s", 1_000_000_997),
            ("1.5h", 5_400_000_000_000),
            (".5ms", 500_000),
            ("0.4ns1.1us", 1_100),
            ("-0.0000000019s", -1),
        ] {
            assert_eq!(parse(text), Ok(nanoseconds), "{text}");
        }
        for nanoseconds in (1..2_000_000_000).step_by(997_013) {
            assert_eq!(parse(&print(nanoseconds)), Ok(nanoseconds));
        }
    }
}
