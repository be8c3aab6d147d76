//! Events for a terminal: a line for every running step, what is done scrolls above.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Event, Sink};

/// Shows one spinner for every step that runs.
#[derive(Debug)]
pub struct Bars {
    screen: MultiProgress,
    running: BTreeMap<String, ProgressBar>,
    total: Option<ProgressBar>,
}

impl Bars {
    /// Draws on standard error.
    pub fn new() -> Self {
        Self {
            screen: MultiProgress::new(),
            running: BTreeMap::new(),
            total: None,
        }
    }

    fn style(template: &str) -> ProgressStyle {
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
    }

    fn say(&self, step: &str, text: String) {
        if let Some(bar) = self.running.get(step) {
            bar.set_message(text);
        }
    }

    fn end(&mut self, step: &str) {
        if let Some(bar) = self.running.remove(step) {
            bar.finish_and_clear();
        }
        if let Some(total) = &self.total {
            total.inc(1);
        }
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Bars {
    fn show(&mut self, event: &Event) {
        match event {
            Event::Planned { steps } => {
                let bar = self.screen.add(ProgressBar::new(*steps as u64));
                bar.set_style(Self::style("{bar:30} {pos}/{len} steps, {elapsed}"));
                self.total = Some(bar);
            }
            Event::StepBegan { step, title } => {
                let bar = ProgressBar::new_spinner();
                let bar = match &self.total {
                    Some(total) => self.screen.insert_before(total, bar),
                    None => self.screen.add(bar),
                };
                bar.set_style(Self::style("{spinner} {prefix}: {wide_msg} {elapsed}"));
                bar.set_prefix(step.clone());
                bar.set_message(title.clone());
                bar.enable_steady_tick(Duration::from_millis(120));
                self.running.insert(step.clone(), bar);
            }
            Event::Doing { step, what } => self.say(step, what.clone()),
            Event::Waiting {
                step,
                what,
                last_seen,
            } => {
                self.say(step, format!("waiting for {what}; last seen: {last_seen}"));
            }
            Event::StepDone { step, .. } | Event::StepFailed { step, .. } => {
                self.end(step);
                let _ = self.screen.println(event.line());
            }
            Event::Ended { .. } => {
                if let Some(total) = self.total.take() {
                    total.finish_and_clear();
                }
                let _ = self.screen.println(event.line());
            }
            Event::Began { .. } | Event::Retrying { .. } | Event::Checked { .. } => {
                let _ = self.screen.println(event.line());
            }
        }
    }
}
