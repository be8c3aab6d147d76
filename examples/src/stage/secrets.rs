//! What is secret about a cluster, and the making of what is missing.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::component::SecretSource;
use crate::failure::Failure;
use crate::secrets::Secrets;
use crate::session::Session;
use crate::spec::reference::SecretRef;
use crate::stage::{talos, tunnel};

/// Repositories whose password we make.
fn repositories(session: &Session) -> BTreeSet<String> {
    let repositories = session
        .spec()
        .backup
        .iter()
        .flat_map(|backup| &backup.repositories);
    repositories
        .filter(|(_, repository)| repository.password_from == SecretRef::Generated)
        .map(|(name, _)| name.clone())
        .collect()
}

/// Values of Kubernetes Secrets that we make, by the name that the catalogue gives them.
fn values(session: &Session) -> BTreeSet<String> {
    let needs = session
        .catalogue()
        .components
        .iter()
        .flat_map(|component| &component.needs.secrets);
    needs
        .flat_map(|need| need.keys.values())
        .filter_map(|source| match source {
            SecretSource::Generated(name) => Some(name.clone()),
            SecretSource::Plain(_) | SecretSource::Reference(_) => None,
        })
        .collect()
}

/// Names of what is not there yet.
///
/// # Errors
///
/// A file that cannot be read.
pub fn missing(session: &Session) -> Result<Vec<String>, Failure> {
    let present = session.secrets()?.unwrap_or_default();
    let mut missing = Vec::new();
    if present.talos.is_none() {
        missing.push("Talos secrets bundle".to_owned());
    }
    let absent = tunnel::missing_keys(session.spec(), &present);
    if !absent.is_empty() {
        missing.push(format!("WireGuard keys of {}", absent.join(", ")));
    }
    for name in repositories(session) {
        if !present.restic.contains_key(&name) {
            missing.push(format!("password of repository {name}"));
        }
    }
    let absent = values(session)
        .iter()
        .filter(|name| !present.kubernetes.contains_key(*name))
        .count();
    if absent > 0 {
        missing.push(format!("{absent} values of Kubernetes Secrets"));
    }
    Ok(missing)
}

/// Makes what is missing.
///
/// # Errors
///
/// The operating system gives no randomness.
pub fn make(session: &Session) -> Result<Secrets, Failure> {
    let present = session.secrets()?.unwrap_or_default();
    let mut made = Secrets::default();
    if present.talos.is_none() {
        made.talos = Some(talos::make_bundle(session)?);
    }
    tunnel::make_keys(session.spec(), &present, &mut made)?;
    for name in repositories(session) {
        if !present.restic.contains_key(&name) {
            made.restic.insert(name, random());
        }
    }
    for name in values(session) {
        if !present.kubernetes.contains_key(&name) {
            made.kubernetes.insert(name, random());
        }
    }
    Ok(made)
}

/// 32 random bytes in base64.
fn random() -> SecretString {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::rng().fill_bytes(&mut *bytes);
    let text = Zeroizing::new(STANDARD.encode(*bytes));
    SecretString::from(text.as_str())
}
