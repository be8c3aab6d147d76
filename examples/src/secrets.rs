//! The one file of secrets of an environment: made once, added to, never overwritten.

mod file;

pub(crate) use file::write as write_file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Everything secret that a cluster of ours is made with.
///
/// Credentials of systems that were there before (the Proxmox VE token) are not among it: they come from
/// the references in `cluster.yaml`.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Secrets {
    /// The Talos secrets bundle, as the text of `secrets.yaml`.
    pub talos: Option<SecretString>,
    /// WireGuard private keys by member, in base64.
    pub wireguard_keys: BTreeMap<String, SecretString>,
    /// The seed of WireGuard's preshared keys, in base64.
    pub wireguard_seed: Option<SecretString>,
    /// Passwords of restic repositories by name.
    pub restic: BTreeMap<String, SecretString>,
    /// Values that go into Kubernetes Secrets before Argo CD runs, by the name that the catalogue gives them.
    pub kubernetes: BTreeMap<String, SecretString>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("talos", &self.talos.as_ref().map(|_| "[REDACTED]"))
            .field("wireguard_keys", &self.wireguard_keys.keys())
            .field(
                "wireguard_seed",
                &self.wireguard_seed.as_ref().map(|_| "[REDACTED]"),
            )
            .field("restic", &self.restic.keys())
            .field("kubernetes", &self.kubernetes.keys())
            .finish()
    }
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    talos: Option<Zeroizing<String>>,
    wireguard_keys: BTreeMap<String, Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wireguard_seed: Option<Zeroizing<String>>,
    restic: BTreeMap<String, Zeroizing<String>>,
    kubernetes: BTreeMap<String, Zeroizing<String>>,
}

fn written(secrets: &BTreeMap<String, SecretString>) -> BTreeMap<String, Zeroizing<String>> {
    secrets
        .iter()
        .map(|(name, value)| {
            (
                name.clone(),
                Zeroizing::new(value.expose_secret().to_owned()),
            )
        })
        .collect()
}

fn read(secrets: &BTreeMap<String, Zeroizing<String>>) -> BTreeMap<String, SecretString> {
    secrets
        .iter()
        .map(|(name, value)| (name.clone(), SecretString::from(value.as_str())))
        .collect()
}

impl Secrets {
    fn to_text(&self) -> Result<Zeroizing<String>, Failure> {
        let written = Written {
            talos: self
                .talos
                .as_ref()
                .map(|text| Zeroizing::new(text.expose_secret().to_owned())),
            wireguard_keys: written(&self.wireguard_keys),
            wireguard_seed: self
                .wireguard_seed
                .as_ref()
                .map(|text| Zeroizing::new(text.expose_secret().to_owned())),
            restic: written(&self.restic),
            kubernetes: written(&self.kubernetes),
        };
        serde_saphyr::to_string(&written)
            .map(Zeroizing::new)
            .map_err(|error| {
                Failure::permanent("secrets", "cannot be written as YAML").caused_by(error)
            })
    }

    fn from_text(place: &str, text: &str) -> Result<Self, Failure> {
        // The parser's message may quote the text: only the position is kept.
        let written: Written = serde_saphyr::from_str(text).map_err(|error| {
            let line = error.location().map_or(0, |location| location.line());
            Failure::permanent(
                place,
                format!("line {line} is not what a secret file holds"),
            )
            .hint("restore the file from its backup; it is written by `up` and not edited")
        })?;
        Ok(Self {
            talos: written.talos.map(|text| SecretString::from(text.as_str())),
            wireguard_keys: read(&written.wireguard_keys),
            wireguard_seed: written
                .wireguard_seed
                .map(|text| SecretString::from(text.as_str())),
            restic: read(&written.restic),
            kubernetes: read(&written.kubernetes),
        })
    }

    /// Takes over what `other` has and this lacks; what is here stays.
    pub fn complete_with(&mut self, other: Self) {
        self.talos = self.talos.take().or(other.talos);
        self.wireguard_seed = self.wireguard_seed.take().or(other.wireguard_seed);
        for (mine, theirs) in [
            (&mut self.wireguard_keys, other.wireguard_keys),
            (&mut self.restic, other.restic),
            (&mut self.kubernetes, other.kubernetes),
        ] {
            for (name, value) in theirs {
                mine.entry(name).or_insert(value);
            }
        }
    }
}

/// Where the secrets of an environment lie.
#[derive(Clone)]
pub struct SecretStore {
    place: Place,
}

#[derive(Clone)]
enum Place {
    File(PathBuf),
    Memory(Arc<Mutex<Option<Zeroizing<String>>>>),
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretStore")
            .field(&self.describe())
            .finish()
    }
}

impl SecretStore {
    /// A file, mode 0600.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::File(path.into()),
        }
    }

    /// Memory, for a lab that ends with the program.
    pub fn memory() -> Self {
        Self {
            place: Place::Memory(Arc::default()),
        }
    }

    /// The place in words.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Memory(_) => "memory of the lab".to_owned(),
        }
    }

    /// The folder that files which belong to the environment lie in, if secrets lie in a file.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => path.parent(),
            Place::Memory(_) => None,
        }
    }

    /// A store in memory that holds now what this one holds.
    pub fn copy_in_memory(&self) -> Result<Self, Failure> {
        let text = self.text()?;
        Ok(Self {
            place: Place::Memory(Arc::new(Mutex::new(text))),
        })
    }

    /// Reads the secrets, if they were written before.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is open to others, or is not what `up` writes.
    pub fn load(&self) -> Result<Option<Secrets>, Failure> {
        self.text()?
            .map(|text| Secrets::from_text(&self.describe(), &text))
            .transpose()
    }

    /// Keeps what is there, adds what is missing, and returns the whole once it is safe on disk.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub fn complete(&self, additions: Secrets) -> Result<Secrets, Failure> {
        let mut secrets = self.load()?.unwrap_or_default();
        secrets.complete_with(additions);
        let text = secrets.to_text()?;
        match &self.place {
            Place::File(path) => file::write(path, text.as_bytes())?,
            Place::Memory(memory) => {
                *memory.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
        }
        Ok(secrets)
    }

    fn text(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        match &self.place {
            Place::File(path) => file::read(path),
            Place::Memory(memory) => Ok(memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(bundle: &str) -> Secrets {
        Secrets {
            talos: Some(SecretString::from(bundle.to_owned())),
            wireguard_keys: [(
                "hub".to_owned(),
                SecretString::from("key-of-hub".to_owned()),
            )]
            .into(),
            ..Secrets::default()
        }
    }

    #[test]
    fn what_was_written_once_is_never_replaced_but_completed() {
        let folder = tempfile::tempdir().unwrap();
        let store = SecretStore::file(folder.path().join("production.secrets.yaml"));
        assert!(store.load().unwrap().is_none());
        store.complete(secrets("first: bundle\n")).unwrap();
        let mut more = secrets("second: bundle\n");
        more.restic
            .insert("s3".to_owned(), SecretString::from("password".to_owned()));
        store.complete(more).unwrap();
        let read = store.load().unwrap().unwrap();
        assert_eq!(read.talos.unwrap().expose_secret(), "first: bundle\n");
        assert_eq!(read.restic["s3"].expose_secret(), "password");
        assert_eq!(read.wireguard_keys["hub"].expose_secret(), "key-of-hub");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_only_and_one_open_to_others_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.yaml");
        let store = SecretStore::file(&path);
        store.complete(secrets("b")).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let failure = store.load().unwrap_err();
        assert!(failure.to_string().contains("mode 0644"), "{failure}");
        assert!(failure.remedy().unwrap().contains("chmod 600"));
    }

    #[test]
    fn neither_debug_nor_errors_show_a_secret() {
        let secrets = secrets("very-secret-bundle");
        assert!(!format!("{secrets:?}").contains("very-secret"));
        assert!(!format!("{secrets:?}").contains("key-of-hub"));
        let failure = Secrets::from_text("s.yaml", "talos: [very-secret-bundle\n").unwrap_err();
        assert!(
            !failure.story().contains("very-secret"),
            "{}",
            failure.story()
        );
        assert!(!format!("{failure:?}").contains("very-secret"));
    }
}
