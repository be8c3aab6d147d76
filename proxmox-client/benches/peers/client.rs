//! Our half of the work, in a process of its own.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, join_all};
use proxmox_client::simulator::Simulator;
use proxmox_client::task::{PollPolicy, Submitted};
use proxmox_client::wire::{Method, Request};
use proxmox_client::{
    Client, CloneOptions, IpRule, Limits, Qemu, QemuConfig, Result, Size, Trust, Upload, VmidPool,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, ReadBuf};

const POLL: Duration = Duration::from_millis(100);
/// How long the modelled guest boots, which both sides leave it alone, on a clock twice as fast as ours.
const BOOT: Duration = Duration::from_secs(1);

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

fn connect(endpoints: &[String], fingerprint: &str, limits: Limits, poll: PollPolicy) -> Client {
    let mut builder = Client::builder()
        .token("root@pam!lab=lab-secret")
        .trust(Trust::fingerprint(fingerprint).unwrap())
        .limits(limits)
        .poll(poll);
    for endpoint in endpoints {
        builder = builder.endpoint(endpoint);
    }
    builder.build().unwrap()
}

/// Most memory that this process had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

pub(crate) async fn run(mode: &str) -> Value {
    let arguments: Vec<u64> = variable("PEERS_ARGUMENTS")
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let endpoint = [variable("PEERS_ENDPOINT")];
    let fingerprint = variable("PEERS_FINGERPRINT");
    let client = |limits, poll| connect(&endpoint, &fingerprint, limits, poll);
    // Who asks for so many at once gets so many.
    let wide = |threads: u64| {
        Limits::default()
            .with_tasks_per_node(threads as usize)
            .with_clones_per_source(threads as usize)
    };
    let begun = Instant::now();
    let mut out = match (mode, arguments.as_slice()) {
        ("p1", [count, threads, first]) => {
            let client = client(wide(*threads), PollPolicy::every(POLL));
            let ids = (*first..*first + *count).map(|id| id as u32);
            let work = ids.map(|vmid| one(client.clone(), Ok(vmid)));
            several(work.collect(), *threads).await
        }
        ("p2", [count, threads]) => {
            let client = client(wide(*threads), PollPolicy::every(POLL));
            let ids = client.vmid_pool(100..=400).unwrap();
            let work = (0..*count).map(|_| one(client.clone(), Err(ids.clone())));
            several(work.collect(), *threads).await
        }
        ("p3", [rounds]) => {
            let client = client(Limits::default(), PollPolicy::default());
            let (mut times, mut count) = (Vec::new(), 0);
            for _ in 0..*rounds {
                let start = Instant::now();
                count = client.resources(None).await.unwrap().len();
                times.push(start.elapsed().as_secs_f64());
            }
            times.sort_by(f64::total_cmp);
            json!({ "median": times[times.len() / 2], "count": count })
        }
        ("p4", [count, seconds]) => {
            tasks(
                &client(Limits::none(), PollPolicy::default()),
                *count,
                *seconds,
            )
            .await
        }
        ("p5", [mib]) => {
            let client = client(Limits::default(), PollPolicy::default());
            let _ = client.version().await.unwrap();
            let before = peak();
            let start = Instant::now();
            let upload = Upload::from_reader("iso", "large.iso", mib << 20, Zeros);
            client
                .node("pve1")
                .storage("local")
                .upload(upload)
                .await
                .unwrap();
            json!({ "wall": start.elapsed().as_secs_f64(), "before": before })
        }
        _ => panic!("unknown mode {mode}"),
    };
    if out.get("wall").is_none() {
        out["wall"] = begun.elapsed().as_secs_f64().into();
    }
    out["peak"] = peak().into();
    out
}

/// Clone, cloud-init, resize, start, wait for an address.
fn one(
    client: Client,
    vmid: std::result::Result<u32, VmidPool>,
) -> BoxFuture<'static, Result<u32>> {
    async move {
        let template = client.node("pve1").qemu(9000);
        let clone = |vmid: u32| {
            let options = CloneOptions::new().with_name(&format!("vm{vmid}"));
            template.clone_to(vmid, options)
        };
        let vm: Qemu = match vmid {
            Ok(vmid) => clone(vmid).await?.qemu,
            Err(ids) => ids.create(clone).await?.qemu,
        };
        let address = format!("ip=192.0.2.{}/24", vm.vmid() % 250);
        let wanted = QemuConfig::new()
            .with("ciuser", "lab")
            .with("ipconfig0", address)
            .with_cores(2);
        vm.ensure_config(&wanted).await?;
        vm.grow_disk("scsi0", Size::gib(8)).await?;
        vm.start().await?;
        vm.wait_for_ip(IpRule::ipv4().with_poll(POLL).with_first_look(BOOT))
            .await?;
        Ok(vm.vmid())
    }
    .boxed()
}

async fn several(work: Vec<BoxFuture<'static, Result<u32>>>, threads: u64) -> Value {
    let all = work.len();
    let results: Vec<Result<u32>> = futures::stream::iter(work)
        .buffer_unordered(threads as usize)
        .collect()
        .await;
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        eprintln!("failed: {error}");
    }
    let ids: Vec<u32> = results.into_iter().filter_map(Result::ok).collect();
    json!({ "failed": all - ids.len(), "ids": ids })
}

async fn tasks(client: &Client, count: u64, seconds: u64) -> Value {
    let mut started = Vec::new();
    for vmid in 1000..1000 + count as u32 {
        match client
            .node("pve1")
            .qemu(vmid)
            .start()
            .submit()
            .await
            .unwrap()
        {
            Submitted::Task(task) => started.push((task, Instant::now())),
            other => panic!("{other:?}"),
        }
    }
    let begun = Instant::now();
    let delays = join_all(started.into_iter().map(|(task, since)| async move {
        task.await.unwrap();
        since.elapsed().as_secs_f64() - seconds as f64
    }))
    .await;
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    json!({ "delay": mean, "wall": begun.elapsed().as_secs_f64() })
}

/// 1,000 calls of which every third makes something, sixteen at once; after 300 a node is gone.
pub(crate) async fn node_lost(simulator: &Simulator) -> String {
    let ways = super::server::Ways::to(simulator, 3).await;
    let client = connect(
        &ways.addresses,
        &ways.fingerprint,
        Limits::default(),
        PollPolicy::default(),
    );
    let done = AtomicU64::new(0);
    let call = |number: u64| {
        let (client, done, ways) = (client.clone(), &done, &ways);
        async move {
            let (method, path) = match number % 3 {
                0 => (
                    Method::Post,
                    format!("/access/users/load@pve/token/t{number}"),
                ),
                1 => (Method::Get, "/cluster/resources".to_owned()),
                _ => (Method::Get, "/version".to_owned()),
            };
            let result = client.send(Request::new(method, &path, &[])).await;
            if done.fetch_add(1, Ordering::Relaxed) == 300 {
                ways.cut(0);
            }
            (method, result.err())
        }
    };
    let results: Vec<_> = futures::stream::iter((0..1000).map(call))
        .buffer_unordered(16)
        .collect()
        .await;
    let shown = |wanted: Method| {
        results
            .iter()
            .filter(|(method, error)| *method == wanted && error.is_some())
            .count()
    };
    let mut posts: Vec<String> = simulator
        .journal()
        .into_iter()
        .filter(|entry| entry.method == "POST")
        .map(|entry| entry.path)
        .collect();
    let arrived = posts.len();
    posts.sort_unstable();
    posts.dedup();
    let unsure = results.iter().filter_map(|(_, error)| error.as_ref());
    let unsure = unsure
        .filter(|error| error.sent() == proxmox_client::Sent::Maybe)
        .count();
    format!(
        "{} POSTs repeated; {} reads and {} writes failed, {unsure} of them told as maybe done",
        arrived - posts.len(),
        shown(Method::Get),
        shown(Method::Post)
    )
}

/// A file of zeros that is nowhere.
struct Zeros;

impl AsyncRead for Zeros {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let room = buffer.remaining();
        buffer.initialize_unfilled_to(room).fill(0);
        buffer.advance(room);
        Poll::Ready(Ok(()))
    }
}
