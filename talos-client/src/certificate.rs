//! What certificates say: whom they name, from when to when they hold, which key they vouch for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::error::PEMError;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// A certificate that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// `O=talos`; empty for a certificate without a subject.
    pub(crate) subject: String,
    /// The subject's organizations, which are the roles of a client of the Talos API.
    pub(crate) organizations: Vec<String>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) is_authority: bool,
    pub(crate) public_key: Vec<u8>,
}

/// A certificate from DER.
pub(crate) fn read(der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let organizations = certificate.subject().iter_organization();
    Some(Certificate {
        subject: certificate.subject().to_string(),
        organizations: organizations
            .filter_map(|name| name.as_str().ok())
            .map(str::to_owned)
            .collect(),
        not_before: time(certificate.validity().not_before)?,
        not_after: time(certificate.validity().not_after)?,
        is_authority: certificate.is_ca(),
        public_key: certificate.public_key().subject_public_key.data.to_vec(),
    })
}

/// Every certificate of a PEM text; `None` for a block that cannot be read.
pub(crate) fn all(pem: &str) -> Vec<Option<Certificate>> {
    // Other blocks, such as a key beside the certificate, are passed over.
    let certificate = |block: Result<Pem, PEMError>| match block {
        Ok(block) => (block.label == "CERTIFICATE").then(|| read(&block.contents)),
        Err(_) => Some(None),
    };
    Pem::iter_from_buffer(pem.as_bytes())
        .filter_map(certificate)
        .collect()
}

/// The first certificate of a PEM text.
pub(crate) fn first(pem: &str) -> Option<Certificate> {
    all(pem).into_iter().next()?
}

fn time(time: ASN1Time) -> Option<SystemTime> {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    }
}
