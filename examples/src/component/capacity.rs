//! Whether the pods of a catalogue find room on the machines: requests against what a node has left.

use std::collections::{BTreeMap, BTreeSet};

use super::{AntiAffinity, Catalogue, Component, Requests, Workload};
use crate::spec::Spec;
use crate::spec::node::Node;
use crate::spec::quantity::{Bytes, Cpu};

/// What a machine offers to pods: Talos keeps 384 MiB on workers and 512 MiB on control planes, the kubelet evicts at
/// 100 MiB, and about three percent of the memory never reaches the guest's view.
#[must_use]
pub fn allocatable(node: &Node) -> Requests {
    let visible = Bytes::new(node.memory.get() / 100 * 97);
    let reserved = Bytes::mib(if node.is_worker() { 384 } else { 512 });
    Requests {
        cpu: Cpu::cores(u64::from(node.cores)) - Cpu::millis(50),
        memory: visible - reserved - Bytes::mib(100),
    }
}

/// A pod that found no room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Homeless {
    /// Component.
    pub component: String,
    /// Workload.
    pub workload: String,
    /// What it asks for.
    pub requests: Requests,
    /// Whether some machine had room and only an equal pod stood in the way.
    pub apart: bool,
}

/// Where the pods went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Placement {
    /// Pods that found no room, largest first.
    pub homeless: Vec<Homeless>,
    /// What each machine has left.
    pub left: BTreeMap<String, Requests>,
    /// Sum of what the pods ask for that do not come with the machines.
    pub asked: Requests,
    /// Sum of what workers offer to such pods.
    pub offered: Requests,
}

struct Machine<'n> {
    node: &'n Node,
    left: Requests,
    guests: BTreeSet<(&'n str, &'n str)>,
}

/// Places every pod, the largest first, each on the machine with the most memory left; `lost` machines are not there.
#[must_use]
pub fn place(spec: &Spec, catalogue: &Catalogue, lost: &[&str]) -> Placement {
    let mut machines: Vec<Machine<'_>> = spec
        .nodes
        .iter()
        .filter(|node| !lost.contains(&node.name.as_str()))
        .map(|node| Machine {
            node,
            left: allocatable(node),
            guests: BTreeSet::new(),
        })
        .collect();
    let mut placement = Placement::default();
    for machine in &mut machines {
        for (component, workload) in catalogue
            .workloads()
            .filter(|(_, workload)| workload.replicas.per_node())
        {
            let here = workload
                .replicas
                .count(1, u32::from(machine.node.is_worker()))
                == 1;
            if !here {
                continue;
            }
            if machine.takes(workload.requests) {
                machine.left = minus(machine.left, workload.requests);
            } else {
                placement
                    .homeless
                    .push(homeless(component, workload, false));
            }
        }
        if machine.node.is_worker() {
            placement.offered = plus(placement.offered, machine.left);
        }
    }
    let mut pods: Vec<(&Component, &Workload)> = Vec::new();
    for (component, workload) in catalogue
        .workloads()
        .filter(|(_, workload)| !workload.replicas.per_node())
    {
        for _ in 0..workload.replicas.count(0, 0) {
            pods.push((component, workload));
            placement.asked = plus(placement.asked, workload.requests);
        }
    }
    pods.sort_by_key(|(component, workload)| {
        let Requests { cpu, memory } = workload.requests;
        // A core weighs about as much as two GiB on the machines that homelabs have.
        let weight = memory.as_mib() + cpu.as_millis() * 2;
        (std::cmp::Reverse(weight), &component.name, &workload.name)
    });
    for (component, workload) in pods {
        let name = (component.name.as_str(), workload.name.as_str());
        let apart = workload.anti_affinity == AntiAffinity::Required;
        let allowed =
            |machine: &Machine<'_>| machine.node.is_worker() || workload.on_control_planes;
        let roomy = |machine: &Machine<'_>| allowed(machine) && machine.takes(workload.requests);
        let chosen = machines
            .iter_mut()
            .filter(|machine| roomy(machine) && !(apart && machine.guests.contains(&name)))
            .max_by_key(|machine| {
                let alone =
                    workload.anti_affinity == AntiAffinity::None || !machine.guests.contains(&name);
                // What may run on a control plane goes there first: workers are scarce.
                (
                    alone,
                    workload.on_control_planes && !machine.node.is_worker(),
                    machine.left.memory,
                    machine.left.cpu,
                )
            });
        match chosen {
            Some(machine) => {
                machine.left = minus(machine.left, workload.requests);
                machine.guests.insert(name);
            }
            None => {
                let stood_in_the_way = machines.iter().any(roomy);
                placement
                    .homeless
                    .push(homeless(component, workload, stood_in_the_way));
            }
        }
    }
    placement.left = machines
        .iter()
        .map(|machine| (machine.node.name.to_string(), machine.left))
        .collect();
    placement
}

impl Machine<'_> {
    fn takes(&self, requests: Requests) -> bool {
        self.left.cpu >= requests.cpu && self.left.memory >= requests.memory
    }
}

fn homeless(component: &Component, workload: &Workload, apart: bool) -> Homeless {
    Homeless {
        component: component.name.clone(),
        workload: workload.name.clone(),
        requests: workload.requests,
        apart,
    }
}

fn minus(a: Requests, b: Requests) -> Requests {
    Requests {
        cpu: a.cpu - b.cpu,
        memory: a.memory - b.memory,
    }
}

fn plus(a: Requests, b: Requests) -> Requests {
    Requests {
        cpu: a.cpu + b.cpu,
        memory: a.memory + b.memory,
    }
}
