//! Results as Prometheus text, for the text file collector or a push gateway.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::drill::DrillReport;
use super::health::Health;
use crate::commands::BackupReport;
use crate::error::Result;
use crate::retention::GroupBy;
use crate::snapshot::Snapshot;
use crate::timestamp::Timestamp;

/// Collects figures and prints them in Prometheus' text format. A failure is a figure too: a metric that only stands for
/// success would stay green after the last good run.
///
/// ```
/// use restic_wrapper::proof::Metrics;
///
/// let mut metrics = Metrics::new("home");
/// metrics.check(&Ok::<(), restic_wrapper::Error>(()), "2026-11-20T12:00:00Z".parse()?);
/// assert!(metrics.to_string().contains("restic_check_success{repository=\"home\"} 1\n"));
/// # Ok::<(), restic_wrapper::ParseTimestampError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Metrics {
    repository: String,
    families: BTreeMap<&'static str, Family>,
}

#[derive(Debug, Clone)]
struct Family {
    help: &'static str,
    samples: Vec<(String, f64)>,
}

impl Metrics {
    /// For a repository with this name, which becomes a label.
    #[must_use]
    pub fn new(repository: impl Into<String>) -> Self {
        Self {
            repository: repository.into(),
            families: BTreeMap::new(),
        }
    }

    fn put(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        let mut text = format!("repository=\"{}\"", escape(&self.repository));
        for (label, value) in labels {
            let _ = write!(text, ",{label}=\"{}\"", escape(value));
        }
        let family = self.families.entry(name).or_insert_with(|| Family {
            help,
            samples: Vec::new(),
        });
        family.samples.retain(|(labels, _)| *labels != text);
        family.samples.push((text, value));
    }

    /// A backup that was made or that failed, at this time.
    #[allow(clippy::cast_precision_loss, reason = "Prometheus knows no integers")]
    pub fn backup(&mut self, result: &Result<BackupReport>, at: Timestamp) {
        let success = result.as_ref().is_ok_and(|report| !report.partial);
        self.put(
            "restic_backup_success",
            "Whether the last backup was complete.",
            &[],
            f64::from(u8::from(success)),
        );
        self.put(
            "restic_backup_attempt_timestamp_seconds",
            "When the last backup was tried.",
            &[],
            at.unix_seconds() as f64,
        );
        if let Ok(report) = result {
            let counts = &report.summary.counts;
            let figures = [
                (
                    "restic_backup_duration_seconds",
                    "How long the last backup took.",
                    report.summary.total_duration,
                ),
                (
                    "restic_backup_bytes_processed",
                    "Bytes that the last backup read.",
                    counts.total_bytes_processed as f64,
                ),
                (
                    "restic_backup_bytes_added",
                    "Bytes that the last backup added before compression.",
                    counts.data_added as f64,
                ),
                (
                    "restic_backup_unreadable_files",
                    "Files that the last backup could not read.",
                    report.error_count as f64,
                ),
            ];
            for (name, help, value) in figures {
                self.put(name, help, &[], value);
            }
        }
    }

    /// A check that was made or that failed, at this time.
    #[allow(clippy::cast_precision_loss, reason = "Prometheus knows no integers")]
    pub fn check<T>(&mut self, result: &Result<T>, at: Timestamp) {
        self.put(
            "restic_check_success",
            "Whether the last check found no damage.",
            &[],
            f64::from(u8::from(result.is_ok())),
        );
        self.put(
            "restic_check_timestamp_seconds",
            "When the last check was made.",
            &[],
            at.unix_seconds() as f64,
        );
    }

    /// A drill that was held.
    #[allow(clippy::cast_precision_loss, reason = "Prometheus knows no integers")]
    pub fn drill(&mut self, report: &DrillReport, at: Timestamp) {
        let figures = [
            (
                "restic_drill_success",
                "Whether every file of the last drill came back.",
                f64::from(u8::from(report.is_good())),
            ),
            (
                "restic_drill_files",
                "Files that the last drill tried to restore.",
                report.entries.len() as f64,
            ),
            (
                "restic_drill_failures",
                "Files that did not come back in the last drill.",
                report.failures().count() as f64,
            ),
            (
                "restic_drill_bytes",
                "Bytes that the last drill restored.",
                report.bytes as f64,
            ),
            (
                "restic_drill_timestamp_seconds",
                "When the last drill was held.",
                at.unix_seconds() as f64,
            ),
        ];
        for (name, help, value) in figures {
            self.put(name, help, &[], value);
        }
    }

    /// The snapshots of the repository, by host.
    #[allow(clippy::cast_precision_loss, reason = "Prometheus knows no integers")]
    pub fn snapshots(&mut self, snapshots: &[Snapshot]) {
        let mut hosts: BTreeMap<String, (u64, Option<Timestamp>)> = BTreeMap::new();
        for snapshot in snapshots {
            let host = hosts
                .entry(GroupBy::HOST.key(snapshot).hostname)
                .or_default();
            host.0 += 1;
            host.1 = host.1.max(Some(snapshot.time));
        }
        for (host, (count, newest)) in hosts {
            self.put(
                "restic_snapshots",
                "How many snapshots there are.",
                &[("host", &host)],
                count as f64,
            );
            if let Some(newest) = newest {
                self.put(
                    "restic_snapshot_timestamp_seconds",
                    "When the newest snapshot was made.",
                    &[("host", &host)],
                    newest.unix_seconds() as f64,
                );
            }
        }
    }

    /// What a look at the snapshots found.
    #[allow(clippy::cast_precision_loss, reason = "Prometheus knows no integers")]
    pub fn health(&mut self, health: &Health) {
        self.put(
            "restic_health_findings",
            "How many things are not as they should be.",
            &[],
            health.findings.len() as f64,
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, family) in &self.families {
            writeln!(f, "# HELP {name} {}", family.help)?;
            writeln!(f, "# TYPE {name} gauge")?;
            for (labels, value) in &family.samples {
                writeln!(f, "{name}{{{labels}}} {value}")?;
            }
        }
        Ok(())
    }
}
