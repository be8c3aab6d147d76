//! The tree of disks: roots, hosts and other buckets, disks.

use crate::scalar::record;

record! {
    /// A branch or leaf of the tree of disks.
    pub struct CephTreeNode {
        optional {
            /// Number; negative for branches.
            "id" id: i64,
            /// Name, such as `pve1` or `osd.3`.
            "name" name: String,
            /// `root`, `host`, `osd`, …
            "type" kind: String,
            /// What is below it.
            "children" children: Vec<CephTreeNode>,
            /// `up` or `down`; of disks.
            "status" status: String,
            /// Whether it holds data; of disks.
            "in" within: bool,
            /// Class of the disk: `hdd`, `ssd`, `nvme`.
            "device_class" device_class: String,
            /// Weight when data is spread.
            "crush_weight" weight: f64,
            /// Share of it in use, in percent.
            "percent_used" percent_used: f64,
            /// Its size in bytes.
            "total_space" size: u64,
            /// Bytes in use.
            "bytes_used" used: u64,
            /// Version of the program that serves it.
            "ceph_version" version: String,
            /// Host of a disk.
            "host" host: String,
            /// How much of its weight counts, 0 to 1.
            "reweight" reweight: f64,
            /// Placement groups on it.
            "pgs" placement_groups: u64,
            /// How a disk keeps its data: `bluestore`.
            "osdtype" store: String,
            /// Device with the data.
            "blfsdev" device: String,
            /// Device with the database, where it is another one.
            "dbdev" db_device: String,
            /// Device with the write-ahead log, where it is another one.
            "waldev" wal_device: String,
            /// Milliseconds until a write is durable.
            "commit_latency_ms" commit_latency: u64,
            /// Milliseconds until a write can be read.
            "apply_latency_ms" apply_latency: u64,
        }
    }
}

record! {
    /// `GET /nodes/{node}/ceph/osd`.
    pub struct CephOsds {
        required {
            /// The tree: hosts below its root, disks below hosts.
            "root" root: CephTreeNode,
        }
        optional {
            /// Flags that hold for all, such as `noout`, separated by commas.
            "flags" flags: String,
        }
    }
}

impl CephTreeNode {
    /// Whether the program that serves a disk runs.
    pub fn is_up(&self) -> bool {
        self.status.as_deref() == Some("up")
    }
}

impl CephOsds {
    /// The disk of a number.
    pub fn disk(&self, id: u32) -> Option<&CephTreeNode> {
        let all = self.disks().into_iter();
        all.map(|(_, disk)| disk)
            .find(|disk| disk.id == Some(i64::from(id)))
    }

    /// The disks, each with its host.
    pub fn disks(&self) -> Vec<(&str, &CephTreeNode)> {
        let mut out = Vec::new();
        collect(&self.root, "", &mut out);
        out
    }
}

fn collect<'a>(node: &'a CephTreeNode, host: &'a str, out: &mut Vec<(&'a str, &'a CephTreeNode)>) {
    let name = node.name.as_deref().unwrap_or_default();
    let host = match node.kind.as_deref() {
        Some("osd") => {
            out.push((host, node));
            return;
        }
        Some("host") => name,
        _ => host,
    };
    for child in node.children.iter().flatten() {
        collect(child, host, out);
    }
}
