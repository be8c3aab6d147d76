//! What is known about a method.

use serde_json::Value;

use crate::error::Result;
use crate::known::{Pace, is_of};
use crate::version::ServerVersion;
use crate::wire::{self, Method};

/// What a method answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answers {
    /// What it was asked for.
    Data,
    /// Nothing: the work is done.
    Nothing,
    /// The task that does the work.
    Task,
    /// The task that does the work, or nothing if it was done at once.
    TaskOrNothing,
}

/// What is known about a method of the interface.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MethodInfo {
    /// The call's type below this module, such as `qemu::GetConfig`.
    pub name: &'static str,
    /// Its HTTP method.
    pub method: Method,
    /// Its path with placeholders.
    pub path: &'static str,
    /// Whether it runs in the privileged daemon, of which there are only a few workers.
    pub protected: bool,
    /// Whether it is forwarded to the node that the path names.
    pub routed: bool,
    /// Whether API tokens may call it.
    pub token: bool,
    /// Whether only `root@pam` may call it; tokens of root are refused too.
    pub root_only: bool,
    /// The parameters that only `root@pam` may set. Others are refused to other users with some values, as their
    /// setters say.
    pub root_parameters: &'static [&'static str],
    /// The parameters whose values are secret.
    pub secrets: &'static [&'static str],
    /// How long it may take, and so which deadline it has.
    pub pace: Pace,
    /// What it answers.
    pub answers: Answers,
    /// The version that brought it, if later than 7.4.
    pub since: Option<ServerVersion>,
    probe: fn(&wire::Answer) -> Result<Value>,
}

impl MethodInfo {
    pub(crate) const fn new(
        name: &'static str,
        method: Method,
        path: &'static str,
        probe: fn(&wire::Answer) -> Result<Value>,
    ) -> Self {
        Self {
            name,
            method,
            path,
            protected: false,
            routed: false,
            token: true,
            root_only: false,
            root_parameters: &[],
            secrets: &[],
            pace: Pace::Ordinary,
            answers: Answers::Data,
            since: None,
            probe,
        }
    }

    pub(crate) const fn protected(mut self) -> Self {
        self.protected = true;
        self
    }

    pub(crate) const fn routed(mut self) -> Self {
        self.routed = true;
        self
    }

    pub(crate) const fn ticket_only(mut self) -> Self {
        self.token = false;
        self
    }

    pub(crate) const fn root_only(mut self) -> Self {
        self.root_only = true;
        self
    }

    pub(crate) const fn root_parameters(mut self, names: &'static [&'static str]) -> Self {
        self.root_parameters = names;
        self
    }

    pub(crate) const fn secrets(mut self, names: &'static [&'static str]) -> Self {
        self.secrets = names;
        self
    }

    pub(crate) const fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    pub(crate) const fn answers(mut self, answers: Answers) -> Self {
        self.answers = answers;
        self
    }

    pub(crate) const fn since(mut self, version: ServerVersion) -> Self {
        self.since = Some(version);
        self
    }

    /// Reads an answer as this method's type and gives back, as JSON, everything that the type holds.
    ///
    /// # Errors
    /// The failure that the answer reports, or [`Kind::Decode`](crate::Kind::Decode).
    pub fn probe(&self, answer: &wire::Answer) -> Result<Value> {
        (self.probe)(answer)
    }

    /// Whether a path below `/api2/json` is one of this method's.
    pub fn matches(&self, path: &str) -> bool {
        is_of(self.path, path)
    }

    /// Whether a server of this version has the method, as far as is known.
    pub fn is_in(&self, version: ServerVersion) -> bool {
        self.since.is_none_or(|since| since <= version)
    }
}
