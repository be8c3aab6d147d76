//! Speed of what large networks do often: texts read and written, states read and compared, meshes planned.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark is a program of its own"
)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wireguard_config::topology::PresharedPolicy;
use wireguard_config::{Changes, Config, Device, Document, Inventory, Keys, Member};

fn random() -> impl FnMut(&mut [u8]) {
    let mut state = 1u64;
    move |bytes: &mut [u8]| {
        for byte in bytes {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
    }
}

fn mesh(count: usize, preshared: PresharedPolicy) -> (Inventory, Keys) {
    let members = (0..count).map(|i| {
        let endpoint = format!("203.0.113.{}:{}", i % 250 + 1, 51820 + i / 250)
            .parse()
            .unwrap();
        Member::new(format!("node{i}")).endpoint(endpoint)
    });
    let inventory = Inventory::new("10.0.0.0/16".parse().unwrap())
        .preshared(preshared)
        .members(members);
    let mut keys = Keys::new();
    keys.complete(&inventory, &mut random());
    (inventory, keys)
}

fn thousand_peers() -> String {
    let (inventory, keys) = mesh(1001, PresharedPolicy::None);
    let plan = inventory.plan(&keys).unwrap();
    plan.member("node0").unwrap().file().content.to_string()
}

fn texts(c: &mut Criterion) {
    let text = thousand_peers();
    let mut group = c.benchmark_group("parse 1,000 peers");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("lossless", |b| {
        b.iter(|| Document::parse(black_box(&text)).unwrap())
    });
    group.bench_function("semantic", |b| {
        b.iter(|| Config::parse(black_box(&text)).unwrap())
    });
    group.finish();
}

fn dump(config: &Config) -> String {
    let mut text = "(none)\t(none)\t51820\toff\n".to_owned();
    for peer in &config.peers {
        let endpoint = peer.endpoint.as_ref().unwrap();
        text += &format!(
            "{}\t(none)\t{endpoint}\t{}\t1795175472\t924\t948\toff\n",
            peer.public_key, peer.allowed_ips[0]
        );
    }
    text
}

fn answer(config: &Config) -> String {
    let mut text = "private_key=".to_owned();
    config
        .interface
        .private_key
        .as_ref()
        .unwrap()
        .push_hex(&mut text);
    text += &format!("\nlisten_port={}\n", config.interface.listen_port.unwrap());
    for peer in &config.peers {
        text += "public_key=";
        peer.public_key.push_hex(&mut text);
        text += &format!(
            "\nendpoint={}\nallowed_ip={}\n",
            peer.endpoint.as_ref().unwrap(),
            peer.allowed_ips[0]
        );
    }
    text + "errno=0\n\n"
}

fn states(c: &mut Criterion) {
    let text = thousand_peers();
    let config = Config::parse(&text).unwrap();
    let dump = dump(&config);
    let answer = answer(&config);
    c.bench_function("dump of 1,000 peers", |b| {
        b.iter(|| Device::parse_dump(black_box(&dump)).unwrap())
    });
    c.bench_function("sync of 1,000 peers without change", |b| {
        b.iter(|| {
            let device = Device::parse_uapi(black_box(&answer)).unwrap();
            let changes = Changes::for_device(&device, None, &config);
            assert!(changes.is_empty());
        });
    });
}

/// Everything that a generator does for a mesh whose keys are there: plan, check, and every file.
fn write_all(inventory: &Inventory, keys: &Keys) -> usize {
    inventory
        .plan(keys)
        .unwrap()
        .files()
        .map(|file| black_box(file.content.len()))
        .sum()
}

fn meshes(c: &mut Criterion) {
    let mut group = c.benchmark_group("full mesh");
    group.sample_size(10);
    for count in [100, 500, 1000] {
        let (inventory, keys) = mesh(count, PresharedPolicy::None);
        group.bench_function(BenchmarkId::new("files", count), |b| {
            b.iter(|| write_all(&inventory, &keys))
        });
    }
    let (inventory, keys) = mesh(1000, PresharedPolicy::PerPair);
    group.bench_function(BenchmarkId::new("files with preshared keys", 1000), |b| {
        b.iter(|| write_all(&inventory, &keys));
    });
    group.finish();
}

criterion_group!(benches, texts, states, meshes);
criterion_main!(benches);
