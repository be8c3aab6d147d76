//! Base64 and hexadecimal of 32 bytes: for secrets without branches or table look-ups that depend on the content, for
//! public keys with tables.

use zeroize::Zeroize;

use crate::error::{Error, ErrorKind};

/// Why 44 characters are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFault {
    /// The text has another length.
    Length,
    /// The length is right, or one short, and the closing `=` is missing.
    Padding,
    /// A character outside the alphabet.
    Alphabet,
    /// `-` or `_` of the URL-safe alphabet.
    UrlSafe,
    /// The unused bits of the last character are not zero.
    Tail,
    /// Quotes around the value.
    Quoted,
    /// A non-ASCII character, such as a no-break space.
    NonAscii,
    /// A text in angle brackets or the like, left over from a template.
    Placeholder,
}

impl KeyFault {
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::Length => "key-length",
            Self::Padding => "key-padding",
            Self::Alphabet => "key-alphabet",
            Self::UrlSafe => "key-url-safe",
            Self::Tail => "key-tail",
            Self::Quoted => "quoted-value",
            Self::NonAscii => "non-ascii",
            Self::Placeholder => "key-placeholder",
        }
    }

    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Length => "a key must be 44 base64 characters (32 bytes)",
            Self::Padding => "the key lacks its closing = padding",
            Self::Alphabet => "the key has a character outside base64",
            Self::UrlSafe => "the URL-safe base64 alphabet (- and _) is not accepted",
            Self::Tail => "the key has non-zero trailing bits in its last base64 character",
            Self::Quoted => "quotes are not allowed around values",
            Self::NonAscii => {
                "a non-ASCII character, perhaps a non-ASCII space, is inside the value"
            }
            Self::Placeholder => "a placeholder stands instead of the key",
        }
    }

    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Length | Self::Padding | Self::Tail => {
                "copy the whole line that `wg genkey`, `wg pubkey` or `wg genpsk` printed"
            }
            Self::Alphabet => "only A-Z a-z 0-9 + / and one = at the end",
            Self::UrlSafe => "replace - by + and _ by /",
            Self::Quoted => "remove the quotes",
            Self::NonAscii => "type the line again with ordinary spaces",
            Self::Placeholder => "put in a real key",
        }
    }

    pub(crate) fn into_error(self, what: &str) -> Error {
        Error::new(ErrorKind::Key, format!("{what}: {}", self.reason())).with_hint(self.hint())
    }
}

/// 0xff when `low <= c < low + count`, else 0; one subtraction and comparison, so that loops become vector code.
const fn within(c: u8, low: u8, count: u8) -> u8 {
    0u8.wrapping_sub((c.wrapping_sub(low) < count) as u8)
}

/// 0..=63 for a character of the alphabet, 0xff for any other.
const fn sextet(c: u8) -> u8 {
    let upper = within(c, b'A', 26);
    let lower = within(c, b'a', 26);
    let digit = within(c, b'0', 10);
    let plus = within(c, b'+', 1);
    let slash = within(c, b'/', 1);
    let value = (upper & c.wrapping_sub(b'A'))
        | (lower & c.wrapping_sub(b'a' - 26))
        | (digit & c.wrapping_add(52 - b'0'))
        | (plus & 62)
        | (slash & 63);
    value | !(upper | lower | digit | plus | slash)
}

/// The character of a value 0..=63.
const fn character(v: u8) -> u8 {
    let upper = within(v, 0, 26);
    let lower = within(v, 26, 26);
    let digit = within(v, 52, 10);
    let plus = within(v, 62, 1);
    let slash = within(v, 63, 1);
    (upper & v.wrapping_add(b'A'))
        | (lower & v.wrapping_add(b'a' - 26))
        | (digit & v.wrapping_sub(52 - b'0'))
        | (plus & b'+')
        | (slash & b'/')
}

/// Decodes a secret into `key`, which is wiped again when the text is refused.
pub(crate) fn from_base64(text: &[u8], key: &mut [u8; 32]) -> Result<(), KeyFault> {
    let Ok(text) = <&[u8; 44]>::try_from(text) else {
        return Err(explain(text));
    };
    let mut values = text.map(sextet);
    // The last character is the padding; the one before has two unused bits.
    values[43] = text[43] ^ b'=';
    let bad =
        (values[..43].iter().fold(0, |bad, v| bad | v) & 0xc0) | (values[42] & 3) | values[43];
    for i in 0..10 {
        let v = &values[i * 4..i * 4 + 4];
        key[i * 3] = v[0] << 2 | v[1] >> 4;
        key[i * 3 + 1] = v[1] << 4 | v[2] >> 2;
        key[i * 3 + 2] = v[2] << 6 | v[3];
    }
    key[30] = values[40] << 2 | values[41] >> 4;
    key[31] = values[41] << 4 | values[42] >> 2;
    values.zeroize();
    if bad == 0 {
        return Ok(());
    }
    key.zeroize();
    Err(explain(text))
}

/// The values of four characters in a row, each at its place in their 24 bits; [`FOREIGN`] outside the alphabet.
static PLACED: [[u32; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let mut c = 0;
    while c < 256 {
        let value = sextet(c as u8) as u32;
        let mut place = 0;
        while place < 4 {
            tables[place][c] = if value < 64 {
                value << (18 - 6 * place)
            } else {
                FOREIGN
            };
            place += 1;
        }
        c += 1;
    }
    tables
};

const FOREIGN: u32 = 1 << 31;

/// Decodes what is no secret, by look-up, in a third of the time.
pub(crate) fn public_from_base64(text: &[u8]) -> Result<[u8; 32], KeyFault> {
    let Ok(digits) = <&[u8; 44]>::try_from(text) else {
        return Err(explain(text));
    };
    let four = |at: usize, last: u8| {
        PLACED[0][usize::from(digits[at])]
            | PLACED[1][usize::from(digits[at + 1])]
            | PLACED[2][usize::from(digits[at + 2])]
            | PLACED[3][usize::from(last)]
    };
    let mut key = [0; 32];
    let mut bad = 0;
    for (group, three) in key[..30].chunks_exact_mut(3).enumerate() {
        let bits = four(group * 4, digits[group * 4 + 3]);
        bad |= bits;
        three.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    // The padding stands for six zero bits, and two bits before it are unused.
    let bits = four(40, b'A');
    bad |= bits | (bits & 0xff) << 24 | u32::from(digits[43] ^ b'=') << 24;
    key[30..].copy_from_slice(&bits.to_be_bytes()[1..3]);
    if bad & 0xff00_0000 != 0 {
        return Err(explain(text));
    }
    Ok(key)
}

/// The most helpful reason; only reached when the text is refused, so it may look at the content.
fn explain(text: &[u8]) -> KeyFault {
    let outer = (text.first(), text.last());
    if matches!(outer, (Some(b'"'), Some(b'"')) | (Some(b'\''), Some(b'\''))) {
        return KeyFault::Quoted;
    }
    if text.iter().any(|c| !c.is_ascii()) {
        return KeyFault::NonAscii;
    }
    if text.iter().any(|c| b"<>{}$[]".contains(c)) {
        return KeyFault::Placeholder;
    }
    let digits = text.strip_suffix(b"=").unwrap_or(text);
    let alphabet = digits.iter().all(|&c| sextet(c) < 64);
    if text.len() == 44 && digits.len() == 43 && alphabet {
        return KeyFault::Tail;
    }
    if (text.len() == 43 || text.len() == 44) && digits.len() == text.len() && alphabet {
        return KeyFault::Padding;
    }
    if text.len() == 44 || text.len() == 43 {
        let url_safe = digits
            .iter()
            .all(|&c| sextet(c) < 64 || c == b'-' || c == b'_');
        return if url_safe {
            KeyFault::UrlSafe
        } else {
            KeyFault::Alphabet
        };
    }
    KeyFault::Length
}

pub(crate) fn to_base64(key: &[u8; 32]) -> [u8; 44] {
    let mut values = [0u8; 44];
    for i in 0..10 {
        let (a, b, c) = (key[i * 3], key[i * 3 + 1], key[i * 3 + 2]);
        values[i * 4] = a >> 2;
        values[i * 4 + 1] = (a << 4 | b >> 4) & 63;
        values[i * 4 + 2] = (b << 2 | c >> 6) & 63;
        values[i * 4 + 3] = c & 63;
    }
    let (a, b) = (key[30], key[31]);
    values[40] = a >> 2;
    values[41] = (a << 4 | b >> 4) & 63;
    values[42] = b << 2 & 63;
    let mut out = values.map(character);
    values.zeroize();
    out[43] = b'=';
    out
}

pub(crate) fn to_hex(key: &[u8; 32]) -> [u8; 64] {
    const fn digit(v: u8) -> u8 {
        let v = v as i16;
        (v + b'0' as i16 + (((9 - v) >> 8) & 39)) as u8
    }
    let mut out = [0; 64];
    for (i, byte) in key.iter().enumerate() {
        out[i * 2] = digit(byte >> 4);
        out[i * 2 + 1] = digit(byte & 15);
    }
    out
}

/// Decodes a secret into `key`, which is wiped again when the text is refused (`false`).
pub(crate) fn from_hex(text: &[u8], key: &mut [u8; 32]) -> bool {
    let Ok(text) = <&[u8; 64]>::try_from(text) else {
        return false;
    };
    let mut bad = 0u8;
    for i in 0..32 {
        let (high, low) = (nibble(text[i * 2]), nibble(text[i * 2 + 1]));
        bad |= (high | low) & 0xf0;
        key[i] = high << 4 | (low & 15);
    }
    if bad != 0 {
        key.zeroize();
    }
    bad == 0
}

/// 0..=15 for a hexadecimal digit of either case, 0xff for any other character.
const fn nibble(c: u8) -> u8 {
    let digit = within(c, b'0', 10);
    let upper = within(c, b'A', 6);
    let lower = within(c, b'a', 6);
    let value = (digit & c.wrapping_sub(b'0'))
        | (upper & c.wrapping_sub(b'A' - 10))
        | (lower & c.wrapping_sub(b'a' - 10));
    value | !(digit | upper | lower)
}

/// The digits as text; they are ASCII by construction.
pub(crate) fn as_str(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{character, from_base64, nibble, public_from_base64, sextet, to_base64};

    #[test]
    fn public_and_secret_keys_are_read_alike_whatever_one_character_is() {
        let key: [u8; 32] = std::array::from_fn(|i| (i * 151 + 7) as u8);
        let good = to_base64(&key);
        assert_eq!(public_from_base64(&good), Ok(key));
        for at in 0..44 {
            for c in 0..=255 {
                let mut text = good;
                text[at] = c;
                let mut secret = [0; 32];
                let read = from_base64(&text, &mut secret).map(|()| secret);
                assert_eq!(public_from_base64(&text), read, "{c} at {at}");
            }
        }
        assert!(public_from_base64(&good[..43]).is_err());
    }

    #[test]
    fn the_alphabet_maps_both_ways_and_nothing_else_maps() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (value, &c) in alphabet.iter().enumerate() {
            assert_eq!(sextet(c) as usize, value);
            assert_eq!(character(value as u8), c);
        }
        for c in (0..=255).filter(|c| !alphabet.contains(c)) {
            assert_eq!(sextet(c), 0xff, "{c}");
        }
    }

    #[test]
    fn hexadecimal_digits_of_both_cases_and_nothing_else() {
        for c in 0..=255u8 {
            let expected = (c as char).to_digit(16).map_or(0xff, |v| v as u8);
            assert_eq!(nibble(c), expected, "{c}");
        }
    }
}
