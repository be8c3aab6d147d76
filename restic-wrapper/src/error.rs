//! The one error of this crate: a kind for programs, a sentence and a hint for people.

use std::fmt;
use std::time::Duration;

use crate::lock::LockedBy;
use crate::version::Version;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, for decisions in code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no restic at the given path, or it cannot be started.
    ProgramNotFound,
    /// The installed restic is too old for the crate, for a command or for a flag.
    Unsupported,
    /// An argument cannot be right: found before anything was started.
    InvalidInput,
    /// A source path does not exist: found before anything was started.
    MissingSource,
    /// Another process holds the repository's lock; see [`Error::locked_by`].
    Locked,
    /// The password is wrong, empty or missing, or no key is left.
    WrongPassword,
    /// There is no repository at this location.
    NoRepository,
    /// The repository to be created is there already.
    AlreadyExists,
    /// A snapshot, path or key that was named is not in the repository.
    NotFound,
    /// This crate stopped the command, or somebody else interrupted it.
    Cancelled,
    /// The command took longer than it was allowed.
    TimedOut,
    /// Data in the repository is damaged or missing.
    Damaged,
    /// The storage could not be reached, or broke off.
    Network,
    /// The storage refused: read only, append only, wrong credentials.
    NotPermitted,
    /// The storage or the target has no room left.
    OutOfSpace,
    /// restic died by a signal or by a panic of its runtime.
    Crashed,
    /// restic ended well but did not say what was asked for.
    Protocol,
    /// The operating system refused something to this program.
    Io,
    /// restic failed for a reason that has no kind of its own; the text says it.
    Failed,
}

/// An error of this crate.
///
/// `Display` is one sentence that says what was being done and what happened; [`Error::hint`] says what to do about it;
/// `source()` leads to the cause below. No secret is in any of them.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    doing: String,
    message: String,
    exit_code: Option<i32>,
    locked_by: Option<LockedBy>,
    details: Vec<String>,
    source: Option<Source>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            doing: String::new(),
            message: message.into(),
            exit_code: None,
            locked_by: None,
            details: Vec::new(),
            source: None,
        }))
    }

    pub(crate) fn unsupported(what: &str, since: Version, have: Version) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            format!("{what} needs restic {since} or newer, but this is {have}"),
        )
    }

    pub(crate) fn timed_out(limit: Duration) -> Self {
        Self::new(
            ErrorKind::TimedOut,
            format!("it did not end within {limit:?} and was stopped"),
        )
    }

    pub(crate) fn doing(mut self, doing: impl Into<String>) -> Self {
        if self.0.doing.is_empty() {
            self.0.doing = doing.into();
        }
        self
    }

    pub(crate) fn with_exit_code(mut self, code: Option<i32>) -> Self {
        self.0.exit_code = code;
        self
    }

    pub(crate) fn with_lock(mut self, lock: Option<LockedBy>) -> Self {
        self.0.locked_by = lock;
        self
    }

    pub(crate) fn with_details(mut self, details: Vec<String>) -> Self {
        self.0.details = details;
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                ErrorKind::OutOfSpace
            }
            _ => ErrorKind::Io,
        };
        Self::new(kind, message).with_source(source)
    }

    /// What went wrong, for decisions in code.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What restic said, without the words around it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// restic's exit code, if it ran and ended by itself.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.0.exit_code
    }

    /// Who holds the lock and since when, for [`ErrorKind::Locked`] when restic said so.
    #[must_use]
    pub fn locked_by(&self) -> Option<&LockedBy> {
        self.0.locked_by.as_ref()
    }

    /// The last lines that restic wrote beside its message, oldest first, redacted.
    #[must_use]
    pub fn details(&self) -> &[String] {
        &self.0.details
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Locked | ErrorKind::Network | ErrorKind::TimedOut
        )
    }

    /// Whether the thing that was named does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.0.kind, ErrorKind::NotFound | ErrorKind::NoRepository)
    }

    /// Whether somebody else holds the lock.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.0.kind == ErrorKind::Locked
    }

    /// Whether the command was stopped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// What an operator can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.0.kind {
            ErrorKind::ProgramNotFound => {
                "install restic (apt-get install restic) or give the path of the program"
            }
            ErrorKind::Unsupported => "install a newer restic, or leave this option out",
            ErrorKind::MissingSource => "check the path, or allow missing sources",
            ErrorKind::Locked => {
                "wait, give a longer retry_lock, or remove the lock with unlock() when its owner is dead"
            }
            ErrorKind::WrongPassword => "give the password that the repository was created with",
            ErrorKind::NoRepository => "check the location, or create the repository with init()",
            ErrorKind::NotFound => "list what is there with snapshots() or ls()",
            ErrorKind::Damaged => {
                "run check() with all data, then follow restic's troubleshooting guide; keep the repository as it is until then"
            }
            ErrorKind::Network => "check that the storage can be reached, then run it again",
            ErrorKind::NotPermitted => {
                "check the credentials; an append-only repository refuses forget, prune and unlock by design"
            }
            ErrorKind::OutOfSpace => "free room on the storage, or prune with max_repack_size 0",
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.doing.is_empty() {
            write!(f, "{}: ", self.0.doing)?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("doing", &self.0.doing)
            .field("message", &self.0.message)
            .field("exit_code", &self.0.exit_code)
            .field("locked_by", &self.0.locked_by)
            .field("details", &self.0.details)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
