//! The walk through the graph.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{FuturesUnordered, StreamExt};

use super::retry::persistently;
use crate::failure::Failure;
use crate::pace::Pace;
use crate::plan::{Plan, Step, StepId};
use crate::progress::{Event, Events, Outcome, Reporter};

/// Takes one step. Looks at the world first, so that taking a step twice is the same as taking it once.
pub trait Actor {
    /// Takes the step.
    fn take(
        &self,
        step: &Step,
        reporter: &Reporter,
    ) -> impl Future<Output = Result<Outcome, Failure>>;
}

/// How much happens at once and how often a step is tried.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// Steps that run side by side.
    pub at_once: usize,
    /// Tries of each step.
    pub tries: u32,
}

impl Limits {
    /// The limits with another number of steps side by side; at least one.
    #[must_use]
    pub fn at_once(self, steps: usize) -> Self {
        Self {
            at_once: steps.max(1),
            ..self
        }
    }
}

impl Default for Limits {
    /// Four steps side by side, six tries each.
    fn default() -> Self {
        Self {
            at_once: 4,
            tries: 6,
        }
    }
}

/// Asks a walk to begin no further step.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks for the stop; steps in flight are finished.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the stop was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A walk that reached its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Steps that changed the world.
    pub changed: usize,
    /// Steps that found the world as wanted.
    pub unchanged: usize,
}

/// A walk that did not reach its end. Running the program again goes on from here.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stopped {
    /// What was done before.
    pub applied: Applied,
    /// The steps that failed, with why; empty when the walk was interrupted.
    pub failures: Vec<(StepId, Failure)>,
    /// The steps that were not begun.
    pub not_begun: Vec<StepId>,
}

/// Takes all steps of a plan.
///
/// # Errors
///
/// The steps that failed and those that were not begun because of it or because of an interrupt.
pub async fn apply(
    plan: &Plan,
    actor: &impl Actor,
    events: &Events,
    pace: Pace,
    limits: Limits,
    interrupt: &Interrupt,
) -> Result<Applied, Stopped> {
    events.show(Event::Planned {
        steps: plan.steps().len(),
    });
    let mut waiting: BTreeMap<&StepId, BTreeSet<&StepId>> = plan
        .steps()
        .iter()
        .map(|step| (&step.id, step.needs.iter().collect()))
        .collect();
    let dependants = plan.dependants();
    let mut running = FuturesUnordered::new();
    let mut applied = Applied::default();
    let mut failures = Vec::new();
    loop {
        let may_begin = failures.is_empty() && !interrupt.is_requested();
        while may_begin && running.len() < limits.at_once {
            let Some(step) = plan
                .steps()
                .iter()
                .find(|step| waiting.get(&step.id).is_some_and(BTreeSet::is_empty))
            else {
                break;
            };
            waiting.remove(&step.id);
            running.push(async move {
                (
                    &step.id,
                    take(step, actor, events, pace, limits.tries).await,
                )
            });
        }
        let Some((id, result)) = running.next().await else {
            break;
        };
        match result {
            Ok(outcome) => {
                match outcome {
                    Outcome::Changed => applied.changed += 1,
                    Outcome::Unchanged => applied.unchanged += 1,
                }
                for dependant in dependants.get(id).into_iter().flatten() {
                    if let Some(needs) = waiting.get_mut(*dependant) {
                        needs.remove(id);
                    }
                }
            }
            Err(failure) => failures.push((id.clone(), failure)),
        }
    }
    if failures.is_empty() && waiting.is_empty() {
        return Ok(applied);
    }
    Err(Stopped {
        applied,
        failures,
        not_begun: waiting.into_keys().cloned().collect(),
    })
}

async fn take(
    step: &Step,
    actor: &impl Actor,
    events: &Events,
    pace: Pace,
    tries: u32,
) -> Result<Outcome, Failure> {
    let name = step.id.as_str();
    let reporter = events.reporter(name);
    events.show(Event::StepBegan {
        step: name.to_owned(),
        title: step.title.clone(),
    });
    let taken = persistently(name, tries, events, pace, || actor.take(step, &reporter)).await;
    events.show(match &taken {
        Ok(outcome) => Event::StepDone {
            step: name.to_owned(),
            outcome: *outcome,
        },
        Err(failure) => Event::StepFailed {
            step: name.to_owned(),
            reason: failure.story(),
            hint: failure.remedy().map(str::to_owned),
        },
    });
    taken
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::plan::{Action, Change};

    #[derive(Default)]
    struct Scripted {
        taken: RefCell<Vec<String>>,
        failing: BTreeMap<&'static str, (u32, bool)>,
    }

    impl Actor for Scripted {
        async fn take(&self, step: &Step, _: &Reporter) -> Result<Outcome, Failure> {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let id = step.id.as_str();
            let times = self
                .taken
                .borrow()
                .iter()
                .filter(|taken| *taken == id)
                .count();
            self.taken.borrow_mut().push(id.to_owned());
            match self.failing.get(id) {
                Some((failures, true)) if times < *failures as usize => {
                    Err(Failure::transient(id, "answer lost"))
                }
                Some((_, false)) => Err(Failure::permanent(id, "no permission")),
                _ => Ok(Outcome::Changed),
            }
        }
    }

    fn plan() -> Plan {
        let step = |name: &str, needs: &[&str]| {
            Step::new(
                StepId::new("s", name),
                Change::Create,
                name,
                Action::AwaitNodes,
            )
            .after(needs.iter().map(|need| StepId::new("s", need)))
        };
        let steps = vec![
            step("a", &[]),
            step("b", &[]),
            step("c", &["a", "b"]),
            step("d", &["c"]),
        ];
        Plan::new("test", steps, 0).unwrap()
    }

    async fn run(actor: &Scripted, interrupt: &Interrupt) -> Result<Applied, Stopped> {
        let limits = Limits::default();
        apply(
            &plan(),
            actor,
            &Events::silent(),
            Pace::REAL,
            limits,
            interrupt,
        )
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn independent_steps_run_side_by_side_and_dependent_ones_after() {
        let actor = Scripted::default();
        let started = tokio::time::Instant::now();
        let applied = run(&actor, &Interrupt::default()).await.unwrap();
        assert_eq!(applied.changed, 4);
        assert_eq!(*actor.taken.borrow(), ["s/a", "s/b", "s/c", "s/d"]);
        assert_eq!(started.elapsed().as_secs(), 3, "a and b in one second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_failure_is_tried_again() {
        let actor = Scripted {
            failing: [("s/b", (2, true))].into(),
            ..Scripted::default()
        };
        assert_eq!(run(&actor, &Interrupt::default()).await.unwrap().changed, 4);
        assert_eq!(
            actor
                .taken
                .borrow()
                .iter()
                .filter(|id| *id == "s/b")
                .count(),
            3
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_lasting_failure_names_what_was_not_begun() {
        let actor = Scripted {
            failing: [("s/b", (1, false))].into(),
            ..Scripted::default()
        };
        let stopped = run(&actor, &Interrupt::default()).await.unwrap_err();
        assert_eq!(stopped.applied.changed, 1);
        assert_eq!(stopped.failures[0].0, StepId::new("s", "b"));
        assert_eq!(
            stopped.not_begun,
            [StepId::new("s", "c"), StepId::new("s", "d")]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupt_begins_nothing_more() {
        let interrupt = Interrupt::default();
        interrupt.request();
        let stopped = run(&Scripted::default(), &interrupt).await.unwrap_err();
        assert!(stopped.failures.is_empty());
        assert_eq!(stopped.not_begun.len(), 4);
    }
}
