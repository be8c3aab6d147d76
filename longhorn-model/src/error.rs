//! The one error of this crate: what kind of trouble, where, and what to do about it.

use std::fmt;

/// What went wrong, coarsely. New kinds may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is no well-formed YAML or JSON.
    Syntax,
    /// The document is well-formed but does not have the shape of its kind.
    Shape,
    /// The object has the right shape and asks for something that the agent or API server refuses.
    Invalid,
    /// The document is of a kind or version that this crate does not model.
    UnknownKind,
}

/// One finding about one place of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Place as a dotted path, such as `spec.ingress[0].toPorts[0].ports[1].port`; empty for the whole document.
    pub path: String,
    /// Line, from 1, when the document was read from text.
    pub line: Option<u32>,
    /// Column, from 1, when the document was read from text.
    pub column: Option<u32>,
    /// What is wrong there.
    pub message: String,
    /// What to write instead, when that is known.
    pub remedy: Option<String>,
}

impl Problem {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: None,
            column: None,
            message: message.into(),
            remedy: None,
        }
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
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
        f.write_str(&self.message)?;
        if let Some(remedy) = &self.remedy {
            write!(f, " ({remedy})")?;
        }
        Ok(())
    }
}

/// Why a document, a policy or a set of values was refused; carries every problem found, not only the first.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    subject: String,
    problems: Vec<Problem>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, subject: impl Into<String>, problems: Vec<Problem>) -> Self {
        Self {
            kind,
            subject: subject.into(),
            problems,
        }
    }

    pub(crate) fn one(kind: ErrorKind, subject: impl Into<String>, problem: Problem) -> Self {
        Self::new(kind, subject, vec![problem])
    }

    /// Adds line and column to problems that lack them.
    pub(crate) fn locate(mut self, document: &crate::yaml::Document) -> Self {
        document.locate(&mut self.problems);
        self
    }

    /// The coarse class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was being read or checked: a kind, or a kind and a name.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Every problem found, in document order.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// True when the text itself could not be parsed.
    #[must_use]
    pub fn is_syntax(&self) -> bool {
        self.kind == ErrorKind::Syntax
    }

    /// True when the document is of a kind or version outside this crate's models.
    #[must_use]
    pub fn is_unknown_kind(&self) -> bool {
        self.kind == ErrorKind::UnknownKind
    }

    /// The remedy of the first problem that has one.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.problems.iter().find_map(|p| p.remedy.as_deref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Syntax => "cannot be parsed",
            ErrorKind::Shape => "does not have the expected shape",
            ErrorKind::Invalid => "is invalid",
            ErrorKind::UnknownKind => "is not modelled",
        };
        write!(f, "{} {what}", self.subject)?;
        for (index, problem) in self.problems.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
