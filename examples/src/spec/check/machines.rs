//! Machines and the hosts that carry them.

use std::collections::BTreeMap;

use super::{Check, listed, repeated};
use crate::spec::Tier;
use crate::spec::cluster::{Content, Host};
use crate::spec::node::Node;
use crate::spec::quantity::Bytes;

/// Below this a control plane does not come up.
const LEAST_CONTROL_PLANE: Bytes = Bytes::gib(2);
/// Below this a worker does not come up.
const LEAST_WORKER: Bytes = Bytes::gib(1);
/// What the host keeps for itself.
const HOST_RESERVE: Bytes = Bytes::gib(2);

pub(super) fn run(check: &mut Check<'_, '_>) {
    names(check);
    counts(check);
    for node in &check.spec.nodes {
        least(check, node);
        hosted(check, node);
    }
    bridges(check);
    image(check);
    contents(check);
    for (index, host) in check.spec.proxmox.hosts.iter().enumerate() {
        load(check, index, host);
    }
}

fn names(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    if spec.name.as_str() == "default" {
        check
            .error("reserved-name", "name", "cluster name \"default\" means a cluster without an identity to Cilium; choose another one")
            .help("name: homelab")
            .done();
    }
    if spec.name.as_str().len() > 32 {
        check
            .error(
                "cluster-name-long",
                "name",
                format!(
                    "cluster name \"{}\" has {} characters; Cilium takes 32 at most",
                    spec.name,
                    spec.name.as_str().len()
                ),
            )
            .help("the name is part of every VM's name: shorter is better")
            .done();
    }
    for node in spec
        .nodes
        .iter()
        .filter(|node| node.name.as_str() == "localhost")
    {
        check
            .error(
                "reserved-name",
                format!("{}.name", node.source),
                "node name \"localhost\" is every machine's own name",
            )
            .help("worker-1")
            .done();
    }
    for (first, again) in repeated(&spec.nodes, |node| node.name.clone()) {
        let (first, again) = (&spec.nodes[first], &spec.nodes[again]);
        let (at, before) = (
            format!("{}.name", again.source),
            format!("{}.name", first.source),
        );
        let message = format!(
            "node name \"{}\" is used twice (first at line {})",
            again.name,
            check.line(&before)
        );
        check
            .error("duplicate-name", at, message)
            .also(before, "first here")
            .help("every machine has a name of its own")
            .done();
    }
    for (first, again) in repeated(&spec.nodes, |node| node.vmid) {
        let (first, again) = (&spec.nodes[first], &spec.nodes[again]);
        let message = format!(
            "vmid {} is used by {} and {}",
            again.vmid, first.name, again.name
        );
        check
            .error("duplicate-vmid", format!("{}.vmid", again.source), message)
            .also(format!("{}.vmid", first.source), format!("{}", first.name))
            .help("an entry for several machines counts up from its vmid")
            .done();
    }
    for (first, again) in repeated(&spec.nodes, |node| node.mac) {
        let (first, again) = (&spec.nodes[first], &spec.nodes[again]);
        if first.name == again.name {
            continue;
        }
        let message = format!(
            "mac {} is used by {} and {}",
            again.mac, first.name, again.name
        );
        check
            .error("duplicate-mac", format!("{}.mac", again.source), message)
            .also(format!("{}.mac", first.source), format!("{}", first.name))
            .help("leave mac out: each machine derives its own from its name")
            .done();
    }
    let lists: [(&str, Vec<String>); 5] = [
        (
            "proxmox.hosts",
            spec.proxmox
                .hosts
                .iter()
                .map(|host| host.name.to_string())
                .collect(),
        ),
        (
            "loadBalancer.pools",
            spec.load_balancer
                .pools
                .iter()
                .map(|pool| pool.name.to_string())
                .collect(),
        ),
        (
            "storage.classes",
            spec.storage
                .classes
                .iter()
                .map(|class| class.name.to_string())
                .collect(),
        ),
        (
            "storage.claims",
            spec.storage
                .claims
                .iter()
                .map(|claim| claim.name.to_string())
                .collect(),
        ),
        (
            "bgp.peers",
            spec.bgp
                .iter()
                .flat_map(|bgp| &bgp.peers)
                .map(|peer| peer.name.to_string())
                .collect(),
        ),
    ];
    for (list, names) in lists {
        for (first, again) in repeated(&names, Clone::clone) {
            let before = format!("{list}[{first}].name");
            let message = format!(
                "name \"{}\" is used twice in {list} (first at line {})",
                names[again],
                check.line(&before)
            );
            check
                .error("duplicate-name", format!("{list}[{again}].name"), message)
                .also(before, "first here")
                .help("names tell entries apart")
                .done();
        }
    }
}

fn counts(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let planes = spec.control_planes().count();
    let basis = ["nodes[].role", "nodes[].name", "tier"];
    match planes {
        0 => check
            .error("cp-none", "nodes", "no node has role controlplane")
            .rests_on(&basis)
            .help("one for a test, three for a cluster that survives the loss of one")
            .done(),
        1 if spec.tier == Tier::Production => check
            .error(
                "cp-single-prod",
                "nodes",
                "tier production needs 3 control planes, 1 declared",
            )
            .rests_on(&basis)
            .also_at("tier", "production")
            .help("two more control planes, or tier: development")
            .done(),
        count if count % 2 == 0 => check
            .by_tier(
                "cp-even",
                "nodes",
                format!(
                    "{count} control planes tolerate {} (quorum {} of {count}); use {} or {}",
                    failures(count),
                    count / 2 + 1,
                    count - 1,
                    count + 1
                ),
            )
            .rests_on(&basis)
            .help("an odd number: one more costs nothing in tolerance, one less neither")
            .done(),
        _ => {}
    }
    let workers = spec.workers().count();
    let wanted = spec.tier.replicas() as usize;
    if workers < wanted {
        check
            .by_tier(
                "workers-lt-replicas",
                "nodes",
                format!("tier {} runs {wanted} replicas on different nodes, but only {workers} nodes accept workloads", spec.tier),
            )
            .rests_on(&basis)
            .also_at("tier", format!("{}", spec.tier))
            .help(format!("{wanted} workers or more"))
            .done();
    }
}

fn failures(planes: usize) -> String {
    match planes.saturating_sub(1) / 2 {
        0 => "no failure".into(),
        1 => "one failure".into(),
        more => format!("{more} failures"),
    }
}

fn least(check: &mut Check<'_, '_>, node: &Node) {
    let (least, usual, what) = if node.is_worker() {
        (LEAST_WORKER, 8, "worker")
    } else {
        (LEAST_CONTROL_PLANE, 4, "control plane")
    };
    if node.memory < least {
        let path = format!("{}.memory", node.source);
        check
            .error(
                "memory-short-node",
                path,
                format!(
                    "{} has {}; a {what} needs {} at least, {usual} GiB in this profile",
                    node.name,
                    node.memory.about(),
                    least.about()
                ),
            )
            .needs(format!("{}.role", node.source))
            .help(format!("memory: {usual}GiB"))
            .done();
    }
    if node.disk.size < Bytes::gib(10) {
        check
            .error(
                "disk-small",
                format!("{}.disk", node.source),
                format!(
                    "{} has a system disk of {}; Talos needs 10 GiB at least",
                    node.name,
                    node.disk.size.about()
                ),
            )
            .help("size: 40GiB")
            .done();
    }
    if node.cores == 0 || (!node.is_worker() && node.cores < 2) {
        check
            .error(
                "cores-short-node",
                format!("{}.cores", node.source),
                format!(
                    "{} has {} virtual CPU; a {what} needs {} at least",
                    node.name,
                    node.cores,
                    if node.is_worker() { 1 } else { 2 }
                ),
            )
            .needs(format!("{}.role", node.source))
            .help("cores: 2")
            .done();
    }
}

fn hosted(check: &mut Check<'_, '_>, node: &Node) {
    let spec = check.spec;
    let Some((index, host)) = spec
        .proxmox
        .hosts
        .iter()
        .enumerate()
        .find(|(_, host)| host.name.as_str() == node.host)
    else {
        let known: Vec<String> = spec
            .proxmox
            .hosts
            .iter()
            .map(|host| host.name.to_string())
            .collect();
        check
            .error(
                "unknown-host",
                format!("{}.host", node.source),
                format!("host \"{}\" is not one of proxmox.hosts", node.host),
            )
            .rests_on(&[&format!("{}.host", node.source), "proxmox.hosts[].name"])
            .help(format!("known: {}", known.join(", ")))
            .done();
        return;
    };
    let mut disks = vec![("disk", node.disk.storage.as_str())];
    disks.extend(
        node.longhorn_disk
            .iter()
            .map(|disk| ("longhornDisk", disk.storage.as_str())),
    );
    for (key, storage) in disks {
        let path = storage_path(check, &node.source, key);
        stored(check, &path, index, host, storage, Content::Images);
    }
}

/// The bridge of every host that carries VMs.
fn bridges(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let bridge = &spec.network.bridge;
    for (index, host) in spec.proxmox.hosts.iter().enumerate() {
        let Some(node) = spec
            .nodes
            .iter()
            .find(|node| node.host == host.name.as_str())
        else {
            continue;
        };
        match host.bridges.iter().find(|known| known.name == *bridge) {
            None => {
                let known: Vec<&str> = host
                    .bridges
                    .iter()
                    .map(|known| known.name.as_str())
                    .collect();
                check
                    .error(
                        "unknown-bridge",
                        "network.bridge",
                        format!(
                            "bridge \"{bridge}\" does not exist on {} (has: {})",
                            host.name,
                            known.join(", ")
                        ),
                    )
                    .also(
                        format!("proxmox.hosts[{index}].bridges"),
                        "bridges of the host",
                    )
                    .help(format!("bridge: {}", known.first().unwrap_or(&"vmbr0")))
                    .done();
            }
            Some(known) => {
                if let Some(vlan) = spec.network.vlan.filter(|_| !known.vlan_aware) {
                    check
                    .error("vlan-aware", "network.vlan", format!("bridge {bridge} on {} is not VLAN-aware, but {} asks for tag {vlan}", host.name, node.source))
                    .also(format!("proxmox.hosts[{index}].bridges"), "not VLAN-aware")
                    .needs(format!("{}.host", node.source))
                    .help("vlanAware: true here and on the host, or a bridge of its own for the VLAN without a tag")
                    .done();
                }
            }
        }
    }
}

/// Path of the storage of a disk: in the entry, or in the profile that it comes from.
fn storage_path(check: &Check<'_, '_>, source: &str, key: &str) -> String {
    let own = format!("{source}.{key}.storage");
    if check.cx.is_written(&own) {
        return own;
    }
    format!("{source}.{key}")
}

fn stored(
    check: &mut Check<'_, '_>,
    path: &str,
    index: usize,
    host: &Host,
    name: &str,
    content: Content,
) {
    let hosts = format!("proxmox.hosts[{index}].storages");
    let Some((at, storage)) = host
        .storages
        .iter()
        .enumerate()
        .find(|(_, storage)| storage.name == name)
    else {
        let known: Vec<&str> = host
            .storages
            .iter()
            .map(|storage| storage.name.as_str())
            .collect();
        check
            .error(
                "unknown-storage",
                path,
                format!(
                    "storage \"{name}\" does not exist on {} (has: {})",
                    host.name,
                    known.join(", ")
                ),
            )
            .rests_on(&[path, &format!("{hosts}[].name")])
            .help(format!(
                "storage: {}",
                super::super::decode::nearest(name, &known)
                    .or(known.last().copied())
                    .unwrap_or("local")
            ))
            .done();
        return;
    };
    if !storage.content.contains(&content) {
        let holds: Vec<&str> = storage
            .content
            .iter()
            .map(|content| content.as_str())
            .collect();
        check
            .error(
                "storage-content",
                path,
                format!(
                    "storage \"{name}\" cannot hold \"{content}\" (holds: {})",
                    holds.join(", ")
                ),
            )
            .also(format!("{hosts}[{at}].content"), "what it holds")
            .help(
                match host
                    .storages
                    .iter()
                    .find(|other| other.content.contains(&content))
                {
                    Some(other) => format!("storage: {}", other.name),
                    None => format!("add {content} to the content of a storage on {}", host.name),
                },
            )
            .done();
    }
}

fn image(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    for (index, host) in spec.proxmox.hosts.iter().enumerate() {
        if spec
            .nodes
            .iter()
            .any(|node| node.host == host.name.as_str())
        {
            stored(
                check,
                "image.storage",
                index,
                host,
                &spec.image.storage,
                Content::Iso,
            );
        }
    }
    for component in &check.catalogue.components {
        for extension in &component.needs.extensions {
            if !spec.image.extensions.contains(extension) {
                check
                    .error(
                        "schematic-extension",
                        "image.extensions",
                        format!(
                            "{} needs the Talos extension {extension} in image.extensions",
                            component.name
                        ),
                    )
                    .needs("components")
                    .help(format!("- {extension}"))
                    .done();
            }
        }
    }
}

/// Block storages take no files: Proxmox VE refuses such a setting.
fn contents(check: &mut Check<'_, '_>) {
    for (index, host) in check.spec.proxmox.hosts.iter().enumerate() {
        for (at, storage) in host.storages.iter().enumerate() {
            let files: Vec<String> = storage
                .content
                .iter()
                .filter(|content| {
                    storage.kind.is_block()
                        && !matches!(content, Content::Images | Content::Rootdir)
                })
                .map(|content| format!("\"{content}\""))
                .collect();
            if !files.is_empty() {
                let path = format!("proxmox.hosts[{index}].storages[{at}].content");
                check
                    .error("storage-kind", path, format!("storage \"{}\" of type {} cannot hold {}", storage.name, storage.kind, listed(&files)))
                    .needs(format!("proxmox.hosts[{index}].storages[{at}].type"))
                    .help("block storages hold images and rootdir; files need a folder (dir, nfs, cephfs)")
                    .done();
            }
        }
    }
}

fn load(check: &mut Check<'_, '_>, index: usize, host: &Host) {
    let here: Vec<&Node> = check
        .spec
        .nodes
        .iter()
        .filter(|node| node.host == host.name.as_str())
        .collect();
    let memory: Bytes = here.iter().map(|node| node.memory).sum();
    let path = format!("proxmox.hosts[{index}].memory");
    let basis = [
        path.as_str(),
        "nodes[].memory",
        "nodes[].host",
        "nodes[].name",
    ];
    if memory > host.memory {
        check
            .error(
                "host-overcommit",
                &path,
                format!(
                    "VMs on {} take {} of {}",
                    host.name,
                    memory.about(),
                    host.memory.about()
                ),
            )
            .rests_on(&basis)
            .also_at("nodes", format!("{} VMs", here.len()))
            .help("fewer or smaller VMs, or another host")
            .done();
    } else if memory + HOST_RESERVE > host.memory {
        check
            .error(
                "host-overcommit",
                &path,
                format!(
                    "VMs on {} take {} of {}: the host needs {} for itself",
                    host.name,
                    memory.about(),
                    host.memory.about(),
                    HOST_RESERVE.about()
                ),
            )
            .rests_on(&basis)
            .also_at("nodes", format!("{} VMs", here.len()))
            .help("fewer or smaller VMs, or another host")
            .done();
    }
    let cores: u32 = here.iter().map(|node| node.cores).sum();
    // Beyond four virtual per real thread, latency of etcd suffers first.
    if host.cores > 0 && cores > host.cores * 4 {
        check
            .warning(
                "cpu-overcommit",
                format!("proxmox.hosts[{index}].cores"),
                format!(
                    "VMs on {} have {cores} virtual CPUs on a host of {}",
                    host.name, host.cores
                ),
            )
            .rests_on(&[
                &format!("proxmox.hosts[{index}].cores"),
                "nodes[].cores",
                "nodes[].host",
                "nodes[].name",
            ])
            .help("four virtual CPUs per thread at most: etcd is the first to suffer")
            .done();
    }
    let mut used: BTreeMap<&str, Bytes> = BTreeMap::new();
    for node in &here {
        let extra = node
            .longhorn_disk
            .iter()
            .map(|disk| (disk.storage.as_str(), disk.size));
        for (storage, size) in
            std::iter::once((node.disk.storage.as_str(), node.disk.size)).chain(extra)
        {
            let sum = used.entry(storage).or_default();
            *sum = *sum + size;
        }
    }
    for (at, storage) in host.storages.iter().enumerate() {
        let size = used.get(storage.name.as_str()).copied().unwrap_or_default();
        if size > storage.size {
            let path = format!("proxmox.hosts[{index}].storages[{at}].size");
            check
                .by_tier(
                    "storage-overcommit",
                    &path,
                    format!(
                        "disks on {}:{} take {} of {}",
                        host.name,
                        storage.name,
                        size.about(),
                        storage.size.about()
                    ),
                )
                .rests_on(&[
                    &path,
                    "nodes[].disk",
                    "nodes[].longhornDisk",
                    "nodes[].host",
                    "nodes[].name",
                    "tier",
                ])
                .help("a thin pool that runs full stops every VM on it")
                .done();
        }
    }
}
