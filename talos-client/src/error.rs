//! The one error type of the crate.

use std::error::Error as StdError;
use std::fmt;

use zeroize::Zeroizing;

use crate::version::VersionContract;

/// What went wrong, coarse enough to decide on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument of a call makes no sense; nothing was sent.
    InvalidArgument,
    /// A machine configuration does not load or does not validate.
    InvalidConfig,
    /// A configuration patch does not load or does not apply.
    InvalidPatch,
    /// A secrets bundle, certificate or key is incomplete or damaged.
    InvalidSecrets,
    /// A talosconfig file does not load or lacks the asked-for context.
    InvalidTalosConfig,
    /// Reading or writing a local file.
    Io,
    /// No connection, or it broke; the request may not have been processed.
    Unavailable,
    /// The peer's certificate is not the expected one, or it refused ours.
    Tls,
    /// The time given for the call or the wait is over.
    Timeout,
    /// The node does not accept our identity.
    Unauthenticated,
    /// Our role may not do this.
    PermissionDenied,
    /// The thing does not exist.
    NotFound,
    /// The thing exists, or was done before.
    AlreadyExists,
    /// The node is not in a state that allows it; often a matter of waiting.
    FailedPrecondition,
    /// The node does not know the method, or refuses this variant of it.
    Unimplemented,
    /// The answer does not have the documented form.
    Protocol,
    /// The node failed in another way.
    Remote,
}

/// One thing that is wrong, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where in the text: line from 1, if it came from text.
    pub line: Option<usize>,
    /// Column from 1.
    pub column: Option<usize>,
    /// Document and path, such as `HostnameConfig auto` or `machine.install.disk`; empty when it is about all of it.
    pub path: String,
    /// What is wrong, without the place.
    pub message: String,
    /// The first Talos version that knows the key, kind or value, where that is what is wrong: the one at hand is older.
    pub introduced: Option<VersionContract>,
    subtree: Option<Subtree>,
}

/// Part of a text that may hold secrets.
#[derive(Clone, PartialEq, Eq)]
struct Subtree(Zeroizing<String>);

impl fmt::Debug for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Problem {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            line: None,
            column: None,
            path: path.into(),
            message: message.into(),
            introduced: None,
            subtree: None,
        }
    }

    pub(crate) fn at(
        line: usize,
        column: usize,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            line: Some(line),
            column: Some(column),
            path: path.into(),
            message: message.into(),
            introduced: None,
            subtree: None,
        }
    }
}

impl Problem {
    pub(crate) fn with_introduced(mut self, minor: u32) -> Self {
        self.introduced = Some(VersionContract::new(1, minor));
        self
    }

    pub(crate) fn with_subtree(mut self, yaml: String) -> Self {
        self.subtree = Some(Subtree(Zeroizing::new(yaml)));
        self
    }

    /// What was refused, as YAML: the unknown key with all that is below it. It may hold secrets, so neither `Display` nor
    /// `Debug` shows it.
    pub fn subtree(&self) -> Option<&str> {
        self.subtree.as_ref().map(|subtree| subtree.0.as_str())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// An error of this crate.
///
/// `Display` says what was being done, where and why, and never repeats [`source`](StdError::source).
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    node: Option<String>,
    hint: Option<String>,
    problems: Vec<Problem>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let inner = Inner {
            kind,
            message: message.into(),
            node: None,
            hint: None,
            problems: Vec::new(),
            source: None,
        };
        Self {
            inner: Box::new(inner),
        }
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    #[cfg_attr(
        not(feature = "client"),
        allow(dead_code, reason = "only the client talks to nodes")
    )]
    pub(crate) fn with_node(mut self, node: impl Into<String>) -> Self {
        self.inner.node = Some(node.into());
        self
    }

    pub(crate) fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.inner.problems = problems;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// What an operator can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// The node that it is about.
    pub fn node(&self) -> Option<&str> {
        self.inner.node.as_deref()
    }

    /// Everything that is wrong with an input, not only the first thing.
    pub fn problems(&self) -> &[Problem] {
        &self.inner.problems
    }

    /// The text without node and problems.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// Trying the same again later can work.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::FailedPrecondition
        )
    }

    /// The thing does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// It exists or was done before.
    pub fn is_already_exists(&self) -> bool {
        self.kind() == ErrorKind::AlreadyExists
    }

    /// Nobody answered, or the connection broke.
    pub fn is_unavailable(&self) -> bool {
        self.kind() == ErrorKind::Unavailable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = &self.inner.node {
            write!(f, "{node}: ")?;
        }
        f.write_str(&self.inner.message)?;
        match self.inner.problems.as_slice() {
            [] => Ok(()),
            [one] => write!(f, ": {one}"),
            many => many
                .iter()
                .try_for_each(|problem| write!(f, "\n  - {problem}")),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.to_string())
            .field("hint", &self.inner.hint)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
