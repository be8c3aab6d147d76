//! The Proxmox VE hosts of the lab, as `cluster.yaml` describes them.

use std::time::SystemTime;

use proxmox_client::simulator::{NodeSpec, RemoteFile, StorageSpec, World};

use crate::spec::Spec;
use crate::spec::cluster::HostStorage;

/// The token that the lab's Proxmox VE accepts: user, name and secret.
pub(super) const TOKEN: (&str, &str) = ("root@pam!lab", "lab-secret");

/// A Talos image is about this large.
const IMAGE_SIZE: u64 = 300 << 20;

fn storage(wanted: &HostStorage) -> StorageSpec {
    let size = wanted.size.get();
    let content: Vec<String> = wanted.content.iter().map(ToString::to_string).collect();
    let content: Vec<&str> = content.iter().map(String::as_str).collect();
    let storage = if wanted.kind.is_block() {
        StorageSpec::lvm_thin(&wanted.name, size)
    } else {
        StorageSpec::directory(&wanted.name, &format!("/var/lib/{}", wanted.name), size)
    };
    storage.with_content(&content)
}

/// Hosts without any machine.
pub(super) fn world(spec: &Spec, start: SystemTime) -> World {
    let mut world = World::new(1, start)
        .with_user("root@pam", "lab-password")
        .with_token(TOKEN.0, TOKEN.1)
        .with_any_remote_file(Some(RemoteFile::new(IMAGE_SIZE)));
    let mut known = std::collections::BTreeSet::new();
    for host in &spec.proxmox.hosts {
        let mut node = NodeSpec::new(host.name.as_str(), host.cores, host.memory.get());
        for bridge in &host.bridges {
            node = node.with_bridge(&bridge.name, bridge.vlan_aware);
        }
        world = world.with_node(node);
        for wanted in &host.storages {
            if known.insert(wanted.name.clone()) {
                world = world.with_storage(storage(wanted));
            }
        }
    }
    world
}
