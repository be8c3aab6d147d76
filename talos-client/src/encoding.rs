//! Base64 with the place of the first wrong byte.

/// Decodes the standard alphabet with padding; line breaks are passed over. The error is the number of the wrong byte.
pub(crate) fn base64(text: &str) -> Result<Vec<u8>, usize> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let mut at = 0;
    let skip = |mut at: usize| {
        while at < bytes.len() && matches!(bytes[at], b'\n' | b'\r') {
            at += 1;
        }
        at
    };
    loop {
        let mut group = [0_u8; 4];
        let mut filled = 0;
        let mut padded = false;
        while filled < 4 {
            at = skip(at);
            let Some(byte) = bytes.get(at) else {
                if filled == 0 {
                    return Ok(out);
                }
                return Err(at - filled);
            };
            at += 1;
            if let Some(value) = value(*byte) {
                group[filled] = value;
                filled += 1;
                continue;
            }
            if *byte != b'=' || filled < 2 {
                return Err(at - 1);
            }
            if filled == 2 {
                at = skip(at);
                match bytes.get(at) {
                    None => return Err(bytes.len()),
                    Some(b'=') => at += 1,
                    Some(_) => return Err(at - 1),
                }
            }
            at = skip(at);
            if at < bytes.len() {
                return Err(at);
            }
            padded = true;
            break;
        }
        let [a, b, c, d] = group;
        let three = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
        out.extend_from_slice(&three[..filled - 1]);
        if padded {
            return Ok(out);
        }
    }
}

fn value(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// What is said of text that is not base64.
pub(crate) fn illegal(byte: usize) -> String {
    format!("illegal base64 data at input byte {byte}")
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn the_wrong_byte_is_named() {
        assert_eq!(base64("YWJj"), Ok(b"abc".to_vec()));
        assert_eq!(base64("YW\nI="), Ok(b"ab".to_vec()));
        assert_eq!(base64("YQ=="), Ok(b"a".to_vec()));
        assert_eq!(base64("a b"), Err(1));
        assert_eq!(base64("YWJ"), Err(0));
        assert_eq!(base64("YQ=x"), Err(2));
        assert_eq!(base64("YQ==x"), Err(4));
    }
}
