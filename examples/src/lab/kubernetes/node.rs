//! Machines that join the cluster: what a kubelet registers and what becomes of it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::controllers::instant;
use super::object::{remove, set, stamp};
use super::resource;
use super::world::World;

/// What a machine says of itself when its kubelet registers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Machine {
    /// Node name.
    pub name: String,
    /// Addresses, the first one is the node's internal address.
    pub addresses: Vec<String>,
    /// Labels besides those that every kubelet sets.
    pub labels: BTreeMap<String, String>,
    /// Taints (`key`, `value`, `effect`) that the kubelet registers with.
    pub taints: Vec<(String, String, String)>,
    /// Processor cores.
    pub cores: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Ephemeral disk in bytes.
    pub disk: u64,
    /// Allocatable processor time in thousandths of a core.
    pub allocatable_millicores: u64,
    /// Allocatable memory in bytes.
    pub allocatable_memory: u64,
    /// Kubernetes version of the kubelet, without `v`.
    pub kubelet_version: String,
    /// As `kubectl get nodes -o wide` shows it: `Talos (v1.13.0)`.
    pub os_image: String,
    /// `6.12.31-talos`.
    pub kernel: String,
    /// System extensions of the image, for those who look at needs.
    pub extensions: Vec<String>,
    /// The distribution brings its own pod network, so that none has to be installed.
    pub own_network: bool,
}

impl Machine {
    /// A machine of that name, address, cores and bytes of memory; all of it but 50 millicores and
    /// 484 MiB is allocatable, as on a Talos worker.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        address: impl Into<String>,
        cores: u32,
        memory: u64,
    ) -> Self {
        Self {
            name: name.into(),
            addresses: vec![address.into()],
            labels: BTreeMap::new(),
            taints: Vec::new(),
            cores,
            memory,
            disk: 40 << 30,
            allocatable_millicores: (u64::from(cores) * 1_000).saturating_sub(50),
            allocatable_memory: memory.saturating_sub(484 << 20),
            kubelet_version: "1.36.0".to_owned(),
            os_image: "Talos (v1.13.0)".to_owned(),
            kernel: "6.12.0-talos".to_owned(),
            extensions: Vec::new(),
            own_network: false,
        }
    }

    /// The same with one more label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// The same with one more taint.
    #[must_use]
    pub fn taint(
        mut self,
        key: impl Into<String>,
        value: impl Into<String>,
        effect: impl Into<String>,
    ) -> Self {
        self.taints.push((key.into(), value.into(), effect.into()));
        self
    }

    /// The same as a control plane: its role label, its taint, and 128 MiB more reserved.
    #[must_use]
    pub fn control_plane(mut self) -> Self {
        const ROLE: &str = "node-role.kubernetes.io/control-plane";
        self.allocatable_memory = self.memory.saturating_sub(612 << 20);
        self.label(ROLE, "").taint(ROLE, "", "NoSchedule")
    }

    /// The same with these versions: kubelet, image of the system, kernel.
    #[must_use]
    pub fn versions(
        mut self,
        kubelet: impl Into<String>,
        os_image: impl Into<String>,
        kernel: impl Into<String>,
    ) -> Self {
        self.kubelet_version = kubelet.into();
        self.os_image = os_image.into();
        self.kernel = kernel.into();
        self
    }

    /// The same with these system extensions.
    #[must_use]
    pub fn extensions(mut self, extensions: Vec<String>) -> Self {
        self.extensions = extensions;
        self
    }
}

/// A machine's kubelet as the world remembers it: what the API does not show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kubelet {
    pub(crate) machine: Machine,
    pub(crate) up: bool,
    /// Since when it is up or down.
    pub(crate) since: Timestamp,
    /// Since when the pod network is configured on it.
    pub(crate) network: Option<Timestamp>,
    /// Images on the node, with the time when their pull ended.
    pub(crate) images: BTreeMap<String, Timestamp>,
}

impl World {
    /// A machine's kubelet starts and registers its node, or comes back with other facts.
    ///
    /// The node stays NotReady until a pod network is there.
    pub fn register_node(&mut self, now: SystemTime, machine: Machine) {
        let now = instant(now);
        let Some(kind) = resource::built_in_by_plural("", "nodes") else {
            return;
        };
        let old = self.get("nodes", "", &machine.name).cloned();
        let mut node = old.clone().unwrap_or_else(|| fresh(self, &machine));
        describe(&mut node, &machine);
        match old {
            Some(_) => drop(self.replace(&kind, node)),
            None => drop(self.insert(&kind, now, node)),
        }
        let before = self.kubelets.remove(&machine.name);
        let (network, images) = before
            .map(|one| (one.network, one.images))
            .unwrap_or_default();
        let name = machine.name.clone();
        let kubelet = Kubelet {
            machine,
            up: true,
            since: now,
            network,
            images,
        };
        self.kubelets.insert(name, kubelet);
        self.disturb();
    }

    /// The machine is gone for good, its node object too (what a cloud controller or `kubectl
    /// delete node` does). Pods of the node go with it.
    pub fn remove_node(&mut self, name: &str) {
        self.kubelets.remove(name);
        self.erase("nodes", "", name);
        self.disturb();
    }

    /// The kubelet of a node stops or starts again; false when there is no such node.
    pub fn set_kubelet(&mut self, now: SystemTime, name: &str, up: bool) -> bool {
        let Some(kubelet) = self.kubelets.get_mut(name) else {
            return false;
        };
        if kubelet.up != up {
            kubelet.up = up;
            kubelet.since = instant(now);
        }
        self.disturb();
        true
    }

    /// The machine's disk is new: images and network configuration are gone.
    pub fn wipe_node(&mut self, name: &str) {
        if let Some(kubelet) = self.kubelets.get_mut(name) {
            kubelet.network = None;
            kubelet.images.clear();
            self.disturb();
        }
    }

    /// The machines that have registered.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.kubelets.values().map(|one| &one.machine)
    }
}

fn fresh(world: &World, machine: &Machine) -> Value {
    let taints: Vec<Value> = machine
        .taints
        .iter()
        .map(|(key, value, effect)| {
            let mut taint = json!({"key": key, "effect": effect});
            if !value.is_empty() {
                taint["value"] = json!(value);
            }
            taint
        })
        .collect();
    let used: Vec<String> = world
        .list("nodes")
        .map(|one| super::object::text(one, "/spec/podCIDR").to_owned())
        .collect();
    let range = world.settings.pod_cidr;
    let size = if range.addr().is_ipv4() { 24 } else { 64 };
    let cidr = range
        .subnets(size.max(range.prefix_len()))
        .ok()
        .and_then(|all| {
            all.map(|one| one.to_string())
                .find(|one| !used.contains(one))
        });
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": machine.name},
        "spec": {},
    });
    if let Some(cidr) = cidr {
        node["spec"] = json!({"podCIDR": cidr, "podCIDRs": [cidr]});
    }
    if !taints.is_empty() {
        node["spec"]["taints"] = json!(taints);
    }
    node
}

fn describe(node: &mut Value, machine: &Machine) {
    for (key, value) in [
        ("beta.kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/hostname", machine.name.as_str()),
    ] {
        set(
            node,
            &format!("/metadata/labels/{}", key.replace('/', "~1")),
            json!(value),
        );
    }
    for (key, value) in &machine.labels {
        set(
            node,
            &format!("/metadata/labels/{}", key.replace('/', "~1")),
            json!(value),
        );
    }
    let mut addresses: Vec<Value> = machine
        .addresses
        .iter()
        .map(|one| json!({"type": "InternalIP", "address": one}))
        .collect();
    addresses.push(json!({"type": "Hostname", "address": machine.name}));
    set(node, "/status/addresses", json!(addresses));
    let quantities = |millicores: u64, memory: u64, disk: u64| {
        let cpu = if millicores.is_multiple_of(1_000) {
            (millicores / 1_000).to_string()
        } else {
            format!("{millicores}m")
        };
        json!({"cpu": cpu, "memory": format!("{}Ki", memory >> 10),
            "ephemeral-storage": format!("{}Ki", disk >> 10), "pods": "110"})
    };
    let cores = u64::from(machine.cores) * 1_000;
    set(
        node,
        "/status/capacity",
        quantities(cores, machine.memory, machine.disk),
    );
    let free = quantities(
        machine.allocatable_millicores,
        machine.allocatable_memory,
        machine.disk,
    );
    set(node, "/status/allocatable", free);
    set(
        node,
        "/status/nodeInfo",
        json!({
            "architecture": "amd64",
            "bootID": "",
            "containerRuntimeVersion": "containerd://2.1",
            "kernelVersion": machine.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": format!("v{}", machine.kubelet_version),
            "machineID": machine.name,
            "operatingSystem": "linux",
            "osImage": machine.os_image,
            "systemUUID": "",
        }),
    );
    remove(node, "/status/images");
    set(
        node,
        "/status/daemonEndpoints/kubeletEndpoint/Port",
        json!(10_250),
    );
}

/// A time as the API prints it, for tests and progress texts.
#[must_use]
pub fn printed(time: SystemTime) -> String {
    stamp(instant(time))
}
