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

/// Seconds since the run began.
fn moment(case: &Value) -> f64 {
    case["t"].as_f64().unwrap_or_default()
}

/// The moment of a round's first request.
fn first_moment(lines: &[&Value]) -> f64 {
    let sent = lines.iter().filter(|case| !is_read_back(case));
    let first = sent.map(|case| moment(case)).fold(f64::INFINITY, f64::min);
    if first.is_finite() { first } else { 0.0 }
}

/// Reads of tasks and of what remains follow from the rest.
fn is_read_back(case: &Value) -> bool {
    let of_task = case["path"]
        .as_str()
        .is_some_and(|path| path.contains("/tasks/UPID"));
    of_task && case["method"] == "GET" || note(case).starts_with("what remains")
}

/// What a round leaves to the next of its run: machines were removed in between, files, users, pools, firewalls
/// and power were not.
#[derive(Default)]
struct Left {
    files: Vec<String>,
    /// When each running machine was started, in seconds of the run.
    running: BTreeMap<u32, f64>,
    world: Option<World>,
}

/// Sends the round's requests at their moments, waits for the tasks, and counts.
async fn play(lines: &[&Value], left: &mut Left) -> Result<Value, String> {
    let world = world(lines, left);
    let start = world.now();
    let simulator = Simulator::with_clock(world, Clock::stepped(start));
    take_earlier_snapshots(&simulator, lines).await;
    let mut requests: Vec<&Value> = lines
        .iter()
        .copied()
        .filter(|case| !is_read_back(case))
        .collect();
    requests.sort_by(|a, b| moment(a).total_cmp(&moment(b)));
    let first = first_moment(lines);
    let with_ticket = lines
        .iter()
        .any(|case| note(case).contains("root@pam ticket"));
    let mut due = requests.into_iter().peekable();
    let mut flying: JoinSet<(usize, Option<Answer>)> = JoinSet::new();
    let mut sent: Vec<&Value> = Vec::new();
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    let mut tasks: Vec<String> = Vec::new();
    let mut ours_of: BTreeMap<String, String> = BTreeMap::new();
    let mut crashed = false;
    for step in 0u32.. {
        let passed = STEP * step;
        while let Some(case) = due.next_if(|case| moment(case) - first <= passed.as_secs_f64()) {
            if note(case) == "after the crash" && !std::mem::replace(&mut crashed, true) {
                simulator.with(World::kill_workers);
            }
            learn_digest(&simulator, case, &mut ours_of).await;
            let Some(request) = request(case, &ours_of) else {
                continue;
            };
            let simulator = simulator.clone();
            let index = sent.len();
            sent.push(case);
            let by_hand = with_ticket && needs_root(case);
            let file = file_of(case);
            flying.spawn(async move {
                let answer = match file {
                    Some((name, bytes)) => {
                        simulator
                            .answer_upload(TOKEN, &request, &name, &bytes)
                            .await
                    }
                    None if by_hand => simulator.answer_as("root@pam", &request).await,
                    None => simulator.answer(TOKEN, &request).await,
                };
                (index, answer)
            });
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
            if let Some(pair) = sent[index]["body"]["data"]["digest"]
                .as_str()
                .zip(ours["data"]["digest"].as_str())
            {
                ours_of.insert(pair.0.to_owned(), pair.1.to_owned());
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
        let of_run = |started: SystemTime| match started.duration_since(start) {
            Ok(after) => first + after.as_secs_f64(),
            Err(before) => first - before.duration().as_secs_f64(),
        };
        left.running = world
            .guests()
            .filter_map(|guest| Some((guest.vmid(), of_run(guest.started_at()?))))
            .collect();
        left.world = Some(world.clone());
    });
    Ok(json!({ "answers": answers, "remains": remains }))
}

/// A digest that no line of the round gave was read before it began: it stands for what is there now.
async fn learn_digest(simulator: &Simulator, case: &Value, ours_of: &mut BTreeMap<String, String>) {
    let Some(digest) = case["params"]["digest"].as_str() else {
        return;
    };
    let path = case["path"].as_str().unwrap_or_default();
    let object = match path.rsplit_once('/') {
        Some((guest, "config" | "resize")) => format!("{guest}/config"),
        _ => path.to_owned(),
    };
    let read = request(&json!({ "method": "GET", "path": object }), ours_of);
    if let (Some(read), false) = (read, ours_of.contains_key(digest))
        && let Some(answer) = simulator.answer(TOKEN, &read).await
        && let Some(ours) = body(&answer)["data"]["digest"].as_str()
    {
        ours_of.insert(digest.to_owned(), ours.to_owned());
    }
}

/// Whether a request does what only root itself may, and was not sent with a token to see it refused.
fn needs_root(case: &Value) -> bool {
    let params = &case["params"];
    (params["lock"].is_string() || !params["skiplock"].is_null()) && !note(case).contains("token")
}

/// The file of a recorded upload, told as `20971520 bytes of 'A'`.
fn file_of(case: &Value) -> Option<(String, Vec<u8>)> {
    let text = case["params"]["(file)"].as_str()?;
    let (length, byte) = text.split_once(" bytes of ")?;
    let byte = byte.trim_matches('\'').bytes().next()?;
    let name = case["params"]["filename"].as_str()?.to_owned();
    Some((name, vec![byte; length.parse().ok()?]))
}

/// Snapshots that the round removes or rolls back to, and does not take itself, are there from before.
async fn take_earlier_snapshots(simulator: &Simulator, lines: &[&Value]) {
    let mut known: BTreeSet<(String, String)> = BTreeSet::new();
    for case in lines.iter().filter(|case| !is_read_back(case)) {
        let Some((guest, rest)) = case["path"]
            .as_str()
            .and_then(|path| path.split_once("/snapshot"))
        else {
            continue;
        };
        let named = rest.split('/').nth(1).map(str::to_owned);
        let taken = case["params"]["snapname"].as_str().map(str::to_owned);
        let earlier = named.is_some() && case["method"] != "GET";
        let Some(name) = named.or(taken) else {
            continue;
        };
        if !known.insert((guest.to_owned(), name.clone())) || !earlier {
            continue;
        }
        let call = json!({
            "method": "POST", "path": format!("{guest}/snapshot"), "params": { "snapname": name },
        });
        if let Some(request) = request(&call, &BTreeMap::new()) {
            let taking = simulator.answer(TOKEN, &request);
            let mut taking = std::pin::pin!(taking);
            loop {
                tokio::select! {
                    biased;
                    _ = &mut taking => break,
                    () = tokio::task::yield_now() => simulator.clock().advance(STEP),
                }
            }
            simulator.clock().advance(Duration::from_secs(1));
        }
    }
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
        .with_mirror_error("drive-scsi0: throttle node without file child node name!")
        .with_any_remote_file(Some(RemoteFile::new(4 << 20).with_speed(1_850_000)))
        .with_daemon(Daemon::measured());
    for file in &left.files {
        world = world.with_volume(file, 4 << 20);
    }
    // An event that comes before the guest's system listens is lost.
    world.durations_mut().listens_after = Duration::from_secs(8);
    if let Some(before) = &left.world {
        world = world.with_cluster_files_of(before);
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
        let members = case["params"]["vms"].as_str().unwrap_or_default();
        there.extend(members.split(',').filter_map(|id| id.parse::<u32>().ok()));
        let number = |name: &str| case["params"][name].as_u64().map(|id| id as u32);
        made.extend(number("newid").or_else(|| number("vmid").filter(|_| path.ends_with("/qemu"))));
    }
    for vmid in there {
        world = world.with_guest("pve1", vmid, &machine(vmid));
        if let Some(started) = left.running.get(&vmid) {
            let ago = Duration::from_secs_f64((first_moment(lines) - started).max(0.0));
            world.mark_started(vmid, start - ago);
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
