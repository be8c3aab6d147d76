//! One run of restic as data: arguments, environment, secrets, input and limits. Nothing here starts anything.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::command::Command;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::version::Version;

/// What goes to the standard input of the child.
#[derive(Default)]
pub(crate) enum Input {
    #[default]
    Nothing,
    Bytes(Vec<u8>),
    Stream(Box<dyn AsyncRead + Send + Sync + Unpin>),
}

/// Where raw standard output goes (`dump`).
pub(crate) type RawOutput = Box<dyn AsyncWrite + Send + Sync + Unpin>;

/// How restic learns the name of the descriptor that a secret comes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretFile {
    Env(OsString),
    Flag(&'static str),
}

/// One run of restic.
pub(crate) struct Invocation {
    pub(crate) command: Command,
    pub(crate) global: Vec<OsString>,
    pub(crate) args: Vec<OsString>,
    pub(crate) operands: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) secret_env: Vec<(OsString, Secret)>,
    /// What takes a file name, and what the file holds.
    pub(crate) secret_files: Vec<(SecretFile, Secret)>,
    /// The command's name in versions before this one.
    pub(crate) old_name: Option<(&'static str, Version)>,
    pub(crate) input: Input,
    pub(crate) raw_output: Option<RawOutput>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) allow_missing: bool,
    /// Whether the answer of `find` stays text.
    pub(crate) keep_found: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) nice: Option<i32>,
    pub(crate) idle_io: bool,
    /// Flags and features with the version that each needs.
    pub(crate) needs: Vec<(&'static str, Version)>,
    /// What is wrong with the arguments, found while they were given.
    pub(crate) problems: Vec<String>,
}

impl Invocation {
    pub(crate) fn new(command: Command) -> Self {
        Self {
            command,
            global: Vec::new(),
            args: Vec::new(),
            operands: Vec::new(),
            env: Vec::new(),
            secret_env: Vec::new(),
            secret_files: Vec::new(),
            old_name: None,
            input: Input::Nothing,
            raw_output: None,
            directory: None,
            allow_missing: false,
            keep_found: false,
            timeout: None,
            nice: None,
            idle_io: false,
            needs: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(crate) fn switch(&mut self, flag: &'static str, since: Version) {
        self.needs.push((flag, since));
        self.args.push(flag.into());
    }

    /// `--flag=value` in one argument: a value that begins with a dash stays a value.
    pub(crate) fn value(&mut self, flag: &'static str, since: Version, value: impl AsRef<OsStr>) {
        self.needs.push((flag, since));
        let mut arg = OsString::from(flag);
        arg.push("=");
        arg.push(value.as_ref());
        self.args.push(arg);
    }

    pub(crate) fn needs(&mut self, what: &'static str, since: Version) {
        self.needs.push((what, since));
    }

    pub(crate) fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Everything that must be right before anything is started; all faults at once.
    pub(crate) fn validate(&self, version: Version) -> Result<()> {
        let doing = || format!("restic {}", self.command.name());
        let mut problems = self.problems.clone();
        let all = self.args.iter().chain(&self.operands).chain(&self.global);
        for arg in all {
            if arg.as_encoded_bytes().contains(&0) {
                problems.push(format!("{:?} holds a NUL byte", arg.to_string_lossy()));
            }
        }
        if !problems.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, problems.join("; ")).doing(doing()));
        }
        if self.old_name.is_none() && self.command.since() > version {
            return Err(
                Error::unsupported(self.command.name(), self.command.since(), version)
                    .doing(doing()),
            );
        }
        let mut missing: Vec<&(&str, Version)> = self
            .needs
            .iter()
            .filter(|(_, since)| *since > version)
            .collect();
        missing.sort();
        missing.dedup();
        match missing.as_slice() {
            [] => Ok(()),
            [(what, since)] => Err(Error::unsupported(what, *since, version).doing(doing())),
            several => {
                let list: Vec<String> = several
                    .iter()
                    .map(|(what, since)| format!("{what} needs {since}"))
                    .collect();
                Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("{}, but this is restic {version}", list.join(", ")),
                )
                .doing(doing()))
            }
        }
    }

    /// The whole argument list: global flags, the command's words, its flags, `--`, operands.
    pub(crate) fn argv(&self, version: Version) -> Vec<OsString> {
        let name = match self.old_name {
            Some((old, until)) if version < until => old,
            _ => self.command.name(),
        };
        let mut argv: Vec<OsString> = name.split(' ').map(Into::into).collect();
        argv.extend(self.global.iter().cloned());
        if self.command.supports_json(version) {
            argv.push("--json".into());
        }
        argv.extend(self.args.iter().cloned());
        for (at, (file, _)) in self.secret_files.iter().enumerate() {
            if let SecretFile::Flag(flag) = file {
                argv.push(format!("{flag}={}", Self::descriptor(at)).into());
            }
        }
        if !self.operands.is_empty() {
            argv.push("--".into());
            argv.extend(self.operands.iter().cloned());
        }
        argv
    }

    /// Where the child finds the secret file with this index.
    pub(crate) fn descriptor(index: usize) -> String {
        format!("/dev/fd/{}", 3 + index)
    }

    /// Sends a new password, for the commands that set one.
    pub(crate) fn new_password(&mut self, password: Secret) {
        if password.is_empty() {
            self.problem("the new password is empty");
        }
        self.secret_files
            .push((SecretFile::Flag("--new-password-file"), password));
    }

    /// Every secret with the name of its variable or flag.
    pub(crate) fn named_secrets(
        &self,
    ) -> impl Iterator<Item = (std::borrow::Cow<'_, str>, &Secret)> {
        let env = self
            .secret_env
            .iter()
            .map(|(name, secret)| (name.to_string_lossy(), secret));
        env.chain(self.secret_files.iter().map(|(file, secret)| match file {
            SecretFile::Env(name) => (name.to_string_lossy(), secret),
            SecretFile::Flag(flag) => ((*flag).into(), secret),
        }))
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = Secret> + '_ {
        self.named_secrets().map(|(_, secret)| secret.clone())
    }
}

impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("command", &self.command)
            .field("args", &self.args)
            .field("operands", &self.operands)
            .finish_non_exhaustive()
    }
}
