//! `proxmox-parameters`: recorded calls whose parameters a real server judged, judged by the simulator.

use std::time::{Duration, SystemTime};

use proxmox_client::simulator::{NodeSpec, World};
use serde_json::{Map, Value, json};

use super::exchange::{Player, TOKEN, body};
use super::{Folder, Outputs, Report, Runner, Suite};

const FILES: [&str; 2] = ["recorded.jsonl", "cluster-flow.jsonl"];

pub(super) struct Parameters;

impl Suite for Parameters {
    fn name(&self) -> &'static str {
        "proxmox-parameters"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        for (id, case) in cases(folder)? {
            let answer = runtime.block_on(Player::new(world()).send(&case));
            let output = match answer {
                Some(answer) => json!({ "refused": judged(&body(&answer)) }),
                None => json!({ "unsupported": "a raw request" }),
            };
            runner.case(id, || output);
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        for (id, case) in cases(folder)? {
            let expected = judged(&case["body"]);
            match outputs.get(&id) {
                None => report.differs(id, "did not run"),
                Some(output) if output["refused"] == expected => report.right(),
                Some(output) => report.differs(
                    id,
                    format!(
                        "{} {} {}: {} instead of {expected}",
                        case["method"], case["path"], case["params"], output["refused"]
                    ),
                ),
            }
        }
        Ok(())
    }
}

/// Calls that got as far as their parameters: with the token that may do everything, and no upload.
fn cases(folder: &Folder) -> anyhow::Result<Vec<(String, Value)>> {
    let mut all = Vec::new();
    for file in FILES {
        let lines = folder.own_json_lines(file)?.unwrap_or_default();
        for (number, case) in lines.into_iter().enumerate() {
            let known = |key: &str, value: &str| case[key].is_null() || case[key] == value;
            let reached = case["status"] != 501 && case["status"] != 595 && case["status"] != 403;
            let plain = ["request_headers", "raw_body", "format", "raw"]
                .iter()
                .all(|key| case[*key].is_null());
            // Objects only arrive as such in JSON, which the requests of the client are not.
            let values = case["params"].as_object();
            let in_form = values.is_none_or(|values| !values.values().any(Value::is_object));
            if reached && plain && in_form && known("auth", "token") {
                all.push((format!("{file}:{number}"), case));
            }
        }
    }
    Ok(all)
}

/// A node and users that the calls name; nothing else of the recorded world decides whether a parameter is right.
fn world() -> World {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let (token, secret) = TOKEN.split_once('=').unwrap_or((TOKEN, ""));
    World::new(1, start)
        .with_node(NodeSpec::new("pve1", 2, 8 << 30))
        .with_token(token, secret)
        .with_user("alice@pve", "a password")
        .with_user("n@pve", "a password")
}

/// The refusals of a body that the schema alone decides.
fn judged(body: &Value) -> Value {
    const BEGINNINGS: [&str; 5] = [
        "duplicate parameter ",
        "invalid format - ",
        "property is ",
        "type check ",
        "value ",
    ];
    let Some(errors) = body["errors"].as_object() else {
        return Value::Null;
    };
    let of_schema: Map<String, Value> = errors
        .iter()
        .filter(|(_, why)| {
            let why = why.as_str().unwrap_or_default();
            BEGINNINGS.iter().any(|start| why.starts_with(start))
        })
        .map(|(name, why)| (name.clone(), why.clone()))
        .collect();
    match of_schema.is_empty() {
        true => Value::Null,
        false => Value::Object(of_schema),
    }
}
