//! Whether what runs fits the machines, also after losing the largest one.

use super::Check;
use crate::component::capacity::{Homeless, Placement, place};
use crate::component::{Catalogue, Requests};
use crate::spec::Spec;
use crate::spec::node::Node;
use crate::spec::quantity::{Bytes, Cpu};

/// All that the placement of pods rests on.
const BASIS: [&str; 9] = [
    "nodes[].role",
    "nodes[].name",
    "nodes[].cores",
    "nodes[].memory",
    "components",
    "tier",
    "cilium",
    "backup",
    "storage.classes",
];

pub(super) fn run(check: &mut Check<'_, '_>) {
    let (spec, catalogue) = (check.spec, check.catalogue);
    if spec.workers().next().is_none() {
        return;
    }
    let placement = place(spec, catalogue, &[]);
    let Some(first) = placement.homeless.first() else {
        losing_one(check);
        return;
    };
    if first.apart {
        let nodes = spec.workers().count();
        if nodes < spec.tier.replicas() as usize {
            return;
        }
        check
            .error("replicas-gt-nodes", "nodes", format!("{} never shares a node with its like, and {nodes} workers are too few for all of them", name(first)))
            .rests_on(&BASIS)
            .help("one more worker, or fewer replicas")
            .done();
        return;
    }
    let most = free(spec, catalogue);
    let path = component_path(check, &first.component);
    if first.requests.cpu > most.cpu {
        check
            .error(
                "cpu-short-single",
                path,
                format!(
                    "{} asks for {}, but no worker has more than {} free",
                    name(first),
                    first.requests.cpu.about(),
                    most.cpu.about()
                ),
            )
            .rests_on(&BASIS)
            .help("profile: small, or workers with more cores")
            .done();
    } else if first.requests.memory > most.memory {
        check
            .error(
                "memory-short-single",
                path,
                format!(
                    "{} asks for {}, but no worker has more than {} free",
                    name(first),
                    first.requests.memory.about(),
                    most.memory.about()
                ),
            )
            .rests_on(&BASIS)
            .help("profile: small, or workers with more memory")
            .done();
    } else {
        sum(check, &placement);
    }
}

fn sum(check: &mut Check<'_, '_>, placement: &Placement) {
    let (asked, offered) = (placement.asked, placement.offered);
    let (a, b) = if asked.memory > offered.memory || asked.cpu <= offered.cpu {
        (asked.memory.about(), offered.memory.about())
    } else {
        (asked.cpu.about(), offered.cpu.about())
    };
    let largest = largest(check.catalogue);
    let homeless = &placement.homeless[0];
    check
        .error(
            "memory-short-sum",
            "components",
            format!("components ask for {a}, nodes offer {b} after system reserve (largest: {largest}); no room is left for {}", name(homeless)),
        )
        .rests_on(&BASIS)
        .also_at("nodes", "the machines")
        .help("components.profile: small, or more memory, or more workers")
        .done();
}

/// The N−1 rule: an error in production, a warning in staging.
fn losing_one(check: &mut Check<'_, '_>) {
    let (spec, catalogue) = (check.spec, check.catalogue);
    if spec.tier == crate::spec::Tier::Development {
        return;
    }
    let size = |node: &&Node| {
        (
            node.memory,
            node.cores,
            std::cmp::Reverse(node.name.clone()),
        )
    };
    let Some(largest_node) = spec.workers().max_by_key(size) else {
        return;
    };
    let placement = place(spec, catalogue, &[largest_node.name.as_str()]);
    let Some(homeless) = placement.homeless.first() else {
        return;
    };
    // Pods that never share a node wait for the lost one to come back: that is what was asked for.
    if placement.homeless.iter().all(|pod| pod.apart) {
        return;
    }
    let message = format!(
        "after losing {} the components ask for {} and {}, the other nodes offer {} and {}; {} would find no room",
        largest_node.name,
        placement.asked.cpu.about(),
        placement.asked.memory.about(),
        placement.offered.cpu.about(),
        placement.offered.memory.about(),
        name(homeless)
    );
    check
        .by_tier("n-minus-one", "nodes", message)
        .rests_on(&BASIS)
        .help("one more worker of that size, larger ones, or components.profile: small")
        .done();
}

fn name(homeless: &Homeless) -> String {
    if homeless.component == homeless.workload {
        homeless.component.clone()
    } else {
        homeless.workload.clone()
    }
}

/// What the emptiest worker has left beside the pods that come with every machine.
fn free(spec: &Spec, catalogue: &Catalogue) -> Requests {
    let mut alone = catalogue.clone();
    for component in &mut alone.components {
        component
            .workloads
            .retain(|workload| workload.replicas.per_node());
    }
    let placement = place(spec, &alone, &[]);
    let mut most = Requests::default();
    for worker in spec.workers() {
        if let Some(left) = placement.left.get(worker.name.as_str()) {
            most.cpu = most.cpu.max(left.cpu);
            most.memory = most.memory.max(left.memory);
        }
    }
    most
}

/// The components that ask for most, for a message.
fn largest(catalogue: &Catalogue) -> String {
    let mut sums: Vec<(Bytes, Cpu, &str)> = catalogue
        .components
        .iter()
        .map(|component| {
            let pods = component
                .workloads
                .iter()
                .filter(|workload| !workload.replicas.per_node());
            let (mut memory, mut cpu) = (Bytes::default(), Cpu::default());
            for workload in pods {
                let count = u64::from(workload.replicas.count(0, 0));
                memory = memory + workload.requests.memory * count;
                cpu = cpu + workload.requests.cpu * count;
            }
            (memory, cpu, component.name.as_str())
        })
        .collect();
    sums.sort_by(|a, b| b.cmp(a));
    let texts: Vec<String> = sums
        .iter()
        .take(2)
        .map(|(memory, _, name)| format!("{name} {}", memory.about()))
        .collect();
    texts.join(", ")
}

/// Where a component is asked for.
fn component_path(check: &Check<'_, '_>, component: &str) -> String {
    match check.spec.components.get(component) {
        Some((key, _)) => format!("components.{key}"),
        None => "nodes".to_owned(),
    }
}
