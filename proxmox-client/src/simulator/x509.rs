//! What a certificate says: enough of DER and X.509 (RFC 5280) to tell whom it is for, who signed it, until when.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::calendar::Moment;

/// A certificate's fields as the server tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Subject in one line, such as `/O=Example/CN=pve1`.
    pub(super) subject: String,
    pub(super) issuer: String,
    /// Seconds since 1970.
    pub(super) not_before: u64,
    pub(super) not_after: u64,
    pub(super) names: Vec<String>,
    pub(super) key_type: &'static str,
    pub(super) key_bits: u64,
}

/// One value: its tag, and what it holds.
#[derive(Debug, Clone, Copy)]
struct Item<'a> {
    tag: u8,
    body: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const OBJECT_ID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Takes a value off the front.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<Item<'a>> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            let length = digits
                .iter()
                .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            (usize::try_from(length).ok()?, rest)
        }
        _ => return None,
    };
    let (body, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(Item { tag: *tag, body })
}

/// Takes a value of a kind off the front.
fn take_as<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    take(bytes)
        .filter(|item| item.tag == tag)
        .map(|item| item.body)
}

fn all(mut bytes: &[u8]) -> impl Iterator<Item = Item<'_>> {
    std::iter::from_fn(move || take(&mut bytes))
}

/// The short name of an attribute of a subject, or its numbers.
fn attribute(id: &[u8]) -> String {
    let known = match id {
        [0x55, 0x04, 0x03] => "CN",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x07] => "L",
        [0x55, 0x04, 0x08] => "ST",
        [0x55, 0x04, 0x0A] => "O",
        [0x55, 0x04, 0x0B] => "OU",
        [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x01] => "emailAddress",
        _ => return numbers(id),
    };
    known.to_owned()
}

/// An object's identifier with points between its numbers.
fn numbers(id: &[u8]) -> String {
    let mut out = Vec::new();
    let mut number = 0u64;
    for byte in id {
        number = number.wrapping_shl(7) | u64::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            if out.is_empty() {
                let first = (number / 40).min(2);
                out.push(first.to_string());
                number -= first * 40;
            }
            out.push(number.to_string());
            number = 0;
        }
    }
    out.join(".")
}

/// A distinguished name in one line.
fn name(bytes: &[u8]) -> Option<String> {
    let mut out = String::new();
    for set in all(bytes) {
        for mut pair in all(set.body).map(|pair| pair.body) {
            let id = take_as(&mut pair, OBJECT_ID)?;
            let value = take(&mut pair)?;
            let value = String::from_utf8_lossy(value.body);
            out.push_str(&format!("/{}={value}", attribute(id)));
        }
    }
    Some(out)
}

fn moment(item: Item<'_>) -> Option<u64> {
    let text = std::str::from_utf8(item.body).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match item.tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let part = |at: usize| rest.get(at..at + 2)?.parse().ok();
    Moment::seconds(year, part(0)?, part(2)?, (part(4)?, part(6)?, part(8)?))
}

/// The kind of a key, and how many bits it has.
fn key(mut bytes: &[u8]) -> Option<(&'static str, u64)> {
    let mut algorithm = take_as(&mut bytes, SEQUENCE)?;
    let id = take_as(&mut algorithm, OBJECT_ID)?;
    let held = take_as(&mut bytes, BIT_STRING)?;
    Some(match id {
        [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01] => {
            let mut inner = held.get(1..)?;
            let mut numbers = take_as(&mut inner, SEQUENCE)?;
            let modulus = take(&mut numbers)?.body;
            let modulus = &modulus[modulus.iter().take_while(|byte| **byte == 0).count()..];
            ("rsaEncryption", modulus.len() as u64 * 8)
        }
        [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01] => {
            let curve = take_as(&mut algorithm, OBJECT_ID)?;
            let bits = match curve {
                [0x2B, 0x81, 0x04, 0x00, 0x22] => 384,
                [0x2B, 0x81, 0x04, 0x00, 0x23] => 521,
                _ => 256,
            };
            ("id-ecPublicKey", bits)
        }
        [0x2B, 0x65, 0x70] => ("ED25519", 253),
        _ => ("UNDEF", held.len() as u64 * 8),
    })
}

/// The names and addresses of the extension that holds them.
fn alternatives(bytes: &[u8]) -> Option<Vec<String>> {
    let mut out = Vec::new();
    for mut extension in all(bytes).map(|extension| extension.body) {
        let id = take_as(&mut extension, OBJECT_ID)?;
        let value = all(extension).find(|item| item.tag == OCTET_STRING)?;
        if id != [0x55, 0x1D, 0x11] {
            continue;
        }
        let mut names = value.body;
        for item in all(take_as(&mut names, SEQUENCE)?) {
            match (item.tag, item.body.len()) {
                (0x82, _) => out.push(String::from_utf8_lossy(item.body).into_owned()),
                (0x87, 4) => {
                    let bytes: [u8; 4] = item.body.try_into().ok()?;
                    out.push(Ipv4Addr::from(bytes).to_string());
                }
                (0x87, 16) => {
                    let bytes: [u8; 16] = item.body.try_into().ok()?;
                    // The server prints all groups in full.
                    let groups = Ipv6Addr::from(bytes).segments();
                    let groups = groups.map(|group| format!("{group:04x}"));
                    out.push(groups.join(":"));
                }
                _ => {}
            }
        }
    }
    Some(out)
}

/// Reads a certificate; none if it is none.
pub(super) fn read(mut der: &[u8]) -> Option<Certificate> {
    let mut whole = take_as(&mut der, SEQUENCE)?;
    let mut signed = take_as(&mut whole, SEQUENCE)?;
    // The version, which old certificates leave out, then the serial number.
    let first = take(&mut signed)?;
    if first.tag == 0xA0 {
        take(&mut signed)?;
    }
    take_as(&mut signed, SEQUENCE)?;
    let issuer = name(take_as(&mut signed, SEQUENCE)?)?;
    let mut validity = take_as(&mut signed, SEQUENCE)?;
    let not_before = moment(take(&mut validity)?)?;
    let not_after = moment(take(&mut validity)?)?;
    let subject = name(take_as(&mut signed, SEQUENCE)?)?;
    let (key_type, key_bits) = key(take_as(&mut signed, SEQUENCE)?)?;
    let extensions = all(signed).find(|item| item.tag == 0xA3);
    let names = match extensions {
        Some(item) => {
            let mut held = item.body;
            alternatives(take_as(&mut held, SEQUENCE)?)?
        }
        None => Vec::new(),
    };
    Some(Certificate {
        subject,
        issuer,
        not_before,
        not_after,
        names,
        key_type,
        key_bits,
    })
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    reason = "a test ends where what it expects does not hold"
)]
mod tests {
    use super::*;

    fn made() -> Vec<u8> {
        let names = ["pve1.example.test", "192.0.2.10", "2001:db8::10"];
        let names: Vec<String> = names.map(str::to_owned).into();
        let mut wanted = rcgen::CertificateParams::new(names).unwrap();
        let subject = &mut wanted.distinguished_name;
        *subject = rcgen::DistinguishedName::new();
        subject.push(rcgen::DnType::OrganizationName, "Example");
        subject.push(rcgen::DnType::CommonName, "pve1");
        wanted.not_before = rcgen::date_time_ymd(2026, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(2056, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        wanted.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_tells_whom_it_is_for_and_until_when() {
        let told = read(&made()).unwrap();
        assert_eq!(told.subject, "/O=Example/CN=pve1");
        assert_eq!(told.issuer, told.subject);
        // The second is after 2049, where the spelling of times changes.
        assert_eq!(
            (told.not_before, told.not_after),
            (1_767_225_600, 2_719_094_400)
        );
        let address = "2001:0db8:0000:0000:0000:0000:0000:0010";
        assert_eq!(told.names, ["pve1.example.test", "192.0.2.10", address]);
        assert_eq!((told.key_type, told.key_bits), ("id-ecPublicKey", 256));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
            at in 0usize..400, with: u8, cut in 0usize..400,
        ) {
            let _ = read(&bytes);
            let mut mutated = made();
            let length = mutated.len();
            mutated[at % length] = with;
            let _ = read(&mutated);
            mutated.truncate(cut % length);
            let _ = read(&mutated);
        }
    }
}
