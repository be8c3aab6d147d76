//! What a certificate says: whom it is for, who signed it, until when, as the server tells it.

use std::net::Ipv6Addr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

/// A certificate's fields as the server tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Subject in one line, such as `/O=Example/CN=pve1`.
    pub(super) subject: String,
    pub(super) issuer: String,
    /// Seconds since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) names: Vec<String>,
    pub(super) key_type: &'static str,
    pub(super) key_bits: u64,
}

/// A distinguished name in one line.
fn name(name: &X509Name<'_>) -> String {
    let known = x509_parser::objects::oid_registry();
    let part = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        let id = attribute.attr_type();
        let kind = x509_parser::objects::oid2abbrev(id, known)
            .map_or_else(|_| id.to_id_string(), str::to_owned);
        let value = String::from_utf8_lossy(attribute.as_slice());
        format!("/{kind}={value}")
    };
    name.iter_attributes().map(part).collect()
}

/// The kind of a key, and how many bits it has.
fn key(key: &SubjectPublicKeyInfo<'_>) -> (&'static str, u64) {
    let kind = &key.algorithm.algorithm;
    if *kind == OID_PKCS1_RSAENCRYPTION {
        let bits = match key.parsed() {
            Ok(PublicKey::RSA(numbers)) => numbers.key_size(),
            _ => 0,
        };
        ("rsaEncryption", bits as u64)
    } else if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref();
        let curve = curve.and_then(|curve| curve.as_oid().ok());
        let bits = match curve {
            Some(curve) if curve == OID_NIST_EC_P384 => 384,
            Some(curve) if curve == OID_NIST_EC_P521 => 521,
            _ => 256,
        };
        ("id-ecPublicKey", bits)
    } else if *kind == OID_SIG_ED25519 {
        ("ED25519", 253)
    } else {
        ("UNDEF", key.subject_public_key.data.len() as u64 * 8)
    }
}

/// A name or address that the certificate is for.
fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(std::net::Ipv4Addr::from(bytes).to_string()),
            // The server prints all groups in full.
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| {
                let groups = Ipv6Addr::from(bytes).segments();
                groups.map(|group| format!("{group:04x}")).join(":")
            }),
        },
        _ => None,
    }
}

/// Reads a certificate; none if it is none.
pub(super) fn read(der: &[u8]) -> Option<Certificate> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    let (key_type, key_bits) = key(read.public_key());
    let names = read.subject_alternative_name().ok()?;
    let names = names.map(|names| names.value.general_names.iter().filter_map(alternative));
    Some(Certificate {
        subject: name(read.subject()),
        issuer: name(read.issuer()),
        not_before: read.validity().not_before.timestamp(),
        not_after: read.validity().not_after.timestamp(),
        names: names.into_iter().flatten().collect(),
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

    #[test]
    fn what_is_no_certificate_tells_nothing() {
        let whole = made();
        assert_eq!(read(b"none"), None);
        assert_eq!(read(&whole[..whole.len() - 1]), None);
    }
}
