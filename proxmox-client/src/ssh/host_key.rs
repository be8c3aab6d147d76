//! Which key of an SSH server is accepted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

use super::known_hosts::{self, Known, Verdict};
use super::session;
use super::target::SshTarget;
use crate::error::{Error, Kind, Result};

/// Which key of an SSH server is accepted. There is no way to accept any key.
///
/// ```
/// use proxmox_client::ssh::HostKey;
/// let pinned = HostKey::pinned("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU")?;
/// assert!(HostKey::pinned("MD5:d4:1d:8c").is_err());
/// # drop(pinned);
/// # Ok::<(), proxmox_client::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct HostKey(pub(super) Rule);

#[derive(Clone)]
pub(super) enum Rule {
    KnownHosts(PathBuf),
    Pinned([u8; 32]),
    AcceptNew { file: PathBuf, report: Report },
}

type Report = Arc<dyn Fn(&NewHostKey) + Send + Sync>;

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KnownHosts(file) => f.debug_tuple("KnownHosts").field(file).finish(),
            Self::Pinned(digest) => f.debug_tuple("Pinned").field(&shown(digest)).finish(),
            Self::AcceptNew { file, .. } => f.debug_tuple("AcceptNew").field(file).finish(),
        }
    }
}

/// A key that was seen for the first time and is accepted from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewHostKey {
    /// The server, as known_hosts files spell it: `pve1`, `[pve1]:2222`.
    pub host: String,
    /// Kind of the key: `ssh-ed25519`, …
    pub algorithm: String,
    /// `SHA256:` and the digest in base 64, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// The file that it was added to.
    pub file: PathBuf,
}

impl HostKey {
    /// A key that a known_hosts file has for the server. Hashed names, patterns and `@revoked` are understood;
    /// certificate authorities are not.
    pub fn known_hosts(file: impl Into<PathBuf>) -> Self {
        Self(Rule::KnownHosts(file.into()))
    }

    /// The key with this fingerprint, whichever of the server's keys it is: `SHA256:` and 43 characters, as
    /// `ssh-keygen -l` shows it.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] if it does not look like that.
    pub fn pinned(fingerprint: &str) -> Result<Self> {
        let digest = fingerprint
            .trim()
            .strip_prefix("SHA256:")
            .and_then(|text| STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        match digest {
            Some(digest) => Ok(Self(Rule::Pinned(digest))),
            None => Err(Error::invalid(format!(
                "`{}` is no fingerprint of a host key: SHA256: and 43 characters, as `ssh-keygen -l` shows it",
                fingerprint.escape_debug()
            ))),
        }
    }

    /// The fingerprint of the key that a server presents now, to be shown to a person and, once accepted, given to
    /// [`pinned`](Self::pinned). Nobody logs in.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), proxmox_client::Error> {
    /// let seen = proxmox_client::ssh::HostKey::probe("192.0.2.10", 22).await?;
    /// println!("the node presents {seen}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Kind::Connect`] if nothing answers there, [`Kind::Deadline`].
    pub async fn probe(host: &str, port: u16) -> Result<String> {
        let key = Self(Rule::Pinned([0; 32]));
        let target = SshTarget::new(host, key).with_port(port);
        let doing = format!("asking {host} for its host key");
        let asked = tokio::task::spawn_blocking(move || session::presented(&target)).await;
        let asked = asked.unwrap_or_else(|error| {
            Err(Error::new(Kind::Interrupted, "the asking thread ended").with_source(error))
        });
        asked.map_err(|error| error.doing(doing))
    }

    /// A key that the file has for the server or, if it has none at all, the one that the server presents, which is
    /// added to the file. `report` is called with every key that is added.
    ///
    /// Whoever sits between here and the server at the first connection is believed, so show the key to a person.
    pub fn accept_new(
        file: impl Into<PathBuf>,
        report: impl Fn(&NewHostKey) + Send + Sync + 'static,
    ) -> Self {
        Self(Rule::AcceptNew {
            file: file.into(),
            report: Arc::new(report),
        })
    }
}

/// The fingerprint of a key.
pub(super) fn fingerprint(key: &[u8]) -> String {
    shown(&digest(key))
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn shown(digest: &[u8; 32]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(digest))
}

/// The kind of a key: the text that its wire form begins with.
pub(super) fn algorithm(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    std::str::from_utf8(rest.get(..usize::try_from(length).ok()?)?).ok()
}

/// Signature algorithms by the kind of key that makes them, the preferred first. RSA with SHA-1 is left out.
const SIGNATURES: [(&str, &str); 5] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("ssh-rsa", "rsa-sha2-512,rsa-sha2-256"),
];

/// All signature algorithms, the preferred first.
pub(super) fn all_signatures() -> String {
    signatures(|_| true)
}

fn signatures<'a>(wanted: impl Fn(&str) -> bool + 'a) -> String {
    let names = SIGNATURES.iter().filter(|(kind, _)| wanted(kind));
    names
        .map(|(_, signatures)| *signatures)
        .collect::<Vec<_>>()
        .join(",")
}

/// What a rule knows about one server before it is asked.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    host: String,
    port: u16,
    lines: Vec<Known>,
}

/// What a rule says about the key that a server presented.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    Accept,
    /// Accept it, and add it to the file.
    Add,
    /// Another of the server's keys may be the right one.
    TryAnother,
    Refuse(String),
}

impl Expected {
    /// `text` is what the file of the rule holds; nothing for a pinned key.
    pub(super) fn new(host: &str, port: u16, text: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            lines: known_hosts::lines_about(text, host, port),
        }
    }

    /// The signature algorithms to ask for, in turn: servers show one key only, so the wanted kind is asked for.
    pub(super) fn attempts(&self, rule: &Rule) -> Vec<String> {
        if let Rule::Pinned(_) = rule {
            return SIGNATURES.iter().map(|(_, it)| (*it).to_owned()).collect();
        }
        let has = |kind: &str| {
            let mut valid = self.lines.iter().filter(|known| !known.revoked);
            valid.any(|known| known.algorithm == kind)
        };
        let known = signatures(has);
        // Keys of kinds that nobody can check leave the choice to the server, and end in a refusal.
        vec![if known.is_empty() {
            all_signatures()
        } else {
            known
        }]
    }

    /// What becomes of a key.
    pub(super) fn rule_on(&self, rule: &Rule, key: &[u8]) -> Ruling {
        let name = known_hosts::name_of(&self.host, self.port);
        let presented = fingerprint(key);
        let file = match rule {
            Rule::Pinned(pinned) if *pinned == digest(key) => return Ruling::Accept,
            Rule::Pinned(_) => return Ruling::TryAnother,
            Rule::KnownHosts(file) | Rule::AcceptNew { file, .. } => file.display(),
        };
        match known_hosts::judge(&self.lines, key) {
            Verdict::Known => Ruling::Accept,
            Verdict::New if matches!(rule, Rule::AcceptNew { .. }) => Ruling::Add,
            Verdict::New => Ruling::Refuse(format!(
                "no key of {name} is in {file}; the server presents {presented}"
            )),
            Verdict::Other(line) => Ruling::Refuse(format!(
                "line {line} of {file} has another key for {name} than the server, which presents {presented}"
            )),
            Verdict::Revoked(line) => {
                Ruling::Refuse(format!("line {line} of {file} revokes the key {presented}"))
            }
        }
    }

    /// The line that makes a key known.
    pub(super) fn line_for(&self, key: &[u8]) -> String {
        let algorithm = algorithm(key).unwrap_or_default();
        known_hosts::line_for(&self.host, self.port, algorithm, key)
    }

    /// What is reported of a key that was added.
    pub(super) fn new_key(&self, key: &[u8], file: &Path) -> NewHostKey {
        NewHostKey {
            host: known_hosts::name_of(&self.host, self.port),
            algorithm: algorithm(key).unwrap_or_default().to_owned(),
            fingerprint: fingerprint(key),
            file: file.to_owned(),
        }
    }
}

/// The server's key is not the one that was expected.
pub(super) fn refused(why: impl Into<String>) -> Error {
    Error::new(Kind::HostKey, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wire form of a key of some kind.
    fn key(kind: &str, rest: &str) -> Vec<u8> {
        let mut key = u32::try_from(kind.len()).unwrap().to_be_bytes().to_vec();
        key.extend_from_slice(kind.as_bytes());
        key.extend_from_slice(rest.as_bytes());
        key
    }

    #[test]
    fn the_kind_of_a_key_is_told_by_its_wire_form() {
        assert_eq!(algorithm(&key("ssh-ed25519", "x")), Some("ssh-ed25519"));
        assert_eq!(algorithm(b""), None);
        assert_eq!(algorithm(&[0, 0, 0, 9, b'x']), None);
        assert_eq!(algorithm(&[255, 255, 255, 255]), None);
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown() {
        let shown = fingerprint(&key("ssh-rsa", "x"));
        assert_eq!(shown.len(), "SHA256:".len() + 43);
        let Rule::Pinned(pinned) = HostKey::pinned(&shown).unwrap().0 else {
            panic!("it is pinned");
        };
        assert_eq!(pinned, digest(&key("ssh-rsa", "x")));
        for bad in ["", "SHA256:", "SHA256:abc", "MD5:00:11", &shown[7..]] {
            assert_eq!(HostKey::pinned(bad).unwrap_err().kind(), Kind::InvalidInput);
        }
    }

    #[test]
    fn the_kinds_of_key_that_are_known_are_asked_for() {
        let rule = HostKey::known_hosts("/known").0;
        let rsa = key("ssh-rsa", "x");
        let line = known_hosts::line_for("pve1", 22, "ssh-rsa", &rsa);
        let expected = Expected::new("pve1", 22, &line);
        assert_eq!(expected.attempts(&rule), ["rsa-sha2-512,rsa-sha2-256"]);
        assert_eq!(expected.rule_on(&rule, &rsa), Ruling::Accept);
        let other = expected.rule_on(&rule, &key("ssh-rsa", "y"));
        assert!(
            matches!(&other, Ruling::Refuse(why) if why.contains("line 1 of /known")),
            "{other:?}"
        );
        let stranger = Expected::new("pve2", 22, &line);
        assert!(stranger.attempts(&rule)[0].starts_with("ssh-ed25519,"));
        assert!(matches!(
            stranger.rule_on(&rule, &rsa),
            Ruling::Refuse(why) if why.contains("no key of pve2 is in /known")
        ));
    }

    #[test]
    fn only_a_host_that_nothing_is_known_of_is_new() {
        let rule = HostKey::accept_new("/known", |_| {}).0;
        let ed = key("ssh-ed25519", "x");
        let empty = Expected::new("pve1", 22, "");
        assert_eq!(empty.rule_on(&rule, &ed), Ruling::Add);
        let line = empty.line_for(&ed);
        let after = Expected::new("pve1", 22, &line);
        assert_eq!(after.rule_on(&rule, &ed), Ruling::Accept);
        assert!(matches!(
            after.rule_on(&rule, &key("ssh-ed25519", "y")),
            Ruling::Refuse(_)
        ));
    }

    #[test]
    fn a_pinned_key_may_be_any_of_the_servers() {
        let wanted = key("ssh-rsa", "x");
        let rule = HostKey::pinned(&fingerprint(&wanted)).unwrap().0;
        let expected = Expected::new("pve1", 22, "");
        assert_eq!(expected.attempts(&rule).len(), SIGNATURES.len());
        assert_eq!(
            expected.rule_on(&rule, &key("ssh-ed25519", "x")),
            Ruling::TryAnother
        );
        assert_eq!(expected.rule_on(&rule, &wanted), Ruling::Accept);
    }
}
