//! The crate's one error type and the problems that it can carry.

use std::fmt;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A configuration text breaks the strict grammar.
    Syntax,
    /// A text is larger than the limits allow.
    TooLarge,
    /// A key is not 32 bytes in base64 or hexadecimal.
    Key,
    /// An address or network cannot be read, or has an impossible prefix length.
    Address,
    /// An endpoint cannot be read.
    Endpoint,
    /// An interface or member name is not allowed.
    Name,
    /// An inventory contradicts itself or lacks something.
    Inventory,
    /// A network has no free address left.
    Exhausted,
    /// A key that the operation needs is not in the key store.
    MissingKey,
    /// The answer of a tool or a device cannot be read.
    Answer,
    /// The operation makes no sense for this value.
    Unsupported,
    /// The device refused a request; [`Error::errno`] says how.
    Device,
    /// The operating system refused a socket or file operation.
    Io,
    /// The device did not answer in time.
    Timeout,
}

/// Everything that can go wrong in this crate.
///
/// `Display` says what was being done and where it failed, never the content of a key, and never repeats
/// its [`source`](std::error::Error::source).
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    problems: Vec<Problem>,
    errno: Option<i32>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                message: message.into(),
                hint: None,
                problems: Vec::new(),
                errno: None,
                source: None,
            }),
        }
    }

    pub(crate) fn device(errno: i32, message: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::Device, message);
        error.inner.errno = Some(errno);
        error
    }

    #[cfg(all(feature = "live", target_os = "linux"))]
    pub(crate) fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::WouldBlock | Io::TimedOut => ErrorKind::Timeout,
            _ => ErrorKind::Io,
        };
        let mut error = Self::new(kind, message);
        error.inner.errno = source.raw_os_error();
        error.inner.source = Some(Box::new(source));
        error
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.inner.problems = problems;
        self
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// What an operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// The single problems, in the order of the text or inventory; empty when the failure is one thing.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.inner.problems
    }

    /// The positive error number that a device or the operating system gave.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.inner.errno
    }

    /// Whether the input text or inventory is at fault, so that a repetition cannot help.
    #[must_use]
    pub fn is_invalid_input(&self) -> bool {
        use ErrorKind::{
            Address, Endpoint, Exhausted, Inventory, Key, MissingKey, Name, Syntax, TooLarge,
        };
        matches!(
            self.inner.kind,
            Syntax
                | TooLarge
                | Key
                | Address
                | Endpoint
                | Name
                | Inventory
                | Exhausted
                | MissingKey
        )
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Timeout | ErrorKind::Io)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        for problem in &self.inner.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.inner.kind)
            .field("message", &self.inner.message);
        if let Some(hint) = &self.inner.hint {
            out.field("hint", hint);
        }
        if !self.inner.problems.is_empty() {
            out.field("problems", &self.inner.problems);
        }
        if let Some(errno) = self.inner.errno {
            out.field("errno", &errno);
        }
        if let Some(source) = &self.inner.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

/// How serious a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Works, but probably not as meant.
    Warning,
    /// Refused by the strict mode or by the planner.
    Error,
}

/// One thing that is wrong in a text or an inventory, with its place and a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// How serious it is.
    pub severity: Severity,
    /// A short stable name of the rule, such as `overlap` or `key-length`.
    pub rule: &'static str,
    /// Where it is.
    pub place: Place,
    /// What is wrong; never holds a value of a key line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Where a [`Problem`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A position in a text: both count from 1, the column in bytes.
    Text {
        /// The line.
        line: usize,
        /// The byte in the line.
        column: usize,
    },
    /// A member of an inventory and the field concerned.
    Member {
        /// The member's name.
        member: String,
        /// The field, such as `endpoint`.
        field: &'static str,
    },
    /// A field of an inventory as a whole.
    Inventory {
        /// The field, such as `networks`.
        field: &'static str,
    },
}

impl Place {
    /// Line and column, when the place is in a text.
    #[must_use]
    pub fn line_column(&self) -> Option<(usize, usize)> {
        match self {
            Self::Text { line, column } => Some((*line, *column)),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { line, column } => write!(f, "line {line}, column {column}"),
            Self::Member { member, field } => write!(f, "member {member}, {field}"),
            Self::Inventory { field } => f.write_str(field),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}: {severity}: {}", self.place, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}
