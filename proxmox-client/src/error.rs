//! The crate's one error type: what was being done, what kind of failure it is, and what an operator can do.

mod classify;

use std::collections::BTreeMap;
use std::fmt;

use crate::rights::MissingRight;
use crate::task::LogLine;
use crate::upid::Upid;

pub use classify::classify;

/// What kind of failure an [`Error`] is.
///
/// Proxmox VE answers most failures with status 500, so the kind comes from the text
/// (see [`classify`]), not from the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A parameter is missing, unknown or malformed; [`Error::parameters`] names it where the server does.
    Parameter,
    /// No, wrong or expired credentials.
    Authentication,
    /// A second factor is needed to complete the login.
    SecondFactor,
    /// The caller lacks a privilege.
    Permission,
    /// Only `root@pam` with a ticket may do this; a token of root does not count.
    RootOnly,
    /// Only for a ticket, not for an API token (passwords, second factors).
    TicketOnly,
    /// The object does not exist.
    NotFound,
    /// An object of that name or id exists already.
    AlreadyExists,
    /// The object exists and does not carry our mark: it is someone else's, and was left alone.
    Foreign,
    /// A configuration lock (`lock: clone`, `backup`, …) forbids the change.
    Locked,
    /// A lock file or cluster lock was not free in time.
    LockTimeout,
    /// The digest sent does not match: someone else changed the configuration.
    Conflict,
    /// The cluster has no quorum.
    NoQuorum,
    /// The guest's power state forbids the call (already running, not running, paused).
    PowerState,
    /// The object is still in use or not empty.
    InUse,
    /// The guest is protected against removal.
    Protected,
    /// A task ended with a failure that no other kind describes.
    TaskFailed,
    /// A task ended without a verdict (killed, crashed, overruled): read back what it left.
    TaskUnknown,
    /// A worker process could not be started; the work was not done.
    WorkerNotStarted,
    /// The node that the request was forwarded to cannot be reached (595).
    NodeUnreachable,
    /// The proxy lost its connection to a busy daemon (596 `Broken pipe`); the request was never executed.
    ProxyBroken,
    /// The proxy gave up after 30 s (596 `Connection timed out`); the request may still be executed.
    ProxyTimeout,
    /// Another failure of the proxy between nodes (other 59x).
    Proxy,
    /// The guest agent does not answer (yet).
    AgentNotRunning,
    /// The guest has no agent configured; waiting does not help.
    AgentNotConfigured,
    /// The agent could not do what it was asked.
    AgentFailed,
    /// The guest or cluster lacks what the call needs, such as a SPICE display.
    NotConfigured,
    /// A device could not be plugged or unplugged while the guest runs; the change waits for the next start.
    HotplugFailed,
    /// Another server that the node asked on our behalf did not answer or refused.
    Upstream,
    /// The server waited for something of its own and gave up.
    ServerTimeout,
    /// A fault in the server's own code.
    Internal,
    /// The server has no such path or method.
    NotImplemented,
    /// The server's version does not know the call, or one of its parameters; nothing was sent.
    Unsupported,
    /// The server refused the form of the request (chunked body, too large, unknown content type).
    Refused,
    /// The connection could not be made; the request was not sent.
    Connect,
    /// The server's certificate is not trusted; the request was not sent.
    Certificate,
    /// The SSH server's key is not known, another one than expected, or revoked; nothing was sent.
    HostKey,
    /// The connection broke after the request may have been sent.
    Interrupted,
    /// A deadline of this client passed.
    Deadline,
    /// The answer is not what the interface promises.
    Decode,
    /// The caller's input cannot be sent (bad node name, malformed property string, …).
    InvalidInput,
    /// A failure whose text is not known to this crate.
    Server,
}

/// Whether a request reached the server before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sent {
    /// It certainly did not, or was certainly not executed.
    No,
    /// It may have been executed.
    Maybe,
    /// The server answered it.
    Answered,
}

/// A failure of this crate.
///
/// `Display` says what was being done and why it failed, without the text of [`source`](std::error::Error::source).
///
/// ```
/// # #[cfg(feature = "simulator")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
/// use proxmox_client::{Kind, QemuConfig, Sent};
/// # let node = proxmox_client::simulator::Simulator::lab().connect().node("pve1");
/// node.create_qemu(100, QemuConfig::new()).await?;
/// let error = node.create_qemu(100, QemuConfig::new()).await.unwrap_err();
/// assert!(error.is_already_exists() && !error.is_retryable());
/// assert_eq!(error.sent(), Sent::Answered);
/// let wrong = QemuConfig::new().with("cores", "many");
/// let error = node.create_qemu(101, wrong).await.unwrap_err();
/// assert_eq!(error.kind(), Kind::Parameter);
/// assert!(error.parameters().contains_key("cores"), "{error}");
/// # Ok(()) }
/// # #[cfg(not(feature = "simulator"))] fn main() {}
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    doing: String,
    message: String,
    status: Option<u16>,
    sent: Sent,
    parameters: BTreeMap<String, String>,
    upid: Option<Upid>,
    log: Vec<LogLine>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            doing: String::new(),
            message: message.into(),
            status: None,
            sent: Sent::No,
            parameters: BTreeMap::new(),
            upid: None,
            log: Vec::new(),
            source: None,
        }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidInput, message)
    }

    /// What was being done, in the words of whoever knows best.
    pub(crate) fn doing(mut self, doing: impl Into<String>) -> Self {
        self.0.doing = doing.into();
        self
    }

    /// What was being done, unless someone said so already.
    pub(crate) fn at(mut self, doing: impl FnOnce() -> String) -> Self {
        if self.0.doing.is_empty() {
            self.0.doing = doing();
        }
        self
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn with_sent(mut self, sent: Sent) -> Self {
        self.0.sent = sent;
        self
    }

    pub(crate) fn with_parameters(mut self, parameters: BTreeMap<String, String>) -> Self {
        self.0.parameters = parameters;
        self
    }

    pub(crate) fn with_task(mut self, upid: Upid, log: Vec<LogLine>) -> Self {
        self.0.upid = Some(upid);
        self.0.log = log;
        self.0.sent = Sent::Answered;
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same without values that are secret, wherever the server repeated them.
    pub(crate) fn without(mut self, secrets: &[String]) -> Self {
        let inner = &mut *self.0;
        let texts = [&mut inner.doing, &mut inner.message];
        for text in texts.into_iter().chain(inner.parameters.values_mut()) {
            for secret in secrets {
                if text.contains(secret) {
                    *text = text.replace(secret, "…");
                }
            }
        }
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The text of the server, or of this crate where the server had none.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The HTTP status, if the server answered.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Complaints by parameter name, where the server gives them.
    pub fn parameters(&self) -> &BTreeMap<String, String> {
        &self.0.parameters
    }

    /// The task that failed.
    pub fn upid(&self) -> Option<&Upid> {
        self.0.upid.as_ref()
    }

    /// The whole log of the task that failed.
    pub fn task_log(&self) -> &[LogLine] {
        &self.0.log
    }

    /// The right that the caller lacks, where the refusal names one: not every check does.
    ///
    /// ```
    /// # #[cfg(feature = "simulator")]
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), proxmox_client::Error> {
    /// # use proxmox_client::simulator::{Simulator, World};
    /// # let world = World::lab().with_user("ci@pve", "password").with_token("ci@pve!build", "s");
    /// # let client = Simulator::new(world).builder().token("ci@pve!build=s").build()?;
    /// let error = client.node("pve1").qemu(100).start().await.unwrap_err();
    /// let missing = error.missing_right().unwrap();
    /// assert_eq!((missing.path.as_str(), missing.privileges[0].as_str()), ("/vms/100", "VM.PowerMgmt"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "simulator"))] fn main() {}
    /// ```
    pub fn missing_right(&self) -> Option<MissingRight> {
        (self.0.kind == Kind::Permission)
            .then(|| MissingRight::of_text(&self.0.message))
            .flatten()
    }

    /// Whether the request reached the server.
    pub fn sent(&self) -> Sent {
        self.0.sent
    }

    /// The object asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        self.0.kind == Kind::NotFound
    }

    /// The id or name is taken.
    pub fn is_already_exists(&self) -> bool {
        self.0.kind == Kind::AlreadyExists
    }

    /// The server's version does not know the call or a parameter: told by the server, or by this crate before
    /// anything was sent.
    pub fn is_unsupported(&self) -> bool {
        matches!(self.0.kind, Kind::Unsupported | Kind::NotImplemented)
    }

    /// The same call may succeed later without anyone changing anything.
    ///
    /// This says nothing about whether repeating is *safe*: see [`crate::retry::decide`].
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::Locked
                | Kind::LockTimeout
                | Kind::NoQuorum
                | Kind::WorkerNotStarted
                | Kind::NodeUnreachable
                | Kind::ProxyBroken
                | Kind::ProxyTimeout
                | Kind::Proxy
                | Kind::AgentNotRunning
                | Kind::ServerTimeout
                | Kind::Connect
                | Kind::Interrupted
                | Kind::Deadline
        )
    }

    /// What an operator can do about it, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.0.kind {
            Kind::Authentication => {
                "check the token (user@realm!name=secret), which is shown only once, or the password and the code; a code is good for one login"
            }
            Kind::SecondFactor => {
                "answer the challenge with a one-time or recovery code, or use a token"
            }
            Kind::Permission => {
                "grant the privilege named in the message; a token with privilege separation needs its own grant"
            }
            Kind::RootOnly => {
                "log in as root@pam with its password; tokens of root are refused here"
            }
            Kind::TicketOnly => "log in with a password; tokens are refused here",
            Kind::HotplugFailed => {
                "the change is stored and takes effect at the next start; `revert` drops it"
            }
            Kind::LockTimeout => {
                "another change of the same guest or storage is running; wait for its task"
            }
            Kind::Locked => {
                "a task holds the guest, or one died and left the lock; only root@pam can unlock it"
            }
            Kind::Foreign => {
                "choose another id or name, or put the mark on the object yourself if it is yours after all"
            }
            Kind::Conflict => {
                "read the configuration again and repeat the change with the new digest"
            }
            Kind::NoQuorum => "bring enough cluster nodes back; until then nothing can be changed",
            Kind::NodeUnreachable | Kind::Proxy => {
                "the fault is between the nodes: check the node's name, that it is up, and its certificate (pvecm updatecerts)"
            }
            Kind::ProxyTimeout => {
                "the change may still happen: read back after at least ten seconds before repeating it"
            }
            Kind::AgentNotConfigured => "set `agent: enabled=1` and restart the guest",
            Kind::AgentNotRunning => {
                "the guest is not up yet, or qemu-guest-agent is not installed in it"
            }
            Kind::Certificate => {
                "pin the server's SHA-256 fingerprint or give its CA (/etc/pve/pve-root-ca.pem)"
            }
            Kind::HostKey => {
                "compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the server"
            }
            Kind::Connect => {
                "check the address, that its port is reachable (8006 of the interface, 22 of SSH) and that pveproxy or sshd runs"
            }
            Kind::TaskUnknown => {
                "read back what the task left behind; a guest with `lock: clone` needs root@pam"
            }
            Kind::Protected => "clear the guest's `protection` flag first",
            Kind::Unsupported => "upgrade the server, or leave out what needs the newer version",
            Kind::NotImplemented => "this server's version does not know the call",
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.doing.is_empty() {
            write!(f, "{}: ", self.0.doing)?;
        }
        f.write_str(&self.0.message.trim_end().replace('\n', " "))?;
        for (name, why) in &self.0.parameters {
            write!(f, "; {name}: {}", why.trim().replace('\n', " "))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("doing", &self.0.doing)
            .field("message", &self.0.message)
            .field("status", &self.0.status)
            .field("sent", &self.0.sent)
            .field("parameters", &self.0.parameters)
            .field("upid", &self.0.upid)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}
