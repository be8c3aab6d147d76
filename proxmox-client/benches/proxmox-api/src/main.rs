//! The same work as the benchmark's own part, with `proxmox-api` 0.2.0. Prints one line of JSON.

use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use proxmox_api::client::Client as _;
use proxmox_api::cluster::{ClusterClient, resources};
use proxmox_api::nodes::NodesClient;
use proxmox_api::nodes::node::qemu::vmid::{clone, config, resize, status::start};
use proxmox_api::{ReqwestClient, ReqwestError, types::VmId};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Node = proxmox_api::nodes::node::NodeClient<ReqwestClient>;

const POLL: Duration = Duration::from_millis(100);
/// How long the modelled guest boots, on a clock twice as fast as ours.
const BOOT: Duration = Duration::from_secs(1);

fn connect(port: u64) -> ReqwestClient {
    let host = format!("https://127.0.0.1:{port}");
    ReqwestClient::new(&host, "root", "pam", None).with_api_token("lab", "lab-secret")
}

fn node(client: &ReqwestClient) -> Node {
    NodesClient::new(client.clone()).node("pve1")
}

fn machine(vmid: u64) -> VmId {
    VmId::try_from(i128::from(vmid)).expect("a VMID")
}

/// Looks at the task until it is over: the crate has nothing that waits.
async fn done(node: &Node, upid: &str, interval: Duration) -> Result<(), Failure> {
    loop {
        let status = node.tasks().upid(upid).status().get().await?;
        match status.exitstatus.as_deref() {
            None => tokio::time::sleep(interval).await,
            Some("OK") => return Ok(()),
            Some(other) => return Err(other.to_owned().into()),
        }
    }
}

/// Clone, cloud-init, resize, start, wait for an address.
async fn build(port: u64, vmid: Option<u64>) -> Result<u64, Failure> {
    let client = connect(port);
    let vmid = match vmid {
        Some(vmid) => vmid,
        // The typed call reads a number where the server answers a text.
        None => client
            .get::<_, String>("/cluster/nextid", &())
            .await?
            .parse()?,
    };
    let node = node(&client);
    let mut wanted = clone::PostParams::new(i128::from(vmid).try_into()?);
    wanted.name = Some(format!("vm{vmid}"));
    let template = node.qemu().vmid(machine(9000));
    let upid = template.clone().post(wanted).await?;
    done(&node, &upid, POLL).await?;
    let vm = node.qemu().vmid(machine(vmid));
    let mut wanted = config::PutParams::default();
    wanted.ciuser = Some("lab".to_owned());
    wanted.cores = std::num::NonZeroU64::new(2);
    let address = format!("ip=192.0.2.{}/24", vmid % 250);
    wanted.ipconfigs.insert(0, address);
    match vm.config().put(wanted).await {
        // A success without data is told as a failure.
        Err(ReqwestError::UnknownFailure(status, _)) if status.as_u16() == 200 => {}
        other => other?,
    }
    let wanted = resize::PutParams::new(resize::Disk::Scsi0, "8G".to_owned().try_into()?);
    let upid = vm.resize().put(wanted).await?;
    done(&node, &upid, POLL).await?;
    let upid = vm
        .status()
        .start()
        .post(start::PostParams::default())
        .await?;
    done(&node, &upid, POLL).await?;
    tokio::time::sleep(BOOT).await;
    for _ in 0..600 {
        if let Ok(answer) = vm.agent().network_get_interfaces().get().await
            && has_address(&answer.additional_properties["result"])
        {
            return Ok(vmid);
        }
        tokio::time::sleep(POLL).await;
    }
    Err("no address".into())
}

fn has_address(cards: &Value) -> bool {
    let cards = cards.as_array().into_iter().flatten();
    cards
        .filter_map(|card| card["ip-addresses"].as_array())
        .flatten()
        .any(|address| {
            address["ip-address-type"] == "ipv4"
                && !address["ip-address"]
                    .as_str()
                    .is_none_or(|text| text.starts_with("127."))
        })
}

async fn several(port: u64, wanted: Vec<Option<u64>>, threads: u64) -> Value {
    let all = wanted.len();
    let results: Vec<Result<u64, Failure>> = stream::iter(wanted)
        .map(|vmid| build(port, vmid))
        .buffer_unordered(threads as usize)
        .collect()
        .await;
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        eprintln!("failed: {error}");
    }
    let ids: Vec<u64> = results.into_iter().filter_map(Result::ok).collect();
    json!({ "failed": all - ids.len(), "ids": ids })
}

async fn list(port: u64, rounds: u64) -> Value {
    let cluster = ClusterClient::new(connect(port));
    let (mut times, mut count) = (Vec::new(), 0);
    for _ in 0..rounds {
        let start = Instant::now();
        let resources = cluster.resources();
        let all = resources.get(resources::GetParams::default()).await;
        count = all.expect("the list").len();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    json!({ "median": times[times.len() / 2], "count": count })
}

async fn tasks(port: u64, count: u64, seconds: u64) -> Value {
    let node = node(&connect(port));
    let mut started = Vec::new();
    for vmid in 1000..1000 + count {
        let vm = node.qemu().vmid(machine(vmid));
        let start = vm.status().start();
        let upid = start.post(start::PostParams::default()).await;
        started.push((upid.expect("a task"), Instant::now()));
    }
    let begun = Instant::now();
    let delays = join_all(started.into_iter().map(|(upid, since)| {
        let node = node.clone();
        async move {
            let waited = done(&node, &upid, Duration::from_secs(1)).await;
            waited.expect("a task that succeeds");
            since.elapsed().as_secs_f64() - seconds as f64
        }
    }))
    .await;
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    json!({ "delay": mean, "wall": begun.elapsed().as_secs_f64() })
}

/// Most memory that this process had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.expect("the peak in KiB") << 10
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (mode, numbers) = words.split_first().expect("a mode");
    let numbers: Vec<u64> = numbers
        .iter()
        .map(|word| word.parse().expect("a number"))
        .collect();
    let begun = Instant::now();
    let mut out = match (mode.as_str(), numbers.as_slice()) {
        ("p1", [port, count, threads, first]) => {
            several(*port, (*first..first + count).map(Some).collect(), *threads).await
        }
        ("p2", [port, count, threads]) => {
            several(*port, vec![None; *count as usize], *threads).await
        }
        ("p3", [port, rounds]) => list(*port, *rounds).await,
        ("p4", [port, count, seconds]) => tasks(*port, *count, *seconds).await,
        _ => panic!("unknown work {words:?}"),
    };
    if out.get("wall").is_none() {
        out["wall"] = begun.elapsed().as_secs_f64().into();
    }
    out["peak"] = peak().into();
    println!("{out}");
}
