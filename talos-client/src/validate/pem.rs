//! PEM texts: which blocks they hold, and whether certificates and keys in them can be read.

use crate::encoding;
use crate::quote::quote;

struct Block {
    label: String,
    bytes: Vec<u8>,
}

/// Most beginnings without a readable block that are passed over: each may look through the rest of the text.
const MAX_BROKEN: usize = 16;

/// The complete blocks of a text, in order; whatever else it holds is passed over.
fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut broken = 0;
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let label = line
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"));
        let Some(label) = label else { continue };
        if broken > MAX_BROKEN {
            break;
        }
        let end = format!("-----END {label}-----");
        let mut body = String::new();
        let mut rest = lines.clone();
        let mut headers = true;
        let closed = loop {
            match rest.next() {
                None => break false,
                Some(line) if line == end => break true,
                Some(line) if headers && (line.contains(':') || line.is_empty()) => {}
                Some(line) => {
                    headers = false;
                    body.extend(line.chars().filter(|c| !c.is_whitespace()));
                }
            }
        };
        if closed && let Ok(bytes) = encoding::base64(&body) {
            found.push(Block {
                label: label.to_owned(),
                bytes,
            });
            lines = rest;
        } else {
            broken += 1;
        }
    }
    found
}

/// At least one block, all of the expected kind where one is named.
pub(super) fn check(text: &str, expected: Option<&str>) -> Result<(), String> {
    let blocks = blocks(text);
    if let Some(expected) = expected
        && let Some(other) = blocks.iter().find(|block| block.label != expected)
    {
        return Err(format!(
            "unexpected PEM block type {}, expected one of [{}]",
            quote(&other.label),
            quote(expected)
        ));
    }
    if blocks.is_empty() {
        return Err("no PEM blocks found".to_owned());
    }
    Ok(())
}

/// The first block is a certificate.
pub(super) fn check_certificate(text: &str) -> Result<(), String> {
    let blocks = blocks(text);
    let first = blocks.first().ok_or("failed to parse PEM block")?;
    certificate(&first.bytes).map_err(|why| format!("failed to parse certificate: {why}"))
}

/// Some block of the text is a readable certificate.
pub(super) fn has_certificate(text: &str) -> bool {
    blocks(text)
        .iter()
        .any(|block| block.label == "CERTIFICATE" && certificate(&block.bytes).is_ok())
}

/// The first block is a private key of a kind that Talos uses.
pub(super) fn check_key(text: &str) -> Result<(), String> {
    let blocks = blocks(text);
    let first = blocks.first().ok_or("failed to parse PEM block")?;
    let what = match first.label.as_str() {
        "RSA PRIVATE KEY" => "RSA key",
        "ED25519 PRIVATE KEY" => "Ed25519 key",
        "EC PRIVATE KEY" => "ECDSA key",
        "PRIVATE KEY" => "key",
        other => return Err(format!("unsupported key type: {}", quote(other))),
    };
    let fields = sequence(&first.bytes).and_then(elements);
    let plausible = fields.is_some_and(|fields| match what {
        // Version, modulus and exponents.
        "RSA key" => fields.len() >= 9 && fields.iter().all(|(tag, _)| *tag == 0x02),
        // Version and the scalar.
        "ECDSA key" => fields.len() >= 2 && fields[0].0 == 0x02 && fields[1].0 == 0x04,
        // Version, algorithm and the key.
        _ => fields.len() >= 3 && fields[0].0 == 0x02 && fields[1].0 == 0x30 && fields[2].0 == 0x04,
    });
    if plausible {
        Ok(())
    } else {
        Err(format!(
            "failed to parse {what}: the content is not such a key"
        ))
    }
}

fn certificate(bytes: &[u8]) -> Result<(), &'static str> {
    let outer = sequence(bytes).ok_or("x509: malformed certificate")?;
    let parts = elements(outer).ok_or("x509: malformed certificate")?;
    let [(0x30, body), (0x30, _), (0x03, _)] = parts.as_slice() else {
        return Err("x509: malformed tbs certificate");
    };
    let fields = elements(body).ok_or("x509: malformed tbs certificate")?;
    // Serial number, signature, issuer, validity, subject and key, after an optional version.
    let fields = fields
        .strip_prefix(&[(0xa0, fields.first().map_or(&[][..], |(_, v)| *v))][..])
        .unwrap_or(&fields);
    let tags: Vec<u8> = fields.iter().take(6).map(|(tag, _)| *tag).collect();
    if tags == [0x02, 0x30, 0x30, 0x30, 0x30, 0x30] {
        Ok(())
    } else {
        Err("x509: malformed serial number")
    }
}

/// The content of a sequence that is the whole text.
fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    match elements(bytes)?.as_slice() {
        [(0x30, inner)] => Some(inner),
        _ => None,
    }
}

/// Tags and contents, one after the other.
fn elements(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while let [tag, length, rest @ ..] = bytes {
        let (length, rest) = match length {
            0..=0x7f => (usize::from(*length), rest),
            0x81..=0x84 => {
                let count = usize::from(length & 0x7f);
                let (digits, rest) = rest.split_at_checked(count)?;
                let length = digits
                    .iter()
                    .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        found.push((*tag, content));
        bytes = rest;
    }
    bytes.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_without_an_end_are_passed_over_a_number_of_times() {
        let block = "-----BEGIN X-----\nAAAA\n-----END X-----\n";
        let text = |count: usize| format!("{}{block}", "-----BEGIN Y-----\n".repeat(count));
        assert_eq!(blocks(&text(MAX_BROKEN)).len(), 1);
        assert_eq!(blocks(&text(10_000)).len(), 0);
    }

    #[test]
    fn blocks_of_another_kind_are_named() {
        let text = "x\n-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
        assert_eq!(check(text, None), Ok(()));
        assert!(check(text, Some("CERTIFICATE")).is_err_and(|why| why.contains("EC PRIVATE KEY")));
        assert_eq!(
            check("-----BEGIN X-----", None),
            Err("no PEM blocks found".to_owned())
        );
    }
}
