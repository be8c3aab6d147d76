//! Certificates: client identities, the Talos API's server certificates, and new bundles.

#[cfg(feature = "simulator")]
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
#[cfg(feature = "simulator")]
use rcgen::SanType;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use zeroize::Zeroizing;

use super::{Ca, SecretsBundle};
use crate::error::{Error, ErrorKind};
use crate::talosconfig::{Context, TalosConfig};

/// Ten years, the lifetime of the certificate authorities.
#[cfg(feature = "secrets")]
const CA_LIFETIME: Duration = Duration::from_secs(87_600 * 3600);

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
}

impl Role {
    /// The organization in the certificate.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "os:admin",
            Self::Operator => "os:operator",
            Self::Reader => "os:reader",
            Self::EtcdBackup => "os:etcd:backup",
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

fn failed(what: &str) -> impl Fn(rcgen::Error) -> Error + '_ {
    move |error| Error::new(ErrorKind::InvalidSecrets, format!("making {what}")).with_source(error)
}

impl SecretsBundle {
    /// A client certificate of these roles, signed by the Talos CA; the reference gives administrators one year.
    ///
    /// `now` is a parameter because nothing here reads the clock.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when the bundle's Talos CA is damaged.
    pub fn client_identity(
        &self,
        roles: &[Role],
        now: SystemTime,
        lifetime: Duration,
    ) -> Result<ClientIdentity, Error> {
        let (certificate, key) = self.pem(Ca::Os)?;
        let mut params = leaf(now, lifetime);
        for role in roles {
            params
                .distinguished_name
                .push(DnType::OrganizationName, role.as_str());
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (certificate, key) = sign(params, &certificate, &key)?;
        Ok(ClientIdentity { certificate, key })
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
        let identity =
            self.client_identity(&[Role::Admin], now, Duration::from_secs(365 * 24 * 3600))?;
        let context = Context::default().endpoints(endpoints).credentials(
            self.ca_certificate(Ca::Os)?,
            identity.certificate(),
            identity.key(),
        );
        Ok(TalosConfig::default().with_context(cluster, context))
    }
}

fn leaf(now: SystemTime, lifetime: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = now.into();
    params.not_after = (now + lifetime).into();
    params.serial_number = Some(serial());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn serial() -> SerialNumber {
    let mut bytes = [0_u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    // Positive and not shorter than 16 bytes.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    SerialNumber::from(bytes.to_vec())
}

fn sign(
    params: CertificateParams,
    ca_certificate: &str,
    ca_key: &str,
) -> Result<(String, Zeroizing<String>), Error> {
    let ca_key = signing_key(ca_key)?;
    let issuer = Issuer::from_ca_cert_pem(ca_certificate, ca_key)
        .map_err(failed("the issuer from the CA certificate"))?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(failed("a key"))?;
    let certificate = params
        .signed_by(&key, &issuer)
        .map_err(failed("a certificate"))?;
    Ok((certificate.pem(), ed25519_pem(&key)?))
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
    let mut params = leaf(now, Duration::from_secs(24 * 3600));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = san(names, addresses)?;
    sign(params, ca_certificate, ca_key)
}

/// The certificate of a node in maintenance mode, signed by itself.
#[cfg(feature = "simulator")]
pub(crate) fn self_signed(
    names: &[String],
    addresses: &[IpAddr],
    now: SystemTime,
) -> Result<(String, Zeroizing<String>), Error> {
    let mut params = leaf(now, Duration::from_secs(24 * 3600));
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
        let mut params = leaf(now, Duration::from_secs(365 * 24 * 3600));
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

/// The key of a CA in the forms that Talos writes: Ed25519 PKCS#8 under its own label, SEC 1 for P-256.
pub(crate) fn signing_key(pem: &str) -> Result<KeyPair, Error> {
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

pub(crate) fn read_pem(pem: &str) -> Option<(String, Zeroizing<Vec<u8>>)> {
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

fn write_pem(label: &str, der: &[u8]) -> Zeroizing<String> {
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
#[cfg(feature = "secrets")]
const P256_CURVE: [u8; 12] = [0xa0, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P256_PKCS8: [u8; 36] = [
    0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x6d, 0x30, 0x6b, 2, 1, 1, 4, 0x20,
];

/// PKCS#8 version 1 without the public key, which is what the reference reads.
fn ed25519_pem(key: &KeyPair) -> Result<Zeroizing<String>, Error> {
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

#[cfg(feature = "secrets")]
mod bundle {
    //! New bundles.

    use rcgen::{BasicConstraints, IsCa};

    use super::*;
    use crate::secrets::Pair;
    use crate::version::VersionContract;

    impl SecretsBundle {
        /// New secrets for a cluster: certificate authorities of ten years from `now`, tokens and encryption secrets.
        ///
        /// From contract 1.7 the service-account key is RSA-4096, which takes about a second; it is made on a thread of its
        /// own while the rest is prepared.
        ///
        /// # Errors
        /// [`ErrorKind::InvalidSecrets`] when the system's random source fails.
        pub fn generate(contract: VersionContract, now: SystemTime) -> Result<Self, Error> {
            let rsa = contract.at_least(7).then(|| std::thread::spawn(rsa_key));
            let etcd = authority(Some("etcd"), false, now)?;
            let kubernetes = authority(Some("kubernetes"), false, now)?;
            let aggregator = authority(None, false, now)?;
            let os = authority(Some("talos"), true, now)?;
            let encryption = Zeroizing::new(STANDARD.encode(*random::<32>()));
            let (secretbox, aescbc) = if contract.at_least(3) {
                (encryption, Zeroizing::default())
            } else {
                (Zeroizing::default(), encryption)
            };
            let service_account = match rsa {
                None => p256_pem(
                    &KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
                        .map_err(failed("a key"))?,
                )?,
                Some(thread) => thread.join().unwrap_or_else(|_| {
                    Err(Error::new(
                        ErrorKind::InvalidSecrets,
                        "the thread that makes the RSA key stopped",
                    ))
                })?,
            };
            Ok(Self {
                cluster_id: Zeroizing::new(STANDARD.encode(*random::<32>())),
                cluster_secret: Zeroizing::new(STANDARD.encode(*random::<32>())),
                bootstrap_token: token(),
                secretbox,
                aescbc,
                trustd_token: token(),
                cas: [Some(etcd), Some(kubernetes), Some(aggregator), Some(os)],
                service_account: Zeroizing::new(STANDARD.encode(service_account.as_bytes())),
                rest: Vec::new(),
            })
        }
    }

    fn random<const N: usize>() -> Zeroizing<[u8; N]> {
        let mut bytes = Zeroizing::new([0; N]);
        rand::rng().fill_bytes(bytes.as_mut());
        bytes
    }

    /// Six and sixteen characters of `0-9a-z`, evenly distributed.
    fn token() -> Zeroizing<String> {
        const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut text = Zeroizing::new(String::with_capacity(23));
        while text.len() < 23 {
            if text.len() == 6 {
                text.push('.');
                continue;
            }
            let byte = random::<1>()[0];
            // 252 is the largest multiple of 36 in a byte.
            if byte < 252 {
                text.push(char::from(ALPHABET[usize::from(byte % 36)]));
            }
        }
        text
    }

    fn authority(
        organization: Option<&str>,
        ed25519: bool,
        now: SystemTime,
    ) -> Result<Pair, Error> {
        let mut params = leaf(now, CA_LIFETIME);
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
        if let Some(organization) = organization {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization);
        }
        let algorithm = if ed25519 {
            &rcgen::PKCS_ED25519
        } else {
            &rcgen::PKCS_ECDSA_P256_SHA256
        };
        let key = KeyPair::generate_for(algorithm).map_err(failed("a key"))?;
        let certificate = params
            .self_signed(&key)
            .map_err(failed("a CA certificate"))?;
        let key = if ed25519 {
            ed25519_pem(&key)?
        } else {
            p256_pem(&key)?
        };
        Ok(Pair {
            crt: Zeroizing::new(STANDARD.encode(certificate.pem())),
            key: Zeroizing::new(STANDARD.encode(key.as_bytes())),
        })
    }

    /// SEC 1 with curve and point, the form that the reference writes.
    fn p256_pem(key: &KeyPair) -> Result<Zeroizing<String>, Error> {
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

    /// RSA-4096 as PKCS#1.
    fn rsa_key() -> Result<Zeroizing<String>, Error> {
        use aws_lc_rs::encoding::AsDer as _;
        use aws_lc_rs::rsa::{KeyPair, KeySize};
        let failed = |_| {
            Error::new(
                ErrorKind::InvalidSecrets,
                "making the RSA-4096 service-account key",
            )
        };
        let key = KeyPair::generate(KeySize::Rsa4096).map_err(failed)?;
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
        // PKCS#8 is version, algorithm, then an octet string that holds PKCS#1: the last `04 82 len len` of the head.
        let der = pkcs8.as_ref();
        let unknown = || {
            Error::new(
                ErrorKind::InvalidSecrets,
                "a new RSA key has an unknown form",
            )
        };
        let at = der
            .get(..32)
            .and_then(|head| head.windows(2).position(|window| window == [4, 0x82]))
            .ok_or_else(unknown)?;
        Ok(write_pem(
            "RSA PRIVATE KEY",
            der.get(at + 4..).ok_or_else(unknown)?,
        ))
    }
}
