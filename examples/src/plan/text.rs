//! A plan for a person.

use std::fmt;

use super::{Plan, Tally};

impl fmt::Display for Plan {
    /// One line a step, its differences below it, one line of summary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(
                f,
                "No changes: {} is as cluster.yaml wants it ({} things looked at).",
                self.cluster(),
                self.unchanged()
            );
        }
        let width = self
            .steps()
            .iter()
            .map(|step| step.id.as_str().len())
            .max()
            .unwrap_or(0);
        for step in self.steps() {
            writeln!(
                f,
                "  {} {:width$}  {}",
                step.change.symbol(),
                step.id,
                step.title
            )?;
            for difference in &step.differences {
                writeln!(f, "    {:width$}    {difference}", "")?;
            }
        }
        writeln!(f)?;
        writeln!(f, "Plan: {}, {} unchanged.", self.tally(), self.unchanged())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to create, {} to update, {} to delete",
            self.create, self.update, self.delete
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Change, Difference, Plan, Step, StepId};

    #[test]
    fn a_plan_shows_what_changes_and_why() {
        let steps = vec![
            Step::new(
                StepId::new("vm", "cp-1"),
                Change::Create,
                "VM 8101 on pve1: 2 cores, 4 GiB",
                Action::CreateMachine {
                    node: "cp-1".into(),
                },
            ),
            Step::new(
                StepId::new("vm", "worker-1"),
                Change::Update,
                "VM 8201 on pve1",
                Action::UpdateMachine {
                    node: "worker-1".into(),
                },
            )
            .because(
                Difference::between("memory", "8 GiB", "16 GiB")
                    .into_iter()
                    .collect(),
            ),
        ];
        let plan = Plan::new("production", steps, 12).unwrap();
        insta::assert_snapshot!(plan.to_string(), @r"
          + vm/cp-1      VM 8101 on pve1: 2 cores, 4 GiB
          ~ vm/worker-1  VM 8201 on pve1
                           memory 8 GiB -> 16 GiB

        Plan: 1 to create, 1 to update, 0 to delete, 12 unchanged.
        ");
    }

    #[test]
    fn an_empty_plan_says_so() {
        let plan = Plan::new("production", Vec::new(), 31).unwrap();
        insta::assert_snapshot!(plan.to_string(), @"No changes: production is as cluster.yaml wants it (31 things looked at).");
    }
}
