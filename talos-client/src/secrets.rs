//! The secrets of a cluster: what a `secrets.yaml` holds, made once and needed for every later configuration.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::config::encode;
use crate::error::{Error, ErrorKind, Problem};
use crate::value::{Map, Value};
use crate::yaml::{parse, print};

mod authority;
#[cfg(feature = "pki")]
mod fresh;
mod from_config;
#[cfg(feature = "secrets")]
mod generate;
#[cfg(feature = "pki")]
mod key;
#[cfg(feature = "pki")]
mod kubernetes_pki;
#[cfg(feature = "pki")]
pub(crate) mod pki;
#[cfg(feature = "pki")]
mod subject;

pub use authority::CertificateAuthority;
#[cfg(feature = "pki")]
pub use pki::{ClientIdentity, Role};

type Secret = Zeroizing<String>;

/// One of the cluster's certificate authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ca {
    /// Signs etcd's peers and clients.
    Etcd,
    /// Signs the Kubernetes API and its clients.
    Kubernetes,
    /// Signs the aggregation layer's front proxy.
    Aggregator,
    /// Signs the Talos API and its clients.
    Os,
}

impl Ca {
    pub(crate) const ALL: [Self; 4] = [Self::Etcd, Self::Kubernetes, Self::Aggregator, Self::Os];

    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Kubernetes => "k8s",
            Self::Aggregator => "k8saggregator",
            Self::Os => "os",
        }
    }
}

/// Certificate and key, each base64 of PEM.
#[derive(Clone, Default, PartialEq)]
struct Pair {
    crt: Secret,
    key: Secret,
}

/// The secrets of one cluster. `Debug` shows none of them; they are wiped on drop.
///
/// Without this bundle no node can be added and no client certificate issued: keep it safe, never in Git in the clear.
#[derive(Clone, Default, PartialEq)]
pub struct SecretsBundle {
    cluster_id: Secret,
    cluster_secret: Secret,
    bootstrap_token: Secret,
    secretbox: Secret,
    aescbc: Secret,
    trustd_token: Secret,
    cas: [Option<Pair>; 4],
    service_account: Secret,
    /// Keys of newer versions, kept for writing.
    rest: Vec<(String, Value)>,
}

impl fmt::Debug for SecretsBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsBundle").finish_non_exhaustive()
    }
}

impl SecretsBundle {
    /// Reads the text of a `secrets.yaml`. Use [`validate`](Self::validate) to know whether it is complete.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] for broken YAML.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let invalid = |problem| {
            Error::new(
                ErrorKind::InvalidSecrets,
                "the secrets bundle does not load",
            )
            .with_problems(vec![problem])
        };
        let nodes = parse::documents(text).map_err(|syntax| {
            invalid(Problem::at(
                syntax.line,
                syntax.column,
                "",
                "the text is not valid YAML",
            ))
        })?;
        let root = nodes.first().map(Value::free).unwrap_or(Value::Null);
        let Value::Map(map) = &root else {
            return Err(invalid(Problem::at(
                1,
                1,
                "",
                "a mapping with `cluster`, `secrets`, `trustdinfo` and `certs` is needed",
            )));
        };
        let text = |path: &str| -> Secret {
            Zeroizing::new(
                root.at(path)
                    .and_then(Value::as_text)
                    .unwrap_or_default()
                    .to_owned(),
            )
        };
        let pair = |ca: Ca| {
            root.at(&format!("certs.{}", ca.key()))
                .filter(|value| **value != Value::Null)
                .map(|_| Pair {
                    crt: text(&format!("certs.{}.crt", ca.key())),
                    key: text(&format!("certs.{}.key", ca.key())),
                })
        };
        let known = ["cluster", "secrets", "trustdinfo", "certs"];
        Ok(Self {
            cluster_id: text("cluster.id"),
            cluster_secret: text("cluster.secret"),
            bootstrap_token: text("secrets.bootstraptoken"),
            secretbox: text("secrets.secretboxencryptionsecret"),
            aescbc: text("secrets.aescbcencryptionsecret"),
            trustd_token: text("trustdinfo.token"),
            cas: Ca::ALL.map(pair),
            service_account: text("certs.k8sserviceaccount.key"),
            rest: map
                .0
                .iter()
                .filter(|(key, _)| !known.contains(&&**key))
                .map(|(k, v)| (k.to_string(), v.clone()))
                .collect(),
        })
    }

    /// The text of a `secrets.yaml`, byte-equal to what the reference writes.
    pub fn to_yaml(&self) -> Zeroizing<String> {
        let text = |value: &Secret| Value::text(value.as_str());
        let mut secrets = vec![("bootstraptoken", text(&self.bootstrap_token))];
        if !self.secretbox.is_empty() {
            secrets.push(("secretboxencryptionsecret", text(&self.secretbox)));
        }
        if !self.aescbc.is_empty() {
            secrets.push(("aescbcencryptionsecret", text(&self.aescbc)));
        }
        let mut certs = Map::default();
        for ca in [Ca::Etcd, Ca::Kubernetes, Ca::Aggregator] {
            certs.set(ca.key(), self.pair_value(ca));
        }
        certs.set(
            "k8sserviceaccount",
            Value::map([("key", text(&self.service_account))]),
        );
        certs.set(Ca::Os.key(), self.pair_value(Ca::Os));
        let cluster = [
            ("id", text(&self.cluster_id)),
            ("secret", text(&self.cluster_secret)),
        ];
        let sections = [
            ("cluster", Value::map(cluster)),
            ("secrets", Value::map(secrets)),
            (
                "trustdinfo",
                Value::map([("token", text(&self.trustd_token))]),
            ),
            ("certs", Value::Map(certs)),
        ];
        let rest = self
            .rest
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()));
        let sections: Vec<_> = sections.into_iter().chain(rest).collect();
        let pairs = sections
            .iter()
            .map(|(key, value)| ((*key).into(), ordered(value)))
            .collect();
        let sizes = sections.iter().filter_map(|(_, value)| value.as_map());
        let size = sizes.map(Map::printed_size).sum();
        let mut out = Zeroizing::new(String::with_capacity(size));
        print::document(&mut out, &print::Out::Map(pairs));
        out
    }

    /// Everything that a cluster needs is there and parses.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] with one problem per missing or damaged field.
    pub fn validate(&self) -> Result<(), Error> {
        let mut problems = Vec::new();
        let mut required = |present: bool, path: &str| {
            if !present {
                problems.push(Problem::new(path, format!("{path} is required")));
            }
        };
        required(!self.cluster_id.is_empty(), "cluster.id");
        required(!self.cluster_secret.is_empty(), "cluster.secret");
        required(!self.bootstrap_token.is_empty(), "secrets.bootstraptoken");
        let either = "[secrets.secretboxencryptionsecret, secrets.aescbcencryptionsecret]";
        match (self.secretbox.is_empty(), self.aescbc.is_empty()) {
            (true, true) => problems.push(Problem::new(
                "secrets",
                format!("one of {either} is required"),
            )),
            (false, false) => problems.push(Problem::new(
                "secrets",
                format!("only one of {either} is allowed"),
            )),
            _ => {}
        }
        if self.trustd_token.is_empty() {
            problems.push(Problem::new("trustdinfo", "trustdinfo is required"));
        }
        for ca in [Ca::Etcd, Ca::Kubernetes, Ca::Aggregator] {
            self.check_pair(ca, &mut problems);
        }
        let path = "certs.k8sserviceaccount";
        match pem_label(&self.service_account) {
            _ if self.service_account.is_empty() => {
                problems.push(Problem::new(path, format!("{path} is required")))
            }
            None => problems.push(Problem::new(
                path,
                format!("{path} is invalid: failed to parse PEM block"),
            )),
            Some(label) if !is_key(&label) => {
                problems.push(Problem::new(
                    path,
                    format!("{path} is invalid: unsupported key type: \"{label}\""),
                ));
            }
            Some(_) => {}
        }
        self.check_pair(Ca::Os, &mut problems);
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidSecrets,
            "the secrets bundle is incomplete",
        )
        .with_problems(problems))
    }

    fn check_pair(&self, ca: Ca, problems: &mut Vec<Problem>) {
        let path = format!("certs.{}", ca.key());
        let message = match self.cas[ca as usize].as_ref() {
            None => format!("{path} is required"),
            Some(pair) => match (pem_label(&pair.crt), pem_label(&pair.key)) {
                // The key decides first: a pair without a certificate but with a wrong key is about the key.
                (_, Some(label)) if !is_key(&label) => {
                    format!("{path} is invalid: unsupported key type: \"{label}\"")
                }
                (None, _) | (_, None) => format!("{path} is invalid: failed to parse PEM block"),
                (Some(label), _) if label != "CERTIFICATE" => {
                    format!("{path} is invalid: unsupported certificate type: \"{label}\"")
                }
                _ => return,
            },
        };
        problems.push(Problem::new(path, message));
    }

    /// Writes `secrets.yaml` for the owner only (0600): beside the target, synced, then renamed over it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn write_file(&self, path: &Path) -> Result<(), Error> {
        crate::file::write_private(path, self.to_yaml().as_bytes())
    }

    /// Reads and validates a `secrets.yaml`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::InvalidSecrets`].
    pub fn read_file(path: &Path) -> Result<Self, Error> {
        let bundle = Self::from_yaml(&crate::file::read_private(path)?)?;
        bundle.validate()?;
        Ok(bundle)
    }

    /// A complete bundle whose keys are public knowledge: for tests and labs, which must not wait for new RSA keys.
    /// Never for a real cluster.
    #[cfg(any(test, feature = "simulator"))]
    pub fn fixed_for_tests() -> Self {
        Self::from_yaml(include_str!("secrets/fixed.yaml")).unwrap_or_default()
    }

    fn pair_value(&self, ca: Ca) -> Value {
        let pair = self.cas[ca as usize].clone().unwrap_or_default();
        Value::map([
            ("crt", Value::Text(pair.crt)),
            ("key", Value::Text(pair.key)),
        ])
    }

    pub(crate) fn os_ca(&self) -> Value {
        self.pair_value(Ca::Os)
    }

    pub(crate) fn os_ca_certificate(&self) -> Value {
        certificate_only(self.pair_value(Ca::Os))
    }

    pub(crate) fn kubernetes_ca(&self) -> Value {
        self.pair_value(Ca::Kubernetes)
    }

    pub(crate) fn kubernetes_ca_certificate(&self) -> Value {
        certificate_only(self.pair_value(Ca::Kubernetes))
    }

    pub(crate) fn aggregator_ca(&self) -> Value {
        self.pair_value(Ca::Aggregator)
    }

    pub(crate) fn etcd_ca(&self) -> Value {
        self.pair_value(Ca::Etcd)
    }

    pub(crate) fn service_account(&self) -> Value {
        Value::map([("key", Value::Text(self.service_account.clone()))])
    }

    pub(crate) fn service_account_pem(&self) -> Result<Value, Error> {
        Ok(Value::Text(decode_pem(
            &self.service_account,
            "certs.k8sserviceaccount.key",
        )?))
    }

    pub(crate) fn cluster_id(&self) -> Value {
        Value::Text(self.cluster_id.clone())
    }

    pub(crate) fn cluster_secret(&self) -> Value {
        Value::Text(self.cluster_secret.clone())
    }

    pub(crate) fn bootstrap_token(&self) -> Value {
        Value::Text(self.bootstrap_token.clone())
    }

    pub(crate) fn trustd_token(&self) -> Value {
        Value::Text(self.trustd_token.clone())
    }

    /// Whether it is the older AES-CBC secret, and the secret.
    pub(crate) fn encryption_secret(&self) -> Option<(bool, Value)> {
        match (self.secretbox.is_empty(), self.aescbc.is_empty()) {
            (false, _) => Some((false, Value::Text(self.secretbox.clone()))),
            (true, false) => Some((true, Value::Text(self.aescbc.clone()))),
            (true, true) => None,
        }
    }

    /// Certificate and key of a CA as PEM.
    pub(crate) fn pem(&self, ca: Ca) -> Result<(String, Secret), Error> {
        let pair = self.cas[ca as usize]
            .as_ref()
            .ok_or_else(|| missing(&format!("certs.{}", ca.key())))?;
        let certificate = decode_pem(&pair.crt, &format!("certs.{}.crt", ca.key()))?;
        let key = decode_pem(&pair.key, &format!("certs.{}.key", ca.key()))?;
        Ok((certificate.to_string(), key))
    }

    /// The certificate of a CA, PEM.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when the bundle lacks it.
    pub fn ca_certificate(&self, ca: Ca) -> Result<String, Error> {
        Ok(self.pem(ca)?.0)
    }

    /// The private key of a CA, PEM: whoever holds it signs for the cluster.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] when the bundle lacks it.
    pub fn ca_key(&self, ca: Ca) -> Result<Zeroizing<String>, Error> {
        Ok(self.pem(ca)?.1)
    }
}

/// The `crt` and `key` order of the file is not alphabetical, nor is that of its sections.
fn ordered(value: &Value) -> print::Out<'_> {
    match value {
        Value::Map(map) => print::Out::Map(
            map.0
                .iter()
                .map(|(key, item)| (key.as_ref().into(), ordered(item)))
                .collect(),
        ),
        other => encode::free(other),
    }
}

fn certificate_only(mut pair: Value) -> Value {
    if let Value::Map(pair) = &mut pair {
        pair.remove("key");
    }
    pair
}

fn missing(path: &str) -> Error {
    Error::new(ErrorKind::InvalidSecrets, format!("{path} is required"))
}

fn decode_pem(text: &str, path: &str) -> Result<Secret, Error> {
    let invalid = || {
        Error::new(
            ErrorKind::InvalidSecrets,
            format!("{path} is not base64 of PEM text"),
        )
    };
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| invalid())?);
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid())?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The label of the first PEM block below base64.
fn pem_label(base64: &str) -> Option<String> {
    let bytes = Zeroizing::new(STANDARD.decode(base64).ok()?);
    label(std::str::from_utf8(&bytes).ok()?).map(str::to_owned)
}

/// The label of the first PEM block.
fn label(pem: &str) -> Option<&str> {
    let start = pem.find("-----BEGIN ")? + "-----BEGIN ".len();
    let label = pem[start..].split("-----").next()?;
    pem.contains(&format!("-----END {label}-----"))
        .then_some(label)
}

fn is_key(label: &str) -> bool {
    matches!(
        label,
        "EC PRIVATE KEY" | "RSA PRIVATE KEY" | "ED25519 PRIVATE KEY" | "PRIVATE KEY"
    )
}
