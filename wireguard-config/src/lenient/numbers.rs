//! Numbers as the C library reads them.

/// `strtoul` on a 64-bit system: an optional sign, digits of the base (16 may begin with `0x`), a minus that
/// negates modulo 2^64, saturation on overflow. Gives the value and the rest; without digits 0 and the whole text.
pub(super) fn strtoul(text: &[u8], base: u64) -> (u64, &[u8]) {
    let (negative, mut rest) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let digit = |c: u8| (c as char).to_digit(base as u32).map(u64::from);
    if base == 16
        && let [b'0', b'x' | b'X', next, ..] = rest
        && digit(*next).is_some()
    {
        rest = &rest[2..];
    }
    let mut value = Some(0u64);
    let mut any = false;
    while let Some(d) = rest.first().and_then(|&c| digit(c)) {
        value = value
            .and_then(|v| v.checked_mul(base))
            .and_then(|v| v.checked_add(d));
        rest = &rest[1..];
        any = true;
    }
    match (any, value) {
        (false, _) => (0, text),
        (_, None) => (u64::MAX, rest),
        (_, Some(v)) if negative => (v.wrapping_neg(), rest),
        (_, Some(v)) => (v, rest),
    }
}

/// The whole text as an unsigned number with a base by its prefix (`0x`, `0`), as `ip` reads numbers.
pub(super) fn any_base(text: &str) -> Option<u32> {
    let (digits, base) =
        if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            (hex, 16)
        } else if text.len() > 1 && text.starts_with('0') {
            (&text[1..], 8)
        } else {
            (text, 10)
        };
    let plain = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_alphanumeric());
    plain
        .then(|| u32::from_str_radix(digits, base).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::{any_base, strtoul};

    #[test]
    fn signs_wrap_and_overflow_saturates() {
        assert_eq!(strtoul(b"+12x", 10), (12, &b"x"[..]));
        assert_eq!(strtoul(b"-1", 10), (u64::MAX, &b""[..]));
        assert_eq!(strtoul(b"-18446744073709551615", 10), (1, &b""[..]));
        assert_eq!(strtoul(b"18446744073709551616", 10), (u64::MAX, &b""[..]));
        assert_eq!(strtoul(b"-", 10), (0, &b"-"[..]));
        assert_eq!(strtoul(b"0xfg", 16), (15, &b"g"[..]));
        assert_eq!(strtoul(b"0x", 16), (0, &b"x"[..]));
    }

    #[test]
    fn the_prefix_chooses_the_base() {
        assert_eq!(any_base("0x10"), Some(16));
        assert_eq!(any_base("010"), Some(8));
        assert_eq!(any_base("10"), Some(10));
        assert_eq!(any_base("08"), None);
        assert_eq!(any_base(""), None);
    }
}
