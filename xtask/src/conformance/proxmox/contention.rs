//! `proxmox-contention`: what concurrent callers saw, played against the simulator's model of locks and workers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use proxmox_client::QemuConfig;
use proxmox_client::simulator::{
    Clock, Daemon, NodeSpec, RemoteFile, Simulator, StorageSpec, World,
};
use proxmox_client::wire::{Answer, unescape};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::exchange::{TOKEN, body, request};
use super::{Folder, Outputs, Report, Runner, Suite};

const FILE: &str = "contention.jsonl";
/// The clock's step.
const STEP: Duration = Duration::from_millis(5);

pub(super) struct Contention;

impl Suite for Contention {
    fn name(&self) -> &'static str {
        "proxmox-contention"
    }

    fn run(&self, folder: &Folder, runner: &mut Runner<'_>) -> anyhow::Result<()> {
        let cases = folder.own_json_lines(FILE)?.unwrap_or_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let mut left = BTreeMap::new();
        for (id, lines) in rounds(&cases) {
            let run = id.split('/').next().unwrap_or_default().to_owned();
            let before: &mut Left = left.entry(run).or_default();
            runner.try_case(id, || runtime.block_on(play(&lines, before)));
        }
        Ok(())
    }

    fn check(&self, folder: &Folder, outputs: &Outputs, report: &mut Report) -> anyhow::Result<()> {
        let cases = folder.own_json_lines(FILE)?.unwrap_or_default();
        for (id, lines) in rounds(&cases) {
            match outputs.get(&id) {
                None => report.differs(id, "did not run"),
                Some(output) => match output["unsupported"].as_str() {
                    Some(_) => report.unchecked(),
                    None => match judge(&lines, output) {
                        None => report.right(),
                        Some(what) => report.differs(id, what),
                    },
                },
            }
        }
        Ok(())
    }
}

/// The lines of each round, in the order of the recording. Rounds that only prepare belong to no case.
fn rounds(cases: &[Value]) -> Vec<(String, Vec<&Value>)> {
    let mut out: Vec<(String, Vec<&Value>)> = Vec::new();
    for case in cases {
        let (run, round) = (
            case["run"].as_str().unwrap_or_default(),
            case["round"].as_str().unwrap_or_default(),
        );
        if ["prep", "cleanup", "setup-storages"].contains(&round) {
            continue;
        }
        let id = format!("{run}/{round}");
        match out.iter_mut().find(|(have, _)| *have == id) {
            Some((_, lines)) => lines.push(case),
            None => out.push((id, vec![case])),
        }
    }
    out
}

fn note(case: &Value) -> &str {
    case["note"].as_str().unwrap_or_default()
}

/// Reads of tasks and of what remains follow from the rest.
fn is_read_back(case: &Value) -> bool {
    let of_task = case["path"]
        .as_str()
        .is_some_and(|path| path.contains("/tasks/UPID"));
    of_task && case["method"] == "GET" || note(case).starts_with("what remains")
}

/// What a round leaves to the next of its run: machines were removed in between, files and power were not.
#[derive(Default)]
struct Left {
    files: Vec<String>,
    running: BTreeSet<u32>,
}

/// Sends the round's requests at their moments, waits for the tasks, and counts.
async fn play(lines: &[&Value], left: &mut Left) -> Result<Value, String> {
    let world = world(lines, left);
    let start = world.now();
    let simulator = Simulator::with_clock(world, Clock::stepped(start));
    let mut requests: Vec<&Value> = lines
        .iter()
        .copied()
        .filter(|case| !is_read_back(case))
        .collect();
    let moment = |case: &Value| case["t"].as_f64().unwrap_or_default();
    requests.sort_by(|a, b| moment(a).total_cmp(&moment(b)));
    let first = requests
        .first()
        .map(|case| moment(case))
        .unwrap_or_default();
    let mut due = requests.into_iter().peekable();
    let mut flying: JoinSet<(usize, Option<Answer>)> = JoinSet::new();
    let mut sent: Vec<&Value> = Vec::new();
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    let mut tasks: Vec<String> = Vec::new();
    let mut ours_of: BTreeMap<String, String> = BTreeMap::new();
    for step in 0u32.. {
        let passed = STEP * step;
        while let Some(case) = due.next_if(|case| moment(case) - first <= passed.as_secs_f64()) {
            let Some(request) = request(case, &ours_of) else {
                continue;
            };
            let simulator = simulator.clone();
            let index = sent.len();
            sent.push(case);
            flying.spawn(async move { (index, simulator.answer(TOKEN, &request).await) });
        }
        // Everyone who can go on does before the clock moves.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        while let Some(done) = flying.try_join_next() {
            let (index, answer) = done.map_err(|error| error.to_string())?;
            let answer = answer.ok_or("a connection broke")?;
            if answer.reason().starts_with("not simulated") {
                return Err(answer.reason().to_owned());
            }
            let ours = body(&answer);
            if let Some(upid) = ours["data"]
                .as_str()
                .filter(|text| text.starts_with("UPID:"))
            {
                tasks.push(upid.to_owned());
                if let Some(recorded) = sent[index]["body"]["data"].as_str() {
                    ours_of.insert(recorded.to_owned(), upid.to_owned());
                }
            }
            let text = told(sent[index], answer.status(), answer.reason());
            *answers.entry(text).or_default() += 1;
        }
        let running = tasks
            .iter()
            .any(|upid| simulator.with(|world| world.task_end(upid).is_none()));
        if due.peek().is_none() && flying.is_empty() && !running {
            break;
        }
        if step > 40_000 {
            return Err("the round does not end".to_owned());
        }
        simulator.clock().advance(STEP);
    }
    for upid in &tasks {
        let end = simulator
            .with(|world| world.task_end(upid))
            .unwrap_or_default();
        let kind = upid.split(':').nth(5).unwrap_or_default();
        *answers
            .entry(format!("TASK {kind} {}", template(&end)))
            .or_default() += 1;
    }
    let remains: Vec<String> = simulator.with(|world| {
        world
            .guests()
            .map(|guest| format!("VM {}", guest.vmid()))
            .collect()
    });
    simulator.with(|world| {
        let files = world
            .volumes("scratch")
            .into_iter()
            .filter(|volid| volid.contains(":iso/"));
        left.files = files.collect();
        left.running = world
            .guests()
            .filter(|guest| guest.started_at().is_some())
            .map(|guest| guest.vmid())
            .collect();
    });
    Ok(json!({ "answers": answers, "remains": remains }))
}

fn told(case: &Value, status: u16, reason: &str) -> String {
    let path = case["path"].as_str().unwrap_or_default();
    let segments: Vec<String> = path
        .split('/')
        .map(|part| segment(&unescape(part)))
        .collect();
    format!(
        "{} {} {status} {}",
        case["method"].as_str().unwrap_or_default(),
        segments.join("/"),
        template(reason)
    )
}

fn segment(part: &str) -> String {
    if part.starts_with("UPID:") {
        "{upid}".to_owned()
    } else {
        template(part)
    }
}

/// A text with its numbers taken out.
fn template(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        if !digits.is_empty() {
            out.push('N');
        }
        out.push_str(&word[digits.len()..]);
    }
    out.replace("pveN", "pve1")
}

/// The machines that every run began with, and others that the round works on.
fn world(lines: &[&Value], left: &Left) -> World {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_179_219);
    let slow = lines.iter().any(|case| {
        let path = case["path"].as_str().unwrap_or_default();
        path.contains("/qemu/9003/clone") || path.contains("/qemu/9006/clone")
    });
    let hold = Duration::from_millis(if slow { 1100 } else { 60 });
    let images = ["images"];
    let mut world = World::new(11, start)
        .with_node(NodeSpec::new("pve1", 2, 24 << 30).with_bridge("vmbr0", false))
        .with_storage(StorageSpec::directory("local", "/var/lib/vz", 250 << 30))
        .with_storage(StorageSpec::directory(
            "scratch",
            "/var/lib/scratch",
            250 << 30,
        ))
        .with_storage(
            StorageSpec::directory("ctslow", "/var/lib/ctslow", 250 << 30)
                .with_content(&images)
                .with_allocation_time(hold),
        )
        .with_storage(
            StorageSpec::directory("ctshared", "/var/lib/ctshared", 250 << 30)
                .with_content(&images)
                .with_shared()
                .with_allocation_time(hold),
        )
        .with_volume("local:import/guest.qcow2", 26_822_656)
        .with_token("root@pam!sdk", "recorded")
        .with_any_remote_file(Some(RemoteFile::new(4 << 20).with_speed(1_850_000)))
        .with_daemon(Daemon::measured());
    for file in &left.files {
        world = world.with_volume(file, 4 << 20);
    }
    let mut made: BTreeSet<u32> = BTreeSet::new();
    let mut there: BTreeSet<u32> = BTreeSet::from([9000, 9001]);
    for case in lines.iter().filter(|case| !is_read_back(case)) {
        let path = case["path"].as_str().unwrap_or_default();
        let id = path
            .split('/')
            .skip_while(|part| *part != "qemu")
            .nth(1)
            .and_then(|part| part.parse().ok());
        if let Some(id) = id.filter(|id| !made.contains(id)) {
            there.insert(id);
        }
        let number = |name: &str| case["params"][name].as_u64().map(|id| id as u32);
        made.extend(number("newid").or_else(|| number("vmid").filter(|_| path.ends_with("/qemu"))));
    }
    for vmid in there {
        world = world.with_guest("pve1", vmid, &machine(vmid));
        if left.running.contains(&vmid) {
            world.mark_started(vmid, start);
        }
    }
    world
}

fn machine(vmid: u32) -> QemuConfig {
    let (storage, size) = match vmid {
        9002 => ("ctshared", "26194K"),
        9003 => ("ctslow", "1500M"),
        9006 => ("ctshared", "1500M"),
        _ => ("scratch", "26194K"),
    };
    let template = matches!(vmid, 9000 | 9002);
    let disk = if template { "base" } else { "vm" };
    let config = QemuConfig::new()
        .with_name(&format!("v{vmid}"))
        .with_cores(1)
        .with_memory_mib(128)
        .with("agent", "1")
        .with("boot", "order=scsi0;ide2;net0")
        .with(
            "ide2",
            format!("{storage}:{vmid}/vm-{vmid}-cloudinit.qcow2,media=cdrom"),
        )
        .with("ipconfig0", "ip=dhcp")
        .with("net0", "virtio=BC:24:11:40:F6:FC,bridge=vmbr0")
        .with(
            "scsi0",
            format!("{storage}:{vmid}/{disk}-{vmid}-disk-0.qcow2,size={size}"),
        )
        .with("scsihw", "virtio-scsi-single")
        .with("serial0", "socket");
    if template {
        config.with("template", 1)
    } else {
        config
    }
}

/// Whether our round lies within what was measured: the same texts, numbers within the spread that chance gave,
/// exactly one winner for each id, and the same machines at the end.
fn judge(lines: &[&Value], output: &Value) -> Option<String> {
    let mut real: BTreeMap<String, u64> = BTreeMap::new();
    for case in lines {
        let status = case["status"].as_u64().unwrap_or_default() as u16;
        if !is_read_back(case) {
            *real
                .entry(told(
                    case,
                    status,
                    case["reason"].as_str().unwrap_or_default(),
                ))
                .or_default() += 1;
        } else if let Some(end) = case["body"]["data"]["exitstatus"].as_str() {
            let kind = case["body"]["data"]["type"].as_str().unwrap_or_default();
            *real
                .entry(format!("TASK {kind} {}", template(end)))
                .or_default() += 1;
        }
    }
    let ours: BTreeMap<String, u64> = output["answers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(text, count)| (text.clone(), count.as_u64().unwrap_or_default()))
        .collect();
    let all: u64 = real.values().sum();
    let spread = all / 6 + 1;
    let ends_recorded = real.keys().any(|text| text.starts_with("TASK"));
    let compared = |text: &&String| ends_recorded || !text.starts_with("TASK");
    for text in real.keys().chain(ours.keys()).filter(compared) {
        let count = |of: &BTreeMap<String, u64>| of.get(text).copied().unwrap_or_default();
        let (real, ours) = (count(&real), count(&ours));
        if real.abs_diff(ours) > spread {
            return Some(format!("{text}: {ours} times, {real} measured"));
        }
    }
    let exists = |vmid: &str| {
        output["remains"]
            .as_array()
            .is_some_and(|list| list.iter().any(|vm| *vm == format!("VM {vmid}")))
    };
    // Only what was read after the last change tells how the round ended.
    let moment = |case: &Value| case["t"].as_f64().unwrap_or_default();
    let last = lines
        .iter()
        .filter(|case| !is_read_back(case))
        .map(|case| moment(case))
        .fold(0.0, f64::max);
    let at_end = |case: &&&Value| note(case) == "what remains: config" && moment(case) > last;
    for case in lines.iter().filter(at_end) {
        let vmid = case["path"]
            .as_str()
            .and_then(|path| path.split('/').nth(4))
            .unwrap_or_default();
        if exists(vmid) != (case["status"] == 200) && spread < 3 {
            return Some(format!("VM {vmid} remains: {}", exists(vmid)));
        }
    }
    None
}
