//! Judges how a run ended, from its exit, its messages and its text. Pure: the same evidence gives the same verdict.

use std::collections::VecDeque;

use crate::command::Command;
use crate::error::ErrorKind;
use crate::event::{Event, Stream};
use crate::lock::LockedBy;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal, with this number.
    Signal(i32),
}

impl Exit {
    /// The code, if it ended by itself.
    #[must_use]
    pub const fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) => None,
        }
    }
}

/// The verdict on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// All of it was done.
    Success,
    /// A snapshot was saved or removed, but not all of what was asked for: exit code 3.
    Partial,
    /// It was not done, for this reason.
    Failed(ErrorKind),
}

/// What was seen of a run, collected while it goes on. Memory is bounded: the first and the last lines are kept.
#[derive(Debug, Clone)]
pub struct Evidence {
    command: Command,
    exit_error: Option<(i64, String)>,
    first: Vec<String>,
    last: VecDeque<String>,
    kind_in_text: Option<ErrorKind>,
    locked_by: Option<LockedBy>,
    damage: bool,
    interrupted: bool,
    panicked: bool,
    restore_errors: bool,
    check_errors: u64,
    unreachable: bool,
    reached: u64,
}

const KEPT: usize = 24;

impl Evidence {
    /// Of a run of this command; nothing seen yet.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            command,
            exit_error: None,
            first: Vec::new(),
            last: VecDeque::new(),
            kind_in_text: None,
            locked_by: None,
            damage: false,
            interrupted: false,
            panicked: false,
            restore_errors: false,
            check_errors: 0,
            unreachable: false,
            reached: 0,
        }
    }

    /// Takes note of a message.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::Notice(notice) => self.text(notice.stream, &notice.text),
            Event::Progress(progress) => {
                let reached = progress.bytes_done.or(progress.bytes_restored).unwrap_or(0);
                if reached > self.reached {
                    self.reached = reached;
                    self.unreachable = false;
                }
            }
            Event::ItemError(error) => {
                let reason = error.reason();
                self.damage |= reports_damage(&reason);
                // What one file could not be read for is not why the whole run failed; a check's findings are.
                if error.item.is_empty() {
                    self.keep(reason);
                } else {
                    self.keep(format!("{}: {reason}", error.item));
                }
            }
            Event::ExitError(error) => {
                self.damage |= reports_damage(&error.message);
                self.interrupted |= error.message.contains("context canceled");
                if self.kind_in_text.is_none() {
                    self.kind_in_text = kind_in_text(&error.message);
                }
                if self.locked_by.is_none() {
                    self.locked_by = LockedBy::from_text(&error.message);
                }
                self.exit_error = Some((error.code, error.message.clone()));
            }
            Event::CheckSummary(summary) => {
                self.check_errors = summary.num_errors;
                self.damage |= summary
                    .broken_packs
                    .as_ref()
                    .is_some_and(|packs| !packs.is_empty());
            }
            _ => {}
        }
    }

    fn text(&mut self, stream: Stream, line: &str) {
        self.damage |= reports_damage(line);
        self.interrupted |= line.starts_with("signal interrupt received")
            || line.starts_with("signal terminated received")
            || (stream == Stream::Stderr && line.contains("context canceled"));
        self.panicked |= line.starts_with("panic: ")
            || line.starts_with("fatal error: ")
            || line.starts_with("goroutine ");
        if line.starts_with("There were ") && line.contains(" error") {
            self.restore_errors = true;
        }
        if stream == Stream::Stdout {
            // `unlock`, `prune` and `copy` say what they do here; reasons for failure come on the other stream, but for
            // the empty password.
            if line.contains("an empty password") {
                self.kind_in_text = self.kind_in_text.or(Some(ErrorKind::WrongPassword));
            }
            return;
        }
        let kind = kind_in_text(line);
        if line.contains("operation successful after") {
            self.unreachable = false;
        } else if kind == Some(ErrorKind::Network) {
            self.unreachable = true;
        }
        if self.kind_in_text.is_none() {
            self.kind_in_text = kind;
        }
        if line.contains("already locked") {
            self.locked_by = LockedBy::from_text(line);
        } else if let Some(lock) = &mut self.locked_by {
            // The sentence goes on over the next lines.
            if let Some(whole) = LockedBy::from_text(&format!(
                "already locked by PID {} on {} by {}\n{line}",
                lock.pid, lock.host, lock.user
            )) {
                lock.created = lock.created.take().or(whole.created);
                lock.age = lock.age.or(whole.age);
                lock.storage_id = lock.storage_id.take().or(whole.storage_id);
            }
        }
        self.keep(line.to_owned());
    }

    fn keep(&mut self, line: String) {
        if self.first.len() < KEPT {
            self.first.push(line);
        } else {
            self.last.push_back(line);
            if self.last.len() > KEPT {
                self.last.pop_front();
            }
        }
    }

    /// Who holds the lock, if that is what stopped it.
    #[must_use]
    pub fn locked_by(&self) -> Option<&LockedBy> {
        self.locked_by.as_ref()
    }

    /// Whether the last that was heard of the storage is that it cannot be reached, with no work done since.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.unreachable
    }

    /// What restic gave as its reason, in one line or a few.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        if let Some((_, message)) = &self.exit_error {
            return Some(without_fatal(message).to_owned());
        }
        let lines = || self.last.iter().rev().chain(self.first.iter().rev());
        lines()
            .find(|line| line.starts_with("Fatal: "))
            .or_else(|| lines().find(|line| kind_in_text(line).is_some()))
            .or_else(|| lines().find(|line| !line.starts_with("the `unlock` command")))
            .map(|line| without_fatal(line).to_owned())
    }

    /// The lines that were kept, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.first.iter().chain(&self.last).cloned().collect()
    }

    /// The verdict. `we_cancelled` says that this program sent the signal.
    #[must_use]
    pub fn judge(&self, exit: Exit, we_cancelled: bool) -> Outcome {
        let code = match exit {
            // Work that was done before the signal arrived is done.
            Exit::Code(0) => return self.judge_success(),
            Exit::Code(3) if we_cancelled => return Outcome::Partial,
            _ if we_cancelled => return Outcome::Failed(ErrorKind::Cancelled),
            Exit::Signal(_) => return Outcome::Failed(ErrorKind::Crashed),
            Exit::Code(code) => code,
        };
        // A shell's way of saying that its child died, and `timeout`'s.
        if self.panicked || matches!(code, 124 | 134 | 137 | 139 | 143) {
            return Outcome::Failed(ErrorKind::Crashed);
        }
        let told = self.exit_error.as_ref().map(|(code, _)| *code);
        Outcome::Failed(match told.unwrap_or_else(|| i64::from(code)) {
            3 if matches!(
                self.command,
                Command::Backup | Command::Forget | Command::Other
            ) =>
            {
                return Outcome::Partial;
            }
            10 => ErrorKind::NoRepository,
            11 => ErrorKind::Locked,
            12 => ErrorKind::WrongPassword,
            130 => ErrorKind::Cancelled,
            _ if self.interrupted => ErrorKind::Cancelled,
            _ => match self.kind_in_text {
                // A lost pack shows as a file that is not there.
                Some(ErrorKind::NotFound | ErrorKind::Failed) | None if self.damage => {
                    ErrorKind::Damaged
                }
                Some(kind) => kind,
                None if self.command == Command::Check && self.check_errors > 0 => {
                    ErrorKind::Damaged
                }
                None => ErrorKind::Failed,
            },
        })
    }

    fn judge_success(&self) -> Outcome {
        let repairs = matches!(
            self.command,
            Command::RepairIndex | Command::RepairPacks | Command::RepairSnapshots
        );
        // 0.11 ends with 0 although its text says that files are missing from what it restored.
        if (self.damage && !repairs) || self.restore_errors {
            return Outcome::Failed(ErrorKind::Damaged);
        }
        if self.check_errors > 0 {
            return Outcome::Failed(ErrorKind::Damaged);
        }
        Outcome::Success
    }
}

fn without_fatal(message: &str) -> &str {
    let mut rest = message.trim();
    while let Some(tail) = rest.strip_prefix("Fatal: ") {
        rest = tail.trim_start();
    }
    rest
}

/// Sentences that mean that data in the repository is not what it should be.
fn reports_damage(text: &str) -> bool {
    const MARKS: [&str; 14] = [
        "ciphertext verification failed",
        "repository contains errors",
        "Pack ID does not match",
        "pack ID does not match",
        "unexpected pack id",
        "contains damaged pack files",
        "repository is damaged",
        "Blob ID does not match",
        "invalid data returned",
        "blob not found",
        "not found in repository index",
        "not found in index",
        "unexpected EOF",
        "file is truncated",
    ];
    if MARKS.iter().any(|mark| text.contains(mark)) {
        return true;
    }
    // A pack that is gone: `pack 621b…: does not exist`, `Load(<data/46fa2771aa>, …) failed: … no such file`.
    let gone = text.contains("no such file or directory") || text.contains("does not exist");
    gone && ["<data/", "<tree/", "<index/", "<snapshot/"]
        .iter()
        .any(|mark| text.contains(mark))
        || text.starts_with("pack ") && text.contains(": does not exist")
}

/// The reason for a failure, from the sentences of restic and of the systems below it.
fn kind_in_text(text: &str) -> Option<ErrorKind> {
    const TABLE: [(&str, ErrorKind); 47] = [
        ("wrong password or no key found", ErrorKind::WrongPassword),
        ("no key found", ErrorKind::WrongPassword),
        ("an empty password", ErrorKind::WrongPassword),
        (
            "Please specify repository password",
            ErrorKind::WrongPassword,
        ),
        ("already locked", ErrorKind::Locked),
        ("config file already exists", ErrorKind::AlreadyExists),
        ("config already initialized", ErrorKind::AlreadyExists),
        ("repository does not exist", ErrorKind::NoRepository),
        (
            "Is there a repository at the following location",
            ErrorKind::NoRepository,
        ),
        ("unable to open config file", ErrorKind::NoRepository),
        ("unknown flag", ErrorKind::Unsupported),
        ("unknown shorthand flag", ErrorKind::Unsupported),
        ("unknown command", ErrorKind::Unsupported),
        ("invalid argument", ErrorKind::InvalidInput),
        ("no matching ID found", ErrorKind::NotFound),
        ("it is not a snapshot id", ErrorKind::NotFound),
        ("no snapshot found", ErrorKind::NotFound),
        ("not found in snapshot", ErrorKind::NotFound),
        (
            "all source directories/files do not exist",
            ErrorKind::MissingSource,
        ),
        (
            "all target directories/files do not exist",
            ErrorKind::MissingSource,
        ),
        ("no space left on device", ErrorKind::OutOfSpace),
        ("disk quota exceeded", ErrorKind::OutOfSpace),
        ("QuotaExceeded", ErrorKind::OutOfSpace),
        ("507 Insufficient Storage", ErrorKind::OutOfSpace),
        ("EntityTooLarge", ErrorKind::OutOfSpace),
        ("connection refused", ErrorKind::Network),
        ("connection reset", ErrorKind::Network),
        ("no such host", ErrorKind::Network),
        ("i/o timeout", ErrorKind::Network),
        ("TLS handshake", ErrorKind::Network),
        ("network is unreachable", ErrorKind::Network),
        ("no route to host", ErrorKind::Network),
        ("broken pipe", ErrorKind::Network),
        ("server misbehaving", ErrorKind::Network),
        ("certificate", ErrorKind::Network),
        ("502 Bad Gateway", ErrorKind::Network),
        ("503 Service Unavailable", ErrorKind::Network),
        ("504 Gateway Timeout", ErrorKind::Network),
        ("500 Internal Server Error", ErrorKind::Network),
        ("unexpected HTTP response (5", ErrorKind::Network),
        ("403 Forbidden", ErrorKind::NotPermitted),
        ("401 Unauthorized", ErrorKind::NotPermitted),
        ("unexpected HTTP response (401)", ErrorKind::NotPermitted),
        ("unexpected HTTP response (403)", ErrorKind::NotPermitted),
        ("Access Denied", ErrorKind::NotPermitted),
        ("InvalidAccessKeyId", ErrorKind::NotPermitted),
        ("SignatureDoesNotMatch", ErrorKind::NotPermitted),
    ];
    let found = TABLE
        .iter()
        .find(|(mark, _)| text.contains(mark))
        .map(|(_, kind)| *kind);
    match found {
        Some(ErrorKind::NoRepository) => {
            // The config file could not be asked for: that says nothing about whether it is there.
            let deeper = TABLE[20..].iter().find(|(mark, _)| text.contains(mark));
            Some(deeper.map_or(ErrorKind::NoRepository, |(_, kind)| *kind))
        }
        // Files of the machine itself: restic names the system's reason alone.
        None if text.contains("permission denied") || text.contains("read-only file system") => {
            Some(ErrorKind::NotPermitted)
        }
        other => other,
    }
}
