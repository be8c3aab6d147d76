//! Certificate authorities: out of a bundle, made anew, into a bundle.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Ca, Pair, SecretsBundle, is_key, label};
use crate::error::{Error, ErrorKind};

/// The certificate of an authority and its private key, both PEM. `Debug` does not show the key; it is wiped on drop.
#[derive(Clone, PartialEq)]
pub struct CertificateAuthority {
    certificate: String,
    key: Zeroizing<String>,
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// From PEM texts, such as those that another program made.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when the first is no certificate or the second no private key.
    pub fn from_pem(
        certificate: impl Into<String>,
        key: impl Into<Zeroizing<String>>,
    ) -> Result<Self, Error> {
        let (certificate, key) = (certificate.into(), key.into());
        let invalid = |what: &str| Error::new(ErrorKind::InvalidSecrets, what);
        if label(&certificate) != Some("CERTIFICATE") {
            return Err(invalid(
                "the authority's certificate is not PEM of a certificate",
            ));
        }
        if !label(&key).is_some_and(is_key) {
            return Err(invalid("the authority's key is not PEM of a private key"));
        }
        Ok(Self { certificate, key })
    }

    /// The certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The private key, PEM: whoever holds it signs for the cluster.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn into_pair(self) -> Pair {
        Pair {
            crt: Zeroizing::new(STANDARD.encode(&self.certificate)),
            key: Zeroizing::new(STANDARD.encode(self.key.as_bytes())),
        }
    }
}

impl SecretsBundle {
    /// One of the bundle's authorities.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when the bundle lacks it, or what it holds is not PEM.
    pub fn authority(&self, ca: Ca) -> Result<CertificateAuthority, Error> {
        let (certificate, key) = self.pem(ca)?;
        CertificateAuthority::from_pem(certificate, key)
    }

    /// The bundle with another authority, for configurations of nodes that come after a rotation.
    #[must_use]
    pub fn with_authority(mut self, ca: Ca, authority: CertificateAuthority) -> Self {
        self.cas[ca as usize] = Some(authority.into_pair());
        self
    }
}

#[cfg(feature = "pki")]
mod new {
    //! Authorities that are made here.

    use std::time::{Duration, SystemTime};

    use rcgen::{
        BasicConstraints, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    };

    use super::{Ca, CertificateAuthority, Error};
    use crate::secrets::key;
    use crate::secrets::pki::{failed, leaf};

    /// Ten years, what the reference gives authorities.
    const LIFETIME: Duration = Duration::from_secs(87_600 * 3600);

    impl CertificateAuthority {
        /// A new authority of ten years from `now`: Ed25519 for the Talos API, ECDSA P-256 otherwise.
        ///
        /// # Errors
        /// [`ErrorKind::InvalidSecrets`](crate::ErrorKind::InvalidSecrets) when the system's random source fails.
        pub fn generate(ca: Ca, now: SystemTime) -> Result<Self, Error> {
            let mut params = leaf(now, LIFETIME)?;
            params.use_authority_key_identifier_extension = false;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyCertSign,
            ];
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
            let organization = match ca {
                Ca::Etcd => Some("etcd"),
                Ca::Kubernetes => Some("kubernetes"),
                // The reference leaves the subject empty.
                Ca::Aggregator => None,
                Ca::Os => Some("talos"),
            };
            if let Some(organization) = organization {
                params
                    .distinguished_name
                    .push(DnType::OrganizationName, organization);
            }
            let algorithm = match ca {
                Ca::Os => &rcgen::PKCS_ED25519,
                Ca::Etcd | Ca::Kubernetes | Ca::Aggregator => &rcgen::PKCS_ECDSA_P256_SHA256,
            };
            let pair = KeyPair::generate_for(algorithm).map_err(failed("a key"))?;
            let certificate = params
                .self_signed(&pair)
                .map_err(failed("a CA certificate"))?;
            let key = match ca {
                Ca::Os => key::ed25519_pem(&pair)?,
                Ca::Etcd | Ca::Kubernetes | Ca::Aggregator => key::p256_pem(&pair)?,
            };
            Ok(Self {
                certificate: certificate.pem(),
                key,
            })
        }
    }
}
