//! Bundles for clusters that kubeadm made: Talos nodes join with the authorities of its PKI folder.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::fresh::{Given, is_token};
use super::key::{public_key, read_pem};
use super::{Ca, Pair, Secret, SecretsBundle, is_key, label};
use crate::certificate;
use crate::error::{Error, ErrorKind, Problem};
use crate::version::VersionContract;

/// The authorities that the folder holds, with the names of their files.
const AUTHORITIES: [(Ca, &str, &str); 3] = [
    (Ca::Kubernetes, "ca.crt", "ca.key"),
    (Ca::Etcd, "etcd/ca.crt", "etcd/ca.key"),
    (Ca::Aggregator, "front-proxy-ca.crt", "front-proxy-ca.key"),
];
const SERVICE_ACCOUNT: &str = "sa.key";

impl SecretsBundle {
    /// A bundle for a cluster whose PKI folder exists, usually a copy of `/etc/kubernetes/pki`.
    ///
    /// Read are `ca.crt`, `ca.key`, `etcd/ca.crt`, `etcd/ca.key`, `front-proxy-ca.crt`, `front-proxy-ca.key` and `sa.key`;
    /// keys may be PKCS#1, SEC 1 or PKCS#8. Made anew are the Talos CA, the cluster's identity, the token of the Talos
    /// nodes, the encryption secret of the contract, and the bootstrap token unless one is given.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSecrets`] with one problem for each file that is missing, is not PEM of the right kind, or holds
    /// a key that is not its certificate's, and for a bootstrap token that is not six and sixteen characters of `0-9a-z`
    /// around a dot.
    pub fn from_kubernetes_pki(
        dir: impl AsRef<Path>,
        bootstrap_token: Option<&str>,
        contract: VersionContract,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let dir = dir.as_ref();
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).map(Zeroizing::new);
        let given = assemble(read, bootstrap_token).map_err(|problems| {
            let message = format!("the Kubernetes PKI folder {} is incomplete", dir.display());
            Error::new(ErrorKind::InvalidSecrets, message).with_problems(problems)
        })?;
        Self::fresh(given, contract, now)
    }
}

/// What the files hold, or everything that is wrong with them.
fn assemble(
    read: impl Fn(&str) -> io::Result<Secret>,
    bootstrap_token: Option<&str>,
) -> Result<Given, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut given = Given::default();
    let mut text = |name: &str| match read(name) {
        Ok(text) => Some(text),
        Err(error) => {
            let message = match error.kind() {
                io::ErrorKind::NotFound => "the file is missing".to_owned(),
                io::ErrorKind::InvalidData => "the file is not text".to_owned(),
                _ => format!("the file cannot be read: {error}"),
            };
            problems.push(Problem::new(name, message));
            None
        }
    };
    let files = AUTHORITIES.map(|(ca, crt, key)| (ca, (crt, text(crt)), (key, text(key))));
    let service_account = text(SERVICE_ACCOUNT);
    for (ca, (crt_name, crt), (key_name, key)) in files {
        let mut check = |name: &str, found: Result<(), String>| {
            problems.extend(found.err().map(|message| Problem::new(name, message)));
        };
        if let Some(crt) = &crt {
            check(crt_name, check_certificate(crt));
        }
        if let Some(key) = &key {
            check(key_name, check_key(key));
        }
        let (Some(crt), Some(key)) = (crt, key) else {
            continue;
        };
        if belongs(&crt, &key) == Some(false) {
            let message = format!("the key is not that of the certificate in {crt_name}");
            check(key_name, Err(message));
        }
        given.cas[ca as usize] = Some(Pair {
            crt: encode(&crt),
            key: encode(&key),
        });
    }
    if let Some(key) = service_account {
        if let Err(message) = check_key(&key) {
            problems.push(Problem::new(SERVICE_ACCOUNT, message));
        }
        given.service_account = encode(&key);
    }
    if let Some(token) = bootstrap_token {
        if !is_token(token) {
            let message = "a token has six and sixteen characters of 0-9a-z around a dot";
            problems.push(Problem::new("bootstrap token", message));
        }
        given.bootstrap_token = Some(Zeroizing::new(token.to_owned()));
    }
    if problems.is_empty() {
        Ok(given)
    } else {
        Err(problems)
    }
}

fn encode(text: &str) -> Secret {
    Zeroizing::new(STANDARD.encode(text))
}

fn check_certificate(text: &str) -> Result<(), String> {
    match label(text) {
        None => Err("failed to parse PEM block".to_owned()),
        Some("CERTIFICATE") if certificate::first(text).is_some() => Ok(()),
        Some("CERTIFICATE") => Err("the certificate cannot be read".to_owned()),
        Some(other) => Err(format!("unsupported certificate type: \"{other}\"")),
    }
}

fn check_key(text: &str) -> Result<(), String> {
    match label(text) {
        None => Err("failed to parse PEM block".to_owned()),
        Some(found) if !is_key(found) => Err(format!("unsupported key type: \"{found}\"")),
        Some(_) if read_pem(text).is_none() => Err("the key is not base64".to_owned()),
        Some(_) => Ok(()),
    }
}

/// Whether the key is the certificate's; `None` where one of them does not say.
fn belongs(crt: &str, key: &str) -> Option<bool> {
    let (label, der) = read_pem(key)?;
    Some(public_key(&label, &der)? == certificate::first(crt)?.public_key)
}
