//! The events of a run, with a versioned form for programs.

use serde::Serialize;

/// The version of the JSON form of events; raised when a field changes its meaning.
pub const EVENT_SCHEMA_VERSION: u32 = 1;

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// The world is different now.
    Changed,
    /// The world was already as wanted.
    Unchanged,
}

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A run begins.
    #[non_exhaustive]
    Began {
        /// The verb of the command line.
        verb: String,
        /// The name of the cluster.
        cluster: String,
        /// The lab or the real systems.
        target: String,
    },
    /// The steps of the run are known.
    #[non_exhaustive]
    Planned {
        /// How many steps will be taken.
        steps: usize,
    },
    /// A step begins.
    #[non_exhaustive]
    StepBegan {
        /// The step.
        step: String,
        /// What it is for.
        title: String,
    },
    /// A step does something that takes a moment.
    #[non_exhaustive]
    Doing {
        /// The step.
        step: String,
        /// What it does.
        what: String,
    },
    /// A step waits.
    #[non_exhaustive]
    Waiting {
        /// The step.
        step: String,
        /// What it waits for.
        what: String,
        /// What it last saw.
        last_seen: String,
    },
    /// A step failed and is tried again.
    #[non_exhaustive]
    Retrying {
        /// The step.
        step: String,
        /// Which try failed, from 1.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// A step ended well.
    #[non_exhaustive]
    StepDone {
        /// The step.
        step: String,
        /// What it came to.
        outcome: Outcome,
    },
    /// A step failed for good.
    #[non_exhaustive]
    StepFailed {
        /// The step.
        step: String,
        /// Why.
        reason: String,
        /// What the operator can do.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The evidence of one check.
    #[non_exhaustive]
    Checked {
        /// The check.
        check: String,
        /// Whether it held.
        passed: bool,
        /// What was seen.
        evidence: String,
    },
    /// The run ended.
    #[non_exhaustive]
    Ended {
        /// Whether it ended well.
        success: bool,
        /// One line for a person.
        summary: String,
    },
}

impl Event {
    /// A run begins.
    pub fn began(verb: &str, cluster: &str, target: &str) -> Self {
        Self::Began {
            verb: verb.to_owned(),
            cluster: cluster.to_owned(),
            target: target.to_owned(),
        }
    }

    /// The evidence of one check.
    pub fn checked(check: &str, passed: bool, evidence: impl Into<String>) -> Self {
        Self::Checked {
            check: check.to_owned(),
            passed,
            evidence: evidence.into(),
        }
    }

    /// The run ended.
    pub fn ended(success: bool, summary: impl Into<String>) -> Self {
        Self::Ended {
            success,
            summary: summary.into(),
        }
    }

    /// One line for a log, without a time.
    pub fn line(&self) -> String {
        match self {
            Self::Began {
                verb,
                cluster,
                target,
            } => format!("{verb} {cluster} on {target}"),
            Self::Planned { steps } => format!("{steps} steps to take"),
            Self::StepBegan { step, title } => format!("{step}: {title}"),
            Self::Doing { step, what } => format!("{step}: {what}"),
            Self::Waiting {
                step,
                what,
                last_seen,
            } => {
                format!("{step}: waiting for {what}; last seen: {last_seen}")
            }
            Self::Retrying {
                step,
                attempt,
                reason,
            } => {
                format!("{step}: try {attempt} failed, trying again: {reason}")
            }
            Self::StepDone {
                step,
                outcome: Outcome::Changed,
            } => format!("{step}: done"),
            Self::StepDone {
                step,
                outcome: Outcome::Unchanged,
            } => {
                format!("{step}: was already done")
            }
            Self::StepFailed {
                step,
                reason,
                hint: None,
            } => format!("{step}: FAILED: {reason}"),
            Self::StepFailed {
                step,
                reason,
                hint: Some(hint),
            } => {
                format!("{step}: FAILED: {reason} (help: {hint})")
            }
            Self::Checked {
                check,
                passed,
                evidence,
            } => {
                format!(
                    "{} {check}: {evidence}",
                    if *passed { "ok  " } else { "FAIL" }
                )
            }
            Self::Ended { summary, .. } => summary.clone(),
        }
    }
}
