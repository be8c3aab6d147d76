//! Endpoints of services, and addresses of load balancers from Cilium's pools.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::super::object::{
    Condition, annotation, condition, deleting, list, name, namespace, number, set, set_condition,
    text, texts,
};
use super::super::selector::Selector;
use super::super::world::World;
use super::{Turn, nodes, pods};

const POOLS: &str = "ciliumloadbalancerippools.cilium.io";
const SLICES: &str = "endpointslices.discovery.k8s.io";

pub(super) fn run(turn: &mut Turn<'_>) {
    let operator = operator_ready(turn.world);
    for service in turn.all("services") {
        if deleting(&service) {
            continue;
        }
        endpoints(turn, &service);
        if operator && text(&service, "/spec/type") == "LoadBalancer" {
            balance(turn, &service);
        }
    }
}

/// True when the Cilium operator can do its work.
pub(super) fn operator_ready(world: &World) -> bool {
    world
        .list("pods")
        .any(|pod| nodes::is_cilium_operator(pod) && pods::is_ready(pod))
}

/// Number of a target port on a pod: given, or that of the container port with this name.
fn port_number(pod: &Value, target: &Value) -> Option<i64> {
    if let Some(number) = target.as_i64() {
        return Some(number);
    }
    list(pod, "/spec/containers")
        .iter()
        .chain(list(pod, "/spec/initContainers"))
        .flat_map(|one| list(one, "/ports"))
        .find(|one| one["name"] == *target)
        .and_then(|one| number(one, "/containerPort"))
}

fn endpoints(turn: &mut Turn<'_>, service: &Value) {
    let labels = texts(service, "/spec/selector");
    if labels.is_empty() {
        return;
    }
    let selector = Selector::of_labels(&labels);
    let mut chosen = turn.all_in("pods", namespace(service));
    chosen.retain(|pod| {
        selector.selects(pod) && !text(pod, "/status/podIP").is_empty() && !pods::finished(pod)
    });
    let endpoints: Vec<Value> = chosen
        .iter()
        .map(|pod| {
            let ready = pods::is_ready(pod);
            json!({
                "addresses": [text(pod, "/status/podIP")],
                "conditions": {"ready": ready, "serving": ready, "terminating": deleting(pod)},
                "nodeName": text(pod, "/spec/nodeName"),
                "targetRef": {"kind": "Pod", "namespace": namespace(pod), "name": name(pod),
                    "uid": super::super::object::uid(pod)},
            })
        })
        .collect();
    let ports: Vec<Value> = list(service, "/spec/ports")
        .iter()
        .filter_map(|port| {
            let number = chosen
                .iter()
                .find_map(|pod| port_number(pod, &port["targetPort"]))?;
            Some(json!({"name": text(port, "/name"), "port": number, "protocol": port["protocol"]}))
        })
        .collect();
    let slice_name = format!("{}-{}", name(service), slice_suffix(service));
    match turn
        .world
        .get(SLICES, namespace(service), &slice_name)
        .cloned()
    {
        Some(slice) => turn.update(SLICES, &slice, |one| {
            set(one, "/endpoints", json!(endpoints));
            set(one, "/ports", json!(ports));
        }),
        None => {
            let slice = json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": slice_name, "namespace": namespace(service),
                    "labels": {"kubernetes.io/service-name": name(service),
                        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
                    "ownerReferences": [pods::owner_reference(service)],
                },
                "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
            });
            turn.create(SLICES, slice);
        }
    }
}

fn slice_suffix(service: &Value) -> String {
    pods::template_hash(&service["metadata"]["uid"])
        .chars()
        .take(5)
        .collect()
}

/// Gives a service of type LoadBalancer an address from the pools that are for it.
fn balance(turn: &mut Turn<'_>, service: &Value) {
    if !list(service, "/status/loadBalancer/ingress").is_empty() {
        return;
    }
    let class = text(service, "/spec/loadBalancerClass");
    if !matches!(
        class,
        "" | "io.cilium/bgp-control-plane" | "io.cilium/l2-announcer"
    ) {
        return;
    }
    let used: BTreeSet<String> = turn
        .world
        .list("services")
        .flat_map(|one| list(one, "/status/loadBalancer/ingress"))
        .map(|one| text(one, "/ip").to_owned())
        .collect();
    let pools: Vec<Value> = turn
        .world
        .list(POOLS)
        .filter(|pool| is_for(pool, service))
        .cloned()
        .collect();
    let wanted = annotation(service, "lbipam.cilium.io/ips")
        .or_else(|| annotation(service, "io.cilium/lb-ipam-ips"))
        .map(str::to_owned);
    let mut addresses = pools.iter().flat_map(addresses_of);
    let address = match &wanted {
        Some(wanted) => addresses
            .find(|one| wanted.split(',').any(|part| part.trim() == one) && !used.contains(one)),
        None => addresses.find(|one| !used.contains(one)),
    };
    let now = turn.now;
    let Some(address) = address else {
        let (reason, message) = if pools.is_empty() {
            (
                "no_pool",
                "There are no enabled CiliumLoadBalancerIPPools that match this service",
            )
        } else {
            (
                "out_of_ips",
                "All enabled CiliumLoadBalancerIPPools that match this service ran out of allocatable IPs",
            )
        };
        turn.update("services", service, |one| {
            set_condition(
                one,
                now,
                &Condition {
                    kind: "cilium.io/IPAMRequestSatisfied",
                    status: false,
                    reason,
                    message,
                },
            );
        });
        return;
    };
    turn.update("services", service, |one| {
        set(
            one,
            "/status/loadBalancer/ingress",
            json!([{"ip": address, "ipMode": "VIP"}]),
        );
        set_condition(
            one,
            now,
            &Condition {
                kind: "cilium.io/IPAMRequestSatisfied",
                status: true,
                reason: "satisfied",
                message: "",
            },
        );
    });
}

fn is_for(pool: &Value, service: &Value) -> bool {
    if super::super::object::flag(pool, "/spec/disabled") || deleting(pool) {
        return false;
    }
    if condition(pool, "cilium.io/PoolConflict").is_some_and(|one| one["status"] == "True") {
        return false;
    }
    let Some(selector) = pool.pointer("/spec/serviceSelector") else {
        return true;
    };
    let mut labels = texts(service, "/metadata/labels");
    labels.insert(
        "io.kubernetes.service.namespace".to_owned(),
        namespace(service).to_owned(),
    );
    labels.insert(
        "io.kubernetes.service.name".to_owned(),
        name(service).to_owned(),
    );
    Selector::of_object(Some(selector)).is_some_and(|one| one.matches(&labels))
}

fn addresses_of(pool: &Value) -> Vec<String> {
    // More than this many addresses of one block are never looked at.
    const MOST: usize = 4_096;
    let mut all = Vec::new();
    let no_ends = text(pool, "/spec/allowFirstLastIPs") == "No";
    for block in list(pool, "/spec/blocks") {
        if let Ok(range) = text(block, "/cidr").parse::<IpNet>() {
            let IpNet::V4(range) = range else { continue };
            let (first, last) = (u32::from(range.network()), u32::from(range.broadcast()));
            let (first, last) = if no_ends && last - first > 1 {
                (first + 1, last - 1)
            } else {
                (first, last)
            };
            all.extend(
                (first..=last)
                    .take(MOST)
                    .map(|one| std::net::Ipv4Addr::from(one).to_string()),
            );
        } else if let Ok(start) = text(block, "/start").parse::<std::net::Ipv4Addr>() {
            let stop = text(block, "/stop").parse().unwrap_or(start);
            all.extend(
                (u32::from(start)..=u32::from(stop))
                    .take(MOST)
                    .map(|one| std::net::Ipv4Addr::from(one).to_string()),
            );
        }
    }
    all
}
