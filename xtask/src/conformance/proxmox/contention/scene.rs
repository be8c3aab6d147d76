//! What was there when a round began: machines, storages, earlier snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use proxmox_client::QemuConfig;
use proxmox_client::simulator::{Daemon, NodeSpec, RemoteFile, Simulator, StorageSpec, World};
use serde_json::{Value, json};

use super::super::exchange::{TOKEN, request};
use super::rounds::{first_moment, is_read_back, moment};

/// How long an allocation holds the lock of the storages that were made for this, and how fast they are filled where
/// preallocation is full, in bytes per second: clones that waited for one another ended 1.15 to 1.3 s apart on the local one
/// and 0.95 to 1.3 s on the shared one.
const ALLOCATING: Duration = Duration::from_millis(15);
const FILLED: u64 = 1_400_000_000;
const SHARED_FILLED: u64 = 1_900_000_000;
/// What a copy of the disks that were filled so costs, as bytes in use: clones that nobody hindered took 1.6 to 2.0 s there,
/// half a second more than the allocation and a small clone.
const COPIED: u64 = 94_000_000;

/// The clock's step while something from before is made.
const STEP: Duration = Duration::from_millis(5);

/// What a round leaves to the next of its run.
#[derive(Default)]
pub(super) struct Left {
    pub(super) world: Option<World>,
    /// The moment of that world, in seconds of the run.
    pub(super) moment: f64,
    /// The moment of the round's first request.
    pub(super) began: f64,
    run: String,
}

impl Left {
    /// A run has seconds of its own: what another one left is from just before its first request.
    pub(super) fn enter(&mut self, run: &str, first: f64) {
        if self.run != run {
            self.run = run.to_owned();
            (self.moment, self.began) = (first, f64::NEG_INFINITY);
        }
    }
}

/// What was there when a round began: what the round before left, or what every run began with. Machines that the round
/// does not ask for were removed in between; those that it asks for were there, or made by what prepared it.
pub(super) fn world(lines: &[&Value], preparing: &[&Value], left: &Left, seed: u64) -> World {
    let first = first_moment(lines);
    let mut world = match &left.world {
        Some(world) => {
            let mut world = world.clone();
            let gap = Duration::from_secs_f64((first - left.moment).max(0.0));
            world.advance(world.now() + gap);
            world
        }
        None => beginning(seed),
    };
    // This storage's preallocation was full in some rounds.
    let clones = |source: &str| {
        lines.iter().any(|case| {
            case["path"]
                .as_str()
                .is_some_and(|path| path.contains(source))
        })
    };
    if clones("/qemu/9006/") {
        world = world.with_allocation("ctshared", ALLOCATING, Some(SHARED_FILLED));
    }
    for (vmid, started) in started_at(left) {
        let ago = Duration::from_secs_f64((first - started).max(0.0));
        let now = world.now();
        world.mark_rebooted(vmid, now - ago);
    }
    let asked = asked_for(lines);
    let between = |case: &&&Value| moment(case) > left.began && moment(case) < first;
    let prepared: Vec<&Value> = preparing.iter().filter(between).copied().collect();
    let made: BTreeSet<u32> = prepared.iter().filter_map(|case| made_by(case)).collect();
    let old: Vec<u32> = world.guests().map(|guest| guest.vmid()).collect();
    for vmid in old {
        if made.contains(&vmid) || !asked.contains(&vmid) {
            world = world.without_guest(vmid);
        }
    }
    for vmid in asked {
        if world.guest(vmid).is_none() {
            let created = prepared
                .iter()
                .find(|case| made_by(case) == Some(vmid) && !case["params"]["vmid"].is_null());
            let config = created.map_or_else(|| machine(vmid), |case| created_by(case, vmid));
            world = world.with_guest("pve1", vmid, &config);
        }
    }
    // Disks were grown after they were made: most of them is zeros.
    for volid in [
        "ctslow:9003/vm-9003-disk-0.qcow2",
        "ctshared:9006/vm-9006-disk-0.qcow2",
    ] {
        world = world.with_used_size(volid, COPIED);
    }
    world
}

/// When each running machine was started, in seconds of the run. Rounds overlap, so this may be after their first request.
fn started_at(left: &Left) -> Vec<(u32, f64)> {
    let Some(world) = &left.world else {
        return Vec::new();
    };
    let age = |started: SystemTime| world.now().duration_since(started).unwrap_or_default();
    let running = world
        .guests()
        .filter_map(|guest| Some((guest.vmid(), age(guest.started_at()?))));
    running
        .map(|(vmid, age)| (vmid, left.moment - age.as_secs_f64()))
        .collect()
}

/// What every run began with.
fn beginning(seed: u64) -> World {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_179_219);
    let mut world = World::new(seed, start)
        .with_node(NodeSpec::new("pve1", 2, 24 << 30).with_bridge("vmbr0", false))
        .with_storage(StorageSpec::directory("local", "/var/lib/vz", 250 << 30))
        .with_storage(
            StorageSpec::directory("scratch", "/var/lib/scratch", 250 << 30)
                .with_allocation_speed(6_300_000_000),
        )
        .with_storage(images("ctslow"))
        .with_storage(images("ctshared").with_shared())
        .with_allocation("ctslow", ALLOCATING, Some(FILLED))
        .with_allocation("ctshared", ALLOCATING, None)
        .with_volume("local:import/guest.qcow2", 26_822_656)
        .with_token("root@pam!sdk", "recorded")
        .with_mirror_error("drive-scsi0: throttle node without file child node name!")
        .with_any_remote_file(Some(RemoteFile::new(4 << 20).with_speed(1_850_000)))
        .with_daemon(Daemon::measured().without_mishaps());
    // An event that comes before the guest's system listens is lost.
    world.durations_mut().listens_after = Duration::from_secs(8);
    world
}

/// A storage for images only.
fn images(name: &str) -> StorageSpec {
    StorageSpec::directory(name, &format!("/var/lib/{name}"), 250 << 30).with_content(&["images"])
}

/// The machines that a round asks for and does not make itself, and the templates that are always there.
fn asked_for(lines: &[&Value]) -> BTreeSet<u32> {
    let mut made: BTreeSet<u32> = BTreeSet::new();
    let mut asked: BTreeSet<u32> = BTreeSet::from([9000, 9001]);
    for case in lines.iter().filter(|case| !is_read_back(case)) {
        let path = case["path"].as_str().unwrap_or_default();
        let id = path
            .split('/')
            .skip_while(|part| *part != "qemu")
            .nth(1)
            .and_then(|part| part.parse().ok());
        if let Some(id) = id.filter(|id| !made.contains(id)) {
            asked.insert(id);
        }
        let members = case["params"]["vms"].as_str().unwrap_or_default();
        asked.extend(members.split(',').filter_map(|id| id.parse::<u32>().ok()));
        made.extend(made_by(case));
    }
    asked
}

/// The machine that a request makes.
fn made_by(case: &Value) -> Option<u32> {
    let number = |name: &str| case["params"][name].as_u64().map(|id| id as u32);
    let creates = case["path"]
        .as_str()
        .is_some_and(|path| path.ends_with("/qemu"));
    number("newid").or_else(|| number("vmid").filter(|_| creates))
}

/// The machine that a creation made, its volumes included.
fn created_by(case: &Value, vmid: u32) -> QemuConfig {
    let params = case["params"].as_object().into_iter().flatten();
    let mut disks = 0;
    params.filter(|(key, _)| key.as_str() != "vmid").fold(
        QemuConfig::new(),
        |config, (key, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let wish = text
                .split_once(':')
                .filter(|(_, rest)| rest.starts_with(|first: char| first.is_ascii_digit()));
            match wish {
                Some((storage, _)) => {
                    disks += 1;
                    let name = format!("vm-{vmid}-disk-{}.qcow2", disks - 1);
                    config.with(key, format!("{storage}:{vmid}/{name},size=26194K"))
                }
                None => config.with(key, text),
            }
        },
    )
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

/// Snapshots that the round removes or rolls back to, and does not take itself, are there from before.
pub(super) async fn take_earlier_snapshots(simulator: &Simulator, lines: &[&Value]) {
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
