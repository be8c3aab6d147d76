//! What the figures of the README come from: this crate against others at the same work, in one run.
//!
//! `cargo bench -p restic-wrapper --all-features`; `LINES=200000` and `PAIRS=11` make it shorter. Programs that are not
//! installed are said and left out.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and fails loudly"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use restic_wrapper::retention::{GroupBy, Policy, Zone};
use restic_wrapper::simulator::{FakeRestic, Reply};
use restic_wrapper::{
    Command, Decoded, LineSplitter, Location, Parser, Restic, Snapshot, Stream, Timestamp,
};
use rustix::process::{Pid, Signal, kill_process};

fn main() {
    let lines = number_from("LINES", 1_000_000);
    let folder = tempfile::tempdir().unwrap();
    println!("| work | this crate | compared with | theirs | ratio |");
    println!("| --- | --: | --- | --: | --: |");
    listing(folder.path(), lines);
    retention();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(processes(folder.path()));
}

fn row(work: &str, ours: Duration, other: &str, theirs: Duration) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!(
        "| {work} | {} | {other} | {} | {ratio:.2}x |",
        shown(ours),
        shown(theirs)
    );
}

fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1e-3 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

fn processor_time_of(work: impl FnOnce()) -> Duration {
    let before = all_usage();
    work();
    all_usage() - before
}

/// Processor time to the microsecond.
fn usage(who: UsageWho) -> Duration {
    let usage = getrusage(who).unwrap();
    let whole = usage.user_time() + usage.system_time();
    Duration::from_micros(u64::try_from(whole.num_microseconds()).unwrap())
}

/// Of this process and of its children that have ended.
fn all_usage() -> Duration {
    usage(UsageWho::RUSAGE_SELF) + usage(UsageWho::RUSAGE_CHILDREN)
}

fn number_from(name: &str, default: usize) -> usize {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn best(rounds: usize, mut work: impl FnMut()) -> Duration {
    let time = |work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    (0..rounds).map(|_| time(&mut work)).min().unwrap()
}

fn lowest(rounds: usize, mut work: impl FnMut()) -> Duration {
    (0..rounds)
        .map(|_| processor_time_of(&mut work))
        .min()
        .unwrap()
}

/// `ls` of a million files, in the form of 0.19.
fn listing(folder: &Path, lines: usize) {
    let path = folder.join("ls.jsonl");
    let mut text = String::from(
        "{\"time\":\"2026-11-20T12:25:44Z\",\"tree\":\"93\",\"paths\":[\"/data\"],\"message_type\":\"snapshot\",\"struct_type\":\"snapshot\"}\n",
    );
    for number in 0..lines {
        let time = format!(
            "2026-11-20T12:25:{:02}.{:09}Z",
            number % 60,
            number * 977 % 1_000_000_000
        );
        writeln!(
            text,
            "{{\"name\":\"file-{number}.dat\",\"type\":\"file\",\"path\":\"/data/folder-{}/file-{number}.dat\",\"uid\":1000,\"gid\":1000,\"size\":{},\"mode\":420,\"permissions\":\"-rw-r--r--\",\"mtime\":\"{time}\",\"atime\":\"{time}\",\"ctime\":\"{time}\",\"inode\":{},\"message_type\":\"node\",\"struct_type\":\"node\"}}",
            number / 1000,
            number * 31 % 1_000_000,
            10_000_000 + number,
        )
        .unwrap();
    }
    std::fs::write(&path, &text).unwrap();
    let expected: u64 = (0..lines as u64)
        .map(|number| number * 31 % 1_000_000)
        .sum();
    drop(text);
    let work = format!(
        "{lines} lines of `ls` ({} MB), typed (processor time)",
        path.metadata().unwrap().len() / 1_000_000
    );

    // Through the same reader and parser as a running command, in pieces of a pipe's size.
    let ours = lowest(3, || {
        let mut file = std::fs::File::open(&path).unwrap();
        let mut parser = Parser::new(Command::Ls);
        let mut splitter = LineSplitter::new(1 << 30);
        let mut buffer = vec![0; 1 << 16];
        let (mut nodes, mut bytes) = (0, 0);
        loop {
            let n = std::io::Read::read(&mut file, &mut buffer).unwrap();
            if n == 0 {
                break;
            }
            splitter.push(&buffer[..n], &mut |line| {
                parser.line(Stream::Stdout, line, &mut |value| {
                    if let Decoded::Node(node) = value {
                        nodes += 1;
                        bytes += node.size.unwrap_or(0);
                    }
                });
            });
        }
        assert_eq!((nodes, bytes), (lines, expected));
    });
    println!("| memory after it | {} MB | | | |", peak_memory());

    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "what a user would write")]
    struct Owned {
        name: String,
        path: String,
        #[serde(rename = "type")]
        kind: String,
        size: Option<u64>,
        mode: u32,
        uid: u32,
        gid: u32,
        mtime: String,
        atime: String,
        ctime: String,
        inode: Option<u64>,
    }
    let theirs = lowest(3, || {
        let file = std::io::BufReader::with_capacity(1 << 16, std::fs::File::open(&path).unwrap());
        let (mut nodes, mut bytes) = (0, 0);
        for line in file.lines() {
            if let Ok(node) = serde_json::from_str::<Owned>(&line.unwrap()) {
                nodes += 1;
                bytes += node.size.unwrap_or(0);
            }
        }
        assert_eq!((nodes, bytes), (lines, expected));
    });
    row(&work, ours, "serde_json, owned, line by line", theirs);
    let python = "import json,sys\nn=b=0\nfor l in sys.stdin:\n d=json.loads(l)\n if d['struct_type']=='node':\n  n+=1;b+=d['size']\nprint(b)";
    let jq = "reduce (inputs|select(.struct_type==\"node\")|.size) as $s (0;.+$s)";
    let programs: [(&str, &[&str]); 2] = [("python3", &["-c", python]), ("jq", &["-n", jq])];
    for (program, args) in programs {
        let mut output = None;
        let time = processor_time_of(|| {
            let input = std::fs::File::open(&path).unwrap();
            output = Some(Process::new(program).args(args).stdin(input).output());
        });
        match output.unwrap() {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                assert_eq!(text, expected.to_string(), "{program}");
                row(&work, ours, program, time);
            }
            _ => println!("| {work} | {} | {program} | absent | |", shown(ours)),
        }
    }
}

fn peak_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<u64>().ok())
        .unwrap_or(0)
        / 1000
}

/// Ten thousand snapshots of four hosts over years.
fn retention() {
    let list: Vec<Snapshot> = (0..10_000_u64)
        .map(|number| {
            let time = UNIX_EPOCH + Duration::from_secs(1_500_000_000 + number * 27_000);
            let mut snapshot = Snapshot::new(Timestamp::from(time));
            snapshot.id = format!("{number:064x}");
            snapshot.hostname = format!("host-{}", number % 4);
            snapshot.paths = vec!["/etc".to_owned(), "/home".to_owned()];
            snapshot
        })
        .collect();
    let policy: Policy =
        "last=10 hourly=24 daily=30 weekly=52 monthly=60 yearly=10 within=30d within-weekly=2y"
            .parse()
            .unwrap();
    let now = Timestamp::from(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let zone = Zone::named("Europe/Berlin").unwrap();
    let ours = best(20, || {
        let plan = policy.plan(&list, GroupBy::default(), now, &zone).unwrap();
        assert_eq!(plan.kept().count() + plan.removed().count(), 10_000);
    });
    println!(
        "| retention of 10,000 snapshots | {} | the goal | 5.0 ms | {:.2}x |",
        shown(ours),
        ours.as_secs_f64() / 0.005
    );
}

async fn processes(folder: &Path) {
    let Ok(restic) = Restic::find().await else {
        println!("| a backup | restic is absent | | | |");
        return;
    };
    let source = folder.join("source");
    std::fs::create_dir(&source).unwrap();
    let mut state = 1_u64;
    for number in 0..64 {
        let mut bytes = Vec::with_capacity(1 << 20);
        while bytes.len() < 1 << 20 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        std::fs::File::create(source.join(number.to_string()))
            .unwrap()
            .write_all(&bytes)
            .unwrap();
    }
    let repository = restic
        .repository(Location::local(folder.join("repository")), "correct horse")
        .no_cache()
        .progress_per_second(10.0)
        .check_lock_after_cancel(false);
    repository.ensure().await.unwrap();
    repository.backup([&source]).await.unwrap();
    let program = std::env::var("RESTIC").unwrap_or_else(|_| "restic".to_owned());
    let alone = |args: &[&str]| {
        let mut command = Process::new(&program);
        command
            .args(args)
            .env("RESTIC_PASSWORD", "correct horse")
            .env("RESTIC_REPOSITORY", folder.join("repository"))
            .env("RESTIC_PROGRESS_FPS", "10")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let shown_source = source.to_string_lossy().into_owned();
    let backup = ["backup", "--json", "--no-cache", "--force", &shown_source];
    // Pairs in alternating order, so that what else the machine does meets both alike.
    let pairs = number_from("PAIRS", 41);
    let mut mine = Vec::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        for by_crate in [pair % 2 == 0, pair % 2 != 0] {
            let (wall, processor, own) =
                (Instant::now(), all_usage(), usage(UsageWho::RUSAGE_SELF));
            if by_crate {
                repository.backup([&source]).force().await.unwrap();
                mine.push(usage(UsageWho::RUSAGE_SELF) - own);
            } else {
                assert!(alone(&backup).status().unwrap().success());
            }
            let run = (wall.elapsed(), all_usage() - processor);
            if by_crate { &mut ours } else { &mut theirs }.push(run);
        }
    }
    for (name, pick) in [
        (
            "from start to end",
            (|run| run.0) as fn(&(Duration, Duration)) -> Duration,
        ),
        ("processor time of all processes", |run| run.1),
    ] {
        let ratios = ours.iter().zip(&theirs);
        let mut ratios: Vec<f64> = ratios
            .map(|(a, b)| pick(a).as_secs_f64() / pick(b).as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "| a backup of 64 MB, {name}, medians of {pairs} pairs | {} | restic alone | {} | {:.3}x (middle half {:.3} to {:.3}) |",
            shown(median(ours.iter().map(pick).collect())),
            shown(median(theirs.iter().map(pick).collect())),
            ratios[pairs / 2],
            ratios[pairs / 4],
            ratios[pairs - 1 - pairs / 4],
        );
    }
    let (own, whole) = (
        median(mine),
        median(theirs.iter().map(|run| run.1).collect()),
    );
    println!(
        "| the same, processor time of this crate itself | {} | restic's own | {} | 1 + {:.4}x |",
        shown(own),
        shown(whole),
        own.as_secs_f64() / whole.as_secs_f64()
    );

    let slow = repository.clone().limit_upload(4096);
    let more = folder.join("more");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let limited = [
        "backup",
        "--json",
        "--no-cache",
        "--limit-upload=4096",
        &more.to_string_lossy(),
    ]
    .map(str::to_owned);
    for round in 0..9_u64 {
        for by_crate in [true, false] {
            // New content every time, so that there is something to upload when the signal comes.
            let mut bytes = vec![0_u8; 16 << 20];
            for chunk in bytes.chunks_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
            }
            std::fs::write(&more, bytes).unwrap();
            let wait = Duration::from_millis(1500 + round * 60);
            if by_crate {
                let run = slow.backup([&more]).start().unwrap();
                tokio::time::sleep(wait).await;
                let started = Instant::now();
                assert!(run.cancel().await.is_err());
                ours.push(started.elapsed());
            } else {
                let args: Vec<&str> = limited.iter().map(String::as_str).collect();
                let mut child = alone(&args).spawn().unwrap();
                std::thread::sleep(wait);
                let started = Instant::now();
                let pid = Pid::from_child(&child);
                kill_process(pid, Signal::INT).unwrap();
                child.wait().unwrap();
                theirs.push(started.elapsed());
            }
        }
    }
    row(
        "cancel, median of 9",
        median(ours),
        "SIGINT to restic alone",
        median(theirs),
    );
    cancels_of_a_fake(folder).await;
}

/// What cancelling costs where the program itself ends at once.
async fn cancels_of_a_fake(folder: &Path) {
    let folder = folder.join("fake");
    std::fs::create_dir(&folder).unwrap();
    let reply = Reply::new().out("ready").sleep(Duration::from_secs(3600));
    let program = FakeRestic::new("0.19.1")
        .on("backup", reply)
        .install(Path::new(env!("CARGO_BIN_EXE_fake-restic")), &folder)
        .unwrap();
    let restic = Restic::at(&program).await.unwrap();
    let repository = restic
        .repository(Location::local(&folder), "correct horse")
        .check_lock_after_cancel(false);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..51 {
        let mut run = repository.backup(["/"]).start().unwrap();
        run.next().await.unwrap();
        let started = Instant::now();
        assert!(run.cancel().await.unwrap_err().is_cancelled());
        ours.push(started.elapsed());
        let mut child = Process::new(&program)
            .arg("backup")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        let started = Instant::now();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        child.wait().unwrap();
        theirs.push(started.elapsed());
    }
    row(
        "cancel of a program that ends at once, median of 51",
        median(ours),
        "SIGINT to it alone",
        median(theirs),
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
