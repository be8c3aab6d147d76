//! Suite `talos-wire`: recorded answers split by node, and recorded requests as the client sends them.

use serde_json::{Value, json};
use talos_client::{AnyMethod, Error, NodeResult, NodeStatus};

use super::super::compare::first_difference_unordered;
use super::super::{Folder, Outputs, Report, Runner, Suite};
use super::configs::{short, text};

/// The suite's files: calls by hand, and calls drawn by chance.
const FILES: [&str; 2] = ["wire/apid.json", "random-wire.json"];

pub(super) struct Wire;

impl Suite for Wire {
    fn name(&self) -> &'static str {
        "talos-wire"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        each_case(folder, |case| {
            runner.try_case(text(&case["id"]), || call(case));
        })
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        each_case(folder, |case| {
            let id = text(&case["id"]);
            match outputs.get(id).map(|output| difference(case, output)) {
                None => report.differs(id, "did not run"),
                Some(None) => report.right(),
                Some(Some(what)) => report.differs(id, what),
            }
        })
    }
}

fn each_case(folder: &Folder, mut visit: impl FnMut(&Value)) -> anyhow::Result<()> {
    for name in FILES {
        if let Some(file) = folder.own_json(name)? {
            file["cases"]
                .as_array()
                .into_iter()
                .flatten()
                .for_each(&mut visit);
        }
    }
    Ok(())
}

/// The output of one call.
fn call(case: &Value) -> Result<Value, String> {
    let path = text(&case["method"]);
    let method = AnyMethod::find(path).ok_or_else(|| format!("the client has no method {path}"))?;
    let request = bytes(&case["request_hex"])?;
    let request_ok = method.holds_request(&request).map_err(why)?;
    let status = case["status_code"].as_str().filter(|name| *name != "OK");

    let mut results = Vec::new();
    let mut output = json!({"request_ok": request_ok});
    if let Some(list) = case.get("frames_hex") {
        let mut frames = Vec::new();
        for frame in list.as_array().into_iter().flatten() {
            let frame = bytes(frame)?;
            frames.push(parsed(&method.answer_json(&frame).map_err(why)?)?);
            for result in method.results(&frame).map_err(why)? {
                results.push(printed(&result)?);
            }
        }
        output["frames"] = Value::Array(frames);
    } else if status.is_none() {
        let answer = bytes(&case["response_hex"])?;
        for result in method.results(&answer).map_err(why)? {
            results.push(printed(&result)?);
        }
    }
    if let Some(name) = status {
        let status = NodeStatus::named(name, text(&case["status_message"]))
            .ok_or_else(|| format!("gRPC has no status {name}"))?;
        results.push(failed(None, &status));
    }
    output["results"] = Value::Array(results);
    Ok(output)
}

fn why(error: Error) -> String {
    error.to_string()
}

fn parsed(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|error| format!("printed what is not JSON: {error}"))
}

fn printed(result: &NodeResult) -> Result<Value, String> {
    let node = result.node();
    match (result.json(), result.status()) {
        (Some(json), _) => Ok(json!({"node": node, "ok": parsed(json)?})),
        (None, Some(status)) => Ok(failed(node, status)),
        (None, None) => Err("a result is neither an answer nor a failure".to_owned()),
    }
}

fn failed(node: Option<&str>, status: &NodeStatus) -> Value {
    json!({"node": node, "status": status.name(), "message": status.message})
}

/// Bytes written as hexadecimal digits.
fn bytes(hex: &Value) -> Result<Vec<u8>, String> {
    let hex = text(hex);
    let wrong = || format!("not bytes: {hex}");
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return Err(wrong());
    }
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| wrong()))
        .collect()
}

/// What the recorded decoding says against the output.
fn difference(case: &Value, output: &Value) -> Option<String> {
    if !output["unsupported"].is_null() {
        // A case without the kind of its answer was a call to a service that the peer does not have, and the services
        // between nodes are not for clients.
        let kind = case["response_type"].as_str();
        let ours = kind.is_some_and(|kind| !kind.starts_with("securityapi."));
        return ours.then(|| short(output));
    }
    if output["request_ok"] != true {
        return Some("the request is not held whole".to_owned());
    }
    let single = case.get("decoded").into_iter();
    let frames = case["decoded_frames"].as_array().into_iter().flatten();
    let mut expected: Vec<Value> = single.chain(frames).flat_map(split).collect();
    let empty = case.get("decoded").is_none() && case.get("response_hex").is_some();
    if let Some(name) = case["status_code"].as_str() {
        expected.push(json!({"node": null, "status": name, "message": case["status_message"]}));
    } else if empty {
        expected.push(json!({"node": null, "ok": {}}));
    }
    let expected = Value::Array(expected);
    let recorded = &case["decoded_frames"];
    first_difference_unordered(&expected, &output["results"]).or_else(|| {
        let frames = recorded.is_array().then_some(&output["frames"])?;
        first_difference_unordered(recorded, frames)
    })
}

/// Names of the codes that failures inside answers were recorded with.
const CODES: [(u64, &str); 16] = [
    (1, "Canceled"),
    (2, "Unknown"),
    (3, "InvalidArgument"),
    (4, "DeadlineExceeded"),
    (5, "NotFound"),
    (6, "AlreadyExists"),
    (7, "PermissionDenied"),
    (8, "ResourceExhausted"),
    (9, "FailedPrecondition"),
    (10, "Aborted"),
    (11, "OutOfRange"),
    (12, "Unimplemented"),
    (13, "Internal"),
    (14, "Unavailable"),
    (15, "DataLoss"),
    (16, "Unauthenticated"),
];

/// The results in a recorded decoding.
fn split(decoded: &Value) -> Vec<Value> {
    let Some(messages) = decoded["messages"].as_array() else {
        return vec![entry(decoded)];
    };
    messages.iter().map(entry).collect()
}

fn entry(message: &Value) -> Value {
    // A resource's metadata describes the resource; only that of an envelope names a host.
    let metadata = &message["metadata"];
    let node = &metadata["hostname"];
    let status = &metadata["status"];
    if let Some(code) = status["code"].as_u64() {
        let name = CODES
            .iter()
            .find(|(number, _)| *number == code)
            .map(|(_, name)| name);
        return json!({"node": node, "status": name, "message": status["message"]});
    }
    let mut ok = message.clone();
    if let Some(object) = ok.as_object_mut() {
        object.remove("metadata");
    }
    json!({"node": node, "ok": ok})
}
