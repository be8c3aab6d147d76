//! The steps of a plan and the order that they can be taken in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Change, Step, StepId};

/// Steps, each after everything that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    cluster: String,
    steps: Vec<Step>,
    unchanged: usize,
}

/// Why steps are not a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphProblem {
    /// Two steps have one name.
    #[error("step {0} is planned twice")]
    Twice(StepId),
    /// Steps wait for each other.
    #[error("these steps wait for each other: {}", .0.iter().map(StepId::as_str).collect::<Vec<_>>().join(", "))]
    Circle(Vec<StepId>),
}

/// How many things change in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tally {
    /// To be made.
    pub create: usize,
    /// To be changed.
    pub update: usize,
    /// To be removed.
    pub delete: usize,
}

impl Plan {
    /// Orders steps so that each comes after those that it needs; otherwise they keep their order.
    ///
    /// `unchanged` is the number of things that are as wanted already. A need that no step has is taken as met.
    ///
    /// # Errors
    ///
    /// Two steps of one name, or steps that wait for each other.
    pub fn new(cluster: &str, steps: Vec<Step>, unchanged: usize) -> Result<Self, GraphProblem> {
        let mut names = BTreeSet::new();
        for step in &steps {
            if !names.insert(step.id.clone()) {
                return Err(GraphProblem::Twice(step.id.clone()));
            }
        }
        let mut waiting: Vec<Step> = steps
            .into_iter()
            .map(|mut step| {
                step.needs.retain(|need| names.contains(need));
                step
            })
            .collect();
        let mut done = BTreeSet::new();
        let mut ordered = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let (ready, blocked): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|step| step.needs.iter().all(|need| done.contains(need)));
            if ready.is_empty() {
                return Err(GraphProblem::Circle(
                    blocked.into_iter().map(|step| step.id).collect(),
                ));
            }
            done.extend(ready.iter().map(|step| step.id.clone()));
            ordered.extend(ready);
            waiting = blocked;
        }
        Ok(Self {
            cluster: cluster.to_owned(),
            steps: ordered,
            unchanged,
        })
    }

    /// A plan of steps that do not depend on each other.
    pub(crate) fn independent(cluster: &str, mut steps: Vec<Step>) -> Self {
        for step in &mut steps {
            step.needs.clear();
        }
        Self {
            cluster: cluster.to_owned(),
            steps,
            unchanged: 0,
        }
    }

    /// The cluster that the plan is for.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The steps, each after those that it needs.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether the world is as wanted.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many things are as wanted already.
    pub fn unchanged(&self) -> usize {
        self.unchanged
    }

    /// How many things change in which way.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for step in &self.steps {
            match step.change {
                Change::Create => tally.create += 1,
                Change::Update => tally.update += 1,
                Change::Delete => tally.delete += 1,
            }
        }
        tally
    }

    /// The steps that wait for a step, by the step that they wait for.
    pub fn dependants(&self) -> BTreeMap<&StepId, Vec<&StepId>> {
        let mut dependants: BTreeMap<&StepId, Vec<&StepId>> = BTreeMap::new();
        for step in &self.steps {
            for need in &step.needs {
                dependants.entry(need).or_default().push(&step.id);
            }
        }
        dependants
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action;
    use super::*;

    fn step(name: &str, needs: &[&str]) -> Step {
        Step::new(
            StepId::new("vm", name),
            Change::Create,
            name,
            Action::AwaitNodes,
        )
        .after(needs.iter().map(|need| StepId::new("vm", need)))
    }

    #[test]
    fn steps_come_after_what_they_need() {
        let plan = Plan::new(
            "c",
            vec![step("c", &["b"]), step("b", &["a"]), step("a", &[])],
            0,
        )
        .unwrap();
        let order: Vec<_> = plan
            .steps()
            .iter()
            .map(|step| step.title.as_str())
            .collect();
        assert_eq!(order, ["a", "b", "c"]);
    }

    #[test]
    fn a_need_that_is_no_step_is_met() {
        let plan = Plan::new("c", vec![step("a", &["long-there"])], 4).unwrap();
        assert!(plan.steps()[0].needs.is_empty());
        assert_eq!(plan.unchanged(), 4);
    }

    #[test]
    fn steps_that_wait_for_each_other_are_named() {
        let problem = Plan::new("c", vec![step("a", &["b"]), step("b", &["a"])], 0).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "these steps wait for each other: vm/a, vm/b"
        );
        let problem = Plan::new("c", vec![step("a", &[]), step("a", &[])], 0).unwrap_err();
        assert_eq!(problem, GraphProblem::Twice(StepId::new("vm", "a")));
    }
}
