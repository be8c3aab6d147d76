//! Which server certificate is accepted.

mod identity;

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};

pub use identity::ClientCertificate;

/// Which server certificate is accepted.
///
/// ```
/// use proxmox_client::Trust;
/// let nodes = [["ab"; 32].join(":"), ["cd"; 32].join(":")];
/// let pinned = Trust::fingerprint(nodes.join(","))?; // one of each node
/// assert!(Trust::fingerprint("ab:cd").is_err(), "that is no SHA-256");
/// # drop(pinned);
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trust(Rule);

#[derive(Debug, Clone)]
enum Rule {
    SystemRoots,
    Authority(String),
    Pin(Vec<[u8; 32]>),
    Anything,
}

impl Trust {
    /// Certificates that the operating system's roots vouch for. Reads them when the client is built.
    pub fn system_roots() -> Self {
        Self(Rule::SystemRoots)
    }

    /// Certificates signed by an authority given as PEM, such as `/etc/pve/pve-root-ca.pem`.
    pub fn ca_pem(pem: impl Into<String>) -> Self {
        Self(Rule::Authority(pem.into()))
    }

    /// Exactly the certificate with this SHA-256 fingerprint, whatever name and date it carries.
    ///
    /// Hexadecimal digits, with or without colons, as `pvenode cert info` and `GET /nodes` show them; several
    /// separated by commas accept any of them (one per node of a cluster).
    pub fn fingerprint(text: impl AsRef<str>) -> Result<Self> {
        let pins: Result<Vec<_>> = text
            .as_ref()
            .split(',')
            .map(|part| parse_fingerprint(part.trim()))
            .collect();
        Ok(Self(Rule::Pin(pins?)))
    }

    /// The SHA-256 fingerprint that the server at an address presents now: 64 hexadecimal digits with colons, to be
    /// shown to a person and, once accepted, kept and given to [`fingerprint`](Self::fingerprint).
    ///
    /// Only the handshake begins, and it is broken off: no request and no credential is sent.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// use proxmox_client::simulator::Simulator;
    /// use proxmox_client::{Client, Trust};
    /// # let server = Simulator::lab().serve().await.unwrap();
    /// let seen = Trust::probe_fingerprint(&server.endpoint()).await?; // to be compared with the node's own
    /// let client = Client::builder()
    ///     .endpoint(server.endpoint())
    ///     .trust(Trust::fingerprint(&seen)?)
    ///     .token("root@pam!lab=lab-secret")
    ///     .build()?;
    /// client.version().await?;
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`Kind::Connect`] if nothing answers there.
    pub async fn probe_fingerprint(endpoint: &str) -> Result<String> {
        let seen = Arc::new(Mutex::new(None));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::invalid("no usable TLS version").with_source(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier {
                pins: Some(Vec::new()),
                seen: Some(seen.clone()),
                provider,
            }))
            .with_no_client_auth();
        let outcome = crate::transport::handshake(endpoint, config).await;
        let digest = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (digest, outcome) {
            (Some(digest), _) => Ok(shown(&digest)),
            (None, Err(error)) => {
                Err(error.doing(format!("asking {endpoint} for its certificate")))
            }
            (None, Ok(())) => Err(Error::new(
                Kind::Connect,
                format!("{endpoint} presented no certificate"),
            )),
        }
    }

    /// Any certificate: whoever answers gets the credentials.
    pub fn insecure_accept_any_certificate() -> Self {
        Self(Rule::Anything)
    }

    /// How connections are secured: what the server must show, and what is shown to it.
    pub(crate) fn client_config(&self, own: Option<&ClientCertificate>) -> Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::invalid("no usable TLS version").with_source(error))?;
        let pinned = |pins| {
            Arc::new(Verifier {
                pins,
                seen: None,
                provider,
            })
        };
        let builder = match &self.0 {
            Rule::SystemRoots => builder.with_root_certificates(system_roots()?),
            Rule::Authority(pem) => builder.with_root_certificates(roots_from_pem(pem)?),
            Rule::Pin(pins) => builder
                .dangerous()
                .with_custom_certificate_verifier(pinned(Some(pins.clone()))),
            Rule::Anything => builder
                .dangerous()
                .with_custom_certificate_verifier(pinned(None)),
        };
        let Some(own) = own else {
            return Ok(builder.with_no_client_auth());
        };
        let (chain, key) = own.parts();
        builder.with_client_auth_cert(chain, key).map_err(|error| {
            Error::invalid("the client certificate and its key do not fit").with_source(error)
        })
    }
}

fn shown(digest: &[u8; 32]) -> String {
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

fn system_roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(Error::invalid(
            "the operating system has no certificate roots: install ca-certificates, or pin the server's fingerprint",
        ));
    }
    Ok(roots)
}

fn roots_from_pem(pem: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
        let certificate = certificate.map_err(|error| {
            Error::invalid(format!("CA certificate {}: not PEM", index + 1)).with_source(error)
        })?;
        roots.add(certificate).map_err(|error| {
            Error::invalid(format!(
                "CA certificate {}: not usable as a root",
                index + 1
            ))
            .with_source(error)
        })?;
    }
    if roots.is_empty() {
        return Err(Error::invalid(
            "the CA text holds no `BEGIN CERTIFICATE` block",
        ));
    }
    Ok(roots)
}

fn parse_fingerprint(text: &str) -> Result<[u8; 32]> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()
        .filter(|digits: &Vec<u32>| digits.len() == 64)
        .ok_or_else(|| {
            Error::invalid(format!(
                "`{}` is not a SHA-256 fingerprint: 64 hexadecimal digits are needed, colons may stand between them",
                text.escape_debug()
            ))
        })?;
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
        *byte = (pair[0] * 16 + pair[1]) as u8;
    }
    Ok(out)
}

#[derive(Debug)]
struct Verifier {
    /// `None` accepts any certificate.
    pins: Option<Vec<[u8; 32]>>,
    /// Where the digest of the certificate is told, whatever becomes of it.
    seen: Option<Arc<Mutex<Option<[u8; 32]>>>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(pins) = &self.pins else {
            return Ok(ServerCertVerified::assertion());
        };
        let seen: [u8; 32] = Sha256::digest(end_entity.as_ref()).into();
        if let Some(told) = &self.seen {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
        if pins.contains(&seen) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(format!(
            "the certificate's fingerprint {} is not the pinned one",
            shown(&seen)
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
