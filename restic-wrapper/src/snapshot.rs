//! Snapshots, their groups, and the files in them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::timestamp::Timestamp;

/// A snapshot as `snapshots`, `cat snapshot`, `forget` and `ls` print it.
///
/// Every field but the time may be missing in what an old restic wrote; keys that this crate does not know are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// When the backup started, on the clock of the machine that made it.
    pub time: Timestamp,
    /// The snapshot that it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The root of its files, 64 hexadecimal digits.
    #[serde(default)]
    pub tree: Option<String>,
    /// What was backed up: absolute paths. Bytes that are not UTF-8 were replaced by restic.
    #[serde(default, deserialize_with = "null_as_default")]
    pub paths: Vec<String>,
    /// The host name it was made under.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The user who made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// Numeric user id; absent for root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Numeric group id; absent for root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// The patterns that were excluded.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub excludes: Vec<String>,
    /// Tags, in the order they were given.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub tags: Vec<String>,
    /// The snapshot that this one replaced when it was tagged or rewritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// `restic 0.18.0`; since 0.16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_version: Option<String>,
    /// What the backup counted; since 0.17.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<SnapshotSummary>,
    /// 64 hexadecimal digits; absent in `cat snapshot`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The first eight digits of `id`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub short_id: String,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Snapshot {
    /// A snapshot with a time and nothing else; the fields are public.
    #[must_use]
    pub fn new(time: Timestamp) -> Self {
        Self {
            time,
            parent: None,
            tree: None,
            paths: Vec::new(),
            hostname: String::new(),
            username: String::new(),
            uid: None,
            gid: None,
            excludes: Vec::new(),
            tags: Vec::new(),
            original: None,
            program_version: None,
            summary: None,
            id: String::new(),
            short_id: String::new(),
            extra: Map::new(),
        }
    }

    /// The first eight digits of the id: what restic prints to people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    /// Whether it carries this tag.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|t| t == tag)
    }
}

pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// What a backup counted, stored in the snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SnapshotSummary {
    /// Start of the backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_start: Option<Timestamp>,
    /// End of the backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_end: Option<Timestamp>,
    /// The counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Counts of a backup. Bytes are bytes, not multiples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
#[allow(missing_docs, reason = "restic's own names, which say it")]
pub struct Counts {
    pub files_new: u64,
    pub files_changed: u64,
    pub files_unmodified: u64,
    pub dirs_new: u64,
    pub dirs_changed: u64,
    pub dirs_unmodified: u64,
    pub data_blobs: u64,
    pub tree_blobs: u64,
    pub data_added: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_added_packed: Option<u64>,
    pub total_files_processed: u64,
    pub total_bytes_processed: u64,
}

/// What snapshots of one group have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct GroupKey {
    /// Host name; empty when groups do not look at it.
    pub hostname: String,
    /// Sorted paths; `None` when groups do not look at them.
    pub paths: Option<Vec<String>>,
    /// Sorted tags; `None` when groups do not look at them, or there are none.
    pub tags: Option<Vec<String>>,
}

/// Snapshots of one group (`snapshots --group-by`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SnapshotGroup {
    /// What they have in common.
    pub group_key: GroupKey,
    /// The snapshots, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// What a newer restic adds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What kind of thing a node is. Open: a newer restic may know more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeType<'a> {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A block device.
    Device,
    /// A character device.
    CharDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Something else, in restic's word.
    Other(&'a str),
}

impl<'a> From<&'a str> for NodeType<'a> {
    fn from(text: &'a str) -> Self {
        match text {
            "file" => Self::File,
            "dir" => Self::Dir,
            "symlink" => Self::Symlink,
            "dev" => Self::Device,
            "chardev" => Self::CharDevice,
            "fifo" => Self::Fifo,
            "socket" => Self::Socket,
            other => Self::Other(other),
        }
    }
}

/// One line of `ls`, borrowed from the line: nothing is copied unless a name holds an escape.
///
/// Times are left as text; [`Node::mtime`] and its sisters parse on demand. `raw` is the whole line, so that what a newer
/// restic adds is not lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node<'a> {
    /// The last component of the path.
    pub name: Cow<'a, str>,
    /// Absolute path within the snapshot.
    pub path: Cow<'a, str>,
    /// What kind of thing it is.
    pub kind: NodeType<'a>,
    /// Bytes; `None` for what is not a regular file.
    pub size: Option<u64>,
    /// Mode in **Go's** bits; [`Node::unix_mode`] translates.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Inode number; since 0.16.1.
    pub inode: Option<u64>,
    /// Modification time as written.
    pub mtime_text: &'a str,
    /// Access time as written.
    pub atime_text: &'a str,
    /// Change time as written.
    pub ctime_text: &'a str,
    /// The whole line.
    pub raw: &'a str,
}

impl Node<'_> {
    /// Modification time.
    #[must_use]
    pub fn mtime(&self) -> Option<Timestamp> {
        self.mtime_text.parse().ok()
    }

    /// Permission bits with setuid, setgid and sticky where Unix has them (`0o4755`); without the type.
    #[must_use]
    pub fn unix_mode(&self) -> u32 {
        unix_permissions(self.mode)
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.kind == NodeType::File
    }
}

/// Translates Go's mode bits to the twelve permission bits of Unix.
#[must_use]
pub fn unix_permissions(go_mode: u32) -> u32 {
    (go_mode & 0o777)
        | if go_mode & (1 << 23) != 0 { 0o4000 } else { 0 }
        | if go_mode & (1 << 22) != 0 { 0o2000 } else { 0 }
        | if go_mode & (1 << 20) != 0 { 0o1000 } else { 0 }
}
