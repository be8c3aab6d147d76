//! TLS of the Talos API: mutual with the cluster's CA, or towards a node in maintenance mode.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

use crate::der::element as der;
use crate::error::{Error, ErrorKind};

/// CA, client certificate and key, all PEM.
pub(crate) struct Credentials<'a> {
    pub(crate) ca: &'a str,
    pub(crate) certificate: &'a str,
    pub(crate) key: &'a str,
}

/// How a node without cluster certificates is told from an impostor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MaintenanceTrust {
    /// Any certificate.
    Anything,
    /// Base64 SHA-256 of the certificate's public key (SPKI).
    Fingerprints(Vec<String>),
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidSecrets, format!("{what} is not usable"))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let all = all.map_err(|error| invalid(what).with_source(error))?;
    if all.is_empty() {
        Err(invalid(what))
    } else {
        Ok(all)
    }
}

/// A private key; Talos writes Ed25519 keys as PKCS#8 under a label of its own.
pub(crate) fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, Error> {
    const LABEL: &str = "ED25519 PRIVATE KEY";
    if pem.contains(LABEL) {
        let relabelled = zeroize::Zeroizing::new(pem.replace(LABEL, "PRIVATE KEY"));
        let key = PrivatePkcs8KeyDer::from_pem_slice(relabelled.as_bytes());
        return key
            .map(PrivateKeyDer::from)
            .map_err(|error| invalid("the client key").with_source(error));
    }
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| invalid("the client key").with_source(error))
}

pub(crate) fn mutual(credentials: &Credentials<'_>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(credentials.ca, "the CA certificate")? {
        roots
            .add(certificate)
            .map_err(|error| invalid("the CA certificate").with_source(error))?;
    }
    let chain = certificates(credentials.certificate, "the client certificate")?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("the TLS provider").with_source(error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, private_key(credentials.key)?)
        .map_err(|error| invalid("the client certificate").with_source(error))?;
    Ok(http2(config))
}

pub(crate) fn maintenance(trust: MaintenanceTrust) -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier = Arc::new(MaintenanceVerifier {
        trust,
        provider: provider.clone(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("the TLS provider").with_source(error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(http2(config))
}

fn http2(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// Base64 SHA-256 of the public key of a certificate, as `talosctl` prints and takes it.
pub(crate) fn fingerprint(certificate: &[u8]) -> Option<String> {
    Some(STANDARD.encode(Sha256::digest(spki(certificate)?)))
}

/// The SubjectPublicKeyInfo of an X.509 certificate: the seventh element of its body, the sixth without a version.
fn spki(certificate: &[u8]) -> Option<&[u8]> {
    let body = der(der(certificate)?.content)?.content;
    let mut rest = body;
    let mut first = true;
    let mut skipped = 0;
    loop {
        let element = der(rest)?;
        if first && element.tag == 0xa0 {
            rest = element.rest;
            first = false;
            continue;
        }
        first = false;
        if skipped == 5 {
            return Some(element.whole);
        }
        skipped += 1;
        rest = element.rest;
    }
}

#[derive(Debug)]
struct MaintenanceVerifier {
    trust: MaintenanceTrust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for MaintenanceVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let MaintenanceTrust::Fingerprints(pins) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        match fingerprint(certificate) {
            Some(seen) if pins.contains(&seen) => Ok(ServerCertVerified::assertion()),
            seen => Err(rustls::Error::General(format!(
                "the node's fingerprint is {}, not one of the pinned ones",
                seen.as_deref().unwrap_or("unreadable")
            ))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
