//! Subjects with several organizations: the certificate library keeps one value per kind, Talos reads one role from each.

use rcgen::{KeyPair, SigningKey as _};

use crate::der::{element, wrap};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8: u8 = 0x0c;
const BIT_STRING: u8 = 0x03;
/// The identifier of `organizationName`, 2.5.4.10.
const ORGANIZATION: &[u8] = &[6, 3, 0x55, 4, 0x0a];

/// A signed certificate with another subject, signed again. `None` when the input is no certificate or signing fails.
pub(super) fn with_organizations<'o>(
    certificate: &[u8],
    organizations: impl IntoIterator<Item = &'o str>,
    issuer: &KeyPair,
) -> Option<Vec<u8>> {
    let body = element(element(certificate)?.content)?;
    let algorithm = element(body.rest)?;
    // Version, serial, algorithm, issuer, validity; then the subject.
    let mut at = element(body.content)?;
    let mut before = at.whole.len();
    for _ in 0..4 {
        at = element(at.rest)?;
        before += at.whole.len();
    }
    let after = element(at.rest)?.rest;
    let content = [body.content.get(..before)?, &name(organizations), after].concat();
    let body = wrap(SEQUENCE, &content);
    // A bit string says first how many bits of its last byte are not used.
    let signature = [vec![0], issuer.sign(&body).ok()?].concat();
    let signed = [body, algorithm.whole.to_vec(), wrap(BIT_STRING, &signature)];
    Some(wrap(SEQUENCE, &signed.concat()))
}

/// One set of all values, which DER wants sorted.
fn name<'o>(organizations: impl IntoIterator<Item = &'o str>) -> Vec<u8> {
    let value = |text: &str| {
        let pair = [ORGANIZATION, &wrap(UTF8, text.as_bytes())].concat();
        wrap(SEQUENCE, &pair)
    };
    let mut values: Vec<Vec<u8>> = organizations.into_iter().map(value).collect();
    values.sort();
    wrap(SEQUENCE, &wrap(SET, &values.concat()))
}
