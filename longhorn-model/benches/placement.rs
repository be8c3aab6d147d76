//! How many placements a second, and how long a capacity plan takes.

use criterion::{Criterion, Throughput};
use longhorn_model::scheduler::{Cluster, Disk, GIB, Node, VolumeRequest};

fn cluster(nodes: usize) -> Cluster {
    Cluster::new((0..nodes).map(|n| {
        let mut node = Node::new(format!("n{n}")).zone(format!("z{}", n % 3));
        for d in 0..4 {
            node = node.disk(
                Disk::new(format!("n{n}d{d}"), 1000 * GIB)
                    .tags(["ssd"])
                    .reserved_percentage(30),
            );
        }
        node
    }))
}

fn benches(c: &mut Criterion) {
    let world = cluster(30);
    let volume = VolumeRequest::new("v", 10 * GIB, 3).disk_selector(["ssd"]);
    let mut group = c.benchmark_group("30 nodes with 4 disks");
    group.throughput(Throughput::Elements(3));
    group.bench_function("place 3 replicas", |b| b.iter(|| world.place(&volume, &[])));
    group.finish();
    let small = cluster(4);
    let volumes: Vec<VolumeRequest> = (0..40)
        .map(|n| VolumeRequest::new(format!("v{n}"), 20 * GIB, 3))
        .collect();
    c.bench_function("plan 40 volumes on 4 nodes, with the loss of each", |b| {
        b.iter(|| small.plan(&volumes))
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    benches(&mut criterion);
    criterion.final_summary();
}
