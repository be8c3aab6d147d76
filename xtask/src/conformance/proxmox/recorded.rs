//! `proxmox-recorded`: answers of a real server, read as the typed method's answer.

use proxmox_client::wire::{Answer, Method};
use proxmox_client::{Error, api};
use serde_json::{Value, json};

use super::{Folder, Outputs, Report, Runner, Suite};

const FILE: &str = "recorded.jsonl";

pub(super) struct Recorded;

impl Suite for Recorded {
    fn name(&self) -> &'static str {
        "proxmox-recorded"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        for (number, case) in folder
            .own_json_lines(FILE)?
            .unwrap_or_default()
            .iter()
            .enumerate()
        {
            runner.case(number.to_string(), || output(case));
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for (number, case) in folder
            .own_json_lines(FILE)?
            .unwrap_or_default()
            .iter()
            .enumerate()
        {
            let id = number.to_string();
            match outputs.get(&id).map(|output| judge(case, output)) {
                None => report.differs(id, "did not run"),
                Some(None) => report.right(),
                Some(Some(what)) => report.differs(id, what),
            }
        }
        Ok(())
    }
}

/// What follows from the input: a success decodes with nothing lost, a failure has a kind.
fn judge(case: &Value, output: &Value) -> Option<String> {
    if output["method"].is_null() {
        let named = case["method"].as_str().is_some_and(|method| {
            let path = case["path"].as_str().unwrap_or_default();
            ["GET", "POST", "PUT", "DELETE"].contains(&method)
                && case["status"] != 501
                && case["format"] != "extjs"
                && path.starts_with('/')
        });
        return named.then(|| format!("{} {} has no typed method", case["method"], case["path"]));
    }
    let success = case["status"]
        .as_u64()
        .is_some_and(|status| (200..300).contains(&status));
    if success && (output["decoded"] != true || output["lost"] != json!([])) {
        return Some(format!("{} {}: {output}", case["method"], case["path"]));
    }
    if !success
        && output["error"]["kind"]
            .as_str()
            .is_none_or(|kind| kind == "Server")
    {
        return Some(format!(
            "no kind for {} {:?}",
            case["status"], case["reason"]
        ));
    }
    None
}

fn output(case: &Value) -> Value {
    let nothing = json!({ "method": null, "decoded": false, "lost": [] });
    let method = match case["method"].as_str() {
        Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        Some("PUT") => Method::Put,
        Some("DELETE") => Method::Delete,
        _ => return nothing,
    };
    // The other format wraps everything in another envelope, which the client never asks for.
    if case["format"] == "extjs" {
        return nothing;
    }
    let path = case["path"].as_str().unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let Some(info) = api::find(method, path) else {
        return nothing;
    };
    let status = case["status"].as_u64().unwrap_or_default() as u16;
    let body = match &case["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let answer = Answer::new(status, case["reason"].as_str().unwrap_or_default(), body);
    let mut output = json!({ "method": info.name, "decoded": false, "lost": [] });
    match info.probe(&answer) {
        Ok(held) => {
            output["decoded"] = true.into();
            output["lost"] = lost(&case["body"], &answer, &held).into();
        }
        Err(error) => output["error"] = told(&error),
    }
    output
}

fn told(error: &Error) -> Value {
    json!({
        "kind": format!("{:?}", error.kind()),
        "retryable": error.is_retryable(),
        "message": error.to_string(),
    })
}

/// Pointers into the body that neither the typed value nor the envelope holds.
fn lost(body: &Value, answer: &Answer, held: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let Some(members) = body.as_object() else {
        if body.as_str() != held.as_str() {
            out.push(String::new());
        }
        return out;
    };
    let envelope = answer.envelope().ok();
    for (key, value) in members {
        let pointer = format!("/{}", escaped(key));
        match key.as_str() {
            "data" => missing(value, Some(held), &pointer, &mut out),
            "total" => {
                let total = envelope
                    .as_ref()
                    .and_then(|envelope| envelope.total)
                    .map(Value::from);
                missing(value, total.as_ref(), &pointer, &mut out);
            }
            other => {
                let extra = envelope
                    .as_ref()
                    .and_then(|envelope| envelope.extra.get(other));
                missing(value, extra, &pointer, &mut out);
            }
        }
    }
    out
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn missing(given: &Value, held: Option<&Value>, pointer: &str, out: &mut Vec<String>) {
    match (given, held) {
        (Value::Null, None | Some(Value::Null)) => {}
        (Value::Object(given), Some(Value::Object(held))) => {
            for (key, value) in given {
                missing(
                    value,
                    held.get(key),
                    &format!("{pointer}/{}", escaped(key)),
                    out,
                );
            }
        }
        (Value::Array(given), Some(Value::Array(held))) => {
            for (index, value) in given.iter().enumerate() {
                missing(value, held.get(index), &format!("{pointer}/{index}"), out);
            }
        }
        (given, Some(held)) if same(given, held) => {}
        _ => out.push(pointer.to_owned()),
    }
}

/// A number that came as text is held as the number, and the reverse.
fn same(given: &Value, held: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        other => other.to_string(),
    };
    let number = |value: &Value| text(value).parse::<f64>().ok();
    given == held
        || text(given) == text(held)
        || number(given).is_some_and(|given| number(held) == Some(given))
}
