//! The little of X.509 that the server needs: the subject of a certificate, and private keys in the
//! form that the TLS library takes.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::settings::User;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const ORGANISATION: [u8; 3] = [0x55, 0x04, 0x0a];

/// One attribute of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) oid: Vec<u8>,
    /// Tag of the text: 0x13 printable, 0x0c UTF-8.
    pub(crate) tag: u8,
    pub(crate) text: String,
}

/// One element: tag, content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (digits, rest) = rest.split_at(count);
        (
            digits
                .iter()
                .fold(0, |sum, one| sum << 8 | usize::from(*one)),
            rest,
        )
    };
    (rest.len() >= length).then(|| (tag, &rest[..length], &rest[length..]))
}

fn content(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

/// The subject of a certificate.
pub(crate) fn subject(certificate: &[u8]) -> Option<Vec<Attribute>> {
    let (certificate, _) = content(certificate, SEQUENCE)?;
    let (mut rest, _) = content(certificate, SEQUENCE)?;
    // The version is the only optional element before the subject.
    if rest.first() == Some(&0xa0) {
        (_, _, rest) = element(rest)?;
    }
    let (_, rest) = content(rest, INTEGER)?;
    let (_, rest) = content(rest, SEQUENCE)?;
    let (_, rest) = content(rest, SEQUENCE)?;
    let (_, rest) = content(rest, SEQUENCE)?;
    let (mut names, _) = content(rest, SEQUENCE)?;
    let mut attributes = Vec::new();
    while !names.is_empty() {
        let (mut set, next) = content(names, SET)?;
        while !set.is_empty() {
            let (pair, rest) = content(set, SEQUENCE)?;
            let (oid, value) = content(pair, OID)?;
            let (tag, text, _) = element(value)?;
            attributes.push(Attribute {
                oid: oid.to_vec(),
                tag,
                text: String::from_utf8(text.to_vec()).ok()?,
            });
            set = rest;
        }
        names = next;
    }
    Some(attributes)
}

/// The user of a client certificate: common name, and organisations as groups.
pub(crate) fn user(certificate: &[u8]) -> Option<User> {
    let subject = subject(certificate)?;
    let of = |oid: &[u8]| -> Vec<String> {
        subject
            .iter()
            .filter(|one| one.oid == oid)
            .map(|one| one.text.clone())
            .collect()
    };
    let name = of(&COMMON_NAME).into_iter().next()?;
    let mut groups = of(&ORGANISATION);
    groups.push("system:authenticated".to_owned());
    Some(User { name, groups })
}

/// The CA's name as an issuer writes it, from its own certificate.
pub(crate) fn distinguished_name(certificate: &[u8]) -> Option<rcgen::DistinguishedName> {
    let mut name = rcgen::DistinguishedName::new();
    for one in subject(certificate)? {
        let kind = match one.oid.as_slice() {
            oid if oid == COMMON_NAME => rcgen::DnType::CommonName,
            oid if oid == ORGANISATION => rcgen::DnType::OrganizationName,
            [0x55, 0x04, 0x0b] => rcgen::DnType::OrganizationalUnitName,
            [0x55, 0x04, 0x06] => rcgen::DnType::CountryName,
            _ => return None,
        };
        let value = match one.tag {
            0x13 => rcgen::DnValue::PrintableString(one.text.as_str().try_into().ok()?),
            _ => rcgen::DnValue::Utf8String(one.text),
        };
        name.push(kind, value);
    }
    Some(name)
}

/// The first certificate of a PEM text.
pub(crate) fn certificate(pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok()
}

/// A private key of a PEM text; `EC PRIVATE KEY` is wrapped as PKCS #8, which is all that ring reads.
pub(crate) fn key_pair(pem: &str) -> Option<rcgen::KeyPair> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    let bytes = match &key {
        PrivateKeyDer::Sec1(key) => wrap(key.secret_sec1_der()),
        PrivateKeyDer::Pkcs8(key) => key.secret_pkcs8_der().to_vec(),
        _ => return None,
    };
    rcgen::KeyPair::try_from(bytes).ok()
}

fn wrap(sec1: &[u8]) -> Vec<u8> {
    // id-ecPublicKey with P-256 or P-384; the curve shows in the length of the private number.
    const P256: &[u8] = &[
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    const P384: &[u8] = &[
        0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
        0x04, 0x00, 0x22,
    ];
    let number = content(sec1, SEQUENCE)
        .and_then(|(inner, _)| content(inner, INTEGER))
        .and_then(|(_, rest)| content(rest, OCTETS))
        .map_or(32, |(number, _)| number.len());
    let mut inner = vec![INTEGER, 1, 0];
    inner.extend(if number > 32 { P384 } else { P256 });
    inner.extend(tagged(OCTETS, sec1));
    tagged(SEQUENCE, &inner)
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        Ok(short) => out.extend([0x81, short]),
        Err(_) => {
            // Keys are far below 64 KiB.
            let long = u16::try_from(length).unwrap_or(u16::MAX);
            out.push(0x82);
            out.extend(long.to_be_bytes());
        }
    }
    out.extend(content);
    out
}
