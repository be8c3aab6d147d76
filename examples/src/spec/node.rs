//! Machines: profiles, explicit entries and counted entries become one list.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::decode::{Cx, Decode, Map, Scalar, choice, nearest, record};
use super::name::{DnsLabel, bad_name};
use super::net::{Mac, Vmid};
use super::quantity::Bytes;
use super::yaml::{Node as Tree, Value};

choice! {
    /// What a machine is for.
    Role {
        /// Runs etcd and the Kubernetes API; takes no workloads.
        ControlPlane = "controlplane",
        /// Runs workloads.
        Worker = "worker",
    }
}

record! {
    /// A virtual disk.
    Disk {
        /// Size.
        size: Bytes = need "size",
        /// Storage of the host.
        storage: String = need "storage",
    }
}

record! {
    /// A disk for replicated volumes.
    LonghornDisk {
        /// Size.
        size: Bytes = need "size",
        /// Storage of the host.
        storage: String = need "storage",
        /// What storage classes may ask for.
        tags: Vec<String> = or "tags" (Vec::new()),
    }
}

/// One machine.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Node {
    /// Host name and name of the VM.
    pub name: DnsLabel,
    /// What it is for.
    pub role: Role,
    /// Number of the VM.
    pub vmid: Vmid,
    /// Proxmox VE host that runs it.
    pub host: String,
    /// Address in the nodes' network.
    pub address: Ipv4Addr,
    /// Ethernet address; derived from the names when not given, so that it never changes.
    pub mac: Mac,
    /// Virtual CPUs.
    pub cores: u32,
    /// Memory.
    pub memory: Bytes,
    /// System disk.
    pub disk: Disk,
    /// Device on which Talos is installed, as the guest sees it.
    pub install_disk: String,
    /// Second disk, for replicated volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longhorn_disk: Option<LonghornDisk>,
    /// Labels of the Kubernetes node.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Path of the entry in the file that it comes from, for example `nodes[3]`.
    #[serde(skip)]
    pub source: String,
}

impl Node {
    /// Whether it takes workloads.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.role == Role::Worker
    }
}

/// What a profile and a node both may say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traits {
    role: Option<Role>,
    host: Option<String>,
    cores: Option<u32>,
    memory: Option<Bytes>,
    disk: Option<Disk>,
    install_disk: Option<String>,
    longhorn_disk: Option<LonghornDisk>,
    labels: BTreeMap<String, String>,
}

const TRAITS: [&str; 7] = [
    "role",
    "host",
    "cores",
    "memory",
    "disk",
    "installDisk",
    "longhornDisk",
];

impl Traits {
    fn read(cx: &mut Cx<'_>, map: &mut Map<'_>) -> Self {
        Self {
            role: map.maybe(cx, "role"),
            host: map.maybe(cx, "host"),
            cores: map.maybe(cx, "cores"),
            memory: map.maybe(cx, "memory"),
            disk: map.maybe(cx, "disk"),
            install_disk: map.maybe(cx, "installDisk"),
            longhorn_disk: map.maybe(cx, "longhornDisk"),
            labels: map.or(cx, "labels", BTreeMap::new()),
        }
    }
}

impl Decode for Traits {
    fn decode(cx: &mut Cx<'_>, path: &str, node: &Tree) -> Option<Self> {
        let mut map = Map::open(cx, path, node)?;
        let traits = Self::read(cx, &mut map);
        map.finish(cx);
        Some(traits)
    }

    fn placeholder() -> Self {
        Self::default()
    }
}

/// Reads `profiles` and `nodes` of the root mapping.
pub(crate) fn read(cx: &mut Cx<'_>, root: &mut Map<'_>, cluster: &str) -> Vec<Node> {
    let profiles: BTreeMap<String, Traits> = root.or(cx, "profiles", BTreeMap::new());
    let Some(tree) = root.node("nodes") else {
        cx.error_help(
            "missing-key",
            "nodes",
            "nodes is missing",
            "at least one node of role controlplane",
        );
        return Vec::new();
    };
    let Value::List(items) = &tree.value else {
        cx.error_help(
            "wrong-type",
            "nodes",
            "nodes is not a list",
            "- {name: cp-1, role: controlplane, …}",
        );
        return Vec::new();
    };
    let mut nodes = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("nodes[{index}]");
        cx.remember(
            &path,
            super::decode::Place {
                key: None,
                value: item.bytes.clone(),
            },
        );
        if let Some(found) = entry(cx, &path, item, cluster, &profiles) {
            nodes.extend(found);
        }
    }
    nodes
}

fn entry(
    cx: &mut Cx<'_>,
    path: &str,
    item: &Tree,
    cluster: &str,
    profiles: &BTreeMap<String, Traits>,
) -> Option<Vec<Node>> {
    let mut map = Map::open(cx, path, item)?;
    let names: Names = map.need(cx, "name");
    let profile_name: Option<String> = map.maybe(cx, "profile");
    let first_vmid: Vmid = map.need(cx, "vmid");
    let first_address: Ipv4Addr = map.need(cx, "address");
    let mac: Option<Mac> = map.maybe(cx, "mac");
    let own = Traits::read(cx, &mut map);
    map.finish(cx);

    let profile = match &profile_name {
        None => Traits::default(),
        Some(name) => match profiles.get(name) {
            Some(profile) => {
                for key in TRAITS {
                    let at = format!("{path}.{key}");
                    if !cx.is_written(&at) {
                        cx.alias(&at, &format!("profiles.{name}.{key}"));
                    }
                }
                profile.clone()
            }
            None => {
                let words: Vec<&str> = profiles.keys().map(String::as_str).collect();
                let mut message = format!("{path}.profile \"{name}\" is not one of the profiles");
                if let Some(near) = nearest(name, &words) {
                    message.push_str(&format!("; did you mean \"{near}\"?"));
                }
                cx.error_help(
                    "unknown-profile",
                    &format!("{path}.profile"),
                    message,
                    format!("profiles: {}", words.join(", ")),
                );
                for key in TRAITS {
                    cx.poison(&format!("{path}.{key}"));
                }
                Traits::default()
            }
        },
    };
    if mac.is_some() && names.0.len() > 1 {
        let at = format!("{path}.mac");
        cx.error_help(
            "duplicate-mac",
            &at,
            format!("{at} would be used by {} machines", names.0.len()),
            "leave it out: each machine derives its own",
        );
    }
    let mut labels = profile.labels;
    labels.extend(own.labels);
    let traits = Traits {
        role: own.role.or(profile.role),
        host: own.host.or(profile.host),
        cores: own.cores.or(profile.cores),
        memory: own.memory.or(profile.memory),
        disk: own.disk.or(profile.disk),
        install_disk: own.install_disk.or(profile.install_disk),
        longhorn_disk: own.longhorn_disk.or(profile.longhorn_disk),
        labels,
    };
    let node = |cx: &mut Cx<'_>, offset: u32, name: &DnsLabel| Node {
        name: name.clone(),
        role: given(cx, path, "role", traits.role),
        vmid: first_vmid.plus(offset),
        host: given(cx, path, "host", traits.host.clone()),
        address: Ipv4Addr::from(u32::from(first_address).saturating_add(offset)),
        mac: mac.unwrap_or_else(|| Mac::derived(cluster, name.as_str())),
        cores: given(cx, path, "cores", traits.cores),
        memory: given(cx, path, "memory", traits.memory),
        disk: given(cx, path, "disk", traits.disk.clone()),
        install_disk: traits
            .install_disk
            .clone()
            .unwrap_or_else(|| "/dev/sda".into()),
        longhorn_disk: traits.longhorn_disk.clone(),
        labels: traits.labels.clone(),
        source: path.to_owned(),
    };
    let count = names.0.len();
    Some(
        (0u32..)
            .zip(&names.0)
            .take(count)
            .map(|(offset, name)| node(cx, offset, name))
            .collect(),
    )
}

/// The value of the entry or its profile; asked for once when neither has it.
fn given<T: Decode>(cx: &mut Cx<'_>, path: &str, key: &str, value: Option<T>) -> T {
    value.unwrap_or_else(|| {
        let at = format!("{path}.{key}");
        if !cx.is_broken(&at) {
            cx.error_help(
                "missing-key",
                &at,
                format!("{at} is missing"),
                format!("write {key} here or in the profile"),
            );
        }
        T::placeholder()
    })
}

/// `worker-1` or `worker-{1..4}`.
#[derive(Debug, Clone)]
struct Names(Vec<DnsLabel>);

impl Scalar for Names {
    const WHAT: &'static str = "a name such as worker-1 or worker-{1..4}";
    const TEXT: bool = true;

    fn parse(_path: &str, text: &str) -> Result<Self, super::decode::Bad> {
        let name = |text: &str| DnsLabel::new(text).ok_or_else(|| bad_name("node name", text));
        let Some((before, rest)) = text.split_once('{') else {
            return Ok(Self(vec![name(text)?]));
        };
        let bad = |message: String| {
            super::decode::Bad::new("bad-range", message).help("for example worker-{1..4}")
        };
        let Some((range, after)) = rest.split_once('}') else {
            return Err(bad(format!("node name \"{text}\" has no closing brace")));
        };
        let ends = range
            .split_once("..")
            .and_then(|(from, to)| Some((from.parse::<u32>().ok()?, to.parse::<u32>().ok()?)));
        match ends {
            Some((from, to)) if from <= to && to - from < 1000 => (from..=to)
                .map(|number| name(&format!("{before}{number}{after}")))
                .collect::<Result<_, _>>()
                .map(Self),
            _ => Err(bad(format!(
                "node name \"{text}\" does not count from a number to a larger one"
            ))),
        }
    }

    fn placeholder() -> Self {
        Self(vec![Scalar::placeholder()])
    }
}
