//! Certificates: client identities, and the Talos API's server certificates.

#[cfg(feature = "simulator")]
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

#[cfg(feature = "simulator")]
use base64::Engine as _;
#[cfg(feature = "simulator")]
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
use rcgen::{
    Certificate, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
#[cfg(feature = "simulator")]
use rcgen::{DnType, SanType};
use zeroize::Zeroizing;

use super::authority::CertificateAuthority;
use super::key::{ed25519_pem, signing_key, write_pem};
use super::subject::with_organizations;
use super::{Ca, SecretsBundle};
use crate::error::{Error, ErrorKind};
use crate::talosconfig::{Context, TalosConfig};

/// What the reference gives client certificates when it is not told otherwise.
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a client may do on the Talos API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Everything.
    Admin,
    /// Reading, and reboot, shutdown, service control, etcd snapshots.
    Operator,
    /// Reading what is not secret.
    Reader,
    /// etcd snapshots only.
    EtcdBackup,
    /// Writing the metadata of the machine.
    MetaWriter,
    /// Verifying the signatures of images.
    ImageVerifier,
    /// Acting with the roles that a request names.
    Impersonator,
}

impl Role {
    /// The organization in the certificate.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "os:admin",
            Self::Operator => "os:operator",
            Self::Reader => "os:reader",
            Self::EtcdBackup => "os:etcd:backup",
            Self::MetaWriter => "os:meta:writer",
            Self::ImageVerifier => "os:image:verifier",
            Self::Impersonator => "os:impersonator",
        }
    }
}

/// A client certificate with its key, both PEM. `Debug` does not show the key.
#[derive(Clone)]
pub struct ClientIdentity {
    pub(crate) certificate: String,
    pub(crate) key: Zeroizing<String>,
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl ClientIdentity {
    /// The certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The key, PEM (label `ED25519 PRIVATE KEY`, as Talos writes it).
    pub fn key(&self) -> &str {
        &self.key
    }
}

pub(super) fn failed(what: &str) -> impl Fn(rcgen::Error) -> Error + '_ {
    move |error| Error::new(ErrorKind::InvalidSecrets, format!("making {what}")).with_source(error)
}

impl SecretsBundle {
    /// A client certificate of these roles, signed by the Talos CA; the reference gives administrators one year.
    ///
    /// `now` is a parameter because nothing here reads the clock.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when the bundle's Talos CA is damaged, [`ErrorKind::InvalidArgument`] for a lifetime
    /// that ends after the year 9999.
    pub fn client_identity(
        &self,
        roles: &[Role],
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<ClientIdentity, Error> {
        let roles = roles.iter().map(|role| role.as_str());
        client_identity(&self.authority(Ca::Os)?, roles, now, lifetime)
    }

    /// An administrator's talosconfig with one context named after the cluster.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when the bundle's Talos CA is damaged.
    pub fn talosconfig<T: Into<String>>(
        &self,
        cluster: &str,
        endpoints: impl IntoIterator<Item = T>,
        now: SystemTime,
    ) -> Result<TalosConfig, Error> {
        let identity = self.client_identity(&[Role::Admin], now, YEAR)?;
        let context = Context::default().endpoints(endpoints).credentials(
            self.ca_certificate(Ca::Os)?,
            identity.certificate(),
            identity.key(),
        );
        Ok(TalosConfig::default().with_context(cluster, context))
    }
}

/// A client certificate whose organizations are these roles.
pub(crate) fn client_identity<'r>(
    authority: &CertificateAuthority,
    roles: impl IntoIterator<Item = &'r str>,
    now: SystemTime,
    lifetime: Duration,
) -> Result<ClientIdentity, Error> {
    let mut params = leaf(now, lifetime)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let (issuer, certificate, key) = sign(params, authority.certificate(), authority.key())?;
    let named = with_organizations(certificate.der(), roles, issuer.key());
    let named = named.ok_or_else(|| {
        let message = "signing a client certificate with its roles";
        Error::new(ErrorKind::InvalidSecrets, message)
    })?;
    let certificate = write_pem("CERTIFICATE", &named).to_string();
    Ok(ClientIdentity { certificate, key })
}

/// Seconds from 1970 to the end of the year 9999, the last that a certificate can name.
const LAST_SECOND: u64 = 253_402_300_799;

pub(super) fn leaf(now: SystemTime, lifetime: Duration) -> Result<CertificateParams, Error> {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_SECOND);
    let end = now.checked_add(lifetime).filter(|end| *end <= last);
    let end = end.ok_or_else(|| {
        let message = "the certificate would end after the year 9999";
        Error::new(ErrorKind::InvalidArgument, message)
    })?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = now.into();
    params.not_after = end.into();
    params.serial_number = Some(serial());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn serial() -> SerialNumber {
    let mut bytes = [0_u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    // Positive and not shorter than 16 bytes.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    SerialNumber::from(bytes.to_vec())
}

/// A new key and its certificate, with what signed it.
fn sign(
    params: CertificateParams,
    ca_certificate: &str,
    ca_key: &str,
) -> Result<(Issuer<'static, KeyPair>, Certificate, Zeroizing<String>), Error> {
    let ca_key = signing_key(ca_key)?;
    let issuer = Issuer::from_ca_cert_pem(ca_certificate, ca_key)
        .map_err(failed("the issuer from the CA certificate"))?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(failed("a key"))?;
    let certificate = params
        .signed_by(&key, &issuer)
        .map_err(failed("a certificate"))?;
    Ok((issuer, certificate, ed25519_pem(&key)?))
}

/// A server certificate of the Talos API: names and addresses of the node, signed by the Talos CA.
#[cfg(feature = "simulator")]
pub(crate) fn server_certificate(
    ca_certificate: &str,
    ca_key: &str,
    names: &[String],
    addresses: &[IpAddr],
    now: SystemTime,
) -> Result<(String, Zeroizing<String>), Error> {
    let mut params = leaf(now, Duration::from_secs(24 * 3600))?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = san(names, addresses)?;
    let (_, certificate, key) = sign(params, ca_certificate, ca_key)?;
    Ok((certificate.pem(), key))
}

/// The certificate of a node in maintenance mode, signed by itself.
#[cfg(feature = "simulator")]
pub(crate) fn self_signed(
    names: &[String],
    addresses: &[IpAddr],
    now: SystemTime,
) -> Result<(String, Zeroizing<String>), Error> {
    let mut params = leaf(now, Duration::from_secs(24 * 3600))?;
    params.use_authority_key_identifier_extension = false;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = san(names, addresses)?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(failed("a key"))?;
    let certificate = params.self_signed(&key).map_err(failed("a certificate"))?;
    Ok((certificate.pem(), ed25519_pem(&key)?))
}

#[cfg(feature = "simulator")]
impl crate::config::MachineConfig {
    /// An administrator's kubeconfig, signed by the configuration's Kubernetes CA for a year.
    pub(crate) fn kubeconfig(&self, now: SystemTime) -> Result<Zeroizing<String>, Error> {
        let missing = || {
            Error::new(
                ErrorKind::InvalidSecrets,
                "the configuration has no Kubernetes CA",
            )
        };
        let (ca, ca_key) = self.kubernetes_authority().ok_or_else(missing)?;
        let mut params = leaf(now, YEAR)?;
        params
            .distinguished_name
            .push(DnType::OrganizationName, "system:masters");
        params.distinguished_name.push(DnType::CommonName, "admin");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let issuer = Issuer::from_ca_cert_pem(&ca, signing_key(&ca_key)?)
            .map_err(failed("the issuer from the Kubernetes CA"))?;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed("a key"))?;
        let certificate = params
            .signed_by(&key, &issuer)
            .map_err(failed("a certificate"))?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let (cluster, server) = (
            self.cluster_name().unwrap_or_default(),
            self.endpoint().unwrap_or_default(),
        );
        let (ca, certificate, key) = (
            STANDARD.encode(&ca),
            STANDARD.encode(certificate.pem()),
            STANDARD.encode(key_pem.as_bytes()),
        );
        Ok(Zeroizing::new(format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: {cluster}\n  cluster:\n    server: {server}\n    \
             certificate-authority-data: {ca}\nusers:\n- name: admin@{cluster}\n  user:\n    \
             client-certificate-data: {certificate}\n    client-key-data: {key}\ncontexts:\n- name: admin@{cluster}\n  \
             context:\n    cluster: {cluster}\n    namespace: default\n    user: admin@{cluster}\n\
             current-context: admin@{cluster}\n"
        )))
    }
}

#[cfg(feature = "simulator")]
fn san(names: &[String], addresses: &[IpAddr]) -> Result<Vec<SanType>, Error> {
    let mut san: Vec<SanType> = addresses
        .iter()
        .map(|address| SanType::IpAddress(*address))
        .collect();
    for name in names {
        let name = name
            .as_str()
            .try_into()
            .map_err(failed("a certificate's names"))?;
        san.push(SanType::DnsName(name));
    }
    Ok(san)
}
