//! The outline of DER: one element after the other, without a meaning.

/// An element: identifier, length, content.
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
    pub(crate) rest: &'a [u8],
}

/// The first element of the input.
pub(crate) fn element(input: &[u8]) -> Option<Element<'_>> {
    let (tag, length) = (*input.first()?, *input.get(1)?);
    let (length, head) = if length < 0x80 {
        (usize::from(length), 2)
    } else {
        let bytes = usize::from(length & 0x7f);
        let encoded = input
            .get(2..2 + bytes)
            .filter(|_| (1..=4).contains(&bytes))?;
        (
            encoded
                .iter()
                .fold(0, |value, byte| value << 8 | usize::from(*byte)),
            2 + bytes,
        )
    };
    let end = head.checked_add(length)?;
    Some(Element {
        tag,
        content: input.get(head..end)?,
        whole: input.get(..end)?,
        rest: input.get(end..)?,
    })
}

/// The element with this identifier and content.
#[cfg(feature = "pki")]
pub(crate) fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let bytes = length.to_be_bytes();
    let significant = &bytes[(length.leading_zeros() / 8) as usize..];
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            out.push(0x80 | significant.len() as u8);
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(all(test, feature = "pki"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrapped_is_found_again_at_every_length() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![7; length];
            let mut wrapped = wrap(0x30, &content);
            wrapped.push(9);
            let found = element(&wrapped).unwrap();
            assert_eq!(
                (found.tag, found.content, found.rest),
                (0x30, &*content, &[9][..])
            );
            assert!(element(&wrapped[..length + 1]).is_none());
        }
        assert!(element(&[0x30, 0x80]).is_none());
        assert!(element(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_none());
    }
}
