//! Who asks: nobody known (maintenance), or the bearer of a client certificate.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::{Error, ErrorKind};

/// The identity that a peer shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// No client certificate.
    Maintenance,
    /// A client certificate, and the authority that its bearer expects the node's certificate to come from.
    #[non_exhaustive]
    Certificate {
        /// DER.
        certificate: Vec<u8>,
        /// PEM.
        ca: String,
    },
}

impl Access {
    /// From PEM texts.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when the certificate is not PEM.
    pub fn certificate(ca: &str, certificate: &str) -> Result<Self, Error> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| {
            Error::new(
                ErrorKind::InvalidSecrets,
                "the client certificate is not PEM",
            )
            .with_source(error)
        })?;
        Ok(Self::Certificate {
            certificate: der.to_vec(),
            ca: ca.to_owned(),
        })
    }
}

/// The verifier of a configured node: client certificates of these authorities.
pub(super) fn client_verifier(
    authorities: &[String],
) -> Option<Arc<dyn rustls::server::danger::ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        let certificate = CertificateDer::from_pem_slice(authority.as_bytes()).ok()?;
        roots.add(certificate).ok()?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .ok()
}

/// Whether the authorities that a peer trusts hold this one, all PEM.
pub(super) fn trusts(authorities: &str, one: &str) -> bool {
    let Ok(one) = CertificateDer::from_pem_slice(one.as_bytes()) else {
        return false;
    };
    CertificateDer::pem_slice_iter(authorities.as_bytes())
        .any(|trusted| trusted.is_ok_and(|trusted| trusted == one))
}

/// Whether a node with these authorities takes the certificate at this time.
pub(super) fn verify(
    authorities: &[String],
    certificate: &[u8],
    now: SystemTime,
) -> Result<(), String> {
    let verifier = client_verifier(authorities).ok_or("the node's authority is not usable")?;
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let certificate = CertificateDer::from(certificate);
    let checked = verifier.verify_client_cert(&certificate, &[], UnixTime::since_unix_epoch(since));
    checked.map(|_| ()).map_err(|error| error.to_string())
}

/// The roles in a certificate: its subject's organizations.
pub(super) fn roles(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    certificate
        .subject()
        .iter_organization()
        .filter_map(|name| name.as_str().ok())
        .map(str::to_owned)
        .collect()
}
