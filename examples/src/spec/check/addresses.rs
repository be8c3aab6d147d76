//! Networks and addresses: what lies where, and what shares what.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::Check;
use crate::spec::net::{AddressRange, Cidr};
use crate::spec::platform::Announce;

pub(super) fn run(check: &mut Check<'_, '_>) {
    link(check);
    networks(check);
    shadowed(check);
    sizes(check);
    nodes(check);
    api(check);
    used_twice(check);
    pools(check);
    gateway(check);
}

fn link(check: &mut Check<'_, '_>) {
    let mtu = check.spec.network.mtu;
    if !(1280..=9216).contains(&mtu) {
        check
            .error(
                "link-mtu",
                "network.mtu",
                format!("network.mtu {mtu} is not what Ethernet carries: 1280 to 9216"),
            )
            .help("mtu: 1500, or the size that every switch between the nodes is set to")
            .done();
    }
}

fn networks(check: &mut Check<'_, '_>) {
    let network = &check.spec.network;
    let mut all: Vec<(&str, Cidr)> = vec![
        ("network.nodes", network.nodes),
        ("network.pods", network.pods),
        ("network.services", network.services),
    ];
    all.extend(network.management.map(|net| ("network.management", net)));
    for (index, (one, a)) in all.iter().enumerate() {
        for (other, b) in &all[index + 1..] {
            // Without VLANs the nodes stand in the management network itself.
            let flat = a == b && *one == "network.nodes" && *other == "network.management";
            if flat || !a.overlaps(*b) {
                continue;
            }
            let ((inner, x), (outer, y)) = if b.contains_net(*a) {
                ((one, a), (other, b))
            } else {
                ((other, b), (one, a))
            };
            check
                .error(
                    "cidr-overlap",
                    *inner,
                    format!("{inner} {x} lies inside {outer} {y}"),
                )
                .also(*outer, format!("{y}"))
                .help("choose pods outside every routed network")
                .done();
        }
    }
    let Some(overlay) = &check.spec.wireguard else {
        return;
    };
    for (other, net) in all {
        if overlay.subnet.overlaps(net) {
            check
                .error(
                    "wg-overlap",
                    "wireguard.subnet",
                    format!("wireguard.subnet {} overlaps {other} {net}", overlay.subnet),
                )
                .also(other, format!("{net}"))
                .help("10.200.0.0/24 is free in most homes; mind that 10.96.0.0/12 reaches to 10.111.255.255")
                .done();
        }
    }
}

/// Addresses outside the cluster that pods must reach but would look for among themselves.
fn shadowed(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let mut outside: Vec<(String, Ipv4Addr)> = Vec::new();
    for (index, server) in spec.dns.servers.iter().enumerate() {
        outside.push((format!("dns.servers[{index}]"), *server));
    }
    if let Ok(address) = spec.proxmox.endpoint.host().parse() {
        outside.push(("proxmox.endpoint".into(), address));
    }
    for (index, server) in spec.dns.ntp.iter().enumerate() {
        if let Ok(address) = server.parse() {
            outside.push((format!("dns.ntp[{index}]"), address));
        }
    }
    for (range, name) in [
        (spec.network.pods, "network.pods"),
        (spec.network.services, "network.services"),
    ] {
        for (path, address) in &outside {
            // Where the networks themselves overlap, that has been said.
            let inside = |net: Cidr| net.contains(*address) && net.overlaps(range);
            if range.contains(*address)
                && !inside(spec.network.nodes)
                && !spec.network.management.is_some_and(inside)
            {
                check
                    .error("cidr-lan-shadow", path, format!("{path} {address} is inside {name}: pods would not reach it"))
                    .also(name, format!("{range}"))
                    .help("move pods and services to networks that nothing else uses, such as 10.244.0.0/16 and 10.96.0.0/12")
                    .done();
            }
        }
    }
}

fn sizes(check: &mut Check<'_, '_>) {
    let network = &check.spec.network;
    let nodes = check.spec.nodes.len() as u64;
    let (prefix, each) = (
        u64::from(network.pods.prefix()),
        u64::from(network.pod_prefix),
    );
    let holds = if (prefix..=32).contains(&each) {
        1u64 << (each - prefix)
    } else {
        0
    };
    if holds < nodes {
        check
            .error(
                "pod-cidr-exhausted",
                "network.pods",
                format!("network.pods {} holds {holds} node ranges of /{each}, but {nodes} nodes are declared", network.pods),
            )
            .also("network.podPrefix", format!("/{each} for each node"))
            .rests_on(&["network.pods", "network.podPrefix", "nodes[].name"])
            .help("a /16 holds 256 ranges of /24")
            .done();
    }
    if !network.services.contains(network.cluster_dns) {
        check
            .error(
                "dns-address",
                "network.clusterDns",
                format!(
                    "network.clusterDns {} is not inside network.services {}",
                    network.cluster_dns, network.services
                ),
            )
            .also("network.services", format!("{}", network.services))
            .help("leave it out: the tenth address of network.services is taken")
            .done();
    }
    if !network.nodes.contains(network.gateway) {
        check
            .error(
                "gateway-outside",
                "network.gateway",
                format!(
                    "network.gateway {} is not inside network.nodes {}",
                    network.gateway, network.nodes
                ),
            )
            .also("network.nodes", format!("{}", network.nodes))
            .help("the router's address in the nodes' network")
            .done();
    }
}

fn nodes(check: &mut Check<'_, '_>) {
    let net = check.spec.network.nodes;
    for node in &check.spec.nodes {
        let path = format!("{}.address", node.source);
        if !net.contains(node.address) {
            check
                .error(
                    "address-outside",
                    &path,
                    format!("{path} {} is not inside network.nodes {net}", node.address),
                )
                .also("network.nodes", format!("{net}"))
                .help("an address of network.nodes that no other device has")
                .done();
        } else if node.address == net.broadcast() || node.address == net.network() {
            let what = if node.address == net.network() {
                "network"
            } else {
                "broadcast"
            };
            check
                .error(
                    "network-or-broadcast",
                    &path,
                    format!("{path} {} is the {what} address of {net}", node.address),
                )
                .also("network.nodes", format!("{net}"))
                .help("an address between the first and the last")
                .done();
        } else if let Some(leased) = check
            .spec
            .network
            .dhcp
            .filter(|range| range.contains(node.address))
        {
            check
                .error("address-in-dhcp", &path, format!("{path} {} is inside network.dhcp {leased}: the router may lease it to another device", node.address))
                .also("network.dhcp", format!("{leased}"))
                .help("an address outside the leased range")
                .done();
        }
    }
}

fn api(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let (vip, net) = (spec.api.vip, spec.network.nodes);
    if !net.contains(vip) {
        check
            .error("vip-outside", "api.vip", format!("api.vip {vip} is not inside network.nodes {net}: a shared address must be in the nodes' L2 network"))
            .also("network.nodes", format!("{net}"))
            .help("a free address of network.nodes")
            .done();
    }
    for node in spec.nodes.iter().filter(|node| node.address == vip) {
        check
            .error(
                "vip-is-node",
                "api.vip",
                format!("api.vip {vip} is the address of {}", node.name),
            )
            .also(format!("{}.address", node.source), format!("{}", node.name))
            .help("the shared address moves between control planes: it belongs to none of them")
            .done();
    }
    for (index, pool) in spec
        .load_balancer
        .pools
        .iter()
        .enumerate()
        .filter(|(_, pool)| pool.range.contains(vip))
    {
        check
            .error(
                "vip-in-lb-pool",
                "api.vip",
                format!(
                    "api.vip {vip} is inside loadBalancer.pools[{index}] {}",
                    pool.range
                ),
            )
            .also(
                format!("loadBalancer.pools[{index}].range"),
                format!("{}", pool.range),
            )
            .help("take the address out of the pool, or another one for the API")
            .done();
    }
}

/// Addresses that belong to exactly one thing. The pools are ranges and are judged by their own rule.
fn used_twice(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let mut owners: BTreeMap<Ipv4Addr, (String, String)> = BTreeMap::new();
    owners.insert(
        spec.network.gateway,
        ("network.gateway".into(), "network.gateway".into()),
    );
    for (index, server) in spec.dns.servers.iter().enumerate() {
        let path = format!("dns.servers[{index}]");
        owners.entry(*server).or_insert((path.clone(), path));
    }
    for node in &spec.nodes {
        let path = format!("{}.address", node.source);
        match owners.get(&node.address) {
            None => {
                owners.insert(node.address, (path, node.name.to_string()));
            }
            Some((first, owner)) => {
                let message = format!(
                    "address {} is used by {} and {owner}",
                    node.address, node.name
                );
                let (first, owner) = (first.clone(), owner.clone());
                check
                    .error("duplicate-ip", path, message)
                    .also(first, owner)
                    .help("every machine has an address of its own")
                    .done();
            }
        }
    }
    let vip = spec.api.vip;
    if let Some((path, owner)) = owners
        .get(&vip)
        .filter(|(path, _)| !path.starts_with("nodes"))
    {
        check
            .error(
                "duplicate-ip",
                "api.vip",
                format!("address {vip} is used by api.vip and {owner}"),
            )
            .also(path, owner)
            .help("a free address of network.nodes")
            .done();
    }
}

fn pools(check: &mut Check<'_, '_>) {
    let spec = check.spec;
    let net = spec.network.nodes;
    let pools = &spec.load_balancer.pools;
    for (index, pool) in pools.iter().enumerate() {
        let path = format!("loadBalancer.pools[{index}].range");
        let range = pool.range;
        let title = format!("loadBalancer.pools[{index}] {range}");
        if spec.load_balancer.mode == Announce::L2 && !range.is_within(net) {
            check
                .error(
                    "lb-l2-outside",
                    &path,
                    format!("{title} cannot be announced by L2 outside network.nodes; use bgp"),
                )
                .also("network.nodes", format!("{net}"))
                .needs("loadBalancer.mode")
                .help(format!("loadBalancer.mode: bgp, or a range inside {net}"))
                .done();
        }
        let mut taken: Vec<(String, AddressRange)> = Vec::new();
        for node in &spec.nodes {
            taken.push((format!("{}.address", node.source), single(node.address)));
        }
        taken.push(("network.gateway".into(), single(spec.network.gateway)));
        taken.extend(
            spec.network
                .dhcp
                .map(|range| ("network.dhcp".into(), range)),
        );
        let mut others = vec![
            ("network.pods", spec.network.pods),
            ("network.services", spec.network.services),
        ];
        others.extend(
            spec.network
                .management
                .map(|net| ("network.management", net)),
        );
        for (name, other) in others {
            if !other.overlaps(net) {
                taken.push((name.into(), other.range()));
            }
        }
        // Several machines of one entry are one finding.
        let mut said: Vec<&str> = Vec::new();
        for (other, used) in &taken {
            let Some(shared) = range.shared(*used) else {
                continue;
            };
            if said.contains(&other.as_str()) {
                continue;
            }
            said.push(other);
            let what = if used.size() == 1 {
                format!("{title} contains {other} {}", used.first)
            } else {
                format!("{title} shares {shared} with {other}")
            };
            check
                .error("lb-pool-overlap", &path, what)
                .also(other, format!("{used}"))
                .help("a range that nothing else uses")
                .done();
        }
        for (other_index, other) in pools.iter().enumerate().skip(index + 1) {
            if let Some(shared) = range.shared(other.range) {
                check
                    .error(
                        "lb-pools-overlap",
                        format!("loadBalancer.pools[{other_index}].range"),
                        format!(
                            "loadBalancer.pools \"{}\" and \"{}\" share {shared}",
                            pool.name, other.name
                        ),
                    )
                    .also(&path, format!("{}", pool.name))
                    .help("give each pool addresses of its own")
                    .done();
            }
        }
    }
}

fn single(address: Ipv4Addr) -> AddressRange {
    AddressRange {
        first: address,
        last: address,
    }
}

fn gateway(check: &mut Check<'_, '_>) {
    let Some(gateway) = &check.spec.gateway else {
        return;
    };
    let pools = &check.spec.load_balancer.pools;
    if !pools
        .iter()
        .any(|pool| pool.range.contains(gateway.address))
    {
        let ranges: Vec<String> = pools.iter().map(|pool| pool.range.to_string()).collect();
        check
            .error(
                "gateway-address-outside",
                "gateway.address",
                format!(
                    "gateway.address {} is in none of the pools ({})",
                    gateway.address,
                    ranges.join(", ")
                ),
            )
            .also("loadBalancer.pools", "the pools")
            .help("an address of loadBalancer.pools: nothing else is announced")
            .done();
    }
}
