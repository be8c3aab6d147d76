//! The certificate that a client shows.

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};

/// A certificate with its key that the client shows when a server asks for one.
///
/// Proxmox VE itself never asks; a reverse proxy in front of it may.
#[derive(Clone)]
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<Zeroizing<PrivateKeyDer<'static>>>,
}

impl ClientCertificate {
    /// From PEM: the certificate with its chain, and its key (PKCS#8, PKCS#1 or SEC1). Both may be in one text, which is
    /// then given twice.
    ///
    /// # Errors
    /// A text that holds no certificate, or no key.
    pub fn from_pem(chain: &str, key: impl Into<SecretString>) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| {
                Error::invalid("the client certificate is not PEM").with_source(error)
            })?;
        if chain.is_empty() {
            return Err(Error::invalid(
                "the client certificate's text holds no `BEGIN CERTIFICATE` block",
            ));
        }
        // The parser's error could quote the text, so it is not kept.
        let key = PrivateKeyDer::from_pem_slice(key.into().expose_secret().as_bytes()).map_err(|_| {
            Error::invalid(
                "the client certificate's key has no `BEGIN … PRIVATE KEY` block that can be read",
            )
        })?;
        Ok(Self {
            chain,
            key: Arc::new(Zeroizing::new(key)),
        })
    }

    pub(super) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), self.key.clone_key())
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}
