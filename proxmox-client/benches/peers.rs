//! What the figures of the README come from: this crate, proxmoxer and `proxmox-api` at the same work, against the same
//! simulator, in one run.
//!
//! `cargo bench -p proxmox-ve-client --all-features --bench peers [-- P1 P3 … C]`. The server runs in this process, every
//! client in one of its own, so that memory can be told apart. `PEER_PYTHON` names the interpreter that has proxmoxer;
//! `proxmox-api` is built from the registry (`benches/proxmox-api`). What is not there is said not to have run. Times are
//! seconds of the modelled clock where the text says so.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark prints, and fails loudly"
)]

#[path = "peers/anchor.rs"]
mod anchor;
#[path = "peers/client.rs"]
mod client;
#[path = "peers/compile.rs"]
mod compile;
#[path = "peers/server.rs"]
mod server;

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anchor::Anchor;
use proxmox_client::simulator::{Clock, Daemon, NodeSpec, Server, Simulator, StorageSpec, World};
use serde_json::Value;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .unwrap();
    if let Ok(mode) = std::env::var("PEERS_CLIENT") {
        println!("{}", runtime.block_on(client::run(&mode)));
        return;
    }
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word.starts_with(['P', 'C']))
        .collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let anchors = anchor::all();
    println!("| measure | this crate | proxmoxer | ratio | proxmox-api | ratio |");
    println!("| --- | --: | --: | --: | --: | --: |");
    if runs("P1") {
        runtime.block_on(p1(&anchors));
    }
    if runs("P2") {
        runtime.block_on(p2(&anchors));
    }
    if runs("P3") {
        runtime.block_on(p3(&anchors));
    }
    if runs("P4") {
        runtime.block_on(p4(&anchors));
    }
    if runs("P5") {
        runtime.block_on(p5(&anchors));
    }
    if runs("P6") {
        runtime.block_on(p6());
    }
    if runs("C") {
        compiled();
    }
    println!(
        "\nNot run: the bpg provider and go-proxmox (nothing but package indexes can be reached)."
    );
}

/// What an anchor showed, and ours as a part of it.
struct Beside {
    shown: String,
    ratio: Option<f64>,
}

impl Beside {
    fn new(shown: impl Into<String>, ratio: Option<f64>) -> Self {
        let shown = shown.into();
        Self { shown, ratio }
    }
}

fn row(what: &str, ours: &str, anchors: impl IntoIterator<Item = Beside>) {
    let cells = anchors.into_iter().map(|beside| {
        let ratio = beside.ratio.map(|ratio| format!("{ratio:.2}"));
        format!(" {} | {} |", beside.shown, ratio.unwrap_or_default())
    });
    println!("| {what} | {ours} |{}", cells.collect::<String>());
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or(f64::NAN)
}

/// A client process of ours.
async fn ours(mode: &str, server: &Server, arguments: &[u64]) -> Value {
    let words: Vec<String> = arguments.iter().map(u64::to_string).collect();
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command
        .env("PEERS_CLIENT", mode)
        .env("PEERS_ENDPOINT", server.endpoint())
        .env("PEERS_FINGERPRINT", server.fingerprint())
        .env("PEERS_ARGUMENTS", words.join(" "));
    answer(command).await.expect("our own client")
}

async fn answer(mut command: tokio::process::Command) -> Option<Value> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let output = child.wait_with_output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(text.lines().last()?).ok()
}

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

/// The modelled server of P1 and P2: a clone takes 2 s, a start 1 s, the agent is up 2 s later; three workers.
fn busy(speed: f64) -> Simulator {
    let template = proxmox_client::QemuConfig::new()
        .with("template", 1)
        .with("agent", "1")
        .with("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0")
        .with("ide2", "local:9000/vm-9000-cloudinit.qcow2,media=cdrom")
        .with("scsi0", "local:9000/base-9000-disk-0.qcow2,size=2G");
    let mut world = World::new(5, start())
        .with_node(NodeSpec::new("pve1", 8, 512 << 30).with_bridge("vmbr0", true))
        .with_storage(StorageSpec::directory("local", "/var/lib/vz", 4 << 40))
        .with_token("root@pam!lab", "lab-secret")
        .with_daemon(Daemon::measured())
        .with_guest("pve1", 9000, &template);
    let times = world.durations_mut();
    times.linked_clone = Duration::from_secs(2);
    times.start = Duration::from_secs(1);
    (times.start_cloud_init, times.start_card) = (Duration::ZERO, Duration::ZERO);
    times.agent_up = Some(Duration::from_secs(2));
    Simulator::with_clock(world, Clock::accelerated(start(), speed))
}

/// Requests for each machine, those left aside that only ask how far something is.
fn requests_each(simulator: &Simulator, machines: u64) -> f64 {
    let journal = simulator.journal();
    let asked = journal.iter().filter(|entry| {
        let polls = entry.method == "GET"
            && (entry.path.contains("/tasks") || entry.path.contains("/agent/"));
        !polls
    });
    asked.count() as f64 / machines as f64
}

async fn p1(anchors: &[Anchor]) {
    let (speed, machines) = (2.0, 50u64);
    for threads in [1u64, 8, 50] {
        let simulator = busy(speed);
        let server = simulator.serve().await.unwrap();
        let us = ours("p1", &server, &[machines, threads, 100]).await;
        let requests = requests_each(&simulator, machines);
        let work = 5.0 * machines.div_ceil(threads) as f64;
        let shown = |value: &Value| {
            format!(
                "{:.1} s, {} failed",
                number(value, "wall") * speed,
                value["failed"]
            )
        };
        let mut beside = Vec::new();
        for anchor in anchors {
            let server = busy(speed).serve().await.unwrap();
            let port = server.address().port();
            let them = anchor.run("p1", port, &[machines, threads, 100]).await;
            beside.push(anchor::beside(them, |them| {
                Beside::new(
                    shown(them),
                    Some(number(&us, "wall") / number(them, "wall")),
                )
            }));
        }
        row(
            &format!(
                "P1: 50 linked clones to an address, {threads} at once (modelled; the work alone {work:.0} s; {requests:.1} requests each besides polling)"
            ),
            &shown(&us),
            beside,
        );
    }
}

/// What two processes made: how many machines, how many ids twice, how many failures.
fn distinct(both: &[Value]) -> String {
    let all: Vec<u64> = both
        .iter()
        .flat_map(|value| value["ids"].as_array().cloned().unwrap_or_default())
        .filter_map(|id| id.as_u64())
        .collect();
    let mut one = all.clone();
    one.sort_unstable();
    one.dedup();
    let failed: u64 = both
        .iter()
        .filter_map(|value| value["failed"].as_u64())
        .sum();
    format!(
        "{} made, {} twice, {failed} failed",
        one.len(),
        all.len() - one.len()
    )
}

async fn p2(anchors: &[Anchor]) {
    let speed = 2.0;
    let simulator = busy(speed);
    let server = simulator.serve().await.unwrap();
    let arguments = [25, 8];
    let (one, two) = tokio::join!(
        ours("p2", &server, &arguments),
        ours("p2", &server, &arguments)
    );
    let us = distinct(&[one, two]);
    let mut beside = Vec::new();
    for anchor in anchors {
        let server = busy(speed).serve().await.unwrap();
        let port = server.address().port();
        let (one, two) = tokio::join!(
            anchor.run("p2", port, &arguments),
            anchor.run("p2", port, &arguments)
        );
        let both = one.zip(two).map(|(one, two)| Value::from(vec![one, two]));
        beside.push(anchor::beside(both, |both| {
            Beside::new(distinct(both.as_array().unwrap()), None)
        }));
    }
    row(
        "P2: two processes, 25 machines each, ids as each finds them",
        &us,
        beside,
    );
}

async fn p3(anchors: &[Anchor]) {
    let canned = server::Canned::resources(10_000).await;
    let us = canned.ours(&[10]).await;
    assert_eq!(us["count"], 10_000);
    let time = |value: &Value| format!("{:.0} ms", number(value, "median") * 1e3);
    let memory = |value: &Value| format!("{:.0} MiB", number(value, "peak") / 1_048_576.0);
    let (mut times, mut memories) = (Vec::new(), Vec::new());
    for anchor in anchors {
        let them = anchor.run("p3", canned.port(), &[10]).await;
        let ratio = |them: &Value, key: &str| Some(number(&us, key) / number(them, key));
        times.push(anchor::beside(them.clone(), |them| {
            Beside::new(time(them), ratio(them, "median"))
        }));
        memories.push(anchor::beside(them, |them| {
            Beside::new(memory(them), ratio(them, "peak"))
        }));
    }
    row("P3: list 10,000 guests, median of 10", &time(&us), times);
    row("P3: peak memory of the process", &memory(&us), memories);
}

async fn p4(anchors: &[Anchor]) {
    let (count, seconds) = (200u64, 15u64);
    let lab = || {
        let mut world = World::lab();
        for vmid in 0..count as u32 {
            world = world.with_guest("pve1", 1000 + vmid, &proxmox_client::QemuConfig::new());
        }
        world.durations_mut().start = Duration::from_secs(seconds);
        Simulator::with_clock(world, Clock::accelerated(start(), 1.0))
    };
    let asked = |simulator: &Simulator, value: &Value| {
        let journal = simulator.journal();
        let polls = journal.iter().filter(|entry| entry.method == "GET").count();
        polls as f64 / number(value, "wall")
    };
    let shown = |value: &Value, rate: f64| {
        format!(
            "{rate:.0} requests/s, seen after {:.2} s",
            number(value, "delay")
        )
    };
    let simulator = lab();
    let server = simulator.serve().await.unwrap();
    let us = ours("p4", &server, &[count, seconds]).await;
    let of_us = asked(&simulator, &us);
    let mut beside = Vec::new();
    for anchor in anchors {
        let simulator = lab();
        let server = simulator.serve().await.unwrap();
        let port = server.address().port();
        let them = anchor.run("p4", port, &[count, seconds]).await;
        beside.push(anchor::beside(them, |them| {
            let of_them = asked(&simulator, them);
            Beside::new(shown(them, of_them), Some(of_us / of_them))
        }));
    }
    row(
        "P4: 200 tasks waited for (mean time from a task's end until it is known; ratio of requests)",
        &shown(&us, of_us),
        beside,
    );
}

async fn p5(anchors: &[Anchor]) {
    let mib: u64 = std::env::var("UPLOAD_MIB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4096);
    let simulator = Simulator::new(World::lab());
    let server = simulator.serve().await.unwrap();
    let us = ours("p5", &server, &[mib]).await;
    let shown = |value: &Value| {
        format!(
            "{:.0} MiB/s, peak {:.0} MiB",
            mib as f64 / number(value, "wall"),
            number(value, "peak") / 1_048_576.0,
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.iso");
    // Holes take no space.
    std::fs::File::create(&path)
        .unwrap()
        .set_len(mib << 20)
        .unwrap();
    let mut beside = Vec::new();
    for anchor in anchors {
        let port = server.address().port();
        let them = anchor.upload(port, &path).await;
        beside.push(anchor::beside(them, |them| {
            Beside::new(
                shown(them),
                Some(number(&us, "peak") / number(them, "peak")),
            )
        }));
    }
    let before = number(&us, "before") / 1_048_576.0;
    row(
        &format!("P5: upload {mib} MiB (ratio of memory; ours had {before:.0} MiB before)"),
        &shown(&us),
        beside,
    );
}

async fn p6() {
    let simulator = Simulator::new(World::lab().with_user("load@pve", "x"));
    let outcome = client::node_lost(&simulator).await;
    row(
        "P6: a node of three is lost during 1,000 mixed calls",
        &outcome,
        ["has one address", "has one address"].map(|text| Beside::new(text, None)),
    );
}

fn compiled() {
    let cost = anchor::folder().and_then(|folder| compile::measure(&folder));
    let cost = cost.expect("a place to compile in");
    let theirs = cost.proxmox_api.map_or_else(
        || Beside::new("not run", None),
        |theirs| Beside::new(format!("{theirs:.1} s"), Some(cost.with_calls / theirs)),
    );
    row(
        "C: `cargo check` with every call, dependencies done (processor time)",
        &format!(
            "{:.1} s ({:.1} s without the calls)",
            cost.with_calls, cost.without_calls
        ),
        [Beside::new("", None), theirs],
    );
}
