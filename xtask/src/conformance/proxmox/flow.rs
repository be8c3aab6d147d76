//! `proxmox-flow`: the recorded build of five machines, played against the simulator.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use proxmox_client::simulator::{NodeSpec, StorageSpec, World};
use serde_json::{Value, json};

use super::exchange::{Player, body};
use super::{Folder, Outputs, Report, Runner, Suite};
use crate::conformance::first_difference_unordered;

const FILE: &str = "cluster-flow.jsonl";
/// The first lines show what exists before anything is made.
const SHOWN: usize = 14;

pub(super) struct Flow;

impl Suite for Flow {
    fn name(&self) -> &'static str {
        "proxmox-flow"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        let Some(cases) = folder.own_json_lines(FILE)? else {
            return Ok(());
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let mut player = Player::new(world(cases.get(..SHOWN).context("too few lines")?)?);
        for (number, case) in cases.iter().enumerate() {
            let answer = runtime.block_on(async {
                player.step_to(case["t"].as_f64().unwrap_or_default());
                player.send(case).await
            });
            let output = match &answer {
                Some(answer) => json!({
                    "status": answer.status(), "reason": answer.reason(), "body": body(answer),
                }),
                None => json!({ "status": 0, "reason": null, "body": null }),
            };
            // A path may name a task of an earlier line; which task that was is part of the input.
            player.learn(&case["body"], &output["body"]);
            runner.case(number.to_string(), || output);
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        let cases = folder.own_json_lines(FILE)?.unwrap_or_default();
        let tasks: Vec<&str> = cases
            .iter()
            .filter_map(|case| case["body"]["data"].as_str())
            .collect();
        for (number, case) in cases.iter().enumerate() {
            let id = number.to_string();
            let Some(output) = outputs.get(&id) else {
                report.differs(id, "did not run");
                continue;
            };
            let what = format!("{} {}", case["method"], case["path"]);
            if output["status"] != case["status"] || output["reason"] != case["reason"] {
                report.differs(
                    id,
                    format!("{what}: {} {}", output["status"], output["reason"]),
                );
                continue;
            }
            match first_difference_unordered(
                &comparable(&of_flow(&case["body"], &tasks)),
                &comparable(&without_progress(&output["body"])),
            ) {
                None => report.right(),
                Some(difference) => report.differs(id, format!("{what} {difference}")),
            }
        }
        Ok(())
    }
}

/// The world that the first lines show.
fn world(shown: &[Value]) -> anyhow::Result<World> {
    let data = |path: &str, params: &Value| {
        shown
            .iter()
            .find(|case| case["path"] == path && case["params"] == *params)
            .map(|case| case["body"]["data"].clone())
            .with_context(|| format!("no line shows {path}"))
    };
    let node = data("/nodes", &Value::Null)?[0].clone();
    let name = node["node"]
        .as_str()
        .context("a node has no name")?
        .to_owned();
    let member = data("/cluster/status", &Value::Null)?[0].clone();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let mut spec = NodeSpec::new(
        &name,
        number(&node["maxcpu"]) as u32,
        number(&node["maxmem"]),
    )
    .with_address(member["ip"].as_str().unwrap_or_default());
    let bridges = data(
        &format!("/nodes/{name}/network"),
        &json!({ "type": "any_bridge" }),
    )?;
    for bridge in bridges.as_array().into_iter().flatten() {
        spec = spec.with_bridge(
            bridge["iface"].as_str().unwrap_or_default(),
            bridge["bridge_vlan_aware"] == 1,
        );
    }
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_180_345);
    let mut world = World::new(7, start)
        .with_node(spec)
        .with_token("root@pam!sdk", "recorded");
    let states = data(&format!("/nodes/{name}/storage"), &Value::Null)?;
    for storage in data("/storage", &Value::Null)?
        .as_array()
        .into_iter()
        .flatten()
    {
        let id = storage["storage"].as_str().unwrap_or_default();
        let state = states
            .as_array()
            .into_iter()
            .flatten()
            .find(|state| state["storage"] == id);
        let state = state.cloned().unwrap_or_default();
        let content: Vec<&str> = storage["content"]
            .as_str()
            .unwrap_or_default()
            .split(',')
            .collect();
        let path = storage["path"].as_str().unwrap_or_default();
        let mut spec = StorageSpec::directory(id, path, number(&state["total"]))
            .with_used(number(&state["used"]))
            .with_content(&content);
        if let Some(keep) = storage["prune-backups"].as_str() {
            spec = spec.with_prune_backups(keep);
        }
        world = world.with_storage(spec);
    }
    for case in shown.iter().filter(|case| {
        case["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("/content"))
    }) {
        for volume in case["body"]["data"].as_array().into_iter().flatten() {
            world = world.with_volume(
                volume["volid"].as_str().unwrap_or_default(),
                number(&volume["size"]),
            );
        }
    }
    // The image to import is there packed and plain; the plain one tells how large its disk is.
    let files: Vec<&Value> = shown
        .iter()
        .filter(|case| {
            case["path"]
                .as_str()
                .is_some_and(|path| path.ends_with("/content"))
        })
        .flat_map(|case| case["body"]["data"].as_array().into_iter().flatten())
        .collect();
    let stem = |file: &Value| {
        let name = file["volid"]
            .as_str()
            .and_then(|volid| volid.rsplit('/').next())
            .unwrap_or_default();
        name.split('.').next().unwrap_or_default().to_owned()
    };
    for packed in files.iter().filter(|file| file["format"] == "qcow2") {
        if let Some(plain) = files
            .iter()
            .find(|file| file["format"] == "iso" && stem(file) == stem(packed))
        {
            let volid = packed["volid"].as_str().unwrap_or_default();
            world = world.with_disk_size(volid, number(&plain["size"]));
        }
    }
    Ok(world)
}

/// Members whose values are times, identifiers, digests or load: only their presence is compared.
const LOOSE: &[&str] = &[
    "avail",
    "available",
    "cpu",
    "ctime",
    "digest",
    "disk",
    "diskread",
    "diskwrite",
    "endtime",
    "free",
    "idle",
    "loadavg",
    "mem",
    "memhost",
    "netin",
    "netout",
    "nics",
    "pid",
    "pstart",
    "snaptime",
    "ssl_fingerprint",
    "starttime",
    "statistics",
    "total",
    "uptime",
    "used",
    "used_fraction",
    "vmgenid",
    "wait",
    "smbios1",
    "meta",
    "saved",
    "flags",
    "model",
    "vendor",
    "family",
    "hvm",
    "mhz",
    "release",
    "kversion",
];

/// The recording left out the lines of a copy's progress, except the first and the last.
fn without_progress(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(lines) = body["data"].as_array_mut() {
        let is_progress = |line: &Value| {
            line["t"]
                .as_str()
                .is_some_and(|text| text.starts_with("transferred "))
        };
        let all: Vec<usize> = (0..lines.len())
            .filter(|at| is_progress(&lines[*at]))
            .collect();
        if let [_, between @ .., _] = all.as_slice() {
            between.iter().rev().for_each(|at| drop(lines.remove(*at)));
        }
    }
    body
}

/// A body without the tasks that ran before the recording began.
fn of_flow(body: &Value, tasks: &[&str]) -> Value {
    let mut body = without_progress(body);
    if let Some(entries) = body["data"].as_array_mut() {
        entries.retain(|entry| match entry["upid"].as_str() {
            Some(upid) => tasks.contains(&upid),
            None => true,
        });
    }
    body
}

/// A body without what the contract leaves out.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            // Pending entries name their key in a member.
            let loose_entry = members
                .get("key")
                .and_then(Value::as_str)
                .is_some_and(|key| LOOSE.contains(&key));
            members
                .iter()
                .map(|(key, value)| {
                    let loose = LOOSE.contains(&key.as_str())
                        || key.starts_with("pressure")
                        || loose_entry && key == "value";
                    // A machine that runs has figures of its own, whatever they are.
                    let value = if loose {
                        Value::from("…")
                    } else {
                        list_of_words(key, comparable(value))
                    };
                    (key.clone(), value)
                })
                .collect()
        }
        Value::Array(items) => items.iter().map(comparable).collect(),
        Value::String(text) => without_chance(text).into(),
        other => other.clone(),
    }
}

/// The order of a content list is chance.
fn list_of_words(key: &str, value: Value) -> Value {
    match value {
        Value::String(text) if key == "content" => {
            let mut words: Vec<&str> = text.split(',').collect();
            words.sort_unstable();
            words.join(",").into()
        }
        other => other,
    }
}

/// A text without the numbers of tasks and without MAC addresses drawn by chance.
fn without_chance(text: &str) -> String {
    if let Some(rest) = text.strip_prefix("UPID:") {
        let parts: Vec<&str> = rest.split(':').collect();
        if let [node, _, _, _, rest @ ..] = parts.as_slice() {
            return format!("UPID:{node}:…:{}", rest.join(":"));
        }
    }
    let mut out = String::new();
    for (index, part) in text.split(',').enumerate() {
        if index > 0 {
            out.push(',');
        }
        match part.to_ascii_uppercase().find("BC:24:11:") {
            Some(at) => out.push_str(&format!("{}BC:24:11:…", &part[..at])),
            None if part.starts_with("fe80::be24:11ff:") => out.push_str("fe80::be24:11ff:…"),
            None => out.push_str(part),
        }
    }
    out
}
