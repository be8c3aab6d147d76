//! Private keys in the forms that Talos and kubeadm write, and the public keys that belong to them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use zeroize::Zeroizing;

use super::pki::failed;
use crate::der;
use crate::error::{Error, ErrorKind};

/// The key of a CA in the forms that Talos writes: Ed25519 PKCS#8 under its own label, SEC 1 for P-256.
pub(super) fn signing_key(pem: &str) -> Result<KeyPair, Error> {
    let (label, der) = read_pem(pem)
        .ok_or_else(|| Error::new(ErrorKind::InvalidSecrets, "a CA key is not PEM"))?;
    let der = match label.as_str() {
        "EC PRIVATE KEY" => Zeroizing::new(sec1_to_pkcs8(&der).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidSecrets,
                "a CA key is not an ECDSA P-256 key",
            )
        })?),
        _ => der,
    };
    KeyPair::try_from(der.as_slice()).map_err(failed("use of a CA key"))
}

pub(super) fn read_pem(pem: &str) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let start = pem.find("-----BEGIN ")? + "-----BEGIN ".len();
    let (label, rest) = pem[start..].split_once("-----")?;
    let body = rest.split("-----END ").next()?;
    let body: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_whitespace()).collect());
    Some((
        label.to_owned(),
        Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?),
    ))
}

pub(super) fn write_pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for line in body.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).unwrap_or_default());
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

const ED25519_V1: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];
const P256_POINT: [u8; 5] = [0xa1, 0x44, 3, 0x42, 0];
const P256_SEC1: [u8; 7] = [0x30, 0x77, 2, 1, 1, 4, 0x20];
const P256_CURVE: [u8; 12] = [0xa0, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P256_PKCS8: [u8; 36] = [
    0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x6d, 0x30, 0x6b, 2, 1, 1, 4, 0x20,
];

/// PKCS#8 version 1 without the public key, which is what the reference reads.
pub(super) fn ed25519_pem(key: &KeyPair) -> Result<Zeroizing<String>, Error> {
    let der = Zeroizing::new(key.serialize_der());
    let at = der
        .windows(4)
        .position(|window| window == [4, 0x22, 4, 0x20])
        .map(|at| at + 4);
    let seed = at.and_then(|at| der.get(at..at + 32));
    let seed = seed.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidSecrets,
            "a new Ed25519 key has an unknown form",
        )
    })?;
    let v1 = Zeroizing::new([ED25519_V1.as_slice(), seed].concat());
    Ok(write_pem("ED25519 PRIVATE KEY", &v1))
}

/// `ECPrivateKey` of P-256 with its public point, wrapped as PKCS#8.
fn sec1_to_pkcs8(der: &[u8]) -> Option<Vec<u8>> {
    let secret = der.strip_prefix(P256_SEC1.as_slice())?.get(..32)?;
    let at = der
        .windows(P256_POINT.len())
        .rposition(|window| window == P256_POINT)?
        + P256_POINT.len();
    let point = der.get(at..at + 65)?;
    Some([P256_PKCS8.as_slice(), secret, &P256_POINT, point].concat())
}

/// A new P-256 key.
#[cfg(feature = "secrets")]
pub(super) fn new_p256() -> Result<Zeroizing<String>, Error> {
    p256_pem(&KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed("a key"))?)
}

/// SEC 1 with curve and point, the form that the reference writes.
pub(super) fn p256_pem(key: &KeyPair) -> Result<Zeroizing<String>, Error> {
    let der = Zeroizing::new(key.serialize_der());
    let unknown = || {
        Error::new(
            ErrorKind::InvalidSecrets,
            "a new P-256 key has an unknown form",
        )
    };
    let at = der
        .windows(5)
        .position(|window| window == [2, 1, 1, 4, 0x20])
        .ok_or_else(unknown)?
        + 5;
    let secret = der.get(at..at + 32).ok_or_else(unknown)?;
    let point = der
        .get(der.len().saturating_sub(65)..)
        .ok_or_else(unknown)?;
    let sec1 = Zeroizing::new(
        [
            P256_SEC1.as_slice(),
            secret,
            &P256_CURVE,
            &P256_POINT,
            point,
        ]
        .concat(),
    );
    Ok(write_pem("EC PRIVATE KEY", &sec1))
}

/// The public key that belongs to a private key, as a certificate's subject public key holds it. `None` where the key
/// does not say it.
pub(super) fn public_key(label: &str, key: &[u8]) -> Option<Vec<u8>> {
    match label {
        "RSA PRIVATE KEY" => rsa_public_key(key),
        "EC PRIVATE KEY" => ec_public_key(key),
        "ED25519 PRIVATE KEY" | "PRIVATE KEY" => {
            if let Ok(pair) = KeyPair::try_from(key) {
                return Some(pair.public_key_raw().to_vec());
            }
            let mut body = der::element(key)?.content;
            let mut part = || {
                let element = der::element(body)?;
                body = element.rest;
                Some(element)
            };
            let (_version, algorithm, inner) = (part()?, part()?, part()?);
            match der::element(algorithm.content)?.content {
                RSA_OID => rsa_public_key(inner.content),
                EC_OID => ec_public_key(inner.content),
                _ => None,
            }
        }
        _ => None,
    }
}

const RSA_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const EC_OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// Modulus and exponent, the second and third number of `RSAPrivateKey`, as `RSAPublicKey`.
fn rsa_public_key(key: &[u8]) -> Option<Vec<u8>> {
    let outer = der::element(key).filter(|outer| outer.tag == 0x30)?;
    let version = der::element(outer.content)?;
    let modulus = der::element(version.rest)?;
    let exponent = der::element(modulus.rest)?;
    let content = [modulus.whole, exponent.whole].concat();
    Some(der::wrap(0x30, &content))
}

/// The point in `ECPrivateKey`, an optional field.
fn ec_public_key(key: &[u8]) -> Option<Vec<u8>> {
    let mut rest = der::element(key).filter(|outer| outer.tag == 0x30)?.content;
    while !rest.is_empty() {
        let element = der::element(rest)?;
        if element.tag == 0xa1 {
            // A bit string begins with the number of bits that its last byte does not use.
            return Some(der::element(element.content)?.content.get(1..)?.to_vec());
        }
        rest = element.rest;
    }
    None
}
