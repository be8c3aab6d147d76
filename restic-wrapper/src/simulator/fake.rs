//! A scripted stand-in for the restic program: real processes, real pipes, and whatever can go wrong with them.
//!
//! The program `fake-restic` plays a script that lies beside the path it is started under. [`FakeRestic::install`] puts
//! both into a folder; [`crate::Restic::at`] takes the path that it gives.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One thing that the fake does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// Writes to standard output, without adding a line end.
    Out(String),
    /// Writes to standard error, without adding a line end.
    Err(String),
    /// Writes these bytes (hexadecimal) to standard output.
    OutHex(String),
    /// Writes a line so many times to standard output.
    RepeatOut(String, u64),
    /// Writes a line so many times to standard error.
    RepeatErr(String, u64),
    /// Says nothing for so many milliseconds.
    Sleep(u64),
    /// Reads standard input to its end.
    ReadInput,
    /// From now on SIGINT and SIGTERM do nothing.
    IgnoreSignals,
    /// Leaves a child behind that holds both streams open for so many milliseconds.
    HoldPipes(u64),
    /// Dies of SIGKILL.
    Die,
}

/// What the fake does for one command.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reply {
    /// In this order.
    pub steps: Vec<Step>,
    /// And at the end this exit code.
    #[serde(default)]
    pub exit: i32,
}

impl Reply {
    /// Ends with 0 and says nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// A line on standard output.
    #[must_use]
    pub fn out(self, line: impl std::fmt::Display) -> Self {
        self.step(Step::Out(format!("{line}\n")))
    }

    /// A line on standard error.
    #[must_use]
    pub fn err(self, line: impl std::fmt::Display) -> Self {
        self.step(Step::Err(format!("{line}\n")))
    }

    /// Silence.
    #[must_use]
    pub fn sleep(self, pause: Duration) -> Self {
        self.step(Step::Sleep(
            u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        ))
    }

    /// The exit code.
    #[must_use]
    pub fn exit(mut self, code: i32) -> Self {
        self.exit = code;
        self
    }
}

/// A script for the fake program: replies by the words of a command (`backup`, `key list`, `repair index`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FakeRestic {
    /// What it says for `version`.
    pub version: String,
    /// Replies by command; a command without one ends with 1 and says so.
    pub replies: BTreeMap<String, Reply>,
}

impl FakeRestic {
    /// A fake of this version that knows `version` and nothing else.
    #[must_use]
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            replies: BTreeMap::new(),
        }
    }

    /// What it does for a command.
    #[must_use]
    pub fn on(mut self, command: impl Into<String>, reply: Reply) -> Self {
        self.replies.insert(command.into(), reply);
        self
    }

    /// Puts a link to the program and this script into a folder; gives the path to start.
    ///
    /// # Errors
    ///
    /// What the file system refuses.
    pub fn install(&self, program: &Path, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join("restic");
        std::fs::write(folder.join("restic.json"), serde_json::to_vec_pretty(self)?)?;
        if path.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(program, &path)?;
        }
        Ok(path)
    }

    /// Reads the script that lies beside the path that a program was started under.
    ///
    /// # Errors
    ///
    /// If there is none, or it is no script.
    pub fn beside(program: &Path) -> io::Result<Self> {
        let text = std::fs::read(program.with_extension("json"))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The reply to a command line: that of the command with the most words that it begins with.
    #[must_use]
    pub fn reply(&self, args: &[String]) -> Reply {
        let words: Vec<&str> = args
            .iter()
            .map(String::as_str)
            .filter(|arg| !arg.starts_with('-'))
            .collect();
        let pair = words.get(..2).map(|pair| pair.join(" "));
        let first = words.first().copied().unwrap_or_default();
        if let Some(reply) = pair.and_then(|pair| self.replies.get(&pair)) {
            return reply.clone();
        }
        match self.replies.get(first) {
            Some(reply) => reply.clone(),
            None if first == "version" => Reply::new().out(format!(
                "restic {} compiled with go1.24.4 on linux/amd64",
                self.version
            )),
            None => Reply::new()
                .err(format!("Fatal: the script has no reply to {first}"))
                .exit(1),
        }
    }
}
