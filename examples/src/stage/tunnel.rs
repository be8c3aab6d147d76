//! The tunnel of one environment at work: keys out of the secrets, files beside them, who reaches whom.

use std::path::PathBuf;

use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use wireguard_config::topology::{Keys, Plan, Verdict};
use wireguard_config::{Error, PresharedKey, PrivateKey};

use crate::failure::Failure;
use crate::progress::Outcome;
use crate::secrets::{Secrets, write_file};
use crate::session::Session;
use crate::spec::Spec;
use crate::stage::wireguard;
use crate::verify::{Evidence, Report, TunnelPair};

fn wrong(place: &str) -> impl Fn(Error) -> Failure + '_ {
    move |error| Failure::permanent(place, "cannot be part of the tunnel").caused_by(error)
}

/// The keys that the secrets hold.
fn keys(secrets: &Secrets) -> Result<Keys, Failure> {
    let mut keys = Keys::new();
    for (name, key) in &secrets.wireguard_keys {
        let key = PrivateKey::from_base64(key.expose_secret()).map_err(wrong(name))?;
        keys.set_private(name, key);
    }
    if let Some(seed) = &secrets.wireguard_seed {
        let seed = PresharedKey::from_base64(seed.expose_secret()).map_err(wrong("seed"))?;
        keys.set_seed(seed);
    }
    Ok(keys)
}

/// Members whose key we make and have not made yet.
pub fn missing_keys(spec: &Spec, secrets: &Secrets) -> Vec<String> {
    let Some(tunnel) = &spec.wireguard else {
        return Vec::new();
    };
    let mut missing: Vec<String> = tunnel
        .peers
        .iter()
        .filter(|(name, peer)| {
            peer.public_key.is_none() && !secrets.wireguard_keys.contains_key(*name)
        })
        .map(|(name, _)| name.clone())
        .collect();
    if secrets.wireguard_seed.is_none() {
        missing.push("every pair".to_owned());
    }
    missing
}

/// Makes the keys that are missing.
///
/// # Errors
///
/// A spec that has no inventory.
pub fn make_keys(spec: &Spec, present: &Secrets, made: &mut Secrets) -> Result<(), Failure> {
    let Some(inventory) = wireguard::inventory(spec).map_err(wrong("wireguard"))? else {
        return Ok(());
    };
    let mut keys = keys(present)?;
    wireguard::given_keys(spec, &mut keys).map_err(wrong("wireguard"))?;
    keys.complete(&inventory, &mut |bytes: &mut [u8]| {
        rand::rng().fill_bytes(bytes)
    });
    for member in &inventory.members {
        let name = &member.name;
        if let (false, Some(key)) = (
            present.wireguard_keys.contains_key(name),
            keys.private(name),
        ) {
            let text = SecretString::from(key.expose_base64().as_str());
            made.wireguard_keys.insert(name.clone(), text);
        }
    }
    if present.wireguard_seed.is_none() {
        made.wireguard_seed = keys
            .seed()
            .map(|seed| SecretString::from(seed.expose_base64().as_str()));
    }
    Ok(())
}

/// The checked plan of the tunnel; `None` where the spec has none.
fn plan(spec: &Spec, secrets: &Secrets) -> Result<Option<Plan>, Failure> {
    wireguard::plan(spec, &keys(secrets)?).map_err(wrong("wireguard"))
}

/// Where the files of the tunnel lie; a lab in memory has none.
fn folder(session: &Session) -> Option<PathBuf> {
    let folder = session.secret_store().folder()?;
    Some(folder.join(format!("{}.wireguard", session.spec().name)))
}

/// The names of files that are missing or differ.
///
/// # Errors
///
/// A tunnel that cannot be planned.
pub fn stale(session: &Session) -> Result<Vec<String>, Failure> {
    let (Some(tunnel), Some(folder)) = (&session.spec().wireguard, folder(session)) else {
        return Ok(Vec::new());
    };
    let secrets = session.secrets()?.unwrap_or_default();
    if !missing_keys(session.spec(), &secrets).is_empty() {
        return Ok(tunnel.peers.keys().cloned().collect());
    }
    let Some(plan) = plan(session.spec(), &secrets)? else {
        return Ok(Vec::new());
    };
    let differs = |path: &str, content: &str| {
        std::fs::read_to_string(folder.join(path)).map_or(true, |found| found != content)
    };
    Ok(plan
        .files()
        .filter(|file| differs(&file.path, &file.content))
        .map(|file| file.path)
        .collect())
}

/// Writes the files, each whole and for its owner only.
///
/// # Errors
///
/// A tunnel that cannot be planned, or a folder that cannot be written.
pub fn write(session: &Session) -> Result<Outcome, Failure> {
    let secrets = session.secrets()?.unwrap_or_default();
    let (Some(plan), Some(folder)) = (plan(session.spec(), &secrets)?, folder(session)) else {
        return Ok(Outcome::Unchanged);
    };
    for file in plan.files() {
        write_file(&folder.join(&file.path), file.content.as_bytes())?;
    }
    Ok(Outcome::Changed)
}

/// Adds to a report who reaches whom.
///
/// # Errors
///
/// A tunnel that cannot be planned.
pub fn describe(session: &Session, report: &mut Report) -> Result<(), Failure> {
    let secrets = session.secrets()?.unwrap_or_default();
    let Some(plan) = plan(session.spec(), &secrets)? else {
        return Ok(());
    };
    let reachability = plan.reachability();
    let mut unreachable = 0;
    for (from, to, verdict) in reachability.pairs() {
        let path = match &verdict {
            Verdict::Direct => "direct".to_owned(),
            Verdict::Via(members) => format!("via {}", members.join(", ")),
            Verdict::Unreachable(obstacle) => {
                unreachable += 1;
                format!("UNREACHABLE: {obstacle}")
            }
            other => format!("{other:?}"),
        };
        report
            .tunnel
            .push(TunnelPair::new(from.to_owned(), to.to_owned(), path));
    }
    let pairs = report.tunnel.len();
    let seen = format!("{} of {pairs} pairs reach each other", pairs - unreachable);
    report
        .evidence
        .push(Evidence::new("tunnel", unreachable == 0 && pairs > 0, seen));
    Ok(())
}
