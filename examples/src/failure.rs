//! What went wrong while a program worked on a cluster: the place, the cause, whether trying again can help.

use std::error::Error as StdError;
use std::fmt;

/// Whether the same step may succeed when it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Persistence {
    /// The cause passes by itself: a lost answer, a lock, a node that is still booting.
    Transient,
    /// Somebody has to change something first.
    Permanent,
}

impl Persistence {
    /// Transient if the cause passes by itself.
    pub fn passing(passes: bool) -> Self {
        if passes {
            Self::Transient
        } else {
            Self::Permanent
        }
    }
}

/// A failed step, wait or command.
pub struct Failure {
    place: String,
    message: String,
    hint: Option<String>,
    persistence: Persistence,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure that trying again does not cure.
    pub fn permanent(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
            hint: None,
            persistence: Persistence::Permanent,
            source: None,
        }
    }

    /// A failure that may be gone at the next try.
    pub fn transient(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            persistence: Persistence::Transient,
            ..Self::permanent(place, message)
        }
    }

    /// What the client of a system reports, with the remedy that it knows.
    pub fn reported(
        place: impl Into<String>,
        message: &str,
        persistence: Persistence,
        remedy: Option<&str>,
        error: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self {
            persistence,
            hint: remedy.map(str::to_owned),
            ..Self::permanent(place, message)
        }
        .caused_by(error)
    }

    /// Adds what the operator can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the error that caused this one; its text is not repeated in ours.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The machine, object or file that the failure is about.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether the same step may succeed when tried again.
    pub fn is_transient(&self) -> bool {
        self.persistence == Persistence::Transient
    }

    /// What the operator can do about it.
    pub fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The whole story on one line: place, message and every cause.
    pub fn story(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("place", &self.place)
            .field("message", &self.message)
            .field("persistence", &self.persistence)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|error| error as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_names_the_place_and_every_cause_once() {
        let cause = std::io::Error::other("connection reset");
        let failure = Failure::transient("cp-1", "the configuration was not accepted")
            .caused_by(cause)
            .hint("look at the console");
        assert_eq!(
            failure.story(),
            "cp-1: the configuration was not accepted: connection reset"
        );
        assert_eq!(
            failure.to_string(),
            "cp-1: the configuration was not accepted"
        );
        assert!(failure.is_transient());
        assert_eq!(failure.remedy(), Some("look at the console"));
    }
}
