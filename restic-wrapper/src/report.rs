//! What commands answer with when they are done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::snapshot::{Counts, Snapshot, null_as_default};
use crate::timestamp::Timestamp;

/// The end of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupSummary {
    /// Always `summary`.
    pub message_type: String,
    /// What was counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Seconds.
    #[serde(default)]
    pub total_duration: f64,
    /// Start; since 0.18.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_start: Option<Timestamp>,
    /// End; since 0.18.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_end: Option<Timestamp>,
    /// The new snapshot: 64 digits, 8 before 0.15; `None` for a dry run or when nothing changed and that was to skip it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// Whether nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The end of a restore. `{"message_type":"summary"}` alone means that there was nothing to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
#[allow(missing_docs, reason = "restic's own names, which say it")]
pub struct RestoreSummary {
    pub message_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_elapsed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_restored: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_skipped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_deleted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_restored: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_skipped: Option<u64>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The end of a check (0.18 and newer).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CheckSummary {
    /// Always `summary`.
    pub message_type: String,
    /// How many errors. A repository that could not be locked counts as one too.
    pub num_errors: u64,
    /// Ids of damaged packs; `null` when none is damaged, even if one is missing.
    pub broken_packs: Option<Vec<String>>,
    /// Whether `repair index` would help.
    pub suggest_repair_index: bool,
    /// Whether `prune` would help.
    pub suggest_prune: bool,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The end of a prune, as the release after 0.19.1 prints it; read from text before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PruneSummary {
    /// Always `summary`; empty when it was read from text.
    pub message_type: String,
    /// Counts of blobs by name: `repack`, `repack_remove`, `remove`, `remove_total`, `remaining`, …
    pub blobs: BTreeMap<String, u64>,
    /// Bytes by the same names and `unreferenced`, `uncompressed`, `remaining_unused`. From text they are as exact as
    /// restic's three decimals.
    pub bytes: BTreeMap<String, u64>,
    /// Counts of pack files by name.
    pub packfiles: BTreeMap<String, u64>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The end of a diff.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DiffStatistics {
    /// Always `statistics`.
    pub message_type: String,
    /// The snapshot compared from.
    pub source_snapshot: String,
    /// The snapshot compared to.
    pub target_snapshot: String,
    /// Files whose content differs.
    pub changed_files: u64,
    /// What the second has and the first has not.
    pub added: DiffCounts,
    /// What the first has and the second has not.
    pub removed: DiffCounts,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One side of a diff.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
#[allow(missing_docs, reason = "restic's own names, which say it")]
pub struct DiffCounts {
    pub files: u64,
    pub dirs: u64,
    pub others: u64,
    pub data_blobs: u64,
    pub tree_blobs: u64,
    pub bytes: u64,
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The end of tagging (0.18 and newer).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TagSummary {
    /// Always `summary`.
    pub message_type: String,
    /// How many snapshots got a new id.
    pub changed_snapshots: u64,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A repository was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Initialized {
    /// `initialized`; empty when it was read from text.
    #[serde(default)]
    pub message_type: String,
    /// The repository's id: 64 digits, 10 when it was read from text (before 0.15).
    pub id: String,
    /// The location, redacted by restic.
    #[serde(default)]
    pub repository: String,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What `version` says since 0.17.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct VersionInfo {
    /// `version`; since 0.18.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message_type: String,
    /// `0.18.0`.
    pub version: String,
    /// The Go compiler.
    pub go_version: String,
    /// Operating system it was built for.
    pub go_os: String,
    /// Processor it was built for.
    pub go_arch: String,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Sizes of a repository or of snapshots (`stats`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes, counted by the mode that was asked for.
    pub total_size: u64,
    /// Files (not for raw data).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_file_count: Option<u64>,
    /// Blobs (raw data and blobs per file).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_blob_count: Option<u64>,
    /// Snapshots that were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots_count: Option<u64>,
    /// Bytes before compression (raw data, 0.15 and newer).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_uncompressed_size: Option<u64>,
    /// Uncompressed over compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_ratio: Option<f64>,
    /// Percent of blobs that are compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_progress: Option<f64>,
    /// Percent saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_space_saving: Option<f64>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One group of `forget`: what stays, what goes, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ForgetGroup {
    /// Sorted tags of the group, when groups look at them.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Host name of the group; empty when groups do not look at it.
    #[serde(default)]
    pub host: String,
    /// Sorted paths of the group, when groups look at them.
    #[serde(default)]
    pub paths: Option<Vec<String>>,
    /// What stays, newest first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub keep: Vec<Snapshot>,
    /// What goes, newest first; `null` when nothing does.
    #[serde(default)]
    pub remove: Option<Vec<Snapshot>>,
    /// Why what stays stays.
    #[serde(default, deserialize_with = "null_as_default")]
    pub reasons: Vec<KeepReason>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Why a snapshot stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeepReason {
    /// The snapshot; with its id since 0.17.
    pub snapshot: Snapshot,
    /// `daily snapshot`, `within 1y`, `has tags [x]`, …
    #[serde(default, deserialize_with = "null_as_default")]
    pub matches: Vec<String>,
    /// What older and newer versions add (`counters` up to 0.16).
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A key of the repository (`key list`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Key {
    /// Whether the password that was given opens this one.
    #[serde(default)]
    pub current: bool,
    /// 64 digits; 8 before 0.17.
    pub id: String,
    /// Who made it.
    #[serde(default, rename = "userName")]
    pub user_name: String,
    /// Where.
    #[serde(default, rename = "hostName")]
    pub host_name: String,
    /// When: local time without a zone, `2026-11-20 12:27:07`.
    #[serde(default)]
    pub created: String,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The repository's own settings (`cat config`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Config {
    /// Format version: 1, or 2 with compression.
    pub version: u32,
    /// 64 digits.
    pub id: String,
    /// Two repositories share blobs only if this is the same in both.
    #[serde(default)]
    pub chunker_polynomial: String,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What `find` found in one snapshot, or one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Found {
    /// Files that match, in one snapshot.
    Files(FoundFiles),
    /// A blob, tree or pack.
    Object(FoundObject),
}

/// Files that match, in one snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoundFiles {
    /// How many.
    pub hits: u64,
    /// The snapshot's id.
    pub snapshot: String,
    /// The files.
    #[serde(default, deserialize_with = "null_as_default")]
    pub matches: Vec<FoundFile>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A file that matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoundFile {
    /// Absolute path within the snapshot.
    pub path: String,
    /// `-rw-r--r--`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// `file`, `dir`, `symlink`, …
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Mode in Go's bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Modification time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<Timestamp>,
    /// The rest: owner, links, device, access and change time.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A blob, tree or pack that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoundObject {
    /// `blob` or `tree`.
    pub object_type: String,
    /// Its id.
    pub id: String,
    /// The file that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The tree that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_tree: Option<String>,
    /// The snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The snapshot's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
