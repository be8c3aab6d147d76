//! What a build leaves behind, without what differs from run to run: times, random names, places of pods.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::program::Program;

/// Resources whose objects are made and named by controllers as they go.
const PASSING: [&str; 6] = [
    "events",
    "pods",
    "replicasets.apps",
    "endpointslices.discovery.k8s.io",
    "leases.coordination.k8s.io",
    "controllerrevisions.apps",
];

/// The world after a build.
#[derive(Debug, PartialEq)]
pub(super) struct Picture {
    /// Machines by number: name, whether it runs, configuration.
    machines: BTreeMap<u32, Vec<String>>,
    /// Volumes by storage.
    volumes: BTreeMap<String, Vec<String>>,
    /// Talos configurations by node.
    nodes: BTreeMap<String, String>,
    /// Members of etcd, each as often as it is one.
    etcd: Vec<String>,
    /// Objects by title, with what is wanted of them.
    objects: BTreeMap<String, Value>,
    /// Number of running pods by what made them.
    pods: BTreeMap<String, usize>,
    /// Number of snapshots by repository.
    snapshots: BTreeMap<String, usize>,
    /// Names of the secrets.
    secrets: BTreeSet<String>,
}

impl Picture {
    pub(super) fn of(program: &Program) -> Self {
        let wiring = program.lab.wiring();
        let storages: BTreeSet<String> = program
            .session
            .spec()
            .proxmox
            .hosts
            .iter()
            .flat_map(|host| host.storages.iter().map(|storage| storage.name.clone()))
            .collect();
        let (machines, volumes) = wiring.proxmox().with(|world| {
            let machines = world.guests().map(|guest| (guest.vmid(), machine(guest)));
            let volumes = storages.iter().map(|storage| {
                let mut volumes = world.volumes(storage);
                volumes.sort();
                (storage.clone(), volumes)
            });
            (machines.collect(), volumes.collect())
        });
        let (nodes, etcd) = wiring.talos().with(|world, now| {
            let names: Vec<String> = world.names().map(str::to_owned).collect();
            let nodes: BTreeMap<String, String> = names
                .iter()
                .filter_map(|name| Some((name.clone(), world.config(name)?.to_yaml().to_string())))
                .collect();
            let cluster = names
                .iter()
                .find_map(|name| world.config(name)?.cluster_id().map(str::to_owned));
            let members = world.etcd_members(&cluster.unwrap_or_default(), now);
            let mut etcd: Vec<String> = members.into_iter().map(|member| member.node).collect();
            etcd.sort();
            (nodes, etcd)
        });
        let (objects, pods) = wiring.kubernetes().with(|world| {
            let objects = world
                .objects()
                .filter(|(resource, _)| !PASSING.contains(resource))
                .map(|(resource, object)| (title(resource, object), wanted(object)))
                .collect();
            let mut pods = BTreeMap::new();
            for pod in world.list("pods") {
                let owner = &pod["metadata"]["ownerReferences"][0];
                let phase = pod["status"]["phase"].as_str().unwrap_or_default();
                let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
                let kind = owner["kind"].as_str().unwrap_or("Pod");
                *pods
                    .entry(format!("{namespace}: {kind} {phase}"))
                    .or_default() += 1;
            }
            (objects, pods)
        });
        let snapshots = wiring.restic().with(|world| {
            let names: Vec<String> = world.repositories().map(str::to_owned).collect();
            names
                .into_iter()
                .map(|name| {
                    let count = world.snapshot_ids(&name).len();
                    (name, count)
                })
                .collect()
        });
        Self {
            machines,
            volumes,
            nodes,
            etcd,
            objects,
            pods,
            snapshots,
            secrets: secrets(program).into_keys().collect(),
        }
    }

    /// Fails with what differs, not with two worlds.
    pub(super) fn assert_same_as(&self, other: &Self, case: &str) {
        assert_eq!(self.machines, other.machines, "{case}: machines");
        assert_eq!(self.volumes, other.volumes, "{case}: volumes");
        assert_eq!(self.nodes, other.nodes, "{case}: machine configurations");
        assert_eq!(self.etcd, other.etcd, "{case}: members of etcd");
        let names = |picture: &Self| picture.objects.keys().cloned().collect::<BTreeSet<_>>();
        let (mine, theirs) = (names(self), names(other));
        let apart: Vec<_> = mine.symmetric_difference(&theirs).collect();
        assert!(apart.is_empty(), "{case}: only in one world: {apart:?}");
        for (title, object) in &self.objects {
            assert_eq!(Some(object), other.objects.get(title), "{case}: {title}");
        }
        assert_eq!(self.pods, other.pods, "{case}: pods");
        assert_eq!(self.snapshots, other.snapshots, "{case}: snapshots");
        assert_eq!(self.secrets, other.secrets, "{case}: secrets");
    }
}

fn machine(guest: &proxmox_client::simulator::Guest) -> Vec<String> {
    // Random in every machine that is made.
    let passing = ["meta", "smbios1", "vmgenid", "digest"];
    let config = guest
        .config()
        .iter()
        .filter(|(key, _)| !passing.contains(&key.as_str()))
        .map(|(key, value)| format!("{key}={value}"));
    let mut lines: Vec<String> = config.collect();
    lines.sort();
    lines.push(format!("runs={}", guest.started_at().is_some()));
    lines
}

fn title(resource: &str, object: &Value) -> String {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    format!("{resource} {}/{}", text("namespace"), text("name"))
}

/// What is wanted of an object, as far as it follows from what was applied.
fn wanted(object: &Value) -> Value {
    let mut spec = object["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        // Given out in the order of arrival.
        for key in [
            "clusterIP",
            "clusterIPs",
            "podCIDR",
            "podCIDRs",
            "volumeName",
            "claimRef",
        ] {
            spec.shift_remove(key);
        }
    }
    spec
}

/// All secrets by name.
pub(super) fn secrets(program: &Program) -> BTreeMap<String, String> {
    use secrecy::ExposeSecret;
    let secrets = program.session.secrets().unwrap().unwrap_or_default();
    let named = |prefix: &'static str, all: &BTreeMap<String, secrecy::SecretString>| {
        all.iter()
            .map(move |(name, value)| {
                (format!("{prefix}/{name}"), value.expose_secret().to_owned())
            })
            .collect::<Vec<_>>()
    };
    let single = [("talos", &secrets.talos), ("seed", &secrets.wireguard_seed)];
    single
        .into_iter()
        .filter_map(|(name, value)| {
            Some((name.to_owned(), value.as_ref()?.expose_secret().to_owned()))
        })
        .chain(named("wireguard", &secrets.wireguard_keys))
        .chain(named("restic", &secrets.restic))
        .chain(named("kubernetes", &secrets.kubernetes))
        .collect()
}
