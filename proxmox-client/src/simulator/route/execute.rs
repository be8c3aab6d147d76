//! Several calls below a node in one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::bulk::inner_call;
use super::{Handled, not_simulated};
use crate::simulator::answer::Reply;
use crate::simulator::engine::Step;
use crate::simulator::http::Call;
use crate::simulator::operation::{Caller, Operation};
use crate::simulator::schema;
use crate::simulator::world::World;

/// Calls in progress: what is left, what was answered, and the one that is waited for.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub(in super::super) struct Batch {
    node: String,
    left: Vec<Value>,
    answers: Vec<Value>,
    waits: Option<u64>,
    caller: Caller,
}

/// An answer as a part of another.
fn told(reply: &Reply) -> Value {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if reply.status == 200 {
        return json!({ "status": 200, "data": body["data"] });
    }
    let mut out = json!({ "status": reply.status, "message": body["message"] });
    if let Some(errors) = body.get("errors") {
        out["errors"] = errors.clone();
    }
    out
}

impl World {
    pub(super) fn execute(&mut self, node: &str, call: &Call, caller: &Caller) -> Handled {
        let text = call.text("commands").unwrap_or_default();
        let Ok(Value::Array(left)) = serde_json::from_str(&text) else {
            // How the real server words what is wrong with the list is not known.
            return Handled::Now(not_simulated(call));
        };
        let batch = Batch {
            node: node.to_owned(),
            left,
            answers: Vec::new(),
            waits: None,
            caller: caller.clone(),
        };
        let steps = [Step::Check(0), Step::Finish];
        Handled::Job(self.begin(None, Operation::Batch(Box::new(batch)), steps))
    }

    /// Makes the calls one after the other, as far as it comes now.
    pub(in super::super) fn go_on_with_batch(&mut self, job: u64, batch: &Batch) {
        let mut batch = batch.clone();
        loop {
            if let Some(inner) = batch.waits {
                match self.take_answer(inner) {
                    Some(reply) => batch.answers.push(told(&reply)),
                    None => break,
                }
                batch.waits = None;
            }
            if batch.left.is_empty() {
                break;
            }
            let command = batch.left.remove(0);
            match self.one_command(&command, &batch) {
                Handled::Now(reply) => batch.answers.push(told(&reply)),
                Handled::Job(inner) => batch.waits = Some(inner),
            }
        }
        if let Some(job) = self.engine.jobs.get_mut(&job) {
            if batch.waits.is_some() {
                job.steps.push_front(Step::Check(0));
                job.steps.push_front(Step::Work(Duration::from_millis(1)));
            }
            job.operation = Operation::Batch(Box::new(batch));
        }
    }

    fn one_command(&mut self, command: &Value, batch: &Batch) -> Handled {
        let text = |key: &str| command[key].as_str().unwrap_or_default();
        let (method, below) = (text("method").to_uppercase(), text("path"));
        let path = format!("/nodes/{}/{}", batch.node, below.trim_start_matches('/'));
        let arguments = command["args"].as_object().cloned();
        let call = inner_call(&method, &path, arguments.unwrap_or_else(Map::new));
        let Ok(found) = schema::find(&call, self.served_release()) else {
            let path = format!("nodes/{}/{below}", batch.node);
            return Handled::Now(Reply::failed(format!("no handler for '{path}'")));
        };
        match found.admit(|node| self.nodes.contains_key(node)) {
            Err(refusal) => Handled::Now(refusal),
            Ok(call) => {
                let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
                self.dispatch(&method, &segments, &call, &batch.caller)
            }
        }
    }
}

impl Batch {
    /// What all calls together answer.
    pub(in super::super) fn answer(&self) -> Reply {
        Reply::data(self.answers.clone())
    }
}
