//! The state of the simulated restic: plain data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::commands::Script;
use crate::timestamp::Timestamp;
use crate::version::Version;

/// How long simulated commands take.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Pace {
    /// From the start to the first message: opening a repository costs a password hash.
    pub opening: Duration,
    /// Bytes a second, written and read; 0 for no limit.
    pub bytes_per_second: u64,
}

impl Pace {
    /// No command takes any time.
    pub const INSTANT: Self = Self {
        opening: Duration::ZERO,
        bytes_per_second: 0,
    };

    /// What was measured of real ones on a local folder.
    pub const REALISTIC: Self = Self {
        opening: Duration::from_millis(450),
        bytes_per_second: 50_000_000,
    };

    pub(super) fn duration(self, bytes: u64) -> Duration {
        let work = match self.bytes_per_second {
            0 => 0.0,
            #[allow(clippy::cast_precision_loss, reason = "a model of time")]
            rate => bytes as f64 / rate as f64,
        };
        self.opening + Duration::from_secs_f64(work)
    }
}

/// A file of the simulated machine or of a snapshot.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimulatedFile {
    /// Its bytes.
    pub content: Arc<[u8]>,
    /// When it was changed.
    pub modified: SystemTime,
    /// Permission bits.
    pub mode: u32,
    /// Whether reading it fails with "permission denied".
    pub unreadable: bool,
}

impl SimulatedFile {
    /// A readable file with mode 0644.
    #[must_use]
    pub fn new(content: impl Into<Vec<u8>>, modified: SystemTime) -> Self {
        Self {
            content: content.into().into(),
            modified,
            mode: 0o644,
            unreadable: false,
        }
    }

    /// SHA-256 of the content, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.content))
    }
}

/// A lock in a simulated repository.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimulatedLock {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Process id of the holder.
    pub pid: u32,
    /// Host of the holder.
    pub host: String,
    /// When it was made.
    pub created: SystemTime,
    /// Whether it excludes everybody else.
    pub exclusive: bool,
    /// Whether its process is gone.
    pub holder_gone: bool,
}

/// A simulated snapshot.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct StoredSnapshot {
    pub(super) id: String,
    pub(super) time: Timestamp,
    pub(super) host: String,
    pub(super) paths: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) parent: Option<String>,
    pub(super) original: Option<String>,
    pub(super) files: BTreeMap<String, SimulatedFile>,
    pub(super) counts: [u64; 10],
}

/// A simulated repository.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct StoredRepository {
    pub(super) id: String,
    pub(super) password: [u8; 32],
    pub(super) chunker: String,
    pub(super) snapshots: Vec<StoredSnapshot>,
    pub(super) locks: Vec<SimulatedLock>,
    /// Hashes of contents whose stored copy was damaged.
    pub(super) damaged: Vec<String>,
}

/// What a command does when its time has come.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) enum Effect {
    Nothing,
    AddSnapshot(Box<StoredSnapshot>),
    Replace(Vec<StoredSnapshot>),
    WriteFiles(Vec<(PathBuf, SimulatedFile)>),
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Operation {
    pub(super) pid: u32,
    pub(super) repository: String,
    pub(super) ends: SystemTime,
    pub(super) lock: Option<String>,
    pub(super) effect: Effect,
}

/// A command that is about to be simulated.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestInfo {
    /// `backup`, `key list`, …
    pub command: String,
    /// All arguments. Secrets are never among them.
    pub args: Vec<String>,
    /// Address of the repository.
    pub repository: String,
    /// How many commands came before it.
    pub number: usize,
}

/// What goes wrong with a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The storage cannot be reached; nothing is done.
    Unreachable,
    /// All of it is done, then the process is killed before it says so; its lock stays.
    KilledAfter,
    /// The process is killed half way; nothing is done and its lock stays.
    KilledBefore,
    /// It ends with this code and sentence; nothing is done.
    #[non_exhaustive]
    Fail {
        /// The exit code.
        code: i32,
        /// The sentence.
        message: String,
    },
    /// It takes longer.
    Delay(Duration),
    /// Only so many bytes of standard output arrive.
    CutOutput(usize),
}

impl Fault {
    /// Ends with a code and a sentence; nothing is done.
    #[must_use]
    pub fn fail(code: i32, message: impl Into<String>) -> Self {
        Self::Fail {
            code,
            message: message.into(),
        }
    }
}

/// A command that was simulated.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Journal {
    /// When it started.
    pub at: SystemTime,
    /// What was asked.
    pub request: RequestInfo,
    /// The exit code that it ends with, unless it is stopped.
    pub exit: i32,
}

/// The state of the simulated restic: plain data, without clocks, locks, tasks or timers.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct World {
    /// The version that it says it is.
    pub version: Version,
    /// Host name of the simulated machine.
    pub hostname: String,
    /// How long commands take.
    pub pace: Pace,
    /// Files of the simulated machine: sources of backups and targets of restores.
    pub files: BTreeMap<PathBuf, SimulatedFile>,
    /// Every command so far.
    pub journal: Vec<Journal>,
    pub(super) repositories: BTreeMap<String, StoredRepository>,
    pub(super) running: Vec<Operation>,
    pub(super) counter: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            version: Version::new(0, 18, 1),
            hostname: "simulated".to_owned(),
            pace: Pace::INSTANT,
            files: BTreeMap::new(),
            journal: Vec::new(),
            repositories: BTreeMap::new(),
            running: Vec::new(),
            counter: 0,
        }
    }
}

impl World {
    /// Puts a file on the simulated machine.
    pub fn write_file(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        self.counter += 1;
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.counter);
        self.files
            .insert(path.into(), SimulatedFile::new(content, modified));
    }

    /// The bytes of a file of the simulated machine.
    #[must_use]
    pub fn read_file(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        self.files.get(path.as_ref()).map(|file| &*file.content)
    }

    /// Whether a file or a folder with files is there.
    #[must_use]
    pub fn path_exists(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        self.files.keys().any(|file| file.starts_with(path))
    }

    /// Addresses of the repositories, in restic's notation.
    pub fn repositories(&self) -> impl Iterator<Item = &str> {
        self.repositories.keys().map(String::as_str)
    }

    /// Ids of the snapshots of a repository, oldest first.
    #[must_use]
    pub fn snapshot_ids(&self, repository: &str) -> Vec<String> {
        self.repositories
            .get(repository)
            .map(|r| r.snapshots.iter().map(|s| s.id.clone()).collect())
            .unwrap_or_default()
    }

    /// Files of a snapshot by path.
    #[must_use]
    pub fn snapshot_files(&self, repository: &str, id: &str) -> BTreeMap<String, SimulatedFile> {
        self.repositories
            .get(repository)
            .and_then(|r| r.snapshots.iter().find(|s| s.id.starts_with(id)))
            .map(|s| s.files.clone())
            .unwrap_or_default()
    }

    /// Locks of a repository.
    #[must_use]
    pub fn locks(&self, repository: &str) -> &[SimulatedLock] {
        self.repositories.get(repository).map_or(&[], |r| &r.locks)
    }

    /// Puts a lock of somebody else into a repository.
    pub fn add_lock(&mut self, repository: &str, host: &str, pid: u32, created: SystemTime) {
        let id = self.fresh_id("lock");
        if let Some(r) = self.repositories.get_mut(repository) {
            r.locks.push(SimulatedLock {
                id,
                pid,
                host: host.to_owned(),
                created,
                exclusive: true,
                holder_gone: false,
            });
        }
    }

    /// Damages the stored copy of a file of a snapshot; says whether there was one. Checks that read data, restores and
    /// dumps of this content fail from now on.
    pub fn damage(&mut self, repository: &str, snapshot: &str, path: &str) -> bool {
        let Some(r) = self.repositories.get_mut(repository) else {
            return false;
        };
        let hash = r
            .snapshots
            .iter()
            .find(|s| s.id.starts_with(snapshot))
            .and_then(|s| s.files.get(path))
            .map(SimulatedFile::sha256);
        match hash {
            Some(hash) => {
                r.damaged.push(hash);
                true
            }
            None => false,
        }
    }

    /// A folder that nothing else is in.
    pub(crate) fn scratch(&mut self, parent: &Path) -> PathBuf {
        self.counter += 1;
        parent.join(format!("restic-drill-{}", self.counter))
    }

    pub(super) fn next_pid(&mut self) -> u32 {
        self.counter += 1;
        u32::try_from(self.counter % 30_000).unwrap_or(0) + 1000
    }

    /// A name that nothing else has and that a second run of the same story gives again.
    pub(super) fn fresh_id(&mut self, what: &str) -> String {
        self.counter += 1;
        hex(&Sha256::digest(format!("{what} {}", self.counter)))
    }

    /// Lets everything happen that should have happened until now.
    pub(super) fn settle(&mut self, now: SystemTime) {
        while let Some(at) = self
            .running
            .iter()
            .enumerate()
            .filter(|(_, operation)| operation.ends <= now)
            .min_by_key(|(_, operation)| operation.ends)
            .map(|(at, _)| at)
        {
            let operation = self.running.remove(at);
            self.unlock(&operation);
            self.perform(operation);
        }
    }

    fn perform(&mut self, operation: Operation) {
        match operation.effect {
            Effect::Nothing => {}
            Effect::AddSnapshot(snapshot) => {
                if let Some(r) = self.repositories.get_mut(&operation.repository) {
                    r.snapshots.push(*snapshot);
                    r.snapshots.sort_by_key(|snapshot| snapshot.time);
                }
            }
            Effect::Replace(snapshots) => {
                if let Some(r) = self.repositories.get_mut(&operation.repository) {
                    r.snapshots = snapshots;
                }
            }
            Effect::WriteFiles(files) => self.files.extend(files),
        }
    }

    fn unlock(&mut self, operation: &Operation) {
        if let Some(r) = self.repositories.get_mut(&operation.repository)
            && let Some(lock) = &operation.lock
        {
            r.locks.retain(|held| held.id != *lock);
        }
    }

    /// Stops a running command. Returns whether it was running.
    pub(super) fn interrupt(&mut self, pid: u32, hard: bool) -> bool {
        let Some(at) = self
            .running
            .iter()
            .position(|operation| operation.pid == pid)
        else {
            return false;
        };
        let operation = self.running.remove(at);
        if hard {
            if let Some(r) = self.repositories.get_mut(&operation.repository) {
                for lock in r
                    .locks
                    .iter_mut()
                    .filter(|lock| Some(&lock.id) == operation.lock.as_ref())
                {
                    lock.holder_gone = true;
                }
            }
        } else {
            self.unlock(&operation);
        }
        true
    }

    pub(super) fn begin(&mut self, now: SystemTime, pid: u32, repository: &str, script: &Script) {
        let lock = script.lock.map(|exclusive| {
            let id = self.fresh_id("lock");
            let host = self.hostname.clone();
            if let Some(r) = self.repositories.get_mut(repository) {
                r.locks.push(SimulatedLock {
                    id: id.clone(),
                    pid,
                    host,
                    created: now,
                    exclusive,
                    holder_gone: false,
                });
            }
            id
        });
        self.running.push(Operation {
            pid,
            repository: repository.to_owned(),
            ends: now + script.duration,
            lock,
            effect: script.effect.clone(),
        });
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
