//! What a check found.

use serde_json::Value;

use super::compare::first_difference;

/// Right answers counted, differences listed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    right: usize,
    differences: Vec<(String, String)>,
    notes: Vec<(String, String)>,
    unchecked: usize,
}

#[allow(dead_code, reason = "a build with no crate's feature has no suite")]
impl Report {
    /// The case is right.
    pub(crate) fn right(&mut self) {
        self.right += 1;
    }

    /// The case is wrong; `what` says where and how.
    pub(crate) fn differs(&mut self, id: impl Into<String>, what: impl Into<String>) {
        self.differences.push((id.into(), what.into()));
    }

    /// Something that the contract compares softly: printed, but not a failure.
    pub(crate) fn note(&mut self, id: impl Into<String>, what: impl Into<String>) {
        self.notes.push((id.into(), what.into()));
    }

    /// The folder holds no expectation for this case and nothing follows from its input.
    pub(crate) fn unchecked(&mut self) {
        self.unchecked += 1;
    }

    /// Right when both are equal by meaning (key order does not matter), else names the first
    /// place where they are not. `output` is `None` when the case did not run.
    pub(crate) fn equal(&mut self, id: &str, expected: &Value, output: Option<&Value>) {
        match output {
            None => self.differs(id, "did not run"),
            Some(output) => match first_difference(expected, output) {
                None => self.right(),
                Some(what) => self.differs(id, what),
            },
        }
    }

    /// Whether nothing differs.
    pub(crate) fn is_right(&self) -> bool {
        self.differences.is_empty()
    }

    /// A line for each difference.
    pub(crate) fn differences(&self) -> impl Iterator<Item = String> {
        let differences = self.differences.iter();
        differences.map(|(id, what)| format!("{id}: {what}"))
    }

    /// A line for each note.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let notes = self.notes.iter();
        notes.map(|(id, what)| format!("note: {id}: {what}"))
    }

    /// One line that counts.
    pub(crate) fn summary(&self) -> String {
        let compared = self.right + self.differences.len();
        let mut line = format!("{} of {compared} right", self.right);
        if self.unchecked > 0 {
            line.push_str(&format!(", {} without expectation", self.unchecked));
        }
        if !self.notes.is_empty() {
            line.push_str(&format!(", {} soft notes", self.notes.len()));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_case_that_did_not_run_is_a_difference() {
        let mut report = Report::default();
        report.equal("a", &json!({"valid": true}), None);
        report.equal("b", &json!({"valid": true}), Some(&json!({"valid": true})));
        assert!(!report.is_right());
        assert_eq!(report.summary(), "1 of 2 right");
        assert_eq!(report.differences().collect::<Vec<_>>(), ["a: did not run"]);
    }

    #[test]
    fn a_note_is_printed_and_fails_nothing() {
        let mut report = Report::default();
        report.note("a", "decided by another rule");
        assert!(report.is_right());
        assert_eq!(
            report.notes().collect::<Vec<_>>(),
            ["note: a: decided by another rule"]
        );
    }
}
