//! Where an SSH server is, who it must be and how to log in there.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::host_key::HostKey;

/// Whether files are reached through `sudo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Sudo {
    /// When the user is not root and SFTP may not do what was asked, or is not there.
    #[default]
    IfNeeded,
    /// Never.
    Never,
    /// Always, and SFTP never.
    Always,
}

/// A private key.
#[derive(Clone)]
pub struct SshKey {
    pub(super) source: KeySource,
    pub(super) passphrase: Option<SecretString>,
}

#[derive(Clone)]
pub(super) enum KeySource {
    File(PathBuf),
    Text(SecretString),
}

impl SshKey {
    /// A private key in a file, such as `/root/.ssh/id_ed25519`; it is read when it is needed.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            source: KeySource::File(path.into()),
            passphrase: None,
        }
    }

    /// A private key as text, in the form that OpenSSH writes or as PEM.
    pub fn text(text: impl Into<SecretString>) -> Self {
        Self {
            source: KeySource::Text(text.into()),
            passphrase: None,
        }
    }

    /// What the key is encrypted with.
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: impl Into<SecretString>) -> Self {
        self.passphrase = Some(passphrase.into());
        self
    }

    /// The name of the key for messages.
    pub(super) fn name(&self) -> String {
        match &self.source {
            KeySource::File(path) => format!("the key {}", path.display()),
            KeySource::Text(_) => "a key given as text".to_owned(),
        }
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SshKey");
        if let KeySource::File(path) = &self.source {
            shown.field("file", path);
        }
        shown.finish_non_exhaustive()
    }
}

/// An SSH server, and how to log in there.
///
/// What may log in is tried in this order: the agent's keys, the keys given, the password. The user is `root`
/// unless said otherwise.
///
/// ```
/// use proxmox_client::ssh::{HostKey, SshKey, SshTarget};
/// let target = SshTarget::new("192.0.2.10", HostKey::known_hosts("/home/me/.ssh/known_hosts"))
///     .with_user("deploy")
///     .with_key(SshKey::file("/home/me/.ssh/id_ed25519"));
/// assert!(format!("{target:?}").contains("deploy"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct SshTarget {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) host_key: HostKey,
    pub(super) agent: Option<PathBuf>,
    pub(super) keys: Vec<SshKey>,
    pub(super) password: Option<SecretString>,
    pub(super) connect: Duration,
    pub(super) timeout: Duration,
    pub(super) keep: Duration,
    pub(super) sudo: Sudo,
}

impl SshTarget {
    /// A server by its name or address, on port 22, as `root`.
    pub fn new(host: impl Into<String>, host_key: HostKey) -> Self {
        Self {
            host: host.into(),
            port: 22,
            user: "root".to_owned(),
            host_key,
            agent: None,
            keys: Vec::new(),
            password: None,
            connect: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            keep: Duration::from_secs(60),
            sudo: Sudo::default(),
        }
    }

    /// Another port than 22.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Another user than `root`.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// Logs in with the keys of the agent behind this socket.
    #[must_use]
    pub fn with_agent(mut self, socket: impl Into<PathBuf>) -> Self {
        self.agent = Some(socket.into());
        self
    }

    /// Logs in with the keys of the agent that `SSH_AUTH_SOCK` of the environment names, if it does.
    #[must_use]
    pub fn with_agent_from_env(mut self) -> Self {
        self.agent = std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from);
        self
    }

    /// Logs in with this key; several are tried in turn.
    #[must_use]
    pub fn with_key(mut self, key: SshKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Logs in with this password, where the server asks for it in either of the two ways there are.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<SecretString>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// How long finding the host and connecting to it may take, each address by itself. Default 10 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.connect = limit;
        self
    }

    /// How long the handshake, and each step after it, may take. Default 30 s.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How long an unused session is kept for the next call. Default 60 s.
    #[must_use]
    pub fn with_keep(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    /// Whether files are reached through `sudo`, which must not ask for a password.
    #[must_use]
    pub fn with_sudo(mut self, sudo: Sudo) -> Self {
        self.sudo = sudo;
        self
    }

    /// `user@host`, with the port if it is not 22.
    pub(super) fn name(&self) -> String {
        match self.port {
            22 => format!("{}@{}", self.user, self.host),
            port => format!("{}@{}:{port}", self.user, self.host),
        }
    }
}

impl fmt::Debug for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshTarget")
            .field("name", &self.name())
            .field("host_key", &self.host_key)
            .field("agent", &self.agent)
            .field("keys", &self.keys)
            .field("has_password", &self.password.is_some())
            .field("sudo", &self.sudo)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_show_up_nowhere() {
        let secret = "s3cret-value";
        let target = SshTarget::new("pve1", HostKey::known_hosts("/known"))
            .with_password(secret)
            .with_key(SshKey::text(secret).with_passphrase(secret))
            .with_key(SshKey::file("/key").with_passphrase(secret));
        let ssh = super::super::Ssh::new(target.clone());
        let shown = format!("{target:?} {ssh:?} {}", target.name());
        assert!(!shown.contains(secret), "{shown}");
        assert!(shown.contains("root@pve1") && shown.contains("/key"));
    }
}
