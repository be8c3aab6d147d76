//! Facts from restic's plain text, for the versions and commands that print no JSON.

use std::collections::BTreeMap;

use serde_json::Map;

use crate::event::Progress;
use crate::report::{Initialized, PruneSummary};

/// Removes terminal escapes (`ESC [ … letter`), carriage returns and trailing spaces.
pub(crate) fn strip_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                let mut rest = chars.clone();
                if rest.next() == Some('[') {
                    chars = rest;
                    for c in chars.by_ref() {
                        if c.is_ascii_alphabetic() {
                            break;
                        }
                    }
                }
            }
            '\r' => {}
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// `[0:07] 28.57%  2 / 7 packs processed`.
pub(crate) fn progress(line: &str) -> Option<Progress> {
    let (clock, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let mut elapsed = 0_u64;
    for part in clock.split(':') {
        elapsed = elapsed.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    let (percent, rest) = rest.trim_start().split_once('%')?;
    let percent: f64 = percent.parse().ok()?;
    let (done, rest) = rest.trim_start().split_once(" / ")?;
    let (total, unit) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(Progress {
        fraction: percent / 100.0,
        seconds_elapsed: Some(elapsed),
        files_done: Some(done.trim().parse().ok()?),
        total_files: Some(total.trim().parse().ok()?),
        unit: Some(unit.trim().to_owned()).filter(|unit| !unit.is_empty()),
        ..Progress::default()
    })
}

/// `created restic repository 96ead47fad at /data/repo` (before 0.15).
pub(crate) fn initialized(line: &str) -> Option<Initialized> {
    let (id, repository) = line
        .strip_prefix("created restic repository ")?
        .split_once(" at ")?;
    Some(Initialized {
        message_type: String::new(),
        id: id.to_owned(),
        repository: repository.to_owned(),
        extra: Map::new(),
    })
}

/// A size as restic prints it to people: `124.633 KiB`, `0 B`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: f64 = number.parse().ok()?;
    let power = match unit.trim() {
        "B" => 0,
        "KiB" => 1,
        "MiB" => 2,
        "GiB" => 3,
        "TiB" => 4,
        "PiB" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(power);
    if !(0.0..18e18).contains(&bytes) {
        return None;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    Some(bytes.round() as u64)
}

/// The table that `prune` and `forget --prune` print up to 0.19.1.
#[derive(Debug, Default)]
pub(crate) struct PruneTable {
    blobs: BTreeMap<String, u64>,
    bytes: BTreeMap<String, u64>,
    seen: bool,
}

impl PruneTable {
    /// Takes a line of the table; says whether it was one.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        let Some((label, rest)) = line.split_once(':') else {
            return false;
        };
        let key = match label.trim() {
            "used" => "used",
            "duplicates" => "duplicate",
            "unused" => "unused",
            "total" => "total",
            "to repack" => "repack",
            "this removes" => "repack_remove",
            "to delete" => "remove",
            "total prune" => "remove_total",
            "remaining" => "remaining",
            "unused size after prune" => {
                let text = rest.split('(').next().unwrap_or(rest);
                if let Some(bytes) = size(text) {
                    self.bytes.insert("remaining_unused".to_owned(), bytes);
                    self.seen = true;
                    return true;
                }
                return false;
            }
            _ => return false,
        };
        let Some((blobs, bytes)) = rest.split_once(" blobs / ") else {
            return false;
        };
        let (Ok(blobs), Some(bytes)) = (blobs.trim().parse(), size(bytes)) else {
            return false;
        };
        self.blobs.insert(key.to_owned(), blobs);
        self.bytes.insert(key.to_owned(), bytes);
        self.seen = true;
        true
    }

    pub(crate) fn finish(self) -> Option<PruneSummary> {
        self.seen.then(|| PruneSummary {
            blobs: self.blobs,
            bytes: self.bytes,
            ..PruneSummary::default()
        })
    }
}

/// `snapshot 2cda0c01 saved, copied from source snapshot 415d798a` (0.16 and newer), or `snapshot b6a76220 saved`.
pub(crate) fn copied(line: &str) -> Option<(String, Option<String>)> {
    let rest = line.strip_prefix("snapshot ")?;
    let (new, tail) = rest.split_once(" saved")?;
    let from = tail
        .strip_prefix(", copied from source snapshot ")
        .map(|id| id.trim().to_owned());
    new.bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| (new.to_owned(), from))
}

/// `saved new snapshot 7a5b9236`.
pub(crate) fn saved_new(line: &str) -> Option<&str> {
    let id = line.trim().strip_prefix("saved new snapshot ")?;
    let id = id.split_whitespace().next()?;
    id.bytes().all(|b| b.is_ascii_hexdigit()).then_some(id)
}

/// `successfully removed 2 locks`.
pub(crate) fn removed_locks(line: &str) -> Option<u64> {
    line.strip_prefix("successfully removed ")?
        .strip_suffix(" locks")?
        .trim()
        .parse()
        .ok()
}
