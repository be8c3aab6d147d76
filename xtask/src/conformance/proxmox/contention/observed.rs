//! What came of a round: how often each answer and each end of a task was seen, and after which waits.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::rounds::{is_read_back, read_at_end};
use super::told::{template, told};

/// Waits in seconds by what they ended with, and the machines at the end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Observed {
    pub(super) waits: BTreeMap<String, Vec<f64>>,
    pub(super) remains: BTreeSet<u32>,
}

/// Least, middle and most of some waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) middle: f64,
    pub(super) most: f64,
}

impl Spread {
    pub(super) fn of(waits: &[f64]) -> Option<Self> {
        let mut sorted = waits.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            least: *sorted.first()?,
            middle: *sorted.get(sorted.len() / 2)?,
            most: *sorted.last()?,
        })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3}/{:.3}/{:.3}", self.least, self.middle, self.most)
    }
}

impl Observed {
    pub(super) fn push(&mut self, class: String, wait: f64) {
        self.waits.entry(class).or_default().push(wait);
    }

    pub(super) fn count(&self, class: &str) -> usize {
        self.waits.get(class).map_or(0, Vec::len)
    }

    pub(super) fn spread(&self, class: &str) -> Option<Spread> {
        Spread::of(self.waits.get(class)?)
    }

    /// What the recording tells. An answer that never came waited for nothing.
    pub(super) fn recorded(lines: &[&Value]) -> Self {
        let mut out = Self::default();
        // Tasks of other rounds may have been looked at too.
        let started: BTreeSet<&str> = lines
            .iter()
            .filter_map(|case| case["body"]["data"].as_str())
            .collect();
        for case in lines {
            let task = case["body"]["data"]["upid"].as_str();
            if !is_read_back(case) {
                let status = case["status"].as_u64().unwrap_or_default() as u16;
                let reason = case["reason"].as_str().unwrap_or_default();
                let wait = case["dt"].as_f64().unwrap_or_default();
                out.push(told(case, status, reason), wait);
            } else if let Some(end) = case["body"]["data"]["exitstatus"].as_str()
                && task.is_some_and(|upid| started.contains(upid))
            {
                let kind = case["body"]["data"]["type"].as_str().unwrap_or_default();
                let secs = case["task"]["secs"].as_f64().unwrap_or_default();
                out.push(format!("TASK {kind} {}", template(end)), secs);
            }
        }
        let there = read_at_end(lines).filter(|case| case["status"] == 200);
        out.remains = there.filter_map(machine_of).collect();
        out
    }

    /// `answers`: how often; `waits`: seconds, least, middle and most; `remains`: the machines.
    pub(super) fn print(&self) -> Value {
        let counts: Map<String, Value> = self
            .waits
            .iter()
            .map(|(class, waits)| (class.clone(), waits.len().into()))
            .collect();
        let round = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        let waits: Map<String, Value> = self
            .waits
            .iter()
            .filter_map(|(class, waits)| Some((class, Spread::of(waits)?)))
            .map(|(class, it)| {
                let three = [it.least, it.middle, it.most].map(round);
                (class.clone(), json!(three))
            })
            .collect();
        let remains: Vec<String> = self
            .remains
            .iter()
            .map(|vmid| format!("VM {vmid}"))
            .collect();
        json!({ "answers": counts, "remains": remains, "waits": waits })
    }
}

/// The machine that a read is about.
pub(super) fn machine_of(case: &Value) -> Option<u32> {
    case["path"].as_str()?.split('/').nth(4)?.parse().ok()
}
