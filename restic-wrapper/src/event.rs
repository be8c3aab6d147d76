//! What a running command says: typed messages, notices in plain text, and what nobody knows yet.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::report::{BackupSummary, CheckSummary, Initialized, PruneSummary, RestoreSummary};
use crate::report::{DiffStatistics, TagSummary, VersionInfo};

/// The two streams of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One message of a running command.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// How far it is. Only the newest is kept for a reader who is late.
    Progress(Progress),
    /// What happened to one file (`-v`, `-vv`).
    Item(Item),
    /// A file that an exclude rule left out (after 0.19.1, verbose).
    Excluded(Excluded),
    /// A file that could not be read or written; the command goes on.
    ItemError(ItemError),
    /// A snapshot got new tags, and with them a new id.
    SnapshotChanged(SnapshotChanged),
    /// One difference between two snapshots.
    Change(Change),
    /// The repository was created.
    Initialized(Initialized),
    /// The end of a backup.
    BackupSummary(BackupSummary),
    /// The end of a restore.
    RestoreSummary(RestoreSummary),
    /// The end of a check.
    CheckSummary(CheckSummary),
    /// The end of a prune.
    PruneSummary(PruneSummary),
    /// The end of a diff.
    DiffStatistics(DiffStatistics),
    /// The end of tagging.
    TagSummary(TagSummary),
    /// What `version` says since 0.17.
    Version(VersionInfo),
    /// restic's last word about why it failed (0.18 and newer).
    ExitError(ExitError),
    /// A line of plain text.
    Notice(Notice),
    /// A JSON message of a type that this crate does not know, or one that does not fit its type.
    Unknown(Unknown),
    /// So many earlier messages were thrown away because the reader was late. Summaries, errors of items and the
    /// outcome are not among them: they are in the report.
    Missed(u64),
}

/// How far a command is. Every number may grow, `fraction` may go back: restic still scans while it works.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// Always `status`; `None` when it was read from text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// 0 to 1.
    #[serde(default, rename = "percent_done")]
    pub fraction: f64,
    /// Seconds since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_elapsed: Option<u64>,
    /// restic's guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_remaining: Option<u64>,
    /// Files known so far; other units (packs, snapshots) are named in `unit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_files: Option<u64>,
    /// Files (or units) done; a restore counts in `files_restored`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_done: Option<u64>,
    /// Files restored (restore).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_restored: Option<u64>,
    /// Files that were right already (restore).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_skipped: Option<u64>,
    /// Files deleted (restore with `--delete`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_deleted: Option<u64>,
    /// Bytes known so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Bytes done; a restore counts in `bytes_restored`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_done: Option<u64>,
    /// Bytes restored (restore).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_restored: Option<u64>,
    /// Bytes that were right already (restore).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_skipped: Option<u64>,
    /// Files that could not be read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_count: Option<u64>,
    /// The files in work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub current_files: Vec<String>,
    /// What is counted when it is not files: `packs`, `snapshots`, `packs copied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Progress {
    /// Files (or units) done, and known so far.
    #[must_use]
    pub fn files(&self) -> (u64, u64) {
        (
            self.files_done.or(self.files_restored).unwrap_or(0),
            self.total_files.unwrap_or(0),
        )
    }

    /// Bytes done, and known so far.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (
            self.bytes_done.or(self.bytes_restored).unwrap_or(0),
            self.total_bytes.unwrap_or(0),
        )
    }
}

/// What happened to one file or directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Item {
    /// `verbose_status`; restic before 0.16 called its `scan_finished` a `status`.
    pub message_type: String,
    /// `new`, `unchanged`, `modified`, `scan_finished`, `restored`, `updated`, `deleted`, or a newer word.
    pub action: String,
    /// Absolute path; empty for `scan_finished`.
    #[serde(default)]
    pub item: String,
    /// Seconds (backup).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Bytes (restore).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes of content (backup).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_size: Option<u64>,
    /// Bytes of content after compression (0.14 and newer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_size_in_repo: Option<u64>,
    /// Bytes of metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_size: Option<u64>,
    /// Bytes of metadata after compression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_size_in_repo: Option<u64>,
    /// Files found (`scan_finished`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_files: Option<u64>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A file that an exclude rule left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Excluded {
    /// Always `excluded_item`.
    pub message_type: String,
    /// Absolute path.
    pub item: String,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A file that could not be read or written, or an error that `check` found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ItemError {
    /// Always `error`.
    #[serde(default)]
    pub message_type: String,
    /// `check` writes its text here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The reason as restic encodes it: `{"message": …}` since 0.17.1, before that the fields of a Go error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// `scan`, `archival`, `restore`; empty for `check`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub during: String,
    /// The path that it is about; empty for `check`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub item: String,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ItemError {
    /// The reason as a text, from whichever of restic's forms it came in.
    #[must_use]
    pub fn reason(&self) -> String {
        if let Some(message) = &self.message {
            return message.trim().to_owned();
        }
        match &self.error {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Object(fields)) => {
                let text = |key: &str| fields.get(key).and_then(Value::as_str);
                if let Some(message) = text("message") {
                    return message.trim().to_owned();
                }
                // Before 0.17.1: the operation, the path and the number of the system's error.
                let errno = fields.get("Err").and_then(Value::as_i64);
                let reason = errno
                    .and_then(|number| i32::try_from(number).ok())
                    .map(|number| std::io::Error::from_raw_os_error(number).to_string());
                match (text("Op"), reason) {
                    (Some(op), Some(reason)) => format!("{op}: {reason}"),
                    (Some(op), None) => format!("{op} failed"),
                    (None, Some(reason)) => reason,
                    (None, None) => "unknown reason".to_owned(),
                }
            }
            _ => "unknown reason".to_owned(),
        }
    }
}

/// A snapshot got new tags, and with them a new id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SnapshotChanged {
    /// Always `changed`.
    pub message_type: String,
    /// The id that is gone.
    pub old_snapshot_id: String,
    /// The id from now on.
    pub new_snapshot_id: String,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One difference between two snapshots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// `change`; empty when it was read from the text of 0.12 and older.
    #[serde(default)]
    pub message_type: String,
    /// Absolute path.
    pub path: String,
    /// Letters: `+` added, `-` removed, `M` content, `T` type, `U` metadata, `?` same content, another id.
    pub modifier: String,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// restic's last word about why it failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExitError {
    /// Always `exit_error`.
    pub message_type: String,
    /// The exit code.
    pub code: i64,
    /// The reason; may begin with `Fatal: `, even twice.
    #[serde(default)]
    pub message: String,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A line of plain text. restic mixes them with JSON on both streams.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// Where it came from.
    pub stream: Stream,
    /// The line without terminal escapes and without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// The bytes of the line, when `text` could not hold them.
    pub raw: Option<Box<[u8]>>,
    /// Whether it is the beginning of a JSON message whose end never came.
    pub cut: bool,
}

/// A JSON message that has no type here.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Unknown {
    /// Where it came from.
    pub stream: Stream,
    /// Its `message_type`, if it has one.
    pub message_type: Option<String>,
    /// All of it.
    pub value: Value,
}
