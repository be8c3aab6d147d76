//! Credentials of systems that were there before: read where `cluster.yaml` refers to, when they are needed.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::spec::reference::SecretRef;

/// Reads what references name; relative files are looked up beside `cluster.yaml`.
#[derive(Debug, Clone)]
pub struct Credentials {
    folder: PathBuf,
}

impl Credentials {
    /// References are relative to this folder.
    pub fn beside(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// A path of `cluster.yaml`.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.join(Path::new(path))
    }

    /// Reads one reference from the environment or a file; `None` for what the program makes itself.
    ///
    /// # Errors
    ///
    /// The variable is not set, or the file cannot be read. The value is never part of the message.
    pub fn read(&self, what: &str, reference: &SecretRef) -> Result<Option<SecretString>, Failure> {
        match reference {
            SecretRef::Env(name) => {
                let value = std::env::var(name).map(Zeroizing::new).map_err(|_| {
                    Failure::permanent(what, format!("the variable {name} is not set"))
                        .hint(format!("export {name}=… before you run the program"))
                })?;
                Ok(Some(SecretString::from(value.as_str())))
            }
            SecretRef::File(path) => {
                let path = self.path(path);
                let text = std::fs::read_to_string(&path)
                    .map(Zeroizing::new)
                    .map_err(|error| {
                        Failure::permanent(what, format!("{} cannot be read", path.display()))
                            .caused_by(error)
                    })?;
                Ok(Some(SecretString::from(
                    text.trim_end_matches(['\r', '\n']),
                )))
            }
            SecretRef::Generated => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_file_is_read_beside_cluster_yaml_without_its_line_break() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "root@pam!a=b\n").unwrap();
        let credentials = Credentials::beside(folder.path());
        let reference = SecretRef::File("token".to_owned());
        let read = credentials
            .read("proxmox.tokenFrom", &reference)
            .unwrap()
            .unwrap();
        assert_eq!(read.expose_secret(), "root@pam!a=b");
    }

    #[test]
    fn what_is_missing_is_named_with_a_remedy() {
        let credentials = Credentials::beside("/nowhere");
        let reference = SecretRef::Env("HOMELAB_TEST_UNSET_VARIABLE".to_owned());
        let failure = credentials
            .read("proxmox.tokenFrom", &reference)
            .unwrap_err();
        assert_eq!(
            failure.to_string(),
            "proxmox.tokenFrom: the variable HOMELAB_TEST_UNSET_VARIABLE is not set"
        );
        assert!(
            failure
                .remedy()
                .unwrap()
                .starts_with("export HOMELAB_TEST_UNSET_VARIABLE")
        );
    }
}
