//! Running the cases of a suite: one output per case, and a panic is an output too.

use std::collections::HashMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Context;
use serde_json::{Value, json};

/// What the cases of a suite gave, in the order in which they ran.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    list: Vec<(String, Value)>,
    by_id: HashMap<String, usize>,
    duplicates: Vec<String>,
}

#[allow(
    dead_code,
    reason = "a build with one crate's suites uses only part of it"
)]
impl Outputs {
    fn push(&mut self, id: String, output: Value) {
        if self.by_id.insert(id.clone(), self.list.len()).is_some() {
            self.duplicates.push(id.clone());
        }
        self.list.push((id, output));
    }

    /// The output of a case, `None` when it did not run.
    pub(crate) fn get(&self, id: &str) -> Option<&Value> {
        self.by_id.get(id).map(|&at| &self.list[at].1)
    }

    /// All outputs in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.list.iter().map(|(id, output)| (id.as_str(), output))
    }

    /// Ids that more than one case has.
    pub(crate) fn duplicates(&self) -> impl Iterator<Item = &str> {
        self.duplicates.iter().map(String::as_str)
    }
}

/// Takes the outputs of a suite and prints them as they come.
pub(crate) struct Runner<'a> {
    to: &'a mut dyn Write,
    outputs: Outputs,
    unsupported: usize,
    panicked: usize,
    written: std::io::Result<()>,
}

#[allow(dead_code, reason = "a build with no crate's feature has no suite")]
impl<'a> Runner<'a> {
    pub(crate) fn new(to: &'a mut dyn Write) -> Self {
        Self {
            to,
            outputs: Outputs::default(),
            unsupported: 0,
            panicked: 0,
            written: Ok(()),
        }
    }

    /// Runs one case. A panic inside becomes `{"unsupported": "panicked: …"}` and the next case runs.
    pub(crate) fn case(&mut self, id: impl Into<String>, compute: impl FnOnce() -> Value) {
        let id = id.into();
        let output = match catch_unwind(AssertUnwindSafe(compute)) {
            Ok(output) => output,
            Err(payload) => {
                self.panicked += 1;
                let text = payload
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| payload.downcast_ref::<&str>().copied())
                    .unwrap_or("no message");
                eprintln!("case {id} panicked: {text}");
                json!({"unsupported": format!("panicked: {text}")})
            }
        };
        if output.get("unsupported").is_some() {
            self.unsupported += 1;
        }
        if self.written.is_ok() {
            self.written = writeln!(self.to, "{}", json!({"id": id, "output": output}));
        }
        self.outputs.push(id, output);
        let run = self.outputs.list.len();
        if run.is_multiple_of(1000) {
            eprintln!("{run} cases run");
        }
    }

    /// [`case`](Self::case) for code that names why it cannot handle an input.
    pub(crate) fn try_case(
        &mut self,
        id: impl Into<String>,
        compute: impl FnOnce() -> Result<Value, String>,
    ) {
        self.case(id, || {
            compute().unwrap_or_else(|why| json!({"unsupported": why}))
        });
    }

    /// The outputs and a line that counts them.
    pub(crate) fn finish(self) -> anyhow::Result<(Outputs, String)> {
        self.written
            .and_then(|()| self.to.flush())
            .context("writing the outputs")?;
        let run = self.outputs.list.len();
        let mut summary = format!("{run} cases run");
        if self.unsupported > 0 {
            summary.push_str(&format!(", {} unsupported", self.unsupported));
        }
        if self.panicked > 0 {
            summary.push_str(&format!(", {} of them panicked", self.panicked));
        }
        Ok((self.outputs, summary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_output_and_the_next_case_runs() {
        let mut text = Vec::new();
        let mut runner = Runner::new(&mut text);
        runner.case("first", || panic!("boom"));
        runner.case("second", || json!({"match": true}));
        let (outputs, summary) = runner.finish().unwrap();
        assert_eq!(
            outputs.get("first"),
            Some(&json!({"unsupported": "panicked: boom"}))
        );
        assert_eq!(outputs.get("second"), Some(&json!({"match": true})));
        assert_eq!(summary, "2 cases run, 1 unsupported, 1 of them panicked");
        let lines: Vec<Value> = String::from_utf8(text)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[1], json!({"id": "second", "output": {"match": true}}));
    }

    #[test]
    fn an_id_used_twice_is_noticed() {
        let mut sink = std::io::sink();
        let mut runner = Runner::new(&mut sink);
        runner.case("same", || json!(1));
        runner.case("same", || json!(2));
        let (outputs, _) = runner.finish().unwrap();
        assert_eq!(outputs.duplicates().collect::<Vec<_>>(), ["same"]);
    }
}
