//! The figures of the README: user time, everything in one run.
//!
//! wg-meshconf, a program in Python, takes part when `WG_MESHCONF` names it, as in
//! `python3 -m venv V && V/bin/pip install wg-meshconf && WG_MESHCONF=V/bin/wg-meshconf cargo run …`.

use std::hint::black_box;
use std::net::Ipv4Addr;

use wireguard_conf::prelude::Interface;
use wireguard_config::topology::PresharedPolicy;
use wireguard_config::{Changes, Config, Device, Document, Inventory, Keys, Member};

/// Seconds of user time so far, of this process or of its children that have ended; wall time says little on a busy
/// machine. Clock ticks are 10 ms.
fn user_time(children: bool) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    fields[if children { 13 } else { 11 }]
        .parse::<f64>()
        .expect("a number")
        / 100.0
}

/// The most memory that this process had so far, in MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kilobytes.expect("a number") / 1000.0
}

fn measure<T>(what: &str, times: u32, mut work: impl FnMut() -> T) -> f64 {
    let start = user_time(false);
    for _ in 0..times {
        black_box(work());
    }
    let each = (user_time(false) - start) / f64::from(times);
    println!("{what:<52} {:>10.3} ms", each * 1000.0);
    each
}

fn mesh(count: usize, preshared: PresharedPolicy) -> (Inventory, Keys) {
    let members = (0..count).map(|i| {
        let endpoint = format!("203.0.113.{}:51820", i % 250 + 1)
            .parse()
            .expect("an endpoint");
        Member::new(format!("node{i}")).endpoint(endpoint)
    });
    let inventory = Inventory::new("10.0.0.0/16".parse().expect("a network"))
        .preshared(preshared)
        .members(members);
    let mut keys = Keys::new();
    let mut state = 1u64;
    keys.complete(&inventory, &mut |bytes: &mut [u8]| {
        for byte in bytes {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
    });
    (inventory, keys)
}

fn ours(count: usize, preshared: PresharedPolicy, times: u32) -> f64 {
    let (inventory, keys) = mesh(count, preshared);
    let name = format!("mesh of {count}, {preshared:?}: plan and all files");
    measure(&name, times, || -> usize {
        inventory
            .plan(&keys)
            .expect("a plan")
            .files()
            .map(|file| black_box(file.content.len()))
            .sum()
    })
}

fn theirs(count: u32, times: u32) -> f64 {
    let one = |i: u32| {
        Interface::builder()
            .add_address(Ipv4Addr::from_bits(0x0a00_0001 + i))
            .endpoint(format!("203.0.113.{}", i % 250 + 1))
            .listen_port(51820)
            .build()
    };
    let mut interfaces: Vec<Interface> = (0..count).map(one).collect();
    measure(
        &format!("mesh of {count}, wireguard-conf"),
        times,
        || -> usize {
            let peers: Vec<_> = interfaces.iter().map(Interface::to_peer).collect();
            let mut size = 0;
            for (at, interface) in interfaces.iter_mut().enumerate() {
                let others = peers.iter().enumerate().filter(|(other, _)| *other != at);
                interface.peers = others.map(|(_, peer)| peer.clone()).collect();
                size += black_box(interface.to_string()).len();
                interface.peers.clear();
            }
            size
        },
    )
}

/// Adds `count` peers to a table and writes all files, with the program itself.
fn meshconf(program: &str, count: usize) -> f64 {
    let folder = std::env::temp_dir().join(format!("meshconf-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut table = "\"Name\",\"Address\",\"Endpoint\",\"AllowedIPs\",\"ListenPort\",\"PersistentKeepalive\",\"FwMark\",\"PrivateKey\",\"DNS\",\"MTU\",\"Table\",\"PreUp\",\"PostUp\",\"PreDown\",\"PostDown\",\"SaveConfig\"\n".to_owned();
    let (_, keys) = mesh(count, PresharedPolicy::None);
    for i in 0..count {
        let key = keys
            .private(&format!("node{i}"))
            .expect("a key")
            .expose_base64();
        let address = Ipv4Addr::from_bits(0x0a00_0001 + i as u32);
        table += &format!(
            "\"node{i}\",\"{address}/16\",\"203.0.113.{}\",\"\",\"51820\",\"\",\"\",\"{}\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"\n",
            i % 250 + 1,
            &*key
        );
    }
    let (database, output) = (folder.join("database.csv"), folder.join("output"));
    std::fs::write(&database, table).expect("a table");
    let start = user_time(true);
    let status = std::process::Command::new(program)
        .arg("-d")
        .arg(&database)
        .args(["genconfig", "-o"])
        .arg(&output)
        .stdout(std::process::Stdio::null())
        .status();
    let took = user_time(true) - start;
    assert!(status.is_ok_and(|status| status.success()), "{program}");
    let files = std::fs::read_dir(&output).expect("files").count();
    assert_eq!(files, count);
    std::fs::remove_dir_all(&folder).expect("a folder of ours");
    println!(
        "{:<52} {:>10.3} ms",
        format!("mesh of {count}, wg-meshconf"),
        took * 1000.0
    );
    took
}

fn main() {
    let program = std::env::var("WG_MESHCONF").ok();
    let mut mine = Vec::new();
    for (count, times) in [(100, 20), (500, 5), (1000, 3)] {
        mine.push((count, ours(count, PresharedPolicy::None, times)));
    }
    println!("{:<52} {:>10.1} MB", "most memory so far", peak());
    ours(1000, PresharedPolicy::PerPair, 2);
    println!("{:<52} {:>10.1} MB", "most memory so far", peak());
    for (count, mine) in mine {
        println!("ratio {:.0}", theirs(count as u32, 1) / mine);
        if let Some(program) = &program {
            println!("ratio {:.0}", meshconf(program, count) / mine);
        }
    }
    let (inventory, keys) = mesh(1001, PresharedPolicy::None);
    let plan = inventory.plan(&keys).expect("a plan");
    let text = plan.files().next().expect("a file").content.to_string();
    let rate = |seconds: f64| println!("{:.0} MB/s", text.len() as f64 / seconds / 1e6);
    rate(measure("1,000 peers, lossless", 2000, || {
        Document::parse(&text).expect("read")
    }));
    rate(measure("1,000 peers, semantic", 1000, || {
        Config::parse(&text).expect("read")
    }));
    let config = Config::parse(&text).expect("read");
    let mut dump = "(none)\t(none)\t51820\toff\n".to_owned();
    let mut answer = "private_key=".to_owned();
    config
        .interface
        .private_key
        .as_ref()
        .expect("a key")
        .push_hex(&mut answer);
    answer += "\nlisten_port=51820\n";
    for peer in &config.peers {
        let (endpoint, network) = (peer.endpoint.as_ref().expect("one"), peer.allowed_ips[0]);
        dump += &format!(
            "{}\t(none)\t{endpoint}\t{network}\t1795175472\t924\t948\toff\n",
            peer.public_key
        );
        answer += "public_key=";
        peer.public_key.push_hex(&mut answer);
        answer += &format!("\nendpoint={endpoint}\nallowed_ip={network}\n");
    }
    answer += "errno=0\n\n";
    measure("1,000 peers, dump", 1000, || {
        Device::parse_dump(&dump).expect("read")
    });
    measure("1,000 peers, sync without change", 500, || {
        let device = Device::parse_uapi(&answer).expect("read");
        assert!(Changes::for_device(&device, None, &config).is_empty());
    });
}
