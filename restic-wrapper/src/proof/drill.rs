//! Restore drills: a random sample is restored to a scratch folder and compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use super::sample::{Candidate, Sampler};
use crate::error::{Error, ErrorKind, Result};
use crate::repository::Repository;
use crate::restic::FileFacts;
use crate::timestamp::Timestamp;

/// What restored files are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reference {
    /// With the files that were backed up, where they still have the size and time of the backup.
    #[default]
    Sources,
    /// With SHA-256 hashes (hexadecimal) that the caller kept, by path.
    Hashes(BTreeMap<String, String>),
    /// With size alone. restic itself verifies every blob against its id.
    Nothing,
}

/// A drill to be held. See [`Repository::drill`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drill {
    /// The snapshot: an id, its first digits or `latest`.
    pub snapshot: String,
    /// How many files at most.
    pub files: usize,
    /// How many bytes at most.
    pub bytes: u64,
    /// The same seed draws the same sample of the same snapshot.
    pub seed: u64,
    /// What restored files are compared with.
    pub reference: Reference,
    /// Where the scratch folder is made (mode 0700, removed afterwards).
    pub scratch: PathBuf,
    /// The present, which ages of files are counted from.
    pub now: SystemTime,
}

impl Drill {
    /// A drill of 20 files and 256 MiB at most, of the latest snapshot, against the sources.
    #[must_use]
    pub fn new(scratch: impl Into<PathBuf>, seed: u64, now: SystemTime) -> Self {
        Self {
            snapshot: "latest".to_owned(),
            files: 20,
            bytes: 256 << 20,
            seed,
            reference: Reference::Sources,
            scratch: scratch.into(),
            now,
        }
    }

    /// Another snapshot.
    #[must_use]
    pub fn snapshot(mut self, snapshot: impl Into<String>) -> Self {
        self.snapshot = snapshot.into();
        self
    }

    /// At most so many files and bytes.
    #[must_use]
    pub fn at_most(mut self, files: usize, bytes: u64) -> Self {
        (self.files, self.bytes) = (files, bytes);
        self
    }

    /// What restored files are compared with.
    #[must_use]
    pub fn against(mut self, reference: Reference) -> Self {
        self.reference = reference;
        self
    }
}

/// What became of one file of the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// It came back with the hash of its reference.
    Same,
    /// It came back whole; there is nothing to compare its hash with.
    Restored,
    /// It came back with another content than its reference.
    Different,
    /// It came back with another size than the snapshot says.
    WrongSize,
    /// It did not come back.
    Missing,
}

impl Verdict {
    /// Whether the file is safe.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Same | Self::Restored)
    }
}

/// One file of the sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DrillEntry {
    /// Path within the snapshot.
    pub path: String,
    /// Bytes, as the snapshot says.
    pub size: u64,
    /// What became of it.
    pub verdict: Verdict,
    /// SHA-256 of what came back, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What a drill found. Serialises to a JSON report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DrillReport {
    /// The snapshot's full id.
    pub snapshot: String,
    /// Files in the snapshot.
    pub files: u64,
    /// The sample, sorted by path.
    pub entries: Vec<DrillEntry>,
    /// Bytes that came back.
    pub bytes: u64,
    /// What restic complained about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub complaints: Vec<String>,
}

impl DrillReport {
    /// Whether every file of the sample is safe, and restic complained about none.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.complaints.is_empty() && self.entries.iter().all(|entry| entry.verdict.is_good())
    }

    /// The files that are not safe.
    pub fn failures(&self) -> impl Iterator<Item = &DrillEntry> {
        self.entries.iter().filter(|entry| !entry.verdict.is_good())
    }
}

impl Repository {
    /// Restores a random sample of a snapshot to a scratch folder and compares it. The sample has files of every class of
    /// size and age; the scratch folder is private and removed afterwards.
    ///
    /// Damage is no error of the drill: the report says which files did not come back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is no such snapshot, or no file in it that may be drawn; what can stop a
    /// repository from opening.
    pub async fn drill(&self, drill: &Drill) -> Result<DrillReport> {
        let now = Timestamp::from(drill.now);
        let sampler = Sampler::new(drill.seed, drill.files, drill.bytes, now);
        let sampler = Arc::new(Mutex::new(sampler));
        let offered = Arc::clone(&sampler);
        let listing = self
            .ls(&drill.snapshot)
            .for_each(move |node| {
                offered
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .offer(node);
            })?
            .await?;
        let sampler = Arc::try_unwrap(sampler)
            .map_err(|_| Error::new(ErrorKind::Io, "the listing still goes on"))?
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let sample = sampler.draw(drill.bytes);
        let snapshot = listing.snapshot.map(|it| it.id).unwrap_or_default();
        if sample.is_empty() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "snapshot {snapshot} has no file of at most {} bytes",
                    drill.bytes
                ),
            )
            .doing("restore drill"));
        }
        let scratch = self.restic().scratch(&drill.scratch)?;
        let mut restore = self.restore(&snapshot, scratch.path());
        for candidate in &sample {
            restore = restore.include(pattern(&candidate.path));
        }
        let complaints = match restore.await {
            Ok(report) => report
                .errors
                .iter()
                .map(|e| format!("{}: {}", e.item, e.reason()))
                .collect(),
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Failed) => {
                let mut complaints = error.details().to_vec();
                if complaints.is_empty() {
                    complaints.push(error.message().to_owned());
                }
                complaints
            }
            Err(error) => return Err(error),
        };
        let mut report = DrillReport {
            snapshot,
            files: listing.nodes,
            entries: Vec::new(),
            bytes: 0,
            complaints,
        };
        for candidate in sample {
            let entry = self.judge(drill, scratch.path(), candidate).await?;
            if entry.sha256.is_some() {
                report.bytes += entry.size;
            }
            report.entries.push(entry);
        }
        Ok(report)
    }

    async fn judge(
        &self,
        drill: &Drill,
        scratch: &Path,
        candidate: Candidate,
    ) -> Result<DrillEntry> {
        let Candidate {
            path,
            size,
            modified,
        } = candidate;
        let restored = scratch.join(path.trim_start_matches('/'));
        let facts = self.restic().file_facts(&restored).await?;
        let entry = |verdict, sha256| DrillEntry {
            path: path.clone(),
            size,
            verdict,
            sha256,
        };
        let Some(FileFacts {
            size: found,
            sha256,
            ..
        }) = facts
        else {
            return Ok(entry(Verdict::Missing, None));
        };
        if found != size {
            return Ok(entry(Verdict::WrongSize, Some(sha256)));
        }
        let expected = match &drill.reference {
            Reference::Nothing => None,
            Reference::Hashes(hashes) => hashes.get(&path).cloned(),
            Reference::Sources => self
                .restic()
                .file_facts(Path::new(&path))
                .await?
                // A file that changed since the backup says nothing about it.
                .filter(|source| {
                    source.size == size && Some(source.modified) == modified.map(same_clock)
                })
                .map(|source| source.sha256),
        };
        let verdict = match expected {
            None => Verdict::Restored,
            Some(expected) if expected.eq_ignore_ascii_case(&sha256) => Verdict::Same,
            Some(_) => Verdict::Different,
        };
        Ok(entry(verdict, Some(sha256)))
    }
}

/// The instant alone: two clocks with different offsets may mean the same.
fn same_clock(time: Timestamp) -> Timestamp {
    Timestamp::new(time.unix_seconds(), time.subsec_nanos(), 0)
}

/// A pattern that matches this path and nothing else, as far as a pattern can: bytes that restic replaced because they
/// are not UTF-8 match any sign.
fn pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '*' | '?' | '[' | ']' | '\\' => {
                pattern.push('\\');
                pattern.push(c);
            }
            '\u{fffd}' => pattern.push('?'),
            c => pattern.push(c),
        }
    }
    pattern
}
